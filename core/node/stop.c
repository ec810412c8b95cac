/* node/stop.c - a graceful stop: does what the steps of drain.h say. */
#include "node/internal.h"

void sh_node_drain_begin(struct sh_node *n, uint64_t deadline_us)
{
    if (!sh_drain_begin(&n->drain, deadline_us)) {
        return;
    }
    n->unlistening = true;
    for (uint32_t i = 0; i < n->listener_count; i++) {
        struct sh_node_listener *l = n->listeners[i];
        for (uint32_t k = 0; k < l->addr_count; k++) {
            sh_swarm_unlistened(n->swarm, &l->addrs[k], n->now_us);
        }
    }
    sh_runtime_stop_all(n->runtime, n->token);
}

static void stop_goodbye(struct sh_node *n)
{
    uint64_t left_us = n->drain.deadline_us > n->now_us ? n->drain.deadline_us - n->now_us : 0;
    sh_remote_goodbye(n->remote, left_us / 1000, sh_span_str("the node stops"), n->now_us);
}

/* Every pipe gets its muxer's go-away behind what was owed. A peer that is disconnected leaves its row to the next. */
static void stop_conns(struct sh_node *n)
{
    struct sh_peer_row row;
    struct sh_peer_ref peer;
    sh_swarm_quiet(n->swarm);
    for (size_t i = 0; sh_swarm_peer_row(n->swarm, i, &row) == 0;) {
        if (row.connected && sh_swarm_peer(n->swarm, &row.id, &peer) == 0) {
            sh_swarm_disconnect(n->swarm, peer, 0);
        } else {
            i++;
        }
    }
}

static void stop_stopped(struct sh_node *n)
{
    int code = n->drain.late ? SH_E_TIMEOUT : 0;
    if (n->drain.late) { /* what is still out ends at its asker now, not at its own deadline */
        stop_goodbye(n);
        stop_conns(n);
    }
    for (uint32_t i = 0; i < n->stop_count; i++) {
        sh_node_answer(n, n->stops[i], code, NULL, sh_span_none());
    }
    n->stop_count = 0;
}

static void stop_enter(struct sh_node *n, enum sh_drain_step step)
{
    switch (step) {
    case SH_DRAIN_NONE:
    case SH_DRAIN_ACTORS: break;
    case SH_DRAIN_GOODBYE: stop_goodbye(n); break;
    case SH_DRAIN_CONNS: stop_conns(n); break;
    case SH_DRAIN_STOPPED: stop_stopped(n); break;
    }
}

void sh_node_drain(struct sh_node *n)
{
    for (;;) {
        enum sh_drain_step before = n->drain.step;
        if (before == SH_DRAIN_NONE || before == SH_DRAIN_STOPPED) {
            return;
        }
        if (before == SH_DRAIN_CONNS) {
            stop_conns(n); /* whoever was still in its handshake when the step began */
        }
        struct sh_drain_facts facts = {
            .actors = sh_runtime_actors(n->runtime),
            .sessions = before == SH_DRAIN_GOODBYE && !sh_remote_goodbye_done(n->remote),
            .conns = n->conns,
        };
        enum sh_drain_step step = sh_drain_next(&n->drain, &facts, n->now_us);
        if (step == before) {
            return;
        }
        stop_enter(n, step);
    }
}
