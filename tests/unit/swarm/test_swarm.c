/* Whole swarms on a virtual clock: connections, streams, identify, the DHT, and when a peer counts as lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "swarm/inner.h"
#include "swarm_net.h"

static const char *const PROTOCOLS[] = {"/test/one/1.0.0", "/test/two/1.0.0"};
static struct snet net;

enum { MS = 1000, SECOND = 1000000 };

static void start(unsigned count, void (*cfg)(struct snet *, unsigned, struct sh_swarm_config *))
{
    snet_init(&net, count, 7, PROTOCOLS, 2, cfg);
    for (unsigned i = 0; i < count; i++) {
        snet_listen(&net, i);
    }
}

static void connect_pair(void)
{
    size_t at = 0;
    start(2, NULL);
    assert_int_equal(snet_dial(&net, 0, 1, false, 5), 0);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_DIALLED, &at, SECOND);
    assert_non_null(e);
    assert_int_equal(e->err, 0);
    assert_int_equal(e->query, 5);
    at = 0;
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_UP, &at, SECOND));
    at = 0;
    assert_non_null(snet_until(&net, 1, SH_SWARM_PEER_UP, &at, SECOND));
}

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

static void allow_nobody_but_2(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    if (i == 1) {
        c->allow = &n->node[0].id; /* node 0 only; node 2 is a stranger */
        c->allow_count = 1;
    }
}

static void test_allow_list(void **state)
{
    (void)state;
    start(3, allow_nobody_but_2);
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

static void clients(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n;
    c->dht = i == 2 ? SH_DHT_CLIENT : SH_DHT_AUTO;
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

static void test_stranger_and_a_silent_peer(void **state)
{
    (void)state;
    stranger();
    snet_pause(&net, 1); /* it never says what it speaks */
    size_t at = net.log_count;
    uint64_t begun_us = net.now_us;
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_UNREACHABLE, &at, 5 * SECOND);
    assert_non_null(e);
    assert_true(e->at_us - begun_us >= 900 * MS && e->at_us - begun_us <= 1100 * MS);
    snet_fini(&net);
}

static void test_stranger_and_a_peer_that_goes(void **state)
{
    (void)state;
    stranger();
    size_t at = net.log_count;
    uint64_t begun_us = net.now_us;
    sh_swarm_want(net.node[0].swarm, snet_peer(&net, 0, 2), net.now_us);
    snet_kill(&net, 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_UNREACHABLE, &at, 5 * SECOND);
    assert_non_null(e);
    assert_true(e->at_us - begun_us <= 100 * MS); /* nobody is left to wait for */
    snet_fini(&net);
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

/* --- publishing and finding --- */

static sh_span registration(unsigned node, uint8_t *buf)
{
    const sh_peer_id *id = &net.node[node].id;
    buf[0] = id->n;
    memset(buf + 1, 0, 8);
    memcpy(buf + 9, id->b, id->n);
    memcpy(buf + 9 + id->n, "a::T", 4);
    return sh_span_of(buf, 13u + id->n);
}

static sh_span value_key(unsigned node, const char *name, char *buf)
{
    char text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(&net.node[node].id, text);
    sprintf(buf, "%s:meta:%s", name, text);
    return sh_span_str(buf);
}

static void publish(unsigned node, const char *name, uint64_t number)
{
    uint8_t value[64];
    char key[400];
    assert_int_equal(sh_swarm_publish(net.node[node].swarm, sh_span_str(name),
                                      value_key(node, name, key), registration(node, value), number,
                                      net.now_us),
                     0);
}

/* Does `who` find node `holder` under name, and its metadata? */
static bool finds(unsigned who, const char *name, int holder)
{
    size_t at = net.log_count;
    bool found = false;
    assert_int_equal(sh_swarm_find(net.node[who].swarm, sh_span_str(name), 77, net.now_us), 0);
    const struct snet_event *done = snet_until(&net, who, SH_SWARM_QUERY_DONE, &at, 30 * SECOND);
    assert_non_null(done);
    for (size_t i = 0; i < net.log_count; i++) {
        const struct snet_event *e = &net.log[i];
        found = found || (e->node == who && e->kind == SH_SWARM_FOUND && e->query == 77 &&
                          e->peer == holder);
    }
    for (size_t i = 0; i < net.log_count; i++) { /* seen: not again */
        net.log[i].query = net.log[i].kind == SH_SWARM_FOUND ? 0 : net.log[i].query;
    }
    if (!found) {
        return false;
    }
    char key[400];
    at = net.log_count;
    assert_int_equal(sh_swarm_get(net.node[who].swarm, snet_peer(&net, who, (unsigned)holder),
                                  value_key((unsigned)holder, name, key), 78, net.now_us),
                     0);
    const struct snet_event *v = snet_until(&net, who, SH_SWARM_VALUE, &at, 30 * SECOND);
    assert_non_null(v);
    return v->err == 0 && v->data_n == 13u + net.node[holder].id.n;
}

static void test_publish_alone_then_found(void **state)
{
    (void)state;
    start(2, NULL);
    size_t at = 0;
    publish(0, "lonely", 1);
    const struct snet_event *e = snet_until(&net, 0, SH_SWARM_PUBLISHED, &at, 10 * MS);
    assert_non_null(e);
    assert_int_equal(e->query, 1);
    snet_dial(&net, 0, 1, false, 1);
    snet_run(&net, SECOND);
    assert_true(finds(1, "lonely", 0));
    assert_false(finds(1, "nobody", 0));
    sh_swarm_withdraw(net.node[0].swarm, 1);
    /* The holder forgets at once, so who asks it for the metadata gets none. */
    at = net.log_count;
    char key[400];
    sh_swarm_get(net.node[1].swarm, snet_peer(&net, 1, 0), value_key(0, "lonely", key), 9,
                 net.now_us);
    e = snet_until(&net, 1, SH_SWARM_VALUE, &at, SECOND);
    assert_non_null(e);
    assert_int_equal(e->err, SH_E_NOT_FOUND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PUBLISHED, 0), 1);
    snet_fini(&net);
}

static void test_twenty(void **state)
{
    (void)state;
    start(20, NULL);
    for (unsigned i = 1; i < 20; i++) {
        snet_dial(&net, i, (i - 1) / 2, false, i); /* a tree: nobody knows all */
    }
    snet_run(&net, 5 * SECOND);
    for (unsigned i = 0; i < 20; i++) { /* the self look-up has made everyone known to everyone */
        struct sh_routing_row row;
        assert_int_equal(sh_swarm_routing_row(net.node[i].swarm, 18, &row), 0);
    }
    size_t at = net.log_count;
    publish(13, "worker", 4);
    const struct snet_event *e = snet_until(&net, 13, SH_SWARM_PUBLISHED, &at, 5 * SECOND);
    assert_non_null(e);
    for (unsigned i = 0; i < 20; i++) {
        if (i != 13) {
            assert_true(finds(i, "worker", 13));
        }
    }
    snet_fini(&net);
}

/* In a swarm of ten any one knows the holder: it is known after one round trip, and one request was all there was. */
static void test_ten_in_one_round_trip(void **state)
{
    (void)state;
    start(10, NULL);
    for (unsigned i = 1; i < 10; i++) {
        snet_dial(&net, i, 0, false, i);
    }
    snet_run(&net, 5 * SECOND);
    publish(7, "near", 1);
    snet_run(&net, SECOND);
    for (unsigned i = 0; i < 10; i++) {
        if (i == 7) {
            continue;
        }
        size_t at = net.log_count;
        uint64_t begun_us = net.now_us;
        assert_int_equal(sh_swarm_find(net.node[i].swarm, sh_span_str("near"), 50 + i, net.now_us),
                         0);
        const struct snet_event *e = snet_until(&net, i, SH_SWARM_FOUND, &at, SECOND);
        assert_non_null(e);
        assert_true(e->at_us - begun_us <= 2 * net.latency_us + 10);
        e = snet_until(&net, i, SH_SWARM_QUERY_DONE, &at, SECOND);
        assert_non_null(e);
        assert_int_equal(e->err, 0);
        assert_true(e->at_us - begun_us <= 4 * net.latency_us + 6000); /* and two holds */
        assert_int_equal(snet_count(&net, i, SH_SWARM_FOUND, 0), 1);
    }
    snet_fini(&net);
}

static unsigned requests_open(unsigned node)
{
    unsigned n = 0;
    SH_LIST_FOREACH(it, &net.node[node].swarm->requests)
    {
        n++;
    }
    return n;
}

/* One is asked at first; the others only when its answer names nobody, or takes longer than a neighbour's. */
static void test_one_is_asked_first(void **state)
{
    (void)state;
    start(10, NULL);
    for (unsigned i = 1; i < 10; i++) {
        snet_dial(&net, i, 0, false, i);
    }
    snet_run(&net, 5 * SECOND);
    net.latency_us = 20000;
    sh_swarm *s = net.node[3].swarm;
    assert_int_equal(sh_swarm_find(s, sh_span_str("nobody's"), 60, net.now_us), 0);
    assert_int_equal(requests_open(3), 1);
    snet_run(&net, 1000);
    assert_int_equal(requests_open(3), 1);
    snet_run(&net, 3000);
    assert_true(requests_open(3) >= 8);
    size_t at = net.log_count;
    assert_non_null(snet_until(&net, 3, SH_SWARM_QUERY_DONE, &at, SECOND));
    net.latency_us = 100;
    assert_int_equal(sh_swarm_find(s, sh_span_str("nobody's"), 61, net.now_us), 0);
    assert_int_equal(requests_open(3), 1);
    snet_run(&net, 500); /* the answer names nobody: no hold */
    assert_true(requests_open(3) != 1);
    sh_swarm_query_cancel(s, 61);
    snet_fini(&net);
}

/* A name published before anybody was known gets to those nearest to it, not only to those who connect to its holder. */
static void test_published_again_after_the_bootstrap(void **state)
{
    (void)state;
    start(40, NULL);
    publish(39, "early", 1);
    for (unsigned i = 1; i < 39; i++) {
        snet_dial(&net, i, 0, false, i);
    }
    snet_run(&net, 5 * SECOND);
    unsigned in_far_places = 0;
    snet_dial(&net, 39, 0, false, 39);
    snet_run(&net, 5 * SECOND);
    struct sh_pub *pub = SH_CONTAINER(sh_list_front(&net.node[39].swarm->pubs), struct sh_pub, all);
    assert_true(pub->has_far);
    for (unsigned i = 0; i < 39; i++) {
        struct sh_peer *self = net.node[i].swarm->self;
        bool near = sh_kcloser(pub->kad_key, self->key, pub->far) <= 0;
        bool has =
            sh_records_provider(&net.node[i].swarm->records, pub->key, 0, net.now_us) != NULL;
        assert_true(has || !near);
        in_far_places += has;
    }
    assert_true(in_far_places >= SH_KAD_K);
    snet_fini(&net);
}

static void test_client_serves_its_names(void **state)
{
    (void)state;
    start(3, clients);
    snet_dial(&net, 2, 0, false, 1);
    snet_dial(&net, 1, 0, false, 2);
    snet_run(&net, SECOND);
    publish(2, "shy", 1);
    snet_run(&net, SECOND);
    struct sh_routing_row row;
    for (size_t i = 0; sh_swarm_routing_row(net.node[0].swarm, i, &row) == 0; i++) {
        assert_false(sh_peer_id_eq(&row.id, &net.node[2].id));
    }
    assert_true(finds(1, "shy", 2)); /* found at 0, asked at 2 itself */
    snet_fini(&net);
}

/* --- when a peer is lost --- */

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

/* --- keeping on dialling --- */

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
            sh_swarm_publish(net.node[0].swarm, sh_span_str("n"), value_key(0, "n", key),
                             registration(0, value), 1, net.now_us);
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

static void test_republished_and_expired(void **state)
{
    (void)state;
    start(3, NULL);
    snet_dial(&net, 0, 1, true, 1);
    snet_dial(&net, 2, 1, true, 2);
    snet_run(&net, SECOND);
    publish(0, "long", 1);
    snet_run(&net, 7200 * (uint64_t)SECOND); /* twice the life of a value: it was sent again */
    assert_true(finds(2, "long", 0));
    size_t at = net.log_count;
    char key[400];
    sh_swarm_get(net.node[2].swarm, snet_peer(&net, 2, 1), value_key(0, "long", key), 9,
                 net.now_us);
    const struct snet_event *v = snet_until(&net, 2, SH_SWARM_VALUE, &at, SECOND);
    assert_non_null(v);
    assert_int_equal(v->err, 0); /* a replica has it too */
    snet_kill(&net, 0);
    snet_run(&net, 3601 * (uint64_t)SECOND);
    at = net.log_count;
    sh_swarm_get(net.node[2].swarm, snet_peer(&net, 2, 1), sh_span_str(key), 10, net.now_us);
    v = snet_until(&net, 2, SH_SWARM_VALUE, &at, SECOND);
    assert_non_null(v);
    assert_int_equal(v->err, SH_E_NOT_FOUND); /* nobody renews it any more */
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
        cmocka_unit_test(test_stranger_and_a_silent_peer),
        cmocka_unit_test(test_stranger_and_a_peer_that_goes),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_publish_alone_then_found),
        cmocka_unit_test(test_twenty),
        cmocka_unit_test(test_ten_in_one_round_trip),
        cmocka_unit_test(test_one_is_asked_first),
        cmocka_unit_test(test_published_again_after_the_bootstrap),
        cmocka_unit_test(test_client_serves_its_names),
        cmocka_unit_test(test_killed_is_lost_at_once),
        cmocka_unit_test(test_killed_dialler_is_lost_in_grace),
        cmocka_unit_test(test_returns_is_no_loss),
        cmocka_unit_test(test_garbled_is_no_loss),
        cmocka_unit_test(test_strange_once_is_no_loss),
        cmocka_unit_test(test_paused_peer_lives),
        cmocka_unit_test(test_pause_of_both_proves_nothing),
        cmocka_unit_test(test_silence_is_death),
        cmocka_unit_test(test_accepting_but_stuck),
        cmocka_unit_test(test_idle_is_alive),
        cmocka_unit_test(test_keep_backs_off),
        cmocka_unit_test(test_same_seed_same_trace),
        cmocka_unit_test(test_peers_max),
        cmocka_unit_test(test_peer_table_turns_over),
        cmocka_unit_test(test_republished_and_expired),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
