/* swarm/ping_serve.c - echoes to other peers' pings. */
#include "swarm/ping_serve.h"

#include "swarm/conns.h"
#include "swarm/streams.h"

bool sh_ping_serve_open(struct sh_swarm *s, sh_stream *st)
{
    unsigned open = 0;
    SH_LIST_FOREACH(it, &st->conn->streams)
    {
        const sh_stream *other = SH_CONTAINER(it, sh_stream, of_conn);
        open += other->service == SH_SERVE_PING && other->state == SH_STREAM_OPEN ? 1u : 0u;
    }
    if (open > SH_PING_STREAMS_MAX) {
        sh_stream_drop(s, st, 0);
        return false;
    }
    sh_ping_init(&st->work->ping);
    return true;
}

/* Echoes what it can; while an echo cannot be written the rest waits in work->in, uncredited. */
static void serve_pump(sh_stream *st)
{
    for (;;) {
        sh_span echo = sh_ping_out(&st->work->ping);
        if (echo.n > 0) {
            int64_t n = st->conn->machine->ops->write(st->conn->machine, st->id, echo);
            sh_conns_touch(st->swarm, st->conn);
            if (n <= 0) {
                return;
            }
            sh_ping_sent(&st->work->ping, (size_t)n);
            continue;
        }
        size_t n = sh_ping_recv(&st->work->ping, sh_span_of(st->work->in.b, st->work->in.n));
        sh_buf_consume(&st->work->in, n);
        sh_stream_credit(st, n);
        if (n == 0) {
            return;
        }
    }
}

static void serve_end(struct sh_swarm *s, sh_stream *st)
{
    if (st->fin_in && st->work->in.n == 0 && sh_ping_out(&st->work->ping).n == 0) {
        st->fin_out = true;
        sh_stream_drain(st);
        sh_stream_free(s, st);
    }
}

void sh_ping_serve_data(struct sh_swarm *s, sh_stream *st, sh_span data)
{
    if (data.n > 0 && sh_buf_append(s, &st->work->in, data) != 0) {
        sh_stream_drop(s, st, 0);
        return;
    }
    serve_pump(st);
    serve_end(s, st);
}

void sh_ping_serve_fin(struct sh_swarm *s, sh_stream *st)
{
    serve_end(s, st);
}
