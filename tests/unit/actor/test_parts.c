/* The pieces alone: message pool, gates, inbox, type tables. */
#include "fixture.h"

#include "actor/gate.h"
#include "actor/inbox.h"

static void payloads(void **state)
{
    (void)state;
    sh_mem_counter mem;
    sh_mem_counted(&mem, sh_mem_system());
    sh_quota quota;
    sh_quota_init(&quota, NULL, 1 << 20);
    sh_msg_pool pool;
    sh_msg_pool_init(&pool, &mem.mem, &quota, 0);
    static uint8_t big[10000];
    memset(big, 7, sizeof big);
    static const size_t sizes[] = {0, 1, 40, 43, 44, 200, 251, 252, 1000, 4000, 9000};
    sh_msg *out[11];
    for (size_t i = 0; i < 11; i++) {
        struct sh_msg_parts parts = {STR("name"), STR("t"), sh_span_none(),
                                     sh_span_of(big, sizes[i]), NULL};
        out[i] = sh_msg_new(&pool, SH_MSG_TELL, &parts);
        assert_non_null(out[i]);
        assert_true(sh_span_eq(sh_msg_name(out[i]), parts.name));
        assert_true(sh_span_eq(sh_msg_text(out[i]), parts.text));
        assert_true(sh_span_eq(sh_msg_value(out[i]), parts.value));
        assert_int_equal(sh_msg_bytes(out[i]), 128 + 5 + sizes[i]);
        assert_int_equal((out[i]->flags & SH_MSG_BESIDE) != 0, 5 + sizes[i] > SH_MSG_INLINE);
    }
    assert_int_equal(pool.live, 11);
    for (size_t i = 0; i < 11; i++) {
        sh_msg_free(&pool, out[i]);
    }
    size_t before = mem.allocations;
    for (size_t i = 0; i < 10; i++) { /* blocks up to 4 KiB come back from the pool */
        struct sh_msg_parts parts = {.value = sh_span_of(big, sizes[i])};
        sh_msg_free(&pool, sh_msg_new(&pool, SH_MSG_TELL, &parts));
    }
    assert_int_equal(mem.allocations, before);
    struct sh_msg_parts wrong = {.name = sh_span_of(big, 256)};
    assert_null(sh_msg_new(&pool, SH_MSG_TELL, &wrong));
    struct sh_msg_parts huge = {.value = {NULL, 2 << 20}};
    assert_null(sh_msg_new(&pool, SH_MSG_TELL, &huge)); /* over the quota */
    struct sh_msg_parts texty = {.text = sh_span_of(big, 5000)};
    sh_msg *m = sh_msg_new(&pool, SH_MSG_REPLY, &texty);
    assert_int_equal(m->text_len, SH_TEXT_MAX);
    sh_msg_free(&pool, m);
    sh_msg_pool_fini(&pool);
    assert_int_equal(mem.live_blocks, 0);
    assert_int_equal(quota.used, 0);
}

static void gates(void **state)
{
    (void)state;
    sh_gates g;
    assert_int_equal(sh_gates_init(&g, sh_mem_system(), 5000), 0);
    assert_null(sh_gates_at(&g, 4999));
    assert_null(sh_gates_at(&g, 1 << 30));
    assert_int_equal(sh_gates_need(&g, 1 << 30), SH_E_LIMIT);
    assert_int_equal(sh_gates_need(&g, 4999), 0);
    sh_gate *one = sh_gates_at(&g, 4999);
    assert_int_equal(sh_gate_take(one, 5, 1, false), SH_E_NOT_RUNNING);
    assert_int_equal(sh_gate_take(NULL, 5, 1, false), SH_E_NOT_RUNNING);
    sh_gate_open(one, 5, 10);
    assert_int_equal(sh_gate_take(one, 6, 1, false), SH_E_NOT_RUNNING);
    assert_int_equal(sh_gate_take(one, 5, 9, false), 0);
    assert_int_equal(sh_gate_take(one, 5, 50, false), 0); /* overshoots */
    assert_int_equal(sh_gate_take(one, 5, 1, false), SH_E_MAILBOX_FULL);
    assert_false(sh_gate_give(one, 9));
    assert_int_equal(sh_gate_take(one, 5, 1, true), SH_E_MAILBOX_FULL);
    assert_false(sh_gate_give(one, 40)); /* still none */
    assert_true(sh_gate_give(one, 10));
    assert_false(sh_gate_give(one, 0)); /* told once */
    assert_true(sh_gate_alive(one, 5));
    assert_false(sh_gate_close(one, 5));
    assert_false(sh_gate_alive(one, 5));
    sh_gate_open(one, 6, 1); /* of one message: the one that comes back is room */
    assert_int_equal(sh_gate_take(one, 6, 1, true), 0);
    assert_int_equal(sh_gate_take(one, 6, 1, true), SH_E_MAILBOX_FULL);
    assert_true(sh_gate_give(one, 1));
    sh_gate_open(one, UINT32_MAX, UINT32_MAX);
    assert_int_equal(sh_gate_take(one, UINT32_MAX, SH_GATE_ROOM_MAX, true), 0);
    assert_int_equal(sh_gate_take(one, UINT32_MAX, 1, true), SH_E_MAILBOX_FULL);
    assert_true(sh_gate_close(one, UINT32_MAX));
    sh_gates_fini(&g);
}

static void inbox_order(void **state)
{
    (void)state;
    sh_inbox in = {NULL};
    sh_msg m[7];
    sh_chain c = {NULL, NULL};
    for (int i = 0; i < 7; i++) {
        m[i].tag = (uint32_t)i;
        sh_chain_add(&c, &m[i]);
        if (i == 2 || i == 3 || i == 6) {
            sh_inbox_push(&in, &c);
        }
    }
    assert_false(sh_inbox_empty(&in));
    uint32_t want = 0;
    for (sh_msg *at = sh_inbox_take(&in); at; at = at->next) {
        assert_int_equal(at->tag, want++);
    }
    assert_int_equal(want, 7);
    assert_true(sh_inbox_empty(&in));
    assert_null(sh_inbox_take(&in));
}

static int nothing(void *ud, sh_cx *cx, void *st, int index, sh_span name, sh_span value)
{
    (void)ud, (void)cx, (void)st, (void)index, (void)name, (void)value;
    return 0;
}

int sh_type_find(const sh_type *type, sh_span name);

static void names(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    enum { N = 3000 };
    static char text[N][24];
    static sh_span list[N];
    for (int i = 0; i < N; i++) {
        list[i] = sh_span_of(text[i], (size_t)snprintf(text[i], sizeof text[i],
                                                       i % 2 ? "n%d" : "a_long_name_%d", i));
    }
    struct sh_actor_type def = {.id = STR("t"), .names = list, .name_count = N, .handle = nothing};
    const sh_type *type = NULL;
    assert_int_equal(sh_runtime_type(env.rt, &def, &type), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(sh_type_find(type, list[i]), i);
    }
    assert_int_equal(sh_type_find(type, STR("absent")), -1);
    assert_int_equal(sh_type_find(type, sh_span_none()), -1);
    list[1] = list[0]; /* twice */
    assert_int_equal(sh_runtime_type(env.rt, &def, &type), SH_E_BAD_VALUE);
    list[1] = sh_span_of("a\0b", 3);
    assert_int_equal(sh_runtime_type(env.rt, &def, &type), SH_E_BAD_VALUE);
    def.name_count = 0;
    def.id = sh_span_none();
    assert_int_equal(sh_runtime_type(env.rt, &def, &type), SH_E_BAD_VALUE);
    env_end(&env);
}

static void limits(void **state)
{
    (void)state;
    struct env env;
    env_start(&env, 1);
    sh_runtime_free(env.rt);
    struct sh_runtime_config cfg = env_config(&env, 1);
    cfg.actors_max = 3;
    cfg.asks_max = 2;
    assert_int_equal(sh_runtime_new(&cfg, 1, &env.rt), 0);
    sh_span list[H_COUNT];
    struct sh_actor_type def = scripted_type(&env, list);
    sh_runtime_type(env.rt, &def, &env.type);
    sh_pid a = spawn(&env);
    spawn(&env);
    spawn(&env);
    sh_pid none;
    assert_int_equal(sh_runtime_spawn(env.rt, 1, 0, env.type, NULL, &none), SH_E_LIMIT);
    assert_true(ask(&env, a, "nop", "") > 0);
    assert_true(ask(&env, a, "nop", "") > 0);
    assert_int_equal(ask(&env, a, "nop", ""), SH_E_LIMIT);
    run(&env);
    assert_true(ask(&env, a, "nop", "") > 0);
    env_end(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads), cmocka_unit_test(gates),  cmocka_unit_test(inbox_order),
        cmocka_unit_test(names),    cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
