/* pyshoal.h - what the files of the Python binding call of each other. The types are in objects.h. */
#ifndef PYSHOAL_H
#define PYSHOAL_H

#include "objects.h"

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

/* --- context.c, promise.c --- */
extern PyType_Spec context_spec, promise_spec, timer_spec;
PyObject *context_of(Msg *msg);
PyObject *context_current(PyObject *self, PyObject *instance); /* method of the module: self.cx */

/* --- node.c, node_type.c: life and type --- */
extern PyType_Spec node_spec;
int node_ready(NodeObj *n); /* starts it if need be; raises Closed */
int node_open(NodeObj *n);  /* as node_ready, but does not start it */
void node_free_core(NodeObj *n);
/* Inline nodes: until no other thread is inside (nothing waits for the GIL in core). */
void node_wait_turn(NodeObj *n);
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
