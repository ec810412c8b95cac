/* tests/sim/check.c - the promises, compared with the ledger. */
#include "world.h"

#include <inttypes.h>

#include "actor/actor.h"
#include "node/internal.h"
#include "remote/native.h"

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

/* --- what a node holds; these look inside --- */

enum {
    LARGEST_MESSAGE = 512, /* of this workload, with its header */
};

/* What the windows of an actor have let in: no more than they are wide. */
static void check_windows(struct world *w, unsigned node, const sh_remote *r, uint64_t actor,
                          uint32_t limit)
{
    uint32_t wide = limit * SH_TARGET_WINDOW_MAILBOXES;
    uint32_t most = wide > SH_TARGET_WINDOW_START ? wide : SH_TARGET_WINDOW_START;
    SH_LIST_FOREACH(at, &r->peers_all)
    {
        const struct sh_rpeer *p = SH_CONTAINER(at, struct sh_rpeer, all_link);
        uint64_t found;
        if (!p->native || !sh_map_u64_get(&p->native->own, actor, &found)) {
            continue;
        }
        const struct native_own *own = sh_map_ptr(found);
        if (own->used > own->window || own->window > most) {
            world_broken(w, "node %u let %u messages in through a window of %u", node, own->used,
                         own->window);
        }
    }
}

/* Messages of its own executor keep to the limit, so do those that passed its gate (other threads); those of other
 * nodes keep to their windows, or their session has ended. */
static void check_mailboxes(struct world *w, unsigned node, const struct sh_node *n)
{
    uint32_t limit = w->nodes[node].mailbox;
    for (unsigned e = 0; e < sh_runtime_execs(n->runtime); e++) {
        sh_exec *x = sh_runtime_exec(n->runtime, e);
        struct sh_actor_row row;
        uint32_t cursor = 0;
        sh_exec_enter(x, SH_SIM_TOKEN);
        while (sh_exec_actor_row(x, &cursor, &row)) {
            uint32_t own = 0, gated = 0, all = 0;
            for (const sh_msg *m = sh_actor_at(x, row.pid.actor)->mailbox.head; m; m = m->next) {
                bool counts = !(m->flags & SH_MSG_INJECTED) && m->kind != SH_MSG_DOWN;
                gated += counts && (m->flags & SH_MSG_GATED);
                own += counts && !(m->flags & SH_MSG_GATED);
                all++;
            }
            if (all != row.mailbox || own > limit || gated > limit) {
                world_broken(
                    w, "a mailbox of node %u holds %u messages, %u and %u of its own node; %u fit",
                    node, all, own, gated, limit);
            }
            check_windows(w, node, n->remote, row.pid.actor, limit);
        }
        sh_exec_leave(x, SH_SIM_TOKEN);
    }
}

/* What waits for each peer, and what it may make us hold. */
static void check_peers(struct world *w, unsigned node, const struct sh_node *n)
{
    SH_LIST_FOREACH(at, &n->remote->peers_all)
    {
        const struct sh_rpeer *p = SH_CONTAINER(at, struct sh_rpeer, all_link);
        const sh_gate *g = sh_gates_at(&n->runtime->peers, p->ref.index);
        if (sh_gate_alive(g, p->ref.check)) {
            int64_t room = (int64_t)(atomic_load(g) & SH_GATE_ROOM) - (int64_t)SH_GATE_BIAS;
            int64_t used = SH_SESSION_QUEUE_MAX - room;
            if (used < 0 || used > SH_SESSION_QUEUE_MAX + LARGEST_MESSAGE) {
                world_broken(w, "node %u: %" PRId64 " bytes wait for one peer", node, used);
            }
        }
        const struct native *s = p->native;
        if (s && (s->in_bytes > SH_SESSION_WINDOW || s->bytes_used > SH_SESSION_WINDOW)) {
            world_broken(w, "node %u: a session's window is overdrawn", node);
        }
        if (s && s->quota.used > s->quota.limit) {
            world_broken(w, "node %u: a session holds %zu bytes", node, s->quota.used);
        }
    }
}

static void check_queues(struct world *w)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sh_node *n = sh_sim_node(w->sim, i);
        if (!n) {
            continue;
        }
        size_t held = n->loop_quota.used + n->host_quota.used;
        if (n->loop_quota.used > n->loop_quota.limit || n->host_quota.used > n->host_quota.limit) {
            world_broken(w, "node %u holds %zu bytes", i, held);
        }
        w->most_held = held > w->most_held ? held : w->most_held;
        check_mailboxes(w, i, n);
        check_peers(w, i, n);
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

/* No tell is lost in silence: what was not handled was reported, unless so much was that reports were dropped. */
static void check_losses(struct world *w)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sh_node *n = sh_sim_node(w->sim, i);
        const struct process *p = &w->nodes[i];
        uint64_t dropped = n ? n->events_dropped : 1;
        for (unsigned e = 0; n && e < sh_runtime_execs(n->runtime); e++) {
            dropped += sh_runtime_exec(n->runtime, e)->stats.events_dropped;
        }
        if (dropped == 0 && p->came + p->lost < p->told) {
            world_broken(w,
                         "node %u sent %" PRIu64 " tells: %" PRIu64 " were handled, %" PRIu64
                         " reported lost",
                         i, p->told, p->came, p->lost);
        }
    }
}

void check_quiet(struct world *w)
{
    check_always(w);
    check_watches(w);
    check_monitors(w);
    check_bursts(w);
    check_losses(w);
    if (!w->fault[0]) {
        check_names(w);
    }
}
