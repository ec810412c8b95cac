/* bench_local.c - messages within one node through libshoal: inline node, one executor.
 *   bench_local tell COUNT     ns a message: a producer's handler tells bursts, by name, of a small value
 *   bench_local outside COUNT  the same bursts told with shoal_tell, from outside handlers
 *   bench_local ask COUNT      ns an ask with deadline and reply, from a handler
 *   bench_local idle COUNT     bytes that the process grows by for one more idle actor
 *   bench_local ring COUNT     ns a hop: one message goes round 1,000 actors
 *   bench_local spawn COUNT    ns to spawn and stop an actor, from outside handlers, 256 of each in a row
 *   bench_local alive COUNT    ns to spawn an actor when all stay
 *   bench_local cross COUNT    ns a message from an actor of the host's thread to one of the node's, up to 768 under way
 *   bench_local many ACTORS COUNT   ns a message to one after the other of so many actors, 256 in a row */
#include <shoal.h>

#include "bench.h"

enum { BURST = 256, RING = 1000, CROSS_BURSTS = 3 };

struct consumer {
    int64_t n;
};

/* Of cross they belong to two threads: not in one cache line, nor is either beside what both read. */
static _Alignas(128) uint64_t answered;
static _Alignas(128) uint64_t left;
static _Alignas(128) shoal_pid consumer_pid;
static shoal_pid *actors; /* of ring and many */
static uint64_t actor_count, actor_at;
static bool outside;
static const unsigned char one[] = {0x01};
static const shoal_bytes value_one = {one, sizeof one};

static int consumer_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct consumer *consumer = state;
    int64_t amount;
    int code = shoal_as_i64(value, &amount);
    if (code < 0) {
        return code;
    }
    consumer->n += amount;
    uint64_t n = __atomic_load_n(&answered, __ATOMIC_RELAXED) +
                 1; /* of cross it is read by another thread */
    __atomic_store_n(&answered, n, __ATOMIC_RELAXED);
    if (n % BURST == 0 && !outside) { /* the next burst: the queue stays short */
        return shoal_cx_tell(cx, shoal_cx_sender(cx), actor_count ? "many" : "tell", shoal_nil());
    }
    return 0;
}

static int consumer_get(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct consumer *consumer = state;
    int64_t amount;
    int code = shoal_as_i64(value, &amount);
    if (code < 0) {
        return code;
    }
    consumer->n += amount;
    answered++;
    return shoal_reply_i64(cx, consumer->n);
}

static int producer_tell(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    for (int i = 0; i < BURST && left > 0; i++, left--) {
        int code = shoal_cx_tell(cx, consumer_pid, "inc", value_one);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int producer_next(shoal_cx *cx, void *ud, const shoal_result *result)
{
    int64_t n;
    if (result && (result->code < 0 || shoal_as_i64(result->value, &n) < 0)) {
        return SHOAL_E_HANDLER;
    }
    if (left == 0) {
        return 0;
    }
    left--;
    int64_t call = shoal_cx_ask(cx, consumer_pid, "get", value_one, 5000, producer_next, ud);
    return call < 0 ? (int)call : 0;
}

static int producer_ask(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return producer_next(cx, NULL, NULL);
}

static const shoal_handler consumer_handlers[] = {{"inc", consumer_inc}, {"get", consumer_get}};
static const shoal_actor_type consumer_type = {
    .struct_size = sizeof consumer_type,
    .id = "bench.consumer",
    .state_size = sizeof(struct consumer),
    .handlers = consumer_handlers,
    .handler_count = 2,
};
static const shoal_handler producer_handlers[] = {{"tell", producer_tell}, {"ask", producer_ask}};
static const shoal_actor_type producer_type = {
    .struct_size = sizeof producer_type,
    .id = "bench.producer",
    .handlers = producer_handlers,
    .handler_count = 2,
};

static void run(shoal_node *node, shoal_pid producer, const char *mode, uint64_t count)
{
    left = count;
    answered = 0;
    if (!outside && shoal_tell(node, producer, mode, shoal_nil()) < 0) {
        bench_die(shoal_last_error(node));
    }
    while (answered < count) {
        for (int i = 0; outside && i < BURST && left > 0; i++, left--) {
            if (shoal_tell(node, consumer_pid, "inc", value_one) < 0) {
                bench_die(shoal_last_error(node));
            }
        }
        if (shoal_poll(node, 100000, 100) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
}

/* --- ring, many --- */

static int ring_hop(shoal_cx *cx, void *state, shoal_bytes value)
{
    const uint64_t *next = state;
    answered++;
    return left-- > 1 ? shoal_cx_tell(cx, actors[*next], "hop", value) : 0;
}

static int many_tell(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    for (int i = 0; i < BURST && left > 0; i++, left--) {
        int code = shoal_cx_tell(cx, actors[actor_at], "inc", value_one);
        actor_at = actor_at + 1 < actor_count ? actor_at + 1 : 0;
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int ring_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)cx;
    int64_t next = 0;
    int code = shoal_as_i64(args, &next);
    *(uint64_t *)state = (uint64_t)next;
    return code;
}

static const shoal_handler ring_handlers[] = {{"hop", ring_hop}};
static const shoal_actor_type ring_type = {.struct_size = sizeof ring_type,
                                           .id = "bench.ring",
                                           .state_size = sizeof(uint64_t),
                                           .handlers = ring_handlers,
                                           .handler_count = 1,
                                           .init = ring_init};
static const shoal_handler many_handlers[] = {{"many", many_tell}};
static const shoal_actor_type many_type = {.struct_size = sizeof many_type,
                                           .id = "bench.many",
                                           .handlers = many_handlers,
                                           .handler_count = 1};

static void *room(uint64_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p) {
        bench_die("no memory");
    }
    return p;
}

static void ring_make(shoal_node *node)
{
    actors = room(RING, sizeof *actors);
    for (uint64_t i = 0; i < RING; i++) {
        unsigned char next[3] = {0xcd, (unsigned char)((i + 1) % RING >> 8),
                                 (unsigned char)((i + 1) % RING)};
        shoal_spawn_options o = {.struct_size = sizeof o, .args = {next, sizeof next}};
        if (shoal_spawn(node, &ring_type, &o, &actors[i]) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
}

static void many_make(shoal_node *node, uint64_t count)
{
    actor_count = count;
    actors = room(count, sizeof *actors);
    for (uint64_t i = 0; i < count; i++) {
        if (shoal_spawn(node, &consumer_type, NULL, &actors[i]) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
}

/* --- spawn --- */

static void spawn_stop(shoal_node *node, uint64_t count)
{
    static shoal_pid pids[BURST];
    for (uint64_t i = 0; i < count; i += BURST) {
        for (int k = 0; k < BURST; k++) {
            if (shoal_spawn(node, &consumer_type, NULL, &pids[k]) < 0) {
                bench_die(shoal_last_error(node));
            }
        }
        for (int k = 0; k < BURST; k++) {
            if (shoal_stop(node, pids[k], NULL, NULL) < 0) {
                bench_die(shoal_last_error(node));
            }
        }
        while (shoal_poll(node, 100000, 0) > 0) {
        }
    }
}

static double spawn_alive(shoal_node *node, uint64_t count)
{
    shoal_pid pid;
    uint64_t start = bench_used_ns();
    for (uint64_t i = 0; i < count; i++) {
        if (shoal_spawn(node, &consumer_type, NULL, &pid) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
    return (double)(bench_used_ns() - start) / (double)count;
}

/* --- between two executors: CROSS_BURSTS of BURST messages are under way, then each burst handled brings another --- */

static double cross_tell(shoal_node *node, uint64_t count)
{
    shoal_spawn_options here = {.struct_size = sizeof here, .flags = SHOAL_ON_HOST};
    shoal_pid producer;
    double took = 0;
    if (shoal_spawn(node, &consumer_type, NULL, &consumer_pid) < 0 ||
        shoal_spawn(node, &producer_type, &here, &producer) < 0) {
        bench_die(shoal_last_error(node));
    }
    for (int round = 0; round < 2; round++) { /* the first one warms up */
        uint64_t n = round ? count : count / 10 / BURST * BURST;
        left = n;
        __atomic_store_n(&answered, 0, __ATOMIC_RELAXED);
        uint64_t start = bench_now_ns();
        for (int i = 0; i < CROSS_BURSTS; i++) {
            if (shoal_tell(node, producer, "tell", shoal_nil()) < 0) {
                bench_die(shoal_last_error(node));
            }
        }
        while (__atomic_load_n(&answered, __ATOMIC_RELAXED) < n) {
            if (shoal_poll(node, 100000, 1) < 0) {
                bench_die(shoal_last_error(node));
            }
        }
        took = (double)(bench_now_ns() - start) / (double)n;
    }
    return took;
}

static size_t resident_bytes(void)
{
    size_t total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%zu %zu", &total, &resident) != 2) {
        bench_die("no /proc/self/statm");
    }
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static double idle_bytes(shoal_node *node, uint64_t count)
{
    shoal_pid pid;
    size_t before = 0;
    for (uint64_t i = 0; i < count + 1000; i++) {
        if (i == 1000) {
            before = resident_bytes();
        }
        if (shoal_spawn(node, &consumer_type, NULL, &pid) < 0) {
            bench_die(shoal_last_error(node));
        }
    }
    return (double)(resident_bytes() - before) / (double)count;
}

static double measure(shoal_node *node, shoal_pid first, const char *mode, uint64_t count)
{
    run(node, first, mode, count / 10 / BURST * BURST);
    uint64_t start = bench_used_ns();
    run(node, first, mode, count);
    return (double)(bench_used_ns() - start) / (double)count;
}

static double bench(shoal_node *node, const char *mode, uint64_t count)
{
    shoal_pid producer;
    if (strcmp(mode, "idle") == 0) {
        return idle_bytes(node, count);
    } else if (strcmp(mode, "alive") == 0) {
        return spawn_alive(node, count);
    } else if (strcmp(mode, "cross") == 0) {
        return cross_tell(node, count);
    } else if (strcmp(mode, "spawn") == 0) {
        spawn_stop(node, count / 10 / BURST * BURST);
        uint64_t start = bench_used_ns();
        spawn_stop(node, count);
        return (double)(bench_used_ns() - start) / (double)count;
    } else if (strcmp(mode, "ring") == 0) {
        ring_make(node);
        return measure(node, actors[0], "hop", count);
    }
    if (shoal_spawn(node, &consumer_type, NULL, &consumer_pid) < 0 ||
        shoal_spawn(node, actor_count ? &many_type : &producer_type, NULL, &producer) < 0) {
        bench_die(shoal_last_error(node));
    }
    return measure(node, producer, mode, count);
}

int main(int argc, char **argv)
{
    bool many = argc == 4 && strcmp(argv[1], "many") == 0;
    char *as_three[] = {argv[0], argv[1], many ? argv[3] : NULL};
    uint64_t count = (many ? bench_count(3, as_three) : bench_count(argc, argv)) / BURST * BURST;
    shoal_node_config cfg;
    shoal_node *node;
    outside = strcmp(argv[1], "outside") == 0;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.threads = strcmp(argv[1], "cross") == 0;
    bench_pin(cfg.threads ? 1 : 0); /* the node's thread stays there */
    if (shoal_node_new(&cfg, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    bench_pin(0);
    if (many) {
        many_make(node, strtoull(argv[2], NULL, 10));
    }
    printf("%.3f\n", bench(node, argv[1], count));
    shoal_node_free(node);
    free(actors);
    return 0;
}
