/* Hash maps against an array as model; table hashing; the seeded generator. */
#include "check.h"

#include "base/hash.h"
#include "base/map.h"

enum { KEYS = 600, STEPS = 60000 };

static void u64_map_like_the_model(void **state)
{
    static uint64_t model[KEYS];
    static bool there[KEYS];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    sh_mem_counter c;
    sh_map_u64 m;
    size_t count = 0;
    (void)state;
    sh_map_u64_init(&m, sh_mem_counted(&c, sh_mem_system()), sh_rng_u64(&rng), 500);
    for (int step = 0; step < STEPS; step++) {
        size_t k = (size_t)sh_rng_below(&rng, KEYS);
        uint64_t key = k * 4096, v = sh_rng_u64(&rng), old = 0; /* keys alike in the low bits */
        if (sh_rng_below(&rng, 100) < (step % 20000 < 10000 ? 70u : 30u)) {
            int rc = sh_map_u64_put(&m, key, v);
            assert_int_equal(rc, !there[k] && count == 500 ? SH_E_LIMIT : 0);
            count += rc == 0 && !there[k];
            there[k] = there[k] || rc == 0;
            model[k] = rc == 0 ? v : model[k];
        } else {
            assert_int_equal(sh_map_u64_del(&m, key, &old), there[k]);
            assert_true(!there[k] || old == model[k]);
            count -= there[k];
            there[k] = false;
        }
        k = (size_t)sh_rng_below(&rng, KEYS);
        assert_int_equal(sh_map_u64_get(&m, k * 4096, &v), there[k]);
        assert_true(!there[k] || v == model[k]);
        assert_int_equal(m.count, count);
    }
    size_t cursor = 0, walked = 0;
    for (uint64_t key = 0, v = 0; sh_map_u64_next(&m, &cursor, &key, &v); walked++) {
        assert_true(there[key / 4096] && model[key / 4096] == v);
    }
    assert_int_equal(walked, count);
    sh_map_u64_fini(&m);
    assert_int_equal(c.live_bytes, 0);
}

static sh_span key_of(size_t k, char *buf)
{
    return sh_span_of(
        buf, (size_t)snprintf(buf, 64, "%.*s%zu", (int)(k % 20), "name/of/an/actor/long/long", k));
}

static void bytes_map_like_the_model(void **state)
{
    static uint64_t model[KEYS];
    static bool there[KEYS];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    sh_mem_counter c;
    sh_map_bytes m;
    size_t count = 0;
    char buf[64];
    (void)state;
    sh_map_bytes_init(&m, sh_mem_counted(&c, sh_mem_system()), sh_rng_u64(&rng), 500);
    for (int step = 0; step < STEPS; step++) {
        size_t k = (size_t)sh_rng_below(&rng, KEYS);
        uint64_t v = sh_rng_u64(&rng), old = 0;
        if (sh_rng_below(&rng, 100) < (step % 20000 < 10000 ? 70u : 30u)) {
            int rc = sh_map_bytes_put(&m, key_of(k, buf), v);
            assert_int_equal(rc, !there[k] && count == 500 ? SH_E_LIMIT : 0);
            count += rc == 0 && !there[k];
            there[k] = there[k] || rc == 0;
            model[k] = rc == 0 ? v : model[k];
        } else {
            assert_int_equal(sh_map_bytes_del(&m, key_of(k, buf), &old), there[k]);
            assert_true(!there[k] || old == model[k]);
            count -= there[k];
            there[k] = false;
        }
        k = (size_t)sh_rng_below(&rng, KEYS);
        assert_int_equal(sh_map_bytes_get(&m, key_of(k, buf), &v), there[k]);
        assert_true(!there[k] || v == model[k]);
    }
    size_t cursor = 0, walked = 0;
    sh_span key;
    for (; sh_map_bytes_next(&m, &cursor, &key, NULL); walked++) {
        assert_true(sh_map_bytes_get(&m, key, NULL));
    }
    assert_int_equal(walked, count);
    sh_map_bytes_fini(&m);
    assert_int_equal(c.live_bytes, 0);
}

static void del_takes_a_key_of_the_map_itself(void **state)
{
    sh_map_bytes m;
    (void)state;
    sh_map_bytes_init(&m, sh_mem_system(), 1, 10);
    assert_int_equal(sh_map_bytes_put(&m, sh_span_none(), 5), 0); /* the empty key is a key */
    assert_int_equal(sh_map_bytes_put(&m, sh_span_str("a"), 6), 0);
    while (m.count) {
        size_t cursor = 0;
        sh_span key;
        assert_true(sh_map_bytes_next(&m, &cursor, &key, NULL));
        assert_true(sh_map_bytes_del(&m, key, NULL));
    }
    assert_false(sh_map_bytes_get(&m, sh_span_none(), NULL));
    sh_map_bytes_fini(&m);
}

/* Puts 100 keys under a failing allocator: each failure leaves the map as it was. */
static void out_of_memory_changes_nothing(void **state)
{
    (void)state;
    for (size_t k = 1; k < 120; k++) {
        sh_mem_counter c;
        sh_map_bytes b;
        sh_map_u64 u;
        const sh_mem *mem = sh_mem_counted(&c, sh_mem_system());
        char buf[64];
        sh_map_bytes_init(&b, mem, 3, 1000);
        sh_map_u64_init(&u, mem, 3, 1000);
        c.fail_at = k;
        for (size_t i = 0; i < 100; i++) {
            size_t before = b.count;
            if (sh_map_bytes_put(&b, key_of(i, buf), i)) {
                assert_int_equal(b.count, before);
                assert_int_equal(sh_map_bytes_put(&b, key_of(i, buf), i), 0);
            }
            if (sh_map_u64_put(&u, i, i)) {
                assert_int_equal(sh_map_u64_put(&u, i, i), 0);
            }
        }
        assert_int_equal(b.count, 100);
        assert_int_equal(u.count, 100);
        sh_map_bytes_fini(&b);
        sh_map_u64_fini(&u);
        assert_int_equal(c.live_bytes, 0);
    }
}

static void hashes_are_the_same_everywhere(void **state)
{
    const uint64_t seed = UINT64_C(0xdeadbeefcafef00d);
    (void)state;
    assert_true(sh_hash_bytes(0, sh_span_none()) == UINT64_C(0x1653806f2353e1d6));
    assert_true(sh_hash_bytes(1, sh_span_str("abc")) == UINT64_C(0x5343522ad72a2391));
    assert_true(sh_hash_bytes(seed, sh_span_str("the quick brown fox")) ==
                UINT64_C(0x26fb6c53289f1f40));
    assert_true(sh_hash_u64(1, 2) == UINT64_C(0xa1ea7200751c8edf));
    assert_true(sh_hash_u64(seed, UINT64_C(1) << 63) == UINT64_C(0x2e0ca9c917675834));
    assert_true(sh_fnv1a64(SH_FNV_START, sh_span_str("a")) == UINT64_C(0xaf63dc4c8601ec8c));
}

static void generator_is_the_same_everywhere(void **state)
{
    static const uint64_t want[] = {UINT64_C(0x99ec5f36cb75f2b4), UINT64_C(0xbf6e1f784956452a),
                                    UINT64_C(0x1a5f849d4933e6e0)};
    sh_rng_seeded s;
    sh_rng rng = sh_rng_seeded_init(&s, 0);
    unsigned hits[7] = {0};
    uint8_t odd[3];
    (void)state;
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(sh_rng_u64(&rng) == want[i]);
    }
    rng = sh_rng_seeded_init(&s, 0);
    sh_rng_fill(&rng, odd, sizeof odd);
    assert_int_equal(odd[0], 0xb4);
    assert_int_equal(odd[2], 0x75);
    for (int i = 0; i < 70000; i++) {
        hits[sh_rng_below(&rng, 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(hits[i], 9500, 10500);
    }
    assert_int_equal(sh_rng_below(&rng, 1), 0);
    assert_true(sh_rng_below(&rng, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_map_like_the_model),
        cmocka_unit_test(bytes_map_like_the_model),
        cmocka_unit_test(del_takes_a_key_of_the_map_itself),
        cmocka_unit_test(out_of_memory_changes_nothing),
        cmocka_unit_test(hashes_are_the_same_everywhere),
        cmocka_unit_test(generator_is_the_same_everywhere),
    };
    return RUN(tests);
}
