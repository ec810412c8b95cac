/* unit/io/test_io.c - the driver over real loopback sockets and a fake node: both modes, each system call broken. */
#include "fake_node.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const any_port[] = {"/ip4/127.0.0.1/tcp/0"};

/* --- broken calls: counters say how often the next calls of a kind fail, and how --- */

struct broken {
    atomic_int fail; /* calls left to fail */
    atomic_int err;
    atomic_size_t most; /* 0: no limit; else bytes of a send or recv */
    atomic_uint seen;
};
static struct broken bad_socket, bad_bind, bad_listen, bad_accept, bad_connect, bad_sockname,
    bad_setopt, bad_getopt, bad_recv, bad_send, bad_eventfd, bad_spare;
static atomic_ullong skipped_us; /* time that passed without waiting */

static bool is_broken(struct broken *b)
{
    b->seen++;
    if (b->fail <= 0) {
        return false;
    }
    b->fail--;
    errno = b->err;
    return true;
}

static int broken_socket(int d, int t, int p)
{
    return is_broken(&bad_socket) ? -1 : sh_calls_system()->socket(d, t, p);
}

static int broken_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    return is_broken(&bad_bind) ? -1 : sh_calls_system()->bind(fd, a, n);
}

static int broken_listen(int fd, int n)
{
    return is_broken(&bad_listen) ? -1 : sh_calls_system()->listen(fd, n);
}

static int broken_accept(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    return is_broken(&bad_accept) ? -1 : sh_calls_system()->accept4(fd, a, n, flags);
}

static int broken_connect(int fd, const struct sockaddr *a, socklen_t n)
{
    return is_broken(&bad_connect) ? -1 : sh_calls_system()->connect(fd, a, n);
}

static int broken_sockname(int fd, struct sockaddr *a, socklen_t *n)
{
    return is_broken(&bad_sockname) ? -1 : sh_calls_system()->getsockname(fd, a, n);
}

static int broken_setopt(int fd, int l, int o, const void *v, socklen_t n)
{
    return is_broken(&bad_setopt) ? -1 : sh_calls_system()->setsockopt(fd, l, o, v, n);
}

static int broken_getopt(int fd, int l, int o, void *v, socklen_t *n)
{
    return is_broken(&bad_getopt) ? -1 : sh_calls_system()->getsockopt(fd, l, o, v, n);
}

static ssize_t broken_recv(int fd, void *p, size_t n, int flags)
{
    size_t most = bad_recv.most && bad_recv.most < n ? bad_recv.most : n;
    return is_broken(&bad_recv) ? -1 : sh_calls_system()->recv(fd, p, most, flags);
}

static ssize_t broken_send(int fd, const void *p, size_t n, int flags)
{
    assert_true(flags & MSG_NOSIGNAL);
    size_t most = bad_send.most && bad_send.most < n ? bad_send.most : n;
    return is_broken(&bad_send) ? -1 : sh_calls_system()->send(fd, p, most, flags);
}

static int broken_eventfd(unsigned v, int flags)
{
    return is_broken(&bad_eventfd) ? -1 : sh_calls_system()->eventfd(v, flags);
}

static int broken_spare(void)
{
    return is_broken(&bad_spare) ? -1 : sh_calls_system()->spare();
}

static uint64_t broken_now(void)
{
    return sh_calls_system()->now_us() + atomic_load(&skipped_us);
}

static struct sh_calls calls;

static int setup(void **state)
{
    (void)state;
    calls = *sh_calls_system();
    calls.socket = broken_socket;
    calls.bind = broken_bind;
    calls.listen = broken_listen;
    calls.accept4 = broken_accept;
    calls.connect = broken_connect;
    calls.getsockname = broken_sockname;
    calls.setsockopt = broken_setopt;
    calls.getsockopt = broken_getopt;
    calls.recv = broken_recv;
    calls.send = broken_send;
    calls.eventfd = broken_eventfd;
    calls.spare = broken_spare;
    calls.now_us = broken_now;
    memset(&bad_socket, 0, sizeof bad_socket);
    memset(&bad_bind, 0, sizeof bad_bind);
    memset(&bad_listen, 0, sizeof bad_listen);
    memset(&bad_accept, 0, sizeof bad_accept);
    memset(&bad_connect, 0, sizeof bad_connect);
    memset(&bad_sockname, 0, sizeof bad_sockname);
    memset(&bad_setopt, 0, sizeof bad_setopt);
    memset(&bad_getopt, 0, sizeof bad_getopt);
    memset(&bad_recv, 0, sizeof bad_recv);
    memset(&bad_send, 0, sizeof bad_send);
    memset(&bad_eventfd, 0, sizeof bad_eventfd);
    memset(&bad_spare, 0, sizeof bad_spare);
    fake_handler = NULL;
    return 0;
}

static sh_io *make(unsigned threads, bool listens)
{
    struct sh_io_config cfg;
    sh_io_config_init(&cfg);
    cfg.calls = &calls;
    cfg.node.threads = threads;
    if (listens) {
        cfg.node.listen = any_port;
        cfg.node.listen_count = 1;
    }
    sh_io *io = NULL;
    assert_int_equal(sh_io_new(&cfg, &io, NULL), 0);
    return io;
}

static sh_addr address(sh_io *io)
{
    char text[SH_ADDR_TEXT_MAX];
    sh_addr addr;
    int n = sh_io_address(io, 0, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(sh_addr_parse(&addr, text, (size_t)n), 0);
    return addr;
}

/* Polls both in turn until cond holds; the bound is of time, so that a slow machine only takes longer. */
#define UNTIL(a, b, cond)                                                                          \
    do {                                                                                           \
        uint64_t give_up = sh_calls_system()->now_us() + 20000000u;                                \
        while (!(cond)) {                                                                          \
            assert_true(sh_calls_system()->now_us() < give_up);                                    \
            assert_int_equal(sh_io_poll(a, 1000, 0, NULL), 0);                                     \
            assert_int_equal(sh_io_poll(b, 1000, 1, NULL), 0);                                     \
        }                                                                                          \
    } while (0)

struct pair {
    sh_io *server, *client;
    struct sh_node *s, *c;
    sh_conn_id conn;
};

static struct pair pair_open(void)
{
    struct pair p = {.server = make(0, true), .client = make(0, false)};
    p.s = sh_io_node(p.server);
    p.c = sh_io_node(p.client);
    sh_addr addr = address(p.server);
    p.conn = fake_dial(p.client, &addr);
    UNTIL(p.server, p.client, p.s->accepted == 1 && p.c->connected == 1);
    return p;
}

static void pair_close(struct pair *p)
{
    sh_io_free(p->client);
    sh_io_free(p->server);
}

static uint8_t pattern[FAKE_BUFFER];

static void pair_echo(struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    p->c->conns[p->conn].got_n = 0;
    fake_send(p->client, p->conn, pattern, n);
    UNTIL(p->server, p->client, p->c->conns[p->conn].got_n == n);
    assert_memory_equal(p->c->conns[p->conn].got, pattern, n);
}

/* --- inline --- */

static void test_echo(void **state)
{
    (void)state;
    struct pair p = pair_open();
    pair_echo(&p, 1);
    pair_echo(&p, FAKE_BUFFER); /* more than a socket takes: EAGAIN, UV_WRITABLE */
    pair_close(&p);
}

static void test_short_and_interrupted(void **state)
{
    (void)state;
    struct pair p = pair_open();
    bad_send.most = 7;
    bad_recv.most = 5;
    bad_send.fail = bad_recv.fail = 3;
    bad_send.err = bad_recv.err = EINTR;
    pair_echo(&p, 20000);
    bad_send.fail = bad_recv.fail = 10;
    bad_send.err = bad_recv.err = EAGAIN;
    pair_echo(&p, 500);
    pair_close(&p);
}

static void test_read_and_write_errors(void **state)
{
    (void)state;
    static const struct {
        bool send;
        int err;
    } cases[] = {{false, ECONNRESET}, {false, ETIMEDOUT}, {true, EPIPE}, {true, ECONNRESET}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair p = pair_open();
        fake_send(p.client, p.conn, "x", 1);
        if (cases[i].send) {
            bad_send.fail = 1;
            bad_send.err = cases[i].err;
        } else {
            bad_recv.fail = 1;
            bad_recv.err = cases[i].err;
        }
        UNTIL(p.server, p.client, p.s->closed == 1 && p.c->closed == 1);
        assert_in_range(p.s->closed_bad + p.c->closed_bad, 1, 2); /* the other may see a reset */
        pair_close(&p);
    }
}

/* A peer that is gone: no SIGPIPE, which would end this process. */
static void test_peer_gone(void **state)
{
    (void)state;
    struct pair p = pair_open();
    sh_io_free(p.server);
    fake_send(p.client, p.conn, pattern, 100000);
    fake_send(p.client, p.conn, pattern, 100000);
    sh_io *other = make(0, false);
    UNTIL(p.client, other, p.c->closed == 1);
    sh_io_free(other);
    sh_io_free(p.client);
}

static void test_dial_failures(void **state)
{
    (void)state;
    sh_io *gone = make(0, true);
    sh_addr addr = address(gone);
    sh_io_free(gone); /* nobody listens there any more */
    sh_io *a = make(0, false);
    sh_io *b = make(0, false);
    struct sh_node *n = sh_io_node(a);
    fake_dial(a, &addr);
    UNTIL(a, b, n->dial_failed == 1);
    assert_int_equal(n->last_err, SH_E_UNREACHABLE);

    bad_socket.fail = 1;
    bad_socket.err = EMFILE;
    fake_dial(a, &addr);
    assert_int_equal(n->dial_failed, 2);
    assert_int_equal(n->last_err, SH_E_LIMIT);

    bad_connect.fail = 1;
    bad_connect.err = ENETUNREACH;
    fake_dial(a, &addr);
    assert_int_equal(n->dial_failed, 3);
    assert_int_equal(n->last_err, SH_E_UNREACHABLE);

    bad_getopt.fail = 1;
    bad_getopt.err = ENOBUFS;
    fake_dial(a, &addr);
    UNTIL(a, b, n->dial_failed == 4);
    assert_int_equal(n->last_err, SH_E_LIMIT);
    sh_io_free(a);
    sh_io_free(b);
}

static void cancel_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    sh_conn_id conn = *(sh_conn_id *)ud;
    n->conns[conn].open = false;
    fake_action(n, (struct sh_node_action){.kind = SH_NODE_CANCEL, .conn = conn});
}

static void test_cancelled_dial_says_nothing(void **state)
{
    (void)state;
    sh_io *server = make(0, true);
    sh_io *client = make(0, false);
    sh_addr addr = address(server);
    sh_conn_id conn = fake_dial(client, &addr);
    assert_int_equal(sh_io_inside(client, cancel_fn, &conn), 0);
    for (int i = 0; i < 20; i++) {
        sh_io_poll(server, 0, 0, NULL);
        sh_io_poll(client, 0, 0, NULL);
    }
    struct sh_node *n = sh_io_node(client);
    assert_int_equal(n->connected + n->dial_failed + n->closed, 0);
    sh_io_free(client);
    sh_io_free(server);
}

/* At EMFILE a waiting connection is shed with the spare descriptor; without a spare the listener rests, then goes on. */
static void test_accept_without_descriptors(void **state)
{
    (void)state;
    for (int spare = 0; spare < 2; spare++) {
        bad_spare.fail = spare ? 0 : 1;
        bad_spare.err = EMFILE;
        sh_io *server = make(0, true);
        sh_io *client = make(0, false);
        sh_addr addr = address(server);
        struct sh_node *s = sh_io_node(server);
        struct sh_node *c = sh_io_node(client);
        bad_accept.fail = 1;
        bad_accept.err = EMFILE;
        fake_dial(client, &addr);
        if (spare) {
            UNTIL(server, client,
                  c->connected == 1 && c->closed == 1); /* accepted with the spare, dropped */
            fake_dial(client, &addr);
        } else {
            UNTIL(server, client, bad_accept.seen > 0);
            unsigned seen = bad_accept.seen;
            for (int i = 0; i < 5; i++) {
                sh_io_poll(server, 0, 0, NULL);
            }
            assert_int_equal(bad_accept.seen, seen); /* rests: no busy loop */
            assert_in_range(sh_io_next_timeout_ms(server), 1, 100);
            atomic_fetch_add(&skipped_us, 100000);
        }
        UNTIL(server, client, s->accepted == 1);
        sh_io_free(client);
        sh_io_free(server);
        bad_accept.seen = 0;
    }
}

static void test_accept_retries(void **state)
{
    (void)state;
    static const int errs[] = {EINTR, ECONNABORTED};
    for (size_t i = 0; i < 2; i++) {
        bad_accept.fail = 2;
        bad_accept.err = errs[i];
        struct pair p = pair_open();
        pair_echo(&p, 10);
        pair_close(&p);
    }
}

static void test_refused_by_node(void **state)
{
    (void)state;
    sh_io *server = make(0, true);
    sh_io *client = make(0, false);
    sh_io_node(server)->refuse = true;
    sh_addr addr = address(server);
    fake_dial(client, &addr);
    UNTIL(server, client, sh_io_node(client)->closed == 1);
    sh_io_free(client);
    sh_io_free(server);
}

static void test_new_fails_clean(void **state)
{
    (void)state;
    struct sh_io_config cfg;
    sh_io_config_init(&cfg);
    cfg.calls = &calls;
    cfg.node.listen = any_port;
    cfg.node.listen_count = 1;
    const struct {
        atomic_int *fail, *err;
        int code;
    } cases[] = {
        {&bad_socket.fail, &bad_socket.err, SH_E_LIMIT},
        {&bad_bind.fail, &bad_bind.err, SH_E_LIMIT},
        {&bad_listen.fail, &bad_listen.err, SH_E_LIMIT},
        {&bad_sockname.fail, &bad_sockname.err, SH_E_LIMIT},
        {&bad_setopt.fail, &bad_setopt.err, SH_E_LIMIT},
        {&bad_eventfd.fail, &bad_eventfd.err, SH_E_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sh_mem_counter counter;
        cfg.node.mem = sh_mem_counted(&counter, sh_mem_system());
        sh_io *io = NULL;
        char why[SH_IO_WHY_MAX] = "";
        *cases[i].fail = 1;
        *cases[i].err = ENOBUFS;
        assert_int_equal(sh_io_new(&cfg, &io, why), cases[i].code);
        assert_null(io);
        assert_true(*why);
        assert_int_equal(atomic_load(&counter.live_blocks), 0);
    }
}

static void test_new_without_memory(void **state)
{
    (void)state;
    struct sh_io_config cfg;
    sh_io_config_init(&cfg);
    cfg.calls = &calls;
    cfg.node.listen = any_port;
    cfg.node.listen_count = 1;
    for (size_t k = 1;; k++) {
        sh_mem_counter counter;
        cfg.node.mem = sh_mem_counted(&counter, sh_mem_system());
        atomic_store(&counter.fail_at, k);
        sh_io *io = NULL;
        int rc = sh_io_new(&cfg, &io, NULL);
        sh_io_free(rc == 0 ? io : NULL);
        assert_int_equal(atomic_load(&counter.live_blocks), 0);
        if (rc == 0) {
            assert_true(k > 3);
            break;
        }
    }
}

static void test_address_in_use(void **state)
{
    (void)state;
    sh_io *a = make(0, true);
    sh_io *b = make(0, false);
    char text[SH_ADDR_TEXT_MAX];
    assert_true(sh_io_address(a, 0, text, sizeof text) > 0);
    char why[SH_IO_WHY_MAX];
    assert_int_equal(sh_io_listen(b, text, why), SH_E_BAD_ADDRESS);
    assert_non_null(strstr(why, "in use"));
    assert_int_equal(sh_io_listen(b, "/ip4/127.0.0.1/tcp/0", why), 0);
    assert_true(sh_io_address(b, 0, text, sizeof text) > 0);
    assert_int_equal(sh_io_address(b, 1, text, sizeof text), SH_E_NOT_FOUND);
    assert_int_equal(sh_io_listen(b, "nonsense", why), SH_E_BAD_ADDRESS);
    assert_int_equal(sh_io_listen(b, "/dns4/localhost/tcp/0", why), SH_E_BAD_ADDRESS);
    sh_io_free(a);
    sh_io_free(b);
}

static void full_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct fake_conn *c = &n->conns[*(sh_conn_id *)ud];
    c->full = !c->full;
    if (!c->full) {
        fake_action(n, (struct sh_node_action){.kind = SH_NODE_READ, .conn = *(sh_conn_id *)ud});
    }
}

static void test_backpressure(void **state)
{
    (void)state;
    struct pair p = pair_open();
    sh_conn_id one = 1;
    assert_int_equal(sh_io_inside(p.server, full_fn, &one), 0);
    fake_send(p.client, p.conn, pattern, 1000);
    for (int i = 0; i < 20; i++) {
        sh_io_poll(p.client, 0, 0, NULL);
        sh_io_poll(p.server, 0, 0, NULL);
    }
    assert_int_equal(bad_recv.seen, 0); /* not even asked */
    assert_int_equal(sh_io_inside(p.server, full_fn, &one), 0);
    UNTIL(p.server, p.client, p.c->conns[p.conn].got_n == 1000);
    pair_close(&p);
}

static void close_fn(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    sh_conn_id conn = *(sh_conn_id *)ud;
    n->conns[conn].closing = true;
    fake_action(n, (struct sh_node_action){.kind = SH_NODE_CLOSE, .conn = conn});
}

/* What was written before CLOSE arrives; a peer that does not read holds it for a second at most. */
static void test_close_lingers(void **state)
{
    (void)state;
    struct pair p = pair_open();
    fake_send(p.client, p.conn, pattern, 50000);
    assert_int_equal(sh_io_inside(p.client, close_fn, &p.conn), 0);
    UNTIL(p.server, p.client, p.c->closed == 1 && p.s->closed == 1);
    assert_int_equal(p.s->conns[1].total, 50000);
    pair_close(&p);

    p = pair_open();
    sh_conn_id one = 1;
    assert_int_equal(sh_io_inside(p.server, full_fn, &one), 0);
    for (int i = 0; i < 8; i++) {
        fake_send(p.client, p.conn, pattern, FAKE_BUFFER / 8);
        sh_io_poll(p.client, 0, 0, NULL);
    }
    bad_send.fail = 1000000;
    bad_send.err = EAGAIN;
    fake_send(p.client, p.conn, "x", 1);
    assert_int_equal(sh_io_inside(p.client, close_fn, &p.conn), 0);
    assert_int_equal(sh_io_poll(p.client, 0, 0, NULL), 0);
    assert_int_equal(p.c->closed, 0);
    int64_t ms = sh_io_next_timeout_ms(p.client);
    assert_in_range(ms, 0, 1000);
    atomic_fetch_add(&skipped_us, 1000000);
    assert_int_equal(sh_io_poll(p.client, 0, 0, NULL), 0);
    assert_int_equal(p.c->closed, 1);
    pair_close(&p);
}

/* --- polling --- */

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

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_echo),
        T(test_short_and_interrupted),
        T(test_read_and_write_errors),
        T(test_peer_gone),
        T(test_dial_failures),
        T(test_cancelled_dial_says_nothing),
        T(test_accept_without_descriptors),
        T(test_accept_retries),
        T(test_refused_by_node),
        T(test_new_fails_clean),
        T(test_new_without_memory),
        T(test_address_in_use),
        T(test_backpressure),
        T(test_close_lingers),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
