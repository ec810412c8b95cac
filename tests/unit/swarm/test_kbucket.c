/* The routing table: order by distance, full buckets, who may push out whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "swarm/kbucket.h"

static const uint8_t SELF[32] = {0};

/* The i-th key of the farthest bucket. */
static const uint8_t *far_key(unsigned i)
{
    static uint8_t key[32];
    memset(key, 0, sizeof key);
    key[0] = 0x80;
    key[5] = (uint8_t)(i >> 8);
    key[6] = (uint8_t)i;
    return key;
}

static void test_prefix(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(sh_kprefix(a, b), 256);
    for (unsigned bit = 0; bit < 256; bit++) {
        memset(b, 0, sizeof b);
        b[bit / 8] = (uint8_t)(0x80 >> bit % 8);
        assert_int_equal(sh_kprefix(a, b), bit);
        assert_true(bit == 0 || sh_kcloser(a, b, far_key(1)) < 0);
    }
}

/* A full bucket of which 0, 1, 2 are not connected; 0 and the youngest were seen again. */
static void fill_bucket(sh_ktable *t)
{
    uint32_t dropped;
    sh_ktable_init(t, sh_mem_system(), SELF);
    assert_int_equal(sh_ktable_insert(t, SELF, 1, true, &dropped), SH_KIN_REFUSED);
    for (unsigned i = 0; i < SH_KAD_K; i++) {
        assert_int_equal(sh_ktable_insert(t, far_key(i), i, i >= 3, &dropped), SH_KIN_ADDED);
    }
    assert_int_equal(sh_ktable_insert(t, far_key(0), 0, false, &dropped), SH_KIN_KNOWN);
    assert_int_equal(sh_ktable_doubt(t, far_key(100)), SH_KTAG_NONE); /* nobody waits */
}

static bool has(const sh_ktable *t, uint32_t tag)
{
    const struct sh_kentry *e;
    uint32_t bucket;
    for (size_t i = 0; (e = sh_ktable_at(t, i, &bucket)) != NULL; i++) {
        if (e->tag == tag) {
            return true;
        }
    }
    return false;
}

static void test_the_oldest_is_asked_before_it_goes(void **state)
{
    (void)state;
    sh_ktable t;
    uint32_t dropped;
    fill_bucket(&t);
    assert_int_equal(sh_ktable_insert(&t, far_key(100), 100, false, &dropped), SH_KIN_SPARE);
    assert_int_equal(sh_ktable_insert(&t, far_key(101), 101, true, &dropped), SH_KIN_SPARE);
    assert_int_equal(sh_ktable_insert(&t, far_key(102), 102, false, &dropped), SH_KIN_SPARE);
    assert_int_equal(dropped, SH_KTAG_NONE);
    assert_true(has(&t, 1) && !has(&t, 101));
    assert_int_equal(sh_ktable_doubt(&t, far_key(101)), 1);
    assert_int_equal(sh_ktable_doubt(&t, far_key(101)), SH_KTAG_NONE); /* one at a time */
    /* It answers: it stays, as the youngest; the next in doubt is another. */
    assert_int_equal(sh_ktable_insert(&t, far_key(1), 1, true, &dropped), SH_KIN_KNOWN);
    assert_true(has(&t, 1) && !has(&t, 101));
    assert_int_equal(sh_ktable_doubt(&t, far_key(101)), 2);
    /* It could not be asked: in doubt again. */
    sh_ktable_set_connected(&t, far_key(2), 2, false);
    assert_int_equal(sh_ktable_doubt(&t, far_key(101)), 2);
    /* It does not answer: the youngest connected one has its place, the others wait on. */
    assert_true(sh_ktable_remove(&t, far_key(2), 2));
    assert_true(has(&t, 101) && !has(&t, 100) && !has(&t, 102));
    assert_int_equal(sh_ktable_doubt(&t, far_key(100)), 0);
    assert_true(sh_ktable_remove(&t, far_key(0), 0));
    assert_true(has(&t, 102));
    assert_int_equal(sh_ktable_doubt(&t, far_key(100)), 102);
    assert_int_equal(t.count, SH_KAD_K);
    sh_ktable_fini(&t);
}

static void test_a_flood_only_turns_over_those_who_wait(void **state)
{
    (void)state;
    sh_ktable t;
    uint32_t dropped, bucket;
    fill_bucket(&t);
    sh_ktable_insert(&t, far_key(100), 100, true, &dropped);
    for (unsigned i = 200; i < 400; i++) { /* who is not connected leaves first */
        assert_int_equal(sh_ktable_insert(&t, far_key(i), i, false, &dropped), SH_KIN_SPARE);
        assert_true(dropped == SH_KTAG_NONE || dropped >= 200);
    }
    for (unsigned i = 400; i < 600; i++) {
        assert_int_equal(sh_ktable_insert(&t, far_key(i), i, true, &dropped), SH_KIN_SPARE);
        assert_true(dropped >= 100 && dropped != SH_KTAG_NONE);
    }
    for (size_t i = 0; i < SH_KAD_K; i++) {
        assert_true(sh_ktable_at(&t, i, &bucket)->tag < SH_KAD_K);
    }
    assert_null(sh_ktable_at(&t, SH_KAD_K, &bucket));
    /* A place becomes free: the youngest has it. */
    assert_true(sh_ktable_remove(&t, far_key(5), 5));
    assert_false(sh_ktable_remove(&t, far_key(5), 5));
    assert_int_equal(t.count, SH_KAD_K);
    uint32_t tags[2 * SH_KAD_K];
    unsigned n = sh_ktable_closest(&t, far_key(599), SH_KTAG_NONE, tags, SH_KAD_K);
    assert_int_equal(n, SH_KAD_K);
    assert_int_equal(tags[0], 599);
    sh_ktable_fini(&t);
}

static void test_closest_against_brute_force(void **state)
{
    (void)state;
    sh_rng_seeded rs;
    sh_rng rng = sh_rng_seeded_init(&rs, 11);
    sh_ktable t;
    uint8_t self[32], target[32];
    sh_rng_fill(&rng, self, sizeof self);
    sh_ktable_init(&t, sh_mem_system(), self);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t key[32];
        uint32_t dropped;
        sh_rng_fill(&rng, key, sizeof key);
        sh_ktable_insert(&t, key, i, i % 2 == 0, &dropped);
    }
    for (unsigned round = 0; round < 50; round++) {
        uint32_t tags[SH_KAD_K], bucket;
        sh_rng_fill(&rng, target, sizeof target);
        uint32_t skip = (uint32_t)sh_rng_below(&rng, 500);
        unsigned n = sh_ktable_closest(&t, target, skip, tags, SH_KAD_K);
        const struct sh_kentry *e, *last = NULL;
        for (unsigned i = 0; i < n; i++) {
            for (size_t k = 0; (e = sh_ktable_at(&t, k, &bucket)) != NULL && e->tag != tags[i];
                 k++) {
            }
            assert_non_null(e);
            assert_int_not_equal(e->tag, skip);
            assert_true(!last || sh_kcloser(target, last->key, e->key) < 0);
            last = e;
        }
        unsigned closer = 0;
        for (size_t k = 0; (e = sh_ktable_at(&t, k, &bucket)) != NULL; k++) {
            assert_int_equal(bucket, sh_kprefix(self, e->key));
            closer += e->tag != skip && sh_kcloser(target, e->key, last->key) < 0 ? 1u : 0u;
        }
        assert_int_equal(closer, n - 1);
    }
    sh_ktable_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_the_oldest_is_asked_before_it_goes),
        cmocka_unit_test(test_a_flood_only_turns_over_those_who_wait),
        cmocka_unit_test(test_closest_against_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
