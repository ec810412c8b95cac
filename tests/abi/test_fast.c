/* tests/abi/test_fast.c - the short way of tells and asks within one executor does what the long way does: names that
 * change in place, many handlers, two types with the same names, limits, order, and every refusal. */
#include "world.h"

enum { MANY = 300, LOG = 4096 };
static char seen[LOG]; /* what was handled: "name:value " each */
static shoal_pid target;

static void note(shoal_cx *cx, char mark, shoal_bytes value)
{
    size_t n = strlen(seen);
    int64_t number = -1;
    shoal_as_i64(value, &number);
    snprintf(seen + n, sizeof seen - n, "%c%s:%lld ", mark, shoal_cx_name(cx), (long long)number);
}

#define HANDLER(mark)                                                                              \
    static int on_##mark(shoal_cx *cx, void *state, shoal_bytes value)                             \
    {                                                                                              \
        (void)state;                                                                               \
        note(cx, #mark[0], value);                                                                 \
        return 0;                                                                                  \
    }
HANDLER(a)
HANDLER(b)
HANDLER(z)

static int on_any(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    (void)state;
    assert_string_equal(name, shoal_cx_name(cx));
    note(cx, '?', value);
    return 0;
}

static const shoal_handler first_handlers[] = {{"one", on_a}, {"two", on_b}};
static const shoal_actor_type first_type = {.struct_size = sizeof first_type,
                                            .id = "test.first",
                                            .handlers = first_handlers,
                                            .handler_count = 2,
                                            .on_message = on_any};
static const shoal_handler second_handlers[] = {{"two", on_a}, {"three", on_b}, {"one", on_z}};
static const shoal_actor_type second_type = {.struct_size = sizeof second_type,
                                             .id = "test.second",
                                             .handlers = second_handlers,
                                             .handler_count = 3};

/* --- the actor that sends --- */

struct sending {
    const char *name;
    const unsigned char *value;
    size_t len;
    int code; /* expected */
};
static const struct sending *list;
static size_t list_count;

static int on_send(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    for (size_t i = 0; i < list_count; i++) {
        int code =
            shoal_cx_tell(cx, target, list[i].name, (shoal_bytes){list[i].value, list[i].len});
        if (code != list[i].code) {
            fprintf(stderr, "tell %zu (%s): %s\n", i, list[i].name ? list[i].name : "NULL",
                    shoal_code_name(code));
        }
        assert_int_equal(code, list[i].code);
    }
    return 0;
}

static const shoal_handler sender_handlers[] = {{"send", on_send}};
static const shoal_actor_type sender_type = {.struct_size = sizeof sender_type,
                                             .id = "test.sender",
                                             .handlers = sender_handlers,
                                             .handler_count = 1};

struct fixture {
    shoal_node *node;
    shoal_pid sender;
};

static shoal_pid spawn(shoal_node *node, const shoal_actor_type *type)
{
    shoal_pid pid;
    assert_int_equal(shoal_spawn(node, type, NULL, &pid), 0);
    return pid;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->node = node_make(0, false);
    f->sender = spawn(f->node, &sender_type);
    seen[0] = 0;
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

static void settle(shoal_node *node)
{
    while (shoal_poll(node, 0, 0) > 0) {
    }
}

static void send_list(struct fixture *f, const struct sending *what, size_t n)
{
    list = what;
    list_count = n;
    assert_int_equal(shoal_tell(f->node, f->sender, "send", shoal_nil()), 0);
    settle(f->node);
}

static void expect(const char *text)
{
    assert_string_equal(seen, text);
    seen[0] = 0;
}

static const unsigned char v1[] = {1}, v300[] = {0xcd, 0x01, 0x2c},
                           big[] = {0xcf, 0, 0, 0, 1, 0, 0, 0, 0};
static const unsigned char in_list[] = {0x91, 1}, cut[] = {0xcd, 1}, two[] = {1, 2}, bad[] = {0xc1};

static void test_names_and_order(void **state)
{
    struct fixture *f = *state;
    const struct sending sends[] = {
        {"one", v1, 1, 0},    {"two", v300, 3, 0},
        {"other", big, 9, 0}, {"one", in_list, 2, 0}, /* the long way: not plain */
        {"two", NULL, 0, 0},  {"one", v1, 1, 0},
    };
    target = spawn(f->node, &first_type);
    send_list(f, sends, 6);
    expect("aone:1 btwo:300 ?other:4294967296 aone:-1 btwo:-1 aone:1 ");
    target = spawn(f->node, &second_type); /* the same names, other places */
    send_list(f, sends, 2);
    expect("zone:1 atwo:300 ");
    target = spawn(f->node, &first_type);
    send_list(f, sends, 2);
    expect("aone:1 btwo:300 ");
}

static void test_names_that_change_in_place(void **state)
{
    struct fixture *f = *state;
    char *name = malloc(4), *short_name = malloc(2);
    const struct sending fine = {name, v1, 1, 0}, wrong = {name, v1, 1, SHOAL_E_BAD_VALUE};
    target = spawn(f->node, &first_type);
    memcpy(name, "one", 4);
    send_list(f, &fine, 1);
    memcpy(name, "two", 4);
    send_list(f, &fine, 1);
    memcpy(name, "on", 3); /* a shorter one that begins like the first */
    send_list(f, &fine, 1);
    memcpy(name, "one", 4);
    send_list(f, &fine, 1);
    expect("aone:1 btwo:1 ?on:1 aone:1 ");
    memcpy(name, "\xff\xfe", 3);
    send_list(f, &wrong, 1);
    name[0] = 0;
    send_list(f, &wrong, 1);
    memcpy(name, "two", 4);
    send_list(f, &fine, 1);
    expect("btwo:1 ");
    memcpy(short_name, "x", 2); /* whatever lies behind it is not read: for the sanitizers */
    send_list(f, &(struct sending){short_name, v1, 1, 0}, 1);
    short_name[0] = 0;
    send_list(f, &(struct sending){short_name, v1, 1, SHOAL_E_BAD_VALUE}, 1);
    free(name);
    free(short_name);
}

static void test_lengths(void **state)
{
    struct fixture *f = *state;
    static char name[300];
    target = spawn(f->node, &first_type);
    for (size_t n = 1; n <= 256; n++) {
        memset(name, 'n', n);
        name[n] = 0;
        for (int again = 0; again < 2; again++) {
            send_list(f, &(struct sending){name, big, 9, n > 255 ? SHOAL_E_BAD_VALUE : 0}, 1);
            char text[400];
            snprintf(text, sizeof text, "?%s:4294967296 ", name);
            expect(n > 255 ? "" : text);
        }
    }
}

static void test_many_handlers(void **state)
{
    struct fixture *f = *state;
    static char names[MANY][8];
    static shoal_handler handlers[MANY];
    static shoal_actor_type type;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "h%d", i);
        handlers[i] = (shoal_handler){names[i], i % 3 == 0 ? on_a : i % 3 == 1 ? on_b : on_z};
    }
    type = (shoal_actor_type){
        .struct_size = sizeof type, .id = "test.many", .handlers = handlers, .handler_count = MANY};
    target = spawn(f->node, &type);
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < MANY; i++) {
            char text[32];
            snprintf(text, sizeof text, "%ch%d:1 ", "abz"[i % 3], i);
            send_list(f, &(struct sending){names[i], v1, 1, 0}, 1);
            expect(text);
        }
    }
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    static shoal_actor_type narrow;
    narrow = first_type;
    narrow.mailbox = 3;
    target = spawn(f->node, &narrow);
    const struct sending full[] = {{"one", v1, 1, 0},
                                   {"one", v1, 1, 0},
                                   {"one", v1, 1, 0},
                                   {"one", v1, 1, SHOAL_E_MAILBOX_FULL},
                                   {"", v1, 1, SHOAL_E_BAD_VALUE},
                                   {NULL, v1, 1, SHOAL_E_BAD_VALUE},
                                   {"one", bad, 1, SHOAL_E_BAD_VALUE},
                                   {"one", cut, 2, SHOAL_E_BAD_VALUE},
                                   {"one", two, 2, SHOAL_E_BAD_VALUE},
                                   {"one", NULL, 1, SHOAL_E_BAD_VALUE}};
    send_list(f, full, 10);
    expect("aone:1 aone:1 aone:1 ");
    shoal_stop(f->node, target, NULL, NULL);
    send_list(f, &(struct sending){"one", v1, 1, SHOAL_E_NOT_RUNNING}, 1);
    target = (shoal_pid){0};
    send_list(f, &(struct sending){"one", v1, 1, SHOAL_E_NOT_RUNNING}, 1);
    target = spawn(f->node, &second_type);
    target.check ^= 1; /* of another life of the node */
    send_list(f, &(struct sending){"one", v1, 1, SHOAL_E_NOT_RUNNING}, 1);
    target.check ^= 1;
    send_list(f, &(struct sending){"nosuch", v1, 1, 0}, 1); /* an event, as ever */
    expect("");
}

/* --- asks --- */

static int64_t got;
static int ends, last_code, last_delivery;
static int64_t call_open;

static int then_note(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)cx;
    assert_ptr_equal(ud, &got);
    ends++;
    last_code = result->code;
    last_delivery = result->delivery;
    got = result->code == 0 && shoal_as_i64(result->value, &got) == 0 ? got : -1;
    return 0;
}

static int on_ask(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    int64_t call = shoal_cx_ask(cx, target, "double", value, 1000, then_note, &got);
    call_open = call;
    last_code = call < 0 ? (int)call : 0;
    return 0;
}

static int on_double(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    int64_t n = 0;
    if (shoal_as_i64(value, &n) < 0) {
        return shoal_hold(cx) < 0 ? -1 : 0; /* never answers */
    }
    if (n == 7) { /* who asked gives up while this handler runs */
        assert_int_equal(shoal_cancel(shoal_cx_node(cx), call_open), 0);
    }
    assert_int_equal(shoal_reply_i64(cx, n * 2), 0);
    assert_int_equal(shoal_reply_i64(cx, 1), SHOAL_E_USAGE);
    return 0;
}

static const shoal_handler ask_handlers[] = {{"ask", on_ask}, {"double", on_double}};
static const shoal_actor_type ask_type = {.struct_size = sizeof ask_type,
                                          .id = "test.ask",
                                          .handlers = ask_handlers,
                                          .handler_count = 2,
                                          .mailbox = 2};

static void test_asks(void **state)
{
    struct fixture *f = *state;
    static const int64_t numbers[] = {0, 1, 100, 200, -1, -33, 40000, INT32_MAX, INT64_MAX / 4};
    shoal_pid asker = spawn(f->node, &ask_type);
    target = spawn(f->node, &ask_type);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        unsigned char room[16];
        shoal_pack p;
        shoal_pack_init(&p, room, sizeof room);
        shoal_put_i64(&p, numbers[i]);
        ends = 0;
        assert_int_equal(shoal_tell(f->node, asker, "ask", shoal_packed(&p)), 0);
        settle(f->node);
        assert_int_equal(ends, 1);
        assert_int_equal(last_code, 0);
        assert_true(got == numbers[i] * 2);
    }
    ends = 0; /* a tell right after an ask: its context is clean, a reply in it does nothing */
    send_list(f, &(struct sending){"double", v1, 1, 0}, 1);
    assert_int_equal(ends, 0);
    static const unsigned char seven[] = {7};
    assert_int_equal(shoal_tell(f->node, asker, "ask", (shoal_bytes){seven, 1}), 0);
    settle(f->node); /* cancelled in its first run: the answer goes nowhere */
    assert_int_equal(ends, 1);
    assert_int_equal(last_code, SHOAL_E_CANCELLED);
    assert_int_equal(last_delivery, SHOAL_UNKNOWN);
    shoal_pid away = target;
    target = asker; /* itself */
    assert_int_equal(shoal_tell(f->node, asker, "ask", shoal_nil()), 0);
    settle(f->node);
    assert_int_equal(last_code, SHOAL_E_USAGE);
    target = away; /* held open there; the asker is killed */
    ends = 0;
    assert_int_equal(shoal_tell(f->node, asker, "ask", shoal_nil()), 0);
    settle(f->node);
    assert_int_equal(ends, 0);
    assert_int_equal(shoal_kill(f->node, asker), 0);
    settle(f->node);
    assert_int_equal(ends, 1);
    assert_int_equal(last_code, SHOAL_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_and_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_change_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_handlers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
