/* base/slab.c - chunks of slots; a slot is a 16-byte header and the object.
 *
 * Invariants: chunks never move or shrink; a slot is either fresh (index >= s->fresh), live
 * (next = SH_SLAB_LIVE) or in the free list; the header keeps the generation of the next or current
 * object. */
#include "base/slab.h"

#include <string.h>

#include "base/err.h"
#include "base/sh_assert.h"
#include "base/sh_limits.h"

enum { SLAB_CHUNK_BYTES = 16384, SLAB_SHIFT_MAX = 10 };
#define SLOT_END UINT32_MAX /* end of the free list */

void sh_slab_init(sh_slab *s, const sh_mem *mem, size_t object_bytes, uint32_t count_max,
                  uint32_t generation_start)
{
    SH_ASSERT(object_bytes > 0 && object_bytes < (1u << 24) && count_max <= SH_SLAB_COUNT_MAX);
    *s = (sh_slab){.mem = mem,
                   .object_bytes = (uint32_t)object_bytes,
                   .count_max = count_max,
                   .free_head = SLOT_END,
                   .generation_start = generation_start ? generation_start : 1};
    s->slot_bytes = SH_SLAB_HEADER_BYTES + (((uint32_t)object_bytes + 15u) & ~15u);
    while (s->chunk_shift < SLAB_SHIFT_MAX &&
           (s->slot_bytes << (s->chunk_shift + 1)) <= SLAB_CHUNK_BYTES) {
        s->chunk_shift++;
    }
}

static size_t chunk_bytes(const sh_slab *s)
{
    return (size_t)s->slot_bytes << s->chunk_shift;
}

void sh_slab_fini(sh_slab *s)
{
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        sh_mem_free(s->mem, s->chunks[i], chunk_bytes(s));
    }
    sh_mem_free(s->mem, s->chunks, s->chunk_cap * sizeof *s->chunks);
    s->chunks = NULL;
    s->chunk_count = 0;
    s->chunk_cap = 0;
    s->fresh = 0;
    s->count = 0;
    s->free_head = SLOT_END;
}

static struct sh_slab_slot *slab_slot(const sh_slab *s, uint32_t index)
{
    uint32_t within = index & ((1u << s->chunk_shift) - 1);
    return (void *)(s->chunks[index >> s->chunk_shift] + (size_t)within * s->slot_bytes);
}

static void *slot_object(struct sh_slab_slot *slot)
{
    return (uint8_t *)slot + SH_SLAB_HEADER_BYTES;
}

static int slab_add_chunk(sh_slab *s)
{
    if (s->chunk_count == s->chunk_cap) {
        uint32_t cap = s->chunk_cap ? s->chunk_cap * 2 : 4;
        uint8_t **chunks =
            sh_mem_resize(s->mem, s->chunks, s->chunk_cap * sizeof *chunks, cap * sizeof *chunks);
        if (!chunks) {
            return SH_E_NOMEM;
        }
        s->chunks = chunks;
        s->chunk_cap = cap;
    }
    uint8_t *chunk = sh_mem_alloc(s->mem, chunk_bytes(s));
    if (!chunk) {
        return SH_E_NOMEM;
    }
    s->chunks[s->chunk_count++] = chunk;
    return 0;
}

/* Takes a slot from the free list, else a fresh one. */
static int slab_take(sh_slab *s, uint32_t *index)
{
    if (s->free_head != SLOT_END) {
        *index = s->free_head;
        s->free_head = slab_slot(s, *index)->next;
        return 0;
    }
    if (s->fresh >> s->chunk_shift >= s->chunk_count && slab_add_chunk(s)) {
        return SH_E_NOMEM;
    }
    *index = s->fresh++;
    slab_slot(s, *index)->generation = s->generation_start;
    return 0;
}

int sh_slab_alloc(sh_slab *s, uint32_t *index, uint32_t *generation, void **object)
{
    uint32_t at = 0;
    if (s->count >= s->count_max) {
        return SH_E_LIMIT;
    }
    int rc = slab_take(s, &at);
    if (rc) {
        return rc;
    }
    struct sh_slab_slot *slot = slab_slot(s, at);
    slot->next = SH_SLAB_LIVE;
    s->count++;
    *object = memset(slot_object(slot), 0, s->object_bytes);
    if (index) {
        *index = at;
    }
    if (generation) {
        *generation = slot->generation;
    }
    return 0;
}

static struct sh_slab_slot *slab_live(const sh_slab *s, uint32_t index)
{
    if (index >= s->fresh) {
        return NULL;
    }
    struct sh_slab_slot *slot = slab_slot(s, index);
    return slot->next == SH_SLAB_LIVE ? slot : NULL;
}

void *sh_slab_at(const sh_slab *s, uint32_t index)
{
    struct sh_slab_slot *slot = slab_live(s, index);
    return slot ? slot_object(slot) : NULL;
}

uint32_t sh_slab_generation(const sh_slab *s, uint32_t index)
{
    struct sh_slab_slot *slot = slab_live(s, index);
    return slot ? slot->generation : 0;
}

bool sh_slab_free(sh_slab *s, uint32_t index, uint32_t generation)
{
    struct sh_slab_slot *slot = slab_live(s, index);
    if (!slot || slot->generation != generation) {
        return false;
    }
    slot->generation = generation + 1 ? generation + 1 : 1;
    slot->next = s->free_head;
    s->free_head = index;
    s->count--;
    return true;
}

void *sh_slab_next(const sh_slab *s, uint32_t *cursor, uint32_t *index)
{
    while (*cursor < s->fresh) {
        uint32_t at = (*cursor)++;
        struct sh_slab_slot *slot = slab_live(s, at);
        if (slot) {
            if (index) {
                *index = at;
            }
            return slot_object(slot);
        }
    }
    return NULL;
}
