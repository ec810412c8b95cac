/* tests/unit/remote/fake_swarm.c - see fake_swarm.h. Included by the tests, not compiled alone. */
#include <stdio.h>
#include <stdlib.h>

#include "fake_swarm.h"

#define FAKE_CHECK(x) ((x) ? (void)0 : fake_failed(__LINE__, #x))
enum { FAKE_REDIAL_US = 20000, FAKE_GRACE_US = 200000 };

static void fake_failed(int line, const char *what)
{
    fprintf(stderr, "fake_swarm.c:%d: %s\n", line, what);
    abort();
}

static void *fake_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    FAKE_CHECK(p);
    return p;
}

static uint8_t *fake_copy(sh_span s)
{
    uint8_t *p = fake_alloc(s.n);
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return p;
}

static void fake_event(sh_swarm *s, struct sh_swarm_event ev)
{
    unsigned next = (s->tail + 1) % FAKE_EVENTS;
    FAKE_CHECK(next != s->head);
    struct fake_event *at = &s->events[s->tail];
    at->ev = ev;
    at->bytes = NULL;
    if (ev.data.n) {
        at->bytes = fake_copy(ev.data);
        at->ev.data.p = at->bytes;
    }
    s->tail = next;
}

struct fake_net *fake_net_new(uint64_t seed)
{
    struct fake_net *net = fake_alloc(sizeof *net);
    net->rng = sh_rng_seeded_init(&net->seeded, seed);
    net->now_us = 1000000;
    net->window = 256 * 1024;
    net->piece = 4096;
    for (int i = 0; i < FAKE_NODES; i++) {
        net->native[i] = true;
        uint8_t id[38] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
        memset(id + 6, 0x11 * (i + 1), 32);
        FAKE_CHECK(sh_peer_id_from_bytes(&net->ids[i], sh_span_of(id, sizeof id)) == 0);
    }
    return net;
}

static void fake_swarm_drop(sh_swarm *s)
{
    if (!s) {
        return;
    }
    for (; s->head != s->tail; s->head = (s->head + 1) % FAKE_EVENTS) {
        free(s->events[s->head].bytes);
    }
    free(s->current.bytes);
    free(s);
}

static void fake_items_drop(struct fake_conn *c)
{
    for (int side = 0; side < 2; side++) {
        while (c->first[side]) {
            struct fake_item *item = c->first[side];
            c->first[side] = item->next;
            free(item->bytes);
            free(item);
        }
        c->last[side] = NULL;
    }
}

void fake_net_free(struct fake_net *net)
{
    for (unsigned i = 0; i < net->conn_count; i++) {
        fake_items_drop(&net->conns[i]);
    }
    for (unsigned i = 0; i < net->stream_count; i++) {
        free(net->streams[i]);
    }
    for (unsigned i = 0; i < net->pub_count; i++) {
        free((void *)(uintptr_t)net->pubs[i].key.p);
        free((void *)(uintptr_t)net->pubs[i].value_key.p);
        free((void *)(uintptr_t)net->pubs[i].value.p);
    }
    for (int i = 0; i < FAKE_NODES; i++) {
        fake_swarm_drop(net->nodes[i]);
    }
    free(net);
}

static struct fake_peer *fake_peer_of(sh_swarm *s, int node)
{
    struct sh_peer_ref ref;
    FAKE_CHECK(sh_swarm_peer(s, &s->net->ids[node], &ref) == 0);
    return &s->peers[ref.index];
}

static struct sh_peer_ref fake_ref(sh_swarm *s, const struct fake_peer *p)
{
    return (struct sh_peer_ref){(uint32_t)(p - s->peers), p->check};
}

sh_swarm *fake_net_node(struct fake_net *net, int index)
{
    fake_net_leave(net, index);
    sh_swarm *s = fake_alloc(sizeof *s);
    s->net = net;
    s->index = index;
    s->next_conn = 1;
    s->peers[0] = (struct fake_peer){.id = net->ids[index], .check = 1, .node = index};
    s->peer_count = 1;
    net->nodes[index] = s;
    return s;
}

/* The end of a stream is gone at this side: its owner is told unless it did it itself. */
static void fake_end(sh_stream *st, int err)
{
    if (st->dead || st->ending) {
        return;
    }
    sh_swarm *s = st->net->nodes[st->conn->node[st->side]];
    st->ending = true;
    if (s) {
        fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_STREAM_END,
                                              .peer = sh_stream_peer(st),
                                              .conn = st->conn->id[st->side],
                                              .stream = st,
                                              .proto = st->proto,
                                              .err = err,
                                              .text = "stream ended"});
    }
}

static void fake_down(struct fake_net *net, struct fake_conn *c, int side)
{
    sh_swarm *s = net->nodes[c->node[side]];
    if (!s) {
        return;
    }
    struct fake_peer *p = fake_peer_of(s, c->node[!side]);
    FAKE_CHECK(p->conns > 0);
    if (--p->conns == 0) {
        fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_PEER_DOWN,
                                              .peer = fake_ref(s, p),
                                              .text = "connection lost"});
        if (p->holds) {
            p->redial_us = net->now_us + FAKE_REDIAL_US;
            p->lost_us = net->now_us + FAKE_GRACE_US;
        }
    }
}

static void fake_conn_lost(struct fake_net *net, struct fake_conn *c)
{
    c->up = false;
    fake_items_drop(c);
    for (unsigned i = 0; i < net->stream_count; i++) {
        if (net->streams[i]->conn == c) {
            fake_end(net->streams[i], SH_E_UNREACHABLE);
        }
    }
    fake_down(net, c, 0);
    fake_down(net, c, 1);
}

void fake_net_cut(struct fake_net *net, int a, int b)
{
    for (unsigned i = 0; i < net->conn_count; i++) {
        struct fake_conn *c = &net->conns[i];
        if (c->up &&
            ((c->node[0] == a && c->node[1] == b) || (c->node[0] == b && c->node[1] == a))) {
            fake_conn_lost(net, c);
        }
    }
}

void fake_net_leave(struct fake_net *net, int index)
{
    sh_swarm *s = net->nodes[index];
    if (!s) {
        return;
    }
    net->nodes[index] = NULL;
    for (int other = 0; other < FAKE_NODES; other++) {
        fake_net_cut(net, index, other);
    }
    fake_swarm_drop(s);
    for (unsigned i = 0; i < net->pub_count; i++) {
        if (net->pubs[i].node == index) {
            net->pubs[i].number = 0; /* its own store is gone; replicas go on naming it */
        }
    }
}

void fake_net_connect(struct fake_net *net, int a, int b)
{
    FAKE_CHECK(net->conn_count < FAKE_CONNS && net->nodes[a] && net->nodes[b]);
    struct fake_conn *c = &net->conns[net->conn_count++];
    *c = (struct fake_conn){.up = true, .node = {a, b}};
    for (int side = 0; side < 2; side++) {
        sh_swarm *s = net->nodes[c->node[side]];
        c->id[side] = s->next_conn++;
        struct fake_peer *p = fake_peer_of(s, c->node[!side]);
        p->wanted = false;
        p->lost = false;
        p->redial_us = p->lost_us = UINT64_MAX;
        if (p->conns++ == 0) {
            fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_PEER_UP,
                                                  .peer = fake_ref(s, p),
                                                  .conn = c->id[side]});
        }
    }
}

static void fake_dial(sh_swarm *s, struct fake_peer *p)
{
    struct fake_net *net = s->net;
    p->redial_us = UINT64_MAX;
    if (p->conns || p->node < 0) {
        return;
    }
    if (net->nodes[p->node] && !net->refuse[p->node] && !net->silent[p->node]) {
        fake_net_connect(net, s->index, p->node);
        return;
    }
    bool refused = !net->silent[p->node];
    if (p->wanted && refused) {
        p->wanted = false;
        fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_UNREACHABLE,
                                              .peer = fake_ref(s, p),
                                              .err = SH_E_UNREACHABLE,
                                              .text = "refused"});
    }
    if (p->holds && !p->lost && refused && p->lost_us != UINT64_MAX) {
        p->lost_us = net->now_us; /* every address refuses: dead at once */
    }
    if (p->holds) {
        p->redial_us = net->now_us + FAKE_REDIAL_US;
    }
}

static void fake_lose(sh_swarm *s, struct fake_peer *p)
{
    p->lost_us = UINT64_MAX;
    p->lost = true;
    if (p->holds) {
        fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_PEER_LOST, .peer = fake_ref(s, p)});
    }
}

void fake_net_tick(struct fake_net *net, uint64_t now_us)
{
    net->now_us = now_us;
    for (int i = 0; i < FAKE_NODES; i++) {
        sh_swarm *s = net->nodes[i];
        for (unsigned k = 1; s && k < s->peer_count; k++) {
            struct fake_peer *p = &s->peers[k];
            if (p->redial_us <= now_us) {
                fake_dial(s, p);
            }
            if (p->lost_us <= now_us && !p->conns) {
                fake_lose(s, p);
            }
        }
    }
}

/* --- things on their way --- */

static void fake_push(struct fake_conn *c, int to_side, struct fake_item item)
{
    if (!c->up) {
        free(item.bytes);
        return;
    }
    struct fake_item *copy = fake_alloc(sizeof *copy);
    *copy = item;
    if (c->last[to_side]) {
        c->last[to_side]->next = copy;
    } else {
        c->first[to_side] = copy;
    }
    c->last[to_side] = copy;
}

static void fake_pop(struct fake_conn *c, int side)
{
    struct fake_item *item = c->first[side];
    c->first[side] = item->next;
    if (!c->first[side]) {
        c->last[side] = NULL;
    }
    free(item->bytes);
    free(item);
}

static sh_stream *fake_stream(struct fake_net *net, struct fake_conn *c, int side, unsigned proto)
{
    FAKE_CHECK(net->stream_count < FAKE_STREAMS);
    sh_stream *st = fake_alloc(sizeof *st);
    *st = (sh_stream){.net = net, .conn = c, .side = side, .proto = proto};
    net->streams[net->stream_count++] = st;
    return st;
}

static void fake_arrive_open(struct fake_net *net, struct fake_conn *c, int side, sh_stream *opener)
{
    if (!net->native[c->node[side]]) {
        fake_push(c, !side, (struct fake_item){.kind = FAKE_REFUSE, .to = opener});
        return;
    }
    sh_stream *st = fake_stream(net, c, side, opener->proto);
    st->other = opener;
    st->open = true;
    opener->other = st;
    fake_push(c, !side, (struct fake_item){.kind = FAKE_ECHO, .to = opener});
    fake_event(net->nodes[c->node[side]], (struct sh_swarm_event){.kind = SH_SWARM_STREAM_IN,
                                                                  .peer = sh_stream_peer(st),
                                                                  .conn = c->id[side],
                                                                  .stream = st,
                                                                  .proto = st->proto});
}

static void fake_arrive(struct fake_net *net, struct fake_conn *c, int side)
{
    struct fake_item *item = c->first[side];
    sh_stream *st = item->to;
    sh_swarm *s = net->nodes[c->node[side]];
    if (item->kind == FAKE_OPEN) {
        fake_arrive_open(net, c, side, st);
        fake_pop(c, side);
        return;
    }
    /* DATA, FIN and RESET name the sender's end: ours exists once OPEN was delivered */
    sh_stream *mine = item->kind == FAKE_ECHO || item->kind == FAKE_REFUSE ? st : st->other;
    struct sh_swarm_event ev = {.peer = mine ? sh_stream_peer(mine) : (struct sh_peer_ref){0, 0},
                                .conn = c->id[side],
                                .stream = mine};
    if (!mine || mine->dead || mine->ending) {
        fake_pop(c, side);
        return;
    }
    ev.proto = mine->proto;
    switch (item->kind) {
    case FAKE_OPEN: break;
    case FAKE_ECHO:
        mine->open = true;
        ev.kind = SH_SWARM_STREAM_OPEN;
        fake_event(s, ev);
        break;
    case FAKE_REFUSE: fake_end(mine, SH_E_UNSUPPORTED); break;
    case FAKE_DATA: {
        size_t n = item->n - item->at;
        size_t most = 1 + (size_t)sh_rng_below(&net->rng, net->piece);
        n = n < most ? n : most;
        ev.kind = SH_SWARM_STREAM_DATA;
        ev.data = sh_span_of(item->bytes + item->at, n);
        fake_event(s, ev);
        item->at += n;
        if (item->at < item->n) {
            return;
        }
        break;
    }
    case FAKE_FIN:
        ev.kind = SH_SWARM_STREAM_FIN;
        fake_event(s, ev);
        break;
    case FAKE_RESET: fake_end(mine, SH_E_UNREACHABLE); break;
    }
    fake_pop(c, side);
}

bool fake_net_run(struct fake_net *net, unsigned items)
{
    bool any = false;
    for (unsigned k = 0; k < items; k++) {
        struct {
            struct fake_conn *c;
            int side;
        } ready[2 * FAKE_CONNS];
        unsigned n = 0;
        for (unsigned i = 0; i < net->conn_count; i++) {
            for (int side = 0; side < 2; side++) {
                if (net->conns[i].up && net->conns[i].first[side]) {
                    ready[n].c = &net->conns[i];
                    ready[n++].side = side;
                }
            }
        }
        if (n == 0) {
            return any;
        }
        unsigned pick = (unsigned)sh_rng_below(&net->rng, n);
        fake_arrive(net, ready[pick].c, ready[pick].side);
        any = true;
    }
    return any;
}

/* --- swarm.h --- */

bool sh_swarm_event(sh_swarm *s, struct sh_swarm_event *ev, uint64_t now_us)
{
    (void)now_us;
    free(s->current.bytes);
    s->current.bytes = NULL;
    if (s->head == s->tail) {
        return false;
    }
    s->current = s->events[s->head];
    s->head = (s->head + 1) % FAKE_EVENTS;
    *ev = s->current.ev;
    if (ev->stream && ev->stream->dead) { /* its owner has reset it meanwhile: not told */
        return sh_swarm_event(s, ev, now_us);
    }
    if (ev->stream && ev->kind == SH_SWARM_STREAM_END) {
        ev->stream->dead = true;
    }
    return true;
}

int sh_swarm_peer(sh_swarm *s, const sh_peer_id *id, struct sh_peer_ref *out)
{
    for (unsigned i = 0; i < s->peer_count; i++) {
        if (sh_peer_id_eq(&s->peers[i].id, id)) {
            *out = fake_ref(s, &s->peers[i]);
            return 0;
        }
    }
    if (s->peer_count == FAKE_PEERS) {
        return SH_E_LIMIT;
    }
    struct fake_peer *p = &s->peers[s->peer_count];
    *p = (struct fake_peer){.id = *id,
                            .check = 100 + s->peer_count,
                            .node = -1,
                            .redial_us = UINT64_MAX,
                            .lost_us = UINT64_MAX};
    for (int i = 0; i < FAKE_NODES; i++) {
        if (sh_peer_id_eq(&s->net->ids[i], id)) {
            p->node = i;
        }
    }
    *out = (struct sh_peer_ref){s->peer_count++, p->check};
    return 0;
}

static struct fake_peer *fake_of(const sh_swarm *s, struct sh_peer_ref ref)
{
    struct fake_peer *p =
        ref.index < s->peer_count ? (struct fake_peer *)(uintptr_t)&s->peers[ref.index] : NULL;
    return p && p->check == ref.check ? p : NULL;
}

const sh_peer_id *sh_swarm_peer_id(const sh_swarm *s, struct sh_peer_ref peer)
{
    const struct fake_peer *p = fake_of(s, peer);
    return p ? &p->id : NULL;
}

bool sh_swarm_is_connected(const sh_swarm *s, struct sh_peer_ref peer)
{
    const struct fake_peer *p = fake_of(s, peer);
    return p && p->conns > 0;
}

uint64_t sh_swarm_rtt_us(const sh_swarm *s, struct sh_peer_ref peer)
{
    (void)s;
    (void)peer;
    return 0;
}

void sh_swarm_want(sh_swarm *s, struct sh_peer_ref peer, uint64_t now_us)
{
    struct fake_peer *p = fake_of(s, peer);
    FAKE_CHECK(p);
    if (p->conns == 0) {
        p->wanted = true;
        p->redial_us = now_us;
    }
}

void sh_swarm_hold(sh_swarm *s, struct sh_peer_ref peer)
{
    struct fake_peer *p = fake_of(s, peer);
    FAKE_CHECK(p);
    if (p->holds++ == 0 && p->conns == 0) {
        p->redial_us = s->net->now_us;
        p->lost_us = s->net->now_us + FAKE_GRACE_US;
        p->lost = false;
    }
}

void sh_swarm_release(sh_swarm *s, struct sh_peer_ref peer)
{
    struct fake_peer *p = fake_of(s, peer);
    FAKE_CHECK(p && p->holds > 0);
    if (--p->holds == 0) {
        p->lost_us = UINT64_MAX;
    }
}

void sh_swarm_close_conn(sh_swarm *s, sh_conn_id conn, uint32_t code, const char *why)
{
    FAKE_CHECK(code == 0x1003);
    struct fake_net *net = s->net;
    net->closed_conns++;
    snprintf(net->closed_why, sizeof net->closed_why, "%s", why);
    for (unsigned i = 0; i < net->conn_count; i++) {
        struct fake_conn *c = &net->conns[i];
        for (int side = 0; side < 2; side++) {
            if (c->up && c->node[side] == s->index && c->id[side] == conn) {
                fake_conn_lost(net, c);
            }
        }
    }
}

void sh_swarm_disconnect(sh_swarm *s, struct sh_peer_ref peer, uint32_t code)
{
    (void)code;
    struct fake_peer *p = fake_of(s, peer);
    if (p && p->node >= 0) {
        fake_net_cut(s->net, s->index, p->node);
    }
}

int sh_swarm_open(sh_swarm *s, struct sh_peer_ref peer, unsigned proto, void *user, sh_stream **out)
{
    struct fake_peer *p = fake_of(s, peer);
    if (!p || !p->conns) {
        return SH_E_CLOSED;
    }
    struct fake_net *net = s->net;
    for (unsigned i = net->conn_count; i-- > 0;) {
        struct fake_conn *c = &net->conns[i];
        int side = c->node[0] == s->index ? 0 : 1;
        if (c->up && c->node[side] == s->index && c->node[!side] == p->node) {
            sh_stream *st = fake_stream(net, c, side, proto);
            st->user = user;
            fake_push(c, !side, (struct fake_item){.kind = FAKE_OPEN, .to = st});
            net->opens++;
            *out = st;
            return 0;
        }
    }
    FAKE_CHECK(false);
    return SH_E_CLOSED;
}

void sh_stream_set_user(sh_stream *st, void *user)
{
    FAKE_CHECK(!st->dead);
    st->user = user;
}

void *sh_stream_user(const sh_stream *st)
{
    return st->user;
}

struct sh_peer_ref sh_stream_peer(const sh_stream *st)
{
    sh_swarm *s = st->net->nodes[st->conn->node[st->side]];
    return fake_ref(s, fake_peer_of(s, st->conn->node[!st->side]));
}

sh_conn_id sh_stream_conn(const sh_stream *st)
{
    return st->conn->id[st->side];
}

size_t sh_stream_writable(const sh_stream *st)
{
    return st->unread < st->net->window ? st->net->window - st->unread : 0;
}

int64_t sh_stream_write(sh_stream *st, sh_span data)
{
    FAKE_CHECK(!st->dead && !st->shut);
    if (st->ending) {
        return (int64_t)data.n;
    }
    size_t room = sh_stream_writable(st);
    size_t n = data.n < room ? data.n : room;
    st->starved = n < data.n;
    if (n) {
        sh_span taken = sh_span_take(data, n);
        st->unread += n;
        fake_push(
            st->conn, !st->side,
            (struct fake_item){.kind = FAKE_DATA, .to = st, .n = n, .bytes = fake_copy(taken)});
    }
    return (int64_t)n;
}

void sh_stream_consumed(sh_stream *st, size_t n)
{
    FAKE_CHECK(!st->dead);
    if (st->ending || n == 0) {
        return;
    }
    FAKE_CHECK(st->other && st->other->unread >= n);
    st->other->unread -= n;
    bool roomy = st->other->unread <= st->net->window / 2; /* no silly windows */
    if (roomy && st->other->starved && !st->other->dead && !st->other->ending) {
        st->other->starved = false;
        sh_swarm *s = st->net->nodes[st->conn->node[!st->side]];
        fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_STREAM_WRITABLE,
                                              .peer = sh_stream_peer(st->other),
                                              .stream = st->other,
                                              .proto = st->proto});
    }
}

void sh_stream_shut(sh_stream *st)
{
    FAKE_CHECK(!st->dead && !st->shut);
    st->shut = true;
    fake_push(st->conn, !st->side, (struct fake_item){.kind = FAKE_FIN, .to = st});
}

void sh_stream_reset(sh_stream *st, uint32_t code)
{
    (void)code;
    FAKE_CHECK(!st->dead);
    st->dead = true;
    st->net->resets++;
    fake_push(st->conn, !st->side, (struct fake_item){.kind = FAKE_RESET, .to = st});
}

int sh_swarm_publish(sh_swarm *s, sh_span key, sh_span value_key, sh_span value,
                     uint64_t publication, uint64_t now_us)
{
    (void)now_us;
    struct fake_net *net = s->net;
    FAKE_CHECK(net->pub_count < FAKE_PUBS && publication != 0);
    net->pubs[net->pub_count++] =
        (struct fake_pub){.node = s->index,
                          .number = publication,
                          .key = sh_span_of(fake_copy(key), key.n),
                          .value_key = sh_span_of(fake_copy(value_key), value_key.n),
                          .value = sh_span_of(fake_copy(value), value.n)};
    fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_PUBLISHED, .query = publication});
    return 0;
}

void sh_swarm_withdraw(sh_swarm *s, uint64_t publication)
{
    bool found = false;
    for (unsigned k = 0; k < s->net->pub_count && !found; k++) {
        unsigned i = (s->net->pub_gone + k) % s->net->pub_count;
        struct fake_pub *p = &s->net->pubs[i];
        if (p->node == s->index && p->number == publication) {
            p->number = 0;
            s->net->pub_gone = i;
            found = true;
        }
    }
    FAKE_CHECK(found);
}

int sh_swarm_find(sh_swarm *s, sh_span key, uint64_t query, uint64_t now_us)
{
    (void)now_us;
    struct fake_net *net = s->net;
    net->finds++;
    bool told[FAKE_NODES] = {false};
    for (unsigned i = 0; i < net->pub_count; i++) {
        const struct fake_pub *p =
            &net->pubs[i]; /* also withdrawn ones: replicas forget by expiry only */
        if (p->node != s->index && !told[p->node] && sh_span_eq(p->key, key)) {
            told[p->node] = true;
            fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_FOUND,
                                                  .query = query,
                                                  .peer = fake_ref(s, fake_peer_of(s, p->node))});
        }
    }
    fake_event(s, (struct sh_swarm_event){.kind = SH_SWARM_QUERY_DONE, .query = query});
    return 0;
}

int sh_swarm_get(sh_swarm *s, struct sh_peer_ref peer, sh_span key, uint64_t query, uint64_t now_us)
{
    (void)now_us;
    struct fake_net *net = s->net;
    net->gets++;
    const struct fake_peer *holder = fake_of(s, peer);
    struct sh_swarm_event ev = {
        .kind = SH_SWARM_VALUE, .query = query, .peer = peer, .err = SH_E_NOT_FOUND};
    if (!net->nodes[holder->node] || net->refuse[holder->node]) {
        ev.err = SH_E_UNREACHABLE;
        fake_event(s, ev);
        return 0;
    }
    for (unsigned i = 0; i < net->pub_count; i++) {
        const struct fake_pub *p = &net->pubs[i];
        if (p->node == holder->node && p->number && sh_span_eq(p->value_key, key)) {
            ev.data = p->value;
            ev.err = 0;
        }
    }
    fake_event(s, ev);
    return 0;
}

void sh_swarm_query_cancel(sh_swarm *s, uint64_t query)
{
    (void)s;
    (void)query;
}
