/* swarm/identify.c - identify and push: what we say of ourselves, and what we believe of others. */
#include "swarm/identify.h"

#include "base/varint.h"
#include "swarm/conns.h"
#include "swarm/peers.h"
#include "swarm/routing.h"
#include "swarm/streams.h"

enum { IDENTIFY_AGAIN_MS = 1000, IDENTIFY_AGAIN_MAX_MS = 60000 };

static unsigned identify_proto(const struct sh_swarm *s, enum sh_service service)
{
    return s->cfg.protocol_count + (unsigned)service - SH_SERVE_IDENTIFY;
}

int sh_identify_up(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    sh_stream *st;
    int err = sh_streams_open(s, c, identify_proto(s, SH_SERVE_IDENTIFY), &st);
    if (err == 0) {
        sh_stream_drain(st);
    }
    return err;
}

void sh_identify_later(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (c->identify_us != 0) {
        return;
    }
    c->identify_wait_ms = c->identify_wait_ms == 0 ? IDENTIFY_AGAIN_MS : 2 * c->identify_wait_ms;
    c->identify_wait_ms =
        c->identify_wait_ms < IDENTIFY_AGAIN_MAX_MS ? c->identify_wait_ms : IDENTIFY_AGAIN_MAX_MS;
    c->identify_us = s->now_us + c->identify_wait_ms * UINT64_C(1000);
    sh_conns_touch(s, c);
}

uint64_t sh_identify_due(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (c->identify_us != 0 && s->now_us >= c->identify_us) {
        c->identify_us = 0;
        if (sh_identify_up(s, c) != 0) {
            sh_identify_later(s, c);
        }
    }
    return c->identify_us != 0 ? c->identify_us : UINT64_MAX;
}

/* Our card, to this peer. */
static int identify_write(struct sh_swarm *s, sh_stream *st)
{
    uint8_t buf[SH_IDENTIFY_FIRST_MAX + SH_UVARINT_MAX];
    sh_addr observed = sh_conns_addr(st->conn);
    struct sh_identify_out out = {
        .public_key = sh_span_of(s->public_key, sizeof s->public_key),
        .addrs = s->announce_count > 0 ? s->announce : s->listen,
        .addr_count = s->announce_count > 0 ? s->announce_count : s->listen_count,
        .protocols = s->protocols,
        .protocol_count = s->serves ? s->protocol_count : s->protocol_count - 1,
        .observed = observed.n > 0 ? &observed : NULL,
        .agent = s->cfg.agent ? s->cfg.agent : "",
    };
    int n = sh_identify_encode(&out, buf, sizeof buf);
    int err = n < 0 ? n : sh_stream_send(st, sh_span_of(buf, (size_t)n));
    st->fin_out = true;
    sh_stream_drain(st);
    return err;
}

static bool identify_push_allowed(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint64_t earned = (s->now_us - c->push_us) / 1000000;
    if (earned > 0) {
        c->push_us = s->now_us;
        c->pushes = c->pushes + earned < SH_IDENTIFY_PUSHES_MAX ? c->pushes + (unsigned)earned
                                                                : SH_IDENTIFY_PUSHES_MAX;
    }
    if (c->pushes == 0) {
        return false;
    }
    c->pushes--;
    return true;
}

bool sh_identify_open(struct sh_swarm *s, sh_stream *st)
{
    bool reads = st->outbound == (st->service == SH_SERVE_IDENTIFY);
    sh_alarm_set(s, &st->work->alarm, s->now_us + SH_NEGOTIATE_TIMEOUT_MS * UINT64_C(1000));
    if (reads) {
        bool allowed = st->outbound || identify_push_allowed(s, st->conn);
        st->work->identify = allowed ? sh_swarm_take(s, sizeof *st->work->identify) : NULL;
        if (!st->work->identify) {
            if (allowed) {
                sh_identify_later(s, st->conn);
            }
            sh_stream_drop(s, st, 0);
            return false;
        }
        return true;
    }
    if (!st->outbound && identify_write(s, st) != 0) { /* a push was written when it was opened */
        sh_stream_drop(s, st, 0);
        return false;
    }
    return true; /* until the peer's FIN, or the alarm */
}

bool sh_identify_addr_fits(const struct sh_swarm_conn *c, const sh_addr *addr)
{
    sh_addr own = sh_conns_addr(c);
    return !sh_addr_is_loopback(addr) || sh_addr_is_loopback(&own);
}

/* What it said holds from now on; an inbound push leaves out what has not changed. */
static void identify_apply(struct sh_swarm *s, sh_stream *st)
{
    struct sh_peer *p = st->peer;
    const sh_identify *id = st->work->identify;
    for (unsigned i = 0; i < id->addr_count; i++) {
        if (sh_identify_addr_fits(st->conn, &id->addrs[i])) {
            sh_peer_learn(s, p, &id->addrs[i]);
        }
    }
    if (id->agent[0]) {
        sh_peer_agent(s, p, id->agent);
    }
    if (id->protocol_count > 0) {
        p->identified = true;
        p->spoken = id->spoken;
        sh_routing_known(s, p, (id->spoken >> identify_proto(s, SH_SERVE_KAD) & 1) != 0);
    }
    if (sh_routing_owed(s, p)) {
        sh_identify_later(s, st->conn);
    } else if (st->outbound) {
        st->conn->identify_wait_ms = 0;
    }
}

void sh_identify_data(struct sh_swarm *s, sh_stream *st, sh_span data)
{
    int err = st->work->identify ? sh_buf_append(s, &st->work->in, data) : 0;
    sh_stream_credit(st, data.n);
    while (st->work->identify && err == 0) {
        uint64_t n;
        int prefix = sh_uvarint_get(sh_span_of(st->work->in.b, st->work->in.n), &n);
        if (prefix == SH_E_MORE) {
            return;
        }
        err = prefix < 0 ? prefix : n > SH_IDENTIFY_MAX ? SH_E_PROTO : 0;
        if (err != 0 || st->work->in.n - (size_t)prefix < n) {
            break;
        }
        err = sh_identify_decode(s->cfg.mem, sh_span_of(st->work->in.b + prefix, (size_t)n),
                                 s->protocols, s->protocol_count, st->work->identify);
        sh_buf_consume(&st->work->in, (size_t)prefix + (size_t)n);
        if (err == 0) {
            identify_apply(s, st);
        }
    }
    if (err != 0) {
        sh_identify_over(s, st, err);
        sh_stream_drop(s, st, 0);
    }
}

void sh_identify_fin(struct sh_swarm *s, sh_stream *st)
{
    if (st->work->identify) {
        sh_identify_over(s, st, SH_E_PROTO); /* counts only if it said nothing */
        st->fin_out = true;
        sh_stream_drain(st);
    }
    if (st->shut) {
        sh_stream_free(s, st);
    }
}

void sh_identify_over(struct sh_swarm *s, sh_stream *st, int err)
{
    bool said = st->work->identify && st->work->identify->messages > 0;
    if (err == SH_E_NOMEM || err == SH_E_LIMIT) {
        sh_identify_later(s, st->conn);
        return;
    }
    if (!st->outbound || st->service != SH_SERVE_IDENTIFY || said || err == 0) {
        return;
    }
    bool asked = sh_routing_unknown(s, st->conn, st->peer) == 0;
    if (!asked || err != SH_E_UNSUPPORTED) {
        sh_identify_later(s, st->conn);
    }
}

void sh_identify_push_all(struct sh_swarm *s)
{
    unsigned proto = identify_proto(s, SH_SERVE_PUSH);
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        sh_stream *st;
        bool wants = c->state == SH_CONNS_UP && (c->peer->spoken >> proto & 1) != 0 &&
                     sh_peer_conn(c->peer) == c;
        if (wants && sh_streams_open(s, c, proto, &st) == 0 && identify_write(s, st) != 0) {
            sh_stream_drop(s, st, 0);
        }
    }
}
