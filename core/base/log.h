/* base/log.h - trace sink: one line of "module: key=value ..." at a time.
 *
 * Shape    a function pointer with a level; a NULL log, or one without write, drops everything.
 * Memory   formatted into SH_LOG_LINE_MAX bytes of stack, longer lines are cut.
 * Threads  as the sink. Rule: never a secret, never a payload; no floating point. */
#ifndef SH_BASE_LOG_H
#define SH_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum sh_log_level {
    SH_LOG_ERROR = 0,
    SH_LOG_WARN = 1,
    SH_LOG_INFO = 2,
    SH_LOG_DEBUG = 3,
    SH_LOG_TRACE = 4
};

typedef struct sh_log {
    void (*write)(void *ud, int level, const char *text, size_t n); /* text has a NUL at n */
    void *ud;
    int level; /* lines above it are dropped */
} sh_log;

static inline bool sh_log_on(const sh_log *log, int level)
{
    return log && log->write && level <= log->level;
}

/* sh_logf(log, SH_LOG_WARN, "yamux", "event=reset stream=%u", id) writes "yamux: event=reset stream=7". */
void sh_logf(const sh_log *log, int level, const char *module, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "error" "warn" "info" "debug" "trace". */
const char *sh_log_level_name(int level);

#endif
