/* tests/sim/faults.c - what breaks: crashes, restarts, pauses, splits, clogs, cuts, a bad network. */
#include "world.h"

static uint64_t below(struct world *w, uint64_t n)
{
    return sh_rng_below(w->rng, n);
}

static void shaken(struct world *w, unsigned node)
{
    w->nodes[node].shaken_us = sh_sim_now_us(w->sim);
}

static void shake_all(struct world *w)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        shaken(w, i);
    }
}

static void do_crash(struct world *w, unsigned node)
{
    if (!w->nodes[node].alive) {
        if (work_start_node(w, node, true) < 0) {
            world_broken(w, "node %u did not start again", node);
        }
        return;
    }
    work_node_gone(w, node); /* first: its actors' on_stop runs within */
    if (below(w, 3)) {
        sh_sim_crash(w->sim, node);
    } else {
        sh_sim_vanish(w->sim, node);
    }
}

static void do_pause(struct world *w, unsigned node)
{
    uint64_t us = 10000 + below(w, 4000000);
    if (w->nodes[node].alive) {
        sh_sim_pause(w->sim, node, us);
        w->nodes[node].paused_until_us = sh_sim_now_us(w->sim) + us;
        shaken(w, node);
    }
}

static void do_split(struct world *w)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        sh_sim_group(w->sim, i, (unsigned)below(w, 2));
    }
    shake_all(w);
}

/* One draw a statement: the order of arguments is the compiler's. */
static void do_net(struct world *w)
{
    uint64_t least = 500 + below(w, 5000);
    uint64_t most = 1000 + below(w, 40000);
    sh_sim_net(w->sim, least, most, (uint32_t)below(w, 20000));
}

void faults_do(struct world *w)
{
    unsigned a = (unsigned)below(w, w->node_count), b = (unsigned)below(w, w->node_count);
    switch (below(w, 10)) {
    case 0:
    case 1: do_crash(w, a); break;
    case 2:
    case 3: do_pause(w, a); break;
    case 4: do_split(w); break;
    case 5:
        sh_sim_heal(w->sim);
        shake_all(w);
        break;
    case 6:
        sh_sim_clog(w->sim, a, b, true);
        shaken(w, a), shaken(w, b);
        break;
    case 7:
        sh_sim_clog(w->sim, a, b, false);
        shaken(w, a), shaken(w, b);
        break;
    case 8:
        sh_sim_cut(w->sim, a, b);
        shaken(w, a), shaken(w, b);
        break;
    default: do_net(w); break;
    }
}

void faults_end(struct world *w)
{
    sh_sim_heal(w->sim);
    sh_sim_net(w->sim, 500, 2000, 0);
    for (unsigned i = 0; i < w->node_count; i++) {
        if (!w->nodes[i].alive && work_start_node(w, i, true) < 0) {
            world_broken(w, "node %u did not start again", i);
        }
    }
    shake_all(w);
}
