/* node/internal.h - what the files of this layer share: the node's struct and who does what.
 *
 * node.c       makes and ends the layers below
 * turn.c       routes: input to the swarm, events to their owners, actions out; one turn
 * requests.c   what users ask: listen, dial, names, info, stop; and the [any] functions that ask it
 * drain.c      the order of a graceful stop; stop.c does its steps
 * info.c       rows as MessagePack
 * events.c     what users are told */
#ifndef SH_NODE_INTERNAL_H
#define SH_NODE_INTERNAL_H

#include "base/list.h"
#include "base/mpw.h"
#include "node/drain.h"
#include "node/node.h"
#include "remote/remote.h"

enum sh_listener_state { SH_LISTENER_ASKED, SH_LISTENER_BOUND, SH_LISTENER_FAILED };

/* One address to listen on; kept when it failed, so that its state can be asked. */
struct sh_node_listener {
    uint64_t number; /* 1, 2, ... in the order of asking */
    enum sh_listener_state state;
    int err;
    char text[96];
    struct sh_endpoint endpoint;
    sh_pid reply; /* who waits; none */
    uint32_t addr_count;
    sh_addr addrs[8]; /* bound ones, as told to the swarm: interfaces of a wildcard */
};

enum { SH_NODE_EXEC_NOBODY = 126 };

struct sh_node {
    const sh_mem *mem;
    sh_rng rng;
    sh_log log;
    struct sh_node_config cfg; /* pointers in it are void after new, but those of driver and host */
    sh_identity identity;
    sh_peer_id self;
    sh_quota loop_quota; /* all peers and the loop's executor */
    sh_quota host_quota;
    sh_block_pool pool;
    sh_swarm *swarm;
    sh_runtime *runtime;
    sh_remote *remote;
    uint32_t self_tag; /* check of our own pids */
    uint64_t token;    /* of who is inside, for the length of a turn */
    uint64_t now_us;   /* of the turn */

    struct sh_node_listener *listeners[SH_NODE_LISTENERS_MAX];
    uint32_t listener_count;
    uint32_t listener_asked;         /* those whose LISTEN action was taken */
    uint32_t unlisten_at;            /* drain: the next listener to give up */
    bool unlistening;                /* drain: doors are to be shut */
    uint32_t last_call;              /* of calls nobody waits for, see call_of */
    sh_pid stops[SH_NODE_STOPS_MAX]; /* who waits for the stop */
    uint32_t stop_count;
    uint32_t conns; /* pipes the driver holds for us */
    struct sh_drain drain;
    uint64_t events_dropped;
    uint64_t warned_us; /* log lines that others can cause: tokens are counted from here */
    uint32_t warnings;  /* taken, less what time gave back */
    uint64_t unwarned;  /* not logged since the last that was */
};

/* events.c */
/* May one more line that a peer or an actor can cause be logged? Tells how many were not since the last. */
bool sh_node_may_warn(struct sh_node *n, uint64_t *unlogged);
void sh_node_event_post(struct sh_node *n, const struct sh_node_event *ev);
void sh_node_event_peer(struct sh_node *n, enum sh_node_event_kind kind, const sh_peer_id *peer,
                        const sh_addr *addr, int code, const char *text);
void sh_node_event_runtime(struct sh_node *n, const struct sh_runtime_event *ev);

/* requests.c */
size_t sh_node_requests(struct sh_node *n); /* takes all that wait; how many */
void sh_node_dialled(struct sh_node *n, const struct sh_swarm_event *ev);
void sh_node_remote_result(struct sh_node *n, const struct sh_remote_event *ev);
void sh_node_answer(struct sh_node *n, sh_pid reply, int code, const char *text, sh_span value);
struct sh_node_listener *sh_node_listener_find(const struct sh_node *n, uint64_t number);
void sh_node_listener_bound(struct sh_node *n, struct sh_node_listener *l, const sh_addr *addr);
void sh_node_listener_failed(struct sh_node *n, struct sh_node_listener *l, int err,
                             const char *text);

/* stop.c */
void sh_node_drain_begin(struct sh_node *n, uint64_t deadline_us);
void sh_node_drain(struct sh_node *n); /* goes as many steps as can be gone now */

/* info.c: answers reply with a MessagePack list of maps; a call of another node if wire is not 0. */
void sh_node_info_answer(struct sh_node *n, sh_span what, sh_pid reply, uint64_t wire);
void sh_node_wire_call(struct sh_node *n, const struct sh_remote_event *ev);

#endif
