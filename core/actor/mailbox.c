/* actor/mailbox.c - an ask taken out of the mailbox by its reply address: cancelled, or too late.
 *
 * Shape    near the front it is looked for. Behind, what was walked over is remembered: a hash table of the actor
 *          says which asks are there and what lies before each, so that every message is walked over once, however
 *          many asks are taken back. It ends with the last message of the mailbox.
 * Memory   32 bytes for each ask walked over, while the table lives; without it the walk is only longer. */
#include "actor/actor.h"

#include "base/hash.h"

enum { ASKS_WALKED_MAX = 64, ASK_BUCKETS_START = 64 };

struct ask_known {
    struct ask_known *next; /* of its bucket */
    sh_msg *m;
    sh_msg *before; /* in the mailbox; NULL: it is the first */
};

/* Every ask of the mailbox up to `last` is in it, and nothing else. */
struct sh_asks {
    struct ask_known **buckets;
    uint32_t size; /* a power of two */
    uint32_t count;
    sh_msg *last; /* NULL: nothing was walked over */
};

static struct ask_known **asks_bucket(const sh_exec *x, const struct sh_asks *asks, sh_pid reply)
{
    uint64_t seed = x->waits.seed; /* random: nobody aims at one bucket */
    uint64_t h = sh_hash_u64(seed, reply.actor) ^ (((uint64_t)reply.node << 32) | reply.check);
    return &asks->buckets[sh_hash_u64(seed, h) & (asks->size - 1)];
}

static void asks_end(sh_exec *x, sh_actor *a)
{
    const sh_mem *mem = x->rt->cfg.mem;
    struct sh_asks *asks = a->more->asks;
    a->more->asks = NULL;
    a->flags &= (uint16_t)~SH_A_ASKS_KNOWN;
    for (uint32_t i = 0; i < asks->size; i++) {
        while (asks->buckets[i]) {
            struct ask_known *known = asks->buckets[i];
            asks->buckets[i] = known->next;
            sh_mem_free(mem, known, sizeof *known);
        }
    }
    sh_mem_free(mem, asks->buckets, asks->size * sizeof(struct ask_known *));
    sh_mem_free(mem, asks, sizeof *asks);
}

/* NULL: no memory. */
static struct sh_asks *asks_begin(sh_exec *x, sh_actor *a)
{
    const sh_mem *mem = x->rt->cfg.mem;
    struct sh_asks *asks = sh_actor_more(x, a) ? sh_mem_zalloc(mem, sizeof *asks) : NULL;
    struct ask_known **buckets =
        asks ? sh_mem_array(mem, ASK_BUCKETS_START, sizeof(struct ask_known *)) : NULL;
    if (!buckets) {
        sh_mem_free(mem, asks, sizeof *asks);
        return NULL;
    }
    *asks = (struct sh_asks){.buckets = buckets, .size = ASK_BUCKETS_START};
    a->more->asks = asks;
    a->flags |= SH_A_ASKS_KNOWN;
    return asks;
}

/* Without memory the chains grow instead. */
static void asks_grow(sh_exec *x, struct sh_asks *asks)
{
    const sh_mem *mem = x->rt->cfg.mem;
    struct sh_asks more = {.size = asks->size * 2, .count = asks->count, .last = asks->last};
    more.buckets = sh_mem_array(mem, more.size, sizeof(struct ask_known *));
    if (!more.buckets) {
        return;
    }
    for (uint32_t i = 0; i < asks->size; i++) {
        for (struct ask_known *known = asks->buckets[i]; known;) {
            struct ask_known *next = known->next;
            struct ask_known **bucket = asks_bucket(x, &more, known->m->reply);
            known->next = *bucket;
            *bucket = known;
            known = next;
        }
    }
    sh_mem_free(mem, asks->buckets, asks->size * sizeof(struct ask_known *));
    *asks = more;
}

/* False: no memory. */
static bool asks_put(sh_exec *x, struct sh_asks *asks, sh_msg *m)
{
    struct ask_known *known = NULL;
    if (m->kind == SH_MSG_ASK) {
        known = sh_mem_alloc(x->rt->cfg.mem, sizeof *known);
        if (!known) {
            return false;
        }
        if (asks->count >= asks->size) {
            asks_grow(x, asks);
        }
        struct ask_known **bucket = asks_bucket(x, asks, m->reply);
        *known = (struct ask_known){.next = *bucket, .m = m, .before = asks->last};
        *bucket = known;
        asks->count++;
    }
    asks->last = m;
    return true;
}

/* Where it hangs; what hangs there is NULL if it is not known. m NULL: any with that reply address. */
static struct ask_known **asks_find(sh_exec *x, const struct sh_asks *asks, sh_pid reply,
                                    const sh_msg *m)
{
    struct ask_known **at = asks_bucket(x, asks, reply);
    while (*at && !(m ? (*at)->m == m : sh_pid_eq((*at)->m->reply, reply))) {
        x->stats.searched++;
        at = &(*at)->next;
    }
    return at;
}

/* m, which `before` lay before, leaves the mailbox: `next` moves up. */
static void asks_take(sh_exec *x, sh_actor *a, sh_msg *m, sh_msg *before, sh_msg *next)
{
    struct sh_asks *asks = a->more->asks;
    if (m->kind == SH_MSG_ASK) {
        struct ask_known **at = asks_find(x, asks, m->reply, m);
        struct ask_known *known = *at;
        if (known) {
            *at = known->next;
            asks->count--;
            sh_mem_free(x->rt->cfg.mem, known, sizeof *known);
        }
    }
    if (asks->last == m) {
        asks->last = before;
    } else if (next && next->kind == SH_MSG_ASK) {
        struct ask_known *moved = *asks_find(x, asks, next->reply, next);
        if (moved) {
            moved->before = before;
        }
    }
}

void sh_mailbox_popped(sh_exec *x, sh_actor *a, sh_msg *m)
{
    if (a->mailbox.head) {
        asks_take(x, a, m, NULL, a->mailbox.head);
    } else {
        asks_end(x, a);
    }
}

static sh_msg *mailbox_take(sh_exec *x, sh_actor *a, sh_msg *m, sh_msg *before)
{
    if (a->flags & SH_A_ASKS_KNOWN) {
        asks_take(x, a, m, before, m->next);
    }
    if (before) {
        before->next = m->next;
    } else {
        a->mailbox.head = m->next;
    }
    if (a->mailbox.tail == m) {
        a->mailbox.tail = before;
    }
    if (!a->mailbox.head && (a->flags & SH_A_ASKS_KNOWN)) {
        asks_end(x, a);
    }
    sh_actor_room(x, a, m);
    return m;
}

static bool is_ask(const sh_msg *m, sh_pid reply)
{
    return m->kind == SH_MSG_ASK && sh_pid_eq(m->reply, reply);
}

/* Goes on where the last walk ended, and remembers. */
static sh_msg *take_far(sh_exec *x, sh_actor *a, sh_pid reply)
{
    struct sh_asks *asks = (a->flags & SH_A_ASKS_KNOWN) ? a->more->asks : asks_begin(x, a);
    if (asks) {
        struct ask_known *known = *asks_find(x, asks, reply, NULL);
        if (known) {
            return mailbox_take(x, a, known->m, known->before);
        }
    }
    sh_msg *before = asks ? asks->last : NULL;
    sh_msg *m = before ? before->next : a->mailbox.head;
    for (; m && !is_ask(m, reply); before = m, m = m->next) {
        x->stats.searched++;
        if (asks && !asks_put(x, asks, m)) {
            asks_end(x, a);
            asks = NULL;
        }
    }
    return m ? mailbox_take(x, a, m, before) : NULL;
}

sh_msg *sh_actor_take_ask(sh_exec *x, sh_actor *a, sh_pid reply)
{
    if (a->flags & SH_A_ASKS_KNOWN) {
        return take_far(x, a, reply);
    }
    unsigned n = 0;
    sh_msg *before = NULL;
    sh_msg *m = a->mailbox.head;
    for (; m && !is_ask(m, reply) && n < ASKS_WALKED_MAX; before = m, m = m->next) {
        n++;
    }
    x->stats.searched += n;
    if (!m) {
        return NULL;
    }
    return is_ask(m, reply) ? mailbox_take(x, a, m, before) : take_far(x, a, reply);
}
