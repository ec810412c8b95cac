/* floor_net.c - what the machine allows between two processes over loopback TCP, with no library of ours.
 *   floor_net ask64 COUNT    us a round trip of 64 bytes, ChaCha20-Poly1305 in both directions
 *   floor_net ask64_2 COUNT  the same; looks for 20 us, yielding, before it sleeps
 *   floor_net asks COUNT     thousand round trips a second with 100 of them outstanding, packed into frames as they come
 *   floor_net tell64 COUNT   million messages a second of 64 bytes, one way, packed into frames of 64 KiB
 *   floor_net tell64k COUNT  MB a second of 64 KiB messages, one way, a frame each
 *
 * A frame is a 4-byte length, the ciphertext and its tag. One cipher context a direction, the nonce set a frame. */
#include <openssl/evp.h>
#include <sys/epoll.h>

#include "sockets.h"

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
    KEY = 32
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

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    spins = strcmp(argv[1], "ask64_2") == 0;
    printf("%.3f\n", messages(argv[1], count));
    return 0;
}
