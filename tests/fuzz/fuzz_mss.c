/* tests/fuzz/fuzz_mss.c - bytes as the other side of a negotiation; whole and in pieces must
 * agree. */
#include <stdlib.h>

#include "base/hash.h"
#include "proto/mss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const PROTOCOLS[] = {"/yamux/1.0.0", "/noise", "/ipfs/ping/1.0.0"};

static uint64_t drain(sh_mss *m, uint64_t hash)
{
    for (sh_span out = sh_mss_out(m); out.n > 0; out = sh_mss_out(m)) {
        hash = sh_fnv1a64(hash, out);
        sh_mss_sent(m, out.n);
    }
    return hash;
}

static uint64_t digest(bool dialer, sh_span in, size_t step)
{
    sh_mss m;
    uint64_t hash = SH_FNV_START;
    size_t eaten = 0;
    if (dialer) {
        sh_mss_dialer(&m, PROTOCOLS, 3);
    } else {
        sh_mss_listener(&m, PROTOCOLS, 3);
    }
    for (size_t n = 1; n > 0 || sh_mss_out(&m).n > 0;) {
        hash = drain(&m, hash);
        n = sh_mss_recv(&m, sh_span_take(sh_span_skip(in, eaten), step));
        eaten += n;
    }
    sh_mss_eof(&m);
    if (sh_mss_state(&m) == SH_MSS_RUNNING || eaten > in.n) {
        abort();
    }
    uint64_t end[2] = {eaten, sh_mss_state(&m)};
    return sh_fnv1a64(hash, sh_span_of(end, sizeof end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sh_span in = sh_span_of(data + 1, size - 1);
    bool dialer = (data[0] & 1) != 0;
    if (digest(dialer, in, SIZE_MAX) != digest(dialer, in, 1) ||
        digest(dialer, in, 5) != digest(dialer, in, 1)) {
        abort();
    }
    return 0;
}
