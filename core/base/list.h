/* base/list.h - intrusive doubly linked list; the head is a link too.
 *
 * Shape    embed an sh_list in the object, get the object back with SH_CONTAINER.
 *          A link that is in no list points at itself (sh_list_init), so remove is always safe.
 * Threads  confined. */
#ifndef SH_BASE_LIST_H
#define SH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sh_list {
    struct sh_list *next;
    struct sh_list *prev;
} sh_list;

#define SH_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* for each link; `it` must not be removed inside: use the _SAFE form. */
#define SH_LIST_FOREACH(it, head) for (sh_list *it = (head)->next; it != (head); it = it->next)
#define SH_LIST_FOREACH_SAFE(it, head)                                                             \
    for (sh_list *it = (head)->next, *it##_next = it->next; it != (head);                          \
         it = it##_next, it##_next = it->next)

static inline void sh_list_init(sh_list *l)
{
    l->next = l;
    l->prev = l;
}

/* For a head: nothing in it. For a link: in no list. */
static inline bool sh_list_empty(const sh_list *l)
{
    return l->next == l;
}

/* Puts link before `at`. */
static inline void sh_list_insert(sh_list *at, sh_list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

static inline void sh_list_push_back(sh_list *head, sh_list *link)
{
    sh_list_insert(head, link);
}

static inline void sh_list_push_front(sh_list *head, sh_list *link)
{
    sh_list_insert(head->next, link);
}

/* Takes the link out of whatever list it is in; harmless if in none. */
static inline void sh_list_remove(sh_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    sh_list_init(link);
}

/* The first link, still in the list; NULL if empty. */
static inline sh_list *sh_list_front(const sh_list *head)
{
    return head->next == head ? NULL : head->next;
}

/* Takes the first link out; NULL if empty. */
static inline sh_list *sh_list_pop(sh_list *head)
{
    sh_list *link = sh_list_front(head);
    if (link) {
        sh_list_remove(link);
    }
    return link;
}

/* Moves everything of `from` to the end of `to`, in order. */
static inline void sh_list_splice(sh_list *to, sh_list *from)
{
    if (from->next == from) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    sh_list_init(from);
}

#endif
