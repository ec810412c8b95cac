/* tests/unit/remote/harness.h - nodes of a real runtime and a real remote over the fake swarm, on one clock.
 *
 * Every node has one actor type, "peer": tell "n" {u32} records the number, ask "n" replies it, ask "never" keeps the
 * asker waiting, tell "die" fails the actor. Its deaths seen, losses and answers are counted per node. */
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_swarm.c"
#include "remote/remote.h"

enum { TOKEN = 7, SEEN_MAX = FAKE_NOTES, ASKS = FAKE_NOTES / 8, DOWNS = 256, RESULTS = 64 };

struct ask_note {
    int ends; /* must become 1 */
    int code, delivery;
    uint32_t number, value;
    struct h_node *node;
};

struct h_node {
    struct harness *h;
    int index;
    bool frozen; /* its actors get no turn */
    sh_quota quota;
    sh_rng_seeded seeded;
    sh_rng rng;
    sh_mem_counter counter;
    sh_swarm *swarm;
    sh_runtime *rt;
    sh_remote *remote;
    const sh_type *type;
    uint32_t seen[SEEN_MAX]; /* tells, in order */
    size_t seen_n;
    uint8_t asked[FAKE_NOTES]; /* by number: how often a handler ran */
    struct {
        int kind;
        sh_pid dead;
        bool link;
        char text[64];
        size_t seen_n; /* tells handled before it */
    } downs[DOWNS];
    size_t downs_n;
    uint32_t lost; /* undelivered tells */
    int lost_code;
    int bad_peers, peers_lost, node_calls;
    uint32_t told_at_once; /* without a message in between */
    struct {
        uint64_t call;
        int code;
        sh_pid pid;
    } results[RESULTS];
    size_t results_n;
    sh_pid held[64]; /* promises of "never" */
    size_t held_n;
};

struct harness {
    struct fake_net *net;
    uint64_t now;
    uint64_t incarnation;
    struct h_node node[FAKE_NODES];
    struct ask_note asks[ASKS];
    size_t asks_n;
};

static uint32_t h_u32(sh_span value)
{
    return value.n == 5 ? sh_load_u32be(value.p + 1) : 0;
}

static inline sh_span h_value(uint8_t buf[5], uint32_t v)
{
    buf[0] = 0xce;
    sh_store_u32be(buf + 1, v);
    return sh_span_of(buf, 5);
}

enum { H_N, H_NEVER, H_DIE, H_BIG };

static int h_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    (void)state;
    (void)name;
    struct h_node *n = ud;
    switch (index) {
    case H_N:
        if (sh_cx_is_ask(cx)) {
            n->asked[h_u32(value) % FAKE_NOTES]++;
            return sh_cx_reply(cx, value);
        }
        if (n->seen_n < SEEN_MAX) {
            n->seen[n->seen_n++] = h_u32(value);
        }
        return 0;
    case H_NEVER: {
        n->asked[h_u32(value) % FAKE_NOTES]++;
        sh_pid promise;
        int err = sh_cx_defer(cx, &promise);
        if (!err && n->held_n < 64) {
            n->held[n->held_n++] = promise;
        }
        return err;
    }
    case H_DIE: return sh_cx_fail(cx, sh_span_str("told to"), sh_span_none(), sh_span_none());
    default: return 0;
    }
}

static int h_on_down(void *ud, sh_cx *cx, void *state, sh_pid dead, const struct sh_reason *reason,
                     unsigned flags)
{
    (void)cx;
    (void)state;
    struct h_node *n = ud;
    if (n->downs_n < DOWNS) {
        n->downs[n->downs_n].kind = reason->kind;
        n->downs[n->downs_n].dead = dead;
        n->downs[n->downs_n].link = (flags & SH_DOWN_LINK) != 0;
        snprintf(n->downs[n->downs_n].text, 64, "%.*s", (int)reason->text.n,
                 (const char *)reason->text.p);
        n->downs[n->downs_n].seen_n = n->seen_n;
        n->downs_n++;
    }
    return SH_RESUME;
}

static void h_wake(void *ud, unsigned exec)
{
    (void)ud;
    (void)exec;
}

/* As a node does it; what has gathered leaves with the next pump. */
static bool h_tell_peer(void *ud, sh_pid to, sh_span name, sh_span value)
{
    struct h_node *n = ud;
    bool full;
    bool told = sh_remote_tell(n->remote, to, name, value, &full);
    n->told_at_once += told;
    return told;
}

static inline void h_start(struct harness *h, int index)
{
    struct h_node *n = &h->node[index];
    static const char *const names[] = {"n", "never", "die", "big"};
    sh_span spans[4];
    memset(n, 0, sizeof *n);
    n->h = h;
    n->index = index;
    n->rng = sh_rng_seeded_init(&n->seeded, 1000 + ++h->incarnation);
    n->swarm = fake_net_node(h->net, index);
    sh_quota_init(&n->quota, NULL, 256u << 20);
    const sh_mem *mem = sh_mem_counted(&n->counter, sh_mem_system());
    struct sh_runtime_config rc;
    sh_runtime_config_init(&rc);
    rc.mem = mem;
    rc.rng[0] = &n->rng;
    rc.execs = 1;
    rc.wake = h_wake;
    rc.tell_peer = h_tell_peer;
    rc.tell_peer_ud = n;
    rc.self_tag = 1000u + (uint32_t)h->incarnation;
    assert_int_equal(sh_runtime_new(&rc, h->now, &n->rt), 0);
    for (int i = 0; i < 4; i++) {
        spans[i] = sh_span_str(names[i]);
    }
    struct sh_actor_type def = {.id = sh_span_str("peer"),
                                .ud = n,
                                .names = spans,
                                .name_count = 4,
                                .mailbox = -1,
                                .handle = h_handle,
                                .on_down = h_on_down};
    assert_int_equal(sh_runtime_type(n->rt, &def, &n->type), 0);
    assert_true(sh_exec_enter(sh_runtime_exec(n->rt, 0), TOKEN));
    struct sh_remote_config cfg = {.mem = mem,
                                   .quota = &n->quota,
                                   .rng = &n->rng,
                                   .swarm = n->swarm,
                                   .runtime = n->rt,
                                   .token = TOKEN,
                                   .self = h->net->ids[index],
                                   .self_tag = rc.self_tag,
                                   .native_proto = 0,
                                   .incarnation = 0xabc0000 + h->incarnation,
                                   .message_max = SH_MESSAGE_MAX,
                                   .admin = h->net->ids,
                                   .admin_count = 1};
    assert_int_equal(sh_remote_new(&cfg, h->now, &n->remote), 0);
}

static void h_events(struct h_node *n)
{
    struct sh_runtime_event re;
    while (sh_runtime_event(n->rt, &re)) {
        if (re.kind == SH_RT_UNDELIVERED) {
            n->lost += (uint32_t)re.count;
            n->lost_code = re.code;
        }
    }
    struct sh_remote_event ev;
    while (sh_remote_event(n->remote, &ev)) {
        n->bad_peers += ev.kind == SH_REMOTE_BAD_PEER;
        n->peers_lost += ev.kind == SH_REMOTE_PEER_LOST;
        if (ev.kind == SH_REMOTE_NODE_CALL) {
            n->node_calls++;
            struct sh_result res = {.value = ev.value};
            sh_remote_node_reply(n->remote, ev.call, &res, n->h->now);
        }
        if (ev.kind == SH_REMOTE_RESULT && n->results_n < RESULTS) {
            n->results[n->results_n].call = ev.call;
            n->results[n->results_n].code = ev.code;
            n->results[n->results_n++].pid = ev.pid;
        }
    }
}

static void h_turn(struct h_node *n)
{
    struct harness *h = n->h;
    struct sh_swarm_event ev;
    struct sh_turn turn;
    while (sh_swarm_event(n->swarm, &ev, h->now)) {
        sh_remote_swarm_event(n->remote, &ev, h->now);
    }
    if (!n->frozen) {
        sh_exec_turn(sh_runtime_exec(n->rt, 0), h->now, 64, &turn);
    }
    sh_remote_pump(n->remote, h->now);
    if (sh_remote_deadline(n->remote) <= h->now) {
        sh_remote_tick(n->remote, h->now);
    }
    h_events(n);
}

static void h_step(struct harness *h)
{
    h->now += 1000;
    fake_net_tick(h->net, h->now);
    for (int i = 0; i < FAKE_NODES; i++) {
        if (h->node[i].rt) {
            h_turn(&h->node[i]);
        }
    }
    fake_net_run(h->net, 64);
}

static inline void h_run(struct harness *h, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        h_step(h);
    }
}

static inline void h_stop(struct harness *h, int index) /* kill -9 */
{
    struct h_node *n = &h->node[index];
    if (!n->rt) {
        return;
    }
    sh_remote_free(n->remote);
    n->remote = NULL;
    sh_exec_leave(sh_runtime_exec(n->rt, 0), TOKEN);
    sh_runtime_free(n->rt);
    n->rt = NULL;
    fake_net_leave(h->net, index);
    assert_int_equal(n->quota.used, 0);
    assert_int_equal(atomic_load(&n->counter.live_bytes), 0);
}

static inline struct harness *h_new(uint64_t seed, int nodes)
{
    struct harness *h = fake_alloc(sizeof *h);
    h->net = fake_net_new(seed);
    h->now = h->net->now_us;
    for (int i = 0; i < nodes; i++) {
        h_start(h, i);
    }
    return h;
}

static inline void h_free(struct harness *h)
{
    for (int i = 0; i < FAKE_NODES; i++) {
        h_stop(h, i);
    }
    for (size_t i = 0; i < h->asks_n; i++) {
        assert_int_equal(h->asks[i].ends, 1);
    }
    fake_net_free(h->net);
    free(h);
}

static inline sh_pid h_spawn(struct harness *h, int index)
{
    struct h_node *n = &h->node[index];
    struct sh_spawn opt;
    sh_spawn_init(&opt);
    sh_pid pid;
    assert_int_equal(sh_runtime_spawn(n->rt, TOKEN, 0, n->type, &opt, &pid), 0);
    return pid;
}

/* The pid by which node `from` names an actor of node `to`; exported there. */
static inline sh_pid h_pid(struct harness *h, int from, int to, sh_pid local)
{
    uint8_t ref[64];
    if (h->node[to].remote) {
        sh_remote_export(h->node[to].remote, local);
    }
    sh_store_u64le(ref, local.actor);
    memcpy(ref + 8, h->net->ids[to].b, h->net->ids[to].n);
    sh_pid pid;
    assert_int_equal(
        sh_remote_pid_of_ref(h->node[from].remote, sh_span_of(ref, 8u + h->net->ids[to].n), &pid),
        0);
    return pid;
}

/* outside: by who is not in the loop; only then can it be written at once. */
static inline int h_tell_from(struct harness *h, int from, sh_pid to, uint32_t v, bool outside)
{
    uint8_t buf[5];
    sh_runtime *rt = h->node[from].rt;
    if (outside) {
        sh_exec_leave(sh_runtime_exec(rt, 0), TOKEN);
    }
    int rc = sh_runtime_tell(rt, TOKEN, to, sh_span_str("n"), h_value(buf, v));
    if (outside) {
        assert_true(sh_exec_enter(sh_runtime_exec(rt, 0), TOKEN));
    }
    return rc;
}

static inline int h_tell(struct harness *h, int from, sh_pid to, uint32_t v)
{
    return h_tell_from(h, from, to, v, h->now / 1000 % 2 == 0);
}

static void h_answered(void *ud, const struct sh_result *r)
{
    struct ask_note *a = ud;
    a->ends++;
    a->code = r->code;
    a->delivery = r->delivery;
    a->value = h_u32(r->value);
}

static inline struct ask_note *h_ask(struct harness *h, int from, sh_pid to, const char *name,
                                     uint32_t v, unsigned ms, int64_t *call)
{
    uint8_t buf[5];
    assert_true(h->asks_n < ASKS);
    struct ask_note *a = &h->asks[h->asks_n];
    *a = (struct ask_note){.number = v, .node = &h->node[from]};
    int64_t id = sh_runtime_ask(h->node[from].rt, TOKEN, to, sh_span_str(name), h_value(buf, v),
                                h->now + ms * 1000, h_answered, a);
    if (call) {
        *call = id;
    }
    if (id <= 0) {
        return NULL;
    }
    h->asks_n++;
    return a;
}

#endif
