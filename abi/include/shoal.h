/* shoal.h - distributed actors: the public interface of the C library.
 *
 * A program makes a node, spawns actors on it and joins a swarm of other programs that do the same.
 * Actors register names; whoever looks a name up may ask or tell the actor as if it were here.
 *
 *   shoal_node_config cfg;
 *   shoal_node_config_init(&cfg, sizeof cfg);
 *   shoal_node *node;
 *   if (shoal_node_new(&cfg, &node) < 0) { puts(shoal_last_error(NULL)); return 1; }
 *   shoal_listen(node, "/ip4/127.0.0.1/tcp/0");
 *   while (running) shoal_poll(node, 1500, 100);
 *   shoal_node_free(node);
 *
 * Conventions, true of every function unless it says otherwise:
 *  - Result: 0 or a count, or a negative SHOAL_E_* code; shoal_last_error(node) then has a
 * sentence.
 *  - Text in: NUL-terminated UTF-8, copied. Text out: NUL-terminated, lent.
 *  - Value: one MessagePack value in shoal_bytes, empty = nil. Lent for the call it comes with,
 * copied by what it is given to.
 *  - Calls: a function that ends in (shoal_fn done, void *ud) returns a call id > 0 or a negative
 * code. With an id, done runs exactly once, in shoal_poll (at the latest in shoal_node_free, as
 * SHOAL_E_CLOSED). done may be NULL. Functions that give many results run done once per item with
 * code 0 and last with SHOAL_END or an error.
 *  - Threads: each function carries a tag. [any] any thread at any time; [owner] one thread at a
 * time, the one that owns the node; [handler] only inside a handler, with the cx given to it.
 *  - Pids are values: copy them freely. One whose actor has ended is an error code at use, never a
 * fault.
 *
 * The header is C99 and C++11 clean and needs no macro, so FFIs can parse it. */
#ifndef SHOAL_H
#define SHOAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SHOAL_API
#if defined(__GNUC__) && !defined(SHOAL_FFI)
#define SHOAL_API __attribute__((visibility("default")))
#else
#define SHOAL_API
#endif
#endif

/* ------------------------------------------------------------------ types */

/* A node: its actors, its connections, its part of the swarm. Owned: free with shoal_node_free. */
typedef struct shoal_node shoal_node;

/* The context of one message in one actor; lent to the handler. */
typedef struct shoal_cx shoal_cx;

/* Names an actor, wherever it lives. All zero: nobody. The fields are not for users: compare with
 * shoal_pid_equal, print with shoal_pid_text. Meaningful only to the node that gave it. */
typedef struct shoal_pid {
    uint64_t actor;
    uint32_t node;
    uint32_t check;
} shoal_pid;

/* Borrowed bytes. As a value: MessagePack; len 0 is nil. */
typedef struct shoal_bytes {
    const void *data;
    size_t len;
} shoal_bytes;

/* The right to answer one deferred ask, later and from any thread. A value; dropping it is
 * harmless: the ask then ends at its deadline. */
typedef struct shoal_promise {
    shoal_pid reply;
    uint64_t cookie;
} shoal_promise;

/* Error codes. Never renumbered. */
enum {
    SHOAL_E_TIMEOUT = -1,      /* the deadline passed */
    SHOAL_E_NOT_FOUND = -2,    /* no live actor of that name, no such type */
    SHOAL_E_NOT_RUNNING = -3,  /* the actor has stopped */
    SHOAL_E_MAILBOX_FULL = -4, /* tell: no room now */
    SHOAL_E_NO_HANDLER = -5,   /* the actor takes no such message */
    SHOAL_E_BAD_VALUE = -6,    /* cannot be sent, or does not fit the handler */
    SHOAL_E_HANDLER = -7,      /* the handler failed */
    SHOAL_E_UNREACHABLE = -8,  /* no route, dial failed, another peer there, connection lost */
    SHOAL_E_REFUSED = -9,      /* not exported to you, or allow, admin say no */
    SHOAL_E_NAME_TAKEN = -10,  /* another actor of this node holds the name */
    SHOAL_E_BAD_ADDRESS = -11, /* malformed, in use, or not ours to bind */
    SHOAL_E_CLOSED = -12,      /* node stopping or stopped */
    SHOAL_E_CANCELLED = -13,   /* you cancelled it */
    SHOAL_E_LIMIT = -14,       /* a limit, or memory; the text names it */
    SHOAL_E_UNSUPPORTED = -15, /* the peer cannot, or it is not built in */
    SHOAL_E_USAGE = -16,       /* wrong thread, waiting where nothing can, not your actor */
    SHOAL_END = 1              /* the last result of a call that gives many */
};

/* How far a failed message got. NOT_SENT is safe to retry. */
enum {
    SHOAL_NOT_SENT = 1, /* surely not handled */
    SHOAL_UNKNOWN = 2,  /* may have been handled */
    SHOAL_HANDLED = 3   /* the handler ran */
};

/* Why an actor ended. */
enum {
    SHOAL_NORMAL = 0,    /* stopped */
    SHOAL_KILLED = 1,    /* killed */
    SHOAL_ERROR = 2,     /* a handler or the start hook failed */
    SHOAL_LINK_DIED = 3, /* an actor it was linked to died */
    SHOAL_PEER_LOST = 4, /* its node is dead or cut off */
    SHOAL_RESTART = 5,   /* over its restart budget */
    SHOAL_GONE = 6       /* it had ended before we looked */
};

/* Answers of on_error and on_down. 2 is kept for a restart. */
enum {
    SHOAL_RESUME = 0, /* go on with the state as it is */
    SHOAL_STOP = 1,   /* stop the actor */
    SHOAL_DEFAULT =
        3 /* as without the hook: after a failed tell, or the death of a link unless normal, stop; else go on */
};

/* Kinds of a value, as shoal_kind tells. */
enum {
    SHOAL_KIND_NONE = 0, /* not a value: malformed, or past the end */
    SHOAL_KIND_NIL = 1,
    SHOAL_KIND_BOOL = 2,
    SHOAL_KIND_INT = 3,
    SHOAL_KIND_FLOAT = 4,
    SHOAL_KIND_TEXT = 5,
    SHOAL_KIND_BYTES = 6,
    SHOAL_KIND_LIST = 7,
    SHOAL_KIND_MAP = 8,
    SHOAL_KIND_REF = 9
};

/* Flags. */
enum {
    SHOAL_REENTRANT = 1, /* actor type: takes the next message while one is held open */
    SHOAL_ON_HOST =
        2, /* spawn: run on the host's executor (inside shoal_poll), not on the node's loop */
    SHOAL_FOLLOW = 4 /* lookup_all: go on as new ones appear, until cancelled */
};

/* Log levels, and what dht may be. */
enum {
    SHOAL_LOG_OFF = 0,
    SHOAL_LOG_ERROR = 1,
    SHOAL_LOG_WARN = 2,
    SHOAL_LOG_INFO = 3,
    SHOAL_LOG_DEBUG = 4
};
enum { SHOAL_DHT_AUTO = 0, SHOAL_DHT_SERVER = 1, SHOAL_DHT_CLIENT = 2, SHOAL_DHT_OFF = 3 };

/* Why an actor ended: kind SHOAL_NORMAL .. SHOAL_GONE, text (never NULL) for people, pid: the actor
 * that caused it (SHOAL_LINK_DIED), else nobody. Lent. */
typedef struct shoal_reason {
    int kind;
    const char *text;
    shoal_pid pid;
} shoal_reason;

/* The end of a call. Lent to the callback; shoal_keep makes an owned copy. */
typedef struct shoal_result {
    int code;            /* 0, SHOAL_END, or SHOAL_E_* */
    int delivery;        /* of a failure: SHOAL_NOT_SENT, SHOAL_UNKNOWN, SHOAL_HANDLED; else 0 */
    const char *text;    /* of a failure: a sentence; never NULL */
    const char *type;    /* of SHOAL_E_HANDLER: the failing side's class of error, or "" */
    shoal_bytes value;   /* reply; value of a handler error; rows of info; peer id text of dial */
    shoal_pid pid;       /* actor found (lookup) */
    shoal_reason reason; /* of stop and done */
} shoal_result;

/* The end of a call. ud: what the call was given. */
typedef void (*shoal_fn)(void *ud, const shoal_result *result);

/* One message handler. 0 or more: done (replies nil if nothing was replied or deferred). Negative:
 * a handler error (return shoal_fail(cx, "text")); SHOAL_E_BAD_VALUE and SHOAL_E_NO_HANDLER mean
 * that the message did not fit: no failure of the actor. */
typedef int (*shoal_handler_fn)(shoal_cx *cx, void *state, shoal_bytes value);

/* Continues a message after shoal_cx_ask or shoal_cx_lookup; result as a handler's. */
typedef int (*shoal_then_fn)(shoal_cx *cx, void *ud, const shoal_result *result);

/* A row of a handler table. The size of this struct never changes. */
typedef struct shoal_handler {
    const char *name; /* 1..255 bytes */
    shoal_handler_fn fn;
} shoal_handler;

/* A kind of actor. Borrowed: it and what it points to must outlive the node. */
typedef struct shoal_actor_type {
    uint32_t struct_size;          /* sizeof(shoal_actor_type) */
    uint32_t flags;                /* SHOAL_REENTRANT */
    const char *id;                /* 1..255 bytes; Kameo's remote actor id */
    size_t state_size;             /* bytes of state, zeroed before init; may be 0 */
    const shoal_handler *handlers; /* may be NULL if handler_count is 0 */
    size_t handler_count;
    uint32_t mailbox;  /* messages that may wait; 0: the node's; UINT32_MAX: only memory */
    uint32_t reserved; /* 0 */
    /* Hooks, each may be NULL. */
    int (*init)(shoal_cx *cx, void *state,
                shoal_bytes args); /* negative: spawn fails with SHOAL_E_HANDLER */
    void (*on_stop)(shoal_cx *cx, void *state,
                    const shoal_reason *reason); /* once per init that succeeded */
    int (*on_error)(shoal_cx *cx, void *state,
                    const shoal_result *error); /* SHOAL_RESUME, SHOAL_STOP, SHOAL_DEFAULT */
    int (*on_down)(shoal_cx *cx, void *state, shoal_pid pid,
                   const shoal_reason *reason); /* link or monitor ended */
    int (*on_message)(shoal_cx *cx, void *state, const char *name,
                      shoal_bytes value); /* what no handler takes */
    void (*on_undelivered)(shoal_cx *cx, void *state, const char *name,
                           shoal_bytes value); /* left at its end */
} shoal_actor_type;

/* How to spawn. */
typedef struct shoal_spawn_options {
    uint32_t struct_size; /* sizeof(shoal_spawn_options) */
    uint32_t flags;       /* SHOAL_ON_HOST */
    shoal_bytes args;     /* value for init; copied */
    void *user;           /* shoal_cx_user; not touched */
    shoal_pid parent;     /* nobody: the node; else the new actor stops with this one (same node) */
    shoal_pid link;       /* link to this actor, or nobody */
    shoal_pid monitor;    /* this actor monitors the new one, or nobody */
    uint32_t mailbox;     /* messages that may wait; 0: the type's; UINT32_MAX: only memory */
    uint32_t reserved;    /* 0 */
} shoal_spawn_options;

/* Options of a node. Fill with shoal_node_config_init, then change what you want. All is copied. */
typedef struct shoal_node_config {
    uint32_t struct_size;
    uint32_t threads; /* 0: inline, all runs inside shoal_poll; 1: the network on its own thread */
    const char *const *listen; /* multiaddrs to listen on */
    size_t listen_count;
    const char *const *announce; /* multiaddrs to publish instead of those listened on */
    size_t announce_count;
    const char *const *dial; /* multiaddrs to keep dialled */
    size_t dial_count;
    const char *key; /* path of the identity (created if absent, mode 0600); NULL: a new one */
    const char *const *allow; /* peer ids that may connect; none: everyone */
    size_t allow_count;
    const char *const
        *admin; /* peer ids, or "all", that may info this node, stop and kill its actors */
    size_t admin_count;
    /* Messages that may wait in an actor; default 1024; 0: only memory. Counted for senders of its own executor and
     * for all others each, so both together can reach twice that. */
    uint32_t mailbox;
    int dht;                  /* SHOAL_DHT_* */
    uint32_t ask_timeout_ms;  /* default 5000 */
    uint32_t stop_timeout_ms; /* default 5000 */
    uint32_t peer_timeout_ms; /* silence that counts as death; default 10000 */
    uint32_t max_message;     /* bytes of one value; default 1 MiB */
    uint32_t max_peers;       /* connected at once; default 512 */
    uint32_t max_actors;      /* default 2^20 */
    uint32_t max_asks;        /* in flight; default 65536 */
    uint32_t spin_us;         /* a waiting poll looks so long after traffic; default 20; 0: never */
    int log_level;            /* SHOAL_LOG_*; default SHOAL_LOG_WARN */
    void (*on_log)(void *ud, int level,
                   const char *text); /* NULL: stderr. Called from any thread of the node */
    void *log_ud;
    /* Runs in shoal_poll. event: "listening", "peer_up", ...; info: a map of what belongs to it. */
    void (*on_event)(void *ud, const char *event, shoal_bytes info);
    void *event_ud;
    /* Memory. NULL: the C library's. As realloc, with the old size; new_size 0 frees. With threads
     * it is called from several threads at once. */
    void *(*resize)(void *ud, void *ptr, size_t old_size, size_t new_size);
    void *memory_ud;
} shoal_node_config;

/* ------------------------------------------------------------------ node */

/* Fills cfg with the defaults. cfg: to fill; struct_size: sizeof(shoal_node_config) of the caller.
 * [any] Errors: none; a NULL cfg is ignored. Since 0.1.0 */
SHOAL_API void shoal_node_config_init(shoal_node_config *cfg, size_t struct_size);

/* Makes a node; listens and dials as cfg says. cfg: NULL for the defaults; node: out, owned by the
 * caller.
 * [any] Errors: SHOAL_E_BAD_ADDRESS (a multiaddr is malformed or in use), SHOAL_E_BAD_VALUE (an
 * option), SHOAL_E_REFUSED (the key file cannot be read or made), SHOAL_E_LIMIT (memory, threads,
 * descriptors), SHOAL_E_USAGE. On an error *node is NULL and shoal_last_error(NULL) says more.
 * Since 0.1.0 */
SHOAL_API int shoal_node_new(const shoal_node_config *cfg, shoal_node **node);

/* Ends a node at once: peers see it lost, on_stop runs in every actor, calls still out end as
 * SHOAL_E_CLOSED in here. node: may be NULL; invalid afterwards. Not from a handler or callback.
 * [owner] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_node_free(shoal_node *node);

/* Stops gracefully: no new work, accepted asks answered, actors stopped, peers told. After done
 * the node only waits for shoal_node_free. timeout_ms: 0 = the node's stop_timeout_ms; what is
 * left then is dropped. A second call means now. done: result code 0, or SHOAL_E_TIMEOUT when
 * something was dropped. Goes on only while the node is polled (or has a thread). ud: for done.
 * [any] Errors: SHOAL_E_CLOSED, SHOAL_E_LIMIT. Since 0.1.0 */
SHOAL_API int64_t shoal_node_stop(shoal_node *node, uint32_t timeout_ms, shoal_fn done, void *ud);

/* Listens on a multiaddr, e.g. "/ip4/127.0.0.1/tcp/0"; returns when bound. shoal_address tells the
 * port.
 * [any] Errors: SHOAL_E_BAD_ADDRESS, SHOAL_E_UNSUPPORTED (a transport not built in),
 * SHOAL_E_LIMIT, SHOAL_E_CLOSED, SHOAL_E_USAGE (in a handler on the node's own thread). Source:
 * multiformats/multiaddr. Since 0.1.0 */
SHOAL_API int shoal_listen(shoal_node *node, const char *multiaddr);

/* Connects to a multiaddr once. done: value = the peer id as text. node: that dials; ud: for done.
 * [any] Errors: SHOAL_E_BAD_ADDRESS, SHOAL_E_UNSUPPORTED, SHOAL_E_CLOSED, SHOAL_E_LIMIT; to done:
 * SHOAL_E_UNREACHABLE, SHOAL_E_TIMEOUT, SHOAL_E_REFUSED (not in allow). Source: libp2p
 * connections. Since 0.1.0 */
SHOAL_API int64_t shoal_dial(shoal_node *node, const char *multiaddr, shoal_fn done, void *ud);

/* The node's peer id as text. buf: receives it with a NUL; cap: bytes of buf.
 * [any] Returns its length. Errors: SHOAL_E_LIMIT (cap too small; 64 is ample). Source: libp2p
 * peer-ids. Since 0.1.0 */
SHOAL_API int shoal_peer_id(shoal_node *node, char *buf, size_t cap);

/* The index-th address of the node, ending in /p2p/<peer id>. index: from 0; buf, cap: as
 * shoal_peer_id.
 * [any] Returns its length. Errors: SHOAL_E_NOT_FOUND (no such index), SHOAL_E_LIMIT (cap too
 * small). Since 0.1.0 */
SHOAL_API int shoal_address(shoal_node *node, size_t index, char *buf, size_t cap);

/* Runs what is due: the network (inline nodes), handlers of the host's actors, callbacks.
 * budget_us: stop taking new messages after this long, 0 = no bound but one round; wait_ms: wait
 * up to this long for the first thing to do, 0 = do not wait, negative = until there is something.
 * node: to run.
 * [owner] Returns messages and callbacks handled. Errors: SHOAL_E_USAGE (inside a handler, or
 * another thread is in it), SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_poll(shoal_node *node, int64_t budget_us, int64_t wait_ms);

/* How many messages and callbacks wait for the host's next shoal_poll. node: to ask.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API size_t shoal_backlog(shoal_node *node);

/* A descriptor that is readable while shoal_poll has something to do; level-triggered; not to be
 * read or closed. Also call shoal_poll when shoal_next_timeout_ms has passed. node: it stays the
 * same for the life of it.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API int shoal_fd(shoal_node *node);

/* Milliseconds until shoal_poll must be called even if shoal_fd stays silent; 0: now, -1: never.
 * node: to ask.
 * [owner] Errors: none. Since 0.1.0 */
SHOAL_API int64_t shoal_next_timeout_ms(shoal_node *node);

/* Makes a waiting shoal_poll return. node: to wake. [any] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_wake(shoal_node *node);

/* A shoal_fn that keeps a copy of the result: give it as done with ud = the address of a
 * shoal_result pointer set to NULL. Free the copy with shoal_result_free. ud: shoal_result **;
 * result: copied.
 * [any] Errors: none; without memory a fixed result of SHOAL_E_LIMIT is kept. Since 0.1.0 */
SHOAL_API void shoal_keep(void *ud, const shoal_result *result);

/* Polls until *result is there, or blocks if another thread polls. result: what shoal_keep fills.
 * node: that will bring the result.
 * [any] Returns (*result)->code. Errors: SHOAL_E_USAGE (inside a handler). Since 0.1.0 */
SHOAL_API int shoal_wait(shoal_node *node, shoal_result *const *result);

/* Frees what shoal_keep made. result: may be NULL. [any] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_result_free(shoal_result *result);

/* Cancels a call: its done runs with SHOAL_E_CANCELLED, unless it has ended already. call: the id
 * it gave. A message not yet begun is withdrawn (delivery SHOAL_NOT_SENT); a begun one runs on. 0
 * does not say that the call was still open: another thread may be ending it. node: that gave the
 * id.
 * [any] Errors: SHOAL_E_NOT_FOUND (surely no such call, or ended). Since 0.1.0 */
SHOAL_API int shoal_cancel(shoal_node *node, int64_t call);

/* Tells about a node. what: "actors", "peers", "names" or "routing"; peer: NULL for this node,
 * else the peer id (text) of another that lists us as admin. done: value = a list of maps. node:
 * that asks; ud: for done.
 * [any] Errors: SHOAL_E_BAD_VALUE (unknown what), SHOAL_E_CLOSED, SHOAL_E_LIMIT; to done:
 * SHOAL_E_REFUSED, SHOAL_E_UNREACHABLE, SHOAL_E_TIMEOUT. Since 0.1.0 */
SHOAL_API int64_t shoal_info(shoal_node *node, const char *what, const char *peer, shoal_fn done,
                             void *ud);

/* ------------------------------------------------------------------ actors */

/* Makes an actor and runs its init. type: borrowed for the node's life; options: NULL for the
 * defaults; pid: out. With threads 1 an actor lives on the node's thread unless spawned
 * SHOAL_ON_HOST.
 * [any] Errors: SHOAL_E_HANDLER (init failed), SHOAL_E_LIMIT (max_actors, memory),
 * SHOAL_E_BAD_VALUE (type, args), SHOAL_E_NOT_RUNNING (parent), SHOAL_E_USAGE (onto the host from
 * the node's thread), SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_spawn(shoal_node *node, const shoal_actor_type *type,
                          const shoal_spawn_options *options, shoal_pid *pid);

/* Asks an actor to stop: it takes nothing new, what is queued is handled, on_stop runs. pid: of this
 * node, or of a node that lists us as admin. done: reason. node: that asks; ud: for done.
 * [any] Errors: SHOAL_E_NOT_RUNNING, SHOAL_E_CLOSED, SHOAL_E_LIMIT; to done: SHOAL_E_REFUSED,
 * SHOAL_E_UNREACHABLE. Since 0.1.0 */
SHOAL_API int64_t shoal_stop(shoal_node *node, shoal_pid pid, shoal_fn done, void *ud);

/* Ends an actor as soon as its handler next returns or waits; what is queued is not handled. pid:
 * as shoal_stop. node: that asks. Without memory an actor of this node ends all the same.
 * [any] Errors: SHOAL_E_NOT_RUNNING, SHOAL_E_UNREACHABLE, SHOAL_E_CLOSED; SHOAL_E_LIMIT: pid is of
 * another node, and no memory. Since 0.1.0 */
SHOAL_API int shoal_kill(shoal_node *node, shoal_pid pid);

/* Waits for the end of an actor, anywhere. done: code 0 and reason (SHOAL_GONE: it had ended
 * before). node: that waits; pid: the actor; ud: for done.
 * [any] Errors: SHOAL_E_CLOSED, SHOAL_E_LIMIT. Since 0.1.0 */
SHOAL_API int64_t shoal_done(shoal_node *node, shoal_pid pid, shoal_fn done, void *ud);

/* Links two actors: when one ends, the other's on_down is told; without a hook it stops too,
 * unless the reason is SHOAL_NORMAL. a: an actor of this node; b: any.
 * [any] Errors: SHOAL_E_NOT_RUNNING (a), SHOAL_E_USAGE (a is not of this node), SHOAL_E_LIMIT,
 * SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_link(shoal_node *node, shoal_pid a, shoal_pid b);

/* Lets watcher's on_down be told, once, when watched ends. watcher: an actor of this node;
 * watched: any.
 * [any] Errors: SHOAL_E_NOT_RUNNING (watcher), SHOAL_E_USAGE (watcher is not of this node),
 * SHOAL_E_LIMIT, SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_monitor(shoal_node *node, shoal_pid watcher, shoal_pid watched);

/* Ends the link and the monitor of a on b; nothing happens if there is none. a: an actor of this
 * node; b: any.
 * [any] Errors: SHOAL_E_USAGE (a is not of this node), SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_unlink(shoal_node *node, shoal_pid a, shoal_pid b);

/* A pid as text, "<16 hex>@<peer id>"; any node reads it back. buf, cap: receive it with a NUL;
 * 128 is ample.
 * [any] Returns its length. Errors: SHOAL_E_LIMIT (cap), SHOAL_E_UNREACHABLE (its peer was
 * forgotten), SHOAL_E_BAD_VALUE (nobody). Since 0.1.0 */
SHOAL_API int shoal_pid_text(shoal_node *node, shoal_pid pid, char *buf, size_t cap);

/* Reads what shoal_pid_text wrote, here or elsewhere. text: it; pid: out. node: that will use the
 * pid.
 * [any] Errors: SHOAL_E_BAD_VALUE (malformed), SHOAL_E_LIMIT (peer table full). Since 0.1.0 */
SHOAL_API int shoal_pid_parse(shoal_node *node, const char *text, shoal_pid *pid);

/* Whether two pids name the same actor. a, b: of the same node's giving.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API bool shoal_pid_equal(shoal_pid a, shoal_pid b);

/* ------------------------------------------------------------------ names */

/* Registers a name for an actor of this node until unregistered or its end. pid: the actor; name:
 * 1..255 bytes of UTF-8 without ":meta:", not beginning with "shoal.". done: when the name can be
 * found by others (alone: at once). node: of the actor; ud: for done.
 * [any] Errors: SHOAL_E_BAD_VALUE (name), SHOAL_E_USAGE (not of this node), SHOAL_E_CLOSED,
 * SHOAL_E_LIMIT; to done: SHOAL_E_NAME_TAKEN, SHOAL_E_NOT_RUNNING, SHOAL_E_TIMEOUT (it goes on
 * trying). Source: Kameo 0.22 registry over libp2p kad-dht. Since 0.1.0 */
SHOAL_API int64_t shoal_register(shoal_node *node, shoal_pid pid, const char *name, shoal_fn done,
                                 void *ud);

/* Gives a name up. pid: the actor that holds it; name: it. node: of the actor.
 * [any] Errors: SHOAL_E_NOT_FOUND (it does not hold it), SHOAL_E_USAGE, SHOAL_E_CLOSED. Since
 * 0.1.0 */
SHOAL_API int shoal_unregister(shoal_node *node, shoal_pid pid, const char *name);

/* Finds a live actor of that name, this node's first. timeout_ms: go on looking until then; 0: one
 * pass. done: pid. node: that looks; name: as shoal_register; ud: for done.
 * [any] Errors: SHOAL_E_BAD_VALUE (name), SHOAL_E_CLOSED, SHOAL_E_LIMIT; to done:
 * SHOAL_E_NOT_FOUND. Source: libp2p kad-dht GET_PROVIDERS, GET_VALUE. Since 0.1.0 */
SHOAL_API int64_t shoal_lookup(shoal_node *node, const char *name, uint32_t timeout_ms,
                               shoal_fn done, void *ud);

/* Finds each live actor of that name once. timeout_ms: as shoal_lookup; flags: SHOAL_FOLLOW. done:
 * once per actor with code 0 and pid, last SHOAL_END. node: that looks; name: as shoal_register;
 * ud: for done.
 * [any] Errors: as shoal_lookup. Since 0.1.0 */
SHOAL_API int64_t shoal_lookup_all(shoal_node *node, const char *name, uint32_t timeout_ms,
                                   uint32_t flags, shoal_fn done, void *ud);

/* ------------------------------------------------------------------ messages */

/* Sends a message and goes on; never waits. pid: to whom; name: 1..255 bytes; value: copied. A
 * loss that is known only later is the node's "undelivered" event.
 * [any] Errors: SHOAL_E_MAILBOX_FULL, SHOAL_E_NOT_RUNNING, SHOAL_E_BAD_VALUE (name, malformed
 * value, too deep), SHOAL_E_LIMIT (over max_message, memory), SHOAL_E_UNREACHABLE (its peer was
 * forgotten), SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_tell(shoal_node *node, shoal_pid pid, const char *name, shoal_bytes value);

/* Sends a message and waits for its reply. node: that asks; pid: to whom; name: of the message;
 * value: copied; timeout_ms: 0 = the node's ask_timeout_ms; ud: for done. done: value = the reply, or
 * a failure with its delivery, by the deadline.
 * [any] Errors: SHOAL_E_BAD_VALUE, SHOAL_E_LIMIT (max_asks, max_message, memory), SHOAL_E_CLOSED,
 * SHOAL_E_USAGE (an actor asks itself), SHOAL_E_NOT_RUNNING, SHOAL_E_UNREACHABLE (known at once); to
 * done: any code. Since 0.1.0 */
SHOAL_API int64_t shoal_ask(shoal_node *node, shoal_pid pid, const char *name, shoal_bytes value,
                            uint32_t timeout_ms, shoal_fn done, void *ud);

/* Waits until this node's earlier tells to pid are in its mailbox. timeout_ms: 0 = ask_timeout_ms.
 * done: the first loss since the last drain to that actor, or 0. node: that told; pid: to whom;
 * ud: for done.
 * [any] Errors: SHOAL_E_CLOSED, SHOAL_E_LIMIT; to done: SHOAL_E_TIMEOUT, SHOAL_E_NOT_RUNNING,
 * SHOAL_E_UNREACHABLE, ... Since 0.1.0 */
SHOAL_API int64_t shoal_drain(shoal_node *node, shoal_pid pid, uint32_t timeout_ms, shoal_fn done,
                              void *ud);

/* ------------------------------------------------------------------ in a handler */

/* The node of this actor. cx: of the handler. [handler] Errors: none. Since 0.1.0 */
SHOAL_API shoal_node *shoal_cx_node(shoal_cx *cx);

/* This actor. cx: of the handler. [handler] Errors: none. Since 0.1.0 */
SHOAL_API shoal_pid shoal_cx_self(shoal_cx *cx);

/* Who sent the message; nobody if it came from outside actors. cx: of the handler.
 * [handler] Errors: none. Since 0.1.0 */
SHOAL_API shoal_pid shoal_cx_sender(shoal_cx *cx);

/* The state of this actor: state_size bytes. cx: of the handler.
 * [handler] Errors: none. Since 0.1.0 */
SHOAL_API void *shoal_cx_state(shoal_cx *cx);

/* The name of the message; "" in hooks. cx: of the handler. [handler] Errors: none. Since 0.1.0 */
SHOAL_API const char *shoal_cx_name(shoal_cx *cx);

/* The user pointer given at spawn. cx: of the handler. [handler] Errors: none. Since 0.1.0 */
SHOAL_API void *shoal_cx_user(shoal_cx *cx);

/* As shoal_tell, with this actor as sender. cx: of the handler; pid, name, value: as shoal_tell.
 * [handler] Errors: as shoal_tell. Since 0.1.0 */
SHOAL_API int shoal_cx_tell(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value);

/* Asks and keeps the message open until then has run (the actor takes no other message meanwhile,
 * unless SHOAL_REENTRANT). cx: of the handler; pid, name, value, timeout_ms: as shoal_ask; then:
 * always runs, in a killed actor with SHOAL_E_CANCELLED; ud: for then.
 * [handler] Returns a call id > 0. Errors: as shoal_ask. Since 0.1.0 */
SHOAL_API int64_t shoal_cx_ask(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value,
                               uint32_t timeout_ms, shoal_then_fn then, void *ud);

/* Looks a name up and keeps the message open until then has run. cx: of the handler; name,
 * timeout_ms: as shoal_lookup; then, ud: as shoal_cx_ask.
 * [handler] Errors: as shoal_lookup. Since 0.1.0 */
SHOAL_API int64_t shoal_cx_lookup(shoal_cx *cx, const char *name, uint32_t timeout_ms,
                                  shoal_then_fn then, void *ud);

/* Stops this actor after this message. cx: of the handler; text: for the reason, may be NULL.
 * [handler] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_cx_stop(shoal_cx *cx, const char *text);

/* Replies now. cx: of the handler; value: copied.
 * [handler] Errors: SHOAL_E_USAGE (already replied, deferred or forwarded), SHOAL_E_BAD_VALUE,
 * SHOAL_E_LIMIT. For a tell it does nothing. Since 0.1.0 */
SHOAL_API int shoal_reply(shoal_cx *cx, shoal_bytes value);
/* Replies nil. cx: of the handler. [handler] Errors: as shoal_reply. Since 0.1.0 */
SHOAL_API int shoal_reply_nil(shoal_cx *cx);
/* Replies an integer. cx: of the handler; value: it.
 * [handler] Errors: as shoal_reply. Since 0.1.0 */
SHOAL_API int shoal_reply_i64(shoal_cx *cx, int64_t value);
/* Replies a float. cx: of the handler; value: it. [handler] Errors: as shoal_reply. Since 0.1.0 */
SHOAL_API int shoal_reply_f64(shoal_cx *cx, double value);
/* Replies text. cx: of the handler; text: UTF-8. [handler] Errors: as shoal_reply. Since 0.1.0 */
SHOAL_API int shoal_reply_text(shoal_cx *cx, const char *text);

/* Sets the text of this handler's failure. cx: of the handler; text: copied.
 * [handler] Returns SHOAL_E_HANDLER, for `return shoal_fail(cx, "...")`. Errors: none. Since 0.1.0 */
SHOAL_API int shoal_fail(shoal_cx *cx, const char *text);

/* As shoal_fail, with the class of the error and a value of it. cx: of the handler; text: a
 * sentence; type: class name or NULL; value: empty for none.
 * [handler] Returns SHOAL_E_HANDLER. Errors: none. Since 0.1.0 */
SHOAL_API int shoal_fail_with(shoal_cx *cx, const char *text, const char *type, shoal_bytes value);

/* Takes the right to answer away from this handler and opens the mailbox. cx: of the handler;
 * promise: out.
 * [handler] Errors: SHOAL_E_USAGE (a tell, or already replied, deferred, forwarded). Since 0.1.0 */
SHOAL_API int shoal_defer(shoal_cx *cx, shoal_promise *promise);

/* Answers a deferred ask. promise: from shoal_defer; value: copied. A second answer, or one after
 * the asker's deadline, is dropped. node: that gave the promise.
 * [any] Errors: SHOAL_E_BAD_VALUE, SHOAL_E_LIMIT, SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_promise_reply(shoal_node *node, shoal_promise promise, shoal_bytes value);

/* Fails a deferred ask as a handler error. promise: from shoal_defer; text: a sentence. node: that
 * gave the promise.
 * [any] Errors: SHOAL_E_LIMIT, SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_promise_fail(shoal_node *node, shoal_promise promise, const char *text);

/* Hands this message, and its asker, to another actor. cx: of the handler; pid: to whom; name:
 * NULL = the same message (value is ignored); value: copied.
 * [handler] Errors: SHOAL_E_USAGE (already replied or deferred), else as shoal_tell. Since 0.1.0 */
SHOAL_API int shoal_forward(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value);

/* Keeps this message open, and cx valid, after the handler returned, until shoal_finish. cx: of
 * the handler.
 * [handler] Errors: SHOAL_E_USAGE (in a hook that cannot wait). Since 0.1.0 */
SHOAL_API int shoal_hold(shoal_cx *cx);

/* Ends a held message as a handler's return of code would; cx is invalid afterwards. cx: held;
 * code: as a handler's result. On the actor's executor only, outside or inside a handler.
 * [handler] Errors: SHOAL_E_USAGE (not held). Since 0.1.0 */
SHOAL_API int shoal_finish(shoal_cx *cx, int code);

/* Sends this actor a message once, later. cx: of the handler; ms: from now; name, value: copied.
 * Ends with the actor.
 * [handler] Returns a timer id > 0. Errors: SHOAL_E_BAD_VALUE, SHOAL_E_LIMIT. Since 0.1.0 */
SHOAL_API int64_t shoal_after(shoal_cx *cx, uint64_t ms, const char *name, shoal_bytes value);

/* Sends this actor a message again and again; a tick that finds the last one unhandled is skipped.
 * cx: of the handler; ms: between them, at least 1; name, value: copied.
 * [handler] Returns a timer id > 0. Errors: as shoal_after. Since 0.1.0 */
SHOAL_API int64_t shoal_every(shoal_cx *cx, uint64_t ms, const char *name, shoal_bytes value);

/* Ends a timer. cx: of the handler; timer: its id.
 * [handler] Errors: SHOAL_E_NOT_FOUND (ended). Since 0.1.0 */
SHOAL_API int shoal_cancel_timer(shoal_cx *cx, int64_t timer);

/* The node's monotonic clock, microseconds. cx: of the handler.
 * [handler] Errors: none. Since 0.1.0 */
SHOAL_API uint64_t shoal_now_us(shoal_cx *cx);

/* A random number. cx: of the handler. [handler] Errors: none. Since 0.1.0 */
SHOAL_API uint64_t shoal_random_u64(shoal_cx *cx);

/* ------------------------------------------------------------------ values: writing */

/* Writes one value. Errors stick: check once, with shoal_packed. The fields are not for users. */
typedef struct shoal_pack {
    unsigned char *data;
    size_t len, cap;
    unsigned char *heap; /* what pack_free frees */
    int error;
} shoal_pack;

/* Begins. p: to fill; buf, cap: room to use first (the heap when full), or NULL, 0.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_pack_init(shoal_pack *p, void *buf, size_t cap);
/* Ends: frees the heap if used. p: may be used again after shoal_pack_init.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_pack_free(shoal_pack *p);
/* What was written, lent until the next call on p; empty after an error. p: it.
 * [any] Errors: none (p->error is it). Since 0.1.0 */
SHOAL_API shoal_bytes shoal_packed(const shoal_pack *p);
/* The first error of p: 0, SHOAL_E_BAD_VALUE or SHOAL_E_LIMIT. p: it.
 * [any] Errors: itself. Since 0.1.0 */
SHOAL_API int shoal_pack_error(const shoal_pack *p);
/* Writes nil. p: to. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_nil(shoal_pack *p);
/* Writes a bool. p: to; value: it. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_bool(shoal_pack *p, bool value);
/* Writes an integer. p: to; value: it. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_i64(shoal_pack *p, int64_t value);
/* Writes an integer up to 2^64-1. p: to; value: it. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_u64(shoal_pack *p, uint64_t value);
/* Writes a float. p: to; value: it. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_f64(shoal_pack *p, double value);
/* Writes text. p: to; text: UTF-8; len: its bytes.
 * [any] Errors: stick in p (SHOAL_E_BAD_VALUE: not UTF-8). Since 0.1.0 */
SHOAL_API void shoal_put_text(shoal_pack *p, const char *text, size_t len);
/* Writes bytes. p: to; data: them; len: how many. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_bytes(shoal_pack *p, const void *data, size_t len);
/* Begins a list; n values must follow. p: to; n: how many. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_list(shoal_pack *p, uint32_t n);
/* Begins a map; n pairs of key and value must follow. p: to; n: how many.
 * [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_map(shoal_pack *p, uint32_t n);
/* Writes a text key. p: to; key: NUL-terminated. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_key(shoal_pack *p, const char *key);
/* Writes a reference to an actor, which exports it. p: to; node: of pid; pid: it.
 * [any] Errors: stick in p (SHOAL_E_UNREACHABLE: its peer was forgotten). Since 0.1.0 */
SHOAL_API void shoal_put_ref(shoal_pack *p, shoal_node *node, shoal_pid pid);
/* Writes a ready value. p: to; value: it. [any] Errors: stick in p. Since 0.1.0 */
SHOAL_API void shoal_put_value(shoal_pack *p, shoal_bytes value);

/* ------------------------------------------------------------------ values: reading */

/* The kind of a value, SHOAL_KIND_*. value: it. [any] Errors: none. Since 0.1.0 */
SHOAL_API int shoal_kind(shoal_bytes value);
/* Reads a bool. value: it; out: receives it.
 * [any] Errors: SHOAL_E_BAD_VALUE (another kind). Since 0.1.0 */
SHOAL_API int shoal_as_bool(shoal_bytes value, bool *out);
/* Reads an integer. value: it; out: receives it.
 * [any] Errors: SHOAL_E_BAD_VALUE (another kind, or over 2^63-1). Since 0.1.0 */
SHOAL_API int shoal_as_i64(shoal_bytes value, int64_t *out);
/* Reads an integer from 0. value: it; out: receives it.
 * [any] Errors: SHOAL_E_BAD_VALUE (another kind, or negative). Since 0.1.0 */
SHOAL_API int shoal_as_u64(shoal_bytes value, uint64_t *out);
/* Reads a float; an integer is taken if exact. value: it; out: receives it.
 * [any] Errors: SHOAL_E_BAD_VALUE. Since 0.1.0 */
SHOAL_API int shoal_as_f64(shoal_bytes value, double *out);
/* Reads text, lent, not NUL-terminated. value: it; out: receives it.
 * [any] Errors: SHOAL_E_BAD_VALUE. Since 0.1.0 */
SHOAL_API int shoal_as_text(shoal_bytes value, shoal_bytes *out);
/* Reads bytes, lent. value: it; out: receives them. [any] Errors: SHOAL_E_BAD_VALUE. Since 0.1.0 */
SHOAL_API int shoal_as_bytes(shoal_bytes value, shoal_bytes *out);
/* Reads a reference. node: that will use it; value: it; out: receives the pid.
 * [any] Errors: SHOAL_E_BAD_VALUE, SHOAL_E_LIMIT (peer table full). Since 0.1.0 */
SHOAL_API int shoal_as_ref(shoal_node *node, shoal_bytes value, shoal_pid *out);
/* The value of a text key; kind NONE if absent. map: it; key: NUL-terminated.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API shoal_bytes shoal_field(shoal_bytes map, const char *key);
/* An integer under a key, or otherwise. map: it; key: NUL-terminated; otherwise: if absent or of
 * another kind.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API int64_t shoal_field_i64(shoal_bytes map, const char *key, int64_t otherwise);
/* A number under a key, or otherwise. Arguments as shoal_field_i64. map, key, otherwise: likewise.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API double shoal_field_f64(shoal_bytes map, const char *key, double otherwise);
/* A bool under a key, or otherwise. Arguments as shoal_field_i64. map, key, otherwise: likewise.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API bool shoal_field_bool(shoal_bytes map, const char *key, bool otherwise);
/* Text under a key (lent, not NUL-terminated), or otherwise. Arguments as shoal_field_i64;
 * otherwise: NUL-terminated or NULL. map, key: likewise.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API shoal_bytes shoal_field_text(shoal_bytes map, const char *key, const char *otherwise);
/* A reference under a key, or otherwise. node: that will use it; rest as shoal_field_i64. map,
 * key, otherwise: likewise.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API shoal_pid shoal_field_ref(shoal_node *node, shoal_bytes map, const char *key,
                                    shoal_pid otherwise);
/* The index-th item of a list; kind NONE past the end. list: it; index: from 0.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API shoal_bytes shoal_item(shoal_bytes list, size_t index);
/* Items of a list, or pairs of a map. value: it.
 * [any] Returns how many. Errors: SHOAL_E_BAD_VALUE (another kind). Since 0.1.0 */
SHOAL_API int64_t shoal_count(shoal_bytes value);
/* Walks a list or map. rest: begin with a copy of the value, then leave it alone; key: receives
 * the key (of lists: empty), may be NULL; item: receives the item.
 * [any] Returns 1, or 0 at the end. Errors: SHOAL_E_BAD_VALUE. Since 0.1.0 */
SHOAL_API int shoal_next(shoal_bytes *rest, shoal_bytes *key, shoal_bytes *item);
/* The value nil. [any] Errors: none. Since 0.1.0 */
SHOAL_API shoal_bytes shoal_nil(void);

/* ------------------------------------------------------------------ simulation */

/* A simulation: nodes, their network and time, in one thread, out of one seed. The same seed and
 * the same calls give the same run on every machine. Owned: free with shoal_sim_free.
 *  - Time stands still but in shoal_sim_advance, shoal_poll and shoal_wait, which turn every node.
 * shoal_poll runs what is due now, and with wait_ms goes on until its node has handled something
 * or so much virtual time has passed (budget_us is ignored). shoal_wait is SHOAL_E_TIMEOUT if
 * nothing is left to happen. All are SHOAL_E_USAGE inside a handler or callback of any node of it.
 *  - The n-th node made (from 0) is host 10.0.(n / 256).(n % 256) and listens there or on 0.0.0.0;
 * port 0 is the first free one from 4001. No names resolve; shoal_fd is SHOAL_E_UNSUPPORTED.
 *  - Keys come from the seed (leave the option out). Clocks and rand that handlers use are theirs.
 *  - [any] and [owner] both mean: one thread at a time for the simulation and all its nodes.
 *  - Nodes use their memory; without memory for the network itself the process aborts. */
typedef struct shoal_sim shoal_sim;

/* Makes a simulation, empty, its network at 1..5 ms without loss. seed: decides all; sim: out.
 * [any] Errors: SHOAL_E_LIMIT (memory), SHOAL_E_USAGE. Since 0.1.0 */
SHOAL_API int shoal_sim_new(uint64_t seed, shoal_sim **sim);
/* Ends a simulation and what runs in it. Its nodes are still to be freed with shoal_node_free, now
 * or before; all else on them is SHOAL_E_CLOSED. sim: may be NULL. Not from a handler or callback.
 * [owner] Errors: none. Since 0.1.0 */
SHOAL_API void shoal_sim_free(shoal_sim *sim);
/* Makes a node on a new host; all other functions work on it. sim: where; cfg, node: as
 * shoal_node_new.
 * [owner] Errors: as shoal_node_new; SHOAL_E_LIMIT also over 16384 nodes. Since 0.1.0 */
SHOAL_API int shoal_sim_node(shoal_sim *sim, const shoal_node_config *cfg, shoal_node **node);
/* Lets virtual time pass and runs what is due until then. sim: which; us: microseconds.
 * [owner] Errors: SHOAL_E_USAGE (inside a handler), SHOAL_E_BAD_VALUE (too many). Since 0.1.0 */
SHOAL_API int shoal_sim_advance(shoal_sim *sim, uint64_t us);
/* Parts nodes: those of a and those of b hear nothing of each other; connections stay, silent.
 * Others hear both. Adds to earlier partitions. sim: theirs; a, a_count, b, b_count: two lists.
 * [owner] Errors: SHOAL_E_USAGE (a node of elsewhere), SHOAL_E_BAD_VALUE (a node in both lists),
 * SHOAL_E_LIMIT (64 since the last heal, memory). Since 0.1.0 */
SHOAL_API int shoal_sim_partition(shoal_sim *sim, shoal_node *const *a, size_t a_count,
                                  shoal_node *const *b, size_t b_count);
/* Ends all partitions: what waited arrives. sim: which. [owner] Errors: SHOAL_E_USAGE. Since 0.1.0 */
SHOAL_API int shoal_sim_heal(shoal_sim *sim);
/* Ends a node as kill -9 would, for its peers; here its calls end as SHOAL_E_CLOSED and on_stop
 * runs. sim: of it; node: still to be freed, all else on it is SHOAL_E_CLOSED.
 * [owner] Errors: SHOAL_E_USAGE (of elsewhere; inside a handler), SHOAL_E_CLOSED. Since 0.1.0 */
SHOAL_API int shoal_sim_crash(shoal_sim *sim, shoal_node *node);
/* Sets the network. sim: whose; least_us, most_us: how long a packet takes, at most 1800 s;
 * loss_ppm: how many of a million packets are lost: they come 0.2 s later.
 * [owner] Errors: SHOAL_E_BAD_VALUE (out of range), SHOAL_E_USAGE. Since 0.1.0 */
SHOAL_API int shoal_sim_net(shoal_sim *sim, uint64_t least_us, uint64_t most_us, uint32_t loss_ppm);
/* The virtual time, microseconds. sim: whose. [owner] Errors: none. Since 0.1.0 */
SHOAL_API uint64_t shoal_sim_now_us(const shoal_sim *sim);
/* A hash over all that was delivered: equal in equal runs. sim: whose.
 * [owner] Errors: none. Since 0.1.0 */
SHOAL_API uint64_t shoal_sim_digest(const shoal_sim *sim);

/* ------------------------------------------------------------------ library */

/* The version: major << 16 | minor << 8 | patch. [any] Errors: none. Since 0.1.0 */
SHOAL_API uint32_t shoal_version(void);
/* The version as text: major.minor.patch. [any] Errors: none. Since 0.1.0 */
SHOAL_API const char *shoal_version_string(void);
/* The name of a code, e.g. "mailbox_full"; "ok" for 0. code: SHOAL_E_* or SHOAL_END.
 * [any] Errors: none ("unknown"). Since 0.1.0 */
SHOAL_API const char *shoal_code_name(int code);
/* What a code means, a sentence. code: as shoal_code_name. [any] Errors: none. Since 0.1.0 */
SHOAL_API const char *shoal_strerror(int code);
/* The node's monotonic clock in microseconds, outside handlers too. node: whose. [any] Errors: none.
 * Since 0.1.0 */
SHOAL_API uint64_t shoal_clock_us(shoal_node *node);

/* What this thread's last failed call on node said; "" if none. node: NULL for shoal_node_new and
 * the functions of a simulation. Lent until this thread's next failing call.
 * [any] Errors: none. Since 0.1.0 */
SHOAL_API const char *shoal_last_error(shoal_node *node);

#ifdef __cplusplus
}
#endif
#endif
