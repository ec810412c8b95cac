/* tests/fuzz/fuzz_addr.c - bytes as a binary multiaddr and as text: what is accepted survives a
 * round trip. */
#include <stdlib.h>

#include "proto/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const sh_addr *a)
{
    char text[SH_ADDR_TEXT_MAX];
    sh_addr again;
    struct sh_endpoint endpoint;
    sh_addr_endpoint(a, &endpoint);
    sh_addr_is_loopback(a);
    sh_addr_is_unspecified(a);
    int n = sh_addr_text(a, text, sizeof text);
    if (n == SH_E_LIMIT) {
        return;
    }
    if (n <= 0 || sh_addr_parse(&again, text, (size_t)n) != 0 || !sh_addr_eq(a, &again)) {
        abort();
    }
    sh_addr_strip_peer(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sh_addr a;
    if (sh_addr_from_bytes(&a, sh_span_of(data, size)) == 0) {
        check(&a);
    }
    if (sh_addr_parse(&a, (const char *)data, size) == 0) {
        check(&a);
    }
    return 0;
}
