/* Memory refused: the k-th allocation of a whole life of two nodes fails, for each k, once alone and once with many
 * behind it. No crash, every failure is a code of its page, nothing is left, and with memory back the node works. */
#include "world.h"

#include <stdatomic.h>

#include "meter.h"

/* --- one life of two nodes --- */

enum { SHORT_MS = 120, LONG_MS = 5000, TRIES = 40 };

struct life {
    struct meter meter;
    shoal_node *a, *b;
    shoal_pid pid, far;
    char address[256];
    uint32_t step_ms;  /* how long a call may take */
    unsigned failures; /* codes that were told */
    unsigned deaf;     /* lookups in vain */
};

/* Codes that a want of memory may have: told as such, or what follows from a connection or answer that was lost. */
static bool code_fits(int code)
{
    return code == SHOAL_E_LIMIT || code == SHOAL_E_TIMEOUT || code == SHOAL_E_UNREACHABLE ||
           code == SHOAL_E_NOT_FOUND || code == SHOAL_E_HANDLER || code == SHOAL_E_NOT_RUNNING;
}

static bool good(struct life *l, const char *what, int64_t code)
{
    if (code >= 0) {
        return true;
    }
    bool excused =
        l->meter.refused || l->step_ms == SHORT_MS; /* short is too short for a busy machine */
    if (!code_fits((int)code) || !excused) {
        fail_msg("k %lu: %s: %s (%lu refused)", l->meter.fail_at, what, shoal_code_name((int)code),
                 l->meter.refused);
    }
    l->failures++;
    if (getenv("SHOAL_VERBOSE")) {
        print_message("  k %lu: %s: %s\n", l->meter.fail_at, what, shoal_code_name((int)code));
    }
    return false;
}

/* Turns both until the result is there; what does not end by itself is cancelled, and that must end it. */
static int finish(struct life *l, shoal_node *node, const char *what, int64_t call,
                  shoal_result **r)
{
    if (!good(l, what, call)) {
        return (int)call;
    }
    double begun = now_s(), cancel = begun + 2 + 2.5 * l->step_ms / 1000.0; /* busy machines too */
    while (!*r) {
        shoal_poll(l->a, 500, 0);
        if (l->b) {
            shoal_poll(l->b, 500, l->a == node ? 0 : 1);
        }
        if (now_s() > cancel) {
            shoal_cancel(node, call);
            cancel += 1000;
        }
        if (now_s() > begun + 20) {
            fail_msg("k %lu: %s never ended", l->meter.fail_at, what);
        }
    }
    int code = (*r)->code;
    good(l, what, code);
    return code;
}

static int finish_drop(struct life *l, shoal_node *node, const char *what, int64_t call,
                       shoal_result **r)
{
    int code = finish(l, node, what, call, r);
    shoal_result_free(*r);
    *r = NULL;
    return code;
}

static int node_new(struct life *l, shoal_node **node)
{
    shoal_node_config cfg = loopback_config(0);
    cfg.log_level = SHOAL_LOG_OFF;
    cfg.ask_timeout_ms = l->step_ms;
    cfg.stop_timeout_ms = l->step_ms;
    cfg.resize = meter_resize;
    cfg.memory_ud = &l->meter;
    return shoal_node_new(&cfg, node);
}

/* Each step is tried again when it failed: memory is back, sooner or later it must work. */
#define AGAIN(what, expression)                                                                    \
    for (int tries = 0; (expression) < 0; tries++) {                                               \
        if (tries == TRIES) {                                                                      \
            fail_msg("k %lu: %s fails for ever: %s", l->meter.fail_at, what,                       \
                     shoal_last_error(NULL));                                                      \
        }                                                                                          \
    }

static int step_new(struct life *l, shoal_node **node)
{
    size_t live = l->meter.live, blocks = l->meter.blocks;
    int code = node_new(l, node);
    if (!good(l, "new", code)) {
        assert_null(*node);
        assert_int_equal(code, SHOAL_E_LIMIT);
        assert_true(strlen(shoal_last_error(NULL)) > 0);
        assert_int_equal(l->meter.live, live); /* a failed birth leaves nothing */
        assert_int_equal(l->meter.blocks, blocks);
    }
    return code;
}

static int step_listen(struct life *l)
{
    return good(l, "listen", shoal_listen(l->a, "/ip4/127.0.0.1/tcp/0")) ? 0 : -1;
}

static int step_spawn(struct life *l)
{
    shoal_spawn_options o = {.struct_size = sizeof o};
    unsigned char args = 7;
    o.args = (shoal_bytes){&args, 1};
    return good(l, "spawn", shoal_spawn(l->a, &counter_type, &o, &l->pid)) ? 0 : -1;
}

static int step_register(struct life *l)
{
    shoal_result *r = NULL;
    int code = finish_drop(l, l->a, "register",
                           shoal_register(l->a, l->pid, "memory", shoal_keep, &r), &r);
    return code < 0 && code != SHOAL_E_TIMEOUT ? -1 : 0; /* late: it goes on trying */
}

static int step_dial(struct life *l)
{
    shoal_result *r = NULL;
    return finish_drop(l, l->b, "dial", shoal_dial(l->b, l->address, shoal_keep, &r), &r);
}

static int step_lookup(struct life *l)
{
    shoal_result *r = NULL;
    int code =
        finish(l, l->b, "lookup", shoal_lookup(l->b, "memory", l->step_ms, shoal_keep, &r), &r);
    if (code == 0) {
        l->far = r->pid;
    }
    shoal_result_free(r);
    if (code < 0) { /* the connection may have died of it, or the name was never told */
        if (++l->deaf % 8 ==
            0) { /* identify was lost on both sides: only another connection mends that */
            shoal_node_free(l->b);
            l->b = NULL;
            AGAIN("another node", step_new(l, &l->b));
        }
        step_dial(l);
        step_register(l);
    }
    return code;
}

static int step_ask(struct life *l, shoal_node *node, shoal_pid pid, size_t size)
{
    static unsigned char big[70000];
    shoal_result *r = NULL;
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_bytes(&p, big, size);
    int code = finish(l, node, "ask",
                      shoal_ask(node, pid, "echo", shoal_packed(&p), 0, shoal_keep, &r), &r);
    if (code == 0) {
        assert_int_equal(r->value.len, shoal_packed(&p).len);
    }
    shoal_pack_free(&p);
    shoal_result_free(r);
    return code;
}

static int step_far_ask(struct life *l)
{
    int code = step_ask(l, l->b, l->far, 40);
    if (code < 0) {
        step_lookup(l);
    }
    return code;
}

static int step_far_big(struct life *l)
{
    int code = step_ask(l, l->b, l->far, 70000);
    if (code < 0) {
        step_lookup(l);
    }
    return code;
}

/* A near and a far link, a monitor, a death that is told. */
static int step_links(struct life *l)
{
    shoal_pid near = {0}, victim = {0};
    shoal_result *done = NULL;
    if (!good(l, "spawn", shoal_spawn(l->b, &counter_type, NULL, &near)) ||
        !good(l, "spawn", shoal_spawn(l->a, &counter_type, NULL, &victim))) {
        return -1;
    }
    good(l, "link", shoal_link(l->b, near, l->far));
    good(l, "monitor", shoal_monitor(l->a, l->pid, victim));
    good(l, "unlink", shoal_unlink(l->b, near, l->far));
    int64_t call = shoal_done(l->a, victim, shoal_keep, &done);
    if (!good(l, "done", call)) {
        return -1;
    }
    AGAIN("kill", good(l, "kill", shoal_kill(l->a, victim)) ? 0 : -1);
    finish_drop(l, l->a, "done", call, &done);
    return 0;
}

static int step_rest(struct life *l)
{
    static const char *const whats[] = {"actors", "peers", "names", "routing"};
    shoal_result *r = NULL;
    for (unsigned i = 0; i < 4; i++) {
        finish_drop(l, l->b, "info", shoal_info(l->b, whats[i], NULL, shoal_keep, &r), &r);
    }
    for (int i = 0; i < 30; i++) {
        good(l, "tell", shoal_tell(l->b, l->far, "inc", shoal_nil()));
        good(l, "tell", shoal_tell(l->a, l->pid, "inc", shoal_nil()));
    }
    finish_drop(l, l->b, "drain", shoal_drain(l->b, l->far, 0, shoal_keep, &r), &r);
    good(l, "unregister", shoal_unregister(l->a, l->pid, "memory"));
    return 0;
}

static void step_stop(struct life *l, shoal_node *node)
{
    shoal_result *r = NULL;
    finish_drop(l, node, "node stop", shoal_node_stop(node, 0, shoal_keep, &r), &r);
}

static void run(struct life *l, unsigned long fail_at, unsigned long fail_for, uint32_t step_ms)
{
    memset(l, 0, sizeof *l);
    l->step_ms = step_ms;
    meter_arm(&l->meter, fail_at, fail_for);
    AGAIN("new", step_new(l, &l->a));
    AGAIN("listen", step_listen(l));
    AGAIN("spawn", step_spawn(l));
    assert_true(shoal_address(l->a, 0, l->address, sizeof l->address) > 0);
    AGAIN("new", step_new(l, &l->b));
    AGAIN("dial", step_dial(l));
    AGAIN("register", step_register(l));
    AGAIN("lookup", step_lookup(l));
    AGAIN("ask", step_ask(l, l->a, l->pid, 40));
    AGAIN("far ask", step_far_ask(l));
    AGAIN("big far ask", step_far_big(l));
    AGAIN("links", step_links(l));
    step_rest(l);
    AGAIN("ask after all", step_ask(l, l->a, l->pid, 300));
    AGAIN("far ask after all", step_far_ask(l));
    step_stop(l, l->b);
    step_stop(l, l->a);
    shoal_node_free(l->b);
    shoal_node_free(l->a);
    if (l->meter.live || l->meter.blocks) {
        fail_msg("k %lu: %zu bytes in %zu blocks are left", fail_at, l->meter.live,
                 l->meter.blocks);
    }
}

/* 1, 1 + step ... 400, then strides: until a whole life passes without a refusal, or the time is over. */
static void walk(unsigned long fail_for, unsigned long step, double seconds)
{
    static struct life life;
    double begun = now_s();
    run(&life, 0, 0, LONG_MS);
    unsigned long all = life.meter.asked, k = 1, lives = 0, told = 0, deaf = 0;
    for (; k <= all && now_s() - begun < seconds; lives++) {
        run(&life, k, fail_for, SHORT_MS);
        told += life.failures > 0;
        deaf += life.deaf >= 8;
        k += k < 400 ? step : k / 64;
    }
    do { /* the number of allocations varies a little with the timing */
        run(&life, all, fail_for, LONG_MS);
        all += all / 8;
    } while (life.meter.refused);
    print_message("  %lu of %lu allocations refused, each in a life of its own; %lu told of a "
                  "failure, %lu were deaf, "
                  "%.1f s\n",
                  lives, life.meter.asked, told, deaf, now_s() - begun);
    assert_true(told > lives / 8);
}

static void test_one_refused(void **state)
{
    (void)state;
    walk(1, 1, 9);
}

static void test_many_refused(void **state)
{
    (void)state;
    walk(25, 7, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_refused),
        cmocka_unit_test(test_many_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
