/* Nodes in threads, one behaviour at a time: a sleeping host is woken by what another thread gives it; nodes begin and
 * end a hundred times with calls open, and leave no descriptor. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <shoal.h>

#include "actor.h"
#include "loopback.h"
#include "process.h"

struct life {
    shoal_node *node;
    shoal_pid pids[2]; /* on the loop, on the host */
    atomic_bool host_over;
};

/* --- one thread sleeps in shoal_poll; what another gives it wakes it --- */

static atomic_int ticks;

static int tick_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)state, (void)args;
    return shoal_after(cx, 20, "tick", shoal_nil()) < 0 ? shoal_fail(cx, "no timer") : 0;
}

static int on_tick(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx, (void)state, (void)value;
    atomic_fetch_add(&ticks, 1);
    return 0;
}

static void *sleeper_main(void *ud)
{
    struct life *l = ud;
    while (!atomic_load(&l->host_over)) {
        shoal_poll(l->node, 0, 60000);
    }
    return NULL;
}

static void sleeping_host(void **state)
{
    (void)state;
    static const shoal_handler tick = {"tick", on_tick};
    static const shoal_actor_type type = {.struct_size = sizeof type,
                                          .id = "stress.tick",
                                          .handlers = &tick,
                                          .handler_count = 1,
                                          .init = tick_init};
    for (uint32_t threads = 0; threads < 2; threads++) {
        struct life life = {0};
        pthread_t host;
        life.node = node_make(threads, true);
        atomic_store(&ticks, 0);
        assert_int_equal(pthread_create(&host, NULL, sleeper_main, &life), 0);
        for (int i = 1; i <= 6; i++) {
            shoal_spawn_options o = {.struct_size = sizeof o, .flags = i % 3 ? SHOAL_ON_HOST : 0};
            shoal_pid pid;
            double began = now_s();
            usleep(30000); /* it sleeps by now */
            assert_int_equal(shoal_spawn(life.node, &type, &o, &pid), 0);
            while (atomic_load(&ticks) < i && now_s() - began < 5) {
                usleep(1000);
            }
            assert_int_equal(atomic_load(&ticks), i);
        }
        atomic_store(&life.host_over, true);
        shoal_wake(life.node);
        pthread_join(host, NULL);
        shoal_node_free(life.node);
    }
}

/* --- many lives --- */

static void life_open(struct life *l, uint32_t threads)
{
    static const shoal_handler handlers[] = {{"inc", on_inc}, {"never", on_never}};
    static const shoal_actor_type type = {.struct_size = sizeof type,
                                          .id = "stress.life",
                                          .state_size = sizeof(int64_t),
                                          .handlers = handlers,
                                          .handler_count = 2};
    l->node = node_make(threads, true);
    for (int i = 0; i < 2; i++) {
        shoal_spawn_options o = {.struct_size = sizeof o, .flags = i ? SHOAL_ON_HOST : 0};
        assert_int_equal(shoal_spawn(l->node, &type, &o, &l->pids[i]), 0);
    }
}

static void *short_caller(void *ud)
{
    struct life *l = ud;
    for (int i = 0; i < 20; i++) {
        shoal_result *r = NULL;
        shoal_pid pid = l->pids[i % 2];
        if (shoal_ask(l->node, pid, "inc", shoal_nil(), 2000, shoal_keep, &r) > 0) {
            shoal_wait(l->node, &r);
            shoal_result_free(r);
        }
        shoal_lookup(l->node, "nobody", 0, NULL, NULL);
        shoal_ask(l->node, pid, "never", shoal_nil(), 9000, NULL, NULL);
    }
    return NULL;
}

/* Nobody polls but who waits; the node ends with calls open. */
static void many_lives(void **state)
{
    (void)state;
    struct life life = {0};
    int fds = open_fds();
    for (uint32_t i = 0; i < 100; i++) {
        pthread_t callers[2];
        life_open(&life, i % 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(pthread_create(&callers[k], NULL, short_caller, &life), 0);
        }
        for (int k = 0; k < 2; k++) {
            pthread_join(callers[k], NULL);
        }
        if (i % 4 < 2) {
            shoal_result *r = NULL;
            assert_true(shoal_node_stop(life.node, 20, shoal_keep, &r) > 0);
            shoal_wait(life.node, &r);
            shoal_result_free(r);
        }
        shoal_node_free(life.node);
    }
    assert_int_equal(open_fds(), fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_host),
        cmocka_unit_test(many_lives),
    };
    alarm(100); /* a call that never ends is a failure, not a hang */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
