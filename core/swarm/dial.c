/* swarm/dial.c - jobs per peer. Dials of addresses are in dial_addr.c, the rules of death in loss.c. */
#include "swarm/dial.h"

#include "swarm/alive.h"
#include "swarm/conns.h"
#include "swarm/dial_addr.h"
#include "swarm/kad.h"
#include "swarm/loss.h"
#include "swarm/peers.h"
#include "swarm/query.h"
#include "swarm/routing.h"

enum {
    DIAL_STAGGER_NEAR_US = 30000,
    DIAL_STAGGER_FAR_US = 250000,
    DIAL_BUSY_US = 100000,      /* too many dials in all: try again then */
    DIAL_EARLY_US = 5000,       /* until who has just connected may have said what it speaks */
    DIAL_STRANGER_US = 1000000, /* who has not said within this what it speaks is not waited for */
    DIAL_AGAIN_US = 50000,      /* between the jobs while a loss is being judged */
    DIAL_BACKOFF_US = 5000000,
    DIAL_BACKOFF_MAX_US = 300000000,
    DIAL_REDIAL_MS = 100,
};

/* --- one job --- */

/* Smaller is better. */
static unsigned addr_score(const struct sh_peer_addr *a)
{
    sh_addr addr;
    struct sh_endpoint e;
    sh_peer_addr_load(a, &addr);
    if (sh_addr_endpoint(&addr, &e) != 0) {
        return UINT32_MAX;
    }
    unsigned score = a->reached ? 0 : 1000;
    score += (unsigned)(a->fails < 20 ? a->fails : 20) * 20;
    score += e.transport == SH_TRANSPORT_TCP ? 0 : e.transport == SH_TRANSPORT_QUIC ? 2 : 4;
    score += e.host == SH_HOST_IP6 ? 1 : 0;
    return score;
}

static struct sh_peer_addr *job_best(const struct sh_swarm *s, const struct sh_peer *p)
{
    struct sh_peer_addr *best = NULL;
    unsigned best_score = UINT32_MAX;
    for (unsigned i = 0; i < p->addr_count; i++) {
        struct sh_peer_addr *a = p->addrs[i];
        if (a->job == p->job || a->dialling || (!p->eager && s->now_us < a->retry_us)) {
            continue;
        }
        unsigned score = addr_score(a);
        if (score < best_score || (score == best_score && best && a->seen_us > best->seen_us)) {
            best = a;
            best_score = score;
        }
    }
    return best;
}

static bool addr_is_near(const sh_addr *addr)
{
    struct sh_endpoint e;
    if (sh_addr_endpoint(addr, &e) != 0 || e.host != SH_HOST_IP4) {
        return sh_addr_is_loopback(addr);
    }
    return e.ip[0] == 127 || e.ip[0] == 10 || (e.ip[0] == 192 && e.ip[1] == 168) ||
           (e.ip[0] == 172 && e.ip[1] >= 16 && e.ip[1] < 32);
}

static void job_start(struct sh_swarm *s, struct sh_peer *p, bool eager)
{
    p->eager = p->eager || eager;
    if (!p->dialling && p->conn_count == 0 && !s->quiet) {
        p->dialling = true;
        p->eager = eager;
        p->job++;
        p->next_start_us = s->now_us;
        sh_peer_use(p);
        sh_alarm_set(s, &p->alarm,
                     s->now_us); /* from the next tick: nothing fails inside the caller */
    }
}

static void peer_arm(struct sh_swarm *s, struct sh_peer *p)
{
    uint64_t next = UINT64_MAX;
    if (p->dialling && p->in_flight < SH_DIALS_PER_PEER_MAX && job_best(s, p)) {
        next = p->next_start_us;
    }
    if (p->dialling && p->in_flight == 0) {
        next = p->next_start_us;
    }
    next = p->redial_us < next ? p->redial_us : next;
    if (p->loss == SH_LOSS_OPEN && p->conn_count == 0 && sh_loss_deadline(s, p) < next) {
        next = sh_loss_deadline(s, p);
    }
    sh_alarm_set(s, &p->alarm, next);
}

/* The next job for a peer that is held: soon while the loss is judged, then with back-off. */
static void plan_redial(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->holds == 0 || p->conn_count > 0 || p->loss == SH_LOSS_NONE || s->quiet) {
        p->redial_us = UINT64_MAX;
        return;
    }
    if (p->redial_us != UINT64_MAX) {
        return; /* a job in between, for the sake of a request, does not put it off */
    }
    if (p->loss == SH_LOSS_OPEN) {
        p->redial_us = s->now_us + DIAL_AGAIN_US;
        return;
    }
    p->redial_ms = p->redial_ms == 0 ? DIAL_REDIAL_MS : 2 * p->redial_ms;
    p->redial_ms = p->redial_ms < SH_KEEP_BACKOFF_MAX_MS ? p->redial_ms : SH_KEEP_BACKOFF_MAX_MS;
    p->redial_us = s->now_us + p->redial_ms * UINT64_C(1000);
}

static void peer_failed(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->wanted) {
        p->wanted = false;
        p->tell_unreachable = true;
        p->unreachable_why = p->addr_count == 0 ? "no address is known" : "every dial failed";
        sh_note_queue(s, &p->note);
    }
    p->searched = false;
    if (p->routed && p->holds == 0) {
        sh_routing_remove(s, p);
    }
    sh_kad_unreachable(s, p);
}

/* Nobody can be asked yet, but who has just connected will say in a moment whether it serves the DHT. */
static bool search_is_early(const struct sh_swarm *s)
{
    if (s->table.count > 0) {
        return false;
    }
    SH_LIST_FOREACH(it, &s->all_conns)
    {
        const struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        if (c->state == SH_CONNS_UP && !c->peer->identified &&
            s->now_us < c->opened_us + DIAL_STRANGER_US) {
            return true;
        }
    }
    return false;
}

static void job_end(struct sh_swarm *s, struct sh_peer *p)
{
    bool early = p->wanted && !p->searched && s->cfg.dht != SH_DHT_OFF && search_is_early(s);
    if (early && p->conn_count == 0) { /* the job goes on: its alarm comes here again */
        p->next_start_us = s->now_us + DIAL_EARLY_US;
        peer_arm(s, p);
        return;
    }
    p->dialling = false;
    p->eager = false;
    sh_loss_judge(s, p);
    bool search = p->wanted && !p->searched && s->cfg.dht != SH_DHT_OFF;
    if (search && sh_query_peer(s, p) == 0) {
        p->searched = true;
    } else {
        peer_failed(s, p);
    }
    plan_redial(s, p);
    peer_arm(s, p);
    sh_peer_unuse(s, p);
}

static void job_step(struct sh_swarm *s, struct sh_peer *p)
{
    struct sh_peer_addr *a;
    while (p->in_flight < SH_DIALS_PER_PEER_MAX && s->now_us >= p->next_start_us &&
           (a = job_best(s, p)) != NULL) {
        sh_addr addr;
        sh_peer_addr_load(a, &addr);
        if (sh_conns_dial(s, &addr, p, NULL) != 0) {
            p->next_start_us = s->now_us + DIAL_BUSY_US;
            break;
        }
        a->job = p->job;
        a->dialling = true;
        p->in_flight++;
        if (p->loss != SH_LOSS_OPEN) {
            p->next_start_us =
                s->now_us + (addr_is_near(&addr) ? DIAL_STAGGER_NEAR_US : DIAL_STAGGER_FAR_US);
        }
    }
    if (p->in_flight == 0 && !job_best(s, p)) {
        job_end(s, p);
    } else {
        peer_arm(s, p);
    }
}

void sh_dial_peer_alarm(struct sh_swarm *s, struct sh_peer *p)
{
    sh_loss_judge(s, p);
    if (s->now_us >= p->redial_us) {
        p->redial_us = UINT64_MAX;
        if (p->holds > 0) {
            job_start(s, p, true);
        }
    }
    if (p->dialling) {
        job_step(s, p);
    } else {
        if (p->loss == SH_LOSS_TOLD && p->redial_us == UINT64_MAX) {
            plan_redial(s, p);
        }
        peer_arm(s, p);
    }
}

void sh_dial_learnt(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->dialling) {
        peer_arm(s, p);
    }
}

void sh_dial_try(struct sh_swarm *s, struct sh_peer *p)
{
    job_start(s, p, false);
}

void sh_dial_searched(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->conn_count > 0 || p->dialling) {
        return;
    }
    bool fresh = false;
    for (unsigned i = 0; i < p->addr_count; i++) {
        fresh = fresh || p->addrs[i]->job != p->job;
    }
    if (fresh) {
        job_start(s, p, true);
    } else {
        peer_failed(s, p);
    }
}

/* --- what connections tell --- */

void sh_dial_accepted(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    sh_addr addr = sh_conns_addr(c);
    struct sh_peer_addr *a = c->target ? sh_peer_addr_find(c->target, &addr) : NULL;
    if (a) {
        a->outcome = SH_DIAL_ACCEPTED;
        if (c->target->loss == SH_LOSS_OPEN) {
            peer_arm(s, c->target);
        }
    }
}

/* Dials that lost the race. One that is being secured may be up on the other side already: it is ended only if
 * the winner is a dial of ours too, else two nodes dialling each other could end each other's connection. */
static void dial_cancel_others(struct sh_swarm *s, const struct sh_swarm_conn *winner)
{
    SH_LIST_FOREACH_SAFE(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        bool loser =
            c != winner && c->target == winner->peer && c->job &&
            (c->state == SH_CONNS_DIALLING || (c->state == SH_CONNS_SECURING && winner->dialer));
        if (loser) {
            sh_conns_die(s, c, 0, SH_E_CANCELLED, "another address answered first");
        }
    }
}

void sh_dial_up(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    struct sh_peer *p = c->peer;
    if (c->dialer) {
        sh_addr plain = sh_conns_addr(c);
        sh_peer_learn(s, p, &plain);
        sh_addr_strip_peer(&plain);
        struct sh_peer_addr *a = sh_peer_addr_find(p, &plain);
        if (a) {
            a->reached = true;
            a->fails = 0;
            a->retry_us = 0;
            a->dialling = false;
            a->outcome = SH_DIAL_ACCEPTED;
        }
    }
    p->in_flight -= c->job ? 1u : 0u;
    bool job = p->dialling;
    p->dialling = false;
    p->wanted = false;
    p->searched = false;
    p->loss = SH_LOSS_NONE;
    p->redial_us = UINT64_MAX;
    p->redial_ms = 0;
    dial_cancel_others(s, c);
    sh_dial_addr_up(s, c);
    peer_arm(s, p);
    if (job) {
        sh_peer_unuse(s, p);
    }
}

static void failure_push(struct sh_swarm *s, const sh_addr *addr, const char *text)
{
    if (s->failure_count == SH_DIAL_FAILURES_MAX) {
        return;
    }
    struct sh_dial_failure *f =
        &s->failures[(s->failure_first + s->failure_count++) % SH_DIAL_FAILURES_MAX];
    f->addr = *addr;
    sh_text_copy(f->text, sizeof f->text, text);
}

static void addr_failed(struct sh_swarm *s, struct sh_peer_addr *a, int err, bool accepted)
{
    a->dialling = false;
    if (err == SH_E_CANCELLED) {
        return;
    }
    /* Another peer's proof is a refusal. Bytes that make no sense prove nothing: they may be another's, or spoilt on the
     * way; the next dials tell. None of our protocols may be one spoilt bit, but not twice in a row. */
    bool strange = accepted && err == SH_E_UNSUPPORTED;
    bool garbled = strange || err == SH_E_CRYPTO || err == SH_E_PROTO;
    a->outcome = err == SH_E_REFUSED || (strange && a->strange) ? SH_DIAL_REFUSED
                 : accepted && !garbled                         ? SH_DIAL_ACCEPTED
                                                                : SH_DIAL_SILENT;
    a->strange = strange;
    a->fails = (uint8_t)(a->fails < UINT8_MAX ? a->fails + 1 : UINT8_MAX);
    uint64_t wait = DIAL_BACKOFF_US + (uint64_t)a->fails * a->fails * 1000000;
    a->retry_us = s->now_us + (wait < DIAL_BACKOFF_MAX_US ? wait : DIAL_BACKOFF_MAX_US);
}

void sh_dial_over(struct sh_swarm *s, struct sh_swarm_conn *c, bool accepted)
{
    struct sh_peer *p = c->target;
    sh_addr plain = sh_conns_addr(c);
    if (c->err != SH_E_CANCELLED) {
        failure_push(s, &plain, c->why);
    }
    if (p) {
        sh_addr_strip_peer(&plain);
        struct sh_peer_addr *a = sh_peer_addr_find(p, &plain);
        if (a) {
            addr_failed(s, a, c->err, accepted);
        }
        if (c->job) {
            p->in_flight--;
            if (p->dialling) {
                job_step(s, p);
            }
        }
    }
    if (c->dial_addr) {
        sh_dial_addr_over(s, c);
    }
}

void sh_dial_down(struct sh_swarm *s, struct sh_peer *p, bool silent, const char *why)
{
    sh_dial_addr_down(s, p);
    if (p->holds == 0) {
        return;
    }
    p->loss = SH_LOSS_OPEN;
    p->lost_us = s->now_us;
    p->redial_ms = 0;
    for (unsigned i = 0; i < p->addr_count; i++) {
        p->addrs[i]->outcome = SH_DIAL_UNTRIED;
    }
    if (silent) {
        sh_loss_tell(s, p, why);
    }
    job_start(s, p, true);
}

/* --- what the user asks and is told --- */

void sh_swarm_quiet(sh_swarm *s)
{
    s->quiet = true;
}

void sh_swarm_want(sh_swarm *s, struct sh_peer_ref peer, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_peer *p = sh_peers_at(s, peer);
    if (p && p != s->self && p->conn_count == 0) {
        p->wanted = true;
        job_start(s, p, true);
    }
}

void sh_swarm_hold(sh_swarm *s, struct sh_peer_ref peer)
{
    struct sh_peer *p = sh_peers_at(s, peer);
    if (!p) {
        return;
    }
    sh_peer_use(p);
    if (p->holds++ > 0) {
        return;
    }
    SH_LIST_FOREACH(it, &p->conns)
    {
        sh_conns_touch(s, SH_CONTAINER(it, struct sh_swarm_conn,
                                       of_peer)); /* its alarm follows the stricter rule */
    }
    if (p->conn_count == 0 && p->up_told) { /* it went before this: PEER_DOWN is still on its way */
        sh_dial_down(s, p, false, "");
    }
}

void sh_swarm_release(sh_swarm *s, struct sh_peer_ref peer)
{
    struct sh_peer *p = sh_peers_at(s, peer);
    if (!p || p->holds == 0) {
        return;
    }
    if (--p->holds == 0) {
        p->loss = SH_LOSS_NONE;
        p->tell_lost = false;
        p->redial_us = UINT64_MAX;
    }
    sh_peer_unuse(s, p);
}

bool sh_dial_peer_note(struct sh_swarm *s, struct sh_peer *p, struct sh_swarm_event *ev)
{
    ev->peer = p->ref;
    if (p->tell_up) {
        p->tell_up = false;
        p->up_told = true;
        struct sh_swarm_conn *c = sh_peer_conn(p);
        ev->kind = SH_SWARM_PEER_UP;
        if (c) {
            ev->conn = c->id;
            ev->addr = sh_conns_addr(c);
        }
        return true;
    }
    if (p->tell_unreachable) {
        p->tell_unreachable = false;
        ev->kind = SH_SWARM_UNREACHABLE;
        ev->err = SH_E_UNREACHABLE;
        ev->text = p->unreachable_why;
        return true;
    }
    if (p->tell_rest) {
        p->tell_rest = false;
        ev->kind = SH_SWARM_PEER_REST;
        return true;
    }
    if (p->tell_lost) {
        p->tell_lost = false;
        ev->kind = SH_SWARM_PEER_LOST;
        ev->err = SH_E_UNREACHABLE;
        ev->text = p->lost_why;
        return true;
    }
    sh_list_remove(&p->note.at);
    (void)s;
    return false;
}

bool sh_dial_failure(struct sh_swarm *s, struct sh_swarm_event *ev)
{
    if (s->failure_count == 0) {
        return false;
    }
    const struct sh_dial_failure *f = &s->failures[s->failure_first];
    s->failure_first = (s->failure_first + 1) % SH_DIAL_FAILURES_MAX;
    s->failure_count--;
    ev->kind = SH_SWARM_DIAL_FAILED;
    ev->err = SH_E_UNREACHABLE;
    ev->addr = f->addr;
    sh_text_copy(s->text, sizeof s->text, f->text);
    ev->text = s->text;
    return true;
}
