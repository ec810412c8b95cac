/* bench_local.c - messages within one node through libshoal: inline node, one executor.
 *   bench_local tell COUNT     ns a message: a producer's handler tells bursts, by name, of a small value
 *   bench_local outside COUNT  the same bursts told with shoal_tell, from outside handlers
 *   bench_local ask COUNT      ns an ask with deadline and reply, from a handler
 *   bench_local idle COUNT     bytes that the process grows by for one more idle actor */
#include <shoal.h>

#include "bench.h"

enum { BURST = 256 };

struct consumer {
    int64_t n;
};

static uint64_t left, answered;
static shoal_pid consumer_pid;
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
    if (++answered % BURST == 0 && left > 0 &&
        !outside) { /* the next burst: the queue stays short */
        return shoal_cx_tell(cx, shoal_cx_sender(cx), "tell", shoal_nil());
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

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv) / BURST * BURST;
    shoal_node *node;
    outside = strcmp(argv[1], "outside") == 0;
    shoal_pid producer;
    if (shoal_node_new(NULL, &node) < 0) {
        bench_die(shoal_last_error(NULL));
    }
    if (strcmp(argv[1], "idle") == 0) {
        printf("%.1f\n", idle_bytes(node, count));
    } else if (shoal_spawn(node, &consumer_type, NULL, &consumer_pid) < 0 ||
               shoal_spawn(node, &producer_type, NULL, &producer) < 0) {
        bench_die(shoal_last_error(node));
    } else {
        run(node, producer, argv[1], count / 10 / BURST * BURST);
        uint64_t start = bench_used_ns();
        run(node, producer, argv[1], count);
        printf("%.3f\n", (double)(bench_used_ns() - start) / (double)count);
    }
    shoal_node_free(node);
    return 0;
}
