/* chat.c - a chat between terminals. The first hosts the room; each member hands the room a ref to itself.
 *   cc chat.c -o chat $(pkg-config --cflags --libs shoal) && ./chat ANNA
 *                              first terminal: prints the line for the others
 *   ./chat BERT ADDRESS        the others */
#include <poll.h>
#include <shoal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS_MAX = 32 };

struct room {
    shoal_pid members[MEMBERS_MAX];
    size_t count;
};

/* join: the value is a ref to the new member. */
static int room_join(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct room *room = state;
    shoal_pid member;
    if (shoal_as_ref(shoal_cx_node(cx), value, &member) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    if (room->count == MEMBERS_MAX) {
        return shoal_fail(cx, "the room is full");
    }
    room->members[room->count++] = member;
    shoal_monitor(shoal_cx_node(cx), shoal_cx_self(cx), member);
    return shoal_reply_i64(cx, (int64_t)room->count);
}

/* say: what one member says goes to all. */
static int room_say(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct room *room = state;
    for (size_t i = 0; i < room->count; i++) {
        shoal_cx_tell(cx, room->members[i], "line", value);
    }
    return 0;
}

static int room_on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)cx, (void)reason;
    struct room *room = state;
    for (size_t i = 0; i < room->count; i++) {
        if (shoal_pid_equal(room->members[i], pid)) {
            room->members[i] = room->members[--room->count];
            break;
        }
    }
    return SHOAL_RESUME;
}

static int member_line(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)cx, (void)state;
    shoal_bytes from = shoal_field_text(value, "from", "?"),
                text = shoal_field_text(value, "text", "");
    printf("<%.*s> %.*s\n", (int)from.len, (const char *)from.data, (int)text.len,
           (const char *)text.data);
    fflush(stdout);
    return 0;
}

static const shoal_handler room_handlers[] = {{"join", room_join}, {"say", room_say}};
static const shoal_actor_type room_type = {
    .struct_size = sizeof room_type,
    .id = "chat.room",
    .state_size = sizeof(struct room),
    .handlers = room_handlers,
    .handler_count = 2,
    .on_down = room_on_down,
};
static const shoal_handler member_handlers[] = {{"line", member_line}};
static const shoal_actor_type member_type = {
    .struct_size = sizeof member_type,
    .id = "chat.member",
    .handlers = member_handlers,
    .handler_count = 1,
};

/* Ends a call: its code, and the actor it found. */
static int finish(shoal_node *node, int64_t call, shoal_result **result, shoal_pid *pid)
{
    if (call < 0) {
        fprintf(stderr, "%s\n", shoal_last_error(node));
        return (int)call;
    }
    int code = shoal_wait(node, result);
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", shoal_code_name(code), (*result)->text);
    } else if (pid) {
        *pid = (*result)->pid;
    }
    shoal_result_free(*result);
    *result = NULL;
    return code;
}

static int enter(shoal_node *node, const char *address, shoal_pid *room)
{
    shoal_result *done = NULL;
    char mine[256];
    int code = shoal_listen(node, "/ip4/127.0.0.1/tcp/0");
    if (code == 0 && !address) {
        code = shoal_spawn(node, &room_type, NULL, room);
        if (code == 0) {
            code =
                finish(node, shoal_register(node, *room, "chat", shoal_keep, &done), &done, NULL);
        }
        if (code == 0 && shoal_address(node, 0, mine, sizeof mine) > 0) {
            printf("others join with: ./chat NAME %s\n", mine);
            fflush(stdout);
        }
    } else if (code == 0) {
        code = finish(node, shoal_dial(node, address, shoal_keep, &done), &done, NULL);
        if (code == 0) {
            code = finish(node, shoal_lookup(node, "chat", 5000, shoal_keep, &done), &done, room);
        }
    }
    return code;
}

static void say(shoal_node *node, shoal_pid room, const char *name, const char *line)
{
    shoal_pack pack;
    shoal_pack_init(&pack, NULL, 0);
    shoal_put_map(&pack, 2);
    shoal_put_key(&pack, "from");
    shoal_put_text(&pack, name, strlen(name));
    shoal_put_key(&pack, "text");
    shoal_put_text(&pack, line, strcspn(line, "\n"));
    if (shoal_tell(node, room, "say", shoal_packed(&pack)) < 0) {
        fprintf(stderr, "%s\n", shoal_last_error(node));
    }
    shoal_pack_free(&pack);
}

int main(int argc, char **argv)
{
    shoal_node *node;
    shoal_pid room, me;
    shoal_result *done = NULL;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: chat NAME [ADDRESS]\n");
        return 2;
    }
    if (shoal_node_new(NULL, &node) < 0) {
        fprintf(stderr, "%s\n", shoal_last_error(NULL));
        return 1;
    }
    shoal_pack ref;
    shoal_pack_init(&ref, NULL, 0);
    int code = enter(node, argc == 3 ? argv[2] : NULL, &room);
    if (code == 0 && (code = shoal_spawn(node, &member_type, NULL, &me)) == 0) {
        shoal_put_ref(&ref, node, me);
        code = finish(node, shoal_ask(node, room, "join", shoal_packed(&ref), 0, shoal_keep, &done),
                      &done, NULL);
    }
    shoal_pack_free(&ref);

    /* One wait for both the terminal and the node; unbuffered, so that no line hides from it. */
    setvbuf(stdin, NULL, _IONBF, 0);
    struct pollfd watched[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = shoal_fd(node), .events = POLLIN}};
    char line[512];
    while (code == 0) {
        poll(watched, 2, (int)shoal_next_timeout_ms(node));
        shoal_poll(node, 1500, 0);
        if (watched[0].revents) {
            if (!fgets(line, sizeof line, stdin)) {
                break;
            }
            say(node, room, argv[1], line);
        }
    }
    if (shoal_node_stop(node, 1000, shoal_keep, &done) > 0) {
        finish(node, 1, &done, NULL);
    }
    shoal_node_free(node);
    return code < 0;
}
