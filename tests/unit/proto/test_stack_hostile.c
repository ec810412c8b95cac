/* tests/unit/proto/test_stack_hostile.c - peers that fail, forge, flood or do not read. */
#include "stack_world.h"

/* --- handshakes that must fail --- */

static void test_wrong_peer(void **state)
{
    (void)state;
    world_start();
    memset(S, 0, sizeof S);
    W.pump.event = see;
    struct sh_conn_config cfg = config(0);
    cfg.expect = id_of(&W.id[0]); /* ourselves, say */
    assert_int_equal(sh_stack_new(&cfg, 0, &W.pump.side[0]), 0);
    cfg = config(1);
    assert_int_equal(sh_stack_new(&cfg, 0, &W.pump.side[1]), 0);
    pump_run(&W.pump);
    assert_int_equal(S[0].closed, 1);
    assert_int_equal(S[0].err, SH_E_REFUSED);
    assert_int_equal(S[0].up, 0);
    assert_int_equal(S[1].up, 0); /* message 3 was never sent */
    assert_int_equal(W.pump.moved, 20 + 8 + 34 + 20 + 8 + 2 + 32 + 48 + 120 + 16);
    world_stop();
}

static void test_timeout(void **state)
{
    (void)state;
    world_start();
    memset(S, 0, sizeof S);
    W.pump.event = see;
    assert_int_equal(join(false, false), 0);
    for (unsigned i = 0; i < 2; i++) {
        sh_conn *c = W.pump.side[i];
        assert_int_equal(c->ops->deadline(c), 1000 + HANDSHAKE_US);
        c->ops->tick(c, 999 + HANDSHAKE_US);
        pump_events(&W.pump, i);
        assert_int_equal(S[i].closed, 0);
        c->ops->tick(c, 1000 + HANDSHAKE_US);
        pump_events(&W.pump, i);
        assert_int_equal(S[i].closed, 1);
        assert_int_equal(S[i].err, SH_E_TIMEOUT);
        assert_true(c->ops->deadline(c) == UINT64_MAX);
    }
    world_stop();
}

static void test_garbage(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x0b/tls/1.0.1\ngarbage, no proposal......",
        "\x13/multistream/1.0.0\n\x07/noise\n\xff\xff",
        "\x13/multistream/1.0.0\n\x07/noise\n\x20\x20",
        "\x13/multistream/1.0.0\n\x07/noise\n\x01\x01",
    };
    for (unsigned i = 0; i < COUNT(ROWS); i++) {
        for (enum pump_split split = PUMP_WHOLE; split <= PUMP_RANDOM; split++) {
            world_start();
            memset(S, 0, sizeof S);
            W.pump.event = see;
            W.pump.split = split;
            struct sh_conn_config cfg = config(1);
            assert_int_equal(sh_stack_new(&cfg, 0, &W.pump.side[1]), 0);
            pump_feed(&W.pump, 1, sh_span_str(ROWS[i]));
            static const uint8_t zeros[1000];
            for (unsigned k = 0; k < 10 && S[1].closed == 0; k++) {
                pump_feed(&W.pump, 1, sh_span_of(zeros, sizeof zeros));
            }
            assert_int_equal(S[1].closed, 1);
            assert_true(S[1].err == SH_E_PROTO || S[1].err == SH_E_UNSUPPORTED ||
                        S[1].err == SH_E_CRYPTO);
            world_stop();
        }
    }
}

/* A listener made by hand answers with a payload of n bytes; all but the length is right. */
static void answer_dialer(size_t n)
{
    static const char hello[] = "\x13/multistream/1.0.0\n\x07/noise\n";
    static uint8_t payload[SH_NOISE_PAYLOAD_MAX + 1], message[SH_NOISE_MESSAGE_MAX + 8];
    uint8_t first[128], ephemeral[32] = {9};
    sh_conn *c = W.pump.side[0];
    sh_noise x;
    sh_span out = c->ops->out(c), none;
    size_t first_n = out.n - (sizeof hello - 1) - 2;
    assert_true(first_n <= sizeof first);
    memcpy(first, out.p + sizeof hello - 1 + 2, first_n);
    c->ops->sent(c, out.n);
    assert_int_equal(sh_noise_init(&x, false, &W.ns[1], ephemeral, sh_span_none()), 0);
    assert_int_equal(sh_noise_read(&x, first, first_n, &none), 0);
    int own = sh_noise_payload_write(&W.id[1], &W.ns[1], true, payload);
    assert_true(own > 0);
    sh_writer w = sh_writer_of(payload + own, n - (size_t)own);
    sh_put_u8(&w, 0x1a); /* a field that nobody knows */
    sh_put_uvarint(&w, n - (size_t)own - 3);
    assert_int_equal(sh_put_len(&w), 3);
    int k = sh_noise_write(&x, sh_span_of(payload, n), message, sizeof message);
    assert_true(k > 0);
    uint8_t length[2] = {(uint8_t)(k >> 8), (uint8_t)k};
    pump_feed(&W.pump, 0, sh_span_str(hello));
    pump_feed(&W.pump, 0, sh_span_of(length, 2));
    if (S[0].closed == 0) {
        pump_feed(&W.pump, 0, sh_span_of(message, (size_t)k));
    }
}

/* SH_NOISE_PAYLOAD_MAX */
static void test_long_payload(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        world_start();
        memset(S, 0, sizeof S);
        W.pump.event = see;
        struct sh_conn_config cfg = config(0);
        assert_int_equal(sh_stack_new(&cfg, 0, &W.pump.side[0]), 0);
        answer_dialer(SH_NOISE_PAYLOAD_MAX + over);
        assert_int_equal(S[0].up, 1 - over);
        assert_int_equal(S[0].closed, over);
        assert_int_equal(S[0].err, over ? SH_E_PROTO : 0);
        world_stop();
    }
}

/* Every byte of the handshake flipped, one at a time, either way: nobody comes up wrongly, nothing
 * hangs. */
static void test_handshake_tampering(void **state)
{
    (void)state;
    for (size_t at = 0; at < 500; at += 7) {
        world_start();
        memset(S, 0, sizeof S);
        W.pump.event = see;
        assert_int_equal(join(false, false), 0);
        size_t moved = 0;
        for (bool more = true; more;) {
            more = false;
            for (unsigned from = 0; from < 2; from++) {
                sh_conn *c = W.pump.side[from];
                sh_span out = c->ops->out(c);
                if (out.n == 0) {
                    continue;
                }
                uint8_t copy[1024];
                memcpy(copy, out.p, out.n);
                if (at >= moved && at < moved + out.n) {
                    copy[at - moved] ^= 0x04;
                }
                size_t n = out.n;
                moved += n;
                c->ops->sent(c, n);
                pump_feed(&W.pump, 1 - from, sh_span_of(copy, n));
                more = true;
            }
        }
        bool spoilt = at < moved;
        assert_true(!spoilt || S[0].up + S[1].up < 2 || S[0].closed + S[1].closed > 0);
        world_stop();
    }
}

static void test_frame_tampering(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 60; at++) {
        world_start();
        connect_world(PUMP_WHOLE);
        sh_conn *a = W.pump.side[0];
        uint64_t id;
        a->ops->open(a, &id);
        a->ops->write(a, id, sh_span_str("0123456789012345678901"));
        a->ops->flush(a);
        uint8_t copy[256];
        sh_span out = a->ops->out(a);
        size_t n = out.n;
        assert_int_equal(n, 2 + 12 + 22 + 16);
        memcpy(copy, out.p, n);
        if (at < n) {
            copy[at] ^= 1;
        }
        pump_feed(&W.pump, 1, sh_span_of(copy, n));
        assert_int_equal(S[1].bytes, at < n ? 0 : 22);
        assert_true(S[1].closed == (at >= 1 && at < n ? 1 : 0) ||
                    at < 2); /* a longer length waits for more */
        if (S[1].closed) {
            assert_int_equal(S[1].err, SH_E_PROTO);
        }
        world_stop();
    }
}

/* A peer that reads nothing: writes are cut short at a few blocks, and go on once it reads. */
static void test_deaf_peer(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0];
    static uint8_t bulk[100000];
    uint64_t id[4];
    W.pump.deaf[1] = true;
    size_t took = 0;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(a->ops->open(a, &id[i]), 0);
        size_t room = a->ops->writable(a, id[i]);
        int64_t n = a->ops->write(a, id[i], sh_span_of(bulk, sizeof bulk));
        assert_true(n >= 0 && (size_t)n >= (room < sizeof bulk ? room : sizeof bulk));
        took += (size_t)n;
        pump_run(&W.pump);
    }
    assert_true(took < 4 * sizeof bulk);
    assert_true(W.pool.out_count <= SH_CONN_OUT_BLOCKS_MAX + 2);
    assert_int_equal(S[0].writables, 0);
    assert_int_equal(a->ops->writable(a, id[3]), 0);
    W.pump.deaf[1] = false;
    pump_run(&W.pump);
    assert_int_equal(S[1].bytes, took);
    assert_true(S[0].writables > 0);
    assert_true(a->ops->writable(a, id[3]) > 0);
    world_stop();
}

/* Yamux faults behind a real handshake: go-away 1 goes out, CLOSED says why. */
static void test_fault_says_goodbye(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
    uint64_t id;
    /* Our own stack is no hostile peer; but two dialers' ids collide: the listener is fed its own
     * kind of frame. */
    assert_int_equal(b->ops->open(b, &id), 0);
    b->ops->write(b, id, sh_span_str("x"));
    b->ops->flush(b);
    uint8_t copy[128];
    sh_span out = b->ops->out(b);
    memcpy(copy, out.p, out.n);
    pump_feed(&W.pump, 0, sh_span_of(copy, out.n));
    assert_int_equal(S[0].bytes, 1);
    pump_feed(&W.pump, 0,
              sh_span_of(copy, out.n)); /* the same frame again: a replay does not decrypt */
    assert_int_equal(S[0].closed, 1);
    assert_int_equal(S[0].err, SH_E_PROTO);
    assert_int_equal(a->ops->out(a).n, 2 + 12 + 16); /* go-away */
    b->ops->sent(b, out.n);
    pump_run(&W.pump);
    assert_int_equal(S[1].closed, 1);
    assert_int_equal(S[1].code, 1);
    assert_int_equal(S[1].err, SH_E_UNREACHABLE);
    world_stop();
}

/* A peer that has our keys but not our manners: its frames are written by hand and sealed
 * properly. */
static void hostile(sh_span frames)
{
    sh_stack *s = (sh_stack *)(void *)W.pump.side[0];
    assert_int_equal(sh_outq_put(&s->out, frames), 0);
    sh_outq_close(&s->out);
}

static void test_hostile_peer(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int err; /* of the victim */
    } ROWS[] = {
        {"000000010000000100040001", SH_E_PROTO}, /* over the window at once */
        {"000100010000000200000000", SH_E_PROTO}, /* an id of the victim's */
        {"000100010000000100000000"
         "000100010000000100000000",
         SH_E_PROTO}, /* twice */
        {"000100010000000100000000"
         "0001000000000001ffffffff",
         SH_E_PROTO}, /* window over 2^32 */
        {"070000000000000000000000", SH_E_PROTO},
        {"000300000000000000000001", SH_E_UNREACHABLE},
    };
    for (unsigned i = 0; i < COUNT(ROWS); i++) {
        for (enum pump_split split = PUMP_WHOLE; split <= PUMP_RANDOM; split++) {
            uint8_t buf[64];
            world_start();
            connect_world(split);
            hostile(check_hex(ROWS[i].hex, buf, sizeof buf));
            pump_run(&W.pump);
            assert_int_equal(S[1].closed, 1);
            assert_int_equal(S[1].err, ROWS[i].err);
            assert_true(strlen(S[1].why) > 5);
            if (ROWS[i].err == SH_E_PROTO) { /* told so by go-away 1 */
                assert_int_equal(S[0].closed, 1);
                assert_int_equal(S[0].code, 1);
            }
            world_stop();
        }
    }
}

static void test_hostile_ping_flood(void **state)
{
    (void)state;
    static uint8_t pings[12 * (SH_YAMUX_CONTROL_MAX + 1)];
    world_start();
    connect_world(PUMP_WHOLE);
    for (unsigned i = 0; i <= SH_YAMUX_CONTROL_MAX; i++) {
        pings[12 * i + 1] = 2;
        pings[12 * i + 3] = 1;
    }
    W.pump.deaf[0] = true;
    hostile(sh_span_of(pings, sizeof pings - 12));
    pump_run(&W.pump);
    assert_int_equal(S[1].closed, 0);
    hostile(sh_span_of(pings, 12));
    pump_run(&W.pump);
    assert_int_equal(S[1].closed, 1);
    assert_int_equal(S[1].err, SH_E_LIMIT);
    world_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_peer),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_long_payload),
        cmocka_unit_test(test_handshake_tampering),
        cmocka_unit_test(test_frame_tampering),
        cmocka_unit_test(test_deaf_peer),
        cmocka_unit_test(test_fault_says_goodbye),
        cmocka_unit_test(test_hostile_peer),
        cmocka_unit_test(test_hostile_ping_flood),
    };
    return RUN(tests);
}
