/* tests/sim/check.c - the promises, compared with the ledger. */
#include "world.h"

#include <inttypes.h>

/* An ask that should have ended by now, in a process that still runs and was not held up. */
static void check_asks(struct world *w)
{
    uint64_t now = sh_sim_now_us(w->sim);
    for (uint32_t i = 0; i < w->ask_count; i++) {
        const struct ask *a = &w->asks[i];
        const struct actor *from = &w->actors[a->from];
        const struct process *p = &w->nodes[from->node];
        if (a->ended || !p->alive || p->life != from->life) {
            continue;
        }
        uint64_t by = a->deadline_us > p->paused_until_us ? a->deadline_us : p->paused_until_us;
        if (now > by + LATE_US) {
            world_broken(w, "ask %u hangs: %" PRIu64 " us after its deadline", i, now - by);
        }
    }
}

/* Mailboxes hold what their limit, one message more per sender's window, and control messages allow. */
static void check_queues(struct world *w)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        sh_node *n = sh_sim_node(w->sim, i);
        if (!n) {
            continue;
        }
        sh_runtime *rt = sh_node_runtime(n);
        for (unsigned e = 0; e < sh_runtime_execs(rt); e++) {
            struct sh_exec_stats stats;
            sh_exec *x = sh_runtime_exec(rt, e);
            sh_exec_enter(x, SH_SIM_TOKEN);
            sh_exec_stats(x, &stats);
            sh_exec_leave(x, SH_SIM_TOKEN);
            if (stats.messages > 200000) {
                world_broken(w, "node %u holds %u messages", i, stats.messages);
            }
        }
    }
}

void check_always(struct world *w)
{
    check_asks(w);
    check_queues(w);
}

/* --- when all is quiet --- */

static void check_watches(struct world *w)
{
    for (uint32_t i = 0; i < w->watch_count; i++) {
        const struct watch *x = &w->watches[i];
        const struct actor *target = &w->actors[x->target];
        const struct process *p = &w->nodes[x->watcher_node];
        if (!x->ended && target->dead && p->alive && p->life == x->watcher_life) {
            world_broken(w, "watch %u: actor %u died %" PRIu64 " us ago and nobody was told", i,
                         x->target, sh_sim_now_us(w->sim) - target->dead_us);
        }
    }
}

struct final_look {
    struct world *world;
    uint32_t uid;
    bool ended;
    int code;
};

static void on_final(void *ud, const struct sh_result *r)
{
    struct final_look *f = ud;
    f->ended = true;
    f->code = r ? r->code : SH_E_CLOSED;
}

/* Every name of a live actor is found from a few nodes; a name of a dead one is not. */
static void check_names(struct world *w)
{
    enum { LOOKS = 64 };
    static struct final_look looks[LOOKS];
    unsigned count = 0;
    for (uint32_t tries = 0; tries < 400 && count < LOOKS; tries++) {
        uint32_t uid = (uint32_t)sh_rng_below(w->rng, w->actor_count);
        const struct actor *a = &w->actors[uid];
        unsigned node = (unsigned)sh_rng_below(w->rng, w->node_count);
        if (!a->name[0] || !sh_sim_node(w->sim, node)) {
            continue;
        }
        struct final_look *f = &looks[count++];
        *f = (struct final_look){.world = w, .uid = uid};
        sh_node_lookup(sh_sim_node(w->sim, node), SH_SIM_TOKEN, sh_span_str(a->name), 8000000,
                       sh_sim_now_us(w->sim), on_final, f);
        sh_sim_touch(w->sim, node);
    }
    sh_sim_run(w->sim, sh_sim_now_us(w->sim) + 10000000);
    for (unsigned i = 0; i < count; i++) {
        const struct final_look *f = &looks[i];
        const struct actor *a = &w->actors[f->uid];
        if (!f->ended) {
            world_broken(w, "the look-up of %s hangs", a->name);
        } else if (!a->dead && f->code != 0) {
            world_broken(w, "%s lives on node %u and was not found: %s", a->name, a->node,
                         sh_err_name(f->code));
        } else if (a->dead && f->code == 0) {
            world_broken(w, "%s is dead since %" PRIu64 " us and was found", a->name,
                         sh_sim_now_us(w->sim) - a->dead_us);
        }
    }
}

static void check_monitors(struct world *w)
{
    for (uint32_t i = 0; i < w->monitor_count; i++) {
        const struct monitor *m = &w->monitors[i];
        const struct actor *watcher = &w->actors[m->watcher], *target = &w->actors[m->target];
        const struct process *p = &w->nodes[watcher->node];
        if (!m->ended && target->dead && !watcher->dead && p->alive && p->life == watcher->life) {
            world_broken(
                w, "actor %u died %" PRIu64 " us ago and actor %u, who monitors it, was not told",
                m->target, sh_sim_now_us(w->sim) - target->dead_us, m->watcher);
        }
    }
}

/* Windows are whole again: an ask behind more tells than they hold is answered by whoever lives. */
static void check_bursts(struct world *w)
{
    work_burst(w);
    sh_sim_run(w->sim, sh_sim_now_us(w->sim) + 8000000);
    for (uint32_t i = 0; i < w->ask_count; i++) {
        const struct ask *a = &w->asks[i];
        if (a->must && !w->actors[a->to].dead && !w->actors[a->from].dead && a->code != 0) {
            world_broken(w, "actor %u lives and did not answer a burst of actor %u: %s", a->to,
                         a->from, sh_err_name(a->code));
        }
    }
    check_asks(w);
}

void check_quiet(struct world *w)
{
    check_always(w);
    check_watches(w);
    check_monitors(w);
    check_bursts(w);
    if (!w->fault[0]) {
        check_names(w);
    }
}
