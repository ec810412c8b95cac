/* actor/ask_wait.c - asks that wait for room: in order behind the gate of their target, one queue each. */
#include "actor/ask.h"

struct sh_wait {
    sh_list link;  /* of x->wait_list */
    sh_list slots; /* in order */
    uint64_t key;
};

static uint64_t wait_key(sh_pid to)
{
    return to.node ? ((uint64_t)to.check << 32) | 0xff000000u | to.node : to.actor;
}

bool sh_ask_blocked(sh_exec *x, sh_pid to)
{
    return sh_map_u64_get(&x->waits, wait_key(to), NULL);
}

int sh_ask_wait(sh_exec *x, sh_slot *s, sh_msg *m)
{
    uint64_t key = wait_key(s->target);
    uint64_t found = 0;
    struct sh_wait *w = NULL;
    if (sh_map_u64_get(&x->waits, key, &found)) {
        w = sh_map_ptr(found);
    } else {
        w = sh_mem_alloc(x->rt->cfg.mem, sizeof *w);
        if (!w || sh_map_u64_put(&x->waits, key, sh_map_of_ptr(w))) {
            sh_mem_free(x->rt->cfg.mem, w, sizeof *w);
            return SH_E_LIMIT;
        }
        w->key = key;
        sh_list_init(&w->slots);
        sh_list_push_back(&x->wait_list, &w->link);
    }
    sh_list_push_back(&w->slots, &s->wait);
    s->at = w;
    s->m = m;
    s->state = SH_SLOT_WAITING;
    return 0;
}

/* Takes its message back. */
sh_msg *sh_ask_unwait(sh_exec *x, sh_slot *s)
{
    struct sh_wait *w = s->at;
    sh_msg *m = s->m;
    s->m = NULL;
    s->at = NULL;
    s->state = SH_SLOT_SENT;
    sh_list_remove(&s->wait);
    if (sh_list_empty(&w->slots)) {
        sh_list_remove(&w->link);
        sh_map_u64_del(&x->waits, w->key, NULL);
        sh_mem_free(x->rt->cfg.mem, w, sizeof *w);
    }
    return m;
}

/* Posts asks of one gate in order until it is shut; true: it still is, w lives. */
static void wait_try(sh_exec *x, struct sh_wait *w)
{
    for (bool more = true; more;) {
        sh_slot *s = SH_CONTAINER(sh_list_front(&w->slots), sh_slot, wait);
        bool gated = false;
        int rc = sh_post_gate(x, s->target, sh_msg_queued_bytes(s->m), true, &gated);
        if (rc == SH_E_MAILBOX_FULL) {
            return;
        }
        more = w->slots.next != w->slots.prev; /* w goes with its last slot */
        sh_msg *m = sh_ask_unwait(x, s);
        if (rc) {
            sh_exec_release(x, m);
            sh_slot_end(x, s, rc, SH_NOT_SENT);
        } else {
            m->flags |= gated ? SH_MSG_GATED : 0;
            sh_exec_send(x, m);
        }
    }
}

void sh_ask_rescan(sh_exec *x)
{
    SH_LIST_FOREACH_SAFE(it, &x->wait_list)
    {
        wait_try(x, SH_CONTAINER(it, struct sh_wait, link));
    }
}

/* A tell from outside came through the inbox to a gate for which asks from outside wait: they go first, even
 * past the limit, as the tell was accepted and may not overtake them. */
void sh_ask_go_first(sh_exec *x, sh_pid to)
{
    uint64_t found = 0;
    if (!sh_map_u64_get(&x->waits, wait_key(to), &found)) {
        return;
    }
    struct sh_wait *w = sh_map_ptr(found);
    for (sh_list *it = w->slots.next, *next = NULL; it; it = next) {
        sh_slot *s = SH_CONTAINER(it, sh_slot, wait);
        next = it->next == &w->slots ? NULL : it->next; /* w goes with its last slot */
        if (!s->cx) {
            sh_exec_send(x, sh_ask_unwait(x, s));
        }
    }
}
