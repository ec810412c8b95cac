/* swarm/negotiate.h - agreeing on the protocol of a stream, as proto/mss.h says; whose it is then, services.h.
 *
 * Rule     outbound streams are optimistic: header, proposal and payload leave together. What stands behind the
 *          peer's answer in the same piece is copied, so that two events can be told one after the other. */
#ifndef SH_SWARM_NEGOTIATE_H
#define SH_SWARM_NEGOTIATE_H

#include "swarm/internal.h"

/* What comes while the stream is NEGOTIATING; true: *ev is an event for the user. */
bool sh_negotiate_data(struct sh_swarm *s, sh_stream *st, sh_span data, struct sh_swarm_event *ev);
bool sh_negotiate_fin(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev);
/* There is room for the answer that held it up. */
bool sh_negotiate_on(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev);

int sh_negotiate_write(sh_stream *st);
/* Writes its pieces: 1: all are out, 0: the rest waits for WRITABLE, or < 0. */
static inline int sh_negotiate_out(sh_stream *st)
{
    return st->work ? sh_negotiate_write(st) : 1;
}

#endif
