/* keygen_cmd.c - shoal keygen FILE: a new identity, mode 0600, never over an old one.
 *
 * The library makes a key where there is none; here it makes it in a folder of our own beside FILE,
 * and link(2) gives it its name: that fails if the name exists, whoever was faster. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static int keygen_say(const struct cli *cli, shoal_node *node)
{
    char id[128];
    int code = shoal_peer_id(node, id, sizeof id);
    if (code < 0) {
        return output_last(cli, node, code);
    }
    printf(cli->json ? "{\"peer_id\": \"%s\"}\n" : "%s\n", id);
    return CLI_DONE;
}

static int keygen_refuse(const struct cli *cli, const char *path, const char *why)
{
    char text[PATH_MAX + 128];
    snprintf(text, sizeof text, "%s: %s", path, why);
    return output_error(cli, SHOAL_E_REFUSED, SHOAL_NOT_SENT, text);
}

/* made: a path for the new key, on the file system of the wanted one. */
static int keygen_make(const struct cli *cli, const char *made)
{
    const char *path = cli->args.at[0];
    shoal_node_config cfg;
    shoal_node *node;
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.key = made;
    cfg.dht = SHOAL_DHT_OFF;
    int code = shoal_node_new(&cfg, &node);
    if (code < 0) {
        return output_last(cli, NULL, code);
    }
    int status = CLI_DONE;
    if (link(made, path) < 0) {
        status = keygen_refuse(cli, path,
                               errno == EEXIST ? "exists, and is left as it is" : strerror(errno));
    } else {
        status = keygen_say(cli, node);
    }
    shoal_node_free(node);
    return status;
}

int keygen_run(const struct cli *cli)
{
    const char *path = cli->args.at[0];
    char folder[PATH_MAX], made[PATH_MAX + 8];
    if (access(path, F_OK) == 0) { /* the usual case needs no new key */
        return keygen_refuse(cli, path, "exists, and is left as it is");
    }
    int n = snprintf(folder, sizeof folder, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof folder || !mkdtemp(folder)) {
        return keygen_refuse(cli, path, strerror(errno ? errno : ENAMETOOLONG));
    }
    snprintf(made, sizeof made, "%s/key", folder);
    int status = keygen_make(cli, made);
    unlink(made);
    rmdir(folder);
    return status;
}
