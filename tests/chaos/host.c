/* host.c - a node of the chaos runs, in C; host.lua and host.py are the same in the other languages.
 *   chaos_host [key=PATH] [listen=MULTIADDR] [announce=MULTIADDR] [dial=MULTIADDR]... [peer_timeout_ms=N] [threads=N]
 * prints one JSON object per thing that happens ({"t": microseconds, "ev": ...}) and obeys lines on standard input:
 *   ID spawn NAME           a worker, registered as NAME: ev born, then ev end of ID when others can find it
 *   ID ask REF MS KIND ARG LANE SEQ, ID tell REF KIND ARG LANE SEQ    one message `op` to a worker; ev ask or tell, then ev end
 *   ID watch REF, ID link REF, ID unlink LEAF     a watcher or a fresh leaf that is linked; ev down when REF ends
 *   ID lookup NAME MS       ev look, then ev end with the ref
 *   ID stop MS              graceful stop; ev end
 * A worker does by KIND: now, later (answers after ARG ms), fail, die (ends), mute (never answers), via (asks the worker of the
 * ref ARG and answers what came of it). It says ev ran before anything else. It ends with its input. */
#include "../support/host.h"
#include "../support/lines.h"
#include <stdarg.h>
#include <stdio.h>

enum { REF = 128, HELD = 4096, TICK_MS = 20, LATE_US = 20000 };

struct call {
    char id[64];
    shoal_node *node;
};

static void say(const char *event, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("{\"t\": %lld, \"ev\": \"%s\"%s%s}\n", (long long)host_now_us(), event,
           text[0] ? ", " : "", text);
    fflush(stdout);
}

static const char *field_text(shoal_bytes value, const char *key)
{
    shoal_bytes text = shoal_field_text(value, key, "");
    return host_quoted(text.data, text.len);
}

static void say_end(const char *id, int64_t code, int delivery, const char *ref)
{
    static const char *const deliveries[] = {"", "not_sent", "unknown", "handled"};
    say("end", "\"id\": \"%s\", \"code\": \"%s\", \"dl\": \"%s\", \"ref\": \"%s\"", id,
        shoal_code_name(code < 0 ? (int)code : 0), code < 0 ? deliveries[delivery] : "", ref);
}

static void op_pack(shoal_pack *p, const char *id, const char *kind, const char *arg,
                    const char *lane, const char *seq)
{
    const char *const pairs[][2] = {{"id", id}, {"kind", kind}, {"arg", arg}, {"lane", lane}};
    shoal_pack_init(p, NULL, 0);
    shoal_put_map(p, 5);
    for (int i = 0; i < 4; i++) {
        shoal_put_key(p, pairs[i][0]);
        shoal_put_text(p, pairs[i][1], strlen(pairs[i][1]));
    }
    shoal_put_key(p, "seq");
    shoal_put_i64(p, strtoll(seq, NULL, 10));
}

/* ------------------------------------------------------------------ worker */

struct worker {
    char ref[REF];
    shoal_promise held[HELD];
    int64_t next;
};

static int op_later(shoal_cx *cx, struct worker *w, shoal_bytes value)
{
    unsigned char room[16];
    shoal_pack p;
    int64_t slot = w->next++ % HELD;
    int code = shoal_defer(cx, &w->held[slot]);
    if (code < 0) {
        return 0; /* a tell: there is nobody to answer */
    }
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_i64(&p, slot);
    int64_t timer =
        shoal_after(cx, strtoull(field_text(value, "arg"), NULL, 10), "due", shoal_packed(&p));
    return timer < 0 ? (int)timer : 0;
}

static int worker_due(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct worker *w = state;
    int64_t slot = 0;
    shoal_as_i64(value, &slot);
    shoal_promise_reply(shoal_cx_node(cx), w->held[slot % HELD], shoal_nil());
    return 0;
}

static int then_via(shoal_cx *cx, void *ud, const shoal_result *result)
{
    char *id = ud;
    say_end(id, result->code, result->delivery, "");
    free(id);
    return shoal_reply_text(cx, shoal_code_name(result->code));
}

static int op_via(shoal_cx *cx, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    shoal_pid pid;
    shoal_pack p;
    char *id = malloc(80);
    snprintf(id, 80, "%.64sv", field_text(value, "id"));
    if (shoal_pid_parse(node, field_text(value, "arg"), &pid) < 0) {
        free(id);
        return SHOAL_E_BAD_VALUE;
    }
    say("ask", "\"id\": \"%s\", \"to\": \"%s\", \"ms\": 500, \"lane\": \"\", \"seq\": 0", id,
        field_text(value, "arg"));
    op_pack(&p, id, "now", "", "", "0");
    int64_t call = shoal_cx_ask(cx, pid, "op", shoal_packed(&p), 500, then_via, id);
    shoal_pack_free(&p);
    if (call < 0) {
        say_end(id, call, SHOAL_NOT_SENT, "");
        free(id);
        return shoal_reply_text(cx, shoal_code_name((int)call));
    }
    return 0;
}

static int worker_op(shoal_cx *cx, void *state, shoal_bytes value)
{
    const char *kind = field_text(value, "kind");
    say("ran", "\"id\": \"%s\", \"at\": \"%s\", \"lane\": \"%s\", \"seq\": %lld",
        field_text(value, "id"), host_ref(shoal_cx_node(cx), shoal_cx_self(cx)),
        field_text(value, "lane"), (long long)shoal_field_i64(value, "seq", 0));
    if (strcmp(kind, "later") == 0) {
        return op_later(cx, state, value);
    }
    if (strcmp(kind, "via") == 0) {
        return op_via(cx, value);
    }
    if (strcmp(kind, "fail") == 0) {
        return shoal_fail(cx, "told to fail");
    }
    if (strcmp(kind, "die") == 0) {
        shoal_cx_stop(cx, "told to die");
    } else if (strcmp(kind, "mute") == 0) {
        shoal_promise promise;
        shoal_defer(cx, &promise);
        return 0;
    }
    return shoal_reply_nil(cx);
}

static int on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    static const char *const kinds[] = {"normal",    "killed",  "error", "link_died",
                                        "peer_lost", "restart", "gone"};
    shoal_node *node = shoal_cx_node(cx);
    (void)state;
    say("down", "\"at\": \"%s\", \"to\": \"%s\", \"kind\": \"%s\"",
        host_ref(node, shoal_cx_self(cx)), host_ref(node, pid), kinds[reason->kind]);
    return SHOAL_RESUME;
}

static int on_error(shoal_cx *cx, void *state, const shoal_result *error)
{
    (void)cx, (void)state, (void)error;
    return SHOAL_RESUME;
}

/* Of workers and leaves: both states begin with the ref's text. */
static int keep_ref(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)args;
    snprintf(state, REF, "%s", host_ref(shoal_cx_node(cx), shoal_cx_self(cx)));
    return 0;
}

/* By the text kept: at the node's end no text can be made any more. */
static void say_dead(shoal_cx *cx, void *state, const shoal_reason *reason)
{
    (void)cx, (void)reason;
    say("dead", "\"at\": \"%s\"", (const char *)state);
}

static const shoal_handler worker_handlers[] = {{"op", worker_op}, {"due", worker_due}};
static const shoal_actor_type worker_type = {
    .struct_size = sizeof worker_type,
    .id = "chaos.worker",
    .state_size = sizeof(struct worker),
    .handlers = worker_handlers,
    .handler_count = 2,
    .init = keep_ref,
    .on_stop = say_dead,
    .on_down = on_down,
    .on_error = on_error,
};

static int leaf_stop(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_cx_stop(cx, NULL);
    return 0;
}

static const shoal_handler leaf_handlers[] = {{"stop", leaf_stop}};
static const shoal_actor_type leaf_type = {
    .struct_size = sizeof leaf_type,
    .id = "chaos.leaf",
    .state_size = REF,
    .init = keep_ref,
    .on_stop = say_dead,
    .handlers = leaf_handlers,
    .handler_count = 1,
    .on_down = on_down,
};

/* ------------------------------------------------------------------ commands */

static shoal_pid the_watcher;

static void on_end(void *ud, const shoal_result *result)
{
    struct call *call = ud;
    say_end(call->id, result->code, result->delivery,
            result->code == 0 && result->pid.actor ? host_ref(call->node, result->pid) : "");
    free(call);
}

static int64_t spawn_command(shoal_node *node, char **word, struct call *call)
{
    shoal_pid pid;
    int code = shoal_spawn(node, &worker_type, NULL, &pid);
    if (code < 0) {
        return code;
    }
    say("born", "\"id\": \"%s\", \"at\": \"%s\", \"name\": \"%s\"", word[0],
        host_exported(node, pid), word[2]);
    return shoal_register(node, pid, word[2], on_end, call);
}

static int64_t link_command(shoal_node *node, char **word, shoal_pid pid)
{
    shoal_pid leaf;
    int code = shoal_spawn(node, &leaf_type, NULL, &leaf);
    if (code < 0) {
        return code;
    }
    say("link", "\"id\": \"%s\", \"at\": \"%s\", \"to\": \"%s\"", word[0], host_ref(node, leaf),
        word[2]);
    return shoal_link(node, leaf, pid);
}

static int64_t message_command(shoal_node *node, char **word, shoal_pid pid, struct call *call)
{
    int ask = word[1][0] == 'a';
    char **rest = word + (ask ? 4 : 3);
    shoal_pack p;
    int64_t code;
    op_pack(&p, word[0], rest[0], rest[1], rest[2], rest[3]);
    say(word[1], "\"id\": \"%s\", \"to\": \"%s\", \"ms\": %s, \"lane\": \"%s\", \"seq\": %s",
        word[0], word[2], ask ? word[3] : "0", rest[2], rest[3]);
    if (ask) {
        code = shoal_ask(node, pid, "op", shoal_packed(&p), (uint32_t)strtoul(word[3], NULL, 10),
                         on_end, call);
    } else {
        code = shoal_tell(node, pid, "op", shoal_packed(&p));
    }
    shoal_pack_free(&p);
    return code;
}

static int64_t ref_command(shoal_node *node, char **word, struct call *call)
{
    shoal_pid pid;
    int64_t code = shoal_pid_parse(node, word[2], &pid);
    if (code < 0) {
        return code;
    }
    if (strcmp(word[1], "watch") == 0) {
        say("watch", "\"id\": \"%s\", \"at\": \"%s\", \"to\": \"%s\"", word[0],
            host_ref(node, the_watcher), word[2]);
        return shoal_monitor(node, the_watcher, pid);
    }
    if (strcmp(word[1], "link") == 0) {
        return link_command(node, word, pid);
    }
    if (strcmp(word[1], "unlink") == 0) {
        return shoal_tell(node, pid, "stop", shoal_nil());
    }
    return message_command(node, word, pid, call);
}

/* 0 or an error is said here; a call id: its end is. */
static void obey(shoal_node *node, char **word)
{
    struct call *call = calloc(1, sizeof *call);
    int64_t code;
    snprintf(call->id, sizeof call->id, "%s", word[0]);
    call->node = node;
    if (strcmp(word[1], "spawn") == 0) {
        code = spawn_command(node, word, call);
    } else if (strcmp(word[1], "lookup") == 0) {
        say("look", "\"id\": \"%s\", \"name\": \"%s\", \"ms\": %s", word[0], word[2], word[3]);
        code = shoal_lookup(node, word[2], (uint32_t)strtoul(word[3], NULL, 10), on_end, call);
    } else if (strcmp(word[1], "stop") == 0) {
        code = shoal_node_stop(node, (uint32_t)strtoul(word[2], NULL, 10), on_end, call);
    } else {
        code = ref_command(node, word, call);
    }
    if (code <= 0) {
        say_end(word[0], code, SHOAL_NOT_SENT, "");
        free(call);
    }
}

/* False at the end of input. */
static int input_turn(shoal_node *node)
{
    static struct lines in;
    return lines_read(&in, obey, node);
}

static void on_event(void *ud, const char *event, shoal_bytes info)
{
    shoal_bytes to = shoal_field(info, "to");
    shoal_pid pid = {0};
    shoal_node *node = *(shoal_node **)ud;
    if (strcmp(event, "undelivered") == 0) {
        shoal_as_ref(node, to, &pid);
        say("und", "\"to\": \"%s\", \"count\": %lld, \"code\": \"%s\"", host_ref(node, pid),
            (long long)shoal_field_i64(info, "count", 0), field_text(info, "code"));
    } else {
        say(event, "\"peer\": \"%s\", \"text\": \"%s\"", field_text(info, "peer"),
            field_text(info, "text"));
    }
}

static void serve(shoal_node *node)
{
    int64_t tick_us = host_now_us() + TICK_MS * 1000;
    for (;;) {
        bool input = host_sleep(node, TICK_MS);
        int64_t late = host_now_us() - tick_us;
        if (late > LATE_US) {
            say("late", "\"us\": %lld", (long long)late);
        }
        if (late > -1000) {
            tick_us = host_now_us() + TICK_MS * 1000;
        }
        if (input && !input_turn(node)) {
            return;
        }
        shoal_poll(node, 0, 0);
    }
}

int main(int argc, char **argv)
{
    char peer[80] = "", address[512] = "";
    struct host_options o;
    static shoal_node *node;
    host_options(&o, argc, argv);
    o.cfg.on_event = on_event;
    o.cfg.event_ud = &node;
    if (shoal_node_new(&o.cfg, &node) < 0 ||
        shoal_spawn(node, &leaf_type, NULL, &the_watcher) < 0) {
        fprintf(stderr, "chaos_host: %s\n", shoal_last_error(NULL));
        return 1;
    }
    shoal_peer_id(node, peer, sizeof peer);
    shoal_address(node, 0, address, sizeof address);
    say("ready", "\"peer\": \"%s\", \"address\": \"%s\"", peer, address);
    serve(node);
    shoal_node_free(node);
    return 0;
}
