/* swarm/gater.h - libp2p's connection gater: who may begin a handshake, before anything is paid for a stranger, and who
 * may stay after it.
 *
 * Shape    two token buckets, one for all and one for each address (of a fixed table, by a keyed hash), and places for connections not
 *          yet authenticated: of an address, of its network (/24, /48), in all. When all are taken, the oldest that has had
 *          SH_CONNS_PENDING_GRACE_MS makes room.
 *          After the handshake the peer is known: the allow list says whether it may stay.
 * Memory   fixed, and a copy of the allow list.   Threads  confined. */
#ifndef SH_SWARM_GATER_H
#define SH_SWARM_GATER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sh_limits.h"
#include "crypto/peer_id.h"
#include "proto/addr.h"

struct sh_swarm;
struct sh_swarm_config;

struct sh_gater_bucket {
    uint64_t since_us; /* tokens are counted from here; 0: full */
    uint32_t tokens;
};

typedef struct sh_gater {
    uint64_t seed;
    struct sh_gater_bucket all;
    struct sh_gater_bucket of_addr[SH_GATER_ADDRS];
} sh_gater;

int sh_gater_init(struct sh_swarm *s, const struct sh_swarm_config *cfg);
void sh_gater_fini(struct sh_swarm *s);

/* 0: it may begin; SH_E_LIMIT: not now. Takes the tokens; may end another pending connection for it. */
int sh_gater_pass(struct sh_swarm *s, const sh_addr *remote);

bool sh_gater_allows(const struct sh_swarm *s, const sh_peer_id *id); /* by the allow list */

#endif
