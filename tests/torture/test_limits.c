/* tests/torture/test_limits.c - limits of base/sh_limits.h that users run into, on the simulator: each is met, says so, and
 * there is room again afterwards. Those that only a hostile peer meets are in tests/unit/. */
#include "world.h"

#include "base/sh_limits.h"

static struct world W;

static shoal_node *node_with(shoal_sim *sim, shoal_node_config *cfg)
{
    shoal_node *node = NULL;
    int code = sim ? shoal_sim_node(sim, cfg, &node) : shoal_node_new(cfg, &node);
    assert_true(code == 0 || node == NULL);
    return node;
}

static shoal_node_config config(void)
{
    static const char *const any[] = {"/ip4/0.0.0.0/tcp/4001"}, *const all[] = {"all"};
    shoal_node_config cfg;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.listen = any;
    cfg.listen_count = 1;
    cfg.admin = all;
    cfg.admin_count = 1;
    cfg.log_level = SHOAL_LOG_OFF;
    return cfg;
}

static int setup(void **state)
{
    (void)state;
    static const char *const b[] = {"/ip4/10.0.0.0/tcp/4001"};
    memset(&W, 0, sizeof W);
    W.name = "limits";
    assert_int_equal(shoal_sim_new(11, &W.sim), 0);
    shoal_node_config cfg = config();
    W.node[ON_B] = node_with(W.sim, &cfg);
    cfg.dial = b;
    cfg.dial_count = 1;
    W.node[ON_A] = node_with(W.sim, &cfg);
    shoal_spawn_options o = {.struct_size = sizeof o, .user = &W};
    assert_int_equal(shoal_spawn(B(&W), &torture_type, &o, &W.pid[ON_B]), 0);
    world_advance(&W, 500 * MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shoal_node_free(A(&W));
    shoal_node_free(B(&W));
    shoal_sim_free(W.sim);
    return 0;
}

static shoal_pid seen_from_a(shoal_pid pid)
{
    char text[160];
    shoal_pid seen;
    assert_true(shoal_pid_text(B(&W), pid, text, sizeof text) > 0);
    assert_int_equal(shoal_pid_parse(A(&W), text, &seen), 0);
    return seen;
}

static int ended(struct op *op)
{
    world_settle(&W);
    W.op_count = 0;
    return op->code;
}

static void test_mailbox(void **state)
{
    (void)state;
    t_ask(&W, B(&W), W.pid[ON_B], "hold", shoal_nil(), 60000);
    world_advance(&W, 10 * MS);
    for (int i = 0; i < SH_MAILBOX_DEFAULT; i++) {
        assert_int_equal(shoal_tell(B(&W), W.pid[ON_B], "inc", shoal_nil()), 0);
    }
    assert_int_equal(shoal_tell(B(&W), W.pid[ON_B], "inc", shoal_nil()), SHOAL_E_MAILBOX_FULL);
    assert_int_equal(shoal_finish(W.held, 0), 0);
    world_settle(&W);
    assert_int_equal(shoal_tell(B(&W), W.pid[ON_B], "inc", shoal_nil()), 0);
}

static void on_any(void *ud, const shoal_result *result)
{
    (void)result;
    ++*(unsigned *)ud;
}

static void test_asks(void **state)
{
    (void)state;
    unsigned ends = 0;
    shoal_spawn_options o = {.struct_size = sizeof o, .mailbox = UINT32_MAX};
    shoal_pid pid;
    assert_int_equal(shoal_spawn(B(&W), &torture_type, &o, &pid), 0);
    for (int i = 0; i < SH_ASKS_MAX; i++) {
        assert_true(shoal_ask(B(&W), pid, "never", shoal_nil(), 1000, on_any, &ends) > 0);
    }
    assert_int_equal(shoal_ask(B(&W), pid, "never", shoal_nil(), 1000, on_any, &ends),
                     SHOAL_E_LIMIT);
    world_advance(&W, 2 * SECOND);
    assert_int_equal(ends, SH_ASKS_MAX);
    assert_int_equal(ended(t_ask(&W, B(&W), pid, "inc", shoal_nil(), 0)), 0);
}

/* The default is SH_ACTORS_MAX; a smaller bound is met the same way. */
static void test_actors(void **state)
{
    (void)state;
    shoal_node_config cfg = config();
    shoal_pid pid[9];
    assert_int_equal(cfg.max_actors, SH_ACTORS_MAX);
    assert_int_equal(cfg.mailbox, SH_MAILBOX_DEFAULT);
    assert_int_equal(cfg.max_asks, SH_ASKS_MAX);
    cfg.max_actors = 8;
    shoal_node *node = node_with(W.sim, &cfg);
    int made = 0;
    while (made < 9 && shoal_spawn(node, &torture_type, NULL, &pid[made]) == 0) {
        made++;
    }
    assert_in_range(made, 7, 8);
    assert_int_equal(shoal_spawn(node, &torture_type, NULL, &pid[8]), SHOAL_E_LIMIT);
    assert_int_equal(shoal_kill(node, pid[0]), 0);
    world_advance(&W, 10 * MS);
    assert_int_equal(shoal_spawn(node, &torture_type, NULL, &pid[8]), 0);
    shoal_node_free(node);
}

static void test_default_times(void **state)
{
    (void)state;
    uint64_t from = shoal_sim_now_us(W.sim);
    struct op *op = t_ask(&W, B(&W), W.pid[ON_B], "never", shoal_nil(), 0);
    world_advance(&W, SH_ASK_TIMEOUT_MS * MS - 10 * MS);
    assert_int_equal(op->ends, 0);
    world_advance(&W, 20 * MS);
    assert_int_equal(op->code, SHOAL_E_TIMEOUT);
    t_ask(&W, B(&W), W.pid[ON_B], "hold", shoal_nil(), 60000); /* accepted, never answered */
    world_advance(&W, 10 * MS);
    from = shoal_sim_now_us(W.sim);
    op = t_node_stop(&W, B(&W), 0);
    while (!op->ends) {
        world_advance(&W, 10 * MS);
    }
    assert_int_equal(op->code, SHOAL_E_TIMEOUT);
    assert_in_range(shoal_sim_now_us(W.sim) - from, SH_STOP_TIMEOUT_MS * MS,
                    (SH_STOP_TIMEOUT_MS + 1500) * MS);
}

/* A peer that is there but silent holds a stop up for SH_BYE_ANSWER_MS: its answer, then the end of its stream. */
static void test_stop_beside_silence(void **state)
{
    (void)state;
    assert_int_equal(ended(t_ask(&W, A(&W), seen_from_a(W.pid[ON_B]), "inc", shoal_nil(), 0)), 0);
    assert_int_equal(shoal_sim_partition(W.sim, &A(&W), 1, &B(&W), 1), 0);
    uint64_t from = shoal_sim_now_us(W.sim);
    struct op *op = t_node_stop(&W, A(&W), 0);
    while (!op->ends && shoal_sim_now_us(W.sim) - from < 10 * SECOND) {
        world_advance(&W, 10 * MS);
    }
    assert_int_equal(op->ends, 1);
    assert_int_equal(op->code, 0);
    assert_in_range(shoal_sim_now_us(W.sim) - from, SH_BYE_ANSWER_MS * MS,
                    (2 * SH_BYE_ANSWER_MS + 1100) * MS); /* and a pipe lingers */
}

static void test_message_sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t most;
        bool good;
    } cases[] = {{SH_NODE_MESSAGE_MIN - 1, false},
                 {SH_NODE_MESSAGE_MIN, true},
                 {SH_NODE_MESSAGE_LIMIT, true},
                 {SH_NODE_MESSAGE_LIMIT + 1u, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shoal_node_config cfg = config();
        cfg.max_message = cases[i].most;
        shoal_node *node = node_with(W.sim, &cfg);
        if ((node != NULL) != cases[i].good) {
            fail_msg("%u: %s", cases[i].most, shoal_last_error(NULL));
        }
        shoal_node_free(node);
    }
}

/* What does not fit into an answer to a peer is left out; the host is told all. */
static void test_info_bytes(void **state)
{
    (void)state;
    char id[80];
    shoal_pid pid;
    for (int i = 0; i < 30000; i++) {
        assert_int_equal(shoal_spawn(B(&W), &torture_type, NULL, &pid), 0);
    }
    assert_true(shoal_peer_id(B(&W), id, sizeof id) > 0);
    struct op *far = t_info(&W, A(&W), "actors", id), *own = t_info(&W, B(&W), "actors", NULL);
    world_settle(&W);
    assert_int_equal(far->code, 0);
    assert_in_range(far->len, SH_NODE_INFO_BYTES_MAX / 2, SH_NODE_INFO_BYTES_MAX);
    assert_int_equal(own->code, 0);
    assert_in_range(own->len, SH_NODE_INFO_BYTES_MAX + 1, SH_NODE_INFO_LOCAL_MAX);
}

/* Names and actors beyond SH_INTERN_NAMES_MAX and SH_INTERN_ACTORS_MAX are spelt out: slower, not wrong. */
static void test_intern_tables(void **state)
{
    (void)state;
    shoal_pid far = seen_from_a(W.pid[ON_B]);
    char name[32];
    for (int i = 0; i < SH_INTERN_NAMES_MAX + 100; i++) {
        snprintf(name, sizeof name, "unheard-of %d", i);
        assert_int_equal(ended(t_ask(&W, A(&W), far, name, shoal_nil(), 0)), SHOAL_E_NO_HANDLER);
    }
    for (int i = 0; i < SH_INTERN_ACTORS_MAX + 100; i++) {
        shoal_pid pid;
        assert_int_equal(shoal_spawn(B(&W), &torture_type, NULL, &pid), 0);
        assert_int_equal(ended(t_ask(&W, A(&W), seen_from_a(pid), "inc", shoal_nil(), 0)), 0);
        if (i % 2) {
            shoal_kill(B(&W), pid);
        }
    }
    assert_int_equal(ended(t_ask(&W, A(&W), far, "inc", shoal_nil(), 0)), 0);
}

/* On real sockets: the simulator's hosts have four listeners. */
static void test_listeners(void **state)
{
    (void)state;
    static const char *const any = "/ip4/127.0.0.1/tcp/0";
    shoal_node_config cfg = config();
    char text[200];
    cfg.listen_count = 0;
    shoal_node *node = node_with(NULL, &cfg);
    for (int i = 0; i < SH_NODE_LISTENERS_MAX; i++) {
        assert_int_equal(shoal_listen(node, any), 0);
    }
    assert_int_equal(shoal_listen(node, any), SHOAL_E_LIMIT);
    assert_true(shoal_address(node, SH_LISTEN_MAX - 1, text, sizeof text) > 0);
    shoal_node_free(node);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_mailbox),
        T(test_asks),
        T(test_actors),
        T(test_default_times),
        T(test_stop_beside_silence),
        T(test_message_sizes),
        T(test_info_bytes),
        T(test_intern_tables),
        cmocka_unit_test(test_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
