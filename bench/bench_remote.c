/* bench_remote.c - messages between two processes over loopback, through libshoal.
 *   bench_remote ask64 COUNT    us an ask with a reply of 64 bytes each, one after the other
 *   bench_remote tell64 COUNT   million tells a second of 64 bytes, until the last one is handled; none may be lost
 *   bench_remote tell64k COUNT  MB a second of 64 KiB values, likewise
 *   bench_remote connect COUNT  us from the dial of a new node to the answer of its first ask (median)
 *   bench_remote dial COUNT     us until the dial's own callback (median) */
#include <shoal.h>

#include "bench.h"

enum { SMALL = 64, BIG = 65536, TEXT = 512 };

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

static int64_t ask_count(shoal_node *node, shoal_pid sink)
{
    shoal_result *result = NULL;
    int64_t n = 0;
    if (finish(node, shoal_ask(node, sink, "count", shoal_nil(), 60000, shoal_keep, &result),
               &result) < 0 ||
        shoal_as_i64(result->value, &n) < 0) {
        bench_die("no answer");
    }
    shoal_result_free(result);
    return n;
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

/* Messages a microsecond. */
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
    double each = (double)count * 1000 / (double)(bench_now_ns() - start);
    if (handled != (int64_t)count) {
        fprintf(stderr, "told %llu, handled %lld\n", (unsigned long long)count, (long long)handled);
        bench_die("messages were lost");
    }
    return each;
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
    } else {
        tell(node, sink, shoal_packed(&pack), count / 10 + 1);
        result = tell(node, sink, shoal_packed(&pack), count) * (size == SMALL ? 1 : BIG);
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
            ask_count(node, sink_of(node, place));
        }
        each[i < 5 ? 0 : i - 5] = (double)(bench_now_ns() - start) / 1000;
        shoal_node_free(node);
    }
    double result = each ? bench_median(each, count) : 0;
    free(each);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv);
    struct place place;
    int from;
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
