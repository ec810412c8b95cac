/* io/sleep.c - until when the loop may sleep, and how: it spins after traffic, then blocks. */
#include "io/internal.h"

uint64_t sh_io_deadline(struct sh_io *io, uint64_t now_us)
{
    uint64_t first = sh_node_deadline(io->node);
    uint64_t tcp = sh_tcp_deadline(io);
    uint64_t dns = sh_dns_deadline(io, now_us);
    uint64_t listen = sh_listen_deadline(io);
    first = tcp < first ? tcp : first;
    first = listen < first ? listen : first;
    return dns < first ? dns : first;
}

bool sh_io_may_sleep(struct sh_io *io)
{
    return !io->handles_changed && sh_exec_sleep(io->loop);
}

/* Milliseconds for poll(2): rounded up, so that a timer is due when it returns. */
int sh_io_until_ms(uint64_t deadline_us, uint64_t now_us)
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

/* One try at the socket that was heard last. True: there is something to do. */
static bool io_try_hot(struct sh_io *io, uint64_t now_us)
{
    uint64_t token = sh_io_token();
    if (!sh_exec_enter(io->loop, token)) {
        return false;
    }
    sh_node_set_token(io->node, token);
    bool got = sh_tcp_read_hot(io, now_us);
    io->fresh = io->fresh || got;
    io->fresh_us = got ? now_us : 0;
    sh_exec_leave(io->loop, token);
    return got;
}

/* The time after a yield. If it took long somebody else is busy on this core: who sleeps is woken in front of them, who
 * yields waits behind them. So nobody spins for a while. Relaxed: one spin more or less. */
static uint64_t io_yielded(struct sh_io *io, uint64_t before_us)
{
    uint64_t now_us = io->calls.now_us();
    if (now_us - before_us > (uint64_t)SH_IO_CROWDED_SPINS * io->spin_us) {
        atomic_store_explicit(&io->crowded_us, now_us + SH_IO_CROWDED_US, memory_order_relaxed);
    }
    return now_us;
}

/* How long x spins after traffic. Waking a sleeping processor can take as long as a spin; then two nodes that ask each
 * other would find each other asleep for ever. A sleep that was over soon says so: the next spin is longer. */
static uint64_t io_spin_us(const struct sh_io *io, unsigned exec)
{
    return (uint64_t)io->spin_us * (io->brief[exec] ? SH_IO_BRIEF_SPINS : 1);
}

/* Yields and looks; true: there is something to do. *now_us: when it gave up. No look at the hot socket before the first
 * yield: the slice left nothing there, and who is to answer may want this core. */
static bool io_spin(struct sh_io *io, struct sh_exec *x, struct pollfd *p, uint64_t until_us,
                    uint64_t *now_us)
{
    bool loop = x == io->loop;
    for (unsigned i = 0; *now_us < until_us &&
                         *now_us >= atomic_load_explicit(&io->crowded_us, memory_order_relaxed);
         i++) {
        bool look = !loop || i % SH_IO_SPIN_LOOKS == SH_IO_SPIN_LOOKS - 1;
        if (!sh_exec_asleep(x) || (loop && i > 0 && io_try_hot(io, *now_us)) ||
            (look && io->calls.poll(p, 1, 0) != 0)) {
            return true;
        }
        if (look && loop) {
            io->look_us = *now_us; /* nothing anywhere: as good as uv's look at all */
        }
        io->calls.yield();
        *now_us = io_yielded(io, *now_us);
    }
    return false;
}

void sh_io_block(struct sh_io *io, struct sh_exec *x, uint64_t traffic_us, uint64_t deadline_us,
                 uint64_t now_us)
{
    bool loop = x == io->loop;
    unsigned exec = sh_exec_index(x);
    struct pollfd p = {.fd = loop ? uv_backend_fd(&io->uv) : io->host_fd, .events = POLLIN};
    uint64_t until_us = traffic_us + io_spin_us(io, exec);
    if (io_spin(io, x, &p, until_us < deadline_us ? until_us : deadline_us, &now_us)) {
        return;
    }
    /* Seq_cst pairs with io_wake_exec: either it sees that we block, or we see that it woke us. */
    atomic_uint *blocked = &io->blocked[exec];
    atomic_store_explicit(blocked, 1, memory_order_seq_cst);
    int ready = 0;
    if (sh_exec_asleep(x)) {
        /* Whatever it returns, the caller looks again; a signal (EINTR) too is a reason to. */
        ready = io->calls.poll(&p, 1, sh_io_until_ms(deadline_us, now_us));
    }
    atomic_store_explicit(blocked, 0, memory_order_relaxed);
    uint64_t woken_us = io->calls.now_us();
    io->brief[exec] = ready > 0 && woken_us - now_us <= (uint64_t)SH_IO_BRIEF_SPINS * io->spin_us;
    if (ready > 0 && loop) {
        (void)io_try_hot(io, woken_us); /* most likely it is that one: no epoll_wait */
    }
}
