/* remote/names.c - names: records written and renewed, lookups confirmed by the holders themselves. */
#include "remote/names.h"

#include "remote/internal.h"
#include "remote/names_record.h"

enum {
    RETRY_FIRST_US = 100000, /* between passes of a lookup that found nobody, doubling ... */
    RETRY_MOST_US = 1000000, /* ... to this; also the pace of follow */
    HOLDER_KEY = 8 + SH_PEER_ID_MAX
};

struct name_entry { /* registered here */
    sh_list link;
    uint64_t call; /* waits for the first echo; 0: told */
    sh_pid pid;
    uint64_t publication; /* 0: none (no DHT) */
    struct sh_remote_timer timer;
    struct sh_remote_item *result; /* reserved while call != 0 */
    uint8_t n;
    uint8_t name[SH_NAME_MAX];
};

struct name_lookup {
    sh_list link;
    uint64_t call;
    uint64_t query; /* 0: none under way */
    uint64_t deadline_us;
    uint64_t pause_us;
    sh_list gets;
    sh_map_bytes told;
    struct sh_remote_item *result;
    struct sh_remote_timer timer;
    bool all, follow;
    uint8_t n;
    uint8_t name[SH_NAME_MAX];
};

struct name_get { /* a holder is asked for its record */
    sh_list link;
    uint64_t query;
    struct name_lookup *lookup;
};

/* Values of the queries map are pointers; a get's has its low bit set. */
static uint64_t names_mark(const struct name_get *g)
{
    return sh_map_of_ptr(g) | 1u;
}

static sh_span entry_name(const struct name_entry *e)
{
    return sh_span_of(e->name, e->n);
}

void sh_names_init(sh_remote *r)
{
    struct sh_names *ns = &r->names;
    sh_list_init(&ns->registered);
    sh_list_init(&ns->lookups);
    sh_map_bytes_init(&ns->by_name, r->mem, r->seed, SH_NAMES_MAX);
    sh_map_u64_init(&ns->watched, r->mem, r->seed, SH_NAMES_MAX);
    sh_map_u64_init(&ns->published, r->mem, r->seed, SH_NAMES_MAX);
    sh_map_u64_init(&ns->queries, r->mem, r->seed, 2 * SH_LOOKUPS_MAX);
    ns->next_number = 1;
}

/* --- registered names --- */

static void entry_tell(sh_remote *r, struct name_entry *e, int code)
{
    if (e->call) {
        e->result->ev = (struct sh_remote_event){
            .kind = SH_REMOTE_RESULT, .call = e->call, .code = code, .pid = e->pid};
        sh_list_push_back(&r->items, &e->result->link);
        e->result = NULL;
        e->call = 0;
    }
    sh_wheel_cancel(&r->wheel, &e->timer.timer);
}

/* The guard's watch: its DOWN comes back through the outbox. */
static bool names_guard(sh_remote *r, enum sh_msg_kind kind, uint64_t actor)
{
    struct sh_msg_parts none = {.name = sh_span_none()};
    sh_msg *m = sh_runtime_msg_new(r->rt, kind, &none);
    if (!m) {
        return false;
    }
    m->to = sh_remote_own(r, actor);
    m->from = (sh_pid){1, SH_REMOTE_NAMES_NODE, 0};
    m->reply = sh_pid_none();
    sh_runtime_inject(r->rt, m);
    return true;
}

static void entry_drop(sh_remote *r, struct name_entry *e, bool ended)
{
    struct sh_names *ns = &r->names;
    uint64_t names = 0;
    sh_wheel_cancel(&r->wheel, &e->timer.timer);
    sh_map_bytes_del(&ns->by_name, entry_name(e), NULL);
    if (e->publication) {
        sh_map_u64_del(&ns->published, e->publication, NULL);
        sh_swarm_withdraw(r->swarm, e->publication);
    }
    if (sh_map_u64_del(&ns->watched, e->pid.actor, &names) && names > 1) {
        (void)sh_map_u64_put(&ns->watched, e->pid.actor, names - 1); /* the slot was just freed */
    } else if (names == 1 && !ended) {
        (void)names_guard(r, SH_MSG_UNWATCH,
                          e->pid.actor); /* without memory its notice finds no name later */
    }
    sh_list_remove(&e->link);
    if (e->result) {
        sh_remote_item_free(r, e->result);
    }
    sh_mem_free(r->mem, e, sizeof *e);
}

static struct name_entry *names_find(const sh_remote *r, sh_span name)
{
    uint64_t found;
    return sh_map_bytes_get(&r->names.by_name, name, &found) ? sh_map_ptr(found) : NULL;
}

/* Puts it in the tables and under guard: 0 or SH_E_LIMIT with nothing changed. */
static int entry_enter(sh_remote *r, struct name_entry *e)
{
    struct sh_names *ns = &r->names;
    uint64_t names = 0;
    sh_map_u64_get(&ns->watched, e->pid.actor, &names);
    if (sh_export_add(&r->exports, e->pid.actor) != 0 ||
        sh_map_bytes_put(&ns->by_name, entry_name(e), sh_map_of_ptr(e)) != 0) {
        return SH_E_LIMIT;
    }
    if (sh_map_u64_put(&ns->watched, e->pid.actor, names + 1) != 0) {
        sh_map_bytes_del(&ns->by_name, entry_name(e), NULL);
        return SH_E_LIMIT;
    }
    if (names == 0 && !names_guard(r, SH_MSG_WATCH, e->pid.actor)) {
        sh_map_u64_del(&ns->watched, e->pid.actor, NULL);
        sh_map_bytes_del(&ns->by_name, entry_name(e), NULL);
        return SH_E_LIMIT;
    }
    sh_list_push_back(&ns->registered, &e->link);
    return 0;
}

static int entry_publish(sh_remote *r, struct name_entry *e, sh_span type_id, uint64_t now_us)
{
    uint8_t key[SH_NAME_RECORD_KEY_MAX], value[SH_NAME_RECORD_MAX];
    uint64_t number = r->names.next_number++;
    if (sh_map_u64_put(&r->names.published, number, sh_map_of_ptr(e)) != 0) {
        return SH_E_LIMIT;
    }
    int err = sh_swarm_publish(
        r->swarm, entry_name(e), sh_name_record_key(entry_name(e), &r->self, key),
        sh_name_record_put(&r->self, e->pid.actor, type_id, value), number, now_us);
    if (err) {
        sh_map_u64_del(&r->names.published, number, NULL);
        return err;
    }
    e->publication = number;
    return 0;
}

static void names_tell_waiting(sh_remote *r, sh_span name, sh_pid pid);

static struct name_entry *entry_new(sh_remote *r, uint64_t call, sh_pid pid, sh_span name)
{
    struct name_entry *e = sh_mem_zalloc(r->mem, sizeof *e);
    struct sh_remote_item *result = e ? sh_remote_item_new(r) : NULL;
    if (!result) {
        sh_mem_free(r->mem, e, sizeof *e);
        return NULL;
    }
    e->call = call;
    e->pid = pid;
    e->result = result;
    e->timer.kind = SH_TIMER_REGISTER;
    e->n = (uint8_t)name.n;
    memcpy(e->name, name.p, name.n);
    sh_timer_init(&e->timer.timer);
    sh_list_init(&e->link);
    return e;
}

int sh_remote_register(sh_remote *r, uint64_t call, sh_pid pid, sh_span name, sh_span type_id,
                       uint64_t deadline_us, uint64_t now_us)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    if (pid.node != 0 || pid.actor == 0 || sh_pid_is_slot(pid)) {
        return SH_E_USAGE;
    }
    if (r->leaving) {
        return SH_E_CLOSED;
    }
    if (!sh_runtime_alive(r->rt, pid)) {
        return SH_E_NOT_RUNNING;
    }
    struct name_entry *old = names_find(r, name);
    if (old && old->pid.actor != pid.actor && sh_runtime_alive(r->rt, old->pid)) {
        return SH_E_NAME_TAKEN;
    }
    if (old) { /* the same again, or its holder has just died */
        entry_tell(r, old, SH_E_CANCELLED);
        entry_drop(r, old, old->pid.actor != pid.actor);
    }
    struct name_entry *e = entry_new(r, call, pid, name);
    if (!e || entry_enter(r, e) != 0) {
        if (e) {
            sh_remote_item_free(r, e->result);
            sh_mem_free(r->mem, e, sizeof *e);
        }
        return SH_E_LIMIT;
    }
    int err = entry_publish(r, e, type_id, now_us);
    if (err && err != SH_E_UNSUPPORTED) {
        entry_drop(r, e, false);
        return err == SH_E_NOMEM ? SH_E_LIMIT : err;
    }
    if (err) {
        entry_tell(r, e, 0); /* no DHT: the name is for this node */
    } else {
        sh_wheel_arm(&r->wheel, &e->timer.timer, deadline_us);
    }
    names_tell_waiting(r, name, pid);
    return 0;
}

int sh_remote_unregister(sh_remote *r, sh_pid pid, sh_span name)
{
    struct name_entry *e = names_find(r, name);
    if (!e || e->pid.actor != pid.actor || pid.node != 0) {
        return SH_E_NOT_FOUND;
    }
    entry_tell(r, e, SH_E_CANCELLED);
    entry_drop(r, e, false);
    return 0;
}

void sh_names_actor_ended(sh_remote *r, uint64_t actor)
{
    SH_LIST_FOREACH_SAFE(it, &r->names.registered)
    {
        struct name_entry *e = SH_CONTAINER(it, struct name_entry, link);
        if (e->pid.actor == actor) {
            entry_tell(r, e, SH_E_NOT_RUNNING);
            entry_drop(r, e, true);
        }
    }
}

void sh_names_withdraw_all(sh_remote *r)
{
    while (!sh_list_empty(&r->names.registered)) {
        struct name_entry *e = SH_CONTAINER(r->names.registered.next, struct name_entry, link);
        entry_tell(r, e, SH_E_CLOSED);
        entry_drop(r, e, false);
    }
}

bool sh_remote_name_row(const sh_remote *r, size_t i, sh_span *name, sh_pid *pid)
{
    SH_LIST_FOREACH(it, &r->names.registered)
    {
        const struct name_entry *e = SH_CONTAINER(it, struct name_entry, link);
        if (i-- == 0) {
            *name = entry_name(e);
            *pid = e->pid;
            return true;
        }
    }
    return false;
}

/* --- lookups --- */

static void lookup_stop_queries(sh_remote *r, struct name_lookup *l)
{
    if (l->query) {
        sh_map_u64_del(&r->names.queries, l->query, NULL);
        sh_swarm_query_cancel(r->swarm, l->query);
        l->query = 0;
    }
    while (!sh_list_empty(&l->gets)) {
        struct name_get *g = SH_CONTAINER(sh_list_pop(&l->gets), struct name_get, link);
        sh_map_u64_del(&r->names.queries, g->query, NULL);
        sh_swarm_query_cancel(r->swarm, g->query);
        sh_mem_free(r->mem, g, sizeof *g);
    }
}

static void lookup_free(sh_remote *r, struct name_lookup *l)
{
    lookup_stop_queries(r, l);
    sh_wheel_cancel(&r->wheel, &l->timer.timer);
    sh_map_bytes_fini(&l->told);
    sh_list_remove(&l->link);
    r->names.lookup_count--;
    if (l->result) {
        sh_remote_item_free(r, l->result);
    }
    sh_mem_free(r->mem, l, sizeof *l);
}

static void lookup_finish(sh_remote *r, struct name_lookup *l, int code, sh_pid pid)
{
    l->result->ev = (struct sh_remote_event){
        .kind = SH_REMOTE_RESULT, .call = l->call, .code = code, .pid = pid};
    sh_list_push_back(&r->items, &l->result->link);
    l->result = NULL;
    lookup_free(r, l);
}

/* A live holder. l is gone afterwards unless it wants all. */
static void lookup_found(sh_remote *r, struct name_lookup *l, sh_pid pid)
{
    if (!l->all) {
        lookup_finish(r, l, 0, pid);
        return;
    }
    uint8_t key[HOLDER_KEY];
    int n = sh_remote_ref_of_pid(r, pid, key, sizeof key);
    sh_span holder = sh_span_of(key, n > 0 ? (size_t)n : 0);
    if (n <= 0 || sh_map_bytes_get(&l->told, holder, NULL) ||
        sh_map_bytes_put(&l->told, holder, 1) != 0) {
        return;
    }
    struct sh_remote_event ev = {
        .kind = SH_REMOTE_RESULT, .call = l->call, .code = SH_RESULT_MORE, .pid = pid};
    if (!sh_remote_emit(r, &ev)) {
        sh_map_bytes_del(&l->told, holder, NULL); /* no memory: the next pass finds it again */
    }
}

static void lookup_pass_done(sh_remote *r, struct name_lookup *l, uint64_t now_us)
{
    bool late = l->deadline_us == 0 || now_us >= l->deadline_us;
    if (!l->follow && (late || l->told.count)) {
        lookup_finish(r, l, l->all ? 0 : SH_E_NOT_FOUND, sh_pid_none());
        return;
    }
    uint64_t next = now_us + (l->follow ? RETRY_MOST_US : l->pause_us);
    l->pause_us = l->pause_us * 2 < RETRY_MOST_US ? l->pause_us * 2 : RETRY_MOST_US;
    bool bounded = l->deadline_us != 0;
    sh_wheel_arm(&r->wheel, &l->timer.timer,
                 bounded && l->deadline_us < next ? l->deadline_us : next);
}

static void lookup_pass(sh_remote *r, struct name_lookup *l, uint64_t now_us)
{
    uint64_t number = r->names.next_number++;
    l->query = number;
    if (sh_map_u64_put(&r->names.queries, number, sh_map_of_ptr(l)) != 0 ||
        sh_swarm_find(r->swarm, sh_span_of(l->name, l->n), number, now_us) != 0) {
        sh_map_u64_del(&r->names.queries, number, NULL);
        l->query = 0;
        lookup_pass_done(r, l, now_us);
        return;
    }
    sh_wheel_arm(&r->wheel, &l->timer.timer, l->deadline_us ? l->deadline_us : UINT64_MAX);
}

static void lookup_ask_holder(sh_remote *r, struct name_lookup *l, struct sh_peer_ref peer,
                              uint64_t now_us)
{
    uint8_t key[SH_NAME_RECORD_KEY_MAX];
    const sh_peer_id *id = sh_swarm_peer_id(r->swarm, peer);
    struct name_get *g = id && peer.index ? sh_mem_zalloc(r->mem, sizeof *g) : NULL;
    if (!g) {
        return;
    }
    g->query = r->names.next_number++;
    g->lookup = l;
    sh_span meta = sh_name_record_key(sh_span_of(l->name, l->n), id, key);
    if (sh_map_u64_put(&r->names.queries, g->query, names_mark(g)) != 0 ||
        sh_swarm_get(r->swarm, peer, meta, g->query, now_us) != 0) {
        sh_map_u64_del(&r->names.queries, g->query, NULL);
        sh_mem_free(r->mem, g, sizeof *g);
        return;
    }
    sh_list_push_back(&l->gets, &g->link);
}

static void lookup_value(sh_remote *r, struct name_get *g, const struct sh_swarm_event *ev,
                         uint64_t now_us)
{
    struct name_lookup *l = g->lookup;
    const sh_peer_id *id = sh_swarm_peer_id(r->swarm, ev->peer);
    uint64_t actor = id && ev->err == 0 ? sh_name_record_actor(ev->data, id) : 0;
    sh_map_u64_del(&r->names.queries, g->query, NULL);
    sh_list_remove(&g->link);
    sh_mem_free(r->mem, g, sizeof *g);
    struct sh_rpeer *p = actor ? sh_remote_peer(r, ev->peer) : NULL;
    bool one = !l->all;
    if (p) {
        lookup_found(r, l, sh_rpeer_pid(p, actor));
        if (one) {
            return;
        }
    }
    if (l->query == 0 && sh_list_empty(&l->gets)) {
        lookup_pass_done(r, l, now_us);
    }
}

static void names_tell_waiting(sh_remote *r, sh_span name, sh_pid pid)
{
    SH_LIST_FOREACH_SAFE(it, &r->names.lookups)
    {
        struct name_lookup *l = SH_CONTAINER(it, struct name_lookup, link);
        if (sh_span_eq(sh_span_of(l->name, l->n), name)) {
            lookup_found(r, l, pid);
        }
    }
}

static struct name_lookup *lookup_new(sh_remote *r, uint64_t call, sh_span name,
                                      const struct sh_lookup_options *o)
{
    struct name_lookup *l = sh_mem_zalloc(r->mem, sizeof *l);
    struct sh_remote_item *result = l ? sh_remote_item_new(r) : NULL;
    if (!result) {
        sh_mem_free(r->mem, l, sizeof *l);
        return NULL;
    }
    l->call = call;
    l->deadline_us = o->deadline_us;
    l->pause_us = RETRY_FIRST_US;
    l->all = o->all || o->follow;
    l->follow = o->follow;
    l->result = result;
    l->timer.kind = SH_TIMER_LOOKUP;
    l->n = (uint8_t)name.n;
    memcpy(l->name, name.p, name.n);
    sh_timer_init(&l->timer.timer);
    sh_list_init(&l->gets);
    sh_map_bytes_init(&l->told, r->mem, r->seed, SH_LOOKUP_HOLDERS_MAX);
    sh_list_push_back(&r->names.lookups, &l->link);
    r->names.lookup_count++;
    return l;
}

int sh_remote_lookup(sh_remote *r, uint64_t call, sh_span name, const struct sh_lookup_options *o,
                     uint64_t now_us)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    if (r->leaving) {
        return SH_E_CLOSED;
    }
    struct name_lookup *l =
        r->names.lookup_count < SH_LOOKUPS_MAX ? lookup_new(r, call, name, o) : NULL;
    if (!l) {
        return SH_E_LIMIT;
    }
    const struct name_entry *mine = names_find(r, name);
    bool local = mine && sh_runtime_alive(r->rt, mine->pid);
    if (local) {
        lookup_found(r, l, mine->pid);
    }
    if (!local || o->all || o->follow) {
        lookup_pass(r, l, now_us);
    }
    return 0;
}

void sh_remote_cancel(sh_remote *r, uint64_t call)
{
    SH_LIST_FOREACH_SAFE(it, &r->names.lookups)
    {
        struct name_lookup *l = SH_CONTAINER(it, struct name_lookup, link);
        if (l->call == call) {
            lookup_free(r, l);
            return;
        }
    }
    SH_LIST_FOREACH(it, &r->names.registered)
    {
        struct name_entry *e = SH_CONTAINER(it, struct name_entry, link);
        if (e->call == call) {
            e->call = 0;
            sh_remote_item_free(r, e->result);
            e->result = NULL;
        }
    }
}

/* --- events and time --- */

void sh_names_swarm_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us)
{
    uint64_t found;
    bool published = ev->kind == SH_SWARM_PUBLISHED;
    if (!sh_map_u64_get(published ? &r->names.published : &r->names.queries, ev->query, &found)) {
        return; /* cancelled meanwhile */
    }
    if (published) {
        if (ev->err == 0) {
            entry_tell(r, sh_map_ptr(found), 0);
        }
    } else if (ev->kind == SH_SWARM_VALUE && (found & 1u)) {
        lookup_value(r, sh_map_ptr(found & ~UINT64_C(1)), ev, now_us);
    } else if (ev->kind == SH_SWARM_FOUND) {
        lookup_ask_holder(r, sh_map_ptr(found), ev->peer, now_us);
    } else if (ev->kind == SH_SWARM_QUERY_DONE) {
        struct name_lookup *l = sh_map_ptr(found);
        sh_map_u64_del(&r->names.queries, ev->query, NULL);
        l->query = 0;
        if (sh_list_empty(&l->gets)) {
            lookup_pass_done(r, l, now_us);
        }
    }
}

void sh_names_timer(sh_remote *r, struct sh_remote_timer *t, uint64_t now_us)
{
    if (t->kind == SH_TIMER_REGISTER) { /* goes on trying; only the waiting ends */
        entry_tell(r, SH_CONTAINER(t, struct name_entry, timer), SH_E_TIMEOUT);
        return;
    }
    struct name_lookup *l = SH_CONTAINER(t, struct name_lookup, timer);
    if (l->deadline_us && now_us >= l->deadline_us) {
        bool some = l->all;
        lookup_finish(r, l, some ? 0 : SH_E_NOT_FOUND, sh_pid_none());
    } else {
        lookup_pass(r, l, now_us);
    }
}

void sh_names_fini(sh_remote *r)
{
    while (!sh_list_empty(&r->names.lookups)) {
        lookup_free(r, SH_CONTAINER(r->names.lookups.next, struct name_lookup, link));
    }
    while (!sh_list_empty(&r->names.registered)) {
        entry_drop(r, SH_CONTAINER(r->names.registered.next, struct name_entry, link), true);
    }
    sh_map_bytes_fini(&r->names.by_name);
    sh_map_u64_fini(&r->names.watched);
    sh_map_u64_fini(&r->names.published);
    sh_map_u64_fini(&r->names.queries);
}
