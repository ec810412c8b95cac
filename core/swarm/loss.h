/* swarm/loss.h - the rules of death: when a held peer without a connection is lost.
 *
 * Rules    It is lost when all addresses it was ever reached at refuse; or when nothing accepted and it is not back
 *          within the grace (4 RTT if that is longer); or, something having accepted, after peer_timeout. Told once;
 *          dialling goes on.
 * Note     "refuse" is SH_E_REFUSED of dial_failed; another peer answering at the address counts as the same. */
#ifndef SH_SWARM_LOSS_H
#define SH_SWARM_LOSS_H

#include "swarm/internal.h"

void sh_loss_judge(struct sh_swarm *s, struct sh_peer *p); /* tells it if it is certain by now */
/* When the loss of p is certain if nothing else happens. */
uint64_t sh_loss_deadline(const struct sh_swarm *s, const struct sh_peer *p);
void sh_loss_tell(struct sh_swarm *s, struct sh_peer *p, const char *why);

#endif
