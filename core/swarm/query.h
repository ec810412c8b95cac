/* swarm/query.h - lookups that run: a lookup object, the requests it wants, and who waits for the outcome. */
#ifndef SH_SWARM_QUERY_H
#define SH_SWARM_QUERY_H

#include "swarm/internal.h"

int sh_query_start(struct sh_swarm *s, enum sh_purpose purpose, sh_span key, struct sh_query **out);
int sh_query_peer(struct sh_swarm *s,
                  struct sh_peer *p); /* find addresses of p; sh_dial_searched follows */
/* One request of q has ended: m NULL when it failed. */
void sh_query_settle(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                     const struct sh_kad_msg *m);
void sh_query_alarm(struct sh_swarm *s, struct sh_query *q);
bool sh_query_note(struct sh_swarm *s, struct sh_query *q, struct sh_swarm_event *ev);
void sh_query_free(struct sh_swarm *s, struct sh_query *q);
void sh_query_bootstrap_soon(struct sh_swarm *s); /* the routing table has a new peer */
void sh_query_bootstrap(struct sh_swarm *s);      /* the boot alarm */

#endif
