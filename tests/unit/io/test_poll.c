/* unit/io/test_poll.c - polling, waking, foreign loops and threads, over a fake node. */
#include "broken.h"

static void test_poll_waits_and_wakes(void **state)
{
    (void)state;
    sh_io *io = make(0, false);
    struct sh_io_work work;
    uint64_t before = calls.now_us();
    assert_int_equal(sh_io_poll(io, 0, 30, &work), 0);
    assert_true(calls.now_us() - before >= 29000);
    assert_int_equal(work.handled, 0);

    sh_io_wake(io); /* before: the next poll does not wait */
    before = calls.now_us();
    assert_int_equal(sh_io_poll(io, 0, 10000, &work), 0);
    assert_true(calls.now_us() - before < 5000000);

    fake_give(fake_exec(io, 0)); /* work: returns with it */
    assert_int_equal(sh_io_poll(io, 0, 10000, &work), 0);
    assert_int_equal(work.handled, 1);
    sh_io_free(io);
}

static sh_io *handler_io;
static int handler_rc[3];

static void handler_polls(struct sh_exec *x)
{
    (void)x;
    handler_rc[0] = sh_io_poll(handler_io, 0, 0, NULL);
    char text[SH_ADDR_TEXT_MAX];
    handler_rc[1] = sh_io_address(handler_io, 0, text, sizeof text);
    handler_rc[2] = sh_io_listen(handler_io, "/ip4/127.0.0.1/tcp/0", NULL);
}

static void test_calls_from_a_handler(void **state)
{
    (void)state;
    handler_io = make(0, true);
    fake_handler = handler_polls;
    fake_give(fake_exec(handler_io, 0));
    assert_int_equal(sh_io_poll(handler_io, 0, 1000, NULL), 0);
    assert_int_equal(handler_rc[0], SH_E_USAGE);
    assert_true(handler_rc[1] > 0);
    assert_int_equal(handler_rc[2], 0);
    sh_io_free(handler_io);
}

/* A host loop that knows only the descriptor and the timeout: whatever is given, from wherever, is handled. */
static void foreign_loop(sh_io *io, int ep, bool *fresh)
{
    int64_t ms = sh_io_next_timeout_ms(io);
    struct epoll_event ev;
    int n = epoll_wait(ep, &ev, 1, ms < 0 || ms > 2000 ? 2000 : (int)ms);
    *fresh = n > 0 || ms == 0;
    if (*fresh || ms > 0) {
        assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
    }
}

static int foreign_epoll(sh_io *io)
{
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    assert_true(ep >= 0);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, sh_io_fd(io), &ev), 0);
    return ep;
}

struct giver {
    struct sh_exec *x;
    unsigned n;
};

static void *give_main(void *ud)
{
    struct giver *g = ud;
    for (unsigned i = 0; i < g->n; i++) {
        fake_give(g->x);
        if (i % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void foreign_run(unsigned threads)
{
    enum { GIVEN = 20000 };
    sh_io *server = make(0, true);
    sh_io *io = make(threads, false);
    sh_addr addr = address(server);
    int ep = foreign_epoll(io);
    int ep_server = foreign_epoll(server);
    struct sh_exec *x = fake_exec(io, threads);
    struct giver g = {x, GIVEN};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, give_main, &g), 0);
    sh_conn_id conn = fake_dial(io, &addr); /* a handle started outside uv_run */
    fake_send(io, conn, pattern, 3000);
    struct sh_node *s = sh_io_node(server);
    uint64_t give_up = calls.now_us() + 20000000u;
    bool fresh;
    while (x->handled < GIVEN || s->conns[1].total < 3000) {
        assert_true(calls.now_us() < give_up);
        if (x->handled < GIVEN || !threads) {
            foreign_loop(io, ep, &fresh);
            assert_true(fresh || x->handled == GIVEN || sh_io_next_timeout_ms(io) >= 0 ||
                        !atomic_load(&x->pending)); /* never asleep with work */
        }
        struct epoll_event ev;
        epoll_wait(ep_server, &ev, 1, 0);
        sh_io_poll(server, 0, 0, NULL);
    }
    pthread_join(t, NULL);
    close(ep);
    close(ep_server);
    sh_io_free(io);
    sh_io_free(server);
}

static void test_foreign_loop(void **state)
{
    (void)state;
    foreign_run(0);
    foreign_run(1);
}

/* Posts from outside a poll, one at a time: each must make the descriptor readable by itself. */
static void test_descriptor_tells_each(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        int ep = foreign_epoll(io);
        struct sh_exec *x = fake_exec(io, threads);
        struct epoll_event ev;
        assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
        assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
        assert_int_equal(epoll_wait(ep, &ev, 1, 0), 0); /* quiet: not readable */
        for (size_t i = 1; i <= 100; i++) {
            fake_give(x);
            assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
            assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
            assert_int_equal(x->handled, i);
        }
        x->deadline_us = calls.now_us() + 50000;
        assert_in_range(sh_io_next_timeout_ms(io), 1, 51);
        x->deadline_us = UINT64_MAX;
        assert_int_equal(sh_io_next_timeout_ms(io), -1);
        close(ep);
        sh_io_free(io);
    }
}

/* --- threads --- */

static void test_threaded_echo(void **state)
{
    (void)state;
    sh_io *server = make(1, true);
    sh_io *client = make(1, false);
    sh_addr addr = address(server);
    sh_conn_id conn = fake_dial(client, &addr);
    fake_send(client, conn, pattern, 100000);
    struct sh_node *c = sh_io_node(client);
    uint64_t give_up = calls.now_us() + 20000000u;
    size_t got = 0;
    while (got < 100000) {
        assert_true(calls.now_us() < give_up);
        struct timespec ts = {0, 1000000};
        nanosleep(&ts, NULL);
        uint64_t token = sh_io_token();
        if (sh_exec_enter(&c->runtime.execs[0], token)) { /* looks from inside */
            got = c->conns[conn].got_n;
            sh_exec_leave(&c->runtime.execs[0], token);
        }
    }
    sh_io_free(client);
    sh_io_free(server);
}

static void test_start_stop(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        sh_io *io = make(1, i % 2 == 0);
        if (i % 3 == 0) {
            fake_give(fake_exec(io, 0));
            fake_give(fake_exec(io, 1));
            assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
        }
        sh_io_free(io);
    }
}

static void *wake_main(void *ud)
{
    struct timespec ts = {0, 5000000};
    nanosleep(&ts, NULL);
    sh_io_wake(ud);
    return NULL;
}

static void test_wake_from_thread(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, wake_main, io), 0);
        uint64_t before = calls.now_us();
        assert_int_equal(sh_io_poll(io, 0, 10000, NULL), 0);
        assert_true(calls.now_us() - before < 5000000);
        pthread_join(t, NULL);
        sh_io_free(io);
    }
}

struct waiter {
    sh_io *io;
    size_t want;
    struct sh_exec *x;
    int rc;
};

static bool waiter_done(void *ud)
{
    struct waiter *w = ud;
    return atomic_load(&w->x->pending) == 0;
}

static void *waiter_main(void *ud)
{
    struct waiter *w = ud;
    for (int i = 0; i < 200 && w->rc == 0; i++) {
        fake_give(w->x);
        w->rc = sh_io_wait(w->io, waiter_done, w, 20000);
    }
    return NULL;
}

static void test_many_wait(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        struct waiter w[4];
        pthread_t t[4];
        for (int i = 0; i < 4; i++) {
            w[i] = (struct waiter){io, 1, fake_exec(io, threads), 0};
            assert_int_equal(pthread_create(&t[i], NULL, waiter_main, &w[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(t[i], NULL);
            assert_int_equal(w[i].rc, 0);
        }
        assert_int_equal(fake_exec(io, threads)->handled, 800);
        sh_io_free(io);
    }
}

static bool never(void *ud)
{
    (void)ud;
    return false;
}

static void test_wait_ends(void **state)
{
    (void)state;
    sh_io *io = make(0, false);
    assert_int_equal(sh_io_wait(io, never, NULL, 20), SH_E_TIMEOUT);
    sh_io_free(io);
}

static void nothing(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    (*(unsigned *)ud)++;
    (void)n;
}

static void *inside_main(void *ud)
{
    unsigned count = 0;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(sh_io_inside(ud, nothing, &count), 0);
    }
    return (void *)(uintptr_t)count;
}

static void test_inside_from_threads(void **state)
{
    (void)state;
    sh_io *io = make(1, true);
    pthread_t t[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, inside_main, io), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *count;
        pthread_join(t[i], &count);
        assert_int_equal((uintptr_t)count, 2000);
    }
    sh_io_free(io);
}

/* Ends while bytes are on their way in both directions. */
static void test_free_with_traffic(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        sh_io *server = make(i % 2, true);
        sh_io *client = make(1, false);
        sh_addr addr = address(server);
        sh_conn_id conn = fake_dial(client, &addr);
        fake_send(client, conn, pattern, 200000);
        sh_io_poll(server, 0, 1, NULL);
        sh_io_free(i % 3 == 0 ? server : client);
        sh_io_free(i % 3 == 0 ? client : server);
    }
}

static void test_fork(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        struct pair p = {.server = make(threads, true), .client = make(0, false)};
        sh_addr addr = address(p.server);
        p.c = sh_io_node(p.client);
        p.conn = fake_dial(p.client, &addr);
        pid_t child = fork();
        if (child == 0) {
            char text[8];
            bool good = sh_io_poll(p.server, 0, 0, NULL) == SH_E_CLOSED &&
                        sh_io_address(p.server, 0, text, sizeof text) == SH_E_CLOSED &&
                        sh_io_wait(p.server, never, NULL, 10) == SH_E_CLOSED;
            sh_io_free(p.server);
            _exit(good ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        p.s = sh_io_node(p.server); /* the parent goes on as if nothing had been */
        pair_echo(&p, 5000);
        pair_close(&p);
    }
}

static void test_signals_stay_with_the_host(void **state)
{
    (void)state;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    sh_io *io = make(1, false);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    assert_int_equal(sigismember(&after, SIGTERM), 0);
    sh_io_free(io);
}

/* --- a clock and yields of ours --- */

static uint64_t own_now_us;
static uint64_t own_yield_us;
static unsigned own_yields;

static uint64_t own_now(void)
{
    return own_now_us;
}

static int own_yield(void)
{
    own_yields++;
    own_now_us += own_yield_us;
    return 0;
}

static sh_io *own_woken; /* each sleep of it is over after own_sleep_us */
static uint64_t own_sleep_us;

static int own_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (timeout_ms > 0 && own_woken) {
        own_now_us += own_sleep_us;
        sh_io_wake(own_woken);
    } else if (timeout_ms > 0) {
        own_now_us += (uint64_t)timeout_ms * 1000;
    }
    return sh_syscalls_system()->poll(fds, n, 0);
}

/* How often it yields after traffic, each yield being so long, before it sleeps. */
static unsigned yields_of(sh_io *io, uint64_t yield_us)
{
    own_yield_us = yield_us;
    fake_give(fake_exec(io, 0));
    assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
    own_yields = 0;
    assert_int_equal(sh_io_poll(io, 0, 1, NULL), 0);
    return own_yields;
}

static struct sh_syscalls own_calls(void)
{
    struct sh_syscalls kept = calls;
    own_now_us = calls.now_us();
    calls.now_us = own_now;
    calls.yield = own_yield;
    calls.poll = own_poll;
    return kept;
}

/* A yield that took long says that somebody else wants the core: for a while nobody spins. */
static void test_no_spin_when_crowded(void **state)
{
    (void)state;
    struct sh_syscalls kept = own_calls();
    sh_io *io = make(0, false);
    assert_in_range(yields_of(io, 1), 15, 20);
    assert_int_equal(yields_of(io, 40), 1); /* the other end's turn, nothing more */
    assert_in_range(yields_of(io, 1), 15, 20);
    assert_int_equal(yields_of(io, 50), 1);
    assert_int_equal(yields_of(io, 1), 0);
    own_now_us += 10000;
    assert_in_range(yields_of(io, 1), 15, 20);
    sh_io_free(io);
    calls = kept;
}

static void handler_takes_30_us(struct sh_exec *x)
{
    (void)x;
    own_now_us += 30;
}

/* The other end begins when we have written: so does the spin. */
static void test_spin_begins_behind_the_work(void **state)
{
    (void)state;
    struct sh_syscalls kept = own_calls();
    fake_handler = handler_takes_30_us;
    sh_io *io = make(0, false);
    assert_in_range(yields_of(io, 1), 15, 20);
    sh_io_free(io);
    fake_handler = NULL;
    calls = kept;
}

/* Who was woken soon after it fell asleep spins twice as long the next time. */
static void test_spin_after_a_short_sleep(void **state)
{
    (void)state;
    static const struct {
        uint64_t slept_us;
        unsigned least, most; /* yields of the next spin */
    } rows[] = {{10, 35, 40}, {40, 35, 40}, {45, 15, 20}, {900, 15, 20}};
    struct sh_syscalls kept = own_calls();
    sh_io *io = make(0, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own_woken = io;
        own_sleep_us = rows[i].slept_us;
        (void)yields_of(io, 1);
        own_woken = NULL;
        assert_in_range(yields_of(io, 1), rows[i].least, rows[i].most);
        assert_in_range(yields_of(io, 1), 15, 20); /* that one slept to its end */
    }
    sh_io_free(io);
    calls = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_poll_waits_and_wakes),
        T(test_calls_from_a_handler),
        T(test_foreign_loop),
        T(test_descriptor_tells_each),
        T(test_threaded_echo),
        T(test_start_stop),
        T(test_wake_from_thread),
        T(test_many_wait),
        T(test_wait_ends),
        T(test_inside_from_threads),
        T(test_free_with_traffic),
        T(test_fork),
        T(test_signals_stay_with_the_host),
        T(test_no_spin_when_crowded),
        T(test_spin_begins_behind_the_work),
        T(test_spin_after_a_short_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
