/* Slab against an array as model. */
#include "check.h"

#include "base/slab.h"

struct thing {
    uint64_t value;
    uint8_t more[93];
};

struct handle {
    uint32_t index, generation;
    struct thing *at;
    uint64_t value;
    bool live;
};

static void slab_like_the_model(void **state)
{
    enum { HANDLES = 4000 };
    static struct handle h[HANDLES];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    sh_mem_counter c;
    sh_slab s;
    uint32_t count = 0;
    (void)state;
    sh_slab_init(&s, sh_mem_counted(&c, sh_mem_system()), sizeof(struct thing), 3000,
                 UINT32_MAX - 2);
    for (int step = 0; step < 200000; step++) {
        struct handle *at = &h[sh_rng_below(&rng, HANDLES)];
        if (at->live) { /* the pointer never moved and nobody else wrote there */
            assert_ptr_equal(sh_slab_get(&s, at->index, at->generation), at->at);
            assert_true(at->at->value == at->value);
            assert_int_equal(sh_slab_generation(&s, at->index), at->generation);
            if (sh_rng_below(&rng, step % 100000 < 50000 ? 3 : 1) == 0) {
                assert_true(sh_slab_free(&s, at->index, at->generation));
                at->live = false;
                count--;
            }
            continue;
        }
        assert_null(sh_slab_get(&s, at->index, at->generation)); /* stale, or never used */
        assert_false(sh_slab_free(&s, at->index, at->generation));
        void *object = NULL;
        int rc = sh_slab_alloc(&s, &at->index, &at->generation, &object);
        assert_int_equal(rc, count == 3000 ? SH_E_LIMIT : 0);
        if (rc == 0) {
            at->at = object;
            assert_true(at->at->value == 0 && at->at->more[92] == 0 && at->generation != 0);
            assert_true((uintptr_t)object % 16 == 0);
            memset(at->at, 0xee, sizeof *at->at);
            at->value = at->at->value = sh_rng_u64(&rng);
            at->live = true;
            count++;
        } else {
            at->generation = 0;
        }
        assert_int_equal(s.count, count);
    }
    uint32_t cursor = 0, index = 0, last = 0, walked = 0;
    for (; sh_slab_next(&s, &cursor, &index); walked++) {
        assert_true(walked == 0 || index > last);
        last = index;
        assert_non_null(sh_slab_at(&s, index));
        assert_true(sh_slab_free(&s, index, sh_slab_generation(&s, index))); /* inside the walk */
    }
    assert_int_equal(walked, count);
    sh_slab_fini(&s);
    assert_int_equal(c.live_bytes, 0);
}

static void any_numbers_are_safe(void **state)
{
    sh_slab s;
    (void)state;
    sh_slab_init(&s, sh_mem_system(), 1, 4, 0);
    assert_null(sh_slab_get(&s, 0, 0));
    assert_null(sh_slab_at(&s, UINT32_MAX));
    void *object = NULL;
    uint32_t index = 9, generation = 0;
    assert_int_equal(sh_slab_alloc(&s, &index, &generation, &object), 0);
    assert_int_equal(generation, 1); /* never 0 */
    assert_null(sh_slab_get(&s, index, 0));
    assert_null(sh_slab_get(&s, index, generation + 1));
    assert_null(sh_slab_get(&s, index + 1, generation));
    assert_int_equal(sh_slab_generation(&s, 77), 0);
    sh_slab_fini(&s);
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (size_t k = 1; k < 8; k++) {
        sh_mem_counter c;
        sh_slab s;
        void *object = NULL;
        size_t failed = 0;
        sh_slab_init(&s, sh_mem_counted(&c, sh_mem_system()), 5000, 100, 1);
        c.fail_at = k;
        for (int i = 0; i < 20; i++) {
            int rc = sh_slab_alloc(&s, NULL, NULL, &object);
            assert_true(rc == 0 || rc == SH_E_NOMEM);
            failed += rc != 0;
        }
        assert_int_equal(failed, 1);
        assert_int_equal(s.count, 19);
        sh_slab_fini(&s);
        assert_int_equal(c.live_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slab_like_the_model),
        cmocka_unit_test(any_numbers_are_safe),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return RUN(tests);
}
