/* actor/inbox.c - push and take of whole chains. There is no pop of one, so no ABA. */
#include "actor/inbox.h"

void sh_inbox_push(sh_inbox *in, sh_chain *c)
{
    sh_msg *seen = atomic_load_explicit(&in->head, memory_order_relaxed);
    do {
        c->last->next = seen;
        /* Seq_cst: the consumer's exchange sees the messages' content, and the pusher's later look at
         * `asleep` cannot move before it (see sh_exec_sleep). */
    } while (!atomic_compare_exchange_weak_explicit(&in->head, &seen, c->head, memory_order_seq_cst,
                                                    memory_order_relaxed));
    c->head = NULL;
}

sh_msg *sh_inbox_take_unordered(sh_inbox *in)
{
    if (!atomic_load_explicit(&in->head, memory_order_relaxed)) {
        return NULL;
    }
    /* Acquire pairs with the push. */
    return atomic_exchange_explicit(&in->head, NULL, memory_order_acquire);
}

sh_msg *sh_inbox_take(sh_inbox *in)
{
    sh_msg *m = sh_inbox_take_unordered(in);
    sh_msg *turned = NULL;
    while (m) {
        sh_msg *next = m->next;
        m->next = turned;
        turned = m;
        m = next;
    }
    return turned;
}
