/* proto/addr.h - multiaddr: self-describing addresses, in binary form inside, as text for people.
 *
 * Shape    a value: up to SH_ADDR_BYTES_MAX bytes of validated components.
 * Spec     github.com/multiformats/multiaddr; codes in the table of addr.c. Compared in binary form. */
#ifndef SH_PROTO_ADDR_H
#define SH_PROTO_ADDR_H

#include "base/span.h"
#include "crypto/peer_id.h"

enum { SH_ADDR_BYTES_MAX = 380, SH_ADDR_TEXT_MAX = 1024 };

typedef struct sh_addr {
    uint16_t n;
    uint8_t b[SH_ADDR_BYTES_MAX];
} sh_addr;

enum sh_addr_host {
    SH_HOST_IP4,
    SH_HOST_IP6,
    SH_HOST_DNS,
    SH_HOST_DNS4,
    SH_HOST_DNS6,
    SH_HOST_DNSADDR
};
enum sh_addr_transport {
    SH_TRANSPORT_NONE,
    SH_TRANSPORT_TCP,
    SH_TRANSPORT_WS,
    SH_TRANSPORT_WSS,
    SH_TRANSPORT_QUIC
};

/* What a dialler or listener needs of an address. */
struct sh_endpoint {
    enum sh_addr_host host;
    enum sh_addr_transport transport;
    uint8_t ip[16]; /* IP4: first 4 bytes */
    char name[256]; /* DNS*: the name */
    uint16_t port;
    bool has_peer;
    sh_peer_id peer; /* of a trailing /p2p/<id> */
};

int sh_addr_parse(sh_addr *a, const char *text, size_t n); /* 0 or SH_E_BAD_ADDRESS */
int sh_addr_from_bytes(sh_addr *a, sh_span bytes);         /* validates every component */
int sh_addr_text(const sh_addr *a, char *buf, size_t cap); /* length without NUL, or SH_E_LIMIT */
bool sh_addr_eq(const sh_addr *a, const sh_addr *b);
/* 0, or SH_E_BAD_ADDRESS (malformed for dialling), SH_E_UNSUPPORTED (a transport this build does not speak). */
int sh_addr_endpoint(const sh_addr *a, struct sh_endpoint *out);
int sh_addr_from_ip(sh_addr *a, enum sh_addr_host host, const uint8_t *ip,
                    uint16_t port);                        /* /ip4|ip6/../tcp/.. */
int sh_addr_with_peer(sh_addr *a, const sh_peer_id *peer); /* appends /p2p/<id>, replacing one */
void sh_addr_strip_peer(sh_addr *a);                       /* drops a trailing /p2p/<id> */
bool sh_addr_is_unspecified(const sh_addr *a);             /* 0.0.0.0, ::, port 0 */
bool sh_addr_is_loopback(const sh_addr *a);

#endif
