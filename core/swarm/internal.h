/* swarm/internal.h - what the files of this layer share: the objects of a swarm and who may be asked for what.
 *
 * Shape    a swarm owns peers; a peer has connections, addresses and a dialling state; a connection has streams.
 *          Things that must be told later carry their own note (nothing is allocated to tell it), things that happen
 *          later carry their own alarm in the swarm's timer wheel.
 * Order    every list is in order of arrival; no map is ever walked.
 * Rule     each block below names the file that owns it; other files call its functions and touch nothing else. */
#ifndef SH_SWARM_INTERNAL_H
#define SH_SWARM_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "base/sh_assert.h"
#include "base/sh_limits.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "proto/identify.h"
#include "proto/kad_msg.h"
#include "proto/mss.h"
#include "proto/ping.h"
#include "swarm/gater.h"
#include "swarm/kbucket.h"
#include "swarm/lookup.h"
#include "swarm/records.h"
#include "swarm/swarm.h"

enum sh_alarm_kind {
    SH_ALARM_CONN,
    SH_ALARM_PEER,
    SH_ALARM_STREAM,
    SH_ALARM_DIAL_ADDR,
    SH_ALARM_REQUEST,
    SH_ALARM_QUERY,
    SH_ALARM_PUB,
    SH_ALARM_BOOT,
    SH_ALARM_SWEEP
};
struct sh_alarm {
    sh_timer t;
    enum sh_alarm_kind kind;
};

enum sh_note_kind {
    SH_NOTE_PEER,
    SH_NOTE_CONN,
    SH_NOTE_STREAM,
    SH_NOTE_DIAL_ADDR,
    SH_NOTE_QUERY,
    SH_NOTE_PUB
};
struct sh_note {
    sh_list at; /* in swarm->notes while something is to be told */
    enum sh_note_kind kind;
};

/* Bytes gathered on the heap, charged to a quota. */
struct sh_buf {
    uint8_t *b;
    size_t n;
    size_t cap;
};

/* --- peers.c --- */
enum sh_outcome { SH_DIAL_UNTRIED, SH_DIAL_REFUSED, SH_DIAL_SILENT, SH_DIAL_ACCEPTED };

struct sh_peer_addr {
    uint64_t seen_us;  /* last time somebody told it, or it worked */
    uint64_t retry_us; /* back-off: opportunistic dials wait until then */
    uint32_t job;      /* the last dialling job that used it */
    uint8_t fails;
    bool reached; /* a dial to it was secured with this peer */
    bool strange; /* who answered the last dial spoke none of our protocols */
    bool dialling;
    enum sh_outcome outcome; /* of the last try */
    uint16_t n;
    uint8_t b[]; /* n bytes of multiaddr without /p2p */
};

enum sh_loss { SH_LOSS_NONE, SH_LOSS_OPEN, SH_LOSS_TOLD };

struct sh_peer {
    struct sh_peer_ref ref;
    sh_peer_id id;
    uint8_t key[32];
    uint32_t
        uses; /* holds, connections, streams, requests, candidates, routing entry: not evicted while > 0 */
    uint32_t holds;
    struct sh_peer *twin; /* another of the same hash in swarm->peer_of_hash */
    sh_list idle;         /* in swarm->idle while uses = 0 */
    sh_list conns;        /* secured ones, oldest first */
    uint32_t conn_count;
    struct sh_peer_addr **addrs; /* addr_cap places; at most SH_PEER_ADDRS_MAX */
    uint16_t addr_count, addr_cap;
    uint64_t spoken; /* protocols known to be spoken: from identify, or negotiated */
    bool identified; /* spoken is all there is */
    bool server;     /* answers the DHT protocol as a server */
    bool routed;     /* in the routing table or its replacement list */
    bool pushed;     /* own publications were sent since it connected */
    uint64_t rtt_us;
    char *agent; /* with its NUL, or NULL */
    /* events to tell */
    struct sh_note note;
    bool up_told;
    bool tell_up;
    bool tell_lost;
    bool tell_unreachable;
    bool tell_rest;
    const char *unreachable_why;
    const char *lost_why;
    /* dialling: dial.c */
    struct sh_alarm alarm;
    bool dialling;
    bool wanted;   /* UNREACHABLE is owed when it fails */
    bool eager;    /* this job ignores back-off */
    bool searched; /* FIND_NODE was tried for this want */
    uint32_t job;
    unsigned in_flight;
    uint64_t next_start_us;
    uint64_t redial_us; /* held and lost: next job; UINT64_MAX: none planned */
    uint32_t redial_ms; /* its back-off */
    /* its loss: loss.c */
    enum sh_loss loss;
    uint64_t lost_us; /* when the last connection went */
    /* DHT requests: kad.c */
    sh_list waiting; /* DHT requests until it is connected */
    unsigned asks;   /* all its DHT requests: waiting, queued or sent */
};

/* --- conns.c --- */
enum sh_conns_state {
    SH_CONNS_DIALLING,
    SH_CONNS_SECURING,
    SH_CONNS_UP,
    SH_CONNS_DEAD,
    SH_CONNS_CLOSING
};
enum {
    SH_ACT_DIAL = 1u << 0,
    SH_ACT_READ = 1u << 1,
    SH_ACT_WRITE = 1u << 2,
    SH_ACT_CLOSE = 1u << 3,
    SH_ACT_CANCEL = 1u << 4
};

struct sh_swarm_conn {
    sh_conn_id id;
    uint32_t index; /* slot, the low bits of id */
    enum sh_conns_state state;
    bool dialer;
    bool starved;      /* room() said 0: READ is owed */
    bool resting;      /* nothing was heard for a while: the connection holds the least it can */
    bool pipe_gone;    /* the driver said closed */
    bool known_dead;   /* silence: PEER_LOST needs no grace */
    bool job;          /* a dial of its target's job, counted there */
    bool gated;        /* we refused it: allow list */
    bool machine_over; /* the connection said CLOSED: only out and free are left */
    bool had_pipe;     /* the driver has a pipe for it */
    unsigned acts;
    sh_conn *machine; /* of its bytes: handshake, muxer; NULL: no pipe yet */
    sh_quota quota;
    uint8_t *addr_b; /* dialled, or accepted from: sh_conns_addr */
    uint16_t addr_n;
    struct sh_peer *peer;           /* once secured */
    struct sh_peer *target;         /* of a dial on behalf of a peer */
    struct sh_dial_addr *dial_addr; /* of a dial of an address */
    sh_list all, of_peer, ready, dirty, acting;
    sh_list streams; /* oldest first */
    unsigned negotiating, kad_in_count, ping_count;
    uint64_t heard_us, pinged_us, opened_us;
    uint64_t measure_us; /* not 0: the round trip is measured again then, whatever is heard */
    uint64_t thirst_us;  /* not 0: there was no block to read into; READ is owed from then on */
    struct sh_alarm alarm;
    struct sh_note note;
    int err;
    uint64_t code;
    const char *why;
    /* identify of this connection: identify.c */
    unsigned pushes; /* tokens for inbound pushes */
    uint64_t push_us;
    uint64_t identify_us;      /* when to ask again who it is; 0: no need */
    uint32_t identify_wait_ms; /* back-off of that */
    /* DHT client: kad.c */
    sh_stream *kad_out;
    sh_list kad_queue; /* not yet written */
    sh_list kad_sent;  /* in order of the answers */
    unsigned kad_sent_count;
};

/* --- streams.c, negotiate.c --- */
enum sh_service { SH_SERVE_USER, SH_SERVE_IDENTIFY, SH_SERVE_PUSH, SH_SERVE_PING, SH_SERVE_KAD };
enum sh_stream_state { SH_STREAM_NEGOTIATING, SH_STREAM_OPEN, SH_STREAM_OVER };

struct sh_stream {
    struct sh_swarm *swarm;
    struct sh_swarm_conn *conn;
    struct sh_peer *peer;
    uint64_t id;
    sh_list of_conn;
    enum sh_stream_state state : 8;
    enum sh_service service : 8;
    uint8_t proto; /* index in swarm->protocols */
    bool outbound;
    bool fin_in, fin_out; /* told by the peer; asked by the user */
    bool shut;            /* our FIN was handed to the connection */
    bool cut;             /* a write was cut short: WRITABLE is owed */
    bool early_fin;       /* the peer's FIN came while its bytes waited for the negotiation */
    bool tell_writable, tell_end;
    int err;
    uint64_t code;
    void *user;
    struct sh_note note;
    struct sh_stream_work *work; /* NULL: an open stream of the user, agreed and said so */
};

/* What a stream needs while it is negotiated, and a service's for its whole life. */
struct sh_stream_work {
    struct sh_stream *stream;
    struct sh_alarm alarm; /* negotiation, or a service's patience */
    sh_mss mss;
    struct sh_buf in, out;
    sh_ping ping;
    sh_identify *identify;
};

/* --- dial_addr.c, dial.c --- */
struct sh_dial_addr { /* a dial of an address, asked for by the user */
    sh_list all;
    uint64_t number;
    bool keep;
    bool told; /* DIALLED went out */
    bool tell;
    bool resolving, resolve_act;
    int err;
    char why[96];
    uint64_t request; /* of the resolve */
    unsigned in_flight;
    uint32_t backoff_ms;
    struct sh_peer *peer; /* in the address, or once it answered */
    sh_addr addr;
    struct sh_endpoint endpoint;
    struct sh_alarm alarm;
    struct sh_note note;
    sh_list acting;
};

struct sh_dial_failure { /* ring of DIAL_FAILED events: may overflow, oldest are kept */
    sh_addr addr;
    char text[96];
};

/* --- kad.c, routing.c, query.c, publish.c --- */
enum sh_asker {
    SH_ASK_QUERY,
    SH_ASK_GET,
    SH_ASK_PUB,
    SH_ASK_HELLO, /* nobody waits for the answer: does it speak the DHT protocol? */
    SH_ASK_DOUBT  /* likewise: is it still there? */
};

struct sh_request {
    sh_list all; /* in swarm->requests */
    sh_list at;  /* in peer->waiting, conn->kad_queue or conn->kad_sent */
    sh_list of_owner;
    bool sent;
    struct sh_swarm_conn *conn;
    struct sh_peer *peer;
    enum sh_asker asker;
    enum sh_kad_type type; /* PUT_VALUE: with ADD_PROVIDER before it */
    void *owner;           /* NULL: nobody waits any more */
    unsigned tries;
    struct sh_alarm alarm;
};

enum sh_purpose { SH_FOR_USER, SH_FOR_GET, SH_FOR_BOOT, SH_FOR_PEER, SH_FOR_PUB };

struct sh_query {
    sh_list all;
    enum sh_purpose purpose;
    uint64_t number;
    struct sh_peer *wanted; /* FOR_PEER */
    struct sh_pub *pub;     /* FOR_PUB */
    sh_list asks;           /* its open requests */
    uint32_t requests;      /* so many */
    bool done;
    int err;
    uint64_t end_us;
    uint64_t hold_us; /* FOR_USER: until then one answer is waited for, the others are not asked */
    struct sh_alarm alarm;
    struct sh_note note;
    struct sh_peer_ref found[SH_QUERY_FOUND_MAX];
    unsigned found_count, found_told;
    unsigned found_of_path[SH_LOOKUP_PATHS + 1]; /* the last: from our own records */
    bool has_value;
    struct sh_buf value; /* FOR_GET */
    struct sh_peer_ref from;
    uint16_t key_n;
    uint8_t key[SH_KAD_KEY_MAX];
    sh_lookup lookup;
};

struct sh_pub {
    sh_list all;
    uint64_t number;
    sh_span key, value_key, value; /* in the same block */
    size_t bytes;
    uint8_t kad_key[32];
    uint8_t far[32]; /* key of the farthest peer of the last round; a closer newcomer gets it too */
    bool has_far;
    bool confirmed, tell, echoed;
    bool lonely; /* nobody was known in its round: another follows the bootstrap */
    struct sh_pub *older_key, *older_value; /* the next older ones under the same keys */
    struct sh_query *query;
    sh_list asks;      /* its open requests */
    uint32_t requests; /* so many */
    uint32_t backoff_ms;
    struct sh_alarm alarm;
    struct sh_note note;
};

struct sh_swarm {
    struct sh_swarm_config cfg;
    sh_peer_id *allow; /* cfg.allow, ours */
    sh_noise_static noise;
    sh_peer_id self_id;
    uint8_t self_key[32];
    uint8_t public_key[SH_ED25519_PROTO_BYTES];
    uint64_t now_us;
    uint64_t doubt_us; /* this node stood still until then: silence before it proves nothing */
    sh_wheel wheel;
    const char *protocols[SH_MSS_PROTOCOLS_MAX]; /* the user's, identify, push, ping, DHT */
    unsigned protocol_count;
    sh_list notes;
    /* peers */
    sh_slab peers;
    sh_map_u64 peer_of_hash;       /* of its id; see sh_peer.twin */
    uint64_t peer_seed, peer_mask; /* mask: all bits; with few every peer has twins */
    sh_list idle;
    struct sh_peer *self;
    sh_addr listen[SH_LISTEN_MAX], announce[SH_LISTEN_MAX];
    unsigned listen_count, announce_count;
    bool serves; /* DHT server now */
    bool quiet;  /* no new connections */
    /* connections */
    sh_slab conns;
    uint32_t conn_serial;
    sh_list all_conns, ready, dirty, acting, dial_addrs_acting;
    sh_gater gater;
    unsigned conn_count, inbound_pending, dials, connected_peers;
    /* streams */
    sh_stream *ended; /* its END is being handled */
    sh_stream *carry; /* whose bytes behind the negotiation wait in carried */
    struct sh_buf carried;
    /* dials */
    sh_list dial_addrs;
    uint64_t request_serial;
    struct sh_dial_failure failures[SH_DIAL_FAILURES_MAX];
    unsigned failure_first, failure_count;
    /* DHT */
    sh_ktable table;
    sh_records records;
    sh_list queries, pubs, requests;
    sh_map_bytes pub_of_key, pub_of_value; /* own names, by provider key and by value key */
    unsigned query_count, pub_count;
    struct sh_alarm boot, sweep;
    bool booting;
    char text[96]; /* of the event being told */
};

/* internal.c */
void sh_note_queue(struct sh_swarm *s, struct sh_note *n);
void sh_alarm_init(struct sh_alarm *a, enum sh_alarm_kind kind);
void sh_alarm_set(struct sh_swarm *s, struct sh_alarm *a, uint64_t due_us);
int sh_buf_append(struct sh_swarm *s, struct sh_buf *b, sh_span bytes);
void sh_buf_consume(struct sh_buf *b, size_t n);
void sh_buf_free(struct sh_swarm *s, struct sh_buf *b);
void *sh_swarm_take(struct sh_swarm *s,
                    size_t bytes); /* zeroed and charged; NULL: no memory, or over quota */
void sh_swarm_give(struct sh_swarm *s, void *p, size_t bytes);
void sh_text_copy(char *out, size_t cap, const char *text); /* cut to fit, with its NUL */

#endif
