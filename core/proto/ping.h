/* proto/ping.h - the answering side of /ipfs/ping/1.0.0: 32 bytes in, the same 32 bytes out, again and again.
 *
 * Shape    a pure machine by value; it eats nothing while an echo waits, so a peer cannot make echoes pile up.
 * Spec     github.com/libp2p/specs ping/ping.md. The echo is owed even after the peer's FIN (js half-closes first). */
#ifndef SH_PROTO_PING_H
#define SH_PROTO_PING_H

#include "base/sh_limits.h"
#include "base/span.h"

typedef struct sh_ping {
    uint8_t b[SH_PING_BYTES];
    uint8_t in;   /* bytes gathered of the present ping */
    uint8_t sent; /* bytes of its echo that were written */
} sh_ping;

static inline void sh_ping_init(sh_ping *p)
{
    p->in = 0;
    p->sent = 0;
}

size_t sh_ping_recv(sh_ping *p, sh_span in); /* bytes eaten */
sh_span sh_ping_out(const sh_ping *p);       /* echo to write; n = 0: none */
void sh_ping_sent(sh_ping *p, size_t n);

#endif
