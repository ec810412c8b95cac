/* tests/unit/proto/stack_world.h - two connections over one pipe, their keys and memory, and what
 * each side saw. */
#ifndef SH_TESTS_STACK_WORLD_H
#define SH_TESTS_STACK_WORLD_H

#include "../base/check.h"
#include "pump.h"

#include "base/sh_limits.h"
#include "proto/stack_internal.h"

enum { HANDSHAKE_US = 10000000 };

struct world {
    sh_mem_counter counter;
    sh_block_pool pool;
    sh_quota quota;
    sh_rng_seeded seeded;
    sh_rng rng;
    sh_identity id[2];
    sh_noise_static ns[2];
    struct pump pump;
};

static struct world W;

static inline void world_start(void)
{
    memset(&W, 0, sizeof W);
    const sh_mem *mem = sh_mem_counted(&W.counter, sh_mem_system());
    sh_block_pool_init(&W.pool, mem, NULL, 16);
    sh_quota_init(&W.quota, NULL, 1 << 24);
    W.rng = sh_rng_seeded_init(&W.seeded, 5);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        assert_int_equal(sh_identity_from_seed(&W.id[i], seed), 0);
        assert_int_equal(sh_noise_static_init(&W.ns[i], &W.id[i], &W.rng), 0);
    }
    W.pump.rng = &W.rng;
    W.pump.now_us = 1000;
}

static inline void world_stop(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (W.pump.side[i]) {
            W.pump.side[i]->ops->free(W.pump.side[i]);
        }
        sh_identity_fini(&W.id[i]);
    }
    assert_int_equal(W.pool.out_count, 0);
    assert_int_equal(W.quota.used, 0);
    sh_block_pool_fini(&W.pool);
    assert_int_equal(W.counter.live_blocks, 0);
}

static inline struct sh_conn_config config(unsigned side)
{
    struct sh_conn_config cfg = {
        .mem = &W.counter.mem,
        .quota = &W.quota,
        .pool = &W.pool,
        .rng = &W.rng,
        .identity = &W.id[side],
        .noise_static = &W.ns[side],
        .dialer = side == 0,
        .streams_max = 256,
        .handshake_us = HANDSHAKE_US,
    };
    return cfg;
}

static inline sh_peer_id id_of(const sh_identity *id)
{
    uint8_t key[SH_ED25519_PROTO_BYTES];
    sh_peer_id peer;
    sh_identity_public_proto(id, key);
    assert_int_equal(sh_peer_id_from_key(&peer, sh_span_of(key, sizeof key)), 0);
    return peer;
}

/* A connection of each side; late: the muxer is agreed after Noise, as with rust-libp2p. */
static inline int join(bool late_dialer, bool late_listener)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sh_conn_config cfg = config(i);
        struct sh_stack_choice choice = {.late_muxer = i == 0 ? late_dialer : late_listener};
        if (i == 0) {
            cfg.expect = id_of(&W.id[1]);
        }
        int rc = sh_stack_new_with(&cfg, &choice, W.pump.now_us, &W.pump.side[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- what the sides saw --- */

struct seen {
    unsigned up, closed, streams, fins, resets, writables, pongs;
    int err;
    char why[128];
    uint64_t code;
    sh_peer_id peer;
    uint64_t last_stream;
    size_t bytes;
    uint8_t tail[64]; /* the latest bytes */
};
static struct seen S[2];

static inline void see(void *ud, unsigned side, const struct sh_conn_ev *ev)
{
    (void)ud;
    struct seen *s = &S[side];
    sh_conn *c = W.pump.side[side];
    assert_int_equal(s->closed, 0);
    assert_true(s->up == 1 || ev->kind == SH_CONN_UP || ev->kind == SH_CONN_CLOSED);
    switch (ev->kind) {
    case SH_CONN_UP:
        s->up++;
        s->peer = ev->peer;
        break;
    case SH_CONN_STREAM:
        s->streams++;
        s->last_stream = ev->stream;
        break;
    case SH_CONN_DATA:
        for (size_t i = ev->data.n > 64 ? ev->data.n - 64 : 0; i < ev->data.n; i++) {
            s->tail[(s->bytes + i) % 64] = ev->data.p[i];
        }
        s->bytes += ev->data.n;
        c->ops->credit(c, ev->stream, ev->data.n);
        break;
    case SH_CONN_FIN: s->fins++; break;
    case SH_CONN_RESET:
        s->resets++;
        s->code = ev->code;
        break;
    case SH_CONN_WRITABLE: s->writables++; break;
    case SH_CONN_PONG: s->pongs++; break;
    case SH_CONN_CLOSED:
        s->closed++;
        s->err = ev->err;
        s->code = ev->code;
        snprintf(s->why, sizeof s->why, "%s", ev->why);
        break;
    }
}

static inline void connect_world(enum pump_split split)
{
    memset(S, 0, sizeof S);
    W.pump.event = see;
    W.pump.split = split;
    assert_int_equal(join(false, false), 0);
    pump_run(&W.pump);
    assert_int_equal(S[0].up, 1);
    assert_int_equal(S[1].up, 1);
}

#endif
