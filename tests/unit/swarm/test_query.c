/* What bounds a look-up and its requests: how long, and how many providers it tells of. */
#include "swarm/kad.h"
#include "swarm/routing.h"
#include "swarms.h"

/* Nobody takes silence for death here. */
static void patient(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n, (void)i;
    c->peer_timeout_us = 600 * (uint64_t)SECOND;
}

/* Node `at` knows node `who` as a server of the DHT. */
static void knows(unsigned at, unsigned who)
{
    sh_addr a = snet_addr(&net, who, false);
    struct sh_peer *p = peer_at(at, who);
    assert_true(sh_peer_learn(net.node[at].swarm, p, &a));
    sh_routing_known(net.node[at].swarm, p, true);
}

/* Node 0 is no server, so nobody learns of it, and nobody looks itself up: each knows whom it was told of. */
static void start_apart(unsigned count)
{
    snet_init(&net, count, 17, PROTOCOLS, 1, patient);
    for (unsigned i = 0; i < count; i++) {
        net.node[i].swarm->booting = true;
        if (i > 0) {
            snet_listen(&net, i);
        }
    }
}

static const struct snet_event *ended(uint64_t query)
{
    const struct snet_event *done = snet_told(&net, SH_SWARM_QUERY_DONE, query);
    return done ? done : snet_told(&net, SH_SWARM_VALUE, query);
}

/* SH_KAD_RESPONSE_TIMEOUT_MS without an answer, for what was sent and for what waits behind SH_KAD_SENT_MAX others. */
static void test_request_without_answer(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 60; before += 50) {
        start_apart(2);
        snet_dial(&net, 0, 1, false, 1);
        snet_run(&net, SECOND);
        struct sh_swarm *s = net.node[0].swarm;
        struct sh_peer *p = peer_at(0, 1);
        assert_int_equal(sh_swarm_get(s, p->ref, sh_span_str("key"), 1, net.now_us), 0);
        snet_run(&net, SECOND);
        assert_int_equal(ended(1)->err, SH_E_NOT_FOUND); /* the stream is there */
        snet_pause(&net, 1);
        for (unsigned i = 0; i < before; i++) {
            assert_int_equal(sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL), 0);
        }
        assert_int_equal(sh_swarm_get(s, p->ref, sh_span_str("key"), 7, net.now_us), 0);
        snet_run(&net, (SH_KAD_RESPONSE_TIMEOUT_MS - 2) * MS);
        assert_null(ended(7));
        snet_run(&net, 4 * MS);
        assert_non_null(ended(7));
        assert_int_equal(ended(7)->err, SH_E_UNREACHABLE);
        snet_fini(&net);
    }
}

/* SH_QUERY_TIMEOUT_MS: nodes that each name one more, each after more than a second, do not prolong it. */
static void test_query_as_a_whole(void **state)
{
    (void)state;
    enum { COUNT = 21 };
    start_apart(COUNT);
    net.latency_us = 230 * MS;
    for (unsigned i = 0; i + 1 < COUNT; i++) {
        knows(i, i + 1);
    }
    assert_int_equal(sh_swarm_find(net.node[0].swarm, sh_span_str("name"), 7, net.now_us), 0);
    snet_run(&net, (SH_QUERY_TIMEOUT_MS - 2) * MS);
    assert_null(ended(7));
    const struct sh_query *q =
        SH_CONTAINER(sh_list_front(&net.node[0].swarm->queries), struct sh_query, all);
    assert_in_range(q->lookup.answered, 10, COUNT - 3); /* it would have gone on */
    snet_run(&net, 4 * MS);
    assert_non_null(ended(7));
    assert_int_equal(ended(7)->err, 0);
    snet_fini(&net);
}

/* `count` providers of a name that node `at` keeps; nobody else names them. */
static void keeps(unsigned at, const char *name, unsigned count)
{
    struct sh_swarm *s = net.node[at].swarm;
    for (unsigned i = 0; i < count; i++) {
        sh_peer_id id;
        uint8_t b[34] = {0x12, 0x20, (uint8_t)at, (uint8_t)i, 7};
        assert_int_equal(sh_peer_id_from_bytes(&id, sh_span_of(b, sizeof b)), 0);
        assert_int_equal(
            sh_records_add_provider(&s->records, sh_span_str(name), &id, NULL, 0, net.now_us), 0);
    }
}

/* SH_QUERY_FOUND_MAX providers, a quarter by each path; what this node keeps itself counts too, and comes first. */
static void test_providers_told(void **state)
{
    (void)state;
    static const struct {
        unsigned nodes, each, own, told;
    } rows[] = {
        {SH_LOOKUP_PATHS, 30, 0, SH_LOOKUP_PATHS * 30}, /* as many as there are */
        {1, 40, 40, 80},
        {2 * SH_LOOKUP_PATHS, SH_QUERY_FOUND_MAX / SH_LOOKUP_PATHS / 2, 0, SH_QUERY_FOUND_MAX},
        {2 * SH_LOOKUP_PATHS, 40, 0, SH_QUERY_FOUND_MAX},
        {2 * SH_LOOKUP_PATHS, 40, 40, SH_QUERY_FOUND_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start_apart(1 + rows[i].nodes);
        keeps(0, "name", rows[i].own);
        for (unsigned k = 1; k <= rows[i].nodes; k++) {
            knows(0, k);
            keeps(k, "name", rows[i].each);
        }
        assert_int_equal(sh_swarm_find(net.node[0].swarm, sh_span_str("name"), 7, net.now_us), 0);
        snet_run(&net, 2 * SECOND);
        assert_non_null(ended(7));
        assert_int_equal(snet_count(&net, 0, SH_SWARM_FOUND, 0), rows[i].told);
        snet_fini(&net);
    }
    /* One path alone, of three nodes with more than its share. */
    start_apart(4);
    for (unsigned k = 1; k < 4; k++) {
        keeps(k, "name", 40);
    }
    knows(0, 1);
    knows(1, 2);
    knows(2, 3);
    assert_int_equal(sh_swarm_find(net.node[0].swarm, sh_span_str("name"), 7, net.now_us), 0);
    snet_run(&net, 2 * SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_FOUND, 0), SH_QUERY_FOUND_MAX / SH_LOOKUP_PATHS);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_without_answer),
        cmocka_unit_test(test_query_as_a_whole),
        cmocka_unit_test(test_providers_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
