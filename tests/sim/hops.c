/* tests/sim/hops.c - listens in on functions of core/swarm, wrapped by the linker in bin/shoal-sim only. */
#include "hops.h"

#include <string.h>

#include "swarm/kad.h"
#include "swarm/query.h"

enum { SEEN_MAX = 4096, HOPS_MAX = 64 };

bool __real_sh_lookup_seed(sh_lookup *l, const uint8_t *key, uint32_t tag);
bool __wrap_sh_lookup_seed(sh_lookup *l, const uint8_t *key, uint32_t tag);
bool __real_sh_lookup_add(sh_lookup *l, uint32_t by, const uint8_t *key, uint32_t tag,
                          uint32_t *dropped);
bool __wrap_sh_lookup_add(sh_lookup *l, uint32_t by, const uint8_t *key, uint32_t tag,
                          uint32_t *dropped);
void __real_sh_query_settle(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                            const struct sh_kad_msg *m);
void __wrap_sh_query_settle(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                            const struct sh_kad_msg *m);
int __real_sh_kad_ask(struct sh_swarm *s, struct sh_peer *p, enum sh_kad_type type,
                      enum sh_asker asker, void *owner);
int __wrap_sh_kad_ask(struct sh_swarm *s, struct sh_peer *p, enum sh_kad_type type,
                      enum sh_asker asker, void *owner);

struct seen { /* a candidate of a query: how many steps away it was */
    const sh_lookup *lookup;
    uint32_t tag;
    unsigned steps;
};

static bool counting;
static struct seen seen[SEEN_MAX];
static unsigned seen_count;
static unsigned of_hops[HOPS_MAX];
static unsigned least; /* of the current one, to a peer that named the holder; 0: not yet */
static uint64_t lookups, messages;

static void settle(void)
{
    if (lookups > 0) {
        of_hops[least < HOPS_MAX ? least : HOPS_MAX - 1]++;
    }
    least = 0;
    seen_count = 0;
}

void hops_begin(void)
{
    counting = true;
    lookups = messages = 0;
    memset(of_hops, 0, sizeof of_hops);
    settle();
}

void hops_next(void)
{
    settle();
    lookups++;
}

static unsigned percentile(unsigned percent)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HOPS_MAX; i++) {
        sum += of_hops[i];
        if (sum * 100 >= lookups * percent) {
            return i;
        }
    }
    return HOPS_MAX;
}

void hops_end(struct hops *out)
{
    settle();
    counting = false;
    uint64_t hops = 0;
    for (unsigned i = 0; i < HOPS_MAX; i++) {
        hops += (uint64_t)of_hops[i] * i;
    }
    double n = lookups ? (double)lookups : 1;
    *out = (struct hops){percentile(50), percentile(90), (double)hops / n, (double)messages / n,
                         lookups};
}

static unsigned steps_of(const sh_lookup *l, uint32_t tag)
{
    for (unsigned i = 0; i < seen_count; i++) {
        if (seen[i].lookup == l && seen[i].tag == tag) {
            return seen[i].steps;
        }
    }
    return 0;
}

static void see(const sh_lookup *l, uint32_t tag, unsigned steps)
{
    if (counting && seen_count < SEEN_MAX && steps_of(l, tag) == 0) {
        seen[seen_count++] = (struct seen){l, tag, steps};
    }
}

bool __wrap_sh_lookup_seed(sh_lookup *l, const uint8_t *key, uint32_t tag)
{
    see(l, tag, 1);
    return __real_sh_lookup_seed(l, key, tag);
}

bool __wrap_sh_lookup_add(sh_lookup *l, uint32_t by, const uint8_t *key, uint32_t tag,
                          uint32_t *dropped)
{
    see(l, tag, steps_of(l, by) + 1);
    return __real_sh_lookup_add(l, by, key, tag, dropped);
}

void __wrap_sh_query_settle(struct sh_swarm *s, struct sh_query *q, struct sh_peer *from,
                            const struct sh_kad_msg *m)
{
    if (counting && least == 0 && q->purpose == SH_FOR_USER && m && m->provider_count > 0) {
        least = steps_of(&q->lookup, from->ref.index);
    }
    __real_sh_query_settle(s, q, from, m);
}

int __wrap_sh_kad_ask(struct sh_swarm *s, struct sh_peer *p, enum sh_kad_type type,
                      enum sh_asker asker, void *owner)
{
    const struct sh_query *q = owner;
    bool ours = (asker == SH_ASK_QUERY || asker == SH_ASK_GET) && q->purpose <= SH_FOR_GET;
    messages += counting && ours;
    return __real_sh_kad_ask(s, p, type, asker, owner);
}
