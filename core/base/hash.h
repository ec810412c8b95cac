/* base/hash.h - seeded hashing for tables; not for secrets.
 *
 * Shape    pure functions. Bytes: SipHash-1-3 keyed by the seed. Numbers: two seeded mixing rounds.
 * Rule     the seed is random per node, so a peer cannot aim at one bucket; results never leave it. */
#ifndef SH_BASE_HASH_H
#define SH_BASE_HASH_H

#include "base/span.h"

uint64_t sh_hash_bytes(uint64_t seed, sh_span s);
uint64_t sh_hash_u64(uint64_t seed, uint64_t v);

/* FNV-1a, unseeded: stable digests of traces, never for tables. Start with SH_FNV_START. */
#define SH_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t sh_fnv1a64(uint64_t hash, sh_span s);

#endif
