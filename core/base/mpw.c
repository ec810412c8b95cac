/* base/mpw.c - MessagePack writer; formats by github.com/msgpack/msgpack spec.md. */
#include "base/mpw.h"

void sh_mpw_init(sh_mpw *w, const sh_mem *mem, size_t limit_bytes)
{
    *w = (sh_mpw){.mem = mem, .limit_bytes = limit_bytes};
}

void sh_mpw_fini(sh_mpw *w)
{
    sh_mem_free(w->mem, w->at, w->cap);
    w->at = NULL;
    w->n = w->cap = 0;
}

static void mpw_put(sh_mpw *w, const void *p, size_t n)
{
    if (w->err || n == 0) {
        return;
    }
    if (n > w->limit_bytes - w->n) {
        w->err = SH_E_LIMIT;
        return;
    }
    if (n > w->cap - w->n) {
        size_t cap = w->cap ? w->cap : 256;
        while (cap - w->n < n) {
            cap *= 2;
        }
        uint8_t *at = sh_mem_resize(w->mem, w->at, w->cap, cap);
        if (!at) {
            w->err = SH_E_NOMEM;
            return;
        }
        w->at = at;
        w->cap = cap;
    }
    memcpy(w->at + w->n, p, n);
    w->n += n;
}

static void mpw_byte(sh_mpw *w, unsigned v)
{
    uint8_t b = (uint8_t)v;
    mpw_put(w, &b, 1);
}

/* A tag byte and a big-endian number of size bytes. */
static void mpw_tagged(sh_mpw *w, unsigned tag, uint64_t v, size_t size)
{
    uint8_t b[9] = {(uint8_t)tag};
    uint8_t wide[8];
    sh_store_u64be(wide, v);
    memcpy(b + 1, wide + 8 - size, size);
    mpw_put(w, b, 1 + size);
}

void sh_mpw_nil(sh_mpw *w)
{
    mpw_byte(w, 0xc0);
}

void sh_mpw_bool(sh_mpw *w, bool v)
{
    mpw_byte(w, v ? 0xc3 : 0xc2);
}

void sh_mpw_u64(sh_mpw *w, uint64_t v)
{
    if (v < 0x80) {
        mpw_byte(w, (unsigned)v);
    } else if (v <= 0xff) {
        mpw_tagged(w, 0xcc, v, 1);
    } else if (v <= 0xffff) {
        mpw_tagged(w, 0xcd, v, 2);
    } else if (v <= 0xffffffffu) {
        mpw_tagged(w, 0xce, v, 4);
    } else {
        mpw_tagged(w, 0xcf, v, 8);
    }
}

void sh_mpw_text(sh_mpw *w, sh_span utf8)
{
    if (utf8.n < 32) {
        mpw_byte(w, 0xa0u | (unsigned)utf8.n);
    } else if (utf8.n <= 0xff) {
        mpw_tagged(w, 0xd9, utf8.n, 1);
    } else if (utf8.n <= 0xffff) {
        mpw_tagged(w, 0xda, utf8.n, 2);
    } else {
        mpw_tagged(w, 0xdb, utf8.n, 4);
    }
    mpw_put(w, utf8.p, utf8.n);
}

void sh_mpw_str(sh_mpw *w, const char *text)
{
    sh_mpw_text(w, sh_span_str(text));
}

void sh_mpw_map(sh_mpw *w, uint32_t entries)
{
    if (entries < 16) {
        mpw_byte(w, 0x80u | entries);
    } else {
        mpw_tagged(w, 0xdf, entries, 4);
    }
}

void sh_mpw_list(sh_mpw *w, uint32_t items)
{
    if (items < 16) {
        mpw_byte(w, 0x90u | items);
    } else {
        mpw_tagged(w, 0xdd, items, 4);
    }
}

void sh_mpw_ext(sh_mpw *w, int8_t type, sh_span data)
{
    uint8_t head[3] = {0xc7, (uint8_t)data.n, (uint8_t)type};
    mpw_put(w, head, sizeof head);
    mpw_put(w, data.p, data.n);
}

size_t sh_mpw_list_begin(sh_mpw *w)
{
    size_t mark = w->n;
    mpw_tagged(w, 0xdd, 0, 4);
    return mark;
}

void sh_mpw_list_end(sh_mpw *w, size_t mark, uint32_t items)
{
    if (w->err == 0) {
        sh_store_u32be(w->at + mark + 1, items);
    }
}
