/* actor/inbox.h - batches of messages from other threads, without locks.
 *
 * Shape    a stack of messages, newest first: producers push a whole chain (newest first too) by one
 *          exchange of the head; the consumer takes everything by another and turns it round.
 * Order    what one producer pushed comes out in the order it was chained.
 * Threads  push: any. take: the thread inside the executor. A chain: its executor. */
#ifndef SH_ACTOR_INBOX_H
#define SH_ACTOR_INBOX_H

#include <stdatomic.h>

#include "actor/msg.h"

typedef struct sh_inbox {
    _Atomic(sh_msg *) head;
} sh_inbox;

/* Messages to be pushed together: newest at head, oldest at last. */
typedef struct sh_chain {
    sh_msg *head;
    sh_msg *last; /* valid while head is not NULL */
} sh_chain;

static inline void sh_chain_add(sh_chain *c, sh_msg *m)
{
    m->next = c->head;
    if (!c->head) {
        c->last = m;
    }
    c->head = m;
}

/* Empties the chain into the inbox; the chain must not be empty. */
void sh_inbox_push(sh_inbox *in, sh_chain *c);

/* Everything, oldest first; NULL: nothing. */
sh_msg *sh_inbox_take(sh_inbox *in);

/* Everything, in no order. */
sh_msg *sh_inbox_take_unordered(sh_inbox *in);

/* Sequentially consistent: pairs with a pusher that then looks whether the executor sleeps. */
static inline bool sh_inbox_empty(const sh_inbox *in)
{
    return atomic_load_explicit(&in->head, memory_order_seq_cst) == NULL;
}

#endif
