/* swarm/peers.c - peer table and address books. */
#include "swarm/peers.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "swarm/dial.h"

int sh_peers_init(struct sh_swarm *s)
{
    sh_slab_init(&s->peers, s->cfg.mem, sizeof(struct sh_peer), SH_PEERS_TABLE_MAX,
                 (uint32_t)sh_rng_u64(s->cfg.rng));
    s->peer_seed = sh_rng_u64(s->cfg.rng);
    s->peer_mask = UINT64_MAX;
    sh_map_u64_init(&s->peer_of_hash, s->cfg.mem, s->peer_seed, SH_PEERS_TABLE_MAX);
    sh_list_init(&s->idle);
    int err = sh_peers_get(s, &s->self_id, &s->self);
    if (err == 0) {
        SH_ASSERT(s->self->ref.index == 0);
        sh_peer_use(s->self);
    }
    return err;
}

static void peer_addr_free(struct sh_swarm *s, struct sh_peer_addr *a)
{
    sh_swarm_give(s, a, offsetof(struct sh_peer_addr, b) + a->n);
}

static uint64_t peer_hash(const struct sh_swarm *s, const sh_peer_id *id)
{
    return sh_hash_bytes(s->peer_seed, sh_peer_id_span(id)) & s->peer_mask;
}

/* The first of those with the hash; NULL: none. Two are rare: only their hash is a key, not the id once more. */
static struct sh_peer *peer_of_hash(const struct sh_swarm *s, uint64_t hash)
{
    uint64_t first;
    return sh_map_u64_get(&s->peer_of_hash, hash, &first) ? sh_map_ptr(first) : NULL;
}

static int peer_enter(struct sh_swarm *s, struct sh_peer *p)
{
    uint64_t hash = peer_hash(s, &p->id);
    p->twin = peer_of_hash(s, hash);
    return sh_map_u64_put(&s->peer_of_hash, hash, sh_map_of_ptr(p));
}

static void peer_leave(struct sh_swarm *s, struct sh_peer *p)
{
    uint64_t hash = peer_hash(s, &p->id);
    struct sh_peer *first = peer_of_hash(s, hash);
    if (first == p && !p->twin) {
        sh_map_u64_del(&s->peer_of_hash, hash, NULL);
    } else if (first == p) {
        (void)sh_map_u64_put(&s->peer_of_hash, hash,
                             sh_map_of_ptr(p->twin)); /* its slot is there */
    }
    for (; first; first = first->twin) {
        first->twin = first->twin == p ? p->twin : first->twin;
    }
}

static void peer_agent_free(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->agent) {
        sh_swarm_give(s, p->agent, strlen(p->agent) + 1);
        p->agent = NULL;
    }
}

void sh_peer_agent(struct sh_swarm *s, struct sh_peer *p, const char *agent)
{
    size_t bytes = strlen(agent) + 1;
    char *copy = p->agent && strcmp(p->agent, agent) == 0 ? NULL : sh_swarm_take(s, bytes);
    if (copy) { /* without memory it stays as it was: only people read it */
        memcpy(copy, agent, bytes);
        peer_agent_free(s, p);
        p->agent = copy;
    }
}

static void peer_free(struct sh_swarm *s, struct sh_peer *p)
{
    for (unsigned i = 0; i < p->addr_count; i++) {
        peer_addr_free(s, p->addrs[i]);
    }
    if (p->addrs) {
        sh_swarm_give(s, p->addrs, p->addr_cap * sizeof(p->addrs[0]));
    }
    peer_agent_free(s, p);
    sh_wheel_cancel(&s->wheel, &p->alarm.t);
    sh_list_remove(&p->note.at);
    sh_list_remove(&p->idle);
    peer_leave(s, p);
    sh_slab_free(&s->peers, p->ref.index, p->ref.check);
    sh_quota_give(s->cfg.quota, sizeof *p);
}

void sh_peers_fini(struct sh_swarm *s)
{
    uint32_t cursor = 0;
    for (struct sh_peer *p; (p = sh_slab_next(&s->peers, &cursor, NULL)) != NULL;) {
        peer_free(s, p);
    }
    sh_map_u64_fini(&s->peer_of_hash);
    sh_slab_fini(&s->peers);
}

struct sh_peer *sh_peers_at(const struct sh_swarm *s, struct sh_peer_ref ref)
{
    return sh_slab_get(&s->peers, ref.index, ref.check);
}

struct sh_peer *sh_peers_find(const struct sh_swarm *s, const sh_peer_id *id)
{
    struct sh_peer *p = peer_of_hash(s, peer_hash(s, id));
    while (p && !sh_peer_id_eq(&p->id, id)) {
        p = p->twin;
    }
    return p;
}

/* The least recently used entry nobody needs goes; what was still to be told about it keeps it. */
static bool peers_evict(struct sh_swarm *s)
{
    SH_LIST_FOREACH(it, &s->idle)
    {
        struct sh_peer *p = SH_CONTAINER(it, struct sh_peer, idle);
        if (sh_list_empty(&p->note.at)) {
            peer_free(s, p);
            return true;
        }
    }
    return false;
}

static int peers_slot(struct sh_swarm *s, uint32_t *index, uint32_t *check, void **object)
{
    int err = sh_quota_take(s->cfg.quota, sizeof(struct sh_peer));
    if (err == 0) {
        err = sh_slab_alloc(&s->peers, index, check, object);
        if (err != 0) {
            sh_quota_give(s->cfg.quota, sizeof(struct sh_peer));
        }
    }
    return err;
}

int sh_peers_get(struct sh_swarm *s, const sh_peer_id *id, struct sh_peer **out)
{
    struct sh_peer *p = sh_peers_find(s, id);
    if (p) {
        if (p->uses == 0) { /* recently used */
            sh_list_remove(&p->idle);
            sh_list_push_back(&s->idle, &p->idle);
        }
        *out = p;
        return 0;
    }
    uint32_t index, check;
    void *object;
    int err = peers_slot(s, &index, &check, &object);
    if (err != 0 && peers_evict(s)) {
        err = peers_slot(s, &index, &check, &object);
    }
    if (err != 0) {
        return err;
    }
    p = object;
    p->ref = (struct sh_peer_ref){index, check};
    p->id = *id;
    sh_list_init(&p->idle);
    sh_list_init(&p->conns);
    sh_list_init(&p->waiting);
    sh_list_init(&p->note.at);
    p->note.kind = SH_NOTE_PEER;
    sh_alarm_init(&p->alarm, SH_ALARM_PEER);
    p->redial_us = UINT64_MAX;
    sh_list_push_back(&s->idle, &p->idle);
    err = sh_peer_id_kad_key(id, p->key);
    if (err == 0) {
        err = peer_enter(s, p);
    }
    if (err != 0) {
        peer_free(s, p);
        return err;
    }
    *out = p;
    return 0;
}

void sh_peer_use(struct sh_peer *p)
{
    if (p->uses++ == 0) {
        sh_list_remove(&p->idle);
    }
}

void sh_peer_unuse(struct sh_swarm *s, struct sh_peer *p)
{
    SH_ASSERT(p->uses > 0);
    if (--p->uses == 0) {
        sh_list_push_back(&s->idle, &p->idle);
    }
}

bool sh_swarm_own_addr(const struct sh_swarm *s, const sh_addr *addr)
{
    for (unsigned i = 0; i < s->listen_count; i++) {
        if (sh_addr_eq(&s->listen[i], addr)) {
            return true;
        }
    }
    for (unsigned i = 0; i < s->announce_count; i++) {
        if (sh_addr_eq(&s->announce[i], addr)) {
            return true;
        }
    }
    return false;
}

struct sh_peer_addr *sh_peer_addr_find(struct sh_peer *p, const sh_addr *addr)
{
    for (unsigned i = 0; i < p->addr_count; i++) {
        if (p->addrs[i]->n == addr->n && memcmp(p->addrs[i]->b, addr->b, addr->n) == 0) {
            return p->addrs[i];
        }
    }
    return NULL;
}

void sh_peer_addr_load(const struct sh_peer_addr *a, sh_addr *out)
{
    out->n = a->n;
    memcpy(out->b, a->b, a->n);
}

/* Index of the entry that matters least; those in a dial cannot go. addr_count: none. */
static unsigned peer_addr_worst(const struct sh_peer *p)
{
    unsigned worst = p->addr_count;
    for (unsigned i = 0; i < p->addr_count; i++) {
        const struct sh_peer_addr *a = p->addrs[i];
        if (a->dialling || (a->reached && a->fails == 0)) {
            continue;
        }
        if (worst == p->addr_count || a->fails > p->addrs[worst]->fails ||
            (a->fails == p->addrs[worst]->fails && a->seen_us < p->addrs[worst]->seen_us)) {
            worst = i;
        }
    }
    return worst;
}

static bool peer_addr_room(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->addr_count < p->addr_cap) {
        return true;
    }
    unsigned cap =
        p->addr_cap ? 2u * p->addr_cap : 2u; /* one is dialled, one is told by identify */
    struct sh_peer_addr **addrs = sh_swarm_take(s, cap * sizeof *addrs);
    if (!addrs) {
        return false;
    }
    if (p->addrs) {
        memcpy(addrs, p->addrs, p->addr_count * sizeof *addrs);
        sh_swarm_give(s, p->addrs, p->addr_cap * sizeof *addrs);
    }
    p->addrs = addrs;
    p->addr_cap = (uint16_t)cap;
    return true;
}

bool sh_peer_learn(struct sh_swarm *s, struct sh_peer *p, const sh_addr *addr)
{
    sh_addr clean = *addr;
    struct sh_endpoint e;
    sh_addr_strip_peer(&clean);
    if (p == s->self || clean.n == 0 || sh_addr_is_unspecified(&clean) ||
        sh_addr_endpoint(&clean, &e) != 0 || e.host > SH_HOST_IP6 || sh_swarm_own_addr(s, &clean)) {
        return false;
    }
    struct sh_peer_addr *a = sh_peer_addr_find(p, &clean);
    if (a) {
        a->seen_us = s->now_us;
        return true;
    }
    unsigned at = p->addr_count;
    if (at == SH_PEER_ADDRS_MAX) {
        at = peer_addr_worst(p);
        if (at == p->addr_count) {
            return false;
        }
    }
    bool room = at < p->addr_count || peer_addr_room(s, p);
    a = room ? sh_swarm_take(s, offsetof(struct sh_peer_addr, b) + clean.n) : NULL;
    if (!a) {
        return false;
    }
    a->seen_us = s->now_us;
    a->n = clean.n;
    memcpy(a->b, clean.b, clean.n);
    if (at < p->addr_count) { /* the newest stays last */
        peer_addr_free(s, p->addrs[at]);
        memmove(&p->addrs[at], &p->addrs[at + 1], (p->addr_count - at - 1) * sizeof p->addrs[0]);
        p->addr_count--;
    }
    p->addrs[p->addr_count++] = a;
    sh_dial_learnt(s, p);
    return true;
}

unsigned sh_peer_addr_spans(const struct sh_peer *p, sh_span *out, unsigned max)
{
    unsigned n = 0;
    for (int reached = 1; reached >= 0; reached--) {
        for (unsigned i = p->addr_count; i-- > 0 && n < max;) { /* the newest first */
            if (p->addrs[i]->reached == (reached == 1)) {
                out[n++] = sh_span_of(p->addrs[i]->b, p->addrs[i]->n);
            }
        }
    }
    return n;
}

/* --- what the user asks --- */

int sh_swarm_peer(sh_swarm *s, const sh_peer_id *id, struct sh_peer_ref *out)
{
    struct sh_peer *p;
    int err = sh_peers_get(s, id, &p);
    if (err == 0) {
        *out = p->ref;
    }
    return err;
}

const sh_peer_id *sh_swarm_peer_id(const sh_swarm *s, struct sh_peer_ref peer)
{
    const struct sh_peer *p = sh_peers_at(s, peer);
    return p ? &p->id : NULL;
}
