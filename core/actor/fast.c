/* actor/fast.c - what nearly every tell, ask and reply is: within one executor, short, to an actor that has room. The
 * name was checked when it was first sent from there, its handler found when that type got it last.
 *
 * Rule     nothing is refused here: what is not so, or fails, goes the long way (post.c), which says why. */
#include "actor/ask.h"
#include "base/text.h"

/* Where a name may be known; by address only to find it again: what it says decides. */
static struct sh_name *name_place(sh_exec *x, const char *at)
{
    uint64_t h = (uint64_t)(uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15);
    return &x->names[h >> 58];
}

/* The name there is still what it was; reads no further than its NUL. */
static bool name_same(const struct sh_name *name, const char *at)
{
    if (name->at != at || !at) {
        return false;
    }
    const char *known = name->text; /* ends with a NUL */
    while (*at == *known && *at) {
        at++;
        known++;
    }
    return *at == *known;
}

/* NULL: too long to be kept, or no name. */
__attribute__((noinline)) static struct sh_name *name_learn(sh_exec *x, struct sh_name *name,
                                                            const char *at)
{
    const char *end = at ? memchr(at, 0, SH_NAME_KNOWN_MAX + 1) : NULL;
    if (!end || end == at || !sh_utf8_valid(sh_span_of(at, (size_t)(end - at)))) {
        return NULL;
    }
    for (unsigned e = 0; e < SH_RUNTIME_EXECS_MAX; e++) {
        x->packs[e].name = x->packs[e].name == name ? NULL : x->packs[e].name;
    }
    *name = (struct sh_name){.at = at, .n = (uint32_t)(end - at)};
    memcpy(name->text, at, name->n);
    return name;
}

/* The handler's index and 1, if it fits the message's field; else 0: to be looked for again. */
static uint8_t name_handler(struct sh_name *name, const sh_type *type)
{
    if (name->type != type) {
        name->type = type;
        name->index = (uint32_t)(sh_type_find(type, sh_span_of(name->text, name->n)) + 1);
    }
    return name->index <= UINT8_MAX ? (uint8_t)name->index : 0;
}

/* All of m that is read of such a message but who sent it. */
__attribute__((always_inline)) static inline void fast_fill(const sh_exec *x, sh_msg *m,
                                                            enum sh_msg_kind kind, sh_pid to,
                                                            struct sh_name *name, sh_span value,
                                                            const sh_type *type)
{
    m->to = to; /* what only asks and injected messages have stays as it was */
    m->code = 0;
    m->value_len = (uint32_t)value.n;
    m->text_len = 0;
    m->name_len = (uint8_t)name->n;
    m->type_len = 0;
    m->kind = (uint8_t)kind;
    m->flags = x->pool.home;
    m->why = name_handler(name, type);
    memcpy(m->bytes, name->text, sizeof name->text); /* of one length: no call */
    sh_copy_short(m->bytes + name->n, value.p, value.n);
}

/* The message, not yet sent, and *to_actor; NULL: go the long way. */
__attribute__((always_inline)) static inline sh_msg *fast_msg(sh_exec *x, enum sh_msg_kind kind,
                                                              sh_pid to, const char *at,
                                                              sh_span value, sh_actor **to_actor)
{
    sh_msg *m = x->pool.free;
    struct sh_name *name = name_place(x, at);
    if (!name_same(name, at)) {
        name = name_learn(x, name, at);
    }
    bool here = sh_pid_is_local(x, to) && sh_pid_executor(to.actor) == x->index;
    sh_actor *a = here ? sh_actor_at(x, to.actor) : NULL;
    if (!a || !name || !m || value.n > SH_COPY_SHORT_MAX || (a->flags & SH_A_CLOSING) ||
        a->queued >= a->limit || !sh_list_empty(&x->wait_list)) {
        return NULL;
    }
    sh_msg_take_free(&x->pool);
    fast_fill(x, m, kind, to, name, value, a->type);
    *to_actor = a;
    return m;
}

/* To an actor of another executor. */
__attribute__((noinline)) static int tell_across(sh_cx *cx, sh_pid to, const char *at,
                                                 sh_span value)
{
    sh_exec *x = cx->x;
    unsigned e = sh_pid_executor(to.actor);
    if (!sh_pid_is_local(x, to) || e == x->index || e >= x->rt->cfg.execs || !cx->a ||
        value.n > SH_COPY_SHORT_MAX || !sh_list_empty(&x->wait_list)) {
        return SH_E_MORE;
    }
    struct sh_name *name = name_place(x, at);
    if (!name_same(name, at)) {
        name = name_learn(x, name, at);
    }
    struct sh_credit *credit = NULL;
    if (!name || sh_cross_take(x, to, false, &credit)) {
        return SH_E_MORE;
    }
    if (x->chains[e].head && credit->bounded &&
        sh_cross_pack(x, to, cx->a->id, name, name_handler(name, credit->type), value)) {
        return 0;
    }
    sh_msg *m = x->pool.free;
    if (!m) {
        sh_cross_untake(x, credit);
        return SH_E_MORE;
    }
    sh_msg_take_free(&x->pool);
    fast_fill(x, m, SH_MSG_TELL, to, name, value, credit->type);
    m->from = sh_actor_pid(x, cx->a);
    m->flags = x->pool.home | SH_MSG_GATED;
    sh_chain_add(&x->chains[e], m);
    return 0;
}

int sh_cx_tell_fast(sh_cx *cx, sh_pid to, const char *name, sh_span value)
{
    sh_actor *a = NULL;
    sh_msg *m = cx->a ? fast_msg(cx->x, SH_MSG_TELL, to, name, value, &a) : NULL;
    if (!m) {
        return tell_across(cx, to, name, value);
    }
    m->from = sh_actor_pid(cx->x, cx->a);
    sh_actor_enqueue(cx->x, a, m);
    return 0;
}

int sh_tell_object_fast(sh_exec *x, sh_pid to, sh_pid from, const char *name,
                        const sh_object *object)
{
    sh_actor *a = NULL;
    bool host = x->index == sh_runtime_host(x->rt); /* as sh_object_here */
    sh_msg *m = host ? fast_msg(x, SH_MSG_TELL, to, name, sh_span_none(), &a) : NULL;
    if (!m) {
        return SH_E_MORE;
    }
    m->from = from;
    m->flags |= SH_MSG_OWNED;
    m->object = *object;
    sh_actor_enqueue(x, a, m);
    return 0;
}
SH_STATIC_ASSERT(sizeof((struct sh_name *)NULL)->text <= SH_MSG_INLINE_OBJECT, "before the object");

int sh_cx_tell_object_fast(sh_cx *cx, sh_pid to, const char *name, const sh_object *object)
{
    return cx->a ? sh_tell_object_fast(cx->x, to, sh_actor_pid(cx->x, cx->a), name, object)
                 : SH_E_MORE;
}

int64_t sh_cx_ask_fast(sh_cx *cx, sh_pid to, const char *name, sh_span value, uint64_t us,
                       sh_then_fn *then, void *ud)
{
    sh_exec *x = cx->x;
    sh_actor *a = NULL;
    sh_msg *m = sh_cx_may_wait(cx) ? fast_msg(x, SH_MSG_ASK, to, name, value, &a) : NULL;
    if (!m) {
        return SH_E_MORE;
    }
    m->from = sh_actor_pid(x, cx->a);
    m->deadline_us = sh_cx_deadline(cx, us);
    bool itself = a == cx->a && !(a->flags & SH_A_REENTRANT);
    int64_t call = itself ? SH_E_USAGE : sh_ask_begin_here(x, cx, to, then, ud, m);
    if (call < 0) {
        sh_msg_give(&x->pool, m);
        return SH_E_MORE;
    }
    sh_actor_enqueue(x, a, m);
    return call;
}

/* An answer to an ask of this executor that fits into a message: false: go the long way. */
bool sh_fast_reply(sh_exec *x, sh_pid reply, sh_span value)
{
    bool here = sh_pid_is_slot(reply) && (sh_pid_executor(reply.actor) & 0x7fu) == x->index;
    sh_msg *m = x->pool.free;
    if (!here || !m || value.n > SH_COPY_SHORT_MAX) {
        return false;
    }
    sh_msg_take_free(&x->pool);
    sh_msg_address(m, reply, sh_pid_none());
    m->value_len = (uint32_t)value.n;
    m->text_len = 0;
    m->name_len = 0;
    m->type_len = 0;
    m->kind = SH_MSG_REPLY;
    m->flags = x->pool.home;
    sh_copy_short(m->bytes, value.p, value.n);
    sh_ask_arrive(x, m);
    return true;
}
