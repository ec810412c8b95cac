/* host.c - a node in a process of its own, for tests that kill, stop and restart it.
 *   process_host [key=PATH] [listen=MULTIADDR] [announce=MULTIADDR] [dial=MULTIADDR] [threads=N] [mailbox=N] [peer_timeout_ms=N]
 * prints {"event": "ready", "peer", "address"}, then obeys lines `ID COMMAND ARGUMENTS` and prints one JSON object for each end:
 *   spawn [MAILBOX]   dial ADDRESS   register REF NAME   unregister REF NAME   lookup NAME MS   lookup_all NAME MS
 *   tell REF NAME N   ask REF NAME N|REF MS   drain REF MS   done REF   stop MS   free   info WHAT
 *   tells REF LANE COUNT PAD STOP_WHEN_FULL   asks REF COUNT WIDTH MS   enough (makes no more of them)
 * It ends with its input. */
#include "../support/lines.h"
#include "host.h"
#include <stdarg.h>

static const int64_t said =
    INT64_MAX; /* of a command: its end is printed, or will be, without its call */

struct call {
    char id[24];
    shoal_node *node;
};

void host_say(const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("{\"t_us\": %lld, %s}\n", (long long)host_now_us(),
           text); /* one call: a line is whole, whatever thread writes it */
    fflush(stdout);
}

static void quotes_put(char *out, const char *inner)
{
    size_t len = strnlen(inner, HOST_LENT - 3);
    out[0] = '"';
    memmove(out + 1, inner, len);
    out[len + 1] = '"';
    out[len + 2] = 0;
}

/* A value as JSON: integers, texts, refs and lists of integers are all that the tests read. */
static const char *value_text(shoal_node *node, shoal_bytes value)
{
    char *out = host_lent();
    shoal_bytes text, item;
    shoal_pid pid;
    int64_t n = 0;
    size_t used = 0;
    const char *inner;
    switch (shoal_kind(value)) {
    case SHOAL_KIND_INT:
        shoal_as_i64(value, &n);
        snprintf(out, HOST_LENT, "%lld", (long long)n);
        break;
    case SHOAL_KIND_TEXT:
        shoal_as_text(value, &text);
        inner = host_quoted(text.data, text.len);
        quotes_put(out, inner);
        break;
    case SHOAL_KIND_REF:
        shoal_as_ref(node, value, &pid);
        inner = host_ref(node, pid);
        quotes_put(out, inner);
        break;
    case SHOAL_KIND_LIST:
        while (used < 1900 && shoal_next(&value, NULL, &item) == 1) {
            n = 0;
            shoal_as_i64(item, &n);
            used += (size_t)snprintf(out + used, HOST_LENT - used, "%s%lld", used ? ", " : "[",
                                     (long long)n);
        }
        snprintf(out + used, HOST_LENT - used, used ? "]" : "[]");
        break;
    default: snprintf(out, HOST_LENT, "null");
    }
    return out;
}

/* The end of any call. */
static void on_end(void *ud, const shoal_result *result)
{
    struct call *call = ud;
    host_say("\"id\": \"%s\", \"code\": \"%s\", \"delivery\": %d, \"value\": %s, \"ref\": \"%s\", "
             "\"kind\": %d, \"text\": \"%s\"",
             call->id, result->code == SHOAL_END ? "end" : shoal_code_name(result->code),
             result->delivery, value_text(call->node, result->value),
             host_ref(call->node, result->pid), result->reason.kind,
             host_quoted(result->text, strlen(result->text)));
    if (result->code != 0 || call->id[0] != '*') {
        free(call);
    }
}

static struct call *call_new(shoal_node *node, const char *id)
{
    struct call *call = calloc(1, sizeof *call);
    snprintf(call->id, sizeof call->id, "%s", id);
    call->node = node;
    return call;
}

static void say_code(shoal_node *node, const char *id, int64_t code)
{
    const char *text = code < 0 ? shoal_last_error(node) : "";
    host_say("\"id\": \"%s\", \"code\": \"%s\", \"at_call\": true, \"text\": \"%s\"", id,
             shoal_code_name(code < 0 ? (int)code : 0), host_quoted(text, strlen(text)));
}

static void on_event(void *ud, const char *event, shoal_bytes info)
{
    shoal_bytes text = shoal_field_text(info, "text", ""),
                peer = shoal_field_text(info, "peer", "");
    (void)ud;
    host_say("\"event\": \"%s\", \"text\": \"%s\", \"peer\": \"%s\", \"count\": %lld", event,
             host_quoted(text.data, text.len), host_quoted(peer.data, peer.len),
             (long long)shoal_field_i64(info, "count", 0));
}

/* A number or a ref as a value. */
static void value_put(shoal_pack *p, shoal_node *node, const char *word)
{
    shoal_pid pid;
    shoal_pack_init(p, NULL, 0);
    if (strchr(word, '@')) {
        shoal_pid_parse(node, word, &pid);
        shoal_put_ref(p, node, pid);
    } else {
        shoal_put_i64(p, strtoll(word, NULL, 10));
    }
}

static int64_t spawn_command(shoal_node *node, char **word)
{
    shoal_pid pid;
    int code = probe_spawn(node, word[2][0] ? (uint32_t)strtoul(word[2], NULL, 10) : 0, &pid);
    if (code < 0) {
        return code;
    }
    host_say("\"id\": \"%s\", \"code\": \"ok\", \"ref\": \"%s\"", word[0],
             host_exported(node, pid));
    return said;
}

/* Commands whose first argument is a ref. */
static int64_t ref_command(shoal_node *node, char **word, struct call *call)
{
    const char *what = word[1];
    shoal_pid pid;
    shoal_pack p;
    int64_t code = shoal_pid_parse(node, word[2], &pid);
    uint32_t last_ms = (uint32_t)strtoul(word[3], NULL, 10);
    if (code < 0) {
        return code;
    }
    if (strcmp(what, "register") == 0) {
        return shoal_register(node, pid, word[3], on_end, call);
    }
    if (strcmp(what, "unregister") == 0) {
        return shoal_unregister(node, pid, word[3]);
    }
    if (strcmp(what, "done") == 0) {
        return shoal_done(node, pid, on_end, call);
    }
    if (strcmp(what, "kill") == 0) {
        return shoal_kill(node, pid);
    }
    if (strcmp(what, "drain") == 0) {
        return shoal_drain(node, pid, last_ms, on_end, call);
    }
    if (strcmp(what, "tells") == 0) {
        flood_tells(node, word[0], pid, strtoll(word[3], NULL, 10), strtoll(word[4], NULL, 10),
                    strtoul(word[5], NULL, 10), atoi(word[6]));
        return said;
    }
    if (strcmp(what, "asks") == 0) {
        flood_asks(node, word[0], pid, strtoll(word[3], NULL, 10), strtoll(word[4], NULL, 10),
                   (uint32_t)strtoul(word[5], NULL, 10));
        return said;
    }
    value_put(&p, node, word[4]);
    if (strcmp(what, "tell") == 0) {
        code = shoal_tell(node, pid, word[3], shoal_packed(&p));
    } else if (strcmp(what, "ask") == 0) {
        code = shoal_ask(node, pid, word[3], shoal_packed(&p), (uint32_t)strtoul(word[5], NULL, 10),
                         on_end, call);
    } else {
        code = SHOAL_E_USAGE;
    }
    shoal_pack_free(&p);
    return code;
}

/* 0 or an error is said here; a call id: its end is. */
static void obey(shoal_node *node, char **word)
{
    const char *what = word[1];
    struct call *call = call_new(node, word[0]);
    uint32_t ms = (uint32_t)strtoul(word[3], NULL, 10);
    int64_t code;
    if (strcmp(what, "spawn") == 0) {
        code = spawn_command(node, word);
    } else if (strcmp(what, "dial") == 0) {
        code = shoal_dial(node, word[2], on_end, call);
    } else if (strcmp(what, "lookup") == 0) {
        code = shoal_lookup(node, word[2], ms, on_end, call);
    } else if (strcmp(what, "lookup_all") == 0) {
        code = shoal_lookup_all(node, word[2], ms, 0, on_end, call);
    } else if (strcmp(what, "info") == 0) {
        code = shoal_info(node, word[2], NULL, on_end, call);
    } else if (strcmp(what, "enough") == 0) {
        flood_enough();
        code = 0;
    } else if (strcmp(what, "stop") == 0) {
        code = shoal_node_stop(node, (uint32_t)strtoul(word[2], NULL, 10), on_end, call);
    } else {
        code = ref_command(node, word, call);
    }
    if (code <= 0) {
        say_code(node, word[0], code);
    }
    if (code <= 0 || code == said) {
        free(call);
    }
}

/* False at the end of input. */
static int input_turn(shoal_node *node)
{
    static struct lines in;
    return lines_read(&in, obey, node);
}

int main(int argc, char **argv)
{
    char peer[80] = "", address[512] = "";
    struct host_options o;
    shoal_node *node;
    host_options(&o, argc, argv);
    o.cfg.on_event = on_event;
    o.cfg.log_level = getenv("SHOAL_HOST_LOG") ? SHOAL_LOG_DEBUG : SHOAL_LOG_ERROR;
    if (shoal_node_new(&o.cfg, &node) < 0 || probe_start(node) < 0) {
        fprintf(stderr, "process_host: %s\n", shoal_last_error(NULL));
        return 1;
    }
    shoal_peer_id(node, peer, sizeof peer);
    shoal_address(node, 0, address, sizeof address);
    host_say("\"event\": \"ready\", \"peer\": \"%s\", \"address\": \"%s\"", peer, address);
    int busy = 0;
    while (!host_sleep(node, busy ? 1 : -1) || input_turn(node)) {
        shoal_poll(node, 0, 0);
        busy = flood_turn(node);
    }
    shoal_node_free(node);
    return 0;
}
