/* abi/actor.c - actor types as the runtime wants them, spawning, ends and links. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* --- hooks: core's form to the public one --- */

static shoal_cx *cx_out(sh_cx *cx)
{
    return (shoal_cx *)cx; /* opaque outside; only core looks inside */
}

/* A message that does not fit is told apart from a handler that failed. */
static int handler_code(sh_cx *cx, int code)
{
    bool unfit = code < 0 && (code == SHOAL_E_BAD_VALUE || code == SHOAL_E_NO_HANDLER ||
                              code == SHOAL_E_REFUSED);
    return unfit ? sh_cx_reject(cx, code, sh_span_none()) : code;
}

static const char *name_out(char room[SH_NAME_MAX + 1], sh_span name)
{
    memcpy(room, name.p, name.n);
    room[name.n] = 0;
    return room;
}

static int hook_init(void *ud, sh_cx *cx, void *state, sh_span args, void *user)
{
    (void)user;
    const struct abi_type *t = ud;
    return t->def.init(cx_out(cx), state, abi_bytes_out(args));
}

static int hook_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    const struct abi_type *t = ud;
    if (index >= 0) {
        return handler_code(cx, t->def.handlers[index].fn(cx_out(cx), state, abi_bytes_out(value)));
    }
    char room[SH_NAME_MAX + 1];
    return handler_code(
        cx, t->def.on_message(cx_out(cx), state, name_out(room, name), abi_bytes_out(value)));
}

static void hook_on_stop(void *ud, sh_cx *cx, void *state, const struct sh_reason *reason)
{
    const struct abi_type *t = ud;
    char text[SH_TEXT_MAX + 1];
    shoal_reason out;
    abi_reason_of(&out, text, reason);
    t->def.on_stop(cx_out(cx), state, &out);
}

static int hook_on_error(void *ud, sh_cx *cx, void *state, const struct sh_result *error)
{
    const struct abi_type *t = ud;
    struct abi_result out;
    abi_result_of(&out, error);
    return t->def.on_error(cx_out(cx), state, &out.result);
}

static int hook_on_down(void *ud, sh_cx *cx, void *state, sh_pid dead,
                        const struct sh_reason *reason, unsigned flags)
{
    (void)flags;
    const struct abi_type *t = ud;
    char text[SH_TEXT_MAX + 1];
    shoal_reason out;
    abi_reason_of(&out, text, reason);
    return t->def.on_down(cx_out(cx), state, abi_pid_out(dead), &out);
}

static void hook_on_undelivered(void *ud, sh_cx *cx, void *state, sh_span name, sh_span value)
{
    const struct abi_type *t = ud;
    char room[SH_NAME_MAX + 1];
    t->def.on_undelivered(cx_out(cx), state, name_out(room, name), abi_bytes_out(value));
}

/* --- types --- */

static int type_check(const shoal_node *node, const shoal_actor_type *def,
                      const shoal_actor_type *given)
{
    sh_span name;
    if (given->struct_size < offsetof(shoal_actor_type, init) || given->struct_size > 4096) {
        return abi_fail(node, SHOAL_E_BAD_VALUE,
                        "actor type: struct_size is %u, expected sizeof(shoal_actor_type)",
                        given->struct_size);
    }
    if (def->flags & ~(uint32_t)SHOAL_REENTRANT || def->reserved) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "actor type: unknown flags %#x", def->flags);
    }
    int code = abi_name(node, "actor type: id", def->id, &name);
    for (size_t i = 0; i < def->handler_count && code == 0; i++) {
        code = abi_name(node, "actor type: handler name", def->handlers[i].name, &name);
        if (code == 0 && !def->handlers[i].fn) {
            code = abi_fail(node, SHOAL_E_BAD_VALUE, "actor type %s: handler %s has no function",
                            def->id, def->handlers[i].name);
        }
    }
    return code;
}

/* The runtime's form of def; names is room for the handlers' names. */
static struct sh_actor_type type_form(struct abi_type *t, sh_span *names)
{
    const shoal_actor_type *def = &t->def;
    for (size_t i = 0; i < def->handler_count; i++) {
        names[i] = sh_span_str(def->handlers[i].name);
    }
    return (struct sh_actor_type){
        .id = sh_span_str(def->id),
        .ud = t,
        .state_size = def->state_size,
        .names = names,
        .name_count = def->handler_count,
        .flags = (def->flags & SHOAL_REENTRANT) ? SH_TYPE_REENTRANT : 0,
        .mailbox = def->mailbox == 0            ? -1
                   : def->mailbox == UINT32_MAX ? 0
                                                : (int64_t)def->mailbox,
        .init = def->init ? hook_init : NULL,
        .handle = hook_handle,
        .takes_any = def->on_message != NULL,
        .on_stop = def->on_stop ? hook_on_stop : NULL,
        .on_error = def->on_error ? hook_on_error : NULL,
        .on_down = def->on_down ? hook_on_down : NULL,
        .on_undelivered = def->on_undelivered ? hook_on_undelivered : NULL,
    };
}

static int type_make(shoal_node *node, const shoal_actor_type *key, struct abi_type **out)
{
    struct abi_type *t = sh_mem_zalloc(&node->mem, sizeof *t);
    if (!t) {
        return (int)abi_code(node, SH_E_NOMEM);
    }
    t->key = key;
    t->node = node;
    memcpy(&t->def, key, key->struct_size < sizeof t->def ? key->struct_size : sizeof t->def);
    int code = type_check(node, &t->def, key);
    size_t count = t->def.handler_count;
    sh_span *names = code == 0 && count ? sh_mem_array(&node->mem, count, sizeof *names) : NULL;
    if (code == 0 && count && !names) {
        code = (int)abi_code(node, SH_E_NOMEM);
    }
    if (code == 0) {
        struct sh_actor_type form = type_form(t, names);
        code = (int)abi_code(node, sh_runtime_type(node->rt, &form, &t->type));
    }
    if (names) {
        sh_mem_free(&node->mem, names, count * sizeof *names);
    }
    if (code < 0) {
        sh_mem_free(&node->mem, t, sizeof *t);
        return code;
    }
    *out = t;
    return 0;
}

/* [exec] The type as executor `exec` has it. */
static int type_of(shoal_node *node, unsigned exec, const shoal_actor_type *key,
                   struct abi_type **out)
{
    for (struct abi_type *t = node->types[exec]; t; t = t->next) {
        if (t->key == key) {
            *out = t;
            return 0;
        }
    }
    int code = type_make(node, key, out);
    if (code == 0) {
        (*out)->next = node->types[exec];
        node->types[exec] = *out;
    }
    return code;
}

void abi_types_fini(shoal_node *node)
{
    for (unsigned i = 0; i < SH_RUNTIME_EXECS_MAX; i++) {
        while (node->types[i]) {
            struct abi_type *t = node->types[i];
            node->types[i] = t->next;
            sh_mem_free(&node->mem, t, sizeof *t);
        }
    }
}

/* --- spawning --- */

struct spawn_job {
    shoal_node *node;
    const shoal_actor_type *type;
    struct sh_spawn opt;
    unsigned exec;
    int code;
    sh_pid pid;
    char text[SH_TEXT_MAX + 1]; /* why init failed */
    int done;                   /* ends a wait from another thread: released after all above */
};

static int spawn_options(shoal_node *node, const shoal_spawn_options *given, struct spawn_job *job)
{
    shoal_spawn_options o = {0};
    sh_spawn_init(&job->opt);
    if (!given) {
        return 0;
    }
    if (given->struct_size < offsetof(shoal_spawn_options, args) || given->struct_size > 4096) {
        return abi_fail(node, SHOAL_E_BAD_VALUE,
                        "spawn options: struct_size is %u, expected sizeof(shoal_spawn_options)",
                        given->struct_size);
    }
    memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
    if (o.flags & ~(uint32_t)SHOAL_ON_HOST) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "spawn options: unknown flags %#x", o.flags);
    }
    job->exec = o.flags & SHOAL_ON_HOST ? sh_runtime_host(node->rt) : SH_NODE_LOOP;
    job->opt.user = o.user;
    job->opt.parent = abi_pid_in(o.parent);
    job->opt.link = abi_pid_in(o.link);
    job->opt.monitor = abi_pid_in(o.monitor);
    job->opt.mailbox = o.mailbox == 0 ? -1 : o.mailbox == UINT32_MAX ? 0 : (int64_t)o.mailbox;
    return abi_value(node, o.args, &job->opt.args);
}

/* [exec] */
static void spawn_inside(struct spawn_job *job)
{
    struct abi_type *type = NULL;
    job->code = type_of(job->node, job->exec, job->type, &type);
    if (job->code < 0) {
        snprintf(job->text, sizeof job->text, "%s", shoal_last_error(job->node));
        return;
    }
    job->code = sh_runtime_spawn(job->node->rt, abi_token(job->node), job->exec, type->type,
                                 &job->opt, &job->pid);
    if (job->code < 0) {
        sh_span text = sh_exec_last_text(sh_runtime_exec(job->node->rt, job->exec));
        text = sh_span_take(text, SH_TEXT_MAX);
        if (text.n) {
            memcpy(job->text, text.p, text.n);
        }
        job->text[text.n] = 0;
    }
}

static void spawn_as_loop(void *ud, sh_node *n, uint64_t now_us)
{
    (void)n, (void)now_us;
    spawn_inside(ud);
}

static void spawn_as_host(void *ud, const struct sh_result *result)
{
    struct spawn_job *job = ud;
    if (result && result->code < 0) {
        job->code = result->code; /* the node ends */
    } else {
        spawn_inside(job);
    }
    __atomic_store_n(&job->done, 1, __ATOMIC_RELEASE); /* pairs with spawn_done */
}

static bool spawn_done(void *ud)
{
    struct spawn_job *job = ud;
    return __atomic_load_n(&job->done, __ATOMIC_ACQUIRE) != 0;
}

/* Onto the host executor, from a thread that is not inside it. */
static int spawn_on_host(struct spawn_job *job)
{
    shoal_node *node = job->node;
    uint64_t token = abi_token(node);
    sh_exec *exec = sh_runtime_exec(node->rt, job->exec);
    if (sh_exec_inside(sh_runtime_exec(node->rt, SH_NODE_LOOP), token)) {
        return abi_fail(node, SHOAL_E_USAGE,
                        "spawn: the node's own thread cannot wait for the host's executor");
    }
    if (sh_exec_enter(exec, token)) {
        spawn_inside(job);
        sh_exec_hand_back(exec, token);
        return 0;
    }
    int code = sh_runtime_call(node->rt, token, job->exec, spawn_as_host, job, NULL);
    while (code == 0 && !spawn_done(job)) {
        code = node->ops->wait(node->driver, spawn_done, job);
    }
    return (int)abi_code(node, code);
}

int shoal_spawn(shoal_node *node, const shoal_actor_type *type, const shoal_spawn_options *options,
                shoal_pid *pid)
{
    if (!node || !type || !pid) {
        return abi_fail(node, SHOAL_E_USAGE, "shoal_spawn: node, type and pid must not be NULL");
    }
    struct spawn_job job; /* not zeroed as a whole: its text is long */
    job.node = node;
    job.type = type;
    job.exec = SH_NODE_LOOP;
    job.code = 0;
    job.pid = sh_pid_none();
    job.text[0] = 0;
    job.done = 0;
    *pid = (shoal_pid){0};
    int code = abi_check_node(node, "shoal_spawn");
    if (code < 0 || (code = spawn_options(node, options, &job)) < 0) {
        return code;
    }
    sh_exec *exec = sh_runtime_exec(node->rt, job.exec);
    uint64_t token = abi_token(node);
    if (sh_exec_inside(exec, token)) {
        spawn_inside(&job);
    } else if (job.exec == SH_NODE_LOOP && node->ops->may_enter(node->driver) &&
               sh_exec_enter(exec, token)) {
        spawn_inside(&job);
        sh_exec_hand_back(exec, token);
    } else if (job.exec == SH_NODE_LOOP) {
        code = (int)abi_code(node, abi_inside(node, spawn_as_loop, &job));
    } else {
        code = spawn_on_host(&job);
    }
    if (code < 0) {
        return code;
    }
    if (job.code < 0) {
        abi_code(node, job.code);
        return abi_fail(node, job.code == SH_E_NOMEM ? SHOAL_E_LIMIT : job.code, "%s",
                        *job.text ? job.text : shoal_strerror(job.code));
    }
    *pid = abi_pid_out(job.pid);
    return 0;
}

/* --- ends --- */

/* A far actor is stopped by its node, if we are its admin: an order, then a wait for the end. */
struct far_stop {
    shoal_node *node;
    struct abi_call *call; /* NULL: nobody waits */
    sh_pid pid;
};

static void far_stop_ordered(void *ud, const struct sh_result *result)
{
    struct far_stop job = *(struct far_stop *)ud;
    struct sh_result closed = {.code = SH_E_CLOSED, .delivery = SH_UNKNOWN};
    sh_mem_free(&job.node->mem, ud, sizeof job);
    int64_t id = 0;
    result = result ? result : &closed;
    if (result->code == 0 && job.call) {
        id = sh_runtime_done(job.node->rt, abi_token(job.node), job.pid, abi_call_done, job.call);
    }
    if (job.call && (result->code < 0 || id < 0)) {
        struct sh_result failed = {.code = (int)id, .delivery = SH_UNKNOWN};
        abi_call_done(job.call, result->code < 0 ? result : &failed);
    }
}

static int64_t far_stop(shoal_node *node, sh_pid pid, struct abi_call *call)
{
    struct far_stop *job = sh_mem_alloc(&node->mem, sizeof *job);
    if (!job) {
        return SH_E_NOMEM;
    }
    *job = (struct far_stop){node, call, pid};
    sh_pid far = {0, pid.node, pid.check}; /* actor 0: the node itself */
    unsigned char room[32];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_list(&p, 2);
    shoal_put_u64(&p, pid.actor);
    shoal_put_text(&p, "", 0);
    uint64_t until = abi_now_us(node) + node->ask_timeout_us;
    int64_t id = sh_runtime_ask(node->rt, abi_token(node), far, sh_span_str("stop"),
                                abi_bytes_in(shoal_packed(&p)), until, far_stop_ordered, job);
    shoal_pack_free(&p);
    if (id < 0) {
        sh_mem_free(&node->mem, job, sizeof *job);
    }
    return id;
}

int64_t shoal_stop(shoal_node *node, shoal_pid pid, shoal_fn done, void *ud)
{
    struct abi_call *call;
    int code = abi_check_pid(node, "shoal_stop", pid);
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    int64_t id = pid.node ? far_stop(node, abi_pid_in(pid), call)
                          : sh_runtime_stop(node->rt, abi_token(node), abi_pid_in(pid),
                                            sh_span_none(), call ? abi_call_done : NULL, call);
    return abi_call_begun(node, call, id);
}

int shoal_kill(shoal_node *node, shoal_pid pid)
{
    int code = abi_check_pid(node, "shoal_kill", pid);
    if (code < 0) {
        return code;
    }
    return (int)abi_code(
        node, sh_runtime_kill(node->rt, abi_token(node), abi_pid_in(pid), sh_span_none()));
}

int64_t shoal_done(shoal_node *node, shoal_pid pid, shoal_fn done, void *ud)
{
    struct abi_call *call;
    int code = abi_check_pid(node, "shoal_done", pid);
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    int64_t id = sh_runtime_done(node->rt, abi_token(node), abi_pid_in(pid),
                                 call ? abi_call_done : NULL, call);
    return abi_call_begun(node, call, id);
}

/* a of link, monitor, unlink: of this node. */
static int check_own(const shoal_node *node, const char *what, shoal_pid a, shoal_pid b)
{
    int code = abi_check_pid(node, what, a);
    if (code == 0 && a.node != 0) {
        code = abi_fail(node, SHOAL_E_USAGE, "%s: the first actor is not of this node", what);
    }
    return code == 0 ? abi_check_pid(node, what, b) : code;
}

int shoal_link(shoal_node *node, shoal_pid a, shoal_pid b)
{
    int code = check_own(node, "shoal_link", a, b);
    return code < 0 ? code
                    : (int)abi_code(node, sh_runtime_link(node->rt, abi_token(node), abi_pid_in(a),
                                                          abi_pid_in(b)));
}

int shoal_monitor(shoal_node *node, shoal_pid watcher, shoal_pid watched)
{
    int code = check_own(node, "shoal_monitor", watcher, watched);
    return code < 0
               ? code
               : (int)abi_code(node, sh_runtime_monitor(node->rt, abi_token(node),
                                                        abi_pid_in(watcher), abi_pid_in(watched)));
}

int shoal_unlink(shoal_node *node, shoal_pid a, shoal_pid b)
{
    int code = check_own(node, "shoal_unlink", a, b);
    return code < 0 ? code
                    : (int)abi_code(node, sh_runtime_unlink(node->rt, abi_token(node),
                                                            abi_pid_in(a), abi_pid_in(b)));
}

bool shoal_pid_equal(shoal_pid a, shoal_pid b)
{
    return a.actor == b.actor && a.node == b.node && a.check == b.check;
}
