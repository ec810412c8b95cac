/* proto/arena.h - the memory of one protobuf-c message: it frees without telling sizes, and a hostile message makes
 * many small blocks. So it gets one block, from which nothing is ever given back singly.
 *
 * Memory   sizeof(sh_arena) + cap bytes of mem, freed by sh_arena_free. Threads: confined. */
#ifndef SH_PROTO_ARENA_H
#define SH_PROTO_ARENA_H

#include "base/mem.h"
#include <stdint.h>

typedef struct sh_arena {
    size_t used;
    size_t cap;
    _Alignas(16) uint8_t bytes[];
} sh_arena;

static inline sh_arena *sh_arena_new(const sh_mem *mem, size_t cap)
{
    sh_arena *a = sh_mem_alloc(mem, sizeof *a + cap);
    if (a) {
        a->used = 0;
        a->cap = cap;
    }
    return a;
}

static inline void sh_arena_free(const sh_mem *mem, sh_arena *a)
{
    if (a) {
        sh_mem_free(mem, a, sizeof *a + a->cap);
    }
}

/* The two functions of a ProtobufCAllocator whose data is the arena. */
static inline void *sh_arena_take(void *arena, size_t n)
{
    sh_arena *a = arena;
    if (n > a->cap - a->used || ((n + 15) & ~(size_t)15) > a->cap - a->used) {
        return NULL;
    }
    void *p = a->bytes + a->used;
    a->used += (n + 15) & ~(size_t)15;
    return p;
}

static inline void sh_arena_drop(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

#endif
