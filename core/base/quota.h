/* base/quota.h - byte budgets in a chain: connection under peer under node.
 *
 * Shape    plain structs; a parent outlives its children.
 * Rule     take before allocating, give after freeing. Taking checks the whole chain first.
 * Threads  confined: one chain belongs to one thread. */
#ifndef SH_BASE_QUOTA_H
#define SH_BASE_QUOTA_H

#include <stddef.h>

typedef struct sh_quota {
    struct sh_quota *parent; /* NULL: the root */
    size_t used;             /* bytes, own and those of the children; <= limit */
    size_t limit;            /* bytes */
    size_t refused;          /* how often a take failed at this link, for metrics */
} sh_quota;

void sh_quota_init(sh_quota *q, sh_quota *parent, size_t limit);

/* 0, or SH_E_LIMIT with nothing taken. A NULL quota takes anything. */
int sh_quota_take(sh_quota *q, size_t n);

/* Gives back what was taken (asserts that it was). */
void sh_quota_give(sh_quota *q, size_t n);

/* Bytes that could be taken now: the least room of the chain; SIZE_MAX for NULL. */
size_t sh_quota_room(const sh_quota *q);

/* Gives back all that is left in q and detaches it: for closing a connection in one step. */
void sh_quota_fini(sh_quota *q);

#endif
