/* tests/unit/proto/test_mss.c - multistream-select: agreement, refusal, garbage, any split. */
#include "../base/check.h"

#include "base/sh_limits.h"
#include "proto/mss.h"

#define HEADER "\x13/multistream/1.0.0\n"

static const char *const PROTOCOLS[] = {"/yamux/1.0.0", "/noise", "/ipfs/ping/1.0.0",
                                        "/ipfs/id/1.0.0"};

enum split { WHOLE, BYTES, RANDOM, SPLITS };

struct talk {
    char sent[4096]; /* what the machine wrote */
    size_t sent_n;
    size_t eaten;
};

static void drain(sh_mss *m, struct talk *t)
{
    for (sh_span out = sh_mss_out(m); out.n > 0; out = sh_mss_out(m)) {
        assert_true(t->sent_n + out.n <= sizeof t->sent);
        memcpy(t->sent + t->sent_n, out.p, out.n);
        t->sent_n += out.n;
        sh_mss_sent(m, out.n);
    }
}

static void feed(sh_mss *m, struct talk *t, const char *text, size_t n, enum split split,
                 sh_rng *rng)
{
    drain(m, t);
    for (size_t at = 0; at < n;) {
        size_t piece = split == WHOLE ? n - at : split == BYTES ? 1 : 1 + sh_rng_below(rng, n - at);
        size_t done = 0;
        while (done < piece) {
            size_t ate = sh_mss_recv(m, sh_span_of(text + at + done, piece - done));
            bool had = sh_mss_out(m).n > 0;
            drain(m, t);
            done += ate;
            if (ate == 0 && !had) {
                t->eaten = at + done;
                return;
            }
        }
        at += piece;
        t->eaten = at;
    }
}

struct row {
    const char *name;
    bool dialer;
    const char *in;
    const char *out;
    enum sh_mss_state state;
    int chosen;
    size_t left; /* bytes of the next layer, not eaten */
    size_t n;    /* of in, if it has zero bytes */
};

static const struct row ROWS[] = {
    {"accepted", true, HEADER "\x0d/yamux/1.0.0\n", HEADER "\x0d/yamux/1.0.0\n", SH_MSS_ACCEPTED, 0,
     0, 0},
    {"payload behind", true, HEADER "\x0d/yamux/1.0.0\n\x07/noise\n", HEADER "\x0d/yamux/1.0.0\n",
     SH_MSS_ACCEPTED, 0, 8, 0},
    {"second one", true, HEADER "\x03na\n\x07/noise\n", HEADER "\x0d/yamux/1.0.0\n\x07/noise\n",
     SH_MSS_ACCEPTED, 1, 0, 0},
    {"all refused", true, HEADER "\x03na\n\x03na\n\x03na\n\x03na\n",
     HEADER "\x0d/yamux/1.0.0\n\x07/noise\n\x11/ipfs/ping/1.0.0\n\x0f/ipfs/id/1.0.0\n",
     SH_MSS_REFUSED, 0, 0, 0},
    {"no header", true, "\x0d/yamux/1.0.0\n", HEADER "\x0d/yamux/1.0.0\n", SH_MSS_FAULT, 0, 0, 0},
    {"another answer", true, HEADER "\x07/noise\n", HEADER "\x0d/yamux/1.0.0\n", SH_MSS_FAULT, 0, 0,
     0},
    {"listener", false, HEADER "\x07/noise\n", HEADER "\x07/noise\n", SH_MSS_ACCEPTED, 1, 0, 0},
    {"lazy", false, HEADER "\x07/noise\n\x00 x", HEADER "\x07/noise\n", SH_MSS_ACCEPTED, 1, 3,
     20 + 8 + 3},
    {"unknown, then known", false, HEADER "\x05/tls\n\x11/ipfs/ping/1.0.0\n",
     HEADER "\x03na\n\x11/ipfs/ping/1.0.0\n", SH_MSS_ACCEPTED, 2, 0, 0},
    {"ls", false, HEADER "\x03ls\n\x07/noise\n", HEADER "\x03na\n\x07/noise\n", SH_MSS_ACCEPTED, 1,
     0, 0},
    {"a prefix is not it", false, HEADER "\x06/nois\n", HEADER "\x03na\n", SH_MSS_RUNNING, 0, 0, 0},
    {"na is no proposal", false, HEADER "\x03na\n", HEADER "\x03na\n", SH_MSS_RUNNING, 0, 0, 0},
    {"empty line", false, HEADER "\x01\n", HEADER "\x03na\n", SH_MSS_RUNNING, 0, 0, 0},
    {"payload of a refused optimist", false, HEADER "\x05/tls\n\xff\xff\xff", HEADER "\x03na\n",
     SH_MSS_REFUSED, 0, 1, 0},
    {"not minimal", false, HEADER "\x87\x00/noise\n", HEADER, SH_MSS_FAULT, 0, 0, 20 + 2 + 7},
    {"three bytes of length", false, HEADER "\x87\x80/noise\n", HEADER, SH_MSS_FAULT, 0, 7, 0},
    {"http", false,
     "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", "",
     SH_MSS_FAULT, 0, 0, 0},
    {"no newline", false, "\x13/multistream/1.0.0 ", "", SH_MSS_FAULT, 0, 0, 0},
    {"too long", false, HEADER "\xff\x7fx", HEADER, SH_MSS_FAULT, 0, 1, 0},
};

static void test_rows(void **state)
{
    (void)state;
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct row *row = &ROWS[i];
        size_t n = row->n > 0 ? row->n : strlen(row->in);
        for (unsigned round = 0; round < 20; round++) {
            struct talk t = {0};
            sh_mss m;
            if (row->dialer) {
                sh_mss_dialer(&m, PROTOCOLS, COUNT(PROTOCOLS));
            } else {
                sh_mss_listener(&m, PROTOCOLS, COUNT(PROTOCOLS));
            }
            feed(&m, &t, row->in, n, round < 2 ? (enum split)round : RANDOM, &rng);
            if (sh_mss_state(&m) != row->state || strcmp(t.sent, row->out) != 0) {
                print_error("row %s, round %u: state %d, sent %s\n", row->name, round,
                            (int)sh_mss_state(&m), t.sent);
            }
            assert_int_equal(sh_mss_state(&m), row->state);
            assert_string_equal(t.sent, row->out);
            if (row->state == SH_MSS_ACCEPTED) {
                assert_int_equal(sh_mss_chosen(&m), row->chosen);
                assert_int_equal(n - t.eaten, row->left);
            }
        }
    }
}

/* The reply that waits stops the reading: answers cannot pile up. */
static void test_waits_for_drain(void **state)
{
    (void)state;
    const char in[] = HEADER "\x05/tls\n\x05/tls\n";
    sh_mss m;
    sh_mss_listener(&m, PROTOCOLS, 1);
    size_t n = sh_mss_recv(&m, sh_span_of(in, sizeof in - 1));
    assert_int_equal(n, 20 + 6);
    assert_int_equal(sh_mss_recv(&m, sh_span_of(in + n, 6)), 0);
    struct talk t = {0};
    drain(&m, &t);
    assert_int_equal(sh_mss_recv(&m, sh_span_of(in + n, 6)), 6);
}

static void test_tries(void **state)
{
    (void)state;
    struct talk t = {0};
    sh_mss m;
    sh_mss_listener(&m, PROTOCOLS, COUNT(PROTOCOLS));
    feed(&m, &t, HEADER, 20, WHOLE, NULL);
    for (unsigned i = 0; i < SH_MSS_TRIES_MAX; i++) {
        assert_int_equal(sh_mss_state(&m), SH_MSS_RUNNING);
        feed(&m, &t, "\x05/tls\n", 6, BYTES, NULL);
    }
    assert_int_equal(sh_mss_state(&m), SH_MSS_REFUSED);
}

static void test_long_names(void **state)
{
    (void)state;
    char name[SH_MSS_LINE_MAX];
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[SH_MSS_LINE_MAX - 1] = 0;
    const char *const list[] = {name};
    sh_mss dialer, listener;
    struct talk a = {0}, b = {0};
    sh_mss_dialer(&dialer, list, 1);
    sh_mss_listener(&listener, list, 1);
    drain(&dialer, &a);
    feed(&listener, &b, a.sent, a.sent_n, BYTES, NULL);
    feed(&dialer, &a, b.sent, b.sent_n, BYTES, NULL);
    assert_int_equal(sh_mss_state(&dialer), SH_MSS_ACCEPTED);
    assert_int_equal(sh_mss_state(&listener), SH_MSS_ACCEPTED);
}

/* SH_MSS_LINE_MAX: the length of a line says enough. A listener answers na to the longest. */
static void test_long_lines(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        unsigned n = SH_MSS_LINE_MAX + over;
        char line[2 + SH_MSS_LINE_MAX + 1] = {(char)(n | 0x80), (char)(n >> 7)};
        struct talk t = {0};
        sh_mss m;
        memset(line + 2, 'x', n - 1);
        line[2 + n - 1] = '\n';
        sh_mss_listener(&m, PROTOCOLS, 1);
        feed(&m, &t, HEADER, sizeof HEADER - 1, WHOLE, NULL);
        feed(&m, &t, line, 2, WHOLE, NULL);
        assert_int_equal(sh_mss_state(&m), over ? SH_MSS_FAULT : SH_MSS_RUNNING);
        feed(&m, &t, line + 2, n, BYTES, NULL);
        assert_int_equal(sh_mss_state(&m), over ? SH_MSS_FAULT : SH_MSS_RUNNING);
        assert_int_equal(t.sent_n, sizeof HEADER - 1 + (over ? 0 : 4));
    }
}

static void test_eof(void **state)
{
    (void)state;
    struct talk t = {0};
    sh_mss m;
    sh_mss_dialer(&m, PROTOCOLS, 1);
    sh_mss_eof(&m);
    assert_int_equal(sh_mss_state(&m), SH_MSS_REFUSED);
    sh_mss_listener(&m, PROTOCOLS, 1);
    sh_mss_eof(&m);
    assert_int_equal(sh_mss_state(&m), SH_MSS_FAULT);
    sh_mss_listener(&m, PROTOCOLS, 1);
    feed(&m, &t, HEADER "\x05/tls\n", 26, WHOLE, NULL);
    sh_mss_eof(&m);
    assert_int_equal(sh_mss_state(&m), SH_MSS_REFUSED);
    assert_true(sizeof(sh_mss) <= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_waits_for_drain),
        cmocka_unit_test(test_tries), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_eof),   cmocka_unit_test(test_long_lines),
    };
    return RUN(tests);
}
