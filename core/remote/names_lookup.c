/* remote/names_lookup.c - who has a name: searched in passes, each holder found confirmed by its own record.
 *
 * A query finds holders; each is asked for its record; what it names is told. Nobody found, or all wanted: another pass
 * after a pause, until the deadline. */
#include "remote/internal.h"
#include "remote/names_record.h"

enum {
    RETRY_FIRST_US = 100000, /* between passes of a lookup that found nobody, doubling ... */
    RETRY_MOST_US = 1000000, /* ... to this; also the pace of follow */
    HOLDER_KEY = 8 + SH_PEER_ID_MAX
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

/* --- beginning and end --- */

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

/* --- a pass --- */

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

/* --- calls, events and time --- */

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
    sh_pid mine;
    bool local = sh_names_here(r, name, &mine);
    if (local) {
        lookup_found(r, l, mine);
    }
    if (!local || o->all || o->follow) {
        lookup_pass(r, l, now_us);
    }
    return 0;
}

void sh_names_lookup_told(sh_remote *r, sh_span name, sh_pid pid)
{
    SH_LIST_FOREACH_SAFE(it, &r->names.lookups)
    {
        struct name_lookup *l = SH_CONTAINER(it, struct name_lookup, link);
        if (sh_span_eq(sh_span_of(l->name, l->n), name)) {
            lookup_found(r, l, pid);
        }
    }
}

bool sh_names_lookup_cancel(sh_remote *r, uint64_t call)
{
    SH_LIST_FOREACH_SAFE(it, &r->names.lookups)
    {
        struct name_lookup *l = SH_CONTAINER(it, struct name_lookup, link);
        if (l->call == call) {
            lookup_free(r, l);
            return true;
        }
    }
    return false;
}

void sh_names_lookup_event(sh_remote *r, uint64_t found, const struct sh_swarm_event *ev,
                           uint64_t now_us)
{
    if (ev->kind == SH_SWARM_VALUE && (found & 1u)) {
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

void sh_names_lookup_timer(sh_remote *r, struct sh_remote_timer *t, uint64_t now_us)
{
    struct name_lookup *l = SH_CONTAINER(t, struct name_lookup, timer);
    if (l->deadline_us && now_us >= l->deadline_us) {
        bool some = l->all;
        lookup_finish(r, l, some ? 0 : SH_E_NOT_FOUND, sh_pid_none());
    } else {
        lookup_pass(r, l, now_us);
    }
}

void sh_names_lookups_fini(sh_remote *r)
{
    while (!sh_list_empty(&r->names.lookups)) {
        lookup_free(r, SH_CONTAINER(r->names.lookups.next, struct name_lookup, link));
    }
}
