/* tests/unit/remote/test_hostile.c - a node of ours against a peer that says what the test wants, on the native wire. */
#include "harness.h"
#include "proto/frame.h"

/* One node of ours, and a peer that is no node: it says what the test wants, on a stream of its own. */
struct puppet {
    struct harness *h;
    sh_swarm *swarm;
    struct sh_peer_ref ours;
};

static void puppet_new(struct puppet *p, uint64_t seed)
{
    p->h = h_new(seed, 1);
    p->swarm = fake_net_node(p->h->net, 1);
    fake_net_connect(p->h->net, 1, 0);
    sh_swarm_peer(p->swarm, &p->h->net->ids[0], &p->ours);
}

static void puppet_say(sh_stream *st, const struct sh_frame *f)
{
    uint8_t buf[4096];
    int bytes = sh_frame_put(f, buf, sizeof buf);
    assert_true(bytes > 0);
    sh_stream_write(st, sh_span_of(buf, (size_t)bytes));
}

static sh_stream *puppet_open(struct puppet *p, uint64_t number, uint64_t answers)
{
    sh_stream *st;
    struct sh_frame hello = {.type = SH_FRAME_HELLO,
                             .version = 1,
                             .incarnation = 5,
                             .number = number,
                             .answers = answers,
                             .message_max = 1 << 20};
    assert_int_equal(sh_swarm_open(p->swarm, p->ours, 0, NULL, &st), 0);
    puppet_say(st, &hello);
    return st;
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
        struct puppet p;
        puppet_new(&p, 21 + i);
        struct harness *h = p.h;
        sh_stream *st = puppet_open(&p, 1, 0);
        for (int k = 0; k < rows[i].times && !st->ending; k++) {
            puppet_say(st, &rows[i].f);
            h_run(h, 2);
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
        struct puppet p;
        puppet_new(&p, 39);
        struct harness *h = p.h;
        sh_pid a = h_spawn(h, 0);
        sh_remote_export(h->node[0].remote, a);
        h->node[0].frozen = true;
        sh_stream *st = puppet_open(&p, 1, 0);
        struct sh_frame f = {.type = SH_FRAME_TELL,
                             .target = {.kind = SH_WHO_ACTOR, .actor = a.actor},
                             .name = sh_span_str("n")};
        for (int i = 0; i < SH_TARGET_WINDOW_START + more; i++) {
            puppet_say(st, &f);
        }
        h_run(h, 60);
        assert_int_equal(h->node[0].bad_peers, more);
        h_free(h);
    }
}

static void say_name(sh_stream *st, const char *name)
{
    puppet_say(st, &(struct sh_frame){.type = SH_FRAME_INTERN, .name = sh_span_str(name)});
}

static void say_target(sh_stream *st, uint64_t actor)
{
    puppet_say(st, &(struct sh_frame){.type = SH_FRAME_INTERN,
                                      .table = SH_TABLE_YOURS,
                                      .target = {.kind = SH_WHO_ACTOR, .actor = actor}});
}

/* `count` TELLs with the same four bytes in front; their values count on from *at. */
static void say_row(sh_stream *st, uint32_t *at, unsigned count)
{
    struct sh_frame f = {
        .type = SH_FRAME_TELL, .target = {.kind = SH_WHO_ENTRY}, .name_known = true};
    for (unsigned i = 0; i < count; i++) {
        uint8_t value[5];
        f.value = h_value(value, (*at)++);
        puppet_say(st, &f);
    }
}

/* TELLs of a row are read together: a table that changes between two of them counts from the next on, wherever the
 * bytes are cut. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 120; piece = piece * 2 + 1) {
        struct puppet p;
        puppet_new(&p, 60 + piece);
        struct h_node *n = &p.h->node[0];
        sh_pid a = h_spawn(p.h, 0);
        sh_remote_export(n->remote, a);
        sh_stream *st = puppet_open(&p, 1, 0);
        h_run(p.h, 20);
        p.h->net->piece = piece;
        uint32_t at = 1;
        for (int round = 0; round < 5; round++) {
            say_name(st, "n");
            say_target(st, a.actor);
            say_row(st, &at, 4);
            say_name(st, "big"); /* handled, and not noted */
            say_row(st, &at, 2);
            say_name(st, "n");
            say_row(st, &at, 1);
            say_target(st, a.actor + 1); /* nobody's: refused */
            say_row(st, &at, 3);
            h_run(p.h, 400);
        }
        assert_int_equal(n->bad_peers, 0);
        assert_int_equal(n->seen_n, 25);
        for (uint32_t i = 0; i < 25; i++) {
            assert_int_equal(n->seen[i], 1 + i / 5 * 10 + (i % 5 < 4 ? i % 5 : 6));
        }
        h_free(p.h);
    }
}

/* What breaks a rule in the middle of a row does so as anywhere. */
static void test_rows_that_break(void **state)
{
    (void)state;
    static const uint8_t bad[] = {8, SH_FRAME_TELL, 3, 0, 1, 0xc1, 0, 0, 0};
    for (int what = 0; what < 3; what++) {
        struct puppet p;
        puppet_new(&p, 90);
        struct h_node *n = &p.h->node[0];
        sh_pid a = h_spawn(p.h, 0);
        sh_remote_export(n->remote, a);
        n->frozen = what > 0;
        sh_stream *st = puppet_open(&p, 1, 0);
        uint32_t at = 1;
        say_name(st, "n");
        say_target(st, a.actor);
        say_row(st, &at, what == 0 ? 3 : SH_TARGET_WINDOW_START + (what == 1));
        if (what == 0) {
            sh_stream_write(st, sh_span_of(bad, sizeof bad));
            say_row(st, &at, 3);
        }
        h_run(p.h, 60);
        assert_int_equal(n->bad_peers, what < 2);
        assert_true(what > 0 || n->seen_n == 3);
        h_free(p.h);
    }
}

/* The pairing rules of the wire, one row each, seen from a node that has opened number 1. */
static void test_pairing(void **state)
{
    (void)state;
    const struct {
        uint64_t number, answers;
        bool kept; /* the stream is the session's incoming one */
    } rows[] = {
        {1, 1, true},  /* 3: answers ours */
        {1, 0, true},  /* 3: simultaneous open */
        {1, 7, false}, /* 5: a stream we do not know */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct puppet p;
        puppet_new(&p, 40 + i);
        struct harness *h = p.h;
        h_tell(h, 0, h_pid(h, 0, 1, (sh_pid){UINT64_C(1) << 32, 0, 0}), 1);
        h_run(h, 5);
        sh_stream *st = puppet_open(&p, rows[i].number, rows[i].answers);
        h_run(h, 10);
        assert_int_equal(st->ending, !rows[i].kept);
        sh_stream *late = puppet_open(&p, rows[i].number, rows[i].answers);
        h_run(h, 10); /* 2: a number seen before is late */
        assert_true(late->ending);
        assert_int_equal(st->ending, !rows[i].kept);
        h_free(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_over_the_window),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_rows_that_break),
        cmocka_unit_test(test_pairing),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
