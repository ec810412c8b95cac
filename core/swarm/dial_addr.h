/* swarm/dial_addr.h - the user's dials of addresses: resolve, dial, tell, and for those to keep again with back-off. */
#ifndef SH_SWARM_DIAL_ADDR_H
#define SH_SWARM_DIAL_ADDR_H

#include "swarm/internal.h"

void sh_call_up(struct sh_swarm *s,
                struct sh_link *l); /* a link was secured: whose dial is content now? */
void sh_call_over(struct sh_swarm *s, struct sh_link *l); /* a link of l->call failed */
void sh_call_down(struct sh_swarm *s, struct sh_peer *p); /* the last connection to p went */
void sh_call_alarm(struct sh_swarm *s, struct sh_call *c);
bool sh_call_note(struct sh_swarm *s, struct sh_call *c, struct sh_swarm_event *ev);
void sh_call_free(struct sh_swarm *s, struct sh_call *c);

#endif
