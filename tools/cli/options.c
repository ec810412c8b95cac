/* options.c - the command line: options and arguments in any order, `--name VALUE` or `--name=VALUE`.
 *
 * A number such as -5 is an argument, and so is everything behind `--`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { TIMEOUT_MAX_S = 4000000 }; /* in milliseconds it still fits 32 bits */

static const struct command *command_of(const char *name)
{
    for (const struct command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != 0 && !strchr("0123456789.", text[1]);
}

static void texts_add(struct texts *texts, const char *text)
{
    texts->at[texts->count++] = text;
}

static int timeout_parse(struct cli *cli, const char *text)
{
    char *end;
    double s = strtod(text, &end);
    if (end == text || *end || !isfinite(s) || s < 0 || s > TIMEOUT_MAX_S) {
        return cli_usage(cli->command, "--timeout \"%s\": expected seconds, 0..%d", text,
                         TIMEOUT_MAX_S);
    }
    cli->timeout_s = s;
    return CLI_DONE;
}

/* An option that has a value. */
static int value_option(struct cli *cli, const char *name, size_t len, const char *value)
{
    struct {
        const char *name;
        struct texts *texts;
    } lists[] = {{"--dial", &cli->dial}, {"--listen", &cli->listen}, {"--admin", &cli->admin}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (strlen(lists[i].name) == len && strncmp(name, lists[i].name, len) == 0) {
            texts_add(lists[i].texts, value);
            return CLI_DONE;
        }
    }
    if (len == strlen("--key")) {
        cli->key = value;
        return CLI_DONE;
    }
    return timeout_parse(cli, value);
}

/* Whether an option takes a value: 1, 0, or -1 if there is no such option here. */
static int option_kind(const struct cli *cli, const char *name, size_t len)
{
    static const struct {
        const char *name;
        bool value, serves;
    } known[] = {
        {"--dial", true, false},  {"--key", true, false},   {"--timeout", true, false},
        {"--json", false, false}, {"--help", false, false}, {"-h", false, false},
        {"--listen", true, true}, {"--admin", true, true},  {"--version", false, false},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) == len && strncmp(name, known[i].name, len) == 0) {
            bool here = !known[i].serves || (cli->command && cli->command->serves);
            return here ? known[i].value : -1;
        }
    }
    return -1;
}

/* One option at argv[*i], which may take the next word too. */
static int option_parse(struct cli *cli, int argc, char **argv, int *i)
{
    const char *name = argv[*i], *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    int kind = option_kind(cli, name, len);
    if (kind < 0) {
        return cli_usage(cli->command, "there is no option %.*s here", (int)len, name);
    }
    if (kind == 1) {
        const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
        return value && *value ? value_option(cli, name, len, value)
                               : cli_usage(cli->command, "%.*s needs a value", (int)len, name);
    }
    if (equals) {
        return cli_usage(cli->command, "%.*s takes no value", (int)len, name);
    }
    cli->json = cli->json || strcmp(name, "--json") == 0;
    cli->version = cli->version || strcmp(name, "--version") == 0;
    cli->help = cli->help || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    return CLI_DONE;
}

/* The command comes first in what it allows: it is looked for before the options are judged. */
static int command_find(struct cli *cli, int argc, char **argv)
{
    if (argc < 2 || is_option(argv[1])) {
        return 1;
    }
    cli->command = command_of(argv[1]);
    return cli->command ? 2 : -1;
}

int options_parse(struct cli *cli, int argc, char **argv)
{
    *cli = (struct cli){.timeout_s = -1};
    struct texts *lists[] = {&cli->args, &cli->listen, &cli->dial, &cli->admin};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        lists[i]->at = calloc((size_t)argc + 1, sizeof *lists[i]->at);
        if (!lists[i]->at) {
            fprintf(stderr, "shoal: no memory\n");
            return CLI_FAILED;
        }
    }
    int i = command_find(cli, argc, argv);
    if (i < 0) {
        return cli_usage(NULL, "there is no command \"%s\"", argv[1]);
    }
    bool options = true;
    for (; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && is_option(argv[i])) {
            int status = option_parse(cli, argc, argv, &i);
            if (status != CLI_DONE) {
                return status;
            }
        } else if (!cli->command) {
            return cli_usage(NULL, "\"%s\": the command comes first", argv[i]);
        } else {
            texts_add(&cli->args, argv[i]);
        }
    }
    if (!cli->command && argc > 1 && !cli->help && !cli->version) {
        return cli_usage(NULL, "a command is missing");
    }
    return CLI_DONE;
}

void options_free(struct cli *cli)
{
    free(cli->args.at);
    free(cli->listen.at);
    free(cli->dial.at);
    free(cli->admin.at);
}
