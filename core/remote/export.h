/* remote/export.h - which local actors other nodes may call: registered, handed out, or senders to other nodes.
 *
 * Shape    a set of actor numbers, swept of the dead when it has doubled.   Threads  confined. */
#ifndef SH_REMOTE_EXPORT_H
#define SH_REMOTE_EXPORT_H

#include "actor/runtime.h"
#include "base/map.h"
#include "base/mp.h"
#include "crypto/peer_id.h"

struct sh_exports {
    sh_map_u64 set;
    size_t sweep_at;
    sh_runtime *rt;
    uint32_t self_tag;
    sh_peer_id self;
};

void sh_export_init(struct sh_exports *e, const sh_mem *mem, uint64_t seed, sh_runtime *rt,
                    uint32_t self_tag, const sh_peer_id *self);
void sh_export_fini(struct sh_exports *e);
int sh_export_add(struct sh_exports *e, uint64_t actor); /* 0, SH_E_LIMIT, SH_E_NOMEM */
bool sh_export_has(const struct sh_exports *e, uint64_t actor);
/* No room for a ref, or bytes as a whole: most values. */
static inline bool sh_export_needless(sh_span value)
{
    return value.n < SH_MP_REF_MIN || (value.p[0] >= 0xc4 && value.p[0] <= 0xc6);
}
/* Exports every actor of ours whose ref lies in a value that goes out. */
int sh_export_value(struct sh_exports *e, sh_span value);

#endif
