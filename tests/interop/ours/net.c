/* net.c - non-blocking sockets and poll(2) around the swarm. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NET_LINGER_US = 1000000, NET_POLLED_MAX = 512, NET_READS_MAX = 16 };

enum pipe_state { PIPE_DIALLING, PIPE_OPEN, PIPE_LINGERING };

struct pipe {
    sh_list at;
    sh_conn_id conn;
    int fd;
    enum pipe_state state;
    bool paused; /* the swarm takes no input from it */
    bool full;   /* the kernel takes no output from it */
    bool shut;
    uint64_t end_us; /* of lingering */
};

static struct pipe *pipe_find(const struct peer *p, sh_conn_id conn)
{
    SH_LIST_FOREACH(it, &p->pipes)
    {
        struct pipe *pipe = SH_CONTAINER(it, struct pipe, at);
        if (pipe->conn == conn) {
            return pipe;
        }
    }
    return NULL;
}

static struct pipe *pipe_new(struct peer *p, int fd, enum pipe_state state)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);
    int on = 1;
    if (!pipe) {
        close(fd);
        return NULL;
    }
    pipe->fd = fd;
    pipe->state = state;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sh_list_push_back(&p->pipes, &pipe->at);
    return pipe;
}

static void pipe_free(struct pipe *pipe)
{
    sh_list_remove(&pipe->at);
    close(pipe->fd);
    free(pipe);
}

/* The world ended it: the swarm hears of it once. */
static void pipe_lost(struct peer *p, struct pipe *pipe, int e)
{
    sh_conn_id conn = pipe->conn;
    enum pipe_state state = pipe->state;
    pipe_free(pipe);
    if (state == PIPE_DIALLING) {
        int err = e == ECONNREFUSED ? SH_E_REFUSED : SH_E_UNREACHABLE;
        sh_swarm_dial_failed(p->swarm, conn, err, strerror(e), p->now_us);
    } else {
        sh_swarm_closed(p->swarm, conn, e ? SH_E_UNREACHABLE : 0,
                        e ? strerror(e) : "closed by the peer", p->now_us);
    }
}

/* --- bytes --- */

static bool pipe_write(struct peer *p, struct pipe *pipe)
{
    bool any = false;
    sh_span out;
    while (!pipe->full && (out = sh_swarm_out(p->swarm, pipe->conn)).n > 0) {
        ssize_t put = send(pipe->fd, out.p, out.n, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR) {
            pipe_lost(p, pipe, errno);
            return true;
        }
        pipe->full = put < 0 && errno == EAGAIN;
        if (put > 0) {
            sh_swarm_sent(p->swarm, pipe->conn, (size_t)put, p->now_us);
            any = true;
        }
    }
    if (pipe->state == PIPE_LINGERING && !pipe->full && !pipe->shut) {
        pipe->shut = true;
        shutdown(pipe->fd, SHUT_WR);
    }
    return any;
}

static void pipe_read(struct peer *p, struct pipe *pipe)
{
    uint8_t waste[4096];
    for (int i = 0; i < NET_READS_MAX; i++) {
        size_t room = sizeof waste;
        uint8_t *to = waste;
        if (pipe->state != PIPE_LINGERING) {
            to = sh_swarm_room(p->swarm, pipe->conn, &room);
        }
        if (room == 0) {
            pipe->paused = true;
            return;
        }
        ssize_t got = recv(pipe->fd, to, room, 0);
        if (got <= 0) {
            if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                pipe_lost(p, pipe, got == 0 ? 0 : errno);
            }
            return;
        }
        if (pipe->state != PIPE_LINGERING) {
            sh_swarm_filled(p->swarm, pipe->conn, (size_t)got, p->now_us);
        }
    }
}

static void pipe_connected(struct peer *p, struct pipe *pipe)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(pipe->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0) {
        e = errno;
    }
    if (e) {
        pipe_lost(p, pipe, e);
        return;
    }
    pipe->state = PIPE_OPEN;
    sh_swarm_connected(p->swarm, pipe->conn, p->now_us);
}

/* --- dials, listening --- */

static void net_dial(struct peer *p, const struct sh_swarm_action *a)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a->endpoint.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pipe *pipe =
        fd < 0 || a->endpoint.host != SH_HOST_IP4 ? NULL : pipe_new(p, fd, PIPE_DIALLING);
    if (!pipe) {
        sh_swarm_dial_failed(p->swarm, a->conn, SH_E_UNREACHABLE, "only IPv4 is dialled",
                             p->now_us);
        if (fd >= 0 && a->endpoint.host != SH_HOST_IP4) {
            close(fd);
        }
        return;
    }
    pipe->conn = a->conn;
    memcpy(&to.sin_addr, a->endpoint.ip, 4);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        pipe_lost(p, pipe, errno);
    }
}

int net_listen(struct peer *p, sh_addr *addr)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    uint8_t ip[16] = {0};
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = p->listen_fd >= 0 && bind(p->listen_fd, (const struct sockaddr *)&at, n) == 0 &&
              listen(p->listen_fd, 128) == 0 &&
              getsockname(p->listen_fd, (struct sockaddr *)&at, &n) == 0;
    memcpy(ip, &at.sin_addr, 4);
    return ok ? sh_addr_from_ip(addr, SH_HOST_IP4, ip, ntohs(at.sin_port)) : SH_E_BAD_ADDRESS;
}

static void net_accept(struct peer *p)
{
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    uint8_t ip[16] = {0};
    sh_addr addr;
    int fd = accept4(p->listen_fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pipe *pipe = fd < 0 ? NULL : pipe_new(p, fd, PIPE_OPEN);
    if (!pipe) {
        return;
    }
    memcpy(ip, &from.sin_addr, 4);
    sh_addr_from_ip(&addr, SH_HOST_IP4, ip, ntohs(from.sin_port));
    pipe->conn = sh_swarm_accepted(p->swarm, &addr, p->now_us);
    if (pipe->conn == 0) {
        pipe_free(pipe);
    }
}

/* --- what the swarm asks --- */

static void act_on(struct peer *p, struct pipe *pipe, enum sh_swarm_action_kind kind)
{
    if (kind == SH_SWARM_WRITE && pipe->state != PIPE_DIALLING) {
        pipe_write(p, pipe);
    } else if (kind == SH_SWARM_READ) {
        pipe->paused = false;
    } else if (kind == SH_SWARM_CANCEL || pipe->state == PIPE_DIALLING) {
        pipe_free(pipe);
    } else if (kind == SH_SWARM_CLOSE) {
        pipe->state = PIPE_LINGERING;
        pipe->paused = false;
        pipe->end_us = p->now_us + NET_LINGER_US;
        pipe_write(p, pipe);
    }
}

bool net_act(struct peer *p)
{
    struct sh_swarm_action a;
    bool any = false;
    while (sh_swarm_action(p->swarm, &a)) {
        any = true;
        if (a.kind == SH_SWARM_DIAL) {
            net_dial(p, &a);
        } else if (a.kind == SH_SWARM_RESOLVE) {
            sh_swarm_resolved(p->swarm, a.request, NULL, 0, SH_E_NOT_FOUND, p->now_us);
        } else {
            struct pipe *pipe = pipe_find(p, a.conn);
            if (pipe) {
                act_on(p, pipe, a.kind);
            }
        }
    }
    return any;
}

/* --- waiting --- */

static int net_wait_ms(const struct peer *p, uint64_t deadline_us)
{
    uint64_t now_us = peer_clock_us();
    SH_LIST_FOREACH(it, &p->pipes)
    {
        const struct pipe *pipe = SH_CONTAINER(it, struct pipe, at);
        if (pipe->state == PIPE_LINGERING && pipe->end_us < deadline_us) {
            deadline_us = pipe->end_us;
        }
    }
    if (deadline_us <= now_us) {
        return 0;
    }
    uint64_t ms = (deadline_us - now_us + 999) / 1000;
    return ms < 60000 ? (int)ms : 60000;
}

static short pipe_wants(const struct pipe *pipe)
{
    bool out = pipe->state == PIPE_DIALLING || pipe->full;
    bool in = pipe->state != PIPE_DIALLING && !pipe->paused;
    return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

static void net_stdin(struct peer *p)
{
    uint8_t buf[4096];
    ssize_t got = read(STDIN_FILENO, buf, sizeof buf);
    if (got <= 0 || !bytes_add(&p->in, sh_span_of(buf, (size_t)got))) {
        p->quit = true;
        return;
    }
    uint8_t *end;
    while (!p->quit && (end = memchr(p->in.b, '\n', p->in.n)) != NULL) {
        *end = 0;
        command_line(p, (char *)p->in.b);
        bytes_drop(&p->in, (size_t)(end - p->in.b) + 1);
    }
}

static void pipe_ready(struct peer *p, sh_conn_id conn, short events)
{
    struct pipe *pipe = pipe_find(p, conn);
    if (!pipe || events == 0) {
        return;
    }
    if (pipe->state == PIPE_DIALLING) {
        pipe_connected(p, pipe);
        return;
    }
    if (events & POLLOUT) {
        pipe->full = false;
        pipe_write(p, pipe);
        pipe = pipe_find(p, conn);
    }
    if (pipe && (events & (POLLIN | POLLHUP | POLLERR))) {
        pipe_read(p, pipe);
    }
}

void net_poll(struct peer *p, uint64_t deadline_us)
{
    struct pollfd fds[NET_POLLED_MAX + 2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                             {.fd = p->listen_fd, .events = POLLIN}};
    sh_conn_id conns[NET_POLLED_MAX];
    nfds_t n = 0;
    SH_LIST_FOREACH(it, &p->pipes)
    {
        const struct pipe *pipe = SH_CONTAINER(it, struct pipe, at);
        if (n < NET_POLLED_MAX) {
            conns[n] = pipe->conn;
            fds[n + 2] = (struct pollfd){.fd = pipe->fd, .events = pipe_wants(pipe)};
            n++;
        }
    }
    int ready = poll(fds, n + 2, net_wait_ms(p, deadline_us));
    p->now_us = peer_clock_us();
    for (nfds_t i = 0; ready > 0 && i < n; i++) {
        pipe_ready(p, conns[i], fds[i + 2].revents);
    }
    if (ready > 0 && fds[1].revents) {
        net_accept(p);
    }
    if (ready > 0 && fds[0].revents) {
        net_stdin(p);
    }
    SH_LIST_FOREACH_SAFE(it, &p->pipes)
    {
        struct pipe *pipe = SH_CONTAINER(it, struct pipe, at);
        if (pipe->state == PIPE_LINGERING && pipe->end_us <= p->now_us) {
            pipe_lost(p, pipe, 0);
        }
    }
}

void net_close(struct peer *p)
{
    SH_LIST_FOREACH_SAFE(it, &p->pipes)
    {
        pipe_free(SH_CONTAINER(it, struct pipe, at));
    }
    if (p->listen_fd >= 0) {
        close(p->listen_fd);
    }
}
