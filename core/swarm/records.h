/* swarm/records.h - what is kept in the DHT for others: provider entries and values, each with an end.
 *
 * Shape    two tables by key; a provider key has up to SH_KAD_PROVIDERS_MAX entries in order of arrival.
 * Rules    Kameo's (both kinds are filtered): a provider is its own sender, its key UTF-8; a value's key is
 *          "<name>:meta:<peer id of the sender>", its bytes a registration. Bounds come on top: key and value
 *          sizes, entries in all and per publisher, and the quota. Expired entries are never shown.
 * Memory   charged to the quota.   Units  absolute microseconds.
 * Spec     kameo 0.22 registry; see SH_PROVIDER_TTL_MS, SH_VALUE_TTL_MS. */
#ifndef SH_SWARM_RECORDS_H
#define SH_SWARM_RECORDS_H

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/quota.h"
#include "base/rng.h"
#include "base/sh_limits.h"
#include "crypto/peer_id.h"
#include "proto/addr.h"

struct sh_provider {
    sh_list of_key, by_age;
    struct sh_provider_key *home;
    sh_peer_id id;
    uint64_t end_us;
    unsigned addr_count;
    struct {
        uint16_t n;
        uint8_t b[128];
    } addrs[SH_RECORD_ADDRS_MAX]; /* multiaddr bytes; longer ones are not kept */
};

struct sh_provider_key {
    sh_list providers; /* in order of arrival */
    unsigned count;
    uint16_t key_n;
    uint8_t key[SH_KAD_KEY_MAX];
};

struct sh_value {
    sh_list by_age;
    sh_peer_id publisher;
    uint64_t end_us; /* no longer shown from then on */
    uint64_t
        reap_us; /* the longest life there is: so the list is in order whatever lives peers ask for */
    uint16_t key_n;
    uint16_t value_n;
    uint8_t bytes[]; /* key, value */
};

typedef struct sh_records {
    const sh_mem *mem;
    sh_quota *quota;
    sh_map_bytes providers, values; /* key -> struct */
    sh_map_bytes shares; /* peer id -> entries it has here, values and providers together */
    sh_list provider_age, value_age; /* soonest to be forgotten first */
    size_t provider_count, value_count;
} sh_records;

void sh_records_init(sh_records *r, const sh_mem *mem, sh_quota *quota, const sh_rng *rng);
void sh_records_fini(sh_records *r);

/* Is this a key a provider of id `sender` may stand under? Is this a value that `sender` may put? 0 or SH_E_PROTO. */
int sh_records_check_provider(sh_span key, const sh_peer_id *id, const sh_peer_id *sender);
int sh_records_check_value(sh_span key, sh_span value, const sh_peer_id *sender);

/* Checked entries only. 0; SH_E_LIMIT, SH_E_NOMEM: refused, an older entry of the same kind stays as it was. */
int sh_records_add_provider(sh_records *r, sh_span key, const sh_peer_id *id, const sh_span *addrs,
                            unsigned addr_count, uint64_t now_us);
int sh_records_put_value(sh_records *r, sh_span key, sh_span value, const sh_peer_id *sender,
                         uint32_t ttl_s, uint64_t now_us);

/* The i-th provider of a key that has not ended; NULL past the end. */
const struct sh_provider *sh_records_provider(const sh_records *r, sh_span key, unsigned i,
                                              uint64_t now_us);
const struct sh_value *sh_records_value(const sh_records *r, sh_span key, uint64_t now_us);
static inline sh_span sh_value_span(const struct sh_value *v)
{
    return sh_span_of(v->bytes + v->key_n, v->value_n);
}

void sh_records_tick(sh_records *r, uint64_t now_us); /* forgets what has ended */
uint64_t sh_records_deadline(const sh_records *r);

#endif
