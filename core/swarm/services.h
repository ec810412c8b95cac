/* swarm/services.h - the protocols this layer serves itself: what they are called and which file gets their streams. */
#ifndef SH_SWARM_SERVICES_H
#define SH_SWARM_SERVICES_H

#include "swarm/internal.h"

void sh_services_init(struct sh_swarm *s); /* the list of protocols: the user's, then ours */
enum sh_service sh_services_of(const struct sh_swarm *s, unsigned proto);
/* What is said of a stream of ours. */
bool sh_services_open(struct sh_swarm *s, sh_stream *st); /* false: not wanted, it is gone */
void sh_services_data(struct sh_swarm *s, sh_stream *st, sh_span data);
void sh_services_fin(struct sh_swarm *s, sh_stream *st);
void sh_services_writable(struct sh_swarm *s, sh_stream *st);
void sh_services_over(struct sh_swarm *s, sh_stream *st, int err);

#endif
