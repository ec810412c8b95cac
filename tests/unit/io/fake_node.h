/* unit/io/fake_node.h - a node without layers below, so that the driver is tested alone: it counts what it is told, echoes what
 * it accepted, and keeps what its dials receive. Included once by a test; stands in for node/ and actor/ at link time. */
#ifndef FAKE_NODE_H
#define FAKE_NODE_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/io.h"

enum { FAKE_CONNS = 64, FAKE_BUFFER = 1 << 20 };

struct fake_conn {
    bool open;
    bool echo;
    bool closing;
    bool full; /* room says 0 until fake_resume */
    uint8_t in[4096];
    uint8_t *out;
    size_t out_at, out_n;
    uint8_t *got;
    size_t got_n;
    size_t total; /* bytes that came in */
};

struct sh_exec {
    atomic_ullong token;
    atomic_uint pending; /* things to handle */
    atomic_uint asleep;
    unsigned index;
    void (*wake)(void *ud, unsigned exec);
    void *wake_ud;
    uint64_t deadline_us;
    size_t handled;
    uint64_t entries;
};

struct sh_runtime {
    struct sh_exec execs[2];
    unsigned count;
};

struct sh_node {
    struct sh_node_config cfg;
    struct sh_runtime runtime;
    struct fake_conn conns[FAKE_CONNS]; /* by id; 0 is none */
    sh_conn_id last;
    struct sh_node_action actions[256];
    unsigned action_first, action_last;
    sh_addr bound[8];
    unsigned bound_count;
    unsigned flushes, turns;
    int listen_err[8];
    bool listen_seen[8];
    char listen_text[8][96];
    unsigned listener_count;
    unsigned accepted, connected, dial_failed, closed, closed_bad, resolved;
    int last_err;
    char last_text[96];
    sh_addr resolved_addrs[8];
    size_t resolved_count;
    bool refuse; /* accepts nothing */
    bool more;
};

/* --- exec and runtime --- */

static inline struct sh_exec *fake_exec(sh_io *io, unsigned i)
{
    return sh_runtime_exec(sh_io_runtime(io), i);
}

/* [any] Gives the executor something to handle. */
static inline void fake_give(struct sh_exec *x)
{
    atomic_fetch_add(&x->pending, 1);
    if (atomic_exchange(&x->asleep, 0)) {
        x->wake(x->wake_ud, x->index);
    }
}

bool sh_exec_enter(sh_exec *x, uint64_t token)
{
    unsigned long long nobody = 0;
    bool in = atomic_compare_exchange_strong(&x->token, &nobody, token);
    x->entries += in;
    return in;
}

uint64_t sh_exec_entries(const sh_exec *x)
{
    return x->entries;
}

void sh_exec_leave(sh_exec *x, uint64_t token)
{
    assert_true(atomic_load(&x->token) == token);
    atomic_store(&x->token, 0);
}

bool sh_exec_inside(const sh_exec *x, uint64_t token)
{
    return atomic_load(&((sh_exec *)(uintptr_t)x)->token) == token;
}

static void (*fake_handler)(struct sh_exec *x); /* runs inside a turn that handles something */

void sh_exec_turn(sh_exec *x, uint64_t now_us, size_t max, struct sh_turn *out)
{
    (void)now_us;
    (void)max;
    atomic_store(&x->asleep, 0);
    unsigned n = atomic_exchange(&x->pending, 0);
    x->handled += n;
    if (n && fake_handler) {
        fake_handler(x);
    }
    *out = (struct sh_turn){n, 0};
}

uint64_t sh_exec_deadline(const sh_exec *x)
{
    return atomic_load(&((sh_exec *)(uintptr_t)x)->pending) ? 0 : x->deadline_us;
}

bool sh_exec_sleep(sh_exec *x)
{
    atomic_store(&x->asleep, 1);
    if (atomic_load(&x->pending)) {
        atomic_store(&x->asleep, 0);
        return false;
    }
    return true;
}

static bool fake_room_back; /* a queue that refused has room again */

bool sh_runtime_room_back(sh_runtime *rt)
{
    (void)rt;
    bool back = fake_room_back;
    fake_room_back = false;
    return back;
}

unsigned sh_exec_index(const sh_exec *x)
{
    return x->index;
}

bool sh_exec_asleep(const sh_exec *x)
{
    return atomic_load(&((sh_exec *)(uintptr_t)x)->asleep) != 0;
}

void sh_exec_flush(sh_exec *x)
{
    (void)x;
}

void sh_exec_stats(const sh_exec *x, struct sh_exec_stats *out)
{
    memset(out, 0, sizeof *out);
    out->ready = atomic_load(&((sh_exec *)(uintptr_t)x)->pending);
}

sh_exec *sh_runtime_exec(sh_runtime *rt, unsigned index)
{
    return &rt->execs[index];
}

unsigned sh_runtime_host(const sh_runtime *rt)
{
    return rt->count - 1;
}

int sh_runtime_spawn(sh_runtime *rt, uint64_t token, unsigned exec, const sh_type *type,
                     const struct sh_spawn *opt, sh_pid *out)
{
    (void)type;
    (void)opt;
    bool inside = sh_exec_inside(&rt->execs[exec], token);
    if (!inside && !sh_exec_enter(&rt->execs[exec], token)) {
        return SH_E_USAGE;
    }
    *out = (sh_pid){1, 0, 1};
    if (!inside) {
        sh_exec_leave(&rt->execs[exec], token);
    }
    return 0;
}

/* --- the node --- */

void sh_node_config_init(struct sh_node_config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
}

int sh_node_config_check(const struct sh_node_config *cfg, const char **why)
{
    *why = "threads";
    return cfg->threads > 1 ? SH_E_UNSUPPORTED : 0;
}

static void fake_action(struct sh_node *n, struct sh_node_action a)
{
    assert_true(n->action_last < sizeof n->actions / sizeof *n->actions);
    n->actions[n->action_last++] = a;
}

int sh_node_listen_at(sh_node *n, sh_span addr, uint64_t *listener)
{
    sh_addr parsed;
    struct sh_endpoint ep;
    int rc = sh_addr_parse(&parsed, (const char *)addr.p, addr.n);
    if (rc == 0) {
        rc = sh_addr_endpoint(&parsed, &ep);
    }
    if (rc < 0) {
        return rc;
    }
    *listener = ++n->listener_count;
    n->listen_err[*listener] = SH_E_MORE;
    fake_action(
        n, (struct sh_node_action){.kind = SH_NODE_LISTEN, .listener = *listener, .endpoint = ep});
    return 0;
}

int sh_node_listen_state(const sh_node *n, uint64_t listener, const char **text)
{
    *text = n->listen_text[listener];
    return n->listen_err[listener];
}

int sh_node_new(const struct sh_node_config *cfg, uint64_t now_us, sh_node **out)
{
    (void)now_us;
    struct sh_node *n = sh_mem_zalloc(cfg->mem, sizeof *n);
    if (!n) {
        return SH_E_NOMEM;
    }
    n->cfg = *cfg;
    n->runtime.count = cfg->threads ? 2 : 1;
    for (unsigned i = 0; i < 2; i++) {
        n->runtime.execs[i].index = i;
        n->runtime.execs[i].wake = cfg->wake;
        n->runtime.execs[i].wake_ud = cfg->wake_ud;
        n->runtime.execs[i].deadline_us = UINT64_MAX;
    }
    for (size_t i = 0; i < cfg->listen_count; i++) {
        uint64_t number;
        int rc = sh_node_listen_at(n, sh_span_str(cfg->listen[i]), &number);
        if (rc < 0) {
            sh_mem_free(cfg->mem, n, sizeof *n);
            return rc;
        }
    }
    *out = n;
    return 0;
}

void sh_node_free(sh_node *n, uint64_t now_us)
{
    (void)now_us;
    if (!n) {
        return;
    }
    for (int i = 0; i < FAKE_CONNS; i++) {
        free(n->conns[i].out);
        free(n->conns[i].got);
    }
    sh_mem_free(n->cfg.mem, n, sizeof *n);
}

void sh_node_flush(sh_node *n, uint64_t now_us)
{
    (void)now_us;
    n->flushes++;
}

void sh_node_set_token(sh_node *n, uint64_t token)
{
    assert_true(sh_exec_inside(&n->runtime.execs[0], token));
}

sh_runtime *sh_node_runtime(sh_node *n)
{
    return &n->runtime;
}

void sh_node_listening(sh_node *n, uint64_t listener, const sh_addr *addr, uint64_t now_us)
{
    (void)now_us;
    n->listen_err[listener] = 0;
    n->bound[n->bound_count++ % 8] = *addr;
}

static void fake_text(char *out, const char *text)
{
    snprintf(out, 96, "%s", text);
}

void sh_node_listen_failed(sh_node *n, uint64_t listener, int err, const char *text,
                           uint64_t now_us)
{
    (void)now_us;
    n->listen_err[listener] = err;
    fake_text(n->listen_text[listener], text);
}

static sh_conn_id fake_conn_new(struct sh_node *n, bool echo)
{
    sh_conn_id id = ++n->last;
    assert_true(id < FAKE_CONNS);
    struct fake_conn *c = &n->conns[id];
    c->open = true;
    c->echo = echo;
    c->out = malloc(FAKE_BUFFER);
    c->got = malloc(FAKE_BUFFER);
    return id;
}

sh_conn_id sh_node_accepted(sh_node *n, const sh_addr *remote, uint64_t now_us)
{
    (void)now_us;
    assert_true(remote->n > 0);
    if (n->refuse) {
        return 0;
    }
    n->accepted++;
    return fake_conn_new(n, true);
}

void sh_node_connected(sh_node *n, sh_conn_id conn, uint64_t now_us)
{
    (void)now_us;
    assert_true(n->conns[conn].open);
    n->connected++;
}

void sh_node_dial_failed(sh_node *n, sh_conn_id conn, int err, const char *text, uint64_t now_us)
{
    (void)now_us;
    assert_true(n->conns[conn].open);
    n->conns[conn].open = false;
    n->dial_failed++;
    n->last_err = err;
    fake_text(n->last_text, text);
}

void sh_node_resolved(sh_node *n, uint64_t request, const sh_addr *addrs, size_t count, int err,
                      uint64_t now_us)
{
    (void)request;
    (void)now_us;
    n->resolved++;
    n->last_err = err;
    n->resolved_count = count;
    for (size_t i = 0; i < count && i < 8; i++) {
        n->resolved_addrs[i] = addrs[i];
    }
}

uint8_t *sh_node_room(sh_node *n, sh_conn_id conn, size_t *room)
{
    struct fake_conn *c = &n->conns[conn];
    assert_true(c->open);
    *room = c->full || c->closing ? 0 : sizeof c->in;
    return c->in;
}

static void fake_write(struct sh_node *n, sh_conn_id conn, const void *p, size_t len)
{
    struct fake_conn *c = &n->conns[conn];
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, c->out_n - c->out_at);
        c->out_n -= c->out_at;
        c->out_at = 0;
    }
    assert_true(c->out_n + len <= FAKE_BUFFER);
    memcpy(c->out + c->out_n, p, len);
    c->out_n += len;
    fake_action(n, (struct sh_node_action){.kind = SH_NODE_WRITE, .conn = conn});
}

void sh_node_filled(sh_node *n, sh_conn_id conn, size_t bytes, uint64_t now_us)
{
    (void)now_us;
    struct fake_conn *c = &n->conns[conn];
    assert_true(c->open && bytes <= sizeof c->in);
    if (bytes == 0) {
        return;
    }
    c->total += bytes;
    if (c->echo) {
        fake_write(n, conn, c->in, bytes);
        return;
    }
    assert_true(c->got_n + bytes <= FAKE_BUFFER);
    memcpy(c->got + c->got_n, c->in, bytes);
    c->got_n += bytes;
}

sh_span sh_node_out(sh_node *n, sh_conn_id conn)
{
    struct fake_conn *c = &n->conns[conn];
    assert_true(c->open);
    return sh_span_of(c->out + c->out_at, c->out_n - c->out_at);
}

void sh_node_sent(sh_node *n, sh_conn_id conn, size_t bytes, uint64_t now_us)
{
    (void)now_us;
    struct fake_conn *c = &n->conns[conn];
    c->out_at += bytes;
    assert_true(c->out_at <= c->out_n);
}

void sh_node_closed(sh_node *n, sh_conn_id conn, int err, const char *text, uint64_t now_us)
{
    (void)now_us;
    assert_true(n->conns[conn].open); /* told once */
    n->conns[conn].open = false;
    n->closed++;
    n->closed_bad += err < 0;
    n->last_err = err;
    fake_text(n->last_text, text);
}

void sh_node_turn(sh_node *n, size_t handled_max, uint64_t now_us, struct sh_node_work *out)
{
    struct sh_turn turn;
    n->turns++;
    sh_exec_turn(&n->runtime.execs[0], now_us, handled_max, &turn);
    *out = (struct sh_node_work){turn.handled, 0, n->more};
    n->more = false;
}

uint64_t sh_node_deadline(const sh_node *n)
{
    return sh_exec_deadline(&n->runtime.execs[0]);
}

bool sh_node_action(sh_node *n, struct sh_node_action *out)
{
    if (n->action_first == n->action_last) {
        n->action_first = n->action_last = 0;
        return false;
    }
    *out = n->actions[n->action_first++];
    return true;
}

int sh_node_address(const sh_node *n, size_t i, sh_addr *out)
{
    if (i >= n->bound_count) {
        return SH_E_NOT_FOUND;
    }
    *out = n->bound[i];
    return 0;
}

/* --- what tests say to it, from inside --- */

struct fake_dial {
    sh_addr addr;
    sh_conn_id conn;
};

static void fake_dial_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct fake_dial *d = ud;
    struct sh_endpoint ep;
    assert_int_equal(sh_addr_endpoint(&d->addr, &ep), 0);
    d->conn = fake_conn_new(n, false);
    fake_action(n, (struct sh_node_action){.kind = SH_NODE_DIAL, .conn = d->conn, .endpoint = ep});
}

static inline sh_conn_id fake_dial(sh_io *io, const sh_addr *addr)
{
    struct fake_dial d = {.addr = *addr};
    assert_int_equal(sh_io_inside(io, fake_dial_fn, &d), 0);
    return d.conn;
}

struct fake_send {
    sh_conn_id conn;
    const void *p;
    size_t n;
};

static void fake_send_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct fake_send *s = ud;
    fake_write(n, s->conn, s->p, s->n);
}

static inline void fake_send(sh_io *io, sh_conn_id conn, const void *p, size_t n)
{
    struct fake_send s = {conn, p, n};
    assert_int_equal(sh_io_inside(io, fake_send_fn, &s), 0);
}

static void fake_close_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    sh_conn_id conn = *(sh_conn_id *)ud;
    n->conns[conn].closing = true;
    fake_action(n, (struct sh_node_action){.kind = SH_NODE_CLOSE, .conn = conn});
}

static inline void fake_close(sh_io *io, sh_conn_id conn)
{
    assert_int_equal(sh_io_inside(io, fake_close_fn, &conn), 0);
}

static void fake_full_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    sh_conn_id conn = *(sh_conn_id *)ud;
    struct fake_conn *c = &n->conns[conn];
    c->full = !c->full;
    if (!c->full) {
        fake_action(n, (struct sh_node_action){.kind = SH_NODE_READ, .conn = conn});
    }
}

/* The connection takes no more, or again. */
static inline void fake_full(sh_io *io, sh_conn_id conn)
{
    assert_int_equal(sh_io_inside(io, fake_full_fn, &conn), 0);
}

#endif
