/* bench/sockets.h - plain TCP over loopback, for the floors: listen, dial, and all of so many bytes. */
#ifndef SHOAL_BENCH_SOCKETS_H
#define SHOAL_BENCH_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "bench.h"

static inline void nonblocking(int fd)
{
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline int listen_on(struct sockaddr_in *addr)
{
    socklen_t n = sizeof *addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || bind(fd, (struct sockaddr *)addr, sizeof *addr) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)addr, &n) != 0) {
        bench_die("cannot listen");
    }
    return fd;
}

static inline int dial(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0) {
        bench_die("cannot connect");
    }
    return fd;
}

static inline void write_all(int fd, const unsigned char *from, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(fd, from, n);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (sent < 0) {
            bench_die("write failed");
        } else {
            from += sent;
            n -= (size_t)sent;
        }
    }
}

static inline void receive(int fd, unsigned char *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, to + at, n - at);
        if (got < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            poll(&wait, 1, -1);
        } else if (got <= 0) {
            bench_die("the other process ended");
        } else {
            at += (size_t)got;
        }
    }
}

#endif
