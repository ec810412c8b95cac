/* abi/node.c - a node: its birth and end, its addresses, and driving it. */
#include <inttypes.h>
#include <string.h>

#include "internal.h"
#include "base/sh_limits.h"
#include "crypto/secret.h"
#include "io/keyfile.h"

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

/* --- birth and end --- */

static int node_start(shoal_node *node, struct abi_options *o, abi_drive_fn *drive, void *ud)
{
    char why[SH_IO_WHY_MAX] = "";
    int code = abi_options_check(o, &node->mem);
    if (code < 0) {
        return code;
    }
    struct sh_io_config cfg;
    abi_options_core(o, node, &cfg);
    cfg.node.log = (sh_log){.write = log_write, .ud = node, .level = o->c.log_level - 1};
    cfg.node.on_event = o->c.on_event ? abi_event : NULL;
    cfg.node.on_event_ud = node;
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
    struct abi_options o;
    if (!out) {
        return abi_fail(NULL, SHOAL_E_USAGE, "new node: node must not be NULL");
    }
    *out = NULL;
    int code = abi_options_read(&o, cfg);
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
    abi_options_fini(&o, &mem);
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
