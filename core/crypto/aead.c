/* crypto/aead.c - ChaCha20-Poly1305 through one kept EVP context. */
#include "crypto/aead.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/sh_limits.h"
#include "crypto/secret.h"

enum { AEAD_NONCE_BYTES = 12 };

static bool aead_wake(sh_aead *a)
{
    if (a->ctx || !a->keyed) {
        return a->ctx != NULL;
    }
    ERR_set_mark();
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok =
        ctx && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, a->key, NULL, a->seals) == 1;
    ERR_pop_to_mark();
    if (!ok) {
        EVP_CIPHER_CTX_free(ctx);
        return false;
    }
    a->ctx = ctx;
    return true;
}

int sh_aead_init(sh_aead *a, const uint8_t key[SH_AEAD_KEY_BYTES], bool seals)
{
    *a = (sh_aead){.seals = seals, .keyed = true};
    memcpy(a->key, key, sizeof a->key);
    if (!aead_wake(a)) {
        sh_aead_fini(a);
        return SH_E_NOMEM;
    }
    return 0;
}

void sh_aead_rest(sh_aead *a)
{
    EVP_CIPHER_CTX_free(a->ctx); /* cleanses its copy of the key; accepts NULL */
    a->ctx = NULL;
}

void sh_aead_fini(sh_aead *a)
{
    sh_aead_rest(a);
    a->keyed = false;
    sh_wipe(a->key, sizeof a->key);
}

/* Nonce (Noise: 4 zero bytes, then the counter), associated data, the data in place. A tag that does not fit leaves no
 * entry in OpenSSL's error queue, so no mark is set around a message: that would cost as much as the nonce. */
static bool aead_run(EVP_CIPHER_CTX *ctx, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n)
{
    uint8_t iv[AEAD_NONCE_BYTES] = {0};
    int done = 0;
    sh_store_u64le(iv + 4, nonce);
    if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) != 1) {
        return false;
    }
    if (ad.n && EVP_CipherUpdate(ctx, NULL, &done, ad.p, (int)ad.n) != 1) {
        return false;
    }
    for (size_t at = 0; at < n; at += SH_AEAD_UPDATE_BYTES) {
        size_t piece = n - at < SH_AEAD_UPDATE_BYTES ? n - at : SH_AEAD_UPDATE_BYTES;
        if (EVP_CipherUpdate(ctx, buf + at, &done, buf + at, (int)piece) != 1) {
            return false;
        }
    }
    return true;
}

int sh_aead_seal(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                 uint8_t tag[SH_AEAD_TAG_BYTES])
{
    uint8_t rest[SH_AEAD_TAG_BYTES];
    int done = 0;
    if (!a->seals || ad.n > INT32_MAX || !aead_wake(a)) {
        return SH_E_CRYPTO;
    }
    bool ok = aead_run(a->ctx, nonce, ad, buf, n) && EVP_CipherFinal_ex(a->ctx, rest, &done) == 1 &&
              EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, SH_AEAD_TAG_BYTES, tag) == 1;
    return ok ? 0 : SH_E_CRYPTO;
}

int sh_aead_open(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                 const uint8_t tag[SH_AEAD_TAG_BYTES])
{
    uint8_t expected[SH_AEAD_TAG_BYTES]; /* the control call wants it writable */
    uint8_t rest[SH_AEAD_TAG_BYTES];
    int done = 0;
    if (a->seals || ad.n > INT32_MAX || !aead_wake(a)) {
        return SH_E_CRYPTO;
    }
    memcpy(expected, tag, sizeof expected);
    bool ok =
        aead_run(a->ctx, nonce, ad, buf, n) &&
        EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, SH_AEAD_TAG_BYTES, expected) == 1 &&
        EVP_CipherFinal_ex(a->ctx, rest, &done) == 1;
    if (!ok && n) {
        memset(buf, 0, n);
    }
    return ok ? 0 : SH_E_CRYPTO;
}
