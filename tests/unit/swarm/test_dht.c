/* Names in the DHT of whole swarms: published, found, asked for in few round trips, renewed and expired. */
#include "swarms.h"

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
    sh_swarm_get(net.node[1].swarm, snet_peer(&net, 1, 0),
                 value_key(&net.node[0].id, "lonely", key), 9, net.now_us);
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
    sh_swarm_get(net.node[2].swarm, snet_peer(&net, 2, 1), value_key(&net.node[0].id, "long", key),
                 9, net.now_us);
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
        cmocka_unit_test(test_publish_alone_then_found),
        cmocka_unit_test(test_twenty),
        cmocka_unit_test(test_ten_in_one_round_trip),
        cmocka_unit_test(test_one_is_asked_first),
        cmocka_unit_test(test_published_again_after_the_bootstrap),
        cmocka_unit_test(test_client_serves_its_names),
        cmocka_unit_test(test_republished_and_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
