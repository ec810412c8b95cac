/* actor/actor.h - an actor: table entry, mailbox, life. Not for other layers.
 *
 * Life     STARTING (init is open) -> running -> CLOSING (takes nothing new, the queue is handled) or DYING (the
 *          queue is skipped) -> on_stop (ENDING) -> gone. See actor_end in actor.c.
 * Memory   about 180 bytes with slab header and gate, and the state; links 128 bytes each. */
#ifndef SH_ACTOR_ACTOR_H
#define SH_ACTOR_ACTOR_H

#include "actor/internal.h"

enum {
    SH_A_QUEUED = 1u << 0,   /* in the run queue, or in its step */
    SH_A_STARTING = 1u << 1, /* init has not ended */
    SH_A_CLOSING = 1u << 2,  /* takes nothing new */
    SH_A_DYING = 1u << 3,    /* the queue is skipped */
    SH_A_ENDING = 1u << 4,   /* on_stop began */
    SH_A_STARTED = 1u << 5,  /* an init succeeded that no on_stop followed yet */
    SH_A_RESTARTING = 1u << 6,
    SH_A_REENTRANT = 1u << 7,
    SH_A_SWEPT = 1u << 8,        /* continuations were cancelled, children told */
    SH_A_STOPPED = 1u << 9,      /* on_stop has ended: the next step ends it */
    SH_A_SILENT = 1u << 10,      /* spawn failed and said so: nobody else is told */
    SH_A_LINKS_KNOWN = 1u << 11, /* its links are in the executor's table */
    SH_A_ASKS_KNOWN = 1u << 12,  /* more->asks: asks of its mailbox are in a table */
    /* None of these: a message can be handled now, if it waits for no other. */
    SH_A_SPECIAL = SH_A_STARTING | SH_A_DYING | SH_A_ENDING | SH_A_STOPPED,
};

/* What few actors need. */
struct sh_actor_more {
    uint8_t *args;
    size_t args_len;
    sh_msg *spawned; /* reserved callback of a held init */
    sh_pid reason_pid;
    sh_span reason_text; /* owned */
    uint64_t window_us;  /* of the restart budget */
    uint32_t window_restarts;
    struct sh_asks *asks; /* of mailbox.c; NULL: none walked over */
};

struct sh_actor {
    const sh_type *type;
    void *state;
    sh_msg_queue mailbox;
    uint32_t queued; /* messages in it */
    uint32_t limit;  /* UINT32_MAX: only memory */
    uint16_t flags;
    uint8_t reason_kind;
    uint32_t restarts;
    sh_list open; /* contexts */
    sh_actor *ready_next;
    uint64_t id; /* pid.actor */
    uint64_t handled;
    sh_msg *links;
    sh_list timers;
    sh_actor *parent;
    sh_list children;
    sh_list siblings;
    void *user;
    struct sh_actor_more *more;
};

/* Names up to 16 bytes are told apart by this alone. */
struct sh_type_key {
    uint64_t first;
    uint64_t last;
    uint32_t n;
    uint32_t index; /* of the handler, and 1; 0: empty */
};

struct sh_type {
    struct sh_actor_type def;
    struct sh_type *next;
    size_t bytes; /* of this allocation, names included */
    struct sh_type_key *table;
    uint32_t mask;
};

/* --- type.c --- */
int sh_type_find(const sh_type *type, sh_span name); /* index or -1 */
void sh_type_free_all(sh_runtime *rt);

/* --- spawn.c --- */
int sh_actor_spawn(sh_exec *x, sh_actor *parent, const sh_type *type, const struct sh_spawn *opt,
                   sh_pid *out);
/* At a spawn or restart: 0, or LIMIT if init could not begin (and then has ended). */
int sh_actor_call_init(sh_exec *x, sh_actor *a);
void sh_actor_init_ended(sh_exec *x, sh_actor *a, int code, sh_span text);
void sh_actor_free(sh_exec *x, sh_actor *a); /* its memory; nothing may point at it */

/* --- actor.c --- */
/* The live actor, whatever its state; NULL. */
static inline sh_actor *sh_actor_at(const sh_exec *x, uint64_t id)
{
    return sh_slab_get(&x->actors, sh_pid_slot(id), sh_pid_generation(id));
}

static inline sh_pid sh_actor_pid(const sh_exec *x, const sh_actor *a)
{
    return sh_exec_pid(x, a->id);
}

size_t sh_actor_step(sh_exec *x, sh_actor *a, size_t max); /* out of the run queue; handled */
/* One step towards its end, or a restart; false: it is gone. */
bool sh_actor_proceed(sh_exec *x, sh_actor *a);
void sh_actor_room_back(sh_exec *x, sh_actor *a, uint32_t n); /* room of its gate came back */
bool sh_actor_has_special_work(const sh_actor *a);

/* No message of it is being handled, or its type does not mind. */
static inline bool sh_actor_is_free(const sh_actor *a)
{
    return sh_list_empty(&a->open) || (a->flags & SH_A_REENTRANT);
}

static inline bool sh_actor_has_work(const sh_actor *a)
{
    if (a->mailbox.head && !(a->flags & SH_A_SPECIAL) && sh_actor_is_free(a)) {
        return true;
    }
    return (a->flags & (SH_A_SPECIAL | SH_A_CLOSING)) && sh_actor_has_special_work(a);
}

static inline void sh_exec_ready(sh_exec *x, sh_actor *a)
{
    if (a->flags & SH_A_QUEUED) {
        return;
    }
    a->flags |= SH_A_QUEUED;
    a->ready_next = NULL;
    if (x->ready_head) {
        x->ready_tail->ready_next = a;
    } else {
        x->ready_head = a;
    }
    x->ready_tail = a;
    x->ready_count++;
}

/* A context ended, or life goes on: ready if it has work. */
static inline void sh_actor_poke(sh_exec *x, sh_actor *a)
{
    if (sh_actor_has_work(a)) {
        sh_exec_ready(x, a);
    }
}

/* No check; takes m. */
static inline void sh_actor_enqueue(sh_exec *x, sh_actor *a, sh_msg *m)
{
    sh_msg_queue_push(&a->mailbox, m);
    a->queued++;
    if (!(a->flags & SH_A_QUEUED)) {
        sh_actor_poke(x, a);
    }
}

/* A message left the mailbox: its room is free. */
static inline void sh_actor_room(sh_exec *x, sh_actor *a, sh_msg *m)
{
    a->queued--;
    x->rescan |= !sh_list_empty(&x->wait_list);
    if (m->flags & SH_MSG_GATED) {
        m->flags &= (uint8_t)~SH_MSG_GATED;
        sh_actor_room_back(x, a, 1);
    }
}
void sh_actor_close(sh_exec *x, sh_actor *a, int kind, sh_span text); /* graceful */
void sh_actor_die(sh_exec *x, sh_actor *a, int kind, sh_span text, sh_pid cause);
/* An error decided this; STOP or RESTART. */
void sh_actor_decide(sh_exec *x, sh_actor *a, int decision, int kind, sh_span text, sh_pid cause);
void sh_actor_stop_ended(sh_exec *x, sh_actor *a);
struct sh_actor_more *sh_actor_more(sh_exec *x, sh_actor *a); /* NULL: no memory */
sh_pid sh_actor_parent(const sh_exec *x, const sh_actor *a);

/* --- mailbox.c --- */
/* Takes the ask of that reply address out of the mailbox, not yet begun; NULL: not there. */
sh_msg *sh_actor_take_ask(sh_exec *x, sh_actor *a, sh_pid reply);
void sh_mailbox_popped(sh_exec *x, sh_actor *a,
                       sh_msg *m); /* m was the first; of ASKS_KNOWN only */

static inline sh_msg *sh_mailbox_pop(sh_exec *x, sh_actor *a)
{
    sh_msg *m = sh_msg_queue_pop(&a->mailbox);
    if (m && (a->flags & SH_A_ASKS_KNOWN)) {
        sh_mailbox_popped(x, a, m);
    }
    return m;
}

/* --- timer.c --- */
void sh_timer_table_init(sh_exec *x);
void sh_timer_fire(sh_exec *x, struct sh_due *due);
bool sh_timer_begin(sh_exec *x, sh_msg *m); /* false: cancelled meanwhile */
void sh_timer_home(sh_exec *x, sh_msg *m);
void sh_timer_end_all(sh_exec *x, sh_actor *a);

/* --- links.c --- */
int sh_link_watch(sh_exec *x, sh_actor *a, sh_pid other,
                  bool link); /* a watches (or links) other */
void sh_link_unwatch(sh_exec *x, sh_actor *a, sh_pid other);
void sh_link_arrive(sh_exec *x, sh_msg *m); /* WATCH, UNWATCH; takes m */
bool sh_link_down(sh_exec *x, sh_actor *a, sh_pid dead,
                  bool *link); /* false: not watched (any more) */
void sh_link_tell_all(sh_exec *x, sh_actor *a, const struct sh_reason *reason);
void sh_link_drop_all(sh_exec *x, sh_actor *a);

/* --- cx.c --- */
enum sh_hook {
    SH_HOOK_HANDLE,
    SH_HOOK_INIT,
    SH_HOOK_STOP,
    SH_HOOK_ERROR,
    SH_HOOK_DOWN,
    SH_HOOK_UNDELIVERED
};
enum {
    SH_CX_HELD = 1u << 0,
    SH_CX_REPLIED = 1u << 1, /* or deferred: nothing more is due */
    SH_CX_DEFERRED = 1u << 2,
    SH_CX_REJECTED = 1u << 3,
    SH_CX_WAS_ASK = 1u << 4,
    SH_CX_ORPHAN = 1u << 5,
    SH_CX_LINKED = 1u << 6, /* on_down: of a link */
    SH_CX_KNOWN = 1u << 7,  /* in x->askers */
};

struct sh_cx {
    sh_list link; /* of a->open, but while its handler runs for the first time: x->fresh */
    sh_exec *x;
    sh_actor *a; /* NULL: orphan */
    sh_msg *m;   /* what is handled, NULL in hooks and once deferred */
    sh_pid reply;
    sh_msg *failure;
    sh_slot *slots; /* asks and requests out */
    int code;       /* of the last callback, or of the first that failed */
    uint16_t running;
    uint8_t hook;
    uint8_t flags;
    sh_pid subject; /* DOWN: the dead */
};

sh_cx *sh_cx_make(sh_exec *x); /* in no list, all fields empty but x; NULL: no memory */
sh_cx *sh_cx_open(sh_exec *x, sh_actor *a, enum sh_hook hook, sh_msg *m); /* NULL: no memory */
void sh_cx_stays(sh_exec *x, sh_actor *a,
                 sh_cx *cx); /* its handler returned and it is not over: one of a->open */

static inline void sh_cx_free(sh_exec *x, sh_cx *cx)
{
    cx->link.next = (sh_list *)(void *)x->cx_free;
    x->cx_free = cx;
}

static inline void sh_cx_enter(sh_cx *cx)
{
    cx->running++;
}

void sh_cx_dispatch_down(sh_exec *x, sh_actor *a, sh_msg *m);
void sh_cx_returned(sh_cx *cx, int code);
void sh_cx_orphan(sh_exec *x, sh_cx *cx); /* its actor ends */
void sh_cx_call_init(sh_exec *x, sh_actor *a, sh_cx *cx);
void sh_cx_call_stop(sh_exec *x, sh_actor *a, sh_cx *cx, const struct sh_reason *reason);
uint64_t sh_cx_deadline(const sh_cx *cx, uint64_t us);
bool sh_cx_may_wait(const sh_cx *cx);
bool sh_cx_withdraw(sh_exec *x, sh_actor *a,
                    sh_pid reply); /* an ask being handled: no reply any more */

#endif
