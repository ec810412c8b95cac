/* node_cmd.c - shoal node: a node that runs until SIGINT or SIGTERM and says what happens to it.
 *
 * The first lines are its addresses. A second signal while it stops makes it stop at once. */
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct host {
    const struct cli *cli;
    shoal_node *node; /* NULL while it is being made */
};

/* A line {"event": name, key: value...}, or `name key=value...`. */
static void event_line(const struct host *h, const char *event, shoal_bytes info)
{
    shoal_bytes rest = info, key, item, text;
    enum json_style style = h->cli->json ? JSON_EXACT : JSON_PEOPLE;
    printf(h->cli->json ? "{\"event\": \"%s\"" : "%s", event);
    while (shoal_next(&rest, &key, &item) == 1) {
        if (shoal_as_text(key, &text) < 0) {
            continue;
        }
        printf(h->cli->json ? ", \"%.*s\": " : " %.*s=", (int)text.len, (const char *)text.data);
        json_write(stdout, h->node, item, style);
    }
    puts(h->cli->json ? "}" : "");
    fflush(stdout);
}

/* What it listens on was said first, by say_listening. */
static void on_event(void *ud, const char *event, shoal_bytes info)
{
    const struct host *h = ud;
    if (h->node && strcmp(event, "listening") != 0) {
        event_line(h, event, info);
    }
}

static void say_one(const struct host *h, const char *address, const char *peer_id)
{
    const char *quote = address ? "\"" : "";
    if (h->cli->json) {
        printf("{\"event\": \"listening\", \"address\": %s%s%s, \"peer_id\": \"%s\"}\n", quote,
               address ? address : "null", quote, peer_id);
    } else {
        printf("%s %s\n", address ? "listening" : "not listening, peer id",
               address ? address : peer_id);
    }
}

/* One line an address; a node that does not listen says so, as its first line is waited for too. */
static void say_listening(const struct host *h)
{
    char address[512], peer_id[128];
    size_t n = 0;
    shoal_peer_id(h->node, peer_id, sizeof peer_id);
    while (shoal_address(h->node, n, address, sizeof address) > 0) {
        say_one(h, address, peer_id);
        n++;
    }
    if (n == 0) {
        say_one(h, NULL, peer_id);
    }
    fflush(stdout);
}

static uint32_t stop_ms(const struct cli *cli)
{
    return cli->timeout_s > 0 ? (uint32_t)(cli->timeout_s * 1000 + 0.999) : 0;
}

/* The first signal stops the node gracefully, the second at once. */
static int stop_begin(const struct host *h, bool again, shoal_result **stopped)
{
    if (again) {
        shoal_node_stop(h->node, 1, NULL, NULL);
        return 0;
    }
    int64_t call = shoal_node_stop(h->node, stop_ms(h->cli), shoal_keep, stopped);
    return call < 0 ? (int)call : 0;
}

/* Until the node has stopped. */
static int serve(const struct host *h, int signals)
{
    shoal_result *stopped = NULL;
    bool stopping = false;
    int code = 0;
    while (code >= 0 && !stopped) {
        if (signals_wait(signals, shoal_fd(h->node), shoal_next_timeout_ms(h->node))) {
            code = stop_begin(h, stopping, &stopped);
            stopping = true;
        }
        if (code >= 0) {
            code = shoal_poll(h->node, 0, 0);
        }
    }
    if (stopped && stopped->code < 0) {
        fprintf(stderr, "shoal node: not all was done in time: %s\n", stopped->text);
    }
    shoal_result_free(stopped);
    return code < 0 ? output_last(h->cli, h->node, code) : CLI_DONE;
}

static int serve_plain(const struct cli *cli)
{
    struct host h = {cli, NULL};
    shoal_node_config cfg;
    shoal_node *node;
    int signals = signals_open();
    if (signals < 0) {
        return output_error(cli, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "no descriptor for signals");
    }
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.listen = cli->listen.at;
    cfg.listen_count = cli->listen.count;
    cfg.dial = cli->dial.at;
    cfg.dial_count = cli->dial.count;
    cfg.admin = cli->admin.at;
    cfg.admin_count = cli->admin.count;
    cfg.key = cli->key;
    cfg.on_event = on_event;
    cfg.event_ud = &h;
    int code = shoal_node_new(&cfg, &node);
    if (code < 0) {
        close(signals);
        return output_last(cli, NULL, code);
    }
    h.node = node;
    say_listening(&h);
    int status = serve(&h, signals);
    shoal_node_free(node);
    close(signals);
    return status;
}

int node_run(const struct cli *cli)
{
    const char *script = cli->args.count ? cli->args.at[0] : NULL;
    const char *dot = script ? strrchr(script, '.') : NULL;
    bool lua = dot && strcmp(dot, ".lua") == 0, python = dot && strcmp(dot, ".py") == 0;
    if (!script) {
        return serve_plain(cli);
    }
    if (!lua && !python) {
        return cli_usage(cli->command, "\"%s\" ends in neither .lua nor .py", script);
    }
    if (access(script, R_OK) < 0) {
        return cli_usage(cli->command, "\"%s\" cannot be read", script);
    }
    return lua ? script_lua_run(cli, script) : script_python_run(cli, script);
}
