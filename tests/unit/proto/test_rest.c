/* tests/unit/proto/test_rest.c - a connection at rest holds no cipher context, and works at once after it: at any moment,
 * by every split of the bytes, and without memory to wake it. */
#include <openssl/crypto.h>

#include "stack_world.h"

static size_t fail_in; /* the allocation of the cipher library that fails; 0: none */

static void *crypto_alloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return fail_in > 0 && --fail_in == 0 ? NULL : malloc(n);
}

static void *crypto_again(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return fail_in > 0 && --fail_in == 0 ? NULL : realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

static const sh_stack *stack_at(unsigned side)
{
    return (const sh_stack *)(const void *)W.pump.side[side];
}

static void rest(unsigned side)
{
    W.pump.side[side]->ops->rest(W.pump.side[side]);
    assert_null(stack_at(side)->seal.ctx);
    assert_null(stack_at(side)->open.ctx);
}

static unsigned rests;

/* Comes to rest whenever anything arrives: between the pieces of a frame, and before the answer to it. */
static void see_and_rest(void *ud, unsigned side, const struct sh_conn_ev *ev)
{
    see(ud, side, ev);
    if (ev->kind == SH_CONN_DATA || ev->kind == SH_CONN_STREAM || ev->kind == SH_CONN_PONG) {
        rest(0);
        rest(1);
        rests++;
    }
}

static void test_wakes(void **state)
{
    (void)state;
    static const enum pump_split splits[] = {PUMP_WHOLE, PUMP_BYTES, PUMP_RANDOM};
    for (size_t i = 0; i < 3; i++) {
        world_start();
        connect_world(splits[i]);
        W.pump.event = see_and_rest;
        rests = 0;
        sh_conn *a = W.pump.side[0], *b = W.pump.side[1];
        uint64_t id;
        assert_int_equal(a->ops->open(a, &id), 0);
        for (unsigned k = 1; k <= 20; k++) {
            rest(0);
            rest(1);
            rest(1); /* twice is once */
            assert_int_equal(a->ops->write(a, id, sh_span_str("hello, you")), 10);
            pump_run(&W.pump);
            assert_int_equal(S[1].bytes, 10 * k);
            assert_memory_equal(&S[1].tail[10 * (k - 1) % 64], "hello, you",
                                10 * (k - 1) % 64 > 54 ? 1 : 10);
            rest(1);
            assert_int_equal(b->ops->write(b, id, sh_span_str("and you")), 7);
            pump_run(&W.pump);
            assert_int_equal(S[0].bytes, 7 * k);
        }
        assert_true(rests >= 40);
        assert_int_equal(S[0].closed + S[1].closed, 0);
        world_stop();
    }
}

/* Without memory at the waking it is a connection that ends and says so; the other side loses it or hears its end. */
static void test_no_memory_at_waking(void **state)
{
    (void)state;
    bool through = false;
    for (size_t k = 1; !through; k++) {
        assert_true(k < 100);
        world_start();
        connect_world(PUMP_WHOLE);
        sh_conn *a = W.pump.side[0];
        uint64_t id;
        assert_int_equal(a->ops->open(a, &id), 0);
        assert_int_equal(a->ops->write(a, id, sh_span_str("hello")), 5);
        pump_run(&W.pump);
        rest(0);
        rest(1);
        fail_in = k;
        (void)a->ops->write(a, id, sh_span_str("again"));
        pump_run(&W.pump);
        through = fail_in > 0;
        fail_in = 0;
        (void)a->ops->ping(
            a, W.pump.now_us); /* what could not be sealed is told at the next look at its events */
        pump_run(&W.pump);
        bool arrived = S[1].bytes == 10;
        assert_true(arrived || S[0].closed || S[1].closed);
        assert_true(!through || (arrived && !S[0].closed && !S[1].closed));
        world_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_no_memory_at_waking),
    };
    if (CRYPTO_set_mem_functions(crypto_alloc, crypto_again, crypto_free) != 1) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
