/* commands.c - commands from stdin, their answers, and the events of peers. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/varint.h"
#include "proto/identify.pb-c.h"
#include "swarm/peers.h"

static const char *const names[] = {"dial",       "identify", "ping",   "echo", "reset",
                                    "disconnect", "provide",  "lookup", "quit"};

/* --- answers --- */

void event_print(const char *event, const char *field, const char *text, const sh_peer_id *id)
{
    char peer[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(id, peer);
    line_begin();
    line_put_text("event", event);
    if (field) {
        line_put_text(field, text);
    }
    line_put_text("peer", peer);
    line_end();
}

void op_answer(const struct op *op)
{
    line_begin();
    line_put_number("id", op->id);
    line_put_word("ok", "true");
}

void op_free(struct peer *p, struct op *op)
{
    flows_end(op);
    if (op->command == CMD_LOOKUP) {
        lookup_cancel(p, op);
    }
    sh_list_remove(&op->at);
    bytes_free(&op->card);
    free(op);
}

static void fail(uint64_t id, const char *why)
{
    line_begin();
    line_put_number("id", id);
    line_put_word("ok", "false");
    line_put_text("error", why);
    line_end();
}

void op_fail(struct peer *p, struct op *op, const char *why)
{
    fail(op->id, why);
    op_free(p, op);
}

static void op_done(struct peer *p, struct op *op)
{
    op_answer(op);
    line_end();
    op_free(p, op);
}

void put_addr(const char *name, const sh_addr *addr)
{
    char text[SH_ADDR_TEXT_MAX];
    if (sh_addr_text(addr, text, sizeof text) >= 0) {
        line_put_text(name, text);
    }
}

static struct op *op_find(const struct peer *p, uint64_t id, enum command command)
{
    SH_LIST_FOREACH(it, &p->ops)
    {
        struct op *op = SH_CONTAINER(it, struct op, at);
        if (op->id == id && op->command == command) {
            return op;
        }
    }
    return NULL;
}

/* --- identify --- */

static void card_decode(const struct peer *p, sh_span in, sh_identify *id)
{
    const sh_swarm *s = p->swarm;
    sh_identify_decode(&p->mem.mem, in, s->protocols, s->protocol_count, id);
}

/* Our decoder keeps what a node needs; the names as such, and the version, are read here. */
static void card_names(sh_span in, char *version, size_t cap)
{
    Identify__Identify *m = identify__identify__unpack(NULL, in.n, in.p);
    if (!m) {
        return;
    }
    for (size_t i = 0; i < m->n_protocols; i++) {
        line_put_text(NULL, m->protocols[i]);
    }
    if (m->protocol_version) {
        snprintf(version, cap, "%s", m->protocol_version);
    }
    identify__identify__free_unpacked(m, NULL);
}

static bool card_next(sh_reader *r, sh_span *message)
{
    return sh_read_prefixed(r, message) == 0;
}

static void identify_answer(struct peer *p, struct op *op)
{
    static sh_identify id;
    char version[128] = "";
    sh_span whole = sh_span_of(op->card.b, op->card.n), message;
    sh_reader r = sh_reader_of(whole);
    memset(&id, 0, sizeof id);
    while (card_next(&r, &message)) {
        card_decode(p, message, &id);
    }
    if (id.messages == 0) {
        op_fail(p, op, "identify cannot be read");
        return;
    }
    op_answer(op);
    line_put_text("agent", id.agent);
    line_open("protocols", '[');
    r = sh_reader_of(whole);
    while (card_next(&r, &message)) {
        card_names(message, version, sizeof version);
    }
    line_close(']');
    line_put_text("protocol_version", version);
    line_open("listen_addrs", '[');
    for (unsigned i = 0; i < id.addr_count; i++) {
        put_addr(NULL, &id.addrs[i]);
    }
    line_close(']');
    if (id.has_observed) {
        put_addr("observed", &id.observed);
    } else {
        line_put_text("observed", "");
    }
    line_end();
    op_free(p, op);
}

/* --- under way --- */

static void open_one(struct peer *p, struct op *op, enum flow_kind kind)
{
    int err = op->opened > 0 ? 0 : flow_open(p, op, kind);
    if (err != 0 && err != SH_E_LIMIT && err != SH_E_UNREACHABLE) {
        op_fail(p, op, sh_err_text(err));
    }
}

static void echo_step(struct peer *p, struct op *op)
{
    while (op->opened < op->streams) {
        int err = flow_open(p, op, FLOW_ECHO);
        if (err == SH_E_LIMIT) {
            break; /* some wait for their first answer */
        }
        if (err != 0) {
            op_fail(p, op, sh_err_text(err));
            return;
        }
    }
    if (op->ended == op->streams) {
        if (op->done == op->streams) {
            op_answer(op);
            line_put_number("done", op->done);
            line_end();
            op_free(p, op);
        } else {
            char text[256];
            snprintf(text, sizeof text, "%u of %u streams done; %s", op->done, op->streams,
                     op->why);
            op_fail(p, op, text);
        }
    }
}

static void op_step(struct peer *p, struct op *op)
{
    const struct sh_peer *to = sh_peers_at(p->swarm, op->peer);
    switch (op->command) {
    case CMD_IDENTIFY:
        if (op->told && to && to->identified) {
            identify_answer(p, op);
        } else {
            open_one(p, op, FLOW_IDENTIFY);
        }
        break;
    case CMD_PING:
        if (op->told) {
            op_answer(op);
            line_put_number("rtt_us", op->rtt_us);
            line_end();
            op_free(p, op);
        } else {
            open_one(p, op, FLOW_PING);
        }
        break;
    case CMD_RESET:
        if (op->told) {
            op_done(p, op);
        } else {
            open_one(p, op, FLOW_RESET);
        }
        break;
    case CMD_ECHO: echo_step(p, op); break;
    case CMD_DISCONNECT:
        if (!to || (to->conn_count == 0 && !to->up_told)) {
            op_done(p, op);
        } else if (to->conn_count > 0) { /* one more came up in between */
            sh_swarm_disconnect(p->swarm, op->peer, 0);
        }
        break;
    case CMD_LOOKUP: lookup_step(p, op); break;
    case CMD_DIAL:
    case CMD_PROVIDE:
    case CMD_QUIT:
    case CMD_UNKNOWN: break;
    }
}

void commands_step(struct peer *p)
{
    SH_LIST_FOREACH_SAFE(it, &p->ops)
    {
        struct op *op = SH_CONTAINER(it, struct op, at);
        if (p->now_us >= op->end_us) {
            op_fail(p, op, "no result in time");
        } else {
            op_step(p, op);
        }
    }
}

uint64_t commands_deadline(const struct peer *p)
{
    sh_list *it = sh_list_front(&p->ops); /* the oldest ends first */
    return it ? SH_CONTAINER(it, struct op, at)->end_us : UINT64_MAX;
}

void commands_free(struct peer *p)
{
    SH_LIST_FOREACH_SAFE(it, &p->ops)
    {
        op_free(p, SH_CONTAINER(it, struct op, at));
    }
}

/* --- events of the swarm that are no stream's --- */

static void dialled(struct peer *p, struct op *op, const struct sh_swarm_event *ev)
{
    const sh_peer_id *id = sh_swarm_peer_id(p->swarm, ev->peer);
    char text[SH_PEER_ID_TEXT_MAX];
    if (ev->err != 0 || !id) {
        op_fail(p, op, ev->text);
        return;
    }
    sh_peer_id_text(id, text);
    op_answer(op);
    line_put_text("peer", text);
    line_end();
    op_free(p, op);
}

void command_event(struct peer *p, const struct sh_swarm_event *ev)
{
    struct op *op;
    switch ((int)ev->kind) {
    case SH_SWARM_PEER_UP:
    case SH_SWARM_PEER_DOWN:
        event_print(ev->kind == SH_SWARM_PEER_UP ? "connected" : "disconnected", NULL, NULL,
                    sh_swarm_peer_id(p->swarm, ev->peer));
        break;
    case SH_SWARM_DIALLED:
        if ((op = op_find(p, ev->query, CMD_DIAL)) != NULL) {
            dialled(p, op, ev);
        }
        break;
    case SH_SWARM_PUBLISHED:
        if ((op = op_find(p, ev->query, CMD_PROVIDE)) != NULL) {
            provided(p, op);
        }
        break;
    case SH_SWARM_FOUND:
    case SH_SWARM_VALUE:
    case SH_SWARM_QUERY_DONE:
        if ((op = op_find(p, lookup_op(ev->query), CMD_LOOKUP)) != NULL) {
            lookup_event(p, op, ev);
        }
        break;
    default: break;
    }
}

/* --- commands --- */

static enum command command_of(sh_span name)
{
    unsigned i = 0;
    while (i < CMD_UNKNOWN && !sh_span_eq(name, sh_span_str(names[i]))) {
        i++;
    }
    return (enum command)i;
}

static struct op *op_new(struct peer *p, const struct line *l, enum command command)
{
    sh_span name = line_text(l, "name");
    struct op *op = calloc(1, sizeof *op + name.n + 1);
    if (!op) {
        return NULL;
    }
    op->id = line_number(l, "id");
    op->command = command;
    op->end_us = p->now_us + PEER_COMMAND_US;
    op->streams = (unsigned)line_number(l, "streams");
    op->bytes = line_number(l, "bytes");
    if (name.n > 0) {
        memcpy(op + 1, name.p, name.n);
    }
    op->name = sh_span_of(op + 1, name.n);
    sh_list_init(&op->flows);
    sh_list_push_back(&p->ops, &op->at);
    return op;
}

static int command_dial(struct peer *p, const struct op *op, sh_span address)
{
    sh_addr addr;
    int err = sh_addr_parse(&addr, (const char *)address.p, address.n);
    return err == 0 ? sh_swarm_dial(p->swarm, &addr, false, op->id, p->now_us) : err;
}

static int command_peer(struct peer *p, struct op *op, sh_span text)
{
    sh_peer_id id;
    int err = sh_peer_id_parse(&id, text);
    return err == 0 ? sh_swarm_peer(p->swarm, &id, &op->peer) : err;
}

/* op_step goes on with what is not begun here. */
static int command_begin(struct peer *p, struct op *op, const struct line *l)
{
    if (op->command == CMD_DIAL) {
        return command_dial(p, op, line_text(l, "address"));
    }
    if (op->command == CMD_LOOKUP) {
        return lookup_begin(p, op);
    }
    int err = command_peer(p, op, line_text(l, "peer"));
    if (err == 0 && op->command == CMD_DISCONNECT) {
        sh_swarm_disconnect(p->swarm, op->peer, 0);
    }
    bool empty = op->command == CMD_ECHO && (op->streams == 0 || op->bytes == 0);
    return empty ? SH_E_USAGE : err;
}

void command_line(struct peer *p, char *text)
{
    struct line l;
    bool is_line = line_read(&l, text);
    uint64_t id = is_line ? line_number(&l, "id") : 0;
    enum command command = is_line ? command_of(line_text(&l, "cmd")) : CMD_UNKNOWN;
    struct op *op = command == CMD_UNKNOWN ? NULL : op_new(p, &l, command);
    if (!op) {
        fail(id, is_line ? "no such command" : "not a flat JSON object");
    } else if (command == CMD_QUIT) {
        p->quit = true;
        op_done(p, op);
    } else if (command == CMD_PROVIDE) {
        provide(p, op, &l);
    } else {
        int err = command_begin(p, op, &l);
        if (err != 0) {
            op_fail(p, op, sh_err_text(err));
        }
    }
}
