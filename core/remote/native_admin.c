/* remote/native_admin.c - asks to a node itself, by its administrators: stop and kill of an actor; the rest is the
 * node's to answer. */
#include "base/text.h"
#include "remote/native.h"

/* --- ours --- */

static void native_put_mp_u64(sh_writer *w, uint64_t v)
{
    sh_put_u8(w, 0xcf);
    sh_put_u64be(w, v);
}

/* STOP and KILL go as asks to the node: the value is [actor, text]. Nobody waits for the reply. */
sh_span native_stop_value(const sh_msg *m, uint8_t *buf, size_t cap)
{
    sh_span text = sh_msg_text(m);
    sh_writer w = sh_writer_of(buf, cap);
    sh_put_u8(&w, 0x92);
    native_put_mp_u64(&w, m->to.actor);
    sh_put_u8(&w, 0xda);
    sh_put_u16be(&w, (uint16_t)text.n);
    sh_put_bytes(&w, text);
    return sh_put_span(&w);
}

/* --- the peer's --- */

static bool native_is_admin(const sh_remote *r, const struct sh_rpeer *p)
{
    const sh_peer_id *id = sh_swarm_peer_id(r->swarm, p->ref);
    bool found = r->admin_all;
    for (size_t i = 0; id && !found && i < r->admin_count; i++) {
        found = sh_peer_id_eq(id, &r->admin[i]);
    }
    return found;
}

/* [u64 actor, text] of a stop or kill. */
static bool native_order_value(sh_span value, uint64_t *actor)
{
    if (value.n < 10 || value.p[0] != 0x92 || value.p[1] != 0xcf) {
        return false;
    }
    *actor = sh_load_u64be(value.p + 2);
    return true;
}

static sh_span native_order_text(sh_span value)
{
    sh_span rest = sh_span_skip(value, 10);
    bool text = rest.n >= 3 && rest.p[0] == 0xda;
    return text ? sh_utf8_cut(sh_span_skip(rest, 3), SH_TEXT_MAX) : sh_span_none();
}

static int native_order(struct native *n, const struct sh_frame *f, bool stop)
{
    uint64_t actor;
    if (!native_order_value(f->value, &actor)) {
        return SH_E_BAD_VALUE;
    }
    sh_pid to = sh_remote_own(n->r, actor);
    if (!sh_runtime_alive(n->r->rt, to)) {
        return SH_E_NOT_RUNNING;
    }
    struct sh_msg_parts parts = {.text = native_order_text(f->value)};
    sh_msg *m = sh_runtime_msg_new(n->r->rt, stop ? SH_MSG_STOP : SH_MSG_KILL, &parts);
    if (!m) {
        return SH_E_LIMIT;
    }
    m->to = to;
    m->from = sh_pid_none();
    sh_runtime_inject(n->r->rt, m);
    return 0;
}

/* Asks to the node itself: stop and kill are done here, the rest is the node's to answer. */
void native_node_ask(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                     uint32_t cost)
{
    bool stop = sh_span_eq(name, sh_span_str("stop"));
    if (f->type != SH_FRAME_ASK || !native_is_admin(n->r, n->peer)) {
        native_refuse(n, o, f, name, cost, SH_E_REFUSED, "for administrators of this node");
        return;
    }
    if (stop || sh_span_eq(name, sh_span_str("kill"))) {
        int err = native_order(n, f, stop);
        native_reply(n, f->call, true, err, SH_NOT_SENT, sh_err_text(err));
        return;
    }
    sh_pid reply;
    uint32_t index;
    struct sh_call_in *c = native_call_in_new(n, SH_CALL_IN_NODE, f->call, 0, &reply, &index);
    struct sh_remote_event ev = {.kind = SH_REMOTE_NODE_CALL,
                                 .call = reply.actor,
                                 .peer = n->peer->ref,
                                 .name = name,
                                 .value = f->value};
    if (!c || !sh_remote_emit(n->r, &ev)) {
        native_call_in_drop(n, c);
        native_refuse(n, o, f, name, cost, SH_E_LIMIT, "too many open calls, or no memory");
        return;
    }
    c->cost = cost;
    c->returned = true; /* nothing of it is in the runtime: its reply gives the window back */
    o->used++;
    n->in_bytes += cost;
}

void sh_native_node_reply(struct sh_rpeer *p, struct sh_call_in *c, const struct sh_result *result)
{
    native_call_in_answer(p->native, c, result);
}
