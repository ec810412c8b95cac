/* remote/native.h - the session over /shoal/actor/1.0.0: what its files share, each under its name.
 *
 * Shape    one struct per peer with something open or waiting. `out` is our stream, `in` the peer's; both paired make
 *          the session. Queues per target outlive it; windows, tables and calls do not.
 * Rules    a function that may end the session (native_end, or anything that feeds frames) is followed by a look at
 *          what is left. Failures found while writing only set `broken`; the next flush ends the session.
 * Spec     docs/wire.md */
#ifndef SH_REMOTE_NATIVE_H
#define SH_REMOTE_NATIVE_H

#include "proto/frame.h"
#include "proto/frame_reader.h"
#include "remote/internal.h"

enum {
    NATIVE_RESET_CODE = 0, /* resets carry no meaning on this protocol */
    NATIVE_NO_ENTRY = UINT32_MAX,
    NATIVE_TARGETS_KEPT =
        65536,            /* windows of a peer's actors remembered; idle ones are forgotten then */
    NATIVE_TRIES = 4,     /* sessions that end before they are paired, in a row: then unreachable */
    NATIVE_RETRY_MS = 50, /* before the first of those, doubling */
    NATIVE_LARGE = 4096,  /* a value from which on it is written without a copy in between */
    NATIVE_TABLE_START = 2,      /* entries; of each table a power of two less than its limit */
    NATIVE_NAMES_CACHED = 4,     /* by length and first letter */
    NATIVE_NAME_CACHED_MAX = 27, /* longer names are hashed each time */
    NATIVE_ROW = 64 /* messages to one target before the others are asked, when none waits */
};

/* An actor of the peer that we send to. */
struct native_target {
    uint64_t actor; /* 0: the node */
    sh_list all;
    sh_list ready;      /* in n->ready, or alone */
    sh_msg_queue queue; /* what waits, in order: TELL ASK DRAIN STOP KILL DOWN */
    uint32_t used;      /* messages out and not credited */
    uint32_t window;
    uint32_t tells_out; /* of used */
    uint32_t entry;     /* in table 1 */
    int8_t loss;        /* first loss since the last drain */
};

/* A name of table 0 that was sent lately: found again without hashing it. */
struct native_name_out {
    uint32_t entry;
    uint8_t n; /* 0: none */
    uint8_t text[NATIVE_NAME_CACHED_MAX];
};

/* A call of ours that waits for its REPLY. */
struct native_call {
    sh_list link;
    const struct native *owner;
    uint64_t call;
    uint64_t target;
    uint64_t watcher; /* WATCH */
    sh_pid reply;
    uint32_t slot, generation; /* of r->calls */
    uint32_t cost;
    uint8_t kind; /* SH_FRAME_ASK, DRAIN, WATCH; TELL: a stop or kill, nobody waits */
};

/* An actor of ours that the peer sends to. */
struct native_own {
    uint64_t actor;
    sh_list all;
    sh_list due; /* in n->due, or alone */
    uint32_t used;
    uint32_t window;
    uint32_t due_messages, due_asks;
    uint64_t due_bytes;
    uint32_t wider; /* to be told with the next credit */
    bool widened;   /* the peer counts on it: kept as long as the actor lives */
    bool exported;  /* was once: that ends with the actor only */
};

struct native_in {
    sh_stream *stream; /* NULL: none */
    sh_conn_id conn;
    bool hello;
    uint64_t deadline_us;
    sh_frame_reader reader;
};

struct native_name {
    uint8_t *text;
    uint8_t n;
};

struct native {
    struct sh_rpeer *peer;
    sh_remote *r;
    sh_quota quota;

    /* streams and pairing */
    sh_stream *out;
    bool out_open, out_paired, fin_sent;
    bool unsupported; /* the peer refused the protocol on this connection */
    bool broken;      /* to be ended by the next flush */
    bool said_bye, got_bye;
    uint64_t bye_until_us; /* said_bye: how long the peer's answer is waited for */
    uint64_t out_number, out_deadline_us;
    struct native_in in[SH_SESSION_STREAMS_MAX];
    int active; /* index of the session's incoming stream, -1: none */
    bool known; /* incarnation and what follows are those of the peer's process */
    uint64_t incarnation, last_number, number;
    sh_conn_id known_conn;
    unsigned tries;
    uint64_t retry_us; /* not to be opened before; UINT64_MAX: nothing to open for */
    uint32_t serial;
    size_t message_max; /* the peer's */

    /* bytes the stream did not take */
    uint8_t *backlog;
    size_t backlog_at, backlog_n, backlog_cap;
    sh_msg *part; /* a large message whose value is on its way, before the backlog; NULL: none */
    size_t part_at;

    /* out: windows, calls, tables */
    uint64_t bytes_used;
    sh_map_u64 targets;
    struct native_target *last_target; /* found last; NULL: none */
    sh_list targets_all, ready;
    sh_serial calls; /* number -> struct native_call * */
    sh_list calls_all;
    uint64_t last_call;
    sh_map_bytes names_out;
    struct native_name_out
        *names_late; /* NATIVE_NAMES_CACHED; NULL: none was sent since the last rest */
    sh_map_u64 mine_out;
    uint32_t yours_count;

    /* in: windows, requests, tables */
    uint64_t in_bytes, due_bytes;
    sh_map_u64 own;
    struct native_own *last_own; /* found last; NULL: none */
    uint32_t wide;               /* of own: widened */
    sh_list own_all, due, calls_in, returned;
    uint32_t calls_in_open;
    sh_serial call_in_by_number;
    uint64_t last_call_in;
    struct native_name *names_in;
    uint64_t *yours_in, *mine_in;
    uint32_t names_in_cap, yours_in_cap, mine_in_cap; /* entries; they grow as they are used */
    size_t tables_bytes;                              /* charged for them */
    uint64_t credit_us;                               /* when credits leave at the latest */
};

/* native.c */
struct native *native_of(struct sh_rpeer *p); /* made if there is none; NULL: no memory */
/* The session is over: streams are reset, what was encoded is unknown, what waits stays. */
void native_end(struct native *n, const char *why);
/* Malformed bytes: ends the connection and tells. n may have no session afterwards. */
void native_malformed(struct native *n, sh_conn_id conn, const char *why);
void native_arm(struct native *n);
static inline bool native_active(const struct native *n)
{
    return n->out && n->out_open && n->out_paired && n->active >= 0;
}
/* No new message or watch goes out. */
static inline bool native_closed(const struct native *n)
{
    return n->said_bye || n->got_bye || n->r->leaving;
}
/* A message may be encoded now, if its window has room. */
static inline bool native_flows(const struct native *n)
{
    return native_active(n) && !n->backlog_n && !n->part && !n->broken && !n->fin_sent &&
           !n->said_bye && !n->got_bye;
}
/* For a message of so many bytes; one may always be out, however big. */
static inline bool native_window_has(const struct native *n, const struct native_target *t,
                                     uint64_t bytes)
{
    return t->used < t->window &&
           (n->bytes_used == 0 || n->bytes_used + bytes <= SH_SESSION_WINDOW);
}

/* native_streams.c */
void native_want(struct native *n, uint64_t now_us); /* something waits: open, or dial */
void native_in_drop(struct native *n, int i, bool reset);
void native_out_drop(struct native *n, bool reset);
void native_hello(struct native *n, struct native_in *in, const struct sh_frame *f,
                  uint64_t now_us);
void native_started(struct native *n, uint64_t now_us);
void native_op_data(struct sh_rpeer *p, const struct sh_swarm_event *ev, uint64_t now_us);
void native_op_closed(struct sh_rpeer *p, const struct sh_swarm_event *ev, uint64_t now_us);

/* native_bye.c */
void native_op_goodbye(struct sh_rpeer *p, uint64_t left_ms, sh_span text, uint64_t now_us);
const char *native_get_goodbye(struct native *n);
void native_finish(struct native *n, uint64_t now_us);
void native_bye_late(struct native *n);

/* native_out.c */
void native_kick(struct native *n, uint64_t now_us); /* sends what has room now */
void native_op_send(struct sh_rpeer *p, sh_msg *m, uint64_t now_us);
void native_op_cancel(struct sh_rpeer *p, sh_msg *m, uint64_t now_us);

/* native_targets.c */
struct native_target *native_target_of(struct native *n, uint64_t actor, bool make);
void native_targets_free(struct native *n);
void native_queue(struct native *n, struct native_target *t, sh_msg *m);
sh_msg *native_unqueue(struct native_target *t, sh_pid reply); /* a call's; NULL: none waits */
void native_ungate(struct native *n, sh_msg *m); /* its room in the queue is free, it stays */
void native_done(struct native *n, sh_msg *m);
void native_fail_one(struct native *n, sh_msg *m, int code, const char *text);
void native_fail_waiting(struct native *n, int code,
                         const char *text); /* everything queued comes back, not sent */
void native_out_reset(struct native *n);
int native_drain_loss(struct native *n, uint64_t actor); /* 0: none since the last drain */
const char *native_get_credit(struct native *n, const struct sh_frame *f);
const char *native_get_lost(struct native *n, const struct sh_frame *f);

/* native_in.c */
void native_refuse(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                   uint32_t cost, int code, const char *text); /* a TELL or ASK */
void native_data(struct native *n, struct native_in *in, sh_span bytes, uint64_t now_us);
void native_in_reset(struct native *n); /* the session ended: what it sent us */

/* native_credit.c */
struct native_own *native_own_of(struct native *n, uint64_t actor);
struct native_own *native_own_find(struct native *n, uint64_t actor); /* NULL: none */
void native_own_reset(struct native *n);
void native_credit_due(struct native *n, struct native_own *o, uint32_t cost, bool ask);
void native_credits(struct native *n, uint64_t now_us); /* sends what is due */
void native_credits_all(struct native *n);              /* however little that is */
void native_settle(struct native *n); /* asks that came back in this pump without a reply: credit */
void native_op_returned(struct sh_rpeer *p, const struct sh_returned *ret);
void native_lost_add(struct native *n, uint64_t target, sh_span name, int code, const char *text);
void native_lost_flush(struct native *n);

/* native_again.c */
void native_again_out(struct native *n, struct native_target *t, const sh_msg *m,
                      const struct sh_frame *f);
bool native_message_again(struct native *n, struct native_target *t, sh_msg *m);
void native_again_in(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                     sh_pid from);
void native_row(struct native *n, const struct native_in *in, sh_span *bytes);

static inline void native_again_in_drop(struct native *n)
{
    n->r->again_in.n = n->r->again_in.n == n ? NULL : n->r->again_in.n;
}

static inline void native_again_out_drop(struct native *n)
{
    n->r->again_out.n = n->r->again_out.n == n ? NULL : n->r->again_out.n;
}

/* native_calls_out.c */
struct native_call *native_call_new(struct native *n, uint8_t kind, sh_pid reply, uint64_t target);
void native_call_free(struct native *n, struct native_call *c);
struct native_call *native_call_of(struct native *n, sh_pid reply); /* an ask's; NULL: none */
void native_fail_calls(struct native *n, int code,
                       const char *text); /* open calls end as unknown */
const char *native_get_reply(struct native *n, const struct sh_frame *f);
void native_askers_fini(sh_remote *r);

/* native_calls_in.c */
const char *native_next_call(struct native *n, uint64_t call); /* NULL, or it is out of turn */
struct sh_call_in *native_call_in_new(struct native *n, uint8_t kind, uint64_t call,
                                      uint64_t target, sh_pid *reply, uint32_t *index);
void native_call_in_drop(struct native *n,
                         struct sh_call_in *c); /* it could not begin; NULL: none */
/* The session ended: their answers find nobody; those in the runtime are freed when back. */
void native_calls_in_reset(struct native *n);
void native_call_in_answer(struct native *n, struct sh_call_in *c, const struct sh_result *res);
void native_reply(struct native *n, uint64_t call, bool returns, int code, int delivery,
                  const char *text); /* to a call of which nothing is kept */
void native_reply_frame(struct native *n, sh_msg *m);
const char *native_get_drain(struct native *n, const struct sh_frame *f);
void native_get_cancel(struct native *n, const struct sh_frame *f);

/* native_watch.c */
void native_send_watch(struct native *n, struct sh_watch *w, bool renewed);
void native_watch_reply(struct native *n, const struct native_call *c, const struct sh_frame *f);
void native_watch_answered(struct native *n, const struct sh_call_in *c,
                           int code); /* by the runtime, to a WATCH of the peer */
void native_watch_undo(struct native *n, const struct sh_call_in *c);
void native_death(struct native *n, sh_msg *m);
void native_post_death(struct native *n, sh_msg *m);
const char *native_get_watch(struct native *n, const struct sh_frame *f);
const char *native_get_unwatch(struct native *n, const struct sh_frame *f);
const char *native_get_death(struct native *n, const struct sh_frame *f);
void native_op_watch(struct sh_rpeer *p, struct sh_watch *w, uint64_t now_us);
void native_op_unwatch(struct sh_rpeer *p, uint64_t target, uint64_t watcher, bool link,
                       uint64_t now_us);

/* native_admin.c */
sh_span native_stop_value(const sh_msg *m, uint8_t *buf, size_t cap); /* of a STOP or KILL */
void native_node_ask(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                     uint32_t cost);

/* native_write.c */
void native_frame(struct native *n, const struct sh_frame *f);
void native_frame_large(struct native *n, const struct sh_frame *f,
                        sh_msg *m); /* its value lies in m, which is taken */
void native_write_backlog(struct native *n);
void native_scratch_flush(sh_remote *r);
void native_backlog_drop(struct native *n);

/* native_intern.c */
#define NATIVE_NOT_INTERNED "an empty table entry"
struct sh_frame_who native_target_who(struct native *n, struct native_target *t); /* interns it */
struct sh_frame_who native_mine(struct native *n, uint64_t actor);
struct sh_frame_who native_yours(struct native *n, uint64_t actor);
struct sh_frame_who native_who(struct native *n, sh_pid pid); /* a sender or cause, whose ever */
void native_name(struct native *n, struct sh_frame *f, sh_span name);
void native_names_forget(struct native *n); /* those sent lately */
void native_intern_out_reset(struct native *n);
const char *native_get_intern(struct native *n, const struct sh_frame *f);
bool native_actor(const struct sh_frame_who *who, const uint64_t *table, uint32_t cap,
                  uint64_t *actor); /* 0: nobody */
bool native_pid(struct native *n, const struct sh_frame_who *who, sh_pid *pid);
bool native_name_of(const struct native *n, const struct sh_frame *f, sh_span *name);
void native_intern_in_reset(struct native *n);

#endif
