/* line.c - reading and printing one JSON object a line. */
#include "line.h"

#include <stdio.h>
#include <stdlib.h>

/* --- in --- */

static char *skip_space(char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
        p++;
    }
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u; -1: they are something else. */
static long hex_four(const char *p)
{
    long v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0) {
            return -1;
        }
        v = v << 4 | digit;
    }
    return v;
}

static char *utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(first[more] | c >> (6 * more));
    while (more-- > 0) {
        *to++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
    }
    return to;
}

/* \uXXXX, a pair for what needs one; *p stands behind the u. */
static char *unescape_unicode(char *to, char **p)
{
    long c = hex_four(*p);
    if (c < 0) {
        return NULL;
    }
    *p += 4;
    if (c >= 0xd800 && c < 0xdc00 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        long low = hex_four(*p + 2);
        if (low < 0xdc00 || low > 0xdfff) {
            return NULL;
        }
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return utf8_put(to, (uint32_t)c);
}

static char *unescape(char *to, char **p)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = *(*p)++;
    if (c == 'u') {
        return unescape_unicode(to, p);
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        *to++ = into[at - from];
    }
    return at ? to : NULL;
}

/* p stands on the quote. Returns behind the closing one, NULL: malformed. */
static char *read_string(char *p, sh_span *out)
{
    char *to = ++p;
    out->p = (const uint8_t *)p;
    while (*p && *p != '"') {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        p++;
        to = unescape(to, &p);
        if (!to) {
            return NULL;
        }
    }
    out->n = (size_t)(to - (const char *)out->p);
    return *p ? p + 1 : NULL;
}

static char *read_field(struct line *l, char *p)
{
    struct line_field *f = &l->field[l->count];
    if (*p != '"' || l->count == LINE_FIELDS_MAX || !(p = read_string(p, &f->name))) {
        return NULL;
    }
    p = skip_space(p);
    if (*p++ != ':') {
        return NULL;
    }
    p = skip_space(p);
    f->is_number = *p >= '0' && *p <= '9';
    if (f->is_number) {
        f->number = strtoull(p, &p, 10);
    } else if (*p != '"' || !(p = read_string(p, &f->text))) {
        return NULL;
    }
    l->count++;
    return skip_space(p);
}

bool line_read(struct line *l, char *text)
{
    memset(l, 0, sizeof *l);
    char *p = skip_space(text);
    if (*p++ != '{') {
        return false;
    }
    p = skip_space(p);
    while (*p != '}') {
        p = read_field(l, p);
        if (!p || (*p != ',' && *p != '}')) {
            return false;
        }
        p = *p == ',' ? skip_space(p + 1) : p;
    }
    return true;
}

static const struct line_field *line_find(const struct line *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (sh_span_eq(l->field[i].name, sh_span_str(name))) {
            return &l->field[i];
        }
    }
    return NULL;
}

sh_span line_text(const struct line *l, const char *name)
{
    const struct line_field *f = line_find(l, name);
    return f && !f->is_number ? f->text : sh_span_none();
}

uint64_t line_number(const struct line *l, const char *name)
{
    const struct line_field *f = line_find(l, name);
    return f && f->is_number ? f->number : 0;
}

/* --- out --- */

static bool first; /* nothing stands in the innermost bracket yet */

static void put_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            printf("\\%c", *p);
        } else if (*p < 0x20 || *p >= 0x7f) {
            printf("\\u%04x", *p); /* peers' texts are for people: bytes will do */
        } else {
            putchar(*p);
        }
    }
    putchar('"');
}

static void put_name(const char *name)
{
    if (!first) {
        putchar(',');
    }
    first = false;
    if (name) {
        put_string(name);
        putchar(':');
    }
}

void line_begin(void)
{
    putchar('{');
    first = true;
}

void line_put_text(const char *name, const char *text)
{
    put_name(name);
    put_string(text);
}

void line_put_number(const char *name, uint64_t number)
{
    put_name(name);
    printf("%llu", (unsigned long long)number);
}

void line_put_hex(const char *name, sh_span bytes)
{
    put_name(name);
    putchar('"');
    for (size_t i = 0; i < bytes.n; i++) {
        printf("%02x", bytes.p[i]);
    }
    putchar('"');
}

void line_put_word(const char *name, const char *word)
{
    put_name(name);
    fputs(word, stdout);
}

void line_open(const char *name, char bracket)
{
    put_name(name);
    putchar(bracket);
    first = true;
}

void line_close(char bracket)
{
    putchar(bracket);
    first = false;
}

void line_end(void)
{
    puts("}");
    fflush(stdout);
}
