/* notation.c - values to words and back, through the public functions only. */
#include "notation.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ writing */

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static size_t hex_take(const char *word, size_t len, unsigned char *out)
{
    for (size_t i = 0; i + 1 < len;
         i += 2) { /* by hand: sscanf measures all of the text each time */
        out[i / 2] = (unsigned char)(hex_digit(word[i]) << 4 | hex_digit(word[i + 1]));
    }
    return len / 2;
}

/* How many things stand side by side up to the closing bracket. */
static uint32_t side_by_side(const char *word)
{
    uint32_t n = *word != ']' && *word != '}';
    for (int depth = 0; depth >= 0 && *word; word++) {
        depth += *word == '[' || *word == '{';
        depth -= *word == ']' || *word == '}';
        n += depth == 0 && *word == ',';
    }
    return n;
}

static void scalar_put(shoal_pack *p, shoal_node *node, const char *word, size_t len)
{
    unsigned char *bytes = malloc(len + 1);
    char *text = strndup(word + 1, len - 1);
    shoal_pid pid;
    switch (word[0]) {
    case 'n': shoal_put_nil(p); break;
    case 'T': shoal_put_bool(p, true); break;
    case 'F': shoal_put_bool(p, false); break;
    case 'i':
        if (text[0] == '-') {
            shoal_put_i64(p, strtoll(text, NULL, 10));
        } else {
            shoal_put_u64(p, strtoull(text, NULL, 10));
        }
        break;
    case 'f': {
        uint64_t bits = strtoull(text, NULL, 16);
        double number;
        memcpy(&number, &bits, sizeof number);
        shoal_put_f64(p, strcmp(text, "nan") == 0 ? NAN : number);
        break;
    }
    case 't': shoal_put_text(p, (char *)bytes, hex_take(text, len - 1, bytes)); break;
    case 'b': shoal_put_bytes(p, bytes, hex_take(text, len - 1, bytes)); break;
    case 'r':
        shoal_pid_parse(node, text, &pid);
        shoal_put_ref(p, node, pid);
        break;
    default: p->error = SHOAL_E_BAD_VALUE;
    }
    free(bytes);
    free(text);
}

static const char *value_put(shoal_pack *p, shoal_node *node, const char *word)
{
    if (*word != '[' && *word != '{') {
        size_t len = strcspn(word, ",:]}");
        scalar_put(p, node, word, len);
        return word + len;
    }
    bool map = *word++ == '{';
    uint32_t n = side_by_side(word);
    if (map) {
        shoal_put_map(p, n);
    } else {
        shoal_put_list(p, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        word = value_put(p, node, word);
        if (map) {
            word = value_put(p, node, word + 1);
        }
        word += *word == ',';
    }
    return word + 1;
}

void notation_put(shoal_pack *p, shoal_node *node, const char *word)
{
    value_put(p, node, word);
}

/* ------------------------------------------------------------------ reading */

static char *hex_of(char kind, shoal_bytes bytes)
{
    char *out = malloc(2 * bytes.len + 2);
    out[0] = kind;
    out[1] = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sprintf(out + 1 + 2 * i, "%02x", ((const unsigned char *)bytes.data)[i]);
    }
    return out;
}

static int word_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *many_of(shoal_node *node, shoal_bytes value, bool map)
{
    size_t n = 0, len = 3, count = (size_t)shoal_count(value);
    char **words = calloc(count + 1, sizeof *words);
    shoal_bytes rest = value, key, item;
    while (n < count && shoal_next(&rest, &key, &item) == 1) {
        words[n] = notation_of(node, item);
        if (map) {
            char *k = notation_of(node, key), *pair = malloc(strlen(k) + strlen(words[n]) + 2);
            sprintf(pair, "%s:%s", k, words[n]);
            free(k);
            free(words[n]);
            words[n] = pair;
        }
        len += strlen(words[n++]) + 1;
    }
    if (map) {
        qsort(words, n, sizeof *words, word_order);
    }
    char *out = malloc(len), *end = out;
    *end++ = map ? '{' : '[';
    for (size_t i = 0; i < n; i++) {
        end += sprintf(end, "%s%s", i ? "," : "", words[i]);
        free(words[i]);
    }
    *end++ = map ? '}' : ']';
    *end = 0;
    free(words);
    return out;
}

static char *number_of(shoal_bytes value)
{
    char out[32];
    int64_t below;
    uint64_t above = 0;
    if (shoal_as_i64(value, &below) == 0) {
        snprintf(out, sizeof out, "i%lld", (long long)below);
    } else {
        shoal_as_u64(value, &above);
        snprintf(out, sizeof out, "i%llu", (unsigned long long)above);
    }
    return strdup(out);
}

static char *float_of(shoal_bytes value)
{
    char out[32];
    double number = 0;
    uint64_t bits;
    shoal_as_f64(value, &number);
    memcpy(&bits, &number, sizeof bits);
    snprintf(out, sizeof out, isnan(number) ? "fnan" : "f%016llx", (unsigned long long)bits);
    return strdup(out);
}

char *notation_of(shoal_node *node, shoal_bytes value)
{
    char ref[200] = "r";
    bool truth = false;
    shoal_bytes bytes;
    shoal_pid pid;
    switch (shoal_kind(value)) {
    case SHOAL_KIND_NIL: return strdup("n");
    case SHOAL_KIND_BOOL: shoal_as_bool(value, &truth); return strdup(truth ? "T" : "F");
    case SHOAL_KIND_INT: return number_of(value);
    case SHOAL_KIND_FLOAT: return float_of(value);
    case SHOAL_KIND_TEXT: shoal_as_text(value, &bytes); return hex_of('t', bytes);
    case SHOAL_KIND_BYTES: shoal_as_bytes(value, &bytes); return hex_of('b', bytes);
    case SHOAL_KIND_LIST: return many_of(node, value, false);
    case SHOAL_KIND_MAP: return many_of(node, value, true);
    case SHOAL_KIND_REF:
        shoal_as_ref(node, value, &pid);
        shoal_pid_text(node, pid, ref + 1, sizeof ref - 1);
        return strdup(ref);
    default: return strdup("?");
    }
}
