/* tests/torture/broken.h - the driver's table of system calls, with one entry broken; linked in place of the system's. */
#ifndef TORTURE_BROKEN_H
#define TORTURE_BROKEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "io/syscalls.h"

/* A call added to the table needs a name here, a wrapper in broken.c, and errors in the tests. */
#define SITES(X)                                                                                   \
    X(socket)                                                                                      \
    X(bind)                                                                                        \
    X(listen)                                                                                      \
    X(accept4)                                                                                     \
    X(connect)                                                                                     \
    X(getsockname)                                                                                 \
    X(setsockopt)                                                                                  \
    X(getsockopt)                                                                                  \
    X(recv)                                                                                        \
    X(send)                                                                                        \
    X(recvfrom)                                                                                    \
    X(sendmsg)                                                                                     \
    X(shutdown)                                                                                    \
    X(close) X(spare) X(eventfd) X(read) X(write) X(poll) X(getrandom) X(yield) X(now_us)
#define SITE(name) AT_##name,
enum site { SITES(SITE) SITE_COUNT };

_Static_assert(sizeof(struct sh_syscalls) == SITE_COUNT * sizeof(int (*)(void)),
               "every entry has a case");

/* Which thread is inside which entry, for a tracer of this process; in memory that both see. */
struct broken_mark {
    atomic_int tid;
    atomic_int entry; /* site + 1; 0: in none */
};
enum { BROKEN_THREADS_MAX = 64 };

extern struct broken {
    enum site site;
    int err;
    atomic_long skip;  /* calls that still succeed */
    atomic_long times; /* calls that then fail */
    atomic_long every; /* 0, or: each so-many-th call fails, however many those are */
    atomic_long failed;
    size_t most;    /* 0, or bytes of a recv, send or getrandom */
    bool most_here; /* of the broken site only */
    atomic_long calls[SITE_COUNT];
    uint16_t dns_port;         /* 0, or where on this host questions for port 53 go */
    struct broken_mark *marks; /* NULL, or BROKEN_THREADS_MAX of them */
    atomic_int threads;
} broken;

/* The nth call of site fails, and more after it; err 0: none does. Counts begin anew. */
void break_at(enum site site, int err, long nth, long times);
/* Each every-th call of site fails: 2 is every other one. */
void break_every(enum site site, int err, long every);
const char *broken_site_name(enum site site);
const char *broken_name(void); /* of the site that is broken now */

#endif
