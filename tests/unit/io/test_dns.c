/* unit/io/test_dns.c - what an answer of a name server may bring: dns.c as it is, with answers made here. */
#include "io/dns.c"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct sh_node {
    unsigned answers;
    size_t count;
    int err;
    sh_addr addrs[SH_DNSADDR_RESULTS_MAX + 1];
};

static struct sh_node node;
static struct sh_io io;
static sh_mem_counter mem;

void sh_io_changed(struct sh_io *changed)
{
    (void)changed;
}

void sh_node_resolved(sh_node *n, uint64_t request, const sh_addr *addrs, size_t count, int err,
                      uint64_t now_us)
{
    (void)request, (void)now_us;
    assert_true(count <= SH_DNSADDR_RESULTS_MAX);
    n->answers++;
    n->count = count;
    n->err = err;
    for (size_t i = 0; i < count; i++) {
        n->addrs[i] = addrs[i];
    }
}

static uint64_t no_time(void)
{
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    memset(&io, 0, sizeof io);
    io.mem = sh_mem_counted(&mem, sh_mem_system());
    io.node = &node;
    io.calls.now_us = no_time;
    return sh_dns_open(&io);
}

static int teardown(void **state)
{
    (void)state;
    sh_dns_close(&io);
    return atomic_load(&mem.live_blocks) == 0 ? 0 : -1;
}

static struct dns_question *question(void)
{
    struct dns_question *q = sh_mem_zalloc(io.mem, sizeof *q);
    assert_non_null(q);
    q->io = &io;
    q->endpoint.port = 7;
    io.dns->open++;
    return q;
}

static sh_addr nth(unsigned i)
{
    sh_addr a;
    const uint8_t ip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
    assert_int_equal(sh_addr_from_ip(&a, SH_HOST_IP4, ip, 7), 0);
    return a;
}

/* A reply with so many TXT records, each an address. */
static int reply(uint8_t *out, size_t cap, unsigned count)
{
    static const uint8_t name[] = "\x08_dnsaddr\x01x";
    char text[128];
    sh_writer w = sh_writer_of(out, cap);
    sh_put_u16be(&w, 1);
    sh_put_u16be(&w, 0x8180);
    sh_put_u16be(&w, 1);
    sh_put_u16be(&w, (uint16_t)count);
    sh_put_u32be(&w, 0);
    sh_put_bytes(&w, sh_span_of(name, sizeof name)); /* the NUL is the root */
    sh_put_u16be(&w, 16);
    sh_put_u16be(&w, 1);
    for (unsigned i = 0; i < count; i++) {
        int n = snprintf(text, sizeof text, "dnsaddr=/ip4/10.0.%u.%u/tcp/7", i >> 8, i & 255);
        sh_put_u16be(&w, 0xc00c);
        sh_put_u16be(&w, 16);
        sh_put_u16be(&w, 1);
        sh_put_u32be(&w, 60);
        sh_put_u16be(&w, (uint16_t)(n + 1));
        sh_put_u8(&w, (uint8_t)n);
        sh_put_bytes(&w, sh_span_str(text));
    }
    assert_false(w.overflow);
    return sh_put_len(&w);
}

/* SH_DNSADDR_RESULTS_MAX addresses of one name, the first. */
static void test_dnsaddr(void **state)
{
    (void)state;
    static const unsigned counts[] = {0,
                                      1,
                                      SH_DNSADDR_RESULTS_MAX - 1,
                                      SH_DNSADDR_RESULTS_MAX,
                                      SH_DNSADDR_RESULTS_MAX + 1,
                                      5 * SH_DNSADDR_RESULTS_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        static uint8_t packet[32768];
        int n = reply(packet, sizeof packet, counts[i]);
        unsigned want = counts[i] < SH_DNSADDR_RESULTS_MAX ? counts[i] : SH_DNSADDR_RESULTS_MAX;
        dns_texts(question(), ARES_SUCCESS, 0, packet, n);
        assert_int_equal(node.answers, i + 1);
        assert_int_equal(node.count, want);
        assert_int_equal(node.err, want ? 0 : SH_E_UNREACHABLE);
        for (unsigned k = 0; k < want; k++) {
            sh_addr a = nth(k);
            assert_true(sh_addr_eq(&node.addrs[k], &a));
        }
    }
    assert_int_equal(io.dns->open, 0);
}

static struct ares_addrinfo *found(unsigned count)
{
    struct ares_addrinfo *info = calloc(1, sizeof *info);
    assert_non_null(info);
    for (struct ares_addrinfo_node **at = &info->nodes; count > 0; at = &(*at)->ai_next) {
        struct sockaddr_in *in = calloc(1, sizeof *in);
        *at = calloc(1, sizeof **at);
        assert_true(in && *at);
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(0x0a000000u + --count);
        (*at)->ai_family = AF_INET;
        (*at)->ai_addrlen = sizeof *in;
        (*at)->ai_addr = (struct sockaddr *)(void *)in;
    }
    return info;
}

/* SH_DNS_RESULTS_MAX addresses of a host's name. */
static void test_host(void **state)
{
    (void)state;
    for (unsigned count = 0; count < SH_DNS_RESULTS_MAX + 10; count++) {
        dns_found(question(), ARES_SUCCESS, 0, found(count));
        assert_int_equal(node.answers, count + 1);
        assert_int_equal(node.count, count < SH_DNS_RESULTS_MAX ? count : SH_DNS_RESULTS_MAX);
        sh_addr a = nth(count - 1);
        assert_true(count == 0 || sh_addr_eq(&node.addrs[0], &a));
    }
    assert_int_equal(io.dns->open, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dnsaddr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
