/* tests/fuzz/fuzz_mp.c - bytes as a MessagePack value: the check, the skip and the walk over refs must agree. */
#include <stdlib.h>

#include "base/mp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Refs lie inside the value and have the length of one; of a checked value they also fit beside each other. */
static void walk_refs(sh_span value, bool checked)
{
    sh_mp_refs refs = sh_mp_refs_of(value);
    sh_span payload;
    size_t count = 0, end = 0;
    while (sh_mp_refs_next(&refs, &payload)) {
        size_t at = (size_t)(payload.p - value.p);
        must(payload.p >= value.p && at <= value.n && payload.n <= value.n - at);
        must(payload.n >= SH_MP_REF_MIN && payload.n <= SH_MP_REF_MAX);
        must(at >= end); /* forward only: it ends */
        end = at + payload.n;
        count++;
    }
    must(!checked || count <= value.n / SH_MP_REF_MIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sh_span all = sh_span_of(data, size);
    size_t bad_at = 0;
    bool good = sh_mp_check(all, SH_MP_DEPTH_MAX, &bad_at) == 0;
    must(good || bad_at <= size);
    int64_t first = sh_mp_skip(all);
    must(first < 0 || (first > 0 && (size_t)first <= size));
    must(good == (first > 0 && (size_t)first == size));
    if (first > 0) {
        must(sh_mp_check(sh_span_of(data, (size_t)first), SH_MP_DEPTH_MAX, NULL) == 0);
        must(sh_mp_check(sh_span_of(data, (size_t)first - 1), SH_MP_DEPTH_MAX, NULL) < 0);
    }
    bool deeper = false; /* what fits in a depth fits in any larger one */
    for (uint32_t depth = 0; depth <= SH_MP_DEPTH_MAX; depth++) {
        bool fits = sh_mp_check(all, depth, NULL) == 0;
        must(fits || !deeper);
        deeper = fits;
    }
    must(deeper == good);
    walk_refs(all, good);
    return 0;
}
