/* What others can make a swarm hold is bounded: each test runs into one line of base/sh_limits.h. */
#include "swarm/kad.h"
#include "swarms.h"

static void start_pair(void)
{
    snet_start(&net, 2, 11, PROTOCOLS, 1, NULL);
    assert_int_equal(snet_dial(&net, 0, 1, false, 1), 0);
    snet_run(&net, SECOND);
    assert_true(sh_swarm_is_connected(net.node[0].swarm, snet_peer(&net, 0, 1)));
    assert_true(sh_swarm_is_connected(net.node[1].swarm, snet_peer(&net, 1, 0)));
}

static unsigned ask_until_full(struct sh_swarm *s, struct sh_peer *p)
{
    unsigned n = 0;
    while (n <= 2 * SH_KAD_QUEUE_MAX &&
           sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL) == 0) {
        n++;
    }
    return n;
}

/* SH_KAD_QUEUE_MAX: requests for one peer, connected or not; answers and failures make room again. */
static void test_kad_queue(void **state)
{
    (void)state;
    start_pair();
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_peer *p = sh_peers_at(s, snet_peer(&net, 0, 1));
    assert_int_equal(ask_until_full(s, p), SH_KAD_QUEUE_MAX);
    assert_int_equal(sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL), SH_E_LIMIT);
    snet_run(&net, 9 * SECOND);
    assert_true(sh_list_empty(&s->requests));
    assert_int_equal(ask_until_full(s, p), SH_KAD_QUEUE_MAX);
    snet_kill(&net, 1);
    snet_run(&net, 30 * SECOND);
    assert_true(sh_list_empty(&s->requests));
    assert_int_equal(ask_until_full(s, p), SH_KAD_QUEUE_MAX); /* nobody is connected */
    snet_run(&net, 30 * SECOND);
    assert_true(sh_list_empty(&s->requests));
    snet_fini(&net);
}

static void asks_value(uint64_t query, int err, const char *value)
{
    size_t at = net.log_count;
    assert_int_equal(sh_swarm_get(net.node[1].swarm, snet_peer(&net, 1, 0), sh_span_str("n:meta"),
                                  query, net.now_us),
                     0);
    const struct snet_event *e = snet_until(&net, 1, SH_SWARM_VALUE, &at, SECOND);
    assert_non_null(e);
    assert_int_equal(e->err, err);
    assert_int_equal(e->data_n, strlen(value));
    assert_memory_equal(e->data, value, strlen(value));
}

/* Publications that share their keys: the latest is served, and the one before it when that goes. */
static void test_shared_keys(void **state)
{
    (void)state;
    static const char *const values[] = {"one", "two", "three"};
    static const struct {
        uint64_t gone;
        const char *left;
    } steps[] = {{2, "three"}, {3, "one"}, {1, ""}};
    start_pair();
    struct sh_swarm *s = net.node[0].swarm;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sh_swarm_publish(s, sh_span_str("n"), sh_span_str("n:meta"),
                                          sh_span_str(values[i]), i + 1, net.now_us),
                         0);
    }
    asks_value(10, 0, "three");
    for (unsigned i = 0; i < 3; i++) {
        sh_swarm_withdraw(s, steps[i].gone);
        asks_value(20 + i, steps[i].left[0] ? 0 : SH_E_NOT_FOUND, steps[i].left);
    }
    snet_fini(&net);
}

/* SH_QUERIES_MAX: those beyond are refused at the call, and there is room again when some have ended. */
static void test_queries(void **state)
{
    (void)state;
    start_pair();
    struct sh_swarm *s = net.node[0].swarm;
    snet_pause(&net, 1);
    unsigned n = s->query_count;
    uint64_t number = 1;
    int err;
    while ((err = sh_swarm_find(s, sh_span_str("nobody"), number, net.now_us)) == 0) {
        assert_true(n++ < SH_QUERIES_MAX);
        number++;
    }
    assert_int_equal(err, SH_E_LIMIT);
    assert_int_equal(n, SH_QUERIES_MAX);
    assert_int_equal(sh_swarm_get(s, snet_peer(&net, 0, 1), sh_span_str("k"), number, net.now_us),
                     SH_E_LIMIT);
    snet_resume(&net, 1);
    snet_run(&net, 15 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_QUERY_DONE, 0), number - 1);
    assert_int_equal(s->query_count, 0);
    assert_int_equal(sh_swarm_find(s, sh_span_str("nobody"), number, net.now_us), 0);
    snet_fini(&net);
}

/* SH_CONNS_PENDING_MAX: strangers who connect and say nothing; they are let go after the handshake's time. */
static void test_pending_inbound(void **state)
{
    (void)state;
    snet_init(&net, 1, 13, PROTOCOLS, 1, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    sh_addr from;
    sh_conn_id conns[SH_CONNS_PENDING_MAX];
    for (unsigned i = 0; i < SH_CONNS_PENDING_MAX; i++) {
        const uint8_t ip[4] = {10, 1, (uint8_t)i, 1};
        sh_addr_from_ip(&from, SH_HOST_IP4, ip, 9);
        conns[i] = sh_swarm_accepted(s, &from, net.now_us);
        assert_true(conns[i] != 0);
    }
    assert_true(sh_swarm_accepted(s, &from, net.now_us) == 0);
    sh_swarm_closed(s, conns[7], 0, "end of stream", net.now_us);
    struct sh_swarm_event ev;
    while (sh_swarm_event(s, &ev, net.now_us)) {
    }
    assert_true(sh_swarm_accepted(s, &from, net.now_us) != 0); /* one place was free */
    assert_true(sh_swarm_accepted(s, &from, net.now_us) == 0);
    sh_swarm_flush(s, net.now_us);
    uint64_t late = net.now_us + (SH_HANDSHAKE_TIMEOUT_MS + 100) * UINT64_C(1000);
    sh_swarm_tick(s, late);
    while (sh_swarm_event(s, &ev, late)) {
    }
    assert_int_equal(s->inbound_pending, 0);
    assert_true(sh_swarm_accepted(s, &from, late) != 0);
    snet_fini(&net);
}

/* 64 publications share their keys: the maps of keys are far from full. */
static int publish_one(struct sh_swarm *s, unsigned number)
{
    char key[16], value_key[24];
    snprintf(key, sizeof key, "n%u", number / 64);
    snprintf(value_key, sizeof value_key, "n%u:meta", number / 64);
    return sh_swarm_publish(s, sh_span_str(key), sh_span_str(value_key), sh_span_str("v"), number,
                            net.now_us);
}

/* SH_PUBLICATIONS_MAX own names: the next is refused until one is withdrawn. */
static void test_publications(void **state)
{
    (void)state;
    snet_init(&net, 1, 15, PROTOCOLS, 1, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    for (unsigned i = 0; i < SH_PUBLICATIONS_MAX; i++) {
        assert_int_equal(publish_one(s, i), 0);
    }
    assert_int_equal(publish_one(s, SH_PUBLICATIONS_MAX), SH_E_LIMIT);
    sh_swarm_withdraw(s, 9);
    assert_int_equal(publish_one(s, SH_PUBLICATIONS_MAX), 0);
    assert_int_equal(publish_one(s, 9), SH_E_LIMIT);
    snet_fini(&net);
}

/* SH_CONNS_PER_PEER_MAX connections with one peer: one more is closed, the others stay. */
static void test_connections_with_one_peer(void **state)
{
    (void)state;
    snet_init(&net, 2, 19, PROTOCOLS, 1, NULL);
    snet_listen(&net, 1);
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_peer *p = sh_peers_at(s, snet_peer(&net, 0, 1));
    sh_addr a = snet_addr(&net, 1, false);
    for (unsigned i = 0; i <= SH_CONNS_PER_PEER_MAX;
         i++) { /* an address without a peer: a new one */
        assert_int_equal(sh_swarm_dial(s, &a, false, i, net.now_us), 0);
        snet_run(&net, SECOND);
        assert_int_equal(p->conn_count, i < SH_CONNS_PER_PEER_MAX ? i + 1 : SH_CONNS_PER_PEER_MAX);
    }
    assert_int_equal(sh_peers_at(net.node[1].swarm, snet_peer(&net, 1, 0))->conn_count,
                     SH_CONNS_PER_PEER_MAX);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kad_queue),    cmocka_unit_test(test_shared_keys),
        cmocka_unit_test(test_queries),      cmocka_unit_test(test_pending_inbound),
        cmocka_unit_test(test_publications), cmocka_unit_test(test_connections_with_one_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
