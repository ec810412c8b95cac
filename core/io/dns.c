/* io/dns.c - all name resolution: c-ares with its sockets on uv_poll, so that no thread is started.
 *
 * The channel is made at the first name. Its sockets are opened, written and closed through our own functions: its
 * own writev on a DNS-over-TCP socket would raise SIGPIPE.
 * Spec     github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md */
#include "io/internal.h"

#include <ares.h>
#include <ares_nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { DNS_TIMEOUT_MS = 2000, DNS_TRIES = 3 };

struct dns_socket {
    struct sh_io *io;
    int fd;
    int events; /* what c-ares wants */
    uv_poll_t poll;
    sh_list link;
};

struct sh_dns {
    struct sh_io *io;
    ares_channel channel;
    bool library;
    bool made;
    bool closing;  /* answers are nobody's any more */
    uint32_t open; /* questions without an answer */
    sh_list sockets;
};

struct dns_question {
    struct sh_io *io;
    uint64_t request;
    struct sh_endpoint endpoint;
};

/* --- sockets --- */

static void dns_freed(uv_handle_t *h)
{
    struct dns_socket *s = h->data;
    sh_mem_free(s->io->mem, s, sizeof *s);
}

static void dns_readiness(uv_poll_t *h, int status, int events)
{
    struct dns_socket *s = h->data;
    struct sh_dns *dns = s->io->dns;
    int fd = s->fd;
    if (status < 0) {
        events = UV_READABLE | UV_WRITABLE;
    }
    s->io->input++;
    ares_process_fd(dns->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                    events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static struct dns_socket *dns_find(struct sh_dns *dns, int fd)
{
    SH_LIST_FOREACH(it, &dns->sockets)
    {
        struct dns_socket *s = SH_CONTAINER(it, struct dns_socket, link);
        if (s->fd == fd) {
            return s;
        }
    }
    return NULL;
}

static void dns_drop(struct dns_socket *s)
{
    sh_list_remove(&s->link);
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, dns_freed);
    sh_io_changed(s->io);
}

/* c-ares tells what it waits for on a socket; both 0: it is about to close it. */
static void dns_state(void *ud, ares_socket_t fd, int readable, int writable)
{
    struct sh_dns *dns = ud;
    struct dns_socket *s = dns_find(dns, fd);
    if (!readable && !writable) {
        if (s) {
            dns_drop(s);
        }
        return;
    }
    if (!s) {
        s = sh_mem_zalloc(dns->io->mem, sizeof *s);
        if (!s || uv_poll_init(&dns->io->uv, &s->poll, fd) < 0) {
            sh_mem_free(dns->io->mem, s, sizeof *s);
            return; /* no memory: the question times out */
        }
        s->io = dns->io;
        s->fd = fd;
        s->poll.data = s;
        sh_list_push_back(&dns->sockets, &s->link);
    }
    uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                  dns_readiness);
    sh_io_changed(dns->io);
}

static ares_socket_t dns_socket_open(int domain, int type, int protocol, void *ud)
{
    struct sh_dns *dns = ud;
    return dns->io->calls.socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int dns_socket_close(ares_socket_t fd, void *ud)
{
    struct sh_dns *dns = ud;
    return dns->io->calls.close(fd);
}

static int dns_socket_connect(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t n,
                              void *ud)
{
    struct sh_dns *dns = ud;
    int rc = dns->io->calls.connect(fd, addr, n);
    if (rc < 0 && errno == EINTR) { /* it goes on by itself */
        errno = EINPROGRESS;
    }
    return rc;
}

static ares_ssize_t dns_socket_recv(ares_socket_t fd, void *buf, size_t n, int flags,
                                    struct sockaddr *from, ares_socklen_t *from_n, void *ud)
{
    struct sh_dns *dns = ud;
    ssize_t got;
    do { /* c-ares would take an interrupted call for a server that failed */
        got = dns->io->calls.recvfrom(fd, buf, n, flags, from, from_n);
    } while (got < 0 && errno == EINTR);
    return got;
}

static ares_ssize_t dns_socket_send(ares_socket_t fd, const struct iovec *parts, int count,
                                    void *ud)
{
    struct sh_dns *dns = ud;
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    ssize_t put;
    do {
        put = dns->io->calls.sendmsg(fd, &m, MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put;
}

/* --- the channel --- */

static int dns_channel(struct sh_dns *dns)
{
    static const struct ares_socket_functions functions = {
        .asocket = dns_socket_open,
        .aclose = dns_socket_close,
        .aconnect = dns_socket_connect,
        .arecvfrom = dns_socket_recv,
        .asendv = dns_socket_send,
    };
    if (dns->made) {
        return 0;
    }
    if (!dns->library && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return SH_E_LIMIT;
    }
    dns->library = true;
    struct ares_options options = {
        .timeout = DNS_TIMEOUT_MS,
        .tries = DNS_TRIES,
        .sock_state_cb = dns_state,
        .sock_state_cb_data = dns,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
        return SH_E_LIMIT;
    }
    ares_set_socket_functions(dns->channel, &functions, dns);
    dns->made = true;
    return 0;
}

int sh_dns_open(struct sh_io *io)
{
    struct sh_dns *dns = sh_mem_zalloc(io->mem, sizeof *dns);
    if (!dns) {
        return SH_E_NOMEM;
    }
    dns->io = io;
    sh_list_init(&dns->sockets);
    io->dns = dns;
    return 0;
}

void sh_dns_close(struct sh_io *io)
{
    struct sh_dns *dns = io->dns;
    if (!dns) {
        return;
    }
    dns->closing = true;
    if (dns->made) {
        ares_destroy(dns->channel); /* ends every question, closes every socket */
    }
    while (!sh_list_empty(&dns->sockets)) {
        dns_drop(SH_CONTAINER(sh_list_front(&dns->sockets), struct dns_socket, link));
    }
    if (dns->library) {
        ares_library_cleanup();
    }
    io->dns = NULL;
    sh_mem_free(io->mem, dns, sizeof *dns);
}

/* --- questions and answers --- */

static void dns_answer(struct dns_question *q, const sh_addr *addrs, size_t count)
{
    struct sh_io *io = q->io;
    struct sh_dns *dns = io->dns;
    dns->open--;
    if (!dns->closing) {
        io->input++;
        sh_node_resolved(io->node, q->request, addrs, count, count ? 0 : SH_E_UNREACHABLE,
                         io->calls.now_us());
    }
    sh_mem_free(io->mem, q, sizeof *q);
}

static bool dns_ip(const struct dns_question *q, const struct sockaddr *sa, sh_addr *out)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    uint8_t ip[16] = {0};
    enum sh_addr_host host = sa->sa_family == AF_INET ? SH_HOST_IP4 : SH_HOST_IP6;
    if (sa->sa_family == AF_INET) {
        memcpy(ip, &in->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(ip, &in6->sin6_addr, 16);
    } else {
        return false;
    }
    return sh_addr_from_ip(out, host, ip, q->endpoint.port) == 0 &&
           (!q->endpoint.has_peer || sh_addr_with_peer(out, &q->endpoint.peer) == 0);
}

static void dns_found(void *ud, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct dns_question *q = ud;
    sh_addr addrs[SH_DNS_RESULTS_MAX];
    size_t count = 0;
    struct ares_addrinfo_node *node = status == ARES_SUCCESS && info ? info->nodes : NULL;
    for (; node && count < SH_DNS_RESULTS_MAX; node = node->ai_next) {
        count += dns_ip(q, node->ai_addr, &addrs[count]);
    }
    if (info) {
        ares_freeaddrinfo(info);
    }
    dns_answer(q, addrs, count);
}

/* One TXT record "dnsaddr=<multiaddr>"; others are not ours. */
static bool dns_txt(const char *text, size_t n, sh_addr *out)
{
    static const char prefix[] = "dnsaddr=";
    size_t skip = sizeof prefix - 1;
    return n > skip && memcmp(text, prefix, skip) == 0 &&
           sh_addr_parse(out, text + skip, n - skip) == 0;
}

/* A record longer than 255 bytes comes in pieces, record_start marks the first of each. */
static size_t dns_txt_all(const struct ares_txt_ext *txt, sh_addr *addrs, size_t cap)
{
    char text[SH_ADDR_TEXT_MAX];
    size_t count = 0;
    while (txt && count < cap) {
        size_t n = 0;
        bool fits = true;
        do {
            fits = fits && txt->length <= sizeof text - n;
            if (fits) {
                memcpy(text + n, txt->txt, txt->length);
                n += txt->length;
            }
            txt = txt->next;
        } while (txt && !txt->record_start);
        count += fits && dns_txt(text, n, &addrs[count]);
    }
    return count;
}

static void dns_texts(void *ud, int status, int timeouts, unsigned char *packet, int n)
{
    (void)timeouts;
    struct dns_question *q = ud;
    struct sh_io *io = q->io;
    struct ares_txt_ext *txt = NULL;
    size_t count = 0;
    size_t bytes = SH_DNSADDR_RESULTS_MAX * sizeof(sh_addr);
    sh_addr *addrs = status == ARES_SUCCESS ? sh_mem_alloc(io->mem, bytes) : NULL;
    if (addrs && ares_parse_txt_reply_ext(packet, n, &txt) == ARES_SUCCESS) {
        count = dns_txt_all(txt, addrs, SH_DNSADDR_RESULTS_MAX);
    }
    if (txt) {
        ares_free_data(txt);
    }
    dns_answer(q, addrs, count);
    sh_mem_free(io->mem, addrs, addrs ? bytes : 0);
}

void sh_dns_resolve(struct sh_io *io, uint64_t request, const struct sh_endpoint *ep,
                    uint64_t now_us)
{
    struct sh_dns *dns = io->dns;
    struct dns_question *q = NULL;
    if (dns_channel(dns) == 0) {
        q = sh_mem_zalloc(io->mem, sizeof *q);
    }
    if (!q) {
        sh_node_resolved(io->node, request, NULL, 0, SH_E_LIMIT, now_us);
        return;
    }
    *q = (struct dns_question){io, request, *ep};
    dns->open++;
    if (ep->host == SH_HOST_DNSADDR) {
        char name[sizeof ep->name + 16];
        snprintf(name, sizeof name, "_dnsaddr.%s", ep->name);
        ares_search(dns->channel, name, ns_c_in, ns_t_txt, dns_texts, q);
        return;
    }
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (ep->host != SH_HOST_DNS) {
        hints.ai_family = ep->host == SH_HOST_DNS4 ? AF_INET : AF_INET6;
    }
    ares_getaddrinfo(dns->channel, ep->name, NULL, &hints, dns_found, q);
}

void sh_dns_tick(struct sh_io *io, uint64_t now_us)
{
    if (io->dns->open > 0 && sh_dns_deadline(io, now_us) <= now_us) {
        ares_process_fd(io->dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

uint64_t sh_dns_deadline(struct sh_io *io, uint64_t now_us)
{
    if (io->dns->open == 0) {
        return UINT64_MAX;
    }
    struct timeval tv;
    if (!ares_timeout(io->dns->channel, NULL, &tv)) {
        return UINT64_MAX;
    }
    return now_us + (uint64_t)tv.tv_sec * 1000000u + (uint64_t)tv.tv_usec;
}
