/* io/tcp.c - our own non-blocking sockets on uv_poll: dialling, reading into the node, writing from it.
 *
 * What arrives is read straight into sh_node_room; what leaves is sent straight from sh_node_out, once per slice.
 * libuv only tells readiness: its own writes would raise SIGPIPE. */
#include "io/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* --- addresses --- */

socklen_t sh_tcp_sockaddr(const struct sh_endpoint *ep, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ep->host == SH_HOST_IP4) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(ep->port);
        memcpy(&in->sin_addr, ep->ip, 4);
        return sizeof *in;
    }
    if (ep->host == SH_HOST_IP6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(ep->port);
        memcpy(&in6->sin6_addr, ep->ip, 16);
        return sizeof *in6;
    }
    return 0;
}

int sh_tcp_errno_code(int e)
{
    switch (e) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return SH_E_LIMIT;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EACCES:
    case EINVAL: return SH_E_BAD_ADDRESS;
    case ECONNREFUSED: return SH_E_REFUSED; /* nobody listens there: what tells a death at once */
    default: return SH_E_UNREACHABLE;
    }
}

/* uv's texts are static and, unlike strerror, safe in threads. */
const char *sh_tcp_errno_text(int e)
{
    return uv_strerror(-e);
}

/* --- handles --- */

static void tcp_freed(uv_handle_t *h)
{
    struct sh_tcp *t = h->data;
    sh_mem_free(t->io->mem, t, sizeof *t);
}

static void tcp_readiness(uv_poll_t *h, int status, int events);

static void tcp_arm(struct sh_tcp *t, int events)
{
    if (t->armed == events) {
        return;
    }
    t->armed = events;
    if (events == 0) {
        uv_poll_stop(&t->poll);
    } else {
        uv_poll_start(&t->poll, events, tcp_readiness);
    }
    sh_io_changed(t->io);
}

static struct sh_tcp *tcp_find(struct sh_io *io, sh_conn_id conn)
{
    uint64_t value;
    return sh_map_u64_get(&io->conns, conn, &value) ? sh_map_ptr(value) : NULL;
}

static void tcp_dirty(struct sh_tcp *t)
{
    if (!t->dirty) {
        t->dirty = true;
        sh_list_push_back(&t->io->dirty, &t->dirty_link);
    }
}

/* The socket ends; the struct goes when uv lets go of its handle. */
static void tcp_drop(struct sh_tcp *t)
{
    struct sh_io *io = t->io;
    sh_map_u64_del(&io->conns, t->conn, NULL);
    io->hot = io->hot == t ? NULL : io->hot;
    sh_list_remove(&t->link);
    sh_list_remove(&t->dirty_link);
    t->dirty = false;
    io->lingering -= t->state == SH_TCP_LINGER;
    uv_poll_stop(&t->poll);
    uv_close((uv_handle_t *)&t->poll, tcp_freed);
    io->calls.close(t->fd);
    t->fd = -1;
    sh_io_changed(io);
}

/* The pipe is over, by the world's doing: the node hears of it once. */
static void tcp_lost(struct sh_tcp *t, int e, uint64_t now_us)
{
    struct sh_io *io = t->io;
    sh_conn_id conn = t->conn;
    enum sh_tcp_state state = t->state;
    tcp_drop(t);
    if (state == SH_TCP_CONNECTING) {
        sh_node_dial_failed(io->node, conn, sh_tcp_errno_code(e), sh_tcp_errno_text(e), now_us);
    } else {
        sh_node_closed(io->node, conn, e ? SH_E_UNREACHABLE : 0,
                       e ? sh_tcp_errno_text(e) : "closed by the peer", now_us);
    }
}

/* Owns fd from here on, also when it fails (-1 with errno). */
static struct sh_tcp *tcp_new(struct sh_io *io, int fd, enum sh_tcp_state state)
{
    struct sh_tcp *t = sh_mem_zalloc(io->mem, sizeof *t);
    if (!t || uv_poll_init(&io->uv, &t->poll, fd) < 0) {
        sh_mem_free(io->mem, t, sizeof *t);
        io->calls.close(fd);
        errno = ENOMEM;
        return NULL;
    }
    t->io = io;
    t->fd = fd;
    t->state = state;
    t->poll.data = t;
    sh_list_init(&t->link);
    sh_list_init(&t->dirty_link);
    int on = 1; /* whole frames leave at once; a refusal only costs time */
    (void)io->calls.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return t;
}

/* Enters it under its number; the connection is then known to both sides. */
static bool tcp_enter(struct sh_tcp *t, sh_conn_id conn)
{
    t->conn = conn;
    sh_list_push_back(&t->io->tcps, &t->link);
    return sh_map_u64_put(&t->io->conns, conn, sh_map_of_ptr(t)) == 0;
}

/* --- reading --- */

/* One read into the node. True: there may be more at once. */
static bool tcp_read_once(struct sh_tcp *t, uint64_t now_us)
{
    struct sh_io *io = t->io;
    size_t room = 0;
    uint8_t *to = sh_node_room(io->node, t->conn, &room);
    if (room == 0) {
        t->paused = true; /* see tcp_deaf */
        return false;
    }
    ssize_t got = io->calls.recv(t->fd, to, room, 0);
    if (got > 0) {
        io->input++;
        io->hot = t;
        sh_node_filled(io->node, t->conn, (size_t)got, now_us);
        return (size_t)got == room;
    }
    int e = errno;
    if (got == 0) {
        tcp_lost(t, 0, now_us);
    } else if (e != EAGAIN && e != EWOULDBLOCK && e != EINTR) {
        tcp_lost(t, e, now_us);
    } else {
        sh_node_filled(io->node, t->conn, 0, now_us); /* the room goes back */
    }
    return false;
}

static void tcp_read(struct sh_tcp *t, uint64_t now_us)
{
    struct sh_io *io = t->io;
    sh_conn_id conn = t->conn;
    for (int i = 0; i < SH_IO_READS_MAX; i++) {
        if (!tcp_read_once(t, now_us) || tcp_find(io, conn) != t) {
            return;
        }
    }
}

bool sh_tcp_read_hot(struct sh_io *io, uint64_t now_us)
{
    struct sh_tcp *t = io->hot;
    if (!t || t->state != SH_TCP_OPEN || t->paused || !(t->armed & UV_READABLE)) {
        return false;
    }
    uint32_t before = io->input;
    tcp_read(t, now_us);
    return io->input != before || io->hot != t;
}

/* A closing socket is read until the peer ends too: closing with bytes unread would send a reset, which can overtake
 * what we wrote last. */
static void tcp_discard(struct sh_tcp *t, uint64_t now_us)
{
    struct sh_io *io = t->io;
    uint8_t bytes[4096];
    for (int i = 0; i < SH_IO_READS_MAX; i++) {
        ssize_t got = io->calls.recv(t->fd, bytes, sizeof bytes, 0);
        if (got > 0 || (got < 0 && errno == EINTR)) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        t->eof = true;
        if (got < 0 || t->shut) {
            tcp_lost(t, 0, now_us);
        } else {
            tcp_arm(t, t->armed & ~UV_READABLE);
        }
        return;
    }
}

/* --- writing --- */

/* True: the node was told something, bytes sent or the end. */
static bool tcp_write(struct sh_tcp *t, uint64_t now_us)
{
    struct sh_io *io = t->io;
    bool told = false;
    for (;;) {
        sh_span out = sh_node_out(io->node, t->conn);
        if (out.n == 0) {
            break;
        }
        ssize_t put = io->calls.send(t->fd, out.p, out.n, MSG_NOSIGNAL);
        if (put >= 0) {
            sh_node_sent(io->node, t->conn, (size_t)put, now_us);
            t->full = false;
            told = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            t->full = true;
            tcp_arm(t, t->armed | UV_WRITABLE);
            return told;
        } else if (errno != EINTR) {
            tcp_lost(t, errno, now_us);
            return true;
        }
    }
    if (t->state == SH_TCP_LINGER && !t->shut) {
        t->shut = true;
        (void)io->calls.shutdown(t->fd, SHUT_WR);
        if (t->eof) {
            tcp_lost(t, 0, now_us);
            return true;
        }
    }
    return told;
}

bool sh_tcp_flush(struct sh_io *io, uint64_t now_us)
{
    bool sent = false;
    for (sh_list *link = sh_list_pop(&io->dirty); link; link = sh_list_pop(&io->dirty)) {
        struct sh_tcp *t = SH_CONTAINER(link, struct sh_tcp, dirty_link);
        t->dirty = false;
        if (t->state != SH_TCP_CONNECTING && !t->full) {
            sent = tcp_write(t, now_us) || sent;
        }
    }
    return sent;
}

/* --- dialling --- */

static void tcp_connected(struct sh_tcp *t, uint64_t now_us)
{
    struct sh_io *io = t->io;
    int e = 0;
    socklen_t n = sizeof e;
    if (io->calls.getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0) {
        e = errno;
    }
    if (e) {
        tcp_lost(t, e, now_us);
        return;
    }
    t->state = SH_TCP_OPEN;
    io->input++;
    tcp_arm(t, UV_READABLE);
    tcp_dirty(t);
    sh_node_connected(io->node, t->conn, now_us);
}

/* It has bytes and the node has no room. Mostly that is over within the slice, and disarming would be three system calls
 * for each block read; only who is told so again and again stops listening. */
static void tcp_deaf(struct sh_tcp *t)
{
    if (++t->unread >= SH_IO_UNREAD_MAX) {
        tcp_arm(t, t->armed & ~UV_READABLE);
    }
}

static void tcp_readiness(uv_poll_t *h, int status, int events)
{
    struct sh_tcp *t = h->data;
    struct sh_io *io = t->io;
    uint64_t now_us = io->calls.now_us();
    sh_conn_id conn = t->conn;
    if (t->state == SH_TCP_CONNECTING) {
        tcp_connected(t, now_us);
        return;
    }
    if (status < 0) { /* error condition: the read tells which */
        events = UV_READABLE | UV_WRITABLE;
        t->paused = false;
    }
    if (events & UV_WRITABLE) {
        io->input++;
        t->full = false;
        bool told = tcp_write(t, now_us);
        if (!told && tcp_find(io, conn) == t && !t->full) { /* nothing is left to wait for */
            tcp_arm(t, t->armed & ~UV_WRITABLE);
        }
    }
    if (!(events & UV_READABLE) || tcp_find(io, conn) != t) {
        return;
    }
    if (t->state == SH_TCP_LINGER) {
        tcp_discard(t, now_us);
    } else if (!t->paused) {
        tcp_read(t, now_us);
    } else {
        tcp_deaf(t);
    }
}

void sh_tcp_dial(struct sh_io *io, sh_conn_id conn, const struct sh_endpoint *ep, uint64_t now_us)
{
    struct sockaddr_storage sa;
    socklen_t n = sh_tcp_sockaddr(ep, &sa);
    if (n == 0) {
        sh_node_dial_failed(io->node, conn, SH_E_BAD_ADDRESS, "no IP address to dial", now_us);
        return;
    }
    int fd = io->calls.socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sh_tcp *t = fd < 0 ? NULL : tcp_new(io, fd, SH_TCP_CONNECTING);
    if (!t) {
        sh_node_dial_failed(io->node, conn, sh_tcp_errno_code(errno), sh_tcp_errno_text(errno),
                            now_us);
        return;
    }
    if (!tcp_enter(t, conn)) {
        tcp_lost(t, ENOMEM, now_us);
        return;
    }
    int rc = io->calls.connect(fd, (const struct sockaddr *)&sa, n);
    if (rc < 0 && errno != EINPROGRESS && errno != EINTR) {
        tcp_lost(t, errno, now_us);
        return;
    }
    tcp_arm(t, UV_WRITABLE);
}

void sh_tcp_cancel(struct sh_io *io, sh_conn_id conn)
{
    struct sh_tcp *t = tcp_find(io, conn);
    if (t) {
        tcp_drop(t);
    }
}

void sh_tcp_want_write(struct sh_io *io, sh_conn_id conn)
{
    struct sh_tcp *t = tcp_find(io, conn);
    if (t) {
        tcp_dirty(t);
    }
}

void sh_tcp_want_read(struct sh_io *io, sh_conn_id conn, uint64_t now_us)
{
    struct sh_tcp *t = tcp_find(io, conn);
    if (t && t->paused && t->state == SH_TCP_OPEN) {
        uint32_t before = io->input;
        t->paused = false;
        t->unread = 0;
        tcp_arm(t, t->armed | UV_READABLE);
        tcp_read(t, now_us); /* it was stopped by a full block: there is more */
        io->fresh = io->fresh || io->input != before; /* that first, then the others */
    }
}

void sh_tcp_close(struct sh_io *io, sh_conn_id conn, uint64_t now_us)
{
    struct sh_tcp *t = tcp_find(io, conn);
    if (!t) {
        return;
    }
    if (t->state == SH_TCP_CONNECTING) {
        tcp_drop(t);
        return;
    }
    if (t->state != SH_TCP_LINGER) {
        t->state = SH_TCP_LINGER;
        io->lingering++;
    }
    t->linger_us = now_us + SH_IO_LINGER_US;
    tcp_arm(t, t->armed | UV_READABLE);
    tcp_dirty(t);
}

void sh_tcp_accepted(struct sh_io *io, int fd, const sh_addr *remote, uint64_t now_us)
{
    struct sh_tcp *t = tcp_new(io, fd, SH_TCP_OPEN);
    if (!t) {
        return;
    }
    sh_conn_id conn = sh_node_accepted(io->node, remote, now_us);
    if (conn == 0) {
        tcp_drop(t);
        return;
    }
    if (!tcp_enter(t, conn)) {
        tcp_lost(t, ENOMEM, now_us);
        return;
    }
    io->input++;
    tcp_arm(t, UV_READABLE);
    tcp_dirty(t);
}

/* --- time --- */

void sh_tcp_tick(struct sh_io *io, uint64_t now_us)
{
    if (io->lingering == 0) {
        return;
    }
    SH_LIST_FOREACH_SAFE(it, &io->tcps)
    {
        struct sh_tcp *t = SH_CONTAINER(it, struct sh_tcp, link);
        if (t->state == SH_TCP_LINGER && t->linger_us <= now_us) {
            tcp_lost(t, 0, now_us);
        }
    }
}

uint64_t sh_tcp_deadline(const struct sh_io *io)
{
    uint64_t first = UINT64_MAX;
    if (io->lingering > 0) {
        SH_LIST_FOREACH(it, &io->tcps)
        {
            const struct sh_tcp *t = SH_CONTAINER(it, struct sh_tcp, link);
            if (t->state == SH_TCP_LINGER && t->linger_us < first) {
                first = t->linger_us;
            }
        }
    }
    return first;
}

void sh_tcp_close_all(struct sh_io *io)
{
    while (!sh_list_empty(&io->tcps)) {
        tcp_drop(SH_CONTAINER(sh_list_front(&io->tcps), struct sh_tcp, link));
    }
}
