/* tests/unit/remote/test_limits.c - what a peer, or a user, can make a node hold is bounded: each test runs into one
 * line of base/sh_limits.h, sees who is told, and that there is room again afterwards. */
#include "puppet.h"

#include "base/varint.h"

/* --- names --- */

static int names_add(struct harness *h, uint64_t call, sh_pid pid, const char *name)
{
    return sh_remote_register(h->node[0].remote, call, pid, sh_span_str(name), sh_span_str("peer"),
                              h->now + 1000000, h->now);
}

static void test_names(void **state)
{
    (void)state;
    struct harness *h = h_new(1, 1);
    struct h_node *n = &h->node[0];
    sh_pid a = h_spawn(h, 0);
    char name[32];
    for (unsigned i = 0; i < SH_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        assert_int_equal(names_add(h, 100 + i, a, name), 0);
        if (i % 1000 == 0) {
            h_run(h, 2);
        }
    }
    assert_int_equal(names_add(h, 1, a, "one more"), SH_E_LIMIT);
    assert_int_equal(names_add(h, 2, a, "name-7"), 0); /* one that is there already */
    struct sh_lookup_options o = {.deadline_us = h->now + 1000000};
    h_run(h, 20);
    n->results_n = 0;
    assert_int_equal(sh_remote_lookup(n->remote, 3, sh_span_str("name-9"), &o, h->now), 0);
    assert_int_equal(sh_remote_lookup(n->remote, 4, sh_span_str("nobody"), &o, h->now), 0);
    h_run(h, 20);
    assert_int_equal(n->results_n, 1);
    assert_int_equal(n->results[0].code, 0);
    assert_int_equal(sh_remote_unregister(n->remote, a, sh_span_str("name-0")), 0);
    assert_int_equal(names_add(h, 5, a, "one more"), 0);
    h_run(h, 1100);
    h_free(h);
}

static void test_lookups(void **state)
{
    (void)state;
    struct harness *h = h_new(2, 1);
    struct h_node *n = &h->node[0];
    struct sh_lookup_options o = {.deadline_us = h->now + 500000};
    for (unsigned i = 0; i < SH_LOOKUPS_MAX; i++) {
        assert_int_equal(sh_remote_lookup(n->remote, 1 + i, sh_span_str("nobody"), &o, h->now), 0);
        if (i % 1000 == 0) {
            h_run(h, 2);
        }
    }
    assert_int_equal(sh_remote_lookup(n->remote, 70000, sh_span_str("nobody"), &o, h->now),
                     SH_E_LIMIT);
    h_run(h, 20); /* between two passes they still count */
    assert_int_equal(sh_remote_lookup(n->remote, 70001, sh_span_str("nobody"), &o, h->now),
                     SH_E_LIMIT);
    sh_remote_cancel(n->remote, 1);
    assert_int_equal(sh_remote_lookup(n->remote, 70002, sh_span_str("nobody"), &o, h->now), 0);
    h_run(h, 600);
    assert_int_equal(sh_remote_lookup(n->remote, 70003, sh_span_str("nobody"), &o, h->now), 0);
    h_free(h);
}

/* SH_LOOKUP_HOLDERS_MAX holders of a name, each told once; who comes after them is not told. */
static void test_holders(void **state)
{
    (void)state;
    struct harness *h = h_new(13, 1);
    struct h_node *n = &h->node[0];
    struct sh_lookup_options o = {.follow = true};
    unsigned told = 0;
    assert_int_equal(sh_remote_lookup(n->remote, 1, sh_span_str("name"), &o, h->now), 0);
    for (unsigned i = 0; i < SH_LOOKUP_HOLDERS_MAX + 3; i++) {
        sh_pid a = h_spawn(h, 0);
        for (unsigned twice = 0; twice < 2; twice++) {
            assert_int_equal(names_add(h, 100, a, "name"), 0);
            n->results_n = 0;
            h_run(h, 1);
            assert_int_equal(sh_remote_unregister(n->remote, a, sh_span_str("name")), 0);
            for (size_t k = 0; k < n->results_n; k++) {
                told += n->results[k].call == 1 && n->results[k].code == SH_RESULT_MORE;
            }
            unsigned all = i + 1 < SH_LOOKUP_HOLDERS_MAX ? i + 1 : SH_LOOKUP_HOLDERS_MAX;
            assert_int_equal(told, all);
        }
    }
    h_free(h);
}

/* --- calls of ours --- */

struct tally {
    unsigned ended, answered, not_sent;
};

static void on_ended(void *ud, const struct sh_result *r)
{
    struct tally *t = ud;
    t->ended++;
    t->answered += r->code == 0;
    t->not_sent += r->code < 0 && r->delivery == SH_NOT_SENT;
}

/* SH_SESSION_CALLS_MAX: those beyond wait until one has ended; who waits too long was never sent. */
static void test_open_calls(void **state)
{
    (void)state;
    struct harness *h = h_new(3, 2);
    struct tally t = {0};
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1)), ab2 = h_pid(h, 0, 1, h_spawn(h, 1));
    uint64_t until = h->now + 20000000;
    for (unsigned i = 0; i < SH_SESSION_CALLS_MAX + 10; i++) {
        assert_true(sh_runtime_ask(h->node[0].rt, TOKEN, ab, sh_span_str("never"), sh_span_none(),
                                   until, on_ended, &t) > 0);
        if (i % 64 == 0) {
            h_run(h, 2);
        }
    }
    h_run(h, 5000);
    struct sh_remote *r = h->node[0].remote;
    assert_int_equal(t.ended, 0);
    assert_int_equal(r->calls.count, SH_SESSION_CALLS_MAX);
    assert_int_equal(h->node[0].bad_peers + h->node[1].bad_peers, 0);
    assert_int_equal(h_tell(h, 0, ab2, 5), 0); /* only calls are full */
    struct sh_result answer = {.value = sh_span_none()};
    for (unsigned i = 0; i < 3; i++) {
        sh_runtime_reply(h->node[1].rt, TOKEN, h->node[1].held[i], &answer);
    }
    h_run(h, 50);
    assert_int_equal(h->node[1].seen_n, 1);
    assert_int_equal(t.answered, 3);
    assert_int_equal(r->calls.count, SH_SESSION_CALLS_MAX); /* three took their places */
    h->now = until;
    h_run(h, 3000);
    assert_int_equal(t.ended, SH_SESSION_CALLS_MAX + 10);
    assert_int_equal(t.not_sent, 7);
    assert_int_equal(r->calls.count, 0);
    struct ask_note *x = h_ask(h, 0, ab, "n", 1, 1000, NULL);
    h_run(h, 50);
    assert_int_equal(x->code, 0);
    h_free(h);
}

/* Once all tables have their size, an ask and its reply allocate nothing. */
static void test_asks_allocate_nothing(void **state)
{
    (void)state;
    struct harness *h = h_new(4, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    size_t before[2];
    for (unsigned round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            before[i] = atomic_load(&h->node[i].counter.allocations);
        }
        for (unsigned i = 0; i < 50; i++) {
            for (unsigned k = 0; k < 10; k++) {
                assert_non_null(h_ask(h, 0, ab, "n", 1, 1000, NULL));
            }
            h_run(h, 30);
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&h->node[i].counter.allocations) - before[i], 0);
    }
    for (size_t i = 0; i < h->asks_n; i++) { /* and its place in the window came back */
        assert_int_equal(h->asks[i].code, 0);
    }
    h_free(h);
}

/* More calls of each kind than a window holds, one after the other: each gives its place back. */
static void test_places_come_back(void **state)
{
    (void)state;
    struct harness *h = h_new(9, 2);
    sh_pid b = h_spawn(h, 1), ab = h_pid(h, 0, 1, b), nb;
    struct h_node *n = &h->node[1];
    assert_int_equal(sh_remote_node_pid(h->node[0].remote, &h->net->ids[1], &nb), 0);
    h_tell(h, 0, ab, 0); /* opens the session */
    h_run(h, 40);
    for (unsigned i = 0; i < 3 * SH_TARGET_WINDOW_START; i++) {
        struct ask_note *at_once = h_ask(h, 0, ab, "n", 1, 1000, NULL);
        struct ask_note *node = h_ask(h, 0, nb, "info", 1, 1000, NULL);
        struct ask_note *later = h_ask(h, 0, ab, "never", 1, 1000, NULL);
        struct ask_note *nobody = h_ask(h, 0, ab, "what", 1, 1000, NULL);
        h_run(h, 10);
        struct sh_result r = {.value = sh_span_none()};
        assert_int_equal(n->held_n, 1);
        sh_runtime_reply(n->rt, TOKEN, n->held[0], &r);
        n->held_n = 0;
        h_tell(h, 0, ab, i);
        h_run(h, 10);
        assert_true(at_once->ends && node->ends && later->ends && nobody->ends);
        assert_int_equal(at_once->code, 0);
        assert_int_equal(node->code, 0);
        assert_int_equal(later->code, 0);
        assert_int_equal(nobody->code, SH_E_NO_HANDLER);
    }
    assert_int_equal(n->seen_n, 3 * SH_TARGET_WINDOW_START + 1);
    h_free(h);
}

/* --- calls and output of a peer --- */

/* SH_SESSION_CALLS_MAX: what is open beyond is answered with limit, and the session goes on. */
static void test_calls_of_a_peer(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 5);
    sh_pid a = h_spawn(p.h, 0);
    sh_remote_export(p.h->node[0].remote, a);
    struct sh_frame f = {.type = SH_FRAME_ASK,
                         .left_ms = 600000,
                         .target = who(a.actor),
                         .name = sh_span_str("never")};
    for (unsigned i = 0; i < SH_SESSION_CALLS_MAX + 5; i++) {
        f.call = 1 + i;
        puppet_put(&p, &f);
        if (i % 16 == 15) {
            puppet_run(&p, 3); /* within the window */
        }
    }
    puppet_run(&p, 30);
    assert_int_equal(p.replies[-SH_E_LIMIT], 5);
    assert_int_equal(p.h->node[0].bad_peers, 0);
    struct sh_frame w = {
        .type = SH_FRAME_WATCH, .call = ++f.call, .target = who(a.actor), .other = who(1)};
    puppet_put(&p, &w);
    puppet_run(&p, 30);
    assert_int_equal(p.replies[-SH_E_LIMIT], 6);
    struct sh_result r = {.value = sh_span_none()};
    sh_runtime_reply(p.h->node[0].rt, TOKEN, p.h->node[0].held[0], &r);
    puppet_run(&p, 30);
    assert_int_equal(p.replies[0], 1);
    w.call = ++f.call;
    puppet_put(&p, &w); /* there is one place now; what was refused has left nothing behind */
    puppet_run(&p, 30);
    assert_int_equal(p.replies[0], 2);
    f.call++;
    puppet_put(&p, &f);
    puppet_run(&p, 30);
    assert_int_equal(p.replies[-SH_E_LIMIT], 6);
    sh_runtime_kill(p.h->node[0].rt, TOKEN, a, sh_span_none());
    puppet_run(&p, 30);
    assert_int_equal(p.deaths, 1);
    puppet_end(&p);
}

/* SH_CALLS_IN_MAX of all peers, SH_CALLS_OUT_MAX to all: all but one are there already, of whom does not matter. */
static void test_calls_of_all_peers(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 21);
    struct h_node *n = &p.h->node[0];
    sh_pid a = h_spawn(p.h, 0), theirs = h_pid(p.h, 0, 1, (sh_pid){.actor = 9}), reply;
    sh_remote_export(n->remote, a);
    uint32_t index, cursor = 0;
    void *object;
    while (n->remote->calls_in.count < SH_CALLS_IN_MAX - 1) {
        assert_non_null(sh_call_in_new(n->remote, session(&p)->peer, &reply, &index));
    }
    while (n->remote->calls.count < SH_CALLS_OUT_MAX - 1) {
        assert_int_equal(sh_slab_alloc(&n->remote->calls, &index, NULL, &object), 0);
    }
    struct ask_note *x[2];
    for (unsigned i = 0; i < 2; i++) {
        puppet_put(&p, &(struct sh_frame){.type = SH_FRAME_ASK,
                                          .call = 1 + i,
                                          .left_ms = 600000,
                                          .target = who(a.actor),
                                          .name = sh_span_str("never")});
        x[i] = h_ask(p.h, 0, theirs, "n", 1, 300, NULL);
        puppet_run(&p, 20);
        assert_int_equal(p.replies[-SH_E_LIMIT], i);
        assert_int_equal(x[i]->ends, i);
    }
    assert_int_equal(x[1]->code, SH_E_LIMIT);
    assert_int_equal(n->bad_peers, 0);
    puppet_run(&p, 500);
    for (struct sh_call_in *c; (c = sh_slab_next(&n->remote->calls_in, &cursor, NULL)) != NULL;) {
        if (sh_list_empty(&c->link)) {
            sh_call_in_free(n->remote, c);
        }
    }
    puppet_end(&p);
}

/* SH_SESSION_WATCHES_MAX */
static void test_watches_of_a_peer(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 6);
    sh_pid a = h_spawn(p.h, 0);
    sh_remote_export(p.h->node[0].remote, a);
    struct sh_frame f = {.type = SH_FRAME_WATCH, .target = who(a.actor)};
    for (unsigned i = 0; i < SH_SESSION_WATCHES_MAX + 5; i++) {
        f.call = 1 + i;
        f.other = who((UINT64_C(1) << 32) + i);
        puppet_put(&p, &f);
        if (i % 32 == 31) {
            puppet_run(&p, 2);
        }
    }
    puppet_run(&p, 30);
    assert_int_equal(p.replies[-SH_E_LIMIT], 5);
    assert_int_equal(p.replies[0], SH_SESSION_WATCHES_MAX);
    assert_int_equal(p.h->node[0].bad_peers, 0);
    puppet_put(&p, &(struct sh_frame){.type = SH_FRAME_UNWATCH,
                                      .target = who(a.actor),
                                      .other = who(UINT64_C(1) << 32)});
    f.call++;
    puppet_put(&p, &f);
    puppet_run(&p, 30);
    assert_int_equal(p.replies[-SH_E_LIMIT], 5);
    puppet_end(&p);
}

/* SH_SESSION_STREAMS_MAX: one more is reset; those before it stay. */
static void test_streams_of_a_peer(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 7);
    sh_stream *more[3];
    p.reads = false;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sh_swarm_open(p.swarm, p.node0, 0, NULL, &more[i]), 0);
        puppet_run(&p, 5);
        assert_int_equal(more[i]->ending, i > 0);
    }
    assert_false(p.out->ending);
    puppet_end(&p);
}

/* SH_PEER_MESSAGE_MAX: however much it says it takes. */
static void test_largest_message_of_a_peer(void **state)
{
    (void)state;
    static const uint64_t said[] = {1024, SH_PEER_MESSAGE_MAX, SH_PEER_MESSAGE_MAX + UINT64_C(1),
                                    UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct puppet p;
        puppet_hello(&p, 14, said[i]);
        uint64_t kept = said[i] < SH_PEER_MESSAGE_MAX ? said[i] : SH_PEER_MESSAGE_MAX;
        assert_int_equal(session(&p)->message_max, kept);
        puppet_end(&p);
    }
}

/* SH_FRAME_EXTRA_MAX over the largest value: the length of a frame says enough. */
static void test_long_frame(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct puppet p;
        uint8_t head[8];
        puppet_start(&p, 15);
        int n = sh_uvarint_put(head, SH_MESSAGE_MAX + SH_FRAME_EXTRA_MAX + over);
        assert_int_equal(sh_stream_write(p.out, sh_span_of(head, (size_t)n)), n);
        puppet_run(&p, 20);
        assert_int_equal(p.h->node[0].bad_peers, over);
        puppet_end(&p);
    }
}

/* Asks of the puppet, each answered with `n` bytes that it does not read, until the session ends; returns the most that
 * node 0 held. */
static size_t answer_unread(struct puppet *p, uint8_t *big, size_t n)
{
    struct h_node *node = &p->h->node[0];
    sh_pid a = h_spawn(p->h, 0);
    sh_remote_export(node->remote, a);
    p->reads = false;
    p->h->net->window = 1000;
    big[0] = 0xc6;
    sh_store_u32be(big + 1, (uint32_t)n - 5);
    size_t most = 0;
    for (unsigned asks = 0; asks < 400 && !p->out->ending; asks++) {
        puppet_put(p, &(struct sh_frame){.type = SH_FRAME_ASK,
                                         .call = 1 + asks,
                                         .left_ms = 600000,
                                         .target = who(a.actor),
                                         .name = sh_span_str("never")});
        puppet_run(p, 3);
        if (!p->out->ending && node->held_n > 0) {
            struct sh_result r = {.value = sh_span_of(big, n)};
            sh_runtime_reply(node->rt, TOKEN, node->held[--node->held_n], &r);
            puppet_run(p, 3);
        }
        most = node->quota.used > most ? node->quota.used : most;
    }
    return most;
}

/* SH_SESSION_MEMORY_MAX beside four messages of ours: a peer that says it takes messages of any size is owed no more. */
static void test_memory_of_a_session(void **state)
{
    (void)state;
    enum { BIG = 1000000, ROOM = SH_SESSION_MEMORY_MAX + 4 * SH_MESSAGE_MAX };
    static uint8_t big[BIG];
    struct puppet p;
    puppet_hello(&p, 17, SH_PEER_MESSAGE_MAX);
    assert_int_equal(session(&p)->quota.limit, ROOM);
    size_t most = answer_unread(&p, big, BIG);
    assert_true(p.out->ending);
    assert_in_range(most, ROOM / 2, ROOM + 200000);
    assert_true(p.h->node[0].quota.used < 200000);
    puppet_end(&p);
}

/* SH_SESSION_UNREAD_MAX: it asks and reads no answers; the session ends before more is kept for it. */
static void test_unread_answers(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct puppet p;
    puppet_start(&p, 8);
    size_t most = answer_unread(&p, big, sizeof big);
    assert_true(p.out->ending);
    assert_in_range(most, SH_SESSION_UNREAD_MAX, SH_SESSION_UNREAD_MAX + (1 << 20) + 65536);
    assert_true(p.h->node[0].quota.used < 65536);
    puppet_end(&p);
}

/* Tells that were handled just before a goodbye, of their sender or of who handled them, are not lost. */
static void test_goodbye_after_tells(void **state)
{
    (void)state;
    for (int leaver = 0; leaver < 2; leaver++) {
        struct harness *h = h_new(15, 2);
        sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
        h_tell(h, 0, ab, 0);
        h_run(h, 60);
        for (uint32_t i = 1; i < 6; i++) {
            h_tell(h, 0, ab, i);
        }
        while (h->node[1].seen_n < 6) {
            h_run(h, 1);
        }
        sh_remote_goodbye(h->node[leaver].remote, 5000, sh_span_str("closing"), h->now);
        h_run(h, 40);
        assert_true(sh_remote_goodbye_done(h->node[leaver].remote));
        assert_int_equal(h->node[0].lost, 0);
        h_free(h);
    }
}

/* SH_BYE_ANSWER_MS: a goodbye without an answer, then an end of our stream without one of theirs. */
static void test_goodbye_unanswered(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 10);
    struct sh_remote *r = p.h->node[0].remote;
    sh_remote_goodbye(r, 5000, sh_span_str("bye"), p.h->now);
    puppet_run(&p, 2 * SH_BYE_ANSWER_MS - 1);
    assert_false(sh_remote_goodbye_done(r));
    puppet_run(&p, 5);
    assert_true(sh_remote_goodbye_done(r));
    assert_int_equal(p.h->node[0].bad_peers, 0);
    puppet_end(&p);
}

/* SH_HELLO_TIMEOUT_MS: a stream on which nothing comes. */
static void test_no_hello(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 11);
    sh_stream *more;
    p.reads = false;
    assert_int_equal(sh_swarm_open(p.swarm, p.node0, 0, NULL, &more), 0);
    puppet_run(&p, SH_HELLO_TIMEOUT_MS - 1);
    assert_false(more->ending);
    puppet_run(&p, 10);
    assert_true(more->ending);
    assert_false(p.out->ending);
    puppet_end(&p);
}

/* SH_HELLO_MAX: the length of the first frame says enough. */
static void test_long_hello(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct puppet p;
        puppet_start(&p, 12);
        sh_stream *more;
        uint32_t length = SH_HELLO_MAX + over;
        uint8_t head[2] = {(uint8_t)(length | 0x80), (uint8_t)(length >> 7)};
        assert_int_equal(sh_swarm_open(p.swarm, p.node0, 0, NULL, &more), 0);
        assert_int_equal(sh_stream_write(more, sh_span_of(head, 2)), 2);
        puppet_run(&p, 20);
        assert_int_equal(p.h->node[0].bad_peers, over);
        puppet_end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_holders),
        cmocka_unit_test(test_open_calls),
        cmocka_unit_test(test_asks_allocate_nothing),
        cmocka_unit_test(test_places_come_back),
        cmocka_unit_test(test_calls_of_a_peer),
        cmocka_unit_test(test_calls_of_all_peers),
        cmocka_unit_test(test_watches_of_a_peer),
        cmocka_unit_test(test_streams_of_a_peer),
        cmocka_unit_test(test_largest_message_of_a_peer),
        cmocka_unit_test(test_long_frame),
        cmocka_unit_test(test_memory_of_a_session),
        cmocka_unit_test(test_unread_answers),
        cmocka_unit_test(test_goodbye_after_tells),
        cmocka_unit_test(test_goodbye_unanswered),
        cmocka_unit_test(test_no_hello),
        cmocka_unit_test(test_long_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
