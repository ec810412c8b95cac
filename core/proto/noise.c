/* proto/noise.c - Noise XX over OpenSSL's primitives, and libp2p's handshake payload.
 *
 * Names follow the Noise paper: h handshake hash, ck chaining key, s and e our keys, rs and re
 * theirs. */
#include "proto/noise.h"

#include "base/sh_assert.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

static const char NOISE_NAME[] =
    "Noise_XX_25519_ChaChaPoly_SHA256"; /* exactly 32 bytes: is h itself */
static const char NOISE_SIGNED[] = "noise-libp2p-static-key:";
static const char NOISE_MUXER[] = "/yamux/1.0.0";

SH_STATIC_ASSERT(sizeof NOISE_NAME - 1 == 32, "a longer name would be hashed");

static int noise_mix_hash(sh_noise *x, sh_span data)
{
    return sh_sha256_2(sh_span_of(x->h, 32), data, x->h);
}

int sh_noise_init(sh_noise *x, bool initiator, const sh_noise_static *own,
                  const uint8_t ephemeral[32], sh_span prologue)
{
    memset(x, 0, sizeof *x);
    x->initiator = initiator;
    memcpy(x->h, NOISE_NAME, 32);
    memcpy(x->ck, NOISE_NAME, 32);
    memcpy(x->s.secret, own->secret, 32);
    memcpy(x->s.public_key, own->public_key, 32);
    int rc = sh_x25519_from_random(&x->e, ephemeral);
    return rc < 0 ? rc : noise_mix_hash(x, prologue);
}

void sh_noise_fini(sh_noise *x)
{
    sh_wipe(x, sizeof *x);
}

bool sh_noise_my_turn(const sh_noise *x)
{
    return x->step < 3 && (x->step % 2 == 0) == x->initiator;
}

bool sh_noise_done(const sh_noise *x)
{
    return x->step == 3;
}

static int noise_mix_dh(sh_noise *x, const sh_x25519 *own, const uint8_t theirs[32])
{
    uint8_t shared[32];
    int rc = sh_x25519_shared(own, theirs, shared);
    if (rc == 0) {
        rc = sh_hkdf_noise(x->ck, sh_span_of(shared, 32), x->ck, x->key, NULL);
    }
    x->keyed = true;
    x->nonce = 0;
    sh_wipe(shared, sizeof shared);
    return rc;
}

/* The token es or se: the ephemeral key of one side with the static key of the other. */
static int noise_mix_static(sh_noise *x, bool initiator_static)
{
    bool own_static = initiator_static == x->initiator;
    return own_static ? noise_mix_dh(x, &x->s, x->re) : noise_mix_dh(x, &x->e, x->rs);
}

/* Writes n bytes of data and, once there is a key, a tag. */
static int noise_encrypt_and_hash(sh_noise *x, sh_writer *w, sh_span data)
{
    uint8_t *at = sh_put_reserve(w, data.n + (x->keyed ? SH_AEAD_TAG_BYTES : 0));
    if (!at) {
        return SH_E_LIMIT;
    }
    if (data.n > 0) {
        memcpy(at, data.p, data.n);
    }
    if (!x->keyed) {
        return noise_mix_hash(x, sh_span_of(at, data.n));
    }
    sh_aead a = {0};
    int rc = sh_aead_init(&a, x->key, true);
    if (rc == 0) {
        rc = sh_aead_seal(&a, x->nonce++, sh_span_of(x->h, 32), at, data.n, at + data.n);
    }
    sh_aead_fini(&a);
    return rc < 0 ? rc : noise_mix_hash(x, sh_span_of(at, data.n + SH_AEAD_TAG_BYTES));
}

/* Takes n bytes (tag included) from the message and decrypts them in place. */
static int noise_decrypt_and_hash(sh_noise *x, uint8_t *at, size_t n, sh_span *plain)
{
    uint8_t next[32];
    int rc = sh_sha256_2(sh_span_of(x->h, 32), sh_span_of(at, n), next);
    *plain = sh_span_of(at, n);
    if (rc == 0 && x->keyed) {
        if (n < SH_AEAD_TAG_BYTES) {
            return SH_E_PROTO;
        }
        size_t body = n - SH_AEAD_TAG_BYTES;
        sh_aead a = {0};
        rc = sh_aead_init(&a, x->key, false);
        if (rc == 0) {
            rc = sh_aead_open(&a, x->nonce++, sh_span_of(x->h, 32), at, body, at + body);
        }
        sh_aead_fini(&a);
        plain->n = body;
    }
    if (rc == 0) {
        memcpy(x->h, next, 32);
    }
    return rc;
}

static int noise_write_ephemeral(sh_noise *x, sh_writer *w)
{
    sh_span e = sh_span_of(x->e.public_key, 32);
    sh_put_bytes(w, e);
    return w->overflow ? SH_E_LIMIT : noise_mix_hash(x, e);
}

/* s, then es (message 2) or se (message 3). */
static int noise_write_static(sh_noise *x, sh_writer *w)
{
    int rc = noise_encrypt_and_hash(x, w, sh_span_of(x->s.public_key, 32));
    return rc < 0 ? rc : noise_mix_static(x, x->initiator);
}

int sh_noise_write(sh_noise *x, sh_span payload, uint8_t *out, size_t cap)
{
    SH_ASSERT(sh_noise_my_turn(x));
    sh_writer w = sh_writer_of(out, cap);
    int rc = 0;
    if (x->step < 2) {
        rc = noise_write_ephemeral(x, &w);
    }
    if (rc == 0 && x->step == 1) {
        rc = noise_mix_dh(x, &x->e, x->re);
    }
    if (rc == 0 && x->step > 0) {
        rc = noise_write_static(x, &w);
    }
    if (rc == 0) {
        rc = noise_encrypt_and_hash(x, &w, payload);
    }
    if (rc < 0) {
        return rc;
    }
    x->step++;
    return sh_put_len(&w);
}

static int noise_read_static(sh_noise *x, uint8_t *at)
{
    sh_span plain;
    int rc = noise_decrypt_and_hash(x, at, 32 + SH_AEAD_TAG_BYTES, &plain);
    if (rc < 0) {
        return rc;
    }
    memcpy(x->rs, plain.p, 32);
    return noise_mix_static(x, !x->initiator);
}

int sh_noise_read(sh_noise *x, uint8_t *message, size_t n, sh_span *payload)
{
    SH_ASSERT(!sh_noise_my_turn(x) && x->step < 3);
    size_t e_bytes = x->step < 2 ? 32 : 0;
    size_t s_bytes = x->step > 0 ? 32 + SH_AEAD_TAG_BYTES : 0;
    if (n < e_bytes + s_bytes) {
        return SH_E_PROTO;
    }
    int rc = 0;
    if (e_bytes > 0) {
        memcpy(x->re, message, 32);
        rc = noise_mix_hash(x, sh_span_of(message, 32));
    }
    if (rc == 0 && x->step == 1) {
        rc = noise_mix_dh(x, &x->e, x->re);
    }
    if (rc == 0 && s_bytes > 0) {
        rc = noise_read_static(x, message + e_bytes);
    }
    if (rc == 0) {
        size_t at = e_bytes + s_bytes;
        rc = noise_decrypt_and_hash(x, message + at, n - at, payload);
    }
    if (rc == 0) {
        x->step++;
    }
    return rc;
}

int sh_noise_split(const sh_noise *x, sh_aead *seal, sh_aead *open)
{
    SH_ASSERT(sh_noise_done(x));
    uint8_t first[32];
    uint8_t second[32];
    int rc = sh_hkdf_noise(x->ck, sh_span_none(), first, second, NULL);
    if (rc == 0) {
        rc = sh_aead_init(seal, x->initiator ? first : second, true);
    }
    if (rc == 0) {
        rc = sh_aead_init(open, x->initiator ? second : first, false);
    }
    sh_wipe(first, sizeof first);
    sh_wipe(second, sizeof second);
    return rc;
}

/* The text that an identity key signs to vouch for a static key. */
static sh_span noise_signed_text(const uint8_t static_key[32], uint8_t buf[64])
{
    memcpy(buf, NOISE_SIGNED, sizeof NOISE_SIGNED - 1);
    memcpy(buf + sizeof NOISE_SIGNED - 1, static_key, 32);
    return sh_span_of(buf, sizeof NOISE_SIGNED - 1 + 32);
}

int sh_noise_static_init(sh_noise_static *ns, const sh_identity *id, sh_rng *rng)
{
    uint8_t random[32];
    sh_x25519 pair;
    if (!sh_rng_fill(rng, random, sizeof random)) {
        return SH_E_LIMIT;
    }
    int rc = sh_x25519_from_random(&pair, random);
    sh_wipe(random, sizeof random);
    if (rc < 0) {
        return rc;
    }
    memcpy(ns->secret, pair.secret, 32);
    memcpy(ns->public_key, pair.public_key, 32);
    sh_x25519_wipe(&pair);
    uint8_t text[64];
    return sh_identity_sign(id, noise_signed_text(ns->public_key, text), ns->signature);
}

/* Fields of NoiseHandshakePayload, as protobuf tags: number << 3 | 2 (bytes). */
enum { TAG_KEY = 0x0a, TAG_SIGNATURE = 0x12, TAG_EXTENSIONS = 0x22, TAG_MUXERS = 0x12 };

int sh_noise_payload_write(const sh_identity *id, const sh_noise_static *own, bool with_muxer,
                           uint8_t out[SH_NOISE_PAYLOAD_OWN_MAX])
{
    uint8_t key[SH_ED25519_PROTO_BYTES];
    sh_identity_public_proto(id, key);
    sh_writer w = sh_writer_of(out, SH_NOISE_PAYLOAD_OWN_MAX);
    sh_put_u8(&w, TAG_KEY);
    sh_put_prefixed(&w, sh_span_of(key, sizeof key));
    sh_put_u8(&w, TAG_SIGNATURE);
    sh_put_prefixed(&w, sh_span_of(own->signature, sizeof own->signature));
    if (with_muxer) {
        sh_put_u8(&w, TAG_EXTENSIONS);
        sh_put_u8(&w, (uint8_t)(2 + sizeof NOISE_MUXER - 1));
        sh_put_u8(&w, TAG_MUXERS);
        sh_put_prefixed(&w, sh_span_str(NOISE_MUXER));
    }
    return sh_put_len(&w);
}

/* Protobuf varints may be up to ten bytes and need not be minimal. */
static int noise_pb_varint(sh_reader *r, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;
        if (sh_read_u8(r, &byte) < 0) {
            return SH_E_PROTO;
        }
        *out |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            return 0;
        }
    }
    return SH_E_PROTO;
}

/* Reads one field; value is its bytes, empty for numbers. Groups (types 3, 4) are refused. */
static int noise_pb_field(sh_reader *r, uint64_t *tag, sh_span *value)
{
    uint64_t n = 0;
    *value = sh_span_none();
    if (noise_pb_varint(r, tag) < 0 || *tag < 8) {
        return SH_E_PROTO;
    }
    switch (*tag & 7) {
    case 0: return noise_pb_varint(r, &n);
    case 1: n = 8; break;
    case 2:
        if (noise_pb_varint(r, &n) < 0) {
            return SH_E_PROTO;
        }
        break;
    case 5: n = 4; break;
    default: return SH_E_PROTO;
    }
    return n <= sh_read_left(r) && sh_read_bytes(r, (size_t)n, value) == 0 ? 0 : SH_E_PROTO;
}

static int noise_extensions_read(sh_span bytes, struct sh_noise_peer *out)
{
    sh_reader r = sh_reader_of(bytes);
    for (unsigned muxers = 0; sh_read_left(&r) > 0;) {
        uint64_t tag;
        sh_span value;
        if (noise_pb_field(&r, &tag, &value) < 0) {
            return SH_E_PROTO;
        }
        if (tag != TAG_MUXERS) {
            continue;
        }
        muxers++;
        if (muxers <= SH_MUXERS_MAX && sh_span_eq(value, sh_span_str(NOISE_MUXER))) {
            out->muxer = true;
        }
    }
    return 0;
}

int sh_noise_payload_read(sh_span payload, const uint8_t remote_static[32],
                          struct sh_noise_peer *out)
{
    sh_reader r = sh_reader_of(payload);
    sh_span key = sh_span_none();
    sh_span signature = sh_span_none();
    memset(out, 0, sizeof *out);
    while (sh_read_left(&r) > 0) {
        uint64_t tag;
        sh_span value;
        if (noise_pb_field(&r, &tag, &value) < 0) {
            return SH_E_PROTO;
        }
        if (tag == TAG_KEY) {
            key = value;
        } else if (tag == TAG_SIGNATURE) {
            signature = value;
        } else if (tag == TAG_EXTENSIONS && noise_extensions_read(value, out) < 0) {
            return SH_E_PROTO;
        }
    }
    uint8_t text[64];
    int rc = sh_peer_id_from_key(&out->id, key);
    return rc < 0 ? rc : sh_pubkey_verify(key, noise_signed_text(remote_static, text), signature);
}
