/* swarm/ping_serve.h - libp2p's ping, the answering side. Our own pings are the muxer's: alive.h. */
#ifndef SH_SWARM_PING_SERVE_H
#define SH_SWARM_PING_SERVE_H

#include "swarm/internal.h"

bool sh_ping_serve_open(struct sh_swarm *s, sh_stream *st); /* false: too many, it is gone */
/* Bytes of pings, or none: there is room again for echoes that waited. */
void sh_ping_serve_data(struct sh_swarm *s, sh_stream *st, sh_span data);
void sh_ping_serve_fin(struct sh_swarm *s, sh_stream *st);

#endif
