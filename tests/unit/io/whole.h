/* unit/io/whole.h - whole nodes on the real driver, and what a call of theirs told. */
#ifndef SH_TESTS_WHOLE_H
#define SH_TESTS_WHOLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/io.h"

struct told {
    atomic_uint count;
    int code;
    sh_pid pid;
    char text[128];
    uint8_t value[64];
    size_t value_n;
};

static inline void told_fn(void *ud, const struct sh_result *r)
{
    struct told *t = ud;
    t->code = r->code;
    t->pid = r->pid;
    snprintf(t->text, sizeof t->text, "%.*s", (int)r->text.n, (const char *)r->text.p);
    t->value_n = r->value.n < sizeof t->value ? r->value.n : sizeof t->value;
    if (t->value_n) {
        memcpy(t->value, r->value.p, t->value_n);
    }
    atomic_fetch_add(&t->count, 1);
}

static inline bool told_done(void *ud)
{
    return atomic_load(&((struct told *)ud)->count) > 0;
}

/* listen: an address, or NULL. */
static inline sh_io *make(unsigned threads, const char *listen)
{
    struct sh_io_config cfg;
    sh_io_config_init(&cfg);
    cfg.node.threads = threads;
    cfg.node.listen = &listen;
    cfg.node.listen_count = listen ? 1 : 0;
    sh_io *io = NULL;
    char why[SH_IO_WHY_MAX] = "";
    int code = sh_io_new(&cfg, &io, why);
    if (code != 0) {
        print_error("%s: %s\n", listen ? listen : "no address", why);
    }
    assert_int_equal(code, 0);
    return io;
}

#endif
