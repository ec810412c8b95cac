/* swarm/lookup.h - one iterative Kademlia query, as a pure object.
 *
 * Shape    candidates in order of distance to the target. The owner says whom it knows (seed), asks whom to ask
 *          (next), tells what came of it (on_reply, on_fail) and adds the peers that a reply named (add).
 * Paths    the seeds are dealt out to up to four paths; who is named by a peer of a path belongs to that path, and a
 *          peer is asked by one path only. Places, requests and what is in flight are shared out to the paths, so
 *          liars use up the path they are on. Named again by another path, a failed peer gets a second try there: a
 *          liar cannot spoil a peer by telling a wrong address first.
 * Rule     it is over when the k closest candidates of all have answered, and of each path the k / 4 closest, those
 *          left out that have failed, are slow, or lie on a path whose requests are used up; or when nobody is left.
 *          At most alpha requests count as in flight; a request older than slow_us no longer counts, so silent
 *          peers cost time once, not alpha times. A late answer is still welcome.
 * Bounds   SH_LOOKUP_NODES_MAX candidates: the farthest one of the path not yet asked leaves first.
 *          SH_LOOKUP_ASKED_MAX requests: peers that name ever closer peers of their own invention cannot prolong
 *          it beyond that.
 * Units    absolute microseconds. */
#ifndef SH_SWARM_LOOKUP_H
#define SH_SWARM_LOOKUP_H

#include "base/sh_limits.h"
#include "base/span.h"

enum sh_lookup_state {
    SH_LOOKUP_NEW,
    SH_LOOKUP_ASKED,
    SH_LOOKUP_SLOW,
    SH_LOOKUP_ANSWERED,
    SH_LOOKUP_FAILED,
};

struct sh_lookup_node {
    uint8_t key[32];
    uint32_t tag;
    enum sh_lookup_state state;
    uint8_t path;
    uint8_t tried; /* bit p: path p has it, or had it and failed */
    uint64_t asked_us;
};

struct sh_lookup_path {
    unsigned count; /* of its candidates */
    unsigned in_flight;
    unsigned asked;
};

typedef struct sh_lookup {
    uint8_t target[32];
    uint32_t self; /* tag that is never a candidate */
    unsigned k;
    unsigned alpha;
    unsigned count; /* nodes[0..count), nearest first */
    unsigned in_flight;
    unsigned asked; /* requests made so far */
    unsigned answered;
    unsigned paths; /* in use: as many as there were seeds, at most SH_LOOKUP_PATHS */
    unsigned seeds;
    struct sh_lookup_path path[SH_LOOKUP_PATHS];
    uint64_t slow_us;
    struct sh_lookup_node nodes[SH_LOOKUP_NODES_MAX];
} sh_lookup;

enum { SH_LOOKUP_NOBODY = UINT32_MAX };

void sh_lookup_init(sh_lookup *l, const uint8_t target[32], uint32_t self);
/* Somebody known before the first request, nearest first. True: it is a candidate now. */
bool sh_lookup_seed(sh_lookup *l, const uint8_t key[32], uint32_t tag);
/* Named by the candidate `by`. True if it is a candidate now and was not before. *dropped: the tag that left for it,
 * or SH_LOOKUP_NOBODY. */
bool sh_lookup_add(sh_lookup *l, uint32_t by, const uint8_t key[32], uint32_t tag,
                   uint32_t *dropped);
/* Whom to ask now; false: nobody for the moment. */
bool sh_lookup_next(sh_lookup *l, uint64_t now_us, uint32_t *tag);
void sh_lookup_on_reply(sh_lookup *l, uint32_t tag);
void sh_lookup_on_fail(sh_lookup *l, uint32_t tag);
void sh_lookup_tick(sh_lookup *l, uint64_t now_us); /* marks slow ones; then ask next again */
uint64_t
sh_lookup_deadline(const sh_lookup *l); /* when tick changes something; UINT64_MAX: never */
bool sh_lookup_finished(const sh_lookup *l);
/* The path of a candidate; SH_LOOKUP_PATHS: it is none. */
unsigned sh_lookup_path_of(const sh_lookup *l, uint32_t tag);
/* The closest that answered, nearest first; returns how many, at most n. */
unsigned sh_lookup_closest(const sh_lookup *l, uint32_t *tags, unsigned n);

#endif
