/* remote/watch.c - watches across nodes: the tables of both sides, and the deaths that are told from them. */
#include "remote/watch.h"

#include "remote/internal.h"

enum { KEY_BYTES = 16 };

static sh_span watch_key(uint8_t key[KEY_BYTES], uint64_t target, uint64_t watcher)
{
    sh_store_u64le(key, target);
    sh_store_u64le(key + 8, watcher);
    return sh_span_of(key, KEY_BYTES);
}

void sh_watch_init(struct sh_rpeer *p)
{
    struct sh_watches *ws = &p->watches;
    sh_list_init(&ws->watches);
    sh_list_init(&ws->held);
}

/* Made when somebody watches; NULL: no memory. */
static struct sh_watch_index *watch_index(struct sh_rpeer *p)
{
    struct sh_watch_index *index = p->watches.index;
    if (!index) {
        index = sh_mem_alloc(p->r->mem, sizeof *index);
        if (!index) {
            return NULL;
        }
        sh_map_bytes_init(&index->watches, p->r->mem, p->r->seed, SH_SESSION_WATCHES_MAX);
        sh_map_bytes_init(&index->held, p->r->mem, p->r->seed, SH_SESSION_WATCHES_MAX);
        p->watches.index = index;
    }
    return index;
}

void sh_watch_rest(struct sh_rpeer *p)
{
    struct sh_watch_index *index = p->watches.index;
    if (index && !sh_watch_any(p)) {
        sh_map_bytes_fini(&index->watches);
        sh_map_bytes_fini(&index->held);
        sh_mem_free(p->r->mem, index, sizeof *index);
        p->watches.index = NULL;
    }
}

bool sh_watch_any(const struct sh_rpeer *p)
{
    return !sh_list_empty(&p->watches.watches) || !sh_list_empty(&p->watches.held);
}

struct sh_watch *sh_watch_find(const struct sh_rpeer *p, uint64_t target, uint64_t watcher)
{
    uint8_t key[KEY_BYTES];
    uint64_t found;
    const struct sh_watch_index *index = p->watches.index;
    bool any = index && sh_map_bytes_get(&index->watches, watch_key(key, target, watcher), &found);
    return any ? sh_map_ptr(found) : NULL;
}

static void watch_local_free(struct sh_rpeer *p, struct sh_watch_local *l)
{
    sh_list_remove(&l->link);
    if (l->down) {
        sh_runtime_msg_done(p->r->rt, l->down);
    }
    sh_mem_free(p->r->mem, l, sizeof *l);
    sh_quota_give(p->r->quota, sizeof *l);
}

void sh_watch_drop(struct sh_rpeer *p, struct sh_watch *w)
{
    uint8_t key[KEY_BYTES];
    while (!sh_list_empty(&w->locals)) {
        watch_local_free(p, SH_CONTAINER(w->locals.next, struct sh_watch_local, link));
    }
    sh_map_bytes_del(&p->watches.index->watches, watch_key(key, w->target, w->watcher), NULL);
    sh_list_remove(&w->link);
    sh_mem_free(p->r->mem, w, sizeof *w);
    sh_quota_give(p->r->quota, sizeof *w);
}

void sh_watch_fini(struct sh_rpeer *p)
{
    while (!sh_list_empty(&p->watches.watches)) {
        sh_watch_drop(p, SH_CONTAINER(p->watches.watches.next, struct sh_watch, link));
    }
    while (!sh_list_empty(&p->watches.held)) {
        struct sh_held *h = SH_CONTAINER(p->watches.held.next, struct sh_held, link);
        sh_held_drop(p, h->target, h->watcher);
    }
    sh_watch_rest(p);
}

static void *watch_alloc(struct sh_rpeer *p, size_t n)
{
    if (sh_quota_take(p->r->quota, n) != 0) {
        return NULL;
    }
    void *at = sh_mem_zalloc(p->r->mem, n);
    if (!at) {
        sh_quota_give(p->r->quota, n);
    }
    return at;
}

/* The entry of the pair, made if it is new. */
static struct sh_watch *watch_entry(struct sh_rpeer *p, uint64_t target, uint64_t watcher)
{
    struct sh_watch *w = sh_watch_find(p, target, watcher);
    if (w) {
        return w;
    }
    w = watch_alloc(p, sizeof *w);
    if (!w) {
        return NULL;
    }
    uint8_t key[KEY_BYTES];
    struct sh_watch_index *index = watch_index(p);
    if (!index ||
        sh_map_bytes_put(&index->watches, watch_key(key, target, watcher), sh_map_of_ptr(w)) != 0) {
        sh_mem_free(p->r->mem, w, sizeof *w);
        sh_quota_give(p->r->quota, sizeof *w);
        return NULL;
    }
    w->target = target;
    w->watcher = watcher;
    sh_list_init(&w->locals);
    sh_list_push_back(&p->watches.watches, &w->link);
    return w;
}

static bool watch_has_local(const struct sh_watch *w, sh_pid watcher)
{
    SH_LIST_FOREACH(it, &w->locals)
    {
        if (sh_pid_eq(SH_CONTAINER(it, struct sh_watch_local, link)->watcher, watcher)) {
            return true;
        }
    }
    return false;
}

static bool watch_add_local(struct sh_rpeer *p, struct sh_watch *w, sh_pid watcher)
{
    if (watch_has_local(w, watcher)) {
        return true;
    }
    struct sh_watch_local *l = watch_alloc(p, sizeof *l);
    if (!l) {
        return false;
    }
    struct sh_msg_parts none = {.name = sh_span_none()};
    l->down = sh_runtime_msg_new(p->r->rt, SH_MSG_DOWN, &none);
    l->watcher = watcher;
    sh_list_push_back(&w->locals, &l->link);
    if (!l->down) {
        watch_local_free(p, l);
        return false;
    }
    return true;
}

static void watch_tell(struct sh_rpeer *p, sh_msg *down, sh_pid watcher, uint64_t target,
                       bool linked, int kind, sh_pid cause)
{
    down->to = watcher;
    down->from = sh_rpeer_pid(p, target);
    down->reply = cause;
    down->why = (uint8_t)kind;
    down->flags |= linked ? SH_MSG_LINK : 0;
    sh_runtime_inject(p->r->rt, down);
}

void sh_watch_fire(struct sh_rpeer *p, struct sh_watch *w, int kind, sh_span text, sh_pid cause)
{
    while (!sh_list_empty(&w->locals)) {
        struct sh_watch_local *l = SH_CONTAINER(w->locals.next, struct sh_watch_local, link);
        sh_msg *down = l->down;
        struct sh_msg_parts parts = {.text = text};
        sh_msg *full = text.n ? sh_runtime_msg_new(p->r->rt, SH_MSG_DOWN, &parts) : NULL;
        if (full) {
            down = full;
        } else {
            l->down = NULL; /* no text, or no memory for it: the reserved one goes */
        }
        sh_pid watcher = l->watcher;
        watch_local_free(p, l);
        watch_tell(p, down, watcher, w->target, w->linked, kind, cause);
    }
    sh_watch_drop(p, w);
}

/* The watch cannot even be noted: told as gone, from a message made now. */
static void watch_fail(struct sh_rpeer *p, const sh_msg *m, const char *text)
{
    struct sh_msg_parts parts = {.text = sh_span_str(text)};
    sh_msg *down = sh_runtime_msg_new(p->r->rt, SH_MSG_DOWN, &parts);
    if (down) {
        watch_tell(p, down, m->from, m->to.actor, (m->flags & SH_MSG_LINK) != 0, SH_GONE,
                   sh_pid_none());
    }
}

void sh_watch_out(struct sh_rpeer *p, sh_msg *m, uint64_t now_us)
{
    uint64_t watcher = sh_pid_is_slot(m->from) ? 0 : m->from.actor;
    bool link = (m->flags & SH_MSG_LINK) != 0;
    struct sh_watch *w = p->r->leaving ? NULL : sh_watch_find(p, m->to.actor, watcher);
    bool news = !w || (link && !w->linked);
    if (!w && !p->r->leaving) {
        w = watch_entry(p, m->to.actor, watcher);
    }
    if (!w || !watch_add_local(p, w, m->from)) {
        watch_fail(p, m, p->r->leaving ? "the node is stopping" : "too many watches, or no memory");
        if (w && sh_list_empty(&w->locals)) {
            sh_watch_drop(p, w);
        }
    } else if (news) {
        w->linked = w->linked || link;
        p->ops->watch(p, w, now_us);
    }
    sh_runtime_msg_done(p->r->rt, m);
}

void sh_unwatch_out(struct sh_rpeer *p, sh_msg *m, uint64_t now_us)
{
    uint64_t target = m->to.actor, watcher = sh_pid_is_slot(m->from) ? 0 : m->from.actor;
    bool link = (m->flags & SH_MSG_LINK) != 0;
    struct sh_watch *w = sh_watch_find(p, target, watcher);
    if (w && w->linked && !link) {
        w = NULL; /* only the monitor ends, the link goes on */
    }
    if (w) {
        link = link && w->linked;
        SH_LIST_FOREACH_SAFE(it, &w->locals)
        {
            struct sh_watch_local *l = SH_CONTAINER(it, struct sh_watch_local, link);
            if (sh_pid_eq(l->watcher, m->from)) {
                watch_local_free(p, l);
            }
        }
        if (sh_list_empty(&w->locals)) {
            sh_watch_drop(p, w);
            p->ops->unwatch(p, target, watcher, link, now_us);
        }
    }
    sh_runtime_msg_done(p->r->rt, m);
    sh_remote_touch(p);
}

int sh_watch_add_link(struct sh_rpeer *p, uint64_t remote, uint64_t local)
{
    struct sh_watch *w = watch_entry(p, remote, local);
    if (!w || !watch_add_local(p, w, sh_remote_own(p->r, local))) {
        if (w && sh_list_empty(&w->locals)) {
            sh_watch_drop(p, w);
        }
        return SH_E_LIMIT;
    }
    w->linked = true;
    w->confirmed = true;
    return 0;
}

bool sh_held_find(const struct sh_rpeer *p, uint64_t target, uint64_t watcher)
{
    uint8_t key[KEY_BYTES];
    const struct sh_watch_index *index = p->watches.index;
    return index && sh_map_bytes_get(&index->held, watch_key(key, target, watcher), NULL);
}

int sh_held_add(struct sh_rpeer *p, uint64_t target, uint64_t watcher)
{
    if (sh_held_find(p, target, watcher)) {
        return 0;
    }
    struct sh_held *h = watch_alloc(p, sizeof *h);
    if (!h) {
        return SH_E_LIMIT;
    }
    uint8_t key[KEY_BYTES];
    struct sh_watch_index *index = watch_index(p);
    if (!index ||
        sh_map_bytes_put(&index->held, watch_key(key, target, watcher), sh_map_of_ptr(h)) != 0) {
        sh_mem_free(p->r->mem, h, sizeof *h);
        sh_quota_give(p->r->quota, sizeof *h);
        return SH_E_LIMIT;
    }
    h->target = target;
    h->watcher = watcher;
    sh_list_push_back(&p->watches.held, &h->link);
    return 0;
}

bool sh_held_drop(struct sh_rpeer *p, uint64_t target, uint64_t watcher)
{
    uint8_t key[KEY_BYTES];
    uint64_t found;
    struct sh_watch_index *index = p->watches.index;
    if (!index || !sh_map_bytes_del(&index->held, watch_key(key, target, watcher), &found)) {
        return false;
    }
    struct sh_held *h = sh_map_ptr(found);
    sh_list_remove(&h->link);
    sh_mem_free(p->r->mem, h, sizeof *h);
    sh_quota_give(p->r->quota, sizeof *h);
    return true;
}

void sh_watch_peer_lost(struct sh_rpeer *p, sh_span text)
{
    while (!sh_list_empty(&p->watches.watches)) {
        struct sh_watch *w = SH_CONTAINER(p->watches.watches.next, struct sh_watch, link);
        p->gave_up = p->gave_up || w->linked;
        sh_watch_fire(p, w, SH_PEER_LOST, text, sh_pid_none());
    }
    while (!sh_list_empty(&p->watches.held)) {
        struct sh_held *h = SH_CONTAINER(p->watches.held.next, struct sh_held, link);
        struct sh_msg_parts none = {.name = sh_span_none()};
        sh_msg *end = sh_runtime_msg_new(p->r->rt, SH_MSG_UNWATCH, &none);
        if (end) { /* without memory the entry stays in the actor; its notice later finds nobody */
            end->to = sh_remote_own(p->r, h->target);
            end->from = sh_rpeer_pid(p, h->watcher);
            sh_runtime_inject(p->r->rt, end);
        }
        sh_held_drop(p, h->target, h->watcher);
    }
}

void sh_watch_unreachable(struct sh_rpeer *p, int kind, sh_span text)
{
    SH_LIST_FOREACH_SAFE(it, &p->watches.watches)
    {
        struct sh_watch *w = SH_CONTAINER(it, struct sh_watch, link);
        if (!w->confirmed) {
            sh_watch_fire(p, w, kind, text, sh_pid_none());
        }
    }
}
