/* io/loop.c - being the loop: entering it, one slice of work, when to sleep and how. */
#include "io/driver.h"

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
    sh_listen_tick(io, now_us);
    sh_tcp_tick(io, now_us);
    for (int i = 0; i < SH_IO_ROUNDS_MAX; i++) {
        sh_node_turn(io->node, SH_IO_HANDLED_MAX, now_us, out);
        handled += out->handled;
        sh_io_actions(io, now_us);
        if (out->more && handled < SH_IO_HANDLED_MAX) {
            continue; /* what this leads to may still leave in the same write */
        }
        if (!sh_tcp_flush(io, now_us) || handled >= SH_IO_HANDLED_MAX) {
            break; /* else room was made: whoever waited for it may go on */
        }
    }
    (void)sh_tcp_flush(io, now_us);
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
    (void)io->calls.poll(&p, 1, sh_io_until_ms(deadline_us, now_us));
}
