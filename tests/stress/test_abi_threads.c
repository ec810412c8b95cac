/* The public interface from many threads at once: seeded callers do everything the header calls [any] while one thread
 * polls; every call ends once, tells of one thread to one actor stay in order, handlers of one actor never overlap.
 * For the thread sanitizer. */
#include <string.h>
#include <unistd.h>

#include "callers.h"
#include "process.h"

enum {
    CALLERS = 4,
    CALLS_MAX = 60000,
    SHARED = 64,
    PROMISES = 32,
    SEQS = 2,
    WAIT_MS = 250,
    ROUND_MS = 600
};

struct world {
    struct host host;
    atomic_bool over;           /* callers go home; the host later */
    bool gently;                /* the node is stopped before it is freed */
    atomic_ullong pids[SHARED]; /* .actor of actors, for everybody to use and end */
    uint32_t check;
    shoal_pid seq[SEQS]; /* never ended: the tells to them are counted */
    atomic_ullong told[SEQS][CALLERS];
    struct {
        atomic_int state; /* 0 free, 1 being written, 2 there, 3 being taken */
        shoal_promise promise;
    } promises[PROMISES];
    atomic_uint later_left; /* promises that found no room: answered by nobody */
};

struct caller {
    struct world *w;
    unsigned me;
    struct calls calls;
};

/* The last result of a call that gives many. */
static void ended_many(void *ud, const shoal_result *r)
{
    if (r->code != 0) {
        ended(ud, r);
    }
}

static uint64_t seed_of(uint64_t n)
{
    const char *given = getenv("SHOAL_SEED");
    return (given ? strtoull(given, NULL, 10) : 20250701u) * 1000 + n;
}

/* --- actors: plain state, so that overlapping handlers are a race --- */

struct state {
    int64_t n;
    uint64_t last[CALLERS];
    uint64_t got[CALLERS];
};

static int on_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    return shoal_reply_i64(cx, ++((struct state *)state)->n);
}

static int on_fail(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    ((struct state *)state)->n++;
    return shoal_fail(cx, "on purpose");
}

/* value: [caller, number]; numbers of one caller rise. */
static int on_seq(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct state *s = state;
    uint64_t who = 0, number = 0;
    (void)cx;
    shoal_as_u64(shoal_item(value, 0), &who);
    shoal_as_u64(shoal_item(value, 1), &number);
    if (who >= CALLERS || number <= s->last[who]) {
        fprintf(stderr, "caller %llu: %llu after %llu\n", (unsigned long long)who,
                (unsigned long long)number, (unsigned long long)s->last[who % CALLERS]);
        abort();
    }
    s->last[who] = number;
    s->got[who]++;
    return 0;
}

static int on_got(shoal_cx *cx, void *state, shoal_bytes value)
{
    uint64_t who = 0;
    shoal_as_u64(value, &who);
    return shoal_reply_i64(cx, (int64_t)((struct state *)state)->got[who % CALLERS]);
}

static int on_later(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct world *w = shoal_cx_user(cx);
    shoal_promise promise;
    (void)value;
    ((struct state *)state)->n++;
    int code = shoal_defer(cx, &promise);
    for (int i = 0; code == 0 && i < PROMISES; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&w->promises[i].state, &none, 1)) {
            w->promises[i].promise = promise;
            atomic_store(&w->promises[i].state, 2);
            return 0;
        }
    }
    atomic_fetch_add_explicit(&w->later_left, 1, memory_order_relaxed);
    return 0; /* a tell, or nobody will answer: the deadline does */
}

static int asked(shoal_cx *cx, void *ud, const shoal_result *r)
{
    (void)ud;
    ((struct state *)shoal_cx_state(cx))->n++;
    return r->code < 0 ? shoal_reply_i64(cx, r->code) : shoal_reply(cx, r->value);
}

static shoal_pid shared_pid(struct world *w, uint64_t random)
{
    return (shoal_pid){.actor =
                           atomic_load_explicit(&w->pids[random % SHARED], memory_order_relaxed),
                       .check = w->check};
}

static int on_pass(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct world *w = shoal_cx_user(cx);
    struct state *s = state;
    (void)value;
    shoal_pid pid = shared_pid(w, shoal_random_u64(cx));
    s->n++;
    if (s->n % 3 == 0) {
        return shoal_forward(cx, pid, "inc", shoal_nil()) < 0 ? shoal_fail(cx, "no way") : 0;
    }
    return shoal_cx_ask(cx, pid, "inc", shoal_nil(), 50, asked, NULL) < 0 ? shoal_reply_nil(cx) : 0;
}

static int on_timer(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)value;
    ((struct state *)state)->n++;
    return shoal_after(cx, 2, "inc", shoal_nil()) < 0 ? shoal_fail(cx, "no timer") : 0;
}

static int on_bye(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_cx_stop(cx, "bye");
    return 0;
}

static int on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)cx, (void)pid, (void)reason;
    ((struct state *)state)->n++;
    return SHOAL_RESUME;
}

static void on_stop(shoal_cx *cx, void *state, const shoal_reason *reason)
{
    (void)reason;
    ((struct state *)state)->n++;
    shoal_cx_tell(cx, shared_pid(shoal_cx_user(cx), shoal_random_u64(cx)), "inc", shoal_nil());
}

static const shoal_handler handlers[] = {
    {"inc", on_inc},     {"fail", on_fail}, {"seq", on_seq},     {"got", on_got},
    {"later", on_later}, {"pass", on_pass}, {"timer", on_timer}, {"bye", on_bye},
};
/* Several, so that types are made while others run. */
#define TYPE(name)                                                                                 \
    {                                                                                              \
        .struct_size = sizeof(shoal_actor_type), .id = name, .state_size = sizeof(struct state),   \
        .handlers = handlers, .handler_count = sizeof handlers / sizeof *handlers, .mailbox = 64,  \
        .on_down = on_down, .on_stop = on_stop                                                     \
    }
static const shoal_actor_type types[] = {TYPE("stress.a"), TYPE("stress.b"), TYPE("stress.c"),
                                         TYPE("stress.d"), TYPE("stress.e"), TYPE("stress.f"),
                                         TYPE("stress.g"), TYPE("stress.h")};
enum { TYPES = sizeof types / sizeof *types };

/* --- what callers do --- */

static void do_spawn(struct caller *c, shoal_pid target)
{
    struct world *w = c->w;
    uint64_t r = next(&c->calls);
    shoal_spawn_options o = {.struct_size = sizeof o, .user = w};
    shoal_pid pid;
    o.flags = r & 1 ? SHOAL_ON_HOST : 0;
    o.link = (r >> 1) % 4 == 0 ? target : o.link;
    o.monitor = (r >> 3) % 4 == 1 ? target : o.monitor;
    int code = shoal_spawn(w->host.node, &types[(r >> 8) % TYPES], &o, &pid);
    if (code == 0) {
        uint64_t old =
            atomic_exchange_explicit(&w->pids[(r >> 16) % SHARED], pid.actor, memory_order_relaxed);
        shoal_kill(w->host.node, (shoal_pid){.actor = old, .check = w->check});
    } else if (code < SHOAL_E_USAGE) {
        c->calls.oddities++;
    }
}

static void do_tell(struct caller *c)
{
    unsigned which = (unsigned)(next(&c->calls) % SEQS);
    unsigned char room[64];
    shoal_pack p;
    static _Thread_local uint64_t number;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_list(&p, 2);
    shoal_put_u64(&p, c->me);
    shoal_put_u64(&p, ++number);
    int code = shoal_tell(c->w->host.node, c->w->seq[which], "seq", shoal_packed(&p));
    if (code == 0) {
        atomic_fetch_add_explicit(&c->w->told[which][c->me], 1, memory_order_relaxed);
    } else if (code != SHOAL_E_MAILBOX_FULL) {
        c->calls.oddities++;
    }
}

static const char *some_message(uint64_t r)
{
    static const char *const names[] = {"inc",   "inc",  "pass",   "later",
                                        "timer", "fail", "nosuch", "inc"};
    return names[r % 8];
}

static void do_ask_wait(struct caller *c, shoal_pid target)
{
    shoal_result *r = NULL;
    const char *name =
        next(&c->calls) % 2 ? "inc" : "pass"; /* what answers soon: who waits is no stress */
    int64_t id = shoal_ask(c->w->host.node, target, name, shoal_nil(), WAIT_MS, shoal_keep, &r);
    if (id > 0) {
        double began = now_s();
        int code = shoal_wait(c->w->host.node, &r);
        c->calls.waits++;
        c->calls.good += code == 0;
        if (now_s() - began > 20) {
            fprintf(stderr, "an ask took %.1f s\n", now_s() - began);
            c->calls.oddities++;
        }
        shoal_result_free(r);
    }
}

static void do_ask(struct caller *c, shoal_pid target)
{
    struct call *call = call_new(&c->calls);
    uint64_t r = next(&c->calls);
    if (!call) {
        return;
    }
    int64_t id = begun(
        &c->calls, call,
        shoal_ask(c->w->host.node, target, some_message(r), shoal_nil(), WAIT_MS, ended, call));
    if (id > 0 && (r >> 8) % 2) {
        shoal_cancel(c->w->host.node, id);
    }
}

static void do_watch(struct caller *c, shoal_pid a, shoal_pid b)
{
    shoal_node *node = c->w->host.node;
    struct call *call;
    switch (next(&c->calls) % 6) {
    case 0: shoal_monitor(node, a, b); break;
    case 1: shoal_link(node, a, b); break;
    case 2: shoal_unlink(node, a, b); break;
    case 3: shoal_tell(node, a, "bye", shoal_nil()); break;
    case 4:
        if ((call = call_new(&c->calls)) != NULL) {
            int64_t id = begun(&c->calls, call, shoal_done(node, a, ended, call));
            if (id > 0 && next(&c->calls) % 2) {
                shoal_cancel(node, id);
            }
        }
        break;
    default:
        if ((call = call_new(&c->calls)) != NULL) {
            begun(&c->calls, call, shoal_stop(node, a, ended, call));
        }
        break;
    }
}

static void do_names(struct caller *c, shoal_pid a)
{
    shoal_node *node = c->w->host.node;
    uint64_t r = next(&c->calls);
    char name[32];
    struct call *call = call_new(&c->calls);
    snprintf(name, sizeof name, "name-%u", (unsigned)(r % 8));
    if (!call) {
        return;
    }
    switch ((r >> 8) % 4) {
    case 0: begun(&c->calls, call, shoal_register(node, a, name, ended, call)); break;
    case 1:
        begun(&c->calls, call, shoal_lookup(node, name, (r >> 16) % 2 ? 20 : 0, ended, call));
        break;
    case 2: {
        int64_t id = begun(
            &c->calls, call,
            shoal_lookup_all(node, name, 0, (r >> 16) % 2 ? SHOAL_FOLLOW : 0, ended_many, call));
        if (id > 0) {
            shoal_cancel(node, id);
        }
        break;
    }
    default: shoal_unregister(node, a, name); break;
    }
}

static void do_texts(struct caller *c, shoal_pid a)
{
    shoal_node *node = c->w->host.node;
    char text[160];
    shoal_pid back;
    shoal_pack p;
    if (shoal_pid_text(node, a, text, sizeof text) > 0 &&
        (shoal_pid_parse(node, text, &back) < 0 || !shoal_pid_equal(a, back))) {
        c->calls.oddities++;
    }
    shoal_pack_init(&p, NULL, 0);
    shoal_put_ref(&p, node, a);
    if (!shoal_pack_error(&p) && shoal_as_ref(node, shoal_packed(&p), &back) < 0) {
        c->calls.oddities++;
    }
    shoal_pack_free(&p);
    if (shoal_address(node, 0, text, sizeof text) < 0 ||
        shoal_peer_id(node, text, sizeof text) < 0) {
        c->calls.oddities++;
    }
}

static void do_promise(struct caller *c)
{
    struct world *w = c->w;
    uint64_t r = next(&c->calls);
    int there = 2;
    unsigned i = (unsigned)(r % PROMISES);
    if (!atomic_compare_exchange_strong(&w->promises[i].state, &there, 3)) {
        return;
    }
    shoal_promise promise = w->promises[i].promise;
    atomic_store(&w->promises[i].state, 0);
    unsigned char one = 1;
    int code = (r >> 8) % 4 ? shoal_promise_reply(w->host.node, promise, (shoal_bytes){&one, 1})
                            : shoal_promise_fail(w->host.node, promise, "not today");
    c->calls.oddities += code < 0;
    if ((r >> 16) % 4 == 0) {
        shoal_promise_reply(w->host.node, promise, shoal_nil()); /* a second answer is dropped */
    }
}

static void do_info(struct caller *c)
{
    static const char *const whats[] = {"actors", "peers", "names", "routing"};
    struct call *call = call_new(&c->calls);
    if (call) {
        begun(&c->calls, call,
              shoal_info(c->w->host.node, whats[next(&c->calls) % 4], NULL, ended, call));
    }
}

static void do_drain(struct caller *c, shoal_pid a)
{
    struct call *call = call_new(&c->calls);
    if (call) {
        shoal_tell(c->w->host.node, a, "inc", shoal_nil());
        begun(&c->calls, call, shoal_drain(c->w->host.node, a, WAIT_MS, ended, call));
    }
}

/* Calls that are still open when the node is freed. One that ends there begins another, which must end too. */
static void ended_again(void *ud, const shoal_result *r)
{
    struct call *c = ud;
    ended(c, r);
    if (c->again && r->code == SHOAL_E_CLOSED) {
        int64_t id = shoal_lookup(c->again, "name-0", 0, ended, c + 1);
        c[1].begun = id > 0;
        c->again = NULL;
    }
}

static void leave_open(struct caller *c)
{
    shoal_node *node = c->w->host.node;
    for (unsigned i = 0; i < 40; i++) {
        struct call *call = call_new(&c->calls), *spare = call_new(&c->calls);
        shoal_pid a = shared_pid(c->w, next(&c->calls));
        if (!call || !spare) {
            return;
        }
        call->again = node;
        switch (i % 4) {
        case 0:
            begun(&c->calls, call, shoal_done(node, c->w->seq[i % SEQS], ended_again, call));
            break;
        case 1:
            begun(&c->calls, call,
                  shoal_lookup_all(node, "nobody", 0, SHOAL_FOLLOW, ended_again, call));
            break;
        case 2: begun(&c->calls, call, shoal_info(node, "actors", NULL, ended_again, call)); break;
        default:
            begun(&c->calls, call,
                  shoal_ask(node, a, "later", shoal_nil(), 20000, ended_again, call));
            break;
        }
    }
}

/* Every type at once by everybody, on both executors. */
static void make_types(struct caller *c)
{
    for (unsigned i = 0; i < 2 * TYPES; i++) {
        shoal_spawn_options o = {.struct_size = sizeof o, .user = c->w};
        shoal_pid pid;
        o.flags = (i + c->me) % 2 ? SHOAL_ON_HOST : 0;
        c->calls.oddities += shoal_spawn(c->w->host.node, &types[i / 2], &o, &pid) < 0;
        shoal_kill(c->w->host.node, pid);
    }
}

static void *caller_main(void *ud)
{
    struct caller *c = ud;
    struct world *w = c->w;
    make_types(c);
    while (!atomic_load_explicit(&w->over, memory_order_relaxed)) {
        uint64_t r = next(&c->calls);
        shoal_pid a = shared_pid(w, r), b = shared_pid(w, r >> 16);
        switch ((r >> 32) % 24) {
        case 0: do_spawn(c, a); break;
        case 1:
        case 2: do_ask_wait(c, a); break;
        case 3: do_names(c, a); break;
        case 4: do_info(c); break;
        case 5: do_texts(c, a); break;
        case 6: do_watch(c, a, b); break;
        case 7: do_drain(c, a); break;
        case 8:
            shoal_wake(w->host.node), (void)shoal_fd(w->host.node),
                (void)shoal_backlog(w->host.node);
            break;
        case 9:
        case 10:
        case 11: do_promise(c); break;
        case 12:
        case 13:
        case 14:
        case 15: do_ask(c, a); break;
        default: do_tell(c); break;
        }
    }
    if (!w->gently) {
        leave_open(c);
    }
    return NULL;
}

/* --- a round --- */

static void world_open(struct world *w, uint32_t threads)
{
    shoal_spawn_options o = {.struct_size = sizeof o, .user = w, .mailbox = 256};
    memset(w, 0, sizeof *w);
    w->host.node = node_make(threads, true);
    for (int i = 0; i < SEQS; i++) {
        o.flags = i % 2 ? SHOAL_ON_HOST : 0;
        assert_int_equal(shoal_spawn(w->host.node, &types[0], &o, &w->seq[i]), 0);
        w->check = w->seq[i].check;
    }
    for (int i = 0; i < SHARED; i++) {
        shoal_pid pid;
        o.flags = i % 2 ? SHOAL_ON_HOST : 0;
        assert_int_equal(shoal_spawn(w->host.node, &types[0], &o, &pid), 0);
        atomic_store(&w->pids[i], pid.actor);
    }
}

/* What was told has arrived, all of it. */
static void check_told(struct world *w)
{
    for (unsigned i = 0; i < SEQS; i++) {
        shoal_result *r = NULL;
        assert_true(shoal_drain(w->host.node, w->seq[i], 5000, shoal_keep, &r) > 0);
        assert_int_equal(shoal_wait(w->host.node, &r), 0);
        shoal_result_free(r);
        for (unsigned who = 0; who < CALLERS; who++) {
            int64_t got = -1;
            unsigned char number = (unsigned char)who;
            r = NULL;
            assert_true(shoal_ask(w->host.node, w->seq[i], "got", (shoal_bytes){&number, 1}, 5000,
                                  shoal_keep, &r) > 0);
            assert_int_equal(shoal_wait(w->host.node, &r), 0);
            assert_int_equal(shoal_as_i64(r->value, &got), 0);
            assert_int_equal(got, atomic_load(&w->told[i][who]));
            shoal_result_free(r);
        }
    }
}

static void check_calls(struct caller *callers)
{
    struct sum all = {0};
    unsigned waits = 0;
    bool gently = callers->w->gently;
    for (struct caller *c = callers; c < callers + CALLERS; c++) {
        struct sum sum = calls_end(&c->calls);
        all.open += sum.open;
        all.good += sum.good;
        all.closed += sum.closed;
        waits += c->calls.waits;
    }
    print_message("  %u waited for, %u with a callback: %u good, %u closed\n", waits, all.open,
                  all.good, all.closed);
    assert_true(waits > 0 && all.good > 0 && (gently || all.closed > 0));
}

static void round_of(uint32_t threads, bool gently)
{
    static struct world world;
    struct world *w = &world;
    struct caller callers[CALLERS];
    pthread_t thread[CALLERS];
    world_open(w, threads);
    w->gently = gently;
    host_start(&w->host);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.w = w, .me = i};
        callers[i].calls = calls_new(CALLS_MAX, seed_of(i + 100 * threads + 10 * gently));
        assert_int_equal(pthread_create(&thread[i], NULL, caller_main, &callers[i]), 0);
    }
    usleep(ROUND_MS * 1000);
    atomic_store(&w->over, true);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(thread[i], NULL);
    }
    if (gently) {
        shoal_result *r = NULL;
        check_told(w);
        assert_true(shoal_node_stop(w->host.node, 3000, shoal_keep, &r) > 0);
        assert_int_equal(shoal_wait(w->host.node, &r), 0);
        shoal_result_free(r);
    }
    host_end(&w->host);
    check_calls(callers);
}

static void threaded_stopped(void **state)
{
    (void)state;
    round_of(1, true);
}

static void threaded_freed(void **state)
{
    (void)state;
    round_of(1, false);
}

static void inline_stopped(void **state)
{
    (void)state;
    round_of(0, true);
}

static void inline_freed(void **state)
{
    (void)state;
    round_of(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threaded_stopped),
        cmocka_unit_test(threaded_freed),
        cmocka_unit_test(inline_stopped),
        cmocka_unit_test(inline_freed),
    };
    alarm(100); /* a call that never ends is a failure, not a hang */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
