/* actor/msg.h - the message: everything that moves between actors, executors and remote is one.
 *
 * Shape    192 bytes. A payload of up to four pieces (name, text, type, value) lies inside when it
 *          fits in SH_MSG_INLINE bytes, else in one block beside it. It is opaque to this layer.
 * Memory   from the pool of an executor (its home) or, made by a thread that is inside none, from
 *          the allocator. A message goes home when handled; homecoming crosses threads in batches.
 * Threads  one owner at a time; ownership moves with the message. */
#ifndef SH_ACTOR_MSG_H
#define SH_ACTOR_MSG_H

#include "base/mem.h"
#include "base/pid.h"
#include "base/quota.h"
#include "base/sh_limits.h"
#include "base/span.h"

typedef struct sh_msg sh_msg;
struct sh_result;

/* A value that is not packed: between actors of one executor, who share what ptr means. Each ends once: taken by
 * who gets it, or dropped in a turn of that executor. */
typedef struct sh_object {
    void *ptr;               /* not NULL */
    void (*drop)(void *ptr); /* NULL: nothing to give back */
} sh_object;

/* What a finished call, or an item of one, tells. Lent for the call it comes with. */
struct sh_reason {
    int kind;     /* enum sh_reason_kind */
    sh_span text; /* at most SH_TEXT_MAX bytes */
    sh_pid pid;   /* cause: who died first, or whose link; none: nobody else */
};
struct sh_result {
    int code;                /* 0, SH_RESULT_MORE on an item before the last, or a public SH_E_* */
    int delivery;            /* enum sh_delivery; meaningful when code < 0 */
    sh_span text;            /* of an error */
    sh_span type;            /* of a handler error: the far class; may be empty */
    sh_span value;           /* the reply, or the value raised */
    sh_pid pid;              /* what was found or made (requests), who ended (done); else none */
    struct sh_reason reason; /* of a done or stop */
    sh_msg *carrier; /* of a reply that carries an object: see sh_result_object; else NULL */
};
typedef void sh_call_fn(void *ud, const struct sh_result *result);

enum sh_msg_kind {
    SH_MSG_TELL = 1, /* from = sender or none; name, value; type = topic it was published on */
    SH_MSG_ASK,      /* as TELL; reply = where the answer goes; deadline_us */
    SH_MSG_REPLY, /* to = reply address; code, why = delivery, text, type, value; from = a pid found
                   */
    SH_MSG_CANCEL, /* to = the ask's target, reply = the ask's reply address: take it back.
                      Answer: REPLY CANCELLED, NOT_SENT (removed) or UNKNOWN (it runs; no other
                      reply comes); no answer if it has been answered already */
    SH_MSG_DRAIN,  /* to = target; reply: 0 once earlier tells from here are in its mailbox, or the
                      first loss */
    SH_MSG_WATCH, /* to = watched, from = watcher (an actor, or a slot: a `done`, the wire's watcher
                     0); flags LINK. reply = none: only failure is told, by DOWN of kind gone to
                     `from`. reply given (remote): REPLY 0, NOT_RUNNING or LIMIT, and no DOWN if it
                     failed */
    SH_MSG_UNWATCH, /* to = watched, from = watcher; flags LINK: the link ends on both sides,
                       silently */
    SH_MSG_DOWN, /* to = watcher, from = the dead; why = reason kind, text, reply = cause pid; flags
                    LINK */
    SH_MSG_STOP, /* to = actor; text. On arrival nothing new is taken, what is queued is handled */
    SH_MSG_KILL, /* to = actor; text */
    SH_MSG_TIMER,    /* within an executor: after, every */
    SH_MSG_REQUEST,  /* for the node, on the loop: op = tag, from = subject pid, name, text, type,
                        value,  deadline_us, reply = where the results go (sh_runtime_reply) */
    SH_MSG_CALLBACK, /* run call.fn(call.ud, result) inside executor of `to` */
    SH_MSG_EVENT,    /* on its way to sh_runtime_event */
    SH_MSG_OUTSIDE,  /* a call from outside that could not enter: call.ud is its struct */
    SH_MSG_TELLS, /* small TELLs in a row from another executor, packed into the block: see cross.c */
};

enum {
    SH_MSG_HOME = 3u, /* low bits: executor whose pool owns it, or SH_MSG_HOME_MEM */
    SH_MSG_HOME_MEM = 3u,
    SH_MSG_LINK = 1u << 2,     /* WATCH, UNWATCH, DOWN */
    SH_MSG_GATED = 1u << 3,    /* took room of a gate; given back when begun, or by remote */
    SH_MSG_INJECTED = 1u << 4, /* came from remote: its end is told by sh_runtime_take_returned */
    SH_MSG_MORE = 1u << 5,     /* REPLY: an item, others follow */
    SH_MSG_BESIDE = 1u << 6,   /* payload in a block */
    SH_MSG_OWNED =
        1u << 7, /* TIMER: belongs to a timer, goes back there. Else: carries an object */
};

enum { SH_MSG_INLINE = 112, SH_MSG_INLINE_OBJECT = SH_MSG_INLINE - (int)sizeof(sh_object) };

struct sh_msg {
    sh_msg *next;
    sh_pid to;
    sh_pid from;
    union {
        sh_pid reply;
        struct {
            sh_call_fn *fn;
            void *ud;
        } call; /* CALLBACK */
        struct {
            sh_msg *before; /* of the first: the last */
            sh_msg *bucket; /* the next of the same bucket */
        } entry;            /* of links.c: until it is sent */
        struct {
            sh_msg *before; /* the bundle sent before it */
            sh_msg *last;
        } bundle; /* the first of one, on its way home: see cross.c */
    };
    uint64_t deadline_us; /* ASK, REQUEST: absolute; UINT64_MAX none */
    uint32_t value_len;
    uint32_t tag;      /* injected: remote's own mark, comes back with sh_returned; REQUEST: op */
    uint16_t text_len; /* <= SH_TEXT_MAX */
    uint8_t name_len;  /* <= SH_NAME_MAX */
    uint8_t type_len;
    uint8_t kind; /* enum sh_msg_kind */
    uint8_t flags;
    int8_t code; /* REPLY: 0 or SH_E_*; returned: why it was lost, 0 handled */
    uint8_t
        why; /* REPLY: enum sh_delivery; DOWN: enum sh_reason_kind; TELL, not injected: its handler's index and 1,
                    0: not looked for */
    union {
        uint8_t bytes[SH_MSG_INLINE];
        struct {
            uint8_t *at;   /* the block's payload: name, text, type, value in a row */
            uint32_t size; /* bytes of the block */
            uint32_t block_class;
        } beside;
        struct {
            uint8_t before[SH_MSG_INLINE_OBJECT];
            sh_object object; /* OWNED, but a TIMER: ptr NULL once taken */
        };
    };
};
SH_STATIC_ASSERT(sizeof(sh_msg) == SH_MESSAGE_INLINE_BYTES, "a message is three cache lines");

/* What a payload is made of; texts longer than SH_TEXT_MAX are cut, names must fit. A value with
 * p = NULL and n > 0 is left for the caller to fill through sh_msg_value_room. */
struct sh_msg_parts {
    sh_span name;
    sh_span text;
    sh_span type;
    sh_span value;
    const sh_object *object; /* instead of a value; NULL: none */
};

/* Whose, and for whom; all else that a message has beside its payload begins empty. */
static inline void sh_msg_address(sh_msg *m, sh_pid to, sh_pid from)
{
    m->to = to;
    m->from = from;
    m->reply = sh_pid_none();
    m->deadline_us = UINT64_MAX;
    m->tag = 0;
    m->code = 0;
    m->why = 0;
}

/* Its payload is gone; what is left says how a call ended: from nobody, by code and why. */
static inline void sh_msg_to_end(sh_msg *m, int code, int why)
{
    m->from = sh_pid_none();
    m->code = (int8_t)code;
    m->why = (uint8_t)why;
    m->name_len = 0;
    m->text_len = 0;
    m->type_len = 0;
    m->value_len = 0;
}

static inline const uint8_t *sh_msg_payload(const sh_msg *m)
{
    return (m->flags & SH_MSG_BESIDE) ? m->beside.at : m->bytes;
}

static inline sh_span sh_msg_name(const sh_msg *m)
{
    return sh_span_of(sh_msg_payload(m), m->name_len);
}

static inline sh_span sh_msg_text(const sh_msg *m)
{
    return sh_span_of(sh_msg_payload(m) + m->name_len, m->text_len);
}

static inline sh_span sh_msg_type(const sh_msg *m)
{
    return sh_span_of(sh_msg_payload(m) + m->name_len + m->text_len, m->type_len);
}

static inline sh_span sh_msg_value(const sh_msg *m)
{
    return sh_span_of(sh_msg_payload(m) + m->name_len + m->text_len + m->type_len, m->value_len);
}

/* Where a gathered value is written (value_len bytes), before the message is given away. */
static inline uint8_t *sh_msg_value_room(sh_msg *m)
{
    uint8_t *at = (m->flags & SH_MSG_BESIDE) ? m->beside.at : m->bytes;
    return at + m->name_len + m->text_len + m->type_len;
}

/* Its object, ptr NULL once taken; NULL: it has none. */
static inline sh_object *sh_msg_object(sh_msg *m)
{
    return (m->flags & SH_MSG_OWNED) && m->kind != SH_MSG_TIMER ? &m->object : NULL;
}

/* What it counts for in windows: payload and SH_MESSAGE_OVERHEAD. */
static inline uint32_t sh_msg_bytes(const sh_msg *m)
{
    return (uint32_t)SH_MESSAGE_OVERHEAD + m->name_len + m->text_len + m->type_len + m->value_len;
}

/* What it counts for in the queue to a peer, its gate. */
static inline uint32_t sh_msg_queued_bytes(const sh_msg *m)
{
    return sh_msg_bytes(m) + SH_SESSION_QUEUE_EACH;
}

/* A pid that names an ask slot rather than an actor (executor number >= 128). */
static inline bool sh_pid_is_slot(sh_pid p)
{
    return p.node == 0 && (sh_pid_executor(p.actor) & 0x80u) != 0;
}

/* --- within this layer: the pool of one executor --- */

enum { SH_POOL_CLASSES = 7, SH_POOL_GROW = 64 };

typedef struct sh_msg_pool {
    const sh_mem *mem;
    sh_quota *quota; /* of this executor's thread; NULL: none */
    sh_msg *free;
    void *chunks;                     /* chain of SH_POOL_GROW messages each */
    uint8_t *blocks[SH_POOL_CLASSES]; /* free blocks by class */
    uint32_t blocks_kept[SH_POOL_CLASSES];
    uint32_t live; /* messages out */
    uint8_t home;  /* SH_MSG_HOME bits of its messages */
} sh_msg_pool;

void sh_msg_pool_init(sh_msg_pool *p, const sh_mem *mem, sh_quota *quota, uint8_t home);
void sh_msg_pool_fini(sh_msg_pool *p); /* messages out become void */

/* Adds SH_POOL_GROW messages; 0 or SH_E_LIMIT. */
int sh_msg_pool_grow(sh_msg_pool *p);

/* A message with this payload; only kind, flags, lengths and payload are set, the other fields are
 * the caller's to fill. NULL: no memory, quota, or the parts are too long. */
sh_msg *sh_msg_new(sh_msg_pool *p, enum sh_msg_kind kind, const struct sh_msg_parts *parts);

/* The same from the allocator, for a thread inside no executor. */
sh_msg *sh_msg_new_mem(const sh_mem *mem, enum sh_msg_kind kind, const struct sh_msg_parts *parts);

/* Replaces the payload of m, a message of p; on no memory texts that do not fit inside are dropped.
 */
void sh_msg_set_text(sh_msg_pool *p, sh_msg *m, sh_span text);

/* Of this pool, with nothing beside it, nobody's business but the pool's. */
static inline bool sh_msg_is_simple(const sh_msg_pool *p, const sh_msg *m)
{
    return (m->flags & (SH_MSG_HOME | SH_MSG_INJECTED | SH_MSG_BESIDE | SH_MSG_OWNED)) == p->home;
}

/* p->free is taken; it must not be NULL. */
static inline void sh_msg_take_free(sh_msg_pool *p)
{
    p->free = p->free->next;
    p->live++;
}

/* Such a one back into its pool. */
static inline void sh_msg_give(sh_msg_pool *p, sh_msg *m)
{
    m->next = p->free;
    p->free = m;
    p->live--;
}

/* Back into its pool; p must be its home. */
void sh_msg_free(sh_msg_pool *p, sh_msg *m);
void sh_msg_free_mem(const sh_mem *mem, sh_msg *m);

/* First in, first out, by m->next. */
typedef struct sh_msg_queue {
    sh_msg *head;
    sh_msg *tail; /* valid while head is not NULL */
} sh_msg_queue;

static inline void sh_msg_queue_push(sh_msg_queue *q, sh_msg *m)
{
    m->next = NULL;
    if (q->head) {
        q->tail->next = m;
    } else {
        q->head = m;
    }
    q->tail = m;
}

static inline sh_msg *sh_msg_queue_pop(sh_msg_queue *q)
{
    sh_msg *m = q->head;
    if (m) {
        q->head = m->next;
        m->next = NULL;
    }
    return m;
}

#endif
