/* tests/unit/remote/fake_swarm.h - swarm.h over in-memory pairs, for the tests of remote.
 *
 * fake_swarm.c defines the functions of swarm.h that remote uses, so a test that includes it never pulls the real
 * swarm out of its archive. Bytes of a connection arrive in order, in random pieces, when fake_net_run says so.
 * A stream used after its END event, or after its reset, fails the test. */
#ifndef FAKE_SWARM_H
#define FAKE_SWARM_H

#include "swarm/swarm.h"

#ifdef FAKE_SMALL /* for a fuzzer: a world is made for each input */
enum { FAKE_EVENTS = 128, FAKE_CONNS = 32, FAKE_STREAMS = 256, FAKE_PUBS = 64, FAKE_NOTES = 64 };
#else
enum {
    FAKE_EVENTS = 4096,
    FAKE_CONNS = 512,
    FAKE_STREAMS = 4096,
    FAKE_PUBS = 70000,
    FAKE_NOTES = 65536 /* what a node of the harness writes down */
};
#endif
enum { FAKE_NODES = 4, FAKE_PEERS = 8 };

struct fake_item { /* one thing on its way over a connection */
    struct fake_item *next;
    enum { FAKE_OPEN, FAKE_ECHO, FAKE_REFUSE, FAKE_DATA, FAKE_FIN, FAKE_RESET } kind;
    sh_stream *to; /* the receiver's end; OPEN: the opener's */
    size_t n, at;
    uint8_t *bytes;
};

struct fake_conn {
    bool up;
    int node[2];
    sh_conn_id id[2];                     /* each side's number */
    struct fake_item *first[2], *last[2]; /* towards node[i] */
};

struct sh_stream {
    struct fake_net *net;
    struct fake_conn *conn;
    int side; /* of conn->node */
    sh_stream *other;
    unsigned proto;
    void *user;
    bool ending; /* its END event waits to be taken */
    bool dead;   /* void: a use fails the test */
    bool open, shut;
    size_t unread; /* bytes sent to the other end and not consumed there */
    bool starved;  /* a write was cut short */
};

struct fake_event {
    struct sh_swarm_event ev;
    uint8_t *bytes;
};

struct fake_peer {
    sh_peer_id id;
    uint32_t check;
    int node; /* of the net, -1: nobody */
    unsigned holds, conns;
    bool wanted, lost;
    uint64_t redial_us, lost_us; /* UINT64_MAX: never */
};

struct sh_swarm {
    struct fake_net *net;
    int index;
    sh_conn_id next_conn;
    struct fake_peer peers[FAKE_PEERS];
    unsigned peer_count;
    struct fake_event events[FAKE_EVENTS];
    unsigned head, tail;
    struct fake_event current;
};

struct fake_pub {
    int node;
    uint64_t number;
    sh_span key, value_key, value;
};

struct fake_net {
    sh_rng_seeded seeded;
    sh_rng rng;
    uint64_t now_us;
    size_t window; /* bytes a stream takes before the reader consumes */
    size_t piece;  /* largest piece delivered at once */
    sh_swarm *nodes[FAKE_NODES];
    sh_peer_id ids[FAKE_NODES];
    bool native[FAKE_NODES]; /* speaks our protocols */
    bool refuse[FAKE_NODES]; /* dials to it are refused at once */
    bool silent[FAKE_NODES]; /* dials to it hang */
    struct fake_conn conns[FAKE_CONNS];
    unsigned conn_count;
    sh_stream *streams[FAKE_STREAMS];
    unsigned stream_count;
    struct fake_pub pubs[FAKE_PUBS];
    unsigned pub_count;
    unsigned pub_gone;     /* names are mostly withdrawn in their order: behind the last one */
    unsigned closed_conns; /* sh_swarm_close_conn calls */
    char closed_why[128];
    unsigned resets, opens;
    unsigned finds, gets;
};

struct fake_net *fake_net_new(uint64_t seed);
void fake_net_free(struct fake_net *net);
sh_swarm *fake_net_node(struct fake_net *net,
                        int index);                   /* made, or remade (its old one is gone) */
void fake_net_leave(struct fake_net *net, int index); /* kill -9 */
void fake_net_connect(struct fake_net *net, int a, int b);
void fake_net_cut(struct fake_net *net, int a, int b); /* every connection between them is lost */
bool fake_net_run(struct fake_net *net,
                  unsigned items); /* delivers up to that many items; false: nothing was there */
void fake_net_tick(struct fake_net *net, uint64_t now_us);

#endif
