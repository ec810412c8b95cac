/* unit/node/world.h - a driver in memory: whole nodes joined by pipes, one thread, virtual time. */
#ifndef WORLD_H
#define WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "node/node.h"

#ifndef WORLD_NODES
#define WORLD_NODES 3 /* at most 250 */
#endif
enum { WORLD_PIPES = 64 * WORLD_NODES, WORLD_TOKEN = 77 };

struct world_end {
    int node;
    sh_conn_id conn;
    bool open;
    bool closing;
};

struct world_pipe {
    bool used;
    struct world_end end[2];
};

struct world {
    uint64_t now_us;
    sh_node *node[WORLD_NODES];
    const sh_mem *mem[WORLD_NODES]; /* NULL: the system's */
    sh_rng_seeded seeds[WORLD_NODES];
    struct world_pipe pipes[WORLD_PIPES];
    bool cut[WORLD_NODES]; /* refuses dials */
    bool fail_listen;
    unsigned listening[WORLD_NODES];
    char events[WORLD_NODES][4096]; /* names of what users were told, one a line */
};

static void world_on_event(void *ud, const struct sh_node_event *ev)
{
    static const char *const names[] = {
        "",       "listening", "peer_up", "peer_down", "dial_failed", "undelivered", "actor_failed",
        "stalled"};
    char *log = ud;
    size_t n = strlen(log);
    snprintf(log + n, 4096 - n, "%s %.*s\n", names[ev->kind], (int)ev->text.n,
             (const char *)ev->text.p);
}

static void world_wake(void *ud, unsigned exec)
{
    (void)ud;
    (void)exec;
}

static void world_config(struct world *w, int i, struct sh_node_config *cfg)
{
    sh_node_config_init(cfg);
    cfg->rng = sh_rng_seeded_init(&w->seeds[i], 1000u + (unsigned)i);
    cfg->mem = w->mem[i];
    cfg->wake = world_wake;
    cfg->on_event = world_on_event;
    cfg->on_event_ud = w->events[i];
}

static void world_node(struct world *w, int i, const char *listen)
{
    struct sh_node_config cfg;
    world_config(w, i, &cfg);
    cfg.listen = &listen;
    cfg.listen_count = listen ? 1 : 0;
    assert_int_equal(sh_node_new(&cfg, w->now_us, &w->node[i]), 0);
}

static struct world_end *world_find(struct world *w, int node, sh_conn_id conn,
                                    struct world_end **other)
{
    for (int p = 0; p < WORLD_PIPES; p++) {
        for (int e = 0; e < 2 && w->pipes[p].used; e++) {
            struct world_end *end = &w->pipes[p].end[e];
            if (end->open && end->node == node && end->conn == conn) {
                *other = &w->pipes[p].end[1 - e];
                return end;
            }
        }
    }
    return NULL;
}

static void world_close(struct world *w, struct world_end *end, int err)
{
    if (end->open) {
        end->open = false;
        sh_node_closed(w->node[end->node], end->conn, err, err ? "cut" : "closed", w->now_us);
    }
}

static void world_dial(struct world *w, int from, const struct sh_node_action *a)
{
    int to = a->endpoint.ip[3] - 1; /* node i lives at 10.0.0.<i + 1> */
    sh_addr remote;
    uint8_t ip[4] = {10, 0, 0, (uint8_t)(from + 1)};
    sh_addr_from_ip(&remote, SH_HOST_IP4, ip, 40000);
    sh_conn_id other = 0;
    if (to >= 0 && to < WORLD_NODES && w->node[to] && !w->cut[to] && w->listening[to]) {
        other = sh_node_accepted(w->node[to], &remote, w->now_us);
    }
    if (!other) {
        sh_node_dial_failed(w->node[from], a->conn, SH_E_UNREACHABLE, "connection refused",
                            w->now_us);
        return;
    }
    for (int p = 0; p < WORLD_PIPES; p++) {
        if (!w->pipes[p].used) {
            struct world_end near = {from, a->conn, true, false}, far = {to, other, true, false};
            w->pipes[p] = (struct world_pipe){true, {near, far}};
            sh_node_connected(w->node[from], a->conn, w->now_us);
            return;
        }
    }
    fail();
}

static void world_action(struct world *w, int i, const struct sh_node_action *a)
{
    struct world_end *other;
    struct world_end *end = a->conn ? world_find(w, i, a->conn, &other) : NULL;
    sh_addr addr;
    uint8_t ip[4] = {10, 0, 0, (uint8_t)(i + 1)};
    switch (a->kind) {
    case SH_NODE_LISTEN:
        if (w->fail_listen) {
            sh_node_listen_failed(w->node[i], a->listener, SH_E_BAD_ADDRESS, "in use", w->now_us);
            break;
        }
        w->listening[i]++;
        sh_addr_from_ip(&addr, SH_HOST_IP4, ip, 4001);
        sh_node_listening(w->node[i], a->listener, &addr, w->now_us);
        break;
    case SH_NODE_UNLISTEN: w->listening[i]--; break;
    case SH_NODE_DIAL: world_dial(w, i, a); break;
    case SH_NODE_WRITE:
    case SH_NODE_READ:
    case SH_NODE_RESOLVE: break;
    case SH_NODE_CLOSE:
        if (end) {
            end->closing = true;
        }
        break;
    case SH_NODE_CANCEL: fail();
    }
}

/* Bytes of one direction. */
static bool world_move(struct world *w, struct world_end *from, struct world_end *to)
{
    bool moved = false;
    for (;;) {
        sh_span out = from->open ? sh_node_out(w->node[from->node], from->conn) : sh_span_none();
        size_t room = 0;
        uint8_t *in = out.n && to->open && !to->closing
                          ? sh_node_room(w->node[to->node], to->conn, &room)
                          : NULL;
        size_t n = out.n < room ? out.n : room;
        if (to->closing || (from->open && !to->open)) {
            n = out.n; /* falls on the floor */
            in = NULL;
        }
        if (n == 0) {
            break;
        }
        if (in) {
            memcpy(in, out.p, n);
        }
        sh_node_sent(w->node[from->node], from->conn, n, w->now_us);
        if (in) {
            sh_node_filled(w->node[to->node], to->conn, n, w->now_us);
        }
        moved = true;
    }
    if (from->open && from->closing && sh_node_out(w->node[from->node], from->conn).n == 0) {
        world_close(w, from, 0);
        world_close(w, to, 0);
        moved = true;
    }
    return moved;
}

/* Everything that can happen now. */
static bool world_step(struct world *w)
{
    bool more = false;
    for (int i = 0; i < WORLD_NODES; i++) {
        if (!w->node[i]) {
            continue;
        }
        struct sh_node_work work;
        struct sh_node_action action;
        sh_exec *x = sh_runtime_exec(sh_node_runtime(w->node[i]), 0);
        assert_true(sh_exec_enter(x, WORLD_TOKEN));
        sh_node_set_token(w->node[i], WORLD_TOKEN);
        sh_node_turn(w->node[i], 256, w->now_us, &work);
        more = work.more || more;
        while (sh_node_action(w->node[i], &action)) {
            world_action(w, i, &action);
            more = true;
        }
        sh_exec_leave(x, WORLD_TOKEN);
    }
    for (int p = 0; p < WORLD_PIPES; p++) {
        if (w->pipes[p].used) {
            more = world_move(w, &w->pipes[p].end[0], &w->pipes[p].end[1]) || more;
            more = world_move(w, &w->pipes[p].end[1], &w->pipes[p].end[0]) || more;
        }
    }
    return more;
}

static uint64_t world_next(struct world *w)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < WORLD_NODES; i++) {
        uint64_t due = w->node[i] ? sh_node_deadline(w->node[i]) : UINT64_MAX;
        first = due < first ? due : first;
    }
    return first;
}

/* Until *flag is set or us of virtual time are over. True: it was set. */
static bool world_run(struct world *w, const unsigned *flag, uint64_t us)
{
    uint64_t end_us = w->now_us + us;
    for (unsigned steps = 0; steps < 200000; steps++) {
        if (flag && *flag) {
            return true;
        }
        if (world_step(w)) {
            continue;
        }
        uint64_t next = world_next(w);
        if (w->now_us >= end_us) {
            return flag && *flag;
        }
        next = next > end_us ? end_us : next;
        w->now_us = next > w->now_us ? next : w->now_us + 1;
    }
    fail_msg("never quiet");
    return false;
}

static void world_free_node(struct world *w, int i)
{
    sh_node_free(w->node[i], w->now_us);
    w->node[i] = NULL;
    for (int p = 0; p < WORLD_PIPES; p++) { /* the others see their pipes end */
        for (int e = 0; e < 2 && w->pipes[p].used; e++) {
            if (w->pipes[p].end[e].node == i && w->pipes[p].end[e].open) {
                w->pipes[p].end[e].open = false;
                struct world_end *other = &w->pipes[p].end[1 - e];
                if (w->node[other->node]) {
                    world_close(w, other, SH_E_UNREACHABLE);
                }
                other->open = false;
            }
        }
    }
}

static void world_free(struct world *w)
{
    for (int i = 0; i < WORLD_NODES; i++) {
        if (w->node[i]) {
            world_free_node(w, i);
        }
    }
}

/* An actor of a type that takes this one message. */
static inline sh_pid world_spawn(struct world *w, int node, struct sh_actor_type def,
                                 const char *message)
{
    sh_span name = sh_span_str(message);
    const sh_type *type;
    struct sh_spawn opt;
    sh_pid pid;
    sh_runtime *rt = sh_node_runtime(w->node[node]);
    sh_spawn_init(&opt);
    def.names = &name;
    def.name_count = 1;
    def.mailbox = -1;
    assert_int_equal(sh_runtime_type(rt, &def, &type), 0);
    assert_int_equal(sh_runtime_spawn(rt, WORLD_TOKEN, 0, type, &opt, &pid), 0);
    return pid;
}

/* --- what a call told --- */

struct told {
    unsigned count;
    int code;
    sh_pid pid;
    char text[256];
    uint8_t value[4096];
    size_t value_n;
};

static void told_fn(void *ud, const struct sh_result *r)
{
    struct told *t = ud;
    t->count++;
    t->code = r->code;
    t->pid = r->pid;
    size_t n = r->text.n < 255 ? r->text.n : 255;
    memcpy(t->text, r->text.n ? (const char *)r->text.p : "", n);
    t->text[n] = 0;
    t->value_n = r->value.n < sizeof t->value ? r->value.n : sizeof t->value;
    if (t->value_n) {
        memcpy(t->value, r->value.p, t->value_n);
    }
}

#endif
