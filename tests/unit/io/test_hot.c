/* unit/io/test_hot.c - the socket that was heard last is read before anybody is asked which are ready: what happens when
 * it ends, fails or is paused at that very time; and what comes between the look and the sleep. */
#include "broken.h"
#include "io/internal.h"

enum { LONG_MS = 10000, SOON_US = 5000000 };

static struct sh_exec *give_to;
static atomic_int gives; /* so many polls find that something came just before them */

static int poll_late(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (timeout_ms != 0 && atomic_load(&gives) > 0) {
        atomic_fetch_sub(&gives, 1);
        fake_give(give_to);
    }
    return sh_syscalls_system()->poll(fds, n, timeout_ms);
}

/* The client is read from: its socket is the one that is tried first. */
static struct pair hot_pair(void)
{
    struct pair p = pair_open();
    pair_echo(&p, 3000);
    return p;
}

static void polls_until_closed(struct pair *p, int err)
{
    uint64_t begun = calls.now_us();
    while (p->c->closed == 0) {
        assert_int_equal(sh_io_poll(p->client, 1000, 100, NULL), 0);
        assert_true(calls.now_us() - begun < SOON_US);
    }
    assert_int_equal(p->c->closed, 1);
    assert_null(p->client->hot);
    assert_int_equal(p->c->closed_bad, err < 0);
    for (int i = 0; i < 20; i++) { /* nothing tries it again */
        unsigned seen = bad_recv.seen;
        assert_int_equal(sh_io_poll(p->client, 0, 1, NULL), 0);
        assert_int_equal(bad_recv.seen, seen);
    }
    sh_io_free(p->client);
}

static void test_hot_ends(void **state)
{
    (void)state;
    struct pair p = hot_pair();
    sh_io_free(p.server);
    polls_until_closed(&p, 0);
}

static void test_hot_fails(void **state)
{
    (void)state;
    static const int errs[] = {ECONNRESET, ETIMEDOUT, EPIPE};
    for (size_t i = 0; i < 3; i++) {
        struct pair p = hot_pair();
        fake_send(p.client, p.conn, pattern, 100);
        assert_int_equal(sh_io_poll(p.client, 0, 0, NULL), 0);
        while (p.s->conns[1].total < 3100) { /* and the answer lies there */
            assert_int_equal(sh_io_poll(p.server, 1000, 10, NULL), 0);
        }
        bad_recv.err = errs[i];
        bad_recv.fail = 1;
        polls_until_closed(&p, -1);
        sh_io_free(p.server);
    }
}

/* A signal in the read is no end, and what is there is read after it. */
static void test_hot_interrupted(void **state)
{
    (void)state;
    struct pair p = hot_pair();
    for (int i = 0; i < 20; i++) {
        bad_recv.err = i % 2 ? EINTR : EAGAIN;
        bad_recv.fail = i % 5;
        pair_echo(&p, 500);
    }
    assert_int_equal(p.c->closed + p.s->closed, 0);
    pair_close(&p);
}

static void test_hot_closed_by_us(void **state)
{
    (void)state;
    struct pair p = hot_pair();
    fake_close(p.client, p.conn);
    UNTIL(p.server, p.client, p.s->closed == 1 && !p.client->hot);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(sh_io_poll(p.client, 0, 1, NULL), 0);
    }
    pair_close(&p);
}

static atomic_uint sleeps;

static int poll_counted(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    sleeps += timeout_ms != 0;
    return sh_syscalls_system()->poll(fds, n, timeout_ms);
}

/* Paused, it is not asked again and again; then what had come is read, whoever tells so. */
static void test_hot_paused(void **state)
{
    (void)state;
    calls.poll = poll_counted;
    struct pair p = hot_pair();
    p.c->conns[p.conn].got_n = 0;
    fake_full(p.client, p.conn);
    fake_send(p.client, p.conn, pattern, 2000);
    UNTIL(p.server, p.client,
          p.s->conns[1].total == 5000 && p.s->conns[1].out_n == p.s->conns[1].out_at);
    unsigned seen = bad_recv.seen;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(sh_io_poll(p.client, 0, 1, NULL), 0);
    }
    sleeps = 0;
    assert_int_equal(sh_io_poll(p.client, 0, 20, NULL), 0);
    assert_in_range(sleeps, 1, 3); /* what it will not read does not keep it awake */
    assert_int_equal(bad_recv.seen, seen);
    assert_int_equal(p.c->conns[p.conn].got_n, 0);
    fake_full(p.client, p.conn);
    UNTIL(p.server, p.client, p.c->conns[p.conn].got_n == 2000);
    pair_echo(&p, 3000);
    pair_close(&p);
}

static const struct sh_node *noted_node;
static unsigned noted_turns; /* of that node when the poll first slept */

static int poll_noting(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (timeout_ms != 0 && noted_turns == UINT_MAX) {
        noted_turns = noted_node->turns;
    }
    return sh_syscalls_system()->poll(fds, n, timeout_ms);
}

static unsigned turns_before_sleep(sh_io *io)
{
    unsigned turns = noted_node->turns;
    noted_turns = UINT_MAX;
    assert_int_equal(sh_io_poll(io, 0, 3, NULL), 0);
    assert_true(noted_node->turns > turns); /* at the latest when it woke */
    return noted_turns - turns;
}

/* A poll goes on where the last one ended: it sleeps at once, unless somebody came in between. */
static void test_poll_goes_on(void **state)
{
    (void)state;
    calls.poll = poll_noting;
    sh_io *io = make(0, false);
    struct sh_exec *x = fake_exec(io, 0);
    noted_node = sh_io_node(io);
    (void)turns_before_sleep(io);
    assert_int_equal(turns_before_sleep(io), 0);
    assert_int_equal(turns_before_sleep(io), 0);
    assert_true(sh_exec_enter(x, 77)); /* say, to send */
    sh_exec_leave(x, 77);
    assert_int_equal(turns_before_sleep(io), 1);
    assert_int_equal(turns_before_sleep(io), 0);
    x->deadline_us = calls.now_us() + 1000;
    assert_int_equal(sh_io_poll(io, 0, LONG_MS, NULL),
                     0); /* its budget ends it: the fake timer stays due */
    assert_true(calls.now_us() > x->deadline_us);
    x->deadline_us = UINT64_MAX;
    sh_io_free(io);
}

/* What is given between the decision to sleep and the sleep itself ends that sleep. */
static void test_given_before_the_sleep(void **state)
{
    (void)state;
    calls.poll = poll_late;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        struct sh_io_work work;
        give_to = fake_exec(io, threads);
        for (int i = 0; i < 50; i++) {
            uint64_t begun = calls.now_us();
            atomic_store(&gives, 1);
            assert_int_equal(sh_io_poll(io, 1000, LONG_MS, &work), 0);
            assert_int_equal(work.handled, 1);
            assert_true(calls.now_us() - begun < SOON_US);
        }
        atomic_store(&gives, 0);
        sh_io_free(io);
    }
}

/* The descriptor, asked for late, tells what came before it was asked for; nobody who does not ask pays for it. */
static void test_descriptor_asked_late(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        struct sh_exec *x = fake_exec(io, threads);
        struct epoll_event ev = {.events = EPOLLIN};
        assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
        fake_give(x);
        sh_io_node(io)->more = true;
        int ep = epoll_create1(EPOLL_CLOEXEC);
        assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, sh_io_fd(io), &ev), 0);
        while (x->handled == 0) {
            assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
            assert_int_equal(sh_io_poll(io, 0, 0, NULL), 0);
        }
        close(ep);
        sh_io_free(io);
    }
}

/* Who waits for room gets it although nothing was handled. */
static void test_room_ends_the_poll(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, false);
        struct sh_io_work work;
        uint64_t begun = calls.now_us();
        fake_room_back = true;
        assert_int_equal(sh_io_poll(io, 1000, LONG_MS, &work), 0);
        assert_int_equal(work.handled, 0);
        assert_true(calls.now_us() - begun < SOON_US);
        assert_false(fake_room_back);
        sh_io_free(io);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_hot_ends),
        T(test_hot_fails),
        T(test_hot_interrupted),
        T(test_hot_closed_by_us),
        T(test_hot_paused),
        T(test_poll_goes_on),
        T(test_given_before_the_sleep),
        T(test_descriptor_asked_late),
        T(test_room_ends_the_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
