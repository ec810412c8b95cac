/* actor/outside_send.c - messages from outside handlers, from any thread: tells, kills, replies, callbacks.
 *
 * Nobody waits for them here: what was sent is on its way when the call returns. */
#include "actor/outside.h"

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
static bool tell_peer(const sh_runtime *rt, struct sh_place p, sh_pid to, sh_span name,
                      sh_span value)
{
    return p.entered && p.x->index == 0 && rt->cfg.tell_peer && !p.x->outbox.head &&
           !p.x->turning && sh_list_empty(&p.x->wait_list) &&
           rt->cfg.tell_peer(rt->cfg.tell_peer_ud, to, name, value);
}

int sh_runtime_tell(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value)
{
    unsigned e = sh_place_exec(rt, to);
    struct sh_place p = sh_place_take(rt, token, e);
    if (to.node && p.x && tell_peer(rt, p, to, name, value)) {
        sh_exec_leave(p.x, token);
        sh_exec_wake(p.x);
        return 0;
    }
    struct sh_msg_parts parts = {.name = name, .value = value};
    if (p.x) {
        int rc = sh_post_tell(p.x, to, sh_pid_none(), &parts);
        sh_place_give(p, token);
        return tell_end(rt, to, rc);
    }
    if (name.n - 1 >= SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    sh_msg *m = sh_outside_msg(rt, SH_MSG_TELL, to, sh_pid_none(), &parts);
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
    sh_outside_push(rt, e, m);
    return 0;
}

/* Gives the message to executor e, or to the loop if it is for another node. */
static void outside_send(sh_runtime *rt, uint64_t token, unsigned e, sh_msg *m)
{
    struct sh_place p = sh_place_take(rt, token, e);
    if (!p.x) {
        sh_outside_push(rt, e, m);
        return;
    }
    if (m->kind == SH_MSG_CALLBACK) {
        sh_exec_callback(p.x, m, e);
    } else {
        sh_exec_send(p.x, m);
    }
    sh_place_give(p, token);
}

int sh_runtime_kill(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text)
{
    struct sh_msg_parts parts = {.text = text};
    sh_msg *m = sh_outside_msg(rt, SH_MSG_KILL, pid, sh_pid_none(), &parts);
    if (m) {
        outside_send(rt, token, sh_place_exec(rt, pid), m);
        return 0;
    }
    if (pid.node != 0) {
        return SH_E_LIMIT;
    }
    sh_exec *x = rt->exec[sh_place_exec(rt, pid)];
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
    unsigned e = sh_place_exec(rt, reply);
    struct sh_place p = sh_place_take(rt, token, e);
    if (p.x) {
        int rc = sh_post_reply(p.x, reply, r);
        sh_place_give(p, token);
        return rc;
    }
    struct sh_msg_parts parts = {.text = r->text, .type = r->type, .value = r->value};
    sh_msg *m = sh_outside_msg(rt, SH_MSG_REPLY, reply, r->pid, &parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_msg_say(m, r);
    sh_outside_push(rt, e, m);
    return 0;
}

sh_msg *sh_runtime_call_reserve(sh_runtime *rt, uint64_t token, unsigned exec, sh_call_fn *fn,
                                void *ud)
{
    (void)token;
    struct sh_msg_parts none = {0};
    sh_msg *m = sh_outside_msg(rt, SH_MSG_CALLBACK, sh_pid_none(), sh_pid_none(), &none);
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
