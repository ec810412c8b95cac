/* actor/type.c - actor types compiled: copies of their names and a hash table from name to index. */
#include "actor/actor.h"

enum { NAMES_MAX = 65534 };

/* First and last 8 bytes and the length: up to 16 bytes they are the name. The table is made once from
 * the program's own names, so nobody else can fill a bucket. */
static struct sh_type_key name_key(sh_span name)
{
    struct sh_type_key k = {.n = (uint32_t)name.n};
    if (name.n >= 8) {
        k.first = sh_load_u64le(name.p);
        k.last = sh_load_u64le(name.p + name.n - 8);
    } else {
        for (size_t i = 0; i < name.n; i++) {
            k.first = (k.first << 8) | name.p[i];
        }
    }
    return k;
}

static uint32_t key_hash(const struct sh_type_key *k)
{
    uint64_t h =
        (k->first ^ (k->last * UINT64_C(0x9e3779b97f4a7c15)) ^ k->n) * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(h >> 32);
}

int sh_type_find(const sh_type *type, sh_span name)
{
    if (type->def.name_count == 0) { /* a script's: it takes any */
        return -1;
    }
    struct sh_type_key k = name_key(name);
    for (uint32_t at = key_hash(&k);; at++) {
        const struct sh_type_key *entry = &type->table[at & type->mask];
        if (entry->index == 0) {
            return -1;
        }
        if (entry->first == k.first && entry->last == k.last && entry->n == k.n &&
            (k.n <= 16 || sh_span_eq(type->def.names[entry->index - 1], name))) {
            return (int)entry->index - 1;
        }
    }
}

static bool name_ok(sh_span name)
{
    return name.n >= 1 && name.n <= SH_NAME_MAX && !memchr(name.p, 0, name.n);
}

static int type_check(const struct sh_actor_type *def, size_t *text_bytes)
{
    *text_bytes = def->id.n;
    if (!name_ok(def->id) || !def->handle || def->name_count > NAMES_MAX ||
        def->state_size > SIZE_MAX / 2) {
        return SH_E_BAD_VALUE;
    }
    for (size_t i = 0; i < def->name_count; i++) {
        if (!name_ok(def->names[i])) {
            return SH_E_BAD_VALUE;
        }
        *text_bytes += def->names[i].n;
    }
    return 0;
}

static sh_span copy_text(uint8_t **at, sh_span s)
{
    memcpy(*at, s.p, s.n);
    sh_span copy = sh_span_of(*at, s.n);
    *at += s.n;
    return copy;
}

/* False: the name is there twice. */
static bool type_enter(sh_type *type, size_t index)
{
    sh_span name = type->def.names[index];
    if (sh_type_find(type, name) >= 0) {
        return false;
    }
    struct sh_type_key k = name_key(name);
    uint32_t at = key_hash(&k);
    while (type->table[at & type->mask].index) {
        at++;
    }
    k.index = (uint32_t)index + 1;
    type->table[at & type->mask] = k;
    return true;
}

int sh_runtime_type(sh_runtime *rt, const struct sh_actor_type *def, const sh_type **out)
{
    size_t text = 0;
    int rc = type_check(def, &text);
    if (rc) {
        return rc;
    }
    size_t slots = 4;
    while (slots < def->name_count * 2) {
        slots *= 2;
    }
    size_t names = def->name_count * sizeof(sh_span);
    size_t bytes = sizeof(sh_type) + names + slots * sizeof(struct sh_type_key) + text;
    sh_type *type = sh_mem_zalloc(rt->cfg.mem, bytes);
    if (!type) {
        return SH_E_LIMIT;
    }
    sh_span *list = (void *)(type + 1);
    type->table = (void *)((uint8_t *)list + names);
    type->mask = (uint32_t)(slots - 1);
    uint8_t *at = (uint8_t *)(type->table + slots);
    type->def = *def;
    type->def.names = list;
    type->def.id = copy_text(&at, def->id);
    type->bytes = bytes;
    for (size_t i = 0; i < def->name_count; i++) {
        list[i] = copy_text(&at, def->names[i]);
        if (!type_enter(type, i)) {
            sh_mem_free(rt->cfg.mem, type, bytes);
            return SH_E_BAD_VALUE;
        }
    }
    /* Two executors may make types at once. Release: whoever pushes behind us carries ours along. */
    type->next = atomic_load_explicit(&rt->types, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&rt->types, &type->next, type,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    *out = type;
    return 0;
}

void sh_type_free_all(sh_runtime *rt)
{
    sh_type *type = atomic_exchange_explicit(&rt->types, NULL, memory_order_acquire);
    while (type) {
        sh_type *next = type->next;
        sh_mem_free(rt->cfg.mem, type, type->bytes);
        type = next;
    }
}

sh_span sh_type_id(const sh_type *type)
{
    return type->def.id;
}

const struct sh_actor_type *sh_type_def(const sh_type *type)
{
    return &type->def;
}
