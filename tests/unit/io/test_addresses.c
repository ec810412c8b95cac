/* unit/io/test_addresses.c - what a node that listens announces: wildcards become the addresses of interfaces, and
 * each announced address, of either family, can be dialled. */
#include "whole.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void dial(sh_io *from, const char *addr)
{
    struct told t = {0};
    assert_true(sh_node_dial(sh_io_node(from), sh_io_token(), sh_span_str(addr), 0,
                             sh_io_now_us(from), told_fn, &t) > 0);
    assert_int_equal(sh_io_wait(from, told_done, &t, 10000), 0);
    if (t.code != 0) {
        print_error("%s: %s\n", addr, t.text);
    }
    assert_int_equal(t.code, 0);
}

/* Listens, looks at every own address and dials it from a node of its own. How many there were. */
static unsigned listen_and_dial(const char *listen, const char *must)
{
    sh_io *server = make(1, listen);
    char addr[SH_ADDR_TEXT_MAX], port[16] = "";
    bool seen = false;
    unsigned count = 0;
    int n;
    for (; (n = sh_io_address(server, count, addr, sizeof addr)) > 0; count++) {
        char this_port[16] = "";
        assert_int_equal(n, strlen(addr));
        assert_non_null(strstr(addr, "/p2p/"));
        assert_null(strstr(addr, "/0.0.0.0/"));
        assert_null(strstr(addr, "/ip6/::/"));
        assert_int_equal(sscanf(strstr(addr, "/tcp/"), "/tcp/%15[0-9]", this_port), 1);
        assert_string_not_equal(this_port, "0");
        assert_true(count == 0 || strcmp(this_port, port) == 0); /* one socket */
        memcpy(port, this_port, sizeof port);
        seen = seen || strncmp(addr, must, strlen(must)) == 0;
        sh_io *client = make(1, NULL);
        dial(client, addr);
        sh_io_free(client);
    }
    assert_int_equal(n, SH_E_NOT_FOUND);
    assert_true(seen);
    sh_io_free(server);
    return count;
}

static void test_ip4(void **state)
{
    (void)state;
    assert_int_equal(listen_and_dial("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/"), 1);
    assert_true(listen_and_dial("/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/tcp/") >= 1);
}

/* False: this machine has no ::1, and why was printed. */
static bool have_ip6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool fine = fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&sa, sizeof sa) == 0;
    if (!fine) {
        print_message("no IPv6 here: %s\n", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return fine;
}

static void test_ip6(void **state)
{
    (void)state;
    if (!have_ip6()) {
        skip();
    }
    assert_int_equal(listen_and_dial("/ip6/::1/tcp/0", "/ip6/::1/tcp/"), 1);
    assert_true(listen_and_dial("/ip6/::/tcp/0", "/ip6/::1/tcp/") >= 1);
}

/* The two wildcards of one port are two listeners. */
static void test_both(void **state)
{
    (void)state;
    if (!have_ip6()) {
        skip();
    }
    sh_io *server = make(1, "/ip4/0.0.0.0/tcp/0");
    char addr[SH_ADDR_TEXT_MAX], six[64], why[SH_IO_WHY_MAX] = "";
    unsigned port = 0;
    assert_true(sh_io_address(server, 0, addr, sizeof addr) > 0);
    assert_int_equal(sscanf(strstr(addr, "/tcp/"), "/tcp/%u", &port), 1);
    snprintf(six, sizeof six, "/ip6/::/tcp/%u", port);
    int code = sh_io_listen(server, six, why);
    if (code == SH_E_BAD_ADDRESS) { /* somebody else has that port of the other family */
        print_message("%s: %s\n", six, why);
        sh_io_free(server);
        skip();
    }
    assert_int_equal(code, 0);
    snprintf(six, sizeof six, "/ip6/::1/tcp/%u", port);
    sh_io *client = make(1, NULL);
    dial(client, six);
    sh_io_free(client);
    sh_io_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip4),
        cmocka_unit_test(test_ip6),
        cmocka_unit_test(test_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
