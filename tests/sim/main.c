/* tests/sim/main.c - shoal-sim: runs worlds from seeds and prints what held. See usage below. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cheap.h"
#include "crowd.h"
#include "jobs.h"
#include "scenario.h"
#include "world.h"

enum { CRYPTO_REAL_EVERY = 10 }; /* the other seeds run with the stand-ins of cheap.c */

struct options {
    uint64_t first, seeds;
    unsigned nodes, seconds, quiet_seconds, jobs;
    bool trace;
    bool all; /* scenarios */
    const struct scenario *scenario;
    struct scenario_options of_scenario;
    enum { CRYPTO_BY_SEED, CRYPTO_REAL, CRYPTO_CHEAP } crypto;
};

void world_broken(struct world *w, const char *format, ...)
{
    if (w->fault[0]) {
        return;
    }
    va_list args;
    int n = snprintf(w->fault, sizeof w->fault,
                     "at %.3f s: ", (double)(sh_sim_now_us(w->sim) - SH_SIM_START_US) / 1e6);
    va_start(args, format);
    vsnprintf(w->fault + n, sizeof w->fault - (size_t)n, format, args);
    va_end(args);
}

static void world_run(struct world *w, const struct options *o)
{
    for (unsigned i = 0; i < w->node_count && !w->fault[0]; i++) {
        if (work_start_node(w, i, false) < 0) {
            world_broken(w, "node %u did not start", i);
        }
    }
    sh_sim_run(w->sim, sh_sim_now_us(w->sim) + 3000000);
    uint64_t end = sh_sim_now_us(w->sim) + (uint64_t)o->seconds * 1000000;
    while (sh_sim_now_us(w->sim) < end && !w->fault[0]) {
        unsigned things = 1 + (unsigned)sh_rng_below(w->rng, 1 + w->node_count / 4);
        for (unsigned i = 0; i < things; i++) {
            work_do(w);
        }
        if (sh_rng_below(w->rng, 8) == 0) {
            faults_do(w);
        }
        sh_sim_run(w->sim, sh_sim_now_us(w->sim) + 1000 + sh_rng_below(w->rng, 100000));
        check_always(w);
    }
    faults_end(w);
    sh_sim_run(w->sim, sh_sim_now_us(w->sim) + (uint64_t)o->quiet_seconds * 1000000);
    if (!w->fault[0]) {
        check_quiet(w);
    }
}

static void choose_crypto(uint64_t seed, const struct options *o)
{
    cheap_crypto(o->crypto == CRYPTO_CHEAP ||
                 (o->crypto == CRYPTO_BY_SEED && seed % CRYPTO_REAL_EVERY != 0));
}

static bool scenario_run(uint64_t seed, const void *ud, FILE *out)
{
    const struct options *o = ud;
    choose_crypto(seed, o);
    return o->scenario->run(seed, &o->of_scenario, out);
}

/* Job number first + i: scenario i of all, with the seed `first`. */
static bool any_scenario_run(uint64_t job, const void *ud, FILE *out)
{
    const struct options *o = ud;
    choose_crypto(o->first, o);
    return scenarios[job - o->first].run(o->first, &o->of_scenario, out);
}

static bool seed_run(uint64_t seed, const void *ud, FILE *out)
{
    const struct options *o = ud;
    const sh_mem *mem = sh_mem_system();
    struct world *w = sh_mem_zalloc(mem, sizeof *w);
    choose_crypto(seed, o);
    w->seed = seed;
    w->node_count = o->nodes;
    w->actors = sh_mem_array(mem, ACTORS_MAX, sizeof *w->actors);
    w->asks = sh_mem_array(mem, ASKS_MAX, sizeof *w->asks);
    w->watches = sh_mem_array(mem, WATCHES_MAX, sizeof *w->watches);
    w->monitors = sh_mem_array(mem, MONITORS_MAX, sizeof *w->monitors);
    bool fine =
        w->actors && w->asks && w->watches && w->monitors && sh_sim_new(mem, seed, &w->sim) == 0;
    if (fine) {
        w->rng = sh_sim_rng(w->sim);
        world_run(w, o);
        fine = !w->fault[0];
    }
    if (!fine) {
        fprintf(out, "seed %" PRIu64 " FAILED %s\n", seed, w->fault);
    }
    if (o->trace || !fine) {
        fprintf(out,
                "seed %" PRIu64 " trace=%016" PRIx64 " events=%" PRIu64 " tells=%" PRIu64
                " asks=%" PRIu64 "/%" PRIu64 " names=%" PRIu64 "/%" PRIu64 " deaths=%" PRIu64
                " handled=%" PRIu64 " held=%zu\n",
                seed, sh_sim_digest(w->sim), sh_sim_events(w->sim), w->tells, w->asks_ok,
                w->asks_ok + w->asks_failed, w->names_found, w->names_found + w->names_missed,
                w->deaths, w->handled, w->most_held);
    }
    for (unsigned i = 0; i < w->node_count; i++) {
        work_node_gone(w, i); /* what ends now is not judged */
    }
    sh_sim_free(w->sim);
    sh_mem_free(mem, w->actors, ACTORS_MAX * sizeof *w->actors);
    sh_mem_free(mem, w->asks, ASKS_MAX * sizeof *w->asks);
    sh_mem_free(mem, w->watches, WATCHES_MAX * sizeof *w->watches);
    sh_mem_free(mem, w->monitors, MONITORS_MAX * sizeof *w->monitors);
    sh_mem_free(mem, w->pairs, w->pair_cap * sizeof *w->pairs);
    sh_mem_free(mem, w, sizeof *w);
    return fine;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: shoal-sim [--seeds N] [--first S] [--nodes M] [--jobs J] [--seconds T]\n"
            "                 [--quiet-seconds Q] [--trace] [--crypto seed|real|cheap]\n"
            "       shoal-sim --scenario NAME|all [--seeds N] [--nodes M] [--lookups K] [--json] "
            "...\n");
    for (unsigned i = 0; i < scenario_count; i++) {
        fprintf(stderr, "  %-6s %s\n", scenarios[i].name, scenarios[i].what);
    }
    return 2;
}

static bool crypto_read(struct options *o, const char *text)
{
    static const char *const names[] = {"seed", "real", "cheap"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            o->crypto = i;
            return true;
        }
    }
    return false;
}

static bool scenario_read(struct options *o, const char *text)
{
    o->all = strcmp(text, "all") == 0;
    if (o->all) {
        o->scenario = scenarios;
        o->seeds = scenario_count;
        return true;
    }
    for (unsigned i = 0; i < scenario_count; i++) {
        if (strcmp(text, scenarios[i].name) == 0) {
            o->scenario = &scenarios[i];
            o->seeds = 1;
            return true;
        }
    }
    return false;
}

static bool options_read(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
            continue;
        }
        if (strcmp(argv[i], "--json") == 0) {
            o->of_scenario.json = true;
            continue;
        }
        if (i + 1 == argc) {
            return false;
        }
        const char *name = argv[i];
        if (strcmp(name, "--crypto") == 0) {
            if (!crypto_read(o, argv[++i])) {
                return false;
            }
            continue;
        }
        if (strcmp(name, "--scenario") == 0) {
            if (!scenario_read(o, argv[++i])) {
                return false;
            }
            continue;
        }
        uint64_t value = strtoull(argv[++i], NULL, 0);
        if (strcmp(name, "--seeds") == 0) {
            o->seeds = value;
        } else if (strcmp(name, "--first") == 0) {
            o->first = value;
        } else if (strcmp(name, "--nodes") == 0 && value >= 2 &&
                   value <= (o->scenario ? CROWD_MAX : NODES_MAX)) {
            o->nodes = (unsigned)value;
            o->of_scenario.nodes = o->nodes;
        } else if (strcmp(name, "--lookups") == 0) {
            o->of_scenario.lookups = value;
        } else if (strcmp(name, "--jobs") == 0 && value > 0) {
            o->jobs = (unsigned)value;
        } else if (strcmp(name, "--seconds") == 0) {
            o->seconds = (unsigned)value;
        } else if (strcmp(name, "--quiet-seconds") == 0) {
            o->quiet_seconds = (unsigned)value;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {.first = 1,
                        .seeds = 10,
                        .nodes = 20,
                        .seconds = 20,
                        .quiet_seconds = 40,
                        .jobs = cores > 0 ? (unsigned)cores : 1};
    if (!options_read(&o, argc, argv)) {
        return usage();
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    char what[40];
    snprintf(what, sizeof what, "seeds of %u nodes", o.nodes);
    jobs_fn *fn = o.all ? any_scenario_run : o.scenario ? scenario_run : seed_run;
    struct jobs j = {o.jobs, o.first, o.seeds,
                     fn,     &o,      o.all ? "scenarios" : o.scenario ? o.scenario->name : what};
    uint64_t failed = jobs_run(&j);
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", o.seeds - failed, failed);
    return failed != 0;
}
