/* actor/links.c - who is told of whose end. An entry is the message that will be sent: a DOWN for each who
 * watches us (with LINK: mutual, so both sides hold one), an UNWATCH for each we only watch. So telling a
 * death needs no memory, and an actor that watches nobody pays one pointer. Finding one is linear in them. */
#include "actor/actor.h"

enum { WATCH_MONITOR = 1 }; /* code of an entry whose other side also monitors us */

/* The entry about other: a DOWN (it is told of us) or an UNWATCH (we watch it). */
static sh_msg **link_find(sh_actor *a, sh_pid other, enum sh_msg_kind kind)
{
    sh_msg **at = &a->links;
    while (*at && !((*at)->kind == kind && sh_pid_eq((*at)->to, other))) {
        at = &(*at)->next;
    }
    return at;
}

/* Makes or finds an entry; NULL: no memory. */
static sh_msg *link_add(sh_exec *x, sh_actor *a, sh_pid other, enum sh_msg_kind kind)
{
    sh_msg **at = link_find(a, other, kind);
    if (!*at) {
        struct sh_msg_parts none = {0};
        sh_msg *m = sh_exec_msg(x, kind, other, sh_actor_pid(x, a), &none);
        if (!m) {
            return NULL;
        }
        m->next = NULL;
        *at = m;
    }
    return *at;
}

static bool link_remove(sh_exec *x, sh_actor *a, sh_pid other, enum sh_msg_kind kind, bool *link)
{
    sh_msg **at = link_find(a, other, kind);
    sh_msg *m = *at;
    if (!m) {
        return false;
    }
    *link |= (m->flags & SH_MSG_LINK) != 0;
    *at = m->next;
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
    bool had = *link_find(a, other, link ? SH_MSG_DOWN : SH_MSG_UNWATCH) != NULL;
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
    sh_msg **down = link_find(a, other, SH_MSG_DOWN);
    if (*down && ((*down)->flags & SH_MSG_LINK)) {
        link = true;
        (*down)->flags &= (uint8_t)~SH_MSG_LINK;
        if ((*down)->code != WATCH_MONITOR) {
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
    sh_msg **down = link_find(a, dead, SH_MSG_DOWN);
    if (*down) {
        bool linked = ((*down)->flags & SH_MSG_LINK) != 0;
        watched |= linked;
        link_remove(x, a, dead, SH_MSG_DOWN, link); /* the dead need not be told of us */
    }
    return watched;
}

void sh_link_tell_all(sh_exec *x, sh_actor *a, const struct sh_reason *reason)
{
    while (a->links) {
        sh_msg *m = a->links;
        a->links = m->next;
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
        a->links = m->next;
        m->kind = SH_MSG_UNWATCH; /* they hold an entry about us */
        sh_exec_send(x, m);
    }
}
