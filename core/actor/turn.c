/* actor/turn.c - one turn of an executor: what has come, what is due, who is ready. Only here are handlers called. */
#include "actor/ask.h"

enum { SHUFFLE_MAX = 16, STALL_US = 100000 };

/* --- what has come, and what is due --- */

static void take_inbox(sh_exec *x)
{
    sh_msg *m = sh_inbox_take(&x->inbox);
    while (m) {
        sh_msg *next = m->next;
        sh_exec_arrive(x, m);
        m = next;
    }
}

static void take_due(sh_exec *x)
{
    sh_wheel_advance(&x->wheel, x->now_us);
    for (sh_timer *t = sh_wheel_pop(&x->wheel); t; t = sh_wheel_pop(&x->wheel)) {
        struct sh_due *due = SH_CONTAINER(t, struct sh_due, timer);
        switch (due->what) {
        case SH_DUE_SLOT: sh_ask_deadline(x, due); break;
        case SH_DUE_ACTOR_TIMER: sh_timer_fire(x, due); break;
        }
    }
}

static void stop_all(sh_exec *x)
{
    uint32_t cursor = 0;
    sh_actor *a = NULL;
    while ((a = sh_slab_next(&x->actors, &cursor, NULL)) != NULL) {
        if (!a->parent) {
            sh_actor_close(x, a, SH_NORMAL, sh_span_str("node stopped"));
        }
    }
}

/* Those whose gates say so: there was no memory for a message. */
static void kill_asked(sh_exec *x)
{
    uint32_t cursor = 0;
    sh_actor *a = NULL;
    while ((a = sh_slab_next(&x->actors, &cursor, NULL)) != NULL) {
        if (sh_gate_take_kill(sh_gates_at(&x->gates, sh_pid_slot(a->id)))) {
            sh_actor_die(x, a, SH_KILLED, sh_span_none(), sh_pid_none());
        }
    }
}

static void take_nudges(sh_exec *x)
{
    if (!atomic_load_explicit(&x->nudged, memory_order_relaxed)) {
        return;
    }
    /* Acq_rel pairs with sh_exec_nudge. */
    uint32_t what = atomic_exchange_explicit(&x->nudged, 0, memory_order_acq_rel);
    x->rescan |= (what & SH_NUDGE_ROOM) != 0;
    if (what & SH_NUDGE_STOP) {
        stop_all(x);
    }
    if (what & SH_NUDGE_KILL) {
        kill_asked(x);
    }
}

/* --- run queue --- */

/* It stays marked as queued while it runs: what happens to it meanwhile is seen at the end of its step. */
static sh_actor *ready_pop(sh_exec *x)
{
    sh_actor *a = x->ready_head;
    if (a) {
        x->ready_head = a->ready_next;
        x->ready_count--;
    }
    return a;
}

/* The simulator's: any of the first few. */
static void ready_shuffle(sh_exec *x)
{
    uint32_t most = x->ready_count < SHUFFLE_MAX ? x->ready_count : SHUFFLE_MAX;
    uint64_t skip = most ? sh_rng_below(x->rt->cfg.shuffle, most) : 0;
    if (skip == 0) {
        return;
    }
    sh_actor *before = x->ready_head;
    for (; skip > 1; skip--) {
        before = before->ready_next;
    }
    sh_actor *a = before->ready_next;
    before->ready_next = a->ready_next;
    if (x->ready_tail == a) {
        x->ready_tail = before;
    }
    a->ready_next = x->ready_head;
    x->ready_head = a;
}

void sh_exec_resume(sh_exec *x, sh_slot *s)
{
    if (s->queued) {
        return;
    }
    s->queued = true;
    s->next = NULL;
    if (x->resume_head) {
        x->resume_tail->next = s;
    } else {
        x->resume_head = s;
    }
    x->resume_tail = s;
}

/* --- the turn --- */

static bool run_resume(sh_exec *x)
{
    sh_slot *s = x->resume_head;
    if (!s) {
        return false;
    }
    x->resume_head = s->next;
    s->queued = false;
    sh_ask_run(x, s);
    return true;
}

static bool run_call(sh_exec *x)
{
    sh_msg *m = sh_msg_queue_pop(&x->calls);
    if (!m) {
        return false;
    }
    struct sh_result r;
    sh_msg_to_result(m, &r);
    if (m->call.fn) {
        m->call.fn(m->call.ud, &r);
    }
    sh_exec_release(x, m);
    return true;
}

static size_t run_actor(sh_exec *x, size_t max, uint64_t *clock)
{
    const struct sh_runtime_config *cfg = &x->rt->cfg;
    if (cfg->shuffle) {
        ready_shuffle(x);
    }
    sh_actor *a = ready_pop(x);
    if (!a) {
        return 0;
    }
    sh_pid pid = sh_actor_pid(x, a);
    x->last_name = NULL;
    size_t n = sh_actor_step(x, a, max < SH_SLICE_MESSAGES_MAX ? max : SH_SLICE_MESSAGES_MAX);
    if (cfg->stall_clock) {
        uint64_t now = cfg->stall_clock(cfg->stall_ud);
        if (now > *clock && now - *clock > STALL_US) {
            sh_event_stalled(x, pid, x->last_name ? *x->last_name : sh_span_none(), now - *clock);
        }
        *clock = now;
    }
    return n;
}

/* Completions that were due at the start of a round, then one actor: neither can starve the other. */
static size_t run_ready(sh_exec *x, size_t max)
{
    const struct sh_runtime_config *cfg = &x->rt->cfg;
    uint64_t clock = cfg->stall_clock && x->ready_head ? cfg->stall_clock(cfg->stall_ud) : 0;
    size_t handled = 0;
    while (handled < max && sh_exec_has_work(x)) {
        if (x->rescan) {
            x->rescan = false;
            sh_ask_rescan(x);
        }
        bool ran = false;
        for (int i = 0; i < SH_SLICE_MESSAGES_MAX && handled < max; i++) {
            bool one = run_resume(x) || run_call(x);
            if (!one) {
                break;
            }
            handled++;
            ran = true;
        }
        if (ran && cfg->stall_clock) {
            clock = cfg->stall_clock(cfg->stall_ud);
        }
        handled += handled < max ? run_actor(x, max - handled, &clock) : 0;
    }
    return handled;
}

void sh_exec_turn(sh_exec *x, uint64_t now_us, size_t max, struct sh_turn *out)
{
    *out = (struct sh_turn){0, 0};
    if (x->turning) {
        return; /* from within a handler: nothing can run */
    }
    x->turning = true;
    x->now_us = now_us > x->now_us ? now_us : x->now_us;
    if (atomic_load_explicit(&x->asleep, memory_order_relaxed)) {
        atomic_store_explicit(&x->asleep, 0, memory_order_seq_cst);
    }
    sh_exec_take_homes(x);
    take_inbox(x);
    take_due(x);
    take_nudges(x);
    out->handled = run_ready(x, max);
    x->stats.handled += out->handled;
    out->left = x->ready_count + (x->resume_head ? 1 : 0) + (x->calls.head ? 1 : 0);
    x->turning = false;
    sh_exec_flush(x);
}
