/* swarm/conns.h - connections: their life from dial or accept to the last byte.
 *
 * Shape    DIALLING (driver opens a pipe) -> SECURING (handshake) -> UP -> DEAD (streams are being ended)
 *          -> CLOSING (last bytes leave) -> freed. One that never came up skips DEAD.
 * Rule     sh_conns_die is the only way out; it may free it when nothing has to be told. */
#ifndef SH_SWARM_CONNS_H
#define SH_SWARM_CONNS_H

#include "swarm/internal.h"

sh_addr sh_conns_addr(const struct sh_swarm_conn *c); /* as dialled, or accepted from */
struct sh_swarm_conn *sh_conns_at(const struct sh_swarm *s, sh_conn_id id);
/* One that the driver will be asked to dial: 0, SH_E_LIMIT, SH_E_NOMEM. */
int sh_conns_dial(struct sh_swarm *s, const sh_addr *addr, struct sh_peer *target,
                  struct sh_dial_addr *dial_addr);
int sh_conns_accept(struct sh_swarm *s, const sh_addr *remote, struct sh_swarm_conn **out);
int sh_conns_secure(struct sh_swarm *s,
                    struct sh_swarm_conn *c); /* the pipe is there: starts the handshake */
void sh_conns_up(struct sh_swarm *s, struct sh_swarm_conn *c, const sh_peer_id *id);
void sh_conns_touch(struct sh_swarm *s,
                    struct sh_swarm_conn *c); /* flush it at the end of the turn */
void sh_conns_ready(struct sh_swarm *s, struct sh_swarm_conn *c); /* it may have events */
void sh_conns_act(struct sh_swarm *s, struct sh_swarm_conn *c, unsigned act);
void sh_conns_unact(struct sh_swarm_conn *c, unsigned act);
/* code: for the goodbye.   err, why: for who is told. */
void sh_conns_die(struct sh_swarm *s, struct sh_swarm_conn *c, uint32_t code, int err,
                  const char *why);
void sh_conns_finish(struct sh_swarm *s, struct sh_swarm_conn *c); /* DEAD and all is told */
void sh_conns_flush(struct sh_swarm *s, struct sh_swarm_conn *c);
void sh_conns_alarm(struct sh_swarm *s, struct sh_swarm_conn *c);
void sh_conns_free(struct sh_swarm *s, struct sh_swarm_conn *c);
struct sh_swarm_conn *sh_peer_conn(const struct sh_peer *p); /* the oldest; NULL: not connected */

#endif
