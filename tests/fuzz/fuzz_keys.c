/* tests/fuzz/fuzz_keys.c - bytes as key protobufs, public and private, and as a key with a signature.
 *
 * The whole input is a key; also its first two bytes say how many of the rest are a key, and what follows
 * is a signature of the message of tests/vectors. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/keys.h"
#include "crypto/peer_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_public(sh_span key)
{
    static const uint8_t nothing[SH_ED25519_SIGNATURE_BYTES];
    enum sh_key_type type;
    sh_span bytes;
    uint8_t again[SH_KEY_PROTO_MAX + 16];
    sh_peer_id id;
    bool formed = sh_pubkey_check(key) == 0;
    int code = sh_key_proto_decode(key, &type, &bytes);
    must(code == 0 || !formed);
    if (code == 0) { /* one form only: it is written back as it was */
        must(bytes.p >= key.p && bytes.p + bytes.n <= key.p + key.n);
        int n = sh_key_proto_encode(type, bytes, again, sizeof again);
        must(n >= 0 && sh_span_eq(sh_span_of(again, (size_t)n), key));
    }
    must((sh_peer_id_from_key(&id, key) == 0) == formed);
    must(sh_pubkey_verify(key, sh_span_str("libp2p-test"), sh_span_of(nothing, sizeof nothing)) !=
         0);
}

static void try_private(sh_span key)
{
    sh_identity id;
    uint8_t public_key[SH_ED25519_PROTO_BYTES], signature[SH_ED25519_SIGNATURE_BYTES];
    memset(&id, 0, sizeof id);
    if (sh_identity_from_private(&id, key) == 0) {
        sh_span message = sh_span_str("libp2p-test");
        sh_identity_public_proto(&id, public_key);
        must(sh_identity_sign(&id, message, signature) == 0);
        sh_span signer = sh_span_of(public_key, sizeof public_key);
        must(sh_pubkey_verify(signer, message, sh_span_of(signature, sizeof signature)) == 0);
    }
    sh_identity_fini(&id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sh_span all = sh_span_of(data, size);
    try_public(all);
    try_private(all);
    if (size >= 2) {
        size_t n = (size_t)data[0] << 8 | data[1];
        sh_span rest = sh_span_skip(all, 2), key = sh_span_take(rest, n);
        (void)sh_pubkey_verify(key, sh_span_str("libp2p-test"), sh_span_skip(rest, key.n));
    }
    return 0;
}
