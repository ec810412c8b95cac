/* tests/torture/local.c - scenarios of one node, and of nodes that come and go. */
#include "shoal_object.h"
#include "world.h"

static void run_start(struct world *w)
{
    B(w) = world_node(w, ON_B, NULL);
}

static void run_start_dial(struct world *w)
{
    A(w) = world_node(w, ON_A, "/ip4/10.0.0.0/tcp/4001");
    world_advance(w, 2 * SECOND);
    if (A(w)) {
        t_code(w, "parse", shoal_pid_parse(A(w), w->far_text, &w->far));
    }
}

static void run_listen(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        t_code(w, "listen", shoal_listen(B(w), "/ip4/10.0.0.0/tcp/0"));
    }
    world_advance(w, 100 * MS);
}

static void run_spawn(struct world *w)
{
    shoal_pid pid, all[40];
    int made = 0;
    for (int i = 0; i < 40; i++) {
        made += t_code(w, "spawn", shoal_spawn(B(w), &torture_type, NULL, &all[made])) == 0;
    }
    shoal_spawn_options o = {.struct_size = sizeof o,
                             .args = t_bytes(900),
                             .user = w,
                             .parent = w->pid[ON_B],
                             .link = w->pid[ON_B],
                             .monitor = w->pid[ON_B]};
    if (t_code(w, "spawn", shoal_spawn(B(w), &torture_type, &o, &pid)) == 0) {
        t_ask(w, B(w), pid, "inc", shoal_nil(), 0);
    }
    o = (shoal_spawn_options){.struct_size = sizeof o, .flags = SHOAL_ON_HOST};
    if (t_code(w, "spawn", shoal_spawn(B(w), &torture_type, &o, &pid)) == 0) {
        t_ask(w, B(w), pid, "inc", shoal_nil(), 0);
    }
    for (int i = 0; i < made; i++) {
        t_ask(w, B(w), all[i], "inc", shoal_nil(), 0);
    }
}

static void run_spawn_fails(struct world *w)
{
    static const unsigned char text[] = {0xa4, 'f', 'a', 'i', 'l'};
    shoal_spawn_options o = {.struct_size = sizeof o, .args = {text, sizeof text}};
    shoal_pid pid;
    for (int i = 0; i < 4; i++) {
        int code = shoal_spawn(B(w), &torture_type, &o, &pid);
        if (code != SHOAL_E_HANDLER && (code != SHOAL_E_LIMIT || !w->k)) {
            world_fail(w, "a spawn whose init fails: %s", shoal_code_name(code));
        }
    }
}

static void run_register(struct world *w)
{
    char name[256];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "name %d %.*s", i, i * 30,
                 "long long long long long long long long long long long long long long long long "
                 "long long long long long long "
                 "long long long long long long long long long long long long long long long long "
                 "long long");
        t_register(w, B(w), w->pid[ON_B], name);
        t_lookup(w, B(w), name, 0);
    }
    world_settle(w);
    for (int i = 0; i < 8; i += 2) {
        snprintf(name, sizeof name, "name %d ", i);
        (void)shoal_unregister(B(w), w->pid[ON_B], name);
    }
}

static void run_lookup_none(struct world *w)
{
    t_lookup(w, B(w), "nobody", 0);
    t_lookup(w, B(w), "nobody", 500);
    struct op *op = op_new(w, B(w), "lookup_all");
    op_began(w, op, shoal_lookup_all(B(w), "nobody", 500, 0, op_end, op));
}

static void run_tell(struct world *w)
{
    for (int i = 0; i < 30; i++) {
        t_code(
            w, "tell",
            shoal_tell(B(w), w->pid[ON_B], "inc", i % 3 ? shoal_nil() : t_bytes((size_t)i * 2000)));
    }
    t_drain(w, B(w), w->pid[ON_B]);
}

static void run_ask(struct world *w)
{
    t_asks(w, B(w), w->pid[ON_B], 12, 20);
}

static void run_ask_fails(struct world *w)
{
    shoal_pid gone;
    t_ask(w, B(w), w->pid[ON_B], "never", shoal_nil(), 300);
    t_ask(w, B(w), w->pid[ON_B], "no such message", t_bytes(400), 300);
    t_ask(w, B(w), w->pid[ON_B], "fail", t_bytes(2000), 300);
    if (t_code(w, "spawn", shoal_spawn(B(w), &torture_type, NULL, &gone)) == 0) {
        t_code(w, "kill", shoal_kill(B(w), gone));
        t_ask(w, B(w), gone, "inc", shoal_nil(), 300);
        world_advance(w, 100 * MS);
        t_ask(w, B(w), gone, "inc", shoal_nil(), 300);
    }
}

static void run_cancel(struct world *w)
{
    struct op *ops[] = {
        t_ask(w, B(w), w->pid[ON_B], "never", t_bytes(500), 60000),
        t_ask(w, B(w), w->pid[ON_B], "inc", t_bytes(500), 60000),
        t_lookup(w, B(w), "nobody", 60000),
        t_done(w, B(w), w->pid[ON_B]),
    };
    world_advance(w, 10 * MS);
    t_cancel(B(w), ops, sizeof ops / sizeof *ops);
}

static void run_large(struct world *w)
{
    t_ask(w, B(w), w->pid[ON_B], "large", shoal_nil(), 0);
    t_ask(w, B(w), w->pid[ON_B], "echo", t_bytes(250000), 0);
}

/* Who was told that a link or monitor stands hears of the death, once. */
static void run_deaths(struct world *w)
{
    shoal_pid victim = {0}, own[6];
    unsigned stand = 0;
    if (t_code(w, "spawn", shoal_spawn(B(w), &torture_type, NULL, &victim)) < 0) {
        return;
    }
    for (int i = 0; i < 6; i++) {
        own[i] = t_watcher(w, B(w));
        if (own[i].actor) {
            int code =
                i % 2 ? shoal_link(B(w), own[i], victim) : shoal_monitor(B(w), own[i], victim);
            stand += t_code(w, "link or monitor", code) == 0;
        }
    }
    struct op *done = t_done(w, B(w), victim);
    bool killed = t_code(w, "kill", shoal_kill(B(w), victim)) == 0;
    if (!killed) { /* no memory even for that: when it is back */
        meter_disarm(&w->meter[ON_B]);
        t_code(w, "kill", shoal_kill(B(w), victim));
    }
    world_settle(w);
    world_advance(w, 100 * MS);
    if (w->downs != stand) {
        world_fail(w, "%u of %u were told of a death", w->downs, stand);
    }
    if (done->id > 0 && done->code != 0) {
        world_fail(w, "done: %s", shoal_code_name(done->code));
    }
}

static void run_unlink(struct world *w)
{
    shoal_pid one = t_watcher(w, B(w)), two = t_watcher(w, B(w));
    if (!one.actor || !two.actor) {
        return;
    }
    t_code(w, "link", shoal_link(B(w), one, two));
    t_code(w, "monitor", shoal_monitor(B(w), one, two));
    t_code(w, "unlink", shoal_unlink(B(w), one, two));
    t_stop(w, B(w), two);
    world_settle(w);
    if (w->downs) {
        world_fail(w, "told of a death after unlink");
    }
}

static void run_children(struct world *w)
{
    shoal_pid parent = t_watcher(w, B(w)), child;
    shoal_spawn_options o = {.struct_size = sizeof o, .user = w, .parent = parent};
    if (!parent.actor) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        t_code(w, "spawn", shoal_spawn(B(w), &torture_type, &o, &child));
    }
    for (int i = 0; i < 10; i++) {
        t_code(w, "tell", shoal_tell(B(w), parent, "inc", t_bytes(200)));
    }
    t_stop(w, B(w), parent);
}

static void run_timers(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        t_ask(w, B(w), w->pid[ON_B], "timers", shoal_nil(), 500);
    }
    world_advance(w, 200 * MS);
}

static void run_talk(struct world *w)
{
    shoal_pid other = t_watcher(w, B(w));
    shoal_pack p;
    if (!other.actor) {
        return;
    }
    shoal_bytes ref = t_ref(w, B(w), w->pid[ON_B], &p);
    t_ask(w, B(w), other, "relay", ref, 1000);
    t_ask(w, B(w), other, "forward", ref, 1000);
    t_ask(w, B(w), other, "find", shoal_nil(), 3000);
    t_ask(w, B(w), other, "defer", shoal_nil(), 1000);
    shoal_pack_free(&p);
    world_advance(w, 100 * MS);
    if (w->promised) {
        t_code(w, "promise", shoal_promise_reply(B(w), w->promise, t_bytes(5000)));
        t_code(w, "promise", shoal_promise_reply(B(w), w->promise, shoal_nil()));
    }
    t_ask(w, B(w), other, "hold", t_bytes(900), 1000);
    world_advance(w, 100 * MS);
    if (w->held) {
        (void)shoal_reply(w->held, t_bytes(900));
        assert_int_equal(shoal_finish(w->held, 0), 0);
        w->held = NULL;
    }
}

static void object_drop(void *ptr)
{
    --*(int *)ptr;
}

/* An object is dropped once, or still ours. */
static void run_objects(struct world *w)
{
    static int out;
    shoal_spawn_options o = {.struct_size = sizeof o, .flags = SHOAL_ON_HOST};
    shoal_pid pid;
    out = 0;
    if (t_code(w, "spawn", shoal_spawn(B(w), &torture_type, &o, &pid)) < 0) {
        return;
    }
    for (int i = 0; i < 8; i++) {
        shoal_object object = {&out, object_drop};
        if (i % 2) {
            out += t_code(w, "tell_object", shoal_tell_object(B(w), pid, "inc", object)) == 0;
            continue;
        }
        struct op *op = op_new(w, B(w), "ask_object");
        op_began(w, op, shoal_ask_object(B(w), pid, "inc", object, 500, op_end, op));
        out += op->id > 0;
    }
    world_settle(w);
    world_advance(w, 100 * MS);
    if (out != 0) {
        world_fail(w, "%d objects neither taken nor dropped", out);
    }
}

static void run_info(struct world *w)
{
    static const char *const whats[] = {"actors", "peers", "names", "routing"};
    for (int i = 0; i < 4; i++) {
        t_info(w, B(w), whats[i], NULL);
    }
}

static void run_stop(struct world *w)
{
    for (int i = 0; i < 5; i++) {
        t_ask(w, B(w), w->pid[ON_B], i % 2 ? "echo" : "never", t_bytes(600), 0);
        t_code(w, "tell", shoal_tell(B(w), w->pid[ON_B], "inc", t_bytes(300)));
    }
    t_lookup(w, B(w), "nobody", 60000);
    t_done(w, B(w), w->pid[ON_B]);
    if (t_node_stop(w, B(w), 500)->id < 0) {
        shoal_node_free(B(w)); /* no memory even for that: at once */
        B(w) = NULL;
    }
}

static void run_free(struct world *w)
{
    for (int i = 0; i < 10; i++) {
        t_ask(w, B(w), w->pid[ON_B], i % 2 ? "echo" : "never", t_bytes(600), 60000);
        t_register(w, B(w), w->pid[ON_B], i % 2 ? "one" : "two");
    }
    t_lookup(w, B(w), "nobody", 60000);
    t_drain(w, B(w), w->pid[ON_B]);
    shoal_node_free(B(w));
    B(w) = NULL;
}

const struct scenario torture_local[] = {
    {"start, listen", NOTHING, run_start, OF_B, false},
    {"start, listen, dial", ALONE, run_start_dial, OF_A | OF_B, false},
    {"listen", ALONE, run_listen, OF_B, false},
    {"spawn", ALONE, run_spawn, OF_B, false},
    {"spawn whose init fails", ALONE, run_spawn_fails, OF_B, false},
    {"register, unregister, alone", ALONE, run_register, OF_B, false},
    {"lookup of nobody", ALONE, run_lookup_none, OF_B, false},
    {"tell, drain", ALONE, run_tell, OF_B, false},
    {"ask, answered", ALONE, run_ask, OF_B, false},
    {"ask, all failures", ALONE, run_ask_fails, OF_B, false},
    {"cancel", ALONE, run_cancel, OF_B, false},
    {"large values", ALONE, run_large, OF_B, false},
    {"link, monitor, death", ALONE, run_deaths, OF_B, false},
    {"unlink, stop", ALONE, run_unlink, OF_B, false},
    {"children, stop", ALONE, run_children, OF_B, false},
    {"timers", ALONE, run_timers, OF_B, false},
    {"relay, forward, defer, hold", ALONE, run_talk, OF_B, false},
    {"objects", ALONE, run_objects, OF_B, false},
    {"info", ALONE, run_info, OF_B, false},
    {"graceful stop, alone", ALONE, run_stop, OF_B, true},
    {"free with calls open", ALONE, run_free, OF_B, true},
};
const size_t torture_local_count = sizeof torture_local / sizeof *torture_local;
