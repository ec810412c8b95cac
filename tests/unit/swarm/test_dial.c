/* Dials of one peer: how many at once and how far apart, who is ended when one has won, and when an address that
 * failed is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "swarm/dial.h"
#include "swarm/inner.h"
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm_net.h"

static const char *const PROTOCOLS[] = {"/test/one/1.0.0"};
static struct snet net;

enum { MS = 1000, SECOND = 1000000 };

static void start(unsigned count)
{
    snet_init(&net, count, 17, PROTOCOLS, 1, NULL);
    for (unsigned i = 0; i < count; i++) {
        snet_listen(&net, i);
    }
}

static struct sh_peer *peer_at(unsigned at, unsigned who)
{
    return sh_peers_at(net.node[at].swarm, snet_peer(&net, at, who));
}

/* Node 0 is told that p is at the place of node `port`; far: by an address of another network. */
static void tell_addr(struct sh_peer *p, unsigned port, bool far)
{
    static const uint8_t ip[16] = {198, 51, 100, 1};
    sh_addr a = snet_addr(&net, port, false);
    if (far) {
        assert_int_equal(sh_addr_from_ip(&a, SH_HOST_IP4, ip, (uint16_t)(SNET_PORT + port)), 0);
    }
    assert_true(sh_peer_learn(net.node[0].swarm, p, &a));
}

static unsigned links_in(enum sh_link_state state)
{
    unsigned n = 0;
    SH_LIST_FOREACH(it, &net.node[0].swarm->all_links)
    {
        n += SH_CONTAINER(it, struct sh_link, all)->state == state ? 1u : 0u;
    }
    return n;
}

/* Twelve addresses that never answer: one more each 30 ms (250 ms when it is far away), never more than eight. */
static void test_stagger_and_eight_at_once(void **state)
{
    (void)state;
    for (int far = 0; far < 2; far++) {
        uint64_t gap_us = far ? 250 * MS : 30 * MS;
        start(14);
        struct sh_peer *p = peer_at(0, 1);
        for (unsigned i = 2; i < 14; i++) {
            snet_cut(&net, 0, i, true);
            tell_addr(p, i, far == 1);
        }
        sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
        snet_run(&net, 10 * MS);
        for (unsigned i = 1; i < 12; i++) {
            unsigned due = i < SH_DIALS_PER_PEER_MAX ? i : SH_DIALS_PER_PEER_MAX;
            assert_int_equal(links_in(SH_LINK_DIALLING), due);
            assert_int_equal(p->in_flight, due);
            snet_run(&net, gap_us);
        }
        /* The first give up after 5 s and make room for those that waited; then that is all. */
        snet_run(&net, 5 * SECOND - 11 * gap_us + (far ? 2500 : 400) * MS);
        assert_int_equal(links_in(SH_LINK_DIALLING), 4);
        snet_run(&net, 6 * SECOND);
        assert_int_equal(links_in(SH_LINK_DIALLING), 0);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_DIAL_FAILED, 0), 12);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_UNREACHABLE, 0), 1);
        snet_fini(&net);
    }
}

/* Addresses of node 1: one where the dial never ends (node 2), one where the handshake does not (node 3). */
static struct sh_peer *two_that_hang(void)
{
    start(4);
    snet_cut(&net, 0, 2, true);
    snet_pause(&net, 3);
    struct sh_peer *p = peer_at(0, 1);
    tell_addr(p, 2, false);
    tell_addr(p, 3, false);
    return p;
}

/* Our own dial wins: all others of the job end, also the one that is being secured. */
static void test_our_dial_wins(void **state)
{
    (void)state;
    struct sh_peer *p = two_that_hang();
    tell_addr(p, 1, false);
    sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
    snet_run(&net, 40 * MS);
    assert_int_equal(links_in(SH_LINK_DIALLING), 1);
    assert_int_equal(links_in(SH_LINK_SECURING), 1);
    snet_run(&net, 100 * MS);
    assert_int_equal(p->link_count, 1);
    assert_int_equal(links_in(SH_LINK_UP), 1);
    assert_int_equal(links_in(SH_LINK_DIALLING), 0);
    assert_int_equal(links_in(SH_LINK_SECURING), 0);
    assert_int_equal(p->in_flight, 0);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_DIAL_FAILED, 0), 0); /* no failures to tell */
    snet_fini(&net);
}

/* Theirs wins: what is being secured may be up over there already and stays. */
static void test_their_dial_wins(void **state)
{
    (void)state;
    struct sh_peer *p = two_that_hang();
    sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
    snet_run(&net, 40 * MS);
    snet_dial(&net, 1, 0, false, 1);
    snet_run(&net, 100 * MS);
    assert_int_equal(p->link_count, 1);
    assert_int_equal(links_in(SH_LINK_DIALLING), 0);
    assert_int_equal(links_in(SH_LINK_SECURING), 1);
    snet_run(&net, 15 * (uint64_t)SECOND); /* the handshake has an end of its own */
    assert_int_equal(links_in(SH_LINK_SECURING), 0);
    assert_int_equal(p->in_flight, 0);
    assert_int_equal(p->link_count, 1);
    snet_fini(&net);
}

static size_t tries(struct sh_peer *p, bool want)
{
    size_t at = net.log_count;
    if (want) {
        sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
    } else {
        sh_dial_try(net.node[0].swarm, p);
    }
    snet_run(&net, 100 * MS);
    return snet_count(&net, 0, SH_SWARM_DIAL_FAILED, at);
}

/* An address that failed is left alone for 5 s and a second for the square of its failures; others are not. Who is
 * wanted is dialled all the same. */
static void test_back_off_of_an_address(void **state)
{
    (void)state;
    start(2);
    struct sh_peer *p = peer_at(0, 1);
    snet_kill(&net, 1);
    tell_addr(p, 1, false);
    sh_peer_use(p);
    for (unsigned fails = 1; fails < 5; fails++) {
        uint64_t begun_us = net.now_us, wait_us = 5 * SECOND + fails * fails * SECOND;
        assert_int_equal(tries(p, false), 1);
        assert_int_equal(p->addrs[0]->fails, fails);
        assert_int_equal(tries(p, false), 0);
        snet_run(&net, begun_us + wait_us - 200 * MS - net.now_us);
        assert_int_equal(tries(p, false), 0);
        snet_run(&net, 200 * MS);
    }
    assert_int_equal(tries(p, false), 1);
    tell_addr(p, 40, false); /* another one is not held back */
    assert_int_equal(tries(p, false), 1);
    assert_int_equal(tries(p, false), 0);
    assert_int_equal(tries(p, true), 2);
    sh_peer_unuse(net.node[0].swarm, p);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stagger_and_eight_at_once),
        cmocka_unit_test(test_our_dial_wins),
        cmocka_unit_test(test_their_dial_wins),
        cmocka_unit_test(test_back_off_of_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
