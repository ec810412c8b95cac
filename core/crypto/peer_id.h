/* crypto/peer_id.h - who a node is: the multihash of its public key protobuf.
 *
 * Shape    43 bytes by value; bytes behind n are zero, so memcmp of the whole struct is equality.
 * Forms    identity multihash 00 <len> <key protobuf> up to 42 bytes (Ed25519, secp256k1), or
 *          sha2-256 12 20 <32> (RSA, ECDSA). Nothing else is accepted.
 * Text     base58btc of the bytes; CIDv1 (codec 72) in base32 and base36 is read too.
 * Threads  any.  Spec  github.com/libp2p/specs peer-ids/peer-ids.md */
#ifndef SH_CRYPTO_PEER_ID_H
#define SH_CRYPTO_PEER_ID_H

#include "base/sh_limits.h"
#include "base/span.h"

typedef struct sh_peer_id {
    uint8_t n; /* 0: nobody */
    uint8_t b[SH_PEER_ID_MAX];
} sh_peer_id;

/* From a public key protobuf: 0, SH_E_PROTO (sh_pubkey_check refuses it), SH_E_NOMEM. */
int sh_peer_id_from_key(sh_peer_id *id, sh_span key_proto);

/* From multihash bytes, all of them: 0 or SH_E_PROTO. */
int sh_peer_id_from_bytes(sh_peer_id *id, sh_span bytes);

/* From text, base58 or CIDv1: 0 or SH_E_BAD_VALUE. */
int sh_peer_id_parse(sh_peer_id *id, sh_span text);

/* Base58 with a NUL; returns the length. An empty id gives "". */
int sh_peer_id_text(const sh_peer_id *id, char out[SH_PEER_ID_TEXT_MAX]);

/* The public key protobuf inside an identity id; an empty span for a hashed one. Borrowed from id. */
sh_span sh_peer_id_key(const sh_peer_id *id);

/* SHA-256 of the bytes: the place in the DHT. 0 or SH_E_NOMEM. */
int sh_peer_id_kad_key(const sh_peer_id *id, uint8_t out[32]);

static inline sh_span sh_peer_id_span(const sh_peer_id *id)
{
    return sh_span_of(id->b, id->n);
}

static inline bool sh_peer_id_eq(const sh_peer_id *a, const sh_peer_id *b)
{
    return sh_span_eq(sh_peer_id_span(a), sh_peer_id_span(b));
}

static inline int sh_peer_id_cmp(const sh_peer_id *a, const sh_peer_id *b)
{
    return sh_span_cmp(sh_peer_id_span(a), sh_peer_id_span(b));
}

#endif
