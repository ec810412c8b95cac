/* tests/sim/hops.h - how far and with how many requests a look-up goes; one at a time. */
#ifndef SHOAL_TEST_SIM_HOPS_H
#define SHOAL_TEST_SIM_HOPS_H

#include <stdbool.h>
#include <stdint.h>

struct hops {
    unsigned p50, p90; /* 1: one of the peers the asker knew told the holder; 0: it knew itself */
    double mean;
    double messages; /* requests a look-up, mean: GET_PROVIDERS, and GET_VALUE to the holder */
    uint64_t lookups;
};

void hops_begin(void); /* from now on look-ups are counted */
void hops_next(void);  /* the next one begins */
void hops_end(struct hops *out);

#endif
