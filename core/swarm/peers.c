/* swarm/peers.c - peer table and address books. */
#include "swarm/peers.h"

#include <stddef.h>

int sh_peers_init(struct sh_swarm *s)
{
    sh_slab_init(&s->peers, s->cfg.mem, sizeof(struct sh_peer), SH_PEERS_TABLE_MAX,
                 (uint32_t)sh_rng_u64(s->cfg.rng));
    sh_map_bytes_init(&s->peer_of_id, s->cfg.mem, sh_rng_u64(s->cfg.rng), SH_PEERS_TABLE_MAX);
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

static void peer_free(struct sh_swarm *s, struct sh_peer *p)
{
    for (unsigned i = 0; i < p->addr_count; i++) {
        peer_addr_free(s, p->addrs[i]);
    }
    sh_wheel_cancel(&s->wheel, &p->alarm.t);
    sh_list_remove(&p->note.at);
    sh_list_remove(&p->idle);
    sh_map_bytes_del(&s->peer_of_id, sh_peer_id_span(&p->id), NULL);
    sh_slab_free(&s->peers, p->ref.index, p->ref.check);
    sh_quota_give(s->cfg.quota, sizeof *p);
}

void sh_peers_fini(struct sh_swarm *s)
{
    uint32_t cursor = 0;
    for (struct sh_peer *p; (p = sh_slab_next(&s->peers, &cursor, NULL)) != NULL;) {
        peer_free(s, p);
    }
    sh_map_bytes_fini(&s->peer_of_id);
    sh_slab_fini(&s->peers);
}

struct sh_peer *sh_peers_at(const struct sh_swarm *s, struct sh_peer_ref ref)
{
    return sh_slab_get(&s->peers, ref.index, ref.check);
}

struct sh_peer *sh_peers_find(const struct sh_swarm *s, const sh_peer_id *id)
{
    uint64_t index;
    if (!sh_map_bytes_get(&s->peer_of_id, sh_peer_id_span(id), &index)) {
        return NULL;
    }
    return sh_slab_at(&s->peers, (uint32_t)index);
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
    sh_list_init(&p->links);
    sh_list_init(&p->waiting);
    sh_list_init(&p->note.at);
    p->note.kind = SH_NOTE_PEER;
    sh_alarm_init(&p->alarm, SH_ALARM_PEER);
    p->redial_us = UINT64_MAX;
    sh_list_push_back(&s->idle, &p->idle);
    err = sh_peer_id_kad_key(id, p->key);
    if (err == 0) {
        err = sh_map_bytes_put(&s->peer_of_id, sh_peer_id_span(id), index);
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
    a = sh_swarm_take(s, offsetof(struct sh_peer_addr, b) + clean.n);
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
