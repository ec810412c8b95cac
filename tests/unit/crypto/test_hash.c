/* SHA-256, HMAC, HKDF, comparing and wiping. */
#include "vectors.h"

#include "crypto/hash.h"
#include "crypto/secret.h"

static void assert_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    char text[256];
    assert_true(sh_hex_encode(sh_span_of(bytes, n), text, sizeof text) > 0);
    assert_string_equal(text, hex);
}

static void sha256_vectors(void **state)
{
    uint8_t out[32], two[32];
    (void)state;
    assert_int_equal(sh_sha256(sh_span_none(), out), 0); /* FIPS 180-4 examples */
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(sh_sha256(sh_span_str("abc"), out), 0);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sh_span text = sh_span_str("multihash");
    assert_int_equal(sh_sha256(text, out), 0);
    assert_hex(out, 32, "9cbc07c3f991725836a3aa2a581ca2029198aa420b9d99bc0e131d9f3e2cbe47");
    for (size_t cut = 0; cut <= text.n; cut++) {
        assert_int_equal(sh_sha256_2(sh_span_take(text, cut), sh_span_skip(text, cut), two), 0);
        assert_memory_equal(out, two, 32);
    }
    memcpy(two, out, 32); /* in place, as MixHash does */
    assert_int_equal(sh_sha256_2(sh_span_of(out, 32), text, out), 0);
    uint8_t glued[41];
    memcpy(glued, two, 32);
    memcpy(glued + 32, text.p, text.n);
    assert_int_equal(sh_sha256(sh_span_of(glued, sizeof glued), two), 0);
    assert_memory_equal(out, two, 32);
}

/* RFC 4231, cases 1, 2, 6. */
static void hmac_vectors(void **state)
{
    uint8_t key[131], out[32];
    (void)state;
    memset(key, 0x0b, 20);
    assert_int_equal(sh_hmac_sha256(sh_span_of(key, 20), sh_span_str("Hi There"), out), 0);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(
        sh_hmac_sha256(sh_span_str("Jefe"), sh_span_str("what do ya want for nothing?"), out), 0);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    assert_int_equal(
        sh_hmac_sha256(sh_span_of(key, 131),
                       sh_span_str("Test Using Larger Than Block-Size Key - Hash Key First"), out),
        0);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869 case 3's shape: no info, so the first two blocks of its OKM are Noise's outputs. */
static void hkdf_is_rfc5869_without_info(void **state)
{
    uint8_t ck[32] = {0}, ikm[22], a[32], b[32], c[32];
    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    /* An absent salt is 32 zero bytes there, which is this chaining key. */
    assert_int_equal(sh_hkdf_noise(ck, sh_span_of(ikm, sizeof ikm), a, b, c), 0);
    assert_hex(a, 32, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    assert_hex(b, 10, "9d201395faa4b61a96c8");
    assert_int_equal(sh_hkdf_noise(ck, sh_span_of(ikm, sizeof ikm), ck, c, NULL), 0);
    assert_memory_equal(ck, a, 32);
    assert_memory_equal(c, b, 32);
}

static void secrets(void **state)
{
    uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    (void)state;
    assert_false(sh_equal_ct(a, b, 4));
    assert_true(sh_equal_ct(a, b, 3));
    assert_true(sh_equal_ct(NULL, NULL, 0));
    sh_wipe(a, 4);
    sh_wipe(NULL, 0);
    assert_int_equal(a[0] | a[1] | a[2] | a[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(hkdf_is_rfc5869_without_info),
        cmocka_unit_test(secrets),
    };
    return RUN(tests);
}
