/* proto/yamux.h - stream multiplexer over one ordered, secured byte pipe; both roles.
 *
 * Shape    pure machine. recv eats bytes until it has one event; bodies are passed on as they come
 *          and never gathered. Events are those of conn.h, CLOSED excepted: a fault is told by
 *          y->err.
 * Output   frames are appended to the outq lent by the owner. Consecutive writes to one stream
 *          extend the Data frame that is still open, so many small writes cost one header.
 * Units    windows in bytes, times in absolute us.
 * Threads  confined.
 * Memory   one sh_yamux_stream per live stream, charged to the quota, and the table that finds
 *          them.
 * Spec     github.com/hashicorp/yamux spec.md, libp2p specs yamux/README.md; RST carries a code in
 *          its length. SYN rides on a stream's first frame (as rust and js do), FIN on none with a
 *          body (go loses the body then). */
#ifndef SH_PROTO_YAMUX_H
#define SH_PROTO_YAMUX_H

#include "base/list.h"
#include "base/map.h"
#include "proto/conn.h"
#include "proto/outq.h"

enum { SH_YAMUX_HEADER_BYTES = 12 };

/* Go-away codes of yamux itself, and the code of a stream refused for lack of room (libp2p error
 * codes). */
enum {
    SH_YAMUX_NORMAL = 0,
    SH_YAMUX_PROTOCOL = 1,
    SH_YAMUX_INTERNAL = 2,
    SH_YAMUX_NO_ROOM = 0x1002
};

typedef struct sh_yamux_stream {
    sh_list waiting; /* in y->waiting: WRITABLE is due */
    void *user;
    uint64_t granted_us; /* when the last window update left */
    uint32_t id;
    uint32_t tx_window;   /* what we may still send */
    uint32_t rx_window;   /* what the peer may still send */
    uint32_t rx_limit;    /* size the receive window is kept at */
    uint32_t rx_held;     /* delivered, not yet given back by credit */
    uint32_t rx_consumed; /* given back, not yet granted again */
    uint16_t first_flags; /* SYN or ACK for the next frame we send */
    bool inbound;
    bool carried;  /* the peer has sent bytes on it */
    bool unacked;  /* ours, and the peer has not said ACK */
    bool fin_in;   /* the peer's direction ended */
    bool fin_out;  /* ours did */
    bool starving; /* a write was cut short by the window */
} sh_yamux_stream;

typedef struct sh_yamux {
    const sh_mem *mem;
    sh_quota *quota;
    sh_outq *out;
    sh_map_u64 streams; /* id -> sh_yamux_stream */
    sh_list waiting;    /* streams whose cut write may go on, first come first served */
    uint64_t rtt_us;    /* 0: unknown, windows do not grow */
    uint64_t ping_us;   /* when the ping in flight left */
    uint64_t now_us;    /* latest time told */
    uint32_t next_id;
    uint32_t streams_in;
    uint32_t streams_in_max;
    uint32_t unacked;
    uint32_t grown_bytes; /* sum of rx_limit above the start; <= SH_YAMUX_GROWN_MAX */
    uint64_t idle_us;     /* idle frames are counted from here */
    uint32_t idle;        /* frames that carried nothing, less what time forgave */
    uint32_t replies;     /* pongs and refusals since the peer last took bytes */
    uint32_t ping_value;
    uint32_t frame_id;     /* stream of the open Data frame, 0: none */
    uint32_t frame_n;      /* bytes in it */
    uint32_t frame_serial; /* of the outq when it was begun */
    uint8_t *frame;        /* its header */
    int err;               /* 0, or why the connection is over: SH_E_*, sticky */
    const char *why;
    uint32_t away_code; /* go-away read */
    bool away;          /* the peer said go-away: err may still be 0 */
    bool client;
    bool pinging;
    /* parser */
    uint8_t header[SH_YAMUX_HEADER_BYTES];
    uint8_t header_n;
    bool in_body;
    uint16_t flags; /* of the Data frame being read */
    uint32_t body_left;
    uint32_t body_id; /* 0: the body is skipped */
} sh_yamux;

struct sh_yamux_config {
    const sh_mem *mem;
    sh_quota *quota;
    sh_outq *out;
    uint64_t seed;           /* of the stream table */
    uint32_t streams_in_max; /* inbound streams at once; more are reset */
    bool client;             /* odd ids: the dialler of the connection */
};

void sh_yamux_init(sh_yamux *y, const struct sh_yamux_config *cfg);
void sh_yamux_fini(sh_yamux *y);

/* Eats from the front of *in until one event is there (true), or all is eaten or the link is over
 * (false). Call again with what is left, also if that is nothing, until false. */
bool sh_yamux_recv(sh_yamux *y, sh_span *in, struct sh_conn_ev *ev, uint64_t now_us);
/* The next WRITABLE that is due, if any. */
bool sh_yamux_event(sh_yamux *y, struct sh_conn_ev *ev);
bool sh_yamux_over(const sh_yamux *y); /* by a fault or by the peer's go-away */
void sh_yamux_sent(sh_yamux *y);       /* the pipe took bytes */

/* As the operations of the same name in conn.h. */
int sh_yamux_open(sh_yamux *y, uint64_t *stream);
int64_t sh_yamux_write(sh_yamux *y, uint64_t stream, sh_span data);
size_t sh_yamux_writable(const sh_yamux *y, uint64_t stream);
int sh_yamux_shut(sh_yamux *y, uint64_t stream);
void sh_yamux_reset(sh_yamux *y, uint64_t stream, uint32_t code);
void sh_yamux_credit(sh_yamux *y, uint64_t stream, size_t n);
void sh_yamux_set_user(sh_yamux *y, uint64_t stream, void *user);
int sh_yamux_ping(sh_yamux *y, uint64_t now_us);
void sh_yamux_away(sh_yamux *y, uint32_t code);

#endif
