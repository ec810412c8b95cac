/* swarm/kbucket.h - the routing table: 256 buckets of at most k peers by common prefix with our own key.
 *
 * Shape    pure; a peer is a tag (its index in the peer table) and a 32-byte key. Buckets are made on first use.
 * Rule     inside a bucket the least recently seen peer comes first. Who comes to a full bucket waits in its
 *          replacement list, from which the youngest connected one moves up when a place becomes free. The least
 *          recently seen peer that is not connected is named to the caller, to be asked: it stays if it answers
 *          (insert), else it makes room (remove). So a flood of ids cannot push out who answers.
 * Memory   at most 256 buckets of cfg mem.  Order  everything by position: the same calls give the same answers. */
#ifndef SH_SWARM_KBUCKET_H
#define SH_SWARM_KBUCKET_H

#include "base/mem.h"
#include "base/sh_limits.h"
#include "base/span.h"

enum { SH_KBUCKETS = 256, SH_KBUCKET_SPARES = 8 };

struct sh_kentry {
    uint8_t key[32];
    uint32_t tag;
    bool connected;
    bool doubted; /* the caller is asking it whether it is still there */
};

struct sh_kbucket {
    uint8_t count;
    uint8_t spare_count;
    struct sh_kentry at[SH_KAD_K];             /* least recently seen first */
    struct sh_kentry spare[SH_KBUCKET_SPARES]; /* oldest first */
};

typedef struct sh_ktable {
    const sh_mem *mem;
    uint8_t self[32];
    uint32_t count; /* entries in all buckets, spares not counted */
    struct sh_kbucket *buckets[SH_KBUCKETS];
} sh_ktable;

enum { SH_KTAG_NONE = UINT32_MAX };

/* What an insertion did; tags that left the table (or were never let in) are the caller's to forget. */
enum sh_kinsert { SH_KIN_ADDED, SH_KIN_KNOWN, SH_KIN_SPARE, SH_KIN_REFUSED };

void sh_ktable_init(sh_ktable *t, const sh_mem *mem, const uint8_t self[32]);
void sh_ktable_fini(sh_ktable *t);
/* dropped: the tag that had to leave the replacement list for it, or SH_KTAG_NONE. */
enum sh_kinsert sh_ktable_insert(sh_ktable *t, const uint8_t key[32], uint32_t tag, bool connected,
                                 uint32_t *dropped);
/* Whom to ask whether it is still there, for the sake of those who wait beside key's bucket: one at a time. It counts
 * as asked until insert, set_connected or remove says what came of it. SH_KTAG_NONE: nobody. */
uint32_t sh_ktable_doubt(sh_ktable *t, const uint8_t key[32]);
void sh_ktable_set_connected(sh_ktable *t, const uint8_t key[32], uint32_t tag, bool connected);
/* Takes it out (bucket or replacement list); true if it was there. */
bool sh_ktable_remove(sh_ktable *t, const uint8_t key[32], uint32_t tag);
/* The n closest to target, nearest first, skip left out; returns how many. */
unsigned sh_ktable_closest(const sh_ktable *t, const uint8_t target[32], uint32_t skip,
                           uint32_t *tags, unsigned n);
/* The i-th entry in order of buckets; NULL past the end. */
const struct sh_kentry *sh_ktable_at(const sh_ktable *t, size_t i, uint32_t *bucket);

/* Bits two keys have in common at their start, 0..256. */
unsigned sh_kprefix(const uint8_t a[32], const uint8_t b[32]);
/* < 0: a is closer to target than b. */
int sh_kcloser(const uint8_t target[32], const uint8_t a[32], const uint8_t b[32]);

#endif
