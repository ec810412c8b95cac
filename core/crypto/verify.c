/* crypto/verify.c - peers' public keys of all four types: their form, and their signatures.
 *
 * Only fixed encodings are let through to the library: no explicit curve parameters, no other
 * algorithm behind a SubjectPublicKeyInfo, no RSA exponent that makes verifying slow. */
#include "crypto/keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>

enum { RSA_EXPONENT_BITS_MAX = 64, RSA_ALGORITHM_AT = 4 };

/* A named curve: its SubjectPublicKeyInfo up to the point, which follows uncompressed. */
struct curve {
    const char *group;
    uint8_t head[32];
    uint8_t head_n;
    uint8_t point_n;
};

static const struct curve curves[] = {
    {"P-256",
     {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
      0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00},
     26,
     65},
    {"P-384",
     {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
      0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00},
     23,
     97},
    {"P-521",
     {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
      0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00},
     25,
     133},
};

/* AlgorithmIdentifier rsaEncryption, NULL parameters, then the BIT STRING tag. */
static const uint8_t rsa_algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03};

static const struct curve *ecdsa_curve(sh_span data)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        const struct curve *c = &curves[i];
        if (data.n == (size_t)c->head_n + c->point_n &&
            sh_span_starts(data, sh_span_of(c->head, c->head_n)) && data.p[c->head_n] == 0x04) {
            return c;
        }
    }
    return NULL;
}

/* SEQUENCE with a two-byte length that fits exactly: keys of 2048 bits and more always are. */
/* 2048 bits, the least that is taken, are 270 bytes and more: so an RSA key never is a peer id inlined. */
enum { RSA_BYTES_MIN = 256 };

static bool rsa_form_ok(sh_span data)
{
    return data.n >= RSA_BYTES_MIN && data.p[0] == 0x30 && data.p[1] == 0x82 &&
           sh_load_u16be(data.p + 2) == data.n - 4 &&
           sh_span_starts(sh_span_skip(data, RSA_ALGORITHM_AT),
                          sh_span_of(rsa_algorithm, sizeof rsa_algorithm));
}

static bool key_form_ok(enum sh_key_type type, sh_span data)
{
    switch (type) {
    case SH_KEY_ED25519: return data.n == SH_ED25519_BYTES;
    case SH_KEY_SECP256K1: return data.n == 33 && (data.p[0] == 0x02 || data.p[0] == 0x03);
    case SH_KEY_ECDSA: return ecdsa_curve(data) != NULL;
    case SH_KEY_RSA: return rsa_form_ok(data);
    }
    return false;
}

int sh_pubkey_check(sh_span key_proto)
{
    enum sh_key_type type = SH_KEY_RSA;
    sh_span data = sh_span_none();
    int rc = sh_key_proto_decode(key_proto, &type, &data);
    return rc || !key_form_ok(type, data) ? SH_E_PROTO : 0;
}

/* A public point on a named curve; NULL: not on the curve, or no memory. */
static EVP_PKEY *ec_key(const char *group, sh_span point)
{
    EVP_PKEY *key = NULL;
    /* The library only reads through these pointers. */
    OSSL_PARAM params[3] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.p,
                                          point.n),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool rsa_bounds_ok(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    int bits = EVP_PKEY_get_bits(key);
    bool ok = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && bits >= SH_RSA_BITS_MIN &&
              bits <= SH_RSA_BITS_MAX &&
              EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
              BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
    BN_free(e);
    return ok;
}

static EVP_PKEY *rsa_key(sh_span data)
{
    const unsigned char *at = data.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)data.n);
    if (key && (at != data.p + data.n || !rsa_bounds_ok(key))) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static EVP_PKEY *pubkey_load(enum sh_key_type type, sh_span data)
{
    switch (type) {
    case SH_KEY_ED25519: return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, data.p, data.n);
    case SH_KEY_SECP256K1: return ec_key("secp256k1", data);
    case SH_KEY_ECDSA: {
        const struct curve *c = ecdsa_curve(data);
        return ec_key(c->group, sh_span_skip(data, c->head_n));
    }
    case SH_KEY_RSA: return rsa_key(data);
    }
    return NULL;
}

int sh_pubkey_verify(sh_span key_proto, sh_span message, sh_span signature)
{
    enum sh_key_type type = SH_KEY_RSA;
    sh_span data = sh_span_none();
    if (sh_key_proto_decode(key_proto, &type, &data) || !key_form_ok(type, data)) {
        return SH_E_PROTO;
    }
    if (signature.n == 0 || signature.n > SH_SIGNATURE_MAX) {
        return SH_E_CRYPTO;
    }
    ERR_set_mark();
    const EVP_MD *digest = type == SH_KEY_ED25519 ? NULL : EVP_sha256(); /* RFC 8032 has its own */
    EVP_PKEY *key = pubkey_load(type, data);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = ctx ? SH_E_CRYPTO : SH_E_NOMEM;
    if (key && ctx && EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1 &&
        EVP_DigestVerify(ctx, signature.p, signature.n, message.p, message.n) == 1) {
        rc = 0;
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return rc;
}
