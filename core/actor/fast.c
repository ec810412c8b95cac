/* actor/fast.c - the tell that nearly every tell is: within one executor, short, to an actor that has room. The name was
 * checked when it was first sent from there, its handler found when that type got it last.
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
    uint32_t i = 0;
    while (i < name->n && at[i] == name->text[i]) {
        i++;
    }
    return i == name->n && at[i] == 0;
}

/* NULL: too long to be kept, or no name. */
static struct sh_name *name_learn(struct sh_name *name, const char *at)
{
    const char *end = at ? memchr(at, 0, SH_NAME_KNOWN_MAX + 1) : NULL;
    if (!end || end == at || !sh_utf8_valid(sh_span_of(at, (size_t)(end - at)))) {
        return NULL;
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

int sh_cx_tell_fast(sh_cx *cx, sh_pid to, const char *at, sh_span value)
{
    sh_exec *x = cx->x;
    sh_msg *m = x->pool.free;
    struct sh_name *name = name_place(x, at);
    if (!name_same(name, at)) {
        name = name_learn(name, at);
    }
    bool here = sh_pid_is_local(x, to) && sh_pid_executor(to.actor) == x->index;
    sh_actor *a = here ? sh_actor_at(x, to.actor) : NULL;
    if (!a || !name || !m || !cx->a || value.n > SH_MSG_INLINE - SH_NAME_KNOWN_MAX - 1 ||
        (a->flags & SH_A_CLOSING) || a->queued >= a->limit || !sh_list_empty(&x->wait_list)) {
        return SH_E_MORE;
    }
    x->pool.free = m->next;
    x->pool.live++;
    sh_msg_address(m, to, sh_actor_pid(x, cx->a));
    m->value_len = (uint32_t)value.n;
    m->text_len = 0;
    m->name_len = (uint8_t)name->n;
    m->type_len = 0;
    m->kind = SH_MSG_TELL;
    m->flags = x->pool.home;
    m->why = name_handler(name, a->type);
    memcpy(m->bytes, name->text, sizeof name->text); /* of one length: no call */
    for (size_t i = 0; i < value.n; i++) {
        m->bytes[name->n + i] = value.p[i];
    }
    sh_actor_enqueue(x, a, m);
    return 0;
}
