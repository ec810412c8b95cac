/* host.c - a node for the tests of the shoal command: one actor named "host" that listens on a free port.
 *   host NAME [ADMIN]     prints its address, then the actor's ref; ends when its input does */
#include "../support/host.h"
#include <stdio.h>

struct host {
    int64_t told;
};

/* echo: the value, unchanged. */
static int host_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_reply(cx, value);
}

/* add: {"amount": n}, told or asked. */
static int host_add(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct host *host = state;
    host->told += shoal_field_i64(value, "amount", 1);
    return shoal_reply_i64(cx, host->told);
}

static int host_fail(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_fail_with(cx, "no such luck", "Misfortune", value);
}

/* mute: takes the ask and never answers. */
static int host_mute(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_promise promise;
    return shoal_defer(cx, &promise);
}

/* me: a ref to itself. */
static int host_me(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_ref(&p, shoal_cx_node(cx), shoal_cx_self(cx));
    int code = shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

/* odd: what JSON has no form of its own for. */
static int host_odd(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_pack p;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_map(&p, 3);
    shoal_put_i64(&p, -7);
    shoal_put_text(&p, "minus\xc2\x9b[31m", 11);
    shoal_put_key(&p, "$bytes");
    shoal_put_text(&p, "text", 4);
    shoal_put_u64(&p, UINT64_MAX);
    shoal_put_map(&p, 0);
    int code = shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

/* end: stops the actor. */
static int host_end(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_cx_stop(cx, "asked to");
    return 0;
}

static const shoal_handler handlers[] = {
    {"echo", host_echo}, {"add", host_add}, {"fail", host_fail}, {"mute", host_mute},
    {"me", host_me},     {"odd", host_odd}, {"end", host_end},
};
static const shoal_actor_type type = {
    .struct_size = sizeof type,
    .id = "test.host",
    .state_size = sizeof(struct host),
    .handlers = handlers,
    .handler_count = sizeof handlers / sizeof *handlers,
};

static int host_start(shoal_node *node, const char *name)
{
    shoal_result *done = NULL;
    shoal_pid pid;
    char address[512], ref[160];
    int code = shoal_spawn(node, &type, NULL, &pid);
    if (code == 0 && shoal_register(node, pid, name, shoal_keep, &done) > 0) {
        code = shoal_wait(node, &done);
    }
    shoal_result_free(done);
    if (code == 0 && shoal_address(node, 0, address, sizeof address) > 0 &&
        shoal_pid_text(node, pid, ref, sizeof ref) > 0) {
        printf("%s\n%s\n", address, ref);
        fflush(stdout);
    }
    return code;
}

int main(int argc, char **argv)
{
    const char *admin[] = {argc > 2 ? argv[2] : NULL};
    struct host_options o;
    shoal_node *node;
    host_options(&o, 0, NULL);
    o.cfg.admin = admin;
    o.cfg.admin_count = argc > 2;
    o.cfg.log_level = SHOAL_LOG_OFF;
    if (argc < 2 || shoal_node_new(&o.cfg, &node) < 0 || host_start(node, argv[1]) < 0) {
        fprintf(stderr, "host: %s\n", shoal_last_error(NULL));
        return 1;
    }
    while (!host_sleep(node, -1)) {
        shoal_poll(node, 0, 0);
    }
    shoal_node_free(node);
    return 0;
}
