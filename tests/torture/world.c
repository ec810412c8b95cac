/* tests/torture/world.c - two nodes on memory that fails at the k-th allocation, their calls, and the walk over all k. */
#include "world.h"

#include "process.h"

void world_fail(const struct world *w, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail_msg("%s, memory of %c, %s %lu, threads %u: %s", w->name, 'a' + (int)w->victim,
             w->on ? "from" : "at", w->k, w->threads, text);
}

/* --- calls --- */

static bool code_fits(int code)
{
    switch (code) {
    case SHOAL_E_LIMIT:
    case SHOAL_E_TIMEOUT:
    case SHOAL_E_UNREACHABLE:
    case SHOAL_E_NOT_FOUND:
    case SHOAL_E_NOT_RUNNING:
    case SHOAL_E_HANDLER:
    case SHOAL_E_MAILBOX_FULL: return true;
    default: return code >= 0;
    }
}

struct op *op_new(struct world *w, shoal_node *node, const char *what)
{
    assert_true(w->op_count < OPS_MAX);
    struct op *op = &w->ops[w->op_count++];
    *op = (struct op){.what = what, .node = node};
    return op;
}

void op_end(void *ud, const shoal_result *result)
{
    struct op *op = ud;
    if (result->code == 0 && op->items >= 0 && strcmp(op->what, "lookup_all") == 0) {
        op->items++;
        return;
    }
    op->ends++;
    op->code = result->code;
    op->pid = result->pid;
    op->len = result->value.len;
    assert_non_null(result->text);
}

struct op *op_began(struct world *w, struct op *op, int64_t id)
{
    op->id = id;
    if (id <= 0) {
        op->code = (int)id;
        if (id == 0 || !shoal_last_error(op->node)[0]) {
            world_fail(w, "%s: refused with %d and no sentence", op->what, (int)id);
        }
    }
    return op;
}

int t_code(struct world *w, const char *what, int code)
{
    if (!code_fits(code)) {
        world_fail(w, "%s: %s", what, shoal_code_name(code));
    }
    if (code < 0 && !w->k) {
        world_fail(w, "%s: %s with memory enough", what, shoal_code_name(code));
    }
    return code;
}

struct op *t_ask(struct world *w, shoal_node *n, shoal_pid pid, const char *name, shoal_bytes v,
                 uint32_t ms)
{
    struct op *op = op_new(w, n, name);
    return op_began(w, op, shoal_ask(n, pid, name, v, ms, op_end, op));
}

struct op *t_lookup(struct world *w, shoal_node *n, const char *name, uint32_t ms)
{
    struct op *op = op_new(w, n, "lookup");
    return op_began(w, op, shoal_lookup(n, name, ms, op_end, op));
}

struct op *t_register(struct world *w, shoal_node *n, shoal_pid pid, const char *name)
{
    struct op *op = op_new(w, n, "register");
    return op_began(w, op, shoal_register(n, pid, name, op_end, op));
}

struct op *t_dial(struct world *w, shoal_node *n, const char *addr)
{
    struct op *op = op_new(w, n, "dial");
    return op_began(w, op, shoal_dial(n, addr, op_end, op));
}

struct op *t_done(struct world *w, shoal_node *n, shoal_pid pid)
{
    struct op *op = op_new(w, n, "done");
    return op_began(w, op, shoal_done(n, pid, op_end, op));
}

struct op *t_stop(struct world *w, shoal_node *n, shoal_pid pid)
{
    struct op *op = op_new(w, n, "stop");
    return op_began(w, op, shoal_stop(n, pid, op_end, op));
}

struct op *t_drain(struct world *w, shoal_node *n, shoal_pid pid)
{
    struct op *op = op_new(w, n, "drain");
    return op_began(w, op, shoal_drain(n, pid, 2000, op_end, op));
}

struct op *t_info(struct world *w, shoal_node *n, const char *what, const char *peer)
{
    struct op *op = op_new(w, n, "info");
    return op_began(w, op, shoal_info(n, what, peer, op_end, op));
}

struct op *t_node_stop(struct world *w, shoal_node *n, uint32_t ms)
{
    struct op *op = op_new(w, n, "node stop");
    return op_began(w, op, shoal_node_stop(n, ms, op_end, op));
}

void t_asks(struct world *w, shoal_node *n, shoal_pid pid, int large, int small)
{
    for (int i = 0; i < large; i++) {
        t_ask(w, n, pid, "echo", t_bytes((size_t)i * 700), 0);
    }
    world_settle(w);
    for (int i = 0; i < small; i++) {
        t_ask(w, n, pid, "inc", shoal_nil(), 0);
    }
}

void t_cancel(shoal_node *n, struct op *const *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->id > 0) {
            (void)shoal_cancel(n, ops[i]->id);
        }
    }
}

shoal_pid t_watcher(struct world *w, shoal_node *n)
{
    shoal_pid pid = {0};
    shoal_spawn_options o = {.struct_size = sizeof o, .user = w};
    t_code(w, "spawn", shoal_spawn(n, &torture_type, &o, &pid));
    return pid;
}

shoal_bytes t_ref(struct world *w, shoal_node *n, shoal_pid pid, shoal_pack *p)
{
    shoal_pack_init(p, NULL, 0);
    shoal_put_ref(p, n, pid);
    t_code(w, "put_ref", shoal_pack_error(p));
    return shoal_packed(p);
}

shoal_bytes t_bytes(size_t n)
{
    static unsigned char big[1 << 19] = {0xc6};
    assert_true(n < sizeof big - 5);
    for (int i = 0; i < 4; i++) {
        big[1 + i] = (unsigned char)(n >> (24 - 8 * i));
    }
    return (shoal_bytes){big, n + 5};
}

/* --- the world --- */

static int node_new(struct world *w, enum victim which, const char *dial, shoal_node **node)
{
    static const char *const any[] = {"/ip4/0.0.0.0/tcp/4001"}, *const all[] = {"all"};
    shoal_node_config cfg;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.threads = w->threads;
    cfg.listen = any;
    cfg.listen_count = 1;
    cfg.dial = &dial;
    cfg.dial_count = dial != NULL;
    cfg.admin = all;
    cfg.admin_count = 1;
    cfg.log_level = SHOAL_LOG_OFF;
    cfg.ask_timeout_ms = 2000;
    cfg.stop_timeout_ms = 2000;
    cfg.resize = meter_resize;
    cfg.memory_ud = &w->meter[which];
    return shoal_sim_node(w->sim, &cfg, node);
}

/* A birth that fails leaves nothing and says so. */
shoal_node *world_node(struct world *w, enum victim which, const char *dial)
{
    struct meter *m = &w->meter[which];
    size_t live = m->live, blocks = m->blocks;
    shoal_node *node = NULL;
    int code = node_new(w, which, dial, &node);
    if (code < 0) {
        if (code != SHOAL_E_LIMIT || node || m->live != live || m->blocks != blocks ||
            !m->refused || !shoal_last_error(NULL)[0]) {
            world_fail(w, "a failed birth: %s, %zu bytes left", shoal_code_name(code),
                       m->live - live);
        }
    }
    return node;
}

void world_advance(struct world *w, uint64_t us)
{
    assert_int_equal(shoal_sim_advance(w->sim, us), 0);
}

void world_settle(struct world *w)
{
    for (unsigned i = 0, waited = 0; i < w->op_count;) {
        struct op *op = &w->ops[i];
        if (op->id <= 0 || op->ends > 0) {
            i++;
            continue;
        }
        if (waited++ > 900) {
            world_fail(w, "%s has not ended in 90 s", op->what);
        }
        world_advance(w, 100 * MS);
    }
}

void world_ended_once(const struct world *w)
{
    for (unsigned i = 0; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        if (op->ends != (op->id > 0)) {
            world_fail(w, "%s (%s) ended %d times", op->what, shoal_code_name(op->code), op->ends);
        }
    }
}

static void must(struct world *w, bool good, const char *what)
{
    if (!good) {
        world_fail(w, "%s", what);
    }
}

static void stage_set(struct world *w, enum stage stage)
{
    assert_int_equal(shoal_sim_new(7, &w->sim), 0);
    if (stage >= ALONE) {
        B(w) = world_node(w, ON_B, NULL);
        must(w, B(w) && shoal_spawn(B(w), &torture_type, NULL, &w->pid[ON_B]) == 0, "stage: b");
        must(w, shoal_pid_text(B(w), w->pid[ON_B], w->far_text, sizeof w->far_text) > 0,
             "stage: text");
    }
    if (stage >= APART) {
        A(w) = world_node(w, ON_A, stage >= TOGETHER ? "/ip4/10.0.0.0/tcp/4001" : NULL);
        must(w, A(w) && shoal_spawn(A(w), &torture_type, NULL, &w->pid[ON_A]) == 0, "stage: a");
    }
    if (stage >= TOGETHER) {
        world_advance(w, 300 * MS);
        must(w, shoal_pid_parse(A(w), w->far_text, &w->far) == 0, "stage: far");
    }
    if (stage >= NAMED) {
        struct op *named = t_register(w, B(w), w->pid[ON_B], "far");
        world_settle(w);
        must(w, named->code == 0, "stage: register");
        struct op *found = t_lookup(w, A(w), "far", 5000);
        struct op *asked = t_ask(w, A(w), w->far, "inc", shoal_nil(), 0);
        world_settle(w);
        must(w, found->code == 0 && asked->code == 0, "stage: lookup, ask");
        must(w, shoal_pid_equal(found->pid, w->far), "stage: the same actor");
    }
    w->op_count = 0;
}

/* Memory is back: each node answers at once at home, and the other within the time that connections take to come back. */
static void probe(struct world *w)
{
    world_ended_once(w);
    w->op_count = 0; /* room for what follows */
    for (unsigned i = 0; i < 2; i++) {
        shoal_pid pid;
        if (!w->node[i]) {
            continue;
        }
        must(w, shoal_spawn(w->node[i], &torture_type, NULL, &pid) == 0, "spawn afterwards");
        struct op *op = t_ask(w, w->node[i], pid, "echo", t_bytes(300), 1000);
        world_settle(w);
        if (op->code != 0 || op->len != 305) {
            world_fail(w, "ask afterwards at home: %s", shoal_code_name(op->code));
        }
        shoal_kill(w->node[i], pid);
    }
    if (!A(w) || !B(w) || !w->far_text[0] || !w->far.actor) {
        return;
    }
    int code = -1;
    shoal_pid fresh;
    char text[160];
    must(w, shoal_spawn(B(w), &torture_type, NULL, &fresh) == 0, "spawn afterwards");
    must(w,
         shoal_pid_text(B(w), fresh, text, sizeof text) > 0 &&
             shoal_pid_parse(A(w), text, &fresh) == 0,
         "pid afterwards");
    for (int i = 0; i < 60 && code != 0; i++) {
        t_dial(w, A(w), "/ip4/10.0.0.0/tcp/4001"); /* as who lost a connection it does not keep */
        struct op *op = t_ask(w, A(w), fresh, "echo", t_bytes(70000), 2000);
        world_settle(w);
        code = op->code;
        if (code != 0) {
            world_advance(w, 2 * SECOND);
        }
    }
    if (code != 0) {
        world_fail(w, "ask afterwards of the other: %s", shoal_code_name(code));
    }
}

/* One point. Returns the allocations that were asked for. */
static unsigned long point(const struct scenario *s, enum victim victim, unsigned long k, bool on,
                           uint32_t threads)
{
    static struct world world;
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    w->name = s->name;
    w->victim = victim;
    w->threads = threads;
    stage_set(w, s->stage);
    w->k = k;
    w->on = on;
    struct meter *m = &w->meter[victim];
    meter_arm(m, k, on ? METER_FOR_EVER : 1);
    s->run(w);
    world_settle(w);
    world_advance(w, 200 * MS);
    meter_disarm(m);
    unsigned long asked = m->asked;
    if (k && !on && m->refused != 1) {
        world_fail(w, "the allocation was not asked for again: %lu refused", m->refused);
    }
    world_ended_once(w);
    if (!s->ends) {
        probe(w);
    }
    shoal_node_free(A(w));
    shoal_node_free(B(w));
    shoal_sim_free(w->sim);
    world_ended_once(w);
    for (unsigned i = 0; i < 2; i++) {
        if (w->meter[i].live || w->meter[i].blocks) {
            world_fail(w, "%zu bytes in %zu blocks of %c are left", w->meter[i].live,
                       w->meter[i].blocks, 'a' + (int)i);
        }
    }
    return asked;
}

/* --- the walk --- */

static struct {
    const struct scenario *table;
    size_t count;
    unsigned long shallow;
    const char *only;
} the;

static unsigned long walk(const struct scenario *s, enum victim victim, uint32_t threads)
{
    unsigned long all = point(s, victim, 0, false, threads), ran = 0;
    unsigned long step = the.shallow && all > the.shallow ? all / the.shallow : 1;
    if (all == 0) {
        fail_msg("%s, memory of %c: not one allocation", s->name, 'a' + (int)victim);
    }
    for (unsigned long k = 1; k <= all; k += step, ran += 2) {
        point(s, victim, k, false, threads);
        point(s, victim, k, true, threads);
    }
    return ran;
}

static void test_table(void **state)
{
    (void)state;
    unsigned long points = 0, scenarios = 0;
    double begun = now_s();
    for (size_t i = 0; i < the.count; i++) {
        const struct scenario *s = &the.table[i];
        if (the.only && !strstr(s->name, the.only)) {
            continue;
        }
        unsigned long mine = 0;
        double from = now_s();
        for (enum victim v = ON_A; v < VICTIMS; v++) {
            if (s->victims & (1u << v)) {
                mine += walk(s, v, 0) + walk(s, v, 1);
                scenarios += 2;
            }
        }
        points += mine;
        print_message("  %-34s %5lu points %6.2f s\n", s->name, mine, now_s() - from);
    }
    assert_true(points > 0);
    print_message(
        "%lu scenarios, %lu points: each allocation fails alone, and with all after it, %.1f s\n",
        scenarios, points, now_s() - begun);
}

int torture_main(int argc, char **argv, const struct scenario *table, size_t count)
{
    the.table = table;
    the.count = count;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--shallow") == 0) {
            the.shallow = strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            the.only = argv[i + 1];
        }
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
