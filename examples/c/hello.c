/* hello.c - one node, one actor, one ask.
 *   cc hello.c -o hello $(pkg-config --cflags --libs shoal) && ./hello */
#include <shoal.h>
#include <stdio.h>

static int greet(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    char text[128];
    shoal_bytes name = shoal_field_text(value, "name", "stranger");
    snprintf(text, sizeof text, "hello, %.*s", (int)name.len, (const char *)name.data);
    return shoal_reply_text(cx, text);
}

static const shoal_handler handlers[] = {{"greet", greet}};
static const shoal_actor_type greeter = {
    .struct_size = sizeof greeter,
    .id = "greeter",
    .handlers = handlers,
    .handler_count = 1,
};

int main(void)
{
    shoal_node *node;
    shoal_pid pid;
    if (shoal_node_new(NULL, &node) < 0 || shoal_spawn(node, &greeter, NULL, &pid) < 0) {
        fprintf(stderr, "%s\n", shoal_last_error(NULL));
        return 1;
    }

    unsigned char room[64];
    shoal_pack pack;
    shoal_pack_init(&pack, room, sizeof room);
    shoal_put_map(&pack, 1);
    shoal_put_key(&pack, "name");
    shoal_put_text(&pack, "world", 5);

    shoal_result *reply = NULL;
    shoal_ask(node, pid, "greet", shoal_packed(&pack), 0, shoal_keep, &reply);
    shoal_bytes text = shoal_nil();
    if (shoal_wait(node, &reply) == 0) {
        shoal_as_text(reply->value, &text);
    }
    printf("%.*s\n", (int)text.len, (const char *)text.data);

    shoal_result_free(reply);
    shoal_pack_free(&pack);
    shoal_node_free(node);
    return 0;
}
