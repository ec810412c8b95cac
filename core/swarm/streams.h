/* swarm/streams.h - streams of a connection: remember whose each is, carry its bytes.
 *
 * Shape    NEGOTIATING -> OPEN -> OVER. A stream belongs to the user or to one of our services (identify, push,
 *          ping, DHT); a service's bytes go to its file (services.h), the user's become events. */
#ifndef SH_SWARM_STREAMS_H
#define SH_SWARM_STREAMS_H

#include "swarm/conns.h"
#include "swarm/internal.h"

/* Codes of a reset. */
enum { SH_STREAM_NOT_AGREED = 0x1001, SH_STREAM_TOO_MANY = 0x1002 };

int sh_streams_open(struct sh_swarm *s, struct sh_swarm_conn *c, unsigned proto, sh_stream **out);
void sh_streams_accept(struct sh_swarm *s, struct sh_swarm_conn *c, uint64_t id);
/* What the connection says of a stream; true: *ev is an event for the user. */
bool sh_streams_data(struct sh_swarm *s, sh_stream *st, sh_span data, struct sh_swarm_event *ev);
bool sh_streams_fin(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev);
bool sh_streams_reset(struct sh_swarm *s, sh_stream *st, uint64_t code, struct sh_swarm_event *ev);
bool sh_streams_writable(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev);
bool sh_streams_carried(struct sh_swarm *s, struct sh_swarm_event *ev);
bool sh_streams_note(struct sh_swarm *s, sh_stream *st,
                     struct sh_swarm_event *ev); /* what its note has to tell */
void sh_streams_alarm(struct sh_swarm *s, sh_stream *st);
void sh_streams_conn_down(struct sh_swarm *s,
                          struct sh_swarm_conn *c); /* services end here, the user's are told */
bool sh_streams_conn_note(struct sh_swarm *s, struct sh_swarm_conn *c,
                          struct sh_swarm_event *ev); /* END of one of them */
bool sh_streams_has_user(const struct sh_swarm_conn *c);
void sh_stream_drop(struct sh_swarm *s, sh_stream *st,
                    uint32_t code); /* resets and frees, tells nobody */
void sh_stream_free(struct sh_swarm *s, sh_stream *st);
/* For services: all of it is taken (kept in st->out when the connection cannot), or < 0. */
int sh_stream_send(sh_stream *st, sh_span bytes);
bool sh_stream_drain(sh_stream *st); /* writes what is kept; true: nothing is left */
void sh_stream_credit(sh_stream *st, size_t n);

/* With negotiate.c. */
void sh_streams_event(const sh_stream *st, enum sh_swarm_event_kind kind,
                      struct sh_swarm_event *ev);
/* The stream is over; services are told at once, for the user it is an event. */
bool sh_streams_over(struct sh_swarm *s, sh_stream *st, int err, uint64_t code,
                     struct sh_swarm_event *ev);
void sh_stream_work_free(struct sh_swarm *s, sh_stream *st);
static inline sh_conn *sh_stream_machine(const sh_stream *st)
{
    sh_conns_touch(st->swarm, st->conn);
    return st->conn->machine;
}

#endif
