/* remote/native_out.c - the native session's writing side: which message may go, and what becomes of it.
 *
 * A message is encoded when the session is up, its target has room, the session has room and the stream takes bytes.
 * Otherwise it waits in its target's queue, in order; other targets pass. Control frames pass everything. */
#include "remote/native.h"

#include "base/varint.h"

enum { ORDER_EXTRA = 32 }; /* a stop or kill: its name, and the frame around its text */

/* --- encoding what the runtime gave --- */

/* Parts of a TELL or ASK frame that come from m; buf holds a made value. */
static void native_fill(struct sh_frame *f, const sh_msg *m, uint8_t *buf, size_t cap)
{
    bool order = m->kind == SH_MSG_STOP || m->kind == SH_MSG_KILL;
    f->type = m->kind == SH_MSG_TELL ? SH_FRAME_TELL : SH_FRAME_ASK;
    f->name = order ? sh_span_str(m->kind == SH_MSG_STOP ? "stop" : "kill") : sh_msg_name(m);
    f->value = order ? native_stop_value(m, buf, cap) : sh_msg_value(m);
    f->left_ms = SH_ASK_TIMEOUT_MS;
}

static bool native_left(struct sh_frame *f, const sh_msg *m, uint64_t now_us)
{
    if (m->kind != SH_MSG_ASK || m->deadline_us == UINT64_MAX) {
        f->left_ms = m->kind == SH_MSG_ASK ? SH_UVARINT_VALUE_MAX : f->left_ms;
        return true;
    }
    if (m->deadline_us <= now_us) {
        return false;
    }
    f->left_ms = (m->deadline_us - now_us + 999) / 1000;
    return true;
}

static uint32_t native_cost(const struct sh_frame *f)
{
    return (uint32_t)(SH_MESSAGE_OVERHEAD + f->name.n + f->value.n);
}

/* Target and sender, the usual ones without a call. */
static void native_whos(struct native *n, struct native_target *t, const sh_msg *m,
                        struct sh_frame *f)
{
    if (t->entry != NATIVE_NO_ENTRY) {
        f->target.kind = SH_WHO_ENTRY;
        f->target.entry = t->entry;
    } else {
        f->target = native_target_who(n, t);
    }
    if (m->from.actor == 0) {
        f->other.kind = SH_WHO_NOBODY;
    } else {
        f->other = native_who(n, m->from);
    }
}

/* TELL, ASK, STOP, KILL: encodes or fails it; m is gone either way. */
static void native_message(struct native *n, struct native_target *t, sh_msg *m, uint64_t now_us)
{
    if (native_message_again(n, t, m)) {
        return;
    }
    uint8_t made[SH_TEXT_MAX + 32];
    struct sh_frame
        f; /* what a message has is set here, see sh_frame_decode; field by field, see frame.c */
    f.code = 0;
    f.text.p = f.type_text.p = NULL;
    f.text.n = f.type_text.n = 0;
    native_fill(&f, m, made, sizeof made);
    if (!native_left(&f, m, now_us)) {
        native_fail_one(n, m, SH_E_TIMEOUT, "not sent in time");
        return;
    }
    if (f.value.n > n->message_max) {
        native_fail_one(n, m, SH_E_LIMIT, "larger than max_message of the peer");
        return;
    }
    bool sender = m->from.node == 0 && !sh_pid_is_slot(m->from) && m->from.actor != 0;
    if ((sender && sh_export_add(&n->r->exports, m->from.actor) != 0) ||
        sh_export_value(&n->r->exports, f.value) != 0) {
        native_fail_one(n, m, SH_E_LIMIT, "no memory");
        return;
    }
    uint32_t cost = native_cost(&f);
    if (f.type == SH_FRAME_ASK) {
        sh_pid reply = m->kind == SH_MSG_ASK ? m->reply : sh_pid_none();
        struct native_call *c = native_call_new(n, SH_FRAME_ASK, reply, t->actor);
        if (!c) {
            native_fail_one(n, m, SH_E_LIMIT, "too many open calls to the peer, or no memory");
            return;
        }
        c->cost = cost;
        f.call = c->call;
    }
    native_whos(n, t, m, &f);
    native_name(n, &f, f.name);
    if (f.type == SH_FRAME_TELL) {
        native_again_out(n, t, m, &f);
    }
    t->used++;
    t->tells_out += f.type == SH_FRAME_TELL;
    n->bytes_used += cost;
    if (f.value.n >= NATIVE_LARGE) {
        native_frame_large(n, &f, m);
    } else {
        native_frame(n, &f);
        native_done(n, m);
    }
}

static void native_drain(struct native *n, struct native_target *t, sh_msg *m)
{
    struct native_call *c = native_call_new(n, SH_FRAME_DRAIN, m->reply, t->actor);
    if (!c) {
        native_fail_one(n, m, SH_E_LIMIT, "too many open calls to the peer, or no memory");
        return;
    }
    struct sh_frame f = {
        .type = SH_FRAME_DRAIN, .call = c->call, .target = native_yours(n, t->actor)};
    native_frame(n, &f);
    native_done(n, m);
}

static bool native_has_room(const struct native *n, const struct native_target *t, const sh_msg *m)
{
    if (!native_flows(n)) {
        return m->kind == SH_MSG_DOWN && native_active(n) && !n->broken;
    }
    if (m->kind == SH_MSG_DRAIN || m->kind == SH_MSG_DOWN) {
        return m->kind == SH_MSG_DOWN || n->calls.count < SH_SESSION_CALLS_MAX;
    }
    uint64_t cost =
        sh_msg_bytes(m) + (m->kind == SH_MSG_STOP || m->kind == SH_MSG_KILL ? ORDER_EXTRA : 0u);
    if (!native_window_has(n, t, cost)) {
        return false;
    }
    return m->kind == SH_MSG_TELL || n->calls.count < SH_SESSION_CALLS_MAX;
}

static void native_send_one(struct native *n, struct native_target *t, sh_msg *m, uint64_t now_us)
{
    if (m->kind == SH_MSG_DRAIN) {
        native_drain(n, t, m);
    } else if (m->kind == SH_MSG_DOWN) {
        native_death(n, m);
    } else {
        native_message(n, t, m, now_us);
    }
}

/* The queue may be larger than the cache: what comes after m is fetched while m is written. */
static inline void native_ahead(const sh_msg *m)
{
    const sh_msg *next = m->next;
    if (!next) {
        return;
    }
    if (next->flags & SH_MSG_BESIDE) {
        __builtin_prefetch(next->beside.at);
        __builtin_prefetch(next->beside.at + 64);
    }
    if (next->next) {
        __builtin_prefetch(next->next);
        __builtin_prefetch((const uint8_t *)next->next + 64);
    }
}

/* One message a target and round, so that no target starves another of the session's window; a row of them while no
 * other target waits. */
void native_kick(struct native *n, uint64_t now_us)
{
    if (!native_active(n)) {
        return;
    }
    sh_list later;
    sh_list_init(&later);
    sh_list *link;
    while ((link = sh_list_pop(&n->ready)) != NULL) {
        struct native_target *t = SH_CONTAINER(link, struct native_target, ready);
        if (!t->queue.head) {
            continue;
        }
        if (!native_has_room(n, t, t->queue.head)) {
            if (t->used < t->window) { /* the session has no room, not the target */
                sh_list_push_back(&later, &t->ready);
            }
            continue;
        }
        int row = 0;
        do {
            native_ahead(t->queue.head);
            native_send_one(n, t, sh_msg_queue_pop(&t->queue), now_us);
        } while (++row < NATIVE_ROW && sh_list_empty(&n->ready) && sh_list_empty(&t->ready) &&
                 t->queue.head && native_has_room(n, t, t->queue.head));
        if (t->queue.head && sh_list_empty(&t->ready)) {
            sh_list_push_back(&n->ready, &t->ready);
        }
    }
    sh_list_splice(&n->ready, &later);
}

/* --- operations --- */

static void native_post(struct native *n, sh_msg *m, uint64_t now_us)
{
    bool order = m->kind == SH_MSG_STOP || m->kind == SH_MSG_KILL;
    if (n->unsupported && !sh_swarm_is_connected(n->r->swarm, n->peer->ref)) {
        n->unsupported = false; /* who answers the next dial may be a newer program */
    }
    if (n->unsupported || native_closed(n)) {
        native_fail_one(n, m, n->unsupported ? SH_E_UNSUPPORTED : SH_E_CLOSED,
                        n->unsupported ? "the peer speaks no native wire" : "the node is stopping");
        return;
    }
    struct native_target *t = native_target_of(n, order ? 0 : m->to.actor, true);
    if (!t) {
        native_fail_one(n, m, SH_E_LIMIT, "no memory");
        return;
    }
    if (!t->queue.head && native_has_room(n, t, m)) {
        native_send_one(n, t, m, now_us);
        return;
    }
    native_queue(n, t, m);
    native_want(n, now_us);
}

void native_op_send(struct sh_rpeer *p, sh_msg *m, uint64_t now_us)
{
    struct native *n = native_of(p);
    if (!n) { /* no memory: nothing of this peer is there to wait in */
        if (m->kind == SH_MSG_ASK || m->kind == SH_MSG_DRAIN) {
            sh_remote_answer(p->r, m->reply, SH_E_LIMIT, SH_NOT_SENT, "no memory");
        } else if (m->kind == SH_MSG_TELL) {
            sh_runtime_lost(p->r->rt, m->to, sh_msg_name(m), 1, SH_E_LIMIT,
                            sh_span_str("no memory"));
        }
        if (m->flags & SH_MSG_GATED) {
            sh_runtime_peer_gate_give(p->r->rt, p->ref.index, p->ref.check, sh_msg_queued_bytes(m));
        }
        sh_runtime_msg_done(p->r->rt, m);
        return;
    }
    if (m->kind == SH_MSG_REPLY) {
        native_reply_frame(n, m);
    } else if (m->kind == SH_MSG_DOWN) {
        native_post_death(n, m);
    } else {
        native_post(n, m, now_us);
    }
}

void native_op_cancel(struct sh_rpeer *p, sh_msg *m, uint64_t now_us)
{
    (void)now_us;
    struct native *n = p->native;
    struct native_target *t = n ? native_target_of(n, m->to.actor, false) : NULL;
    sh_msg *waiting = t ? native_unqueue(t, m->reply) : NULL;
    const struct native_call *c = n && !waiting ? native_call_of(n, m->reply) : NULL;
    if (waiting) {
        native_fail_one(n, waiting, SH_E_CANCELLED, "cancelled");
    } else if (c) {
        struct sh_frame f = {.type = SH_FRAME_CANCEL, .call = c->call};
        native_frame(n, &f);
    }
    sh_runtime_msg_done(p->r->rt, m);
}
