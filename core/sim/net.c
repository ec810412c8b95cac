/* sim/net.c - the pipes between hosts: dialling, bytes under way, ends. */
#include "sim/internal.h"

#include <string.h>

#include "base/sh_assert.h"

enum { NOTE_ACCEPT = 1, NOTE_CONNECT, NOTE_REFUSE, NOTE_BYTES, NOTE_END };

/* --- pipes --- */

static void side_drop_bytes(sh_sim *s, struct sim_side *side)
{
    while (side->head) {
        struct sim_chunk *c = side->head;
        side->head = c->next;
        sh_mem_free(s->mem, c, sizeof *c + c->n);
    }
    side->tail = NULL;
    side->under_way = 0;
}

static void pipe_check_over(sh_sim *s, struct sim_pipe *p)
{
    if (!p->over && p->side[0].state == SIM_GONE && p->side[1].state == SIM_GONE) {
        p->over = true;
        sh_list_remove(&p->link);
        sim_push(s, s->now_us, SIM_FREE, 0, p, 0);
    }
}

void sim_net_host_init(struct sim_host *h)
{
    sh_list_init(&h->sides);
    sh_list_init(&h->due);
    sh_list_init(&h->writing);
    for (unsigned i = 0; i < SIM_CONN_SLOTS; i++) {
        sh_list_init(&h->conns[i]);
    }
}

/* Its host looks at it in its next turn, and only at such ones: a turn costs what has changed. */
static void side_mark(sh_sim *s, struct sim_side *x)
{
    if (sh_list_empty(&x->due)) {
        sh_list_push_back(&s->hosts[x->node]->due, &x->due);
    }
    sim_turn_at(s, x->node, s->now_us);
}

static void side_writes(sh_sim *s, struct sim_side *x)
{
    x->want_write = true;
    if (sh_list_empty(&x->writing)) {
        sh_list_push_back(&s->hosts[x->node]->writing, &x->writing);
    }
}

static sh_list *host_slot(sh_sim *s, unsigned node, sh_conn_id conn)
{
    return &s->hosts[node]->conns[conn % SIM_CONN_SLOTS];
}

static void side_begin(sh_sim *s, struct sim_pipe *p, unsigned i, unsigned node, sh_conn_id conn)
{
    p->side[i] = (struct sim_side){.pipe = p,
                                   .node = node,
                                   .life = s->hosts[node]->life,
                                   .conn = conn,
                                   .state = SIM_DIALLING,
                                   .fin_us = UINT64_MAX};
    struct sim_side *x = &p->side[i];
    sh_list_push_back(&s->hosts[node]->sides, &x->at);
    sh_list_init(&x->due);
    sh_list_init(&x->writing);
    sh_list_init(&x->by_conn);
    if (conn) {
        sh_list_push_back(host_slot(s, node, conn), &x->by_conn);
    }
}

static void side_gone(sh_sim *s, struct sim_pipe *p, unsigned i)
{
    if (p->side[i].state != SIM_GONE) {
        sh_list_remove(&p->side[i].at);
        sh_list_remove(&p->side[i].due);
        sh_list_remove(&p->side[i].writing);
        sh_list_remove(&p->side[i].by_conn);
    }
    p->side[i].state = SIM_GONE;
    side_drop_bytes(s, &p->side[i]);
    pipe_check_over(s, p);
}

/* Tells the other side that this one has ended: err 0 behind its last byte, else at once. */
static void side_tell_end(sh_sim *s, struct sim_pipe *p, unsigned from, int err)
{
    struct sim_side *to = &p->side[!from];
    if (to->state == SIM_GONE || to->state == SIM_DIALLING || to->fin_us != UINT64_MAX) {
        return;
    }
    uint64_t at = s->now_us + sim_net_delay(s);
    if (err == 0 && to->last_us > at) {
        at = to->last_us;
    }
    to->fin_us = at;
    to->fin_err = err;
    if (err) {
        side_drop_bytes(s, to);
    }
    sim_push(s, at, SIM_BYTES, 0, p, !from);
}

static unsigned side_index(const struct sim_side *x)
{
    return x == &x->pipe->side[1];
}

static struct sim_pipe *pipe_find(sh_sim *s, unsigned node, sh_conn_id conn, unsigned *side)
{
    SH_LIST_FOREACH(at, host_slot(s, node, conn))
    {
        struct sim_side *x = SH_CONTAINER(at, struct sim_side, by_conn);
        if (x->conn == conn && sim_running(s, x)) {
            *side = side_index(x);
            return x->pipe;
        }
    }
    return NULL;
}

/* --- dialling --- */

static void host_addr(unsigned node, uint16_t port, sh_addr *out)
{
    uint8_t ip[4] = {10, 0, (uint8_t)(node >> 8), (uint8_t)node};
    sh_addr_from_ip(out, SH_HOST_IP4, ip, port);
}

static bool port_taken(const struct sim_host *h, uint16_t port)
{
    for (unsigned i = 0; i < h->listener_count; i++) {
        if (h->listeners[i].port == port) {
            return true;
        }
    }
    return false;
}

/* Why a host cannot listen there; NULL: it can. */
static const char *listen_fault(const struct sim_host *h, unsigned node,
                                const struct sh_endpoint *e, int *code)
{
    static const uint8_t any[4];
    uint8_t own[4] = {10, 0, (uint8_t)(node >> 8), (uint8_t)node};
    *code = SH_E_BAD_ADDRESS;
    if (e->host != SH_HOST_IP4 || (memcmp(e->ip, any, 4) != 0 && memcmp(e->ip, own, 4) != 0)) {
        return "not an address of this simulated host";
    }
    if (e->port && port_taken(h, e->port)) {
        return "the address is in use";
    }
    *code = SH_E_LIMIT;
    return h->listener_count == SIM_LISTENERS_MAX ? "the simulated host is out of sockets" : NULL;
}

void sim_net_listen(sh_sim *s, unsigned node, const struct sh_node_action *a)
{
    struct sim_host *h = s->hosts[node];
    if (a->kind == SH_NODE_UNLISTEN) {
        for (unsigned i = 0; i < h->listener_count; i++) {
            if (h->listeners[i].number == a->listener) {
                h->listeners[i] = h->listeners[--h->listener_count];
                return;
            }
        }
        return;
    }
    int code;
    const char *fault = listen_fault(h, node, &a->endpoint, &code);
    if (fault) {
        sh_node_listen_failed(h->node, a->listener, code, fault, s->now_us);
        return;
    }
    uint16_t port = a->endpoint.port ? a->endpoint.port : 4001;
    while (port_taken(h, port)) {
        port++; /* only of one that was left open: fewer are taken than there are */
    }
    h->listeners[h->listener_count].number = a->listener;
    h->listeners[h->listener_count++].port = port;
    sh_addr addr;
    host_addr(node, port, &addr);
    sh_node_listening(h->node, a->listener, &addr, s->now_us);
}

void sim_net_dial(sh_sim *s, unsigned node, const struct sh_node_action *a)
{
    const uint8_t *ip = a->endpoint.ip;
    struct sim_pipe *p = sh_mem_zalloc(s->mem, sizeof *p);
    SH_ASSERT(p);
    bool known = a->endpoint.host == SH_HOST_IP4 && ip[0] == 10 && ip[1] == 0;
    p->target = known ? (unsigned)(ip[2] << 8 | ip[3]) : UINT32_MAX;
    p->port = a->endpoint.port;
    side_begin(s, p, 0, node, a->conn);
    p->side[1] = (struct sim_side){.pipe = p, .state = SIM_GONE, .fin_us = UINT64_MAX};
    sh_list_push_back(&s->pipes, &p->link);
    if (p->target >= s->host_count) {
        sim_push(s, s->now_us + sim_net_delay(s), SIM_REFUSED, 0, p, 0);
    } else {
        sim_push(s, s->now_us + sim_net_delay(s), SIM_ARRIVE, 0, p, 0);
    }
}

/* The dial reaches the host: its kernel answers even while the process is paused. */
static void pipe_arrive(sh_sim *s, struct sim_pipe *p)
{
    struct sim_host *h = s->hosts[p->target];
    unsigned from = p->side[0].node;
    if (p->side[0].state != SIM_DIALLING || h->vanished || !sim_net_through(s, from, p->target) ||
        !sim_net_through(s, p->target, from)) {
        return; /* no answer: the dialler's own time-out ends it */
    }
    bool listens = false;
    for (unsigned i = 0; h->node && i < h->listener_count; i++) {
        listens = listens || h->listeners[i].port == p->port;
    }
    if (!listens) {
        sim_push(s, s->now_us + sim_net_delay(s), SIM_REFUSED, 0, p, 0);
        return;
    }
    side_begin(s, p, 1, p->target, 0);
    sim_push(s, s->now_us + sim_net_delay(s), SIM_CONNECTED, 0, p, 0);
    side_mark(s, &p->side[1]);
}

/* The answer reaches the dialler's kernel; its process hears of it in its next turn. */
static void pipe_answered(sh_sim *s, struct sim_pipe *p, enum sim_state state)
{
    struct sim_side *a = &p->side[0];
    if (a->state != SIM_DIALLING) {
        return;
    }
    if (!sim_running(s, a)) {
        side_gone(s, p, 0);
        return;
    }
    a->state = state;
    side_mark(s, a);
}

/* [loop of side 0] */
static void pipe_tell_answer(sh_sim *s, struct sim_pipe *p)
{
    struct sim_side *a = &p->side[0];
    sh_node *n = s->hosts[a->node]->node;
    sh_conn_id conn = a->conn;
    if (a->state == SIM_CONNECTED_NOW) {
        a->state = SIM_OPEN;
        sim_note(s, NOTE_CONNECT, a->node, conn, sh_span_none());
        sh_node_connected(n, conn, s->now_us);
        return;
    }
    sim_note(s, NOTE_REFUSE, a->node, conn, sh_span_none());
    side_gone(s, p, 0);
    sh_node_dial_failed(n, conn, SH_E_REFUSED, "connection refused", s->now_us);
}

/* [loop of side 1] */
static void pipe_accept(sh_sim *s, struct sim_pipe *p)
{
    struct sim_side *b = &p->side[1];
    sh_addr remote;
    host_addr(p->side[0].node, (uint16_t)(40000 + p->side[0].conn % 20000), &remote);
    b->conn = sh_node_accepted(s->hosts[b->node]->node, &remote, s->now_us);
    sim_note(s, NOTE_ACCEPT, b->node, b->conn, sh_span_none());
    if (b->conn == 0) {
        side_tell_end(s, p, 1, SH_E_UNREACHABLE);
        side_gone(s, p, 1);
        return;
    }
    b->state = SIM_OPEN;
    sh_list_push_back(host_slot(s, b->node, b->conn), &b->by_conn);
}

/* --- bytes --- */

static void side_put(sh_sim *s, struct sim_pipe *p, unsigned from, sh_span bytes)
{
    struct sim_side *to = &p->side[!from];
    struct sim_chunk *c = sh_mem_alloc(s->mem, sizeof *c + bytes.n);
    SH_ASSERT(c);
    uint64_t at = s->now_us + sim_net_delay(s);
    at = at < to->last_us ? to->last_us : at;
    *c = (struct sim_chunk){.arrive_us = at, .n = bytes.n};
    memcpy(c->bytes, bytes.p, bytes.n);
    if (to->head) {
        to->tail->next = c;
    } else {
        to->head = c;
    }
    to->tail = c;
    to->under_way += bytes.n;
    to->last_us = at;
    sim_push(s, at, SIM_BYTES, 0, p, !from);
}

/* Moves what the node has to write into the pipe, as far as that takes it. */
static void side_write(sh_sim *s, struct sim_pipe *p, unsigned i)
{
    struct sim_side *x = &p->side[i], *to = &p->side[!i];
    sh_node *n = s->hosts[x->node]->node;
    while (x->want_write) {
        sh_span out = sh_node_out(n, x->conn);
        size_t room = to->under_way < SH_SIM_PIPE_BYTES ? SH_SIM_PIPE_BYTES - to->under_way : 0;
        if (to->state == SIM_GONE) {
            room = out.n; /* into the void, until the reset arrives */
        }
        size_t take = out.n < room ? out.n : room;
        if (take == 0) {
            x->want_write = out.n > 0;
            break;
        }
        if (to->state != SIM_GONE) {
            side_put(s, p, i, sh_span_take(out, take));
        }
        sh_node_sent(n, x->conn, take, s->now_us);
    }
    if (x->state == SIM_LINGER && (!x->want_write || s->now_us >= x->linger_us)) {
        unsigned node = x->node;
        sh_conn_id conn = x->conn;
        side_tell_end(s, p, i, 0);
        side_gone(s, p, i);
        sh_node_closed(n, conn, 0, "end of stream", s->now_us);
        s->hosts[node]->touched = true; /* it may be what a stop waits for */
    }
}

void sim_net_write(sh_sim *s, unsigned node)
{
    SH_LIST_FOREACH_SAFE(at, &s->hosts[node]->writing)
    {
        struct sim_side *x = SH_CONTAINER(at, struct sim_side, writing);
        bool live = x->state == SIM_OPEN || x->state == SIM_LINGER;
        if (live && sim_running(s, x)) {
            side_write(s, x->pipe, side_index(x));
        }
        if (x->state == SIM_OPEN && !x->want_write) {
            sh_list_remove(&x->writing);
        }
    }
}

void sim_net_action(sh_sim *s, unsigned node, const struct sh_node_action *a)
{
    unsigned i = 0;
    struct sim_pipe *p = pipe_find(s, node, a->conn, &i);
    if (!p) {
        return; /* it ended in the meantime */
    }
    struct sim_side *x = &p->side[i];
    switch (a->kind) {
    case SH_NODE_WRITE: side_writes(s, x); break;
    case SH_NODE_READ:
        x->no_room = false;
        sim_push(s, s->now_us, SIM_BYTES, 0, p, i);
        break;
    case SH_NODE_CLOSE:
        x->state = SIM_LINGER;
        side_writes(s, x);
        x->linger_us = s->now_us + 1000000;
        sim_turn_at(s, node, s->now_us);
        sim_push(s, x->linger_us, SIM_BYTES, 0, p, i);
        break;
    case SH_NODE_CANCEL: side_gone(s, p, i); break;
    case SH_NODE_LISTEN:
    case SH_NODE_UNLISTEN:
    case SH_NODE_DIAL:
    case SH_NODE_RESOLVE: break;
    }
}

/* Gives the node one piece of what has arrived; false: nothing more now. */
static bool side_deliver(sh_sim *s, struct sim_pipe *p, unsigned i)
{
    struct sim_side *x = &p->side[i];
    struct sim_chunk *c = x->head;
    sh_node *n = s->hosts[x->node]->node;
    if (!c || c->arrive_us > s->now_us || x->no_room) {
        return false;
    }
    size_t room = 0, left = c->n - c->at;
    uint8_t *to = sh_node_room(n, x->conn, &room);
    if (room == 0) {
        x->no_room = true;
        return false;
    }
    size_t take = left < room ? left : room;
    if (sh_rng_below(&s->rng, 4) == 0) {
        take = 1 + (size_t)sh_rng_below(&s->rng, take); /* reads end anywhere */
    }
    memcpy(to, c->bytes + c->at, take);
    sim_note(s, NOTE_BYTES, x->node, x->conn, sh_span_of(to, take));
    s->delivered++;
    c->at += take;
    x->under_way -= take;
    if (c->at == c->n) {
        x->head = c->next;
        sh_mem_free(s->mem, c, sizeof *c + c->n);
    }
    if (p->side[!i].want_write) {
        sim_turn_at(s, p->side[!i].node, s->now_us);
    }
    sh_node_filled(n, x->conn, take, s->now_us);
    return x->state == SIM_OPEN;
}

static void side_end(sh_sim *s, struct sim_pipe *p, unsigned i)
{
    struct sim_side *x = &p->side[i];
    sh_node *n = s->hosts[x->node]->node;
    int err = x->fin_err;
    sh_conn_id conn = x->conn;
    sim_note(s, NOTE_END, x->node, conn, sh_span_none());
    side_gone(s, p, i);
    sh_node_closed(n, conn, err, err ? "connection reset" : "end of stream", s->now_us);
}

/* [loop of that side] */
static void side_input(sh_sim *s, struct sim_pipe *p, unsigned i)
{
    struct sim_side *x = &p->side[i];
    if (i == 1 && x->state == SIM_DIALLING) {
        pipe_accept(s, p);
    } else if (x->state == SIM_CONNECTED_NOW || x->state == SIM_REFUSED_NOW) {
        pipe_tell_answer(s, p);
    }
    if (x->state != SIM_OPEN && x->state != SIM_LINGER) {
        return;
    }
    if (!sim_net_through(s, p->side[!i].node, x->node)) {
        return;
    }
    while (x->state == SIM_OPEN && side_deliver(s, p, i)) {
    }
    if (x->state != SIM_GONE && x->fin_us <= s->now_us &&
        (!x->head || x->fin_err || x->state == SIM_LINGER)) {
        side_end(s, p, i);
    }
}

void sim_net_input(sh_sim *s, unsigned node)
{
    sh_list due;
    sh_list_init(&due);
    sh_list_splice(&due, &s->hosts[node]->due);
    for (sh_list *at; (at = sh_list_pop(&due)) != NULL;) {
        struct sim_side *x = SH_CONTAINER(at, struct sim_side, due);
        if (sim_running(s, x)) {
            side_input(s, x->pipe, side_index(x));
        }
    }
}

/* --- ends --- */

void sim_net_reset(sh_sim *s, struct sim_pipe *p)
{
    side_tell_end(s, p, 0, SH_E_UNREACHABLE);
    side_tell_end(s, p, 1, SH_E_UNREACHABLE);
}

void sim_net_process_gone(sh_sim *s, unsigned node, bool silent)
{
    SH_LIST_FOREACH_SAFE(at, &s->hosts[node]->sides)
    {
        struct sim_side *x = SH_CONTAINER(at, struct sim_side, at);
        unsigned i = side_index(x);
        if (!silent) {
            side_tell_end(s, x->pipe, i, SH_E_UNREACHABLE);
        }
        side_gone(s, x->pipe, i);
    }
}

static void pipe_free(sh_sim *s, struct sim_pipe *p)
{
    side_drop_bytes(s, &p->side[0]);
    side_drop_bytes(s, &p->side[1]);
    sh_mem_free(s->mem, p, sizeof *p);
}

void sim_net_event(sh_sim *s, const struct sim_event *ev)
{
    struct sim_pipe *p = ev->pipe;
    p->refs--;
    if (p->over) {
        if (p->refs == 0) {
            pipe_free(s, p);
        }
        return;
    }
    switch (ev->kind) {
    case SIM_ARRIVE: pipe_arrive(s, p); break;
    case SIM_CONNECTED: pipe_answered(s, p, SIM_CONNECTED_NOW); break;
    case SIM_REFUSED: pipe_answered(s, p, SIM_REFUSED_NOW); break;
    case SIM_BYTES:
        if (p->side[ev->side].state != SIM_GONE && sim_running(s, &p->side[ev->side])) {
            side_mark(s, &p->side[ev->side]);
        }
        break;
    case SIM_TURN:
    case SIM_FREE: break;
    }
}

void sim_net_free(sh_sim *s)
{
    /* Every pipe is either in the list or named by an event that waits. */
    for (size_t i = 0; i < s->heap_count; i++) {
        struct sim_pipe *p = s->heap[i].pipe;
        if (p && p->over && --p->refs == 0) {
            pipe_free(s, p);
        }
    }
    while (!sh_list_empty(&s->pipes)) {
        struct sim_pipe *p = SH_CONTAINER(s->pipes.next, struct sim_pipe, link);
        sh_list_remove(&p->link);
        pipe_free(s, p);
    }
}
