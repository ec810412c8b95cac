/* abi/spawn.c - spawning, from any thread onto the loop's executor or the host's. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

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
    job->code = abi_type_of(job->node, job->exec, job->type, &type);
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
