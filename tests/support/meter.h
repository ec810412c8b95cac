/* tests/support/meter.h - a node's allocator that counts, checks the sizes it is told, and refuses from the k-th allocation on. */
#ifndef TESTS_METER_H
#define TESTS_METER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define METER_FOR_EVER ULONG_MAX

struct meter {
    size_t live, blocks;
    unsigned long asked;    /* allocations since it was armed */
    unsigned long fail_at;  /* the first that is refused; 0: none */
    unsigned long fail_for; /* so many in a row */
    bool armed;
    unsigned long refused;
};

/* The resize of a node; ud is its struct meter. One thread at a time. */
void *meter_resize(void *ud, void *ptr, size_t old_size, size_t new_size);
void meter_arm(struct meter *m, unsigned long fail_at, unsigned long fail_for);
void meter_disarm(struct meter *m);

#endif
