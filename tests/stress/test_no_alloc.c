/* test_no_alloc.c - a message on the hot path allocates nothing: counted at the node's own memory function.
 *
 * Each pattern warms up (pools, tables and windows reach their size), then runs again and is counted. Two inline nodes in
 * this process are polled in turn; calls of libraries below (OpenSSL, libuv) do not pass through the node and are not counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <shoal.h>

enum { WARM = 16384, COUNTED = 16384, BURST = 32 };

/* --- memory that counts --- */

struct counts {
    uint64_t made; /* new blocks and grown ones */
    uint64_t freed;
};

static void *counting(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct counts *c = ud;
    (void)old_size;
    if (new_size == 0) {
        c->freed += ptr != NULL;
        free(ptr);
        return NULL;
    }
    c->made++;
    return realloc(ptr, new_size);
}

/* --- actors --- */

static uint64_t handled, answered, left;
static shoal_pid target;
static const unsigned char small[] = {0x81, 0xa6, 'a', 'm', 'o',
                                      'u',  'n',  't', 0x01}; /* {"amount": 1} */
static const shoal_bytes value_small = {small, sizeof small};
static const unsigned char block[66] = {0xc4,
                                        64}; /* 64 bytes: lies beside its message, not in it */
static const shoal_bytes value_block = {block, sizeof block};

static int on_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx;
    *(int64_t *)state +=
        shoal_kind(value) == SHOAL_KIND_BYTES ? 1 : shoal_field_i64(value, "amount", 0);
    handled++;
    return 0;
}

static int on_get(shoal_cx *cx, void *state, shoal_bytes value)
{
    on_inc(cx, state, value);
    return shoal_reply_i64(cx, *(int64_t *)state);
}

static int ask_next(shoal_cx *cx, void *ud, const shoal_result *result)
{
    if (result) {
        assert_int_equal(result->code, 0);
        answered++;
    }
    if (left == 0) {
        return 0;
    }
    left--;
    assert_true(shoal_cx_ask(cx, target, "get", value_small, 5000, ask_next, ud) > 0);
    return 0;
}

static int on_go(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return ask_next(cx, NULL, NULL);
}

static const shoal_handler handlers[] = {{"inc", on_inc}, {"get", on_get}, {"go", on_go}};
static const shoal_actor_type type = {
    .struct_size = sizeof type,
    .id = "counted",
    .state_size = sizeof(int64_t),
    .handlers = handlers,
    .handler_count = 3,
};

/* --- two nodes --- */

struct world {
    struct counts near_counts, far_counts;
    shoal_node *near, *far;
    shoal_pid near_actor, far_actor; /* both as the near node calls them */
};

static shoal_node *node_new(struct counts *counts)
{
    shoal_node_config cfg;
    shoal_node *node = NULL;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.resize = counting;
    cfg.memory_ud = counts;
    assert_int_equal(shoal_node_new(&cfg, &node), 0);
    return node;
}

static void poll_both(struct world *w)
{
    assert_true(shoal_poll(w->near, 1000, 0) >= 0);
    assert_true(shoal_poll(w->far, 1000, 0) >= 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char address[512], ref[128];
    shoal_result *result = NULL;
    shoal_pid pid;
    w->near = node_new(&w->near_counts);
    w->far = node_new(&w->far_counts);
    assert_int_equal(shoal_spawn(w->near, &type, NULL, &w->near_actor), 0);
    assert_int_equal(shoal_spawn(w->far, &type, NULL, &pid), 0);
    assert_true(shoal_register(w->far, pid, "counted", NULL, NULL) > 0);
    assert_int_equal(shoal_listen(w->far, "/ip4/127.0.0.1/tcp/0"), 0);
    assert_true(shoal_address(w->far, 0, address, sizeof address) > 0);
    assert_true(shoal_pid_text(w->far, pid, ref, sizeof ref) > 0);
    assert_true(shoal_dial(w->near, address, shoal_keep, &result) > 0);
    while (!result) {
        poll_both(w);
    }
    assert_int_equal(result->code, 0);
    shoal_result_free(result);
    assert_int_equal(shoal_pid_parse(w->near, ref, &w->far_actor), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    shoal_node_free(w->near);
    shoal_node_free(w->far);
    free(w);
    return 0;
}

/* Bursts that fit the window of a target; each is handled before the next. */
static void tells(struct world *w, shoal_pid to, uint64_t count)
{
    uint64_t goal = handled + count;
    for (uint64_t sent = 0; sent < count;) {
        for (int i = 0; i < BURST && sent < count; i++, sent++) {
            assert_int_equal(shoal_tell(w->near, to, "inc", value_small), 0);
        }
        while (handled < goal - (count - sent)) {
            poll_both(w);
        }
    }
}

/* As many as the windows and the mailbox let in. */
static void tells_flood(struct world *w, shoal_pid to, uint64_t count)
{
    uint64_t goal = handled + count;
    for (uint64_t sent = 0; sent < count;) {
        int code = shoal_tell(w->near, to, "inc", value_block);
        if (code == SHOAL_E_MAILBOX_FULL) {
            poll_both(w);
        } else {
            assert_int_equal(code, 0);
            sent++;
        }
    }
    while (handled < goal) {
        poll_both(w);
    }
}

static void asks_in_handler(struct world *w, shoal_pid to, uint64_t count)
{
    uint64_t goal = answered + count;
    shoal_pid asker;
    assert_int_equal(shoal_spawn(w->near, &type, NULL, &asker), 0);
    target = to;
    left = count;
    assert_int_equal(shoal_tell(w->near, asker, "go", shoal_nil()), 0);
    while (answered < goal) {
        poll_both(w);
    }
}

static void on_reply(void *ud, const shoal_result *result)
{
    assert_int_equal(result->code, 0);
    ++*(uint64_t *)ud;
}

static void asks_outside(struct world *w, shoal_pid to, uint64_t count)
{
    for (uint64_t done = 0; done < count;) {
        uint64_t goal = done + BURST;
        for (int i = 0; i < BURST; i++) {
            assert_true(shoal_ask(w->near, to, "get", value_small, 5000, on_reply, &done) > 0);
        }
        while (done < goal) {
            poll_both(w);
        }
    }
}

/* Allocations of COUNTED messages once all is warm: an actor that the pattern spawns, a pool that grows; none a message. */
static void count_pattern(struct world *w, const char *name,
                          void (*pattern)(struct world *, shoal_pid, uint64_t), shoal_pid to)
{
    pattern(w, to, WARM);
    struct counts near = w->near_counts, far = w->far_counts;
    pattern(w, to, COUNTED);
    uint64_t made = w->near_counts.made - near.made + (w->far_counts.made - far.made);
    print_message("%s: %llu allocations for %d messages\n", name, (unsigned long long)made,
                  COUNTED);
    assert_true(made < COUNTED / 100);
}

static void test_local_tell(void **state)
{
    struct world *w = *state;
    count_pattern(w, "local tell", tells, w->near_actor);
    count_pattern(w, "local tell, 64 bytes, to a full mailbox", tells_flood, w->near_actor);
}

static void test_local_ask(void **state)
{
    struct world *w = *state;
    count_pattern(w, "local ask in a handler", asks_in_handler, w->near_actor);
    count_pattern(w, "local ask from outside", asks_outside, w->near_actor);
}

static void test_remote_tell(void **state)
{
    struct world *w = *state;
    count_pattern(w, "remote tell", tells, w->far_actor);
    count_pattern(w, "remote tell, 64 bytes, to a full window", tells_flood, w->far_actor);
}

static void test_remote_ask(void **state)
{
    struct world *w = *state;
    count_pattern(w, "remote ask in a handler", asks_in_handler, w->far_actor);
    count_pattern(w, "remote ask from outside", asks_outside, w->far_actor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_local_tell, setup, teardown),
        cmocka_unit_test_setup_teardown(test_local_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remote_tell, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remote_ask, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
