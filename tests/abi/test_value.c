/* tests/abi/test_value.c - values: written, read, walked; strict kinds; any bytes are safe to read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <shoal.h>

static void test_round_trip_numbers(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0,
                                      1,
                                      127,
                                      128,
                                      255,
                                      256,
                                      65535,
                                      65536,
                                      4294967295,
                                      4294967296,
                                      (INT64_C(1) << 53) + 1,
                                      INT64_MAX,
                                      -1,
                                      -32,
                                      -33,
                                      -128,
                                      -129,
                                      -32769,
                                      INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        shoal_pack p;
        int64_t out = 0;
        shoal_pack_init(&p, NULL, 0);
        shoal_put_i64(&p, numbers[i]);
        assert_int_equal(shoal_kind(shoal_packed(&p)), SHOAL_KIND_INT);
        assert_int_equal(shoal_as_i64(shoal_packed(&p), &out), 0);
        assert_true(out == numbers[i]);
        shoal_pack_free(&p);
    }
}

static void test_u64_range(void **state)
{
    (void)state;
    shoal_pack p;
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_u64(&p, UINT64_MAX);
    assert_int_equal(shoal_as_u64(shoal_packed(&p), &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(shoal_as_i64(shoal_packed(&p), &i), SHOAL_E_BAD_VALUE);
    assert_int_equal(shoal_as_f64(shoal_packed(&p), &d), SHOAL_E_BAD_VALUE);
    shoal_pack_free(&p);
    shoal_pack_init(&p, NULL, 0);
    shoal_put_i64(&p, -1);
    assert_int_equal(shoal_as_u64(shoal_packed(&p), &u), SHOAL_E_BAD_VALUE);
    shoal_pack_free(&p);
}

static void test_floats(void **state)
{
    (void)state;
    static const double numbers[] = {0.0, -0.0, 1.0, 0.1, -1e308, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        shoal_pack p;
        double out = 7;
        shoal_pack_init(&p, NULL, 0);
        shoal_put_f64(&p, numbers[i]);
        assert_int_equal(shoal_kind(shoal_packed(&p)), SHOAL_KIND_FLOAT);
        assert_int_equal(shoal_as_f64(shoal_packed(&p), &out), 0);
        assert_memory_equal(&out, &numbers[i], sizeof out);
        shoal_pack_free(&p);
    }
    static const unsigned char narrow[] = {0xca, 0x3f, 0x80, 0, 0};
    double out;
    assert_int_equal(shoal_as_f64((shoal_bytes){narrow, sizeof narrow}, &out), 0);
    assert_true(out == 1.0);
}

/* {"items": [1, "two", nil], "n": 5, 3: true} */
static void put_sample(shoal_pack *p)
{
    shoal_put_map(p, 3);
    shoal_put_key(p, "items");
    shoal_put_list(p, 3);
    shoal_put_i64(p, 1);
    shoal_put_text(p, "two", 3);
    shoal_put_nil(p);
    shoal_put_key(p, "n");
    shoal_put_i64(p, 5);
    shoal_put_i64(p, 3);
    shoal_put_bool(p, true);
}

static void test_fields_and_walk(void **state)
{
    (void)state;
    unsigned char room[8]; /* too small: goes on on the heap */
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    put_sample(&p);
    assert_int_equal(shoal_pack_error(&p), 0);
    shoal_bytes map = shoal_packed(&p), items = shoal_field(map, "items"), text;
    assert_int_equal(shoal_kind(map), SHOAL_KIND_MAP);
    assert_int_equal(shoal_count(map), 3);
    assert_int_equal(shoal_count(items), 3);
    assert_int_equal(shoal_as_text(shoal_item(items, 1), &text), 0);
    assert_int_equal(text.len, 3);
    assert_int_equal(shoal_kind(shoal_item(items, 2)), SHOAL_KIND_NIL);
    assert_int_equal(shoal_kind(shoal_item(items, 3)), SHOAL_KIND_NONE);
    assert_int_equal(shoal_field_i64(map, "n", -1), 5);
    assert_int_equal(shoal_field_i64(map, "items", -1), -1);
    assert_int_equal(shoal_field_i64(map, "absent", -1), -1);
    assert_int_equal(shoal_kind(shoal_field(map, "absent")), SHOAL_KIND_NONE);

    shoal_bytes rest = map, key, item;
    int pairs = 0;
    while (shoal_next(&rest, &key, &item) == 1) {
        pairs++;
        assert_int_not_equal(shoal_kind(key), SHOAL_KIND_NONE);
    }
    assert_int_equal(pairs, 3);
    rest = items;
    pairs = 0;
    while (shoal_next(&rest, NULL, &item) == 1) {
        pairs++;
    }
    assert_int_equal(pairs, 3);
    shoal_pack_free(&p);
}

/* A list whose first item is a list: the walk must not fall into it. */
static void test_walk_nested(void **state)
{
    (void)state;
    static const unsigned char nested[] = {0x92, 0x93, 1, 2, 3, 0x90};
    shoal_bytes rest = {nested, sizeof nested}, item;
    assert_int_equal(shoal_next(&rest, NULL, &item), 1);
    assert_int_equal(shoal_count(item), 3);
    assert_int_equal(shoal_next(&rest, NULL, &item), 1);
    assert_int_equal(shoal_count(item), 0);
    assert_int_equal(shoal_next(&rest, NULL, &item), 0);
    assert_int_equal(shoal_next(&rest, NULL, &item), 0);
}

static void test_errors_stick(void **state)
{
    (void)state;
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_text(&p, "\xff", 1);
    assert_int_equal(shoal_pack_error(&p), SHOAL_E_BAD_VALUE);
    shoal_put_i64(&p, 1);
    assert_int_equal(shoal_packed(&p).len, 0);
    shoal_pack_free(&p);
    shoal_bytes nil = shoal_nil();
    assert_int_equal(shoal_kind(nil), SHOAL_KIND_NIL);
    int64_t n;
    assert_int_equal(shoal_as_i64(nil, &n), SHOAL_E_BAD_VALUE);
}

/* Readers on random and on cut bytes: in bounds (the sanitizers watch), never a wrong success past the end. */
static void test_any_bytes(void **state)
{
    (void)state;
    unsigned seed = (unsigned)(getenv("SHOAL_TEST_SEED") ? atoi(getenv("SHOAL_TEST_SEED")) : 12345);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)(rand() % 24);
        unsigned char *bytes = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (unsigned char)rand();
        }
        shoal_bytes value = {bytes, n}, rest = value, key, item, text;
        double d;
        int64_t i;
        bool b;
        (void)shoal_kind(value);
        (void)shoal_as_i64(value, &i);
        (void)shoal_as_f64(value, &d);
        (void)shoal_as_bool(value, &b);
        if (shoal_as_text(value, &text) == 0) {
            assert_true((const unsigned char *)text.data + text.len <= bytes + n);
        }
        (void)shoal_field(value, "a");
        (void)shoal_item(value, 3);
        for (int k = 0; k < 64 && shoal_next(&rest, &key, &item) == 1; k++) {
            assert_true((const unsigned char *)item.data + item.len <= bytes + n);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_numbers),
        cmocka_unit_test(test_u64_range),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_fields_and_walk),
        cmocka_unit_test(test_walk_nested),
        cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
