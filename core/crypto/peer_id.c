/* crypto/peer_id.c - peer ids from keys, bytes and text. */
#include "crypto/peer_id.h"

#include "base/sh_assert.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/keys.h"

/* Multihash codes; a CID of version 1 with the libp2p-key codec starts 01 72. */
enum {
    MULTIHASH_IDENTITY = 0x00,
    MULTIHASH_SHA256 = 0x12,
    CID_VERSION = 0x01,
    CID_LIBP2P_KEY = 0x72,
    ID_HASHED_BYTES = 34,
    ID_KEY_INLINE_MAX = 42 /* key protobufs up to this are not hashed */
};

static void id_set(sh_peer_id *id, uint8_t code, sh_span digest)
{
    memset(id, 0, sizeof *id);
    id->n = (uint8_t)(digest.n + 2);
    id->b[0] = code;
    id->b[1] = (uint8_t)digest.n;
    memcpy(id->b + 2, digest.p, digest.n);
}

int sh_peer_id_from_key(sh_peer_id *id, sh_span key_proto)
{
    uint8_t digest[SH_SHA256_BYTES];
    memset(id, 0, sizeof *id);
    if (sh_pubkey_check(key_proto)) {
        return SH_E_PROTO;
    }
    if (key_proto.n <= ID_KEY_INLINE_MAX) {
        SH_ASSERT(key_proto.n + 2 <= SH_PEER_ID_MAX); /* the check admits 36, 37 or over 90 bytes */
        id_set(id, MULTIHASH_IDENTITY, key_proto);
        return 0;
    }
    int rc = sh_sha256(key_proto, digest);
    if (rc == 0) {
        id_set(id, MULTIHASH_SHA256, sh_span_of(digest, sizeof digest));
    }
    return rc;
}

int sh_peer_id_from_bytes(sh_peer_id *id, sh_span bytes)
{
    memset(id, 0, sizeof *id);
    if (bytes.n < ID_HASHED_BYTES || bytes.n > SH_PEER_ID_MAX || bytes.p[1] != bytes.n - 2) {
        return SH_E_PROTO;
    }
    sh_span digest = sh_span_skip(bytes, 2);
    bool hashed = bytes.p[0] == MULTIHASH_SHA256 && bytes.n == ID_HASHED_BYTES;
    bool inlined = bytes.p[0] == MULTIHASH_IDENTITY && sh_pubkey_check(digest) == 0;
    if (!hashed && !inlined) {
        return SH_E_PROTO;
    }
    id_set(id, bytes.p[0], digest);
    return 0;
}

/* Multibase prefix of a CID: 'b' base32 lower case, 'k' base36 lower case. */
static int cid_decode(sh_span text, uint8_t *out, size_t cap)
{
    if (text.n == 0 || text.n > 128) {
        return SH_E_BAD_VALUE;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] >= 'A' && text.p[i] <= 'Z') { /* upper case has other prefixes */
            return SH_E_BAD_VALUE;
        }
    }
    sh_span rest = sh_span_skip(text, 1);
    switch (text.p[0]) {
    case 'b': return sh_base32_decode(rest, out, cap);
    case 'k': return sh_base36_decode(rest, out, cap);
    default: return SH_E_BAD_VALUE;
    }
}

int sh_peer_id_parse(sh_peer_id *id, sh_span text)
{
    uint8_t bytes[SH_PEER_ID_MAX + 2];
    memset(id, 0, sizeof *id);
    if (sh_span_starts(text, sh_span_str("1")) || sh_span_starts(text, sh_span_str("Qm"))) {
        int n = sh_base58_decode(text, bytes, sizeof bytes);
        return n < 0 || sh_peer_id_from_bytes(id, sh_span_of(bytes, (size_t)n)) ? SH_E_BAD_VALUE
                                                                                : 0;
    }
    int n = cid_decode(text, bytes, sizeof bytes);
    if (n < 2 || bytes[0] != CID_VERSION || bytes[1] != CID_LIBP2P_KEY) {
        return SH_E_BAD_VALUE;
    }
    return sh_peer_id_from_bytes(id, sh_span_of(bytes + 2, (size_t)n - 2)) ? SH_E_BAD_VALUE : 0;
}

int sh_peer_id_text(const sh_peer_id *id, char out[SH_PEER_ID_TEXT_MAX])
{
    int n = sh_base58_encode(sh_peer_id_span(id), out, SH_PEER_ID_TEXT_MAX);
    SH_ASSERT(n >= 0); /* 42 bytes are 58 characters at most */
    return n;
}

sh_span sh_peer_id_key(const sh_peer_id *id)
{
    if (id->n < 2 || id->b[0] != MULTIHASH_IDENTITY) {
        return sh_span_none();
    }
    return sh_span_of(id->b + 2, id->n - 2u);
}

int sh_peer_id_kad_key(const sh_peer_id *id, uint8_t out[32])
{
    return sh_sha256(sh_peer_id_span(id), out);
}
