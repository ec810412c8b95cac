/* remote/wires.c - wire requests: the address a call of a peer is answered at. */
#include "remote/internal.h"

struct sh_wire *sh_wire_new(sh_remote *r, struct sh_rpeer *p, sh_pid *reply, uint32_t *index)
{
    uint32_t generation;
    void *object;
    if (sh_quota_take(r->quota, sizeof(struct sh_wire)) != 0) {
        return NULL;
    }
    if (sh_slab_alloc(&r->wires, index, &generation, &object) != 0) {
        sh_quota_give(r->quota, sizeof(struct sh_wire));
        return NULL;
    }
    struct sh_wire *w = object;
    w->peer = p;
    w->actor = sh_pid_actor(generation, SH_WIRE_EXECUTOR, *index);
    *reply = sh_rpeer_pid(p, w->actor);
    sh_list_init(&w->link);
    return w;
}

struct sh_wire *sh_wire_of(sh_remote *r, uint64_t actor)
{
    if (sh_pid_executor(actor) != SH_WIRE_EXECUTOR) {
        return NULL;
    }
    return sh_slab_get(&r->wires, sh_pid_slot(actor), sh_pid_generation(actor));
}

void sh_wire_free(sh_remote *r, struct sh_wire *w)
{
    sh_slab_free(&r->wires, sh_pid_slot(w->actor), sh_pid_generation(w->actor));
    sh_quota_give(r->quota, sizeof(struct sh_wire));
}
