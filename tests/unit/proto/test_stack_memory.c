/* tests/unit/proto/test_stack_memory.c - no memory at any point, quotas, and what a message may
 * cost. */
#include "stack_world.h"

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
            if (S[0].up > 0 && a->ops->open(a, &id) == 0 &&
                a->ops->write(a, id, sh_span_str("hello")) == 5) {
                pump_run(&W.pump);
            }
            /* What failed said so: it is closed, or the bytes arrived, or the call failed, or a
             * block was refused. */
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

/* A message of 64 bytes there and back costs no allocation, nor does an idle moment after it hold
 * a block. */
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
    /* What the pipe takes meanwhile does not disturb the frame that is open behind it. */
    a->ops->write(a, id, sh_span_str("0123456789"));
    uint8_t copy[8192];
    sh_span out = a->ops->out(a);
    size_t n = out.n;
    memcpy(copy, out.p, n);
    a->ops->sent(a, n);
    assert_int_equal(a->ops->out(a).n, 0);
    pump_feed(&W.pump, 1, sh_span_of(copy, n));
    pump_run(&W.pump);
    assert_int_equal(S[1].bytes, 10000 + 101 * 10);
    world_stop();
}

/* The k-th allocation fails while ten streams talk: no leak, no crash, and what arrives is right.
 * */
static void test_out_of_memory_streams(void **state)
{
    (void)state;
    bool through = false;
    for (size_t k = 1; !through; k++) {
        assert_true(k < 200);
        world_start();
        connect_world(PUMP_WHOLE);
        W.pool.keep_max = 0; /* every block is asked of the allocator */
        while (W.pool.free) {
            sh_block *b = W.pool.free;
            W.pool.free = b->next;
            W.pool.free_count--;
            sh_mem_free(W.pool.mem, b, sizeof *b);
        }
        W.counter.allocations = 0;
        W.counter.fail_at = k;
        sh_conn *a = W.pump.side[0];
        size_t wrote = 0;
        for (unsigned i = 0; i < 10; i++) {
            static const uint8_t bulk[40000];
            uint64_t id;
            if (a->ops->open(a, &id) == 0) {
                int64_t n = a->ops->write(a, id, sh_span_of(bulk, sizeof bulk));
                wrote += n > 0 ? (size_t)n : 0;
            }
            pump_run(&W.pump);
        }
        pump_run(&W.pump);
        through = W.counter.allocations < k;
        assert_true(S[0].closed || S[1].closed || S[1].resets || S[0].resets ||
                    S[1].bytes == wrote);
        W.counter.fail_at = 0;
        world_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_no_allocation_per_message),
        cmocka_unit_test(test_one_turn_one_frame),
        cmocka_unit_test(test_out_of_memory_streams),
    };
    return RUN(tests);
}
