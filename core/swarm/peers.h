/* swarm/peers.h - the peer table: ids to entries, and what is known about each.
 *
 * Shape    up to SH_PEERS_TABLE_MAX entries found by id or by (index, check). Entry 0 is this node.
 * Rule     an entry in use stays; of the others the least recently used makes room for a new one.
 *          An address book holds SH_PEER_ADDRS_MAX addresses: those reached stay before those only heard of,
 *          among the latter the freshest stay.
 * Memory   entries and addresses are charged to the swarm's quota. */
#ifndef SH_SWARM_PEERS_H
#define SH_SWARM_PEERS_H

#include "swarm/internal.h"

int sh_peers_init(struct sh_swarm *s);
void sh_peers_fini(struct sh_swarm *s);
struct sh_peer *sh_peers_at(const struct sh_swarm *s, struct sh_peer_ref ref);
struct sh_peer *sh_peers_find(const struct sh_swarm *s, const sh_peer_id *id);
/* Found or made: 0, SH_E_LIMIT, SH_E_NOMEM. */
int sh_peers_get(struct sh_swarm *s, const sh_peer_id *id, struct sh_peer **out);
void sh_peer_use(struct sh_peer *p);
void sh_peer_unuse(struct sh_swarm *s, struct sh_peer *p);
/* Adds or freshens; false: not worth keeping (own, unspecified, not dialable, no room). */
bool sh_peer_learn(struct sh_swarm *s, struct sh_peer *p, const sh_addr *addr);
struct sh_peer_addr *sh_peer_addr_find(struct sh_peer *p, const sh_addr *addr);
void sh_peer_addr_load(const struct sh_peer_addr *a, sh_addr *out);
/* Up to max addresses for others, best first; spans into the book. */
unsigned sh_peer_addr_spans(const struct sh_peer *p, sh_span *out, unsigned max);
void sh_peer_agent(struct sh_swarm *s, struct sh_peer *p,
                   const char *agent); /* what it calls itself */
bool sh_swarm_own_addr(const struct sh_swarm *s, const sh_addr *addr);

#endif
