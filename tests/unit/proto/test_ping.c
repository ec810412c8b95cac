/* The echo of ping: any split, never more than one echo waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/ping.h"

static void test_split(void **state)
{
    (void)state;
    uint8_t in[96], out[96];
    for (size_t i = 0; i < sizeof in; i++) {
        in[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t step = 1; step <= sizeof in; step++) {
        sh_ping p;
        size_t eaten = 0, echoed = 0;
        sh_ping_init(&p);
        while (eaten < sizeof in || sh_ping_out(&p).n > 0) {
            sh_span piece = sh_span_take(sh_span_of(in + eaten, sizeof in - eaten), step);
            size_t n = sh_ping_recv(&p, piece);
            eaten += n;
            sh_span echo = sh_span_take(sh_ping_out(&p), (step * 5) % 32 + 1);
            if (echo.n > 0) {
                assert_int_equal(sh_ping_recv(&p, sh_span_of(in, 1)),
                                 0); /* nothing while an echo waits */
                memcpy(out + echoed, echo.p, echo.n);
                echoed += echo.n;
                sh_ping_sent(&p, echo.n);
            }
        }
        assert_int_equal(echoed, sizeof in);
        assert_memory_equal(in, out, sizeof in);
    }
}

/* SH_PING_BYTES: one less is no echo, one more waits until the echo is out. */
static void test_half_is_not_echoed(void **state)
{
    (void)state;
    sh_ping p;
    uint8_t b[SH_PING_BYTES + 1] = {0};
    sh_ping_init(&p);
    assert_int_equal(sh_ping_recv(&p, sh_span_of(b, SH_PING_BYTES - 1)), SH_PING_BYTES - 1);
    assert_int_equal(sh_ping_out(&p).n, 0);
    assert_int_equal(sh_ping_recv(&p, sh_span_of(b, 2)), 1);
    assert_int_equal(sh_ping_out(&p).n, SH_PING_BYTES);
    sh_ping_init(&p);
    assert_int_equal(sh_ping_recv(&p, sh_span_of(b, sizeof b)), SH_PING_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split),
                                       cmocka_unit_test(test_half_is_not_echoed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
