/* swarm/routing.c - who is in the routing table, and who has to leave it. */
#include "swarm/routing.h"

#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/publish.h"
#include "swarm/query.h"

void sh_routing_doubted(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->routed && p->conn_count == 0 && p->holds == 0) {
        sh_routing_remove(s, p);
    } else if (p->routed) {
        sh_ktable_set_connected(&s->table, p->key, p->ref.index, p->conn_count > 0);
    }
}

/* p waits beside a full bucket: is the oldest one in it still there? */
static void routing_doubt(struct sh_swarm *s, const struct sh_peer *p)
{
    uint32_t tag = sh_ktable_doubt(&s->table, p->key);
    struct sh_peer *old = tag != SH_KTAG_NONE ? sh_slab_at(&s->peers, tag) : NULL;
    if (old && sh_kad_ask(s, old, SH_KAD_FIND_NODE, SH_ASK_DOUBT, NULL) != 0) {
        sh_ktable_set_connected(&s->table, old->key, tag, false);
    }
}

void sh_routing_add(struct sh_swarm *s, struct sh_peer *p)
{
    uint32_t dropped;
    if (s->cfg.dht == SH_DHT_OFF) {
        return;
    }
    enum sh_kinsert in =
        sh_ktable_insert(&s->table, p->key, p->ref.index, p->conn_count > 0, &dropped);
    if ((in == SH_KIN_ADDED || in == SH_KIN_SPARE) && !p->routed) {
        p->routed = true;
        sh_peer_use(p);
    }
    if (dropped != SH_KTAG_NONE) {
        struct sh_peer *old = sh_slab_at(&s->peers, dropped);
        old->routed = false;
        sh_peer_unuse(s, old);
    }
    if (in == SH_KIN_ADDED) {
        sh_query_bootstrap_soon(s);
    } else if (in == SH_KIN_SPARE) {
        routing_doubt(s, p);
    }
    if (p->conn_count > 0 && !p->pushed) {
        p->pushed = true;
        sh_pub_to(s, p);
    }
}

void sh_routing_remove(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->routed) {
        p->routed = false;
        sh_ktable_remove(&s->table, p->key, p->ref.index);
        sh_peer_unuse(s, p);
    }
}

void sh_routing_known(struct sh_swarm *s, struct sh_peer *p, bool server)
{
    p->server = server;
    if (server) {
        sh_routing_add(s, p);
    } else {
        sh_routing_remove(s, p);
    }
}

bool sh_routing_owed(const struct sh_swarm *s, const struct sh_peer *p)
{
    return p->server && !p->routed && p != s->self && s->cfg.dht != SH_DHT_OFF;
}

int sh_routing_unknown(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_peer *p)
{
    if (c->state == SH_CONNS_UP && sh_routing_owed(s, p)) { /* it has shown what it is */
        sh_routing_add(s, p);
        return sh_routing_owed(s, p) ? SH_E_NOMEM : 0;
    }
    bool ask = c->state == SH_CONNS_UP && !p->identified && s->cfg.dht != SH_DHT_OFF;
    return ask ? sh_kad_ask(s, p, SH_KAD_FIND_NODE, SH_ASK_HELLO, NULL) : 0;
}
