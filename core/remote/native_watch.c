/* remote/native_watch.c - watches and deaths on the wire: WATCH, UNWATCH and DEATH, ours and the peer's.
 *
 * What is watched is kept in watch.c, which outlives sessions. Handlers as in native_in.c: NULL, or why the frame
 * breaks the protocol. */
#include "base/text.h"
#include "remote/native.h"

/* --- ours to them --- */

void native_send_watch(struct native *n, struct sh_watch *w, bool renewed)
{
    struct native_call *c = native_call_new(n, SH_FRAME_WATCH, sh_pid_none(), w->target);
    if (!c) {
        w->call = 0;
        n->broken = true; /* the next session sends it again */
        return;
    }
    c->watcher = w->watcher;
    w->call = c->call;
    uint32_t flags =
        (w->linked ? SH_FRAME_WATCH_LINK : 0u) | (renewed ? SH_FRAME_WATCH_RENEWED : 0u);
    struct sh_frame f = {.type = SH_FRAME_WATCH,
                         .call = c->call,
                         .target = native_yours(n, w->target),
                         .other = native_mine(n, w->watcher),
                         .flags = flags};
    native_frame(n, &f);
}

void native_op_watch(struct sh_rpeer *p, struct sh_watch *w, uint64_t now_us)
{
    struct native *n = native_of(p);
    if (!n) {
        sh_watch_fire(p, w, SH_GONE, sh_span_str("no memory"), sh_pid_none());
    } else if (n->unsupported || native_closed(n)) {
        const char *text =
            n->unsupported ? "the peer speaks no native wire" : "the node is stopping";
        sh_watch_fire(p, w, SH_GONE, sh_span_str(text), sh_pid_none());
    } else if (native_active(n)) {
        native_send_watch(n, w, false);
    } else {
        native_want(n, now_us); /* sent when the session is up */
    }
    sh_remote_touch(p);
}

void native_op_unwatch(struct sh_rpeer *p, uint64_t target, uint64_t watcher, bool link,
                       uint64_t now_us)
{
    (void)now_us;
    struct native *n = p->native;
    if (n && native_active(n)) {
        struct sh_frame f = {.type = SH_FRAME_UNWATCH,
                             .target = native_yours(n, target),
                             .other = native_mine(n, watcher),
                             .flags = link ? SH_FRAME_WATCH_LINK : 0u};
        native_frame(n, &f);
    }
}

void native_watch_reply(struct native *n, const struct native_call *c, const struct sh_frame *f)
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

/* --- theirs to us --- */

static bool native_inject_watch(struct native *n, enum sh_msg_kind kind, uint64_t target,
                                uint64_t watcher, bool link, sh_pid reply)
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

static void native_watch_forget(struct native *n, uint64_t target, uint64_t watcher, bool link)
{
    sh_held_drop(n->peer, target, watcher);
    struct sh_watch *w = link ? sh_watch_find(n->peer, watcher, target) : NULL;
    if (w) {
        sh_watch_drop(n->peer, w);
    }
}

/* The runtime's answer to a WATCH of the peer: what it did not take is not held. */
void native_watch_answered(struct native *n, const struct sh_call_in *c, int code)
{
    if (code != 0) {
        native_watch_forget(n, c->target, c->watcher, c->linked);
    }
}

/* The session ended before the runtime had answered: the watch is undone, the peer sends it again. */
void native_watch_undo(struct native *n, const struct sh_call_in *c)
{
    native_watch_answered(n, c, SH_E_UNREACHABLE);
    native_inject_watch(n, SH_MSG_UNWATCH, c->target, c->watcher, c->linked, sh_pid_none());
}

static void native_take_watch(struct native *n, uint64_t call, uint64_t target, uint64_t watcher,
                              bool link)
{
    sh_pid reply;
    uint32_t index;
    int err =
        link ? sh_watch_add_link(n->peer, watcher, target) : sh_held_add(n->peer, target, watcher);
    struct sh_call_in *c =
        err ? NULL : native_call_in_new(n, SH_CALL_IN_WATCH, call, target, &reply, &index);
    if (c) {
        c->watcher = watcher;
        c->linked = link;
    }
    if (c && native_inject_watch(n, SH_MSG_WATCH, target, watcher, link, reply)) {
        return;
    }
    if (c) {
        struct sh_result res = {
            .code = SH_E_LIMIT, .delivery = SH_NOT_SENT, .text = sh_span_str("no memory")};
        native_watch_answered(n, c, SH_E_LIMIT);
        native_call_in_answer(n, c, &res);
    } else {
        if (!err) {
            native_watch_forget(n, target, watcher, link);
        }
        native_reply(n, call, false, SH_E_LIMIT, SH_NOT_SENT, "too many watches or open calls");
    }
}

/* A renewed link that is not held here: undone, which is silent, or ended with all others when the peer was given up. */
static void native_link_ended(struct native *n, uint64_t target, uint64_t watcher)
{
    bool lost = n->peer->gave_up;
    struct sh_frame end = {.type = lost ? SH_FRAME_DEATH : SH_FRAME_UNWATCH};
    struct sh_frame_who theirs = {.kind = SH_WHO_ACTOR, .actor = watcher};
    if (watcher == 0) {
        return;
    }
    if (lost) {
        end.target = native_mine(n, target);
        end.other = theirs;
        end.kind = SH_PEER_LOST;
        end.text = sh_span_str("the peer had given this one up");
    } else {
        end.target = theirs;
        end.other = native_mine(n, target);
        end.flags = SH_FRAME_WATCH_LINK;
    }
    native_frame(n, &end);
}

const char *native_get_watch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    const char *why = native_next_call(n, f->call);
    if (why || !native_actor(&f->target, n->yours_in, n->yours_in_cap, &target) ||
        !native_actor(&f->other, n->mine_in, n->mine_in_cap, &watcher)) {
        return why ? why : NATIVE_NOT_INTERNED;
    }
    bool link = (f->flags & SH_FRAME_WATCH_LINK) != 0,
         renewed = (f->flags & SH_FRAME_WATCH_RENEWED) != 0;
    if (n->said_bye) {
        native_reply(n, f->call, false, SH_E_CLOSED, SH_NOT_SENT, "the node is stopping");
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
        native_link_ended(n, target, watcher);
        native_reply(n, f->call, false, 0, 0, "");
    } else if (target == 0 || !sh_export_has(&n->r->exports, target)) {
        native_reply(n, f->call, false, SH_E_REFUSED, SH_NOT_SENT, "not exported");
    } else {
        native_take_watch(n, f->call, target, watcher, link && watcher);
    }
    sh_remote_touch(n->peer);
    return NULL;
}

const char *native_get_unwatch(struct native *n, const struct sh_frame *f)
{
    uint64_t target, watcher;
    if (!native_actor(&f->target, n->yours_in, n->yours_in_cap, &target) ||
        !native_actor(&f->other, n->mine_in, n->mine_in_cap, &watcher)) {
        return NATIVE_NOT_INTERNED;
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

/* --- deaths --- */

void native_death(struct native *n, sh_msg *m)
{
    struct sh_frame f = {.type = SH_FRAME_DEATH,
                         .kind = m->why > SH_GONE ? SH_GONE : m->why,
                         .text = sh_utf8_cut(sh_msg_text(m), SH_TEXT_MAX),
                         .target = native_mine(n, m->from.actor),
                         .other = native_yours(n, m->to.actor),
                         .cause = native_who(n, m->reply)};
    native_frame(n, &f);
    native_done(n, m);
}

/* A death waits behind the messages of its pair; without a session it is kept for the next one. */
void native_post_death(struct native *n, sh_msg *m)
{
    uint64_t dead = m->from.actor, watcher = m->to.actor;
    struct sh_watch *w = sh_watch_find(n->peer, watcher, dead);
    bool known = sh_held_drop(n->peer, dead, watcher);
    if (w && w->linked) {
        sh_watch_drop(n->peer, w);
        known = true;
    }
    struct native_target *t = known ? native_target_of(n, watcher, !native_active(n)) : NULL;
    if (known && native_active(n) && (!t || !t->queue.head)) {
        native_death(n, m);
    } else if (known && t) {
        native_queue(n, t, m);
    } else {
        native_done(n, m);
    }
}

const char *native_get_death(struct native *n, const struct sh_frame *f)
{
    uint64_t dead, watcher;
    sh_pid cause;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &dead) ||
        !native_actor(&f->other, n->yours_in, n->yours_in_cap, &watcher) ||
        !native_pid(n, &f->cause, &cause)) {
        return NATIVE_NOT_INTERNED;
    }
    struct sh_watch *w = sh_watch_find(n->peer, dead, watcher);
    if (w) {
        sh_watch_fire(n->peer, w, f->kind, f->text, cause);
        sh_remote_touch(n->peer);
    }
    return NULL;
}
