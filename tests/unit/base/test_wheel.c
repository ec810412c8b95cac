/* Timer wheel against a model that sorts. */
#include "check.h"

#include "base/wheel.h"

enum { TIMERS = 300 };

struct model {
    sh_timer timer;
    uint64_t order; /* when it was armed */
    bool armed;
};

static uint64_t ticks(uint64_t due_us)
{
    return due_us / 1000 + (due_us % 1000 != 0);
}

static uint64_t far_or_near(const sh_rng *rng, uint64_t now)
{
    static const uint64_t reach[] = {3000, 70000, 5000000, 400000000, UINT64_C(1) << 40};
    return now + sh_rng_below(rng, reach[sh_rng_below(rng, COUNT(reach))]);
}

static uint64_t model_first(const struct model *m)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        uint64_t due = ticks(m[i].timer.due_us) * 1000;
        first = m[i].armed && due < first ? due : first;
    }
    return first;
}

static void check_popped(sh_wheel *w, struct model *m, uint64_t now)
{
    uint64_t last_tick = 0, last_order = 0;
    for (sh_timer *t = sh_wheel_pop(w); t; t = sh_wheel_pop(w)) {
        struct model *it = SH_CONTAINER(t, struct model, timer);
        uint64_t tick = ticks(t->due_us);
        assert_true(it->armed && !sh_timer_armed(t));
        assert_true(t->due_us <= now); /* never early */
        assert_true(tick > last_tick || (tick == last_tick && it->order > last_order));
        last_tick = tick;
        last_order = it->order;
        it->armed = false;
    }
    for (int i = 0; i < TIMERS; i++) { /* and never more than a tick late */
        assert_true(!m[i].armed || ticks(m[i].timer.due_us) > now / 1000);
    }
}

static void wheel_like_the_model(void **state)
{
    static struct model m[TIMERS];
    static sh_wheel w;
    sh_rng_seeded seeded;
    sh_rng rng = check_rng(&seeded);
    uint64_t now = sh_rng_below(&rng, UINT64_C(1) << 45), order = 0;
    (void)state;
    sh_wheel_init(&w, now);
    for (int i = 0; i < TIMERS; i++) {
        m[i].armed = false;
        sh_timer_init(&m[i].timer);
    }
    for (int step = 0; step < 20000; step++) {
        for (uint64_t k = sh_rng_below(&rng, 6); k; k--) {
            struct model *it = &m[sh_rng_below(&rng, TIMERS)];
            it->armed = sh_rng_below(&rng, 4) != 0;
            if (it->armed) {
                /* strictly ahead: late ones have a test of their own */
                sh_wheel_arm(&w, &it->timer, now / 1000 * 1000 + 1 + far_or_near(&rng, 0));
                it->order = ++order;
            } else {
                sh_wheel_cancel(&w, &it->timer);
            }
            assert_int_equal(sh_timer_armed(&it->timer), it->armed);
        }
        uint64_t next = sh_wheel_next_us(&w), first = model_first(m);
        assert_true(next <= first && (first == UINT64_MAX) == (next == UINT64_MAX));
        switch (sh_rng_below(&rng, 3)) {
        case 0: now = next == UINT64_MAX ? now : next > now ? next : now; break;
        case 1: now += sh_rng_below(&rng, 3000); break;
        default: now = step % 50 ? now : far_or_near(&rng, now); break;
        }
        sh_wheel_advance(&w, now);
        check_popped(&w, m, now);
    }
}

/* Following next_us alone must reach every timer in few steps, never skipping one. */
static void next_us_leads_there(void **state)
{
    static sh_wheel w;
    sh_timer t;
    static const uint64_t dues[] = {1,
                                    999,
                                    1000,
                                    1001,
                                    63999,
                                    64000,
                                    64001,
                                    4096000,
                                    4095999,
                                    UINT64_C(86400000000) * 365,
                                    UINT64_MAX - 2000};
    (void)state;
    for (size_t i = 0; i < COUNT(dues); i++) {
        int steps = 0;
        uint64_t now = 0;
        sh_wheel_init(&w, 0);
        sh_timer_init(&t);
        sh_wheel_arm(&w, &t, dues[i]);
        while (sh_timer_armed(&t) && steps++ < 12) {
            now = sh_wheel_next_us(&w);
            sh_wheel_advance(&w, now);
            sh_wheel_pop(&w);
        }
        assert_false(sh_timer_armed(&t));
        assert_true(now >= dues[i] && now - dues[i] < 1000);
    }
}

static void the_end_of_time_is_safe(void **state)
{
    static sh_wheel w;
    sh_timer t;
    (void)state;
    sh_wheel_init(&w, 0);
    sh_timer_init(&t);
    sh_wheel_arm(&w, &t, UINT64_MAX - 1);
    assert_true(sh_wheel_next_us(&w) < UINT64_MAX);
    sh_wheel_advance(&w, UINT64_MAX);
    assert_true(sh_wheel_next_us(&w) >= UINT64_MAX - 1000);
    sh_wheel_arm(&w, &t, UINT64_MAX);
    assert_false(sh_timer_armed(&t));
    assert_true(sh_wheel_next_us(&w) == UINT64_MAX);
    assert_int_equal(w.count, 0);
}

static void late_timers_wait_for_the_next_advance(void **state)
{
    static sh_wheel w;
    sh_timer a, b;
    (void)state;
    sh_wheel_init(&w, 5000000);
    sh_timer_init(&a);
    sh_timer_init(&b);
    sh_wheel_arm(&w, &b, 5001000);
    sh_wheel_arm(&w, &a, 10);
    assert_null(sh_wheel_pop(&w));
    assert_int_equal(sh_wheel_next_us(&w), 0);
    sh_wheel_advance(&w, 5002000);
    assert_ptr_equal(sh_wheel_pop(&w), &a);
    sh_wheel_arm(&w, &a, 0); /* a handler that re-arms for now does not loop */
    assert_ptr_equal(sh_wheel_pop(&w), &b);
    assert_null(sh_wheel_pop(&w));
    sh_wheel_advance(&w, 1); /* an earlier time: late ones still come */
    sh_wheel_cancel(&w, &a);
    sh_wheel_cancel(&w, &a);
    assert_null(sh_wheel_pop(&w));
    assert_int_equal(w.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wheel_like_the_model),
        cmocka_unit_test(next_us_leads_there),
        cmocka_unit_test(the_end_of_time_is_safe),
        cmocka_unit_test(late_timers_wait_for_the_next_advance),
    };
    return RUN(tests);
}
