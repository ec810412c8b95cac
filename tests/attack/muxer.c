/* muxer.c - rows 18 to 26: yamux. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct link *up(void)
{
    struct link *l = link_up(1);
    return l && link_alive(l) ? l : NULL;
}

/* Many frames of one kind, a thousand a seal; how many went out before the end. */
static size_t flood(struct link *l, const uint8_t *frames, size_t n, size_t times)
{
    size_t sent = 0, each = 48000 / n;
    uint8_t *many = malloc(each * n);
    for (size_t i = 0; i < each; i++) {
        memcpy(many + i * n, frames, n);
    }
    while (sent < times && !l->dead) {
        link_raw(l, many, each * n);
        sent += each;
        if (!l->deaf) {
            link_pump(l, 0);
        }
    }
    free(many);
    return sent;
}

static void header(uint8_t *h, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    memset(h, 0, 12);
    h[1] = (uint8_t)type;
    sh_store_u16be(h + 2, (uint16_t)flags);
    sh_store_u32be(h + 4, id);
    sh_store_u32be(h + 8, length);
}

static const char *never_reads(void)
{
    struct link *l = up();
    uint8_t ping[12];
    if (!l) {
        return "not accepted";
    }
    int small = 4096;
    setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    l->deaf = true;
    header(ping, PING, SYN, 0, 7);
    size_t sent = flood(l, ping, 12, 2000000);
    l->deaf = false;
    bool ended = link_ended(l, 3000);
    link_close(l);
    note("%zu pings", sent);
    return ended ? NULL : "2,000,000 pings were taken and no answer was read";
}

static const char *window_overflow(void)
{
    static const uint32_t deltas[][2] = {{0xffffffff, 0xffffffff}, {0x7fffffff, 0xfffffff0}};
    for (size_t i = 0; i < 2; i++) {
        struct link *l = up();
        struct stream *s = l ? stream_agreed(l, "/ipfs/ping/1.0.0") : NULL;
        if (!s) {
            return "no stream";
        }
        link_put(l, UPDATE, 0, s->id, deltas[i][0], NULL, 0);
        link_put(l, UPDATE, 0, s->id, deltas[i][1], NULL, 0);
        bool ended = link_ended(l, 3000);
        link_close(l);
        if (!ended) {
            return "a window past 2^32 is kept";
        }
    }
    return NULL;
}

static const char *over_credit(void)
{
    static uint8_t body[50000];
    for (int kind = 0; kind < 3; kind++) {
        struct link *l = up();
        if (!l) {
            return "not accepted";
        }
        if (kind == 0) { /* the first frame already */
            link_put(l, DATA, SYN, 1, 262145, body, sizeof body);
        } else if (kind == 1) {
            link_put(l, DATA, SYN, 1, 0xffffffff, body, sizeof body);
        } else { /* a stream whose reader gives nothing back: one that waits for its negotiation's rest */
            struct stream *s = stream_agreed(l, "/shoal/actor/1.0.0");
            link_put(l, DATA, 0, s ? s->id : 1, 1u << 30, body, sizeof body);
        }
        bool ended = link_ended(l, 3000);
        link_close(l);
        if (!ended) {
            return failed("kind %d: data beyond the credit is taken", kind);
        }
    }
    return NULL;
}

/* Streams that never say what they are; then connections of the same peer. */
static const char *stream_flood(void)
{
    struct link *l = up();
    if (!l) {
        return "not accepted";
    }
    unsigned before = l->resets;
    for (int i = 0; i < 1000; i++) {
        stream_open(l, NULL);
        link_pump(l, 0);
    }
    for (uint64_t end = now_ms() + 3000;
         l->resets - before < 1000 - SH_STREAM_NEGOTIATING_MAX && now_ms() < end;) {
        link_pump(l, 20);
    }
    unsigned refused = l->resets - before, ups = 0;
    struct link *more[12];
    for (int i = 0; i < 12; i++) {
        more[i] = link_up_as(1, &l->identity);
        ups += more[i] && link_alive(more[i]) ? 1u : 0u;
    }
    for (int i = 0; i < 12; i++) {
        if (more[i]) {
            link_close(more[i]);
        }
    }
    bool alive = link_alive(l);
    link_close(l);
    note("%u of 1,000 streams refused, %u more connections", refused, ups);
    return refused < 1000 - SH_STREAM_NEGOTIATING_MAX
               ? "more than 250 streams of a connection are open"
           : ups >= SH_CONNS_PER_PEER_MAX ? "more than 8 connections of a peer"
           : !alive                       ? "the refused streams ended the connection"
                                          : NULL;
}

static const char *rapid_reset(void)
{
    static const unsigned ends[] = {RST, FIN};
    for (size_t kind = 0; kind < 2; kind++) {
        struct link *l = up();
        size_t sent = 0;
        uint8_t pairs[24 * 1000];
        if (!l) {
            return "not accepted";
        }
        for (; sent < 200000 && !l->dead; sent += 1000) {
            for (uint32_t i = 0; i < 1000; i++, l->next_id += 2) {
                header(pairs + 24 * i, UPDATE, SYN, l->next_id, 0);
                header(pairs + 24 * i + 12, UPDATE, ends[kind], l->next_id, 0);
            }
            link_raw(l, pairs, sizeof pairs);
            link_pump(l, 0);
        }
        bool ended = link_ended(l, 1000);
        link_close(l);
        if (!ended) {
            return failed("%zu streams opened and %s at once, and still connected", sent,
                          kind ? "ended" : "reset");
        }
        note("ended within %zu", sent);
    }
    return NULL;
}

/* As much as the credit allows on every stream, and nothing of it whole: what the victim must keep. */
static const char *hoarding(void)
{
    static uint8_t part[16000];
    struct link *l[4];
    unsigned opened = 0;
    for (int c = 0; c < 4; c++) {
        l[c] = up();
        if (!l[c]) {
            return "not accepted";
        }
        for (int i = 0; i < 240; i++) {
            struct stream *s = stream_open(l[c], i < 120   ? "/kameo/registry/1.0.0"
                                                 : i < 122 ? "/shoal/actor/1.0.0"
                                                 : i < 180 ? "/ipfs/id/push/1.0.0"
                                                           : "/ipfs/ping/1.0.0");
            link_pump(l[c], 0);
            uint8_t length[] = {0x80, 0x7f}; /* 16,256 bytes are to come */
            uint8_t native[] = {0x80, 0x80, 0x3f};
            stream_send(l[c], s, i < 120 || i >= 122 ? length : native,
                        i < 120 || i >= 122 ? 2 : 3);
            stream_send(l[c], s, part, sizeof part);
            opened++;
        }
        link_pump(l[c], 50);
    }
    const char *error = stranger_served();
    for (int c = 0; c < 4; c++) {
        link_close(l[c]);
    }
    note("%u streams with 16 KB each", opened);
    return error;
}

static const char *empty_frames(void)
{
    static const struct {
        const char *what;
        unsigned type, flags;
    } kinds[] = {
        {"data", DATA, 0}, {"window updates of 0", UPDATE, 0}, {"unknown streams", DATA, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct link *l = up();
        struct stream *s = l ? stream_agreed(l, "/ipfs/ping/1.0.0") : NULL;
        uint8_t frame[12];
        if (!s) {
            return "no stream";
        }
        header(frame, kinds[i].type, kinds[i].flags, i == 2 ? 9999 : s->id, 0);
        size_t sent = flood(l, frame, 12, 1000000);
        bool ended = link_ended(l, 1000);
        link_close(l);
        if (!ended) {
            return failed("%zu empty frames (%s), and still connected", sent, kinds[i].what);
        }
        note("ended within %zu", sent);
    }
    return NULL;
}

/* Frames that do not fit the state: some end the connection, some are nothing. */
static const char *wrong_frames(void)
{
    static const struct {
        const char *what;
        unsigned type, flags;
        uint32_t id, length;
        bool ends;
    } table[] = {
        {"data for an unknown stream", DATA, 0, 77, 0, false},
        {"update for an unknown stream", UPDATE, 0, 77, 5, false},
        {"reset of an unknown stream", UPDATE, RST, 77, 0, false},
        {"fin of an unknown stream", DATA, FIN, 77, 0, false},
        {"ack of an unknown stream", UPDATE, ACK, 77, 0, false},
        {"an id of the wrong parity", UPDATE, SYN, 4, 0, true},
        {"stream 0", DATA, SYN, 0, 0, true},
        {"data on stream 0", DATA, 0, 0, 0, true},
        {"a stream opened twice", UPDATE, SYN, 1, 0, true},
        {"a ping on a stream", PING, SYN, 1, 0, true},
        {"a ping that is neither", PING, 0, 0, 0, true},
        {"an unknown type", 9, 0, 0, 0, true},
        {"go-away", AWAY, 0, 0, 0, true},
        {"go-away with an error", AWAY, 0, 0, 2, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct link *l = up();
        struct stream *s = l ? stream_agreed(l, "/ipfs/ping/1.0.0") : NULL;
        if (!s) {
            return "no stream";
        }
        link_put(l, table[i].type, table[i].flags, table[i].id, table[i].length, NULL, 0);
        if (table[i].type == AWAY) { /* then a new stream: nobody answers */
            stream_open(l, "/ipfs/ping/1.0.0");
        }
        bool ended = table[i].ends ? link_ended(l, 3000) : !link_alive(l);
        link_close(l);
        if (ended != table[i].ends) {
            return failed("%s: %s", table[i].what, ended ? "ended" : "kept");
        }
    }
    note("%zu frames", sizeof table / sizeof *table);
    return NULL;
}

/* Questions whose answers are never read: output is bounded, then input stops; nobody else waits. */
static const char *blocked_writer(void)
{
    struct link *l = up();
    struct stream *s = l ? stream_agreed(l, "/kameo/registry/1.0.0") : NULL;
    uint8_t ask[600];
    struct sh_kad_msg m = {.type = SH_KAD_FIND_NODE, .key = sh_span_str("any key at all")};
    if (!s) {
        return "no stream";
    }
    size_t n = kad_bytes(&m, ask, sizeof ask);
    l->greedy = true;
    for (int i = 0; i < 20000 && !l->dead && !s->reset; i++) {
        stream_send(l, s, ask, n);
        if (i % 50 == 0) {
            link_pump(l, 0);
        }
    }
    const char *error = stranger_served();
    note("%s", l->dead ? "ended" : s->reset ? "reset" : "held");
    link_close(l);
    return error;
}

const struct row muxer_rows[] = {{18, "never reads, makes us answer", never_reads},
                                 {19, "window update overflow", window_overflow},
                                 {20, "data beyond the credit", over_credit},
                                 {21, "stream and connection flood", stream_flood},
                                 {22, "rapid reset", rapid_reset},
                                 {23, "window hoarding", hoarding},
                                 {24, "empty frames", empty_frames},
                                 {25, "frames that fit no state", wrong_frames},
                                 {26, "blocked writer", blocked_writer},
                                 {0, NULL, NULL}};
