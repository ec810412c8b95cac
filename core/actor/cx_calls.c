/* actor/cx_calls.c - what a handler may ask of its context. An orphan's (its actor has ended) answer CLOSED. */
#include "actor/ask.h"

/* --- who and what --- */

sh_runtime *sh_cx_runtime(const sh_cx *cx)
{
    return cx->x->rt;
}

sh_exec *sh_cx_exec(const sh_cx *cx)
{
    return cx->x;
}

void *sh_cx_node(const sh_cx *cx)
{
    return cx->x->rt->cfg.user;
}

void *sh_cx_state(const sh_cx *cx)
{
    return cx->a ? cx->a->state : NULL;
}

void *sh_cx_user(const sh_cx *cx)
{
    return cx->a ? cx->a->user : NULL;
}

const sh_type *sh_cx_type(const sh_cx *cx)
{
    return cx->a ? cx->a->type : NULL;
}

sh_pid sh_cx_self(const sh_cx *cx)
{
    return cx->a ? sh_actor_pid(cx->x, cx->a) : sh_pid_none();
}

sh_pid sh_cx_sender(const sh_cx *cx)
{
    return cx->m && cx->hook == SH_HOOK_HANDLE ? cx->m->from : sh_pid_none();
}

sh_span sh_cx_name(const sh_cx *cx)
{
    return cx->m && cx->hook != SH_HOOK_UNDELIVERED ? sh_msg_name(cx->m) : sh_span_none();
}

sh_span sh_cx_topic(const sh_cx *cx)
{
    return cx->m && cx->m->kind == SH_MSG_TELL ? sh_msg_type(cx->m) : sh_span_none();
}

bool sh_cx_is_ask(const sh_cx *cx)
{
    return (cx->flags & SH_CX_WAS_ASK) && !(cx->flags & SH_CX_REPLIED);
}

uint64_t sh_cx_now_us(const sh_cx *cx)
{
    return cx->x->now_us;
}

uint64_t sh_cx_random_u64(const sh_cx *cx)
{
    return sh_rng_u64(cx->x->rt->cfg.rng[cx->x->index]);
}

/* --- answering --- */

static int reply_far(sh_cx *cx, sh_span value)
{
    struct sh_result r = {.value = value};
    return sh_post_reply(cx->x, cx->reply, &r);
}

int sh_cx_reply(sh_cx *cx, sh_span value)
{
    if (!cx->a || cx->hook != SH_HOOK_HANDLE || (cx->flags & SH_CX_REPLIED)) {
        return SH_E_USAGE;
    }
    int rc = sh_fast_reply(cx->x, cx->reply, value) ? 0 : reply_far(cx, value);
    if (rc == 0) {
        cx->flags |= SH_CX_REPLIED;
    }
    return rc;
}

/* on_error is shown the first failure while it runs: that one stays. */
static void note_failure(sh_cx *cx, sh_span text, sh_span type, sh_span value)
{
    if (!cx->a || (cx->failure && cx->hook == SH_HOOK_ERROR)) {
        return;
    }
    struct sh_msg_parts parts = {.text = text, .type = type, .value = value};
    sh_msg *m = sh_exec_msg(cx->x, SH_MSG_REPLY, sh_pid_none(), sh_pid_none(), &parts);
    if (cx->failure) {
        sh_exec_release(cx->x, cx->failure);
    }
    cx->failure = m; /* NULL: no memory, the code's own text is told */
}

int sh_cx_fail(sh_cx *cx, sh_span text, sh_span type, sh_span value)
{
    note_failure(cx, text, sh_span_take(type, SH_NAME_MAX), value);
    cx->flags &= (uint8_t)~SH_CX_REJECTED;
    return SH_E_HANDLER;
}

int sh_cx_reject(sh_cx *cx, int code, sh_span text)
{
    if (text.n > 0) {
        note_failure(cx, text, sh_span_none(), sh_span_none());
    }
    cx->flags |= SH_CX_REJECTED;
    return code < 0 ? code : SH_E_HANDLER;
}

int sh_cx_defer(sh_cx *cx, sh_pid *promise)
{
    if (!cx->a || cx->hook != SH_HOOK_HANDLE || (cx->flags & SH_CX_REPLIED)) {
        return SH_E_USAGE;
    }
    *promise = cx->reply;
    cx->flags |= SH_CX_REPLIED | SH_CX_DEFERRED;
    return 0;
}

static int forward_ask(sh_cx *cx, sh_pid to, const struct sh_msg_parts *parts)
{
    if (parts->name.n > SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    if (!sh_list_empty(&cx->x->wait_list) && sh_ask_blocked(cx->x, to)) {
        return SH_E_MAILBOX_FULL;
    }
    sh_msg *m = sh_exec_msg(cx->x, SH_MSG_ASK, to, cx->m->from, parts);
    bool gated = false;
    int rc = m ? sh_post_gate(cx->x, to, sh_msg_queued_bytes(m), false, &gated) : SH_E_LIMIT;
    if (rc) {
        if (m) {
            sh_object_keep(m);
            sh_exec_release(cx->x, m);
        }
        return rc;
    }
    m->flags |= gated ? SH_MSG_GATED : 0;
    m->reply = cx->reply;
    m->deadline_us = cx->m->deadline_us;
    cx->flags |= SH_CX_REPLIED;
    sh_exec_send(cx->x, m);
    return 0;
}

int sh_cx_forward(sh_cx *cx, sh_pid to, sh_span name, sh_span value)
{
    if (!cx->a || !cx->m || cx->hook != SH_HOOK_HANDLE || (cx->flags & SH_CX_REPLIED)) {
        return SH_E_USAGE;
    }
    struct sh_msg_parts parts = {.name = name, .value = value};
    if (name.n == 0) {
        parts.name = sh_msg_name(cx->m);
        parts.type = sh_msg_type(cx->m);
        parts.value = sh_msg_value(cx->m);
        if (sh_msg_object(cx->m)) {
            parts.object = sh_msg_object(cx->m);
            if (!parts.object->ptr || !sh_object_here(cx->x, to)) {
                return SH_E_UNSUPPORTED;
            }
        }
    }
    int rc = (cx->flags & SH_CX_WAS_ASK) ? forward_ask(cx, to, &parts)
                                         : sh_post_tell(cx->x, to, cx->m->from, &parts);
    if (rc == 0 && parts.object) {
        (void)sh_cx_object(cx); /* it has gone on */
    }
    return rc;
}

/* --- sending --- */

int sh_cx_tell(sh_cx *cx, sh_pid to, sh_span name, sh_span value)
{
    if (!cx->a) {
        return SH_E_CLOSED;
    }
    struct sh_msg_parts parts = {.name = name, .value = value};
    return sh_post_tell(cx->x, to, sh_actor_pid(cx->x, cx->a), &parts);
}

uint64_t sh_cx_deadline(const sh_cx *cx, uint64_t us)
{
    us = us ? us : cx->x->rt->cfg.ask_timeout_us;
    return us > UINT64_MAX - 1 - cx->x->now_us ? UINT64_MAX - 1 : cx->x->now_us + us;
}

/* A held context of on_undelivered could outlive nothing; orphans have no actor to go on in. */
bool sh_cx_may_wait(const sh_cx *cx)
{
    return cx->a && cx->hook != SH_HOOK_UNDELIVERED;
}

int64_t sh_cx_ask(sh_cx *cx, sh_pid to, sh_span name, sh_span value, uint64_t us, sh_then_fn *then,
                  void *ud)
{
    if (!sh_cx_may_wait(cx)) {
        return cx->a ? SH_E_USAGE : SH_E_CLOSED;
    }
    struct sh_waiter w = {.cx = cx, .then = then, .ud = ud};
    struct sh_msg_parts parts = {.name = name, .value = value};
    return sh_ask_begin(cx->x, &w, to, sh_actor_pid(cx->x, cx->a), &parts, sh_cx_deadline(cx, us));
}

int64_t sh_cx_drain(sh_cx *cx, sh_pid to, uint64_t us, sh_then_fn *then, void *ud)
{
    if (!sh_cx_may_wait(cx)) {
        return cx->a ? SH_E_USAGE : SH_E_CLOSED;
    }
    struct sh_waiter w = {.cx = cx, .then = then, .ud = ud};
    return sh_ask_drain(cx->x, &w, to, sh_cx_deadline(cx, us));
}

int64_t sh_cx_request(sh_cx *cx, uint32_t op, sh_pid subject, const struct sh_msg_parts *parts,
                      uint64_t us, sh_then_fn *then, void *ud)
{
    if (!sh_cx_may_wait(cx)) {
        return cx->a ? SH_E_USAGE : SH_E_CLOSED;
    }
    struct sh_waiter w = {.cx = cx, .then = then, .ud = ud};
    return sh_ask_request(cx->x, &w, op, subject, parts, sh_cx_deadline(cx, us));
}

int sh_cx_cancel(sh_cx *cx, int64_t call)
{
    return sh_ask_cancel(cx->x, call);
}

/* --- life --- */

int sh_cx_spawn(sh_cx *cx, const sh_type *type, const struct sh_spawn *opt, sh_pid *out)
{
    struct sh_spawn defaults;
    sh_spawn_init(&defaults);
    *out = sh_pid_none();
    if (!cx->a) {
        return SH_E_CLOSED;
    }
    return sh_actor_spawn(cx->x, cx->a, type, opt ? opt : &defaults, out);
}

void sh_cx_stop(sh_cx *cx, sh_span text)
{
    if (cx->a) {
        sh_actor_close(cx->x, cx->a, SH_NORMAL, text);
    }
}

int sh_cx_link(sh_cx *cx, sh_pid other)
{
    return cx->a ? sh_link_watch(cx->x, cx->a, other, true) : SH_E_CLOSED;
}

int sh_cx_monitor(sh_cx *cx, sh_pid other)
{
    return cx->a ? sh_link_watch(cx->x, cx->a, other, false) : SH_E_CLOSED;
}

int sh_cx_unlink(sh_cx *cx, sh_pid other)
{
    if (!cx->a) {
        return SH_E_CLOSED;
    }
    sh_link_unwatch(cx->x, cx->a, other);
    return 0;
}
