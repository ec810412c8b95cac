/* names.c - names as Kameo keeps them: a provider record, and a value record with the registration. */
#include "peer.h"

#include "swarm/peers.h"
#include "swarm/publish.h"

enum { FIND_NUMBER = 255, REGISTRATION_MAX = 512 };

/* "<name>:meta:<peer id>" */
static sh_span value_key(sh_span name, const sh_peer_id *id, uint8_t *buf, size_t cap)
{
    char text[SH_PEER_ID_TEXT_MAX];
    int n = sh_peer_id_text(id, text);
    sh_writer w = sh_writer_of(buf, cap);
    sh_put_bytes(&w, name);
    sh_put_bytes(&w, sh_span_str(":meta:"));
    sh_put_bytes(&w, sh_span_of(text, (size_t)n));
    return w.overflow ? sh_span_none() : sh_put_span(&w);
}

void provide(struct peer *p, struct op *op, const struct line *l)
{
    const sh_peer_id *self = &p->swarm->self_id;
    uint8_t key[SH_KAD_KEY_MAX], value[REGISTRATION_MAX];
    sh_writer w = sh_writer_of(value, sizeof value);
    sh_put_u8(&w, self->n);
    sh_put_u64le(&w, line_number(l, "seq"));
    sh_put_bytes(&w, sh_peer_id_span(self));
    sh_put_bytes(&w, line_text(l, "type"));
    int err = w.overflow ? SH_E_BAD_VALUE : 0;
    if (err == 0) {
        err = sh_swarm_publish(p->swarm, op->name, value_key(op->name, self, key, sizeof key),
                               sh_put_span(&w), op->id, p->now_us);
    }
    if (err != 0) {
        op_fail(p, op, sh_err_text(err));
    }
}

void provided(struct peer *p, struct op *op)
{
    const struct sh_pub *pub = sh_pub_by_key(p->swarm, op->name);
    op_answer(op);
    line_put_number("acks",
                    pub && pub->echoed ? 1 : 0); /* told at the first; alone there is none */
    line_end();
    op_free(p, op);
}

static void lookup_found(struct peer *p, struct op *op, struct sh_peer_ref peer)
{
    uint8_t key[SH_KAD_KEY_MAX];
    const sh_peer_id *id = sh_swarm_peer_id(p->swarm, peer);
    if (!id || op->found_count == PEER_FOUND_MAX) {
        return;
    }
    struct holder *h = &op->found[op->found_count++];
    h->peer = peer;
    h->id = *id;
    uint64_t number = op->id << 8 | (op->found_count - 1);
    h->answered = sh_swarm_get(p->swarm, peer, value_key(op->name, id, key, sizeof key), number,
                               p->now_us) != 0;
}

static void lookup_value(struct op *op, unsigned i, sh_span value)
{
    struct holder *h = &op->found[i];
    h->answered = true;
    h->has_meta = value.n > 0 && value.n <= sizeof h->meta;
    if (h->has_meta) {
        memcpy(h->meta, value.p, value.n);
        h->meta_n = value.n;
    }
}

static void put_holder(struct peer *p, const struct holder *h)
{
    char text[SH_PEER_ID_TEXT_MAX];
    const struct sh_peer *entry = sh_peers_find(p->swarm, &h->id);
    sh_peer_id_text(&h->id, text);
    line_open(NULL, '{');
    line_put_text("peer", text);
    line_open("addrs", '[');
    for (unsigned i = 0; entry && i < entry->addr_count; i++) {
        sh_addr addr;
        sh_peer_addr_load(entry->addrs[i], &addr);
        put_addr(NULL, &addr);
    }
    line_close(']');
    if (h->has_meta) {
        line_put_hex("meta_hex", sh_span_of(h->meta, h->meta_n));
    } else {
        line_put_word("meta_hex", "null");
    }
    line_close('}');
}

void lookup_step(struct peer *p, struct op *op)
{
    bool ready = op->searched;
    for (unsigned i = 0; i < op->found_count; i++) {
        ready = ready && op->found[i].answered;
    }
    if (!ready) {
        return;
    }
    op_answer(op);
    line_open("providers", '[');
    for (unsigned i = 0; i < op->found_count; i++) {
        put_holder(p, &op->found[i]);
    }
    line_close(']');
    line_end();
    op_free(p, op);
}

/* A look-up's queries: op->id << 8, and the holder's place or FIND_NUMBER. */

int lookup_begin(struct peer *p, struct op *op)
{
    return sh_swarm_find(p->swarm, op->name, op->id << 8 | FIND_NUMBER, p->now_us);
}

uint64_t lookup_op(uint64_t query)
{
    return query >> 8;
}

void lookup_cancel(struct peer *p, const struct op *op)
{
    for (uint64_t i = 0; i < op->found_count; i++) {
        sh_swarm_query_cancel(p->swarm, op->id << 8 | i);
    }
    sh_swarm_query_cancel(p->swarm, op->id << 8 | FIND_NUMBER);
}

void lookup_event(struct peer *p, struct op *op, const struct sh_swarm_event *ev)
{
    if (ev->kind == SH_SWARM_FOUND) {
        lookup_found(p, op, ev->peer);
    } else if (ev->kind == SH_SWARM_VALUE) {
        lookup_value(op, (unsigned)(ev->query & 255), ev->data);
    } else {
        op->searched = true;
    }
}
