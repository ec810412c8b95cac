/* tests/support/host.h - what host programs share: a node's options as words KEY=VALUE, the clock, texts that are lent,
 * and sleeping until the node or the input has something. Sees shoal.h only. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <poll.h>
#include <shoal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HOST_LENT = 2048, HOST_DIALS = 8 };

/* Microseconds of the clock that Python calls time.monotonic. */
static inline int64_t host_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* HOST_LENT bytes, the caller's until the eighth call after. */
static inline char *host_lent(void)
{
    static _Thread_local char room[8][HOST_LENT];
    static _Thread_local unsigned next;
    return room[next++ % 8];
}

/* The text of a ref; "" for nobody. Lent. */
static inline const char *host_ref(shoal_node *node, shoal_pid pid)
{
    char *out = host_lent();
    if (shoal_pid_text(node, pid, out, HOST_LENT) < 0) {
        out[0] = 0;
    }
    return out;
}

/* The same of an actor of this node, whose text goes to other processes: it is exported. */
static inline const char *host_exported(shoal_node *node, shoal_pid pid)
{
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_ref(&p, node, pid);
    shoal_pack_free(&p);
    return host_ref(node, pid);
}

/* Text that fits between the quotes of a JSON string. Lent. */
static inline const char *host_quoted(const char *text, size_t len)
{
    char *out = host_lent();
    size_t n = 0;
    for (; n < len && n < HOST_LENT - 48; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < ' ' || c >= 127 || c == '"' || c == '\\' ? '?' : (char)c;
    }
    out[n] = 0;
    return out;
}

/* The options of a node, and what their lists lie in: not to be moved once filled. */
struct host_options {
    shoal_node_config cfg;
    const char *listen, *announce, *dial[HOST_DIALS];
};

static inline void host_option(struct host_options *o, const char *key, const char *value)
{
    uint32_t n = (uint32_t)strtoul(value, NULL, 10);
    if (strcmp(key, "key") == 0) {
        o->cfg.key = value;
    } else if (strcmp(key, "listen") == 0) {
        o->listen = value;
    } else if (strcmp(key, "announce") == 0) {
        o->announce = value;
        o->cfg.announce_count = 1;
    } else if (strcmp(key, "dial") == 0 && o->cfg.dial_count < HOST_DIALS) {
        o->dial[o->cfg.dial_count++] = value;
    } else if (strcmp(key, "threads") == 0) {
        o->cfg.threads = n;
    } else if (strcmp(key, "mailbox") == 0) {
        o->cfg.mailbox = n;
    } else if (strcmp(key, "peer_timeout_ms") == 0) {
        o->cfg.peer_timeout_ms = n;
    }
}

/* A node that listens on a free port of loopback, and what the words KEY=VALUE say. */
static inline void host_options(struct host_options *o, int argc, char **argv)
{
    *o = (struct host_options){.listen = "/ip4/127.0.0.1/tcp/0"};
    shoal_node_config_init(&o->cfg, sizeof o->cfg);
    o->cfg.listen = &o->listen;
    o->cfg.listen_count = 1;
    o->cfg.announce = &o->announce;
    o->cfg.dial = o->dial;
    o->cfg.log_level = SHOAL_LOG_ERROR;
    for (int i = 1; i < argc; i++) {
        char key[32] = "";
        const char *equals = strchr(argv[i], '=');
        if (equals && equals - argv[i] < (ptrdiff_t)sizeof key) {
            memcpy(key, argv[i], (size_t)(equals - argv[i]));
            host_option(o, key, equals + 1);
        }
    }
}

/* Sleeps until the node or standard input has something, most_ms at most (-1: for ever); true: input, or its end. */
static inline bool host_sleep(shoal_node *node, int64_t most_ms)
{
    struct pollfd watched[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = shoal_fd(node), .events = POLLIN}};
    int64_t wait = shoal_next_timeout_ms(node);
    poll(watched, 2, (int)(most_ms >= 0 && (wait < 0 || wait > most_ms) ? most_ms : wait));
    return watched[0].revents != 0;
}

#endif
