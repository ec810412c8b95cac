/* actor/links.c - who is told of whose end. An entry is the message that will be sent: a DOWN for each who
 * watches us (with LINK: mutual, so both sides hold one), an UNWATCH for each we only watch. So telling a
 * death needs no memory, and an actor that watches nobody pays one pointer.
 *
 * Shape    a list in the order of watching. The entries of an actor that has many are also in a hash table of
 *          the executor, in buckets chained through them: a peer that holds thousands of watches on one actor
 *          gives each back in a few steps. Without memory for buckets the chains, or the list, are only longer. */
#include "actor/actor.h"

#include "base/hash.h"

enum {
    WATCH_MONITOR = 1, /* code of an entry whose other side also monitors us */
    LINKS_WALKED_MAX = 16,
    LINK_BUCKETS_START = 64
};

/* --- the table --- */

static sh_msg **link_bucket(const sh_exec *x, sh_pid from, sh_pid other, unsigned kind)
{
    uint64_t seed = x->waits.seed; /* random: nobody aims at one bucket */
    uint64_t h = sh_hash_u64(seed, other.actor) ^ (((uint64_t)other.node << 32) | other.check);
    h = sh_hash_u64(seed, h) ^ from.actor ^ ((uint64_t)kind << 56);
    return &x->links.buckets[sh_hash_u64(seed, h) & (x->links.size - 1)];
}

static void table_put(sh_exec *x, sh_msg *m)
{
    sh_msg **bucket = link_bucket(x, m->from, m->to, m->kind);
    m->entry.bucket = *bucket;
    *bucket = m;
    x->links.count++;
}

/* Before its kind or address changes. */
static void table_take(sh_exec *x, sh_msg *m)
{
    sh_msg **at = link_bucket(x, m->from, m->to, m->kind);
    while (*at != m) {
        at = &(*at)->entry.bucket;
    }
    *at = m->entry.bucket;
    x->links.count--;
}

/* Room for one more; false: there is no table. */
static bool table_grow(sh_exec *x)
{
    if (x->links.count < x->links.size) {
        return true;
    }
    uint32_t size = x->links.size;
    uint32_t more = size ? size * 2 : LINK_BUCKETS_START;
    sh_msg **old = x->links.buckets;
    sh_msg **buckets = sh_mem_array(x->rt->cfg.mem, more, sizeof(sh_msg *));
    if (!buckets) {
        return size != 0;
    }
    x->links.buckets = buckets;
    x->links.size = more;
    x->links.count = 0;
    for (uint32_t i = 0; i < size; i++) {
        for (sh_msg *m = old[i]; m;) {
            sh_msg *next = m->entry.bucket;
            table_put(x, m);
            m = next;
        }
    }
    sh_mem_free(x->rt->cfg.mem, old, size * sizeof(sh_msg *));
    return true;
}

/* The actor has many: from now on, and until it has none, they are in the table. */
static void table_enter(sh_exec *x, sh_actor *a)
{
    for (sh_msg *m = a->links; m; m = m->next) {
        if (!table_grow(x)) {
            return; /* before the first was put: there is none */
        }
        table_put(x, m);
    }
    a->flags |= SH_A_LINKS_KNOWN;
}

/* --- the list --- */

static bool link_is(const sh_msg *m, sh_pid other, enum sh_msg_kind kind)
{
    return m->kind == kind && sh_pid_eq(m->to, other);
}

/* The entry about other: a DOWN (it is told of us) or an UNWATCH (we watch it). NULL: none. */
static sh_msg *link_find(sh_exec *x, sh_actor *a, sh_pid other, enum sh_msg_kind kind)
{
    unsigned n = 0;
    sh_msg *m = NULL;
    if (a->flags & SH_A_LINKS_KNOWN) {
        sh_pid self = sh_actor_pid(x, a);
        for (m = *link_bucket(x, self, other, kind); m; m = m->entry.bucket, n++) {
            if (link_is(m, other, kind) && m->from.actor == self.actor) {
                break;
            }
        }
    } else {
        for (m = a->links; m && !link_is(m, other, kind); m = m->next) {
            n++;
        }
        if (n > LINKS_WALKED_MAX) {
            table_enter(x, a);
        }
    }
    x->stats.searched += n;
    return m;
}

static void link_put(sh_exec *x, sh_actor *a, sh_msg *m)
{
    m->next = NULL;
    m->entry.before = m;
    if (a->links) {
        m->entry.before = a->links->entry.before;
        m->entry.before->next = m;
        a->links->entry.before = m;
    } else {
        a->links = m;
    }
    if (a->flags & SH_A_LINKS_KNOWN) {
        (void)table_grow(x); /* there is a table, whatever its size */
        table_put(x, m);
    }
}

/* Out of list and table: a message again, to be sent or released. */
static void link_take(sh_exec *x, sh_actor *a, sh_msg *m)
{
    if (a->flags & SH_A_LINKS_KNOWN) {
        table_take(x, m);
    }
    sh_msg *before = m->entry.before;
    if (a->links == m) {
        a->links = m->next;
    } else {
        before->next = m->next;
    }
    if (m->next) {
        m->next->entry.before = before;
    } else if (a->links) {
        a->links->entry.before = before;
    }
    if (!a->links) {
        a->flags &= (uint16_t)~SH_A_LINKS_KNOWN;
    }
    m->reply = sh_pid_none();
}

/* Makes or finds an entry; NULL: no memory. */
static sh_msg *link_add(sh_exec *x, sh_actor *a, sh_pid other, enum sh_msg_kind kind)
{
    sh_msg *m = link_find(x, a, other, kind);
    if (!m) {
        struct sh_msg_parts none = {0};
        m = sh_exec_msg(x, kind, other, sh_actor_pid(x, a), &none);
        if (m) {
            link_put(x, a, m);
        }
    }
    return m;
}

static bool link_remove(sh_exec *x, sh_actor *a, sh_pid other, enum sh_msg_kind kind, bool *link)
{
    sh_msg *m = link_find(x, a, other, kind);
    if (!m) {
        return false;
    }
    *link |= (m->flags & SH_MSG_LINK) != 0;
    link_take(x, a, m);
    sh_exec_release(x, m);
    return true;
}

static sh_actor *local_actor(const sh_exec *x, sh_pid pid)
{
    bool here = sh_pid_is_local(x, pid) && sh_pid_executor(pid.actor) == x->index;
    return here ? sh_actor_at(x, pid.actor) : NULL;
}

static int send_watch(sh_exec *x, sh_pid to, sh_pid from, bool link)
{
    struct sh_msg_parts none = {0};
    sh_msg *m = sh_exec_msg(x, SH_MSG_WATCH, to, from, &none);
    if (!m) {
        return SH_E_LIMIT;
    }
    m->flags |= link ? SH_MSG_LINK : 0;
    sh_exec_send(x, m);
    return 0;
}

int sh_link_watch(sh_exec *x, sh_actor *a, sh_pid other, bool link)
{
    sh_pid self = sh_actor_pid(x, a);
    if (sh_pid_eq(self, other) || sh_pid_is_none(other) || sh_pid_is_slot(other)) {
        return SH_E_BAD_VALUE;
    }
    bool had = link_find(x, a, other, link ? SH_MSG_DOWN : SH_MSG_UNWATCH) != NULL;
    sh_msg *m = link_add(x, a, other, link ? SH_MSG_DOWN : SH_MSG_UNWATCH);
    if (!m) {
        return SH_E_LIMIT;
    }
    bool new_link = link && !(m->flags & SH_MSG_LINK);
    if (link) {
        m->flags |= SH_MSG_LINK;
    }
    if (had && !new_link) {
        return 0;
    }
    int rc = send_watch(x, other, self, link);
    if (rc && !had) {
        bool unused = false;
        link_remove(x, a, other, link ? SH_MSG_DOWN : SH_MSG_UNWATCH, &unused);
    }
    return rc;
}

void sh_link_unwatch(sh_exec *x, sh_actor *a, sh_pid other)
{
    sh_pid self = sh_actor_pid(x, a);
    bool link = false;
    sh_msg *down = link_find(x, a, other, SH_MSG_DOWN);
    if (down && (down->flags & SH_MSG_LINK)) {
        link = true;
        down->flags &= (uint8_t)~SH_MSG_LINK;
        if (down->code != WATCH_MONITOR) {
            link_remove(x, a, other, SH_MSG_DOWN, &link);
        }
    }
    bool unused = false;
    bool watched = link_remove(x, a, other, SH_MSG_UNWATCH, &unused);
    struct sh_msg_parts none = {0};
    sh_msg *m = link || watched ? sh_exec_msg(x, SH_MSG_UNWATCH, other, self, &none) : NULL;
    if (m) {
        m->flags |= link ? SH_MSG_LINK : 0;
        sh_exec_send(x, m);
    }
}

/* The watcher learns at once that there is nobody; WATCH becomes the notice. Takes m. */
static void watch_failed(sh_exec *x, sh_msg *m, int code)
{
    if (!sh_pid_is_none(m->reply)) {
        sh_post_reply_code(x, m->reply, code, SH_NOT_SENT, sh_span_none());
        sh_exec_release(x, m);
        return;
    }
    sh_pid dead = m->to;
    m->to = m->from;
    m->from = dead;
    m->kind = SH_MSG_DOWN;
    m->why = SH_GONE;
    sh_exec_send(x, m);
}

static void arrive_watch(sh_exec *x, sh_msg *m)
{
    sh_actor *a = local_actor(x, m->to);
    if (!a || (a->flags & SH_A_STOPPED)) {
        watch_failed(x, m, SH_E_NOT_RUNNING);
        return;
    }
    sh_msg *entry = link_add(x, a, m->from, SH_MSG_DOWN);
    if (!entry) {
        watch_failed(x, m, SH_E_LIMIT);
        return;
    }
    entry->flags |= m->flags & SH_MSG_LINK;
    if (!(m->flags & SH_MSG_LINK)) {
        entry->code = WATCH_MONITOR; /* whatever the link does */
    }
    sh_post_reply_code(x, m->reply, 0, 0, sh_span_none());
    sh_exec_release(x, m);
}

/* The link goes on both sides, a monitor on this one. */
static void arrive_unwatch(sh_exec *x, sh_msg *m)
{
    sh_actor *a = local_actor(x, m->to);
    bool unused = false;
    if (a) {
        link_remove(x, a, m->from, SH_MSG_DOWN, &unused);
    }
    sh_exec_release(x, m);
}

void sh_link_arrive(sh_exec *x, sh_msg *m)
{
    if (m->kind == SH_MSG_WATCH) {
        arrive_watch(x, m);
    } else {
        arrive_unwatch(x, m);
    }
}

bool sh_link_down(sh_exec *x, sh_actor *a, sh_pid dead, bool *link)
{
    *link = false;
    bool watched = link_remove(x, a, dead, SH_MSG_UNWATCH, link);
    sh_msg *down = link_find(x, a, dead, SH_MSG_DOWN);
    if (down) {
        bool linked = (down->flags & SH_MSG_LINK) != 0;
        watched |= linked;
        link_remove(x, a, dead, SH_MSG_DOWN, link); /* the dead need not be told of us */
    }
    return watched;
}

void sh_link_tell_all(sh_exec *x, sh_actor *a, const struct sh_reason *reason)
{
    while (a->links) {
        sh_msg *m = a->links;
        link_take(x, a, m);
        if (m->kind == SH_MSG_DOWN) {
            m->why = (uint8_t)reason->kind;
            m->code = 0;
            m->reply = reason->pid;
            sh_msg_set_text(&x->pool, m, reason->text);
        }
        sh_exec_send(x, m);
    }
}

void sh_link_drop_all(sh_exec *x, sh_actor *a)
{
    while (a->links) {
        sh_msg *m = a->links;
        link_take(x, a, m);
        m->kind = SH_MSG_UNWATCH; /* they hold an entry about us */
        sh_exec_send(x, m);
    }
}
