/* One query over a simulated network of 1,000 peers finds the true 20 closest; failing, slow and lying peers are
 * borne; nothing grows over its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "swarm/kbucket.h"
#include "swarm/lookup.h"

enum { PEERS = 1000, SECOND = 1000000 };

static uint8_t keys[PEERS][32];
static sh_ktable tables[PEERS];
static uint8_t target[32];

static void make_world(uint64_t seed)
{
    sh_rng_seeded state;
    sh_rng rng = sh_rng_seeded_init(&state, seed);
    sh_rng_fill(&rng, keys, sizeof keys);
    sh_rng_fill(&rng, target, sizeof target);
    for (unsigned i = 0; i < PEERS; i++) {
        sh_ktable_init(&tables[i], sh_mem_system(), keys[i]);
        for (unsigned n = 0; n < PEERS;
             n++) { /* everyone has met everyone; the buckets keep 20 each */
            uint32_t dropped;
            unsigned other = (n * 37 + i) % PEERS;
            sh_ktable_insert(&tables[i], keys[other], other, (other + i) % 3 == 0, &dropped);
        }
    }
}

static void end_world(void)
{
    for (unsigned i = 0; i < PEERS; i++) {
        sh_ktable_fini(&tables[i]);
    }
}

static int by_distance(const void *a, const void *b)
{
    return sh_kcloser(target, keys[*(const uint32_t *)a], keys[*(const uint32_t *)b]);
}

static void true_closest(uint32_t *out, bool (*counts)(uint32_t))
{
    static uint32_t all[PEERS];
    unsigned n = 0;
    for (uint32_t i = 0; i < PEERS; i++) {
        if (!counts || counts(i)) {
            all[n++] = i;
        }
    }
    qsort(all, n, sizeof all[0], by_distance);
    memcpy(out, all, SH_KAD_K * sizeof all[0]);
}

static bool is_dead(uint32_t i)
{
    return i % 5 == 0;
}

static bool is_alive(uint32_t i)
{
    return !is_dead(i);
}

/* Runs the query from peer 1; returns how many were asked. */
static unsigned run(sh_lookup *l, unsigned few, bool (*dead)(uint32_t), bool slow)
{
    uint64_t now = SECOND;
    uint32_t seeds[SH_KAD_K], tag, dropped;
    sh_lookup_init(l, target, 1);
    unsigned n = sh_ktable_closest(&tables[1], target, 1, seeds, few ? few : SH_KAD_K);
    for (unsigned i = 0; i < n; i++) {
        assert_true(sh_lookup_seed(l, keys[seeds[i]], seeds[i]));
    }
    uint32_t flight[64];
    unsigned flying = 0, asked = 0, most = 0;
    for (unsigned round = 0; !sh_lookup_finished(l); round++) {
        assert_true(round < 100000);
        while (sh_lookup_next(l, now, &tag)) {
            flight[flying++] = tag;
            asked++;
        }
        most = flying > most ? flying : most;
        if (flying == 0) {
            assert_true(sh_lookup_deadline(l) < UINT64_MAX);
            now = sh_lookup_deadline(l);
            sh_lookup_tick(l, now);
            continue;
        }
        tag = flight[0];
        memmove(flight, flight + 1, --flying * sizeof flight[0]);
        if (dead && dead(tag)) {
            if (!slow) {
                sh_lookup_on_fail(l, tag);
            }
            continue;
        }
        uint32_t near[SH_KAD_K];
        n = sh_ktable_closest(&tables[tag], target, 1, near, SH_KAD_K);
        sh_lookup_on_reply(l, tag);
        for (unsigned i = 0; i < n; i++) {
            sh_lookup_add(l, tag, keys[near[i]], near[i], &dropped);
        }
        assert_true(l->count <= SH_LOOKUP_NODES_MAX);
    }
    assert_true(most <= SH_KAD_ALPHA);
    return asked;
}

static void test_finds_the_closest(void **state)
{
    (void)state;
    static sh_lookup l;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint32_t want[SH_KAD_K], got[SH_KAD_K];
        make_world(seed);
        unsigned asked = run(&l, (unsigned)seed % 4, NULL, false);
        true_closest(want, NULL);
        assert_int_equal(sh_lookup_closest(&l, got, SH_KAD_K), SH_KAD_K);
        unsigned at = 0;
        for (unsigned i = 0; i < SH_KAD_K && at < SH_KAD_K;
             i++) { /* the asker is not its own candidate */
            if (want[i] != 1) {
                assert_int_equal(got[at++], want[i]);
            }
        }
        assert_true(asked < 70);
        end_world();
    }
}

static void test_dead_and_slow_peers(void **state)
{
    (void)state;
    static sh_lookup l;
    for (int slow = 0; slow < 2; slow++) {
        uint32_t want[SH_KAD_K], got[SH_KAD_K];
        make_world(9);
        run(&l, 3, is_dead, slow == 1);
        true_closest(want, is_alive);
        assert_int_equal(sh_lookup_closest(&l, got, SH_KAD_K), SH_KAD_K);
        assert_memory_equal(got, want, sizeof want);
        end_world();
    }
}

static void test_liars_cannot_prolong_it(void **state)
{
    (void)state;
    static sh_lookup l;
    uint8_t key[32];
    uint32_t tag, dropped, next = 0;
    unsigned asked = 0;
    sh_lookup_init(&l, target, UINT32_MAX - 1);
    memset(key, 0xff, sizeof key);
    sh_lookup_seed(&l, key, next++);
    while (!sh_lookup_finished(&l)) {
        assert_true(sh_lookup_next(&l, 1, &tag));
        asked++;
        sh_lookup_on_reply(&l, tag);
        for (unsigned i = 0; i < 20; i++) { /* each names twenty that are closer still */
            memcpy(key, target, 32);
            sh_store_u32be(key + 20, sh_load_u32be(target + 20) ^ (UINT32_MAX - next));
            sh_lookup_add(&l, tag, key, next++, &dropped);
        }
        assert_true(l.count <= SH_LOOKUP_NODES_MAX);
        assert_true(asked <= SH_LOOKUP_ASKED_MAX);
    }
    assert_true(
        asked >=
        SH_LOOKUP_NODES_MAX); /* all places are taken by peers that answered: no more come in */
}

/* SH_LOOKUP_ASKED_MAX requests, a share of them for each path: one peer names another again and again, and nobody of
 * them is there. */
static void test_as_many_requests_as_there_are(void **state)
{
    (void)state;
    static sh_lookup l;
    for (uint32_t seeds = 1; seeds <= SH_LOOKUP_PATHS; seeds++) {
        uint8_t key[32];
        uint32_t tag, dropped, next = 0;
        unsigned asked = 0;
        sh_lookup_init(&l, target, UINT32_MAX - 1);
        for (; next < seeds; next++) {
            memset(key, (int)(0xf0 + next), sizeof key);
            assert_true(sh_lookup_seed(&l, key, next));
        }
        for (; sh_lookup_next(&l, 1, &tag); asked++) {
            sh_lookup_on_reply(&l, tag);
        }
        assert_int_equal(asked, seeds);
        for (; next < 1000; next++) {
            memcpy(key, target, 32);
            sh_store_u32be(key + 20, sh_load_u32be(target + 20) ^ (UINT32_MAX - next));
            sh_lookup_add(&l, next % seeds, key, next, &dropped);
            if (sh_lookup_next(&l, 1, &tag)) {
                sh_lookup_on_fail(&l, tag);
                asked++;
            }
        }
        assert_int_equal(asked, SH_LOOKUP_ASKED_MAX / seeds * seeds);
        assert_true(sh_lookup_finished(&l)); /* though there is somebody left */
    }
}

/* However many paths there are: places and requests stay within their limits, one way or all in turn. */
static void test_bounds_with_any_number_of_paths(void **state)
{
    (void)state;
    for (uint32_t seeds = 1; seeds <= 5; seeds++) {
        sh_lookup *l = malloc(sizeof *l); /* an address sanitizer sees its end */
        uint32_t tag, dropped, next = 1000, fresh = 0;
        sh_lookup_init(l, target, UINT32_MAX - 1);
        for (uint32_t i = 0; i < seeds; i++) {
            uint8_t key[32] = {(uint8_t)i};
            assert_true(sh_lookup_seed(l, key, i));
        }
        while (sh_lookup_next(l, 1, &tag)) {
            for (unsigned i = 0; i < 60; i++, fresh++) {
                uint8_t key[32];
                memcpy(key, target, 32);
                sh_store_u32be(key + 8, sh_load_u32be(target + 8) ^ (fresh * 2654435761u));
                sh_lookup_add(l, tag, key, next++, &dropped);
                assert_true(l->count <= SH_LOOKUP_NODES_MAX);
            }
            if (tag % 3 == 0) {
                sh_lookup_on_fail(l, tag);
            } else {
                sh_lookup_on_reply(l, tag);
            }
        }
        assert_true(sh_lookup_finished(l));
        assert_true(l->asked <= SH_LOOKUP_ASKED_MAX);
        assert_true(l->count >= SH_LOOKUP_NODES_MAX - 3);
        free(l);
    }
}

static void test_odd_calls(void **state)
{
    (void)state;
    static sh_lookup l;
    uint8_t key[32] = {1};
    uint32_t dropped, tag;
    sh_lookup_init(&l, target, 7);
    assert_true(sh_lookup_finished(&l));
    assert_false(sh_lookup_seed(&l, key, 7)); /* ourselves */
    assert_true(sh_lookup_seed(&l, key, 8));
    assert_false(sh_lookup_seed(&l, key, 8)); /* twice */
    assert_false(sh_lookup_add(&l, 8, key, 7, &dropped));
    assert_false(sh_lookup_add(&l, 8, key, 8, &dropped));
    assert_false(sh_lookup_add(&l, 6, key, 9, &dropped)); /* named by nobody we asked */
    assert_true(sh_lookup_next(&l, 1, &tag));
    assert_false(sh_lookup_next(&l, 1, &tag));
    sh_lookup_on_reply(&l, 99); /* nobody's answer */
    assert_int_equal(l.in_flight, 1);
    sh_lookup_tick(&l, 1 + SH_LOOKUP_SLOW_US);
    assert_int_equal(l.in_flight, 0);
    assert_true(sh_lookup_finished(&l));
    sh_lookup_on_reply(&l, 8); /* late, and welcome */
    sh_lookup_on_reply(&l, 8);
    sh_lookup_on_fail(&l, 8);
    assert_int_equal(l.answered, 1);
    assert_int_equal(l.in_flight, 0);
    assert_int_equal(sh_lookup_closest(&l, &tag, 1), 1);
}

/* --- disjoint paths --- */

static void near_key(uint8_t key[32], uint32_t distance)
{
    memcpy(key, target, 32);
    sh_store_u32be(key, sh_load_u32be(target) ^ distance);
}

static void seed_eight(sh_lookup *l)
{
    uint8_t key[32];
    sh_lookup_init(l, target, UINT32_MAX - 1);
    for (uint32_t i = 0; i < 8; i++) {
        near_key(key, (i + 1) << 24);
        assert_true(sh_lookup_seed(l, key, i));
        assert_int_equal(sh_lookup_path_of(l, i), i % SH_LOOKUP_PATHS);
    }
}

static void test_paths_stay_apart(void **state)
{
    (void)state;
    static sh_lookup l;
    uint8_t key[32];
    uint32_t dropped, tag, asked = 0;
    seed_eight(&l);
    near_key(key, 1 << 16);
    assert_true(sh_lookup_add(&l, 1, key, 9, &dropped)); /* named by path 1: belongs to it */
    assert_int_equal(sh_lookup_path_of(&l, 9), 1);
    assert_false(sh_lookup_add(&l, 2, key, 9, &dropped)); /* by another: stays there */
    assert_int_equal(sh_lookup_path_of(&l, 9), 1);
    while (sh_lookup_next(&l, 1, &tag)) {
        asked |= 1u << tag;
        for (unsigned p = 0; p < SH_LOOKUP_PATHS; p++) {
            assert_true(l.path[p].in_flight <= 3);
        }
    }
    assert_int_equal(asked, 0xff | 1u << 9); /* all nine, at once */
}

/* Who is told with a wrong address first is not lost: another path that names it tries again, once each. */
static void test_failed_peer_gets_a_second_path(void **state)
{
    (void)state;
    static sh_lookup l;
    uint8_t key[32];
    uint32_t dropped, tag;
    seed_eight(&l);
    near_key(key, 1);
    assert_true(sh_lookup_add(&l, 0, key, 100, &dropped));
    assert_true(sh_lookup_next(&l, 1, &tag));
    assert_int_equal(tag, 100);
    sh_lookup_on_fail(&l, 100);
    sh_lookup_add(&l, 4, key, 100, &dropped); /* the same path: no */
    assert_int_equal(sh_lookup_path_of(&l, 100), 0);
    sh_lookup_add(&l, 1, key, 100, &dropped);
    assert_int_equal(sh_lookup_path_of(&l, 100), 1);
    while (sh_lookup_next(&l, 1, &tag) && tag != 100) {
    }
    assert_int_equal(tag, 100);
    sh_lookup_on_fail(&l, 100);
    sh_lookup_add(&l, 0, key, 100, &dropped);
    sh_lookup_add(&l, 1, key, 100, &dropped);
    assert_int_equal(sh_lookup_path_of(&l, 100), 1); /* both have tried */
}

/* One path is in the hands of a liar that invents ever closer peers, all of which fail, or are silent: the others
 * find the true closest ones. */
static void test_captured_path(void **state)
{
    (void)state;
    static sh_lookup l;
    for (int silent = 0; silent < 2; silent++) {
        uint32_t want[SH_KAD_K], got[SH_KAD_K], seeds[SH_KAD_K], tag, dropped;
        uint32_t fake = 1u << 20;
        uint64_t now = SECOND;
        unsigned asked = 0;
        make_world(3);
        sh_lookup_init(&l, target, 1);
        unsigned n = sh_ktable_closest(&tables[1], target, 1, seeds, 8);
        for (unsigned i = 0; i < n; i++) {
            sh_lookup_seed(&l, keys[seeds[i]], seeds[i]);
        }
        while (!sh_lookup_finished(&l)) {
            if (!sh_lookup_next(&l, now, &tag)) {
                now = sh_lookup_deadline(&l);
                sh_lookup_tick(&l, now);
                continue;
            }
            asked++;
            if (tag >= PEERS) {
                if (!silent) {
                    sh_lookup_on_fail(&l, tag);
                }
                continue;
            }
            uint32_t near[SH_KAD_K];
            bool liar = sh_lookup_path_of(&l, tag) == 0;
            n = liar ? SH_KAD_K : sh_ktable_closest(&tables[tag], target, 1, near, SH_KAD_K);
            for (unsigned i = 0; i < n; i++) {
                uint8_t key[32];
                near_key(key, 0);
                sh_store_u32be(key + 28, fake);
                sh_lookup_add(&l, tag, liar ? key : keys[near[i]], liar ? fake++ : near[i],
                              &dropped);
            }
            sh_lookup_on_reply(&l, tag);
        }
        true_closest(want, NULL);
        assert_int_equal(sh_lookup_closest(&l, got, SH_KAD_K), SH_KAD_K);
        unsigned right = 0;
        for (unsigned i = 0; i < SH_KAD_K; i++) {
            for (unsigned k = 0; k < SH_KAD_K; k++) {
                right += got[i] == want[k];
            }
        }
        assert_true(right >= 18); /* but for seeds of the liar's path and the asker */
        assert_true(asked <= SH_LOOKUP_ASKED_MAX / SH_LOOKUP_PATHS + 60);
        end_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_closest),
        cmocka_unit_test(test_dead_and_slow_peers),
        cmocka_unit_test(test_as_many_requests_as_there_are),
        cmocka_unit_test(test_liars_cannot_prolong_it),
        cmocka_unit_test(test_bounds_with_any_number_of_paths),
        cmocka_unit_test(test_odd_calls),
        cmocka_unit_test(test_paths_stay_apart),
        cmocka_unit_test(test_failed_peer_gets_a_second_path),
        cmocka_unit_test(test_captured_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
