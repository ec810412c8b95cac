/* remote/session.h - a session to a peer, whatever wire it speaks: what remote.c asks of it.
 *
 * Shape    a const table of operations over one peer. native.c is one; a Kameo session is the other place to fill.
 * Rules    send takes the message: an ask, drain or cancel is answered once to m->reply, a lost tell is reported by
 *          sh_runtime_lost, room of the peer's gate is given back when the message leaves the queue.
 *          After `lost` nothing is held of the peer's former life. */
#ifndef SH_REMOTE_SESSION_H
#define SH_REMOTE_SESSION_H

#include "actor/runtime.h"
#include "swarm/swarm.h"

struct sh_rpeer;
struct sh_watch;

struct sh_session_ops {
    void (*send)(struct sh_rpeer *p, sh_msg *m,
                 uint64_t now_us); /* TELL ASK DRAIN REPLY DOWN STOP KILL */
    void (*cancel)(struct sh_rpeer *p, sh_msg *m, uint64_t now_us); /* CANCEL */
    void (*watch)(struct sh_rpeer *p, struct sh_watch *w,
                  uint64_t now_us); /* w is new, or now a link */
    void (*unwatch)(struct sh_rpeer *p, uint64_t target, uint64_t watcher, bool link,
                    uint64_t now_us);
    void (*returned)(struct sh_rpeer *p,
                     const struct sh_returned *ret); /* a TELL it injected has ended */
    void (*data)(struct sh_rpeer *p, const struct sh_swarm_event *ev,
                 uint64_t now_us); /* stream events but END */
    void (*closed)(struct sh_rpeer *p, const struct sh_swarm_event *ev,
                   uint64_t now_us);                 /* a stream's END */
    void (*up)(struct sh_rpeer *p, uint64_t now_us); /* a connection to the peer is up */
    void (*rest)(struct sh_rpeer *p); /* idle for now: gives back what can be made again */
    void (*unreachable)(struct sh_rpeer *p, const char *text,
                        uint64_t now_us);               /* what waits comes back */
    void (*lost)(struct sh_rpeer *p, uint64_t now_us);  /* the peer's process is dead */
    void (*flush)(struct sh_rpeer *p, uint64_t now_us); /* end of a pump or of a batch of events */
    void (*tick)(struct sh_rpeer *p, uint64_t now_us);
    void (*goodbye)(struct sh_rpeer *p, uint64_t left_ms, sh_span text, uint64_t now_us);
    bool (*needs)(const struct sh_rpeer *p); /* calls are open, or messages wait */
    bool (*idle)(const struct sh_rpeer *p);  /* nothing open, owed or waiting */
    void (*free)(struct sh_rpeer *p);
};

extern const struct sh_session_ops sh_native_ops;

#endif
