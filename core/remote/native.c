/* remote/native.c - the native session's life: made, ended, tried again; what peers and time do to it.
 *
 * Spec     docs/wire.md, "Streams and sessions". */
#include "remote/native.h"

enum { PROTO_VIOLATION = 0x1003 };

/* --- making and freeing --- */

static void native_maps_init(struct native *n)
{
    const sh_mem *mem = n->r->mem;
    uint64_t seed = n->r->seed;
    sh_map_u64_init(&n->targets, mem, seed, SIZE_MAX / 2);
    sh_serial_init(&n->calls, mem, seed, SH_SESSION_CALLS_MAX);
    sh_map_bytes_init(&n->names_out, mem, seed, SH_INTERN_NAMES_MAX);
    sh_map_u64_init(&n->mine_out, mem, seed, SH_INTERN_ACTORS_MAX);
    sh_map_u64_init(&n->own, mem, seed, SH_SESSION_TARGETS_MAX);
    sh_serial_init(&n->call_in_by_number, mem, seed, SH_SESSION_CALLS_MAX);
    sh_list_init(&n->targets_all);
    sh_list_init(&n->ready);
    sh_list_init(&n->calls_all);
    sh_list_init(&n->own_all);
    sh_list_init(&n->due);
    sh_list_init(&n->calls_in);
    sh_list_init(&n->returned);
}

/* A new number for the session: messages of an earlier one that come back are no longer ours. */
static int native_renumber(struct native *n)
{
    sh_remote *r = n->r;
    if (n->serial) {
        sh_map_u64_del(&r->sessions, n->serial, NULL);
    }
    do {
        r->serial = (r->serial + 1) & 0x7fffffffu;
    } while (r->serial == 0 || sh_map_u64_get(&r->sessions, r->serial, NULL));
    n->serial = r->serial;
    return sh_map_u64_put(&r->sessions, n->serial, sh_map_of_ptr(n->peer));
}

struct native *native_of(struct sh_rpeer *p)
{
    sh_remote *r = p->r;
    if (p->native) {
        return p->native;
    }
    if (sh_quota_take(r->quota, sizeof(struct native)) != 0) {
        return NULL;
    }
    struct native *n = sh_mem_zalloc(r->mem, sizeof *n);
    if (!n) {
        sh_quota_give(r->quota, sizeof *n);
        return NULL;
    }
    n->peer = p;
    n->r = r;
    n->active = -1;
    n->message_max = r->message_max;
    n->retry_us = UINT64_MAX;
    n->credit_us = UINT64_MAX;
    n->out_deadline_us = UINT64_MAX;
    sh_quota_init(&n->quota, r->quota, SH_SESSION_MEMORY_MAX + 4 * (size_t)r->message_max);
    native_maps_init(n);
    if (native_renumber(n) != 0) {
        sh_quota_give(r->quota, sizeof *n);
        sh_mem_free(r->mem, n, sizeof *n);
        return NULL;
    }
    p->native = n;
    return n;
}

static void native_op_free(struct sh_rpeer *p)
{
    struct native *n = p->native;
    if (!n) {
        return;
    }
    sh_remote *r = p->r;
    native_end(n, "the node ends");
    native_fail_waiting(n, SH_E_CLOSED, "the node is stopping");
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (n->in[i].stream) {
            sh_stream_reset(n->in[i].stream, NATIVE_RESET_CODE);
            sh_frame_reader_fini(&n->in[i].reader);
        }
    }
    native_targets_free(n);
    sh_map_u64_fini(&n->targets);
    sh_serial_fini(&n->calls);
    sh_map_bytes_fini(&n->names_out);
    native_names_forget(n);
    sh_map_u64_fini(&n->mine_out);
    sh_map_u64_fini(&n->own);
    sh_serial_fini(&n->call_in_by_number);
    sh_map_u64_del(&r->sessions, n->serial, NULL);
    sh_quota_fini(&n->quota);
    sh_quota_give(r->quota, sizeof *n);
    sh_mem_free(r->mem, n, sizeof *n);
    p->native = NULL;
}

static bool native_op_needs(const struct sh_rpeer *p)
{
    const struct native *n = p->native;
    return n && !n->unsupported && (!sh_list_empty(&n->ready) || !sh_list_empty(&n->calls_all));
}

static bool native_op_idle(const struct sh_rpeer *p)
{
    const struct native *n = p->native;
    if (!n) {
        return true;
    }
    bool streams = n->out != NULL;
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        streams = streams || n->in[i].stream;
    }
    return !streams && sh_list_empty(&n->ready) && sh_list_empty(&n->calls_all);
}

/* --- the end --- */

/* Windows, tables and calls are void; who asked is told. */
static void native_void(struct native *n)
{
    native_out_reset(n);
    native_in_reset(n);
    SH_LIST_FOREACH(it, &n->peer->watches.watches)
    {
        SH_CONTAINER(it, struct sh_watch, link)->call = 0;
    }
    n->broken = false;
    n->message_max = n->r->message_max;
    if (native_renumber(n) != 0) {
        n->serial =
            0; /* no memory: tells that come back are credited by none, and the session opens later */
    }
    sh_remote_touch(n->peer);
}

void native_end(struct native *n, const char *why)
{
    bool paired = n->out_paired && n->active >= 0;
    bool bye = n->got_bye;
    n->peer->gave_up = n->peer->gave_up && !paired; /* a session has told the peer */
    sh_logf(n->r->log, SH_LOG_DEBUG, "native", "event=end peer=%u why=%s", n->peer->ref.index, why);
    native_out_drop(n, true);
    if (n->active >= 0) {
        native_in_drop(n, n->active, true);
    }
    native_void(n);
    n->tries = paired ? 0 : n->tries + 1;
    n->said_bye = n->got_bye = false;
    if (bye || n->r->leaving) { /* no other session follows: what was not told ends here */
        const char *text = bye ? "the peer has stopped" : "the node is stopping";
        n->retry_us = UINT64_MAX;
        native_fail_waiting(n, SH_E_CLOSED, text);
        sh_watch_peer_lost(n->peer, sh_span_str(text));
    } else {
        n->retry_us = 0;
    }
}

void native_malformed(struct native *n, sh_conn_id conn, const char *why)
{
    sh_remote *r = n->r;
    struct sh_remote_event ev = {
        .kind = SH_REMOTE_BAD_PEER, .peer = n->peer->ref, .text = sh_span_str(why)};
    (void)sh_remote_emit(r, &ev); /* no memory: then only the log has it */
    sh_logf(r->log, SH_LOG_DEBUG, "native", "event=malformed peer=%u why=%s", n->peer->ref.index,
            why);
    native_end(n, why);
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (n->in[i].stream && n->in[i].conn == conn) {
            native_in_drop(n, i, true);
        }
    }
    n->tries = NATIVE_TRIES; /* not at once again with who breaks the rules */
    sh_swarm_close_conn(r->swarm, conn, PROTO_VIOLATION, why);
}

/* --- peers and time --- */

static bool native_has_work(const struct native *n)
{
    return !sh_list_empty(&n->ready) || !sh_list_empty(&n->peer->watches.watches);
}

static void native_op_up(struct sh_rpeer *p, uint64_t now_us)
{
    struct native *n = p->native ? p->native : sh_watch_any(p) ? native_of(p) : NULL;
    if (n) {
        n->unsupported = false; /* a new connection may be to a newer program */
        n->tries = 0;
        n->retry_us = now_us;
        sh_remote_touch(p);
    }
}

static void native_op_rest(struct sh_rpeer *p)
{
    struct native *n = p->native;
    if (!n) {
        return;
    }
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (n->in[i].stream) {
            sh_frame_reader_rest(&n->in[i].reader);
        }
    }
    native_names_forget(n);
    sh_map_u64_rest(&n->targets);
    sh_serial_rest(&n->calls);
    sh_map_u64_rest(&n->own);
    sh_serial_rest(&n->call_in_by_number);
}

static void native_op_unreachable(struct sh_rpeer *p, const char *text, uint64_t now_us)
{
    (void)now_us;
    sh_watch_unreachable(p, SH_PEER_LOST, sh_span_str(text));
    if (p->native && !p->native->out) {
        p->native->retry_us = UINT64_MAX;
        native_fail_waiting(p->native, SH_E_UNREACHABLE, text);
    }
}

static void native_op_lost(struct sh_rpeer *p, uint64_t now_us)
{
    (void)now_us;
    struct native *n = p->native;
    if (n) {
        n->got_bye = false;
        if (n->out || n->active >= 0) {
            native_end(n, "the peer is lost");
        }
        n->retry_us = UINT64_MAX;
        native_fail_waiting(n, SH_E_UNREACHABLE, "the peer is lost");
    }
    sh_watch_peer_lost(p, sh_span_str("the peer is lost"));
}

static void native_retry(struct native *n, uint64_t now_us)
{
    if (n->out || n->r->leaving || n->unsupported || n->retry_us == UINT64_MAX ||
        !native_has_work(n)) {
        return;
    }
    if (n->tries >= NATIVE_TRIES) {
        n->tries = 0;
        n->retry_us = now_us + 1000u * NATIVE_RETRY_MS * (1u << NATIVE_TRIES);
        native_fail_waiting(n, SH_E_UNREACHABLE, "the peer ends every session");
        sh_watch_unreachable(n->peer, SH_GONE, sh_span_str("the peer ends every session"));
        return;
    }
    if (n->retry_us == 0) { /* a session has just ended: at once, or later if it never began */
        n->retry_us = now_us + (n->tries ? 1000u * NATIVE_RETRY_MS << (n->tries - 1) : 0u);
    }
    if (n->retry_us <= now_us) {
        native_want(n, now_us);
    }
}

void native_arm(struct native *n)
{
    uint64_t due = n->out_deadline_us < n->credit_us ? n->out_deadline_us : n->credit_us;
    if (native_has_work(n) && !n->out && n->retry_us < due) {
        due = n->retry_us;
    }
    if (n->said_bye && (!n->got_bye || n->fin_sent) && n->bye_until_us < due) {
        due = n->bye_until_us;
    }
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (n->in[i].stream && n->in[i].deadline_us < due) {
            due = n->in[i].deadline_us;
        }
    }
    sh_wheel_arm(&n->r->wheel, &n->peer->timer.timer, due);
}

static void native_op_flush(struct sh_rpeer *p, uint64_t now_us)
{
    struct native *n = p->native;
    if (!n) {
        return;
    }
    native_settle(n);
    native_lost_flush(n);
    native_kick(n, now_us);
    native_credits(n, now_us);
    if (n->r->scratch_owner == n) {
        native_scratch_flush(n->r);
    }
    native_finish(n, now_us);
    if (n->broken) {
        native_end(n, "the peer does not read, or memory is out");
    }
    native_retry(n, now_us);
    native_arm(n);
}

static void native_op_tick(struct sh_rpeer *p, uint64_t now_us)
{
    struct native *n = p->native;
    if (!n) {
        return;
    }
    if (n->out && n->out_deadline_us <= now_us) {
        native_end(n, "no stream in answer");
    }
    if (n->said_bye && (!n->got_bye || n->fin_sent) && n->bye_until_us <= now_us) {
        native_bye_late(n);
    }
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (n->in[i].stream && n->in[i].deadline_us <= now_us) {
            native_in_drop(n, i, true);
        }
    }
    sh_remote_touch(p);
}

const struct sh_session_ops sh_native_ops = {
    .send = native_op_send,
    .cancel = native_op_cancel,
    .watch = native_op_watch,
    .unwatch = native_op_unwatch,
    .returned = native_op_returned,
    .data = native_op_data,
    .closed = native_op_closed,
    .up = native_op_up,
    .rest = native_op_rest,
    .unreachable = native_op_unreachable,
    .lost = native_op_lost,
    .flush = native_op_flush,
    .tick = native_op_tick,
    .goodbye = native_op_goodbye,
    .needs = native_op_needs,
    .idle = native_op_idle,
    .free = native_op_free,
};
