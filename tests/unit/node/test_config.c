/* unit/node/test_config.c - defaults are good, each wrong option is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "node/config.h"

#include "base/err.h"

static void wake(void *ud, unsigned exec)
{
    (void)ud;
    (void)exec;
}

/* What holds when nobody says otherwise. The limits themselves are run into where they are kept. */
static void test_defaults(void **state)
{
    (void)state;
    struct sh_node_config cfg;
    sh_node_config_init(&cfg);
    assert_int_equal(cfg.max_peers, SH_PEERS_CONNECTED_MAX);
    assert_int_equal(cfg.peer_timeout_us, SH_PEER_TIMEOUT_MS * 1000);
    assert_int_equal(cfg.closed_grace_us, SH_CLOSED_GRACE_MS * 1000);
    assert_int_equal(cfg.quota_bytes, SH_NODE_QUOTA_BYTES);
    assert_int_equal(cfg.max_message, SH_MESSAGE_MAX);
    assert_int_equal(cfg.mailbox, SH_MAILBOX_DEFAULT);
    assert_int_equal(cfg.stop_timeout_us, SH_STOP_TIMEOUT_MS * 1000);
    assert_int_equal(cfg.ask_timeout_us, SH_ASK_TIMEOUT_MS * 1000);
}

static void test_check(void **state)
{
    (void)state;
    static const char *const bad[] = {"/ip4/1.2.3/tcp/1"};
    struct sh_node_config cfg;
    const char *why = NULL;
    sh_node_config_init(&cfg);
    assert_int_equal(sh_node_config_check(&cfg, &why), SH_E_USAGE); /* no driver */
    cfg.wake = wake;
    const struct sh_node_config good = cfg;
    assert_int_equal(sh_node_config_check(&cfg, &why), 0);
#define BAD(code, ...)                                                                             \
    do {                                                                                           \
        cfg = good;                                                                                \
        __VA_ARGS__;                                                                               \
        assert_int_equal(sh_node_config_check(&cfg, &why), code);                                  \
        assert_non_null(why);                                                                      \
    } while (0)
    BAD(SH_E_UNSUPPORTED, cfg.threads = 2);
    BAD(SH_E_BAD_ADDRESS, cfg.listen = bad; cfg.listen_count = 1);
    BAD(SH_E_BAD_ADDRESS, cfg.announce = bad; cfg.announce_count = 1);
    BAD(SH_E_BAD_ADDRESS, cfg.dial = bad; cfg.dial_count = 1);
    BAD(SH_E_USAGE, cfg.max_actors = 0);
    BAD(0, cfg.max_actors = SH_SLAB_COUNT_MAX);
    BAD(SH_E_USAGE, cfg.max_actors = SH_SLAB_COUNT_MAX + 1u);
    BAD(SH_E_USAGE, cfg.max_asks = 0);
    BAD(0, cfg.max_asks = SH_SLAB_COUNT_MAX);
    BAD(SH_E_USAGE, cfg.max_asks = SH_SLAB_COUNT_MAX + 1u);
    BAD(SH_E_USAGE, cfg.max_message = SH_NODE_MESSAGE_MIN - 1);
    BAD(SH_E_USAGE, cfg.max_message = SH_NODE_MESSAGE_LIMIT + 1u);
    BAD(0, cfg.max_message = SH_NODE_MESSAGE_LIMIT);
    BAD(0, cfg.max_message = SH_NODE_MESSAGE_MIN);
    BAD(SH_E_USAGE, cfg.max_peers = 0);
    BAD(0, cfg.max_peers = SH_PEERS_TABLE_MAX - 1);
    BAD(SH_E_USAGE, cfg.max_peers = SH_PEERS_TABLE_MAX);
    BAD(SH_E_USAGE, cfg.ask_timeout_us = 0);
    BAD(SH_E_USAGE, cfg.peer_timeout_us = 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults),
                                       cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
