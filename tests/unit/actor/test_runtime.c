/* Messages, asks, mailboxes, promises and timers of one and of two executors, told as logs. */
#include "fixture.h"

static void tell_and_ask(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    assert_int_equal(tell(env, a, "echo", "x"), 0);
    assert_true(ask(env, a, "echo", "y") > 0);
    assert_true(ask(env, a, "nop", "") > 0);
    run(env);
    EXPECT(env, "echo(x) echo(y) done(y) done() ");
    env->decision = SH_RESUME;
    assert_true(ask(env, a, "fail", "v") > 0);
    run(env);
    EXPECT(env, "fail(v) error(broken) done(handler,3,broken) ");
}

static void errors_at_the_call(struct env *env)
{
    sh_pid a = spawn(env);
    sh_pid stale = a;
    stale.actor += UINT64_C(1) << 32;
    assert_int_equal(tell(env, stale, "echo", ""), SH_E_NOT_RUNNING);
    assert_int_equal(ask(env, stale, "echo", ""), SH_E_NOT_RUNNING);
    sh_pid foreign = a;
    foreign.check = 1;
    assert_int_equal(tell(env, foreign, "echo", ""), SH_E_NOT_RUNNING);
    assert_int_equal(tell(env, a, "", ""), SH_E_BAD_VALUE);
    assert_int_equal(ask(env, a, "", ""), SH_E_BAD_VALUE);
    sh_pid away = {.actor = 5, .node = 3, .check = 9};
    assert_int_equal(tell(env, away, "echo", ""), SH_E_UNREACHABLE);
    assert_int_equal(ask(env, away, "echo", ""), SH_E_UNREACHABLE);
    assert_true(ask(env, a, "unknown", "") > 0);
    assert_int_equal(tell(env, a, "unknown", ""), 0);
    assert_true(ask(env, a, "bad", "") > 0);
    assert_int_equal(tell(env, a, "bad", ""), 0);
    run(env);
    events(env);
    EXPECT(
        env,
        "bad() bad() done(no_handler,1,the actor takes no such message) done(bad_value,1,not so) "
        "event(undelivered,unknown,1,the actor takes no such message) event(undelivered,bad,1,not "
        "so) ");
}

static void asks_from_actors(struct env *env, unsigned e)
{
    sh_pid a = spawn(env);
    env->other = spawn_in(env, e, env->type, -1);
    ask(env, a, "ask", "v");
    tell(env, a, "echo", "later"); /* waits: the first message is open */
    run(env);
    EXPECT(env, "ask(v) echo(v) then(ok,0,v) echo(later) done(v) ");
    ask(env, a, "self", "me");
    run(env);
    assert_int_equal(env->call, SH_E_USAGE);
    EXPECT(env, "self(me) done() ");
    sh_pid r = spawn_in(env, 0, env->reentrant, -1);
    ask(env, r, "self", "me");
    run(env);
    EXPECT(env, "self(me) echo(me) then(ok,0,me) done(me) ");
}

static void deadlines(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    ask(env, a, "hold", "1"); /* runs on */
    ask(env, a, "echo", "2"); /* never begins */
    run(env);
    EXPECT(env, "hold(1) ");
    pass(env, 999000);
    EXPECT(env, "");
    pass(env, 2000);
    EXPECT(env, "done(timeout,2,the deadline passed) done(timeout,1,the deadline passed) ");
    sh_exec_enter(sh_runtime_exec(env->rt, e), 1);
    sh_cx_finish(env->held, 0); /* late: nobody is told */
    sh_exec_leave(sh_runtime_exec(env->rt, e), 1);
    pass(env, 1000000);
    EXPECT(env, "");
}

/* From one executor to the other: the far side must confirm, and says whether the ask had begun. */
static void deadlines_across(struct env *env)
{
    env->decision = SH_RESUME;
    sh_pid asker = spawn(env);
    env->other = spawn_in(env, 1, env->type, -1);
    tell(env, env->other, "hold", "");
    run(env);
    env->log[0] = 0;
    tell(env, asker, "ask", "v");
    run(env);
    pass(env, 1001000);
    EXPECT(env, "ask(v) then(timeout,1,) error(the deadline passed) ");
    env->other = spawn_in(env, 1, env->type, -1);
    tell(env, asker, "ask", "hold");
    run(env);
    pass(env, 1001000);
    EXPECT(env, "ask(hold) hold(hold) then(timeout,2,) error(the deadline passed) ");
}

/* The far side has 0.1 s to confirm; then the asker is told all the same. */
static void deadline_beside_one_who_sleeps(struct env *env)
{
    env->decision = SH_RESUME;
    sh_pid asker = spawn(env);
    env->other = spawn_in(env, 1, env->type, -1);
    tell(env, env->other, "hold", "");
    tell(env, asker, "ask", "w");
    run(env);
    env->log[0] = 0;
    env->now += 1001000; /* only the asker's executor turns */
    sh_exec *x = sh_runtime_exec(env->rt, 0);
    struct sh_turn turn;
    sh_exec_enter(x, 1);
    sh_exec_turn(x, env->now, 100, &turn);
    EXPECT(env, "");
    sh_exec_turn(x, env->now + 101000, 100, &turn);
    sh_exec_leave(x, 1);
    EXPECT(env, "then(timeout,2,) error(the deadline passed) ");
}

/* Whose deadline has passed is answered late: not for the ask that has its slot by then. */
static void late_answer(struct env *env)
{
    env->decision = SH_RESUME;
    sh_pid asker = spawn(env);
    env->other = spawn(env);
    tell(env, asker, "ask", "defer");
    run(env);
    pass(env, 1001000);
    EXPECT(env, "ask(defer) defer(defer) then(timeout,2,) error(the deadline passed) ");
    tell(env, asker, "ask", "hold");
    run(env);
    EXPECT(env, "ask(hold) hold(hold) ");
    struct sh_result answer = {.value = STR("late")};
    assert_int_equal(sh_runtime_reply(env->rt, 5, env->promise, &answer), 0);
    run(env);
    EXPECT(env, "");
}

static void cancelling(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    int64_t first = ask(env, a, "hold", "");
    int64_t second = ask(env, a, "echo", "");
    run(env);
    env->log[0] = 0;
    assert_int_equal(sh_runtime_cancel(env->rt, 1, second), 0);
    assert_int_equal(sh_runtime_cancel(env->rt, 1, first), 0);
    run(env);
    EXPECT(env,
           "done(cancelled,1,the call was cancelled) done(cancelled,2,the call was cancelled) ");
    assert_int_equal(sh_runtime_cancel(env->rt, 1, first), SH_E_NOT_FOUND);
    assert_int_equal(sh_runtime_cancel(env->rt, 1, 0), SH_E_NOT_FOUND);
}

/* Of a mailbox of two. */
static void two_fit(struct env *env, sh_pid a)
{
    assert_int_equal(tell(env, a, "nop", ""), 0);
    assert_int_equal(tell(env, a, "nop", ""), 0);
    assert_int_equal(tell(env, a, "nop", ""), SH_E_MAILBOX_FULL);
}

static void mailbox_limit(struct env *env)
{
    sh_pid a = spawn_in(env, 0, env->type, 2);
    two_fit(env, a);
    assert_true(ask(env, a, "echo", "1") > 0); /* waits in its slot */
    assert_true(ask(env, a, "echo", "2") > 0);
    assert_int_equal(tell(env, a, "echo", "3"), SH_E_MAILBOX_FULL);
    run(env);
    EXPECT(env, "echo(1) echo(2) done(1) done(2) ");
    for (int i = 0; i < 3; i++) { /* what was handled has left exactly its own room */
        two_fit(env, a);
        run(env);
    }
    /* An ask that never finds room is not sent. */
    tell(env, a, "hold", "");
    run(env);
    tell(env, a, "nop", "");
    tell(env, a, "nop", "");
    ask(env, a, "echo", "");
    env->log[0] = 0;
    pass(env, 1001000);
    EXPECT(env, "done(timeout,1,the deadline passed) ");
}

static void gate_across(struct env *env)
{
    sh_pid a = spawn_in(env, 1, env->type, 2);
    assert_true(sh_exec_enter(sh_runtime_exec(env->rt, 0), 1)); /* so calls come from executor 0 */
    two_fit(env, a);
    assert_true(ask(env, a, "echo", "1") > 0);
    assert_int_equal(tell(env, a, "echo", "2"), SH_E_MAILBOX_FULL);
    sh_exec_leave(sh_runtime_exec(env->rt, 0), 1);
    run(env);
    EXPECT(env, "echo(1) done(1) ");
    for (int i = 0; i < 3; i++) { /* what was handled has left exactly its own room */
        assert_true(sh_exec_enter(sh_runtime_exec(env->rt, 0), 1));
        two_fit(env, a);
        sh_exec_leave(sh_runtime_exec(env->rt, 0), 1);
        run(env);
    }
}

static void promises_and_forwards(struct env *env, unsigned e)
{
    sh_pid a = spawn(env);
    env->other = spawn_in(env, e, env->type, -1);
    ask(env, a, "defer", "");
    ask(env, a, "echo", "open"); /* deferring opens the mailbox */
    run(env);
    EXPECT(env, "defer() echo(open) done(open) ");
    struct sh_result r = {.value = STR("kept")};
    assert_int_equal(sh_runtime_reply(env->rt, 5, env->promise, &r), 0);
    assert_int_equal(sh_runtime_reply(env->rt, 5, env->promise, &r),
                     0); /* a second one is dropped */
    run(env);
    EXPECT(env, "done(kept) ");
    ask(env, a, "fwd", "f");
    run(env);
    EXPECT(env, "fwd(f) echo(f) done(f) ");
    tell(env, a, "ask", "defer"); /* the same to an actor that has not taken the first one yet */
    run(env);
    EXPECT(env, "ask(defer) defer(defer) ");
    sh_runtime_reply(env->rt, 5, env->promise, &r);
    sh_runtime_reply(env->rt, 5, env->promise, &r);
    run(env);
    EXPECT(env, "then(ok,0,kept) ");
}

static void timers(struct env *env)
{
    sh_pid a = spawn(env);
    tell(env, a, "after", "");
    run(env);
    pass(env, 4000);
    EXPECT(env, "after() ");
    pass(env, 2000);
    EXPECT(env, "echo(after) ");
    pass(env, 20000);
    EXPECT(env, "");
    tell(env, a, "every", "");
    run(env);
    env->log[0] = 0;
    pass(env, 11000);
    EXPECT(env, "echo(tick) ");
    pass(env, 55000); /* what it missed is skipped */
    EXPECT(env, "echo(tick) ");
    pass(env, 5000);
    EXPECT(env, "echo(tick) ");
    env->decision = SH_RESTART_IT; /* timers end with the incarnation */
    tell(env, a, "fail", "");
    run(env);
    env->log[0] = 0;
    pass(env, 100000);
    EXPECT(env, "");
}

static void drains(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    sh_runtime_drain(env->rt, 1, a, env->now + 1000000, on_done, env);
    run(env);
    EXPECT(env, "done() ");
    tell(env, a, "unknown", "");
    run(env);
    sh_runtime_drain(env->rt, 1, a, env->now + 1000000, on_done, env);
    run(env);
    EXPECT(env, "done(no_handler,1,the actor takes no such message) ");
    sh_runtime_drain(env->rt, 1, a, env->now + 1000000, on_done, env);
    run(env);
    EXPECT(env, "done() ");
}

/* A thread that finds its executor taken goes through the inbox. */
static void through_the_inbox(struct env *env)
{
    sh_pid a = spawn(env);
    sh_exec *x = sh_runtime_exec(env->rt, 0);
    assert_true(sh_exec_enter(x, 9));
    assert_false(sh_exec_enter(x, 1));
    assert_true(sh_exec_sleep(x));
    assert_int_equal(tell(env, a, "echo", "1"), 0);
    int64_t gone = ask(env, a, "hold", "2");
    assert_true(ask(env, a, "echo", "3") > 0);
    assert_int_equal(sh_runtime_cancel(env->rt, 1, gone), 0);
    sh_runtime_done(env->rt, 1, a, on_done, env);
    sh_runtime_kill(env->rt, 1, a, STR("k"));
    assert_int_equal(env->wakes[0], 1); /* once per sleep */
    sh_exec_leave(x, 9);
    run(env);
    EXPECT(env, "undelivered(echo,1) stop(killed,k) done(cancelled,1,the call was cancelled) "
                "done(not_running,1,the actor has stopped) ended(killed,k) ");
    assert_true(sh_exec_enter(x, 9));
    assert_int_equal(tell(env, a, "echo", ""), SH_E_NOT_RUNNING);
    assert_true(ask(env, a, "echo", "") > 0); /* known only there */
    sh_exec_leave(x, 9);
    run(env);
    EXPECT(env, "done(not_running,1,the actor has stopped) ");
}

static void closing(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn(&env);
    sh_pid b = spawn_in(&env, 1, env.type, -1);
    ask(&env, a, "hold", "");
    run(&env);
    ask(&env, b, "echo", "z");
    ask(&env, a, "defer", "");
    struct sh_msg_parts parts = {.name = STR("n")};
    sh_runtime_request(env.rt, 1, 7, a, &parts, UINT64_MAX, on_done, &env);
    env.log[0] = 0;
    env_end(&env);
    assert_non_null(strstr(env.log, "done(not_running,2"));
    assert_non_null(strstr(env.log, "done(not_running,1"));
    assert_non_null(strstr(env.log, "done(closed,2"));
    assert_non_null(strstr(env.log, "stop(killed,node closed) "));
}

static uint64_t step_us;

static uint64_t stall_clock(void *ud)
{
    return *(uint64_t *)ud += step_us;
}

static void stalls(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    sh_runtime_free(env.rt);
    uint64_t clock = 0;
    step_us = 60000;
    struct sh_runtime_config cfg = env_config(&env, 1);
    cfg.stall_clock = stall_clock;
    cfg.stall_ud = &clock;
    sh_runtime_new(&cfg, env.now, &env.rt);
    sh_span names[H_COUNT];
    struct sh_actor_type def = scripted_type(&env, names);
    sh_runtime_type(env.rt, &def, &env.type);
    sh_pid a = spawn(&env);
    tell(&env, a, "nop", "");
    run(&env);
    events(&env);
    EXPECT(&env, ""); /* 0.06 s */
    step_us = 160000; /* from now on each look at the clock is 0.16 s later */
    tell(&env, a, "nop", "");
    run(&env);
    events(&env);
    EXPECT(&env, "event(stalled,nop,160000,) ");
    env_end(&env);
}

/* Every constructor and every call fails cleanly without memory. */
static void out_of_memory(void **state)
{
    (void)state;
    for (size_t fail = 1; fail < 60; fail++) {
        struct env env;
        memset(&env, 0, sizeof env);
        env.decision = SH_RESTART_IT;
        env.now = 1;
        sh_mem_counted(&env.mem, sh_mem_system());
        env.mem.fail_at = fail;
        struct sh_runtime_config cfg = env_config(&env, 2);
        if (sh_runtime_new(&cfg, env.now, &env.rt)) {
            assert_int_equal(env.mem.live_bytes, 0);
            continue;
        }
        sh_span names[H_COUNT];
        struct sh_actor_type def = scripted_type(&env, names);
        sh_pid a = sh_pid_none();
        sh_pid b = sh_pid_none();
        if (sh_runtime_type(env.rt, &def, &env.type) == 0) {
            struct sh_spawn opt;
            sh_spawn_init(&opt);
            opt.args = STR("args");
            sh_runtime_spawn(env.rt, 1, 0, env.type, &opt, &a);
            opt.link = a;
            sh_runtime_spawn(env.rt, 1, 1, env.type, &opt, &b);
            env.other = b;
            char big[300];
            memset(big, 'x', sizeof big - 1);
            big[sizeof big - 1] = 0;
            tell(&env, a, "echo", big);
            ask(&env, a, "ask", big);
            tell(&env, b, "fail", big);
            tell(&env, a, "every", "");
            sh_runtime_done(env.rt, 1, b, on_done, &env);
            run(&env);
            pass(&env, 2000000);
            sh_runtime_kill(
                env.rt, 1, a,
                STR("a long text that does not lie inside the message, as it has more bytes"));
            run(&env);
        }
        env_end(&env);
    }
}

/* SH_SLICE_MESSAGES_MAX of one actor, then it is the next one's turn, however much waits. */
static void a_slice(struct env *env)
{
    sh_pid a = spawn(env), b = spawn(env);
    run(env);
    env->log[0] = 0;
    for (int i = 0; i < SH_SLICE_MESSAGES_MAX + 1; i++) {
        tell(env, a, "echo", "a");
    }
    tell(env, b, "echo", "b");
    run(env);
    const char *at = env->log;
    for (int i = 0; i < SH_SLICE_MESSAGES_MAX; i++, at += 8) {
        assert_memory_equal(at, "echo(a) ", 8);
    }
    assert_string_equal(at, "echo(b) echo(a) ");
    env->log[0] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERY(tell_and_ask),
        TWO(errors_at_the_call),
        EACH(asks_from_actors),
        EACH(deadlines),
        TWO(deadlines_across),
        TWO(deadline_beside_one_who_sleeps),
        TWO(late_answer),
        EACH(cancelling),
        ONE(mailbox_limit),
        TWO(mailbox_limit),
        TWO(gate_across),
        EACH(promises_and_forwards),
        ONE(timers),
        ONE(a_slice),
        EACH(drains),
        TWO(through_the_inbox),
        cmocka_unit_test(closing),
        cmocka_unit_test(stalls),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
