/* remote/native_calls_in.c - calls of the peer that wait for our REPLY: begun, answered, drained, cancelled.
 *
 * A call is a struct sh_call_in until it is answered and its message has come back. Handlers as in native_in.c: NULL,
 * or why the frame breaks the protocol. */
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

struct sh_call_in *native_call_in_new(struct native *n, uint8_t kind, uint64_t call,
                                      uint64_t target, sh_pid *reply, uint32_t *index)
{
    struct sh_call_in *c = n->calls_in_open < SH_SESSION_CALLS_MAX
                               ? sh_call_in_new(n->r, n->peer, reply, index)
                               : NULL;
    if (!c) {
        return NULL;
    }
    if (sh_serial_put(&n->call_in_by_number, call, reply->actor) != 0) {
        sh_call_in_free(n->r, c);
        return NULL;
    }
    c->kind = kind;
    c->call = call;
    c->target = target;
    n->calls_in_open++;
    sh_list_push_back(&n->calls_in, &c->link);
    return c;
}

void native_call_in_drop(struct native *n, struct sh_call_in *c)
{
    if (c) {
        sh_serial_del(&n->call_in_by_number, c->call);
        n->calls_in_open--;
        sh_list_remove(&c->link);
        sh_call_in_free(n->r, c);
    }
}

void native_calls_in_reset(struct native *n)
{
    sh_list_splice(&n->calls_in, &n->returned);
    n->r->orphan_bytes += n->in_bytes; /* less what has come back already */
    SH_LIST_FOREACH(it, &n->calls_in)
    {
        const struct sh_call_in *c = SH_CONTAINER(it, struct sh_call_in, link);
        n->r->orphan_bytes -= c->returned ? c->cost : 0u;
    }
    while (!sh_list_empty(&n->calls_in)) {
        struct sh_call_in *c = SH_CONTAINER(n->calls_in.next, struct sh_call_in, link);
        sh_list_remove(&c->link);
        if (c->kind == SH_CALL_IN_WATCH) {
            native_watch_undo(n, c);
        }
        c->peer = NULL;
        if (!c->in_runtime) {
            sh_call_in_free(n->r, c);
        }
    }
    sh_serial_fini(&n->call_in_by_number);
    sh_serial_init(&n->call_in_by_number, n->r->mem, n->r->seed, SH_SESSION_CALLS_MAX);
    n->calls_in_open = 0;
    n->last_call_in = 0;
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

void native_call_in_answer(struct native *n, struct sh_call_in *c, const struct sh_result *res)
{
    bool returns = c->returned && c->cost;
    struct native_own *o = returns ? native_own_find(n, c->target) : NULL;
    if (o) {
        o->used--;
        n->in_bytes -= c->cost;
        c->cost = 0;
    }
    struct sh_frame f = {.type = SH_FRAME_REPLY,
                         .call = c->call,
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
    c->answered = true;
    sh_serial_del(&n->call_in_by_number, c->call);
    n->calls_in_open--;
    sh_list_remove(&c->link);
    if (c->in_runtime) {
        sh_list_push_back(&n->calls_in, &c->link); /* until its message comes back */
    } else {
        sh_call_in_free(n->r, c);
    }
}

void native_reply_frame(struct native *n, sh_msg *m)
{
    struct sh_call_in *c = sh_call_in_of(n->r, m->to.actor);
    if (c && c->peer == n->peer && !c->answered && !(m->flags & SH_MSG_MORE)) {
        struct sh_result res = {.code = m->code,
                                .delivery = m->why,
                                .text = sh_msg_text(m),
                                .type = sh_msg_type(m),
                                .value = sh_msg_value(m)};
        if (c->kind == SH_CALL_IN_WATCH) {
            native_watch_answered(n, c, m->code);
        }
        if (c->kind == SH_CALL_IN_DRAIN) {
            native_lost_flush(n); /* a drain's answer follows the losses it is about */
        }
        native_call_in_answer(n, c, &res);
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
    struct sh_call_in *c = native_call_in_new(n, SH_CALL_IN_DRAIN, f->call, actor, &reply, &index);
    sh_msg *m = c ? sh_runtime_msg_new(n->r->rt, SH_MSG_DRAIN, &none) : NULL;
    if (!m) {
        struct sh_result res = {
            .code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        if (c) {
            native_call_in_answer(n, c, &res);
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
    if (!sh_serial_get(&n->call_in_by_number, f->call, &actor)) {
        return; /* answered already: the REPLY is on its way */
    }
    struct sh_call_in *c = sh_call_in_of(n->r, actor);
    sh_msg *m =
        c && c->kind == SH_CALL_IN_ASK ? sh_runtime_msg_new(n->r->rt, SH_MSG_CANCEL, &none) : NULL;
    if (m) {
        m->to = sh_remote_own(n->r, c->target);
        m->from = sh_pid_none();
        m->reply = sh_rpeer_pid(n->peer, actor);
        sh_runtime_inject(n->r->rt, m);
    }
}
