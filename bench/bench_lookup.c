/* bench_lookup.c - a name at one of many nodes, each a process of its own, over loopback.
 *   bench_lookup nodes COUNT     ms a lookup (median) among ten nodes, each of a name that was not looked up before
 *   bench_lookup nodes50 COUNT   the same among fifty
 *
 * Every node knows the first one only; the one that looks up dials that one and nobody else. */
#include <shoal.h>

#include "bench.h"

enum { NODES_MAX = 50, NODES_FEW = 10, TEXT = 512 };

static int nodes;

static char first_address[TEXT];
static int server_index;
static uint64_t names_each;

static int nothing(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx, (void)state, (void)value;
    return 0;
}

static const shoal_handler handlers[] = {{"nothing", nothing}};
static const shoal_actor_type holder_type = {
    .struct_size = sizeof holder_type,
    .id = "bench.holder",
    .handlers = handlers,
    .handler_count = 1,
};

static void finish(shoal_node *node, int64_t call, shoal_result **result)
{
    if (call < 0 || shoal_wait(node, result) < 0) {
        bench_die(call < 0 ? shoal_last_error(node) : (*result)->text);
    }
    shoal_result_free(*result);
    *result = NULL;
}

static void serve(int fd)
{
    shoal_node *node = NULL;
    shoal_pid pid;
    shoal_result *result = NULL;
    char address[TEXT] = "", name[64];
    if (shoal_node_new(NULL, &node) < 0 || shoal_listen(node, "/ip4/127.0.0.1/tcp/0") < 0) {
        bench_die(shoal_last_error(NULL));
    }
    if (first_address[0]) {
        finish(node, shoal_dial(node, first_address, shoal_keep, &result), &result);
    }
    for (uint64_t i = 0; i < names_each; i++) {
        snprintf(name, sizeof name, "bench-%d-%llu", server_index, (unsigned long long)i);
        if (shoal_spawn(node, &holder_type, NULL, &pid) < 0) {
            bench_die(shoal_last_error(node));
        }
        finish(node, shoal_register(node, pid, name, shoal_keep, &result), &result);
    }
    shoal_address(node, 0, address, sizeof address);
    bench_write(fd, address, sizeof address);
    while (shoal_poll(node, 10000, 1000) >= 0) {
    }
}

static double lookup(shoal_node *node, uint64_t i)
{
    shoal_result *result = NULL;
    char name[64];
    snprintf(name, sizeof name, "bench-%d-%llu", (int)(i % (unsigned)nodes),
             (unsigned long long)(i / (unsigned)nodes));
    uint64_t start = bench_now_ns();
    finish(node, shoal_lookup(node, name, 5000, shoal_keep, &result), &result);
    return (double)(bench_now_ns() - start) / 1e6;
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv);
    pid_t children[NODES_MAX];
    nodes = strcmp(argv[1], "nodes50") == 0 ? NODES_MAX : NODES_FEW;
    shoal_node *node = NULL;
    shoal_result *result = NULL;
    names_each = (count + (unsigned)nodes - 1) / (unsigned)nodes;
    double *each = calloc(count, sizeof *each);
    for (server_index = 0; server_index < nodes; server_index++) {
        char address[TEXT];
        int from;
        children[server_index] = bench_child(serve, &from);
        bench_read(from, address, sizeof address);
        if (server_index == 0) {
            memcpy(first_address, address, sizeof address);
        }
    }
    if (!each || shoal_node_new(NULL, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    finish(node, shoal_dial(node, first_address, shoal_keep, &result), &result);
    for (uint64_t i = 0; i < count; i++) {
        each[i] = lookup(node, i);
    }
    printf("%.4f\n", bench_median(each, count));
    shoal_node_free(node);
    free(each);
    for (int i = 0; i < nodes; i++) {
        bench_child_end(children[i]);
    }
    return 0;
}
