/* proto/frame_reader.h - cuts a stream of the native actor wire into frames.
 *
 * Input    stream bytes in any split.   Output  whole frames, type byte first: spans of the bytes given, or of the
 *          reader's one gathering buffer.
 * Limits   the length of a frame is checked here; what is in it by frame.h.
 * Memory   a frame cut by the end of the input is gathered in one allocation charged to the quota; between frames it
 *          holds SH_FRAME_SMALL of it at most, and nothing after a rest.
 * Threads  confined.   Spec  docs/wire.md */
#ifndef SH_PROTO_FRAME_READER_H
#define SH_PROTO_FRAME_READER_H

#include "base/mem.h"
#include "base/quota.h"
#include "base/span.h"

enum { SH_FRAME_SMALL = 96 }; /* most frames: so much is kept for the next one that is cut */

typedef struct sh_frame_reader {
    const sh_mem *mem;
    sh_quota *quota;
    uint8_t *cut;        /* gathers a frame cut by the end of the input; NULL: none is */
    uint32_t cut_bytes;  /* of the allocation */
    uint32_t length_max; /* longer frames are malformed; may be raised between calls */
    uint32_t need;       /* length of the frame being gathered; 0: none */
    uint32_t have;
    uint8_t prefix[4]; /* a length cut by the end of the input */
    uint8_t prefix_n;
    bool given; /* the gathered frame was handed out and is dropped by the next call */
    int err;    /* sticky */
} sh_frame_reader;

void sh_frame_reader_init(sh_frame_reader *r, const sh_mem *mem, sh_quota *quota,
                          uint32_t length_max);
void sh_frame_reader_fini(sh_frame_reader *r);
void sh_frame_reader_rest(
    sh_frame_reader *r); /* idle for now: holds nothing but a frame that is cut */

/* No frame is cut: the next byte is the first of a frame. */
static inline bool sh_frame_reader_between(const sh_frame_reader *r)
{
    return (r->need == 0 || r->given) && r->prefix_n == 0 && r->err == 0;
}

/* Takes bytes from the front of *in. 1: *body is a frame, valid until the next call and as long as the input;
 * 0: the input is used up; < 0, from now on: SH_E_PROTO, SH_E_LIMIT (quota), SH_E_NOMEM. */
int sh_frame_reader_next(sh_frame_reader *r, sh_span *in, sh_span *body);

#endif
