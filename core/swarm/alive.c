/* swarm/alive.c - silence and pings. */
#include "swarm/alive.h"

#include "swarm/conns.h"
#include "swarm/kad.h"

enum { ALIVE_AGAIN_US = 1000, ALIVE_MEASURE_US = 1000000 };

static uint64_t alive_limit(const struct sh_swarm *s, const struct sh_swarm_conn *c)
{
    return c->peer->holds > 0 ? s->cfg.peer_timeout_us : 3 * s->cfg.peer_timeout_us;
}

void sh_alive_pong(struct sh_swarm *s, struct sh_swarm_conn *c, uint64_t rtt_us)
{
    struct sh_peer *p = c->peer;
    bool usual = p->rtt_us != 0 && rtt_us <= 2 * p->rtt_us;
    bool lower = p->rtt_us == 0 || rtt_us < p->rtt_us;
    p->rtt_us = lower ? rtt_us : (7 * p->rtt_us + rtt_us) / 8;
    bool matters = 4 * p->rtt_us > s->cfg.closed_grace_us;
    c->measure_us = matters && !usual ? s->now_us + ALIVE_MEASURE_US : 0;
}

/* When to measure, or UINT64_MAX. */
static uint64_t alive_measure(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    if (c->measure_us != 0 && s->now_us >= c->measure_us) {
        c->measure_us = 0;
        c->machine->ops->ping(c->machine, s->now_us);
        sh_conns_touch(s, c);
    }
    return c->measure_us != 0 ? c->measure_us : UINT64_MAX;
}

static uint64_t alive_ping(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint64_t limit = alive_limit(s, c);
    /* Often enough that a peer which stands still for nearly the whole limit has it nearly whole. */
    uint64_t every = c->peer->holds > 0 ? limit / 10 : limit / 4;
    uint64_t heard = c->heard_us > s->doubt_us ? c->heard_us : s->doubt_us;
    uint64_t quiet = s->now_us > heard ? s->now_us - heard : 0;
    if (quiet >= limit) {
        c->known_dead = true;
        sh_conns_die(s, c, 0, SH_E_TIMEOUT, "the peer was silent for too long");
        return UINT64_MAX;
    }
    if (quiet < every) {
        return heard + every;
    }
    /* A ping that got lost with a network's hiccup must not cost the peer its life: ask again. */
    uint64_t asked = c->pinged_us > heard ? c->pinged_us : heard;
    if (s->now_us >= asked + every || c->pinged_us < heard) {
        c->pinged_us = s->now_us;
        c->machine->ops->ping(c->machine, s->now_us);
        sh_conns_touch(s, c);
        asked = s->now_us;
    }
    return asked + every < heard + limit ? asked + every : heard + limit;
}

/* An idle connection holds the least it can; when it is due to, or UINT64_MAX. */
static uint64_t alive_rest(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint64_t rest_us = c->heard_us + SH_CONN_REST_MS * UINT64_C(1000);
    if (s->now_us < rest_us) {
        c->resting = false;
        return rest_us;
    }
    if (!c->resting) {
        if (sh_kad_rest(s, c)) {
            return s->now_us + ALIVE_AGAIN_US; /* the end of the stream is still to be sealed */
        }
        if (c->machine->ops->rest) {
            c->machine->ops->rest(c->machine);
        }
        sh_block_pool_trim(s->cfg.pool, SH_BLOCKS_RESTING);
        c->peer->tell_rest = true;
        sh_note_queue(s, &c->peer->note);
    }
    c->resting = true;
    return UINT64_MAX;
}

uint64_t sh_alive_check(struct sh_swarm *s, struct sh_swarm_conn *c)
{
    uint64_t ping_us = alive_ping(s, c);
    uint64_t measure_us = c->state == SH_CONNS_UP ? alive_measure(s, c) : UINT64_MAX;
    ping_us = measure_us < ping_us ? measure_us : ping_us;
    uint64_t rest_us = c->state == SH_CONNS_UP ? alive_rest(s, c) : UINT64_MAX;
    return rest_us < ping_us ? rest_us : ping_us;
}

void sh_alive_clock(struct sh_swarm *s, uint64_t now_us)
{
    if (now_us <= s->now_us) {
        return;
    }
    /* The driver was to call at the deadline; if it comes much later, the process or the machine stood still. */
    uint64_t due = sh_wheel_next_us(&s->wheel);
    due = due > s->now_us ? due : s->now_us;
    if (due != UINT64_MAX && now_us > due + SH_PAUSE_MS * UINT64_C(1000)) {
        s->doubt_us = now_us;
    }
    s->now_us = now_us;
}
