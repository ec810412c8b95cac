/* proto/frame_reader.c - cuts a stream into frames: lengths, and what was cut by the end of the input. */
#include "proto/frame_reader.h"

#include "base/err.h"
#include "base/varint.h"
#include "proto/frame.h"

void sh_frame_reader_init(sh_frame_reader *r, const sh_mem *mem, sh_quota *quota,
                          uint32_t length_max)
{
    *r = (sh_frame_reader){.mem = mem, .quota = quota, .length_max = length_max};
}

static void reader_drop(sh_frame_reader *r)
{
    if (r->cut) {
        sh_mem_free(r->mem, r->cut, r->cut_bytes);
        sh_quota_give(r->quota, r->cut_bytes);
        r->cut = NULL;
        r->cut_bytes = 0;
    }
    r->need = 0;
    r->have = 0;
    r->given = false;
}

void sh_frame_reader_fini(sh_frame_reader *r)
{
    reader_drop(r);
}

void sh_frame_reader_rest(sh_frame_reader *r)
{
    if (r->need == 0 || r->given) {
        reader_drop(r);
    }
}

static int reader_fail(sh_frame_reader *r, int err)
{
    reader_drop(r);
    r->err = err;
    return err;
}

/* The length of the next frame, gathered over cuts. 1: in *length; 0: more input is needed. */
static int reader_length(sh_frame_reader *r, sh_span *in, uint64_t *length)
{
    if (r->prefix_n == 0) { /* the common case: the whole length is there */
        int n = sh_uvarint_get(*in, length);
        if (n > 0) {
            *in = sh_span_skip(*in, (size_t)n);
            return 1;
        }
    }
    while (in->n && r->prefix_n < SH_FRAME_PREFIX_MAX) {
        r->prefix[r->prefix_n++] = in->p[0];
        *in = sh_span_skip(*in, 1);
        int n = sh_uvarint_get(sh_span_of(r->prefix, r->prefix_n), length);
        if (n != SH_E_MORE) {
            r->prefix_n = 0;
            return n > 0 ? 1 : SH_E_PROTO;
        }
    }
    return r->prefix_n == SH_FRAME_PREFIX_MAX ? SH_E_PROTO : 0;
}

/* What was handed out is done with; its buffer is kept for the next cut frame of the same input. */
static void reader_taken(sh_frame_reader *r)
{
    r->need = 0;
    r->have = 0;
    r->given = false;
}

static int reader_start(sh_frame_reader *r, uint32_t length)
{
    r->have = 0;
    if (length > r->cut_bytes) {
        uint32_t bytes = length > SH_FRAME_SMALL ? length : SH_FRAME_SMALL;
        reader_drop(r);
        int err = sh_quota_take(r->quota, bytes);
        if (err) {
            return err;
        }
        r->cut = sh_mem_alloc(r->mem, bytes);
        if (!r->cut) {
            sh_quota_give(r->quota, bytes);
            return SH_E_NOMEM;
        }
        r->cut_bytes = bytes;
    }
    r->need = length;
    return 0;
}

static int reader_gather(sh_frame_reader *r, sh_span *in, sh_span *body)
{
    size_t n = r->need - r->have;
    n = n < in->n ? n : in->n;
    if (n) {
        memcpy(r->cut + r->have, in->p, n);
    }
    r->have += (uint32_t)n;
    *in = sh_span_skip(*in, n);
    if (r->have < r->need) {
        return 0;
    }
    *body = sh_span_of(r->cut, r->need);
    r->given = true;
    return 1;
}

int sh_frame_reader_next(sh_frame_reader *r, sh_span *in, sh_span *body)
{
    if (r->err) {
        return r->err;
    }
    if (r->given) {
        reader_taken(r);
    }
    if (r->need == 0) {
        uint64_t length;
        int got = in->n ? reader_length(r, in, &length) : 0;
        if (got == 0 && r->cut_bytes > SH_FRAME_SMALL) {
            reader_drop(r);
        }
        if (got <= 0) {
            return got < 0 ? reader_fail(r, got) : 0;
        }
        if (length == 0 || length > r->length_max) {
            return reader_fail(r, SH_E_PROTO);
        }
        if (length <= in->n) { /* whole: in place */
            *body = sh_span_take(*in, (size_t)length);
            *in = sh_span_skip(*in, (size_t)length);
            return 1;
        }
        int err = reader_start(r, (uint32_t)length);
        if (err) {
            return reader_fail(r, err);
        }
    }
    return reader_gather(r, in, body);
}
