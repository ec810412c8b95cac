/* swarm/streams.c - the life of a stream: opened or accepted, open, over. What comes while its protocol is agreed on goes
 * to negotiate.c, bytes of ours to services.c, the user's become events. */
#include "swarm/streams.h"

#include "swarm/conns.h"
#include "swarm/identify.h"
#include "swarm/negotiate.h"
#include "swarm/peers.h"
#include "swarm/services.h"

static bool stream_live(const sh_stream *st)
{
    return st->conn && st->conn->state == SH_CONNS_UP && st->state != SH_STREAM_OVER;
}

static sh_stream *stream_new(struct sh_swarm *s, struct sh_swarm_conn *c, uint64_t id,
                             bool outbound)
{
    sh_stream *st = sh_swarm_take(s, sizeof *st);
    struct sh_stream_work *work = st ? sh_swarm_take(s, sizeof *work) : NULL;
    if (!work) {
        if (st) {
            sh_swarm_give(s, st, sizeof *st);
        }
        return NULL;
    }
    st->swarm = s;
    st->conn = c;
    st->peer = c->peer;
    st->work = work;
    work->stream = st;
    st->id = id;
    st->outbound = outbound;
    sh_peer_use(st->peer);
    sh_list_push_back(&c->streams, &st->of_conn);
    sh_list_init(&st->note.at);
    st->note.kind = SH_NOTE_STREAM;
    sh_alarm_init(&work->alarm, SH_ALARM_STREAM);
    sh_alarm_set(s, &work->alarm, s->now_us + SH_NEGOTIATE_TIMEOUT_MS * UINT64_C(1000));
    c->machine->ops->set_user(c->machine, id, st);
    return st;
}

void sh_stream_work_free(struct sh_swarm *s, sh_stream *st)
{
    struct sh_stream_work *work = st->work;
    if (!work) {
        return;
    }
    sh_wheel_cancel(&s->wheel, &work->alarm.t);
    sh_buf_free(s, &work->in);
    sh_buf_free(s, &work->out);
    if (work->identify) {
        sh_swarm_give(s, work->identify, sizeof *work->identify);
    }
    sh_swarm_give(s, work, sizeof *work);
    st->work = NULL;
}

void sh_stream_free(struct sh_swarm *s, sh_stream *st)
{
    if (st->state == SH_STREAM_NEGOTIATING && !st->outbound) {
        st->conn->negotiating--;
    }
    if (st->conn->state == SH_CONNS_UP) {
        st->conn->machine->ops->set_user(st->conn->machine, st->id, NULL);
    }
    sh_list_remove(&st->of_conn);
    sh_list_remove(&st->note.at);
    s->carry = s->carry == st ? NULL : s->carry;
    s->ended = s->ended == st ? NULL : s->ended;
    sh_stream_work_free(s, st);
    sh_peer_unuse(s, st->peer);
    sh_swarm_give(s, st, sizeof *st);
}

void sh_stream_drop(struct sh_swarm *s, sh_stream *st, uint32_t code)
{
    if (stream_live(st)) {
        sh_stream_machine(st)->ops->reset(st->conn->machine, st->id, code);
    }
    sh_stream_free(s, st);
}

int sh_streams_open(struct sh_swarm *s, struct sh_swarm_conn *c, unsigned proto, sh_stream **out)
{
    uint64_t id;
    int err = c->machine->ops->open(c->machine, &id);
    if (err != 0) {
        return err;
    }
    sh_conns_touch(s, c);
    sh_stream *st = stream_new(s, c, id, true);
    if (!st) {
        c->machine->ops->reset(c->machine, id, SH_STREAM_TOO_MANY);
        return SH_E_LIMIT;
    }
    st->proto = (uint8_t)proto;
    st->service = sh_services_of(s, proto);
    sh_mss_dialer(&st->work->mss, &s->protocols[proto], 1);
    sh_negotiate_out(st);
    *out = st;
    return 0;
}

void sh_streams_accept(struct sh_swarm *s, struct sh_swarm_conn *c, uint64_t id)
{
    sh_stream *st = c->negotiating < SH_STREAM_NEGOTIATING_MAX ? stream_new(s, c, id, false) : NULL;
    if (!st) {
        c->machine->ops->reset(c->machine, id, SH_STREAM_TOO_MANY);
        sh_conns_touch(s, c);
        sh_identify_later(s, c); /* it may have been a push */
        return;
    }
    c->negotiating++;
    /* The DHT is last in the list: switched off, it is simply not offered. */
    sh_mss_listener(&st->work->mss, s->protocols,
                    s->cfg.dht == SH_DHT_OFF ? s->protocol_count - 1 : s->protocol_count);
}

void sh_streams_event(const sh_stream *st, enum sh_swarm_event_kind kind, struct sh_swarm_event *ev)
{
    ev->kind = kind;
    ev->peer = st->peer->ref;
    ev->conn = st->conn->id;
    ev->stream = (sh_stream *)(uintptr_t)st;
    ev->proto = st->proto;
    ev->code = st->code;
    ev->err = st->err;
}

static bool stream_tell_end(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    sh_streams_event(st, SH_SWARM_STREAM_END, ev);
    ev->text =
        st->err == SH_E_UNSUPPORTED ? "the peer does not speak the protocol" : "the stream ended";
    sh_list_remove(&st->note.at);
    s->ended = st;
    return true;
}

bool sh_streams_over(struct sh_swarm *s, sh_stream *st, int err, uint64_t code,
                     struct sh_swarm_event *ev)
{
    bool mine = st->service == SH_SERVE_USER && (st->outbound || st->state == SH_STREAM_OPEN);
    if (!mine) {
        if (st->state == SH_STREAM_OPEN || st->outbound) {
            sh_services_over(s, st, err);
        }
        sh_stream_free(s, st);
        return false;
    }
    st->state = SH_STREAM_OVER;
    st->err = err;
    st->code = code;
    return stream_tell_end(s, st, ev);
}

bool sh_streams_data(struct sh_swarm *s, sh_stream *st, sh_span data, struct sh_swarm_event *ev)
{
    if (st->state == SH_STREAM_NEGOTIATING) {
        return sh_negotiate_data(s, st, data, ev);
    }
    if (st->state == SH_STREAM_OVER) {
        return false;
    }
    if (st->service != SH_SERVE_USER) {
        sh_services_data(s, st, data);
        return false;
    }
    sh_streams_event(st, SH_SWARM_STREAM_DATA, ev);
    ev->data = data;
    return true;
}

bool sh_streams_carried(struct sh_swarm *s, struct sh_swarm_event *ev)
{
    sh_stream *st = s->carry;
    s->carry = NULL;
    sh_streams_event(st, SH_SWARM_STREAM_DATA, ev);
    ev->data = sh_span_of(s->carried.b, s->carried.n);
    return true;
}

static void stream_both_done(struct sh_swarm *s, sh_stream *st)
{
    if (st->fin_in && st->shut && st->state == SH_STREAM_OPEN) {
        st->state = SH_STREAM_OVER;
        st->tell_end = true;
        sh_note_queue(s, &st->note);
    }
}

bool sh_streams_fin(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    if (st->state == SH_STREAM_NEGOTIATING) {
        return sh_negotiate_fin(s, st, ev);
    }
    st->fin_in = true;
    if (st->service != SH_SERVE_USER) {
        sh_services_fin(s, st);
        return false;
    }
    if (st->state != SH_STREAM_OPEN) {
        return false;
    }
    sh_streams_event(st, SH_SWARM_STREAM_FIN, ev);
    stream_both_done(s, st);
    return true;
}

bool sh_streams_reset(struct sh_swarm *s, sh_stream *st, uint64_t code, struct sh_swarm_event *ev)
{
    return st->state == SH_STREAM_OVER ? false : sh_streams_over(s, st, SH_E_CLOSED, code, ev);
}

bool sh_streams_writable(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    if (st->state == SH_STREAM_NEGOTIATING && st->work->in.n > 0) {
        return sh_negotiate_on(s, st, ev);
    }
    if (st->state == SH_STREAM_OVER || sh_negotiate_out(st) <= 0) {
        return false;
    }
    if (st->service == SH_SERVE_USER) {
        bool owed = st->cut;
        st->cut = false;
        if (owed) {
            sh_streams_event(st, SH_SWARM_STREAM_WRITABLE, ev);
        }
        return owed;
    }
    sh_services_writable(s, st);
    return false;
}

bool sh_streams_note(struct sh_swarm *s, sh_stream *st, struct sh_swarm_event *ev)
{
    sh_list_remove(&st->note.at);
    if (st->tell_end) {
        st->tell_end = false;
        return stream_tell_end(s, st, ev);
    }
    if (st->early_fin) {
        st->early_fin = false;
        return sh_streams_fin(s, st, ev);
    }
    return false;
}

/* The negotiation (or the patience of a service) is over. */
void sh_streams_alarm(struct sh_swarm *s, sh_stream *st)
{
    struct sh_swarm_event ev;
    bool mine = st->service == SH_SERVE_USER && st->outbound;
    if (!stream_live(st)) {
        return;
    }
    sh_stream_machine(st)->ops->reset(st->conn->machine, st->id, SH_STREAM_NOT_AGREED);
    if (!mine) {
        sh_streams_over(s, st, SH_E_TIMEOUT, 0, &ev);
        return;
    }
    st->state = SH_STREAM_OVER;
    st->err = SH_E_TIMEOUT;
    st->tell_end = true;
    sh_note_queue(s, &st->note);
}

bool sh_streams_has_user(const struct sh_swarm_conn *c)
{
    SH_LIST_FOREACH(it, &c->streams)
    {
        if (SH_CONTAINER(it, sh_stream, of_conn)->service == SH_SERVE_USER) {
            return true;
        }
    }
    return false;
}

void sh_streams_conn_down(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    SH_LIST_FOREACH_SAFE(it, &c->streams)
    {
        sh_stream *st = SH_CONTAINER(it, sh_stream, of_conn);
        bool told =
            st->service == SH_SERVE_USER && (st->outbound || st->state != SH_STREAM_NEGOTIATING);
        if (!told) {
            st->conn->kad_out = st->conn->kad_out == st ? NULL : st->conn->kad_out;
            sh_stream_free(s, st);
        } else {
            sh_stream_work_free(s, st);
            sh_list_remove(&st->note.at); /* the connection's note tells it now */
        }
    }
}

bool sh_streams_conn_note(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_swarm_event *ev)
{
    sh_list *it = sh_list_front(&c->streams);
    if (!it) {
        return false;
    }
    sh_stream *st = SH_CONTAINER(it, sh_stream, of_conn);
    if (st->state != SH_STREAM_OVER) {
        st->err = SH_E_UNREACHABLE;
        st->code = c->code;
    }
    st->state = SH_STREAM_OVER;
    return stream_tell_end(s, st, ev);
}

int sh_stream_send(sh_stream *st, sh_span bytes)
{
    if (!stream_live(st)) {
        return SH_E_CLOSED;
    }
    if (sh_stream_drain(st)) {
        int64_t n = sh_stream_machine(st)->ops->write(st->conn->machine, st->id, bytes);
        if (n < 0) {
            return (int)n;
        }
        bytes = sh_span_skip(bytes, (size_t)n);
    }
    return bytes.n > 0 ? sh_buf_append(st->swarm, &st->work->out, bytes) : 0;
}

bool sh_stream_drain(sh_stream *st)
{
    if (!stream_live(st) || sh_mss_out(&st->work->mss).n > 0) {
        return false;
    }
    if (st->work->out.n > 0) {
        int64_t n = sh_stream_machine(st)->ops->write(st->conn->machine, st->id,
                                                      sh_span_of(st->work->out.b, st->work->out.n));
        sh_buf_consume(&st->work->out, n > 0 ? (size_t)n : 0);
    }
    if (st->work->out.n == 0 && st->fin_out && !st->shut) {
        st->shut = true;
        sh_stream_machine(st)->ops->shut(st->conn->machine, st->id);
    }
    return st->work->out.n == 0;
}

void sh_stream_credit(sh_stream *st, size_t n)
{
    if (n > 0 && stream_live(st)) {
        sh_stream_machine(st)->ops->credit(st->conn->machine, st->id, n);
    }
}

/* --- the user's side --- */

int sh_swarm_open(sh_swarm *s, struct sh_peer_ref peer, unsigned proto, void *user, sh_stream **out)
{
    struct sh_peer *p = sh_peers_at(s, peer);
    struct sh_swarm_conn *c = p ? sh_peer_conn(p) : NULL;
    if (proto >= s->cfg.protocol_count) {
        return SH_E_USAGE;
    }
    if (!c) {
        return SH_E_UNREACHABLE;
    }
    int err = sh_streams_open(s, c, proto, out);
    if (err == 0) {
        sh_stream_set_user(*out, user);
    }
    return err;
}

void sh_stream_set_user(sh_stream *st, void *user)
{
    st->user = user;
}

void *sh_stream_user(const sh_stream *st)
{
    return st->user;
}

struct sh_peer_ref sh_stream_peer(const sh_stream *st)
{
    return st->peer->ref;
}

sh_conn_id sh_stream_conn(const sh_stream *st)
{
    return st->conn->id;
}

int64_t sh_stream_write(sh_stream *st, sh_span data)
{
    if (!stream_live(st) || st->fin_out) {
        return SH_E_CLOSED;
    }
    int out = sh_negotiate_out(st);
    if (out <= 0) {
        st->cut = true;
        return out;
    }
    int64_t n = sh_stream_machine(st)->ops->write(st->conn->machine, st->id, data);
    st->cut = st->cut || (n >= 0 && (size_t)n < data.n);
    return n;
}

size_t sh_stream_writable(const sh_stream *st)
{
    bool said = !st->work || sh_mss_out(&st->work->mss).n == 0;
    bool can = stream_live(st) && !st->fin_out && said;
    return can ? st->conn->machine->ops->writable(st->conn->machine, st->id) : 0;
}

void sh_stream_consumed(sh_stream *st, size_t n)
{
    sh_stream_credit(st, n);
}

void sh_stream_shut(sh_stream *st)
{
    if (stream_live(st) && !st->fin_out) {
        st->fin_out = true;
        st->shut = true;
        sh_stream_machine(st)->ops->shut(st->conn->machine, st->id);
        stream_both_done(st->swarm, st);
    }
}

void sh_stream_reset(sh_stream *st, uint32_t code)
{
    sh_stream_drop(st->swarm, st, code);
}
