/* tests/unit/proto/test_yamux.c - the muxer alone: frames in and out, windows, limits, hostile
 * peers.
 *
 * Events are compared as a text trace: S1 stream 1 opened, D1:5 five bytes, F1 its end, R1/4097
 * reset with that code, W1 writable, P pong, away/0, and !proto for a fault. Consecutive D of a
 * stream are summed up. */
#include "../base/check.h"

#include "base/sh_limits.h"
#include "proto/yamux.h"

struct fix {
    sh_mem_counter counter;
    sh_block_pool pool;
    sh_quota quota;
    sh_outq out;
    sh_yamux y;
    sh_rng_seeded seeded;
    sh_rng rng;
    uint64_t now_us;
    bool hold; /* do not credit what is delivered */
    char trace[1 << 14];
    uint32_t data_stream, data_n;
};

static struct fix F;

static void start(bool client, uint32_t streams_max)
{
    memset(&F, 0, sizeof F);
    const sh_mem *mem = sh_mem_counted(&F.counter, sh_mem_system());
    sh_block_pool_init(&F.pool, mem, NULL, 8);
    sh_quota_init(&F.quota, NULL, 1 << 24);
    sh_outq_init(&F.out, &F.pool, &F.quota);
    struct sh_yamux_config cfg = {mem, &F.quota, &F.out, 42, streams_max, client};
    sh_yamux_init(&F.y, &cfg);
    F.rng = sh_rng_seeded_init(&F.seeded, 99);
}

static void stop(void)
{
    sh_yamux_fini(&F.y);
    sh_outq_fini(&F.out);
    sh_block_pool_fini(&F.pool);
    assert_int_equal(F.quota.used, 0);
    assert_int_equal(F.counter.live_blocks, 0);
}

static void say(const char *format, unsigned a, unsigned b)
{
    if (F.data_n > 0) {
        uint32_t n = F.data_n;
        F.data_n = 0;
        say("D%u:%u ", F.data_stream, n);
    }
    size_t at = strlen(F.trace);
    snprintf(F.trace + at, sizeof F.trace - at, format, a, b);
}

static void note(const struct sh_conn_ev *ev)
{
    unsigned id = (unsigned)ev->stream;
    switch (ev->kind) {
    case SH_CONN_STREAM: say("S%u ", id, 0); break;
    case SH_CONN_DATA:
        if (F.data_n > 0 && F.data_stream != id) {
            say("", 0, 0);
        }
        F.data_stream = id;
        F.data_n += (uint32_t)ev->data.n;
        if (!F.hold) {
            sh_yamux_credit(&F.y, id, ev->data.n);
        }
        break;
    case SH_CONN_FIN: say("F%u ", id, 0); break;
    case SH_CONN_RESET: say("R%u/%u ", id, (unsigned)ev->code); break;
    case SH_CONN_WRITABLE: say("W%u ", id, 0); break;
    case SH_CONN_PONG: say("P ", 0, 0); break;
    case SH_CONN_UP:
    case SH_CONN_CLOSED: fail(); break;
    }
}

static void feed_piece(sh_span in)
{
    struct sh_conn_ev ev;
    while (sh_yamux_event(&F.y, &ev)) {
        note(&ev);
    }
    while (sh_yamux_recv(&F.y, &in, &ev, F.now_us)) {
        note(&ev);
    }
    assert_true(in.n == 0 || sh_yamux_over(&F.y));
}

static void feed(sh_span in, unsigned split)
{
    while (in.n > 0 && !sh_yamux_over(&F.y)) {
        size_t n = split == 0 ? in.n : split == 1 ? 1 : 1 + sh_rng_below(&F.rng, in.n);
        feed_piece(sh_span_take(in, n));
        in = sh_span_skip(in, n);
    }
    feed_piece(sh_span_none());
    say("", 0, 0);
    if (F.y.err < 0) {
        say(F.y.err == SH_E_PROTO ? "!proto" : F.y.err == SH_E_LIMIT ? "!limit" : "!nomem", 0, 0);
    } else if (F.y.away) {
        say("away/%u", F.y.away_code, 0);
    }
}

static void frame(unsigned type, unsigned flags, uint32_t id, uint32_t length, sh_span body)
{
    static uint8_t buf[12 + (1 << 20)];
    sh_writer w = sh_writer_of(buf, sizeof buf);
    sh_put_u8(&w, 0);
    sh_put_u8(&w, (uint8_t)type);
    sh_put_u16be(&w, (uint16_t)flags);
    sh_put_u32be(&w, id);
    sh_put_u32be(&w, length);
    sh_put_bytes(&w, body);
    assert_false(w.overflow);
    feed(sh_put_span(&w), 0);
}

/* Everything in the queue as hex, and taken out of it. */
static char *taken(void)
{
    static char hex[1 << 17];
    hex[0] = 0;
    sh_outq_close(&F.out);
    size_t at = 0;
    for (sh_span out = sh_outq_out(&F.out); out.n > 0; out = sh_outq_out(&F.out)) {
        size_t n = out.n < 1024 ? out.n : 1024;
        at += (size_t)sh_hex_encode(sh_span_take(out, n), hex + at, sizeof hex - at);
        sh_outq_sent(&F.out, n);
        if (at > sizeof hex - 4096) {
            at = 0;
        }
    }
    sh_yamux_sent(&F.y);
    return hex;
}

struct row {
    const char *name;
    bool client;
    const char *in;
    const char *trace;
    const char *out;
};

static const struct row ROWS[] = {
    {"open, data, end", false,
     "000100010000000100000000"
     "000000000000000100000005"
     "68656c6c6f"
     "000100040000000100000000",
     "S1 D1:5 F1 ", ""},
    {"everything in one frame (rust)", false,
     "000000050000000300000002"
     "6162",
     "S3 D3:2 F3 ", ""},
    {"two streams of the listener", true,
     "000000010000000200000001"
     "61"
     "000000010000000400000001"
     "62"
     "000000000000000200000001"
     "63",
     "S2 D2:1 S4 D4:1 D2:1 ", ""},
    {"empty data frame with FIN", false,
     "000000010000000100000000"
     "000000040000000100000000",
     "S1 F1 ", ""},
    {"SYN and FIN on an update", false, "000100050000000100000000", "S1 F1 ", ""},
    {"FIN twice", false,
     "000100010000000100000000"
     "000100040000000100000000"
     "000000040000000100000000",
     "S1 F1 ", ""},
    {"FIN twice, on updates", false,
     "000100010000000100000000"
     "000100040000000100000000"
     "000100040000000100000000",
     "S1 F1 ", ""},
    {"data after FIN is skipped", false,
     "000100050000000100000000"
     "000000000000000100000002"
     "6162"
     "000100010000000300000000",
     "S1 F1 S3 ", ""},
    {"reset with code", false,
     "000100010000000100000000"
     "000100080000000100001001",
     "S1 R1/4097 ", ""},
    {"reset on data", false,
     "000100010000000100000000"
     "000000080000000100000001"
     "61"
     "000100010000000300000000",
     "S1 R1/0 S3 ", ""},
    {"open and reset at once", false, "000100090000000100000000", "", ""},
    {"unknown ids are skipped", false,
     "000000000000000900000003"
     "616263"
     "000100000000000b00000007"
     "000100080000000d00000000"
     "000000040000000f00000000",
     "", ""},
    {"ping", false, "000200010000000000000007", "", "000200020000000000000007"},
    {"unasked pong", false, "000200020000000000000007", "", ""},
    {"go away", false,
     "000300000000000000000000"
     "000200010000000000000007",
     "away/0", ""},
    {"go away with a code", false, "000300000000000000000002", "away/2", ""},
    {"version", false, "010200010000000000000007", "!proto", ""},
    {"type", false, "000400010000000000000007", "!proto", ""},
    {"ping on a stream", false, "000200010000000100000007", "!proto", ""},
    {"ping without flags", false, "000200000000000000000007", "!proto", ""},
    {"data without a stream", false, "000000000000000000000001", "!proto", ""},
    {"update without a stream", false, "000100000000000000000001", "!proto", ""},
    {"SYN on stream 0", false, "000100010000000000000000", "!proto", ""},
    {"wrong parity", false, "000100010000000200000000", "!proto", ""},
    {"wrong parity for a client", true, "000100010000000100000000", "!proto", ""},
    {"opened twice", false,
     "000100010000000100000000"
     "000100010000000100000000",
     "S1 !proto", ""},
    {"more than the window", false, "000000010000000100040001", "S1 !proto", ""},
    {"window over 2^32", false,
     "0001000100000001fffbffff"
     "000100000000000100000001",
     "S1 !proto", ""},
    {"window of 2^32 - 1", false,
     "0001000100000001fffbffff"
     "000100000000000100000000",
     "S1 ", ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        for (unsigned round = 0; round < 10; round++) {
            uint8_t buf[256];
            start(ROWS[i].client, 10);
            feed(check_hex(ROWS[i].in, buf, sizeof buf), round);
            const char *want = ROWS[i].trace;
            if (strcmp(ROWS[i].name, "more than the window") == 0) {
                want = "!proto"; /* the fault is in the frame that would open it */
            }
            if (strcmp(F.trace, want) != 0) {
                print_error("row %s, round %u: %s\n", ROWS[i].name, round, F.trace);
            }
            assert_string_equal(F.trace, want);
            assert_string_equal(taken(), ROWS[i].out);
            stop();
        }
    }
}

/* --- sending --- */

static void test_sending(void **state)
{
    (void)state;
    uint64_t a, b;
    start(true, 10);
    assert_int_equal(sh_yamux_open(&F.y, &a), 0);
    assert_int_equal(sh_yamux_open(&F.y, &b), 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 3);
    assert_string_equal(taken(), ""); /* SYN rides on the first frame */
    assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("he")), 2);
    assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("llo")), 3);
    assert_int_equal(sh_yamux_write(&F.y, b, sh_span_str("x")), 1);
    assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("y")), 1);
    assert_int_equal(sh_yamux_shut(&F.y, a), 0);
    assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("z")), SH_E_CLOSED);
    assert_int_equal(sh_yamux_shut(&F.y, a), SH_E_CLOSED);
    sh_yamux_reset(&F.y, b, 0x1001);
    assert_string_equal(taken(), "000000010000000100000005"
                                 "68656c6c6f"
                                 "000000010000000300000001"
                                 "78"
                                 "000000000000000100000001"
                                 "79"
                                 "000000040000000100000000" /* alone: go loses a body beside it */
                                 "000100080000000300001001");
    assert_int_equal(sh_yamux_open(&F.y, &b), 0);
    sh_yamux_reset(&F.y, b, 7); /* never heard of: nothing is said */
    assert_string_equal(taken(), "");
    assert_int_equal(sh_yamux_open(&F.y, &b), 0);
    assert_int_equal(sh_yamux_shut(&F.y, b), 0);
    assert_string_equal(taken(), "000000050000000700000000");
    assert_int_equal(sh_yamux_write(&F.y, 99, sh_span_str("z")), SH_E_CLOSED);
    assert_int_equal(sh_yamux_open(&F.y, &b), 0);
    assert_int_equal(sh_yamux_write(&F.y, b, sh_span_str("a")), 1);
    frame(2, 1, 0, 5, sh_span_none()); /* a pong between two writes ends the open frame */
    assert_int_equal(sh_yamux_write(&F.y, b, sh_span_str("b")), 1);
    assert_string_equal(taken(), "00000001000000090000000161"
                                 "000200020000000000000005"
                                 "00000000000000090000000162");
    frame(0, 4, 1, 0, sh_span_none()); /* the peer's end of a: both are over, it is forgotten */
    assert_string_equal(F.trace, "F1 ");
    assert_null(sh_map_u64_get(&F.y.streams, 1, NULL) ? "there" : NULL);
    stop();
}

static void test_ack(void **state)
{
    (void)state;
    start(false, 10);
    frame(1, 1, 1, 0, sh_span_none());
    assert_int_equal(sh_yamux_write(&F.y, 1, sh_span_str("a")), 1);
    taken();
    assert_int_equal(sh_yamux_write(&F.y, 1, sh_span_str("b")), 1);
    assert_string_equal(taken(), "00000000000000010000000162");
    frame(1, 1, 3, 0, sh_span_none());
    sh_yamux_reset(&F.y, 3, 0);
    assert_string_equal(taken(), "0001000a0000000300000000");
    stop();
}

/* A thousand small writes make one header; the frame limit starts another. */
static void test_coalescing(void **state)
{
    (void)state;
    uint64_t a;
    start(true, 10);
    assert_int_equal(sh_yamux_open(&F.y, &a), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("0123456789")), 10);
    }
    sh_outq_close(&F.out);
    sh_span out = sh_outq_out(&F.out);
    assert_int_equal(out.n, 12 + 10000);
    assert_int_equal(sh_load_u32be(out.p + 8), 10000);
    sh_outq_sent(&F.out, out.n);
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(sh_yamux_write(&F.y, a, sh_span_str("0123456789")), 10);
    }
    sh_outq_close(&F.out);
    out = sh_outq_out(&F.out);
    assert_int_equal(out.n, 24 + 20000);
    assert_int_equal(sh_load_u32be(out.p + 8), SH_YAMUX_FRAME_SEND_MAX);
    stop();
}

/* --- windows --- */

static const uint8_t BULK[1 << 20];

static void test_send_window(void **state)
{
    (void)state;
    uint64_t a;
    start(true, 10);
    assert_int_equal(sh_yamux_open(&F.y, &a), 0);
    size_t sent = 0;
    for (int64_t n = 1; n > 0;) {
        n = sh_yamux_write(&F.y, a, sh_span_of(BULK, 100000));
        assert_true(n >= 0);
        sent += (size_t)n;
        taken();
    }
    assert_int_equal(sent, SH_YAMUX_WINDOW_START);
    assert_int_equal(sh_yamux_writable(&F.y, a), 0);
    frame(1, 2, 1, 0, sh_span_none());
    assert_string_equal(F.trace, ""); /* nothing new */
    frame(1, 0, 1, 5, sh_span_none());
    assert_string_equal(F.trace, "W1 ");
    assert_int_equal(sh_yamux_write(&F.y, a, sh_span_of(BULK, 10)), 5);
    stop();
}

static void test_receive_window(void **state)
{
    (void)state;
    start(false, 10);
    F.hold = true;
    frame(0, 1, 1, 131072, sh_span_of(BULK, 131072));
    frame(0, 0, 1, 131072, sh_span_of(BULK, 131072));
    assert_string_equal(F.trace, "S1 D1:131072 D1:131072 ");
    assert_string_equal(taken(), "");
    sh_yamux_credit(&F.y, 1, 131071);
    assert_string_equal(taken(), "");
    sh_yamux_credit(&F.y, 1, 1);
    assert_string_equal(taken(), "000100020000000100020000");
    frame(0, 0, 1, 131072, sh_span_of(BULK, 131072));
    assert_true(F.y.err == 0);
    frame(0, 0, 1, 1, sh_span_of(BULK, 1));
    assert_int_equal(F.y.err, SH_E_PROTO);
    stop();
}

/* Grown only with a known round trip time, up to the limit of a stream and of the connection. */
static void test_window_growth(void **state)
{
    (void)state;
    start(false, 20);
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t id = 1; id <= 20; id += 2) {
            for (unsigned i = 0; i < 40; i++) {
                F.now_us += 10;
                frame(0, round == 0 && i == 0 ? 1 : 0, id, 65536, sh_span_of(BULK, 65536));
                F.trace[0] = 0;
                taken();
            }
            assert_int_equal(F.y.err, 0);
        }
        assert_int_equal(F.y.grown_bytes, round == 0 ? 0 : SH_YAMUX_GROWN_MAX);
        F.y.rtt_us = 100;
    }
    uint64_t value;
    assert_true(sh_map_u64_get(&F.y.streams, 1, &value));
    assert_int_equal(((sh_yamux_stream *)sh_map_ptr(value))->rx_limit, SH_YAMUX_WINDOW_MAX);
    frame(1, 8, 1, 0, sh_span_none()); /* what a dead stream had grown by is free again */
    assert_int_equal(F.y.grown_bytes,
                     SH_YAMUX_GROWN_MAX - SH_YAMUX_WINDOW_MAX + SH_YAMUX_WINDOW_START);
    stop();
}

/* --- limits --- */

static void test_inbound_limit(void **state)
{
    (void)state;
    start(false, 2);
    frame(1, 1, 1, 0, sh_span_none());
    frame(1, 1, 3, 0, sh_span_none());
    frame(0, 1, 5, 3, sh_span_str("abc"));
    frame(0, 0, 5, 3, sh_span_str("abc"));
    assert_string_equal(F.trace, "S1 S3 ");
    assert_string_equal(taken(), "000100080000000500001002");
    frame(1, 8, 1, 0, sh_span_none());
    frame(1, 1, 7, 0, sh_span_none());
    assert_string_equal(F.trace, "S1 S3 R1/0 S7 ");
    stop();
}

static void test_unacked_limit(void **state)
{
    (void)state;
    uint64_t id;
    start(true, 2);
    for (unsigned i = 0; i < SH_YAMUX_UNACKED_MAX; i++) {
        assert_int_equal(sh_yamux_open(&F.y, &id), 0);
    }
    assert_int_equal(sh_yamux_open(&F.y, &id), SH_E_LIMIT);
    frame(1, 2, 9, 0, sh_span_none());
    assert_int_equal(sh_yamux_open(&F.y, &id), 0);
    assert_int_equal(sh_yamux_open(&F.y, &id), SH_E_LIMIT);
    sh_yamux_reset(&F.y, id, 0);
    assert_int_equal(sh_yamux_open(&F.y, &id), 0);
    for (uint32_t i = 1; i < 2 * SH_YAMUX_UNACKED_MAX; i += 2) {
        frame(1, 2, i, 0, sh_span_none());
    }
    while (F.y.streams.count < SH_YAMUX_STREAMS_MAX) {
        assert_int_equal(sh_yamux_open(&F.y, &id), 0);
    }
    assert_int_equal(sh_yamux_open(&F.y, &id), SH_E_LIMIT);
    stop();
}

static void test_ping_flood(void **state)
{
    (void)state;
    start(false, 2);
    for (unsigned i = 0; i < 3 * SH_YAMUX_CONTROL_MAX; i++) {
        frame(2, 1, 0, i, sh_span_none());
        if (i % 100 == 0) {
            taken(); /* a peer that reads may ask as often as it likes */
        }
    }
    assert_int_equal(F.y.err, 0);
    taken();
    for (unsigned i = 0; i <= SH_YAMUX_CONTROL_MAX; i++) {
        assert_int_equal(F.y.err, 0);
        frame(2, 1, 0, i, sh_span_none());
    }
    assert_int_equal(F.y.err, SH_E_LIMIT);
    assert_int_equal(sh_yamux_ping(&F.y, 0), SH_E_CLOSED);
    uint64_t id;
    assert_int_equal(sh_yamux_open(&F.y, &id), SH_E_CLOSED);
    stop();
}

/* SH_YAMUX_IDLE_FRAMES_BURST and _PER_S: resets, empty and stray frames, streams opened and ended with nothing said. */
static void test_idle_flood(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        uint16_t flags, then;
    } kinds[] = {{0, 0, 0}, {1, 0, 0}, {1, 8, 0}, {1, 1, 8}, {1, 1, 4}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        start(false, 100);
        uint32_t id = 1;
        for (unsigned i = 0; i < SH_YAMUX_IDLE_FRAMES_BURST; i++, id += 2) {
            frame(kinds[k].type, kinds[k].flags, id, 0, sh_span_none());
            if (kinds[k].then) {
                frame(kinds[k].type, kinds[k].then, id, 0, sh_span_none());
            }
            sh_yamux_reset(&F.y, id, 0);
            taken();
            assert_int_equal(F.y.err, 0);
        }
        frame(kinds[k].type, kinds[k].flags, id, 0, sh_span_none());
        if (kinds[k].then) {
            frame(kinds[k].type, kinds[k].then, id, 0, sh_span_none());
        }
        assert_int_equal(F.y.err, SH_E_LIMIT);
        stop();
    }
}

/* Each second forgives SH_YAMUX_IDLE_FRAMES_PER_S of them, all in all the burst. */
static void test_idle_frames_are_forgiven(void **state)
{
    (void)state;
    enum { SECOND = 1000000, ALL = SH_YAMUX_IDLE_FRAMES_BURST / SH_YAMUX_IDLE_FRAMES_PER_S };
    start(false, 100);
    static const unsigned after[] = {1, 2, ALL, 3 * ALL, 1};
    unsigned room = SH_YAMUX_IDLE_FRAMES_BURST;
    for (size_t k = 0; k < sizeof after / sizeof *after; k++) {
        for (unsigned i = 0; i < room; i++) {
            frame(0, 0, 1, 0, sh_span_none());
        }
        assert_int_equal(F.y.err, 0);
        F.now_us += after[k] * SECOND;
        unsigned due = after[k] * SH_YAMUX_IDLE_FRAMES_PER_S;
        room = due < SH_YAMUX_IDLE_FRAMES_BURST ? due : SH_YAMUX_IDLE_FRAMES_BURST;
    }
    for (unsigned i = 0; i < room; i++) {
        frame(0, 0, 1, 0, sh_span_none());
    }
    F.now_us += SECOND / SH_YAMUX_IDLE_FRAMES_PER_S - 1; /* not quite one more */
    assert_int_equal(F.y.err, 0);
    frame(0, 0, 1, 0, sh_span_none());
    assert_int_equal(F.y.err, SH_E_LIMIT);
    stop();
}

static void test_ping(void **state)
{
    (void)state;
    start(true, 2);
    assert_int_equal(sh_yamux_ping(&F.y, 1000), 0);
    assert_int_equal(sh_yamux_ping(&F.y, 1000), SH_E_LIMIT);
    assert_string_equal(taken(), "000200010000000000000001");
    F.now_us = 1500;
    frame(2, 2, 0, 2, sh_span_none());
    assert_string_equal(F.trace, "");
    frame(2, 2, 0, 1, sh_span_none());
    frame(2, 2, 0, 1, sh_span_none());
    assert_string_equal(F.trace, "P ");
    assert_int_equal(F.y.rtt_us, 500);
    stop();
}

/* The queue holds so many blocks and no more; whose write was cut is told, one after the other. */
static void test_queue_full(void **state)
{
    (void)state;
    uint64_t id[3];
    start(true, 2);
    size_t total = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sh_yamux_open(&F.y, &id[i]), 0);
        size_t room = sh_yamux_writable(&F.y, id[i]);
        int64_t n = sh_yamux_write(&F.y, id[i], sh_span_of(BULK, sizeof BULK));
        assert_true(n >= (int64_t)room);
        total += (size_t)n;
    }
    assert_int_equal(F.out.blocks, SH_CONN_OUT_BLOCKS_MAX);
    assert_true(total > 3 * 65536 && total < SH_CONN_OUT_BLOCKS_MAX * SH_BLOCK_BYTES);
    frame(2, 1, 0, 5, sh_span_none()); /* a control frame still fits */
    assert_int_equal(F.y.err, 0);
    assert_string_equal(F.trace, "");
    taken();
    frame(1, 0, 1, 1 << 20, sh_span_none());
    feed_piece(sh_span_none());
    say("", 0, 0);
    assert_non_null(strstr(F.trace, "W3 W5 "));
    stop();
}

/* Two writers that never stop get their turns in order, a frame at a time. */
static void test_fair(void **state)
{
    (void)state;
    uint64_t a, b;
    start(true, 2);
    assert_int_equal(sh_yamux_open(&F.y, &a), 0);
    assert_int_equal(sh_yamux_open(&F.y, &b), 0);
    frame(1, 2, 1, 1u << 30, sh_span_none());
    frame(1, 2, 3, 1u << 30, sh_span_none());
    size_t got[4] = {0};
    got[a] += (size_t)sh_yamux_write(&F.y, a, sh_span_of(BULK, sizeof BULK));
    got[b] += (size_t)sh_yamux_write(&F.y, b, sh_span_of(BULK, sizeof BULK));
    for (unsigned round = 0; round < 100; round++) {
        taken();
        struct sh_conn_ev ev;
        size_t turn[4] = {0};
        while (sh_yamux_event(&F.y, &ev)) {
            turn[ev.stream] +=
                (size_t)sh_yamux_write(&F.y, ev.stream, sh_span_of(BULK, sizeof BULK));
        }
        assert_true(turn[1] > 0 && turn[3] > 0); /* each in every turn */
        got[1] += turn[1];
        got[3] += turn[3];
    }
    assert_true(got[1] > 10000000);
    assert_true(got[1] < got[3] + 600000 && got[3] < got[1] + 600000);
    stop();
}

static void test_no_memory(void **state)
{
    (void)state;
    start(false, 10);
    F.counter.fail_from = 1;
    frame(1, 1, 1, 0,
          sh_span_none()); /* no stream, and no block for the refusal: the connection ends */
    assert_string_equal(F.trace, "!nomem");
    F.counter.fail_from = 0;
    stop();
    uint64_t id;
    start(true, 10);
    F.counter.fail_from = 1;
    assert_int_equal(sh_yamux_open(&F.y, &id), SH_E_NOMEM);
    F.counter.fail_from = 0;
    assert_int_equal(sh_yamux_open(&F.y, &id), 0);
    F.counter.fail_from = 1;
    assert_int_equal(sh_yamux_write(&F.y, id, sh_span_str("a")), SH_E_NOMEM);
    F.counter.fail_from = 0;
    assert_true(sh_yamux_writable(&F.y, id) > 0);
    assert_int_equal(sh_yamux_write(&F.y, id, sh_span_str("a")), 1);
    stop();
    start(false, 10);
    sh_quota_fini(&F.quota);
    sh_quota_init(&F.quota, NULL, SH_BLOCK_BYTES + 500); /* one block and a few streams */
    frame(2, 1, 0, 5, sh_span_none());
    for (uint32_t i = 1; i < 20; i += 2) {
        frame(1, 1, i, 0, sh_span_none());
    }
    assert_int_equal(F.y.err, 0);
    assert_true(F.y.streams_in >= 3 && F.y.streams_in < 10);
    stop();
}

/* Random frames with plausible fields: anything may happen but a crash or a leak. */
static void test_random(void **state)
{
    (void)state;
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    for (unsigned round = 0; round < 2000; round++) {
        start(round & 1, 4);
        for (unsigned i = 0; i < 30 && !sh_yamux_over(&F.y); i++) {
            unsigned type = sh_rng_below(&rng, 40) == 0 ? 3 : (unsigned)sh_rng_below(&rng, 3);
            unsigned flags = (unsigned)sh_rng_below(&rng, 16) & (unsigned)sh_rng_below(&rng, 16);
            uint32_t id = type < 2 ? (uint32_t)sh_rng_below(&rng, 12) : 0;
            uint32_t length = (uint32_t)sh_rng_below(&rng, 40);
            frame(type, flags, id, length, sh_span_of(BULK, type == 0 ? length : 0));
            uint64_t own;
            switch (sh_rng_below(&rng, 6)) {
            case 0: sh_yamux_open(&F.y, &own); break;
            case 1:
                sh_yamux_write(&F.y, sh_rng_below(&rng, 12),
                               sh_span_of(BULK, sh_rng_below(&rng, 50000)));
                break;
            case 2: sh_yamux_shut(&F.y, sh_rng_below(&rng, 12)); break;
            case 3: sh_yamux_reset(&F.y, sh_rng_below(&rng, 12), 1); break;
            case 4: sh_yamux_ping(&F.y, F.now_us++); break;
            default: taken();
            }
            F.trace[0] = 0;
        }
        stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sending),
        cmocka_unit_test(test_ack),
        cmocka_unit_test(test_coalescing),
        cmocka_unit_test(test_send_window),
        cmocka_unit_test(test_receive_window),
        cmocka_unit_test(test_window_growth),
        cmocka_unit_test(test_inbound_limit),
        cmocka_unit_test(test_unacked_limit),
        cmocka_unit_test(test_ping_flood),
        cmocka_unit_test(test_idle_frames_are_forgiven),
        cmocka_unit_test(test_idle_flood),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_fair),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random),
    };
    return RUN(tests);
}
