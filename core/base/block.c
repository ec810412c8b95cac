/* base/block.c - the block pool and the queue of bytes over it. */
#include "base/block.h"

#include "base/sh_assert.h"

void sh_block_pool_init(sh_block_pool *pool, const sh_mem *mem, sh_quota *quota, uint32_t keep_max)
{
    *pool = (sh_block_pool){.mem = mem, .quota = quota, .keep_max = keep_max};
}

void sh_block_pool_fini(sh_block_pool *pool)
{
    SH_ASSERT(pool->out_count == 0);
    while (pool->free) {
        sh_block *b = pool->free;
        pool->free = b->next;
        sh_mem_free(pool->mem, b, sizeof *b);
    }
    pool->free_count = 0;
}

int sh_block_get(sh_block_pool *pool, sh_quota *quota, sh_block **out)
{
    sh_quota *payer = quota ? quota : pool->quota;
    if (sh_quota_take(payer, SH_BLOCK_BYTES)) {
        return SH_E_LIMIT;
    }
    sh_block *b = pool->free;
    if (b) {
        pool->free = b->next;
        pool->free_count--;
    } else {
        b = sh_mem_alloc(pool->mem, sizeof *b);
        if (!b) {
            sh_quota_give(payer, SH_BLOCK_BYTES);
            return SH_E_NOMEM;
        }
    }
    b->next = NULL;
    b->quota = payer;
    b->head = 0;
    b->tail = 0;
    pool->out_count++;
    *out = b;
    return 0;
}

void sh_block_pool_trim(sh_block_pool *pool, uint32_t keep)
{
    for (int i = 0; i < 2 && pool->free_count > keep; i++) {
        sh_block *b = pool->free;
        pool->free = b->next;
        pool->free_count--;
        sh_mem_free(pool->mem, b, sizeof *b);
    }
}

void sh_block_put(sh_block_pool *pool, sh_block *block)
{
    if (!block) {
        return;
    }
    SH_ASSERT(pool->out_count > 0);
    pool->out_count--;
    sh_quota_give(block->quota, SH_BLOCK_BYTES);
    if (pool->free_count >= pool->keep_max) {
        sh_mem_free(pool->mem, block, sizeof *block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->free_count++;
}

void sh_bytes_queue_init(sh_bytes_queue *q, sh_block_pool *pool, sh_quota *quota,
                         size_t limit_bytes)
{
    *q = (sh_bytes_queue){.pool = pool, .quota = quota, .limit_bytes = limit_bytes};
}

static void queue_put_all(sh_bytes_queue *q, sh_block *chain)
{
    while (chain) {
        sh_block *next = chain->next;
        sh_block_put(q->pool, chain);
        chain = next;
    }
}

void sh_bytes_queue_clear(sh_bytes_queue *q)
{
    queue_put_all(q, q->first);
    q->first = NULL;
    q->last = NULL;
    q->bytes = 0;
}

/* Blocks for n more bytes behind the last one, before a byte is copied: all or nothing. */
static int queue_reserve(sh_bytes_queue *q, size_t n, sh_block **fresh)
{
    size_t room = q->last ? sh_block_room(q->last) : 0;
    sh_block **at = fresh;
    *fresh = NULL;
    while (room < n) {
        int rc = sh_block_get(q->pool, q->quota, at);
        if (rc) {
            *at = NULL;
            queue_put_all(q, *fresh);
            return rc;
        }
        at = &(*at)->next;
        room += SH_BLOCK_BYTES;
    }
    return 0;
}

static size_t block_fill(sh_block *b, sh_span s)
{
    size_t n = sh_block_room(b) < s.n ? sh_block_room(b) : s.n;
    if (n) {
        memcpy(b->data + b->tail, s.p, n);
        b->tail += (uint32_t)n;
    }
    return n;
}

int sh_bytes_queue_append(sh_bytes_queue *q, sh_span s)
{
    sh_block *fresh = NULL;
    if (s.n > sh_bytes_queue_room(q)) {
        return SH_E_LIMIT;
    }
    int rc = queue_reserve(q, s.n, &fresh);
    if (rc) {
        return rc;
    }
    q->bytes += s.n;
    if (q->last) {
        s = sh_span_skip(s, block_fill(q->last, s));
        q->last->next = fresh;
    } else {
        q->first = fresh;
    }
    for (sh_block *b = fresh; b; b = b->next) {
        size_t n = block_fill(b, s);
        s = sh_span_of(s.p + n, s.n - n);
        q->last = b;
    }
    return 0;
}

sh_span sh_bytes_queue_front(const sh_bytes_queue *q)
{
    return q->first ? sh_block_span(q->first) : sh_span_none();
}

void sh_bytes_queue_consume(sh_bytes_queue *q, size_t n)
{
    SH_ASSERT(n <= q->bytes);
    q->bytes -= n;
    while (n) {
        sh_block *b = q->first;
        size_t take = b->tail - b->head < n ? b->tail - b->head : n;
        b->head += (uint32_t)take;
        n -= take;
        if (b->head == b->tail) { /* an empty queue holds no block */
            q->first = b->next;
            q->last = q->first ? q->last : NULL;
            sh_block_put(q->pool, b);
        }
    }
}

size_t sh_bytes_queue_read(sh_bytes_queue *q, void *out, size_t cap)
{
    size_t done = 0;
    while (done < cap && q->bytes) {
        sh_span s = sh_span_take(sh_bytes_queue_front(q), cap - done);
        memcpy((uint8_t *)out + done, s.p, s.n);
        done += s.n;
        sh_bytes_queue_consume(q, s.n);
    }
    return done;
}
