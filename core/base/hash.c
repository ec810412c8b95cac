/* base/hash.c - SipHash-1-3 for bytes, a seeded mixer for numbers, FNV-1a for digests. */
#include "base/hash.h"

static uint64_t rotl(uint64_t v, unsigned n)
{
    return (v << n) | (v >> (64 - n));
}

/* The finaliser of splitmix64: every output bit depends on every input bit. */
static uint64_t mix(uint64_t v)
{
    v ^= v >> 30;
    v *= UINT64_C(0xbf58476d1ce4e5b9);
    v ^= v >> 27;
    v *= UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

uint64_t sh_hash_u64(uint64_t seed, uint64_t v)
{
    /* Two rounds with the seed between: one alone keeps differences a peer could choose. */
    return mix(mix(v ^ seed) + rotl(seed, 32) * UINT64_C(0x9e3779b97f4a7c15));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t sh_hash_bytes(uint64_t seed, sh_span s)
{
    uint64_t k1 = mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    uint64_t v[4] = {UINT64_C(0x736f6d6570736575) ^ seed, UINT64_C(0x646f72616e646f6d) ^ k1,
                     UINT64_C(0x6c7967656e657261) ^ seed, UINT64_C(0x7465646279746573) ^ k1};
    uint64_t last = (uint64_t)s.n << 56;
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {
        sip_word(v, sh_load_u64le(s.p + i));
    }
    for (unsigned shift = 0; i < s.n; i++, shift += 8) {
        last |= (uint64_t)s.p[i] << shift;
    }
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t sh_fnv1a64(uint64_t hash, sh_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        hash = (hash ^ s.p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}
