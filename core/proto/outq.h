/* proto/outq.h - the outgoing bytes of a connection: blocks in a chain, sealed in place.
 *
 * Shape    a writer: reserve, fill, commit; what was committed lies in one open frame until it is
 *          full or close is called, then it is sealed where it lies (2-byte length before, tag
 *          behind). Without a key (before Noise, and in tests) bytes go out as they are.
 * Output   out/sent: what may be written to the pipe. The open frame is not part of it.
 * Memory   at most SH_CONN_OUT_BLOCKS_MAX blocks for data and one more for control frames; none
 *          when empty.
 * Threads  confined. */
#ifndef SH_PROTO_OUTQ_H
#define SH_PROTO_OUTQ_H

#include "base/block.h"
#include "crypto/aead.h"

typedef struct sh_outq {
    sh_block_pool *pool;
    sh_quota *quota;
    sh_block *first; /* block.head..tail: sealed, not yet sent */
    sh_block *last;
    sh_aead *seal;    /* NULL: plain */
    uint64_t nonce;   /* of the next frame */
    uint32_t blocks;  /* in the chain */
    uint32_t open_at; /* where the open frame's plaintext starts in last->data */
    uint32_t open_n;  /* bytes in it */
    uint32_t serial;  /* changes whenever a frame is opened or closed */
    bool open;
    bool starved; /* no block could be had; wait for sent() */
    int err;      /* sealing failed: SH_E_CRYPTO, sticky */
} sh_outq;

void sh_outq_init(sh_outq *q, sh_block_pool *pool, sh_quota *quota);
void sh_outq_fini(sh_outq *q);

/* From here on frames are sealed; what was written before stays plain. seal is borrowed. */
void sh_outq_key(sh_outq *q, sh_aead *seal);

/* Room of at least min bytes (min <= 1,024) in one frame; *room says how much there is.
 *   control   may use the spare block
 * NULL: the queue is full, or no block could be had (then starved is set). Nothing is taken until
 * commit. */
uint8_t *sh_outq_reserve(sh_outq *q, size_t min, bool control, size_t *room);
void sh_outq_commit(sh_outq *q, size_t n);

/* Room behind what was last committed, in the frame that is still open; 0: none is. */
size_t sh_outq_open_room(const sh_outq *q);

/* Copies n bytes in: 0, or SH_E_LIMIT or SH_E_NOMEM with part of them written. For handshakes. */
int sh_outq_put(sh_outq *q, sh_span bytes);

void sh_outq_close(sh_outq *q); /* seals the open frame */
size_t sh_outq_data_room(
    const sh_outq *q); /* about how much data reserve would still grant, never too much */
sh_span sh_outq_out(const sh_outq *q);
void sh_outq_sent(sh_outq *q, size_t n);

#endif
