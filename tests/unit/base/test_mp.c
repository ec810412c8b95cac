/* The MessagePack walk: tables of good and hostile values, and generated ones cut and broken. */
#include "check.h"

#include "base/mp.h"

#define ID38 "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define ID34 "1220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd"
#define REF38                                                                                      \
    "c72e01"                                                                                       \
    "0500000000000000" ID38
#define REF34                                                                                      \
    "c72a01"                                                                                       \
    "0500000000000000" ID34

static const char *const good[] = {
    "00",
    "7f",
    "e0",
    "ff",
    "c0",
    "c2",
    "c3",
    "cc80",
    "cd0100",
    "ce00010000",
    "cfffffffffffffffff",
    "d080",
    "d18000",
    "d280000000",
    "d38000000000000000",
    "ca7fc00000",
    "cb7ff0000000000000",
    "a0",
    "a3616263",
    "d903616263",
    "da0003616263",
    "db00000003616263",
    "a3e282ac",
    "a100",
    "c400",
    "c403ff0080",
    "c50001ff",
    "c600000001ff",
    "90",
    "93010203",
    "dc000101",
    "dd0000000101",
    "80",
    "81a16101",
    "820102ff03",
    "de0001a16101",
    "df0000000101c0",
    "81cc80c0",
    "81d900c0",
    "d90161",
    "ce00000001", /* not the shortest form: allowed */
    REF38,
    REF34,
    "c8002a01"
    "0500000000000000" ID34,
    "92" REF38 REF34,
    "81a161" REF38,
};

static const struct {
    const char *hex;
    size_t at;
} bad[] = {
    {"", 0},
    {"c1", 0},
    {"0000", 1}, /* bytes behind the value */
    {"91", 1},   /* cut */
    {"cd01", 2},
    {"a2c3", 2},
    {"a1ff", 0},     /* not UTF-8 */
    {"a3eda080", 0}, /* surrogate */
    {"d9ff61", 3},   /* length beyond the bytes */
    {"dbffffffff61", 6},
    {"c6ffffffff", 5},
    {"ddffffffff", 5}, /* four billion elements in five bytes */
    {"dfffffffff", 5},
    {"dd00000002c0", 6},
    {"df00000001a161", 7},
    {"9191c1", 2},
    {"9305c1", 3}, /* more elements than bytes: refused before looking at them */
    {"81c0c0", 1}, /* keys are text or integer */
    {"81c40161c0", 1},
    {"8190c0", 1},
    {"81cb0000000000000000c0", 1},
    {"81c3c0", 1},
    {"82a16101c0c0", 4},
    {"81" REF38 "c0", 1},
    {"d40100", 0}, /* other extensions, or refs of a wrong shape */
    {"d8010000000000000000"
     "0000000000000000",
     0},
    {"c70001", 0},
    {"c70002", 0},
    {"c72e02"
     "0500000000000000" ID38,
     0},
    {"d6ff00000000", 0}, /* timestamp */
    {"c72e01"
     "0500000000000000"
     "0023080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     0},
    {"c72e01"
     "0500000000000000"
     "1224080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     0},
    {"c72901"
     "0500000000000000"
     "0021080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d4",
     0},
    {"c72f01"
     "0500000000000000" ID38,
     49},
};

static void tables(void **state)
{
    uint8_t buf[256];
    size_t at = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        sh_span s = check_hex(good[i], buf, sizeof buf);
        if (sh_mp_check(s, SH_MP_DEPTH_MAX, NULL) || sh_mp_skip(s) != (int64_t)s.n) {
            fail_msg("refuses %s", good[i]);
        }
        for (size_t cut = 0; cut < s.n; cut++) { /* no proper start of a value is a value */
            assert_int_equal(sh_mp_check(sh_span_take(s, cut), SH_MP_DEPTH_MAX, &at),
                             SH_E_BAD_VALUE);
            assert_true(at <= cut);
        }
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        sh_span s = check_hex(bad[i].hex, buf, sizeof buf);
        at = 999;
        if (!sh_mp_check(s, SH_MP_DEPTH_MAX, &at) || at != bad[i].at) {
            fail_msg("%s: wrong at %zu, not %zu", bad[i].hex, at, bad[i].at);
        }
    }
    assert_int_equal(sh_mp_skip(check_hex("93010203c1", buf, sizeof buf)), 4);
    assert_int_equal(sh_mp_skip(sh_span_none()), SH_E_BAD_VALUE);
}

static void depth(void **state)
{
    uint8_t buf[200000];
    (void)state;
    memset(buf, 0x91, sizeof buf);
    buf[32] = 0xc0;
    assert_int_equal(sh_mp_check(sh_span_of(buf, 33), 32, NULL), 0);
    assert_int_equal(sh_mp_check(sh_span_of(buf, 33), 31, NULL), SH_E_BAD_VALUE);
    buf[32] = 0x91;
    buf[33] = 0xc0;
    assert_int_equal(sh_mp_check(sh_span_of(buf, 34), 32, NULL), SH_E_BAD_VALUE);
    buf[33] = 0x91;
    assert_int_equal(sh_mp_check(sh_span_of(buf, sizeof buf), 32, NULL), SH_E_BAD_VALUE);
    assert_int_equal(sh_mp_check(sh_span_of("\x90", 1), 0, NULL), SH_E_BAD_VALUE);
    assert_int_equal(sh_mp_check(sh_span_of("\xc0", 1), 0, NULL), 0);
    for (size_t i = 0; i < 32;
         i++) { /* maps nest as well, and many lists beside each other do not */
        buf[2 * i] = 0x81;
        buf[2 * i + 1] = 1;
    }
    buf[64] = 0xc0;
    assert_int_equal(sh_mp_check(sh_span_of(buf, 65), 32, NULL), 0);
    memcpy(buf, "\xdc\x03\xe8", 3);
    memset(buf + 3, 0x90, 1000);
    assert_int_equal(sh_mp_check(sh_span_of(buf, 1003), 2, NULL), 0);
}

static void refs_are_found(void **state)
{
    static const char *const value = "93" REF38 "82a16190"
                                     "05" REF34 "c402"
                                     "c72e";
    uint8_t buf[256], id[64];
    sh_span payload;
    (void)state;
    sh_span s = check_hex(value, buf, sizeof buf);
    assert_int_equal(sh_mp_check(s, 32, NULL), 0);
    sh_mp_refs it = sh_mp_refs_of(s);
    assert_true(sh_mp_refs_next(&it, &payload));
    assert_int_equal(sh_load_u64le(payload.p), 5);
    assert_span_equal(sh_span_skip(payload, 8), check_hex(ID38, id, sizeof id));
    assert_true(sh_mp_refs_next(&it, &payload));
    assert_span_equal(sh_span_skip(payload, 8), check_hex(ID34, id, sizeof id));
    assert_false(sh_mp_refs_next(&it, &payload));
    assert_false(sh_mp_refs_next(&it, &payload));
    for (size_t cut = 0; cut < s.n; cut++) { /* unchecked bytes: in bounds, and it ends */
        it = sh_mp_refs_of(sh_span_take(s, cut));
        while (sh_mp_refs_next(&it, &payload)) {
            assert_true(payload.p + payload.n <= s.p + cut);
        }
    }
}

/* Writes a random value that must pass. */
static void generate(const sh_rng *rng, sh_writer *w, int levels)
{
    static const char *const leaves[] = {
        "c0", "05", "ff", "cd0102", "a26869", "a3e282ac", "c402ff00", "cb3ff0000000000000", REF38};
    static const char *const keys[] = {"01", "d0ff", "a161", "a0"};
    uint8_t buf[64];
    uint64_t n = sh_rng_below(rng, 5);
    switch (levels ? sh_rng_below(rng, 3) : 2) {
    case 0:
        sh_put_u8(w, (uint8_t)(0x90 | n));
        for (; n; n--) {
            generate(rng, w, levels - 1);
        }
        return;
    case 1:
        sh_put_u8(w, 0xde);
        sh_put_u16be(w, (uint16_t)n);
        for (; n; n--) {
            sh_put_bytes(w, check_hex(keys[sh_rng_below(rng, COUNT(keys))], buf, sizeof buf));
            generate(rng, w, levels - 1);
        }
        return;
    default:
        sh_put_bytes(w, check_hex(leaves[sh_rng_below(rng, COUNT(leaves))], buf, sizeof buf));
        return;
    }
}

static void generated_values(void **state)
{
    static uint8_t buf[1 << 18];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    (void)state;
    for (int round = 0; round < 3000; round++) {
        sh_writer w = sh_writer_of(buf, sizeof buf);
        size_t at = 0;
        generate(&rng, &w, 6);
        assert_true(sh_put_len(&w) > 0);
        sh_span s = sh_put_span(&w);
        assert_int_equal(sh_mp_check(s, 6, &at), 0);
        assert_int_equal(sh_mp_skip(s), s.n);
        /* An exact heap copy, so that a sanitizer sees any step outside. */
        uint8_t *copy = malloc(s.n);
        memcpy(copy, s.p, s.n);
        for (int flips = 0; flips < 20; flips++) {
            copy[sh_rng_below(&rng, s.n)] = (uint8_t)sh_rng_u64(&rng);
            size_t n = 1 + (size_t)sh_rng_below(&rng, s.n);
            sh_span part = sh_span_of(copy + (s.n - n), n);
            int rc = sh_mp_check(part, 32, &at);
            int64_t skipped = sh_mp_skip(part);
            assert_true(rc == 0 ? skipped == (int64_t)n : at <= n);
            assert_true(skipped <= (int64_t)n);
            sh_mp_refs it = sh_mp_refs_of(part);
            sh_span payload;
            while (sh_mp_refs_next(&it, &payload)) {
                assert_true(payload.p >= part.p && payload.p + payload.n <= part.p + n);
            }
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(depth),
        cmocka_unit_test(refs_are_found),
        cmocka_unit_test(generated_values),
    };
    return RUN(tests);
}
