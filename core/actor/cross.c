/* actor/cross.c - tells between two executors of a node: what would cost a message an atomic operation, or a cache
 * line that moves, is done for many of them.
 *
 * Room     taken in the target's gate for several messages at once, more when a turn needs more; what is left goes
 *          back at the end of the turn. Whether the target lives is still asked at every tell.
 * There    tells by name of small values are packed into a block, a few bytes each as long as target, sender and name
 *          stay the same. The other executor looks the target up once and makes messages of its own. The first of a
 *          turn goes as a message: most often it is the only one. So does what is for a mailbox without a limit, which
 *          only memory bounds: its sender has to pay.
 * Back     messages with nothing beside them go home in bundles, linked as they came: who handled them has written
 *          nothing to them, and the pool takes a bundle as it is.
 * Order    of a sender to a target: that of the chain. */
#include "actor/ask.h"

/* --- room --- */

static void credit_return(sh_exec *x, struct sh_credit *c)
{
    uint32_t left = c->left;
    c->left = 0;
    c->step = c->step > 1 ? c->step / 2 : 1;
    if (sh_gate_untake(c->gate, sh_pid_generation(c->actor), left)) {
        sh_exec_nudge_all(x);
    }
}

void sh_cross_give_back(sh_exec *x)
{
    for (unsigned i = 0; x->credits_out >> i; i++) {
        if ((x->credits_out >> i) & 1) {
            x->credits_out &= ~(UINT64_C(1) << i);
            credit_return(x, &x->credits[i]);
        }
    }
}

/* False: there is no such actor (any more). */
static bool credit_make(sh_exec *x, struct sh_credit *c, uint64_t bit, sh_pid to)
{
    const sh_exec *other = x->rt->exec[sh_pid_executor(to.actor)];
    uint32_t slot = sh_pid_slot(to.actor);
    uint32_t generation = sh_pid_generation(to.actor);
    if (x->credits_out & bit) {
        x->credits_out &= ~bit;
        credit_return(x, c);
    }
    c->actor = 0;
    sh_gate *gate = sh_gates_at(&other->gates, slot);
    if (!gate || !sh_gate_alive(gate, generation)) {
        return false;
    }
    /* Acquire: if a later owner of the slot wrote it, the look at the gate behind it sees that. */
    uint64_t type = atomic_load_explicit(sh_gates_at(&other->types, slot), memory_order_acquire);
    if (!sh_gate_alive(gate, generation)) {
        return false;
    }
    *c = (struct sh_credit){.actor = to.actor,
                            .gate = gate,
                            .type = (const sh_type *)(uintptr_t)type,
                            .bounded = sh_gate_is_bounded(gate),
                            .step = 1};
    return true;
}

int sh_cross_take(sh_exec *x, sh_pid to, bool want, struct sh_credit **out)
{
    unsigned i = sh_pid_slot(to.actor) % SH_CREDITS_KNOWN;
    uint64_t bit = UINT64_C(1) << i;
    struct sh_credit *c = &x->credits[i];
    if (c->actor != to.actor && !credit_make(x, c, bit, to)) {
        return SH_E_NOT_RUNNING;
    }
    *out = c;
    uint32_t generation = sh_pid_generation(to.actor);
    if (c->left > 0) {
        if (!sh_gate_alive(c->gate, generation)) {
            c->left = 0; /* it went with the gate */
            x->credits_out &= ~bit;
            return SH_E_NOT_RUNNING;
        }
        c->left--;
        x->credits_out &= c->left ? ~UINT64_C(0) : ~bit;
        return 0;
    }
    int n = sh_gate_take_some(c->gate, generation, c->step, want);
    if (n < 0) {
        return n;
    }
    c->left = (uint32_t)n - 1;
    x->credits_out |= c->left ? bit : 0;
    c->step = c->step < SH_CREDIT_STEP_MAX ? c->step * 2 : c->step;
    return 0;
}

void sh_cross_untake(sh_exec *x, struct sh_credit *c)
{
    c->left++;
    x->credits_out |= UINT64_C(1) << (c - x->credits);
}

/* --- there --- */

/* A record: one byte, the length of the value; with HEAD also all that may change from one to the next; the value. */
struct pack_head {
    uint64_t to;
    uint64_t from;
    uint8_t why; /* as of a message */
    uint8_t name_len;
};

enum {
    PACK_BYTES = 4096,
    PACK_HEAD = 0x80,
    PACK_RECORD_MAX = 1 + sizeof(struct pack_head) + SH_NAME_KNOWN_MAX + 1 + SH_COPY_SHORT_MAX
};

static bool pack_begin(sh_exec *x, unsigned exec, struct sh_pack *p)
{
    struct sh_msg_parts parts = {.value = {NULL, PACK_BYTES}};
    sh_msg *m = sh_exec_msg(x, SH_MSG_TELLS, sh_pid_none(), sh_pid_none(), &parts);
    if (!m) {
        return false;
    }
    uint8_t *at = sh_msg_value_room(m);
    m->value_len = 0;
    *p = (struct sh_pack){.m = m, .at = at, .end = at + PACK_BYTES};
    sh_chain_add(&x->chains[exec], m);
    return true;
}

bool sh_cross_pack(sh_exec *x, sh_pid to, uint64_t from, const struct sh_name *name, uint8_t why,
                   sh_span value)
{
    unsigned exec = sh_pid_executor(to.actor);
    struct sh_pack *p = &x->packs[exec];
    bool open = p->m && p->m == x->chains[exec].head && p->end - p->at >= PACK_RECORD_MAX;
    if (!open && !pack_begin(x, exec, p)) {
        return false;
    }
    uint8_t *at = p->at;
    uint8_t *tag = at++;
    *tag = (uint8_t)value.n;
    if (p->to != to.actor || p->from != from || p->name != name) {
        struct pack_head head = {to.actor, from, why, (uint8_t)name->n};
        *tag |= PACK_HEAD;
        memcpy(at, &head, sizeof head);
        at += sizeof head;
        memcpy(at, name->text, sizeof name->text); /* of one length: no call */
        at += name->n;
        p->to = to.actor;
        p->from = from;
        p->name = name;
    }
    sh_copy_short(at, value.p, value.n);
    p->m->value_len += (uint32_t)(at + value.n - p->at);
    p->at = at + value.n;
    return true;
}

/* A message of our own; NULL: no memory. */
static sh_msg *unpack_msg(sh_exec *x, const struct pack_head *head, const uint8_t *name,
                          sh_span value)
{
    if (!x->pool.free) {
        sh_exec_take_homes(x);
        if (!x->pool.free && sh_msg_pool_grow(&x->pool)) {
            return NULL;
        }
    }
    sh_msg *m = x->pool.free;
    sh_msg_take_free(&x->pool);
    m->to = sh_exec_pid(x, head->to);
    m->from = sh_exec_pid(x, head->from);
    m->code = 0;
    m->value_len = (uint32_t)value.n;
    m->text_len = 0;
    m->name_len = head->name_len;
    m->type_len = 0;
    m->kind = SH_MSG_TELL;
    m->flags = (uint8_t)(x->pool.home | SH_MSG_GATED);
    m->why = head->why;
    memcpy(m->bytes, name, SH_NAME_KNOWN_MAX + 1);
    sh_copy_short(m->bytes + head->name_len, value.p, value.n);
    return m;
}

/* The other executor took room for it, and was told that it goes. */
static void unpack_lost(sh_exec *x, sh_actor *a, uint64_t to, sh_span name)
{
    sh_event_undelivered(x, sh_exec_pid(x, to), name, 1, SH_E_LIMIT,
                         sh_span_str(sh_err_text(SH_E_LIMIT)));
    sh_loss_note(x, to, SH_E_LIMIT);
    if (a) {
        sh_actor_room_back(x, a, 1);
    }
}

void sh_cross_arrive(sh_exec *x, sh_msg *tells)
{
    sh_span value = sh_msg_value(tells);
    const uint8_t *at = value.p;
    const uint8_t *end = at + value.n;
    const uint8_t *name = at;
    struct pack_head head = {0};
    sh_actor *a = NULL;
    while (at < end) {
        uint8_t tag = *at++;
        if (tag & PACK_HEAD) {
            memcpy(&head, at, sizeof head);
            name = at + sizeof head;
            at = name + head.name_len;
            a = sh_exec_target(x, sh_exec_pid(x, head.to), true);
        }
        size_t n = tag & (PACK_HEAD - 1);
        sh_msg *m = unpack_msg(x, &head, name, sh_span_of(at, n));
        at += n;
        if (!m) {
            unpack_lost(x, a, head.to, sh_span_of(name, head.name_len));
        } else if (a) {
            sh_actor_enqueue(x, a, m);
        } else {
            sh_exec_undeliverable(x, m, SH_E_NOT_RUNNING);
        }
    }
    sh_exec_release(x, tells);
}

/* --- back --- */

void sh_cross_send_home(sh_exec *x, unsigned exec)
{
    struct sh_bundle *b = &x->home_bundles[exec];
    sh_inbox *to = &x->rt->exec[exec]->bundles;
    sh_msg *m = b->head;
    m->bundle.last = b->last;
    m->tag = b->count;
    sh_msg *seen = atomic_load_explicit(&to->head, memory_order_relaxed);
    do {
        m->bundle.before = seen;
        /* Release pairs with sh_cross_take_home. Nobody is woken for it: there is no wait for a message. */
    } while (!atomic_compare_exchange_weak_explicit(&to->head, &seen, m, memory_order_release,
                                                    memory_order_relaxed));
    *b = (struct sh_bundle){NULL, NULL, 0};
}

void sh_cross_take_home(sh_exec *x)
{
    sh_msg_pool *p = &x->pool;
    sh_msg *m = sh_inbox_take_unordered(&x->bundles);
    while (m) {
        sh_msg *next = m->bundle.before;
        m->bundle.last->next = p->free;
        p->free = m;
        p->live -= m->tag;
        m = next;
    }
}
