/* base/rng.h - randomness as an argument.
 *
 * Shape    one function that fills bytes: the system's entropy in io, a seed in the simulator.
 * Errors   false: the source failed, the bytes are zero. What becomes a key or a nonce comes from sh_rng_fill alone,
 *          and who asked for it gives up.
 * Threads  as the source behind it; a seeded one is confined. */
#ifndef SH_BASE_RNG_H
#define SH_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sh_rng {
    bool (*fill)(void *ud, void *out, size_t n);
    void *ud;
} sh_rng;

bool sh_rng_fill(const sh_rng *rng, void *out, size_t n);

/* For tags, seeds of tables, jitter: not secret, so a source that failed gives 0. */
uint64_t sh_rng_u64(const sh_rng *rng);

/* Unbiased, in [0, n); n > 0. */
uint64_t sh_rng_below(const sh_rng *rng, uint64_t n);

/* xoshiro256** started from a u64: the same on every compiler and machine. Not for secrets. */
typedef struct sh_rng_seeded {
    uint64_t s[4];
} sh_rng_seeded;

/* The result points at state, which must outlive it and not move. */
sh_rng sh_rng_seeded_init(sh_rng_seeded *state, uint64_t seed);

#endif
