/* base/varint.c - unsigned varints, and the readers and writers of span.h that use them. */
#include "base/varint.h"

int sh_uvarint_size(uint64_t v)
{
    int n = 1;
    if (v > SH_UVARINT_VALUE_MAX) {
        return SH_E_BAD_VALUE;
    }
    for (; v >= 0x80; v >>= 7) {
        n++;
    }
    return n;
}

int sh_uvarint_put(uint8_t *out, uint64_t v)
{
    int n = 0;
    if (v > SH_UVARINT_VALUE_MAX) {
        return SH_E_BAD_VALUE;
    }
    for (; v >= 0x80; v >>= 7) {
        out[n++] = (uint8_t)(v | 0x80);
    }
    out[n++] = (uint8_t)v;
    return n;
}

int sh_uvarint_get(sh_span s, uint64_t *v)
{
    uint64_t value = 0;
    for (int i = 0; i < SH_UVARINT_MAX; i++) {
        if ((size_t)i >= s.n) {
            return SH_E_MORE;
        }
        uint8_t byte = s.p[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) {
            continue;
        }
        if (byte == 0 && i > 0) { /* unsigned-varint: the shortest form only */
            return SH_E_PROTO;
        }
        *v = value;
        return i + 1;
    }
    return SH_E_PROTO;
}

int sh_read_uvarint(sh_reader *r, uint64_t *out)
{
    int n = sh_uvarint_get(sh_read_rest(r), out);
    if (n < 0) {
        return n;
    }
    r->p += n;
    return 0;
}

int sh_read_prefixed(sh_reader *r, sh_span *out)
{
    uint64_t n = 0;
    sh_reader at = *r;
    int rc = sh_read_uvarint(&at, &n);
    if (rc == 0) {
        rc = n > sh_read_left(&at) ? SH_E_MORE : sh_read_bytes(&at, (size_t)n, out);
    }
    if (rc == 0) {
        *r = at;
    }
    return rc;
}

void sh_put_uvarint(sh_writer *w, uint64_t v)
{
    uint8_t bytes[SH_UVARINT_MAX];
    int n = sh_uvarint_put(bytes, v);
    if (n < 0) {
        w->overflow = true;
        return;
    }
    sh_put_bytes(w, sh_span_of(bytes, (size_t)n));
}

void sh_put_prefixed(sh_writer *w, sh_span s)
{
    sh_put_uvarint(w, s.n);
    sh_put_bytes(w, s);
}
