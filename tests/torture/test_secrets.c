/* tests/torture/test_secrets.c - no secret is ever said: whatever two nodes log at their most talkative, tell as events, answer
 * and explain, while handshakes succeed and fail and key files are good and bad, holds no part of a key.
 *
 * Secrets are caught where they pass: the identity's seed, both kinds of X25519 secrets, what they agree on, the keys that come
 * from it (linked with --wrap). Eight bytes in a row count, raw, as hex, base64, base58 or base32. */
#include "world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/keys.h"
#include "loopback.h"

enum { SECRETS_MAX = 4000, SAID_MAX = 4 << 20, WINDOW = 8, FORM_MAX = 140 };

static struct {
    uint8_t bytes[32];
    const char *what;
} secrets[SECRETS_MAX];
static size_t secret_count;

static struct {
    char text[SAID_MAX];
    size_t n;
    unsigned lines, events;
} said;

static void caught(const char *what, const uint8_t bytes[32])
{
    for (size_t i = secret_count; i > 0 && i + 64 > secret_count; i--) {
        if (memcmp(secrets[i - 1].bytes, bytes, 32) == 0) {
            return;
        }
    }
    assert_true(secret_count < SECRETS_MAX);
    memcpy(secrets[secret_count].bytes, bytes, 32);
    secrets[secret_count++].what = what;
}

static void say(const void *p, size_t n)
{
    assert_true(said.n + n + 1 < SAID_MAX);
    memcpy(said.text + said.n, n ? p : "", n);
    said.n += n;
    said.text[said.n++] = '\n';
}

/* --- where secrets pass --- */

int __real_sh_identity_from_seed(sh_identity *id, const uint8_t seed[32]);
int __wrap_sh_identity_from_seed(sh_identity *id, const uint8_t seed[32]);
int __wrap_sh_identity_from_seed(sh_identity *id, const uint8_t seed[32])
{
    caught("identity", seed);
    return __real_sh_identity_from_seed(id, seed);
}

int __real_sh_identity_from_private(sh_identity *id, sh_span proto);
int __wrap_sh_identity_from_private(sh_identity *id, sh_span proto);
int __wrap_sh_identity_from_private(sh_identity *id, sh_span proto)
{
    if (proto.n >= 36) {
        caught("key file", proto.p + 4);
    }
    return __real_sh_identity_from_private(id, proto);
}

int __real_sh_x25519_from_random(sh_x25519 *pair, const uint8_t random[32]);
int __wrap_sh_x25519_from_random(sh_x25519 *pair, const uint8_t random[32]);
int __wrap_sh_x25519_from_random(sh_x25519 *pair, const uint8_t random[32])
{
    caught("x25519", random);
    return __real_sh_x25519_from_random(pair, random);
}

int __real_sh_x25519_shared(const sh_x25519 *pair, const uint8_t peer[32], uint8_t out[32]);
int __wrap_sh_x25519_shared(const sh_x25519 *pair, const uint8_t peer[32], uint8_t out[32]);
int __wrap_sh_x25519_shared(const sh_x25519 *pair, const uint8_t peer[32], uint8_t out[32])
{
    int rc = __real_sh_x25519_shared(pair, peer, out);
    if (rc == 0) {
        caught("shared", out);
    }
    return rc;
}

int __real_sh_aead_init(sh_aead *a, const uint8_t key[32], bool seals);
int __wrap_sh_aead_init(sh_aead *a, const uint8_t key[32], bool seals);
int __wrap_sh_aead_init(sh_aead *a, const uint8_t key[32], bool seals)
{
    caught("session key", key);
    return __real_sh_aead_init(a, key, seals);
}

/* --- the search --- */

static const char *const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Digits of p as one large number: base58 as multibase has it, without the leading zeros. */
static size_t in_base58(const uint8_t *p, size_t n, char *out)
{
    uint8_t digits[FORM_MAX] = {0};
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned carry = p[i];
        for (size_t d = 0; d < used || carry; d++) {
            carry += d < used ? digits[d] * 256u : 0;
            digits[d] = (uint8_t)(carry % 58);
            carry /= 58;
            used = d + 1 > used ? d + 1 : used;
        }
    }
    for (size_t i = 0; i < used; i++) {
        out[i] = base58[digits[used - 1 - i]];
    }
    return used;
}

/* Digits of bits, most significant first; no padding. */
static size_t in_bits(const uint8_t *p, size_t n, unsigned bits, const char *digits, char *out)
{
    size_t used = 0;
    for (size_t at = 0; at + bits <= n * 8; at += bits) {
        unsigned digit = 0;
        for (size_t b = at; b < at + bits; b++) {
            digit = digit << 1 | (p[b / 8] >> (7 - b % 8) & 1u);
        }
        out[used++] = digits[digit];
    }
    return used;
}

static bool holds(const void *needle, size_t n)
{
    return memmem(said.text, said.n, needle, n) != NULL;
}

/* A form of some of the secret's bytes. */
static const char *form_said(const uint8_t *p, size_t n)
{
    static const struct {
        unsigned bits;
        const char *digits, *name;
    } forms[] = {
        {4, "0123456789abcdef", "hex"},
        {4, "0123456789ABCDEF", "hex"},
        {5, "abcdefghijklmnopqrstuvwxyz234567", "base32"},
        {5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "base32"},
        {6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "base64"},
        {6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "base64"},
    };
    char text[FORM_MAX];
    if (holds(p, n)) {
        return "raw";
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (holds(text, in_bits(p, n, forms[i].bits, forms[i].digits, text))) {
            return forms[i].name;
        }
    }
    return NULL;
}

/* How a secret is found in what was said, or NULL. Base64 and base32 of something longer have it at any offset. */
static const char *leaked(const uint8_t secret[32])
{
    uint8_t proto[36] = {8, 1, 18, 64};
    char text[FORM_MAX];
    for (size_t at = 0; at + WINDOW + 4 <= 32; at++) {
        const char *form = form_said(secret + at, WINDOW);
        if (form) {
            return form;
        }
    }
    memcpy(proto + 4, secret, 32);
    if (holds(text, in_base58(secret, 32, text)) || holds(text, in_base58(proto, 36, text) - 8)) {
        return "base58";
    }
    return NULL;
}

static void nothing_leaked(void)
{
    for (size_t i = 0; i < secret_count; i++) {
        const char *form = leaked(secrets[i].bytes);
        if (form) {
            fail_msg("a secret (%s) was said, as %s", secrets[i].what, form);
        }
    }
}

/* --- what nodes say --- */

static void on_log(void *ud, int level, const char *text)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT; /* nodes with threads log from them */
    (void)ud, (void)level;
    while (atomic_flag_test_and_set(&busy)) {
    }
    say(text, strlen(text));
    said.lines++;
    atomic_flag_clear(&busy);
}

static void on_event(void *ud, const char *event, shoal_bytes info)
{
    (void)ud;
    on_log(NULL, 0, event);
    say(info.data, info.len);
    said.events++;
}

static shoal_node *node_made(const char *key, const char *allow)
{
    static const char *const all[] = {"all"};
    shoal_node *node = NULL;
    shoal_node_config cfg = loopback_config(0);
    cfg.admin = all;
    cfg.admin_count = 1;
    cfg.key = key;
    cfg.allow = &allow;
    cfg.allow_count = allow != NULL;
    cfg.log_level = SHOAL_LOG_DEBUG;
    cfg.on_log = on_log;
    cfg.on_event = on_event;
    if (shoal_node_new(&cfg, &node) < 0) {
        const char *why = shoal_last_error(NULL);
        assert_true(why[0] != 0);
        say(why, strlen(why));
    }
    return node;
}

static int until(shoal_node *a, shoal_node *b, int64_t id, shoal_result **r)
{
    int code = (int)id;
    for (int i = 0; i < 20000 && id > 0 && !*r; i++) {
        shoal_poll(a, 500, 0);
        shoal_poll(b, 500, 1);
    }
    if (*r) {
        code = (*r)->code;
        say((*r)->text, strlen((*r)->text));
        say((*r)->value.data, (*r)->value.len);
        say((*r)->reason.text ? (*r)->reason.text : "",
            (*r)->reason.text ? strlen((*r)->reason.text) : 0);
    }
    say(shoal_last_error(a), strlen(shoal_last_error(a)));
    shoal_result_free(*r);
    *r = NULL;
    return code;
}

/* A peer that says something else: what it sends is said in no other words than our own. */
static void stranger(shoal_node *a, shoal_node *b, const char *address, const char *text, size_t n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strstr(address, "/tcp/") + 5));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&at, sizeof at), 0);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
    for (int i = 0; i < 50; i++) {
        shoal_poll(a, 500, 0);
        shoal_poll(b, 500, 1);
    }
    close(fd);
}

static void talk(shoal_node *a, shoal_node *b)
{
    static const char junk[] = "\x13/multistream/1.0.0\n\x07/noise\n\0\x20"
                               "an ephemeral key that is nothing";
    static const char *const infos[] = {"node", "actors", "peers", "names", "connections", "dht"};
    char address[200], wrong[260], id[80], text[160];
    shoal_pid pid, far;
    shoal_result *r = NULL;
    assert_true(shoal_address(b, 0, address, sizeof address) > 0);
    assert_true(shoal_peer_id(a, id, sizeof id) > 0);
    assert_int_equal(shoal_spawn(b, &torture_type, NULL, &pid), 0);
    assert_true(shoal_pid_text(b, pid, text, sizeof text) > 0);
    assert_int_equal(shoal_pid_parse(a, text, &far), 0);
    stranger(a, b, address, junk, sizeof junk);
    stranger(a, b, address, junk, 20);
    stranger(a, b, address, "\xff\xff\xff\xff", 4);
    snprintf(wrong, sizeof wrong, "%.*s/p2p/%s", (int)(strstr(address, "/p2p/") - address), address,
             id);
    assert_true(until(a, b, shoal_dial(a, wrong, shoal_keep, &r), &r) < 0); /* not who is there */
    assert_int_equal(until(a, b, shoal_dial(a, address, shoal_keep, &r), &r), 0);
    assert_int_equal(until(a, b, shoal_register(b, pid, "far", shoal_keep, &r), &r), 0);
    assert_int_equal(until(a, b, shoal_lookup(a, "far", 3000, shoal_keep, &r), &r), 0);
    assert_int_equal(until(a, b, shoal_ask(a, far, "echo", t_bytes(70000), 0, shoal_keep, &r), &r),
                     0);
    (void)until(a, b, shoal_ask(a, far, "fail", shoal_nil(), 0, shoal_keep, &r), &r);
    (void)until(a, b, shoal_ask(a, far, "no such", shoal_nil(), 0, shoal_keep, &r), &r);
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        (void)until(a, b, shoal_info(a, infos[i], NULL, shoal_keep, &r), &r);
    }
    (void)until(a, b, shoal_stop(a, far, shoal_keep, &r), &r);
}

static void written(const char *path, const void *bytes, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* A key file spoilt in each way: no node, and its bytes are in no sentence. */
static void bad_keys(const char *path)
{
    uint8_t good[128], bad[128];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, good, sizeof good);
    close(fd);
    assert_true(n == SH_ED25519_PRIVATE_BYTES);
    for (ssize_t i = 0; i < n; i += 5) {
        memcpy(bad, good, sizeof bad);
        bad[i] ^= 0x40;
        written(path, bad, (size_t)n, 0600);
        shoal_node_free(node_made(path, NULL));
        written(path, good, (size_t)i, 0600);
        assert_null(node_made(path, NULL));
    }
    written(path, good, (size_t)n, 0644);
    assert_null(node_made(path, NULL));
}

static void test_nothing_is_said(void **state)
{
    (void)state;
    char folder[] = "/tmp/shoal-secret-XXXXXX", key[64], id[80];
    shoal_result *r = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(key, sizeof key, "%s/key", folder);
    shoal_node *a = node_made(key, NULL), *b = node_made(NULL, NULL);
    talk(a, b);
    assert_true(shoal_peer_id(b, id, sizeof id) > 0);
    shoal_node *closed = node_made(NULL, id); /* for b alone */
    char address[200];
    assert_true(shoal_address(closed, 0, address, sizeof address) > 0);
    (void)until(a, closed, shoal_dial(a, address, shoal_keep, &r), &r);
    assert_int_equal(until(b, closed, shoal_dial(b, address, shoal_keep, &r), &r), 0);
    (void)until(a, b, shoal_node_stop(a, 0, shoal_keep, &r), &r);
    shoal_node_free(closed);
    shoal_node_free(a);
    shoal_node_free(b);
    bad_keys(key);
    unlink(key);
    rmdir(folder);
    print_message("  %zu secrets, %zu bytes said in %u lines and events\n", secret_count, said.n,
                  said.lines);
    assert_true(secret_count > 20 && said.lines > 20 && said.events > 3);
    nothing_leaked();
}

/* The search sees each form, whole and in part. */
static void test_search_sees(void **state)
{
    (void)state;
    uint8_t key[36] = {8, 1, 18, 64};
    char text[FORM_MAX];
    for (int i = 0; i < 32; i++) {
        key[4 + i] = (uint8_t)(77 * i + 131);
    }
    const char *base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int form = 0; form < 7; form++) {
        said.n = 0;
        switch (form) {
        case 0: say(key + 4, 12); break;
        case 1: say(text, in_bits(key + 20, 12, 4, "0123456789abcdef", text)); break;
        case 2: say(text, in_bits(key, 36, 6, base64, text)); break;
        case 3: say(text, in_bits(key + 4, 32, 6, base64, text)); break;
        case 4: say(text, in_bits(key + 3, 33, 6, base64, text)); break;
        case 5: say(text, in_base58(key + 4, 32, text)); break;
        case 6: say(text, in_base58(key, 36, text)); break;
        }
        if (!leaked(key + 4)) {
            fail_msg("form %d is not seen", form);
        }
    }
    said.n = 0;
    say("12D3KooWGUjDWcQeCm1DJfMZNUEpcHzrmqMysPYNT2CNmV5WfiJV", 52);
    assert_null(leaked(key + 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_said),
        cmocka_unit_test(test_search_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
