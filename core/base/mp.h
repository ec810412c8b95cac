/* base/mp.h - walks a MessagePack value before anything else reads it.
 *
 * Shape    pure functions, iterative, with an explicit stack of SH_MP_DEPTH_MAX levels.
 * Input    a peer's bytes.      Output  yes or no; where the refs are.
 * Accepts  exactly one value: lengths within the bytes, text valid UTF-8, map keys text or integer,
 *          the only extension type is 1, a ref: u64 LE actor + peer id multihash of 34..42 bytes
 *          (identity or sha2-256). An empty span is not a value (the wire's empty = nil is the
 *          caller's rule).
 * Spec     github.com/msgpack/msgpack spec.md */
#ifndef SH_BASE_MP_H
#define SH_BASE_MP_H

#include "base/sh_limits.h"
#include "base/span.h"

enum { SH_MP_EXT_REF = 1, SH_MP_REF_MIN = 42, SH_MP_REF_MAX = 50 };

/* What the value's leading byte says of a value that is whole with it and so many bytes behind it: its length; 0:
 * not of that sort. */
extern const uint8_t sh_mp_plain_bytes[256];

/* nil, bools, numbers and empty text: fit, without a walk. False for anything else, fit or not. */
static inline bool sh_mp_is_plain(sh_span value)
{
    return value.n > 0 && sh_mp_plain_bytes[value.p[0]] == value.n;
}

/* 0, or SH_E_BAD_VALUE.
 *   depth_max  lists and maps inside each other, <= SH_MP_DEPTH_MAX
 *   bad_at     out, may be NULL: offset of the element that is wrong (n: the value is cut short) */
int sh_mp_check(sh_span value, uint32_t depth_max, size_t *bad_at);

/* Length in bytes of the first value of s, by the same rules and depth; SH_E_BAD_VALUE. */
int64_t sh_mp_skip(sh_span s);

/* Walks the refs of a value. For checked values; on others it ends early, but stays in bounds. */
typedef struct sh_mp_refs {
    sh_span value;
    size_t at; /* next byte to look at */
} sh_mp_refs;

static inline sh_mp_refs sh_mp_refs_of(sh_span value)
{
    return (sh_mp_refs){value, 0};
}

/* The next ref: *payload is actor (8 bytes LE) and peer id, inside the value; false: no more. */
bool sh_mp_refs_next(sh_mp_refs *it, sh_span *payload);

#endif
