/* ask_cmd.c - shoal lookup, ask and tell: find an actor, send it one message. */
#include "cli.h"

/* The message's value: the third argument as JSON, or nil. */
static int read_argument(struct session *s, shoal_pack *value)
{
    struct json_fault fault;
    char text[160];
    if (s->cli->args.count < 3) {
        return CLI_DONE;
    }
    if (json_read(value, s->node, s->cli->args.at[2], &fault) == 0) {
        return CLI_DONE;
    }
    snprintf(text, sizeof text, "the JSON at byte %zu: %s", fault.at, fault.why);
    return fault.is_value ? output_error(s->cli, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT, text)
                          : cli_usage(s->cli->command, "%s", text);
}

static int ask_send(struct session *s, shoal_pid pid, shoal_bytes value)
{
    shoal_result *reply = NULL;
    int64_t call =
        shoal_ask(s->node, pid, s->cli->args.at[1], value, session_left_ms(s), shoal_keep, &reply);
    int status = session_wait(s, call, &reply);
    if (status == CLI_DONE) {
        output_value(s->cli, s->node, reply->value);
    }
    shoal_result_free(reply);
    return status;
}

/* A tell says nothing back: only the drain knows that it has arrived. */
static int tell_send(struct session *s, shoal_pid pid, shoal_bytes value)
{
    shoal_result *drained = NULL;
    int code = shoal_tell(s->node, pid, s->cli->args.at[1], value);
    if (code < 0) {
        return output_last(s->cli, s->node, code);
    }
    int64_t call = shoal_drain(s->node, pid, session_left_ms(s), shoal_keep, &drained);
    int status = session_wait(s, call, &drained);
    if (status == CLI_DONE && s->cli->json) {
        output_value(s->cli, s->node, shoal_nil());
    }
    shoal_result_free(drained);
    return status;
}

static int ref_show(struct session *s, shoal_pid pid, shoal_bytes value)
{
    (void)value;
    shoal_pack ref;
    shoal_pack_init(&ref, NULL, 0);
    shoal_put_ref(&ref, s->node, pid);
    int status = output_value(s->cli, s->node, shoal_packed(&ref));
    shoal_pack_free(&ref);
    return status;
}

typedef int found_fn(struct session *s, shoal_pid pid, shoal_bytes value);

/* Finds the actor that the first argument names and does `use` to it. The value is read before the dial: what is wrong
 * on the command line needs no network to say. */
static int found_run(const struct cli *cli, found_fn *use)
{
    struct session s;
    shoal_pack value;
    shoal_pid pid;
    shoal_pack_init(&value, NULL, 0);
    int status = session_open(&s, cli);
    if (status == CLI_DONE) {
        status = read_argument(&s, &value);
    }
    if (status == CLI_DONE) {
        status = session_dial(&s, false);
    }
    if (status == CLI_DONE) {
        status = session_find(&s, cli->args.at[0], &pid);
    }
    if (status == CLI_DONE) {
        status = use(&s, pid, shoal_packed(&value));
    }
    session_close(&s);
    shoal_pack_free(&value);
    return status;
}

int ask_run(const struct cli *cli)
{
    return found_run(cli, ask_send);
}

int tell_run(const struct cli *cli)
{
    return found_run(cli, tell_send);
}

int lookup_run(const struct cli *cli)
{
    return found_run(cli, ref_show);
}
