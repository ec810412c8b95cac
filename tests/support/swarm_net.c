/* support/swarm_net.c - the network in memory. */
#include "swarm_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void node_boot(struct snet *n, unsigned i)
{
    struct snet_node *node = &n->node[i];
    node->alive = true;
    sh_quota_init(&node->quota, NULL, SIZE_MAX);
    sh_block_pool_init(&node->pool, &node->mem.mem, NULL, 8);
    node->cfg.mem = &node->mem.mem;
    node->cfg.quota = &node->quota;
    node->cfg.pool = &node->pool;
    node->cfg.rng = &node->rng;
    node->cfg.identity = &node->identity;
    assert_int_equal(sh_swarm_new(&node->cfg, n->now_us, &node->swarm), 0);
}

void snet_init(struct snet *n, unsigned count, uint64_t seed, const char *const *protocols,
               unsigned protocol_count,
               void (*cfg)(struct snet *n, unsigned i, struct sh_swarm_config *c))
{
    memset(n, 0, sizeof *n);
    n->count = count;
    n->now_us = 1000000;
    n->latency_us = 200;
    n->consume = true;
    n->protocols = protocols;
    n->protocol_count = protocol_count;
    for (unsigned i = 0; i < count; i++) {
        struct snet_node *node = &n->node[i];
        uint8_t secret[32], proto[SH_ED25519_PROTO_BYTES];
        node->net = n;
        node->rng = sh_rng_seeded_init(&node->rng_state, seed * 1000 + i);
        sh_mem_counted(&node->mem, sh_mem_system());
        sh_rng_fill(&node->rng, secret, sizeof secret);
        assert_int_equal(sh_identity_from_seed(&node->identity, secret), 0);
        sh_identity_public_proto(&node->identity, proto);
        assert_int_equal(sh_peer_id_from_key(&node->id, sh_span_of(proto, sizeof proto)), 0);
        node->cfg = (struct sh_swarm_config){
            .agent = "shoal/test",
            .protocols = protocols,
            .protocol_count = protocol_count,
            .peers_connected_max = 512,
            .peer_timeout_us = 10000000,
            .closed_grace_us = 200000,
        };
        if (cfg) {
            cfg(n, i, &node->cfg);
        }
        node_boot(n, i);
    }
}

static void end_drop_chunks(struct snet_end *e)
{
    while (e->first) {
        struct snet_chunk *next = e->first->next;
        free(e->first);
        e->first = next;
    }
    e->last = NULL;
}

static void node_down(struct snet *n, unsigned i)
{
    struct snet_node *node = &n->node[i];
    sh_swarm_free(node->swarm);
    node->swarm = NULL;
    node->alive = false;
    sh_block_pool_fini(&node->pool);
    assert_int_equal(node->quota.used, 0);
    assert_int_equal(atomic_load(&node->mem.live_blocks), 0);
}

void snet_fini(struct snet *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (n->node[i].alive) {
            node_down(n, i);
        }
        sh_identity_fini(&n->node[i].identity);
    }
    for (size_t p = 0; p < n->pipe_count; p++) {
        end_drop_chunks(&n->pipe[p].end[0]);
        end_drop_chunks(&n->pipe[p].end[1]);
    }
    free(n->pipe);
    free(n->log);
}

sh_addr snet_addr(const struct snet *n, unsigned i, bool with_peer)
{
    static const uint8_t ip[16] = {127, 0, 0, 1};
    sh_addr a;
    assert_int_equal(sh_addr_from_ip(&a, SH_HOST_IP4, ip, (uint16_t)(SNET_PORT + i)), 0);
    if (with_peer) {
        assert_int_equal(sh_addr_with_peer(&a, &n->node[i].id), 0);
    }
    return a;
}

void snet_listen(struct snet *n, unsigned i)
{
    sh_addr a = snet_addr(n, i, false);
    n->node[i].listens = true;
    sh_swarm_listening(n->node[i].swarm, &a, n->now_us);
}

void snet_start(struct snet *n, unsigned count, uint64_t seed, const char *const *protocols,
                unsigned protocol_count,
                void (*cfg)(struct snet *n, unsigned i, struct sh_swarm_config *c))
{
    snet_init(n, count, seed, protocols, protocol_count, cfg);
    for (unsigned i = 0; i < count; i++) {
        snet_listen(n, i);
    }
}

int snet_dial(struct snet *n, unsigned from, unsigned to, bool keep, uint64_t call)
{
    sh_addr a = snet_addr(n, to, true);
    return sh_swarm_dial(n->node[from].swarm, &a, keep, call, n->now_us);
}

struct sh_peer_ref snet_peer(struct snet *n, unsigned at, unsigned who)
{
    struct sh_peer_ref ref = {0, 0};
    assert_int_equal(sh_swarm_peer(n->node[at].swarm, &n->node[who].id, &ref), 0);
    return ref;
}

static int node_of_peer(const struct snet *n, unsigned at, struct sh_peer_ref ref)
{
    const sh_peer_id *id = sh_swarm_peer_id(n->node[at].swarm, ref);
    for (unsigned i = 0; id && i < n->count; i++) {
        if (sh_peer_id_eq(id, &n->node[i].id)) {
            return (int)i;
        }
    }
    return -1;
}

static void log_event(struct snet *n, unsigned i, const struct sh_swarm_event *ev)
{
    if (n->log_count == n->log_cap) {
        n->log_cap = n->log_cap ? 2 * n->log_cap : 256;
        n->log = realloc(n->log, n->log_cap * sizeof *n->log);
        assert_non_null(n->log);
    }
    struct snet_event *e = &n->log[n->log_count++];
    memset(e, 0, sizeof *e);
    e->node = i;
    e->at_us = n->now_us;
    e->kind = ev->kind;
    e->peer = ev->peer.check ? node_of_peer(n, i, ev->peer) : -1;
    e->stream = ev->stream;
    e->proto = ev->proto;
    e->query = ev->query;
    e->code = ev->code;
    e->err = ev->err;
    snprintf(e->text, sizeof e->text, "%s", ev->text ? ev->text : "");
    e->data_n = ev->data.n;
    if (ev->data.n > 0) {
        memcpy(e->data, ev->data.p, ev->data.n < SNET_DATA_MAX ? ev->data.n : SNET_DATA_MAX);
    }
    if (ev->kind == SH_SWARM_STREAM_DATA && n->consume) {
        sh_stream_consumed(ev->stream, ev->data.n);
    }
    if (getenv("SNET_TRACE")) {
        printf("%9.3f ms  %u kind=%d peer=%d query=%llu err=%d n=%zu %s\n", (double)e->at_us / 1000,
               i, (int)e->kind, e->peer, (unsigned long long)e->query, e->err, e->data_n, e->text);
    }
}

static struct snet_pipe *pipe_new(struct snet *n)
{
    for (size_t p = 0; p < n->pipe_count; p++) {
        if (!n->pipe[p].used) {
            memset(&n->pipe[p], 0, sizeof n->pipe[p]);
            return &n->pipe[p];
        }
    }
    n->pipe = realloc(n->pipe, (n->pipe_count + 1) * sizeof *n->pipe);
    assert_non_null(n->pipe);
    memset(&n->pipe[n->pipe_count], 0, sizeof n->pipe[0]);
    return &n->pipe[n->pipe_count++];
}

static struct snet_pipe *pipe_of(struct snet *n, unsigned node, sh_conn_id conn, int *side)
{
    for (size_t p = 0; p < n->pipe_count; p++) {
        for (*side = 0; n->pipe[p].used && *side < 2; (*side)++) {
            const struct snet_end *e = &n->pipe[p].end[*side];
            if (e->open && e->node == (int)node && e->conn == conn) {
                return &n->pipe[p];
            }
        }
    }
    return NULL;
}

static void net_dial(struct snet *n, unsigned from, const struct sh_swarm_action *a)
{
    struct snet_pipe *p = pipe_new(n);
    int to = a->endpoint.port - SNET_PORT;
    bool known = to >= 0 && (unsigned)to < n->count;
    p->used = true;
    p->dialling = true;
    p->due_us = n->now_us + 2 * n->latency_us;
    p->end[0] =
        (struct snet_end){.node = (int)from, .conn = a->conn, .open = true, .eof_us = UINT64_MAX};
    p->end[1] = (struct snet_end){.node = known ? to : -1, .eof_us = UINT64_MAX};
    if (known && n->cut[from][to]) {
        p->due_us = UINT64_MAX;
    }
}

/* Takes what the node has to write; the far end has it after the latency. */
static bool end_write(struct snet *n, struct snet_pipe *p, int side)
{
    struct snet_end *me = &p->end[side], *far = &p->end[1 - side];
    bool any = false;
    for (sh_span out; (out = sh_swarm_out(n->node[me->node].swarm, me->conn)).n > 0; any = true) {
        bool lost = far->node >= 0 && n->cut[me->node][far->node];
        if (!lost && far->eof_us == UINT64_MAX) {
            struct snet_chunk *c = malloc(sizeof *c + out.n);
            assert_non_null(c);
            *c = (struct snet_chunk){.due_us = n->now_us + n->latency_us, .n = out.n};
            memcpy(c->b, out.p, out.n);
            if (far->last) {
                far->last->next = c;
            } else {
                far->first = c;
            }
            far->last = c;
        }
        sh_swarm_sent(n->node[me->node].swarm, me->conn, out.n, n->now_us);
    }
    return any;
}

static void end_close(struct snet *n, struct snet_pipe *p, int side, int err)
{
    struct snet_end *me = &p->end[side], *far = &p->end[1 - side];
    bool lost = far->node >= 0 && n->cut[me->node][far->node];
    me->open = false;
    end_drop_chunks(me);
    if (!lost && far->eof_us == UINT64_MAX) {
        far->eof_us = n->now_us + n->latency_us;
        far->eof_err = err;
    }
    if (p->dialling && side == 0) {
        p->used = false;
    }
}

static bool node_action(struct snet *n, unsigned i, const struct sh_swarm_action *a)
{
    int side;
    struct snet_pipe *p;
    switch (a->kind) {
    case SH_SWARM_DIAL: net_dial(n, i, a); break;
    case SH_SWARM_WRITE: p = pipe_of(n, i, a->conn, &side); return p && end_write(n, p, side);
    case SH_SWARM_CLOSE:
    case SH_SWARM_CANCEL:
        p = pipe_of(n, i, a->conn, &side);
        if (p) {
            if (a->kind == SH_SWARM_CLOSE) {
                end_write(n, p, side);
            }
            end_close(n, p, side, 0);
        }
        break;
    case SH_SWARM_RESOLVE: {
        unsigned who = (unsigned)atoi(a->endpoint.name + 1); /* "n7" */
        sh_addr addr = snet_addr(n, who < n->count ? who : 0, false);
        bool known = a->endpoint.name[0] == 'n' && who < n->count;
        sh_swarm_resolved(n->node[i].swarm, a->request, &addr, known ? 1 : 0,
                          known ? 0 : SH_E_UNREACHABLE, n->now_us);
        break;
    }
    case SH_SWARM_READ: break;
    }
    return true;
}

static void node_turn(struct snet *n, unsigned i)
{
    struct snet_node *node = &n->node[i];
    if (!node->alive || node->paused) {
        return;
    }
    for (bool busy = true; busy;) {
        struct sh_swarm_event ev;
        struct sh_swarm_action act;
        busy = false;
        sh_swarm_tick(node->swarm, n->now_us);
        while (sh_swarm_event(node->swarm, &ev, n->now_us)) {
            log_event(n, i, &ev);
            busy = true;
        }
        sh_swarm_flush(node->swarm, n->now_us);
        while (sh_swarm_action(node->swarm, &act)) {
            busy = node_action(n, i, &act) || busy;
        }
    }
}

static void pipe_dialled(struct snet *n, struct snet_pipe *p)
{
    struct snet_end *from = &p->end[0], *to = &p->end[1];
    struct snet_node *dialer = &n->node[from->node];
    bool there = to->node >= 0 && n->node[to->node].alive && n->node[to->node].listens;
    p->dialling = false;
    if (!there) {
        p->used = false;
        sh_swarm_dial_failed(dialer->swarm, from->conn, SH_E_REFUSED, "connection refused",
                             n->now_us);
        return;
    }
    to->open = true;
    sh_swarm_connected(dialer->swarm, from->conn, n->now_us);
}

static void pipe_accept(struct snet *n, struct snet_pipe *p)
{
    struct snet_end *to = &p->end[1];
    sh_addr remote = snet_addr(n, 0, false);
    static const uint8_t ip[16] = {127, 0, 0, 1};
    sh_addr_from_ip(&remote, SH_HOST_IP4, ip, (uint16_t)(40000 + (p - n->pipe)));
    p->accepted = true;
    to->conn = sh_swarm_accepted(n->node[to->node].swarm, &remote, n->now_us);
    if (to->conn == 0) {
        end_close(n, p, 1, SH_E_UNREACHABLE);
    }
}

static void end_deliver(struct snet *n, size_t pipe, int side)
{
    struct snet_end *e = &n->pipe[pipe].end[side];
    struct snet_node *node = &n->node[e->node];
    while (e->open && e->first && e->first->due_us <= n->now_us) {
        struct snet_chunk *c = e->first;
        size_t room;
        uint8_t *at = sh_swarm_room(node->swarm, e->conn, &room);
        if (!at || room == 0) {
            return; /* the node takes its events first */
        }
        size_t k = c->n - c->off < room ? c->n - c->off : room;
        memcpy(at, c->b + c->off, k);
        uint8_t *spoilt = n->garble > 0 && k > 0 ? at + k / 2 : NULL;
        if (spoilt && n->garble_text) {
            spoilt = memmem(at, k, n->garble_text, strlen(n->garble_text));
        }
        if (spoilt) {
            n->garble--;
            *spoilt ^= 4;
        }
        c->off += k;
        if (c->off == c->n) {
            e->first = c->next;
            e->last = e->first ? e->last : NULL;
            free(c);
        }
        sh_swarm_filled(node->swarm, e->conn, k, n->now_us);
        node_turn(n, (unsigned)e->node);
        e = &n->pipe[pipe].end[side]; /* it may have dialled: there are more pipes, elsewhere */
    }
    if (e->open && !e->first && e->eof_us <= n->now_us) {
        e->open = false;
        sh_swarm_closed(node->swarm, e->conn, e->eof_err, e->eof_err ? "connection reset" : "",
                        n->now_us);
    }
}

static void net_step(struct snet *n)
{
    for (size_t k = 0; k < n->pipe_count; k++) {
        for (int side = 0; side < 2; side++) {
            struct snet_pipe *p = &n->pipe[k];
            if (!p->used) {
                continue;
            }
            struct snet_end *e = &p->end[side];
            bool frozen = e->node < 0 || !n->node[e->node].alive || n->node[e->node].paused;
            if (p->dialling) {
                if (side == 0 && p->due_us <= n->now_us && !frozen) {
                    pipe_dialled(n, p);
                    node_turn(n, (unsigned)e->node);
                }
                continue;
            }
            if (frozen) {
                continue;
            }
            if (side == 1 && !p->accepted && e->open) {
                pipe_accept(n, p);
            }
            end_deliver(n, k, side);
            node_turn(n, (unsigned)n->pipe[k].end[side].node);
        }
        struct snet_pipe *p = &n->pipe[k];
        if (p->used && !p->dialling && !p->end[0].open && !p->end[1].open) {
            end_drop_chunks(&p->end[0]);
            end_drop_chunks(&p->end[1]);
            p->used = false;
        }
    }
    for (unsigned i = 0; i < n->count; i++) {
        node_turn(n, i);
    }
}

static uint64_t net_next(const struct snet *n)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < n->count; i++) {
        if (n->node[i].alive && !n->node[i].paused) {
            uint64_t due = sh_swarm_deadline(n->node[i].swarm);
            next = due < next ? due : next;
        }
    }
    for (size_t k = 0; k < n->pipe_count; k++) {
        const struct snet_pipe *p = &n->pipe[k];
        for (int side = 0; p->used && side < 2; side++) {
            const struct snet_end *e = &p->end[side];
            if (e->node < 0 || !n->node[e->node].alive || n->node[e->node].paused) {
                continue;
            }
            if (p->dialling) {
                next = side == 0 && p->due_us < next ? p->due_us : next;
            } else if (e->open) {
                uint64_t due = e->first ? e->first->due_us : e->eof_us;
                next = due < next ? due : next;
            }
        }
    }
    return next;
}

/* One instant; false: nothing more happens before end_us. */
static bool net_advance(struct snet *n, uint64_t end_us)
{
    net_step(n);
    uint64_t next = net_next(n);
    next = next > n->now_us ? next : n->now_us + 1;
    if (next > end_us) {
        n->now_us = end_us;
        return false;
    }
    n->now_us = next;
    return true;
}

void snet_run(struct snet *n, uint64_t us)
{
    uint64_t end_us = n->now_us + us;
    while (net_advance(n, end_us)) {
    }
    net_step(n);
}

/* In the log, at or behind *from. */
static const struct snet_event *net_logged(const struct snet *n, unsigned node,
                                           enum sh_swarm_event_kind kind, size_t *from)
{
    while (*from < n->log_count) {
        const struct snet_event *e = &n->log[(*from)++];
        if (e->node == node && e->kind == kind) {
            return e;
        }
    }
    return NULL;
}

const struct snet_event *snet_until(struct snet *n, unsigned node, enum sh_swarm_event_kind kind,
                                    size_t *from, uint64_t limit_us)
{
    uint64_t end_us = n->now_us + limit_us;
    for (;;) {
        const struct snet_event *e = net_logged(n, node, kind, from);
        if (e) {
            return e;
        }
        if (!net_advance(n, end_us)) {
            net_step(n);
            return net_logged(n, node, kind, from);
        }
    }
}

const struct snet_event *snet_told(const struct snet *n, enum sh_swarm_event_kind kind,
                                   uint64_t query)
{
    for (size_t i = 0; i < n->log_count; i++) {
        if (n->log[i].kind == kind && n->log[i].query == query) {
            return &n->log[i];
        }
    }
    return NULL;
}

size_t snet_count(const struct snet *n, unsigned node, enum sh_swarm_event_kind kind, size_t from)
{
    size_t count = 0;
    for (size_t i = from; i < n->log_count; i++) {
        count += n->log[i].node == node && n->log[i].kind == kind ? 1 : 0;
    }
    return count;
}

void snet_kill(struct snet *n, unsigned i)
{
    for (size_t k = 0; k < n->pipe_count; k++) {
        struct snet_pipe *p = &n->pipe[k];
        for (int side = 0; p->used && side < 2; side++) {
            if (p->end[side].node != (int)i) {
                continue;
            }
            if (p->end[side].open || !p->accepted) {
                end_close(n, p, side, SH_E_UNREACHABLE);
            }
        }
    }
    n->node[i].listens = false;
    node_down(n, i);
}

void snet_restart(struct snet *n, unsigned i)
{
    node_boot(n, i);
    snet_listen(n, i);
}

void snet_pause(struct snet *n, unsigned i)
{
    n->node[i].paused = true;
}

void snet_resume(struct snet *n, unsigned i)
{
    n->node[i].paused = false;
}

void snet_cut(struct snet *n, unsigned a, unsigned b, bool cut)
{
    n->cut[a][b] = cut;
    n->cut[b][a] = cut;
}
