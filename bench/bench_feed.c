/* bench_feed.c - tells an actor of another process, whatever language that is in; started by the far end's own program.
 *   bench_feed ADDRESS REF COUNT   million tells a second of 64 bytes ("put"), until the last one is handled as "count"
 *                                  says; none may be lost */
#include <shoal.h>

#include "bench.h"
#include "tells.h"

enum { SMALL = 64 };

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
    bench_tell(node, sink, shoal_packed(&pack), count / 10 + 1);
    printf("%.3f\n", bench_tell(node, sink, shoal_packed(&pack), count));
    shoal_pack_free(&pack);
    shoal_node_free(node);
    return 0;
}
