/* abi/error.c - codes, their names and sentences, and the last error of each thread. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "base/err.h"
#include "base/sh_assert.h"

#define SAME_CODE(name, value, code, text)                                                         \
    SH_STATIC_ASSERT(SHOAL_E_##name == (value), "shoal.h and base/err.h agree");
SH_ERRORS(SAME_CODE)
#undef SAME_CODE

static _Thread_local struct {
    const shoal_node *node;
    char text[512];
} last;

int abi_fail(const shoal_node *node, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last.text, sizeof last.text, format, args);
    va_end(args);
    last.node = node;
    return code;
}

int64_t abi_code(const shoal_node *node, int64_t code)
{
    if (code >= 0) {
        return code;
    }
    int public_code = (int)code;
    switch (code) {
    case SH_E_NOMEM: public_code = SHOAL_E_LIMIT; break;
    case SH_E_PROTO:
    case SH_E_CRYPTO:
    case SH_E_MORE: public_code = SHOAL_E_BAD_VALUE; break;
    default: break;
    }
    const char *text = code == SH_E_NOMEM ? "out of memory" : shoal_strerror(public_code);
    return abi_fail(node, public_code, "%s", text);
}

const char *shoal_last_error(shoal_node *node)
{
    return last.node == node ? last.text : "";
}

const char *shoal_code_name(int code)
{
    if (code == SHOAL_END) {
        return "end";
    }
    return code == 0 ? "ok" : code < SHOAL_E_USAGE || code > 0 ? "unknown" : sh_err_name(code);
}

const char *shoal_strerror(int code)
{
    if (code == SHOAL_END) {
        return "no more results";
    }
    return code == 0                          ? "success"
           : code < SHOAL_E_USAGE || code > 0 ? "an unknown code"
                                              : sh_err_text(code);
}

uint32_t shoal_version(void)
{
    return (uint32_t)SHOAL_BUILD_MAJOR << 16 | (uint32_t)SHOAL_BUILD_MINOR << 8 |
           (uint32_t)SHOAL_BUILD_PATCH;
}

const char *shoal_version_string(void)
{
    return SHOAL_BUILD_VERSION;
}
