/* actor/outside.h - where a call from outside handlers is done. Not for other layers.
 *
 * Rule     the caller works on the executor it is inside; else it enters the target's if nobody is there and its inbox
 *          is empty (so nothing is overtaken); else what it wants goes through the inbox, as a message.
 * Threads  any, each with its token. */
#ifndef SH_ACTOR_OUTSIDE_H
#define SH_ACTOR_OUTSIDE_H

#include "actor/ask.h"

struct sh_place {
    sh_exec *x; /* NULL: through the inbox */
    bool entered;
};

/* Whose mailbox, slot or peer `to` is: an executor's index. */
static inline unsigned sh_place_exec(const sh_runtime *rt, sh_pid to)
{
    unsigned e = to.node ? 0 : sh_pid_executor(to.actor) & 0x3fu;
    return e < rt->cfg.execs ? e : 0;
}

static inline struct sh_place sh_place_take(sh_runtime *rt, uint64_t token, unsigned e)
{
    for (unsigned i = 0; i < rt->cfg.execs; i++) {
        if (sh_exec_inside(rt->exec[i], token)) {
            return (struct sh_place){rt->exec[i], false};
        }
    }
    sh_exec *x = rt->exec[e];
    if (!sh_exec_enter(x, token)) {
        return (struct sh_place){NULL, false};
    }
    if (!sh_inbox_empty(&x->inbox)) {
        sh_exec_leave(x, token);
        return (struct sh_place){NULL, false};
    }
    return (struct sh_place){x, true};
}

static inline void sh_place_give(struct sh_place p, uint64_t token)
{
    if (p.x->turning) { /* the turn flushes; only callbacks of free run in a turn that nobody entered */
        if (p.entered) {
            sh_exec_leave(p.x, token);
        }
        return;
    }
    sh_exec_flush(p.x);
    if (p.entered) {
        sh_exec_leave(p.x, token);
    }
    sh_exec_wake(p.x);
}

/* --- outside.c --- */
/* A message from the allocator, as whoever is inside no executor has no pool. NULL: no memory. */
sh_msg *sh_outside_msg(sh_runtime *rt, enum sh_msg_kind kind, sh_pid to, sh_pid from,
                       const struct sh_msg_parts *parts);
/* Through the inbox of executor e. Takes m. */
void sh_outside_push(sh_runtime *rt, unsigned e, sh_msg *m);

#endif
