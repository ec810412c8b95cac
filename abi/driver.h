/* abi/driver.h - what turns a node, as this layer sees it: a small table with two instances.
 *
 * Shape    driver_io.c: this machine's network, clock and threads (io/io.h, which says what each means).
 *          driver_sim.c: a host of a simulation (sim/sim.h); one thread, virtual time. */
#ifndef SHOAL_ABI_DRIVER_H
#define SHOAL_ABI_DRIVER_H

#include "base/list.h"
#include "io/io.h"
#include "shoal.h"
#include "sim/sim.h"

typedef void abi_inside_fn(void *ud, sh_node *node, uint64_t now_us);

struct abi_driver {
    uint64_t (*token)(void *driver); /* asked for before each call into the node from outside */
    uint64_t (*now_us)(void *driver);
    int (*inside)(void *driver, abi_inside_fn *fn, void *ud);
    bool (*may_enter)(
        void *driver); /* [any] who finds the loop's executor free may use it without `inside` */
    int (*poll)(void *driver, uint64_t budget_us, int64_t wait_ms, struct sh_io_work *work);
    int (*wait)(void *driver, bool (*done)(void *ud), void *ud); /* without end */
    void (*wake)(void *driver);
    int (*fd)(void *driver);
    int64_t (*next_timeout_ms)(void *driver);
    uint32_t (*backlog)(void *driver);
    int (*listen)(void *driver, const char *addr, char why[SH_IO_WHY_MAX]);
    int (*address)(void *driver, size_t i, char *buf, size_t cap);
    void (*free)(void *driver); /* ends the node first, if it has not ended */
};

/* --- simulations: of sim.c and driver_sim.c --- */
struct shoal_sim {
    sh_sim *core;
    sh_list drivers; /* of nodes not yet freed */
    bool busy;       /* handlers and callbacks may be running: no turns inside turns */
};

/* A node in a simulation. */
struct sim_driver {
    sh_list link;
    shoal_sim *sim; /* NULL: it was freed first */
    shoal_node *node;
    unsigned index;
    bool woken;
};

/* node's, or NULL: it is no simulated node. */
struct sim_driver *abi_sim_driver(const shoal_node *node);
/* Runs what is due until then. Not for who is busy. */
void abi_sim_run(shoal_sim *sim, uint64_t until_us);
/* The node's process ends now: sh_sim_crash or sh_sim_end. What is still called on it is closed. */
void abi_sim_end(struct sim_driver *d, void (*end)(sh_sim *s, unsigned index));

#endif
