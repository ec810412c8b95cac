/* tests/abi/world.h - nodes, a test actor and calls that are waited for, for the tests of the public interface. */
#ifndef SHOAL_TEST_ABI_WORLD_H
#define SHOAL_TEST_ABI_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <shoal.h>

#include "actor.h"
#include "loopback.h"
#include "process.h"

/* Both nodes of a test are turned while one of them waits. */
static inline int wait_two(shoal_node *a, shoal_node *b, shoal_result **result, double seconds)
{
    double end = now_s() + seconds;
    while (!*result && now_s() < end) {
        shoal_poll(a, 1000, b ? 0 : 5);
        if (b) {
            shoal_poll(b, 1000, 1);
        }
    }
    assert_non_null(*result);
    return (*result)->code;
}

/* The test actor: the handlers of actor.h, unfit (refuses its value), downs (what it was told of deaths). */
struct counter {
    int64_t n;
    shoal_pid last_down;
    int downs, down_kind;
};

static int on_unfit(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_fail(cx, "amount must be an integer");
    return SHOAL_E_BAD_VALUE;
}

static int counter_on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)cx;
    struct counter *c = (struct counter *)state;
    c->last_down = pid;
    c->down_kind = reason->kind;
    c->downs++;
    return SHOAL_RESUME;
}

static int on_downs(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    struct counter *c = (struct counter *)state;
    return shoal_reply_i64(cx, c->downs * 100 + c->down_kind);
}

static const shoal_handler counter_handlers[] = {
    {"inc", on_inc},       {"echo", on_echo},   {"fail", on_fail},   {"never", on_never},
    {"stopme", on_stopme}, {"unfit", on_unfit}, {"downs", on_downs},
};
static const shoal_actor_type counter_type = {
    .struct_size = sizeof(shoal_actor_type),
    .id = "test.counter",
    .state_size = sizeof(struct counter),
    .handlers = counter_handlers,
    .handler_count = sizeof counter_handlers / sizeof *counter_handlers,
    .on_down = counter_on_down,
};

static inline shoal_pid spawn_counter(shoal_node *node)
{
    shoal_pid pid;
    int code = shoal_spawn(node, &counter_type, NULL, &pid);
    if (code < 0) {
        fprintf(stderr, "spawn: %s\n", shoal_last_error(node));
    }
    assert_int_equal(code, 0);
    return pid;
}

#endif
