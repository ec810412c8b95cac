/* floor_connect.c - what a connection costs at least: its key operations and its round trips, with no library of ours.
 *   floor_connect connect COUNT  us for those of a Noise XX connection and a first stream (median), over loopback TCP */
#include <openssl/evp.h>

#include "sockets.h"

enum { SMALL = 64, KEY = 32, SIGNATURE = 64 };

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
    printf("%.3f\n", connects(count));
    return 0;
}
