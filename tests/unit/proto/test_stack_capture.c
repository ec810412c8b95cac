/* tests/unit/proto/test_stack_capture.c - a live Kameo node, recorded: our side repeats the
 * handshake byte for byte, and reads all that the other one said. */
#include "stack_world.h"
#include "capture.h"

/* --- captures --- */

static void seeds(uint8_t base, uint8_t out[32])
{
    for (unsigned i = 0; i < 32; i++) {
        out[i] = (uint8_t)(base + i);
    }
}

static void recorded_side(bool dialer)
{
    uint8_t seed[32], ephemeral[32], secret[32], text[56];
    seeds(0x20, seed);
    seeds(0x80, ephemeral);
    seeds(0xa0, secret);
    sh_identity_fini(&W.id[0]);
    assert_int_equal(sh_identity_from_seed(&W.id[0], seed), 0);
    sh_x25519 pair;
    assert_int_equal(sh_x25519_from_random(&pair, secret), 0);
    memcpy(W.ns[0].secret, pair.secret, 32);
    memcpy(W.ns[0].public_key, pair.public_key, 32);
    memcpy(text, "noise-libp2p-static-key:", 24);
    memcpy(text + 24, pair.public_key, 32);
    assert_int_equal(sh_identity_sign(&W.id[0], sh_span_of(text, 56), W.ns[0].signature), 0);
    struct sh_conn_config cfg = config(0);
    struct sh_stack_choice choice = {.ephemeral = ephemeral, .late_muxer = true};
    cfg.dialer = dialer;
    assert_int_equal(sh_stack_new_with(&cfg, &choice, 0, &W.pump.side[0]), 0);
}

/* What our side has written. */
static struct {
    uint8_t b[1 << 16];
    size_t n;
} WRITTEN;

static void take_output(void)
{
    sh_conn *c = W.pump.side[0];
    c->ops->flush(c);
    for (sh_span out = c->ops->out(c); out.n > 0; out = c->ops->out(c)) {
        memcpy(WRITTEN.b + WRITTEN.n, out.p, out.n);
        WRITTEN.n += out.n;
        c->ops->sent(c, out.n);
    }
}

/* Does with our side what the owner of the recorded one did: opens, writes, ends, says goodbye. */
static void play_plain(sh_span plain)
{
    sh_conn *c = W.pump.side[0];
    while (plain.n >= 12) {
        unsigned type = plain.p[1], flags = sh_load_u16be(plain.p + 2);
        uint64_t stream = sh_load_u32be(plain.p + 4);
        uint32_t n = sh_load_u32be(plain.p + 8);
        plain = sh_span_skip(plain, 12);
        if (type == 3) {
            c->ops->close(c, n);
        } else if (type == 0) {
            if ((flags & 1) != 0) {
                assert_int_equal(c->ops->open(c, &stream), 0);
            }
            assert_int_equal(c->ops->write(c, stream, sh_span_take(plain, n)), n);
            if ((flags & 4) != 0) {
                assert_int_equal(c->ops->shut(c, stream), 0);
            }
            plain = sh_span_skip(plain, n);
        }
    }
    take_output();
}

/* Bytes of all Data frames the other side sent. */
static size_t plain_bytes(sh_span plain)
{
    size_t sum = 0;
    while (plain.n >= 12) {
        size_t n = plain.p[1] == 0 ? sh_load_u32be(plain.p + 8) : 0;
        sum += n;
        plain = sh_span_skip(plain, 12 + n);
    }
    return sum;
}

static void replay(const char *name, bool dialer, enum pump_split split)
{
    static struct capture tcp, plain;
    static uint8_t want[1 << 16];
    char path[512];
    world_start();
    memset(S, 0, sizeof S);
    WRITTEN.n = 0;
    snprintf(path, sizeof path, "%s/vectors/kameo/%s", SHOAL_TESTS_DIR, name);
    capture_load(&tcp, path, "tcp");
    capture_load(&plain, path, "decrypted");
    recorded_side(dialer);
    W.pump.event = see;
    W.pump.split = split;
    size_t outs = 0, want_n = 0, next = 0, received = 0;
    take_output();
    for (size_t i = 0; i < tcp.count; i++) {
        if (tcp.step[i].in) {
            pump_feed(&W.pump, 0, tcp.step[i].bytes);
            take_output();
        } else if (outs++ <
                   2) { /* the handshake, the negotiation of yamux, and the pong of a listener */
            memcpy(want + want_n, tcp.step[i].bytes.p, tcp.step[i].bytes.n);
            want_n += tcp.step[i].bytes.n;
            assert_true(WRITTEN.n >= want_n);
            assert_memory_equal(WRITTEN.b, want, want_n);
        } else {
            do {
                next++;
            } while (plain.step[next].in || next < 2);
            play_plain(plain.step[next].bytes);
        }
    }
    for (size_t i = 2; i < plain.count; i++) { /* the first two agree on yamux */
        received += plain.step[i].in ? plain_bytes(plain.step[i].bytes) : 0;
    }
    assert_int_equal(S[0].up, 1);
    assert_int_equal(S[0].closed, 0); /* the goodbye was ours */
    assert_int_equal(S[0].bytes, received);
    assert_int_equal(S[0].resets, 1);
    assert_int_equal(S[0].streams, dialer ? 0 : 5);
    capture_free(&tcp);
    capture_free(&plain);
    world_stop();
}

static void test_replay(void **state)
{
    (void)state;
    for (enum pump_split split = PUMP_WHOLE; split <= PUMP_RANDOM; split++) {
        replay("connection_dialer.json", true, split);
        replay("connection_listener.json", false, split);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
    };
    return RUN(tests);
}
