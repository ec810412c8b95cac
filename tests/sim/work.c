/* tests/sim/work.c - what the actors of a world do, and the ledger entries of it. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t below(struct world *w, uint64_t n)
{
    return sh_rng_below(w->rng, n);
}

/* --- values: bin 16 of (sender's uid, sequence number) --- */

enum { VALUE_BYTES = 18 };

static sh_span value_put(uint8_t out[VALUE_BYTES], uint32_t uid, uint64_t seq)
{
    out[0] = 0xc4;
    out[1] = 16;
    sh_store_u64le(out + 2, uid);
    sh_store_u64le(out + 10, seq);
    return sh_span_of(out, VALUE_BYTES);
}

static bool value_get(sh_span value, uint32_t *uid, uint64_t *seq)
{
    if (value.n != VALUE_BYTES || value.p[0] != 0xc4) {
        return false;
    }
    *uid = (uint32_t)sh_load_u64le(value.p + 2);
    *seq = sh_load_u64le(value.p + 10);
    return true;
}

/* A table with open addresses, at most half full. */
static size_t pair_slot(const struct world *w, uint32_t from, uint32_t to)
{
    uint64_t h = ((uint64_t)from << 32 | to) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(h >> 32) & (w->pair_cap - 1);
    while (w->pairs[at].used && (w->pairs[at].from != from || w->pairs[at].to != to)) {
        at = (at + 1) & (w->pair_cap - 1);
    }
    return at;
}

static void pairs_grow(struct world *w)
{
    struct pair *old = w->pairs;
    size_t old_cap = w->pair_cap;
    w->pair_cap = old_cap ? old_cap * 2 : 2048;
    w->pairs = sh_mem_array(sh_mem_system(), w->pair_cap, sizeof *w->pairs);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].used) {
            w->pairs[pair_slot(w, old[i].from, old[i].to)] = old[i];
        }
    }
    sh_mem_free(sh_mem_system(), old, old_cap * sizeof *old);
}

struct pair *work_pair(struct world *w, uint32_t from, uint32_t to)
{
    if (w->pair_count * 2 >= w->pair_cap) {
        pairs_grow(w);
    }
    struct pair *p = &w->pairs[pair_slot(w, from, to)];
    if (!p->used) {
        *p = (struct pair){.from = from, .to = to, .used = true};
        w->pair_count++;
    }
    return p;
}

/* --- the actor: state is a pointer to its ledger entry --- */

struct state {
    struct actor *me;
};

static uint32_t uid_of(const struct actor *a)
{
    return (uint32_t)(a - a->world->actors);
}

/* In sender-receiver order and at most once: each number is larger than the last one seen. */
static void note_message(struct actor *me, sh_span value, bool tell)
{
    uint32_t from;
    uint64_t seq;
    struct world *w = me->world;
    w->handled++;
    if (!value_get(value, &from, &seq) || from >= w->actor_count) {
        world_broken(w, "actor %u got a value that nobody sent", uid_of(me));
        return;
    }
    struct pair *p = work_pair(w, from, uid_of(me));
    if (seq <= p->seen) {
        world_broken(w, "order: %u got message %" PRIu64 " of %u after %" PRIu64, uid_of(me), seq,
                     from, p->seen);
    }
    if (seq > p->sent) {
        world_broken(w, "invented: %u got message %" PRIu64 " of %u, who sent %" PRIu64, uid_of(me),
                     seq, from, p->sent);
    }
    p->seen = seq;
    struct process *sender = &w->nodes[w->actors[from].node];
    sender->came += tell && sender->life == w->actors[from].life;
    if (me->dead) {
        world_broken(w, "actor %u handled a message after its end", uid_of(me));
    }
}

static int on_ask_ended(sh_cx *cx, void *ud, const struct sh_result *r)
{
    (void)cx;
    struct ask *a = ud;
    struct world *w = a->world;
    uint64_t now = sh_sim_now_us(w->sim);
    const struct process *p = &w->nodes[w->actors[a->from].node];
    if (a->ended) {
        world_broken(w, "ask %u ended twice", (unsigned)(a - w->asks));
    }
    a->ended = true;
    a->code = r->code;
    w->asks_ok += r->code == 0;
    w->asks_failed += r->code != 0;
    uint64_t by = a->deadline_us > p->paused_until_us ? a->deadline_us : p->paused_until_us;
    if (now > by + LATE_US && r->code != SH_E_CANCELLED && r->code != SH_E_CLOSED) {
        world_broken(w, "ask %u ended %" PRIu64 " us after its deadline with %s",
                     (unsigned)(a - w->asks), now - by, sh_err_name(r->code));
    }
    return 0;
}

static struct ask *ask_new(struct world *w, uint32_t from, uint64_t us)
{
    if (w->ask_count == ASKS_MAX) {
        return NULL;
    }
    struct ask *a = &w->asks[w->ask_count++];
    uint64_t now = sh_sim_now_us(w->sim);
    *a = (struct ask){.world = w, .from = from, .begun_us = now, .deadline_us = now + us};
    return a;
}

static bool some_other(struct actor *me, sh_pid *pid, uint32_t *uid)
{
    if (me->other_count == 0) {
        return false;
    }
    unsigned i = (unsigned)below(me->world, me->other_count);
    *pid = me->others[i];
    *uid = me->other_uids[i];
    return true;
}

/* Handlers: put takes a message; go makes the actor do something itself; slow answers when its timer has come;
 * boom fails; burst sends more than a window holds. */
enum { H_PUT, H_GO, H_SLOW, H_BOOM, H_BURST, HANDLERS };
static const char *const handler_names[HANDLERS] = {"put", "go", "slow", "boom", "burst"};

static void go_tell(struct actor *me, sh_cx *cx, sh_pid to, uint32_t uid)
{
    uint8_t room[VALUE_BYTES];
    struct pair *p = work_pair(me->world, uid_of(me), uid);
    unsigned count = 1 + (unsigned)below(me->world, 20);
    for (unsigned i = 0; i < count; i++) {
        if (sh_cx_tell(cx, to, sh_span_str("put"), value_put(room, uid_of(me), p->sent + 1)) == 0) {
            p->sent++;
            me->world->tells++;
            me->world->nodes[me->node].told++;
        }
    }
}

/* One draw a statement: the order of arguments is the compiler's. */
static void go_ask(struct actor *me, sh_cx *cx, sh_pid to, uint32_t uid)
{
    static const char *const names[] = {"put", "put", "put", "slow", "boom", "nosuch"};
    const char *name = names[below(me->world, 6)];
    uint64_t us = 50000 + below(me->world, 3000000);
    uint8_t room[VALUE_BYTES];
    struct ask *a = ask_new(me->world, uid_of(me), us);
    if (!a) {
        return;
    }
    a->to = uid;
    struct pair *p = work_pair(me->world, uid_of(me), uid);
    int64_t call = sh_cx_ask(cx, to, sh_span_str(name), value_put(room, uid_of(me), p->sent + 1),
                             us, on_ask_ended, a);
    if (call > 0) {
        p->sent++;
    } else {
        a->ended = true;
        a->code = (int)call;
    }
}

static struct monitor *monitor_open(struct world *w, uint32_t watcher, sh_pid target)
{
    for (uint32_t i = w->monitor_count; i-- > 0;) {
        struct monitor *m = &w->monitors[i];
        if (m->watcher == watcher && sh_pid_eq(m->pid, target) && !m->ended) {
            return m;
        }
    }
    return NULL;
}

static void go_monitor(struct actor *me, sh_cx *cx, sh_pid to, uint32_t uid)
{
    struct world *w = me->world;
    if (w->monitor_count == MONITORS_MAX || monitor_open(w, uid_of(me), to) || uid == uid_of(me)) {
        return;
    }
    struct monitor *m = &w->monitors[w->monitor_count++];
    *m = (struct monitor){
        .watcher = uid_of(me), .target = uid, .pid = to, .begun_us = sh_sim_now_us(w->sim)};
    if (sh_cx_monitor(cx, to) != 0) {
        m->ended = true;
    }
}

static int on_down(void *ud, sh_cx *cx, void *state, sh_pid dead, const struct sh_reason *reason,
                   unsigned flags)
{
    (void)ud, (void)cx, (void)flags;
    struct actor *me = ((struct state *)state)->me;
    struct world *w = me->world;
    struct monitor *m = monitor_open(w, uid_of(me), dead);
    w->deaths++;
    if (!m) {
        world_broken(w, "actor %u was told of a death it does not watch, or twice", uid_of(me));
        return SH_RESUME;
    }
    m->ended = true;
    if (reason->kind != SH_PEER_LOST && !w->actors[m->target].dead) {
        world_broken(w, "actor %u lives, but actor %u was told %s", m->target, uid_of(me),
                     sh_reason_name(reason->kind));
    }
    return SH_RESUME;
}

static int handle_go(struct actor *me, sh_cx *cx)
{
    sh_pid to;
    uint32_t uid;
    if (!some_other(me, &to, &uid)) {
        return 0;
    }
    switch (below(me->world, 6)) {
    case 0: go_monitor(me, cx, to, uid); break;
    case 1:
    case 2: go_ask(me, cx, to, uid); break;
    default: go_tell(me, cx, to, uid); break;
    }
    return 0;
}

/* More messages than any window holds. */
static int handle_burst(struct actor *me, sh_cx *cx)
{
    uint8_t room[VALUE_BYTES];
    sh_pid to;
    uint32_t uid;
    if (!some_other(me, &to, &uid)) {
        return 0;
    }
    struct pair *p = work_pair(me->world, uid_of(me), uid);
    for (int i = 0; i < 200; i++) {
        if (sh_cx_tell(cx, to, sh_span_str("put"), value_put(room, uid_of(me), p->sent + 1)) == 0) {
            p->sent++;
            me->world->tells++;
            me->world->nodes[me->node].told++;
        }
    }
    me->burst_to = to;
    me->burst_uid = uid;
    return 0;
}

static int on_slow_ended(sh_cx *cx, void *ud, const struct sh_result *r)
{
    (void)cx, (void)ud, (void)r;
    return 0;
}

/* Stays open over an ask of another actor: messages wait behind it, as the type is not reentrant. */
static int handle_slow(struct actor *me, sh_cx *cx)
{
    sh_pid to;
    uint32_t uid;
    uint8_t room[VALUE_BYTES];
    if (some_other(me, &to, &uid)) {
        struct pair *p = work_pair(me->world, uid_of(me), uid);
        sh_span value = value_put(room, uid_of(me), p->sent + 1);
        if (sh_cx_ask(cx, to, sh_span_str("put"), value, 300000, on_slow_ended, NULL) > 0) {
            p->sent++;
        }
    }
    return 0;
}

static int handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud, (void)name;
    struct actor *me = ((struct state *)state)->me;
    switch (index) {
    case H_PUT: note_message(me, value, !sh_cx_is_ask(cx)); return 0;
    case H_GO: return handle_go(me, cx);
    case H_SLOW: note_message(me, value, false); return handle_slow(me, cx);
    case H_BURST: return handle_burst(me, cx);
    case H_BOOM:
        note_message(me, value, false);
        return sh_cx_fail(cx, sh_span_str("boom"), sh_span_none(), sh_span_none());
    default: return 0;
    }
}

static int on_error(void *ud, sh_cx *cx, void *state, const struct sh_result *error)
{
    (void)ud, (void)cx, (void)state, (void)error;
    return SH_RESUME;
}

static int init(void *ud, sh_cx *cx, void *state, sh_span args, void *user)
{
    (void)ud, (void)args;
    struct actor *me = user;
    ((struct state *)state)->me = me;
    me->pid = sh_cx_self(cx);
    return 0;
}

static void on_stop(void *ud, sh_cx *cx, void *state, const struct sh_reason *reason)
{
    (void)ud, (void)cx, (void)reason;
    struct actor *me = ((struct state *)state)->me;
    if (me->dead && me->life == me->world->nodes[me->node].life &&
        me->world->nodes[me->node].alive) {
        world_broken(me->world, "on_stop of actor %u ran twice", uid_of(me));
    }
    me->dead = true;
    me->dead_us = sh_sim_now_us(me->world->sim);
}

static int actor_type(sh_runtime *rt, const sh_type **out)
{
    static sh_span names[HANDLERS];
    for (size_t i = 0; i < HANDLERS; i++) {
        names[i] = sh_span_str(handler_names[i]);
    }
    struct sh_actor_type def = {
        .id = sh_span_str("sim.worker"),
        .state_size = sizeof(struct state),
        .names = names,
        .name_count = HANDLERS,
        .mailbox = -1,
        .init = init,
        .handle = handle,
        .on_stop = on_stop,
        .on_error = on_error,
        .on_down = on_down,
    };
    return sh_runtime_type(rt, &def, out);
}

/* --- nodes --- */

static int spawn_actor(struct world *w, unsigned node, const sh_type *type)
{
    if (w->actor_count == ACTORS_MAX) {
        return SH_E_LIMIT;
    }
    sh_runtime *rt = sh_node_runtime(sh_sim_node(w->sim, node));
    struct actor *a = &w->actors[w->actor_count];
    *a = (struct actor){.world = w, .node = node, .life = w->nodes[node].life};
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    opt.user = a;
    unsigned exec = w->nodes[node].threads ? (unsigned)below(w, 2) : 0;
    sh_exec *x = sh_runtime_exec(rt, exec);
    sh_pid pid;
    w->actor_count++;
    sh_exec_enter(x, SH_SIM_TOKEN);
    int code = sh_runtime_spawn(rt, SH_SIM_TOKEN, exec, type, &opt, &pid);
    sh_exec_flush(x);
    sh_exec_leave(x, SH_SIM_TOKEN);
    return code;
}

static void on_event(void *ud, const struct sh_node_event *ev)
{
    struct process *p = ud;
    p->lost += ev->kind == SH_NODE_EV_UNDELIVERED ? ev->count : 0;
}

int work_start_node(struct world *w, unsigned node, bool again)
{
    struct sh_node_config cfg;
    struct process *p = &w->nodes[node];
    char seed_addr[64];
    const char *listen[] = {"/ip4/0.0.0.0/tcp/4001"}, *dial[2];
    sh_node_config_init(&cfg);
    p->threads = (unsigned)below(w, 3) == 0;
    cfg.threads = p->threads;
    cfg.listen = listen;
    cfg.listen_count = 1;
    cfg.agent = "sim";
    cfg.on_event = on_event;
    cfg.on_event_ud = p;
    p->told = p->came = p->lost = 0;
    cfg.mailbox = below(w, 4) == 0 ? 8 : 64;
    p->mailbox = (uint32_t)cfg.mailbox;
    /* Everyone knows one other node: the first one (or, if it is node 0, node 1). */
    unsigned known = node == 0 ? 1 : (unsigned)below(w, node);
    snprintf(seed_addr, sizeof seed_addr, "/ip4/10.0.%u.%u/tcp/4001", known >> 8, known & 255);
    dial[0] = seed_addr;
    cfg.dial = dial;
    cfg.dial_count = 1;
    unsigned index = node;
    int code = again ? sh_sim_restart(w->sim, &cfg, node) : sh_sim_start(w->sim, &cfg, &index);
    if (code < 0) {
        return code;
    }
    p->life++;
    p->alive = true;
    p->shaken_us = sh_sim_now_us(w->sim);
    const sh_type *type;
    code = actor_type(sh_node_runtime(sh_sim_node(w->sim, node)), &type);
    for (int i = 0; i < ACTORS_PER_NODE && code == 0; i++) {
        code = spawn_actor(w, node, type);
    }
    sh_sim_touch(w->sim, node);
    return code;
}

void work_node_gone(struct world *w, unsigned node)
{
    struct process *p = &w->nodes[node];
    p->alive = false;
    p->shaken_us = sh_sim_now_us(w->sim);
    for (uint32_t i = 0; i < w->actor_count; i++) {
        struct actor *a = &w->actors[i];
        if (a->node == node && a->life == p->life) {
            a->dead_us = a->dead ? a->dead_us : sh_sim_now_us(w->sim);
            a->dead = true;
        }
    }
}

/* --- one random thing --- */

static struct actor *some_actor(struct world *w, bool alive)
{
    for (int tries = 0; tries < 30; tries++) {
        struct actor *a = &w->actors[below(w, w->actor_count)];
        bool lives = !a->dead && w->nodes[a->node].alive && w->nodes[a->node].life == a->life;
        if (lives == alive) {
            return a;
        }
    }
    return NULL;
}

static sh_runtime *runtime_of(struct world *w, unsigned node)
{
    return sh_node_runtime(sh_sim_node(w->sim, node));
}

struct looked {
    struct world *world;
    uint32_t asker; /* gets the ref */
    uint32_t life;
    char name[32];
};

/* The uid that holds a name: names are made of it. */
static uint32_t uid_of_name(const char *name)
{
    unsigned uid = UINT32_MAX;
    sscanf(name, "actor-%u", &uid);
    return uid;
}

static void on_found(void *ud, const struct sh_result *r)
{
    struct looked *l = ud;
    struct world *w = l->world;
    struct actor *me = &w->actors[l->asker];
    uint32_t uid = uid_of_name(l->name);
    if (r && r->code == 0 && w->nodes[me->node].life == l->life) {
        w->names_found++;
        unsigned at = me->other_count < 8 ? me->other_count++ : (unsigned)below(w, 8);
        me->others[at] = r->pid;
        me->other_uids[at] = uid;
    } else {
        w->names_missed++;
    }
    sh_mem_free(sh_mem_system(), l, sizeof *l);
}

static void do_lookup(struct world *w)
{
    struct actor *me = some_actor(w, true), *other = some_actor(w, true);
    if (!me || !other || !other->name[0] || me == other) {
        return;
    }
    struct looked *l = sh_mem_zalloc(sh_mem_system(), sizeof *l);
    *l = (struct looked){.world = w, .asker = uid_of(me), .life = w->nodes[me->node].life};
    memcpy(l->name, other->name, sizeof l->name);
    int64_t call = sh_node_lookup(sh_sim_node(w->sim, me->node), SH_SIM_TOKEN, sh_span_str(l->name),
                                  2000000, sh_sim_now_us(w->sim), on_found, l);
    if (call <= 0) {
        sh_mem_free(sh_mem_system(), l, sizeof *l);
    }
    sh_sim_touch(w->sim, me->node);
}

static void do_register(struct world *w)
{
    struct actor *a = some_actor(w, true);
    if (!a || a->name[0]) {
        return;
    }
    snprintf(a->name, sizeof a->name, "actor-%u", uid_of(a));
    sh_node_register(sh_sim_node(w->sim, a->node), SH_SIM_TOKEN, a->pid, sh_span_str(a->name), 0,
                     sh_sim_now_us(w->sim), NULL, NULL);
    sh_sim_touch(w->sim, a->node);
}

static void on_watch_ended(void *ud, const struct sh_result *r)
{
    struct watch *x = ud;
    struct world *w = x->world;
    const struct actor *target = &w->actors[x->target];
    if (x->ended) {
        world_broken(w, "watch %u: the death of actor %u was told twice",
                     (unsigned)(x - w->watches), x->target);
    }
    x->ended = true;
    w->deaths++;
    x->kind = r && r->code == 0 ? r->reason.kind : -1;
    if (x->kind >= 0 && x->kind != SH_PEER_LOST && !target->dead &&
        w->nodes[x->watcher_node].life == x->watcher_life) {
        world_broken(w, "watch %u: actor %u lives, but %s was told", (unsigned)(x - w->watches),
                     x->target, sh_reason_name(x->kind));
    }
}

static void do_watch(struct world *w)
{
    struct actor *me = some_actor(w, true);
    sh_pid pid;
    uint32_t uid;
    if (!me || w->watch_count == WATCHES_MAX || !some_other(me, &pid, &uid)) {
        return;
    }
    struct watch *x = &w->watches[w->watch_count++];
    *x = (struct watch){.world = w,
                        .watcher_node = me->node,
                        .watcher_life = me->life,
                        .target = uid,
                        .begun_us = sh_sim_now_us(w->sim)};
    if (sh_runtime_done(runtime_of(w, me->node), SH_SIM_TOKEN, pid, on_watch_ended, x) <= 0) {
        x->ended = true;
    }
    sh_sim_touch(w->sim, me->node);
}

static void do_end_actor(struct world *w)
{
    struct actor *a = some_actor(w, true);
    if (!a || below(w, 4)) {
        return;
    }
    sh_runtime *rt = runtime_of(w, a->node);
    if (below(w, 2)) {
        sh_runtime_stop(rt, SH_SIM_TOKEN, a->pid, sh_span_none(), NULL, NULL);
    } else {
        sh_runtime_kill(rt, SH_SIM_TOKEN, a->pid, sh_span_str("by the test"));
    }
    sh_sim_touch(w->sim, a->node);
}

static void do_go(struct world *w)
{
    struct actor *a = some_actor(w, true);
    if (a) {
        sh_runtime_tell(runtime_of(w, a->node), SH_SIM_TOKEN, a->pid, sh_span_str("go"),
                        sh_span_none());
        sh_sim_touch(w->sim, a->node);
    }
}

void work_do(struct world *w)
{
    uint64_t dice = below(w, 100);
    if (dice < 60) {
        do_go(w);
    } else if (dice < 75) {
        do_lookup(w);
    } else if (dice < 85) {
        do_register(w);
    } else if (dice < 98) {
        do_watch(w);
    } else {
        do_end_actor(w);
    }
}

static void on_must(void *ud, const struct sh_result *r)
{
    struct ask *a = ud;
    a->ended = true;
    a->code = r ? r->code : SH_E_CLOSED;
}

/* An ask from outside of actors, which waits in no mailbox of its own: answered only if all credits came back. */
static void burst_ask(struct world *w, struct actor *a)
{
    struct ask *k = a->burst_to.actor ? ask_new(w, uid_of(a), 5000000) : NULL;
    if (!k) {
        return;
    }
    k->must = true;
    k->to = a->burst_uid;
    int64_t call = sh_runtime_ask(runtime_of(w, a->node), SH_SIM_TOKEN, a->burst_to,
                                  sh_span_str("go"), sh_span_none(), k->deadline_us, on_must, k);
    if (call <= 0) {
        k->ended = true;
        k->code = (int)call;
    }
    sh_sim_touch(w->sim, a->node);
}

void work_burst(struct world *w)
{
    for (uint32_t i = 0; i < w->actor_count; i++) {
        struct actor *a = &w->actors[i];
        if (!a->dead && w->nodes[a->node].alive && w->nodes[a->node].life == a->life) {
            sh_runtime_tell(runtime_of(w, a->node), SH_SIM_TOKEN, a->pid, sh_span_str("burst"),
                            sh_span_none());
            sh_sim_touch(w->sim, a->node);
            sh_sim_run(w->sim, sh_sim_now_us(w->sim) + 1000);
            burst_ask(w, a);
        }
    }
}
