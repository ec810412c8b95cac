/* When a peer counts as lost: killed, silent, stuck or spoilt; and when it does not. */
#include "swarms.h"

#include "proto/stack_internal.h"
#include "swarm/conns.h"
#include "swarm/peers.h"

static void hold_pair(void)
{
    connect_pair();
    sh_swarm_hold(net.node[0].swarm, snet_peer(&net, 0, 1));
    snet_run(&net, 2 * SECOND);
}

static void test_killed_is_lost_at_once(void **state)
{
    (void)state;
    hold_pair();
    size_t at = net.log_count;
    uint64_t killed_us = net.now_us;
    snet_kill(&net, 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, SECOND);
    assert_non_null(e);
    assert_true(e->at_us - killed_us <
                20 * MS); /* its address refuses: no need to wait for the grace */
    snet_run(&net, 30 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 1);
    snet_fini(&net);
}

static void test_killed_dialler_is_lost_in_grace(void **state)
{
    (void)state;
    snet_init(&net, 2, 7, PROTOCOLS, 2, NULL);
    snet_listen(&net, 0); /* 1 does not listen: it was never reached by 0 */
    snet_dial(&net, 1, 0, false, 1);
    snet_run(&net, SECOND);
    sh_swarm_hold(net.node[0].swarm, snet_peer(&net, 0, 1));
    snet_run(&net, SECOND);
    size_t at = net.log_count;
    uint64_t killed_us = net.now_us;
    snet_kill(&net, 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, SECOND);
    assert_non_null(e);
    assert_true(e->at_us - killed_us >= 200 * MS && e->at_us - killed_us < 250 * MS);
    snet_fini(&net);
}

/* A stall inflates the round trip; with bytes coming all the time no ping is due, but it comes down all the same. */
static void test_a_stall_is_forgotten(void **state)
{
    (void)state;
    snet_init(&net, 2, 7, PROTOCOLS, 2, NULL);
    snet_listen(&net, 0);
    snet_dial(&net, 1, 0, false, 1);
    snet_run(&net, SECOND);
    sh_swarm_hold(net.node[0].swarm, snet_peer(&net, 0, 1));
    snet_run(&net, 2 * SECOND);
    snet_pause(&net, 1);
    snet_run(&net, 6 * SECOND);
    snet_resume(&net, 1);
    snet_run(&net, 10 * MS);
    uint64_t stalled_us = sh_swarm_rtt_us(net.node[0].swarm, snet_peer(&net, 0, 1));
    assert_true(stalled_us > 300 * MS);
    sh_stream *st;
    assert_int_equal(sh_swarm_open(net.node[1].swarm, snet_peer(&net, 1, 0), 1, NULL, &st), 0);
    for (unsigned i = 0; i < 60; i++) { /* never quiet for long enough */
        assert_int_equal(sh_stream_write(st, sh_span_str("x")), 1);
        snet_run(&net, 50 * MS);
    }
    assert_true(sh_swarm_rtt_us(net.node[0].swarm, snet_peer(&net, 0, 1)) < 5 * MS);
    size_t at = net.log_count;
    uint64_t killed_us = net.now_us;
    snet_kill(&net, 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, 5 * SECOND);
    assert_non_null(e);
    assert_true(e->at_us - killed_us < 250 * MS);
    snet_fini(&net);
}

/* A frame that cannot be sealed ends the connection at once, not when something comes in. */
static void test_unsealed_is_told_at_once(void **state)
{
    (void)state;
    hold_pair();
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_swarm_conn *c = sh_peer_conn(sh_peers_at(s, snet_peer(&net, 0, 1)));
    sh_stack *stack = (sh_stack *)(void *)c->machine;
    size_t at = net.log_count;
    sh_stream *st;
    snet_cut(&net, 0, 1, true);
    sh_aead_fini(&stack->seal);
    assert_int_equal(sh_swarm_open(s, snet_peer(&net, 0, 1), 1, NULL, &st), 0);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_DOWN, &at, 2 * MS);
    assert_non_null(e);
    assert_int_equal(e->err, SH_E_CRYPTO);
    assert_string_equal(e->text, "a frame could not be sealed");
    snet_fini(&net);
}

static void test_returns_is_no_loss(void **state)
{
    (void)state;
    hold_pair();
    size_t at = net.log_count;
    sh_swarm_disconnect(net.node[1].swarm, snet_peer(&net, 1, 0), 0);
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_DOWN, &at, SECOND));
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, 200 * MS));
    snet_run(&net, 30 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 0);
    snet_fini(&net);
}

/* Spoilt bytes end the connection and the first dials after it: no proof that somebody else is there. */
static void test_garbled_is_no_loss(void **state)
{
    for (unsigned chunks = 1; chunks < 6; chunks++) {
        (void)state;
        hold_pair();
        size_t at = net.log_count;
        net.garble = chunks;
        assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_DOWN, &at, 5 * SECOND));
        snet_run(&net, 30 * SECOND);
        assert_int_equal(net.garble, 0);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 0);
        snet_fini(&net);
    }
}

/* A spoilt bit in the first protocol's name looks like a host that speaks none of ours. */
static void test_strange_once_is_no_loss(void **state)
{
    (void)state;
    for (unsigned times = 1; times < 3; times++) {
        hold_pair();
        size_t at = net.log_count;
        sh_swarm_disconnect(net.node[1].swarm, snet_peer(&net, 1, 0), 0);
        net.garble = times;
        net.garble_text = "noise";
        assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_DOWN, &at, SECOND));
        snet_run(&net, 30 * SECOND);
        assert_int_equal(net.garble, 0);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), times == 2);
        snet_fini(&net);
    }
}

static void test_paused_peer_lives(void **state)
{
    (void)state;
    hold_pair();
    sh_swarm_hold(net.node[1].swarm, snet_peer(&net, 1, 0));
    size_t at = net.log_count;
    snet_pause(&net, 1);
    snet_run(&net, 8900 * MS); /* it was heard at most a second before */
    snet_resume(&net, 1);
    snet_run(&net, 30 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, at), 0);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_DOWN, at), 0);
    assert_int_equal(snet_count(&net, 1, SH_SWARM_PEER_LOST, at), 0); /* it stood still itself */
    snet_fini(&net);
}

static void test_pause_of_both_proves_nothing(void **state)
{
    (void)state;
    hold_pair();
    sh_swarm_hold(net.node[1].swarm, snet_peer(&net, 1, 0));
    size_t at = net.log_count;
    snet_pause(&net, 0);
    snet_pause(&net, 1);
    snet_run(&net, 60 * SECOND);
    snet_resume(&net, 0);
    snet_run(&net, 3 * SECOND); /* 0 wakes first and hears nothing for a while */
    snet_resume(&net, 1);
    snet_run(&net, 30 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_DOWN, at), 0);
    assert_int_equal(snet_count(&net, 1, SH_SWARM_PEER_DOWN, at), 0);
    snet_fini(&net);
}

static void test_silence_is_death(void **state)
{
    (void)state;
    hold_pair();
    size_t at = net.log_count;
    uint64_t cut_us = net.now_us;
    snet_cut(&net, 0, 1, true);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, 60 * SECOND);
    assert_non_null(e);
    assert_true(e->at_us - cut_us <= 10 * SECOND + 10 * MS);
    assert_true(e->at_us - cut_us >= 8900 * MS);
    snet_cut(&net, 0, 1, false);
    assert_non_null(
        snet_until(&net, 0, SH_SWARM_PEER_UP, &at, 60 * SECOND)); /* re-dialled with back-off */
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 1);
    snet_fini(&net);
}

static void test_accepting_but_stuck(void **state)
{
    (void)state;
    hold_pair();
    size_t at = net.log_count;
    uint64_t stuck_us = net.now_us;
    snet_pause(&net, 1);
    sh_swarm_disconnect(net.node[0].swarm, snet_peer(&net, 0, 1),
                        0); /* its kernel accepts, it does not answer */
    assert_null(snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, 9 * SECOND));
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PEER_LOST, &at, 5 * SECOND);
    assert_non_null(e);
    assert_true(e->at_us - stuck_us >= 10 * SECOND && e->at_us - stuck_us < 10100 * MS);
    snet_fini(&net);
}

static void test_idle_is_alive(void **state)
{
    (void)state;
    hold_pair();
    size_t at = net.log_count;
    snet_run(&net, 600 * (uint64_t)SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_DOWN, at), 0);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_is_lost_at_once),
        cmocka_unit_test(test_killed_dialler_is_lost_in_grace),
        cmocka_unit_test(test_a_stall_is_forgotten),
        cmocka_unit_test(test_unsealed_is_told_at_once),
        cmocka_unit_test(test_returns_is_no_loss),
        cmocka_unit_test(test_garbled_is_no_loss),
        cmocka_unit_test(test_strange_once_is_no_loss),
        cmocka_unit_test(test_paused_peer_lives),
        cmocka_unit_test(test_pause_of_both_proves_nothing),
        cmocka_unit_test(test_silence_is_death),
        cmocka_unit_test(test_accepting_but_stuck),
        cmocka_unit_test(test_idle_is_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
