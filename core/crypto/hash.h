/* crypto/hash.h - SHA-256, HMAC, and the HKDF of Noise.
 *
 * Shape    pure functions; about 0.3 us for a short input.
 * Errors   0, or SH_E_NOMEM when the library has no memory (outputs are then zero).
 * Threads  any.
 * Spec     FIPS 180-4; RFC 2104; noiseprotocol.org/noise.html section 4.3 */
#ifndef SH_CRYPTO_HASH_H
#define SH_CRYPTO_HASH_H

#include "base/span.h"

enum { SH_SHA256_BYTES = 32 };

int sh_sha256(sh_span s, uint8_t out[SH_SHA256_BYTES]);

/* SHA-256 of a followed by b: Noise's MixHash without gluing. out may be a's bytes. */
int sh_sha256_2(sh_span a, sh_span b, uint8_t out[SH_SHA256_BYTES]);

int sh_hmac_sha256(sh_span key, sh_span data, uint8_t out[SH_SHA256_BYTES]);

/* HKDF(chaining key, input) with two or three outputs of 32 bytes; out3 may be NULL (two outputs).
 * out1 may be ck itself. */
int sh_hkdf_noise(const uint8_t ck[SH_SHA256_BYTES], sh_span input, uint8_t out1[SH_SHA256_BYTES],
                  uint8_t out2[SH_SHA256_BYTES], uint8_t *out3);

#endif
