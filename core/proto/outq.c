/* proto/outq.c - outgoing blocks. A block holds sealed frames one behind the other, then the open
 * one. */
#include "proto/outq.h"

#include "base/sh_assert.h"

enum { OUTQ_LENGTH = 2, OUTQ_TAG = SH_AEAD_TAG_BYTES, OUTQ_MIN_MAX = 1024 };

void sh_outq_init(sh_outq *q, sh_block_pool *pool, sh_quota *quota)
{
    *q = (sh_outq){.pool = pool, .quota = quota};
}

void sh_outq_fini(sh_outq *q)
{
    while (q->first) {
        sh_block *b = q->first;
        q->first = b->next;
        sh_block_put(q->pool, b);
    }
    *q = (sh_outq){.pool = q->pool, .quota = q->quota};
}

void sh_outq_key(sh_outq *q, sh_aead *seal)
{
    sh_outq_close(q);
    q->seal = seal;
    q->nonce = 0;
}

size_t sh_outq_open_room(const sh_outq *q)
{
    if (!q->open) {
        return 0;
    }
    size_t used = q->open_at + q->open_n;
    if (!q->seal) {
        return SH_BLOCK_BYTES - used;
    }
    size_t block = SH_BLOCK_BYTES - OUTQ_TAG - used;
    size_t frame = SH_NOISE_PLAIN_MAX - q->open_n;
    return block < frame ? block : frame;
}

void sh_outq_close(sh_outq *q)
{
    if (!q->open) {
        return;
    }
    q->open = false;
    q->serial++;
    sh_block *b = q->last;
    if (q->open_n == 0) {
        return;
    }
    b->tail = q->open_at + q->open_n;
    if (!q->seal) {
        return;
    }
    uint8_t *plain = b->data + q->open_at;
    int rc = sh_aead_seal(q->seal, q->nonce++, sh_span_none(), plain, q->open_n, plain + q->open_n);
    if (rc < 0) {
        b->tail = q->open_at - OUTQ_LENGTH; /* nothing unsealed may leave */
        q->err = rc;
        return;
    }
    sh_store_u16be(plain - OUTQ_LENGTH, (uint16_t)(q->open_n + OUTQ_TAG));
    b->tail += OUTQ_TAG;
}

static void outq_open(sh_outq *q)
{
    q->open = true;
    q->open_at = q->last->tail + (q->seal ? OUTQ_LENGTH : 0);
    q->open_n = 0;
    q->serial++;
}

static bool outq_add_block(sh_outq *q, bool control)
{
    uint32_t max = SH_CONN_OUT_BLOCKS_MAX + (control ? 1 : 0);
    if (q->blocks >= max) {
        return false;
    }
    sh_block *b;
    if (sh_block_get(q->pool, q->quota, &b) < 0) {
        q->starved = true;
        return false;
    }
    if (q->last) {
        q->last->next = b;
    } else {
        q->first = b;
    }
    q->last = b;
    q->blocks++;
    q->starved = false;
    return true;
}

uint8_t *sh_outq_reserve(sh_outq *q, size_t min, bool control, size_t *room)
{
    SH_ASSERT(min <= OUTQ_MIN_MAX);
    *room = sh_outq_open_room(q);
    if (q->err < 0) {
        return NULL;
    }
    if (!q->open || *room < min) {
        sh_outq_close(q);
        size_t extra = q->seal ? OUTQ_LENGTH + OUTQ_TAG : 0;
        bool fits = q->last && sh_block_room(q->last) >= min + extra;
        /* Data leaves the spare block to control frames, even if there is room in it. */
        bool spare = !control && q->blocks > SH_CONN_OUT_BLOCKS_MAX;
        if (spare || (!fits && !outq_add_block(q, control))) {
            return NULL;
        }
        outq_open(q);
        *room = sh_outq_open_room(q);
    } else if (!control && q->blocks > SH_CONN_OUT_BLOCKS_MAX) {
        return NULL;
    }
    return q->last->data + q->open_at + q->open_n;
}

void sh_outq_commit(sh_outq *q, size_t n)
{
    SH_ASSERT(n <= sh_outq_open_room(q));
    q->open_n += (uint32_t)n;
}

int sh_outq_put(sh_outq *q, sh_span bytes)
{
    while (bytes.n > 0) {
        size_t room;
        uint8_t *at = sh_outq_reserve(q, 1, true, &room);
        if (!at) {
            return q->err < 0 ? q->err : q->starved ? SH_E_NOMEM : SH_E_LIMIT;
        }
        size_t n = bytes.n < room ? bytes.n : room;
        memcpy(at, bytes.p, n);
        sh_outq_commit(q, n);
        bytes = sh_span_skip(bytes, n);
    }
    return 0;
}

size_t sh_outq_data_room(const sh_outq *q)
{
    if (q->err < 0 || (q->starved && q->first) || q->blocks > SH_CONN_OUT_BLOCKS_MAX) {
        return 0;
    }
    size_t fresh = (SH_CONN_OUT_BLOCKS_MAX - q->blocks) * (size_t)SH_NOISE_PLAIN_MAX;
    if (q->open) {
        return fresh + sh_outq_open_room(q);
    }
    size_t extra = q->seal ? OUTQ_LENGTH + OUTQ_TAG : 0;
    size_t rest = q->last ? sh_block_room(q->last) : 0;
    return fresh + (rest > extra ? rest - extra : 0);
}

sh_span sh_outq_out(const sh_outq *q)
{
    return q->first ? sh_block_span(q->first) : sh_span_none();
}

void sh_outq_sent(sh_outq *q, size_t n)
{
    while (n > 0) {
        sh_block *b = q->first;
        SH_ASSERT(b != NULL);
        size_t have = b->tail - b->head;
        size_t take = n < have ? n : have;
        SH_ASSERT(take > 0);
        b->head += (uint32_t)take;
        n -= take;
        q->starved = false;
        if (b->head < b->tail || (b == q->last && q->open && q->open_n > 0)) {
            continue;
        }
        if (b == q->last) {
            q->open = false;
            q->serial++;
            q->last = NULL;
        }
        q->first = b->next;
        q->blocks--;
        sh_block_put(q->pool, b);
    }
}
