/* swarm/dial_addr.c - dials of addresses. */
#include "swarm/dial_addr.h"

#include "swarm/alive.h"
#include "swarm/links.h"
#include "swarm/peers.h"

enum { CALL_BACKOFF_MS = 100 };

void sh_call_free(struct sh_swarm *s, struct sh_call *c)
{
    SH_LIST_FOREACH(it, &s->all_links)
    {
        struct sh_link *l = SH_CONTAINER(it, struct sh_link, all);
        l->call = l->call == c ? NULL : l->call;
    }
    sh_wheel_cancel(&s->wheel, &c->alarm.t);
    sh_list_remove(&c->all);
    sh_list_remove(&c->note.at);
    sh_list_remove(&c->acting);
    if (c->peer) {
        sh_peer_unuse(s, c->peer);
    }
    sh_swarm_give(s, c, sizeof *c);
}

static void call_peer(struct sh_swarm *s, struct sh_call *c, struct sh_peer *p)
{
    if (c->peer != p) {
        sh_peer_use(p);
        if (c->peer) {
            sh_peer_unuse(s, c->peer);
        }
        c->peer = p;
    }
}

/* DIALLED goes out once; a failing keep-dial is told by DIAL_FAILED from then on. */
static void call_result(struct sh_swarm *s, struct sh_call *c, int err, const char *why)
{
    if (!c->told) {
        c->told = true;
        c->tell = true;
        c->err = err;
        sh_text_copy(c->why, sizeof c->why, why);
        sh_note_queue(s, &c->note);
    }
}

static void call_failed(struct sh_swarm *s, struct sh_call *c, int err, const char *why)
{
    call_result(s, c, err, why);
    if (c->keep && !s->quiet) {
        c->backoff_ms = c->backoff_ms == 0 ? CALL_BACKOFF_MS : 2 * c->backoff_ms;
        c->backoff_ms =
            c->backoff_ms < SH_KEEP_BACKOFF_MAX_MS ? c->backoff_ms : SH_KEEP_BACKOFF_MAX_MS;
        sh_alarm_set(s, &c->alarm, s->now_us + c->backoff_ms * UINT64_C(1000));
    }
}

static int call_link(struct sh_swarm *s, struct sh_call *c, const sh_addr *addr)
{
    struct sh_endpoint e;
    struct sh_peer *target = c->endpoint.has_peer ? c->peer : NULL;
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
        err = sh_link_dial(s, &plain, target, c);
    }
    c->in_flight += err == 0 ? 1u : 0u;
    return err;
}

void sh_call_alarm(struct sh_swarm *s, struct sh_call *c)
{
    if (c->peer && c->peer->link_count > 0) {
        c->backoff_ms = 0;
        call_result(s, c, 0, "");
        return;
    }
    if (c->in_flight > 0 || c->resolving) {
        return;
    }
    if (c->endpoint.host > SH_HOST_IP6) {
        c->request = ++s->request_serial;
        c->resolving = true;
        c->resolve_act = true;
        sh_list_push_back(&s->call_acting, &c->acting);
        return;
    }
    int err = call_link(s, c, &c->addr);
    if (err != 0) {
        call_failed(s, c, err, sh_err_text(err));
    }
}

int sh_swarm_dial(sh_swarm *s, const sh_addr *addr, bool keep, uint64_t call, uint64_t now_us)
{
    struct sh_endpoint e;
    struct sh_peer *p = NULL;
    unsigned count = 0;
    sh_alive_clock(s, now_us);
    int err = sh_addr_endpoint(addr, &e);
    SH_LIST_FOREACH(it, &s->calls)
    {
        count++;
    }
    if (err == 0 && count >= SH_CALLS_MAX) {
        err = SH_E_LIMIT;
    }
    if (err == 0 && e.has_peer) {
        err = sh_peers_get(s, &e.peer, &p);
    }
    if (err == 0 && p && p == s->self) {
        err = SH_E_BAD_ADDRESS;
    }
    struct sh_call *c = err == 0 ? sh_swarm_take(s, sizeof *c) : NULL;
    if (!c) {
        return err != 0 ? err : SH_E_LIMIT;
    }
    c->number = call;
    c->keep = keep;
    c->addr = *addr;
    c->endpoint = e;
    sh_list_init(&c->acting);
    sh_list_init(&c->note.at);
    c->note.kind = SH_NOTE_CALL;
    sh_alarm_init(&c->alarm, SH_ALARM_CALL);
    sh_list_push_back(&s->calls, &c->all);
    if (p) {
        call_peer(s, c, p);
        sh_peer_learn(s, p, addr);
    }
    /* At once: an alarm for now_us is due in the wheel's next tick, up to 1 ms later. */
    sh_alarm_set(s, &c->alarm, 0);
    return 0;
}

void sh_swarm_resolved(sh_swarm *s, uint64_t request, const sh_addr *addrs, size_t n, int err,
                       uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    SH_LIST_FOREACH_SAFE(it, &s->calls)
    {
        struct sh_call *c = SH_CONTAINER(it, struct sh_call, all);
        if (!c->resolving || c->request != request) {
            continue;
        }
        c->resolving = false;
        for (size_t i = 0; i < n && err == 0 && c->in_flight < SH_DIALS_PER_PEER_MAX; i++) {
            call_link(s, c, &addrs[i]);
        }
        if (c->in_flight == 0) {
            call_failed(s, c, SH_E_UNREACHABLE,
                        "the name does not resolve to an address that can be dialled");
        }
        return;
    }
}

void sh_call_up(struct sh_swarm *s, struct sh_link *l)
{
    if (l->call) {
        struct sh_call *c = l->call;
        c->in_flight--;
        l->call = NULL;
        call_peer(s, c, l->peer);
    }
    SH_LIST_FOREACH(it, &s->calls)
    {
        struct sh_call *c = SH_CONTAINER(it, struct sh_call, all);
        if (c->peer == l->peer) {
            c->backoff_ms = 0;
            call_result(s, c, 0, "");
        }
    }
}

void sh_call_over(struct sh_swarm *s, struct sh_link *l)
{
    struct sh_call *c = l->call;
    l->call = NULL;
    c->in_flight--;
    if (c->in_flight == 0 && !c->resolving && !(c->peer && c->peer->link_count > 0)) {
        /* A port that refuses, another peer there: all the same to the caller, who is told the text. */
        call_failed(s, c,
                    l->gated                 ? SH_E_REFUSED
                    : l->err == SH_E_TIMEOUT ? SH_E_TIMEOUT
                                             : SH_E_UNREACHABLE,
                    l->why);
    }
}

void sh_call_down(struct sh_swarm *s, struct sh_peer *p)
{
    SH_LIST_FOREACH(it, &s->calls)
    {
        struct sh_call *c = SH_CONTAINER(it, struct sh_call, all);
        if (c->keep && c->peer == p && c->in_flight == 0 && !s->quiet) {
            c->backoff_ms = CALL_BACKOFF_MS;
            sh_alarm_set(s, &c->alarm, s->now_us + CALL_BACKOFF_MS * UINT64_C(1000));
        }
    }
}

bool sh_call_note(struct sh_swarm *s, struct sh_call *c, struct sh_swarm_event *ev)
{
    sh_list_remove(&c->note.at);
    if (!c->tell) {
        return false;
    }
    c->tell = false;
    ev->kind = SH_SWARM_DIALLED;
    ev->query = c->number;
    ev->err = c->err;
    sh_text_copy(s->text, sizeof s->text, c->why);
    ev->text = s->text;
    ev->addr = c->addr;
    if (c->peer) {
        ev->peer = c->peer->ref;
    }
    if (!c->keep) {
        sh_call_free(s, c);
    }
    return true;
}
