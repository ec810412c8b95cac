/* base/sh_limits.h - every bound of the system, with its reason.
 *
 * Shape    enum constants, one per line; sizes in bytes, times with their unit in the name.
 * Rule     what a remote can grow is bounded by a line of this file and charged to a quota before it
 *          is allocated; each line has a test that hits it. Append to the part of your room. */
#ifndef SH_BASE_SH_LIMITS_H
#define SH_BASE_SH_LIMITS_H

/* base */
enum {
    SH_BLOCK_BYTES = 67584,   /* 66 KiB: one Noise frame of 65,535 with its length and headers */
    SH_BLOCKS_KEPT = 64,      /* free blocks a pool keeps: 4 MiB, a burst of 64 connections */
    SH_BLOCKS_RESTING = 8,    /* of those when connections come to rest: one busy one needs six */
    SH_MP_DEPTH_MAX = 32,     /* nested lists and maps in a value: API page */
    SH_RADIX_BYTES_MAX = 128, /* base58 and base36 are quadratic: ids need 44 bytes */
    SH_LOG_LINE_MAX = 512,    /* one log line on the stack, longer ones are cut */
    SH_SLAB_COUNT_MAX = 1 << 24, /* slot numbers are 24 bits of a pid */
};

/* crypto */
enum {
    SH_RSA_BITS_MIN = 2048,      /* go-libp2p refuses smaller */
    SH_RSA_BITS_MAX = 8192,      /* verification time grows with the square */
    SH_KEY_PROTO_MAX = 1200,     /* an RSA 8192 SubjectPublicKeyInfo is about 1,060 bytes */
    SH_SIGNATURE_MAX = 1024,     /* RSA 8192 */
    SH_AEAD_UPDATE_BYTES = 8192, /* pieces that stay in L1: 4.4 instead of 3.5 GB/s */
    SH_PEER_ID_MAX = 42,         /* Ed25519 38, secp256k1 39, sha2-256 34 bytes */
    SH_PEER_ID_TEXT_MAX = 64     /* base58 of 42 bytes is 58, and the NUL */
};

/* proto: connections */
enum {
    SH_NOISE_PLAIN_MAX = 65519,      /* a u16 length, less the 16-byte tag */
    SH_NOISE_PAYLOAD_MAX = 4096,     /* handshake payload: key, signature, one extension */
    SH_MSS_LINE_MAX = 1024,          /* go and js refuse longer lines */
    SH_MSS_TRIES_MAX = 16,           /* proposals a listener answers before it closes */
    SH_MUXERS_MAX = 100,             /* entries of a stream_muxers list: go ignores longer ones */
    SH_HANDSHAKE_TIMEOUT_MS = 10000, /* everything up to a secured connection */
    SH_NEGOTIATE_TIMEOUT_MS = 10000, /* one stream's protocol */
    SH_MULTIADDR_PARTS_MAX = 16,     /* a relayed address has about 8 */
    SH_YAMUX_FRAME_SEND_MAX = 16384, /* fairness between streams; rust kills above 1 MiB */
    SH_YAMUX_WINDOW_START = 262144,  /* 256 KiB: fixed by the spec */
    SH_YAMUX_WINDOW_MAX = 1048576,   /* 1 MiB: a stream's window grown; 1 Gbit/s at 8 ms */
    SH_YAMUX_STREAMS_MAX = 500,      /* in and out: rust kills the connection at the 513th */
    SH_YAMUX_UNACKED_MAX = 256,      /* spec: unacknowledged streams we opened */
    SH_YAMUX_CONTROL_MAX =
        1024, /* pongs and refusals queued: then the peer floods, or reads nothing */
    SH_YAMUX_IDLE_FRAMES_BURST =
        4096, /* frames that carry nothing (empty, stray, resets, pings) taken at once ... */
    SH_YAMUX_IDLE_FRAMES_PER_S = 1024, /* ... and lasting; who sends more only makes work */
    SH_YAMUX_GROWN_MAX =
        4194304,                /* by how much all windows of a connection may have grown: 4 MiB */
    SH_CONN_OUT_BLOCKS_MAX = 4, /* blocks a connection queues: 264 KiB, then writes are cut short */
    SH_PING_BYTES = 32,         /* fixed by the spec */
};

/* proto and swarm: identify, DHT, mDNS */
enum {
    SH_IDENTIFY_MAX = 8192,             /* one message: go and js refuse more */
    SH_IDENTIFY_FIRST_MAX = 4096,       /* rust reads one message of this size */
    SH_IDENTIFY_MESSAGES_MAX = 10,      /* parts merged until the end */
    SH_IDENTIFY_ADDRS_MAX = 16,         /* kept of a peer's addresses */
    SH_PROTOCOLS_MAX = 128,             /* looked at of a message's list */
    SH_KAD_MESSAGE_MAX = 16384,         /* rust's cap, both ways */
    SH_KAD_PEERS_MAX = 40,              /* kept of one list of peers: twice k */
    SH_KAD_PEER_ADDRS_MAX = 8,          /* kept of one peer in a message */
    SH_KAD_DECODE_MAX = 524288,         /* memory of one message: 16 KiB make 8,192 empty entries */
    SH_KAD_K = 20,                      /* bucket size and replication */
    SH_KAD_ALPHA = 10,                  /* requests of one lookup in flight: spec, go, js, py */
    SH_KAD_KEY_MAX = 512,               /* value keys hold a name of 255 bytes and an actor id */
    SH_KAD_VALUE_MAX = 1024,            /* metadata of one name */
    SH_KAD_RECORDS_MAX = 65536,         /* values and provider entries kept for others */
    SH_KAD_PROVIDERS_MAX = 64,          /* kept per key */
    SH_KAD_STREAMS_MAX = 32,            /* inbound per peer, as rust and js */
    SH_KAD_RESPONSE_TIMEOUT_MS = 10000, /* go, rust, js */
    SH_DNSADDR_RESULTS_MAX = 100,       /* go: resolved addresses */
    SH_DNS_RESULTS_MAX = 16             /* addresses of a host's name: as many as a peer may have */
};

/* swarm */
enum {
    SH_PEERS_TABLE_MAX = 65536,     /* entries pids can point at */
    SH_PEERS_CONNECTED_MAX = 512,   /* max_peers by default */
    SH_CONNS_PER_PEER_MAX = 8,      /* go's limit; crossed dials keep two */
    SH_CONNS_PENDING_MAX = 256,     /* inbound, not yet authenticated */
    SH_CONNS_PENDING_ADDR_MAX = 64, /* of them from one address (v6: /64) */
    SH_CONNS_PENDING_NET_MAX = 128, /* of them from one network (v4 /24, v6 /48) */
    SH_CONNS_PENDING_GRACE_MS =
        1000,                        /* so old a pending one makes room when all places are taken */
    SH_HANDSHAKES_ADDR_BURST = 1024, /* handshakes begun for one address at once ... */
    SH_HANDSHAKES_ADDR_PER_S = 256,  /* ... and lasting: 4 % of a core */
    SH_HANDSHAKES_BURST = 4096,      /* the same for all addresses together ... */
    SH_HANDSHAKES_PER_S = 2048,      /* ... 35 % of a core */
    SH_GATER_ADDRS = 1024,           /* buckets for addresses; two that collide share one */
    SH_DIALS_PER_PEER_MAX = 8,       /* addresses tried at once: go and rust */
    SH_DIALS_MAX = 160,              /* in all: go */
    SH_STREAM_NEGOTIATING_MAX =
        250, /* inbound per connection without a protocol yet: all of them, go proposes late */
    SH_PEER_ADDRS_MAX = 16,         /* address book of one peer */
    SH_LISTEN_MAX = 16,             /* own addresses, and announced ones */
    SH_DIAL_TIMEOUT_MS = 5000,      /* one address: go's for private ones */
    SH_DIAL_FAILURES_MAX = 32,      /* dial_failed events not yet taken */
    SH_USER_DIALS_MAX = 1024,       /* dials of addresses asked for by the user */
    SH_KEEP_BACKOFF_MAX_MS = 60000, /* dials to keep, and held peers */
    SH_LOOKUP_PATHS = 4,          /* disjoint ones of a query: S/Kademlia; 20 % liars, all found */
    SH_LOOKUP_NODES_MAX = 128,    /* candidates of one query: six times k, a share for each path */
    SH_LOOKUP_ASKED_MAX = 256,    /* requests of one query: a liar cannot prolong it; likewise */
    SH_LOOKUP_SLOW_US = 1500000,  /* a candidate silent this long no longer holds a query up */
    SH_QUERY_TIMEOUT_MS = 20000,  /* one query as a whole */
    SH_QUERIES_MAX = 1024,        /* at once; about 7 KiB each */
    SH_QUERY_FOUND_MAX = 256,     /* providers told by one query, a quarter by each path */
    SH_KAD_SENT_MAX = 16,         /* requests unanswered on one stream; more wait here */
    SH_KAD_QUEUE_MAX = 4096,      /* requests to one peer, waiting or unanswered */
    SH_RECORD_VALUES_MAX = 16384, /* values kept for others */
    SH_RECORD_PUBLISHER_MAX = 4096, /* values, and provider entries, of one peer */
    SH_RECORD_ADDRS_MAX = 4,        /* addresses kept with a provider entry */
    SH_PROVIDER_TTL_MS = 172800000, /* 48 h: spec */
    SH_PROVIDER_STALE_MS = 3600000, /* not renewed for so long, an entry makes room for a new one */
    SH_VALUE_TTL_MS = 3600000,      /* Kameo: 1 h */
    SH_REPUBLISH_MS = 1200000,      /* 20 min: a third of the value's life */
    SH_PUBLISH_EVERYONE_MAX = 256,  /* so few names are sent to every DHT peer that connects */
    SH_PUBLICATIONS_MAX = 65536,    /* own names */
    SH_BOOTSTRAP_MS = 600000,       /* self lookup: go refreshes every 10 min */
    SH_CONN_REST_MS = 100,          /* so long idle, a connection gives back its cipher contexts */
    SH_PAUSE_MS = 500,              /* so late a deadline means that this node stood still */
    SH_NO_BLOCK_MS = 10,            /* no block to read into: the connection rests this long */
    SH_PING_STREAMS_MAX = 4,        /* of one connection: js keeps two */
    SH_IDENTIFY_PUSHES_MAX = 8      /* inbound pushes in a burst, one more each second */
};

/* actor */
enum {
    SH_NAME_MAX = 255,             /* names and type ids, 1..255 bytes, no NUL */
    SH_TEXT_MAX = 1024,            /* error and reason texts */
    SH_RUNTIME_EVENTS_MAX = 1024,  /* not yet taken: lost messages, failures; more are counted */
    SH_MAILBOX_DEFAULT = 1024,     /* messages */
    SH_SLICE_MESSAGES_MAX = 64,    /* of one actor in one turn */
    SH_ACTORS_MAX = 1 << 20,       /* max_actors by default */
    SH_ASKS_MAX = 65536,           /* max_asks by default */
    SH_MESSAGE_MAX = 1 << 20,      /* max_message by default: 1 MiB */
    SH_MESSAGE_INLINE_BYTES = 192, /* a pooled message with name and small value inside */
    SH_ASK_TIMEOUT_MS = 5000,      /* default */
    SH_CONFIRM_MS = 100,           /* what another node or thread has to confirm a withdrawal */
    SH_RESTARTS_DEFAULT = 5,       /* max restarts within ... */
    SH_RESTART_WITHIN_MS = 5000    /* ... this time */
};

/* remote: the native wire, its section 7 */
enum {
    SH_FRAME_EXTRA_MAX = 4096, /* frame length is the reader's max_message and this */
    SH_PEER_MESSAGE_MAX =
        1 << 27,                  /* believed of what a peer says it takes: a frame is below 2^28 */
    SH_HELLO_MAX = 1024,          /* before the peer's limits are known */
    SH_INTERN_NAMES_MAX = 1024,   /* table 0 */
    SH_INTERN_ACTORS_MAX = 4096,  /* tables 1 and 2 */
    SH_SESSION_CALLS_MAX = 16384, /* open calls a peer */
    SH_SESSION_WATCHES_MAX = 16384,  /* watches a peer */
    SH_SESSION_UNREAD_MAX = 4194304, /* replies, deaths, credits it does not read: 4 MiB */
    SH_SESSION_WINDOW = 8388608,     /* bytes of messages not yet handled: 8 MiB */
    SH_ORPHANS_MAX = 67108864, /* messages waiting from ended sessions, of all peers: 64 MiB ... */
    SH_ORPHANS_WINDOW = 65536, /* ... beyond it a session has this window */
    SH_SESSION_QUEUE_MAX = 1048576, /* the queue to a peer, its gate: 1 MiB ... */
    SH_SESSION_QUEUE_EACH =
        512, /* ... for which each counts as more: so many small ones as a core's own cache holds */
    SH_TARGET_WINDOW_START = 64, /* messages a target */
    SH_TARGET_WINDOW_MAILBOXES =
        8, /* when wider: times the mailbox limit; of a fast sender most are on their way */
    SH_TARGET_WINDOW_MAX = 65536, /* or this, when only memory bounds the mailbox */
    SH_MESSAGE_OVERHEAD = 128,    /* counted beside the frame length */
    SH_SESSION_WIDE_MAX =
        65536, /* actors whose window a peer was told wider, and so is remembered */
    SH_SESSION_TARGETS_MAX =
        131072, /* those, and who has a message of the window: at least 129 bytes each */
    SH_CREDIT_DELAY_MS = 10, /* a credit leaves within this */
    SH_SESSION_MEMORY_MAX =
        16777216, /* of a session's own, beside 4 messages: unread output, tables, 16 MiB */
    SH_CALLS_IN_MAX = 1 << 20,    /* open calls of all peers: 64 of them with all they may have */
    SH_CALLS_OUT_MAX = 1 << 20,   /* open calls to all peers */
    SH_LOOKUPS_MAX = 16384,       /* lookups under way at once */
    SH_LOOKUP_HOLDERS_MAX = 1024, /* holders one lookup_all remembers, so that each is told once */
    SH_NAMES_MAX = 65536,         /* registered at this node */
    SH_BYE_ANSWER_MS = 1000,      /* a goodbye that is not answered: our stream ends anyway */
    SH_HELLO_TIMEOUT_MS = 10000,  /* no HELLO, or no stream in answer */
    SH_SESSION_STREAMS_MAX = 2,   /* incoming native streams a peer */
};

/* node */
enum {
    SH_STOP_TIMEOUT_MS = 5000,  /* default of a graceful stop */
    SH_PEER_TIMEOUT_MS = 10000, /* default: silence that counts as death */
    SH_CLOSED_GRACE_MS = 200, /* a closed connection that does not come back: death within 250 ms */
    SH_NODE_QUOTA_BYTES = 1 << 30,   /* what all peers together can make a node hold: 1 GiB */
    SH_NODE_MESSAGE_MIN = 1024,      /* smallest max_message: an error text must fit */
    SH_NODE_MESSAGE_LIMIT = 1 << 26, /* largest max_message: 64 MiB, and a frame is under 2^28 */
    SH_NODE_LISTENERS_MAX = 64,      /* addresses a node listens on */
    SH_NODE_STOPS_MAX = 16,          /* who waits for the stop, administrators among them */
    SH_NODE_DIAL_MS = 30000,         /* default of a dial call: handshake 10 s, some addresses */
    SH_NODE_LOOKUP_ONCE_MS = 60000,  /* one pass ends by the swarm's own timeouts; this is beyond */
    SH_NODE_INFO_BYTES_MAX =
        1 << 20, /* an info answer to a peer: rows that do not fit are left out */
    SH_NODE_INFO_LOCAL_MAX = 1 << 28, /* the same to our own host: a million actors */
    SH_NODE_EVENTS_TURN_MAX = 1024,   /* swarm events routed in one turn */
    SH_NODE_WARNINGS_BURST = 64, /* log lines about what peers and actors did wrong at once ... */
    SH_NODE_WARNINGS_PER_S = 16  /* ... and lasting; the others are counted in the next one */
};

#endif
