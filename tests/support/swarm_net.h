/* support/swarm_net.h - swarms joined by pipes in memory, on a virtual clock: connections are the real ones.
 *
 * Shape    nodes 0..count-1; node i listens (when told to) on /ip4/127.0.0.1/tcp/(2000 + i). snet_run lets time
 *          pass; events of all nodes gather in one log, in order.
 * Faults   kill (pipes break, its port refuses), pause (frozen: the kernel still accepts and buffers), cut (bytes
 *          between two nodes vanish), latency.  Same seed, same log. */
#ifndef TEST_SWARM_NET_H
#define TEST_SWARM_NET_H

#include "swarm/swarm.h"

enum { SNET_NODES_MAX = 64, SNET_PORT = 2000, SNET_DATA_MAX = 256 };

struct snet_event {
    unsigned node;
    uint64_t at_us;
    enum sh_swarm_event_kind kind;
    int peer; /* node number, -1: unknown */
    sh_stream *stream;
    unsigned proto;
    uint64_t query;
    uint64_t code;
    int err;
    char text[96];
    size_t data_n;
    uint8_t data[SNET_DATA_MAX];
};

struct snet_node {
    struct snet *net;
    sh_swarm *swarm;
    sh_identity identity;
    sh_peer_id id;
    sh_mem_counter mem;
    sh_quota quota;
    sh_block_pool pool;
    sh_rng_seeded rng_state;
    sh_rng rng;
    bool alive, listens, paused;
    struct sh_swarm_config cfg;
};

struct snet_chunk {
    struct snet_chunk *next;
    uint64_t due_us;
    size_t n;
    size_t off;
    uint8_t b[];
};

struct snet_end {
    int node; /* -1: never attached */
    sh_conn_id conn;
    bool open; /* this node still uses it */
    bool told_closed;
    struct snet_chunk *first, *last; /* on their way to this end */
    uint64_t eof_us; /* when the far side's end arrives; UINT64_MAX: it has not ended */
    int eof_err;
};

struct snet_pipe {
    bool used;
    bool dialling;
    uint64_t due_us;        /* outcome of the dial; UINT64_MAX: never */
    bool accepted;          /* told to end 1 */
    struct snet_end end[2]; /* 0: dialler */
};

struct snet {
    unsigned count;
    struct snet_node node[SNET_NODES_MAX];
    struct snet_pipe *pipe;
    size_t pipe_count;
    uint64_t now_us;
    uint64_t latency_us;
    bool cut[SNET_NODES_MAX][SNET_NODES_MAX];
    unsigned garble;         /* so many chunks to come have a bit turned over */
    const char *garble_text; /* only chunks with this text, and its first letter; NULL: any */
    struct snet_event *log;
    size_t log_count, log_cap;
    bool consume; /* give stream data back at once (default) */
    const char *const *protocols;
    unsigned protocol_count;
};

/* cfg may be NULL; it changes the defaults of node i before its swarm is made. */
void snet_init(struct snet *n, unsigned count, uint64_t seed, const char *const *protocols,
               unsigned protocol_count,
               void (*cfg)(struct snet *n, unsigned i, struct sh_swarm_config *c));
/* The same, and all nodes listen. */
void snet_start(struct snet *n, unsigned count, uint64_t seed, const char *const *protocols,
                unsigned protocol_count,
                void (*cfg)(struct snet *n, unsigned i, struct sh_swarm_config *c));
void snet_fini(struct snet *n); /* checks that no memory is left */
void snet_listen(struct snet *n, unsigned i);
sh_addr snet_addr(const struct snet *n, unsigned i, bool with_peer);
int snet_dial(struct snet *n, unsigned from, unsigned to, bool keep, uint64_t call);
struct sh_peer_ref snet_peer(struct snet *n, unsigned at, unsigned who);
void snet_run(struct snet *n, uint64_t us); /* lets so much time pass */
/* Runs until an event of that kind at that node was logged at or behind *from (then *from is behind it). */
const struct snet_event *snet_until(struct snet *n, unsigned node, enum sh_swarm_event_kind kind,
                                    size_t *from, uint64_t limit_us);
/* The first event of that kind about that call or query, of whatever node; NULL: none was logged. */
const struct snet_event *snet_told(const struct snet *n, enum sh_swarm_event_kind kind,
                                   uint64_t query);
size_t snet_count(const struct snet *n, unsigned node, enum sh_swarm_event_kind kind, size_t from);
void snet_kill(struct snet *n, unsigned i);
void snet_restart(struct snet *n, unsigned i);
void snet_pause(struct snet *n, unsigned i);
void snet_resume(struct snet *n, unsigned i);
void snet_cut(struct snet *n, unsigned a, unsigned b, bool cut);

#endif
