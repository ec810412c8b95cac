/* proto/yamux_recv.c - parsing. One header at a time; a body goes up in the pieces it arrives in. */
#include "proto/yamux_internal.h"

struct yamux_frame {
    unsigned type;
    unsigned flags;
    uint32_t id;
    uint32_t length;
};

static void yamux_fault(sh_yamux *y, const char *why)
{
    sh_yamux_fail(y, SH_E_PROTO, why);
}

/* A frame that carries nothing: work without a use. Forgiven with time. */
static void yamux_idle(sh_yamux *y)
{
    uint64_t forgiven = (y->now_us - y->idle_us) * SH_YAMUX_IDLE_FRAMES_PER_S / 1000000;
    if (forgiven > 0) {
        y->idle = forgiven < y->idle ? y->idle - (uint32_t)forgiven : 0;
        y->idle_us = y->now_us;
    }
    if (++y->idle > SH_YAMUX_IDLE_FRAMES_BURST) {
        sh_yamux_fail(y, SH_E_LIMIT, "a flood of frames that carry nothing");
    }
}

static bool yamux_say(struct sh_conn_ev *ev, enum sh_conn_ev_kind kind, const sh_yamux_stream *st)
{
    *ev = (struct sh_conn_ev){.kind = kind, .stream = st->id, .user = st->user};
    return true;
}

/* Everything a FIN does; the stream may be gone afterwards. */
static bool yamux_fin_read(sh_yamux *y, sh_yamux_stream *st, struct sh_conn_ev *ev)
{
    if (st->fin_in) {
        return false;
    }
    st->fin_in = true;
    if (st->inbound && !st->carried) { /* opened and ended, and nothing said */
        yamux_idle(y);
    }
    yamux_say(ev, SH_CONN_FIN, st);
    if (st->fin_out) {
        sh_yamux_forget(y, st);
    }
    return true;
}

static bool yamux_reset_read(sh_yamux *y, sh_yamux_stream *st, uint32_t code, struct sh_conn_ev *ev)
{
    yamux_say(ev, SH_CONN_RESET, st);
    ev->code = code;
    sh_yamux_forget(y, st);
    return true;
}

/* A stream the peer opens: NULL if it is refused or the link is over. */
static sh_yamux_stream *yamux_syn_read(sh_yamux *y, const struct yamux_frame *f)
{
    bool odd = (f->id & 1) != 0;
    if (f->id == 0 || odd == y->client) {
        yamux_fault(y, "a stream was opened with an id of the wrong side");
        return NULL;
    }
    if (sh_yamux_find(y, f->id)) {
        yamux_fault(y, "a stream was opened twice");
        return NULL;
    }
    if ((f->flags & YAMUX_RST) != 0) {
        return NULL; /* opened and given up in one frame */
    }
    sh_yamux_stream *st;
    if (y->streams_in >= y->streams_in_max || sh_yamux_add(y, f->id, true, &st) < 0) {
        sh_yamux_reply(y, YAMUX_UPDATE, YAMUX_RST, f->id, SH_YAMUX_NO_ROOM);
        return NULL;
    }
    return st;
}

/* Begins a body: whose it is, and whether it keeps to the window. */
static void yamux_data_read(sh_yamux *y, sh_yamux_stream *st, const struct yamux_frame *f)
{
    y->in_body = true;
    y->flags = (uint16_t)(f->flags & (YAMUX_FIN | YAMUX_RST));
    y->body_left = f->length;
    y->body_id = 0;
    if (!st || st->fin_in || (f->flags & YAMUX_RST) != 0) {
        return; /* of a stream that is gone: skipped */
    }
    if (f->length > st->rx_window) {
        yamux_fault(y, "more data than the window allows");
        return;
    }
    st->rx_window -= f->length;
    st->carried = st->carried || f->length > 0;
    y->body_id = f->id;
}

static void yamux_update_read(sh_yamux *y, sh_yamux_stream *st, uint32_t delta)
{
    if (delta > UINT32_MAX - st->tx_window) {
        yamux_fault(y, "a window grew past 2^32");
        return;
    }
    st->tx_window += delta;
    if (st->starving && st->tx_window > 0) {
        st->starving = false;
        sh_list_remove(&st->waiting);
        sh_list_push_back(&y->waiting, &st->waiting);
    }
}

static bool yamux_stream_frame(sh_yamux *y, const struct yamux_frame *f, struct sh_conn_ev *ev)
{
    if (f->id == 0) {
        yamux_fault(y, "a stream frame without a stream");
        return false;
    }
    bool opened = (f->flags & YAMUX_SYN) != 0;
    if ((f->length == 0 && f->flags == 0) || (f->flags & YAMUX_RST) != 0) {
        yamux_idle(y);
    }
    sh_yamux_stream *st = opened ? yamux_syn_read(y, f) : sh_yamux_find(y, f->id);
    if (y->err < 0) {
        return false;
    }
    if (st && (f->flags & YAMUX_ACK) != 0) {
        sh_yamux_acked(y, st);
    }
    if (f->type == YAMUX_DATA) {
        yamux_data_read(y, st, f);
    } else if (st && (f->flags & YAMUX_RST) == 0) {
        yamux_update_read(y, st, f->length);
    }
    if (!st || y->err < 0) {
        return false;
    }
    if ((f->flags & YAMUX_RST) != 0) {
        return yamux_reset_read(y, st, f->type == YAMUX_UPDATE ? f->length : 0, ev);
    }
    if (opened) {
        yamux_say(ev, SH_CONN_STREAM, st);
        if (f->type == YAMUX_UPDATE && (f->flags & YAMUX_FIN) != 0) {
            /* FIN comes as the end of an empty body, after STREAM was taken. */
            y->in_body = true;
            y->flags = YAMUX_FIN;
            y->body_left = 0;
            y->body_id = st->id;
        }
        return true;
    }
    return f->type == YAMUX_UPDATE && (f->flags & YAMUX_FIN) != 0 && yamux_fin_read(y, st, ev);
}

static bool yamux_ping_read(sh_yamux *y, const struct yamux_frame *f, uint64_t now_us,
                            struct sh_conn_ev *ev)
{
    if (f->id != 0) {
        yamux_fault(y, "a ping on a stream");
    } else if ((f->flags & YAMUX_SYN) != 0) {
        yamux_idle(y);
        sh_yamux_reply(y, YAMUX_PING, YAMUX_ACK, 0, f->length);
    } else if ((f->flags & YAMUX_ACK) == 0) {
        yamux_fault(y, "a ping that neither asks nor answers");
    } else if (y->pinging && f->length == y->ping_value) { /* others are ignored, as go does */
        y->pinging = false;
        uint64_t rtt_us = now_us > y->ping_us ? now_us - y->ping_us : 1;
        y->rtt_us = y->rtt_us == 0 || rtt_us < y->rtt_us ? rtt_us : (7 * y->rtt_us + rtt_us) / 8;
        *ev = (struct sh_conn_ev){.kind = SH_CONN_PONG, .rtt_us = rtt_us};
        return true;
    }
    return false;
}

static bool yamux_frame_read(sh_yamux *y, uint64_t now_us, struct sh_conn_ev *ev)
{
    const uint8_t *h = y->header;
    struct yamux_frame f = {h[1], sh_load_u16be(h + 2), sh_load_u32be(h + 4), sh_load_u32be(h + 8)};
    y->header_n = 0;
    if (h[0] != 0) {
        yamux_fault(y, "not yamux version 0");
        return false;
    }
    switch (f.type) {
    case YAMUX_DATA:
    case YAMUX_UPDATE: return yamux_stream_frame(y, &f, ev);
    case YAMUX_PING: return yamux_ping_read(y, &f, now_us, ev);
    case YAMUX_AWAY:
        y->away = true;
        y->away_code = f.length;
        return false;
    }
    yamux_fault(y, "an unknown yamux frame");
    return false;
}

/* Passes on what is there of a body, then its FIN. */
static bool yamux_body_read(sh_yamux *y, sh_span *in, struct sh_conn_ev *ev)
{
    sh_yamux_stream *st = y->body_id != 0 ? sh_yamux_find(y, y->body_id) : NULL;
    sh_span part = sh_span_take(*in, y->body_left);
    if (part.n > 0) {
        *in = sh_span_skip(*in, part.n);
        y->body_left -= (uint32_t)part.n;
        if (st) {
            st->rx_held += (uint32_t)part.n;
            yamux_say(ev, SH_CONN_DATA, st);
            ev->data = part;
            return true;
        }
    }
    if (y->body_left > 0) {
        return false;
    }
    y->in_body = false;
    return st && (y->flags & YAMUX_FIN) != 0 && yamux_fin_read(y, st, ev);
}

bool sh_yamux_recv(sh_yamux *y, sh_span *in, struct sh_conn_ev *ev, uint64_t now_us)
{
    y->now_us = now_us;
    while (!sh_yamux_over(y)) {
        if (y->in_body) {
            if (yamux_body_read(y, in, ev)) {
                return true;
            }
            if (y->in_body) {
                return false;
            }
            continue;
        }
        size_t take = SH_YAMUX_HEADER_BYTES - y->header_n;
        take = take < in->n ? take : in->n;
        if (take == 0) {
            return false;
        }
        memcpy(y->header + y->header_n, in->p, take);
        y->header_n = (uint8_t)(y->header_n + take);
        *in = sh_span_skip(*in, take);
        if (y->header_n == SH_YAMUX_HEADER_BYTES && yamux_frame_read(y, now_us, ev)) {
            return true;
        }
    }
    return false;
}
