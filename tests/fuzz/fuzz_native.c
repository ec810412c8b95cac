/* tests/fuzz/fuzz_native.c - a peer's bytes into a native session: never a crash, never over the limits.
 *
 * Node 0 is ours, node 1 a puppet that opens a stream, says HELLO and then writes the input in pieces. */
#include "remote/remote.h"

#define FAKE_SMALL
#include "../unit/remote/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUOTA = 64 << 20, PIECE = 700 };

/* Longer turns than a test's: what is of interest are the bytes. */
static void pass(struct harness *h, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        h->now += 9000;
        h_step(h);
    }
}

static size_t hello(uint8_t *buf, size_t cap, uint64_t answers)
{
    sh_writer w = sh_writer_of(buf, cap);
    sh_put_u8(&w, 0); /* the length, below */
    sh_put_u8(&w, 1);
    sh_put_uvarint(&w, 1);
    sh_put_u64le(&w, 77);
    sh_put_uvarint(&w, 1);
    sh_put_uvarint(&w, answers);
    sh_put_uvarint(&w, 1 << 20);
    buf[0] = (uint8_t)(sh_put_len(&w) - 1);
    return (size_t)sh_put_len(&w);
}

/* The corpus names this actor; the live one is put in its place. */
static void name_actor(uint8_t *data, size_t size, uint64_t actor)
{
    uint8_t from[8];
    sh_store_u64le(from, UINT64_C(0x0000000700000001));
    for (size_t i = 0; i + 8 <= size; i++) {
        if (memcmp(data + i, from, 8) == 0) {
            sh_store_u64le(data + i, actor);
        }
    }
}

static void run(const uint8_t *input, size_t size)
{
    struct harness *h = h_new(9, 1);
    sh_swarm *puppet = fake_net_node(h->net, 1);
    struct h_node *n = &h->node[0];
    struct sh_peer_ref ref;
    sh_stream *st;
    uint8_t buf[64];
    sh_pid a = h_spawn(h, 0), b = a;
    sh_remote_export(n->remote, a);
    uint8_t *data = fake_copy(sh_span_of(input, size));
    name_actor(data, size, a.actor);
    bool plain = size && (data[0] & 1); /* else the input brings its own HELLO */
    fake_net_connect(h->net, 1, 0);
    sh_swarm_peer(puppet, &h->net->ids[0], &ref);
    if (sh_swarm_open(puppet, ref, 0, NULL, &st) != 0) {
        abort();
    }
    if (plain) {
        sh_stream_write(st, sh_span_of(buf, hello(buf, sizeof buf, 0)));
    }
    b = h_pid(h, 0, 1, (sh_pid){0x700000001, 0, 0});
    h_tell(h, 0, b, 1);
    sh_runtime_monitor(n->rt, TOKEN, a, b);
    sh_runtime_link(n->rt, TOKEN, a, h_pid(h, 0, 1, (sh_pid){0x700000002, 0, 0}));
    h_ask(h, 0, b, "n", 2, 30, NULL);
    struct sh_swarm_event ev;
    for (size_t at = size ? 1 : 0; at < size; at += PIECE) {
        if (!st->dead && !st->ending) {
            sh_stream_write(st, sh_span_take(sh_span_of(data + at, size - at), PIECE));
        }
        h_step(h);
        while (sh_swarm_event(puppet, &ev, h->now)) {
            if (ev.kind == SH_SWARM_STREAM_DATA) {
                sh_stream_consumed(ev.stream, ev.data.n);
            }
        }
        if (n->quota.used > QUOTA) {
            abort();
        }
    }
    pass(h, 40);
    while (sh_swarm_event(puppet, &ev, h->now)) {
    }
    fake_net_leave(h->net, 1);
    pass(h, 400);
    for (size_t i = 0; i < h->asks_n; i++) {
        if (h->asks[i].ends != 1) {
            abort();
        }
    }
    free(data);
    h_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run(data, size);
    return 0;
}
