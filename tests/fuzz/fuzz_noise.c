/* tests/fuzz/fuzz_noise.c - bytes as a handshake message of either side, and as a handshake
 * payload. */
#include <stdlib.h>

#include "base/sh_limits.h"
#include "proto/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(const uint8_t *data, size_t size, bool initiator)
{
    static uint8_t buf[SH_NOISE_MESSAGE_MAX];
    uint8_t ephemeral[32] = {3}, out[256];
    sh_noise_static ns = {.secret = {1}, .public_key = {2}};
    sh_noise x;
    sh_span payload;
    size = size < sizeof buf ? size : sizeof buf;
    memcpy(buf, data, size);
    if (sh_noise_init(&x, initiator, &ns, ephemeral, sh_span_none()) < 0) {
        return;
    }
    if (initiator && sh_noise_write(&x, sh_span_none(), out, sizeof out) < 0) {
        abort();
    }
    if (sh_noise_read(&x, buf, size, &payload) == 0 && payload.n > 0 &&
        (payload.p < buf || payload.n > size)) {
        abort();
    }
    if (!initiator && sh_noise_my_turn(&x)) {
        sh_noise_write(&x, sh_span_none(), out, sizeof out);
    }
    sh_noise_fini(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t remote[32] = {9};
    struct sh_noise_peer peer;
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 3) {
    case 0: message(data + 1, size - 1, true); break;
    case 1: message(data + 1, size - 1, false); break;
    default: sh_noise_payload_read(sh_span_of(data + 1, size - 1), remote, &peer);
    }
    return 0;
}
