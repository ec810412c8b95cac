/* unit/io/test_tcp.c - sockets of the driver over real loopback and a fake node: each system call broken. */
#include "broken.h"
#include "io/internal.h"

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

/* What the node asks to have written between turns leaves without a poll; what the socket does not take, with the next. */
static void test_out_between_turns(void **state)
{
    (void)state;
    struct pair p = pair_open();
    uint64_t token = sh_io_token();
    for (int full = 0; full < 2; full++) {
        unsigned flushes = p.c->flushes;
        size_t before = p.s->conns[1].total;
        assert_true(sh_io_enter(p.client, token));
        fake_write(p.c, p.conn, pattern, 1000);
        bad_send.fail = full;
        bad_send.err = EAGAIN;
        p.c->cfg.out(p.c->cfg.out_ud);
        sh_exec_leave(p.client->loop, token);
        assert_int_equal(p.c->flushes, flushes + 1);
        if (full) {
            UNTIL(p.server, p.client, p.s->conns[1].total == before + 1000);
        } else {
            UNTIL(p.server, p.server, p.s->conns[1].total == before + 1000);
        }
    }
    pair_close(&p);
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
    assert_int_equal(n->last_err, SH_E_REFUSED);

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

static void test_backpressure(void **state)
{
    (void)state;
    struct pair p = pair_open();
    fake_full(p.server, 1);
    fake_send(p.client, p.conn, pattern, 1000);
    for (int i = 0; i < 20; i++) {
        sh_io_poll(p.client, 0, 0, NULL);
        sh_io_poll(p.server, 0, 0, NULL);
    }
    assert_int_equal(bad_recv.seen, 0); /* not even asked */
    fake_full(p.server, 1);
    UNTIL(p.server, p.client, p.c->conns[p.conn].got_n == 1000);
    pair_close(&p);
}

/* What was written before CLOSE arrives; a peer that does not read holds it for a second at most. */
static void test_close_lingers(void **state)
{
    (void)state;
    struct pair p = pair_open();
    fake_send(p.client, p.conn, pattern, 50000);
    fake_close(p.client, p.conn);
    UNTIL(p.server, p.client, p.c->closed == 1 && p.s->closed == 1);
    assert_int_equal(p.s->conns[1].total, 50000);
    pair_close(&p);

    p = pair_open();
    fake_full(p.server, 1);
    for (int i = 0; i < 8; i++) {
        fake_send(p.client, p.conn, pattern, FAKE_BUFFER / 8);
        sh_io_poll(p.client, 0, 0, NULL);
    }
    bad_send.fail = 1000000;
    bad_send.err = EAGAIN;
    fake_send(p.client, p.conn, "x", 1);
    fake_close(p.client, p.conn);
    assert_int_equal(sh_io_poll(p.client, 0, 0, NULL), 0);
    assert_int_equal(p.c->closed, 0);
    int64_t ms = sh_io_next_timeout_ms(p.client);
    assert_in_range(ms, 0, 1000);
    atomic_fetch_add(&skipped_us, 1000000);
    assert_int_equal(sh_io_poll(p.client, 0, 0, NULL), 0);
    assert_int_equal(p.c->closed, 1);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_echo),
        T(test_short_and_interrupted),
        T(test_read_and_write_errors),
        T(test_out_between_turns),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
