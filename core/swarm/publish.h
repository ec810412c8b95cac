/* swarm/publish.h - own publications: sent to the 20 closest, again in time, and to newcomers.
 *
 * Rule     confirmed by the first echo; at once when there is nobody to send to. A round that no peer confirms is
 *          tried again after 1 s, doubling to 60 s. Newly connected DHT peers get a name if names are few
 *          (SH_PUBLISH_EVERYONE_MAX) or if they are closer to it than the farthest of the last round. */
#ifndef SH_SWARM_PUBLISH_H
#define SH_SWARM_PUBLISH_H

#include "swarm/internal.h"

void sh_pub_targets(struct sh_swarm *s, struct sh_pub *pub,
                    const sh_lookup *l); /* the lookup of a round ended */
void sh_pub_settle(struct sh_swarm *s, struct sh_pub *pub, bool echoed);
void sh_pub_to(struct sh_swarm *s, struct sh_peer *p); /* a DHT peer has connected */
void sh_pub_booted(struct sh_swarm *s);                /* a self lookup has ended */
void sh_pub_alarm(struct sh_swarm *s, struct sh_pub *pub);
bool sh_pub_note(struct sh_swarm *s, struct sh_pub *pub, struct sh_swarm_event *ev);
void sh_pub_free(struct sh_swarm *s, struct sh_pub *pub);
const struct sh_pub *sh_pub_by_key(const struct sh_swarm *s, sh_span key);
const struct sh_pub *sh_pub_by_value_key(const struct sh_swarm *s, sh_span key);

#endif
