/* proto/ping.c - the echo. */
#include "proto/ping.h"

size_t sh_ping_recv(sh_ping *p, sh_span in)
{
    if (p->in == SH_PING_BYTES || in.n == 0) {
        return 0;
    }
    size_t n = SH_PING_BYTES - (size_t)p->in;
    n = n < in.n ? n : in.n;
    memcpy(p->b + p->in, in.p, n);
    p->in = (uint8_t)(p->in + n);
    return n;
}

sh_span sh_ping_out(const sh_ping *p)
{
    return p->in == SH_PING_BYTES ? sh_span_of(p->b + p->sent, SH_PING_BYTES - (size_t)p->sent)
                                  : sh_span_none();
}

void sh_ping_sent(sh_ping *p, size_t n)
{
    p->sent = (uint8_t)(p->sent + n);
    if (p->sent == SH_PING_BYTES) {
        sh_ping_init(p);
    }
}
