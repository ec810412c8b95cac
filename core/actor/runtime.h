/* actor/runtime.h - the interface of the actor runtime: one node's executors, mailboxes, asks, links.
 *
 * Shape    1 or 2 executors: 0 = the loop, 1 = the host when the node is threaded; host = the last.
 *          Everything that moves is a sh_msg addressed by a sh_pid; what is addressed to another
 *          node waits in the loop's outbox.
 * Input    calls from any thread (with its token), injected messages from remote, turns.
 * Output   handlers and completions, run inside sh_exec_turn; outbox, returned, requests and
 *          events: pulled.
 * Units    absolute microseconds on the driver's clock. Deadline UINT64_MAX: none.
 * Threads  one thread at a time is inside an executor: `inside` holds its token, any number but 0
 *          that is the thread's own. [any]: any thread, token = its own. [loop]: inside executor 0.
 *          [exec]: inside that executor. A call whose executor is taken goes through its inbox.
 * Memory   cfg->mem (thread-safe if there are two executors), quota per executor.
 * Errors   public SH_E_* only; no memory is SH_E_LIMIT. Nothing here aborts or waits. */
#ifndef SH_ACTOR_RUNTIME_H
#define SH_ACTOR_RUNTIME_H

#include "actor/cx.h"
#include "actor/msg.h"
#include "base/log.h"
#include "base/rng.h"

enum { SH_RUNTIME_EXECS_MAX = 2 };

struct sh_runtime_config {
    const sh_mem *mem;
    sh_quota *quota[SH_RUNTIME_EXECS_MAX];   /* one chain per executor's thread; NULL: unbounded */
    const sh_rng *rng[SH_RUNTIME_EXECS_MAX]; /* confined to that executor */
    const sh_log *log;
    unsigned execs; /* 1 or 2 */
    void *user;     /* the node; sh_cx_node */
    /* Wakes the driver of executor `exec`: called from any thread, only when that executor sleeps
     * (see sh_exec_sleep) and something was given to it; once per sleep. */
    void (*wake)(void *ud, unsigned exec);
    void *wake_ud;
    /* A tell of a thread that has just entered executor 0, to another node, with nothing in the outbox: true if it
     * was written by the way, else it goes there. NULL: it always does. */
    bool (*tell_peer)(void *ud, sh_pid to, sh_span name, sh_span value);
    void *tell_peer_ud;
    /* A coarse monotonic clock in us to find handlers that hold their thread; NULL: not looked for.
     */
    uint64_t (*stall_clock)(void *ud);
    void *stall_ud;
    uint32_t self_tag;       /* check of our own pids */
    uint32_t mailbox;        /* default limit; 0: only memory */
    uint32_t actors_max;     /* per node */
    uint32_t asks_max;       /* per executor */
    uint64_t ask_timeout_us; /* default */
    const sh_rng *shuffle;   /* simulator: seeded order of ready actors; NULL: round-robin */
};
/* The defaults of sh_limits.h; mem, quota, rng, wake and self_tag stay the caller's. */
void sh_runtime_config_init(struct sh_runtime_config *cfg);

/* 0, SH_E_LIMIT (memory). */
int sh_runtime_new(const struct sh_runtime_config *cfg, uint64_t now_us, sh_runtime **out);

/* Abrupt end; no thread may be inside. on_stop runs once for each init that succeeded, `then` with
 * CANCELLED, and every completion still due with CLOSED, on the calling thread. Outbox and requests
 * are dropped: take them before. NULL is fine. */
void sh_runtime_free(sh_runtime *rt);

sh_exec *sh_runtime_exec(sh_runtime *rt, unsigned index);
unsigned sh_runtime_execs(const sh_runtime *rt);
unsigned sh_runtime_host(const sh_runtime *rt); /* index of the host executor */
void *sh_runtime_user(const sh_runtime *rt);

/* --- driving an executor --- */

/* Takes the place inside: false if another thread has it (never waits). Not for who is inside
 * already. */
bool sh_exec_enter(sh_exec *x, uint64_t token);
void sh_exec_leave(sh_exec *x, uint64_t token);
/* [exec] How often somebody came in: if it is one more than when you left, it is you. */
uint64_t sh_exec_entries(const sh_exec *x);
/* For who entered to do something by the way: pushes, leaves, and wakes its driver, whose next deadline may be new. */
void sh_exec_hand_back(sh_exec *x, uint64_t token);
bool sh_exec_asleep(const sh_exec *x); /* [any] since sh_exec_sleep nobody gave it anything */
bool sh_exec_inside(const sh_exec *x, uint64_t token); /* [any] */
unsigned sh_exec_index(const sh_exec *x);

struct sh_turn {
    size_t handled; /* handlers, continuations and completions run */
    size_t left;    /* ready ones left */
};
/* [exec] Inbox, due timers, then completions and ready actors round-robin (<= 64 messages each)
 * until `max` were handled; pushes what was chained for the other executor. */
void sh_exec_turn(sh_exec *x, uint64_t now_us, size_t max, struct sh_turn *out);
/* [exec] When a turn is due: 0 now, UINT64_MAX never (until something is given to it). */
uint64_t sh_exec_deadline(const sh_exec *x);
/* [exec] Before its driver blocks: false if there is work now, do not block. From then on a thread
 * that gives it something calls wake, once. The next turn ends the sleep. */
bool sh_exec_sleep(sh_exec *x);
/* [exec] Pushes chained messages and homecomings now; for who posts from inside but not in a turn.
 */
void sh_exec_flush(sh_exec *x);

/* --- types and actors --- */

/* [any] Compiles a type; it lives as long as the runtime. 0,
 * BAD_VALUE, LIMIT. */
int sh_runtime_type(sh_runtime *rt, const struct sh_actor_type *def, const sh_type **out);
sh_span sh_type_id(const sh_type *type);
const struct sh_actor_type *sh_type_def(const sh_type *type);

/* [exec: token inside executor `exec`, or able to enter] init runs within.
 *   0        running, *out is its pid
 *   1        init was held: *out is its pid, messages queue; opt->spawned tells the end
 *   USAGE    another thread is inside: use sh_runtime_call or try again. HANDLER (init failed; its
 * text by sh_exec_last_text), LIMIT, CLOSED, NOT_RUNNING (parent). */
int sh_runtime_spawn(sh_runtime *rt, uint64_t token, unsigned exec, const sh_type *type,
                     const struct sh_spawn *opt, sh_pid *out);
/* [exec] Text of the last failed spawn on it; valid until the next call. */
sh_span sh_exec_last_text(const sh_exec *x);

/* [any] The truth now, without locks. */
bool sh_runtime_alive(const sh_runtime *rt, sh_pid pid);
/* [any] Type id of a live actor of this node, valid as long as the runtime; empty: there is none. */
sh_span sh_runtime_type_of(const sh_runtime *rt, sh_pid pid);
uint32_t sh_runtime_actors(const sh_runtime *rt); /* running, all executors */

/* --- calls from outside handlers; `done` runs once in a turn of the host executor (last: in free)
 * --- */

/* [any] As sh_cx_tell; the sender is nobody. */
int sh_runtime_tell(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value);
/* [any] > 0: call id; < 0: not begun, done never runs. deadline_us absolute. done NULL: result
 * dropped. */
int64_t sh_runtime_ask(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name, sh_span value,
                       uint64_t deadline_us, sh_call_fn *done, void *ud);
/* [any] The same with an object (see cx.h); UNSUPPORTED also if the host's executor cannot be entered now. */
int sh_runtime_tell_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                           const sh_object *object);
int sh_runtime_tell_object_fast(sh_runtime *rt, uint64_t token, sh_pid to, const char *name,
                                const sh_object *object);
int64_t sh_runtime_ask_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                              const sh_object *object, uint64_t deadline_us, sh_call_fn *done,
                              void *ud);
int64_t sh_runtime_drain(sh_runtime *rt, uint64_t token, sh_pid to, uint64_t deadline_us,
                         sh_call_fn *done, void *ud);
/* [any] result.reason and result.pid when it ends, whenever that is. One that has ended: kind gone.
 */
int64_t sh_runtime_done(sh_runtime *rt, uint64_t token, sh_pid pid, sh_call_fn *done, void *ud);
/* [any] STOP and its `done` in one. */
int64_t sh_runtime_stop(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text, sh_call_fn *done,
                        void *ud);
int sh_runtime_kill(sh_runtime *rt, uint64_t token, sh_pid pid, sh_span text);
/* [any] Ends a call with CANCELLED (within 0.1 s). 0, or NOT_FOUND if it is known to have ended. */
int sh_runtime_cancel(sh_runtime *rt, uint64_t token, int64_t call);
/* [any] a must be an actor of this node. */
int sh_runtime_link(sh_runtime *rt, uint64_t token, sh_pid a, sh_pid b);
int sh_runtime_monitor(sh_runtime *rt, uint64_t token, sh_pid watcher, sh_pid watched);
int sh_runtime_unlink(sh_runtime *rt, uint64_t token, sh_pid a, sh_pid b);

/* [any] A request to the node (register, lookup, dial, info ...): op >= 1 is the node's own number.
 * It is taken on the loop with sh_runtime_take_request and answered with sh_runtime_reply to its
 * `reply`. When the call ends otherwise (deadline, cancel) the node gets a REQUEST with tag
 * SH_REQUEST_END, same `reply`. */
enum { SH_REQUEST_END = 0 };
int64_t sh_runtime_request(sh_runtime *rt, uint64_t token, uint32_t op, sh_pid subject,
                           const struct sh_msg_parts *parts, uint64_t deadline_us, sh_call_fn *done,
                           void *ud);

/* [any] Answers an address: a promise, a request, an ask. Items before the last one: code
 * SH_RESULT_MORE. To none, or one that is answered: 0, and counted. LIMIT: no memory, nothing sent.
 */
enum { SH_RESULT_MORE = 1 };
int sh_runtime_reply(sh_runtime *rt, uint64_t token, sh_pid reply, const struct sh_result *result);

/* [any] Runs fn(ud, result) inside executor `exec` in its next turn (in free at the latest); result
 * may be NULL (code 0). LIMIT: no memory, fn never runs. */
int sh_runtime_call(sh_runtime *rt, uint64_t token, unsigned exec, sh_call_fn *fn, void *ud,
                    const struct sh_result *result);
/* The same in two steps, for what must be told later: reserve now, post cannot fail (long texts and
 * values may be dropped for lack of memory), or drop. */
sh_msg *sh_runtime_call_reserve(sh_runtime *rt, uint64_t token, unsigned exec, sh_call_fn *fn,
                                void *ud);
void sh_runtime_call_post(sh_runtime *rt, uint64_t token, sh_msg *reserved,
                          const struct sh_result *result);
void sh_runtime_call_drop(sh_runtime *rt, uint64_t token, sh_msg *reserved);

/* --- the node's side [loop]: taken messages are the taker's until sh_runtime_msg_done --- */

/* Next message to another node, in order: TELL ASK CANCEL DRAIN WATCH UNWATCH STOP KILL from here,
 * REPLY and DOWN to there. ASK, CANCEL, DRAIN: answer m->reply once by sh_runtime_reply. WATCH: on
 * failure inject a DOWN (gone). TELL and ASK hold room of the peer's gate (SH_MSG_GATED): give
 * sh_msg_queued_bytes back when they leave the queue. Lost tells: sh_runtime_lost. NULL: none. */
sh_msg *sh_runtime_take_outbound(sh_runtime *rt);
sh_msg *sh_runtime_take_request(sh_runtime *rt);
void sh_runtime_msg_done(sh_runtime *rt, sh_msg *m);
/* A tell from here is known lost: an UNDELIVERED event (count tells of that name). */
void sh_runtime_lost(sh_runtime *rt, sh_pid to, sh_span name, uint32_t count, int code,
                     sh_span text);

/* A message to inject, from the loop's pool; fill to, from, reply, tag, deadline_us, code, why,
 * flags (only LINK, MORE) and the value's room. NULL: no memory or quota. */
sh_msg *sh_runtime_msg_new(sh_runtime *rt, enum sh_msg_kind kind, const struct sh_msg_parts *parts);
/* Takes the message: TELL to KILL of msg.h with `to` here; it passes no local gate.
 * What cannot be done is answered to `reply` through the outbox. What is for executor 1 is chained:
 * the end of the loop's next turn, or sh_exec_flush, pushes it. */
void sh_runtime_inject(sh_runtime *rt, sh_msg *m);

/* An injected TELL or ASK has ended: its handler ended or deferred, or it was lost (code < 0, a
 * TELL only: tell its node LOST). This is the credit. name lies in the struct. Handled TELLs of one tag to one actor
 * may come as one, with neither name nor from. */
struct sh_returned {
    sh_pid to;
    sh_pid from;
    uint32_t tag;
    uint32_t messages;
    uint32_t bytes;   /* sh_msg_bytes, of all */
    uint32_t mailbox; /* the target's limit, UINT32_MAX: only memory; 0: it has ended */
    int code;
    uint8_t name_len;
    uint8_t name[SH_NAME_MAX];
};
bool sh_runtime_take_returned(sh_runtime *rt, struct sh_returned *out);

/* Peer gates: index is pid.node (1..65535), check is pid.check. open: 0, LIMIT. Messages to a peer
 * whose gate is not open under that check are UNREACHABLE at the call. */
int sh_runtime_peer_gate_open(sh_runtime *rt, uint32_t index, uint32_t check, uint32_t room_bytes);
void sh_runtime_peer_gate_give(sh_runtime *rt, uint32_t index, uint32_t check, uint32_t bytes);
void sh_runtime_peer_gate_close(sh_runtime *rt, uint32_t index);
/* [any] Since it was asked last: a tell from outside found no room at a peer, and then there was some. */
bool sh_runtime_room_back(sh_runtime *rt);

/* --- events and rows --- */
enum sh_runtime_event_kind {
    SH_RT_UNDELIVERED = 1, /* pid = to, name, count, code, text */
    SH_RT_ACTOR_FAILED,    /* pid, name, text; code */
    SH_RT_STALLED,         /* pid, name, us */
};
struct sh_runtime_event {
    enum sh_runtime_event_kind kind;
    sh_pid pid;
    int code;
    uint64_t count; /* UNDELIVERED: messages; STALLED: microseconds */
    sh_span name;   /* valid until the next call of sh_runtime_event */
    sh_span text;
};
/* [loop] At most SH_RUNTIME_EVENTS_MAX wait; more are only counted (stats.events_dropped). */
bool sh_runtime_event(sh_runtime *rt, struct sh_runtime_event *out);

struct sh_actor_row {
    sh_pid pid;
    sh_pid parent;
    sh_span type_id;   /* valid as long as the runtime */
    const char *state; /* "idle" "ready" "waiting" "starting" "stopping" */
    uint64_t mailbox;  /* messages queued */
    uint64_t handled;
    uint32_t restarts;
};
/* [exec] Rows of this executor: *cursor starts at 0; false at the end. */
bool sh_exec_actor_row(const sh_exec *x, uint32_t *cursor, struct sh_actor_row *out);

struct sh_exec_stats {
    uint64_t handled;
    uint64_t late_replies; /* to nothing: dropped */
    uint64_t lost;         /* tells that became UNDELIVERED */
    uint64_t events_dropped;
    uint64_t searched; /* links, queued asks and open contexts looked at, to find one */
    uint32_t asks;     /* slots in use */
    uint32_t messages; /* out of this pool */
    uint32_t ready;    /* actors in the run queue */
};
void sh_exec_stats(const sh_exec *x, struct sh_exec_stats *out); /* [exec] */

/* --- stopping the node --- */
/* [any] Gracefully stops every actor; spawning is CLOSED from now on. Ready when sh_runtime_actors
 * is 0: the loop is woken then. */
void sh_runtime_stop_all(sh_runtime *rt, uint64_t token);
bool sh_runtime_stopping(const sh_runtime *rt); /* [any] */

#endif
