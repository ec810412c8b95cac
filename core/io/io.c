/* io/io.c - the driver's life: making, ending, waking. */
#include "io/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
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
    return io->fork_mark ? *io->fork_mark == 0 : getpid() != io->pid;
}

bool sh_io_is_open(const sh_io *io)
{
    return !io->closed && !sh_io_forked(io);
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
    if (fd == io->host_fd) {
        atomic_store_explicit(&io->host_signalled, 1, memory_order_release);
    }
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

/* [any] From the runtime: that executor sleeps and was given something. Only who is in poll(2), or watches the
 * descriptor, has to be told by the system. */
static void io_wake_exec(void *ud, unsigned exec)
{
    struct sh_io *io = ud;
    bool polled = exec == sh_exec_index(io->host);
    /* Seq_cst: pairs with sh_io_block and sh_io_fd. */
    if (atomic_load_explicit(&io->blocked[exec], memory_order_seq_cst) ||
        (polled && atomic_load_explicit(&io->fd_asked, memory_order_seq_cst))) {
        sh_io_signal(io, exec == SH_NODE_LOOP ? io->wake_fd : io->host_fd);
    }
}

/* Inside the loop, from the node: who told much writes by himself, the driver may be asleep. */
static void io_out(void *ud)
{
    struct sh_io *io = ud;
    if (!sh_io_is_open(io)) {
        return; /* in a fork the connections are the parent's */
    }
    uint64_t now_us = io->calls.now_us();
    sh_node_flush(io->node, now_us);
    sh_io_actions(io, now_us);
    (void)sh_tcp_flush(io, now_us);
    if (io->handles_changed) {
        sh_io_signal(io, io->wake_fd); /* its driver arms them */
    }
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

/* --- making and ending --- */

int sh_io_why(char *why, const char *text, int rc)
{
    if (why) {
        size_t n = strlen(text);
        n = n < SH_IO_WHY_MAX - 1 ? n : SH_IO_WHY_MAX - 1;
        memcpy(why, text, n);
        why[n] = 0;
    }
    return rc;
}

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
        sh_io_slice(io, true, &work); /* dials begin, handles are armed */
        if (!io->threaded) {
            sh_io_rest(io, work.more);
        }
    }
    sh_exec_leave(io->loop, token);
    return rc;
}

/* A page that the kernel empties in a fork: asking it is free, and no handler has to be registered. */
static void io_fork_mark(struct sh_io *io)
{
    uint8_t *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, 1, MADV_WIPEONFORK) != 0) {
        munmap(page, 1);
        return;
    }
    *page = 1;
    io->fork_mark = page;
}

/* [any] */
static bool io_entropy(void *ud, void *out, size_t n)
{
    struct sh_io *io = ud;
    bool good = sh_syscalls_random(&io->calls, out, n);
    if (!good) {
        atomic_store(&io->no_entropy, true);
    }
    return good;
}

static struct sh_io *io_alloc(const struct sh_io_config *cfg)
{
    const sh_mem *mem = cfg->node.mem ? cfg->node.mem : sh_mem_system();
    struct sh_io *io = sh_mem_zalloc(mem, sizeof *io);
    if (!io) {
        return NULL;
    }
    io->mem = mem;
    io->calls = cfg->calls ? *cfg->calls : *sh_syscalls_system();
    io->log = cfg->node.log;
    io->spin_us = cfg->spin_us;
    io->pid = getpid();
    io_fork_mark(io);
    io->threaded = cfg->node.threads > 0;
    io->wake_fd = io->host_fd = io->spare_fd = -1;
    sh_list_init(&io->tcps);
    sh_list_init(&io->listeners);
    sh_list_init(&io->dirty);
    sh_map_u64_init(&io->conns, mem, 1, SIZE_MAX);
    return io;
}

static int io_build(struct sh_io *io, const struct sh_io_config *cfg, const char **why)
{
    struct sh_node_config node = cfg->node;
    node.mem = io->mem;
    node.rng = (sh_rng){io_entropy, io};
    node.wake = io_wake_exec;
    node.wake_ud = io;
    node.out = io_out;
    node.out_ud = io;
    node.stall_clock = io_stall_clock;
    int rc = sh_node_config_check(&node, why);
    if (rc < 0) {
        return rc;
    }
    rc = sh_node_new(&node, io->calls.now_us(), &io->node);
    if (rc == 0 && atomic_load(&io->no_entropy)) { /* a birth draws what must not be guessed */
        *why = "the system gives no randomness";
        return SH_E_LIMIT;
    }
    if (rc < 0) {
        *why = atomic_load(&io->no_entropy) ? "the system gives no randomness" : sh_err_text(rc);
        return rc;
    }
    sh_runtime *rt = sh_node_runtime(io->node);
    io->loop = sh_runtime_exec(rt, SH_NODE_LOOP);
    io->host = sh_runtime_exec(rt, sh_runtime_host(rt));
    rc = io_bind_all(io, cfg->node.listen_count, why);
    if (rc == 0 && io->threaded) {
        *why = "no thread could be started";
        rc = sh_thread_start(io);
    }
    return rc;
}

int sh_io_new(const struct sh_io_config *cfg, sh_io **out, char why[SH_IO_WHY_MAX])
{
    struct sh_io *io = io_alloc(cfg);
    if (!io) {
        return sh_io_why(why, "out of memory", SH_E_NOMEM);
    }
    const char *text = "no descriptors or memory left";
    int rc = io_open_wait(io);
    if (rc == 0) {
        rc = io_open_loop(io);
    }
    if (rc == 0) {
        rc = io_build(io, cfg, &text);
    }
    if (rc < 0) {
        (void)sh_io_why(why, text, rc); /* the text may be the node's */
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
    sh_listen_close_all(io);
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
    if (io->fork_mark) {
        munmap((void *)(uintptr_t)io->fork_mark, 1);
    }
    sh_map_u64_fini(&io->conns);
    if (io->wait_made) {
        pthread_cond_destroy(&io->wait_cond);
        pthread_mutex_destroy(&io->wait_lock);
    }
    sh_mem_free(io->mem, io, sizeof *io);
}
