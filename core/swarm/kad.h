/* swarm/kad.h - the DHT protocol over streams: requests to peers and answers to theirs.
 *
 * Client   one outbound stream per connection, reused and kept open (it also keeps Kameo from closing an idle
 *          connection); requests wait their turn, answers come in order. A reset is "nothing here" for the request
 *          at its head; those behind it go on a new stream.
 * Server   up to SH_KAD_STREAMS_MAX inbound streams per connection, answered in order until FIN. Serves own names
 *          whatever the mode. */
#ifndef SH_SWARM_KAD_H
#define SH_SWARM_KAD_H

#include "swarm/internal.h"

/* One request to a peer, dialled if need be. Its owner hears of it once: reply or fail, never inside this call. */
int sh_kad_ask(struct sh_swarm *s, struct sh_peer *p, enum sh_kad_type type, enum sh_asker asker,
               void *owner);
void sh_kad_forget(struct sh_swarm *s, sh_list *asks); /* whose they are no longer wants to hear */
void sh_kad_up(struct sh_swarm *s, struct sh_swarm_conn *c);
void sh_kad_down(struct sh_swarm *s, struct sh_swarm_conn *c);
/* The connection is idle: its stream of requests ends. False: there was none, or somebody waits. */
bool sh_kad_rest(struct sh_swarm *s, struct sh_swarm_conn *c);
void sh_kad_unreachable(struct sh_swarm *s, struct sh_peer *p);
void sh_kad_request_alarm(struct sh_swarm *s, struct sh_request *r);
void sh_kad_fini(struct sh_swarm *s);
/* Streams. */
bool sh_kad_open(struct sh_swarm *s, sh_stream *st);
void sh_kad_data(struct sh_swarm *s, sh_stream *st, sh_span data);
void sh_kad_fin(struct sh_swarm *s, sh_stream *st);
void sh_kad_over(struct sh_swarm *s, sh_stream *st, int err);
void sh_kad_writable(struct sh_swarm *s, sh_stream *st);
/* kad_serve.c: the answer to one request; its length, 0: none is due, < 0: end the stream. */
int sh_kad_answer(struct sh_swarm *s, sh_stream *st, const struct sh_kad_msg *m, uint8_t *buf,
                  size_t cap);
unsigned sh_kad_own_addrs(const struct sh_swarm *s, struct sh_kad_peer *out);

#endif
