/* Dials of one peer: how many at once and how far apart, who is ended when one has won, and when an address that
 * failed is tried again. */
#include "swarm/dial.h"
#include "swarm/kad.h"
#include "swarms.h"

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

static unsigned conns_in(enum sh_conns_state state)
{
    unsigned n = 0;
    SH_LIST_FOREACH(it, &net.node[0].swarm->all_conns)
    {
        n += SH_CONTAINER(it, struct sh_swarm_conn, all)->state == state ? 1u : 0u;
    }
    return n;
}

/* Twelve addresses that never answer: one more each 30 ms (250 ms when it is far away), never more than eight. */
static void test_stagger_and_eight_at_once(void **state)
{
    (void)state;
    for (int far = 0; far < 2; far++) {
        uint64_t gap_us = far ? 250 * MS : 30 * MS;
        start(14, NULL);
        struct sh_peer *p = peer_at(0, 1);
        for (unsigned i = 2; i < 14; i++) {
            snet_cut(&net, 0, i, true);
            tell_addr(p, i, far == 1);
        }
        sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
        snet_run(&net, 10 * MS);
        for (unsigned i = 1; i < 12; i++) {
            unsigned due = i < SH_DIALS_PER_PEER_MAX ? i : SH_DIALS_PER_PEER_MAX;
            assert_int_equal(conns_in(SH_CONNS_DIALLING), due);
            assert_int_equal(p->in_flight, due);
            snet_run(&net, gap_us);
        }
        /* The first give up after 5 s and make room for those that waited; then that is all. */
        snet_run(&net, 5 * SECOND - 11 * gap_us + (far ? 2500 : 400) * MS);
        assert_int_equal(conns_in(SH_CONNS_DIALLING), 4);
        snet_run(&net, 6 * SECOND);
        assert_int_equal(conns_in(SH_CONNS_DIALLING), 0);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_DIAL_FAILED, 0), 12);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_UNREACHABLE, 0), 1);
        snet_fini(&net);
    }
}

/* The only address known never answers; a good one that is learnt meanwhile is tried beside it. */
static void test_learnt_while_dialling(void **state)
{
    (void)state;
    start(3, NULL);
    size_t at = 0;
    struct sh_peer *p = peer_at(0, 1);
    snet_cut(&net, 0, 2, true);
    tell_addr(p, 2, false);
    sh_swarm_want(net.node[0].swarm, p->ref, net.now_us);
    snet_run(&net, 300 * MS);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 1);
    tell_addr(p, 1, false);
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, 100 * MS));
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 0); /* the other one is ended */
    snet_run(&net, 20 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_UNREACHABLE, 0), 0);
    snet_fini(&net);
}

/* A held peer was lost: nothing is spread out, eight of its thirteen addresses are tried at once. A name with as many
 * addresses: likewise. */
static void test_eight_at_once_without_a_pause(void **state)
{
    (void)state;
    start(14, NULL);
    struct sh_peer *p = peer_at(0, 1);
    snet_dial(&net, 0, 1, false, 1);
    snet_run(&net, SECOND);
    sh_swarm_hold(net.node[0].swarm, p->ref);
    for (unsigned i = 1; i < 14; i++) {
        snet_cut(&net, 0, i, true);
        tell_addr(p, i, false);
    }
    sh_swarm_disconnect(net.node[0].swarm, p->ref, 0);
    snet_run(&net, 5 * MS);
    assert_int_equal(p->addr_count, 13);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), SH_DIALS_PER_PEER_MAX);
    assert_int_equal(p->in_flight, SH_DIALS_PER_PEER_MAX);
    snet_fini(&net);
    start(14, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_swarm_action act;
    sh_addr name, addrs[13];
    assert_int_equal(sh_addr_parse(&name, "/dns4/example.org/tcp/9", 23), 0);
    for (unsigned i = 0; i < 13; i++) {
        addrs[i] = snet_addr(&net, i + 1, false);
    }
    assert_int_equal(sh_swarm_dial(s, &name, false, 1, net.now_us), 0);
    sh_swarm_tick(s, net.now_us);
    assert_true(sh_swarm_action(s, &act) && act.kind == SH_SWARM_RESOLVE);
    sh_swarm_resolved(s, act.request, addrs, 13, 0, net.now_us);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), SH_DIALS_PER_PEER_MAX);
    snet_fini(&net);
}

/* Addresses of node 1: one where the dial never ends (node 2), one where the handshake does not (node 3). */
static struct sh_peer *two_that_hang(void)
{
    start(4, NULL);
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
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 1);
    assert_int_equal(conns_in(SH_CONNS_SECURING), 1);
    snet_run(&net, 100 * MS);
    assert_int_equal(p->conn_count, 1);
    assert_int_equal(conns_in(SH_CONNS_UP), 1);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 0);
    assert_int_equal(conns_in(SH_CONNS_SECURING), 0);
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
    assert_int_equal(p->conn_count, 1);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 0);
    assert_int_equal(conns_in(SH_CONNS_SECURING), 1);
    snet_run(&net, 15 * (uint64_t)SECOND); /* the handshake has an end of its own */
    assert_int_equal(conns_in(SH_CONNS_SECURING), 0);
    assert_int_equal(p->in_flight, 0);
    assert_int_equal(p->conn_count, 1);
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
    start(2, NULL);
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

/* --- bounds --- */

/* A dial of an address where nobody answers. */
static void call_nobody(uint64_t call)
{
    sh_addr a = snet_addr(&net, 1, false);
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, call, net.now_us), 0);
}

/* SH_DIALS_MAX dials under way, each for SH_DIAL_TIMEOUT_MS: the next is told so, and there is room when they end. */
static void test_dials_in_all(void **state)
{
    (void)state;
    start(2, NULL);
    snet_cut(&net, 0, 1, true);
    for (unsigned i = 0; i < SH_DIALS_MAX; i++) {
        call_nobody(i);
    }
    snet_run(&net, 10 * MS);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), SH_DIALS_MAX);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_DIALLED, 0), 0);
    call_nobody(SH_DIALS_MAX);
    snet_run(&net, 10 * MS);
    assert_non_null(snet_told(&net, SH_SWARM_DIALLED, SH_DIALS_MAX));
    assert_int_equal(snet_told(&net, SH_SWARM_DIALLED, SH_DIALS_MAX)->err, SH_E_LIMIT);
    snet_run(&net, (SH_DIAL_TIMEOUT_MS - 25) * MS);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), SH_DIALS_MAX);
    snet_run(&net, 10 * MS);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 0);
    for (unsigned i = 0; i < SH_DIALS_MAX; i++) {
        assert_int_equal(snet_told(&net, SH_SWARM_DIALLED, i)->err, SH_E_TIMEOUT);
    }
    call_nobody(1000);
    snet_run(&net, 10 * MS);
    assert_int_equal(conns_in(SH_CONNS_DIALLING), 1);
    snet_fini(&net);
}

/* SH_USER_DIALS_MAX dials asked for: those beyond are refused at the call, until some were told how they ended. */
static void test_user_dials_in_all(void **state)
{
    (void)state;
    start(1, NULL);
    sh_addr a = snet_addr(&net, 40, false);
    for (unsigned i = 0; i < SH_USER_DIALS_MAX; i++) {
        assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, i, net.now_us), 0);
    }
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, SH_USER_DIALS_MAX, net.now_us),
                     SH_E_LIMIT);
    snet_run(&net, SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_DIALLED, 0), SH_USER_DIALS_MAX);
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, SH_USER_DIALS_MAX, net.now_us), 0);
    snet_fini(&net);
}

/* Dials the ports from..to of nobody, by hand: nothing takes the events. */
static void fail_by_hand(unsigned from, unsigned to)
{
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_swarm_action act;
    for (unsigned i = from; i < to; i++) {
        sh_addr a = snet_addr(&net, i, false);
        assert_int_equal(sh_swarm_dial(s, &a, false, i, net.now_us), 0);
    }
    sh_swarm_tick(s, net.now_us);
    while (sh_swarm_action(s, &act)) {
        assert_int_equal(act.kind, SH_SWARM_DIAL);
        sh_swarm_dial_failed(s, act.conn, SH_E_REFUSED, "refused", net.now_us);
    }
}

static unsigned take_failures(unsigned first)
{
    struct sh_swarm_event ev;
    unsigned n = 0;
    while (sh_swarm_event(net.node[0].swarm, &ev, net.now_us)) {
        struct sh_endpoint e;
        if (ev.kind == SH_SWARM_DIAL_FAILED) {
            assert_int_equal(sh_addr_endpoint(&ev.addr, &e), 0);
            assert_int_equal(e.port, SNET_PORT + first + n);
            n++;
        }
    }
    return n;
}

/* SH_DIAL_FAILURES_MAX of them wait to be taken: the oldest are kept, the others are not told. */
static void test_failures_not_taken(void **state)
{
    (void)state;
    start(1, NULL);
    fail_by_hand(0, SH_DIAL_FAILURES_MAX);
    assert_int_equal(take_failures(0), SH_DIAL_FAILURES_MAX);
    fail_by_hand(100, 100 + SH_DIAL_FAILURES_MAX + 5);
    assert_int_equal(take_failures(100), SH_DIAL_FAILURES_MAX);
    fail_by_hand(7, 9);
    assert_int_equal(take_failures(7), 2);
    snet_fini(&net);
}

/* Look-ups again and again: each would like to ask the peer that is gone. */
static void run_with_finds(uint64_t us)
{
    for (uint64_t end_us = net.now_us + us, n = 100; net.now_us < end_us; n++) {
        sh_swarm_find(net.node[0].swarm, sh_span_str("name"), n, net.now_us);
        snet_run(&net, 7 * SECOND);
    }
}

/* A kept address and a held peer that nobody finds: the pauses double up to SH_KEEP_BACKOFF_MAX_MS and stay there,
 * whatever else would like to dial the peer. */
static void test_longest_pause(void **state)
{
    (void)state;
    const uint64_t pause_us = SH_KEEP_BACKOFF_MAX_MS * UINT64_C(1000);
    for (int held = 0; held < 2; held++) {
        start(2, NULL);
        assert_int_equal(snet_dial(&net, 0, 1, !held, 1), 0);
        snet_run(&net, SECOND);
        if (held) {
            sh_swarm_hold(net.node[0].swarm, snet_peer(&net, 0, 1));
        }
        snet_kill(&net, 1);
        run_with_finds(200 *
                       (uint64_t)SECOND); /* 0.1 + 0.2 + ... + 51.2 s, and the first of 60 s */
        size_t at = net.log_count;
        run_with_finds(10 * pause_us);
        uint64_t last_us = 0;
        unsigned gaps = 0;
        for (size_t i = at; i < net.log_count; i++) {
            if (net.log[i].kind == SH_SWARM_DIAL_FAILED) {
                uint64_t gap_us = net.log[i].at_us - last_us;
                assert_true(!last_us || (gap_us >= pause_us && gap_us < pause_us + 10 * MS));
                gaps += last_us ? 1u : 0u;
                last_us = net.log[i].at_us;
            }
        }
        assert_in_range(gaps, 8, 10);
        snet_fini(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stagger_and_eight_at_once),
        cmocka_unit_test(test_learnt_while_dialling),
        cmocka_unit_test(test_eight_at_once_without_a_pause),
        cmocka_unit_test(test_our_dial_wins),
        cmocka_unit_test(test_their_dial_wins),
        cmocka_unit_test(test_back_off_of_an_address),
        cmocka_unit_test(test_dials_in_all),
        cmocka_unit_test(test_user_dials_in_all),
        cmocka_unit_test(test_failures_not_taken),
        cmocka_unit_test(test_longest_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
