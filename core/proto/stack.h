/* proto/stack.h - what tests and captures need beyond sh_stack_new of conn.h: a connection with
 * chosen secrets. */
#ifndef SH_PROTO_STACK_H
#define SH_PROTO_STACK_H

#include "proto/conn.h"

struct sh_stack_choice {
    const uint8_t *ephemeral; /* 32 bytes for the handshake; NULL: from cfg->rng */
    bool late_muxer;          /* do not offer the muxer inside Noise, as rust-libp2p does not */
};

int sh_stack_new_with(const struct sh_conn_config *cfg, const struct sh_stack_choice *choice,
                      uint64_t now_us, sh_conn **out);

/* The shortest or average round trip of ping(); 0: not measured, and windows do not grow. */
uint64_t sh_stack_rtt_us(const sh_conn *c);

#endif
