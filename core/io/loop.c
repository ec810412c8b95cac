/* io/loop.c - being the loop: entering it, one slice of work, when to sleep and how. */
#include "io/internal.h"

bool sh_io_enter(struct sh_io *io, uint64_t token)
{
    if (sh_exec_inside(io->loop, token)) {
        return false;
    }
    if (sh_exec_enter(io->loop, token)) {
        sh_node_set_token(io->node, token);
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
    sh_node_set_token(io->node, token);
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
    case SH_NODE_READ: sh_tcp_want_read(io, a->conn, now_us); break;
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

/* What was read while spinning is input enough for one slice, unless the other descriptors have waited for long.
 * Returns the time. */
static uint64_t io_look(struct sh_io *io, bool look)
{
    uint64_t now_us = io->fresh_us > 0 ? io->fresh_us : io->calls.now_us();
    io->fresh_us = 0;
    bool late = now_us - io->look_us >= SH_IO_LOOK_US;
    if (!io->fresh) {
        io->input = 0;
    }
    if ((!look || io->fresh) && !late && !io->handles_changed) {
        io->fresh = false;
        return now_us;
    }
    if (!io->fresh && !late && !io->handles_changed && sh_tcp_read_hot(io, now_us)) {
        return now_us;
    }
    io->fresh = false;
    io->handles_changed = false;
    uv_run(&io->uv, UV_RUN_NOWAIT);
    io->look_us = io->calls.now_us();
    return io->look_us;
}

/* What was read is handled before more is read, if that is soon done: in another slice it would be cold. */
static bool io_goes_on(const struct sh_io *io, size_t handled, uint64_t since_us)
{
    return handled < SH_IO_BACKLOG_MAX && io->calls.now_us() - since_us < SH_IO_BACKLOG_US;
}

void sh_io_slice(struct sh_io *io, bool look, struct sh_node_work *out)
{
    size_t handled = 0;
    bool sent = false;
    uint64_t now_us = io_look(io, look);
    sh_dns_tick(io, now_us);
    sh_listen_tick(io, now_us);
    sh_tcp_tick(io, now_us);
    for (int i = 0; i < SH_IO_ROUNDS_MAX; i++) {
        sh_node_turn(io->node, SH_IO_HANDLED_MAX, now_us, out);
        handled += out->handled;
        if (out->left > 0 && io_goes_on(io, handled, now_us)) {
            continue;
        }
        uint32_t read = io->input;
        sh_io_actions(io, now_us);
        out->more = out->more || io->input != read;
        bool few = handled > 0 && handled <= SH_IO_FEW && out->left == 0;
        if (out->more && !few && handled < SH_IO_HANDLED_MAX) {
            continue; /* what this leads to may still leave in the same write; an answer goes at once */
        }
        bool room = sh_tcp_flush(io, now_us);
        sent = sent || room;
        if (!(room || out->more) || handled >= SH_IO_HANDLED_MAX) {
            break; /* else room was made: whoever waited for it may go on */
        }
    }
    sent = sh_tcp_flush(io, now_us) || sent;
    out->handled = handled;
    out->more = out->more || io->handles_changed || sh_node_deadline(io->node) <= now_us;
    io->slice_us = now_us;
    if (io->input > 0 || handled > 0 || sent) {
        io->slice_us = io->calls.now_us();
        io->traffic_us = io->slice_us; /* behind the write: who answers begins now */
    }
    io->input = 0;
}

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
