/* swarm/dial_addr.c - dials of addresses. */
#include "swarm/dial_addr.h"

#include "swarm/alive.h"
#include "swarm/conns.h"
#include "swarm/peers.h"

enum { DIAL_ADDR_BACKOFF_MS = 100 };

void sh_dial_addr_free(struct sh_swarm *s, struct sh_dial_addr *d)
{
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        c->dial_addr = c->dial_addr == d ? NULL : c->dial_addr;
    }
    sh_wheel_cancel(&s->wheel, &d->alarm.t);
    sh_list_remove(&d->all);
    sh_list_remove(&d->note.at);
    sh_list_remove(&d->acting);
    if (d->peer) {
        sh_peer_unuse(s, d->peer);
    }
    sh_swarm_give(s, d, sizeof *d);
}

static void dial_addr_peer(struct sh_swarm *s, struct sh_dial_addr *d, struct sh_peer *p)
{
    if (d->peer != p) {
        sh_peer_use(p);
        if (d->peer) {
            sh_peer_unuse(s, d->peer);
        }
        d->peer = p;
    }
}

/* DIALLED goes out once; a failing keep-dial is told by DIAL_FAILED from then on. */
static void dial_addr_result(struct sh_swarm *s, struct sh_dial_addr *d, int err, const char *why)
{
    if (!d->told) {
        d->told = true;
        d->tell = true;
        d->err = err;
        sh_text_copy(d->why, sizeof d->why, why);
        sh_note_queue(s, &d->note);
    }
}

static void dial_addr_failed(struct sh_swarm *s, struct sh_dial_addr *d, int err, const char *why)
{
    dial_addr_result(s, d, err, why);
    if (d->keep && !s->quiet) {
        d->backoff_ms = d->backoff_ms == 0 ? DIAL_ADDR_BACKOFF_MS : 2 * d->backoff_ms;
        d->backoff_ms =
            d->backoff_ms < SH_KEEP_BACKOFF_MAX_MS ? d->backoff_ms : SH_KEEP_BACKOFF_MAX_MS;
        sh_alarm_set(s, &d->alarm, s->now_us + d->backoff_ms * UINT64_C(1000));
    }
}

static int dial_addr_begin(struct sh_swarm *s, struct sh_dial_addr *d, const sh_addr *addr)
{
    struct sh_endpoint e;
    struct sh_peer *target = d->endpoint.has_peer ? d->peer : NULL;
    sh_addr plain = *addr;
    int err = sh_addr_endpoint(addr, &e);
    if (err != 0 || e.host > SH_HOST_IP6) {
        return err != 0 ? err : SH_E_BAD_ADDRESS;
    }
    if (e.has_peer && (!target || !sh_peer_id_eq(&e.peer, &target->id))) {
        err = target ? SH_E_BAD_ADDRESS : sh_peers_get(s, &e.peer, &target);
    }
    sh_addr_strip_peer(&plain);
    if (err == 0) {
        err = sh_conns_dial(s, &plain, target, d);
    }
    d->in_flight += err == 0 ? 1u : 0u;
    return err;
}

void sh_dial_addr_alarm(struct sh_swarm *s, struct sh_dial_addr *d)
{
    if (d->peer && d->peer->conn_count > 0) {
        d->backoff_ms = 0;
        dial_addr_result(s, d, 0, "");
        return;
    }
    if (d->in_flight > 0 || d->resolving) {
        return;
    }
    if (d->endpoint.host > SH_HOST_IP6) {
        d->request = ++s->request_serial;
        d->resolving = true;
        d->resolve_act = true;
        sh_list_push_back(&s->dial_addrs_acting, &d->acting);
        return;
    }
    int err = dial_addr_begin(s, d, &d->addr);
    if (err != 0) {
        dial_addr_failed(s, d, err, sh_err_text(err));
    }
}

int sh_swarm_dial(sh_swarm *s, const sh_addr *addr, bool keep, uint64_t call, uint64_t now_us)
{
    struct sh_endpoint e;
    struct sh_peer *p = NULL;
    unsigned count = 0;
    sh_alive_clock(s, now_us);
    int err = sh_addr_endpoint(addr, &e);
    SH_LIST_FOREACH(it, &s->dial_addrs)
    {
        count++;
    }
    if (err == 0 && count >= SH_USER_DIALS_MAX) {
        err = SH_E_LIMIT;
    }
    if (err == 0 && e.has_peer) {
        err = sh_peers_get(s, &e.peer, &p);
    }
    if (err == 0 && p && p == s->self) {
        err = SH_E_BAD_ADDRESS;
    }
    struct sh_dial_addr *d = err == 0 ? sh_swarm_take(s, sizeof *d) : NULL;
    if (!d) {
        return err != 0 ? err : SH_E_LIMIT;
    }
    d->number = call;
    d->keep = keep;
    d->addr = *addr;
    d->endpoint = e;
    sh_list_init(&d->acting);
    sh_list_init(&d->note.at);
    d->note.kind = SH_NOTE_DIAL_ADDR;
    sh_alarm_init(&d->alarm, SH_ALARM_DIAL_ADDR);
    sh_list_push_back(&s->dial_addrs, &d->all);
    if (p) {
        dial_addr_peer(s, d, p);
        sh_peer_learn(s, p, addr);
    }
    /* At once: an alarm for now_us is due in the wheel's next tick, up to 1 ms later. */
    sh_alarm_set(s, &d->alarm, 0);
    return 0;
}

void sh_swarm_resolved(sh_swarm *s, uint64_t request, const sh_addr *addrs, size_t n, int err,
                       uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    SH_LIST_FOREACH_SAFE(it, &s->dial_addrs)
    {
        struct sh_dial_addr *d = SH_CONTAINER(it, struct sh_dial_addr, all);
        if (!d->resolving || d->request != request) {
            continue;
        }
        d->resolving = false;
        for (size_t i = 0; i < n && err == 0 && d->in_flight < SH_DIALS_PER_PEER_MAX; i++) {
            dial_addr_begin(s, d, &addrs[i]);
        }
        if (d->in_flight == 0) {
            dial_addr_failed(s, d, SH_E_UNREACHABLE,
                             "the name does not resolve to an address that can be dialled");
        }
        return;
    }
}

void sh_dial_addr_up(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (c->dial_addr) {
        struct sh_dial_addr *d = c->dial_addr;
        d->in_flight--;
        c->dial_addr = NULL;
        dial_addr_peer(s, d, c->peer);
    }
    SH_LIST_FOREACH(it, &s->dial_addrs)
    {
        struct sh_dial_addr *d = SH_CONTAINER(it, struct sh_dial_addr, all);
        if (d->peer == c->peer) {
            d->backoff_ms = 0;
            dial_addr_result(s, d, 0, "");
        }
    }
}

void sh_dial_addr_over(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    struct sh_dial_addr *d = c->dial_addr;
    c->dial_addr = NULL;
    d->in_flight--;
    if (d->in_flight == 0 && !d->resolving && !(d->peer && d->peer->conn_count > 0)) {
        /* A port that refuses, another peer there: all the same to the caller, who is told the text. */
        dial_addr_failed(s, d,
                         c->gated                 ? SH_E_REFUSED
                         : c->err == SH_E_TIMEOUT ? SH_E_TIMEOUT
                                                  : SH_E_UNREACHABLE,
                         c->why);
    }
}

void sh_dial_addr_down(struct sh_swarm *s, struct sh_peer *p)
{
    SH_LIST_FOREACH(it, &s->dial_addrs)
    {
        struct sh_dial_addr *d = SH_CONTAINER(it, struct sh_dial_addr, all);
        if (d->keep && d->peer == p && d->in_flight == 0 && !s->quiet) {
            d->backoff_ms = DIAL_ADDR_BACKOFF_MS;
            sh_alarm_set(s, &d->alarm, s->now_us + DIAL_ADDR_BACKOFF_MS * UINT64_C(1000));
        }
    }
}

bool sh_dial_addr_note(struct sh_swarm *s, struct sh_dial_addr *d, struct sh_swarm_event *ev)
{
    sh_list_remove(&d->note.at);
    if (!d->tell) {
        return false;
    }
    d->tell = false;
    ev->kind = SH_SWARM_DIALLED;
    ev->query = d->number;
    ev->err = d->err;
    sh_text_copy(s->text, sizeof s->text, d->why);
    ev->text = s->text;
    ev->addr = d->addr;
    if (d->peer) {
        ev->peer = d->peer->ref;
    }
    if (!d->keep) {
        sh_dial_addr_free(s, d);
    }
    return true;
}
