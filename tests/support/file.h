/* tests/support/file.h - a whole file, such as one of tests/vectors, as a text. */
#ifndef TESTS_FILE_H
#define TESTS_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Its bytes and a NUL; free it. Fails the test if it cannot be read, or is empty. */
static inline char *file_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) {
        fail_msg("cannot read %s", path);
    }
    long n = ftell(f);
    rewind(f);
    assert_true(n > 0);
    char *text = calloc(1, (size_t)n + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)n, f), n);
    fclose(f);
    return text;
}

#endif
