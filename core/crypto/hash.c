/* crypto/hash.c - SHA-256, HMAC-SHA-256 and Noise's HKDF over libcrypto. */
#include "crypto/hash.h"

#include <openssl/evp.h>

#include "crypto/secret.h"

enum { HMAC_BLOCK_BYTES = 64 };

/* SHA-256 over up to three pieces; every digest of this layer passes here. */
static int hash_pieces(const sh_span *pieces, int count, uint8_t out[SH_SHA256_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (int i = 0; ok && i < count; i++) {
        ok = pieces[i].n == 0 || EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok) {
        memset(out, 0, SH_SHA256_BYTES);
        return SH_E_NOMEM;
    }
    return 0;
}

int sh_sha256(sh_span s, uint8_t out[SH_SHA256_BYTES])
{
    return hash_pieces(&s, 1, out);
}

int sh_sha256_2(sh_span a, sh_span b, uint8_t out[SH_SHA256_BYTES])
{
    sh_span pieces[2] = {a, b};
    return hash_pieces(pieces, 2, out);
}

/* HMAC of two pieces: HKDF appends a counter byte without gluing. */
static int hmac_2(sh_span key, sh_span a, sh_span b, uint8_t out[SH_SHA256_BYTES])
{
    uint8_t inner[HMAC_BLOCK_BYTES] = {0};
    uint8_t outer[HMAC_BLOCK_BYTES];
    uint8_t digest[SH_SHA256_BYTES];
    int rc = 0;
    if (key.n > HMAC_BLOCK_BYTES) {
        rc = sh_sha256(key, inner);
    } else if (key.n) {
        memcpy(inner, key.p, key.n);
    }
    for (int i = 0; i < HMAC_BLOCK_BYTES; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    sh_span pieces[3] = {sh_span_of(inner, sizeof inner), a, b};
    rc = rc ? rc : hash_pieces(pieces, 3, digest);
    rc = rc ? rc
            : sh_sha256_2(sh_span_of(outer, sizeof outer), sh_span_of(digest, sizeof digest), out);
    sh_wipe(inner, sizeof inner);
    sh_wipe(outer, sizeof outer);
    sh_wipe(digest, sizeof digest);
    if (rc) {
        memset(out, 0, SH_SHA256_BYTES);
    }
    return rc;
}

int sh_hmac_sha256(sh_span key, sh_span data, uint8_t out[SH_SHA256_BYTES])
{
    return hmac_2(key, data, sh_span_none(), out);
}

int sh_hkdf_noise(const uint8_t ck[SH_SHA256_BYTES], sh_span input, uint8_t out1[SH_SHA256_BYTES],
                  uint8_t out2[SH_SHA256_BYTES], uint8_t *out3)
{
    uint8_t temp[SH_SHA256_BYTES] = {0};
    const uint8_t count[3] = {1, 2, 3};
    sh_span key = sh_span_of(temp, sizeof temp);
    int rc = sh_hmac_sha256(sh_span_of(ck, SH_SHA256_BYTES), input, temp);
    rc = rc ? rc : hmac_2(key, sh_span_none(), sh_span_of(&count[0], 1), out1);
    rc = rc ? rc : hmac_2(key, sh_span_of(out1, SH_SHA256_BYTES), sh_span_of(&count[1], 1), out2);
    if (out3) {
        rc = rc ? rc
                : hmac_2(key, sh_span_of(out2, SH_SHA256_BYTES), sh_span_of(&count[2], 1), out3);
    }
    sh_wipe(temp, sizeof temp);
    if (rc) { /* half a result must not be used as a key */
        memset(out1, 0, SH_SHA256_BYTES);
        memset(out2, 0, SH_SHA256_BYTES);
    }
    return rc;
}
