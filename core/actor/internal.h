/* actor/internal.h - what the files of this layer share: the executor, the runtime, the ways of messages.
 *
 * Shape    one struct per executor and one per runtime. x is always the executor the calling thread is
 *          inside; the only fields other threads touch are the atomics under "shared".
 * Files    executor.c who is inside; turn.c its turn; post.c routes; cross.c between executors; spawn.c, actor.c
 *          life; ask.c, ask_wait.c slots; cx.c, cx_calls.c what handlers do; object.c; timer.c; links.c;
 *          event.c; outside.c, outside_send.c calls from outside; runtime.c the rest of the interface. */
#ifndef SH_ACTOR_INTERNAL_H
#define SH_ACTOR_INTERNAL_H

#include "actor/gate.h"
#include "actor/inbox.h"
#include "actor/runtime.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slab.h"
#include "base/wheel.h"

enum { SH_NAMES_KNOWN = 64, SH_NAME_KNOWN_MAX = 31 }; /* names; bytes of one without its NUL */

typedef struct sh_actor sh_actor;
typedef struct sh_slot sh_slot;

/* Something the wheel tells; first in its owner. */
struct sh_due {
    sh_timer timer;
    enum { SH_DUE_SLOT, SH_DUE_ACTOR_TIMER } what;
};

/* A message name seen before: checked, and with its handler in the type that got it last. */
struct sh_name {
    const char *at;      /* where the sender has it; what is there may have changed */
    const sh_type *type; /* NULL: none yet */
    uint32_t index;      /* of its handler there, and 1; 0: it takes no such name */
    uint32_t n;
    char text[SH_NAME_KNOWN_MAX + 1];
};

/* Room taken in the gate of another executor's actor, for more messages than one: see cross.c. */
struct sh_credit {
    uint64_t actor; /* 0: none */
    sh_gate *gate;
    const sh_type *type;
    bool bounded;  /* its mailbox has a limit */
    uint32_t left; /* of what was taken */
    uint32_t step; /* how much is taken next */
};
enum { SH_CREDITS_KNOWN = 64, SH_CREDIT_STEP_MAX = 64 };

/* Messages of one pool on their way back to it. */
struct sh_bundle {
    sh_msg *head;
    sh_msg *last;
    uint32_t count;
};

/* Tells being packed for another executor: the newest message of its chain, and what the last record was of. */
struct sh_pack {
    sh_msg *m; /* NULL: none since the last flush */
    uint8_t *at;
    const uint8_t *end;
    uint64_t to;
    uint64_t from;
    const struct sh_name *name; /* NULL: it has another text now */
};

/* ROOM: came back somewhere an ask here may wait for. STOP: every actor without a parent stops. */
enum sh_nudge { SH_NUDGE_ROOM = 1u, SH_NUDGE_STOP = 2u, SH_NUDGE_KILL = 4u };

struct sh_exec {
    /* shared */
    _Alignas(64) _Atomic(uint64_t) inside; /* token of the thread inside, 0: nobody */
    _Atomic(uint32_t) asleep;              /* its driver blocks, or is about to */
    _Atomic(uint32_t) nudged;              /* enum sh_nudge: told without a message */
    _Alignas(64) sh_inbox inbox;
    _Alignas(64) sh_inbox homes; /* messages of our pool, handled elsewhere */
    sh_inbox bundles;            /* the same, in bundles */
    /* confined to the thread inside */
    _Alignas(64) sh_runtime *rt;
    void *raw; /* what was allocated */
    unsigned index;
    bool turning;
    bool rescan;      /* room came back in this executor */
    uint64_t entries; /* how often somebody came in */
    uint64_t now_us;
    sh_msg_pool pool;
    sh_slab actors;
    sh_gates gates; /* by slot of actors */
    sh_gates types; /* likewise: const sh_type * of a live one, for any thread */
    sh_actor *ready_head;
    sh_actor *ready_tail;
    uint32_t ready_count;
    sh_cx *fresh; /* of the message being handled or the next: see step.c. NULL: to be made */
    sh_cx *cx_free;
    sh_list orphans; /* held contexts of ended actors, whose finish is still due */
    sh_slab slots;
    sh_slot *resume_head; /* slots whose continuation is due */
    sh_slot *resume_tail;
    sh_msg_queue calls;  /* CALLBACKs due */
    sh_map_u64 waits;    /* gate key -> struct sh_wait, asks waiting for room */
    sh_list wait_list;   /* the same, in order of their first ask */
    sh_map_u64 deferred; /* call id given outside -> slot id */
    sh_map_u64
        askers; /* reply address -> sh_cx: those behind the first few open ones of their actor */
    bool askers_missing; /* one could not be noted: they are looked for one by one */
    sh_slab timers;
    sh_wheel wheel;
    sh_chain chains[SH_RUNTIME_EXECS_MAX];
    sh_chain home_chains[SH_RUNTIME_EXECS_MAX];
    bool home_credit;    /* a home chain holds credit of remote: wake the loop for it */
    sh_msg_queue outbox; /* loop only, as the next three */
    sh_msg_queue requests;
    sh_msg_queue returned;
    struct { /* tells handled without a failure, in a row: to one actor, by one session */
        sh_pid to;
        uint32_t tag, messages, bytes, mailbox;
    } handled;
    sh_msg_queue events;
    uint32_t event_count;
    sh_msg *event_taken;
    struct {
        uint64_t actor;
        int code;
    } losses[64]; /* tells from here lost on arrival, for the next drain */
    uint32_t loss_at;
    const sh_span *last_name; /* of the message begun last, in its type's table; NULL: not there */
    struct sh_name names[SH_NAMES_KNOWN];
    sh_msg *last_text;
    struct sh_exec_stats stats;
    struct {
        sh_msg **buckets; /* `size` of them, a power of two; NULL: none yet */
        uint32_t size;
        uint32_t count;
    } links; /* of actors with many: see links.c */
    struct sh_bundle home_bundles[SH_RUNTIME_EXECS_MAX];
    struct sh_pack packs[SH_RUNTIME_EXECS_MAX];
    uint64_t credits_out; /* a bit for each of credits with something left */
    struct sh_credit credits[SH_CREDITS_KNOWN];
};

struct sh_runtime {
    struct sh_runtime_config cfg;
    sh_exec *exec[SH_RUNTIME_EXECS_MAX];
    sh_gates peers;
    _Atomic(struct sh_type *) types; /* to be freed with us */
    _Atomic(uint32_t) actor_count;
    _Atomic(uint32_t) stopping;
    _Atomic(uint32_t) room_wanted; /* a tell to another node was refused for lack of room */
    _Atomic(uint32_t) room_back;   /* and there is some now */
    bool ended; /* in sh_runtime_free: open calls are being closed, none may begin */
    _Atomic(uint32_t) next_deferred;
};

/* --- executor.c --- */
int sh_exec_new(sh_runtime *rt, unsigned index, uint64_t now_us, sh_exec **out);
void sh_exec_free(sh_exec *x);
void sh_exec_drop_queues(sh_exec *x);
void sh_exec_wake(sh_exec *target); /* after something was pushed to it */
void sh_exec_take_homes(sh_exec *x);
void sh_exec_nudge(sh_exec *target, enum sh_nudge what); /* any thread */
void sh_exec_nudge_all(sh_exec *x); /* room came back at a gate somebody waits for */

static inline bool sh_exec_has_work(const sh_exec *x)
{
    return x->ready_head || x->resume_head || x->calls.head || x->rescan;
}

/* --- turn.c --- */
void sh_exec_resume(sh_exec *x, sh_slot *s); /* its continuation is due */

/* --- post.c --- */
/* Puts the message on its way; no gate is asked. Takes it. */
void sh_exec_send(sh_exec *x, sh_msg *m);
/* A CALLBACK for executor `exec`; its `to` is not an address but the result's cause. Takes it. */
void sh_exec_callback(sh_exec *x, sh_msg *m, unsigned exec);
/* It has come to the executor of its target. Takes it. */
void sh_exec_arrive(sh_exec *x, sh_msg *m);
/* Whose mailbox a TELL or ASK that arrived goes into; NULL: undeliverable. */
sh_actor *sh_exec_target(const sh_exec *x, sh_pid to, bool gated);
/* Its end here: home, or to credit. */
void sh_exec_release(sh_exec *x, sh_msg *m);
/* It cannot be delivered: asks are answered, tells reported. Takes it. */
void sh_exec_undeliverable(sh_exec *x, sh_msg *m, int code);
sh_msg *sh_exec_msg(sh_exec *x, enum sh_msg_kind kind, sh_pid to, sh_pid from,
                    const struct sh_msg_parts *parts); /* NULL: no memory */
int sh_post_tell(sh_exec *x, sh_pid to, sh_pid from, const struct sh_msg_parts *parts);
/* Passes the target's gate for a TELL or ASK (want: ask to be told of room); 0 or the code. */
int sh_post_gate(sh_exec *x, sh_pid to, uint32_t bytes, bool want, bool *gated);
/* A REPLY of these fields to a reply address (none: nothing). 0 or LIMIT. */
int sh_post_reply(sh_exec *x, sh_pid reply, const struct sh_result *r);
void sh_post_reply_code(sh_exec *x, sh_pid reply, int code, int delivery, sh_span text);
/* The ask m itself becomes the reply: needs no memory. Takes m. */
void sh_post_reply_by(sh_exec *x, sh_msg *m, sh_pid reply, int code, int delivery);

static inline sh_pid sh_exec_pid(const sh_exec *x, uint64_t actor)
{
    return (sh_pid){actor, 0, x->rt->cfg.self_tag};
}

static inline bool sh_pid_is_local(const sh_exec *x, sh_pid p)
{
    return p.node == 0 && p.check == x->rt->cfg.self_tag;
}

static inline int sh_public_code(int code)
{
    return code == SH_E_NOMEM ? SH_E_LIMIT : code;
}

/* Code, delivery, and whether others follow. */
static inline void sh_msg_say(sh_msg *m, const struct sh_result *r)
{
    m->code = (int8_t)(r->code < 0 ? sh_public_code(r->code) : 0);
    m->why = (uint8_t)r->delivery;
    m->flags |= r->code == SH_RESULT_MORE ? SH_MSG_MORE : 0;
}

/* --- cross.c --- */
/* Room for one message in the gate of another executor's actor: 0 and whose; or as sh_gate_take. */
int sh_cross_take(sh_exec *x, sh_pid to, bool want, struct sh_credit **out);
void sh_cross_untake(sh_exec *x, struct sh_credit *c); /* the one just taken: kept for the next */
void sh_cross_give_back(sh_exec *x);                   /* what was taken and not used */
/* A TELL to that actor, which has given room for it: packed behind those that were told before. False: no memory. */
bool sh_cross_pack(sh_exec *x, sh_pid to, uint64_t from, const struct sh_name *name, uint8_t why,
                   sh_span value);
void sh_cross_arrive(sh_exec *x, sh_msg *m); /* TELLS; takes m */
/* A message of another's pool, with nothing beside it, goes home. */
static inline void sh_cross_home(sh_exec *x, sh_msg *m)
{
    struct sh_bundle *b = &x->home_bundles[m->flags & SH_MSG_HOME];
    if (!b->head) {
        b->head = m;
    } else if (b->last->next !=
               m) { /* most often it is as the sender chained them: nothing is written */
        b->last->next = m;
    }
    b->last = m;
    b->count++;
}
void sh_cross_send_home(sh_exec *x, unsigned exec);
void sh_cross_take_home(sh_exec *x);

/* --- object.c --- */
/* An object may go from x to that actor as it is: both are of the host's executor. */
bool sh_object_here(const sh_exec *x, sh_pid to);
/* The end of a message that carries an object: dropped in this turn or the next, if nobody took it. Takes m. */
void sh_object_release(sh_exec *x, sh_msg *m);
/* The sender keeps it: the message did not go. */
static inline void sh_object_keep(sh_msg *m)
{
    if (m->kind != SH_MSG_TIMER) {
        m->flags &= (uint8_t)~SH_MSG_OWNED;
    }
}

/* --- event.c --- */
void sh_event_undelivered(sh_exec *x, sh_pid to, sh_span name, uint32_t count, int code,
                          sh_span text);
void sh_event_failed(sh_exec *x, sh_pid pid, sh_span name, int code, sh_span text);
void sh_event_stalled(sh_exec *x, sh_pid pid, sh_span name, uint64_t us);
void sh_event_arrive(sh_exec *x, sh_msg *m);
void sh_loss_note(sh_exec *x, uint64_t actor, int code);
int sh_loss_take(sh_exec *x, uint64_t actor); /* 0: none since the last drain */

/* --- outside.c --- */
void sh_outside_arrive(sh_exec *x, sh_msg *m);
void sh_outside_drop(sh_exec *x, sh_msg *m); /* at free: completes as closed */

#endif
