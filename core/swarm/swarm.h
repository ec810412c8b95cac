/* swarm/swarm.h - the interface of the swarm: peers, connections, streams, DHT records and lookups.
 *
 * Shape    a machine: the driver's network events go in, user events and driver actions come out.
 *          It owns peers, dialling, the routing table, records and liveness; it knows no actors.
 * Input    net_* calls (from node, which has them from io or sim), and the calls of its user (remote).
 * Output   sh_swarm_event (for remote and node) and sh_swarm_action (for the driver). Pull both until false.
 * Units    absolute microseconds on the caller's monotonic clock.
 * Threads  the node's loop only.   Memory  cfg->mem; what peers can grow is charged to cfg->quota.
 * Spec     libp2p: connections, identify, ping, kad-dht; /kameo/registry/1.0.0 for keys and records. */
#ifndef SH_SWARM_SWARM_H
#define SH_SWARM_SWARM_H

#include "base/block.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/quota.h"
#include "base/rng.h"
#include "base/span.h"
#include "crypto/keys.h"
#include "crypto/peer_id.h"
#include "proto/addr.h"
#include "proto/conn.h"

typedef struct sh_swarm sh_swarm;
typedef struct sh_stream
    sh_stream; /* an open stream of a user protocol; valid until its END event */
typedef uint64_t
    sh_conn_id; /* chosen by the swarm for dials, by the node for accepts; never reused */

/* A peer is named by its index in the peer table and the generation of that entry (pid.node, pid.check).
 * Index 0 is this node itself. An entry in use (session, hold, stream) is never evicted. */
struct sh_peer_ref {
    uint32_t index;
    uint32_t check;
};

struct sh_swarm_config {
    const sh_mem *mem;
    sh_quota *quota;
    sh_block_pool *pool;
    sh_rng *rng;
    sh_log *log;
    const sh_identity *identity;
    const char *agent; /* identify: "shoal/0.1.0" */
    const char *const
        *protocols; /* user protocols, in the order of sh_swarm_proto numbers; borrowed */
    unsigned protocol_count;
    enum {
        SH_DHT_AUTO,
        SH_DHT_SERVER,
        SH_DHT_CLIENT,
        SH_DHT_OFF
    } dht;                   /* AUTO: server once it listens */
    const sh_peer_id *allow; /* only these may connect; allow_count 0: everyone; copied */
    size_t allow_count;
    uint32_t peers_connected_max; /* max_peers: connected peers at once, more are refused */
    uint64_t peer_timeout_us;     /* silence that counts as death */
    uint64_t closed_grace_us; /* 200 ms: a closed connection that does not come back (see events) */
    /* Makes the connections; NULL: sh_stack_new. Tests put a connection without cryptography here. */
    int (*conn_new)(const struct sh_conn_config *cfg, uint64_t now_us, sh_conn **out);
};

int sh_swarm_new(const struct sh_swarm_config *cfg, uint64_t now_us, sh_swarm **out);
void sh_swarm_free(sh_swarm *s);

/* --- driver side: network events in --- */
void sh_swarm_listening(sh_swarm *s, const sh_addr *addr,
                        uint64_t now_us); /* an address we listen on now */
void sh_swarm_unlistened(sh_swarm *s, const sh_addr *addr, uint64_t now_us);
void sh_swarm_announce(sh_swarm *s, const sh_addr *addr); /* publish these instead */
sh_conn_id sh_swarm_accepted(sh_swarm *s, const sh_addr *remote,
                             uint64_t now_us);                        /* 0: refused, close it */
void sh_swarm_connected(sh_swarm *s, sh_conn_id id, uint64_t now_us); /* our dial's pipe is up */
/* Here and in sh_swarm_closed and sh_swarm_close_conn: text is kept, so it is a constant. */
void sh_swarm_dial_failed(sh_swarm *s, sh_conn_id id, int err, const char *text, uint64_t now_us);
void sh_swarm_resolved(sh_swarm *s, uint64_t request, const sh_addr *addrs, size_t n, int err,
                       uint64_t now_us);
uint8_t *sh_swarm_room(sh_swarm *s, sh_conn_id id, size_t *n); /* as sh_conn_ops.room */
void sh_swarm_filled(sh_swarm *s, sh_conn_id id, size_t n, uint64_t now_us);
sh_span sh_swarm_out(sh_swarm *s, sh_conn_id id); /* raw bytes to write */
void sh_swarm_sent(sh_swarm *s, sh_conn_id id, size_t n, uint64_t now_us);
void sh_swarm_closed(sh_swarm *s, sh_conn_id id, int err, const char *text,
                     uint64_t now_us); /* pipe gone: EOF 0 */
void sh_swarm_tick(sh_swarm *s,
                   uint64_t now_us); /* timers; call when deadline has come, at least once a turn */
void sh_swarm_flush(
    sh_swarm *s,
    uint64_t now_us); /* end of turn: seals what was written on all touched connections */
uint64_t sh_swarm_deadline(const sh_swarm *s);

/* --- driver side: actions out --- */
enum sh_swarm_action_kind {
    SH_SWARM_DIAL,  /* open a pipe to endpoint; answer connected or dial_failed(conn) */
    SH_SWARM_WRITE, /* conn has bytes in out(): write until empty */
    SH_SWARM_READ,  /* conn takes input again after room() said 0 */
    SH_SWARM_CLOSE, /* write what out() holds (at most 1 s), then close the pipe; no more calls for conn */
    SH_SWARM_RESOLVE, /* resolve request: name (dns4/dns6/dnsaddr by endpoint.host); answer resolved */
    SH_SWARM_CANCEL, /* the dial of conn is no longer wanted */
};
struct sh_swarm_action {
    enum sh_swarm_action_kind kind;
    sh_conn_id conn;
    uint64_t request;
    struct sh_endpoint endpoint;
};
bool sh_swarm_action(sh_swarm *s, struct sh_swarm_action *out);

/* --- user side: events out --- */
enum sh_swarm_event_kind {
    SH_SWARM_PEER_UP,   /* first connection to peer is secured: addr */
    SH_SWARM_PEER_DOWN, /* last connection to peer is gone: err, text. Not a death. */
    SH_SWARM_PEER_REST, /* a connection to peer was idle for SH_CONN_REST_MS: give back what can be made again */
    SH_SWARM_PEER_LOST, /* a held peer is dead: every address it was reached at refuses, or nothing accepted and
                             it did not return in closed_grace (4 RTT if longer), or silence for peer_timeout.
                             Once per loss; the hold stays. */
    SH_SWARM_UNREACHABLE, /* sh_swarm_want: no address, or every dial failed: err, text */
    SH_SWARM_DIALLED,     /* answer to sh_swarm_dial: call, err (0: peer) */
    SH_SWARM_DIAL_FAILED, /* one address failed (for the dial_failed event of users): addr, text */
    SH_SWARM_STREAM_IN,   /* peer opened a stream of our protocol number proto, negotiated; conn */
    SH_SWARM_STREAM_OPEN, /* our stream is negotiated: stream */
    SH_SWARM_STREAM_DATA, /* data; must be consumed with sh_stream_consumed */
    SH_SWARM_STREAM_FIN,  /* the peer ended its direction */
    SH_SWARM_STREAM_WRITABLE,
    SH_SWARM_STREAM_END, /* the stream is gone (reset, refused, connection lost): err SH_E_UNSUPPORTED when the peer
                             does not speak the protocol; code; the handle is void after this event */
    SH_SWARM_FOUND, /* query: provider peer (address book is filled) */
    SH_SWARM_VALUE, /* query of sh_swarm_get: data (empty and err NOT_FOUND if the peer holds none) */
    SH_SWARM_QUERY_DONE, /* query ended: err 0, or SH_E_UNREACHABLE when no peer answered */
    SH_SWARM_PUBLISHED,  /* publication: confirmed by the first echo (alone: at once); err 0 */
};
struct sh_swarm_event {
    enum sh_swarm_event_kind kind;
    struct sh_peer_ref peer;
    sh_conn_id conn;
    sh_stream *stream;
    unsigned proto;
    uint64_t query; /* query, call or publication number */
    sh_span data;   /* valid until the next call on the swarm */
    uint64_t code;
    int err;
    const char *text; /* valid until the next call on the swarm */
    sh_addr addr;
};
bool sh_swarm_event(sh_swarm *s, struct sh_swarm_event *ev, uint64_t now_us);

/* --- user side: peers --- */
/* The entry of a peer id, made if it is new. SH_E_LIMIT when all 65,536 entries are in use. Own id: index 0. */
int sh_swarm_peer(sh_swarm *s, const sh_peer_id *id, struct sh_peer_ref *out);
const sh_peer_id *sh_swarm_peer_id(const sh_swarm *s, struct sh_peer_ref peer); /* NULL: stale */
bool sh_swarm_is_connected(const sh_swarm *s, struct sh_peer_ref peer);
uint64_t sh_swarm_rtt_us(const sh_swarm *s, struct sh_peer_ref peer); /* 0: unknown */
/* Connects if not connected: PEER_UP or UNREACHABLE follows (looks the peer's addresses up by FIND_NODE if unknown). */
void sh_swarm_want(sh_swarm *s, struct sh_peer_ref peer, uint64_t now_us);
/* While held (counted): the entry stays, liveness is watched by ping, a lost connection is re-dialled, PEER_LOST is told. */
void sh_swarm_hold(sh_swarm *s, struct sh_peer_ref peer);
void sh_swarm_release(sh_swarm *s, struct sh_peer_ref peer);
/* Dials a multiaddr once (keep: again and again with back-off): DIALLED with call follows. */
int sh_swarm_dial(sh_swarm *s, const sh_addr *addr, bool keep, uint64_t call, uint64_t now_us);
int sh_swarm_address(const sh_swarm *s, size_t i,
                     sh_addr *out); /* own, with /p2p; NOT_FOUND past the end */
/* No new connection from now on, of either side: the node has stopped. */
void sh_swarm_quiet(sh_swarm *s);
void sh_swarm_disconnect(sh_swarm *s, struct sh_peer_ref peer, uint32_t code);
void sh_swarm_close_conn(sh_swarm *s, sh_conn_id conn, uint32_t code,
                         const char *why); /* protocol violation */

/* --- user side: streams --- */
int sh_swarm_open(sh_swarm *s, struct sh_peer_ref peer, unsigned proto, void *user,
                  sh_stream **out);
void sh_stream_set_user(sh_stream *st, void *user);
void *sh_stream_user(const sh_stream *st);
struct sh_peer_ref sh_stream_peer(const sh_stream *st);
sh_conn_id sh_stream_conn(const sh_stream *st);
/* Bytes taken, 0..n (optimistic: also before STREAM_OPEN), or < 0. Less than n: STREAM_WRITABLE follows. */
int64_t sh_stream_write(sh_stream *st, sh_span data);
size_t sh_stream_writable(const sh_stream *st);
void sh_stream_consumed(sh_stream *st, size_t n);
void sh_stream_shut(sh_stream *st);
void sh_stream_reset(sh_stream *st, uint32_t code); /* handle void at once, no END event */

/* --- user side: the DHT ("what to publish" is remote's, "how" is ours) --- */
/* Publishes until withdrawn: ADD_PROVIDER(key) and PUT_VALUE(value_key, value) on one stream to each of the 20
 * closest (or all there are), again every 20 min and to new close peers; served from here to who asks. */
int sh_swarm_publish(sh_swarm *s, sh_span key, sh_span value_key, sh_span value,
                     uint64_t publication, uint64_t now_us);
void sh_swarm_withdraw(sh_swarm *s, uint64_t publication);
/* Iterative GET_PROVIDERS(key): FOUND for each new provider other than us, then QUERY_DONE. */
int sh_swarm_find(sh_swarm *s, sh_span key, uint64_t query, uint64_t now_us);
/* GET_VALUE(key) asked of that one peer: VALUE follows once. */
int sh_swarm_get(sh_swarm *s, struct sh_peer_ref peer, sh_span key, uint64_t query,
                 uint64_t now_us);
void sh_swarm_query_cancel(sh_swarm *s, uint64_t query);

/* --- for info(): rows, i from 0 until NOT_FOUND --- */
struct sh_peer_row {
    sh_peer_id id;
    bool connected, inbound, server;
    uint32_t connections;
    uint64_t rtt_us;
    sh_addr addr; /* n = 0: none */
    char agent[64];
};
int sh_swarm_peer_row(const sh_swarm *s, size_t i, struct sh_peer_row *out);
struct sh_routing_row {
    uint32_t bucket; /* common prefix length with our id */
    sh_peer_id id;
    bool connected;
};
int sh_swarm_routing_row(const sh_swarm *s, size_t i, struct sh_routing_row *out);

#endif
