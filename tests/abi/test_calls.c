/* tests/abi/test_calls.c - tell, ask, drain, ends, links and every error of one node, inline and threaded. */
#include "world.h"

static uint32_t threads; /* which kind of node: set by main for each round */

struct fixture {
    shoal_node *node;
    shoal_pid pid;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->node = node_make(threads, false);
    f->pid = spawn_counter(f->node);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    shoal_node_free(f->node);
    free(f);
    return 0;
}

static shoal_result *ask(struct fixture *f, shoal_pid pid, const char *name, shoal_bytes value,
                         uint32_t ms)
{
    shoal_result *r = NULL;
    int64_t call = shoal_ask(f->node, pid, name, value, ms, shoal_keep, &r);
    assert_true(call > 0);
    wait_two(f->node, NULL, &r, 8);
    return r;
}

static void test_ask_tell_drain(void **state)
{
    struct fixture *f = *state;
    shoal_result *r = NULL;
    int64_t n = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(shoal_tell(f->node, f->pid, "inc", shoal_nil()), 0);
    }
    assert_true(shoal_drain(f->node, f->pid, 0, shoal_keep, &r) > 0);
    assert_int_equal(wait_two(f->node, NULL, &r, 5), 0);
    shoal_result_free(r);
    r = ask(f, f->pid, "inc", shoal_nil(), 0);
    assert_int_equal(r->code, 0);
    assert_int_equal(shoal_as_i64(r->value, &n), 0);
    assert_int_equal(n, 101);
    shoal_result_free(r);
}

static void expect(shoal_result *r, int code, int delivery, const char *text)
{
    if (r->code != code) {
        fprintf(stderr, "expected %s, got %s: %s\n", shoal_code_name(code),
                shoal_code_name(r->code), r->text);
    }
    assert_int_equal(r->code, code);
    assert_int_equal(r->delivery, delivery);
    if (text) {
        assert_non_null(strstr(r->text, text));
    }
    assert_true(code == 0 || strlen(r->text) > 0);
    shoal_result_free(r);
}

static void test_ask_errors(void **state)
{
    struct fixture *f = *state;
    shoal_result *r = ask(f, f->pid, "fail", shoal_nil(), 0);
    assert_string_equal(r->type, "TestError");
    expect(r, SHOAL_E_HANDLER, SHOAL_HANDLED, "it broke");
    expect(ask(f, f->pid, "nosuch", shoal_nil(), 0), SHOAL_E_NO_HANDLER, SHOAL_NOT_SENT, NULL);
    expect(ask(f, f->pid, "unfit", shoal_nil(), 0), SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT, "integer");
    double begun = now_s();
    expect(ask(f, f->pid, "never", shoal_nil(), 200), SHOAL_E_TIMEOUT, SHOAL_UNKNOWN, NULL);
    assert_true(now_s() - begun < 0.45);
    expect(ask(f, f->pid, "inc", shoal_nil(), 0), 0, 0, NULL);
}

static void expect_at_call(struct fixture *f, int64_t result, int code, const char *text)
{
    if (result != code || !strstr(shoal_last_error(f->node), text)) {
        fprintf(stderr, "expected %s and \"%s\", got %lld: %s\n", shoal_code_name(code), text,
                (long long)result, shoal_last_error(f->node));
    }
    assert_true(result == code);
    assert_non_null(strstr(shoal_last_error(f->node), text));
}

static void test_errors_at_the_call(void **state)
{
    struct fixture *f = *state;
    static const unsigned char two[] = {1, 2}, cut[] = {0x92, 1};
    static char name[300];
    memset(name, 'n', sizeof name - 1);
    expect_at_call(f, shoal_tell(f->node, f->pid, "", shoal_nil()), SHOAL_E_BAD_VALUE,
                   "message name is empty");
    expect_at_call(f, shoal_tell(f->node, f->pid, name, shoal_nil()), SHOAL_E_BAD_VALUE,
                   "longer than 255");
    expect_at_call(f, shoal_tell(f->node, f->pid, "a\xff", shoal_nil()), SHOAL_E_BAD_VALUE,
                   "UTF-8");
    expect_at_call(f, shoal_tell(f->node, f->pid, "a", (shoal_bytes){two, 2}), SHOAL_E_BAD_VALUE,
                   "byte 1");
    expect_at_call(f, shoal_tell(f->node, f->pid, "a", (shoal_bytes){cut, 2}), SHOAL_E_BAD_VALUE,
                   "MessagePack");
    expect_at_call(f, shoal_tell(f->node, (shoal_pid){0}, "a", shoal_nil()), SHOAL_E_NOT_RUNNING,
                   "nobody");
    expect_at_call(f, shoal_listen(f->node, "127.0.0.1:80"), SHOAL_E_BAD_ADDRESS,
                   "/ip4/127.0.0.1/tcp/0");
    expect_at_call(f, shoal_listen(f->node, "/ip4/127.0.0.1/udp/0/quic-v1"), SHOAL_E_UNSUPPORTED,
                   "quic");
    expect_at_call(f, shoal_dial(f->node, "nonsense", NULL, NULL), SHOAL_E_BAD_ADDRESS, "nonsense");
    expect_at_call(f, shoal_info(f->node, "weather", NULL, NULL, NULL), SHOAL_E_BAD_VALUE,
                   "expected actors");
    expect_at_call(f, shoal_register(f->node, f->pid, "a:meta:b", NULL, NULL), SHOAL_E_BAD_VALUE,
                   ":meta:");
    expect_at_call(f, shoal_register(f->node, f->pid, "shoal.x", NULL, NULL), SHOAL_E_BAD_VALUE,
                   "kept for the library");
    expect_at_call(f, shoal_lookup(f->node, "shoal.x", 0, NULL, NULL), SHOAL_E_BAD_VALUE,
                   "kept for the library");
    expect_at_call(f, shoal_lookup_all(f->node, "a:meta:b", 0, 0, NULL, NULL), SHOAL_E_BAD_VALUE,
                   ":meta:");
    expect_at_call(f, shoal_unregister(f->node, f->pid, "not mine"), SHOAL_E_NOT_FOUND,
                   "does not hold");
    shoal_pid out;
    expect_at_call(f, shoal_pid_parse(f->node, "rubbish", &out), SHOAL_E_BAD_VALUE,
                   "<16 hex>@<peer id>");
    if (!threads) { /* with a thread of its own the loop may be busy: then nobody knows yet */
        assert_int_equal(shoal_cancel(f->node, 123456789), SHOAL_E_NOT_FOUND);
    }
    unsigned char *big = malloc((1u << 20) + 16);
    memset(big, 0xc0, (1u << 20) + 16);
    expect_at_call(f, shoal_tell(f->node, f->pid, "a", (shoal_bytes){big, (1u << 20) + 1}),
                   SHOAL_E_LIMIT, "max_message");
    free(big);
}

/* An actor that asks itself is told at once; what waits is not allowed inside a handler. */
static int on_ask_self(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_result *never = NULL;
    int64_t asked = shoal_cx_ask(cx, shoal_cx_self(cx), "x", shoal_nil(), 0, NULL, NULL);
    int waited = shoal_wait(shoal_cx_node(cx), &never),
        polled = shoal_poll(shoal_cx_node(cx), 0, 0);
    return shoal_reply_i64(cx, asked == SHOAL_E_USAGE && waited == SHOAL_E_USAGE &&
                                   polled == SHOAL_E_USAGE);
}

static const shoal_handler self_handlers[] = {{"self", on_ask_self}};
static const shoal_actor_type self_type = {.struct_size = sizeof self_type,
                                           .id = "test.self",
                                           .handlers = self_handlers,
                                           .handler_count = 1};

static void test_usage(void **state)
{
    struct fixture *f = *state;
    shoal_spawn_options on_host = {.struct_size = sizeof on_host, .flags = SHOAL_ON_HOST};
    shoal_pid pid;
    int64_t all = 0;
    assert_int_equal(shoal_spawn(f->node, &self_type, &on_host, &pid), 0);
    shoal_result *r = ask(f, pid, "self", shoal_nil(), 0);
    assert_int_equal(r->code, 0);
    assert_int_equal(shoal_as_i64(r->value, &all), 0);
    assert_int_equal(all, 1);
    shoal_result_free(r);
}

static void test_deep_values(void **state)
{
    struct fixture *f = *state;
    unsigned char deep[34];
    memset(deep, 0x91, sizeof deep);
    deep[32] = 1;
    assert_int_equal(shoal_tell(f->node, f->pid, "echo", (shoal_bytes){deep, 33}), 0);
    deep[32] = 0x91;
    deep[33] = 1;
    expect_at_call(f, shoal_tell(f->node, f->pid, "echo", (shoal_bytes){deep, 34}),
                   SHOAL_E_BAD_VALUE, "32 deep");
}

static void test_full_mailbox(void **state)
{
    struct fixture *f = *state;
    if (threads) {
        return; /* its loop drains while we fill */
    }
    int sent = 0, code = 0;
    while (sent < 5000 && (code = shoal_tell(f->node, f->pid, "inc", shoal_nil())) == 0) {
        sent++;
    }
    assert_int_equal(code, SHOAL_E_MAILBOX_FULL);
    assert_in_range(sent, 1024, 1025);
    shoal_result *r = ask(f, f->pid, "inc", shoal_nil(), 0); /* an ask waits for room */
    int64_t n = 0;
    shoal_as_i64(r->value, &n);
    assert_int_equal(n, sent + 1);
    shoal_result_free(r);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    shoal_result *r = NULL;
    int64_t call = shoal_ask(f->node, f->pid, "never", shoal_nil(), 5000, shoal_keep, &r);
    shoal_result *echoed = ask(f, f->pid, "echo", shoal_nil(), 0); /* never has begun by now */
    shoal_result_free(echoed);
    assert_int_equal(shoal_cancel(f->node, call), 0);
    wait_two(f->node, NULL, &r, 2);
    expect(r, SHOAL_E_CANCELLED, SHOAL_UNKNOWN, NULL);
}

static void test_ends(void **state)
{
    struct fixture *f = *state;
    shoal_result *done = NULL, *stopped = NULL;
    assert_true(shoal_done(f->node, f->pid, shoal_keep, &done) > 0);
    shoal_result *r = ask(f, f->pid, "stopme", shoal_nil(), 0);
    shoal_result_free(r);
    assert_int_equal(wait_two(f->node, NULL, &done, 3), 0);
    assert_int_equal(done->reason.kind, SHOAL_NORMAL);
    assert_string_equal(done->reason.text, "asked to");
    shoal_result_free(done);
    assert_int_equal(shoal_tell(f->node, f->pid, "inc", shoal_nil()), SHOAL_E_NOT_RUNNING);
    done = NULL;
    assert_true(shoal_done(f->node, f->pid, shoal_keep, &done) > 0);
    assert_int_equal(wait_two(f->node, NULL, &done, 3), 0);
    assert_int_equal(done->reason.kind, SHOAL_GONE);
    shoal_result_free(done);

    shoal_pid other = spawn_counter(f->node);
    assert_true(shoal_stop(f->node, other, shoal_keep, &stopped) > 0);
    assert_int_equal(wait_two(f->node, NULL, &stopped, 3), 0);
    assert_int_equal(stopped->reason.kind, SHOAL_NORMAL);
    shoal_result_free(stopped);
}

static void test_monitor_and_kill(void **state)
{
    struct fixture *f = *state;
    shoal_pid other = spawn_counter(f->node);
    assert_int_equal(shoal_monitor(f->node, f->pid, other), 0);
    assert_int_equal(shoal_kill(f->node, other), 0);
    int64_t n = 0;
    double end = now_s() + 3;
    while (n != 101 && now_s() < end) { /* told once, kind killed */
        shoal_result *r = ask(f, f->pid, "downs", shoal_nil(), 0);
        shoal_as_i64(r->value, &n);
        shoal_result_free(r);
    }
    assert_int_equal(n, 101);
}

static void test_local_names(void **state)
{
    struct fixture *f = *state;
    shoal_result *r = NULL;
    shoal_pid other = spawn_counter(f->node);
    assert_true(shoal_register(f->node, f->pid, "counter", shoal_keep, &r) > 0);
    assert_int_equal(wait_two(f->node, NULL, &r, 3), 0);
    shoal_result_free(r);
    r = NULL;
    assert_true(shoal_register(f->node, other, "counter", shoal_keep, &r) > 0);
    wait_two(f->node, NULL, &r, 3);
    expect(r, SHOAL_E_NAME_TAKEN, SHOAL_NOT_SENT, NULL);
    r = NULL;
    assert_true(shoal_lookup(f->node, "counter", 0, shoal_keep, &r) > 0);
    assert_int_equal(wait_two(f->node, NULL, &r, 3), 0);
    assert_true(shoal_pid_equal(r->pid, f->pid));
    shoal_result_free(r);
    assert_int_equal(shoal_unregister(f->node, f->pid, "counter"), 0);
    r = NULL;
    assert_true(shoal_lookup(f->node, "counter", 0, shoal_keep, &r) > 0);
    wait_two(f->node, NULL, &r, 3);
    expect(r, SHOAL_E_NOT_FOUND, SHOAL_NOT_SENT, NULL);
}

static void test_refs_and_text(void **state)
{
    struct fixture *f = *state;
    char text[160];
    shoal_pid back;
    assert_true(shoal_pid_text(f->node, f->pid, text, sizeof text) > 60);
    assert_int_equal(shoal_pid_text(f->node, f->pid, text, 10), SHOAL_E_LIMIT);
    assert_true(shoal_pid_text(f->node, f->pid, text, sizeof text) > 60);
    assert_int_equal(shoal_pid_parse(f->node, text, &back), 0);
    assert_true(shoal_pid_equal(back, f->pid));
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_ref(&p, f->node, f->pid);
    assert_int_equal(shoal_kind(shoal_packed(&p)), SHOAL_KIND_REF);
    assert_int_equal(shoal_as_ref(f->node, shoal_packed(&p), &back), 0);
    assert_true(shoal_pid_equal(back, f->pid));
    shoal_pack_free(&p);
}

static void test_info(void **state)
{
    struct fixture *f = *state;
    static const char *const whats[] = {"actors", "peers", "names", "routing"};
    for (size_t i = 0; i < 4; i++) {
        shoal_result *r = NULL;
        assert_true(shoal_info(f->node, whats[i], NULL, shoal_keep, &r) > 0);
        assert_int_equal(wait_two(f->node, NULL, &r, 3), 0);
        assert_int_equal(shoal_kind(r->value), SHOAL_KIND_LIST);
        if (i == 0) {
            shoal_bytes id = shoal_field_text(shoal_item(r->value, 0), "id", "");
            assert_int_equal(id.len, strlen("test.counter"));
        }
        shoal_result_free(r);
    }
}

static void test_stop_answers_and_closes(void **state)
{
    struct fixture *f = *state;
    shoal_result *asked = NULL, *stopped = NULL;
    shoal_ask(f->node, f->pid, "inc", shoal_nil(), 0, shoal_keep, &asked);
    assert_true(shoal_node_stop(f->node, 2000, shoal_keep, &stopped) > 0);
    wait_two(f->node, NULL, &stopped, 4);
    assert_int_equal(stopped->code, 0);
    wait_two(f->node, NULL, &asked, 1);
    assert_int_equal(asked->code, 0);
    shoal_result_free(asked);
    shoal_result_free(stopped);
    shoal_pid pid;
    assert_int_equal(shoal_spawn(f->node, &counter_type, NULL, &pid), SHOAL_E_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ask_tell_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_at_the_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_mailbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_monitor_and_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_local_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refs_and_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_info, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_answers_and_closes, setup, teardown),
    };
    int failed = cmocka_run_group_tests_name("inline", tests, NULL, NULL);
    threads = 1;
    return failed + cmocka_run_group_tests_name("threaded", tests, NULL, NULL);
}
