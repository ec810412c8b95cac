/* actor/spawn.c - the beginning of an actor: its memory, its watchers, init, and what a failed one says. */
#include "actor/ask.h"

void sh_spawn_init(struct sh_spawn *s)
{
    *s = (struct sh_spawn){.mailbox = -1};
}

static void free_more(sh_exec *x, sh_actor *a)
{
    const sh_mem *mem = x->rt->cfg.mem;
    if (!a->more) {
        return;
    }
    sh_mem_free(mem, a->more->args, a->more->args_len);
    sh_mem_free(mem, (void *)(uintptr_t)a->more->reason_text.p, a->more->reason_text.n);
    if (a->more->spawned) {
        sh_exec_release(x, a->more->spawned);
    }
    sh_mem_free(mem, a->more, sizeof *a->more);
    a->more = NULL;
}

static int spawn_memory(sh_exec *x, sh_actor *a, const struct sh_spawn *opt)
{
    const sh_mem *mem = x->rt->cfg.mem;
    if (a->type->def.state_size) {
        a->state = sh_mem_zalloc(mem, a->type->def.state_size);
        if (!a->state) {
            return SH_E_LIMIT;
        }
    }
    if (!opt->args.n && !opt->spawned) {
        return 0;
    }
    if (!sh_actor_more(x, a)) {
        return SH_E_LIMIT;
    }
    if (opt->args.n) {
        a->more->args = sh_mem_alloc(mem, opt->args.n);
        if (!a->more->args) {
            return SH_E_LIMIT;
        }
        a->more->args_len = opt->args.n;
        memcpy(a->more->args, opt->args.p, opt->args.n);
    }
    if (opt->spawned) {
        struct sh_msg_parts none = {0};
        sh_msg *call = sh_exec_msg(x, SH_MSG_CALLBACK, sh_pid_none(), sh_pid_none(), &none);
        if (!call) {
            return SH_E_LIMIT;
        }
        call->call.fn = opt->spawned;
        call->call.ud = opt->spawned_ud;
        a->more->spawned = call;
    }
    return 0;
}

static uint32_t mailbox_limit(const sh_exec *x, const sh_type *type, int64_t wanted)
{
    int64_t limit = wanted >= 0 ? wanted : type->def.mailbox;
    limit = limit >= 0 ? limit : (int64_t)x->rt->cfg.mailbox;
    return limit == 0 || limit >= UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

void sh_actor_free(sh_exec *x, sh_actor *a)
{
    free_more(x, a);
    sh_mem_free(x->rt->cfg.mem, a->state, a->type->def.state_size);
    sh_list_remove(&a->siblings);
    sh_slab_free(&x->actors, sh_pid_slot(a->id), sh_pid_generation(a->id));
}

static int spawn_make(sh_exec *x, sh_actor *parent, const sh_type *type, const struct sh_spawn *opt,
                      sh_actor **out)
{
    uint32_t slot = 0;
    uint32_t generation = 0;
    void *object = NULL;
    if (sh_slab_alloc(&x->actors, &slot, &generation, &object)) {
        return SH_E_LIMIT;
    }
    sh_actor *a = object;
    a->type = type;
    a->id = sh_pid_actor(generation, x->index, slot);
    a->user = opt->user;
    a->limit = mailbox_limit(x, type, opt->mailbox);
    a->flags = SH_A_STARTING | ((type->def.flags & SH_TYPE_REENTRANT) ? SH_A_REENTRANT : 0);
    sh_list_init(&a->open);
    sh_list_init(&a->timers);
    sh_list_init(&a->children);
    sh_list_init(&a->siblings);
    if (sh_gates_need(&x->gates, slot) || sh_gates_need(&x->types, slot) ||
        spawn_memory(x, a, opt)) {
        sh_actor_free(x, a);
        return SH_E_LIMIT;
    }
    if (parent) {
        a->parent = parent;
        sh_list_push_back(&parent->children, &a->siblings);
    }
    /* Release: who reads this type sees the gate closed behind the slot's last owner; see sh_runtime_type_of. */
    atomic_store_explicit(sh_gates_at(&x->types, slot), (uintptr_t)type, memory_order_release);
    sh_gate_open(sh_gates_at(&x->gates, slot), generation, a->limit);
    *out = a;
    return 0;
}

static int spawn_watch(sh_exec *x, sh_actor *a, const struct sh_spawn *opt)
{
    int rc = sh_pid_is_none(opt->link) ? 0 : sh_link_watch(x, a, opt->link, true);
    if (rc || sh_pid_is_none(opt->monitor)) {
        return rc;
    }
    struct sh_msg_parts none = {0};
    sh_actor *watcher = sh_actor_at(x, opt->monitor.actor);
    if (watcher && sh_pid_is_local(x, opt->monitor)) {
        return sh_link_watch(x, watcher, sh_actor_pid(x, a), false);
    }
    sh_msg *m = sh_exec_msg(x, SH_MSG_WATCH, sh_actor_pid(x, a), opt->monitor, &none);
    if (!m) {
        return SH_E_LIMIT;
    }
    sh_exec_send(x, m);
    return 0;
}

static int spawn_check(sh_exec *x, const struct sh_spawn *opt, sh_actor **parent)
{
    sh_runtime *rt = x->rt;
    if (atomic_load_explicit(&rt->stopping, memory_order_relaxed)) {
        return SH_E_CLOSED;
    }
    if (atomic_load_explicit(&rt->actor_count, memory_order_relaxed) >= rt->cfg.actors_max) {
        return SH_E_LIMIT;
    }
    if (!*parent && !sh_pid_is_none(opt->parent)) {
        if (!sh_pid_is_local(x, opt->parent) || sh_pid_executor(opt->parent.actor) != x->index) {
            return SH_E_USAGE; /* a child lives where its parent does */
        }
        *parent = sh_actor_at(x, opt->parent.actor);
        if (!*parent) {
            return SH_E_NOT_RUNNING;
        }
    }
    return *parent && ((*parent)->flags & SH_A_CLOSING) ? SH_E_NOT_RUNNING : 0;
}

int sh_actor_call_init(sh_exec *x, sh_actor *a)
{
    if (!a->type->def.init) {
        sh_actor_init_ended(x, a, 0, sh_span_none());
        return 0;
    }
    sh_cx *cx = sh_cx_open(x, a, SH_HOOK_INIT, NULL);
    if (cx) {
        sh_cx_call_init(x, a, cx);
        return 0;
    }
    sh_actor_init_ended(x, a, SH_E_LIMIT, sh_span_str(sh_err_text(SH_E_NOMEM)));
    return SH_E_LIMIT;
}

/* What a failed spawn says, or what a held one will say. */
static void spawn_told(sh_exec *x, sh_actor *a, int code, sh_span text)
{
    if (x->last_text) {
        sh_exec_release(x, x->last_text);
        x->last_text = NULL;
    }
    if (code < 0) {
        struct sh_msg_parts parts = {.text = text};
        x->last_text = sh_exec_msg(x, SH_MSG_REPLY, sh_pid_none(), sh_pid_none(), &parts);
    }
    if (!a->more || !a->more->spawned) {
        return;
    }
    sh_msg *call = a->more->spawned;
    a->more->spawned = NULL;
    sh_msg_set_text(&x->pool, call, code < 0 ? text : sh_span_none());
    call->code = (int8_t)(code < 0 ? SH_E_HANDLER : 0);
    call->why = code < 0 ? SH_HANDLED : 0;
    call->from = code < 0 ? sh_pid_none() : sh_actor_pid(x, a);
    sh_exec_callback(x, call, sh_runtime_host(x->rt));
}

int sh_actor_spawn(sh_exec *x, sh_actor *parent, const sh_type *type, const struct sh_spawn *opt,
                   sh_pid *out)
{
    sh_actor *a = NULL;
    int rc = spawn_check(x, opt, &parent);
    rc = rc ? rc : spawn_make(x, parent, type, opt, &a);
    if (rc) {
        return rc;
    }
    atomic_fetch_add_explicit(&x->rt->actor_count, 1, memory_order_relaxed);
    *out = sh_actor_pid(x, a);
    rc = spawn_watch(x, a, opt);
    sh_msg *spawned = a->more ? a->more->spawned : NULL;
    if (spawned) {
        a->more->spawned = NULL; /* only told if init does not end here */
    }
    if (rc) {
        sh_actor_init_ended(x, a, rc, sh_span_str(sh_err_text(rc)));
    } else {
        rc = sh_actor_call_init(x, a);
        rc = !rc && (a->flags & SH_A_SILENT) ? SH_E_HANDLER : rc;
    }
    if (a->flags & SH_A_STARTING) {
        if (spawned) {
            a->more->spawned = spawned;
        }
        return 1;
    }
    if (spawned) {
        sh_exec_release(x, spawned);
    }
    if (rc) {
        a->flags |= SH_A_SILENT;
        sh_link_drop_all(x, a);
        *out = sh_pid_none();
    }
    return rc;
}

void sh_actor_init_ended(sh_exec *x, sh_actor *a, int code, sh_span text)
{
    a->flags &= (uint16_t)~SH_A_STARTING;
    bool again = a->restarts > 0;
    if (code >= 0) {
        a->flags |= SH_A_STARTED;
        if (!again) {
            spawn_told(x, a, 0, sh_span_none());
        }
        sh_actor_poke(x, a);
        return;
    }
    if (again) { /* the restart failed: try again, within the budget */
        sh_event_failed(x, sh_actor_pid(x, a), sh_span_none(), SH_E_HANDLER, text);
        sh_actor_decide(x, a, SH_RESTART_IT, SH_ERROR, text, sh_pid_none());
        return;
    }
    bool held = a->more && a->more->spawned;
    spawn_told(x, a, code, text);
    a->flags |= held ? 0 : SH_A_SILENT;
    sh_actor_die(x, a, SH_ERROR, text, sh_pid_none());
}
