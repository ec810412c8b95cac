/* base/mem.h - the allocator every constructor is given.
 *
 * Shape    one function that allocates, grows and frees; sizes are told again when freeing.
 * Threads  as the allocator behind it; sh_mem_system and sh_mem_counter are safe from any thread.
 * Memory   the only malloc and free of core are in mem.c. Out of memory is NULL, never an abort. */
#ifndef SH_BASE_MEM_H
#define SH_BASE_MEM_H

#include <stdatomic.h>
#include <stddef.h>

/* resize(ud, NULL, 0, n): allocate; (ud, p, n, 0): free, returns NULL; else move, content kept.
 * NULL for a new size > 0: no memory, the old block is untouched. Aligned as malloc. */
typedef struct sh_mem {
    void *(*resize)(void *ud, void *p, size_t old_size, size_t new_size);
    void *ud;
} sh_mem;

/* The system's allocator. */
const sh_mem *sh_mem_system(void);

/* n bytes, uninitialised; NULL: no memory. n = 0 is allowed and gives a pointer to free with size 0. */
void *sh_mem_alloc(const sh_mem *mem, size_t n);

/* The same, zeroed. */
void *sh_mem_zalloc(const sh_mem *mem, size_t n);

/* A zeroed array; NULL: no memory, or count * size does not fit. Free it with count * size. */
void *sh_mem_array(const sh_mem *mem, size_t count, size_t size);

/* Grows or shrinks; p may be NULL with old_size 0. NULL: no memory, p stays valid. */
void *sh_mem_resize(const sh_mem *mem, void *p, size_t old_size, size_t new_size);

/* size must be what was allocated; NULL is ignored. */
void sh_mem_free(const sh_mem *mem, void *p, size_t size);

/* Counts what passes through to another allocator, and can refuse the k-th allocation.
 * Used by nodes (metrics) and by tests (every constructor fails at 1, 2, 3 ...). */
typedef struct sh_mem_counter {
    sh_mem mem;                /* pass &counter.mem */
    const sh_mem *under;       /* not owned */
    atomic_size_t live_bytes;  /* sum of the sizes not yet freed */
    atomic_size_t live_blocks; /* number of blocks not yet freed */
    atomic_size_t allocations; /* allocations and growths asked for, refused ones too */
    atomic_size_t fail_at;     /* refuse when allocations reaches this number; 0: never */
    atomic_size_t fail_from;   /* refuse from this number on; 0: never */
} sh_mem_counter;

/* Makes counter->mem an allocator over `under`; returns &counter->mem. */
const sh_mem *sh_mem_counted(sh_mem_counter *counter, const sh_mem *under);

#endif
