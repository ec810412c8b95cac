/* remote/events.c - what the node is told: results of names, calls to the node, peers lost or bad. */
#include "remote/internal.h"

struct sh_remote_item *sh_remote_item_new(sh_remote *r)
{
    if (sh_quota_take(r->quota, sizeof(struct sh_remote_item)) != 0) {
        return NULL;
    }
    struct sh_remote_item *item = sh_mem_zalloc(r->mem, sizeof *item);
    if (!item) {
        sh_quota_give(r->quota, sizeof *item);
        return NULL;
    }
    item->bytes = sizeof *item;
    return item;
}

void sh_remote_item_free(sh_remote *r, struct sh_remote_item *item)
{
    if (item) {
        sh_quota_give(r->quota, item->bytes);
        sh_mem_free(r->mem, item, item->bytes);
    }
}

bool sh_remote_emit(sh_remote *r, const struct sh_remote_event *ev)
{
    size_t bytes = sizeof(struct sh_remote_item) + ev->name.n + ev->value.n + ev->text.n;
    if (sh_quota_take(r->quota, bytes) != 0) {
        return false;
    }
    struct sh_remote_item *item = sh_mem_alloc(r->mem, bytes);
    if (!item) {
        sh_quota_give(r->quota, bytes);
        return false;
    }
    item->bytes = bytes;
    item->ev = *ev;
    uint8_t *at = (uint8_t *)(item + 1);
    sh_span *const spans[] = {&item->ev.name, &item->ev.value, &item->ev.text};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        if (spans[i]->n) {
            memcpy(at, spans[i]->p, spans[i]->n);
            spans[i]->p = at;
            at += spans[i]->n;
        }
    }
    sh_list_push_back(&r->items, &item->link);
    return true;
}

bool sh_remote_event(sh_remote *r, struct sh_remote_event *out)
{
    sh_remote_item_free(r, r->taken);
    sh_list *link = sh_list_pop(&r->items);
    r->taken = link ? SH_CONTAINER(link, struct sh_remote_item, link) : NULL;
    if (r->taken) {
        *out = r->taken->ev;
    }
    return r->taken != NULL;
}
