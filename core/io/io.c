/* io/io.c - drives one node: slices of the loop, sleeping, polling by the host, waking. */
#include "io/driver.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/sh_assert.h"
#include "io/keyfile.h"

/* --- small things --- */

uint64_t sh_io_token(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

sh_node *sh_io_node(sh_io *io)
{
    return io->node;
}

sh_runtime *sh_io_runtime(sh_io *io)
{
    return sh_node_runtime(io->node);
}

uint64_t sh_io_now_us(const sh_io *io)
{
    return io->calls.now_us();
}

bool sh_io_forked(const sh_io *io)
{
    return getpid() != io->pid;
}

/* Coarse is enough to find handlers that hold their thread for 100 ms, and costs a few ns. */
static uint64_t io_stall_clock(void *ud)
{
    (void)ud;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

void sh_io_signal(struct sh_io *io, int fd)
{
    int saved = errno;
    uint64_t one = 1;
    /* A full counter is as readable as any; EINTR cannot happen on a non-blocking eventfd, but costs nothing. */
    while (io->calls.write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

void sh_io_unsignal(struct sh_io *io, int fd)
{
    uint64_t count;
    while (io->calls.read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

/* [any] From the runtime: that executor sleeps and was given something. */
static void io_wake_exec(void *ud, unsigned exec)
{
    struct sh_io *io = ud;
    sh_io_signal(io, exec == SH_NODE_LOOP ? io->wake_fd : io->host_fd);
}

static int io_poll_fd(const struct sh_io *io)
{
    return io->threaded ? io->host_fd : uv_backend_fd(&io->uv);
}

void sh_io_changed(struct sh_io *io)
{
    io->handles_changed = true;
}

static void io_woken(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct sh_io *io = h->data;
    sh_io_unsignal(io, io->wake_fd);
}

/* --- the loop --- */

bool sh_io_enter(struct sh_io *io, uint64_t token)
{
    if (sh_exec_inside(io->loop, token)) {
        return false;
    }
    if (sh_exec_enter(io->loop, token)) {
        return true;
    }
    atomic_fetch_add_explicit(&io->waiters, 1, memory_order_relaxed);
    for (unsigned tries = 0; !sh_exec_enter(io->loop, token); tries++) {
        if (tries < 1000) {
            io->calls.yield();
        } else { /* a long handler is running there */
            (void)io->calls.poll(NULL, 0, 1);
        }
    }
    atomic_fetch_sub_explicit(&io->waiters, 1, memory_order_relaxed);
    return true;
}

void sh_io_let_pass(struct sh_io *io)
{
    for (int i = 0; i < 100 && atomic_load_explicit(&io->waiters, memory_order_relaxed) > 0; i++) {
        io->calls.yield();
    }
}

static void io_action(struct sh_io *io, const struct sh_node_action *a, uint64_t now_us)
{
    switch (a->kind) {
    case SH_NODE_LISTEN: sh_tcp_listen(io, a->listener, &a->endpoint, now_us); break;
    case SH_NODE_UNLISTEN: sh_tcp_unlisten(io, a->listener); break;
    case SH_NODE_DIAL: sh_tcp_dial(io, a->conn, &a->endpoint, now_us); break;
    case SH_NODE_WRITE: sh_tcp_want_write(io, a->conn); break;
    case SH_NODE_READ: sh_tcp_want_read(io, a->conn); break;
    case SH_NODE_CLOSE: sh_tcp_close(io, a->conn, now_us); break;
    case SH_NODE_RESOLVE: sh_dns_resolve(io, a->request, &a->endpoint, now_us); break;
    case SH_NODE_CANCEL: sh_tcp_cancel(io, a->conn); break;
    }
}

void sh_io_actions(struct sh_io *io, uint64_t now_us)
{
    struct sh_node_action action;
    while (sh_node_action(io->node, &action)) {
        io_action(io, &action, now_us);
    }
}

void sh_io_slice(struct sh_io *io, struct sh_node_work *out)
{
    size_t handled = 0;
    io->handles_changed = false;
    io->input = 0;
    uv_run(&io->uv, UV_RUN_NOWAIT);
    uint64_t now_us = io->calls.now_us();
    sh_dns_tick(io, now_us);
    sh_tcp_tick(io, now_us);
    for (int i = 0; i < SH_IO_ROUNDS_MAX; i++) {
        sh_node_turn(io->node, SH_IO_HANDLED_MAX, now_us, out);
        handled += out->handled;
        sh_io_actions(io, now_us);
        if (!out->more || handled >= SH_IO_HANDLED_MAX) {
            break;
        }
    }
    sh_tcp_flush(io, now_us);
    out->handled = handled;
    out->more = out->more || io->handles_changed || sh_node_deadline(io->node) <= now_us;
    if (io->input > 0 || handled > 0) {
        io->traffic_us = now_us;
    }
}

uint64_t sh_io_deadline(struct sh_io *io)
{
    uint64_t first = sh_node_deadline(io->node);
    uint64_t tcp = sh_tcp_deadline(io);
    uint64_t dns = sh_dns_deadline(io, io->calls.now_us());
    first = tcp < first ? tcp : first;
    return dns < first ? dns : first;
}

bool sh_io_may_sleep(struct sh_io *io)
{
    return !io->handles_changed && sh_exec_sleep(io->loop);
}

/* Milliseconds for poll(2): rounded up, so that a timer is due when it returns. */
static int io_until_ms(uint64_t deadline_us, uint64_t now_us)
{
    if (deadline_us == UINT64_MAX) {
        return -1;
    }
    if (deadline_us <= now_us) {
        return 0;
    }
    uint64_t ms = (deadline_us - now_us + 999) / 1000;
    return ms > 3600000 ? 3600000 : (int)ms;
}

void sh_io_block(struct sh_io *io, int fd, uint64_t traffic_us, uint64_t deadline_us)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t now_us = io->calls.now_us();
    while (now_us < deadline_us && now_us - traffic_us < io->spin_us) {
        if (io->calls.poll(&p, 1, 0) != 0) {
            return;
        }
        io->calls.yield();
        now_us = io->calls.now_us();
    }
    /* Whatever it returns, the caller looks again; a signal (EINTR) too is a reason to. */
    (void)io->calls.poll(&p, 1, io_until_ms(deadline_us, now_us));
}

/* --- polling --- */

/* One slice of what sh_io_poll serves: the loop if inline, else the host executor. Inside. */
static void io_host_slice(struct sh_io *io, struct sh_node_work *out)
{
    if (!io->threaded) {
        sh_io_slice(io, out);
        return;
    }
    struct sh_turn turn;
    uint64_t now_us = io->calls.now_us();
    sh_io_unsignal(io, io->host_fd);
    sh_exec_turn(io->host, now_us, SH_IO_HANDLED_MAX, &turn);
    *out = (struct sh_node_work){turn.handled, turn.left,
                                 turn.left > 0 || sh_exec_deadline(io->host) <= now_us};
    if (turn.handled > 0) {
        io->host_traffic_us = now_us;
    }
}

static uint64_t io_host_deadline(struct sh_io *io)
{
    return io->threaded ? sh_exec_deadline(io->host) : sh_io_deadline(io);
}

static bool io_host_may_sleep(struct sh_io *io)
{
    return io->threaded ? sh_exec_sleep(io->host) : sh_io_may_sleep(io);
}

static void io_host_enter(struct sh_io *io, uint64_t token)
{
    if (!io->threaded) {
        (void)sh_io_enter(io, token);
        return;
    }
    while (!sh_exec_enter(io->host, token)) { /* a spawn or call of another thread: short */
        io->calls.yield();
    }
}

struct io_round {
    uint64_t start_us;
    uint64_t budget_us;
    uint64_t until_us; /* when waiting ends */
    size_t handled;
    size_t left;
};

/* Leaves the executor in a state in which fd becomes readable for anything but a timer. */
static void io_rest(struct sh_io *io, bool more)
{
    if (more || !io_host_may_sleep(io)) {
        sh_io_signal(io, io->threaded ? io->host_fd : io->wake_fd);
    }
}

/* One slice and what follows it. True: the poll is over. */
static bool io_round(struct sh_io *io, struct io_round *r, uint64_t token)
{
    struct sh_node_work work;
    io_host_enter(io, token);
    io_host_slice(io, &work);
    uint64_t now_us = io->calls.now_us();
    r->handled += work.handled;
    r->left = work.left;
    bool woken = atomic_exchange_explicit(&io->woken, 0, memory_order_acquire) != 0;
    bool over = work.more ? now_us - r->start_us >= r->budget_us
                          : r->handled > 0 || now_us >= r->until_us;
    if (over || woken) {
        io_rest(io, work.more);
        sh_exec_leave(io->host, token);
        return true;
    }
    bool sleep = !work.more && io_host_may_sleep(io);
    uint64_t deadline_us = sleep ? io_host_deadline(io) : 0;
    uint64_t traffic_us = io->threaded ? io->host_traffic_us : io->traffic_us;
    sh_exec_leave(io->host, token);
    if (sleep) {
        deadline_us = r->until_us < deadline_us ? r->until_us : deadline_us;
        sh_io_block(io, io_poll_fd(io), traffic_us, deadline_us);
    } else {
        sh_io_let_pass(io);
    }
    return false;
}

static void io_round_ended(struct sh_io *io)
{
    if (atomic_load(&io->sleepers) == 0) {
        return;
    }
    pthread_mutex_lock(&io->wait_lock);
    io->rounds++;
    pthread_cond_broadcast(&io->wait_cond);
    pthread_mutex_unlock(&io->wait_lock);
}

/* SH_E_CLOSED, SH_E_USAGE, 0: may this thread wait for things here? */
static int io_may_wait(const struct sh_io *io, uint64_t token)
{
    if (io->closed || sh_io_forked(io)) {
        return SH_E_CLOSED;
    }
    return sh_exec_inside(io->loop, token) || sh_exec_inside(io->host, token) ? SH_E_USAGE : 0;
}

int sh_io_poll(sh_io *io, uint64_t budget_us, int64_t wait_ms, struct sh_io_work *work)
{
    uint64_t token = sh_io_token();
    int rc = io_may_wait(io, token);
    if (rc < 0) {
        return rc;
    }
    unsigned long long nobody = 0;
    if (!atomic_compare_exchange_strong(&io->poller, &nobody, token)) {
        return SH_E_USAGE;
    }
    uint64_t now_us = io->calls.now_us();
    struct io_round r = {.start_us = now_us, .budget_us = budget_us, .until_us = UINT64_MAX};
    if (wait_ms >= 0 && wait_ms < INT64_MAX / 1000) {
        r.until_us = now_us + (uint64_t)wait_ms * 1000u;
    }
    while (!io_round(io, &r, token)) {
    }
    atomic_store(&io->poller, 0);
    io_round_ended(io);
    if (work) {
        *work = (struct sh_io_work){r.handled, r.left};
    }
    return 0;
}

/* Sleeps until the thread that polls has ended a round, or the time is over. */
static void io_wait_for_round(struct sh_io *io, uint64_t seen, uint64_t until_us)
{
    uint64_t now_us = io->calls.now_us();
    uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
    left_us = left_us > 100000 ? 100000 : left_us; /* looks again, whatever happened to the other */
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t ns = (uint64_t)ts.tv_nsec + left_us * 1000u;
    ts.tv_sec += (time_t)(ns / 1000000000u);
    ts.tv_nsec = (long)(ns % 1000000000u);
    pthread_mutex_lock(&io->wait_lock);
    if (io->rounds == seen && atomic_load(&io->poller) != 0) {
        pthread_cond_timedwait(&io->wait_cond, &io->wait_lock, &ts);
    }
    pthread_mutex_unlock(&io->wait_lock);
}

int sh_io_wait(sh_io *io, bool (*done)(void *ud), void *ud, int64_t wait_ms)
{
    int rc = io_may_wait(io, sh_io_token());
    if (rc < 0) {
        return rc;
    }
    uint64_t until_us = wait_ms < 0 ? UINT64_MAX : io->calls.now_us() + (uint64_t)wait_ms * 1000u;
    for (;;) {
        pthread_mutex_lock(&io->wait_lock);
        atomic_fetch_add(&io->sleepers, 1); /* before done is asked: a round that ends after it is told */
        uint64_t seen = io->rounds;
        pthread_mutex_unlock(&io->wait_lock);
        bool good = done(ud);
        uint64_t now_us = io->calls.now_us();
        rc = 0;
        if (!good && now_us < until_us) {
            uint64_t left_ms = (until_us - now_us + 999) / 1000;
            rc = sh_io_poll(io, 1000, left_ms > 100 ? 100 : (int64_t)left_ms, NULL);
            if (rc == SH_E_USAGE) {
                io_wait_for_round(io, seen, until_us);
            }
        }
        atomic_fetch_sub(&io->sleepers, 1);
        if (good) {
            return 0;
        }
        if (now_us >= until_us) {
            return SH_E_TIMEOUT;
        }
        if (rc == SH_E_CLOSED) {
            return rc;
        }
    }
}

void sh_io_wake(sh_io *io)
{
    atomic_store_explicit(&io->woken, 1, memory_order_release);
    sh_io_signal(io, io->threaded ? io->host_fd : io->wake_fd);
}

int sh_io_fd(const sh_io *io)
{
    return io_poll_fd(io);
}

int64_t sh_io_next_timeout_ms(sh_io *io)
{
    uint64_t token = sh_io_token();
    if (io->closed || sh_io_forked(io) || sh_exec_inside(io->host, token)) {
        return -1;
    }
    io_host_enter(io, token);
    uint64_t deadline_us = io_host_deadline(io);
    if (!io_host_may_sleep(io)) {
        deadline_us = 0;
    }
    sh_exec_leave(io->host, token);
    return io_until_ms(deadline_us, io->calls.now_us());
}

uint32_t sh_io_backlog(sh_io *io)
{
    uint64_t token = sh_io_token();
    struct sh_exec_stats stats = {0};
    if (io->closed || sh_io_forked(io)) {
        return 0;
    }
    if (sh_exec_inside(io->host, token)) {
        sh_exec_stats(io->host, &stats);
        return stats.ready;
    }
    io_host_enter(io, token);
    sh_exec_stats(io->host, &stats);
    sh_exec_leave(io->host, token);
    return stats.ready;
}

/* --- at once --- */

int sh_io_inside(sh_io *io, void (*fn)(void *ud, sh_node *node, uint64_t now_us), void *ud)
{
    if (io->closed || sh_io_forked(io)) {
        return SH_E_CLOSED;
    }
    uint64_t token = sh_io_token();
    bool entered = sh_io_enter(io, token);
    uint64_t now_us = io->calls.now_us();
    fn(ud, io->node, now_us);
    sh_io_actions(io, now_us);
    if (entered) {
        sh_exec_flush(io->loop);
        sh_exec_leave(io->loop, token);
        sh_io_signal(io, io->wake_fd); /* its driver looks again: handles, writes, an earlier deadline */
    }
    return 0;
}

struct io_listen {
    sh_span addr;
    uint64_t listener;
    int rc;
};

static void io_listen_fn(void *ud, sh_node *node, uint64_t now_us)
{
    (void)now_us;
    struct io_listen *l = ud;
    l->rc = sh_node_listen_at(node, l->addr, &l->listener);
}

struct io_listened {
    uint64_t listener;
    int rc;
    const char *text;
};

static void io_listened_fn(void *ud, sh_node *node, uint64_t now_us)
{
    (void)now_us;
    struct io_listened *l = ud;
    l->rc = sh_node_listen_state(node, l->listener, &l->text);
}

int sh_io_listen(sh_io *io, const char *addr, const char **why)
{
    struct io_listen l = {.addr = sh_span_str(addr)};
    int rc = sh_io_inside(io, io_listen_fn, &l); /* the action is taken before it returns */
    if (rc < 0 || l.rc < 0) {
        rc = rc < 0 ? rc : l.rc;
        if (why) {
            *why = sh_err_text(rc);
        }
        return rc;
    }
    struct io_listened state = {.listener = l.listener, .text = ""};
    rc = sh_io_inside(io, io_listened_fn, &state);
    if (why) {
        *why = state.text;
    }
    return rc < 0 ? rc : state.rc;
}

struct io_address {
    size_t i;
    char *buf;
    size_t cap;
    int rc;
};

static void io_address_fn(void *ud, sh_node *node, uint64_t now_us)
{
    (void)now_us;
    struct io_address *a = ud;
    sh_addr addr;
    a->rc = sh_node_address(node, a->i, &addr);
    if (a->rc == 0) {
        a->rc = sh_addr_text(&addr, a->buf, a->cap);
    }
}

int sh_io_address(sh_io *io, size_t i, char *buf, size_t cap)
{
    struct io_address a = {.i = i, .buf = buf, .cap = cap};
    int rc = sh_io_inside(io, io_address_fn, &a);
    return rc < 0 ? rc : a.rc;
}

int sh_io_spawn(sh_io *io, unsigned exec, const sh_type *type, const struct sh_spawn *opt, sh_pid *out)
{
    if (io->closed || sh_io_forked(io)) {
        return SH_E_CLOSED;
    }
    uint64_t token = sh_io_token();
    sh_runtime *rt = sh_node_runtime(io->node);
    if (exec != SH_NODE_LOOP || !io->threaded) {
        if (exec != SH_NODE_LOOP && sh_exec_inside(io->loop, token)) {
            return SH_E_USAGE; /* the loop waits for no one */
        }
        int rc = sh_runtime_spawn(rt, token, exec, type, opt, out);
        return rc;
    }
    bool entered = sh_io_enter(io, token);
    int rc = sh_runtime_spawn(rt, token, exec, type, opt, out);
    if (entered) {
        sh_exec_flush(io->loop);
        sh_exec_leave(io->loop, token);
        sh_io_signal(io, io->wake_fd);
    }
    return rc;
}

/* --- making and ending --- */

void sh_io_config_init(struct sh_io_config *cfg)
{
    *cfg = (struct sh_io_config){.spin_us = SH_IO_SPIN_US};
    sh_node_config_init(&cfg->node);
}

static int io_open_wait(struct sh_io *io)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return SH_E_LIMIT;
    }
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    io->wait_made = pthread_cond_init(&io->wait_cond, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (!io->wait_made) {
        return SH_E_LIMIT;
    }
    pthread_mutex_init(&io->wait_lock, NULL);
    return 0;
}

static int io_open_loop(struct sh_io *io)
{
    if (uv_loop_init(&io->uv) < 0) {
        return SH_E_LIMIT;
    }
    io->uv_made = true;
    io->wake_fd = io->calls.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->threaded) {
        io->host_fd = io->calls.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (io->wake_fd < 0 || (io->threaded && io->host_fd < 0)) {
        return SH_E_LIMIT;
    }
    io->spare_fd = io->calls.spare();
    if (sh_dns_open(io) < 0) {
        return SH_E_NOMEM;
    }
    if (uv_poll_init(&io->uv, &io->wake_poll, io->wake_fd) < 0) {
        return SH_E_LIMIT;
    }
    io->wake_poll.data = io;
    uv_poll_start(&io->wake_poll, UV_READABLE, io_woken);
    uv_run(&io->uv, UV_RUN_NOWAIT); /* from here on a wake makes the backend descriptor readable */
    return 0;
}

/* The listeners of the config are the node's first ones; all must be bound. */
static int io_bind_all(struct sh_io *io, size_t count, const char **why)
{
    uint64_t token = sh_io_token();
    (void)sh_io_enter(io, token);
    sh_io_actions(io, io->calls.now_us());
    int rc = 0;
    for (uint64_t i = 1; i <= count && rc == 0; i++) {
        rc = sh_node_listen_state(io->node, i, why);
    }
    if (rc == 0) {
        struct sh_node_work work;
        sh_io_slice(io, &work); /* dials begin, handles are armed */
        if (!io->threaded) {
            io_rest(io, work.more);
        }
    }
    sh_exec_leave(io->loop, token);
    return rc;
}

static struct sh_io *io_alloc(const struct sh_io_config *cfg)
{
    const sh_mem *mem = cfg->node.mem ? cfg->node.mem : sh_mem_system();
    struct sh_io *io = sh_mem_zalloc(mem, sizeof *io);
    if (!io) {
        return NULL;
    }
    io->mem = mem;
    io->calls = cfg->calls ? *cfg->calls : *sh_calls_system();
    io->log = cfg->node.log;
    io->spin_us = cfg->spin_us;
    io->pid = getpid();
    io->threaded = cfg->node.threads > 0;
    io->wake_fd = io->host_fd = io->spare_fd = -1;
    sh_list_init(&io->tcps);
    sh_list_init(&io->listeners);
    sh_list_init(&io->dirty);
    sh_map_u64_init(&io->conns, mem, 1, SIZE_MAX);
    return io;
}

int sh_io_new(const struct sh_io_config *cfg, sh_io **out, const char **why)
{
    const char *unused;
    why = why ? why : &unused;
    *why = "out of memory";
    struct sh_io *io = io_alloc(cfg);
    if (!io) {
        return SH_E_NOMEM;
    }
    int rc = io_open_wait(io);
    if (rc == 0) {
        *why = "no descriptors left";
        rc = io_open_loop(io);
    }
    if (rc == 0) {
        struct sh_node_config node = cfg->node;
        node.mem = io->mem;
        node.rng = sh_system_rng();
        node.wake = io_wake_exec;
        node.wake_ud = io;
        node.stall_clock = io_stall_clock;
        rc = sh_node_config_check(&node, why);
        if (rc == 0) {
            rc = sh_node_new(&node, io->calls.now_us(), &io->node);
            *why = sh_err_text(rc);
        }
    }
    if (rc == 0) {
        io->loop = sh_runtime_exec(sh_node_runtime(io->node), SH_NODE_LOOP);
        io->host = sh_runtime_exec(sh_node_runtime(io->node), sh_runtime_host(sh_node_runtime(io->node)));
        rc = io_bind_all(io, cfg->node.listen_count, why);
    }
    if (rc == 0 && io->threaded) {
        *why = "no thread could be started";
        rc = sh_thread_start(io);
    }
    if (rc < 0) {
        sh_io_free(io);
        return rc;
    }
    *out = io;
    return 0;
}

static void io_close_fd(struct sh_io *io, int fd)
{
    if (fd >= 0) {
        io->calls.close(fd);
    }
}

/* In the child of a fork the descriptors are closed and nothing else is touched: the epoll set is the parent's too,
 * and another thread of the parent may have been in the middle of anything. */
static void io_free_forked(struct sh_io *io)
{
    SH_LIST_FOREACH(it, &io->tcps)
    {
        io_close_fd(io, SH_CONTAINER(it, struct sh_tcp, link)->fd);
    }
    SH_LIST_FOREACH(it, &io->listeners)
    {
        io_close_fd(io, SH_CONTAINER(it, struct sh_listener, link)->fd);
    }
    io_close_fd(io, io->wake_fd);
    io_close_fd(io, io->host_fd);
    io_close_fd(io, io->spare_fd);
    io_close_fd(io, uv_backend_fd(&io->uv));
}

static void io_close_loop(struct sh_io *io)
{
    if (!io->uv_made) {
        return;
    }
    sh_tcp_close_all(io);
    sh_dns_close(io);
    if (io->wake_poll.data) {
        uv_poll_stop(&io->wake_poll);
        uv_close((uv_handle_t *)&io->wake_poll, NULL);
    }
    while (uv_run(&io->uv, UV_RUN_NOWAIT) != 0) { /* runs the close callbacks */
    }
    int rc = uv_loop_close(&io->uv);
    SH_ASSERT(rc == 0);
}

void sh_io_free(sh_io *io)
{
    if (!io) {
        return;
    }
    if (sh_io_forked(io)) {
        io_free_forked(io);
        return;
    }
    sh_thread_join(io);
    io->closed = true;
    io_close_loop(io);
    sh_node_free(io->node, io->calls.now_us());
    io_close_fd(io, io->wake_fd);
    io_close_fd(io, io->host_fd);
    io_close_fd(io, io->spare_fd);
    sh_map_u64_fini(&io->conns);
    if (io->wait_made) {
        pthread_cond_destroy(&io->wait_cond);
        pthread_mutex_destroy(&io->wait_lock);
    }
    sh_mem_free(io->mem, io, sizeof *io);
}
