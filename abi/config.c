/* abi/config.c - a node's options: their defaults, what is wrong with them, and their form in core. */
#include <inttypes.h>
#include <string.h>

#include "internal.h"
#include "base/sh_limits.h"
#include "crypto/secret.h"
#include "io/keyfile.h"

void shoal_node_config_init(shoal_node_config *cfg, size_t struct_size)
{
    shoal_node_config c = {
        .mailbox = SH_MAILBOX_DEFAULT,
        .ask_timeout_ms = SH_ASK_TIMEOUT_MS,
        .stop_timeout_ms = SH_STOP_TIMEOUT_MS,
        .peer_timeout_ms = SH_PEER_TIMEOUT_MS,
        .max_message = SH_MESSAGE_MAX,
        .max_peers = SH_PEERS_CONNECTED_MAX,
        .max_actors = SH_ACTORS_MAX,
        .max_asks = SH_ASKS_MAX,
        .spin_us = 20,
        .log_level = SHOAL_LOG_WARN,
    };
    if (!cfg || struct_size < sizeof c.struct_size) {
        return;
    }
    size_t n = struct_size < sizeof c ? struct_size : sizeof c;
    memset(cfg, 0, struct_size);
    c.struct_size = (uint32_t)struct_size;
    memcpy(cfg, &c, n);
}

int abi_options_read(struct abi_options *o, const shoal_node_config *given)
{
    memset(o, 0, sizeof *o);
    shoal_node_config *out = &o->c;
    shoal_node_config_init(out, sizeof *out);
    if (!given) {
        return 0;
    }
    uint32_t size = given->struct_size;
    if (size < offsetof(shoal_node_config, listen) || size > 65536) {
        return abi_fail(NULL, SHOAL_E_USAGE,
                        "node config: struct_size is %" PRIu32
                        ": call shoal_node_config_init(&cfg, sizeof cfg) first",
                        size);
    }
    memcpy(out, given, size < sizeof *out ? size : sizeof *out);
    return 0;
}

static int option_peers(struct abi_options *o, const sh_mem *mem)
{
    size_t count = o->c.allow_count + o->c.admin_count;
    if (count == 0) {
        return 0;
    }
    o->peers = sh_mem_array(mem, count, sizeof *o->peers);
    if (!o->peers) {
        return (int)abi_code(NULL, SH_E_NOMEM);
    }
    o->peer_count = count;
    for (size_t i = 0; i < count; i++) {
        bool admin = i >= o->c.allow_count;
        const char *text = admin ? o->c.admin[i - o->c.allow_count] : o->c.allow[i];
        if (admin && text && strcmp(text, "all") == 0) {
            continue;
        }
        if (!text || sh_peer_id_parse(&o->peers[i], sh_span_str(text)) < 0) {
            return abi_fail(NULL, SHOAL_E_BAD_VALUE, "%s: \"%s\" is not a peer id",
                            admin ? "admin" : "allow", text ? text : "");
        }
    }
    return 0;
}

static bool option_admin_all(const struct abi_options *o)
{
    for (size_t i = 0; i < o->c.admin_count; i++) {
        if (strcmp(o->c.admin[i], "all") == 0) {
            return true;
        }
    }
    return false;
}

static int option_addresses(const char *what, const char *const *list, size_t count)
{
    sh_addr addr;
    struct sh_endpoint endpoint;
    for (size_t i = 0; i < count; i++) {
        int code = list[i] ? sh_addr_parse(&addr, list[i], strlen(list[i])) : SH_E_BAD_ADDRESS;
        if (code == 0 && strcmp(what, "announce") != 0) {
            code = sh_addr_endpoint(&addr, &endpoint);
        }
        if (code == SH_E_UNSUPPORTED) {
            return abi_fail(NULL, code,
                            "%s: \"%s\" needs a transport that is not built in (this build: tcp)",
                            what, list[i]);
        }
        if (code < 0) {
            return abi_fail(NULL, SHOAL_E_BAD_ADDRESS,
                            "%s: \"%s\" is not a multiaddr such as /ip4/127.0.0.1/tcp/4001", what,
                            list[i] ? list[i] : "");
        }
    }
    return 0;
}

static int option_range(const char *what, uint64_t value, uint64_t least, uint64_t most)
{
    if (value >= least && value <= most) {
        return 0;
    }
    return abi_fail(NULL, SHOAL_E_BAD_VALUE, "%s is %" PRIu64 ": expected %" PRIu64 "..%" PRIu64,
                    what, value, least, most);
}

static int option_values(const shoal_node_config *c)
{
    int code = option_range("threads", c->threads, 0, UINT32_MAX);
    if (code == 0 && c->threads > 1) {
        code = abi_fail(NULL, SHOAL_E_UNSUPPORTED,
                        "threads is %" PRIu32 ": this build knows 0 and 1", c->threads);
    }
    struct {
        const char *what;
        uint64_t value, least, most;
    } ranges[] = {
        {"dht", (uint64_t)c->dht, SHOAL_DHT_AUTO, SHOAL_DHT_OFF},
        {"ask_timeout_ms", c->ask_timeout_ms, 1, UINT32_MAX},
        {"stop_timeout_ms", c->stop_timeout_ms, 1, UINT32_MAX},
        {"peer_timeout_ms", c->peer_timeout_ms, 200, UINT32_MAX},
        {"max_message", c->max_message, SH_NODE_MESSAGE_MIN, SH_NODE_MESSAGE_LIMIT},
        {"max_peers", c->max_peers, 1, SH_PEERS_TABLE_MAX - 1},
        {"max_actors", c->max_actors, 1, SH_SLAB_COUNT_MAX},
        {"max_asks", c->max_asks, 1, SH_SLAB_COUNT_MAX},
        {"log_level", (uint64_t)c->log_level, SHOAL_LOG_OFF, SHOAL_LOG_DEBUG},
    };
    for (size_t i = 0; code == 0 && i < sizeof ranges / sizeof *ranges; i++) {
        code = option_range(ranges[i].what, ranges[i].value, ranges[i].least, ranges[i].most);
    }
    if (code == 0) {
        code = option_addresses("listen", c->listen, c->listen_count);
    }
    if (code == 0) {
        code = option_addresses("announce", c->announce, c->announce_count);
    }
    return code == 0 ? option_addresses("dial", c->dial, c->dial_count) : code;
}

static int option_key(struct abi_options *o)
{
    const char *why = "";
    if (!o->c.key) {
        return 0;
    }
    sh_rng rng = sh_system_rng();
    o->key_len = sh_keyfile_load(o->c.key, &rng, o->key, &why);
    if (o->key_len >= 0) {
        return 0;
    }
    return abi_fail(NULL, o->key_len == SH_E_NOMEM ? SHOAL_E_LIMIT : SHOAL_E_REFUSED,
                    "key \"%s\": %s", o->c.key, why);
}

int abi_options_check(struct abi_options *o, const sh_mem *mem)
{
    int code = option_values(&o->c);
    if (code == 0) {
        code = option_peers(o, mem);
    }
    return code == 0 ? option_key(o) : code;
}

void abi_options_core(const struct abi_options *o, shoal_node *node, struct sh_io_config *out)
{
    const shoal_node_config *c = &o->c;
    sh_io_config_init(out);
    out->spin_us = c->spin_us;
    struct sh_node_config *n = &out->node;
    n->mem = &node->mem;
    n->key = sh_span_of(o->key, (size_t)(o->key_len > 0 ? o->key_len : 0));
    n->agent = "shoal/" SHOAL_BUILD_VERSION;
    n->listen = c->listen;
    n->listen_count = c->listen_count;
    n->announce = c->announce;
    n->announce_count = c->announce_count;
    n->dial = c->dial;
    n->dial_count = c->dial_count;
    n->allow = o->peers;
    n->allow_count = c->allow_count;
    n->admin_all = option_admin_all(o);
    n->admin = n->admin_all ? NULL : o->peers + c->allow_count;
    n->admin_count = n->admin_all ? 0 : c->admin_count;
    n->dht = (enum sh_node_dht)c->dht;
    n->threads = c->threads;
    n->mailbox = c->mailbox;
    n->ask_timeout_us = (uint64_t)c->ask_timeout_ms * 1000;
    n->stop_timeout_us = (uint64_t)c->stop_timeout_ms * 1000;
    n->peer_timeout_us = (uint64_t)c->peer_timeout_ms * 1000;
    n->max_message = c->max_message;
    n->max_peers = c->max_peers;
    n->max_actors = c->max_actors;
    n->max_asks = c->max_asks;
}

void abi_options_fini(struct abi_options *o, const sh_mem *mem)
{
    sh_wipe(o->key, sizeof o->key);
    sh_mem_free(mem, o->peers, o->peer_count * sizeof *o->peers);
}
