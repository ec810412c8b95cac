/* tests/sim/cheap.c - cheap stand-ins for the functions of core/crypto, for most worlds of bin/shoal-sim.
 *
 * Shape    the linker puts these in the place of the real ones (-Wl,--wrap, in this program only: the product holds no
 *          way to do without cryptography). While cheap is off they call the real ones.
 * Rule     sizes, framing, order of messages and every check stay: a key that does not fit, a nonce that has moved, a
 *          changed byte or a wrong signature is an error as before. Nothing is secret.
 * Threads  confined. */
#include "cheap.h"

#include <stdint.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/keys.h"

#define REAL(name)  __real_##name
#define CHEAP(name) __wrap_##name

int REAL(sh_aead_init)(sh_aead *a, const uint8_t key[32], bool seals);
void REAL(sh_aead_rest)(sh_aead *a);
void REAL(sh_aead_fini)(sh_aead *a);
int REAL(sh_aead_seal)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                       uint8_t *tag);
int REAL(sh_aead_open)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                       const uint8_t *tag);
int REAL(sh_sha256)(sh_span s, uint8_t *out);
int REAL(sh_sha256_2)(sh_span a, sh_span b, uint8_t *out);
int REAL(sh_hkdf_noise)(const uint8_t *ck, sh_span input, uint8_t *out1, uint8_t *out2,
                        uint8_t *out3);
int REAL(sh_x25519_from_random)(sh_x25519 *pair, const uint8_t *random);
int REAL(sh_x25519_shared)(const sh_x25519 *pair, const uint8_t *peer_public, uint8_t *out);
int REAL(sh_identity_sign)(const sh_identity *id, sh_span message, uint8_t *out);
int REAL(sh_pubkey_verify)(sh_span key_proto, sh_span message, sh_span signature);

int CHEAP(sh_aead_init)(sh_aead *a, const uint8_t key[32], bool seals);
void CHEAP(sh_aead_rest)(sh_aead *a);
void CHEAP(sh_aead_fini)(sh_aead *a);
int CHEAP(sh_aead_seal)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                        uint8_t *tag);
int CHEAP(sh_aead_open)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                        const uint8_t *tag);
int CHEAP(sh_sha256)(sh_span s, uint8_t *out);
int CHEAP(sh_sha256_2)(sh_span a, sh_span b, uint8_t *out);
int CHEAP(sh_hkdf_noise)(const uint8_t *ck, sh_span input, uint8_t *out1, uint8_t *out2,
                         uint8_t *out3);
int CHEAP(sh_x25519_from_random)(sh_x25519 *pair, const uint8_t *random);
int CHEAP(sh_x25519_shared)(const sh_x25519 *pair, const uint8_t *peer_public, uint8_t *out);
int CHEAP(sh_identity_sign)(const sh_identity *id, sh_span message, uint8_t *out);
int CHEAP(sh_pubkey_verify)(sh_span key_proto, sh_span message, sh_span signature);

static bool cheap;

void cheap_crypto(bool on)
{
    cheap = on;
}

/* --- a hash of 64 bits, eight bytes a step --- */

static uint64_t stir(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t stir_bytes(uint64_t h, sh_span s)
{
    size_t at = 0;
    for (; at + 8 <= s.n; at += 8) {
        h = stir(h, sh_load_u64le(s.p + at));
    }
    for (; at < s.n; at++) {
        h = stir(h, s.p[at]);
    }
    return stir(h, s.n);
}

static void spread(uint64_t h, uint8_t *out, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint64_t word = stir(stir(h, i + 1), UINT64_C(0xbf58476d1ce4e5b9));
        sh_store_u64le(out + i * 8, word ^ word >> 32);
    }
}

/* --- AEAD: the text stays readable, the tag covers key, nonce and all bytes --- */

int CHEAP(sh_aead_init)(sh_aead *a, const uint8_t key[32], bool seals)
{
    if (!cheap) {
        return REAL(sh_aead_init)(a, key, seals);
    }
    uint64_t h = stir_bytes(1, sh_span_of(key, 32));
    *a = (sh_aead){.ctx = (void *)(uintptr_t)(h | 1u), .seals = seals};
    return 0;
}

void CHEAP(sh_aead_rest)(sh_aead *a)
{
    if (!cheap) {
        REAL(sh_aead_rest)(a);
    }
}

void CHEAP(sh_aead_fini)(sh_aead *a)
{
    if (!cheap) {
        REAL(sh_aead_fini)(a);
        return;
    }
    a->ctx = NULL;
}

static void aead_tag(const sh_aead *a, uint64_t nonce, sh_span ad, const uint8_t *buf, size_t n,
                     uint8_t tag[16])
{
    uint64_t h = stir((uint64_t)(uintptr_t)a->ctx, nonce);
    h = ad.n > 0 ? stir_bytes(h, ad) : h;
    spread(stir_bytes(h, sh_span_of(buf, n)), tag, 2);
}

int CHEAP(sh_aead_seal)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                        uint8_t *tag)
{
    if (!cheap) {
        return REAL(sh_aead_seal)(a, nonce, ad, buf, n, tag);
    }
    if (!a->ctx || !a->seals) {
        return SH_E_CRYPTO;
    }
    aead_tag(a, nonce, ad, buf, n, tag);
    return 0;
}

int CHEAP(sh_aead_open)(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                        const uint8_t *tag)
{
    if (!cheap) {
        return REAL(sh_aead_open)(a, nonce, ad, buf, n, tag);
    }
    uint8_t expected[16];
    if (!a->ctx || a->seals) {
        return SH_E_CRYPTO;
    }
    aead_tag(a, nonce, ad, buf, n, expected);
    if (memcmp(tag, expected, sizeof expected) != 0) {
        memset(buf, 0, n);
        return SH_E_CRYPTO;
    }
    return 0;
}

/* --- hashes --- */

int CHEAP(sh_sha256)(sh_span s, uint8_t *out)
{
    if (!cheap) {
        return REAL(sh_sha256)(s, out);
    }
    spread(stir_bytes(2, s), out, 4);
    return 0;
}

int CHEAP(sh_sha256_2)(sh_span a, sh_span b, uint8_t *out)
{
    if (!cheap) {
        return REAL(sh_sha256_2)(a, b, out);
    }
    spread(stir_bytes(stir_bytes(3, a), b), out, 4);
    return 0;
}

int CHEAP(sh_hkdf_noise)(const uint8_t *ck, sh_span input, uint8_t *out1, uint8_t *out2,
                         uint8_t *out3)
{
    if (!cheap) {
        return REAL(sh_hkdf_noise)(ck, input, out1, out2, out3);
    }
    uint64_t h = stir_bytes(stir_bytes(4, sh_span_of(ck, 32)), input);
    spread(stir(h, 1), out1, 4);
    spread(stir(h, 2), out2, 4);
    if (out3) {
        spread(stir(h, 3), out3, 4);
    }
    return 0;
}

/* --- keys: the shared secret of two pairs is the same from both sides, as it must be --- */

int CHEAP(sh_x25519_from_random)(sh_x25519 *pair, const uint8_t *random)
{
    if (!cheap) {
        return REAL(sh_x25519_from_random)(pair, random);
    }
    memcpy(pair->secret, random, sizeof pair->secret);
    spread(stir_bytes(5, sh_span_of(random, 32)), pair->public_key, 4);
    return 0;
}

int CHEAP(sh_x25519_shared)(const sh_x25519 *pair, const uint8_t *peer_public, uint8_t *out)
{
    if (!cheap) {
        return REAL(sh_x25519_shared)(pair, peer_public, out);
    }
    for (unsigned i = 0; i < SH_X25519_BYTES; i++) {
        out[i] = pair->public_key[i] ^ peer_public[i];
    }
    return 0;
}

static void signature_of(sh_span key_proto, sh_span message, uint8_t out[64])
{
    spread(stir_bytes(stir_bytes(6, key_proto), message), out, 8);
}

int CHEAP(sh_identity_sign)(const sh_identity *id, sh_span message, uint8_t *out)
{
    if (!cheap) {
        return REAL(sh_identity_sign)(id, message, out);
    }
    uint8_t proto[SH_ED25519_PROTO_BYTES];
    sh_identity_public_proto(id, proto);
    signature_of(sh_span_of(proto, sizeof proto), message, out);
    return 0;
}

int CHEAP(sh_pubkey_verify)(sh_span key_proto, sh_span message, sh_span signature)
{
    if (!cheap) {
        return REAL(sh_pubkey_verify)(key_proto, message, signature);
    }
    uint8_t expected[64];
    signature_of(key_proto, message, expected);
    bool same = sh_span_eq(signature, sh_span_of(expected, sizeof expected));
    return same ? 0 : SH_E_CRYPTO;
}
