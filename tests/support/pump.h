/* tests/support/pump.h - joins two connections until both are quiet; the pipe splits as the seed
 * decides. */
#ifndef SH_TESTS_PUMP_H
#define SH_TESTS_PUMP_H

#include "base/rng.h"
#include "proto/conn.h"

enum pump_split { PUMP_WHOLE, PUMP_BYTES, PUMP_RANDOM };

struct pump {
    sh_conn *side[2];
    sh_rng *rng;
    enum pump_split split;
    uint64_t now_us;
    uint64_t delay_us; /* added to now_us by every round that moved bytes */
    bool deaf[2];      /* this side's pipe takes no bytes from its peer */
    size_t moved;      /* bytes in all */
    void (*event)(void *ud, unsigned side,
                  const struct sh_conn_ev *ev); /* NULL: DATA is credited, rest dropped */
    void *ud;
};

/* Takes the events of one side, then flushes it. */
void pump_events(struct pump *p, unsigned side);
/* Moves bytes and takes events until nothing moves any more. */
void pump_run(struct pump *p);
/* Feeds raw bytes to one side, split as the pump says, taking events in between. */
void pump_feed(struct pump *p, unsigned side, sh_span bytes);

#endif
