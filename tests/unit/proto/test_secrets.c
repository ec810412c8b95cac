/* test_secrets.c - no freed block holds a secret: neither ours nor OpenSSL's, on any way a connection ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <malloc.h>
#include <openssl/crypto.h>

#include "base/rng.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "proto/noise.h"
#include "proto/stack.h"

enum { SECRETS = 16, PART = 16 };
static uint8_t secrets[SECRETS][32];
static unsigned secret_count, freed, found;
static bool watching;

static void secret_add(const uint8_t bytes[32])
{
    assert_true(secret_count < SECRETS);
    memcpy(secrets[secret_count++], bytes, 32);
}

/* Half of a key is found too. */
static void block_ends(const uint8_t *p, size_t n)
{
    freed++;
    for (size_t i = 0; watching && i + PART <= n; i++) {
        for (unsigned k = 0; k < secret_count; k++) {
            found +=
                memcmp(p + i, secrets[k], PART) == 0 || memcmp(p + i, secrets[k] + PART, PART) == 0;
        }
    }
}

static void *watch_resize(void *ud, void *p, size_t old_size, size_t new_size)
{
    (void)ud;
    if (new_size == 0) {
        if (p) {
            block_ends(p, old_size);
        }
        free(p);
        return NULL;
    }
    void *now = malloc(new_size);
    if (p && now) {
        memcpy(now, p, old_size < new_size ? old_size : new_size);
        block_ends(p, old_size);
        free(p);
    }
    return now;
}

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (p) {
        block_ends(p, malloc_usable_size(p));
    }
    free(p);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    void *now = malloc(n);
    if (p && now) {
        size_t old = malloc_usable_size(p);
        memcpy(now, p, old < n ? old : n);
        ssl_free(p, file, line);
    }
    return now;
}

static const sh_mem mem = {watch_resize, NULL};

struct side {
    sh_identity identity;
    sh_noise_static own;
    uint8_t ephemeral[32];
    sh_quota quota;
    sh_block_pool pool;
    sh_conn *conn;
};

static sh_rng_seeded seeded;
static sh_rng rng;

static void side_start(struct side *x, bool dialer)
{
    uint8_t seed[32];
    sh_rng_fill(&rng, seed, 32);
    sh_rng_fill(&rng, x->ephemeral, 32);
    assert_int_equal(sh_identity_from_seed(&x->identity, seed), 0);
    assert_int_equal(sh_noise_static_init(&x->own, &x->identity, &rng), 0);
    secret_add(seed);
    secret_add(x->ephemeral);
    secret_add(x->own.secret);
    sh_quota_init(&x->quota, NULL, SIZE_MAX);
    sh_block_pool_init(&x->pool, &mem, &x->quota, 0);
    struct sh_conn_config cfg = {.mem = &mem,
                                 .quota = &x->quota,
                                 .pool = &x->pool,
                                 .rng = &rng,
                                 .identity = &x->identity,
                                 .noise_static = &x->own,
                                 .dialer = dialer,
                                 .streams_max = 10,
                                 .handshake_us = 1000000};
    struct sh_stack_choice choice = {.ephemeral = x->ephemeral};
    assert_int_equal(sh_stack_new_with(&cfg, &choice, 1, &x->conn), 0);
}

static void side_end(struct side *x)
{
    x->conn->ops->free(x->conn);
    sh_block_pool_fini(&x->pool);
    sh_identity_fini(&x->identity);
    sh_wipe(&x->own, sizeof x->own);
}

/* Moves up to most bytes; how many. */
static size_t bytes_pass(sh_conn *from, sh_conn *to, size_t most)
{
    from->ops->flush(from);
    sh_span out = sh_span_take(from->ops->out(from), most);
    size_t room = 0;
    uint8_t *at = out.n > 0 ? to->ops->room(to, &room) : NULL;
    size_t n = out.n < room ? out.n : room;
    if (n > 0) {
        memcpy(at, out.p, n);
        to->ops->filled(to, n, 1);
        from->ops->sent(from, n);
    }
    return n;
}

static bool up_seen(sh_conn *c)
{
    struct sh_conn_ev ev;
    bool up = false;
    while (c->ops->event(c, &ev, 1)) {
        up = up || ev.kind == SH_CONN_UP;
    }
    return up;
}

/* A connection given up after so many bytes of the handshake each way, and a whole one. */
static void test_stack(void **state)
{
    (void)state;
    bool whole = false;
    for (size_t budget = 0; !whole; budget += 23) {
        struct side a, b;
        bool up_a = false, up_b = false;
        secret_count = found = 0;
        watching = true;
        side_start(&a, true);
        side_start(&b, false);
        size_t left = budget;
        for (size_t n = 1; n > 0;) {
            size_t there = bytes_pass(a.conn, b.conn, left);
            up_b = up_seen(b.conn) || up_b;
            left -= there;
            size_t back = bytes_pass(b.conn, a.conn, left);
            up_a = up_seen(a.conn) || up_a;
            left -= back;
            n = there + back;
        }
        whole = up_a && up_b;
        unsigned before = freed;
        side_end(&a);
        side_end(&b);
        watching = false;
        assert_true(freed > before);
        assert_int_equal(found, 0);
        assert_true(budget < 20000);
    }
}

/* The transport keys: in no block that OpenSSL or we give back. */
static void test_transport_keys(void **state)
{
    (void)state;
    uint8_t ck[32], first[32], second[32];
    secret_count = found = 0;
    sh_rng_fill(&rng, ck, 32);
    assert_int_equal(sh_hkdf_noise(ck, sh_span_none(), first, second, NULL), 0);
    secret_add(ck);
    secret_add(first);
    secret_add(second);
    watching = true;
    sh_noise *x = sh_mem_zalloc(&mem, sizeof *x);
    memcpy(x->ck, ck, 32);
    x->step = 3;
    sh_aead seal = {0}, open = {0};
    assert_int_equal(sh_noise_split(x, &seal, &open), 0);
    uint8_t text[16] = {0}, tag[16];
    assert_int_equal(sh_aead_seal(&seal, 0, sh_span_none(), text, sizeof text, tag), 0);
    unsigned before = freed;
    sh_aead_fini(&seal);
    sh_aead_fini(&open);
    sh_noise_fini(x);
    sh_mem_free(&mem, x, sizeof *x);
    watching = false;
    assert_true(freed > before);
    assert_int_equal(found, 0);
}

/* The watch itself sees a key that was not wiped. */
static void test_watch(void **state)
{
    (void)state;
    uint8_t key[32];
    secret_count = found = 0;
    sh_rng_fill(&rng, key, 32);
    secret_add(key);
    watching = true;
    uint8_t *p = sh_mem_alloc(&mem, 100);
    memset(p, 0, 100);
    memcpy(p + 7, key, 32);
    sh_mem_free(&mem, p, 100);
    watching = false;
    assert_true(found > 0);
}

static void test_equal_ct(void **state)
{
    (void)state;
    assert_true(sh_equal_ct("abc", "abc", 3));
    assert_false(sh_equal_ct("abc", "abd", 3));
    assert_true(sh_equal_ct("x", "y", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_transport_keys),
        cmocka_unit_test(test_equal_ct),
    };
    if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free)) {
        return 1;
    }
    rng = sh_rng_seeded_init(&seeded, 57);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
