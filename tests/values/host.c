/* host.c - the C side of the values tests: the same two actors as host.lua and host.py, or the hand that asks them.
 *   values_host NAME HUB    actors NAME.send and NAME.echo on a node that dials HUB; serves until its input ends
 *   values_host hub         prints its address, then obeys `ID lookup NAME` and `ID ask REF HANDLER WORD...` (words become a list of
 *                           texts); answers `ID CODE TEXT` */
#include "../support/host.h"
#include "../support/lines.h"
#include "notation.h"
#include <stdio.h>

enum { BIG_BYTES = 1200000 };

/* ------------------------------------------------------------------ echo */

static int reply_word(shoal_cx *cx, char *word)
{
    int code = shoal_reply_text(cx, word);
    free(word);
    return code;
}

/* Taken apart and put together again, not handed back as it came. */
static int echo_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    char *word = notation_of(node, value);
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    notation_put(&p, node, word);
    free(word);
    int code = shoal_pack_error(&p) ? shoal_fail(cx, "not a value that C can write")
                                    : shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

static int echo_seen(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return reply_word(cx, notation_of(shoal_cx_node(cx), value));
}

static int echo_poke(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return shoal_reply_text(cx, "poked");
}

/* What an ask ended as: "ok WORD", or "CODE DELIVERY TEXT". */
static int then_said(shoal_cx *cx, void *ud, const shoal_result *result)
{
    static const char *const deliveries[] = {"", "not_sent", "unknown", "handled"};
    char *out;
    (void)ud;
    if (result->code == 0) {
        char *word = notation_of(shoal_cx_node(cx), result->value);
        out = malloc(strlen(word) + 4);
        sprintf(out, "ok %s", word);
        free(word);
    } else {
        out = malloc(strlen(result->text) + 64);
        sprintf(out, "%s %s %s", shoal_code_name(result->code), deliveries[result->delivery],
                result->text);
    }
    return reply_word(cx, out);
}

/* The same for a failure at the call. */
static int said_at_call(shoal_cx *cx, int64_t code)
{
    const char *text = shoal_last_error(shoal_cx_node(cx));
    char *out = malloc(strlen(text) + 64);
    sprintf(out, "%s not_sent %s", shoal_code_name((int)code), text);
    return reply_word(cx, out);
}

static int ask_and_say(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value)
{
    int64_t call = shoal_cx_ask(cx, pid, name, value, 5000, then_said, NULL);
    return call < 0 ? said_at_call(cx, call) : 0;
}

/* relay: {to, value}; what the actor `to` sees of the value. */
static int echo_relay(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    char *word = notation_of(node, shoal_field(value, "value"));
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    notation_put(&p, node, word);
    free(word);
    int code = ask_and_say(cx, shoal_field_ref(node, value, "to", (shoal_pid){0}), "seen",
                           shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

/* make: the value of a word, as a reply. */
static int echo_make(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_bytes text;
    shoal_pack p;
    (void)state;
    if (shoal_as_text(value, &text) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    char *word = strndup(text.data, text.len);
    shoal_pack_init(&p, NULL, 0);
    notation_put(&p, shoal_cx_node(cx), word);
    free(word);
    int code = shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

/* ------------------------------------------------------------------ send */

/* The index-th of a list of texts. To be freed. */
static char *text_at(shoal_bytes value, size_t index)
{
    shoal_bytes text = {"", 0};
    shoal_as_text(shoal_item(value, index), &text);
    return strndup(text.data, text.len);
}

static shoal_pid ref_at(shoal_cx *cx, shoal_bytes value, size_t index)
{
    shoal_pid pid = {0};
    char *text = text_at(value, index);
    shoal_pid_parse(shoal_cx_node(cx), text, &pid);
    free(text);
    return pid;
}

/* ask: [ref, handler, word]; how asking that ended. */
static int send_ask(shoal_cx *cx, void *state, shoal_bytes value)
{
    char *name = text_at(value, 1), *word = text_at(value, 2);
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    notation_put(&p, shoal_cx_node(cx), word);
    int code = ask_and_say(cx, ref_at(cx, value, 0), name, shoal_packed(&p));
    shoal_pack_free(&p);
    free(name);
    free(word);
    return code;
}

/* relay: [ref of the relay, ref of the receiver, word]. */
static int send_relay(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    char *word = text_at(value, 2);
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_map(&p, 2);
    shoal_put_key(&p, "to");
    shoal_put_ref(&p, node, ref_at(cx, value, 1));
    shoal_put_key(&p, "value");
    notation_put(&p, node, word);
    int code = ask_and_say(cx, ref_at(cx, value, 0), "relay", shoal_packed(&p));
    shoal_pack_free(&p);
    free(word);
    return code;
}

static int then_returned(shoal_cx *cx, void *ud, const shoal_result *result)
{
    shoal_pid pid;
    if (result->code == 0 &&
        shoal_as_ref(shoal_cx_node(cx), shoal_item(result->value, 0), &pid) == 0) {
        return ask_and_say(cx, pid, "poke", shoal_nil());
    }
    return then_said(cx, ud, result);
}

/* poke: [ref, ref of another]; sends the other's ref there and back, and pokes what came back. */
static int send_poke(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_list(&p, 1);
    shoal_put_ref(&p, shoal_cx_node(cx), ref_at(cx, value, 1));
    int64_t call =
        shoal_cx_ask(cx, ref_at(cx, value, 0), "echo", shoal_packed(&p), 5000, then_returned, NULL);
    shoal_pack_free(&p);
    return call < 0 ? said_at_call(cx, call) : 0;
}

/* Ready MessagePack that must not pass; "" for what is made below. */
static const struct {
    const char *name, *bytes;
    size_t len;
} bad_values[] = {
    {"utf8", "\x81\xa5items\x93\x01\x02\xa1\xff", 11},
    {"cut", "\x92\x01", 2},
    {"two", "\x01\x02", 2},
    {"key", "\x81\xcb\x3f\xf8\0\0\0\0\0\0\x01", 11},
    {"never_used", "\xc1", 1},
};

static shoal_bytes bad_value(shoal_pack *p, const char *name)
{
    for (size_t i = 0; i < sizeof bad_values / sizeof *bad_values; i++) {
        if (strcmp(name, bad_values[i].name) == 0) {
            return (shoal_bytes){bad_values[i].bytes, bad_values[i].len};
        }
    }
    if (strcmp(name, "deep") == 0) {
        for (int i = 0; i < 33; i++) {
            shoal_put_list(p, 1);
        }
        shoal_put_nil(p);
    } else if (strcmp(name, "big") == 0) {
        char *text = calloc(1, BIG_BYTES);
        shoal_put_bytes(p, text, BIG_BYTES);
        free(text);
    }
    return shoal_packed(p);
}

/* bad: [ref, name of what cannot be sent]; a tell must fail at the call, then an ask. */
static int send_bad(shoal_cx *cx, void *state, shoal_bytes value)
{
    char *name = text_at(value, 1);
    shoal_pid pid = ref_at(cx, value, 0);
    shoal_pack p;
    (void)state;
    shoal_pack_init(&p, NULL, 0);
    shoal_bytes bad = bad_value(&p, name);
    int code = shoal_pack_error(&p);
    if (code == 0) {
        code = shoal_cx_tell(cx, pid, "seen", bad);
        code =
            code == 0 ? shoal_reply_text(cx, "the tell passed") : ask_and_say(cx, pid, "seen", bad);
    } else {
        code = said_at_call(cx, code);
    }
    shoal_pack_free(&p);
    free(name);
    return code;
}

/* put: text that is not UTF-8 must fail where it is written. */
static int send_put(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_pack p;
    (void)state, (void)value;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_text(&p, "\xff", 1);
    int code = shoal_pack_error(&p);
    shoal_pack_free(&p);
    return shoal_reply_text(cx, shoal_code_name(code));
}

static const shoal_handler echo_handlers[] = {{"echo", echo_echo},
                                              {"seen", echo_seen},
                                              {"poke", echo_poke},
                                              {"relay", echo_relay},
                                              {"make", echo_make}};
static const shoal_handler send_handlers[] = {{"ask", send_ask},
                                              {"relay", send_relay},
                                              {"poke", send_poke},
                                              {"bad", send_bad},
                                              {"put", send_put}};
static const shoal_actor_type echo_type = {.struct_size = sizeof echo_type,
                                           .id = "values.echo",
                                           .handlers = echo_handlers,
                                           .handler_count =
                                               sizeof echo_handlers / sizeof *echo_handlers};
static const shoal_actor_type send_type = {.struct_size = sizeof send_type,
                                           .id = "values.send",
                                           .handlers = send_handlers,
                                           .handler_count =
                                               sizeof send_handlers / sizeof *send_handlers};

/* ------------------------------------------------------------------ the program */

static int serve(shoal_node *node, const char *name, const char *hub)
{
    const shoal_actor_type *types[] = {&send_type, &echo_type};
    shoal_result *done = NULL;
    int64_t code = shoal_dial(node, hub, shoal_keep, &done);
    for (int i = 0; i <= 2 && code >= 0; i++) {
        char full[64];
        shoal_pid pid;
        code = shoal_wait(node, &done);
        shoal_result_free(done);
        done = NULL;
        if (code >= 0 && i < 2 && (code = shoal_spawn(node, types[i], NULL, &pid)) == 0) {
            snprintf(full, sizeof full, "%s.%s", name, i ? "echo" : "send");
            code = shoal_register(node, pid, full, shoal_keep, &done);
        }
    }
    if (code >= 0) {
        printf("ready\n");
        fflush(stdout);
    }
    return code < 0 ? -1 : 0;
}

struct call {
    shoal_node *node;
    char id[16];
};

static void on_end(void *ud, const shoal_result *result)
{
    struct call *call = ud;
    shoal_bytes text = {result->text, strlen(result->text)};
    char ref[200];
    if (result->code == 0 && shoal_kind(result->value) == SHOAL_KIND_TEXT) {
        shoal_as_text(result->value, &text);
    } else if (result->code == 0 && shoal_pid_text(call->node, result->pid, ref, sizeof ref) > 0) {
        text = (shoal_bytes){ref, strlen(ref)};
    }
    printf("%s %s %.*s\n", call->id, shoal_code_name(result->code), (int)text.len,
           (const char *)text.data);
    fflush(stdout);
    free(call);
}

static void obey(shoal_node *node, char **word)
{
    int n = 0;
    while (n < LINES_WORDS && word[n][0]) {
        n++;
    }
    struct call *call = calloc(1, sizeof *call);
    call->node = node;
    snprintf(call->id, sizeof call->id, "%s", word[0]);
    if (n == 3 && strcmp(word[1], "lookup") == 0) {
        shoal_lookup(node, word[2], 5000, on_end, call);
        return;
    }
    shoal_pid pid;
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_list(&p, (uint32_t)(n - 4));
    for (int i = 4; i < n; i++) {
        shoal_put_text(&p, word[i], strlen(word[i]));
    }
    if (n < 5 || shoal_pid_parse(node, word[2], &pid) < 0 ||
        shoal_ask(node, pid, word[3], shoal_packed(&p), 10000, on_end, call) < 0) {
        printf("%s usage %s\n", call->id, shoal_last_error(node));
        fflush(stdout);
        free(call);
    }
    shoal_pack_free(&p);
}

/* False at the end of input. */
static int input_turn(shoal_node *node)
{
    static struct lines in;
    return lines_read(&in, obey, node);
}

int main(int argc, char **argv)
{
    char address[512];
    struct host_options o;
    shoal_node *node;
    host_options(&o, 0, NULL);
    if (shoal_node_new(&o.cfg, &node) < 0 || shoal_address(node, 0, address, sizeof address) < 0 ||
        (argc > 2 && serve(node, argv[1], argv[2]) < 0)) {
        fprintf(stderr, "values_host: %s\n", shoal_last_error(NULL));
        return 1;
    }
    if (argc <= 2) {
        printf("%s\n", address);
        fflush(stdout);
    }
    while (!host_sleep(node, -1) || input_turn(node)) {
        shoal_poll(node, 0, 0);
    }
    shoal_node_free(node);
    return 0;
}
