/* unit/node/test_node.c - whole nodes in memory: listen, dial, names, ask, info, events, graceful stop. */
#include "world.h"

#include "base/mp.h"
#include "node/internal.h"
#include "swarm/publish.h"

static struct world *world;

static int setup(void **state)
{
    (void)state;
    world = calloc(1, sizeof *world);
    world->now_us = 1000000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    free(world);
    return 0;
}

/* --- an actor --- */

static int counter_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud;
    (void)index;
    (void)name;
    int *n = state;
    *n += value.n ? value.p[0] : 1; /* positive fixint */
    uint8_t reply = (uint8_t)*n;
    return sh_cx_reply(cx, sh_span_of(&reply, 1));
}

static int counter_fail(sh_cx *cx)
{
    return sh_cx_fail(cx, sh_span_str("no"), sh_span_none(), sh_span_none());
}

static int failing_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud;
    (void)state;
    (void)index;
    (void)name;
    (void)value;
    return counter_fail(cx);
}

static sh_pid spawn(int node, bool fails)
{
    struct sh_actor_type def = {.id = sh_span_str("counter"),
                                .state_size = sizeof(int),
                                .handle = fails ? failing_handle : counter_handle};
    return world_spawn(world, node, def, "inc");
}

static void two_nodes(void)
{
    world_node(world, 0, "/ip4/10.0.0.1/tcp/4001");
    world_node(world, 1, "/ip4/10.0.0.2/tcp/4001");
    struct told t = {0};
    assert_true(sh_node_dial(world->node[1], WORLD_TOKEN, sh_span_str("/ip4/10.0.0.1/tcp/4001"), 0,
                             world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    assert_int_equal(t.code, 0);
    char id[SH_PEER_ID_TEXT_MAX];
    int n = sh_peer_id_text(sh_node_peer_id(world->node[0]), id);
    assert_int_equal(t.value_n, n);
    assert_memory_equal(t.value, id, t.value_n);
}

/* --- tests --- */

static void test_listen(void **state)
{
    (void)state;
    world_node(world, 0, "/ip4/10.0.0.1/tcp/0");
    const char *text;
    assert_int_equal(sh_node_listen_state(world->node[0], 1, &text), SH_E_MORE);
    world_run(world, NULL, 1000);
    assert_int_equal(sh_node_listen_state(world->node[0], 1, &text), 0);
    sh_addr addr;
    char buf[SH_ADDR_TEXT_MAX];
    assert_int_equal(sh_node_address(world->node[0], 0, &addr), 0);
    assert_true(sh_addr_text(&addr, buf, sizeof buf) > 0);
    assert_non_null(strstr(buf, "/ip4/10.0.0.1/tcp/4001/p2p/"));
    assert_non_null(strstr(world->events[0], "listening"));

    struct told t = {0};
    assert_true(sh_node_listen(world->node[0], WORLD_TOKEN, sh_span_str("/ip4/10.0.0.1/tcp/0"),
                               world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, 0);
    assert_int_equal(t.value_n, strlen(buf));

    world->fail_listen = true;
    t.count = 0;
    assert_true(sh_node_listen(world->node[0], WORLD_TOKEN, sh_span_str("/ip4/10.0.0.1/tcp/0"),
                               world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, SH_E_BAD_ADDRESS);
    assert_string_equal(t.text, "in use");

    t.count = 0;
    assert_true(sh_node_listen(world->node[0], WORLD_TOKEN, sh_span_str("rubbish"), world->now_us,
                               told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, SH_E_BAD_ADDRESS);
    assert_int_equal(t.count, 1);
}

static void test_dial(void **state)
{
    (void)state;
    two_nodes();
    world_run(world, NULL, 1000000);
    assert_non_null(strstr(world->events[0], "peer_up"));
    assert_non_null(strstr(world->events[1], "peer_up"));

    struct told t = {0};
    assert_true(sh_node_dial(world->node[1], WORLD_TOKEN, sh_span_str("/ip4/10.0.0.3/tcp/4001"), 0,
                             world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 40000000));
    assert_int_equal(t.code, SH_E_UNREACHABLE);
    world_run(world, NULL, 1000);
    assert_non_null(strstr(world->events[1], "dial_failed"));
}

/* SH_NODE_DIAL_MS, when the caller says nothing: a name that nobody resolves. */
static void test_dial_without_an_answer(void **state)
{
    (void)state;
    world_node(world, 0, NULL);
    struct told t = {0};
    assert_true(sh_node_dial(world->node[0], WORLD_TOKEN, sh_span_str("/dns4/nobody/tcp/1"), 0,
                             world->now_us, told_fn, &t) > 0);
    assert_false(world_run(world, &t.count, (SH_NODE_DIAL_MS - 2) * UINT64_C(1000)));
    assert_true(world_run(world, &t.count, 4000));
    assert_int_equal(t.code, SH_E_TIMEOUT);
}

/* SH_NODE_QUOTA_BYTES of all peers together, SH_BLOCKS_KEPT of the pool: who comes when nothing is left is turned away. */
static void test_quota(void **state)
{
    (void)state;
    world_node(world, 0, "/ip4/10.0.0.1/tcp/4001");
    world_run(world, NULL, 1000);
    struct sh_node *n = world->node[0];
    sh_addr remote;
    const uint8_t ip[4] = {10, 0, 0, 9};
    sh_addr_from_ip(&remote, SH_HOST_IP4, ip, 40000);
    assert_int_equal(n->pool.keep_max, SH_BLOCKS_KEPT);
    assert_int_equal(sh_quota_room(&n->loop_quota) + n->loop_quota.used, SH_NODE_QUOTA_BYTES);
    size_t room = sh_quota_room(&n->loop_quota);
    assert_int_equal(sh_quota_take(&n->loop_quota, room), 0);
    assert_int_equal(sh_node_accepted(n, &remote, world->now_us), 0);
    sh_quota_give(&n->loop_quota, room);
    assert_true(sh_node_accepted(n, &remote, world->now_us) != 0);
}

static void test_configured_dial(void **state)
{
    (void)state;
    world_node(world, 0, "/ip4/10.0.0.1/tcp/4001");
    world_run(world, NULL, 1000);
    struct sh_node_config cfg;
    const char *dial = "/ip4/10.0.0.1/tcp/4001";
    world_config(world, 1, &cfg);
    cfg.dial = &dial;
    cfg.dial_count = 1;
    assert_int_equal(sh_node_new(&cfg, world->now_us, &world->node[1]), 0);
    world_run(world, NULL, 3000000);
    assert_non_null(strstr(world->events[0], "peer_up"));
}

static void test_names_and_ask(void **state)
{
    (void)state;
    two_nodes();
    sh_pid pid = spawn(0, false);
    struct told t = {0};
    assert_true(sh_node_register(world->node[0], WORLD_TOKEN, pid, sh_span_str("counter"), 0,
                                 world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    assert_int_equal(t.code, 0);
    const struct sh_pub *pub = sh_pub_by_key(world->node[0]->swarm, sh_span_str("counter"));
    assert_non_null(pub);
    assert_true(sh_span_eq(sh_span_skip(pub->value, 9u + pub->value.p[0]), sh_span_str("counter")));

    t.count = 0;
    assert_true(sh_node_lookup(world->node[1], WORLD_TOKEN, sh_span_str("counter"), 2000000,
                               world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    assert_int_equal(t.code, 0);
    sh_pid found = t.pid;
    assert_int_not_equal(found.node, 0);

    uint8_t five = 5;
    for (int i = 1; i <= 3; i++) {
        t.count = 0;
        sh_runtime *rt = sh_node_runtime(world->node[1]);
        assert_true(sh_runtime_ask(rt, WORLD_TOKEN, found, sh_span_str("inc"), sh_span_of(&five, 1),
                                   world->now_us + 5000000, told_fn, &t) > 0);
        assert_true(world_run(world, &t.count, 10000000));
        assert_int_equal(t.code, 0);
        assert_int_equal(t.value_n, 1);
        assert_int_equal(t.value[0], 5 * i);
    }

    uint8_t ref[SH_MP_REF_MAX];
    size_t n;
    sh_pid again;
    assert_int_equal(sh_node_ref_pack(world->node[1], found, ref, &n), 0);
    assert_int_equal(sh_node_ref_unpack(world->node[0], sh_span_of(ref, n), &again), 0);
    assert_true(sh_pid_eq(again, pid));

    t.count = 0;
    assert_true(sh_node_unregister(world->node[0], WORLD_TOKEN, pid, sh_span_str("counter"),
                                   world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, 0);
    t.count = 0;
    assert_true(sh_node_lookup(world->node[1], WORLD_TOKEN, sh_span_str("counter"), 0,
                               world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 100000000));
    assert_int_equal(t.code, SH_E_NOT_FOUND);
}

static void test_lookup_ends(void **state)
{
    (void)state;
    two_nodes();
    struct told t = {0};
    uint64_t before = world->now_us;
    assert_true(sh_node_lookup(world->node[1], WORLD_TOKEN, sh_span_str("nobody"), 2000000,
                               world->now_us, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    assert_int_equal(t.code, SH_E_NOT_FOUND);
    assert_in_range(world->now_us - before, 1900000, 2100000);

    t.count = 0;
    int64_t call = sh_node_lookup_all(world->node[1], WORLD_TOKEN, sh_span_str("nobody"), true, 0,
                                      world->now_us, told_fn, &t);
    assert_true(call > 0);
    world_run(world, NULL, 1000000);
    assert_int_equal(t.count, 0);
    assert_int_equal(sh_runtime_cancel(sh_node_runtime(world->node[1]), WORLD_TOKEN, call), 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, SH_E_CANCELLED);
    world_run(world, NULL, 1000000);
    assert_int_equal(t.count, 1);
}

static bool has(const struct told *t, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= t->value_n; i++) {
        if (memcmp(t->value + i, text, n) == 0) {
            return true;
        }
    }
    return false;
}

static void test_info(void **state)
{
    (void)state;
    two_nodes();
    sh_pid pid = spawn(0, false);
    struct told t = {0};
    sh_node_register(world->node[0], WORLD_TOKEN, pid, sh_span_str("the-name"), 0, world->now_us,
                     told_fn, &t);
    world_run(world, &t.count, 10000000);
    static const struct {
        const char *what, *has;
    } cases[] = {{"actors", "the-name"},
                 {"actors", "counter"},
                 {"peers", "12D3KooW"},
                 {"names", "the-name"},
                 {"routing", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        t.count = 0;
        assert_true(sh_node_info(world->node[0], WORLD_TOKEN, sh_span_str(cases[i].what),
                                 world->now_us, told_fn, &t) > 0);
        assert_true(world_run(world, &t.count, 1000000));
        assert_int_equal(t.code, 0);
        assert_int_equal(sh_mp_check(sh_span_of(t.value, t.value_n), SH_MP_DEPTH_MAX, NULL), 0);
        assert_true(has(&t, cases[i].has));
    }
    t.count = 0;
    assert_true(sh_node_info(world->node[0], WORLD_TOKEN, sh_span_str("weather"), world->now_us,
                             told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 1000000));
    assert_int_equal(t.code, SH_E_NOT_FOUND);
}

static void remote_info(bool admin)
{
    struct sh_node_config cfg;
    const char *listen = "/ip4/10.0.0.1/tcp/4001";
    world_config(world, 0, &cfg);
    cfg.admin_all = admin;
    cfg.listen = &listen;
    cfg.listen_count = 1;
    assert_int_equal(sh_node_new(&cfg, world->now_us, &world->node[0]), 0);
    spawn(0, false);
    world_node(world, 1, NULL);
    struct told t = {0};
    sh_node_dial(world->node[1], WORLD_TOKEN, sh_span_str(listen), 0, world->now_us, told_fn, &t);
    assert_true(world_run(world, &t.count, 10000000));
    sh_pid pid;
    assert_int_equal(sh_node_peer_pid(world->node[1], sh_node_peer_id(world->node[0]), &pid), 0);
    t.count = 0;
    assert_true(sh_runtime_ask(sh_node_runtime(world->node[1]), WORLD_TOKEN, pid,
                               sh_span_str("info"),
                               sh_span_str("\xa6"
                                           "actors"),
                               world->now_us + 5000000, told_fn, &t) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    if (admin) {
        assert_int_equal(t.code, 0);
        assert_true(has(&t, "counter"));
    } else {
        assert_int_equal(t.code, SH_E_REFUSED);
    }
}

static void test_info_of_a_peer(void **state)
{
    (void)state;
    remote_info(true);
}

static void test_info_is_for_admins(void **state)
{
    (void)state;
    remote_info(false);
}

static void test_actor_failed_event(void **state)
{
    (void)state;
    world_node(world, 0, NULL);
    sh_pid pid = spawn(0, true);
    assert_int_equal(sh_runtime_tell(sh_node_runtime(world->node[0]), WORLD_TOKEN, pid,
                                     sh_span_str("inc"), sh_span_none()),
                     0);
    world_run(world, NULL, 1000000);
    assert_non_null(strstr(world->events[0], "actor_failed no"));
}

static void test_stop(void **state)
{
    (void)state;
    two_nodes();
    spawn(0, false);
    struct told t = {0}, again = {0};
    assert_int_equal(world->listening[0], 1);
    uint64_t before = world->now_us;
    assert_true(sh_node_stop(world->node[0], WORLD_TOKEN, 0, world->now_us, told_fn, &t) > 0);
    assert_true(sh_node_stop(world->node[0], WORLD_TOKEN, 0, world->now_us, told_fn, &again) > 0);
    assert_true(world_run(world, &t.count, 10000000));
    assert_int_equal(t.code, 0);
    assert_true(world->now_us - before < 2000000);
    assert_true(sh_node_stopped(world->node[0]));
    assert_int_equal(world->listening[0], 0);
    world_run(world, NULL, 1000);
    assert_int_equal(again.count, 1);
    for (int p = 0; p < WORLD_PIPES; p++) {
        assert_false(world->pipes[p].used && world->pipes[p].end[0].open);
    }
    assert_non_null(strstr(world->events[1], "peer_down"));
    struct told late = {0};
    assert_true(sh_node_lookup(world->node[0], WORLD_TOKEN, sh_span_str("x"), 0, world->now_us,
                               told_fn, &late) > 0);
    assert_true(world_run(world, &late.count, 1000000));
    assert_int_equal(late.code, SH_E_CLOSED);
}

/* Abrupt: open calls end as closed, inside free. */
/* SH_NODE_STOPS_MAX wait for the end of a stop; who comes later is refused, and those are told. */
static void test_who_waits_for_the_stop(void **state)
{
    (void)state;
    world_node(world, 0, NULL);
    struct told waits[SH_NODE_STOPS_MAX + 1] = {0};
    for (unsigned i = 0; i <= SH_NODE_STOPS_MAX; i++) {
        assert_true(sh_node_stop(world->node[0], WORLD_TOKEN, 1000000, world->now_us, told_fn,
                                 &waits[i]) > 0);
    }
    world_run(world, NULL, 3000000);
    for (unsigned i = 0; i <= SH_NODE_STOPS_MAX; i++) {
        assert_int_equal(waits[i].count, 1);
        assert_int_equal(waits[i].code, i < SH_NODE_STOPS_MAX ? 0 : SH_E_LIMIT);
    }
}

static void test_free_ends_calls(void **state)
{
    (void)state;
    two_nodes();
    struct told t = {0};
    assert_true(sh_node_lookup(world->node[1], WORLD_TOKEN, sh_span_str("nobody"), 60000000,
                               world->now_us, told_fn, &t) > 0);
    world_run(world, NULL, 100000);
    assert_int_equal(t.count, 0);
    world_free_node(world, 1);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.code, SH_E_CLOSED);
    world_run(world, NULL, 100000);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct sh_node_config cfg;
    const char *listen = "/ip4/10.0.0.1/tcp/4001";
    const char *dial = "/ip4/10.0.0.2/tcp/4001";
    for (size_t k = 1;; k++) {
        sh_mem_counter counter;
        world_config(world, 0, &cfg);
        cfg.mem = sh_mem_counted(&counter, sh_mem_system());
        cfg.listen = &listen;
        cfg.dial = &dial;
        cfg.listen_count = cfg.dial_count = 1;
        atomic_store(&counter.fail_at, k);
        sh_node *n = NULL;
        int rc = sh_node_new(&cfg, world->now_us, &n);
        sh_node_free(n, world->now_us);
        assert_int_equal(atomic_load(&counter.live_blocks), 0);
        if (rc == 0 && atomic_load(&counter.allocations) < k) {
            break;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_listen),
        T(test_dial),
        T(test_dial_without_an_answer),
        T(test_quota),
        T(test_configured_dial),
        T(test_names_and_ask),
        T(test_lookup_ends),
        T(test_info),
        T(test_info_of_a_peer),
        T(test_info_is_for_admins),
        T(test_actor_failed_event),
        T(test_stop),
        T(test_who_waits_for_the_stop),
        T(test_free_ends_calls),
        T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
