/* tests/torture/test_calls.c - every system call of the driver's table fails in every way it can, at each of its first calls,
 * in a life of two nodes over loopback: what was asked ends, what is tried again works, no descriptor and no time is lost. */
#include "world.h"

#include "broken.h"
#include "loopback.h"
#include "process.h"

#include <errno.h>

static const int errors[SITE_COUNT][8] = {
    [AT_socket] = {EMFILE, ENFILE, ENOBUFS, ENOMEM},
    [AT_bind] = {EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM},
    [AT_listen] = {EADDRINUSE, ENOBUFS},
    [AT_accept4] = {EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM},
    [AT_connect] = {EINTR, EAGAIN, ECONNREFUSED, ECONNRESET, EADDRNOTAVAIL, ENOBUFS, ETIMEDOUT},
    [AT_getsockname] = {ENOBUFS},
    [AT_setsockopt] = {ENOMEM, ENOBUFS},
    [AT_getsockopt] = {ENOBUFS},
    [AT_recv] = {EINTR, EAGAIN, ECONNRESET, ENOMEM, ETIMEDOUT},
    [AT_send] = {EINTR, EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM},
    [AT_recvfrom] = {EINTR, EAGAIN, ECONNREFUSED},
    [AT_sendmsg] = {EINTR, EAGAIN, ENOBUFS},
    [AT_shutdown] = {ENOTCONN, ENOBUFS},
    [AT_close] = {EINTR, EIO},
    [AT_spare] = {EMFILE, ENFILE, ENOMEM},
    [AT_eventfd] = {EMFILE, ENFILE, ENOMEM},
    [AT_read] = {EINTR, EAGAIN},
    [AT_write] = {EINTR, EAGAIN},
    [AT_poll] = {EINTR, ENOMEM},
    [AT_getrandom] = {EINTR, EAGAIN, ENOSYS},
    [AT_yield] = {EINTR},
    [AT_now_us] = {EINTR}, /* has no error: the life runs as it is */
};

/* --- a life --- */

static void die(const char *what, int code)
{
    fail_msg("%s %s, %ld failed: %s: %s", broken_name(), strerrorname_np(broken.err),
             (long)broken.failed, what, shoal_code_name(code));
}

static shoal_node *node_made(uint32_t threads)
{
    shoal_node *node = NULL;
    for (int tries = 0; tries < 40 && !node; tries++) {
        shoal_node_config cfg = loopback_config(threads);
        cfg.log_level = SHOAL_LOG_OFF;
        cfg.ask_timeout_ms = 1000;
        cfg.stop_timeout_ms = 500;
        int code = shoal_node_new(&cfg, &node);
        if (code < 0 && ((code != SHOAL_E_LIMIT && code != SHOAL_E_BAD_ADDRESS &&
                          code != SHOAL_E_UNREACHABLE) ||
                         node || !broken.failed || !shoal_last_error(NULL)[0])) {
            die("new", code);
        }
    }
    if (!node) {
        die("never born", 0);
    }
    return node;
}

struct life {
    shoal_node *a, *b;
    shoal_pid far;
    char address[200];
};

static int until(struct life *l, shoal_result **r, const char *what)
{
    double end = now_s() + 15;
    while (!*r) {
        if (now_s() > end) {
            die(what, SHOAL_E_TIMEOUT);
        }
        shoal_poll(l->a, 500, 0);
        shoal_poll(l->b, 500, 1);
    }
    int code = (*r)->code;
    shoal_result_free(*r);
    *r = NULL;
    return code;
}

static bool dialled(struct life *l)
{
    for (int tries = 0; tries < 40; tries++) {
        shoal_result *r = NULL;
        int64_t id = shoal_dial(l->a, l->address, shoal_keep, &r);
        int code = id < 0 ? (int)id : until(l, &r, "dial");
        if (code == 0) {
            return true;
        }
        if (!broken.failed ||
            (code != SHOAL_E_LIMIT && code != SHOAL_E_UNREACHABLE && code != SHOAL_E_TIMEOUT &&
             code != SHOAL_E_BAD_ADDRESS && code != SHOAL_E_REFUSED)) {
            die("dial", code);
        }
    }
    return false;
}

/* Tried again until it works: what was broken heals. */
static void asked(struct life *l, size_t n)
{
    for (int tries = 0; tries < 40; tries++) {
        shoal_result *r = NULL;
        int64_t id = shoal_ask(l->a, l->far, "echo", t_bytes(n), 0, shoal_keep, &r);
        int code = id < 0 ? (int)id : until(l, &r, "ask");
        if (code == 0) {
            return;
        }
        if (!broken.failed ||
            (code != SHOAL_E_UNREACHABLE && code != SHOAL_E_TIMEOUT && code != SHOAL_E_LIMIT)) {
            die("ask", code);
        }
        if (!dialled(l)) {
            die("dial again", code);
        }
    }
    die("ask never answered", 0);
}

static void life_begin(struct life *l, uint32_t threads)
{
    shoal_pid pid;
    char text[160];
    l->b = node_made(threads);
    l->a = node_made(threads);
    assert_int_equal(shoal_spawn(l->b, &torture_type, NULL, &pid), 0);
    assert_true(shoal_pid_text(l->b, pid, text, sizeof text) > 0);
    assert_true(shoal_address(l->b, 0, l->address, sizeof l->address) > 0);
    assert_int_equal(shoal_pid_parse(l->a, text, &l->far), 0);
    if (!dialled(l)) {
        die("dial", 0);
    }
}

static void life(uint32_t threads)
{
    struct life l;
    int fds = open_fds();
    double begun = now_s();
    life_begin(&l, threads);
    asked(&l, 40);
    asked(&l, 100000);
    shoal_result *r = NULL;
    int64_t id = shoal_node_stop(l.a, 0, shoal_keep, &r);
    if (id < 0) {
        die("stop", (int)id);
    }
    (void)until(&l, &r, "stop");
    shoal_node_free(l.a);
    shoal_node_free(l.b);
    double took_ms = (now_s() - begun) * 1000;
    long looked = broken.calls[AT_poll] + broken.calls[AT_recv] + broken.calls[AT_send] +
                  broken.calls[AT_accept4];
    if ((double)looked > 5000 + took_ms * 400) {
        fail_msg("%s %s: %ld calls in %.0f ms", broken_name(), strerrorname_np(broken.err), looked,
                 took_ms);
    }
    if (open_fds() != fds) {
        fail_msg("%s %s: %d descriptors before, %d after", broken_name(),
                 strerrorname_np(broken.err), fds, open_fds());
    }
}

static void walk(uint32_t threads, long nth_max)
{
    unsigned long lives = 0, hit = 0;
    long base[SITE_COUNT];
    double begun = now_s();
    break_at(AT_now_us, 0, 1, 0);
    life(threads);
    for (int s = 0; s < SITE_COUNT; s++) {
        base[s] = broken.calls[s];
    }
    for (int s = 0; s < SITE_COUNT; s++) {
        assert_true(errors[s][0] != 0);
        for (int e = 0; e < 8 && errors[s][e]; e++) {
            long most = base[s] < nth_max ? base[s] : nth_max;
            for (long nth = 1; nth <= (most ? most : 1); nth++) {
                break_at((enum site)s, errors[s][e], nth, nth % 3 == 0 ? 6 : 1);
                broken.most = nth % 2 ? 1000 : 0;
                life(threads);
                lives++;
                hit += broken.failed > 0;
            }
        }
    }
    broken.most = 0;
    print_message("  threads %u: %d calls, %lu lives, a call failed in %lu, %.1f s\n", threads,
                  SITE_COUNT, lives, hit, now_s() - begun);
    assert_true(hit > lives / 2);
}

static void test_inline(void **state)
{
    (void)state;
    walk(0, 6);
}

static void test_threaded(void **state)
{
    (void)state;
    walk(1, 2);
}

/* No descriptor for who knocks: the others go on, nothing spins, and the door opens when there are some again. */
static void test_accept_starves(void **state)
{
    (void)state;
    struct life l;
    shoal_result *r = NULL;
    break_at(AT_accept4, 0, 1, 0);
    life_begin(&l, 0);
    shoal_node *c = node_made(0);
    break_at(AT_accept4, EMFILE, 1, 1000000);
    assert_true(shoal_dial(c, l.address, shoal_keep, &r) > 0);
    double end = now_s() + 0.5;
    unsigned long rounds = 0;
    while (now_s() < end) {
        shoal_result *answer = NULL;
        assert_true(shoal_ask(l.a, l.far, "echo", t_bytes(100), 0, shoal_keep, &answer) > 0);
        assert_int_equal(until(&l, &answer, "ask"), 0);
        shoal_poll(c, 100, 0);
        rounds++;
    }
    assert_true(rounds > 10);
    assert_in_range(broken.calls[AT_accept4], 1, 30); /* it rests 100 ms */
    break_at(AT_accept4, 0, 1, 0);
    double begun = now_s();
    while (!r && now_s() < begun + 15) {
        shoal_poll(c, 500, 0);
        shoal_poll(l.b, 500, 1);
    }
    assert_non_null(r);
    assert_int_equal(r->code, 0);
    shoal_result_free(r);
    shoal_node_free(c);
    shoal_node_free(l.a);
    shoal_node_free(l.b);
}

/* Randomness fails at each call of a birth: no node. After it: no handshake, until it is back. */
static void test_no_randomness(void **state)
{
    (void)state;
    break_at(AT_getrandom, 0, 1, 0);
    shoal_node_free(node_made(0));
    long all = broken.calls[AT_getrandom];
    assert_true(all > 5);
    for (long k = 1; k <= all; k++) {
        shoal_node *node = NULL;
        break_at(AT_getrandom, ENOSYS, k, 1);
        assert_int_equal(shoal_node_new(NULL, &node), SHOAL_E_LIMIT);
        assert_null(node);
        assert_non_null(strstr(shoal_last_error(NULL), "randomness"));
    }
    struct life l;
    break_at(AT_getrandom, 0, 1, 0);
    life_begin(&l, 0);
    shoal_node *c = node_made(0);
    break_at(AT_getrandom, ENOSYS, 1, 1000000);
    shoal_result *r = NULL;
    assert_true(shoal_dial(c, l.address, shoal_keep, &r) > 0);
    struct life between = {.a = c, .b = l.b};
    assert_true(until(&between, &r, "dial") < 0);
    assert_true(broken.failed > 0);
    break_at(AT_getrandom, 0, 1, 0);
    memcpy(between.address, l.address, sizeof l.address);
    assert_true(dialled(&between));
    shoal_node_free(c);
    shoal_node_free(l.a);
    shoal_node_free(l.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_randomness),
        cmocka_unit_test(test_accept_starves),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_threaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
