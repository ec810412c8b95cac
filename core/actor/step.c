/* actor/step.c - the way that nearly every message goes: out of the mailbox, into its handler, home.
 *
 * Rule     what is rare is left to others as soon as it is seen: the ends of actors (actor.c), contexts that wait or
 *          failed (cx.c). Here a message costs no call that could be spared. */
#include "actor/ask.h"

/* The index of its handler, or -1. A sender of this executor may have found it already: see fast.c; else it is often
 * the one that ran last. */
static int step_handler(const sh_exec *x, const sh_type *type, const sh_msg *m)
{
    if (m->why != 0 && !(m->flags & SH_MSG_INJECTED)) {
        return m->why - 1;
    }
    sh_span name = sh_msg_name(m);
    const sh_span *names = type->def.names;
    const sh_span *last = x->last_name;
    bool its = (uintptr_t)last - (uintptr_t)names < type->def.name_count * sizeof *names;
    return its && sh_span_eq(*last, name) ? (int)(last - names) : sh_type_find(type, name);
}

/* The handler returned, and nothing is left to do for its message but to go home. */
static bool step_is_over(const sh_cx *cx)
{
    bool due = (cx->flags & (SH_CX_WAS_ASK | SH_CX_REPLIED)) == SH_CX_WAS_ASK;
    return cx->running == 1 && cx->code >= 0 && !cx->slots && !cx->failure && !due &&
           !(cx->flags & (SH_CX_HELD | SH_CX_DEFERRED));
}

/* Nearly every message leaves its context as it found it: x->fresh is that one, clean. */
static sh_cx *step_context(sh_exec *x, sh_actor *a, sh_msg *m)
{
    sh_cx *cx = x->fresh;
    if (!cx && (cx = sh_cx_make(x)) == NULL) {
        return NULL;
    }
    x->fresh = cx;
    cx->a = a;
    cx->m = m;
    cx->running = 1;
    if (m->kind == SH_MSG_ASK) {
        cx->flags = SH_CX_WAS_ASK;
        cx->reply = m->reply;
    }
    return cx;
}

static void step_clean(sh_exec *x, sh_cx *cx)
{
    if (cx->flags) {
        cx->flags = 0;
        cx->reply = sh_pid_none();
    }
    cx->running = 0;
    sh_msg *m = cx->m;
    cx->m = NULL;
    if (sh_msg_is_simple(&x->pool, m)) {
        sh_msg_give(&x->pool, m);
    } else {
        sh_exec_release(x, m);
    }
}

static void step_handle(sh_exec *x, sh_actor *a, sh_msg *m)
{
    const struct sh_actor_type *def = &a->type->def;
    int index = step_handler(x, a->type, m);
    if (index < 0 && !def->takes_any) {
        sh_exec_undeliverable(x, m, SH_E_NO_HANDLER);
        return;
    }
    x->last_name = index >= 0 ? &def->names[index] : NULL;
    sh_cx *cx = step_context(x, a, m);
    if (!cx) {
        sh_exec_undeliverable(x, m, SH_E_LIMIT);
        return;
    }
    int code = def->handle(def->ud, cx, a->state, index, sh_msg_name(m), sh_msg_value(m));
    if (code >= 0 && step_is_over(cx)) {
        step_clean(x, cx);
        return;
    }
    x->fresh = NULL; /* it stays open, or fails: now it is one of the actor's */
    sh_cx_stays(x, a, cx);
    sh_cx_returned(cx, code);
}

/* False: it ended before a handler ran. */
static bool step_begin(sh_exec *x, sh_actor *a, sh_msg *m)
{
    if (m->kind == SH_MSG_ASK && m->deadline_us <= x->now_us) {
        sh_post_reply_by(x, m, m->reply, SH_E_TIMEOUT, SH_NOT_SENT);
        return false;
    }
    if (m->kind == SH_MSG_TIMER && !sh_timer_begin(x, m)) {
        return false;
    }
    a->handled++;
    if (m->kind != SH_MSG_DOWN) {
        step_handle(x, a, m);
    } else {
        sh_cx_dispatch_down(x, a, m);
    }
    return true;
}

/* Takes the first out of the mailbox; m->next stays: see sh_cross_home. */
static sh_msg *step_pop(sh_exec *x, sh_actor *a)
{
    sh_msg *m = a->mailbox.head;
    a->mailbox.head = m->next;
    if (a->flags & SH_A_ASKS_KNOWN) {
        sh_mailbox_popped(x, a, m);
    }
    a->queued--;
    x->rescan |= !sh_list_empty(&x->wait_list);
    return m;
}

/* Gives room of the gate back for so many; 0: as many are due then. */
static uint32_t step_give(sh_exec *x, sh_actor *a, uint32_t due)
{
    if (due) {
        sh_actor_room_back(x, a, due);
    }
    return 0;
}

/* One more that took room of the gate has begun; how many are due after that. */
static uint32_t step_due(sh_exec *x, sh_actor *a, uint32_t due)
{
    due++;
    bool now = sh_gate_is_due(sh_gates_at(&x->gates, sh_pid_slot(a->id)), due);
    return now ? step_give(x, a, due) : due;
}

size_t sh_actor_step(sh_exec *x, sh_actor *a, size_t max)
{
    size_t n = 0;
    uint32_t due = 0;
    while (n < max && sh_actor_has_work(a)) {
        if (a->mailbox.head && !(a->flags & SH_A_SPECIAL)) {
            sh_msg *m = step_pop(x, a);
            if (m->flags & SH_MSG_GATED) {
                due = step_due(x, a, due);
            }
            n += step_begin(x, a, m) ? 1 : 0;
            continue;
        }
        due = step_give(x, a, due);
        bool restart = (a->flags & SH_A_STOPPED) && (a->flags & SH_A_RESTARTING);
        if (!sh_actor_proceed(x, a)) {
            return n;
        }
        if (!restart) { /* it goes on when its children or continuations have ended: they poke it */
            a->flags &= (uint16_t)~SH_A_QUEUED;
            if (a->flags & SH_A_STOPPED) {
                sh_exec_ready(x, a);
            }
            return n;
        }
    }
    (void)step_give(x, a, due);
    a->flags &= (uint16_t)~SH_A_QUEUED;
    sh_actor_poke(x, a);
    return n;
}
