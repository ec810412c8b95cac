/* base/block.h - pooled 66 KiB buffers, and a bounded queue of bytes over them.
 *
 * Shape    a block is bytes [head, tail) of data; header room is made by starting head higher.
 * Memory   blocks come from the pool's mem; each one in use is charged (SH_BLOCK_BYTES) to the quota
 *          given at get. At most keep_max unused ones are kept.
 * Threads  confined: a pool and what it lends belong to one thread. */
#ifndef SH_BASE_BLOCK_H
#define SH_BASE_BLOCK_H

#include "base/mem.h"
#include "base/quota.h"
#include "base/sh_limits.h"
#include "base/span.h"

typedef struct sh_block {
    struct sh_block *next; /* free list, or the owner's chain */
    sh_quota *quota;       /* who pays while it is in use; may be NULL */
    uint32_t head;         /* first byte not yet consumed; head <= tail <= SH_BLOCK_BYTES */
    uint32_t tail;         /* first byte not yet filled */
    uint8_t data[SH_BLOCK_BYTES];
} sh_block;

typedef struct sh_block_pool {
    const sh_mem *mem;
    sh_quota *quota; /* pays for blocks got without a quota of their own; may be NULL */
    sh_block *free;
    uint32_t free_count;
    uint32_t out_count; /* lent and not yet put back */
    uint32_t keep_max;
} sh_block_pool;

void sh_block_pool_init(sh_block_pool *pool, const sh_mem *mem, sh_quota *quota, uint32_t keep_max);

/* Frees the kept blocks. All lent ones must be back. */
void sh_block_pool_fini(sh_block_pool *pool);

/* An empty block (head = tail = 0, next = NULL), data uninitialised; the caller's until sh_block_put.
 *   quota   who pays; NULL: the pool's.
 * Returns 0; SH_E_LIMIT: the quota refuses; SH_E_NOMEM. */
int sh_block_get(sh_block_pool *pool, sh_quota *quota, sh_block **out);

/* Frees kept blocks down to `keep` of them, at most two a call: a burst's blocks go as its connections come to rest. */
void sh_block_pool_trim(sh_block_pool *pool, uint32_t keep);

/* Gives one block back; NULL is ignored. */
void sh_block_put(sh_block_pool *pool, sh_block *block);

static inline sh_span sh_block_span(const sh_block *b)
{
    return sh_span_of(b->data + b->head, b->tail - b->head);
}

/* Room behind the filled bytes. */
static inline size_t sh_block_room(const sh_block *b)
{
    return SH_BLOCK_BYTES - b->tail;
}

/* First in, first out bytes; holds blocks only while not empty. */
typedef struct sh_bytes_queue {
    sh_block_pool *pool;
    sh_quota *quota; /* pays for the blocks; NULL: the pool's */
    sh_block *first;
    sh_block *last;
    size_t bytes; /* waiting; <= limit_bytes */
    size_t limit_bytes;
} sh_bytes_queue;

void sh_bytes_queue_init(sh_bytes_queue *q, sh_block_pool *pool, sh_quota *quota,
                         size_t limit_bytes);

/* Drops everything; the queue may be used again. Also its fini. */
void sh_bytes_queue_clear(sh_bytes_queue *q);

/* Copies all of s to the end, or nothing: 0, SH_E_LIMIT (the queue's or the quota), SH_E_NOMEM. */
int sh_bytes_queue_append(sh_bytes_queue *q, sh_span s);

/* The oldest bytes that lie together, at least one if any wait; valid until the next call. */
sh_span sh_bytes_queue_front(const sh_bytes_queue *q);

/* Forgets the oldest n bytes; n <= q->bytes. */
void sh_bytes_queue_consume(sh_bytes_queue *q, size_t n);

/* Copies the oldest bytes out and forgets them; returns how many, at most cap. */
size_t sh_bytes_queue_read(sh_bytes_queue *q, void *out, size_t cap);

static inline size_t sh_bytes_queue_room(const sh_bytes_queue *q)
{
    return q->limit_bytes - q->bytes;
}

#endif
