/* swarm/conns.c - the life of a connection. */
#include "swarm/conns.h"

#include "swarm/alive.h"
#include "swarm/dial.h"
#include "swarm/identify.h"
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/streams.h"

enum {
    LINK_INDEX_BITS = 16,
    LINK_LINGER_US = 2000000, /* the driver has 1 s to write the goodbye */
    LINK_GATED = 0x1007,
    LINK_TOO_MANY = 0x1001,
};

void sh_text_copy(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; text && text[n] && n + 1 < cap; n++) {
        out[n] = text[n];
    }
    out[n] = 0;
}

/* Most are a tenth of what an address may be. */
sh_addr sh_link_addr(const struct sh_link *l)
{
    sh_addr addr = {.n = l->addr_n};
    if (l->addr_n > 0) {
        memcpy(addr.b, l->addr_b, l->addr_n);
    }
    return addr;
}

struct sh_link *sh_link_at(const struct sh_swarm *s, sh_conn_id id)
{
    struct sh_link *l = sh_slab_at(&s->links, (uint32_t)(id & ((1u << LINK_INDEX_BITS) - 1)));
    return l && l->id == id ? l : NULL;
}

struct sh_link *sh_peer_link(const struct sh_peer *p)
{
    sh_list *it = sh_list_front(&p->links);
    return it ? SH_CONTAINER(it, struct sh_link, of_peer) : NULL;
}

static int link_new(struct sh_swarm *s, const sh_addr *addr, bool dialer, struct sh_link **out)
{
    uint32_t index;
    void *object;
    uint8_t *addr_b = addr->n > 0 ? sh_swarm_take(s, addr->n) : NULL;
    int err = addr->n > 0 && !addr_b ? SH_E_LIMIT : sh_slab_alloc(&s->links, &index, NULL, &object);
    if (err != 0) {
        if (addr_b) {
            sh_swarm_give(s, addr_b, addr->n);
        }
        return err;
    }
    struct sh_link *l = object;
    l->index = index;
    l->id = (uint64_t)++s->link_serial << LINK_INDEX_BITS | index;
    l->dialer = dialer;
    l->why = "";
    l->addr_b = addr_b;
    l->addr_n = addr->n;
    if (addr_b) {
        memcpy(addr_b, addr->b, addr->n);
    }
    l->opened_us = s->now_us;
    l->heard_us = s->now_us;
    l->pushes = SH_IDENTIFY_PUSHES_MAX;
    sh_quota_init(&l->quota, s->cfg.quota, SIZE_MAX);
    sh_list_init(&l->of_peer);
    sh_list_init(&l->ready);
    sh_list_init(&l->dirty);
    sh_list_init(&l->acting);
    sh_list_init(&l->streams);
    sh_list_init(&l->kad_queue);
    sh_list_init(&l->kad_sent);
    sh_list_init(&l->note.at);
    l->note.kind = SH_NOTE_LINK;
    sh_alarm_init(&l->alarm, SH_ALARM_LINK);
    sh_list_push_back(&s->all_links, &l->all);
    s->link_count++;
    *out = l;
    return 0;
}

void sh_link_act(struct sh_swarm *s, struct sh_link *l, unsigned act)
{
    l->acts |= act;
    if (sh_list_empty(&l->acting)) {
        sh_list_push_back(&s->acting, &l->acting);
    }
}

void sh_link_unact(struct sh_link *l, unsigned act)
{
    l->acts &= ~act;
    if (l->acts == 0) {
        sh_list_remove(&l->acting);
    }
}

int sh_link_dial(struct sh_swarm *s, const sh_addr *addr, struct sh_peer *target,
                 struct sh_dial_addr *dial_addr)
{
    struct sh_link *l;
    int err = s->quiet                   ? SH_E_CLOSED
              : s->dials >= SH_DIALS_MAX ? SH_E_LIMIT
                                         : link_new(s, addr, true, &l);
    if (err != 0) {
        return err;
    }
    l->state = SH_LINK_DIALLING;
    l->target = target;
    l->dial_addr = dial_addr;
    l->job = target && !dial_addr;
    if (target) {
        sh_peer_use(target);
    }
    s->dials++;
    sh_link_act(s, l, SH_ACT_DIAL);
    sh_alarm_set(s, &l->alarm, s->now_us + SH_DIAL_TIMEOUT_MS * UINT64_C(1000));
    return 0;
}

int sh_link_accept(struct sh_swarm *s, const sh_addr *remote, struct sh_link **out)
{
    if (s->quiet || s->link_count >= 4u * s->cfg.peers_connected_max + 64 ||
        sh_gater_pass(s, remote) != 0) {
        return SH_E_LIMIT;
    }
    int err = link_new(s, remote, false, out);
    if (err != 0) {
        return err;
    }
    s->inbound_pending++;
    (*out)->state = SH_LINK_SECURING;
    (*out)->had_pipe = true;
    err = sh_link_secure(s, *out);
    if (err != 0) {
        s->inbound_pending--;
        sh_link_free(s, *out);
    }
    return err;
}

int sh_link_secure(struct sh_swarm *s, struct sh_link *l)
{
    struct sh_conn_config cfg = {
        .mem = s->cfg.mem,
        .quota = &l->quota,
        .pool = s->cfg.pool,
        .rng = s->cfg.rng,
        .identity = s->cfg.identity,
        .noise_static = &s->noise,
        .dialer = l->dialer,
        .streams_max = SH_YAMUX_STREAMS_MAX / 2,
        .handshake_us = SH_HANDSHAKE_TIMEOUT_MS * UINT64_C(1000),
    };
    if (l->target) {
        cfg.expect = l->target->id;
    }
    int err = s->cfg.conn_new ? s->cfg.conn_new(&cfg, s->now_us, &l->conn)
                              : sh_stack_new(&cfg, s->now_us, &l->conn);
    if (err != 0) {
        l->conn = NULL;
        return err;
    }
    l->state = SH_LINK_SECURING;
    l->opened_us = s->now_us;
    l->heard_us = s->now_us;
    sh_link_touch(s, l);
    sh_link_ready(s, l); /* its first words may have failed already: only its events tell */
    return 0;
}

void sh_link_touch(struct sh_swarm *s, struct sh_link *l)
{
    if (sh_list_empty(&l->dirty)) {
        sh_list_push_back(&s->dirty, &l->dirty);
    }
}

void sh_link_ready(struct sh_swarm *s, struct sh_link *l)
{
    if (sh_list_empty(&l->ready) && (l->state == SH_LINK_SECURING || l->state == SH_LINK_UP)) {
        sh_list_push_back(&s->ready, &l->ready);
    }
}

static bool link_allowed(const struct sh_swarm *s, const sh_peer_id *id)
{
    for (size_t i = 0; i < s->cfg.allow_count; i++) {
        if (sh_peer_id_eq(&s->cfg.allow[i], id)) {
            return true;
        }
    }
    return s->cfg.allow_count == 0;
}

/* A new peer over the limit takes the place of the oldest connected one that nobody holds or speaks to. */
static bool link_make_room(struct sh_swarm *s)
{
    if (s->connected_peers < s->cfg.peers_connected_max) {
        return true;
    }
    SH_LIST_FOREACH(it, &s->all_links)
    {
        struct sh_link *l = SH_CONTAINER(it, struct sh_link, all);
        bool idle = l->state == SH_LINK_UP && l->peer->holds == 0 && l->peer->link_count == 1 &&
                    !sh_streams_has_user(l) && sh_list_empty(&l->kad_queue) &&
                    sh_list_empty(&l->kad_sent);
        if (idle) {
            sh_link_die(s, l, LINK_TOO_MANY, SH_E_LIMIT, "closed to make room for another peer");
            return true;
        }
    }
    return false;
}

void sh_link_up(struct sh_swarm *s, struct sh_link *l, const sh_peer_id *id)
{
    struct sh_peer *p = NULL;
    if (sh_peer_id_eq(id, &s->self_id)) {
        sh_link_die(s, l, 0, SH_E_UNREACHABLE, "the address is this node's own");
        return;
    }
    if (!link_allowed(s, id)) {
        l->gated = true;
        sh_link_die(s, l, LINK_GATED, SH_E_REFUSED, "the peer is not in the allow list");
        return;
    }
    if (sh_peers_get(s, id, &p) != 0) {
        sh_link_die(s, l, LINK_TOO_MANY, SH_E_LIMIT, "the peer table is full");
        return;
    }
    if (l->target && l->target != p) {
        sh_link_die(s, l, 0, SH_E_REFUSED, "another peer answered at the address");
        return;
    }
    sh_peer_use(p);
    if (p->link_count >= SH_CONNS_PER_PEER_MAX || (p->link_count == 0 && !link_make_room(s))) {
        sh_peer_unuse(s, p);
        sh_link_die(s, l, LINK_TOO_MANY, SH_E_LIMIT, "too many connections");
        return;
    }
    s->inbound_pending -= l->dialer ? 0u : 1u;
    l->state = SH_LINK_UP;
    l->peer = p;
    l->heard_us = s->now_us;
    l->pinged_us = s->now_us;
    sh_list_push_back(&p->links, &l->of_peer);
    s->connected_peers += p->link_count++ == 0 ? 1u : 0u;
    if (p->link_count == 1 && !p->up_told) {
        p->tell_up = true;
        sh_note_queue(s, &p->note);
    }
    sh_dial_up(s, l);
    l->conn->ops->ping(l->conn, s->now_us);
    if (sh_identify_up(s, l) !=
        0) { /* who is never asked would stay a stranger for as long as it is connected */
        sh_link_die(s, l, LINK_TOO_MANY, SH_E_LIMIT, "no memory to identify the peer");
        return;
    }
    sh_kad_up(s, l);
    sh_link_touch(s, l);
}

/* The last connection or one of several is gone; the caller has taken care of its streams. */
static void link_leave_peer(struct sh_swarm *s, struct sh_link *l)
{
    struct sh_peer *p = l->peer;
    sh_list_remove(&l->of_peer);
    p->link_count--;
    if (p->link_count > 0) {
        return;
    }
    s->connected_peers--;
    p->identified = false;
    p->pushed = false;
    if (p->routed) {
        sh_ktable_set_connected(&s->table, p->key, p->ref.index, false);
    }
    sh_dial_down(s, p, l->known_dead, l->why);
}

void sh_link_die(struct sh_swarm *s, struct sh_link *l, uint32_t code, int err, const char *why)
{
    enum sh_link_state was = l->state;
    if (was == SH_LINK_DEAD || was == SH_LINK_CLOSING) {
        return;
    }
    l->err = err;
    l->why = why ? why : "";
    l->state = SH_LINK_DEAD;
    sh_list_remove(&l->ready);
    if (l->conn && !l->pipe_gone && !l->conn_over) {
        l->conn->ops->close(l->conn, code);
        sh_link_touch(s, l);
    }
    if (was == SH_LINK_UP) {
        sh_note_queue(
            s,
            &l->note); /* first: the streams end and PEER_DOWN is told before what follows from it */
        sh_streams_link_down(s, l);
        sh_kad_down(s, l);
        link_leave_peer(s, l);
        return;
    }
    if (!l->dialer) {
        s->inbound_pending--;
    } else {
        s->dials -= was == SH_LINK_DIALLING ? 1u : 0u;
        sh_dial_over(s, l, was == SH_LINK_SECURING);
    }
    sh_link_finish(s, l);
}

void sh_link_finish(struct sh_swarm *s, struct sh_link *l)
{
    if (l->had_pipe && !l->pipe_gone) {
        l->state = SH_LINK_CLOSING;
        sh_link_act(s, l, SH_ACT_CLOSE);
        sh_alarm_set(s, &l->alarm, s->now_us + LINK_LINGER_US);
        return;
    }
    if (!l->had_pipe && l->dialer && !l->pipe_gone && !(l->acts & SH_ACT_DIAL)) {
        l->state =
            SH_LINK_CLOSING; /* the driver was asked to dial: it must hear that we changed our mind */
        l->acts = 0;
        sh_link_act(s, l, SH_ACT_CANCEL);
        return;
    }
    sh_link_free(s, l);
}

void sh_link_free(struct sh_swarm *s, struct sh_link *l)
{
    SH_ASSERT(sh_list_empty(&l->streams));
    if (l->conn) {
        l->conn->ops->free(l->conn);
    }
    sh_quota_fini(&l->quota);
    sh_wheel_cancel(&s->wheel, &l->alarm.t);
    sh_list_remove(&l->all);
    sh_list_remove(&l->of_peer);
    sh_list_remove(&l->ready);
    sh_list_remove(&l->dirty);
    sh_list_remove(&l->acting);
    sh_list_remove(&l->note.at);
    if (l->peer) {
        sh_peer_unuse(s, l->peer);
    }
    if (l->target) {
        sh_peer_unuse(s, l->target);
    }
    s->link_count--;
    if (l->addr_b) {
        sh_swarm_give(s, l->addr_b, l->addr_n);
    }
    sh_slab_free(&s->links, l->index, sh_slab_generation(&s->links, l->index));
}

void sh_link_flush(struct sh_swarm *s, struct sh_link *l)
{
    if (!l->conn) {
        return;
    }
    if (!l->conn_over) {
        l->conn->ops->flush(l->conn);
    }
    if (!l->pipe_gone && l->conn->ops->out(l->conn).n > 0) {
        sh_link_act(s, l, SH_ACT_WRITE);
    }
    if (l->state != SH_LINK_CLOSING) {
        sh_link_alarm(s, l);
    }
}

/* Does what is due and arms the alarm for what comes next. */
void sh_link_alarm(struct sh_swarm *s, struct sh_link *l)
{
    uint64_t next = UINT64_MAX;
    switch (l->state) {
    case SH_LINK_DIALLING:
        next = l->opened_us + SH_DIAL_TIMEOUT_MS * UINT64_C(1000);
        if (s->now_us >= next) {
            sh_link_die(s, l, 0, SH_E_TIMEOUT, "no answer to the dial");
            return;
        }
        break;
    case SH_LINK_SECURING:
        next = l->opened_us + (SH_HANDSHAKE_TIMEOUT_MS + 1000) * UINT64_C(1000);
        if (s->now_us >= next) {
            sh_link_die(s, l, 0, SH_E_TIMEOUT, "the handshake took too long");
            return;
        }
        break;
    case SH_LINK_UP:
        next = sh_alive_check(s, l);
        if (l->state != SH_LINK_UP) {
            return;
        }
        next = sh_identify_due(s, l) < next ? sh_identify_due(s, l) : next;
        break;
    case SH_LINK_DEAD: return;
    case SH_LINK_CLOSING: sh_link_free(s, l); return;
    }
    if (l->conn && !l->conn_over) {
        uint64_t due = l->conn->ops->deadline(l->conn);
        if (due <= s->now_us) {
            l->conn->ops->tick(l->conn, s->now_us);
            sh_link_touch(s, l);
            sh_link_ready(s, l);
            due = l->conn->ops->deadline(l->conn);
            due = due > s->now_us ? due : s->now_us + 1000;
        }
        next = due < next ? due : next;
    }
    if (l->starved && l->thirst_us > s->now_us) {
        next = l->thirst_us < next ? l->thirst_us : next;
    } else if (l->starved && l->thirst_us) {
        l->thirst_us = 0;
        sh_link_ready(s, l);
    }
    sh_alarm_set(s, &l->alarm, next);
}
