/* swarm/lookup.c - one iterative query. */
#include "swarm/lookup.h"

#include "swarm/kbucket.h"

void sh_lookup_init(sh_lookup *l, const uint8_t target[32], uint32_t self)
{
    memset(l, 0, sizeof *l);
    memcpy(l->target, target, 32);
    l->self = self;
    l->k = SH_KAD_K;
    l->alpha = SH_KAD_ALPHA;
    l->slow_us = SH_LOOKUP_SLOW_US;
}

static struct sh_lookup_node *lookup_find(sh_lookup *l, uint32_t tag)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->nodes[i].tag == tag) {
            return &l->nodes[i];
        }
    }
    return NULL;
}

/* Makes room: the farthest candidate nobody has asked goes. */
static bool lookup_shrink(sh_lookup *l, uint32_t *dropped)
{
    for (unsigned i = l->count; i > 0; i--) {
        if (l->nodes[i - 1].state == SH_LOOKUP_NEW || l->nodes[i - 1].state == SH_LOOKUP_FAILED) {
            *dropped = l->nodes[i - 1].tag;
            memmove(&l->nodes[i - 1], &l->nodes[i], (l->count - i) * sizeof l->nodes[0]);
            l->count--;
            return true;
        }
    }
    return false;
}

bool sh_lookup_add(sh_lookup *l, const uint8_t key[32], uint32_t tag, uint32_t *dropped)
{
    *dropped = SH_LOOKUP_NOBODY;
    if (tag == l->self || lookup_find(l, tag)) {
        return false;
    }
    unsigned at = l->count;
    while (at > 0 && sh_kcloser(l->target, key, l->nodes[at - 1].key) < 0) {
        at--;
    }
    if (l->count == SH_LOOKUP_NODES_MAX) {
        if (at == l->count || !lookup_shrink(l, dropped)) {
            return false;
        }
        at = at < l->count ? at : l->count;
        while (at > 0 && sh_kcloser(l->target, key, l->nodes[at - 1].key) < 0) {
            at--;
        }
    }
    memmove(&l->nodes[at + 1], &l->nodes[at], (l->count - at) * sizeof l->nodes[0]);
    struct sh_lookup_node *n = &l->nodes[at];
    memset(n, 0, sizeof *n);
    memcpy(n->key, key, 32);
    n->tag = tag;
    l->count++;
    return true;
}

/* Over the k nearest that still matter: is one of them without an answer? Finds the first not yet asked. */
static bool lookup_open(const sh_lookup *l, const struct sh_lookup_node **fresh)
{
    unsigned counted = 0;
    bool waiting = false;
    *fresh = NULL;
    for (unsigned i = 0; i < l->count && counted < l->k; i++) {
        const struct sh_lookup_node *n = &l->nodes[i];
        if (n->state == SH_LOOKUP_FAILED || n->state == SH_LOOKUP_SLOW) {
            continue;
        }
        counted++;
        waiting = waiting || n->state == SH_LOOKUP_ASKED;
        if (n->state == SH_LOOKUP_NEW && l->asked < SH_LOOKUP_ASKED_MAX) {
            *fresh = *fresh ? *fresh : n;
        }
    }
    return waiting || *fresh;
}

bool sh_lookup_next(sh_lookup *l, uint64_t now_us, uint32_t *tag)
{
    const struct sh_lookup_node *fresh;
    if (l->in_flight >= l->alpha || !lookup_open(l, &fresh) || !fresh) {
        return false;
    }
    struct sh_lookup_node *n = &l->nodes[fresh - l->nodes];
    n->state = SH_LOOKUP_ASKED;
    n->asked_us = now_us;
    l->in_flight++;
    l->asked++;
    *tag = n->tag;
    return true;
}

static void lookup_settle(sh_lookup *l, uint32_t tag, enum sh_lookup_state state)
{
    struct sh_lookup_node *n = lookup_find(l, tag);
    if (!n || n->state == SH_LOOKUP_ANSWERED || n->state == SH_LOOKUP_FAILED) {
        return;
    }
    l->in_flight -= n->state == SH_LOOKUP_ASKED ? 1u : 0u;
    n->state = state;
    l->answered += state == SH_LOOKUP_ANSWERED ? 1u : 0u;
}

void sh_lookup_on_reply(sh_lookup *l, uint32_t tag)
{
    lookup_settle(l, tag, SH_LOOKUP_ANSWERED);
}

void sh_lookup_on_fail(sh_lookup *l, uint32_t tag)
{
    lookup_settle(l, tag, SH_LOOKUP_FAILED);
}

void sh_lookup_tick(sh_lookup *l, uint64_t now_us)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct sh_lookup_node *n = &l->nodes[i];
        if (n->state == SH_LOOKUP_ASKED && now_us >= n->asked_us + l->slow_us) {
            n->state = SH_LOOKUP_SLOW;
            l->in_flight--;
        }
    }
}

uint64_t sh_lookup_deadline(const sh_lookup *l)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < l->count; i++) {
        const struct sh_lookup_node *n = &l->nodes[i];
        if (n->state == SH_LOOKUP_ASKED && n->asked_us + l->slow_us < next) {
            next = n->asked_us + l->slow_us;
        }
    }
    return next;
}

bool sh_lookup_finished(const sh_lookup *l)
{
    const struct sh_lookup_node *fresh;
    return !lookup_open(l, &fresh);
}

unsigned sh_lookup_closest(const sh_lookup *l, uint32_t *tags, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < l->count && count < n; i++) {
        if (l->nodes[i].state == SH_LOOKUP_ANSWERED) {
            tags[count++] = l->nodes[i].tag;
        }
    }
    return count;
}
