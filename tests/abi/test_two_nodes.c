/* tests/abi/test_two_nodes.c - two nodes of one process over loopback: names, refs, deaths, loss, order. */
#include "world.h"

static shoal_result *ask2(shoal_node *a, shoal_node *b, shoal_pid pid, const char *name,
                          shoal_bytes value)
{
    shoal_result *r = NULL;
    assert_true(shoal_ask(a, pid, name, value, 3000, shoal_keep, &r) > 0);
    wait_two(a, b, &r, 6);
    return r;
}

struct pair {
    shoal_node *a, *b; /* b listens, a dials */
    shoal_pid on_b;    /* "counter" on b */
    shoal_pid seen;    /* the same, as a found it */
};

static uint32_t threads_a, threads_b;

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    char address[256];
    shoal_result *r = NULL;
    p->b = node_make(threads_b, true);
    p->a = node_make(threads_a, false);
    p->on_b = spawn_counter(p->b);
    assert_true(shoal_address(p->b, 0, address, sizeof address) > 0);
    shoal_register(p->b, p->on_b, "counter", shoal_keep, &r);
    assert_int_equal(wait_two(p->b, p->a, &r, 3), 0);
    shoal_result_free(r);
    r = NULL;
    assert_true(shoal_dial(p->a, address, shoal_keep, &r) > 0);
    assert_int_equal(wait_two(p->a, p->b, &r, 5), 0);
    shoal_result_free(r);
    r = NULL;
    assert_true(shoal_lookup(p->a, "counter", 5000, shoal_keep, &r) > 0);
    assert_int_equal(wait_two(p->a, p->b, &r, 6), 0);
    p->seen = r->pid;
    shoal_result_free(r);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    shoal_node_free(p->a);
    shoal_node_free(p->b);
    free(p);
    return 0;
}

static void test_ask_and_order(void **state)
{
    struct pair *p = *state;
    int64_t n = 0;
    int sent = 0;
    double end = now_s() + 10;
    while (sent < 5000 && now_s() < end) { /* far over every window */
        int code = shoal_tell(p->a, p->seen, "inc", shoal_nil());
        if (code == 0) {
            sent++;
        } else {
            assert_int_equal(code, SHOAL_E_MAILBOX_FULL);
            shoal_poll(p->a, 1000, 0);
            shoal_poll(p->b, 1000, 1);
        }
    }
    assert_int_equal(sent, 5000);
    shoal_result *r = ask2(p->a, p->b, p->seen, "inc", shoal_nil());
    assert_int_equal(r->code, 0);
    assert_int_equal(shoal_as_i64(r->value, &n), 0);
    assert_int_equal(n, 5001);
    shoal_result_free(r);
}

/* Who tells much and polls seldom is heard all the same: what has gathered is written by the way. */
static void test_told_without_a_poll(void **state)
{
    struct pair *p = *state;
    unsigned char pad[100] = {0};
    shoal_pack pack;
    int64_t n = 0;
    shoal_pack_init(&pack, NULL, 0);
    shoal_put_bytes(&pack, pad, sizeof pad);
    for (int i = 0; i < 200; i++) { /* the window becomes wide */
        assert_int_equal(shoal_tell(p->a, p->seen, "inc", shoal_packed(&pack)), 0);
    }
    shoal_result_free(ask2(p->a, p->b, p->seen, "inc", shoal_nil()));
    int told = 201;
    while (told < 2000 && shoal_tell(p->a, p->seen, "inc", shoal_packed(&pack)) == 0) {
        told++;
    }
    assert_true(told > 1000);
    double end = now_s() + 10;
    while (n < told / 2 && now_s() < end) { /* only b is polled */
        shoal_result *r = NULL;
        assert_true(shoal_ask(p->b, p->on_b, "inc", shoal_nil(), 3000, shoal_keep, &r) > 0);
        assert_int_equal(wait_two(p->b, NULL, &r, 3), 0);
        assert_int_equal(shoal_as_i64(r->value, &n), 0);
        shoal_result_free(r);
    }
    assert_true(n >= told / 2);
    shoal_pack_free(&pack);
}

static void test_errors_across(void **state)
{
    struct pair *p = *state;
    shoal_result *r = ask2(p->a, p->b, p->seen, "fail", shoal_nil());
    assert_int_equal(r->code, SHOAL_E_HANDLER);
    assert_int_equal(r->delivery, SHOAL_HANDLED);
    assert_string_equal(r->text, "it broke");
    assert_string_equal(r->type, "TestError");
    shoal_result_free(r);
    r = ask2(p->a, p->b, p->seen, "nosuch", shoal_nil());
    assert_int_equal(r->code, SHOAL_E_NO_HANDLER);
    shoal_result_free(r);
}

/* A ref sent in a value works where it arrives; an actor that was not exported is refused. */
static void test_refs_and_export(void **state)
{
    struct pair *p = *state;
    shoal_pid on_a = spawn_counter(p->a), back, secret;
    shoal_pack pack;
    char text[160], forged[160];
    shoal_pack_init(&pack, NULL, 0);
    shoal_put_ref(&pack, p->a, on_a);
    shoal_result *r = ask2(p->a, p->b, p->seen, "echo", shoal_packed(&pack));
    assert_int_equal(r->code, 0);
    assert_int_equal(shoal_as_ref(p->a, r->value, &back), 0);
    assert_true(shoal_pid_equal(back, on_a));
    assert_int_equal(shoal_as_ref(p->b, r->value, &back), 0); /* as b names it */
    shoal_result_free(r);
    r = ask2(p->b, p->a, back, "inc", shoal_nil());
    assert_int_equal(r->code, 0);
    shoal_result_free(r);
    shoal_pack_free(&pack);

    secret = spawn_counter(p->b);
    assert_true(shoal_pid_text(p->b, p->on_b, text, sizeof text) > 0);
    snprintf(forged, sizeof forged, "%016llx%s", (unsigned long long)secret.actor, text + 16);
    assert_int_equal(shoal_pid_parse(p->a, forged, &back), 0);
    r = ask2(p->a, p->b, back, "inc", shoal_nil());
    assert_int_equal(r->code, SHOAL_E_REFUSED);
    shoal_result_free(r);
}

/* What was asked behind it is answered behind it: one stream, in order. */
static void watch_arrived(struct pair *p)
{
    shoal_result *r = ask2(p->a, p->b, p->seen, "inc", shoal_nil());
    assert_int_equal(r->code, 0);
    shoal_result_free(r);
}

static void test_death_of_an_actor(void **state)
{
    struct pair *p = *state;
    shoal_result *r = NULL;
    assert_true(shoal_done(p->a, p->seen, shoal_keep, &r) > 0);
    watch_arrived(p);
    shoal_kill(p->b, p->on_b);
    assert_int_equal(wait_two(p->a, p->b, &r, 3), 0);
    assert_int_equal(r->reason.kind, SHOAL_KILLED);
    shoal_result_free(r);
}

static void test_death_of_the_node(void **state)
{
    struct pair *p = *state;
    shoal_result *r = NULL;
    assert_true(shoal_done(p->a, p->seen, shoal_keep, &r) > 0);
    watch_arrived(p);
    shoal_node_free(p->b);
    p->b = NULL;
    double begun = now_s();
    assert_int_equal(wait_two(p->a, NULL, &r, 3), 0);
    assert_int_equal(r->reason.kind, SHOAL_PEER_LOST);
    assert_true(now_s() - begun < 0.5);
    shoal_result_free(r);
    r = NULL;
    assert_true(shoal_ask(p->a, p->seen, "inc", shoal_nil(), 1000, shoal_keep, &r) > 0);
    wait_two(p->a, NULL, &r, 3);
    assert_int_equal(r->code, SHOAL_E_UNREACHABLE);
    assert_int_equal(r->delivery, SHOAL_NOT_SENT);
    shoal_result_free(r);
}

/* Stop and kill of a far actor, and info of a far node, are for its admins. */
static void test_admin_refused(void **state)
{
    struct pair *p = *state;
    char id[80];
    shoal_result *r = NULL;
    assert_true(shoal_peer_id(p->b, id, sizeof id) > 0);
    assert_true(shoal_info(p->a, "actors", id, shoal_keep, &r) > 0);
    wait_two(p->a, p->b, &r, 6);
    assert_int_equal(r->code, SHOAL_E_REFUSED);
    shoal_result_free(r);
    r = NULL;
    assert_true(shoal_stop(p->a, p->seen, shoal_keep, &r) > 0);
    wait_two(p->a, p->b, &r, 6);
    assert_int_equal(r->code, SHOAL_E_REFUSED);
    shoal_result_free(r);
}

struct found {
    int items, end;
};

static void on_item(void *ud, const shoal_result *r)
{
    struct found *f = ud;
    if (r->code == 0) {
        f->items++;
    } else {
        f->end = r->code;
    }
}

static void test_lookup_all(void **state)
{
    struct pair *p = *state;
    shoal_pid mine = spawn_counter(p->a);
    shoal_result *r = NULL;
    shoal_register(p->a, mine, "counter", shoal_keep, &r);
    wait_two(p->a, p->b, &r, 6);
    assert_int_equal(r->code, 0);
    shoal_result_free(r);
    struct found f = {0};
    assert_true(shoal_lookup_all(p->a, "counter", 1000, 0, on_item, &f) > 0);
    double end = now_s() + 6;
    while (!f.end && now_s() < end) {
        shoal_poll(p->a, 1000, 0);
        shoal_poll(p->b, 1000, 1);
    }
    assert_int_equal(f.end, SHOAL_END);
    assert_int_equal(f.items, 2);
}

/* One pass ends by itself, long before any time-out. */
static void test_lookup_all_once(void **state)
{
    struct pair *p = *state;
    struct found f = {0};
    double begun = now_s();
    assert_true(shoal_lookup_all(p->a, "counter", 0, 0, on_item, &f) > 0);
    while (!f.end && now_s() - begun < 6) {
        shoal_poll(p->a, 1000, 0);
        shoal_poll(p->b, 1000, 1);
    }
    assert_int_equal(f.end, SHOAL_END);
    assert_int_equal(f.items, 1);
    assert_true(now_s() - begun < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ask_and_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told_without_a_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_across, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refs_and_export, setup, teardown),
        cmocka_unit_test_setup_teardown(test_death_of_an_actor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_death_of_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_admin_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookup_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookup_all_once, setup, teardown),
    };
    int failed = 0;
    for (unsigned i = 0; i < 4; i++) {
        threads_a = i & 1;
        threads_b = i >> 1;
        printf("threads %u, %u\n", threads_a, threads_b);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
