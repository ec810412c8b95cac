/* lshoal.h - what the files of the Lua binding share.
 *
 * Shape    A node is one userdata (struct lnode). What it keeps alive lies in a table owned by that userdata (its
 *          box), so a node that nobody holds is collected with all its actors. Each actor is a userdata too, its cx
 *          (struct lactor). Every handler, hook and task runs in a coroutine (struct lcoro).
 * Threads  a lua_State belongs to one thread; only the log lines of a node (a stack, lnode.logs) are touched by others.
 * Errors   the world's failures are pushed as nil, message, code, delivery; misuse raises.
 * Safety   what the library calls back runs Lua only under lua_pcall or lua_resume: no error crosses C frames of
 *          the library. Between lnode_enter and lnode_leave nothing may raise. What a debug hook raises there (the
 *          interpreter's way to say Ctrl-C) is kept, and raised by lprotect_raise when the library has returned. */
#ifndef SHOAL_LSHOAL_H
#define SHOAL_LSHOAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shoal_object.h>

#include "lcompat.h"

typedef struct lcoro lcoro;
typedef struct lactor lactor;
typedef struct lnode lnode;
typedef struct liter liter;
typedef struct lsim lsim;
typedef struct lobj lobj;
typedef struct lchunk lchunk;

/* One per VM, in its registry. */
typedef struct lvm {
    lua_State *L;     /* what runs now, while inside the library; else undefined */
    bool hooked;      /* what was raised last came from a debug hook */
    bool handled;     /* a message handler of ours saw it */
    lcoro *running;   /* the innermost coroutine of ours that runs; NULL: the host's own code */
    const void *null; /* shoal.null */
    const void *list; /* metatables that mark tables */
    const void *map;
    const void *ref; /* metatables of userdata */
    const void *bytes;
} lvm;

/* A class as one node knows it: a set of hooks and the flags it had when first spawned with them. */
typedef struct ltype {
    struct ltype *next;
    const void *class; /* the table's address, kept alive by the node's box */
    int class_ref;     /* in the box */
    int meta_ref;      /* metatable of instances, in the box */
    unsigned hooks;
    shoal_actor_type def;
    char id[256];
} ltype;

/* Parts of a node's box: the box itself (references by number), then single values. */
enum { BOX_ANCHOR, BOX_NODE, BOX_REFS, BOX_EVENT, BOX_LOG, BOX_RAISED, BOX_SIM, BOX_KEYS };

typedef struct llog {
    struct llog *next;
    int level;
    char text[];
} llog;

/* Why an actor's handler failed, until its event comes. */
typedef struct ltrace {
    shoal_pid pid;
    char *text;
} ltrace;

/* The name of a message between actors of this VM. */
typedef struct lname {
    const char *text; /* the VM's own, kept in the box */
    int ref;
    bool handler; /* a class field of that name is one */
    int fields; /* the last value was a table of so few, none of which needs a copy; 0: it was not */
} lname;

enum lobj_kind { OBJ_NIL, OBJ_FALSE, OBJ_TRUE, OBJ_INTEGER, OBJ_NUMBER, OBJ_SLOT };

/* A value on its way between actors of this VM: shoal_object.ptr. */
struct lobj {
    lnode *node;
    lobj *next;
    const lname *name; /* of a message */
    enum lobj_kind kind;
    int slot; /* in the box, its own for good */
    union {
        lua_Integer integer;
        lua_Number number;
    } as;
};

enum { LTRACES = 32, LPOOL_MAX = 64, LNAMES = 256, LTEXTS = 64, LDEPTH_MAX = 32 };

struct lnode {
    shoal_node *node; /* NULL: closed, or home */
    lvm *vm;
    unsigned entered;
    bool closing, stopping, stopped;
    bool home; /* of a simulation: has coroutines, but no node */
    lsim *sim; /* NULL: a real node */
    lnode *sim_prev, *sim_next;
    bool has_log;
    int log_level;
    uint32_t max_message;
    ltype *types;
    lactor *actors;
    lcoro *tasks; /* coroutines that belong to no actor */
    lcoro *pool;
    unsigned pool_count;
    int *free_slots; /* of the box */
    int free_count, free_cap, slot_top;
    lobj *objects; /* free ones */
    lobj *dropped; /* outside of enter and leave: their slots are still full */
    lchunk *chunks;
    size_t object_count; /* on their way */
    lname names[LNAMES]; /* a hash table, never more than half full */
    unsigned name_count;
    const lname *texts[LTEXTS]; /* of them, by what they say: names of packed messages */
    lcoro **sleepers;           /* binary heap by due_us */
    size_t sleeper_count, sleeper_cap;
    shoal_pid nobody; /* an actor that is not: its end is known at once */
    bool waking;
    shoal_pack pack; /* the last value that was packed */
    unsigned char room[1024];
    ltrace traces[LTRACES];
    unsigned trace_next;
    _Atomic(llog *) logs; /* the newest first */
    bool raised;          /* the box keeps what a debug hook raised */
    char peer_id[96];
};

struct lsim {
    lnode home;          /* the first: a simulation is found as its home is */
    shoal_sim *sim;      /* NULL: closed */
    lnode *first, *last; /* as they were made */
    lnode *polled;
    lcoro *ready, *ready_last; /* of home, woken */
    bool turning;
    bool handled;                      /* a handler or task ran, or went on */
    uint64_t busy_us;                  /* when that was so last */
    uint64_t seed, end_us, end_digest; /* end_*: when it was closed */
};

struct lactor {
    lnode *node;
    ltype *type;
    lactor *prev, *next;
    shoal_pid pid;
    shoal_cx *current; /* of the running handler; NULL: none runs */
    lcoro *coros;
    int self_ref, cx_ref, arg_ref, undelivered_ref; /* in the box */
    lcoro *spawner;                                 /* waits for a held init */
    char *failure;                                  /* of a held init, for it */
    bool spawning, started, ended;
};

enum lkind { RUN_TASK, RUN_FORK, RUN_MESSAGE, RUN_INIT, RUN_STOP, RUN_ERROR, RUN_DOWN };
enum lwait { WAIT_NONE, WAIT_CALL, WAIT_SLEEP, WAIT_ITER, WAIT_SPAWN, WAIT_PARK };
/* What the result of a wait is to the one who waits. */
enum lwhat {
    WHAT_TRUE,
    WHAT_REPLY,
    WHAT_REF,
    WHAT_REASON,
    WHAT_ROWS,
    WHAT_TEXT,
    WHAT_ITEM,
    WHAT_NOTHING
};
struct lcoro {
    lnode *node;
    lua_State *co; /* NULL: closed; only a callback is still due. Its stack begins with the box */
    int co_ref;    /* in the box */
    lcoro *prev, *next;
    lactor *actor; /* NULL: a task */
    shoal_cx *cx;  /* of the message or hook; forks: their root's */
    enum lkind kind;
    int base;    /* where results begin */
    int box_ref; /* of a task or fork: the table that gets what its function returned or raised */
    /* From here to name: all zero when it begins, and in the pool. */
    lnode *on;     /* whose call it waits for: of a task maybe another's */
    lcoro *parent; /* of RUN_FORK */
    int64_t call;
    uint64_t due_us;
    size_t at; /* in the heap + 1; 0: not in it */
    const shoal_result *result;
    shoal_result *kept; /* of home: of a call that ended in a turn */
    lcoro *ready_next;
    liter *iter;
    liter *iter_ended; /* for whose next item it waited */
    lactor *spawned;
    lobj *object; /* the message's value, until it ends */
    enum lwait wait;
    enum lwhat what;
    int results; /* how many values it was resumed with */
    unsigned phase;
    unsigned forks;
    int code;
    bool held, answered, pending, resumed, timed_out, woken, queued, stolen;
    bool direct; /* the handler is the first function: who resumes looks at its results */
    bool used;   /* it waited, or began to: more is to be done at its end than for most */
    /* What a hook was given; until it first waits. */
    const char *name;
    shoal_bytes value;
    const shoal_reason *reason;
    const shoal_result *error;
    shoal_pid subject;
};

typedef struct lref {
    lnode *node;
    shoal_pid pid;
} lref;

typedef struct lbytes {
    size_t len;
    char data[];
} lbytes;

/* --- lshoal.c: the module, failures, options --- */
lvm *lvm_of(lua_State *L);
char *lcopy(const char *text); /* owned; NULL: no memory */
/* Pushes nil, text, code, delivery; returns 4. SHOAL_E_USAGE raises instead. */
int lfail(lua_State *L, int code, int delivery, const char *text);
/* The same of what the library said last; n may be closed. */
int lfail_last(lua_State *L, const lnode *n, int64_t code);
int lfail_closed(lua_State *L);
/* The same of a result, with the raised value of a handler error: 4 or 5. */
int lfail_result(lua_State *L, lnode *n, const shoal_result *r, bool timed_out);
/* Raises a failure as the table that shoal.assert raises. */
int lfail_raise(lua_State *L, int code, int delivery, const char *text);
/* The same table, pushed; value at value_idx or 0. */
void lfail_table(lua_State *L, int code, int delivery, const char *text, int value_idx);
const char *lcheck_name(lua_State *L, int arg, const char *what);
/* arg is nothing or a table with no other keys than those of allowed (ends in NULL); what: the function. */
void lopt_check(lua_State *L, int arg, const char *what, const char *const *allowed);
/* Seconds under key as milliseconds, rounded up. */
uint32_t lopt_ms(lua_State *L, int arg, const char *key, uint32_t least, uint32_t otherwise);
uint32_t lopt_mailbox(lua_State *L, int arg);
uint64_t lcheck_ms(lua_State *L, int arg, uint64_t least);
uint64_t lcheck_us(lua_State *L, int arg);
/* Sets __index of the metatable on top: methods, and getters (static; NULL: none). */
void lmeta_index(lua_State *L, const luaL_Reg *methods, const luaL_Reg *getters);

/* --- lcodec.c --- */
/* Packs the value at idx (none: nil) into n's pack; lent until the next one. False: four failure values pushed. */
bool lcodec_pack(lua_State *L, lnode *n, int idx, shoal_bytes *out);
/* The same, but a failure only gives its text (in n's room of texts). */
bool lcodec_try(lua_State *L, lnode *n, int idx, shoal_bytes *out, const char **why);
/* Pushes the value; false: pushes why it cannot be a Lua value. */
bool lcodec_push(lua_State *L, lnode *n, shoal_bytes value);
int lcodec_type(lua_State *L); /* shoal.type */

/* --- lbytes.c --- */
int lbytes_new(lua_State *L); /* shoal.bytes */
void lbytes_push(lua_State *L, const void *data, size_t len);
void lbytes_open(lua_State *L);

/* --- lbox.c --- */
void lnode_push(lua_State *L, lnode *n); /* its userdata; nil while it is collected */
void lnode_push_box(lua_State *L, lnode *n, int field);
bool lnode_set_box(lua_State *L, lnode *n,
                   int field); /* to the popped top; false: no box any more */
void lnode_enter(lua_State *L, lnode *n, lua_State **outer);
void lnode_leave(lnode *n, lua_State *outer);
/* Makes the box of n, whose userdata is at idx; the options are at 1. */
void lbox_new(lua_State *L, lnode *n, int idx);
/* Keeps the popped top, not nil: its number. The box is at the (positive) index box. */
int lbox_ref(lua_State *L, lnode *n, int box);
void lbox_unref(lua_State *L, lnode *n, int box, int slot); /* LUA_NOREF: nothing */
void lbox_free(lnode *n);
void lbox_open(lua_State *L);

/* --- lobject.c --- */
bool lobject_hidden(const char *name); /* never a handler's */
/* The name of a packed message that was learned before; NULL: not one. No memory. */
const lname *lobject_named(const lnode *n, const char *text);
void lobject_learn(lua_State *L, lnode *n, const char *text);
/* The value at idx, or its copy, for another actor of n; NULL: it must be packed. Positive indexes. */
lobj *lobject_of(lua_State *L, lnode *n, int idx, int box);
/* The same with the name of a message. */
lobj *lobject_message(lua_State *L, lnode *n, int name, int value, int box);
/* The same of what needs no copy, without memory: nothing is raised. */
lobj *lobject_simple(lua_State *L, lnode *n, int idx, int box);
/* Pushes the value of one that has arrived. No memory. */
void lobject_push(lua_State *L, const lobj *o, int box);
void lobject_free(lua_State *L, lobj *o, int box); /* gives it back */
void lobject_take(lua_State *L, lobj *o, int box); /* both */
void lobject_drop(void *ptr);                      /* shoal_object.drop */
/* Inside enter: empties the slots of what was dropped outside. */
void lobject_sweep(lua_State *L, lnode *n);
/* Pushes it: how many bytes it would be packed; 0: not one for a short cut. */
size_t lobject_copy(lua_State *L, lnode *n, int idx);
void lobject_close(lnode *n);

/* --- lnode.c --- */
lnode *lnode_check(lua_State *L, int arg); /* maybe closed */
/* Open, and not about to close: a call may begin. */
static inline bool lnode_usable(const lnode *n)
{
    return (n->node || n->home) && !n->closing;
}
/* The virtual time of a simulation, or the node's clock; n is open. */
uint64_t lnode_now_us(const lnode *n);
/* Makes the lnode that is the userdata at idx; the options are at 1. */
void lnode_born(lua_State *L, lnode *n, const char *meta, int idx);
/* (options, simulation) -> node; s: the simulation, or NULL. */
int lnode_make(lua_State *L, lsim *s);
/* Ends it at once, as a crash of its simulation or not; idx: its userdata. */
void lnode_end(lua_State *L, lnode *n, int idx, bool crash);
/* Its end, in between: enters with the box on top, which is popped; leaves for good. */
lua_State *lnode_end_begin(lua_State *L, lnode *n);
void lnode_end_done(lua_State *L, lnode *n, lua_State *outer);
void lnode_open(lua_State *L);

/* --- lsim.c --- */
/* A node (userdata at idx) begins and ends to be of a simulation. */
void lsim_join(lua_State *L, lsim *s, lnode *n, int idx);
void lsim_leave(lua_State *L, lnode *n);
/* Who is to be woken waits until no turn runs; false: c is not of home. */
bool lsim_defer(lcoro *c, const shoal_result *result);
void lsim_forget(lcoro *c);
/* node:poll; what shoal_poll returns. */
int lsim_poll(lua_State *L, lnode *n, int64_t wait_ms);
typedef struct lkey {
    const char *text; /* NULL: a whole number */
    size_t len;
    lua_Integer number;
} lkey;
/* The keys of the table at idx in order, pushed; NULL, and nothing pushed: one is neither text nor whole. */
const lkey *lsim_keys(lua_State *L, int idx, lua_Integer count);
void lsim_open(lua_State *L);

/* --- lprotect.c --- */
/* Runs fn(ud) under pcall; false: it raised. */
bool lprotect(lnode *n, lua_CFunction fn, void *ud);
/* The same, with the text of what it raised; n->vm->hooked: a debug hook did, and it is kept. */
bool lprotect_try(lnode *n, lua_CFunction fn, void *ud, char *why, size_t size);
/* The same; what it raised is on top of co. */
bool lprotect_to(lnode *n, lua_CFunction fn, void *ud, lua_State *co);
/* Keeps the value on top of L for lprotect_raise. */
void lprotect_keep(lua_State *L, lnode *n);
/* In a message handler: whether a debug hook raised, which vm->hooked tells too. */
bool lprotect_hooked(lua_State *L);
/* lua_pcall without results, whose handler (an index) begins with lprotect_hooked; vm->hooked tells too. */
int lprotect_pcall(lua_State *L, int args, int handler);
/* Outside the library: raises what was kept, if anything was. */
void lprotect_raise(lua_State *L, lnode *n);

/* --- levent.c --- */
void levent_write(lnode *n, int level, const char *text);
void levent_text(lnode *n, const char *event, const char *text);
/* Keeps why an actor failed until the event of it comes. */
void levent_note(lnode *n, shoal_pid pid, const char *trace);
void levent_log(void *ud, int level, const char *text);          /* on_log */
void levent_told(void *ud, const char *event, shoal_bytes info); /* on_event */
void levent_deliver_logs(lnode *n);                              /* inside enter and leave */
void levent_free(lnode *n);

/* --- ltimer.c: sleeping --- */
bool ltimer_add(lcoro *c, uint64_t due_us); /* false: no memory */
void ltimer_remove(lcoro *c);
int64_t ltimer_wait_ms(const lnode *n, int64_t wait_ms);
bool ltimer_due(const lnode *n);
/* When the first one is due, if that is before otherwise_us. */
uint64_t ltimer_next_us(const lnode *n, uint64_t otherwise_us);
void ltimer_fire(lnode *n); /* wakes who is due */
/* Makes the next poll wake who is due. */
void ltimer_arm(lnode *n);
void ltimer_close(lnode *n);

/* --- lactor.c --- */
int lactor_class(lua_State *L); /* shoal.actor */
/* spawn of a node (parent NULL) and of a cx: what Lua gets, may yield. */
int lactor_spawn(lua_State *L, lnode *n, lactor *parent);
void lactor_push_self(lua_State *L, const lactor *a);
void lactor_started(lactor *a, int code);
void lactor_release(lactor *a);
void lactor_close_hooks(lnode *n); /* before the library's node ends */
void lactor_types_free(lnode *n);
void lactor_push_reason(lua_State *L, lnode *n, const shoal_reason *reason);

/* --- lcoro.c --- */
lcoro *lcoro_new(lnode *n, enum lkind kind, lactor *a, shoal_cx *cx); /* NULL: no memory */
/* Starts c: a hook's or handler's answer, 0 while it waits. */
int lcoro_start(lcoro *c);
int lcoro_start_object(lcoro *c); /* the same of a message with c->object */
int lcoro_step(lcoro *c, int args);
/* Who may wait at L for n; raises with what was wrong. */
lcoro *lcoro_waiter(lua_State *L, lnode *n, const char *what);
/* The handler of n that runs, wherever in its code; NULL. */
lcoro *lcoro_handler(const lnode *n);
shoal_cx *lcoro_cx(const lcoro *c);
/* Waits for a call that was begun (id) or failed to (negative). The C function that waits returns what these return: it
 * does not go on itself. */
int lcoro_call(lua_State *L, lcoro *c, int64_t id, enum lwhat what);
int lcoro_wait(lua_State *L, lcoro *c, enum lwait wait, enum lwhat what);
int lcoro_sleep(lua_State *L);
/* Goes on; what its message answers, if that ended. */
int lcoro_wake(lcoro *c, const shoal_result *result);
int lcoro_go(lcoro *c, const shoal_result *result); /* the same at once, for who is of home too */
void lcoro_done(void *ud, const shoal_result *result);
int lcoro_then(shoal_cx *cx, void *ud, const shoal_result *result);
void lcoro_close(lcoro *c);
void lcoro_close_all(lcoro **list);
void lcoro_pool_free(lnode *n);
void lcoro_close_forks(lcoro *parent);

/* --- ljob.c --- */
/* Instead of a number of arguments: nothing is (or is left) to call; something was raised, on top of the coroutine. */
enum { LJOB_DONE = -1, LJOB_RAISED = -2 };
/* Pushes the function that c runs, and its arguments: how many, or LJOB_*. */
int ljob_push(lcoro *c);
bool ljob_push_direct(lcoro *c); /* of an object, with one argument besides self; false: not so */
/* A direct function has returned: LJOB_*, or the arguments of the next one. */
int ljob_returned(lcoro *c);
/* Pushes a function and its arguments: how many, negative: nothing to call. */
int ljob_begin(lua_State *L, lcoro *c);
bool ljob_end(lua_State *L, lcoro *c); /* its result is on top; true: begin again */
/* Of a task or fork with a table: the value that it raised. */
void ljob_raised(lua_State *L, lcoro *c, int value);
const char *ljob_name(enum lkind kind);

/* --- ltask.c --- */
int ltask_new(lua_State *L);             /* node:task */
int ltask_begin(lua_State *L, lnode *n); /* the same for (any, fn [, into]) */
int ltask_run(lua_State *L);             /* node:task(fn, into) */
int ltask_fork(lua_State *L);            /* the rest: for shoal.all */
int ltask_park(lua_State *L);
int ltask_drop(lua_State *L);
int ltask_busy(lua_State *L);

/* --- lref.c --- */
lref *lref_check(lua_State *L, int arg);
void lref_push(lua_State *L, lnode *n,
               shoal_pid pid); /* the one userdata of that actor; nobody: nil */
/* The actor of r as node n knows it. */
int lref_pid(const lref *r, lnode *n, shoal_pid *out);
void lref_open(lua_State *L);

/* --- liter.c --- */
int liter_lookup_all(lua_State *L);
void liter_forget(liter *it);
int liter_push(lua_State *L, liter *it); /* its next: how many values */
void liter_open(lua_State *L);

/* --- lcx.c --- */
void lcx_open(lua_State *L);

#endif
