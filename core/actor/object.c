/* actor/object.c - values by reference: between actors of the host's executor, never across one.
 *
 * Invariant: an object is its sender's until the call returned well; then either its ptr is taken, once, or the
 * end of its message makes that message a callback of this executor, which drops it: user code runs there only. */
#include "actor/outside.h"

bool sh_object_here(const sh_exec *x, sh_pid to)
{
    return x->index == sh_runtime_host(x->rt) && sh_pid_is_local(x, to) &&
           sh_pid_executor(to.actor) == x->index;
}

static void *object_take(sh_object *object)
{
    void *ptr = object ? object->ptr : NULL;
    if (ptr) {
        object->ptr = NULL;
    }
    return ptr;
}

static void object_drop(void *ud, const struct sh_result *result)
{
    (void)result;
    sh_object *object = ud;
    object->drop(object_take(object));
}

void sh_object_release(sh_exec *x, sh_msg *m)
{
    if (!m->object.ptr || !m->object.drop) {
        m->flags &= (uint8_t)~SH_MSG_OWNED;
        if (sh_msg_is_simple(&x->pool, m)) {
            sh_msg_give(&x->pool, m);
        } else {
            sh_exec_release(x, m);
        }
        return;
    }
    m->call.fn = object_drop;
    m->call.ud = &m->object;
    m->tag = 0;
    sh_exec_callback(x, m, x->index);
}

int sh_cx_tell_object(sh_cx *cx, sh_pid to, sh_span name, const sh_object *object)
{
    if (!cx->a) {
        return SH_E_CLOSED;
    }
    if (!sh_object_here(cx->x, to)) {
        return SH_E_UNSUPPORTED;
    }
    struct sh_msg_parts parts = {.name = name, .object = object};
    return sh_post_tell(cx->x, to, sh_actor_pid(cx->x, cx->a), &parts);
}

int64_t sh_cx_ask_object(sh_cx *cx, sh_pid to, sh_span name, const sh_object *object, uint64_t us,
                         sh_then_fn *then, void *ud)
{
    if (!sh_cx_may_wait(cx)) {
        return cx->a ? SH_E_USAGE : SH_E_CLOSED;
    }
    if (!sh_object_here(cx->x, to)) {
        return SH_E_UNSUPPORTED;
    }
    struct sh_waiter w = {.cx = cx, .then = then, .ud = ud};
    struct sh_msg_parts parts = {.name = name, .object = object};
    return sh_ask_begin(cx->x, &w, to, sh_actor_pid(cx->x, cx->a), &parts, sh_cx_deadline(cx, us));
}

int sh_cx_reply_object(sh_cx *cx, const sh_object *object)
{
    sh_exec *x = cx->x;
    sh_pid to = cx->reply;
    if (!cx->a || cx->hook != SH_HOOK_HANDLE || (cx->flags & SH_CX_REPLIED)) {
        return SH_E_USAGE;
    }
    bool here = x->index == sh_runtime_host(x->rt) && sh_pid_is_slot(to) &&
                (sh_pid_executor(to.actor) & 0x7fu) == x->index;
    if (!sh_pid_is_none(to) && !here) {
        return SH_E_UNSUPPORTED;
    }
    if (sh_pid_is_none(to)) { /* a tell, or who asked has gone */
        if (object->drop) {
            object->drop(object->ptr);
        }
    } else {
        struct sh_msg_parts parts = {.object = object};
        sh_msg *m = sh_exec_msg(x, SH_MSG_REPLY, to, sh_pid_none(), &parts);
        if (!m) {
            return SH_E_LIMIT;
        }
        sh_exec_send(x, m);
    }
    cx->flags |= SH_CX_REPLIED;
    return 0;
}

void *sh_cx_object(sh_cx *cx)
{
    return cx->m ? object_take(sh_msg_object(cx->m)) : NULL;
}

void *sh_result_object(const struct sh_result *result)
{
    return result->carrier ? object_take(sh_msg_object(result->carrier)) : NULL;
}

/* --- from outside handlers --- */

/* The host executor, if the caller is in it or can enter it now. */
static struct sh_place place_host(sh_runtime *rt, uint64_t token, sh_pid to)
{
    struct sh_place p = sh_place_take(rt, token, sh_runtime_host(rt));
    if (p.x && !sh_object_here(p.x, to)) {
        sh_place_give(p, token);
        p.x = NULL;
    }
    return p;
}

int sh_runtime_tell_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                           const sh_object *object)
{
    struct sh_msg_parts parts = {.name = name, .object = object};
    struct sh_place p = place_host(rt, token, to);
    if (!p.x) {
        return SH_E_UNSUPPORTED;
    }
    int rc = sh_post_tell(p.x, to, sh_pid_none(), &parts);
    sh_place_give(p, token);
    return rc;
}

int sh_runtime_tell_object_fast(sh_runtime *rt, uint64_t token, sh_pid to, const char *name,
                                const sh_object *object)
{
    struct sh_place p = sh_place_take(rt, token, sh_runtime_host(rt));
    if (!p.x) {
        return SH_E_MORE;
    }
    int rc = sh_tell_object_fast(p.x, to, sh_pid_none(), name, object);
    sh_place_give(p, token);
    return rc;
}

int64_t sh_runtime_ask_object(sh_runtime *rt, uint64_t token, sh_pid to, sh_span name,
                              const sh_object *object, uint64_t deadline_us, sh_call_fn *done,
                              void *ud)
{
    struct sh_msg_parts parts = {.name = name, .object = object};
    struct sh_waiter w = {.done = done, .ud = ud};
    struct sh_place p = rt->ended ? (struct sh_place){NULL, false} : place_host(rt, token, to);
    if (!p.x) {
        return rt->ended ? SH_E_CLOSED : SH_E_UNSUPPORTED;
    }
    int64_t rc = sh_ask_begin(p.x, &w, to, sh_pid_none(), &parts, deadline_us);
    sh_place_give(p, token);
    return rc;
}
