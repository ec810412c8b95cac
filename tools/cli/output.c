/* output.c - answers and failures, for programs (--json: one object a line) or for people. */
#include <string.h>

#include "cli.h"

int output_value(const struct cli *cli, shoal_node *node, shoal_bytes value)
{
    if (cli->json) {
        fputs("{\"value\": ", stdout);
        json_write(stdout, node, value, JSON_EXACT);
        fputs("}\n", stdout);
    } else {
        json_write(stdout, node, value, JSON_PEOPLE);
        fputc('\n', stdout);
    }
    return CLI_DONE;
}

static const char *delivery_name(int delivery)
{
    switch (delivery) {
    case SHOAL_UNKNOWN: return "unknown";
    case SHOAL_HANDLED: return "handled";
    default: return "not_sent";
    }
}

int output_error(const struct cli *cli, int code, int delivery, const char *text)
{
    const char *said = text && *text ? text : shoal_strerror(code);
    if (cli->json) {
        printf("{\"error\": {\"code\": \"%s\", \"text\": ", shoal_code_name(code));
        json_write_text(stdout, said, strlen(said));
        printf(", \"delivery\": \"%s\"}}\n", delivery_name(delivery));
    } else {
        fprintf(stderr, "shoal %s: %s: %s (%s)\n", cli->command->name, shoal_code_name(code), said,
                delivery_name(delivery));
    }
    return CLI_FAILED;
}

int output_result(const struct cli *cli, const shoal_result *result)
{
    char text[2048];
    bool typed = result->code == SHOAL_E_HANDLER && result->type && *result->type;
    snprintf(text, sizeof text, "%s%s%s", typed ? result->type : "", typed ? ": " : "",
             result->text);
    return output_error(cli, result->code, result->delivery, text);
}

int output_last(const struct cli *cli, shoal_node *node, int64_t code)
{
    return output_error(cli, (int)code, SHOAL_NOT_SENT, shoal_last_error(node));
}
