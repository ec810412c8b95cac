/* remote/native_in.c - the native session's reading side: frames of the peer, one handler each.
 *
 * A handler returns NULL, or why the frame breaks the protocol: then the connection ends. After each frame the stream
 * may be gone (a HELLO that pairs nothing, a session that ended), so the loop looks again. */
#include "remote/native.h"

/* --- messages --- */

void native_refuse(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                   uint32_t cost, int code, const char *text)
{
    if (f->type == SH_FRAME_ASK) {
        native_reply(n, f->call, true, code, SH_NOT_SENT, text);
        return;
    }
    o->used++;
    n->in_bytes += cost;
    native_lost_add(n, o->actor, name, code, text);
    native_credit_due(n, o, cost, false);
}

static void native_accept(struct native *n, struct native_own *o, const struct sh_frame *f,
                          sh_span name, sh_pid from, uint32_t cost, uint64_t now_us)
{
    bool ask = f->type == SH_FRAME_ASK;
    struct sh_msg_parts parts = {.name = name}; /* the value field by field: see frame.c */
    parts.value.p = f->value.p;
    parts.value.n = cost - SH_MESSAGE_OVERHEAD - name.n;
    sh_pid reply = sh_pid_none();
    uint32_t index = 0;
    struct sh_call_in *c =
        ask ? native_call_in_new(n, SH_CALL_IN_ASK, f->call, o->actor, &reply, &index) : NULL;
    sh_msg *m =
        !ask || c ? sh_runtime_msg_new(n->r->rt, ask ? SH_MSG_ASK : SH_MSG_TELL, &parts) : NULL;
    if (!m) {
        native_call_in_drop(n, c);
        native_refuse(n, o, f, name, cost, SH_E_LIMIT, "too many open calls, or no memory");
        return;
    }
    uint64_t most = (UINT64_MAX - now_us) / 1000 - 1;
    m->to = sh_remote_own(n->r, o->actor);
    m->from = from;
    m->reply = reply;
    m->tag = ask ? (1u << 31) | index : n->serial;
    m->deadline_us = ask ? now_us + (f->left_ms < most ? f->left_ms : most) * 1000 : UINT64_MAX;
    if (c) {
        c->cost = cost;
        c->in_runtime = true;
    }
    o->used++;
    n->in_bytes += cost;
    sh_runtime_inject(n->r->rt, m);
}

static const char *native_get_message(struct native *n, const struct sh_frame *f, uint64_t now_us)
{
    uint64_t actor;
    sh_span name;
    sh_pid from;
    const char *why = f->type == SH_FRAME_ASK ? native_next_call(n, f->call) : NULL;
    if (why) {
        return why;
    }
    if (!native_actor(&f->target, n->yours_in, n->yours_in_cap, &actor) ||
        !native_name_of(n, f, &name) || !native_pid(n, &f->other, &from)) {
        return NATIVE_NOT_INTERNED;
    }
    struct native_own *o = native_own_of(n, actor);
    if (!o) {
        return "more targets than can be kept, or no memory";
    }
    uint32_t cost = (uint32_t)(SH_MESSAGE_OVERHEAD + name.n + f->value.n);
    uint64_t session = n->in_bytes + n->due_bytes; /* what is due is not yet given back */
    if (o->used + o->due_messages >= o->window || (session && session + cost > SH_SESSION_WINDOW)) {
        return "over the window";
    }
    /* Who ends sessions in a loop leaves messages behind that no window counts. */
    bool crowded = n->r->orphan_bytes > SH_ORPHANS_MAX && session + cost > SH_ORPHANS_WINDOW;
    if (crowded) {
        native_refuse(n, o, f, name, cost, SH_E_LIMIT, "too much waits from sessions that ended");
    } else if (n->said_bye) {
        native_refuse(n, o, f, name, cost, SH_E_CLOSED, "the node is stopping");
    } else if (actor == 0) {
        native_node_ask(n, o, f, name, cost);
    } else if (!o->exported && !sh_export_has(&n->r->exports, actor)) {
        native_refuse(n, o, f, name, cost, SH_E_REFUSED, "not exported");
    } else {
        o->exported = true;
        native_again_in(n, o, f, name, from);
        native_accept(n, o, f, name, from, cost, now_us);
    }
    return NULL;
}

/* --- the loop --- */

static const char *native_handle(struct native *n, const struct sh_frame *f, uint64_t now_us)
{
    switch ((enum sh_frame_type)f->type) {
    case SH_FRAME_HELLO: return "a second HELLO";
    case SH_FRAME_INTERN: return native_get_intern(n, f);
    case SH_FRAME_TELL:
    case SH_FRAME_ASK: return native_get_message(n, f, now_us);
    case SH_FRAME_REPLY: return native_get_reply(n, f);
    case SH_FRAME_CREDIT: return native_get_credit(n, f);
    case SH_FRAME_LOST: return native_get_lost(n, f);
    case SH_FRAME_DRAIN: return native_get_drain(n, f);
    case SH_FRAME_CANCEL: native_get_cancel(n, f); return NULL;
    case SH_FRAME_WATCH: return native_get_watch(n, f);
    case SH_FRAME_UNWATCH: return native_get_unwatch(n, f);
    case SH_FRAME_DEATH: return native_get_death(n, f);
    case SH_FRAME_GOODBYE: return native_get_goodbye(n);
    }
    return NULL;
}

void native_data(struct native *n, struct native_in *in, sh_span bytes, uint64_t now_us)
{
    sh_stream *stream = in->stream;
    sh_conn_id conn = in->conn;
    size_t given = bytes.n;
    sh_span body;
    int got;
    for (;;) {
        native_row(n, in, &bytes);
        got = sh_frame_reader_next(&in->reader, &bytes, &body);
        if (got != 1) {
            break;
        }
        struct sh_frame f;
        int err = sh_frame_decode(body, &f);
        const char *why = err < 0 ? "a malformed frame" : NULL;
        if (!why && !in->hello && f.type != SH_FRAME_HELLO) {
            why = "no HELLO first";
        } else if (!why && !in->hello) {
            native_hello(n, in, &f, now_us);
        } else if (!why && err == 0) {
            why = native_handle(n, &f, now_us);
        }
        if (why) {
            native_malformed(n, conn, why);
        }
        if (in->stream != stream) {
            return; /* reset meanwhile: the rest is void */
        }
    }
    if (got < 0) {
        native_malformed(n, conn,
                         got == SH_E_PROTO ? "a malformed length" : "no memory for a frame");
        return;
    }
    sh_stream_consumed(stream, given);
}

void native_in_reset(struct native *n)
{
    native_again_in_drop(n);
    native_own_reset(n);
    native_calls_in_reset(n);
    native_intern_in_reset(n);
    n->in_bytes = 0;
}
