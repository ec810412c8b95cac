/* actor/ask.c - slots of calls: deadline, withdrawal, and the one end of each. Those that wait for room: ask_wait.c. */
#include "actor/ask.h"

#define CALL_SLOT UINT64_C(0x7fffffffffffffff) /* a call id is a slot's id without its top bit */

static sh_pid slot_pid(const sh_exec *x, const sh_slot *s)
{
    return sh_exec_pid(x, s->id);
}

static sh_slot *slot_at(const sh_exec *x, uint64_t id)
{
    return sh_slab_get(&x->slots, sh_pid_slot(id), sh_pid_generation(id));
}

sh_slot *sh_ask_find(sh_exec *x, int64_t call)
{
    uint64_t id = (uint64_t)call;
    if ((sh_pid_executor(id) & 0xc0u) == 0x40u && !sh_map_u64_get(&x->deferred, id, &id)) {
        return NULL;
    }
    sh_slot *s = sh_slab_at(&x->slots, sh_pid_slot(id));
    return s && (s->id & CALL_SLOT) == (id & CALL_SLOT) ? s : NULL;
}

/* --- making and ending --- */

static sh_slot *slot_new(sh_exec *x, const struct sh_waiter *w, enum sh_slot_kind kind,
                         sh_pid target)
{
    uint32_t index = 0;
    uint32_t generation = 0;
    void *object = NULL;
    if (sh_slab_alloc(&x->slots, &index, &generation, &object)) {
        return NULL;
    }
    sh_slot *s = object;
    s->id = sh_pid_actor(generation, x->index | 0x80u, index);
    s->due.what = SH_DUE_SLOT;
    sh_timer_init(&s->due.timer);
    sh_list_init(&s->wait);
    s->target = target;
    s->kind = (uint8_t)kind;
    s->state = SH_SLOT_SENT;
    s->then = w->then;
    s->done = w->done;
    s->ud = w->ud;
    if (w->done) {
        struct sh_msg_parts none = {0};
        s->call = sh_exec_msg(x, SH_MSG_CALLBACK, sh_pid_none(), sh_pid_none(), &none);
    }
    bool named = !w->deferred || sh_map_u64_put(&x->deferred, w->deferred, s->id) == 0;
    if ((w->done && !s->call) || !named) {
        if (s->call) {
            sh_exec_release(x, s->call);
        }
        sh_slab_free(&x->slots, index, generation);
        return NULL;
    }
    s->deferred = w->deferred;
    s->cx = w->cx;
    if (s->cx) {
        s->cx_next = s->cx->slots;
        s->cx_prev = &s->cx->slots;
        if (s->cx_next) {
            s->cx_next->cx_prev = &s->cx_next;
        }
        s->cx->slots = s;
    }
    return s;
}

static void slot_leave_cx(sh_slot *s)
{
    if (s->cx) {
        *s->cx_prev = s->cx_next;
        if (s->cx_next) {
            s->cx_next->cx_prev = s->cx_prev;
        }
        s->cx = NULL;
    }
}

static void slot_free(sh_exec *x, sh_slot *s)
{
    SH_ASSERT(!s->queued && !s->m);
    if (sh_timer_armed(&s->due.timer)) {
        sh_wheel_cancel(&x->wheel, &s->due.timer);
    }
    slot_leave_cx(s);
    if (s->call) {
        sh_exec_release(x, s->call);
    }
    if (s->deferred) {
        sh_map_u64_del(&x->deferred, s->deferred, NULL);
    }
    sh_slab_free(&x->slots, sh_pid_slot(s->id), sh_pid_generation(s->id));
}

/* Ends it without a reply in hand: the completion's memory was reserved. */
void sh_slot_end(sh_exec *x, sh_slot *s, int code, int delivery)
{
    if (s->cx) {
        s->state = SH_SLOT_ENDED;
        s->code = code;
        s->delivery = (uint8_t)delivery;
        sh_wheel_cancel(&x->wheel, &s->due.timer);
        sh_exec_resume(x, s);
        return;
    }
    sh_msg *call = s->call;
    s->call = NULL;
    if (call) {
        call->call.fn = s->done;
        call->call.ud = s->ud;
        call->code = (int8_t)code;
        call->why = (uint8_t)delivery;
        sh_exec_callback(x, call, sh_runtime_host(x->rt));
    }
    slot_free(x, s);
}

static int64_t slot_begun(sh_exec *x, sh_slot *s, uint64_t deadline_us)
{
    if (deadline_us != UINT64_MAX) {
        sh_wheel_arm(&x->wheel, &s->due.timer, deadline_us);
    }
    return (int64_t)(s->deferred ? s->deferred : s->id & CALL_SLOT);
}

/* --- the kinds of call --- */

static int ask_post(sh_exec *x, sh_slot *s, sh_msg *m)
{
    bool gated = false;
    bool blocked = !sh_list_empty(&x->wait_list) && sh_ask_blocked(x, s->target);
    int rc = blocked ? SH_E_MAILBOX_FULL
                     : sh_post_gate(x, s->target, sh_msg_queued_bytes(m), true, &gated);
    if (rc == SH_E_MAILBOX_FULL) {
        return sh_ask_wait(x, s, m);
    }
    if (rc == 0) {
        m->flags |= gated ? SH_MSG_GATED : 0;
        sh_exec_send(x, m);
    }
    return rc;
}

int64_t sh_ask_begin(sh_exec *x, const struct sh_waiter *w, sh_pid to, sh_pid from,
                     const struct sh_msg_parts *parts, uint64_t deadline_us)
{
    if (parts->name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    if (w->cx && w->cx->a && to.actor == w->cx->a->id && sh_pid_is_local(x, to) &&
        !(w->cx->a->flags & SH_A_REENTRANT)) {
        return SH_E_USAGE; /* it could never answer: its mailbox waits for this handler */
    }
    sh_slot *s = slot_new(x, w, SH_SLOT_ASK, to);
    if (!s) {
        return SH_E_LIMIT;
    }
    sh_msg *m = sh_exec_msg(x, SH_MSG_ASK, to, from, parts);
    if (!m) {
        slot_free(x, s);
        return SH_E_LIMIT;
    }
    m->reply = slot_pid(x, s);
    m->deadline_us = deadline_us;
    int rc = ask_post(x, s, m);
    if (rc) {
        sh_object_keep(m);
        sh_exec_release(x, m);
        slot_free(x, s);
        return rc;
    }
    return slot_begun(x, s, deadline_us);
}

int64_t sh_ask_begin_here(sh_exec *x, sh_cx *cx, sh_pid to, sh_then_fn *then, void *ud, sh_msg *m)
{
    struct sh_waiter w = {.cx = cx, .then = then, .ud = ud};
    sh_slot *s = slot_new(x, &w, SH_SLOT_ASK, to);
    if (!s) {
        return SH_E_LIMIT;
    }
    m->reply = slot_pid(x, s);
    return slot_begun(x, s, m->deadline_us);
}

/* A control message of a slot: DRAIN, WATCH, CANCEL, UNWATCH, STOP. */
static int slot_send(sh_exec *x, const sh_slot *s, enum sh_msg_kind kind)
{
    struct sh_msg_parts none = {0};
    sh_msg *m = sh_exec_msg(x, kind, s->target, sh_pid_none(), &none);
    if (!m) {
        return SH_E_LIMIT;
    }
    if (kind == SH_MSG_WATCH || kind == SH_MSG_UNWATCH) {
        m->from = slot_pid(x, s);
    } else {
        m->reply = slot_pid(x, s);
    }
    sh_exec_send(x, m);
    return 0;
}

static int target_check(sh_exec *x, sh_pid to)
{
    if (to.node) {
        return sh_gate_alive(sh_gates_at(&x->rt->peers, to.node), to.check) ? 0 : SH_E_UNREACHABLE;
    }
    return sh_pid_is_local(x, to) && sh_pid_executor(to.actor) < x->rt->cfg.execs
               ? 0
               : SH_E_NOT_RUNNING;
}

int64_t sh_ask_drain(sh_exec *x, const struct sh_waiter *w, sh_pid to, uint64_t deadline_us)
{
    int rc = target_check(x, to);
    sh_slot *s = rc ? NULL : slot_new(x, w, SH_SLOT_DRAIN, to);
    if (!s) {
        return rc ? rc : SH_E_LIMIT;
    }
    int64_t call = slot_begun(x, s, deadline_us); /* before it may end */
    if (slot_send(x, s, SH_MSG_DRAIN)) {
        slot_free(x, s);
        return SH_E_LIMIT;
    }
    return call;
}

int64_t sh_ask_done(sh_exec *x, const struct sh_waiter *w, sh_pid pid)
{
    int rc = target_check(x, pid);
    sh_slot *s = rc == SH_E_UNREACHABLE ? NULL : slot_new(x, w, SH_SLOT_DONE, pid);
    if (!s) {
        return rc == SH_E_UNREACHABLE ? rc : SH_E_LIMIT;
    }
    int64_t call = slot_begun(x, s, UINT64_MAX);
    if (rc == SH_E_NOT_RUNNING) { /* an address of an earlier life of this node */
        struct sh_msg_parts none = {0};
        sh_msg *m = sh_exec_msg(x, SH_MSG_DOWN, slot_pid(x, s), pid, &none);
        if (m) {
            m->why = SH_GONE;
            sh_ask_arrive(x, m);
            return call;
        }
    } else if (slot_send(x, s, SH_MSG_WATCH) == 0) {
        return call;
    }
    slot_free(x, s);
    return SH_E_LIMIT;
}

int64_t sh_ask_request(sh_exec *x, const struct sh_waiter *w, uint32_t op, sh_pid subject,
                       const struct sh_msg_parts *parts, uint64_t deadline_us)
{
    sh_slot *s = slot_new(x, w, SH_SLOT_REQUEST, sh_pid_none());
    sh_msg *m = s ? sh_exec_msg(x, SH_MSG_REQUEST, sh_exec_pid(x, 0), subject, parts) : NULL;
    if (!m) {
        if (s) {
            slot_free(x, s);
        }
        return SH_E_LIMIT;
    }
    m->reply = slot_pid(x, s);
    m->deadline_us = deadline_us;
    m->tag = op;
    int64_t call = slot_begun(x, s, deadline_us);
    sh_exec_send(x, m);
    return call;
}

/* --- withdrawing --- */

/* Whether the message was certainly not begun; SH_DELIVERY 0: a far executor or node must say. */
static int withdraw_here(sh_exec *x, sh_slot *s)
{
    sh_pid to = s->target;
    if (to.node || sh_pid_executor(to.actor) != x->index) {
        return 0;
    }
    sh_actor *a = sh_actor_at(x, to.actor);
    sh_msg *ask = a ? sh_actor_take_ask(x, a, slot_pid(x, s)) : NULL;
    if (ask) {
        sh_exec_release(x, ask);
        return SH_NOT_SENT;
    }
    if (a) {
        sh_cx_withdraw(x, a, slot_pid(x, s));
    }
    return SH_UNKNOWN;
}

/* Ends a call early with code; `wait`: a far side may take SH_CONFIRM_MS to say whether it ran. */
static void slot_withdraw(sh_exec *x, sh_slot *s, int code, bool wait)
{
    int delivery = SH_NOT_SENT;
    if (s->state == SH_SLOT_WAITING) {
        sh_exec_release(x, sh_ask_unwait(x, s));
    } else if (s->kind == SH_SLOT_REQUEST) {
        struct sh_msg_parts none = {0};
        sh_msg *m = sh_exec_msg(x, SH_MSG_REQUEST, sh_exec_pid(x, 0), sh_pid_none(), &none);
        if (m) {
            m->reply = slot_pid(x, s);
            m->tag = SH_REQUEST_END;
            sh_exec_send(x, m);
        }
    } else if (s->kind == SH_SLOT_DONE) {
        (void)slot_send(x, s, SH_MSG_UNWATCH); /* without memory: its DOWN will find no slot */
    } else if (s->kind == SH_SLOT_ASK) {
        delivery = withdraw_here(x, s);
        if (delivery == 0) {
            bool sent = slot_send(x, s, SH_MSG_CANCEL) == 0;
            if (sent && wait) {
                s->state = SH_SLOT_WITHDRAWING;
                s->code = code;
                sh_wheel_arm(&x->wheel, &s->due.timer, x->now_us + (uint64_t)SH_CONFIRM_MS * 1000);
                return;
            }
            delivery = SH_UNKNOWN;
        }
    }
    sh_slot_end(x, s, code, delivery);
}

void sh_ask_deadline(sh_exec *x, struct sh_due *due)
{
    sh_slot *s = SH_CONTAINER(due, sh_slot, due);
    if (s->state == SH_SLOT_WITHDRAWING) {
        sh_slot_end(x, s, s->code, SH_UNKNOWN);
    } else {
        slot_withdraw(x, s, SH_E_TIMEOUT, true);
    }
}

int sh_ask_cancel(sh_exec *x, int64_t call)
{
    sh_slot *s = sh_ask_find(x, call);
    if (!s || s->state >= SH_SLOT_WITHDRAWING) {
        return SH_E_NOT_FOUND;
    }
    slot_withdraw(x, s, SH_E_CANCELLED, true);
    return 0;
}

void sh_ask_cancel_cx(sh_exec *x, sh_cx *cx)
{
    for (sh_slot *s = cx->slots; s; s = s->cx_next) {
        if (s->state == SH_SLOT_WITHDRAWING) {
            sh_slot_end(x, s, SH_E_CANCELLED, SH_UNKNOWN);
        } else if (s->state != SH_SLOT_ENDED) {
            slot_withdraw(x, s, SH_E_CANCELLED, false);
        }
    }
}

void sh_ask_close_all(sh_exec *x)
{
    uint32_t cursor = 0;
    sh_slot *s = NULL;
    while ((s = sh_slab_next(&x->slots, &cursor, NULL)) != NULL) {
        if (s->cx) {
            continue;
        }
        int delivery = s->state == SH_SLOT_WAITING ? SH_NOT_SENT : SH_UNKNOWN;
        if (s->state == SH_SLOT_WAITING) {
            sh_exec_release(x, sh_ask_unwait(x, s));
        }
        sh_slot_end(x, s, SH_E_CLOSED, delivery);
    }
}

/* --- answers --- */

void sh_msg_to_result(const sh_msg *m, struct sh_result *r)
{
    bool down = m->tag == SH_MSG_DOWN;
    sh_span text = sh_msg_text(m);
    sh_span none = sh_span_none();
    r->code = (m->flags & SH_MSG_MORE) && !down ? SH_RESULT_MORE : m->code;
    r->delivery = down ? 0 : m->why;
    r->text = down ? none : text;
    r->type = sh_msg_type(m);
    r->value = sh_msg_value(m);
    r->pid = m->from;
    r->reason.kind = down ? m->why : 0;
    r->reason.text = down ? text : none;
    r->reason.pid = down ? m->to : sh_pid_none();
    r->carrier = NULL;
    if (r->code < 0 && r->text.n == 0 && !down) {
        r->text = sh_span_str(sh_err_text(r->code));
    }
    if ((m->flags & SH_MSG_OWNED) && m->code == 0) { /* a failed ask brings its own object back */
        r->carrier = (sh_msg *)(uintptr_t)m;
    }
}

/* From outside: the answer itself becomes the completion. */
static void answer_outside(sh_exec *x, sh_slot *s, sh_msg *m, bool last)
{
    m->tag = m->kind == SH_MSG_DOWN ? SH_MSG_DOWN : 0;
    m->to = m->kind == SH_MSG_DOWN ? m->reply : sh_pid_none(); /* cause: see sh_exec_callback */
    m->call.fn = s->done;
    m->call.ud = s->ud;
    if (s->done) {
        sh_exec_callback(x, m, sh_runtime_host(x->rt));
    } else {
        sh_exec_release(x, m);
    }
    if (last) {
        slot_free(x, s);
    }
}

void sh_ask_arrive(sh_exec *x, sh_msg *m)
{
    sh_slot *s = sh_pid_is_slot(m->to) ? slot_at(x, m->to.actor) : NULL;
    bool down = m->kind == SH_MSG_DOWN;
    bool last = !(m->flags & SH_MSG_MORE);
    if (!s || s->state == SH_SLOT_ENDED || s->state == SH_SLOT_WAITING ||
        down != (s->kind == SH_SLOT_DONE)) {
        x->stats.late_replies++;
        sh_exec_release(x, m);
        return;
    }
    if (s->state == SH_SLOT_WITHDRAWING) {
        bool unsent = m->code < 0 && m->why == SH_NOT_SENT;
        sh_exec_release(x, m);
        sh_slot_end(x, s, s->code, unsent ? SH_NOT_SENT : SH_UNKNOWN);
        return;
    }
    if (!s->cx) {
        answer_outside(x, s, m, last);
        return;
    }
    if (last) {
        s->state = SH_SLOT_ENDED;
        sh_wheel_cancel(&x->wheel, &s->due.timer);
    }
    m->tag = 0;
    sh_msg_queue_push(&s->results, m);
    sh_exec_resume(x, s);
}

void sh_ask_run(sh_exec *x, sh_slot *s)
{
    sh_cx *cx = s->cx;
    sh_then_fn *then = s->then;
    void *ud = s->ud;
    sh_msg *m = sh_msg_queue_pop(&s->results);
    struct sh_result r;
    if (m) {
        sh_msg_to_result(m, &r);
    } else {
        r = (struct sh_result){
            .code = s->code, .delivery = s->delivery, .text = sh_span_str(sh_err_text(s->code))};
    }
    bool last = !m || !(m->flags & SH_MSG_MORE);
    sh_cx_enter(cx);
    if (last) {
        slot_free(x, s);
    } else if (s->results.head || s->state == SH_SLOT_ENDED) {
        sh_exec_resume(x, s);
    }
    sh_cx_returned(cx, then ? then(cx, ud, &r) : 0);
    if (m) {
        sh_exec_release(x, m);
    }
}
