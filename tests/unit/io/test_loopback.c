/* unit/io/test_loopback.c - whole nodes over real loopback sockets, driven inline, threaded and by a foreign loop. */
#include "whole.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const char any_port[] = "/ip4/127.0.0.1/tcp/0";

static int counter_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud;
    (void)index;
    (void)name;
    uint8_t reply = (uint8_t)(*(int *)state += value.n ? value.p[0] : 1) & 0x7f;
    return sh_cx_reply(cx, sh_span_of(&reply, 1));
}

static sh_pid spawn(sh_io *io, unsigned exec)
{
    static const sh_span names[] = {{(const uint8_t *)"inc", 3}};
    struct sh_actor_type def = {.id = sh_span_str("counter"),
                                .state_size = sizeof(int),
                                .names = names,
                                .name_count = 1,
                                .mailbox = -1,
                                .handle = counter_handle};
    const sh_type *type;
    struct sh_spawn opt;
    sh_pid pid;
    sh_spawn_init(&opt);
    assert_int_equal(sh_runtime_type(sh_io_runtime(io), &def, &type), 0);
    assert_int_equal(sh_io_spawn(io, exec, type, &opt, &pid), 0);
    return pid;
}

/* A node of this test that somebody else keeps polling. */
struct served {
    sh_io *io;
    atomic_uint stop;
    pthread_t thread;
};

static void *serve_main(void *ud)
{
    struct served *s = ud;
    while (!atomic_load(&s->stop)) {
        assert_int_equal(sh_io_poll(s->io, 1000, 50, NULL), 0);
    }
    return NULL;
}

static void serve(struct served *s, sh_io *io)
{
    s->io = io;
    atomic_store(&s->stop, 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve_main, s), 0);
}

static void serve_end(struct served *s)
{
    atomic_store(&s->stop, 1);
    sh_io_wake(s->io);
    pthread_join(s->thread, NULL);
    sh_io_free(s->io);
}

static void dial(sh_io *client, sh_io *server)
{
    char addr[SH_ADDR_TEXT_MAX];
    struct told t = {0};
    sh_node *n = sh_io_node(client);
    int len = sh_io_address(server, 0, addr, sizeof addr);
    assert_true(len > 0);
    assert_true(sh_node_dial(n, sh_io_token(), sh_span_of(addr, (size_t)len), 0,
                             sh_io_now_us(client), told_fn, &t) > 0);
    assert_int_equal(sh_io_wait(client, told_done, &t, 10000), 0);
    assert_int_equal(t.code, 0);
}

static sh_pid found(sh_io *server, sh_pid pid, sh_io *client)
{
    struct told t = {0};
    sh_span name = sh_span_str("counter");
    assert_true(sh_node_register(sh_io_node(server), sh_io_token(), pid, name, 0,
                                 sh_io_now_us(server), NULL, NULL) > 0);
    assert_true(sh_node_lookup(sh_io_node(client), sh_io_token(), name, 5000000,
                               sh_io_now_us(client), told_fn, &t) > 0);
    assert_int_equal(sh_io_wait(client, told_done, &t, 10000), 0);
    assert_int_equal(t.code, 0);
    return t.pid;
}

static void ask(sh_io *client, sh_pid pid, unsigned times)
{
    uint8_t one = 1;
    for (unsigned i = 0; i < times; i++) {
        struct told t = {0};
        assert_true(sh_runtime_ask(sh_io_runtime(client), sh_io_token(), pid, sh_span_str("inc"),
                                   sh_span_of(&one, 1), sh_io_now_us(client) + 5000000, told_fn,
                                   &t) > 0);
        assert_int_equal(sh_io_wait(client, told_done, &t, 10000), 0);
        assert_int_equal(t.code, 0);
        assert_int_equal(t.value_n, 1);
    }
}

static void run_ask(unsigned server_threads, unsigned client_threads, unsigned exec)
{
    struct served s;
    sh_io *server = make(server_threads, any_port);
    sh_io *client = make(client_threads, NULL);
    sh_pid pid = spawn(server, exec);
    serve(&s, server);
    dial(client, server);
    ask(client, found(server, pid, client), 200);
    sh_io_free(client);
    serve_end(&s);
}

static void test_ask_inline(void **state)
{
    (void)state;
    run_ask(0, 0, 0);
}

static void test_ask_threaded(void **state)
{
    (void)state;
    run_ask(1, 1, 0); /* the actor on the loop */
    run_ask(1, 1, 1); /* on the host executor */
    run_ask(1, 0, 1);
}

/* Local asks from several threads at once while one polls. */
struct asker {
    sh_io *io;
    sh_pid pid;
};

static void *asker_main(void *ud)
{
    struct asker *a = ud;
    ask(a->io, a->pid, 200);
    return NULL;
}

static void test_ask_from_threads(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        sh_io *io = make(threads, NULL);
        struct asker a = {io, spawn(io, threads)};
        pthread_t t[3];
        for (int i = 0; i < 3; i++) {
            assert_int_equal(pthread_create(&t[i], NULL, asker_main, &a), 0);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(t[i], NULL);
        }
        sh_io_free(io);
    }
}

/* The host's loop sees only the descriptor and the timeout, and never asks out of turn. */
static void run_foreign(unsigned threads)
{
    struct served s;
    sh_io *server = make(1, any_port);
    sh_io *client = make(threads, NULL);
    sh_pid pid = spawn(server, 0);
    serve(&s, server);
    dial(client, server);
    sh_pid there = found(server, pid, client);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, sh_io_fd(client), &ev), 0);
    uint8_t one = 1;
    for (int i = 0; i < 300; i++) {
        struct told t = {0};
        uint64_t before = sh_io_now_us(client);
        assert_true(sh_runtime_ask(sh_io_runtime(client), sh_io_token(), there, sh_span_str("inc"),
                                   sh_span_of(&one, 1), before + 5000000, told_fn, &t) > 0);
        while (!told_done(&t)) {
            int64_t ms = sh_io_next_timeout_ms(client);
            int n = epoll_wait(ep, &ev, 1, (int)ms);
            assert_true(n > 0 || ms >= 0);
            assert_int_equal(sh_io_poll(client, 1000, 0, NULL), 0);
        }
        assert_int_equal(t.code, 0);
        assert_true(sh_io_now_us(client) - before < 2000000); /* it was told, not timed out */
    }
    close(ep);
    sh_io_free(client);
    serve_end(&s);
}

static void test_foreign_loop(void **state)
{
    (void)state;
    run_foreign(0);
    run_foreign(1);
}

static void test_graceful_stop(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 2; threads++) {
        struct served s;
        sh_io *server = make(threads, any_port);
        sh_io *client = make(threads, NULL);
        sh_pid pid = spawn(server, 0);
        serve(&s, server);
        dial(client, server);
        sh_pid there = found(server, pid, client);
        ask(client, there, 1);
        struct told t = {0};
        assert_true(sh_node_stop(sh_io_node(client), sh_io_token(), 0, sh_io_now_us(client),
                                 told_fn, &t) > 0);
        assert_int_equal(sh_io_wait(client, told_done, &t, 10000), 0);
        assert_int_equal(t.code, 0);
        sh_io_free(client);
        serve_end(&s);
    }
}

static void test_free_with_traffic(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct served s;
        sh_io *server = make(i & 1, any_port);
        sh_io *client = make(i >> 1, NULL);
        sh_pid pid = spawn(server, 0);
        serve(&s, server);
        dial(client, server);
        sh_pid there = found(server, pid, client);
        struct told t[50];
        memset(t, 0, sizeof t);
        unsigned begun = 0;
        for (unsigned k = 0; k < 50; k++) {
            begun +=
                sh_runtime_ask(sh_io_runtime(client), sh_io_token(), there, sh_span_str("inc"),
                               sh_span_none(), sh_io_now_us(client) + 5000000, told_fn, &t[k]) > 0;
        }
        assert_int_equal(begun, 50);
        sh_io_poll(client, 100, 0, NULL);
        sh_io_free(client);
        for (unsigned k = 0; k < 50; k++) {
            assert_int_equal(t[k].count, 1); /* each ended once, whatever the way */
        }
        serve_end(&s);
    }
}

static void test_names_of_hosts(void **state)
{
    (void)state;
    struct served s;
    sh_io *server = make(1, any_port);
    sh_io *client = make(0, NULL);
    serve(&s, server);
    char addr[SH_ADDR_TEXT_MAX], named[SH_ADDR_TEXT_MAX + 16];
    assert_true(sh_io_address(server, 0, addr, sizeof addr) > 0);
    snprintf(named, sizeof named, "/dns4/localhost%s",
             strstr(addr, "/tcp/")); /* /etc/hosts: no network */
    struct told t = {0};
    assert_true(sh_node_dial(sh_io_node(client), sh_io_token(), sh_span_str(named), 0,
                             sh_io_now_us(client), told_fn, &t) > 0);
    assert_int_equal(sh_io_wait(client, told_done, &t, 20000), 0);
    assert_int_equal(t.code, 0);
    sh_io_free(client);
    serve_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ask_inline),       cmocka_unit_test(test_ask_threaded),
        cmocka_unit_test(test_ask_from_threads), cmocka_unit_test(test_foreign_loop),
        cmocka_unit_test(test_graceful_stop),    cmocka_unit_test(test_free_with_traffic),
        cmocka_unit_test(test_names_of_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
