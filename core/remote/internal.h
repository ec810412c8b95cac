/* remote/internal.h - what the files of this layer share: the remote, its peers, their open calls, events.
 *
 * A call of a peer (sh_call_in) waits for an answer of ours: the pid {number, peer} is the reply address given to the
 * runtime. Such numbers have SH_CALL_IN_EXECUTOR for executor, so they are neither actors nor slots. */
#ifndef SH_REMOTE_INTERNAL_H
#define SH_REMOTE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "base/serial.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "remote/export.h"
#include "remote/names.h"
#include "remote/remote.h"
#include "remote/session.h"
#include "remote/watch.h"

enum {
    SH_CALL_IN_EXECUTOR = 127,
    SH_REMOTE_SCRATCH = 32768 /* frames of one session, gathered before the stream takes them */
};
/* pid.node of the watcher that guards registered actors: no peer has this index */
#define SH_REMOTE_NAMES_NODE UINT32_MAX

struct native;

struct sh_remote_timer {
    sh_timer timer;
    enum { SH_TIMER_PEER, SH_TIMER_LOOKUP, SH_TIMER_REGISTER } kind;
};

/* One per peer that a pid of ours may name. */
struct sh_rpeer {
    sh_remote *r;
    struct sh_peer_ref ref;
    const struct sh_session_ops *ops;
    struct native *native; /* NULL: no session, nothing waits */
    struct sh_watches watches;
    uint32_t gate_due; /* room of its gate to be given back by the flush */
    bool held;         /* sh_swarm_hold is ours */
    bool gave_up;      /* its links were ended here as peer_lost, and no session has been since */
    bool dirty;        /* in r->dirty */
    sh_list dirty_link;
    sh_list all_link;
    struct sh_remote_timer timer;
};

enum sh_call_in_kind { SH_CALL_IN_ASK, SH_CALL_IN_DRAIN, SH_CALL_IN_WATCH, SH_CALL_IN_NODE };

/* A request of a peer. Freed when it is answered (or its session ended) and its message has come back. */
struct sh_call_in {
    sh_list link;          /* the session's open ones */
    struct sh_rpeer *peer; /* NULL: the session is gone */
    uint64_t actor;        /* of its pid */
    uint64_t call;
    uint64_t target;
    uint64_t watcher; /* WATCH */
    uint32_t cost;    /* bytes of the window */
    uint8_t kind;
    bool linked;     /* WATCH */
    bool in_runtime; /* its message is still to be returned */
    bool returned;   /* came back in this pump and is not credited yet */
    bool answered;
};

/* The TELLs of a row mostly begin with the same four bytes: type, target, sender, name. What they mean is found for the
 * first and kept, for the session that was busy last; void (NULL) when a table, window or target of it changes. */
enum { SH_TELL_HEAD = 4, SH_TELL_NAME_MAX = 31 };
struct sh_again_in {
    struct native *n;
    struct native_own *own;
    sh_pid from;
    sh_span name; /* in the table */
    uint8_t head[SH_TELL_HEAD];
};
struct sh_again_out {
    struct native *n;
    struct native_target *target;
    sh_pid from;
    uint8_t head[SH_TELL_HEAD];
    uint8_t name_n;
    uint8_t name[SH_TELL_NAME_MAX];
};

/* By the place of an asker's address: where in r->calls its call was put last. */
struct sh_askers {
    uint32_t *call;
    uint32_t cap;
};

struct sh_remote_item { /* an event waiting to be taken */
    sh_list link;
    size_t bytes; /* of the allocation */
    struct sh_remote_event ev;
};

struct sh_remote {
    const sh_mem *mem;
    sh_quota *quota;
    const sh_rng *rng;
    const sh_log *log;
    sh_swarm *swarm;
    sh_runtime *rt;
    uint64_t token;
    uint64_t incarnation;
    uint64_t seed;
    uint32_t self_tag;
    uint32_t message_max;
    unsigned proto;
    sh_peer_id self;
    sh_peer_id *admin;
    size_t admin_count;
    bool admin_all;
    bool leaving;

    struct sh_rpeer **peers; /* by index of the swarm's table */
    size_t peers_cap;
    sh_list peers_all; /* in order of making */
    sh_list dirty;
    sh_wheel wheel;

    sh_slab calls_in; /* struct sh_call_in */
    sh_slab calls;    /* struct native_call, of all sessions: an ask allocates nothing */
    struct sh_askers askers[SH_RUNTIME_EXECS_MAX + 1]; /* of each executor, and calls of peers */
    sh_map_u64 sessions; /* serial -> struct sh_rpeer *: whose TELL has come back */
    struct {
        uint32_t serial; /* 0: none */
        struct sh_rpeer *peer;
    } session_late; /* found last in sessions */
    uint32_t serial;
    uint64_t orphan_bytes; /* messages of ended sessions that still wait for their actors */

    uint8_t *scratch;
    size_t scratch_n;
    struct native *scratch_owner;

    struct sh_again_in again_in;
    struct sh_again_out again_out;

    struct {                  /* the LOST being counted, of one session */
        struct native *owner; /* NULL: none */
        uint64_t target;
        uint32_t count;
        int code;
        uint8_t name_n;
        uint8_t name[SH_NAME_MAX];
        const char *text;
    } lost;

    struct sh_exports exports;
    struct sh_names names;

    sh_list items;
    struct sh_remote_item *taken; /* lent by sh_remote_event */
};

/* peers.c */
struct sh_rpeer *sh_remote_peer(sh_remote *r,
                                struct sh_peer_ref ref); /* made if new; NULL: no memory */
struct sh_rpeer *sh_remote_peer_at(const sh_remote *r, uint32_t index,
                                   uint32_t check); /* NULL: none */
void sh_remote_peer_free(struct sh_rpeer *p);
void sh_remote_touch(struct sh_rpeer *p); /* flushed at the end of the batch */
void sh_remote_hold(struct sh_rpeer *p, bool want);

/* events.c */
/* name, value and text are copied; true unless memory is out. */
bool sh_remote_emit(sh_remote *r, const struct sh_remote_event *ev);
/* An event to be filled and pushed to r->items later, without spans: what must be told is allocated now. */
struct sh_remote_item *sh_remote_item_new(sh_remote *r);
void sh_remote_item_free(sh_remote *r, struct sh_remote_item *item);

/* calls_in.c */
struct sh_call_in *sh_call_in_new(sh_remote *r, struct sh_rpeer *p, sh_pid *reply, uint32_t *index);
struct sh_call_in *sh_call_in_of(sh_remote *r, uint64_t actor);
void sh_call_in_free(sh_remote *r, struct sh_call_in *c);

/* remote.c */
void sh_remote_answer(sh_remote *r, sh_pid reply, int code, int delivery, const char *text);

/* native_admin.c */
void sh_native_node_reply(struct sh_rpeer *p, struct sh_call_in *c, const struct sh_result *result);

static inline sh_pid sh_rpeer_pid(const struct sh_rpeer *p, uint64_t actor)
{
    return (sh_pid){actor, p->ref.index, p->ref.check};
}

static inline sh_pid sh_remote_own(const sh_remote *r, uint64_t actor)
{
    return (sh_pid){actor, 0, r->self_tag};
}

#endif
