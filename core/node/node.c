/* node/node.c - the composition root: makes and ends the layers below. What goes between them is in turn.c. */
#include "node/internal.h"

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
