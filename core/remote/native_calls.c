/* remote/native_calls.c - frames of the peer about calls: replies both ways, credits, losses, drains, cancels, watches.
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

static bool native_inject_watch(struct native *n, enum sh_msg_kind kind, uint64_t target,
                                uint64_t watcher, bool link, sh_pid reply)
{
    struct sh_msg_parts none = {.name = sh_span_none()};
    sh_msg *m = sh_runtime_msg_new(n->r->rt, kind, &none);
    if (!m) {
        return false;
    }
    m->to = sh_remote_own(n->r, target);
    m->from = sh_rpeer_pid(n->peer, watcher);
    m->reply = reply;
    m->flags |= link ? SH_MSG_LINK : 0;
    sh_runtime_inject(n->r->rt, m);
    return true;
}

static void native_watch_forget(struct native *n, uint64_t target, uint64_t watcher, bool link)
{
    sh_held_drop(n->peer, target, watcher);
    struct sh_watch *w = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    if (w) {
        sh_watch_drop(n->peer, w);
    }
}

/* The runtime's answer to a WATCH of the peer: what it did not take is not held. */
static void native_watch_answered(struct native *n, const struct sh_wire *w, int code)
{
    if (code != 0) {
        native_watch_forget(n, w->target, w->watcher, w->linked);
    }
}

/* The session ended before the runtime had answered: the watch is undone, the peer sends it again. */
void native_watch_undo(struct native *n, const struct sh_wire *w)
{
    native_watch_answered(n, w, SH_E_UNREACHABLE);
    native_inject_watch(n, SH_MSG_UNWATCH, w->target, w->watcher, w->linked, sh_pid_none());
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

static void native_watch_reply(struct native *n, const struct native_call *c,
                               const struct sh_frame *f)
{
    struct sh_watch *w = sh_watch_find(n->peer, c->target, c->watcher);
    if (!w || w->call != c->call) {
        return;
    }
    w->call = 0;
    if (f->code == 0) {
        w->confirmed = true;
    } else {
        sh_watch_fire(n->peer, w, SH_GONE, f->text, sh_pid_none());
    }
}

static int native_drain_loss(struct native *n, uint64_t actor)
{
    struct native_target *t = native_target_of(n, actor, false);
    int loss = t ? t->loss : 0;
    if (t) {
        t->loss = 0;
    }
    return loss;
}

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

const char *native_get_credit(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &actor)) {
        return NATIVE_NOT_INTERNED;
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (!t || f->messages > t->used || f->bytes > n->bytes_used ||
        f->messages - f->asks > t->tells_out || f->wider > SH_TARGET_WINDOW_MAX - t->window) {
        return "credit for more than was sent";
    }
    t->used -= (uint32_t)f->messages;
    t->tells_out -= (uint32_t)(f->messages - f->asks);
    t->window += (uint32_t)f->wider;
    n->bytes_used -= f->bytes;
    if (t->queue.head && sh_list_empty(&t->ready)) {
        sh_list_push_back(&n->ready, &t->ready);
    }
    sh_remote_touch(n->peer);
    return NULL;
}

const char *native_get_lost(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    sh_span name;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &actor) ||
        !native_name_of(n, f, &name)) {
        return NATIVE_NOT_INTERNED;
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (t && f->count) {
        t->loss = t->loss ? t->loss : (int8_t)f->code;
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, actor), name, (uint32_t)f->count, f->code,
                        f->text);
    }
    return NULL;
}

/* --- drains, cancels, watches --- */

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

static void native_take_watch(struct native *n, uint64_t call, uint64_t target, uint64_t watcher,
                              bool link)
{
    sh_pid reply;
    uint32_t index;
    int err =
        link ? sh_watch_add_link(n->peer, watcher, target) : sh_held_add(n->peer, target, watcher);
    struct sh_wire *w = err ? NULL : native_wire(n, SH_WIRE_WATCH, call, target, &reply, &index);
    if (w) {
        w->watcher = watcher;
        w->linked = link;
    }
    if (w && native_inject_watch(n, SH_MSG_WATCH, target, watcher, link, reply)) {
        return;
    }
    if (w) {
        struct sh_result res = {
            .code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        native_watch_answered(n, w, SH_E_LIMIT);
        native_wire_answer(n, w, &res);
    } else {
        if (!err) {
            native_watch_forget(n, target, watcher, link);
        }
        native_reply(n, call, false, SH_E_LIMIT, SH_NOT_SENT, "too many watches or open calls");
    }
}

/* A renewed link that is not held here: undone, which is silent, or ended with all others when the peer was given up. */
static void native_link_ended(struct native *n, uint64_t target, uint64_t watcher)
{
    bool lost = n->peer->gave_up;
    struct sh_frame end = {.type = lost ? SH_FRAME_DEATH : SH_FRAME_UNWATCH};
    struct sh_frame_who theirs = {.kind = SH_WHO_ACTOR, .actor = watcher};
    if (watcher == 0) {
        return;
    }
    if (lost) {
        end.target = native_mine(n, target);
        end.other = theirs;
        end.kind = SH_PEER_LOST;
        end.text = sh_span_str("the peer had given this one up");
    } else {
        end.target = theirs;
        end.other = native_mine(n, target);
        end.flags = SH_FRAME_WATCH_LINK;
    }
    native_frame(n, &end);
}

const char *native_get_watch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    const char *why = native_next_call(n, f->call);
    if (why || !native_actor(&f->target, n->yours_in, n->yours_in_cap, &target) ||
        !native_actor(&f->other, n->mine_in, n->mine_in_cap, &watcher)) {
        return why ? why : NATIVE_NOT_INTERNED;
    }
    bool link = (f->flags & SH_FRAME_WATCH_LINK) != 0,
         renewed = (f->flags & SH_FRAME_WATCH_RENEWED) != 0;
    if (n->said_bye) {
        native_reply(n, f->call, false, SH_E_CLOSED, SH_NOT_SENT, "the node is stopping");
        return NULL;
    }
    struct sh_watch *held = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    bool have = link ? held && held->linked : sh_held_find(n->peer, target, watcher);
    if (have) { /* its death would have told: it lives */
        if (held) {
            held->confirmed = true;
        }
        native_reply(n, f->call, false, 0, 0, "");
    } else if (link && renewed && sh_runtime_alive(n->r->rt, sh_remote_own(n->r, target))) {
        native_link_ended(n, target, watcher);
        native_reply(n, f->call, false, 0, 0, "");
    } else if (target == 0 || !sh_export_has(&n->r->exports, target)) {
        native_reply(n, f->call, false, SH_E_REFUSED, SH_NOT_SENT, "not exported");
    } else {
        native_take_watch(n, f->call, target, watcher, link && watcher);
    }
    sh_remote_touch(n->peer);
    return NULL;
}

const char *native_get_unwatch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    if (!native_actor(&f->target, n->yours_in, n->yours_in_cap, &target) ||
        !native_actor(&f->other, n->mine_in, n->mine_in_cap, &watcher)) {
        return NATIVE_NOT_INTERNED;
    }
    bool link = (f->flags & SH_FRAME_WATCH_LINK) != 0;
    struct sh_watch *w = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    bool had = sh_held_drop(n->peer, target, watcher);
    if (w && w->linked) {
        sh_watch_drop(n->peer, w);
        had = true;
    }
    if (had) {
        native_inject_watch(n, SH_MSG_UNWATCH, target, watcher, link, sh_pid_none());
    }
    sh_remote_touch(n->peer);
    return NULL;
}

const char *native_get_death(struct native *n, const struct sh_frame *f)
{
    uint64_t dead, watcher;
    sh_pid cause;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &dead) ||
        !native_actor(&f->other, n->yours_in, n->yours_in_cap, &watcher) ||
        !native_pid(n, &f->cause, &cause)) {
        return NATIVE_NOT_INTERNED;
    }
    struct sh_watch *w = sh_watch_find(n->peer, dead, watcher);
    if (w) {
        sh_watch_fire(n->peer, w, f->kind, f->text, cause);
        sh_remote_touch(n->peer);
    }
    return NULL;
}
