/* io/slice.c - one slice of the loop: input, turns of the node, its actions, writes. */
#include "io/internal.h"

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
    io->quiet_entry = out->more ? UINT64_MAX : sh_exec_entries(io->loop);
    io->slice_us = now_us;
    if (io->input > 0 || handled > 0 || sent) {
        io->slice_us = io->calls.now_us();
        io->traffic_us = io->slice_us; /* behind the write: who answers begins now */
    }
    io->input = 0;
}
