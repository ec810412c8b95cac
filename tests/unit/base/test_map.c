/* Hash maps against an array as model; table hashing; the seeded generator. */
#include "check.h"

#include "base/hash.h"
#include "base/map.h"

enum { KEYS = 600, MOST = 500, STEPS = 60000 };

static sh_span key_of(size_t k, char *buf)
{
    return sh_span_of(
        buf, (size_t)snprintf(buf, 64, "%.*s%zu", (int)(k % 20), "name/of/an/actor/long/long", k));
}

/* Both maps, and an array that knows better. */
struct models {
    sh_mem_counter mem;
    sh_map_u64 u;
    sh_map_bytes b;
    uint64_t value[KEYS];
    bool there[KEYS];
    size_t count;
};

/* Puts v at k, or takes k out. */
static void models_step(struct models *m, size_t k, uint64_t v, bool put)
{
    char buf[64];
    uint64_t key = k * 4096, old[2] = {0}; /* keys alike in the low bits */
    sh_span name = key_of(k, buf);
    bool there = m->there[k];
    if (put) {
        int want = !there && m->count == MOST ? SH_E_LIMIT : 0;
        assert_int_equal(sh_map_u64_put(&m->u, key, v), want);
        assert_int_equal(sh_map_bytes_put(&m->b, name, v), want);
        m->count += want == 0 && !there;
        m->there[k] = there || want == 0;
        m->value[k] = want == 0 ? v : m->value[k];
    } else {
        assert_int_equal(sh_map_u64_del(&m->u, key, &old[0]), there);
        assert_int_equal(sh_map_bytes_del(&m->b, name, &old[1]), there);
        assert_true(!there || (old[0] == m->value[k] && old[1] == m->value[k]));
        m->count -= there;
        m->there[k] = false;
    }
}

static void models_look(const struct models *m, size_t k)
{
    char buf[64];
    uint64_t v[2] = {0};
    assert_int_equal(sh_map_u64_get(&m->u, k * 4096, &v[0]), m->there[k]);
    assert_int_equal(sh_map_bytes_get(&m->b, key_of(k, buf), &v[1]), m->there[k]);
    assert_true(!m->there[k] || (v[0] == m->value[k] && v[1] == m->value[k]));
    assert_int_equal(m->u.count, m->count);
    assert_int_equal(m->b.count, m->count);
}

static void models_walk(const struct models *m)
{
    size_t cursor = 0, walked = 0;
    for (uint64_t key = 0, v = 0; sh_map_u64_next(&m->u, &cursor, &key, &v); walked++) {
        assert_true(m->there[key / 4096] && m->value[key / 4096] == v);
    }
    assert_int_equal(walked, m->count);
    cursor = walked = 0;
    sh_span key;
    for (; sh_map_bytes_next(&m->b, &cursor, &key, NULL); walked++) {
        assert_true(sh_map_bytes_get(&m->b, key, NULL));
    }
    assert_int_equal(walked, m->count);
}

static void maps_like_the_model(void **state)
{
    static struct models m;
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    (void)state;
    const sh_mem *mem = sh_mem_counted(&m.mem, sh_mem_system());
    sh_map_u64_init(&m.u, mem, sh_rng_u64(&rng), MOST);
    sh_map_bytes_init(&m.b, mem, sh_rng_u64(&rng), MOST);
    for (int step = 0; step < STEPS; step++) {
        size_t k = (size_t)sh_rng_below(&rng, KEYS);
        uint64_t v = sh_rng_u64(&rng);
        models_step(&m, k, v, sh_rng_below(&rng, 100) < (step % 20000 < 10000 ? 70u : 30u));
        models_look(&m, (size_t)sh_rng_below(&rng, KEYS));
    }
    models_walk(&m);
    sh_map_u64_fini(&m.u);
    sh_map_bytes_fini(&m.b);
    assert_int_equal(m.mem.live_bytes, 0);
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
        cmocka_unit_test(maps_like_the_model),
        cmocka_unit_test(del_takes_a_key_of_the_map_itself),
        cmocka_unit_test(out_of_memory_changes_nothing),
        cmocka_unit_test(hashes_are_the_same_everywhere),
        cmocka_unit_test(generator_is_the_same_everywhere),
    };
    return RUN(tests);
}
