/* Two executors on two threads and two outsiders: tells in order, asks that end once, spawns that die. For TSan. */
#include "drive.h"

enum { TELLS = 20000, ASKS = 5000, OUTSIDERS = 2 };

struct test {
    struct drive drive;
    sh_pid sink[2];
    sh_pid pinger[2];
    atomic_bool closing; /* the actors are told to stop: asks may find them gone */
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

static void *outside(void *arg)
{
    struct test *t = arg;
    uint32_t me = atomic_fetch_add(&t->outsiders, 1);
    uint64_t token = 100 + me;
    for (uint32_t i = 1; i <= TELLS; i++) {
        uint32_t body[2] = {me, i};
        for (int e = 0; e < 2; e++) {
            while (sh_runtime_tell(t->drive.rt, token, t->sink[e], sh_span_str("tell"),
                                   sh_span_of(body, sizeof body)) == SH_E_MAILBOX_FULL) {
                sched_yield();
            }
        }
        if (i % 8 == 0) {
            int64_t call =
                sh_runtime_ask(t->drive.rt, token, t->sink[i / 8 % 2], sh_span_str("ask"),
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
    drive_new(&t->drive, sh_mem_system(), 0);
    sh_span names[2] = {sh_span_str("tell"), sh_span_str("ask")};
    struct sh_actor_type def = {.id = sh_span_str("sink"),
                                .ud = t,
                                .names = names,
                                .name_count = 2,
                                .mailbox = 64,
                                .handle = sink};
    const sh_type *type;
    const sh_type *ping;
    assert_int_equal(sh_runtime_type(t->drive.rt, &def, &type), 0);
    sh_span go = sh_span_str("go");
    def = (struct sh_actor_type){
        .id = go, .ud = t, .names = &go, .name_count = 1, .mailbox = 0, .handle = pinger};
    assert_int_equal(sh_runtime_type(t->drive.rt, &def, &ping), 0);
    for (unsigned e = 0; e < 2; e++) {
        assert_int_equal(sh_runtime_spawn(t->drive.rt, 1, e, type, NULL, &t->sink[e]), 0);
        assert_int_equal(sh_runtime_spawn(t->drive.rt, 1, e, ping, NULL, &t->pinger[e]), 0);
        assert_int_equal(sh_runtime_tell(t->drive.rt, 1, t->pinger[e], go, sh_span_none()), 0);
    }
}

static void threads(void **state)
{
    (void)state;
    static struct test test = {.drive.turn_most = 200};
    struct test *t = &test;
    begin(t);
    drive_start(&t->drive);
    pthread_t threads[OUTSIDERS];
    for (int i = 0; i < OUTSIDERS; i++) {
        pthread_create(&threads[i], NULL, outside, t);
    }
    for (int i = 0; i < OUTSIDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    while (atomic_load(&t->ended) < atomic_load(&t->begun)) {
        sched_yield();
    }
    atomic_store(&t->closing, true);
    drive_end(&t->drive);
    for (int e = 0; e < 2; e++) {
        for (int i = 0; i < OUTSIDERS; i++) {
            assert_int_equal(t->seen[e][i], TELLS);
        }
    }
    print_message("pings %u %u, asks from outside %u, wakes %u\n", t->pings[0], t->pings[1],
                  atomic_load(&t->ended), atomic_load(&t->drive.wakes));
    sh_runtime_free(t->drive.rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
