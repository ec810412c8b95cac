/* Identities, key protobufs, signatures of all four types, X25519. */
#include <openssl/crypto.h>

#include "vectors.h"

#include "crypto/keys.h"

static char *file;

static int load(void **state)
{
    (void)state;
    file = vectors_load("libp2p_identity.txt");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static void identity_from_the_spec(void **state)
{
    uint8_t private_[96], public_[64], sig[64], want[64], out[68];
    sh_identity id;
    (void)state;
    sh_span priv = vectors_hex(file, "ed25519_private", private_, sizeof private_);
    sh_span pub = vectors_hex(file, "ed25519_public", public_, sizeof public_);
    assert_int_equal(sh_identity_from_private(&id, priv), 0);
    sh_identity_public_proto(&id, out);
    assert_span_equal(sh_span_of(out, SH_ED25519_PROTO_BYTES), pub);
    sh_identity_private_proto(&id, out);
    assert_span_equal(sh_span_of(out, sizeof out), priv);
    sh_span text = sh_span_str("libp2p-test");
    assert_int_equal(sh_identity_sign(&id, text, sig), 0);
    assert_span_equal(sh_span_of(sig, 64),
                      vectors_hex(file, "ed25519_signature", want, sizeof want));
    assert_int_equal(sh_pubkey_verify(pub, text, sh_span_of(sig, 64)), 0);
    assert_int_equal(sh_identity_sign(&id, sh_span_none(), sig), 0);
    assert_int_equal(sh_pubkey_verify(pub, sh_span_none(), sh_span_of(sig, 64)), 0);
    sh_identity_fini(&id);
    sh_identity_fini(&id);
    assert_null(id.key);
    assert_int_equal(id.seed[0], 0);
}

static void noise_payload_of_the_spec_key(void **state)
{
    uint8_t private_[96], payload[128], message[56], sig[64];
    sh_identity id;
    (void)state;
    sh_span want = vectors_hex(file, "noise_payload", payload, sizeof payload);
    assert_int_equal(
        sh_identity_from_private(&id, vectors_hex(file, "ed25519_private", private_, 96)), 0);
    memcpy(message, "noise-libp2p-static-key:", 24);
    vectors_hex(file, "noise_static", message + 24, 32);
    assert_int_equal(sh_identity_sign(&id, sh_span_of(message, 56), sig), 0);
    assert_int_equal(want.n, 104);
    assert_memory_equal(want.p + 40, sig, 64);
    sh_identity_fini(&id);
}

static void private_forms(void **state)
{
    uint8_t private_[96], old[128] = {0x08, 0x01, 0x12, 0x60};
    sh_identity id;
    (void)state;
    sh_span priv = vectors_hex(file, "ed25519_private", private_, sizeof private_);
    memcpy(old + 4, priv.p + 4, 64);
    memcpy(old + 68, priv.p + 36, 32);
    assert_int_equal(sh_identity_from_private(&id, sh_span_of(old, 100)),
                     0); /* the old 96-byte form */
    sh_identity_fini(&id);
    old[99] ^= 1;
    assert_int_equal(sh_identity_from_private(&id, sh_span_of(old, 100)), SH_E_CRYPTO);
    private_[67] ^= 1;
    assert_int_equal(sh_identity_from_private(&id, priv), SH_E_CRYPTO);
    private_[67] ^= 1;
    assert_int_equal(sh_identity_from_private(&id, sh_span_take(priv, 67)), SH_E_PROTO);
    assert_int_equal(sh_identity_from_private(&id, sh_span_none()), SH_E_PROTO);
    assert_int_equal(
        sh_identity_from_private(&id, vectors_hex(file, "secp256k1_private", old, sizeof old)),
        SH_E_UNSUPPORTED);
    assert_int_equal(
        sh_identity_from_private(&id, vectors_hex(file, "ed25519_public", old, sizeof old)),
        SH_E_PROTO);
    assert_null(id.key);
}

static void protobuf_is_deterministic(void **state)
{
    static const char *const bad[] = {"",           "08",           "0801",           "080112",
                                      "08011220",   "0804120101",   "080112020102ff", "12010108",
                                      "1201010801", "0881001201ff", "08011281000f",   "080112810f",
                                      "1801120101", "08011a0101",   "08011202ff"};
    static const uint8_t zeros[SH_KEY_PROTO_MAX];
    static uint8_t big[SH_KEY_PROTO_MAX + 8];
    enum sh_key_type type = SH_KEY_RSA;
    sh_span data;
    uint8_t buf[64];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (sh_key_proto_decode(check_hex(bad[i], buf, sizeof buf), &type, &data) != SH_E_PROTO) {
            fail_msg("takes %s", bad[i]);
        }
    }
    assert_int_equal(sh_key_proto_decode(check_hex("0803120101", buf, sizeof buf), &type, &data),
                     0);
    assert_int_equal(type, SH_KEY_ECDSA);
    assert_span_equal(data, sh_span_of("\x01", 1));
    int n =
        sh_key_proto_encode(SH_KEY_RSA, sh_span_of(zeros, SH_KEY_PROTO_MAX - 5), big, sizeof big);
    assert_int_equal(n, SH_KEY_PROTO_MAX);
    assert_int_equal(sh_key_proto_decode(sh_span_of(big, (size_t)n), &type, &data), 0);
    n = sh_key_proto_encode(SH_KEY_RSA, sh_span_of(zeros, SH_KEY_PROTO_MAX - 4), big, sizeof big);
    assert_int_equal(sh_key_proto_decode(sh_span_of(big, (size_t)n), &type, &data), SH_E_PROTO);
    assert_int_equal(sh_key_proto_encode(SH_KEY_RSA, data, buf, 4), SH_E_LIMIT);
}

/* Every single-bit change of a message, of a signature and of a key must be refused. */
static void check_signature(sh_span key, sh_span message, sh_span signature)
{
    uint8_t k[1200], m[128], s[1024];
    memcpy(k, key.p, key.n);
    memcpy(m, message.p, message.n);
    memcpy(s, signature.p, signature.n);
    assert_int_equal(sh_pubkey_check(key), 0);
    assert_int_equal(sh_pubkey_verify(key, message, signature), 0);
    m[message.n / 2] ^= 1;
    assert_int_equal(sh_pubkey_verify(key, sh_span_of(m, message.n), signature), SH_E_CRYPTO);
    assert_int_equal(sh_pubkey_verify(key, sh_span_take(message, message.n - 1), signature),
                     SH_E_CRYPTO);
    for (size_t i = 0; i < signature.n; i += signature.n / 16) {
        s[i] ^= 1;
        assert_int_equal(sh_pubkey_verify(key, message, sh_span_of(s, signature.n)), SH_E_CRYPTO);
        s[i] ^= 1;
    }
    for (size_t i = 0; i < key.n; i += 1 + key.n / 64) {
        k[i] ^= 1;
        assert_true(sh_pubkey_verify(sh_span_of(k, key.n), message, signature) < 0);
        k[i] ^= 1;
    }
    assert_int_equal(sh_pubkey_verify(key, message, sh_span_none()), SH_E_CRYPTO);
    assert_int_equal(sh_pubkey_verify(key, message, sh_span_take(signature, signature.n - 1)),
                     SH_E_CRYPTO);
    assert_int_equal(sh_pubkey_verify(key, message, sh_span_of(s, 0)), SH_E_CRYPTO);
}

static void signatures_of_peers(void **state)
{
    static const char *const types[] = {"ed25519", "secp256k1", "rsa"};
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        uint8_t key[1200], sig[1024];
        char name[64];
        snprintf(name, sizeof name, "%s_public", types[i]);
        sh_span k = vectors_hex(file, name, key, sizeof key);
        snprintf(name, sizeof name, "%s_signature", types[i]);
        check_signature(k, sh_span_str("libp2p-test"), vectors_hex(file, name, sig, sizeof sig));
    }
}

static void signatures_of_the_tls_spec(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++) {
        uint8_t key[1200], sig[1024], message[128];
        char name[64];
        snprintf(name, sizeof name, "tls_%d_key", i);
        sh_span k = vectors_hex(file, name, key, sizeof key);
        snprintf(name, sizeof name, "tls_%d_signature", i);
        sh_span s = vectors_hex(file, name, sig, sizeof sig);
        snprintf(name, sizeof name, "tls_%d_spki", i);
        memcpy(message, "libp2p-tls-handshake:", 21);
        sh_span m =
            sh_span_of(message, 21 + vectors_hex(file, name, message + 21, sizeof message - 21).n);
        if (i == 4) {
            assert_int_equal(sh_pubkey_verify(k, m, s), SH_E_CRYPTO);
        } else {
            check_signature(k, m, s);
        }
    }
}

static void hostile_keys(void **state)
{
    uint8_t key[1200];
    sh_span sig = sh_span_str("0123456789012345678901234567890123456789012345678901234567890123");
    (void)state;
    static const char *const forms[] = {"0801121f1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f"
                                        "0e42d474fce2", /* 31 bytes */
                                        "08021221047777e994e452c21604f91de093ce415f5432f701dd8cd1a7"
                                        "a6fea0e630bfca99", /* not compressed */
                                        "08031203300100", "0800120430820000"};
    for (size_t i = 0; i < COUNT(forms); i++) {
        sh_span k = check_hex(forms[i], key, sizeof key);
        assert_int_equal(sh_pubkey_check(k), SH_E_PROTO);
        assert_int_equal(sh_pubkey_verify(k, sh_span_none(), sig), SH_E_PROTO);
    }
    /* Right form, no such point. */
    memset(key, 0xff, sizeof key);
    check_hex("0802122103", key, 5);
    assert_int_equal(sh_pubkey_verify(sh_span_of(key, 37), sh_span_none(), sig), SH_E_CRYPTO);
    sh_span ec = vectors_hex(file, "ecdsa_public", key, sizeof key);
    assert_int_equal(sh_pubkey_check(ec), 0);
    key[ec.n - 1] ^= 1; /* off the curve */
    assert_int_equal(sh_pubkey_verify(ec, sh_span_none(), sig), SH_E_CRYPTO);
    key[ec.n - 1] ^= 1;
    key[4 + 25] ^= 1; /* another curve in the header, or an unused-bits count */
    assert_int_equal(sh_pubkey_check(ec), SH_E_PROTO);
    /* A length that does not fit exactly. */
    sh_span rsa = vectors_hex(file, "rsa_public", key, sizeof key);
    assert_int_equal(sh_pubkey_check(rsa), 0);
    assert_int_equal(sh_pubkey_check(sh_span_take(rsa, rsa.n - 1)), SH_E_PROTO);
}

/* Keys that verify, and keys whose right signature is still refused: 2040 bits are under SH_RSA_BITS_MIN. */
static void bounds_of_rsa_and_curves(void **state)
{
    static const struct {
        const char *name;
        int want;
    } cases[] = {{"rsa_2048", 0},
                 {"rsa_2040", SH_E_CRYPTO},
                 {"rsa_exponent", SH_E_CRYPTO},
                 {"p384", 0},
                 {"p521", 0}};
    char *made = vectors_load("openssl_keys.txt");
    uint8_t key[1200], sig[1024], shorter[1200];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_public", cases[i].name);
        sh_span k = vectors_hex(made, name, key, sizeof key);
        snprintf(name, sizeof name, "%s_signature", cases[i].name);
        sh_span s = vectors_hex(made, name, sig, sizeof sig);
        assert_int_equal(sh_pubkey_check(k), 0);
        assert_int_equal(sh_pubkey_verify(k, sh_span_str("libp2p-test"), s), cases[i].want);
        enum sh_key_type type = SH_KEY_RSA;
        sh_span data;
        assert_int_equal(sh_key_proto_decode(k, &type, &data), 0);
        int n = sh_key_proto_encode(type, sh_span_take(data, data.n - 1), shorter, sizeof shorter);
        assert_int_equal(sh_pubkey_check(sh_span_of(shorter, (size_t)n)), SH_E_PROTO);
    }
    free(made);
}

static void x25519_vectors(void **state)
{
    uint8_t a_secret[32], b_secret[32], want[32], out[32];
    sh_x25519 a, b;
    (void)state; /* RFC 7748 section 6.1 */
    check_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a_secret, 32);
    check_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b_secret, 32);
    assert_int_equal(sh_x25519_from_random(&a, a_secret), 0);
    assert_int_equal(sh_x25519_from_random(&b, b_secret), 0);
    check_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", want, 32);
    assert_memory_equal(a.public_key, want, 32);
    check_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want, 32);
    assert_int_equal(sh_x25519_shared(&a, b.public_key, out), 0);
    assert_memory_equal(out, want, 32);
    assert_int_equal(sh_x25519_shared(&b, a.public_key, out), 0);
    assert_memory_equal(out, want, 32);
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
    for (size_t i = 0; i < COUNT(low); i++) {
        uint8_t point[32];
        check_hex(low[i], point, 32);
        assert_int_equal(sh_x25519_shared(&a, point, out), SH_E_CRYPTO);
    }
    sh_x25519_wipe(&a);
    assert_int_equal(a.secret[5], 0);
}

static size_t allocations; /* of the cipher library */

static void *crypto_alloc(size_t n, const char *where, int line)
{
    (void)where, (void)line;
    allocations++;
    return malloc(n);
}

static void *crypto_again(void *p, size_t n, const char *where, int line)
{
    (void)where, (void)line;
    return realloc(p, n);
}

static void crypto_free(void *p, const char *where, int line)
{
    (void)where, (void)line;
    free(p);
}

/* SH_SIGNATURE_MAX: a longer one is no signature of any key we take; nothing is made of the key for its sake. */
static void long_signatures(void **state)
{
    (void)state;
    static const uint8_t signature[SH_SIGNATURE_MAX + 1];
    uint8_t key[SH_KEY_PROTO_MAX];
    sh_span rsa = vectors_hex(file, "rsa_public", key, sizeof key);
    for (size_t over = 0; over < 2; over++) {
        allocations = 0;
        assert_int_equal(sh_pubkey_verify(rsa, sh_span_str("said"),
                                          sh_span_of(signature, SH_SIGNATURE_MAX + over)),
                         SH_E_CRYPTO);
        assert_int_equal(allocations == 0, over);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_from_the_spec), cmocka_unit_test(noise_payload_of_the_spec_key),
        cmocka_unit_test(private_forms),          cmocka_unit_test(protobuf_is_deterministic),
        cmocka_unit_test(signatures_of_peers),    cmocka_unit_test(signatures_of_the_tls_spec),
        cmocka_unit_test(hostile_keys),           cmocka_unit_test(bounds_of_rsa_and_curves),
        cmocka_unit_test(x25519_vectors),         cmocka_unit_test(long_signatures),
    };
    if (CRYPTO_set_mem_functions(crypto_alloc, crypto_again, crypto_free) != 1) {
        return 1;
    }
    return cmocka_run_group_tests(tests, load, unload);
}
