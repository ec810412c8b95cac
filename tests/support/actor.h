/* tests/support/actor.h - handlers of test actors whose state begins with an int64_t: count, echo, fail, never answer, stop. */
#ifndef TESTS_ACTOR_H
#define TESTS_ACTOR_H

#include <shoal.h>

/* Adds the value's amount, or 1, and answers the sum. */
static inline int on_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    return shoal_reply_i64(cx, *(int64_t *)state += shoal_field_i64(value, "amount", 1));
}

static inline int on_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_reply(cx, value);
}

static inline int on_fail(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_fail_with(cx, "it broke", "TestError", value);
}

static inline int on_never(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_promise p; /* which nobody keeps */
    return shoal_defer(cx, &p);
}

static inline int on_stopme(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_cx_stop(cx, "asked to");
    return shoal_reply_nil(cx);
}

#endif
