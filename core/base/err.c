/* base/err.c - names and texts of the error codes, made from the list in err.h. */
#include "base/err.h"

#include <stddef.h>

struct err_row {
    int code;
    const char *name;
    const char *text;
};

#define ERR_ROW(name, value, code, text) {(value), (code), (text)},
static const struct err_row err_rows[] = {SH_ERRORS(ERR_ROW) SH_ERRORS_CORE(ERR_ROW)};
#undef ERR_ROW

static const struct err_row *err_find(int code)
{
    for (size_t i = 0; i < sizeof err_rows / sizeof err_rows[0]; i++) {
        if (err_rows[i].code == code) {
            return &err_rows[i];
        }
    }
    return NULL;
}

const char *sh_err_name(int code)
{
    const struct err_row *row = err_find(code);
    if (code >= 0) {
        return "ok";
    }
    return row ? row->name : "unknown";
}

const char *sh_err_text(int code)
{
    const struct err_row *row = err_find(code);
    if (code >= 0) {
        return "success";
    }
    return row ? row->text : "unknown error";
}

const char *sh_reason_name(int kind)
{
    static const char *const names[] = {"normal",    "killed",  "error", "link_died",
                                        "peer_lost", "restart", "gone"};
    return kind >= SH_NORMAL && kind <= SH_GONE ? names[kind] : "unknown";
}
