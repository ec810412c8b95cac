/* Block pool and byte queue. */
#include "check.h"

#include "base/block.h"

static void pool_charges_what_is_out(void **state)
{
    sh_mem_counter c;
    sh_quota node, conn;
    sh_block_pool pool;
    sh_block *a = NULL, *b = NULL, *d = NULL;
    (void)state;
    sh_quota_init(&node, NULL, 3 * SH_BLOCK_BYTES);
    sh_quota_init(&conn, &node, SH_BLOCK_BYTES);
    sh_block_pool_init(&pool, sh_mem_counted(&c, sh_mem_system()), &node, 1);
    assert_int_equal(sh_block_get(&pool, &conn, &a), 0);
    assert_int_equal(sh_block_get(&pool, &conn, &b), SH_E_LIMIT);
    assert_int_equal(sh_block_get(&pool, NULL, &b), 0);
    assert_int_equal(node.used, 2 * SH_BLOCK_BYTES);
    c.fail_at = c.allocations + 1;
    assert_int_equal(sh_block_get(&pool, NULL, &d), SH_E_NOMEM);
    assert_int_equal(node.used, 2 * SH_BLOCK_BYTES);
    a->tail = 5;
    sh_block_put(&pool, a);
    sh_block_put(&pool, b); /* one is kept, one freed */
    sh_block_put(&pool, NULL);
    assert_int_equal(c.live_blocks, 1);
    assert_int_equal(node.used, 0);
    assert_int_equal(sh_block_get(&pool, &conn, &d), 0);
    assert_true(d->head == 0 && d->tail == 0 && d->next == NULL);
    assert_int_equal(sh_block_room(d), SH_BLOCK_BYTES);
    sh_block_put(&pool, d);
    sh_block_pool_fini(&pool);
    assert_int_equal(c.live_blocks, 0);
}

/* SH_BLOCKS_KEPT as a node's pool has it: one block more goes back at once. Trimming frees two at a time. */
static void pool_keeps_so_many(void **state)
{
    enum { KEPT = SH_BLOCKS_KEPT };
    static sh_block *b[KEPT + 1];
    sh_mem_counter c;
    sh_block_pool pool;
    (void)state;
    sh_block_pool_init(&pool, sh_mem_counted(&c, sh_mem_system()), NULL, KEPT);
    for (unsigned i = 0; i <= KEPT; i++) {
        assert_int_equal(sh_block_get(&pool, NULL, &b[i]), 0);
    }
    for (unsigned i = 0; i <= KEPT; i++) {
        sh_block_put(&pool, b[i]);
        assert_int_equal(pool.free_count, i < KEPT ? i + 1 : KEPT);
    }
    assert_int_equal(c.live_blocks, KEPT);
    for (unsigned left = KEPT; left > SH_BLOCKS_RESTING; left -= 2) {
        assert_int_equal(c.live_blocks, left);
        sh_block_pool_trim(&pool, SH_BLOCKS_RESTING);
    }
    sh_block_pool_trim(&pool, SH_BLOCKS_RESTING);
    assert_int_equal(c.live_blocks, SH_BLOCKS_RESTING);
    sh_block_pool_fini(&pool);
}

static void queue_gives_back_what_it_took(void **state)
{
    enum { LIMIT = 300000 };
    static uint8_t source[LIMIT];
    static uint8_t seen[LIMIT];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    sh_quota quota;
    sh_block_pool pool;
    sh_bytes_queue q;
    uint64_t in = 0, out = 0;
    (void)state;
    sh_rng_fill(&rng, source, sizeof source);
    sh_quota_init(&quota, NULL, 100 * SH_BLOCK_BYTES);
    sh_block_pool_init(&pool, sh_mem_system(), &quota, 2);
    sh_bytes_queue_init(&q, &pool, NULL, LIMIT);
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)sh_rng_below(&rng, round % 10 ? 5000 : 150000);
        size_t at = (size_t)(in % LIMIT);
        n = n < LIMIT - at ? n : LIMIT - at;
        int rc = sh_bytes_queue_append(&q, sh_span_of(source + at, n));
        assert_int_equal(rc, n > LIMIT - (in - out) ? SH_E_LIMIT : 0);
        in += rc ? 0 : n;
        n = sh_bytes_queue_read(&q, seen, (size_t)sh_rng_below(&rng, 40000));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(seen[i], source[(out + i) % LIMIT]);
        }
        out += n;
        assert_int_equal(q.bytes, in - out);
        assert_true(q.bytes == 0 ? q.first == NULL : sh_bytes_queue_front(&q).n > 0);
    }
    sh_bytes_queue_clear(&q);
    assert_int_equal(quota.used, 0);
    assert_int_equal(pool.out_count, 0);
    sh_block_pool_fini(&pool);
}

static void append_is_all_or_nothing(void **state)
{
    static uint8_t big[3 * SH_BLOCK_BYTES];
    sh_mem_counter c;
    sh_quota quota;
    sh_block_pool pool;
    sh_bytes_queue q;
    (void)state;
    sh_quota_init(&quota, NULL, 2 * SH_BLOCK_BYTES);
    sh_block_pool_init(&pool, sh_mem_counted(&c, sh_mem_system()), NULL, 0);
    sh_bytes_queue_init(&q, &pool, &quota, sizeof big);
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_str("abc")), 0);
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_of(big, sizeof big)), SH_E_LIMIT);
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_of(big, 2 * SH_BLOCK_BYTES)), SH_E_LIMIT);
    assert_int_equal(quota.used, SH_BLOCK_BYTES); /* the quota refused the second block */
    c.fail_at = c.allocations + 1;
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_of(big, SH_BLOCK_BYTES)), SH_E_NOMEM);
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_none()), 0);
    assert_span_equal(sh_bytes_queue_front(&q), sh_span_str("abc"));
    sh_bytes_queue_consume(&q, 3);
    assert_int_equal(pool.out_count, 0);
    assert_int_equal(sh_bytes_queue_append(&q, sh_span_none()), 0);
    assert_int_equal(sh_bytes_queue_front(&q).n, 0);
    assert_int_equal(c.live_blocks, 0);
    sh_block_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_charges_what_is_out),
        cmocka_unit_test(pool_keeps_so_many),
        cmocka_unit_test(queue_gives_back_what_it_took),
        cmocka_unit_test(append_is_all_or_nothing),
    };
    return RUN(tests);
}
