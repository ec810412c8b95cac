/* sim/sim.c - the virtual clock: an ordered queue of events, hosts, and the turns of their nodes. */
#include "sim/internal.h"

#include <string.h>

#include "base/hash.h"
#include "base/sh_assert.h"

/* --- the queue: a binary heap by time, then by number --- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

void sim_push(sh_sim *s, uint64_t at_us, enum sim_event_kind kind, unsigned node,
              struct sim_pipe *pipe, unsigned side)
{
    if (s->heap_count == s->heap_cap) {
        size_t cap = s->heap_cap ? s->heap_cap * 2 : 1024;
        struct sim_event *heap =
            sh_mem_resize(s->mem, s->heap, s->heap_cap * sizeof *heap, cap * sizeof *heap);
        SH_ASSERT(heap); /* a test driver: without memory there is no test */
        s->heap = heap;
        s->heap_cap = cap;
    }
    struct sim_event ev = {at_us < s->now_us ? s->now_us : at_us, s->seq++, kind, node, side, pipe};
    if (pipe) {
        pipe->refs++;
    }
    size_t i = s->heap_count++;
    while (i > 0 && event_before(&ev, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = ev;
}

static struct sim_event event_pop(sh_sim *s)
{
    struct sim_event first = s->heap[0], last = s->heap[--s->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count) {
            break;
        }
        if (child + 1 < s->heap_count && event_before(&s->heap[child + 1], &s->heap[child])) {
            child++;
        }
        if (!event_before(&s->heap[child], &last)) {
            break;
        }
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->heap_count) {
        s->heap[i] = last;
    }
    return first;
}

void sim_note(sh_sim *s, unsigned what, uint64_t a, uint64_t b, sh_span bytes)
{
    uint8_t head[32];
    sh_store_u64le(head, s->now_us);
    sh_store_u64le(head + 8, what);
    sh_store_u64le(head + 16, a);
    sh_store_u64le(head + 24, b);
    s->digest = sh_fnv1a64(s->digest, sh_span_of(head, sizeof head));
    s->digest = sh_fnv1a64(s->digest, bytes);
}

/* --- turns --- */

void sim_turn_at(sh_sim *s, unsigned node, uint64_t at_us)
{
    struct sim_host *h = s->hosts[node];
    if (at_us < h->paused_us) {
        at_us = h->paused_us;
    }
    if (at_us < h->turn_us) {
        h->turn_us = at_us;
        sim_push(s, at_us, SIM_TURN, node, NULL, 0);
    }
}

void sh_sim_touch(sh_sim *s, unsigned index)
{
    if (s->hosts[index]->node) {
        sim_turn_at(s, index, s->now_us + s->running);
    }
}

/* Both executors of a node were given something: this thread is the driver of both. */
static void host_wake(void *ud, unsigned exec)
{
    (void)exec;
    struct sim_host *h = ud;
    h->touched = true;
}

static void host_actions(sh_sim *s, unsigned node)
{
    struct sh_node_action a;
    while (s->hosts[node]->node && sh_node_action(s->hosts[node]->node, &a)) {
        switch (a.kind) {
        case SH_NODE_LISTEN:
        case SH_NODE_UNLISTEN: sim_net_listen(s, node, &a); break;
        case SH_NODE_DIAL: sim_net_dial(s, node, &a); break;
        case SH_NODE_RESOLVE:
            sh_node_resolved(s->hosts[node]->node, a.request, NULL, 0, SH_E_UNREACHABLE, s->now_us);
            break;
        case SH_NODE_WRITE:
        case SH_NODE_READ:
        case SH_NODE_CLOSE:
        case SH_NODE_CANCEL: sim_net_action(s, node, &a); break;
        }
    }
}

int sh_sim_inside(sh_sim *s, unsigned index, void (*fn)(void *ud, sh_node *node, uint64_t now_us),
                  void *ud)
{
    sh_node *n = s->hosts[index]->node;
    if (!n) {
        return SH_E_CLOSED;
    }
    sh_exec *loop = sh_runtime_exec(sh_node_runtime(n), SH_NODE_LOOP);
    bool entered = sh_exec_enter(loop, SH_SIM_TOKEN); /* false: one of its own handlers calls */
    if (entered) {
        sh_node_set_token(n, SH_SIM_TOKEN);
    }
    if (fn) {
        fn(ud, n, s->now_us);
    }
    host_actions(s, index);
    if (entered) {
        sh_exec_flush(loop);
        sh_exec_leave(loop, SH_SIM_TOKEN);
    }
    sh_sim_touch(s, index);
    return 0;
}

/* The loop's slice, then the host executor's, if it is another one. True: there is more to do now. */
static bool host_slice(sh_sim *s, unsigned node)
{
    sh_node *n = s->hosts[node]->node;
    sh_exec *loop = sh_runtime_exec(sh_node_runtime(n), SH_NODE_LOOP);
    SH_ASSERT(sh_exec_enter(loop, SH_SIM_TOKEN));
    sh_node_set_token(n, SH_SIM_TOKEN);
    sim_net_input(s, node);
    struct sh_node_work work;
    sh_node_turn(n, 256, s->now_us, &work);
    host_actions(s, node);
    sim_net_write(s, node);
    sh_exec_leave(loop, SH_SIM_TOKEN);
    bool more = work.more;
    s->hosts[node]->handled += s->hosts[node]->threads ? 0 : work.handled;
    if (s->hosts[node]->threads) {
        sh_exec *host = sh_runtime_exec(sh_node_runtime(n), sh_runtime_host(sh_node_runtime(n)));
        struct sh_turn turn;
        SH_ASSERT(sh_exec_enter(host, SH_SIM_TOKEN));
        sh_exec_turn(host, s->now_us, 256, &turn);
        more = more || turn.left || turn.handled;
        s->hosts[node]->handled += turn.handled;
        sh_exec_leave(host, SH_SIM_TOKEN);
    }
    return more;
}

/* When the node next wants a turn; asks it to sleep, so that a wake is told. */
static uint64_t host_deadline(sh_sim *s, unsigned node)
{
    struct sim_host *h = s->hosts[node];
    sh_runtime *rt = sh_node_runtime(h->node);
    uint64_t at = UINT64_MAX;
    for (unsigned i = 0; i < sh_runtime_execs(rt); i++) {
        sh_exec *x = sh_runtime_exec(rt, i);
        SH_ASSERT(sh_exec_enter(x, SH_SIM_TOKEN));
        if (i == SH_NODE_LOOP) {
            sh_node_set_token(h->node, SH_SIM_TOKEN);
        }
        uint64_t due = i == SH_NODE_LOOP ? sh_node_deadline(h->node) : sh_exec_deadline(x);
        at = due < at ? due : at;
        if (!sh_exec_sleep(x)) {
            at = s->now_us;
        }
        sh_exec_leave(x, SH_SIM_TOKEN);
    }
    return at;
}

static void host_turn(sh_sim *s, unsigned node)
{
    struct sim_host *h = s->hosts[node];
    unsigned turns = 0;
    bool more = true;
    while (h->node && more && turns++ < SIM_TURNS_MAX) {
        h->touched = false;
        more = host_slice(s, node) || h->touched;
    }
    if (!h->node) {
        return;
    }
    uint64_t at = more ? s->now_us + 1 : host_deadline(s, node);
    if (h->touched) {
        at = s->now_us + 1;
    }
    if (at != UINT64_MAX) {
        sim_turn_at(s, node, at > s->now_us ? at : s->now_us + 1);
    }
}

static void event_run(sh_sim *s, const struct sim_event *ev)
{
    if (ev->kind != SIM_TURN) {
        sim_net_event(s, ev);
        return;
    }
    struct sim_host *h = s->hosts[ev->node];
    if (h->turn_us != ev->at_us || !h->node) {
        return; /* an earlier one was put in its place */
    }
    h->turn_us = UINT64_MAX;
    if (h->paused_us > s->now_us) {
        sim_turn_at(s, ev->node, h->paused_us);
        return;
    }
    host_turn(s, ev->node);
}

void sh_sim_run(sh_sim *s, uint64_t until_us)
{
    if (s->regrouped) {
        sim_net_look_again(s);
    }
    s->running = true;
    while (s->heap_count && s->heap[0].at_us <= until_us) {
        struct sim_event ev = event_pop(s);
        s->now_us = ev.at_us;
        event_run(s, &ev);
    }
    s->running = false;
    if (until_us > s->now_us) {
        s->now_us = until_us;
    }
}

/* --- hosts --- */

static int host_start(sh_sim *s, const struct sh_node_config *cfg, unsigned index)
{
    struct sim_host *h = s->hosts[index];
    struct sh_node_config c = *cfg;
    h->life++;
    h->group = 0;
    h->vanished = false;
    h->paused_us = 0;
    h->turn_us = UINT64_MAX;
    h->listener_count = 0;
    h->threads = cfg->threads;
    c.rng = sh_rng_seeded_init(&h->rng, sh_rng_u64(&s->rng));
    c.shuffle = &s->rng;
    c.wake = host_wake;
    c.wake_ud = h;
    c.stall_clock = NULL;
    int code = sh_node_new(&c, s->now_us, &h->node);
    if (code == 0) {
        sim_turn_at(s, index, s->now_us);
    }
    return code;
}

int sh_sim_start(sh_sim *s, const struct sh_node_config *cfg, unsigned *index)
{
    if (s->host_count == SH_SIM_NODES_MAX) {
        return SH_E_LIMIT;
    }
    struct sim_host *h = sh_mem_zalloc(s->mem, sizeof *h);
    if (!h) {
        return SH_E_NOMEM;
    }
    sim_net_host_init(h);
    s->hosts[s->host_count] = h;
    *index = s->host_count++;
    return host_start(s, cfg, *index);
}

int sh_sim_restart(sh_sim *s, const struct sh_node_config *cfg, unsigned index)
{
    SH_ASSERT(!s->hosts[index]->node);
    return host_start(s, cfg, index);
}

sh_node *sh_sim_node(sh_sim *s, unsigned index)
{
    return s->hosts[index]->node;
}

static void host_end(sh_sim *s, unsigned index, bool silent)
{
    struct sim_host *h = s->hosts[index];
    sh_node *n = h->node;
    if (!n) {
        return;
    }
    h->node = NULL;
    h->listener_count = 0;
    h->vanished = silent;
    sim_note(s, 100, index, silent, sh_span_none());
    sim_net_process_gone(s, index, silent);
    sh_node_free(n, s->now_us);
}

void sh_sim_crash(sh_sim *s, unsigned index)
{
    host_end(s, index, false);
}

void sh_sim_vanish(sh_sim *s, unsigned index)
{
    host_end(s, index, true);
}

void sh_sim_end(sh_sim *s, unsigned index)
{
    host_end(s, index, false);
}

void sh_sim_pause(sh_sim *s, unsigned index, uint64_t us)
{
    s->hosts[index]->paused_us = s->now_us + us;
    sim_note(s, 101, index, us, sh_span_none());
}

bool sim_running(const sh_sim *s, const struct sim_side *side)
{
    const struct sim_host *h = s->hosts[side->node];
    return h->node && h->life == side->life;
}

void *sh_sim_rng(sh_sim *s)
{
    return &s->rng;
}

uint64_t sh_sim_now_us(const sh_sim *s)
{
    return s->now_us;
}

uint64_t sh_sim_next_us(const sh_sim *s)
{
    return s->heap_count ? s->heap[0].at_us : UINT64_MAX;
}

uint64_t sh_sim_handled(const sh_sim *s, unsigned index)
{
    return s->hosts[index]->handled;
}

uint64_t sh_sim_digest(const sh_sim *s)
{
    return s->digest;
}

uint64_t sh_sim_events(const sh_sim *s)
{
    return s->delivered;
}

int sh_sim_new(const sh_mem *mem, uint64_t seed, sh_sim **out)
{
    sh_sim *s = sh_mem_zalloc(mem, sizeof *s);
    if (!s) {
        return SH_E_NOMEM;
    }
    s->mem = mem;
    s->now_us = SH_SIM_START_US;
    s->digest = SH_FNV_START;
    s->rng = sh_rng_seeded_init(&s->rng_state, seed);
    s->latency_least_us = 1000;
    s->latency_most_us = 5000;
    sh_list_init(&s->pipes);
    *out = s;
    return 0;
}

void sh_sim_free(sh_sim *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->host_count; i++) {
        host_end(s, i, true);
        sh_mem_free(s->mem, s->hosts[i], sizeof *s->hosts[i]);
    }
    sim_net_free(s);
    sh_mem_free(s->mem, s->heap, s->heap_cap * sizeof *s->heap);
    sh_mem_free(s->mem, s->clogged, s->clogged_cap * sizeof *s->clogged);
    sh_mem_free(s->mem, s, sizeof *s);
}
