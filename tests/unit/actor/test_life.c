/* The life of actors, told as logs: spawns, stops and kills, failures and restarts, links, monitors and children. */
#include "fixture.h"

static void stop_and_kill(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    tell(env, a, "echo", "q");
    assert_true(sh_runtime_stop(env->rt, 1, a, STR("bye"), on_done, env) > 0);
    assert_int_equal(tell(env, a, "echo", "late"), SH_E_NOT_RUNNING);
    run(env);
    EXPECT(env, "echo(q) stop(normal,bye) ended(normal,bye) ");
    assert_int_equal(sh_runtime_actors(env->rt), 0);
    sh_runtime_done(env->rt, 1, a, on_done, env);
    run(env);
    EXPECT(env, "ended(gone,) ");
    sh_pid b = spawn_in(env, e, env->type, -1);
    ask(env, b, "hold", "");
    run(env);
    tell(env, b, "echo", "t");
    ask(env, b, "echo", "a");
    sh_runtime_kill(env->rt, 1, b, STR("die"));
    env->log[0] = 0;
    run(env);
    EXPECT(env, "undelivered(echo,t) stop(killed,die) done(not_running,1,the actor has stopped) "
                "done(not_running,2,the actor has stopped) ");
    sh_cx_finish(env->held, 0); /* an orphan: only freed */
}

static void kill_poor(struct env *env, sh_pid a)
{
    env->mem.fail_from = 1;
    assert_int_equal(sh_runtime_kill(env->rt, 1, a, STR("die")), 0);
    env->mem.fail_from = 0;
}

/* Without memory for a message: once, also one that is being stopped, and never who got its slot. */
static void kill_without_memory(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    kill_poor(env, a);
    kill_poor(env, a);
    run(env);
    EXPECT(env, "stop(killed,) ");
    kill_poor(env, a); /* it is gone */
    sh_pid b = spawn_in(env, e, env->type, -1);
    assert_int_equal((uint32_t)b.actor, (uint32_t)a.actor); /* the same slot */
    kill_poor(env, a);
    run(env);
    assert_true(sh_runtime_alive(env->rt, b));
    for (int stopped = 0; stopped < 2; stopped++) { /* a stop behind it, and before it */
        sh_pid c = spawn_in(env, e, env->type, -1);
        tell(env, c, "hold", ""); /* so a stop alone would wait for ever */
        run(env);
        if (stopped == 0) {
            kill_poor(env, c);
        }
        sh_runtime_stop(env->rt, 1, c, STR("bye"), NULL, NULL);
        if (stopped == 1) {
            run(env);
            kill_poor(env, c);
        }
        run(env);
        assert_int_equal(sh_runtime_actors(env->rt), 1); /* b */
        sh_cx_finish(env->held, 0);
    }
}

static void kill_cancels_continuations(struct env *env)
{
    sh_pid a = spawn(env);
    env->other = spawn_in(env, 1, env->type, -1);
    tell(env, env->other, "hold", "");
    ask(env, a, "ask", "v");
    run(env);
    env->log[0] = 0;
    sh_runtime_kill(env->rt, 1, a, sh_span_none());
    run(env);
    EXPECT(env, "then(cancelled,2,) stop(killed,) done(not_running,2,the actor has stopped) ");
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

/* So many failures, and it is still alive. */
static void fails(struct env *env, sh_pid a, int count)
{
    for (int i = 0; i < count; i++) {
        tell(env, a, "fail", "");
        run(env);
        assert_true(sh_runtime_alive(env->rt, a));
    }
}

/* SH_RESTARTS_DEFAULT within SH_RESTART_WITHIN_MS of the first: one more is its end, unless the time is over. */
static void restart_budget(struct env *env)
{
    const uint64_t within_us = SH_RESTART_WITHIN_MS * UINT64_C(1000);
    env->decision = SH_RESTART_IT;
    sh_pid a = spawn(env);
    fails(env, a, SH_RESTARTS_DEFAULT);
    pass(env, within_us + 1); /* a new window */
    fails(env, a, SH_RESTARTS_DEFAULT);
    pass(env, within_us); /* the same */
    tell(env, a, "fail", "");
    run(env);
    assert_false(sh_runtime_alive(env->rt, a));
}

static void links(struct env *env, unsigned e)
{
    sh_pid a = spawn(env);
    sh_pid b = spawn_in(env, e, env->type, -1);
    assert_int_equal(sh_runtime_link(env->rt, 1, a, b), 0);
    assert_int_equal(sh_runtime_monitor(env->rt, 1, a, b), 0);
    run(env);
    sh_runtime_kill(env->rt, 1, b, STR("x"));
    run(env);
    events(env);
    EXPECT(env, "stop(killed,x) down(killed,link) stop(link_died,x) ");
    sh_pid c = spawn(env);
    env->other = spawn_in(env, e, env->type, -1);
    tell(env, c, "monitor", "");
    tell(env, c, "unlink", "");
    tell(env, c, "monitor", "");
    run(env);
    sh_runtime_stop(env->rt, 1, env->other, sh_span_none(), NULL, NULL);
    env->log[0] = 0;
    run(env);
    EXPECT(env, "stop(normal,) down(normal) ");
    tell(env, c, "link", ""); /* who is gone is told so */
    run(env);
    EXPECT(env, "link() down(gone,link) stop(link_died,) ");
}

/* Whichever side undoes it. Who also monitors is still told, and only told. */
static void unlink_ends_both_sides(struct env *env, unsigned e)
{
    for (int monitors = 0; monitors < 2; monitors++) {
        sh_pid a = spawn(env);
        sh_pid b = spawn_in(env, e, env->type, -1);
        if (monitors) {
            sh_runtime_monitor(env->rt, 1, b, a);
        }
        sh_runtime_link(env->rt, 1, a, b);
        run(env);
        sh_runtime_unlink(env->rt, 1, monitors ? a : b, monitors ? b : a);
        run(env);
        sh_runtime_kill(env->rt, 1, a, sh_span_none());
        run(env);
        EXPECT(env, monitors ? "stop(killed,) down(killed) " : "stop(killed,) ");
        assert_true(sh_runtime_alive(env->rt, b));
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
static void unlink_leaves_nothing(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, 0, env->type, -1), b[20];
    for (unsigned i = 0; i < 20; i++) {
        b[i] = spawn_in(env, e, env->type, -1);
    }
    uint32_t before = messages_out(env);
    for (unsigned i = 0; i < 20; i++) {
        sh_pid x = i % 2 ? a : b[i], y = i % 2 ? b[i] : a;
        assert_int_equal(sh_runtime_link(env->rt, 1, x, y), 0);
        run(env);
        assert_true(messages_out(env) > before);
        assert_int_equal(sh_runtime_unlink(env->rt, 1, i % 3 ? x : y, i % 3 ? y : x), 0);
        run(env);
    }
    assert_true(messages_out(env) <= before + 1); /* one may be on its way home */
}

static void children(struct env *env)
{
    sh_pid a = spawn(env);
    tell(env, a, "child", "");
    run(env);
    sh_pid child = env->other;
    EXPECT(env, "child() init() ");
    sh_runtime_kill(env->rt, 1, child, sh_span_none());
    run(env);
    EXPECT(env, "stop(killed,) down(killed,child) ");
    tell(env, a, "child", "");
    run(env);
    env->log[0] = 0;
    sh_runtime_stop(env->rt, 1, a, sh_span_none(), NULL, NULL);
    run(env);
    EXPECT(env, "stop(normal,parent stopped) down(normal,child) stop(normal,) ");
    sh_pid b = spawn(env);
    tell(env, b, "child", "");
    run(env);
    env->log[0] = 0;
    sh_runtime_kill(env->rt, 1, b, sh_span_none());
    run(env);
    EXPECT(env, "stop(killed,) stop(killed,parent ended) ");
    assert_int_equal(sh_runtime_actors(env->rt), 0);
}

static void spawns(struct env *env)
{
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    opt.args = STR("arg");
    sh_pid pid;
    env->init_code = -1;
    assert_int_equal(sh_runtime_spawn(env->rt, 1, 0, env->type, &opt, &pid), SH_E_HANDLER);
    assert_true(sh_pid_is_none(pid));
    assert_true(sh_span_eq(sh_exec_last_text(sh_runtime_exec(env->rt, 0)), STR("no init")));
    run(env);
    EXPECT(env, "init(arg) "); /* no on_stop, no event: the spawner was told */
    env->init_code = 1;
    opt.spawned = on_done;
    opt.spawned_ud = env;
    assert_int_equal(sh_runtime_spawn(env->rt, 1, 0, env->type, &opt, &pid), 1);
    ask(env, pid, "echo", "q");
    run(env);
    EXPECT(env, "init(arg) ");
    sh_cx_finish(env->held, 0);
    run(env);
    EXPECT(env, "ended(normal,) echo(q) done(q) ");
    assert_int_equal(sh_runtime_spawn(env->rt, 1, 0, env->type, &opt, &pid), 1);
    ask(env, pid, "echo", "q");
    sh_cx_finish(env->held, SH_E_HANDLER);
    env->log[0] = 0;
    run(env);
    EXPECT(env, "done(handler,3,the handler failed) done(not_running,1,the actor has stopped) ");
    sh_runtime_stop_all(env->rt, 1);
    env->init_code = 0;
    assert_int_equal(sh_runtime_spawn(env->rt, 1, 0, env->type, &opt, &pid), SH_E_CLOSED);
}

/* From outside, of any executor; a slot that has a new owner says nothing of the old one. */
static void type_of(struct env *env, unsigned e)
{
    sh_span names[H_COUNT];
    struct sh_actor_type def = scripted_type(env, names);
    const sh_type *other;
    def.id = STR("other");
    assert_int_equal(sh_runtime_type(env->rt, &def, &other), 0);
    sh_pid a = spawn_in(env, e, env->type, -1);
    assert_true(sh_span_eq(sh_runtime_type_of(env->rt, a), STR("scripted")));
    sh_pid wrong[] = {a, a, a, a, sh_pid_none()};
    wrong[0].node = 1;
    wrong[1].check++;
    wrong[2].actor ^= UINT64_C(1) << 32;
    wrong[3].actor |= UINT64_C(0xff) << 24;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(sh_runtime_type_of(env->rt, wrong[i]).n, 0);
    }
    assert_int_equal(sh_runtime_kill(env->rt, 1, a, STR("gone")), 0);
    run(env);
    assert_int_equal(sh_runtime_type_of(env->rt, a).n, 0);
    sh_pid b = spawn_in(env, e, other, -1);
    assert_int_equal((uint32_t)b.actor, (uint32_t)a.actor); /* the same slot */
    assert_true(sh_span_eq(sh_runtime_type_of(env->rt, b), STR("other")));
    assert_int_equal(sh_runtime_type_of(env->rt, a).n, 0);
}

static void stop_all(struct env *env)
{
    spawn(env);
    spawn_in(env, 1, env->type, -1);
    sh_runtime_stop_all(env->rt, 1);
    run(env);
    assert_int_equal(sh_runtime_actors(env->rt), 0);
    EXPECT(env, "stop(normal,node stopped) stop(normal,node stopped) ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERY(kill_without_memory),
        EACH(stop_and_kill),
        TWO(kill_cancels_continuations),
        cmocka_unit_test(errors_decide),
        ONE(restart_budget),
        EACH(links),
        EACH(unlink_ends_both_sides),
        EACH(unlink_leaves_nothing),
        ONE(children),
        ONE(spawns),
        EACH(type_of),
        TWO(stop_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
