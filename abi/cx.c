/* abi/cx.c - what a handler may do. */
#include <string.h>

#include "internal.h"

static sh_cx *cx_in(shoal_cx *cx)
{
    return (sh_cx *)cx; /* opaque outside; only core looks inside */
}

static sh_span text_in(const char *text)
{
    return text ? sh_span_str(text) : sh_span_none();
}

shoal_node *shoal_cx_node(shoal_cx *cx)
{
    return abi_cx_node(cx_in(cx));
}

shoal_pid shoal_cx_self(shoal_cx *cx)
{
    return abi_pid_out(sh_cx_self(cx_in(cx)));
}

shoal_pid shoal_cx_sender(shoal_cx *cx)
{
    return abi_pid_out(sh_cx_sender(cx_in(cx)));
}

void *shoal_cx_state(shoal_cx *cx)
{
    return sh_cx_state(cx_in(cx));
}

void *shoal_cx_user(shoal_cx *cx)
{
    return sh_cx_user(cx_in(cx));
}

const char *shoal_cx_name(shoal_cx *cx)
{
    static _Thread_local char room[SH_NAME_MAX + 1];
    sh_span name = sh_cx_name(cx_in(cx));
    size_t n = name.n < SH_NAME_MAX ? name.n : SH_NAME_MAX;
    if (n) {
        memcpy(room, name.p, n);
    }
    room[n] = 0;
    return room;
}

uint64_t shoal_now_us(shoal_cx *cx)
{
    return sh_cx_now_us(cx_in(cx));
}

uint64_t shoal_random_u64(shoal_cx *cx)
{
    return sh_cx_random_u64(cx_in(cx));
}

/* --- sending --- */

int shoal_cx_tell(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value)
{
    if (abi_value_is_plain(value) &&
        sh_cx_tell_fast(cx_in(cx), abi_pid_in(pid), name, abi_bytes_in(value)) == 0) {
        return 0;
    }
    shoal_node *node = abi_cx_node(cx_in(cx));
    sh_span message, content;
    int code = abi_check_message(node, "shoal_cx_tell", pid, name, value, &message, &content);
    return code < 0 ? code
                    : (int)abi_code(node, sh_cx_tell(cx_in(cx), abi_pid_in(pid), message, content));
}

int abi_then_run(sh_cx *cx, void *ud, const struct sh_result *result)
{
    struct abi_call *call = ud;
    struct abi_result out;
    abi_result_of(&out, result);
    shoal_then_fn then = call->then;
    void *then_ud = call->ud;
    abi_call_free(call);
    int code = then((shoal_cx *)cx, then_ud, &out.result);
    bool unfit = code == SHOAL_E_BAD_VALUE || code == SHOAL_E_NO_HANDLER || code == SHOAL_E_REFUSED;
    return unfit ? sh_cx_reject(cx, code, sh_span_none()) : code;
}

static int then_nothing(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)cx, (void)ud;
    return result->code < 0 ? shoal_fail(cx, result->text) : 0;
}

int abi_then_room(const sh_cx *cx, shoal_node *node, shoal_then_fn then, void *ud,
                  struct abi_call **out)
{
    *out = abi_call_new(node, sh_exec_index(sh_cx_exec(cx)), ud);
    if (!*out) {
        return (int)abi_code(node, SH_E_NOMEM);
    }
    (*out)->then = then ? then : then_nothing;
    return 0;
}

int64_t shoal_cx_ask(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value,
                     uint32_t timeout_ms, shoal_then_fn then, void *ud)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_span message, content;
    struct abi_call *call = NULL;
    if (node && abi_value_is_plain(value)) {
        uint64_t us = timeout_ms ? (uint64_t)timeout_ms * 1000 : node->ask_timeout_us;
        int code = abi_then_room(cx_in(cx), node, then, ud, &call);
        int64_t id = code < 0 ? code
                              : sh_cx_ask_fast(cx_in(cx), abi_pid_in(pid), name,
                                               abi_bytes_in(value), us, abi_then_run, call);
        if (id > 0) {
            return id;
        }
    }
    int code = abi_check_message(node, "shoal_cx_ask", pid, name, value, &message, &content);
    if (code < 0 || (!call && (code = abi_then_room(cx_in(cx), node, then, ud, &call)) < 0)) {
        if (call) {
            abi_call_free(call);
        }
        return code;
    }
    uint64_t us = timeout_ms ? (uint64_t)timeout_ms * 1000 : node->ask_timeout_us;
    int64_t id = sh_cx_ask(cx_in(cx), abi_pid_in(pid), message, content, us, abi_then_run, call);
    return abi_call_begun(node, call, id);
}

int64_t shoal_cx_lookup(shoal_cx *cx, const char *name, uint32_t timeout_ms, shoal_then_fn then,
                        void *ud)
{
    shoal_node *node = shoal_cx_node(cx);
    struct sh_msg_parts parts = {0};
    struct abi_call *call;
    int code = abi_registry_name(node, name, &parts.name);
    if (code < 0 || (code = abi_then_room(cx_in(cx), node, then, ud, &call)) < 0) {
        return code;
    }
    enum sh_node_op op = timeout_ms ? SH_NODE_OP_LOOKUP : SH_NODE_OP_LOOKUP_ONCE;
    uint64_t now_us = sh_cx_now_us(cx_in(cx));
    uint64_t until = sh_node_op_deadline(node->core, op, (uint64_t)timeout_ms * 1000, now_us);
    int64_t id =
        sh_cx_request(cx_in(cx), op, sh_pid_none(), &parts, until - now_us, abi_then_run, call);
    return abi_call_begun(node, call, id);
}

void shoal_cx_stop(shoal_cx *cx, const char *text)
{
    sh_cx_stop(cx_in(cx), text_in(text));
}

/* --- answering --- */

int shoal_reply(shoal_cx *cx, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_span content;
    int code = abi_value(node, value, &content);
    return code < 0 ? code : (int)abi_code(node, sh_cx_reply(cx_in(cx), content));
}

/* Replies what was packed; frees it. */
static int reply_packed(shoal_cx *cx, shoal_pack *p)
{
    shoal_node *node = shoal_cx_node(cx);
    int code = shoal_pack_error(p) < 0 ? (int)abi_code(node, shoal_pack_error(p))
                                       : shoal_reply(cx, shoal_packed(p));
    shoal_pack_free(p);
    return code;
}

/* Replies a number that was packed into room enough for any: it is fit, and there is nothing to free. */
static int reply_number(shoal_cx *cx, const shoal_pack *p)
{
    const shoal_node *node = abi_cx_node(cx_in(cx));
    return node ? (int)abi_code(node, sh_cx_reply(cx_in(cx), abi_bytes_in(shoal_packed(p))))
                : shoal_reply(cx, shoal_nil()); /* says why not */
}

int shoal_reply_nil(shoal_cx *cx)
{
    return shoal_reply(cx, shoal_nil());
}

int shoal_reply_i64(shoal_cx *cx, int64_t value)
{
    unsigned char room[16];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_i64(&p, value);
    return reply_number(cx, &p);
}

int shoal_reply_f64(shoal_cx *cx, double value)
{
    unsigned char room[16];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_f64(&p, value);
    return reply_number(cx, &p);
}

int shoal_reply_text(shoal_cx *cx, const char *text)
{
    unsigned char room[256];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_text(&p, text, text ? strlen(text) : 1);
    return reply_packed(cx, &p);
}

int shoal_fail(shoal_cx *cx, const char *text)
{
    return shoal_fail_with(cx, text, NULL, shoal_nil());
}

int shoal_fail_with(shoal_cx *cx, const char *text, const char *type, shoal_bytes value)
{
    sh_span content;
    if (abi_value(shoal_cx_node(cx), value, &content) < 0) {
        content = sh_span_none(); /* the failure itself must not be lost for a bad value */
    }
    return sh_cx_fail(cx_in(cx), text_in(text), text_in(type), content);
}

int shoal_defer(shoal_cx *cx, shoal_promise *promise)
{
    sh_pid address;
    int code = sh_cx_defer(cx_in(cx), &address);
    if (code < 0) {
        return (int)abi_code(shoal_cx_node(cx), code);
    }
    *promise = (shoal_promise){.reply = abi_pid_out(address)};
    return 0;
}

int shoal_forward(shoal_cx *cx, shoal_pid pid, const char *name, shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_span message = sh_span_none(), content = sh_span_none();
    int code = name ? abi_check_message(node, "shoal_forward", pid, name, value, &message, &content)
                    : abi_check_pid(node, "shoal_forward", pid);
    return code < 0
               ? code
               : (int)abi_code(node, sh_cx_forward(cx_in(cx), abi_pid_in(pid), message, content));
}

int shoal_hold(shoal_cx *cx)
{
    sh_cx_hold(cx_in(cx));
    return 0;
}

int shoal_finish(shoal_cx *cx, int code)
{
    bool unfit = code == SHOAL_E_BAD_VALUE || code == SHOAL_E_NO_HANDLER || code == SHOAL_E_REFUSED;
    sh_cx_finish(cx_in(cx), unfit ? sh_cx_reject(cx_in(cx), code, sh_span_none()) : code);
    return 0;
}

/* --- timers --- */

static int64_t timer_begin(shoal_cx *cx, bool again, uint64_t ms, const char *name,
                           shoal_bytes value)
{
    shoal_node *node = shoal_cx_node(cx);
    sh_span message, content;
    int code = abi_name(node, "message name", name, &message);
    if (code == 0) {
        code = abi_value(node, value, &content);
    }
    if (code == 0 && (ms > UINT64_MAX / 4000 || (again && ms == 0))) {
        code = abi_fail(node, SHOAL_E_BAD_VALUE, "timer: %llu ms is out of range",
                        (unsigned long long)ms);
    }
    if (code < 0) {
        return code;
    }
    int64_t id = again ? sh_cx_every(cx_in(cx), ms * 1000, message, content)
                       : sh_cx_after(cx_in(cx), ms * 1000, message, content);
    return abi_code(node, id);
}

int64_t shoal_after(shoal_cx *cx, uint64_t ms, const char *name, shoal_bytes value)
{
    return timer_begin(cx, false, ms, name, value);
}

int64_t shoal_every(shoal_cx *cx, uint64_t ms, const char *name, shoal_bytes value)
{
    return timer_begin(cx, true, ms, name, value);
}

int shoal_cancel_timer(shoal_cx *cx, int64_t timer)
{
    return (int)abi_code(shoal_cx_node(cx), sh_cx_cancel_timer(cx_in(cx), timer));
}
