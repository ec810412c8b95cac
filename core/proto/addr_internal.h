/* proto/addr_internal.h - shared by addr.c (components, binary form) and addr_text.c (text form) only. */
#ifndef SH_PROTO_ADDR_INTERNAL_H
#define SH_PROTO_ADDR_INTERNAL_H

#include "proto/addr.h"

/* Codes used by name; all are in the table of addr.c. */
enum {
    ADDR_IP4 = 4,
    ADDR_TCP = 6,
    ADDR_IP6 = 41,
    ADDR_DNS = 53,
    ADDR_DNS4 = 54,
    ADDR_DNS6 = 55,
    ADDR_DNSADDR = 56,
    ADDR_UDP = 273,
    ADDR_P2P = 421,
    ADDR_TLS = 448,
    ADDR_SNI = 449,
    ADDR_QUIC_V1 = 461,
    ADDR_WS = 477,
    ADDR_WSS = 478
};

/* How a value is written. */
enum addr_value {
    ADDR_NOTHING,
    ADDR_BYTE,    /* u8, decimal */
    ADDR_PORT,    /* u16 BE, decimal */
    ADDR_NUMBER,  /* u64 BE, decimal */
    ADDR_IPV4,    /* 4 bytes */
    ADDR_IPV6,    /* 16 bytes */
    ADDR_ONION,   /* bytes and a port, base32:decimal */
    ADDR_NAME,    /* text without a slash, not empty */
    ADDR_PATH,    /* text that swallows the rest of the address */
    ADDR_ESCAPED, /* text, percent-encoded */
    ADDR_PEER,    /* multihash, base58 */
    ADDR_HASH,    /* multihash, multibase u */
    ADDR_GARLIC,  /* bytes, base32 */
};

struct addr_protocol {
    uint32_t code;
    const char *name;
    enum addr_value value;
    int bytes; /* size of the value; -1: uvarint length and that many */
};

/* One component inside an address. */
struct addr_part {
    const struct addr_protocol *protocol;
    sh_span value; /* without its length */
};

const struct addr_protocol *sh_addr_by_name(sh_span name); /* NULL: unknown */
/* The next component, validated: 1, 0 at the end, SH_E_BAD_ADDRESS. */
int sh_addr_next(sh_reader *r, struct addr_part *part);
sh_reader sh_addr_reader(const sh_addr *a);

#endif
