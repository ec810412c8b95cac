/* base/span.h - borrowed bytes, checked readers and writers, loads and stores.
 *
 * Shape    values; nothing is owned. A span with n = 0 may have p = NULL.
 * Errors   readers return 0 or SH_E_MORE and then leave reader and output alone;
 *          writers set `overflow` once and write nothing from then on.
 * Threads  any. */
#ifndef SH_BASE_SPAN_H
#define SH_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

typedef struct sh_span {
    const uint8_t *p;
    size_t n;
} sh_span;

static inline sh_span sh_span_of(const void *p, size_t n)
{
    return (sh_span){(const uint8_t *)p, n};
}

static inline sh_span sh_span_none(void)
{
    return (sh_span){NULL, 0};
}

/* The bytes of a NUL-terminated text, without the NUL. */
static inline sh_span sh_span_str(const char *text)
{
    return (sh_span){(const uint8_t *)text, strlen(text)};
}

/* Byte order, then length: < 0, 0, > 0. */
static inline int sh_span_cmp(sh_span a, sh_span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static inline bool sh_span_starts(sh_span s, sh_span prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* Without the first n bytes (all of them if n is larger). */
static inline sh_span sh_span_skip(sh_span s, size_t n)
{
    n = n < s.n ? n : s.n;
    return n ? (sh_span){s.p + n, s.n - n} : s;
}

/* At most the first n bytes. */
static inline sh_span sh_span_take(sh_span s, size_t n)
{
    return (sh_span){s.p, n < s.n ? n : s.n};
}

/* Loads and stores; the caller vouches for the room. */
static inline uint16_t sh_load_u16be(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t sh_load_u32be(const uint8_t *p)
{
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t sh_load_u64be(const uint8_t *p)
{
    return ((uint64_t)sh_load_u32be(p) << 32) | sh_load_u32be(p + 4);
}

enum { SH_COPY_SHORT_MAX = 16 };
/* memcpy of at most so many bytes: most names and values are a few, two moves that overlap beat a call. */
static inline void sh_copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        uint64_t head = 0;
        uint64_t tail = 0;
        memcpy(&head, from, 8);
        memcpy(&tail, from + n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + n - 8, &tail, 8);
    } else if (n >= 4) {
        uint32_t head = 0;
        uint32_t tail = 0;
        memcpy(&head, from, 4);
        memcpy(&tail, from + n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + n - 4, &tail, 4);
    } else if (n > 0) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

/* memcmp() == 0 of at most SH_COPY_SHORT_MAX bytes. */
static inline bool sh_same_short(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n >= 8) {
        uint64_t x[2], y[2];
        memcpy(&x[0], a, 8);
        memcpy(&x[1], a + n - 8, 8);
        memcpy(&y[0], b, 8);
        memcpy(&y[1], b + n - 8, 8);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    if (n >= 4) {
        uint32_t x[2], y[2];
        memcpy(&x[0], a, 4);
        memcpy(&x[1], a + n - 4, 4);
        memcpy(&y[0], b, 4);
        memcpy(&y[1], b + n - 4, 4);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

static inline bool sh_span_eq(sh_span a, sh_span b)
{
    if (a.n != b.n) {
        return false;
    }
    return a.n <= SH_COPY_SHORT_MAX ? sh_same_short(a.p, b.p, a.n) : memcmp(a.p, b.p, a.n) == 0;
}

static inline uint16_t sh_load_u16le(const uint8_t *p)
{
    return (uint16_t)(p[0] | (p[1] << 8));
}

static inline uint32_t sh_load_u32le(const uint8_t *p)
{
    return p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static inline uint64_t sh_load_u64le(const uint8_t *p)
{
    return sh_load_u32le(p) | ((uint64_t)sh_load_u32le(p + 4) << 32);
}

static inline void sh_store_u16be(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void sh_store_u32be(uint8_t *p, uint32_t v)
{
    sh_store_u16be(p, (uint16_t)(v >> 16));
    sh_store_u16be(p + 2, (uint16_t)v);
}

static inline void sh_store_u64be(uint8_t *p, uint64_t v)
{
    sh_store_u32be(p, (uint32_t)(v >> 32));
    sh_store_u32be(p + 4, (uint32_t)v);
}

static inline void sh_store_u16le(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void sh_store_u32le(uint8_t *p, uint32_t v)
{
    sh_store_u16le(p, (uint16_t)v);
    sh_store_u16le(p + 2, (uint16_t)(v >> 16));
}

static inline void sh_store_u64le(uint8_t *p, uint64_t v)
{
    sh_store_u32le(p, (uint32_t)v);
    sh_store_u32le(p + 4, (uint32_t)(v >> 32));
}

/* A reader walks a span once, checking every step. */
typedef struct sh_reader {
    const uint8_t *p;
    const uint8_t *end;
} sh_reader;

static inline sh_reader sh_reader_of(sh_span s)
{
    return (sh_reader){s.p, s.n ? s.p + s.n : s.p};
}

static inline size_t sh_read_left(const sh_reader *r)
{
    return (size_t)(r->end - r->p);
}

/* What has not been read yet. */
static inline sh_span sh_read_rest(const sh_reader *r)
{
    return sh_span_of(r->p, sh_read_left(r));
}

static inline int sh_read_bytes(sh_reader *r, size_t n, sh_span *out)
{
    if (sh_read_left(r) < n) {
        return SH_E_MORE;
    }
    *out = sh_span_of(r->p, n);
    r->p = n ? r->p + n : r->p;
    return 0;
}

#define SH_READ_FIXED(name, type, bytes, load)                                                     \
    static inline int sh_read_##name(sh_reader *r, type *out)                                      \
    {                                                                                              \
        if (sh_read_left(r) < (bytes)) {                                                           \
            return SH_E_MORE;                                                                      \
        }                                                                                          \
        *out = load(r->p);                                                                         \
        r->p += (bytes);                                                                           \
        return 0;                                                                                  \
    }
#define SH_LOAD_U8(p) (*(p))
SH_READ_FIXED(u8, uint8_t, 1, SH_LOAD_U8)
SH_READ_FIXED(u16be, uint16_t, 2, sh_load_u16be)
SH_READ_FIXED(u32be, uint32_t, 4, sh_load_u32be)
SH_READ_FIXED(u64be, uint64_t, 8, sh_load_u64be)
SH_READ_FIXED(u16le, uint16_t, 2, sh_load_u16le)
SH_READ_FIXED(u32le, uint32_t, 4, sh_load_u32le)
SH_READ_FIXED(u64le, uint64_t, 8, sh_load_u64le)
#undef SH_READ_FIXED
#undef SH_LOAD_U8

/* A libp2p uvarint (varint.h): 0, SH_E_MORE, or SH_E_PROTO for a long or non-minimal one. */
int sh_read_uvarint(sh_reader *r, uint64_t *out);

/* uvarint length, then that many bytes; 0, SH_E_MORE, SH_E_PROTO; on failure r is untouched. */
int sh_read_prefixed(sh_reader *r, sh_span *out);

/* A writer fills a caller's buffer; check `overflow` (or sh_put_len) once at the end. */
typedef struct sh_writer {
    uint8_t *start;
    uint8_t *p;
    uint8_t *end;
    bool overflow;
} sh_writer;

static inline sh_writer sh_writer_of(void *buf, size_t cap)
{
    uint8_t *p = (uint8_t *)buf;
    return (sh_writer){p, p, cap ? p + cap : p, false};
}

static inline size_t sh_put_room(const sh_writer *w)
{
    return w->overflow ? 0 : (size_t)(w->end - w->p);
}

/* Takes n bytes to be filled by the caller; NULL: no room (overflow is set). */
static inline uint8_t *sh_put_reserve(sh_writer *w, size_t n)
{
    if (w->overflow || (size_t)(w->end - w->p) < n) {
        w->overflow = true;
        return NULL;
    }
    uint8_t *at = w->p;
    w->p = n ? at + n : at;
    return at;
}

static inline void sh_put_bytes(sh_writer *w, sh_span s)
{
    uint8_t *at = sh_put_reserve(w, s.n);
    if (at && s.n) {
        memcpy(at, s.p, s.n);
    }
}

#define SH_PUT_FIXED(name, type, bytes, store)                                                     \
    static inline void sh_put_##name(sh_writer *w, type v)                                         \
    {                                                                                              \
        uint8_t *at = sh_put_reserve(w, (bytes));                                                  \
        if (at) {                                                                                  \
            store(at, v);                                                                          \
        }                                                                                          \
    }
#define SH_STORE_U8(p, v) (*(p) = (v))
SH_PUT_FIXED(u8, uint8_t, 1, SH_STORE_U8)
SH_PUT_FIXED(u16be, uint16_t, 2, sh_store_u16be)
SH_PUT_FIXED(u32be, uint32_t, 4, sh_store_u32be)
SH_PUT_FIXED(u64be, uint64_t, 8, sh_store_u64be)
SH_PUT_FIXED(u16le, uint16_t, 2, sh_store_u16le)
SH_PUT_FIXED(u32le, uint32_t, 4, sh_store_u32le)
SH_PUT_FIXED(u64le, uint64_t, 8, sh_store_u64le)
#undef SH_PUT_FIXED
#undef SH_STORE_U8

/* A libp2p uvarint; a value of 2^63 or more sets overflow. */
void sh_put_uvarint(sh_writer *w, uint64_t v);

/* uvarint length and the bytes. */
void sh_put_prefixed(sh_writer *w, sh_span s);

/* Bytes written so far, or SH_E_LIMIT if something did not fit. Buffers are far under 2 GiB. */
static inline int sh_put_len(const sh_writer *w)
{
    return w->overflow ? SH_E_LIMIT : (int)(w->p - w->start);
}

/* The bytes written so far. */
static inline sh_span sh_put_span(const sh_writer *w)
{
    return sh_span_of(w->start, (size_t)(w->p - w->start));
}

#endif
