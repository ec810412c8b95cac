/* node/config.h - the options of a node, as data.
 *
 * Shape    a struct: sh_node_config_init gives the defaults of the API page, the host changes them,
 *          sh_node_config_check says what is wrong. Everything is borrowed for the call of sh_node_new.
 * Units    _us microseconds; sizes in bytes; counts.
 * Threads  any. */
#ifndef SH_NODE_CONFIG_H
#define SH_NODE_CONFIG_H

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/span.h"
#include "crypto/peer_id.h"

struct sh_node_event;

enum sh_node_dht { SH_NODE_DHT_AUTO, SH_NODE_DHT_SERVER, SH_NODE_DHT_CLIENT, SH_NODE_DHT_OFF };

struct sh_node_config {
    /* From the driver (io and sim fill these in; the host leaves them). */
    sh_rng rng;
    void (*wake)(void *ud, unsigned exec); /* [any] as sh_runtime_config.wake */
    void *wake_ud;
    /* Between turns, inside the loop, by who told much: the driver may write now what there is (sh_node_flush,
     * sh_node_action). NULL: it goes with the next turn. */
    void (*out)(void *ud);
    void *out_ud;
    uint64_t (*stall_clock)(void *ud); /* as sh_runtime_config; NULL: handlers are not timed */
    void *stall_ud;
    const sh_rng *shuffle; /* as sh_runtime_config: the simulator's order; NULL */

    /* From the host. */
    const sh_mem
        *mem;   /* NULL: the system's; safe from any thread if threads > 0. Outlives the node */
    sh_log log; /* sink and level; the sink is called on the node's threads */
    void (*on_event)(void *ud,
                     const struct sh_node_event *ev); /* on the host executor; NULL: only logged */
    void *on_event_ud;
    sh_span key;               /* private key protobuf (io/keyfile.h reads one); empty: a new key */
    const char *agent;         /* identify: "shoal/0.1.0" */
    const char *const *listen; /* multiaddrs; also later by SH_REQUEST_LISTEN */
    size_t listen_count;
    const char *const *announce; /* published instead of what is listened on */
    size_t announce_count;
    const char *const *dial; /* kept dialled; failing is an event */
    size_t dial_count;
    const sh_peer_id *allow; /* may connect; none: everyone */
    size_t allow_count;
    const sh_peer_id *admin; /* may info, stop and kill from elsewhere */
    size_t admin_count;
    bool admin_all;
    enum sh_node_dht dht;
    unsigned threads; /* 0: inline, one executor; 1: the loop and a host executor */
    uint32_t mailbox; /* messages; 0: only memory bounds it */
    uint64_t ask_timeout_us;
    uint64_t stop_timeout_us;
    uint64_t peer_timeout_us; /* silence that counts as death */
    uint64_t closed_grace_us; /* a closed connection that does not come back */
    uint32_t max_message;     /* bytes */
    uint32_t max_peers;
    uint32_t max_actors;
    uint32_t max_asks;
    size_t quota_bytes; /* what all peers together can make this node hold */
};

void sh_node_config_init(struct sh_node_config *cfg);

/* 0; SH_E_USAGE, SH_E_BAD_ADDRESS, SH_E_UNSUPPORTED (threads > 1), with *why a static text. */
int sh_node_config_check(const struct sh_node_config *cfg, const char **why);

#endif
