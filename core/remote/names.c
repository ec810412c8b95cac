/* remote/names.c - names registered at this node: entered, published, guarded until their actor ends, withdrawn. */
#include "remote/names.h"

#include "remote/internal.h"
#include "remote/names_record.h"

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

bool sh_names_here(const sh_remote *r, sh_span name, sh_pid *pid)
{
    const struct name_entry *e = names_find(r, name);
    *pid = e ? e->pid : sh_pid_none();
    return e && sh_runtime_alive(r->rt, e->pid);
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
    sh_names_lookup_told(r, name, pid);
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

void sh_remote_cancel(sh_remote *r, uint64_t call)
{
    if (sh_names_lookup_cancel(r, call)) {
        return;
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
    } else {
        sh_names_lookup_event(r, found, ev, now_us);
    }
}

void sh_names_timer(sh_remote *r, struct sh_remote_timer *t, uint64_t now_us)
{
    if (t->kind == SH_TIMER_REGISTER) { /* goes on trying; only the waiting ends */
        entry_tell(r, SH_CONTAINER(t, struct name_entry, timer), SH_E_TIMEOUT);
        return;
    }
    sh_names_lookup_timer(r, t, now_us);
}

void sh_names_fini(sh_remote *r)
{
    sh_names_lookups_fini(r);
    while (!sh_list_empty(&r->names.registered)) {
        entry_drop(r, SH_CONTAINER(r->names.registered.next, struct name_entry, link), true);
    }
    sh_map_bytes_fini(&r->names.by_name);
    sh_map_u64_fini(&r->names.watched);
    sh_map_u64_fini(&r->names.published);
    sh_map_u64_fini(&r->names.queries);
}
