/* io/syscalls.c - the real system calls. Wrapped where glibc's prototype is a transparent union or macro. */
#include "io/syscalls.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

static int sys_bind(int fd, const struct sockaddr *addr, socklen_t n)
{
    return bind(fd, addr, n);
}

static int sys_accept4(int fd, struct sockaddr *addr, socklen_t *n, int flags)
{
    return accept4(fd, addr, n, flags);
}

static int sys_connect(int fd, const struct sockaddr *addr, socklen_t n)
{
    return connect(fd, addr, n);
}

static int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *n)
{
    return getsockname(fd, addr, n);
}

static ssize_t sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                            socklen_t *len)
{
    return recvfrom(fd, buf, n, flags, addr, len);
}

static int sys_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int sys_eventfd(unsigned value, int flags)
{
    return eventfd(value, flags);
}

static uint64_t sys_now_us(void)
{
    return uv_hrtime() / 1000;
}

const struct sh_syscalls *sh_syscalls_system(void)
{
    static const struct sh_syscalls calls = {
        .socket = socket,
        .bind = sys_bind,
        .listen = listen,
        .accept4 = sys_accept4,
        .connect = sys_connect,
        .getsockname = sys_getsockname,
        .setsockopt = setsockopt,
        .getsockopt = getsockopt,
        .recv = recv,
        .send = send,
        .recvfrom = sys_recvfrom,
        .sendmsg = sendmsg,
        .shutdown = shutdown,
        .close = close,
        .spare = sys_spare,
        .eventfd = sys_eventfd,
        .read = read,
        .write = write,
        .poll = poll,
        .getrandom = getrandom,
        .yield = sched_yield,
        .now_us = sys_now_us,
    };
    return &calls;
}
