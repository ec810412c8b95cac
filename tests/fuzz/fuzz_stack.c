/* tests/fuzz/fuzz_stack.c - bytes as the peer of a connection: on the raw pipe, or behind a
 * finished handshake.
 *
 * The first byte says how: 1 we dial, 2 behind a handshake, 4 three bytes at a time, 8 real cryptography. */
#include <stdlib.h>

#include "proto/stack_internal.h"

#include "../sim/cheap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    sh_block_pool pool;
    sh_quota quota;
    sh_rng_seeded seeded;
    sh_rng rng;
    const sh_identity *id;
    sh_noise_static ns;
};

static sh_conn *connection(struct world *w, bool dialer, bool late_muxer)
{
    struct sh_conn_config cfg = {
        .mem = sh_mem_system(),
        .quota = &w->quota,
        .pool = &w->pool,
        .rng = &w->rng,
        .identity = w->id,
        .noise_static = &w->ns,
        .dialer = dialer,
        .streams_max = 8,
        .handshake_us = 1000,
    };
    struct sh_stack_choice choice = {.late_muxer = late_muxer};
    sh_conn *c;
    if (sh_stack_new_with(&cfg, &choice, 0, &c) < 0) {
        abort();
    }
    return c;
}

static void take_events(sh_conn *c)
{
    struct sh_conn_ev ev;
    bool closed = false;
    while (c->ops->event(c, &ev, 5)) {
        if (closed) {
            abort(); /* CLOSED is the last one */
        }
        closed = ev.kind == SH_CONN_CLOSED;
        if (ev.kind == SH_CONN_DATA) {
            c->ops->write(c, ev.stream, ev.data);
            c->ops->credit(c, ev.stream, ev.data.n);
        } else if (ev.kind == SH_CONN_FIN) {
            c->ops->shut(c, ev.stream);
        }
    }
    c->ops->flush(c);
}

static void feed(sh_conn *c, sh_span in, size_t step)
{
    while (in.n > 0) {
        size_t room;
        uint8_t *at = c->ops->room(c, &room);
        if (!at || room == 0) {
            return;
        }
        size_t n = in.n < step ? in.n : step;
        n = n < room ? n : room;
        memcpy(at, in.p, n);
        c->ops->filled(c, n, 5);
        take_events(c);
        in = sh_span_skip(in, n);
    }
}

/* Moves all output of one to the other; true if there was any. */
static bool move(sh_conn *from, sh_conn *to, size_t step)
{
    sh_span out = from->ops->out(from);
    feed(to, out, step);
    from->ops->sent(from, out.n);
    return out.n > 0;
}

static void behind_handshake(struct world *w, bool dialer, sh_span in, size_t step)
{
    sh_conn *c = connection(w, dialer, false), *peer = connection(w, !dialer, false);
    for (bool more = true; more;) {
        bool one = move(c, peer, SIZE_MAX);
        more = move(peer, c, SIZE_MAX) || one;
    }
    sh_stack *hostile = (sh_stack *)(void *)peer;
    if (hostile->phase != STACK_UP) {
        abort();
    }
    if (sh_outq_put(&hostile->out, sh_span_take(in, 100000)) < 0) {
        abort();
    }
    peer->ops->flush(peer);
    while (move(peer, c, step)) {
    }
    c->ops->eof(c, 5);
    take_events(c);
    c->ops->free(c);
    peer->ops->free(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {1};
    static sh_identity id; /* made once: it costs more than the rest */
    struct world w = {.id = &id};
    if (size == 0) {
        return 0;
    }
    cheap_crypto((data[0] & 8) == 0);
    sh_quota_init(&w.quota, NULL, 1 << 22);
    sh_block_pool_init(&w.pool, sh_mem_system(), NULL, 2);
    w.rng = sh_rng_seeded_init(&w.seeded, 1);
    if ((!id.key && sh_identity_from_seed(&id, seed) < 0) ||
        sh_noise_static_init(&w.ns, &id, &w.rng) < 0) {
        abort();
    }
    sh_span in = sh_span_of(data + 1, size - 1);
    size_t step = (data[0] & 4) != 0 ? 3 : SIZE_MAX;
    bool dialer = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) {
        behind_handshake(&w, dialer, in, step);
    } else {
        sh_conn *c = connection(&w, dialer, true);
        feed(c, in, step);
        c->ops->eof(c, 5);
        take_events(c);
        c->ops->free(c);
    }
    sh_block_pool_fini(&w.pool);
    if (w.quota.used != 0) {
        abort();
    }
    return 0;
}
