/* swarm/kbucket.c - the routing table. */
#include "swarm/kbucket.h"

#include "base/sh_assert.h"

unsigned sh_kprefix(const uint8_t a[32], const uint8_t b[32])
{
    for (unsigned i = 0; i < 32; i++) {
        unsigned x = (unsigned)(a[i] ^ b[i]);
        if (x != 0) {
            unsigned bits = 0;
            while ((x & 0x80u) == 0) {
                x <<= 1;
                bits++;
            }
            return i * 8 + bits;
        }
    }
    return 256;
}

int sh_kcloser(const uint8_t target[32], const uint8_t a[32], const uint8_t b[32])
{
    for (unsigned i = 0; i < 32; i++) {
        if (a[i] != b[i]) {
            return (a[i] ^ target[i]) - (b[i] ^ target[i]);
        }
    }
    return 0;
}

void sh_ktable_init(sh_ktable *t, const sh_mem *mem, const uint8_t self[32])
{
    memset(t, 0, sizeof *t);
    t->mem = mem;
    memcpy(t->self, self, 32);
}

void sh_ktable_fini(sh_ktable *t)
{
    for (unsigned i = 0; i < SH_KBUCKETS; i++) {
        sh_mem_free(t->mem, t->buckets[i], sizeof *t->buckets[i]);
        t->buckets[i] = NULL;
    }
    t->count = 0;
}

static unsigned list_find(const struct sh_kentry *at, unsigned count, uint32_t tag)
{
    unsigned i = 0;
    while (i < count && at[i].tag != tag) {
        i++;
    }
    return i;
}

static void list_drop(struct sh_kentry *at, uint8_t *count, unsigned i)
{
    memmove(&at[i], &at[i + 1], (*count - i - 1u) * sizeof at[0]);
    (*count)--;
}

static void bucket_push(struct sh_kbucket *b, const struct sh_kentry *e)
{
    SH_ASSERT(b->count < SH_KAD_K);
    b->at[b->count++] = *e;
}

static struct sh_kbucket *table_bucket(sh_ktable *t, const uint8_t key[32], bool make)
{
    unsigned prefix = sh_kprefix(t->self, key);
    if (prefix >= SH_KBUCKETS) {
        return NULL; /* our own key */
    }
    if (!t->buckets[prefix] && make) {
        t->buckets[prefix] = sh_mem_zalloc(t->mem, sizeof *t->buckets[prefix]);
    }
    return t->buckets[prefix];
}

enum sh_kinsert sh_ktable_insert(sh_ktable *t, const uint8_t key[32], uint32_t tag, bool connected,
                                 uint32_t *dropped)
{
    *dropped = SH_KTAG_NONE;
    struct sh_kbucket *b = table_bucket(t, key, true);
    if (!b) {
        return SH_KIN_REFUSED;
    }
    struct sh_kentry e = {.tag = tag, .connected = connected};
    memcpy(e.key, key, 32);
    unsigned i = list_find(b->at, b->count, tag);
    if (i < b->count) { /* seen again: to the end */
        list_drop(b->at, &b->count, i);
        bucket_push(b, &e);
        return SH_KIN_KNOWN;
    }
    i = list_find(b->spare, b->spare_count, tag);
    bool was_spare = i < b->spare_count;
    if (was_spare) {
        list_drop(b->spare, &b->spare_count, i);
    }
    if (b->count < SH_KAD_K) {
        bucket_push(b, &e);
        t->count++;
        return SH_KIN_ADDED;
    }
    if (b->spare_count == SH_KBUCKET_SPARES) { /* the oldest that is not connected, or the oldest */
        for (i = 0; i < b->spare_count && b->spare[i].connected; i++) {
        }
        i = i < b->spare_count ? i : 0;
        *dropped = b->spare[i].tag;
        list_drop(b->spare, &b->spare_count, i);
    }
    b->spare[b->spare_count++] = e;
    return was_spare ? SH_KIN_KNOWN : SH_KIN_SPARE;
}

uint32_t sh_ktable_doubt(sh_ktable *t, const uint8_t key[32])
{
    struct sh_kbucket *b = table_bucket(t, key, false);
    struct sh_kentry *oldest = NULL;
    for (unsigned i = 0; b && b->spare_count > 0 && i < b->count; i++) {
        struct sh_kentry *e = &b->at[i];
        if (e->doubted) {
            return SH_KTAG_NONE;
        }
        oldest = oldest || e->connected ? oldest : e;
    }
    if (!oldest) {
        return SH_KTAG_NONE;
    }
    oldest->doubted = true;
    return oldest->tag;
}

/* A free place goes to the youngest spare that is connected, or to the youngest. */
static void table_refill(sh_ktable *t, struct sh_kbucket *b)
{
    unsigned i = b->spare_count;
    if (b->count == SH_KAD_K || b->spare_count == 0) {
        return;
    }
    while (i > 0 && !b->spare[i - 1].connected) {
        i--;
    }
    i = i > 0 ? i - 1 : b->spare_count - 1u;
    struct sh_kentry e = b->spare[i];
    list_drop(b->spare, &b->spare_count, i);
    bucket_push(b, &e);
    t->count++;
}

void sh_ktable_set_connected(sh_ktable *t, const uint8_t key[32], uint32_t tag, bool connected)
{
    struct sh_kbucket *b = table_bucket(t, key, false);
    if (!b) {
        return;
    }
    unsigned i = list_find(b->at, b->count, tag);
    if (i < b->count) {
        b->at[i].connected = connected;
        b->at[i].doubted = false;
        return;
    }
    i = list_find(b->spare, b->spare_count, tag);
    if (i < b->spare_count) {
        b->spare[i].connected = connected;
    }
}

bool sh_ktable_remove(sh_ktable *t, const uint8_t key[32], uint32_t tag)
{
    struct sh_kbucket *b = table_bucket(t, key, false);
    if (!b) {
        return false;
    }
    unsigned i = list_find(b->at, b->count, tag);
    if (i < b->count) {
        list_drop(b->at, &b->count, i);
        t->count--;
        table_refill(t, b);
        return true;
    }
    i = list_find(b->spare, b->spare_count, tag);
    if (i < b->spare_count) {
        list_drop(b->spare, &b->spare_count, i);
        return true;
    }
    return false;
}

unsigned sh_ktable_closest(const sh_ktable *t, const uint8_t target[32], uint32_t skip,
                           uint32_t *tags, unsigned n)
{
    const struct sh_kentry *best[2 * SH_KAD_K];
    unsigned count = 0;
    SH_ASSERT(n <= 2 * SH_KAD_K);
    for (unsigned i = 0; i < SH_KBUCKETS; i++) {
        const struct sh_kbucket *b = t->buckets[i];
        for (unsigned k = 0; b && k < b->count; k++) {
            const struct sh_kentry *e = &b->at[k];
            if (e->tag == skip) {
                continue;
            }
            unsigned at = count;
            while (at > 0 && sh_kcloser(target, e->key, best[at - 1]->key) < 0) {
                at--;
            }
            if (at < n) {
                unsigned last = count < n ? count : n - 1;
                memmove(&best[at + 1], &best[at], (last - at) * sizeof best[0]);
                best[at] = e;
                count = last + 1;
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        tags[i] = best[i]->tag;
    }
    return count;
}

const struct sh_kentry *sh_ktable_at(const sh_ktable *t, size_t i, uint32_t *bucket)
{
    for (uint32_t at = 0; at < SH_KBUCKETS; at++) {
        const struct sh_kbucket *b = t->buckets[at];
        if (b && i < b->count) {
            *bucket = at;
            return &b->at[i];
        }
        i -= b ? b->count : 0u;
    }
    return NULL;
}
