/* tests/torture/world.h - two nodes of a simulation whose allocations fail one after another, and calls that are counted.
 *
 * A scenario is run once to count the allocations of a victim, then again for each of them: the k-th fails once, or all from
 * the k-th on until the scenario is over. Time is virtual and the seed fixed, so the k-th allocation is always the same one. */
#ifndef TORTURE_WORLD_H
#define TORTURE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <shoal.h>

#include "meter.h"

enum { MS = 1000, SECOND = 1000 * MS, OPS_MAX = 256 };

/* --- the world --- */

/* A call with an end. Each ends once, or was refused at once. */
struct op {
    const char *what;
    shoal_node *node;
    int64_t id; /* of the call, or its code */
    int ends;   /* how often done told of an end */
    int items;  /* results before the end, of a call that gives many */
    int code;
    shoal_pid pid;
    size_t len;
};

enum victim { ON_A, ON_B, VICTIMS };
enum { OF_A = 1 << ON_A, OF_B = 1 << ON_B, BOTH = OF_A | OF_B };

struct world {
    const char *name; /* of the scenario, for messages */
    struct meter meter[2];
    enum victim victim;
    unsigned long k;
    bool on;
    uint32_t threads;
    shoal_sim *sim;
    shoal_node *node[2]; /* a: 10.0.0.1, keeps b dialled; b: 10.0.0.0 */
    shoal_pid pid[2];    /* an actor of each */
    shoal_pid far;       /* b's, as a names it */
    char far_text[160];
    struct op ops[OPS_MAX];
    unsigned op_count;
    shoal_promise promise;
    bool promised;
    shoal_cx *held;
    unsigned downs, undelivered;
};
#define A(w) ((w)->node[ON_A])
#define B(w) ((w)->node[ON_B])

/* What stands before the scenario begins, with memory enough. */
enum stage {
    NOTHING,  /* a simulation */
    ALONE,    /* node b with its actor */
    APART,    /* a and b with theirs, not connected */
    TOGETHER, /* connected; a has b's actor by its text */
    NAMED,    /* b's actor is registered as "far" and a has found it */
};

struct scenario {
    const char *name;
    enum stage stage;
    void (*run)(struct world *w);
    unsigned victims; /* OF_A, OF_B */
    bool ends;        /* it stops or frees nodes: nothing is asked afterwards */
};

extern const struct scenario torture_local[], torture_remote[], torture_talk[];
extern const size_t torture_local_count, torture_remote_count, torture_talk_count;

/* The actor of these tests; its init fails when args is the text "fail". */
extern const shoal_actor_type torture_type;

shoal_node *world_node(struct world *w, enum victim which, const char *dial);
void world_advance(struct world *w, uint64_t us);
/* Virtual time until every call has ended. */
void world_settle(struct world *w);
/* Each call that began has one end, the others none. */
void world_ended_once(const struct world *w);
void world_fail(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- calls; each gives an op --- */
struct op *op_new(struct world *w, shoal_node *node, const char *what);
void op_end(void *ud, const shoal_result *result);
struct op *op_began(struct world *w, struct op *op, int64_t id);
struct op *t_ask(struct world *w, shoal_node *n, shoal_pid pid, const char *name, shoal_bytes v,
                 uint32_t ms);
struct op *t_lookup(struct world *w, shoal_node *n, const char *name, uint32_t ms);
struct op *t_register(struct world *w, shoal_node *n, shoal_pid pid, const char *name);
struct op *t_dial(struct world *w, shoal_node *n, const char *addr);
struct op *t_done(struct world *w, shoal_node *n, shoal_pid pid);
struct op *t_stop(struct world *w, shoal_node *n, shoal_pid pid);
struct op *t_drain(struct world *w, shoal_node *n, shoal_pid pid);
struct op *t_info(struct world *w, shoal_node *n, const char *what, const char *peer);
struct op *t_node_stop(struct world *w, shoal_node *n, uint32_t ms);
/* Large and small ones, all answered. */
void t_asks(struct world *w, shoal_node *n, shoal_pid pid, int large, int small);
void t_cancel(shoal_node *n, struct op *const *ops, size_t count);
/* An actor that counts deaths; or nobody. */
shoal_pid t_watcher(struct world *w, shoal_node *n);
shoal_bytes t_ref(struct world *w, shoal_node *n, shoal_pid pid, shoal_pack *p); /* lies in p */
/* A code of a call without a callback: it must be one that want of memory may have. */
int t_code(struct world *w, const char *what, int code);
shoal_bytes t_bytes(size_t n); /* a value of n bytes */

/* Runs the table: every point of every scenario and victim, or about `shallow` of each (0: all). */
int torture_main(int argc, char **argv, const struct scenario *table, size_t count);

#endif
