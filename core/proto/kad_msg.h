/* proto/kad_msg.h - codec of the Kademlia messages of libp2p, as Kameo's registry uses them.
 *
 * Shape    decode makes one block of memory that the message's spans point into; free gives it back.
 * Input    one message without its length prefix, at most SH_KAD_MESSAGE_MAX bytes.
 * Output   encode writes the length prefix and the message; closer peers that do not fit are left out.
 * Memory   decode: at most SH_KAD_DECODE_MAX bytes of mem, all given back by free.
 * Spec     github.com/libp2p/specs kad-dht/README.md; unknown fields are skipped. */
#ifndef SH_PROTO_KAD_MSG_H
#define SH_PROTO_KAD_MSG_H

#include "base/mem.h"
#include "base/sh_limits.h"
#include "base/span.h"
#include "crypto/peer_id.h"

enum sh_kad_type {
    SH_KAD_PUT_VALUE = 0,
    SH_KAD_GET_VALUE = 1,
    SH_KAD_ADD_PROVIDER = 2,
    SH_KAD_GET_PROVIDERS = 3,
    SH_KAD_FIND_NODE = 4,
    SH_KAD_PING = 5,
};

struct sh_kad_peer {
    sh_peer_id id;
    uint8_t addr_count;
    bool connected;
    sh_span addrs[SH_KAD_PEER_ADDRS_MAX]; /* multiaddr bytes, not validated */
};

struct sh_kad_record {
    sh_span key;
    sh_span value;
    sh_span publisher; /* peer id bytes; n = 0: not told */
    uint32_t ttl_s;    /* 0: not told */
};

struct sh_kad_msg {
    enum sh_kad_type type;
    sh_span key;
    bool has_record;
    struct sh_kad_record record;
    unsigned closer_count;
    unsigned provider_count;
    struct sh_kad_peer *closer; /* entries with a malformed id were dropped */
    struct sh_kad_peer *provider;
    bool reply;  /* encode: level 9 instead of 10 */
    void *owned; /* decode: what free gives back */
};

/* 0; SH_E_PROTO (malformed, unknown type), SH_E_NOMEM. On failure nothing is owned. */
int sh_kad_msg_decode(const sh_mem *mem, sh_span in, struct sh_kad_msg *out);
void sh_kad_msg_free(const sh_mem *mem, struct sh_kad_msg *m);

/* Length prefix and message into buf; returns the length. Closer peers, then addresses of providers, then
 * providers are dropped from the end until it fits; SH_E_LIMIT if it cannot. */
int sh_kad_msg_encode(const struct sh_kad_msg *m, uint8_t *buf, size_t cap);

#endif
