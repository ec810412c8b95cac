/* bench.h - what the bench and floor programs share: the clock, processors, child processes, one line of result.
 *
 * Rule     a program is called `program MODE COUNT`, does MODE COUNT times (after a warm-up) and prints one number.
 * Units    of the number: in bench/run, which also says how often and on which processors. */
#ifndef SHOAL_BENCH_H
#define SHOAL_BENCH_H

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t bench_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What this process has used: for programs that never wait, the same as the clock, whatever else runs meanwhile. */
static inline uint64_t bench_used_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

_Noreturn static inline void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* This thread onto the index-th processor that the process might use at first; with one only, nothing changes. Threads
 * that it makes stay there, until they call this themselves. */
static inline void bench_pin(int index)
{
    static cpu_set_t allowed;
    cpu_set_t one;
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    index %= CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

/* A child that dies with its parent and runs serve(fd): what it writes to fd is read from *from. */
static inline pid_t bench_child(void (*serve)(int fd), int *from)
{
    int ends[2];
    if (pipe(ends) != 0) {
        bench_die("no pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        bench_die("no process");
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        serve(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static inline void bench_child_end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static inline void bench_read(int fd, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (char *)to + at, n - at);
        if (got <= 0) {
            bench_die("the other process ended");
        }
        at += (size_t)got;
    }
}

static inline void bench_write(int fd, const void *from, size_t n)
{
    if (write(fd, from, n) != (ssize_t)n) {
        bench_die("cannot write to the other process");
    }
}

static inline int bench_by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static inline double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, bench_by_size);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* argv: program MODE COUNT. */
static inline uint64_t bench_count(int argc, char **argv)
{
    uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (count == 0) {
        fprintf(stderr, "usage: %s MODE COUNT\n", argv[0]);
        exit(2);
    }
    return count;
}

#endif
