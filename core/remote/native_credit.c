/* remote/native_credit.c - what the peer gets back: windows of our actors, credits, lost tells.
 *
 * A message's room is due when it has come back from the runtime. An ask's goes with its REPLY if both are there in one
 * pump, else in a CREDIT. Credits leave when a quarter of a window is due, else within SH_CREDIT_DELAY_MS. */
#include "remote/native.h"

enum { QUARTER = 4 };

static void native_own_free(struct native *n, struct native_own *o)
{
    sh_map_u64_del(&n->own, o->actor, NULL);
    n->wide -= o->widened ? 1u : 0u;
    n->last_own = n->last_own == o ? NULL : n->last_own;
    native_again_in_drop(n);
    sh_list_remove(&o->all);
    sh_list_remove(&o->due);
    sh_mem_free(n->r->mem, o, sizeof *o);
    sh_quota_give(&n->quota, sizeof *o);
}

static void native_own_sweep(struct native *n)
{
    SH_LIST_FOREACH_SAFE(it, &n->own_all)
    {
        struct native_own *o = SH_CONTAINER(it, struct native_own, all);
        bool live = o->actor == 0 || sh_runtime_alive(n->r->rt, sh_remote_own(n->r, o->actor));
        if (o->used == 0 && o->due_messages == 0 && (!o->widened || !live)) {
            native_own_free(n, o);
        }
    }
}

struct native_own *native_own_find(struct native *n, uint64_t actor)
{
    uint64_t found;
    if (n->last_own && n->last_own->actor == actor) {
        return n->last_own;
    }
    if (!sh_map_u64_get(&n->own, actor, &found)) {
        return NULL;
    }
    n->last_own = sh_map_ptr(found);
    return n->last_own;
}

struct native_own *native_own_of(struct native *n, uint64_t actor)
{
    struct native_own *known = native_own_find(n, actor);
    if (known) {
        return known;
    }
    if (n->own.count >= SH_SESSION_TARGETS_MAX) {
        native_own_sweep(n);
    }
    if (sh_quota_take(&n->quota, sizeof(struct native_own)) != 0) {
        return NULL;
    }
    struct native_own *o = sh_mem_zalloc(n->r->mem, sizeof *o);
    if (!o || sh_map_u64_put(&n->own, actor, sh_map_of_ptr(o)) != 0) {
        sh_mem_free(n->r->mem, o, sizeof *o);
        sh_quota_give(&n->quota, sizeof *o);
        return NULL;
    }
    o->actor = actor;
    o->window = SH_TARGET_WINDOW_START;
    sh_list_push_back(&n->own_all, &o->all);
    sh_list_init(&o->due);
    return o;
}

void native_own_reset(struct native *n)
{
    while (!sh_list_empty(&n->own_all)) {
        native_own_free(n, SH_CONTAINER(n->own_all.next, struct native_own, all));
    }
    n->due_bytes = 0;
    n->credit_us = UINT64_MAX;
    n->r->lost.owner = n->r->lost.owner == n ? NULL : n->r->lost.owner;
}

static void native_credits_due(struct native *n, struct native_own *o, uint32_t messages,
                               uint32_t cost)
{
    SH_ASSERT(o->used >= messages && n->in_bytes >= cost);
    o->used -= messages;
    n->in_bytes -= cost;
    o->due_messages += messages;
    o->due_bytes += cost;
    n->due_bytes += cost;
    if (sh_list_empty(&o->due)) {
        sh_list_push_back(&n->due, &o->due);
    }
    sh_remote_touch(n->peer);
}

void native_credit_due(struct native *n, struct native_own *o, uint32_t cost, bool ask)
{
    o->due_asks += ask;
    native_credits_due(n, o, 1, cost);
}

static void native_credit_send(struct native *n, struct native_own *o)
{
    struct sh_frame f = {.type = SH_FRAME_CREDIT,
                         .target = native_mine(n, o->actor),
                         .messages = o->due_messages,
                         .bytes = o->due_bytes,
                         .wider = o->wider,
                         .asks = o->due_asks};
    n->due_bytes -= o->due_bytes;
    o->window += o->wider;
    o->due_messages = o->due_asks = o->wider = 0;
    o->due_bytes = 0;
    sh_list_remove(&o->due);
    native_frame(n, &f);
}

void native_credits(struct native *n, uint64_t now_us)
{
    if (sh_list_empty(&n->due)) {
        n->credit_us = UINT64_MAX;
        return;
    }
    if (n->credit_us == UINT64_MAX) {
        n->credit_us = now_us + SH_CREDIT_DELAY_MS * 1000u;
    }
    bool all = now_us >= n->credit_us || n->due_bytes >= SH_SESSION_WINDOW / QUARTER;
    SH_LIST_FOREACH_SAFE(it, &n->due)
    {
        struct native_own *o = SH_CONTAINER(it, struct native_own, due);
        if (all || o->due_messages >= o->window / QUARTER) {
            native_credit_send(n, o);
        }
    }
    if (sh_list_empty(&n->due)) {
        n->credit_us = UINT64_MAX;
    }
}

void native_credits_all(struct native *n)
{
    SH_LIST_FOREACH_SAFE(it, &n->due)
    {
        native_credit_send(n, SH_CONTAINER(it, struct native_own, due));
    }
    n->credit_us = UINT64_MAX;
}

void native_settle(struct native *n)
{
    while (!sh_list_empty(&n->returned)) {
        struct sh_call_in *c = SH_CONTAINER(n->returned.next, struct sh_call_in, link);
        sh_list_remove(&c->link);
        sh_list_push_back(&n->calls_in, &c->link);
        c->returned = false;
        struct native_own *o = native_own_find(n, c->target);
        if (o) {
            native_credit_due(n, o, c->cost, true);
        }
        c->cost = 0;
    }
}

/* What the target's mailbox allows is told with its first credit, as long as few enough are remembered for it. */
static void native_widen(struct native *n, struct native_own *o, uint32_t mailbox)
{
    uint32_t most = mailbox < SH_TARGET_WINDOW_MAX / SH_TARGET_WINDOW_MAILBOXES
                        ? mailbox * SH_TARGET_WINDOW_MAILBOXES
                        : SH_TARGET_WINDOW_MAX;
    if (!o->widened && most > o->window && n->wide < SH_SESSION_WIDE_MAX) {
        o->widened = true;
        o->wider = most - o->window;
        n->wide++;
    }
}

static void native_call_in_returned(struct native *n, struct sh_call_in *c, uint32_t mailbox)
{
    struct native_own *o = native_own_find(n, c->target);
    c->in_runtime = false;
    if (o) {
        native_widen(n, o, mailbox);
    }
    if (o && o->wider && o->used >= o->window / 2) {
        native_credit_send(
            n, o); /* asks come back by their replies: no credit is due that would tell it */
    }
    if (!c->answered) { /* its reply may come in this pump */
        c->returned = true;
        sh_list_remove(&c->link);
        sh_list_push_back(&n->returned, &c->link);
        sh_remote_touch(n->peer);
        return;
    }
    if (o && c->cost) {
        native_credit_due(n, o, c->cost, true);
    }
    sh_list_remove(&c->link);
    sh_call_in_free(n->r, c);
}

/* tag: a session's serial for a TELL; with the top bit a call's index for an ASK (remote.c reads it). */
void native_op_returned(struct sh_rpeer *p, const struct sh_returned *ret)
{
    struct native *n = p->native;
    if (ret->tag & (1u << 31)) {
        struct sh_call_in *c = sh_slab_at(&p->r->calls_in, ret->tag & 0xffffffu);
        if (c && n) {
            native_call_in_returned(n, c, ret->mailbox);
        }
        return;
    }
    struct native_own *o = n && n->serial == ret->tag ? native_own_find(n, ret->to.actor) : NULL;
    if (!o) {
        return; /* of a session that is over */
    }
    native_widen(n, o, ret->mailbox);
    if (ret->code < 0) {
        native_lost_add(n, ret->to.actor, sh_span_of(ret->name, ret->name_len), ret->code,
                        sh_err_text(ret->code));
    }
    if (o->used >= ret->messages && n->in_bytes >= ret->bytes) {
        native_credits_due(n, o, ret->messages, ret->bytes);
    }
}

void native_lost_flush(struct native *n)
{
    sh_remote *r = n->r;
    if (r->lost.owner != n) {
        return;
    }
    struct sh_frame f = {.type = SH_FRAME_LOST,
                         .target = native_mine(n, r->lost.target),
                         .count = r->lost.count,
                         .code = r->lost.code,
                         .text = sh_span_str(r->lost.text)};
    r->lost.owner = NULL;
    native_name(n, &f, sh_span_of(r->lost.name, r->lost.name_n));
    native_frame(n, &f);
}

void native_lost_add(struct native *n, uint64_t target, sh_span name, int code, const char *text)
{
    sh_remote *r = n->r;
    bool same = r->lost.owner == n && r->lost.target == target && r->lost.code == code &&
                sh_span_eq(sh_span_of(r->lost.name, r->lost.name_n), name);
    if (!same) {
        if (r->lost.owner) {
            native_lost_flush(r->lost.owner);
        }
        r->lost.owner = n;
        r->lost.target = target;
        r->lost.count = 0;
        r->lost.code = code < SH_E_USAGE ? SH_E_LIMIT : code;
        r->lost.text = text;
        r->lost.name_n = (uint8_t)name.n;
        memcpy(r->lost.name, name.p, name.n);
    }
    r->lost.count++;
    sh_remote_touch(n->peer);
}
