/* base/quota.c - byte budgets in a chain. */
#include "base/quota.h"

#include <stdint.h>

#include "base/err.h"
#include "base/sh_assert.h"

void sh_quota_init(sh_quota *q, sh_quota *parent, size_t limit)
{
    *q = (sh_quota){.parent = parent, .limit = limit};
}

int sh_quota_take(sh_quota *q, size_t n)
{
    for (sh_quota *at = q; at; at = at->parent) {
        if (n > at->limit - at->used) {
            at->refused++;
            return SH_E_LIMIT;
        }
    }
    for (sh_quota *at = q; at; at = at->parent) {
        at->used += n;
    }
    return 0;
}

void sh_quota_give(sh_quota *q, size_t n)
{
    for (sh_quota *at = q; at; at = at->parent) {
        SH_ASSERT(n <= at->used);
        at->used -= n;
    }
}

size_t sh_quota_room(const sh_quota *q)
{
    size_t room = SIZE_MAX;
    for (const sh_quota *at = q; at; at = at->parent) {
        size_t left = at->limit - at->used;
        room = left < room ? left : room;
    }
    return room;
}

void sh_quota_fini(sh_quota *q)
{
    sh_quota_give(q, q->used);
    q->parent = NULL;
}
