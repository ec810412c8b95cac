/* node/config.c - defaults of the API page, and what is wrong with a config. */
#include "node/config.h"

#include "base/sh_limits.h"
#include "proto/addr.h"

void sh_node_config_init(struct sh_node_config *cfg)
{
    *cfg = (struct sh_node_config){
        .log = {.level = SH_LOG_WARN},
        .agent = "shoal/0.1.0",
        .dht = SH_NODE_DHT_AUTO,
        .mailbox = SH_MAILBOX_DEFAULT,
        .ask_timeout_us = SH_ASK_TIMEOUT_MS * 1000u,
        .stop_timeout_us = SH_STOP_TIMEOUT_MS * 1000u,
        .peer_timeout_us = SH_PEER_TIMEOUT_MS * 1000u,
        .closed_grace_us = SH_CLOSED_GRACE_MS * 1000u,
        .max_message = SH_MESSAGE_MAX,
        .max_peers = SH_PEERS_CONNECTED_MAX,
        .max_actors = SH_ACTORS_MAX,
        .max_asks = SH_ASKS_MAX,
        .quota_bytes = SH_NODE_QUOTA_BYTES,
    };
}

static int config_fail(const char **why, int code, const char *text)
{
    *why = text;
    return code;
}

static bool config_addresses(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sh_addr addr;
        if (!texts[i] || sh_addr_parse(&addr, texts[i], strlen(texts[i])) < 0) {
            return false;
        }
    }
    return true;
}

int sh_node_config_check(const struct sh_node_config *cfg, const char **why)
{
    if (!cfg->wake) {
        return config_fail(why, SH_E_USAGE, "no driver");
    }
    if (cfg->threads > 1) {
        return config_fail(why, SH_E_UNSUPPORTED, "threads: 0 or 1");
    }
    if (!config_addresses(cfg->listen, cfg->listen_count)) {
        return config_fail(why, SH_E_BAD_ADDRESS, "listen: not a multiaddr");
    }
    if (!config_addresses(cfg->announce, cfg->announce_count)) {
        return config_fail(why, SH_E_BAD_ADDRESS, "announce: not a multiaddr");
    }
    if (!config_addresses(cfg->dial, cfg->dial_count)) {
        return config_fail(why, SH_E_BAD_ADDRESS, "dial: not a multiaddr");
    }
    if (cfg->max_actors == 0 || cfg->max_actors > SH_SLAB_COUNT_MAX) {
        return config_fail(why, SH_E_USAGE, "max_actors: 1 .. 2^24");
    }
    if (cfg->max_asks == 0 || cfg->max_asks > SH_SLAB_COUNT_MAX) {
        return config_fail(why, SH_E_USAGE, "max_asks: 1 .. 2^24");
    }
    if (cfg->max_message < SH_NODE_MESSAGE_MIN || cfg->max_message > SH_NODE_MESSAGE_LIMIT) {
        return config_fail(why, SH_E_USAGE, "max_message: 1 KiB .. 1 GiB");
    }
    if (cfg->max_peers == 0 || cfg->max_peers >= SH_PEERS_TABLE_MAX) {
        return config_fail(why, SH_E_USAGE, "max_peers: 1 .. 65535");
    }
    if (cfg->ask_timeout_us == 0 || cfg->peer_timeout_us == 0) {
        return config_fail(why, SH_E_USAGE, "timeouts are more than 0");
    }
    return 0;
}
