/* swarm/records.c - provider and value store. */
#include "swarm/records.h"

#include "base/text.h"

void sh_records_init(sh_records *r, const sh_mem *mem, sh_quota *quota, const sh_rng *rng)
{
    memset(r, 0, sizeof *r);
    r->mem = mem;
    r->quota = quota;
    sh_map_bytes_init(&r->providers, mem, sh_rng_u64(rng), SH_KAD_RECORDS_MAX);
    sh_map_bytes_init(&r->values, mem, sh_rng_u64(rng), SH_RECORD_VALUES_MAX);
    sh_map_bytes_init(&r->shares, mem, sh_rng_u64(rng), SH_KAD_RECORDS_MAX + SH_RECORD_VALUES_MAX);
    sh_list_init(&r->provider_age);
    sh_list_init(&r->value_age);
}

int sh_records_check_provider(sh_span key, const sh_peer_id *id, const sh_peer_id *sender)
{
    bool ok =
        key.n > 0 && key.n <= SH_KAD_KEY_MAX && sh_utf8_valid(key) && sh_peer_id_eq(id, sender);
    return ok ? 0 : SH_E_PROTO;
}

/* Registration bytes: length of the peer id, u64 sequence number, peer id, type id. */
static bool registration_valid(sh_span v)
{
    sh_peer_id id;
    if (v.n < 1 || v.n < 9u + v.p[0]) {
        return false;
    }
    return sh_peer_id_from_bytes(&id, sh_span_of(v.p + 9, v.p[0])) == 0 &&
           sh_utf8_valid(sh_span_skip(v, 9u + v.p[0]));
}

int sh_records_check_value(sh_span key, sh_span value, const sh_peer_id *sender)
{
    static const char mark[] = ":meta:";
    const size_t mark_n = sizeof mark - 1;
    if (key.n > SH_KAD_KEY_MAX || value.n > SH_KAD_VALUE_MAX || !sh_utf8_valid(key)) {
        return SH_E_PROTO;
    }
    for (size_t i = 0; i + mark_n <= key.n; i++) {
        if (memcmp(key.p + i, mark, mark_n) == 0) { /* the first one counts */
            sh_peer_id id;
            bool ok = i > 0 && sh_peer_id_parse(&id, sh_span_skip(key, i + mark_n)) == 0 &&
                      sh_peer_id_eq(&id, sender) && registration_valid(value);
            return ok ? 0 : SH_E_PROTO;
        }
    }
    return SH_E_PROTO;
}

/* Counts an entry to its publisher. */
static int share_take(sh_records *r, const sh_peer_id *id)
{
    uint64_t n = 0;
    sh_map_bytes_get(&r->shares, sh_peer_id_span(id), &n);
    return n >= SH_RECORD_PUBLISHER_MAX ? SH_E_LIMIT
                                        : sh_map_bytes_put(&r->shares, sh_peer_id_span(id), n + 1);
}

static void share_give(sh_records *r, const sh_peer_id *id)
{
    uint64_t n = 0;
    if (!sh_map_bytes_get(&r->shares, sh_peer_id_span(id), &n)) {
        return;
    }
    if (n <= 1) {
        sh_map_bytes_del(&r->shares, sh_peer_id_span(id), NULL);
    } else {
        sh_map_bytes_put(&r->shares, sh_peer_id_span(id), n - 1); /* replaces: cannot fail */
    }
}

static void *records_take(sh_records *r, size_t n)
{
    if (sh_quota_take(r->quota, n) != 0) {
        return NULL;
    }
    void *p = sh_mem_zalloc(r->mem, n);
    if (!p && r->quota) {
        sh_quota_give(r->quota, n);
    }
    return p;
}

static void records_give(sh_records *r, void *p, size_t n)
{
    sh_mem_free(r->mem, p, n);
    if (r->quota) {
        sh_quota_give(r->quota, n);
    }
}

static struct sh_provider_key *provider_home(const sh_records *r, sh_span key)
{
    uint64_t at;
    return sh_map_bytes_get(&r->providers, key, &at) ? sh_map_ptr(at) : NULL;
}

static struct sh_provider_key *provider_home_make(sh_records *r, sh_span key)
{
    struct sh_provider_key *home = provider_home(r, key);
    if (home) {
        return home;
    }
    home = records_take(r, sizeof *home);
    if (!home) {
        return NULL;
    }
    sh_list_init(&home->providers);
    home->key_n = (uint16_t)key.n;
    memcpy(home->key, key.p, key.n);
    if (sh_map_bytes_put(&r->providers, key, sh_map_of_ptr(home)) != 0) {
        records_give(r, home, sizeof *home);
        return NULL;
    }
    return home;
}

static void provider_home_drop(sh_records *r, struct sh_provider_key *home)
{
    if (home->count == 0) {
        sh_map_bytes_del(&r->providers, sh_span_of(home->key, home->key_n), NULL);
        records_give(r, home, sizeof *home);
    }
}

static void provider_drop(sh_records *r, struct sh_provider *p)
{
    struct sh_provider_key *home = p->home;
    sh_list_remove(&p->of_key);
    sh_list_remove(&p->by_age);
    share_give(r, &p->id);
    home->count--;
    r->provider_count--;
    records_give(r, p, sizeof *p);
    provider_home_drop(r, home);
}

/* When the places are taken, who has not renewed for SH_PROVIDER_STALE_MS makes room: first of this name, then of all. */
static void provider_make_room(sh_records *r, struct sh_provider_key *home, uint64_t now_us)
{
    uint64_t stale_us = now_us + (SH_PROVIDER_TTL_MS - SH_PROVIDER_STALE_MS) * UINT64_C(1000);
    struct sh_provider *oldest = NULL;
    if (home->count >= SH_KAD_PROVIDERS_MAX) {
        SH_LIST_FOREACH(it, &home->providers)
        {
            struct sh_provider *p = SH_CONTAINER(it, struct sh_provider, of_key);
            oldest = !oldest || p->end_us < oldest->end_us ? p : oldest;
        }
    } else if (r->provider_count >= SH_KAD_RECORDS_MAX) {
        oldest = SH_CONTAINER(sh_list_front(&r->provider_age), struct sh_provider, by_age);
    }
    if (oldest && oldest->end_us < stale_us) {
        home->count++; /* for the newcomer: the oldest may have been the only one here, and home stays */
        provider_drop(r, oldest);
        home->count--;
    }
}

static struct sh_provider *provider_make(sh_records *r, struct sh_provider_key *home,
                                         const sh_peer_id *id)
{
    if (home->count >= SH_KAD_PROVIDERS_MAX || r->provider_count >= SH_KAD_RECORDS_MAX ||
        share_take(r, id) != 0) {
        return NULL;
    }
    struct sh_provider *p = records_take(r, sizeof *p);
    if (!p) {
        share_give(r, id);
        return NULL;
    }
    p->id = *id;
    p->home = home;
    sh_list_init(&p->by_age);
    sh_list_push_back(&home->providers, &p->of_key);
    home->count++;
    r->provider_count++;
    return p;
}

int sh_records_add_provider(sh_records *r, sh_span key, const sh_peer_id *id, const sh_span *addrs,
                            unsigned addr_count, uint64_t now_us)
{
    sh_records_tick(r, now_us);
    struct sh_provider_key *home = provider_home_make(r, key);
    if (!home) {
        return SH_E_LIMIT;
    }
    struct sh_provider *p = NULL;
    SH_LIST_FOREACH(it, &home->providers)
    {
        struct sh_provider *have = SH_CONTAINER(it, struct sh_provider, of_key);
        p = sh_peer_id_eq(&have->id, id) ? have : p;
    }
    if (!p) {
        provider_make_room(r, home, now_us);
        p = provider_make(r, home, id);
    }
    if (!p) {
        provider_home_drop(r, home);
        return SH_E_LIMIT;
    }
    p->end_us = now_us + SH_PROVIDER_TTL_MS * UINT64_C(1000);
    p->addr_count = 0;
    for (unsigned i = 0; i < addr_count && p->addr_count < SH_RECORD_ADDRS_MAX; i++) {
        sh_addr clean;
        if (addrs[i].n <= sizeof p->addrs[0].b && sh_addr_from_bytes(&clean, addrs[i]) == 0) {
            p->addrs[p->addr_count].n = (uint16_t)addrs[i].n;
            memcpy(p->addrs[p->addr_count++].b, addrs[i].p, addrs[i].n);
        }
    }
    sh_list_remove(&p->by_age);
    sh_list_push_back(&r->provider_age, &p->by_age);
    return 0;
}

static size_t value_bytes(const struct sh_value *v)
{
    return sizeof *v + v->key_n + v->value_n;
}

static void value_drop(sh_records *r, struct sh_value *v)
{
    sh_map_bytes_del(&r->values, sh_span_of(v->bytes, v->key_n), NULL);
    sh_list_remove(&v->by_age);
    share_give(r, &v->publisher);
    r->value_count--;
    records_give(r, v, value_bytes(v));
}

int sh_records_put_value(sh_records *r, sh_span key, sh_span value, const sh_peer_id *sender,
                         uint32_t ttl_s, uint64_t now_us)
{
    sh_records_tick(r, now_us);
    uint64_t at;
    struct sh_value *old = sh_map_bytes_get(&r->values, key, &at) ? sh_map_ptr(at) : NULL;
    if (!old && (r->value_count >= SH_RECORD_VALUES_MAX || share_take(r, sender) != 0)) {
        return SH_E_LIMIT;
    }
    struct sh_value *v = records_take(r, sizeof *v + key.n + value.n);
    int err = v ? sh_map_bytes_put(&r->values, key, sh_map_of_ptr(v)) : SH_E_NOMEM;
    if (err != 0) {
        if (v) {
            records_give(r, v, sizeof *v + key.n + value.n);
        }
        if (!old) {
            share_give(r, sender);
        }
        return err;
    }
    if (old) { /* the key names the sender: the share moves over */
        sh_list_remove(&old->by_age);
        records_give(r, old, value_bytes(old));
    } else {
        r->value_count++;
    }
    uint64_t ttl_us = ttl_s == 0 ? SH_VALUE_TTL_MS * UINT64_C(1000) : ttl_s * UINT64_C(1000000);
    ttl_us = ttl_us < SH_VALUE_TTL_MS * UINT64_C(1000) ? ttl_us : SH_VALUE_TTL_MS * UINT64_C(1000);
    v->publisher = *sender;
    v->end_us = now_us + ttl_us;
    v->key_n = (uint16_t)key.n;
    v->value_n = (uint16_t)value.n;
    memcpy(v->bytes, key.p, key.n);
    memcpy(v->bytes + key.n, value.p, value.n);
    v->reap_us = now_us + SH_VALUE_TTL_MS * UINT64_C(1000);
    sh_list_push_back(&r->value_age, &v->by_age);
    return 0;
}

const struct sh_provider *sh_records_provider(const sh_records *r, sh_span key, unsigned i,
                                              uint64_t now_us)
{
    const struct sh_provider_key *home = provider_home(r, key);
    if (!home) {
        return NULL;
    }
    SH_LIST_FOREACH(it, &home->providers)
    {
        const struct sh_provider *p = SH_CONTAINER(it, struct sh_provider, of_key);
        if (p->end_us > now_us && i-- == 0) {
            return p;
        }
    }
    return NULL;
}

const struct sh_value *sh_records_value(const sh_records *r, sh_span key, uint64_t now_us)
{
    uint64_t at;
    if (!sh_map_bytes_get(&r->values, key, &at)) {
        return NULL;
    }
    const struct sh_value *v = sh_map_ptr(at);
    return v->end_us > now_us ? v : NULL;
}

void sh_records_tick(sh_records *r, uint64_t now_us)
{
    for (sh_list *it; (it = sh_list_front(&r->provider_age)) != NULL;) {
        struct sh_provider *p = SH_CONTAINER(it, struct sh_provider, by_age);
        if (p->end_us > now_us) {
            break;
        }
        provider_drop(r, p);
    }
    for (sh_list *it; (it = sh_list_front(&r->value_age)) != NULL;) {
        struct sh_value *v = SH_CONTAINER(it, struct sh_value, by_age);
        if (v->reap_us > now_us) {
            break;
        }
        value_drop(r, v);
    }
}

uint64_t sh_records_deadline(const sh_records *r)
{
    uint64_t next = UINT64_MAX;
    sh_list *it = sh_list_front(&r->provider_age);
    if (it) {
        next = SH_CONTAINER(it, struct sh_provider, by_age)->end_us;
    }
    it = sh_list_front(&r->value_age);
    if (it && SH_CONTAINER(it, struct sh_value, by_age)->reap_us < next) {
        next = SH_CONTAINER(it, struct sh_value, by_age)->reap_us;
    }
    return next;
}

void sh_records_fini(sh_records *r)
{
    sh_records_tick(r, UINT64_MAX);
    sh_map_bytes_fini(&r->providers);
    sh_map_bytes_fini(&r->values);
    sh_map_bytes_fini(&r->shares);
}
