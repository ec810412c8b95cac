/* remote/watch.h - watches across nodes: what local actors watch at a peer, and who of the peer watches here.
 *
 * Shape    two tables per peer that outlive sessions. `watches`: (remote target, local watcher), links of either
 *          origin among them; `done` calls share watcher 0 and one entry. `held`: (local target, remote watcher),
 *          monitors only.
 * Rule     each entry ends once: a death told, a failure told, or silently by unwatch. The notice is allocated with
 *          the entry, so telling cannot fail.
 * Memory   counted per peer, at most SH_SESSION_WATCHES_MAX each way, charged to the remote's quota. */
#ifndef SH_REMOTE_WATCH_H
#define SH_REMOTE_WATCH_H

#include "actor/runtime.h"
#include "base/list.h"
#include "base/map.h"

struct sh_rpeer;

struct sh_watch_local { /* who is told */
    sh_list link;
    sh_pid watcher;
    sh_msg *down; /* reserved */
};

struct sh_watch {
    sh_list link;
    uint64_t target;  /* the peer's actor */
    uint64_t watcher; /* ours; 0: the slots of `done` calls */
    bool linked;
    bool confirmed; /* the peer said it watches: sent again as renewed */
    uint64_t call;  /* of the WATCH under way in this session; 0: none */
    sh_list locals;
};

struct sh_held {
    sh_list link;
    uint64_t target;  /* ours */
    uint64_t watcher; /* the peer's; 0: its `done` calls */
};

struct sh_watches {
    sh_list watches, held;
    struct sh_watch_index *index; /* NULL: nobody watches */
};

struct sh_watch_index {
    sh_map_bytes watches, held;
};

void sh_watch_init(struct sh_rpeer *p);
void sh_watch_fini(struct sh_rpeer *p);
void sh_watch_rest(struct sh_rpeer *p); /* gives back what is empty */
bool sh_watch_any(const struct sh_rpeer *p);

/* Outbound WATCH and UNWATCH of the runtime; they take m. */
void sh_watch_out(struct sh_rpeer *p, sh_msg *m, uint64_t now_us);
void sh_unwatch_out(struct sh_rpeer *p, sh_msg *m, uint64_t now_us);

struct sh_watch *sh_watch_find(const struct sh_rpeer *p, uint64_t target, uint64_t watcher);
/* Tells every local watcher of w that target ended, and forgets w. */
void sh_watch_fire(struct sh_rpeer *p, struct sh_watch *w, int kind, sh_span text, sh_pid cause);
/* The same without telling. */
void sh_watch_drop(struct sh_rpeer *p, struct sh_watch *w);
/* A link asked for by the peer: (remote, local). 0, SH_E_LIMIT. */
int sh_watch_add_link(struct sh_rpeer *p, uint64_t remote, uint64_t local);

bool sh_held_find(const struct sh_rpeer *p, uint64_t target, uint64_t watcher);
int sh_held_add(struct sh_rpeer *p, uint64_t target, uint64_t watcher); /* 0, SH_E_LIMIT */
bool sh_held_drop(struct sh_rpeer *p, uint64_t target, uint64_t watcher);

/* The peer is dead: every watch fires peer_lost, its own watches here end. */
void sh_watch_peer_lost(struct sh_rpeer *p, sh_span text);
/* No session can be had: those never confirmed fire. */
void sh_watch_unreachable(struct sh_rpeer *p, int kind, sh_span text);

#endif
