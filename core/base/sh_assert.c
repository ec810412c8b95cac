/* base/sh_assert.c - what a broken assertion does. */
#include "base/sh_assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void sh_assert_failed(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}
