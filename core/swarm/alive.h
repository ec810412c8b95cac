/* swarm/alive.h - is a connected peer still there?
 *
 * Rule     any byte is life. A peer silent for a while is pinged by the muxer; silence for peer_timeout (held peers;
 *          three times as long for others) ends the connection. Time in which this node itself stood still counts
 *          for nobody: the silence timers start again. */
#ifndef SH_SWARM_ALIVE_H
#define SH_SWARM_ALIVE_H

#include "swarm/internal.h"

/* The answer to a ping came. A round trip far above the others may have been a stall, and no ping is sent while bytes
 * come: it is measured once more before it is believed for long. */
void sh_alive_pong(struct sh_swarm *s, struct sh_swarm_conn *c, uint64_t rtt_us);
uint64_t
sh_alive_check(struct sh_swarm *s,
               struct sh_swarm_conn *c); /* for a connection that is UP: when to look again */
void sh_alive_clock(struct sh_swarm *s,
                    uint64_t now_us); /* first thing in every call that knows the time */

#endif
