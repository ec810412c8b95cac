/* io/poll.c - the host's side of driving: slices within a budget, sleeping, waiting, the descriptor for host loops. */
#include "io/internal.h"

#include <time.h>
#include <unistd.h>

static int io_poll_fd(const struct sh_io *io)
{
    return io->threaded ? io->host_fd : uv_backend_fd(&io->uv);
}

/* One slice of what sh_io_poll serves: the loop if inline, else the host executor. Inside. Returns when it ended, or
 * began if it did nothing: a clock read costs as much as a small handler. */
static uint64_t io_host_slice(struct sh_io *io, bool look, struct sh_node_work *out)
{
    if (!io->threaded) {
        sh_io_slice(io, look, out);
        return io->slice_us;
    }
    struct sh_turn turn;
    uint64_t now_us = io->calls.now_us();
    /* Acquire pairs with sh_io_signal: what it told of is seen, or the descriptor is written again. */
    if (atomic_exchange_explicit(&io->host_signalled, 0, memory_order_acq_rel)) {
        sh_io_unsignal(io, io->host_fd);
    }
    sh_exec_turn(io->host, now_us, SH_IO_HANDLED_MAX, &turn);
    *out = (struct sh_node_work){turn.handled, turn.left,
                                 turn.left > 0 || sh_exec_deadline(io->host) <= now_us};
    if (turn.handled > 0) {
        io->host_traffic_us = io->calls.now_us();
        return io->host_traffic_us;
    }
    return now_us;
}

/* Nobody came in since a slice that left nothing, and no input was read: another slice would find at most a timer. */
static bool io_idle(struct sh_io *io)
{
    return !io->threaded && !io->fresh && sh_exec_entries(io->loop) == io->quiet_entry + 1 &&
           sh_io_may_sleep(io);
}

static uint64_t io_host_deadline(struct sh_io *io, uint64_t now_us)
{
    return io->threaded ? sh_exec_deadline(io->host) : sh_io_deadline(io, now_us);
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
    bool look; /* the next slice looks at all descriptors */
};

void sh_io_rest(struct sh_io *io, bool more)
{
    /* Nobody watches the descriptor: the next poll looks by itself. Relaxed: who asks for it also makes it readable. */
    if (atomic_load_explicit(&io->fd_asked, memory_order_relaxed) == 0) {
        return;
    }
    if (more || !io_host_may_sleep(io)) {
        sh_io_signal(io, io->threaded ? io->host_fd : io->wake_fd);
    }
}

/* One slice and what follows it. True: the poll is over. */
static bool io_round(struct sh_io *io, struct io_round *r, uint64_t token)
{
    struct sh_node_work work = {0};
    io_host_enter(io, token);
    uint64_t now_us = r->start_us;
    if (r->look || !io_idle(io)) {
        now_us = io_host_slice(io, r->look, &work);
    }
    r->look = true;
    r->handled += work.handled;
    r->left = work.left;
    bool woken = atomic_exchange_explicit(&io->woken, 0, memory_order_acquire) != 0;
    bool room = sh_runtime_room_back(sh_node_runtime(io->node));
    bool over =
        work.more ? now_us - r->start_us >= r->budget_us : r->handled > 0 || now_us >= r->until_us;
    if (over || woken || room) {
        sh_io_rest(io, work.more);
        sh_exec_leave(io->host, token);
        return true;
    }
    bool sleep = !work.more && io_host_may_sleep(io);
    uint64_t deadline_us = sleep ? io_host_deadline(io, now_us) : 0;
    uint64_t traffic_us = io->threaded ? io->host_traffic_us : io->traffic_us;
    sh_exec_leave(io->host, token);
    if (sleep) {
        deadline_us = r->until_us < deadline_us ? r->until_us : deadline_us;
        sh_io_block(io, io->host, traffic_us, deadline_us, now_us);
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
    r.look = wait_ms == 0 || atomic_load_explicit(&io->fd_asked, memory_order_relaxed) != 0;
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
        atomic_fetch_add(&io->sleepers,
                         1); /* before done is asked: a round that ends after it is told */
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

int sh_io_fd(sh_io *io)
{
    /* From now on it tells; what there is to do by now is told by this one signal. */
    if (atomic_exchange_explicit(&io->fd_asked, 1, memory_order_seq_cst) == 0) {
        sh_io_signal(io, io->threaded ? io->host_fd : io->wake_fd);
    }
    return io_poll_fd(io);
}

int64_t sh_io_next_timeout_ms(sh_io *io)
{
    uint64_t token = sh_io_token();
    if (io->closed || sh_io_forked(io) || sh_exec_inside(io->host, token)) {
        return -1;
    }
    io_host_enter(io, token);
    uint64_t now_us = io->calls.now_us();
    uint64_t deadline_us = io_host_deadline(io, now_us);
    if (!io_host_may_sleep(io)) {
        deadline_us = 0;
    }
    sh_exec_leave(io->host, token);
    return sh_io_until_ms(deadline_us, now_us);
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
