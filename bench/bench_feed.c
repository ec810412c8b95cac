/* bench_feed.c - tells an actor of another process, whatever language that is in; started by the far end's own program.
 *   bench_feed ADDRESS REF COUNT   million tells a second of 64 bytes ("put"), until the last one is handled as "count"
 *                                  says; none may be lost */
#include <shoal.h>

#include "bench.h"

enum { SMALL = 64 };

static int64_t ask_count(shoal_node *node, shoal_pid sink)
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

static double tell(shoal_node *node, shoal_pid sink, shoal_bytes value, uint64_t count)
{
    int64_t before = ask_count(node, sink);
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
    int64_t handled = ask_count(node, sink) - before;
    if (handled != (int64_t)count) {
        fprintf(stderr, "told %llu, handled %lld\n", (unsigned long long)count, (long long)handled);
        bench_die("messages were lost");
    }
    return (double)count * 1000 / (double)(bench_now_ns() - start);
}

int main(int argc, char **argv)
{
    static const unsigned char bytes[SMALL] = {7};
    shoal_node *node;
    shoal_pid sink;
    shoal_pack pack;
    shoal_result *result = NULL;
    if (argc != 4) {
        bench_die("usage: bench_feed ADDRESS REF COUNT");
    }
    bench_pin(0);
    if (shoal_node_new(NULL, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    if (shoal_dial(node, argv[1], shoal_keep, &result) < 0 || shoal_wait(node, &result) < 0 ||
        shoal_pid_parse(node, argv[2], &sink) < 0) {
        bench_die(shoal_last_error(node));
    }
    shoal_result_free(result);
    shoal_pack_init(&pack, NULL, 0);
    shoal_put_bytes(&pack, bytes, SMALL);
    uint64_t count = strtoull(argv[3], NULL, 10);
    tell(node, sink, shoal_packed(&pack), count / 10 + 1);
    printf("%.3f\n", tell(node, sink, shoal_packed(&pack), count));
    shoal_pack_free(&pack);
    shoal_node_free(node);
    return 0;
}
