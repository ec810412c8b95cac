/* tests/torture/actor.c - the actor of the torture tests: one handler for each way to answer, ask on, wait, stop. */
#include "world.h"

#include "actor.h"

static int on_large(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return shoal_reply(cx, t_bytes(300000));
}

/* cx_user is the world, or NULL in actors that need it not. */
static int on_defer(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    struct world *w = shoal_cx_user(cx);
    int code = shoal_defer(cx, &w->promise);
    w->promised = code == 0;
    return code;
}

static int on_hold(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    struct world *w = shoal_cx_user(cx);
    int code = shoal_hold(cx);
    w->held = code == 0 ? cx : NULL;
    return code;
}

static int then_reply(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)ud;
    return result->code < 0 ? shoal_fail(cx, result->text) : shoal_reply(cx, result->value);
}

/* Asks the actor its value names, and answers what that answers. */
static int on_relay(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    shoal_pid to;
    int code = shoal_as_ref(shoal_cx_node(cx), value, &to);
    if (code < 0) {
        return code;
    }
    int64_t id = shoal_cx_ask(cx, to, "echo", t_bytes(200), 1000, then_reply, NULL);
    return id < 0 ? (int)id : 0;
}

static int on_forward(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    shoal_pid to;
    int code = shoal_as_ref(shoal_cx_node(cx), value, &to);
    return code < 0 ? code : shoal_forward(cx, to, "echo", t_bytes(200));
}

static int then_found(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)ud;
    shoal_pack p;
    if (result->code < 0) {
        return shoal_fail(cx, result->text);
    }
    shoal_pack_init(&p, NULL, 0);
    shoal_put_ref(&p, shoal_cx_node(cx), result->pid);
    int code = shoal_pack_error(&p);
    code = code < 0 ? code : shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

static int on_find(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    int64_t id = shoal_cx_lookup(cx, "far", 1000, then_found, NULL);
    return id < 0 ? (int)id : 0;
}

static int on_timers(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    int64_t last = 0, code = 0;
    for (int i = 0; i < 20 && code >= 0; i++) {
        code = shoal_after(cx, 20 + (uint64_t)i, "inc", t_bytes(i % 2 ? 400 : 1));
        last = code > 0 ? code : last;
    }
    int64_t every = shoal_every(cx, 30, "inc", shoal_nil());
    if (every > 0 && shoal_cancel_timer(cx, every) < 0) {
        return shoal_fail(cx, "a timer that was made is not there");
    }
    if (last > 0 && shoal_cancel_timer(cx, last) < 0) {
        return shoal_fail(cx, "the last timer is not there");
    }
    return code < 0 ? (int)code : 0;
}

static const shoal_handler handlers[] = {
    {"inc", on_inc},     {"echo", on_echo},       {"large", on_large}, {"fail", on_fail},
    {"never", on_never}, {"defer", on_defer},     {"hold", on_hold},   {"stopme", on_stopme},
    {"relay", on_relay}, {"forward", on_forward}, {"find", on_find},   {"timers", on_timers},
};

static int torture_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)state;
    return shoal_kind(args) == SHOAL_KIND_TEXT ? shoal_fail(cx, "init was told to fail") : 0;
}

static int torture_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)state, (void)pid, (void)reason;
    struct world *w = shoal_cx_user(cx);
    if (w) {
        w->downs++;
    }
    return SHOAL_RESUME;
}

static int torture_error(shoal_cx *cx, void *state, const shoal_result *error)
{
    (void)cx, (void)state;
    assert_non_null(error->text);
    return SHOAL_RESUME;
}

static void torture_undelivered(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    (void)state, (void)name, (void)value;
    struct world *w = shoal_cx_user(cx);
    if (w) {
        w->undelivered++;
    }
}

const shoal_actor_type torture_type = {
    .struct_size = sizeof(shoal_actor_type),
    .id = "torture",
    .state_size = sizeof(int64_t),
    .handlers = handlers,
    .handler_count = sizeof handlers / sizeof *handlers,
    .init = torture_init,
    .on_down = torture_down,
    .on_error = torture_error,
    .on_undelivered = torture_undelivered,
};
