/* ChaCha20-Poly1305: published vectors, forged tags, lengths at the edge. */
#include "vectors.h"

#include <openssl/err.h>

#include "base/sh_limits.h"
#include "crypto/aead.h"

/* RFC 8439 appendix A.5: its nonce is 00000000 0102030405060708, which is ours for that counter. */
static void rfc8439_vector(void **state)
{
    uint8_t key[32], ad[12], cipher[300], tag[16];
    sh_aead open = {0}, seal = {0};
    (void)state;
    check_hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key, 32);
    sh_span aad = check_hex("f33388860000000000004e91", ad, 12);
    sh_span c = check_hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18"
                          "755d43eea09ee94e382d26b0bd"
                          "b7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e00"
                          "8d33bd60f982b1ff37c8559797"
                          "a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b80"
                          "4d46a59b5216cde7a4e99040c5"
                          "a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564e"
                          "ea1b422273f548271a0bb23160"
                          "53fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094"
                          "fa68f0ff77987130305beaba2e"
                          "da04df997b714d6c6f2c29a6ad5cb4022b02709b",
                          cipher, sizeof cipher);
    uint8_t again[300];
    memcpy(again, c.p, c.n);
    check_hex("eead9d67890cbb22392336fea1851f38", tag, 16);
    const uint64_t nonce = UINT64_C(0x0807060504030201);
    assert_int_equal(sh_aead_init(&open, key, false), 0);
    assert_int_equal(sh_aead_init(&seal, key, true), 0);
    assert_int_equal(sh_aead_open(&open, nonce, aad, cipher, c.n, tag), 0);
    assert_memory_equal(cipher, "Internet-Drafts are draft documents valid for a maximum", 55);
    uint8_t made[16];
    assert_int_equal(sh_aead_seal(&seal, nonce, aad, cipher, c.n, made), 0);
    assert_memory_equal(cipher, again, c.n);
    assert_memory_equal(made, tag, 16);
    sh_aead_fini(&open);
    sh_aead_fini(&open);
    sh_aead_fini(&seal);
    assert_int_equal(sh_aead_seal(&seal, 1, aad, cipher, c.n, made), SH_E_CRYPTO);
    assert_int_equal(sh_aead_open(&open, 1, aad, cipher, c.n, made), SH_E_CRYPTO);
}

static void every_size_round_trips(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   15,
                                   16,
                                   17,
                                   63,
                                   64,
                                   65,
                                   SH_AEAD_UPDATE_BYTES - 1,
                                   SH_AEAD_UPDATE_BYTES,
                                   SH_AEAD_UPDATE_BYTES + 1,
                                   3 * SH_AEAD_UPDATE_BYTES,
                                   SH_NOISE_PLAIN_MAX};
    enum { FRAME = SH_NOISE_PLAIN_MAX + SH_AEAD_TAG_BYTES };
    static uint8_t buf[FRAME], plain[FRAME];
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    sh_aead open = {0}, seal = {0};
    uint8_t key[32];
    (void)state;
    sh_rng_fill(&rng, key, sizeof key);
    assert_int_equal(sh_aead_init(&open, key, false), 0);
    assert_int_equal(sh_aead_init(&seal, key, true), 0);
    for (size_t i = 0; i < COUNT(sizes); i++) { /* contexts are kept over all of them */
        size_t n = sizes[i];
        sh_rng_fill(&rng, plain, n);
        memcpy(buf, plain, n);
        assert_int_equal(sh_aead_seal(&seal, i, sh_span_none(), buf, n, buf + n), 0);
        assert_true(n < 15 || memcmp(buf, plain, n) != 0);
        assert_int_equal(sh_aead_open(&open, i, sh_span_none(), buf, n, buf + n), 0);
        assert_memory_equal(buf, plain, n);
    }
    assert_int_equal(sh_aead_open(&seal, 0, sh_span_none(), buf, 1, buf + 1), SH_E_CRYPTO);
    assert_int_equal(sh_aead_seal(&open, 0, sh_span_none(), buf, 1, buf + 1), SH_E_CRYPTO);
    sh_aead_fini(&open);
    sh_aead_fini(&seal);
}

static void nothing_forged_opens(void **state)
{
    sh_aead open = {0}, seal = {0};
    const uint8_t key[32] = {7};
    uint8_t sealed[48], buf[48];
    sh_span ad = sh_span_str("head");
    (void)state;
    assert_int_equal(sh_aead_init(&open, key, false), 0);
    assert_int_equal(sh_aead_init(&seal, key, true), 0);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 7); /* of the host program, not read yet */
    memset(sealed, 'x', 32);
    assert_int_equal(sh_aead_seal(&seal, 9, ad, sealed, 32, sealed + 32), 0);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        memcpy(buf, sealed, sizeof buf);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sh_aead_open(&open, 9, ad, buf, 32, buf + 32), SH_E_CRYPTO);
        for (size_t i = 0; i < 32; i++) {
            assert_int_equal(buf[i], 0); /* and nothing of it can be read */
        }
    }
    memcpy(buf, sealed, sizeof buf);
    assert_int_equal(sh_aead_open(&open, 10, ad, buf, 32, buf + 32), SH_E_CRYPTO);
    memcpy(buf, sealed, sizeof buf);
    assert_int_equal(sh_aead_open(&open, 9, sh_span_none(), buf, 32, buf + 32), SH_E_CRYPTO);
    memcpy(buf, sealed, sizeof buf);
    assert_int_equal(sh_aead_open(&open, 9, ad, buf, 32, buf + 32), 0);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
    assert_int_equal(ERR_get_error(), 0); /* we left none beside it */
    sh_aead_fini(&open);
    sh_aead_fini(&seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8439_vector),
        cmocka_unit_test(every_size_round_trips),
        cmocka_unit_test(nothing_forged_opens),
    };
    return RUN(tests);
}
