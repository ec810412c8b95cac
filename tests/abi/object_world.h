/* tests/abi/object_world.h - things that are counted, and an actor that takes, leaves, forwards and answers them. */
#ifndef SHOAL_TEST_ABI_OBJECT_WORLD_H
#define SHOAL_TEST_ABI_OBJECT_WORLD_H

#include <shoal_object.h>

#include "world.h"

/* What was given and what became of it. */
struct thing {
    int n;
    int taken, dropped;
};

static int live; /* things given and neither taken nor dropped */

static inline void thing_drop(void *ptr)
{
    struct thing *t = ptr;
    t->dropped++;
    live--;
}

static inline void *thing_taken(void *ptr)
{
    struct thing *t = ptr;
    if (t) {
        t->taken++;
        live--;
    }
    return ptr;
}

static inline shoal_object object_of(struct thing *t)
{
    return (shoal_object){t, thing_drop};
}

/* Given away well: now somebody has to end it. */
static inline void given(int64_t code)
{
    assert_true(code >= 0);
    live++;
}

/* --- an actor that does with objects what it is told --- */

enum { NAME_LONG = 200 };
static char long_name[NAME_LONG + 1];
static struct thing reply_thing, then_thing;
static shoal_pid other; /* of the handlers that send on */
static int64_t sum;
static int handled, undelivered, last_code;
static shoal_cx *held;

static inline int on_take(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    struct thing *t = thing_taken(shoal_cx_object(cx));
    handled++;
    if (!t) {
        return SHOAL_E_BAD_VALUE;
    }
    assert_int_equal(shoal_kind(value), SHOAL_KIND_NIL);
    assert_null(shoal_cx_object(cx)); /* once */
    sum += t->n;
    return 0;
}

static inline int on_leave(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx, (void)state, (void)value;
    handled++;
    return 0;
}

static inline int on_swap(shoal_cx *cx, void *state, shoal_bytes value)
{
    int code = on_take(cx, state, value);
    if (code < 0) {
        return code;
    }
    code = shoal_reply_object(cx, object_of(&reply_thing));
    given(code);
    assert_int_equal(shoal_reply_object(cx, object_of(&reply_thing)), SHOAL_E_USAGE);
    return 0;
}

static inline int on_hold(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    held = cx;
    return shoal_hold(cx);
}

static inline int on_forward(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    last_code = shoal_forward(cx, other, NULL, shoal_nil());
    return last_code;
}

static inline int on_take_forward(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    thing_taken(shoal_cx_object(cx));
    last_code = shoal_forward(cx, other, NULL, shoal_nil());
    return 0;
}

static inline int then_keep(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)ud;
    last_code = result->code;
    struct thing *t = thing_taken(shoal_result_object(result));
    assert_null(shoal_result_object(result));
    sum += t ? t->n : 0;
    return result->code < 0 ? shoal_fail(cx, result->text) : 0;
}

/* Asks `other` with an object for "swap". */
static inline int on_ask(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    int64_t call =
        shoal_cx_ask_object(cx, other, "swap", object_of(&then_thing), 1000, then_keep, NULL);
    last_code = call < 0 ? (int)call : 0;
    if (call > 0) {
        live++;
    }
    return last_code;
}

static inline int on_tell(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    last_code = shoal_cx_tell_object(cx, other, "take", object_of(&then_thing));
    live += last_code == 0;
    return 0;
}

static inline int on_any(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    assert_string_equal(name, long_name);
    return on_take(cx, state, value);
}

static inline int on_error_go_on(shoal_cx *cx, void *state, const shoal_result *error)
{
    (void)cx, (void)state;
    assert_null(shoal_result_object(error));
    return SHOAL_RESUME;
}

static const shoal_handler handlers[] = {
    {"take", on_take}, {"leave", on_leave},     {"swap", on_swap},           {"hold", on_hold},
    {"ask", on_ask},   {"forward", on_forward}, {"passed", on_take_forward}, {"tell", on_tell},
};
static const shoal_actor_type taker = {
    .struct_size = sizeof taker,
    .id = "test.taker",
    .handlers = handlers,
    .handler_count = sizeof handlers / sizeof *handlers,
    .mailbox = 4,
    .on_message = on_any,
    .on_error = on_error_go_on,
};

static inline void left_one(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    (void)state, (void)name, (void)value;
    assert_string_equal(shoal_cx_name(cx), "");
    undelivered++;
    if (undelivered % 2) { /* the others are left to be dropped */
        thing_taken(shoal_cx_object(cx));
    }
}

static inline shoal_pid spawn_here(shoal_node *node, const shoal_actor_type *type)
{
    shoal_spawn_options o = {.struct_size = sizeof o, .flags = SHOAL_ON_HOST};
    shoal_pid pid;
    assert_int_equal(shoal_spawn(node, type, &o, &pid), 0);
    return pid;
}

static uint32_t threads;

static inline int setup(void **state)
{
    memset(long_name, 'n', NAME_LONG);
    reply_thing = (struct thing){.n = 1000};
    then_thing = (struct thing){.n = 10};
    sum = 0;
    live = handled = undelivered = last_code = 0;
    held = NULL;
    *state = node_make(threads, false);
    return 0;
}

static inline int teardown(void **state)
{
    if (*state) {
        shoal_node_free(*state);
    }
    assert_int_equal(live, 0);
    return 0;
}

static inline void settle(shoal_node *node)
{
    while (shoal_poll(node, 0, 0) > 0) {
    }
}

static void done_take(void *ud, const shoal_result *result)
{
    struct thing **out = ud;
    last_code = result->code;
    *out = thing_taken(shoal_result_object(result));
    assert_null(shoal_result_object(result));
}

static inline void done_leave(void *ud, const shoal_result *result)
{
    *(int *)ud += 1;
    last_code = result->code;
    if (result->code < 0) { /* the ask's own object does not come back this way */
        assert_null(shoal_result_object(result));
    }
}

#endif
