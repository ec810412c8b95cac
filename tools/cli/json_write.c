/* json_write.c - values as JSON.
 *
 * Floats print in the fewest digits that read back the same, and always look like floats (1.0). A map
 * with integer keys, or one that looks like a form of ours, is written as {"$map": [[key, value]...]}. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct writer {
    FILE *out;
    shoal_node *node;
    enum json_style style;
};

/* --- text --- */

/* Length of the UTF-8 character at p (n > 0 bytes left) and its number; 0 if it is none. */
static size_t utf8_take(const unsigned char *p, size_t n, uint32_t *number)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0u) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    *number = c;
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : len;
}

static void write_escape(FILE *out, uint32_t c)
{
    switch (c) {
    case '"': fputs("\\\"", out); break;
    case '\\': fputs("\\\\", out); break;
    case '\n': fputs("\\n", out); break;
    case '\r': fputs("\\r", out); break;
    case '\t': fputs("\\t", out); break;
    default: fprintf(out, "\\u%04" PRIx32, c); break;
    }
}

void json_write_text(FILE *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    fputc('"', out);
    for (size_t at = 0; at < len;) {
        uint32_t c = 0xfffd;
        size_t n = utf8_take(p + at, len - at, &c);
        if (n == 0) {
            fputs("\\ufffd", out);
            n = 1;
        } else if (c < 0x20 || c == '"' || c == '\\' || (c >= 0x7f && c < 0xa0)) {
            write_escape(out, c); /* also 0x80..0x9f: terminals obey them */
        } else {
            fwrite(p + at, 1, n, out);
        }
        at += n;
    }
    fputc('"', out);
}

/* --- scalars --- */

static void write_base64(FILE *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? (uint32_t)p[i + 2] : 0;
        fputc(digits[v >> 18], out);
        fputc(digits[v >> 12 & 63], out);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', out);
        fputc(i + 2 < n ? digits[v & 63] : '=', out);
    }
}

static void write_form(const struct writer *w, const char *form, const char *text)
{
    if (w->style == JSON_EXACT) {
        fprintf(w->out, "{\"%s\": \"%s\"}", form, text);
    } else {
        fputs(text, w->out);
    }
}

static void write_float(const struct writer *w, double d)
{
    char text[40];
    if (isnan(d) || isinf(d)) {
        write_form(w, "$float", isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    bool subnormal = d > -1e-300 && d < 1e-300; /* these have fewer digits than 15 */
    for (int digits = subnormal ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d) {
            break;
        }
    }
    fprintf(w->out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void write_int(const struct writer *w, shoal_bytes value)
{
    int64_t small;
    uint64_t large = 0;
    if (shoal_as_i64(value, &small) == 0) {
        fprintf(w->out, "%" PRId64, small);
    } else {
        shoal_as_u64(value, &large);
        fprintf(w->out, "%" PRIu64, large);
    }
}

static void write_ref(const struct writer *w, shoal_bytes value)
{
    shoal_pid pid;
    char text[160];
    if (shoal_as_ref(w->node, value, &pid) < 0 ||
        shoal_pid_text(w->node, pid, text, sizeof text) < 0) {
        fputs("null", w->out); /* the peer table is full */
        return;
    }
    write_form(w, "$ref", text);
}

static void write_bytes(const struct writer *w, shoal_bytes value)
{
    shoal_bytes bytes = {0};
    shoal_as_bytes(value, &bytes);
    fputs(w->style == JSON_EXACT ? "{\"$bytes\": \"" : "<", w->out);
    write_base64(w->out, bytes.data, bytes.len);
    fputs(w->style == JSON_EXACT ? "\"}" : ">", w->out);
}

/* --- lists and maps --- */

static void write_value(const struct writer *w, shoal_bytes value);

static void write_list(const struct writer *w, shoal_bytes value)
{
    shoal_bytes rest = value, item;
    const char *between = "[";
    while (shoal_next(&rest, NULL, &item) == 1) {
        fputs(between, w->out);
        write_value(w, item);
        between = ", ";
    }
    fputs(*between == '[' ? "[]" : "]", w->out);
}

/* A JSON object can say it: keys are text, and the only key is none of our forms. */
static bool map_is_object(shoal_bytes value)
{
    shoal_bytes rest = value, key, item, text;
    while (shoal_next(&rest, &key, &item) == 1) {
        if (shoal_as_text(key, &text) < 0) {
            return false;
        }
        if (shoal_count(value) == 1 && text.len > 0 && *(const char *)text.data == '$') {
            return false;
        }
    }
    return true;
}

static void write_map(const struct writer *w, shoal_bytes value)
{
    bool object = w->style == JSON_PEOPLE || map_is_object(value);
    const char *begin = object ? "{" : "{\"$map\": [[", *next = object ? ", " : "], [";
    shoal_bytes rest = value, key, item;
    bool any = false;
    while (shoal_next(&rest, &key, &item) == 1) {
        fputs(any ? next : begin, w->out);
        write_value(w, key);
        fputs(object ? ": " : ", ", w->out);
        write_value(w, item);
        any = true;
    }
    fputs(!any ? "{}" : object ? "}" : "]]}", w->out);
}

static void write_value(const struct writer *w, shoal_bytes value)
{
    bool truth = false;
    double number = 0;
    shoal_bytes text = {0};
    switch (shoal_kind(value)) {
    case SHOAL_KIND_BOOL:
        shoal_as_bool(value, &truth);
        fputs(truth ? "true" : "false", w->out);
        break;
    case SHOAL_KIND_INT: write_int(w, value); break;
    case SHOAL_KIND_FLOAT:
        shoal_as_f64(value, &number);
        write_float(w, number);
        break;
    case SHOAL_KIND_TEXT:
        shoal_as_text(value, &text);
        json_write_text(w->out, text.data, text.len);
        break;
    case SHOAL_KIND_BYTES: write_bytes(w, value); break;
    case SHOAL_KIND_LIST: write_list(w, value); break;
    case SHOAL_KIND_MAP: write_map(w, value); break;
    case SHOAL_KIND_REF: write_ref(w, value); break;
    default: fputs("null", w->out); break;
    }
}

void json_write(FILE *out, shoal_node *node, shoal_bytes value, enum json_style style)
{
    struct writer w = {out, node, style};
    write_value(&w, value);
}
