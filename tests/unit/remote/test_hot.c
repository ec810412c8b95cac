/* tests/unit/remote/test_hot.c - what makes the session fast must not lose or keep anything: caches of what was found
 * last, values written without a copy, tables that begin small, room told to who polls for it. */
#include "harness.h"
#include "remote/native.h"

enum { MANY = 70 };

/* Who was refused by the queue to a peer is told once when there is room again; nobody else is. */
static void test_room_back(void **state)
{
    (void)state;
    struct harness *h = h_new(31, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    sh_runtime *rt = h->node[0].rt;
    h->node[1].frozen = true;
    int rc = 0;
    for (uint32_t i = 0; i < 100000 && rc == 0; i++) {
        rc = h_tell(h, 0, ab, i);
    }
    assert_int_equal(rc, SH_E_MAILBOX_FULL);
    assert_false(sh_runtime_room_back(rt)); /* not yet */
    h_run(h, 100);
    assert_true(sh_runtime_room_back(rt)); /* the window's worth has left */
    assert_false(sh_runtime_room_back(rt));
    h->node[1].frozen = false;
    h_run(h, 400);
    assert_false(sh_runtime_room_back(rt)); /* nobody was refused since */
    assert_int_equal(h_tell(h, 0, ab, 1), 0);
    h_free(h);
}

static sh_span big_value(size_t n)
{
    static uint8_t big[400000];
    assert_true(n + 5 <= sizeof big);
    big[0] = 0xc6;
    sh_store_u32be(big + 1, (uint32_t)n);
    return sh_span_of(big, n + 5);
}

static int tell_big(struct harness *h, sh_pid to, size_t n)
{
    return sh_runtime_tell(h->node[0].rt, TOKEN, to, sh_span_str("big"), big_value(n));
}

/* A value that is half written when its session ends is given back, its room in the queue too, every time. */
static void test_cut_in_a_large_value(void **state)
{
    (void)state;
    struct harness *h = h_new(32, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    h->net->window = 20000;
    h->net->piece = 1000;
    for (unsigned round = 0; round < 30; round++) {
        assert_int_equal(tell_big(h, ab, 300000), 0); /* 9 MB in all, the queue holds one */
        h_run(h, 1 + round % 7);
        fake_net_cut(h->net, 0, 1);
        h_run(h, 60);
    }
    h->net->piece = 4096;
    h->net->window = 256 * 1024;
    h_run(h, 3000);
    struct ask_note *last = h_ask(h, 0, ab, "n", 7, 2000, NULL);
    h_run(h, 200);
    assert_int_equal(last->code, 0);
    assert_int_equal(h->node[0].bad_peers + h->node[1].bad_peers, 0);
    h_free(h); /* nothing is left of any */
}

/* Behind a half written value everything keeps its order, small ones and control frames too. */
static void test_behind_a_large_value(void **state)
{
    (void)state;
    for (size_t window = 1; window < 12000; window = window * 3 + 7) {
        struct harness *h = h_new(33, 2);
        sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
        h->net->window = window + 200;
        for (uint32_t i = 0; i < 30; i++) {
            assert_int_equal(tell_big(h, ab, 4090 + i), 0); /* about NATIVE_LARGE */
            assert_int_equal(h_tell(h, 0, ab, i), 0);
        }
        struct ask_note *last = h_ask(h, 0, ab, "n", 99, 20000, NULL);
        h_run(h, 5000);
        assert_int_equal(h->node[1].seen_n, 30);
        for (uint32_t i = 0; i < 30; i++) {
            assert_int_equal(h->node[1].seen[i], i);
        }
        assert_int_equal(last->value, 99);
        assert_int_equal(h->node[1].bad_peers, 0);
        h_free(h);
    }
}

/* Tables of targets and of names on their way from 4 entries up, and in a second session all anew. */
static void test_tables_grow(void **state)
{
    (void)state;
    struct harness *h = h_new(34, 2);
    sh_pid to[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        to[i] = h_pid(h, 0, 1, h_spawn(h, 1));
    }
    for (unsigned session = 0; session < 2; session++) {
        size_t before = h->node[1].seen_n;
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < MANY; i++) {
                char name[32];
                snprintf(name, sizeof name, "nobody takes %u", i);
                assert_int_equal(h_tell(h, 0, to[i], i), 0);
                assert_int_equal(
                    sh_runtime_tell(h->node[0].rt, TOKEN, to[i], sh_span_str(name), big_value(1)),
                    0);
            }
        }
        h_run(h, 200);
        assert_int_equal(h->node[1].seen_n - before, 2 * MANY);
        unsigned of[MANY] = {0}; /* in order for each target only */
        for (size_t i = 0; i < 2 * MANY; i++) {
            of[h->node[1].seen[before + i] % MANY]++;
        }
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(of[i], 2);
        }
        assert_int_equal(h->node[1].bad_peers, 0);
        fake_net_cut(h->net, 0, 1);
        h_run(h, 100);
    }
    h_free(h);
}

/* No memory at each point of their growing: the session ends, the next one works, and nothing is left. */
static void test_tables_without_memory(void **state)
{
    (void)state;
    for (size_t fail = 1; fail < 60; fail++) {
        struct harness *h = h_new(35, 2);
        sh_pid to[18];
        for (unsigned i = 0; i < 18; i++) {
            to[i] = h_pid(h, 0, 1, h_spawn(h, 1));
        }
        h_tell(h, 0, to[0], 0);
        h_run(h, 60);
        sh_mem_counter *c = &h->node[1].counter;
        atomic_store(&c->fail_at, atomic_load(&c->allocations) + fail);
        for (unsigned i = 0; i < 18; i++) {
            h_tell(h, 0, to[i], i);
        }
        h_run(h, 400);
        atomic_store(&c->fail_at, 0);
        size_t before = h->node[1].seen_n;
        for (unsigned i = 0; i < 18; i++) {
            h_ask(h, 0, to[i], "n", i, 3000, NULL);
        }
        h_run(h, 400);
        assert_true(h->node[1].seen_n >= before);
        for (size_t i = 0; i < h->asks_n; i++) {
            assert_int_equal(h->asks[i].code, 0);
        }
        h_free(h);
    }
}

/* What was found last is not found in the next session: cut after cut, names and windows are told anew. */
static void test_caches_end_with_the_session(void **state)
{
    (void)state;
    struct harness *h = h_new(36, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    for (uint32_t i = 0; i < 40; i++) {
        struct ask_note *a = h_ask(h, 0, ab, i % 2 ? "n" : "never", i, 40, NULL);
        assert_int_equal(h_tell(h, 0, ab, i), 0);
        h_run(h, 60);
        assert_int_equal(a->ends, 1);
        fake_net_cut(h->net, 0, 1);
        h_run(h, 60);
        assert_int_equal(h->node[1].seen_n, i + 1);
    }
    assert_int_equal(h->node[0].bad_peers + h->node[1].bad_peers, 0);
    h_free(h);
}

/* What is written at once and what goes as a message are of one row: in order, each lost or handled, over windows that
 * close, asks in between and cuts. */
static void order_of_both(uint64_t seed, bool cuts)
{
    struct harness *h = h_new(seed, 2);
    struct h_node *far = &h->node[1];
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    uint32_t told = 0;
    for (unsigned i = 0; i < 3000; i++) {
        unsigned what = (unsigned)sh_rng_below(&h->net->rng, 64);
        if (what < 40) {
            told += h_tell_from(h, 0, ab, told + 1, what > 3) == 0;
        } else if (what < 44) {
            h_ask(h, 0, ab, "n", i, 20000, NULL);
        } else if (what < 60) {
            h_run(h, what % 4);
        } else if (what < 63) {
            far->frozen = !far->frozen;
        } else if (cuts && i % 8 == 0) {
            fake_net_cut(h->net, 0, 1);
        }
    }
    far->frozen = false;
    h_run(h, 2000);
    assert_true(h->node[0].told_at_once > 100);
    assert_true(far->seen_n <= told);
    assert_true(far->seen_n + h->node[0].lost >= told); /* lost: or perhaps handled */
    assert_true(cuts || (far->seen_n == told && h->node[0].lost == 0));
    for (size_t i = 1; i < far->seen_n; i++) {
        assert_true(far->seen[i] > far->seen[i - 1]);
    }
    assert_int_equal(h->node[0].bad_peers + far->bad_peers, 0);
    h_free(h);
}

static void test_order_of_both(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 120; seed++) {
        order_of_both(seed, seed % 2 == 0);
    }
}

/* At once only as the one before, to the same, with room in the window, while nobody has said goodbye. */
static void test_at_once_or_not(void **state)
{
    (void)state;
    struct harness *h = h_new(37, 2);
    struct h_node *n = &h->node[0];
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    sh_pid other = h_pid(h, 0, 1, h_spawn(h, 1));
    sh_span name = sh_span_str("n"), value = sh_span_of((const uint8_t *)"\x01", 1);
    static uint8_t big[200] = {0xc4, 198};
    bool full;
    assert_false(sh_remote_tell(n->remote, ab, name, value, &full)); /* no session */
    h_tell(h, 0, ab, 1);
    h_run(h, 60);
    assert_false(sh_remote_tell(n->remote, other, name, value, &full));
    assert_false(sh_remote_tell(n->remote, ab, sh_span_str("never"), value, &full));
    assert_false(sh_remote_tell(n->remote, ab, name, sh_span_of(big, sizeof big), &full));
    unsigned at_once = 0, writes = 0;
    h->node[1].frozen = true;
    while (sh_remote_tell(n->remote, ab, name, value, &full)) {
        at_once++;
        writes += full;
    }
    assert_int_equal(at_once, SH_TARGET_WINDOW_MAILBOXES * SH_MAILBOX_DEFAULT);
    assert_int_equal(writes, at_once * 6 / (SH_REMOTE_SCRATCH - SH_FRAME_HEAD_MAX));
    assert_true(full); /* what was told must be seen to make room */
    assert_int_equal(h_tell(h, 0, ab, 2), 0);
    h->node[1].frozen = false;
    h_run(h, 3000);
    assert_int_equal(h->node[1].seen_n, at_once + 2);
    assert_true(sh_remote_tell(n->remote, ab, name, sh_span_none(), &full));
    sh_remote_goodbye(n->remote, 1000, sh_span_str("stopping"), h->now);
    assert_false(sh_remote_tell(n->remote, ab, name, value, &full));
    h_run(h, 60);
    assert_int_equal(h->node[1].seen_n, at_once + 3);
    h_free(h);
}

/* What a stream does not take is not added to at once: it waits as messages, which the queue to the peer bounds. */
static void test_not_at_once_when_cut_short(void **state)
{
    (void)state;
    struct harness *h = h_new(38, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    sh_span name = sh_span_str("n"), value = sh_span_of((const uint8_t *)"\x01", 1);
    bool full;
    h_tell(h, 0, ab, 1);
    h_run(h, 60);
    h->net->window = 2000;
    h->node[1].frozen = true;
    uint32_t at_once = 0;
    while (sh_remote_tell(h->node[0].remote, ab, name, value, &full)) {
        at_once++;
    }
    assert_in_range(at_once, 1, SH_REMOTE_SCRATCH / 6);
    assert_false(sh_remote_tell(h->node[0].remote, ab, name, value, &full));
    h->node[1].frozen = false;
    h_run(h, 3000);
    assert_int_equal(h->node[1].seen_n, at_once + 1);
    h_free(h);
}

/* Who asked is found by his address, by nothing like it, and only while he waits. */
static void test_asker_is_found(void **state)
{
    (void)state;
    struct harness *h = h_new(40, 2);
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    for (uint32_t i = 0; i < 20; i++) {
        h_ask(h, 0, ab, "never", i, 100, NULL);
    }
    h_run(h, 60);
    struct native *n = h->node[0].remote->peers[ab.node]->native;
    sh_pid reply = sh_pid_none();
    unsigned found = 0;
    SH_LIST_FOREACH(it, &n->calls_all)
    {
        struct native_call *c = SH_CONTAINER(it, struct native_call, link);
        reply = c->reply;
        assert_ptr_equal(native_call_of(n, reply), c);
        found++;
    }
    assert_int_equal(found, 20);
    sh_pid younger = reply, stranger = reply, inbound = reply;
    younger.actor += UINT64_C(1) << 32; /* the same slot, used again */
    stranger.node = 7;
    inbound.actor = sh_pid_actor(1, SH_CALL_IN_EXECUTOR, sh_pid_slot(reply.actor));
    assert_null(native_call_of(n, younger));
    assert_null(native_call_of(n, stranger));
    assert_null(native_call_of(n, inbound));
    h_run(h, 400);
    assert_null(native_call_of(n, reply));
    h_free(h);
}

/* Asks give their windows back with their replies; who only asks is told of a wider window all the same. */
static void test_asks_widen_the_window(void **state)
{
    (void)state;
    struct harness *h = h_new(39, 2);
    struct h_node *near = &h->node[0];
    sh_pid ab = h_pid(h, 0, 1, h_spawn(h, 1));
    for (uint32_t i = 0; i < 40; i++) {
        h_ask(h, 0, ab, "n", i, 1000, NULL);
    }
    h_run(h, 60);
    struct native *n = near->remote->peers[ab.node]->native;
    assert_int_equal(native_target_of(n, ab.actor, false)->window,
                     SH_TARGET_WINDOW_MAILBOXES * SH_MAILBOX_DEFAULT);
    h->node[1].frozen = true;
    for (uint32_t i = 0; i < 200; i++) {
        h_ask(h, 0, ab, "n", i, 1000, NULL);
    }
    h_run(h, 10);
    assert_int_equal(n->calls.count, 200);
    h->node[1].frozen = false;
    h_run(h, 60);
    assert_int_equal(near->bad_peers + h->node[1].bad_peers, 0);
    h_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_back),
        cmocka_unit_test(test_cut_in_a_large_value),
        cmocka_unit_test(test_behind_a_large_value),
        cmocka_unit_test(test_tables_grow),
        cmocka_unit_test(test_tables_without_memory),
        cmocka_unit_test(test_caches_end_with_the_session),
        cmocka_unit_test(test_order_of_both),
        cmocka_unit_test(test_at_once_or_not),
        cmocka_unit_test(test_not_at_once_when_cut_short),
        cmocka_unit_test(test_asker_is_found),
        cmocka_unit_test(test_asks_widen_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
