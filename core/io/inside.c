/* io/inside.c - any thread enters the loop, and what is done there at once: listen, addresses, spawn. */
#include "io/internal.h"

#include <string.h>

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
        sh_io_signal(
            io, io->wake_fd); /* its driver looks again: handles, writes, an earlier deadline */
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

int sh_io_listen(sh_io *io, const char *addr, char why[SH_IO_WHY_MAX])
{
    struct io_listen l = {.addr = sh_span_str(addr)};
    int rc = sh_io_inside(io, io_listen_fn, &l); /* the action is taken before it returns */
    if (rc < 0 || l.rc < 0) {
        rc = rc < 0 ? rc : l.rc;
        return sh_io_why(why, sh_err_text(rc), rc);
    }
    struct io_listened state = {.listener = l.listener, .text = ""};
    rc = sh_io_inside(io, io_listened_fn, &state);
    return sh_io_why(why, state.text, rc < 0 ? rc : state.rc);
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

int sh_io_spawn(sh_io *io, unsigned exec, const sh_type *type, const struct sh_spawn *opt,
                sh_pid *out)
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
