/* sim/sim.h - the driver for tests: many nodes, one thread, a virtual clock, a network that misbehaves on purpose.
 *
 * Shape    a machine: faults and nodes go in, time is moved by sh_sim_run, a digest of all that was delivered comes out.
 * Rule     one generator decides everything; the same seed and the same calls give the same digest on every compiler.
 * Network  node i is host 10.0.(i / 256).(i % 256). A pipe delivers bytes in order, late, cut at random places; a lost
 *          packet comes 0.2 s later; at most SH_SIM_PIPE_BYTES are under way in one direction.
 * Units    microseconds of virtual time, from SH_SIM_START_US.
 * Threads  confined.   Memory  cfg->mem; nodes use theirs. */
#ifndef SH_SIM_SIM_H
#define SH_SIM_SIM_H

#include "node/node.h"

typedef struct sh_sim sh_sim;

enum {
    SH_SIM_START_US = 1000000,
    SH_SIM_PIPE_BYTES = 256 * 1024, /* as a socket's two buffers */
    SH_SIM_NODES_MAX = 16384,
    SH_SIM_SPLITS_MAX = 64,  /* a bit each */
    SH_SIM_LOST_US = 200000, /* a lost packet is sent again */
    SH_SIM_TOKEN = 1,        /* of the one thread, for functions of runtime.h and node.h */
};

int sh_sim_new(const sh_mem *mem, uint64_t seed, sh_sim **out);
void sh_sim_free(sh_sim *s); /* ends all nodes abruptly */

/* Starts a node; cfg's driver part is filled in here. *index names it from now on, also after its end.
 * 0; as sh_node_new; SH_E_LIMIT. */
int sh_sim_start(sh_sim *s, const struct sh_node_config *cfg, unsigned *index);
/* Starts a node again at the host of one that has ended. */
int sh_sim_restart(sh_sim *s, const struct sh_node_config *cfg, unsigned index);
sh_node *sh_sim_node(sh_sim *s, unsigned index); /* NULL: it has ended */
void *sh_sim_rng(sh_sim *s);                     /* the sh_rng that decides; for workloads */

/* Something was given to that node from outside (a call): let it turn. While the simulation runs, one microsecond later:
 * two handlers that call each other do not stop the clock. */
void sh_sim_touch(sh_sim *s, unsigned index);
/* Becomes that node's loop for a moment, for functions tagged [loop], as sh_io_inside: runs fn (NULL: nothing), does
 * what was asked of the network, leaves, touches. 0; SH_E_CLOSED: the node has ended. */
int sh_sim_inside(sh_sim *s, unsigned index, void (*fn)(void *ud, sh_node *node, uint64_t now_us),
                  void *ud);

uint64_t sh_sim_now_us(const sh_sim *s);
/* Runs everything due until then; the clock stands at until_us afterwards. */
void sh_sim_run(sh_sim *s, uint64_t until_us);
uint64_t sh_sim_next_us(const sh_sim *s); /* when the next thing is due; UINT64_MAX: nothing is */
/* Messages and callbacks that node's poll would have told of: of its host executor. */
uint64_t sh_sim_handled(const sh_sim *s, unsigned index);
uint64_t sh_sim_digest(const sh_sim *s);
uint64_t sh_sim_events(const sh_sim *s); /* delivered so far: progress */

/* --- the network --- */
void sh_sim_net(sh_sim *s, uint64_t latency_least_us, uint64_t latency_most_us, uint32_t loss_ppm);
/* Nodes of different groups hear nothing of each other until healed; connections stay, silent. */
void sh_sim_group(sh_sim *s, unsigned index, unsigned group);
/* The same between each of a and each of b; others go on hearing both. SH_E_LIMIT: SH_SIM_SPLITS_MAX since the last
 * heal. */
int sh_sim_split(sh_sim *s, const unsigned *a, size_t a_count, const unsigned *b, size_t b_count);
void sh_sim_heal(sh_sim *s); /* all groups 0, no splits, nothing clogged */
void sh_sim_clog(sh_sim *s, unsigned from, unsigned to, bool on); /* bytes of that direction wait */
void sh_sim_cut(sh_sim *s, unsigned a, unsigned b); /* resets every connection between them */

/* --- processes --- */
void sh_sim_crash(sh_sim *s, unsigned index); /* kill -9: its sockets are reset, its host refuses */
void sh_sim_vanish(sh_sim *s, unsigned index); /* its host is gone without a word */
void sh_sim_end(sh_sim *s, unsigned index);    /* sh_node_free, after a graceful stop or not */
void sh_sim_pause(sh_sim *s, unsigned index, uint64_t us); /* SIGSTOP for so long */

#endif
