/* bench/tells.h - tells to an actor of another process ("put") until the last one is handled, as its "count" says. */
#ifndef SHOAL_BENCH_TELLS_H
#define SHOAL_BENCH_TELLS_H

#include <shoal.h>

#include "bench.h"

static inline int64_t bench_sunk(shoal_node *node, shoal_pid sink)
{
    shoal_result *result = NULL;
    int64_t n = 0;
    if (shoal_ask(node, sink, "count", shoal_nil(), 60000, shoal_keep, &result) < 0 ||
        shoal_wait(node, &result) < 0 || shoal_as_i64(result->value, &n) < 0) {
        bench_die("no answer");
    }
    shoal_result_free(result);
    return n;
}

/* Messages a microsecond. */
static inline double bench_tell(shoal_node *node, shoal_pid sink, shoal_bytes value, uint64_t count)
{
    int64_t before = bench_sunk(node, sink);
    uint64_t start = bench_now_ns();
    for (uint64_t sent = 0; sent < count;) {
        int code = shoal_tell(node, sink, "put", value);
        if (code == 0) {
            sent++;
        } else if (code == SHOAL_E_MAILBOX_FULL) {
            shoal_poll(node, 10000, 1);
        } else {
            bench_die(shoal_last_error(node));
        }
    }
    int64_t handled = bench_sunk(node, sink) - before;
    double each = (double)count * 1000 / (double)(bench_now_ns() - start);
    if (handled != (int64_t)count) {
        fprintf(stderr, "told %llu, handled %lld\n", (unsigned long long)count, (long long)handled);
        bench_die("messages were lost");
    }
    return each;
}

#endif
