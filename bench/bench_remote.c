/* bench_remote.c - messages between two processes over loopback, through libshoal.
 *   bench_remote ask64 COUNT    us an ask with a reply of 64 bytes each, one after the other
 *   bench_remote asks COUNT     thousand such asks a second with 100 outstanding
 *   bench_remote peers COUNT    us an ask, one after the other, while COUNT peers are connected (to plot; 1 to 1,000);
 *                               both ends on one processor
 *   bench_remote idle_in COUNT  bytes that each of COUNT idle connections costs who was dialled, with its session, once
 *                               something was asked over it
 *   bench_remote idle_out COUNT the same for who dialled
 *   bench_remote names COUNT    bytes that each of COUNT registered names costs (without its actor)
 *   bench_remote tell64 COUNT   million tells a second of 64 bytes, until the last one is handled; none may be lost
 *   bench_remote tell64k COUNT  MB a second of 64 KiB values, likewise
 *   bench_remote connect COUNT  us from the dial of a new node to the answer of its first ask (median)
 *   bench_remote dial COUNT     us until the dial's own callback (median) */
#include <malloc.h>
#include <poll.h>
#include <shoal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "bench.h"
#include "tells.h"

enum { SMALL = 64, BIG = 65536, TEXT = 512, OUTSTANDING = 100, WARM = 100, LATENCIES = 5000 };

struct sink {
    int64_t n;
};

struct place {
    char address[TEXT];
    char ref[TEXT];
};

/* --- the far end --- */

static int sink_put(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx;
    shoal_bytes bytes;
    int code = shoal_as_bytes(value, &bytes);
    if (code == 0) {
        ((struct sink *)state)->n += ((const unsigned char *)bytes.data)[0] == 7;
    }
    return code;
}

static int sink_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_reply(cx, value);
}

static int sink_count(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    return shoal_reply_i64(cx, ((struct sink *)state)->n);
}

static const shoal_handler handlers[] = {
    {"put", sink_put}, {"echo", sink_echo}, {"count", sink_count}};
static const shoal_actor_type sink_type = {
    .struct_size = sizeof sink_type,
    .id = "bench.sink",
    .state_size = sizeof(struct sink),
    .handlers = handlers,
    .handler_count = 3,
};

static void serve(int fd)
{
    shoal_node *node;
    shoal_pid pid;
    struct place place = {0};
    bench_pin(1);
    if (shoal_node_new(NULL, &node) < 0 || shoal_listen(node, "/ip4/127.0.0.1/tcp/0") < 0 ||
        shoal_spawn(node, &sink_type, NULL, &pid) < 0 ||
        shoal_register(node, pid, "bench.sink", NULL, NULL) < 0 || shoal_poll(node, 1500, 0) < 0 ||
        shoal_address(node, 0, place.address, TEXT) < 0 ||
        shoal_pid_text(node, pid, place.ref, TEXT) < 0) {
        bench_die("the server did not start");
    }
    bench_write(fd, &place, sizeof place);
    while (shoal_poll(node, 10000, 1000) >= 0) {
    }
}

/* --- the near end --- */

static int finish(shoal_node *node, int64_t call, shoal_result **result)
{
    int code = call < 0 ? (int)call : shoal_wait(node, result);
    if (code < 0) {
        fprintf(stderr, "%s\n", call < 0 ? shoal_last_error(node) : (*result)->text);
    }
    return code;
}

static void dial(shoal_node *node, const struct place *place)
{
    shoal_result *result = NULL;
    if (finish(node, shoal_dial(node, place->address, shoal_keep, &result), &result) < 0) {
        bench_die("no connection");
    }
    shoal_result_free(result);
}

struct asks {
    shoal_node *node;
    shoal_pid sink;
    shoal_bytes value;
    uint64_t left;
};

static void ask_next(void *ud, const shoal_result *result)
{
    struct asks *a = ud;
    if (result && (result->code < 0 || result->value.len != a->value.len)) {
        bench_die(result->text);
    }
    if (a->left == 0 || a->left-- == 0) {
        a->left = UINT64_MAX;
        return;
    }
    if (shoal_ask(a->node, a->sink, "echo", a->value, 5000, ask_next, a) < 0) {
        bench_die(shoal_last_error(a->node));
    }
}

static double ask(shoal_node *node, shoal_pid sink, shoal_bytes value, uint64_t count)
{
    struct asks a = {node, sink, value, count};
    uint64_t start = bench_now_ns();
    ask_next(&a, NULL);
    while (a.left != UINT64_MAX) {
        shoal_poll(node, 10000, 1000);
    }
    return (double)(bench_now_ns() - start) / (double)count / 1000;
}

/* Thousand a second, OUTSTANDING at a time. */
static double asks(shoal_node *node, shoal_pid sink, shoal_bytes value, uint64_t count)
{
    struct asks each[OUTSTANDING];
    uint64_t start = bench_now_ns();
    for (int i = 0; i < OUTSTANDING; i++) {
        each[i] = (struct asks){node, sink, value, count / OUTSTANDING};
        ask_next(&each[i], NULL);
    }
    for (int i = 0; i < OUTSTANDING; i++) {
        while (each[i].left != UINT64_MAX) {
            shoal_poll(node, 10000, 1000);
        }
    }
    return (double)(count / OUTSTANDING * OUTSTANDING) * 1e6 / (double)(bench_now_ns() - start);
}

static shoal_node *node_new(void)
{
    shoal_node *node;
    if (shoal_node_new(NULL, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    return node;
}

static shoal_pid sink_of(shoal_node *node, const struct place *place)
{
    shoal_pid pid;
    if (shoal_pid_parse(node, place->ref, &pid) < 0) {
        bench_die(shoal_last_error(node));
    }
    return pid;
}

static double messages(const struct place *place, const char *mode, uint64_t count)
{
    static unsigned char bytes[BIG];
    size_t size = strcmp(mode, "tell64k") == 0 ? BIG : SMALL;
    shoal_pack pack;
    shoal_node *node = node_new();
    double result;
    bytes[0] = 7;
    shoal_pack_init(&pack, NULL, 0);
    shoal_put_bytes(&pack, bytes, size);
    dial(node, place);
    shoal_pid sink = sink_of(node, place);
    if (strcmp(mode, "ask64") == 0) {
        ask(node, sink, shoal_packed(&pack), count / 10 + 1);
        result = ask(node, sink, shoal_packed(&pack), count);
    } else if (strcmp(mode, "asks") == 0) {
        asks(node, sink, shoal_packed(&pack), count / 10 + OUTSTANDING);
        result = asks(node, sink, shoal_packed(&pack), count);
    } else {
        bench_tell(node, sink, shoal_packed(&pack), count / 10 + 1);
        result = bench_tell(node, sink, shoal_packed(&pack), count) * (size == SMALL ? 1 : BIG);
    }
    shoal_pack_free(&pack);
    shoal_node_free(node);
    return result;
}

static double connects(const struct place *place, bool first_ask, uint64_t count)
{
    double *each = calloc(count, sizeof *each);
    for (uint64_t i = 0; each && i < count + 5; i++) {
        shoal_node *node = node_new();
        uint64_t start = bench_now_ns();
        dial(node, place);
        if (first_ask) {
            bench_sunk(node, sink_of(node, place));
        }
        each[i < 5 ? 0 : i - 5] = (double)(bench_now_ns() - start) / 1000;
        shoal_node_free(node);
    }
    double result = each ? bench_median(each, count) : 0;
    free(each);
    return result;
}

/* --- what grows --- */

static uint64_t many; /* nodes of the far process */
static struct place hub;
static int go[2]; /* the far process goes on behind the first WARM ones when it can read */

static int many_dht = SHOAL_DHT_AUTO; /* of the next node_roomy */

static shoal_node *node_roomy(void)
{
    shoal_node_config config;
    shoal_node *node;
    shoal_node_config_init(&config, sizeof config);
    config.max_peers = 4096;
    config.dht = many_dht;
    if (shoal_node_new(&config, &node) < 0 || shoal_listen(node, "/ip4/127.0.0.1/tcp/0") < 0) {
        bench_die(shoal_last_error(NULL));
    }
    return node;
}

static void place_of(shoal_node *node, struct place *place)
{
    shoal_pid pid;
    if (shoal_spawn(node, &sink_type, NULL, &pid) < 0 || shoal_poll(node, 1500, 0) < 0 ||
        shoal_address(node, 0, place->address, TEXT) < 0 ||
        shoal_pid_text(node, pid, place->ref, TEXT) <
            0) { /* no name: its record would be counted */
        bench_die("a node did not start");
    }
}

/* Many nodes in one process and thread: each is polled when its descriptor says so, all of them now and then. hub:
 * they dial it; else each writes where it is. */
static void serve_many(int fd)
{
    shoal_node **nodes = calloc(many, sizeof *nodes);
    int ep = epoll_create1(0);
    bench_pin(1);
    for (uint64_t i = 0; nodes && i < many; i++) {
        struct place place = {0};
        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};
        nodes[i] = node_roomy();
        epoll_ctl(ep, EPOLL_CTL_ADD, shoal_fd(nodes[i]), &ev);
        if (hub.address[0]) {
            dial(nodes[i], &hub);
            bench_sunk(nodes[i], sink_of(nodes[i], &hub));
        } else {
            place_of(nodes[i], &place);
        }
        bench_write(fd, &place, sizeof place);
        if (i + 1 == WARM && hub.address[0]) {
            bench_read(go[0], &place, 1);
        }
    }
    for (uint64_t swept = 0;;) {
        struct epoll_event ready[64];
        int n = epoll_wait(ep, ready, 64, 20);
        for (int i = 0; i < n; i++) {
            shoal_poll(nodes[ready[i].data.u64], 1000, 0);
        }
        if (bench_now_ns() - swept > 200000000) { /* timers */
            for (uint64_t i = 0; i < many; i++) {
                shoal_poll(nodes[i], 1000, 0);
            }
            swept = bench_now_ns();
        }
    }
}

static void settle(shoal_node *node)
{
    uint64_t until = bench_now_ns() + 1500000000;
    while (bench_now_ns() < until) {
        shoal_poll(node, 1000, 20);
    }
}

static double in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

/* Waits for the far process's next node while ours is driven. */
static void next_place(shoal_node *node, int from, struct place *place)
{
    struct pollfd ready = {.fd = from, .events = POLLIN};
    while (poll(&ready, 1, 0) == 0) {
        shoal_poll(node, 1000, 1);
    }
    bench_read(from, place, sizeof *place);
}

/* Bytes of each connection behind the first WARM ones. */
static double idle(bool dials, uint64_t count)
{
    shoal_node *node = dials ? NULL : node_roomy();
    int from;
    double before = 0;
    many = count + WARM;
    if (node) {
        place_of(node, &hub);
    }
    if (pipe(go) != 0) {
        bench_die("no pipe");
    }
    pid_t child = bench_child(serve_many, &from);
    node = node ? node : node_roomy();
    struct place *places = calloc(many, sizeof *places);
    for (uint64_t i = 0; places && dials && i < many; i++) {
        next_place(node, from, &places[i]); /* all first: the far process must not wait for us */
    }
    for (uint64_t i = 0; places && i < many; i++) {
        if (i == WARM) {
            settle(node);
            before = in_use();
            bench_write(go[1], "", 1);
        }
        if (dials) {
            dial(node, &places[i]);
            bench_sunk(node, sink_of(node, &places[i]));
        } else {
            next_place(node, from, &places[i]);
        }
    }
    settle(node);
    double each = (in_use() - before) / (double)count;
    shoal_node_free(node);
    free(places);
    bench_child_end(child);
    return each;
}

static double ask_among(uint64_t count)
{
    static double each[LATENCIES];
    int from;
    many = count;
    /* As servers the far ones would dial each other: descriptors by the million. */
    many_dht = SHOAL_DHT_CLIENT;
    /* Both ends on one processor, as in remote_ask_64: on two it is the system's choice each time which wakes which. */
    bench_pin(0);
    pid_t child = bench_child(serve_many, &from);
    many_dht = SHOAL_DHT_AUTO;
    shoal_node *node = node_roomy();
    struct place *places = calloc(many, sizeof *places);
    for (uint64_t i = 0; places && i < many; i++) {
        next_place(node, from, &places[i]);
    }
    for (uint64_t i = 0; places && i < many; i++) {
        dial(node, &places[i]);
        bench_sunk(node, sink_of(node, &places[i]));
    }
    settle(node);
    shoal_pid sink = sink_of(node, &places[0]);
    free(places);
    for (int i = 0; i < LATENCIES; i++) {
        uint64_t start = bench_now_ns();
        bench_sunk(node, sink);
        each[i] = (double)(bench_now_ns() - start) / 1000;
    }
    shoal_node_free(node);
    bench_child_end(child);
    return bench_median(each, LATENCIES);
}

static double names(uint64_t count)
{
    shoal_node *node = node_roomy();
    shoal_pid *pids = calloc(count, sizeof *pids);
    char name[64];
    for (uint64_t i = 0; pids && i < count; i++) {
        if (shoal_spawn(node, &sink_type, NULL, &pids[i]) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
    double before = in_use();
    for (uint64_t i = 0; pids && i < count; i++) {
        shoal_result *result = NULL;
        snprintf(name, sizeof name, "bench-name-%llu", (unsigned long long)i);
        if (finish(node, shoal_register(node, pids[i], name, shoal_keep, &result), &result) < 0) {
            bench_die("a name was not registered");
        }
        shoal_result_free(result);
    }
    settle(node);
    double each = (in_use() - before) / (double)count;
    shoal_node_free(node);
    free(pids);
    return each;
}

static bool grows(const char *mode, uint64_t count, double *result)
{
    if (strcmp(mode, "peers") == 0) {
        *result = ask_among(count);
    } else if (strncmp(mode, "idle_", 5) == 0) {
        *result = idle(strcmp(mode, "idle_out") == 0, count);
    } else if (strcmp(mode, "names") == 0) {
        *result = names(count);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv);
    struct place place;
    int from;
    double result;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (grows(argv[1], count, &result)) {
        printf("%.3f\n", result);
        return 0;
    }
    pid_t child = bench_child(serve, &from);
    bench_pin(0);
    bench_read(from, &place, sizeof place);
    bool first_ask = strcmp(argv[1], "connect") == 0;
    bool dials = strcmp(argv[1], "dial") == 0;
    printf("%.3f\n", first_ask || dials ? connects(&place, first_ask, count)
                                        : messages(&place, argv[1], count));
    bench_child_end(child);
    return 0;
}
