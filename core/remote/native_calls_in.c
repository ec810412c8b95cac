/* remote/native_calls_in.c - calls of the peer that wait for our REPLY: begun, answered, drained, cancelled.
 *
 * A call is a struct sh_wire until it is answered and its message has come back. Handlers as in native_in.c: NULL, or
 * why the frame breaks the protocol. */
#include "base/text.h"
#include "remote/native.h"

/* --- begun --- */

const char *native_next_call(struct native *n, uint64_t call)
{
    if (call != n->last_call_in + 1) {
        return "a call out of turn";
    }
    n->last_call_in = call;
    return NULL;
}

struct sh_wire *native_wire(struct native *n, uint8_t kind, uint64_t call, uint64_t target,
                            sh_pid *reply, uint32_t *index)
{
    struct sh_wire *w =
        n->wires_open < SH_SESSION_CALLS_MAX ? sh_wire_new(n->r, n->peer, reply, index) : NULL;
    if (!w) {
        return NULL;
    }
    if (sh_serial_put(&n->wire_by_call, call, reply->actor) != 0) {
        sh_wire_free(n->r, w);
        return NULL;
    }
    w->kind = kind;
    w->call = call;
    w->target = target;
    n->wires_open++;
    sh_list_push_back(&n->wires, &w->link);
    return w;
}

/* --- answered --- */

void native_reply(struct native *n, uint64_t call, bool returns, int code, int delivery,
                  const char *text)
{
    struct sh_frame f = {.type = SH_FRAME_REPLY,
                         .call = call,
                         .flags = returns ? SH_FRAME_REPLY_RETURNS : 0u,
                         .code = code,
                         .delivery = (uint8_t)delivery,
                         .text = code ? sh_span_str(text) : sh_span_none()};
    native_frame(n, &f);
}

void native_wire_answer(struct native *n, struct sh_wire *w, const struct sh_result *res)
{
    bool returns = w->returned && w->cost;
    struct native_own *o = returns ? native_own_find(n, w->target) : NULL;
    if (o) {
        o->used--;
        n->in_bytes -= w->cost;
        w->cost = 0;
    }
    struct sh_frame f = {.type = SH_FRAME_REPLY,
                         .call = w->call,
                         .flags = returns ? SH_FRAME_REPLY_RETURNS : 0u,
                         .code =
                             res->code < 0 ? (res->code < SH_E_USAGE ? SH_E_LIMIT : res->code) : 0,
                         .value = res->value};
    if (f.code) {
        bool known = res->delivery >= SH_NOT_SENT && res->delivery <= SH_HANDLED;
        f.delivery = (uint8_t)(known ? res->delivery : SH_UNKNOWN);
        f.text = sh_utf8_cut(res->text, SH_TEXT_MAX);
        f.type_text = sh_utf8_cut(res->type, SH_NAME_MAX);
    }
    if (f.value.n > n->message_max || sh_export_value(&n->r->exports, f.value) != 0) {
        f.code = SH_E_LIMIT;
        f.delivery = SH_HANDLED;
        f.text = sh_span_str("the reply is larger than max_message, or no memory");
        f.value = f.type_text = sh_span_none();
    }
    native_frame(n, &f);
    w->answered = true;
    sh_serial_del(&n->wire_by_call, w->call);
    n->wires_open--;
    sh_list_remove(&w->link);
    if (w->in_runtime) {
        sh_list_push_back(&n->wires, &w->link); /* until its message comes back */
    } else {
        sh_wire_free(n->r, w);
    }
}

void native_reply_frame(struct native *n, sh_msg *m)
{
    struct sh_wire *w = sh_wire_of(n->r, m->to.actor);
    if (w && w->peer == n->peer && !w->answered && !(m->flags & SH_MSG_MORE)) {
        struct sh_result res = {.code = m->code,
                                .delivery = m->why,
                                .text = sh_msg_text(m),
                                .type = sh_msg_type(m),
                                .value = sh_msg_value(m)};
        if (w->kind == SH_WIRE_WATCH) {
            native_watch_answered(n, w, m->code);
        }
        if (w->kind == SH_WIRE_DRAIN) {
            native_lost_flush(n); /* a drain's answer follows the losses it is about */
        }
        native_wire_answer(n, w, &res);
    }
    sh_runtime_msg_done(n->r->rt, m);
}

/* --- DRAIN and CANCEL --- */

const char *native_get_drain(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    const char *why = native_next_call(n, f->call);
    if (why || !native_actor(&f->target, n->yours_in, n->yours_in_cap, &actor)) {
        return why ? why : NATIVE_NOT_INTERNED;
    }
    if (!sh_export_has(&n->r->exports, actor)) {
        native_lost_flush(n);
        native_reply(n, f->call, false, SH_E_REFUSED, SH_NOT_SENT, "not exported");
        return NULL;
    }
    sh_pid reply;
    uint32_t index;
    struct sh_msg_parts none = {.name = sh_span_none()};
    struct sh_wire *w = native_wire(n, SH_WIRE_DRAIN, f->call, actor, &reply, &index);
    sh_msg *m = w ? sh_runtime_msg_new(n->r->rt, SH_MSG_DRAIN, &none) : NULL;
    if (!m) {
        struct sh_result res = {
            .code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        if (w) {
            native_wire_answer(n, w, &res);
        } else {
            native_reply(n, f->call, false, SH_E_LIMIT, SH_NOT_SENT, "too many open calls");
        }
        return NULL;
    }
    m->to = sh_remote_own(n->r, actor);
    m->from = sh_pid_none();
    m->reply = reply;
    m->deadline_us = UINT64_MAX;
    sh_runtime_inject(n->r->rt, m);
    return NULL;
}

void native_get_cancel(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    struct sh_msg_parts none = {.name = sh_span_none()};
    if (!sh_serial_get(&n->wire_by_call, f->call, &actor)) {
        return; /* answered already: the REPLY is on its way */
    }
    struct sh_wire *w = sh_wire_of(n->r, actor);
    sh_msg *m =
        w && w->kind == SH_WIRE_ASK ? sh_runtime_msg_new(n->r->rt, SH_MSG_CANCEL, &none) : NULL;
    if (m) {
        m->to = sh_remote_own(n->r, w->target);
        m->from = sh_pid_none();
        m->reply = sh_rpeer_pid(n->peer, actor);
        sh_runtime_inject(n->r->rt, m);
    }
}
