/* proto/noise.h - the Noise handshake XX as libp2p uses it, and the payload that proves the peer
 * id.
 *
 * Shape    the handshake is a machine of whole messages (the caller frames them with a u16 length);
 *          afterwards split() gives one key per direction.
 * Input    messages are decrypted where they lie.
 * Memory   by value, ~400 bytes; OpenSSL contexts while a call runs. Wiped by fini.
 * Threads  confined.
 * Spec     noiseprotocol.org, Noise_XX_25519_ChaChaPoly_SHA256; github.com/libp2p/specs
 *          noise/README.md */
#ifndef SH_PROTO_NOISE_H
#define SH_PROTO_NOISE_H

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "proto/conn.h"

enum {
    /* Longest handshake message: two keys, two tags and the payload. */
    SH_NOISE_MESSAGE_MAX = 32 + 48 + SH_NOISE_PAYLOAD_MAX + 16,
    SH_NOISE_PAYLOAD_OWN_MAX = 128, /* ours: 104 bytes, 120 with the muxer */
};

typedef struct sh_noise {
    uint8_t h[32];
    uint8_t ck[32];
    uint8_t key[32];
    uint64_t nonce;
    sh_x25519 s;    /* our static pair */
    sh_x25519 e;    /* our ephemeral pair */
    uint8_t rs[32]; /* theirs, once read */
    uint8_t re[32];
    uint8_t step; /* messages done, 0..3 */
    bool keyed;
    bool initiator;
} sh_noise;

/*   ephemeral  32 random bytes, used once
 *   prologue   empty in libp2p
 * Returns 0 or SH_E_NOMEM. */
int sh_noise_init(sh_noise *x, bool initiator, const sh_noise_static *own,
                  const uint8_t ephemeral[32], sh_span prologue);
void sh_noise_fini(sh_noise *x);

bool sh_noise_my_turn(const sh_noise *x); /* to write; false after the third message too */
bool sh_noise_done(const sh_noise *x);

/* Writes the next message: its length, SH_E_LIMIT (cap), SH_E_CRYPTO (low-order key), SH_E_NOMEM.
 * */
int sh_noise_write(sh_noise *x, sh_span payload, uint8_t *out, size_t cap);
/* Reads the next message in place; *payload lies inside it.
 * 0; SH_E_PROTO (too short), SH_E_CRYPTO (does not decrypt), SH_E_NOMEM. Any failure is final. */
int sh_noise_read(sh_noise *x, uint8_t *message, size_t n, sh_span *payload);

/* The transport keys, after the third message: 0 or SH_E_NOMEM. Ends with sh_aead_fini of both. */
int sh_noise_split(const sh_noise *x, sh_aead *seal, sh_aead *open);

/* Our handshake payload; with_muxer lists /yamux/1.0.0. Returns its length. */
int sh_noise_payload_write(const sh_identity *id, const sh_noise_static *own, bool with_muxer,
                           uint8_t out[SH_NOISE_PAYLOAD_OWN_MAX]);

struct sh_noise_peer {
    sh_peer_id id;
    bool muxer; /* its stream_muxers name /yamux/1.0.0 */
};
/* Reads and proves the peer's payload against its static key: 0; SH_E_PROTO (form), SH_E_CRYPTO
 * (signature), SH_E_NOMEM. */
int sh_noise_payload_read(sh_span payload, const uint8_t remote_static[32],
                          struct sh_noise_peer *out);

#endif
