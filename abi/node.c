/* abi/node.c - a node's options, birth, life and end. */
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

static int config_read(const shoal_node_config *given, shoal_node_config *out)
{
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

/* --- the log: to the user's function, or a line on stderr --- */

static void log_write(void *ud, int level, const char *text, size_t n)
{
    shoal_node *node = ud;
    if (node->on_log) {
        node->on_log(node->log_ud, level + 1, text);
        return;
    }
    sh_stderr_line(level, text, n);
}

/* --- options in core's form --- */

struct options {
    shoal_node_config c;
    sh_peer_id *peers; /* allow, then admin */
    size_t peer_count;
    uint8_t key[SH_KEYFILE_MAX];
    int key_len;
};

static int option_peers(struct options *o, const sh_mem *mem)
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

static bool option_admin_all(const struct options *o)
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

static int option_check(const shoal_node_config *c)
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

static int option_key(struct options *o)
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

static void options_core(const struct options *o, shoal_node *node, struct sh_io_config *out)
{
    const shoal_node_config *c = &o->c;
    sh_io_config_init(out);
    out->spin_us = c->spin_us;
    struct sh_node_config *n = &out->node;
    n->mem = &node->mem;
    n->log = (sh_log){.write = log_write, .ud = node, .level = c->log_level - 1};
    n->on_event = c->on_event ? abi_event : NULL;
    n->on_event_ud = node;
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

/* --- birth and end --- */

static int node_start(shoal_node *node, struct options *o, abi_drive_fn *drive, void *ud)
{
    char why[SH_IO_WHY_MAX] = "";
    int code = option_check(&o->c);
    if (code == 0) {
        code = option_peers(o, &node->mem);
    }
    if (code == 0) {
        code = option_key(o);
    }
    if (code < 0) {
        return code;
    }
    struct sh_io_config cfg;
    options_core(o, node, &cfg);
    code = drive(node, ud, &cfg, why);
    if (code < 0) {
        int public_code = (int)abi_code(NULL, code);
        return abi_fail(NULL, public_code, "node: %s", *why ? why : shoal_strerror(public_code));
    }
    sh_peer_id_text(sh_node_peer_id(node->core), node->peer_id);
    return 0;
}

int abi_node_make(const shoal_node_config *cfg, abi_drive_fn *drive, void *ud, shoal_node **out)
{
    struct options o;
    memset(&o, 0, sizeof o);
    if (!out) {
        return abi_fail(NULL, SHOAL_E_USAGE, "new node: node must not be NULL");
    }
    *out = NULL;
    int code = config_read(cfg, &o.c);
    if (code < 0) {
        return code;
    }
    sh_mem mem = o.c.resize ? (sh_mem){o.c.resize, o.c.memory_ud} : *sh_mem_system();
    shoal_node *node = sh_mem_zalloc(&mem, sizeof *node);
    if (!node) {
        return (int)abi_code(NULL, SH_E_NOMEM);
    }
    node->mem = mem;
    node->max_message = o.c.max_message;
    node->ask_timeout_us = (uint64_t)o.c.ask_timeout_ms * 1000;
    node->on_event = o.c.on_event;
    node->event_ud = o.c.event_ud;
    node->on_log = o.c.on_log;
    node->log_ud = o.c.log_ud;
    atomic_flag_clear(&node->spare_busy);
    code = node_start(node, &o, drive, ud);
    sh_wipe(o.key, sizeof o.key);
    sh_mem_free(&mem, o.peers, o.peer_count * sizeof *o.peers);
    if (code < 0) {
        sh_mem_free(&mem, node, sizeof *node);
        return code;
    }
    *out = node;
    return 0;
}

int shoal_node_new(const shoal_node_config *cfg, shoal_node **out)
{
    return abi_node_make(cfg, abi_drive_io, NULL, out);
}

void shoal_node_free(shoal_node *node)
{
    if (!node) {
        return;
    }
    node->ops->free(node->driver);
    abi_types_fini(node);
    abi_call_fini(node);
    sh_mem mem = node->mem;
    sh_mem_free(&mem, node, sizeof *node);
}

/* A graceful stop that had to drop something ends at its deadline. */
int64_t shoal_node_stop(shoal_node *node, uint32_t timeout_ms, shoal_fn done, void *ud)
{
    struct abi_call *call;
    int code = abi_check_node(node, "shoal_node_stop");
    if (code < 0 || (code = abi_call_room(node, done, ud, &call)) < 0) {
        return code;
    }
    uint64_t timeout_us = (uint64_t)timeout_ms * 1000;
    if (atomic_exchange(&node->stopping, true)) {
        timeout_us = 1;
    }
    int64_t id = sh_node_stop(node->core, abi_token(node), timeout_us, abi_now_us(node),
                              call ? abi_call_done : NULL, call);
    return abi_call_begun(node, call, id);
}

/* --- addresses --- */

int shoal_listen(shoal_node *node, const char *multiaddr)
{
    char why[SH_IO_WHY_MAX] = "";
    int code = abi_check_node(node, "shoal_listen");
    if (code < 0) {
        return code;
    }
    sh_addr addr;
    if (!multiaddr || sh_addr_parse(&addr, multiaddr, strlen(multiaddr)) < 0) {
        return abi_fail(node, SHOAL_E_BAD_ADDRESS,
                        "shoal_listen: \"%s\" is not a multiaddr such as /ip4/127.0.0.1/tcp/0",
                        multiaddr ? multiaddr : "");
    }
    code = (int)abi_code(node, node->ops->listen(node->driver, multiaddr, why));
    if (code < 0) {
        return abi_fail(node, code, "shoal_listen: \"%s\": %s", multiaddr,
                        *why ? why : shoal_strerror(code));
    }
    return 0;
}

static int text_out(const shoal_node *node, const char *what, const char *text, char *buf,
                    size_t cap)
{
    size_t n = strlen(text);
    if (!buf || n >= cap) {
        return abi_fail(node, SHOAL_E_LIMIT, "%s: needs %zu bytes, was given %zu", what, n + 1,
                        cap);
    }
    memcpy(buf, text, n + 1);
    return (int)n;
}

int shoal_peer_id(shoal_node *node, char *buf, size_t cap)
{
    if (!node) {
        return abi_fail(NULL, SHOAL_E_USAGE, "shoal_peer_id: node must not be NULL");
    }
    return text_out(node, "shoal_peer_id", node->peer_id, buf, cap);
}

int shoal_address(shoal_node *node, size_t index, char *buf, size_t cap)
{
    if (!node || !buf) {
        return abi_fail(node, SHOAL_E_USAGE, "shoal_address: node and buf must not be NULL");
    }
    int code = abi_check_node(node, "shoal_address");
    return code < 0 ? code : (int)abi_code(node, node->ops->address(node->driver, index, buf, cap));
}

/* --- driving --- */

int shoal_poll(shoal_node *node, int64_t budget_us, int64_t wait_ms)
{
    struct sh_io_work work = {0};
    int code = abi_check_node(node, "shoal_poll");
    if (code < 0) {
        return code;
    }
    code = node->ops->poll(node->driver, budget_us > 0 ? (uint64_t)budget_us : 0,
                           wait_ms < 0 ? -1 : wait_ms, &work);
    if (code == SH_E_USAGE) {
        return abi_fail(node, code,
                        "shoal_poll: called inside a handler, or while another thread polls");
    }
    return code < 0 ? (int)abi_code(node, code) : (int)work.handled;
}

size_t shoal_backlog(shoal_node *node)
{
    return node && !node->ended ? node->ops->backlog(node->driver) : 0;
}

int shoal_fd(shoal_node *node)
{
    int code = abi_check_node(node, "shoal_fd");
    if (code == 0 && (code = node->ops->fd(node->driver)) == SH_E_UNSUPPORTED) {
        return abi_fail(node, code, "shoal_fd: a simulated node has no descriptor");
    }
    return code;
}

int64_t shoal_next_timeout_ms(shoal_node *node)
{
    return node && !node->ended ? node->ops->next_timeout_ms(node->driver) : -1;
}

void shoal_wake(shoal_node *node)
{
    if (node && !node->ended) {
        node->ops->wake(node->driver);
    }
}

uint64_t shoal_clock_us(shoal_node *node)
{
    return node && !node->ended ? abi_now_us(node) : 0;
}
