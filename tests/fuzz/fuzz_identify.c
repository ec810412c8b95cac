/* Any bytes as identify messages, cut in two and merged; what came out is kept within its bounds. */
#include <stdlib.h>

#include "proto/identify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0",
                                        "/kameo/registry/1.0.0"};
    static sh_identify id;
    memset(&id, 0, sizeof id);
    size_t cut = size > 0 ? data[0] * size / 256 : 0;
    sh_identify_decode(sh_mem_system(), sh_span_of(data, size), known, 3, &id);
    sh_identify_decode(sh_mem_system(), sh_span_of(data, cut), known, 3, &id);
    sh_identify_decode(sh_mem_system(), sh_span_of(data + cut, size - cut), known, 3, &id);
    if (id.addr_count > SH_IDENTIFY_ADDRS_MAX || id.spoken > 7 ||
        memchr(id.agent, 0, sizeof id.agent) == NULL) {
        abort();
    }
    for (unsigned i = 0; i < id.addr_count; i++) {
        sh_addr again;
        if (sh_addr_from_bytes(&again, sh_span_of(id.addrs[i].b, id.addrs[i].n)) != 0) {
            abort();
        }
    }
    return 0;
}
