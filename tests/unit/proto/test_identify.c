/* Identify: what is written is read back; two messages merge; what is wrong inside is dropped; memory is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/varint.h"
#include "proto/identify.h"

static const char *const KNOWN[] = {"/shoal/actor/1.0.0", "/ipfs/id/1.0.0",
                                    "/kameo/registry/1.0.0"};

static sh_addr addr_of(const char *text)
{
    sh_addr a;
    assert_int_equal(sh_addr_parse(&a, text, strlen(text)), 0);
    return a;
}

static sh_span body_of(const uint8_t *buf, int n)
{
    uint64_t len;
    int prefix = sh_uvarint_get(sh_span_of(buf, (size_t)n), &len);
    assert_true(prefix > 0 && len + (uint64_t)prefix == (uint64_t)n);
    return sh_span_of(buf + prefix, (size_t)len);
}

static int encode(uint8_t *buf, size_t cap, const sh_addr *addrs, unsigned n, unsigned protocols)
{
    static const uint8_t key[36] = {8, 1, 18, 32, 5};
    struct sh_identify_out out = {.public_key = sh_span_of(key, sizeof key),
                                  .addrs = addrs,
                                  .addr_count = n,
                                  .protocols = KNOWN,
                                  .protocol_count = protocols,
                                  .observed = n > 0 ? &addrs[0] : NULL,
                                  .agent = "shoal/0.1.0"};
    return sh_identify_encode(&out, buf, cap);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t buf[4200];
    sh_addr addrs[2] = {addr_of("/ip4/192.0.2.7/tcp/4001"), addr_of("/ip6/2001:db8::1/tcp/9")};
    int n = encode(buf, sizeof buf, addrs, 2, 3);
    assert_true(n > 0);
    sh_identify id = {0};
    assert_int_equal(sh_identify_decode(sh_mem_system(), body_of(buf, n), KNOWN, 3, &id), 0);
    assert_int_equal(id.addr_count, 2);
    assert_true(sh_addr_eq(&id.addrs[1], &addrs[1]));
    assert_int_equal(id.spoken, 7);
    assert_int_equal(id.protocol_count, 3);
    assert_true(id.has_observed);
    assert_string_equal(id.agent, "shoal/0.1.0");
}

static void test_merge(void **state)
{
    (void)state;
    uint8_t buf[4200];
    sh_addr a = addr_of("/ip4/192.0.2.7/tcp/4001");
    sh_identify id = {0};
    int n = encode(buf, sizeof buf, &a, 1, 1);
    for (int i = 0; i < SH_IDENTIFY_MESSAGES_MAX; i++) {
        assert_int_equal(sh_identify_decode(sh_mem_system(), body_of(buf, n), KNOWN, 3, &id), 0);
    }
    assert_int_equal(id.addr_count, SH_IDENTIFY_MESSAGES_MAX);
    assert_int_equal(id.spoken, 1);
    assert_int_equal(sh_identify_decode(sh_mem_system(), body_of(buf, n), KNOWN, 3, &id),
                     SH_E_LIMIT);
}

static void test_bounds(void **state)
{
    (void)state;
    uint8_t buf[4200];
    sh_addr many[16];
    char text[400];
    for (unsigned i = 0; i < 16; i++) {
        int at = snprintf(text, sizeof text, "/dns4/");
        memset(text + at, 'a' + (int)i, 240);
        snprintf(text + at + 240, sizeof text - (size_t)at - 240, "/tcp/4001/ws");
        many[i] = addr_of(text);
    }
    int n = encode(buf, sizeof buf, many, 16, 3);
    assert_true(n > 0 && n <= SH_IDENTIFY_FIRST_MAX + 9); /* rust reads no more than that */
    sh_identify id = {0};
    assert_int_equal(sh_identify_decode(sh_mem_system(), body_of(buf, n), KNOWN, 3, &id), 0);
    assert_true(id.addr_count > 8 && id.addr_count < 16);
    assert_int_equal(id.spoken, 7);
    assert_int_equal(encode(buf, 20, many, 1, 3), SH_E_LIMIT);
    for (size_t over = 0; over < 2; over++) { /* one field that nobody knows */
        uint8_t big[SH_IDENTIFY_MAX + 1] = {0x7a};
        int prefix = sh_uvarint_put(big + 1, SH_IDENTIFY_MAX + over - 3);
        assert_int_equal(prefix, 2);
        sh_span in = sh_span_of(big, SH_IDENTIFY_MAX + over);
        assert_int_equal(sh_identify_decode(sh_mem_system(), in, KNOWN, 3, &id),
                         over ? SH_E_PROTO : 0);
    }
}

/* SH_IDENTIFY_FIRST_MAX: filled to the last byte, and an address is left out for one more. */
static void test_first_message(void **state)
{
    (void)state;
    static const uint8_t key[36] = {8, 1, 18, 32, 5};
    uint8_t buf[SH_IDENTIFY_FIRST_MAX + 400];
    sh_addr many[16];
    char text[300], agent[400];
    size_t most = 0;
    int at = snprintf(text, sizeof text, "/dns4/");
    memset(text + at, 'a', 240);
    snprintf(text + at + 240, 40, "/tcp/4001");
    for (unsigned i = 0; i < 16; i++) {
        many[i] = addr_of(text);
    }
    for (size_t n = 0; n < 300; n++) {
        memset(agent, 'x', n);
        agent[n] = 0;
        struct sh_identify_out out = {.public_key = sh_span_of(key, sizeof key),
                                      .addrs = many,
                                      .addr_count = 16,
                                      .protocols = KNOWN,
                                      .protocol_count = 3,
                                      .agent = agent};
        size_t got = body_of(buf, sh_identify_encode(&out, buf, sizeof buf)).n;
        assert_in_range(got, SH_IDENTIFY_FIRST_MAX - 260, SH_IDENTIFY_FIRST_MAX);
        most = got > most ? got : most;
    }
    assert_int_equal(most, SH_IDENTIFY_FIRST_MAX);
}

/* SH_IDENTIFY_ADDRS_MAX addresses, over all messages: the first are kept. */
static void test_many_addresses(void **state)
{
    (void)state;
    uint8_t buf[4200];
    sh_identify id = {0};
    sh_addr a[3], last;
    for (unsigned told = 0; told < 2 * SH_IDENTIFY_ADDRS_MAX; told += 3) {
        char text[64];
        for (unsigned i = 0; i < 3; i++) {
            snprintf(text, sizeof text, "/ip4/192.0.2.%u/tcp/1", told + i);
            a[i] = addr_of(text);
        }
        int n = encode(buf, sizeof buf, a, 3, 1);
        int rc = sh_identify_decode(sh_mem_system(), body_of(buf, n), KNOWN, 3, &id);
        assert_int_equal(rc, told < 3 * SH_IDENTIFY_MESSAGES_MAX ? 0 : SH_E_LIMIT);
        unsigned all = told + 3;
        assert_int_equal(id.addr_count, all < SH_IDENTIFY_ADDRS_MAX ? all : SH_IDENTIFY_ADDRS_MAX);
    }
    last = addr_of("/ip4/192.0.2.15/tcp/1");
    assert_true(sh_addr_eq(&id.addrs[SH_IDENTIFY_ADDRS_MAX - 1], &last));
}

/* SH_PROTOCOLS_MAX of a list are looked at: what stands behind them is not believed. */
static void test_long_list_of_protocols(void **state)
{
    (void)state;
    for (unsigned before = SH_PROTOCOLS_MAX - 1; before <= SH_PROTOCOLS_MAX; before++) {
        uint8_t list[SH_IDENTIFY_MAX];
        sh_writer w = sh_writer_of(list, sizeof list);
        for (unsigned i = 0; i <= before; i++) {
            const char *name = i < before ? "/other/1.0.0" : KNOWN[2];
            sh_put_u8(&w, 3 << 3 | 2);
            sh_put_prefixed(&w, sh_span_str(name));
        }
        sh_identify id = {0};
        assert_int_equal(sh_identify_decode(sh_mem_system(), sh_put_span(&w), KNOWN, 3, &id), 0);
        assert_int_equal(id.spoken, before < SH_PROTOCOLS_MAX ? 4 : 0);
        assert_int_equal(id.protocol_count, SH_PROTOCOLS_MAX);
    }
}

static void test_bad_parts_are_dropped(void **state)
{
    (void)state;
    static const uint8_t bad_addr[] = {0x12, 2,   0xff, 0xff, 0x1a, 3, '/',
                                       'x',  'y', 0x32, 3,    'a',  1, 'b'};
    sh_identify id = {0};
    assert_int_equal(
        sh_identify_decode(sh_mem_system(), sh_span_of(bad_addr, sizeof bad_addr), KNOWN, 3, &id),
        0);
    assert_int_equal(id.addr_count, 0);
    assert_int_equal(id.protocol_count, 1);
    assert_int_equal(id.spoken, 0);
    assert_string_equal(id.agent, "a?b");
    static const uint8_t cut[] = {0x12, 9, 1};
    assert_int_equal(
        sh_identify_decode(sh_mem_system(), sh_span_of(cut, sizeof cut), KNOWN, 3, &id),
        SH_E_PROTO);
}

static void test_no_memory(void **state)
{
    (void)state;
    uint8_t buf[4200];
    sh_addr a = addr_of("/ip4/192.0.2.7/tcp/4001");
    int n = encode(buf, sizeof buf, &a, 1, 1);
    sh_mem_counter c;
    const sh_mem *mem = sh_mem_counted(&c, sh_mem_system());
    atomic_store(&c.fail_at, 1);
    sh_identify id = {0};
    assert_int_equal(sh_identify_decode(mem, body_of(buf, n), KNOWN, 3, &id), SH_E_NOMEM);
    assert_int_equal(sh_identify_decode(mem, body_of(buf, n), KNOWN, 3, &id), 0);
    assert_int_equal(atomic_load(&c.live_blocks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_merge),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_bad_parts_are_dropped),
        cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_long_list_of_protocols),
        cmocka_unit_test(test_many_addresses), cmocka_unit_test(test_first_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
