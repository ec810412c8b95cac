/* objects.h - the C types of the Python binding, and what they keep.
 *
 * Shape    Node owns a shoal_node and lists of what is under way in it: calls (Pending), actors, open
 *          handlers (Task). Everything else points at its Node.
 * Threads  All of this is touched only with the GIL held; the one exception is the log queue of a node,
 *          which has its own lock. A drain (shoal_poll) keeps the GIL: no thread of the library ever
 *          takes it, so nothing can wait for it in there.
 * Memory   Lists of a Node own one reference to each member and are visited by its tp_traverse: a node
 *          that nobody holds is collected with all its actors. */
#ifndef PYSHOAL_OBJECTS_H
#define PYSHOAL_OBJECTS_H

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
    /* What asyncio's tasks register with a future: known from the first on. */
    PyCFunction task_wakeup;
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
    /* functions or NULL */
    PyObject *on_start, *on_stop, *on_error, *on_down, *on_undelivered, *on_message;
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

/* What a handler is given for later; the node comes first in both. */
typedef struct PromiseObj {
    PyObject_HEAD NodeObj *node;
    shoal_promise promise;
} PromiseObj;

typedef struct TimerObj {
    PyObject_HEAD NodeObj *node;
    shoal_pid actor;
    int64_t id;
} TimerObj;

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
    PyObject *otherwise; /* of lookup: default=; of lookup_all: who takes the items; or NULL */
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
    const char *text;   /* of name; NULL: it is none that can be sent */
    PyObject *plain;    /* keywords of the last call without options: most calls have them again */
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
    /* the keywords of the last message, and which of its values each parameter takes, -1: its default */
    PyObject *seen;
    signed char at[PY_PARAMS_MAX];
    int mask[PY_PARAMS_MAX];
    const char *text[PY_PARAMS_MAX]; /* of names */
    size_t text_len[PY_PARAMS_MAX];
};

#endif
