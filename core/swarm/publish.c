/* swarm/publish.c - own publications. */
#include "swarm/publish.h"

#include "crypto/hash.h"
#include "swarm/alive.h"
#include "swarm/kad.h"
#include "swarm/query.h"

enum { PUB_BACKOFF_MS = 1000, PUB_BACKOFF_MAX_MS = 60000, PUB_PACE_US = 2000 };

static struct sh_pub *pub_in(const sh_map_bytes *m, sh_span key)
{
    uint64_t at;
    return sh_map_bytes_get(m, key, &at) ? sh_map_ptr(at) : NULL;
}

const struct sh_pub *sh_pub_by_key(const struct sh_swarm *s, sh_span key)
{
    return pub_in(&s->pub_of_key, key);
}

const struct sh_pub *sh_pub_by_value_key(const struct sh_swarm *s, sh_span key)
{
    return pub_in(&s->pub_of_value, key);
}

/* The maps point at the latest publication of a key, which points at the one before it. */
static int pub_map(struct sh_swarm *s, struct sh_pub *pub)
{
    uint64_t key = 0, value = 0;
    sh_map_bytes_get(&s->pub_of_key, pub->key, &key);
    sh_map_bytes_get(&s->pub_of_value, pub->value_key, &value);
    pub->older_key = sh_map_ptr(key);
    pub->older_value = sh_map_ptr(value);
    int err = sh_map_bytes_put(&s->pub_of_key, pub->key, sh_map_of_ptr(pub));
    return err != 0 ? err : sh_map_bytes_put(&s->pub_of_value, pub->value_key, sh_map_of_ptr(pub));
}

/* With pub gone, its map says this of the key: putting over an entry that is there cannot fail. */
static void pub_map_say(sh_map_bytes *m, sh_span key, const struct sh_pub *newest)
{
    if (!newest) {
        sh_map_bytes_del(m, key, NULL);
    } else {
        sh_map_bytes_put(m, key, sh_map_of_ptr(newest));
    }
}

/* The one before it takes its place, in the map or behind the newer one. */
static void pub_unmap(struct sh_swarm *s, const struct sh_pub *pub)
{
    struct sh_pub *k = pub_in(&s->pub_of_key, pub->key);
    struct sh_pub *v = pub_in(&s->pub_of_value, pub->value_key);
    if (k == pub) {
        pub_map_say(&s->pub_of_key, pub->key, pub->older_key);
    }
    for (; k; k = k->older_key) {
        k->older_key = k->older_key == pub ? pub->older_key : k->older_key;
    }
    if (v == pub) {
        pub_map_say(&s->pub_of_value, pub->value_key, pub->older_value);
    }
    for (; v; v = v->older_value) {
        v->older_value = v->older_value == pub ? pub->older_value : v->older_value;
    }
}

void sh_pub_free(struct sh_swarm *s, struct sh_pub *pub)
{
    if (pub->query) {
        sh_query_free(s, pub->query);
    }
    if (pub->requests > 0) {
        sh_kad_forget(s, &pub->asks);
    }
    pub_unmap(s, pub);
    sh_wheel_cancel(&s->wheel, &pub->alarm.t);
    sh_list_remove(&pub->all);
    sh_list_remove(&pub->note.at);
    s->pub_count--;
    sh_swarm_give(s, pub, pub->bytes);
}

static void pub_confirm(struct sh_swarm *s, struct sh_pub *pub)
{
    if (!pub->confirmed) {
        pub->confirmed = true;
        pub->tell = true;
        sh_note_queue(s, &pub->note);
    }
}

static void pub_send(struct sh_swarm *s, struct sh_pub *pub, struct sh_peer *p)
{
    if (sh_kad_ask(s, p, SH_KAD_PUT_VALUE, SH_ASK_PUB, pub) == 0) {
        pub->requests++;
    }
}

static void pub_later(struct sh_swarm *s, struct sh_pub *pub)
{
    pub->backoff_ms = pub->backoff_ms == 0 ? PUB_BACKOFF_MS : 2 * pub->backoff_ms;
    pub->backoff_ms = pub->backoff_ms < PUB_BACKOFF_MAX_MS ? pub->backoff_ms : PUB_BACKOFF_MAX_MS;
    sh_alarm_set(s, &pub->alarm, s->now_us + pub->backoff_ms * UINT64_C(1000));
}

static void pub_round(struct sh_swarm *s, struct sh_pub *pub)
{
    uint64_t spread = sh_rng_below(s->cfg.rng, SH_REPUBLISH_MS / 10) * 1000;
    sh_alarm_set(s, &pub->alarm, s->now_us + SH_REPUBLISH_MS * UINT64_C(1000) - spread);
    pub->lonely = s->table.count == 0;
    if (pub->lonely || s->cfg.dht == SH_DHT_OFF) {
        pub_confirm(s, pub);
        return;
    }
    pub->echoed = false;
    if (pub->query) {
        return;
    }
    struct sh_query *q;
    if (sh_query_start(s, SH_FOR_PUB, pub->key, &q) == 0) {
        q->pub = pub;
        pub->query = q;
    } else {
        pub_later(s, pub);
    }
}

void sh_pub_targets(struct sh_swarm *s, struct sh_pub *pub, const sh_lookup *l)
{
    uint32_t tags[SH_KAD_K];
    unsigned n = sh_lookup_closest(l, tags, SH_KAD_K);
    pub->has_far = n == SH_KAD_K;
    for (unsigned i = 0; i < n; i++) {
        struct sh_peer *p = sh_slab_at(&s->peers, tags[i]);
        memcpy(pub->far, p->key, 32);
        pub_send(s, pub, p);
    }
    if (pub->requests == 0) {
        pub_later(s, pub);
    }
}

void sh_pub_settle(struct sh_swarm *s, struct sh_pub *pub, bool echoed)
{
    pub->requests--;
    pub->echoed = pub->echoed || echoed;
    if (echoed) {
        pub->backoff_ms = 0;
        pub_confirm(s, pub);
    } else if (pub->requests == 0 && !pub->echoed && !pub->query) {
        pub_later(s, pub);
    }
}

void sh_pub_to(struct sh_swarm *s, struct sh_peer *p)
{
    SH_LIST_FOREACH(it, &s->pubs)
    {
        struct sh_pub *pub = SH_CONTAINER(it, struct sh_pub, all);
        bool close = !pub->has_far || sh_kcloser(pub->kad_key, p->key, pub->far) < 0;
        if (s->pub_count <= SH_PUBLISH_EVERYONE_MAX || close) {
            pub_send(s, pub, p);
        }
    }
}

/* The neighbours are known now: those near a name are hardly those near us. A few at a time: it is no hurry. */
void sh_pub_booted(struct sh_swarm *s)
{
    uint64_t due_us = s->now_us;
    SH_LIST_FOREACH(it, &s->pubs)
    {
        struct sh_pub *pub = SH_CONTAINER(it, struct sh_pub, all);
        if (pub->lonely && s->table.count > 0) {
            pub->lonely = false;
            due_us += PUB_PACE_US;
            sh_alarm_set(s, &pub->alarm, due_us);
        }
    }
}

void sh_pub_alarm(struct sh_swarm *s, struct sh_pub *pub)
{
    pub_round(s, pub);
}

bool sh_pub_note(struct sh_swarm *s, struct sh_pub *pub, struct sh_swarm_event *ev)
{
    (void)s;
    sh_list_remove(&pub->note.at);
    if (!pub->tell) {
        return false;
    }
    pub->tell = false;
    ev->kind = SH_SWARM_PUBLISHED;
    ev->query = pub->number;
    return true;
}

int sh_swarm_publish(sh_swarm *s, sh_span key, sh_span value_key, sh_span value,
                     uint64_t publication, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    bool fits = key.n > 0 && key.n <= SH_KAD_KEY_MAX && value_key.n > 0 &&
                value_key.n <= SH_KAD_KEY_MAX && value.n <= SH_KAD_VALUE_MAX;
    if (!fits) {
        return SH_E_BAD_VALUE;
    }
    size_t bytes = sizeof(struct sh_pub) + key.n + value_key.n + value.n;
    struct sh_pub *pub = s->pub_count < SH_PUBLICATIONS_MAX ? sh_swarm_take(s, bytes) : NULL;
    if (!pub) {
        return SH_E_LIMIT;
    }
    uint8_t *at = (uint8_t *)(pub + 1);
    memcpy(at, key.p, key.n);
    memcpy(at + key.n, value_key.p, value_key.n);
    if (value.n > 0) {
        memcpy(at + key.n + value_key.n, value.p, value.n);
    }
    pub->bytes = bytes;
    pub->number = publication;
    pub->key = sh_span_of(at, key.n);
    pub->value_key = sh_span_of(at + key.n, value_key.n);
    pub->value = sh_span_of(at + key.n + value_key.n, value.n);
    sh_list_init(&pub->note.at);
    sh_list_init(&pub->asks);
    pub->note.kind = SH_NOTE_PUB;
    sh_alarm_init(&pub->alarm, SH_ALARM_PUB);
    sh_list_push_back(&s->pubs, &pub->all);
    s->pub_count++;
    if (sh_sha256(key, pub->kad_key) != 0 || pub_map(s, pub) != 0) {
        sh_pub_free(s, pub);
        return SH_E_LIMIT;
    }
    pub_round(s, pub);
    return 0;
}

void sh_swarm_withdraw(sh_swarm *s, uint64_t publication)
{
    SH_LIST_FOREACH_SAFE(it, &s->pubs)
    {
        struct sh_pub *pub = SH_CONTAINER(it, struct sh_pub, all);
        if (pub->number == publication) {
            sh_pub_free(s, pub);
            return; /* numbers are not given twice */
        }
    }
}
