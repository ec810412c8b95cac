/* swarm/routing.h - who enters the routing table and who leaves it; the table itself is kbucket.h.
 *
 * Rule     only servers enter. Who waits beside a full bucket has the oldest peer there that is not connected asked: it
 *          is dialled, and leaves if it cannot be reached. A server that enters gets our publications at once. */
#ifndef SH_SWARM_ROUTING_H
#define SH_SWARM_ROUTING_H

#include "swarm/internal.h"

void sh_routing_add(struct sh_swarm *s, struct sh_peer *p); /* it has shown that it is a server */
void sh_routing_remove(struct sh_swarm *s, struct sh_peer *p);
void sh_routing_known(struct sh_swarm *s, struct sh_peer *p, bool server); /* identify said so */
/* A server that is not in the table: there was no memory for its bucket. */
bool sh_routing_owed(const struct sh_swarm *s, const struct sh_peer *p);
/* It does not speak identify. An error: it could not be asked whether it speaks the DHT protocol. */
int sh_routing_unknown(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_peer *p);
/* It was asked for the sake of those who wait for its place, and that has ended. */
void sh_routing_doubted(struct sh_swarm *s, struct sh_peer *p);

#endif
