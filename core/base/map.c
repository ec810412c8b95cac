/* base/map.c - linear probing with backward shift deletion.
 *
 * Invariant of both tables: between an entry's home slot (its hash modulo cap) and its place there is
 * no empty slot. Deletion keeps it by moving later entries of the run into the hole. */
#include "base/map.h"

#include "base/hash.h"

enum { MAP_CAP_START = 2 }; /* most maps of a connection hold one entry */

/* May an entry whose home is `home` and that sits at `at` move back into `hole`? */
static bool map_may_fill(size_t hole, size_t at, size_t home, size_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

/* The capacity to grow to before one more entry, or 0 if there is room. */
static size_t map_grown_cap(size_t cap, size_t count)
{
    if (count + 1 <= cap * 3 / 4) {
        return 0;
    }
    return cap ? cap * 2 : MAP_CAP_START;
}

static uint32_t map_count_max(size_t count_max)
{
    return count_max < SH_MAP_COUNT_MAX ? (uint32_t)count_max : SH_MAP_COUNT_MAX;
}

void sh_map_u64_init(sh_map_u64 *m, const sh_mem *mem, uint64_t seed, size_t count_max)
{
    *m = (sh_map_u64){.mem = mem, .seed = seed, .count_max = map_count_max(count_max)};
}

void sh_map_u64_fini(sh_map_u64 *m)
{
    sh_mem_free(m->mem, m->slots, m->cap * sizeof *m->slots);
    m->slots = NULL;
    m->cap = 0;
    m->count = 0;
}

static size_t u64_home(const sh_map_u64 *m, uint64_t key)
{
    return (size_t)sh_hash_u64(m->seed, key) & (m->cap - 1);
}

/* The slot of key, or the empty one where it would go. Needs cap > 0. */
static sh_map_u64_slot *u64_find(const sh_map_u64 *m, uint64_t key)
{
    size_t i = u64_home(m, key);
    while (m->slots[i].full && m->slots[i].key != key) {
        i = (i + 1) & (m->cap - 1);
    }
    return &m->slots[i];
}

static int u64_grow(sh_map_u64 *m, size_t cap)
{
    sh_map_u64 bigger = *m;
    bigger.cap = (uint32_t)cap;
    bigger.slots = sh_mem_array(m->mem, cap, sizeof *m->slots);
    if (!bigger.slots) {
        return SH_E_NOMEM;
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].full) {
            *u64_find(&bigger, m->slots[i].key) = m->slots[i];
        }
    }
    sh_mem_free(m->mem, m->slots, m->cap * sizeof *m->slots);
    *m = bigger;
    return 0;
}

int sh_map_u64_put(sh_map_u64 *m, uint64_t key, uint64_t value)
{
    sh_map_u64_slot *slot = m->cap ? u64_find(m, key) : NULL;
    if (slot && slot->full) {
        slot->value = value;
        return 0;
    }
    if (m->count >= m->count_max) {
        return SH_E_LIMIT;
    }
    size_t cap = map_grown_cap(m->cap, m->count);
    if (cap && u64_grow(m, cap)) {
        return SH_E_NOMEM;
    }
    *u64_find(m, key) = (sh_map_u64_slot){key, value, 1};
    m->count++;
    return 0;
}

bool sh_map_u64_get(const sh_map_u64 *m, uint64_t key, uint64_t *value)
{
    const sh_map_u64_slot *slot = m->cap ? u64_find(m, key) : NULL;
    if (!slot || !slot->full) {
        return false;
    }
    if (value) {
        *value = slot->value;
    }
    return true;
}

bool sh_map_u64_del(sh_map_u64 *m, uint64_t key, uint64_t *value)
{
    if (!sh_map_u64_get(m, key, value)) {
        return false;
    }
    size_t mask = m->cap - 1;
    size_t hole = (size_t)(u64_find(m, key) - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].full; i = (i + 1) & mask) {
        if (map_may_fill(hole, i, u64_home(m, m->slots[i].key), mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (sh_map_u64_slot){0, 0, 0};
    m->count--;
    return true;
}

bool sh_map_u64_next(const sh_map_u64 *m, size_t *cursor, uint64_t *key, uint64_t *value)
{
    while (*cursor < m->cap && !m->slots[*cursor].full) {
        (*cursor)++;
    }
    if (*cursor >= m->cap) {
        return false;
    }
    const sh_map_u64_slot *slot = &m->slots[(*cursor)++];
    if (key) {
        *key = slot->key;
    }
    if (value) {
        *value = slot->value;
    }
    return true;
}

void sh_map_bytes_init(sh_map_bytes *m, const sh_mem *mem, uint64_t seed, size_t count_max)
{
    *m = (sh_map_bytes){.mem = mem, .seed = seed, .count_max = map_count_max(count_max)};
}

void sh_map_bytes_fini(sh_map_bytes *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        sh_mem_free(m->mem, m->slots[i].key, m->slots[i].n);
    }
    sh_mem_free(m->mem, m->slots, m->cap * sizeof *m->slots);
    m->slots = NULL;
    m->cap = 0;
    m->count = 0;
}

static sh_map_bytes_slot *bytes_find(const sh_map_bytes *m, sh_span key, uint64_t hash)
{
    size_t i = (size_t)hash & (m->cap - 1);
    for (;;) {
        sh_map_bytes_slot *slot = &m->slots[i];
        if (!slot->key || (slot->hash == hash && sh_span_eq(sh_span_of(slot->key, slot->n), key))) {
            return slot;
        }
        i = (i + 1) & (m->cap - 1);
    }
}

static int bytes_grow(sh_map_bytes *m, size_t cap)
{
    sh_map_bytes_slot *slots = sh_mem_array(m->mem, cap, sizeof *slots);
    if (!slots) {
        return SH_E_NOMEM;
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->slots[i].key) {
            continue;
        }
        size_t at = (size_t)m->slots[i].hash & (cap - 1);
        while (slots[at].key) { /* keys differ: only a free place is looked for */
            at = (at + 1) & (cap - 1);
        }
        slots[at] = m->slots[i];
    }
    sh_mem_free(m->mem, m->slots, m->cap * sizeof *m->slots);
    m->slots = slots;
    m->cap = (uint32_t)cap;
    return 0;
}

static int bytes_insert(sh_map_bytes *m, sh_span key, uint64_t hash, uint64_t value)
{
    size_t cap = map_grown_cap(m->cap, m->count);
    if (cap && bytes_grow(m, cap)) {
        return SH_E_NOMEM;
    }
    uint8_t *copy = sh_mem_alloc(m->mem, key.n);
    if (!copy) {
        return SH_E_NOMEM;
    }
    if (key.n) {
        memcpy(copy, key.p, key.n);
    }
    *bytes_find(m, key, hash) = (sh_map_bytes_slot){copy, key.n, hash, value};
    m->count++;
    return 0;
}

int sh_map_bytes_put(sh_map_bytes *m, sh_span key, uint64_t value)
{
    uint64_t hash = sh_hash_bytes(m->seed, key);
    sh_map_bytes_slot *slot = m->cap ? bytes_find(m, key, hash) : NULL;
    if (slot && slot->key) {
        slot->value = value;
        return 0;
    }
    return m->count >= m->count_max ? SH_E_LIMIT : bytes_insert(m, key, hash, value);
}

bool sh_map_bytes_get(const sh_map_bytes *m, sh_span key, uint64_t *value)
{
    if (!m->count) {
        return false;
    }
    const sh_map_bytes_slot *slot = bytes_find(m, key, sh_hash_bytes(m->seed, key));
    if (!slot->key) {
        return false;
    }
    if (value) {
        *value = slot->value;
    }
    return true;
}

bool sh_map_bytes_del(sh_map_bytes *m, sh_span key, uint64_t *value)
{
    if (!sh_map_bytes_get(m, key, value)) {
        return false;
    }
    size_t mask = m->cap - 1;
    sh_map_bytes_slot *slot = bytes_find(m, key, sh_hash_bytes(m->seed, key));
    size_t hole = (size_t)(slot - m->slots);
    sh_mem_free(m->mem, slot->key, slot->n); /* key may be this copy: not used from here on */
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        if (map_may_fill(hole, i, (size_t)m->slots[i].hash & mask, mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (sh_map_bytes_slot){0};
    m->count--;
    return true;
}

bool sh_map_bytes_next(const sh_map_bytes *m, size_t *cursor, sh_span *key, uint64_t *value)
{
    while (*cursor < m->cap && !m->slots[*cursor].key) {
        (*cursor)++;
    }
    if (*cursor >= m->cap) {
        return false;
    }
    const sh_map_bytes_slot *slot = &m->slots[(*cursor)++];
    if (key) {
        *key = sh_span_of(slot->key, slot->n);
    }
    if (value) {
        *value = slot->value;
    }
    return true;
}
