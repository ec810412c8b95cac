/* remote/calls_in.c - calls of peers, whatever wire they came by: the address each is answered at. */
#include "remote/internal.h"

struct sh_call_in *sh_call_in_new(sh_remote *r, struct sh_rpeer *p, sh_pid *reply, uint32_t *index)
{
    uint32_t generation;
    void *object;
    if (sh_quota_take(r->quota, sizeof(struct sh_call_in)) != 0) {
        return NULL;
    }
    if (sh_slab_alloc(&r->calls_in, index, &generation, &object) != 0) {
        sh_quota_give(r->quota, sizeof(struct sh_call_in));
        return NULL;
    }
    struct sh_call_in *c = object;
    c->peer = p;
    c->actor = sh_pid_actor(generation, SH_CALL_IN_EXECUTOR, *index);
    *reply = sh_rpeer_pid(p, c->actor);
    sh_list_init(&c->link);
    return c;
}

struct sh_call_in *sh_call_in_of(sh_remote *r, uint64_t actor)
{
    if (sh_pid_executor(actor) != SH_CALL_IN_EXECUTOR) {
        return NULL;
    }
    return sh_slab_get(&r->calls_in, sh_pid_slot(actor), sh_pid_generation(actor));
}

void sh_call_in_free(sh_remote *r, struct sh_call_in *c)
{
    sh_slab_free(&r->calls_in, sh_pid_slot(c->actor), sh_pid_generation(c->actor));
    sh_quota_give(r->quota, sizeof(struct sh_call_in));
}
