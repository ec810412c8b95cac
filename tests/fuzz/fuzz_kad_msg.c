/* Any bytes as a Kademlia message: decoded within its memory, and what is accepted can be written and read again. */
#include <stdlib.h>

#include "base/sh_limits.h"
#include "base/varint.h"
#include "proto/kad_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[SH_KAD_MESSAGE_MAX + SH_UVARINT_MAX];
    struct sh_kad_msg m, again;
    if (sh_kad_msg_decode(sh_mem_system(), sh_span_of(data, size), &m) != 0) {
        return 0;
    }
    int n = sh_kad_msg_encode(&m, buf, sizeof buf);
    uint64_t len;
    int prefix = n > 0 ? sh_uvarint_get(sh_span_of(buf, (size_t)n), &len) : 0;
    if (n > 0) {
        if (prefix <= 0 ||
            sh_kad_msg_decode(sh_mem_system(), sh_span_of(buf + prefix, (size_t)len), &again) !=
                0 ||
            again.type != m.type || !sh_span_eq(again.key, m.key)) {
            abort();
        }
        sh_kad_msg_free(sh_mem_system(), &again);
    }
    sh_kad_msg_free(sh_mem_system(), &m);
    return 0;
}
