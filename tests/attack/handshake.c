/* handshake.c - rows 05 to 16: Noise, what comes before it, and who one claims to be. */
#include "peer.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t field(uint8_t *out, unsigned number, const void *bytes, size_t n)
{
    size_t at = 0;
    out[at++] = (uint8_t)(number << 3 | 2);
    for (size_t left = n; left > 0 || at == 1; left >>= 7) {
        out[at++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    }
    memcpy(out + at, bytes, n);
    return at + n;
}

/* True: the victim let a peer with this payload in. */
static bool payload_taken(struct link *l, sh_span payload)
{
    bool up = link_negotiated(l) && link_noise(l, payload, true) && link_alive(l);
    link_close(l);
    return up;
}

static const char *giant_rsa(void)
{
    static uint8_t payload[4000], data[2400], key[2500];
    uint64_t slowest = 0;
    for (unsigned bits = SH_RSA_BITS_MAX + 808; bits <= 2 * SH_RSA_BITS_MAX; bits += 3692) {
        size_t n = bits / 8 + 40, k, at;
        memset(data, 0x30, sizeof data);
        data[1] = 0x82;
        sh_store_u16be(data + 2, (uint16_t)(n - 4));
        key[0] = 0x08;
        key[1] = 0; /* RSA */
        k = 2 + field(key + 2, 2, data, n);
        at = field(payload, 1, key, k);
        at += field(payload + at, 2, data,
                    1024); /* a signature as long as the longest key allowed makes */
        struct link *l = link_new(1);
        if (!l) {
            return "not accepted";
        }
        bool met = link_negotiated(l) && link_noise(l, sh_span_of(payload, at), true);
        uint64_t begun = now_ms();
        bool ended = tcp_ended(l->fd, 2000);
        slowest = now_ms() - begun > slowest ? now_ms() - begun : slowest;
        link_close(l);
        if (!met || !ended) {
            return failed("a key of %u bits was taken", bits);
        }
    }
    note("refused within %llu ms", (unsigned long long)slowest);
    return slowest > 500 ? "took more than 500 ms" : NULL;
}

static const char *bad_signature(void)
{
    static const char *const kinds[] = {
        "honest", "a flipped bit", "of another static key", "without its prefix", "no signature",
        "no key", "empty",         "signature of zeroes",   "another peer's key"};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        struct link *l = link_new(1);
        if (!l) {
            return "not accepted";
        }
        uint8_t message[24 + 32], key[36], signature[64], payload[256];
        sh_identity other;
        uint8_t seed[32];
        sh_rng_fill(&rng, seed, sizeof seed);
        sh_identity_from_seed(&other, seed);
        memcpy(message, "noise-libp2p-static-key:", 24);
        memcpy(message + 24, kind == 2 ? seed : l->own.public_key, 32);
        sh_identity_public_proto(kind == 8 ? &other : &l->identity, key);
        size_t skip = kind == 3 ? 24 : 0;
        sh_identity_sign(&l->identity, sh_span_of(message + skip, sizeof message - skip),
                         signature);
        signature[20] ^= kind == 1;
        if (kind == 7) {
            memset(signature, 0, sizeof signature);
        }
        size_t n = kind == 5 ? 0 : field(payload, 1, key, 36);
        n += kind == 4 || kind == 6 ? 0 : field(payload + n, 2, signature, 64);
        uint8_t muxers[16];
        n += field(payload + n, 4, muxers, field(muxers, 2, "/yamux/1.0.0", 12));
        if (kind == 6) {
            n = 1;
            payload[0] = 0;
        }
        sh_identity_fini(&other);
        if (payload_taken(l, sh_span_of(payload, n)) != (kind == 0)) {
            return failed(kind == 0 ? "%s refused" : "taken: %s", kinds[kind]);
        }
    }
    note("%zu payloads", sizeof kinds / sizeof *kinds - 1);
    return NULL;
}

static const char *low_order(void)
{
    static const uint8_t points[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct link *l = link_new(1);
        uint8_t message[34], room[16];
        sh_store_u16be(message, 32);
        memcpy(message + 2, points[i], 32);
        if (!l || !link_negotiated(l)) {
            return "not accepted";
        }
        tcp_send(l->fd, message, sizeof message);
        int got = tcp_read(l->fd, room, sizeof room, 3000);
        link_close(l);
        if (got != 0) {
            return failed("point %zu was answered", i);
        }
    }
    return NULL;
}

static const char *corrupted(void)
{
    static const size_t places[] = {2, 10, 13, 20, 29}; /* length counts from 0: body, tag */
    for (size_t i = 0; i < sizeof places / sizeof *places + 3; i++) {
        struct link *l = link_up(1);
        uint8_t frame[2 + 12 + 16] = {0}, ping[12] = {0, PING, 0, SYN};
        size_t n = sizeof frame;
        if (!l || !link_alive(l)) {
            return "not accepted";
        }
        sh_store_u16be(frame, 28);
        memcpy(frame + 2, ping, 12);
        sh_aead_seal(&l->seal, l->tx++, sh_span_none(), frame + 2, 12, frame + 14);
        if (i < sizeof places / sizeof *places) {
            frame[places[i]] ^= 0x10;
        } else { /* frames without room for a tag; the same frame twice is a wrong nonce */
            size_t kind = i - sizeof places / sizeof *places;
            sh_store_u16be(frame, kind == 0 ? 0 : kind == 1 ? 15 : 28);
            n = kind == 0 ? 2 : kind == 1 ? 17 : n;
            if (kind == 2) {
                tcp_send(l->fd, frame, n);
            }
        }
        tcp_send(l->fd, frame, n);
        bool ended = tcp_ended(l->fd, 2000);
        link_close(l);
        if (!ended) {
            return failed("still open after corruption %zu", i);
        }
    }
    return NULL;
}

/* TLS is not built in: it is refused by name, and what begins like TLS is no negotiation. */
static const char *tls(void)
{
    static const uint8_t hello[64] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3};
    uint8_t out[128], answer[128];
    size_t n = mss_offer(out, "/tls/1.0.0"), have = 0;
    int fd = tcp_dial(1), got;
    tcp_send(fd, out, n);
    while (have < 24 && (got = tcp_read(fd, answer + have, sizeof answer - have, 3000)) > 0) {
        have += (size_t)got;
    }
    close(fd);
    if (have != 24 || memcmp(answer + 20, "\x03na\n", 4) != 0) {
        return "/tls/1.0.0 was not refused";
    }
    fd = tcp_dial(1);
    tcp_send(fd, hello, sizeof hello);
    bool ended = tcp_ended(fd, 3000);
    close(fd);
    return ended ? NULL : "a TLS hello keeps the connection";
}

/* Bytes of upper layers at every stage before the peer is proven. */
static const char *too_early(void)
{
    uint8_t kad[] = {0x02, 0x08, 0x05}, yamux[12] = {0, PING, 0, SYN};
    uint8_t upper[600];
    for (unsigned i = 0; i < 12; i++) {
        bool framed = i & 1;
        unsigned stage = i / 2 % 3;
        struct link *l = link_new(1);
        if (!l || (stage > 0 && !link_negotiated(l))) {
            return "not accepted";
        }
        uint8_t message[34] = {0, 32}, room[1024];
        if (stage ==
            2) { /* the first message was sent and answered: now something else than the third */
            sh_rng_fill(&rng, message + 2, 32);
            tcp_send(l->fd, message, sizeof message);
            if (tcp_read(l->fd, room, sizeof room, 3000) <= 0) {
                return "no second message";
            }
        }
        size_t n = i < 6 ? 12 : sizeof kad, at = 0;
        memcpy(upper, i < 6 ? yamux : kad, n);
        while (framed && at + n + 2 < sizeof upper / 2) { /* as Noise messages */
            sh_store_u16be(upper + at, (uint16_t)n);
            memcpy(upper + at + 2, i < 6 ? yamux : kad, n);
            at += n + 2;
        }
        tcp_send(l->fd, upper, framed ? at : n);
        shutdown(l->fd, SHUT_WR);
        size_t said = 0;
        int got;
        while ((got = tcp_read(l->fd, room, sizeof room, 3000)) > 0) {
            said += (size_t)got;
        }
        link_close(l);
        if (got < 0 || said > 24) { /* a multistream line or two, nothing of what was asked */
            return failed("stage %u: %zu bytes said, %s", stage, said, got < 0 ? "open" : "closed");
        }
    }
    return NULL;
}

/* The conductor runs this row against a victim that lets nobody in but one peer: the equivalent of a closed swarm. */
static const char *stranger(void)
{
    struct link *l = link_up(1);
    if (!l) {
        return NULL;
    }
    struct stream *s = stream_open(l, "/shoal/actor/1.0.0");
    bool ended = link_ended(l, 3000), agreed = s->agreed;
    link_close(l);
    return agreed ? "a stream of a stranger was answered" : ended ? NULL : "a stranger stays";
}

/* Somebody else's signed record in identify is not read: the record's peer is not known afterwards. */
static const char *envelope(void)
{
    struct link *l = link_up(1);
    uint8_t push[512], key[36], record[200];
    if (!l) {
        return "not accepted";
    }
    sh_identity_public_proto(&l->identity, key);
    sh_rng_fill(&rng, record, sizeof record);
    size_t n = 1 + field(push + 1, 1, key, 36);
    n += field(push + n, 8, record, 80);
    push[0] = (uint8_t)(n - 1);
    struct stream *s = stream_agreed(l, "/ipfs/id/push/1.0.0");
    if (!s) {
        return "no push";
    }
    stream_send(l, s, push, n);
    link_put(l, DATA, FIN, s->id, 0, NULL, 0);
    bool alive = link_alive(l);
    link_close(l);
    return alive ? NULL : "an unread field ended the connection";
}

/* A first message with data in it: whatever it asks, nothing but the handshake is answered. */
static const char *early_data(void)
{
    struct link *l = link_new(1);
    uint8_t message[2 + 32 + 12] = {0, 44}, room[1024];
    static const uint8_t ping[12] = {0, PING, 0, SYN, 0, 0, 0, 0, 1, 2, 3, 4};
    if (!l || !link_negotiated(l)) {
        return "not accepted";
    }
    sh_rng_fill(&rng, message + 2, 32);
    memcpy(message + 34, ping, 12);
    tcp_send(l->fd, message, sizeof message);
    size_t have = 0;
    for (int got; (got = tcp_read(l->fd, room + have, sizeof room - have, 200)) > 0;) {
        have += (size_t)got;
    }
    link_close(l);
    size_t one = have >= 2 ? 2 + (size_t)sh_load_u16be(room) : 0;
    note("%zu bytes answered", have);
    return have == one ? NULL : "more than the second message was answered";
}

/* A listener that proves another id than the one dialled: the conductor lets the honest node dial it. */
static const char *impostor(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    char id[SH_PEER_ID_TEXT_MAX];
    uint8_t seed[32], key[36];
    sh_identity mine, other;
    sh_noise_static own;
    sh_peer_id expected;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, (struct sockaddr *)&at, sizeof at);
    listen(fd, 4);
    getsockname(fd, (struct sockaddr *)&at, &n);
    sh_rng_fill(&rng, seed, 32);
    sh_identity_from_seed(&other, seed);
    sh_identity_public_proto(&other, key);
    sh_peer_id_from_key(&expected, sh_span_of(key, 36));
    sh_peer_id_text(&expected, id);
    sh_rng_fill(&rng, seed, 32);
    sh_identity_from_seed(&mine, seed);
    sh_noise_static_init(&own, &mine, &rng);
    printf("{\"dial\": \"/ip4/127.0.0.1/tcp/%u/p2p/%s\"}\n", ntohs(at.sin_port), id);
    fflush(stdout);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int conn = poll(&p, 1, 5000) > 0 ? accept(fd, NULL, NULL) : -1;
    uint8_t offer[64], text[512], payload[SH_NOISE_PAYLOAD_OWN_MAX], ephemeral[32];
    size_t offered = mss_offer(offer, "/noise"), have = 0;
    int got;
    while (have < offered + 34 &&
           (got = tcp_read(conn, text + have, offered + 34 - have, 3000)) > 0) {
        have += (size_t)got;
        if (have == offered) {
            tcp_send(conn, offer, offered);
        }
    }
    sh_noise noise;
    sh_span none;
    sh_rng_fill(&rng, ephemeral, 32);
    sh_noise_init(&noise, false, &own, ephemeral, sh_span_none());
    if (have != offered + 34 || sh_noise_read(&noise, text + offered + 2, 32, &none) != 0) {
        return "the honest node does not speak Noise";
    }
    int len = sh_noise_payload_write(&mine, &own, true, payload);
    len = sh_noise_write(&noise, sh_span_of(payload, (size_t)len), text + 2, sizeof text - 2);
    sh_store_u16be(text, (uint16_t)len);
    if (have == offered + 34) {
        tcp_send(conn, offer, 0);
        tcp_send(conn, text, (size_t)len + 2);
    }
    got = tcp_read(conn, text, sizeof text, 3000);
    close(conn);
    close(fd);
    sh_noise_fini(&noise);
    sh_identity_fini(&mine);
    sh_identity_fini(&other);
    return got == 0 ? NULL : "data was sent to another peer than the one dialled";
}

const struct row handshake_rows[] = {{5, "giant RSA identity key", giant_rsa},
                                     {6, "bad handshake signature", bad_signature},
                                     {7, "another peer id than dialled", impostor},
                                     {8, "low-order X25519 points", low_order},
                                     {9, "corrupted frame", corrupted},
                                     {10, "TLS is refused", tls},
                                     {12, "messages before authentication", too_early},
                                     {14, "stranger at a closed node", stranger},
                                     {15, "signed record of somebody else", envelope},
                                     {16, "data in the first handshake message", early_data},
                                     {0, NULL, NULL}};
