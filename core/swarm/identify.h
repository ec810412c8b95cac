/* swarm/identify.h - identify (asked of every connection, answered first) and push.
 *
 * Rule     a peer that announces the DHT protocol is a server; one that announces other things is a client; one that
 *          does not speak identify at all (Kameo) becomes a server when a registry stream to it negotiates.
 *          Listen addresses are believed only as far as the address book's rules go; observed ones are ignored. */
#ifndef SH_SWARM_IDENTIFY_H
#define SH_SWARM_IDENTIFY_H

#include "swarm/internal.h"

/* A new connection: asks who it is. LIMIT: no memory to ask. */
int sh_identify_up(struct sh_swarm *s, struct sh_swarm_conn *c);
bool sh_identify_open(struct sh_swarm *s,
                      sh_stream *st); /* an identify or push stream was agreed on */
void sh_identify_data(struct sh_swarm *s, sh_stream *st, sh_span data);
void sh_identify_fin(struct sh_swarm *s, sh_stream *st);
void sh_identify_over(struct sh_swarm *s, sh_stream *st, int err); /* the stream is being freed */
/* What was to be learnt of the peer was lost, here or there, for want of memory or time: it is asked again, later each
 * time. due: asks if it is time; when to come back, or UINT64_MAX. */
void sh_identify_later(struct sh_swarm *s, struct sh_swarm_conn *c);
uint64_t sh_identify_due(struct sh_swarm *s, struct sh_swarm_conn *c);
void sh_identify_push_all(struct sh_swarm *s); /* our addresses or mode changed */
bool sh_identify_addr_fits(const struct sh_swarm_conn *c,
                           const sh_addr *addr); /* may be believed of what came over c */

#endif
