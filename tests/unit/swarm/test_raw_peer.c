/* One swarm against a peer driven by hand over a real connection: a Kameo node (no identify), rude clients, pings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/varint.h"
#include "proto/identify.h"
#include "proto/kad_msg.h"
#include "proto/mss.h"
#include "swarm/internal.h"
#include "swarm_net.h"

enum { STREAMS_MAX = 64, SECOND = 1000000 };
static const char KAD[] = "/kameo/registry/1.0.0";

/* What the hand-driven side has seen of a stream. */
struct seen {
    uint64_t id;
    bool inbound, fin, reset;
    size_t n;
    uint8_t b[40000];
};

static struct snet net;
static struct seen seen[STREAMS_MAX];
static unsigned seen_count;
static sh_conn *raw;
static sh_noise_static noise;
static sh_conn_id conn;
static bool up, closed;
static sh_quota quota;

static struct seen *seen_of(uint64_t id)
{
    for (unsigned i = 0; i < seen_count; i++) {
        if (seen[i].id == id) {
            return &seen[i];
        }
    }
    assert_true(seen_count < STREAMS_MAX);
    memset(&seen[seen_count], 0, sizeof seen[0]);
    seen[seen_count].id = id;
    return &seen[seen_count++];
}

static void raw_event(const struct sh_conn_ev *e)
{
    up = up || e->kind == SH_CONN_UP;
    closed = closed || e->kind == SH_CONN_CLOSED;
    if (e->kind == SH_CONN_UP || e->kind == SH_CONN_CLOSED || e->kind == SH_CONN_PONG) {
        return;
    }
    struct seen *st = seen_of(e->stream);
    st->inbound = st->inbound || e->kind == SH_CONN_STREAM;
    st->fin = st->fin || e->kind == SH_CONN_FIN;
    st->reset = st->reset || e->kind == SH_CONN_RESET;
    if (e->kind == SH_CONN_DATA) {
        assert_true(st->n + e->data.n <= sizeof st->b);
        memcpy(st->b + st->n, e->data.p, e->data.n);
        st->n += e->data.n;
        raw->ops->credit(raw, e->stream, e->data.n);
    }
}

/* Moves bytes both ways until nothing moves. */
static void pump(void)
{
    sh_swarm *s = net.node[0].swarm;
    for (bool busy = true; busy;) {
        struct sh_conn_ev e;
        size_t room;
        busy = false;
        while (!closed && raw->ops->event(raw, &e, net.now_us)) {
            raw_event(&e);
            busy = true;
        }
        if (!closed) {
            raw->ops->flush(raw);
        }
        for (sh_span o; (o = raw->ops->out(raw)).n > 0; busy = true) {
            uint8_t *at = sh_swarm_room(s, conn, &room);
            if (!at || room == 0) {
                raw->ops->sent(raw, o.n); /* the swarm has closed it */
                break;
            }
            size_t k = o.n < room ? o.n : room;
            memcpy(at, o.p, k);
            raw->ops->sent(raw, k);
            sh_swarm_filled(s, conn, k, net.now_us);
            snet_run(&net, 0);
        }
        snet_run(&net, 0);
        for (sh_span o; !closed && (o = sh_swarm_out(s, conn)).n > 0; busy = true) {
            uint8_t *at = raw->ops->room(raw, &room);
            size_t k = o.n < room ? o.n : room;
            if (k == 0) {
                break;
            }
            memcpy(at, o.p, k);
            sh_swarm_sent(s, conn, k, net.now_us);
            raw->ops->filled(raw, k, net.now_us);
        }
    }
}

static void pass(uint64_t us)
{
    for (uint64_t end = net.now_us + us; net.now_us < end;) {
        snet_run(&net, 10000);
        pump();
    }
}

static int setup(void **state)
{
    (void)state;
    snet_init(&net, 2, 21, NULL, 0, NULL); /* node 1 lends its key to the hand-driven side */
    snet_listen(&net, 0);
    seen_count = 0;
    up = closed = false;
    sh_quota_init(&quota, NULL, SIZE_MAX);
    assert_int_equal(sh_noise_static_init(&noise, &net.node[1].identity, &net.node[1].rng), 0);
    struct sh_conn_config cfg = {.mem = sh_mem_system(),
                                 .quota = &quota,
                                 .pool = &net.node[1].pool,
                                 .rng = &net.node[1].rng,
                                 .identity = &net.node[1].identity,
                                 .noise_static = &noise,
                                 .dialer = true,
                                 .streams_max = 200,
                                 .handshake_us = 10 * SECOND};
    assert_int_equal(sh_stack_new(&cfg, net.now_us, &raw), 0);
    sh_addr remote = snet_addr(&net, 40, false);
    conn = sh_swarm_accepted(net.node[0].swarm, &remote, net.now_us);
    assert_true(conn != 0);
    pump();
    assert_true(up);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw->ops->free(raw);
    snet_fini(&net);
    return 0;
}

static void raw_write(uint64_t id, sh_span b)
{
    assert_int_equal(raw->ops->write(raw, id, b), b.n);
}

/* Opens a stream; header, proposal and payload at once. */
static uint64_t raw_open(const char *proto, sh_span payload)
{
    uint64_t id;
    uint8_t buf[100];
    int n = sprintf((char *)buf, "%c/multistream/1.0.0\n%c%s\n", 19, (int)strlen(proto) + 1, proto);
    assert_int_equal(raw->ops->open(raw, &id), 0);
    seen_of(id);
    raw_write(id, sh_span_of(buf, (size_t)n));
    if (payload.n > 0) {
        raw_write(id, payload);
    }
    return id;
}

/* What came behind the negotiation. */
static sh_span raw_answer(uint64_t id, const char *proto)
{
    struct seen *st = seen_of(id);
    size_t skip = 20 + 2 + strlen(proto);
    assert_true(st->n >= skip);
    return sh_span_of(st->b + skip, st->n - skip);
}

static size_t message(const struct sh_kad_msg *m, uint8_t *buf)
{
    int n = sh_kad_msg_encode(m, buf, SH_KAD_MESSAGE_MAX);
    assert_true(n > 0);
    return (size_t)n;
}

/* Reads the message at the start of *s and steps over it. */
static void next_message(sh_span *s, struct sh_kad_msg *m)
{
    uint64_t n;
    int prefix = sh_uvarint_get(*s, &n);
    assert_true(prefix > 0 && s->n >= (size_t)prefix + n);
    assert_int_equal(sh_kad_msg_decode(sh_mem_system(), sh_span_of(s->p + prefix, (size_t)n), m),
                     0);
    *s = sh_span_skip(*s, (size_t)prefix + (size_t)n);
}

static void swarm_publishes(const char *name, char *key)
{
    uint8_t value[64];
    char id[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(&net.node[0].id, id);
    sprintf(key, "%s:meta:%s", name, id);
    value[0] = net.node[0].id.n;
    memset(value + 1, 0, 8);
    memcpy(value + 9, net.node[0].id.b, net.node[0].id.n);
    assert_int_equal(sh_swarm_publish(net.node[0].swarm, sh_span_str(name), sh_span_str(key),
                                      sh_span_of(value, 9u + value[0]), 1, net.now_us),
                     0);
}

/* A Kameo node: it refuses identify, takes the registry stream, and is then a DHT server that is told our names. */
static void test_kameo_node(void **state)
{
    (void)state;
    static const uint8_t na[] = "\x13/multistream/1.0.0\n\x03na\n";
    char key[400];
    swarm_publishes("worker", key);
    pump();
    struct seen *identify = NULL, *kad = NULL;
    for (unsigned i = 0; i < seen_count; i++) {
        identify = seen[i].inbound ? &seen[i] : identify;
    }
    assert_non_null(identify);
    assert_memory_equal(identify->b + 21, "/ipfs/id/1.0.0\n", 15);
    raw_write(identify->id, sh_span_of(na, sizeof na - 1));
    pump();
    assert_true(identify->reset);
    for (unsigned i = 0; i < seen_count; i++) {
        kad = seen[i].inbound && &seen[i] != identify ? &seen[i] : kad;
    }
    assert_non_null(kad);
    assert_memory_equal(kad->b + 21, KAD, strlen(KAD));
    struct sh_kad_msg m;
    sh_span rest = sh_span_of(kad->b + 21 + strlen(KAD) + 1, kad->n - 22 - strlen(KAD));
    next_message(&rest, &m);
    assert_int_equal(m.type, SH_KAD_FIND_NODE); /* of its own id: that is how Kameo learns of it */
    assert_true(sh_span_eq(m.key, sh_peer_id_span(&net.node[0].id)));
    sh_kad_msg_free(sh_mem_system(), &m);
    /* It accepts and answers; so it counts as a server, and the name follows on the same stream. */
    uint8_t buf[200];
    int n = sprintf((char *)buf, "\x13/multistream/1.0.0\n%c%s\n", (int)strlen(KAD) + 1, KAD);
    raw_write(kad->id, sh_span_of(buf, (size_t)n));
    raw_write(kad->id, sh_span_of("\x04\x08\x04\x50\x09", 5));
    pump();
    bool added = false, put = false;
    rest = sh_span_of(kad->b + 22 + strlen(KAD), kad->n - 22 - strlen(KAD));
    while (rest.n > 0) {
        next_message(&rest, &m);
        added =
            added || (m.type == SH_KAD_ADD_PROVIDER && sh_span_eq(m.key, sh_span_str("worker")) &&
                      m.provider_count == 1 && m.provider[0].addr_count == 1);
        put = put || (m.type == SH_KAD_PUT_VALUE && sh_span_eq(m.key, sh_span_str(key)) && added);
        sh_kad_msg_free(sh_mem_system(), &m);
    }
    assert_true(added && put);
    struct sh_routing_row row;
    assert_int_equal(sh_swarm_routing_row(net.node[0].swarm, 0, &row), 0);
    assert_true(sh_peer_id_eq(&row.id, &net.node[1].id));
}

static void test_registry_served_in_order(void **state)
{
    (void)state;
    uint8_t buf[4096];
    char key[400];
    swarm_publishes("worker", key);
    struct sh_kad_msg find = {.type = SH_KAD_FIND_NODE, .key = sh_peer_id_span(&net.node[1].id)};
    struct sh_kad_msg who = {.type = SH_KAD_GET_PROVIDERS, .key = sh_span_str("worker")};
    struct sh_kad_msg get = {.type = SH_KAD_GET_VALUE, .key = sh_span_str(key)};
    struct sh_kad_msg put = {.type = SH_KAD_PUT_VALUE,
                             .key = sh_span_str("bad"),
                             .has_record = true,
                             .record = {.key = sh_span_str("bad"), .value = sh_span_str("\x26")}};
    size_t n = message(&find, buf);
    n += message(&who, buf + n);
    n += message(&get, buf + n);
    n += message(&put, buf + n);
    uint64_t id = raw_open(KAD, sh_span_of(buf, n));
    raw->ops->shut(raw, id);
    pump();
    sh_span rest = raw_answer(id, KAD);
    struct sh_kad_msg m;
    next_message(&rest, &m);
    assert_int_equal(m.type, SH_KAD_FIND_NODE);
    sh_kad_msg_free(sh_mem_system(), &m);
    next_message(&rest, &m);
    assert_int_equal(m.type, SH_KAD_GET_PROVIDERS);
    assert_int_equal(m.provider_count, 1);
    assert_true(sh_peer_id_eq(&m.provider[0].id, &net.node[0].id));
    assert_int_equal(m.provider[0].addr_count, 1);
    sh_kad_msg_free(sh_mem_system(), &m);
    next_message(&rest, &m);
    assert_int_equal(m.type, SH_KAD_GET_VALUE);
    assert_true(m.has_record && m.record.value.n == 9u + net.node[0].id.n);
    sh_kad_msg_free(sh_mem_system(), &m);
    next_message(&rest, &m); /* refused, and echoed all the same: so does Kameo */
    assert_int_equal(m.type, SH_KAD_PUT_VALUE);
    sh_kad_msg_free(sh_mem_system(), &m);
    assert_int_equal(rest.n, 0);
    assert_true(seen_of(id)->fin);
    uint64_t again = raw_open(KAD, sh_span_none());
    get.key = sh_span_str("bad");
    raw_write(again, sh_span_of(buf, message(&get, buf)));
    pump();
    rest = raw_answer(again, KAD);
    next_message(&rest, &m);
    assert_false(m.has_record);
    sh_kad_msg_free(sh_mem_system(), &m);
}

static void test_one_byte_at_a_time(void **state)
{
    (void)state;
    uint8_t buf[400];
    struct sh_kad_msg who = {.type = SH_KAD_GET_PROVIDERS, .key = sh_span_str("x")};
    size_t n = message(&who, buf);
    uint64_t id = raw_open(KAD, sh_span_none());
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++) {
            raw_write(id, sh_span_of(buf + i, 1));
            pump();
        }
        sh_span rest = raw_answer(id, KAD);
        assert_int_equal(rest.n, (round + 1) * 5); /* 04 08 03 50 09 */
    }
}

static void test_rude_registry_clients(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t b[6];
        size_t n;
    } cases[] = {
        {"a length over the cap", {0x81, 0x80, 0x01}, 3},
        {"an endless length", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 6},
        {"a malformed message", {0x02, 0x12, 0x09}, 3},
        {"an unknown type", {0x02, 0x08, 0x09}, 3},
        {"PING", {0x02, 0x08, 0x05}, 3},
        {"PUT_VALUE of nothing", {0x00}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t id = raw_open(KAD, sh_span_of(cases[i].b, cases[i].n));
        if (i == 1) {
            raw_write(id, sh_span_of(cases[i].b, 6));
        }
        pump();
        if (!seen_of(id)->reset) {
            fail_msg("%s was not answered by a reset", cases[i].what);
        }
    }
    assert_false(closed);
    /* 32 streams are served, the next is reset; a place that becomes free is given again. */
    uint64_t ids[SH_KAD_STREAMS_MAX + 1];
    for (unsigned i = 0; i <= SH_KAD_STREAMS_MAX; i++) {
        ids[i] = raw_open(KAD, sh_span_none());
    }
    pump();
    for (unsigned i = 0; i <= SH_KAD_STREAMS_MAX; i++) {
        assert_int_equal(seen_of(ids[i])->reset, i == SH_KAD_STREAMS_MAX);
    }
    raw->ops->shut(raw, ids[0]);
    pump();
    assert_true(seen_of(ids[0])->fin);
    uint64_t next = raw_open(KAD, sh_span_none());
    pump();
    assert_false(seen_of(next)->reset);
}

static void test_ping_after_fin(void **state)
{
    (void)state;
    static const char proto[] = "/ipfs/ping/1.0.0";
    uint8_t ping[64];
    for (unsigned i = 0; i < sizeof ping; i++) {
        ping[i] = (uint8_t)(i * 3);
    }
    uint64_t id = raw_open(proto, sh_span_of(ping, sizeof ping));
    uint64_t other = raw_open(proto, sh_span_of(ping, 32)); /* js has two */
    raw->ops->shut(raw, id);
    pump();
    sh_span echo = raw_answer(id, proto);
    assert_int_equal(echo.n, sizeof ping);
    assert_memory_equal(echo.p, ping, sizeof ping);
    assert_true(seen_of(id)->fin);
    assert_int_equal(raw_answer(other, proto).n, 32);
}

/* SH_PING_STREAMS_MAX: one more is reset; where one has ended there is room again. */
static void test_many_ping_streams(void **state)
{
    (void)state;
    static const char proto[] = "/ipfs/ping/1.0.0";
    uint64_t ids[SH_PING_STREAMS_MAX + 2];
    for (unsigned i = 0; i < SH_PING_STREAMS_MAX + 2; i++) {
        if (i == SH_PING_STREAMS_MAX + 1) {
            raw->ops->shut(raw, ids[0]);
            pump();
        }
        ids[i] = raw_open(proto, sh_span_none());
        pump();
        assert_int_equal(seen_of(ids[i])->reset, i == SH_PING_STREAMS_MAX);
    }
    assert_false(closed);
}

static void test_identify_is_answered(void **state)
{
    (void)state;
    static const char proto[] = "/ipfs/id/1.0.0";
    static const char *const known[] = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0",
                                        "/kameo/registry/1.0.0"};
    uint64_t id = raw_open(proto, sh_span_none());
    pump();
    sh_span body = raw_answer(id, proto);
    uint64_t n;
    int prefix = sh_uvarint_get(body, &n);
    assert_true(prefix > 0 && body.n == (size_t)prefix + n);
    assert_true(seen_of(id)->fin);
    static sh_identify said;
    memset(&said, 0, sizeof said);
    assert_int_equal(sh_identify_decode(sh_mem_system(), sh_span_of(body.p + prefix, (size_t)n),
                                        known, 4, &said),
                     0);
    assert_int_equal(said.spoken, 15);
    assert_int_equal(said.addr_count, 1);
    /* The other side forgot its own FIN: the stream does not stay for ever. */
    pass((SH_NEGOTIATE_TIMEOUT_MS - 20) * UINT64_C(1000));
    assert_false(seen_of(id)->reset);
    pass(40000);
    assert_true(seen_of(id)->reset);
}

static void test_nonsense_streams(void **state)
{
    (void)state;
    uint64_t id;
    assert_int_equal(raw->ops->open(raw, &id), 0);
    seen_of(id);
    raw_write(id, sh_span_str("\x13GET / HTTP/1.1\r\n\r\n padding"));
    uint64_t unknown = raw_open("/nobody/knows/1.0.0", sh_span_str("payload"));
    uint64_t half;
    assert_int_equal(raw->ops->open(raw, &half), 0);
    seen_of(half);
    raw_write(half, sh_span_str("\x13/multi"));
    pump();
    assert_true(seen_of(id)->reset);
    assert_true(seen_of(unknown)->reset || memcmp(seen_of(unknown)->b + 20, "\x03na\n", 4) == 0);
    pass((SH_NEGOTIATE_TIMEOUT_MS - 20) * UINT64_C(1000));
    assert_false(seen_of(half)->reset);
    pass(40000);
    assert_true(seen_of(half)->reset); /* patience has an end */
    assert_false(closed);
}

/* --- the hand-driven side as a DHT server --- */

static struct seen *last_inbound(void)
{
    struct seen *last = NULL;
    for (unsigned i = 0; i < seen_count; i++) {
        last = seen[i].inbound ? &seen[i] : last;
    }
    return last;
}

/* Refuses identify and takes the registry stream that follows, answering the first request: routed from then on. */
static struct seen *raw_becomes_server(void)
{
    static const uint8_t na[] = "\x13/multistream/1.0.0\n\x03na\n";
    uint8_t buf[100];
    pump();
    raw_write(last_inbound()->id, sh_span_of(na, sizeof na - 1));
    pump();
    struct seen *kad = last_inbound();
    int n = sprintf((char *)buf, "\x13/multistream/1.0.0\n%c%s\n", (int)strlen(KAD) + 1, KAD);
    raw_write(kad->id, sh_span_of(buf, (size_t)n));
    raw_write(kad->id, sh_span_of("\x04\x08\x04\x50\x09", 5));
    pump();
    return kad;
}

/* The keys of the GET_PROVIDERS that came on a stream, their first bytes as text. */
static unsigned keys_asked(struct seen *st, char *out)
{
    struct sh_kad_msg m;
    size_t skip = 22 + strlen(KAD);
    unsigned n = 0;
    for (sh_span rest = sh_span_of(st->b + skip, st->n - skip); rest.n > 0;) {
        next_message(&rest, &m);
        if (m.type == SH_KAD_GET_PROVIDERS) {
            out[n++] = (char)m.key.p[0];
        }
        sh_kad_msg_free(sh_mem_system(), &m);
    }
    out[n] = 0;
    return n;
}

static void find(const char *key, uint64_t query)
{
    assert_int_equal(sh_swarm_find(net.node[0].swarm, sh_span_str(key), query, net.now_us), 0);
}

/* A reset is the answer to the oldest request; those behind it go on a new stream, in order, at most twice. */
static void test_reset_of_the_registry_stream(void **state)
{
    (void)state;
    char keys[16];
    uint8_t buf[100];
    struct seen *kad = raw_becomes_server();
    find("a", 1);
    find("b", 2);
    find("c", 3);
    find("d", 4);
    pump();
    assert_int_equal(keys_asked(kad, keys), 4);
    assert_string_equal(keys, "abcd");
    for (unsigned round = 0; round < 2; round++) {
        raw->ops->reset(raw, kad->id, 0);
        pump();
        assert_non_null(snet_told(&net, SH_SWARM_QUERY_DONE, round + 1));
        assert_int_equal(snet_told(&net, SH_SWARM_QUERY_DONE, round + 1)->err, SH_E_UNREACHABLE);
        assert_null(snet_told(&net, SH_SWARM_QUERY_DONE, round + 2));
        struct seen *next = last_inbound();
        assert_ptr_not_equal(next, kad);
        kad = next;
        int n = sprintf((char *)buf, "\x13/multistream/1.0.0\n%c%s\n", (int)strlen(KAD) + 1, KAD);
        raw_write(kad->id, sh_span_of(buf, (size_t)n));
        pump();
        keys_asked(kad, keys);
        assert_string_equal(keys, round == 0 ? "bcd" : "cd");
    }
    raw_write(kad->id, sh_span_of("\x04\x08\x03\x50\x09", 5)); /* "c" is answered */
    pump();
    assert_non_null(snet_told(&net, SH_SWARM_QUERY_DONE, 3));
    assert_int_equal(snet_told(&net, SH_SWARM_QUERY_DONE, 3)->err, 0);
    assert_null(snet_told(&net, SH_SWARM_QUERY_DONE, 4));
    raw->ops->reset(raw, kad->id, 0);
    pump();
    assert_non_null(snet_told(&net, SH_SWARM_QUERY_DONE, 4));
    assert_false(closed);
}

/* 30 peers of 12 addresses: k of them and the target count, with eight addresses each. */
static void test_answers_are_cut(void **state)
{
    (void)state;
    enum { PEERS = 30, ADDRS = 12, ID = 34 };
    static uint8_t body[SH_KAD_MESSAGE_MAX], out[SH_KAD_MESSAGE_MAX];
    struct seen *kad = raw_becomes_server();
    size_t n = 0;
    find("a", 1);
    pump();
    body[n++] = 0x08;
    body[n++] = SH_KAD_GET_PROVIDERS;
    for (unsigned i = 0; i < PEERS; i++) {
        size_t row = 2 + ID + ADDRS * 10;
        body[n++] = 0x42; /* closer */
        body[n++] = (uint8_t)(row & 127) | 128;
        body[n++] = (uint8_t)(row >> 7);
        memcpy(body + n, "\x0a\x22\x12\x20\x55", 5);
        memset(body + n + 5, (int)i, ID - 3);
        n += 2 + ID;
        for (unsigned k = 0; k < ADDRS; k++) { /* /ip4/127.0.0.1/tcp/.. */
            uint8_t addr[] = {0x12, 8, 4, 127, 0, 0, 1, 6, (uint8_t)(100 + i), (uint8_t)k};
            memcpy(body + n, addr, sizeof addr);
            n += sizeof addr;
        }
    }
    int prefix = sh_uvarint_put(out, n);
    memcpy(out + prefix, body, n);
    raw_write(kad->id, sh_span_of(out, (size_t)prefix + n));
    pump();
    struct sh_swarm *s = net.node[0].swarm;
    const struct sh_query *q = SH_CONTAINER(sh_list_front(&s->queries), struct sh_query, all);
    assert_int_equal(q->number, 1);
    assert_int_equal(q->lookup.count, 1 + SH_KAD_K + 1); /* who answered, k, and the target */
    for (unsigned i = 0; i < q->lookup.count; i++) {
        const struct sh_peer *p = sh_slab_at(&s->peers, q->lookup.nodes[i].tag);
        assert_true(p->conn_count > 0 || p->addr_count == SH_KAD_PEER_ADDRS_MAX);
    }
    assert_int_equal(s->table.count, 1); /* named is not met */
}

/* --- inbound pushes --- */

/* A push with this agent: was it taken? */
static bool push(unsigned number)
{
    static const char *const spoken[] = {"/ipfs/id/1.0.0"};
    struct sh_identify_out card = {.protocols = spoken, .protocol_count = 1};
    struct sh_peer_row row;
    char agent[32];
    uint8_t buf[1000], key[SH_ED25519_PROTO_BYTES];
    sprintf(agent, "agent %u", number);
    card.agent = agent;
    sh_identity_public_proto(&net.node[1].identity, key);
    card.public_key = sh_span_of(key, sizeof key);
    int n = sh_identify_encode(&card, buf, sizeof buf);
    assert_true(n > 0);
    uint64_t id = raw_open("/ipfs/id/push/1.0.0", sh_span_of(buf, (size_t)n));
    if (!seen_of(id)->reset) {
        raw->ops->shut(raw, id);
    }
    pump();
    assert_int_equal(sh_swarm_peer_row(net.node[0].swarm, 0, &row), 0);
    bool taken = strcmp(row.agent, agent) == 0;
    assert_int_equal(seen_of(id)->reset, !taken);
    return taken;
}

static void test_pushes_and_their_rate(void **state)
{
    (void)state;
    unsigned number = 0;
    for (unsigned i = 0; i < SH_IDENTIFY_PUSHES_MAX; i++) {
        assert_true(push(number++));
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_false(push(number++));
    }
    pass(2100000); /* one more each second */
    assert_true(push(number++));
    assert_true(push(number++));
    assert_false(push(number++));
    pass(60 * (uint64_t)SECOND); /* no more than a burst is saved up */
    for (unsigned i = 0; i < SH_IDENTIFY_PUSHES_MAX; i++) {
        assert_true(push(number++));
    }
    assert_false(push(number++));
    assert_false(closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kameo_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_served_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_byte_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rude_registry_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping_after_fin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_ping_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identify_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_of_the_registry_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pushes_and_their_rate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
