/* base/slab.h - growing table of equal objects, found by index and generation.
 *
 * Shape    chunks of objects that never move; a freed slot's generation goes up by one, so an old
 *          (index, generation) pair finds nothing. Generation 0 is never given out.
 * Memory   chunks are allocated as needed, kept until fini; at most count_max objects.
 * Order    the last freed slot is used first; sh_slab_next walks by index: deterministic.
 * Threads  confined. */
#ifndef SH_BASE_SLAB_H
#define SH_BASE_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct sh_slab {
    const sh_mem *mem;
    uint8_t **chunks;
    uint32_t chunk_count;
    uint32_t chunk_cap;
    uint32_t slot_bytes; /* object with its header */
    uint32_t object_bytes;
    uint32_t chunk_shift;      /* a chunk has 1 << chunk_shift slots */
    uint32_t generation_start; /* of a slot never used */
    uint32_t fresh;            /* slots below this were used at least once */
    uint32_t free_head;        /* last freed slot, UINT32_MAX: none */
    uint32_t count;            /* live objects */
    uint32_t count_max;        /* <= SH_SLAB_COUNT_MAX */
} sh_slab;

/*   object_bytes      size of one object; objects are aligned to 16
 *   generation_start  random, so that ids of an earlier process never match */
void sh_slab_init(sh_slab *s, const sh_mem *mem, size_t object_bytes, uint32_t count_max,
                  uint32_t generation_start);

/* Frees the memory of all objects; what they own is the caller's business. */
void sh_slab_fini(sh_slab *s);

/* A zeroed object: 0; SH_E_LIMIT (count_max); SH_E_NOMEM. generation and index may be NULL. */
int sh_slab_alloc(sh_slab *s, uint32_t *index, uint32_t *generation, void **object);

/* A slot: this, in SH_SLAB_HEADER_BYTES, and the object. For slab.c and the look-up below. */
struct sh_slab_slot {
    uint32_t generation; /* of the next or current object */
    uint32_t next;       /* index of the next free slot, or SH_SLAB_LIVE: it is in use */
};
enum { SH_SLAB_HEADER_BYTES = 16 };
#define SH_SLAB_LIVE (UINT32_MAX - 1)

/* The live object, or NULL if there is none of that index and generation. Any numbers are safe. */
static inline void *sh_slab_get(const sh_slab *s, uint32_t index, uint32_t generation)
{
    if (index >= s->fresh) {
        return NULL;
    }
    uint32_t within = index & ((1u << s->chunk_shift) - 1);
    uint8_t *at = s->chunks[index >> s->chunk_shift] + (size_t)within * s->slot_bytes;
    const struct sh_slab_slot *slot = (const void *)at;
    bool found = slot->next == SH_SLAB_LIVE && slot->generation == generation;
    return found ? at + SH_SLAB_HEADER_BYTES : NULL;
}

/* The live object of that index whatever its generation, or NULL. */
void *sh_slab_at(const sh_slab *s, uint32_t index);

/* Generation of a live index; 0 if there is none. */
uint32_t sh_slab_generation(const sh_slab *s, uint32_t index);

/* Frees it; true if it was live. Safe inside a walk. */
bool sh_slab_free(sh_slab *s, uint32_t index, uint32_t generation);

/* Walk by rising index: start with *cursor = 0; returns the next live object and its index (may be
 * NULL), or NULL at the end. */
void *sh_slab_next(const sh_slab *s, uint32_t *cursor, uint32_t *index);

#endif
