/* A connection on which nothing happens: when it comes to rest, what is given back then, and how it waits for memory. */
#include "swarms.h"

enum { KEPT = 4 * SH_BLOCKS_RESTING };

static struct sh_swarm_conn *connected(void)
{
    snet_init(&net, 2, 51, PROTOCOLS, 1, NULL);
    snet_listen(&net, 1);
    net.node[0].pool.keep_max = KEPT;
    assert_int_equal(snet_dial(&net, 0, 1, false, 1), 0);
    snet_run(&net, SECOND);
    struct sh_swarm *s = net.node[0].swarm;
    assert_int_equal(s->conn_count, 1);
    return SH_CONTAINER(sh_list_front(&s->all_conns), struct sh_swarm_conn, all);
}

/* Something is heard from node 1; returns when. */
static uint64_t hear(const struct sh_swarm_conn *c)
{
    sh_stream *st;
    assert_int_equal(sh_swarm_open(net.node[1].swarm, snet_peer(&net, 1, 0), 0, NULL, &st), 0);
    assert_int_equal(sh_stream_write(st, sh_span_str("hello")), 5);
    snet_run(&net, 5 * MS);
    assert_true(c->heard_us + 5 * MS >= net.now_us);
    return c->heard_us;
}

/* A burst of connections is over: its blocks are kept by the pool. */
static void keep_blocks(sh_block_pool *pool)
{
    sh_block *b[KEPT];
    for (unsigned i = 0; i < KEPT; i++) {
        assert_int_equal(sh_block_get(pool, NULL, &b[i]), 0);
    }
    for (unsigned i = 0; i < KEPT; i++) {
        sh_block_put(pool, b[i]);
    }
    assert_int_equal(pool->free_count, KEPT);
}

/* SH_CONN_REST_MS of silence, then it holds the least it can; of the pool's blocks two go each time one comes to rest,
 * down to SH_BLOCKS_RESTING. */
static void test_rest(void **state)
{
    (void)state;
    const struct sh_swarm_conn *c = connected();
    sh_block_pool *pool = &net.node[0].pool;
    assert_true(c->resting);
    keep_blocks(pool);
    for (unsigned left = KEPT, rests = 0; rests < KEPT; rests++) {
        uint64_t heard_us = hear(c);
        assert_false(c->resting);
        size_t awake = atomic_load(&net.node[0].mem.live_bytes);
        snet_run(&net, heard_us + (SH_CONN_REST_MS - 1) * MS - net.now_us);
        assert_false(c->resting);
        assert_int_equal(pool->free_count, left);
        snet_run(&net, 2 * MS);
        assert_true(c->resting);
        left = left > SH_BLOCKS_RESTING + 2 ? left - 2 : SH_BLOCKS_RESTING;
        assert_int_equal(pool->free_count, left);
        assert_true(left == SH_BLOCKS_RESTING || atomic_load(&net.node[0].mem.live_bytes) < awake);
    }
    snet_fini(&net);
}

static void defaults(struct snet *n, unsigned i, struct sh_swarm_config *c)
{
    (void)n, (void)i;
    c->peer_timeout_us = SH_PEER_TIMEOUT_MS * MS;
    c->closed_grace_us = SH_CLOSED_GRACE_MS * MS;
}

/* A held peer is lost SH_PEER_TIMEOUT_MS after it was heard last; one whose connection ended and whose address does not
 * answer, SH_CLOSED_GRACE_MS after that. */
static void test_lost(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        snet_init(&net, 2, 53, PROTOCOLS, 1, defaults);
        snet_listen(&net, 1);
        assert_int_equal(snet_dial(&net, 0, 1, false, 1), 0);
        snet_run(&net, SECOND);
        struct sh_swarm *s = net.node[0].swarm;
        struct sh_peer_ref p = snet_peer(&net, 0, 1);
        sh_swarm_hold(s, p);
        snet_cut(&net, 0, 1, true);
        const struct sh_swarm_conn *c =
            SH_CONTAINER(sh_list_front(&s->all_conns), struct sh_swarm_conn, all);
        uint64_t lost_us = c->heard_us + SH_PEER_TIMEOUT_MS * MS;
        if (closed) {
            sh_swarm_disconnect(s, p, 0);
            lost_us = net.now_us + SH_CLOSED_GRACE_MS * MS;
        }
        snet_run(&net, lost_us - 1 * MS - net.now_us);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 0);
        snet_run(&net, 3 * MS);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_PEER_LOST, 0), 1);
        snet_fini(&net);
    }
}

/* One turn of node 0 by hand at a time of its own; true: it wants to read. */
static bool turn(uint64_t now_us)
{
    struct sh_swarm *s = net.node[0].swarm;
    struct sh_swarm_event ev;
    struct sh_swarm_action act;
    bool reads = false;
    sh_swarm_tick(s, now_us);
    while (sh_swarm_event(s, &ev, now_us)) {
    }
    sh_swarm_flush(s, now_us);
    while (sh_swarm_action(s, &act)) {
        reads = reads || act.kind == SH_SWARM_READ;
    }
    return reads;
}

/* SH_NO_BLOCK_MS: no block to read into, so it asks for bytes no sooner than that. */
static void test_no_block_to_read_into(void **state)
{
    (void)state;
    const struct sh_swarm_conn *c = connected();
    struct sh_swarm *s = net.node[0].swarm;
    size_t room;
    while (net.node[0].pool.free_count > 0) {
        sh_block_pool_trim(&net.node[0].pool, 0);
    }
    for (unsigned round = 0; round < 3; round++) {
        uint64_t now_us = net.now_us + round * SECOND;
        atomic_store(&net.node[0].mem.allocations, 0);
        atomic_store(&net.node[0].mem.fail_from, 1);
        turn(now_us);
        assert_null(sh_swarm_room(s, c->id, &room));
        assert_int_equal(room, 0);
        assert_false(turn(now_us));
        atomic_store(&net.node[0].mem.fail_from, 0);
        assert_false(turn(now_us + (SH_NO_BLOCK_MS - 1) * MS));
        assert_true(turn(now_us + (SH_NO_BLOCK_MS + 1) * MS));
        assert_non_null(sh_swarm_room(s, c->id, &room));
        sh_swarm_filled(s, c->id, 0, now_us + (SH_NO_BLOCK_MS + 1) * MS);
        net.node[0].pool.keep_max = 0;
        while (net.node[0].pool.free_count > 0) {
            sh_block_pool_trim(&net.node[0].pool, 0);
        }
    }
    snet_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_no_block_to_read_into),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
