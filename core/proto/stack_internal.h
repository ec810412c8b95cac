/* proto/stack_internal.h - shared by stack.c (the connection) and stack_handshake.c (until it is
 * secured) only. */
#ifndef SH_PROTO_STACK_INTERNAL_H
#define SH_PROTO_STACK_INTERNAL_H

#include "proto/mss.h"
#include "proto/noise.h"
#include "proto/stack.h"
#include "proto/yamux.h"

enum stack_phase {
    STACK_SECURITY, /* multistream-select for Noise, on the raw pipe */
    STACK_NOISE,    /* its three messages */
    STACK_MUXER,    /* multistream-select for yamux, inside Noise */
    STACK_UP,
    STACK_OVER, /* failed, ended or closed */
};

/* Only until the owner was told that the connection is up. */
struct stack_handshake {
    sh_mss mss;
    sh_noise noise;
    uint64_t seed; /* of the stream table */
    struct sh_noise_peer peer;
    sh_peer_id expect; /* n = 0: anybody */
    sh_noise_static own;
    const sh_identity *identity;
    uint32_t streams_max;
    bool late_muxer;
};

typedef struct sh_stack {
    sh_conn conn; /* first: the handle is this */
    const sh_mem *mem;
    sh_quota *quota;
    sh_block_pool *pool;
    struct stack_handshake *hs; /* NULL once told_up */
    sh_block *in;               /* head..tail: raw bytes not yet looked at; NULL: nothing waits */
    uint32_t plain_at;          /* opened plaintext in `in`, before head */
    uint32_t plain_n;
    enum stack_phase phase;
    bool dialer;
    bool eof;
    bool told_up;
    bool told_closed;
    bool broke; /* the owner was told by the deadline that out.err is set */
    uint64_t deadline_us;
    uint64_t rx_nonce;
    sh_aead seal;
    sh_aead open;
    sh_outq out;
    sh_yamux yamux;
    int err;
    const char *why;
    uint64_t code; /* of the peer's go-away */
} sh_stack;

/* Ends the connection; the first reason stays. */
void sh_stack_fail(sh_stack *s, int err, const char *why);
/* Opens the next frame in place: plain_at, plain_n. False: not all of it is there, or the
 * connection is over. */
bool sh_stack_open_frame(sh_stack *s);
static inline sh_span sh_stack_plain(const sh_stack *s)
{
    return s->plain_n ? sh_span_of(s->in->data + s->plain_at, s->plain_n) : sh_span_none();
}

int sh_stack_handshake_new(sh_stack *s, const struct sh_conn_config *cfg,
                           const struct sh_stack_choice *choice);
void sh_stack_handshake_free(sh_stack *s);
/* Does what the bytes at hand allow; phase tells how far it came. */
void sh_stack_handshake_step(sh_stack *s);

#endif
