/* sim/internal.h - what sim.c, net.c and faults.c share: hosts, pipes, the queue of events. */
#ifndef SH_SIM_INTERNAL_H
#define SH_SIM_INTERNAL_H

#include "base/list.h"
#include "base/rng.h"
#include "sim/sim.h"

enum { SIM_LISTENERS_MAX = 4, SIM_TURNS_MAX = 64, SIM_CONN_SLOTS = 64 };

enum sim_event_kind {
    SIM_TURN,      /* node: its turn */
    SIM_ARRIVE,    /* pipe: the dial reaches the target's host */
    SIM_CONNECTED, /* pipe: the answer reaches the dialler */
    SIM_REFUSED,   /* pipe: the refusal reaches the dialler */
    SIM_BYTES,     /* pipe, side: something is due there */
    SIM_FREE,      /* pipe: nobody refers to it any more */
};

struct sim_event {
    uint64_t at_us;
    uint64_t seq; /* first in, first out among equals */
    enum sim_event_kind kind;
    unsigned node;
    unsigned side;
    struct sim_pipe *pipe;
};

/* Bytes under way to one side. */
struct sim_chunk {
    struct sim_chunk *next;
    uint64_t arrive_us;
    size_t n, at;
    uint8_t bytes[];
};

enum sim_state {
    SIM_DIALLING,      /* dialler: no answer yet; target: its process has not accepted yet */
    SIM_CONNECTED_NOW, /* answered; the dialler's process has not heard */
    SIM_REFUSED_NOW,
    SIM_OPEN,
    SIM_LINGER, /* closed by its node: what it holds still leaves */
    SIM_GONE,
};

struct sim_side {
    sh_list at;      /* in its host's sides while it is not GONE */
    sh_list due;     /* in its host's due: something may be taken in */
    sh_list writing; /* in its host's writing: something may be given out */
    sh_list by_conn; /* in the slot of its host for conn, once it has one */
    struct sim_pipe *pipe;
    unsigned node;
    uint32_t life; /* of the node's process: an older one is gone */
    sh_conn_id conn;
    enum sim_state state;
    bool no_room; /* the node takes no input until SH_NODE_READ */
    bool want_write;
    struct sim_chunk *head, *tail; /* to be delivered here */
    size_t under_way;              /* bytes of that */
    uint64_t last_us;              /* arrival of the newest: order is kept */
    uint64_t fin_us;               /* the other side ended: UINT64_MAX no */
    int fin_err;
    uint64_t linger_us;
};

struct sim_pipe {
    sh_list link;            /* in sim->pipes */
    struct sim_side side[2]; /* 0: dialler */
    uint16_t port;
    unsigned target;
    unsigned refs; /* events that name it */
    bool over;     /* both sides gone */
};

struct sim_host {
    sh_node *node;
    uint32_t life;
    unsigned group;
    uint64_t split[2]; /* bit n: it is on that side of split n */
    sh_list sides;     /* of all pipes that end here, in the order they came */
    sh_list due, writing;
    sh_list conns[SIM_CONN_SLOTS];
    bool vanished;
    bool touched;
    uint64_t turn_us;   /* when its next SIM_TURN is due; UINT64_MAX: none */
    uint64_t paused_us; /* stands still until then */
    unsigned threads;
    uint64_t handled; /* messages and callbacks, of the executor that a poll would serve */
    struct {
        uint64_t number;
        uint16_t port;
    } listeners[SIM_LISTENERS_MAX];
    unsigned listener_count;
    sh_rng_seeded rng;
};

struct sim_clogged {
    unsigned from, to;
};

struct sh_sim {
    const sh_mem *mem;
    uint64_t now_us;
    uint64_t seq;
    uint64_t digest;
    uint64_t delivered;
    bool running;    /* inside sh_sim_run */
    bool regrouped;  /* hosts may hear each other that did not: look at all pipes */
    unsigned splits; /* since the last heal */
    sh_rng_seeded rng_state;
    sh_rng rng;
    uint64_t latency_least_us, latency_most_us;
    uint32_t loss_ppm;
    struct sim_event *heap;
    size_t heap_count, heap_cap;
    struct sim_host *hosts[SH_SIM_NODES_MAX];
    unsigned host_count;
    sh_list pipes;
    struct sim_clogged *clogged;
    size_t clogged_count, clogged_cap;
};

/* sim.c */
void sim_push(sh_sim *s, uint64_t at_us, enum sim_event_kind kind, unsigned node,
              struct sim_pipe *pipe, unsigned side);
void sim_turn_at(sh_sim *s, unsigned node, uint64_t at_us);
void sim_note(sh_sim *s, unsigned what, uint64_t a, uint64_t b,
              sh_span bytes); /* into the digest */
bool sim_running(const sh_sim *s, const struct sim_side *side);

/* faults.c */
uint64_t sim_net_delay(sh_sim *s); /* of what leaves now; drawn */
/* Whether bytes from one host may reach another now. */
bool sim_net_through(const sh_sim *s, unsigned from, unsigned to);
void sim_net_look_again(sh_sim *s); /* at pipes that were closed off: something may be due */

/* net.c */
void sim_net_listen(sh_sim *s, unsigned node, const struct sh_node_action *a);
void sim_net_dial(sh_sim *s, unsigned node, const struct sh_node_action *a);
void sim_net_action(sh_sim *s, unsigned node,
                    const struct sh_node_action *a); /* WRITE READ CLOSE CANCEL */
void sim_net_event(sh_sim *s, const struct sim_event *ev);
void sim_net_input(sh_sim *s, unsigned node); /* delivers what is due to that node's connections */
void sim_net_write(sh_sim *s, unsigned node); /* moves what its connections hold */
void sim_net_host_init(struct sim_host *h);
void sim_net_reset(sh_sim *s, struct sim_pipe *p); /* both sides will hear of its end */
void sim_net_process_gone(sh_sim *s, unsigned node, bool silent);
void sim_net_free(sh_sim *s);

#endif
