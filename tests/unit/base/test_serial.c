/* Numbers given in turn against an array as model: in the ring, old, and without memory. */
#include "check.h"

#include "base/rng.h"
#include "base/serial.h"

enum { NUMBERS = 20000, MOST = 3000 };

struct model {
    sh_mem_counter mem;
    sh_serial s;
    uint64_t value[NUMBERS + 1];
    bool there[NUMBERS + 1];
    uint32_t count;
    uint64_t last;
};

static void model_look(const struct model *m, uint64_t number)
{
    uint64_t v = 0;
    assert_int_equal(sh_serial_get(&m->s, number, &v), m->there[number]);
    assert_true(!m->there[number] || v == m->value[number]);
    assert_int_equal(m->s.count, m->count);
}

static void model_put(struct model *m, uint64_t v, int want)
{
    int rc = sh_serial_put(&m->s, m->last + 1, v);
    assert_int_equal(rc, want);
    if (rc == 0) {
        m->last++;
        m->there[m->last] = true;
        m->value[m->last] = v;
        m->count++;
    }
}

static void model_del(struct model *m, uint64_t number)
{
    assert_int_equal(sh_serial_del(&m->s, number), m->there[number]);
    m->count -= m->there[number];
    m->there[number] = false;
}

static void model_start(struct model *m, size_t most)
{
    memset(m, 0, sizeof *m);
    sh_serial_init(&m->s, sh_mem_counted(&m->mem, sh_mem_system()), 42, most);
}

static void model_end(struct model *m)
{
    sh_serial_fini(&m->s);
    assert_int_equal(m->mem.live_bytes, 0);
}

/* window: how far behind the last number those lie that are taken out; what is left there grows old. */
static void test_model(void **state)
{
    (void)state;
    static const uint64_t windows[] = {1, 3, 100, 1500, 6000, NUMBERS};
    static struct model m;
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        sh_rng_seeded seeded;
        sh_rng rng = sh_rng_seeded_init(&seeded, i);
        model_start(&m, MOST);
        while (m.last < NUMBERS) {
            uint64_t back = sh_rng_below(&rng, windows[i]);
            model_put(&m, sh_rng_u64(&rng), m.count == MOST ? SH_E_LIMIT : 0);
            if (m.count == MOST || sh_rng_below(&rng, 8) != 0) {
                model_del(&m, m.last > back ? m.last - back : 0);
            }
            model_look(&m, sh_rng_below(&rng, m.last + 1));
            model_look(&m, m.last > back ? m.last - back : 0);
        }
        for (uint64_t n = 0; n <= NUMBERS; n++) {
            model_look(&m, n);
            model_del(&m, n);
        }
        assert_int_equal(m.count, 0);
        sh_serial_rest(&m.s);
        assert_int_equal(m.mem.live_bytes, 0);
        model_end(&m);
    }
}

/* One that stays for ever does not make the ring grow, nor does it stay in it. */
static void test_one_stays(void **state)
{
    (void)state;
    static struct model m;
    model_start(&m, MOST);
    model_put(&m, 7, 0);
    for (int i = 0; i < 1000; i++) {
        model_put(&m, 8, 0);
        model_del(&m, m.last);
        model_look(&m, 1);
    }
    assert_int_equal(m.s.size, SH_SERIAL_RING_START);
    assert_int_equal(m.s.old.count, 1);
    model_end(&m);
}

/* Each allocation fails once: an error, and all that was there is there still. */
static void test_without_memory(void **state)
{
    (void)state;
    static struct model m;
    for (size_t fail = 1; fail < 30; fail++) {
        model_start(&m, MOST);
        atomic_store(&m.mem.fail_at, fail);
        unsigned failed = 0;
        while (m.last < MOST) {
            if (sh_serial_put(&m.s, m.last + 1, m.last) != 0) {
                failed++;
                model_look(&m, m.last + 1);
                continue;
            }
            m.there[++m.last] = true;
            m.value[m.last] = m.last - 1;
            m.count++;
        }
        assert_in_range(failed, 0, 1); /* a ring that cannot grow makes its oldest old */
        for (uint64_t n = 1; n <= MOST; n++) {
            model_look(&m, n);
        }
        model_end(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_one_stays),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
