/* base/wheel.c - the timer wheel.
 *
 * A timer of tick T sits at the level of the highest 6-bit digit in which T differs from the wheel's
 * tick, in the slot of T's digit there. So its place depends on (T, tick) only: timers of one tick
 * are always in one slot, in arming order, and the lowest occupied slot of the lowest occupied level
 * holds the earliest. */
#include "base/wheel.h"

#include "base/sh_assert.h"

enum { WHEEL_DIGIT_BITS = 6 };
#define WHERE_NONE UINT32_MAX
#define WHERE_DUE  (UINT32_MAX - 1) /* in late or due */

static uint64_t tick_of(uint64_t due_us)
{
    return due_us / SH_WHEEL_TICK_US + (due_us % SH_WHEEL_TICK_US != 0);
}

static uint32_t bit_low(uint64_t v)
{
    return (uint32_t)__builtin_ctzll(v);
}

static uint32_t bit_high(uint64_t v)
{
    return 63u - (uint32_t)__builtin_clzll(v);
}

void sh_wheel_init(sh_wheel *w, uint64_t now_us)
{
    *w = (sh_wheel){.tick = now_us / SH_WHEEL_TICK_US};
    for (uint32_t level = 0; level < SH_WHEEL_LEVELS; level++) {
        for (uint32_t slot = 0; slot < SH_WHEEL_SLOTS; slot++) {
            sh_list_init(&w->slots[level][slot]);
        }
    }
    sh_list_init(&w->late);
    sh_list_init(&w->due);
}

void sh_timer_init(sh_timer *t)
{
    sh_list_init(&t->link);
    t->due_us = UINT64_MAX;
    t->where = WHERE_NONE;
}

static void wheel_vacate(sh_wheel *w, uint32_t level, uint32_t slot)
{
    w->occupied[level] &= ~(UINT64_C(1) << slot);
    if (!w->occupied[level]) {
        w->levels &= ~(1u << level);
    }
}

/* Puts a timer that is in no list where it belongs; past ones go to `passed`. */
static void wheel_place(sh_wheel *w, sh_timer *t, sh_list *passed)
{
    uint64_t tick = tick_of(t->due_us);
    if (tick <= w->tick) {
        t->where = WHERE_DUE;
        sh_list_push_back(passed, &t->link);
        return;
    }
    uint32_t level = bit_high(tick ^ w->tick) / WHEEL_DIGIT_BITS;
    uint32_t slot = (uint32_t)(tick >> (level * WHEEL_DIGIT_BITS)) & (SH_WHEEL_SLOTS - 1);
    t->where = level * SH_WHEEL_SLOTS + slot;
    w->occupied[level] |= UINT64_C(1) << slot;
    w->levels |= 1u << level;
    sh_list_push_back(&w->slots[level][slot], &t->link);
}

void sh_wheel_arm(sh_wheel *w, sh_timer *t, uint64_t due_us)
{
    if (sh_timer_armed(t)) {
        sh_wheel_cancel(w, t);
    }
    if (due_us == UINT64_MAX) {
        return;
    }
    t->due_us = due_us;
    w->count++;
    wheel_place(w, t, &w->late);
}

void sh_wheel_cancel(sh_wheel *w, sh_timer *t)
{
    if (t->where == WHERE_NONE) {
        return;
    }
    sh_list_remove(&t->link);
    if (t->where != WHERE_DUE) {
        uint32_t level = t->where / SH_WHEEL_SLOTS;
        uint32_t slot = t->where % SH_WHEEL_SLOTS;
        if (sh_list_empty(&w->slots[level][slot])) {
            wheel_vacate(w, level, slot);
        }
    }
    t->where = WHERE_NONE;
    SH_ASSERT(w->count > 0);
    w->count--;
}

/* The earliest occupied slot: its level and first tick; false if all are empty. */
static bool wheel_first(const sh_wheel *w, uint32_t *level, uint64_t *tick)
{
    if (!w->levels) {
        return false;
    }
    *level = bit_low(w->levels);
    uint32_t shift = *level * WHEEL_DIGIT_BITS;
    uint64_t above = w->tick >> shift >> WHEEL_DIGIT_BITS << WHEEL_DIGIT_BITS;
    *tick = (above | bit_low(w->occupied[*level])) << shift;
    return true;
}

/* Makes `tick` the present: its slot's timers become due or move to lower levels. */
static void wheel_enter(sh_wheel *w, uint32_t level, uint64_t tick)
{
    uint32_t slot = (uint32_t)(tick >> (level * WHEEL_DIGIT_BITS)) & (SH_WHEEL_SLOTS - 1);
    sh_list moved;
    sh_list_init(&moved);
    sh_list_splice(&moved, &w->slots[level][slot]);
    wheel_vacate(w, level, slot);
    w->tick = tick;
    for (sh_list *link = sh_list_pop(&moved); link; link = sh_list_pop(&moved)) {
        wheel_place(w, SH_CONTAINER(link, sh_timer, link), &w->due);
    }
}

void sh_wheel_advance(sh_wheel *w, uint64_t now_us)
{
    uint64_t now = now_us / SH_WHEEL_TICK_US;
    uint32_t level = 0;
    uint64_t tick = 0;
    sh_list_splice(&w->due, &w->late);
    while (wheel_first(w, &level, &tick) && tick <= now) {
        wheel_enter(w, level, tick);
    }
    /* No occupied slot begins at or before now, so all places stay right. */
    w->tick = now > w->tick ? now : w->tick;
}

sh_timer *sh_wheel_pop(sh_wheel *w)
{
    sh_list *link = sh_list_front(&w->due);
    if (!link) {
        return NULL;
    }
    sh_timer *t = SH_CONTAINER(link, sh_timer, link);
    sh_wheel_cancel(w, t);
    return t;
}

uint64_t sh_wheel_next_us(const sh_wheel *w)
{
    uint32_t level = 0;
    uint64_t tick = 0;
    if (!sh_list_empty(&w->due) || !sh_list_empty(&w->late)) {
        return 0;
    }
    if (!wheel_first(w, &level, &tick)) {
        return UINT64_MAX;
    }
    /* Rounded up, the last tick of all lies behind the last microsecond. */
    return tick > UINT64_MAX / SH_WHEEL_TICK_US ? UINT64_MAX - 1 : tick * SH_WHEEL_TICK_US;
}
