/* tests/torture/broken.c - the wrappers: each counts, fails if it is told to, else makes the system's call. */
#include "broken.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

struct broken broken;

const struct sh_syscalls *__real_sh_syscalls_system(void);

#define NAME(name) #name,
static const char *const site_names[] = {SITES(NAME)};

const char *broken_site_name(enum site site)
{
    return site_names[site];
}

const char *broken_name(void)
{
    return site_names[broken.site];
}

void break_at(enum site site, int err, long nth, long times)
{
    broken.site = site;
    broken.err = err;
    broken.every = 0;
    broken.failed = 0;
    broken.skip = nth - 1;
    broken.times = times;
    for (int i = 0; i < SITE_COUNT; i++) {
        broken.calls[i] = 0;
    }
}

void break_every(enum site site, int err, long every)
{
    break_at(site, err, 1, 0);
    broken.every = every;
}

static bool due(long call)
{
    if (broken.every > 0) {
        return call % broken.every == 0;
    }
    return atomic_load(&broken.times) > 0 && atomic_fetch_sub(&broken.skip, 1) <= 0 &&
           atomic_fetch_sub(&broken.times, 1) > 0;
}

static bool fails(enum site site)
{
    long call = atomic_fetch_add(&broken.calls[site], 1) + 1;
    if (broken.site != site || broken.err == 0 || !due(call)) {
        return false;
    }
    atomic_fetch_add(&broken.failed, 1);
    errno = broken.err;
    return true;
}

static size_t cut(enum site site, size_t n)
{
    bool here = broken.most && (!broken.most_here || broken.site == site);
    return here && broken.most < n ? broken.most : n;
}

static void mark(int entry)
{
    static _Thread_local struct broken_mark *mine;
    if (!broken.marks) {
        return;
    }
    if (!mine) {
        mine = &broken.marks[atomic_fetch_add(&broken.threads, 1) % BROKEN_THREADS_MAX];
        mine->tid = (int)gettid();
    }
    mine->entry = entry;
}

static long unmarked(long rc)
{
    mark(0);
    return rc;
}

#define REAL             __real_sh_syscalls_system()
#define MADE(name, ...)  unmarked((mark(AT_##name + 1), REAL->name(__VA_ARGS__)))
#define TRIED(name, ...) (fails(AT_##name) ? -1 : MADE(name, __VA_ARGS__))

static int b_socket(int d, int t, int p)
{
    return (int)TRIED(socket, d, t, p);
}
static int b_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    return (int)TRIED(bind, fd, a, n);
}
static int b_listen(int fd, int n)
{
    return (int)TRIED(listen, fd, n);
}
static int b_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    return (int)TRIED(accept4, fd, a, n, flags);
}
/* A name server of the test's own stands in for the host's. */
static struct sockaddr_storage server;
static const struct sockaddr *asked_elsewhere(const struct sockaddr *a)
{
    static struct sockaddr_in here;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
    if (!broken.dns_port || a->sa_family != AF_INET || in->sin_port != htons(53)) {
        return a;
    }
    memcpy(&server, a, sizeof *in);
    here = *in;
    here.sin_port = htons(broken.dns_port);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return (const struct sockaddr *)(const void *)&here;
}
static int b_connect(int fd, const struct sockaddr *a, socklen_t n)
{
    bool broke = fails(AT_connect);
    if (broke && broken.err != EINTR) {
        return -1;
    }
    int rc = (int)MADE(connect, fd, asked_elsewhere(a), n);
    if (broke) { /* interrupted: it goes on by itself */
        errno = EINTR;
        rc = -1;
    }
    return rc;
}
static int b_getsockname(int fd, struct sockaddr *a, socklen_t *n)
{
    return (int)TRIED(getsockname, fd, a, n);
}
static int b_setsockopt(int fd, int l, int o, const void *v, socklen_t n)
{
    return (int)TRIED(setsockopt, fd, l, o, v, n);
}
static int b_getsockopt(int fd, int l, int o, void *v, socklen_t *n)
{
    return (int)TRIED(getsockopt, fd, l, o, v, n);
}
static ssize_t b_recv(int fd, void *p, size_t n, int flags)
{
    return TRIED(recv, fd, p, cut(AT_recv, n), flags);
}
static ssize_t b_send(int fd, const void *p, size_t n, int flags)
{
    return TRIED(send, fd, p, cut(AT_send, n), flags);
}
static ssize_t b_recvfrom(int fd, void *p, size_t n, int flags, struct sockaddr *a, socklen_t *an)
{
    ssize_t got = TRIED(recvfrom, fd, p, n, flags, a, an);
    if (got >= 0 && broken.dns_port &&
        a) { /* an answer counts only when it comes from who was asked */
        memcpy(a, &server, sizeof(struct sockaddr_in));
    }
    return got;
}
static ssize_t b_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return TRIED(sendmsg, fd, m, flags);
}
static int b_shutdown(int fd, int how)
{
    return (int)TRIED(shutdown, fd, how);
}
static int b_close(int fd)
{
    int rc = (int)MADE(close, fd); /* the descriptor is gone whatever it says */
    return fails(AT_close) ? -1 : rc;
}
static int b_spare(void)
{
    return (int)TRIED(spare, );
}
static int b_eventfd(unsigned v, int flags)
{
    return (int)TRIED(eventfd, v, flags);
}
static ssize_t b_read(int fd, void *p, size_t n)
{
    return TRIED(read, fd, p, n);
}
static ssize_t b_write(int fd, const void *p, size_t n)
{
    bool broke = fails(AT_write);
    if (broke && broken.err != EAGAIN) {
        return -1;
    }
    ssize_t put = MADE(write, fd, p, n);
    if (broke) { /* an eventfd says so when it is full, which is as readable as any */
        errno = EAGAIN;
        put = -1;
    }
    return put;
}
static int b_poll(struct pollfd *p, nfds_t n, int ms)
{
    return (int)TRIED(poll, p, n, ms);
}
static ssize_t b_getrandom(void *p, size_t n, unsigned flags)
{
    return TRIED(getrandom, p, cut(AT_getrandom, n), flags);
}
static int b_yield(void)
{
    return (int)TRIED(yield, );
}
static uint64_t b_now_us(void)
{
    (void)fails(AT_now_us);
    mark(AT_now_us + 1);
    uint64_t now_us = REAL->now_us();
    mark(0);
    return now_us;
}

const struct sh_syscalls *__wrap_sh_syscalls_system(void);
const struct sh_syscalls *__wrap_sh_syscalls_system(void)
{
#define ENTRY(name) .name = b_##name,
    static const struct sh_syscalls calls = {SITES(ENTRY)};
    return &calls;
}
