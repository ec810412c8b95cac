/* tests/support/loopback.h - nodes of the public interface that listen on a free port of loopback. */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <shoal.h>

static inline shoal_node_config loopback_config(uint32_t threads)
{
    static const char *const any[] = {"/ip4/127.0.0.1/tcp/0"};
    shoal_node_config cfg;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.threads = threads;
    cfg.listen = any;
    cfg.listen_count = 1;
    return cfg;
}

/* What a call gave that makes a node: it must be there. */
static inline shoal_node *node_born(int code, shoal_node *node)
{
    if (code < 0) {
        fprintf(stderr, "node: %s\n", shoal_last_error(NULL));
    }
    assert_non_null(node);
    return node;
}

static inline shoal_node *node_make(uint32_t threads, bool listens)
{
    shoal_node_config cfg = loopback_config(threads);
    shoal_node *node = NULL;
    cfg.listen_count = listens;
    cfg.log_level = SHOAL_LOG_ERROR;
    int code = shoal_node_new(&cfg, &node);
    return node_born(code, node);
}

#endif
