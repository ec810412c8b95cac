/* tests/fuzz/fuzz_frame.c - bytes as a native stream: cut into frames and decoded; two splits must agree. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proto/frame.h"
#include "proto/frame_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LENGTH_MAX = 1 << 16, QUOTA = 1 << 17 };

static uint64_t digest(const uint8_t *data, size_t size, size_t step)
{
    sh_quota quota;
    sh_quota_init(&quota, NULL, QUOTA);
    sh_frame_reader r;
    sh_frame_reader_init(&r, sh_mem_system(), &quota, LENGTH_MAX);
    uint64_t hash = SH_FNV_START;
    for (size_t at = 0; at < size && !r.err; at += step) {
        sh_span in = sh_span_take(sh_span_of(data + at, size - at), step), body;
        while (sh_frame_reader_next(&r, &in, &body) == 1) {
            struct sh_frame f;
            uint8_t result = (uint8_t)(1 + sh_frame_decode(body, &f));
            hash = sh_fnv1a64(hash, body);
            hash = sh_fnv1a64(hash, sh_span_of(&result, 1));
            uint8_t again[LENGTH_MAX + 64];
            if (result == 1) {
                int n = sh_frame_put(&f, again, sizeof again); /* what was read can be written */
                if (n < 0) {
                    abort();
                }
            }
        }
    }
    sh_frame_reader_fini(&r);
    if (quota.used != 0) {
        abort();
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (digest(data, size, size ? size : 1) != digest(data, size, 3)) {
        abort();
    }
    return 0;
}
