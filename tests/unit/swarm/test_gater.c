/* test_gater.c - who may begin a handshake: places of an address, a network and in all; token buckets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "swarm/gater.h"
#include "swarm/internal.h"
#include "swarm_net.h"

static const char *const PROTOCOLS[] = {"/test/1"};
static struct snet net;

static sh_addr addr_of(unsigned a, unsigned b, unsigned c)
{
    const uint8_t ip[4] = {10, (uint8_t)a, (uint8_t)b, (uint8_t)c};
    sh_addr out;
    sh_addr_from_ip(&out, SH_HOST_IP4, ip, 9);
    return out;
}

static bool accepted(struct sh_swarm *s, sh_addr from, uint64_t now_us)
{
    return sh_swarm_accepted(s, &from, now_us) != 0;
}

/* SH_CONNS_PENDING_ADDR_MAX, SH_CONNS_PENDING_NET_MAX, and v6, where a /64 is one host and a /48 one network. */
static void test_places(void **state)
{
    (void)state;
    snet_init(&net, 1, 21, PROTOCOLS, 1, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    unsigned taken = 0;
    for (unsigned i = 0; i < 100; i++) {
        taken += accepted(s, addr_of(1, 1, 1), net.now_us);
    }
    assert_int_equal(taken, SH_CONNS_PENDING_ADDR_MAX);
    for (unsigned i = 0; i < 100; i++) {
        taken += accepted(s, addr_of(1, 1, 2 + i), net.now_us);
    }
    assert_int_equal(taken, SH_CONNS_PENDING_NET_MAX);
    assert_true(accepted(s, addr_of(1, 2, 1), net.now_us));
    uint8_t six[16] = {0x20, 1, 13, 0xb8, 0, 1, 0, 1, 0};
    sh_addr from;
    for (unsigned i = taken = 0; i < 100; i++) {
        six[15] = (uint8_t)i;
        sh_addr_from_ip(&from, SH_HOST_IP6, six, 9);
        taken += accepted(s, from, net.now_us);
    }
    assert_int_equal(taken, SH_CONNS_PENDING_ADDR_MAX);
    snet_fini(&net);
}

/* SH_CONNS_PENDING_GRACE_MS: the oldest makes room, but not at once. */
static void test_grace(void **state)
{
    (void)state;
    snet_init(&net, 1, 22, PROTOCOLS, 1, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    for (unsigned i = 0; i < SH_CONNS_PENDING_MAX; i++) {
        assert_true(accepted(s, addr_of(2, i, 1), net.now_us));
    }
    uint64_t soon = net.now_us + SH_CONNS_PENDING_GRACE_MS * UINT64_C(1000) - 1;
    assert_false(accepted(s, addr_of(3, 1, 1), soon));
    assert_true(accepted(s, addr_of(3, 1, 1), soon + 1));
    assert_int_equal(s->inbound_pending, SH_CONNS_PENDING_MAX);
    snet_fini(&net);
}

/* SH_HANDSHAKES_ADDR_BURST, SH_HANDSHAKES_ADDR_PER_S, SH_HANDSHAKES_BURST, SH_HANDSHAKES_PER_S. */
static void test_buckets(void **state)
{
    (void)state;
    snet_init(&net, 1, 23, PROTOCOLS, 1, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    uint64_t now_us = net.now_us + 1;
    s->now_us = now_us;
    sh_addr one = addr_of(4, 1, 1);
    unsigned taken = 0;
    for (unsigned i = 0; i < 2000; i++) {
        taken += sh_gater_pass(s, &one) == 0;
    }
    assert_int_equal(taken, SH_HANDSHAKES_ADDR_BURST);
    s->now_us = now_us + 1000000;
    for (unsigned i = taken = 0; i < 2000; i++) {
        taken += sh_gater_pass(s, &one) == 0;
    }
    assert_int_equal(taken, SH_HANDSHAKES_ADDR_PER_S);
    for (unsigned i = 0; i < 20000; i++) { /* from everywhere */
        sh_addr other = addr_of(5 + i % 100, i / 100, i % 200);
        taken += sh_gater_pass(s, &other) == 0;
    }
    assert_int_equal(taken, SH_HANDSHAKES_BURST);
    s->now_us += 1000000;
    for (unsigned i = taken = 0; i < 20000; i++) {
        sh_addr other = addr_of(5 + i % 100, i / 100, i % 200);
        taken += sh_gater_pass(s, &other) == 0;
    }
    assert_int_equal(taken, SH_HANDSHAKES_PER_S);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
