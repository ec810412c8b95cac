/* tests/sim/crowd.h - a simulated swarm in which every node holds one name, for scenarios that count look-ups. */
#ifndef SHOAL_TEST_SIM_CROWD_H
#define SHOAL_TEST_SIM_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/sim.h"

enum { CROWD_MAX = 10240, CROWD_SECOND = 1000000 };

struct member {
    bool alive;
    bool liar;
    bool named; /* its registration was confirmed */
    sh_pid pid;
    sh_peer_id id;
};

struct crowd {
    sh_sim *sim;
    const sh_rng *rng;
    unsigned count;
    unsigned known; /* nodes each one dials at its start */
    struct member *member;
    /* look-ups */
    uint64_t asked, found, wrong, missed;
    uint64_t *took_us; /* of those found, for percentiles */
    uint64_t took_cap;
    unsigned open;
};

/* Starts count nodes, each of which dials `known` earlier ones, the first an honest one; liar(i): whether node i is a
 * liar. NULL: cannot. */
struct crowd *crowd_new(uint64_t seed, unsigned count, unsigned known,
                        bool (*liar)(const struct crowd *c, unsigned i));
void crowd_free(struct crowd *c);
void crowd_pass(struct crowd *c, uint64_t us);
/* Registers "name-<i>" of every honest member (again: one that is so already stays). */
void crowd_register(struct crowd *c, unsigned from, unsigned to);
/* Kills without a word to anybody. */
void crowd_vanish(struct crowd *c, unsigned i);
/* One look-up by an honest live member for the name of another. False: it could not begin. */
bool crowd_lookup(struct crowd *c, unsigned asker, unsigned holder, uint64_t timeout_us);
/* n look-ups at random, one every gap_us, and then as long as they need; timeout_us 0: one pass, no second try. */
void crowd_lookups(struct crowd *c, uint64_t n, uint64_t gap_us, uint64_t timeout_us);
/* Some honest live member, not `but`. */
unsigned crowd_some(struct crowd *c, unsigned but);
uint64_t crowd_percentile(struct crowd *c, unsigned percent); /* of took_us; 0: none */

#endif
