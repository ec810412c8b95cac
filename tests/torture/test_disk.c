/* tests/torture/test_disk.c - the key file on a disk that is full, read-only, torn or gone: no node, a sentence, and nothing
 * half written; an existing key is never touched. */
#include "world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/shoal-disk-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/key", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* fails if anything else was left */
}

static int node_of(const char *key, char id[80])
{
    shoal_node_config cfg;
    shoal_node *node = NULL;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.key = key;
    int code = shoal_node_new(&cfg, &node);
    assert_int_equal(code == 0, node != NULL);
    if (node) {
        assert_true(shoal_peer_id(node, id, 80) > 0);
    } else {
        assert_non_null(strstr(shoal_last_error(NULL), "key"));
    }
    shoal_node_free(node);
    return code;
}

/* RLIMIT_FSIZE stands for the full disk: a write beyond it is short, then EFBIG. */
static void test_full(void **state)
{
    (void)state;
    char id[80];
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    for (rlim_t room = 0; room < 60; room += 7) {
        struct rlimit now = {room, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
        int code = node_of(path, id);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(code, SHOAL_E_REFUSED);
        assert_int_equal(access(path, F_OK), -1);
    }
    signal(SIGXFSZ, old);
    assert_int_equal(node_of(path, id), 0);
}

static void test_torn(void **state)
{
    (void)state;
    char id[80], again[80];
    unsigned char whole[256];
    assert_int_equal(node_of(path, id), 0);
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, whole, sizeof whole);
    assert_in_range(n, 60, 200);
    for (ssize_t left = 0; left < n; left++) {
        struct stat st;
        assert_int_equal(ftruncate(fd, left), 0);
        assert_int_equal(node_of(path, again), SHOAL_E_REFUSED);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, left); /* as it was: a torn key is for people to look at */
        assert_int_equal(pwrite(fd, whole, (size_t)n, 0), n);
    }
    close(fd);
    assert_int_equal(node_of(path, again), 0);
    assert_string_equal(id, again);
}

/* Nobody may write there, not even root. */
static void test_read_only(void **state)
{
    (void)state;
    char id[80], under[160];
    snprintf(under, sizeof under, "%s/key", path);
    assert_int_equal(node_of("/proc/shoal-key", id), SHOAL_E_REFUSED);
    assert_int_equal(node_of("/nowhere/at/all/key", id), SHOAL_E_REFUSED);
    assert_int_equal(node_of(path, id), 0);
    assert_int_equal(node_of(under, id), SHOAL_E_REFUSED); /* the folder is a file */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_full), T(test_torn), T(test_read_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
