/* actor/ask.h - slots: every call that ends exactly once. Not for other layers.
 *
 * Life     WAITING (for room) -> SENT -> WITHDRAWING (0.1 s for the far side to confirm) -> ended. A slot of
 *          a context queues its results and its continuation runs in the turn; a slot from outside turns
 *          them into CALLBACKs for the host executor. */
#ifndef SH_ACTOR_ASK_H
#define SH_ACTOR_ASK_H

#include "actor/actor.h"

enum sh_slot_kind { SH_SLOT_ASK, SH_SLOT_DRAIN, SH_SLOT_DONE, SH_SLOT_REQUEST };
enum sh_slot_state { SH_SLOT_WAITING, SH_SLOT_SENT, SH_SLOT_WITHDRAWING, SH_SLOT_ENDED };

struct sh_slot {
    struct sh_due due;
    uint64_t id;   /* pid.actor of its reply address */
    sh_slot *next; /* in resumes */
    sh_list wait;  /* WAITING: behind others for the same gate */
    struct sh_wait *at;
    sh_pid target;
    sh_cx *cx; /* NULL: from outside */
    sh_then_fn *then;
    sh_call_fn *done;
    void *ud;
    sh_slot *cx_next;
    sh_slot **cx_prev;
    sh_msg *m;            /* WAITING: the ask */
    sh_msg_queue results; /* of a context: REPLYs not yet shown */
    sh_msg *call;         /* from outside: reserved CALLBACK */
    uint64_t deferred;    /* call id given outside, 0: none */
    int code;             /* of an end without a REPLY */
    uint8_t delivery;
    uint8_t kind;
    uint8_t state;
    bool queued; /* in resumes */
};

/* Who waits: cx and then, or done, with ud. */
struct sh_waiter {
    sh_cx *cx;
    sh_then_fn *then;
    sh_call_fn *done;
    void *ud;
    uint64_t deferred;
};

/* > 0 call id; < 0 code. Takes nothing it does not begin. */
int64_t sh_ask_begin(sh_exec *x, const struct sh_waiter *w, sh_pid to, sh_pid from,
                     const struct sh_msg_parts *parts, uint64_t deadline_us);
/* An ask from cx, m, that the caller will put into a mailbox of this executor; fills m->reply. LIMIT: not begun. */
int64_t sh_ask_begin_here(sh_exec *x, sh_cx *cx, sh_pid to, sh_then_fn *then, void *ud, sh_msg *m);
int64_t sh_ask_drain(sh_exec *x, const struct sh_waiter *w, sh_pid to, uint64_t deadline_us);
int64_t sh_ask_done(sh_exec *x, const struct sh_waiter *w, sh_pid pid);
int64_t sh_ask_request(sh_exec *x, const struct sh_waiter *w, uint32_t op, sh_pid subject,
                       const struct sh_msg_parts *parts, uint64_t deadline_us);
int sh_ask_cancel(sh_exec *x, int64_t call);
sh_slot *sh_ask_find(sh_exec *x, int64_t call);
void sh_ask_arrive(sh_exec *x, sh_msg *m); /* REPLY or DOWN to a slot; takes m */
void sh_ask_deadline(sh_exec *x, struct sh_due *due);
/* Ends it without a reply in hand: the completion's memory was reserved. */
void sh_slot_end(sh_exec *x, sh_slot *s, int code, int delivery);
void sh_ask_run(sh_exec *x, sh_slot *s);      /* the continuation */
void sh_ask_cancel_cx(sh_exec *x, sh_cx *cx); /* all asks of a context of a dying actor */
void sh_ask_close_all(sh_exec *x);            /* at free: from outside, CLOSED */
void sh_msg_to_result(const sh_msg *m, struct sh_result *r);

/* --- ask_wait.c --- */
int sh_ask_wait(sh_exec *x, sh_slot *s, sh_msg *m); /* 0: it has m; LIMIT */
sh_msg *sh_ask_unwait(sh_exec *x, sh_slot *s);      /* its message, taken back */
bool sh_ask_blocked(sh_exec *x, sh_pid to); /* an ask of this executor waits for that gate */
void sh_ask_go_first(sh_exec *x, sh_pid to);
void sh_ask_rescan(sh_exec *x); /* try those that wait for room */

/* --- fast.c --- */
int sh_tell_object_fast(sh_exec *x, sh_pid to, sh_pid from, const char *name,
                        const sh_object *object);
bool sh_fast_reply(sh_exec *x, sh_pid reply, sh_span value);

#endif
