/* io/internal.h - what the files of io share: the driver's struct, and the verbs of tcp.c, dns.c, thread.c.
 *
 * Rule     everything here is [loop] unless said: the caller holds loop_lock.
 * Numbers  a connection is found by its sh_conn_id, a listener by its number: never by descriptor. */
#ifndef SH_IO_INTERNAL_H
#define SH_IO_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "io/io.h"

enum {
    SH_IO_BACKLOG = 511,    /* listen(2): the kernel cuts it to somaxconn */
    SH_IO_ACCEPTS_MAX = 64, /* of one listener in one slice */
    SH_IO_READS_MAX = 8,    /* of one connection in one slice: fairness */
    SH_IO_UNREAD_MAX =
        8, /* times a paused connection is told to be readable before it is disarmed */
    SH_IO_ACCEPT_PAUSE_US = 100000, /* a listener rests when descriptors or memory ran out */
    SH_IO_LINGER_US = 1000000,      /* what a closed connection still holds may leave within this */
    SH_IO_SPIN_US = 20,             /* default: five times faster round trips on two cores */
    SH_IO_ROUNDS_MAX = 16,          /* turns of one slice before input is looked at again */
    SH_IO_HANDLED_MAX = 256,  /* handlers between two looks at the clock, and of a slice ... */
    SH_IO_BACKLOG_MAX = 2048, /* ... or so many, as long as they are brief: */
    SH_IO_BACKLOG_US = 100,   /* what was read is handled while it is in the cache */
    SH_IO_FEW = 4,            /* handlers of one slice: what they wrote leaves at once */
    SH_IO_LOOK_US = 100,      /* while one socket is busy the others are looked at so often */
    SH_IO_BRIEF_SPINS = 2,    /* slept at most so many spin_us: the next spin is so many */
    SH_IO_CROWDED_SPINS = 2,  /* a yield of more spin_us than this: the core is wanted */
    SH_IO_CROWDED_US = 10000, /* so long nobody spins then */
    SH_IO_SPIN_LOOKS = 4,     /* tries at the busy socket between two looks at all of them */
};

enum sh_tcp_state { SH_TCP_CONNECTING, SH_TCP_OPEN, SH_TCP_LINGER };

/* One socket of a connection. */
struct sh_tcp {
    struct sh_io *io;
    sh_conn_id conn;
    int fd;
    enum sh_tcp_state state;
    int armed;          /* UV_READABLE | UV_WRITABLE asked of uv */
    bool paused;        /* the node has no room: no reading until SH_NODE_READ */
    uint8_t unread;     /* times it was told to be readable since */
    bool shut;          /* LINGER: all has left, and FIN */
    bool eof;           /* LINGER: the peer has ended */
    bool dirty;         /* in io->dirty */
    bool full;          /* refused bytes: written again when writable */
    uint64_t linger_us; /* LINGER: when to give up */
    uv_poll_t poll;
    sh_list link;       /* in io->tcps */
    sh_list dirty_link; /* in io->dirty: has something to write */
};

struct sh_listener {
    struct sh_io *io;
    uint64_t number;
    int fd;
    uint64_t resume_us; /* not 0: resting until then */
    uv_poll_t poll;
    sh_list link; /* in io->listeners */
};

struct sh_io {
    const sh_mem *mem;
    struct sh_syscalls calls;
    sh_log log;
    sh_node *node;
    sh_exec *loop; /* executor 0 */
    sh_exec *host; /* the same if inline */
    pid_t pid;     /* of the process that made it */
    const volatile uint8_t
        *fork_mark; /* a page that is 1 here and 0 in a fork; NULL: compare pid */
    uint32_t spin_us;
    atomic_ullong crowded_us; /* until then no executor spins */
    bool threaded;
    atomic_bool no_entropy; /* getrandom has failed */

    atomic_uint waiters;  /* threads in sh_io_inside that want in: who drives lets them pass */
    atomic_uint fd_asked; /* sh_io_fd was called: it must tell what poll has to do */
    atomic_uint
        blocked[2]; /* by executor: its driver is in poll(2), a wake must write its eventfd */

    /* the loop */
    uv_loop_t uv;
    bool uv_made;
    uv_poll_t wake_poll;
    int wake_fd;                /* eventfd: somebody else has work for the loop */
    int host_fd;                /* eventfd of the host executor; -1 if inline */
    atomic_uint host_signalled; /* host_fd was written since it was last read */
    int spare_fd;               /* given up to accept and refuse at EMFILE; -1: none */
    uint32_t input;             /* things read, accepted, connected since it was last set to 0 */
    uint64_t traffic_us;        /* when the loop last saw input or work */
    uint64_t quiet_entry;       /* the entry whose slice left nothing to do, or UINT64_MAX */
    uint64_t slice_us;          /* when its last slice ended, or began if it did nothing */
    bool brief[2];              /* by executor: its last sleep was a short one; its driver's */
    uint64_t look_us;           /* when all descriptors were last looked at */
    bool fresh;                 /* input was read while spinning */
    uint64_t fresh_us;          /* just before that: the next slice's time; 0: it reads the clock */
    struct sh_tcp *hot;         /* read from last: tried first while spinning; NULL: none */
    sh_list tcps;
    uint32_t lingering; /* of tcps: how many are in SH_TCP_LINGER */
    sh_list listeners;
    sh_list dirty;
    sh_map_u64 conns; /* conn id -> struct sh_tcp */
    struct sh_dns *dns;
    bool handles_changed; /* uv has not yet told epoll: run it before sleeping */

    /* polling */
    atomic_ullong poller; /* token of the thread inside sh_io_poll, 0: nobody */
    atomic_uint woken;    /* sh_io_wake was called */
    atomic_uint sleepers; /* threads in sh_io_wait that do not poll themselves */
    pthread_mutex_t wait_lock;
    pthread_cond_t wait_cond; /* a round of polling has ended */
    bool wait_made;           /* both exist */
    uint64_t rounds;          /* under wait_lock */

    /* threaded */
    pthread_t thread;
    bool thread_made;
    atomic_uint stopping;
    uint64_t host_traffic_us; /* when the host executor last did something; the poller's */
    bool closed;              /* free has begun */
};

/* io.c */
void sh_io_signal(struct sh_io *io,
                  int fd); /* [any] makes an eventfd readable; safe in a signal handler */
void sh_io_unsignal(struct sh_io *io, int fd);
void sh_io_changed(struct sh_io *io); /* a uv handle was started, stopped or closed */
int sh_io_why(char *why, const char *text,
              int rc); /* text into why[SH_IO_WHY_MAX], if wanted; rc */

/* poll.c: leaves the executor that sh_io_poll serves so that sh_io_fd tells all but timers. Inside it. */
void sh_io_rest(struct sh_io *io, bool more);

/* slice.c */
/* Input, turns, actions, writes; bounded. more: do not sleep. look: all descriptors, however lately that was. */
void sh_io_slice(struct sh_io *io, bool look, struct sh_node_work *out);
void sh_io_actions(struct sh_io *io, uint64_t now_us);

/* sleep.c */
uint64_t sh_io_deadline(struct sh_io *io,
                        uint64_t now_us); /* of node, listeners, lingering, names */
int sh_io_until_ms(uint64_t deadline_us,
                   uint64_t now_us);    /* for poll(2): rounded up; -1: for ever */
bool sh_io_may_sleep(struct sh_io *io); /* nothing is left and wakes come from now on */
/* [any] Blocks on x's descriptor until it is readable or the deadline; spins first after traffic. sh_exec_sleep was true. */
void sh_io_block(struct sh_io *io, struct sh_exec *x, uint64_t traffic_us, uint64_t deadline_us,
                 uint64_t now_us);

/* inside.c */
/* [any] Enters the loop however long it takes; false: was inside already. */
bool sh_io_enter(struct sh_io *io, uint64_t token);
void sh_io_let_pass(struct sh_io *io); /* [any] not inside: gives threads that wait their chance */

/* listen.c */
void sh_tcp_listen(struct sh_io *io, uint64_t listener, const struct sh_endpoint *ep,
                   uint64_t now_us);
void sh_tcp_unlisten(struct sh_io *io, uint64_t listener);
void sh_listen_tick(struct sh_io *io, uint64_t now_us);
uint64_t sh_listen_deadline(const struct sh_io *io);
void sh_listen_close_all(struct sh_io *io);

/* tcp.c */
int sh_tcp_errno_code(int e);
const char *sh_tcp_errno_text(int e);
socklen_t sh_tcp_sockaddr(const struct sh_endpoint *ep,
                          struct sockaddr_storage *out); /* 0: no IP address */
void sh_tcp_accepted(struct sh_io *io, int fd, const sh_addr *remote,
                     uint64_t now_us); /* takes fd */
void sh_tcp_dial(struct sh_io *io, sh_conn_id conn, const struct sh_endpoint *ep, uint64_t now_us);
void sh_tcp_cancel(struct sh_io *io, sh_conn_id conn);
void sh_tcp_want_write(struct sh_io *io, sh_conn_id conn);
void sh_tcp_want_read(struct sh_io *io, sh_conn_id conn, uint64_t now_us); /* and reads */
void sh_tcp_close(struct sh_io *io, sh_conn_id conn, uint64_t now_us);
bool sh_tcp_flush(struct sh_io *io,
                  uint64_t now_us); /* writes what dirty connections have; true: something */
void sh_tcp_tick(struct sh_io *io, uint64_t now_us);
uint64_t sh_tcp_deadline(const struct sh_io *io);
void sh_tcp_close_all(struct sh_io *io);                 /* without a word to the node */
bool sh_tcp_read_hot(struct sh_io *io, uint64_t now_us); /* true: something came, or its end */

/* dns.c */
int sh_dns_open(struct sh_io *io);
void sh_dns_close(struct sh_io *io);
void sh_dns_resolve(struct sh_io *io, uint64_t request, const struct sh_endpoint *ep,
                    uint64_t now_us);
void sh_dns_tick(struct sh_io *io, uint64_t now_us);
uint64_t sh_dns_deadline(struct sh_io *io, uint64_t now_us);

/* thread.c */
int sh_thread_start(struct sh_io *io);
void sh_thread_join(struct sh_io *io);

#endif
