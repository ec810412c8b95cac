/* tests/sim/scenario.h - swarms under one great fault, with a bound that fails the run. */
#ifndef SHOAL_TEST_SIM_SCENARIO_H
#define SHOAL_TEST_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct scenario_options {
    unsigned nodes;   /* 0: as many as its bound is for */
    uint64_t lookups; /* 0: likewise */
    bool json;        /* hops: one object a line */
};

struct scenario {
    const char *name;
    const char *what;
    bool (*run)(uint64_t seed, const struct scenario_options *o, FILE *out);
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
