/* actor/cx.c - a message being handled: from dispatch to its one end, and what handlers may ask for.
 *
 * Invariants: a context is open while a callback runs in it, an ask of it is out, or it is held; it ends in
 * cx_end exactly once; the reply is sent at most once (REPLIED). */
#include "actor/ask.h"

sh_cx *sh_cx_make(sh_exec *x)
{
    sh_cx *cx = x->cx_free;
    if (cx) {
        x->cx_free = (sh_cx *)(void *)cx->link.next;
    } else {
        cx = sh_mem_alloc(x->rt->cfg.mem, sizeof *cx);
    }
    if (cx) {
        *cx = (sh_cx){.x = x};
        sh_list_init(&cx->link);
    }
    return cx;
}

sh_cx *sh_cx_open(sh_exec *x, sh_actor *a, enum sh_hook hook, sh_msg *m)
{
    sh_cx *cx = sh_cx_make(x);
    if (cx) {
        cx->a = a;
        cx->m = m;
        cx->hook = (uint8_t)hook;
        sh_list_push_back(&a->open, &cx->link);
    }
    return cx;
}

enum { OPEN_WALKED = 4 }; /* so many contexts of an actor are looked at one by one */

static bool open_is_short(const sh_actor *a)
{
    unsigned n = 0;
    SH_LIST_FOREACH(it, &a->open)
    {
        if (++n == OPEN_WALKED) {
            return false;
        }
    }
    return true;
}

/* Behind the first few it is noted who asked: they are those that a walk from the front finds. */
void sh_cx_stays(sh_exec *x, sh_actor *a, sh_cx *cx)
{
    if ((cx->flags & SH_CX_WAS_ASK) && !open_is_short(a)) {
        bool noted = !sh_map_u64_get(&x->askers, cx->reply.actor, NULL) &&
                     sh_map_u64_put(&x->askers, cx->reply.actor, sh_map_of_ptr(cx)) == 0;
        cx->flags |= noted ? SH_CX_KNOWN : 0;
        x->askers_missing |= !noted;
    }
    sh_list_push_back(&a->open, &cx->link);
}

static void cx_unknow(sh_cx *cx)
{
    if (cx->flags & SH_CX_KNOWN) {
        cx->flags &= (uint8_t)~SH_CX_KNOWN;
        sh_map_u64_del(&cx->x->askers, cx->reply.actor, NULL);
    }
}

static void cx_close(sh_cx *cx)
{
    sh_exec *x = cx->x;
    sh_actor *a = cx->a;
    cx_unknow(cx);
    sh_list_remove(&cx->link);
    if (cx->m) {
        sh_exec_release(x, cx->m);
    }
    if (cx->failure) {
        sh_exec_release(x, cx->failure);
    }
    sh_cx_free(x, cx);
    sh_actor_poke(x, a);
}

/* --- the end of a context --- */

static bool reply_due(const sh_cx *cx)
{
    return (cx->flags & SH_CX_WAS_ASK) && !(cx->flags & SH_CX_REPLIED);
}

/* The last word to the asker; without memory the ask itself carries the code. */
static void cx_answer(sh_cx *cx, const struct sh_result *r)
{
    cx->flags |= SH_CX_REPLIED;
    if (sh_post_reply(cx->x, cx->reply, r) == 0) {
        return;
    }
    sh_msg *m = cx->m;
    cx->m = NULL;
    sh_post_reply_by(cx->x, m, cx->reply, r->code ? r->code : SH_E_LIMIT, SH_HANDLED);
}

static struct sh_result cx_failure(const sh_cx *cx, int code)
{
    struct sh_result r = {.code = code, .delivery = SH_HANDLED};
    if (cx->failure) {
        r.text = sh_msg_text(cx->failure);
        r.type = sh_msg_type(cx->failure);
        r.value = sh_msg_value(cx->failure);
    }
    if (r.text.n == 0) {
        r.text = sh_span_str(sh_err_text(cx->code));
    }
    return r;
}

/* BAD_VALUE, NO_HANDLER, REFUSED: the message ended before the handler, the actor is fine. */
static void end_rejected(sh_cx *cx)
{
    struct sh_result r = cx_failure(cx, cx->code);
    r.delivery = SH_NOT_SENT;
    if (reply_due(cx)) {
        cx_answer(cx, &r);
    } else if (cx->m && (cx->m->flags & SH_MSG_INJECTED) && cx->m->kind == SH_MSG_TELL) {
        cx->m->code = (int8_t)cx->code; /* its node is told by remote */
    } else if (cx->m && cx->m->kind == SH_MSG_TELL) {
        sh_event_undelivered(cx->x, cx->m->to, sh_msg_name(cx->m), 1, cx->code, r.text);
        sh_loss_note(cx->x, cx->m->to.actor, cx->code);
    }
}

/* Without a hook, or when it leaves the decision to us. */
static int default_after_error(const sh_cx *cx)
{
    return (cx->flags & SH_CX_WAS_ASK) ? SH_RESUME : SH_STOP;
}

static int default_after_down(bool link, int kind)
{
    return link && kind != SH_NORMAL ? SH_STOP : SH_RESUME;
}

/* True: on_error goes on with this context. */
static bool end_failed(sh_cx *cx)
{
    sh_exec *x = cx->x;
    sh_actor *a = cx->a;
    const struct sh_actor_type *def = &a->type->def;
    struct sh_result r = cx_failure(cx, SH_E_HANDLER);
    if (reply_due(cx)) {
        cx_answer(cx, &r);
    } else {
        sh_event_failed(x, sh_actor_pid(x, a), sh_cx_name(cx), SH_E_HANDLER, r.text);
    }
    if (a->flags & SH_A_DYING) {
        return false;
    }
    if (!def->on_error) {
        sh_actor_decide(x, a, default_after_error(cx), SH_ERROR, r.text, sh_pid_none());
        return false;
    }
    cx->hook = SH_HOOK_ERROR;
    cx->code = 0;
    cx->flags = (uint8_t)((cx->flags & ~SH_CX_REJECTED) | SH_CX_REPLIED);
    sh_cx_enter(cx);
    sh_cx_returned(cx, def->on_error(def->ud, cx, a->state, &r));
    return true;
}

static bool end_handle(sh_cx *cx)
{
    if ((cx->a->flags & SH_A_DYING) && reply_due(cx)) {
        struct sh_result gone = {.code = SH_E_NOT_RUNNING, .delivery = SH_UNKNOWN};
        cx_answer(cx, &gone); /* a continuation that was cancelled has no result to give */
        return false;
    }
    if (cx->code >= 0) {
        if (reply_due(cx)) {
            struct sh_result nil = {0};
            cx_answer(cx, &nil);
        }
        return false;
    }
    if (cx->flags & SH_CX_REJECTED) {
        end_rejected(cx);
        return false;
    }
    return end_failed(cx);
}

static void end_down(sh_cx *cx)
{
    sh_exec *x = cx->x;
    struct sh_result r = cx_failure(cx, SH_E_HANDLER);
    int decision = cx->code;
    if (cx->code < 0) {
        sh_event_failed(x, sh_actor_pid(x, cx->a), sh_span_none(), SH_E_HANDLER, r.text);
        decision = SH_STOP;
    } else {
        r.text = cx->m ? sh_msg_text(cx->m) : sh_span_none();
        if (decision == SH_BY_DEFAULT) {
            decision =
                default_after_down((cx->flags & SH_CX_LINKED) != 0, cx->m ? cx->m->why : SH_NORMAL);
        }
    }
    int kind = cx->code < 0 ? SH_ERROR : SH_LINK_DIED;
    sh_actor_decide(x, cx->a, decision, kind, r.text, cx->subject);
}

static void cx_end(sh_cx *cx)
{
    sh_exec *x = cx->x;
    sh_actor *a = cx->a;
    switch ((enum sh_hook)cx->hook) {
    case SH_HOOK_HANDLE:
        if (end_handle(cx)) {
            return;
        }
        break;
    case SH_HOOK_ERROR: {
        struct sh_result r = cx_failure(cx, SH_E_HANDLER);
        int decision = cx->code == SH_BY_DEFAULT ? default_after_error(cx) : cx->code;
        sh_actor_decide(x, a, decision < 0 ? SH_STOP : decision, SH_ERROR, r.text, sh_pid_none());
        break;
    }
    case SH_HOOK_DOWN: end_down(cx); break;
    case SH_HOOK_INIT: {
        struct sh_result r = cx_failure(cx, SH_E_HANDLER);
        sh_list_remove(&cx->link); /* a restart may begin at once */
        sh_actor_init_ended(x, a, cx->code, cx->code < 0 ? r.text : sh_span_none());
        break;
    }
    case SH_HOOK_STOP: sh_actor_stop_ended(x, a); break;
    case SH_HOOK_UNDELIVERED: break;
    }
    cx_close(cx);
}

void sh_cx_returned(sh_cx *cx, int code)
{
    cx->code = cx->code < 0 ? cx->code : code;
    cx->running--;
    if (cx->running) {
        return;
    }
    if ((cx->flags & SH_CX_DEFERRED) && cx->m) { /* deferred: this is its credit */
        sh_exec_release(cx->x, cx->m);
        cx->m = NULL;
    }
    if (!cx->slots && !(cx->flags & SH_CX_HELD)) {
        cx_end(cx);
    }
}

void sh_cx_orphan(sh_exec *x, sh_cx *cx)
{
    if (reply_due(cx)) {
        struct sh_result gone = {.code = SH_E_NOT_RUNNING, .delivery = SH_UNKNOWN};
        cx_answer(cx, &gone);
    }
    if (cx->m) {
        sh_exec_release(x, cx->m);
    }
    if (cx->failure) {
        sh_exec_release(x, cx->failure);
    }
    cx_unknow(cx);
    cx->m = NULL;
    cx->failure = NULL;
    cx->a = NULL;
    cx->flags |= SH_CX_ORPHAN;
    sh_list_remove(&cx->link);
    sh_list_push_back(&x->orphans, &cx->link);
}

void sh_cx_hold(sh_cx *cx)
{
    cx->flags |= SH_CX_HELD;
}

void sh_cx_finish(sh_cx *cx, int code)
{
    if (cx->flags & SH_CX_ORPHAN) {
        sh_list_remove(&cx->link);
        sh_cx_free(cx->x, cx);
        return;
    }
    cx->flags &= (uint8_t)~SH_CX_HELD;
    sh_exec *x = cx->x;
    bool flush = !x->turning;
    sh_cx_enter(cx);
    sh_cx_returned(cx, code);
    if (flush) {
        sh_exec_flush(x);
        sh_exec_wake(x); /* its actor may be ready now */
    }
}

static bool withdraw(sh_cx *cx, sh_pid reply)
{
    bool found = reply_due(cx) && sh_pid_eq(cx->reply, reply);
    if (found) {
        cx_unknow(cx);
        cx->reply = sh_pid_none(); /* it runs on; what it answers goes nowhere */
    }
    return found;
}

bool sh_cx_withdraw(sh_exec *x, sh_actor *a, sh_pid reply)
{
    sh_cx *now = x->fresh;
    if (now && now->running && now->a == a && withdraw(now, reply)) {
        return true;
    }
    uint64_t known;
    if (sh_map_u64_get(&x->askers, reply.actor, &known)) {
        sh_cx *cx = sh_map_ptr(known);
        if (cx->a == a && withdraw(cx, reply)) {
            return true;
        }
    }
    unsigned n = 0;
    SH_LIST_FOREACH(it, &a->open)
    {
        x->stats.searched++;
        if (withdraw(SH_CONTAINER(it, sh_cx, link), reply)) {
            return true;
        }
        if (++n == OPEN_WALKED && !x->askers_missing) {
            break;
        }
    }
    return false;
}

/* --- dispatch --- */

void sh_cx_call_init(sh_exec *x, sh_actor *a, sh_cx *cx)
{
    (void)x;
    const struct sh_actor_type *def = &a->type->def;
    sh_span args = a->more ? sh_span_of(a->more->args, a->more->args_len) : sh_span_none();
    sh_cx_enter(cx);
    sh_cx_returned(cx, def->init(def->ud, cx, a->state, args, a->user));
}

void sh_cx_call_stop(sh_exec *x, sh_actor *a, sh_cx *cx, const struct sh_reason *reason)
{
    (void)x;
    const struct sh_actor_type *def = &a->type->def;
    sh_cx_enter(cx);
    def->on_stop(def->ud, cx, a->state, reason);
    sh_cx_returned(cx, 0);
}

void sh_cx_dispatch_down(sh_exec *x, sh_actor *a, sh_msg *m)
{
    const struct sh_actor_type *def = &a->type->def;
    bool child = m->tag == SH_DOWN_CHILD;
    bool link = false;
    bool watched = sh_link_down(x, a, m->from, &link);
    if (!watched && !child) {
        sh_exec_release(x, m); /* unlinked meanwhile, or told before */
        return;
    }
    struct sh_reason reason = {.kind = m->why, .text = sh_msg_text(m), .pid = m->reply};
    sh_cx *cx = def->on_down ? sh_cx_open(x, a, SH_HOOK_DOWN, m) : NULL;
    if (!cx) { /* no hook, or no memory to run it: the default */
        sh_actor_decide(x, a, default_after_down(link, reason.kind), SH_LINK_DIED, reason.text,
                        m->from);
        sh_exec_release(x, m);
        return;
    }
    cx->subject = m->from;
    cx->flags = (uint8_t)(cx->flags | (link ? SH_CX_LINKED : 0u));
    unsigned flags = (link ? (unsigned)SH_DOWN_LINK : 0) | (child ? (unsigned)SH_DOWN_CHILD : 0);
    sh_cx_enter(cx);
    sh_cx_returned(cx, def->on_down(def->ud, cx, a->state, m->from, &reason, flags));
}
