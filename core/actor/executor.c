/* actor/executor.c - an executor: made and freed, who is inside, sleep and wake, what it hands to others. */
#include "actor/ask.h"

int sh_exec_new(sh_runtime *rt, unsigned index, uint64_t now_us, sh_exec **out)
{
    const struct sh_runtime_config *cfg = &rt->cfg;
    /* Aligned by hand: sh_mem aligns as malloc, the fields threads share want cache lines of their own. */
    sh_exec *x = sh_mem_zalloc(cfg->mem, sizeof *x + 64);
    if (!x) {
        return SH_E_LIMIT;
    }
    uintptr_t raw = (uintptr_t)x;
    x = (void *)((raw + 63) & ~(uintptr_t)63);
    x->raw = (void *)raw;
    x->rt = rt;
    x->index = index;
    x->now_us = now_us;
    sh_msg_pool_init(&x->pool, cfg->mem, cfg->quota[index], (uint8_t)index);
    const sh_rng *rng = cfg->rng[index];
    sh_slab_init(&x->actors, cfg->mem, sizeof(sh_actor), cfg->actors_max,
                 (uint32_t)sh_rng_u64(rng));
    sh_slab_init(&x->slots, cfg->mem, sizeof(sh_slot), cfg->asks_max, (uint32_t)sh_rng_u64(rng));
    sh_timer_table_init(x);
    sh_list_init(&x->orphans);
    sh_list_init(&x->wait_list);
    sh_map_u64_init(&x->waits, cfg->mem, sh_rng_u64(rng), cfg->asks_max);
    sh_map_u64_init(&x->deferred, cfg->mem, sh_rng_u64(rng), cfg->asks_max);
    sh_map_u64_init(&x->askers, cfg->mem, x->deferred.seed, SH_MAP_COUNT_MAX);
    sh_wheel_init(&x->wheel, now_us);
    *out = x;
    int gates = sh_gates_init(&x->gates, cfg->mem, cfg->actors_max);
    int types = sh_gates_init(&x->types, cfg->mem, cfg->actors_max);
    return gates ? gates : types;
}

static void free_queue(sh_exec *x, sh_msg_queue *q)
{
    for (sh_msg *m = sh_msg_queue_pop(q); m; m = sh_msg_queue_pop(q)) {
        m->flags &= (uint8_t)~SH_MSG_INJECTED;
        sh_exec_release(x, m);
    }
}

void sh_exec_drop_queues(sh_exec *x)
{
    free_queue(x, &x->outbox);
    free_queue(x, &x->requests);
    free_queue(x, &x->events);
    free_queue(x, &x->returned);
    if (x->event_taken) {
        sh_exec_release(x, x->event_taken);
        x->event_taken = NULL;
    }
    if (x->last_text) {
        sh_exec_release(x, x->last_text);
        x->last_text = NULL;
    }
}

void sh_exec_free(sh_exec *x)
{
    if (!x) {
        return;
    }
    const sh_mem *mem = x->rt->cfg.mem;
    while (!sh_list_empty(&x->orphans)) {
        sh_cx_free(x, SH_CONTAINER(sh_list_pop(&x->orphans), sh_cx, link));
    }
    if (x->fresh) {
        sh_cx_free(x, x->fresh);
    }
    while (x->cx_free) {
        sh_cx *cx = x->cx_free;
        x->cx_free = (sh_cx *)(void *)cx->link.next;
        sh_mem_free(mem, cx, sizeof *cx);
    }
    sh_mem_free(mem, x->links.buckets, x->links.size * sizeof *x->links.buckets);
    sh_msg_pool_fini(&x->pool);
    sh_slab_fini(&x->actors);
    sh_slab_fini(&x->slots);
    sh_slab_fini(&x->timers);
    sh_map_u64_fini(&x->waits);
    sh_map_u64_fini(&x->deferred);
    sh_map_u64_fini(&x->askers);
    sh_gates_fini(&x->gates);
    sh_gates_fini(&x->types);
    sh_mem_free(mem, x->raw, sizeof *x + 64);
}

/* --- inside --- */

bool sh_exec_enter(sh_exec *x, uint64_t token)
{
    SH_ASSERT(token != 0);
    uint64_t nobody = 0;
    /* Acquire pairs with the release of sh_exec_leave: we see all that the last one inside did. */
    bool in = atomic_load_explicit(&x->inside, memory_order_relaxed) == 0 &&
              atomic_compare_exchange_strong_explicit(&x->inside, &nobody, token,
                                                      memory_order_acquire, memory_order_relaxed);
    if (in) {
        x->entries++;
    }
    return in;
}

uint64_t sh_exec_entries(const sh_exec *x)
{
    return x->entries;
}

void sh_exec_leave(sh_exec *x, uint64_t token)
{
    SH_ASSERT(sh_exec_inside(x, token));
    atomic_store_explicit(&x->inside, 0, memory_order_release);
}

void sh_exec_hand_back(sh_exec *x, uint64_t token)
{
    sh_exec_flush(x);
    sh_exec_leave(x, token);
    sh_exec_wake(x);
}

bool sh_exec_inside(const sh_exec *x, uint64_t token)
{
    /* Relaxed: only the calling thread itself can have stored its token. */
    return atomic_load_explicit(&x->inside, memory_order_relaxed) == token;
}

unsigned sh_exec_index(const sh_exec *x)
{
    return x->index;
}

void sh_exec_wake(sh_exec *target)
{
    const struct sh_runtime_config *cfg = &target->rt->cfg;
    /* Seq_cst pairs with sh_exec_sleep: either it sees what was pushed, or we see that it sleeps. */
    if (atomic_load_explicit(&target->asleep, memory_order_seq_cst) &&
        atomic_exchange_explicit(&target->asleep, 0, memory_order_seq_cst) && cfg->wake) {
        cfg->wake(cfg->wake_ud, target->index);
    }
}

bool sh_exec_sleep(sh_exec *x)
{
    atomic_store_explicit(&x->asleep, 1, memory_order_seq_cst);
    if (sh_exec_has_work(x) || !sh_inbox_empty(&x->inbox) ||
        atomic_load_explicit(&x->nudged, memory_order_seq_cst)) {
        atomic_store_explicit(&x->asleep, 0, memory_order_seq_cst);
        return false;
    }
    return true;
}

bool sh_exec_asleep(const sh_exec *x)
{
    /* Seq_cst: pairs with sh_exec_wake. */
    return atomic_load_explicit(&x->asleep, memory_order_seq_cst) != 0;
}

void sh_exec_nudge(sh_exec *target, enum sh_nudge what)
{
    /* Seq_cst: as a push, before the look at `asleep`. */
    atomic_fetch_or_explicit(&target->nudged, what, memory_order_seq_cst);
    sh_exec_wake(target);
}

void sh_exec_nudge_all(sh_exec *x)
{
    for (unsigned e = 0; e < x->rt->cfg.execs; e++) {
        sh_exec *other = x->rt->exec[e];
        if (other == x) {
            x->rescan = true;
        } else if (other) {
            sh_exec_nudge(other, SH_NUDGE_ROOM);
        }
    }
}

/* --- across --- */

void sh_exec_flush(sh_exec *x)
{
    for (unsigned e = 0; e < x->rt->cfg.execs; e++) {
        sh_exec *other = x->rt->exec[e];
        bool wake = false;
        if (x->home_chains[e].head) {
            sh_inbox_push(&other->homes, &x->home_chains[e]);
            wake = x->home_credit;
        }
        if (x->home_bundles[e].head) {
            sh_cross_send_home(x, e);
        }
        if (x->chains[e].head) {
            x->packs[e].m = NULL;
            sh_inbox_push(&other->inbox, &x->chains[e]);
            wake = true;
        }
        if (wake) {
            sh_exec_wake(other);
        }
    }
    x->home_credit = false;
    if (x->credits_out) {
        sh_cross_give_back(x);
    }
}

void sh_exec_take_homes(sh_exec *x)
{
    sh_cross_take_home(x);
    sh_msg *m = sh_inbox_take(&x->homes);
    while (m) {
        sh_msg *next = m->next;
        sh_exec_release(x, m);
        m = next;
    }
}

/* --- what it is asked --- */

uint64_t sh_exec_deadline(const sh_exec *x)
{
    if (sh_exec_has_work(x) || !sh_inbox_empty(&x->inbox) ||
        atomic_load_explicit(&x->nudged, memory_order_relaxed)) {
        return 0;
    }
    return sh_wheel_next_us(&x->wheel);
}

void sh_exec_stats(const sh_exec *x, struct sh_exec_stats *out)
{
    *out = x->stats;
    out->asks = x->slots.count;
    out->messages = x->pool.live;
    out->ready = x->ready_count;
}

sh_span sh_exec_last_text(const sh_exec *x)
{
    return x->last_text ? sh_msg_text(x->last_text) : sh_span_none();
}
