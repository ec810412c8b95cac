/* swarm/query.c - running lookups. */
#include "swarm/query.h"

#include "crypto/hash.h"
#include "swarm/alive.h"
#include "swarm/conns.h"
#include "swarm/dial.h"
#include "swarm/identify.h"
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/publish.h"

enum {
    QUERY_BOOT_SOON_US = 50000,
    QUERY_BOOT_GAP_US = 1000000,
    QUERY_HOLD_US = 2000 /* a neighbour's answer comes before, a far one's is not awaited alone */
};

static struct sh_peer *query_peer_of(const struct sh_swarm *s, uint32_t tag)
{
    return sh_slab_at(&s->peers, tag); /* candidates are in use, so the index is still theirs */
}

/* Named by a peer that was asked. */
static void query_candidate(struct sh_swarm *s, struct sh_query *q, const struct sh_peer *by,
                            struct sh_peer *p)
{
    uint32_t dropped;
    if (p != s->self && sh_lookup_add(&q->lookup, by->ref.index, p->key, p->ref.index, &dropped)) {
        sh_peer_use(p);
        if (dropped != SH_LOOKUP_NOBODY) {
            sh_peer_unuse(s, query_peer_of(s, dropped));
        }
    }
}

void sh_query_free(struct sh_swarm *s, struct sh_query *q)
{
    if (q->requests > 0) {
        sh_kad_forget(s, &q->asks);
    }
    for (unsigned i = 0; i < q->lookup.count; i++) {
        sh_peer_unuse(s, query_peer_of(s, q->lookup.nodes[i].tag));
    }
    for (unsigned i = 0; i < q->found_count; i++) {
        sh_peer_unuse(s, query_peer_of(s, q->found[i].index));
    }
    if (q->wanted) {
        sh_peer_unuse(s, q->wanted);
    }
    if (q->purpose == SH_FOR_BOOT) {
        s->booting = false;
    }
    if (q->pub) {
        q->pub->query = NULL;
    }
    sh_wheel_cancel(&s->wheel, &q->alarm.t);
    sh_list_remove(&q->all);
    sh_list_remove(&q->note.at);
    sh_buf_free(s, &q->value);
    s->query_count--;
    sh_swarm_give(s, q, sizeof *q);
}

/* The user hears by notes; for the others the end is worked off at the next tick, outside of all callers. */
static void query_done(struct sh_swarm *s, struct sh_query *q, int err)
{
    if (q->done) {
        return;
    }
    q->done = true;
    q->err = err;
    if (q->purpose == SH_FOR_USER || q->purpose == SH_FOR_GET) {
        sh_wheel_cancel(&s->wheel, &q->alarm.t);
        sh_note_queue(s, &q->note);
    } else {
        sh_alarm_set(s, &q->alarm, 0); /* at once: the wheel would round now up to its tick */
    }
}

static enum sh_kad_type query_type(const struct sh_query *q)
{
    return q->purpose == SH_FOR_USER ? SH_KAD_GET_PROVIDERS : SH_KAD_FIND_NODE;
}

/* The nearest is asked first, and who was found is first asked whether it holds the name: mostly that is all there is to
 * do, and ten answers cost ten times the work. It does not wait for either longer than QUERY_HOLD_US. */
static bool query_holds(const struct sh_swarm *s, const struct sh_query *q)
{
    return s->now_us < q->hold_us && (q->lookup.in_flight > 0 || q->found_count > 0);
}

static void query_step(struct sh_swarm *s, struct sh_query *q)
{
    uint32_t tag;
    while (!q->done && !query_holds(s, q) && sh_lookup_next(&q->lookup, s->now_us, &tag)) {
        if (sh_kad_ask(s, query_peer_of(s, tag), query_type(q), SH_ASK_QUERY, q) == 0) {
            q->requests++;
        } else {
            sh_lookup_on_fail(&q->lookup, tag);
        }
    }
    if (q->done) {
        return;
    }
    if (sh_lookup_finished(&q->lookup)) {
        query_done(s, q, q->lookup.answered > 0 || q->found_count > 0 ? 0 : SH_E_UNREACHABLE);
        return;
    }
    uint64_t next = query_holds(s, q) ? q->hold_us : sh_lookup_deadline(&q->lookup);
    sh_alarm_set(s, &q->alarm, next < q->end_us ? next : q->end_us);
}

static int query_new(struct sh_swarm *s, enum sh_purpose purpose, sh_span key,
                     struct sh_query **out)
{
    uint8_t target[32];
    int err = key.n == 0 || key.n > SH_KAD_KEY_MAX ? SH_E_BAD_VALUE : sh_sha256(key, target);
    if (err != 0) {
        return err;
    }
    struct sh_query *q = s->query_count < SH_QUERIES_MAX ? sh_swarm_take(s, sizeof *q) : NULL;
    if (!q) {
        return SH_E_LIMIT;
    }
    q->purpose = purpose;
    q->end_us = s->now_us + SH_QUERY_TIMEOUT_MS * UINT64_C(1000);
    q->key_n = (uint16_t)key.n;
    memcpy(q->key, key.p, key.n);
    sh_list_init(&q->note.at);
    sh_list_init(&q->asks);
    q->note.kind = SH_NOTE_QUERY;
    sh_alarm_init(&q->alarm, SH_ALARM_QUERY);
    sh_lookup_init(&q->lookup, target, s->self->ref.index);
    sh_list_push_back(&s->queries, &q->all);
    s->query_count++;
    *out = q;
    return 0;
}

/* From the closest peers we know. */
static int query_seeded(struct sh_swarm *s, enum sh_purpose purpose, sh_span key,
                        struct sh_query **out)
{
    uint32_t tags[SH_KAD_K];
    int err = query_new(s, purpose, key, out);
    if (err != 0) {
        return err;
    }
    unsigned n = sh_ktable_closest(&s->table, (*out)->lookup.target, SH_KTAG_NONE, tags, SH_KAD_K);
    for (unsigned i = 0; i < n; i++) {
        struct sh_peer *p = query_peer_of(s, tags[i]);
        if (sh_lookup_seed(&(*out)->lookup, p->key, tags[i])) {
            sh_peer_use(p);
        }
    }
    return 0;
}

int sh_query_start(struct sh_swarm *s, enum sh_purpose purpose, sh_span key, struct sh_query **out)
{
    int err = query_seeded(s, purpose, key, out);
    if (err == 0) {
        query_step(s, *out);
    }
    return err;
}

int sh_query_peer(struct sh_swarm *s, struct sh_peer *p)
{
    struct sh_query *q;
    if (s->table.count == 0) {
        return SH_E_NOT_FOUND;
    }
    int err = sh_query_start(s, SH_FOR_PEER, sh_peer_id_span(&p->id), &q);
    if (err == 0) {
        q->wanted = p;
        sh_peer_use(p);
    }
    return err;
}

static void query_learn(struct sh_swarm *s, const struct sh_swarm_conn *c, struct sh_peer *p,
                        const struct sh_kad_peer *row)
{
    for (unsigned i = 0; i < row->addr_count; i++) {
        sh_addr addr;
        bool ok =
            row->addrs[i].n <= SH_ADDR_BYTES_MAX && sh_addr_from_bytes(&addr, row->addrs[i]) == 0;
        if (ok && c && sh_identify_addr_fits(c, &addr)) {
            sh_peer_learn(s, p, &addr);
        }
    }
}

/* path: of the peer that said so, which has a share of the places; SH_LOOKUP_PATHS: we know it ourselves. */
static void query_found(struct sh_swarm *s, struct sh_query *q, struct sh_peer *p, unsigned path)
{
    for (unsigned i = 0; i < q->found_count; i++) {
        if (q->found[i].index == p->ref.index) {
            return;
        }
    }
    bool room =
        path == SH_LOOKUP_PATHS || q->found_of_path[path] < SH_QUERY_FOUND_MAX / SH_LOOKUP_PATHS;
    if (p != s->self && room && q->found_count < SH_QUERY_FOUND_MAX) {
        q->found_of_path[path]++;
        sh_peer_use(p);
        q->found[q->found_count++] = p->ref;
        sh_note_queue(s, &q->note);
    }
}

/* Rows name peers; entries of peers we cannot hold are skipped. */
static struct sh_peer *query_row(struct sh_swarm *s, struct sh_peer *from,
                                 const struct sh_kad_peer *row)
{
    struct sh_peer *p;
    if (sh_peers_get(s, &row->id, &p) != 0) {
        return NULL;
    }
    query_learn(s, sh_peer_conn(from), p, row);
    return p;
}

static void query_reply(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                        const struct sh_kad_msg *m)
{
    unsigned path = sh_lookup_path_of(&q->lookup, from->ref.index);
    unsigned found_before = q->found_count;
    sh_lookup_on_reply(&q->lookup, from->ref.index);
    for (unsigned i = 0; i < m->closer_count && i <= SH_KAD_K; i++) { /* k, and the target */
        struct sh_peer *p = query_row(s, from, &m->closer[i]);
        /* Somebody who can be asked: connected, or with an address. */
        if (p && (p->conn_count > 0 || p->addr_count > 0)) {
            query_candidate(s, q, from, p);
        }
    }
    for (unsigned i = 0; i < m->provider_count && q->purpose == SH_FOR_USER; i++) {
        struct sh_peer *p = query_row(s, from, &m->provider[i]);
        if (p) {
            query_found(s, q, p, path);
        }
    }
    q->hold_us = found_before == 0 && q->found_count > 0 ? s->now_us + QUERY_HOLD_US : 0;
    bool enough = q->purpose == SH_FOR_PEER && q->wanted && q->wanted->addr_count > 0;
    for (unsigned i = 0; enough && i < q->wanted->addr_count; i++) {
        if (q->wanted->addrs[i]->job != q->wanted->job) {
            query_done(s, q, 0); /* an address nobody has tried yet */
        }
    }
}

static void query_get_reply(struct sh_swarm *s, struct sh_query *q, const struct sh_kad_msg *m)
{
    bool is = m && m->has_record && sh_span_eq(m->record.key, sh_span_of(q->key, q->key_n));
    int err = !m ? SH_E_UNREACHABLE : is ? 0 : SH_E_NOT_FOUND;
    if (err == 0 && sh_buf_append(s, &q->value, m->record.value) != 0) {
        err = SH_E_LIMIT;
    }
    query_done(s, q, err);
}

void sh_query_settle(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                     const struct sh_kad_msg *m)
{
    q->requests--;
    if (q->purpose == SH_FOR_GET) {
        query_get_reply(s, q, m);
        return;
    }
    if (m) {
        query_reply(s, q, from, m);
    } else {
        sh_lookup_on_fail(&q->lookup, from->ref.index);
        q->hold_us = 0;
    }
    query_step(s, q);
}

/* An ended query that nobody takes by events. */
static void query_work_off(struct sh_swarm *s, struct sh_query *q)
{
    struct sh_peer *wanted = q->wanted;
    struct sh_pub *pub = q->pub;
    if (q->purpose == SH_FOR_BOOT) {
        sh_pub_booted(s);
    }
    if (pub) {
        sh_pub_targets(s, pub, &q->lookup);
    }
    if (wanted) {
        sh_peer_use(wanted);
    }
    sh_query_free(s, q);
    if (wanted) {
        sh_dial_searched(s, wanted);
        sh_peer_unuse(s, wanted);
    }
}

void sh_query_alarm(struct sh_swarm *s, struct sh_query *q)
{
    if (q->done) {
        query_work_off(s, q);
        return;
    }
    if (s->now_us >= q->end_us) {
        query_done(s, q, q->lookup.answered > 0 || q->found_count > 0 ? 0 : SH_E_UNREACHABLE);
        return;
    }
    sh_lookup_tick(&q->lookup, s->now_us);
    query_step(s, q);
}

bool sh_query_note(struct sh_swarm *s, struct sh_query *q, struct sh_swarm_event *ev)
{
    ev->query = q->number;
    if (q->found_told < q->found_count) {
        ev->kind = SH_SWARM_FOUND;
        ev->peer = q->found[q->found_told++];
        return true;
    }
    sh_list_remove(&q->note.at);
    if (!q->done || q->purpose > SH_FOR_GET) {
        return false;
    }
    ev->err = q->err;
    ev->kind = SH_SWARM_QUERY_DONE;
    if (q->purpose == SH_FOR_GET) {
        ev->kind = SH_SWARM_VALUE;
        ev->peer = q->from;
        s->carried.n = 0; /* outlives the query until the next call */
        if (q->value.n > 0 &&
            sh_buf_append(s, &s->carried, sh_span_of(q->value.b, q->value.n)) != 0) {
            ev->err = SH_E_LIMIT;
        }
        ev->data = sh_span_of(s->carried.b, s->carried.n);
    }
    sh_query_free(s, q);
    return true;
}

/* --- keeping the table fresh --- */

void sh_query_bootstrap_soon(struct sh_swarm *s)
{
    bool young = s->table.count <= SH_KAD_K;
    if (young && !s->booting) {
        uint64_t due = s->now_us + (s->table.count == 1 ? QUERY_BOOT_SOON_US : QUERY_BOOT_GAP_US);
        if (!sh_timer_armed(&s->boot.t) || due < s->boot.t.due_us) {
            sh_alarm_set(s, &s->boot, due);
        }
    }
}

void sh_query_bootstrap(struct sh_swarm *s)
{
    struct sh_query *q;
    sh_alarm_set(s, &s->boot, s->now_us + SH_BOOTSTRAP_MS * UINT64_C(1000));
    if (s->table.count == 0 || s->booting) {
        return;
    }
    if (sh_query_start(s, SH_FOR_BOOT, sh_peer_id_span(&s->self_id), &q) == 0) {
        s->booting = true;
    }
}

/* --- the user's side --- */

int sh_swarm_find(sh_swarm *s, sh_span key, uint64_t query, uint64_t now_us)
{
    struct sh_query *q;
    sh_alive_clock(s, now_us);
    int err = query_seeded(s, SH_FOR_USER, key, &q);
    if (err != 0) {
        return err;
    }
    q->number = query;
    const struct sh_provider *e;
    for (unsigned i = 0; (e = sh_records_provider(&s->records, key, i, s->now_us)) != NULL; i++) {
        struct sh_peer *p;
        if (sh_peers_get(s, &e->id, &p) == 0) {
            for (unsigned k = 0; k < e->addr_count; k++) {
                sh_addr addr;
                if (sh_addr_from_bytes(&addr, sh_span_of(e->addrs[k].b, e->addrs[k].n)) == 0) {
                    sh_peer_learn(s, p, &addr);
                }
            }
            query_found(s, q, p, SH_LOOKUP_PATHS);
        }
    }
    q->hold_us = s->now_us + QUERY_HOLD_US;
    query_step(s, q);
    return 0;
}

int sh_swarm_get(sh_swarm *s, struct sh_peer_ref peer, sh_span key, uint64_t query, uint64_t now_us)
{
    struct sh_query *q;
    sh_alive_clock(s, now_us);
    struct sh_peer *p = sh_peers_at(s, peer);
    if (!p) {
        return SH_E_UNREACHABLE;
    }
    int err = query_new(s, SH_FOR_GET, key, &q);
    if (err != 0) {
        return err;
    }
    q->number = query;
    q->from = peer;
    if (p == s->self) {
        const struct sh_pub *pub = sh_pub_by_value_key(s, key);
        if (pub) {
            sh_buf_append(s, &q->value, pub->value);
        }
        query_done(s, q, pub ? 0 : SH_E_NOT_FOUND);
    } else if (sh_kad_ask(s, p, SH_KAD_GET_VALUE, SH_ASK_GET, q) == 0) {
        q->requests++;
    } else {
        query_done(s, q, SH_E_UNREACHABLE);
    }
    return 0;
}

void sh_swarm_query_cancel(sh_swarm *s, uint64_t query)
{
    SH_LIST_FOREACH_SAFE(it, &s->queries)
    {
        struct sh_query *q = SH_CONTAINER(it, struct sh_query, all);
        if (q->number == query && q->purpose <= SH_FOR_GET) {
            sh_query_free(s, q);
        }
    }
}
