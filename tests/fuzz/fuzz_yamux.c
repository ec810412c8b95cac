/* tests/fuzz/fuzz_yamux.c - bytes as a yamux peer; whole and in pieces must give the same events.
 * */
#include <stdlib.h>

#include "base/hash.h"
#include "proto/yamux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The owner of the fuzzed connection: answers what it reads, so all of sending runs too. */
static void react(sh_yamux *y, const struct sh_conn_ev *ev)
{
    switch (ev->kind) {
    case SH_CONN_STREAM: sh_yamux_write(y, ev->stream, sh_span_str("welcome")); break;
    case SH_CONN_DATA:
        for (size_t i = 0; i < ev->data.n; i++) {
            sh_yamux_write(y, ev->stream, sh_span_of(ev->data.p + i, 1));
            if (ev->data.p[i] == 'r') {
                sh_yamux_reset(y, ev->stream, 7);
                return;
            }
            sh_yamux_credit(y, ev->stream, 1);
        }
        break;
    case SH_CONN_FIN: sh_yamux_shut(y, ev->stream); break;
    case SH_CONN_PONG:
    case SH_CONN_UP:
    case SH_CONN_RESET:
    case SH_CONN_WRITABLE:
    case SH_CONN_CLOSED: break;
    }
}

static uint64_t note(uint64_t hash, const struct sh_conn_ev *ev)
{
    if (ev->kind != SH_CONN_DATA) {
        uint64_t words[3] = {(uint64_t)ev->kind, ev->stream, ev->code};
        return sh_fnv1a64(hash, sh_span_of(words, sizeof words));
    }
    for (size_t i = 0; i < ev->data.n; i++) {
        uint64_t words[2] = {ev->stream, ev->data.p[i]};
        hash = sh_fnv1a64(hash, sh_span_of(words, sizeof words));
        if (ev->data.p[i] == 'r') {
            break; /* the owner resets it there */
        }
    }
    return hash;
}

static uint64_t digest(bool client, sh_span in, size_t step)
{
    sh_quota quota;
    sh_block_pool pool;
    sh_outq out;
    sh_yamux y;
    struct sh_conn_ev ev;
    uint64_t id, hash = SH_FNV_START;
    sh_quota_init(&quota, NULL, 1 << 20);
    sh_block_pool_init(&pool, sh_mem_system(), NULL, 1);
    sh_outq_init(&out, &pool, &quota);
    struct sh_yamux_config cfg = {sh_mem_system(), &quota, &out, 1, 8, client};
    sh_yamux_init(&y, &cfg);
    sh_yamux_open(&y, &id);
    sh_yamux_write(&y, id, sh_span_str("hello"));
    sh_yamux_ping(&y, 1);
    for (bool more = true; more && !sh_yamux_over(&y);) {
        sh_span piece = sh_span_take(in, step);
        in = sh_span_skip(in, piece.n);
        more = in.n > 0;
        while (sh_yamux_recv(&y, &piece, &ev, 1000)) {
            hash = note(hash, &ev);
            react(&y, &ev);
        }
    }
    uint64_t end[3] = {(uint64_t)y.err, y.away_code, y.streams.count};
    hash = sh_fnv1a64(hash, sh_span_of(end, sizeof end));
    sh_yamux_fini(&y);
    sh_outq_close(&out);
    while (sh_outq_out(&out).n > 0) {
        sh_span bytes = sh_outq_out(&out);
        hash = sh_fnv1a64(hash, bytes);
        sh_outq_sent(&out, bytes.n);
    }
    sh_outq_fini(&out);
    sh_block_pool_fini(&pool);
    if (quota.used != 0) {
        abort();
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sh_span in = sh_span_of(data + 1, size - 1);
    bool client = (data[0] & 1) != 0;
    uint64_t whole = digest(client, in, SIZE_MAX);
    if (whole != digest(client, in, 1) || whole != digest(client, in, 7)) {
        abort();
    }
    return 0;
}
