/* tests/unit/proto/test_stack.c - two stacks joined by a pipe that splits as it likes:
 * connecting, streams, ends. */
#include "stack_world.h"

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

/* --- two stacks --- */

struct echo {
    uint64_t stream[2];
    size_t sent, echoed_sent;
    size_t pending; /* at the echoing side: received and not yet written back */
    size_t back;
    bool done;
};
enum { STREAMS_MAX = 512 };
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

/* Keeps what arrives without giving it back. */
static void hold(void *ud, unsigned side, const struct sh_conn_ev *ev)
{
    (void)ud;
    S[side].bytes += ev->kind == SH_CONN_DATA ? ev->data.n : 0;
    S[side].writables += ev->kind == SH_CONN_WRITABLE ? 1 : 0;
}

/* A window update that is the last thing to arrive wakes the writer at once, not with whatever comes next. */
static void test_window_wakes(void **state)
{
    (void)state;
    static const uint8_t zeros[8192];
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
    uint64_t id;
    W.pump.event = hold;
    assert_int_equal(a->ops->open(a, &id), 0);
    for (size_t written = 0; written < SH_YAMUX_WINDOW_START;) {
        int64_t took = a->ops->write(a, id, sh_span_of(zeros, sizeof zeros));
        assert_true(took >= 0);
        written += (size_t)took;
        pump_run(&W.pump);
    }
    assert_int_equal(a->ops->write(a, id, sh_span_of(zeros, sizeof zeros)), 0);
    assert_int_equal(S[1].bytes, SH_YAMUX_WINDOW_START);
    S[0].writables = 0;
    b->ops->credit(b, id, SH_YAMUX_WINDOW_START);
    b->ops->flush(b);
    sh_span update = b->ops->out(b);
    pump_feed(&W.pump, 0, update); /* takes the events once */
    b->ops->sent(b, update.n);
    assert_int_equal(S[0].writables, 1);
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

/* Bytes and the end of the pipe in one turn: the bytes come first, and the end is an orderly one.
 * */
static void test_bytes_then_eof(void **state)
{
    (void)state;
    world_start();
    connect_world(PUMP_WHOLE);
    sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
    uint64_t id;
    size_t room;
    a->ops->open(a, &id);
    a->ops->write(a, id, sh_span_str("hello"));
    a->ops->flush(a);
    sh_span out = a->ops->out(a);
    memcpy(b->ops->room(b, &room), out.p, out.n);
    b->ops->filled(b, out.n, W.pump.now_us);
    b->ops->eof(b, W.pump.now_us);
    pump_events(&W.pump, 1);
    assert_int_equal(S[1].bytes, 5);
    assert_int_equal(S[1].closed, 1);
    assert_int_equal(S[1].err, 0);
    world_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),      cmocka_unit_test(test_echo),
        cmocka_unit_test(test_half_close),   cmocka_unit_test(test_reset),
        cmocka_unit_test(test_window_wakes), cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_eof),          cmocka_unit_test(test_bytes_then_eof),
    };
    return RUN(tests);
}
