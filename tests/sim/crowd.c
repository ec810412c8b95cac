/* tests/sim/crowd.c - builds swarms of many nodes and counts what their look-ups find. */
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/internal.h"
#include "swarm/publish.h"

/* Written by the linker's wrapping. */
void __real_sh_pub_to(struct sh_swarm *s, struct sh_peer *p);
void __wrap_sh_pub_to(struct sh_swarm *s, struct sh_peer *p);

enum { PORT = 4001, REGISTER_US = 60 * CROWD_SECOND, START_GAP_US = 5000 };

static bool crowded;

/* A node with few names sends them to every peer that connects. In a crowd a node holds one name and counts as one of
 * many: its name is at the peers closest to it and nowhere else, and a look-up has to get there. */
void __wrap_sh_pub_to(struct sh_swarm *s, struct sh_peer *p)
{
    unsigned more = crowded ? SH_PUBLISH_EVERYONE_MAX : 0;
    s->pub_count += more;
    __real_sh_pub_to(s, p);
    s->pub_count -= more;
}

static int handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud, (void)cx, (void)state, (void)index, (void)name, (void)value;
    return 0;
}

static int member_spawn(struct crowd *c, unsigned i)
{
    sh_span names[1] = {sh_span_str("put")};
    struct sh_actor_type def = {.id = sh_span_str("sim.member"),
                                .names = names,
                                .name_count = 1,
                                .mailbox = -1,
                                .handle = handle};
    sh_runtime *rt = sh_node_runtime(sh_sim_node(c->sim, i));
    sh_exec *x = sh_runtime_exec(rt, 0);
    const sh_type *type;
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    int code = sh_runtime_type(rt, &def, &type);
    if (code < 0) {
        return code;
    }
    sh_exec_enter(x, SH_SIM_TOKEN);
    code = sh_runtime_spawn(rt, SH_SIM_TOKEN, 0, type, &opt, &c->member[i].pid);
    sh_exec_flush(x);
    sh_exec_leave(x, SH_SIM_TOKEN);
    return code;
}

static int member_start(struct crowd *c, unsigned i)
{
    struct sh_node_config cfg;
    char text[8][48];
    const char *listen[] = {"/ip4/0.0.0.0/tcp/4001"}, *dial[8];
    unsigned index;
    sh_node_config_init(&cfg);
    cfg.listen = listen;
    cfg.listen_count = 1;
    cfg.agent = c->member[i].liar ? "liar" : "sim";
    for (unsigned k = 0; k < c->known && k < i; k++) {
        unsigned to = (unsigned)sh_rng_below(c->rng, i);
        while (k == 0 &&
               c->member[to].liar) { /* who knows only liars is lost to them: nothing can help */
            to = (unsigned)sh_rng_below(c->rng, i);
        }
        snprintf(text[k], sizeof text[k], "/ip4/10.0.%u.%u/tcp/%d", to >> 8, to & 255, PORT);
        dial[cfg.dial_count++] = text[k];
    }
    cfg.dial = dial;
    int code = sh_sim_start(c->sim, &cfg, &index);
    if (code < 0) {
        return code;
    }
    c->member[i].alive = true;
    c->member[i].id = *sh_node_peer_id(sh_sim_node(c->sim, i));
    return member_spawn(c, i);
}

struct crowd *crowd_new(uint64_t seed, unsigned count, unsigned known,
                        bool (*liar)(const struct crowd *c, unsigned i))
{
    struct crowd *c = calloc(1, sizeof *c);
    if (!c || count > CROWD_MAX || sh_sim_new(sh_mem_system(), seed, &c->sim) < 0) {
        free(c);
        return NULL;
    }
    crowded = true;
    c->rng = sh_sim_rng(c->sim);
    c->count = count;
    c->known = known;
    c->member = calloc(count, sizeof *c->member);
    for (unsigned i = 0; i < count; i++) {
        c->member[i].liar = liar && liar(c, i);
        if (member_start(c, i) < 0) {
            crowd_free(c);
            return NULL;
        }
        crowd_pass(c, START_GAP_US);
    }
    return c;
}

void crowd_free(struct crowd *c)
{
    crowded = false;
    sh_sim_free(c->sim);
    free(c->member);
    free(c->took_us);
    free(c);
}

void crowd_pass(struct crowd *c, uint64_t us)
{
    sh_sim_run(c->sim, sh_sim_now_us(c->sim) + us);
}

static void on_named(void *ud, const struct sh_result *r)
{
    struct member *m = ud;
    m->named = m->named || (r && r->code == 0);
}

static void name_of(unsigned i, char out[32])
{
    snprintf(out, 32, "name-%u", i);
}

void crowd_register(struct crowd *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct member *m = &c->member[i];
        char name[32];
        if (!m->alive || m->liar || m->named) {
            continue;
        }
        name_of(i, name);
        sh_node_register(sh_sim_node(c->sim, i), SH_SIM_TOKEN, m->pid, sh_span_str(name),
                         REGISTER_US, sh_sim_now_us(c->sim), on_named, m);
        sh_sim_touch(c->sim, i);
        crowd_pass(c, START_GAP_US);
    }
}

void crowd_vanish(struct crowd *c, unsigned i)
{
    c->member[i].alive = false;
    sh_sim_vanish(c->sim, i);
}

struct looking {
    struct crowd *crowd;
    unsigned asker, holder;
    uint64_t begun_us;
};

static bool right_one(const struct looking *l, sh_pid pid)
{
    const struct member *m = &l->crowd->member[l->holder];
    sh_node *n = sh_sim_node(l->crowd->sim, l->asker);
    const sh_peer_id *id =
        sh_swarm_peer_id(n->swarm, (struct sh_peer_ref){.index = pid.node, .check = pid.check});
    return id && sh_peer_id_eq(id, &m->id) && pid.actor == m->pid.actor;
}

static void took_note(struct crowd *c, uint64_t us)
{
    if (c->found == c->took_cap) {
        c->took_cap = c->took_cap ? 2 * c->took_cap : 1024;
        c->took_us = realloc(c->took_us, c->took_cap * sizeof *c->took_us);
    }
    c->took_us[c->found++] = us;
}

static void on_looked(void *ud, const struct sh_result *r)
{
    struct looking *l = ud;
    struct crowd *c = l->crowd;
    c->open--;
    if (!r || r->code != 0) {
        c->missed++;
    } else if (right_one(l, r->pid)) {
        took_note(c, sh_sim_now_us(c->sim) - l->begun_us);
    } else {
        c->wrong++;
    }
    free(l);
}

bool crowd_lookup(struct crowd *c, unsigned asker, unsigned holder, uint64_t timeout_us)
{
    struct looking *l = calloc(1, sizeof *l);
    char name[32];
    *l = (struct looking){c, asker, holder, sh_sim_now_us(c->sim)};
    name_of(holder, name);
    int64_t call = sh_node_lookup(sh_sim_node(c->sim, asker), SH_SIM_TOKEN, sh_span_str(name),
                                  timeout_us, sh_sim_now_us(c->sim), on_looked, l);
    if (call <= 0) {
        free(l);
        return false;
    }
    c->asked++;
    c->open++;
    sh_sim_touch(c->sim, asker);
    return true;
}

unsigned crowd_some(struct crowd *c, unsigned but)
{
    for (;;) {
        unsigned i = (unsigned)sh_rng_below(c->rng, c->count);
        if (i != but && c->member[i].alive && !c->member[i].liar) {
            return i;
        }
    }
}

void crowd_lookups(struct crowd *c, uint64_t n, uint64_t gap_us, uint64_t timeout_us)
{
    for (uint64_t k = 0; k < n; k++) {
        unsigned asker = crowd_some(c, UINT32_MAX);
        unsigned holder = crowd_some(c, asker);
        crowd_lookup(c, asker, holder, timeout_us);
        crowd_pass(c, gap_us);
    }
    for (unsigned s = 0; s < 60 && c->open > 0; s++) {
        crowd_pass(c, CROWD_SECOND);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint64_t crowd_percentile(struct crowd *c, unsigned percent)
{
    if (c->found == 0) {
        return 0;
    }
    qsort(c->took_us, c->found, sizeof c->took_us[0], by_size);
    return c->took_us[(c->found - 1) * percent / 100];
}
