/* swarm/loss.c - when a held peer without a connection is dead. */
#include "swarm/loss.h"

static uint64_t loss_base(const struct sh_swarm *s, const struct sh_peer *p)
{
    return p->lost_us > s->doubt_us ? p->lost_us : s->doubt_us;
}

static uint64_t loss_grace(const struct sh_swarm *s, const struct sh_peer *p)
{
    uint64_t rtts = 4 * p->rtt_us < s->cfg.peer_timeout_us ? 4 * p->rtt_us : s->cfg.peer_timeout_us;
    return rtts > s->cfg.closed_grace_us ? rtts : s->cfg.closed_grace_us;
}

static bool loss_accepted(const struct sh_peer *p)
{
    for (unsigned i = 0; i < p->addr_count; i++) {
        if (p->addrs[i]->outcome == SH_DIAL_ACCEPTED) {
            return true;
        }
    }
    return false;
}

static bool loss_refused(const struct sh_peer *p)
{
    unsigned reached = 0;
    for (unsigned i = 0; i < p->addr_count; i++) {
        const struct sh_peer_addr *a = p->addrs[i];
        reached += a->reached ? 1u : 0u;
        if (a->reached && (a->outcome != SH_DIAL_REFUSED || a->dialling)) {
            return false;
        }
    }
    return reached > 0;
}

uint64_t sh_loss_deadline(const struct sh_swarm *s, const struct sh_peer *p)
{
    return loss_base(s, p) + (loss_accepted(p) ? s->cfg.peer_timeout_us : loss_grace(s, p));
}

void sh_loss_tell(struct sh_swarm *s, struct sh_peer *p, const char *why)
{
    p->loss = SH_LOSS_TOLD;
    p->tell_lost = true;
    p->lost_why = why;
    sh_note_queue(s, &p->note);
}

void sh_loss_judge(struct sh_swarm *s, struct sh_peer *p)
{
    if (p->loss != SH_LOSS_OPEN || p->conn_count > 0) {
        return;
    }
    if (loss_refused(p)) {
        sh_loss_tell(s, p, "all addresses it was reached at refuse");
    } else if (s->now_us >= sh_loss_deadline(s, p)) {
        sh_loss_tell(s, p, "it did not return");
    }
}
