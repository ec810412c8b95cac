/* pyshoal.h - what the files of the Python binding share.
 *
 * Shape    Node owns a shoal_node and lists of what is under way in it: calls (Pending), actors, open
 *          handlers (Task). Everything else points at its Node.
 * Threads  All of this is touched only with the GIL held; the one exception is the log queue of a node,
 *          which has its own lock. A drain (shoal_poll) keeps the GIL: no thread of the library ever
 *          takes it, so nothing can wait for it in there.
 * Memory   Lists of a Node own one reference to each member and are visited by its tp_traverse: a node
 *          that nobody holds is collected with all its actors. */
#ifndef PYSHOAL_H
#define PYSHOAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>

#include <shoal_object.h>

enum { PY_CODES = 17, PY_DEPTH_MAX = 32, PY_NAME_MAX = 255, PY_SLICE_MS = 100 };
enum { PY_PARAMS_MAX = 8, PY_PARCEL_MAX = 8, PY_PARCELS_KEPT = 1024, PY_NEAR = 8 };
enum { PY_FAILURES_MAX = 256 };

/* Kinds of a value as hints name them: bits. */
enum {
    K_NONE = 1,
    K_BOOL = 2,
    K_INT = 4,
    K_FLOAT = 8,
    K_STR = 16,
    K_BYTES = 32,
    K_VIEW = 64,
    K_LIST = 128,
    K_DICT = 256,
    K_REF = 512,
    K_ANY = 1024
};

/* PyObject_Vectorcall: in every CPython from 3.9 on, in the stable ABI from 3.12 on, so it is looked up. */
typedef PyObject *vectorcall_fn(PyObject *fn, PyObject *const *args, size_t nargs, PyObject *names);

/* Module state: one per interpreter, kept alive by every type of the module. */
typedef struct Mod {
    PyObject *module;
    vectorcall_fn *vectorcall; /* NULL: this interpreter does not show it */
    int (*context_enter)(PyObject *context), (*context_exit)(PyObject *context); /* likewise */
    PyCFunction
        task_wakeup; /* what asyncio's tasks register with a future: known from the first on */
    PyTypeObject *node, *ref, *verb, *sender, *pending, *actor, *spec, *task, *context, *woken;
    PyTypeObject *promise, *timer, *sim;
    PyObject *error, *errors[PY_CODES]; /* class of each code, index -code */
    PyObject *make_error;               /* (class, text, delivery, type, value) -> exception */
    PyObject *reason;
    PyObject *cancelled, *invalid_state;
    PyObject *task_type, *enter_task, *leave_task, *current_task, *running_loop, *copy_context,
        *current_var;
    PyObject *is_woken, *no_result; /* what a task is woken with, and its result() */
    PyObject *coroutine, *dataclass_make, *lonely, *field_names, *traceback_text, *log, *memoryview,
        *monotonic;
    PyObject *s_blocking, *s_add_done, *s_context, *s_run, *s_call_soon, *s_call_soon_safe,
        *s_close, *s_throw;
    PyObject *s_fields, *s_shoal_name, *s_call_later, *s_cancel, *s_set;
} Mod;

typedef struct NodeObj NodeObj;
typedef struct SpecObj SpecObj;
typedef struct PendingObj PendingObj;
typedef struct TaskObj TaskObj;
typedef struct ContextObj ContextObj;
typedef struct SimObj SimObj;

/* A live or starting actor. Freed by actor_free after on_stop (or a failed start). */
typedef struct ActorRec {
    struct ActorRec *prev, *next; /* of node->actors */
    NodeObj *node;                /* borrowed: it owns the list */
    struct TypeRec *type;
    PyObject *instance;       /* NULL before the constructor ran */
    PyObject *args;           /* tuple for the constructor */
    PyObject *kwargs;         /* dict or NULL */
    PyObject *undelivered;    /* list of (name, value) or NULL */
    PendingObj *starting;     /* spawn's, until the start hook has ended */
    PyObject *link, *monitor; /* Refs given to spawn, until it ran */
    shoal_pid parent, pid;
    uint32_t mailbox;
    int tasks; /* of its handlers that wait */
    bool ended;
} ActorRec;

/* A message by reference, between actors of one node: its values are immutable, or copies of its own. Owned by
 * the sender, then by core, then by the Msg that handles it. */
typedef struct Parcel {
    struct Parcel *next; /* of node->parcels, when free */
    NodeObj *node;       /* borrowed: core gives all back before the node goes */
    PyObject *name;      /* of the message */
    PyObject *names;     /* tuple: the values are a map with these keys; NULL: one value, or none */
    Py_ssize_t count;
    bool is_ask, copied; /* copied: there is a list or a map among them */
    PyObject *values[PY_PARCEL_MAX];
} Parcel;

/* A handler as it is found by the text of a message's name. */
typedef struct Entry {
    const char *text; /* NULL: free */
    SpecObj *spec;    /* borrowed from TypeRec.handlers */
} Entry;

/* An actor class as this node's core knows it. */
typedef struct TypeRec {
    struct TypeRec *next;
    shoal_actor_type type; /* its address is its identity in core */
    PyObject *cls;
    PyObject *id;       /* bytes: the text of type.id */
    PyObject *handlers; /* dict name -> Spec */
    PyObject *on_start, *on_stop, *on_error, *on_down, *on_undelivered,
        *on_message; /* functions or NULL */
    NodeObj *node;
    Entry *entries; /* open addressing over handlers */
    size_t entry_mask;
    struct {
        PyObject *name;
        SpecObj *spec;
    } near[PY_NEAR]; /* handlers by the very object that names them */
} TypeRec;

/* What shoal.Actor is made of. */
typedef struct ActorObj {
    PyObject_HEAD ActorRec *rec; /* NULL before its start and after its end */
} ActorObj;

enum msg_kind { MSG_HANDLER, MSG_START, MSG_STOP, MSG_ERROR, MSG_DOWN, MSG_UNDELIVERED };

/* One message (or hook) being handled: on the C stack, or inside a Task once it waits. */
typedef struct Msg {
    shoal_cx *cx; /* NULL: ended, or a hook without one */
    NodeObj *node;
    ActorRec *rec; /* NULL once the actor is gone */
    ContextObj *context;
    TaskObj *task;
    Parcel *parcel; /* what came by reference, until the end: forward sends it on */
    enum msg_kind kind;
    bool answered; /* replied, deferred or forwarded */
} Msg;

struct ContextObj {
    PyObject_HEAD Mod *mod;
    Msg *msg; /* NULL once the message has ended */
    NodeObj *node;
    PyObject *ref, *name;
    PyObject *sender; /* made when somebody asks for it */
    shoal_pid sender_pid;
};

enum wants { WANT_VALUE, WANT_REF, WANT_REASON, WANT_NONE, WANT_TEXT, WANT_ITEMS, WANT_STOP };
enum pending_state { P_WAITING, P_DONE, P_FAILED, P_CANCELLED };

struct PendingObj {
    PyObject_HEAD Mod *mod;
    NodeObj *node;
    PendingObj *prev, *next;   /* of node->calls while core will call back */
    PyObject *loop;            /* asyncio loop of its awaiter, or NULL */
    PyObject *result;          /* value or exception */
    PyObject *fn, *fn_context; /* the first callback; context may be NULL */
    PyObject *callbacks;       /* list of (fn, context) of further ones, or NULL */
    PyObject
        *otherwise; /* default= of lookup; of lookup_all the function that takes items; or NULL */
    PyObject *cancel_text;
    TaskObj *waiter; /* a handler of ours that awaits it */
    ActorRec *rec;   /* of a spawn that waits for the draining thread */
    PyThread_type_lock lock;
    int64_t call;
    double due; /* monotonic seconds: a sleep, or a time limit of our own; 0 none */
    shoal_pid target;
    uint8_t state, want;
    bool linked, blocking, is_sleep;
};

struct TaskObj {
    PyObject_HEAD Mod *mod;
    TaskObj *prev, *next; /* of node->tasks until finished */
    Msg msg;
    PyObject *coro, *context, *name;
    PyObject *waiting; /* what it awaits: a Pending or a foreign future, or NULL */
    shoal_cx *held_cx; /* to finish; also when msg.cx is NULL because the actor was killed */
    PyObject *raise;   /* what the next step raises in it */
    PyObject *sent;    /* of the last step: what it yielded or returned */
    int how;           /* PySendResult of the last step */
    PyObject *callbacks;
    PyObject *cancel_text;
    PyObject *wakeup; /* bound method, made at the first foreign wait */
    PyObject *result;
    NodeObj *node;
    int cancels;
    uint8_t state;
    bool must_cancel, queued, stepping, linked;
    TaskObj *ready_next;
};

typedef struct LogLine {
    struct LogLine *next;
    int level;
    char text[];
} LogLine;

struct NodeObj {
    PyObject_HEAD Mod *mod;
    SimObj *sim; /* whose node this is, or NULL */
    PyObject *weak;
    shoal_node *node;  /* NULL: not started, or closed */
    PyObject *options; /* dict as given */
    PyObject *loop, *drain_cb, *timer_handle, *on_event, *on_log, *logger;
    PyObject *escape;   /* KeyboardInterrupt or SystemExit on its way out of run, poll or wait */
    PyObject *failures; /* dict: actor number -> exception of its last failure, since failed_at */
    PyObject *failures_old; /* those of the second before */
    double failed_at;
    PyObject *jobs; /* list of spawn Pendings for the thread that drains */
    ActorRec *actors;
    TypeRec *types;
    PendingObj *calls;
    double next_due; /* the earliest due of calls, 0 none */
    TaskObj *tasks, *ready, *ready_last;
    Msg *current;    /* the message whose handler runs now, on the thread that drains */
    Parcel *parcels; /* free ones */
    unsigned parcel_count;
    PyThread_type_lock log_lock;
    LogLine *log_first, *log_last;
    unsigned log_count;
    unsigned long drainer, driver, loop_thread; /* thread ids, 0 none */
    double timer_due;
    shoal_pid nobody; /* a pid that never lived: its `done` is a callback inside the next drain */
    uint32_t max_message, threads;
    bool started, closed, stopped, forked, drain_soon, pumping, run_wanted, freeing;
};

/* A simulation. Whatever turns one of its nodes turns them all. */
struct SimObj {
    PyObject_HEAD Mod *mod;
    shoal_sim *sim;                    /* NULL: not begun, or closed */
    PyObject *nodes;                   /* list of NodeObj: started, not yet ended */
    PyObject *loop;                    /* of sim.run, while that runs */
    shoal_node *poller;                /* in a turn: the node whose shoal_poll it is */
    uint64_t last_now_us, last_digest; /* of a closed one */
    bool turning, stirred;             /* stirred: in this turn something was handled */
};

typedef struct RefObj {
    PyObject_HEAD Mod *mod;
    NodeObj *node;
    shoal_pid pid;
    PyObject *ask, *tell; /* Verbs */
    PyObject *text;
    PyObject *weak;
} RefObj;

/* ref.ask and ref.tell: made with the ref, as an attribute in a slot is what the interpreter reads fastest. None of
 * these points back at the ref: there are no cycles, a ref goes when its last user does. */
typedef struct VerbObj {
    PyObject_HEAD Mod *mod;
    NodeObj *node;
    shoal_pid pid;
    PyObject *cache;            /* dict name -> builtin, whose self is a Sender */
    PyObject *last, *last_made; /* the name asked for last, and its builtin */
    bool is_ask;
} VerbObj;

/* ref.ask.name and ref.tell.name. */
typedef struct SenderObj {
    PyObject_HEAD Mod *mod;
    NodeObj *node;
    shoal_pid pid;
    PyObject *name;
    const char *text; /* of name; NULL: it is none that can be sent */
    PyObject
        *plain; /* the keywords of the last call that had no options: most calls have them again */
    size_t plain_bytes; /* of their packed form */
    bool is_ask;
} SenderObj;

struct SpecObj { /* how a handler takes its message */
    PyObject_HEAD PyObject *func, *names, *masks, *classes, *defaults, *missing;
    int positional, total; /* parameters in order; after `positional` keyword only */
    int mode;              /* 0 by name, 1 the whole value */
    int rest;              /* mask of **rest, 0: none taken */
    PyObject *label;
    /* layout.c: the straight way to a call */
    bool straight;   /* few parameters, no **rest */
    PyObject *named; /* tuple of the names after `positional`, or NULL */
    PyObject *seen;  /* the keywords of the last message ... */
    signed char
        at[PY_PARAMS_MAX]; /* ... and which of its values each parameter takes, -1: its default */
    int mask[PY_PARAMS_MAX];
    const char *text[PY_PARAMS_MAX]; /* of names */
    size_t text_len[PY_PARAMS_MAX];
};

/* --- errors.c --- */
int errors_init(Mod *m);
PyObject *error_new(Mod *m, int code, int delivery, const char *text, const char *type,
                    PyObject *value);
/* Raises; returns NULL. */
PyObject *error_raise(Mod *m, int code, int delivery, const char *format, ...);
/* Raises what core's last failed call said. */
PyObject *error_last(NodeObj *n, int code);
PyObject *error_of(NodeObj *n, shoal_pid target, const shoal_result *r); /* exception, new */
/* Takes the raised exception, normalized with its traceback; new. */
PyObject *error_fetch(void);
/* "text", class name and value of an exception for shoal_fail_with; keeps it for a local asker. */
int error_fail(Msg *msg, PyObject *exception);
bool error_is(int code, Mod *m, PyObject *exception);
PyObject *error_kept(NodeObj *n, uint64_t actor); /* what its handler raised last, new, or NULL */
void errors_age(NodeObj *n);                      /* forgets what is old */

/* --- codec.c --- */
typedef struct Buf {
    char *data;
    size_t len, cap;
    char room[1024];
} Buf;
void buf_init(Buf *b);
void buf_free(Buf *b);
/* Encodes; raises BadValue naming the path from root. */
int encode(NodeObj *n, Buf *b, PyObject *value, const char *root);
/* Keywords of a call as a map. */
int encode_kw(NodeObj *n, Buf *b, PyObject *const *values, PyObject *names, Py_ssize_t skip);
int encode_fields(NodeObj *n, Buf *b, PyObject *dataclass, const char *root);
bool is_dataclass(Mod *m, PyObject *value);
static inline shoal_bytes buf_bytes(const Buf *b)
{
    return (shoal_bytes){b->data, b->len};
}

/* --- decode.c --- */
typedef struct Dec {
    NodeObj *node;
    const unsigned char *at, *end;
} Dec;
PyObject *decode(NodeObj *n, shoal_bytes value);
PyObject *decode_next(Dec *d, int depth);
/* The next value as a map's header, or as text: false (nothing is read) if it is something else, or too big for us. */
bool decode_map(Dec *d, size_t *count);
bool decode_key(Dec *d, const char **text, size_t *len);

/* --- copy.c --- */
/* The value as a receiver in this interpreter would get it: itself if it is immutable, or a copy; new. NULL without an
 * exception: only the codec can tell (it may be too big, cannot be sent, or is of a kind that is made anew).
 * bytes: grows by the size of its packed form. */
PyObject *copy_value(NodeObj *n, PyObject *value, int depth, size_t *bytes);
size_t copy_text_bytes(PyObject *text); /* packed size of a str, 0: it is not UTF-8 */

/* --- parcel.c --- */
#ifdef SHOAL_PY_CHECKS /* of debug builds: core drops objects only where Python may be touched */
void gil_held(void);
#else
#define gil_held() ((void)0)
#endif
/* By reference if that is possible; NULL without an exception: not. One value (nargs 1), keywords, or nothing. */
Parcel *parcel_new(NodeObj *n, PyObject *name, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *names, size_t names_bytes);
void parcel_free(Parcel *p);
void parcel_drop(void *p); /* as core calls it */
void parcels_fini(NodeObj *n);
PyObject *parcel_value(Parcel *p);       /* as the codec would have given it, new */
int parcel_pack(Parcel *p, Buf *b);      /* -1 raised */
shoal_object object_of(PyObject *value); /* a reply by reference; steals it */

/* --- layout.c --- */
void spec_prepare(SpecObj *s, Mod *m);
/* The arguments of the call, all of them: from a parcel (borrowed), or from bytes (new). How many, or -1 without an
 * exception: only spec_bind can tell. */
int spec_take(Mod *m, SpecObj *s, const Parcel *p, PyObject **args);
int spec_read(NodeObj *n, SpecObj *s, shoal_bytes value, PyObject **args);
PyObject *spec_call(Mod *m, SpecObj *s, PyObject **args,
                    int count); /* args[-1] may be written to */
int kind_of(Mod *m, PyObject *v);

/* --- ref.c --- */
extern PyType_Spec ref_spec;
PyObject *ref_new(NodeObj *n, shoal_pid pid);
/* The arguments of a message: one value, or keywords. what: the function, for errors. */
int pack_message(NodeObj *n, const char *what, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *names, Buf *b);
const char *message_name(Mod *m, PyObject *name);
int kept_timeout(Mod *m, PyObject *seconds, bool zero, uint32_t *ms);

/* --- send.c --- */
/* key: the name (str), or NULL: args[0] is the message. */
PyObject *send_message(NodeObj *n, shoal_pid pid, bool is_ask, PyObject *key, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *names);
/* The keywords of a call are all a map's; bytes: what they take when packed. */
bool send_is_plain(PyObject *names, size_t *bytes);
PyObject *send_plain(SenderObj *s, PyObject *const *args, PyObject *names);

/* --- verb.c --- */
extern PyType_Spec verb_spec, sender_spec;
PyObject *verb_new(NodeObj *n, shoal_pid pid, bool is_ask);

/* --- pending.c --- */
PendingObj *pending_new(NodeObj *n, enum wants want);
void pending_done(void *ud, const shoal_result *r);              /* shoal_fn */
int pending_then(shoal_cx *cx, void *ud, const shoal_result *r); /* shoal_then_fn */
/* Takes id of a call begun with ud = p: p, or NULL and an exception. Steals p. */
PyObject *pending_begun(PendingObj *p, int64_t id);
void pending_settle(PendingObj *p, enum pending_state state, PyObject *result); /* steals result */
PyObject *pending_take(PendingObj *p); /* result or raises */
void pending_unlink(PendingObj *p);
PyObject *pending_cancelled(PendingObj *p); /* its CancelledError, new */
PyObject *pending_loop(NodeObj *n);         /* of the caller, new, or NULL without an exception */

/* --- future.c: the type --- */
extern PyType_Spec pending_spec, woken_spec;
int woken_init(Mod *m);
void pending_link(PendingObj *p);
bool pending_cancel(PendingObj *p, PyObject *text);
void pendings_due(NodeObj *n); /* settles what is due */
void call_back(NodeObj *n, PyObject *loop, PyObject *fn, PyObject *arg, PyObject *context,
               bool direct);
PyObject *run_in(Mod *m, PyObject *context, PyObject *fn, PyObject *arg); /* context.run(fn, arg) */

/* --- class.c --- */
extern PyType_Spec actor_spec;
TypeRec *type_of(NodeObj *n, PyObject *cls); /* made at the first spawn; NULL: raised */
void type_free(TypeRec *t);
SpecObj *type_handler(TypeRec *t, PyObject *name); /* borrowed, or NULL */
SpecObj *type_handler_by_text(const TypeRec *t, const char *name);

/* --- actor.c, spawn.c, bind.c --- */
extern PyType_Spec spec_spec;
void hooks_of(TypeRec *t); /* fills t->type */
PyObject *actor_spawn(NodeObj *n, ActorRec *parent, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames);
void actor_free(ActorRec *rec);
/* The function to call and, new, its arguments; NULL: raised BadValue. */
PyObject *spec_bind(NodeObj *n, SpecObj *s, PyObject *self, PyObject *value, PyObject **args,
                    PyObject **kwargs);
PyObject *bind_fit(PyObject *module, PyObject *args);
void msg_end(Msg *msg);
int msg_result(
    Msg *msg,
    PyObject *value); /* what a handler returned; code for core; value may be NULL: raised */
/* A reply by reference; SHOAL_E_UNSUPPORTED: only packed. No exception. */
int msg_give(Msg *msg, PyObject *value);
void actor_start(ActorRec *rec);   /* spawns; settles rec->starting unless its start hook waits */
void actor_release(ActorRec *rec); /* frees it if it has ended and nothing of it waits */
void start_ended(ActorRec *rec, PyObject *failure);
PyObject *reason_of(NodeObj *n, const shoal_reason *r);

/* --- task_type.c --- */
extern PyType_Spec task_spec;
enum task_state { T_RUNS, T_DONE, T_FAILED, T_CANCELLED };

/* --- task.c --- */
bool task_waiting_cancel(TaskObj *t); /* cancels what it awaits */
void task_tell_done(TaskObj *t);
PyObject *task_call(PyObject *self, PyObject *args, PyObject *kwargs);
/* Runs a coroutine of msg: 1 it waits (msg was taken over), else finished and *code is for core. Steals coro. */
int task_start(Msg *msg, PyObject *coro, int *code);
void task_wake(TaskObj *t);    /* inside a drain: steps; else queues */
void task_queue(TaskObj *t);   /* steps in the next drain */
void task_abandon(TaskObj *t); /* its actor was killed: CancelledError into it */
void task_close(TaskObj *t);   /* the node ends */
void tasks_run_ready(NodeObj *n);

/* --- context.c --- */
extern PyType_Spec context_spec, promise_spec, timer_spec;
PyObject *context_of(Msg *msg);
PyObject *context_current(PyObject *self, PyObject *instance); /* method of the module: self.cx */

/* --- node.c: life and calls --- */
extern PyType_Spec node_spec;
int node_ready(NodeObj *n); /* starts it if need be; raises Closed */
int node_open(NodeObj *n);  /* as node_ready, but does not start it */
void node_free_core(NodeObj *n);
void node_wait_turn(
    NodeObj
        *n); /* inline nodes: until no other thread is inside (nothing waits for the GIL in core) */
double seconds_now(NodeObj *n); /* monotonic, or virtual */

/* --- calls.c: methods of Node --- */
PyObject *node_peer_id(PyObject *self, void *unused);
PyObject *node_addresses(PyObject *self, void *unused);
PyObject *node_spawn(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
PyObject *node_lookup(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *node_lookup_all(PyObject *self, PyObject *args);
PyObject *node_ref(PyObject *self, PyObject *text);
PyObject *node_dial(PyObject *self, PyObject *address);
PyObject *node_info(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *node_stop(PyObject *self, PyObject *args, PyObject *kwargs);

/* --- drive.c: who runs shoal_poll, and when --- */
bool node_inside(const NodeObj *n);    /* this thread drains it now */
void node_soon(NodeObj *n);            /* a drain is due after a call */
bool drain_pump(NodeObj *n);           /* first thing in a drain: what core does not know of */
int drain_ended(NodeObj *n, int code); /* last thing, outside: -1 raised */
int node_drain(NodeObj *n, int64_t budget_us, int *handled);
bool node_may_drive(const NodeObj *n);
int node_drive(NodeObj *n, int64_t wait_ms); /* one slice on this thread: handled, or -1 raised */
int node_wait_allowed(NodeObj *n);
PyObject *node_run(PyObject *self, PyObject *unused);
PyObject *node_poll(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *node_attach(PyObject *self, PyObject *loop);
PyObject *node_detach(PyObject *self, PyObject *unused);
PyObject *node_on_readable(PyObject *self, PyObject *unused);
PyObject *node_next_timeout(PyObject *self, PyObject *unused);
PyObject *node_fileno(PyObject *self, PyObject *unused);
void node_leave_loop(NodeObj *n);

/* --- sim.c --- */
extern PyType_Spec sim_spec;
void sim_stirred(SimObj *s); /* something was handled: time stands still once that is through */
int sim_node_start(NodeObj *n, const shoal_node_config *cfg); /* -1 raised */
void sim_node_ended(NodeObj *n);
double sim_now(const SimObj *s);
static inline void node_stirred(const NodeObj *n)
{
    if (n->sim) {
        sim_stirred(n->sim);
    }
}

/* --- tidings.c: events and log lines --- */
void node_log(void *ud, int level, const char *text); /* any thread, without the GIL */
void node_event(void *ud, const char *event, shoal_bytes info);
void node_logs_tell(NodeObj *n);
void node_logs_free(NodeObj *n);

#define SET(slot, value)                                                                           \
    do {                                                                                           \
        PyObject *old_ = (PyObject *)(slot);                                                       \
        (slot) = (value);                                                                          \
        Py_XDECREF(old_);                                                                          \
    } while (0)

#define MOD(self) ((self)->mod)
#define METHOD(name, fn, flags, doc)                                                               \
    {                                                                                              \
        name, (PyCFunction)(void (*)(void))(fn), flags, doc                                        \
    }

#endif
