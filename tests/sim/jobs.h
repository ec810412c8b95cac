/* tests/sim/jobs.h - seeds shared out to worker processes; their output comes in order of the seeds. */
#ifndef SHOAL_TEST_SIM_JOBS_H
#define SHOAL_TEST_SIM_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Runs one seed and prints what there is to say to out; false: it failed. */
typedef bool jobs_fn(uint64_t seed, const void *ud, FILE *out);

struct jobs {
    unsigned workers; /* 1: no other process, for debuggers */
    uint64_t first, count;
    jobs_fn *fn;
    const void *ud;
    const char *what; /* of the progress line: "seeds of 30 nodes" */
};

/* Returns how many seeds failed. A worker that dies counts as a failure of its seed; the others go on. */
uint64_t jobs_run(const struct jobs *j);

#endif
