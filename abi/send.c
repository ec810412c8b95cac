/* abi/send.c - messages from outside handlers: tell, ask, drain, promises, cancel. */
#include "internal.h"

uint64_t abi_ask_deadline_us(const shoal_node *node, uint32_t timeout_ms)
{
    uint64_t us = timeout_ms ? (uint64_t)timeout_ms * 1000 : node->ask_timeout_us;
    return abi_now_us(node) + us;
}

int shoal_tell(shoal_node *node, shoal_pid pid, const char *name, shoal_bytes value)
{
    sh_span message, content;
    int code = !node ? abi_check_pid(node, "shoal_tell", pid)
                     : abi_check_message(node, "shoal_tell", pid, name, value, &message, &content);
    if (code < 0) {
        return code;
    }
    return (int)abi_code(
        node, sh_runtime_tell(node->rt, abi_token(node), abi_pid_in(pid), message, content));
}

int64_t shoal_ask(shoal_node *node, shoal_pid pid, const char *name, shoal_bytes value,
                  uint32_t timeout_ms, shoal_fn done, void *ud)
{
    sh_span message, content;
    struct abi_call *call;
    int code = !node ? abi_check_pid(node, "shoal_ask", pid)
                     : abi_check_message(node, "shoal_ask", pid, name, value, &message, &content);
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    int64_t id =
        sh_runtime_ask(node->rt, abi_token(node), abi_pid_in(pid), message, content,
                       abi_ask_deadline_us(node, timeout_ms), call ? abi_call_done : NULL, call);
    return abi_call_begun(node, call, id);
}

int64_t shoal_drain(shoal_node *node, shoal_pid pid, uint32_t timeout_ms, shoal_fn done, void *ud)
{
    struct abi_call *call;
    int code = abi_check_pid(node, "shoal_drain", pid);
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    int64_t id =
        sh_runtime_drain(node->rt, abi_token(node), abi_pid_in(pid),
                         abi_ask_deadline_us(node, timeout_ms), call ? abi_call_done : NULL, call);
    return abi_call_begun(node, call, id);
}

int shoal_cancel(shoal_node *node, int64_t call)
{
    int code = abi_check_node(node, "shoal_cancel");
    if (code < 0) {
        return code;
    }
    return (int)abi_code(node, sh_runtime_cancel(node->rt, abi_token(node), call));
}

static sh_pid promise_address(shoal_promise promise)
{
    return abi_pid_in(promise.reply);
}

int shoal_promise_reply(shoal_node *node, shoal_promise promise, shoal_bytes value)
{
    struct sh_result result = {0};
    int code = abi_check_node(node, "shoal_promise_reply");
    if (code == 0) {
        code = abi_value(node, value, &result.value);
    }
    if (code < 0) {
        return code;
    }
    return (int)abi_code(
        node, sh_runtime_reply(node->rt, abi_token(node), promise_address(promise), &result));
}

int shoal_promise_fail(shoal_node *node, shoal_promise promise, const char *text)
{
    int code = abi_check_node(node, "shoal_promise_fail");
    if (code < 0) {
        return code;
    }
    struct sh_result result = {.code = SH_E_HANDLER,
                               .delivery = SH_HANDLED,
                               .text = sh_span_str(text && *text ? text : "the handler failed")};
    return (int)abi_code(
        node, sh_runtime_reply(node->rt, abi_token(node), promise_address(promise), &result));
}
