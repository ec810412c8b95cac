/* actor/runtime.c - the runtime of a node: making and freeing it, and the loop's side of its interface. */
#include "actor/runtime.h"

#include "actor/ask.h"

void sh_runtime_config_init(struct sh_runtime_config *cfg)
{
    *cfg = (struct sh_runtime_config){.execs = 1,
                                      .mailbox = SH_MAILBOX_DEFAULT,
                                      .actors_max = SH_ACTORS_MAX,
                                      .asks_max = SH_ASKS_MAX,
                                      .ask_timeout_us = (uint64_t)SH_ASK_TIMEOUT_MS * 1000};
}

int sh_runtime_new(const struct sh_runtime_config *cfg, uint64_t now_us, sh_runtime **out)
{
    SH_ASSERT(cfg->execs >= 1 && cfg->execs <= SH_RUNTIME_EXECS_MAX);
    sh_runtime *rt = sh_mem_zalloc(cfg->mem, sizeof *rt);
    if (!rt) {
        return SH_E_LIMIT;
    }
    rt->cfg = *cfg;
    int rc = sh_gates_init(&rt->peers, cfg->mem, SH_PEERS_TABLE_MAX - 1);
    for (unsigned e = 0; e < cfg->execs && rc == 0; e++) {
        rc = sh_exec_new(rt, e, now_us, &rt->exec[e]);
    }
    if (rc) {
        sh_runtime_free(rt);
        return rc;
    }
    *out = rt;
    return 0;
}

/* --- the end --- */

/* Calls that came in but were not begun end as closed; the rest arrives as ever. */
static void free_inbox(sh_exec *x)
{
    sh_msg *m = sh_inbox_take(&x->inbox);
    while (m) {
        sh_msg *next = m->next;
        if (m->kind == SH_MSG_OUTSIDE) {
            sh_outside_drop(x, m);
        } else {
            sh_exec_arrive(x, m);
        }
        m = next;
    }
}

static void kill_all(sh_exec *x)
{
    uint32_t cursor = 0;
    sh_actor *a = NULL;
    while ((a = sh_slab_next(&x->actors, &cursor, NULL)) != NULL) {
        sh_actor_die(x, a, SH_KILLED, sh_span_str("node closed"), sh_pid_none());
    }
}

/* Contexts that are held now will not be finished by anybody: an init or on_stop that still waits ends. */
static void end_held(sh_exec *x)
{
    uint32_t cursor = 0;
    sh_actor *a = NULL;
    while ((a = sh_slab_next(&x->actors, &cursor, NULL)) != NULL) {
        if (a->flags & (SH_A_STARTING | SH_A_ENDING)) {
            a->flags &= (uint16_t)~SH_A_STARTING;
            sh_actor_stop_ended(x, a);
        }
    }
}

static bool busy(sh_runtime *rt)
{
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        sh_exec *x = rt->exec[e];
        if (x->ready_head || x->resume_head || x->calls.head || !sh_inbox_empty(&x->inbox)) {
            return true;
        }
    }
    return false;
}

static void run_out(sh_runtime *rt)
{
    struct sh_turn turn;
    while (busy(rt)) {
        for (unsigned e = 0; e < rt->cfg.execs; e++) {
            free_inbox(rt->exec[e]);
            sh_exec_turn(rt->exec[e], rt->exec[e]->now_us, SH_SLICE_MESSAGES_MAX, &turn);
        }
    }
}

static void runtime_end(sh_runtime *rt)
{
    atomic_store_explicit(&rt->stopping, 1, memory_order_relaxed);
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        free_inbox(rt->exec[e]);
        kill_all(rt->exec[e]);
    }
    run_out(rt);
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        end_held(rt->exec[e]);
    }
    run_out(rt);
    rt->ended = true;
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        sh_ask_close_all(rt->exec[e]);
        sh_exec_flush(rt->exec[e]);
    }
    run_out(rt);
    for (int round = 0; round < 2; round++) { /* events of one executor wait in the other */
        for (unsigned e = 0; e < rt->cfg.execs; e++) {
            sh_exec_take_homes(rt->exec[e]);
            free_inbox(rt->exec[e]);
            sh_exec_drop_queues(rt->exec[e]);
            sh_exec_flush(rt->exec[e]);
        }
    }
    run_out(rt); /* objects that nobody took */
}

void sh_runtime_free(sh_runtime *rt)
{
    if (!rt) {
        return;
    }
    bool whole = true;
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        whole = whole && rt->exec[e] && rt->exec[e]->gates.chunks;
    }
    if (whole) {
        runtime_end(rt);
    }
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        sh_exec_free(rt->exec[e]);
    }
    sh_gates_fini(&rt->peers);
    sh_type_free_all(rt);
    sh_mem_free(rt->cfg.mem, rt, sizeof *rt);
}

/* --- reading --- */

sh_exec *sh_runtime_exec(sh_runtime *rt, unsigned index)
{
    return index < rt->cfg.execs ? rt->exec[index] : NULL;
}

unsigned sh_runtime_execs(const sh_runtime *rt)
{
    return rt->cfg.execs;
}

unsigned sh_runtime_host(const sh_runtime *rt)
{
    return rt->cfg.execs - 1;
}

void *sh_runtime_user(const sh_runtime *rt)
{
    return rt->cfg.user;
}

uint32_t sh_runtime_actors(const sh_runtime *rt)
{
    /* Acquire pairs with the end of an actor. */
    return atomic_load_explicit(&rt->actor_count, memory_order_acquire);
}

bool sh_runtime_stopping(const sh_runtime *rt)
{
    return atomic_load_explicit(&rt->stopping, memory_order_relaxed) != 0;
}

bool sh_runtime_alive(const sh_runtime *rt, sh_pid pid)
{
    if (pid.node) {
        return sh_gate_alive(sh_gates_at(&rt->peers, pid.node), pid.check);
    }
    unsigned e = sh_pid_executor(pid.actor);
    return e < rt->cfg.execs && pid.check == rt->cfg.self_tag &&
           sh_gate_alive(sh_gates_at(&rt->exec[e]->gates, sh_pid_slot(pid.actor)),
                         sh_pid_generation(pid.actor));
}

sh_span sh_runtime_type_of(const sh_runtime *rt, sh_pid pid)
{
    if (pid.node || !sh_runtime_alive(rt, pid)) {
        return sh_span_none();
    }
    const sh_exec *x = rt->exec[sh_pid_executor(pid.actor)];
    /* Acquire: if a later owner of the slot wrote it, the look at the gate behind it sees that. */
    uint64_t at =
        atomic_load_explicit(sh_gates_at(&x->types, sh_pid_slot(pid.actor)), memory_order_acquire);
    return sh_runtime_alive(rt, pid) ? sh_type_id((const sh_type *)(uintptr_t)at) : sh_span_none();
}

static const char *row_state(const sh_actor *a)
{
    if (a->flags & SH_A_STARTING) {
        return "starting";
    }
    if (a->flags & (SH_A_CLOSING | SH_A_DYING)) {
        return "stopping";
    }
    if (!sh_list_empty(&a->open)) {
        return "waiting";
    }
    return (a->flags & SH_A_QUEUED) ? "ready" : "idle";
}

bool sh_exec_actor_row(const sh_exec *x, uint32_t *cursor, struct sh_actor_row *out)
{
    const sh_actor *a = sh_slab_next(&x->actors, cursor, NULL);
    if (!a) {
        return false;
    }
    *out = (struct sh_actor_row){.pid = sh_actor_pid(x, a),
                                 .parent = sh_actor_parent(x, a),
                                 .type_id = a->type->def.id,
                                 .state = row_state(a),
                                 .mailbox = a->queued,
                                 .handled = a->handled,
                                 .restarts = a->restarts};
    return true;
}

/* --- spawn, stop --- */

int sh_runtime_spawn(sh_runtime *rt, uint64_t token, unsigned exec, const sh_type *type,
                     const struct sh_spawn *opt, sh_pid *out)
{
    struct sh_spawn defaults;
    sh_spawn_init(&defaults);
    *out = sh_pid_none();
    sh_exec *x = sh_runtime_exec(rt, exec);
    bool entered = false;
    if (!x || !sh_exec_inside(x, token)) {
        entered = x && sh_exec_enter(x, token);
        if (!entered) {
            return SH_E_USAGE;
        }
    }
    int rc = sh_actor_spawn(x, NULL, type, opt ? opt : &defaults, out);
    if (!x->turning) {
        sh_exec_flush(x);
    }
    if (entered) {
        sh_exec_leave(x, token);
        sh_exec_wake(x);
    }
    return rc;
}

void sh_runtime_stop_all(sh_runtime *rt, uint64_t token)
{
    (void)token;
    atomic_store_explicit(&rt->stopping, 1, memory_order_seq_cst);
    for (unsigned e = 0; e < rt->cfg.execs; e++) {
        sh_exec_nudge(rt->exec[e], SH_NUDGE_STOP); /* needs no memory */
    }
}

/* --- the loop's side --- */

sh_msg *sh_runtime_take_outbound(sh_runtime *rt)
{
    return sh_msg_queue_pop(&rt->exec[0]->outbox);
}

sh_msg *sh_runtime_take_request(sh_runtime *rt)
{
    return sh_msg_queue_pop(&rt->exec[0]->requests);
}

void sh_runtime_msg_done(sh_runtime *rt, sh_msg *m)
{
    sh_exec_release(rt->exec[0], m);
}

void sh_runtime_lost(sh_runtime *rt, sh_pid to, sh_span name, uint32_t count, int code,
                     sh_span text)
{
    sh_event_undelivered(rt->exec[0], to, name, count, code,
                         text.n ? text : sh_span_str(sh_err_text(code)));
}

sh_msg *sh_runtime_msg_new(sh_runtime *rt, enum sh_msg_kind kind, const struct sh_msg_parts *parts)
{
    return sh_exec_msg(rt->exec[0], kind, sh_pid_none(), sh_pid_none(), parts);
}

void sh_runtime_inject(sh_runtime *rt, sh_msg *m)
{
    sh_exec *x = rt->exec[0];
    m->flags &= (uint8_t)~SH_MSG_GATED;
    if (m->kind == SH_MSG_TELL || m->kind == SH_MSG_ASK) {
        m->flags |= SH_MSG_INJECTED;
    }
    sh_exec_send(x, m);
}

/* Those that were only counted. */
static bool take_handled(sh_exec *x, struct sh_returned *out)
{
    if (x->handled.messages == 0) {
        return false;
    }
    out->to = x->handled.to;
    out->from = sh_pid_none();
    out->tag = x->handled.tag;
    out->messages = x->handled.messages;
    out->bytes = x->handled.bytes;
    out->mailbox = x->handled.mailbox;
    out->code = 0;
    out->name_len = 0;
    x->handled.messages = 0;
    return true;
}

bool sh_runtime_take_returned(sh_runtime *rt, struct sh_returned *out)
{
    sh_exec *x = rt->exec[0];
    sh_msg *m = sh_msg_queue_pop(&x->returned);
    if (!m) {
        return take_handled(x, out);
    }
    bool turned = m->kind == SH_MSG_REPLY; /* an ask that became its own answer */
    sh_span name = sh_msg_name(m);
    out->to = turned ? m->reply : m->to;
    out->from = m->from;
    out->tag = m->tag;
    out->messages = 1;
    out->bytes = turned ? (uint32_t)m->deadline_us : sh_msg_bytes(m);
    out->code = m->kind == SH_MSG_TELL ? m->code : 0;
    out->name_len = (uint8_t)name.n;
    memcpy(out->name, name.p, name.n);
    out->mailbox = turned ? (uint32_t)(m->deadline_us >> 32) : (uint32_t)m->reply.actor;
    m->flags &= (uint8_t)~SH_MSG_INJECTED;
    sh_exec_release(x, m);
    return true;
}

int sh_runtime_peer_gate_open(sh_runtime *rt, uint32_t index, uint32_t check, uint32_t room_bytes)
{
    if (index == 0 || sh_gates_need(&rt->peers, index)) {
        return SH_E_LIMIT;
    }
    sh_gate_open(sh_gates_at(&rt->peers, index), check, room_bytes);
    return 0;
}

void sh_runtime_peer_gate_give(sh_runtime *rt, uint32_t index, uint32_t check, uint32_t bytes)
{
    sh_gate *g = sh_gates_at(&rt->peers, index);
    if (!sh_gate_alive(g, check)) {
        return;
    }
    if (sh_gate_give(g, bytes)) {
        sh_exec_nudge_all(rt->exec[0]);
    }
    if (atomic_load_explicit(&rt->room_wanted, memory_order_relaxed) && sh_gate_has_room(g)) {
        atomic_store_explicit(&rt->room_wanted, 0, memory_order_relaxed);
        atomic_store_explicit(&rt->room_back, 1, memory_order_release);
        if (rt->cfg.execs > 1) {
            sh_exec_nudge(rt->exec[rt->cfg.execs - 1], SH_NUDGE_ROOM);
        }
    }
}

bool sh_runtime_room_back(sh_runtime *rt)
{
    return atomic_load_explicit(&rt->room_back, memory_order_relaxed) &&
           atomic_exchange_explicit(&rt->room_back, 0, memory_order_acquire);
}

void sh_runtime_peer_gate_close(sh_runtime *rt, uint32_t index)
{
    sh_gate *g = sh_gates_at(&rt->peers, index);
    if (g && sh_gate_close(g, 0)) {
        sh_exec_nudge_all(rt->exec[0]);
    }
}
