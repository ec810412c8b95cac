/* base/log.c - formats one bounded line. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/sh_limits.h"

/* Texts in a line may come from a peer: no control character reaches a terminal or splits a line. */
static void log_clean(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f) {
            text[i] = '?';
        }
    }
}

void sh_logf(const sh_log *log, int level, const char *module, const char *format, ...)
{
    char line[SH_LOG_LINE_MAX];
    if (!sh_log_on(log, level)) {
        return;
    }
    int head = snprintf(line, sizeof line, "%s: ", module);
    if (head < 0 || head >= (int)sizeof line) {
        return;
    }
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head, format, args);
    va_end(args);
    if (body < 0) {
        return;
    }
    size_t n = (size_t)head + (size_t)body;
    n = n < sizeof line ? n : sizeof line - 1;
    log_clean(line, n);
    log->write(log->ud, level, line, n);
}

const char *sh_log_level_name(int level)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    return level >= SH_LOG_ERROR && level <= SH_LOG_TRACE ? names[level] : "unknown";
}
