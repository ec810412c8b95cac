/* remote/native_targets.c - actors of the peer that we send to: the window of each, and what waits for it.
 *
 * A target's queue outlives sessions; its window, and what was lost, are the session's. CREDIT and LOST of the peer are
 * handled as in native_in.c: NULL, or why the frame breaks the protocol. */
#include "remote/native.h"

static void native_target_free(struct native *n, struct native_target *t)
{
    sh_map_u64_del(&n->targets, t->actor, NULL);
    n->last_target = n->last_target == t ? NULL : n->last_target;
    native_again_out_drop(n);
    sh_list_remove(&t->all);
    sh_list_remove(&t->ready);
    sh_mem_free(n->r->mem, t, sizeof *t);
}

static void native_targets_sweep(struct native *n)
{
    SH_LIST_FOREACH_SAFE(it, &n->targets_all)
    {
        struct native_target *t = SH_CONTAINER(it, struct native_target, all);
        if (t->used == 0 && !t->queue.head) {
            native_target_free(n, t);
        }
    }
}

struct native_target *native_target_of(struct native *n, uint64_t actor, bool make)
{
    uint64_t found;
    if (n->last_target && n->last_target->actor == actor) {
        return n->last_target;
    }
    if (sh_map_u64_get(&n->targets, actor, &found)) {
        n->last_target = sh_map_ptr(found);
        return n->last_target;
    }
    if (!make) {
        return NULL;
    }
    if (n->targets.count >= NATIVE_TARGETS_KEPT) {
        native_targets_sweep(n);
    }
    struct native_target *t = sh_mem_zalloc(n->r->mem, sizeof *t);
    if (!t) {
        return NULL;
    }
    if (sh_map_u64_put(&n->targets, actor, sh_map_of_ptr(t)) != 0) {
        sh_mem_free(n->r->mem, t, sizeof *t);
        return NULL;
    }
    t->actor = actor;
    t->window = SH_TARGET_WINDOW_START;
    t->entry = NATIVE_NO_ENTRY;
    sh_list_push_back(&n->targets_all, &t->all);
    sh_list_init(&t->ready);
    return t;
}

void native_targets_free(struct native *n)
{
    native_again_out_drop(n);
    while (!sh_list_empty(&n->targets_all)) {
        struct native_target *t = SH_CONTAINER(n->targets_all.next, struct native_target, all);
        sh_list_remove(&t->all);
        sh_list_remove(&t->ready);
        sh_mem_free(n->r->mem, t, sizeof *t);
        n->last_target = NULL;
    }
}

/* --- what waits, and how it ends --- */

void native_queue(struct native *n, struct native_target *t, sh_msg *m)
{
    sh_msg_queue_push(&t->queue, m);
    if (sh_list_empty(&t->ready)) {
        sh_list_push_back(&n->ready, &t->ready);
    }
    sh_remote_touch(n->peer);
}

sh_msg *native_unqueue(struct native_target *t, sh_pid reply)
{
    sh_msg *before = NULL;
    for (sh_msg *m = t->queue.head; m; before = m, m = m->next) {
        bool call = m->kind == SH_MSG_ASK || m->kind == SH_MSG_DRAIN;
        if (!call || !sh_pid_eq(m->reply, reply)) {
            continue;
        }
        if (before) {
            before->next = m->next;
        } else {
            t->queue.head = m->next;
        }
        if (t->queue.tail == m) {
            t->queue.tail = before;
        }
        return m;
    }
    return NULL;
}

/* The message has left: its room at the peer's gate is free, its memory goes home. */
void native_ungate(struct native *n, sh_msg *m)
{
    if (m->flags & SH_MSG_GATED) {
        n->peer->gate_due += sh_msg_queued_bytes(m); /* given with those of the whole turn */
        m->flags &= (uint8_t)~SH_MSG_GATED;
        sh_remote_touch(n->peer);
    }
}

void native_done(struct native *n, sh_msg *m)
{
    native_ungate(n, m);
    sh_runtime_msg_done(n->r->rt, m);
}

void native_fail_one(struct native *n, sh_msg *m, int code, const char *text)
{
    sh_remote *r = n->r;
    switch (m->kind) {
    case SH_MSG_ASK:
    case SH_MSG_DRAIN: sh_remote_answer(r, m->reply, code, SH_NOT_SENT, text); break;
    case SH_MSG_TELL: {
        struct native_target *t = native_target_of(n, m->to.actor, false);
        if (t && t->loss == 0) {
            t->loss = (int8_t)code;
        }
        sh_runtime_lost(r->rt, m->to, sh_msg_name(m), 1, code, sh_span_str(text));
        break;
    }
    case SH_MSG_STOP:
    case SH_MSG_KILL: {
        sh_span name = sh_span_str(m->kind == SH_MSG_STOP ? "stop" : "kill");
        sh_runtime_lost(r->rt, m->to, name, 1, code, sh_span_str(text));
        break;
    }
    default: break; /* a death or reply to a peer that is gone */
    }
    native_done(n, m);
}

void native_fail_waiting(struct native *n, int code, const char *text)
{
    SH_LIST_FOREACH(it, &n->targets_all)
    {
        struct native_target *t = SH_CONTAINER(it, struct native_target, all);
        sh_msg *m;
        while ((m = sh_msg_queue_pop(&t->queue)) != NULL) {
            native_fail_one(n, m, code, text);
        }
        sh_list_remove(&t->ready);
    }
}

/* --- windows --- */

void native_out_reset(struct native *n)
{
    native_again_out_drop(n);
    native_fail_calls(n, SH_E_UNREACHABLE, "the connection was lost");
    SH_LIST_FOREACH_SAFE(it, &n->targets_all)
    {
        struct native_target *t = SH_CONTAINER(it, struct native_target, all);
        if (t->tells_out) { /* one report for all that may or may not have arrived */
            sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, t->actor), sh_span_none(), t->tells_out,
                            SH_E_UNREACHABLE, sh_span_str("the connection was lost"));
            t->loss = t->loss ? t->loss : SH_E_UNREACHABLE;
        }
        t->used = t->tells_out = 0;
        t->window = SH_TARGET_WINDOW_START;
        t->entry = NATIVE_NO_ENTRY;
        sh_list_remove(&t->ready);
        if (t->queue.head) {
            sh_list_push_back(&n->ready, &t->ready);
        } else if (t->loss == 0) {
            native_target_free(n, t);
        }
    }
    n->bytes_used = 0;
    n->last_call = 0;
    native_intern_out_reset(n);
}

const char *native_get_credit(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &actor)) {
        return NATIVE_NOT_INTERNED;
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

const char *native_get_lost(struct native *n, const struct sh_frame *f)
{
    uint64_t actor;
    sh_span name;
    if (!native_actor(&f->target, n->mine_in, n->mine_in_cap, &actor) ||
        !native_name_of(n, f, &name)) {
        return NATIVE_NOT_INTERNED;
    }
    struct native_target *t = native_target_of(n, actor, false);
    if (t && f->count) {
        t->loss = t->loss ? t->loss : (int8_t)f->code;
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, actor), name, (uint32_t)f->count, f->code,
                        f->text);
    }
    return NULL;
}

int native_drain_loss(struct native *n, uint64_t actor)
{
    struct native_target *t = native_target_of(n, actor, false);
    int loss = t ? t->loss : 0;
    if (t) {
        t->loss = 0;
    }
    return loss;
}
