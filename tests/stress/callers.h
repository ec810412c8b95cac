/* tests/stress/callers.h - threads that call the public interface: the host that polls, the calls of each caller, their ends.
 *
 * What threads share is relaxed, so that the test orders nothing the library should. */
#ifndef STRESS_CALLERS_H
#define STRESS_CALLERS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "loopback.h"

/* Who polls a node. */
struct host {
    shoal_node *node;
    atomic_bool over;
    pthread_t thread;
};

static inline void *host_main(void *ud)
{
    struct host *h = ud;
    while (!atomic_load(&h->over)) {
        if (shoal_poll(h->node, 500, 20) == SHOAL_E_USAGE) { /* a waiting caller polls just now */
            sched_yield();
        }
        (void)shoal_next_timeout_ms(h->node);
    }
    return NULL;
}

static inline void host_start(struct host *h)
{
    assert_int_equal(pthread_create(&h->thread, NULL, host_main, h), 0);
}

/* The node is freed, too. */
static inline void host_end(struct host *h)
{
    atomic_store(&h->over, true);
    shoal_wake(h->node);
    pthread_join(h->thread, NULL);
    shoal_node_free(h->node);
}

/* An open call. */
struct call {
    atomic_uint ends;
    atomic_int code;
    bool begun;
    shoal_node *again; /* begins another call there when it ends as closed */
};

/* Of one thread. */
struct calls {
    struct call *all;
    unsigned used, most;
    uint64_t seed;
    unsigned waits; /* asks waited for */
    unsigned good;
    unsigned oddities; /* codes that no page has */
};

/* Whose calls ended, and how. */
struct sum {
    unsigned open, good, closed;
};

static inline struct calls calls_new(unsigned most, uint64_t seed)
{
    struct calls c = {.all = calloc(most, sizeof *c.all), .most = most, .seed = seed};
    assert_non_null(c.all);
    return c;
}

static inline uint64_t next(struct calls *c)
{
    uint64_t z = (c->seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* NULL: there have been enough. */
static inline struct call *call_new(struct calls *c)
{
    return c->used < c->most ? &c->all[c->used++] : NULL;
}

/* Notes what beginning a call gave. */
static inline int64_t begun(struct calls *c, struct call *call, int64_t id)
{
    call->begun = id > 0;
    c->oddities += id < SHOAL_E_USAGE || id == 0;
    return id;
}

static inline void ended(void *ud, const shoal_result *r)
{
    struct call *c = ud;
    atomic_store_explicit(&c->code, r->code, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->ends, 1, memory_order_relaxed);
}

/* Each that began ended once, the others never. The calls are gone then. */
static inline struct sum calls_end(struct calls *c)
{
    struct sum sum = {0};
    for (unsigned k = 0; k < c->used; k++) {
        unsigned ends = atomic_load(&c->all[k].ends);
        int code = atomic_load(&c->all[k].code);
        if (ends != c->all[k].begun) {
            fail_msg("call %u: ended %u times", k, ends);
        }
        sum.open += c->all[k].begun;
        sum.good += ends && code >= 0;
        sum.closed += code == SHOAL_E_CLOSED;
    }
    assert_int_equal(c->oddities, 0);
    free(c->all);
    return sum;
}

#endif
