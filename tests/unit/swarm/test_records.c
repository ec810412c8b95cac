/* The record store: Kameo's rules, ends of life, and every bound. */
#include "names.h"
#include "swarm/records.h"

enum { SECOND = 1000000 };
#define HOUR         (3600 * (uint64_t)SECOND)
#define VALUE_TTL    (SH_VALUE_TTL_MS * UINT64_C(1000))
#define PROVIDER_TTL (SH_PROVIDER_TTL_MS * UINT64_C(1000))

static sh_rng_seeded rng_state;
static sh_rng rng;
static sh_records r;
static sh_quota quota;
static sh_mem_counter mem;

static int setup(void **state)
{
    (void)state;
    rng = sh_rng_seeded_init(&rng_state, 3);
    sh_quota_init(&quota, NULL, SIZE_MAX);
    sh_records_init(&r, sh_mem_counted(&mem, sh_mem_system()), &quota, &rng);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sh_records_fini(&r);
    return quota.used == 0 && atomic_load(&mem.live_blocks) == 0 ? 0 : -1;
}

static void test_rules(void **state)
{
    (void)state;
    sh_peer_id a = invented(1), b = invented(2);
    char key[600], other[600];
    uint8_t value[100];
    sh_span v = registration(&a, 7, value);
    assert_int_equal(sh_records_check_provider(sh_span_str("name"), &a, &a), 0);
    assert_int_equal(sh_records_check_provider(sh_span_str("name"), &a, &b),
                     SH_E_PROTO); /* somebody else's */
    assert_int_equal(sh_records_check_provider(sh_span_str(""), &a, &a), SH_E_PROTO);
    assert_int_equal(sh_records_check_provider(sh_span_str("\xff"), &a, &a), SH_E_PROTO);
    assert_int_equal(sh_records_check_value(value_key(&a, "n", key), v, &a), 0);
    assert_int_equal(sh_records_check_value(value_key(&a, "n", key), v, &b),
                     SH_E_PROTO); /* replication is refused */
    assert_int_equal(sh_records_check_value(value_key(&a, "", key), v, &a), SH_E_PROTO);
    assert_int_equal(sh_records_check_value(value_key(&a, "a:meta:b", other), v, &a),
                     SH_E_PROTO); /* first mark counts */
    assert_int_equal(sh_records_check_value(sh_span_str("plain"), v, &a), SH_E_PROTO);
    value_key(&a, "n", key);
    assert_int_equal(sh_records_check_value(sh_span_str(key), sh_span_none(), &a), SH_E_PROTO);
    for (size_t n = 0; n < 9u + a.n; n++) { /* the byte 26 alone stops a Kameo node */
        assert_int_equal(sh_records_check_value(sh_span_str(key), sh_span_take(v, n), &a),
                         SH_E_PROTO);
    }
    assert_int_equal(sh_records_check_value(sh_span_str(key), sh_span_take(v, 9u + a.n), &a),
                     0); /* empty type */
    value[12 + a.n] = 0xff;
    assert_int_equal(sh_records_check_value(sh_span_str(key), v, &a), SH_E_PROTO);
}

static void test_lives(void **state)
{
    (void)state;
    sh_peer_id a = invented(1), b = invented(2);
    char key[600];
    uint8_t value[100];
    sh_span k = value_key(&a, "n", key), name = sh_span_str("n");
    uint64_t now = SECOND;
    assert_int_equal(sh_records_put_value(&r, k, registration(&a, 7, value), &a, 0, now), 0);
    assert_non_null(sh_records_value(&r, k, now + VALUE_TTL - 1));
    assert_null(sh_records_value(&r, k, now + VALUE_TTL));
    assert_int_equal(sh_records_put_value(&r, k, registration(&a, 7, value), &a, 10, now),
                     0); /* replaced: shorter */
    assert_int_equal(r.value_count, 1);
    assert_null(sh_records_value(&r, k, now + 10 * SECOND));
    assert_int_equal(sh_records_put_value(&r, k, registration(&a, 7, value), &a, UINT32_MAX, now),
                     0);
    assert_non_null(sh_records_value(&r, k, now + VALUE_TTL - 1));
    assert_null(sh_records_value(&r, k, now + VALUE_TTL)); /* never longer */
    assert_int_equal(sh_records_add_provider(&r, name, &a, NULL, 0, now), 0);
    assert_int_equal(sh_records_add_provider(&r, name, &b, NULL, 0, now + HOUR), 0);
    assert_true(sh_peer_id_eq(&sh_records_provider(&r, name, 0, now)->id, &a));
    assert_true(sh_peer_id_eq(&sh_records_provider(&r, name, 1, now)->id, &b));
    assert_true(sh_peer_id_eq(&sh_records_provider(&r, name, 0, now + PROVIDER_TTL - 1)->id, &a));
    assert_true(sh_peer_id_eq(&sh_records_provider(&r, name, 0, now + PROVIDER_TTL)->id, &b));
    assert_int_equal(sh_records_add_provider(&r, name, &a, NULL, 0, now + 2 * HOUR),
                     0); /* told again: lives on */
    assert_int_equal(r.provider_count, 2);
    sh_records_tick(&r, now + HOUR + PROVIDER_TTL - 1);
    assert_int_equal(r.provider_count, 2);
    sh_records_tick(&r, now + HOUR + PROVIDER_TTL);
    assert_int_equal(r.provider_count, 1);
    assert_int_equal(r.value_count, 0);
    assert_int_equal(sh_records_deadline(&r), now + 2 * HOUR + PROVIDER_TTL);
    sh_records_tick(&r, sh_records_deadline(&r));
    assert_int_equal(sh_records_deadline(&r), UINT64_MAX);
    assert_int_equal(quota.used, 0);
}

static void test_bounds(void **state)
{
    (void)state;
    char key[600];
    uint8_t value[100];
    sh_span name = sh_span_str("popular");
    for (unsigned i = 0; i < SH_KAD_PROVIDERS_MAX; i++) {
        sh_peer_id id = invented(i);
        assert_int_equal(sh_records_add_provider(&r, name, &id, NULL, 0, 1), 0);
    }
    sh_peer_id late = invented(5000);
    assert_int_equal(sh_records_add_provider(&r, name, &late, NULL, 0, 1), SH_E_LIMIT);
    sh_peer_id old = invented(3);
    assert_int_equal(sh_records_add_provider(&r, name, &old, NULL, 0, 2),
                     0); /* who is in may stay */
    /* Who does not renew for SH_PROVIDER_STALE_MS gives its place to a newcomer, and only then. */
    uint64_t stale_us = 1 + SH_PROVIDER_STALE_MS * UINT64_C(1000);
    sh_peer_id later = invented(5001);
    assert_int_equal(sh_records_add_provider(&r, name, &later, NULL, 0, stale_us), SH_E_LIMIT);
    assert_int_equal(sh_records_add_provider(&r, name, &later, NULL, 0, stale_us + 1), 0);
    /* One publisher cannot take all room. */
    unsigned taken = 0;
    for (unsigned i = 0; i < SH_RECORD_PUBLISHER_MAX + 10; i++) {
        char n[32];
        sprintf(n, "n%u", i);
        taken += sh_records_put_value(&r, value_key(&late, n, key), registration(&late, 7, value),
                                      &late, 0, 1) == 0
                     ? 1u
                     : 0u;
    }
    assert_int_equal(taken, SH_RECORD_PUBLISHER_MAX);
    sh_peer_id other = invented(6000);
    assert_int_equal(sh_records_put_value(&r, value_key(&other, "x", key),
                                          registration(&other, 7, value), &other, 0, 1),
                     0);
    /* All together neither. */
    for (unsigned p = 7000; p < 7010; p++) {
        sh_peer_id id = invented(p);
        for (unsigned i = 0; i < 3000; i++) {
            char n[32];
            sprintf(n, "m%u", i);
            sh_records_put_value(&r, value_key(&id, n, key), registration(&id, 7, value), &id, 0,
                                 1);
        }
    }
    assert_int_equal(r.value_count, SH_RECORD_VALUES_MAX);
    quota.limit = quota.used; /* no memory: refused, what is there stays */
    assert_int_equal(sh_records_add_provider(&r, sh_span_str("new"), &other, NULL, 0, 3),
                     SH_E_LIMIT);
    assert_int_equal(sh_records_put_value(&r, value_key(&other, "x", key),
                                          registration(&other, 7, value), &other, 0, 3),
                     SH_E_NOMEM);
    assert_non_null(sh_records_value(&r, sh_span_str(key), 3));
    quota.limit = SIZE_MAX;
}

/* SH_KAD_KEY_MAX and SH_KAD_VALUE_MAX: the longest is kept, one byte more is not. */
static void test_sizes(void **state)
{
    (void)state;
    sh_peer_id a = invented(1);
    char key[SH_KAD_KEY_MAX + 2], tail[200];
    uint8_t value[SH_KAD_VALUE_MAX + 1];
    size_t tail_n = value_key(&a, "", tail).n;
    memset(key, 'k', sizeof key);
    assert_int_equal(sh_records_check_provider(sh_span_of(key, SH_KAD_KEY_MAX), &a, &a), 0);
    assert_int_equal(sh_records_check_provider(sh_span_of(key, SH_KAD_KEY_MAX + 1), &a, &a),
                     SH_E_PROTO);
    memset(value, 't', sizeof value);
    registration(&a, 7, value);
    for (size_t over = 0; over < 2; over++) {
        size_t key_n = SH_KAD_KEY_MAX + over;
        memcpy(key + key_n - tail_n, tail, tail_n);
        sh_span k = sh_span_of(key, key_n), v = sh_span_of(value, SH_KAD_VALUE_MAX);
        assert_int_equal(sh_records_check_value(k, v, &a), over ? SH_E_PROTO : 0);
        v.n += over;
        assert_int_equal(sh_records_check_value(value_key(&a, "n", tail), v, &a),
                         over ? SH_E_PROTO : 0);
        value_key(&a, "", tail);
    }
}

/* SH_KAD_RECORDS_MAX provider entries in all: who has one may renew it, a newcomer waits for one gone stale. The oldest
 * stands alone under its name, and the newcomer comes for that very name. */
static void test_provider_entries_in_all(void **state)
{
    (void)state;
    char name[16];
    const uint64_t first_us = 1, rest_us = 1000;
    sh_peer_id old = invented(0), next = invented(SH_KAD_RECORDS_MAX);
    sh_span alone = sh_span_str("alone");
    assert_int_equal(sh_records_add_provider(&r, alone, &old, NULL, 0, first_us), 0);
    for (unsigned i = 1; i < SH_KAD_RECORDS_MAX; i++) {
        sh_peer_id id = invented(i);
        sprintf(name, "n%u", i / SH_KAD_PROVIDERS_MAX);
        assert_int_equal(sh_records_add_provider(&r, sh_span_str(name), &id, NULL, 0, rest_us), 0);
    }
    assert_int_equal(r.provider_count, SH_KAD_RECORDS_MAX);
    const uint64_t stale_us = first_us + SH_PROVIDER_STALE_MS * UINT64_C(1000);
    sh_peer_id third = invented(3);
    assert_int_equal(sh_records_add_provider(&r, alone, &next, NULL, 0, stale_us), SH_E_LIMIT);
    assert_int_equal(sh_records_add_provider(&r, sh_span_str("new"), &next, NULL, 0, stale_us),
                     SH_E_LIMIT);
    assert_int_equal(sh_records_add_provider(&r, sh_span_str("n0"), &third, NULL, 0, stale_us), 0);
    assert_int_equal(sh_records_add_provider(&r, alone, &next, NULL, 0, stale_us + 1), 0);
    assert_int_equal(r.provider_count, SH_KAD_RECORDS_MAX);
    assert_true(sh_peer_id_eq(&sh_records_provider(&r, alone, 0, stale_us + 1)->id, &next));
    assert_null(sh_records_provider(&r, alone, 1, stale_us + 1));
}

static void test_addresses(void **state)
{
    (void)state;
    sh_peer_id a = invented(1);
    static const uint8_t good[] = {4, 192, 0, 2, 7, 6, 0x0f, 0xa1}, bad[] = {4, 1};
    uint8_t huge[200] = {0};
    sh_span addrs[] = {{bad, 2},  {good, 8}, {huge, 200}, {good, 8},
                       {good, 8}, {good, 8}, {good, 8}};
    assert_int_equal(sh_records_add_provider(&r, sh_span_str("n"), &a, addrs, 7, 1), 0);
    const struct sh_provider *p = sh_records_provider(&r, sh_span_str("n"), 0, 1);
    assert_int_equal(p->addr_count, SH_RECORD_ADDRS_MAX);
    assert_memory_equal(p->addrs[0].b, good, 8);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    sh_peer_id a = invented(1);
    char key[600];
    uint8_t value[100];
    for (size_t k = 1; k < 12; k++) {
        atomic_store(&mem.allocations, 0);
        atomic_store(&mem.fail_at, k);
        int one = sh_records_add_provider(&r, sh_span_str("n"), &a, NULL, 0, 1);
        int two =
            sh_records_put_value(&r, value_key(&a, "n", key), registration(&a, 7, value), &a, 0, 1);
        atomic_store(&mem.fail_at, 0);
        assert_int_equal(one == 0, sh_records_provider(&r, sh_span_str("n"), 0, 1) != NULL);
        assert_int_equal(two == 0, sh_records_value(&r, sh_span_str(key), 1) != NULL);
        sh_records_tick(&r, 100 * HOUR);
        assert_int_equal(quota.used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_provider_entries_in_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
