/* remote/remote.h - the interface of remote: actors and messages of other nodes, names, watches across nodes.
 *
 * Shape    a machine between swarm (peers, streams, DHT) and actor (mailboxes). It pulls the runtime's outbox and
 *          hands it to the session of the peer, injects what arrives, and tells the node what it must know.
 * Driver   per turn: sh_remote_swarm_event for each event of the swarm; after the executors ran sh_remote_pump;
 *          when the deadline has come sh_remote_tick; then sh_remote_event until false.
 * Units    absolute microseconds on the caller's monotonic clock.
 * Threads  the node's loop only, inside executor 0.
 * Memory   cfg->mem; what peers can grow is charged to cfg->quota.
 * Spec     docs/wire.md (/shoal/actor/1.0.0); names: keys and records of /kameo/registry/1.0.0. */
#ifndef SH_REMOTE_REMOTE_H
#define SH_REMOTE_REMOTE_H

#include "actor/runtime.h"
#include "base/log.h"
#include "base/quota.h"
#include "swarm/swarm.h"

typedef struct sh_remote sh_remote;

#define SH_NATIVE_PROTOCOL "/shoal/actor/1.0.0"

struct sh_remote_config {
    const sh_mem *mem;
    sh_quota *quota;
    const sh_rng *rng;
    const sh_log *log;
    sh_swarm *swarm;
    sh_runtime *runtime;
    uint64_t
        token; /* of the thread that is inside executor 0 (sh_remote_set_token when it changes) */
    sh_peer_id self;         /* this node */
    uint32_t self_tag;       /* check of our own pids, as the runtime's */
    unsigned native_proto;   /* number of SH_NATIVE_PROTOCOL in the swarm's list */
    uint64_t incarnation;    /* random, of this process */
    uint32_t message_max;    /* bytes of a value we take */
    const sh_peer_id *admin; /* may ask this node for info, stop, kill; copied */
    size_t admin_count;
    bool admin_all;
};

int sh_remote_new(const struct sh_remote_config *cfg, uint64_t now_us, sh_remote **out);
/* Before the runtime and the swarm are freed. Nothing is told any more. NULL is fine. */
void sh_remote_free(sh_remote *r);
void sh_remote_set_token(sh_remote *r, uint64_t token);

/* --- driving --- */

/* true: the event was ours and is done with (streams of our protocol, queries, publications). Events of peers are
 * looked at and return false: they are the node's too. */
bool sh_remote_swarm_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us);
/* Returned messages become credit, the outbox goes to sessions, what is due is written. */
void sh_remote_pump(sh_remote *r, uint64_t now_us);
/* A tell of nobody, written at once if it is like the one before and nothing of its sender waits: true. Else nothing
 * was done, and it goes as a message. Between turns only. *full: so many bytes have gathered that a write is worth it. */
bool sh_remote_tell(sh_remote *r, sh_pid to, sh_span name, sh_span value, bool *full);
void sh_remote_tick(sh_remote *r, uint64_t now_us);
uint64_t sh_remote_deadline(const sh_remote *r); /* UINT64_MAX: never */

/* --- events out --- */

enum sh_remote_event_kind {
    SH_REMOTE_RESULT =
        1, /* a call of names: call, code (SH_RESULT_MORE: an item, others follow), pid, text */
    SH_REMOTE_NODE_CALL, /* an administrator asks this node: call, peer, name, value; answer sh_remote_node_reply */
    SH_REMOTE_PEER_LOST, /* a peer that was watched is dead: peer */
    SH_REMOTE_BAD_PEER,  /* a peer broke the protocol, its connection was ended: peer, text */
};
struct sh_remote_event {
    enum sh_remote_event_kind kind;
    uint64_t call;
    int code;
    sh_pid pid;
    struct sh_peer_ref peer;
    sh_span name; /* spans are valid until the next sh_remote_event */
    sh_span value;
    sh_span text;
};
bool sh_remote_event(sh_remote *r, struct sh_remote_event *out);

/* Answers a NODE_CALL, once; dropped if the asker is gone. */
void sh_remote_node_reply(sh_remote *r, uint64_t call, const struct sh_result *result,
                          uint64_t now_us);

/* --- names of actors. A call is the caller's number (not 0, unique); its end is a RESULT event --- */

/* [any] Why nobody can have this name, to stand behind it in a sentence; NULL: it is fine. */
const char *sh_remote_name_fault(sh_span name);
/* 0 and RESULT follows when the name is findable (alone: at once), or TIMEOUT at the deadline, going on trying.
 * USAGE (not an actor of this node), BAD_VALUE (name), NAME_TAKEN, NOT_RUNNING, LIMIT: at once, no event. */
int sh_remote_register(sh_remote *r, uint64_t call, sh_pid pid, sh_span name, sh_span type_id,
                       uint64_t deadline_us, uint64_t now_us);
int sh_remote_unregister(sh_remote *r, sh_pid pid, sh_span name); /* 0, NOT_FOUND */

struct sh_lookup_options {
    uint64_t deadline_us; /* 0: one pass */
    bool all;             /* each live holder once: RESULT with MORE, then 0 */
    bool follow;          /* all, and later ones as they appear, until cancelled */
};
/* A local holder first, without the network. 0 and RESULT follows (NOT_FOUND: nobody); BAD_VALUE, LIMIT. */
int sh_remote_lookup(sh_remote *r, uint64_t call, sh_span name, const struct sh_lookup_options *o,
                     uint64_t now_us);
/* Ends a register's waiting or a lookup without a RESULT (register: the name stays). */
void sh_remote_cancel(sh_remote *r, uint64_t call);
/* Rows for info: names of this node, i from 0 until false. */
bool sh_remote_name_row(const sh_remote *r, size_t i, sh_span *name, sh_pid *pid);

/* --- refs: a pid in portable form is u64 LE actor and peer id (ext type 1 inside a value) --- */

/* 0; SH_E_BAD_VALUE (malformed), SH_E_LIMIT (peer table). Own peer id: a local pid. */
int sh_remote_pid_of_ref(sh_remote *r, sh_span ref, sh_pid *out);
/* Bytes written (8 + peer id), SH_E_UNREACHABLE if the peer entry is stale, SH_E_LIMIT (cap). Does not export. */
int sh_remote_ref_of_pid(const sh_remote *r, sh_pid pid, uint8_t *out, size_t cap);
/* The pid that names a peer's node itself: ask it `info`, `stop`, `kill`. */
int sh_remote_node_pid(sh_remote *r, const sh_peer_id *id, sh_pid *out);
/* From now on other nodes may call it (also done by registering, sending its ref out, writing to a peer). */
int sh_remote_export(sh_remote *r, sh_pid pid);

/* --- the end --- */

/* Says goodbye to every peer; what waits comes back as `closed`. Replies and deaths still due are sent. */
void sh_remote_goodbye(sh_remote *r, uint64_t left_ms, sh_span text, uint64_t now_us);
bool sh_remote_goodbye_done(
    const sh_remote *r); /* every session has ended or sent all that was due */

#endif
