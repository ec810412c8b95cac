/* remote/native_streams.c - the session's two streams, ours and the peer's: opened, paired by HELLO, dropped.
 *
 * Spec     docs/wire.md, "Streams and sessions". The rules of pairing are quoted at their branches. */
#include "remote/native.h"

static const char *const connection_lost = "the connection was lost";

/* --- opened and dropped --- */

void native_in_drop(struct native *n, int i, bool reset)
{
    struct native_in *in = &n->in[i];
    if (!in->stream) {
        return;
    }
    if (reset) {
        sh_stream_reset(in->stream, NATIVE_RESET_CODE);
    }
    in->stream = NULL;
    sh_frame_reader_fini(&in->reader);
    if (n->active == i) {
        n->active = -1;
    }
}

void native_out_drop(struct native *n, bool reset)
{
    sh_remote *r = n->r;
    if (r->scratch_owner == n) {
        r->scratch_owner = NULL;
        r->scratch_n = 0;
    }
    if (n->out && reset) {
        sh_stream_reset(n->out, NATIVE_RESET_CODE);
    }
    n->out = NULL;
    n->out_open = n->out_paired = n->fin_sent = false;
    n->out_deadline_us = UINT64_MAX;
    native_backlog_drop(n);
}

static void native_open(struct native *n, uint64_t answers, uint64_t now_us)
{
    sh_remote *r = n->r;
    sh_stream *st;
    if (sh_swarm_open(r->swarm, n->peer->ref, r->proto, n->peer, &st) != 0) {
        n->retry_us = now_us + NATIVE_RETRY_MS * 1000u;
        return;
    }
    struct sh_frame f = {.type = SH_FRAME_HELLO,
                         .version = SH_FRAME_VERSION,
                         .incarnation = r->incarnation,
                         .number = ++n->number,
                         .answers = answers,
                         .message_max = r->message_max};
    uint8_t hello[64];
    int bytes = sh_frame_put(&f, hello, sizeof hello);
    SH_ASSERT(bytes > 0);
    n->retry_us = UINT64_MAX;
    if (sh_stream_write(st, sh_span_of(hello, (size_t)bytes)) != bytes) {
        sh_stream_reset(st, NATIVE_RESET_CODE); /* no room for a HELLO even: later */
        n->retry_us = now_us + NATIVE_RETRY_MS * 1000u;
        return;
    }
    n->out = st;
    n->out_number = n->number;
    n->out_open = false;
    n->out_paired = answers != 0;
    n->out_deadline_us = now_us + SH_HELLO_TIMEOUT_MS * 1000u;
    n->unsupported = false;
}

void native_want(struct native *n, uint64_t now_us)
{
    if (n->out || n->r->leaving) {
        return;
    }
    bool due = n->retry_us == UINT64_MAX || n->retry_us <= now_us;
    if (!sh_swarm_is_connected(n->r->swarm, n->peer->ref)) {
        sh_swarm_want(n->r->swarm, n->peer->ref, now_us);
        n->retry_us = UINT64_MAX; /* PEER_UP or UNREACHABLE follows */
    } else if (due) {
        native_open(n, 0, now_us);
    }
    native_arm(n);
}

/* --- pairing --- */

/* "another incarnation: the old process is dead" */
static void native_reborn(struct native *n, uint64_t incarnation)
{
    bool before = n->known;
    if (before) {
        n->got_bye = false;
        sh_watch_peer_lost(n->peer, sh_span_str("the peer was restarted"));
        native_end(n, "the peer was restarted");
        n->tries = 0;
    }
    n->known = true;
    n->incarnation = incarnation;
    n->last_number = 0;
}

/* true: h is the session's incoming stream now. */
static bool native_pair(struct native *n, struct native_in *in, const struct sh_frame *f,
                        uint64_t now_us)
{
    if (!n->known || f->incarnation != n->incarnation) {
        if (n->known && in->conn < n->known_conn) {
            return false; /* 1: on a connection older than the session's */
        }
        native_reborn(n, f->incarnation); /* ... go on with no O */
    }
    n->known_conn = in->conn > n->known_conn ? in->conn : n->known_conn;
    if (f->number <= n->last_number) {
        return false; /* 2: late */
    }
    n->last_number = f->number;
    if (n->out && (f->answers == n->out_number || (f->answers == 0 && !n->out_paired))) {
        n->out_paired = true; /* 3: paired */
        return true;
    }
    if (f->answers != 0) {
        return false; /* 5: answers a stream we gave up */
    }
    if (n->out) { /* 4: the peer begins anew */
        native_end(n, "the peer began anew");
    }
    native_open(n, f->number, now_us);
    return n->out != NULL;
}

void native_hello(struct native *n, struct native_in *in, const struct sh_frame *f, uint64_t now_us)
{
    int index = (int)(in - n->in);
    if (!native_pair(n, in, f, now_us)) {
        native_in_drop(n, index, true);
        sh_remote_touch(n->peer);
        return;
    }
    if (n->active >= 0 && n->active != index) {
        native_in_drop(n, n->active, true); /* rule 3 after a stream of ours was never answered */
    }
    in->hello = true;
    in->deadline_us = UINT64_MAX;
    in->reader.length_max = n->r->message_max + SH_FRAME_EXTRA_MAX;
    n->active = index;
    n->out_deadline_us = UINT64_MAX;
    n->message_max =
        f->message_max < SH_PEER_MESSAGE_MAX ? (size_t)f->message_max : SH_PEER_MESSAGE_MAX;
    n->tries = 0;
    if (n->r->leaving) {
        n->said_bye = false;
        native_op_goodbye(n->peer, 0, sh_span_str("the node is stopping"), now_us);
    }
    native_started(n, now_us);
    sh_remote_touch(n->peer);
}

/* The session carries frames: what is held is sent again first, then what waits. */
void native_started(struct native *n, uint64_t now_us)
{
    if (!native_active(n)) {
        return;
    }
    SH_LIST_FOREACH(it, &n->peer->watches.watches)
    {
        struct sh_watch *w = SH_CONTAINER(it, struct sh_watch, link);
        if (w->call == 0 && !n->broken) {
            native_send_watch(n, w, w->confirmed);
        }
    }
    native_kick(n, now_us);
    native_arm(n);
}

/* --- events --- */

static void native_stream_in(struct native *n, const struct sh_swarm_event *ev, uint64_t now_us)
{
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        struct native_in *in = &n->in[i];
        if (in->stream) {
            continue;
        }
        in->stream = ev->stream;
        in->conn = ev->conn;
        in->hello = false;
        in->deadline_us = now_us + (n->r->leaving ? SH_BYE_ANSWER_MS : SH_HELLO_TIMEOUT_MS) * 1000u;
        sh_frame_reader_init(&in->reader, n->r->mem, &n->quota, SH_HELLO_MAX);
        return;
    }
    sh_stream_reset(ev->stream, NATIVE_RESET_CODE);
}

static int native_in_index(const struct native *n, const sh_stream *st)
{
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) {
        if (st && n->in[i].stream == st) {
            return i;
        }
    }
    return -1;
}

void native_op_data(struct sh_rpeer *p, const struct sh_swarm_event *ev, uint64_t now_us)
{
    struct native *n = native_of(p);
    if (!n) {
        if (ev->kind == SH_SWARM_STREAM_IN) {
            sh_stream_reset(ev->stream, NATIVE_RESET_CODE);
        }
        return;
    }
    int in = native_in_index(n, ev->stream);
    if (ev->kind == SH_SWARM_STREAM_IN) {
        native_stream_in(n, ev, now_us);
    } else if (ev->kind == SH_SWARM_STREAM_OPEN && ev->stream == n->out) {
        n->out_open = true;
        native_write_backlog(n);
        native_started(n, now_us);
    } else if (ev->kind == SH_SWARM_STREAM_WRITABLE && ev->stream == n->out) {
        native_write_backlog(n);
        native_kick(n, now_us);
    } else if (ev->kind == SH_SWARM_STREAM_DATA && in >= 0) {
        native_data(n, &n->in[in], ev->data, now_us);
    } else if (ev->kind == SH_SWARM_STREAM_FIN && (in >= 0 || ev->stream == n->out)) {
        if (in >= 0 && n->active != in) {
            native_in_drop(n, in, true);
        } else if (in >= 0 ||
                   !n->fin_sent) { /* who gets our frames may shut its side after we did */
            native_end(n, "the peer ended the stream");
        }
    }
    sh_remote_touch(p);
}

void native_op_closed(struct sh_rpeer *p, const struct sh_swarm_event *ev, uint64_t now_us)
{
    (void)now_us;
    struct native *n = p->native;
    int in = n ? native_in_index(n, ev->stream) : -1;
    if (n && ev->stream == n->out) {
        native_out_drop(n, false);
        native_end(n, ev->text ? ev->text : connection_lost);
        if (ev->err == SH_E_UNSUPPORTED) {
            n->unsupported = true;
            n->retry_us = UINT64_MAX;
            native_fail_waiting(n, SH_E_UNSUPPORTED, "the peer speaks no native wire");
            sh_watch_unreachable(p, SH_GONE, sh_span_str("the peer speaks no native wire"));
        }
    } else if (in >= 0) {
        bool active = n->active == in;
        native_in_drop(n, in, false);
        if (active) {
            n->active = in; /* for native_end to know that it was paired */
            native_end(n, ev->text ? ev->text : connection_lost);
        }
    }
    sh_remote_touch(p);
}
