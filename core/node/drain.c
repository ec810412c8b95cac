/* node/drain.c - graceful stop as a table of steps. */
#include "node/drain.h"

bool sh_drain_begin(struct sh_drain *d, uint64_t deadline_us)
{
    if (d->step != SH_DRAIN_NONE) {
        d->deadline_us = deadline_us < d->deadline_us ? deadline_us : d->deadline_us;
        return false;
    }
    d->step = SH_DRAIN_ACTORS;
    d->deadline_us = deadline_us;
    return true;
}

/* Has the step what it waits for? */
static bool drain_over(enum sh_drain_step step, const struct sh_drain_facts *f)
{
    switch (step) {
    case SH_DRAIN_NONE: return false;
    case SH_DRAIN_ACTORS: return f->actors == 0;
    case SH_DRAIN_GOODBYE: return !f->sessions;
    case SH_DRAIN_CONNS: return f->conns == 0;
    case SH_DRAIN_STOPPED: return false;
    }
    return false;
}

enum sh_drain_step sh_drain_next(struct sh_drain *d, const struct sh_drain_facts *f,
                                 uint64_t now_us)
{
    if (d->step == SH_DRAIN_NONE || d->step == SH_DRAIN_STOPPED) {
        return d->step;
    }
    if (drain_over(d->step, f)) {
        d->step = (enum sh_drain_step)(d->step + 1);
    } else if (now_us >= d->deadline_us) {
        d->late = true;
        d->step = SH_DRAIN_STOPPED;
    }
    return d->step;
}

uint64_t sh_drain_deadline(const struct sh_drain *d)
{
    return d->step == SH_DRAIN_NONE || d->step == SH_DRAIN_STOPPED ? UINT64_MAX : d->deadline_us;
}
