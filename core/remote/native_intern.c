/* remote/native_intern.c - names and actors by number: the tables of either side, and INTERN.
 *
 * Three tables a direction: names, actors of the receiver, actors of the sender. The writer numbers what it sends again
 * and again; what finds no room in a table goes as it is. */
#include "remote/native.h"

/* --- ours, written --- */

static void native_intern(struct native *n, uint8_t table, uint32_t entry, uint64_t actor,
                          sh_span name)
{
    struct sh_frame f = {.type = SH_FRAME_INTERN,
                         .table = table,
                         .entry = entry,
                         .name = name,
                         .target = {.kind = SH_WHO_ACTOR, .actor = actor}};
    native_frame(n, &f);
}

static struct native_name_out *native_name_late(struct native *n, sh_span name)
{
    bool fits = n->names_late && name.n - 1 < NATIVE_NAME_CACHED_MAX;
    return fits ? &n->names_late[(name.n + name.p[0]) % NATIVE_NAMES_CACHED] : NULL;
}

void native_names_forget(struct native *n)
{
    sh_mem_free(n->r->mem, n->names_late, NATIVE_NAMES_CACHED * sizeof *n->names_late);
    n->names_late = NULL;
}

void native_name(struct native *n, struct sh_frame *f, sh_span name)
{
    uint64_t entry;
    struct native_name_out *late = native_name_late(n, name);
    f->name = name;
    if (late && late->n == name.n && memcmp(late->text, name.p, name.n) == 0) {
        f->name_known = true;
        f->name_entry = late->entry;
        return;
    }
    f->name_known = sh_map_bytes_get(&n->names_out, name, &entry);
    if (!f->name_known) {
        entry = n->names_out.count;
        if (entry >= SH_INTERN_NAMES_MAX || sh_map_bytes_put(&n->names_out, name, entry) != 0) {
            return; /* the table is full: as text */
        }
        native_intern(n, SH_TABLE_NAMES, (uint32_t)entry, 0, name);
        f->name_known = true;
    }
    f->name_entry = (uint32_t)entry;
    if (!n->names_late) { /* without memory it is hashed each time */
        n->names_late = sh_mem_array(n->r->mem, NATIVE_NAMES_CACHED, sizeof *n->names_late);
        late = native_name_late(n, name);
    }
    if (late) {
        late->entry = f->name_entry;
        late->n = (uint8_t)name.n;
        memcpy(late->text, name.p, name.n);
    }
}

struct sh_frame_who native_mine(struct native *n, uint64_t actor)
{
    uint64_t entry;
    if (actor == 0) {
        return (struct sh_frame_who){.kind = SH_WHO_NOBODY};
    }
    if (!sh_map_u64_get(&n->mine_out, actor, &entry)) {
        entry = n->mine_out.count;
        if (entry >= SH_INTERN_ACTORS_MAX || sh_map_u64_put(&n->mine_out, actor, entry) != 0) {
            return (struct sh_frame_who){.kind = SH_WHO_ACTOR, .actor = actor};
        }
        native_intern(n, SH_TABLE_MINE, (uint32_t)entry, actor, sh_span_none());
    }
    return (struct sh_frame_who){.kind = SH_WHO_ENTRY, .entry = (uint32_t)entry};
}

/* Only targets of messages have an entry: what is sent to again and again. */
struct sh_frame_who native_yours(struct native *n, uint64_t actor)
{
    if (actor == 0) {
        return (struct sh_frame_who){.kind = SH_WHO_NOBODY};
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (t && t->entry != NATIVE_NO_ENTRY) {
        return (struct sh_frame_who){.kind = SH_WHO_ENTRY, .entry = t->entry};
    }
    return (struct sh_frame_who){.kind = SH_WHO_ACTOR, .actor = actor};
}

struct sh_frame_who native_target_who(struct native *n, struct native_target *t)
{
    if (t->actor && t->entry == NATIVE_NO_ENTRY && n->yours_count < SH_INTERN_ACTORS_MAX) {
        t->entry = n->yours_count++;
        native_intern(n, SH_TABLE_YOURS, t->entry, t->actor, sh_span_none());
    }
    if (t->entry != NATIVE_NO_ENTRY) {
        return (struct sh_frame_who){.kind = SH_WHO_ENTRY, .entry = t->entry};
    }
    return native_yours(n, t->actor);
}

struct sh_frame_who native_who(struct native *n, sh_pid pid)
{
    if (sh_pid_is_none(pid) || sh_pid_is_slot(pid) || pid.actor == 0) {
        return (struct sh_frame_who){.kind = SH_WHO_NOBODY};
    }
    if (pid.node == 0) {
        return native_mine(n, pid.actor);
    }
    struct sh_peer_ref ref = {pid.node, pid.check};
    const sh_peer_id *id = sh_swarm_peer_id(n->r->swarm, ref);
    if (!id) {
        return (struct sh_frame_who){.kind = SH_WHO_NOBODY};
    }
    return (struct sh_frame_who){
        .kind = SH_WHO_THIRD, .actor = pid.actor, .peer = sh_peer_id_span(id)};
}

void native_intern_out_reset(struct native *n)
{
    n->yours_count = 0;
    sh_map_bytes_fini(&n->names_out);
    sh_map_bytes_init(&n->names_out, n->r->mem, n->r->seed, SH_INTERN_NAMES_MAX);
    native_names_forget(n);
    sh_map_u64_fini(&n->mine_out);
    sh_map_u64_init(&n->mine_out, n->r->mem, n->r->seed, SH_INTERN_ACTORS_MAX);
}

/* --- the peer's, read --- */

/* One table of names and two of actors, made when first used and grown to hold `entry`; NULL: no memory. */
static void *native_table(struct native *n, void *table, uint32_t *cap, uint32_t entry, size_t size)
{
    uint32_t more = *cap ? *cap : NATIVE_TABLE_START;
    if (entry < *cap) {
        return table;
    }
    while (more <= entry) {
        more *= 2;
    }
    size_t bytes = (size_t)(more - *cap) * size;
    if (sh_quota_take(&n->quota, bytes) != 0) {
        return NULL;
    }
    uint8_t *at = sh_mem_resize(n->r->mem, table, *cap * size, more * size);
    if (!at) {
        sh_quota_give(&n->quota, bytes);
        return NULL;
    }
    memset(at + *cap * size, 0, bytes);
    n->tables_bytes += bytes;
    *cap = more;
    return at;
}

const char *native_get_intern(struct native *n, const struct sh_frame *f)
{
    native_again_in_drop(n);
    if (f->table != SH_TABLE_NAMES) {
        bool yours = f->table == SH_TABLE_YOURS;
        uint64_t **table = yours ? &n->yours_in : &n->mine_in;
        uint32_t *cap = yours ? &n->yours_in_cap : &n->mine_in_cap;
        uint64_t *at = native_table(n, *table, cap, f->entry, sizeof **table);
        if (!at) {
            return "no memory";
        }
        *table = at;
        at[f->entry] = f->target.actor;
        return NULL;
    }
    struct native_name *names =
        native_table(n, n->names_in, &n->names_in_cap, f->entry, sizeof *names);
    n->names_in = names ? names : n->names_in;
    bool room = names && sh_quota_take(&n->quota, f->name.n) == 0;
    uint8_t *text = room ? sh_mem_alloc(n->r->mem, f->name.n) : NULL;
    n->tables_bytes += room ? f->name.n : 0;
    if (!text) {
        return "no memory";
    }
    memcpy(text, f->name.p, f->name.n);
    struct native_name *entry = &n->names_in[f->entry];
    if (entry->text) {
        sh_mem_free(n->r->mem, entry->text, entry->n);
        sh_quota_give(&n->quota, entry->n);
        n->tables_bytes -= entry->n;
    }
    *entry = (struct native_name){text, (uint8_t)f->name.n};
    return NULL;
}

/* An actor of ours, or of the peer's, that a field names; 0: nobody. */
bool native_actor(const struct sh_frame_who *who, const uint64_t *table, uint32_t cap,
                  uint64_t *actor)
{
    bool entry = who->kind == SH_WHO_ENTRY;
    *actor = entry ? (who->entry < cap ? table[who->entry] : 0) : who->actor;
    return who->kind != SH_WHO_ENTRY || *actor != 0;
}

bool native_name_of(const struct native *n, const struct sh_frame *f, sh_span *name)
{
    *name = f->name;
    if (f->name_known) {
        *name = f->name_entry < n->names_in_cap
                    ? sh_span_of(n->names_in[f->name_entry].text, n->names_in[f->name_entry].n)
                    : f->name;
    }
    return name->n != 0;
}

/* A sender or cause: the peer's actor, or a third one that it claims. */
bool native_pid(struct native *n, const struct sh_frame_who *who, sh_pid *pid)
{
    *pid = sh_pid_none();
    if (who->kind == SH_WHO_THIRD) {
        uint8_t ref[8 + SH_PEER_ID_MAX];
        sh_store_u64le(ref, who->actor);
        memcpy(ref + 8, who->peer.p, who->peer.n);
        int err = sh_remote_pid_of_ref(n->r, sh_span_of(ref, 8 + who->peer.n), pid);
        return err != SH_E_BAD_VALUE; /* no room for another peer: nobody */
    }
    uint64_t actor;
    if (!native_actor(who, n->mine_in, n->mine_in_cap, &actor)) {
        return false;
    }
    if (actor) {
        *pid = sh_rpeer_pid(n->peer, actor);
    }
    return true;
}

void native_intern_in_reset(struct native *n)
{
    for (size_t i = 0; i < n->names_in_cap; i++) {
        if (n->names_in[i].text) {
            sh_mem_free(n->r->mem, n->names_in[i].text, n->names_in[i].n);
        }
    }
    sh_mem_free(n->r->mem, n->names_in, n->names_in_cap * sizeof *n->names_in);
    sh_mem_free(n->r->mem, n->yours_in, n->yours_in_cap * sizeof *n->yours_in);
    sh_mem_free(n->r->mem, n->mine_in, n->mine_in_cap * sizeof *n->mine_in);
    n->names_in_cap = n->yours_in_cap = n->mine_in_cap = 0;
    sh_quota_give(&n->quota, n->tables_bytes);
    n->tables_bytes = 0;
    n->names_in = NULL;
    n->yours_in = n->mine_in = NULL;
}
