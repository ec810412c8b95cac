/* tests/support/meter.c - counts, checks and refuses; every block moves when it is resized, so that stale pointers show. */
#include "meter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARKED = 4096 }; /* bytes at most of a block that are filled with what nobody wrote */

union head {
    size_t size;
    max_align_t align;
};

static void mark(void *p, int byte, size_t size)
{
    memset(p, byte, size < MARKED ? size : MARKED);
}

void *meter_resize(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct meter *m = ud;
    union head *old = ptr ? (union head *)ptr - 1 : NULL;
    if (old && old->size != old_size) {
        fprintf(stderr, "a block of %zu bytes was said to have %zu\n", old->size, old_size);
        abort();
    }
    if (m->armed && new_size > old_size) {
        m->asked++;
        if (m->fail_at && m->asked >= m->fail_at && m->asked - m->fail_at < m->fail_for) {
            m->refused++;
            return NULL;
        }
    }
    union head *block = NULL;
    if (new_size) {
        block = malloc(sizeof *block + new_size);
        if (!block) {
            abort();
        }
        block->size = new_size;
        mark(block + 1, 0xaa, new_size);
        if (old) {
            memcpy(block + 1, ptr, old_size < new_size ? old_size : new_size);
        }
        m->live += new_size;
        m->blocks++;
    }
    if (old) {
        m->live -= old_size;
        m->blocks--;
        mark(ptr, 0xdd, old_size);
        free(old);
    }
    return block ? block + 1 : NULL;
}

void meter_arm(struct meter *m, unsigned long fail_at, unsigned long fail_for)
{
    m->asked = m->refused = 0;
    m->fail_at = fail_at;
    m->fail_for = fail_for;
    m->armed = true;
}

void meter_disarm(struct meter *m)
{
    m->armed = false;
}
