/* tests/sim/world.h - one simulated world and its ledger: what was begun, and how it ended. */
#ifndef SHOAL_TEST_SIM_WORLD_H
#define SHOAL_TEST_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/sim.h"

enum {
    NODES_MAX = 1024,
    ACTORS_PER_NODE = 3,
    ACTORS_MAX = NODES_MAX * ACTORS_PER_NODE * 4, /* restarts make new ones */
    ASKS_MAX = 20000,
    WATCHES_MAX = 8000,
    MONITORS_MAX = 8000,
    LATE_US = 350000, /* an ask ends by its deadline, 0.1 s for the withdrawal, and slow turns */
};

struct world;

/* An actor that was ever spawned; its uid is its index. */
struct actor {
    struct world *world;
    unsigned node;
    uint32_t life; /* which process of that node */
    sh_pid pid;    /* as its own node names it */
    bool dead;     /* it ended, or its process did */
    uint64_t dead_us;
    char name[32];    /* registered, or "" */
    sh_pid others[8]; /* refs it got by messages or look-ups, as its node names them */
    uint32_t other_uids[8];
    unsigned other_count;
    sh_pid burst_to; /* whom its last burst went to */
    uint32_t burst_uid;
};

/* Messages of one pair: what the sender counted, what the receiver saw last. */
struct pair {
    uint32_t from, to;
    bool used;
    uint64_t sent, seen;
};

struct ask {
    struct world *world;
    uint32_t from; /* uid of the asker's node's first actor: its process */
    uint64_t begun_us, deadline_us;
    bool ended;
    bool must; /* begun when all was quiet: a live target has to answer */
    uint32_t to;
    int code;
};

struct watch {
    struct world *world;
    uint32_t watcher_node, watcher_life;
    uint32_t target;
    uint64_t begun_us;
    bool ended;
    int kind;
};

/* A monitor held by an actor: on_down must come once, when the target has ended. */
struct monitor {
    uint32_t watcher, target;
    sh_pid pid; /* of the target, as the watcher's node names it */
    uint64_t begun_us;
    bool ended;
};

struct process {
    uint32_t life;
    bool alive;
    uint64_t paused_until_us;
    uint64_t shaken_us; /* when a fault last touched it */
    unsigned threads;
    uint32_t mailbox;          /* limit of its actors */
    uint64_t told, came, lost; /* tells of this process: taken, handled somewhere, reported lost */
};

struct world {
    sh_sim *sim;
    const sh_rng *rng;
    uint64_t seed;
    unsigned node_count;
    struct process nodes[NODES_MAX];
    struct actor *actors;
    uint32_t actor_count;
    struct pair *pairs;
    size_t pair_count, pair_cap;
    struct ask *asks;
    uint32_t ask_count;
    struct watch *watches;
    uint32_t watch_count;
    struct monitor *monitors;
    uint32_t monitor_count;
    bool faults;      /* faults may happen */
    bool calm;        /* no more new work */
    char fault[256];  /* the first promise that was broken; "" none */
    size_t most_held; /* bytes charged to one node's quota */
    uint64_t asks_ok, asks_failed, tells, names_found, names_missed, deaths, handled;
};

/* A promise was broken: noted once, with the time. */
void world_broken(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* work.c */
int work_start_node(struct world *w, unsigned node, bool again);
void work_do(struct world *w); /* one random thing */
void work_burst(
    struct world *w); /* every live actor sends one other more than a window holds, then asks it */
struct pair *work_pair(struct world *w, uint32_t from, uint32_t to);
void work_node_gone(struct world *w, unsigned node);

/* faults.c */
void faults_do(struct world *w);
void faults_end(struct world *w); /* heals all, restarts who is down */

/* check.c */
void check_always(struct world *w); /* after every step */
void check_quiet(struct world *w);  /* once all is calm */

#endif
