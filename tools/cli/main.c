/* main.c - the shoal command: keys, nodes and messages from the shell. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"

const struct command cli_commands[] = {
    {"keygen", "FILE", "make a key and print its peer id", keygen_run, 1, 1, false},
    {"node", "[script.lua | script.py]", "run a node until SIGINT or SIGTERM", node_run, 0, 1,
     true},
    {"lookup", "NAME", "print the ref of a live actor of that name", lookup_run, 1, 1, false},
    {"ask", "NAME|REF MESSAGE [JSON]", "ask an actor and print its reply", ask_run, 2, 3, false},
    {"tell", "NAME|REF MESSAGE [JSON]", "tell an actor; done when it is in its mailbox", tell_run,
     2, 3, false},
    {"ps", "", "list the actors of the dialled node, which must list us as admin", ps_run, 0, 0,
     false},
    {0},
};

static void usage_line(FILE *out, const struct command *c)
{
    if (!c) {
        fprintf(out, "usage: shoal COMMAND [OPTIONS]   (shoal --help lists the commands)\n");
        return;
    }
    fprintf(out, "usage: shoal %s%s%s%s [--dial A]... [--key FILE] [--timeout SECONDS] [--json]\n",
            c->name, c->serves ? " [--listen A]... [--admin P]..." : "", c->args[0] ? " " : "",
            c->args);
}

int cli_usage(const struct command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "shoal%s%s: ", command ? " " : "", command ? command->name : "");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    usage_line(stderr, command);
    return CLI_USAGE;
}

static int help_all(void)
{
    printf("shoal %s - distributed actors\n\nusage: shoal COMMAND [OPTIONS]\n\n",
           shoal_version_string());
    for (const struct command *c = cli_commands; c->name; c++) {
        printf("  %-7s %-25s %s\n", c->name, c->args, c->what);
    }
    printf("\noptions of every command\n"
           "  --dial ADDRESS       connect to this multiaddr (repeatable)\n"
           "  --key FILE           identity of this node (created if absent, mode 0600)\n"
           "  --timeout SECONDS    how long it may take (5; lookup: 0 is one pass; node: its "
           "graceful stop)\n"
           "  --json               one JSON object a line\n"
           "options of node\n"
           "  --listen ADDRESS     listen on this multiaddr, such as /ip4/127.0.0.1/tcp/0 "
           "(repeatable)\n"
           "  --admin PEER         peer id, or \"all\", that may list and stop its actors "
           "(repeatable)\n"
           "\nA .lua script gets its node by `local node = ...`, a .py script by `async def "
           "main(node)`.\n"
           "JSON has these forms of its own, both ways: {\"$bytes\": base64}, {\"$ref\": text},\n"
           "{\"$float\": \"nan\" | \"inf\" | \"-inf\"}, {\"$map\": [[key, value], ...]} (keys that "
           "are integers).\n"
           "Exit status: 0 done, 1 failed (and says the error), 2 wrong usage.\n");
    return CLI_DONE;
}

static int help_one(const struct command *c)
{
    usage_line(stdout, c);
    printf("%s\n", c->what);
    return CLI_DONE;
}

static int cli_run(const struct cli *cli)
{
    const struct command *c = cli->command;
    if (cli->version) {
        printf("shoal %s\n", shoal_version_string());
        return CLI_DONE;
    }
    if (!c) {
        return help_all();
    }
    if (cli->help) {
        return help_one(c);
    }
    if (cli->args.count < c->args_min) {
        return cli_usage(c, "%s",
                         c->args_max == 1 ? "an argument is missing" : "arguments are missing");
    }
    if (cli->args.count > c->args_max) {
        return cli_usage(c, "\"%s\" is one argument too many", cli->args.at[c->args_max]);
    }
    return c->run(cli);
}

int main(int argc, char **argv)
{
    struct cli cli;
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves must not end a node without its goodbye */
    int status = options_parse(&cli, argc, argv);
    if (status == CLI_DONE) {
        status = cli_run(&cli);
    }
    options_free(&cli);
    if (fflush(stdout) != 0 && status == CLI_DONE && cli.command != NULL && !cli.command->serves) {
        status = CLI_FAILED; /* what was asked for could not be written */
    }
    return status;
}
