/* json_read.c - JSON as a value: lists, maps, and the objects of one key that are forms of our own. */
#include <math.h>
#include <stdlib.h>

#include "json_reader.h"

enum { DEPTH_MAX = 32 };

static int read_value(struct reader *r, int depth);

/* How many items the list or map has whose opening bracket was just read. Of a malformed one it is a
 * guess: reading it then does not come out. */
static uint32_t count_items(const char *p)
{
    uint32_t commas = 0, open = 0;
    p += strspn(p, " \t\r\n");
    if (*p == ']' || *p == '}') {
        return 0;
    }
    for (; *p; p++) {
        if (*p == '"') {
            p = json_text_end(p + 1);
            if (!*p) {
                break;
            }
        } else if (*p == '[' || *p == '{') {
            open++;
        } else if ((*p == ']' || *p == '}') && open-- == 0) {
            break;
        }
        commas += *p == ',' && open == 0;
    }
    return commas + 1;
}

/* --- forms --- */

static int form_float(struct reader *r, const struct text *text)
{
    static const struct {
        const char *name;
        double value;
    } floats[] = {{"nan", NAN}, {"inf", INFINITY}, {"-inf", -INFINITY}};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        if (text->len == strlen(floats[i].name) &&
            memcmp(text->at, floats[i].name, text->len) == 0) {
            shoal_put_f64(r->out, floats[i].value);
            return 0;
        }
    }
    return json_fail_value(r, "$float is \"nan\", \"inf\" or \"-inf\"");
}

static int form_bytes(struct reader *r, struct text *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = text->len, out = 0;
    uint32_t bits = 0;
    bool good = n % 4 == 0;
    n -= good && n > 0 && text->at[n - 1] == '=';
    n -= good && n < text->len && text->at[n - 1] == '=';
    for (size_t i = 0; good && i < n; i++) {
        const char *digit = text->at[i] ? strchr(digits, text->at[i]) : NULL;
        good = digit != NULL;
        bits = bits << 6 | (uint32_t)(good ? digit - digits : 0);
        if (i % 4 > 0) {
            text->at[out++] = (char)(bits >> (6 - i % 4 * 2)); /* in place: it shrinks */
        }
    }
    good = good && (n % 4 == 0 || (bits & (n % 4 == 2 ? 15u : 3u)) == 0);
    if (!good) {
        return json_fail_value(r, "$bytes is base64 with its padding");
    }
    shoal_put_bytes(r->out, text->at, out);
    return 0;
}

static int form_ref(struct reader *r, struct text *text)
{
    shoal_pid pid;
    text->at[text->len] = 0;
    if (strlen(text->at) != text->len || shoal_pid_parse(r->node, text->at, &pid) < 0) {
        return json_fail_value(r, "$ref is <16 hex>@<peer id>");
    }
    shoal_put_ref(r->out, r->node, pid);
    return 0;
}

static int read_closing(struct reader *r, const char *bracket)
{
    json_space(r);
    return json_take(r, bracket)
               ? 0
               : json_fail(r, *bracket == '}' ? "expected , or }" : "expected , or ]");
}

/* [[key, value], ...]: maps whose keys are not all text. */
static int form_map(struct reader *r, int depth)
{
    if (!json_take(r, "[")) {
        return json_fail_value(r, "$map is a list of [key, value]");
    }
    uint32_t n = count_items(r->at);
    int code = 0;
    shoal_put_map(r->out, n);
    for (uint32_t i = 0; i < n && code == 0; i++) {
        json_space(r);
        if (!json_take(r, "[") || count_items(r->at) != 2) {
            return json_fail_value(r, "$map is a list of [key, value]");
        }
        json_space(r);
        bool text = *r->at == '"';
        if (!text && strcspn(r->at, ".eE") < strcspn(r->at, ",")) {
            return json_fail_value(r, "a key is a text or an integer");
        }
        code = text ? json_read_text(r) : json_read_number(r);
        json_space(r);
        if (code == 0 && !json_take(r, ",")) {
            return json_fail(r, "expected ,");
        }
        code = code < 0 ? code : read_value(r, depth + 1);
        code = code < 0 ? code : read_closing(r, "]");
        json_space(r);
        if (code == 0 && i + 1 < n && !json_take(r, ",")) {
            return json_fail(r, "expected , or ]");
        }
    }
    return code < 0 ? code : read_closing(r, "]");
}

/* The one value of a form; the key is read. */
static int read_form(struct reader *r, const struct text *key, int depth)
{
    struct text text;
    json_space(r);
    if (!json_take(r, ":")) {
        return json_fail(r, "expected : after the key");
    }
    json_space(r);
    if (strcmp(key->at, "$map") == 0) {
        return form_map(r, depth);
    }
    if (*r->at != '"') {
        return json_fail_value(r, "$bytes, $ref and $float hold a text");
    }
    int code = json_take_text(r, &text);
    if (code == 0) {
        code = strcmp(key->at, "$bytes") == 0 ? form_bytes(r, &text)
               : strcmp(key->at, "$ref") == 0 ? form_ref(r, &text)
                                              : form_float(r, &text);
    }
    free(text.at);
    return code;
}

/* Reads an object of one key if it is a form: 1, or 0 with nothing read. */
static int try_form(struct reader *r, int depth)
{
    static const char *const forms[] = {"$bytes", "$ref", "$float", "$map"};
    const char *begin = r->at;
    struct text key;
    bool form = false;
    json_space(r);
    int code = json_take_text(r, &key);
    if (code == 0) {
        key.at[key.len] = 0;
    }
    for (size_t i = 0; code == 0 && i < sizeof forms / sizeof *forms; i++) {
        form = form || (strlen(forms[i]) == key.len && memcmp(key.at, forms[i], key.len) == 0);
    }
    if (form) {
        code = read_form(r, &key, depth);
        code = code < 0 ? code : read_closing(r, "}");
    } else {
        r->at = begin;
    }
    free(key.at);
    return code < 0 ? code : form;
}

/* --- lists and maps --- */

static int read_items(struct reader *r, uint32_t n, bool map, int depth)
{
    int code = 0;
    for (uint32_t i = 0; i < n && code == 0; i++) {
        json_space(r);
        code = map ? json_read_text(r) : 0;
        json_space(r);
        if (code == 0 && map && !json_take(r, ":")) {
            return json_fail(r, "expected : after the key");
        }
        code = code < 0 ? code : read_value(r, depth + 1);
        json_space(r);
        if (code == 0 && i + 1 < n && !json_take(r, ",")) {
            return json_fail(r, map ? "expected , or }" : "expected , or ]");
        }
    }
    return code < 0 ? code : read_closing(r, map ? "}" : "]");
}

static int read_container(struct reader *r, int depth)
{
    if (depth >= DEPTH_MAX) {
        return json_fail_value(r, "lists and maps go 32 deep");
    }
    bool map = *r->at++ == '{';
    uint32_t n = count_items(r->at);
    int form = map && n == 1 ? try_form(r, depth) : 0;
    if (form != 0) {
        return form < 0 ? form : 0;
    }
    if (map) {
        shoal_put_map(r->out, n);
    } else {
        shoal_put_list(r->out, n);
    }
    return read_items(r, n, map, depth);
}

static int read_value(struct reader *r, int depth)
{
    json_space(r);
    if (*r->at == '[' || *r->at == '{') {
        return read_container(r, depth);
    }
    if (*r->at == '"') {
        return json_read_text(r);
    }
    if (json_take(r, "null")) {
        shoal_put_nil(r->out);
    } else if (json_take(r, "true")) {
        shoal_put_bool(r->out, true);
    } else if (json_take(r, "false")) {
        shoal_put_bool(r->out, false);
    } else {
        return json_read_number(r);
    }
    return 0;
}

int json_read(shoal_pack *out, shoal_node *node, const char *text, struct json_fault *fault)
{
    struct reader r = {text, text, out, node, fault};
    int code = read_value(&r, 0);
    json_space(&r);
    if (code == 0 && *r.at) {
        code = json_fail(&r, "something follows the value");
    }
    if (code == 0 && shoal_pack_error(out)) {
        code = json_fail_value(&r, shoal_strerror(shoal_pack_error(out)));
    }
    return code;
}
