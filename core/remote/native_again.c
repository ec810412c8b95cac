/* remote/native_again.c - a TELL that begins as the one before: most do, and need no look at the tables.
 *
 * Shape    what the first of a row meant is kept in the remote, for one session each way (struct sh_again_out, _in).
 * Spec     docs/wire.md: such a TELL is nothing special on the wire. */
#include "remote/native.h"

#include "base/mp.h"

enum { VALUE_MAX = 0x7f - SH_TELL_HEAD }; /* the length of the frame is one byte */

/* --- out --- */

/* Keeps what this TELL begins with, if it is short enough. */
void native_again_out(struct native *n, struct native_target *t, const sh_msg *m,
                      const struct sh_frame *f)
{
    struct sh_again_out *a = &n->r->again_out;
    uint32_t target = f->target.entry + 3, name_entry = f->name_entry + 1;
    uint32_t other = f->other.kind == SH_WHO_ENTRY ? f->other.entry + 3 : 0;
    bool known = f->target.kind == SH_WHO_ENTRY && f->name_known && f->name.n <= SH_TELL_NAME_MAX &&
                 (f->other.kind == SH_WHO_ENTRY || f->other.kind == SH_WHO_NOBODY);
    if (!known || (target | other | name_entry) >= 0x80) {
        return;
    }
    *a = (struct sh_again_out){
        .n = n,
        .target = t,
        .from = m->from,
        .head = {SH_FRAME_TELL, (uint8_t)target, (uint8_t)other, (uint8_t)name_entry},
        .name_n = (uint8_t)f->name.n};
    memcpy(a->name, f->name.p, f->name.n);
}

static bool again_fits(const struct native *n, sh_span value)
{
    return value.n <= VALUE_MAX && value.n <= n->message_max && sh_export_needless(value);
}

/* There is room for it in the scratch, which is n's. */
static void again_write(const struct sh_again_out *a, sh_span value)
{
    struct native *n = a->n;
    sh_remote *r = n->r;
    uint8_t *at = r->scratch + r->scratch_n;
    *at = (uint8_t)(SH_TELL_HEAD + value.n);
    memcpy(at + 1, a->head, SH_TELL_HEAD);
    if (value.n) {
        memcpy(at + 1 + SH_TELL_HEAD, value.p, value.n);
    }
    r->scratch_n += 1 + SH_TELL_HEAD + value.n;
    a->target->used++;
    a->target->tells_out++;
    n->bytes_used += SH_MESSAGE_OVERHEAD + (uint64_t)a->name_n + value.n;
    sh_remote_touch(n->peer);
}

/* False if it is not as the one before, or long: nothing was done then. */
bool native_message_again(struct native *n, struct native_target *t, sh_msg *m)
{
    sh_remote *r = n->r;
    const struct sh_again_out *a = &r->again_out;
    if (a->n != n || a->target != t || m->kind != SH_MSG_TELL || r->scratch_owner != n ||
        SH_REMOTE_SCRATCH - r->scratch_n < SH_FRAME_HEAD_MAX || n->broken || n->fin_sent ||
        !again_fits(n, sh_msg_value(m)) || !sh_pid_eq(m->from, a->from) ||
        !sh_span_eq(sh_msg_name(m), sh_span_of(a->name, a->name_n))) {
        return false;
    }
    again_write(a, sh_msg_value(m));
    native_done(n, m);
    return true;
}

bool sh_remote_tell(sh_remote *r, sh_pid to, sh_span name, sh_span value, bool *full)
{
    const struct sh_again_out *a = &r->again_out;
    struct native *n = a->n;
    *full = false;
    if (!n || n->peer->ref.index != to.node || n->peer->ref.check != to.check ||
        a->target->actor != to.actor || a->from.actor != 0 || a->target->queue.head ||
        !sh_span_eq(name, sh_span_of(a->name, a->name_n)) || !again_fits(n, value)) {
        return false;
    }
    bool room = native_window_has(n, a->target, SH_MESSAGE_OVERHEAD + name.n + value.n);
    if (r->scratch_owner != n || SH_REMOTE_SCRATCH - r->scratch_n < SH_FRAME_HEAD_MAX || !room) {
        *full = r->scratch_n > 0; /* the peer makes room when it sees what it has not seen */
        native_scratch_flush(r);
    }
    if (!room || !native_flows(n) || r->leaving) {
        return false;
    }
    r->scratch_owner = n;
    again_write(a, value);
    return true;
}

/* --- in --- */

/* Keeps what the head of this TELL means, if it is short enough. */
void native_again_in(struct native *n, struct native_own *o, const struct sh_frame *f, sh_span name,
                     sh_pid from)
{
    uint32_t target = f->target.entry + 3, name_entry = f->name_entry + 1;
    uint32_t other = f->other.kind == SH_WHO_ENTRY ? f->other.entry + 3 : 0;
    bool known = f->type == SH_FRAME_TELL && f->target.kind == SH_WHO_ENTRY && f->name_known &&
                 (f->other.kind == SH_WHO_ENTRY || f->other.kind == SH_WHO_NOBODY);
    if (known && (target | other | name_entry) < 0x80) {
        n->r->again_in = (struct sh_again_in){
            n,
            o,
            from,
            name,
            {SH_FRAME_TELL, (uint8_t)target, (uint8_t)other, (uint8_t)name_entry}};
    }
}

/* False: it is not as the one before, and nothing was done. */
static bool native_get_again(struct native *n, const struct sh_again_in *a, sh_span value)
{
    sh_remote *r = n->r;
    struct native_own *o = a->own;
    uint32_t cost = (uint32_t)(SH_MESSAGE_OVERHEAD + a->name.n + value.n);
    bool bytes = value.n >= 2 && value.p[0] == 0xc4 && value.n == 2u + value.p[1];
    if (o->used + o->due_messages >= o->window ||
        n->in_bytes + n->due_bytes + cost > SH_SESSION_WINDOW || r->orphan_bytes > SH_ORPHANS_MAX ||
        n->said_bye || (!bytes && value.n && sh_mp_check(value, SH_MP_DEPTH_MAX, NULL) != 0)) {
        return false;
    }
    struct sh_msg_parts parts = {.name = a->name};
    parts.value.p = value.p;
    parts.value.n = value.n;
    sh_msg *m = sh_runtime_msg_new(r->rt, SH_MSG_TELL, &parts);
    if (!m) {
        return false;
    }
    m->to = sh_remote_own(r, o->actor);
    m->from = a->from;
    m->tag = n->serial;
    o->used++;
    n->in_bytes += cost;
    sh_runtime_inject(r->rt, m);
    return true;
}

/* Takes the TELLs that are like the one before from the front of what has come. */
void native_row(struct native *n, const struct native_in *in, sh_span *bytes)
{
    const struct sh_again_in *a = &n->r->again_in;
    if (a->n != n || !in->hello || !sh_frame_reader_between(&in->reader)) {
        return;
    }
    while (bytes->n > SH_TELL_HEAD) {
        size_t length = bytes->p[0];
        if (length < SH_TELL_HEAD || length >= 0x80 || length >= bytes->n ||
            memcmp(bytes->p + 1, a->head, SH_TELL_HEAD) != 0 ||
            !native_get_again(n, a,
                              sh_span_of(bytes->p + 1 + SH_TELL_HEAD, length - SH_TELL_HEAD))) {
            return;
        }
        *bytes = sh_span_skip(*bytes, 1 + length);
    }
}
