/* tests/torture/test_calls_made.c - what a node asks of the kernel, as a tracer sees it: every system call of a whole life is
 * made through the driver's table, which the other tests break entry by entry, or stands below with who makes it and what
 * happens when it fails. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broken.h"

/* asm/unistd numbers are small; what is beyond is counted as one. */
enum { CALLS = 512 };

struct shared {
    struct broken_mark marks[BROKEN_THREADS_MAX];
    atomic_int alive; /* the node's life is on: what is called before and after does not count */
};

/* Calls that do not go through the table. */
struct beside {
    long nr;
    const char *name, *who;
};
#define CALL(name, who)                                                                            \
    {                                                                                              \
        SYS_##name, #name, who                                                                     \
    }
static const struct beside beside[] = {
    /* libuv: it polls descriptors for us; a loop that cannot be made is SH_E_LIMIT */
    CALL(epoll_create1, "libuv"),
    CALL(epoll_ctl, "libuv"),
    CALL(epoll_pwait, "libuv: tries EINTR again"),
    CALL(pipe2, "libuv: a loop's signal pipe"),
    CALL(eventfd2, "libuv: a loop's async handle"),
    CALL(ioctl, "libuv: FIONBIO"),
#ifdef SYS_epoll_wait
    CALL(epoll_wait, "libuv: tries EINTR again"),
#endif
    /* files: the key (test_disk fails them), and what libraries read at their first use */
    CALL(openat, "key file; c-ares: resolv.conf, hosts; OpenSSL: its configuration"),
    CALL(read, "the same"),
    CALL(write, "key file; libuv: its async handle; a log line on stderr"),
    CALL(close, "the same, and libuv's descriptors"),
    CALL(newfstatat, "C library"),
    CALL(fsync, "key file"),
#ifdef SYS_link
    CALL(link, "key file"),
    CALL(unlink, "key file"),
#endif
    /* getifaddrs, of a listener on 0.0.0.0: a failure tells the wildcard itself */
    CALL(socket, "getifaddrs"),
    CALL(bind, "getifaddrs"),
    CALL(getsockname, "getifaddrs"),
    CALL(sendto, "getifaddrs"),
    CALL(recvmsg, "getifaddrs"),
    CALL(uname, "c-ares: the host's name"),
    /* memory: test_alloc_* fail it */
    CALL(brk, "malloc"),
    CALL(mmap, "malloc, threads, the mark of forks"),
    CALL(munmap, "malloc, threads"),
    CALL(mremap, "malloc"),
    CALL(mprotect, "malloc, threads"),
    CALL(madvise, "malloc, threads, the mark of forks"),
    /* threads: one that cannot be started is SH_E_LIMIT */
    CALL(clone3, "pthread_create"),
    CALL(set_robust_list, "threads"),
    CALL(rseq, "threads"),
    CALL(futex, "locks"),
    CALL(rt_sigprocmask, "thread.c: the loop's thread takes no signals"),
    CALL(exit, "threads"),
    CALL(exit_group, "the test"),
    CALL(gettid, "the test's marks"),
    CALL(getpid, "forks: io.c"),
    CALL(sched_yield, "locks"),
    CALL(getrandom, "malloc's own, OpenSSL; ours goes through the table"),
    CALL(clock_gettime, "where there is no vDSO"),
    CALL(sysinfo, "C library"),
    CALL(rt_sigaction, "C library"),
};

/* --- the life that is watched --- */

struct life {
    shoal_node *node[2];
    shoal_pid far;
};

static int until(struct life *l, int64_t id, shoal_result **r)
{
    for (int i = 0; i < 20000 && id > 0 && !*r; i++) {
        shoal_poll(l->node[0], 500, 0);
        shoal_poll(l->node[1], 500, 1);
    }
    int code = id <= 0 ? (int)id : *r ? (*r)->code : SHOAL_E_TIMEOUT;
    if (*r && code == 0 && strcmp((*r)->text, "") == 0 &&
        !shoal_pid_equal((*r)->pid, (shoal_pid){0})) {
        l->far = (*r)->pid;
    }
    shoal_result_free(*r);
    *r = NULL;
    return code;
}

static shoal_node *node_made(uint32_t threads, const char *at, const char *key)
{
    shoal_node *node = NULL;
    shoal_node_config cfg;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.listen = &at;
    cfg.listen_count = 1;
    cfg.threads = threads;
    cfg.key = key;
    cfg.log_level = SHOAL_LOG_OFF; /* a tell that crosses a stop is one */
    return shoal_node_new(&cfg, &node) == 0 ? node : NULL;
}

/* Starts, dials by address and by name, registers, looks up, asks, tells, fails to dial, links, stops. */
static int life(uint32_t threads, const char *key)
{
    struct life l = {{NULL, NULL}, {0}};
    shoal_result *r = NULL;
    shoal_pid pid;
    char address[200], named[240];
    l.node[0] = node_made(threads, "/ip4/127.0.0.1/tcp/0", key);
    l.node[1] = node_made(threads, "/ip4/0.0.0.0/tcp/0", NULL);
    if (!l.node[0] || !l.node[1] || shoal_spawn(l.node[1], &torture_type, NULL, &pid) < 0 ||
        shoal_address(l.node[1], 0, address, sizeof address) < 0) {
        return 1;
    }
    snprintf(named, sizeof named, "/dns4/localhost%s", strstr(address, "/tcp/"));
    if (until(&l, shoal_dial(l.node[0], named, shoal_keep, &r), &r) != 0 ||
        until(&l, shoal_dial(l.node[0], "/ip4/127.0.0.1/tcp/1", shoal_keep, &r), &r) == 0 ||
        until(&l, shoal_register(l.node[1], pid, "far", shoal_keep, &r), &r) != 0 ||
        until(&l, shoal_lookup(l.node[0], "far", 5000, shoal_keep, &r), &r) != 0) {
        return 2;
    }
    if (until(&l, shoal_ask(l.node[0], l.far, "echo", t_bytes(200000), 0, shoal_keep, &r), &r) !=
            0 ||
        shoal_tell(l.node[0], l.far, "inc", shoal_nil()) < 0 ||
        shoal_listen(l.node[0], "/ip6/::1/tcp/0") == SHOAL_E_LIMIT ||
        until(&l, shoal_stop(l.node[1], pid, shoal_keep, &r), &r) != 0 ||
        until(&l, shoal_node_stop(l.node[0], 0, shoal_keep, &r), &r) != 0) {
        return 3;
    }
    shoal_node_free(l.node[0]);
    shoal_node_free(l.node[1]);
    return 0;
}

static void be_watched(struct shared *shared, bool extra)
{
    char folder[] = "/tmp/shoal-made-XXXXXX", key[64];
    int code = mkdtemp(folder) ? 0 : 9;
    snprintf(key, sizeof key, "%s/key", folder);
    broken.marks = shared->marks;
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    shared->alive = 1;
    for (uint32_t threads = 0; threads < 2 && code == 0; threads++) {
        code = life(threads, key);
    }
    if (extra) {
        (void)getppid(); /* nobody makes it */
    }
    shared->alive = 0;
    unlink(key);
    rmdir(folder);
    _exit(code);
}

/* --- the watcher --- */

struct seen {
    unsigned long through[SITE_COUNT]; /* the table */
    unsigned long past[CALLS + 1];
};

static int entry_of(const struct shared *shared, pid_t tid)
{
    for (int i = 0; i < BROKEN_THREADS_MAX; i++) {
        if (shared->marks[i].tid == tid) {
            return shared->marks[i].entry;
        }
    }
    return 0;
}

static void note(struct seen *seen, const struct shared *shared, pid_t tid)
{
    struct __ptrace_syscall_info info = {0};
    if (!shared->alive || ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY) {
        return;
    }
    int entry = entry_of(shared, tid);
    if (entry > 0) {
        seen->through[entry - 1]++;
    } else {
        seen->past[info.entry.nr < CALLS ? info.entry.nr : CALLS]++;
    }
}

/* Lets the child and its threads run from call to call; its exit code. */
static int watch(pid_t child, const struct shared *shared, struct seen *seen)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options), 0);
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    for (;;) {
        pid_t tid = waitpid(-1, &status, __WALL);
        assert_true(tid > 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (tid == child) {
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            note(seen, shared, tid);
        }
        bool ours = signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP;
        ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)(ours ? 0 : signal));
    }
}

static struct seen watched(bool extra)
{
    struct seen seen = {{0}, {0}};
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        be_watched(shared, extra);
    }
    assert_int_equal(watch(child, shared, &seen), 0);
    munmap(shared, sizeof *shared);
    return seen;
}

/* How many calls are neither the table's nor listed. */
static unsigned strangers(const struct seen *seen, bool say)
{
    unsigned count = 0;
    for (long nr = 0; nr <= CALLS; nr++) {
        bool known = seen->past[nr] == 0;
        for (size_t i = 0; i < sizeof beside / sizeof *beside && !known; i++) {
            known = beside[i].nr == nr;
        }
        if (!known && say) {
            print_error("system call %ld, made %lu times past the table\n", nr, seen->past[nr]);
        }
        count += !known;
    }
    return count;
}

static void test_all_known(void **state)
{
    (void)state;
    struct seen seen = watched(false);
    unsigned long through = 0;
    for (int s = 0; s < SITE_COUNT; s++) {
        through += seen.through[s];
        /* the clock is read without the kernel; a question to a name server needs one */
        bool quiet = s == AT_now_us || s == AT_recvfrom || s == AT_sendmsg;
        if (!quiet && seen.through[s] == 0) {
            print_message("  %s: in the table, and not made in this life\n",
                          broken_site_name((enum site)s));
        }
    }
    print_message("  %lu system calls through the table; past it:", through);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        if (seen.past[beside[i].nr]) {
            print_message(" %s %lu", beside[i].name, seen.past[beside[i].nr]);
        }
    }
    print_message("\n");
    /* What a conversation lives on never goes past it. */
    assert_int_equal(seen.past[SYS_recvfrom] + seen.past[SYS_accept4] + seen.past[SYS_connect], 0);
    assert_true(seen.through[AT_send] > 0 && seen.through[AT_recv] > 0);
    assert_int_equal(strangers(&seen, true), 0);
}

/* The watcher sees a call that nobody should make. */
static void test_stranger_is_seen(void **state)
{
    (void)state;
    struct seen seen = watched(true);
    assert_int_equal(seen.past[SYS_getppid], 1);
    assert_int_equal(strangers(&seen, false), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_known),
        cmocka_unit_test(test_stranger_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
