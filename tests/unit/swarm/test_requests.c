/* What a swarm asks of peers besides look-ups: who they are, until it is known; whether they are still there, before
 * others take their places; and requests whose owners end. */
#include "swarm/query.h"
#include "swarm/routing.h"
#include "swarms.h"

/* --- identify --- */

/* The k-th allocation of node 0 fails, or all from there on for two seconds: whoever is connected is known in the end,
 * on both sides. */
static void test_identify_is_asked_until_it_is_known(void **state)
{
    (void)state;
    for (size_t k = 1; k < 130; k++) {
        for (int for_a_while = 0; for_a_while < 2; for_a_while++) {
            start(2, NULL);
            atomic_store(&net.node[0].mem.allocations, 0);
            atomic_store(for_a_while ? &net.node[0].mem.fail_from : &net.node[0].mem.fail_at, k);
            snet_dial(&net, 1, 0, true, 1);
            snet_run(&net, 2 * SECOND);
            atomic_store(&net.node[0].mem.fail_from, 0);
            snet_run(&net, 30 * SECOND);
            for (unsigned i = 0; i < 2; i++) {
                const struct sh_peer *p = peer_at(i, 1 - i);
                if (p->conn_count == 0 || !p->identified || !p->routed) {
                    fail_msg("allocation %zu of node 0 failed (%s): node %u: %u connections, "
                             "%sidentified, %srouted",
                             k, for_a_while ? "and more" : "once", i, p->conn_count,
                             p->identified ? "" : "not ", p->routed ? "" : "not ");
                }
            }
            snet_fini(&net);
        }
    }
}

/* A push that could not be taken is made up for by asking. (The first allocation is the connection's own.) */
static void test_push_lost_for_want_of_memory(void **state)
{
    (void)state;
    for (size_t k = 2; k < 6; k++) {
        start(2, NULL);
        snet_dial(&net, 0, 1, false, 1);
        snet_run(&net, SECOND);
        struct sh_peer *p = peer_at(0, 1);
        assert_int_equal(p->addr_count, 1);
        atomic_store(&net.node[0].mem.allocations, 0);
        atomic_store(&net.node[0].mem.fail_at, k);
        sh_addr more = snet_addr(&net, 9, false);
        sh_swarm_listening(net.node[1].swarm, &more, net.now_us);
        snet_run(&net, 500 * MS);
        assert_int_equal(p->addr_count, 1);
        snet_run(&net, 10 * SECOND);
        assert_int_equal(p->conn_count, 1);
        assert_int_equal(p->addr_count, 2);
        snet_fini(&net);
    }
}

/* --- the routing table --- */

/* A peer that exists only as an entry, and an address where nobody listens. */
static struct sh_peer *stranger(struct sh_swarm *s, unsigned number)
{
    sh_peer_id id;
    struct sh_peer *p;
    uint8_t b[34] = {0x12, 0x20, (uint8_t)number, (uint8_t)(number >> 8), 7};
    sh_addr a = snet_addr(&net, 50, false);
    assert_int_equal(sh_peer_id_from_bytes(&id, sh_span_of(b, sizeof b)), 0);
    assert_int_equal(sh_peers_get(s, &id, &p), 0);
    sh_peer_learn(s, p, &a);
    return p;
}

/* Fills the bucket of node 0 in which node `who` belongs with peers that nobody can reach. */
static void fill_bucket_of(struct sh_swarm *s, const struct sh_peer *who, unsigned count)
{
    unsigned prefix = sh_kprefix(s->self_key, who->key), have = 0;
    for (unsigned number = 0; have < count; number++) {
        struct sh_peer *p = stranger(s, number);
        if (sh_kprefix(s->self_key, p->key) == prefix) {
            sh_routing_known(s, p, true);
            have++;
        }
    }
}

static bool in_table(struct sh_swarm *s, const struct sh_peer *p)
{
    const struct sh_kentry *e;
    uint32_t bucket;
    for (size_t i = 0; (e = sh_ktable_at(&s->table, i, &bucket)) != NULL; i++) {
        if (e->tag == p->ref.index) {
            return true;
        }
    }
    return false;
}

/* Who comes to a full bucket waits; the oldest there is dialled, and is gone only when it does not answer. */
static void test_the_oldest_contact_is_asked_first(void **state)
{
    (void)state;
    unsigned first = 0, second = 0;
    start(8, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    for (unsigned i = 1; i < 8; i++) { /* two nodes of the same bucket */
        for (unsigned k = 1; k < i; k++) {
            bool same = sh_kprefix(s->self_key, peer_at(0, i)->key) ==
                        sh_kprefix(s->self_key, peer_at(0, k)->key);
            first = same ? k : first;
            second = same ? i : second;
        }
    }
    struct sh_peer *old = peer_at(0, first), *young = peer_at(0, second);
    sh_addr at = snet_addr(&net, first, false);
    s->booting = true; /* no look-up of its own dials the others */
    sh_peer_learn(s, old, &at);
    sh_routing_known(s, old, true); /* the oldest of all, not connected, alive */
    fill_bucket_of(s, young, SH_KAD_K - 1);
    snet_dial(&net, second, 0, false, 1);
    snet_run(&net, SECOND);
    assert_int_equal(young->conn_count, 1);
    assert_true(in_table(s, old) && !in_table(s, young));
    assert_int_equal(old->conn_count, 1); /* it was dialled, and stays */
    /* The next that comes asks after the next oldest, whom nobody can reach. */
    sh_routing_remove(s, young);
    sh_routing_known(s, young, true);
    snet_run(&net, SECOND);
    assert_true(in_table(s, old) && in_table(s, young));
    assert_int_equal(s->table.count, SH_KAD_K);
    snet_fini(&net);
}

/* --- owners --- */

static unsigned open_requests(const struct sh_swarm *s, const void *owner)
{
    unsigned n = 0;
    SH_LIST_FOREACH(it, &s->requests)
    {
        n += SH_CONTAINER(it, struct sh_request, all)->owner == owner ? 1u : 0u;
    }
    return n;
}

static struct sh_query *query_of(struct sh_swarm *s, uint64_t number)
{
    SH_LIST_FOREACH(it, &s->queries)
    {
        struct sh_query *q = SH_CONTAINER(it, struct sh_query, all);
        if (q->number == number) {
            return q;
        }
    }
    return NULL;
}

/* A query that ends takes its own requests with it, no others: what was not sent is gone, what was is nobody's. */
static void test_an_owner_ends(void **state)
{
    (void)state;
    char name[16];
    start(2, NULL);
    snet_dial(&net, 0, 1, false, 1);
    snet_run(&net, SECOND);
    struct sh_swarm *s = net.node[0].swarm;
    enum { COUNT = SH_KAD_SENT_MAX + 20 };
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "name %u", i);
        assert_int_equal(sh_swarm_find(s, sh_span_str(name), 100 + i, net.now_us), 0);
        assert_int_equal(open_requests(s, query_of(s, 100 + i)), 1);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        sh_swarm_query_cancel(s, 100 + i);
    }
    assert_int_equal(open_requests(s, NULL), SH_KAD_SENT_MAX / 2);
    for (unsigned i = 1; i < COUNT; i += 2) {
        assert_int_equal(open_requests(s, query_of(s, 100 + i)), 1);
    }
    size_t at = net.log_count;
    snet_run(&net, SECOND);
    assert_int_equal(snet_count(&net, 0, SH_SWARM_QUERY_DONE, at), COUNT / 2);
    assert_true(sh_list_empty(&s->requests));
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_is_asked_until_it_is_known),
        cmocka_unit_test(test_push_lost_for_want_of_memory),
        cmocka_unit_test(test_the_oldest_contact_is_asked_first),
        cmocka_unit_test(test_an_owner_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
