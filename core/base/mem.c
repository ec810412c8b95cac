/* base/mem.c - the allocator interface, the system's allocator and the counting one. */
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *system_resize(void *ud, void *p, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    if (new_size == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, new_size);
}

const sh_mem *sh_mem_system(void)
{
    static const sh_mem system = {system_resize, NULL};
    return &system;
}

/* A size of 0 would mean "free" to resize: such blocks are one byte. */
static size_t mem_size(size_t n)
{
    return n ? n : 1;
}

void *sh_mem_alloc(const sh_mem *mem, size_t n)
{
    return mem->resize(mem->ud, NULL, 0, mem_size(n));
}

void *sh_mem_zalloc(const sh_mem *mem, size_t n)
{
    void *p = sh_mem_alloc(mem, n);
    if (p) {
        memset(p, 0, n);
    }
    return p;
}

void *sh_mem_array(const sh_mem *mem, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        return NULL;
    }
    return sh_mem_zalloc(mem, count * size);
}

void *sh_mem_resize(const sh_mem *mem, void *p, size_t old_size, size_t new_size)
{
    return mem->resize(mem->ud, p, p ? mem_size(old_size) : 0, mem_size(new_size));
}

void sh_mem_free(const sh_mem *mem, void *p, size_t size)
{
    if (p) {
        mem->resize(mem->ud, p, mem_size(size), 0);
    }
}

static void counter_add(atomic_size_t *at, size_t n)
{
    /* Relaxed: the numbers are statistics and order nothing. */
    atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

static bool counter_refuses(sh_mem_counter *c)
{
    size_t nth = atomic_fetch_add_explicit(&c->allocations, 1, memory_order_relaxed) + 1;
    size_t at = atomic_load_explicit(&c->fail_at, memory_order_relaxed);
    size_t from = atomic_load_explicit(&c->fail_from, memory_order_relaxed);
    return nth == at || (from && nth >= from);
}

static void *counter_resize(void *ud, void *p, size_t old_size, size_t new_size)
{
    sh_mem_counter *c = ud;
    if (new_size > old_size && counter_refuses(c)) {
        return NULL;
    }
    void *q = c->under->resize(c->under->ud, p, old_size, new_size);
    if (new_size && !q) {
        return NULL;
    }
    counter_add(&c->live_bytes, new_size - old_size); /* modulo 2^n: also goes down */
    if (!p) {
        counter_add(&c->live_blocks, 1);
    } else if (!new_size) {
        counter_add(&c->live_blocks, (size_t)-1);
    }
    return q;
}

const sh_mem *sh_mem_counted(sh_mem_counter *counter, const sh_mem *under)
{
    counter->mem = (sh_mem){counter_resize, counter};
    counter->under = under;
    atomic_init(&counter->live_bytes, 0);
    atomic_init(&counter->live_blocks, 0);
    atomic_init(&counter->allocations, 0);
    atomic_init(&counter->fail_at, 0);
    atomic_init(&counter->fail_from, 0);
    return &counter->mem;
}
