/* unit/node/test_drain.c - the steps of a graceful stop, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "node/drain.h"

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        struct sh_drain_facts facts;
        uint64_t now_us;
        enum sh_drain_step step;
        bool late;
    } cases[] = {
        {{2, true, 3}, 10, SH_DRAIN_ACTORS, false},    {{0, true, 3}, 11, SH_DRAIN_GOODBYE, false},
        {{0, true, 3}, 12, SH_DRAIN_GOODBYE, false},   {{0, false, 3}, 13, SH_DRAIN_CONNS, false},
        {{0, false, 1}, 14, SH_DRAIN_CONNS, false},    {{0, false, 0}, 15, SH_DRAIN_STOPPED, false},
        {{5, true, 5}, 1000, SH_DRAIN_STOPPED, false},
    };
    struct sh_drain d = {0};
    assert_int_equal(sh_drain_next(&d, &cases[0].facts, 1), SH_DRAIN_NONE);
    assert_true(sh_drain_deadline(&d) == UINT64_MAX);
    assert_true(sh_drain_begin(&d, 100));
    assert_false(sh_drain_begin(&d, 200)); /* never later */
    assert_int_equal(sh_drain_deadline(&d), 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(sh_drain_next(&d, &cases[i].facts, cases[i].now_us), cases[i].step);
        assert_int_equal(d.late, cases[i].late);
    }
    assert_true(sh_drain_deadline(&d) == UINT64_MAX);
}

static void test_late(void **state)
{
    (void)state;
    struct sh_drain_facts facts = {1, true, 1};
    struct sh_drain d = {0};
    assert_true(sh_drain_begin(&d, 100));
    assert_false(sh_drain_begin(&d, 50)); /* but sooner */
    assert_int_equal(sh_drain_next(&d, &facts, 49), SH_DRAIN_ACTORS);
    assert_int_equal(sh_drain_next(&d, &facts, 50), SH_DRAIN_STOPPED);
    assert_true(d.late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_late)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
