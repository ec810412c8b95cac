/* Whole swarms on a virtual clock: connections, streams, identify, who is dialled, how many peers there are. */
#include "swarms.h"

static void test_connect_and_identify(void **state)
{
    (void)state;
    connect_pair();
    snet_run(&net, SECOND);
    struct sh_peer_row row;
    assert_int_equal(sh_swarm_peer_row(net.node[0].swarm, 0, &row), 0);
    assert_true(row.connected);
    assert_true(row.server);
    assert_false(row.inbound);
    assert_string_equal(row.agent, "shoal/test");
    assert_true(row.rtt_us > 0 && row.rtt_us < 2000);
    assert_int_equal(sh_swarm_peer_row(net.node[1].swarm, 0, &row), 0);
    assert_true(row.inbound && row.server);
    struct sh_routing_row r;
    assert_int_equal(sh_swarm_routing_row(net.node[1].swarm, 0, &r), 0);
    assert_true(r.connected);
    assert_int_equal(sh_swarm_peer_row(net.node[0].swarm, 1, &row), SH_E_NOT_FOUND);
    sh_addr own;
    assert_int_equal(sh_swarm_address(net.node[0].swarm, 0, &own), 0);
    assert_int_equal(sh_swarm_address(net.node[0].swarm, 1, &own), SH_E_NOT_FOUND);
    snet_fini(&net);
}

static void test_streams(void **state)
{
    (void)state;
    connect_pair();
    size_t at = net.log_count;
    sh_stream *st;
    int mark;
    assert_int_equal(sh_swarm_open(net.node[0].swarm, snet_peer(&net, 0, 1), 1, &mark, &st), 0);
    assert_int_equal(sh_stream_write(st, sh_span_str("hello")), 5); /* before any answer */
    const struct snet_event *in = snet_until(&net, 1, SH_SWARM_STREAM_IN, &at, SECOND);
    assert_non_null(in);
    assert_int_equal(in->proto, 1);
    assert_int_equal(in->peer, 0);
    sh_stream *far = in->stream;
    const struct snet_event *data = snet_until(&net, 1, SH_SWARM_STREAM_DATA, &at, SECOND);
    assert_non_null(data);
    assert_int_equal(data->data_n, 5);
    assert_memory_equal(data->data, "hello", 5);
    at = 0;
    assert_non_null(snet_until(&net, 0, SH_SWARM_STREAM_OPEN, &at, SECOND));
    assert_ptr_equal(sh_stream_user(st), &mark);
    assert_int_equal(sh_stream_write(far, sh_span_str("you")), 3);
    sh_stream_shut(far);
    data = snet_until(&net, 0, SH_SWARM_STREAM_DATA, &at, SECOND);
    assert_non_null(data);
    assert_memory_equal(data->data, "you", 3);
    assert_non_null(snet_until(&net, 0, SH_SWARM_STREAM_FIN, &at, SECOND));
    sh_stream_shut(st);
    const struct snet_event *end = snet_until(&net, 0, SH_SWARM_STREAM_END, &at, SECOND);
    assert_non_null(end);
    assert_int_equal(end->err, 0);
    at = 0;
    end = snet_until(&net, 1, SH_SWARM_STREAM_END, &at, SECOND);
    assert_non_null(end);
    assert_int_equal(end->err, 0);
    snet_fini(&net);
}

static void one_protocol(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n;
    c->protocol_count = i == 1 ? 1 : 2;
}

static void test_refused_protocol(void **state)
{
    (void)state;
    start(2, one_protocol);
    snet_dial(&net, 0, 1, false, 1);
    snet_run(&net, SECOND);
    sh_stream *st;
    size_t at = net.log_count;
    assert_int_equal(sh_swarm_open(net.node[0].swarm, snet_peer(&net, 0, 1), 1, NULL, &st), 0);
    sh_stream_write(st, sh_span_str("optimist"));
    const struct snet_event *end = snet_until(&net, 0, SH_SWARM_STREAM_END, &at, SECOND);
    assert_non_null(end);
    assert_int_equal(end->err, SH_E_UNSUPPORTED);
    snet_run(&net, SECOND);
    assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 1)));
    assert_int_equal(snet_count(&net, 1, SH_SWARM_STREAM_IN, 0), 0);
    snet_fini(&net);
}

static void test_stream_ends_with_connection(void **state)
{
    (void)state;
    connect_pair();
    sh_stream *st;
    size_t at = net.log_count;
    assert_int_equal(sh_swarm_open(net.node[0].swarm, snet_peer(&net, 0, 1), 0, NULL, &st), 0);
    snet_run(&net, 100 * MS);
    sh_swarm_disconnect(net.node[1].swarm, snet_peer(&net, 1, 0), 0);
    assert_int_equal(sh_stream_write(st, sh_span_str("x")), 1); /* not known here yet */
    const struct snet_event *end = snet_until(&net, 0, SH_SWARM_STREAM_END, &at, SECOND);
    assert_non_null(end);
    assert_int_equal(end->err, SH_E_UNREACHABLE);
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_DOWN, &at, SECOND)); /* behind the END */
    at = 0;
    assert_non_null(snet_until(&net, 1, SH_SWARM_PEER_DOWN, &at, SECOND));
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 0); /* nobody held it */
    snet_fini(&net);
}

static sh_peer_id lent; /* until the swarm is made */

static void allow_nobody_but_2(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    if (i == 1) {
        lent = n->node[0].id; /* node 0 only; node 2 is a stranger */
        c->allow = &lent;
        c->allow_count = 1;
    }
}

static void test_allow_list(void **state)
{
    (void)state;
    start(3, allow_nobody_but_2);
    memset(&lent, 0xdd, sizeof lent);
    snet_dial(&net, 2, 1, false, 1);
    snet_dial(&net, 0, 1, false, 2);
    snet_run(&net, SECOND);
    assert_false(sh_swarm_is_connected(net.node[2].swarm, snet_peer(&net, 2, 1)));
    assert_false(sh_swarm_is_connected(net.node[1].swarm, snet_peer(&net, 1, 2)));
    assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 1)));
    snet_fini(&net);
}

static void test_self_dial(void **state)
{
    (void)state;
    start(1, NULL);
    size_t at = 0;
    sh_addr a = snet_addr(&net, 0, false);
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, 3, net.now_us), 0);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_DIALLED, &at, 5 * SECOND);
    assert_non_null(e);
    assert_int_equal(e->err, SH_E_UNREACHABLE);
    assert_string_equal(e->text, "the address is this node's own");
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_UP, 0), 0);
    assert_int_equal(snet_dial(&net, 0, 0, false, 4), SH_E_BAD_ADDRESS);
    snet_fini(&net);
}

static void test_crossed_dials(void **state)
{
    (void)state;
    start(2, NULL);
    snet_dial(&net, 0, 1, false, 1);
    snet_dial(&net, 1, 0, false, 2);
    snet_run(&net, 3 * SECOND);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(sh_swarm_is_connected(net.node[i].swarm, snet_peer(&net, i, 1 - i)));
        assert_int_equal(snet_count(&net, i, SH_SWARM_PEER_UP, 0), 1);
        assert_int_equal(snet_count(&net, i, SH_SWARM_PEER_DOWN, 0), 0);
    }
    snet_fini(&net);
}

/* Both lose the connection and dial again at once, by their jobs: neither may end what the other keeps. */
static void test_crossed_jobs(void **state)
{
    (void)state;
    start(2, NULL);
    snet_dial(&net, 0, 1, false, 1);
    snet_run(&net, SECOND);
    for (unsigned round = 0; round < 5; round++) {
        sh_swarm_disconnect(net.node[0].swarm, snet_peer(&net, 0, 1), 0);
        snet_run(&net, SECOND);
        size_t at = net.log_count;
        sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 1), net.now_us);
        sh_swarm_want(net.node[1].swarm, snet_peer(&net, 1, 0), net.now_us);
        snet_run(&net, 3 * SECOND);
        for (unsigned i = 0; i < 2; i++) {
            assert_true(sh_swarm_is_connected(net.node[i].swarm, snet_peer(&net, i, 1 - i)));
            assert_int_equal(snet_count(&net, i, SH_SWARM_PEER_UP, at), 1);
            assert_int_equal(snet_count(&net, i, SH_SWARM_PEER_DOWN, at), 0);
        }
    }
    snet_fini(&net);
}

static void test_want(void **state)
{
    (void)state;
    start(3, clients); /* 2 is in no routing table */
    size_t at = 0;
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_UNREACHABLE, &at, SECOND);
    assert_non_null(e);
    assert_string_equal(e->text, "no address is known");
    /* 1 knows 2; so 0, connected to 1, finds 2's address by FIND_NODE. */
    snet_dial(&net, 2, 1, false, 1);
    snet_dial(&net, 0, 1, false, 2);
    snet_run(&net, 20 * MS);
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    snet_run(&net, 20 * MS); /* before 2 itself looks around */
    assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 2)));
    snet_fini(&net);
}

/* 0 has just connected to 1, which knows 2; nothing that 1 says of itself has come yet. */
static void stranger(void)
{
    size_t at = 0;
    start(3, clients);
    snet_dial(&net, 2, 1, false, 1);
    snet_run(&net, 20 * MS);
    snet_dial(&net, 0, 1, false, 2);
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, SECOND));
}

/* A stranger is searched for once who has just connected can be asked; not before, and not for ever. */
static void test_stranger_waits_for_identify(void **state)
{
    (void)state;
    stranger();
    size_t at = net.log_count;
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    snet_run(&net, 60 * MS);
    assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 2)));
    assert_int_equal(snet_count(&net, 0, SH_SWARM_UNREACHABLE, at), 0);
    snet_fini(&net);
}

/* How long 0 searches for the stranger when that befalls 1. */
static uint64_t in_vain_us(void (*befalls)(struct snet *n, unsigned i))
{
    stranger();
    size_t at = net.log_count;
    uint64_t begun_us = net.now_us;
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    befalls(&net, 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_UNREACHABLE, &at, 5 * SECOND);
    assert_non_null(e);
    uint64_t took_us = e->at_us - begun_us;
    snet_fini(&net);
    return took_us;
}

static void test_stranger_and_a_peer_that_goes(void **state)
{
    (void)state;
    uint64_t silent_us = in_vain_us(snet_pause); /* it never says what it speaks */
    assert_in_range(silent_us, 900 * MS, 1100 * MS);
    assert_in_range(in_vain_us(snet_kill), 0, 100 * MS); /* nobody is left to wait for */
}

static void test_resolve(void **state)
{
    (void)state;
    start(2, NULL);
    sh_addr a;
    size_t at = 0;
    assert_int_equal(sh_addr_parse(&a, "/dns4/n1/tcp/4001", 17), 0);
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, 9, net.now_us), 0);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_DIALLED, &at, SECOND);
    assert_non_null(e);
    assert_int_equal(e->err, 0);
    assert_int_equal(e->peer, 1);
    assert_int_equal(sh_addr_parse(&a, "/dns4/nowhere/tcp/4001", 22), 0);
    assert_int_equal(sh_swarm_dial(net.node[0].swarm, &a, false, 10, net.now_us), 0);
    snet_fini(&net);
}

static void test_keep_backs_off(void **state)
{
    (void)state;
    start(2, NULL);
    snet_kill(&net, 1);
    snet_dial(&net, 0, 1, true, 1);
    uint64_t start_us = net.now_us;
    snet_run(&net, 200 * (uint64_t)SECOND);
    /* at 0 .1 .3 .7 1.5 3.1 6.3 12.7 25.5 51.1 102 162 s */
    size_t fails = snet_count(&net, 0, SH_SWARM_DIAL_FAILED, 0);
    assert_int_equal(fails, 12);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_DIALLED, 0), 1);
    snet_restart(&net, 1);
    size_t at = net.log_count;
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, 61 * SECOND));
    snet_run(&net, SECOND);
    sh_swarm_disconnect(net.node[1].swarm, snet_peer(&net, 1, 0), 0);
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, 2 * SECOND));
    assert_true(net.now_us > start_us);
    snet_fini(&net);
}

static uint64_t trace_hash(void)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < net.log_count; i++) {
        const struct snet_event *e = &net.log[i];
        uint64_t words[] = {e->node, e->at_us, (uint64_t)e->kind, (uint64_t)(int64_t)e->peer,
                            e->query};
        for (size_t k = 0; k < 5; k++) {
            h = (h ^ words[k]) * 1099511628211u;
        }
    }
    return h;
}

static void test_same_seed_same_trace(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (int run = 0; run < 2; run++) {
        start(8, NULL);
        for (unsigned i = 1; i < 8; i++) {
            snet_dial(&net, i, i / 2, true, i);
        }
        publish(3, "x", 1);
        snet_run(&net, 3 * SECOND);
        snet_kill(&net, 2);
        snet_run(&net, 20 * SECOND);
        snet_restart(&net, 2);
        snet_run(&net, 100 * (uint64_t)SECOND);
        hash[run] = trace_hash();
        snet_fini(&net);
    }
    assert_true(hash[0] == hash[1]);
}

/* Memory runs out at the k-th allocation of one node, once or for good: nothing breaks, nothing leaks (snet_fini
 * checks), and when it was only once the swarm goes on. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (size_t k = 1; k < 600; k += 1 + k / 12) {
        for (int for_good = 0; for_good < 2; for_good++) {
            start(3, NULL);
            atomic_store(&net.node[0].mem.allocations, 0);
            atomic_store(for_good ? &net.node[0].mem.fail_from : &net.node[0].mem.fail_at, k);
            bool dials = snet_dial(&net, 0, 1, true, 1) == 0; /* else it was told at once */
            snet_dial(&net, 2, 0, false, 2);
            uint8_t value[64];
            char key[400];
            sh_swarm_publish(net.node[0].swarm, sh_span_str("n"),
                             value_key(&net.node[0].id, "n", key),
                             registration(&net.node[0].id, 0, value), 1, net.now_us);
            snet_run(&net, SECOND);
            struct sh_peer_ref ref;
            sh_stream *st;
            if (sh_swarm_peer(net.node[0].swarm, &net.node[1].id, &ref) == 0) {
                sh_swarm_hold(net.node[0].swarm, ref);
                sh_swarm_open(net.node[0].swarm, ref, 0, NULL, &st);
            }
            sh_swarm_find(net.node[0].swarm, sh_span_str("m"), 5, net.now_us);
            snet_run(&net, 2 * SECOND);
            snet_kill(&net, 2);
            snet_run(&net, 30 * SECOND);
            if (!for_good && dials) {
                assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 1)));
            }
            snet_fini(&net);
        }
    }
}

static void one_peer(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n;
    c->peers_connected_max = i == 0 ? 2 : 512;
}

static void test_peers_max(void **state)
{
    (void)state;
    start(5, one_peer);
    for (unsigned i = 1; i < 5; i++) {
        snet_dial(&net, i, 0, false, i);
        snet_run(&net, 10 * MS);
        sh_swarm_hold(net.node[0].swarm, snet_peer(&net, 0, i));
    }
    snet_run(&net, 100 * MS);
    unsigned connected = 0;
    for (unsigned i = 1; i < 5; i++) {
        connected += sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, i)) ? 1u : 0u;
    }
    assert_int_equal(connected, 2);
    assert_true(
        sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 1))); /* held: not pushed out */
    snet_fini(&net);
}

/* 70,000 ids fill the table; what is in use stays, the rest turns over; stale refs find nothing. */
static void test_peer_table_turns_over(void **state)
{
    (void)state;
    start(1, NULL);
    sh_swarm *s = net.node[0].swarm;
    struct sh_peer_ref held = {0, 0}, first = {0, 0}, ref;
    for (unsigned i = 0; i < 70000; i++) {
        sh_peer_id id;
        uint8_t b[34] = {0x12, 0x20, (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        assert_int_equal(sh_peer_id_from_bytes(&id, sh_span_of(b, sizeof b)), 0);
        assert_int_equal(sh_swarm_peer(s, &id, &ref), 0);
        if (i == 0) {
            held = ref;
            sh_swarm_hold(s, ref);
        } else if (i == 1) {
            first = ref;
        }
    }
    assert_non_null(sh_swarm_peer_id(s, held));
    assert_null(sh_swarm_peer_id(s, first));
    assert_non_null(sh_swarm_peer_id(s, ref));
    assert_int_equal(sh_swarm_peer(s, &net.node[0].id, &ref), 0);
    assert_int_equal(ref.index, 0);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_and_identify),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_refused_protocol),
        cmocka_unit_test(test_stream_ends_with_connection),
        cmocka_unit_test(test_allow_list),
        cmocka_unit_test(test_self_dial),
        cmocka_unit_test(test_crossed_dials),
        cmocka_unit_test(test_crossed_jobs),
        cmocka_unit_test(test_want),
        cmocka_unit_test(test_stranger_waits_for_identify),
        cmocka_unit_test(test_stranger_and_a_peer_that_goes),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_keep_backs_off),
        cmocka_unit_test(test_same_seed_same_trace),
        cmocka_unit_test(test_peers_max),
        cmocka_unit_test(test_peer_table_turns_over),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
