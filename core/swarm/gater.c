/* swarm/gater.c - admission: of inbound connections before their handshake, of peers after it. */
#include "swarm/gater.h"

#include "base/hash.h"
#include "swarm/conns.h"

/* The list was lent: who may connect is looked at for life. */
int sh_gater_init(struct sh_swarm *s, const struct sh_swarm_config *cfg)
{
    s->gater.seed = sh_rng_u64(cfg->rng);
    s->cfg.allow = NULL;
    if (cfg->allow_count == 0) {
        return 0;
    }
    sh_peer_id *copy = sh_mem_array(cfg->mem, cfg->allow_count, sizeof *copy);
    if (!copy) {
        return SH_E_NOMEM;
    }
    memcpy(copy, cfg->allow, cfg->allow_count * sizeof *copy);
    s->cfg.allow = s->allow = copy;
    return 0;
}

void sh_gater_fini(struct sh_swarm *s)
{
    if (s->allow) {
        sh_mem_free(s->cfg.mem, s->allow, s->cfg.allow_count * sizeof *s->allow);
    }
}

/* Network and host part of an IP address: equal prefixes are one network. False: not an IP address (a simulated pipe). */
static bool gater_ip(const sh_addr *addr, struct sh_endpoint *e, unsigned *host_n, unsigned *net_n)
{
    if (addr->n == 0 || sh_addr_endpoint(addr, e) != 0 || e->host > SH_HOST_IP6) {
        return false;
    }
    *host_n = e->host == SH_HOST_IP4 ? 4 : 8; /* a /64 is one host */
    *net_n = e->host == SH_HOST_IP4 ? 3 : 6;
    return true;
}

static bool gater_take(struct sh_gater_bucket *b, uint64_t now_us, uint32_t burst, uint32_t per_s)
{
    uint64_t earned = (now_us - b->since_us) * per_s / 1000000;
    if (b->since_us == 0 || earned >= burst) {
        *b = (struct sh_gater_bucket){now_us, burst};
    } else if (earned > 0) {
        uint64_t tokens = b->tokens + earned;
        b->tokens = tokens < burst ? (uint32_t)tokens : burst;
        b->since_us += earned * 1000000 / per_s;
    }
    if (b->tokens == 0) {
        return false;
    }
    b->tokens--;
    return true;
}

/* Counts who waits from the same place, and finds the oldest of all. */
static bool gater_place(struct sh_swarm *s, const struct sh_endpoint *e, unsigned host_n,
                        unsigned net_n, struct sh_swarm_conn **oldest)
{
    unsigned same_host = 0, same_net = 0;
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        struct sh_endpoint other;
        sh_addr from;
        unsigned n, m;
        if (c->state != SH_CONNS_SECURING || c->dialer) {
            continue;
        }
        *oldest = *oldest ? *oldest : c;
        from = sh_conns_addr(c);
        if (host_n == 0 || !gater_ip(&from, &other, &n, &m) || other.host != e->host) {
            continue;
        }
        same_net += memcmp(other.ip, e->ip, net_n) == 0 ? 1u : 0u;
        same_host += memcmp(other.ip, e->ip, host_n) == 0 ? 1u : 0u;
    }
    return same_host < SH_CONNS_PENDING_ADDR_MAX && same_net < SH_CONNS_PENDING_NET_MAX;
}

int sh_gater_pass(struct sh_swarm *s, const sh_addr *remote)
{
    struct sh_endpoint e;
    struct sh_swarm_conn *oldest = NULL;
    unsigned host_n = 0, net_n = 0;
    bool ip = gater_ip(remote, &e, &host_n, &net_n);
    if (s->inbound_pending >= SH_CONNS_PENDING_ADDR_MAX &&
        !gater_place(s, &e, host_n, net_n, &oldest)) {
        return SH_E_LIMIT;
    }
    if (ip) {
        uint64_t at = sh_hash_bytes(s->gater.seed, sh_span_of(e.ip, host_n)) % SH_GATER_ADDRS;
        if (!gater_take(&s->gater.of_addr[at], s->now_us, SH_HANDSHAKES_ADDR_BURST,
                        SH_HANDSHAKES_ADDR_PER_S)) {
            return SH_E_LIMIT;
        }
    }
    if (!gater_take(&s->gater.all, s->now_us, SH_HANDSHAKES_BURST, SH_HANDSHAKES_PER_S)) {
        return SH_E_LIMIT;
    }
    if (s->inbound_pending < SH_CONNS_PENDING_MAX) {
        return 0;
    }
    if (!oldest || s->now_us < oldest->opened_us + SH_CONNS_PENDING_GRACE_MS * UINT64_C(1000)) {
        return SH_E_LIMIT;
    }
    sh_conns_die(s, oldest, 0, SH_E_LIMIT, "no handshake, and others wait");
    return 0;
}

bool sh_gater_allows(const struct sh_swarm *s, const sh_peer_id *id)
{
    for (size_t i = 0; i < s->cfg.allow_count; i++) {
        if (sh_peer_id_eq(&s->cfg.allow[i], id)) {
            return true;
        }
    }
    return s->cfg.allow_count == 0;
}
