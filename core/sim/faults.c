/* sim/faults.c - what happens between two hosts: delay, loss, groups, splits, clogs, cuts. */
#include "sim/internal.h"

#include "base/sh_assert.h"

void sh_sim_net(sh_sim *s, uint64_t latency_least_us, uint64_t latency_most_us, uint32_t loss_ppm)
{
    s->latency_least_us = latency_least_us;
    s->latency_most_us = latency_most_us < latency_least_us ? latency_least_us : latency_most_us;
    s->loss_ppm = loss_ppm;
}

uint64_t sim_net_delay(sh_sim *s)
{
    uint64_t spread = s->latency_most_us - s->latency_least_us + 1;
    uint64_t us = s->latency_least_us + sh_rng_below(&s->rng, spread);
    return s->loss_ppm && sh_rng_below(&s->rng, 1000000) < s->loss_ppm ? us + SH_SIM_LOST_US : us;
}

bool sim_net_through(const sh_sim *s, unsigned from, unsigned to)
{
    const struct sim_host *x = s->hosts[from], *y = s->hosts[to];
    if (x->group != y->group || (x->split[0] & y->split[1]) || (x->split[1] & y->split[0])) {
        return false;
    }
    for (size_t i = 0; i < s->clogged_count; i++) {
        if (s->clogged[i].from == from && s->clogged[i].to == to) {
            return false;
        }
    }
    return true;
}

void sim_net_look_again(sh_sim *s)
{
    s->regrouped = false;
    SH_LIST_FOREACH(at, &s->pipes)
    {
        struct sim_pipe *p = SH_CONTAINER(at, struct sim_pipe, link);
        for (unsigned side = 0; side < 2; side++) {
            if (!p->over && p->side[side].state != SIM_GONE) {
                sim_push(s, s->now_us, SIM_BYTES, 0, p, side);
            }
        }
    }
}

void sh_sim_group(sh_sim *s, unsigned index, unsigned group)
{
    s->hosts[index]->group = group;
    s->regrouped = true;
}

int sh_sim_split(sh_sim *s, const unsigned *a, size_t a_count, const unsigned *b, size_t b_count)
{
    if (s->splits == SH_SIM_SPLITS_MAX) {
        return SH_E_LIMIT;
    }
    uint64_t bit = (uint64_t)1 << s->splits++;
    for (size_t i = 0; i < a_count; i++) {
        s->hosts[a[i]]->split[0] |= bit;
    }
    for (size_t i = 0; i < b_count; i++) {
        s->hosts[b[i]]->split[1] |= bit;
    }
    return 0;
}

void sh_sim_heal(sh_sim *s)
{
    for (unsigned i = 0; i < s->host_count; i++) {
        s->hosts[i]->group = 0;
        s->hosts[i]->split[0] = s->hosts[i]->split[1] = 0;
    }
    s->splits = 0;
    s->clogged_count = 0;
    sim_net_look_again(s);
}

void sh_sim_clog(sh_sim *s, unsigned from, unsigned to, bool on)
{
    for (size_t i = 0; i < s->clogged_count; i++) {
        if (s->clogged[i].from == from && s->clogged[i].to == to) {
            if (!on) {
                s->clogged[i] = s->clogged[--s->clogged_count];
                sim_net_look_again(s);
            }
            return;
        }
    }
    if (!on) {
        return;
    }
    if (s->clogged_count == s->clogged_cap) {
        size_t cap = s->clogged_cap ? s->clogged_cap * 2 : 16;
        struct sim_clogged *grown =
            sh_mem_resize(s->mem, s->clogged, s->clogged_cap * sizeof *grown, cap * sizeof *grown);
        SH_ASSERT(grown);
        s->clogged = grown;
        s->clogged_cap = cap;
    }
    s->clogged[s->clogged_count++] = (struct sim_clogged){from, to};
}

void sh_sim_cut(sh_sim *s, unsigned a, unsigned b)
{
    SH_LIST_FOREACH(at, &s->hosts[a]->sides)
    {
        struct sim_pipe *p = SH_CONTAINER(at, struct sim_side, at)->pipe;
        unsigned x = p->side[0].node, y = p->target;
        if ((x == a && y == b) || (x == b && y == a)) {
            sim_net_reset(s, p);
        }
    }
}
