/* tests/sim/jobs.c - worker k of n runs every n-th seed and sends its result back through a pipe. */
#include "jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, PROGRESS_S = 10 };

struct result {
    uint32_t fine;
    uint32_t bytes; /* of text that follow */
};

struct worker {
    pid_t pid;
    int from;
};

static bool write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t k = write(fd, at, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return false;
        }
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static bool read_all(int fd, void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t k = read(fd, at, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return false;
        }
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static void worker_main(const struct jobs *j, uint64_t at, int to)
{
    for (; at < j->count; at += j->workers) {
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        if (!out) {
            _exit(3);
        }
        bool fine = j->fn(j->first + at, j->ud, out);
        fclose(out);
        struct result r = {fine, (uint32_t)n};
        if (!write_all(to, &r, sizeof r) || !write_all(to, text, n)) {
            _exit(3);
        }
        free(text);
    }
    _exit(0);
}

static bool worker_start(const struct jobs *j, struct worker *w, uint64_t at)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    fflush(stdout);
    w->pid = fork();
    if (w->pid == 0) {
        close(ends[0]);
        worker_main(j, at, ends[1]);
    }
    close(ends[1]);
    w->from = ends[0];
    return w->pid > 0;
}

static void worker_end(struct worker *w, int *status)
{
    close(w->from);
    waitpid(w->pid, status, 0);
}

static bool result_take(const struct worker *w, bool *fine)
{
    struct result r;
    if (!read_all(w->from, &r, sizeof r)) {
        return false;
    }
    char *text = malloc(r.bytes + 1u);
    bool whole = text && read_all(w->from, text, r.bytes);
    if (whole) {
        fwrite(text, 1, r.bytes, stdout);
    }
    free(text);
    *fine = r.fine;
    return whole;
}

static void progress(const struct jobs *j, uint64_t done, uint64_t failed, time_t begun,
                     time_t *last)
{
    time_t now = time(NULL);
    if (done == j->count || now - *last >= PROGRESS_S) {
        *last = now;
        printf("%" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " failed, %ld s\n", done, j->count,
               j->what, failed, (long)(now - begun));
    }
}

static uint64_t run_here(const struct jobs *j)
{
    uint64_t failed = 0;
    time_t begun = time(NULL), last = begun;
    for (uint64_t i = 0; i < j->count; i++) {
        failed += !j->fn(j->first + i, j->ud, stdout);
        progress(j, i + 1, failed, begun, &last);
    }
    return failed;
}

uint64_t jobs_run(const struct jobs *asked)
{
    struct jobs j = *asked;
    struct worker workers[WORKERS_MAX];
    j.workers = j.workers > WORKERS_MAX ? WORKERS_MAX : j.workers;
    j.workers = j.workers > j.count ? (unsigned)j.count : j.workers;
    if (j.workers < 2) {
        return run_here(&j);
    }
    uint64_t failed = 0;
    time_t begun = time(NULL), last = begun;
    for (unsigned k = 0; k < j.workers; k++) {
        if (!worker_start(&j, &workers[k], k)) {
            fprintf(stderr, "shoal-sim: no worker process: %s\n", strerror(errno));
            exit(3);
        }
    }
    for (uint64_t i = 0; i < j.count; i++) {
        struct worker *w = &workers[i % j.workers];
        bool fine = false;
        if (!result_take(w, &fine)) {
            int status = 0;
            worker_end(w, &status);
            printf("seed %" PRIu64 " FAILED its process ended: %s %d\n", j.first + i,
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            if (!worker_start(&j, w, i + j.workers)) {
                exit(3);
            }
        }
        failed += !fine;
        progress(&j, i + 1, failed, begun, &last);
    }
    for (unsigned k = 0; k < j.workers; k++) {
        int status;
        worker_end(&workers[k], &status);
    }
    return failed;
}
