/* tests/torture/test_interrupts.c - a call that says "again" or does only a part is no failure: whatever call of the driver's
 * table is interrupted, refused for now or cut short, and however often, no ask fails, no tell is lost, no connection ends and
 * no line is logged. */
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "broken.h"
#include "loopback.h"
#include "process.h"

enum { SHORT = -1, PATIENCE_S = 20, TELLS = 20, ASKS = 8 };

/* What each call may answer without having failed. The others: when the manual knows neither. */
static const struct {
    int again[3];
    const char *never;
} rows[SITE_COUNT] = {
    [AT_socket] = {{0}, "does not wait"},
    [AT_bind] = {{0}, "does not wait"},
    [AT_listen] = {{0}, "does not wait"},
    [AT_accept4] = {{EINTR, EAGAIN}, NULL},
    [AT_connect] = {{EINTR}, NULL}, /* EAGAIN is of local sockets */
    [AT_getsockname] = {{0}, "does not wait"},
    [AT_setsockopt] = {{0}, "does not wait"},
    [AT_getsockopt] = {{0}, "does not wait"},
    [AT_recv] = {{EINTR, EAGAIN, SHORT}, NULL},
    [AT_send] = {{EINTR, EAGAIN, SHORT}, NULL},
    [AT_recvfrom] = {{EINTR, EAGAIN}, NULL},
    [AT_sendmsg] = {{EINTR, EAGAIN}, NULL},
    [AT_shutdown] = {{0}, "does not wait"},
    [AT_close] = {{EINTR}, NULL},
    [AT_spare] = {{EINTR}, NULL},
    [AT_eventfd] = {{0}, "does not wait"},
    [AT_read] = {{EINTR, EAGAIN}, NULL},
    [AT_write] = {{EINTR, EAGAIN}, NULL},
    [AT_poll] = {{EINTR, EAGAIN}, NULL},
    [AT_getrandom] = {{EINTR, SHORT}, NULL}, /* EAGAIN is of GRND_NONBLOCK, not asked for */
    [AT_yield] = {{0}, "has no error"},
    [AT_now_us] = {{0}, "has no error"},
};

struct talk {
    shoal_node *node[2];
    shoal_pid far;
    int dns;
    bool ends; /* a stop was asked for: peers may go */
};

static char said[300]; /* the first thing said that should not have been */

static void broke(const char *what, int code)
{
    fail_msg("%s: %s every %ld, %ld failed: %s: %s %s", broken_name(),
             broken.err ? strerrorname_np(broken.err) : "short", (long)broken.every,
             (long)broken.failed, what, shoal_code_name(code), said);
}

static void on_log(void *ud, int level, const char *text)
{
    (void)ud;
    if (level <= SHOAL_LOG_WARN && !said[0]) {
        snprintf(said, sizeof said, "%s", text);
    }
}

static void on_event(void *ud, const char *event, shoal_bytes info)
{
    const struct talk *t = ud;
    (void)info;
    if (!t->ends && strcmp(event, "listening") != 0 && strcmp(event, "peer_up") != 0 && !said[0]) {
        snprintf(said, sizeof said, "event %s", event);
    }
}

/* Answers a question for any name with this host's address. */
static void name_server(int fd)
{
    uint8_t m[600];
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    ssize_t got = recvfrom(fd, m, 512, MSG_DONTWAIT, (struct sockaddr *)(void *)&from, &n);
    if (got < 17) {
        return;
    }
    static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    size_t end = 12;
    while (m[end]) {
        end += m[end] + 1u;
    }
    end += 5;
    m[2] = 0x84; /* an answer, of who knows */
    m[3] = 0;
    m[7] = m[end - 3] == 1;   /* an IPv4 address was asked for */
    m[9] = m[10] = m[11] = 0; /* nothing else, whatever came with the question */
    memcpy(m + end, answer, sizeof answer);
    (void)sendto(fd, m, end + (m[7] ? sizeof answer : 0), 0, (struct sockaddr *)(void *)&from, n);
}

static shoal_result *until(struct talk *t, int64_t id, shoal_result **r, const char *what)
{
    double end = now_s() + PATIENCE_S;
    if (id < 0) {
        broke(what, (int)id);
    }
    while (!*r) {
        if (now_s() > end) {
            broke(what, SHOAL_E_TIMEOUT);
        }
        shoal_poll(t->node[0], 500, 0);
        shoal_poll(t->node[1], 500, 1);
        name_server(t->dns);
    }
    if ((*r)->code < 0 || said[0]) {
        broke(what, (*r)->code);
    }
    return *r;
}

static void node_made(struct talk *t, int i, uint32_t threads)
{
    shoal_node_config cfg = loopback_config(threads);
    cfg.on_log = on_log;
    cfg.on_event = on_event;
    cfg.event_ud = t;
    cfg.ask_timeout_ms = PATIENCE_S * 1000;
    int code = shoal_node_new(&cfg, &t->node[i]);
    if (code < 0) {
        broke("new", code);
    }
}

/* Found by a name that a name server has to be asked for. */
static void dialled(struct talk *t)
{
    char address[200], named[240];
    shoal_result *r = NULL;
    assert_true(shoal_address(t->node[1], 0, address, sizeof address) > 0);
    snprintf(named, sizeof named, "/dns4/torture.example%s", strstr(address, "/tcp/"));
    shoal_result_free(until(t, shoal_dial(t->node[0], named, shoal_keep, &r), &r, "dial"));
}

static void asked(struct talk *t, size_t count, size_t bytes)
{
    shoal_result *r[ASKS] = {NULL};
    int64_t id[ASKS];
    for (size_t i = 0; i < count; i++) {
        id[i] = shoal_ask(t->node[0], t->far, "echo", t_bytes(bytes), 0, shoal_keep, &r[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (until(t, id[i], &r[i], "ask")->value.len != bytes + 5) {
            broke("another value came back", 0);
        }
        shoal_result_free(r[i]);
    }
}

static void told(struct talk *t)
{
    shoal_result *r = NULL;
    int64_t count = 0;
    for (int i = 0; i < TELLS; i++) {
        int code = shoal_tell(t->node[0], t->far, "inc", shoal_nil());
        if (code < 0) {
            broke("tell", code);
        }
    }
    until(t, shoal_ask(t->node[0], t->far, "inc", shoal_nil(), 0, shoal_keep, &r), &r, "count");
    if (shoal_as_i64(r->value, &count) < 0 || count != TELLS + 1) {
        broke("tells were lost or came twice", (int)count);
    }
    shoal_result_free(r);
}

static void conversation(uint32_t threads, int dns)
{
    struct talk t = {.dns = dns};
    shoal_pid pid;
    char text[160];
    said[0] = 0;
    node_made(&t, 0, threads);
    node_made(&t, 1, threads);
    assert_int_equal(shoal_spawn(t.node[1], &torture_type, NULL, &pid), 0);
    assert_true(shoal_pid_text(t.node[1], pid, text, sizeof text) > 0);
    dialled(&t);
    assert_int_equal(shoal_pid_parse(t.node[0], text, &t.far), 0);
    asked(&t, ASKS, 40);
    told(&t);
    asked(&t, 1, broken.most && broken.most < 100 ? 1000 : 100000);
    shoal_result *r = NULL;
    t.ends = true;
    shoal_result_free(until(&t, shoal_node_stop(t.node[0], 0, shoal_keep, &r), &r, "stop"));
    shoal_node_free(t.node[0]);
    shoal_node_free(t.node[1]);
    if (said[0]) {
        broke("said", 0);
    }
}

/* A socket that answers for the host's name server. */
static int name_server_made(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&at, &n), 0);
    broken.dns_port = ntohs(at.sin_port);
    return fd;
}

/* One call of the life, alone or with those after it, then each other and each third. SHORT: a byte at a time, then seven. */
static unsigned site_walk(enum site site, int again, long calls, uint32_t threads, int dns)
{
    unsigned lives = 0;
    if (again == SHORT) {
        static const size_t most[] = {1, 7, 1000};
        for (size_t i = site == AT_getrandom ? 0 : 1; i < 3; i++, lives++) {
            break_at(site, 0, 1, 0);
            broken.most = most[i];
            broken.most_here = true;
            conversation(threads, dns);
        }
        broken.most = 0;
        broken.most_here = false;
        return lives;
    }
    for (long nth = 1; nth <= calls; nth++, lives++) {
        break_at(site, again, nth, nth % 2 == 0 ? 1 : again == EINTR ? 5 : 2);
        conversation(threads, dns);
    }
    for (long every = 2; every <= 3; every++, lives++) {
        break_every(site, again, every);
        conversation(threads, dns);
        if (calls >= every && !broken.failed) {
            broke("was never broken", 0);
        }
    }
    return lives;
}

static void walk(uint32_t threads, long most)
{
    int dns = name_server_made();
    double begun = now_s();
    unsigned lives = 0;
    long calls[SITE_COUNT];
    break_at(AT_now_us, 0, 1, 0);
    conversation(threads, dns);
    for (int s = 0; s < SITE_COUNT; s++) {
        calls[s] = broken.calls[s] < most ? broken.calls[s] : most;
    }
    for (int s = 0; s < SITE_COUNT; s++) {
        if (!rows[s].again[0] == !rows[s].never || (!rows[s].never && calls[s] == 0)) {
            fail_msg("%s: no case, or never called", broken_site_name((enum site)s));
        }
        for (int e = 0; e < 3 && rows[s].again[e]; e++) {
            lives += site_walk((enum site)s, rows[s].again[e], calls[s], threads, dns);
        }
    }
    close(dns);
    print_message("  threads %u: %u conversations, %.1f s\n", threads, lives, now_s() - begun);
}

static void test_inline(void **state)
{
    (void)state;
    walk(0, 12);
}

static void test_threaded(void **state)
{
    (void)state;
    walk(1, 3);
}

static atomic_int alarms;

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

/* Real signals, as fast as they come, that interrupt calls of libuv and the C library too. */
static void test_signals(void **state)
{
    (void)state;
    int dns = name_server_made();
    struct sigaction act = {.sa_handler = on_alarm}, old;
    struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    break_at(AT_now_us, 0, 1, 0);
    assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &fast, NULL), 0);
    for (uint32_t i = 0; i < 20; i++) {
        conversation(i % 2, dns);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    assert_true(alarms > 20);
    print_message("  %d signals in 20 conversations\n", alarms);
    close(dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_threaded),
        cmocka_unit_test(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
