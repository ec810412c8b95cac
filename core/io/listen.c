/* io/listen.c - listening sockets on uv_poll: binding, accepting, resting when descriptors run out. */
#include "io/internal.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

static int sockaddr_addr(const struct sockaddr *sa, uint16_t port, sh_addr *out)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        uint8_t ip[4];
        memcpy(ip, &in->sin_addr, 4);
        return sh_addr_from_ip(out, SH_HOST_IP4, ip, port ? port : ntohs(in->sin_port));
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        return sh_addr_from_ip(out, SH_HOST_IP6, in6->sin6_addr.s6_addr,
                               port ? port : ntohs(in6->sin6_port));
    }
    return SH_E_BAD_ADDRESS;
}

static void listener_freed(uv_handle_t *h)
{
    struct sh_listener *l = h->data;
    sh_mem_free(l->io->mem, l, sizeof *l);
}

/* At EMFILE the backlog stays readable for ever: give up the spare descriptor, take one connection with it, drop it. */
static bool listener_shed(struct sh_listener *l)
{
    struct sh_io *io = l->io;
    if (io->spare_fd < 0) {
        return false;
    }
    io->calls.close(io->spare_fd);
    int fd = io->calls.accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        io->calls.close(fd);
    }
    io->spare_fd = io->calls.spare();
    return fd >= 0;
}

static void listener_rest(struct sh_listener *l, int e, uint64_t now_us)
{
    sh_logf(&l->io->log, SH_LOG_WARN, "io", "event=accept_failed listener=%llu text=\"%s\"",
            (unsigned long long)l->number, sh_tcp_errno_text(e));
    l->resume_us = now_us + SH_IO_ACCEPT_PAUSE_US;
    uv_poll_stop(&l->poll);
    sh_io_changed(l->io);
}

static void listener_take(struct sh_io *io, int fd, const struct sockaddr *from, uint64_t now_us)
{
    sh_addr remote;
    if (sockaddr_addr(from, 0, &remote) < 0) {
        io->calls.close(fd);
        return;
    }
    sh_tcp_accepted(io, fd, &remote, now_us);
}

static void listener_readiness(uv_poll_t *h, int status, int events)
{
    struct sh_listener *l = h->data;
    struct sh_io *io = l->io;
    uint64_t now_us = io->calls.now_us();
    (void)status;
    (void)events;
    for (int i = 0; i < SH_IO_ACCEPTS_MAX; i++) {
        struct sockaddr_storage from;
        socklen_t n = sizeof from;
        int fd =
            io->calls.accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            listener_take(io, fd, (const struct sockaddr *)&from, now_us);
            continue;
        }
        int e = errno;
        if (e == EAGAIN || e == EWOULDBLOCK) {
            return;
        }
        if (e == EINTR || e == ECONNABORTED || e == EPROTO) {
            continue;
        }
        if ((e == EMFILE || e == ENFILE) && listener_shed(l)) {
            continue;
        }
        listener_rest(l, e, now_us);
        return;
    }
}

/* A wildcard is told as the address of each interface that is up. */
static void listener_announce(struct sh_listener *l, const struct sockaddr *bound, uint64_t now_us)
{
    struct sh_io *io = l->io;
    sh_addr addr;
    if (sockaddr_addr(bound, 0, &addr) < 0) {
        return;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)bound;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)bound;
    bool wild = bound->sa_family == AF_INET ? in->sin_addr.s_addr == htonl(INADDR_ANY)
                                            : IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    uint16_t port = ntohs(bound->sa_family == AF_INET ? in->sin_port : in6->sin6_port);
    struct ifaddrs *all = NULL;
    if (!wild || getifaddrs(&all) < 0) {
        sh_node_listening(io->node, l->number, &addr, now_us);
        return;
    }
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
            i->ifa_addr->sa_family != bound->sa_family) {
            continue;
        }
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
        if (bound->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) {
            continue; /* means nothing without an interface */
        }
        if (sockaddr_addr(i->ifa_addr, port, &addr) == 0) {
            sh_node_listening(io->node, l->number, &addr, now_us);
        }
    }
    freeifaddrs(all);
}

/* A bound, listening socket, or -1 with errno. */
static int listener_bind(struct sh_io *io, const struct sockaddr_storage *sa, socklen_t n,
                         struct sockaddr_storage *bound)
{
    int fd = io->calls.socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    socklen_t bound_n = sizeof *bound;
    bool good = io->calls.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (good && sa->ss_family == AF_INET6) { /* 0.0.0.0 and :: are two listeners, on every system */
        good = io->calls.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    }
    good = good && io->calls.bind(fd, (const struct sockaddr *)sa, n) == 0 &&
           io->calls.listen(fd, SH_IO_BACKLOG) == 0 &&
           io->calls.getsockname(fd, (struct sockaddr *)bound, &bound_n) == 0;
    if (!good) {
        int e = errno;
        io->calls.close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

void sh_tcp_listen(struct sh_io *io, uint64_t number, const struct sh_endpoint *ep, uint64_t now_us)
{
    struct sockaddr_storage sa;
    struct sockaddr_storage bound;
    socklen_t n = sh_tcp_sockaddr(ep, &sa);
    if (n == 0) {
        sh_node_listen_failed(io->node, number, SH_E_BAD_ADDRESS,
                              "only IP addresses can be listened on", now_us);
        return;
    }
    int fd = listener_bind(io, &sa, n, &bound);
    if (fd < 0) {
        sh_node_listen_failed(io->node, number, sh_tcp_errno_code(errno), sh_tcp_errno_text(errno),
                              now_us);
        return;
    }
    struct sh_listener *l = sh_mem_zalloc(io->mem, sizeof *l);
    if (!l || uv_poll_init(&io->uv, &l->poll, fd) < 0) {
        sh_mem_free(io->mem, l, sizeof *l);
        io->calls.close(fd);
        sh_node_listen_failed(io->node, number, SH_E_LIMIT, "out of memory", now_us);
        return;
    }
    l->io = io;
    l->number = number;
    l->fd = fd;
    l->poll.data = l;
    sh_list_push_back(&io->listeners, &l->link);
    uv_poll_start(&l->poll, UV_READABLE, listener_readiness);
    sh_io_changed(io);
    listener_announce(l, (const struct sockaddr *)&bound, now_us);
}

static void listener_drop(struct sh_listener *l)
{
    sh_list_remove(&l->link);
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, listener_freed);
    l->io->calls.close(l->fd);
    l->fd = -1;
    sh_io_changed(l->io);
}

void sh_tcp_unlisten(struct sh_io *io, uint64_t number)
{
    SH_LIST_FOREACH_SAFE(it, &io->listeners)
    {
        struct sh_listener *l = SH_CONTAINER(it, struct sh_listener, link);
        if (l->number == number) {
            listener_drop(l);
        }
    }
}

void sh_listen_tick(struct sh_io *io, uint64_t now_us)
{
    SH_LIST_FOREACH(it, &io->listeners)
    {
        struct sh_listener *l = SH_CONTAINER(it, struct sh_listener, link);
        if (l->resume_us && l->resume_us <= now_us) {
            l->resume_us = 0;
            uv_poll_start(&l->poll, UV_READABLE, listener_readiness);
            sh_io_changed(io);
        }
    }
}

uint64_t sh_listen_deadline(const struct sh_io *io)
{
    uint64_t first = UINT64_MAX;
    SH_LIST_FOREACH(it, &io->listeners)
    {
        const struct sh_listener *l = SH_CONTAINER(it, struct sh_listener, link);
        if (l->resume_us && l->resume_us < first) {
            first = l->resume_us;
        }
    }
    return first;
}

void sh_listen_close_all(struct sh_io *io)
{
    while (!sh_list_empty(&io->listeners)) {
        listener_drop(SH_CONTAINER(sh_list_front(&io->listeners), struct sh_listener, link));
    }
}
