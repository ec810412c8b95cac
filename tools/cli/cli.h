/* cli.h - what the files of the shoal command share.
 *
 * A subcommand is one function: it gets the parsed command line and returns the exit status. */
#ifndef SHOAL_CLI_H
#define SHOAL_CLI_H

#include <shoal.h>
#include <stdio.h>

/* Exit statuses. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli;

struct command {
    const char *name;
    const char *args; /* for the usage line */
    const char *what; /* for the help */
    int (*run)(const struct cli *cli);
    size_t args_min, args_max;
    bool serves; /* takes --listen and --admin */
};

/* A list of texts that live in argv. */
struct texts {
    const char **at;
    size_t count;
};

/* The command line. */
struct cli {
    const struct command *command; /* NULL: none was named */
    struct texts args, listen, dial, admin;
    const char *key;
    double timeout_s; /* negative: not given */
    bool json, help, version;
};

/* --- main.c --- */
extern const struct command cli_commands[]; /* ends with a NULL name */
/* Says what is wrong and the usage line on stderr; returns CLI_USAGE. command: may be NULL. */
int cli_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- options.c --- */
/* 0, or CLI_USAGE (said). The texts stay in argv; end with options_free. */
int options_parse(struct cli *cli, int argc, char **argv);
void options_free(struct cli *cli);

/* --- output.c --- */
/* The answer of a command: {"value": ...} or the value for people. */
int output_value(const struct cli *cli, shoal_node *node, shoal_bytes value);
/* A failure: {"error": ...} on stdout, or a line on stderr. Each returns CLI_FAILED. */
int output_error(const struct cli *cli, int code, int delivery, const char *text);
int output_result(const struct cli *cli, const shoal_result *result);
/* The failure of a call that just returned code on node (NULL: shoal_node_new). */
int output_last(const struct cli *cli, shoal_node *node, int64_t code);

/* --- json_write.c --- */
enum json_style {
    JSON_EXACT, /* JSON that json_read reads back to the same value */
    JSON_PEOPLE /* much the same, shorter: refs, bytes and NaN bare */
};
void json_write(FILE *out, shoal_node *node, shoal_bytes value, enum json_style style);
/* A text with its quotes; what is not UTF-8 becomes U+FFFD, control characters are escaped. */
void json_write_text(FILE *out, const char *text, size_t len);

/* --- json_read.c --- */
/* Why a text was not read. */
struct json_fault {
    bool is_value; /* it is JSON, but no value of ours can hold it */
    size_t at;     /* bytes before the place */
    const char *why;
};
/* Appends the value that text holds to out: 0, or a negative code with *fault filled. */
int json_read(shoal_pack *out, shoal_node *node, const char *text, struct json_fault *fault);

/* --- session.c --- */
/* A node for one errand: it dials, does it, leaves. */
struct session {
    const struct cli *cli;
    shoal_node *node;
    shoal_result **dialled; /* one per --dial; NULL: no answer yet */
    uint64_t end_ms;        /* of the whole errand */
};
/* Each of these returns CLI_DONE, or another exit status with the failure said. session_close is
 * due in any case. */
int session_open(struct session *s, const struct cli *cli);
/* Connects to every --dial; all: each must answer, not just one. */
int session_dial(struct session *s, bool all);
/* call: what a function with (shoal_keep, result) returned. */
int session_wait(struct session *s, int64_t call, shoal_result **result);
/* The actor that text, a ref or a name, means. */
int session_find(struct session *s, const char *text, shoal_pid *pid);
uint32_t session_left_ms(const struct session *s); /* at least 1 */
void session_close(struct session *s);
uint64_t session_now_ms(void);

/* --- the subcommands --- */
int keygen_run(const struct cli *cli);
int node_run(const struct cli *cli);
int lookup_run(const struct cli *cli);
int ask_run(const struct cli *cli);
int tell_run(const struct cli *cli);
int ps_run(const struct cli *cli);

/* --- script_python.c, script_lua.c: run a node inside the script's language --- */
int script_python_run(const struct cli *cli, const char *path);
int script_lua_run(const struct cli *cli, const char *path);

/* --- signals.c --- */
/* From here on SIGINT and SIGTERM are read from the descriptor it returns (-1: cannot). */
int signals_open(void);
/* Waits for the node's descriptor, a signal or the time-out; true: a signal came. */
bool signals_wait(int signals, int fd, int64_t timeout_ms);

#endif
