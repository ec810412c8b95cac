/* Many streams at once over one connection, opened by both sides in the same turn. */
#include "swarms.h"

enum { STREAMS = 200, BYTES = 4096 };

static size_t bytes_at(unsigned node, size_t from)
{
    size_t sum = 0;
    for (size_t i = from; i < net.log_count; i++) {
        bool data = net.log[i].node == node && net.log[i].kind == SH_SWARM_STREAM_DATA;
        sum += data ? net.log[i].data_n : 0;
    }
    return sum;
}

/* The first bytes of a stream and what follows its negotiation; with end: also our end, all in one turn. */
static void open_many(unsigned node, bool end)
{
    static const uint8_t bytes[BYTES];
    struct sh_peer_ref to = snet_peer(&net, node, 1 - node);
    size_t n = end ? 16 : 512; /* as much as the connection takes in one go */
    for (unsigned i = 0; i < STREAMS; i++) {
        sh_stream *st;
        assert_int_equal(sh_swarm_open(net.node[node].swarm, to, 0, NULL, &st), 0);
        assert_int_equal(sh_stream_write(st, sh_span_of(bytes, n)), n);
        if (end) {
            sh_stream_shut(st);
        }
    }
}

static void test_both_ways(void **state)
{
    (void)state;
    connect_pair();
    snet_run(&net, SECOND);
    size_t from = net.log_count;
    open_many(0, false);
    open_many(1, false);
    snet_run(&net, SECOND);
    for (unsigned node = 0; node < 2; node++) {
        assert_int_equal(snet_count(&net, node, SH_SWARM_STREAM_IN, from), STREAMS);
        assert_int_equal(snet_count(&net, node, SH_SWARM_STREAM_OPEN, from), STREAMS);
        assert_int_equal(snet_count(&net, node, SH_SWARM_STREAM_END, from), 0);
        assert_int_equal(bytes_at(node, from), STREAMS * 512);
    }
    snet_fini(&net);
}

/* Node 1 writes until the connection takes no more. */
static size_t fill(void)
{
    static const uint8_t bytes[BYTES];
    size_t sum = 0;
    for (unsigned i = 0; i < 2; i++) { /* one alone is stopped by its window */
        sh_stream *st;
        int64_t n = BYTES;
        assert_int_equal(sh_swarm_open(net.node[1].swarm, snet_peer(&net, 1, 0), 0, NULL, &st), 0);
        while (n == BYTES) {
            n = sh_stream_write(st, sh_span_of(bytes, BYTES));
            assert_true(n >= 0);
            sum += (size_t)n;
        }
    }
    return sum;
}

/* Proposals, payload and end arrive while there is no room for an answer: they wait, nobody is turned away. */
static void test_no_room_for_answers(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        connect_pair();
        snet_run(&net, SECOND);
        size_t from = net.log_count;
        snet_pause(&net, 1);
        open_many(0, end);
        snet_run(&net, SECOND / 100);
        size_t sum = fill();
        snet_resume(&net, 1);
        snet_run(&net, SECOND);
        assert_int_equal(snet_count(&net, 1, SH_SWARM_STREAM_IN, from), STREAMS);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_STREAM_OPEN, from), STREAMS);
        assert_int_equal(snet_count(&net, 0, SH_SWARM_STREAM_END, from), 0);
        assert_int_equal(snet_count(&net, 1, SH_SWARM_STREAM_FIN, from), end ? STREAMS : 0);
        assert_int_equal(bytes_at(1, from), STREAMS * (end ? 16 : 512));
        assert_int_equal(bytes_at(0, from), sum);
        snet_fini(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_ways),
                                       cmocka_unit_test(test_no_room_for_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
