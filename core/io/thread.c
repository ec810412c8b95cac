/* io/thread.c - the loop's own thread: all signals blocked, never inside the host executor. */
#include "io/internal.h"

#include <signal.h>

static void *thread_main(void *ud)
{
    struct sh_io *io = ud;
    uint64_t token = sh_io_token();
    bool look = true;
    for (;;) {
        struct sh_node_work work;
        (void)sh_io_enter(io, token);
        sh_io_slice(io, look, &work);
        bool sleep = !work.more && sh_io_may_sleep(io);
        uint64_t now_us = io->slice_us;
        uint64_t deadline_us = sleep ? sh_io_deadline(io, now_us) : 0;
        uint64_t traffic_us = io->traffic_us;
        sh_exec_leave(io->loop, token);
        /* Asked after the slice, which may have eaten the wake that came with it; before it sleeps. Pairs with the
         * release store of sh_thread_join. */
        if (atomic_load_explicit(&io->stopping, memory_order_acquire) != 0) {
            return NULL;
        }
        sh_io_let_pass(io);
        if (sleep) {
            sh_io_block(io, io->loop, traffic_us, deadline_us, now_us);
        }
        look = sleep; /* the slices of one burst share a look */
    }
}

int sh_thread_start(struct sh_io *io)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* The new thread inherits the mask: signals of the host stay with the host's threads. */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&io->thread, NULL, thread_main, io);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    io->thread_made = rc == 0;
    return rc == 0 ? 0 : SH_E_LIMIT;
}

void sh_thread_join(struct sh_io *io)
{
    if (!io->thread_made) {
        return;
    }
    atomic_store_explicit(&io->stopping, 1, memory_order_release);
    sh_io_signal(io, io->wake_fd);
    pthread_join(io->thread, NULL);
    io->thread_made = false;
}
