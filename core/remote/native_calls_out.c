/* remote/native_calls_out.c - calls of ours that wait for their REPLY: found by number, and by who asked.
 *
 * An asker is found to take its ask back. It is looked for by the place of its address in a table of the remote, which
 * says where its call was put last: whether it is still there, and his, the call itself says. So nothing is deleted. */
#include "remote/native.h"

enum { ASKERS_START = 16, ASKERS_CALLS_IN = SH_RUNTIME_EXECS_MAX };

/* Slots of an executor, or calls of peers: each kind is numbered from 0 without gaps. */
static struct sh_askers *askers_of(sh_remote *r, sh_pid reply)
{
    uint32_t exec = sh_pid_executor(reply.actor);
    uint32_t kind = exec == SH_CALL_IN_EXECUTOR ? ASKERS_CALLS_IN : exec & 0x3fu;
    return kind <= ASKERS_CALLS_IN ? &r->askers[kind] : NULL;
}

static bool askers_note(sh_remote *r, sh_pid reply, uint32_t call)
{
    struct sh_askers *a = askers_of(r, reply);
    uint32_t at = sh_pid_slot(reply.actor);
    uint32_t cap = a && a->cap ? a->cap : ASKERS_START;
    while (cap <= at) {
        cap *= 2;
    }
    if (a && cap > a->cap) {
        uint32_t *more = sh_mem_resize(r->mem, a->call, a->cap * sizeof *more, cap * sizeof *more);
        if (!more) {
            return false;
        }
        memset(more + a->cap, 0, (cap - a->cap) * sizeof *more);
        a->call = more;
        a->cap = cap;
    }
    if (a) {
        a->call[at] = call;
    }
    return a != NULL;
}

void native_askers_fini(sh_remote *r)
{
    for (int i = 0; i <= ASKERS_CALLS_IN; i++) {
        sh_mem_free(r->mem, r->askers[i].call, r->askers[i].cap * sizeof *r->askers[i].call);
    }
}

struct native_call *native_call_of(struct native *n, sh_pid reply)
{
    const struct sh_askers *a = askers_of(n->r, reply);
    uint32_t at = sh_pid_slot(reply.actor);
    struct native_call *c = a && at < a->cap ? sh_slab_at(&n->r->calls, a->call[at]) : NULL;
    return c && c->owner == n && c->kind == SH_FRAME_ASK && sh_pid_eq(c->reply, reply) ? c : NULL;
}

struct native_call *native_call_new(struct native *n, uint8_t kind, sh_pid reply, uint64_t target)
{
    uint32_t slot, generation;
    void *object;
    if (sh_slab_alloc(&n->r->calls, &slot, &generation, &object) != 0) {
        return NULL;
    }
    struct native_call *c = object;
    c->owner = n;
    c->slot = slot;
    c->generation = generation;
    c->kind = kind;
    c->reply = reply;
    c->target = target;
    c->call = n->last_call + 1;
    bool by_reply = kind == SH_FRAME_ASK && !sh_pid_is_none(reply);
    if ((by_reply && !askers_note(n->r, reply, slot)) ||
        sh_serial_put(&n->calls, c->call, sh_map_of_ptr(c)) != 0) {
        sh_slab_free(&n->r->calls, slot, generation);
        return NULL;
    }
    n->last_call = c->call;
    sh_list_push_back(&n->calls_all, &c->link);
    return c;
}

void native_call_free(struct native *n, struct native_call *c)
{
    sh_serial_del(&n->calls, c->call);
    sh_list_remove(&c->link);
    sh_slab_free(&n->r->calls, c->slot, c->generation);
}

void native_fail_calls(struct native *n, int code, const char *text)
{
    while (!sh_list_empty(&n->calls_all)) {
        struct native_call *c = SH_CONTAINER(n->calls_all.next, struct native_call, link);
        sh_pid reply = c->reply;
        uint8_t kind = c->kind;
        native_call_free(n, c);
        if (kind != SH_FRAME_WATCH && !sh_pid_is_none(reply)) {
            sh_remote_answer(n->r, reply, code, SH_UNKNOWN, text);
        }
    }
}

const char *native_get_reply(struct native *n, const struct sh_frame *f)
{
    uint64_t found;
    if (!sh_serial_get(&n->calls, f->call, &found)) {
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
    if (nobody && c->kind == SH_FRAME_ASK &&
        f->code) { /* a stop or kill: nobody waits for its end */
        sh_runtime_lost(n->r->rt, sh_rpeer_pid(n->peer, 0), sh_span_str("stop"), 1, f->code,
                        f->text);
    }
    native_call_free(n, c);
    if (!nobody && sh_runtime_reply(n->r->rt, n->r->token, reply, &res) != 0) {
        sh_remote_answer(n->r, reply, SH_E_LIMIT, SH_UNKNOWN, "no memory for the reply");
    }
    return NULL;
}
