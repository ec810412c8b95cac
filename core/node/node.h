/* node/node.h - the interface of a whole node: a machine that owns swarm, runtime and remote, and routes.
 *
 * Shape    a machine. In: what the driver saw (listening, accepted, connected, room/filled, sent, closed,
 *          resolved, failed) and turns. Out: sh_node_action, sh_node_out, sh_node_deadline. It has no
 *          clock, sockets, threads or locks; io and sim drive it.
 * Driver   feed input; sh_node_turn until it says no more (or the budget is spent); take all actions;
 *          write what connections marked by SH_NODE_WRITE have in sh_node_out; sleep (sh_exec_sleep) until
 *          sh_node_deadline, input, or wake. With threads = 1 also sh_exec_turn of executor 1 on the host's thread.
 * Units    absolute microseconds on the driver's monotonic clock.
 * Threads  [loop]: one thread at a time, the one that is inside the loop (inline: the host's).
 *          [any]: any thread. Untagged: before or after all others.
 * Memory   cfg->mem; what peers can grow is charged to a quota of cfg->quota_bytes. */
#ifndef SH_NODE_NODE_H
#define SH_NODE_NODE_H

#include "actor/runtime.h"
#include "base/err.h"
#include "base/mp.h"
#include "base/pid.h"
#include "base/span.h"
#include "crypto/peer_id.h"
#include "node/config.h"
#include "proto/addr.h"
#include "swarm/swarm.h"

typedef struct sh_node sh_node;

enum { SH_NODE_LOOP = 0 }; /* number of the loop's executor */

/* Makes a node; addresses of cfg->listen and cfg->dial become actions of the first turn.
 * 0; what sh_node_config_check says; SH_E_PROTO, SH_E_CRYPTO (key); SH_E_NOMEM. */
int sh_node_new(const struct sh_node_config *cfg, uint64_t now_us, sh_node **out);

/* Abrupt: every open call and ask ends as `closed` in here, on this thread; peers see peer_lost. No thread may be
 * inside. on_stop of actors still runs. NULL is ignored. */
void sh_node_free(sh_node *n, uint64_t now_us);

/* [loop] Who is inside executor 0 from now on: the driver says so after each sh_exec_enter of it. */
void sh_node_set_token(sh_node *n, uint64_t token);

sh_runtime *
sh_node_runtime(sh_node *n); /* [any]; its executors: 0 the loop, sh_runtime_host the host's */
const sh_peer_id *sh_node_peer_id(const sh_node *n); /* [any] */

/* --- input [loop] --- */
/* An answer to SH_NODE_LISTEN: the address bound (port filled in). Wildcards: call once for each interface's address. */
void sh_node_listening(sh_node *n, uint64_t listener, const sh_addr *addr, uint64_t now_us);
void sh_node_listen_failed(sh_node *n, uint64_t listener, int err, const char *text,
                           uint64_t now_us);
sh_conn_id sh_node_accepted(sh_node *n, const sh_addr *remote,
                            uint64_t now_us); /* 0: refused, close it */
void sh_node_connected(sh_node *n, sh_conn_id conn, uint64_t now_us);
void sh_node_dial_failed(sh_node *n, sh_conn_id conn, int err, const char *text, uint64_t now_us);
/* addrs: ip4/ip6 addresses for dns, dns4, dns6 (port and transport are put back by the swarm); whatever the TXT
 * records hold for dnsaddr. err SH_E_UNREACHABLE: the name does not resolve. */
void sh_node_resolved(sh_node *n, uint64_t request, const sh_addr *addrs, size_t count, int err,
                      uint64_t now_us);
uint8_t *sh_node_room(sh_node *n, sh_conn_id conn,
                      size_t *room); /* 0: no input now; SH_NODE_READ follows */
void sh_node_filled(sh_node *n, sh_conn_id conn, size_t bytes,
                    uint64_t now_us); /* bytes 0: none came, the room is given back */
sh_span sh_node_out(sh_node *n, sh_conn_id conn);
void sh_node_sent(sh_node *n, sh_conn_id conn, size_t bytes, uint64_t now_us);
void sh_node_closed(sh_node *n, sh_conn_id conn, int err, const char *text,
                    uint64_t now_us); /* EOF: err 0 */

/* --- turns --- */
struct sh_node_work {
    size_t handled; /* handlers, continuations and completions run on the loop's executor */
    size_t left;    /* ready ones left there */
    bool more;      /* something is left to do now: turn again (after looking at input) */
};
/* [loop: inside executor 0, with sh_node_set_token told] One bounded slice: inbox, timers, ready actors (at most handled_max), what
 * they sent, swarm, remote, flush. With threads = 1 the host executor's turns are the driver's own sh_exec_turn. */
void sh_node_turn(sh_node *n, size_t handled_max, uint64_t now_us, struct sh_node_work *out);
/* [loop] What streams were given since the turn is made ready to be written; for sh_node_config.out. */
void sh_node_flush(sh_node *n, uint64_t now_us);
uint64_t sh_node_deadline(
    const sh_node *n); /* [loop] when to turn next, the loop executor's included; 0: now */

/* --- output [loop] --- */
enum sh_node_action_kind {
    SH_NODE_LISTEN, /* bind endpoint; answer sh_node_listening (0..n times) or listen_failed(listener) */
    SH_NODE_UNLISTEN, /* close listener */
    SH_NODE_DIAL,     /* open a pipe to endpoint; answer connected or dial_failed(conn) */
    SH_NODE_WRITE,    /* conn has bytes in sh_node_out: write until empty */
    SH_NODE_READ,     /* conn takes input again after room was 0 */
    SH_NODE_CLOSE, /* write what out holds and FIN, wait for the peer\'s, 1 s in all; then sh_node_closed */
    SH_NODE_RESOLVE, /* resolve endpoint.name by endpoint.host; answer resolved(request) */
    SH_NODE_CANCEL,  /* the dial of conn is no longer wanted: close it, no answer */
};
struct sh_node_action {
    enum sh_node_action_kind kind;
    sh_conn_id conn;
    uint64_t listener;
    uint64_t request;
    struct sh_endpoint endpoint;
};
bool sh_node_action(sh_node *n, struct sh_node_action *out);

/* --- requests: [any] functions over sh_runtime_request, so calls made here are cancelled by sh_runtime_cancel, end at
 * their deadline, and their done runs in a turn of the host executor. From a handler: sh_cx_request(cx, op, ...) with
 * the same fields, for a continuation. --- */
enum sh_node_op {                        /* subject, parts; result */
                  SH_NODE_OP_LISTEN = 1, /* value: multiaddr text. Ends when bound */
                  SH_NODE_OP_DIAL, /* value: multiaddr text. Ends when connected; result value: peer id text (no MessagePack) */
                  SH_NODE_OP_REGISTER, /* subject, name. Ends when findable; TIMEOUT: goes on trying; cancelled: likewise */
                  SH_NODE_OP_UNREGISTER, /* subject, name */
                  SH_NODE_OP_LOOKUP, /* name; until the deadline less SH_CONFIRM_MS (then NOT_FOUND). Result pid */
                  SH_NODE_OP_LOOKUP_ONCE, /* name; one pass. Result pid */
                  SH_NODE_OP_LOOKUP_ALL, /* name; items: result pid, code SH_RESULT_MORE; last: 0 without pid, or an error */
                  SH_NODE_OP_LOOKUP_ALL_ONCE, /* the same in one pass */
                  SH_NODE_OP_LOOKUP_FOLLOW,   /* the same without end */
                  SH_NODE_OP_INFO, /* name: "actors" "peers" "names" "routing". Result value: MessagePack, a list of maps.
                                   Of another node: ask sh_node_peer_pid "info" with that text as the value */
                  SH_NODE_OP_EXPORT, /* subject may be called from other nodes from now on */
                  SH_NODE_OP_STOP, /* ends when nothing is left open, or at the deadline less SH_CONFIRM_MS, abruptly */
};
/* The deadline to give sh_runtime_request for an op that has timeout_us (0: the node's default for it). */
uint64_t sh_node_op_deadline(const sh_node *n, enum sh_node_op op, uint64_t timeout_us,
                             uint64_t now_us);

/* [any] token: the thread's, as in runtime.h. Return a call id > 0 or a code (then done never runs). done may be NULL.
 * timeout_us 0: the default. */
int64_t sh_node_listen(sh_node *n, uint64_t token, sh_span addr, uint64_t now_us, sh_call_fn *done,
                       void *ud);
int64_t sh_node_dial(sh_node *n, uint64_t token, sh_span addr, uint64_t timeout_us, uint64_t now_us,
                     sh_call_fn *done, void *ud);
int64_t sh_node_register(sh_node *n, uint64_t token, sh_pid pid, sh_span name, uint64_t timeout_us,
                         uint64_t now_us, sh_call_fn *done, void *ud);
int64_t sh_node_unregister(sh_node *n, uint64_t token, sh_pid pid, sh_span name, uint64_t now_us,
                           sh_call_fn *done, void *ud);
/* timeout_us 0: one pass. */
int64_t sh_node_lookup(sh_node *n, uint64_t token, sh_span name, uint64_t timeout_us,
                       uint64_t now_us, sh_call_fn *done, void *ud);
int64_t sh_node_lookup_all(sh_node *n, uint64_t token, sh_span name, bool follow,
                           uint64_t timeout_us, uint64_t now_us, sh_call_fn *done, void *ud);
int64_t sh_node_info(sh_node *n, uint64_t token, sh_span what, uint64_t now_us, sh_call_fn *done,
                     void *ud);
int64_t sh_node_stop(sh_node *n, uint64_t token, uint64_t timeout_us, uint64_t now_us,
                     sh_call_fn *done, void *ud);

/* --- at once [loop] --- */
/* Starts to listen: *listener is answered by sh_node_listening or listen_failed once the action was taken. */
int sh_node_listen_at(sh_node *n, sh_span addr, uint64_t *listener);
/* 0: bound; SH_E_MORE: not yet answered; else why not, *text static or the node's. */
int sh_node_listen_state(const sh_node *n, uint64_t listener, const char **text);
/* Own address i with /p2p; SH_E_NOT_FOUND past the end. */
int sh_node_address(const sh_node *n, size_t i, sh_addr *out);
/* Portable form of a pid and back (extension type 1: u64 LE actor, peer id): the codec's refs. The first exports an
 * actor of ours. 0; SH_E_UNREACHABLE: stale; SH_E_BAD_VALUE; SH_E_LIMIT: the peer table is full. */
int sh_node_ref_pack(sh_node *n, sh_pid pid, uint8_t out[SH_MP_REF_MAX], size_t *len);
int sh_node_ref_unpack(sh_node *n, sh_span ref, sh_pid *out);
/* The pid that names a peer's node itself, for sh_runtime_ask: `info` (value: MessagePack text), `stop`, `kill` (value:
 * a ref); it answers its admins. 0, SH_E_LIMIT. */
int sh_node_peer_pid(sh_node *n, const sh_peer_id *peer, sh_pid *out);
/* Gives a name up: 0, SH_E_NOT_FOUND (that actor does not hold it). */
int sh_node_unregister_at(sh_node *n, sh_pid pid, sh_span name, uint64_t now_us);
bool sh_node_stopped(const sh_node *n); /* a graceful stop has ended */

/* --- events for users: cfg->on_event runs in a turn of the host executor --- */
enum sh_node_event_kind {
    SH_NODE_EV_LISTENING = 1, /* address, peer (our own) */
    SH_NODE_EV_PEER_UP,       /* peer, address */
    SH_NODE_EV_PEER_DOWN,     /* peer, text */
    SH_NODE_EV_DIAL_FAILED,   /* address, text */
    SH_NODE_EV_UNDELIVERED,   /* pid (to), name, count, code, text */
    SH_NODE_EV_ACTOR_FAILED,  /* pid, name, text */
    SH_NODE_EV_STALLED,       /* pid, name, count (microseconds) */
};
struct sh_node_event { /* lent for the call; texts are not NUL-terminated */
    enum sh_node_event_kind kind;
    int code;
    sh_pid pid;
    uint64_t count;
    sh_span peer;    /* peer id as text */
    sh_span address; /* multiaddr as text */
    sh_span name;
    sh_span text;
};

#endif
