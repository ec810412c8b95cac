/* Two threaded nodes over loopback, each polled by its own thread, and callers of both: names, asks, links, promises and
 * ends across the wire while actors come and go; then one node goes away in the middle. Every call ends once. */
#include <string.h>
#include <unistd.h>

#include "callers.h"

enum { CALLERS = 2, CALLS_MAX = 40000, NAMES = 4, ROUND_MS = 900, ASK_MS = 400 };

struct side {
    struct host host;
    shoal_pid near[NAMES]; /* named; the last ones are killed and born again by its callers */
};

struct caller {
    struct side *side;
    struct calls calls;
    atomic_bool *over;
};

/* --- actors --- */

struct state {
    int64_t n;
};

static int on_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    return shoal_reply_i64(cx, ++((struct state *)state)->n);
}

static int on_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    ((struct state *)state)->n++;
    return shoal_reply(cx, value);
}

static int asked(shoal_cx *cx, void *ud, const shoal_result *r)
{
    (void)ud;
    ((struct state *)shoal_cx_state(cx))->n++;
    return shoal_reply_i64(cx, r->code);
}

/* value: a ref: its actor is asked, there and back. */
static int on_ask_it(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_pid pid;
    ((struct state *)state)->n++;
    if (shoal_as_ref(shoal_cx_node(cx), value, &pid) < 0) {
        return shoal_fail(cx, "no ref");
    }
    return shoal_cx_ask(cx, pid, "inc", shoal_nil(), 200, asked, NULL) < 0 ? shoal_reply_nil(cx)
                                                                           : 0;
}

static int on_silent(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_promise p;
    (void)state, (void)value;
    return shoal_defer(cx, &p);
}

static int on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)cx, (void)pid, (void)reason;
    ((struct state *)state)->n++;
    return SHOAL_RESUME;
}

static const shoal_handler handlers[] = {
    {"inc", on_inc}, {"echo", on_echo}, {"ask_it", on_ask_it}, {"silent", on_silent}};
static const shoal_actor_type type = {
    .struct_size = sizeof type,
    .id = "stress.pair",
    .state_size = sizeof(struct state),
    .handlers = handlers,
    .handler_count = 4,
    .on_down = on_down,
};

/* --- callers --- */

static bool find(struct caller *c, shoal_pid *pid)
{
    char name[32];
    shoal_result *r = NULL;
    snprintf(name, sizeof name, "pair-%u", (unsigned)(next(&c->calls) % (2 * NAMES)));
    if (shoal_lookup(c->side->host.node, name, 0, shoal_keep, &r) < 0) {
        return false;
    }
    bool found = shoal_wait(c->side->host.node, &r) == 0;
    if (found) {
        *pid = r->pid;
    }
    shoal_result_free(r);
    return found;
}

static void do_wait(struct caller *c, shoal_pid pid)
{
    shoal_node *node = c->side->host.node;
    shoal_result *r = NULL;
    static const size_t sizes[] = {0, 1, 40, 300, 5000, 70000};
    static const unsigned char bytes[70000];
    size_t size = sizes[next(&c->calls) % 6];
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_bytes(&p, bytes, size);
    if (shoal_ask(node, pid, "echo", shoal_packed(&p), 2000, shoal_keep, &r) > 0) {
        c->calls.waits++;
        if (shoal_wait(node, &r) == 0) {
            c->calls.good++;
            c->calls.oddities += r->value.len != shoal_packed(&p).len;
        }
        shoal_result_free(r);
    }
    shoal_pack_free(&p);
}

static void do_call(struct caller *c, shoal_pid pid)
{
    shoal_node *node = c->side->host.node;
    shoal_pid mine = c->side->near[next(&c->calls) % NAMES];
    struct call *call = call_new(&c->calls);
    int64_t id = 0;
    shoal_pack p;
    if (!call) {
        return;
    }
    shoal_pack_init(&p, NULL, 0);
    switch (next(&c->calls) % 6) {
    case 0:
        id = begun(&c->calls, call,
                   shoal_ask(node, pid, "silent", shoal_nil(), ASK_MS, ended, call));
        break;
    case 1:
        shoal_put_ref(&p, node, mine);
        begun(&c->calls, call,
              shoal_ask(node, pid, "ask_it", shoal_packed(&p), ASK_MS, ended, call));
        break;
    case 2: begun(&c->calls, call, shoal_drain(node, pid, ASK_MS, ended, call)); break;
    case 3: id = begun(&c->calls, call, shoal_done(node, pid, ended, call)); break;
    case 4: begun(&c->calls, call, shoal_info(node, "peers", NULL, ended, call)); break;
    default:
        id = begun(&c->calls, call, shoal_ask(node, pid, "inc", shoal_nil(), ASK_MS, ended, call));
        break;
    }
    if (id > 0 && next(&c->calls) % 2) {
        shoal_cancel(node, id);
    }
    shoal_pack_free(&p);
}

static void do_watch(struct caller *c, shoal_pid pid)
{
    shoal_node *node = c->side->host.node;
    shoal_pid mine = c->side->near[next(&c->calls) % NAMES], back;
    char text[160];
    switch (next(&c->calls) % 4) {
    case 0: shoal_monitor(node, mine, pid); break;
    case 1: shoal_link(node, mine, pid); break;
    case 2: shoal_unlink(node, mine, pid); break;
    default:
        if (shoal_pid_text(node, pid, text, sizeof text) > 0) {
            c->calls.oddities +=
                shoal_pid_parse(node, text, &back) < 0 || !shoal_pid_equal(pid, back);
        }
        break;
    }
}

/* An actor without a name comes, is known to somebody far away, and goes. */
static void do_birth(struct caller *c, shoal_pid pid)
{
    shoal_node *node = c->side->host.node;
    shoal_spawn_options o = {
        .struct_size = sizeof o, .flags = next(&c->calls) % 2 ? SHOAL_ON_HOST : 0, .link = pid};
    shoal_pid child;
    if (shoal_spawn(node, &type, &o, &child) == 0) {
        shoal_pack p;
        shoal_pack_init(&p, NULL, 0);
        shoal_put_ref(&p, node, child);
        shoal_tell(node, pid, "ask_it", shoal_packed(&p));
        shoal_kill(node, child);
        shoal_pack_free(&p);
    }
}

static void *caller_main(void *ud)
{
    struct caller *c = ud;
    shoal_pid pid = c->side->near[0];
    while (!atomic_load_explicit(c->over, memory_order_relaxed)) {
        switch (next(&c->calls) % 12) {
        case 0: find(c, &pid); break;
        case 1:
        case 2: do_wait(c, pid); break;
        case 3: do_watch(c, pid); break;
        case 4: do_birth(c, pid); break;
        case 5:
        case 6: shoal_tell(c->side->host.node, pid, "inc", shoal_nil()); break;
        default: do_call(c, pid); break;
        }
    }
    return NULL;
}

/* --- the world --- */

static void side_open(struct side *s, unsigned which, uint32_t threads)
{
    memset(s, 0, sizeof *s);
    s->host.node = node_make(threads, true);
    for (unsigned i = 0; i < NAMES; i++) {
        shoal_spawn_options o = {.struct_size = sizeof o, .flags = i % 2 ? SHOAL_ON_HOST : 0};
        char name[32];
        snprintf(name, sizeof name, "pair-%u", which * NAMES + i);
        assert_int_equal(shoal_spawn(s->host.node, &type, &o, &s->near[i]), 0);
        assert_true(shoal_register(s->host.node, s->near[i], name, NULL, NULL) > 0);
    }
}

static void connect_sides(struct side *a, struct side *b)
{
    char address[256];
    shoal_result *r = NULL;
    assert_true(shoal_address(a->host.node, 0, address, sizeof address) > 0);
    assert_true(shoal_dial(b->host.node, address, shoal_keep, &r) > 0);
    assert_int_equal(shoal_wait(b->host.node, &r), 0);
    shoal_result_free(r);
    for (int i = 0; i < 2; i++) { /* both know the other's names */
        r = NULL;
        struct side *s = i ? b : a;
        assert_true(shoal_lookup(s->host.node, i ? "pair-0" : "pair-4", 5000, shoal_keep, &r) > 0);
        assert_int_equal(shoal_wait(s->host.node, &r), 0);
        shoal_result_free(r);
    }
}

static void check(struct caller *c)
{
    struct sum sum = calls_end(&c->calls);
    print_message("  %u of %u waited for good, %u of %u with a callback\n", c->calls.good,
                  c->calls.waits, sum.good, sum.open);
    assert_true(c->calls.good > 0 && sum.good > 0);
}

/* One node goes away first, gently or not, while the callers of the other still speak to it. */
static void round_of(uint32_t threads, bool gently, uint64_t seed)
{
    static struct side sides[2];
    struct caller callers[2 * CALLERS];
    pthread_t thread[2 * CALLERS];
    atomic_bool over[2] = {false, false};
    const char *given = getenv("SHOAL_SEED");
    seed += given ? strtoull(given, NULL, 10) * 100 : 0;
    for (unsigned i = 0; i < 2; i++) {
        side_open(&sides[i], i, threads);
        host_start(&sides[i].host);
    }
    connect_sides(&sides[0], &sides[1]);
    for (unsigned i = 0; i < 2 * CALLERS; i++) {
        callers[i] = (struct caller){.side = &sides[i % 2], .over = &over[i % 2]};
        callers[i].calls = calls_new(CALLS_MAX, seed + 1000 * i);
        assert_int_equal(pthread_create(&thread[i], NULL, caller_main, &callers[i]), 0);
    }
    for (unsigned side = 0; side < 2; side++) {
        struct side *s = &sides[side];
        usleep((side ? ROUND_MS / 3 : ROUND_MS) * 1000);
        atomic_store(&over[side], true);
        for (unsigned i = side; i < 2 * CALLERS; i += 2) {
            pthread_join(thread[i], NULL);
        }
        if (gently) {
            shoal_result *r = NULL;
            assert_true(shoal_node_stop(s->host.node, 1500, shoal_keep, &r) > 0);
            shoal_wait(s->host.node, &r);
            shoal_result_free(r);
        }
        host_end(&s->host);
    }
    for (unsigned i = 0; i < 2 * CALLERS; i++) {
        check(&callers[i]);
    }
}

static void threaded_gently(void **state)
{
    (void)state;
    round_of(1, true, 1);
}

static void threaded_abruptly(void **state)
{
    (void)state;
    round_of(1, false, 2);
}

static void inline_gently(void **state)
{
    (void)state;
    round_of(0, true, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threaded_gently),
        cmocka_unit_test(threaded_abruptly),
        cmocka_unit_test(inline_gently),
    };
    alarm(100); /* a call that never ends is a failure, not a hang */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
