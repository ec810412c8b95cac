/* base/pid.h - the name of an actor or reply address, by value.
 *
 * Shape    16 bytes. actor = generation(32, high) | executor(8) | slot(24, low), so any thread knows
 *          where an actor lives. node indexes the peer table (0 = self); check is that entry's
 *          generation (self: a tag of this node). All zero is nobody.
 * Threads  any. */
#ifndef SH_BASE_PID_H
#define SH_BASE_PID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sh_assert.h"

typedef struct sh_pid {
    uint64_t actor;
    uint32_t node;
    uint32_t check;
} sh_pid;

SH_STATIC_ASSERT(sizeof(sh_pid) == 16, "a pid is 16 bytes in the ABI");

static inline sh_pid sh_pid_none(void)
{
    return (sh_pid){0, 0, 0};
}

static inline bool sh_pid_is_none(sh_pid p)
{
    return p.actor == 0 && p.node == 0 && p.check == 0;
}

static inline bool sh_pid_eq(sh_pid a, sh_pid b)
{
    return a.actor == b.actor && a.node == b.node && a.check == b.check;
}

/* executor < 256 and slot < 2^24; the rest would spill into the neighbour's bits. */
static inline uint64_t sh_pid_actor(uint32_t generation, uint32_t executor, uint32_t slot)
{
    SH_ASSERT(executor < 256 && slot < (1u << 24));
    return ((uint64_t)generation << 32) | ((uint64_t)executor << 24) | slot;
}

static inline uint32_t sh_pid_generation(uint64_t actor)
{
    return (uint32_t)(actor >> 32);
}

static inline uint32_t sh_pid_executor(uint64_t actor)
{
    return (uint32_t)(actor >> 24) & 0xffu;
}

static inline uint32_t sh_pid_slot(uint64_t actor)
{
    return (uint32_t)actor & 0xffffffu;
}

#endif
