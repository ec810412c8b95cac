/* swarm/dial.h - which peer is dialled when: jobs per peer, re-dials.
 *
 * Shape    a job tries the addresses of one peer, best first, up to SH_DIALS_PER_PEER_MAX at once, a little apart.
 *          A dial of one address, by the user, once or for good, is in dial_addr.h.
 * Rules    An address that fails is left alone for 5 s + tries^2 (at most 5 min) by all but the user's wishes.
 *          A held peer whose last connection went is re-dialled at once at all its addresses, again and again while
 *          its loss is judged (loss.h), then with back-off. */
#ifndef SH_SWARM_DIAL_H
#define SH_SWARM_DIAL_H

#include "swarm/internal.h"

void sh_dial_try(struct sh_swarm *s, struct sh_peer *p);      /* for the DHT: back-off holds */
void sh_dial_up(struct sh_swarm *s, struct sh_swarm_conn *c); /* c->peer is secured */
void sh_dial_over(struct sh_swarm *s, struct sh_swarm_conn *c,
                  bool accepted); /* a dial failed: c->err, c->why */
void sh_dial_accepted(struct sh_swarm *s, struct sh_swarm_conn *c); /* its pipe is up */
void sh_dial_down(struct sh_swarm *s, struct sh_peer *p, bool silent, const char *why);
void sh_dial_searched(struct sh_swarm *s,
                      struct sh_peer *p); /* FIND_NODE on its behalf has ended */
void sh_dial_learnt(struct sh_swarm *s,
                    struct sh_peer *p); /* an address was added: a running job tries it too */
void sh_dial_peer_alarm(struct sh_swarm *s, struct sh_peer *p);
bool sh_dial_peer_note(struct sh_swarm *s, struct sh_peer *p, struct sh_swarm_event *ev);
bool sh_dial_failure(struct sh_swarm *s, struct sh_swarm_event *ev);

#endif
