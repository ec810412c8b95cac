/* io/syscalls.c - the real system calls. Wrapped where glibc's prototype is a transparent union or macro. */
#include "io/syscalls.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

static int call_bind(int fd, const struct sockaddr *addr, socklen_t n)
{
    return bind(fd, addr, n);
}

static int call_accept4(int fd, struct sockaddr *addr, socklen_t *n, int flags)
{
    return accept4(fd, addr, n, flags);
}

static int call_connect(int fd, const struct sockaddr *addr, socklen_t n)
{
    return connect(fd, addr, n);
}

static int call_getsockname(int fd, struct sockaddr *addr, socklen_t *n)
{
    return getsockname(fd, addr, n);
}

static ssize_t call_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                             socklen_t *len)
{
    return recvfrom(fd, buf, n, flags, addr, len);
}

static int call_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int call_eventfd(unsigned value, int flags)
{
    return eventfd(value, flags);
}

static uint64_t call_now_us(void)
{
    return uv_hrtime() / 1000;
}

const struct sh_calls *sh_calls_system(void)
{
    static const struct sh_calls calls = {
        .socket = socket,
        .bind = call_bind,
        .listen = listen,
        .accept4 = call_accept4,
        .connect = call_connect,
        .getsockname = call_getsockname,
        .setsockopt = setsockopt,
        .getsockopt = getsockopt,
        .recv = recv,
        .send = send,
        .recvfrom = call_recvfrom,
        .sendmsg = sendmsg,
        .shutdown = shutdown,
        .close = close,
        .spare = call_spare,
        .eventfd = call_eventfd,
        .read = read,
        .write = write,
        .poll = poll,
        .getrandom = getrandom,
        .yield = sched_yield,
        .now_us = call_now_us,
    };
    return &calls;
}
