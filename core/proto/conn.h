/* proto/conn.h - the one abstraction of transport: a secured connection with streams.
 *
 * Shape    a machine behind a const table of operations; stack.c (any byte pipe) is one of them.
 * Driver   room/filled/eof feed raw bytes in; out/sent take raw bytes to write; deadline/tick are time.
 * Owner    (swarm) takes events until there are none, opens and writes streams, then calls flush once
 *          per turn: what was written in a turn leaves in as few sealed frames as fit.
 * Threads  confined to the node's loop.   Memory  blocks of cfg->pool, charged to cfg->quota.
 * Rules    Spans in an event stay valid until the next call on this connection. Errors are final:
 *          after EV_CLOSED only conn_out (last bytes: a go-away) and conn_free may be called.
 *          A stream is forgotten after RESET, after reset(), and once both FIN was taken and shut was
 *          called; CLOSED ends all of them without events of their own. Calls for one that is gone are
 *          harmless (SH_E_CLOSED).
 *          credit() may not exceed what DATA delivered on that stream: asserted. */
#ifndef SH_PROTO_CONN_H
#define SH_PROTO_CONN_H

#include "base/block.h"
#include "base/mem.h"
#include "base/quota.h"
#include "base/rng.h"
#include "base/span.h"
#include "crypto/keys.h"
#include "crypto/peer_id.h"

typedef struct sh_conn sh_conn;

enum sh_conn_ev_kind {
    SH_CONN_UP,       /* secured: peer is proven, streams may be opened */
    SH_CONN_STREAM,   /* the peer opened a stream */
    SH_CONN_DATA,     /* bytes of a stream; give them back with credit() once consumed */
    SH_CONN_FIN,      /* the peer writes no more on this stream (data before it was delivered) */
    SH_CONN_RESET,    /* the stream is gone, both ways; unread data is void */
    SH_CONN_WRITABLE, /* a write that was cut short may be tried again */
    SH_CONN_PONG,     /* answer to ping(): rtt_us */
    SH_CONN_CLOSED,   /* the connection is over: err, why; all streams are gone */
};

struct sh_conn_ev {
    enum sh_conn_ev_kind kind;
    uint64_t stream; /* id of the stream, for stream events */
    void *user;      /* what sh_conn_set_user attached to that stream, or NULL */
    sh_span data;    /* DATA */
    uint64_t rtt_us; /* PONG */
    uint64_t code;   /* RESET, CLOSED: code of the peer, 0 if none */
    int err;         /* CLOSED: SH_E_*, 0 for an orderly end (FIN or go-away 0) */
    const char *why; /* CLOSED: text for people, a constant */
    sh_peer_id peer; /* UP */
};

struct sh_conn_config {
    const sh_mem *mem;
    sh_quota *quota; /* of this connection; its parent is the node's (or the peer's) */
    sh_block_pool *pool;
    sh_rng *rng;
    const sh_identity *identity;
    const struct sh_noise_static *noise_static; /* X25519 key of this process and its signature */
    bool dialer;
    sh_peer_id expect;     /* n = 0: any peer; else the dial fails unless it is this one */
    uint32_t streams_max;  /* inbound streams at once; more are reset */
    uint64_t handshake_us; /* longest time until UP */
};

struct sh_conn_ops {
    /* Where raw bytes may be read to: at least 1 byte at the result, *n of them; *n = 0: the connection
     * takes no input now (its owner has not taken the events); NULL with *n = 0: out of memory. */
    uint8_t *(*room)(sh_conn *c, size_t *n);
    /* n bytes were read into room() (0: none came, it is given back). Never fails; what is wrong becomes EV_CLOSED. */
    void (*filled)(sh_conn *c, size_t n, uint64_t now_us);
    void (*eof)(sh_conn *c, uint64_t now_us); /* the pipe ended (err 0) */
    bool (*event)(sh_conn *c, struct sh_conn_ev *ev, uint64_t now_us);
    void (*flush)(sh_conn *c); /* seal what is open */
    void (*rest)(sh_conn *c);  /* idle for now: gives back what can be made again; may be NULL */
    sh_span (*out)(const sh_conn *c); /* raw bytes waiting to be written, contiguous part */
    void (*sent)(sh_conn *c, size_t n);
    uint64_t (*deadline)(const sh_conn *c); /* absolute us, UINT64_MAX: never */
    void (*tick)(sh_conn *c, uint64_t now_us);
    /* Opens a stream. 0; SH_E_LIMIT: too many (or too many not yet acknowledged); SH_E_CLOSED. */
    int (*open)(sh_conn *c, uint64_t *stream);
    /* Queues bytes; returns how many were taken, 0..n (less than n: WRITABLE follows), or < 0. */
    int64_t (*write)(sh_conn *c, uint64_t stream, sh_span data);
    /* How many bytes write would take now. */
    size_t (*writable)(const sh_conn *c, uint64_t stream);
    int (*shut)(sh_conn *c, uint64_t stream); /* FIN after what was written */
    void (*reset)(sh_conn *c, uint64_t stream, uint32_t code);
    void (*credit)(sh_conn *c, uint64_t stream, size_t n); /* n bytes of DATA were consumed */
    void (*set_user)(sh_conn *c, uint64_t stream, void *user);
    /* PONG follows, or never. SH_E_LIMIT: the answer to the last one is still out. */
    int (*ping)(sh_conn *c, uint64_t now_us);
    /* Queues the goodbye of the protocol (go-away, code) and refuses everything else; the driver closes
     * the pipe once out() is empty. No CLOSED event follows: the owner knows. */
    void (*close)(sh_conn *c, uint32_t code);
    void (*free)(sh_conn *c);
};

struct sh_conn {
    const struct sh_conn_ops *ops;
};

/* Noise static key of a process: made once, used by all connections of a node. */
typedef struct sh_noise_static {
    uint8_t secret[32];
    uint8_t public_key[32];
    uint8_t signature[64]; /* identity key over "noise-libp2p-static-key:" + public_key */
} sh_noise_static;
int sh_noise_static_init(sh_noise_static *ns, const sh_identity *id, sh_rng *rng);

/* A connection over a byte pipe: multistream-select, Noise, multistream-select, Yamux (proto/stack.c). */
int sh_stack_new(const struct sh_conn_config *cfg, uint64_t now_us, sh_conn **out);

#endif
