/* actor/actor.c - the life of an actor: mailbox, stop, kill, restart, end. Its beginning is in spawn.c.
 *
 * Invariants: an actor is freed only in actor_final, called from its own step, so nobody holds a pointer to
 * it that dangles; CLOSING means the gate is shut; on_stop runs once for each init that succeeded. */
#include "actor/actor.h"

#include "actor/ask.h"

sh_pid sh_actor_parent(const sh_exec *x, const sh_actor *a)
{
    return a->parent ? sh_actor_pid(x, a->parent) : sh_pid_none();
}

/* --- room --- */

void sh_actor_room_back(sh_exec *x, sh_actor *a, uint32_t n)
{
    if (!(a->flags & SH_A_CLOSING) && sh_gate_give(sh_gates_at(&x->gates, sh_pid_slot(a->id)), n)) {
        sh_exec_nudge_all(x);
    }
}

/* Of an actor that starts, ends or takes nothing new. */
bool sh_actor_has_special_work(const sh_actor *a)
{
    if (a->flags & SH_A_STOPPED) {
        return true;
    }
    if (a->flags & (SH_A_STARTING | SH_A_ENDING)) {
        return false;
    }
    return (a->flags & SH_A_DYING) || sh_list_empty(&a->open);
}

/* --- reasons --- */

struct sh_actor_more *sh_actor_more(sh_exec *x, sh_actor *a)
{
    if (!a->more) {
        a->more = sh_mem_zalloc(x->rt->cfg.mem, sizeof *a->more);
    }
    return a->more;
}

/* Without memory the kind is told, the text is not. */
static void set_reason(sh_exec *x, sh_actor *a, int kind, sh_span text, sh_pid cause)
{
    const sh_mem *mem = x->rt->cfg.mem;
    a->reason_kind = (uint8_t)kind;
    if (a->more) {
        sh_mem_free(mem, (void *)(uintptr_t)a->more->reason_text.p, a->more->reason_text.n);
        a->more->reason_text = sh_span_none();
        a->more->reason_pid = sh_pid_none();
    }
    if ((text.n == 0 && sh_pid_is_none(cause)) || !sh_actor_more(x, a)) {
        return;
    }
    a->more->reason_pid = cause;
    text = sh_span_take(text, SH_TEXT_MAX);
    uint8_t *copy = text.n ? sh_mem_alloc(mem, text.n) : NULL;
    if (copy) {
        memcpy(copy, text.p, text.n);
        a->more->reason_text = sh_span_of(copy, text.n);
    }
}

static struct sh_reason actor_reason(const sh_actor *a)
{
    struct sh_reason r = {.kind = a->reason_kind};
    if (a->more) {
        r.text = a->more->reason_text;
        r.pid = a->more->reason_pid;
    }
    return r;
}

/* --- ends --- */

static void shut_door(sh_exec *x, sh_actor *a)
{
    a->flags |= SH_A_CLOSING;
    x->rescan |= !sh_list_empty(&x->wait_list);
    if (sh_gate_close(sh_gates_at(&x->gates, sh_pid_slot(a->id)), sh_pid_generation(a->id))) {
        sh_exec_nudge_all(x);
    }
}

void sh_actor_close(sh_exec *x, sh_actor *a, int kind, sh_span text)
{
    if (a->flags & SH_A_CLOSING) {
        return;
    }
    set_reason(x, a, kind, text, sh_pid_none());
    shut_door(x, a);
    sh_actor_poke(x, a);
}

static void cancel_open(sh_exec *x, sh_actor *a)
{
    SH_LIST_FOREACH(it, &a->open)
    {
        sh_ask_cancel_cx(x, SH_CONTAINER(it, sh_cx, link));
    }
}

void sh_actor_die(sh_exec *x, sh_actor *a, int kind, sh_span text, sh_pid cause)
{
    bool restarting = (a->flags & SH_A_RESTARTING) != 0;
    if ((a->flags & SH_A_DYING) && !restarting) {
        return;
    }
    set_reason(x, a, kind, text, cause);
    if (!(a->flags & SH_A_CLOSING)) {
        shut_door(x, a);
    }
    a->flags = (uint16_t)((a->flags & ~SH_A_RESTARTING) | SH_A_DYING);
    if (a->flags & SH_A_STARTING) {
        cancel_open(x, a); /* its end comes when init has */
    }
    sh_actor_poke(x, a);
}

/* max 5 within 5 s; the window starts with its first restart. */
static bool restart_allowed(sh_exec *x, sh_actor *a)
{
    struct sh_actor_more *more = sh_actor_more(x, a);
    if (!more) {
        return false;
    }
    if (more->window_restarts == 0 ||
        x->now_us - more->window_us > (uint64_t)SH_RESTART_WITHIN_MS * 1000) {
        more->window_us = x->now_us;
        more->window_restarts = 0;
    }
    more->window_restarts++;
    return more->window_restarts <= SH_RESTARTS_DEFAULT;
}

void sh_actor_decide(sh_exec *x, sh_actor *a, int decision, int kind, sh_span text, sh_pid cause)
{
    if (decision == SH_RESUME || (a->flags & SH_A_DYING)) {
        return;
    }
    if (decision == SH_RESTART_IT && !(a->flags & SH_A_CLOSING) && restart_allowed(x, a)) {
        set_reason(x, a, SH_RESTART, text, cause);
        a->flags |= SH_A_DYING | SH_A_RESTARTING;
        sh_actor_poke(x, a);
        return;
    }
    sh_actor_die(x, a, kind, text, cause);
}

static void end_children(sh_exec *x, sh_actor *a, bool kill)
{
    SH_LIST_FOREACH_SAFE(it, &a->children)
    {
        sh_actor *child = SH_CONTAINER(it, sh_actor, siblings);
        if (kill) {
            sh_list_remove(&child->siblings);
            child->parent = NULL;
            sh_actor_die(x, child, SH_KILLED, sh_span_str("parent ended"), sh_actor_pid(x, a));
        } else {
            sh_actor_close(x, child, SH_NORMAL, sh_span_str("parent stopped"));
        }
    }
}

/* Asks left get NOT_RUNNING, tells left go to on_undelivered, else they are events. */
static void sweep_mailbox(sh_exec *x, sh_actor *a)
{
    const struct sh_actor_type *def = &a->type->def;
    for (sh_msg *m = sh_mailbox_pop(x, a); m; m = sh_mailbox_pop(x, a)) {
        sh_actor_room(x, a, m);
        bool told = m->kind == SH_MSG_TELL && def->on_undelivered && (a->flags & SH_A_STARTED);
        sh_cx *cx = told ? sh_cx_open(x, a, SH_HOOK_UNDELIVERED, m) : NULL;
        if (!cx) {
            sh_exec_undeliverable(x, m, SH_E_NOT_RUNNING);
            continue;
        }
        sh_cx_enter(cx);
        def->on_undelivered(def->ud, cx, a->state, sh_msg_name(m), sh_msg_value(m));
        sh_cx_returned(cx, 0); /* releases it */
    }
}

static void call_stop(sh_exec *x, sh_actor *a)
{
    a->flags |= SH_A_ENDING;
    struct sh_reason reason = actor_reason(a);
    if (!(a->flags & SH_A_RESTARTING) && (a->flags & SH_A_DYING)) {
        sweep_mailbox(x, a);
    }
    bool started = (a->flags & SH_A_STARTED) != 0;
    a->flags &= (uint16_t)~SH_A_STARTED;
    sh_cx *cx = started && a->type->def.on_stop ? sh_cx_open(x, a, SH_HOOK_STOP, NULL) : NULL;
    if (cx) {
        sh_cx_call_stop(x, a, cx, &reason);
    } else {
        sh_actor_stop_ended(x, a);
    }
}

void sh_actor_stop_ended(sh_exec *x, sh_actor *a)
{
    a->flags |= SH_A_STOPPED;
    sh_exec_ready(x, a);
}

/* A context of a dying actor still has continuations to run. */
static bool waits_left(const sh_actor *a)
{
    SH_LIST_FOREACH(it, &a->open)
    {
        if (SH_CONTAINER(it, sh_cx, link)->slots) {
            return true;
        }
    }
    return false;
}

/* One step towards the end; goes on when poked. */
static void actor_end(sh_exec *x, sh_actor *a)
{
    bool dying = (a->flags & SH_A_DYING) != 0;
    if (!(a->flags & SH_A_SWEPT)) {
        a->flags |= SH_A_SWEPT;
        end_children(x, a, dying);
    }
    if (dying) {
        end_children(x, a, true); /* a graceful stop that became a kill */
        cancel_open(x, a);
        if (waits_left(a)) {
            return;
        }
    }
    if (sh_list_empty(&a->children)) {
        call_stop(x, a);
    }
}

static void orphan_open(sh_exec *x, sh_actor *a)
{
    SH_LIST_FOREACH_SAFE(it, &a->open)
    {
        sh_cx_orphan(x, SH_CONTAINER(it, sh_cx, link));
    }
}

/* Told now, heard in order: behind what the dead sent it. */
static void tell_parent(sh_exec *x, sh_actor *a, const struct sh_reason *reason)
{
    sh_actor *parent = a->parent;
    a->parent = NULL;
    sh_list_remove(&a->siblings);
    if (!parent || (a->flags & SH_A_SILENT)) {
        return;
    }
    struct sh_msg_parts parts = {.text = reason->text};
    sh_msg *m = sh_exec_msg(x, SH_MSG_DOWN, sh_actor_pid(x, parent), sh_actor_pid(x, a), &parts);
    if (m) {
        m->tag = SH_DOWN_CHILD;
        m->why = (uint8_t)reason->kind;
        m->reply = reason->pid;
        sh_exec_send(x, m);
    }
}

static void actor_final(sh_exec *x, sh_actor *a)
{
    struct sh_reason reason = actor_reason(a);
    sh_actor *parent = a->parent;
    sweep_mailbox(x, a);
    orphan_open(x, a);
    sh_timer_end_all(x, a);
    tell_parent(x, a, &reason); /* first: it takes a link's notice with it */
    if (!(a->flags & SH_A_SILENT)) {
        sh_link_tell_all(x, a, &reason);
    }
    sh_link_drop_all(x, a);
    sh_actor_free(x, a);
    if (parent) {
        sh_actor_poke(x, parent);
    }
    sh_runtime *rt = x->rt;
    /* Acq_rel: who sees 0 sees all that the ended did. */
    if (atomic_fetch_sub_explicit(&rt->actor_count, 1, memory_order_acq_rel) == 1 &&
        atomic_load_explicit(&rt->stopping, memory_order_relaxed)) {
        sh_exec_wake(rt->exec[0]);
    }
}

static void actor_restart(sh_exec *x, sh_actor *a)
{
    a->flags &=
        (uint16_t) ~(SH_A_STOPPED | SH_A_ENDING | SH_A_DYING | SH_A_RESTARTING | SH_A_SWEPT);
    orphan_open(x, a);
    sh_timer_end_all(x, a);
    if (a->state) {
        memset(a->state, 0, a->type->def.state_size);
    }
    a->restarts++;
    a->flags |= SH_A_STARTING;
    (void)sh_actor_call_init(x, a); /* it says so itself */
}

bool sh_actor_proceed(sh_exec *x, sh_actor *a)
{
    if (!(a->flags & SH_A_STOPPED)) {
        actor_end(x, a);
        return true;
    }
    if (a->flags & SH_A_RESTARTING) {
        actor_restart(x, a);
        return true;
    }
    actor_final(x, a);
    return false;
}
