/* tests/abi/test_sim_faults.c - simulations: partitions, crashes, stops; and a seed is a run. */
#include "sim_world.h"

/* --- faults --- */

static void test_partition_and_heal(void **state)
{
    (void)state;
    struct pair p;
    shoal_result *r = NULL, *late = NULL;
    pair_make(&p, 7, 0, 1);
    assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &p.b, 1), 0);
    assert_true(shoal_ask(p.a, p.seen, "inc", shoal_nil(), 1000, shoal_keep, &r) > 0);
    uint64_t begun_us = shoal_sim_now_us(p.sim);
    assert_int_equal(shoal_wait(p.a, &r), SHOAL_E_TIMEOUT);
    assert_in_range(shoal_sim_now_us(p.sim) - begun_us, SECOND, SECOND + 200 * MS);
    shoal_result_free(r);
    assert_true(shoal_ask(p.a, p.seen, "inc", shoal_nil(), 3000, shoal_keep, &late) > 0);
    assert_int_equal(shoal_sim_advance(p.sim, 500 * MS), 0);
    assert_null(late);
    assert_int_equal(shoal_sim_heal(p.sim), 0);
    assert_int_equal(shoal_wait(p.a, &late), 0); /* it waited in the network */
    shoal_result_free(late);
    r = NULL;
    assert_true(shoal_done(p.a, p.seen, shoal_keep, &r) > 0);
    assert_int_equal(shoal_sim_advance(p.sim, 100 * MS), 0);
    assert_int_equal(shoal_sim_partition(p.sim, &p.b, 1, &p.a, 1), 0);
    begun_us = shoal_sim_now_us(p.sim);
    assert_int_equal(shoal_wait(p.a, &r), 0); /* longer than peer_timeout_ms: dead to us */
    assert_int_equal(r->reason.kind, SHOAL_PEER_LOST);
    assert_in_range(shoal_sim_now_us(p.sim) - begun_us, 5 * SECOND, 15 * SECOND);
    shoal_result_free(r);
    pair_free(&p);
}

static void test_crash(void **state)
{
    (void)state;
    for (uint32_t threads = 0; threads < 2; threads++) {
        struct pair p;
        shoal_result *r = NULL, *own = NULL;
        shoal_pid pid, watcher;
        pair_make(&p, 7, threads, threads);
        watcher = spawn_counter(p.a);
        assert_int_equal(shoal_monitor(p.a, watcher, p.seen), 0);
        assert_true(shoal_done(p.a, p.seen, shoal_keep, &r) > 0);
        assert_true(shoal_ask(p.b, p.on_b, "never", shoal_nil(), 60000, shoal_keep, &own) > 0);
        assert_int_equal(shoal_sim_advance(p.sim, 100 * MS), 0);
        uint64_t begun_us = shoal_sim_now_us(p.sim);
        assert_int_equal(shoal_sim_crash(p.sim, p.b), 0);
        assert_non_null(own); /* calls of the dead node end in there */
        assert_int_equal(own->code, SHOAL_E_CLOSED);
        shoal_result_free(own);
        assert_int_equal(shoal_wait(p.a, &r), 0);
        assert_int_equal(r->reason.kind, SHOAL_PEER_LOST);
        assert_true(shoal_sim_now_us(p.sim) - begun_us < 500 * MS);
        shoal_result_free(r);
        assert_int_equal(asked_i64(p.a, watcher, "downs"), 100 + SHOAL_PEER_LOST);
        /* The handle stays; nothing works on it. */
        assert_int_equal(shoal_sim_crash(p.sim, p.b), SHOAL_E_CLOSED);
        assert_int_equal(shoal_spawn(p.b, &counter_type, NULL, &pid), SHOAL_E_CLOSED);
        assert_int_equal(shoal_tell(p.b, p.on_b, "inc", shoal_nil()), SHOAL_E_CLOSED);
        assert_int_equal(shoal_poll(p.b, 0, 10), SHOAL_E_CLOSED);
        assert_int_equal(shoal_lookup(p.b, "counter", 10, NULL, NULL), SHOAL_E_CLOSED);
        assert_int_equal(shoal_node_stop(p.b, 0, NULL, NULL), SHOAL_E_CLOSED);
        assert_int_equal(shoal_backlog(p.b), 0);
        assert_int_equal(shoal_next_timeout_ms(p.b), -1);
        shoal_wake(p.b);
        pair_free(&p);
    }
}

/* Either end may be freed first. */
static void test_sim_freed_first(void **state)
{
    (void)state;
    struct pair p;
    shoal_result *r = NULL;
    pair_make(&p, 7, 0, 1);
    assert_true(shoal_ask(p.a, p.seen, "never", shoal_nil(), 60000, shoal_keep, &r) > 0);
    shoal_sim_free(p.sim);
    assert_non_null(r);
    assert_int_equal(r->code, SHOAL_E_CLOSED);
    assert_int_equal(shoal_tell(p.a, p.seen, "inc", shoal_nil()), SHOAL_E_CLOSED);
    shoal_result_free(r);
    shoal_node_free(p.a);
    shoal_node_free(p.b);
}

static void test_graceful_stop(void **state)
{
    (void)state;
    struct pair p;
    shoal_result *r = NULL, *ended = NULL;
    pair_make(&p, 7, 0, 0);
    assert_true(shoal_done(p.a, p.seen, shoal_keep, &ended) > 0);
    assert_int_equal(shoal_sim_advance(p.sim, 100 * MS), 0);
    assert_true(shoal_node_stop(p.b, 1000, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(p.b, &r), 0);
    assert_int_equal(shoal_wait(p.a, &ended), 0);
    assert_int_equal(ended->reason.kind, SHOAL_NORMAL);
    shoal_result_free(r);
    shoal_result_free(ended);
    pair_free(&p);
}

/* --- five nodes, and what a seed decides --- */

enum { FIVE = 5 };

/* A world with loss, a partition and a crash; *ended_us is when it was over. */
static uint64_t five_nodes(uint64_t seed, uint64_t *ended_us)
{
    shoal_sim *sim;
    shoal_node *nodes[FIVE];
    char name[16];
    assert_int_equal(shoal_sim_new(seed, &sim), 0);
    assert_int_equal(shoal_sim_net(sim, 500, 20 * MS, 10000), 0);
    for (int i = 0; i < FIVE; i++) {
        nodes[i] = sim_node(sim, i % 2, i ? "/ip4/10.0.0.0/tcp/4001" : NULL);
    }
    assert_int_equal(shoal_sim_advance(sim, 2 * SECOND), 0);
    for (int i = 0; i < FIVE; i++) {
        snprintf(name, sizeof name, "counter/%d", i);
        registered(nodes[i], spawn_counter(nodes[i]), name);
    }
    for (int i = 0; i < FIVE; i++) {
        for (int j = 0; j < FIVE; j++) {
            snprintf(name, sizeof name, "counter/%d", j);
            assert_int_equal(asked_i64(nodes[i], found(nodes[i], name), "inc"), i + 1);
        }
    }
    shoal_pid last = found(nodes[0], "counter/4"), third = found(nodes[1], "counter/2");
    assert_int_equal(shoal_sim_partition(sim, nodes, 2, nodes + 2, 2), 0);
    shoal_result *r = NULL;
    assert_true(shoal_ask(nodes[1], third, "inc", shoal_nil(), 500, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(nodes[1], &r), SHOAL_E_TIMEOUT);
    shoal_result_free(r);
    assert_int_equal(asked_i64(nodes[0], last, "inc"), 6); /* node 4 is in neither list */
    assert_int_equal(shoal_sim_heal(sim), 0);
    assert_true(asked_i64(nodes[1], third, "inc") >= 6);
    r = NULL;
    assert_true(shoal_done(nodes[0], last, shoal_keep, &r) > 0);
    assert_int_equal(shoal_sim_advance(sim, SECOND), 0);
    assert_int_equal(shoal_sim_crash(sim, nodes[4]), 0);
    assert_int_equal(shoal_wait(nodes[0], &r), 0);
    assert_int_equal(r->reason.kind, SHOAL_PEER_LOST);
    shoal_result_free(r);
    *ended_us = shoal_sim_now_us(sim);
    uint64_t digest = shoal_sim_digest(sim);
    for (int i = 0; i < FIVE; i++) {
        shoal_node_free(nodes[i]);
    }
    shoal_sim_free(sim);
    return digest;
}

static void test_seed_is_the_run(void **state)
{
    (void)state;
    uint64_t ended[3];
    uint64_t first = five_nodes(1, &ended[0]), again = five_nodes(1, &ended[1]);
    uint64_t other = five_nodes(2, &ended[2]);
    assert_true(first == again);
    assert_true(ended[0] == ended[1]);
    assert_true(first != other);
    assert_true(ended[0] != ended[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition_and_heal), cmocka_unit_test(test_crash),
        cmocka_unit_test(test_sim_freed_first),    cmocka_unit_test(test_graceful_stop),
        cmocka_unit_test(test_seed_is_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
