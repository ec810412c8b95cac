/* actor/cx.h - actor types, and what a handler may do: the other half of the interface.
 *
 * Shape    a type is a table of hooks with a user pointer; a cx is one message (or hook) being
 *          handled. It stays valid and open while an ask or request of it is out, or between hold
 *          and finish; meanwhile the actor takes no other message unless its type is reentrant.
 * Input    handlers and hooks run only inside sh_exec_turn (init: inside spawn).
 * Units    microseconds; `us` from now on the executor's clock.
 * Threads  cx functions: the thread inside the executor. Promises: any, by sh_runtime_reply.
 * Memory   names and values are lent for the call; what is given is copied. */
#ifndef SH_ACTOR_CX_H
#define SH_ACTOR_CX_H

#include "actor/msg.h"

typedef struct sh_cx sh_cx;
typedef struct sh_type sh_type; /* compiled from a sh_actor_type, read-only, of its runtime */
typedef struct sh_runtime sh_runtime;
typedef struct sh_exec sh_exec;

/* What on_error and on_down decide. BY_DEFAULT: as if there were no such hook. */
enum sh_decision { SH_RESUME = 0, SH_STOP = 1, SH_RESTART_IT = 2, SH_BY_DEFAULT = 3 };

enum { SH_TYPE_REENTRANT = 1u << 0 };

enum sh_down_flags { SH_DOWN_LINK = 1u << 0, SH_DOWN_CHILD = 1u << 1 };

struct sh_actor_type {
    sh_span id;           /* 1..255 bytes; copied, as names are */
    void *ud;             /* first argument of every hook */
    size_t state_size;    /* bytes; zeroed at each (re)start */
    const sh_span *names; /* handler names; index in this table is given to handle */
    size_t name_count;    /* <= 65,535 */
    uint32_t flags;
    int64_t mailbox; /* limit in messages; 0: only memory bounds it; < 0: the runtime's default */
    /* All but handle may be NULL. Return codes: >= 0 fine, < 0 failed (text by sh_cx_fail). Any
     * hook but on_undelivered may ask, request or hold; its answer is then that of the last
     * continuation. */
    int (*init)(void *ud, sh_cx *cx, void *state, sh_span args, void *user);
    /* index -1: no name matches (only called when takes_any). >= 0 without a reply replies nil. */
    int (*handle)(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value);
    bool takes_any; /* handle wants unknown names too (on_message) */
    void (*on_stop)(void *ud, sh_cx *cx, void *state, const struct sh_reason *reason);
    int (*on_error)(void *ud, sh_cx *cx, void *state,
                    const struct sh_result *error); /* enum sh_decision */
    int (*on_down)(
        void *ud, sh_cx *cx, void *state, sh_pid dead, const struct sh_reason *reason,
        unsigned flags); /* enum sh_decision; without it: STOP for a link unless normal */
    void (*on_undelivered)(void *ud, sh_cx *cx, void *state, sh_span name, sh_span value);
};

struct sh_spawn {
    sh_span args;        /* copied, kept for restarts */
    void *user;          /* given to init as it is, again at a restart */
    int64_t mailbox;     /* 0: only memory; < 0: the type's. sh_spawn_init sets -1 */
    sh_pid parent;       /* none: the node's. From a cx: the actor itself */
    sh_pid link;         /* link the new actor with this one before init runs; none: no */
    sh_pid monitor;      /* this one monitors the new actor */
    sh_call_fn *spawned; /* told (on the host executor) when an init that was held ended: result.pid
                            or error */
    void *spawned_ud;
};
void sh_spawn_init(struct sh_spawn *s);

/* A continuation: runs when what was waited for ended, in a killed actor with CANCELLED. */
typedef int sh_then_fn(sh_cx *cx, void *ud, const struct sh_result *result);

/* --- who and what --- */
sh_runtime *sh_cx_runtime(const sh_cx *cx);
sh_exec *sh_cx_exec(const sh_cx *cx);
void *sh_cx_node(const sh_cx *cx); /* cfg.user of the runtime */
void *sh_cx_state(const sh_cx *cx);
void *sh_cx_user(const sh_cx *cx); /* spawn's user pointer */
const sh_type *sh_cx_type(const sh_cx *cx);
sh_pid sh_cx_self(const sh_cx *cx);
sh_pid sh_cx_sender(const sh_cx *cx); /* none outside actors and in hooks */
sh_span sh_cx_name(const sh_cx *cx);  /* of the message; on_error: of the failed one */
sh_span sh_cx_topic(const sh_cx *cx); /* empty: not published */
bool sh_cx_is_ask(const sh_cx *cx);   /* somebody waits for a reply */
uint64_t sh_cx_now_us(const sh_cx *cx);
uint64_t sh_cx_random_u64(const sh_cx *cx);

/* --- answering --- */
/* 0; USAGE: replied or deferred before; LIMIT: no memory. In a tell the value is dropped. */
int sh_cx_reply(sh_cx *cx, sh_span value);
/* Notes the failure and returns SH_E_HANDLER, to be returned by the handler. */
int sh_cx_fail(sh_cx *cx, sh_span text, sh_span type, sh_span value);
/* The message ends before the handler: BAD_VALUE, NO_HANDLER, REFUSED (not_sent, no failure of the
 * actor). Returns code, to be returned by the handler. */
int sh_cx_reject(sh_cx *cx, int code, sh_span text);
/* Detaches the reply: *promise is an address for sh_runtime_reply, from any thread, once. In a tell
 * it is none, and replies to none are dropped. USAGE: replied or deferred before. */
int sh_cx_defer(sh_cx *cx, sh_pid *promise);
/* Hands the asker on; name.n = 0: the same message. As sh_cx_tell; on failure the asker is still
 * ours. UNSUPPORTED: its object cannot go there, or was taken. */
int sh_cx_forward(sh_cx *cx, sh_pid to, sh_span name, sh_span value);
/* Keeps the message open after its handler returned; finish ends that with the code a handler would
 * return. After an actor's final end finish is still due once, and only frees the cx. */
void sh_cx_hold(sh_cx *cx);
void sh_cx_finish(sh_cx *cx, int code);

/* --- sending --- */
/* The tell that nearly every tell is: to an actor of this executor, of a short name and value, with room for it. The
 * name is NUL-terminated and checked here, the value was. Anything but 0: nothing happened, go the long way to do it
 * or to hear why not. */
int sh_cx_tell_fast(sh_cx *cx, sh_pid to, const char *name, sh_span value);
/* Likewise; > 0: call id. */
int64_t sh_cx_ask_fast(sh_cx *cx, sh_pid to, const char *name, sh_span value, uint64_t us,
                       sh_then_fn *then, void *ud);
/* 0; MAILBOX_FULL, NOT_RUNNING, UNREACHABLE, BAD_VALUE (name), LIMIT, CLOSED. */
int sh_cx_tell(sh_cx *cx, sh_pid to, sh_span name, sh_span value);
/* > 0: a call id, then runs once. Negative: not begun, then never runs: USAGE asking oneself while
 * not reentrant; NOT_RUNNING, UNREACHABLE, BAD_VALUE, LIMIT. us = 0: the default timeout. */
int64_t sh_cx_ask(sh_cx *cx, sh_pid to, sh_span name, sh_span value, uint64_t us, sh_then_fn *then,
                  void *ud);
int64_t sh_cx_drain(sh_cx *cx, sh_pid to, uint64_t us, sh_then_fn *then, void *ud);
/* As sh_runtime_request, continued in this message. */
int64_t sh_cx_request(sh_cx *cx, uint32_t op, sh_pid subject, const struct sh_msg_parts *parts,
                      uint64_t us, sh_then_fn *then, void *ud);
/* The continuation then runs with CANCELLED (0.1 s later at most). NOT_FOUND: it has ended. */
int sh_cx_cancel(sh_cx *cx, int64_t call);

/* --- values that are not packed: between actors of the host's executor --- */
/* As sh_cx_tell, sh_cx_ask and sh_cx_reply. UNSUPPORTED, at once: the other side is elsewhere. After any negative
 * code the object is still the caller's. In a tell a reply is dropped within the call. fast: as sh_cx_tell_fast. */
int sh_cx_tell_object(sh_cx *cx, sh_pid to, sh_span name, const sh_object *object);
int sh_cx_tell_object_fast(sh_cx *cx, sh_pid to, const char *name, const sh_object *object);
int64_t sh_cx_ask_object(sh_cx *cx, sh_pid to, sh_span name, const sh_object *object, uint64_t us,
                         sh_then_fn *then, void *ud);
int sh_cx_reply_object(sh_cx *cx, const sh_object *object);
/* Takes the object of the message handled, or of a result; NULL: none, or taken before. */
void *sh_cx_object(sh_cx *cx);
void *sh_result_object(const struct sh_result *result);

/* --- life --- */
int sh_cx_spawn(sh_cx *cx, const sh_type *type, const struct sh_spawn *opt,
                sh_pid *out);             /* same executor */
void sh_cx_stop(sh_cx *cx, sh_span text); /* as a STOP to oneself, told now */
int sh_cx_link(sh_cx *cx, sh_pid other);  /* who is not running is told by on_down, kind gone */
int sh_cx_monitor(sh_cx *cx, sh_pid other);
int sh_cx_unlink(sh_cx *cx, sh_pid other); /* ends link and monitor; no on_down afterwards */

/* --- timers: arrive as a tell from oneself; end with the incarnation. > 0: timer id --- */
int64_t sh_cx_after(sh_cx *cx, uint64_t us, sh_span name, sh_span value);
int64_t sh_cx_every(sh_cx *cx, uint64_t us, sh_span name,
                    sh_span value);               /* skips what it missed; us >= 1000 */
int sh_cx_cancel_timer(sh_cx *cx, int64_t timer); /* 0, NOT_FOUND */

#endif
