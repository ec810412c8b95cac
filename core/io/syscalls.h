/* io/syscalls.h - the system calls the driver makes, as a table.
 *
 * Shape    const table; sh_syscalls_system() is the real one. A test copies it and breaks one entry.
 * Errors   as the system calls: -1 and errno.
 * Threads  any. */
#ifndef SH_IO_SYSCALLS_H
#define SH_IO_SYSCALLS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct sh_syscalls {
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *addr, socklen_t n);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, struct sockaddr *addr, socklen_t *n, int flags);
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t n);
    int (*getsockname)(int fd, struct sockaddr *addr, socklen_t *n);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t n);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *n);
    ssize_t (*recv)(int fd, void *buf, size_t n, int flags);
    ssize_t (*send)(int fd, const void *buf, size_t n, int flags);
    ssize_t (*recvfrom)(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                        socklen_t *len);
    ssize_t (*sendmsg)(int fd, const struct msghdr *m, int flags);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*spare)(void); /* opens a descriptor that is kept to be given up at EMFILE */
    int (*eventfd)(unsigned value, int flags);
    ssize_t (*read)(int fd, void *buf, size_t n);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*poll)(struct pollfd *fds, nfds_t n, int timeout_ms);
    ssize_t (*getrandom)(void *buf, size_t n, unsigned flags);
    int (*yield)(void);
    uint64_t (*now_us)(void); /* monotonic */
};

const struct sh_syscalls *sh_syscalls_system(void);

#endif
