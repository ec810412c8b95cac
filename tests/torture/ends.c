/* tests/torture/ends.c - scenarios of two nodes about deaths, references, handlers that ask on, and stopping. */
#include "world.h"

/* Watches that stand are told once, whichever node had no memory: of the death, or of the peer's. */
static unsigned watch_far(struct world *w)
{
    unsigned stand = 0;
    for (int i = 0; i < 6; i++) {
        shoal_pid own = t_watcher(w, A(w));
        if (own.actor) {
            int code = i % 2 ? shoal_link(A(w), own, w->far) : shoal_monitor(A(w), own, w->far);
            stand += t_code(w, "link or monitor", code) == 0;
        }
    }
    t_done(w, A(w), w->far);
    world_advance(w, 100 * MS);
    return stand;
}

static void watched(struct world *w, unsigned stand)
{
    world_advance(w, 5 * SECOND);
    meter_disarm(&w->meter[w->victim]); /* what could not be told without memory is told now */
    world_advance(w, 60 * SECOND);
    if (w->downs != stand) {
        world_fail(w, "%u of %u were told of a death", w->downs, stand);
    }
}

static void run_death(struct world *w)
{
    unsigned stand = watch_far(w);
    assert_int_equal(shoal_kill(B(w), w->pid[ON_B]), 0); /* needs no memory */
    watched(w, stand);
}

static void run_peer_death(struct world *w)
{
    unsigned stand = watch_far(w);
    assert_int_equal(shoal_sim_crash(w->sim, B(w)), 0);
    t_ask(w, A(w), w->far, "inc", shoal_nil(), 1000);
    watched(w, stand);
    t_ask(w, A(w), w->far, "inc", t_bytes(400), 1000);
    t_code(w, "tell", shoal_tell(A(w), w->far, "inc", shoal_nil()));
}

static void run_gone(struct world *w)
{
    assert_int_equal(shoal_kill(B(w), w->pid[ON_B]), 0);
    world_advance(w, 100 * MS);
    unsigned stand = watch_far(w);
    watched(w, stand);
}

static void run_unlink(struct world *w)
{
    shoal_pid own = t_watcher(w, A(w));
    if (!own.actor) {
        return;
    }
    t_code(w, "link", shoal_link(A(w), own, w->far));
    t_code(w, "monitor", shoal_monitor(A(w), own, w->far));
    world_advance(w, 50 * MS);
    t_code(w, "unlink", shoal_unlink(A(w), own, w->far));
    world_advance(w, 50 * MS);
}

static void run_stop_far(struct world *w)
{
    struct op *op = t_stop(w, A(w), w->far);
    world_settle(w);
    if (op->code < 0) { /* else done would wait for ever */
        assert_int_equal(shoal_kill(B(w), w->pid[ON_B]), 0);
    }
    t_done(w, A(w), w->far);
}

static void run_kill_far(struct world *w)
{
    t_code(w, "kill", shoal_kill(A(w), w->far));
    world_advance(w, 500 * MS);
}

static void run_info(struct world *w)
{
    static const char *const whats[] = {"actors", "peers", "names", "routing"};
    char id[80];
    assert_true(shoal_peer_id(B(w), id, sizeof id) > 0);
    for (int i = 0; i < 4; i++) {
        t_info(w, A(w), whats[i], id);
    }
}

static void run_handlers(struct world *w)
{
    shoal_pid own = t_watcher(w, A(w));
    shoal_pack p;
    if (!own.actor) {
        return;
    }
    shoal_bytes ref = t_ref(w, A(w), w->far, &p);
    t_ask(w, A(w), own, "relay", ref, 1500);
    t_ask(w, A(w), own, "forward", ref, 1500);
    t_ask(w, A(w), own, "find", shoal_nil(), 3000);
    shoal_pack_free(&p);
    ref = t_ref(w, A(w), own, &p);
    t_ask(w, A(w), w->far, "relay", ref, 1500);
    t_ask(w, A(w), w->far, "forward", ref, 1500);
    t_ask(w, A(w), w->far, "find", shoal_nil(), 3000);
    shoal_pack_free(&p);
}

static void run_defer(struct world *w)
{
    shoal_pid on_b = t_watcher(w, B(w)), seen;
    char text[160];
    if (!on_b.actor || shoal_pid_text(B(w), on_b, text, sizeof text) < 0 ||
        t_code(w, "parse", shoal_pid_parse(A(w), text, &seen)) < 0) {
        return;
    }
    t_ask(w, A(w), seen, "defer", t_bytes(900), 1000);
    world_advance(w, 100 * MS);
    if (w->promised) {
        t_code(w, "promise", shoal_promise_reply(B(w), w->promise, t_bytes(100000)));
    }
    world_settle(w);
    w->promised = false;
    t_ask(w, A(w), seen, "defer", t_bytes(900), 1000);
    world_advance(w, 100 * MS);
    if (w->promised) {
        t_code(w, "promise", shoal_promise_fail(B(w), w->promise, "no"));
    }
}

/* --- stopping --- */

static void busy(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        t_ask(w, A(w), w->far, i % 2 ? "echo" : "never", t_bytes(600), 3000);
        t_code(w, "tell", shoal_tell(A(w), w->far, "inc", t_bytes(300)));
    }
    t_done(w, A(w), w->far);
    t_lookup(w, A(w), "nobody", 3000);
}

static void stop(struct world *w, enum victim which)
{
    if (t_node_stop(w, w->node[which], 500)->id < 0) {
        shoal_node_free(w->node[which]); /* no memory even for that: at once */
        w->node[which] = NULL;
    }
}

static void run_stop_a(struct world *w)
{
    busy(w);
    stop(w, ON_A);
}

static void run_stop_b(struct world *w)
{
    busy(w);
    world_advance(w, 10 * MS);
    stop(w, ON_B);
}

static void run_stop_both(struct world *w)
{
    busy(w);
    stop(w, ON_B);
    stop(w, ON_A);
}

static void run_free_a(struct world *w)
{
    busy(w);
    shoal_node_free(A(w));
    A(w) = NULL;
    world_advance(w, 2 * SECOND);
}

static void run_free_b(struct world *w)
{
    busy(w);
    shoal_node_free(B(w));
    B(w) = NULL;
    world_advance(w, 2 * SECOND);
}

const struct scenario torture_talk[] = {
    {"far link, monitor, death", NAMED, run_death, BOTH, false},
    {"far link, monitor, dead peer", NAMED, run_peer_death, OF_A, true},
    {"far link, monitor of the gone", NAMED, run_gone, BOTH, false},
    {"far unlink", NAMED, run_unlink, BOTH, false},
    {"far stop", NAMED, run_stop_far, BOTH, false},
    {"far kill", NAMED, run_kill_far, BOTH, false},
    {"far info", NAMED, run_info, BOTH, false},
    {"far relay, forward, find", NAMED, run_handlers, BOTH, false},
    {"far defer", NAMED, run_defer, BOTH, false},
    {"graceful stop of who asks", NAMED, run_stop_a, BOTH, true},
    {"graceful stop of who is asked", NAMED, run_stop_b, BOTH, true},
    {"graceful stop of both", NAMED, run_stop_both, BOTH, true},
    {"free of who asks", NAMED, run_free_a, OF_A, true},
    {"free of who is asked", NAMED, run_free_b, BOTH, true},
};
const size_t torture_talk_count = sizeof torture_talk / sizeof *torture_talk;
