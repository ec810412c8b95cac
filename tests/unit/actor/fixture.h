/* A runtime for tests: seeded randomness, counted memory, a scripted actor type and a log of what happened. */
#ifndef TEST_ACTOR_FIXTURE_H
#define TEST_ACTOR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "actor/runtime.h"

enum { MAX_EXECS = 2, TAG = 77 };
#define STR(s) sh_span_str(s)

struct env {
    sh_mem_counter mem;
    sh_rng_seeded seeds[MAX_EXECS];
    sh_rng rng[MAX_EXECS];
    sh_runtime *rt;
    const sh_type *type; /* the scripted actor */
    const sh_type *reentrant;
    uint64_t now;
    unsigned wakes[MAX_EXECS];
    sh_cx *held;
    sh_pid promise;
    sh_pid other; /* target of asking and telling handlers */
    int64_t call;
    bool at_once; /* a tell to another node is written at once */
    int decision; /* of on_error and on_down; -1: the hook says its default */
    int init_code;
    char log[8192];
};

static inline void note(struct env *env, const char *format, ...)
{
    size_t n = strlen(env->log);
    va_list ap;
    va_start(ap, format);
    vsnprintf(env->log + n, sizeof env->log - n, format, ap);
    va_end(ap);
}

/* The log since the last look. */
#define EXPECT(env, text)                                                                          \
    do {                                                                                           \
        assert_string_equal((env)->log, text);                                                     \
        (env)->log[0] = 0;                                                                         \
    } while (0)

static inline int on_then(sh_cx *cx, void *ud, const struct sh_result *r)
{
    struct env *env = ud;
    note(env, "then(%s,%d,%.*s) ", sh_err_name(r->code), r->delivery, (int)r->value.n,
         (const char *)r->value.p);
    if (r->code < 0) {
        return sh_cx_fail(cx, r->text, sh_span_none(), sh_span_none());
    }
    sh_cx_reply(cx, r->value);
    return 0;
}

static inline void on_done(void *ud, const struct sh_result *r)
{
    struct env *env = ud;
    if (r->code < 0) {
        note(env, "done(%s,%d,%.*s) ", sh_err_name(r->code), r->delivery, (int)r->text.n,
             (const char *)r->text.p);
    } else if (r->pid.actor && r->value.n == 0) {
        note(env, "ended(%s,%.*s) ", sh_reason_name(r->reason.kind), (int)r->reason.text.n,
             (const char *)r->reason.text.p);
    } else {
        note(env, "done(%.*s) ", (int)r->value.n, (const char *)r->value.p);
    }
}

enum {
    H_ECHO,
    H_FAIL,
    H_BAD,
    H_DEFER,
    H_HOLD,
    H_ASK,
    H_TELL,
    H_FWD,
    H_STOP,
    H_LINK,
    H_MONITOR,
    H_UNLINK,
    H_CHILD,
    H_AFTER,
    H_EVERY,
    H_NOP,
    H_SELF,
    H_COUNT
};
static const char *const handler_names[H_COUNT] = {
    "echo", "fail",    "bad",    "defer", "hold",  "ask",   "tell", "fwd", "stop",
    "link", "monitor", "unlink", "child", "after", "every", "nop",  "self"};

static inline int scripted_more(struct env *env, sh_cx *cx, int index, sh_span value)
{
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    switch (index) {
    case H_STOP: sh_cx_stop(cx, value); return 0;
    case H_LINK: return sh_cx_link(cx, env->other);
    case H_MONITOR: return sh_cx_monitor(cx, env->other);
    case H_UNLINK: return sh_cx_unlink(cx, env->other);
    case H_CHILD: return sh_cx_spawn(cx, env->type, &opt, &env->other);
    case H_AFTER: env->call = sh_cx_after(cx, 5000, STR("echo"), STR("after")); return 0;
    case H_EVERY: env->call = sh_cx_every(cx, 10000, STR("echo"), STR("tick")); return 0;
    case H_SELF:
        env->call = sh_cx_ask(cx, sh_cx_self(cx), STR("echo"), value, 0, on_then, env);
        return 0;
    default: return 0;
    }
}

static inline int scripted(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    struct env *env = ud;
    ++*(int *)state;
    if (index != H_NOP) {
        note(env, "%s(%.*s) ", index < 0 ? "any" : handler_names[index], (int)value.n,
             (const char *)value.p);
    }
    switch (index) {
    case H_ECHO: return sh_cx_reply(cx, value) < 0 ? -1 : 0;
    case H_FAIL: return sh_cx_fail(cx, STR("broken"), STR("Type"), value);
    case H_BAD: return sh_cx_reject(cx, SH_E_BAD_VALUE, STR("not so"));
    case H_DEFER: sh_cx_defer(cx, &env->promise); return 0;
    case H_HOLD:
        sh_cx_hold(cx);
        env->held = cx;
        return 0;
    case H_ASK:
        name =
            sh_span_eq(value, STR("defer")) || sh_span_eq(value, STR("hold")) ? value : STR("echo");
        env->call = sh_cx_ask(cx, env->other, name, value, 1000000, on_then, env);
        return env->call < 0 ? (int)env->call : 0;
    case H_TELL: return sh_cx_tell(cx, env->other, STR("echo"), value);
    case H_FWD: return sh_cx_forward(cx, env->other, STR("echo"), value);
    default: return scripted_more(env, cx, index, value);
    }
}

static inline int on_init(void *ud, sh_cx *cx, void *state, sh_span args, void *user)
{
    struct env *env = ud;
    (void)user;
    assert_int_equal(*(int *)state, 0);
    note(env, "init(%.*s) ", (int)args.n, (const char *)args.p);
    if (env->init_code == 1) {
        sh_cx_hold(cx);
        env->held = cx;
        return 0;
    }
    return env->init_code < 0 ? sh_cx_fail(cx, STR("no init"), sh_span_none(), sh_span_none()) : 0;
}

static inline void on_stop(void *ud, sh_cx *cx, void *state, const struct sh_reason *r)
{
    (void)cx;
    (void)state;
    note(ud, "stop(%s,%.*s) ", sh_reason_name(r->kind), (int)r->text.n, (const char *)r->text.p);
}

static inline int on_error(void *ud, sh_cx *cx, void *state, const struct sh_result *r)
{
    struct env *env = ud;
    (void)state;
    (void)cx;
    note(env, "error(%.*s) ", (int)r->text.n, (const char *)r->text.p);
    return env->decision < 0 ? SH_STOP : env->decision;
}

static inline int on_down(void *ud, sh_cx *cx, void *state, sh_pid dead, const struct sh_reason *r,
                          unsigned flags)
{
    struct env *env = ud;
    (void)cx;
    (void)state;
    (void)dead;
    note(env, "down(%s%s%s) ", sh_reason_name(r->kind), (flags & SH_DOWN_LINK) ? ",link" : "",
         (flags & SH_DOWN_CHILD) ? ",child" : "");
    if (env->decision >= 0) {
        return env->decision;
    }
    return (flags & SH_DOWN_LINK) && r->kind != SH_NORMAL ? SH_STOP : SH_RESUME;
}

static inline void on_undelivered(void *ud, sh_cx *cx, void *state, sh_span name, sh_span value)
{
    (void)cx;
    (void)state;
    note(ud, "undelivered(%.*s,%.*s) ", (int)name.n, (const char *)name.p, (int)value.n,
         (const char *)value.p);
}

static inline struct sh_actor_type scripted_type(struct env *env, sh_span *names)
{
    for (int i = 0; i < H_COUNT; i++) {
        names[i] = STR(handler_names[i]);
    }
    return (struct sh_actor_type){.id = STR("scripted"),
                                  .ud = env,
                                  .state_size = sizeof(int),
                                  .names = names,
                                  .name_count = H_COUNT,
                                  .mailbox = -1,
                                  .init = on_init,
                                  .handle = scripted,
                                  .on_stop = on_stop,
                                  .on_error = on_error,
                                  .on_down = on_down,
                                  .on_undelivered = on_undelivered};
}

static inline void env_wake(void *ud, unsigned exec)
{
    ((struct env *)ud)->wakes[exec]++;
}

static inline bool env_tell_peer(void *ud, sh_pid to, sh_span name, sh_span value)
{
    struct env *env = ud;
    if (env->at_once) {
        note(env, "at_once(%d,%.*s,%.*s) ", (int)to.actor, (int)name.n, (const char *)name.p,
             (int)value.n, (const char *)value.p);
    }
    return env->at_once;
}

static inline struct sh_runtime_config env_config(struct env *env, unsigned execs)
{
    struct sh_runtime_config cfg;
    sh_runtime_config_init(&cfg);
    cfg.mem = &env->mem.mem;
    cfg.execs = execs;
    cfg.self_tag = TAG;
    cfg.user = env;
    cfg.wake = env_wake;
    cfg.wake_ud = env;
    cfg.tell_peer = env_tell_peer;
    cfg.tell_peer_ud = env;
    for (unsigned e = 0; e < MAX_EXECS; e++) {
        env->rng[e] = sh_rng_seeded_init(&env->seeds[e], 100 + e);
        cfg.rng[e] = &env->rng[e];
    }
    return cfg;
}

static inline void env_start(struct env *env, unsigned execs)
{
    memset(env, 0, sizeof *env);
    env->decision = -1;
    env->now = 1000000;
    sh_mem_counted(&env->mem, sh_mem_system());
    struct sh_runtime_config cfg = env_config(env, execs);
    assert_int_equal(sh_runtime_new(&cfg, env->now, &env->rt), 0);
    sh_span names[H_COUNT];
    struct sh_actor_type def = scripted_type(env, names);
    assert_int_equal(sh_runtime_type(env->rt, &def, &env->type), 0);
    def.flags = SH_TYPE_REENTRANT;
    def.on_error = NULL;
    def.on_down = NULL;
    def.on_undelivered = NULL;
    def.takes_any = true;
    assert_int_equal(sh_runtime_type(env->rt, &def, &env->reentrant), 0);
}

static inline void env_end(struct env *env)
{
    sh_runtime_free(env->rt);
    assert_int_equal(env->mem.live_bytes, 0);
    assert_int_equal(env->mem.live_blocks, 0);
}

/* A test of its own runtime, which is made for it and must leave nothing: of one executor, of two, or of two and told
 * once for e = 0 and once for e = 1, the executor that somebody in it is on; or all of that. */
struct runtime_test {
    void (*plain)(struct env *env);
    void (*each)(struct env *env, unsigned e);
    unsigned execs, execs_max;
};
#define ONE(test)   RUNTIME_TEST(test, plain, 1, 1)
#define TWO(test)   RUNTIME_TEST(test, plain, 2, 2)
#define EACH(test)  RUNTIME_TEST(test, each, 2, 2)
#define EVERY(test) RUNTIME_TEST(test, each, 1, 2)
#define RUNTIME_TEST(test, how, least, most)                                                       \
    {                                                                                              \
        .name = #test, .test_func = on_a_runtime, .initial_state = &(struct runtime_test)          \
        {                                                                                          \
            .how = (test), .execs = (least), .execs_max = (most)                                   \
        }                                                                                          \
    }

static inline void on_runtime_of(const struct runtime_test *test, unsigned execs)
{
    for (unsigned e = 0; e < (test->each ? execs : 1); e++) {
        struct env env;
        env_start(&env, execs);
        if (test->each) {
            test->each(&env, e);
        } else {
            test->plain(&env);
        }
        env_end(&env);
    }
}

static inline void on_a_runtime(void **state)
{
    const struct runtime_test *test = *state;
    for (unsigned execs = test->execs; execs <= test->execs_max; execs++) {
        on_runtime_of(test, execs);
    }
}

/* Turns of all executors until nothing is due now. */
static inline void run(struct env *env)
{
    bool more = true;
    while (more) {
        more = false;
        for (unsigned e = 0; e < sh_runtime_execs(env->rt); e++) {
            sh_exec *x = sh_runtime_exec(env->rt, e);
            struct sh_turn turn;
            assert_true(sh_exec_enter(x, 1));
            sh_exec_turn(x, env->now, 1000, &turn);
            more |= turn.handled > 0;
            sh_exec_leave(x, 1);
        }
        for (unsigned e = 0; e < sh_runtime_execs(env->rt); e++) {
            more |= sh_exec_deadline(sh_runtime_exec(env->rt, e)) == 0;
        }
    }
}

static inline void pass(struct env *env, uint64_t us)
{
    env->now += us;
    run(env);
}

static inline sh_pid spawn_in(struct env *env, unsigned exec, const sh_type *type, int64_t mailbox)
{
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    opt.mailbox = mailbox;
    sh_pid pid;
    assert_int_equal(sh_runtime_spawn(env->rt, 1, exec, type, &opt, &pid), 0);
    env->log[0] = 0;
    return pid;
}

static inline sh_pid spawn(struct env *env)
{
    return spawn_in(env, 0, env->type, -1);
}

static inline int tell(struct env *env, sh_pid to, const char *name, const char *value)
{
    return sh_runtime_tell(env->rt, 1, to, STR(name), STR(value));
}

static inline int64_t ask(struct env *env, sh_pid to, const char *name, const char *value)
{
    return sh_runtime_ask(env->rt, 1, to, STR(name), STR(value), env->now + 1000000, on_done, env);
}

static inline void events(struct env *env)
{
    struct sh_runtime_event ev;
    while (sh_runtime_event(env->rt, &ev)) {
        static const char *const kinds[] = {"", "undelivered", "failed", "stalled"};
        note(env, "event(%s,%.*s,%d,%.*s) ", kinds[ev.kind], (int)ev.name.n,
             (const char *)ev.name.p, (int)ev.count, (int)ev.text.n, (const char *)ev.text.p);
    }
}

#endif
