/* actor/gate.h - alive? room? of an actor or a peer, told to any thread at the call.
 *
 * Shape    one u64: generation(32) | ALIVE | WANTED | KILL | room + bias(29). Gates lie in chunks that are published
 *          once and never move, so a reader needs no lock and a stale pid reads a live word.
 * Rule     anybody takes, and gives back what he did not use; only the owner's thread opens, closes and gives. Room
 *          may go below zero once: one message may overshoot. WANTED: a sender was refused and waits for room. KILL:
 *          somebody without memory for a message wants the end of the actor; it stays when the gate closes.
 * Threads  take, untake, alive, ask_kill: any. The rest: the owner. */
#ifndef SH_ACTOR_GATE_H
#define SH_ACTOR_GATE_H

#include <stdatomic.h>

#include "base/mem.h"
#include "base/pid.h"
#include "base/err.h"

typedef _Atomic(uint64_t) sh_gate;

typedef struct sh_gates {
    const sh_mem *mem;
    _Atomic(sh_gate *) *chunks;
    uint32_t chunk_count;
} sh_gates;

enum { SH_GATE_SHIFT = 10, SH_GATE_ROOM_MAX = (1 << 28) - 1 };
#define SH_GATE_ALIVE  (UINT64_C(1) << 31)
#define SH_GATE_WANTED (UINT64_C(1) << 30)
#define SH_GATE_KILL   (UINT64_C(1) << 29)
#define SH_GATE_BIAS   (UINT64_C(1) << 28)
#define SH_GATE_ROOM   (SH_GATE_KILL - 1)

/* 0 or SH_E_LIMIT. */
int sh_gates_init(sh_gates *g, const sh_mem *mem, uint32_t count_max);
void sh_gates_fini(sh_gates *g);
/* Makes the chunk of index exist: 0 or SH_E_LIMIT. */
int sh_gates_need(sh_gates *g, uint32_t index);

/* NULL: never opened. Acquire pairs with the release store of sh_gates_need. */
static inline sh_gate *sh_gates_at(const sh_gates *g, uint32_t index)
{
    if (index >> SH_GATE_SHIFT >= g->chunk_count) {
        return NULL;
    }
    sh_gate *chunk = atomic_load_explicit(&g->chunks[index >> SH_GATE_SHIFT], memory_order_acquire);
    return chunk ? &chunk[index & ((1u << SH_GATE_SHIFT) - 1)] : NULL;
}

static inline void sh_gate_open(sh_gate *g, uint32_t generation, uint32_t room)
{
    room = room > SH_GATE_ROOM_MAX ? SH_GATE_ROOM_MAX : room;
    /* Release: who sees the gate open may post to what it guards. Pairs with sh_gate_take. */
    atomic_store_explicit(g, ((uint64_t)generation << 32) | SH_GATE_ALIVE | (SH_GATE_BIAS + room),
                          memory_order_release);
}

/* True: somebody waits for room and must be told. */
static inline bool sh_gate_close(sh_gate *g, uint32_t generation)
{
    uint64_t v = atomic_exchange_explicit(g, ((uint64_t)generation << 32) | SH_GATE_BIAS,
                                          memory_order_acq_rel);
    if (v & SH_GATE_KILL) {
        atomic_fetch_or_explicit(g, SH_GATE_KILL, memory_order_acq_rel);
    }
    return (v & SH_GATE_WANTED) != 0;
}

/* False: that generation is gone. Its owner is to be nudged then. */
static inline bool sh_gate_ask_kill(sh_gate *g, uint32_t generation)
{
    uint64_t v = g ? atomic_load_explicit(g, memory_order_acquire) : 0;
    do {
        if (!g || (v >> 32) != generation) {
            return false;
        }
        /* Acq_rel: pairs with the owner's exchange in close. */
    } while (!atomic_compare_exchange_weak_explicit(g, &v, v | SH_GATE_KILL, memory_order_acq_rel,
                                                    memory_order_acquire));
    return true;
}

/* Whether it was asked for, once. */
static inline bool sh_gate_take_kill(sh_gate *g)
{
    return (atomic_load_explicit(g, memory_order_acquire) & SH_GATE_KILL) &&
           (atomic_fetch_and_explicit(g, ~SH_GATE_KILL, memory_order_acq_rel) & SH_GATE_KILL);
}

static inline bool sh_gate_alive(const sh_gate *g, uint32_t generation)
{
    uint64_t v = g ? atomic_load_explicit(g, memory_order_acquire) : 0;
    return (v >> 32) == generation && (v & SH_GATE_ALIVE) != 0;
}

/* Takes n of room: 0; SH_E_NOT_RUNNING; SH_E_MAILBOX_FULL, and then, if `want`, WANTED is set so that the
 * owner tells when room comes back. */
static inline int sh_gate_take(sh_gate *g, uint32_t generation, uint32_t n, bool want)
{
    /* Acquire pairs with sh_gate_open. */
    uint64_t v = g ? atomic_load_explicit(g, memory_order_acquire) : 0;
    for (;;) {
        if ((v >> 32) != generation || !(v & SH_GATE_ALIVE)) {
            return SH_E_NOT_RUNNING;
        }
        bool full = (v & SH_GATE_ROOM) <= SH_GATE_BIAS;
        if (full && (!want || (v & SH_GATE_WANTED))) {
            return SH_E_MAILBOX_FULL;
        }
        uint64_t next = full ? (v | SH_GATE_WANTED) : v - n;
        /* Acq_rel: pairs with the owner's give, which clears WANTED after it made room. */
        if (atomic_compare_exchange_weak_explicit(g, &v, next, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            return full ? SH_E_MAILBOX_FULL : 0;
        }
    }
}

/* Takes one, or up to n if there is plenty: others find three quarters of what there was. How many; or as
 * sh_gate_take. */
static inline int sh_gate_take_some(sh_gate *g, uint32_t generation, uint32_t n, bool want)
{
    uint64_t v = atomic_load_explicit(g, memory_order_relaxed);
    for (;;) {
        uint64_t room = v & SH_GATE_ROOM;
        uint64_t share = room > SH_GATE_BIAS ? 1 + (room - SH_GATE_BIAS) / 4 : 1;
        share = share < n ? share : n;
        if (share == 1 || (v >> 32) != generation || !(v & SH_GATE_ALIVE)) {
            int rc = sh_gate_take(g, generation, 1, want);
            return rc ? rc : 1;
        }
        /* Acq_rel: as sh_gate_take. */
        if (atomic_compare_exchange_weak_explicit(g, &v, v - share, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            return (int)share;
        }
    }
}

/* Room taken and not used goes back, unless the actor has ended since. True: as sh_gate_give. */
static inline bool sh_gate_untake(sh_gate *g, uint32_t generation, uint32_t n)
{
    uint64_t v = atomic_load_explicit(g, memory_order_relaxed);
    while ((v >> 32) == generation && (v & SH_GATE_ALIVE)) {
        uint64_t next = v + n;
        bool tell = (v & SH_GATE_WANTED) && (next & SH_GATE_ROOM) > SH_GATE_BIAS;
        /* Acq_rel: as sh_gate_give. */
        if (atomic_compare_exchange_weak_explicit(g, &v, tell ? next & ~SH_GATE_WANTED : next,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return tell;
        }
    }
    return false;
}

/* The owner keeps back room of n messages: should it give that now? When somebody waits, and always before a sender
 * could see less than half of what there is. */
static inline bool sh_gate_is_due(sh_gate *g, uint32_t n)
{
    uint64_t v = atomic_load_explicit(g, memory_order_relaxed);
    return (v & SH_GATE_WANTED) || (v & SH_GATE_ROOM) < SH_GATE_BIAS + n;
}

/* Of an open one: it was opened with much less room than the most there is, which stands for no limit. */
static inline bool sh_gate_is_bounded(sh_gate *g)
{
    uint64_t v = atomic_load_explicit(g, memory_order_relaxed);
    return (v & SH_GATE_ROOM) < SH_GATE_BIAS + SH_GATE_ROOM_MAX / 2;
}

static inline bool sh_gate_has_room(sh_gate *g)
{
    return (atomic_load_explicit(g, memory_order_acquire) & SH_GATE_ROOM) > SH_GATE_BIAS;
}

/* Gives n back to an open gate; true: somebody waits and there is room now (told once). */
static inline bool sh_gate_give(sh_gate *g, uint32_t n)
{
    /* Acq_rel: pairs with sh_gate_take of a thread that waits. */
    uint64_t v = atomic_fetch_add_explicit(g, n, memory_order_acq_rel) + n;
    if (!(v & SH_GATE_WANTED) || (v & SH_GATE_ROOM) <= SH_GATE_BIAS) {
        return false;
    }
    atomic_fetch_and_explicit(g, ~SH_GATE_WANTED, memory_order_acq_rel);
    return true;
}

#endif
