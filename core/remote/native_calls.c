/* remote/native_calls.c - frames of the peer about calls: replies both ways, drains, cancels.
 *
 * Handlers as in native_in.c: NULL, or why the frame breaks the protocol. */
#include "base/text.h"
#include "remote/native.h"

/* --- replies, ours to them --- */

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

void sh_native_node_reply(struct sh_rpeer *p, struct sh_wire *w, const struct sh_result *result)
{
    native_wire_answer(p->native, w, result);
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

/* --- replies, theirs to us --- */

const char *native_get_reply(struct native *n, const struct sh_frame *f)
{
    uint64_t found;
    if (!sh_serial_get(&n->calls, f->call, &found)) {
        return NULL; /* to no open call: dropped */
    }
    struct native_call *c = sh_map_ptr(found);
    if (f->flags & SH_FRAME_REPLY_RETURNS) {
        struct native_target *t = native_target_of(n, c->target, false);
        if (c->kind != SH_FRAME_ASK || !t || t->used <= t->tells_out || n->bytes_used < c->cost) {
            return "a window returned twice";
        }
        t->used--;
        n->bytes_used -= c->cost;
        if (t->queue.head && sh_list_empty(&t->ready)) {
            sh_list_push_back(&n->ready, &t->ready);
        }
        sh_remote_touch(n->peer);
    }
    struct sh_result res = {.code = f->code,
                            .delivery = f->code ? f->delivery : SH_HANDLED,
                            .text = f->text,
                            .type = f->type_text,
                            .value = f->value};
    if (c->kind == SH_FRAME_WATCH) {
        native_watch_reply(n, c, f);
    } else if (c->kind == SH_FRAME_DRAIN) {
        int loss = native_drain_loss(n, c->target);
        if (loss && !res.code) {
            res.code = loss;
            res.delivery = SH_UNKNOWN;
            res.text = sh_span_str("a tell before it was lost");
        }
    }
    sh_pid reply = c->reply;
    bool nobody = sh_pid_is_none(reply);
    if (nobody && c->kind == SH_FRAME_ASK &&
        f->code) { /* a stop or kill: nobody waits for its end */
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, 0), sh_span_str("stop"), 1, f->code,
                        f->text);
    }
    native_call_free(n, c);
    if (!nobody && sh_runtime_reply(n->r->rt, n->r->token, reply, &res) != 0) {
        sh_remote_answer(n->r, reply, SH_E_LIMIT, SH_UNKNOWN, "no memory for the reply");
    }
    return NULL;
}

/* --- drains, cancels --- */

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
