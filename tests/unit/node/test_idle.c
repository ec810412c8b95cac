/* unit/node/test_idle.c - what an idle connection costs a node: counted to the byte, with a session that was used once,
 * for who was dialled and for who dialled. */
#define WORLD_NODES 98
#include "world.h"

#include "base/block.h"
#include "node/internal.h"

enum {
    FIRST = 33,       /* connections before it is counted: tables that grow by halves are there */
    IDLE_MOST = 4096, /* bytes of one connection */
    IO_BYTES =
        256 +
        48, /* struct sh_tcp with its uv_poll_t, and its place among the connections: not in this world */
    SECOND = 1000000
};

static struct world world;

/* --- an allocator that counts what malloc takes for each block --- */

static size_t taken;

static size_t cost(size_t bytes)
{
    if (bytes == 0 || bytes >= SH_BLOCK_BYTES) {
        return 0; /* blocks are shared: at rest SH_BLOCKS_RESTING of them, however many connections there are */
    }
    size_t chunk = (bytes + 8 + 15) & ~(size_t)15;
    return chunk < 32 ? 32 : chunk;
}

static void *count_resize(void *ud, void *p, size_t old_size, size_t new_size)
{
    const sh_mem *under = sh_mem_system();
    (void)ud;
    taken += cost(new_size) - cost(old_size);
    return under->resize(under->ud, p, old_size, new_size);
}

static const sh_mem counting = {count_resize, NULL};

/* --- who is asked --- */

static int echo_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)ud;
    (void)state;
    (void)index;
    (void)name;
    return sh_cx_reply(cx, value);
}

static sh_pid spawn(int node)
{
    struct sh_actor_type def = {.id = sh_span_str("echo"), .handle = echo_handle};
    return world_spawn(&world, node, def, "echo");
}

static void start(int i)
{
    char listen[64];
    snprintf(listen, sizeof listen, "/ip4/10.0.0.%d/tcp/4001", i + 1);
    world_node(&world, i, listen);
    world_run(&world, NULL, 1000);
}

static sh_pid seen_from(int from, int node, sh_pid pid)
{
    uint8_t ref[SH_MP_REF_MAX];
    size_t n = 0;
    sh_pid out;
    sh_exec *x = sh_runtime_exec(sh_node_runtime(world.node[from]), 0);
    assert_int_equal(sh_node_ref_pack(world.node[node], pid, ref, &n), 0);
    assert_true(sh_exec_enter(x, WORLD_TOKEN));
    assert_int_equal(sh_node_ref_unpack(world.node[from], sh_span_of(ref, n), &out), 0);
    sh_exec_leave(x, WORLD_TOKEN);
    return out;
}

static void connect_and_ask(int from, int to, sh_pid pid)
{
    char at[64];
    uint8_t five = 5;
    struct told t = {0};
    snprintf(at, sizeof at, "/ip4/10.0.0.%d/tcp/4001", to + 1);
    assert_true(sh_node_dial(world.node[from], WORLD_TOKEN, sh_span_str(at), 0, world.now_us,
                             told_fn, &t) > 0);
    assert_true(world_run(&world, &t.count, 10 * SECOND));
    assert_int_equal(t.code, 0);
    t.count = 0;
    assert_true(sh_runtime_ask(sh_node_runtime(world.node[from]), WORLD_TOKEN,
                               seen_from(from, to, pid), sh_span_str("echo"), sh_span_of(&five, 1),
                               world.now_us + SECOND, told_fn, &t) > 0);
    assert_true(world_run(&world, &t.count, 10 * SECOND));
    assert_int_equal(t.code, 0);
}

/* Bytes of each connection behind the first ones at node 0. */
static size_t each(bool dials)
{
    size_t before = 0;
    memset(&world, 0, sizeof world);
    world.now_us = 1000000;
    taken = 0;
    world.mem[0] = &counting;
    start(0);
    sh_pid hub = spawn(0);
    for (int i = 1; i < WORLD_NODES; i++) {
        start(i);
        if (dials) {
            connect_and_ask(0, i, spawn(i));
        } else {
            connect_and_ask(i, 0, hub);
        }
        if (i == FIRST) {
            world_run(&world, NULL, 2 * SECOND);
            before = taken;
        }
    }
    world_run(&world, NULL, 2 * SECOND);
    size_t bytes = (taken - before) / (WORLD_NODES - 1 - FIRST) + IO_BYTES;
    world_free(&world);
    assert_int_equal(taken, 0);
    return bytes;
}

static void accepted(void **state)
{
    (void)state;
    size_t bytes = each(false);
    print_message("an idle connection that was accepted: %zu bytes\n", bytes);
    assert_true(bytes <= IDLE_MOST);
}

static void dialled(void **state)
{
    (void)state;
    size_t bytes = each(true);
    print_message("an idle connection that was dialled: %zu bytes\n", bytes);
    assert_true(bytes <= IDLE_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(dialled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
