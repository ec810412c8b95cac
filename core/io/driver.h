/* io/driver.h - what the files of io share: the driver's struct, and the verbs of tcp.c, dns.c, thread.c.
 *
 * Rule     everything here is [loop] unless said: the caller holds loop_lock.
 * Numbers  a connection is found by its sh_conn_id, a listener by its number: never by descriptor. */
#ifndef SH_IO_DRIVER_H
#define SH_IO_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "io/io.h"

enum {
    SH_IO_BACKLOG = 511,           /* listen(2): the kernel cuts it to somaxconn */
    SH_IO_ACCEPTS_MAX = 64,        /* of one listener in one slice */
    SH_IO_READS_MAX = 8,           /* of one connection in one slice: fairness */
    SH_IO_ACCEPT_PAUSE_US = 100000, /* a listener rests when descriptors or memory ran out */
    SH_IO_LINGER_US = 1000000,     /* what a closed connection still holds may leave within this */
    SH_IO_SPIN_US = 20,            /* default: five times faster round trips on two cores */
    SH_IO_ROUNDS_MAX = 64,         /* turns of one slice before input is looked at again */
    SH_IO_QUEUED_MAX = 65536,      /* requests waiting for the loop: then SH_E_LIMIT */
};

enum sh_tcp_state { SH_TCP_CONNECTING, SH_TCP_OPEN, SH_TCP_LINGER };

/* One socket of a connection. */
struct sh_tcp {
    struct sh_io *io;
    sh_conn_id conn;
    int fd;
    enum sh_tcp_state state;
    int armed;            /* UV_READABLE | UV_WRITABLE asked of uv */
    bool paused;          /* the node has no room: no reading until SH_NODE_READ */
    bool dirty;           /* in io->dirty */
    uint64_t linger_us;   /* LINGER: when to give up */
    uv_poll_t poll;
    sh_list link;         /* in io->tcps */
    sh_list dirty_link;   /* in io->dirty: has something to write */
};

struct sh_listener {
    struct sh_io *io;
    uint64_t number;
    int fd;
    uint64_t resume_us;   /* not 0: resting until then */
    uv_poll_t poll;
    sh_list link;         /* in io->listeners */
};

struct sh_io_queued; /* a request or cancel from another thread, waiting for the loop */

struct sh_io {
    const sh_mem *mem;
    struct sh_calls calls;
    sh_log log;
    sh_node *node;
    sh_runtime *runtime;
    pid_t pid;              /* of the process that made it */
    uint32_t spin_us;
    bool threaded;

    /* the lock of the loop */
    pthread_mutex_t loop_lock;
    atomic_uintptr_t loop_owner; /* thread inside (see io_self), 0: nobody. Relaxed: only compared with oneself */
    atomic_uint waiters;         /* threads that want loop_lock: who drives lets them pass */

    /* the loop */
    uv_loop_t uv;
    bool uv_made;
    uv_poll_t wake_poll;
    int wake_fd;            /* eventfd: somebody else has work for the loop */
    int host_fd;            /* eventfd of the host executor; -1 if inline */
    int spare_fd;           /* given up to accept and refuse at EMFILE; -1: none */
    uint32_t input;         /* things read, accepted, connected since it was last set to 0 */
    uint64_t traffic_us;    /* when input or work was last seen */
    sh_list tcps;
    uint32_t lingering;     /* of tcps: how many are in SH_TCP_LINGER */
    sh_list listeners;
    sh_list dirty;
    sh_map_u64 conns;       /* conn id -> struct sh_tcp */
    struct sh_dns *dns;
    bool handles_changed;   /* uv has not yet told epoll: run it before sleeping */

    /* requests from elsewhere */
    pthread_mutex_t queue_lock;
    struct sh_io_queued *queue_first;
    struct sh_io_queued *queue_last;
    uint32_t queue_count;
    atomic_uint queue_full;  /* not 0: look (a hint; the truth is under queue_lock) */
    atomic_llong next_call;

    /* polling */
    atomic_uintptr_t poller; /* thread inside sh_io_poll, 0: nobody */
    atomic_uint woken;       /* sh_io_wake was called */
    pthread_mutex_t wait_lock;
    pthread_cond_t wait_cond; /* a round of polling has ended */
    uint64_t rounds;         /* under wait_lock */

    /* threaded */
    pthread_t thread;
    bool thread_made;
    atomic_uint stopping;
    char why[192];
};

/* io.c */
void sh_io_changed(struct sh_io *io);                       /* a uv handle was started, stopped or closed */
struct sh_node_work sh_io_slice(struct sh_io *io, uint64_t now_us); /* input, turns, actions, writes; bounded */
void sh_io_lock(struct sh_io *io);                          /* [any] becomes the loop, waiting for one slice at most */
void sh_io_unlock(struct sh_io *io);
uint64_t sh_io_deadline(struct sh_io *io);                  /* node, listeners, lingering, names */
int sh_io_sleep_ms(uint64_t deadline_us, uint64_t now_us, int64_t wait_ms); /* for poll(2): -1, 0 or rounded up */
void sh_io_signal(struct sh_io *io, int fd);                /* [any] makes an eventfd readable */
void sh_io_unsignal(struct sh_io *io, int fd);
void sh_io_round_ended(struct sh_io *io);                   /* [any] wakes sh_io_wait of other threads */

/* tcp.c */
void sh_tcp_listen(struct sh_io *io, uint64_t listener, const struct sh_endpoint *ep, uint64_t now_us);
void sh_tcp_unlisten(struct sh_io *io, uint64_t listener);
void sh_tcp_dial(struct sh_io *io, sh_conn_id conn, const struct sh_endpoint *ep, uint64_t now_us);
void sh_tcp_cancel(struct sh_io *io, sh_conn_id conn);
void sh_tcp_want_write(struct sh_io *io, sh_conn_id conn);
void sh_tcp_want_read(struct sh_io *io, sh_conn_id conn);
void sh_tcp_close(struct sh_io *io, sh_conn_id conn, uint64_t now_us);
void sh_tcp_flush(struct sh_io *io, uint64_t now_us);       /* writes what dirty connections have */
void sh_tcp_tick(struct sh_io *io, uint64_t now_us);
uint64_t sh_tcp_deadline(const struct sh_io *io);
void sh_tcp_close_all(struct sh_io *io);                    /* without a word to the node */

/* dns.c */
int sh_dns_open(struct sh_io *io);
void sh_dns_close(struct sh_io *io);
void sh_dns_resolve(struct sh_io *io, uint64_t request, const struct sh_endpoint *ep, uint64_t now_us);
void sh_dns_tick(struct sh_io *io, uint64_t now_us);
uint64_t sh_dns_deadline(struct sh_io *io, uint64_t now_us);

/* thread.c */
int sh_thread_start(struct sh_io *io);
void sh_thread_join(struct sh_io *io);

#endif
