/* tests/unit/proto/test_addr.c - multiaddr: vectors both ways, refusals, endpoints. */
#include "../base/check.h"

#include "proto/addr.h"

#define ID "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

static void parse_ok(sh_addr *a, const char *text)
{
    int rc = sh_addr_parse(a, text, strlen(text));
    if (rc != 0) {
        print_error("%s: %d\n", text, rc);
    }
    assert_int_equal(rc, 0);
}

static void test_vectors(void **state)
{
    (void)state;
    FILE *f = fopen(SHOAL_TESTS_DIR "/vectors/libp2p/multiaddr.txt", "r");
    assert_non_null(f);
    char line[1024], text[512], hex[512], printed[SH_ADDR_TEXT_MAX];
    unsigned rows = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || sscanf(line, "%511s %511s", text, hex) != 2) {
            continue;
        }
        uint8_t buf[SH_ADDR_BYTES_MAX];
        sh_span bytes = check_hex(hex, buf, sizeof buf);
        sh_addr a, b;
        parse_ok(&a, text);
        assert_span_equal(sh_span_of(a.b, a.n), bytes);
        assert_int_equal(sh_addr_from_bytes(&b, bytes), 0);
        assert_true(sh_addr_eq(&a, &b));
        assert_int_equal(sh_addr_text(&b, printed, sizeof printed), strlen(text));
        assert_string_equal(printed, text);
        for (size_t n = 0; n < bytes.n;
             n++) { /* a cut one is refused, or another well-formed one */
            if (sh_addr_from_bytes(&b, sh_span_take(bytes, n)) == 0) {
                assert_true(sh_addr_text(&b, printed, sizeof printed) > 0);
                assert_true(strncmp(printed, text, strlen(printed)) == 0);
            }
        }
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 17);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "/ip4/0.0.0.0/tcp/0",
        "/ip6/::/tcp/65535",
        "/ip6/::ffff:1.2.3.4/tcp/1",
        "/ip6/1:0:0:2::3/tcp/1",
        "/ip6/2001:db8::/ipcidr/32",
        "/dns6/x/sctp/5/dccp/6",
        "/unix/tmp/a/b.sock",
        "/memory/18446744073709551615",
        "/onion/aaimaq4ygg2iegci:80",
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
        "/ip4/1.2.3.4/udp/1/quic",
        "/ip4/1.2.3.4/udp/1/utp/udt",
        "/ip4/1.2.3.4/udp/1/quic-v1/webtransport",
        "/ip4/1.2.3.4/tcp/1/noise/p2p-webrtc-star/p2p-webrtc-direct/p2p-stardust",
        "/ip4/1.2.3.4/tcp/1/https/webrtc",
        "/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit/p2p/" ID,
    };
    char printed[SH_ADDR_TEXT_MAX];
    for (size_t i = 0; i < COUNT(TEXTS); i++) {
        sh_addr a, b;
        parse_ok(&a, TEXTS[i]);
        assert_true(sh_addr_text(&a, printed, sizeof printed) > 0);
        assert_string_equal(printed, TEXTS[i]);
        assert_int_equal(sh_addr_from_bytes(&b, sh_span_of(a.b, a.n)), 0);
        assert_true(sh_addr_eq(&a, &b));
        assert_int_equal(sh_addr_text(&a, printed, 3), SH_E_LIMIT);
    }
    sh_addr a, b;
    parse_ok(&a, "/ip4/1.2.3.4/tcp/1/ipfs/" ID);
    parse_ok(
        &b,
        "/ip4/1.2.3.4/tcp/1/p2p/bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6");
    assert_true(sh_addr_eq(&a, &b));
    parse_ok(&a, "/ip6/2001:DB8:0:0:0:0:0:1/tcp/1");
    sh_addr_text(&a, printed, sizeof printed);
    assert_string_equal(printed, "/ip6/2001:db8::1/tcp/1");
}

static const char *const REFUSED_TEXTS[] = {
    "",
    "/",
    "//",
    "ip4/1.2.3.4",
    "/ip4",
    "/ip4/",
    "/ip4/::1",
    "/ip4/1.2.3",
    "/ip4/1.2.3.4.5",
    "/ip4/1.2.3.256",
    "/ip4/1.2.3.04",
    "/ip4/1.2.3.4.",
    "/ip4/1.2.3.4/",
    "/tcp/65536",
    "/tcp/-1",
    "/tcp/",
    "/tcp/1x",
    "/p2p/tcp",
    "/ip4/127.0.0.1/udp/jfodsajfidosajfoidsa",
    "/ip6/1:2:3:4:5:6:7",
    "/ip6/1:2:3:4:5:6:7:8:9",
    "/ip6/1::2::3",
    "/ip6/:1",
    "/ip6/1:",
    "/ip6/12345::",
    "/ip6/g::",
    "/ip6/::1.2.3",
    "/ip6/1:2:3:4:5:6:7::8",
    "/ip6/:::",
    "/nonsense/1",
    "/ip6zone/",
    "/onion/aaimaq4ygg2iegci:0",
    "/onion/aaimaq4ygg2iegci",
    "/certhash/zabc",
    "/certhash/u",
    "/memory/18446744073709551616",
    "/http-path/%2",
    "/http-path/%zz",
    "/unix",
    "/unix/",
    "/unix/tmp/a/",
    "/ipcidr/129",
};

static const char *const REFUSED_BYTES[] = {"",
                                            "04",
                                            "047f0000",
                                            "06",
                                            "047f00000100",
                                            "8400",
                                            "ff01",
                                            "3600",
                                            "350161ff",
                                            "36012f",
                                            "a50300",
                                            "a503020000",
                                            "047f000001060fa1a5",
                                            "8080808080808080808001",
                                            "9003042f616263060fa1", /* a path, and more */
                                            "9003012f",
                                            "9003042f2d782f"}; /* a path that ends in a slash */

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(REFUSED_TEXTS); i++) {
        sh_addr a;
        if (sh_addr_parse(&a, REFUSED_TEXTS[i], strlen(REFUSED_TEXTS[i])) != SH_E_BAD_ADDRESS) {
            print_error("accepted: %s\n", REFUSED_TEXTS[i]);
            fail();
        }
    }
    for (size_t i = 0; i < COUNT(REFUSED_BYTES); i++) {
        uint8_t buf[64];
        sh_addr a;
        assert_int_equal(sh_addr_from_bytes(&a, check_hex(REFUSED_BYTES[i], buf, sizeof buf)),
                         SH_E_BAD_ADDRESS);
    }
}

static void test_limits(void **state)
{
    (void)state;
    uint8_t many[2 * (SH_MULTIADDR_PARTS_MAX + 1)];
    sh_addr a;
    for (size_t i = 0; i < sizeof many; i += 2) {
        many[i] = 0xc0;
        many[i + 1] = 0x03; /* tls */
    }
    assert_int_equal(sh_addr_from_bytes(&a, sh_span_of(many, sizeof many - 2)), 0);
    assert_int_equal(sh_addr_from_bytes(&a, sh_span_of(many, sizeof many)), SH_E_BAD_ADDRESS);
    uint8_t large[SH_ADDR_BYTES_MAX + 1];
    memset(large, 'a', sizeof large);
    large[0] = 0x35;
    large[1] = 0xf9;
    large[2] = 0x02; /* 377: fills it to the last byte */
    assert_int_equal(sh_addr_from_bytes(&a, sh_span_of(large, SH_ADDR_BYTES_MAX)), 0);
    sh_peer_id id;
    assert_int_equal(sh_peer_id_parse(&id, sh_span_str(ID)), 0);
    assert_int_equal(sh_addr_with_peer(&a, &id), SH_E_LIMIT);
    large[1] = 0xfa;
    assert_int_equal(sh_addr_from_bytes(&a, sh_span_of(large, sizeof large)), SH_E_BAD_ADDRESS);
}

static void test_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        enum sh_addr_host host;
        enum sh_addr_transport transport;
        int port;
        bool has_peer;
    } ROWS[] = {
        {"/ip4/1.2.3.4/tcp/80", 0, SH_HOST_IP4, SH_TRANSPORT_TCP, 80, false},
        {"/ip6/::1/tcp/80/p2p/" ID, 0, SH_HOST_IP6, SH_TRANSPORT_TCP, 80, true},
        {"/dns/example.com/tcp/80", 0, SH_HOST_DNS, SH_TRANSPORT_TCP, 80, false},
        {"/dns4/example.com/tcp/80", 0, SH_HOST_DNS4, SH_TRANSPORT_TCP, 80, false},
        {"/dns6/example.com/tcp/80", 0, SH_HOST_DNS6, SH_TRANSPORT_TCP, 80, false},
        {"/dnsaddr/example.com", 0, SH_HOST_DNSADDR, SH_TRANSPORT_NONE, 0, false},
        {"/dnsaddr/example.com/p2p/" ID, 0, SH_HOST_DNSADDR, SH_TRANSPORT_NONE, 0, true},
        {"/ip4/1.2.3.4/tcp/0", 0, SH_HOST_IP4, SH_TRANSPORT_TCP, 0, false},
        {"/ip4/1.2.3.4/tcp/80/ws", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_WS, 80, false},
        {"/ip4/1.2.3.4/tcp/80/tls/ws", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_WSS, 80, false},
        {"/ip4/1.2.3.4/tcp/80/wss", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_WSS, 80, false},
        {"/ip4/1.2.3.4/udp/80/quic-v1", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_QUIC, 80,
         false},
        {"/ip4/1.2.3.4/udp/80", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_NONE, 80, false},
        {"/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit/p2p/" ID, SH_E_UNSUPPORTED, SH_HOST_IP4,
         SH_TRANSPORT_TCP, 1, true},
        {"/memory/1", SH_E_UNSUPPORTED, SH_HOST_IP4, SH_TRANSPORT_NONE, 0, false},
        {"/ip4/1.2.3.4", SH_E_BAD_ADDRESS, SH_HOST_IP4, SH_TRANSPORT_NONE, 0, false},
        {"/ip4/1.2.3.4/p2p/" ID, SH_E_BAD_ADDRESS, SH_HOST_IP4, SH_TRANSPORT_NONE, 0, true},
        {"/ip4/1.2.3.4/tcp/1/tcp/2", SH_E_BAD_ADDRESS, SH_HOST_IP4, SH_TRANSPORT_TCP, 1, false},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        sh_addr a;
        struct sh_endpoint e;
        parse_ok(&a, ROWS[i].text);
        int rc = sh_addr_endpoint(&a, &e);
        if (rc != ROWS[i].rc) {
            print_error("%s: %d\n", ROWS[i].text, rc);
        }
        assert_int_equal(rc, ROWS[i].rc);
        assert_int_equal(e.host, ROWS[i].host);
        assert_int_equal(e.transport, ROWS[i].transport);
        assert_int_equal(e.port, ROWS[i].port);
        assert_int_equal(e.has_peer, ROWS[i].has_peer);
    }
}

static void test_helpers(void **state)
{
    (void)state;
    static const uint8_t ip[16] = {127, 0, 0, 1};
    static const struct {
        const char *text;
        bool unspecified, loopback;
    } ROWS[] = {
        {"/ip4/0.0.0.0/tcp/1", true, false},  {"/ip6/::/tcp/1", true, false},
        {"/ip4/1.2.3.4/tcp/0", true, false},  {"/ip4/127.9.9.9/tcp/1", false, true},
        {"/ip6/::1/tcp/1", false, true},      {"/ip6/::ffff:127.0.0.1/tcp/1", false, true},
        {"/ip4/1.2.3.4/tcp/1", false, false}, {"/dns/localhost/tcp/1", false, false},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        sh_addr a;
        parse_ok(&a, ROWS[i].text);
        assert_int_equal(sh_addr_is_unspecified(&a), ROWS[i].unspecified);
        assert_int_equal(sh_addr_is_loopback(&a), ROWS[i].loopback);
    }
    sh_addr a, b;
    sh_peer_id id;
    assert_int_equal(sh_addr_from_ip(&a, SH_HOST_IP4, ip, 4001), 0);
    parse_ok(&b, "/ip4/127.0.0.1/tcp/4001");
    assert_true(sh_addr_eq(&a, &b));
    assert_int_equal(sh_peer_id_parse(&id, sh_span_str(ID)), 0);
    assert_int_equal(sh_addr_with_peer(&a, &id), 0);
    assert_int_equal(sh_addr_with_peer(&a, &id), 0); /* replaces */
    parse_ok(&b, "/ip4/127.0.0.1/tcp/4001/p2p/" ID);
    assert_true(sh_addr_eq(&a, &b));
    sh_addr_strip_peer(&a);
    sh_addr_strip_peer(&a);
    parse_ok(&b, "/ip4/127.0.0.1/tcp/4001");
    assert_true(sh_addr_eq(&a, &b));
    assert_int_equal(sh_addr_from_ip(&a, SH_HOST_DNS, ip, 1), SH_E_BAD_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),  cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_endpoint), cmocka_unit_test(test_helpers),
    };
    return RUN(tests);
}
