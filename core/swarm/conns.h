/* swarm/conns.h - connections: their life from dial or accept to the last byte.
 *
 * Shape    DIALLING (driver opens a pipe) -> SECURING (handshake) -> UP -> DEAD (streams are being ended)
 *          -> CLOSING (last bytes leave) -> freed. A link that never came up skips DEAD.
 * Rule     sh_link_die is the only way out; it may free the link when nothing has to be told. */
#ifndef SH_SWARM_CONNS_H
#define SH_SWARM_CONNS_H

#include "swarm/internal.h"

sh_addr sh_link_addr(const struct sh_link *l); /* as dialled, or accepted from */
struct sh_link *sh_link_at(const struct sh_swarm *s, sh_conn_id id);
/* A link that the driver will be asked to dial: 0, SH_E_LIMIT, SH_E_NOMEM. */
int sh_link_dial(struct sh_swarm *s, const sh_addr *addr, struct sh_peer *target,
                 struct sh_dial_addr *dial_addr);
int sh_link_accept(struct sh_swarm *s, const sh_addr *remote, struct sh_link **out);
int sh_link_secure(struct sh_swarm *s,
                   struct sh_link *l); /* the pipe is there: starts the handshake */
void sh_link_up(struct sh_swarm *s, struct sh_link *l, const sh_peer_id *id);
void sh_link_touch(struct sh_swarm *s, struct sh_link *l); /* flush it at the end of the turn */
void sh_link_ready(struct sh_swarm *s, struct sh_link *l); /* it may have events */
void sh_link_act(struct sh_swarm *s, struct sh_link *l, unsigned act);
void sh_link_unact(struct sh_link *l, unsigned act);
/* code: for the goodbye.   err, why: for who is told. */
void sh_link_die(struct sh_swarm *s, struct sh_link *l, uint32_t code, int err, const char *why);
void sh_link_finish(struct sh_swarm *s, struct sh_link *l); /* DEAD and all is told */
void sh_link_flush(struct sh_swarm *s, struct sh_link *l);
void sh_link_alarm(struct sh_swarm *s, struct sh_link *l);
void sh_link_free(struct sh_swarm *s, struct sh_link *l);
struct sh_link *sh_peer_link(const struct sh_peer *p); /* the oldest; NULL: not connected */
void sh_text_copy(char *out, size_t cap, const char *text);

#endif
