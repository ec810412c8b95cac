/* io/io.h - the interface of the real driver: a node on this machine's network, clock and threads.
 *
 * Shape    owns one sh_node and drives it with libuv (readiness only), own non-blocking sockets, c-ares.
 *          inline (threads = 0): everything happens inside the calls below; no thread is made.
 *          threaded (threads = 1): one C thread, all signals blocked, runs the loop; it never calls the host
 *          executor. The host executor runs inside sh_io_poll and sh_io_wait.
 * Inside   one thread at a time is inside the loop (sh_exec_enter of executor 0): who drives it, for a slice and never
 *          while it sleeps. sh_io_inside and friends wait for that slice; calls of runtime.h and node.h never wait.
 * Units    budget_us, wait_ms as named; -1 ms: without end.
 * Threads  [any] any thread, any number at once; [owner] one thread at a time, outside handlers.
 * Signals  none touched: sockets are written with MSG_NOSIGNAL, the C thread blocks all.
 * Fork     a child must not use, and need not free, a node of its parent: calls answer SH_E_CLOSED there, free
 *          closes descriptors and touches nothing else (the memory stays). */
#ifndef SH_IO_IO_H
#define SH_IO_IO_H

#include "io/syscalls.h"
#include "node/node.h"

typedef struct sh_io sh_io;

enum { SH_IO_WHY_MAX = 128 }; /* bytes of a text about a failure, with its NUL */

struct sh_io_config {
    struct sh_node_config node; /* its driver part (rng, wake) is filled in by sh_io_new */
    uint32_t spin_us; /* after traffic, poll this long, yielding, before blocking; default 20 */
    const struct sh_syscalls *calls; /* NULL: the system's */
};
void sh_io_config_init(struct sh_io_config *cfg);

/* Makes the node, binds cfg->node.listen (before it returns: sh_io_address works) and, threaded, starts the thread.
 *   why   out, may be NULL: what went wrong, for people
 * 0; as sh_node_new; SH_E_BAD_ADDRESS (cannot bind); SH_E_LIMIT (descriptors, threads); SH_E_NOMEM. */
int sh_io_new(const struct sh_io_config *cfg, sh_io **out, char why[SH_IO_WHY_MAX]);

/* [owner] Stops the thread, ends what is open (callbacks run here, as closed), frees. NULL is ignored. Abrupt:
 * SH_REQUEST_STOP first is graceful. No other thread may be inside a call on io, or call later. */
void sh_io_free(sh_io *io);

sh_node *sh_io_node(sh_io *io);         /* [any] for its [any] functions */
sh_runtime *sh_io_runtime(sh_io *io);   /* [any] for its [any] functions */
uint64_t sh_io_now_us(const sh_io *io); /* [any] the driver's clock */
bool sh_io_is_open(const sh_io *io); /* [any] not closed, and no fork of the process that made it */
bool sh_io_forked(const sh_io *io); /* [any] this process is a fork of the one that made the node */

/* --- driving --- */
struct sh_io_work {
    size_t handled; /* messages, replies, callbacks given to user code */
    size_t left;    /* messages that wait in the executor poll serves */
};
/* [owner] Runs what is due, at most about budget_us of it (0: one slice); waits up to wait_ms if there was nothing,
 * spinning spin_us first after traffic. Returns early after work or sh_io_wake, and when a peer's queue that refused a
 * tell has room again. work may be NULL.
 * 0; SH_E_USAGE: from inside a handler, or another thread polls now; SH_E_CLOSED: forked. */
int sh_io_poll(sh_io *io, uint64_t budget_us, int64_t wait_ms, struct sh_io_work *work);

/* [any] Until done(ud) is true: polls, or sleeps while another thread polls. done is called outside all locks, after
 * each round. 0; SH_E_TIMEOUT; SH_E_USAGE (inside a handler); SH_E_CLOSED (forked). */
int sh_io_wait(sh_io *io, bool (*done)(void *ud), void *ud, int64_t wait_ms);

/* [any] Makes the poll that runs, or the next one, return without waiting. Safe in a signal handler. */
void sh_io_wake(sh_io *io);

/* [any] Readable (level-triggered) whenever sh_io_poll has something to do except a timer; the same for life. A host
 * loop watches it for reading and calls sh_io_poll(budget, 0) when it is readable or next_timeout is over; asking
 * next_timeout anew after each call into the node on that thread. Never read from it. */
int sh_io_fd(sh_io *io);

/* [owner] Milliseconds until the next timer, rounded up; 0: poll now; -1: none. */
int64_t sh_io_next_timeout_ms(sh_io *io);

/* [any] Messages waiting in the executor that poll serves. */
uint32_t sh_io_backlog(sh_io *io);

/* --- at once --- */
/* [any] The calling thread's token, for functions of runtime.h and node.h: never 0. */
uint64_t sh_io_token(void);

/* [any] Becomes the loop for a moment, for functions tagged [loop]: waits for who is inside (one slice at most), runs
 * fn, does what it asked of the network, leaves. From a handler on the loop: at once. 0;
 * SH_E_CLOSED: forked. */
int sh_io_inside(sh_io *io, void (*fn)(void *ud, sh_node *node, uint64_t now_us), void *ud);

/* [any] Binds before it returns. 0 or a code; why as in sh_io_new. */
int sh_io_listen(sh_io *io, const char *addr, char why[SH_IO_WHY_MAX]);

/* [any] Own address number i as text, with /p2p: its length, SH_E_NOT_FOUND past the end, SH_E_LIMIT (cap). */
int sh_io_address(sh_io *io, size_t i, char *buf, size_t cap);

/* [any] Spawns where the type belongs: exec is SH_NODE_LOOP or sh_runtime_host. As sh_runtime_spawn; waits for the loop.
 * SH_E_USAGE: from the loop onto the host, or another thread is inside the host executor. */
int sh_io_spawn(sh_io *io, unsigned exec, const sh_type *type, const struct sh_spawn *opt,
                sh_pid *out);

/* [any] One line on stderr: the log sink of who gives none. */
void sh_stderr_line(int level, const char *text, size_t n);

#endif
