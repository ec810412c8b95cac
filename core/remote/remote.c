/* remote/remote.c - see remote.h. Routes between the runtime's outbox, the sessions of peers, and the swarm. */
#include "remote/native.h"

enum { ROUNDS_MAX = 8 };

/* --- making and freeing --- */

static int remote_init(sh_remote *r, const struct sh_remote_config *cfg, uint64_t now_us)
{
    r->mem = cfg->mem;
    r->quota = cfg->quota;
    r->rng = cfg->rng;
    r->log = cfg->log;
    r->swarm = cfg->swarm;
    r->rt = cfg->runtime;
    r->token = cfg->token;
    r->incarnation = cfg->incarnation;
    r->seed = sh_rng_u64(cfg->rng);
    r->self_tag = cfg->self_tag;
    r->message_max = cfg->message_max;
    r->proto = cfg->native_proto;
    r->admin_count = cfg->admin_count;
    r->admin_all = cfg->admin_all;
    sh_list_init(&r->peers_all);
    sh_list_init(&r->dirty);
    sh_list_init(&r->items);
    sh_wheel_init(&r->wheel, now_us);
    sh_slab_init(&r->calls_in, r->mem, sizeof(struct sh_call_in), SH_CALLS_IN_MAX,
                 (uint32_t)sh_rng_u64(cfg->rng) | 1u);
    sh_slab_init(&r->calls, r->mem, sizeof(struct native_call), SH_CALLS_OUT_MAX, 1);
    sh_map_u64_init(&r->sessions, r->mem, r->seed, SH_PEERS_TABLE_MAX);
    r->self = cfg->self;
    sh_export_init(&r->exports, r->mem, r->seed, r->rt, r->self_tag, &r->self);
    sh_names_init(r);
    r->scratch = sh_mem_alloc(r->mem, SH_REMOTE_SCRATCH);
    r->admin = sh_mem_array(r->mem, cfg->admin_count ? cfg->admin_count : 1, sizeof *r->admin);
    if (!r->scratch || !r->admin) {
        return SH_E_NOMEM;
    }
    for (size_t i = 0; i < cfg->admin_count; i++) {
        r->admin[i] = cfg->admin[i];
    }
    return 0;
}

int sh_remote_new(const struct sh_remote_config *cfg, uint64_t now_us, sh_remote **out)
{
    sh_remote *r = sh_mem_zalloc(cfg->mem, sizeof *r);
    if (!r) {
        return SH_E_NOMEM;
    }
    int err = remote_init(r, cfg, now_us);
    if (err) {
        sh_remote_free(r);
        return err;
    }
    *out = r;
    return 0;
}

void sh_remote_free(sh_remote *r)
{
    if (!r) {
        return;
    }
    while (!sh_list_empty(&r->peers_all)) {
        sh_remote_peer_free(SH_CONTAINER(r->peers_all.next, struct sh_rpeer, all_link));
    }
    sh_names_fini(r);
    while (!sh_list_empty(&r->items)) {
        sh_remote_item_free(r, SH_CONTAINER(sh_list_pop(&r->items), struct sh_remote_item, link));
    }
    sh_remote_item_free(r, r->taken);
    sh_export_fini(&r->exports);
    sh_quota_give(r->quota,
                  r->calls_in.count * sizeof(struct sh_call_in)); /* those still in the runtime */
    sh_slab_fini(&r->calls_in);
    sh_slab_fini(&r->calls);
    native_askers_fini(r);
    sh_map_u64_fini(&r->sessions);
    sh_mem_free(r->mem, r->peers, r->peers_cap * sizeof *r->peers);
    sh_mem_free(r->mem, r->admin, (r->admin_count ? r->admin_count : 1) * sizeof *r->admin);
    sh_mem_free(r->mem, r->scratch, SH_REMOTE_SCRATCH);
    sh_mem_free(r->mem, r, sizeof *r);
}

void sh_remote_set_token(sh_remote *r, uint64_t token)
{
    r->token = token;
}

/* --- the outbox --- */

void sh_remote_answer(sh_remote *r, sh_pid reply, int code, int delivery, const char *text)
{
    if (sh_pid_is_none(reply)) {
        return;
    }
    struct sh_result res = {.code = code, .delivery = delivery, .text = sh_span_str(text)};
    if (sh_runtime_reply(r->rt, r->token, reply, &res) != 0) {
        res.text = sh_span_none(); /* fits in a message without a block */
        (void)sh_runtime_reply(r->rt, r->token, reply, &res);
    }
}

static void remote_stale(sh_remote *r, sh_msg *m)
{
    switch (m->kind) {
    case SH_MSG_ASK:
    case SH_MSG_DRAIN:
        sh_remote_answer(r, m->reply, SH_E_UNREACHABLE, SH_NOT_SENT,
                         "the peer is not known any more");
        break;
    case SH_MSG_TELL:
        sh_runtime_lost(r->rt, m->to, sh_msg_name(m), 1, SH_E_UNREACHABLE,
                        sh_span_str("the peer is not known any more"));
        break;
    case SH_MSG_WATCH: {
        struct sh_msg_parts parts = {.text = sh_span_str("the peer is not known any more")};
        sh_msg *down = sh_runtime_msg_new(r->rt, SH_MSG_DOWN, &parts);
        if (down) {
            down->to = m->from;
            down->from = m->to;
            down->reply = sh_pid_none();
            down->why = SH_GONE;
            down->flags |= m->flags & SH_MSG_LINK;
            sh_runtime_inject(r->rt, down);
        }
        break;
    }
    default: break; /* answers and deaths to who is gone */
    }
    if (m->flags & SH_MSG_GATED) {
        sh_runtime_peer_gate_give(r->rt, m->to.node, m->to.check, sh_msg_queued_bytes(m));
    }
    sh_runtime_msg_done(r->rt, m);
}

static void remote_route(sh_remote *r, sh_msg *m, uint64_t now_us)
{
    if (m->to.node == SH_REMOTE_NAMES_NODE) {
        if (m->kind == SH_MSG_DOWN) {
            sh_names_actor_ended(r, m->from.actor);
        }
        sh_runtime_msg_done(r->rt, m);
        return;
    }
    struct sh_rpeer *p = sh_remote_peer(r, (struct sh_peer_ref){m->to.node, m->to.check});
    if (!p) {
        remote_stale(r, m);
        return;
    }
    if (m->kind == SH_MSG_WATCH) {
        sh_watch_out(p, m, now_us);
    } else if (m->kind == SH_MSG_UNWATCH) {
        sh_unwatch_out(p, m, now_us);
    } else if (m->kind == SH_MSG_CANCEL) {
        p->ops->cancel(p, m, now_us);
    } else {
        p->ops->send(p, m, now_us);
    }
}

static void remote_orphan_ended(sh_remote *r, uint64_t bytes)
{
    r->orphan_bytes -= bytes < r->orphan_bytes ? bytes : r->orphan_bytes;
}

/* The tag is ours: a call's index with the top bit, or the serial of the session a TELL came by. */
static void remote_returned(sh_remote *r, const struct sh_returned *ret)
{
    uint64_t found;
    if (ret->tag & (1u << 31)) {
        struct sh_call_in *c = sh_slab_at(&r->calls_in, ret->tag & 0xffffffu);
        if (c && !c->peer) { /* its session is gone, now its message is too */
            remote_orphan_ended(r, c->cost);
            sh_call_in_free(r, c);
        } else if (c) {
            c->peer->ops->returned(c->peer, ret);
        }
    } else if (ret->tag == r->session_late.serial && ret->tag != 0) {
        r->session_late.peer->ops->returned(r->session_late.peer, ret);
    } else if (sh_map_u64_get(&r->sessions, ret->tag, &found)) {
        struct sh_rpeer *p = sh_map_ptr(found);
        r->session_late.serial = ret->tag;
        r->session_late.peer = p;
        p->ops->returned(p, ret);
    } else {
        remote_orphan_ended(r, ret->bytes);
    }
}

static void remote_flush(sh_remote *r, uint64_t now_us)
{
    for (int round = 0; round < ROUNDS_MAX && !sh_list_empty(&r->dirty); round++) {
        sh_list batch;
        sh_list_init(&batch);
        sh_list_splice(&batch, &r->dirty);
        sh_list *link;
        while ((link = sh_list_pop(&batch)) != NULL) {
            struct sh_rpeer *p = SH_CONTAINER(link, struct sh_rpeer, dirty_link);
            p->ops->flush(p, now_us);
            if (p->gate_due) {
                uint32_t bytes = p->gate_due;
                p->gate_due = 0;
                sh_runtime_peer_gate_give(r->rt, p->ref.index, p->ref.check, bytes);
            }
            sh_remote_hold(p, sh_watch_any(p) || p->ops->needs(p));
        }
    }
}

void sh_remote_pump(sh_remote *r, uint64_t now_us)
{
    struct sh_returned ret;
    while (sh_runtime_take_returned(r->rt, &ret)) {
        remote_returned(r, &ret);
    }
    sh_msg *m;
    while ((m = sh_runtime_take_outbound(r->rt)) != NULL) {
        remote_route(r, m, now_us);
    }
    remote_flush(r, now_us);
}

void sh_remote_tick(sh_remote *r, uint64_t now_us)
{
    sh_wheel_advance(&r->wheel, now_us);
    sh_timer *t;
    while ((t = sh_wheel_pop(&r->wheel)) != NULL) {
        struct sh_remote_timer *timer = SH_CONTAINER(t, struct sh_remote_timer, timer);
        if (timer->kind == SH_TIMER_PEER) {
            struct sh_rpeer *p = SH_CONTAINER(timer, struct sh_rpeer, timer);
            p->ops->tick(p, now_us);
        } else {
            sh_names_timer(r, timer, now_us);
        }
    }
    remote_flush(r, now_us);
}

uint64_t sh_remote_deadline(const sh_remote *r)
{
    return sh_list_empty(&r->dirty) && sh_list_empty(&r->items) ? sh_wheel_next_us(&r->wheel) : 0;
}

/* --- events of the swarm --- */

static void remote_stream_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us)
{
    struct sh_rpeer *p = sh_remote_peer(r, ev->peer);
    if (!p) {
        if (ev->kind == SH_SWARM_STREAM_IN) {
            sh_stream_reset(ev->stream, 0);
        }
    } else if (ev->kind == SH_SWARM_STREAM_END) {
        p->ops->closed(p, ev, now_us);
    } else {
        p->ops->data(p, ev, now_us);
    }
}

static void remote_peer_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us)
{
    struct sh_rpeer *p = sh_remote_peer_at(r, ev->peer.index, ev->peer.check);
    if (!p) {
        return;
    }
    if (ev->kind == SH_SWARM_PEER_REST) {
        sh_watch_rest(p);
        p->ops->rest(p);
        return;
    }
    if (ev->kind == SH_SWARM_PEER_UP) {
        p->ops->up(p, now_us);
    } else if (ev->kind == SH_SWARM_UNREACHABLE) {
        p->ops->unreachable(p, ev->text ? ev->text : "unreachable", now_us);
    } else {
        struct sh_remote_event lost = {.kind = SH_REMOTE_PEER_LOST, .peer = ev->peer};
        (void)sh_remote_emit(r, &lost); /* no memory: the deaths themselves are told all the same */
        p->ops->lost(p, now_us);
    }
    sh_remote_touch(p);
}

bool sh_remote_swarm_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us)
{
    switch (ev->kind) {
    case SH_SWARM_PEER_UP:
    case SH_SWARM_PEER_REST:
    case SH_SWARM_UNREACHABLE:
    case SH_SWARM_PEER_LOST: remote_peer_event(r, ev, now_us); return false;
    case SH_SWARM_STREAM_IN:
    case SH_SWARM_STREAM_OPEN:
    case SH_SWARM_STREAM_DATA:
    case SH_SWARM_STREAM_FIN:
    case SH_SWARM_STREAM_WRITABLE:
    case SH_SWARM_STREAM_END:
        if (ev->proto != r->proto) {
            return false;
        }
        remote_stream_event(r, ev, now_us);
        return true;
    case SH_SWARM_FOUND:
    case SH_SWARM_VALUE:
    case SH_SWARM_QUERY_DONE:
    case SH_SWARM_PUBLISHED: sh_names_swarm_event(r, ev, now_us); return true;
    case SH_SWARM_PEER_DOWN:
    case SH_SWARM_DIALLED:
    case SH_SWARM_DIAL_FAILED: return false;
    }
    return false;
}

/* --- node calls, goodbye --- */

void sh_remote_node_reply(sh_remote *r, uint64_t call, const struct sh_result *result,
                          uint64_t now_us)
{
    struct sh_call_in *c = sh_call_in_of(r, call);
    if (c && c->peer && c->kind == SH_CALL_IN_NODE) {
        struct sh_rpeer *p = c->peer;
        sh_native_node_reply(p, c, result);
        sh_remote_touch(p);
        remote_flush(r, now_us);
    }
}

void sh_remote_goodbye(sh_remote *r, uint64_t left_ms, sh_span text, uint64_t now_us)
{
    r->leaving = true;
    sh_names_withdraw_all(r);
    SH_LIST_FOREACH(it, &r->peers_all)
    {
        struct sh_rpeer *p = SH_CONTAINER(it, struct sh_rpeer, all_link);
        p->ops->goodbye(p, left_ms, text, now_us);
    }
    remote_flush(r, now_us);
}

bool sh_remote_goodbye_done(const sh_remote *r)
{
    SH_LIST_FOREACH(it, &r->peers_all)
    {
        const struct sh_rpeer *p = SH_CONTAINER(it, struct sh_rpeer, all_link);
        if (!p->ops->idle(p)) {
            return false;
        }
    }
    return r->leaving;
}
