/* tests/unit/remote/test_native.c - two and three nodes over the native wire: messages, windows, loss, watches. */
#include "harness.h"
#include "proto/frame.h"

static void test_tell_and_ask(void **state)
{
    (void)state;
    struct harness *h = h_new(1, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1);
    sh_pid ab = h_pid(h, 0, 1, b), ba = h_pid(h, 1, 0, a);
    for (uint32_t i = 1; i <= 50; i++) {
        assert_int_equal(h_tell(h, 0, ab, i), 0); /* dials by itself */
    }
    struct ask_note *x = h_ask(h, 0, ab, "n", 77, 1000, NULL);
    struct ask_note *y = h_ask(h, 1, ba, "n", 88, 1000, NULL);
    h_run(h, 60);
    assert_int_equal(h->node[1].seen_n, 50);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(h->node[1].seen[i], i + 1);
    }
    assert_int_equal(x->code, 0);
    assert_int_equal(x->value, 77);
    assert_int_equal(y->value, 88);
    assert_int_equal(h->net->opens, 2);
    assert_int_equal(h->node[0].lost + h->node[1].lost, 0);
    h_free(h);
}

static void test_simultaneous_open(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct harness *h = h_new(seed, 2);
        sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1);
        sh_pid ab = h_pid(h, 0, 1, b), ba = h_pid(h, 1, 0, a);
        fake_net_connect(h->net, 0, 1);
        fake_net_connect(h->net, 1, 0);
        h_tell(h, 0, ab, 1);
        h_tell(h, 1, ba, 2);
        h_run(h, 40);
        assert_int_equal(h->node[0].seen_n, 1);
        assert_int_equal(h->node[1].seen_n, 1);
        assert_int_equal(h->net->opens, 2); /* two connections, one session, no tie-break */
        h_free(h);
    }
}

static void test_window(void **state)
{
    (void)state;
    struct harness *h = h_new(3, 2);
    sh_pid b = h_spawn(h, 1), other = h_spawn(h, 1);
    sh_pid ab = h_pid(h, 0, 1, b), ab2 = h_pid(h, 0, 1, other);
    h->node[1].frozen = true;
    uint32_t sent = 0, full = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        int rc = h_tell(h, 0, ab, sent + 1);
        sent += rc == 0;
        full += rc == SH_E_MAILBOX_FULL;
        if (i % 100 == 0) {
            h_run(h, 1);
        }
    }
    assert_true(full > 0); /* the queue's 1 MiB is the bound: the sender is told */
    assert_true(sent > 5000 && sent < 10000);
    h_run(h, 50);
    h->node[1].frozen = false;
    h_run(h, 400);
    assert_int_equal(h->node[1].seen_n, sent);
    for (uint32_t i = 0; i < sent; i++) {
        assert_int_equal(h->node[1].seen[i], i + 1);
    }
    assert_int_equal(h_tell(h, 0, ab2, 9), 0);
    h_run(h, 20);
    assert_int_equal(h->node[1].seen[h->node[1].seen_n - 1], 9);
    assert_int_equal(h->node[0].bad_peers + h->node[1].bad_peers, 0);
    h_free(h);
}

static void test_refused_and_not_running(void **state)
{
    (void)state;
    struct harness *h = h_new(4, 2);
    sh_pid b = h_spawn(h, 1), gone = b;
    gone.actor += UINT64_C(5) << 32;
    sh_pid secret = h_spawn(h, 1), dead = h_pid(h, 0, 1, gone), ab = dead;
    ab.actor = secret.actor;
    struct ask_note *x = h_ask(h, 0, ab, "n", 1, 1000, NULL);
    struct ask_note *y = h_ask(h, 0, dead, "n", 2, 1000, NULL);
    h_tell(h, 0, ab, 3);
    h_tell(h, 0, dead, 4);
    h_run(h, 60);
    assert_int_equal(x->code, SH_E_REFUSED);
    assert_int_equal(x->delivery, SH_NOT_SENT);
    assert_int_equal(y->code, SH_E_NOT_RUNNING);
    assert_int_equal(h->node[0].lost, 2);
    h_free(h);
}

static void test_cancel(void **state)
{
    (void)state;
    struct harness *h = h_new(5, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    int64_t c1, c2, c3;
    struct ask_note *begun = h_ask(h, 0, ab, "never", 1, 5000, &c1);
    h_run(h, 30);
    assert_int_equal(h->node[1].asked[1], 1);
    h->node[1].frozen = true;
    struct ask_note *queued = h_ask(h, 0, ab, "n", 2, 5000, &c2);
    h_run(h, 30);
    assert_int_equal(sh_runtime_cancel(h->node[0].rt, TOKEN, c1), 0);
    assert_int_equal(sh_runtime_cancel(h->node[0].rt, TOKEN, c2), 0);
    h_run(h, 30);
    assert_int_equal(queued->ends, 1);
    assert_int_equal(queued->code, SH_E_CANCELLED);
    assert_int_equal(queued->delivery, SH_NOT_SENT);
    h->node[1].frozen = false;
    h_run(h, 150);
    assert_int_equal(begun->code, SH_E_CANCELLED);
    assert_int_equal(begun->delivery, SH_UNKNOWN);
    assert_int_equal(h->node[1].asked[2], 0);
    h->net->silent[1] = true; /* and one that still waits at the writer */
    fake_net_cut(h->net, 0, 1);
    h_run(h, 2);
    struct ask_note *waiting = h_ask(h, 0, ab, "n", 3, 5000, &c3);
    h_run(h, 2);
    sh_runtime_cancel(h->node[0].rt, TOKEN, c3);
    h_run(h, 2);
    assert_int_equal(waiting->code, SH_E_CANCELLED);
    assert_int_equal(waiting->delivery, SH_NOT_SENT);
    h_free(h);
}

static void test_deadline(void **state)
{
    (void)state;
    struct harness *h = h_new(6, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    struct ask_note *never = h_ask(h, 0, ab, "never", 1, 50, NULL);
    h_run(h, 30);
    h->node[1].frozen = true;
    struct ask_note *late = h_ask(h, 0, ab, "n", 2, 50, NULL);
    h_run(h, 200);
    assert_int_equal(never->code, SH_E_TIMEOUT);
    assert_int_equal(never->delivery, SH_UNKNOWN);
    assert_int_equal(late->code, SH_E_TIMEOUT);
    h->node[1].frozen = false;
    h_run(h, 50);
    assert_int_equal(h->node[1].asked[2], 0);
    h_free(h);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct harness *h = h_new(7, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    h->net->refuse[1] = true;
    struct ask_note *x = h_ask(h, 0, ab, "n", 1, 1000, NULL);
    h_tell(h, 0, ab, 2);
    h_run(h, 30);
    assert_int_equal(x->code, SH_E_UNREACHABLE);
    assert_int_equal(x->delivery, SH_NOT_SENT);
    assert_int_equal(h->node[0].lost, 1);
    h->net->refuse[1] = false;
    h->net->native[1] = false;
    struct ask_note *y = h_ask(h, 0, ab, "n", 1, 1000, NULL);
    h_run(h, 60);
    assert_int_equal(y->code, SH_E_UNSUPPORTED);
    assert_int_equal(y->delivery, SH_NOT_SENT);
    h_free(h);
}

static void test_watch(void **state)
{
    (void)state;
    struct harness *h = h_new(8, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), b2 = h_spawn(h, 1), b3 = h_spawn(h, 1);
    sh_pid ab = h_pid(h, 0, 1, b), ab2 = h_pid(h, 0, 1, b2), ab3 = h_pid(h, 0, 1, b3);
    struct h_node *n = &h->node[0];
    assert_int_equal(sh_runtime_monitor(n->rt, TOKEN, a, ab), 0);
    assert_int_equal(sh_runtime_link(n->rt, TOKEN, a, ab2), 0);
    assert_int_equal(sh_runtime_monitor(n->rt, TOKEN, a, ab3), 0);
    h_run(h, 40);
    assert_int_equal(n->downs_n, 0);
    h_tell(h, 0, ab, 5);
    sh_runtime_tell(n->rt, TOKEN, ab, sh_span_str("die"), sh_span_none());
    h_run(h, 40);
    assert_int_equal(n->downs_n, 1);
    assert_int_equal(n->downs[0].kind, SH_ERROR);
    assert_string_equal(n->downs[0].text, "told to");
    assert_true(sh_pid_eq(n->downs[0].dead, ab));
    /* a session lost is not a death: watches are renewed, and what died meanwhile is told once */
    h->net->silent[0] = h->net->silent[1] = true;
    fake_net_cut(h->net, 0, 1);
    sh_runtime_kill(h->node[1].rt, TOKEN, b3, sh_span_str("killed"));
    h_run(h, 10);
    h->net->silent[0] = h->net->silent[1] = false;
    fake_net_connect(h->net, 1, 0);
    h_run(h, 60);
    assert_int_equal(n->downs_n, 2);
    assert_true(sh_pid_eq(n->downs[1].dead, ab3));
    assert_int_equal(h->node[1].downs_n, 0); /* the link is held there too, and was renewed */
    /* the peer dies: what is left fires once, as a link */
    h_stop(h, 1);
    h_run(h, 400);
    assert_int_equal(n->downs_n, 3);
    assert_int_equal(n->downs[2].kind, SH_PEER_LOST);
    assert_true(n->downs[2].link);
    assert_int_equal(n->peers_lost, 1);
    h_free(h);
}

/* One side gives the other up, which only stood still: the link is over on both, and told on both. */
static void test_given_up_ends_links(void **state)
{
    (void)state;
    for (int undone = 0; undone < 2; undone++) {
        struct harness *h = h_new(17, 2);
        sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), ab = h_pid(h, 0, 1, b);
        sh_pid ba = h_pid(h, 1, 0, a);
        assert_int_equal(sh_runtime_link(h->node[0].rt, TOKEN, a, ab), 0);
        h_run(h, 60);
        h->net->silent[0] = h->net->silent[1] = true;
        fake_net_cut(h->net, 0, 1);
        for (unsigned i = 0; i < h->net->nodes[0]->peer_count; i++) {
            h->net->nodes[0]->peers[i].lost_us = UINT64_MAX; /* node 0 judges nobody */
        }
        if (undone) {
            sh_runtime_unlink(h->node[1].rt, TOKEN, b, ba);
            for (unsigned i = 0; i < h->net->nodes[1]->peer_count; i++) {
                h->net->nodes[1]->peers[i].lost_us = UINT64_MAX;
            }
        }
        h_run(h, 600);
        assert_int_equal(h->node[1].downs_n, undone ? 0 : 1);
        assert_int_equal(h->node[0].downs_n, 0);
        h->net->silent[0] = h->net->silent[1] = false;
        fake_net_connect(h->net, 0, 1);
        h_run(h, 60);
        assert_int_equal(h->node[0].downs_n, undone ? 0 : 1);
        if (!undone) {
            assert_true(h->node[0].downs[0].link);
            assert_int_equal(h->node[0].downs[0].kind, SH_PEER_LOST);
        }
        sh_runtime_kill(h->node[1].rt, TOKEN, b, sh_span_none());
        h_run(h, 60);
        assert_int_equal(h->node[0].downs_n, undone ? 0 : 1); /* told once */
        h_free(h);
    }
}

static void test_death_comes_last(void **state)
{
    (void)state;
    struct harness *h = h_new(16, 2);
    sh_pid w = h_spawn(h, 0), d = h_spawn(h, 1), bw = h_pid(h, 1, 0, w);
    sh_runtime_monitor(h->node[0].rt, TOKEN, w, h_pid(h, 0, 1, d));
    h_run(h, 40);
    h->node[0].frozen = true;
    for (uint32_t i = 1; i <= 300; i++) { /* more than the window: most wait at the writer */
        assert_int_equal(h_tell(h, 1, bw, i), 0);
    }
    h_run(h, 5);
    sh_runtime_kill(h->node[1].rt, TOKEN, d, sh_span_none());
    h_run(h, 20);
    h->node[0].frozen = false;
    h_run(h, 200);
    assert_int_equal(h->node[0].seen_n, 300);
    assert_int_equal(h->node[0].downs_n, 1);
    assert_int_equal(h->node[0].downs[0].seen_n, 300);
    h_free(h);
}

static void test_watch_gone_and_unlink(void **state)
{
    (void)state;
    struct harness *h = h_new(9, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), gone = b;
    gone.actor += UINT64_C(3) << 32;
    sh_pid ab = h_pid(h, 0, 1, b), ag = h_pid(h, 0, 1, gone);
    sh_runtime_monitor(h->node[0].rt, TOKEN, a, ag);
    sh_runtime_link(h->node[0].rt, TOKEN, a, ab);
    h_run(h, 40);
    assert_int_equal(h->node[0].downs_n, 1);
    assert_int_equal(h->node[0].downs[0].kind, SH_GONE);
    sh_runtime_unlink(h->node[0].rt, TOKEN, a, ab);
    h_run(h, 40);
    sh_runtime_kill(h->node[0].rt, TOKEN, a, sh_span_none());
    sh_runtime_kill(h->node[1].rt, TOKEN, b, sh_span_none());
    h_run(h, 40);
    assert_int_equal(h->node[0].downs_n, 1);
    assert_int_equal(h->node[1].downs_n, 0);
    /* a link dies the other way too */
    sh_pid a2 = h_spawn(h, 0), b2 = h_spawn(h, 1);
    h_pid(h, 1, 0, a2);
    sh_runtime_link(h->node[0].rt, TOKEN, a2, h_pid(h, 0, 1, b2));
    h_run(h, 40);
    sh_runtime_kill(h->node[0].rt, TOKEN, a2, sh_span_str("enough"));
    h_run(h, 40);
    assert_int_equal(h->node[1].downs_n, 1);
    assert_true(h->node[1].downs[0].link);
    h_free(h);
}

static void test_restart(void **state)
{
    (void)state;
    struct harness *h = h_new(10, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1);
    sh_pid ab = h_pid(h, 0, 1, b);
    sh_runtime_monitor(h->node[0].rt, TOKEN, a, ab);
    struct ask_note *x = h_ask(h, 0, ab, "never", 1, 5000, NULL);
    h_run(h, 40);
    h_stop(h, 1);
    h_start(h, 1); /* another process, at once: nobody refused in between */
    fake_net_connect(h->net, 1, 0);
    sh_pid b2 = h_spawn(h, 1), ba = h_pid(h, 1, 0, a);
    h_tell(h, 1, ba, 6);
    h_run(h, 60);
    assert_int_equal(x->code, SH_E_UNREACHABLE);
    assert_int_equal(x->delivery, SH_UNKNOWN);
    assert_int_equal(h->node[0].downs_n, 1);
    assert_int_equal(h->node[0].downs[0].kind, SH_PEER_LOST);
    struct ask_note *y = h_ask(h, 0, h_pid(h, 0, 1, b2), "n", 4, 1000, NULL);
    h_run(h, 60);
    assert_int_equal(y->code, 0);
    h_free(h);
}

static void test_drain(void **state)
{
    (void)state;
    struct harness *h = h_new(11, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    for (uint32_t i = 0; i < 300; i++) {
        h_tell(h, 0, ab, i);
    }
    struct ask_note *d = &h->asks[h->asks_n++];
    *d = (struct ask_note){.node = &h->node[0]};
    assert_true(sh_runtime_drain(h->node[0].rt, TOKEN, ab, h->now + 5000000, h_answered, d) > 0);
    h_run(h, 150);
    assert_int_equal(d->ends, 1);
    assert_int_equal(d->code, 0);
    assert_int_equal(h->node[1].seen_n, 300);
    sh_runtime_tell(h->node[0].rt, TOKEN, ab, sh_span_str("die"), sh_span_none());
    h_run(h, 30);
    h_tell(h, 0, ab, 1);
    d = &h->asks[h->asks_n++];
    *d = (struct ask_note){.node = &h->node[0]};
    sh_runtime_drain(h->node[0].rt, TOKEN, ab, h->now + 5000000, h_answered, d);
    h_run(h, 50);
    assert_int_equal(d->code, SH_E_NOT_RUNNING);
    assert_int_equal(h->node[0].lost, 1);
    h_free(h);
}

static void test_large(void **state)
{
    (void)state;
    struct harness *h = h_new(12, 2);
    h->net->window = 50000;
    sh_pid b = h_spawn(h, 1), ab = h_pid(h, 0, 1, b);
    static uint8_t big[SH_MESSAGE_MAX + 100];
    size_t sizes[] = {0, 500, 5000, 70000, SH_MESSAGE_MAX - 5, SH_MESSAGE_MAX + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        big[0] = 0xc6;
        sh_store_u32be(big + 1, (uint32_t)sizes[i]);
        sh_span value = sh_span_of(big, sizes[i] + 5);
        assert_int_equal(sh_runtime_tell(h->node[0].rt, TOKEN, ab, sh_span_str("big"), value), 0);
        h_run(
            h,
            2); /* the queue's gate lets one message overshoot, and no other before that has left */
        assert_int_equal(h_tell(h, 0, ab, (uint32_t)i), 0);
        h_run(h, 300);
    }
    assert_int_equal(h->node[1].seen_n, 6);
    assert_int_equal(h->node[0].lost, 1); /* over max_message */
    assert_int_equal(h->node[0].lost_code, SH_E_LIMIT);
    assert_int_equal(h->node[1].bad_peers, 0);
    h_free(h);
}

static void test_node_calls(void **state)
{
    (void)state;
    struct harness *h = h_new(13, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), nb, na;
    assert_int_equal(sh_remote_node_pid(h->node[0].remote, &h->net->ids[1], &nb), 0);
    assert_int_equal(sh_remote_node_pid(h->node[1].remote, &h->net->ids[0], &na), 0);
    struct ask_note *x =
        h_ask(h, 0, nb, "info", 5, 1000, NULL); /* node 0 is the administrator of all */
    struct ask_note *y = h_ask(h, 1, na, "info", 6, 1000, NULL);
    h_run(h, 40);
    assert_int_equal(x->code, 0);
    assert_int_equal(x->value, 5);
    assert_int_equal(y->code, SH_E_REFUSED);
    assert_int_equal(h->node[1].node_calls, 1);
    assert_int_equal(h->node[0].node_calls, 0);
    sh_runtime_kill(h->node[0].rt, TOKEN, h_pid(h, 0, 1, b), sh_span_str("by admin"));
    sh_runtime_kill(h->node[1].rt, TOKEN, h_pid(h, 1, 0, a), sh_span_str("by nobody"));
    h_run(h, 40);
    assert_false(sh_runtime_alive(h->node[1].rt, b));
    assert_true(sh_runtime_alive(h->node[0].rt, a));
    assert_int_equal(h->node[1].lost, 1); /* the order that was refused is told */
    h_free(h);
}

static void test_goodbye(void **state)
{
    (void)state;
    struct harness *h = h_new(14, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), ab = h_pid(h, 0, 1, b);
    struct h_node *n = &h->node[1];
    sh_runtime_monitor(h->node[0].rt, TOKEN, a, ab);
    struct ask_note *x = h_ask(h, 0, ab, "never", 1, 5000, NULL);
    h_run(h, 40);
    sh_remote_goodbye(n->remote, 5000, sh_span_str("closing"), h->now);
    h_run(h, 20);
    assert_int_equal(x->ends, 0); /* accepted asks are still answered */
    struct ask_note *y = h_ask(h, 0, ab, "n", 2, 5000, NULL);
    h_run(h, 20);
    assert_int_equal(y->code, SH_E_CLOSED);
    assert_int_equal(y->delivery, SH_NOT_SENT);
    assert_false(sh_remote_goodbye_done(n->remote));
    struct sh_result r = {.value = sh_span_of("\xce\0\0\0\x2a", 5)};
    sh_runtime_reply(n->rt, TOKEN, n->held[0], &r);
    h_run(h, 20);
    assert_int_equal(x->code, 0);
    assert_int_equal(x->value, 42);
    assert_int_equal(h->node[0].downs_n, 0);
    sh_runtime_stop(n->rt, TOKEN, b, sh_span_none(), NULL, NULL);
    h_run(h, 40);
    assert_int_equal(h->node[0].downs_n, 1);
    assert_int_equal(h->node[0].downs[0].kind, SH_NORMAL);
    assert_true(sh_remote_goodbye_done(n->remote));
    h_free(h);
}

static void test_third_node(void **state)
{
    (void)state;
    struct harness *h = h_new(15, 3);
    sh_pid c = h_spawn(h, 2);
    uint8_t ref[64];
    /* node 1 names an actor of node 2; its ref inside a value goes to node 0, who calls node 2 itself */
    sh_pid bc = h_pid(h, 1, 2, c);
    int n = sh_remote_ref_of_pid(h->node[1].remote, bc, ref, sizeof ref);
    assert_int_equal(n, 46);
    sh_pid ac;
    assert_int_equal(sh_remote_pid_of_ref(h->node[0].remote, sh_span_of(ref, (size_t)n), &ac), 0);
    struct ask_note *x = h_ask(h, 0, ac, "n", 9, 1000, NULL);
    h_run(h, 40);
    assert_int_equal(x->code, 0);
    assert_int_equal(sh_remote_pid_of_ref(h->node[2].remote, sh_span_of(ref, (size_t)n), &ac), 0);
    assert_true(sh_pid_eq(ac, c)); /* at its own node it is the actor itself */
    assert_int_equal(sh_remote_pid_of_ref(h->node[0].remote, sh_span_of(ref, 20), &ac),
                     SH_E_BAD_VALUE);
    /* a ref inside a value exports its actor */
    sh_pid s = h_spawn(h, 0), first = h_pid(h, 0, 2, c);
    uint8_t value[64] = {0xc7, 46, 1};
    n = sh_remote_ref_of_pid(h->node[0].remote, s, value + 3, sizeof value - 3);
    assert_int_equal(
        sh_runtime_tell(h->node[0].rt, TOKEN, first, sh_span_str("big"), sh_span_of(value, 49)), 0);
    h_run(h, 40);
    sh_pid cs;
    assert_int_equal(sh_remote_pid_of_ref(h->node[2].remote, sh_span_of(value + 3, 46), &cs), 0);
    struct ask_note *y = h_ask(h, 2, cs, "n", 3, 1000, NULL);
    h_run(h, 40);
    assert_int_equal(y->code, 0);
    h_free(h);
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
            int64_t call;
            number++;
            h_ask(h, 0, ab, what < 70 ? "n" : "never", number,
                  20 + (unsigned)sh_rng_below(&rng, 300), &call);
            if (call > 0 && sh_rng_below(&rng, 4) == 0) {
                h_run(h, (unsigned)sh_rng_below(&rng, 4));
                sh_runtime_cancel(h->node[0].rt, TOKEN, call);
            }
        } else if (what < 85) {
            h_ask(h, 1, ba, "n", 60000, 200, NULL);
        } else if (what < 90) {
            fake_net_cut(h->net, 0, 1);
        } else if (what < 94) {
            h->node[1].frozen = !h->node[1].frozen;
        } else if (what < 96 && restarts) {
            h_stop(h, 1);
            for (size_t k = 0; k < h->asks_n; k++) {
                assert_true(h->asks[k].node != &h->node[1] || h->asks[k].ends == 1);
            }
            h_start(h, 1);
            b = h_spawn(h, 1);
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
    struct h_node *n = &h->node[1];
    for (size_t i = 1; i < n->seen_n; i++) {
        assert_true(n->seen[i] > n->seen[i - 1]);
    }
    if (!restarts) {
        assert_true(n->seen_n + h->node[0].lost >= sent); /* loss is told */
        for (size_t i = 0; i < h->asks_n; i++) {
            const struct ask_note *x = &h->asks[i];
            assert_int_equal(x->ends, 1);
            bool not_sent = x->code < 0 && x->delivery == SH_NOT_SENT;
            assert_true(x->node != &h->node[0] || !not_sent || n->asked[x->number] == 0);
            assert_true(x->node != &h->node[0] || n->asked[x->number] <= 1);
        }
    }
    assert_int_equal(h->node[0].bad_peers + n->bad_peers, 0);
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

/* Out of memory at any allocation: an error for who asked, never a crash, a leak or an ask that hangs. */
static void test_memory(void **state)
{
    (void)state;
    for (size_t fail = 1; fail < 120; fail++) {
        struct harness *h = h_new(20, 2);
        sh_pid a = h_spawn(h, 0), ab = h_pid(h, 0, 1, h_spawn(h, 1));
        for (int i = 0; i < 2; i++) {
            sh_mem_counter *c = &h->node[i].counter;
            atomic_store(&c->fail_at, atomic_load(&c->allocations) + fail);
        }
        sh_runtime_monitor(h->node[0].rt, TOKEN, a, ab);
        for (uint32_t i = 0; i < 20; i++) {
            h_tell(h, 0, ab, i);
            h_ask(h, 0, ab, "n", i, 1000, NULL);
        }
        h_run(h, 100);
        fake_net_cut(h->net, 0, 1);
        h_ask(h, 0, ab, "n", 30, 1000, NULL);
        h_run(h, 1300);
        for (size_t i = 0; i < h->asks_n; i++) {
            assert_int_equal(h->asks[i].ends, 1);
        }
        for (int i = 0; i < 2; i++) {
            atomic_store(&h->node[i].counter.fail_at, 0);
        }
        struct ask_note *last = h_ask(h, 0, ab, "n", 40, 2000, NULL);
        h_run(h, 100);
        assert_int_equal(last->code, 0); /* and afterwards all is well */
        h_free(h);
    }
}

static void puppet_hello(uint8_t *buf, size_t *n, uint64_t incarnation, uint64_t number,
                         uint64_t answers)
{
    struct sh_frame f = {.type = SH_FRAME_HELLO,
                         .version = 1,
                         .incarnation = incarnation,
                         .number = number,
                         .answers = answers,
                         .message_max = 1 << 20};
    int bytes = sh_frame_put(&f, buf, 64);
    assert_true(bytes > 0);
    *n = (size_t)bytes;
}

/* Bytes of a peer that break a rule: the connection ends with 0x1003 and an event, and nothing of it stays. */
static void test_hostile(void **state)
{
    (void)state;
    static const uint64_t actor = UINT64_C(0x0000000700000001);
    const struct sh_frame_who who = {.kind = SH_WHO_ACTOR, .actor = actor},
                              empty = {.kind = SH_WHO_ENTRY, .entry = 9};
    const sh_span x = {(const uint8_t *)"x", 1};
    const struct {
        struct sh_frame f;
        int times;
        bool bad;
    } rows[] = {
        {{.type = SH_FRAME_TELL, .target = who, .name = x}, 64, false},
        {{.type = SH_FRAME_TELL, .target = who, .name = x},
         65,
         false}, /* refused ones come back at once */
        {{.type = SH_FRAME_TELL, .target = empty, .name = x}, 1, true},
        {{.type = SH_FRAME_TELL, .target = who, .other = empty, .name = x}, 1, true},
        {{.type = SH_FRAME_TELL, .target = who, .name_known = true, .name_entry = 3}, 1, true},
        {{.type = SH_FRAME_ASK, .call = 2, .left_ms = 1, .target = who, .name = x}, 1, true},
        {{.type = SH_FRAME_ASK, .call = 1, .left_ms = 1, .target = who, .name = x}, 2, true},
        {{.type = SH_FRAME_HELLO, .version = 1, .number = 2}, 1, true},
        {{.type = SH_FRAME_CREDIT, .target = who, .messages = 1}, 1, true},
        {{.type = SH_FRAME_REPLY, .call = 99}, 1, false},
        {{.type = SH_FRAME_CANCEL, .call = 99}, 1, false},
        {{.type = SH_FRAME_DEATH, .target = who, .other = who}, 1, false},
        {{.type = SH_FRAME_LOST, .target = who, .name = x, .count = 5, .code = SH_E_LIMIT},
         1,
         false},
        {{.type = SH_FRAME_UNWATCH, .target = who, .other = who, .flags = 1}, 1, false},
        {{.type = SH_FRAME_WATCH, .call = 1, .target = who, .other = who}, 1, false},
        {{.type = SH_FRAME_WATCH, .call = 1, .target = who, .other = who}, 2, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct harness *h = h_new(21 + i, 1);
        sh_swarm *puppet = fake_net_node(h->net, 1);
        struct sh_peer_ref ref;
        sh_stream *st;
        uint8_t buf[4096];
        size_t n;
        fake_net_connect(h->net, 1, 0);
        sh_swarm_peer(puppet, &h->net->ids[0], &ref);
        assert_int_equal(sh_swarm_open(puppet, ref, 0, NULL, &st), 0);
        puppet_hello(buf, &n, 5, 1, 0);
        sh_stream_write(st, sh_span_of(buf, n));
        for (int k = 0; k < rows[i].times; k++) {
            int bytes = sh_frame_put(&rows[i].f, buf, sizeof buf);
            assert_true(bytes > 0);
            sh_stream_write(st, sh_span_of(buf, (size_t)bytes));
            h_run(h, 2);
            if (st->ending) {
                break;
            }
        }
        h_run(h, 30);
        assert_int_equal(h->node[0].bad_peers, rows[i].bad);
        assert_int_equal(h->net->closed_conns, rows[i].bad);
        assert_int_equal(h->node[0].lost, 0);
        h_free(h);
    }
}

/* A writer that ignores the window of an actor that handles nothing. */
static void test_over_the_window(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct harness *h = h_new(39, 1);
        sh_swarm *puppet = fake_net_node(h->net, 1);
        struct sh_peer_ref ref;
        sh_stream *st;
        uint8_t buf[64];
        size_t n;
        sh_pid a = h_spawn(h, 0);
        sh_remote_export(h->node[0].remote, a);
        h->node[0].frozen = true;
        fake_net_connect(h->net, 1, 0);
        sh_swarm_peer(puppet, &h->net->ids[0], &ref);
        sh_swarm_open(puppet, ref, 0, NULL, &st);
        puppet_hello(buf, &n, 5, 1, 0);
        sh_stream_write(st, sh_span_of(buf, n));
        struct sh_frame f = {.type = SH_FRAME_TELL,
                             .target = {.kind = SH_WHO_ACTOR, .actor = a.actor},
                             .name = sh_span_str("n")};
        int bytes = sh_frame_put(&f, buf, sizeof buf);
        for (int i = 0; i < SH_TARGET_WINDOW_START + more; i++) {
            sh_stream_write(st, sh_span_of(buf, (size_t)bytes));
        }
        h_run(h, 60);
        assert_int_equal(h->node[0].bad_peers, more);
        h_free(h);
    }
}

/* The pairing rules of the wire, one row each, seen from a node that has opened number 1. */
static void test_pairing(void **state)
{
    (void)state;
    const struct {
        uint64_t incarnation, number, answers;
        bool kept; /* the stream is the session's incoming one */
    } rows[] = {
        {5, 1, 1, true},  /* 3: answers ours */
        {5, 1, 0, true},  /* 3: simultaneous open */
        {5, 1, 7, false}, /* 5: a stream we do not know */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct harness *h = h_new(40 + i, 1);
        sh_swarm *puppet = fake_net_node(h->net, 1);
        struct sh_peer_ref ref;
        sh_stream *st, *late;
        uint8_t buf[64];
        size_t n;
        fake_net_connect(h->net, 1, 0);
        sh_swarm_peer(puppet, &h->net->ids[0], &ref);
        h_tell(h, 0, h_pid(h, 0, 1, (sh_pid){UINT64_C(1) << 32, 0, 0}), 1);
        h_run(h, 5);
        sh_swarm_open(puppet, ref, 0, NULL, &st);
        puppet_hello(buf, &n, rows[i].incarnation, rows[i].number, rows[i].answers);
        sh_stream_write(st, sh_span_of(buf, n));
        h_run(h, 10);
        assert_int_equal(st->ending, !rows[i].kept);
        sh_swarm_open(puppet, ref, 0, NULL, &late); /* 2: a number seen before is late */
        sh_stream_write(late, sh_span_of(buf, n));
        h_run(h, 10);
        assert_true(late->ending);
        assert_int_equal(st->ending, !rows[i].kept);
        h_free(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tell_and_ask),
        cmocka_unit_test(test_simultaneous_open),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_refused_and_not_running),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_watch_gone_and_unlink),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_node_calls),
        cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_third_node),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_over_the_window),
        cmocka_unit_test(test_given_up_ends_links),
        cmocka_unit_test(test_death_comes_last),
        cmocka_unit_test(test_pairing),
        cmocka_unit_test(test_chaos),
        cmocka_unit_test(test_chaos_restarts),
        cmocka_unit_test(test_chaos_watches),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
