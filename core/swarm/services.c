/* swarm/services.c - takes what is said of a stream to the file that serves its protocol. */
#include "swarm/services.h"

#include "swarm/identify.h"
#include "swarm/kad.h"
#include "swarm/ping_serve.h"
#include "swarm/streams.h"

void sh_services_init(struct sh_swarm *s)
{
    static const char *const ours[] = {
        "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0",
        "/kameo/registry/1.0.0"}; /* in the order of enum sh_service */
    for (unsigned i = 0; i < s->cfg.protocol_count; i++) {
        s->protocols[s->protocol_count++] = s->cfg.protocols[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        s->protocols[s->protocol_count++] = ours[i];
    }
}

enum sh_service sh_services_of(const struct sh_swarm *s, unsigned proto)
{
    return proto < s->cfg.protocol_count
               ? SH_SERVE_USER
               : (enum sh_service)(SH_SERVE_IDENTIFY + (proto - s->cfg.protocol_count));
}

bool sh_services_open(struct sh_swarm *s, sh_stream *st)
{
    switch (st->service) {
    case SH_SERVE_USER: return true;
    case SH_SERVE_IDENTIFY:
    case SH_SERVE_PUSH: return sh_identify_open(s, st);
    case SH_SERVE_PING: return sh_ping_serve_open(s, st);
    case SH_SERVE_KAD: return sh_kad_open(s, st);
    }
    return true;
}

void sh_services_data(struct sh_swarm *s, sh_stream *st, sh_span data)
{
    switch (st->service) {
    case SH_SERVE_USER: break;
    case SH_SERVE_IDENTIFY:
    case SH_SERVE_PUSH: sh_identify_data(s, st, data); break;
    case SH_SERVE_PING: sh_ping_serve_data(s, st, data); break;
    case SH_SERVE_KAD: sh_kad_data(s, st, data); break;
    }
}

void sh_services_fin(struct sh_swarm *s, sh_stream *st)
{
    switch (st->service) {
    case SH_SERVE_USER: break;
    case SH_SERVE_IDENTIFY:
    case SH_SERVE_PUSH: sh_identify_fin(s, st); break;
    case SH_SERVE_PING: sh_ping_serve_fin(s, st); break;
    case SH_SERVE_KAD: sh_kad_fin(s, st); break;
    }
}

void sh_services_writable(struct sh_swarm *s, sh_stream *st)
{
    switch (st->service) {
    case SH_SERVE_USER: break;
    case SH_SERVE_IDENTIFY:
    case SH_SERVE_PUSH: sh_stream_drain(st); break;
    case SH_SERVE_PING: sh_ping_serve_data(s, st, sh_span_none()); break;
    case SH_SERVE_KAD: sh_kad_writable(s, st); break;
    }
}

void sh_services_over(struct sh_swarm *s, sh_stream *st, int err)
{
    switch (st->service) {
    case SH_SERVE_USER:
    case SH_SERVE_PUSH:
    case SH_SERVE_PING: break;
    case SH_SERVE_IDENTIFY: sh_identify_over(s, st, err); break;
    case SH_SERVE_KAD: sh_kad_over(s, st, err); break;
    }
}
