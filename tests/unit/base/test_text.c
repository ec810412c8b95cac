/* Text encodings, UTF-8, log lines. */
#include "check.h"

#include "base/log.h"
#include "base/sh_limits.h"

typedef int encoder(sh_span bytes, char *out, size_t cap);
typedef int decoder(sh_span text, uint8_t *out, size_t cap);

static const struct codec {
    encoder *encode;
    decoder *decode;
} codecs[] = {
    {sh_hex_encode, sh_hex_decode},       {sh_base58_encode, sh_base58_decode},
    {sh_base36_encode, sh_base36_decode}, {sh_base32_encode, sh_base32_decode},
    {sh_base64_encode, sh_base64_decode}, {sh_base64url_encode, sh_base64url_decode},
};

static void vectors(void **state)
{
    static const struct {
        int codec;
        const char *hex;
        const char *text;
    } cases[] = {
        {0, "00ff10", "00ff10"},
        {1, "", ""},
        {1, "00", "1"},
        {1, "000028", "11h"},
        {1, "61", "2g"},
        {1, "48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"},
        {1, "12209cbc07c3f991725836a3aa2a581ca2029198aa420b9d99bc0e131d9f3e2cbe47",
         "QmYtUc4iTCbbfVSDNKvtQqrfyezPPnFvE33wFmutw9PBBk"},
        {2, "00", "0"},
        {2, "0024", "010"},
        {2, "796573206d616e692021", "2lcpzo5yikidynfl"},
        {3, "66", "my"},
        {3, "666f6f626172", "mzxw6ytboi"},
        {4, "66", "Zg=="},
        {4, "666f6f62", "Zm9vYg=="},
        {4, "fbff", "+/8="},
        {5, "fbff", "-_8"},
        {5, "666f6f", "Zm9v"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct codec *c = &codecs[cases[i].codec];
        uint8_t bytes[128], back[128];
        char text[128];
        sh_span want = check_hex(cases[i].hex, bytes, sizeof bytes);
        size_t n = strlen(cases[i].text);
        assert_int_equal(c->encode(want, text, n + 1), n);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(c->encode(want, text, n), SH_E_LIMIT);
        assert_int_equal(c->decode(sh_span_str(cases[i].text), back, want.n), want.n);
        assert_memory_equal(back, want.p, want.n);
        if (want.n) {
            assert_int_equal(c->decode(sh_span_str(cases[i].text), back, want.n - 1), SH_E_LIMIT);
        }
    }
}

static void random_bytes_round_trip(void **state)
{
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    (void)state;
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[SH_RADIX_BYTES_MAX], back[SH_RADIX_BYTES_MAX];
        char text[300];
        size_t n = (size_t)sh_rng_below(&rng, sizeof bytes + 1);
        sh_rng_fill(&rng, bytes, n);
        memset(bytes, 0, n < 4 ? n : (size_t)sh_rng_below(&rng, 4));
        const struct codec *c = &codecs[(size_t)i % COUNT(codecs)];
        int length = c->encode(sh_span_of(bytes, n), text, sizeof text);
        assert_true(length >= 0 && (size_t)length == strlen(text));
        assert_int_equal(c->decode(sh_span_str(text), back, sizeof back), n);
        assert_memory_equal(back, bytes, n);
    }
}

static void refuses(void **state)
{
    static const struct {
        int codec;
        const char *text;
    } bad[] = {
        {0, "0"},   {0, "0g"},   {1, "0"},    {1, "I"},    {1, "l"},        {1, "a b"},
        {2, "-"},   {3, "m"},    {3, "mz"},   {3, "m1"},   {3, "my======"}, {4, "Zg"},
        {4, "Zg="}, {4, "===="}, {4, "Zh=="}, {4, "Z==="}, {4, "Zg==Zg=="}, {5, "Zg=="},
        {5, "Z"},   {5, "+/8"},  {5, "Zh"},
    };
    uint8_t out[32];
    char text[2000];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        int rc = codecs[bad[i].codec].decode(sh_span_str(bad[i].text), out, sizeof out);
        if (rc != SH_E_BAD_VALUE) {
            fail_msg("codec %d takes %s: %d", bad[i].codec, bad[i].text, rc);
        }
    }
    memset(text, '1', sizeof text);
    uint8_t big[SH_RADIX_BYTES_MAX + 1] = {1};
    for (size_t i = 1; i <= 2; i++) { /* quadratic ones are bounded */
        assert_int_equal(codecs[i].encode(sh_span_of(big, sizeof big), text, sizeof text),
                         SH_E_LIMIT);
        assert_int_equal(codecs[i].decode(sh_span_of(text, 300), big, sizeof big), SH_E_LIMIT);
        memset(text, 'z', sizeof text);
        assert_int_equal(codecs[i].decode(sh_span_of(text, 250), big, sizeof big), SH_E_LIMIT);
    }
    assert_int_equal(sh_hex_decode(sh_span_str("aAfF"), out, 2), 2);
}

static void utf8(void **state)
{
    static const char *const good[] = {"",        "00",       "61",       "c280",
                                       "dfbf",    "e0a080",   "ed9fbf",   "ee8080",
                                       "efbfbf",  "f0908080", "f48fbfbf", "6162636465666768c3a9",
                                       "e282ac61"};
    static const char *const bad[] = {"80",
                                      "c0af",
                                      "c1bf",
                                      "c2",
                                      "e08080",
                                      "e09fbf",
                                      "eda080",
                                      "edbfbf",
                                      "e282",
                                      "f0808080",
                                      "f08fbfbf",
                                      "f4908080",
                                      "f5808080",
                                      "ff",
                                      "f09080",
                                      "c3c3",
                                      "6162636465666768ff",
                                      "e28261",
                                      "e2e282"};
    uint8_t buf[32];
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(sh_utf8_valid(check_hex(good[i], buf, sizeof buf)));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (sh_utf8_valid(check_hex(bad[i], buf, sizeof buf))) {
            fail_msg("takes %s", bad[i]);
        }
    }
    assert_int_equal(sh_utf8_cut(sh_span_str("a\xe2\x82\xac"), 3).n, 1);
    assert_int_equal(sh_utf8_cut(sh_span_str("a\xe2\x82\xac"), 4).n, 4);
    assert_int_equal(sh_utf8_cut(sh_span_str("abc"), 2).n, 2);
    assert_int_equal(sh_utf8_cut(sh_span_str("\xe2\x82\xac"), 0).n, 0);
}

static void names(void **state)
{
    char longest[SH_NAME_MAX + 1];
    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_true(sh_name_valid(sh_span_str("a")));
    assert_true(sh_name_valid(sh_span_of(longest, SH_NAME_MAX)));
    assert_false(sh_name_valid(sh_span_of(longest, SH_NAME_MAX + 1)));
    assert_false(sh_name_valid(sh_span_none()));
    assert_false(sh_name_valid(sh_span_of("a\0b", 3)));
    assert_false(sh_name_valid(sh_span_str("\xff")));
}

struct sink {
    char text[SH_LOG_LINE_MAX];
    size_t n;
    int lines;
};

static void sink_write(void *ud, int level, const char *text, size_t n)
{
    struct sink *s = ud;
    assert_true(level <= SH_LOG_WARN && n < sizeof s->text && text[n] == '\0');
    memcpy(s->text, text, n + 1);
    s->n = n;
    s->lines++;
}

static void log_lines_are_bounded_and_clean(void **state)
{
    struct sink s = {0};
    sh_log log = {sink_write, &s, SH_LOG_WARN};
    char longer[2 * SH_LOG_LINE_MAX];
    (void)state;
    sh_logf(&log, SH_LOG_WARN, "yamux", "event=%s stream=%u", "re\nset\x1b", 7u);
    assert_string_equal(s.text, "yamux: event=re?set? stream=7");
    sh_logf(&log, SH_LOG_INFO, "yamux", "dropped");
    sh_logf(NULL, SH_LOG_ERROR, "yamux", "dropped");
    assert_int_equal(s.lines, 1);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    sh_logf(&log, SH_LOG_ERROR, "m", "%s", longer);
    assert_int_equal(s.n, SH_LOG_LINE_MAX - 1);
    assert_string_equal(sh_log_level_name(SH_LOG_TRACE), "trace");
    assert_string_equal(sh_log_level_name(9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(random_bytes_round_trip),
        cmocka_unit_test(refuses), cmocka_unit_test(utf8),
        cmocka_unit_test(names),   cmocka_unit_test(log_lines_are_bounded_and_clean),
    };
    return RUN(tests);
}
