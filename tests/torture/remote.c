/* tests/torture/remote.c - scenarios of two nodes: each in turn is the one without memory. */
#include "world.h"

/* --- connections --- */

static void run_dial(struct world *w)
{
    t_dial(w, A(w), "/ip4/10.0.0.0/tcp/4001");
    world_settle(w);
    t_code(w, "parse", shoal_pid_parse(A(w), w->far_text, &w->far));
}

static void run_dial_back(struct world *w)
{
    t_dial(w, A(w), "/ip4/10.0.0.0/tcp/4001");
    t_dial(w, B(w), "/ip4/10.0.0.1/tcp/4001"); /* they cross */
    world_settle(w);
    t_code(w, "parse", shoal_pid_parse(A(w), w->far_text, &w->far));
}

static void run_dial_fails(struct world *w)
{
    static const char id[] = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    char addr[160];
    snprintf(addr, sizeof addr, "/ip4/10.0.0.0/tcp/4001/p2p/%s", id);
    struct op *ops[] = {
        t_dial(w, A(w), "/ip4/10.0.0.0/tcp/9"), /* refused */
        t_dial(w, A(w), "/ip4/10.9.9.9/tcp/9"), /* no such host */
        t_dial(w, A(w), addr),                  /* another peer is there */
        t_dial(w, A(w), "/dns4/nowhere.invalid/tcp/9"),
    };
    world_settle(w);
    for (int i = 0; i < 4; i++) {
        if (ops[i]->code == 0) {
            world_fail(w, "dial %d succeeded", i);
        }
    }
}

static void run_reconnect(struct world *w)
{
    assert_int_equal(shoal_sim_partition(w->sim, &A(w), 1, &B(w), 1), 0);
    t_ask(w, A(w), w->far, "inc", shoal_nil(), 1000);
    world_advance(w, 30 * SECOND); /* both hold the other for dead */
    assert_int_equal(shoal_sim_heal(w->sim), 0);
    world_advance(w, 20 * SECOND);
    t_ask(w, A(w), w->far, "inc", shoal_nil(), 1000);
}

/* --- names --- */

static void run_register(struct world *w)
{
    t_register(w, B(w), w->pid[ON_B], "one");
    t_register(w, A(w), w->pid[ON_A], "one");
    t_register(w, A(w), w->pid[ON_A], "two");
    world_settle(w);
    (void)shoal_unregister(A(w), w->pid[ON_A], "two");
}

static void run_lookup(struct world *w)
{
    t_lookup(w, A(w), "far", 0);
    world_settle(w);
    t_lookup(w, A(w), "far", 3000);
    t_lookup(w, A(w), "nobody", 500);
    struct op *all = op_new(w, A(w), "lookup_all");
    op_began(w, all, shoal_lookup_all(A(w), "far", 2000, 0, op_end, all));
    struct op *follow = op_new(w, A(w), "lookup_all");
    op_began(w, follow, shoal_lookup_all(A(w), "far", 2000, SHOAL_FOLLOW, op_end, follow));
    world_advance(w, 3 * SECOND);
    if (follow->id > 0 && !follow->ends) {
        (void)shoal_cancel(A(w), follow->id);
    }
}

static void run_lookup_first(struct world *w)
{
    struct op *named = t_register(w, B(w), w->pid[ON_B], "first");
    world_settle(w);
    struct op *found = t_lookup(w, A(w), "first", 4000);
    world_settle(w);
    if (!w->k && (named->code || found->code)) {
        world_fail(w, "not found");
    }
    if (found->code == 0 && found->id > 0) {
        t_ask(w, A(w), found->pid, "inc", shoal_nil(), 0);
    }
}

/* --- messages --- */

static void run_tell(struct world *w)
{
    for (int i = 0; i < 40; i++) {
        t_code(
            w, "tell",
            shoal_tell(A(w), w->far, i % 2 ? "inc" : "no such message", t_bytes((size_t)i * 500)));
    }
    t_drain(w, A(w), w->far);
}

static void run_ask_first(struct world *w)
{
    t_ask(w, A(w), w->far, "echo", t_bytes(900), 0); /* opens the session */
}

static void run_ask(struct world *w)
{
    t_asks(w, A(w), w->far, 12, 12);
}

static void run_ask_fails(struct world *w)
{
    t_ask(w, A(w), w->far, "never", shoal_nil(), 300);
    t_ask(w, A(w), w->far, "no such message", t_bytes(400), 300);
    t_ask(w, A(w), w->far, "fail", t_bytes(2000), 300);
    shoal_pid gone = w->far;
    gone.actor ^= 1;
    t_ask(w, A(w), gone, "inc", shoal_nil(), 300);
}

static void run_ask_dead_actor(struct world *w)
{
    t_ask(w, A(w), w->far, "stopme", shoal_nil(), 500);
    for (int i = 0; i < 3; i++) {
        t_ask(w, A(w), w->far, "inc", t_bytes(300), 500);
    }
    world_settle(w);
    t_ask(w, A(w), w->far, "inc", shoal_nil(), 500);
}

static void run_large_reply(struct world *w)
{
    t_ask(w, A(w), w->far, "large", shoal_nil(), 0);
    t_ask(w, A(w), w->far, "large", shoal_nil(), 0);
}

static void run_large_request(struct world *w)
{
    t_ask(w, A(w), w->far, "echo", t_bytes(250000), 0);
    t_code(w, "tell", shoal_tell(A(w), w->far, "inc", t_bytes(300000)));
}

static void run_cancel(struct world *w)
{
    struct op *ops[] = {
        t_ask(w, A(w), w->far, "never", t_bytes(500), 60000),
        t_ask(w, A(w), w->far, "inc", t_bytes(500), 60000),
        t_lookup(w, A(w), "nobody", 60000),
        t_done(w, A(w), w->far),
        t_drain(w, A(w), w->far),
    };
    world_advance(w, 20 * MS);
    t_cancel(A(w), ops, sizeof ops / sizeof *ops);
}

static void run_both_ways(struct world *w)
{
    char text[160];
    shoal_pid back;
    if (t_code(w, "text", shoal_pid_text(A(w), w->pid[ON_A], text, sizeof text)) < 0 ||
        t_code(w, "parse", shoal_pid_parse(B(w), text, &back)) < 0) {
        return;
    }
    for (int i = 0; i < 6; i++) {
        t_ask(w, A(w), w->far, "echo", t_bytes(3000), 1000);
        t_ask(w, B(w), back, "echo", t_bytes(3000), 1000);
    }
}

const struct scenario torture_remote[] = {
    {"dial", APART, run_dial, BOTH, false},
    {"dials that cross", APART, run_dial_back, BOTH, false},
    {"dial, all failures", APART, run_dial_fails, BOTH, false},
    {"partition, reconnect", TOGETHER, run_reconnect, BOTH, false},
    {"register, two nodes", TOGETHER, run_register, BOTH, false},
    {"lookup", NAMED, run_lookup, BOTH, false},
    {"register, lookup, ask", TOGETHER, run_lookup_first, BOTH, false},
    {"far tell, drain", TOGETHER, run_tell, BOTH, false},
    {"far ask, the first", TOGETHER, run_ask_first, BOTH, false},
    {"far ask, answered", NAMED, run_ask, BOTH, false},
    {"far ask, all failures", NAMED, run_ask_fails, BOTH, false},
    {"far ask, dead actor", NAMED, run_ask_dead_actor, BOTH, false},
    {"far ask, large reply", NAMED, run_large_reply, BOTH, false},
    {"far ask, large request", NAMED, run_large_request, BOTH, false},
    {"far cancel", NAMED, run_cancel, BOTH, false},
    {"asks both ways", TOGETHER, run_both_ways, BOTH, false},
};
const size_t torture_remote_count = sizeof torture_remote / sizeof *torture_remote;
