/* crypto/keys.h - our Ed25519 identity, peers' public keys, X25519.
 *
 * Shape    structs by value, pure functions; randomness is the caller's.
 * Input    libp2p key protobufs: type (field 1, varint) and data (field 2, bytes), both present, in
 *          that order, minimal, nothing else. An identity file is the private key protobuf.
 * Memory   a cached EVP_PKEY per identity. Secrets are wiped on every path.
 * Threads  any for const arguments.
 * Spec     github.com/libp2p/specs peer-ids/peer-ids.md; RFC 8032, 7748 */
#ifndef SH_CRYPTO_KEYS_H
#define SH_CRYPTO_KEYS_H

#include "base/sh_limits.h"
#include "base/span.h"

enum sh_key_type { SH_KEY_RSA = 0, SH_KEY_ED25519 = 1, SH_KEY_SECP256K1 = 2, SH_KEY_ECDSA = 3 };

enum {
    SH_ED25519_BYTES = 32,           /* seed, and public key */
    SH_ED25519_SIGNATURE_BYTES = 64, /* RFC 8032 */
    SH_ED25519_PROTO_BYTES = 36,     /* public key protobuf: 08 01 12 20 and the key */
    SH_ED25519_PRIVATE_BYTES = 68,   /* private key protobuf: 08 01 12 40, seed, public */
    SH_X25519_BYTES = 32
};

/* Our own key. */
typedef struct sh_identity {
    uint8_t seed[SH_ED25519_BYTES];       /* secret */
    uint8_t public_key[SH_ED25519_BYTES]; /* follows from the seed */
    void *key;                            /* EVP_PKEY with both */
} sh_identity;

/*   seed   32 random bytes
 * Returns 0 or SH_E_NOMEM. Ended by sh_identity_fini. */
int sh_identity_from_seed(sh_identity *id, const uint8_t seed[SH_ED25519_BYTES]);

/* From a private key protobuf (64-byte data, or the old 96-byte form whose halves must agree).
 * 0; SH_E_PROTO (form), SH_E_UNSUPPORTED (another key type), SH_E_CRYPTO (public does not follow),
 * SH_E_NOMEM. */
int sh_identity_from_private(sh_identity *id, sh_span key_proto);

/* Wipes; may be called twice, or on a zeroed struct. */
void sh_identity_fini(sh_identity *id);

/* RFC 8032 over the message itself: 0 or SH_E_NOMEM. */
int sh_identity_sign(const sh_identity *id, sh_span message,
                     uint8_t out[SH_ED25519_SIGNATURE_BYTES]);

/* The deterministic protobufs. Wipe the private one after use. */
void sh_identity_public_proto(const sh_identity *id, uint8_t out[SH_ED25519_PROTO_BYTES]);
void sh_identity_private_proto(const sh_identity *id, uint8_t out[SH_ED25519_PRIVATE_BYTES]);

/* Splits a key protobuf: 0, or SH_E_PROTO (form, order, type, length over SH_KEY_PROTO_MAX, trailing
 * bytes). *data lies inside key_proto. Does not look into data. */
int sh_key_proto_decode(sh_span key_proto, enum sh_key_type *type, sh_span *data);

/* Writes a key protobuf: its length, or SH_E_LIMIT. */
int sh_key_proto_encode(enum sh_key_type type, sh_span data, uint8_t *out, size_t cap);

/* Is it a public key protobuf whose data has the form of its type? Cheap, no curve arithmetic:
 * Ed25519 32 bytes, secp256k1 33 bytes starting 02 or 03, RSA and ECDSA a DER SEQUENCE that fits. */
int sh_pubkey_check(sh_span key_proto);

/* Verifies a peer's signature over message by a public key protobuf: Ed25519, RSA 2048..8192
 * (PKCS#1 v1.5, SHA-256), ECDSA P-256/384/521 (DER, SHA-256), secp256k1 (DER, SHA-256).
 * 0; SH_E_PROTO (key form); SH_E_CRYPTO (bad key or signature); SH_E_NOMEM. */
int sh_pubkey_verify(sh_span key_proto, sh_span message, sh_span signature);

/* A Diffie-Hellman key pair from 32 random bytes. */
typedef struct sh_x25519 {
    uint8_t secret[SH_X25519_BYTES];
    uint8_t public_key[SH_X25519_BYTES];
} sh_x25519;

/* 0 or SH_E_NOMEM. */
int sh_x25519_from_random(sh_x25519 *pair, const uint8_t random[SH_X25519_BYTES]);

void sh_x25519_wipe(sh_x25519 *pair);

/* 0; SH_E_CRYPTO: the result is all zero (a peer's low-order point); SH_E_NOMEM. */
int sh_x25519_shared(const sh_x25519 *pair, const uint8_t peer_public[SH_X25519_BYTES],
                     uint8_t out[SH_X25519_BYTES]);

#endif
