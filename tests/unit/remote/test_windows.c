/* tests/unit/remote/test_windows.c - what a peer may send before it is handled, and what it gets back when it was. */
#include "puppet.h"

/* --- of the session --- */

enum { PIECE = 65536, PIECES = SH_SESSION_WINDOW / PIECE, TARGETS = 4 };

/* A TELL to one of a few actors that counts for `cost` bytes. */
static void tell_bytes(struct puppet *p, const sh_pid to[TARGETS], unsigned i, size_t cost)
{
    static uint8_t value[PIECE];
    size_t n = cost - SH_MESSAGE_OVERHEAD - 1;
    value[0] = 0xc5;
    sh_store_u16be(value + 1, (uint16_t)(n - 3));
    puppet_put(p, &(struct sh_frame){.type = SH_FRAME_TELL,
                                     .target = who(to[i % TARGETS].actor),
                                     .name = sh_span_str("n"),
                                     .value = sh_span_of(value, n)});
    puppet_run(p, 3);
}

static void spawn_targets(struct puppet *p, sh_pid to[TARGETS])
{
    for (unsigned i = 0; i < TARGETS; i++) {
        to[i] = h_spawn(p->h, 0);
        sh_remote_export(p->h->node[0].remote, to[i]);
    }
}

/* SH_SESSION_WINDOW of bytes that nobody has handled; it is there again when they were. */
static void test_session_window(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct puppet p;
        sh_pid to[TARGETS];
        puppet_start(&p, 22);
        struct h_node *n = &p.h->node[0];
        spawn_targets(&p, to);
        n->frozen = true;
        for (unsigned i = 0; i < PIECES; i++) {
            tell_bytes(&p, to, i, PIECE);
        }
        assert_int_equal(session(&p)->in_bytes, SH_SESSION_WINDOW);
        assert_int_equal(n->bad_peers, 0);
        n->frozen = over == 0;
        puppet_run(&p, 30);
        assert_int_equal(n->seen_n, over ? PIECES : 0);
        tell_bytes(&p, to, 0, 200);
        assert_int_equal(n->bad_peers, 1 - over);
        puppet_end(&p);
    }
}

/* SH_ORPHANS_MAX bytes of sessions that have ended may wait in mailboxes; beyond, a session has SH_ORPHANS_WINDOW, and
 * what exceeds that is lost. */
static void test_orphans(void **state)
{
    (void)state;
    enum { SESSIONS = SH_ORPHANS_MAX / SH_SESSION_WINDOW, SMALL = SH_ORPHANS_WINDOW / 4 };
    struct puppet p;
    sh_pid to[TARGETS];
    puppet_start(&p, 23);
    struct h_node *n = &p.h->node[0];
    spawn_targets(&p, to);
    n->frozen = true;
    for (unsigned s = 0; s <= SESSIONS;
         s++) { /* with exactly SH_ORPHANS_MAX the last has it all still */
        for (unsigned i = 0; i < PIECES; i++) {
            tell_bytes(&p, to, i, PIECE);
        }
        assert_int_equal(n->remote->orphan_bytes, s * (uint64_t)SH_SESSION_WINDOW);
        assert_int_equal(p.lost, 0);
        puppet_again(&p);
    }
    assert_true(n->remote->orphan_bytes > SH_ORPHANS_MAX);
    for (unsigned i = 0; i < 4; i++) {
        tell_bytes(&p, to, i, SMALL);
    }
    puppet_run(&p, 30);
    assert_int_equal(p.lost, 0);
    tell_bytes(&p, to, 0, 200);
    puppet_run(&p, 30);
    assert_int_equal(p.lost, 1);
    assert_int_equal(n->bad_peers, 0);
    n->frozen = false;
    puppet_run(&p, 60);
    assert_int_equal(n->remote->orphan_bytes, 0);
    assert_int_equal(n->seen_n, (SESSIONS + 1) * PIECES + 4);
    tell_bytes(&p, to, 0, 200);
    puppet_run(&p, 30);
    assert_int_equal(n->seen_n, (SESSIONS + 1) * PIECES + 5);
    puppet_end(&p);
}

/* --- of a target --- */

/* SH_TARGET_WINDOW_MAX: of an actor that only memory bounds, as we tell it; and as a peer may widen ours. */
static void test_widest_window(void **state)
{
    (void)state;
    static const struct {
        int64_t mailbox;
        uint64_t wider;
    } rows[] = {
        {1, 0},
        {SH_TARGET_WINDOW_START / SH_TARGET_WINDOW_MAILBOXES, 0},
        {SH_TARGET_WINDOW_START / SH_TARGET_WINDOW_MAILBOXES + 1, SH_TARGET_WINDOW_MAILBOXES},
        {SH_TARGET_WINDOW_MAX / SH_TARGET_WINDOW_MAILBOXES - 1,
         SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START - SH_TARGET_WINDOW_MAILBOXES},
        {SH_TARGET_WINDOW_MAX / SH_TARGET_WINDOW_MAILBOXES,
         SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START},
        {SH_TARGET_WINDOW_MAX, SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START},
        {SH_TARGET_WINDOW_MAX + 1, SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START},
        {0, SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct puppet p;
        puppet_start(&p, 16);
        struct h_node *n = &p.h->node[0];
        struct sh_spawn opt;
        sh_pid a;
        sh_spawn_init(&opt);
        opt.mailbox = rows[i].mailbox;
        assert_int_equal(sh_runtime_spawn(n->rt, TOKEN, 0, n->type, &opt, &a), 0);
        sh_remote_export(n->remote, a);
        puppet_put(&p, &(struct sh_frame){.type = SH_FRAME_TELL,
                                          .target = who(a.actor),
                                          .name = sh_span_str("n")});
        puppet_run(&p, 30);
        assert_int_equal(p.wider, rows[i].wider);
        puppet_end(&p);
    }
    struct puppet p;
    puppet_start(&p, 16);
    sh_pid theirs = h_pid(p.h, 0, 1, (sh_pid){.actor = 9});
    assert_int_equal(h_tell(p.h, 0, theirs, 1), 0);
    puppet_run(&p, 20);
    struct sh_frame f = {.type = SH_FRAME_CREDIT,
                         .target = who(9),
                         .messages = 1,
                         .bytes = SH_MESSAGE_OVERHEAD + 1 + 5,
                         .wider = SH_TARGET_WINDOW_MAX - SH_TARGET_WINDOW_START};
    puppet_put(&p, &f);
    puppet_run(&p, 20);
    assert_int_equal(p.h->node[0].bad_peers, 0);
    f.messages = f.bytes = 0;
    f.wider = 1;
    puppet_put(&p, &f);
    puppet_run(&p, 20);
    assert_int_equal(p.h->node[0].bad_peers, 1);
    puppet_end(&p);
}

/* SH_CREDIT_DELAY_MS, or at once when a quarter of the window is due. */
static void test_credit_leaves(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 19);
    struct h_node *n = &p.h->node[0];
    struct sh_spawn opt;
    sh_pid a;
    sh_spawn_init(&opt);
    opt.mailbox = SH_TARGET_WINDOW_START; /* the rest must come before the delay is over */
    assert_int_equal(sh_runtime_spawn(n->rt, TOKEN, 0, n->type, &opt, &a), 0);
    sh_remote_export(p.h->node[0].remote, a);
    struct sh_frame f = {.type = SH_FRAME_TELL, .target = who(a.actor), .name = sh_span_str("n")};
    puppet_put(&p, &f);
    while (p.h->node[0].seen_n == 0) {
        puppet_run(&p, 1);
    }
    puppet_run(&p, SH_CREDIT_DELAY_MS - 2);
    assert_int_equal(p.credits, 0);
    puppet_run(&p, 4);
    assert_int_equal(p.credits, 1);
    assert_true(p.wider > 0);
    uint64_t window = SH_TARGET_WINDOW_START + p.wider;
    for (unsigned i = 0; i < window / 4; i++) {
        puppet_put(&p, &f);
    }
    while (p.h->node[0].seen_n < 1 + window / 4) {
        puppet_run(&p, 1);
        assert_true(p.credits == 1 || p.h->node[0].seen_n == 1 + window / 4);
    }
    puppet_run(&p, 3);
    assert_int_equal(p.credits, 2);
    puppet_end(&p);
}

/* SH_CONFIRM_MS: an ask that is too late waits so long for the other side to say whether it was handled. */
static void test_no_confirmation(void **state)
{
    (void)state;
    struct puppet p;
    puppet_start(&p, 20);
    sh_pid theirs = h_pid(p.h, 0, 1, (sh_pid){.actor = 9});
    struct ask_note *x = h_ask(p.h, 0, theirs, "never", 1, 500, NULL);
    uint64_t end_us = p.h->now + 500000 + SH_CONFIRM_MS * 1000;
    puppet_run(&p, (unsigned)((end_us - p.h->now) / 1000) - 2);
    assert_int_equal(x->ends, 0);
    puppet_run(&p, 4);
    assert_int_equal(x->ends, 1);
    assert_int_equal(x->code, SH_E_TIMEOUT);
    assert_int_equal(x->delivery, SH_UNKNOWN);
    puppet_end(&p);
}

/* A TELL to each of `count` actors: live ones, or invented ones from `first` on. */
static void tell_each(struct puppet *p, unsigned count, uint64_t first, sh_pid *live)
{
    struct h_node *n = &p->h->node[0];
    struct sh_frame f = {.type = SH_FRAME_TELL, .name = sh_span_str("n")};
    for (unsigned i = 0; i < count; i++) {
        f.target = who(first + i);
        if (live) {
            live[i] = h_spawn(p->h, 0);
            sh_remote_export(n->remote, live[i]);
            f.target = who(live[i].actor);
        }
        puppet_put(p, &f);
        if (i % 256 == 255 || i + 1 == count) {
            puppet_run(p, 15);
            assert_true(session(p)->own.count <= SH_SESSION_TARGETS_MAX);
        }
    }
    assert_int_equal(n->bad_peers, 0);
}

/* SH_SESSION_WIDE_MAX actors get a wider window, and are remembered for it while they live; beyond SH_SESSION_TARGETS_MAX
 * all others that are idle are forgotten, and the session goes on. */
static void test_targets_of_a_session(void **state)
{
    (void)state;
    enum { MORE = 5, DEAD = 3 };
    static sh_pid live[SH_SESSION_WIDE_MAX + MORE];
    struct puppet p;
    puppet_start(&p, 18);
    tell_each(&p, SH_SESSION_WIDE_MAX, 0, live);
    assert_int_equal(p.wides, SH_SESSION_WIDE_MAX);
    tell_each(&p, MORE, 0, live + SH_SESSION_WIDE_MAX);
    assert_int_equal(p.wides, SH_SESSION_WIDE_MAX);
    assert_int_equal(session(&p)->own.count, SH_SESSION_WIDE_MAX + MORE);
    for (unsigned i = 0; i < DEAD; i++) {
        sh_runtime_kill(p.h->node[0].rt, TOKEN, live[i], sh_span_none());
    }
    uint64_t invented = UINT64_C(1) << 40;
    unsigned room = SH_SESSION_TARGETS_MAX - SH_SESSION_WIDE_MAX - MORE;
    tell_each(&p, room, invented, NULL);
    assert_int_equal(session(&p)->own.count, SH_SESSION_TARGETS_MAX);
    tell_each(&p, 1, invented + room, NULL);
    assert_int_equal(session(&p)->own.count, SH_SESSION_WIDE_MAX - DEAD + 1);
    tell_each(&p, MORE, 0, live); /* there are places again */
    assert_int_equal(p.wides, SH_SESSION_WIDE_MAX + DEAD);
    puppet_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_window),  cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_widest_window),   cmocka_unit_test(test_credit_leaves),
        cmocka_unit_test(test_no_confirmation), cmocka_unit_test(test_targets_of_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
