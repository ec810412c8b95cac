/* abi/names.c - names, connections and info: requests that the node's loop answers. */
#include <string.h>

#include "internal.h"

/* What every request needs: the room of its callback, and the moment. */
struct asked {
    sh_node *core;
    struct abi_call *call;
    sh_call_fn *fn;
    uint64_t now_us;
};

static int asked_init(shoal_node *node, shoal_fn done, void *ud, struct asked *a)
{
    int code = abi_call_room(node, done, ud, &a->call);
    a->core = node->core;
    a->fn = a->call ? abi_call_done : NULL;
    a->now_us = abi_now_us(node);
    return code;
}

static int check_own(const shoal_node *node, const char *what, shoal_pid pid)
{
    int code = abi_check_pid(node, what, pid);
    if (code == 0 && pid.node != 0) {
        code = abi_fail(node, SHOAL_E_USAGE, "%s: the actor is not of this node", what);
    }
    return code;
}

int64_t shoal_register(shoal_node *node, shoal_pid pid, const char *name, shoal_fn done, void *ud)
{
    struct asked a;
    sh_span text;
    int code = check_own(node, "shoal_register", pid);
    if (code < 0 || (code = abi_registry_name(node, name, &text)) < 0 ||
        (code = asked_init(node, done, ud, &a)) < 0) {
        return code;
    }
    return abi_call_begun(node, a.call,
                          sh_node_register(a.core, abi_token(node), abi_pid_in(pid), text, 0,
                                           a.now_us, a.fn, a.call));
}

struct unregister_job {
    sh_pid pid;
    sh_span name;
    int code;
};

static void unregister_inside(void *ud, sh_node *n, uint64_t now_us)
{
    struct unregister_job *job = ud;
    job->code = sh_node_unregister_at(n, job->pid, job->name, now_us);
}

int shoal_unregister(shoal_node *node, shoal_pid pid, const char *name)
{
    sh_span text;
    int code = check_own(node, "shoal_unregister", pid);
    if (code < 0 || (code = abi_name(node, "name", name, &text)) < 0) {
        return code;
    }
    struct unregister_job job = {abi_pid_in(pid), text, 0};
    code = abi_inside(node, unregister_inside, &job);
    code = code < 0 ? code : job.code;
    return code == SH_E_NOT_FOUND
               ? abi_fail(node, code, "the actor does not hold the name \"%s\"", name)
               : (int)abi_code(node, code);
}

int64_t shoal_lookup(shoal_node *node, const char *name, uint32_t timeout_ms, shoal_fn done,
                     void *ud)
{
    struct asked a;
    sh_span text;
    int code = abi_check_node(node, "shoal_lookup");
    if (code < 0 || (code = abi_registry_name(node, name, &text)) < 0 ||
        (code = asked_init(node, done, ud, &a)) < 0) {
        return code;
    }
    int64_t id = sh_node_lookup(a.core, abi_token(node), text, (uint64_t)timeout_ms * 1000,
                                a.now_us, a.fn, a.call);
    return abi_call_begun(node, a.call, id);
}

int64_t shoal_lookup_all(shoal_node *node, const char *name, uint32_t timeout_ms, uint32_t flags,
                         shoal_fn done, void *ud)
{
    struct asked a;
    sh_span text;
    int code = abi_check_node(node, "shoal_lookup_all");
    if (code == 0 && flags & ~(uint32_t)SHOAL_FOLLOW) {
        code = abi_fail(node, SHOAL_E_BAD_VALUE, "shoal_lookup_all: unknown flags %#x", flags);
    }
    if (code < 0 || (code = abi_registry_name(node, name, &text)) < 0 ||
        (code = asked_init(node, done, ud, &a)) < 0) {
        return code;
    }
    int64_t id = sh_node_lookup_all(a.core, abi_token(node), text, (flags & SHOAL_FOLLOW) != 0,
                                    (uint64_t)timeout_ms * 1000, a.now_us,
                                    a.call ? abi_call_item : NULL, a.call);
    return abi_call_begun(node, a.call, id);
}

/* The peer id comes as plain text; public values are MessagePack. */
static void dial_done(void *ud, const struct sh_result *result)
{
    struct sh_result out = result ? *result : (struct sh_result){0};
    unsigned char room[SH_PEER_ID_TEXT_MAX + 8];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    if (out.code == 0) {
        shoal_put_text(&p, (const char *)out.value.p, out.value.n);
        out.value = abi_bytes_in(shoal_packed(&p));
    }
    abi_call_done(ud, &out);
    shoal_pack_free(&p);
}

int64_t shoal_dial(shoal_node *node, const char *multiaddr, shoal_fn done, void *ud)
{
    struct asked a;
    struct sh_endpoint endpoint;
    sh_addr addr;
    int code = abi_check_node(node, "shoal_dial");
    if (code == 0 && (!multiaddr || sh_addr_parse(&addr, multiaddr, strlen(multiaddr)) < 0)) {
        code = abi_fail(node, SHOAL_E_BAD_ADDRESS,
                        "shoal_dial: \"%s\" is not a multiaddr such as /ip4/127.0.0.1/tcp/4001",
                        multiaddr ? multiaddr : "");
    }
    if (code == 0 && (code = sh_addr_endpoint(&addr, &endpoint)) < 0) {
        code = abi_fail(node, code, "shoal_dial: \"%s\" %s", multiaddr,
                        code == SH_E_UNSUPPORTED
                            ? "needs a transport that is not built in (this build: tcp)"
                            : "cannot be dialled");
    }
    if (code < 0 || (code = asked_init(node, done, ud, &a)) < 0) {
        return code;
    }
    int64_t id = sh_node_dial(a.core, abi_token(node), sh_span_str(multiaddr), 0, a.now_us,
                              a.call ? dial_done : NULL, a.call);
    return abi_call_begun(node, a.call, id);
}

struct peer_job {
    const sh_peer_id *id;
    sh_pid pid;
    int code;
};

static void peer_inside(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct peer_job *job = ud;
    job->code = sh_node_peer_pid(n, job->id, &job->pid);
}

/* Another node answers `info` itself, if we are its admin. */
static int64_t info_ask(shoal_node *node, const sh_peer_id *peer, const char *what,
                        const struct asked *a)
{
    struct peer_job job = {.id = peer};
    unsigned char room[32];
    shoal_pack p;
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_text(&p, what, strlen(what));
    int64_t id = abi_inside(node, peer_inside, &job);
    if (id == 0) {
        id = job.code;
    }
    if (id == 0) {
        id = sh_runtime_ask(node->rt, abi_token(node), job.pid, sh_span_str("info"),
                            abi_bytes_in(shoal_packed(&p)), a->now_us + node->ask_timeout_us, a->fn,
                            a->call);
    }
    shoal_pack_free(&p);
    return id;
}

int64_t shoal_info(shoal_node *node, const char *what, const char *peer, shoal_fn done, void *ud)
{
    static const char *const kinds[] = {"actors", "peers", "names", "routing"};
    struct asked a;
    sh_peer_id id;
    int code = abi_check_node(node, "shoal_info");
    size_t i = 0;
    while (code == 0 && i < 4 && (!what || strcmp(what, kinds[i]) != 0)) {
        i++;
    }
    if (code == 0 && i == 4) {
        code = abi_fail(node, SHOAL_E_BAD_VALUE,
                        "shoal_info: \"%s\": expected actors, peers, names or routing",
                        what ? what : "");
    }
    if (code == 0 && peer && sh_peer_id_parse(&id, sh_span_str(peer)) < 0) {
        code = abi_fail(node, SHOAL_E_BAD_VALUE, "shoal_info: \"%s\" is not a peer id", peer);
    }
    if (code < 0 || (code = asked_init(node, done, ud, &a)) < 0) {
        return code;
    }
    int64_t call =
        peer ? info_ask(node, &id, what, &a)
             : sh_node_info(a.core, abi_token(node), sh_span_str(what), a.now_us, a.fn, a.call);
    return abi_call_begun(node, a.call, call);
}
