/* Two executors on two threads and two outsiders: tells in order, asks that end once, spawns that die. For TSan. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actor/runtime.h"

/* cmocka's asserts are for the main thread only: elsewhere its exit says nothing. */
#define CHECK(ok, ...)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "line %d: " #ok ": ", __LINE__);                                       \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

enum { TELLS = 20000, ASKS = 5000, OUTSIDERS = 2 };

struct test {
    sh_runtime *rt;
    sh_rng_seeded seeds[2];
    sh_rng rng[2];
    sh_pid sink[2];
    sh_pid pinger[2];
    atomic_bool closing; /* the actors are told to stop: asks may find them gone */
    atomic_bool over;
    atomic_uint wakes;
    atomic_uint outsiders;
    atomic_uint ended;
    atomic_uint begun;
    uint32_t seen[2][OUTSIDERS]; /* [executor][sender] */
    uint32_t pings[2];
};

static int sink(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    uint32_t body[2];
    (void)state;
    (void)name;
    if (index == 0) {
        memcpy(body, value.p, sizeof body);
        uint32_t *last = &t->seen[sh_exec_index(sh_cx_exec(cx))][body[0]];
        CHECK(body[1] == *last + 1, "sender %u: %u after %u", body[0], body[1], *last);
        *last = body[1];
        return 0;
    }
    return sh_cx_reply(cx, value) < 0 ? -1 : 0;
}

static int ping_then(sh_cx *cx, void *ud, const struct sh_result *r)
{
    struct test *t = ud;
    unsigned e = sh_exec_index(sh_cx_exec(cx));
    CHECK(r->code == 0 || atomic_load(&t->closing), "%s, %u pings", sh_err_name(r->code),
          t->pings[e]);
    if (++t->pings[e] < ASKS) {
        sh_cx_tell(cx, sh_cx_self(cx), sh_span_str("go"), sh_span_none());
    }
    return 0;
}

static int pinger(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    (void)state;
    (void)index;
    (void)name;
    (void)value;
    unsigned other = 1 - sh_exec_index(sh_cx_exec(cx));
    return sh_cx_ask(cx, t->sink[other], sh_span_str("ask"), sh_span_str("a"), 60000000, ping_then,
                     t) > 0
               ? 0
               : -1;
}

static void count_end(void *ud, const struct sh_result *r)
{
    struct test *t = ud;
    CHECK(r->code == 0, "%s after %u", sh_err_name(r->code), atomic_load(&t->ended));
    atomic_fetch_add(&t->ended, 1);
}

static void wake(void *ud, unsigned exec)
{
    (void)exec;
    atomic_fetch_add(&((struct test *)ud)->wakes, 1);
}

struct driver {
    struct test *t;
    unsigned exec;
};

static void *drive(void *arg)
{
    struct driver *d = arg;
    sh_exec *x = sh_runtime_exec(d->t->rt, d->exec);
    uint64_t token = 10 + d->exec;
    uint64_t now = 1;
    while (!atomic_load(&d->t->over)) {
        struct sh_turn turn;
        if (sh_exec_enter(x, token)) {
            sh_exec_turn(x, now++, 200, &turn);
            sh_exec_sleep(x); /* the next turn ends it: exercises the wake protocol */
            sh_exec_leave(x, token);
        }
        sched_yield();
    }
    return NULL;
}

static void *outside(void *arg)
{
    struct test *t = arg;
    uint32_t me = atomic_fetch_add(&t->outsiders, 1);
    uint64_t token = 100 + me;
    for (uint32_t i = 1; i <= TELLS; i++) {
        uint32_t body[2] = {me, i};
        for (int e = 0; e < 2; e++) {
            while (sh_runtime_tell(t->rt, token, t->sink[e], sh_span_str("tell"),
                                   sh_span_of(body, sizeof body)) == SH_E_MAILBOX_FULL) {
                sched_yield();
            }
        }
        if (i % 8 == 0) {
            int64_t call = sh_runtime_ask(t->rt, token, t->sink[i / 8 % 2], sh_span_str("ask"),
                                          sh_span_str("b"), UINT64_MAX - 1, count_end, t);
            CHECK(call > 0, "%s at %u of sender %u", sh_err_name((int)call), i, me);
            atomic_fetch_add(&t->begun, 1);
        }
    }
    return NULL;
}

/* The runtime, and on each executor a sink and one that pings the other executor's. */
static void begin(struct test *t)
{
    struct sh_runtime_config cfg;
    sh_runtime_config_init(&cfg);
    cfg.mem = sh_mem_system();
    cfg.execs = 2;
    cfg.wake = wake;
    cfg.wake_ud = t;
    for (int e = 0; e < 2; e++) {
        t->rng[e] = sh_rng_seeded_init(&t->seeds[e], (uint64_t)e);
        cfg.rng[e] = &t->rng[e];
    }
    assert_int_equal(sh_runtime_new(&cfg, 1, &t->rt), 0);
    sh_span names[2] = {sh_span_str("tell"), sh_span_str("ask")};
    struct sh_actor_type def = {.id = sh_span_str("sink"),
                                .ud = t,
                                .names = names,
                                .name_count = 2,
                                .mailbox = 64,
                                .handle = sink};
    const sh_type *type;
    const sh_type *ping;
    assert_int_equal(sh_runtime_type(t->rt, &def, &type), 0);
    sh_span go = sh_span_str("go");
    def = (struct sh_actor_type){
        .id = go, .ud = t, .names = &go, .name_count = 1, .mailbox = 0, .handle = pinger};
    assert_int_equal(sh_runtime_type(t->rt, &def, &ping), 0);
    for (unsigned e = 0; e < 2; e++) {
        assert_int_equal(sh_runtime_spawn(t->rt, 1, e, type, NULL, &t->sink[e]), 0);
        assert_int_equal(sh_runtime_spawn(t->rt, 1, e, ping, NULL, &t->pinger[e]), 0);
        assert_int_equal(sh_runtime_tell(t->rt, 1, t->pinger[e], go, sh_span_none()), 0);
    }
}

static void threads(void **state)
{
    (void)state;
    static struct test test;
    struct test *t = &test;
    begin(t);
    struct driver drivers[2] = {{t, 0}, {t, 1}};
    pthread_t threads[2 + OUTSIDERS];
    for (int e = 0; e < 2; e++) {
        pthread_create(&threads[e], NULL, drive, &drivers[e]);
    }
    for (int i = 0; i < OUTSIDERS; i++) {
        pthread_create(&threads[2 + i], NULL, outside, t);
    }
    for (int i = 0; i < OUTSIDERS; i++) {
        pthread_join(threads[2 + i], NULL);
    }
    while (atomic_load(&t->ended) < atomic_load(&t->begun)) {
        sched_yield();
    }
    atomic_store(&t->closing, true);
    sh_runtime_stop_all(t->rt, 7);
    while (sh_runtime_actors(t->rt)) {
        sched_yield();
    }
    atomic_store(&t->over, true);
    for (int e = 0; e < 2; e++) {
        pthread_join(threads[e], NULL);
        for (int i = 0; i < OUTSIDERS; i++) {
            assert_int_equal(t->seen[e][i], TELLS);
        }
    }
    print_message("pings %u %u, asks from outside %u, wakes %u\n", t->pings[0], t->pings[1],
                  atomic_load(&t->ended), atomic_load(&t->wakes));
    sh_runtime_free(t->rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
