/* abi/actor.c - what one does to an actor besides sending: stop, kill, wait for its end, link, monitor. */
#include "internal.h"

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
