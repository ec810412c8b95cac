/* demo.c - the C node of the demo: registers "demo.c", finds the others by name, asks each.
 * The line contract of the three nodes is told in run.sh. */
#include <shoal.h>
#include <stdio.h>
#include <string.h>

static int greet(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    char text[128];
    shoal_bytes from = shoal_field_text(value, "from", "?");
    snprintf(text, sizeof text, "C greets %.*s", (int)from.len, (const char *)from.data);
    return shoal_reply_text(cx, text);
}

static const shoal_handler handlers[] = {{"greet", greet}};
static const shoal_actor_type greeter = {
    .struct_size = sizeof greeter,
    .id = "demo.greeter",
    .handlers = handlers,
    .handler_count = 1,
};

/* Waits for a call. Its result stays in *result, to be freed. */
static int finish(shoal_node *node, int64_t call, shoal_result **result)
{
    if (call < 0) {
        printf("failed\t%s\n", shoal_last_error(node));
        return (int)call;
    }
    int code = shoal_wait(node, result);
    if (code < 0) {
        printf("failed\t%s: %s\n", shoal_code_name(code), (*result)->text);
    }
    return code;
}

static int greet_other(shoal_node *node, const char *name)
{
    shoal_result *found = NULL, *reply = NULL;
    shoal_bytes text = shoal_nil();
    unsigned char room[64];
    shoal_pack pack;
    shoal_pack_init(&pack, room, sizeof room);
    shoal_put_map(&pack, 1);
    shoal_put_key(&pack, "from");
    shoal_put_text(&pack, "demo.c", 6);
    int code = finish(node, shoal_lookup(node, name, 20000, shoal_keep, &found), &found);
    if (code == 0) {
        int64_t call =
            shoal_ask(node, found->pid, "greet", shoal_packed(&pack), 0, shoal_keep, &reply);
        code = finish(node, call, &reply);
    }
    if (code == 0) {
        char pid[160];
        shoal_as_text(reply->value, &text);
        shoal_pid_text(node, found->pid, pid, sizeof pid);
        printf("call\tdemo.c\t%s\t%s\t%.*s\n", name, pid, (int)text.len, (const char *)text.data);
    }
    shoal_result_free(found);
    shoal_result_free(reply);
    shoal_pack_free(&pack);
    return code;
}

int main(int argc, char **argv)
{
    shoal_node *node;
    shoal_node_config config;
    shoal_node_config_init(&config, sizeof config);
    const char *listen[] = {"/ip4/127.0.0.1/tcp/0"};
    const char *dial[] = {argc > 1 ? argv[1] : ""};
    config.listen = listen;
    config.listen_count = 1;
    config.dial = dial;
    config.dial_count = argc > 1;
    config.threads = 1; /* goes on serving while main waits for its input to end */
    shoal_pid pid;
    char address[256];
    shoal_result *done = NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (shoal_node_new(&config, &node) < 0) {
        printf("failed\t%s\n", shoal_last_error(NULL));
        return 1;
    }
    int code = shoal_spawn(node, &greeter, NULL, &pid);
    shoal_address(node, 0, address, sizeof address);
    printf("listening\tdemo.c\t%s\n", address);
    if (code == 0) {
        code = finish(node, shoal_register(node, pid, "demo.c", shoal_keep, &done), &done);
        shoal_result_free(done);
        done = NULL;
    }
    if (code == 0 && (code = greet_other(node, "demo.lua")) == 0) {
        code = greet_other(node, "demo.python");
    }
    printf("done\tdemo.c\n");
    while (getchar() != EOF) {
    }
    finish(node, shoal_node_stop(node, 2000, shoal_keep, &done), &done);
    shoal_result_free(done);
    shoal_node_free(node);
    return code < 0;
}
