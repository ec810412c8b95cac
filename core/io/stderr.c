/* io/stderr.c - the log sink of who gives none: one line on stderr, in one write. */
#include <stdio.h>
#include <unistd.h>

#include "io/io.h"

void sh_stderr_line(int level, const char *text, size_t n)
{
    char line[SH_LOG_LINE_MAX + 32];
    int len =
        snprintf(line, sizeof line, "shoal %s %.*s\n", sh_log_level_name(level), (int)n, text);
    size_t left = len < 0 ? 0 : (size_t)len < sizeof line ? (size_t)len : sizeof line - 1;
    if (left && write(STDERR_FILENO, line, left) < 0) {
        return; /* there is nobody left to tell */
    }
}
