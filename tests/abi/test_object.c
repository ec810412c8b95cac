/* tests/abi/test_object.c - values by reference: each object is taken once or dropped once, on every path; and who is
 * elsewhere is SHOAL_E_UNSUPPORTED at once, with nothing consumed. */
#include "object_world.h"

/* --- from hand to hand --- */

static void test_tell_is_taken(void **state)
{
    shoal_node *node = *state;
    struct thing t[3] = {{.n = 1}, {.n = 2}, {.n = 4}};
    shoal_pid pid = spawn_here(node, &taker);
    given(shoal_tell_object(node, pid, "take", object_of(&t[0])));
    given(shoal_tell_object(node, pid, long_name, object_of(&t[1]))); /* beside the message */
    given(shoal_tell_object(node, pid, "take", (shoal_object){&t[2], NULL}));
    settle(node);
    assert_int_equal(sum, 7);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t[i].taken * 10 + t[i].dropped, 10);
    }
    given(shoal_tell_object(node, pid, "leave",
                            (shoal_object){&t[2], NULL})); /* nothing to give back */
    settle(node);
    live--;
    assert_int_equal(t[2].dropped, 0);
}

static void test_ask_and_reply(void **state)
{
    shoal_node *node = *state;
    struct thing t = {.n = 1}, *got = NULL;
    other = spawn_here(node, &taker);
    given(shoal_ask_object(node, other, "swap", object_of(&t), 1000, done_take, &got));
    settle(node);
    assert_ptr_equal(got, &reply_thing);
    assert_int_equal(last_code, 0);
    assert_int_equal(reply_thing.taken + t.taken, 2);
    /* From a handler: tells, asks, and takes what comes back. */
    shoal_pid asker = spawn_here(node, &taker);
    shoal_result *r = NULL;
    assert_true(shoal_ask(node, asker, "ask", shoal_nil(), 1000, shoal_keep, &r) > 0);
    settle(node);
    assert_int_equal(r->code, 0);
    assert_null(shoal_result_object(r)); /* a kept one has none */
    shoal_result_free(r);
    assert_int_equal(sum, 1 + 10 + 1000);
    assert_int_equal(shoal_tell(node, asker, "tell", shoal_nil()), 0);
    settle(node);
    assert_int_equal(sum, 1 + 10 + 1000 + 10);
    assert_int_equal(then_thing.taken, 2);
}

static void test_reply_nobody_takes(void **state)
{
    shoal_node *node = *state;
    struct thing t[4] = {{.n = 1}, {.n = 1}, {.n = 1}, {.n = 1}};
    shoal_pid pid = spawn_here(node, &taker);
    int ends = 0;
    given(shoal_ask_object(node, pid, "swap", object_of(&t[0]), 1000, done_leave, &ends));
    given(shoal_ask_object(node, pid, "swap", object_of(&t[1]), 1000, NULL, NULL));
    given(shoal_tell_object(node, pid, "swap", object_of(&t[2]))); /* a tell: dropped in the call */
    settle(node);
    assert_int_equal(ends, 1);
    assert_int_equal(reply_thing.dropped, 3);
    shoal_result *r = NULL;
    given(shoal_ask_object(node, pid, "swap", object_of(&t[3]), 1000, shoal_keep, &r));
    settle(node);
    assert_int_equal(reply_thing.dropped, 4);
    assert_null(shoal_result_object(r));
    shoal_result_free(r);
}

static void test_held_reply(void **state)
{
    shoal_node *node = *state;
    struct thing t = {.n = 1}, *got = NULL;
    shoal_pid pid = spawn_here(node, &taker);
    given(shoal_ask_object(node, pid, "hold", object_of(&t), 1000, done_take, &got));
    settle(node);
    assert_int_equal(t.dropped, 0); /* the message is open */
    given(shoal_reply_object(held, object_of(&reply_thing)));
    assert_int_equal(shoal_finish(held, 0), 0);
    settle(node);
    assert_ptr_equal(got, &reply_thing);
    assert_int_equal(t.dropped, 1);
}

static void test_forward(void **state)
{
    shoal_node *node = *state;
    struct thing t = {.n = 3}, u = {.n = 4}, v = {.n = 5};
    int ends = 0;
    other = spawn_here(node, &taker);
    static const shoal_handler swap_is_forward[] = {{"take", on_forward},
                                                    {"leave", on_take_forward}};
    static shoal_actor_type front;
    front = taker;
    front.handlers = swap_is_forward;
    front.handler_count = 2;
    shoal_pid pid = spawn_here(node, &front);
    given(shoal_tell_object(node, pid, "take", object_of(&t)));
    given(shoal_ask_object(node, pid, "take", object_of(&u), 1000, done_leave, &ends));
    settle(node);
    assert_int_equal(sum, 7);
    assert_int_equal(ends, 1);
    given(shoal_tell_object(node, pid, "leave", object_of(&v))); /* taken: it cannot go on */
    settle(node);
    assert_int_equal(last_code, SHOAL_E_UNSUPPORTED);
    assert_int_equal(sum, 7);
}

/* --- nobody took it --- */

static void test_left_and_wrong(void **state)
{
    shoal_node *node = *state;
    struct thing t = {0}, u = {0}, v = {0};
    int ends = 0;
    static const shoal_handler one[] = {{"leave", on_leave}};
    static const shoal_actor_type narrow = {
        .struct_size = sizeof narrow, .id = "test.narrow", .handlers = one, .handler_count = 1};
    shoal_pid pid = spawn_here(node, &narrow);
    given(shoal_tell_object(node, pid, "leave", object_of(&t)));
    given(shoal_tell_object(node, pid, "nosuch", object_of(&u)));
    given(shoal_ask_object(node, pid, "nosuch", object_of(&v), 1000, done_leave, &ends));
    settle(node);
    assert_int_equal(t.dropped + u.dropped + v.dropped, 3);
    assert_int_equal(last_code, SHOAL_E_NO_HANDLER);
    assert_int_equal(ends, 1);
}

static void test_full_mailbox(void **state)
{
    shoal_node *node = *state;
    struct thing t[8] = {{0}};
    int ends = 0;
    shoal_pid pid = spawn_here(node, &taker); /* room for 4 */
    for (int i = 0; i < 4; i++) {
        given(shoal_tell_object(node, pid, "leave", object_of(&t[i])));
    }
    assert_int_equal(shoal_tell_object(node, pid, "leave", object_of(&t[4])), SHOAL_E_MAILBOX_FULL);
    /* An ask waits for room; one of the two is cancelled there. */
    int64_t call = shoal_ask_object(node, pid, "leave", object_of(&t[5]), 1000, done_leave, &ends);
    given(call);
    given(shoal_ask_object(node, pid, "take", object_of(&t[6]), 1000, done_leave, &ends));
    assert_int_equal(shoal_cancel(node, call), 0);
    settle(node);
    assert_int_equal(ends, 2);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(t[i].dropped, i < 4 || i == 5);
    }
    assert_int_equal(t[6].taken, 1);
}

static void test_kill_with_a_full_mailbox(void **state)
{
    shoal_node *node = *state;
    struct thing t[4] = {{0}}, u[4] = {{0}};
    int ends = 0;
    static shoal_actor_type caring;
    caring = taker;
    caring.on_undelivered = left_one;
    shoal_pid plain = spawn_here(node, &taker), care = spawn_here(node, &caring);
    for (int i = 0; i < 4; i++) {
        if (i < 3) {
            given(shoal_tell_object(node, plain, "take", object_of(&t[i])));
        } else {
            given(shoal_ask_object(node, plain, "take", object_of(&t[i]), 1000, done_leave, &ends));
        }
        given(shoal_tell_object(node, care, "take", object_of(&u[i])));
    }
    assert_int_equal(shoal_kill(node, plain), 0);
    assert_int_equal(shoal_kill(node, care), 0);
    settle(node);
    assert_int_equal(handled, 0);
    assert_int_equal(undelivered, 4);
    assert_int_equal(ends, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(t[i].dropped, 1);
        assert_int_equal(u[i].dropped * 10 + u[i].taken, i % 2 ? 10 : 1);
    }
    assert_int_equal(shoal_tell_object(node, plain, "take", object_of(&t[0])), SHOAL_E_NOT_RUNNING);
}

static void test_timeout_and_late_reply(void **state)
{
    shoal_node *node = *state;
    struct thing t[2] = {{0}};
    int ends = 0;
    shoal_pid pid = spawn_here(node, &taker);
    given(shoal_ask_object(node, pid, "hold", object_of(&t[0]), 20, done_leave, &ends));
    given(shoal_ask_object(node, pid, "take", object_of(&t[1]), 20, done_leave,
                           &ends)); /* never begun */
    double end = now_s() + 5;
    while (ends < 2 && now_s() < end) {
        shoal_poll(node, 1000, 5);
    }
    assert_int_equal(ends, 2);
    assert_int_equal(last_code, SHOAL_E_TIMEOUT);
    settle(node);
    assert_int_equal(t[1].dropped, 1);
    int code = shoal_reply_object(held, object_of(&reply_thing));
    assert_int_equal(code, 0); /* nobody waits any more: dropped */
    live++;
    settle(node);
    assert_int_equal(reply_thing.dropped, 1);
    assert_int_equal(shoal_finish(held, 0), 0);
    settle(node);
    assert_int_equal(t[0].dropped, 1);
    assert_int_equal(handled, 0);
}

static void test_node_free(void **state)
{
    shoal_node *node = *state;
    struct thing t[6] = {{0}};
    int ends = 0;
    shoal_pid pid = spawn_here(node, &taker), full = spawn_here(node, &taker);
    given(shoal_ask_object(node, pid, "hold", object_of(&t[0]), 1000, done_leave, &ends));
    settle(node);
    given(shoal_tell_object(node, pid, "take", object_of(&t[1])));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(shoal_tell(node, full, "leave", shoal_nil()), 0);
    }
    given(shoal_ask_object(node, full, "take", object_of(&t[2]), 1000, done_leave,
                           &ends)); /* waits */
    given(shoal_ask_object(node, pid, "take", object_of(&t[3]), 1000, done_leave, &ends));
    shoal_node_free(node);
    *state = NULL;
    assert_int_equal(ends, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(t[i].dropped * 10 + t[i].taken, 10);
    }
}

/* --- elsewhere, and wrong --- */

static void *elsewhere_run(void *ud)
{
    shoal_node *node = ud;
    static struct thing t;
    /* The main thread is inside shoal_poll meanwhile, or not: then it may go, else the answer is at once. */
    int code = shoal_tell_object(node, other, "leave", (shoal_object){&t, NULL});
    return (void *)(intptr_t)(code == 0 || code == SHOAL_E_UNSUPPORTED);
}

static void test_unsupported(void **state)
{
    shoal_node *node = *state;
    struct thing t = {0};
    shoal_pid far = {.actor = 1, .node = 1, .check = 1};
    int ends = 0;
    other = far;
    assert_int_equal(shoal_tell_object(node, far, "take", object_of(&t)), SHOAL_E_UNSUPPORTED);
    assert_true(shoal_ask_object(node, far, "take", object_of(&t), 0, done_leave, &ends) ==
                SHOAL_E_UNSUPPORTED);
    shoal_pid pid = spawn_here(node, &taker), loop = spawn_counter(node);
    assert_int_equal(shoal_tell(node, pid, "tell", shoal_nil()), 0);
    settle(node);
    assert_int_equal(last_code, SHOAL_E_UNSUPPORTED);
    shoal_result *r = NULL;
    assert_true(shoal_ask(node, pid, "ask", shoal_nil(), 0, shoal_keep, &r) > 0);
    settle(node);
    assert_int_equal(last_code, SHOAL_E_UNSUPPORTED);
    shoal_result_free(r);
    if (threads) { /* an actor of the node's thread */
        assert_int_equal(shoal_tell_object(node, loop, "inc", object_of(&t)), SHOAL_E_UNSUPPORTED);
    }
    assert_int_equal(t.taken + t.dropped + then_thing.dropped + ends, 0);
    other = pid;
    assert_non_null(elsewhere_run(node));
    settle(node);
}

static void test_errors(void **state)
{
    shoal_node *node = *state;
    struct thing t = {0};
    int ends = 0;
    shoal_pid pid = spawn_here(node, &taker), nobody = {0};
    shoal_object object = object_of(&t), none = {NULL, thing_drop};
    assert_int_equal(shoal_tell_object(NULL, pid, "take", object), SHOAL_E_USAGE);
    assert_int_equal(shoal_tell_object(node, nobody, "take", object), SHOAL_E_NOT_RUNNING);
    assert_int_equal(shoal_tell_object(node, pid, "", object), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_tell_object(node, pid, "take", none), SHOAL_E_BAD_VALUE);
    assert_true(shoal_ask_object(node, pid, "", object, 0, done_leave, &ends) == SHOAL_E_BAD_VALUE);
    other = pid; /* it asks itself */
    assert_int_equal(shoal_tell(node, pid, "ask", shoal_nil()), 0);
    settle(node);
    assert_int_equal(last_code, SHOAL_E_USAGE);
    shoal_kill(node, pid);
    settle(node);
    assert_true(shoal_ask_object(node, pid, "take", object, 0, done_leave, &ends) ==
                SHOAL_E_NOT_RUNNING);
    assert_int_equal(t.taken + t.dropped + then_thing.dropped + ends, 0);
    assert_null(shoal_result_object(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tell_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_and_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reply_nobody_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forward, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_and_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_mailbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_with_a_full_mailbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout_and_late_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_node_free, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsupported, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
    };
    int failed = cmocka_run_group_tests_name("inline", tests, NULL, NULL);
    threads = 1;
    return failed + cmocka_run_group_tests_name("threaded", tests, NULL, NULL);
}
