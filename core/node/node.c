/* node/node.c - the composition root: makes and ends the layers below, and routes between them. No rules of its own. */
#include "node/internal.h"

#include "base/sh_assert.h"
#include "crypto/secret.h"

static const char *const node_protocols[] = {SH_NATIVE_PROTOCOL};

/* --- making --- */

static int node_identity(struct sh_node *n, const struct sh_node_config *cfg)
{
    int rc;
    if (cfg->key.n > 0) {
        rc = sh_identity_from_private(&n->identity, cfg->key);
    } else {
        uint8_t seed[SH_ED25519_BYTES];
        if (!sh_rng_fill(&n->rng, seed, sizeof seed)) {
            return SH_E_LIMIT;
        }
        rc = sh_identity_from_seed(&n->identity, seed);
        sh_wipe(seed, sizeof seed);
    }
    if (rc < 0) {
        return rc;
    }
    uint8_t key[SH_ED25519_PROTO_BYTES];
    sh_identity_public_proto(&n->identity, key);
    return sh_peer_id_from_key(&n->self, sh_span_of(key, sizeof key));
}

static int node_new_swarm(struct sh_node *n, const struct sh_node_config *cfg, uint64_t now_us)
{
    struct sh_swarm_config swarm = {
        .mem = n->mem,
        .quota = &n->loop_quota,
        .pool = &n->pool,
        .rng = &n->rng,
        .log = &n->log,
        .identity = &n->identity,
        .agent = cfg->agent,
        .protocols = node_protocols,
        .protocol_count = sizeof node_protocols / sizeof *node_protocols,
        .dht = SH_DHT_AUTO,
        .allow = cfg->allow,
        .allow_count = cfg->allow_count,
        .peers_connected_max = cfg->max_peers,
        .peer_timeout_us = cfg->peer_timeout_us,
        .closed_grace_us = cfg->closed_grace_us,
    };
    switch (cfg->dht) {
    case SH_NODE_DHT_AUTO: break;
    case SH_NODE_DHT_SERVER: swarm.dht = SH_DHT_SERVER; break;
    case SH_NODE_DHT_CLIENT: swarm.dht = SH_DHT_CLIENT; break;
    case SH_NODE_DHT_OFF: swarm.dht = SH_DHT_OFF; break;
    }
    return sh_swarm_new(&swarm, now_us, &n->swarm);
}

/* Handlers and completions that run while the node is freed find no remote. */
static bool node_tell_peer(void *ud, sh_pid to, sh_span name, sh_span value)
{
    struct sh_node *n = ud;
    bool full = false;
    bool told = n->remote && sh_remote_tell(n->remote, to, name, value, &full);
    if (full && n->cfg.out) {
        n->cfg.out(n->cfg.out_ud);
    }
    return told;
}

static int node_new_runtime(struct sh_node *n, const struct sh_node_config *cfg, uint64_t now_us)
{
    struct sh_runtime_config runtime;
    sh_runtime_config_init(&runtime);
    runtime.mem = n->mem;
    runtime.quota[0] = &n->loop_quota;
    runtime.quota[1] = &n->host_quota;
    runtime.rng[0] = runtime.rng[1] = &n->rng;
    runtime.log = &n->log;
    runtime.execs = cfg->threads > 0 ? 2 : 1;
    runtime.user = n;
    runtime.wake = cfg->wake;
    runtime.wake_ud = cfg->wake_ud;
    runtime.tell_peer = node_tell_peer;
    runtime.tell_peer_ud = n;
    runtime.stall_clock = cfg->stall_clock;
    runtime.stall_ud = cfg->stall_ud;
    runtime.self_tag = n->self_tag;
    runtime.mailbox = cfg->mailbox;
    runtime.actors_max = cfg->max_actors;
    runtime.asks_max = cfg->max_asks;
    runtime.ask_timeout_us = cfg->ask_timeout_us;
    runtime.shuffle = cfg->shuffle;
    return sh_runtime_new(&runtime, now_us, &n->runtime);
}

static int node_new_remote(struct sh_node *n, const struct sh_node_config *cfg, uint64_t now_us)
{
    struct sh_remote_config remote = {
        .mem = n->mem,
        .quota = &n->loop_quota,
        .rng = &n->rng,
        .log = &n->log,
        .swarm = n->swarm,
        .runtime = n->runtime,
        .token = n->token,
        .self = n->self,
        .self_tag = n->self_tag,
        .native_proto = 0,
        .incarnation = sh_rng_u64(&n->rng),
        .message_max = cfg->max_message,
        .admin = cfg->admin,
        .admin_count = cfg->admin_count,
        .admin_all = cfg->admin_all,
    };
    return sh_remote_new(&remote, now_us, &n->remote);
}

/* The addresses of the config: listeners become actions, dials are the swarm's at once. */
static int node_addresses(struct sh_node *n, const struct sh_node_config *cfg, uint64_t now_us)
{
    int rc = 0;
    sh_addr addr;
    for (size_t i = 0; i < cfg->announce_count && rc == 0; i++) {
        rc = sh_addr_parse(&addr, cfg->announce[i], strlen(cfg->announce[i]));
        if (rc == 0) {
            sh_swarm_announce(n->swarm, &addr);
        }
    }
    for (size_t i = 0; i < cfg->listen_count && rc == 0; i++) {
        uint64_t number;
        rc = sh_node_listen_at(n, sh_span_str(cfg->listen[i]), &number);
    }
    for (size_t i = 0; i < cfg->dial_count && rc == 0; i++) {
        rc = sh_addr_parse(&addr, cfg->dial[i], strlen(cfg->dial[i]));
        if (rc == 0) {
            rc = sh_swarm_dial(n->swarm, &addr, true, 0, now_us);
        }
    }
    return rc;
}

static int node_build(struct sh_node *n, const struct sh_node_config *cfg, uint64_t now_us)
{
    n->self_tag = (uint32_t)sh_rng_u64(&n->rng) | 1u; /* never 0: a zeroed pid is nobody */
    int rc = node_identity(n, cfg);
    if (rc == 0) {
        rc = node_new_swarm(n, cfg, now_us);
    }
    if (rc == 0) {
        rc = node_new_runtime(n, cfg, now_us);
    }
    if (rc == 0) {
        rc = node_new_remote(n, cfg, now_us);
    }
    if (rc == 0) {
        rc = node_addresses(n, cfg, now_us);
    }
    return rc;
}

int sh_node_new(const struct sh_node_config *cfg, uint64_t now_us, sh_node **out)
{
    const char *why;
    int rc = sh_node_config_check(cfg, &why);
    if (rc < 0) {
        return rc;
    }
    const sh_mem *mem = cfg->mem ? cfg->mem : sh_mem_system();
    struct sh_node *n = sh_mem_zalloc(mem, sizeof *n);
    if (!n) {
        return SH_E_NOMEM;
    }
    n->mem = mem;
    n->rng = cfg->rng;
    n->log = cfg->log;
    n->cfg = *cfg;
    n->now_us = now_us;
    sh_quota_init(&n->loop_quota, NULL, cfg->quota_bytes);
    sh_quota_init(&n->host_quota, NULL, cfg->quota_bytes);
    sh_block_pool_init(&n->pool, mem, &n->loop_quota, SH_BLOCKS_KEPT);
    rc = node_build(n, cfg, now_us);
    if (rc < 0) {
        sh_node_free(n, now_us);
        return rc;
    }
    *out = n;
    return 0;
}

void sh_node_free(sh_node *n, uint64_t now_us)
{
    if (!n) {
        return;
    }
    n->now_us = now_us;
    /* Handlers and completions run in here. They may still call the node: requests are dropped with the runtime. */
    sh_remote_free(n->remote);
    n->remote = NULL;
    sh_runtime_free(n->runtime);
    sh_swarm_free(n->swarm);
    sh_block_pool_fini(&n->pool);
    sh_identity_fini(&n->identity);
    for (uint32_t i = 0; i < n->listener_count; i++) {
        sh_mem_free(n->mem, n->listeners[i], sizeof *n->listeners[i]);
    }
    sh_mem_free(n->mem, n, sizeof *n);
}

void sh_node_set_token(sh_node *n, uint64_t token)
{
    n->token = token;
    sh_remote_set_token(n->remote, token);
}

sh_runtime *sh_node_runtime(sh_node *n)
{
    return n->runtime;
}

const sh_peer_id *sh_node_peer_id(const sh_node *n)
{
    return &n->self;
}

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

/* --- small questions --- */

int sh_node_address(const sh_node *n, size_t i, sh_addr *out)
{
    return sh_swarm_address(n->swarm, i, out);
}

int sh_node_ref_pack(sh_node *n, sh_pid pid, uint8_t out[SH_MP_REF_MAX], size_t *len)
{
    int rc = sh_remote_ref_of_pid(n->remote, pid, out, SH_MP_REF_MAX);
    if (rc < 0) {
        return rc;
    }
    *len = (size_t)rc;
    return pid.node == 0 ? sh_remote_export(n->remote, pid) : 0;
}

int sh_node_ref_unpack(sh_node *n, sh_span ref, sh_pid *out)
{
    return sh_remote_pid_of_ref(n->remote, ref, out);
}

int sh_node_peer_pid(sh_node *n, const sh_peer_id *peer, sh_pid *out)
{
    return sh_remote_node_pid(n->remote, peer, out);
}

bool sh_node_stopped(const sh_node *n)
{
    return n->drain.step == SH_DRAIN_STOPPED;
}
