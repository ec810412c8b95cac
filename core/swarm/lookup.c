/* swarm/lookup.c - one iterative query. */
#include "swarm/lookup.h"

#include "swarm/kbucket.h"

void sh_lookup_init(sh_lookup *l, const uint8_t target[32], uint32_t self)
{
    memset(l, 0, sizeof *l);
    memcpy(l->target, target, 32);
    l->self = self;
    l->k = SH_KAD_K;
    l->alpha = SH_KAD_ALPHA;
    l->slow_us = SH_LOOKUP_SLOW_US;
}

static struct sh_lookup_node *lookup_find(sh_lookup *l, uint32_t tag)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->nodes[i].tag == tag) {
            return &l->nodes[i];
        }
    }
    return NULL;
}

unsigned sh_lookup_path_of(const sh_lookup *l, uint32_t tag)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->nodes[i].tag == tag) {
            return l->nodes[i].path;
        }
    }
    return SH_LOOKUP_PATHS;
}

static unsigned lookup_paths(const sh_lookup *l)
{
    return l->paths > 0 ? l->paths : 1;
}

/* A path's share of what it wants, rounded up. */
static unsigned lookup_share(const sh_lookup *l, unsigned whole)
{
    return (whole + lookup_paths(l) - 1) / lookup_paths(l);
}

/* A path's share of a limit, rounded down: all of them together keep to it. */
static unsigned lookup_quota(const sh_lookup *l, unsigned limit)
{
    return limit / lookup_paths(l);
}

static bool lookup_spent(const sh_lookup *l, unsigned path)
{
    return l->path[path].asked >= lookup_quota(l, SH_LOOKUP_ASKED_MAX);
}

static unsigned lookup_place(const sh_lookup *l, const uint8_t key[32])
{
    unsigned at = l->count;
    while (at > 0 && sh_kcloser(l->target, key, l->nodes[at - 1].key) < 0) {
        at--;
    }
    return at;
}

/* Makes room on a path: its farthest candidate beyond `at` that nobody has asked goes, else its farthest failed one. */
static bool lookup_shrink(sh_lookup *l, unsigned path, unsigned at, uint32_t *dropped)
{
    unsigned go = l->count;
    for (unsigned i = l->count; i > 0 && go == l->count; i--) {
        const struct sh_lookup_node *n = &l->nodes[i - 1];
        go = n->path == path && n->state == SH_LOOKUP_NEW && i > at ? i - 1 : go;
    }
    for (unsigned i = l->count; i > 0 && go == l->count; i--) {
        const struct sh_lookup_node *n = &l->nodes[i - 1];
        go = n->path == path && n->state == SH_LOOKUP_FAILED ? i - 1 : go;
    }
    if (go == l->count) {
        return false;
    }
    *dropped = l->nodes[go].tag;
    memmove(&l->nodes[go], &l->nodes[go + 1], (l->count - go - 1) * sizeof l->nodes[0]);
    l->count--;
    l->path[path].count--;
    return true;
}

static bool lookup_insert(sh_lookup *l, unsigned path, const uint8_t key[32], uint32_t tag,
                          uint32_t *dropped)
{
    if (l->path[path].count >= lookup_quota(l, SH_LOOKUP_NODES_MAX) &&
        !lookup_shrink(l, path, lookup_place(l, key), dropped)) {
        return false;
    }
    unsigned at = lookup_place(l, key);
    memmove(&l->nodes[at + 1], &l->nodes[at], (l->count - at) * sizeof l->nodes[0]);
    struct sh_lookup_node *n = &l->nodes[at];
    memset(n, 0, sizeof *n);
    memcpy(n->key, key, 32);
    n->tag = tag;
    n->path = (uint8_t)path;
    n->tried = (uint8_t)(1u << path);
    l->count++;
    l->path[path].count++;
    return true;
}

bool sh_lookup_seed(sh_lookup *l, const uint8_t key[32], uint32_t tag)
{
    uint32_t dropped;
    if (tag == l->self || l->count == SH_KAD_K || lookup_find(l, tag)) {
        return false;
    }
    unsigned path = l->seeds++ % SH_LOOKUP_PATHS;
    l->paths = l->seeds < SH_LOOKUP_PATHS ? l->seeds : SH_LOOKUP_PATHS;
    return lookup_insert(l, path, key, tag, &dropped); /* k of them fit on one path */
}

bool sh_lookup_add(sh_lookup *l, uint32_t by, const uint8_t key[32], uint32_t tag,
                   uint32_t *dropped)
{
    unsigned path = sh_lookup_path_of(l, by);
    *dropped = SH_LOOKUP_NOBODY;
    if (tag == l->self || path == SH_LOOKUP_PATHS) {
        return false;
    }
    struct sh_lookup_node *n = lookup_find(l, tag);
    if (!n) {
        return lookup_insert(l, path, key, tag, dropped);
    }
    bool room = l->path[path].count < lookup_quota(l, SH_LOOKUP_NODES_MAX);
    if (n->state == SH_LOOKUP_FAILED && !(n->tried >> path & 1) && room) {
        l->path[n->path].count--;
        l->path[path].count++;
        n->path = (uint8_t)path;
        n->tried |= (uint8_t)(1u << path);
        n->state = SH_LOOKUP_NEW;
    }
    return false;
}

/* Is one of those that matter without an answer? Finds the nearest not yet asked on the path with the fewest requests
 * in flight. */
static bool lookup_open(const sh_lookup *l, const struct sh_lookup_node **fresh)
{
    unsigned counted = 0, of_path[SH_LOOKUP_PATHS] = {0};
    unsigned share = lookup_share(l, l->k), cap = lookup_share(l, l->alpha);
    bool open = false;
    *fresh = NULL;
    for (unsigned i = 0; i < l->count; i++) {
        const struct sh_lookup_node *n = &l->nodes[i];
        bool asks = n->state == SH_LOOKUP_NEW;
        if (n->state == SH_LOOKUP_FAILED || n->state == SH_LOOKUP_SLOW ||
            (asks && lookup_spent(l, n->path)) || (counted >= l->k && of_path[n->path] >= share)) {
            continue;
        }
        counted++;
        of_path[n->path]++;
        open = open || asks || n->state == SH_LOOKUP_ASKED;
        const struct sh_lookup_path *p = &l->path[n->path];
        if (asks && p->in_flight < cap &&
            (!*fresh || p->in_flight < l->path[(*fresh)->path].in_flight)) {
            *fresh = n;
        }
    }
    return open;
}

bool sh_lookup_next(sh_lookup *l, uint64_t now_us, uint32_t *tag)
{
    const struct sh_lookup_node *fresh;
    if (l->in_flight >= l->alpha || !lookup_open(l, &fresh) || !fresh) {
        return false;
    }
    struct sh_lookup_node *n = &l->nodes[fresh - l->nodes];
    n->state = SH_LOOKUP_ASKED;
    n->asked_us = now_us;
    l->in_flight++;
    l->path[n->path].in_flight++;
    l->asked++;
    l->path[n->path].asked++;
    *tag = n->tag;
    return true;
}

static void lookup_settle(sh_lookup *l, uint32_t tag, enum sh_lookup_state state)
{
    struct sh_lookup_node *n = lookup_find(l, tag);
    if (!n || n->state == SH_LOOKUP_ANSWERED || n->state == SH_LOOKUP_FAILED) {
        return;
    }
    if (n->state == SH_LOOKUP_ASKED) {
        l->in_flight--;
        l->path[n->path].in_flight--;
    }
    n->state = state;
    l->answered += state == SH_LOOKUP_ANSWERED ? 1u : 0u;
}

void sh_lookup_on_reply(sh_lookup *l, uint32_t tag)
{
    lookup_settle(l, tag, SH_LOOKUP_ANSWERED);
}

void sh_lookup_on_fail(sh_lookup *l, uint32_t tag)
{
    lookup_settle(l, tag, SH_LOOKUP_FAILED);
}

void sh_lookup_tick(sh_lookup *l, uint64_t now_us)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct sh_lookup_node *n = &l->nodes[i];
        if (n->state == SH_LOOKUP_ASKED && now_us >= n->asked_us + l->slow_us) {
            n->state = SH_LOOKUP_SLOW;
            l->in_flight--;
            l->path[n->path].in_flight--;
        }
    }
}

uint64_t sh_lookup_deadline(const sh_lookup *l)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < l->count; i++) {
        const struct sh_lookup_node *n = &l->nodes[i];
        if (n->state == SH_LOOKUP_ASKED && n->asked_us + l->slow_us < next) {
            next = n->asked_us + l->slow_us;
        }
    }
    return next;
}

bool sh_lookup_finished(const sh_lookup *l)
{
    const struct sh_lookup_node *fresh;
    return !lookup_open(l, &fresh);
}

unsigned sh_lookup_closest(const sh_lookup *l, uint32_t *tags, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < l->count && count < n; i++) {
        if (l->nodes[i].state == SH_LOOKUP_ANSWERED) {
            tags[count++] = l->nodes[i].tag;
        }
    }
    return count;
}
