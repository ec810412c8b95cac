/* link.c - TCP, multistream-select, Noise and yamux by hand. */
#include "peer.h"

#include "crypto/secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ TCP */

int tcp_dial(unsigned source)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    from.sin_addr.s_addr = htonl(127u << 24 | (100 + victim.row) << 16 | (source & 0xffff));
    to.sin_port = htons(victim.port);
    inet_pton(AF_INET, victim.host, &to.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool tcp_send(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t put = send(fd, at, n, MSG_NOSIGNAL);
        if (put <= 0) {
            return false;
        }
        at += put;
        n -= (size_t)put;
    }
    return true;
}

int tcp_read(int fd, void *to, size_t cap, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0) {
        return -1;
    }
    ssize_t got = recv(fd, to, cap, 0);
    return got > 0 ? (int)got : 0;
}

bool tcp_ended(int fd, int ms)
{
    uint8_t room[4096];
    uint64_t end = now_ms() + (uint64_t)ms;
    for (;;) {
        int64_t left = (int64_t)end - (int64_t)now_ms();
        int got = tcp_read(fd, room, sizeof room, left > 0 ? (int)left : 0);
        if (got <= 0) {
            return got == 0;
        }
    }
}

/* ------------------------------------------------------------------ negotiation */

size_t mss_line(uint8_t *out, const char *text)
{
    size_t n = strlen(text) + 1, at = 0;
    for (size_t left = n; left > 0 || at == 0; left >>= 7) {
        out[at++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    }
    memcpy(out + at, text, n - 1);
    out[at + n - 1] = '\n';
    return at + n;
}

size_t mss_offer(uint8_t *out, const char *proto)
{
    size_t n = mss_line(out, "/multistream/1.0.0");
    return n + mss_line(out + n, proto);
}

/* ------------------------------------------------------------------ links */

static bool link_identity(struct link *l, const sh_identity *identity)
{
    uint8_t seed[32], key[SH_ED25519_PROTO_BYTES];
    sh_rng_fill(&rng, seed, sizeof seed);
    bool ok = sh_identity_from_seed(&l->identity, identity ? identity->seed : seed) == 0 &&
              sh_noise_static_init(&l->own, &l->identity, &rng) == 0;
    sh_identity_public_proto(&l->identity, key);
    return ok && sh_peer_id_from_key(&l->id, sh_span_of(key, sizeof key)) == 0;
}

static struct link *link_make(unsigned source, const sh_identity *identity)
{
    int fd = tcp_dial(source);
    if (fd < 0) {
        return NULL;
    }
    struct link *l = calloc(1, sizeof *l);
    l->fd = fd;
    l->next_id = 1;
    l->raw = malloc(RAW_MAX);
    l->plain = malloc(RAW_MAX);
    if (!link_identity(l, identity)) {
        abort();
    }
    return l;
}

struct link *link_new(unsigned source)
{
    return link_make(source, NULL);
}

static bool link_bytes(struct link *l, uint8_t *to, size_t n)
{
    for (size_t have = 0; have < n;) {
        int got = tcp_read(l->fd, to + have, n - have, 3000);
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

bool link_negotiated(struct link *l)
{
    uint8_t offer[64], answer[64];
    size_t n = mss_offer(offer, "/noise");
    return tcp_send(l->fd, offer, n) && link_bytes(l, answer, n) && memcmp(offer, answer, n) == 0;
}

bool link_noise(struct link *l, sh_span payload, bool muxer)
{
    uint8_t message[2 + SH_NOISE_MESSAGE_MAX], mine[SH_NOISE_PAYLOAD_OWN_MAX], ephemeral[32];
    sh_span theirs;
    sh_rng_fill(&rng, ephemeral, sizeof ephemeral);
    sh_noise_init(&l->noise, true, &l->own, ephemeral, sh_span_none());
    int n = sh_noise_write(&l->noise, sh_span_none(), message + 2, sizeof message - 2);
    sh_store_u16be(message, (uint16_t)n);
    if (!tcp_send(l->fd, message, (size_t)n + 2) || !link_bytes(l, message, 2)) {
        return false;
    }
    size_t len = sh_load_u16be(message);
    if (len > SH_NOISE_MESSAGE_MAX || !link_bytes(l, message, len) ||
        sh_noise_read(&l->noise, message, len, &theirs) != 0) {
        return false;
    }
    if (payload.n == 0) {
        int got = sh_noise_payload_write(&l->identity, &l->own, muxer, mine);
        payload = sh_span_of(mine, (size_t)got);
    }
    n = sh_noise_write(&l->noise, payload, message + 2, sizeof message - 2);
    sh_store_u16be(message, (uint16_t)n);
    return tcp_send(l->fd, message, (size_t)n + 2) &&
           sh_noise_split(&l->noise, &l->seal, &l->open) == 0;
}

struct link *link_up_as(unsigned source, const sh_identity *identity)
{
    struct link *l = link_make(source, identity);
    if (l && link_negotiated(l) && link_noise(l, sh_span_none(), true)) {
        return l;
    }
    if (l) {
        link_close(l);
    }
    return NULL;
}

struct link *link_up(unsigned source)
{
    return link_up_as(source, NULL);
}

void link_close(struct link *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    for (size_t i = 0; i < l->stream_count; i++) {
        free(l->streams[i].in);
    }
    sh_aead_fini(&l->seal);
    sh_aead_fini(&l->open);
    sh_identity_fini(&l->identity);
    free(l->raw);
    free(l->plain);
    free(l);
}

/* Writes it all; while the victim takes none, what it says is taken (unless we are deaf). */
static void link_write(struct link *l, const uint8_t *bytes, size_t n)
{
    uint64_t end = now_ms() + 5000;
    while (n > 0 && !l->dead && now_ms() < end) {
        ssize_t put = send(l->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) {
            bytes += put;
            n -= (size_t)put;
            continue;
        }
        if (put < 0 && errno != EAGAIN) {
            l->dead = true;
            return;
        }
        struct pollfd p = {.fd = l->fd, .events = (short)(l->deaf ? POLLOUT : POLLOUT | POLLIN)};
        poll(&p, 1, 100);
        if (p.revents & POLLIN && l->raw_n < RAW_MAX) {
            ssize_t got = recv(l->fd, l->raw + l->raw_n, RAW_MAX - l->raw_n, MSG_DONTWAIT);
            l->dead = got == 0;
            l->raw_n += got > 0 ? (size_t)got : 0;
        }
    }
    l->dead = l->dead || n > 0;
}

void link_seal(struct link *l, sh_span plain)
{
    uint8_t frame[2 + 65535];
    sh_store_u16be(frame, (uint16_t)(plain.n + 16));
    memcpy(frame + 2, plain.p, plain.n);
    sh_aead_seal(&l->seal, l->tx++, sh_span_none(), frame + 2, plain.n, frame + 2 + plain.n);
    link_write(l, frame, plain.n + 18);
}

void link_raw(struct link *l, const void *bytes, size_t n)
{
    sh_span rest = sh_span_of(bytes, n);
    while (rest.n > 0 && !l->dead) {
        sh_span part = sh_span_take(rest, 60000);
        link_seal(l, part);
        rest = sh_span_skip(rest, part.n);
    }
}

void link_put(struct link *l, unsigned type, unsigned flags, uint32_t id, uint32_t length,
              const void *body, size_t n)
{
    uint8_t *frame = malloc(12 + n);
    frame[0] = 0;
    frame[1] = (uint8_t)type;
    sh_store_u16be(frame + 2, (uint16_t)flags);
    sh_store_u32be(frame + 4, id);
    sh_store_u32be(frame + 8, length);
    if (n > 0) {
        memcpy(frame + 12, body, n);
    }
    link_raw(l, frame, 12 + n);
    free(frame);
}

/* ------------------------------------------------------------------ reading */

struct stream *link_stream(struct link *l, uint32_t id)
{
    for (size_t i = l->stream_count; i-- > 0;) {
        if (l->streams[i].id == id) {
            return &l->streams[i];
        }
    }
    return NULL;
}

static struct stream *link_stream_new(struct link *l, uint32_t id, bool theirs)
{
    if (l->stream_count == STREAMS_MAX) {
        return NULL;
    }
    struct stream *s = &l->streams[l->stream_count++];
    *s = (struct stream){.id = id, .theirs = theirs, .window = 262144};
    return s;
}

/* One line of text from the front of what came; 0: not whole yet. */
static size_t stream_line(const struct stream *s, char *text, size_t cap)
{
    size_t n = s->n > 0 ? s->in[0] : 0;
    if (n == 0 || n > 127 || s->n < n + 1 || n > cap) {
        return 0;
    }
    memcpy(text, s->in + 1, n - 1);
    text[n - 1] = 0;
    return n + 1;
}

static void stream_skip(struct stream *s, size_t n)
{
    s->n -= n;
    memmove(s->in, s->in + n, s->n);
}

/* The victim's streams are agreed to whatever they propose; ours are agreed by the echo. */
static void stream_negotiate(struct link *l, struct stream *s)
{
    char text[128];
    uint8_t answer[160];
    size_t n;
    while (!s->agreed && (n = stream_line(s, text, sizeof text)) > 0) {
        stream_skip(s, n);
        if (strcmp(text, "/multistream/1.0.0") == 0) {
            continue;
        }
        if (strcmp(text, "na") == 0) {
            s->reset = true;
            return;
        }
        s->agreed = true;
        snprintf(s->proto, sizeof s->proto, "%.63s", text);
        if (s->theirs) {
            n = mss_offer(answer, text);
            link_put(l, DATA, ACK, s->id, (uint32_t)n, answer, n);
        }
    }
}

static void link_data(struct link *l, struct stream *s, const uint8_t *body, size_t n)
{
    if (!s->in) {
        s->in = malloc(STREAM_MAX);
    }
    size_t room = STREAM_MAX - s->n, take = n < room ? n : room;
    memcpy(s->in + s->n, body, take);
    s->n += take;
    if (n > 0 && !l->greedy) {
        link_put(l, UPDATE, 0, s->id, (uint32_t)n, NULL, 0);
    }
    if (!s->agreed) {
        stream_negotiate(l, s);
    }
    if (s->agreed && s->theirs && l->serve) {
        l->serve(l, s);
    }
}

static void link_frame(struct link *l, const uint8_t *h, const uint8_t *body)
{
    unsigned type = h[1], flags = sh_load_u16be(h + 2);
    uint32_t id = sh_load_u32be(h + 4), length = sh_load_u32be(h + 8);
    if (type == PING && (flags & SYN)) {
        link_put(l, PING, ACK, 0, length, NULL, 0);
    }
    l->pongs += type == PING && (flags & ACK);
    l->dead = l->dead || type == AWAY;
    if (type != DATA && type != UPDATE) {
        return;
    }
    struct stream *s = flags & SYN ? link_stream_new(l, id, true) : link_stream(l, id);
    l->resets += (flags & RST) != 0;
    if (!s) {
        return;
    }
    s->reset = s->reset || (flags & RST);
    s->fin = s->fin || (flags & FIN);
    if (type == DATA) {
        link_data(l, s, body, length);
    } else if (!(flags & RST)) {
        s->window += length;
    }
}

static void link_open_frames(struct link *l)
{
    size_t at = 0;
    while (l->raw_n - at >= 2) {
        size_t n = sh_load_u16be(l->raw + at);
        if (l->raw_n - at < n + 2 || l->plain_n + n > RAW_MAX || n < 16) {
            break;
        }
        uint8_t *body = l->raw + at + 2;
        if (sh_aead_open(&l->open, l->rx++, sh_span_none(), body, n - 16, body + n - 16) != 0) {
            l->dead = true;
            break;
        }
        memcpy(l->plain + l->plain_n, body, n - 16);
        l->plain_n += n - 16;
        at += n + 2;
    }
    l->raw_n -= at;
    memmove(l->raw, l->raw + at, l->raw_n);
}

static void link_take_frames(struct link *l)
{
    size_t at = 0;
    while (l->plain_n - at >= 12) {
        uint8_t header[12];
        memcpy(header, l->plain + at, 12);
        size_t body = header[1] == DATA ? sh_load_u32be(header + 8) : 0;
        if (l->plain_n - at - 12 < body) {
            break;
        }
        link_frame(l, header, l->plain + at + 12);
        at += 12 + body;
    }
    l->plain_n -= at;
    memmove(l->plain, l->plain + at, l->plain_n);
}

bool link_pump(struct link *l, int ms)
{
    if (l->raw_n < RAW_MAX && !l->dead) {
        int got = tcp_read(l->fd, l->raw + l->raw_n, RAW_MAX - l->raw_n, l->raw_n > 0 ? 0 : ms);
        l->dead = l->dead || got == 0;
        l->raw_n += got > 0 ? (size_t)got : 0;
    }
    bool dead = l->dead;
    link_open_frames(l);
    link_take_frames(l);
    l->dead = l->dead || dead;
    return !l->dead;
}

bool link_ended(struct link *l, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms;
    while (!l->dead && now_ms() < end) {
        link_pump(l, 50);
    }
    return l->dead;
}

bool link_alive(struct link *l)
{
    uint64_t end = now_ms() + 5000;
    unsigned before = l->pongs;
    link_put(l, PING, SYN, 0, 0x5aa5, NULL, 0);
    while (l->pongs == before && now_ms() < end && link_pump(l, 50)) {
    }
    return l->pongs > before;
}

/* ------------------------------------------------------------------ streams */

struct stream *stream_open(struct link *l, const char *proto)
{
    uint8_t offer[1200];
    size_t n = proto ? mss_offer(offer, proto) : 0;
    struct stream *s = link_stream_new(l, l->next_id, false);
    link_put(l, DATA, SYN, l->next_id, (uint32_t)n, offer, n);
    l->next_id += 2;
    return s;
}

struct stream *stream_agreed(struct link *l, const char *proto)
{
    uint64_t end = now_ms() + 5000;
    struct stream *s = stream_open(l, proto);
    while (s && !s->agreed && !s->reset && now_ms() < end && link_pump(l, 50)) {
    }
    return s && s->agreed ? s : NULL;
}

void stream_send(struct link *l, struct stream *s, const void *bytes, size_t n)
{
    link_put(l, DATA, 0, s->id, (uint32_t)n, bytes, n);
}

bool stream_wait(struct link *l, struct stream *s, size_t n, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms;
    while (s->n < n && !s->reset && now_ms() < end && link_pump(l, 20)) {
    }
    return s->n >= n;
}

bool stream_reset(struct link *l, struct stream *s, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms;
    while (!s->reset && now_ms() < end && link_pump(l, 20)) {
    }
    return s->reset || l->dead;
}
