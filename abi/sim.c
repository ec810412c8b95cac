/* abi/sim.c - simulations: many nodes, a network and time, in one thread, from one seed. */
#include <inttypes.h>

#include "internal.h"

enum { SIM_LATENCY_MAX_US = 1800u * 1000000u };

static int check_sim(const shoal_sim *sim, const char *what)
{
    return sim ? 0 : abi_fail(NULL, SHOAL_E_USAGE, "%s: sim must not be NULL", what);
}

/* For what would turn nodes: inside one of their turns it cannot. */
static int check_idle(const shoal_sim *sim, const char *what)
{
    int code = check_sim(sim, what);
    return code == 0 && sim->busy
               ? abi_fail(NULL, SHOAL_E_USAGE, "%s: called inside a handler or callback", what)
               : code;
}

static int check_member(const shoal_sim *sim, const char *what, const shoal_node *node,
                        struct sim_driver **out)
{
    *out = node ? abi_sim_driver(node) : NULL;
    return *out && (*out)->sim == sim
               ? 0
               : abi_fail(NULL, SHOAL_E_USAGE, "%s: the node is not of this simulation", what);
}

int shoal_sim_new(uint64_t seed, shoal_sim **out)
{
    if (!out) {
        return abi_fail(NULL, SHOAL_E_USAGE, "shoal_sim_new: sim must not be NULL");
    }
    *out = NULL;
    const sh_mem *mem = sh_mem_system();
    shoal_sim *sim = sh_mem_zalloc(mem, sizeof *sim);
    int code = sim ? sh_sim_new(mem, seed, &sim->core) : SH_E_NOMEM;
    if (code < 0) {
        sh_mem_free(mem, sim, sizeof *sim);
        return (int)abi_code(NULL, code);
    }
    sh_list_init(&sim->drivers);
    *out = sim;
    return 0;
}

void shoal_sim_free(shoal_sim *sim)
{
    if (!sim || sim->busy) {
        return;
    }
    while (!sh_list_empty(&sim->drivers)) {
        struct sim_driver *d = SH_CONTAINER(sim->drivers.next, struct sim_driver, link);
        abi_sim_end(d, sh_sim_end);
        sh_list_remove(&d->link);
        d->sim = NULL;
    }
    sh_sim_free(sim->core);
    sh_mem_free(sh_mem_system(), sim, sizeof *sim);
}

int shoal_sim_node(shoal_sim *sim, const shoal_node_config *cfg, shoal_node **node)
{
    int code = check_sim(sim, "shoal_sim_node");
    if (code < 0) {
        return code;
    }
    return abi_node_make(cfg, abi_drive_sim, sim, node);
}

int shoal_sim_advance(shoal_sim *sim, uint64_t us)
{
    int code = check_idle(sim, "shoal_sim_advance");
    if (code < 0) {
        return code;
    }
    uint64_t now_us = sh_sim_now_us(sim->core);
    if (us > INT64_MAX - now_us) {
        return abi_fail(NULL, SHOAL_E_BAD_VALUE,
                        "shoal_sim_advance: %" PRIu64 " us is out of range", us);
    }
    abi_sim_run(sim, now_us + us);
    return 0;
}

/* --- faults --- */

/* One side of a partition, as numbers of hosts; *out is NULL if there are none. */
static int side_of(shoal_sim *sim, shoal_node *const *nodes, size_t count, unsigned **out)
{
    if (count == 0) {
        return 0;
    }
    if (!nodes) {
        return abi_fail(NULL, SHOAL_E_USAGE, "shoal_sim_partition: a list must not be NULL");
    }
    *out = sh_mem_array(sh_mem_system(), count, sizeof **out);
    if (!*out) {
        return (int)abi_code(NULL, SH_E_NOMEM);
    }
    for (size_t i = 0; i < count; i++) {
        struct sim_driver *d;
        int code = check_member(sim, "shoal_sim_partition", nodes[i], &d);
        if (code < 0) {
            return code;
        }
        (*out)[i] = d->index;
    }
    return 0;
}

static int partition_check(const unsigned *a, size_t a_count, const unsigned *b, size_t b_count)
{
    for (size_t i = 0; i < a_count; i++) {
        for (size_t j = 0; j < b_count; j++) {
            if (a[i] == b[j]) {
                return abi_fail(NULL, SHOAL_E_BAD_VALUE,
                                "shoal_sim_partition: a node is in both lists");
            }
        }
    }
    return 0;
}

int shoal_sim_partition(shoal_sim *sim, shoal_node *const *a, size_t a_count, shoal_node *const *b,
                        size_t b_count)
{
    unsigned *left = NULL, *right = NULL;
    int code = check_sim(sim, "shoal_sim_partition");
    if (code < 0) {
        return code;
    }
    code = side_of(sim, a, a_count, &left);
    code = code < 0 ? code : side_of(sim, b, b_count, &right);
    code = code < 0 ? code : partition_check(left, a_count, right, b_count);
    if (code == 0 && sh_sim_split(sim->core, left, a_count, right, b_count) < 0) {
        code =
            abi_fail(NULL, SHOAL_E_LIMIT, "shoal_sim_partition: %d partitions since the last heal",
                     SH_SIM_SPLITS_MAX);
    }
    sh_mem_free(sh_mem_system(), left, a_count * sizeof *left);
    sh_mem_free(sh_mem_system(), right, b_count * sizeof *right);
    return code;
}

int shoal_sim_heal(shoal_sim *sim)
{
    int code = check_sim(sim, "shoal_sim_heal");
    if (code == 0) {
        sh_sim_heal(sim->core);
    }
    return code;
}

int shoal_sim_crash(shoal_sim *sim, shoal_node *node)
{
    struct sim_driver *d;
    int code = check_idle(sim, "shoal_sim_crash");
    if (code < 0 || (code = check_member(sim, "shoal_sim_crash", node, &d)) < 0) {
        return code;
    }
    if (node->ended) {
        return abi_fail(NULL, SHOAL_E_CLOSED, "shoal_sim_crash: the node has ended");
    }
    abi_sim_end(d, sh_sim_crash);
    return 0;
}

int shoal_sim_net(shoal_sim *sim, uint64_t least_us, uint64_t most_us, uint32_t loss_ppm)
{
    int code = check_sim(sim, "shoal_sim_net");
    if (code < 0) {
        return code;
    }
    if (least_us > most_us || most_us > SIM_LATENCY_MAX_US) {
        return abi_fail(NULL, SHOAL_E_BAD_VALUE,
                        "shoal_sim_net: latency %" PRIu64 "..%" PRIu64
                        " us: expected least <= most <= 1800 s",
                        least_us, most_us);
    }
    if (loss_ppm > 1000000) {
        return abi_fail(NULL, SHOAL_E_BAD_VALUE, "shoal_sim_net: loss_ppm is %" PRIu32, loss_ppm);
    }
    sh_sim_net(sim->core, least_us, most_us, loss_ppm);
    return 0;
}

/* --- looking --- */

uint64_t shoal_sim_now_us(const shoal_sim *sim)
{
    return sim ? sh_sim_now_us(sim->core) : 0;
}

uint64_t shoal_sim_digest(const shoal_sim *sim)
{
    return sim ? sh_sim_digest(sim->core) : 0;
}
