/* tests/unit/remote/test_native.c - two and three nodes over the native wire: messages, windows, loss, watches. */
#include "harness.h"

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
    assert_true(full > 0); /* the queue's 256 KiB are the bound: the sender is told */
    assert_true(sent > 1500 && sent < 2500);
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
        cmocka_unit_test(test_given_up_ends_links),
        cmocka_unit_test(test_death_comes_last),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
