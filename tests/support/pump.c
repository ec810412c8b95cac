/* tests/support/pump.c - carries bytes between two connections, in pieces, until both are quiet. */
#include "pump.h"

#include <string.h>

void pump_events(struct pump *p, unsigned side)
{
    sh_conn *c = p->side[side];
    struct sh_conn_ev ev;
    while (c->ops->event(c, &ev, p->now_us)) {
        if (p->event) {
            p->event(p->ud, side, &ev);
        } else if (ev.kind == SH_CONN_DATA) {
            c->ops->credit(c, ev.stream, ev.data.n);
        }
    }
    c->ops->flush(c);
}

static size_t pump_piece(struct pump *p, size_t n)
{
    switch (p->split) {
    case PUMP_WHOLE: return n;
    case PUMP_BYTES: return 1;
    case PUMP_RANDOM:
        return 1 + (size_t)sh_rng_below(p->rng, sh_rng_below(p->rng, 4) == 0 ? n : n < 40 ? n : 40);
    }
    return n;
}

/* Bytes the side took. */
static size_t pump_give(struct pump *p, unsigned side, sh_span bytes)
{
    sh_conn *c = p->side[side];
    size_t room;
    uint8_t *at = c->ops->room(c, &room);
    if (!at || room == 0) {
        return 0;
    }
    size_t n = pump_piece(p, bytes.n);
    n = n < room ? n : room;
    memcpy(at, bytes.p, n);
    c->ops->filled(c, n, p->now_us);
    return n;
}

void pump_feed(struct pump *p, unsigned side, sh_span bytes)
{
    while (bytes.n > 0) {
        size_t n = pump_give(p, side, bytes);
        pump_events(p, side);
        if (n == 0) {
            return;
        }
        bytes = sh_span_skip(bytes, n);
    }
}

void pump_run(struct pump *p)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned from = 0; from < 2; from++) {
            unsigned to = 1 - from;
            pump_events(p, from);
            sh_span out = p->side[from]->ops->out(p->side[from]);
            if (out.n == 0 || p->deaf[to]) {
                continue;
            }
            size_t n = pump_give(p, to, out);
            p->side[from]->ops->sent(p->side[from], n);
            pump_events(p, to);
            moved = moved || n > 0;
            p->moved += n;
        }
        p->now_us += moved ? p->delay_us : 0;
    }
}
