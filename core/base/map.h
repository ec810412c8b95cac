/* base/map.h - open-addressing hash maps: u64 -> u64, and bytes -> u64.
 *
 * Shape    linear probing, at most 3/4 full, grown by doubling; deletion shifts back, so there are no
 *          tombstones and no decay. Pointers are stored with sh_map_ptr / sh_map_of_ptr.
 * Memory   nothing until the first put; at most count_max entries. Keys of sh_map_bytes are copied.
 * Order    none. The cursor of `next` is for emptying or summing a table; anything observable must be
 *          sorted by the caller. Any put or del invalidates the cursor.
 * Threads  confined. */
#ifndef SH_BASE_MAP_H
#define SH_BASE_MAP_H

#include "base/mem.h"
#include "base/span.h"

#define SH_MAP_COUNT_MAX (UINT32_C(1) << 30)

static inline void *sh_map_ptr(uint64_t value)
{
    return (void *)(uintptr_t)value;
}

static inline uint64_t sh_map_of_ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

typedef struct sh_map_u64_slot {
    uint64_t key;
    uint64_t value;
    uint64_t full; /* 0 or 1 */
} sh_map_u64_slot;

typedef struct sh_map_u64 {
    const sh_mem *mem;
    sh_map_u64_slot *slots; /* cap of them; NULL while cap = 0 */
    uint64_t seed;
    uint32_t cap; /* a power of two, or 0 */
    uint32_t count;
    uint32_t count_max;
} sh_map_u64;

/*   seed       random per node (sh_rng_u64)
 *   count_max  entries it may hold; no map holds more than SH_MAP_COUNT_MAX */
void sh_map_u64_init(sh_map_u64 *m, const sh_mem *mem, uint64_t seed, size_t count_max);
void sh_map_u64_fini(sh_map_u64 *m); /* empty afterwards, and may be used again */

/* Gives back the slots of a map that is empty. */
static inline void sh_map_u64_rest(sh_map_u64 *m)
{
    if (m->count == 0 && m->cap > 0) {
        sh_map_u64_fini(m);
    }
}

/* Inserts or replaces: 0, SH_E_LIMIT (count_max), SH_E_NOMEM; on failure nothing changed. */
int sh_map_u64_put(sh_map_u64 *m, uint64_t key, uint64_t value);

/* value may be NULL. */
bool sh_map_u64_get(const sh_map_u64 *m, uint64_t key, uint64_t *value);

/* Removes; true if it was there, its value then in *value (may be NULL). Never fails. */
bool sh_map_u64_del(sh_map_u64 *m, uint64_t key, uint64_t *value);

/* Unordered walk: start with *cursor = 0; false at the end. key and value may be NULL. */
bool sh_map_u64_next(const sh_map_u64 *m, size_t *cursor, uint64_t *key, uint64_t *value);

typedef struct sh_map_bytes_slot {
    uint8_t *key; /* owned copy; NULL: slot empty */
    size_t n;
    uint64_t hash;
    uint64_t value;
} sh_map_bytes_slot;

typedef struct sh_map_bytes {
    const sh_mem *mem;
    sh_map_bytes_slot *slots;
    uint64_t seed;
    uint32_t cap;
    uint32_t count;
    uint32_t count_max;
} sh_map_bytes;

void sh_map_bytes_init(sh_map_bytes *m, const sh_mem *mem, uint64_t seed, size_t count_max);
void sh_map_bytes_fini(sh_map_bytes *m);
int sh_map_bytes_put(sh_map_bytes *m, sh_span key, uint64_t value);
bool sh_map_bytes_get(const sh_map_bytes *m, sh_span key, uint64_t *value);
bool sh_map_bytes_del(sh_map_bytes *m, sh_span key, uint64_t *value);

/* As sh_map_u64_next; *key is borrowed until the next put or del. */
bool sh_map_bytes_next(const sh_map_bytes *m, size_t *cursor, sh_span *key, uint64_t *value);

#endif
