/* counter.c - a counter that other processes find by name.
 *   cc counter.c -o counter $(pkg-config --cflags --libs shoal) && ./counter serve
 *                                   prints an address to dial, then serves until Ctrl-C
 *   ./counter add AMOUNT ADDRESS    dials it, looks "counter" up, asks it to add */
#include <shoal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counter {
    int64_t n;
};

static int inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct counter *counter = state;
    counter->n += shoal_field_i64(value, "amount", 1);
    return shoal_reply_i64(cx, counter->n);
}

static const shoal_handler handlers[] = {{"inc", inc}};
static const shoal_actor_type counter_type = {
    .struct_size = sizeof counter_type,
    .id = "counter",
    .state_size = sizeof(struct counter),
    .handlers = handlers,
    .handler_count = 1,
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static int fail(shoal_node *node, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, shoal_last_error(node));
    shoal_node_free(node);
    return 1;
}

/* Waits for a call and frees its result, but for the pid and the integer in it. */
static int finish(shoal_node *node, shoal_result **result, shoal_pid *pid, int64_t *number)
{
    int code = shoal_wait(node, result);
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", shoal_code_name(code), (*result)->text);
    } else if (pid) {
        *pid = (*result)->pid;
    } else if (number) {
        shoal_as_i64((*result)->value, number);
    }
    shoal_result_free(*result);
    *result = NULL;
    return code;
}

static int serve(shoal_node *node)
{
    char address[256];
    shoal_pid pid;
    shoal_result *done = NULL;
    if (shoal_listen(node, "/ip4/127.0.0.1/tcp/0") < 0 ||
        shoal_spawn(node, &counter_type, NULL, &pid) < 0 ||
        shoal_address(node, 0, address, sizeof address) < 0) {
        return fail(node, "serve");
    }
    shoal_register(node, pid, "counter", shoal_keep, &done);
    if (finish(node, &done, NULL, NULL) < 0) {
        return fail(node, "register");
    }
    printf("serving: ./counter add 5 %s\n", address);
    fflush(stdout);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    while (!stopped) {
        shoal_poll(node, 1500, 100);
    }
    shoal_node_stop(node, 1000, shoal_keep, &done);
    finish(node, &done, NULL, NULL);
    shoal_node_free(node);
    return 0;
}

static int add(shoal_node *node, int64_t amount, const char *address)
{
    shoal_result *done = NULL;
    shoal_pid counter;
    int64_t total = 0;
    if (shoal_dial(node, address, shoal_keep, &done) < 0 || finish(node, &done, NULL, NULL) < 0) {
        return fail(node, "dial");
    }
    shoal_lookup(node, "counter", 5000, shoal_keep, &done);
    if (finish(node, &done, &counter, NULL) < 0) {
        return fail(node, "lookup");
    }
    unsigned char room[32];
    shoal_pack pack;
    shoal_pack_init(&pack, room, sizeof room);
    shoal_put_map(&pack, 1);
    shoal_put_key(&pack, "amount");
    shoal_put_i64(&pack, amount);
    shoal_ask(node, counter, "inc", shoal_packed(&pack), 0, shoal_keep, &done);
    int code = finish(node, &done, NULL, &total);
    shoal_pack_free(&pack);
    if (code < 0) {
        return fail(node, "ask");
    }
    printf("counter is %lld\n", (long long)total);
    shoal_node_free(node);
    return 0;
}

int main(int argc, char **argv)
{
    shoal_node *node;
    if (shoal_node_new(NULL, &node) < 0) {
        return fail(NULL, "node");
    }
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        return serve(node);
    }
    if (argc == 4 && strcmp(argv[1], "add") == 0) {
        return add(node, strtoll(argv[2], NULL, 10), argv[3]);
    }
    fprintf(stderr, "usage: counter serve | counter add AMOUNT ADDRESS\n");
    shoal_node_free(node);
    return 2;
}
