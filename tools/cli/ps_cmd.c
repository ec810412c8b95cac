/* ps_cmd.c - shoal ps: the actors of each dialled node, as rows (--json) or a table. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { COLUMNS = 8 };

static const struct {
    const char *key, *title;
    bool number;
} columns[COLUMNS] = {
    {"id", "ID", false},          {"names", "NAMES", false},    {"state", "STATE", false},
    {"mailbox", "MAILBOX", true}, {"handled", "HANDLED", true}, {"restarts", "RESTARTS", true},
    {"parent", "PARENT", false},  {"ref", "REF", false},
};

/* Columns as wide as their widest cell; characters, not bytes. */
struct table {
    char **cells; /* owned, COLUMNS a row */
    size_t rows;
    size_t width[COLUMNS];
};

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0u) != 0x80;
    }
    return n;
}

/* Text without its quotes, names with commas, a parent by its number only: all are of one node. */
static void cell_write(FILE *out, shoal_node *node, const char *key, shoal_bytes value)
{
    shoal_bytes rest = value, item;
    const char *between = "";
    int kind = shoal_kind(value);
    if (kind == SHOAL_KIND_LIST) {
        while (shoal_next(&rest, NULL, &item) == 1) {
            fputs(between, out);
            cell_write(out, node, key, item);
            between = ",";
        }
    } else if (kind == SHOAL_KIND_NIL || kind == SHOAL_KIND_NONE) {
        fputc('-', out);
    } else {
        json_write(out, node, value, JSON_PEOPLE);
    }
    if (kind == SHOAL_KIND_LIST && shoal_count(value) == 0) {
        fputc('-', out);
    }
}

static char *cell_text(shoal_node *node, const char *key, shoal_bytes value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return NULL;
    }
    cell_write(out, node, key, value);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    if (text[0] == '"' && size >= 2 && text[size - 1] == '"' && !strchr(text, ',')) {
        memmove(text, text + 1, size - 2);
        text[size - 2] = 0;
    }
    if (strcmp(key, "parent") == 0 && strchr(text, '@')) {
        *strchr(text, '@') = 0;
    }
    return text;
}

static bool table_fill(struct table *t, shoal_node *node, shoal_bytes rows)
{
    shoal_bytes rest = rows, row;
    int64_t count = shoal_count(rows);
    t->cells = calloc((size_t)(count > 0 ? count : 0) * COLUMNS + 1, sizeof *t->cells);
    for (size_t c = 0; c < COLUMNS; c++) {
        t->width[c] = strlen(columns[c].title);
    }
    while (t->cells && shoal_next(&rest, NULL, &row) == 1) {
        for (size_t c = 0; c < COLUMNS; c++) {
            char *text = cell_text(node, columns[c].key, shoal_field(row, columns[c].key));
            if (!text) {
                return false;
            }
            t->cells[t->rows * COLUMNS + c] = text;
            t->width[c] = width_of(text) > t->width[c] ? width_of(text) : t->width[c];
        }
        t->rows++;
    }
    return t->cells != NULL;
}

static void table_cell(const struct table *t, size_t column, const char *text)
{
    int pad = (int)(t->width[column] - width_of(text));
    bool last = column + 1 == COLUMNS, right = columns[column].number;
    printf("%*s%s%*s%s", right ? pad : 0, "", text, right || last ? 0 : pad, "",
           last ? "\n" : "  ");
}

static void table_print(const struct table *t)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        table_cell(t, c, columns[c].title);
    }
    for (size_t i = 0; i < t->rows * COLUMNS; i++) {
        table_cell(t, i % COLUMNS, t->cells[i]);
    }
}

static void table_free(struct table *t, size_t cells)
{
    for (size_t i = 0; t->cells && i < cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
}

static int rows_print(struct session *s, shoal_bytes rows)
{
    shoal_bytes rest = rows, row;
    struct table table = {0};
    bool good = true;
    if (!s->cli->json) {
        good = table_fill(&table, s->node, rows);
        if (good) {
            table_print(&table);
        }
        int64_t count = shoal_count(rows);
        table_free(&table, (size_t)(count > 0 ? count : 0) * COLUMNS);
        return good ? CLI_DONE : output_error(s->cli, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "no memory");
    }
    while (shoal_next(&rest, NULL, &row) == 1) {
        json_write(stdout, s->node, row, JSON_EXACT);
        putchar('\n');
    }
    return CLI_DONE;
}

/* The actors of the node that answered the dial. */
static int list_node(struct session *s, const shoal_result *dialled)
{
    shoal_result *rows = NULL;
    shoal_bytes text = {0};
    char peer[128];
    shoal_as_text(dialled->value, &text);
    snprintf(peer, sizeof peer, "%.*s", (int)text.len, text.data ? (const char *)text.data : "");
    if (!s->cli->json && s->cli->dial.count > 1) {
        printf("%s\n", peer);
    }
    int status = session_wait(s, shoal_info(s->node, "actors", peer, shoal_keep, &rows), &rows);
    if (status == CLI_DONE) {
        status = rows_print(s, rows->value);
    }
    shoal_result_free(rows);
    return status;
}

int ps_run(const struct cli *cli)
{
    struct session s;
    if (cli->dial.count == 0) {
        return cli_usage(cli->command, "--dial says whose actors");
    }
    int status = session_open(&s, cli);
    if (status == CLI_DONE) {
        status = session_dial(&s, true);
    }
    for (size_t i = 0; status == CLI_DONE && i < cli->dial.count; i++) {
        status = list_node(&s, s.dialled[i]);
    }
    session_close(&s);
    return status;
}
