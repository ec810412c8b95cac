/* crypto/keys.c - our identity, key protobufs, X25519. Peers' signatures are in verify.c. */
#include "crypto/keys.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/varint.h"
#include "crypto/secret.h"

/* Field 1 varint Type, field 2 bytes Data (peer-ids spec). */
enum { KEY_TAG_TYPE = 0x08, KEY_TAG_DATA = 0x12 };

int sh_key_proto_decode(sh_span key_proto, enum sh_key_type *type, sh_span *data)
{
    sh_reader r = sh_reader_of(key_proto);
    uint8_t head[3];
    if (key_proto.n > SH_KEY_PROTO_MAX || key_proto.n < sizeof head) {
        return SH_E_PROTO;
    }
    for (size_t i = 0; i < sizeof head; i++) {
        sh_read_u8(&r, &head[i]);
    }
    if (head[0] != KEY_TAG_TYPE || head[1] > SH_KEY_ECDSA || head[2] != KEY_TAG_DATA) {
        return SH_E_PROTO;
    }
    if (sh_read_prefixed(&r, data) || sh_read_left(&r)) {
        return SH_E_PROTO;
    }
    *type = (enum sh_key_type)head[1];
    return 0;
}

int sh_key_proto_encode(enum sh_key_type type, sh_span data, uint8_t *out, size_t cap)
{
    sh_writer w = sh_writer_of(out, cap);
    sh_put_u8(&w, KEY_TAG_TYPE);
    sh_put_u8(&w, (uint8_t)type);
    sh_put_u8(&w, KEY_TAG_DATA);
    sh_put_prefixed(&w, data);
    return sh_put_len(&w);
}

int sh_identity_from_seed(sh_identity *id, const uint8_t seed[SH_ED25519_BYTES])
{
    size_t n = SH_ED25519_BYTES;
    memset(id, 0, sizeof *id);
    ERR_set_mark();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SH_ED25519_BYTES);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, id->public_key, &n) == 1;
    ERR_pop_to_mark();
    if (!ok) {
        EVP_PKEY_free(key);
        return SH_E_NOMEM;
    }
    memcpy(id->seed, seed, SH_ED25519_BYTES);
    id->key = key;
    return 0;
}

int sh_identity_from_private(sh_identity *id, sh_span key_proto)
{
    enum sh_key_type type = SH_KEY_RSA;
    sh_span data = sh_span_none();
    memset(id, 0, sizeof *id);
    int rc = sh_key_proto_decode(key_proto, &type, &data);
    if (rc) {
        return rc;
    }
    if (type != SH_KEY_ED25519) {
        return SH_E_UNSUPPORTED;
    }
    if (data.n != 64 && data.n != 96) {
        return SH_E_PROTO;
    }
    rc = sh_identity_from_seed(id, data.p);
    if (rc) {
        return rc;
    }
    bool follows = memcmp(data.p + 32, id->public_key, SH_ED25519_BYTES) == 0;
    if (data.n == 96) { /* the old form says the public key twice */
        follows = follows && memcmp(data.p + 64, id->public_key, SH_ED25519_BYTES) == 0;
    }
    if (!follows) {
        sh_identity_fini(id);
        return SH_E_CRYPTO;
    }
    return 0;
}

void sh_identity_fini(sh_identity *id)
{
    EVP_PKEY_free(id->key); /* cleanses; accepts NULL */
    sh_wipe(id, sizeof *id);
}

int sh_identity_sign(const sh_identity *id, sh_span message,
                     uint8_t out[SH_ED25519_SIGNATURE_BYTES])
{
    size_t n = SH_ED25519_SIGNATURE_BYTES;
    ERR_set_mark();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, id->key) == 1 &&
              EVP_DigestSign(ctx, out, &n, message.p, message.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_pop_to_mark();
    return ok ? 0 : SH_E_NOMEM;
}

void sh_identity_public_proto(const sh_identity *id, uint8_t out[SH_ED25519_PROTO_BYTES])
{
    sh_key_proto_encode(SH_KEY_ED25519, sh_span_of(id->public_key, SH_ED25519_BYTES), out,
                        SH_ED25519_PROTO_BYTES);
}

void sh_identity_private_proto(const sh_identity *id, uint8_t out[SH_ED25519_PRIVATE_BYTES])
{
    uint8_t data[2 * SH_ED25519_BYTES];
    memcpy(data, id->seed, SH_ED25519_BYTES);
    memcpy(data + SH_ED25519_BYTES, id->public_key, SH_ED25519_BYTES);
    sh_key_proto_encode(SH_KEY_ED25519, sh_span_of(data, sizeof data), out,
                        SH_ED25519_PRIVATE_BYTES);
    sh_wipe(data, sizeof data);
}

int sh_x25519_from_random(sh_x25519 *pair, const uint8_t random[SH_X25519_BYTES])
{
    size_t n = SH_X25519_BYTES;
    ERR_set_mark();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, random, SH_X25519_BYTES);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, pair->public_key, &n) == 1;
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    if (!ok) {
        sh_x25519_wipe(pair);
        return SH_E_NOMEM;
    }
    memcpy(pair->secret, random, SH_X25519_BYTES);
    return 0;
}

void sh_x25519_wipe(sh_x25519 *pair)
{
    sh_wipe(pair, sizeof *pair);
}

/* With both halves given: from the secret alone libcrypto would compute the public one again, which costs more than
 * the agreement itself. */
static EVP_PKEY *x25519_own(const sh_x25519 *pair)
{
    OSSL_PARAM parts[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
                                                  (void *)(uintptr_t)pair->secret, SH_X25519_BYTES),
                          OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                  (void *)(uintptr_t)pair->public_key,
                                                  SH_X25519_BYTES),
                          OSSL_PARAM_END};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1) {
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, parts);
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool x25519_derive(EVP_PKEY *own, EVP_PKEY *peer, uint8_t out[SH_X25519_BYTES])
{
    size_t n = SH_X25519_BYTES;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
              EVP_PKEY_derive(ctx, out, &n) == 1 && n == SH_X25519_BYTES;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

int sh_x25519_shared(const sh_x25519 *pair, const uint8_t peer_public[SH_X25519_BYTES],
                     uint8_t out[SH_X25519_BYTES])
{
    static const uint8_t zero[SH_X25519_BYTES];
    ERR_set_mark();
    EVP_PKEY *own = x25519_own(pair);
    EVP_PKEY *peer =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer_public, SH_X25519_BYTES);
    int rc = own && peer ? 0 : SH_E_NOMEM;
    /* RFC 7748 section 6.1: an all-zero result is a low-order point; libcrypto refuses it as well. */
    if (rc == 0 && (!x25519_derive(own, peer, out) || sh_equal_ct(out, zero, sizeof zero))) {
        rc = SH_E_CRYPTO;
    }
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    ERR_pop_to_mark();
    if (rc) {
        sh_wipe(out, SH_X25519_BYTES);
    }
    return rc;
}
