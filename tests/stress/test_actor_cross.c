/* Two executors on two threads tell each other's actors as fast as they can, while a third thread kills and stops
 * those: every tell that was taken is handled in order or counted as lost, and every message is home in the end. For TSan. */
#include "drive.h"

enum { SENDERS = 3, SINKS = 48, TELLS = 40000, LONG = 200, SEED = 7 };

struct side {
    sh_pid sender[SENDERS];
    sh_pid sink[SINKS];
    atomic_uint senders_left;
    /* of the side's own thread */
    uint32_t left[SENDERS];
    uint32_t sent[SENDERS][SINKS]; /* to the other side */
    uint32_t seen[SINKS][SENDERS]; /* from the other side */
    uint64_t taken, full, gone, handled;
};

struct test {
    sh_mem_counter mem;
    struct drive drive;
    struct side side[2];
};

static unsigned exec_of(sh_cx *cx)
{
    return sh_exec_index(sh_cx_exec(cx));
}

/* One tell to sink k of the other side; most go the short way. */
static int tell_one(struct test *t, sh_cx *cx, uint32_t me, uint32_t k)
{
    static const char *const names[] = {"a", "bee"};
    struct side *s = &t->side[exec_of(cx)];
    sh_pid to = t->side[1 - exec_of(cx)].sink[k];
    uint32_t body[LONG / 4] = {me, k, s->sent[me][k] + 1};
    const char *name = names[s->sent[me][k] / 5 % 2];
    size_t n = s->sent[me][k] % 31 == 30 ? LONG : 12;
    int rc = SH_E_MORE;
    if (n == 12) {
        rc = sh_cx_tell_fast(cx, to, name, sh_span_of(body, n));
    }
    if (rc) {
        rc = sh_cx_tell(cx, to, sh_span_str(name), sh_span_of(body, n));
    }
    if (rc == 0) {
        s->sent[me][k]++;
        s->taken++;
    }
    s->full += rc == SH_E_MAILBOX_FULL;
    s->gone += rc == SH_E_NOT_RUNNING;
    CHECK(rc == 0 || rc == SH_E_MAILBOX_FULL || rc == SH_E_NOT_RUNNING, "%s", sh_err_name(rc));
    return rc;
}

static int sender(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    struct side *s = &t->side[exec_of(cx)];
    const sh_rng *rng = &t->drive.rng[exec_of(cx)];
    uint32_t me;
    (void)state, (void)index, (void)name;
    memcpy(&me, value.p, sizeof me);
    for (uint64_t i = sh_rng_below(rng, 6); i > 0 && s->left[me] > 0; i--) {
        uint32_t k = (uint32_t)sh_rng_below(rng, SINKS);
        for (uint64_t run = sh_rng_below(rng, 90); run > 0 && s->left[me] > 0; run--) {
            int rc = tell_one(t, cx, me, k);
            s->left[me] -= rc == 0 ? 1 : 0;
            if (rc) {
                break;
            }
        }
    }
    if (s->left[me] == 0) {
        atomic_fetch_sub(&s->senders_left, 1);
        return 0;
    }
    return sh_cx_tell(cx, sh_cx_self(cx), sh_span_str("go"), value);
}

static int sink(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    struct side *s = &t->side[exec_of(cx)];
    uint32_t body[3];
    (void)state;
    memcpy(body, value.p, sizeof body);
    uint32_t *last = &s->seen[body[1]][body[0]];
    CHECK(body[2] == *last + 1, "sender %u: %u after %u", body[0], body[2], *last);
    CHECK(index == (int)((body[2] - 1) / 5 & 1) && name.n == (index ? 3 : 1), "name %d", index);
    CHECK(sh_pid_eq(sh_cx_sender(cx), t->side[1 - exec_of(cx)].sender[body[0]]), "sender");
    *last = body[2];
    s->handled++;
    return 0;
}

/* Half of the sinks end while they are written to. */
static void *end_some(void *arg)
{
    struct test *t = arg;
    for (uint32_t k = 0; k < SINKS / 2; k++) {
        for (unsigned e = 0; e < 2; e++) {
            uint32_t all = SENDERS * TELLS / SINKS * k;
            for (;;) { /* spread over the tells */
                sh_exec *x = sh_runtime_exec(t->drive.rt, e);
                struct sh_exec_stats stats = {0};
                if (sh_exec_enter(x, 20)) {
                    sh_exec_stats(x, &stats);
                    sh_exec_leave(x, 20);
                }
                if (stats.handled >= all || atomic_load(&t->side[1 - e].senders_left) == 0) {
                    break;
                }
                sched_yield();
            }
            if (k % 2) {
                CHECK(sh_runtime_kill(t->drive.rt, 20, t->side[e].sink[k], sh_span_none()) == 0,
                      "kill");
            } else {
                CHECK(sh_runtime_stop(t->drive.rt, 20, t->side[e].sink[k], sh_span_none(), NULL,
                                      NULL) > 0,
                      "stop");
            }
        }
    }
    return NULL;
}

static void make(struct test *t)
{
    drive_new(&t->drive, sh_mem_counted(&t->mem, sh_mem_system()), SEED);
    sh_span names[3] = {sh_span_str("a"), sh_span_str("bee"), sh_span_str("go")};
    struct sh_actor_type def = {.id = sh_span_str("sink"),
                                .ud = t,
                                .names = names,
                                .name_count = 2,
                                .mailbox = 200,
                                .handle = sink};
    const sh_type *sinks;
    const sh_type *senders;
    assert_int_equal(sh_runtime_type(t->drive.rt, &def, &sinks), 0);
    def = (struct sh_actor_type){.id = sh_span_str("sender"),
                                 .ud = t,
                                 .names = names + 2,
                                 .name_count = 1,
                                 .handle = sender};
    assert_int_equal(sh_runtime_type(t->drive.rt, &def, &senders), 0);
    for (unsigned e = 0; e < 2; e++) {
        struct side *s = &t->side[e];
        for (uint32_t k = 0; k < SINKS; k++) {
            assert_int_equal(sh_runtime_spawn(t->drive.rt, 1, e, sinks, NULL, &s->sink[k]), 0);
        }
        for (uint32_t i = 0; i < SENDERS; i++) {
            s->left[i] = TELLS;
            assert_int_equal(sh_runtime_spawn(t->drive.rt, 1, e, senders, NULL, &s->sender[i]), 0);
            assert_int_equal(
                sh_runtime_tell(t->drive.rt, 1, s->sender[i], names[2], sh_span_of(&i, sizeof i)),
                0);
        }
        atomic_store(&s->senders_left, SENDERS);
    }
}

/* Nobody is inside any more: turns until nothing moves, then what is still out. */
static void settle(struct test *t, struct sh_exec_stats stats[2])
{
    struct sh_turn turn;
    struct sh_runtime_event ev;
    for (int round = 0; round < 4; round++) {
        for (unsigned e = 0; e < 2; e++) {
            sh_exec_turn(sh_runtime_exec(t->drive.rt, e), 1u << 30, SIZE_MAX, &turn);
            while (sh_runtime_event(t->drive.rt, &ev)) {
            }
        }
    }
    for (unsigned e = 0; e < 2; e++) {
        sh_exec_stats(sh_runtime_exec(t->drive.rt, e), &stats[e]);
    }
}

static void cross(void **state)
{
    (void)state;
    static struct test test = {.drive = {.turn_most = 300, .events = true}};
    struct test *t = &test;
    make(t);
    drive_start(&t->drive);
    pthread_t ender;
    pthread_create(&ender, NULL, end_some, t);
    pthread_join(ender, NULL);
    while (atomic_load(&t->side[0].senders_left) + atomic_load(&t->side[1].senders_left) > 0) {
        sched_yield();
    }
    drive_end(&t->drive);
    struct sh_exec_stats stats[2];
    settle(t, stats);
    print_message("seeds %d and %d\n", SEED, SEED + 1);
    for (unsigned e = 0; e < 2; e++) {
        const struct side *s = &t->side[e];
        print_message("executor %u: told %llu (full %llu, gone %llu), handled %llu, lost %llu\n", e,
                      (unsigned long long)s->taken, (unsigned long long)s->full,
                      (unsigned long long)s->gone, (unsigned long long)s->handled,
                      (unsigned long long)stats[e].lost);
        assert_int_equal(s->taken, (uint64_t)SENDERS * TELLS);
        assert_int_equal(stats[e].messages, 0);
        assert_int_equal(stats[e].asks, 0);
    }
    assert_int_equal(t->side[0].taken, t->side[1].handled + stats[1].lost);
    assert_int_equal(t->side[1].taken, t->side[0].handled + stats[0].lost);
    sh_runtime_free(t->drive.rt);
    assert_int_equal(t->mem.live_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cross)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
