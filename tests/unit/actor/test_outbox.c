/* The loop's side of the runtime: outbox, peer gates, injected messages and their credit, requests, watches. */
#include "fixture.h"

static sh_pid away(uint64_t actor)
{
    return (sh_pid){.actor = actor, .node = 3, .check = 9};
}

static sh_msg *inject(struct env *env, enum sh_msg_kind kind, sh_pid to, const char *name,
                      const char *value)
{
    struct sh_msg_parts parts = {.name = STR(name), .value = STR(value)};
    sh_msg *m = sh_runtime_msg_new(env->rt, kind, &parts);
    assert_non_null(m);
    m->to = to;
    m->from = away(4);
    m->reply = kind == SH_MSG_ASK || kind == SH_MSG_WATCH ? away(100) : sh_pid_none();
    m->tag = 55;
    sh_runtime_inject(env->rt, m);
    return m;
}

/* Everything in the outbox, as text. */
static void outbox(struct env *env)
{
    static const char *const kinds[] = {"",      "tell",    "ask",  "reply", "cancel", "drain",
                                        "watch", "unwatch", "down", "stop",  "kill"};
    for (sh_msg *m = sh_runtime_take_outbound(env->rt); m; m = sh_runtime_take_outbound(env->rt)) {
        note(env, "%s(%d,%d,%d,%.*s) ", kinds[m->kind], (int)m->to.actor, m->code, m->why,
             (int)m->value_len, (const char *)sh_msg_value(m).p);
        sh_runtime_msg_done(env->rt, m);
    }
}

static void returned(struct env *env)
{
    struct sh_returned r;
    while (sh_runtime_take_returned(env->rt, &r)) {
        if (r.messages > 1) {
            note(env, "%d ", (int)r.messages);
        }
        note(env, "credit(%d,%d,%d,%d,%.*s) ", (int)r.tag, (int)r.bytes, (int)r.mailbox, r.code,
             (int)r.name_len, (const char *)r.name);
    }
}

static void peer_gate(struct env *env, unsigned e)
{
    assert_int_equal(sh_runtime_peer_gate_open(env->rt, 3, 9, 200 + SH_SESSION_QUEUE_EACH), 0);
    sh_exec_enter(sh_runtime_exec(env->rt, e), 1); /* from that executor */
    assert_int_equal(tell(env, away(1), "n", "one"), 0);
    assert_int_equal(tell(env, away(1), "n", "two"), 0); /* may overshoot */
    assert_int_equal(tell(env, away(1), "n", "three"), SH_E_MAILBOX_FULL);
    assert_true(ask(env, away(2), "n", "four") > 0); /* waits */
    assert_int_equal(tell(env, away(2), "n", "five"), SH_E_MAILBOX_FULL);
    sh_exec_leave(sh_runtime_exec(env->rt, e), 1);
    run(env);
    outbox(env);
    EXPECT(env, "tell(1,0,0,one) tell(1,0,0,two) ");
    sh_runtime_peer_gate_give(env->rt, 3, 9, 264 + 2 * SH_SESSION_QUEUE_EACH);
    run(env);
    outbox(env);
    EXPECT(env, "ask(2,0,0,four) ");
    pass(env, 1001000); /* its deadline: the far side is asked to take it back */
    outbox(env);
    EXPECT(env, "cancel(2,0,0,) ");
    pass(env, 101000);
    EXPECT(env, "done(timeout,2,the deadline passed) ");
    assert_int_equal(tell(env, away(1), "n", ""), 0);
    sh_runtime_peer_gate_close(env->rt, 3);
    assert_int_equal(tell(env, away(1), "n", ""), SH_E_UNREACHABLE);
}

/* Who told to another node is asked whether it can be written at once; never past what waits. */
static void told_at_once(struct env *env)
{
    sh_exec *loop = sh_runtime_exec(env->rt, 0);
    sh_runtime_peer_gate_open(env->rt, 3, 9, 200 + SH_SESSION_QUEUE_EACH);
    env->at_once = true;
    assert_int_equal(tell(env, away(1), "n", "one"), 0);
    EXPECT(env, "at_once(1,n,one) ");
    sh_exec_enter(loop, 1); /* who is inside may be anywhere in a turn */
    assert_int_equal(tell(env, away(1), "n", "two"), 0);
    sh_exec_leave(loop, 1);
    assert_int_equal(tell(env, away(1), "n", "three"), 0); /* two waits */
    outbox(env);
    EXPECT(env, "tell(1,0,0,two) tell(1,0,0,three) ");
    assert_int_equal(tell(env, away(1), "n", "four"), 0); /* whatever the gate says */
    EXPECT(env, "at_once(1,n,four) ");
    assert_true(ask(env, away(2), "n", "five") > 0); /* waits for room */
    assert_int_equal(tell(env, away(2), "n", "six"), SH_E_MAILBOX_FULL);
    EXPECT(env, "");
    sh_pid a = spawn(env); /* nobody is asked about our own */
    assert_int_equal(tell(env, a, "nop", "seven"), 0);
    EXPECT(env, "");
}

static void answers_from_there(struct env *env)
{
    sh_runtime_peer_gate_open(env->rt, 3, 9, 1 << 20);
    ask(env, away(2), "n", "q");
    sh_msg *m = sh_runtime_take_outbound(env->rt);
    assert_int_equal(m->kind, SH_MSG_ASK);
    struct sh_result r = {.value = STR("there")};
    sh_runtime_reply(env->rt, 1, m->reply, &r);
    sh_runtime_msg_done(env->rt, m);
    run(env);
    EXPECT(env, "done(there) ");
}

static void injected(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, 3);
    for (int i = 0; i < 5; i++) { /* past the mailbox limit: remote's windows bound them */
        inject(env, SH_MSG_TELL, a, "nop", "12345");
    }
    returned(env);
    EXPECT(env, "");
    inject(env, SH_MSG_ASK, a, "echo", "v");
    inject(env, SH_MSG_TELL, a, "unknown", "");
    run(env);
    outbox(env);
    returned(env);
    EXPECT(env, "echo(v) reply(100,0,0,v) "
                "credit(55,133,3,0,echo) credit(55,135,3,-5,unknown) 5 credit(55,680,3,0,) ");
    inject(env, SH_MSG_TELL, a, "hold", "");
    run(env);
    returned(env);
    EXPECT(env, "hold() "); /* no credit while it is handled */
    inject(env, SH_MSG_TELL, a, "echo", "x");
    inject(env, SH_MSG_ASK, a, "echo", "y");
    sh_runtime_kill(env->rt, 1, a, sh_span_none());
    run(env);
    outbox(env);
    returned(env);
    assert_non_null(strstr(env->log, "reply(100,-3,1,) "));
    assert_non_null(strstr(env->log, "credit(55,133,0,0,) ")); /* the ask, as its own answer */
    env->log[0] = 0;
    inject(env, SH_MSG_TELL, a, "echo", "");
    inject(env, SH_MSG_ASK, a, "echo", "");
    run(env);
    outbox(env);
    returned(env);
    EXPECT(env, "reply(100,-3,1,) credit(55,132,0,-3,echo) credit(55,132,0,0,) ");
}

/* Handled tells come back as one if they are of one tag to one actor; what differs comes by itself. */
static void handled_in_a_row(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, 7);
    sh_pid b = spawn_in(env, e, env->type, 9);
    inject(env, SH_MSG_TELL, a, "nop", "1");
    inject(env, SH_MSG_TELL, a, "nop", "12");
    inject(env, SH_MSG_TELL, b, "nop", "123");
    inject(env, SH_MSG_TELL, a, "nop", "");
    run(env);
    returned(env);
    EXPECT(env, "credit(55,134,9,0,nop) 3 credit(55,396,7,0,) ");
    struct sh_returned none;
    assert_false(sh_runtime_take_returned(env->rt, &none));
    inject(env, SH_MSG_TELL, b, "nop", ""); /* the row of a is over */
    inject(env, SH_MSG_TELL, b, "nop", "")->tag = 56;
    inject(env, SH_MSG_TELL, b, "nop", "");
    run(env);
    returned(env);
    EXPECT(env, "credit(56,131,9,0,nop) 2 credit(55,262,9,0,) ");
}

/* The handler that ran last is remembered: another name, of the same length too, finds its own. */
static void names_in_turn(struct env *env)
{
    sh_pid a = spawn(env);
    inject(env, SH_MSG_TELL, a, "echo", "1");
    inject(env, SH_MSG_TELL, a, "echo", "2");
    inject(env, SH_MSG_TELL, a, "none", "3");
    inject(env, SH_MSG_TELL, a, "echo", "4");
    inject(env, SH_MSG_TELL, a, "nop", "5");
    inject(env, SH_MSG_TELL, a, "echo", "6");
    run(env);
    EXPECT(env, "echo(1) echo(2) echo(4) echo(6) ");
    returned(env);
    EXPECT(env, "credit(55,133,1024,-5,none) 5 credit(55,664,1024,0,) ");
}

static void deferred_credit(struct env *env)
{
    sh_pid a = spawn(env);
    inject(env, SH_MSG_ASK, a, "defer", "");
    run(env);
    returned(env);
    outbox(env);
    EXPECT(env, "defer() credit(55,133,1024,0,defer) ");
    struct sh_result r = {.code = SH_E_HANDLER, .delivery = SH_HANDLED};
    sh_runtime_reply(env->rt, 1, env->promise, &r);
    outbox(env);
    EXPECT(env, "reply(100,-7,3,) ");
}

static void withdrawn_by_a_peer(struct env *env, unsigned e)
{
    sh_pid a = spawn_in(env, e, env->type, -1);
    inject(env, SH_MSG_ASK, a, "hold", "");
    run(env);
    sh_msg *m = inject(env, SH_MSG_CANCEL, a, "", "");
    (void)m;
    run(env);
    outbox(env);
    EXPECT(env, "hold() "); /* that CANCEL named no ask */
    struct sh_msg_parts none = {0};
    m = sh_runtime_msg_new(env->rt, SH_MSG_CANCEL, &none);
    m->to = a;
    m->reply = away(100);
    sh_runtime_inject(env->rt, m);
    run(env);
    outbox(env);
    EXPECT(env, "reply(100,-13,2,) ");
}

static void watches(struct env *env, unsigned e)
{
    sh_runtime_peer_gate_open(env->rt, 3, 9, 1 << 20);
    sh_pid a = spawn_in(env, e, env->type, -1);
    inject(env, SH_MSG_WATCH, a, "", "");
    run(env);
    outbox(env);
    EXPECT(env, "reply(100,0,0,) ");
    env->other = away(4);
    tell(env, a, "tell", "last");
    sh_runtime_stop(env->rt, 1, a, sh_span_none(), NULL, NULL);
    run(env);
    outbox(env);
    EXPECT(env, "tell(last) stop(normal,) tell(4,0,0,last) down(4,0,0,) ");
    inject(env, SH_MSG_WATCH, a, "", "");
    run(env);
    outbox(env);
    EXPECT(env, "reply(100,-3,1,) ");
    /* The other way: ours watches theirs. */
    sh_pid b = spawn_in(env, e, env->type, -1);
    env->other = away(6);
    tell(env, b, "link", "");
    run(env);
    outbox(env);
    EXPECT(env, "link() watch(6,0,0,) ");
    struct sh_msg_parts none = {0};
    for (int i = 0; i < 2; i++) { /* told once */
        sh_msg *m = sh_runtime_msg_new(env->rt, SH_MSG_DOWN, &none);
        m->to = b;
        m->from = away(6);
        m->why = SH_PEER_LOST;
        sh_runtime_inject(env->rt, m);
    }
    env->decision = SH_RESUME;
    run(env);
    outbox(env);
    EXPECT(env, "down(peer_lost,link) ");
}

static void requests(struct env *env)
{
    struct sh_msg_parts parts = {.name = STR("counter")};
    int64_t call =
        sh_runtime_request(env->rt, 1, 7, away(1), &parts, env->now + 5000, on_done, env);
    assert_true(call > 0);
    sh_msg *m = sh_runtime_take_request(env->rt);
    assert_int_equal(m->tag, 7);
    assert_true(sh_span_eq(sh_msg_name(m), STR("counter")));
    sh_pid reply = m->reply;
    sh_runtime_msg_done(env->rt, m);
    struct sh_result item = {.code = SH_RESULT_MORE, .value = STR("one")};
    sh_runtime_reply(env->rt, 1, reply, &item);
    item.code = 0;
    item.value = STR("two");
    sh_runtime_reply(env->rt, 1, reply, &item);
    sh_runtime_reply(env->rt, 1, reply, &item);
    run(env);
    EXPECT(env, "done(one) done(two) ");
    sh_runtime_request(env->rt, 1, 7, away(1), &parts, env->now + 5000, on_done, env);
    run(env);
    sh_runtime_msg_done(env->rt, sh_runtime_take_request(env->rt));
    pass(env, 6000);
    EXPECT(env, "done(timeout,1,the deadline passed) ");
    m = sh_runtime_take_request(env->rt);
    assert_int_equal(m->tag, SH_REQUEST_END);
    sh_runtime_msg_done(env->rt, m);
    sh_msg *later = sh_runtime_call_reserve(env->rt, 1, 1, on_done, env);
    struct sh_result r = {
        .code = SH_E_NAME_TAKEN,
        .delivery = SH_NOT_SENT,
        .text = STR("a text that is too long to lie within a message of the usual size")};
    sh_runtime_call_post(env->rt, 1, later, &r);
    run(env);
    EXPECT(env,
           "done(name_taken,1,a text that is too long to lie within a message of the usual size) ");
}

static void events_are_bounded(struct env *env)
{
    sh_pid to = away(1);
    for (int i = 0; i < SH_RUNTIME_EVENTS_MAX + 10; i++) {
        to.actor = (uint64_t)i + 1;
        sh_runtime_lost(env->rt, to, STR("n"), 1, SH_E_CLOSED, sh_span_none());
        sh_runtime_lost(env->rt, to, STR("n"), 2, SH_E_CLOSED, sh_span_none());
    }
    struct sh_exec_stats stats;
    sh_exec_stats(sh_runtime_exec(env->rt, 0), &stats);
    struct sh_runtime_event ev;
    uint64_t told = 0;
    int n = 0;
    for (; sh_runtime_event(env->rt, &ev); n++) {
        told += ev.count;
    }
    assert_int_equal(n, SH_RUNTIME_EVENTS_MAX);
    assert_int_equal(told + stats.events_dropped, 3 * (SH_RUNTIME_EVENTS_MAX + 10));
}

static void rows(struct env *env)
{
    sh_pid a = spawn(env);
    tell(env, a, "hold", "");
    run(env);
    tell(env, a, "nop", "");
    struct sh_actor_row row;
    uint32_t cursor = 0;
    assert_true(sh_exec_actor_row(sh_runtime_exec(env->rt, 0), &cursor, &row));
    assert_true(sh_pid_eq(row.pid, a));
    assert_string_equal(row.state, "waiting");
    assert_int_equal(row.mailbox, 1);
    assert_int_equal(row.handled, 1);
    assert_false(sh_exec_actor_row(sh_runtime_exec(env->rt, 0), &cursor, &row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(peer_gate),      ONE(told_at_once),         TWO(answers_from_there),
        EACH(injected),       EACH(handled_in_a_row),    ONE(names_in_turn),
        ONE(deferred_credit), EACH(withdrawn_by_a_peer), EACH(watches),
        TWO(requests),        ONE(events_are_bounded),   ONE(rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
