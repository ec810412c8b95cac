/* remote/peers.c - peers that a pid of ours may name: made when first needed, found by their place in the table of the
 * swarm, held while something is open with them. */
#include "remote/internal.h"

enum { PEERS_FIRST = 64 };

struct sh_rpeer *sh_remote_peer_at(const sh_remote *r, uint32_t index, uint32_t check)
{
    struct sh_rpeer *p = index < r->peers_cap ? r->peers[index] : NULL;
    return p && p->ref.check == check ? p : NULL;
}

static bool remote_peers_room(sh_remote *r, uint32_t index)
{
    size_t cap = r->peers_cap ? r->peers_cap : PEERS_FIRST;
    while (cap <= index) {
        cap *= 2;
    }
    if (cap == r->peers_cap) {
        return true;
    }
    struct sh_rpeer **at =
        sh_mem_resize(r->mem, r->peers, r->peers_cap * sizeof *at, cap * sizeof *at);
    if (!at) {
        return false;
    }
    memset(at + r->peers_cap, 0, (cap - r->peers_cap) * sizeof *at);
    r->peers = at;
    r->peers_cap = cap;
    return true;
}

struct sh_rpeer *sh_remote_peer(sh_remote *r, struct sh_peer_ref ref)
{
    struct sh_rpeer *p = sh_remote_peer_at(r, ref.index, ref.check);
    if (p) {
        return p;
    }
    if (ref.index == 0 || ref.index >= SH_PEERS_TABLE_MAX || !sh_swarm_peer_id(r->swarm, ref) ||
        !remote_peers_room(r, ref.index)) {
        return NULL;
    }
    if (r->peers[ref.index]) { /* the swarm gave the entry to another peer */
        sh_remote_peer_free(r->peers[ref.index]);
    }
    if (sh_quota_take(r->quota, sizeof *p) != 0) {
        return NULL;
    }
    p = sh_mem_zalloc(r->mem, sizeof *p);
    if (!p || sh_runtime_peer_gate_open(r->rt, ref.index, ref.check, SH_SESSION_QUEUE_MAX) != 0) {
        sh_mem_free(r->mem, p, sizeof *p);
        sh_quota_give(r->quota, sizeof *p);
        return NULL;
    }
    p->r = r;
    p->ref = ref;
    p->ops = &sh_native_ops;
    p->timer.kind = SH_TIMER_PEER;
    sh_timer_init(&p->timer.timer);
    sh_list_init(&p->dirty_link);
    sh_list_push_back(&r->peers_all, &p->all_link);
    sh_watch_init(p);
    r->peers[ref.index] = p;
    return p;
}

void sh_remote_peer_free(struct sh_rpeer *p)
{
    sh_remote *r = p->r;
    p->ops->free(p);
    r->session_late.serial = 0;
    sh_watch_fini(p);
    sh_runtime_peer_gate_close(r->rt, p->ref.index);
    sh_remote_hold(p, false);
    sh_wheel_cancel(&r->wheel, &p->timer.timer);
    sh_list_remove(&p->dirty_link);
    sh_list_remove(&p->all_link);
    r->peers[p->ref.index] = NULL;
    sh_mem_free(r->mem, p, sizeof *p);
    sh_quota_give(r->quota, sizeof *p);
}

void sh_remote_touch(struct sh_rpeer *p)
{
    if (sh_list_empty(&p->dirty_link)) {
        sh_list_push_back(&p->r->dirty, &p->dirty_link);
    }
}

void sh_remote_hold(struct sh_rpeer *p, bool want)
{
    if (p->held == want) {
        return;
    }
    p->held = want;
    if (want) {
        sh_swarm_hold(p->r->swarm, p->ref);
    } else {
        sh_swarm_release(p->r->swarm, p->ref);
    }
}
