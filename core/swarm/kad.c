/* swarm/kad.c - DHT requests to peers, and the streams of both directions. */
#include "swarm/kad.h"

#include "base/varint.h"
#include "swarm/conns.h"
#include "swarm/dial.h"
#include "swarm/identify.h"
#include "swarm/peers.h"
#include "swarm/publish.h"
#include "swarm/query.h"
#include "swarm/routing.h"
#include "swarm/streams.h"

enum { KAD_BUF_BYTES = SH_KAD_MESSAGE_MAX + SH_UVARINT_MAX, KAD_TRIES_MAX = 2 };

static unsigned kad_proto(const struct sh_swarm *s)
{
    return s->protocol_count - 1;
}

/* --- requests --- */

static void request_free(struct sh_swarm *s, struct sh_request *r)
{
    if (r->sent) {
        r->conn->kad_sent_count--;
    }
    sh_wheel_cancel(&s->wheel, &r->alarm.t);
    sh_list_remove(&r->all);
    sh_list_remove(&r->at);
    sh_list_remove(&r->of_owner);
    r->peer->asks--;
    sh_peer_unuse(s, r->peer);
    sh_swarm_give(s, r, sizeof *r);
}

/* m NULL: it failed. The request is gone afterwards. */
static void request_settle(struct sh_swarm *s, struct sh_request *r, const struct sh_kad_msg *m)
{
    struct sh_request was = *r;
    if (!r->owner && r->asker < SH_ASK_HELLO) { /* forgotten */
        request_free(s, r);
        return;
    }
    request_free(s, r);
    sh_peer_use(was.peer);
    switch (was.asker) {
    case SH_ASK_HELLO: break;
    case SH_ASK_DOUBT: sh_routing_doubted(s, was.peer); break;
    case SH_ASK_QUERY:
    case SH_ASK_GET: sh_query_settle(s, was.owner, was.peer, m); break;
    case SH_ASK_PUB: sh_pub_settle(s, was.owner, m != NULL); break;
    }
    sh_peer_unuse(s, was.peer);
}

static int request_encode(struct sh_swarm *s, const struct sh_request *r, uint8_t *buf, size_t cap)
{
    struct sh_kad_msg m = {.type = r->type};
    if (r->asker >= SH_ASK_HELLO) {
        m.key = sh_peer_id_span(&s->self_id);
        return sh_kad_msg_encode(&m, buf, cap);
    }
    if (r->asker != SH_ASK_PUB) {
        const struct sh_query *q = r->owner;
        m.key = sh_span_of(q->key, q->key_n);
        return sh_kad_msg_encode(&m, buf, cap);
    }
    /* ADD_PROVIDER has no answer; PUT_VALUE behind it on the same stream confirms both. */
    const struct sh_pub *pub = r->owner;
    struct sh_kad_peer self;
    sh_kad_own_addrs(s, &self);
    struct sh_kad_msg add = {
        .type = SH_KAD_ADD_PROVIDER, .key = pub->key, .provider_count = 1, .provider = &self};
    int n = sh_kad_msg_encode(&add, buf, cap);
    if (n < 0) {
        return n;
    }
    m.key = pub->value_key;
    m.has_record = true;
    m.record = (struct sh_kad_record){pub->value_key, pub->value, sh_peer_id_span(&s->self_id),
                                      SH_VALUE_TTL_MS / 1000};
    int more = sh_kad_msg_encode(&m, buf + n, cap - (size_t)n);
    return more < 0 ? more : n + more;
}

static void kad_fail_list(struct sh_swarm *s, sh_list *list)
{
    for (sh_list *it; (it = sh_list_front(list)) != NULL;) {
        request_settle(s, SH_CONTAINER(it, struct sh_request, at), NULL);
    }
}

static int kad_stream(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    int err = c->kad_out ? 0 : sh_streams_open(s, c, kad_proto(s), &c->kad_out);
    c->kad_out = err == 0 ? c->kad_out : NULL;
    return err;
}

/* Writes what may be written now. Failures are left to the request's alarm: nobody is told inside a call. */
static void kad_pump(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint8_t buf[2 * KAD_BUF_BYTES];
    while (!sh_list_empty(&c->kad_queue) && c->kad_sent_count < SH_KAD_SENT_MAX) {
        struct sh_request *r = SH_CONTAINER(sh_list_front(&c->kad_queue), struct sh_request, at);
        if (c->state != SH_CONNS_UP || (c->kad_out && c->kad_out->work->out.n > 0)) {
            return;
        }
        if (!r->owner && r->asker < SH_ASK_HELLO) {
            request_free(s, r);
            continue;
        }
        int n = kad_stream(s, c);
        n = n == 0 ? request_encode(s, r, buf, sizeof buf) : n;
        n = n > 0 ? sh_stream_send(c->kad_out, sh_span_of(buf, (size_t)n)) : n;
        if (n < 0) {
            sh_alarm_set(s, &r->alarm, 0); /* at once */
            return;
        }
        sh_list_remove(&r->at);
        sh_list_push_back(&c->kad_sent, &r->at);
        r->sent = true;
        c->kad_sent_count++;
        sh_alarm_set(s, &r->alarm, s->now_us + SH_KAD_RESPONSE_TIMEOUT_MS * UINT64_C(1000));
    }
}

static void request_enqueue(struct sh_swarm *s, struct sh_request *r, struct sh_swarm_conn *c)
{
    r->conn = c;
    sh_list_remove(&r->at);
    sh_list_push_back(&c->kad_queue, &r->at);
    kad_pump(s, c);
}

static sh_list *asks_of(enum sh_asker asker, void *owner)
{
    switch (asker) {
    case SH_ASK_QUERY:
    case SH_ASK_GET: return &((struct sh_query *)owner)->asks;
    case SH_ASK_PUB: return &((struct sh_pub *)owner)->asks;
    case SH_ASK_HELLO:
    case SH_ASK_DOUBT: break;
    }
    return NULL;
}

int sh_kad_ask(struct sh_swarm *s, struct sh_peer *p, enum sh_kad_type type, enum sh_asker asker,
               void *owner)
{
    bool refused = s->cfg.dht == SH_DHT_OFF || p->asks >= SH_KAD_QUEUE_MAX;
    struct sh_request *r = refused ? NULL : sh_swarm_take(s, sizeof *r);
    if (!r) {
        return SH_E_LIMIT;
    }
    r->peer = p;
    r->type = type;
    r->asker = asker;
    r->owner = owner;
    p->asks++;
    sh_peer_use(p);
    sh_list_init(&r->at);
    sh_list_init(&r->of_owner);
    sh_list *asks = asks_of(asker, owner);
    if (asks) {
        sh_list_push_back(asks, &r->of_owner);
    }
    sh_list_push_back(&s->requests, &r->all);
    sh_alarm_init(&r->alarm, SH_ALARM_REQUEST);
    sh_alarm_set(s, &r->alarm, s->now_us + SH_KAD_RESPONSE_TIMEOUT_MS * UINT64_C(1000));
    struct sh_swarm_conn *c = sh_peer_conn(p);
    if (c) {
        request_enqueue(s, r, c);
    } else {
        sh_list_push_back(&p->waiting, &r->at);
        sh_dial_try(s, p);
    }
    return 0;
}

void sh_kad_forget(struct sh_swarm *s, sh_list *asks)
{
    for (sh_list *it; (it = sh_list_pop(asks)) != NULL;) {
        struct sh_request *r = SH_CONTAINER(it, struct sh_request, of_owner);
        r->owner = NULL; /* its answer still has to be matched if it was sent */
        if (!r->sent) {
            request_free(s, r);
        }
    }
}

void sh_kad_fini(struct sh_swarm *s)
{
    SH_LIST_FOREACH_SAFE(it, &s->requests)
    {
        request_free(s, SH_CONTAINER(it, struct sh_request, all));
    }
}

/* The stream of requests ended: its head is to blame, those behind it get another try. */
static void kad_requeue(struct sh_swarm *s, struct sh_swarm_conn *c, bool all_fail)
{
    sh_list behind, failed;
    sh_list_init(&behind);
    sh_list_init(&failed);
    bool head = true;
    for (sh_list *it; (it = sh_list_pop(&c->kad_sent)) != NULL; head = false) {
        struct sh_request *r = SH_CONTAINER(it, struct sh_request, at);
        r->sent = false;
        c->kad_sent_count--;
        bool fails = head || all_fail || ++r->tries > KAD_TRIES_MAX;
        sh_list_push_back(fails ? &failed : &behind, it);
    }
    sh_list_splice(&behind, &c->kad_queue);
    sh_list_splice(all_fail ? &failed : &c->kad_queue, &behind);
    kad_fail_list(s, &failed);
    if (c->state == SH_CONNS_UP) {
        kad_pump(s, c);
    }
}

void sh_kad_request_alarm(struct sh_swarm *s, struct sh_request *r)
{
    struct sh_swarm_conn *c = r->conn;
    if (!r->sent) {
        bool hello = r->asker == SH_ASK_HELLO && c && c->state == SH_CONNS_UP;
        request_settle(s, r, NULL);
        if (hello) { /* it was never asked: no memory, or no place on the stream */
            sh_identify_later(s, c);
        }
        return;
    }
    /* Answers come in order: a peer that does not answer this one answers none behind it. */
    sh_stream *st = c->kad_out;
    c->kad_out = NULL;
    if (st) {
        sh_stream_drop(s, st, 0);
    }
    kad_requeue(s, c, false);
}

void sh_kad_unreachable(struct sh_swarm *s, struct sh_peer *p)
{
    sh_list failed;
    sh_list_init(&failed);
    sh_list_splice(&failed, &p->waiting);
    kad_fail_list(s, &failed);
}

/* --- connections --- */

void sh_kad_up(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    struct sh_peer *p = c->peer;
    if (p->routed) {
        sh_ktable_set_connected(&s->table, p->key, p->ref.index, true);
    }
    for (sh_list *it; (it = sh_list_front(&p->waiting)) != NULL;) {
        request_enqueue(s, SH_CONTAINER(it, struct sh_request, at), c);
    }
}

void sh_kad_down(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    kad_requeue(s, c, true);
}

bool sh_kad_rest(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    sh_stream *st = c->kad_out;
    if (!st || !sh_list_empty(&c->kad_queue) || !sh_list_empty(&c->kad_sent)) {
        return false;
    }
    c->kad_out = NULL; /* the next request opens another, which costs no round trip */
    sh_stream_drop(s, st, 0);
    return true;
}

/* --- streams --- */

bool sh_kad_open(struct sh_swarm *s, sh_stream *st)
{
    if (st->outbound) {
        if (!st->peer->identified) {
            st->peer->server = true; /* Kameo does not say what it speaks; it has just shown it */
            sh_routing_add(s, st->peer);
        }
        if (sh_routing_owed(s, st->peer)) {
            sh_identify_later(s, st->conn);
        }
        return true;
    }
    if (st->conn->kad_in_count >= SH_KAD_STREAMS_MAX) {
        sh_stream_drop(s, st, 0);
        return false;
    }
    st->conn->kad_in_count++;
    return true;
}

static void kad_end(struct sh_swarm *s, sh_stream *st)
{
    struct sh_swarm_conn *c = st->conn;
    if (st->outbound) {
        c->kad_out = c->kad_out == st ? NULL : c->kad_out;
        sh_stream_drop(s, st, 0);
        kad_requeue(s, c, false);
    } else {
        c->kad_in_count--;
        sh_stream_drop(s, st, 0);
    }
}

/* The next whole message in work->in: its length with prefix, 0: not yet, < 0: malformed. */
static int kad_message(const sh_stream *st, sh_span *body)
{
    uint64_t n;
    int prefix = sh_uvarint_get(sh_span_of(st->work->in.b, st->work->in.n), &n);
    if (prefix < 0) {
        return prefix == SH_E_MORE ? 0 : prefix;
    }
    if (n > SH_KAD_MESSAGE_MAX) {
        return SH_E_PROTO;
    }
    if (st->work->in.n - (size_t)prefix < n) {
        return 0;
    }
    *body = sh_span_of(st->work->in.b + prefix, (size_t)n);
    return prefix + (int)n;
}

static int kad_take_request(struct sh_swarm *s, sh_stream *st, sh_span body)
{
    struct sh_kad_msg m;
    uint8_t buf[KAD_BUF_BYTES];
    int err = sh_kad_msg_decode(s->cfg.mem, body, &m);
    if (err == 0) {
        err = sh_kad_answer(s, st, &m, buf, sizeof buf);
        sh_kad_msg_free(s->cfg.mem, &m);
    }
    return err > 0 ? sh_stream_send(st, sh_span_of(buf, (size_t)err)) : err;
}

/* An answer belongs to the oldest request sent. */
static int kad_take_answer(struct sh_swarm *s, struct sh_swarm_conn *c, sh_span body)
{
    struct sh_kad_msg m;
    sh_list *it = sh_list_front(&c->kad_sent);
    int err = sh_kad_msg_decode(s->cfg.mem, body, &m);
    if (err != 0) {
        return err;
    }
    struct sh_request *r = it ? SH_CONTAINER(it, struct sh_request, at) : NULL;
    if (m.type == SH_KAD_ADD_PROVIDER) {
        err = 0; /* py answers it, nobody else does */
    } else if (!r || m.type != r->type) {
        err = SH_E_PROTO;
    } else {
        request_settle(s, r, &m);
    }
    sh_kad_msg_free(s->cfg.mem, &m);
    return err;
}

/* Works off what was gathered: requests while their answers can be written, or answers. */
static void kad_work(struct sh_swarm *s, sh_stream *st)
{
    struct sh_swarm_conn *c = st->conn;
    sh_span body;
    int n = 0, err = 0;
    while (err == 0 && (st->outbound || st->work->out.n == 0) && (n = kad_message(st, &body)) > 0) {
        err = st->outbound ? kad_take_answer(s, c, body) : kad_take_request(s, st, body);
        if (c->state != SH_CONNS_UP || (st->outbound && c->kad_out != st)) {
            return; /* what the answer set off has ended this very stream */
        }
        sh_buf_consume(&st->work->in, (size_t)n);
        sh_stream_credit(st, (size_t)n);
    }
    if (err < 0 || n < 0) {
        kad_end(s, st);
        return;
    }
    if (st->work->in.n == 0) {
        sh_buf_free(s, &st->work->in); /* between messages a stream holds nothing */
    }
    if (st->outbound) {
        kad_pump(s, c);
    } else if (st->fin_in && st->work->out.n == 0) {
        st->fin_out = true; /* all whole requests are answered */
        sh_stream_drain(st);
        c->kad_in_count--;
        sh_stream_free(s, st);
    }
}

void sh_kad_data(struct sh_swarm *s, sh_stream *st, sh_span data)
{
    if (sh_buf_append(s, &st->work->in, data) != 0) {
        kad_end(s, st);
        return;
    }
    kad_work(s, st);
}

void sh_kad_fin(struct sh_swarm *s, sh_stream *st)
{
    if (st->outbound) {
        kad_end(s, st);
    } else {
        kad_work(s, st);
    }
}

void sh_kad_writable(struct sh_swarm *s, sh_stream *st)
{
    if (sh_stream_drain(st)) {
        kad_work(s, st);
    }
}

/* The stream is being freed by its owner. */
void sh_kad_over(struct sh_swarm *s, sh_stream *st, int err)
{
    struct sh_swarm_conn *c = st->conn;
    if (!st->outbound) {
        c->kad_in_count -= st->state == SH_STREAM_OPEN ? 1u : 0u;
        return;
    }
    c->kad_out = c->kad_out == st ? NULL : c->kad_out;
    kad_requeue(s, c, err == SH_E_UNSUPPORTED);
}
