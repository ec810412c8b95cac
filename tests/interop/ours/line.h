/* line.h - the line contract's JSON: flat objects in, objects out.
 *
 * Shape    a line in is a table of fields; a line out is printed piece by piece.
 * Memory   a line in is unescaped in place and owned by the caller. */
#ifndef INTEROP_LINE_H
#define INTEROP_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { LINE_FIELDS_MAX = 16 };

struct line_field {
    sh_span name;
    sh_span text; /* of a string */
    uint64_t number;
    bool is_number;
};

struct line {
    unsigned count;
    struct line_field field[LINE_FIELDS_MAX];
};

/* One object of strings and whole numbers; text is changed. False: it is something else. */
bool line_read(struct line *l, char *text);
sh_span line_text(const struct line *l, const char *name); /* empty: no such field */
uint64_t line_number(const struct line *l, const char *name);

/* A line out: begin, fields (name NULL inside a list), end. */
void line_begin(void);
void line_put_text(const char *name, const char *text);
void line_put_number(const char *name, uint64_t number);
void line_put_hex(const char *name, sh_span bytes);
void line_put_word(const char *name, const char *word); /* true, false, null */
void line_open(const char *name, char bracket);         /* '[' or '{' */
void line_close(char bracket);                          /* ']' or '}' */
void line_end(void);

#endif
