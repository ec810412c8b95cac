/* swarm/events.c - what the user is told: notes first, then what connections say, taken to whose it is. No rules of its own. */
#include "swarm/alive.h"
#include "swarm/conns.h"
#include "swarm/dial.h"
#include "swarm/dial_addr.h"
#include "swarm/publish.h"
#include "swarm/query.h"
#include "swarm/streams.h"

static bool conn_note(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_swarm_event *ev)
{
    if (sh_streams_conn_note(s, c, ev)) {
        return true;
    }
    struct sh_peer *p = c->peer;
    sh_list_remove(&c->note.at);
    bool down = p->conn_count == 0 && p->up_told;
    if (down) {
        p->up_told = false;
        ev->kind = SH_SWARM_PEER_DOWN;
        ev->peer = p->ref;
        ev->conn = c->id;
        ev->err = c->err;
        ev->code = c->code;
        sh_text_copy(s->text, sizeof s->text, c->why);
        ev->text = s->text;
    }
    sh_conns_finish(s, c);
    return down;
}

static bool note_tell(struct sh_swarm *s, struct sh_note *n, struct sh_swarm_event *ev)
{
    switch (n->kind) {
    case SH_NOTE_PEER: return sh_dial_peer_note(s, SH_CONTAINER(n, struct sh_peer, note), ev);
    case SH_NOTE_CONN: return conn_note(s, SH_CONTAINER(n, struct sh_swarm_conn, note), ev);
    case SH_NOTE_STREAM: return sh_streams_note(s, SH_CONTAINER(n, sh_stream, note), ev);
    case SH_NOTE_DIAL_ADDR:
        return sh_dial_addr_note(s, SH_CONTAINER(n, struct sh_dial_addr, note), ev);
    case SH_NOTE_QUERY: return sh_query_note(s, SH_CONTAINER(n, struct sh_query, note), ev);
    case SH_NOTE_PUB: return sh_pub_note(s, SH_CONTAINER(n, struct sh_pub, note), ev);
    }
    return false;
}

static void conn_closed(struct sh_swarm *s, struct sh_swarm_conn *c, const struct sh_conn_ev *said)
{
    const char *why = said->why && said->why[0] ? said->why : "the peer closed the connection";
    int err = said->err;
    if (c->pipe_gone && c->err != 0) { /* the pipe broke: the driver knows better */
        err = c->err;
        why = c->why;
    }
    if (err == 0 && c->state == SH_CONNS_SECURING) {
        err = SH_E_UNREACHABLE;
    }
    c->machine_over = true;
    c->code = said->code;
    sh_conns_die(s, c, 0, err, why);
}

/* One event of the connection; true: it is one for the user. */
static bool conn_pull(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_swarm_event *ev)
{
    struct sh_conn_ev said;
    if (!c->machine->ops->event(c->machine, &said, s->now_us)) {
        sh_list_remove(&c->ready);
        if (c->starved && c->thirst_us <= s->now_us) {
            c->starved = false;
            sh_conns_act(s, c, SH_ACT_READ);
        }
        return false;
    }
    sh_conns_touch(s, c);
    if (said.kind == SH_CONN_CLOSED) {
        conn_closed(s, c, &said);
        return false;
    }
    if (said.kind == SH_CONN_UP) {
        sh_conns_up(s, c, &said.peer);
        return false;
    }
    if (said.kind == SH_CONN_PONG) {
        sh_alive_pong(s, c, said.rtt_us);
        return false;
    }
    if (said.kind == SH_CONN_STREAM) {
        sh_streams_accept(s, c, said.stream);
        return false;
    }
    sh_stream *st = said.user;
    if (!st) {
        if (said.kind == SH_CONN_DATA) {
            c->machine->ops->credit(c->machine, said.stream,
                                    said.data.n); /* nobody reads it any more */
        }
        return false;
    }
    switch (said.kind) {
    case SH_CONN_DATA: return sh_streams_data(s, st, said.data, ev);
    case SH_CONN_FIN: return sh_streams_fin(s, st, ev);
    case SH_CONN_RESET: return sh_streams_reset(s, st, said.code, ev);
    case SH_CONN_WRITABLE: return sh_streams_writable(s, st, ev);
    case SH_CONN_UP:
    case SH_CONN_STREAM:
    case SH_CONN_PONG:
    case SH_CONN_CLOSED: break;
    }
    return false;
}

static void event_clear(struct sh_swarm_event *ev)
{
    ev->peer = (struct sh_peer_ref){0, 0};
    ev->conn = 0;
    ev->stream = NULL;
    ev->proto = 0;
    ev->query = 0;
    ev->data = sh_span_none();
    ev->code = 0;
    ev->err = 0;
    ev->text = "";
    ev->addr.n = 0;
}

bool sh_swarm_event(sh_swarm *s, struct sh_swarm_event *ev, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    if (s->ended) {
        sh_stream_free(s, s->ended); /* its END was handled */
    }
    event_clear(ev);
    for (;;) {
        if (s->carry) {
            return sh_streams_carried(s, ev);
        }
        sh_list *it = sh_list_front(&s->notes);
        if (it) {
            if (note_tell(s, SH_CONTAINER(it, struct sh_note, at), ev)) {
                return true;
            }
            continue;
        }
        if (sh_dial_failure(s, ev)) {
            return true;
        }
        it = sh_list_front(&s->ready);
        if (!it) {
            return false;
        }
        if (conn_pull(s, SH_CONTAINER(it, struct sh_swarm_conn, ready), ev)) {
            return true;
        }
    }
}
