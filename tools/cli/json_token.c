/* json_token.c - strict JSON (RFC 8259): texts and numbers. A number with a point or an exponent is a float;
 * integers keep the whole range of a value, -2^63 .. 2^64-1. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "json_reader.h"

int json_fail(struct reader *r, const char *why)
{
    *r->fault = (struct json_fault){false, (size_t)(r->at - r->start), why};
    return SHOAL_E_BAD_VALUE;
}

int json_fail_value(struct reader *r, const char *why)
{
    *r->fault = (struct json_fault){true, (size_t)(r->at - r->start), why};
    return SHOAL_E_BAD_VALUE;
}

bool json_take(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    bool there = strncmp(r->at, word, n) == 0;
    r->at += there ? n : 0;
    return there;
}

void json_space(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

const char *json_text_end(const char *p)
{
    while (*p && *p != '"') {
        p += *p == '\\' && p[1] ? 2 : 1;
    }
    return p;
}

static int take_hex4(struct reader *r, uint32_t *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char *digit = *r->at ? strchr(digits, *r->at) : NULL;
        if (!digit) {
            return json_fail(r, "expected four hex digits after \\u");
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
    to[0] = (char)(first[n - (n == 1)] | c);
    return n;
}

/* After a backslash. */
static int take_escape(struct reader *r, struct text *text)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name = *r->at ? strchr(names, *r->at) : NULL;
    uint32_t c, low = 0;
    if (name) {
        r->at++;
        text->at[text->len++] = meant[name - names];
        return 0;
    }
    if (!json_take(r, "u")) {
        return json_fail(r, "there is no such escape");
    }
    if (take_hex4(r, &c) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    if (c >= 0xd800 && c <= 0xdfff) { /* half of a pair */
        if (c <= 0xdbff && json_take(r, "\\u") && take_hex4(r, &low) < 0) {
            return SHOAL_E_BAD_VALUE;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return json_fail_value(r, "half of a surrogate pair is no character");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    text->len += utf8_put(text->at + text->len, c);
    return 0;
}

int json_take_text(struct reader *r, struct text *out)
{
    *out = (struct text){0};
    if (!json_take(r, "\"")) {
        return json_fail(r, "expected a text in double quotes");
    }
    out->at = malloc((size_t)(json_text_end(r->at) - r->at) + 1); /* decoded it is never longer */
    if (!out->at) {
        return json_fail_value(r, "no memory");
    }
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 0x20) {
            return json_fail(r, *r->at ? "a control character must be escaped"
                                       : "the text has no end");
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

int json_read_text(struct reader *r)
{
    struct text text;
    int code = json_take_text(r, &text);
    if (code == 0) {
        shoal_put_text(r->out, text.at, text.len);
        code = shoal_pack_error(r->out) ? json_fail_value(r, "the text is not UTF-8") : 0;
    }
    free(text.at);
    return code;
}

static bool take_digits(const char **at)
{
    size_t n = strspn(*at, "0123456789");
    *at += n;
    return n > 0;
}

/* Whether a number is at p: sets its end, and whether it is a float. */
static bool number_shape(const char *p, const char **end, bool *real)
{
    p += *p == '-';
    bool zero = *p == '0';
    const char *digits = p;
    bool good = take_digits(&p) && !(zero && p - digits > 1);
    *real = *p == '.' || *p == 'e' || *p == 'E';
    if (*p == '.') {
        p++;
        good = take_digits(&p) && good;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        good = take_digits(&p) && good;
    }
    *end = p;
    return good;
}

int json_read_number(struct reader *r)
{
    const char *begin = r->at, *end;
    bool real;
    if (!number_shape(begin, &end, &real)) {
        return json_fail(r, "expected a value");
    }
    errno = 0;
    if (real) {
        double d = strtod(begin, NULL);
        if (isinf(d)) {
            return json_fail_value(r, "the float is too large");
        }
        shoal_put_f64(r->out, d);
    } else if (*begin == '-') {
        shoal_put_i64(r->out, strtoll(begin, NULL, 10));
    } else {
        shoal_put_u64(r->out, strtoull(begin, NULL, 10));
    }
    if (!real && errno == ERANGE) {
        return json_fail_value(r, "integers go from -2^63 to 2^64-1");
    }
    r->at = end;
    return shoal_pack_error(r->out) ? json_fail_value(r, "no memory") : 0;
}
