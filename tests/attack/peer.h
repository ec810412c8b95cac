/* peer.h - the attacker's tools: every layer by hand, so that any byte of any of them can be wrong.
 *
 * A link is one TCP connection; tcp_dial, link_noise and link_up each go one layer higher, link_put and link_raw write yamux, stream_* speak
 * multistream-select, native_* the actor wire. A row returns NULL, or a sentence: what the victim did wrong.
 * Nothing here sleeps: what takes time is polled for with a deadline. */
#ifndef ATTACK_PEER_H
#define ATTACK_PEER_H

#include "base/rng.h"
#include "base/span.h"
#include "proto/frame.h"
#include "proto/kad_msg.h"
#include "proto/noise.h"

#include <stdbool.h>
#include <stdint.h>

enum { DATA = 0, UPDATE = 1, PING = 2, AWAY = 3 };
enum { SYN = 1, ACK = 2, FIN = 4, RST = 8 };
enum { STREAMS_MAX = 1200, RAW_MAX = 1 << 20, STREAM_MAX = 1 << 18 };

struct stream {
    uint32_t id;
    bool theirs, agreed, reset, fin;
    uint32_t window; /* what we may send */
    char proto[64];
    uint8_t *in; /* what came, behind the negotiation */
    size_t n;
};

struct link {
    int fd;
    bool dead;   /* the victim closed, or said go-away */
    bool deaf;   /* never reads */
    bool greedy; /* gives no window back */
    uint64_t tx, rx;
    sh_aead seal, open;
    sh_noise noise;
    sh_identity identity;
    sh_noise_static own;
    sh_peer_id id;
    uint32_t next_id;
    struct stream streams[STREAMS_MAX];
    size_t stream_count;
    uint8_t *raw; /* sealed bytes not opened yet */
    size_t raw_n;
    uint8_t *plain; /* yamux bytes not read yet */
    size_t plain_n;
    unsigned pongs, resets;
    /* what the victim asks of us */
    void (*serve)(struct link *l, struct stream *s);
    uint32_t native_out, native_in; /* our stream, the victim's */
};

struct target {
    const char *host;
    uint16_t port;
    sh_peer_id peer;
    uint64_t echo, mute, slot;
    uint64_t seed;
    unsigned row;
};

extern struct target victim;
extern sh_rng rng;

uint64_t now_ms(void);
const char *failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* TCP. Sources are 127.<100 + row>.<high byte>.<low byte>: each row has its own network, the first addresses of it in one /24. */
int tcp_dial(unsigned source);
bool tcp_send(int fd, const void *bytes, size_t n);
int tcp_read(int fd, void *to, size_t cap, int ms); /* bytes; 0: end; -1: nothing within ms */
bool tcp_ended(int fd, int ms);                     /* reads all that comes until the end */

/* Multistream-select text. */
size_t mss_line(uint8_t *out, const char *text); /* length prefix, text, newline */
size_t mss_offer(uint8_t *out, const char *proto);

/* Links. They must start zeroed; link_close ends any state. */
struct link *link_new(unsigned source); /* TCP only, with a new identity; NULL: not accepted */
bool link_negotiated(struct link *l);   /* /noise is agreed */
bool link_noise(struct link *l, sh_span payload, bool muxer); /* payload.n = 0: an honest one */
struct link *link_up(unsigned source);                        /* all of it; NULL: refused */
struct link *link_up_as(unsigned source, const sh_identity *identity);
void link_close(struct link *l);
void link_seal(struct link *l, sh_span plain); /* one Noise frame */
void link_raw(struct link *l, const void *bytes, size_t n);
void link_put(struct link *l, unsigned type, unsigned flags, uint32_t id, uint32_t length,
              const void *body, size_t n);
bool link_pump(struct link *l, int ms); /* takes what came, waits up to ms for some; false: dead */
bool link_ended(struct link *l, int ms);
bool link_alive(struct link *l); /* answers a yamux ping within 5 s */

struct stream *link_stream(struct link *l, uint32_t id);
struct stream *stream_open(struct link *l,
                           const char *proto); /* SYN and the offer, not waited for */
struct stream *stream_agreed(struct link *l, const char *proto); /* NULL: refused or dead */
void stream_send(struct link *l, struct stream *s, const void *bytes, size_t n);
bool stream_wait(struct link *l, struct stream *s, size_t n, int ms); /* n bytes came */
bool stream_reset(struct link *l, struct stream *s, int ms);

/* The DHT. */
size_t kad_bytes(const struct sh_kad_msg *m, uint8_t *out, size_t cap);
/* One request on a stream of its own, and its answer (decoded into *out: free it). */
bool kad_ask(struct link *l, const struct sh_kad_msg *m, struct sh_kad_msg *out);
void kad_tell(struct link *l, const struct sh_kad_msg *m);

/* The actor wire. */
bool native_up(struct link *l);
void native_put(struct link *l, const struct sh_frame *f);
void native_raw(struct link *l, const void *bytes, size_t n);
/* The next frame of one of the types (a bit each) within ms; spans live until the next call. */
bool native_next(struct link *l, unsigned types, struct sh_frame *out, int ms);
struct sh_frame native_ask(uint64_t call, uint64_t actor, const char *name, sh_span value);

/* Somebody new from somewhere else is served within 3 s while the attack holds: NULL, or a sentence. */
const char *stranger_served(void);

struct row {
    int number;
    const char *title;
    const char *(*fn)(void);
};
extern const struct row connection_rows[], handshake_rows[], negotiation_rows[], muxer_rows[],
    identify_rows[], registry_rows[], message_rows[];

#endif
