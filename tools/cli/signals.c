/* signals.c - SIGINT and SIGTERM as something to wait for beside the node. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

/* Blocked, a signal is queued even if it is ignored, as SIGINT is in a background job of a shell script. */
int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool signals_wait(int signals, int fd, int64_t timeout_ms)
{
    struct pollfd watched[2] = {{.fd = signals, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    int wait_ms = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    if (poll(watched, 2, wait_ms) < 0 && errno != EINTR) {
        return true; /* nothing can be waited for any more: leave */
    }
    return read(signals, &info, sizeof info) == (ssize_t)sizeof info;
}
