/* flows.c - the streams of this program: the echo protocol from both ends, and identify and ping asked of others. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "swarm/conns.h"
#include "swarm/peers.h"
#include "swarm/streams.h"

enum { FLOW_PIECE = 16384, FLOW_RESET_BYTES = 1024 };

static struct flow *flow_new(enum flow_kind kind, struct op *op, sh_stream *stream)
{
    struct flow *f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    sh_list_init(&f->of_op);
    f->kind = kind;
    f->op = op;
    f->stream = stream;
    sh_stream_set_user(stream, f);
    if (op) {
        sh_list_push_back(&op->flows, &f->of_op);
        f->number = op->opened++;
    }
    return f;
}

static void flow_free(struct flow *f)
{
    sh_list_remove(&f->of_op);
    bytes_free(&f->kept);
    free(f);
}

static void flow_reset(struct flow *f)
{
    sh_stream_reset(f->stream, 0);
    flow_free(f);
}

void flows_end(struct op *op)
{
    SH_LIST_FOREACH_SAFE(it, &op->flows)
    {
        flow_reset(SH_CONTAINER(it, struct flow, of_op));
    }
}

/* The swarm answers identify and ping itself and asks identify on its own. To see what another peer says, we open one
 * more such stream and have its bytes told as if the protocol were ours. */
static int open_service(struct peer *p, struct op *op, enum sh_service service, sh_stream **out)
{
    struct sh_peer *to = sh_peers_at(p->swarm, op->peer);
    struct sh_swarm_conn *c = to ? sh_peer_conn(to) : NULL;
    unsigned proto = p->swarm->cfg.protocol_count + (unsigned)service - SH_SERVE_IDENTIFY;
    int err = c ? sh_streams_open(p->swarm, c, proto, out) : SH_E_UNREACHABLE;
    if (err == 0) {
        (*out)->service = SH_SERVE_USER;
    }
    return err;
}

int flow_open(struct peer *p, struct op *op, enum flow_kind kind)
{
    sh_stream *st;
    int err;
    if (kind == FLOW_IDENTIFY || kind == FLOW_PING) {
        err = open_service(p, op, kind == FLOW_PING ? SH_SERVE_PING : SH_SERVE_IDENTIFY, &st);
    } else {
        err = sh_swarm_open(p->swarm, op->peer, 0, NULL, &st);
    }
    if (err == 0 && !flow_new(kind, op, st)) {
        sh_stream_reset(st, 0);
        err = SH_E_NOMEM;
    }
    return err;
}

/* --- what is sent and compared --- */

static uint8_t pattern(const struct flow *f, uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + f->number * 13 + 5);
}

static uint64_t flow_bytes(const struct flow *f)
{
    switch (f->kind) {
    case FLOW_ECHO: return f->op->bytes;
    case FLOW_RESET: return FLOW_RESET_BYTES;
    case FLOW_PING: return SH_PING_BYTES;
    case FLOW_SERVE:
    case FLOW_IDENTIFY: break;
    }
    return 0;
}

void flow_pump(struct flow *f)
{
    uint8_t piece[FLOW_PIECE];
    uint64_t bytes = flow_bytes(f);
    while (f->sent < bytes) {
        size_t n = bytes - f->sent < sizeof piece ? (size_t)(bytes - f->sent) : sizeof piece;
        for (size_t i = 0; i < n; i++) {
            piece[i] = pattern(f, f->sent + i);
        }
        int64_t put = sh_stream_write(f->stream, sh_span_of(piece, n));
        if (put <= 0) {
            return;
        }
        f->sent += (uint64_t)put;
    }
    bool half_closes = f->kind == FLOW_ECHO || f->kind == FLOW_IDENTIFY;
    if (half_closes && !f->shut) {
        f->shut = true;
        sh_stream_shut(f->stream);
    }
}

static void serve_pump(struct flow *f)
{
    if (f->kept.n > 0) {
        int64_t put = sh_stream_write(f->stream, sh_span_of(f->kept.b, f->kept.n));
        if (put > 0) {
            bytes_drop(&f->kept, (size_t)put);
            sh_stream_consumed(f->stream, (size_t)put);
        }
    }
    if (f->fin && f->kept.n == 0 && !f->shut) {
        f->shut = true;
        sh_stream_shut(f->stream);
    }
}

/* --- what streams tell --- */

static void flow_opened(struct peer *p, struct flow *f)
{
    f->open = true;
    f->asked_us = p->now_us;
    if (f->kind != FLOW_ECHO) {
        flow_pump(f);
        return;
    }
    struct op *op = f->op;
    if (++op->agreed < op->streams) {
        return;
    }
    SH_LIST_FOREACH(it, &op->flows)
    {
        flow_pump(SH_CONTAINER(it, struct flow, of_op));
    }
}

static void flow_compare(struct flow *f, sh_span data)
{
    for (size_t i = 0; i < data.n; i++) {
        f->differs = f->differs || data.p[i] != pattern(f, f->got + i);
    }
    f->got += data.n;
}

static void flow_data(struct peer *p, struct flow *f, sh_span data)
{
    struct op *op = f->op;
    sh_stream *st = f->stream;
    if (f->kind == FLOW_SERVE) {
        if (!bytes_add(&f->kept, data)) {
            flow_reset(f);
            return;
        }
        serve_pump(f);
        return;
    }
    if (f->kind == FLOW_IDENTIFY) {
        bytes_add(&op->card, data);
    } else {
        flow_compare(f, data);
    }
    sh_stream_consumed(st, data.n);
    if (f->kind == FLOW_ECHO || f->kind == FLOW_IDENTIFY || f->got < flow_bytes(f)) {
        return;
    }
    if (f->differs) {
        op_fail(p, op, "what came back differs");
        return;
    }
    op->rtt_us = peer_clock_us() - f->asked_us;
    op->told = true;
    if (f->kind == FLOW_RESET) {
        flow_reset(f);
    } else {
        sh_stream_shut(st);
    }
}

static void flow_over(struct peer *p, struct flow *f, const struct sh_swarm_event *ev)
{
    struct op *op = f->op;
    bool whole = f->fin && !f->differs && f->got == flow_bytes(f);
    enum flow_kind kind = f->kind;
    if (kind == FLOW_ECHO && !whole) {
        snprintf(op->why, sizeof op->why,
                 "stream %u: %s (%s, code 0x%llx), sent %llu, got %llu%s%s", f->number, ev->text,
                 sh_err_name(ev->err), (unsigned long long)ev->code, (unsigned long long)f->sent,
                 (unsigned long long)f->got, f->fin ? " and FIN" : "",
                 f->differs ? ", differs" : "");
    }
    flow_free(f);
    if (kind == FLOW_ECHO) {
        op->ended++;
        op->done += whole ? 1u : 0u;
    } else if (op && !op->told) {
        op_fail(p, op, ev->text);
    }
}

void flow_event(struct peer *p, const struct sh_swarm_event *ev)
{
    struct flow *f = sh_stream_user(ev->stream);
    if (ev->kind == SH_SWARM_STREAM_IN) {
        if (!flow_new(FLOW_SERVE, NULL, ev->stream)) {
            sh_stream_reset(ev->stream, 0);
        }
        return;
    }
    switch ((int)ev->kind) {
    case SH_SWARM_STREAM_OPEN: flow_opened(p, f); break;
    case SH_SWARM_STREAM_DATA: flow_data(p, f, ev->data); break;
    case SH_SWARM_STREAM_WRITABLE:
        if (f->kind == FLOW_SERVE) {
            serve_pump(f);
        } else if (f->kind != FLOW_ECHO || f->op->agreed == f->op->streams) {
            flow_pump(f);
        }
        break;
    case SH_SWARM_STREAM_FIN:
        f->fin = true;
        if (f->kind == FLOW_SERVE) {
            serve_pump(f);
        } else if (f->kind == FLOW_IDENTIFY) {
            f->op->told = true;
        }
        break;
    case SH_SWARM_STREAM_END: flow_over(p, f, ev); break;
    default: break;
    }
}
