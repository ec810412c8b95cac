/* unit/io/broken.h - the fake node with system calls that can be broken, and pairs of drivers on loopback. */
#ifndef BROKEN_H
#define BROKEN_H

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

static inline bool is_broken(struct broken *b)
{
    b->seen++;
    if (b->fail <= 0) {
        return false;
    }
    b->fail--;
    errno = b->err;
    return true;
}

static inline int broken_socket(int d, int t, int p)
{
    return is_broken(&bad_socket) ? -1 : sh_syscalls_system()->socket(d, t, p);
}

static inline int broken_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    return is_broken(&bad_bind) ? -1 : sh_syscalls_system()->bind(fd, a, n);
}

static inline int broken_listen(int fd, int n)
{
    return is_broken(&bad_listen) ? -1 : sh_syscalls_system()->listen(fd, n);
}

static inline int broken_accept(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    return is_broken(&bad_accept) ? -1 : sh_syscalls_system()->accept4(fd, a, n, flags);
}

static inline int broken_connect(int fd, const struct sockaddr *a, socklen_t n)
{
    return is_broken(&bad_connect) ? -1 : sh_syscalls_system()->connect(fd, a, n);
}

static inline int broken_sockname(int fd, struct sockaddr *a, socklen_t *n)
{
    return is_broken(&bad_sockname) ? -1 : sh_syscalls_system()->getsockname(fd, a, n);
}

static inline int broken_setopt(int fd, int l, int o, const void *v, socklen_t n)
{
    return is_broken(&bad_setopt) ? -1 : sh_syscalls_system()->setsockopt(fd, l, o, v, n);
}

static inline int broken_getopt(int fd, int l, int o, void *v, socklen_t *n)
{
    return is_broken(&bad_getopt) ? -1 : sh_syscalls_system()->getsockopt(fd, l, o, v, n);
}

static inline ssize_t broken_recv(int fd, void *p, size_t n, int flags)
{
    size_t most = bad_recv.most && bad_recv.most < n ? bad_recv.most : n;
    return is_broken(&bad_recv) ? -1 : sh_syscalls_system()->recv(fd, p, most, flags);
}

static inline ssize_t broken_send(int fd, const void *p, size_t n, int flags)
{
    assert_true(flags & MSG_NOSIGNAL);
    size_t most = bad_send.most && bad_send.most < n ? bad_send.most : n;
    return is_broken(&bad_send) ? -1 : sh_syscalls_system()->send(fd, p, most, flags);
}

static inline int broken_eventfd(unsigned v, int flags)
{
    return is_broken(&bad_eventfd) ? -1 : sh_syscalls_system()->eventfd(v, flags);
}

static inline int broken_spare(void)
{
    return is_broken(&bad_spare) ? -1 : sh_syscalls_system()->spare();
}

static inline uint64_t broken_now(void)
{
    return sh_syscalls_system()->now_us() + atomic_load(&skipped_us);
}

static struct sh_syscalls calls;

static inline int setup(void **state)
{
    (void)state;
    calls = *sh_syscalls_system();
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

static inline sh_io *make(unsigned threads, bool listens)
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

static inline sh_addr address(sh_io *io)
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
        uint64_t give_up = sh_syscalls_system()->now_us() + 20000000u;                             \
        while (!(cond)) {                                                                          \
            assert_true(sh_syscalls_system()->now_us() < give_up);                                 \
            assert_int_equal(sh_io_poll(a, 1000, 0, NULL), 0);                                     \
            assert_int_equal(sh_io_poll(b, 1000, 1, NULL), 0);                                     \
        }                                                                                          \
    } while (0)

struct pair {
    sh_io *server, *client;
    struct sh_node *s, *c;
    sh_conn_id conn;
};

static inline struct pair pair_open(void)
{
    struct pair p = {.server = make(0, true), .client = make(0, false)};
    p.s = sh_io_node(p.server);
    p.c = sh_io_node(p.client);
    sh_addr addr = address(p.server);
    p.conn = fake_dial(p.client, &addr);
    UNTIL(p.server, p.client, p.s->accepted == 1 && p.c->connected == 1);
    return p;
}

static inline void pair_close(struct pair *p)
{
    sh_io_free(p->client);
    sh_io_free(p->server);
}

static uint8_t pattern[FAKE_BUFFER];

static inline void pair_echo(struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    p->c->conns[p->conn].got_n = 0;
    fake_send(p->client, p->conn, pattern, n);
    UNTIL(p->server, p->client, p->c->conns[p->conn].got_n == n);
    assert_memory_equal(p->c->conns[p->conn].got, pattern, n);
}

#define T(f) cmocka_unit_test_setup(f, setup)

#endif
