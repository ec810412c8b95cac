/* actor/outside.c - calls from outside handlers, from any thread: those that end once, and links.
 *
 * One that goes through the inbox is a message from the allocator with the call in it; its call id is kept in
 * x->deferred until it ends. */
#include "actor/outside.h"

enum outside_op {
    OP_ASK,
    OP_DRAIN,
    OP_DONE,
    OP_STOP,
    OP_REQUEST,
    OP_CANCEL,
    OP_LINK,
    OP_MONITOR,
    OP_UNLINK
};

struct outside {
    enum outside_op op;
    uint32_t request;
    sh_pid to;
    sh_pid other; /* subject of a request; the other side of a link */
    uint64_t deadline_us;
    sh_call_fn *done;
    void *ud;
    int64_t call; /* OP_CANCEL: which; else the id given out, 0: direct */
};

void sh_outside_push(sh_runtime *rt, unsigned e, sh_msg *m)
{
    sh_chain one = {NULL, NULL};
    sh_chain_add(&one, m);
    sh_inbox_push(&rt->exec[e]->inbox, &one);
    sh_exec_wake(rt->exec[e]);
}

sh_msg *sh_outside_msg(sh_runtime *rt, enum sh_msg_kind kind, sh_pid to, sh_pid from,
                       const struct sh_msg_parts *parts)
{
    sh_msg *m = sh_msg_new_mem(rt->cfg.mem, kind, parts);
    if (m) {
        sh_msg_address(m, to, from);
    }
    return m;
}

/* --- doing it, inside x --- */

static int outside_links(sh_exec *x, const struct outside *o)
{
    bool here = sh_pid_is_local(x, o->to) && sh_pid_executor(o->to.actor) == x->index;
    sh_actor *a = here ? sh_actor_at(x, o->to.actor) : NULL;
    if (!a) {
        return SH_E_NOT_RUNNING;
    }
    if (o->op == OP_UNLINK) {
        sh_link_unwatch(x, a, o->other);
        return 0;
    }
    return sh_link_watch(x, a, o->other, o->op == OP_LINK);
}

/* An id of no call: never one of a slot. */
static int64_t outside_id(sh_runtime *rt, unsigned e)
{
    /* Relaxed: only the numbers must differ. 31 bits, and never 0. */
    uint32_t n = atomic_fetch_add_explicit(&rt->next_deferred, 1, memory_order_relaxed);
    return (int64_t)sh_pid_actor((n & 0x3fffffffu) + 1, 0x40u | e, 0);
}

static int64_t outside_stop(sh_exec *x, const struct sh_waiter *w, const struct outside *o,
                            sh_span text)
{
    struct sh_msg_parts parts = {.text = text};
    sh_msg *m = sh_exec_msg(x, SH_MSG_STOP, o->to, sh_pid_none(), &parts);
    int64_t call = SH_E_LIMIT;
    if (m && !w->done && sh_pid_is_local(x, o->to)) {
        call = w->deferred ? (int64_t)w->deferred : outside_id(x->rt, x->index); /* nobody waits */
    } else if (m) {
        call = sh_ask_done(x, w, o->to);
    }
    if (call < 0) {
        if (m) {
            sh_exec_release(x, m);
        }
        return call;
    }
    sh_exec_send(x, m);
    return call;
}

static int64_t outside_do(sh_exec *x, const struct outside *o, const struct sh_msg_parts *parts)
{
    struct sh_waiter w = {.done = o->done, .ud = o->ud};
    w.deferred = o->op == OP_CANCEL ? 0 : (uint64_t)o->call;
    switch (o->op) {
    case OP_ASK: return sh_ask_begin(x, &w, o->to, sh_pid_none(), parts, o->deadline_us);
    case OP_DRAIN: return sh_ask_drain(x, &w, o->to, o->deadline_us);
    case OP_DONE: return sh_ask_done(x, &w, o->to);
    case OP_STOP: return outside_stop(x, &w, o, parts->text);
    case OP_REQUEST: return sh_ask_request(x, &w, o->request, o->other, parts, o->deadline_us);
    case OP_CANCEL: return sh_ask_cancel(x, o->call);
    case OP_LINK:
    case OP_MONITOR:
    case OP_UNLINK: return outside_links(x, o);
    }
    return SH_E_USAGE;
}

/* --- through the inbox --- */

static int64_t outside_defer(sh_runtime *rt, unsigned e, struct outside *o,
                             const struct sh_msg_parts *parts)
{
    if (o->op != OP_CANCEL) {
        o->call = outside_id(rt, e);
    }
    struct outside *copy = sh_mem_alloc(rt->cfg.mem, sizeof *copy);
    sh_msg *m = copy ? sh_outside_msg(rt, SH_MSG_OUTSIDE, o->to, o->other, parts) : NULL;
    if (!m) {
        sh_mem_free(rt->cfg.mem, copy, sizeof *copy);
        return SH_E_LIMIT;
    }
    *copy = *o;
    m->call.fn = o->done;
    m->call.ud = copy;
    sh_outside_push(rt, e, m);
    return o->op == OP_CANCEL ? 0 : o->call;
}

/* The deferred call that could not begin ends; the message that brought it is its completion. Takes m. */
static void outside_failed(sh_exec *x, sh_msg *m, const struct outside *o, int code)
{
    bool links = o->op >= OP_CANCEL;
    if (links || !o->done) {
        sh_exec_release(x, m);
        return;
    }
    sh_msg_to_end(m, code, SH_NOT_SENT);
    m->call.fn = o->done;
    m->call.ud = o->ud;
    m->tag = 0;
    sh_exec_callback(x, m, sh_runtime_host(x->rt));
}

static struct outside outside_unpack(sh_exec *x, sh_msg *m)
{
    struct outside *copy = m->call.ud;
    struct outside o = *copy;
    sh_mem_free(x->rt->cfg.mem, copy, sizeof *copy);
    return o;
}

void sh_outside_arrive(sh_exec *x, sh_msg *m)
{
    struct outside o = outside_unpack(x, m);
    struct sh_msg_parts parts = {sh_msg_name(m), sh_msg_text(m), sh_msg_type(m), sh_msg_value(m),
                                 NULL};
    int64_t rc = outside_do(x, &o, &parts);
    if (rc < 0) {
        outside_failed(x, m, &o, (int)rc);
    } else {
        sh_exec_release(x, m);
    }
}

void sh_outside_drop(sh_exec *x, sh_msg *m)
{
    struct outside o = outside_unpack(x, m);
    outside_failed(x, m, &o, SH_E_CLOSED);
}

/* `e`: whose slot, mailbox or actor it is. own: only that executor can do it. */
static int64_t outside_call(sh_runtime *rt, uint64_t token, unsigned e, bool own, struct outside *o,
                            const struct sh_msg_parts *parts)
{
    if (rt->ended) {
        return SH_E_CLOSED; /* a completion that runs in free begins another call: nobody could end it */
    }
    struct sh_place p = sh_place_take(rt, token, e);
    if (p.x && own && p.x->index != e) {
        if (p.entered) {
            sh_exec_leave(p.x, token);
        }
        p.x = NULL;
    }
    if (!p.x) {
        return outside_defer(rt, e, o, parts);
    }
    int64_t rc = outside_do(p.x, o, parts);
    sh_place_give(p, token);
    return rc;
}

/* --- the interface --- */

int64_t sh_runtime_ask(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value,
                       uint64_t deadline_us, sh_call_fn *done, void *ud)
{
    struct sh_msg_parts parts = {.name = name, .value = value};
    struct outside o = {.op = OP_ASK, .to = to, .deadline_us = deadline_us, .done = done, .ud = ud};
    if (name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    return outside_call(rt, token, sh_place_exec(rt, to), false, &o, &parts);
}

int64_t sh_runtime_drain(sh_runtime *rt, uint64_t token, sh_pid to, uint64_t deadline_us,
                         sh_call_fn *done, void *ud)
{
    struct sh_msg_parts none = {0};
    struct outside o = {
        .op = OP_DRAIN, .to = to, .deadline_us = deadline_us, .done = done, .ud = ud};
    return outside_call(rt, token, sh_place_exec(rt, to), false, &o, &none);
}

int64_t sh_runtime_done(sh_runtime *rt, uint64_t token, sh_pid pid, sh_call_fn *done, void *ud)
{
    struct sh_msg_parts none = {0};
    struct outside o = {.op = OP_DONE, .to = pid, .done = done, .ud = ud};
    return outside_call(rt, token, sh_place_exec(rt, pid), false, &o, &none);
}

int64_t sh_runtime_stop(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text, sh_call_fn *done,
                        void *ud)
{
    struct sh_msg_parts parts = {.text = text};
    struct outside o = {.op = OP_STOP, .to = pid, .done = done, .ud = ud};
    return outside_call(rt, token, sh_place_exec(rt, pid), false, &o, &parts);
}

int64_t sh_runtime_request(sh_runtime *rt, uint64_t token, uint32_t op, sh_pid subject,
                           const struct sh_msg_parts *parts, uint64_t deadline_us, sh_call_fn *done,
                           void *ud)
{
    struct outside o = {.op = OP_REQUEST,
                        .request = op,
                        .other = subject,
                        .deadline_us = deadline_us,
                        .done = done,
                        .ud = ud};
    return outside_call(rt, token, 0, false, &o, parts);
}

int sh_runtime_cancel(sh_runtime *rt, uint64_t token, int64_t call)
{
    struct sh_msg_parts none = {0};
    sh_pid slot = {.actor = (uint64_t)call};
    if (call <= 0) {
        return SH_E_NOT_FOUND;
    }
    struct outside o = {.op = OP_CANCEL, .call = call};
    return (int)outside_call(rt, token, sh_place_exec(rt, slot), true, &o, &none);
}

static int outside_link(sh_runtime *rt, uint64_t token, enum outside_op op, sh_pid a, sh_pid b)
{
    struct sh_msg_parts none = {0};
    struct outside o = {.op = op, .to = a, .other = b};
    if (a.node || !sh_runtime_alive(rt, a)) {
        return SH_E_NOT_RUNNING;
    }
    int64_t rc = outside_call(rt, token, sh_place_exec(rt, a), true, &o, &none);
    return rc < 0 ? (int)rc : 0;
}

int sh_runtime_link(sh_runtime *rt, uint64_t token, sh_pid a, sh_pid b)
{
    return outside_link(rt, token, OP_LINK, a, b);
}

int sh_runtime_monitor(sh_runtime *rt, uint64_t token, sh_pid watcher, sh_pid watched)
{
    return outside_link(rt, token, OP_MONITOR, watcher, watched);
}

int sh_runtime_unlink(sh_runtime *rt, uint64_t token, sh_pid a, sh_pid b)
{
    return outside_link(rt, token, OP_UNLINK, a, b);
}
