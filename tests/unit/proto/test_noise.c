/* tests/unit/proto/test_noise.c - Noise XX: published vectors, libp2p's payload, and everything
 * that must fail. */
#include "../crypto/vectors.h"

#include "base/sh_limits.h"
#include "proto/noise.h"

#define ID "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

static char *file;

static sh_span vector(const char *name, uint8_t *buf, size_t cap)
{
    sh_span text = vectors_text(file, name);
    int n = sh_hex_decode(text, buf, cap);
    assert_true(n >= 0);
    return sh_span_of(buf, (size_t)n);
}

static void static_of(const char *name, sh_noise_static *ns)
{
    uint8_t secret[32];
    sh_x25519 pair;
    vector(name, secret, 32);
    assert_int_equal(sh_x25519_from_random(&pair, secret), 0);
    memset(ns, 0, sizeof *ns);
    memcpy(ns->secret, pair.secret, 32);
    memcpy(ns->public_key, pair.public_key, 32);
}

static void side(sh_noise *x, bool initiator)
{
    sh_noise_static ns;
    uint8_t ephemeral[32], prologue[32];
    static_of(initiator ? "init_static" : "resp_static", &ns);
    vector(initiator ? "init_ephemeral" : "resp_ephemeral", ephemeral, 32);
    assert_int_equal(sh_noise_init(x, initiator, &ns, ephemeral, vector("prologue", prologue, 32)),
                     0);
}

/* One handshake message from x to y, compared with the vector. */
static void exchange(sh_noise *x, sh_noise *y, unsigned number)
{
    char name[16];
    uint8_t payload_buf[64], want_buf[256], message[256];
    snprintf(name, sizeof name, "payload%u", number);
    sh_span payload = vector(name, payload_buf, sizeof payload_buf);
    snprintf(name, sizeof name, "message%u", number);
    sh_span want = vector(name, want_buf, sizeof want_buf);
    assert_true(sh_noise_my_turn(x));
    assert_false(sh_noise_my_turn(y));
    int n = sh_noise_write(x, payload, message, sizeof message);
    assert_true(n > 0);
    assert_span_equal(sh_span_of(message, (size_t)n), want);
    sh_span got;
    assert_int_equal(sh_noise_read(y, message, (size_t)n, &got), 0);
    assert_span_equal(got, payload);
}

static void transport(sh_aead *seal, sh_aead *open, uint64_t nonce, unsigned number)
{
    char name[16];
    uint8_t frame[128], want_buf[128], plain[128];
    snprintf(name, sizeof name, "payload%u", number);
    sh_span payload = vector(name, plain, sizeof plain);
    memcpy(frame, payload.p, payload.n);
    assert_int_equal(sh_aead_seal(seal, nonce, sh_span_none(), frame, payload.n, frame + payload.n),
                     0);
    snprintf(name, sizeof name, "message%u", number);
    assert_span_equal(sh_span_of(frame, payload.n + 16), vector(name, want_buf, sizeof want_buf));
    assert_int_equal(sh_aead_open(open, nonce, sh_span_none(), frame, payload.n, frame + payload.n),
                     0);
    assert_memory_equal(frame, payload.p, payload.n);
}

static void test_cacophony(void **state)
{
    (void)state;
    sh_noise a, b;
    side(&a, true);
    side(&b, false);
    exchange(&a, &b, 1);
    exchange(&b, &a, 2);
    exchange(&a, &b, 3);
    assert_true(sh_noise_done(&a) && sh_noise_done(&b));
    uint8_t hash[32];
    vector("hash", hash, 32);
    assert_memory_equal(a.h, hash, 32);
    assert_memory_equal(b.h, hash, 32);
    sh_aead as = {0}, ao = {0}, bs = {0}, bo = {0};
    assert_int_equal(sh_noise_split(&a, &as, &ao), 0);
    assert_int_equal(sh_noise_split(&b, &bs, &bo), 0);
    transport(&bs, &ao, 0, 4);
    transport(&as, &bo, 0, 5);
    transport(&bs, &ao, 1, 6);
    sh_aead_fini(&as);
    sh_aead_fini(&ao);
    sh_aead_fini(&bs);
    sh_aead_fini(&bo);
}

/* Any bit of any message flipped, and any message cut, is found out by the end of the handshake. */
static void test_tampering(void **state)
{
    (void)state;
    for (unsigned victim = 1; victim <= 3; victim++) {
        for (unsigned at = 0; at < 200; at += 3) {
            sh_noise a, b;
            side(&a, true);
            side(&b, false);
            uint8_t m[256];
            int rc = 0;
            for (unsigned i = 1; i <= 3 && rc >= 0; i++) {
                sh_noise *x = i % 2 ? &a : &b, *y = i % 2 ? &b : &a;
                sh_span got;
                int n = sh_noise_write(x, sh_span_none(), m, sizeof m);
                assert_true(n > 0);
                if (i == victim && at < (unsigned)n) {
                    m[at] ^= 0x10;
                } else if (i == victim) {
                    n = at % (unsigned)n; /* cut */
                }
                rc = sh_noise_read(y, m, (size_t)n, &got);
            }
            assert_true(rc == SH_E_CRYPTO || rc == SH_E_PROTO);
        }
    }
}

/* Low-order points give an all-zero secret: refused. */
static void test_low_order(void **state)
{
    (void)state;
    sh_noise b;
    side(&b, false);
    uint8_t zero[32] = {0}, m[256];
    sh_span got;
    assert_int_equal(sh_noise_read(&b, zero, 32, &got), 0);
    assert_int_equal(sh_noise_write(&b, sh_span_none(), m, sizeof m), SH_E_CRYPTO);
}

static void test_room(void **state)
{
    (void)state;
    sh_noise a;
    uint8_t m[64];
    side(&a, true);
    assert_int_equal(sh_noise_write(&a, sh_span_none(), m, 31), SH_E_LIMIT);
}

static void test_payload(void **state)
{
    (void)state;
    uint8_t key[80], buf[256], out[SH_NOISE_PAYLOAD_OWN_MAX], text[64];
    sh_identity id;
    sh_noise_static ns = {0};
    assert_int_equal(sh_identity_from_private(&id, vector("libp2p_private", key, sizeof key)), 0);
    vector("libp2p_static_public", ns.public_key, 32);
    memcpy(text, "noise-libp2p-static-key:", 24);
    memcpy(text + 24, ns.public_key, 32);
    assert_int_equal(sh_identity_sign(&id, sh_span_of(text, 56), ns.signature), 0);
    int n = sh_noise_payload_write(&id, &ns, false, out);
    assert_span_equal(sh_span_of(out, (size_t)n), vector("libp2p_payload", buf, sizeof buf));
    struct sh_noise_peer peer;
    assert_int_equal(sh_noise_payload_read(sh_span_of(out, (size_t)n), ns.public_key, &peer), 0);
    assert_false(peer.muxer);
    n = sh_noise_payload_write(&id, &ns, true, out);
    sh_span payload = vector("libp2p_payload_muxer", buf, sizeof buf);
    assert_span_equal(sh_span_of(out, (size_t)n), payload);
    assert_int_equal(sh_noise_payload_read(payload, ns.public_key, &peer), 0);
    assert_true(peer.muxer);
    char id_text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(&peer.id, id_text);
    assert_string_equal(id_text, ID);
    for (size_t i = 0; i < payload.n; i++) { /* cut anywhere: only whole fields may be missing */
        int rc = sh_noise_payload_read(sh_span_take(payload, i), ns.public_key, &peer);
        assert_true(i == 104 ? rc == 0 : rc < 0);
    }
    ns.public_key[0] ^= 1;
    assert_int_equal(sh_noise_payload_read(payload, ns.public_key, &peer), SH_E_CRYPTO);
    sh_identity_fini(&id);
}

/* Unknown fields of every wire type are skipped, groups and overlong varints are not. */
static void test_payload_fields(void **state)
{
    (void)state;
    static const struct {
        const char *hex; /* put before the payload */
        int rc;
    } ROWS[] = {
        {"1800", 0},
        {"1a03616263", 0},
        {"2d01020304", 0},
        {"310102030405060708", 0},
        {"188080808080808080807f", 0},
        {"18ffffffffffffffffffff01", SH_E_PROTO},
        {"1b", SH_E_PROTO},
        {"00", SH_E_PROTO},
        {"1affffffffffffffffff01", SH_E_PROTO},
        {"22021205", SH_E_PROTO},
        {"2200", 0},
        {"22080a0161120361626322070a0161120161", SH_E_PROTO},
    };
    uint8_t pub[32], buf[512];
    vector("libp2p_static_public", pub, 32);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        sh_span front = check_hex(ROWS[i].hex, buf, sizeof buf);
        sh_span tail = vector("libp2p_payload", buf + front.n, sizeof buf - front.n);
        struct sh_noise_peer peer;
        int rc = sh_noise_payload_read(sh_span_of(buf, front.n + tail.n), pub, &peer);
        if (rc != ROWS[i].rc) {
            print_error("row %s\n", ROWS[i].hex);
        }
        assert_int_equal(rc, ROWS[i].rc);
    }
    struct sh_noise_peer peer;
    assert_true(sh_noise_payload_read(sh_span_none(), pub, &peer) < 0);
}

static void test_muxer_list(void **state)
{
    (void)state;
    uint8_t pub[32], buf[2048];
    vector("libp2p_static_public", pub, 32);
    size_t n = vector("libp2p_payload", buf, sizeof buf).n;
    /* 100 entries of one byte, then ours: too far down the list to be believed. */
    for (unsigned before = SH_MUXERS_MAX - 1; before <= SH_MUXERS_MAX; before++) {
        sh_writer w = sh_writer_of(buf + n, sizeof buf - n);
        sh_put_u8(&w, 0x22);
        sh_put_uvarint(&w, before * 3 + 14);
        for (unsigned i = 0; i < before; i++) {
            sh_put_bytes(&w, sh_span_str("\x12\x01x"));
        }
        sh_put_bytes(&w, sh_span_str("\x12\x0c/yamux/1.0.0"));
        struct sh_noise_peer peer;
        assert_int_equal(sh_noise_payload_read(sh_span_of(buf, n + sh_put_span(&w).n), pub, &peer),
                         0);
        assert_int_equal(peer.muxer, before < SH_MUXERS_MAX);
    }
}

static void test_static_init(void **state)
{
    (void)state;
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    uint8_t seed[32] = {7}, out[SH_NOISE_PAYLOAD_OWN_MAX];
    sh_identity id;
    sh_noise_static ns;
    assert_int_equal(sh_identity_from_seed(&id, seed), 0);
    assert_int_equal(sh_noise_static_init(&ns, &id, &rng), 0);
    int n = sh_noise_payload_write(&id, &ns, true, out);
    struct sh_noise_peer peer;
    assert_int_equal(sh_noise_payload_read(sh_span_of(out, (size_t)n), ns.public_key, &peer), 0);
    sh_identity_fini(&id);
}

int main(void)
{
    file = vectors_load("libp2p/noise_xx.txt");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cacophony),  cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_low_order),  cmocka_unit_test(test_room),
        cmocka_unit_test(test_payload),    cmocka_unit_test(test_payload_fields),
        cmocka_unit_test(test_muxer_list), cmocka_unit_test(test_static_init),
    };
    int rc = RUN(tests);
    free(file);
    return rc;
}
