/* clock.c - preloaded under a program: its clocks jump when the file of $SHOAL_CLOCK_FILE says so.
 *   two int64 in it: nanoseconds added to CLOCK_MONOTONIC, and to CLOCK_REALTIME */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *added(void)
{
    static volatile const int64_t *map;
    static volatile int tried;
    const char *path = getenv("SHOAL_CLOCK_FILE");
    if (!tried && path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
        map = at == MAP_FAILED ? NULL : at;
        tried = 1;
        if (fd >= 0) {
            close(fd);
        }
    }
    return map;
}

/* Seen by the dynamic linker, whatever the build hides by default. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
    volatile const int64_t *map = added();
    long rc = syscall(SYS_clock_gettime, clock, t);
    if (rc == 0 && map) {
        int64_t more = clock == CLOCK_MONOTONIC ? map[0] : clock == CLOCK_REALTIME ? map[1] : 0;
        int64_t ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec + more;
        t->tv_sec = ns / 1000000000;
        t->tv_nsec = ns % 1000000000;
    }
    return (int)rc;
}
