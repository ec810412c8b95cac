/* json_read.c - strict JSON (RFC 8259) as a value, with the whole range of integers, -2^63 .. 2^64-1.
 *
 * A number with a point or an exponent is a float. Objects with one key that begins with $ are forms
 * of ours: $bytes, $ref, $float, $map. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { DEPTH_MAX = 32 };

struct reader {
    const char *start, *at;
    shoal_pack *out;
    shoal_node *node;
    struct json_fault *fault;
};

/* A decoded text, owned. */
struct text {
    char *at;
    size_t len;
};

static int fail_with(struct reader *r, bool is_value, int code, const char *why)
{
    *r->fault = (struct json_fault){is_value, (size_t)(r->at - r->start), why};
    return code;
}

/* It is not JSON. */
static int fail(struct reader *r, const char *why)
{
    return fail_with(r, false, SHOAL_E_BAD_VALUE, why);
}

/* It is JSON, but not a value. */
static int fail_value(struct reader *r, const char *why)
{
    return fail_with(r, true, SHOAL_E_BAD_VALUE, why);
}

static void skip_space(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

static bool take(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    bool there = strncmp(r->at, word, n) == 0;
    r->at += there ? n : 0;
    return there;
}

/* --- text --- */

static int take_hex4(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = *r->at ? strchr(digits, *r->at) : NULL;
        if (!digit) {
            return fail(r, "expected four hex digits after \\u");
        }
        *out = *out << 4 | (uint32_t)((digit - digits) & 15);
    }
    return 0;
}

static size_t utf8_put(char *to, uint32_t c)
{
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) {
        to[i] = (char)(0x80 | (c & 0x3f));
    }
    to[0] = (char)(n == 1 ? c : first[n] | c);
    return n;
}

/* After a backslash. */
static int take_escape(struct reader *r, struct text *text)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name = *r->at ? strchr(names, *r->at) : NULL;
    uint32_t c, low;
    if (name) {
        r->at++;
        text->at[text->len++] = meant[name - names];
        return 0;
    }
    if (!take(r, "u")) {
        return fail(r, "no such escape");
    }
    int code = take_hex4(r, &c);
    if (code == 0 && c >= 0xd800 && c <= 0xdbff && take(r, "\\u")) {
        code = take_hex4(r, &low);
        if (code == 0 && (low < 0xdc00 || low > 0xdfff)) {
            return fail_value(r, "half of a surrogate pair is no character");
        }
        c = code == 0 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0;
    }
    if (code == 0 && c >= 0xd800 && c <= 0xdfff) {
        return fail_value(r, "half of a surrogate pair is no character");
    }
    text->len += code == 0 ? utf8_put(text->at + text->len, c) : 0;
    return code;
}

/* A text with its quotes; *out is the caller's to free, also after a failure. */
static int take_text(struct reader *r, struct text *out)
{
    *out = (struct text){0};
    if (!take(r, "\"")) {
        return fail(r, "expected a text in double quotes");
    }
    out->at = malloc(strcspn(r->at, "") + 1); /* decoded it is never longer */
    if (!out->at) {
        return fail_with(r, true, SHOAL_E_LIMIT, "no memory");
    }
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 0x20) {
            return fail(r, *r->at ? "a control character must be escaped" : "the text has no end");
        }
        if (*r->at != '\\') {
            out->at[out->len++] = *r->at++;
            continue;
        }
        r->at++;
        int code = take_escape(r, out);
        if (code < 0) {
            return code;
        }
    }
    r->at++;
    return 0;
}

static int read_text(struct reader *r)
{
    struct text text;
    int code = take_text(r, &text);
    if (code == 0) {
        shoal_put_text(r->out, text.at, text.len);
        code = shoal_pack_error(r->out) ? fail_value(r, "the text is not UTF-8") : 0;
    }
    free(text.at);
    return code;
}

/* --- numbers --- */

static bool take_digits(const char **at)
{
    size_t n = strspn(*at, "0123456789");
    *at += n;
    return n > 0;
}

static int read_number(struct reader *r)
{
    const char *begin = r->at, *p = begin + (*begin == '-');
    bool zero = *p == '0', good = take_digits(&p), real = false;
    if (!good || (zero && p - begin > 1 + (*begin == '-'))) {
        return fail(r, "expected a value");
    }
    if (*p == '.') {
        p++;
        real = true;
        good = take_digits(&p);
    }
    if (good && (*p == 'e' || *p == 'E')) {
        p += 1 + (p[1] == '+' || p[1] == '-');
        real = true;
        good = take_digits(&p);
    }
    if (!good) {
        return fail(r, "the number is cut short");
    }
    errno = 0;
    if (real) {
        double d = strtod(begin, NULL);
        if (isinf(d)) {
            return fail_value(r, "the float is too large");
        }
        shoal_put_f64(r->out, d);
    } else if (*begin == '-') {
        shoal_put_i64(r->out, strtoll(begin, NULL, 10));
    } else {
        shoal_put_u64(r->out, strtoull(begin, NULL, 10));
    }
    if (!real && errno == ERANGE) {
        return fail_value(r, "integers go from -2^63 to 2^64-1");
    }
    r->at = p;
    return shoal_pack_error(r->out);
}

/* --- lists, maps, forms --- */

static int read_value(struct reader *r, int depth);

/* How many items the list or map has whose opening bracket was just read. A guess if it is malformed:
 * reading then finds that it does not come out. */
static uint32_t count_items(const char *p)
{
    uint32_t commas = 0, open = 0;
    p += strspn(p, " \t\r\n");
    if (*p == ']' || *p == '}') {
        return 0;
    }
    for (; *p; p++) {
        if (*p == '"') {
            for (p++; *p && *p != '"'; p++) {
                p += *p == '\\' && p[1];
            }
            if (!*p) {
                break;
            }
        } else if (*p == '[' || *p == '{') {
            open++;
        } else if (*p == ']' || *p == '}') {
            if (open-- == 0) {
                break;
            }
        } else if (*p == ',' && open == 0) {
            commas++;
        }
    }
    return commas + 1;
}

static int read_key(struct reader *r)
{
    int code = read_text(r);
    skip_space(r);
    if (code == 0 && !take(r, ":")) {
        return fail(r, "expected : after the key");
    }
    return code;
}

/* The items of a list or a map, up to the closing bracket. */
static int read_items(struct reader *r, uint32_t n, bool map, int depth)
{
    for (uint32_t i = 0; i < n; i++) {
        skip_space(r);
        int code = map ? read_key(r) : 0;
        if (code == 0) {
            code = read_value(r, depth + 1);
        }
        if (code < 0) {
            return code;
        }
        skip_space(r);
        if (i + 1 < n && !take(r, ",")) {
            return fail(r, map ? "expected , or }" : "expected , or ]");
        }
    }
    skip_space(r);
    return take(r, map ? "}" : "]") ? 0 : fail(r, map ? "expected , or }" : "expected , or ]");
}

#include "json_forms.h"

static int read_list(struct reader *r, int depth)
{
    uint32_t n = count_items(r->at);
    shoal_put_list(r->out, n);
    return read_items(r, n, false, depth);
}

static int read_map(struct reader *r, int depth)
{
    uint32_t n = count_items(r->at);
    bool form;
    int code = n == 1 ? read_form(r, depth, &form) : (form = false, 0);
    if (form || code < 0) {
        return code;
    }
    shoal_put_map(r->out, n);
    return read_items(r, n, true, depth);
}

static int read_value(struct reader *r, int depth)
{
    skip_space(r);
    bool list = *r->at == '[', map = *r->at == '{';
    if ((list || map) && depth >= DEPTH_MAX) {
        return fail_value(r, "lists and maps go 32 deep");
    }
    r->at += list || map;
    if (list || map) {
        return list ? read_list(r, depth) : read_map(r, depth);
    }
    if (*r->at == '"') {
        return read_text(r);
    }
    if (take(r, "null")) {
        shoal_put_nil(r->out);
    } else if (take(r, "true")) {
        shoal_put_bool(r->out, true);
    } else if (take(r, "false")) {
        shoal_put_bool(r->out, false);
    } else {
        return read_number(r);
    }
    return shoal_pack_error(r->out);
}
