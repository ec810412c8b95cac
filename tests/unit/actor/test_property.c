/* Seeded random schedules of many actors on one and on two executors. After each run: messages of a pair came in
 * order and at most once, every ask ended exactly once, every death was told once to each who watched. */
#include "fixture.h"

enum { ACTORS = 12, STEPS = 3000, CALLS = STEPS * 4, SEEDS = 12 };

struct world {
    sh_runtime *rt;
    sh_rng_seeded seed;
    sh_rng rng;
    sh_pid pids[ACTORS];
    bool stopped[ACTORS];
    uint32_t sent[ACTORS + 1][ACTORS]; /* last number given out by sender (ACTORS: outside) */
    uint32_t seen[ACTORS + 1][ACTORS]; /* last number begun */
    uint8_t begun[CALLS];
    uint8_t ended[CALLS];
    uint32_t calls;
    uint8_t watches[ACTORS][ACTORS]; /* [watcher][watched]: 1 watching, 2 told */
    uint32_t deaths_told;
    uint32_t refused;
    const sh_type *type;
};

struct state {
    uint32_t me;
};

struct body {
    uint32_t from;
    uint32_t number;
};

struct call {
    struct world *w;
    uint32_t index;
};
static struct call calls[CALLS];

static uint32_t pick(struct world *w, uint32_t n)
{
    return (uint32_t)sh_rng_below(&w->rng, n);
}

static void call_done(void *ud, const struct sh_result *r)
{
    struct call *c = ud;
    c->w->ended[c->index]++;
    if (r->code < 0) {
        assert_in_range(r->delivery, SH_NOT_SENT, SH_HANDLED);
        assert_true(r->code >= SH_E_USAGE);
    }
}

static int call_then(sh_cx *cx, void *ud, const struct sh_result *r)
{
    (void)cx;
    call_done(ud, r);
    return 0;
}

static struct call *call_new(struct world *w)
{
    struct call *c = &calls[w->calls];
    *c = (struct call){w, w->calls};
    assert_true(w->calls < CALLS);
    w->calls++;
    return c;
}

/* One random send; cx NULL: from outside. */
static void send_one(struct world *w, sh_cx *cx, uint32_t me, uint64_t now)
{
    uint32_t to = pick(w, ACTORS);
    struct body body = {me, w->sent[me][to] + 1};
    sh_span value = sh_span_of(&body, sizeof body);
    int64_t rc = 0;
    if (pick(w, 2)) {
        rc = cx ? sh_cx_tell(cx, w->pids[to], STR("m"), value)
                : sh_runtime_tell(w->rt, 1, w->pids[to], STR("m"), value);
    } else {
        struct call *c = call_new(w);
        uint64_t us = 1000 + pick(w, 20000);
        rc = cx ? sh_cx_ask(cx, w->pids[to], STR("m"), value, us, call_then, c)
                : sh_runtime_ask(w->rt, 1, w->pids[to], STR("m"), value, now + us, call_done, c);
        w->begun[c->index] = rc > 0;
        if (rc > 0 && pick(w, 20) == 0) {
            cx ? sh_cx_cancel(cx, rc) : sh_runtime_cancel(w->rt, 1, rc);
        }
    }
    if (rc >= 0) {
        w->sent[me][to] = body.number;
    } else {
        w->refused++;
    }
}

static int handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct world *w = ud;
    struct state *s = state;
    struct body body;
    (void)index;
    (void)name;
    assert_int_equal(value.n, sizeof body);
    memcpy(&body, value.p, sizeof body);
    assert_true(body.number > w->seen[body.from][s->me]); /* in order, at most once */
    assert_true(body.number <= w->sent[body.from][s->me] + 1);
    w->seen[body.from][s->me] = body.number;
    if (w->calls < CALLS - STEPS && pick(w, 3) == 0) {
        send_one(w, cx, s->me, 0);
    }
    sh_pid promise;
    switch (pick(w, 12)) {
    case 0: return sh_cx_fail(cx, STR("failed"), sh_span_none(), sh_span_none());
    case 1: sh_cx_defer(cx, &promise); return 0;
    case 2: sh_cx_reply(cx, value); return 0;
    case 3: return sh_cx_forward(cx, w->pids[pick(w, ACTORS)], STR("other"), value) < 0 ? -1 : 0;
    default: return 0;
    }
}

static int init(void *ud, sh_cx *cx, void *state, sh_span args, void *user)
{
    (void)ud;
    (void)cx;
    (void)args;
    ((struct state *)state)->me = (uint32_t)(uintptr_t)user;
    return 0;
}

static int error(void *ud, sh_cx *cx, void *state, const struct sh_result *r)
{
    (void)cx;
    (void)state;
    (void)r;
    return pick(ud, 8) == 0 ? SH_RESTART_IT : SH_RESUME;
}

static int down(void *ud, sh_cx *cx, void *state, sh_pid dead, const struct sh_reason *r,
                unsigned flags)
{
    struct world *w = ud;
    (void)cx;
    (void)r;
    (void)flags;
    for (uint32_t i = 0; i < ACTORS; i++) {
        if (sh_pid_eq(w->pids[i], dead)) {
            uint8_t *at = &w->watches[((struct state *)state)->me][i];
            assert_int_equal(*at, 1);
            *at = 2;
            w->deaths_told++;
        }
    }
    return SH_RESUME;
}

static void turns(struct world *w, unsigned execs, uint64_t now, size_t max)
{
    for (unsigned e = 0; e < execs; e++) {
        sh_exec *x = sh_runtime_exec(w->rt, e);
        struct sh_turn turn;
        if (sh_exec_enter(x, 1)) {
            sh_exec_turn(x, now, max, &turn);
            sh_exec_leave(x, 1);
        }
    }
}

static void begin(struct world *w, uint64_t seed, unsigned execs, sh_mem_counter *mem)
{
    memset(w, 0, sizeof *w);
    w->rng = sh_rng_seeded_init(&w->seed, seed);
    sh_mem_counted(mem, sh_mem_system());
    struct sh_runtime_config cfg;
    sh_runtime_config_init(&cfg);
    cfg.mem = &mem->mem;
    cfg.execs = execs;
    cfg.self_tag = 1;
    cfg.rng[0] = &w->rng;
    cfg.rng[1] = &w->rng;
    cfg.shuffle = seed % 2 ? &w->rng : NULL;
    assert_int_equal(sh_runtime_new(&cfg, 1, &w->rt), 0);
    sh_span name = STR("m");
    struct sh_actor_type def = {.id = STR("a"),
                                .ud = w,
                                .state_size = sizeof(struct state),
                                .names = &name,
                                .name_count = 1,
                                .mailbox = 4,
                                .init = init,
                                .handle = handle,
                                .on_error = error,
                                .on_down = down};
    const sh_type *types[2];
    assert_int_equal(sh_runtime_type(w->rt, &def, &types[0]), 0);
    def.flags = SH_TYPE_REENTRANT;
    assert_int_equal(sh_runtime_type(w->rt, &def, &types[1]), 0);
    for (uint32_t i = 0; i < ACTORS; i++) {
        struct sh_spawn opt;
        sh_spawn_init(&opt);
        opt.user = (void *)(uintptr_t)i;
        assert_int_equal(
            sh_runtime_spawn(w->rt, 1, i % execs, types[pick(w, 2)], &opt, &w->pids[i]), 0);
    }
}

/* One of: a watch, in the second half a kill or a stop, and most of the time a message. */
static void act(struct world *w, uint32_t step, uint64_t now)
{
    switch (pick(w, 40)) {
    case 0: {
        uint32_t a = pick(w, ACTORS);
        uint32_t b = pick(w, ACTORS);
        bool alive = sh_runtime_alive(w->rt, w->pids[a]);
        if (a != b && alive && !w->watches[a][b] &&
            sh_runtime_monitor(w->rt, 1, w->pids[a], w->pids[b]) == 0) {
            w->watches[a][b] = 1;
        }
        break;
    }
    case 1:
        if (step > STEPS / 2 && pick(w, 4) == 0) {
            sh_runtime_kill(w->rt, 1, w->pids[pick(w, ACTORS)], STR("k"));
        }
        break;
    case 2:
        if (step > STEPS / 2 && pick(w, 4) == 0) {
            sh_runtime_stop(w->rt, 1, w->pids[pick(w, ACTORS)], STR("s"), NULL, NULL);
        }
        break;
    default: send_one(w, NULL, ACTORS, now); break;
    }
}

/* Every ask ended once, every death that was watched was told, no slot is taken. */
static void compare(const struct world *w, unsigned execs)
{
    for (uint32_t i = 0; i < w->calls; i++) {
        assert_int_equal(w->ended[i], w->begun[i]);
    }
    for (uint32_t a = 0; a < ACTORS; a++) {
        for (uint32_t b = 0; b < ACTORS; b++) {
            if (w->watches[a][b] == 1 && sh_runtime_alive(w->rt, w->pids[a])) {
                assert_true(sh_runtime_alive(w->rt, w->pids[b]));
            }
        }
    }
    struct sh_exec_stats stats;
    for (unsigned e = 0; e < execs; e++) {
        sh_exec_stats(sh_runtime_exec(w->rt, e), &stats);
        assert_int_equal(stats.asks, 0);
    }
}

static void play(uint64_t seed, unsigned execs)
{
    static struct world world;
    struct world *w = &world;
    sh_mem_counter mem;
    begin(w, seed, execs, &mem);
    uint64_t now = 1;
    for (uint32_t step = 0; step < STEPS; step++) {
        bool taken = pick(w, 4) == 0 && sh_exec_enter(sh_runtime_exec(w->rt, 0), 9);
        act(w, step, now);
        if (taken) {
            sh_exec_leave(sh_runtime_exec(w->rt, 0), 9);
        }
        now += pick(w, 400);
        turns(w, execs, now, 1 + pick(w, 30));
        struct sh_runtime_event ev;
        while (sh_runtime_event(w->rt, &ev)) {
            assert_true(ev.count > 0);
        }
    }
    for (int i = 0; i < 400; i++) { /* every deadline passes */
        turns(w, execs, now += 1000, 10000);
    }
    compare(w, execs);
    sh_runtime_free(w->rt);
    assert_int_equal(mem.live_blocks, 0);
    print_message("seed %d execs %u: %u asks, %u refused, %u deaths told\n", (int)seed, execs,
                  w->calls, w->refused, w->deaths_told);
}

static void schedules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        play(seed, 1);
        play(seed, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
