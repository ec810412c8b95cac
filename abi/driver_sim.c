/* abi/driver_sim.c - the driver of simulated nodes: calls from outside touch the host, waiting moves virtual time. */
#include <string.h>

#include "internal.h"

/* --- the simulation behind a node --- */

void abi_sim_run(shoal_sim *sim, uint64_t until_us)
{
    sim->busy = true;
    sh_sim_run(sim->core, until_us);
    sim->busy = false;
}

void abi_sim_end(struct sim_driver *d, void (*end)(sh_sim *s, unsigned index))
{
    if (d->node->ended) {
        return;
    }
    bool busy = d->sim->busy;
    d->sim->busy = true; /* calls still out end in here */
    end(d->sim->core, d->index);
    d->sim->busy = busy;
    d->node->ended = true;
}

/* --- the table; none but free is called on a node that has ended --- */

/* Whatever the call gives the node, its turn comes. */
static uint64_t drive_token(void *driver)
{
    struct sim_driver *d = driver;
    sh_sim_touch(d->sim->core, d->index);
    return SH_SIM_TOKEN;
}

static uint64_t drive_now_us(void *driver)
{
    struct sim_driver *d = driver;
    return sh_sim_now_us(d->sim->core);
}

static int drive_inside(void *driver, abi_inside_fn *fn, void *ud)
{
    struct sim_driver *d = driver;
    return sh_sim_inside(d->sim->core, d->index, fn, ud);
}

/* A simulated node is turned only for what its simulation saw. */
static bool drive_may_enter(void *driver)
{
    (void)driver;
    return false;
}

static uint64_t until_after(uint64_t now_us, int64_t wait_ms)
{
    return wait_ms < 0 || wait_ms >= INT64_MAX / 1000 ? UINT64_MAX
                                                      : now_us + (uint64_t)wait_ms * 1000;
}

/* Virtual time stands still while handlers run: the budget is never used up. */
static int drive_poll(void *driver, uint64_t budget_us, int64_t wait_ms, struct sh_io_work *work)
{
    (void)budget_us;
    struct sim_driver *d = driver;
    shoal_sim *sim = d->sim;
    if (sim->busy) {
        return SH_E_USAGE;
    }
    uint64_t before = sh_sim_handled(sim->core, d->index), now_us = sh_sim_now_us(sim->core);
    uint64_t until_us = until_after(now_us, wait_ms), next_us = now_us;
    while (next_us <= until_us && next_us != UINT64_MAX) {
        abi_sim_run(sim, next_us);
        if (d->woken || sh_sim_handled(sim->core, d->index) != before) {
            break;
        }
        next_us = sh_sim_next_us(sim->core);
    }
    if (next_us > until_us) {
        abi_sim_run(sim, until_us); /* waited in vain: the time has passed */
    }
    d->woken = false;
    work->handled = (size_t)(sh_sim_handled(sim->core, d->index) - before);
    return 0;
}

static int drive_wait(void *driver, bool (*done)(void *ud), void *ud)
{
    struct sim_driver *d = driver;
    if (d->sim->busy) {
        return SH_E_USAGE;
    }
    while (!done(ud)) {
        uint64_t next_us = sh_sim_next_us(d->sim->core);
        if (next_us == UINT64_MAX) {
            return SH_E_TIMEOUT;
        }
        abi_sim_run(d->sim, next_us);
    }
    return 0;
}

static void drive_wake(void *driver)
{
    struct sim_driver *d = driver;
    d->woken = true;
}

static int drive_fd(void *driver)
{
    (void)driver;
    return SH_E_UNSUPPORTED;
}

static int64_t drive_next_timeout_ms(void *driver)
{
    struct sim_driver *d = driver;
    uint64_t next_us = sh_sim_next_us(d->sim->core), now_us = sh_sim_now_us(d->sim->core);
    if (next_us == UINT64_MAX) {
        return -1;
    }
    return next_us > now_us ? (int64_t)((next_us - now_us + 999) / 1000) : 0;
}

static uint32_t drive_backlog(void *driver)
{
    struct sim_driver *d = driver;
    sh_runtime *rt = d->node->rt;
    sh_exec *host = sh_runtime_exec(rt, sh_runtime_host(rt));
    struct sh_exec_stats stats = {0};
    bool entered = sh_exec_enter(host, SH_SIM_TOKEN);
    sh_exec_stats(host, &stats);
    if (entered) {
        sh_exec_leave(host, SH_SIM_TOKEN);
    }
    return stats.ready;
}

static int why_out(char why[SH_IO_WHY_MAX], const char *text, int code)
{
    size_t n = strlen(text);
    n = n < SH_IO_WHY_MAX - 1 ? n : SH_IO_WHY_MAX - 1;
    memcpy(why, text, n);
    why[n] = 0;
    return code;
}

struct listen_job {
    sh_span addr;
    uint64_t listener;
    const char *text;
    int code;
};

static void listen_begin(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct listen_job *job = ud;
    job->code = sh_node_listen_at(n, job->addr, &job->listener);
}

static void listen_look(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct listen_job *job = ud;
    job->code = sh_node_listen_state(n, job->listener, &job->text);
}

static int drive_listen(void *driver, const char *addr, char why[SH_IO_WHY_MAX])
{
    struct listen_job job = {.addr = sh_span_str(addr), .text = ""};
    int code = drive_inside(driver, listen_begin, &job); /* bound before it returns */
    if (code == 0 && job.code == 0) {
        code = drive_inside(driver, listen_look, &job);
    }
    code = code < 0 ? code : job.code;
    return code < 0 ? why_out(why, job.text, code) : 0;
}

struct address_job {
    size_t i;
    char *buf;
    size_t cap;
    int code;
};

static void address_inside(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct address_job *job = ud;
    sh_addr addr;
    job->code = sh_node_address(n, job->i, &addr);
    if (job->code == 0) {
        job->code = sh_addr_text(&addr, job->buf, job->cap);
    }
}

static int drive_address(void *driver, size_t i, char *buf, size_t cap)
{
    struct address_job job = {i, buf, cap, 0};
    int code = drive_inside(driver, address_inside, &job);
    return code < 0 ? code : job.code;
}

static void drive_free(void *driver)
{
    struct sim_driver *d = driver;
    abi_sim_end(d, sh_sim_end);
    if (d->sim) {
        sh_list_remove(&d->link);
    }
    sh_mem_free(&d->node->mem, d, sizeof *d);
}

static const struct abi_driver sim_driver = {
    .token = drive_token,
    .now_us = drive_now_us,
    .inside = drive_inside,
    .may_enter = drive_may_enter,
    .poll = drive_poll,
    .wait = drive_wait,
    .wake = drive_wake,
    .fd = drive_fd,
    .next_timeout_ms = drive_next_timeout_ms,
    .backlog = drive_backlog,
    .listen = drive_listen,
    .address = drive_address,
    .free = drive_free,
};

struct sim_driver *abi_sim_driver(const shoal_node *node)
{
    return node->ops == &sim_driver ? node->driver : NULL;
}

/* --- birth --- */

/* The listeners of the config are the node's first ones; all must be bound. */
static int listen_all(struct sim_driver *d, size_t count, char why[SH_IO_WHY_MAX])
{
    struct listen_job job = {.text = ""};
    int code = drive_inside(d, NULL, NULL);
    for (size_t i = 1; i <= count && code == 0; i++) {
        job.listener = i;
        code = drive_inside(d, listen_look, &job);
        code = code < 0 ? code : job.code;
    }
    return code < 0 ? why_out(why, job.text, code) : 0;
}

int abi_drive_sim(shoal_node *node, void *ud, struct sh_io_config *cfg, char why[SH_IO_WHY_MAX])
{
    shoal_sim *sim = ud;
    struct sim_driver *d = sh_mem_zalloc(&node->mem, sizeof *d);
    if (!d) {
        return SH_E_NOMEM;
    }
    *d = (struct sim_driver){.sim = sim, .node = node};
    int code = sh_sim_start(sim->core, &cfg->node, &d->index);
    if (code == 0) {
        code = listen_all(d, cfg->node.listen_count, why);
        if (code < 0) {
            sh_sim_end(sim->core, d->index);
        }
    }
    if (code < 0) {
        sh_mem_free(&node->mem, d, sizeof *d);
        return code;
    }
    sh_list_push_back(&sim->drivers, &d->link);
    node->ops = &sim_driver;
    node->driver = d;
    node->core = sh_sim_node(sim->core, d->index);
    node->rt = sh_node_runtime(node->core);
    return 0;
}
