/* proto/identify.h - codec of identify and identify push: who a peer is, where it listens, what it speaks.
 *
 * Shape    an sh_identify gathers up to SH_IDENTIFY_MESSAGES_MAX messages: go cuts a long one in two.
 * Input    one message at a time, without its length prefix.   Output   one message with its prefix.
 * Memory   by value; lists are copied into it, what exceeds a bound is dropped.
 * Spec     github.com/libp2p/specs identify/README.md. Signed peer records are neither sent nor read. */
#ifndef SH_PROTO_IDENTIFY_H
#define SH_PROTO_IDENTIFY_H

#include "base/mem.h"
#include "base/sh_limits.h"
#include "proto/addr.h"

typedef struct sh_identify {
    unsigned messages; /* read so far */
    unsigned addr_count;
    sh_addr addrs[SH_IDENTIFY_ADDRS_MAX]; /* validated, without /p2p */
    unsigned protocol_count;              /* of all protocols told */
    uint64_t spoken;                      /* bit i: known[i] of the last decode is among them */
    bool has_observed;
    sh_addr observed; /* validated, without /p2p */
    char agent[64];   /* printable part, cut */
} sh_identify;

/* Merges one message into id (zeroed before the first): repeated fields are added, scalars replaced.
 *   known   known_count protocol names (at most 64) to look for
 * 0; SH_E_PROTO; SH_E_LIMIT (too many messages); SH_E_NOMEM. What is wrong inside (an address) is dropped. */
int sh_identify_decode(const sh_mem *mem, sh_span in, const char *const *known,
                       unsigned known_count, sh_identify *id);

struct sh_identify_out {
    sh_span public_key; /* key protobuf */
    const sh_addr *addrs;
    unsigned addr_count;
    const char *const *protocols;
    unsigned protocol_count;
    const sh_addr *observed; /* NULL: none */
    const char *agent;
};

/* Length prefix and message; addresses are dropped until it is within SH_IDENTIFY_FIRST_MAX and cap. */
int sh_identify_encode(const struct sh_identify_out *out, uint8_t *buf, size_t cap);

#endif
