/* tests/unit/base/check.h - cmocka, and the seed of a run: printed, and taken from SHOAL_TEST_SEED. */
#ifndef SH_TESTS_CHECK_H
#define SH_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/text.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define RUN(tests) cmocka_run_group_tests(tests, NULL, NULL)

static inline sh_rng check_rng(sh_rng_seeded *state)
{
    const char *text = getenv("SHOAL_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20261123;
    printf("seed %llu\n", (unsigned long long)seed);
    return sh_rng_seeded_init(state, seed);
}

/* Hex to bytes in a caller's buffer. */
static inline sh_span check_hex(const char *hex, uint8_t *buf, size_t cap)
{
    int n = sh_hex_decode(sh_span_str(hex), buf, cap);
    assert_true(n >= 0);
    return sh_span_of(buf, (size_t)n);
}

#define assert_span_equal(a, b)                                                                    \
    do {                                                                                           \
        sh_span left_ = (a), right_ = (b);                                                         \
        assert_int_equal(left_.n, right_.n);                                                       \
        if (left_.n) {                                                                             \
            assert_memory_equal(left_.p, right_.p, left_.n);                                       \
        }                                                                                          \
    } while (0)

#endif
