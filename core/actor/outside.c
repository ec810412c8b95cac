/* actor/outside.c - calls from outside handlers, from any thread.
 *
 * The caller works on the executor it is inside; else it enters the target's if nobody is there and its
 * inbox is empty (so nothing is overtaken); else the call goes through the inbox as a message from the
 * allocator, and its call id is kept in x->deferred until it ends. */
#include "actor/ask.h"

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

struct place {
    sh_exec *x; /* NULL: through the inbox */
    bool entered;
};

static unsigned exec_of(const sh_runtime *rt, sh_pid to)
{
    unsigned e = to.node ? 0 : sh_pid_executor(to.actor) & 0x3fu;
    return e < rt->cfg.execs ? e : 0;
}

static struct place place_take(sh_runtime *rt, uint64_t token, unsigned e)
{
    for (unsigned i = 0; i < rt->cfg.execs; i++) {
        if (sh_exec_inside(rt->exec[i], token)) {
            return (struct place){rt->exec[i], false};
        }
    }
    sh_exec *x = rt->exec[e];
    if (!sh_exec_enter(x, token)) {
        return (struct place){NULL, false};
    }
    if (!sh_inbox_empty(&x->inbox)) {
        sh_exec_leave(x, token);
        return (struct place){NULL, false};
    }
    return (struct place){x, true};
}

static void place_give(struct place p, uint64_t token)
{
    if (p.x->turning) { /* the turn flushes; only callbacks of free run in a turn that nobody entered */
        if (p.entered) {
            sh_exec_leave(p.x, token);
        }
        return;
    }
    sh_exec_flush(p.x);
    if (p.entered) {
        sh_exec_leave(p.x, token);
    }
    sh_exec_wake(p.x);
}

static void push_alone(sh_runtime *rt, unsigned e, sh_msg *m)
{
    sh_chain one = {NULL, NULL};
    sh_chain_add(&one, m);
    sh_inbox_push(&rt->exec[e]->inbox, &one);
    sh_exec_wake(rt->exec[e]);
}

static sh_msg *outside_msg(sh_runtime *rt, enum sh_msg_kind kind, sh_pid to, sh_pid from,
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
    sh_msg *m = copy ? outside_msg(rt, SH_MSG_OUTSIDE, o->to, o->other, parts) : NULL;
    if (!m) {
        sh_mem_free(rt->cfg.mem, copy, sizeof *copy);
        return SH_E_LIMIT;
    }
    *copy = *o;
    m->call.fn = o->done;
    m->call.ud = copy;
    push_alone(rt, e, m);
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
    struct place p = place_take(rt, token, e);
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
    place_give(p, token);
    return rc;
}

/* --- the interface --- */

/* Who was refused by the queue to another node will poll for room: sh_runtime_room_back ends that poll. */
static int tell_end(sh_runtime *rt, sh_pid to, int rc)
{
    if (rc == SH_E_MAILBOX_FULL && to.node) {
        atomic_store_explicit(&rt->room_wanted, 1, memory_order_relaxed);
    }
    return rc;
}

/* To another node without a message in between: who tells much pays for no pool, queue or gate. Nothing of this caller
 * must wait before it. */
static bool tell_peer(const sh_runtime *rt, struct place p, sh_pid to, sh_span name, sh_span value)
{
    return p.entered && p.x->index == 0 && rt->cfg.tell_peer && !p.x->outbox.head &&
           !p.x->turning && sh_list_empty(&p.x->wait_list) &&
           rt->cfg.tell_peer(rt->cfg.tell_peer_ud, to, name, value);
}

int sh_runtime_tell(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value)
{
    unsigned e = exec_of(rt, to);
    struct place p = place_take(rt, token, e);
    if (to.node && p.x && tell_peer(rt, p, to, name, value)) {
        sh_exec_leave(p.x, token);
        sh_exec_wake(p.x);
        return 0;
    }
    struct sh_msg_parts parts = {.name = name, .value = value};
    if (p.x) {
        int rc = sh_post_tell(p.x, to, sh_pid_none(), &parts);
        place_give(p, token);
        return tell_end(rt, to, rc);
    }
    if (name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    sh_msg *m = outside_msg(rt, SH_MSG_TELL, to, sh_pid_none(), &parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    int rc = SH_E_NOT_RUNNING;
    if (to.node) {
        rc =
            sh_gate_take(sh_gates_at(&rt->peers, to.node), to.check, sh_msg_queued_bytes(m), false);
        rc = rc == SH_E_NOT_RUNNING ? SH_E_UNREACHABLE : rc;
    } else if (to.check == rt->cfg.self_tag && sh_pid_executor(to.actor) < rt->cfg.execs) {
        rc = sh_gate_take(sh_gates_at(&rt->exec[e]->gates, sh_pid_slot(to.actor)),
                          sh_pid_generation(to.actor), 1, false);
    }
    if (rc) {
        sh_msg_free_mem(rt->cfg.mem, m);
        return tell_end(rt, to, rc);
    }
    m->flags |= SH_MSG_GATED;
    push_alone(rt, e, m);
    return 0;
}

int64_t sh_runtime_ask(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value,
                       uint64_t deadline_us, sh_call_fn *done, void *ud)
{
    struct sh_msg_parts parts = {.name = name, .value = value};
    struct outside o = {.op = OP_ASK, .to = to, .deadline_us = deadline_us, .done = done, .ud = ud};
    if (name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    return outside_call(rt, token, exec_of(rt, to), false, &o, &parts);
}

int64_t sh_runtime_drain(sh_runtime *rt, uint64_t token, sh_pid to, uint64_t deadline_us,
                         sh_call_fn *done, void *ud)
{
    struct sh_msg_parts none = {0};
    struct outside o = {
        .op = OP_DRAIN, .to = to, .deadline_us = deadline_us, .done = done, .ud = ud};
    return outside_call(rt, token, exec_of(rt, to), false, &o, &none);
}

int64_t sh_runtime_done(sh_runtime *rt, uint64_t token, sh_pid pid, sh_call_fn *done, void *ud)
{
    struct sh_msg_parts none = {0};
    struct outside o = {.op = OP_DONE, .to = pid, .done = done, .ud = ud};
    return outside_call(rt, token, exec_of(rt, pid), false, &o, &none);
}

int64_t sh_runtime_stop(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text, sh_call_fn *done,
                        void *ud)
{
    struct sh_msg_parts parts = {.text = text};
    struct outside o = {.op = OP_STOP, .to = pid, .done = done, .ud = ud};
    return outside_call(rt, token, exec_of(rt, pid), false, &o, &parts);
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
    return (int)outside_call(rt, token, exec_of(rt, slot), true, &o, &none);
}

static int outside_link(sh_runtime *rt, uint64_t token, enum outside_op op, sh_pid a, sh_pid b)
{
    struct sh_msg_parts none = {0};
    struct outside o = {.op = op, .to = a, .other = b};
    if (a.node || !sh_runtime_alive(rt, a)) {
        return SH_E_NOT_RUNNING;
    }
    int64_t rc = outside_call(rt, token, exec_of(rt, a), true, &o, &none);
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

/* --- with an object --- */

/* The host executor, if the caller is in it or can enter it now. */
static struct place place_host(sh_runtime *rt, uint64_t token, sh_pid to)
{
    struct place p = place_take(rt, token, sh_runtime_host(rt));
    if (p.x && !sh_object_here(p.x, to)) {
        place_give(p, token);
        p.x = NULL;
    }
    return p;
}

int sh_runtime_tell_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                           const sh_object *object)
{
    struct sh_msg_parts parts = {.name = name, .object = object};
    struct place p = place_host(rt, token, to);
    if (!p.x) {
        return SH_E_UNSUPPORTED;
    }
    int rc = sh_post_tell(p.x, to, sh_pid_none(), &parts);
    place_give(p, token);
    return rc;
}

int sh_runtime_tell_object_fast(sh_runtime *rt, uint64_t token, sh_pid to, const char *name,
                                const sh_object *object)
{
    struct place p = place_take(rt, token, sh_runtime_host(rt));
    if (!p.x) {
        return SH_E_MORE;
    }
    int rc = sh_tell_object_fast(p.x, to, sh_pid_none(), name, object);
    place_give(p, token);
    return rc;
}

int64_t sh_runtime_ask_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                              const sh_object *object, uint64_t deadline_us, sh_call_fn *done,
                              void *ud)
{
    struct sh_msg_parts parts = {.name = name, .object = object};
    struct sh_waiter w = {.done = done, .ud = ud};
    struct place p = rt->ended ? (struct place){NULL, false} : place_host(rt, token, to);
    if (!p.x) {
        return rt->ended ? SH_E_CLOSED : SH_E_UNSUPPORTED;
    }
    int64_t rc = sh_ask_begin(p.x, &w, to, sh_pid_none(), &parts, deadline_us);
    place_give(p, token);
    return rc;
}

/* --- messages made outside --- */

/* Gives the message to executor e, or to the loop if it is for another node. */
static void outside_send(sh_runtime *rt, uint64_t token, unsigned e, sh_msg *m)
{
    struct place p = place_take(rt, token, e);
    if (!p.x) {
        push_alone(rt, e, m);
        return;
    }
    if (m->kind == SH_MSG_CALLBACK) {
        sh_exec_callback(p.x, m, e);
    } else {
        sh_exec_send(p.x, m);
    }
    place_give(p, token);
}

int sh_runtime_kill(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text)
{
    struct sh_msg_parts parts = {.text = text};
    sh_msg *m = outside_msg(rt, SH_MSG_KILL, pid, sh_pid_none(), &parts);
    if (m) {
        outside_send(rt, token, exec_of(rt, pid), m);
        return 0;
    }
    if (pid.node != 0) {
        return SH_E_LIMIT;
    }
    sh_exec *x = rt->exec[exec_of(rt, pid)];
    if (sh_gate_ask_kill(sh_gates_at(&x->gates, sh_pid_slot(pid.actor)),
                         sh_pid_generation(pid.actor))) {
        sh_exec_nudge(x, SH_NUDGE_KILL);
    }
    return 0;
}

int sh_runtime_reply(sh_runtime *rt, uint64_t token, sh_pid reply, const struct sh_result *r)
{
    if (sh_pid_is_none(reply)) {
        return 0;
    }
    unsigned e = exec_of(rt, reply);
    struct place p = place_take(rt, token, e);
    if (p.x) {
        int rc = sh_post_reply(p.x, reply, r);
        place_give(p, token);
        return rc;
    }
    struct sh_msg_parts parts = {.text = r->text, .type = r->type, .value = r->value};
    sh_msg *m = outside_msg(rt, SH_MSG_REPLY, reply, r->pid, &parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_msg_say(m, r);
    push_alone(rt, e, m);
    return 0;
}

sh_msg *sh_runtime_call_reserve(sh_runtime *rt, uint64_t token, unsigned exec, sh_call_fn *fn,
                                void *ud)
{
    (void)token;
    struct sh_msg_parts none = {0};
    sh_msg *m = outside_msg(rt, SH_MSG_CALLBACK, sh_pid_none(), sh_pid_none(), &none);
    if (m) {
        m->call.fn = fn;
        m->call.ud = ud;
        m->tag = exec;
    }
    return m;
}

static void call_result(sh_runtime *rt, sh_msg *m, const struct sh_result *r)
{
    bool reason = r->reason.kind != 0 || r->reason.text.n != 0 || !sh_pid_is_none(r->reason.pid);
    struct sh_msg_parts parts = {
        .text = reason ? r->reason.text : r->text, .type = r->type, .value = r->value};
    sh_msg *full = sh_msg_new_mem(rt->cfg.mem, SH_MSG_CALLBACK, &parts);
    if (full) { /* its payload moves into the reserved one */
        uint8_t beside = full->flags & SH_MSG_BESIDE;
        memcpy(m->bytes, full->bytes, sizeof m->bytes);
        m->flags |= beside;
        m->text_len = full->text_len;
        m->type_len = full->type_len;
        m->value_len = full->value_len;
        sh_mem_free(rt->cfg.mem, full, sizeof *full);
    }
    sh_msg_say(m, r);
    m->why = (uint8_t)(reason ? r->reason.kind : r->delivery);
    m->from = r->pid;
    m->to = reason ? r->reason.pid : sh_pid_none();
    m->tag = reason ? SH_MSG_DOWN : 0;
}

void sh_runtime_call_post(sh_runtime *rt, uint64_t token, sh_msg *reserved,
                          const struct sh_result *result)
{
    unsigned e = reserved->tag;
    reserved->tag = 0;
    if (result) {
        call_result(rt, reserved, result);
    }
    outside_send(rt, token, e, reserved);
}

void sh_runtime_call_drop(sh_runtime *rt, uint64_t token, sh_msg *reserved)
{
    (void)token;
    if (reserved) {
        sh_msg_free_mem(rt->cfg.mem, reserved);
    }
}

int sh_runtime_call(sh_runtime *rt, uint64_t token, unsigned exec, sh_call_fn *fn, void *ud,
                    const struct sh_result *result)
{
    sh_msg *m = sh_runtime_call_reserve(rt, token, exec, fn, ud);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_runtime_call_post(rt, token, m, result);
    return 0;
}
