/* tests/unit/remote/test_chaos.c - seeded random traffic between two nodes while connections are cut at any byte and
 * nodes freeze and restart: what was promised holds. */
#include "harness.h"

/* An ask that is answered or never is, and is cancelled now and then. */
static void ask_something(struct harness *h, sh_rng *rng, sh_pid to, bool answered, uint32_t number)
{
    int64_t call;
    h_ask(h, 0, to, answered ? "n" : "never", number, 20 + (unsigned)sh_rng_below(rng, 300), &call);
    if (call > 0 && sh_rng_below(rng, 4) == 0) {
        h_run(h, (unsigned)sh_rng_below(rng, 4));
        sh_runtime_cancel(h->node[0].rt, TOKEN, call);
    }
}

/* Node 1 ends and begins again, with a new actor; its own asks have ended. */
static sh_pid restart(struct harness *h)
{
    h_stop(h, 1);
    for (size_t k = 0; k < h->asks_n; k++) {
        assert_true(h->asks[k].node != &h->node[1] || h->asks[k].ends == 1);
    }
    h_start(h, 1);
    return h_spawn(h, 1);
}

/* Nothing was lost in silence; every ask ended once, and none that "was not sent" has run. */
static void compare(const struct harness *h, uint32_t sent)
{
    const struct h_node *n = &h->node[1];
    assert_true(n->seen_n + h->node[0].lost >= sent); /* loss is told */
    for (size_t i = 0; i < h->asks_n; i++) {
        const struct ask_note *x = &h->asks[i];
        assert_int_equal(x->ends, 1);
        bool not_sent = x->code < 0 && x->delivery == SH_NOT_SENT;
        assert_true(x->node != &h->node[0] || !not_sent || n->asked[x->number] == 0);
        assert_true(x->node != &h->node[0] || n->asked[x->number] <= 1);
    }
}

/* Random traffic, cuts, freezes and restarts: order, at most once, every ask ends once, no silent loss. */
static void chaos(uint64_t seed, bool restarts)
{
    struct harness *h = h_new(seed, 2);
    sh_rng_seeded s;
    sh_rng rng = sh_rng_seeded_init(&s, seed * 7919);
    h->net->piece = 1 + (size_t)sh_rng_below(&rng, 300);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), ab = h_pid(h, 0, 1, b), ba = h_pid(h, 1, 0, a);
    uint32_t sent = 0, number = 0;
    for (int i = 0; i < 400; i++) {
        uint64_t what = sh_rng_below(&rng, 100);
        if (what < 50) {
            for (uint64_t k = sh_rng_below(&rng, 30); k-- > 0;) {
                sent += h_tell(h, 0, ab, sent + 1) == 0;
            }
        } else if (what < 75) {
            ask_something(h, &rng, ab, what < 70, ++number);
        } else if (what < 85) {
            h_ask(h, 1, ba, "n", 60000, 200, NULL);
        } else if (what < 90) {
            fake_net_cut(h->net, 0, 1);
        } else if (what < 94) {
            h->node[1].frozen = !h->node[1].frozen;
        } else if (what < 96 && restarts) {
            b = restart(h);
            ab = h_pid(h, 0, 1, b);
            ba = h_pid(h, 1, 0, a);
        }
        h->now += sh_rng_below(&rng, 2000);
        fake_net_run(h->net,
                     (unsigned)sh_rng_below(&rng, 20)); /* cut positions anywhere in the bytes */
        if (sh_rng_below(&rng, 3)) {
            h_step(h);
        }
    }
    h->node[1].frozen = false;
    h_run(h, 1500);
    for (size_t i = 1; i < h->node[1].seen_n; i++) {
        assert_true(h->node[1].seen[i] > h->node[1].seen[i - 1]);
    }
    if (!restarts) {
        compare(h, sent);
    }
    assert_int_equal(h->node[0].bad_peers + h->node[1].bad_peers, 0);
    struct ask_note *last = h_ask(h, 0, ab, "n", 65000, 2000, NULL);
    h_run(h, 300);
    assert_int_equal(last->code, 0);
    h_free(h);
}

/* Watches and links over cuts at any byte: each death is told exactly once, with no death that did not happen. */
static void chaos_watches(uint64_t seed)
{
    enum { ACTORS = 12 };
    struct harness *h = h_new(seed, 2);
    sh_rng_seeded s;
    sh_rng rng = sh_rng_seeded_init(&s, seed * 104729);
    h->net->piece = 1 + (size_t)sh_rng_below(&rng, 60);
    sh_pid a = h_spawn(h, 0), b[ACTORS], ab[ACTORS];
    bool dead[ACTORS] = {false}, watched[ACTORS] = {false};
    for (int i = 0; i < ACTORS; i++) {
        b[i] = h_spawn(h, 1);
        ab[i] = h_pid(h, 0, 1, b[i]);
    }
    for (int step = 0; step < 150; step++) {
        uint64_t what = sh_rng_below(&rng, 10);
        int i = (int)sh_rng_below(&rng, ACTORS);
        if (what < 3 && !watched[i]) {
            watched[i] = true;
            if (i % 2) {
                sh_runtime_link(h->node[0].rt, TOKEN, a, ab[i]);
            } else {
                sh_runtime_monitor(h->node[0].rt, TOKEN, a, ab[i]);
            }
        } else if (what == 3 && step > 20 && !dead[i]) {
            dead[i] = true;
            sh_runtime_kill(h->node[1].rt, TOKEN, b[i], sh_span_str("chaos"));
        } else if (what == 4) {
            fake_net_cut(h->net, 0, 1);
        } else if (what == 5) {
            h_tell(h, 0, ab[i], (uint32_t)step);
        }
        h->now += sh_rng_below(&rng, 3000);
        fake_net_run(h->net, (unsigned)sh_rng_below(&rng, 6));
        if (sh_rng_below(&rng, 3)) {
            h_step(h);
        }
    }
    h_run(h, 300);
    for (int i = 0; i < ACTORS; i++) {
        size_t told = 0;
        for (size_t k = 0; k < h->node[0].downs_n; k++) {
            told += sh_pid_eq(h->node[0].downs[k].dead, ab[i]);
            assert_int_not_equal(h->node[0].downs[k].kind, SH_PEER_LOST);
        }
        assert_int_equal(told, dead[i] && watched[i]);
    }
    assert_int_equal(h->node[1].downs_n, 0);
    assert_int_equal(h->node[0].peers_lost + h->node[0].bad_peers + h->node[1].bad_peers, 0);
    h_stop(h, 1); /* and the rest when the node dies */
    h_run(h, 400);
    size_t all = 0;
    for (int i = 0; i < ACTORS; i++) {
        all += watched[i];
    }
    assert_int_equal(h->node[0].downs_n, all);
    h_free(h);
}

static void test_chaos_watches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        chaos_watches(seed);
    }
}

static void test_chaos(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        chaos(seed, false);
    }
}

static void test_chaos_restarts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        chaos(seed, true);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos),
        cmocka_unit_test(test_chaos_restarts),
        cmocka_unit_test(test_chaos_watches),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
