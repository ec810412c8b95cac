/* node/turn.c - routes: input to the swarm, events to their owners, actions to the driver; one turn. No rules of its own. */
#include "node/internal.h"

#include "base/sh_assert.h"

/* --- input: the swarm's, but for what counts and listens --- */

void sh_node_listening(sh_node *n, uint64_t listener, const sh_addr *addr, uint64_t now_us)
{
    n->now_us = now_us;
    struct sh_node_listener *l = sh_node_listener_find(n, listener);
    if (l) {
        sh_swarm_listening(n->swarm, addr, now_us);
        sh_node_listener_bound(n, l, addr);
    }
}

void sh_node_listen_failed(sh_node *n, uint64_t listener, int err, const char *text,
                           uint64_t now_us)
{
    n->now_us = now_us;
    struct sh_node_listener *l = sh_node_listener_find(n, listener);
    if (l) {
        sh_node_listener_failed(n, l, err, text);
    }
}

sh_conn_id sh_node_accepted(sh_node *n, const sh_addr *remote, uint64_t now_us)
{
    if (n->drain.step != SH_DRAIN_NONE) {
        return 0;
    }
    sh_conn_id conn = sh_swarm_accepted(n->swarm, remote, now_us);
    n->conns += conn != 0;
    return conn;
}

void sh_node_connected(sh_node *n, sh_conn_id conn, uint64_t now_us)
{
    n->conns++;
    sh_swarm_connected(n->swarm, conn, now_us);
}

void sh_node_dial_failed(sh_node *n, sh_conn_id conn, int err, const char *text, uint64_t now_us)
{
    sh_swarm_dial_failed(n->swarm, conn, err, text, now_us);
}

void sh_node_resolved(sh_node *n, uint64_t request, const sh_addr *addrs, size_t count, int err,
                      uint64_t now_us)
{
    sh_swarm_resolved(n->swarm, request, addrs, count, err, now_us);
}

uint8_t *sh_node_room(sh_node *n, sh_conn_id conn, size_t *room)
{
    return sh_swarm_room(n->swarm, conn, room);
}

void sh_node_filled(sh_node *n, sh_conn_id conn, size_t bytes, uint64_t now_us)
{
    sh_swarm_filled(n->swarm, conn, bytes, now_us);
}

sh_span sh_node_out(sh_node *n, sh_conn_id conn)
{
    return sh_swarm_out(n->swarm, conn);
}

void sh_node_sent(sh_node *n, sh_conn_id conn, size_t bytes, uint64_t now_us)
{
    sh_swarm_sent(n->swarm, conn, bytes, now_us);
}

void sh_node_closed(sh_node *n, sh_conn_id conn, int err, const char *text, uint64_t now_us)
{
    SH_ASSERT(n->conns > 0);
    n->conns--;
    sh_swarm_closed(n->swarm, conn, err, text, now_us);
}

/* --- one turn --- */

static void node_swarm_event(struct sh_node *n, const struct sh_swarm_event *ev)
{
    if (sh_remote_swarm_event(n->remote, ev, n->now_us)) {
        return;
    }
    const sh_peer_id *peer = sh_swarm_peer_id(n->swarm, ev->peer);
    switch (ev->kind) {
    case SH_SWARM_PEER_UP:
        sh_node_event_peer(n, SH_NODE_EV_PEER_UP, peer, &ev->addr, 0, NULL);
        break;
    case SH_SWARM_PEER_DOWN:
        sh_node_event_peer(n, SH_NODE_EV_PEER_DOWN, peer, NULL, ev->err, ev->text);
        break;
    case SH_SWARM_DIALLED: sh_node_dialled(n, ev); break;
    case SH_SWARM_DIAL_FAILED:
        sh_node_event_peer(n, SH_NODE_EV_DIAL_FAILED, NULL, &ev->addr, ev->err, ev->text);
        break;
    case SH_SWARM_PEER_REST:
    case SH_SWARM_PEER_LOST:
    case SH_SWARM_UNREACHABLE:
    case SH_SWARM_STREAM_IN:
    case SH_SWARM_STREAM_OPEN:
    case SH_SWARM_STREAM_DATA:
    case SH_SWARM_STREAM_FIN:
    case SH_SWARM_STREAM_WRITABLE:
    case SH_SWARM_STREAM_END:
    case SH_SWARM_FOUND:
    case SH_SWARM_VALUE:
    case SH_SWARM_QUERY_DONE:
    case SH_SWARM_PUBLISHED: break; /* remote has seen them */
    }
}

/* Bounded, so that a chatty peer cannot keep actors and other input waiting. */
static size_t node_swarm_events(struct sh_node *n)
{
    struct sh_swarm_event ev;
    size_t count = 0;
    while (count < SH_NODE_EVENTS_TURN_MAX && sh_swarm_event(n->swarm, &ev, n->now_us)) {
        node_swarm_event(n, &ev);
        count++;
    }
    return count;
}

static void node_remote_event(struct sh_node *n, const struct sh_remote_event *ev)
{
    uint64_t unlogged;
    switch (ev->kind) {
    case SH_REMOTE_RESULT: sh_node_remote_result(n, ev); break;
    case SH_REMOTE_NODE_CALL: sh_node_wire_call(n, ev); break;
    case SH_REMOTE_PEER_LOST: break; /* watches have been told; for users it is peer_down */
    case SH_REMOTE_BAD_PEER:
        if (sh_node_may_warn(n, &unlogged)) {
            sh_logf(&n->log, SH_LOG_WARN, "node", "event=bad_peer text=\"%.*s\" unlogged=%llu",
                    (int)ev->text.n, (const char *)ev->text.p, (unsigned long long)unlogged);
        }
        break;
    }
}

static size_t node_outcomes(struct sh_node *n)
{
    size_t count = 0;
    struct sh_remote_event remote;
    while (sh_remote_event(n->remote, &remote)) {
        node_remote_event(n, &remote);
        count++;
    }
    struct sh_runtime_event runtime;
    while (sh_runtime_event(n->runtime, &runtime)) {
        sh_node_event_runtime(n, &runtime);
        count++;
    }
    return count;
}

void sh_node_turn(sh_node *n, size_t handled_max, uint64_t now_us, struct sh_node_work *out)
{
    struct sh_turn turn;
    n->now_us = now_us;
    if (sh_swarm_deadline(n->swarm) <= now_us) {
        sh_swarm_tick(n->swarm, now_us);
    }
    if (sh_remote_deadline(n->remote) <= now_us) {
        sh_remote_tick(n->remote, now_us);
    }
    size_t done = node_swarm_events(n);
    sh_exec_turn(sh_runtime_exec(n->runtime, SH_NODE_LOOP), now_us, handled_max, &turn);
    done += sh_node_requests(n);
    sh_remote_pump(n->remote, now_us);
    done += node_outcomes(n);
    sh_node_drain(n);
    sh_swarm_flush(n->swarm, now_us);
    *out = (struct sh_node_work){turn.handled, turn.left,
                                 done > 0 || turn.handled > 0 || turn.left > 0};
}

void sh_node_flush(sh_node *n, uint64_t now_us)
{
    n->now_us = now_us;
    sh_swarm_flush(n->swarm, now_us);
}

uint64_t sh_node_deadline(const sh_node *n)
{
    uint64_t first = sh_exec_deadline(sh_runtime_exec(n->runtime, SH_NODE_LOOP));
    uint64_t all[] = {sh_swarm_deadline(n->swarm), sh_remote_deadline(n->remote),
                      sh_drain_deadline(&n->drain)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        first = all[i] < first ? all[i] : first;
    }
    return first;
}

/* --- actions --- */

static bool node_listener_action(struct sh_node *n, struct sh_node_action *out)
{
    if (n->unlistening && n->unlisten_at < n->listener_count) {
        *out = (struct sh_node_action){.kind = SH_NODE_UNLISTEN,
                                       .listener = n->listeners[n->unlisten_at++]->number};
        return true;
    }
    if (n->listener_asked == n->listener_count) {
        return false;
    }
    const struct sh_node_listener *l = n->listeners[n->listener_asked++];
    *out = (struct sh_node_action){
        .kind = SH_NODE_LISTEN, .listener = l->number, .endpoint = l->endpoint};
    return true;
}

bool sh_node_action(sh_node *n, struct sh_node_action *out)
{
    static const enum sh_node_action_kind kinds[] = {
        [SH_SWARM_DIAL] = SH_NODE_DIAL,       [SH_SWARM_WRITE] = SH_NODE_WRITE,
        [SH_SWARM_READ] = SH_NODE_READ,       [SH_SWARM_CLOSE] = SH_NODE_CLOSE,
        [SH_SWARM_RESOLVE] = SH_NODE_RESOLVE, [SH_SWARM_CANCEL] = SH_NODE_CANCEL,
    };
    if (node_listener_action(n, out)) {
        return true;
    }
    struct sh_swarm_action a;
    if (!sh_swarm_action(n->swarm, &a)) {
        return false;
    }
    *out = (struct sh_node_action){
        .kind = kinds[a.kind], .conn = a.conn, .request = a.request, .endpoint = a.endpoint};
    return true;
}
