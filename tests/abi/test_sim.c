/* tests/abi/test_sim.c - simulations: nodes of virtual time answer the whole public interface, and misuse is told. */
#include "meter.h"
#include "sim_world.h"

/* --- the functions of a node --- */

static void test_two_nodes(void **state)
{
    (void)state;
    for (uint32_t threads = 0; threads < 4; threads++) {
        struct pair p;
        shoal_pid host;
        shoal_spawn_options on_host = {.struct_size = sizeof on_host, .flags = SHOAL_ON_HOST};
        pair_make(&p, 7, threads & 1, threads >> 1);
        assert_int_equal(asked_i64(p.a, p.seen, "inc"), 1);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(shoal_tell(p.a, p.seen, "inc", shoal_nil()), 0);
        }
        shoal_result *r = NULL;
        assert_true(shoal_drain(p.a, p.seen, 0, shoal_keep, &r) > 0);
        assert_int_equal(shoal_wait(p.a, &r), 0);
        shoal_result_free(r);
        assert_int_equal(asked_i64(p.a, p.seen, "inc"), 102);
        assert_int_equal(shoal_spawn(p.a, &counter_type, &on_host, &host), 0);
        assert_int_equal(asked_i64(p.a, host, "inc"), 1);
        assert_int_equal(shoal_unregister(p.b, p.on_b, "counter"), 0);
        assert_int_equal(shoal_unregister(p.b, p.on_b, "counter"), SHOAL_E_NOT_FOUND);
        pair_free(&p);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const taken[] = {"/ip4/10.0.0.0/tcp/4001"};
    struct pair p;
    char text[160], id[80];
    shoal_result *r = NULL;
    shoal_node *none;
    shoal_node_config cfg;
    pair_make(&p, 7, 0, 0);
    assert_true(shoal_address(p.a, 0, text, sizeof text) > 0);
    assert_memory_equal(text, "/ip4/10.0.0.1/tcp/4001/p2p/", 27);
    assert_true(shoal_peer_id(p.a, id, sizeof id) > 0);
    assert_string_equal(text + 27, id);
    assert_int_equal(shoal_listen(p.a, "/ip4/10.0.0.1/tcp/0"), 0);
    assert_true(shoal_address(p.a, 1, text, sizeof text) > 0);
    assert_memory_equal(text, "/ip4/10.0.0.1/tcp/4002/p2p/", 27);
    assert_true(shoal_dial(p.b, text, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(p.b, &r), 0);
    shoal_result_free(r);
    assert_int_equal(shoal_listen(p.a, "/ip4/10.0.0.1/tcp/4002"), SHOAL_E_BAD_ADDRESS);
    assert_int_equal(shoal_listen(p.a, "/ip4/10.0.0.2/tcp/4003"), SHOAL_E_BAD_ADDRESS);
    assert_int_equal(shoal_listen(p.a, "/ip6/::1/tcp/4003"), SHOAL_E_BAD_ADDRESS);
    assert_non_null(strstr(shoal_last_error(p.a), "simulated host"));
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.listen = taken; /* of another host */
    cfg.listen_count = 1;
    assert_int_equal(shoal_sim_node(p.sim, &cfg, &none), SHOAL_E_BAD_ADDRESS);
    assert_null(none);
    r = NULL;
    assert_true(shoal_dial(p.a, "/ip4/10.0.9.9/tcp/1", shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(p.a, &r), SHOAL_E_UNREACHABLE);
    shoal_result_free(r);
    assert_int_equal(shoal_fd(p.a), SHOAL_E_UNSUPPORTED);
    pair_free(&p);
}

/* --- time --- */

static int on_beat(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx, (void)value;
    ((struct counter *)state)->n++;
    return 0;
}

static int beat_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)state, (void)args;
    return shoal_every(cx, 60000, "beat", shoal_nil()) > 0 ? 0 : shoal_fail(cx, "no timer");
}

static const shoal_handler beat_handlers[] = {{"beat", on_beat}, {"inc", on_inc}};
static const shoal_actor_type beat_type = {
    .struct_size = sizeof(shoal_actor_type),
    .id = "test.beat",
    .state_size = sizeof(struct counter),
    .handlers = beat_handlers,
    .handler_count = 2,
    .init = beat_init,
};

/* An hour of a connected pair: the bound is loose, it takes milliseconds. */
static void test_virtual_time(void **state)
{
    (void)state;
    struct pair p;
    shoal_pid pid;
    pair_make(&p, 7, 0, 1);
    assert_int_equal(shoal_spawn(p.a, &beat_type, NULL, &pid), 0);
    uint64_t begun_us = shoal_sim_now_us(p.sim);
    double begun = now_s();
    assert_int_equal(shoal_sim_advance(p.sim, (uint64_t)3601 * SECOND), 0);
    assert_true(now_s() - begun < 60);
    assert_int_equal(shoal_sim_now_us(p.sim) - begun_us, (uint64_t)3601 * SECOND);
    assert_int_equal(shoal_clock_us(p.a), shoal_sim_now_us(p.sim));
    assert_int_equal(asked_i64(p.a, pid, "inc"), 61);
    assert_int_equal(asked_i64(p.a, p.seen, "inc"), 1);
    pair_free(&p);
}

static void test_poll_waits_in_virtual_time(void **state)
{
    (void)state;
    struct pair p;
    shoal_result *r = NULL;
    pair_make(&p, 7, 0, 0);
    assert_int_equal(asked_i64(p.a, p.seen, "inc"), 1); /* their session is there from now on */
    uint64_t begun_us = shoal_sim_now_us(p.sim);
    assert_int_equal(shoal_poll(p.a, 0, 0), 0);
    assert_int_equal(shoal_sim_now_us(p.sim), begun_us);
    assert_true(shoal_ask(p.a, p.seen, "inc", shoal_nil(), 3000, shoal_keep, &r) > 0);
    assert_int_equal(shoal_poll(p.a, 0, 0), 0);
    assert_null(r); /* it is on its way, and no time has passed */
    assert_int_equal(shoal_poll(p.a, 0, 1000), 1);
    assert_non_null(r);
    assert_int_equal(r->code, 0);
    uint64_t took_us = shoal_sim_now_us(p.sim) - begun_us;
    assert_in_range(took_us, 2 * MS, 20 * MS); /* there and back, 1..5 ms each, behind others */
    shoal_result_free(r);
    begun_us = shoal_sim_now_us(p.sim);
    assert_int_equal(shoal_poll(p.a, 0, 20), 0); /* in vain */
    assert_int_equal(shoal_sim_now_us(p.sim) - begun_us, 20 * MS);
    shoal_wake(p.a);
    shoal_poll(p.a, 0, 60000);
    assert_true(shoal_sim_now_us(p.sim) - begun_us < SECOND);
    assert_true(shoal_next_timeout_ms(p.a) >= 0);
    assert_int_equal(shoal_backlog(p.a), 0);
    pair_free(&p);
}

/* --- what must not be --- */

struct nested {
    struct pair *p;
    int codes[4], runs;
};

static void on_nested(void *ud, const shoal_result *result)
{
    struct nested *n = ud;
    shoal_result *never = NULL;
    (void)result;
    n->codes[0] = shoal_sim_advance(n->p->sim, 1);
    n->codes[1] = shoal_poll(n->p->b, 0, 0);
    n->codes[2] = shoal_wait(n->p->a, &never);
    n->codes[3] = shoal_sim_crash(n->p->sim, n->p->a);
    shoal_sim_free(n->p->sim); /* does nothing in here */
    n->runs++;
}

static void test_misuse(void **state)
{
    (void)state;
    struct pair p;
    shoal_node *none = NULL, *real = node_make(0, false);
    struct nested n = {.p = &p};
    pair_make(&p, 7, 0, 0);
    assert_true(shoal_ask(p.a, p.seen, "inc", shoal_nil(), 0, on_nested, &n) > 0);
    assert_int_equal(shoal_sim_advance(p.sim, SECOND), 0);
    assert_int_equal(n.runs, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(n.codes[i], SHOAL_E_USAGE);
    }
    assert_int_equal(shoal_sim_crash(p.sim, real), SHOAL_E_USAGE);
    assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &real, 1), SHOAL_E_USAGE);
    assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &p.a, 1), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_sim_partition(p.sim, NULL, 1, &p.a, 1), SHOAL_E_USAGE);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &p.b, 1), 0);
    }
    assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &p.b, 1), SHOAL_E_LIMIT);
    assert_int_equal(shoal_sim_heal(p.sim), 0);
    assert_int_equal(shoal_sim_partition(p.sim, &p.a, 1, &p.b, 1), 0);
    assert_int_equal(shoal_sim_net(p.sim, 5, 4, 0), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_sim_net(p.sim, 0, 1, 1000001), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_sim_advance(p.sim, UINT64_MAX), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_sim_new(1, NULL), SHOAL_E_USAGE);
    assert_int_equal(shoal_sim_node(NULL, NULL, &none), SHOAL_E_USAGE);
    assert_int_equal(shoal_sim_node(p.sim, NULL, NULL), SHOAL_E_USAGE);
    assert_int_equal(shoal_sim_advance(NULL, 1), SHOAL_E_USAGE);
    assert_true(*shoal_last_error(NULL));
    shoal_sim_free(NULL);
    shoal_node_free(real);
    pair_free(&p);
}

/* A node that cannot have its memory is an error, wherever it ran out; the simulation goes on. */
static void test_node_without_memory(void **state)
{
    (void)state;
    static const char *const any[] = {"/ip4/0.0.0.0/tcp/4001"};
    shoal_sim *sim;
    shoal_node *node = NULL;
    struct meter m = {0};
    shoal_node_config cfg;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.resize = meter_resize;
    cfg.memory_ud = &m;
    cfg.listen = any;
    cfg.listen_count = 1;
    cfg.log_level = SHOAL_LOG_OFF;
    assert_int_equal(shoal_sim_new(7, &sim), 0);
    unsigned failed = 0;
    for (;; failed++) {
        meter_arm(&m, failed + 1, METER_FOR_EVER);
        int code = shoal_sim_node(sim, &cfg, &node);
        if (code == 0) {
            break;
        }
        assert_int_equal(code, SHOAL_E_LIMIT);
        assert_null(node);
        assert_int_equal(m.blocks, 0);
        assert_int_equal(shoal_sim_advance(sim, MS), 0);
    }
    assert_in_range(failed, 5, 1000);
    meter_disarm(&m);
    assert_int_equal(asked_i64(node, spawn_counter(node), "inc"), 1);
    shoal_node_free(node);
    assert_int_equal(m.blocks, 0);
    shoal_sim_free(sim);
}

/* A handler of one node calls the other from outside, and that one back: time goes on all the same. */
struct volley {
    shoal_node *nodes[2];
    shoal_pid pids[2];
    int count;
};

static int on_ball(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    struct volley *v = shoal_cx_user(cx);
    int other = shoal_cx_node(cx) == v->nodes[0];
    v->count++;
    return shoal_tell(v->nodes[other], v->pids[other], "ball", shoal_nil());
}

static const shoal_handler volley_handlers[] = {{"ball", on_ball}};
static const shoal_actor_type volley_type = {
    .struct_size = sizeof(shoal_actor_type),
    .id = "test.volley",
    .handlers = volley_handlers,
    .handler_count = 1,
};

static void test_calls_between_handlers(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 7, 0, 1);
    struct volley v = {.nodes = {p.a, p.b}};
    shoal_spawn_options opt = {.struct_size = sizeof opt, .user = &v};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(shoal_spawn(v.nodes[i], &volley_type, &opt, &v.pids[i]), 0);
    }
    assert_int_equal(shoal_tell(p.a, v.pids[0], "ball", shoal_nil()), 0);
    assert_int_equal(shoal_sim_advance(p.sim, 10 * MS), 0);
    assert_in_range(v.count, 1000, 20000);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_nodes),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_virtual_time),
        cmocka_unit_test(test_poll_waits_in_virtual_time),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_node_without_memory),
        cmocka_unit_test(test_calls_between_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
