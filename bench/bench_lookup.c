/* bench_lookup.c - a name at one of many nodes, each a process of its own, over loopback.
 *   bench_lookup nodes COUNT     ms a lookup (median) among ten nodes, each of a name that was not looked up before
 *   bench_lookup nodes50 COUNT   the same among fifty
 *   bench_lookup trips50 COUNT   round trips of such a lookup among fifty (mean): questions, each asked once the one before
 *                                was answered; those of dials too
 *
 * Every node knows the first one only; the one that looks up dials that one and nobody else. */
#include <dlfcn.h>
#include <shoal.h>
#include <sys/socket.h>

#include "bench.h"

enum { NODES_MAX = 50, NODES_FEW = 10, TEXT = 512, FILES_MAX = 1024 };

static int nodes;

/* --- round trips: the library's socket calls come by here --- */

#define SEEN __attribute__((visibility("default")))
#define REAL(name)                                                                                 \
    static __typeof__(&(name)) real;                                                               \
    real = real ? real : (__typeof__(&(name)))dlsym(RTLD_NEXT, #name)

/* By descriptor: the round trip in which it was last written; 0: before this lookup. */
static unsigned trip[FILES_MAX];
static unsigned trips; /* that have ended */

static void trip_begins(int fd)
{
    if (fd >= 0 && fd < FILES_MAX) {
        trip[fd] = trips + 1;
    }
}

static void trip_ends(int fd)
{
    if (fd >= 0 && fd < FILES_MAX && trip[fd] > trips) {
        trips = trip[fd];
    }
}

SEEN ssize_t send(int fd, const void *from, size_t n, int flags)
{
    REAL(send);
    trip_begins(fd);
    return real(fd, from, n, flags);
}

SEEN ssize_t recv(int fd, void *to, size_t n, int flags)
{
    REAL(recv);
    ssize_t got = real(fd, to, n, flags);
    if (got > 0) {
        trip_ends(fd);
    }
    return got;
}

SEEN int connect(int fd, const struct sockaddr *addr, socklen_t n)
{
    REAL(connect);
    trip_begins(fd);
    return real(fd, addr, n);
}

/* Asked for SO_ERROR when a dial has ended. */
SEEN int getsockopt(int fd, int level, int name, void *to, socklen_t *n)
{
    REAL(getsockopt);
    trip_ends(fd);
    return real(fd, level, name, to, n);
}

/* --- nodes --- */

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
    memset(trip, 0, sizeof trip);
    trips = 0;
    uint64_t start = bench_now_ns();
    finish(node, shoal_lookup(node, name, 5000, shoal_keep, &result), &result);
    return (double)(bench_now_ns() - start) / 1e6;
}

static void nodes_start(pid_t children[NODES_MAX])
{
    for (server_index = 0; server_index < nodes; server_index++) {
        char address[TEXT];
        int from;
        children[server_index] = bench_child(serve, &from);
        bench_read(from, address, sizeof address);
        if (server_index == 0) {
            memcpy(first_address, address, sizeof address);
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv), all_trips = 0;
    pid_t children[NODES_MAX];
    nodes = strcmp(argv[1], "nodes") == 0 ? NODES_FEW : NODES_MAX;
    shoal_node *node = NULL;
    shoal_result *result = NULL;
    names_each = (count + (unsigned)nodes - 1) / (unsigned)nodes;
    double *each = calloc(count, sizeof *each);
    nodes_start(children);
    if (!each || shoal_node_new(NULL, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    finish(node, shoal_dial(node, first_address, shoal_keep, &result), &result);
    for (uint64_t i = 0; i < count; i++) {
        each[i] = lookup(node, i);
        all_trips += trips;
    }
    if (all_trips == 0) {
        bench_die("the library's socket calls were not seen");
    }
    printf("%.4f\n", strcmp(argv[1], "trips50") == 0 ? (double)all_trips / (double)count
                                                     : bench_median(each, count));
    shoal_node_free(node);
    free(each);
    for (int i = 0; i < nodes; i++) {
        bench_child_end(children[i]);
    }
    return 0;
}
