/* node/events.c - what users are told. Each event is one block with its texts, given to on_event in a turn of the host
 * executor; if that cannot be (no memory, too many wait) it is logged and counted, never lost in silence. */
#include "node/internal.h"

struct event_block {
    const sh_mem *mem;
    size_t size;
    void (*fn)(void *ud, const struct sh_node_event *ev);
    void *ud;
    struct sh_node_event ev;
};

static const char *event_name(enum sh_node_event_kind kind)
{
    switch (kind) {
    case SH_NODE_EV_LISTENING: return "listening";
    case SH_NODE_EV_PEER_UP: return "peer_up";
    case SH_NODE_EV_PEER_DOWN: return "peer_down";
    case SH_NODE_EV_DIAL_FAILED: return "dial_failed";
    case SH_NODE_EV_UNDELIVERED: return "undelivered";
    case SH_NODE_EV_ACTOR_FAILED: return "actor_failed";
    case SH_NODE_EV_STALLED: return "stalled";
    }
    return "unknown";
}

static void event_run(void *ud, const struct sh_result *result)
{
    (void)result;
    struct event_block *b = ud;
    b->fn(b->ud, &b->ev);
    sh_mem_free(b->mem, b, b->size);
}

/* Copies a text behind what is there; returns where the next one goes. */
static uint8_t *event_text(sh_span *text, uint8_t *at)
{
    if (text->n > 0) {
        memcpy(at, text->p, text->n);
    }
    text->p = at;
    return at + text->n;
}

bool sh_node_may_warn(struct sh_node *n, uint64_t *unlogged)
{
    uint64_t back = (n->now_us - n->warned_us) * SH_NODE_WARNINGS_PER_S / 1000000;
    if (back > 0) {
        n->warnings = back < n->warnings ? n->warnings - (uint32_t)back : 0;
        n->warned_us = n->now_us;
    }
    if (n->warnings >= SH_NODE_WARNINGS_BURST) {
        n->unwarned++;
        return false;
    }
    n->warnings++;
    *unlogged = n->unwarned;
    n->unwarned = 0;
    return true;
}

static void event_log(struct sh_node *n, const struct sh_node_event *ev)
{
    uint64_t unlogged = 0;
    bool bad = ev->kind == SH_NODE_EV_UNDELIVERED || ev->kind == SH_NODE_EV_ACTOR_FAILED ||
               ev->kind == SH_NODE_EV_STALLED;
    if (bad && !sh_node_may_warn(n, &unlogged)) {
        return;
    }
    sh_logf(&n->log, bad ? SH_LOG_WARN : SH_LOG_INFO, "node",
            "event=%s peer=%.*s address=%.*s name=%.*s count=%llu code=%s text=\"%.*s\""
            " unlogged=%llu",
            event_name(ev->kind), (int)ev->peer.n, (const char *)ev->peer.p, (int)ev->address.n,
            (const char *)ev->address.p, (int)ev->name.n, (const char *)ev->name.p,
            (unsigned long long)ev->count, sh_err_name(ev->code), (int)ev->text.n,
            (const char *)ev->text.p, (unsigned long long)unlogged);
}

void sh_node_event_post(struct sh_node *n, const struct sh_node_event *ev)
{
    event_log(n, ev);
    if (!n->cfg.on_event) {
        return;
    }
    size_t size = sizeof(struct event_block) + ev->peer.n + ev->address.n + ev->name.n + ev->text.n;
    struct event_block *b = sh_mem_alloc(n->mem, size);
    if (!b) {
        n->events_dropped++;
        return;
    }
    *b = (struct event_block){n->mem, size, n->cfg.on_event, n->cfg.on_event_ud, *ev};
    uint8_t *at = event_text(&b->ev.peer, (uint8_t *)(b + 1));
    at = event_text(&b->ev.address, at);
    at = event_text(&b->ev.name, at);
    (void)event_text(&b->ev.text, at);
    if (sh_runtime_call(n->runtime, n->token, sh_runtime_host(n->runtime), event_run, b, NULL) <
        0) {
        sh_mem_free(n->mem, b, size);
        n->events_dropped++;
    }
}

void sh_node_event_peer(struct sh_node *n, enum sh_node_event_kind kind, const sh_peer_id *peer,
                        const sh_addr *addr, int code, const char *text)
{
    char peer_text[SH_PEER_ID_TEXT_MAX] = "";
    char addr_text[SH_ADDR_TEXT_MAX] = "";
    if (peer) {
        sh_peer_id_text(peer, peer_text);
    }
    if (addr && addr->n > 0 && sh_addr_text(addr, addr_text, sizeof addr_text) < 0) {
        addr_text[0] = 0;
    }
    struct sh_node_event ev = {
        .kind = kind,
        .code = code,
        .peer = sh_span_str(peer_text),
        .address = sh_span_str(addr_text),
        .text = sh_span_str(text ? text : ""),
    };
    sh_node_event_post(n, &ev);
}

void sh_node_event_runtime(struct sh_node *n, const struct sh_runtime_event *rt)
{
    static const enum sh_node_event_kind kinds[] = {
        [SH_RT_UNDELIVERED] = SH_NODE_EV_UNDELIVERED,
        [SH_RT_ACTOR_FAILED] = SH_NODE_EV_ACTOR_FAILED,
        [SH_RT_STALLED] = SH_NODE_EV_STALLED,
    };
    struct sh_node_event ev = {
        .kind = kinds[rt->kind],
        .code = rt->code,
        .pid = rt->pid,
        .count = rt->count,
        .name = rt->name,
        .text = rt->text,
    };
    sh_node_event_post(n, &ev);
}
