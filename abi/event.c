/* abi/event.c - what the node tells its user unasked: an event name and a map. */
#include "internal.h"

enum field {
    F_PEER = 1,
    F_PEER_ID = 2,
    F_ADDRESS = 4,
    F_REF = 8,
    F_TO = 16,
    F_NAME = 32,
    F_COUNT = 64,
    F_CODE = 128,
    F_TEXT = 256,
    F_SECONDS = 512
};

static const struct {
    const char *name;
    unsigned fields;
} shapes[] = {
    [SH_NODE_EV_LISTENING] = {"listening", F_ADDRESS | F_PEER_ID},
    [SH_NODE_EV_PEER_UP] = {"peer_up", F_PEER | F_ADDRESS},
    [SH_NODE_EV_PEER_DOWN] = {"peer_down", F_PEER | F_TEXT},
    [SH_NODE_EV_DIAL_FAILED] = {"dial_failed", F_ADDRESS | F_TEXT},
    [SH_NODE_EV_UNDELIVERED] = {"undelivered", F_TO | F_NAME | F_COUNT | F_CODE | F_TEXT},
    [SH_NODE_EV_ACTOR_FAILED] = {"actor_failed", F_REF | F_NAME | F_TEXT},
    [SH_NODE_EV_STALLED] = {"stalled", F_REF | F_NAME | F_SECONDS},
};

static void put_span(shoal_pack *p, const char *key, sh_span text)
{
    shoal_put_key(p, key);
    shoal_put_text(p, (const char *)text.p, text.n);
}

/* A pid whose peer was forgotten meanwhile is nil. */
static void put_pid(shoal_pack *p, shoal_node *node, const char *key, sh_pid pid)
{
    shoal_put_key(p, key);
    shoal_put_ref(p, node, abi_pid_out(pid));
    if (p->error && p->error != SHOAL_E_LIMIT) {
        p->error = 0;
        shoal_put_nil(p);
    }
}

void abi_event(void *ud, const struct sh_node_event *ev)
{
    shoal_node *node = ud;
    if (!node->on_event || ev->kind < SH_NODE_EV_LISTENING || ev->kind > SH_NODE_EV_STALLED) {
        return;
    }
    unsigned fields = shapes[ev->kind].fields;
    unsigned char room[512];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_map(&p, (uint32_t)__builtin_popcount(fields));
    if (fields & (F_PEER | F_PEER_ID)) {
        put_span(&p, fields & F_PEER ? "peer" : "peer_id", ev->peer);
    }
    if (fields & F_ADDRESS) {
        put_span(&p, "address", ev->address);
    }
    if (fields & (F_REF | F_TO)) {
        put_pid(&p, node, fields & F_REF ? "ref" : "to", ev->pid);
    }
    if (fields & F_NAME) {
        put_span(&p, "name", ev->name);
    }
    if (fields & F_COUNT) {
        shoal_put_key(&p, "count");
        shoal_put_u64(&p, ev->count);
    }
    if (fields & F_CODE) {
        put_span(&p, "code", sh_span_str(shoal_code_name(ev->code)));
    }
    if (fields & F_TEXT) {
        put_span(&p, "text", ev->text);
    }
    if (fields & F_SECONDS) {
        shoal_put_key(&p, "seconds");
        shoal_put_f64(&p, (double)ev->count / 1e6);
    }
    if (!shoal_pack_error(&p)) {
        node->on_event(node->event_ud, shapes[ev->kind].name, shoal_packed(&p));
    }
    shoal_pack_free(&p);
}
