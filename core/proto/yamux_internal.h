/* proto/yamux_internal.h - shared by yamux.c (streams, sending) and yamux_recv.c (parsing) only. */
#ifndef SH_PROTO_YAMUX_INTERNAL_H
#define SH_PROTO_YAMUX_INTERNAL_H

#include "proto/yamux.h"

enum { YAMUX_DATA = 0, YAMUX_UPDATE = 1, YAMUX_PING = 2, YAMUX_AWAY = 3 };
enum { YAMUX_SYN = 1u << 0, YAMUX_ACK = 1u << 1, YAMUX_FIN = 1u << 2, YAMUX_RST = 1u << 3 };

/* Ends the link; the first reason stays. */
void sh_yamux_fail(sh_yamux *y, int err, const char *why);
/* Queues a header without a body; a failure ends the link. */
void sh_yamux_control(sh_yamux *y, unsigned type, unsigned flags, uint32_t id, uint32_t length);
/* The same in answer to the peer, which may not make too many of them pile up. */
void sh_yamux_reply(sh_yamux *y, unsigned type, unsigned flags, uint32_t id, uint32_t length);
sh_yamux_stream *sh_yamux_find(const sh_yamux *y, uint64_t stream);
/* A new stream in the table: 0, SH_E_LIMIT, SH_E_NOMEM. */
int sh_yamux_add(sh_yamux *y, uint32_t id, bool inbound, sh_yamux_stream **out);
void sh_yamux_forget(sh_yamux *y, sh_yamux_stream *st);
void sh_yamux_acked(sh_yamux *y, sh_yamux_stream *st);

#endif
