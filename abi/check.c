/* abi/check.c - arguments: what is wrong is said, with what was expected. */
#include <inttypes.h>
#include <string.h>

#include "internal.h"
#include "base/mp.h"
#include "base/text.h"
#include "remote/remote.h"

/* strlen that stops at most: what comes from a caller may be anything. */
static size_t text_length(const char *text, size_t most)
{
    const char *end = memchr(text, 0, most);
    return end ? (size_t)(end - text) : most;
}

int abi_name(const shoal_node *node, const char *what, const char *text, sh_span *out)
{
    size_t n = text ? text_length(text, SH_NAME_MAX + 1) : 0;
    if (n == 0) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "%s is empty: expected 1..%d bytes of UTF-8", what,
                        SH_NAME_MAX);
    }
    if (n > SH_NAME_MAX) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "%s is longer than %d bytes", what, SH_NAME_MAX);
    }
    *out = (sh_span){(const uint8_t *)text, n};
    if (!sh_utf8_valid(*out)) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "%s is not valid UTF-8", what);
    }
    return 0;
}

int abi_registry_name(const shoal_node *node, const char *text, sh_span *out)
{
    int code = abi_name(node, "name", text, out);
    const char *fault = code < 0 ? NULL : sh_remote_name_fault(*out);
    return fault ? abi_fail(node, SHOAL_E_BAD_VALUE, "name \"%s\" %s", text, fault) : code;
}

int abi_value(const shoal_node *node, shoal_bytes value, sh_span *out)
{
    *out = abi_bytes_in(value);
    if (!node) {
        return abi_fail(NULL, SHOAL_E_CLOSED, "the actor of this message has ended");
    }
    if (!value.len) {
        *out = sh_span_none();
        return 0;
    }
    if (!value.data) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "value has a length and no data");
    }
    if (value.len > node->max_message) {
        return abi_fail(node, SHOAL_E_LIMIT, "value has %zu bytes: max_message is %" PRIu32,
                        value.len, node->max_message);
    }
    size_t bad_at = 0;
    if (sh_mp_check(*out, SH_MP_DEPTH_MAX, &bad_at) < 0) {
        return abi_fail(
            node, SHOAL_E_BAD_VALUE,
            "value is not one MessagePack value at most %d deep: wrong at byte %zu of %zu",
            SH_MP_DEPTH_MAX, bad_at, value.len);
    }
    return 0;
}

int abi_check_node(const shoal_node *node, const char *what)
{
    if (!node) {
        return abi_fail(node, SHOAL_E_USAGE, "%s: node must not be NULL", what);
    }
    return node->ended ? abi_fail(node, SHOAL_E_CLOSED, "%s: the node has ended", what) : 0;
}

int abi_check_pid(const shoal_node *node, const char *what, shoal_pid pid)
{
    if (!node || node->ended) {
        return abi_check_node(node, what);
    }
    return pid.actor ? 0 : abi_fail(node, SHOAL_E_NOT_RUNNING, "%s: the pid names nobody", what);
}

int abi_check_message(const shoal_node *node, const char *what, shoal_pid pid, const char *name,
                      shoal_bytes value, sh_span *name_out, sh_span *value_out)
{
    if (!node) {
        return abi_fail(NULL, SHOAL_E_CLOSED, "%s: the actor of this message has ended", what);
    }
    int code = abi_check_pid(node, what, pid);
    if (code == 0) {
        code = abi_name(node, "message name", name, name_out);
    }
    return code == 0 ? abi_value(node, value, value_out) : code;
}
