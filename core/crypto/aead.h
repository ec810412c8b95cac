/* crypto/aead.h - ChaCha20-Poly1305, one context per direction.
 *
 * Shape    the key is set once, per frame only the nonce; in place.
 * Units    nonce: a counter, on the wire 4 zero bytes and u64 little-endian (Noise).
 * Memory   one EVP context (1 KiB) from OpenSSL's allocator between init and fini, but not while at rest.
 * Threads  confined.
 * Spec     RFC 8439; Noise section 12.3 */
#ifndef SH_CRYPTO_AEAD_H
#define SH_CRYPTO_AEAD_H

#include "base/span.h"

enum { SH_AEAD_KEY_BYTES = 32, SH_AEAD_TAG_BYTES = 16 };

/* Zero-initialise before init; fini and use of a zeroed one are safe. */
typedef struct sh_aead {
    void *ctx; /* EVP_CIPHER_CTX; NULL: not keyed, or at rest */
    bool seals;
    bool keyed;
    uint8_t key[SH_AEAD_KEY_BYTES];
} sh_aead;

/*   seals   true: for sh_aead_seal, false: for sh_aead_open
 * Returns 0 or SH_E_NOMEM. The key is copied; wipe yours. */
int sh_aead_init(sh_aead *a, const uint8_t key[SH_AEAD_KEY_BYTES], bool seals);

/* Gives the context back until the next frame, which makes it anew and so costs a microsecond more. */
void sh_aead_rest(sh_aead *a);

/* Wipes the key and frees; may be called twice. */
void sh_aead_fini(sh_aead *a);

/* Encrypts n bytes of buf in place, writes the tag (may lie directly behind buf). n may be 0.
 * 0 or SH_E_CRYPTO (not keyed for sealing, library failure). Never use a nonce twice. */
int sh_aead_seal(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                 uint8_t tag[SH_AEAD_TAG_BYTES]);

/* Decrypts n bytes of buf (without tag) in place. SH_E_CRYPTO: the tag does not match; buf is then
 * zeroed: nothing unauthenticated can be read. */
int sh_aead_open(sh_aead *a, uint64_t nonce, sh_span ad, uint8_t *buf, size_t n,
                 const uint8_t tag[SH_AEAD_TAG_BYTES]);

#endif
