/* The table of peers: who leaves it when it is full, and who never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "names.h"
#include "swarm/internal.h"
#include "swarm/peers.h"
#include "swarm_net.h"

static struct snet net;

/* The entry of an invented peer. */
static int entry(unsigned number, struct sh_peer_ref *ref)
{
    sh_peer_id id = invented(number);
    return sh_swarm_peer(net.node[0].swarm, &id, ref);
}

static bool known(struct sh_peer_ref ref)
{
    return sh_swarm_peer_id(net.node[0].swarm, ref) != NULL;
}

/* SH_PEERS_TABLE_MAX entries, one of them this node's own: who was named longest ago and is not in use makes room, and
 * when all are in use nobody new is taken in. */
static void test_full_table(void **state)
{
    (void)state;
    enum { OTHERS = SH_PEERS_TABLE_MAX - 1 };
    static struct sh_peer_ref ref[OTHERS];
    struct sh_peer_ref next, more;
    snet_init(&net, 1, 41, NULL, 0, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    for (unsigned i = 0; i < OTHERS; i++) {
        assert_int_equal(entry(i, &ref[i]), 0);
    }
    assert_true(known(ref[0]));
    assert_int_equal(entry(0, &ref[0]), 0); /* named again: number 1 is the oldest now */
    sh_swarm_hold(s, ref[1]);               /* in use: number 2 is */
    assert_int_equal(entry(OTHERS, &next), 0);
    assert_true(known(ref[0]) && known(ref[1]) && !known(ref[2]) && known(ref[3]) && known(next));
    ref[2] = next;
    for (unsigned i = 0; i < OTHERS; i++) {
        if (i != 1) {
            sh_swarm_hold(s, ref[i]);
        }
    }
    assert_int_equal(entry(OTHERS + 1, &more), SH_E_LIMIT);
    assert_int_equal(entry(5, &more), 0); /* who is in is found */
    sh_swarm_release(s, ref[7]);
    assert_int_equal(entry(OTHERS + 1, &more), 0);
    assert_false(known(ref[7]));
    assert_int_equal(entry(7, &ref[7]), 0); /* takes the place of the one that nobody holds */
    assert_false(known(more));
    snet_fini(&net);
}

/* SH_PEER_ADDRS_MAX addresses of one peer: the newest are told first, the one told longest ago goes. */
static void test_full_address_book(void **state)
{
    (void)state;
    struct sh_peer_ref ref;
    snet_init(&net, 1, 41, NULL, 0, NULL);
    struct sh_swarm *s = net.node[0].swarm;
    assert_int_equal(entry(1, &ref), 0);
    struct sh_peer *p = sh_peers_at(s, ref);
    for (unsigned i = 0; i < SH_PEER_ADDRS_MAX + 1; i++) {
        sh_addr a = snet_addr(&net, i, false);
        s->now_us += 1000;
        assert_true(sh_peer_learn(s, p, &a));
        assert_int_equal(p->addr_count, i < SH_PEER_ADDRS_MAX ? i + 1 : SH_PEER_ADDRS_MAX);
    }
    sh_addr first = snet_addr(&net, 0, false), second = snet_addr(&net, 1, false);
    assert_null(sh_peer_addr_find(p, &first));
    assert_non_null(sh_peer_addr_find(p, &second));
    for (unsigned i = 0; i < SH_PEER_ADDRS_MAX; i++) {
        p->addrs[i]->reached = true; /* proven ones stay */
    }
    assert_false(sh_peer_learn(s, p, &first));
    assert_int_equal(p->addr_count, SH_PEER_ADDRS_MAX);
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_full_address_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
