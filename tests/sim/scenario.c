/* tests/sim/scenario.c - a third or half of a swarm dead, a swarm in two, a fifth of it liars; hops as it grows. */
#include "scenario.h"

#include <inttypes.h>
#include <stdlib.h>

#include "crowd.h"
#include "hops.h"
#include "liar.h"

enum { PPM = 1000000, USERS_US = 8 * CROWD_SECOND, SETTLE_US = 20 * CROWD_SECOND };

/* "found of asked" against the least that is allowed, in millionths; nothing wrong, nothing left hanging. */
static bool judge(struct crowd *c, const char *what, uint64_t seed, uint64_t least_ppm, FILE *out)
{
    bool fine =
        c->asked > 0 && c->found * PPM >= c->asked * least_ppm && c->wrong == 0 && c->open == 0;
    fprintf(out,
            "%s seed %" PRIu64 ": %" PRIu64 " of %" PRIu64 " look-ups found (%.3f %%, at least "
            "%.1f %%), %" PRIu64 " wrong, p50 %.1f ms, p99 %.1f ms%s\n",
            what, seed, c->found, c->asked,
            100.0 * (double)c->found / (double)(c->asked + !c->asked), (double)least_ppm / 10000,
            c->wrong, (double)crowd_percentile(c, 50) / 1000,
            (double)crowd_percentile(c, 99) / 1000, fine ? "" : " FAILED");
    return fine;
}

static void forget_counts(struct crowd *c)
{
    c->asked = c->found = c->wrong = c->missed = 0;
}

static struct crowd *named_crowd(uint64_t seed, unsigned nodes, unsigned known)
{
    struct crowd *c = crowd_new(seed, nodes, known, NULL);
    if (c) {
        crowd_pass(c, SETTLE_US);
        crowd_register(c, 0, c->count);
        crowd_pass(c, SETTLE_US);
    }
    return c;
}

static bool dead_part(uint64_t seed, const struct scenario_options *o, FILE *out, unsigned percent,
                      uint64_t least_ppm)
{
    struct crowd *c = named_crowd(seed, o->nodes ? o->nodes : 200, 2);
    if (!c) {
        return false;
    }
    for (unsigned dead = 0; dead < c->count * percent / 100; dead++) {
        crowd_vanish(c, crowd_some(c, UINT32_MAX));
    }
    crowd_lookups(c, o->lookups ? o->lookups : 3000, 5000, USERS_US);
    char what[32];
    snprintf(what, sizeof what, "%u %% of %u dead", percent, c->count);
    bool fine = judge(c, what, seed, least_ppm, out);
    crowd_free(c);
    return fine;
}

static bool run_dead(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    return dead_part(seed, o, out, 30, 999000);
}

static bool run_half(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    return dead_part(seed, o, out, 50, 990000);
}

/* Two halves for ten minutes, in which both register names; two minutes after, everybody finds every name. */
static bool run_split(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    enum { APART_S = 600, HEALED_S = 120, LAST_S = 20 };
    struct crowd *c = crowd_new(seed, o->nodes ? o->nodes : 60, 2, NULL);
    if (!c) {
        return false;
    }
    crowd_pass(c, SETTLE_US);
    crowd_register(c, 0, c->count / 2);
    crowd_pass(c, SETTLE_US);
    for (unsigned i = 0; i < c->count; i++) {
        sh_sim_group(c->sim, i, (unsigned)sh_rng_below(c->rng, 2));
    }
    crowd_pass(c, (uint64_t)APART_S * CROWD_SECOND / 2);
    crowd_register(c, c->count / 2, c->count);
    crowd_pass(c, (uint64_t)APART_S * CROWD_SECOND / 2);
    sh_sim_heal(c->sim);
    uint64_t healed_us = sh_sim_now_us(c->sim);
    crowd_pass(c, (uint64_t)(HEALED_S - LAST_S) * CROWD_SECOND);
    for (unsigned a = 0; a < c->count; a++) {
        for (unsigned h = 0; h < c->count; h++) {
            if (h != a) {
                crowd_lookup(c, a, h, (LAST_S - 5) * (uint64_t)CROWD_SECOND);
            }
        }
        crowd_pass(c, 4 * (uint64_t)CROWD_SECOND / c->count);
    }
    sh_sim_run(c->sim, healed_us + (uint64_t)HEALED_S * CROWD_SECOND);
    char what[32];
    snprintf(what, sizeof what, "%u nodes split and healed", c->count);
    bool fine = judge(c, what, seed, PPM, out);
    crowd_free(c);
    return fine;
}

static bool one_in_five(const struct crowd *c, unsigned i)
{
    return i > 0 && sh_rng_below(c->rng, 5) == 0;
}

static bool every_second(const struct crowd *c, unsigned i)
{
    return i > 0 && sh_rng_below(c->rng, 2) == 0;
}

static bool lying_part(uint64_t seed, const struct scenario_options *o, FILE *out, unsigned nodes,
                       bool (*liar)(const struct crowd *c, unsigned i))
{
    struct crowd *c = crowd_new(seed, o->nodes ? o->nodes : nodes, 3, liar);
    if (!c) {
        return false;
    }
    liar_crowd(c);
    crowd_pass(c, SETTLE_US);
    crowd_register(c, 0, c->count);
    crowd_pass(c, SETTLE_US);
    uint64_t n = o->lookups ? o->lookups : 4000;
    crowd_lookups(c, n / 4, 3000, 0);
    uint64_t once = c->found, asked = c->asked;
    forget_counts(c);
    crowd_lookups(c, n, 3000, USERS_US);
    char what[40];
    snprintf(what, sizeof what, "liars among %u", c->count);
    bool fine = judge(c, what, seed, 999000, out);
    fprintf(out, "  %" PRIu64 " lies told; in one pass, without a second try: %.2f %%\n",
            liar_answers(), 100.0 * (double)once / (double)(asked + !asked));
    liar_crowd(NULL);
    crowd_free(c);
    return fine;
}

static bool run_liars(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    return lying_part(seed, o, out, 1000, one_in_five);
}

static bool run_league(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    return lying_part(seed, o, out, 500, every_second);
}

/* --- hops --- */

static bool hops_of(uint64_t seed, unsigned nodes, const struct scenario_options *o, FILE *out)
{
    struct crowd *c = named_crowd(seed, nodes, 2);
    if (!c) {
        return false;
    }
    uint64_t n = o->lookups ? o->lookups : 500;
    hops_begin();
    for (uint64_t i = 0; i < n; i++) { /* one at a time: what is counted belongs to it */
        unsigned asker = crowd_some(c, UINT32_MAX);
        hops_next();
        crowd_lookup(c, asker, crowd_some(c, asker), USERS_US);
        while (c->open > 0) {
            crowd_pass(c, 1000);
        }
    }
    struct hops h;
    hops_end(&h);
    bool fine = c->missed == 0 && c->wrong == 0;
    const char *form =
        o->json ? "{\"nodes\": %u, \"lookups\": %" PRIu64 ", \"found\": %" PRIu64
                  ", \"hops_p50\": %u, \"hops_p90\": %u, \"hops_mean\": %.3f, "
                  "\"messages\": %.1f, "
                  "\"p50_ms\": %.2f, \"p90_ms\": %.2f}\n"
                : "%u nodes: %" PRIu64 " look-ups, %" PRIu64
                  " found; hops p50 %u, p90 %u, mean %.3f; %.1f messages; p50 %.2f ms, p90 "
                  "%.2f ms\n";
    fprintf(out, form, c->count, c->asked, c->found, h.p50, h.p90, h.mean, h.messages,
            (double)crowd_percentile(c, 50) / 1000, (double)crowd_percentile(c, 90) / 1000);
    crowd_free(c);
    return fine;
}

static bool run_hops(uint64_t seed, const struct scenario_options *o, FILE *out)
{
    static const unsigned sizes[] = {10, 30, 100, 300, 1000};
    bool fine = true;
    if (o->nodes) {
        return hops_of(seed, o->nodes, o, out);
    }
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fine = hops_of(seed, sizes[i], o, out) && fine;
        fflush(out);
    }
    return fine;
}

const struct scenario scenarios[] = {
    {"liars", "a fifth of 1,000 nodes lies: 99.9 % of look-ups find", run_liars},
    {"league", "half of 500 nodes lies: 99.9 %", run_league},
    {"hops",
     "hops and messages of a look-up with 10 to 1,000 nodes (--nodes N: that many, up to 10,240)",
     run_hops},
    {"dead", "30 % of 200 nodes gone at once: 99.9 %", run_dead},
    {"half", "half of 200 nodes gone at once: 99 %", run_half},
    {"split", "60 nodes in two for ten minutes: two minutes later all names are found", run_split},
};
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];
