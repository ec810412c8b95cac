/* swarm/dial_addr.h - the user's dials of addresses: resolve, dial, tell, and for those to keep again with back-off. */
#ifndef SH_SWARM_DIAL_ADDR_H
#define SH_SWARM_DIAL_ADDR_H

#include "swarm/internal.h"

void sh_dial_addr_up(struct sh_swarm *s,
                     struct sh_swarm_conn *c); /* one was secured: whose dial is content now? */
void sh_dial_addr_over(struct sh_swarm *s,
                       struct sh_swarm_conn *c); /* a connection of c->dial_addr failed */
void sh_dial_addr_down(struct sh_swarm *s, struct sh_peer *p); /* the last connection to p went */
void sh_dial_addr_alarm(struct sh_swarm *s, struct sh_dial_addr *d);
bool sh_dial_addr_note(struct sh_swarm *s, struct sh_dial_addr *d, struct sh_swarm_event *ev);
void sh_dial_addr_free(struct sh_swarm *s, struct sh_dial_addr *d);

#endif
