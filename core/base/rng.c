/* base/rng.c - numbers from a source of bytes, and a seeded source. */
#include "base/rng.h"

#include <string.h>

#include "base/sh_assert.h"
#include "base/span.h"

bool sh_rng_fill(const sh_rng *rng, void *out, size_t n)
{
    if (rng->fill(rng->ud, out, n)) {
        return true;
    }
    memset(out, 0, n);
    return false;
}

uint64_t sh_rng_u64(const sh_rng *rng)
{
    uint8_t b[8];
    (void)sh_rng_fill(rng, b, sizeof b);
    return sh_load_u64le(b);
}

uint64_t sh_rng_below(const sh_rng *rng, uint64_t n)
{
    SH_ASSERT(n > 0);
    uint64_t biased = (0 - n) % n; /* 2^64 mod n: the lowest values would come once too often */
    uint64_t v = sh_rng_u64(rng);
    while (v < biased) {
        v = sh_rng_u64(rng);
    }
    return v % n;
}

static uint64_t rotl(uint64_t v, unsigned n)
{
    return (v << n) | (v >> (64 - n));
}

static uint64_t xoshiro_next(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static bool seeded_fill(void *ud, void *out, size_t n)
{
    sh_rng_seeded *state = ud;
    uint8_t *at = out;
    while (n) {
        uint8_t word[8];
        size_t take = n < sizeof word ? n : sizeof word;
        sh_store_u64le(word, xoshiro_next(state->s));
        memcpy(at, word, take);
        at += take;
        n -= take;
    }
    return true;
}

sh_rng sh_rng_seeded_init(sh_rng_seeded *state, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64: any seed gives a state that is not all zero */
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        state->s[i] = z ^ (z >> 31);
    }
    return (sh_rng){seeded_fill, state};
}
