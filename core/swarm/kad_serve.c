/* swarm/kad_serve.c - what we answer to other peers' DHT requests. */
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/publish.h"

#include "crypto/hash.h"

unsigned sh_kad_own_addrs(const struct sh_swarm *s, struct sh_kad_peer *out)
{
    const sh_addr *addrs = s->announce_count > 0 ? s->announce : s->listen;
    unsigned count = s->announce_count > 0 ? s->announce_count : s->listen_count;
    memset(out, 0, sizeof *out);
    out->id = s->self_id;
    out->connected = true;
    for (unsigned i = 0; i < count && out->addr_count < SH_KAD_PEER_ADDRS_MAX; i++) {
        out->addrs[out->addr_count++] = sh_span_of(addrs[i].b, addrs[i].n);
    }
    return out->addr_count;
}

static void serve_row(const struct sh_peer *p, struct sh_kad_peer *out)
{
    memset(out, 0, sizeof *out);
    out->id = p->id;
    out->connected = p->conn_count > 0;
    out->addr_count = (uint8_t)sh_peer_addr_spans(p, out->addrs, SH_KAD_PEER_ADDRS_MAX);
}

/* The closest we know, the asker left out; the target itself first if it is a peer we know an address of. */
static unsigned serve_closer(struct sh_swarm *s, const struct sh_peer *asker,
                             const struct sh_kad_msg *m, struct sh_kad_peer *out)
{
    uint8_t target[32];
    uint32_t tags[SH_KAD_K];
    sh_peer_id id;
    unsigned n = 0;
    const struct sh_peer *named = NULL;
    if (sh_sha256(m->key, target) != 0) {
        return 0;
    }
    if (m->type == SH_KAD_FIND_NODE && sh_peer_id_from_bytes(&id, m->key) == 0) {
        named = sh_peers_find(s, &id);
        if (named && named != s->self && named != asker && named->addr_count > 0) {
            serve_row(named, &out[n++]);
        }
    }
    unsigned count = sh_ktable_closest(&s->table, target, asker->ref.index, tags, SH_KAD_K);
    for (unsigned i = 0; i < count; i++) {
        const struct sh_peer *p = sh_slab_at(&s->peers, tags[i]);
        if (p && p != named) {
            serve_row(p, &out[n++]);
        }
    }
    return n;
}

static unsigned serve_providers(struct sh_swarm *s, const struct sh_peer *asker, sh_span key,
                                struct sh_kad_peer *out)
{
    unsigned n = 0;
    if (sh_pub_by_key(s, key)) {
        sh_kad_own_addrs(s, &out[n++]);
    }
    const struct sh_provider *e;
    for (unsigned i = 0;
         n < SH_KAD_PEERS_MAX && (e = sh_records_provider(&s->records, key, i, s->now_us)); i++) {
        if (sh_peer_id_eq(&e->id, &asker->id)) {
            continue;
        }
        struct sh_kad_peer *row = &out[n++];
        const struct sh_peer *p = sh_peers_find(s, &e->id);
        memset(row, 0, sizeof *row);
        row->id = e->id;
        for (unsigned k = 0; k < e->addr_count; k++) {
            row->addrs[row->addr_count++] = sh_span_of(e->addrs[k].b, e->addrs[k].n);
        }
        if (p && row->addr_count == 0) {
            serve_row(p, row);
        }
    }
    return n;
}

static void serve_value(struct sh_swarm *s, const struct sh_kad_msg *m, struct sh_kad_msg *r)
{
    const struct sh_pub *pub = sh_pub_by_value_key(s, m->key);
    const struct sh_value *v = pub ? NULL : sh_records_value(&s->records, m->key, s->now_us);
    r->has_record = pub || v;
    if (pub) {
        r->record =
            (struct sh_kad_record){pub->value_key, pub->value, sh_peer_id_span(&s->self_id), 0};
    } else if (v) {
        uint32_t left_s = (uint32_t)((v->end_us - s->now_us) / 1000000);
        r->record = (struct sh_kad_record){m->key, sh_value_span(v), sh_peer_id_span(&v->publisher),
                                           left_s};
    }
}

/* Kameo echoes also what it refuses; so do we, except when there is no room: then the sender must not believe. */
static int serve_put(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m,
                     struct sh_kad_msg *r)
{
    if (!m->has_record || !sh_span_eq(m->key, m->record.key)) {
        return SH_E_PROTO;
    }
    bool own = sh_span_eq(m->record.publisher, sh_peer_id_span(&s->self_id));
    if (s->serves && !own && sh_records_check_value(m->key, m->record.value, &st->peer->id) == 0) {
        int err = sh_records_put_value(&s->records, m->key, m->record.value, &st->peer->id,
                                       m->record.ttl_s, s->now_us);
        if (err != 0) {
            return err;
        }
        sh_alarm_set(s, &s->sweep, sh_records_deadline(&s->records));
    }
    r->has_record = true;
    r->record = (struct sh_kad_record){.key = m->key, .value = m->record.value};
    return 0;
}

static void serve_add(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m)
{
    for (unsigned i = 0; i < m->provider_count && s->serves; i++) {
        const struct sh_kad_peer *p = &m->provider[i];
        if (sh_records_check_provider(m->key, &p->id, &st->peer->id) == 0) {
            sh_records_add_provider(&s->records, m->key, &p->id, p->addrs, p->addr_count,
                                    s->now_us);
            sh_alarm_set(s, &s->sweep, sh_records_deadline(&s->records));
            return; /* only one can be the sender */
        }
    }
}

int sh_kad_answer(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m, uint8_t *buf,
                  size_t cap)
{
    struct sh_kad_peer closer[SH_KAD_K + 1];
    struct sh_kad_peer provider[SH_KAD_PEERS_MAX];
    struct sh_kad_msg r = {.type = m->type, .reply = true, .closer = closer, .provider = provider};
    switch (m->type) {
    case SH_KAD_FIND_NODE: break;
    case SH_KAD_GET_PROVIDERS:
        r.provider_count = serve_providers(s, st->peer, m->key, provider);
        break;
    case SH_KAD_GET_VALUE: serve_value(s, m, &r); break;
    case SH_KAD_ADD_PROVIDER: serve_add(s, st, m); return 0;
    case SH_KAD_PUT_VALUE: {
        int err = serve_put(s, st, m, &r);
        r.key = m->key;
        return err != 0 ? err : sh_kad_msg_encode(&r, buf, cap);
    }
    case SH_KAD_PING: return SH_E_UNSUPPORTED;
    }
    r.closer_count = serve_closer(s, st->peer, m, closer);
    return sh_kad_msg_encode(&r, buf, cap);
}
