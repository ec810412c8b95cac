/* tests/unit/remote/test_names.c - names of actors: registering, lookups, holders that come and go. */
#include "harness.h"

static int h_register(struct harness *h, int i, uint64_t call, sh_pid pid, const char *name)
{
    return sh_remote_register(h->node[i].remote, call, pid, sh_span_str(name), sh_span_str("peer"),
                              h->now + 1000000, h->now);
}

static int h_lookup(struct harness *h, int i, uint64_t call, const char *name, unsigned ms,
                    bool all, bool follow)
{
    struct sh_lookup_options o = {
        .deadline_us = ms ? h->now + ms * 1000u : 0, .all = all, .follow = follow};
    return sh_remote_lookup(h->node[i].remote, call, sh_span_str(name), &o, h->now);
}

/* Results of one call: how many, and the last. */
static size_t h_results(struct harness *h, int i, uint64_t call, int *code, sh_pid *pid)
{
    size_t n = 0;
    *code = 99;
    *pid = sh_pid_none();
    for (size_t k = 0; k < h->node[i].results_n; k++) {
        if (h->node[i].results[k].call == call) {
            *code = h->node[i].results[k].code;
            *pid = h->node[i].results[k].pid;
            n++;
        }
    }
    return n;
}

static void test_register_and_lookup(void **state)
{
    (void)state;
    struct harness *h = h_new(1, 2);
    sh_pid b = h_spawn(h, 1), pid;
    int code = 99;
    assert_int_equal(h_register(h, 1, 5, b, "counter"), 0);
    h_run(h, 5);
    assert_int_equal(h_results(h, 1, 5, &code, &pid), 1);
    assert_int_equal(code, 0);
    assert_int_equal(h_lookup(h, 0, 6, "counter", 0, false, false), 0);
    h_run(h, 5);
    assert_int_equal(h_results(h, 0, 6, &code, &pid), 1);
    assert_int_equal(code, 0);
    assert_int_equal(pid.actor, b.actor);
    struct ask_note *x = h_ask(h, 0, pid, "n", 3, 1000, NULL); /* registered: callable */
    h_run(h, 40);
    assert_int_equal(x->code, 0);
    /* local names first, free of network */
    unsigned finds = h->net->finds;
    assert_int_equal(h_lookup(h, 1, 7, "counter", 0, false, false), 0);
    h_run(h, 1);
    assert_int_equal(h_results(h, 1, 7, &code, &pid), 1);
    assert_true(sh_pid_eq(pid, b));
    assert_int_equal(h->net->finds, finds);
    h_free(h);
}

static void test_record_bytes(void **state)
{
    (void)state;
    struct harness *h = h_new(2, 1);
    sh_pid a = h_spawn(h, 0);
    assert_int_equal(h_register(h, 0, 1, a, "x"), 0);
    const struct fake_pub *p = &h->net->pubs[0];
    char text[SH_PEER_ID_TEXT_MAX], want[128];
    sh_peer_id_text(&h->net->ids[0], text);
    snprintf(want, sizeof want, "x:meta:%s", text);
    assert_true(sh_span_eq(p->key, sh_span_str("x")));
    assert_true(sh_span_eq(p->value_key, sh_span_str(want)));
    assert_int_equal(p->value.n, 9 + 38 + 4);
    assert_int_equal(p->value.p[0], 38);
    assert_true(sh_load_u64le(p->value.p + 1) == a.actor);
    assert_memory_equal(p->value.p + 9, h->net->ids[0].b, 38);
    assert_memory_equal(p->value.p + 47, "peer", 4);
    h_free(h);
}

static void test_refusals(void **state)
{
    (void)state;
    struct harness *h = h_new(3, 2);
    sh_pid a = h_spawn(h, 0), a2 = h_spawn(h, 0), far = h_pid(h, 0, 1, h_spawn(h, 1)), none = a;
    none.actor += UINT64_C(9) << 32;
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = '\0';
    struct {
        sh_pid pid;
        const char *name;
        int want;
    } rows[] = {
        {a, "", SH_E_BAD_VALUE},
        {a, longest, SH_E_BAD_VALUE},
        {a, longest + 1, 0},
        {a, "a:meta:b", SH_E_BAD_VALUE},
        {a, "shoal.x", SH_E_BAD_VALUE},
        {a, "\xc3\x28", SH_E_BAD_VALUE},
        {far, "far", SH_E_USAGE},
        {none, "none", SH_E_NOT_RUNNING},
        {a, "taken", 0},
        {a2, "taken", SH_E_NAME_TAKEN},
        {a, "taken", 0},
        {a, "second name", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(h_register(h, 0, 100 + i, rows[i].pid, rows[i].name), rows[i].want);
    }
    assert_int_equal(sh_remote_unregister(h->node[0].remote, a2, sh_span_str("taken")),
                     SH_E_NOT_FOUND);
    assert_int_equal(sh_remote_unregister(h->node[0].remote, a, sh_span_str("taken")), 0);
    assert_int_equal(h_register(h, 0, 200, a2, "taken"), 0);
    sh_span name;
    sh_pid pid;
    assert_true(sh_remote_name_row(h->node[0].remote, 2, &name, &pid));
    assert_true(sh_span_eq(name, sh_span_str("taken")) && sh_pid_eq(pid, a2));
    assert_false(sh_remote_name_row(h->node[0].remote, 3, &name, &pid));
    h_free(h);
}

static void test_never_the_dead(void **state)
{
    (void)state;
    struct harness *h = h_new(4, 3);
    sh_pid b = h_spawn(h, 1), c = h_spawn(h, 2), pid;
    int code;
    h_register(h, 1, 1, b, "svc");
    h_register(h, 2, 1, c, "svc");
    h_run(h, 5);
    sh_runtime_kill(h->node[1].rt, TOKEN, b,
                    sh_span_none()); /* its holder forgets at once, replicas do not */
    h_run(h, 5);
    for (uint64_t call = 10; call < 15; call++) {
        h_lookup(h, 0, call, "svc", 0, false, false);
        h_run(h, 5);
        assert_int_equal(h_results(h, 0, call, &code, &pid), 1);
        assert_int_equal(code, 0);
        assert_int_equal(pid.actor, c.actor);
    }
    h_stop(h, 2); /* a dead node answers for nothing */
    h_lookup(h, 0, 20, "svc", 0, false, false);
    h_run(h, 5);
    assert_int_equal(h_results(h, 0, 20, &code, &pid), 1);
    assert_int_equal(code, SH_E_NOT_FOUND);
    h_lookup(h, 0, 21, "svc", 100, false, false);
    h_run(h, 50);
    assert_int_equal(h_results(h, 0, 21, &code, &pid), 0); /* looks until its timeout */
    h_run(h, 60);
    assert_int_equal(h_results(h, 0, 21, &code, &pid), 1);
    assert_int_equal(code, SH_E_NOT_FOUND);
    h_free(h);
}

/* Records that their holder has no right to, or that are no records. */
static void test_false_records(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 8, 9, 46, 47};
    for (size_t i = 0; i <= sizeof lengths / sizeof lengths[0]; i++) {
        struct harness *h = h_new(8 + i, 2);
        sh_pid b = h_spawn(h, 1), pid;
        int code;
        h_register(h, 1, 1, b, "svc");
        struct fake_pub *p = &h->net->pubs[0];
        bool cut = i < sizeof lengths / sizeof lengths[0];
        if (cut) {
            p->value.n = lengths[i];
        } else {
            memcpy((uint8_t *)(uintptr_t)p->value.p + 9, h->net->ids[2].b, 38);
        }
        h_lookup(h, 0, 1, "svc", 0, false, false);
        h_run(h, 5);
        assert_int_equal(h_results(h, 0, 1, &code, &pid), 1);
        assert_int_equal(code, cut && lengths[i] == 47 ? 0 : SH_E_NOT_FOUND);
        h_free(h);
    }
}

static void test_waits_for_a_name(void **state)
{
    (void)state;
    struct harness *h = h_new(5, 2);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), pid;
    int code;
    h_lookup(h, 0, 1, "late", 5000, false, false);
    h_lookup(h, 0, 2, "mine", 5000, false, false);
    h_lookup(h, 0, 3, "late", 5000, false, false);
    h_run(h, 30);
    sh_remote_cancel(h->node[0].remote, 3);
    h_register(h, 1, 9, b, "late");
    h_register(h, 0, 9, a, "mine");
    h_run(h, 400);
    assert_int_equal(h_results(h, 0, 1, &code, &pid), 1);
    assert_int_equal(pid.actor, b.actor);
    assert_int_equal(h_results(h, 0, 2, &code, &pid), 1);
    assert_true(sh_pid_eq(pid, a));
    assert_int_equal(h_results(h, 0, 3, &code, &pid), 0);
    h_free(h);
}

static void test_all_and_follow(void **state)
{
    (void)state;
    struct harness *h = h_new(6, 3);
    sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1), c = h_spawn(h, 2), pid;
    int code;
    h_register(h, 0, 9, a, "w");
    h_register(h, 1, 9, b, "w");
    h_run(h, 5);
    h_lookup(h, 0, 1, "w", 0, true, false);
    h_lookup(h, 0, 2, "w", 0, true, true);
    h_run(h, 5);
    assert_int_equal(h_results(h, 0, 1, &code, &pid), 3); /* two holders and the end */
    assert_int_equal(code, 0);
    assert_int_equal(h_results(h, 0, 2, &code, &pid), 2);
    h_register(h, 2, 9, c, "w");
    h_run(h, 2500);
    assert_int_equal(h_results(h, 0, 2, &code, &pid), 3); /* the new one, once */
    assert_int_equal(code, SH_RESULT_MORE);
    assert_int_equal(pid.actor, c.actor);
    sh_remote_cancel(h->node[0].remote, 2);
    h_free(h);
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t fail = 1; fail < 12;
         fail++) { /* every allocation of a register and a lookup may fail */
        struct harness *h = h_new(7, 2);
        sh_pid a = h_spawn(h, 0), b = h_spawn(h, 1);
        h_register(h, 1, 1, b, "far");
        h_run(h, 5);
        struct h_node *n = &h->node[0];
        atomic_store(&n->counter.fail_at, atomic_load(&n->counter.allocations) + fail);
        int rc = h_register(h, 0, 1, a, "near");
        assert_true(rc == 0 || rc == SH_E_LIMIT);
        rc = h_lookup(h, 0, 2, "far", 0, false, false);
        assert_true(rc == 0 || rc == SH_E_LIMIT);
        h_run(h, 5);
        int code;
        sh_pid pid;
        assert_int_equal(h_results(h, 0, 2, &code, &pid), rc == 0);
        h_free(h); /* asserts that nothing leaked */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_and_lookup),
        cmocka_unit_test(test_record_bytes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_never_the_dead),
        cmocka_unit_test(test_waits_for_a_name),
        cmocka_unit_test(test_all_and_follow),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_false_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
