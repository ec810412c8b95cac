/* unit/base/test_mpw.c - what is written is shortest-form MessagePack that the walk accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mpw.h"

#include "base/mp.h"

static void test_write(void **state)
{
    (void)state;
    static const uint8_t want[] = {0xdd, 0,   0,    0, 2, 0x82, 0xa1, 'a',  0x7f,
                                   0xa1, 'b', 0xcd, 1, 0, 0x93, 0xc0, 0xc3, 0xc2};
    sh_mpw w;
    sh_mpw_init(&w, sh_mem_system(), 1000);
    size_t mark = sh_mpw_list_begin(&w);
    sh_mpw_map(&w, 2);
    sh_mpw_str(&w, "a");
    sh_mpw_u64(&w, 127);
    sh_mpw_str(&w, "b");
    sh_mpw_u64(&w, 256);
    sh_mpw_list(&w, 3);
    sh_mpw_nil(&w);
    sh_mpw_bool(&w, true);
    sh_mpw_bool(&w, false);
    sh_mpw_list_end(&w, mark, 2);
    assert_int_equal(w.err, 0);
    assert_int_equal(w.n, sizeof want);
    assert_memory_equal(w.at, want, sizeof want);
    sh_mpw_fini(&w);
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {
        0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX};
    static const size_t texts[] = {0, 31, 32, 255, 256, 65535, 65536};
    static char text[65536];
    memset(text, 'x', sizeof text);
    sh_mpw w;
    sh_mpw_init(&w, sh_mem_system(), 1 << 20);
    size_t mark = sh_mpw_list_begin(&w);
    for (size_t i = 0; i < 10; i++) {
        sh_mpw_u64(&w, numbers[i]);
    }
    for (size_t i = 0; i < 7; i++) {
        sh_mpw_text(&w, sh_span_of(text, texts[i]));
    }
    sh_mpw_map(&w, 0);
    sh_mpw_list(&w, 16);
    for (int i = 0; i < 16; i++) {
        sh_mpw_nil(&w);
    }
    sh_mpw_list_end(&w, mark, 19);
    assert_int_equal(w.err, 0);
    assert_int_equal(sh_mp_check(sh_span_of(w.at, w.n), SH_MP_DEPTH_MAX, NULL), 0);
    sh_mpw_fini(&w);
}

static void test_limits(void **state)
{
    (void)state;
    sh_mem_counter counter;
    sh_mpw w;
    sh_mpw_init(&w, sh_mem_system(), 10);
    sh_mpw_str(&w, "123456789");
    assert_int_equal(w.err, 0);
    sh_mpw_nil(&w);
    assert_int_equal(w.err, SH_E_LIMIT);
    sh_mpw_fini(&w);
    sh_mpw_init(&w, sh_mem_counted(&counter, sh_mem_system()), 10);
    counter.fail_at = 1;
    sh_mpw_nil(&w);
    assert_int_equal(w.err, SH_E_NOMEM);
    sh_mpw_list_end(&w, 0, 1);
    sh_mpw_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_write), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
