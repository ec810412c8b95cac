/* Messages, asks, life, links and timers of one and of two executors, told as logs. */
#include "fixture.h"

static void tell_and_ask(void **state)
{
    (void)state;
    for (unsigned execs = 1; execs <= 2; execs++) {
        for (unsigned e = 0; e < execs; e++) {
            struct env env;
            env_start(&env, execs);
            sh_pid a = spawn_in(&env, e, env.type, -1);
            assert_int_equal(tell(&env, a, "echo", "x"), 0);
            assert_true(ask(&env, a, "echo", "y") > 0);
            assert_true(ask(&env, a, "nop", "") > 0);
            run(&env);
            EXPECT(&env, "echo(x) echo(y) done(y) done() ");
            env.decision = SH_RESUME;
            assert_true(ask(&env, a, "fail", "v") > 0);
            run(&env);
            EXPECT(&env, "fail(v) error(broken) done(handler,3,broken) ");
            env_end(&env);
        }
    }
}

static void errors_at_the_call(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn(&env);
    sh_pid stale = a;
    stale.actor += UINT64_C(1) << 32;
    assert_int_equal(tell(&env, stale, "echo", ""), SH_E_NOT_RUNNING);
    assert_int_equal(ask(&env, stale, "echo", ""), SH_E_NOT_RUNNING);
    sh_pid foreign = a;
    foreign.check = 1;
    assert_int_equal(tell(&env, foreign, "echo", ""), SH_E_NOT_RUNNING);
    assert_int_equal(tell(&env, a, "", ""), SH_E_BAD_VALUE);
    assert_int_equal(ask(&env, a, "", ""), SH_E_BAD_VALUE);
    sh_pid away = {.actor = 5, .node = 3, .check = 9};
    assert_int_equal(tell(&env, away, "echo", ""), SH_E_UNREACHABLE);
    assert_int_equal(ask(&env, away, "echo", ""), SH_E_UNREACHABLE);
    assert_true(ask(&env, a, "unknown", "") > 0);
    assert_int_equal(tell(&env, a, "unknown", ""), 0);
    assert_true(ask(&env, a, "bad", "") > 0);
    assert_int_equal(tell(&env, a, "bad", ""), 0);
    run(&env);
    events(&env);
    EXPECT(
        &env,
        "bad() bad() done(no_handler,1,the actor takes no such message) done(bad_value,1,not so) "
        "event(undelivered,unknown,1,the actor takes no such message) event(undelivered,bad,1,not "
        "so) ");
    env_end(&env);
}

static void asks_from_actors(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn(&env);
        env.other = spawn_in(&env, e, env.type, -1);
        ask(&env, a, "ask", "v");
        tell(&env, a, "echo", "later"); /* waits: the first message is open */
        run(&env);
        EXPECT(&env, "ask(v) echo(v) then(ok,0,v) echo(later) done(v) ");
        ask(&env, a, "self", "me");
        run(&env);
        assert_int_equal(env.call, SH_E_USAGE);
        EXPECT(&env, "self(me) done() ");
        sh_pid r = spawn_in(&env, 0, env.reentrant, -1);
        ask(&env, r, "self", "me");
        run(&env);
        EXPECT(&env, "self(me) echo(me) then(ok,0,me) done(me) ");
        env_end(&env);
    }
}

static void deadlines(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn_in(&env, e, env.type, -1);
        ask(&env, a, "hold", "1"); /* runs on */
        ask(&env, a, "echo", "2"); /* never begins */
        run(&env);
        EXPECT(&env, "hold(1) ");
        pass(&env, 999000);
        EXPECT(&env, "");
        pass(&env, 2000);
        EXPECT(&env, "done(timeout,2,the deadline passed) done(timeout,1,the deadline passed) ");
        sh_exec_enter(sh_runtime_exec(env.rt, e), 1);
        sh_cx_finish(env.held, 0); /* late: nobody is told */
        sh_exec_leave(sh_runtime_exec(env.rt, e), 1);
        pass(&env, 1000000);
        EXPECT(&env, "");
        env_end(&env);
    }
}

/* From one executor to the other: the far side must confirm, and has 0.1 s. */
static void deadlines_across(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    env.decision = SH_RESUME;
    sh_pid asker = spawn(&env);
    env.other = spawn_in(&env, 1, env.type, -1);
    tell(&env, env.other, "hold", "");
    run(&env);
    env.log[0] = 0;
    tell(&env, asker, "ask", "v");
    run(&env);
    pass(&env, 1001000);
    EXPECT(&env, "ask(v) then(timeout,1,) error(the deadline passed) ");
    sh_pid first = env.other; /* one whose ask has begun says that it may have been handled */
    env.other = spawn_in(&env, 1, env.type, -1);
    tell(&env, asker, "ask", "hold");
    run(&env);
    pass(&env, 1001000);
    EXPECT(&env, "ask(hold) hold(hold) then(timeout,2,) error(the deadline passed) ");
    env.other = first;
    /* Whose deadline has passed is answered late: not for the ask that has its slot by then. */
    sh_pid late = spawn(&env);
    sh_pid third = env.other = spawn(&env);
    tell(&env, late, "ask", "defer");
    run(&env);
    pass(&env, 1001000);
    EXPECT(&env, "ask(defer) defer(defer) then(timeout,2,) error(the deadline passed) ");
    tell(&env, late, "ask", "hold");
    run(&env);
    EXPECT(&env, "ask(hold) hold(hold) ");
    struct sh_result answer = {.value = STR("late")};
    assert_int_equal(sh_runtime_reply(env.rt, 5, env.promise, &answer), 0);
    run(&env);
    EXPECT(&env, "");
    sh_runtime_kill(env.rt, 1, third, sh_span_none());
    sh_runtime_kill(env.rt, 1, late, sh_span_none());
    run(&env);
    env.log[0] = 0;
    env.other = first;
    tell(&env, asker, "ask", "w");
    run(&env);
    env.log[0] = 0;
    env.now += 1001000; /* only the asker's executor turns */
    sh_exec *x = sh_runtime_exec(env.rt, 0);
    struct sh_turn turn;
    sh_exec_enter(x, 1);
    sh_exec_turn(x, env.now, 100, &turn);
    EXPECT(&env, "");
    sh_exec_turn(x, env.now + 101000, 100, &turn);
    sh_exec_leave(x, 1);
    EXPECT(&env, "then(timeout,2,) error(the deadline passed) ");
    env_end(&env);
}

static void cancelling(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn_in(&env, e, env.type, -1);
        int64_t first = ask(&env, a, "hold", "");
        int64_t second = ask(&env, a, "echo", "");
        run(&env);
        env.log[0] = 0;
        assert_int_equal(sh_runtime_cancel(env.rt, 1, second), 0);
        assert_int_equal(sh_runtime_cancel(env.rt, 1, first), 0);
        run(&env);
        EXPECT(
            &env,
            "done(cancelled,1,the call was cancelled) done(cancelled,2,the call was cancelled) ");
        assert_int_equal(sh_runtime_cancel(env.rt, 1, first), SH_E_NOT_FOUND);
        assert_int_equal(sh_runtime_cancel(env.rt, 1, 0), SH_E_NOT_FOUND);
        env_end(&env);
    }
}

static void mailbox_limit(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn_in(&env, 0, env.type, 2);
    assert_int_equal(tell(&env, a, "nop", ""), 0);
    assert_int_equal(tell(&env, a, "nop", ""), 0);
    assert_int_equal(tell(&env, a, "nop", ""), SH_E_MAILBOX_FULL);
    assert_true(ask(&env, a, "echo", "1") > 0); /* waits in its slot */
    assert_true(ask(&env, a, "echo", "2") > 0);
    assert_int_equal(tell(&env, a, "echo", "3"), SH_E_MAILBOX_FULL);
    run(&env);
    EXPECT(&env, "echo(1) echo(2) done(1) done(2) ");
    for (int i = 0; i < 3; i++) { /* what was handled has left exactly its own room */
        assert_int_equal(tell(&env, a, "nop", ""), 0);
        assert_int_equal(tell(&env, a, "nop", ""), 0);
        assert_int_equal(tell(&env, a, "nop", ""), SH_E_MAILBOX_FULL);
        run(&env);
    }
    /* An ask that never finds room is not sent. */
    tell(&env, a, "hold", "");
    run(&env);
    tell(&env, a, "nop", "");
    tell(&env, a, "nop", "");
    ask(&env, a, "echo", "");
    env.log[0] = 0;
    pass(&env, 1001000);
    EXPECT(&env, "done(timeout,1,the deadline passed) ");
    env_end(&env);
}

static void gate_across(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn_in(&env, 1, env.type, 2);
    assert_true(sh_exec_enter(sh_runtime_exec(env.rt, 0), 1)); /* so calls come from executor 0 */
    assert_int_equal(tell(&env, a, "nop", ""), 0);
    assert_int_equal(tell(&env, a, "nop", ""), 0);
    assert_int_equal(tell(&env, a, "nop", ""), SH_E_MAILBOX_FULL);
    assert_true(ask(&env, a, "echo", "1") > 0);
    assert_int_equal(tell(&env, a, "echo", "2"), SH_E_MAILBOX_FULL);
    sh_exec_leave(sh_runtime_exec(env.rt, 0), 1);
    run(&env);
    EXPECT(&env, "echo(1) done(1) ");
    for (int i = 0; i < 3; i++) { /* what was handled has left exactly its own room */
        assert_true(sh_exec_enter(sh_runtime_exec(env.rt, 0), 1));
        assert_int_equal(tell(&env, a, "nop", ""), 0);
        assert_int_equal(tell(&env, a, "nop", ""), 0);
        assert_int_equal(tell(&env, a, "nop", ""), SH_E_MAILBOX_FULL);
        sh_exec_leave(sh_runtime_exec(env.rt, 0), 1);
        run(&env);
    }
    env_end(&env);
}

static void stop_and_kill(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn_in(&env, e, env.type, -1);
        tell(&env, a, "echo", "q");
        assert_true(sh_runtime_stop(env.rt, 1, a, STR("bye"), on_done, &env) > 0);
        assert_int_equal(tell(&env, a, "echo", "late"), SH_E_NOT_RUNNING);
        run(&env);
        EXPECT(&env, "echo(q) stop(normal,bye) ended(normal,bye) ");
        assert_int_equal(sh_runtime_actors(env.rt), 0);
        sh_runtime_done(env.rt, 1, a, on_done, &env);
        run(&env);
        EXPECT(&env, "ended(gone,) ");
        sh_pid b = spawn_in(&env, e, env.type, -1);
        ask(&env, b, "hold", "");
        run(&env);
        tell(&env, b, "echo", "t");
        ask(&env, b, "echo", "a");
        sh_runtime_kill(env.rt, 1, b, STR("die"));
        env.log[0] = 0;
        run(&env);
        EXPECT(&env,
               "undelivered(echo,t) stop(killed,die) done(not_running,1,the actor has stopped) "
               "done(not_running,2,the actor has stopped) ");
        sh_cx_finish(env.held, 0); /* an orphan: only freed */
        env_end(&env);
    }
}

static void kill_cancels_continuations(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn(&env);
    env.other = spawn_in(&env, 1, env.type, -1);
    tell(&env, env.other, "hold", "");
    ask(&env, a, "ask", "v");
    run(&env);
    env.log[0] = 0;
    sh_runtime_kill(env.rt, 1, a, sh_span_none());
    run(&env);
    EXPECT(&env, "then(cancelled,2,) stop(killed,) done(not_running,2,the actor has stopped) ");
    env_end(&env);
}

static void errors_decide(void **state)
{
    (void)state;
    static const struct {
        int decision;
        bool asked;
        const char *log;
    } cases[] = {
        {SH_RESUME, false, "fail() error(broken) echo(n) event(failed,fail,1,broken) "},
        {SH_STOP, false,
         "fail() error(broken) undelivered(echo,n) stop(error,broken) "
         "event(failed,fail,1,broken) "},
        {SH_RESTART_IT, false,
         "fail() error(broken) stop(restart,broken) init() echo(n) event(failed,fail,1,broken) "},
        {SH_RESUME, true, "fail() error(broken) echo(n) done(handler,3,broken) "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct env env;
        env_start(&env, 1);
        env.decision = cases[i].decision;
        sh_pid a = spawn(&env);
        if (cases[i].asked) {
            ask(&env, a, "fail", "");
        } else {
            tell(&env, a, "fail", "");
        }
        tell(&env, a, "echo", "n");
        run(&env);
        events(&env);
        EXPECT(&env, cases[i].log);
        assert_int_equal(sh_runtime_alive(env.rt, a), cases[i].decision != SH_STOP);
        env_end(&env);
    }
}

static void restart_budget(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    env.decision = SH_RESTART_IT;
    sh_pid a = spawn(&env);
    for (int i = 0; i < 5; i++) {
        tell(&env, a, "fail", "");
        run(&env);
        assert_true(sh_runtime_alive(env.rt, a));
    }
    pass(&env, 5001000); /* a new window */
    for (int i = 0; i < 6; i++) {
        assert_true(sh_runtime_alive(env.rt, a));
        tell(&env, a, "fail", "");
        run(&env);
    }
    assert_false(sh_runtime_alive(env.rt, a));
    env_end(&env);
}

static void links(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn(&env);
        sh_pid b = spawn_in(&env, e, env.type, -1);
        assert_int_equal(sh_runtime_link(env.rt, 1, a, b), 0);
        assert_int_equal(sh_runtime_monitor(env.rt, 1, a, b), 0);
        run(&env);
        sh_runtime_kill(env.rt, 1, b, STR("x"));
        run(&env);
        events(&env);
        EXPECT(&env, "stop(killed,x) down(killed,link) stop(link_died,x) ");
        sh_pid c = spawn(&env);
        env.other = spawn_in(&env, e, env.type, -1);
        tell(&env, c, "monitor", "");
        tell(&env, c, "unlink", "");
        tell(&env, c, "monitor", "");
        run(&env);
        sh_runtime_stop(env.rt, 1, env.other, sh_span_none(), NULL, NULL);
        env.log[0] = 0;
        run(&env);
        EXPECT(&env, "stop(normal,) down(normal) ");
        tell(&env, c, "link", ""); /* who is gone is told so */
        run(&env);
        EXPECT(&env, "link() down(gone,link) stop(link_died,) ");
        env_end(&env);
    }
}

static void unlink_ends_both_sides(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn(&env);
        sh_pid b = spawn_in(&env, e, env.type, -1);
        sh_runtime_link(env.rt, 1, a, b);
        run(&env);
        sh_runtime_unlink(env.rt, 1, b, a);
        run(&env);
        sh_runtime_kill(env.rt, 1, a, sh_span_none());
        run(&env);
        EXPECT(&env, "stop(killed,) ");
        assert_true(sh_runtime_alive(env.rt, b));
        env_end(&env);
    }
}

/* Who also monitors is still told, and only told, once the link is undone. */
static void unlink_leaves_the_monitor(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn(&env);
        sh_pid b = spawn_in(&env, e, env.type, -1);
        sh_runtime_monitor(env.rt, 1, b, a);
        sh_runtime_link(env.rt, 1, a, b);
        run(&env);
        sh_runtime_unlink(env.rt, 1, a, b);
        run(&env);
        sh_runtime_kill(env.rt, 1, a, sh_span_none());
        run(&env);
        EXPECT(&env, "stop(killed,) down(killed) ");
        assert_true(sh_runtime_alive(env.rt, b));
        env_end(&env);
    }
}

static uint32_t messages_out(struct env *env)
{
    uint32_t sum = 0;
    for (unsigned e = 0; e < sh_runtime_execs(env->rt); e++) {
        struct sh_exec_stats stats;
        sh_exec_stats(sh_runtime_exec(env->rt, e), &stats);
        sum += stats.messages;
    }
    return sum;
}

/* A link that was undone leaves nothing at either side. */
static void unlink_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn_in(&env, 0, env.type, -1), b[20];
        for (unsigned i = 0; i < 20; i++) {
            b[i] = spawn_in(&env, e, env.type, -1);
        }
        uint32_t before = messages_out(&env);
        for (unsigned i = 0; i < 20; i++) {
            sh_pid x = i % 2 ? a : b[i], y = i % 2 ? b[i] : a;
            assert_int_equal(sh_runtime_link(env.rt, 1, x, y), 0);
            run(&env);
            assert_true(messages_out(&env) > before);
            assert_int_equal(sh_runtime_unlink(env.rt, 1, i % 3 ? x : y, i % 3 ? y : x), 0);
            run(&env);
        }
        assert_true(messages_out(&env) <= before + 1); /* one may be on its way home */
        env_end(&env);
    }
}

static void children(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    sh_pid a = spawn(&env);
    tell(&env, a, "child", "");
    run(&env);
    sh_pid child = env.other;
    EXPECT(&env, "child() init() ");
    sh_runtime_kill(env.rt, 1, child, sh_span_none());
    run(&env);
    EXPECT(&env, "stop(killed,) down(killed,child) ");
    tell(&env, a, "child", "");
    run(&env);
    env.log[0] = 0;
    sh_runtime_stop(env.rt, 1, a, sh_span_none(), NULL, NULL);
    run(&env);
    EXPECT(&env, "stop(normal,parent stopped) down(normal,child) stop(normal,) ");
    sh_pid b = spawn(&env);
    tell(&env, b, "child", "");
    run(&env);
    env.log[0] = 0;
    sh_runtime_kill(env.rt, 1, b, sh_span_none());
    run(&env);
    EXPECT(&env, "stop(killed,) stop(killed,parent ended) ");
    assert_int_equal(sh_runtime_actors(env.rt), 0);
    env_end(&env);
}

static void promises_and_forwards(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn(&env);
        env.other = spawn_in(&env, e, env.type, -1);
        ask(&env, a, "defer", "");
        ask(&env, a, "echo", "open"); /* deferring opens the mailbox */
        run(&env);
        EXPECT(&env, "defer() echo(open) done(open) ");
        struct sh_result r = {.value = STR("kept")};
        assert_int_equal(sh_runtime_reply(env.rt, 5, env.promise, &r), 0);
        assert_int_equal(sh_runtime_reply(env.rt, 5, env.promise, &r),
                         0); /* a second one is dropped */
        run(&env);
        EXPECT(&env, "done(kept) ");
        ask(&env, a, "fwd", "f");
        run(&env);
        EXPECT(&env, "fwd(f) echo(f) done(f) ");
        tell(&env, a, "ask",
             "defer"); /* the same to an actor that has not taken the first one yet */
        run(&env);
        EXPECT(&env, "ask(defer) defer(defer) ");
        sh_runtime_reply(env.rt, 5, env.promise, &r);
        sh_runtime_reply(env.rt, 5, env.promise, &r);
        run(&env);
        EXPECT(&env, "then(ok,0,kept) ");
        env_end(&env);
    }
}

static void timers(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    sh_pid a = spawn(&env);
    tell(&env, a, "after", "");
    run(&env);
    pass(&env, 4000);
    EXPECT(&env, "after() ");
    pass(&env, 2000);
    EXPECT(&env, "echo(after) ");
    pass(&env, 20000);
    EXPECT(&env, "");
    tell(&env, a, "every", "");
    run(&env);
    env.log[0] = 0;
    pass(&env, 11000);
    EXPECT(&env, "echo(tick) ");
    pass(&env, 55000); /* what it missed is skipped */
    EXPECT(&env, "echo(tick) ");
    pass(&env, 5000);
    EXPECT(&env, "echo(tick) ");
    env.decision = SH_RESTART_IT; /* timers end with the incarnation */
    tell(&env, a, "fail", "");
    run(&env);
    env.log[0] = 0;
    pass(&env, 100000);
    EXPECT(&env, "");
    env_end(&env);
}

static void spawns(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    opt.args = STR("arg");
    sh_pid pid;
    env.init_code = -1;
    assert_int_equal(sh_runtime_spawn(env.rt, 1, 0, env.type, &opt, &pid), SH_E_HANDLER);
    assert_true(sh_pid_is_none(pid));
    assert_true(sh_span_eq(sh_exec_last_text(sh_runtime_exec(env.rt, 0)), STR("no init")));
    run(&env);
    EXPECT(&env, "init(arg) "); /* no on_stop, no event: the spawner was told */
    env.init_code = 1;
    opt.spawned = on_done;
    opt.spawned_ud = &env;
    assert_int_equal(sh_runtime_spawn(env.rt, 1, 0, env.type, &opt, &pid), 1);
    ask(&env, pid, "echo", "q");
    run(&env);
    EXPECT(&env, "init(arg) ");
    sh_cx_finish(env.held, 0);
    run(&env);
    EXPECT(&env, "ended(normal,) echo(q) done(q) ");
    assert_int_equal(sh_runtime_spawn(env.rt, 1, 0, env.type, &opt, &pid), 1);
    ask(&env, pid, "echo", "q");
    sh_cx_finish(env.held, SH_E_HANDLER);
    env.log[0] = 0;
    run(&env);
    EXPECT(&env, "done(handler,3,the handler failed) done(not_running,1,the actor has stopped) ");
    sh_runtime_stop_all(env.rt, 1);
    env.init_code = 0;
    assert_int_equal(sh_runtime_spawn(env.rt, 1, 0, env.type, &opt, &pid), SH_E_CLOSED);
    env_end(&env);
}

/* From outside, of any executor; a slot that has a new owner says nothing of the old one. */
static void type_of(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_span names[H_COUNT];
        struct sh_actor_type def = scripted_type(&env, names);
        const sh_type *other;
        def.id = STR("other");
        assert_int_equal(sh_runtime_type(env.rt, &def, &other), 0);
        sh_pid a = spawn_in(&env, e, env.type, -1);
        assert_true(sh_span_eq(sh_runtime_type_of(env.rt, a), STR("scripted")));
        sh_pid wrong[] = {a, a, a, a, sh_pid_none()};
        wrong[0].node = 1;
        wrong[1].check++;
        wrong[2].actor ^= UINT64_C(1) << 32;
        wrong[3].actor |= UINT64_C(0xff) << 24;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            assert_int_equal(sh_runtime_type_of(env.rt, wrong[i]).n, 0);
        }
        assert_int_equal(sh_runtime_kill(env.rt, 1, a, STR("gone")), 0);
        run(&env);
        assert_int_equal(sh_runtime_type_of(env.rt, a).n, 0);
        sh_pid b = spawn_in(&env, e, other, -1);
        assert_int_equal((uint32_t)b.actor, (uint32_t)a.actor); /* the same slot */
        assert_true(sh_span_eq(sh_runtime_type_of(env.rt, b), STR("other")));
        assert_int_equal(sh_runtime_type_of(env.rt, a).n, 0);
        env_end(&env);
    }
}

static void drains(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        struct env env;
        env_start(&env, 2);
        sh_pid a = spawn_in(&env, e, env.type, -1);
        sh_runtime_drain(env.rt, 1, a, env.now + 1000000, on_done, &env);
        run(&env);
        EXPECT(&env, "done() ");
        tell(&env, a, "unknown", "");
        run(&env);
        sh_runtime_drain(env.rt, 1, a, env.now + 1000000, on_done, &env);
        run(&env);
        EXPECT(&env, "done(no_handler,1,the actor takes no such message) ");
        sh_runtime_drain(env.rt, 1, a, env.now + 1000000, on_done, &env);
        run(&env);
        EXPECT(&env, "done() ");
        env_end(&env);
    }
}

/* A thread that finds its executor taken goes through the inbox. */
static void through_the_inbox(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    sh_pid a = spawn(&env);
    sh_exec *x = sh_runtime_exec(env.rt, 0);
    assert_true(sh_exec_enter(x, 9));
    assert_false(sh_exec_enter(x, 1));
    assert_true(sh_exec_sleep(x));
    assert_int_equal(tell(&env, a, "echo", "1"), 0);
    int64_t gone = ask(&env, a, "hold", "2");
    assert_true(ask(&env, a, "echo", "3") > 0);
    assert_int_equal(sh_runtime_cancel(env.rt, 1, gone), 0);
    sh_runtime_done(env.rt, 1, a, on_done, &env);
    sh_runtime_kill(env.rt, 1, a, STR("k"));
    assert_int_equal(env.wakes[0], 1); /* once per sleep */
    sh_exec_leave(x, 9);
    run(&env);
    EXPECT(&env, "undelivered(echo,1) stop(killed,k) done(cancelled,1,the call was cancelled) "
                 "done(not_running,1,the actor has stopped) ended(killed,k) ");
    assert_true(sh_exec_enter(x, 9));
    assert_int_equal(tell(&env, a, "echo", ""), SH_E_NOT_RUNNING);
    assert_true(ask(&env, a, "echo", "") > 0); /* known only there */
    sh_exec_leave(x, 9);
    run(&env);
    EXPECT(&env, "done(not_running,1,the actor has stopped) ");
    env_end(&env);
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

static void stop_all(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 2);
    spawn(&env);
    spawn_in(&env, 1, env.type, -1);
    sh_runtime_stop_all(env.rt, 1);
    run(&env);
    assert_int_equal(sh_runtime_actors(env.rt), 0);
    EXPECT(&env, "stop(normal,node stopped) stop(normal,node stopped) ");
    env_end(&env);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tell_and_ask),
        cmocka_unit_test(errors_at_the_call),
        cmocka_unit_test(asks_from_actors),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(deadlines_across),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(mailbox_limit),
        cmocka_unit_test(gate_across),
        cmocka_unit_test(stop_and_kill),
        cmocka_unit_test(kill_cancels_continuations),
        cmocka_unit_test(errors_decide),
        cmocka_unit_test(restart_budget),
        cmocka_unit_test(links),
        cmocka_unit_test(unlink_ends_both_sides),
        cmocka_unit_test(unlink_leaves_the_monitor),
        cmocka_unit_test(unlink_leaves_nothing),
        cmocka_unit_test(children),
        cmocka_unit_test(promises_and_forwards),
        cmocka_unit_test(timers),
        cmocka_unit_test(spawns),
        cmocka_unit_test(type_of),
        cmocka_unit_test(drains),
        cmocka_unit_test(through_the_inbox),
        cmocka_unit_test(closing),
        cmocka_unit_test(stop_all),
        cmocka_unit_test(stalls),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
