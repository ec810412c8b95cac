/* actor/post.c - from a pid to a mailbox, another executor or the outbox; and what comes of it on arrival. */
#include "actor/ask.h"

sh_msg *sh_exec_msg(sh_exec *x, enum sh_msg_kind kind, sh_pid to, sh_pid from,
                    const struct sh_msg_parts *parts)
{
    if (!x->pool.free) {
        sh_exec_take_homes(x);
    }
    sh_msg *m = sh_msg_new(&x->pool, kind, parts);
    if (m) {
        sh_msg_address(m, to, from);
    }
    return m;
}

int sh_post_gate(sh_exec *x, sh_pid to, uint32_t bytes, bool want, bool *gated)
{
    *gated = false;
    if (to.node != 0) {
        int rc = sh_gate_take(sh_gates_at(&x->rt->peers, to.node), to.check, bytes, want);
        *gated = rc == 0;
        return rc == SH_E_NOT_RUNNING ? SH_E_UNREACHABLE : rc;
    }
    unsigned e = sh_pid_executor(to.actor);
    if (to.check != x->rt->cfg.self_tag || e >= x->rt->cfg.execs) {
        return SH_E_NOT_RUNNING;
    }
    if (e == x->index) {
        sh_actor *a = sh_actor_at(x, to.actor);
        if (!a || (a->flags & SH_A_CLOSING)) {
            return SH_E_NOT_RUNNING;
        }
        return a->queued >= a->limit ? SH_E_MAILBOX_FULL : 0;
    }
    struct sh_credit *credit = NULL;
    int rc = sh_cross_take(x, to, want, &credit);
    *gated = rc == 0;
    return rc;
}

int sh_post_tell(sh_exec *x, sh_pid to, sh_pid from, const struct sh_msg_parts *parts)
{
    if (parts->name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    if (!sh_list_empty(&x->wait_list) && sh_ask_blocked(x, to)) {
        return SH_E_MAILBOX_FULL; /* an earlier ask to it still waits for room */
    }
    if (sh_pid_is_local(x, to) && sh_pid_executor(to.actor) == x->index) {
        sh_actor *a = sh_actor_at(x, to.actor);
        if (!a || (a->flags & SH_A_CLOSING)) {
            return SH_E_NOT_RUNNING;
        }
        if (a->queued >= a->limit) {
            return SH_E_MAILBOX_FULL;
        }
        sh_msg *m = sh_exec_msg(x, SH_MSG_TELL, to, from, parts);
        if (!m) {
            return SH_E_LIMIT;
        }
        sh_actor_enqueue(x, a, m);
        return 0;
    }
    /* The message first: room once taken in another's gate could not be given back from here. */
    sh_msg *m = sh_exec_msg(x, SH_MSG_TELL, to, from, parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    bool gated = false;
    int rc = sh_post_gate(x, to, sh_msg_queued_bytes(m), false, &gated);
    if (rc) {
        sh_exec_release(x, m);
        return rc;
    }
    m->flags |= gated ? SH_MSG_GATED : 0;
    sh_exec_send(x, m);
    return 0;
}

void sh_exec_send(sh_exec *x, sh_msg *m)
{
    unsigned e = m->to.node ? 0 : sh_pid_executor(m->to.actor) & 0x7fu;
    if (e == x->index) {
        sh_exec_arrive(x, m);
    } else if (e < x->rt->cfg.execs) {
        sh_chain_add(&x->chains[e], m);
    } else {
        sh_exec_undeliverable(x, m, SH_E_NOT_RUNNING);
    }
}

void sh_exec_callback(sh_exec *x, sh_msg *m, unsigned exec)
{
    m->kind = SH_MSG_CALLBACK;
    if (exec == x->index) {
        sh_msg_queue_push(&x->calls, m);
    } else {
        sh_chain_add(&x->chains[exec], m);
    }
}

static uint32_t target_limit(const sh_exec *x, sh_pid to)
{
    const sh_actor *a = sh_actor_at(x, to.actor);
    return a && !(a->flags & SH_A_CLOSING) ? a->limit : 0;
}

/* An injected tell that was handled: only counted, and home at once. False: it is told by itself. */
static bool count_handled(sh_exec *x, sh_msg *m)
{
    uint32_t bytes = sh_msg_bytes(m);
    bool same = x->handled.tag == m->tag && x->handled.to.actor == m->to.actor;
    if (m->kind != SH_MSG_TELL || m->code != 0 ||
        (x->handled.messages != 0 && (!same || bytes > UINT32_MAX - x->handled.bytes))) {
        return false;
    }
    if (x->handled.messages == 0) {
        bool here = sh_pid_executor(m->to.actor) == x->index;
        x->handled.to = m->to;
        x->handled.tag = m->tag;
        x->handled.bytes = 0;
        x->handled.mailbox = here ? target_limit(x, m->to) : (uint32_t)m->reply.actor;
    }
    x->handled.messages++;
    x->handled.bytes += bytes;
    sh_msg_free(&x->pool, m);
    return true;
}

/* For sh_returned.mailbox: the executor of the target knows it, and m->reply has served. */
static void note_limit(const sh_exec *x, sh_msg *m)
{
    if (m->kind != SH_MSG_REPLY && sh_pid_executor(m->to.actor) == x->index) {
        m->reply.actor = target_limit(x, m->to);
    }
}

void sh_exec_release(sh_exec *x, sh_msg *m)
{
    unsigned home = m->flags & SH_MSG_HOME;
    if (m->flags & SH_MSG_OWNED) {
        if (m->kind == SH_MSG_TIMER) {
            sh_timer_home(x, m);
        } else {
            sh_object_release(x, m);
        }
    } else if (home == x->index) {
        if (m->flags & SH_MSG_INJECTED) {
            if (!count_handled(x, m)) {
                note_limit(x, m);
                sh_msg_queue_push(&x->returned, m);
            }
        } else {
            sh_msg_free(&x->pool, m);
        }
    } else if (home == SH_MSG_HOME_MEM) {
        sh_msg_free_mem(x->rt->cfg.mem, m);
    } else {
        if (!(m->flags & (SH_MSG_INJECTED | SH_MSG_BESIDE))) {
            sh_cross_home(x, m);
            return;
        }
        if (m->flags & SH_MSG_INJECTED) {
            note_limit(x, m);
            x->home_credit = true;
        }
        sh_chain_add(&x->home_chains[home], m);
    }
}

int sh_post_reply(sh_exec *x, sh_pid reply, const struct sh_result *r)
{
    if (sh_pid_is_none(reply)) {
        return 0;
    }
    struct sh_msg_parts parts = {.text = r->text, .type = r->type, .value = r->value};
    sh_msg *m = sh_exec_msg(x, SH_MSG_REPLY, reply, r->pid, &parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_msg_say(m, r);
    sh_exec_send(x, m);
    return 0;
}

void sh_post_reply_code(sh_exec *x, sh_pid reply, int code, int delivery, sh_span text)
{
    struct sh_result r = {.code = code, .delivery = delivery, .text = text};
    if (sh_post_reply(x, reply, &r)) {
        x->stats.late_replies++; /* no memory: the asker's deadline ends it, as unknown */
    }
}

void sh_post_reply_by(sh_exec *x, sh_msg *m, sh_pid reply, int code, int delivery)
{
    /* For sh_runtime_take_returned, as is m->reply. */
    m->deadline_us = sh_msg_bytes(m) | (uint64_t)target_limit(x, m->to) << 32;
    m->reply = m->to;
    m->to = reply;
    m->kind = SH_MSG_REPLY;
    sh_msg_to_end(m, code, delivery);
    m->flags &= (uint8_t) ~(SH_MSG_GATED | SH_MSG_MORE);
    sh_exec_send(x, m);
}

void sh_exec_undeliverable(sh_exec *x, sh_msg *m, int code)
{
    if (m->kind == SH_MSG_ASK) {
        sh_post_reply_by(x, m, m->reply, code, SH_NOT_SENT);
        return;
    }
    if (m->kind == SH_MSG_TELL) {
        if (m->flags & SH_MSG_INJECTED) {
            m->code = (int8_t)code;
        } else {
            sh_event_undelivered(x, m->to, sh_msg_name(m), 1, code, sh_span_str(sh_err_text(code)));
            sh_loss_note(x, m->to.actor, code);
        }
    }
    sh_exec_release(x, m);
}

sh_actor *sh_exec_target(const sh_exec *x, sh_pid to, bool gated)
{
    sh_actor *a = sh_pid_is_local(x, to) ? sh_actor_at(x, to.actor) : NULL;
    /* What passed the gate before it closed is still taken, until the actor skips its queue. */
    bool shut =
        !a || ((a->flags & SH_A_CLOSING) && (!gated || (a->flags & (SH_A_DYING | SH_A_ENDING))));
    return shut ? NULL : a;
}

static void arrive_message(sh_exec *x, sh_msg *m)
{
    sh_actor *a = sh_exec_target(x, m->to, (m->flags & SH_MSG_GATED) != 0);
    if (!a) {
        sh_exec_undeliverable(x, m, SH_E_NOT_RUNNING);
    } else {
        sh_actor_enqueue(x, a, m);
    }
}

/* Native wire section 4 and our own executors alike: removed, running (and then silent), or answered. */
static void arrive_cancel(sh_exec *x, sh_msg *m)
{
    sh_actor *a = sh_actor_at(x, m->to.actor);
    sh_msg *ask = a ? sh_actor_take_ask(x, a, m->reply) : NULL;
    if (ask) {
        sh_exec_release(x, ask);
        sh_post_reply_code(x, m->reply, SH_E_CANCELLED, SH_NOT_SENT, sh_span_none());
    } else if (a && sh_cx_withdraw(x, a, m->reply)) {
        sh_post_reply_code(x, m->reply, SH_E_CANCELLED, SH_UNKNOWN, sh_span_none());
    } else if (
        m->reply
            .node) { /* deferred or forwarded: who holds it may never answer, its session must not wait */
        sh_post_reply_code(x, m->reply, SH_E_CANCELLED, SH_UNKNOWN, sh_span_none());
    }
    sh_exec_release(x, m);
}

static void arrive_drain(sh_exec *x, sh_msg *m)
{
    int code = m->reply.node ? 0 : sh_loss_take(x, m->to.actor);
    if (code == 0 && !sh_actor_at(x, m->to.actor)) {
        code = SH_E_NOT_RUNNING;
    }
    sh_post_reply_code(x, m->reply, code, SH_NOT_SENT, sh_span_none());
    sh_exec_release(x, m);
}

static void arrive_down(sh_exec *x, sh_msg *m)
{
    sh_actor *a = sh_actor_at(x, m->to.actor);
    if (sh_pid_is_slot(m->to)) {
        sh_ask_arrive(x, m);
    } else if (a && !(a->flags & (SH_A_ENDING | SH_A_STOPPED))) {
        sh_actor_enqueue(x, a, m); /* behind the last message of the dead */
    } else {
        sh_exec_release(x, m);
    }
}

static void arrive_end(sh_exec *x, sh_msg *m)
{
    sh_actor *a = sh_actor_at(x, m->to.actor);
    if (a && m->kind == SH_MSG_STOP) {
        sh_actor_close(x, a, SH_NORMAL, sh_msg_text(m));
    } else if (a) {
        sh_actor_die(x, a, SH_KILLED, sh_msg_text(m), sh_pid_none());
    }
    sh_exec_release(x, m);
}

/* What is for an executor, not for an address; false: it is for an address. */
static bool arrive_exec(sh_exec *x, sh_msg *m)
{
    switch (m->kind) {
    case SH_MSG_CALLBACK: sh_msg_queue_push(&x->calls, m); return true;
    case SH_MSG_REQUEST: sh_msg_queue_push(&x->requests, m); return true;
    case SH_MSG_EVENT: sh_event_arrive(x, m); return true;
    case SH_MSG_OUTSIDE: sh_outside_arrive(x, m); return true;
    default: return false;
    }
}

void sh_exec_arrive(sh_exec *x, sh_msg *m)
{
    if (arrive_exec(x, m)) {
        return;
    }
    if (!sh_list_empty(&x->wait_list) && m->kind == SH_MSG_TELL && sh_pid_is_none(m->from)) {
        sh_ask_go_first(x, m->to);
    }
    if (m->to.node != 0) {
        sh_msg_queue_push(&x->outbox, m);
        return;
    }
    switch (m->kind) {
    case SH_MSG_TELL:
    case SH_MSG_ASK: arrive_message(x, m); break;
    case SH_MSG_TELLS: sh_cross_arrive(x, m); break;
    case SH_MSG_REPLY: sh_ask_arrive(x, m); break;
    case SH_MSG_CANCEL: arrive_cancel(x, m); break;
    case SH_MSG_DRAIN: arrive_drain(x, m); break;
    case SH_MSG_WATCH:
    case SH_MSG_UNWATCH: sh_link_arrive(x, m); break;
    case SH_MSG_DOWN: arrive_down(x, m); break;
    case SH_MSG_STOP:
    case SH_MSG_KILL: arrive_end(x, m); break;
    default: sh_exec_release(x, m); break;
    }
}
