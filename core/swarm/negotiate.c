/* swarm/negotiate.c - multistream-select on a stream, from its first byte to the protocol that is agreed on. */
#include "swarm/negotiate.h"

#include "swarm/services.h"
#include "swarm/streams.h"

int sh_negotiate_write(sh_stream *st)
{
    for (sh_span o; (o = sh_mss_out(&st->work->mss)).n > 0;) {
        int64_t n = sh_stream_machine(st)->ops->write(st->conn->machine, st->id, o);
        if (n <= 0) {
            return (int)n;
        }
        sh_mss_sent(&st->work->mss, (size_t)n);
    }
    if (st->service == SH_SERVE_USER && st->state == SH_STREAM_OPEN) {
        sh_stream_work_free(st->swarm, st);
    }
    return 1;
}

static bool negotiate_refused(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    sh_stream_machine(st)->ops->reset(st->conn->machine, st->id, SH_STREAM_NOT_AGREED);
    return sh_streams_over(s, st, SH_E_UNSUPPORTED, 0, ev);
}

/* Agreed: rest is what came behind the answer. */
static bool negotiate_agreed(struct sh_swarm *s, sh_stream *st, sh_span rest,
                             struct sh_swarm_event *ev)
{
    sh_wheel_cancel(&s->wheel, &st->work->alarm.t);
    if (!st->outbound) {
        st->conn->negotiating--;
        st->proto = (uint8_t)sh_mss_chosen(&st->work->mss);
        st->service = sh_services_of(s, st->proto);
    } else {
        st->peer->spoken |= UINT64_C(1) << st->proto;
    }
    st->state = SH_STREAM_OPEN;
    if (st->early_fin) { /* behind the bytes in rest */
        sh_note_queue(s, &st->note);
    }
    if (st->service != SH_SERVE_USER) {
        if (sh_services_open(s, st) && rest.n > 0) {
            sh_services_data(s, st, rest);
        }
        return false;
    }
    if (rest.n > 0) {
        s->carried.n = 0;
        if (sh_buf_append(s, &s->carried, rest) != 0) {
            sh_stream_machine(st)->ops->reset(st->conn->machine, st->id, SH_STREAM_TOO_MANY);
            if (!st->outbound) { /* the user never saw it */
                sh_stream_free(s, st);
                return false;
            }
            return sh_streams_over(s, st, SH_E_LIMIT, 0, ev);
        }
        s->carry = st;
    }
    sh_negotiate_out(st); /* nothing is left of it, unless our answer still waits for room */
    sh_streams_event(st, st->outbound ? SH_SWARM_STREAM_OPEN : SH_SWARM_STREAM_IN, ev);
    return true;
}

/* What cannot be read before an answer is written waits in work->in, uncredited: the connection is full, not the window.
 */
static bool negotiate_step(struct sh_swarm *s, sh_stream *st, sh_span data,
                           struct sh_swarm_event *ev)
{
    size_t used = 0, n = 1;
    int out = sh_negotiate_out(st);
    while (n > 0 && out > 0 && sh_mss_state(&st->work->mss) == SH_MSS_RUNNING) {
        n = sh_mss_recv(&st->work->mss, sh_span_skip(data, used));
        used += n;
        out = sh_negotiate_out(st);
    }
    sh_span rest = sh_span_skip(data, used);
    if (out < 0) {
        return negotiate_refused(s, st, ev);
    }
    sh_stream_credit(st, used);
    switch (sh_mss_state(&st->work->mss)) {
    case SH_MSS_RUNNING:
        return sh_buf_append(s, &st->work->in, rest) != 0 && negotiate_refused(s, st, ev);
    case SH_MSS_ACCEPTED: return negotiate_agreed(s, st, rest, ev);
    case SH_MSS_REFUSED:
    case SH_MSS_FAULT: return negotiate_refused(s, st, ev);
    }
    return false;
}

bool sh_negotiate_on(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    struct sh_buf kept = st->work->in;
    memset(&st->work->in, 0, sizeof st->work->in);
    bool told = negotiate_step(s, st, sh_span_of(kept.b, kept.n), ev);
    sh_buf_free(s, &kept);
    return told;
}

bool sh_negotiate_data(struct sh_swarm *s, sh_stream *st, sh_span data, struct sh_swarm_event *ev)
{
    if (st->work->in.n > 0) {
        return sh_buf_append(s, &st->work->in, data) != 0 && negotiate_refused(s, st, ev);
    }
    return negotiate_step(s, st, data, ev);
}

bool sh_negotiate_fin(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    if (st->work->in.n > 0) {
        st->early_fin = true;
        return false;
    }
    sh_mss_eof(&st->work->mss);
    return negotiate_refused(s, st, ev);
}
