/* victim.c - the node under attack, and the honest one beside it; it sees shoal.h only.
 *   attack_host victim             a node with three registered actors: echo (answers), mute (holds every ask for ever), slot (its
 *                                  mailbox never moves on). Prints {"event": "ready", "peer", "address", "mute", "slot"}
 *   attack_host victim closed      the same, and lets in one peer only, who is nobody
 *   attack_host honest ADDRESS     dials the victim, finds echo by name and asks it every 5 ms
 * Each line on standard input is answered by one line:
 *   victim   lookup NAME (no answer)
 *            peers -> connections, peers, names, actors, downs   log -> lines, longest, control (bytes below space), pushed back to 0
 *   honest   stats -> asked, answered, failed, worst_us; counters start anew
 *            dial ADDRESS, lookup NAME -> code */
#include "../support/host.h"

#include <stdatomic.h>
#include <stdio.h>

enum { PERIOD_MS = 5, PATIENCE_MS = 2000 };

static atomic_uint log_lines, log_longest, log_control, downs, stopped;

static void on_log(void *ud, int level, const char *text)
{
    (void)ud, (void)level;
    size_t n = strlen(text);
    atomic_fetch_add(&log_lines, 1);
    if (n > atomic_load(&log_longest)) {
        atomic_store(&log_longest, (unsigned)n);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 127) {
            atomic_fetch_add(&log_control, 1);
        }
    }
    fprintf(stderr, "log %s\n", text);
}

static int echo_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_reply(cx, value);
}

static int echo_fail(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return shoal_fail(cx, "told to fail");
}

static int mute_ask(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_promise promise;
    (void)state, (void)value;
    return shoal_defer(cx, &promise);
}

/* Its message stays open: what comes behind it waits in the mailbox. */
static int slot_hold(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return shoal_hold(cx);
}

static int count_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)cx, (void)state, (void)pid, (void)reason;
    atomic_fetch_add(&downs, 1);
    return SHOAL_RESUME;
}

static void count_stop(shoal_cx *cx, void *state, const shoal_reason *reason)
{
    (void)cx, (void)state, (void)reason;
    atomic_fetch_add(&stopped, 1);
}

static const shoal_handler echo_handlers[] = {{"echo", echo_echo}, {"fail", echo_fail}};
static const shoal_actor_type echo_type = {.struct_size = sizeof echo_type,
                                           .id = "attack.echo",
                                           .handlers = echo_handlers,
                                           .handler_count = 2,
                                           .on_down = count_down,
                                           .on_stop = count_stop};
static const shoal_handler mute_handlers[] = {{"ask", mute_ask}};
static const shoal_actor_type mute_type = {.struct_size = sizeof mute_type,
                                           .flags = SHOAL_REENTRANT,
                                           .id = "attack.mute",
                                           .handlers = mute_handlers,
                                           .handler_count = 1};
static const shoal_handler slot_handlers[] = {{"hold", slot_hold}};
static const shoal_actor_type slot_type = {.struct_size = sizeof slot_type,
                                           .id = "attack.slot",
                                           .handlers = slot_handlers,
                                           .handler_count = 1};

static void say(const char *text)
{
    fputs(text, stdout);
    fputc('\n', stdout);
    fflush(stdout);
}

static void fatal(const char *what)
{
    fprintf(stderr, "attack_host: %s: %s\n", what, shoal_last_error(NULL));
    exit(1);
}

static int64_t rows(shoal_node *node, const char *what, int64_t *connections)
{
    shoal_result *r = NULL;
    shoal_bytes row, list;
    int64_t count = 0;
    if (shoal_info(node, what, NULL, shoal_keep, &r) < 0 || shoal_wait(node, &r) < 0) {
        shoal_result_free(r);
        return -1;
    }
    list = r->value;
    while (shoal_next(&list, NULL, &row) == 1) {
        int64_t n = shoal_field_i64(row, "connections", 0);
        count += !connections || n > 0;
        *(connections ? connections : &(int64_t){0}) += n;
    }
    shoal_result_free(r);
    return count;
}

static void on_found(void *ud, const shoal_result *result)
{
    (void)ud, (void)result;
}

static void victim_obey(shoal_node *node, const char *line)
{
    char out[512];
    if (strncmp(line, "lookup ", 7) == 0) {
        (void)shoal_lookup(node, line + 7, 3000, on_found, NULL);
        return;
    }
    int64_t connections = 0;
    if (strcmp(line, "peers") == 0) {
        int64_t peers = rows(node, "peers", &connections);
        snprintf(out, sizeof out,
                 "{\"peers\": %lld, \"connections\": %lld, \"names\": %lld, \"actors\": %lld, "
                 "\"downs\": %u, \"stopped\": %u}",
                 (long long)peers, (long long)connections, (long long)rows(node, "names", NULL),
                 (long long)rows(node, "actors", NULL), atomic_load(&downs), atomic_load(&stopped));
    } else {
        snprintf(out, sizeof out, "{\"lines\": %u, \"longest\": %u, \"control\": %u}",
                 atomic_exchange(&log_lines, 0), atomic_exchange(&log_longest, 0),
                 atomic_exchange(&log_control, 0));
    }
    say(out);
}

static shoal_pid victim_actor(shoal_node *node, const shoal_actor_type *type, const char *name)
{
    shoal_pid pid;
    shoal_result *r = NULL;
    if (shoal_spawn(node, type, NULL, &pid) < 0 ||
        shoal_register(node, pid, name, shoal_keep, &r) < 0 || shoal_wait(node, &r) < 0) {
        fatal(name);
    }
    shoal_result_free(r);
    return pid;
}

/* ------------------------------------------------------------------ honest */

struct honest {
    unsigned out, asked, answered, failed;
    uint64_t worst_us;
    shoal_pid echo;
};

struct ask {
    struct honest *h;
    shoal_node *node;
    uint64_t at_us;
};

static void on_answer(void *ud, const shoal_result *result)
{
    struct ask *a = ud;
    uint64_t took_us = shoal_clock_us(a->node) - a->at_us;
    a->h->out--;
    a->h->answered += result->code == 0;
    a->h->failed += result->code != 0;
    if (result->code != 0) {
        fprintf(stderr, "honest: %s %s\n", shoal_code_name(result->code), result->text);
    }
    if (took_us > a->h->worst_us) {
        a->h->worst_us = took_us;
    }
    free(a);
}

static void honest_ask(shoal_node *node, struct honest *h)
{
    unsigned char room[16];
    shoal_pack p;
    struct ask *a = malloc(sizeof *a);
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_i64(&p, h->asked);
    *a = (struct ask){h, node, shoal_clock_us(node)};
    h->asked++;
    h->out++;
    if (shoal_ask(node, h->echo, "echo", shoal_packed(&p), PATIENCE_MS, on_answer, a) < 0) {
        h->out--;
        h->failed++;
        free(a);
    }
}

static void honest_obey(shoal_node *node, struct honest *h, char *line)
{
    char out[256];
    char *argument = strchr(line, ' ');
    shoal_result *r = NULL;
    if (argument) {
        *argument++ = 0;
        int64_t call = line[0] == 'd' ? shoal_dial(node, argument, shoal_keep, &r)
                                      : shoal_lookup(node, argument, 3000, shoal_keep, &r);
        int code = call < 0 ? (int)call : shoal_wait(node, &r);
        snprintf(out, sizeof out, "{\"code\": \"%s\"}", code == 0 ? "ok" : shoal_code_name(code));
        shoal_result_free(r);
    } else {
        snprintf(
            out, sizeof out,
            "{\"asked\": %u, \"answered\": %u, \"failed\": %u, \"out\": %u, \"worst_us\": %llu}",
            h->asked, h->answered, h->failed, h->out, (unsigned long long)h->worst_us);
        h->asked = h->out;
        h->answered = h->failed = 0;
        h->worst_us = 0;
    }
    say(out);
}

/* ------------------------------------------------------------------ main */

static int line_read(char *line, size_t cap)
{
    size_t n = 0;
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1) { /* short lines, seldom */
        if (c == '\n') {
            line[n] = 0;
            return 1;
        }
        line[n] = c;
        n += n + 1 < cap;
    }
    return 0;
}

static void serve(shoal_node *node, struct honest *h)
{
    uint64_t next_us = shoal_clock_us(node);
    char line[1024];
    for (;;) {
        if (host_sleep(node, h ? PERIOD_MS : -1)) {
            if (!line_read(line, sizeof line)) {
                return;
            }
            if (h) {
                honest_obey(node, h, line);
            } else {
                victim_obey(node, line);
            }
        }
        shoal_poll(node, 0, 0);
        if (h && shoal_clock_us(node) >= next_us) {
            next_us = shoal_clock_us(node) + PERIOD_MS * 1000;
            honest_ask(node, h);
        }
    }
}

static void honest_find(shoal_node *node, const char *address, struct honest *h)
{
    shoal_result *r = NULL;
    if (shoal_dial(node, address, shoal_keep, &r) < 0 || shoal_wait(node, &r) < 0) {
        fatal("dial");
    }
    shoal_result_free(r);
    r = NULL;
    if (shoal_lookup(node, "echo", 5000, shoal_keep, &r) < 0 || shoal_wait(node, &r) < 0) {
        fatal("lookup");
    }
    h->echo = r->pid;
    shoal_result_free(r);
}

int main(int argc, char **argv)
{
    const char *listen = "/ip4/127.0.0.1/tcp/0";
    const char *nobody = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    char peer[80], address[256], out[1024];
    struct honest h = {0};
    shoal_node_config cfg;
    shoal_node *node;
    int honest = argc == 3 && strcmp(argv[1], "honest") == 0;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.listen = &listen;
    cfg.listen_count = honest ? 0 : 1;
    if (argc == 3 && !honest) {
        cfg.allow = &nobody;
        cfg.allow_count = 1;
    }
    cfg.on_log = on_log;
    cfg.log_level = SHOAL_LOG_WARN;
    if (shoal_node_new(&cfg, &node) < 0) {
        fatal("node");
    }
    shoal_peer_id(node, peer, sizeof peer);
    if (honest) {
        honest_find(node, argv[2], &h);
        say("{\"event\": \"ready\"}");
    } else {
        shoal_pid echo = victim_actor(node, &echo_type, "echo");
        shoal_pid mute = victim_actor(node, &mute_type, "mute");
        shoal_pid slot = victim_actor(node, &slot_type, "slot");
        shoal_address(node, 0, address, sizeof address);
        snprintf(out, sizeof out,
                 "{\"event\": \"ready\", \"peer\": \"%s\", \"address\": \"%s\", \"echo\": \"%s\", "
                 "\"mute\": \"%s\", \"slot\": \"%s\"}",
                 peer, address, host_exported(node, echo), host_exported(node, mute),
                 host_exported(node, slot));
        say(out);
    }
    serve(node, honest ? &h : NULL);
    shoal_node_free(node);
    return 0;
}
