/* Tells between two executors: room for several at once, packed tells and their order, what is lost, messages on their
 * way home. One thread drives both executors. */
#include "fixture.h"

#include <stdlib.h>

#include "actor/internal.h"

enum { SEEN_MAX = 4096 };

struct test {
    struct env env;
    sh_pid sender; /* of executor 1 */
    sh_pid sink;   /* of executor 0 */
    const sh_type *sinks;
    void (*act)(struct test *t, sh_cx *cx);
    void (*handled)(struct test *t); /* called by the sink; NULL: nothing */
    int codes[3]; /* told, refused for lack of room, refused because it is gone */
    uint32_t n;
    struct {
        char name[32];
        char value[SH_COPY_SHORT_MAX + 1];
        sh_pid from;
    } seen[SEEN_MAX];
};

/* As shoal_cx_tell does. */
static int tell_from(sh_cx *cx, sh_pid to, const char *name, const char *value)
{
    int rc = sh_cx_tell_fast(cx, to, name, STR(value));
    return rc ? sh_cx_tell(cx, to, STR(name), STR(value)) : 0;
}

static void tell_count(struct test *t, sh_cx *cx, const char *name, const char *value)
{
    int rc = tell_from(cx, t->sink, name, value);
    assert_true(rc == 0 || rc == SH_E_MAILBOX_FULL || rc == SH_E_NOT_RUNNING);
    t->codes[rc == 0 ? 0 : rc == SH_E_MAILBOX_FULL ? 1 : 2]++;
}

static int send_act(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    (void)state, (void)index, (void)name, (void)value;
    t->act(t, cx);
    return 0;
}

static int sink_keep(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct test *t = ud;
    (void)state, (void)index;
    assert_true(t->n < SEEN_MAX);
    snprintf(t->seen[t->n].name, sizeof t->seen[0].name, "%.*s", (int)name.n, (const char *)name.p);
    snprintf(t->seen[t->n].value, sizeof t->seen[0].value, "%.*s", (int)value.n,
             (const char *)value.p);
    t->seen[t->n++].from = sh_cx_sender(cx);
    if (t->handled) {
        t->handled(t);
    }
    return 0;
}

static void start(struct test *t, int64_t mailbox)
{
    memset(t, 0, sizeof *t);
    env_start(&t->env, 2);
    sh_span names[3] = {STR("go"), STR("a"), STR("b")};
    struct sh_actor_type def = {.id = STR("sender"),
                                .ud = t,
                                .names = names,
                                .name_count = 1,
                                .mailbox = -1,
                                .handle = send_act};
    const sh_type *senders = NULL;
    assert_int_equal(sh_runtime_type(t->env.rt, &def, &senders), 0);
    def = (struct sh_actor_type){.id = STR("sink"),
                                 .ud = t,
                                 .names = names + 1,
                                 .name_count = 2,
                                 .mailbox = -1,
                                 .takes_any = true,
                                 .handle = sink_keep};
    assert_int_equal(sh_runtime_type(t->env.rt, &def, &t->sinks), 0);
    t->sender = spawn_in(&t->env, 1, senders, -1);
    t->sink = spawn_in(&t->env, 0, t->sinks, mailbox);
}

/* One turn of that executor. */
static void turn(struct test *t, unsigned exec)
{
    struct sh_turn out;
    sh_exec *x = sh_runtime_exec(t->env.rt, exec);
    assert_true(sh_exec_enter(x, 1));
    sh_exec_turn(x, t->env.now, 10000, &out);
    sh_exec_leave(x, 1);
}

static void act(struct test *t, void (*fn)(struct test *t, sh_cx *cx))
{
    t->act = fn;
    assert_int_equal(tell(&t->env, t->sender, "go", ""), 0);
    turn(t, 1);
}

/* All that was taken from the pools is back; the end. */
static void finish(struct test *t)
{
    run(&t->env);
    events(&t->env);
    run(&t->env); /* homecomings */
    for (unsigned e = 0; e < 2; e++) {
        struct sh_exec_stats stats;
        sh_exec_stats(sh_runtime_exec(t->env.rt, e), &stats);
        assert_int_equal(stats.messages, 0);
    }
    env_end(&t->env);
}

static uint64_t room_of(const struct test *t, sh_pid pid)
{
    const sh_exec *x = sh_runtime_exec(t->env.rt, sh_pid_executor(pid.actor));
    return (atomic_load(sh_gates_at(&x->gates, sh_pid_slot(pid.actor))) & SH_GATE_ROOM) -
           SH_GATE_BIAS;
}

/* --- order and content --- */

static const char *const long_name = "a_name_of_thirty_one_bytes_here";
static char own_name[8]; /* its text changes, its place does not */

/* First blocks end early, later they get full. */
static bool long_after(int i)
{
    return i < 500 && i % 97 == 0;
}

static void tell_all_kinds(struct test *t, sh_cx *cx)
{
    char value[SH_COPY_SHORT_MAX + 1];
    for (int i = 0; i < 1500; i++) {
        static const char *const names[] = {"a", "b", NULL, "other"};
        const char *name = names[i / 7 % 4] ? names[i / 7 % 4] : long_name;
        snprintf(value, sizeof value, i % 3 ? "%d" : "%016d", i);
        snprintf(own_name, sizeof own_name, "n%d", i % 3);
        tell_count(t, cx, i % 5 >= 3 ? own_name : name, value);
        if (long_after(i)) {
            tell_count(t, cx, "a", "a value that is too long for that");
        }
    }
}

static void order(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 2000);
    act(&t, tell_all_kinds);
    assert_int_equal(t.codes[0], 1506);
    turn(&t, 0);
    assert_int_equal(t.n, 1506);
    for (uint32_t i = 0, at = 0; i < 1500; i++, at++) {
        static const char *const names[] = {"a", "b", NULL, "other"};
        const char *name = names[i / 7 % 4] ? names[i / 7 % 4] : long_name;
        char own[8];
        snprintf(own, sizeof own, "n%u", i % 3);
        assert_string_equal(t.seen[at].name, i % 5 >= 3 ? own : name);
        assert_int_equal(atoi(t.seen[at].value), i);
        assert_true(sh_pid_eq(t.seen[at].from, t.sender));
        at += long_after((int)i);
    }
    turn(&t, 1);
    assert_int_equal(room_of(&t, t.sink), 2000);
    finish(&t);
}

/* --- room --- */

static void tell_300(struct test *t, sh_cx *cx)
{
    for (int i = 0; i < 300; i++) {
        tell_count(t, cx, "a", "1");
    }
}

static void tell_3(struct test *t, sh_cx *cx)
{
    for (int i = 0; i < 3; i++) {
        tell_count(t, cx, "a", "1");
    }
}

static void room(void **state)
{
    (void)state;
    static struct test t;
    static const int64_t limits[] = {1, 2, 7, 64, 299};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        start(&t, limits[i]);
        act(&t, tell_300);
        assert_int_equal(t.codes[0], limits[i]);
        assert_int_equal(t.codes[1], 300 - limits[i]);
        assert_int_equal(room_of(&t, t.sink), 0);
        turn(&t, 0);
        assert_int_equal(t.n, limits[i]);
        assert_int_equal(room_of(&t, t.sink), limits[i]);
        finish(&t);
    }
    start(&t, 400);
    for (int i = 1; i <= 20; i++) { /* what the turn took and did not use is back at its end */
        act(&t, i % 2 ? tell_300 : tell_3);
        assert_int_equal(room_of(&t, t.sink), i % 2 ? 100 : 397);
        turn(&t, 0);
        assert_int_equal(room_of(&t, t.sink), 400);
    }
    finish(&t);
}

static void ask_after(struct test *t, sh_cx *cx)
{
    tell_300(t, cx);
    assert_true(sh_cx_ask(cx, t->sink, STR("a"), STR("?"), 1000000, on_then, &t->env) > 0);
    tell_count(t, cx, "a", "late"); /* may not overtake the ask */
}

static void room_seen(struct test *t)
{
    uint64_t free = room_of(t, t->sink);
    assert_true(free <= t->n && free * 2 >= t->n);
}

/* What has begun is room, of which at most half is kept back for a while. */
static void room_begun(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 60);
    act(&t, tell_300);
    t.handled = room_seen;
    turn(&t, 0);
    assert_int_equal(t.n, 60);
    finish(&t);
}

/* An ask waits for room that comes back, in order. */
static void room_wanted(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 5);
    act(&t, ask_after);
    assert_int_equal(t.codes[0], 5);
    assert_int_equal(t.codes[1], 296);
    run(&t.env);
    assert_int_equal(t.n, 6);
    assert_string_equal(t.seen[5].value, "?");
    finish(&t);
}

/* A second one waits for room that the first has taken and gives back unused. */
static void room_untaken(void **state)
{
    (void)state;
    sh_gates g;
    assert_int_equal(sh_gates_init(&g, sh_mem_system(), 10), 0);
    assert_int_equal(sh_gates_need(&g, 3), 0);
    sh_gate *one = sh_gates_at(&g, 3);
    sh_gate_open(one, 5, 8);
    assert_int_equal(sh_gate_take_some(one, 5, 64, false), 3); /* a quarter, and one */
    assert_int_equal(sh_gate_take_some(one, 5, 2, false), 2);
    assert_int_equal(sh_gate_take_some(one, 4, 2, false), SH_E_NOT_RUNNING);
    assert_false(sh_gate_is_due(one, 3));
    assert_true(sh_gate_is_due(one, 4));
    assert_int_equal(sh_gate_take(one, 5, 3, true), 0);
    assert_int_equal(sh_gate_take_some(one, 5, 64, false), SH_E_MAILBOX_FULL);
    assert_int_equal(sh_gate_take_some(one, 5, 64, true), SH_E_MAILBOX_FULL);
    assert_true(sh_gate_is_due(one, 1));
    assert_false(sh_gate_untake(one, 4, 2)); /* not its generation: nothing */
    assert_false(sh_gate_has_room(one));
    assert_true(sh_gate_untake(one, 5, 2)); /* somebody waits: told once */
    assert_false(sh_gate_untake(one, 5, 1));
    assert_int_equal(sh_gate_take(one, 5, 3, false), 0);
    assert_int_equal(sh_gate_take(one, 5, 1, false), SH_E_MAILBOX_FULL);
    assert_true(sh_gate_is_bounded(one));
    sh_gate_open(one, 6, UINT32_MAX);
    assert_false(sh_gate_is_bounded(one));
    sh_gates_fini(&g);
}

/* --- the dead --- */

static void dead(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 1000);
    act(&t, tell_300); /* on their way when it is killed */
    assert_int_equal(sh_runtime_kill(t.env.rt, 1, t.sink, STR("test")), 0);
    act(&t, tell_3);
    run(&t.env);
    act(&t, tell_3);
    assert_int_equal(t.codes[0] + t.codes[2], 306);
    struct sh_exec_stats stats[2];
    for (unsigned e = 0; e < 2; e++) {
        sh_exec_stats(sh_runtime_exec(t.env.rt, e), &stats[e]);
    }
    assert_int_equal(t.n + stats[0].lost + stats[1].lost, t.codes[0]);
    t.sink = spawn_in(&t.env, 0, t.sinks, 10); /* the same slot: room of its own */
    act(&t, tell_300);
    assert_int_equal(room_of(&t, t.sink), 0);
    run(&t.env);
    assert_int_equal(room_of(&t, t.sink), 10);
    finish(&t);
}

static void kill_between(struct test *t, sh_cx *cx)
{
    struct sh_turn out;
    sh_exec *loop = sh_runtime_exec(t->env.rt, 0);
    for (int i = 0; i < 4; i++) { /* takes more room than it uses */
        tell_count(t, cx, "a", "1");
    }
    assert_true(room_of(t, t->sink) < 96);
    assert_int_equal(sh_runtime_kill(t->env.rt, 2, t->sink, STR("test")), 0);
    assert_true(sh_exec_enter(loop, 2));
    sh_exec_turn(loop, t->env.now, 1000, &out);
    sh_exec_leave(loop, 2);
    tell_count(t, cx, "a", "2");
}

/* Each tell asks whether its target lives, room for it or not. */
static void dead_between(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 100);
    act(&t, kill_between);
    assert_int_equal(t.codes[0], 4);
    assert_int_equal(t.codes[2], 1);
    t.sink = spawn_in(&t.env, 0, t.sinks, 100);
    assert_int_equal(room_of(&t, t.sink), 100);
    act(&t, tell_3);
    assert_int_equal(room_of(&t, t.sink), 97);
    finish(&t);
}

static void tell_stop(struct test *t, sh_cx *cx)
{
    tell_300(t, cx);
    assert_true(sh_runtime_stop(t->env.rt, 1, t->sink, STR(""), NULL, NULL) > 0);
    tell_3(t, cx); /* still open to them: it closes behind */
}

/* What was told before a stop is handled. */
static void stopped(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 1000);
    act(&t, tell_stop);
    run(&t.env);
    assert_true(t.n >= 300);
    struct sh_exec_stats stats;
    sh_exec_stats(sh_runtime_exec(t.env.rt, 0), &stats);
    assert_int_equal(t.n + stats.lost, t.codes[0]);
    finish(&t);
}

/* --- memory --- */

/* None for the messages where they arrive: told, and their room comes back. */
static void no_memory(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 400);
    act(&t, tell_300);
    sh_quota none;
    sh_quota_init(&none, NULL, 0);
    sh_exec *loop = sh_runtime_exec(t.env.rt, 0);
    sh_quota *own = loop->pool.quota;
    loop->pool.quota = &none;
    turn(&t, 0);
    loop->pool.quota = own;
    struct sh_exec_stats stats;
    sh_exec_stats(loop, &stats);
    assert_int_equal(t.n + stats.lost, 300);
    assert_true(stats.lost > 0);
    assert_int_equal(room_of(&t, t.sink), 400);
    finish(&t);
}

/* Steady traffic takes no more memory. */
static void flat(void **state)
{
    (void)state;
    static struct test t;
    start(&t, 400);
    size_t before = 0;
    for (int i = 0; i < 300; i++) {
        act(&t, i % 3 ? tell_300 : tell_3);
        turn(&t, 0);
        t.n = 0;
        before = i == 20 ? t.env.mem.allocations : before;
    }
    assert_int_equal(t.env.mem.allocations, before);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),        cmocka_unit_test(room),    cmocka_unit_test(room_wanted),
        cmocka_unit_test(room_untaken), cmocka_unit_test(dead),    cmocka_unit_test(dead_between),
        cmocka_unit_test(room_begun),   cmocka_unit_test(stopped), cmocka_unit_test(no_memory),
        cmocka_unit_test(flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
