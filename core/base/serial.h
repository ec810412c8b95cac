/* base/serial.h - map from numbers that are given in turn, 1, 2, 3 ..., to a u64: what is asked about calls.
 *
 * Shape    the latest numbers lie in a ring, found without hashing; one that is still there when the ring comes round
 *          to its place moves to a hash map. Nothing about a number's age is promised or needed.
 * Memory   nothing until the first put; at most count_max entries, the ring at most SH_SERIAL_RING_MAX of them.
 * Threads  confined. */
#ifndef SH_BASE_SERIAL_H
#define SH_BASE_SERIAL_H

#include "base/map.h"

enum { SH_SERIAL_RING_START = 4, SH_SERIAL_RING_MAX = 1024 };

typedef struct sh_serial_slot {
    uint64_t number; /* 0: empty */
    uint64_t value;
} sh_serial_slot;

typedef struct sh_serial {
    sh_serial_slot *ring; /* NULL while size = 0 */
    uint32_t size;        /* a power of two, or 0 */
    uint32_t count;       /* of both */
    uint32_t count_max;
    sh_map_u64 old;
} sh_serial;

/* seed: random per node; count_max: entries it may hold. */
void sh_serial_init(sh_serial *s, const sh_mem *mem, uint64_t seed, size_t count_max);
void sh_serial_fini(sh_serial *s); /* empty afterwards, and may be used again */

/* Inserts a number that is not there: 0, SH_E_LIMIT (count_max), SH_E_NOMEM; on failure nothing changed. */
int sh_serial_put(sh_serial *s, uint64_t number, uint64_t value);

/* The place of number in the ring, or NULL: look among the old. */
static inline sh_serial_slot *sh_serial_at(const sh_serial *s, uint64_t number)
{
    sh_serial_slot *slot = s->size ? &s->ring[number & (s->size - 1)] : NULL;
    return slot && slot->number == number && number != 0 ? slot : NULL;
}

static inline bool sh_serial_get(const sh_serial *s, uint64_t number, uint64_t *value)
{
    const sh_serial_slot *slot = sh_serial_at(s, number);
    if (!slot) {
        return s->old.count != 0 && sh_map_u64_get(&s->old, number, value);
    }
    *value = slot->value;
    return true;
}

/* False: it was not there. */
static inline bool sh_serial_del(sh_serial *s, uint64_t number)
{
    sh_serial_slot *slot = sh_serial_at(s, number);
    bool found = slot || (s->old.count != 0 && sh_map_u64_del(&s->old, number, NULL));
    if (slot) {
        slot->number = 0;
    }
    s->count -= found;
    return found;
}

/* Gives back the memory of one that is empty. */
static inline void sh_serial_rest(sh_serial *s)
{
    if (s->count == 0 && (s->size || s->old.cap)) {
        sh_serial_fini(s);
    }
}

#endif
