/* floor_net.c - what the machine allows between two processes over loopback TCP, with no library of ours.
 *   floor_net ask64 COUNT    us a round trip of 64 bytes, ChaCha20-Poly1305 in both directions
 *   floor_net ask64_2 COUNT  the same; looks for 20 us, yielding, before it sleeps
 *   floor_net asks COUNT     thousand round trips a second with 100 of them outstanding, packed into frames as they come
 *   floor_net tell64 COUNT   million messages a second of 64 bytes, one way, packed into frames of 64 KiB
 *   floor_net tell64k COUNT  MB a second of 64 KiB messages, one way, a frame each
 *   floor_net connect COUNT  us for the key operations and round trips of a Noise XX connection and a first stream
 *
 * A frame is a 4-byte length, the ciphertext and its tag. One cipher context a direction, the nonce set a frame. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

enum {
    HEAD = 4,
    TAG = 16,
    SMALL = 64,
    BIG = 65536,
    PLAIN_MAX = BIG,
    FRAME_MAX = HEAD + PLAIN_MAX + TAG,
    ROOM = 4 * FRAME_MAX,
    PIECE = 8192, /* of one cipher call: stays in L1 */
    SPIN_NS = 20000,
    OUTSTANDING = 100,
    KEY = 32,
    SIGNATURE = 64
};

static int spins; /* of this process: looks before it sleeps */

/* --- frames --- */

struct direction {
    EVP_CIPHER_CTX *ctx;
    uint64_t nonce;
};

struct link {
    int fd, epoll;
    struct direction out, in;
    unsigned char *room; /* what was read */
    size_t at, have;
    unsigned char *frame; /* what is written */
};

static void nonblocking(int fd)
{
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct direction direction_new(int number, int seals)
{
    unsigned char key[KEY];
    struct direction d = {EVP_CIPHER_CTX_new(), 0};
    memset(key, number, sizeof key);
    if (!d.ctx || EVP_CipherInit_ex(d.ctx, EVP_chacha20_poly1305(), NULL, key, NULL, seals) != 1) {
        bench_die("no cipher");
    }
    return d;
}

static void link_init(struct link *l, int fd, int dialer)
{
    nonblocking(fd);
    *l = (struct link){.fd = fd, .epoll = epoll_create1(0)};
    l->out = direction_new(dialer ? 1 : 2, 1);
    l->in = direction_new(dialer ? 2 : 1, 0);
    l->room = malloc(ROOM);
    l->frame = malloc(FRAME_MAX);
    struct epoll_event ev = {.events = EPOLLIN};
    if (!l->room || !l->frame || epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        bench_die("no link");
    }
}

static void cipher(struct direction *d, unsigned char *buf, size_t n, unsigned char *tag, int seals)
{
    unsigned char iv[12] = {0}, rest[TAG];
    int done;
    memcpy(iv + 4, &d->nonce, sizeof d->nonce);
    d->nonce++;
    int ok = EVP_CipherInit_ex(d->ctx, NULL, NULL, NULL, iv, -1);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t piece = n - at < PIECE ? n - at : PIECE;
        ok &= EVP_CipherUpdate(d->ctx, buf + at, &done, buf + at, (int)piece);
    }
    if (!seals) {
        ok &= EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag);
    }
    ok &= EVP_CipherFinal_ex(d->ctx, rest, &done);
    if (seals) {
        ok &= EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag);
    }
    if (ok != 1) {
        bench_die("a frame was not authentic");
    }
}

static void write_all(int fd, const unsigned char *from, size_t n)
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

/* The plaintext lies in l->frame + HEAD. */
static void frame_send(struct link *l, size_t n)
{
    uint32_t length = (uint32_t)n;
    memcpy(l->frame, &length, HEAD);
    cipher(&l->out, l->frame + HEAD, n, l->frame + HEAD + n, 1);
    write_all(l->fd, l->frame, HEAD + n + TAG);
}

/* The next frame's plaintext, lent until the next call; waits for it. */
static unsigned char *frame_receive(struct link *l, size_t *n)
{
    uint64_t since = 0; /* it looks in vain */
    for (;;) {
        uint32_t length = 0;
        if (l->have - l->at >= HEAD) {
            memcpy(&length, l->room + l->at, HEAD);
            if (l->have - l->at >= HEAD + length + TAG) {
                unsigned char *plain = l->room + l->at + HEAD;
                cipher(&l->in, plain, length, plain + length, 0);
                l->at += HEAD + length + TAG;
                *n = length;
                return plain;
            }
        }
        if (l->at > 0) {
            memmove(l->room, l->room + l->at, l->have - l->at);
            l->have -= l->at;
            l->at = 0;
        }
        ssize_t got = read(l->fd, l->room + l->have, ROOM - l->have);
        if (got > 0) {
            l->have += (size_t)got;
            since = 0;
        } else if (got < 0 && errno == EAGAIN) {
            uint64_t now = spins ? bench_now_ns() : 0;
            since = since ? since : now;
            if (spins && now - since < SPIN_NS) {
                sched_yield();
                continue;
            }
            struct epoll_event ev;
            epoll_wait(l->epoll, &ev, 1, -1);
        } else {
            bench_die("the other process ended");
        }
    }
}

/* --- sockets --- */

static int listen_on(struct sockaddr_in *addr)
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

static int dial(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0) {
        bench_die("cannot connect");
    }
    return fd;
}

/* --- asks and tells --- */

/* A message in a frame: its length, then its bytes. What is done with each is an indirect call. */
static uint64_t taken;
static void take(const unsigned char *bytes, size_t n)
{
    taken += n > 0 && bytes[0] == 7;
}
static void (*volatile handle)(const unsigned char *bytes, size_t n) = take;

static void frame_take(const unsigned char *plain, size_t n)
{
    void (*each)(const unsigned char *, size_t) = handle;
    for (size_t at = 0; at + HEAD <= n;) {
        uint32_t length;
        memcpy(&length, plain + at, HEAD);
        each(plain + at + HEAD, length);
        at += HEAD + length;
    }
}

static size_t frame_put(struct link *l, size_t at, const unsigned char *bytes, size_t n)
{
    uint32_t length = (uint32_t)n;
    memcpy(l->frame + HEAD + at, &length, HEAD);
    memcpy(l->frame + HEAD + at + HEAD, bytes, n);
    return at + HEAD + n;
}

static void serve_messages(int fd)
{
    struct sockaddr_in addr;
    struct link l;
    uint64_t want;
    size_t n;
    bench_pin(1);
    int listener = listen_on(&addr);
    bench_write(fd, &addr, sizeof addr);
    link_init(&l, accept(listener, NULL, NULL), 0);
    for (;;) { /* how many messages come; 0: one to echo */
        unsigned char *plain = frame_receive(&l, &n);
        memcpy(&want, plain, sizeof want);
        if (want == 0) {
            memcpy(l.frame + HEAD, plain, n);
            frame_send(&l, n);
            continue;
        }
        for (taken = 0; taken < want;) {
            plain = frame_receive(&l, &n);
            frame_take(plain, n);
        }
        memcpy(l.frame + HEAD, &taken, sizeof taken);
        frame_send(&l, sizeof taken);
    }
}

static double ask(struct link *l, uint64_t count)
{
    uint64_t start = bench_now_ns();
    size_t n;
    for (uint64_t i = 0; i < count; i++) {
        memset(l->frame + HEAD, 0, SMALL);
        frame_send(l, SMALL);
        frame_receive(l, &n);
    }
    return (double)(bench_now_ns() - start) / (double)count / 1000;
}

/* Thousand a second: as many are asked anew as were answered, in one frame. */
static double asks(struct link *l, uint64_t count)
{
    static unsigned char message[SMALL];
    uint64_t start = bench_now_ns(), want = 0;
    size_t n, new = OUTSTANDING;
    for (uint64_t done = 0; done < count; done += new) {
        size_t at = sizeof want;
        memcpy(l->frame + HEAD, &want, sizeof want);
        for (size_t i = 0; i < new; i++) {
            at = frame_put(l, at, message, SMALL);
        }
        frame_send(l, at);
        unsigned char *plain = frame_receive(l, &n);
        taken = 0;
        frame_take(plain + sizeof want, n - sizeof want);
        new = (n - sizeof want) / (HEAD + SMALL);
    }
    return (double)count * 1e6 / (double)(bench_now_ns() - start);
}

/* Messages a microsecond. */
static double tell(struct link *l, uint64_t count, size_t size)
{
    static unsigned char message[BIG - HEAD];
    uint64_t start = bench_now_ns();
    size_t n;
    message[0] = 7;
    memcpy(l->frame + HEAD, &count, sizeof count);
    frame_send(l, sizeof count);
    for (uint64_t i = 0; i < count;) {
        size_t at = 0;
        for (; i < count && at + HEAD + size <= PLAIN_MAX; i++) {
            at = frame_put(l, at, message, size);
        }
        frame_send(l, at);
    }
    frame_receive(l, &n);
    return (double)count * 1000 / (double)(bench_now_ns() - start);
}

static double messages(const char *mode, uint64_t count)
{
    struct sockaddr_in addr;
    struct link l;
    int from;
    double result;
    pid_t child = bench_child(serve_messages, &from);
    bench_pin(0);
    bench_read(from, &addr, sizeof addr);
    link_init(&l, dial(&addr), 1);
    if (strncmp(mode, "ask64", 5) == 0) {
        ask(&l, count / 10 + 1);
        result = ask(&l, count);
    } else if (strcmp(mode, "asks") == 0) {
        asks(&l, count / 10 + 1);
        result = asks(&l, count);
    } else {
        size_t size = strcmp(mode, "tell64k") == 0 ? BIG - HEAD : SMALL;
        tell(&l, count / 10 + 1, size);
        result = tell(&l, count, size) * (size == SMALL ? 1 : BIG);
    }
    bench_child_end(child);
    return result;
}

/* --- connect --- */

struct keys {
    EVP_PKEY *fixed;  /* X25519, of the node */
    EVP_PKEY *signer; /* Ed25519 */
    unsigned char fixed_public[KEY], signer_public[KEY];
};

static EVP_PKEY *key_new(const char *kind, unsigned char public[KEY])
{
    size_t n = KEY;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
    if (!key || EVP_PKEY_get_raw_public_key(key, public, &n) != 1) {
        bench_die("no key");
    }
    return key;
}

static void agree(EVP_PKEY *own, const unsigned char peer[KEY])
{
    unsigned char secret[KEY];
    size_t n = sizeof secret;
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, KEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    if (!other || !ctx || EVP_PKEY_derive_init(ctx) != 1 ||
        EVP_PKEY_derive_set_peer(ctx, other) != 1 || EVP_PKEY_derive(ctx, secret, &n) != 1) {
        bench_die("no agreement");
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
}

static void sign(const struct keys *k, unsigned char out[SIGNATURE])
{
    size_t n = SIGNATURE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->signer) != 1 ||
        EVP_DigestSign(ctx, out, &n, k->fixed_public, KEY) != 1) {
        bench_die("no signature");
    }
    EVP_MD_CTX_free(ctx);
}

static void verify(const unsigned char *payload) /* fixed key, signer, signature */
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, payload + KEY, KEY);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestVerify(ctx, payload + 2 * KEY, SIGNATURE, payload, KEY) != 1) {
        bench_die("a signature is wrong");
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void receive(int fd, unsigned char *to, size_t n)
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

enum { PAYLOAD = 2 * KEY + SIGNATURE };

static void payload_make(const struct keys *k, unsigned char out[PAYLOAD])
{
    memcpy(out, k->fixed_public, KEY);
    memcpy(out + KEY, k->signer_public, KEY);
    sign(k, out + 2 * KEY);
}

static void keys_init(struct keys *k)
{
    k->fixed = key_new("X25519", k->fixed_public);
    k->signer = key_new("ED25519", k->signer_public);
}

/* Proposal; e; e, ee, s, es; s, se with the muxer's proposal; the first stream's request. */
static void connect_once(const struct sockaddr_in *addr, const struct keys *k)
{
    unsigned char own[KEY], bytes[KEY + PAYLOAD], small[SMALL] = {0};
    int fd = dial(addr);
    nonblocking(fd);
    write_all(fd, small, SMALL);
    receive(fd, small, SMALL);
    EVP_PKEY *fresh = key_new("X25519", own);
    write_all(fd, own, KEY);
    receive(fd, bytes, KEY + PAYLOAD);
    agree(fresh, bytes);       /* ee */
    agree(fresh, bytes + KEY); /* es */
    verify(bytes + KEY);
    agree(k->fixed, bytes); /* se */
    payload_make(k, bytes);
    write_all(fd, bytes, PAYLOAD);
    receive(fd, small, SMALL); /* the muxer is agreed */
    write_all(fd, small, SMALL);
    receive(fd, small, SMALL); /* the first stream's answer */
    EVP_PKEY_free(fresh);
    close(fd);
}

static void accept_once(int fd, const struct keys *k)
{
    unsigned char peer[KEY], bytes[KEY + PAYLOAD], small[SMALL] = {0};
    nonblocking(fd);
    receive(fd, small, SMALL);
    write_all(fd, small, SMALL);
    receive(fd, peer, KEY);
    EVP_PKEY *fresh = key_new("X25519", bytes);
    agree(fresh, peer);    /* ee */
    agree(k->fixed, peer); /* es */
    payload_make(k, bytes + KEY);
    write_all(fd, bytes, sizeof bytes);
    receive(fd, bytes, PAYLOAD);
    agree(fresh, bytes); /* se */
    verify(bytes);
    write_all(fd, small, SMALL);
    receive(fd, small, SMALL);
    write_all(fd, small, SMALL);
    EVP_PKEY_free(fresh);
    close(fd);
}

static void serve_connects(int fd)
{
    struct sockaddr_in addr;
    struct keys k;
    keys_init(&k);
    int listener = listen_on(&addr);
    bench_write(fd, &addr, sizeof addr);
    for (;;) {
        accept_once(accept(listener, NULL, NULL), &k);
    }
}

static double connects(uint64_t count)
{
    struct sockaddr_in addr;
    struct keys k;
    int from;
    double *each = calloc(count, sizeof *each);
    pid_t child = bench_child(serve_connects, &from);
    bench_read(from, &addr, sizeof addr);
    keys_init(&k);
    for (uint64_t i = 0; each && i < count + 5; i++) {
        uint64_t start = bench_now_ns();
        connect_once(&addr, &k);
        each[i < 5 ? 0 : i - 5] = (double)(bench_now_ns() - start) / 1000;
    }
    double result = each ? bench_median(each, count) : 0;
    free(each);
    bench_child_end(child);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    spins = strcmp(argv[1], "ask64_2") == 0;
    printf("%.3f\n", strcmp(argv[1], "connect") == 0 ? connects(count) : messages(argv[1], count));
    return 0;
}
