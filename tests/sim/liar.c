/* tests/sim/liar.c - what a liar answers to DHT requests: put in the place of sh_kad_answer by the linker, in
 * bin/shoal-sim only (-Wl,--wrap). */
#include "liar.h"

#include <string.h>

#include "crypto/hash.h"
#include "swarm/kad.h"

enum { INVENTED = SH_KAD_K, TRIES = 4096, CACHED = 65536, LIARS_MAX = 4096 };
enum { NAMES_LIARS, INVENTS, SAYS_NOTHING, IS_SILENT, KINDS };

/* Written by the linker's wrapping. */
int __real_sh_kad_answer(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m,
                         uint8_t *buf, size_t cap);
int __wrap_sh_kad_answer(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m,
                         uint8_t *buf, size_t cap);

struct accomplice {
    sh_peer_id id;
    uint8_t key[32];
    sh_addr addr;
};

struct invention { /* of one liar for one target */
    uint32_t who;
    uint8_t target[32];
    bool made;
    sh_peer_id id[INVENTED];
};

static struct accomplice liars[LIARS_MAX];
static unsigned liar_count;
static struct invention invented[CACHED];
static uint64_t told;

uint64_t liar_answers(void)
{
    return told;
}

static void host_addr(unsigned host, sh_addr *out)
{
    uint8_t ip[4] = {10, 0, (uint8_t)(host >> 8), (uint8_t)host};
    sh_addr_from_ip(out, SH_HOST_IP4, ip, 4001);
}

void liar_crowd(const struct crowd *c)
{
    liar_count = 0;
    told = 0;
    memset(invented, 0, sizeof invented);
    for (unsigned i = 0; c && i < c->count && liar_count < LIARS_MAX; i++) {
        if (c->member[i].liar) {
            struct accomplice *a = &liars[liar_count++];
            a->id = c->member[i].id;
            sh_peer_id_kad_key(&a->id, a->key);
            host_addr(i, &a->addr);
        }
    }
}

/* An Ed25519 peer id made of a number; nobody has its key. */
static void id_invent(const uint8_t target[32], uint64_t n, sh_peer_id *out)
{
    uint8_t b[38] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    memcpy(b + 6, target, 24);
    sh_store_u64le(b + 30, n);
    sh_peer_id_from_bytes(out, sh_span_of(b, sizeof b));
}

/* The nearest of many: closer to the target than any honest node of a thousand. Each liar has its own, so that who
 * asks one after the other never comes to an end of them. */
static const struct invention *invent(uint32_t who, const uint8_t target[32])
{
    struct invention *v = &invented[(sh_load_u32be(target) ^ who) % CACHED];
    uint8_t keys[INVENTED][32];
    unsigned n = 0;
    if (v->made && v->who == who && memcmp(v->target, target, 32) == 0) {
        return v;
    }
    memcpy(v->target, target, 32);
    v->made = true;
    v->who = who;
    for (uint64_t i = 0; i < TRIES; i++) {
        sh_peer_id id;
        uint8_t key[32];
        id_invent(target, (uint64_t)who << 32 | i, &id);
        sh_peer_id_kad_key(&id, key);
        unsigned at = n;
        while (at > 0 && sh_kcloser(target, key, keys[at - 1]) < 0) {
            at--;
        }
        if (at < INVENTED) {
            unsigned last = n < INVENTED ? n : INVENTED - 1;
            memmove(&v->id[at + 1], &v->id[at], (last - at) * sizeof v->id[0]);
            memmove(&keys[at + 1], &keys[at], (last - at) * sizeof keys[0]);
            v->id[at] = id;
            memcpy(keys[at], key, 32);
            n = last + 1;
        }
    }
    return v;
}

static unsigned name_liars(const uint8_t target[32], struct sh_kad_peer *out, unsigned max)
{
    const struct accomplice *best[SH_KAD_K];
    unsigned n = 0;
    for (unsigned i = 0; i < liar_count; i++) {
        unsigned at = n;
        while (at > 0 && sh_kcloser(target, liars[i].key, best[at - 1]->key) < 0) {
            at--;
        }
        if (at < max) {
            unsigned last = n < max ? n : max - 1;
            memmove(&best[at + 1], &best[at], (last - at) * sizeof best[0]);
            best[at] = &liars[i];
            n = last + 1;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        out[i] = (struct sh_kad_peer){.id = best[i]->id, .addr_count = 1, .connected = true};
        out[i].addrs[0] = sh_span_of(best[i]->addr.b, best[i]->addr.n);
    }
    return n;
}

static unsigned name_invented(uint32_t who, const uint8_t target[32], struct sh_kad_peer *out)
{
    static sh_addr nowhere;
    const struct invention *v = invent(who, target);
    host_addr(65000, &nowhere);
    for (unsigned i = 0; i < INVENTED; i++) {
        const sh_addr *a = i % 2 ? &nowhere : &liars[i % liar_count].addr;
        out[i] = (struct sh_kad_peer){.id = v->id[i], .addr_count = 1, .connected = true};
        out[i].addrs[0] = sh_span_of(a->b, a->n);
    }
    return INVENTED;
}

/* A record, but not one of this holder: its own would be a name it holds, as anybody may. */
static void forge(const struct sh_swarm *s, struct sh_kad_msg *r, sh_span key)
{
    static uint8_t value[9 + SH_PEER_ID_MAX];
    bool own = sh_peer_id_eq(&liars[0].id, &s->self_id);
    const sh_peer_id *other = &liars[own && liar_count > 1 ? 1 : 0].id;
    value[0] = other->n;
    sh_store_u64le(value + 1, 77);
    memcpy(value + 9, sh_peer_id_span(other).p, other->n);
    r->has_record = true;
    r->record = (struct sh_kad_record){.key = key, .value = sh_span_of(value, 9u + other->n)};
}

static int lie(const struct sh_swarm *s, const struct sh_kad_msg *m, uint8_t *buf, size_t cap)
{
    struct sh_kad_peer closer[SH_KAD_K + INVENTED], provider[SH_KAD_K];
    struct sh_kad_msg r = {
        .type = m->type, .key = m->key, .reply = true, .closer = closer, .provider = provider};
    unsigned kind = sh_load_u32be(s->self_key) % KINDS;
    uint8_t target[32];
    told++;
    if (m->type == SH_KAD_ADD_PROVIDER || kind == IS_SILENT) {
        return 0;
    }
    if (m->type == SH_KAD_PUT_VALUE) {
        r.has_record = true;
        r.record = (struct sh_kad_record){.key = m->record.key, .value = m->record.value};
        return sh_kad_msg_encode(&r, buf, cap);
    }
    if (kind == SAYS_NOTHING || sh_sha256(m->key, target) != 0) {
        return sh_kad_msg_encode(&r, buf, cap);
    }
    bool gets = m->type == SH_KAD_GET_PROVIDERS;
    if (kind == INVENTS) {
        uint32_t who = sh_load_u32be(s->self_key + 4);
        r.closer_count = name_invented(who, target, closer);
        r.provider_count = gets ? name_invented(who, target, provider) : 0;
    } else {
        r.closer_count = name_liars(target, closer, SH_KAD_K);
        r.provider_count = gets ? name_liars(target, provider, SH_KAD_K) : 0;
        if (m->type == SH_KAD_GET_VALUE) {
            forge(s, &r, m->key);
        }
    }
    return sh_kad_msg_encode(&r, buf, cap);
}

int __wrap_sh_kad_answer(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m,
                         uint8_t *buf, size_t cap)
{
    bool lies = liar_count > 0 && s->cfg.agent && strcmp(s->cfg.agent, "liar") == 0;
    return lies ? lie(s, m, buf, cap) : __real_sh_kad_answer(s, st, m, buf, cap);
}
