/* peer.h - our peer of the interop tests: a swarm, its sockets, and the commands under way.
 *
 * Shape    main.c turns: network events into the swarm (net.c), its events to commands and streams, its actions back
 *          to the sockets. commands.c and names.c answer lines; flows.c owns the streams of both directions.
 * Threads  one. */
#ifndef INTEROP_PEER_H
#define INTEROP_PEER_H

#include "base/list.h"
#include "line.h"
#include "proto/identify.h"
#include "swarm/internal.h" /* white box: identify and ping streams, address book and records of the swarm */

enum {
    PEER_COMMAND_US = 15000000, /* the contract's limit for an answer */
    PEER_FOUND_MAX = 32,
    PEER_META_MAX = 512,
};

enum command {
    CMD_DIAL,
    CMD_IDENTIFY,
    CMD_PING,
    CMD_ECHO,
    CMD_RESET,
    CMD_DISCONNECT,
    CMD_PROVIDE,
    CMD_LOOKUP,
    CMD_QUIT,
    CMD_UNKNOWN
};

/* Bytes gathered on the heap. */
struct bytes {
    uint8_t *b;
    size_t n, cap;
};

struct holder { /* a provider found by a look-up */
    struct sh_peer_ref peer;
    sh_peer_id id;
    bool answered;
    bool has_meta;
    size_t meta_n;
    uint8_t meta[PEER_META_MAX];
};

/* A command under way. */
struct op {
    sh_list at;
    uint64_t id;
    enum command command;
    uint64_t end_us;
    struct sh_peer_ref peer;
    sh_list flows;
    /* echo */
    unsigned streams, opened, agreed, ended, done;
    uint64_t bytes;
    char why[192]; /* of a stream that failed */
    /* identify */
    bool told;
    struct bytes card;
    /* ping */
    uint64_t rtt_us;
    /* provide, lookup */
    sh_span name; /* in the op's own block */
    unsigned found_count;
    bool searched;
    struct holder found[PEER_FOUND_MAX];
};

enum flow_kind { FLOW_SERVE, FLOW_ECHO, FLOW_RESET, FLOW_IDENTIFY, FLOW_PING };

/* What this program keeps with a stream. */
struct flow {
    sh_list of_op; /* in op->flows; FLOW_SERVE: alone */
    enum flow_kind kind;
    struct op *op;
    sh_stream *stream;
    unsigned number;
    uint64_t sent, got;
    bool open, fin, shut, differs;
    uint64_t asked_us;
    struct bytes kept; /* FLOW_SERVE: read and not yet written back */
};

struct peer {
    sh_swarm *swarm;
    sh_mem_counter mem;
    sh_quota quota;
    sh_block_pool pool;
    sh_rng rng;
    sh_identity identity;
    sh_addr address; /* with /p2p */
    uint64_t now_us;
    int listen_fd;
    sh_list pipes;
    sh_list ops;
    struct bytes in; /* of stdin, up to a line's end */
    bool quit;
};

/* main.c */
uint64_t peer_clock_us(void);
bool bytes_add(struct bytes *b, sh_span s);
void bytes_drop(struct bytes *b, size_t n);
void bytes_free(struct bytes *b);

/* net.c */
int net_listen(struct peer *p, sh_addr *addr);
bool net_act(struct peer *p); /* does what the swarm asks; true: something */
void net_poll(struct peer *p, uint64_t deadline_us);
void net_close(struct peer *p);

/* commands.c */
void command_line(struct peer *p, char *text);
void commands_step(struct peer *p); /* goes on with what had to wait, ends what took too long */
uint64_t commands_deadline(const struct peer *p);
void command_event(struct peer *p, const struct sh_swarm_event *ev);
void commands_free(struct peer *p);
void op_fail(struct peer *p, struct op *op, const char *why);
/* Prints the start of an answer; line_end and op_free follow. */
void op_answer(const struct op *op);
void op_free(struct peer *p, struct op *op);
void event_print(const char *event, const char *field, const char *text, const sh_peer_id *id);

void put_addr(const char *name, const sh_addr *addr);

/* names.c */
void provide(struct peer *p, struct op *op, const struct line *l);
void provided(struct peer *p, struct op *op);
int lookup_begin(struct peer *p, struct op *op);
uint64_t lookup_op(uint64_t query); /* the op whose query this is */
void lookup_event(struct peer *p, struct op *op, const struct sh_swarm_event *ev);
void lookup_step(struct peer *p, struct op *op);
void lookup_cancel(struct peer *p, const struct op *op);

/* flows.c */
/* 0; SH_E_LIMIT, SH_E_UNREACHABLE: not now. */
int flow_open(struct peer *p, struct op *op, enum flow_kind kind);
void flow_event(struct peer *p, const struct sh_swarm_event *ev);
void flows_end(struct op *op); /* resets what is open */
void flow_pump(struct flow *f);

#endif
