/* tests/fuzz/fuzz_varint.c - bytes as an unsigned varint: what is read is written back to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t v = 0;
    uint8_t again[SH_UVARINT_MAX];
    int n = sh_uvarint_get(sh_span_of(data, size), &v);
    if (n > 0) {
        must((size_t)n <= size && n <= SH_UVARINT_MAX && v <= SH_UVARINT_VALUE_MAX);
        must(sh_uvarint_size(v) == n && sh_uvarint_put(again, v) == n &&
             memcmp(again, data, (size_t)n) == 0);
        for (int cut = 0; cut < n; cut++) {
            must(sh_uvarint_get(sh_span_of(data, (size_t)cut), &v) == SH_E_MORE);
        }
    } else {
        must(n == SH_E_PROTO || (n == SH_E_MORE && size < SH_UVARINT_MAX));
    }
    memcpy(&v, data, size < sizeof v ? size : sizeof v); /* the other way round */
    n = sh_uvarint_put(again, v);
    must(n == (v > SH_UVARINT_VALUE_MAX ? SH_E_BAD_VALUE : sh_uvarint_size(v)));
    uint64_t back = 0;
    must(n < 0 || (sh_uvarint_get(sh_span_of(again, (size_t)n), &back) == n && back == v));
    return 0;
}
