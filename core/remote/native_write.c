/* remote/native_write.c - the native session's bytes out: frames encoded, and taken by the stream.
 *
 * Frames are encoded into the remote's scratch, which the stream takes in one piece; what it does not take waits in the
 * session's backlog. While bytes wait there no message is encoded, only control frames are. */
#include "remote/native.h"

void native_backlog_drop(struct native *n)
{
    if (n->backlog) {
        sh_mem_free(n->r->mem, n->backlog, n->backlog_cap);
        sh_quota_give(&n->quota, n->backlog_cap);
    }
    if (n->part) {
        sh_msg *m = n->part;
        n->part = NULL;
        native_done(n, m);
    }
    n->backlog = NULL;
    n->backlog_at = n->backlog_n = n->backlog_cap = 0;
}

static void native_backlog_add(struct native *n, sh_span s)
{
    if (s.n == 0 || n->broken) {
        return;
    }
    size_t limit = SH_SESSION_UNREAD_MAX + n->message_max + SH_FRAME_EXTRA_MAX;
    if (n->backlog_at + n->backlog_n + s.n > n->backlog_cap && n->backlog_at) {
        memmove(n->backlog, n->backlog + n->backlog_at, n->backlog_n);
        n->backlog_at = 0;
    }
    size_t need = n->backlog_n + s.n;
    if (need > limit) {
        n->broken = true; /* the peer does not read what it asked for */
        return;
    }
    if (need > n->backlog_cap) {
        size_t cap = n->backlog_cap ? n->backlog_cap : 1024;
        while (cap < need) {
            cap *= 2;
        }
        cap = cap < limit ? cap : limit;
        if (sh_quota_take(&n->quota, cap - n->backlog_cap) != 0) {
            n->broken = true;
            return;
        }
        uint8_t *at = sh_mem_resize(n->r->mem, n->backlog, n->backlog_cap, cap);
        if (!at) {
            sh_quota_give(&n->quota, cap - n->backlog_cap);
            n->broken = true;
            return;
        }
        n->backlog = at;
        n->backlog_cap = cap;
    }
    memcpy(n->backlog + n->backlog_at + n->backlog_n, s.p, s.n);
    n->backlog_n += s.n;
}

/* What is left of the value under way. True: nothing is. */
static bool native_write_part(struct native *n)
{
    sh_msg *m = n->part;
    if (!m) {
        return true;
    }
    sh_span rest = sh_span_skip(sh_msg_value(m), n->part_at);
    int64_t took = sh_stream_write(n->out, rest);
    if (took < 0) {
        n->broken = true;
        return false;
    }
    n->part_at += (size_t)took;
    if ((size_t)took < rest.n) {
        return false;
    }
    n->part = NULL;
    native_done(n, m);
    return true;
}

void native_write_backlog(struct native *n)
{
    if (!n->out || !n->out_open || !native_write_part(n) || n->backlog_n == 0) {
        return;
    }
    int64_t took = sh_stream_write(n->out, sh_span_of(n->backlog + n->backlog_at, n->backlog_n));
    if (took < 0) {
        n->broken = true;
        return;
    }
    n->backlog_at += (size_t)took;
    n->backlog_n -= (size_t)took;
    if (n->backlog_n == 0) {
        native_backlog_drop(n);
    }
}

static void native_write(struct native *n, sh_span s)
{
    int64_t took = n->backlog_n || n->part ? 0 : sh_stream_write(n->out, s);
    if (took < 0) {
        n->broken = true;
        return;
    }
    native_backlog_add(n, sh_span_skip(s, (size_t)took));
}

void native_scratch_flush(sh_remote *r)
{
    struct native *n = r->scratch_owner;
    if (n && r->scratch_n) {
        size_t bytes = r->scratch_n;
        r->scratch_n = 0;
        native_write(n, sh_span_of(r->scratch, bytes));
    }
    r->scratch_owner = NULL;
}

static bool native_blocked(const struct native *n)
{
    return !n->out || !n->out_open || n->backlog_n != 0 || n->part;
}

void native_frame(struct native *n, const struct sh_frame *f)
{
    sh_remote *r = n->r;
    sh_remote_touch(n->peer);
    if (n->broken || !n->out || n->fin_sent) {
        return; /* replies, deaths and credits of a session that is over go nowhere */
    }
    if (native_blocked(n)) {
        uint8_t head[SH_FRAME_HEAD_MAX];
        int bytes = sh_frame_put_head(f, head, sizeof head);
        SH_ASSERT(bytes > 0);
        native_backlog_add(n, sh_span_of(head, (size_t)bytes));
        native_backlog_add(n, f->value);
        return;
    }
    if (r->scratch_owner != n || SH_REMOTE_SCRATCH - r->scratch_n < SH_FRAME_HEAD_MAX) {
        native_scratch_flush(r);
        r->scratch_owner = n;
        if (native_blocked(n)) { /* the flush was cut short */
            r->scratch_owner = NULL;
            native_frame(n, f);
            return;
        }
    }
    int bytes = sh_frame_put_head(f, r->scratch + r->scratch_n, SH_REMOTE_SCRATCH - r->scratch_n);
    SH_ASSERT(bytes > 0);
    r->scratch_n += (size_t)bytes;
    if (f->value.n <= SH_REMOTE_SCRATCH - r->scratch_n) {
        if (f->value.n) {
            memcpy(r->scratch + r->scratch_n, f->value.p, f->value.n);
        }
        r->scratch_n += f->value.n;
        return;
    }
    native_scratch_flush(r);
    native_write(n, f->value);
}

void native_frame_large(struct native *n, const struct sh_frame *f, sh_msg *m)
{
    uint8_t bytes[SH_FRAME_HEAD_MAX];
    native_scratch_flush(n->r);
    if (n->broken || native_blocked(n)) { /* the flush was cut short: all of it goes behind */
        native_frame(n, f);
        native_done(n, m);
        return;
    }
    int got = sh_frame_put_head(f, bytes, sizeof bytes);
    SH_ASSERT(got > 0);
    native_write(n, sh_span_of(bytes, (size_t)got));
    sh_remote_touch(n->peer);
    if (n->broken || n->backlog_n) {
        native_backlog_add(n, f->value);
        native_done(n, m);
        return;
    }
    native_ungate(n, m);
    n->part = m;
    n->part_at = 0;
    (void)native_write_part(n);
}
