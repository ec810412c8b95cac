/* Allocator, counting, quotas. */
#include "check.h"

#include "base/mem.h"
#include "base/quota.h"

static void counts_what_is_live(void **state)
{
    sh_mem_counter c;
    const sh_mem *m = sh_mem_counted(&c, sh_mem_system());
    (void)state;
    char *a = sh_mem_zalloc(m, 100);
    void *b = sh_mem_alloc(m, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a[99], 0);
    assert_int_equal(c.live_blocks, 2);
    memset(a, 7, 100);
    a = sh_mem_resize(m, a, 100, 300);
    assert_int_equal(a[99], 7);
    assert_int_equal(c.live_bytes, 301);
    a = sh_mem_resize(m, a, 300, 10);
    assert_int_equal(c.live_bytes, 11);
    assert_int_equal(c.allocations, 3); /* shrinking is none */
    sh_mem_free(m, a, 10);
    sh_mem_free(m, b, 0);
    sh_mem_free(m, NULL, 5);
    assert_int_equal(c.live_bytes, 0);
    assert_int_equal(c.live_blocks, 0);
}

static void refuses_the_kth(void **state)
{
    sh_mem_counter c;
    const sh_mem *m = sh_mem_counted(&c, sh_mem_system());
    (void)state;
    c.fail_at = 2;
    void *a = sh_mem_alloc(m, 8);
    assert_non_null(a);
    assert_null(sh_mem_resize(m, a, 8, 16));
    a = sh_mem_resize(m, a, 8, 16); /* the old block was untouched */
    assert_non_null(a);
    c.fail_from = 4;
    assert_null(sh_mem_alloc(m, 1));
    assert_null(sh_mem_alloc(m, 1));
    sh_mem_free(m, a, 16);
    assert_int_equal(c.live_blocks, 0);
}

static void arrays_do_not_overflow(void **state)
{
    (void)state;
    assert_null(sh_mem_array(sh_mem_system(), SIZE_MAX / 2, 3));
    uint8_t *p = sh_mem_array(sh_mem_system(), 3, 5);
    assert_int_equal(p[14], 0);
    sh_mem_free(sh_mem_system(), p, 15);
    p = sh_mem_array(sh_mem_system(), 0, 5);
    assert_non_null(p);
    sh_mem_free(sh_mem_system(), p, 0);
}

static void quotas_check_the_whole_chain(void **state)
{
    sh_quota node, peer, conn, other;
    (void)state;
    sh_quota_init(&node, NULL, 100);
    sh_quota_init(&peer, &node, 80);
    sh_quota_init(&conn, &peer, 70);
    sh_quota_init(&other, &node, 50);
    assert_int_equal(sh_quota_take(&conn, 60), 0);
    assert_int_equal(sh_quota_room(&conn), 10);
    assert_int_equal(sh_quota_take(&other, 41), SH_E_LIMIT);
    assert_int_equal(other.used, 0); /* nothing half taken */
    assert_int_equal(node.used, 60);
    assert_int_equal(node.refused, 1);
    assert_int_equal(sh_quota_take(&other, 40), 0);
    assert_int_equal(sh_quota_take(&conn, 1), SH_E_LIMIT);
    assert_int_equal(sh_quota_take(&conn, SIZE_MAX), SH_E_LIMIT);
    sh_quota_give(&conn, 20);
    assert_int_equal(peer.used, 40);
    sh_quota_fini(&conn);
    sh_quota_fini(&other);
    assert_int_equal(node.used, 0);
    assert_int_equal(sh_quota_take(NULL, SIZE_MAX), 0);
    assert_true(sh_quota_room(NULL) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_live),
        cmocka_unit_test(refuses_the_kth),
        cmocka_unit_test(arrays_do_not_overflow),
        cmocka_unit_test(quotas_check_the_whole_chain),
    };
    return RUN(tests);
}
