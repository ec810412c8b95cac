/* tests/unit/swarm/swarms.h - swarms on the network in memory: started, a pair connected, names published and found. */
#ifndef SH_TESTS_SWARMS_H
#define SH_TESTS_SWARMS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "names.h"
#include "swarm/internal.h"
#include "swarm/peers.h"
#include "swarm_net.h"

static const char *const PROTOCOLS[] = {"/test/one/1.0.0", "/test/two/1.0.0"};
static struct snet net;

enum { MS = 1000, SECOND = 1000000 };

static inline void start(unsigned count,
                         void (*cfg)(struct snet *, unsigned, struct sh_swarm_config *))
{
    snet_start(&net, count, 7, PROTOCOLS, 2, cfg);
}

/* What node `at` keeps of node `who`. */
static inline struct sh_peer *peer_at(unsigned at, unsigned who)
{
    return sh_peers_at(net.node[at].swarm, snet_peer(&net, at, who));
}

static inline void connect_pair(void)
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

/* Nodes from the second on are clients of the DHT. */
static inline void clients(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n;
    c->dht = i == 2 ? SH_DHT_CLIENT : SH_DHT_AUTO;
}

static inline void publish(unsigned node, const char *name, uint64_t number)
{
    uint8_t value[64];
    char key[400];
    assert_int_equal(sh_swarm_publish(net.node[node].swarm, sh_span_str(name),
                                      value_key(&net.node[node].id, name, key),
                                      registration(&net.node[node].id, 0, value), number,
                                      net.now_us),
                     0);
}

/* Does `who` find node `holder` under name, and its metadata? */
static inline bool finds(unsigned who, const char *name, int holder)
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
                                  value_key(&net.node[holder].id, name, key), 78, net.now_us),
                     0);
    const struct snet_event *v = snet_until(&net, who, SH_SWARM_VALUE, &at, 30 * SECOND);
    assert_non_null(v);
    return v->err == 0 && v->data_n == 13u + net.node[holder].id.n;
}

#endif
