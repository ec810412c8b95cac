/* Thousands of watches on one actor and of asks in one mailbox, given back one by one: a few steps for each. */
#include "fixture.h"

#include "actor/internal.h"

enum { MANY = 16384, PEER = 3, PEER_CHECK = 9 };

struct many {
    struct env env;
    const sh_type *type; /* notes which numbers it handled, and in which order */
    bool hold;           /* its next message */
    sh_cx *held;
    uint32_t handled[MANY];
    uint32_t handled_count;
    uint32_t order[MANY];
};

static int many_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct many *many = ud;
    (void)state, (void)index, (void)name;
    if (value.n != sizeof(uint32_t)) { /* the one that makes the others wait */
        sh_cx_hold(cx);
        many->held = cx;
        return 0;
    }
    assert_true(many->handled_count < MANY);
    memcpy(&many->handled[many->handled_count++], value.p, sizeof(uint32_t));
    return 0;
}

static sh_cx *open_cx[MANY];
static uint32_t open_count;

static int holding_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud, (void)state, (void)index, (void)name, (void)value;
    assert_true(open_count < MANY);
    open_cx[open_count++] = cx;
    sh_cx_hold(cx);
    return 0;
}

static void many_start(struct many *many, unsigned execs)
{
    memset(many, 0, sizeof *many);
    env_start(&many->env, execs);
    sh_runtime_peer_gate_open(many->env.rt, PEER, PEER_CHECK, 1 << 20);
    struct sh_actor_type def = {
        .id = STR("many"), .ud = many, .takes_any = true, .mailbox = 0, .handle = many_handle};
    assert_int_equal(sh_runtime_type(many->env.rt, &def, &many->type), 0);
}

static sh_pid far(uint32_t i)
{
    return (sh_pid){0x100 + i, PEER, PEER_CHECK};
}

static void give(struct many *many, enum sh_msg_kind kind, sh_pid to, uint32_t i)
{
    struct sh_msg_parts parts = {0};
    if (kind == SH_MSG_ASK || kind == SH_MSG_TELL) {
        parts.name = STR("number");
        parts.value = sh_span_of(&i, sizeof i);
    }
    sh_msg *m = sh_runtime_msg_new(many->env.rt, kind, &parts);
    assert_non_null(m);
    m->to = to;
    if (kind == SH_MSG_WATCH || kind == SH_MSG_UNWATCH) {
        m->from = far(i);
    } else if (kind != SH_MSG_TELL) {
        m->reply = far(i);
    }
    sh_runtime_inject(many->env.rt, m);
}

static uint64_t searched(struct many *many)
{
    struct sh_exec_stats stats;
    uint64_t sum = 0;
    for (unsigned e = 0; e < sh_runtime_execs(many->env.rt); e++) {
        sh_exec_stats(sh_runtime_exec(many->env.rt, e), &stats);
        sum += stats.searched;
    }
    return sum;
}

/* Of what goes out to the peer: messages of that kind, whose `to` runs upwards if `upwards`. */
static uint32_t sent(struct many *many, enum sh_msg_kind kind, bool upwards)
{
    uint32_t n = 0;
    uint64_t last = 0;
    sh_msg *m = NULL;
    struct sh_returned r;
    while ((m = sh_runtime_take_outbound(many->env.rt)) != NULL) {
        if (m->kind == kind) {
            assert_true(!upwards || m->to.actor > last);
            last = m->to.actor;
            n++;
        }
        sh_runtime_msg_done(many->env.rt, m);
    }
    while (sh_runtime_take_returned(many->env.rt, &r)) {
    }
    return n;
}

/* 0..n-1, shuffled (how 2), backwards (1) or as they are (0). */
static void order(struct many *many, uint32_t n, int how)
{
    for (uint32_t i = 0; i < n; i++) {
        many->order[i] = how == 1 ? n - 1 - i : i;
    }
    for (uint32_t i = n; how == 2 && i > 1; i--) {
        uint32_t j = (uint32_t)sh_rng_below(&many->env.rng[0], i);
        uint32_t swapped = many->order[i - 1];
        many->order[i - 1] = many->order[j];
        many->order[j] = swapped;
    }
}

static void watches_of_a_peer(void **state)
{
    (void)state;
    static struct many many;
    for (int round = 0; round < 6; round++) {
        many_start(&many, 2);
        struct env *env = &many.env;
        sh_pid a = spawn_in(env, (unsigned)round & 1u, env->type, -1);
        for (uint32_t i = 0; i < MANY; i++) {
            give(&many, SH_MSG_WATCH, a, i);
            give(&many, SH_MSG_WATCH, a, i); /* again: the same one */
        }
        run(env);
        assert_true(searched(&many) < 8 * MANY);
        order(&many, MANY, round / 2);
        uint64_t before = searched(&many);
        for (uint32_t i = 0; i < MANY - 100; i++) {
            give(&many, SH_MSG_UNWATCH, a, many.order[i]);
            give(&many, SH_MSG_UNWATCH, a, many.order[i]); /* there is none any more */
        }
        run(env);
        assert_true(searched(&many) - before < 8 * MANY);
        sent(&many, SH_MSG_DOWN, false);
        sh_runtime_stop(env->rt, 1, a, sh_span_none(), NULL, NULL);
        run(env);
        assert_int_equal(sent(&many, SH_MSG_DOWN, true), 100); /* in the order of watching */
        env_end(env);
    }
}

/* The other side: one that watches many, and two such share the table. */
static void watches_of_ours(void **state)
{
    (void)state;
    static struct many many;
    many_start(&many, 1);
    struct env *env = &many.env;
    sh_pid a[2] = {spawn(env), spawn(env)};
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(sh_runtime_monitor(env->rt, 1, a[i & 1], far(i / 2)), 0);
        assert_int_equal(sh_runtime_link(env->rt, 1, a[i & 1], far(i / 2)), 0);
    }
    run(env);
    assert_int_equal(sent(&many, SH_MSG_WATCH, false), 4000);
    uint64_t before = searched(&many);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(sh_runtime_unlink(env->rt, 1, a[0], far(999 - i)), 0);
    }
    run(env);
    assert_true(searched(&many) - before < 8 * 3000);
    assert_int_equal(sent(&many, SH_MSG_UNWATCH, false), 1000);
    sh_runtime_kill(env->rt, 1, a[0], sh_span_none());
    run(env);
    assert_int_equal(sent(&many, SH_MSG_DOWN, false), 0);
    sh_runtime_kill(env->rt, 1, a[1], sh_span_none());
    run(env);
    assert_int_equal(sent(&many, SH_MSG_DOWN, true), 1000);
    env_end(env);
}

static void asks_of_a_peer(void **state)
{
    (void)state;
    static struct many many;
    for (int round = 0; round < 6; round++) {
        many_start(&many, 2);
        struct env *env = &many.env;
        sh_pid a = spawn_in(env, (unsigned)round & 1u, many.type, 0);
        assert_int_equal(tell(env, a, "hold", "me"), 0);
        run(env);
        for (uint32_t i = 0; i < MANY; i++) {
            give(&many, i % 8 ? SH_MSG_ASK : SH_MSG_TELL, a, i);
        }
        run(env);
        order(&many, MANY, round / 2);
        for (uint32_t i = 0; i < MANY; i++) {
            if (many.order[i] % 8 > 1) {
                give(&many, SH_MSG_CANCEL, a, many.order[i]);
                give(&many, SH_MSG_CANCEL, a, many.order[i]); /* there is none any more */
            }
        }
        run(env);
        assert_true(searched(&many) < 8 * MANY);
        sent(&many, SH_MSG_REPLY, false);
        sh_exec *x = sh_runtime_exec(env->rt, (unsigned)round & 1u);
        assert_true(sh_exec_enter(x, 1));
        sh_cx_finish(many.held, 0);
        sh_exec_leave(x, 1);
        run(env);
        assert_int_equal(many.handled_count, MANY / 4); /* the others, in order */
        for (uint32_t i = 0; i < many.handled_count; i++) {
            assert_int_equal(many.handled[i], i / 2 * 8 + i % 2);
        }
        env_end(env);
    }
}

static sh_pid holder_start(struct many *many)
{
    struct sh_actor_type def = {.id = STR("holds"),
                                .takes_any = true,
                                .mailbox = 0,
                                .flags = SH_TYPE_REENTRANT,
                                .handle = holding_handle};
    const sh_type *type;
    many_start(many, 1);
    open_count = 0;
    assert_int_equal(sh_runtime_type(many->env.rt, &def, &type), 0);
    return spawn_in(&many->env, 0, type, 0);
}

static void open_asks(struct many *many, sh_pid a, uint32_t count, bool memory)
{
    for (uint32_t i = 0; i < count; i++) {
        give(many, SH_MSG_ASK, a, i);
    }
    many->env.mem.fail_from = memory ? 0 : 1;
    run(&many->env);
    many->env.mem.fail_from = 0;
    assert_int_equal(open_count, count);
}

static void close_asks(struct many *many)
{
    sh_exec *x = sh_runtime_exec(many->env.rt, 0);
    assert_true(sh_exec_enter(x, 1));
    while (open_count > 0) {
        sh_cx_finish(open_cx[--open_count], 0);
    }
    sh_exec_leave(x, 1);
    run(&many->env);
}

/* Takes all of them back, twice. */
static void cancel_asks(struct many *many, sh_pid a, uint32_t count, int how)
{
    order(many, count, how);
    for (uint32_t i = 0; i < count; i++) {
        give(many, SH_MSG_CANCEL, a, many->order[i]);
        give(many, SH_MSG_CANCEL, a, many->order[i]); /* there is none any more */
    }
    run(&many->env);
    assert_int_equal(sent(many, SH_MSG_REPLY, false), 2 * count);
    close_asks(many);
    assert_int_equal(sent(many, SH_MSG_REPLY, false),
                     0); /* what their handlers answer goes nowhere */
}

/* Asks that are being handled, all at once: each is found in a few steps. */
static void open_asks_of_a_peer(void **state)
{
    (void)state;
    static struct many many;
    for (int how = 0; how < 3; how++) {
        sh_pid a = holder_start(&many);
        open_asks(&many, a, MANY, true);
        cancel_asks(&many, a, MANY, how);
        assert_true(searched(&many) < 10 * MANY);
        env_end(&many.env);
    }
}

/* Without memory to note who asked, each is found all the same. */
static void open_asks_without_memory(void **state)
{
    enum { COUNT = 200 };
    (void)state;
    static struct many many;
    sh_pid a = holder_start(&many);
    sh_exec *x = sh_runtime_exec(many.env.rt, 0);
    open_asks(&many, a, COUNT, true);
    close_asks(&many);
    assert_int_equal(sent(&many, SH_MSG_REPLY, false), COUNT);
    sh_map_u64_rest(&x->askers);
    open_asks(&many, a, COUNT, false); /* the contexts are there, no table is */
    assert_int_equal(x->askers.count, 0);
    cancel_asks(&many, a, COUNT, 2);
    env_end(&many.env);
}

/* Asks that come, are handled and are taken back, in any order: what is not taken back is handled, in order. */
static void asks_come_and_go(void **state)
{
    (void)state;
    static struct many many;
    static bool gone[MANY];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        many_start(&many, 1);
        memset(gone, 0, sizeof gone);
        struct env *env = &many.env;
        sh_rng_seeded own;
        sh_rng rng = sh_rng_seeded_init(&own, seed);
        sh_pid a = spawn_in(env, 0, many.type, 0);
        sh_exec *x = sh_runtime_exec(env->rt, 0);
        uint32_t next = 0;
        struct sh_turn turn;
        for (int step = 0; step < 200; step++) {
            assert_true(sh_exec_enter(x, 1));
            for (uint64_t n = sh_rng_below(&rng, 80); n > 0 && next < MANY; n--, next++) {
                give(&many, sh_rng_below(&rng, 4) ? SH_MSG_ASK : SH_MSG_TELL, a, next);
            }
            for (uint64_t n = sh_rng_below(&rng, 40); n > 0 && next > 0; n--) {
                uint32_t i = next - 1 - (uint32_t)sh_rng_below(&rng, next < 300 ? next : 300);
                give(&many, SH_MSG_CANCEL, a, i);
            }
            sh_exec_turn(x, env->now, (size_t)sh_rng_below(&rng, 40) + 1, &turn);
            sh_exec_leave(x, 1);
            sh_msg *m = NULL;
            while ((m = sh_runtime_take_outbound(env->rt)) != NULL) {
                if (m->kind == SH_MSG_REPLY && m->why == SH_NOT_SENT) {
                    gone[m->to.actor - 0x100] = true;
                }
                sh_runtime_msg_done(env->rt, m);
            }
            sent(&many, SH_MSG_REPLY, false);
        }
        run(env);
        uint32_t at = 0;
        for (uint32_t i = 0; i < next; i++) {
            if (!gone[i]) {
                assert_true(at < many.handled_count);
                assert_int_equal(many.handled[at++], i);
            }
        }
        assert_int_equal(at, many.handled_count);
        sent(&many, SH_MSG_REPLY, false);
        env_end(env);
    }
}

/* Killed while its table stands; and without memory for one. */
static void ends(void **state)
{
    (void)state;
    static struct many many;
    for (int round = 0; round < 2; round++) {
        many_start(&many, 1);
        struct env *env = &many.env;
        sh_pid a = spawn_in(env, 0, many.type, 0);
        assert_int_equal(tell(env, a, "hold", "me"), 0);
        run(env);
        for (uint32_t i = 0; i < 1000; i++) {
            give(&many, SH_MSG_ASK, a, i);
            give(&many, SH_MSG_WATCH, a, i);
        }
        run(env);
        if (round == 1) {
            env->mem.fail_from = 1;
        }
        for (uint32_t i = 0; i < 900; i++) {
            give(&many, SH_MSG_CANCEL, a, 999 - i);
            give(&many, SH_MSG_UNWATCH, a, 999 - i);
            sent(&many, SH_MSG_REPLY, false);
        }
        run(env);
        env->mem.fail_from = 0;
        sh_runtime_kill(env->rt, 1, a, sh_span_none());
        run(env);
        assert_int_equal(many.handled_count, 0);
        sh_exec *x = sh_runtime_exec(env->rt, 0);
        assert_true(sh_exec_enter(x, 1));
        sh_cx_finish(many.held, 0);
        sh_exec_leave(x, 1);
        run(env);
        assert_int_equal(sent(&many, SH_MSG_DOWN, true), 100);
        env_end(env);
    }
}

/* Whatever a spawn has no memory for, it says so: init itself never fails here. */
static void spawn_says_limit(void **state)
{
    (void)state;
    int rc = SH_E_LIMIT;
    for (size_t k = 1; rc; k++) {
        struct env env;
        sh_pid pid;
        env_start(&env, 1);
        env.mem.fail_at = env.mem.allocations + k;
        rc = sh_runtime_spawn(env.rt, 1, 0, env.type, NULL, &pid);
        assert_true(rc == 0 || rc == SH_E_LIMIT);
        env_end(&env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watches_of_a_peer),
        cmocka_unit_test(watches_of_ours),
        cmocka_unit_test(asks_of_a_peer),
        cmocka_unit_test(open_asks_of_a_peer),
        cmocka_unit_test(open_asks_without_memory),
        cmocka_unit_test(asks_come_and_go),
        cmocka_unit_test(ends),
        cmocka_unit_test(spawn_says_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
