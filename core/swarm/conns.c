/* swarm/conns.c - the life of a connection. */
#include "swarm/conns.h"

#include "swarm/alive.h"
#include "swarm/dial.h"
#include "swarm/identify.h"
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/streams.h"

enum {
    CONN_INDEX_BITS = 16,
    CONN_LINGER_US = 2000000, /* the driver has 1 s to write the goodbye */
    CONN_GATED = 0x1007,
    CONN_TOO_MANY = 0x1001,
};

/* Most are a tenth of what an address may be. */
sh_addr sh_conns_addr(const struct sh_swarm_conn *c)
{
    sh_addr addr = {.n = c->addr_n};
    if (c->addr_n > 0) {
        memcpy(addr.b, c->addr_b, c->addr_n);
    }
    return addr;
}

struct sh_swarm_conn *sh_conns_at(const struct sh_swarm *s, sh_conn_id id)
{
    struct sh_swarm_conn *c = sh_slab_at(&s->conns, (uint32_t)(id & ((1u << CONN_INDEX_BITS) - 1)));
    return c && c->id == id ? c : NULL;
}

struct sh_swarm_conn *sh_peer_conn(const struct sh_peer *p)
{
    sh_list *it = sh_list_front(&p->conns);
    return it ? SH_CONTAINER(it, struct sh_swarm_conn, of_peer) : NULL;
}

static int conn_new(struct sh_swarm *s, const sh_addr *addr, bool dialer,
                    struct sh_swarm_conn **out)
{
    uint32_t index;
    void *object;
    uint8_t *addr_b = addr->n > 0 ? sh_swarm_take(s, addr->n) : NULL;
    int err = addr->n > 0 && !addr_b ? SH_E_LIMIT : sh_slab_alloc(&s->conns, &index, NULL, &object);
    if (err != 0) {
        if (addr_b) {
            sh_swarm_give(s, addr_b, addr->n);
        }
        return err;
    }
    struct sh_swarm_conn *c = object;
    c->index = index;
    c->id = (uint64_t)++s->conn_serial << CONN_INDEX_BITS | index;
    c->dialer = dialer;
    c->why = "";
    c->addr_b = addr_b;
    c->addr_n = addr->n;
    if (addr_b) {
        memcpy(addr_b, addr->b, addr->n);
    }
    c->opened_us = s->now_us;
    c->heard_us = s->now_us;
    c->pushes = SH_IDENTIFY_PUSHES_MAX;
    sh_quota_init(&c->quota, s->cfg.quota, SIZE_MAX);
    sh_list_init(&c->of_peer);
    sh_list_init(&c->ready);
    sh_list_init(&c->dirty);
    sh_list_init(&c->acting);
    sh_list_init(&c->streams);
    sh_list_init(&c->kad_queue);
    sh_list_init(&c->kad_sent);
    sh_list_init(&c->note.at);
    c->note.kind = SH_NOTE_CONN;
    sh_alarm_init(&c->alarm, SH_ALARM_CONN);
    sh_list_push_back(&s->all_conns, &c->all);
    s->conn_count++;
    *out = c;
    return 0;
}

void sh_conns_act(struct sh_swarm *s, struct sh_swarm_conn *c, unsigned act)
{
    c->acts |= act;
    if (sh_list_empty(&c->acting)) {
        sh_list_push_back(&s->acting, &c->acting);
    }
}

void sh_conns_unact(struct sh_swarm_conn *c, unsigned act)
{
    c->acts &= ~act;
    if (c->acts == 0) {
        sh_list_remove(&c->acting);
    }
}

int sh_conns_dial(struct sh_swarm *s, const sh_addr *addr, struct sh_peer *target,
                  struct sh_dial_addr *dial_addr)
{
    struct sh_swarm_conn *c;
    int err = s->quiet                   ? SH_E_CLOSED
              : s->dials >= SH_DIALS_MAX ? SH_E_LIMIT
                                         : conn_new(s, addr, true, &c);
    if (err != 0) {
        return err;
    }
    c->state = SH_CONNS_DIALLING;
    c->target = target;
    c->dial_addr = dial_addr;
    c->job = target && !dial_addr;
    if (target) {
        sh_peer_use(target);
    }
    s->dials++;
    sh_conns_act(s, c, SH_ACT_DIAL);
    sh_alarm_set(s, &c->alarm, s->now_us + SH_DIAL_TIMEOUT_MS * UINT64_C(1000));
    return 0;
}

int sh_conns_accept(struct sh_swarm *s, const sh_addr *remote, struct sh_swarm_conn **out)
{
    if (s->quiet || s->conn_count >= 4u * s->cfg.peers_connected_max + 64 ||
        sh_gater_pass(s, remote) != 0) {
        return SH_E_LIMIT;
    }
    int err = conn_new(s, remote, false, out);
    if (err != 0) {
        return err;
    }
    s->inbound_pending++;
    (*out)->state = SH_CONNS_SECURING;
    (*out)->had_pipe = true;
    err = sh_conns_secure(s, *out);
    if (err != 0) {
        s->inbound_pending--;
        sh_conns_free(s, *out);
    }
    return err;
}

int sh_conns_secure(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    struct sh_conn_config cfg = {
        .mem = s->cfg.mem,
        .quota = &c->quota,
        .pool = s->cfg.pool,
        .rng = s->cfg.rng,
        .identity = s->cfg.identity,
        .noise_static = &s->noise,
        .dialer = c->dialer,
        .streams_max = SH_YAMUX_STREAMS_MAX / 2,
        .handshake_us = SH_HANDSHAKE_TIMEOUT_MS * UINT64_C(1000),
    };
    if (c->target) {
        cfg.expect = c->target->id;
    }
    int err = s->cfg.conn_new ? s->cfg.conn_new(&cfg, s->now_us, &c->machine)
                              : sh_stack_new(&cfg, s->now_us, &c->machine);
    if (err != 0) {
        c->machine = NULL;
        return err;
    }
    c->state = SH_CONNS_SECURING;
    c->opened_us = s->now_us;
    c->heard_us = s->now_us;
    sh_conns_touch(s, c);
    sh_conns_ready(s, c); /* its first words may have failed already: only its events tell */
    return 0;
}

void sh_conns_touch(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (sh_list_empty(&c->dirty)) {
        sh_list_push_back(&s->dirty, &c->dirty);
    }
}

void sh_conns_ready(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (sh_list_empty(&c->ready) && (c->state == SH_CONNS_SECURING || c->state == SH_CONNS_UP)) {
        sh_list_push_back(&s->ready, &c->ready);
    }
}

/* A new peer over the limit takes the place of the oldest connected one that nobody holds or speaks to. */
static bool conn_make_room(struct sh_swarm *s)
{
    if (s->connected_peers < s->cfg.peers_connected_max) {
        return true;
    }
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        bool idle = c->state == SH_CONNS_UP && c->peer->holds == 0 && c->peer->conn_count == 1 &&
                    !sh_streams_has_user(c) && sh_list_empty(&c->kad_queue) &&
                    sh_list_empty(&c->kad_sent);
        if (idle) {
            sh_conns_die(s, c, CONN_TOO_MANY, SH_E_LIMIT, "closed to make room for another peer");
            return true;
        }
    }
    return false;
}

void sh_conns_up(struct sh_swarm *s, struct sh_swarm_conn *c, const sh_peer_id *id)
{
    struct sh_peer *p = NULL;
    if (sh_peer_id_eq(id, &s->self_id)) {
        sh_conns_die(s, c, 0, SH_E_UNREACHABLE, "the address is this node's own");
        return;
    }
    if (!sh_gater_allows(s, id)) {
        c->gated = true;
        sh_conns_die(s, c, CONN_GATED, SH_E_REFUSED, "the peer is not in the allow list");
        return;
    }
    if (sh_peers_get(s, id, &p) != 0) {
        sh_conns_die(s, c, CONN_TOO_MANY, SH_E_LIMIT, "the peer table is full");
        return;
    }
    if (c->target && c->target != p) {
        sh_conns_die(s, c, 0, SH_E_REFUSED, "another peer answered at the address");
        return;
    }
    sh_peer_use(p);
    if (p->conn_count >= SH_CONNS_PER_PEER_MAX || (p->conn_count == 0 && !conn_make_room(s))) {
        sh_peer_unuse(s, p);
        sh_conns_die(s, c, CONN_TOO_MANY, SH_E_LIMIT, "too many connections");
        return;
    }
    s->inbound_pending -= c->dialer ? 0u : 1u;
    c->state = SH_CONNS_UP;
    c->peer = p;
    c->heard_us = s->now_us;
    c->pinged_us = s->now_us;
    sh_list_push_back(&p->conns, &c->of_peer);
    s->connected_peers += p->conn_count++ == 0 ? 1u : 0u;
    if (p->conn_count == 1 && !p->up_told) {
        p->tell_up = true;
        sh_note_queue(s, &p->note);
    }
    sh_dial_up(s, c);
    c->machine->ops->ping(c->machine, s->now_us);
    if (sh_identify_up(s, c) !=
        0) { /* who is never asked would stay a stranger for as long as it is connected */
        sh_conns_die(s, c, CONN_TOO_MANY, SH_E_LIMIT, "no memory to identify the peer");
        return;
    }
    sh_kad_up(s, c);
    sh_conns_touch(s, c);
}

/* The last connection or one of several is gone; the caller has taken care of its streams. */
static void conn_leave_peer(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    struct sh_peer *p = c->peer;
    sh_list_remove(&c->of_peer);
    p->conn_count--;
    if (p->conn_count > 0) {
        return;
    }
    s->connected_peers--;
    p->identified = false;
    p->pushed = false;
    if (p->routed) {
        sh_ktable_set_connected(&s->table, p->key, p->ref.index, false);
    }
    sh_dial_down(s, p, c->known_dead, c->why);
}

void sh_conns_die(struct sh_swarm *s, struct sh_swarm_conn *c, uint32_t code, int err,
                  const char *why)
{
    enum sh_conns_state was = c->state;
    if (was == SH_CONNS_DEAD || was == SH_CONNS_CLOSING) {
        return;
    }
    c->err = err;
    c->why = why ? why : "";
    c->state = SH_CONNS_DEAD;
    sh_list_remove(&c->ready);
    if (c->machine && !c->pipe_gone && !c->machine_over) {
        c->machine->ops->close(c->machine, code);
        sh_conns_touch(s, c);
    }
    if (was == SH_CONNS_UP) {
        sh_note_queue(
            s,
            &c->note); /* first: the streams end and PEER_DOWN is told before what follows from it */
        sh_streams_conn_down(s, c);
        sh_kad_down(s, c);
        conn_leave_peer(s, c);
        return;
    }
    if (!c->dialer) {
        s->inbound_pending--;
    } else {
        s->dials -= was == SH_CONNS_DIALLING ? 1u : 0u;
        sh_dial_over(s, c, was == SH_CONNS_SECURING);
    }
    sh_conns_finish(s, c);
}

void sh_conns_finish(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (c->had_pipe && !c->pipe_gone) {
        c->state = SH_CONNS_CLOSING;
        sh_conns_act(s, c, SH_ACT_CLOSE);
        sh_alarm_set(s, &c->alarm, s->now_us + CONN_LINGER_US);
        return;
    }
    if (!c->had_pipe && c->dialer && !c->pipe_gone && !(c->acts & SH_ACT_DIAL)) {
        c->state =
            SH_CONNS_CLOSING; /* the driver was asked to dial: it must hear that we changed our mind */
        c->acts = 0;
        sh_conns_act(s, c, SH_ACT_CANCEL);
        return;
    }
    sh_conns_free(s, c);
}

void sh_conns_free(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    SH_ASSERT(sh_list_empty(&c->streams));
    if (c->machine) {
        c->machine->ops->free(c->machine);
    }
    sh_quota_fini(&c->quota);
    sh_wheel_cancel(&s->wheel, &c->alarm.t);
    sh_list_remove(&c->all);
    sh_list_remove(&c->of_peer);
    sh_list_remove(&c->ready);
    sh_list_remove(&c->dirty);
    sh_list_remove(&c->acting);
    sh_list_remove(&c->note.at);
    if (c->peer) {
        sh_peer_unuse(s, c->peer);
    }
    if (c->target) {
        sh_peer_unuse(s, c->target);
    }
    s->conn_count--;
    if (c->addr_b) {
        sh_swarm_give(s, c->addr_b, c->addr_n);
    }
    sh_slab_free(&s->conns, c->index, sh_slab_generation(&s->conns, c->index));
}

void sh_conns_flush(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (!c->machine) {
        return;
    }
    if (!c->machine_over) {
        c->machine->ops->flush(c->machine);
    }
    if (!c->pipe_gone && c->machine->ops->out(c->machine).n > 0) {
        sh_conns_act(s, c, SH_ACT_WRITE);
    }
    if (c->state != SH_CONNS_CLOSING) {
        sh_conns_alarm(s, c);
    }
}

/* Does what is due and arms the alarm for what comes next. */
void sh_conns_alarm(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint64_t next = UINT64_MAX;
    switch (c->state) {
    case SH_CONNS_DIALLING:
        next = c->opened_us + SH_DIAL_TIMEOUT_MS * UINT64_C(1000);
        if (s->now_us >= next) {
            sh_conns_die(s, c, 0, SH_E_TIMEOUT, "no answer to the dial");
            return;
        }
        break;
    case SH_CONNS_SECURING:
        next = c->opened_us + (SH_HANDSHAKE_TIMEOUT_MS + 1000) * UINT64_C(1000);
        if (s->now_us >= next) {
            sh_conns_die(s, c, 0, SH_E_TIMEOUT, "the handshake took too long");
            return;
        }
        break;
    case SH_CONNS_UP:
        next = sh_alive_check(s, c);
        if (c->state != SH_CONNS_UP) {
            return;
        }
        next = sh_identify_due(s, c) < next ? sh_identify_due(s, c) : next;
        break;
    case SH_CONNS_DEAD: return;
    case SH_CONNS_CLOSING: sh_conns_free(s, c); return;
    }
    if (c->machine && !c->machine_over) {
        uint64_t due = c->machine->ops->deadline(c->machine);
        if (due <= s->now_us) {
            c->machine->ops->tick(c->machine, s->now_us);
            sh_conns_touch(s, c);
            sh_conns_ready(s, c);
            due = c->machine->ops->deadline(c->machine);
            due = due > s->now_us ? due : s->now_us + 1000;
        }
        next = due < next ? due : next;
    }
    if (c->starved && c->thirst_us > s->now_us) {
        next = c->thirst_us < next ? c->thirst_us : next;
    } else if (c->starved && c->thirst_us) {
        c->thirst_us = 0;
        sh_conns_ready(s, c);
    }
    sh_alarm_set(s, &c->alarm, next);
}

/* --- what the user asks --- */

void sh_swarm_disconnect(sh_swarm *s, struct sh_peer_ref peer, uint32_t code)
{
    struct sh_peer *p = sh_peers_at(s, peer);
    struct sh_swarm_conn *c;
    while (p && (c = sh_peer_conn(p)) != NULL) {
        sh_conns_die(s, c, code, SH_E_CLOSED, "closed by this node");
    }
}

void sh_swarm_close_conn(sh_swarm *s, sh_conn_id conn, uint32_t code, const char *why)
{
    struct sh_swarm_conn *c = sh_conns_at(s, conn);
    if (c && c->state == SH_CONNS_UP) {
        sh_conns_die(s, c, code, SH_E_PROTO, why);
    }
}
