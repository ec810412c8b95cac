/* actor/actor.c - the life of an actor: spawn, mailbox, stop, kill, restart, end.
 *
 * Invariants: an actor is freed only in actor_final, called from its own step, so nobody holds a pointer to
 * it that dangles; CLOSING means the gate is shut; on_stop runs once for each init that succeeded. */
#include "actor/actor.h"

#include "actor/ask.h"

void sh_spawn_init(struct sh_spawn *s)
{
    *s = (struct sh_spawn){.mailbox = -1};
}

sh_pid sh_actor_parent(const sh_exec *x, const sh_actor *a)
{
    return a->parent ? sh_actor_pid(x, a->parent) : sh_pid_none();
}

/* --- mailbox --- */

void sh_actor_enqueue(sh_exec *x, sh_actor *a, sh_msg *m)
{
    sh_msg_queue_push(&a->mailbox, m);
    a->queued++;
    if (!(a->flags & SH_A_QUEUED)) {
        sh_actor_poke(x, a);
    }
}

/* A message left the mailbox: its room is free. */
static void actor_room(sh_exec *x, sh_actor *a, sh_msg *m)
{
    a->queued--;
    x->rescan |= !sh_list_empty(&x->wait_list);
    if (!(m->flags & SH_MSG_GATED)) {
        return;
    }
    m->flags &= (uint8_t)~SH_MSG_GATED;
    if (!(a->flags & SH_A_CLOSING) && sh_gate_give(sh_gates_at(&x->gates, sh_pid_slot(a->id)), 1)) {
        sh_exec_nudge_all(x);
    }
}

sh_msg *sh_actor_take_ask(sh_exec *x, sh_actor *a, sh_pid reply)
{
    sh_msg *before = NULL;
    for (sh_msg *m = a->mailbox.head; m; before = m, m = m->next) {
        if (m->kind != SH_MSG_ASK || !sh_pid_eq(m->reply, reply)) {
            continue;
        }
        if (before) {
            before->next = m->next;
        } else {
            a->mailbox.head = m->next;
        }
        if (a->mailbox.tail == m) {
            a->mailbox.tail = before;
        }
        actor_room(x, a, m);
        return m;
    }
    return NULL;
}

bool sh_actor_has_work(const sh_actor *a)
{
    if (a->flags & SH_A_STOPPED) {
        return true;
    }
    if (a->flags & (SH_A_STARTING | SH_A_ENDING)) {
        return false;
    }
    bool open = !sh_list_empty(&a->open);
    if (a->flags & SH_A_DYING) {
        return true;
    }
    if (open && !(a->flags & SH_A_REENTRANT)) {
        return false;
    }
    return a->mailbox.head || ((a->flags & SH_A_CLOSING) && !open);
}

void sh_actor_poke(sh_exec *x, sh_actor *a)
{
    if (sh_actor_has_work(a)) {
        sh_exec_ready(x, a);
    }
}

/* --- reasons --- */

static struct sh_actor_more *actor_more(sh_exec *x, sh_actor *a)
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
    if ((text.n == 0 && sh_pid_is_none(cause)) || !actor_more(x, a)) {
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

/* --- spawn --- */

static void free_more(sh_exec *x, sh_actor *a)
{
    const sh_mem *mem = x->rt->cfg.mem;
    if (!a->more) {
        return;
    }
    sh_mem_free(mem, a->more->args, a->more->args_len);
    sh_mem_free(mem, (void *)(uintptr_t)a->more->reason_text.p, a->more->reason_text.n);
    if (a->more->spawned) {
        sh_exec_release(x, a->more->spawned);
    }
    sh_mem_free(mem, a->more, sizeof *a->more);
    a->more = NULL;
}

static int spawn_memory(sh_exec *x, sh_actor *a, const struct sh_spawn *opt)
{
    const sh_mem *mem = x->rt->cfg.mem;
    if (a->type->def.state_size) {
        a->state = sh_mem_zalloc(mem, a->type->def.state_size);
        if (!a->state) {
            return SH_E_LIMIT;
        }
    }
    if (!opt->args.n && !opt->spawned) {
        return 0;
    }
    if (!actor_more(x, a)) {
        return SH_E_LIMIT;
    }
    if (opt->args.n) {
        a->more->args = sh_mem_alloc(mem, opt->args.n);
        if (!a->more->args) {
            return SH_E_LIMIT;
        }
        a->more->args_len = opt->args.n;
        memcpy(a->more->args, opt->args.p, opt->args.n);
    }
    if (opt->spawned) {
        struct sh_msg_parts none = {0};
        sh_msg *call = sh_exec_msg(x, SH_MSG_CALLBACK, sh_pid_none(), sh_pid_none(), &none);
        if (!call) {
            return SH_E_LIMIT;
        }
        call->call.fn = opt->spawned;
        call->call.ud = opt->spawned_ud;
        a->more->spawned = call;
    }
    return 0;
}

static uint32_t mailbox_limit(const sh_exec *x, const sh_type *type, int64_t wanted)
{
    int64_t limit = wanted >= 0 ? wanted : type->def.mailbox;
    limit = limit >= 0 ? limit : (int64_t)x->rt->cfg.mailbox;
    return limit == 0 || limit >= UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

static void actor_free(sh_exec *x, sh_actor *a)
{
    free_more(x, a);
    sh_mem_free(x->rt->cfg.mem, a->state, a->type->def.state_size);
    sh_list_remove(&a->siblings);
    sh_slab_free(&x->actors, sh_pid_slot(a->id), sh_pid_generation(a->id));
}

static int spawn_make(sh_exec *x, sh_actor *parent, const sh_type *type, const struct sh_spawn *opt,
                      sh_actor **out)
{
    uint32_t slot = 0;
    uint32_t generation = 0;
    void *object = NULL;
    if (sh_slab_alloc(&x->actors, &slot, &generation, &object)) {
        return SH_E_LIMIT;
    }
    sh_actor *a = object;
    a->type = type;
    a->id = sh_pid_actor(generation, x->index, slot);
    a->user = opt->user;
    a->limit = mailbox_limit(x, type, opt->mailbox);
    a->flags = SH_A_STARTING | ((type->def.flags & SH_TYPE_REENTRANT) ? SH_A_REENTRANT : 0);
    sh_list_init(&a->open);
    sh_list_init(&a->timers);
    sh_list_init(&a->children);
    sh_list_init(&a->siblings);
    if (sh_gates_need(&x->gates, slot) || spawn_memory(x, a, opt)) {
        actor_free(x, a);
        return SH_E_LIMIT;
    }
    if (parent) {
        a->parent = parent;
        sh_list_push_back(&parent->children, &a->siblings);
    }
    sh_gate_open(sh_gates_at(&x->gates, slot), generation, a->limit);
    *out = a;
    return 0;
}

static int spawn_watch(sh_exec *x, sh_actor *a, const struct sh_spawn *opt)
{
    int rc = sh_pid_is_none(opt->link) ? 0 : sh_link_watch(x, a, opt->link, true);
    if (rc || sh_pid_is_none(opt->monitor)) {
        return rc;
    }
    struct sh_msg_parts none = {0};
    sh_actor *watcher = sh_actor_at(x, opt->monitor.actor);
    if (watcher && sh_pid_is_local(x, opt->monitor)) {
        return sh_link_watch(x, watcher, sh_actor_pid(x, a), false);
    }
    sh_msg *m = sh_exec_msg(x, SH_MSG_WATCH, sh_actor_pid(x, a), opt->monitor, &none);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_exec_send(x, m);
    return 0;
}

static int spawn_check(sh_exec *x, const struct sh_spawn *opt, sh_actor **parent)
{
    sh_runtime *rt = x->rt;
    if (atomic_load_explicit(&rt->stopping, memory_order_relaxed)) {
        return SH_E_CLOSED;
    }
    if (atomic_load_explicit(&rt->actor_count, memory_order_relaxed) >= rt->cfg.actors_max) {
        return SH_E_LIMIT;
    }
    if (!*parent && !sh_pid_is_none(opt->parent)) {
        if (!sh_pid_is_local(x, opt->parent) || sh_pid_executor(opt->parent.actor) != x->index) {
            return SH_E_USAGE; /* a child lives where its parent does */
        }
        *parent = sh_actor_at(x, opt->parent.actor);
        if (!*parent) {
            return SH_E_NOT_RUNNING;
        }
    }
    return *parent && ((*parent)->flags & SH_A_CLOSING) ? SH_E_NOT_RUNNING : 0;
}

static void call_init(sh_exec *x, sh_actor *a)
{
    if (!a->type->def.init) {
        sh_actor_init_ended(x, a, 0, sh_span_none());
        return;
    }
    sh_cx *cx = sh_cx_open(x, a, SH_HOOK_INIT, NULL);
    if (cx) {
        sh_cx_call_init(x, a, cx);
    } else {
        sh_actor_init_ended(x, a, SH_E_LIMIT, sh_span_str(sh_err_text(SH_E_NOMEM)));
    }
}

/* What a failed spawn says, or what a held one will say. */
static void spawn_told(sh_exec *x, sh_actor *a, int code, sh_span text)
{
    if (x->last_text) {
        sh_exec_release(x, x->last_text);
        x->last_text = NULL;
    }
    if (code < 0) {
        struct sh_msg_parts parts = {.text = text};
        x->last_text = sh_exec_msg(x, SH_MSG_REPLY, sh_pid_none(), sh_pid_none(), &parts);
    }
    if (!a->more || !a->more->spawned) {
        return;
    }
    sh_msg *call = a->more->spawned;
    a->more->spawned = NULL;
    sh_msg_set_text(&x->pool, call, code < 0 ? text : sh_span_none());
    call->code = (int8_t)(code < 0 ? SH_E_HANDLER : 0);
    call->why = code < 0 ? SH_HANDLED : 0;
    call->from = code < 0 ? sh_pid_none() : sh_actor_pid(x, a);
    sh_exec_callback(x, call, sh_runtime_host(x->rt));
}

int sh_actor_spawn(sh_exec *x, sh_actor *parent, const sh_type *type, const struct sh_spawn *opt,
                   sh_pid *out)
{
    sh_actor *a = NULL;
    int rc = spawn_check(x, opt, &parent);
    rc = rc ? rc : spawn_make(x, parent, type, opt, &a);
    if (rc) {
        return rc;
    }
    atomic_fetch_add_explicit(&x->rt->actor_count, 1, memory_order_relaxed);
    *out = sh_actor_pid(x, a);
    rc = spawn_watch(x, a, opt);
    sh_msg *spawned = a->more ? a->more->spawned : NULL;
    if (spawned) {
        a->more->spawned = NULL; /* only told if init does not end here */
    }
    if (rc) {
        sh_actor_init_ended(x, a, rc, sh_span_str(sh_err_text(rc)));
    } else {
        call_init(x, a);
        rc = (a->flags & SH_A_SILENT) ? SH_E_HANDLER : 0;
    }
    if (a->flags & SH_A_STARTING) {
        if (spawned) {
            a->more->spawned = spawned;
        }
        return 1;
    }
    if (spawned) {
        sh_exec_release(x, spawned);
    }
    if (rc) {
        a->flags |= SH_A_SILENT;
        sh_link_drop_all(x, a);
        *out = sh_pid_none();
    }
    return rc;
}

void sh_actor_init_ended(sh_exec *x, sh_actor *a, int code, sh_span text)
{
    a->flags &= (uint16_t)~SH_A_STARTING;
    bool again = a->restarts > 0;
    if (code >= 0) {
        a->flags |= SH_A_STARTED;
        if (!again) {
            spawn_told(x, a, 0, sh_span_none());
        }
        sh_actor_poke(x, a);
        return;
    }
    if (again) { /* the restart failed: try again, within the budget */
        sh_event_failed(x, sh_actor_pid(x, a), sh_span_none(), SH_E_HANDLER, text);
        sh_actor_decide(x, a, SH_RESTART_IT, SH_ERROR, text, sh_pid_none());
        return;
    }
    bool held = a->more && a->more->spawned;
    spawn_told(x, a, code, text);
    a->flags |= held ? 0 : SH_A_SILENT;
    sh_actor_die(x, a, SH_ERROR, text, sh_pid_none());
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
    struct sh_actor_more *more = actor_more(x, a);
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
    for (sh_msg *m = sh_msg_queue_pop(&a->mailbox); m; m = sh_msg_queue_pop(&a->mailbox)) {
        actor_room(x, a, m);
        bool told = m->kind == SH_MSG_TELL && def->on_undelivered && (a->flags & SH_A_STARTED);
        sh_cx *cx = told ? sh_cx_open(x, a, SH_HOOK_UNDELIVERED, NULL) : NULL;
        if (!cx) {
            sh_exec_undeliverable(x, m, SH_E_NOT_RUNNING);
            continue;
        }
        sh_cx_enter(cx);
        def->on_undelivered(def->ud, cx, a->state, sh_msg_name(m), sh_msg_value(m));
        sh_cx_returned(cx, 0);
        sh_exec_release(x, m);
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
    actor_free(x, a);
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
    a->flags &= (uint16_t)~(SH_A_STOPPED | SH_A_ENDING | SH_A_DYING | SH_A_RESTARTING | SH_A_SWEPT);
    orphan_open(x, a);
    sh_timer_end_all(x, a);
    if (a->state) {
        memset(a->state, 0, a->type->def.state_size);
    }
    a->restarts++;
    a->flags |= SH_A_STARTING;
    call_init(x, a);
}

/* --- the step --- */

/* False: it ended before a handler ran. */
static bool actor_begin(sh_exec *x, sh_actor *a, sh_msg *m)
{
    actor_room(x, a, m);
    switch (m->kind) {
    case SH_MSG_ASK:
        if (m->deadline_us <= x->now_us) {
            sh_post_reply_by(x, m, m->reply, SH_E_TIMEOUT, SH_NOT_SENT);
            return false;
        }
        break;
    case SH_MSG_TIMER:
        if (!sh_timer_begin(x, m)) {
            return false;
        }
        break;
    default: break;
    }
    sh_cx_dispatch(x, a, m);
    return true;
}

size_t sh_actor_step(sh_exec *x, sh_actor *a, size_t max)
{
    size_t n = 0;
    while (n < max) {
        if (a->flags & SH_A_STOPPED) {
            if (a->flags & SH_A_RESTARTING) {
                actor_restart(x, a);
                continue;
            }
            actor_final(x, a);
            return n;
        }
        if (!sh_actor_has_work(a)) {
            return n;
        }
        bool ends = (a->flags & SH_A_DYING) || !a->mailbox.head;
        if (ends) {
            actor_end(x, a);
            return n;
        }
        sh_msg *m = sh_msg_queue_pop(&a->mailbox);
        n += actor_begin(x, a, m) ? 1 : 0;
    }
    sh_actor_poke(x, a);
    return n;
}
