/* tests/unit/proto/test_stack.c - whole connections: captures of a live Kameo node, two stacks joined by a pipe that
 * splits as it likes, hostile peers, no memory, and what a message may cost. */
#include "../base/check.h"
#include "capture.h"
#include "pump.h"

#include "base/sh_limits.h"
#include "proto/noise.h"
#include "proto/stack.h"

enum { HANDSHAKE_US = 10000000 };

struct world {
    sh_mem_counter counter;
    sh_block_pool pool;
    sh_quota quota;
    sh_rng_seeded seeded;
    sh_rng rng;
    sh_identity id[2];
    sh_noise_static ns[2];
    struct pump pump;
};

static struct world W;

static void world_start(void)
{
    memset(&W, 0, sizeof W);
    const sh_mem *mem = sh_mem_counted(&W.counter, sh_mem_system());
    sh_block_pool_init(&W.pool, mem, NULL, 16);
    sh_quota_init(&W.quota, NULL, 1 << 24);
    W.rng = sh_rng_seeded_init(&W.seeded, 5);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        assert_int_equal(sh_identity_from_seed(&W.id[i], seed), 0);
        assert_int_equal(sh_noise_static_init(&W.ns[i], &W.id[i], &W.rng), 0);
    }
    W.pump.rng = &W.rng;
    W.pump.now_us = 1000;
}

static void world_stop(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (W.pump.side[i]) {
            W.pump.side[i]->ops->free(W.pump.side[i]);
        }
        sh_identity_fini(&W.id[i]);
    }
    assert_int_equal(W.pool.out_count, 0);
    assert_int_equal(W.quota.used, 0);
    sh_block_pool_fini(&W.pool);
    assert_int_equal(W.counter.live_blocks, 0);
}

static struct sh_conn_config config(unsigned side)
{
    struct sh_conn_config cfg = {
        .mem = &W.counter.mem,
        .quota = &W.quota,
        .pool = &W.pool,
        .rng = &W.rng,
        .identity = &W.id[side],
        .noise_static = &W.ns[side],
        .dialer = side == 0,
        .streams_max = 256,
        .handshake_us = HANDSHAKE_US,
    };
    return cfg;
}

static sh_peer_id id_of(const sh_identity *id)
{
    uint8_t key[SH_ED25519_PROTO_BYTES];
    sh_peer_id peer;
    sh_identity_public_proto(id, key);
    assert_int_equal(sh_peer_id_from_key(&peer, sh_span_of(key, sizeof key)), 0);
    return peer;
}

/* A connection of each side; late: the muxer is agreed after Noise, as with rust-libp2p. */
static int join(bool late_dialer, bool late_listener)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sh_conn_config cfg = config(i);
        struct sh_stack_choice choice = {.late_muxer = i == 0 ? late_dialer : late_listener};
        if (i == 0) {
            cfg.expect = id_of(&W.id[1]);
        }
        int rc = sh_stack_new_with(&cfg, &choice, W.pump.now_us, &W.pump.side[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- what the sides saw --- */

enum { STREAMS_MAX = 512 };

struct seen {
    unsigned up, closed, streams, fins, resets, writables, pongs;
    int err;
    char why[128];
    uint64_t code;
    sh_peer_id peer;
    uint64_t last_stream;
    size_t bytes;
    uint8_t tail[64]; /* the latest bytes */
};
static struct seen S[2];

static void see(void *ud, unsigned side, const struct sh_conn_ev *ev)
{
    (void)ud;
    struct seen *s = &S[side];
    sh_conn *c = W.pump.side[side];
    assert_int_equal(s->closed, 0);
    assert_true(s->up == 1 || ev->kind == SH_CONN_UP || ev->kind == SH_CONN_CLOSED);
    switch (ev->kind) {
    case SH_CONN_UP:
        s->up++;
        s->peer = ev->peer;
        break;
    case SH_CONN_STREAM:
        s->streams++;
        s->last_stream = ev->stream;
        break;
    case SH_CONN_DATA:
        for (size_t i = ev->data.n > 64 ? ev->data.n - 64 : 0; i < ev->data.n; i++) {
            s->tail[(s->bytes + i) % 64] = ev->data.p[i];
        }
        s->bytes += ev->data.n;
        c->ops->credit(c, ev->stream, ev->data.n);
        break;
    case SH_CONN_FIN: s->fins++; break;
    case SH_CONN_RESET:
        s->resets++;
        s->code = ev->code;
        break;
    case SH_CONN_WRITABLE: s->writables++; break;
    case SH_CONN_PONG: s->pongs++; break;
    case SH_CONN_CLOSED:
        s->closed++;
        s->err = ev->err;
        s->code = ev->code;
        snprintf(s->why, sizeof s->why, "%s", ev->why);
        break;
    }
}

static void connect_world(enum pump_split split)
{
    memset(S, 0, sizeof S);
    W.pump.event = see;
    W.pump.split = split;
    assert_int_equal(join(false, false), 0);
    pump_run(&W.pump);
    assert_int_equal(S[0].up, 1);
    assert_int_equal(S[1].up, 1);
}

static void test_connect(void **state)
{
    (void)state;
    static const bool LATE[][2] = {{false, false}, {true, true}, {true, false}, {false, true}};
    for (unsigned i = 0; i < COUNT(LATE); i++) {
        for (enum pump_split split = PUMP_WHOLE; split <= PUMP_RANDOM; split++) {
            world_start();
            memset(S, 0, sizeof S);
            W.pump.event = see;
            W.pump.split = split;
            assert_int_equal(join(LATE[i][0], LATE[i][1]), 0);
            pump_run(&W.pump);
            for (unsigned side = 0; side < 2; side++) {
                sh_peer_id want = id_of(&W.id[1 - side]);
                assert_int_equal(S[side].up, 1);
                assert_int_equal(S[side].closed, 0);
                assert_true(sh_peer_id_eq(&S[side].peer, &want));
                assert_true(W.pump.side[side]->ops->deadline(W.pump.side[side]) == UINT64_MAX);
            }
            assert_int_equal(W.pool.out_count, 0); /* idle connections hold no block */
            world_stop();
        }
    }
}

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
        } else if (outs++ < 2) { /* the handshake, the negotiation of yamux, and the pong of a listener */
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

/* --- two stacks --- */

struct echo {
    uint64_t stream[2];
    size_t sent, echoed_sent;
    size_t pending; /* at the echoing side: received and not yet written back */
    size_t back;
    bool done;
};
static struct echo ECHO[STREAMS_MAX];
static unsigned echo_count;
static size_t echo_bytes;

static uint8_t echo_byte(unsigned stream, size_t at)
{
    return (uint8_t)(stream * 31 + at * 7 + (at >> 8));
}

static void echo_write(unsigned side, unsigned i)
{
    struct echo *e = &ECHO[i];
    sh_conn *c = W.pump.side[side];
    uint8_t buf[8192];
    size_t *done = side == 0 ? &e->sent : &e->echoed_sent;
    size_t end = side == 0 ? echo_bytes : e->echoed_sent + e->pending;
    while (*done < end) {
        size_t n = end - *done < sizeof buf ? end - *done : sizeof buf;
        for (size_t k = 0; k < n; k++) {
            buf[k] = echo_byte(i, *done + k);
        }
        int64_t took = c->ops->write(c, e->stream[side], sh_span_of(buf, n));
        assert_true(took >= 0 && took <= (int64_t)n);
        *done += (size_t)took;
        if (side == 1) {
            e->pending -= (size_t)took;
            c->ops->credit(c, e->stream[side], (size_t)took);
        }
        if (took < (int64_t)n) {
            return;
        }
    }
    if (*done == echo_bytes) {
        assert_int_equal(c->ops->shut(c, e->stream[side]), 0);
    }
}

static void echo_event(void *ud, unsigned side, const struct sh_conn_ev *ev)
{
    (void)ud;
    sh_conn *c = W.pump.side[side];
    struct echo *e = ev->user;
    unsigned i = e ? (unsigned)(e - ECHO) : 0;
    switch (ev->kind) {
    case SH_CONN_STREAM: {
        unsigned which = (unsigned)(ev->stream / 2);
        ECHO[which].stream[1] = ev->stream;
        c->ops->set_user(c, ev->stream, &ECHO[which]);
        break;
    }
    case SH_CONN_DATA:
        assert_non_null(e);
        for (size_t k = 0; k < ev->data.n; k++) {
            size_t at = (side == 0 ? e->back : e->echoed_sent + e->pending) + k;
            assert_int_equal(ev->data.p[k], echo_byte(i, at));
        }
        if (side == 0) {
            e->back += ev->data.n;
            c->ops->credit(c, ev->stream, ev->data.n);
        } else {
            e->pending += ev->data.n;
            echo_write(1, i);
        }
        break;
    case SH_CONN_WRITABLE: echo_write(side, i); break;
    case SH_CONN_FIN: e->done = e->done || side == 0; break;
    case SH_CONN_UP:
    case SH_CONN_PONG: break;
    case SH_CONN_RESET:
    case SH_CONN_CLOSED: print_error("%s\n", ev->why ? ev->why : "reset"); fail();
    }
}

static void echo_run(unsigned count, size_t bytes, enum pump_split split)
{
    world_start();
    memset(ECHO, 0, sizeof ECHO);
    echo_count = count;
    echo_bytes = bytes;
    W.pump.event = echo_event;
    W.pump.split = split;
    W.pump.delay_us = 10;
    assert_int_equal(join(false, false), 0);
    pump_run(&W.pump);
    sh_conn *c = W.pump.side[0];
    assert_int_equal(c->ops->ping(c, W.pump.now_us), 0);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(c->ops->open(c, &ECHO[i].stream[0]), 0);
        assert_int_equal(ECHO[i].stream[0], 2 * i + 1);
        c->ops->set_user(c, ECHO[i].stream[0], &ECHO[i]);
        echo_write(0, i);
    }
    pump_run(&W.pump);
    assert_true(sh_stack_rtt_us(c) > 0);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(ECHO[i].back, bytes);
        assert_true(ECHO[i].done);
    }
    assert_int_equal(W.pool.out_count, 0);
    world_stop();
}

static void test_echo(void **state)
{
    (void)state;
    echo_run(200, 65536, PUMP_WHOLE);
    echo_run(200, 65536, PUMP_RANDOM);
    echo_run(20, 3000, PUMP_BYTES);
    echo_run(3, 3 << 20, PUMP_WHOLE); /* well over the window */
}

static void test_half_close(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        world_start();
        connect_world(PUMP_RANDOM);
        sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
        uint64_t id;
        assert_int_equal(a->ops->open(a, &id), 0);
        assert_int_equal(a->ops->write(a, id, sh_span_str("hello")), 5);
        pump_run(&W.pump);
        assert_int_equal(S[1].streams, 1);
        sh_conn *x = first == 0 ? a : b, *y = first == 0 ? b : a;
        assert_int_equal(x->ops->shut(x, id), 0);
        pump_run(&W.pump);
        assert_int_equal(S[1 - first].fins, 1);
        assert_int_equal(y->ops->write(y, id, sh_span_str("still here")), 10);
        pump_run(&W.pump);
        assert_int_equal(S[first].bytes, first == 0 ? 10 : 15);
        assert_int_equal(y->ops->shut(y, id), 0);
        pump_run(&W.pump);
        assert_int_equal(S[first].fins, 1);
        assert_int_equal(a->ops->write(a, id, sh_span_str("x")), SH_E_CLOSED);
        assert_int_equal(b->ops->write(b, id, sh_span_str("x")), SH_E_CLOSED);
        assert_int_equal(S[0].resets + S[1].resets, 0);
        world_stop();
    }
}

static void test_reset(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_RANDOM);
    sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
    uint64_t id[3];
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(a->ops->open(a, &id[i]), 0);
        assert_int_equal(a->ops->write(a, id[i], sh_span_str("hello")), 5);
    }
    pump_run(&W.pump);
    b->ops->reset(b, id[0], 0x1001);
    a->ops->write(a, id[0], sh_span_str("crosses the reset"));
    pump_run(&W.pump);
    assert_int_equal(S[0].resets, 1);
    assert_int_equal(S[0].code, 0x1001);
    a->ops->shut(a, id[1]); /* a reset reaches the peer after our end, too */
    a->ops->reset(a, id[1], 7);
    pump_run(&W.pump);
    assert_int_equal(S[1].resets, 1);
    assert_int_equal(S[1].code, 7);
    b->ops->credit(b, id[0], 5); /* of a stream that is gone: nothing */
    assert_int_equal(b->ops->open(b, &id[0]), 0);
    assert_int_equal(id[0], 2);
    assert_int_equal(S[0].closed + S[1].closed, 0);
    world_stop();
}

static void test_goodbye(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        int err;
    } ROWS[] = {{0, 0}, {2, SH_E_UNREACHABLE}};
    for (unsigned i = 0; i < COUNT(ROWS); i++) {
        world_start();
        connect_world(PUMP_BYTES);
        sh_conn *a = W.pump.side[0];
        uint64_t id;
        assert_int_equal(a->ops->open(a, &id), 0);
        a->ops->write(a, id, sh_span_str("last words"));
        a->ops->close(a, ROWS[i].code);
        assert_int_equal(a->ops->open(a, &id), SH_E_CLOSED);
        assert_int_equal(a->ops->write(a, 1, sh_span_str("x")), SH_E_CLOSED);
        pump_run(&W.pump);
        assert_int_equal(S[1].bytes, 10);
        assert_int_equal(S[1].closed, 1);
        assert_int_equal(S[1].err, ROWS[i].err);
        assert_int_equal(S[1].code, ROWS[i].code);
        assert_int_equal(S[0].closed, 0);
        size_t room;
        W.pump.side[1]->ops->room(W.pump.side[1], &room);
        assert_int_equal(room, 0);
        world_stop();
    }
}

static void test_eof(void **state)
{
    (void)state;
    for (unsigned when = 0; when < 3; when++) {
        world_start();
        memset(S, 0, sizeof S);
        W.pump.event = see;
        assert_int_equal(join(false, false), 0);
        sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
        if (when > 0) {
            pump_run(&W.pump);
        }
        if (when == 2) {
            uint64_t id;
            a->ops->open(a, &id);
            a->ops->write(a, id, sh_span_str("a frame that will be cut"));
            a->ops->flush(a);
            sh_span out = a->ops->out(a);
            pump_feed(&W.pump, 1, sh_span_take(out, out.n - 1));
        }
        b->ops->eof(b, W.pump.now_us);
        pump_events(&W.pump, 1);
        pump_events(&W.pump, 1);
        assert_int_equal(S[1].closed, 1);
        assert_int_equal(S[1].err, when == 1 ? 0 : SH_E_UNREACHABLE);
        world_stop();
    }
}

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
        "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x0b/tls/1.0.1\ngarbage that is no proposal....................",
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
            assert_true(S[1].err == SH_E_PROTO || S[1].err == SH_E_UNSUPPORTED || S[1].err == SH_E_CRYPTO);
            world_stop();
        }
    }
}

/* Every byte of the handshake flipped, one at a time, either way: nobody comes up wrongly, nothing hangs. */
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
        assert_true(S[1].closed == (at >= 1 && at < n ? 1 : 0) || at < 2); /* a longer length waits for more */
        if (S[1].closed) {
            assert_int_equal(S[1].err, SH_E_PROTO);
        }
        world_stop();
    }
}

/* --- memory --- */

static void test_out_of_memory(void **state)
{
    (void)state;
    bool through = false;
    for (size_t k = 1; !through; k++) {
        assert_true(k < 200);
        world_start();
        memset(S, 0, sizeof S);
        W.pump.event = see;
        W.counter.fail_at = k;
        if (join(true, true) == 0) {
            pump_run(&W.pump);
            uint64_t id = 0;
            sh_conn *a = W.pump.side[0];
            if (S[0].up > 0 && a->ops->open(a, &id) == 0 && a->ops->write(a, id, sh_span_str("hello")) == 5) {
                pump_run(&W.pump);
            }
            /* What failed said so: it is closed, or the bytes arrived, or the call failed, or a block was refused. */
            through = W.counter.allocations < k;
            if (through) {
                assert_int_equal(S[1].bytes, 5);
            }
            for (unsigned i = 0; i < 2; i++) {
                if (S[i].closed) {
                    assert_true(S[i].err == SH_E_NOMEM || S[i].err == SH_E_UNREACHABLE);
                }
            }
        }
        W.counter.fail_at = 0;
        world_stop();
    }
}

static void test_quota(void **state)
{
    (void)state;
    world_start();
    sh_quota none;
    sh_quota_init(&none, NULL, SH_BLOCK_BYTES - 1);
    struct sh_conn_config cfg = config(1);
    cfg.quota = &none;
    assert_int_equal(sh_stack_new(&cfg, 0, &W.pump.side[1]), 0);
    size_t room;
    assert_null(W.pump.side[1]->ops->room(W.pump.side[1], &room));
    assert_int_equal(room, 0);
    world_stop();
}

/* A message of 64 bytes there and back costs no allocation, nor does an idle moment after it hold a block. */
static void test_no_allocation_per_message(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
    uint64_t id;
    uint8_t message[64] = {0};
    assert_int_equal(a->ops->open(a, &id), 0);
    for (unsigned i = 0; i < 20; i++) {
        a->ops->write(a, id, sh_span_of(message, 64));
        pump_run(&W.pump);
        b->ops->write(b, id, sh_span_of(message, 64));
        pump_run(&W.pump);
    }
    size_t before = W.counter.allocations;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(a->ops->write(a, id, sh_span_of(message, 64)), 64);
        pump_run(&W.pump);
        assert_int_equal(b->ops->write(b, id, sh_span_of(message, 64)), 64);
        pump_run(&W.pump);
    }
    assert_int_equal(W.counter.allocations, before);
    assert_int_equal(S[0].bytes, 1020 * 64);
    assert_int_equal(W.pool.out_count, 0);
    world_stop();
}

/* A thousand small writes in a turn are one frame of Noise and one of yamux. */
static void test_one_turn_one_frame(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0];
    uint64_t id;
    assert_int_equal(a->ops->open(a, &id), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(a->ops->write(a, id, sh_span_str("0123456789")), 10);
    }
    a->ops->flush(a);
    assert_int_equal(a->ops->out(a).n, 2 + 12 + 10000 + 16);
    pump_run(&W.pump);
    assert_int_equal(S[1].bytes, 10000);
    /* Turns whose bytes the pipe has not taken share a block. */
    for (unsigned i = 0; i < 100; i++) {
        a->ops->write(a, id, sh_span_str("0123456789"));
        a->ops->flush(a);
    }
    assert_int_equal(W.pool.out_count, 1);
    assert_int_equal(a->ops->out(a).n, 100 * (2 + 12 + 10 + 16));
    world_stop();
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
    /* Our own stack is no hostile peer; but two dialers' ids collide: the listener is fed its own kind of frame. */
    assert_int_equal(b->ops->open(b, &id), 0);
    b->ops->write(b, id, sh_span_str("x"));
    b->ops->flush(b);
    uint8_t copy[128];
    sh_span out = b->ops->out(b);
    memcpy(copy, out.p, out.n);
    pump_feed(&W.pump, 0, sh_span_of(copy, out.n));
    assert_int_equal(S[0].bytes, 1);
    pump_feed(&W.pump, 0, sh_span_of(copy, out.n)); /* the same frame again: a replay does not decrypt */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_eof),
        cmocka_unit_test(test_wrong_peer),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_handshake_tampering),
        cmocka_unit_test(test_frame_tampering),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_no_allocation_per_message),
        cmocka_unit_test(test_one_turn_one_frame),
        cmocka_unit_test(test_deaf_peer),
        cmocka_unit_test(test_fault_says_goodbye),
    };
    return RUN(tests);
}
