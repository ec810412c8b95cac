/* abi/object.c - values by reference, between the actors of the host's executor. SHOAL_E_UNSUPPORTED is the answer
 * a binding lives with (it packs and goes the ordinary way), so no sentence is made for it. */
#include "internal.h"

static int64_t object_code(const shoal_node *node, int64_t code)
{
    return code == SH_E_UNSUPPORTED ? SHOAL_E_UNSUPPORTED : abi_code(node, code);
}

/* Name and object are fit; *message and *core are their inner form. */
static int object_check(const shoal_node *node, const char *what, shoal_pid pid, const char *name,
                        shoal_object object, sh_span *message, sh_object *core)
{
    int code = abi_check_pid(node, what, pid);
    if (code == 0) {
        code = abi_name(node, "message name", name, message);
    }
    if (code == 0 && !object.ptr) {
        code = abi_fail(node, SHOAL_E_BAD_VALUE, "%s: the object's ptr must not be NULL", what);
    }
    *core = (sh_object){object.ptr, object.drop};
    return code;
}

int shoal_cx_tell_object(shoal_cx *cx, shoal_pid pid, const char *name, shoal_object object)
{
    sh_object core = {object.ptr, object.drop};
    if (object.ptr && sh_cx_tell_object_fast((sh_cx *)cx, abi_pid_in(pid), name, &core) == 0) {
        return 0;
    }
    shoal_node *node = shoal_cx_node(cx);
    sh_span message;
    int code = !node
                   ? abi_value(NULL, shoal_nil(), &message)
                   : object_check(node, "shoal_cx_tell_object", pid, name, object, &message, &core);
    return code < 0 ? code
                    : (int)object_code(
                          node, sh_cx_tell_object((sh_cx *)cx, abi_pid_in(pid), message, &core));
}

int64_t shoal_cx_ask_object(shoal_cx *cx, shoal_pid pid, const char *name, shoal_object object,
                            uint32_t timeout_ms, shoal_then_fn then, void *ud)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_span message;
    sh_object core;
    int code = !node
                   ? abi_value(NULL, shoal_nil(), &message)
                   : object_check(node, "shoal_cx_ask_object", pid, name, object, &message, &core);
    struct abi_call *call = NULL;
    if (code < 0 || (code = abi_then_room((sh_cx *)cx, node, then, ud, &call)) < 0) {
        return code;
    }
    uint64_t us = timeout_ms ? (uint64_t)timeout_ms * 1000 : node->ask_timeout_us;
    int64_t id =
        sh_cx_ask_object((sh_cx *)cx, abi_pid_in(pid), message, &core, us, abi_then_run, call);
    if (id == SH_E_UNSUPPORTED) {
        abi_call_free(call);
        return SHOAL_E_UNSUPPORTED;
    }
    return abi_call_begun(node, call, id);
}

int shoal_tell_object(shoal_node *node, shoal_pid pid, const char *name, shoal_object object)
{
    sh_span message;
    sh_object core = {object.ptr, object.drop};
    if (node && !node->ended && object.ptr &&
        sh_runtime_tell_object_fast(node->rt, abi_token(node), abi_pid_in(pid), name, &core) == 0) {
        return 0;
    }
    int code = object_check(node, "shoal_tell_object", pid, name, object, &message, &core);
    return code < 0
               ? code
               : (int)object_code(node, sh_runtime_tell_object(node->rt, abi_token(node),
                                                               abi_pid_in(pid), message, &core));
}

int64_t shoal_ask_object(shoal_node *node, shoal_pid pid, const char *name, shoal_object object,
                         uint32_t timeout_ms, shoal_fn done, void *ud)
{
    sh_span message;
    sh_object core;
    struct abi_call *call = NULL;
    int code = object_check(node, "shoal_ask_object", pid, name, object, &message, &core);
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    int64_t id = sh_runtime_ask_object(node->rt, abi_token(node), abi_pid_in(pid), message, &core,
                                       abi_ask_deadline_us(node, timeout_ms),
                                       call ? abi_call_done : NULL, call);
    if (id == SH_E_UNSUPPORTED) {
        if (call) {
            abi_call_free(call);
        }
        return SHOAL_E_UNSUPPORTED;
    }
    return abi_call_begun(node, call, id);
}

int shoal_reply_object(shoal_cx *cx, shoal_object object)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_object core = {object.ptr, object.drop};
    if (!node) {
        return abi_value(NULL, shoal_nil(), &(sh_span){0});
    }
    if (!object.ptr) {
        return abi_fail(node, SHOAL_E_BAD_VALUE,
                        "shoal_reply_object: the object's ptr must not be NULL");
    }
    return (int)object_code(node, sh_cx_reply_object((sh_cx *)cx, &core));
}

void *shoal_cx_object(shoal_cx *cx)
{
    return sh_cx_object((sh_cx *)cx);
}
