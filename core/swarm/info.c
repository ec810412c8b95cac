/* swarm/info.c - questions of the user: who is connected, round trips, own addresses, rows for info(). */
#include "swarm/conns.h"
#include "swarm/peers.h"

bool sh_swarm_is_connected(const sh_swarm *s, struct sh_peer_ref peer)
{
    const struct sh_peer *p = sh_peers_at(s, peer);
    return p && p->conn_count > 0;
}

uint64_t sh_swarm_rtt_us(const sh_swarm *s, struct sh_peer_ref peer)
{
    const struct sh_peer *p = sh_peers_at(s, peer);
    return p ? p->rtt_us : 0;
}

int sh_swarm_address(const sh_swarm *s, size_t i, sh_addr *out)
{
    const sh_addr *addrs = s->announce_count > 0 ? s->announce : s->listen;
    unsigned count = s->announce_count > 0 ? s->announce_count : s->listen_count;
    if (i >= count) {
        return SH_E_NOT_FOUND;
    }
    *out = addrs[i];
    return sh_addr_with_peer(out, &s->self_id);
}

static void peer_row(const struct sh_swarm *s, const struct sh_peer *p, struct sh_peer_row *out)
{
    const struct sh_swarm_conn *c = sh_peer_conn(p);
    memset(out, 0, sizeof *out);
    out->id = p->id;
    out->connected = p->conn_count > 0;
    out->inbound = c && !c->dialer;
    out->server = p->server;
    out->connections = p->conn_count;
    out->rtt_us = p->rtt_us;
    sh_text_copy(out->agent, sizeof out->agent, p->agent);
    if (c) {
        out->addr = sh_conns_addr(c);
    } else if (p->addr_count > 0) {
        sh_peer_addr_load(p->addrs[0], &out->addr);
    }
    (void)s;
}

/* Connected peers in order of their first connection, then those only in the routing table. */
int sh_swarm_peer_row(const sh_swarm *s, size_t i, struct sh_peer_row *out)
{
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        const struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        if (c->state == SH_CONNS_UP && sh_peer_conn(c->peer) == c && i-- == 0) {
            peer_row(s, c->peer, out);
            return 0;
        }
    }
    uint32_t bucket;
    const struct sh_kentry *e;
    for (size_t k = 0; (e = sh_ktable_at(&s->table, k, &bucket)) != NULL; k++) {
        const struct sh_peer *p = sh_slab_at(&s->peers, e->tag);
        if (p && p->conn_count == 0 && i-- == 0) {
            peer_row(s, p, out);
            return 0;
        }
    }
    return SH_E_NOT_FOUND;
}

int sh_swarm_routing_row(const sh_swarm *s, size_t i, struct sh_routing_row *out)
{
    uint32_t bucket;
    const struct sh_kentry *e = sh_ktable_at(&s->table, i, &bucket);
    const struct sh_peer *p = e ? sh_slab_at(&s->peers, e->tag) : NULL;
    if (!p) {
        return SH_E_NOT_FOUND;
    }
    *out = (struct sh_routing_row){.bucket = bucket, .id = p->id, .connected = p->conn_count > 0};
    return 0;
}
