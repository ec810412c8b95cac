/* tests/torture/test_alloc_real.c - memory that fails under the real driver: two nodes with threads, sockets on loopback; the
 * k-th allocation of one of them fails alone, or with all after it until the scenario is over. Each call has one end, the
 * nodes then work, and nothing is left.
 *
 *   --all         every k; else about SAMPLE of each walk, beginning at a k of --seed N (printed)
 *
 * Which allocation is the k-th depends on the threads: a point that failed may need some runs to fail again. */
#include "world.h"

#include "loopback.h"
#include "process.h"

#include <pthread.h>
#include <time.h>

enum { SAMPLE = 16, PATIENCE_S = 30 };

/* --- memory of a node with threads --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *locked_resize(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    pthread_mutex_lock(&lock);
    void *block = meter_resize(ud, ptr, old_size, new_size);
    pthread_mutex_unlock(&lock);
    return block;
}

static void arm(struct meter *m, unsigned long fail_at, unsigned long fail_for)
{
    pthread_mutex_lock(&lock);
    meter_arm(m, fail_at, fail_for);
    pthread_mutex_unlock(&lock);
}

static unsigned long disarm(struct meter *m)
{
    pthread_mutex_lock(&lock);
    meter_disarm(m);
    unsigned long asked = m->asked;
    pthread_mutex_unlock(&lock);
    return asked;
}

/* --- two nodes --- */

static shoal_node *born(struct world *w, enum victim which)
{
    static const char *const all[] = {"all"};
    struct meter *m = &w->meter[which];
    shoal_node *node = NULL;
    shoal_node_config cfg = loopback_config(w->threads);
    cfg.admin = all;
    cfg.admin_count = 1;
    cfg.log_level = SHOAL_LOG_OFF;
    cfg.ask_timeout_ms = 300;
    cfg.stop_timeout_ms = 500;
    cfg.peer_timeout_ms = 1000;
    cfg.resize = locked_resize;
    cfg.memory_ud = m;
    int code = shoal_node_new(&cfg, &node);
    if (code < 0 && (code != SHOAL_E_LIMIT || node || m->live || m->blocks || !m->refused ||
                     !shoal_last_error(NULL)[0])) {
        world_fail(w, "a failed birth: %s, %zu bytes left", shoal_code_name(code), m->live);
    }
    return node;
}

static void turn(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->node[i]) {
            shoal_poll(w->node[i], 500, i);
        }
    }
}

/* Until all calls have ended; but: one that may wait for longer, or NULL. */
static void settle(struct world *w, const struct op *but)
{
    double end = now_s() + PATIENCE_S;
    for (unsigned i = 0; i < w->op_count;) {
        struct op *op = &w->ops[i];
        if (op->id <= 0 || op->ends > 0 || op == but) {
            i++;
            continue;
        }
        if (now_s() > end) {
            world_fail(w, "%s has not ended in %d s", op->what, PATIENCE_S);
        }
        turn(w);
    }
}

static bool far_known(struct world *w)
{
    return w->node[0] && w->node[1] &&
           t_code(w, "text", shoal_pid_text(B(w), w->pid[ON_B], w->far_text, sizeof w->far_text)) >
               0 &&
           t_code(w, "parse", shoal_pid_parse(A(w), w->far_text, &w->far)) == 0;
}

/* A dial of b by a; its address is asked for with memory or without. */
static struct op *dial(struct world *w)
{
    char address[200];
    int code = t_code(w, "address", shoal_address(B(w), 0, address, sizeof address));
    return code > 0 ? t_dial(w, A(w), address) : NULL;
}

static int spawned(struct world *w, enum victim which)
{
    return t_code(w, "spawn", shoal_spawn(w->node[which], &torture_type, NULL, &w->pid[which]));
}

/* --- scenarios --- */

static void run_life(struct world *w)
{
    B(w) = born(w, ON_B);
    A(w) = born(w, ON_A);
    if (!A(w) || !B(w) || spawned(w, ON_B) < 0 || spawned(w, ON_A) < 0) {
        return;
    }
    t_code(w, "listen", shoal_listen(A(w), "/ip4/127.0.0.1/tcp/0"));
    dial(w);
    settle(w, NULL);
    t_register(w, B(w), w->pid[ON_B], "far");
    settle(w, NULL);
    t_lookup(w, A(w), "far", 300);
    if (!far_known(w)) {
        return;
    }
    struct op *done = t_done(w, A(w), w->far);
    if (spawned(w, ON_A) == 0) {
        t_code(w, "link", shoal_link(A(w), w->pid[ON_A], w->far));
    }
    for (int i = 0; i < 6; i++) {
        t_ask(w, A(w), w->far, "echo", t_bytes((size_t)i * 700), 0);
        t_code(w, "tell", shoal_tell(A(w), w->far, "inc", shoal_nil()));
    }
    t_ask(w, A(w), w->far, "echo", t_bytes(100000), 0);
    t_info(w, A(w), "actors", NULL);
    settle(w, done);
    t_stop(w, B(w), w->pid[ON_B]);
}

static void run_stop(struct world *w)
{
    t_ask(w, A(w), w->far, "echo", t_bytes(5000), 0);
    t_ask(w, A(w), w->far, "never", shoal_nil(), 200);
    t_node_stop(w, w->node[w->victim], 0);
}

/* --- a point --- */

/* With memory: at home at once, of the other within the time that connections take to come back. */
static void usable(struct world *w)
{
    world_ended_once(w);
    w->op_count = 0;
    w->k = 0; /* from here on nothing may be refused */
    for (enum victim v = ON_A; v < VICTIMS; v++) {
        if (!w->node[v]) {
            w->node[v] = born(w, v);
        }
        spawned(w, v);
        struct op *op = t_ask(w, w->node[v], w->pid[v], "echo", t_bytes(300), 5000);
        settle(w, NULL);
        if (op->code != 0 || op->len != 305) {
            world_fail(w, "ask afterwards at home: %s", shoal_code_name(op->code));
        }
    }
    int code = -1;
    double end = now_s() + PATIENCE_S;
    while (code != 0 && now_s() < end && far_known(w)) {
        w->op_count = 0;
        dial(w);
        settle(w, NULL);
        struct op *op = t_ask(w, A(w), w->far, "echo", t_bytes(70000), 5000);
        settle(w, NULL);
        code = op->code;
    }
    if (code != 0) {
        world_fail(w, "ask afterwards of the other: %s", shoal_code_name(code));
    }
}

struct real {
    const char *name;
    void (*run)(struct world *w);
    bool stops; /* begins with two connected nodes, and ends them */
};
static const struct real table[] = {
    {"life", run_life, false},
    {"stop", run_stop, true},
};

/* Returns how many allocations were asked for. */
static unsigned long point(const struct real *s, enum victim victim, unsigned long k, bool on)
{
    static struct world world;
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    w->name = s->name;
    w->victim = victim;
    w->threads = 1;
    int fds = open_fds();
    if (s->stops) {
        usable(w);
        w->op_count = 0;
    }
    w->k = k;
    w->on = on;
    arm(&w->meter[victim], k, on ? METER_FOR_EVER : 1);
    s->run(w);
    if (s->stops) {
        settle(w, NULL);
    }
    unsigned long asked = disarm(&w->meter[victim]);
    if (!s->stops && B(w) && w->pid[ON_B].actor) {
        t_stop(w, B(w), w->pid[ON_B]); /* who was not told without memory is told now */
    }
    settle(w, NULL);
    if (!s->stops) {
        usable(w);
    }
    shoal_node_free(A(w));
    shoal_node_free(B(w));
    world_ended_once(w);
    for (int i = 0; i < 2; i++) {
        if (w->meter[i].live || w->meter[i].blocks) {
            world_fail(w, "%zu bytes in %zu blocks of %c are left", w->meter[i].live,
                       w->meter[i].blocks, 'a' + i);
        }
    }
    if (k && open_fds() != fds) { /* libraries keep some of the first life */
        world_fail(w, "%d descriptors before, %d after", fds, open_fds());
    }
    return asked;
}

static struct {
    bool all;
    unsigned long seed;
} the;

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (enum victim v = ON_A; v < VICTIMS; v++) {
            double begun = now_s();
            unsigned long all = point(&table[i], v, 0, false), ran = 0;
            unsigned long step = the.all || all < SAMPLE ? 1 : all / SAMPLE;
            for (unsigned long k = 1 + the.seed % step; k <= all; k += step, ran += 2) {
                point(&table[i], v, k, false);
                point(&table[i], v, k, true);
            }
            print_message("  %s, memory of %c: %lu allocations, %lu points, %.1f s\n",
                          table[i].name, 'a' + (int)v, all, ran, now_s() - begun);
        }
    }
}

int main(int argc, char **argv)
{
    the.seed = (unsigned long)time(NULL);
    for (int i = 1; i < argc; i++) {
        the.all = the.all || strcmp(argv[i], "--all") == 0;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            the.seed = strtoul(argv[i + 1], NULL, 10);
        }
    }
    print_message("  seed %lu\n", the.seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
