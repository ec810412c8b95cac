/* What a swarm keeps of peers that are at rest: no stream of the DHT, and one entry each, however their hashes meet. */
#include "swarms.h"

#include "swarm/conns.h"
#include "swarm/kad.h"
#include "swarm/peers.h"

static struct sh_swarm_conn *conn_of(unsigned node, unsigned other)
{
    struct sh_swarm *s = net.node[node].swarm;
    return sh_peer_conn(sh_peers_at(s, snet_peer(&net, node, other)));
}

static void assert_at_rest(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sh_swarm_conn *c = conn_of(i, 1 - i);
        assert_non_null(c);
        assert_true(c->resting);
        assert_null(c->kad_out);
        assert_int_equal(c->kad_in_count, 0);
        assert_true(sh_list_empty(&c->streams));
    }
}

/* The streams of requests end with the last answer; the next request opens another. */
static void test_no_idle_dht_stream(void **state)
{
    (void)state;
    connect_pair();
    snet_run(&net, 2 * SECOND);
    assert_at_rest();
    assert_true(snet_count(&net, 0, SH_SWARM_PEER_REST, 0) > 0);
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_peer *p = sh_peers_at(s, snet_peer(&net, 0, 1));
    assert_int_equal(sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL), 0);
    assert_non_null(conn_of(0, 1)->kad_out);
    snet_run(&net, 50000);
    assert_true(sh_list_empty(&s->requests)); /* answered */
    assert_non_null(conn_of(0, 1)->kad_out);  /* kept for the next one */
    size_t at = net.log_count;
    assert_non_null(snet_until(&net, 0, SH_SWARM_PEER_REST, &at, SECOND));
    snet_run(&net, SECOND);
    assert_at_rest();
    assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_DOWN, 0), 0);
    snet_fini(&net);
}

/* Who still waits for an answer keeps the stream, however long nothing is heard. */
static void test_a_request_keeps_the_stream(void **state)
{
    (void)state;
    connect_pair();
    snet_run(&net, 2 * SECOND);
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_peer *p = sh_peers_at(s, snet_peer(&net, 0, 1));
    assert_int_equal(sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL), 0);
    snet_run(&net, 50000); /* answered: it is no longer at rest */
    snet_pause(&net, 1);
    assert_int_equal(sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL), 0);
    snet_run(&net, SECOND);
    assert_non_null(conn_of(0, 1)->kad_out);
    assert_false(sh_list_empty(&s->requests));
    snet_resume(&net, 1);
    snet_run(&net, 50000);
    assert_true(sh_list_empty(&s->requests));
    snet_fini(&net);
}

/* Entries whose hashes are the same: each is found, and one that goes takes no other with it. */
static void test_twins(void **state)
{
    enum { PEERS = 24 };
    (void)state;
    snet_init(&net, PEERS + 2, 5, PROTOCOLS, 2, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_peer *p;
    s->peer_mask = 1;
    for (unsigned i = 0; i < PEERS; i++) {
        assert_int_equal(sh_peers_get(s, &net.node[1 + i].id, &p), 0);
    }
    for (unsigned i = PEERS; i-- > 0;) { /* used again: the one entered last goes first */
        assert_int_equal(sh_peers_get(s, &net.node[1 + i].id, &p), 0);
    }
    s->cfg.quota->limit = s->cfg.quota->used; /* from here on one must go for each that comes */
    for (unsigned comes = PEERS + 1; comes-- > 0;) {
        unsigned gone = comes > 0 ? comes - 1 : PEERS;
        assert_int_equal(sh_peers_get(s, &net.node[1 + comes].id, &p), 0);
        for (unsigned i = 0; i <= PEERS; i++) {
            p = sh_peers_find(s, &net.node[1 + i].id);
            assert_int_equal(p != NULL, i != gone);
            assert_true(!p || sh_peer_id_eq(&p->id, &net.node[1 + i].id));
        }
    }
    s->cfg.quota->limit = SIZE_MAX;
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_idle_dht_stream),
        cmocka_unit_test(test_a_request_keeps_the_stream),
        cmocka_unit_test(test_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
