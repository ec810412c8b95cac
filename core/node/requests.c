/* node/requests.c - what users ask of the loop: listen, dial, names, info, stop.
 *
 * A request's number towards swarm and remote is the actor number of its reply address: unique while the call is open,
 * so no table is kept here, and an answer that comes too late matches nothing. */
#include "node/internal.h"

/* --- answers --- */

/* Nobody waits: a number that is no reply address. */
static uint64_t call_of(struct sh_node *n, sh_pid reply)
{
    return sh_pid_is_none(reply) ? sh_pid_actor(++n->last_call, SH_NODE_EXEC_NOBODY, 0)
                                 : reply.actor;
}

static sh_pid reply_of(const struct sh_node *n, uint64_t call)
{
    if (call == 0 || sh_pid_executor(call) == SH_NODE_EXEC_NOBODY) {
        return sh_pid_none();
    }
    return (sh_pid){call, 0, n->self_tag};
}

void sh_node_answer(struct sh_node *n, sh_pid reply, int code, const char *text, sh_span value)
{
    struct sh_result r = {
        .code = code == SH_E_NOMEM ? SH_E_LIMIT : code,
        .delivery = code < 0 ? SH_NOT_SENT : SH_HANDLED,
        .text = sh_span_str(text       ? text
                            : code < 0 ? sh_err_text(code)
                                       : ""),
        .value = value,
    };
    if (!sh_pid_is_none(reply)) {
        /* No memory for the answer: the call ends at its deadline. */
        (void)sh_runtime_reply(n->runtime, n->token, reply, &r);
    }
}

void sh_node_remote_result(struct sh_node *n, const struct sh_remote_event *ev)
{
    sh_pid reply = reply_of(n, ev->call);
    if (sh_pid_is_none(reply)) {
        return;
    }
    struct sh_result r = {
        .code = ev->code,
        .delivery = ev->code < 0 ? SH_NOT_SENT : SH_HANDLED,
        .text = ev->text,
        .pid = ev->pid,
    };
    if (ev->code < 0 && ev->text.n == 0) {
        r.text = sh_span_str(sh_err_text(ev->code));
    }
    (void)sh_runtime_reply(n->runtime, n->token, reply, &r);
}

void sh_node_dialled(struct sh_node *n, const struct sh_swarm_event *ev)
{
    char text[SH_PEER_ID_TEXT_MAX] = "";
    const sh_peer_id *peer = ev->err < 0 ? NULL : sh_swarm_peer_id(n->swarm, ev->peer);
    if (peer) {
        sh_peer_id_text(peer, text);
    }
    sh_node_answer(n, reply_of(n, ev->query), ev->err, ev->text, sh_span_str(text));
}

/* --- listening --- */

struct sh_node_listener *sh_node_listener_find(const struct sh_node *n, uint64_t number)
{
    return number == 0 || number > n->listener_count ? NULL : n->listeners[number - 1];
}

/* The slot of a failed listener is not used again: numbers are forever, SH_NODE_LISTENERS_MAX is plenty. */
int sh_node_listen_at(sh_node *n, sh_span addr, uint64_t *listener)
{
    sh_addr parsed;
    struct sh_endpoint endpoint;
    if (n->drain.step != SH_DRAIN_NONE) {
        return SH_E_CLOSED;
    }
    int rc = sh_addr_parse(&parsed, (const char *)addr.p, addr.n);
    if (rc == 0) {
        rc = sh_addr_endpoint(&parsed, &endpoint);
    }
    if (rc < 0) {
        return rc;
    }
    if (n->listener_count == SH_NODE_LISTENERS_MAX) {
        return SH_E_LIMIT;
    }
    struct sh_node_listener *l = sh_mem_zalloc(n->mem, sizeof *l);
    if (!l) {
        return SH_E_NOMEM;
    }
    l->endpoint = endpoint;
    n->listeners[n->listener_count++] = l;
    l->number = n->listener_count;
    *listener = l->number;
    return 0;
}

int sh_node_listen_state(const sh_node *n, uint64_t listener, const char **text)
{
    const struct sh_node_listener *l = sh_node_listener_find(n, listener);
    if (!l) {
        return SH_E_NOT_FOUND;
    }
    *text = l->text;
    return l->state == SH_LISTENER_ASKED ? SH_E_MORE : l->err;
}

void sh_node_listener_bound(struct sh_node *n, struct sh_node_listener *l, const sh_addr *addr)
{
    sh_addr full = *addr;
    char text[SH_ADDR_TEXT_MAX];
    l->state = SH_LISTENER_BOUND;
    if (l->addr_count < sizeof l->addrs / sizeof *l->addrs) {
        l->addrs[l->addr_count++] = *addr;
    }
    (void)sh_addr_with_peer(&full, &n->self);
    sh_node_event_peer(n, SH_NODE_EV_LISTENING, &n->self, &full, 0, NULL);
    if (sh_addr_text(&full, text, sizeof text) > 0) {
        sh_node_answer(n, l->reply, 0, NULL, sh_span_str(text));
        l->reply = sh_pid_none(); /* of a wildcard's addresses the first is told */
    }
}

void sh_node_listener_failed(struct sh_node *n, struct sh_node_listener *l, int err,
                             const char *text)
{
    size_t len = strlen(text);
    len = len < sizeof l->text - 1 ? len : sizeof l->text - 1;
    memcpy(l->text, text, len);
    l->text[len] = 0;
    l->state = SH_LISTENER_FAILED;
    l->err = err;
    sh_logf(&n->log, SH_LOG_WARN, "node", "event=listen_failed listener=%llu text=\"%s\"",
            (unsigned long long)l->number, l->text);
    sh_node_answer(n, l->reply, err, l->text, sh_span_none());
    l->reply = sh_pid_none();
}

/* --- requests --- */

static int request_listen(struct sh_node *n, const sh_msg *m)
{
    uint64_t number;
    int rc = sh_node_listen_at(n, sh_msg_value(m), &number);
    if (rc == 0) {
        n->listeners[number - 1]->reply = m->reply;
    }
    return rc;
}

static int request_dial(struct sh_node *n, const sh_msg *m)
{
    sh_addr addr;
    sh_span text = sh_msg_value(m);
    int rc = sh_addr_parse(&addr, (const char *)text.p, text.n);
    return rc < 0 ? rc : sh_swarm_dial(n->swarm, &addr, false, call_of(n, m->reply), n->now_us);
}

static int request_register(struct sh_node *n, const sh_msg *m)
{
    return sh_remote_register(n->remote, call_of(n, m->reply), m->from, sh_msg_name(m),
                              sh_runtime_type_of(n->runtime, m->from), m->deadline_us, n->now_us);
}

/* A lookup ends by itself, as not_found, a little before its slot would end it as a timeout. */
static uint64_t lookup_deadline(const sh_msg *m)
{
    uint64_t confirm_us = SH_CONFIRM_MS * 1000u;
    return m->deadline_us == UINT64_MAX || m->deadline_us <= confirm_us
               ? m->deadline_us
               : m->deadline_us - confirm_us;
}

static int request_lookup(struct sh_node *n, const sh_msg *m)
{
    bool once = m->tag == SH_NODE_OP_LOOKUP_ONCE || m->tag == SH_NODE_OP_LOOKUP_ALL_ONCE;
    struct sh_lookup_options o = {
        .deadline_us = once ? 0 : lookup_deadline(m),
        .all = m->tag == SH_NODE_OP_LOOKUP_ALL || m->tag == SH_NODE_OP_LOOKUP_ALL_ONCE ||
               m->tag == SH_NODE_OP_LOOKUP_FOLLOW,
        .follow = m->tag == SH_NODE_OP_LOOKUP_FOLLOW,
    };
    return sh_remote_lookup(n->remote, call_of(n, m->reply), sh_msg_name(m), &o, n->now_us);
}

static int request_stop(struct sh_node *n, const sh_msg *m)
{
    if (n->drain.step == SH_DRAIN_STOPPED) {
        sh_node_answer(n, m->reply, 0, NULL, sh_span_none());
        return 0;
    }
    if (!sh_pid_is_none(m->reply)) {
        if (n->stop_count == SH_NODE_STOPS_MAX) {
            return SH_E_LIMIT;
        }
        n->stops[n->stop_count++] = m->reply;
    }
    sh_node_drain_begin(n, lookup_deadline(m));
    return 0;
}

/* The call ended without us: cancelled, or late. */
static int request_end(struct sh_node *n, const sh_msg *m)
{
    if (!sh_pid_is_none(m->reply)) {
        sh_remote_cancel(n->remote, m->reply.actor);
    }
    return 0;
}

/* 0: it will be, or is, answered; else the answer. *answer: answer 0 too. */
static int request_run(struct sh_node *n, const sh_msg *m, bool *answer)
{
    *answer = false;
    if (m->tag == SH_REQUEST_END) {
        return request_end(n, m);
    }
    if (m->tag == SH_NODE_OP_STOP) {
        return request_stop(n, m);
    }
    if (n->drain.step != SH_DRAIN_NONE && m->tag != SH_NODE_OP_INFO) {
        return SH_E_CLOSED;
    }
    switch ((enum sh_node_op)m->tag) {
    case SH_NODE_OP_LISTEN: return request_listen(n, m);
    case SH_NODE_OP_DIAL: return request_dial(n, m);
    case SH_NODE_OP_REGISTER: return request_register(n, m);
    case SH_NODE_OP_UNREGISTER:
        *answer = true;
        return sh_remote_unregister(n->remote, m->from, sh_msg_name(m));
    case SH_NODE_OP_LOOKUP:
    case SH_NODE_OP_LOOKUP_ONCE:
    case SH_NODE_OP_LOOKUP_ALL:
    case SH_NODE_OP_LOOKUP_ALL_ONCE:
    case SH_NODE_OP_LOOKUP_FOLLOW: return request_lookup(n, m);
    case SH_NODE_OP_INFO: sh_node_info_answer(n, sh_msg_name(m), m->reply, 0); return 0;
    case SH_NODE_OP_EXPORT: *answer = true; return sh_remote_export(n->remote, m->from);
    case SH_NODE_OP_STOP: return 0; /* seen above */
    }
    return SH_E_UNSUPPORTED;
}

size_t sh_node_requests(struct sh_node *n)
{
    size_t count = 0;
    for (sh_msg *m = sh_runtime_take_request(n->runtime); m;
         m = sh_runtime_take_request(n->runtime)) {
        bool answer;
        int rc = request_run(n, m, &answer);
        if (rc < 0 || answer) {
            sh_node_answer(n, m->reply, rc, NULL, sh_span_none());
        }
        sh_runtime_msg_done(n->runtime, m);
        count++;
    }
    return count;
}

/* --- the [any] functions --- */

static uint64_t after(uint64_t now_us, uint64_t us)
{
    return us > UINT64_MAX - now_us ? UINT64_MAX : now_us + us;
}

uint64_t sh_node_op_deadline(const sh_node *n, enum sh_node_op op, uint64_t timeout_us,
                             uint64_t now_us)
{
    uint64_t confirm_us = SH_CONFIRM_MS * 1000u;
    uint64_t us = timeout_us ? timeout_us : n->cfg.ask_timeout_us;
    switch (op) {
    case SH_NODE_OP_LISTEN:
    case SH_NODE_OP_REGISTER:
    case SH_NODE_OP_UNREGISTER:
    case SH_NODE_OP_INFO:
    case SH_NODE_OP_EXPORT: return after(now_us, us);
    case SH_NODE_OP_DIAL: return after(now_us, timeout_us ? timeout_us : SH_NODE_DIAL_MS * 1000u);
    case SH_NODE_OP_LOOKUP:
    case SH_NODE_OP_LOOKUP_ALL: return after(after(now_us, us), confirm_us);
    case SH_NODE_OP_LOOKUP_ALL_ONCE:
    case SH_NODE_OP_LOOKUP_ONCE: return after(now_us, SH_NODE_LOOKUP_ONCE_MS * 1000u);
    case SH_NODE_OP_LOOKUP_FOLLOW: return UINT64_MAX;
    case SH_NODE_OP_STOP:
        return after(after(now_us, timeout_us ? timeout_us : n->cfg.stop_timeout_us), confirm_us);
    }
    return after(now_us, us);
}

/* What the [any] functions have in common. */
struct ask {
    enum sh_node_op op;
    sh_pid subject;
    struct sh_msg_parts parts;
    uint64_t timeout_us;
    uint64_t now_us;
};

static int64_t node_ask(sh_node *n, uint64_t token, const struct ask *a, sh_call_fn *done, void *ud)
{
    uint64_t deadline_us = sh_node_op_deadline(n, a->op, a->timeout_us, a->now_us);
    return sh_runtime_request(n->runtime, token, a->op, a->subject, &a->parts, deadline_us, done,
                              ud);
}

int64_t sh_node_listen(sh_node *n, uint64_t token, sh_span addr, uint64_t now_us, sh_call_fn *done,
                       void *ud)
{
    struct ask a = {.op = SH_NODE_OP_LISTEN, .parts = {.value = addr}, .now_us = now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_dial(sh_node *n, uint64_t token, sh_span addr, uint64_t timeout_us, uint64_t now_us,
                     sh_call_fn *done, void *ud)
{
    struct ask a = {SH_NODE_OP_DIAL, {0}, {.value = addr}, timeout_us, now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_register(sh_node *n, uint64_t token, sh_pid pid, sh_span name, uint64_t timeout_us,
                         uint64_t now_us, sh_call_fn *done, void *ud)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    struct ask a = {SH_NODE_OP_REGISTER, pid, {.name = name}, timeout_us, now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_unregister(sh_node *n, uint64_t token, sh_pid pid, sh_span name, uint64_t now_us,
                           sh_call_fn *done, void *ud)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    struct ask a = {SH_NODE_OP_UNREGISTER, pid, {.name = name}, 0, now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_lookup(sh_node *n, uint64_t token, sh_span name, uint64_t timeout_us,
                       uint64_t now_us, sh_call_fn *done, void *ud)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    enum sh_node_op op = timeout_us ? SH_NODE_OP_LOOKUP : SH_NODE_OP_LOOKUP_ONCE;
    struct ask a = {op, {0}, {.name = name}, timeout_us, now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_lookup_all(sh_node *n, uint64_t token, sh_span name, bool follow,
                           uint64_t timeout_us, uint64_t now_us, sh_call_fn *done, void *ud)
{
    if (sh_remote_name_fault(name)) {
        return SH_E_BAD_VALUE;
    }
    enum sh_node_op op = follow       ? SH_NODE_OP_LOOKUP_FOLLOW
                         : timeout_us ? SH_NODE_OP_LOOKUP_ALL
                                      : SH_NODE_OP_LOOKUP_ALL_ONCE;
    struct ask a = {op, {0}, {.name = name}, timeout_us, now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_info(sh_node *n, uint64_t token, sh_span what, uint64_t now_us, sh_call_fn *done,
                     void *ud)
{
    struct ask a = {.op = SH_NODE_OP_INFO, .parts = {.name = what}, .now_us = now_us};
    return node_ask(n, token, &a, done, ud);
}

int64_t sh_node_stop(sh_node *n, uint64_t token, uint64_t timeout_us, uint64_t now_us,
                     sh_call_fn *done, void *ud)
{
    struct ask a = {.op = SH_NODE_OP_STOP, .timeout_us = timeout_us, .now_us = now_us};
    return node_ask(n, token, &a, done, ud);
}

int sh_node_unregister_at(sh_node *n, sh_pid pid, sh_span name, uint64_t now_us)
{
    (void)now_us;
    return sh_remote_unregister(n->remote, pid, name);
}
