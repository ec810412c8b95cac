/* base/serial.c - the ring, how it grows, and what leaves it.
 *
 * Invariant: a number in the ring is in the place number modulo size; a number is in the ring or among the old. */
#include "base/serial.h"

void sh_serial_init(sh_serial *s, const sh_mem *mem, uint64_t seed, size_t count_max)
{
    *s = (sh_serial){.count_max =
                         count_max < SH_MAP_COUNT_MAX ? (uint32_t)count_max : SH_MAP_COUNT_MAX};
    sh_map_u64_init(&s->old, mem, seed, count_max);
}

void sh_serial_fini(sh_serial *s)
{
    sh_mem_free(s->old.mem, s->ring, s->size * sizeof *s->ring);
    s->ring = NULL;
    s->size = 0;
    s->count = 0;
    sh_map_u64_fini(&s->old);
}

/* Numbers in different places stay in different places when the size doubles. */
static bool serial_grow(sh_serial *s)
{
    uint32_t size = s->size ? 2 * s->size : SH_SERIAL_RING_START;
    sh_serial_slot *ring = sh_mem_array(s->old.mem, size, sizeof *ring);
    if (!ring) {
        return false;
    }
    for (uint32_t i = 0; i < s->size; i++) {
        if (s->ring[i].number) {
            ring[s->ring[i].number & (size - 1)] = s->ring[i];
        }
    }
    sh_mem_free(s->old.mem, s->ring, s->size * sizeof *s->ring);
    s->ring = ring;
    s->size = size;
    return true;
}

/* Half full it grows; a ring with few in it has one that is just old. */
static bool serial_crowded(const sh_serial *s)
{
    return s->size == 0 ||
           (2 * (s->count - s->old.count) >= s->size && s->size < SH_SERIAL_RING_MAX);
}

int sh_serial_put(sh_serial *s, uint64_t number, uint64_t value)
{
    if (s->count >= s->count_max) {
        return SH_E_LIMIT;
    }
    sh_serial_slot *slot = s->size ? &s->ring[number & (s->size - 1)] : NULL;
    while ((!slot || slot->number) && serial_crowded(s) && serial_grow(s)) {
        slot = &s->ring[number & (s->size - 1)];
    }
    if (!slot) {
        return SH_E_NOMEM;
    }
    if (slot->number) {
        int rc = sh_map_u64_put(&s->old, slot->number, slot->value);
        if (rc) {
            return rc;
        }
    }
    *slot = (sh_serial_slot){number, value};
    s->count++;
    return 0;
}
