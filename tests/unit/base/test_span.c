/* Spans, readers, writers, varints, lists. */
#include "check.h"

#include "base/list.h"
#include "base/varint.h"

static void varint_vectors(void **state)
{
    static const struct {
        uint64_t value;
        const char *hex;
    } cases[] = {
        {0, "00"},         {1, "01"},
        {127, "7f"},       {128, "8001"},
        {255, "ff01"},     {300, "ac02"},
        {16384, "808001"}, {SH_UVARINT_VALUE_MAX, "ffffffffffffffff7f"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t want[16], out[16];
        uint64_t back = 0;
        sh_span bytes = check_hex(cases[i].hex, want, sizeof want);
        assert_int_equal(sh_uvarint_put(out, cases[i].value), bytes.n);
        assert_int_equal(sh_uvarint_size(cases[i].value), bytes.n);
        assert_memory_equal(out, bytes.p, bytes.n);
        assert_int_equal(sh_uvarint_get(bytes, &back), bytes.n);
        assert_true(back == cases[i].value);
        for (size_t cut = 0; cut < bytes.n; cut++) {
            assert_int_equal(sh_uvarint_get(sh_span_take(bytes, cut), &back), SH_E_MORE);
        }
    }
}

static void varint_refuses(void **state)
{
    static const char *const bad[] = {"8100",
                                      "8000",
                                      "80808000",
                                      "ffffffffffffffffff01",
                                      "ffffffffffffffff80",
                                      "ffffffffffffffffff"};
    uint8_t buf[16];
    uint64_t v = 7;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(sh_uvarint_get(check_hex(bad[i], buf, sizeof buf), &v), SH_E_PROTO);
    }
    assert_int_equal(v, 7);
    assert_int_equal(sh_uvarint_put(buf, SH_UVARINT_VALUE_MAX + 1), SH_E_BAD_VALUE);
    assert_int_equal(sh_uvarint_size(UINT64_MAX), SH_E_BAD_VALUE);
}

static void writer_and_reader_round_trip(void **state)
{
    uint8_t buf[64];
    sh_writer w = sh_writer_of(buf, sizeof buf);
    (void)state;
    sh_put_u8(&w, 1);
    sh_put_u16be(&w, 0x0203);
    sh_put_u32be(&w, 0x04050607);
    sh_put_u64be(&w, UINT64_C(0x08090a0b0c0d0e0f));
    sh_put_u16le(&w, 0x0203);
    sh_put_u32le(&w, 0x04050607);
    sh_put_u64le(&w, UINT64_C(0x08090a0b0c0d0e0f));
    sh_put_prefixed(&w, sh_span_str("hey"));
    assert_int_equal(sh_put_len(&w), 33);
    assert_int_equal(buf[1], 2);
    assert_int_equal(buf[15], 3);
    for (size_t cut = 0; cut <= 33; cut++) { /* every cut fails where it must and nowhere else */
        sh_reader r = sh_reader_of(sh_span_of(buf, cut));
        uint8_t a = 0;
        uint16_t b = 0, e = 0;
        uint32_t c = 0, f = 0;
        uint64_t d = 0, g = 0;
        sh_span h = sh_span_none();
        int rc = sh_read_u8(&r, &a);
        rc = rc ? rc : sh_read_u16be(&r, &b);
        rc = rc ? rc : sh_read_u32be(&r, &c);
        rc = rc ? rc : sh_read_u64be(&r, &d);
        rc = rc ? rc : sh_read_u16le(&r, &e);
        rc = rc ? rc : sh_read_u32le(&r, &f);
        rc = rc ? rc : sh_read_u64le(&r, &g);
        rc = rc ? rc : sh_read_prefixed(&r, &h);
        assert_int_equal(rc, cut < 33 ? SH_E_MORE : 0);
        if (cut == 33) {
            assert_true(a == 1 && b == 0x0203 && c == 0x04050607 && e == b && f == c && d == g);
            assert_true(d == UINT64_C(0x08090a0b0c0d0e0f));
            assert_span_equal(h, sh_span_str("hey"));
        }
    }
}

static void writer_overflow_sticks(void **state)
{
    uint8_t buf[4] = {0};
    sh_writer w = sh_writer_of(buf, 3);
    (void)state;
    sh_put_u16be(&w, 1);
    sh_put_u16be(&w, 2);
    sh_put_u8(&w, 3);
    assert_int_equal(sh_put_len(&w), SH_E_LIMIT);
    assert_int_equal(buf[2], 0);
    w = sh_writer_of(buf, 3);
    sh_put_uvarint(&w, UINT64_MAX);
    assert_true(w.overflow);
    assert_null(sh_put_reserve(&w, 0));
}

static void prefixed_length_may_lie(void **state)
{
    uint8_t buf[16];
    sh_span s = check_hex("ffffffffffffffff7f0102", buf, sizeof buf);
    sh_reader r = sh_reader_of(s);
    sh_span out = sh_span_none();
    (void)state;
    assert_int_equal(sh_read_prefixed(&r, &out), SH_E_MORE);
    assert_int_equal(sh_read_left(&r), s.n);
}

static void span_helpers(void **state)
{
    sh_span s = sh_span_str("abcdef");
    (void)state;
    assert_span_equal(sh_span_skip(s, 4), sh_span_str("ef"));
    assert_int_equal(sh_span_skip(s, 99).n, 0);
    assert_span_equal(sh_span_take(s, 2), sh_span_str("ab"));
    assert_true(sh_span_starts(s, sh_span_str("abc")));
    assert_false(sh_span_starts(s, sh_span_str("abcdefg")));
    assert_true(sh_span_eq(sh_span_none(), sh_span_of("x", 0)));
    assert_true(sh_span_cmp(sh_span_str("ab"), s) < 0);
    assert_true(sh_span_cmp(sh_span_str("b"), s) > 0);
    assert_true(sh_span_cmp(s, s) == 0);
    assert_int_equal(sh_span_skip(sh_span_none(), 3).n, 0);
}

struct item {
    int id;
    sh_list link;
};

static void lists_keep_order(void **state)
{
    sh_list head, other;
    struct item items[6];
    int want = 0;
    (void)state;
    sh_list_init(&head);
    sh_list_init(&other);
    for (int i = 0; i < 6; i++) {
        items[i].id = i;
        sh_list_init(&items[i].link);
        sh_list_push_back(i < 3 ? &head : &other, &items[i].link);
    }
    sh_list_splice(&head, &other);
    assert_true(sh_list_empty(&other));
    SH_LIST_FOREACH(it, &head)
    {
        assert_int_equal(SH_CONTAINER(it, struct item, link)->id, want++);
    }
    assert_int_equal(want, 6);
    SH_LIST_FOREACH_SAFE(it, &head)
    {
        if (SH_CONTAINER(it, struct item, link)->id % 2) {
            sh_list_remove(it);
        }
    }
    sh_list_remove(&items[1].link); /* in no list: harmless */
    sh_list_push_front(&head, &items[5].link);
    assert_int_equal(SH_CONTAINER(sh_list_pop(&head), struct item, link)->id, 5);
    assert_int_equal(SH_CONTAINER(sh_list_pop(&head), struct item, link)->id, 0);
    assert_int_equal(SH_CONTAINER(sh_list_pop(&head), struct item, link)->id, 2);
    assert_int_equal(SH_CONTAINER(sh_list_front(&head), struct item, link)->id, 4);
    sh_list_pop(&head);
    assert_null(sh_list_pop(&head));
    assert_null(sh_list_front(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varint_vectors),
        cmocka_unit_test(varint_refuses),
        cmocka_unit_test(writer_and_reader_round_trip),
        cmocka_unit_test(writer_overflow_sticks),
        cmocka_unit_test(prefixed_length_may_lie),
        cmocka_unit_test(span_helpers),
        cmocka_unit_test(lists_keep_order),
    };
    return RUN(tests);
}
