/* remote/refs.c - pids in portable form and back: u64 LE actor, then the peer id's bytes; a ref given out by hand. */
#include "base/mp.h"
#include "remote/internal.h"

int sh_remote_pid_of_ref(sh_remote *r, sh_span ref, sh_pid *out)
{
    sh_peer_id id;
    if (ref.n < SH_MP_REF_MIN || sh_peer_id_from_bytes(&id, sh_span_skip(ref, 8)) != 0) {
        return SH_E_BAD_VALUE;
    }
    uint64_t actor = sh_load_u64le(ref.p);
    struct sh_peer_ref peer;
    if (sh_peer_id_eq(&id, &r->self)) {
        *out = sh_remote_own(r, actor);
        return 0;
    }
    if (sh_swarm_peer(r->swarm, &id, &peer) != 0) {
        return SH_E_LIMIT;
    }
    struct sh_rpeer *p =
        sh_remote_peer(r, peer); /* opens its gate: the pid can be sent to from now on */
    if (!p) {
        return SH_E_LIMIT;
    }
    *out = sh_rpeer_pid(p, actor);
    return 0;
}

int sh_remote_ref_of_pid(const sh_remote *r, sh_pid pid, uint8_t *out, size_t cap)
{
    const sh_peer_id *id = &r->self;
    if (pid.node != 0) {
        id = sh_swarm_peer_id(r->swarm, (struct sh_peer_ref){pid.node, pid.check});
    }
    if (!id) {
        return SH_E_UNREACHABLE;
    }
    sh_writer w = sh_writer_of(out, cap);
    sh_put_u64le(&w, pid.actor);
    sh_put_bytes(&w, sh_peer_id_span(id));
    return sh_put_len(&w);
}

int sh_remote_node_pid(sh_remote *r, const sh_peer_id *id, sh_pid *out)
{
    uint8_t ref[8 + SH_PEER_ID_MAX] = {0};
    memcpy(ref + 8, id->b, id->n);
    return sh_remote_pid_of_ref(r, sh_span_of(ref, 8u + id->n), out);
}

int sh_remote_export(sh_remote *r, sh_pid pid)
{
    if (pid.node != 0 || pid.actor == 0) {
        return SH_E_USAGE;
    }
    return sh_export_add(&r->exports, pid.actor) == 0 ? 0 : SH_E_LIMIT;
}
