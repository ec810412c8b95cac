/* base/wheel.h - hierarchical timer wheel over intrusive timers.
 *
 * Shape    10 levels of 64 slots, 1 ms ticks: covers every u64 microsecond. Arm and cancel are O(1).
 * Rule     a timer is never early and at most one tick (1 ms) late against the `now` it is shown.
 *          Due timers come out ordered by tick, in arming order within one tick.
 *          One that is armed for a time already past is due at the next advance, before the others:
 *          so popping until NULL ends even when handlers arm new timers.
 * Units    absolute microseconds of the caller's monotonic clock.
 * Threads  confined. Memory: none beyond the struct (about 10 KiB) and the embedded timers. */
#ifndef SH_BASE_WHEEL_H
#define SH_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { SH_WHEEL_LEVELS = 10, SH_WHEEL_SLOTS = 64, SH_WHEEL_TICK_US = 1000 };

typedef struct sh_timer {
    sh_list link;
    uint64_t due_us;
    uint32_t where; /* level * 64 + slot, or one of the marks in wheel.c; 0xffffffff: not armed */
} sh_timer;

typedef struct sh_wheel {
    uint64_t tick;                      /* all timers in slots are later than this */
    uint64_t occupied[SH_WHEEL_LEVELS]; /* bit per slot */
    uint32_t levels;                    /* bit per level that has one */
    sh_list slots[SH_WHEEL_LEVELS][SH_WHEEL_SLOTS];
    sh_list late;   /* armed for the past: due at the next advance */
    sh_list due;    /* to be popped */
    uint32_t count; /* armed timers, due ones included */
} sh_wheel;

/* The wheel must not be moved afterwards. */
void sh_wheel_init(sh_wheel *w, uint64_t now_us);

/* Must be called once before a timer is armed or cancelled. */
void sh_timer_init(sh_timer *t);

static inline bool sh_timer_armed(const sh_timer *t)
{
    return t->where != UINT32_MAX;
}

/* Arms for due_us; an armed timer is moved. UINT64_MAX: never, that is, cancels. */
void sh_wheel_arm(sh_wheel *w, sh_timer *t, uint64_t due_us);

/* Harmless if it is not armed. */
void sh_wheel_cancel(sh_wheel *w, sh_timer *t);

/* Moves time forward and gathers what became due; an earlier now_us than before changes nothing. */
void sh_wheel_advance(sh_wheel *w, uint64_t now_us);

/* The next due timer, no longer armed; NULL: none. Use SH_CONTAINER to find its owner. */
sh_timer *sh_wheel_pop(sh_wheel *w);

/* When to advance next: never later than the first timer becomes due, maybe earlier (then advance
 * and ask again). 0: something is due now. UINT64_MAX: nothing is armed. */
uint64_t sh_wheel_next_us(const sh_wheel *w);

#endif
