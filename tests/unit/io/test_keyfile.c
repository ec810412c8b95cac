/* unit/io/test_keyfile.c - identity files: made once with 0600, read back, never changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/keyfile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static char folder[] = "/tmp/shoal-key-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(strcpy(folder, "/tmp/shoal-key-XXXXXX"))) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/key", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if anything else was left */
}

static void test_made_once(void **state)
{
    (void)state;
    sh_rng rng = sh_system_rng();
    uint8_t a[SH_KEYFILE_MAX], b[SH_KEYFILE_MAX];
    const char *why = "";
    int n = sh_keyfile_load(path, &rng, a, &why);
    assert_int_equal(n, SH_ED25519_PRIVATE_BYTES);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sh_keyfile_load(path, &rng, b, &why), n);
    assert_memory_equal(a, b, (size_t)n);
    assert_int_equal(sh_keyfile_create(path, &rng, b, &why), SH_E_NAME_TAKEN);
    assert_int_equal(sh_keyfile_load(path, &rng, b, &why), n);
    assert_memory_equal(a, b, (size_t)n);
}

static void test_refused(void **state)
{
    (void)state;
    sh_rng rng = sh_system_rng();
    uint8_t a[SH_KEYFILE_MAX];
    const char *why = NULL;
    assert_true(sh_keyfile_load(path, &rng, a, &why) > 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sh_keyfile_load(path, &rng, a, &why), SH_E_REFUSED);
    assert_non_null(why);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(sh_keyfile_load(path, &rng, a, &why), SH_E_PROTO);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 20); /* as it was */
    assert_int_equal(sh_keyfile_load("/nowhere/at/all", &rng, a, &why), SH_E_REFUSED);
    assert_int_equal(sh_keyfile_load(folder, &rng, a, &why), SH_E_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
