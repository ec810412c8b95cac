/* remote/export.c - the set of exported actors, swept of the dead; and what a value that goes out exports. */
#include "remote/export.h"

#include "base/mp.h"

enum {
    SWEEP_MIN = 1024,
    EXPORTS_MAX = 1 << 21
}; /* twice max_actors: the dead are swept before it is full */

void sh_export_init(struct sh_exports *e, const sh_mem *mem, uint64_t seed, sh_runtime *rt,
                    uint32_t self_tag, const sh_peer_id *self)
{
    sh_map_u64_init(&e->set, mem, seed, EXPORTS_MAX);
    e->sweep_at = SWEEP_MIN;
    e->rt = rt;
    e->self_tag = self_tag;
    e->self = *self;
}

void sh_export_fini(struct sh_exports *e)
{
    sh_map_u64_fini(&e->set);
}

/* Leaves out the dead. The walk's order shows nowhere: only membership changes. */
static void export_sweep(struct sh_exports *e)
{
    sh_map_u64 live;
    sh_map_u64_init(&live, e->set.mem, e->set.seed, EXPORTS_MAX);
    size_t cursor = 0;
    uint64_t actor;
    while (sh_map_u64_next(&e->set, &cursor, &actor, NULL)) {
        bool alive = sh_runtime_alive(e->rt, (sh_pid){actor, 0, e->self_tag});
        if (alive && sh_map_u64_put(&live, actor, 1) != 0) {
            sh_map_u64_fini(&live);
            return; /* no memory to sweep now: the set stays as it is */
        }
    }
    sh_map_u64_fini(&e->set);
    e->set = live;
    e->sweep_at = live.count * 2 > SWEEP_MIN ? live.count * 2 : SWEEP_MIN;
}

int sh_export_add(struct sh_exports *e, uint64_t actor)
{
    if (sh_map_u64_get(&e->set, actor, NULL)) {
        return 0;
    }
    if (e->set.count >= e->sweep_at) {
        export_sweep(e);
    }
    return sh_map_u64_put(&e->set, actor, 1);
}

bool sh_export_has(const struct sh_exports *e, uint64_t actor)
{
    return sh_map_u64_get(&e->set, actor, NULL);
}

int sh_export_value(struct sh_exports *e, sh_span value)
{
    if (sh_export_needless(value)) {
        return 0;
    }
    sh_mp_refs it = sh_mp_refs_of(value);
    sh_span ref;
    while (sh_mp_refs_next(&it, &ref)) {
        uint64_t actor = sh_load_u64le(ref.p);
        if (sh_span_eq(sh_span_skip(ref, 8), sh_peer_id_span(&e->self)) && actor != 0) {
            int err = sh_export_add(e, actor);
            if (err) {
                return err;
            }
        }
    }
    return 0;
}
