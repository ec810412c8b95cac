/* tests/stress/drive.h - a runtime of two executors, each turned by a thread of its own until all actors have stopped. */
#ifndef STRESS_DRIVE_H
#define STRESS_DRIVE_H

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actor/runtime.h"

/* cmocka's asserts are for the main thread only: elsewhere its exit says nothing. */
#define CHECK(ok, ...)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "line %d: " #ok ": ", __LINE__);                                       \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

struct drive {
    sh_runtime *rt;
    size_t turn_most; /* messages of one turn */
    bool events;      /* executor 0 takes the runtime's events, and drops them */
    sh_rng_seeded seeds[2];
    sh_rng rng[2]; /* of each executor's thread */
    atomic_bool over;
    atomic_uint wakes;
    struct driver {
        struct drive *drive;
        unsigned exec;
        pthread_t thread;
    } driver[2];
};

static inline void drive_wake(void *ud, unsigned exec)
{
    (void)exec;
    atomic_fetch_add(&((struct drive *)ud)->wakes, 1);
}

/* The runtime, not yet driven; the executors draw from seed and seed + 1. */
static inline void drive_new(struct drive *d, const sh_mem *mem, uint64_t seed)
{
    struct sh_runtime_config cfg;
    sh_runtime_config_init(&cfg);
    cfg.mem = mem;
    cfg.execs = 2;
    cfg.wake = drive_wake;
    cfg.wake_ud = d;
    for (unsigned e = 0; e < 2; e++) {
        d->rng[e] = sh_rng_seeded_init(&d->seeds[e], seed + e);
        cfg.rng[e] = &d->rng[e];
    }
    assert_int_equal(sh_runtime_new(&cfg, 1, &d->rt), 0);
}

static inline void *drive_thread(void *arg)
{
    const struct driver *me = arg;
    struct drive *d = me->drive;
    sh_exec *x = sh_runtime_exec(d->rt, me->exec);
    uint64_t token = 10 + me->exec;
    uint64_t now = 1;
    while (!atomic_load(&d->over)) {
        struct sh_turn turn;
        struct sh_runtime_event ev;
        if (sh_exec_enter(x, token)) {
            sh_exec_turn(x, now++, d->turn_most, &turn);
            while (d->events && me->exec == 0 && sh_runtime_event(d->rt, &ev)) {
            }
            sh_exec_sleep(x); /* the next turn ends it: exercises the wake protocol */
            sh_exec_leave(x, token);
        }
        sched_yield();
    }
    return NULL;
}

static inline void drive_start(struct drive *d)
{
    for (unsigned e = 0; e < 2; e++) {
        d->driver[e] = (struct driver){.drive = d, .exec = e};
        pthread_create(&d->driver[e].thread, NULL, drive_thread, &d->driver[e]);
    }
}

/* Stops every actor, then the threads: afterwards the executors are the caller's. */
static inline void drive_end(struct drive *d)
{
    sh_runtime_stop_all(d->rt, 7);
    while (sh_runtime_actors(d->rt)) {
        sched_yield();
    }
    atomic_store(&d->over, true);
    for (unsigned e = 0; e < 2; e++) {
        pthread_join(d->driver[e].thread, NULL);
    }
}

#endif
