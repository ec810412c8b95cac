/* tests/abi/sim_world.h - nodes of a simulation, and a pair of them that know each other by name. */
#ifndef SHOAL_TEST_ABI_SIM_WORLD_H
#define SHOAL_TEST_ABI_SIM_WORLD_H

#include "world.h"

enum { MS = 1000, SECOND = 1000 * MS };

static inline shoal_node *sim_node(shoal_sim *sim, uint32_t threads, const char *dial)
{
    static const char *const any[] = {"/ip4/0.0.0.0/tcp/4001"};
    shoal_node_config cfg = loopback_config(threads);
    shoal_node *node = NULL;
    cfg.listen = any;
    cfg.dial = &dial;
    cfg.dial_count = dial != NULL;
    cfg.log_level = SHOAL_LOG_ERROR;
    int code = shoal_sim_node(sim, &cfg, &node);
    return node_born(code, node);
}

static inline int64_t asked_i64(shoal_node *node, shoal_pid pid, const char *name)
{
    shoal_result *r = NULL;
    int64_t n = -1;
    assert_true(shoal_ask(node, pid, name, shoal_nil(), 3000, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(node, &r), 0);
    assert_int_equal(shoal_as_i64(r->value, &n), 0);
    shoal_result_free(r);
    return n;
}

static inline void registered(shoal_node *node, shoal_pid pid, const char *name)
{
    shoal_result *r = NULL;
    assert_true(shoal_register(node, pid, name, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(node, &r), 0);
    shoal_result_free(r);
}

static inline shoal_pid found(shoal_node *node, const char *name)
{
    shoal_result *r = NULL;
    assert_true(shoal_lookup(node, name, 5000, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(node, &r), 0);
    shoal_pid pid = r->pid;
    shoal_result_free(r);
    return pid;
}

struct pair {
    shoal_sim *sim;
    shoal_node *a, *b;
    shoal_pid on_b, seen; /* "counter": as b and as a name it */
};

static inline void pair_make(struct pair *p, uint64_t seed, uint32_t threads_a, uint32_t threads_b)
{
    assert_int_equal(shoal_sim_new(seed, &p->sim), 0);
    p->b = sim_node(p->sim, threads_b, NULL);
    p->a = sim_node(p->sim, threads_a, "/ip4/10.0.0.0/tcp/4001");
    p->on_b = spawn_counter(p->b);
    registered(p->b, p->on_b, "counter");
    p->seen = found(p->a, "counter");
}

static inline void pair_free(struct pair *p)
{
    shoal_node_free(p->a);
    shoal_node_free(p->b);
    shoal_sim_free(p->sim);
}

#endif
