/* node/drain.h - the order of a graceful stop: which step comes next, and when time is over.
 *
 * Shape    pure: the node says what is true, the drain says what to do; no side effects here.
 * Steps    doors (listeners) shut, actors stop -> goodbye to sessions, names withdrawn, what is owed leaves ->
 *          connections end -> stopped. At the deadline it goes to the end at once. */
#ifndef SH_NODE_DRAIN_H
#define SH_NODE_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum sh_drain_step {
    SH_DRAIN_NONE,    /* not stopping */
    SH_DRAIN_ACTORS,  /* doors are shut; waits until no actor runs */
    SH_DRAIN_GOODBYE, /* waits until sessions have let go */
    SH_DRAIN_CONNS,   /* waits until every pipe is closed */
    SH_DRAIN_STOPPED,
};

struct sh_drain {
    enum sh_drain_step step;
    bool late; /* the deadline came first */
    uint64_t deadline_us;
};

/* Begins, or shortens the deadline of one that has begun. True: it has begun just now. */
bool sh_drain_begin(struct sh_drain *d, uint64_t deadline_us);

struct sh_drain_facts {
    uint32_t actors; /* running */
    bool sessions;   /* some session is not done */
    uint32_t conns;  /* open pipes */
};
/* The step to enter now, or the one it is in. Call until it no longer changes. */
enum sh_drain_step sh_drain_next(struct sh_drain *d, const struct sh_drain_facts *f,
                                 uint64_t now_us);

/* When to call sh_drain_next although nothing happened. */
uint64_t sh_drain_deadline(const struct sh_drain *d);

#endif
