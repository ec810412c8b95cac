/* remote/native_in.c - the native session's reading side: frames of the peer, one handler each.
 *
 * A handler returns NULL, or why the frame breaks the protocol: then the connection ends. After each frame the stream
 * may be gone (a HELLO that pairs nothing, a session that ended), so the loop looks again. */
#include "remote/native.h"

#include "base/text.h"

#define NOT_INTERNED "an empty table entry"

/* --- tables --- */

/* One table of names and two of actors, made when first used. */
static void *native_table(struct native *n, void *table, size_t entries, size_t size)
{
    if (!table && sh_quota_take(&n->quota, entries * size) == 0) {
        table = sh_mem_array(n->r->mem, entries, size);
        n->tables_bytes += entries * size;
    }
    return table;
}

static const char *native_get_intern(struct native *n, const struct sh_frame *f)
{
    if (f->table != SH_TABLE_NAMES) {
        uint64_t **table = f->table == SH_TABLE_YOURS ? &n->yours_in : &n->mine_in;
        *table = native_table(n, *table, SH_INTERN_ACTORS_MAX, sizeof **table);
        if (!*table) {
            return "no memory";
        }
        (*table)[f->entry] = f->target.actor;
        return NULL;
    }
    n->names_in = native_table(n, n->names_in, SH_INTERN_NAMES_MAX, sizeof *n->names_in);
    bool room = n->names_in && sh_quota_take(&n->quota, f->name.n) == 0;
    uint8_t *text = room ? sh_mem_alloc(n->r->mem, f->name.n) : NULL;
    n->tables_bytes += room ? f->name.n : 0;
    if (!text) {
        return "no memory";
    }
    memcpy(text, f->name.p, f->name.n);
    struct native_name *entry = &n->names_in[f->entry];
    if (entry->text) {
        sh_mem_free(n->r->mem, entry->text, entry->n);
        sh_quota_give(&n->quota, entry->n);
        n->tables_bytes -= entry->n;
    }
    *entry = (struct native_name){text, (uint8_t)f->name.n};
    return NULL;
}

/* An actor of ours, or of the peer's, that a field names; 0: nobody. */
static bool native_actor(const struct sh_frame_who *who, const uint64_t *table, uint64_t *actor)
{
    *actor = who->kind == SH_WHO_ENTRY ? (table ? table[who->entry] : 0) : who->actor;
    return who->kind != SH_WHO_ENTRY || *actor != 0;
}

static bool native_name_of(const struct native *n, const struct sh_frame *f, sh_span *name)
{
    *name = f->name;
    if (f->name_known) {
        *name = n->names_in ? sh_span_of(n->names_in[f->name_entry].text, n->names_in[f->name_entry].n) : f->name;
    }
    return name->n != 0;
}

/* A sender or cause: the peer's actor, or a third one that it claims. */
static bool native_pid(struct native *n, const struct sh_frame_who *who, sh_pid *pid)
{
    *pid = sh_pid_none();
    if (who->kind == SH_WHO_THIRD) {
        uint8_t ref[8 + SH_PEER_ID_MAX];
        sh_store_u64le(ref, who->actor);
        memcpy(ref + 8, who->peer.p, who->peer.n);
        int err = sh_remote_pid_of_ref(n->r, sh_span_of(ref, 8 + who->peer.n), pid);
        return err != SH_E_BAD_VALUE; /* no room for another peer: nobody */
    }
    uint64_t actor;
    if (!native_actor(who, n->mine_in, &actor)) {
        return false;
    }
    if (actor) {
        *pid = sh_rpeer_pid(n->peer, actor);
    }
    return true;
}

/* --- messages --- */

static const char *native_next_call(struct native *n, uint64_t call)
{
    if (call != n->last_call_in + 1) {
        return "a call out of turn";
    }
    n->last_call_in = call;
    return NULL;
}

static void native_reply(struct native *n, uint64_t call, bool returns, int code, int delivery, const char *text)
{
    struct sh_frame f = {.type = SH_FRAME_REPLY,
                         .call = call,
                         .flags = returns ? SH_FRAME_REPLY_RETURNS : 0u,
                         .code = code,
                         .delivery = (uint8_t)delivery,
                         .text = code ? sh_span_str(text) : sh_span_none()};
    native_frame(n, &f);
}

static void native_refuse(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                          uint32_t cost, int code, const char *text)
{
    if (f->type == SH_FRAME_ASK) {
        native_reply(n, f->call, true, code, SH_NOT_SENT, text);
        return;
    }
    o->used++;
    n->in_bytes += cost;
    native_lost_add(n, o->actor, name, code, text);
    native_credit_due(n, o, cost, false);
}

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

static struct sh_wire *native_wire(struct native *n, uint8_t kind, uint64_t call, uint64_t target, sh_pid *reply,
                                   uint32_t *index)
{
    struct sh_wire *w = n->wires_open < SH_SESSION_CALLS_MAX ? sh_wire_new(n->r, n->peer, reply, index) : NULL;
    if (!w) {
        return NULL;
    }
    if (sh_map_u64_put(&n->wire_by_call, call, reply->actor) != 0) {
        sh_wire_free(n->r, w);
        return NULL;
    }
    w->kind = kind;
    w->call = call;
    w->target = target;
    n->wires_open++;
    sh_list_push_back(&n->wires, &w->link);
    return w;
}

/* Asks to the node itself: stop and kill are done here, the rest is the node's to answer. */
static void native_node_ask(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
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
    struct sh_wire *w = native_wire(n, SH_WIRE_NODE, f->call, 0, &reply, &index);
    struct sh_remote_event ev = {.kind = SH_REMOTE_NODE_CALL,
                                 .call = reply.actor,
                                 .peer = n->peer->ref,
                                 .name = name,
                                 .value = f->value};
    if (!w || !sh_remote_emit(n->r, &ev)) {
        if (w) {
            sh_map_u64_del(&n->wire_by_call, w->call, NULL);
            n->wires_open--;
            sh_list_remove(&w->link);
            sh_wire_free(n->r, w);
        }
        native_refuse(n, o, f, name, cost, SH_E_LIMIT, "too many open calls, or no memory");
        return;
    }
    w->cost = cost;
    w->returned = true; /* nothing of it is in the runtime: its reply gives the window back */
    o->used++;
    n->in_bytes += cost;
}

static void native_accept(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                          sh_pid from, uint32_t cost, uint64_t now_us)
{
    bool ask = f->type == SH_FRAME_ASK;
    struct sh_msg_parts parts = {.name = name, .value = f->value};
    sh_pid reply = sh_pid_none();
    uint32_t index = 0;
    struct sh_wire *w = ask ? native_wire(n, SH_WIRE_ASK, f->call, o->actor, &reply, &index) : NULL;
    sh_msg *m = !ask || w ? sh_runtime_msg_new(n->r->rt, ask ? SH_MSG_ASK : SH_MSG_TELL, &parts) : NULL;
    if (!m) {
        if (w) {
            sh_map_u64_del(&n->wire_by_call, w->call, NULL);
            n->wires_open--;
            sh_list_remove(&w->link);
            sh_wire_free(n->r, w);
        }
        native_refuse(n, o, f, name, cost, SH_E_LIMIT, "too many open calls, or no memory");
        return;
    }
    uint64_t most = (UINT64_MAX - now_us) / 1000 - 1;
    m->to = sh_remote_own(n->r, o->actor);
    m->from = from;
    m->reply = reply;
    m->tag = ask ? (1u << 31) | index : n->serial;
    m->deadline_us = ask ? now_us + (f->left_ms < most ? f->left_ms : most) * 1000 : UINT64_MAX;
    if (w) {
        w->cost = cost;
        w->in_runtime = true;
    }
    o->used++;
    n->in_bytes += cost;
    sh_runtime_inject(n->r->rt, m);
}

static const char *native_get_message(struct native *n, const struct sh_frame *f, uint64_t now_us)
{
    uint64_t actor;
    sh_span name;
    sh_pid from;
    const char *why = f->type == SH_FRAME_ASK ? native_next_call(n, f->call) : NULL;
    if (why) {
        return why;
    }
    if (!native_actor(&f->target, n->yours_in, &actor) || !native_name_of(n, f, &name) ||
        !native_pid(n, &f->other, &from)) {
        return NOT_INTERNED;
    }
    struct native_own *o = native_own_of(n, actor);
    if (!o) {
        return "more targets than can be kept, or no memory";
    }
    uint32_t cost = (uint32_t)(SH_MESSAGE_OVERHEAD + name.n + f->value.n);
    uint64_t session = n->in_bytes + n->due_bytes; /* what is due is not yet given back */
    if (o->used + o->due_messages >= o->window || (session && session + cost > SH_SESSION_WINDOW)) {
        return "over the window";
    }
    if (n->said_bye) {
        native_refuse(n, o, f, name, cost, SH_E_CLOSED, "the node is stopping");
    } else if (actor == 0) {
        native_node_ask(n, o, f, name, cost);
    } else if (!sh_export_has(&n->r->exports, actor)) {
        native_refuse(n, o, f, name, cost, SH_E_REFUSED, "not exported");
    } else {
        native_accept(n, o, f, name, from, cost, now_us);
    }
    return NULL;
}

/* --- replies, ours to them --- */

void native_wire_answer(struct native *n, struct sh_wire *w, const struct sh_result *res)
{
    bool returns = w->returned && w->cost;
    uint64_t found;
    if (returns && sh_map_u64_get(&n->own, w->target, &found)) {
        struct native_own *o = sh_map_ptr(found);
        o->used--;
        n->in_bytes -= w->cost;
        w->cost = 0;
    }
    struct sh_frame f = {.type = SH_FRAME_REPLY,
                         .call = w->call,
                         .flags = returns ? SH_FRAME_REPLY_RETURNS : 0u,
                         .code = res->code < 0 ? (res->code < SH_E_USAGE ? SH_E_LIMIT : res->code) : 0,
                         .value = res->value};
    if (f.code) {
        bool known = res->delivery >= SH_NOT_SENT && res->delivery <= SH_HANDLED;
        f.delivery = (uint8_t)(known ? res->delivery : SH_UNKNOWN);
        f.text = sh_utf8_cut(res->text, SH_TEXT_MAX);
        f.type_text = sh_utf8_cut(res->type, SH_NAME_MAX);
    }
    if (f.value.n > n->message_max || sh_export_value(&n->r->exports, f.value) != 0) {
        f.code = SH_E_LIMIT;
        f.delivery = SH_HANDLED;
        f.text = sh_span_str("the reply is larger than max_message, or no memory");
        f.value = f.type_text = sh_span_none();
    }
    native_frame(n, &f);
    w->answered = true;
    sh_map_u64_del(&n->wire_by_call, w->call, NULL);
    n->wires_open--;
    sh_list_remove(&w->link);
    if (w->in_runtime) {
        sh_list_push_back(&n->wires, &w->link); /* until its message comes back */
    } else {
        sh_wire_free(n->r, w);
    }
}

void sh_native_node_reply(struct sh_rpeer *p, struct sh_wire *w, const struct sh_result *result)
{
    native_wire_answer(p->native, w, result);
}

/* The runtime's answer to a WATCH of the peer: what it did not take is not held. */
static void native_watch_answered(struct native *n, const struct sh_wire *w, int code)
{
    if (code == 0) {
        return;
    }
    sh_held_drop(n->peer, w->target, w->watcher);
    struct sh_watch *link = w->linked ? sh_watch_find(n->peer, w->watcher, w->target) : NULL;
    if (link) {
        sh_watch_drop(n->peer, link);
    }
}

void native_reply_frame(struct native *n, sh_msg *m)
{
    struct sh_wire *w = sh_wire_of(n->r, m->to.actor);
    if (w && w->peer == n->peer && !w->answered && !(m->flags & SH_MSG_MORE)) {
        struct sh_result res = {.code = m->code,
                                .delivery = m->why,
                                .text = sh_msg_text(m),
                                .type = sh_msg_type(m),
                                .value = sh_msg_value(m)};
        if (w->kind == SH_WIRE_WATCH) {
            native_watch_answered(n, w, m->code);
        }
        if (w->kind == SH_WIRE_DRAIN) {
            native_lost_flush(n); /* a drain's answer follows the losses it is about */
        }
        native_wire_answer(n, w, &res);
    }
    sh_runtime_msg_done(n->r->rt, m);
}

/* --- replies, theirs to us --- */

static void native_watch_reply(struct native *n, const struct native_call *c, const struct sh_frame *f)
{
    struct sh_watch *w = sh_watch_find(n->peer, c->target, c->watcher);
    if (!w || w->call != c->call) {
        return;
    }
    w->call = 0;
    if (f->code == 0) {
        w->confirmed = true;
    } else {
        sh_watch_fire(n->peer, w, SH_GONE, f->text, sh_pid_none());
    }
}

static int native_drain_loss(struct native *n, uint64_t actor)
{
    struct native_target *t = native_target_of(n, actor, false);
    int loss = t ? t->loss : 0;
    if (t) {
        t->loss = 0;
    }
    return loss;
}

static const char *native_get_reply(struct native *n, const struct sh_frame *f)
{
    uint64_t found;
    if (!sh_map_u64_get(&n->calls, f->call, &found)) {
        return NULL; /* to no open call: dropped */
    }
    struct native_call *c = sh_map_ptr(found);
    if (f->flags & SH_FRAME_REPLY_RETURNS) {
        struct native_target *t = native_target_of(n, c->target, false);
        if (c->kind != SH_FRAME_ASK || !t || t->used <= t->tells_out || n->bytes_used < c->cost) {
            return "a window returned twice";
        }
        t->used--;
        n->bytes_used -= c->cost;
        if (t->queue.head && sh_list_empty(&t->ready)) {
            sh_list_push_back(&n->ready, &t->ready);
        }
        sh_remote_touch(n->peer);
    }
    struct sh_result res = {.code = f->code,
                            .delivery = f->code ? f->delivery : SH_HANDLED,
                            .text = f->text,
                            .type = f->type_text,
                            .value = f->value};
    if (c->kind == SH_FRAME_WATCH) {
        native_watch_reply(n, c, f);
    } else if (c->kind == SH_FRAME_DRAIN) {
        int loss = native_drain_loss(n, c->target);
        if (loss && !res.code) {
            res.code = loss;
            res.delivery = SH_UNKNOWN;
            res.text = sh_span_str("a tell before it was lost");
        }
    }
    sh_pid reply = c->reply;
    bool nobody = sh_pid_is_none(reply);
    if (nobody && c->kind == SH_FRAME_ASK && f->code) { /* a stop or kill: nobody waits for its end */
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, 0), sh_span_str("stop"), 1, f->code, f->text);
    }
    native_call_free(n, c);
    if (!nobody && sh_runtime_reply(n->r->rt, n->r->token, reply, &res) != 0) {
        sh_remote_answer(n->r, reply, SH_E_LIMIT, SH_UNKNOWN, "no memory for the reply");
    }
    return NULL;
}

static const char *native_get_credit(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    if (!native_actor(&f->target, n->mine_in, &actor)) {
        return NOT_INTERNED;
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (!t || f->messages > t->used || f->bytes > n->bytes_used ||
        f->messages - f->asks > t->tells_out || f->wider > SH_TARGET_WINDOW_MAX - t->window) {
        return "credit for more than was sent";
    }
    t->used -= (uint32_t)f->messages;
    t->tells_out -= (uint32_t)(f->messages - f->asks);
    t->window += (uint32_t)f->wider;
    n->bytes_used -= f->bytes;
    if (t->queue.head && sh_list_empty(&t->ready)) {
        sh_list_push_back(&n->ready, &t->ready);
    }
    sh_remote_touch(n->peer);
    return NULL;
}

static const char *native_get_lost(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    sh_span name;
    if (!native_actor(&f->target, n->mine_in, &actor) || !native_name_of(n, f, &name)) {
        return NOT_INTERNED;
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (t && f->count) {
        t->loss = t->loss ? t->loss : (int8_t)f->code;
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, actor), name, (uint32_t)f->count, f->code, f->text);
    }
    return NULL;
}

/* --- drains, cancels, watches --- */

static const char *native_get_drain(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    const char *why = native_next_call(n, f->call);
    if (why || !native_actor(&f->target, n->yours_in, &actor)) {
        return why ? why : NOT_INTERNED;
    }
    if (!sh_export_has(&n->r->exports, actor)) {
        native_lost_flush(n);
        native_reply(n, f->call, false, SH_E_REFUSED, SH_NOT_SENT, "not exported");
        return NULL;
    }
    sh_pid reply;
    uint32_t index;
    struct sh_msg_parts none = {.name = sh_span_none()};
    struct sh_wire *w = native_wire(n, SH_WIRE_DRAIN, f->call, actor, &reply, &index);
    sh_msg *m = w ? sh_runtime_msg_new(n->r->rt, SH_MSG_DRAIN, &none) : NULL;
    if (!m) {
        struct sh_result res = {.code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        if (w) {
            native_wire_answer(n, w, &res);
        } else {
            native_reply(n, f->call, false, SH_E_LIMIT, SH_NOT_SENT, "too many open calls");
        }
        return NULL;
    }
    m->to = sh_remote_own(n->r, actor);
    m->from = sh_pid_none();
    m->reply = reply;
    m->deadline_us = UINT64_MAX;
    sh_runtime_inject(n->r->rt, m);
    return NULL;
}

static void native_get_cancel(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    struct sh_msg_parts none = {.name = sh_span_none()};
    if (!sh_map_u64_get(&n->wire_by_call, f->call, &actor)) {
        return; /* answered already: the REPLY is on its way */
    }
    struct sh_wire *w = sh_wire_of(n->r, actor);
    sh_msg *m = w && w->kind == SH_WIRE_ASK ? sh_runtime_msg_new(n->r->rt, SH_MSG_CANCEL, &none) : NULL;
    if (m) {
        m->to = sh_remote_own(n->r, w->target);
        m->from = sh_pid_none();
        m->reply = sh_rpeer_pid(n->peer, actor);
        sh_runtime_inject(n->r->rt, m);
    }
}

static bool native_inject_watch(struct native *n, enum sh_msg_kind kind, uint64_t target, uint64_t watcher, bool link,
                                sh_pid reply)
{
    struct sh_msg_parts none = {.name = sh_span_none()};
    sh_msg *m = sh_runtime_msg_new(n->r->rt, kind, &none);
    if (!m) {
        return false;
    }
    m->to = sh_remote_own(n->r, target);
    m->from = sh_rpeer_pid(n->peer, watcher);
    m->reply = reply;
    m->flags |= link ? SH_MSG_LINK : 0;
    sh_runtime_inject(n->r->rt, m);
    return true;
}

static void native_take_watch(struct native *n, uint64_t call, uint64_t target, uint64_t watcher, bool link)
{
    sh_pid reply;
    uint32_t index;
    int err = link ? sh_watch_add_link(n->peer, watcher, target) : sh_held_add(n->peer, target, watcher);
    struct sh_wire *w = err ? NULL : native_wire(n, SH_WIRE_WATCH, call, target, &reply, &index);
    if (w) {
        w->watcher = watcher;
        w->linked = link;
    }
    if (w && native_inject_watch(n, SH_MSG_WATCH, target, watcher, link, reply)) {
        return;
    }
    if (w) {
        struct sh_result res = {.code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        native_watch_answered(n, w, SH_E_LIMIT);
        native_wire_answer(n, w, &res);
    } else {
        native_reply(n, call, false, SH_E_LIMIT, SH_NOT_SENT, "too many watches");
    }
}

static const char *native_get_watch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    const char *why = native_next_call(n, f->call);
    if (why || !native_actor(&f->target, n->yours_in, &target) || !native_actor(&f->other, n->mine_in, &watcher)) {
        return why ? why : NOT_INTERNED;
    }
    bool link = (f->flags & SH_FRAME_WATCH_LINK) != 0, renewed = (f->flags & SH_FRAME_WATCH_RENEWED) != 0;
    if (n->said_bye) {
        native_reply(n, f->call, false, SH_E_CLOSED, SH_NOT_SENT, "the node is stopping");
        return NULL;
    }
    if (target == 0 || !sh_export_has(&n->r->exports, target)) {
        native_reply(n, f->call, false, SH_E_REFUSED, SH_NOT_SENT, "not exported");
        return NULL;
    }
    struct sh_watch *held = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    bool have = link ? held && held->linked : sh_held_find(n->peer, target, watcher);
    if (have) { /* its death would have told: it lives */
        if (held) {
            held->confirmed = true;
        }
        native_reply(n, f->call, false, 0, 0, "");
    } else if (link && renewed && sh_runtime_alive(n->r->rt, sh_remote_own(n->r, target))) {
        struct sh_frame end = {.type = SH_FRAME_UNWATCH,
                               .target = {.kind = SH_WHO_ACTOR, .actor = watcher},
                               .other = native_mine(n, target),
                               .flags = SH_FRAME_WATCH_LINK};
        if (watcher) {
            native_frame(n, &end);
        }
        native_reply(n, f->call, false, 0, 0, "");
    } else {
        native_take_watch(n, f->call, target, watcher, link && watcher);
    }
    sh_remote_touch(n->peer);
    return NULL;
}

static const char *native_get_unwatch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    if (!native_actor(&f->target, n->yours_in, &target) || !native_actor(&f->other, n->mine_in, &watcher)) {
        return NOT_INTERNED;
    }
    bool link = (f->flags & SH_FRAME_WATCH_LINK) != 0;
    struct sh_watch *w = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    bool had = sh_held_drop(n->peer, target, watcher);
    if (w && w->linked) {
        sh_watch_drop(n->peer, w);
        had = true;
    }
    if (had) {
        native_inject_watch(n, SH_MSG_UNWATCH, target, watcher, link, sh_pid_none());
    }
    sh_remote_touch(n->peer);
    return NULL;
}

static const char *native_get_death(struct native *n, const struct sh_frame *f)
{
    uint64_t dead, watcher;
    sh_pid cause;
    if (!native_actor(&f->target, n->mine_in, &dead) || !native_actor(&f->other, n->yours_in, &watcher) ||
        !native_pid(n, &f->cause, &cause)) {
        return NOT_INTERNED;
    }
    struct sh_watch *w = sh_watch_find(n->peer, dead, watcher);
    if (w) {
        sh_watch_fire(n->peer, w, f->kind, f->text, cause);
        sh_remote_touch(n->peer);
    }
    return NULL;
}

static const char *native_get_goodbye(struct native *n)
{
    n->got_bye = true;
    native_fail_waiting(n, SH_E_CLOSED, "the peer is stopping");
    sh_remote_touch(n->peer);
    return NULL;
}

/* --- the loop --- */

static const char *native_handle(struct native *n, const struct sh_frame *f, uint64_t now_us)
{
    switch ((enum sh_frame_type)f->type) {
    case SH_FRAME_HELLO: return "a second HELLO";
    case SH_FRAME_INTERN: return native_get_intern(n, f);
    case SH_FRAME_TELL:
    case SH_FRAME_ASK: return native_get_message(n, f, now_us);
    case SH_FRAME_REPLY: return native_get_reply(n, f);
    case SH_FRAME_CREDIT: return native_get_credit(n, f);
    case SH_FRAME_LOST: return native_get_lost(n, f);
    case SH_FRAME_DRAIN: return native_get_drain(n, f);
    case SH_FRAME_CANCEL: native_get_cancel(n, f); return NULL;
    case SH_FRAME_WATCH: return native_get_watch(n, f);
    case SH_FRAME_UNWATCH: return native_get_unwatch(n, f);
    case SH_FRAME_DEATH: return native_get_death(n, f);
    case SH_FRAME_GOODBYE: return native_get_goodbye(n);
    }
    return NULL;
}

void native_data(struct native *n, struct native_in *in, sh_span bytes, uint64_t now_us)
{
    sh_stream *stream = in->stream;
    sh_conn_id conn = in->conn;
    size_t given = bytes.n;
    sh_span body;
    int got;
    while ((got = sh_frame_reader_next(&in->reader, &bytes, &body)) == 1) {
        struct sh_frame f;
        int err = sh_frame_decode(body, &f);
        const char *why = err < 0 ? "a malformed frame" : NULL;
        if (!why && !in->hello && f.type != SH_FRAME_HELLO) {
            why = "no HELLO first";
        } else if (!why && !in->hello) {
            native_hello(n, in, &f, now_us);
        } else if (!why && err == 0) {
            why = native_handle(n, &f, now_us);
        }
        if (why) {
            native_malformed(n, conn, why);
        }
        if (in->stream != stream) {
            return; /* reset meanwhile: the rest is void */
        }
    }
    if (got < 0) {
        native_malformed(n, conn, got == SH_E_PROTO ? "a malformed length" : "no memory for a frame");
        return;
    }
    sh_stream_consumed(stream, given);
}
