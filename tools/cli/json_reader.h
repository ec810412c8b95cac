/* json_reader.h - the two halves of reading JSON: json_token.c has texts and numbers, json_read.c
 * lists, maps and the forms of our own. */
#ifndef SHOAL_CLI_JSON_READER_H
#define SHOAL_CLI_JSON_READER_H

#include <string.h>

#include "cli.h"

struct reader {
    const char *start, *at; /* at: the next byte; a NUL ends all */
    shoal_pack *out;
    shoal_node *node;
    struct json_fault *fault;
};

/* A decoded text, owned: free(at). */
struct text {
    char *at;
    size_t len;
};

/* Both note the place and return SHOAL_E_BAD_VALUE: it is no JSON; or it is, but no value. */
int json_fail(struct reader *r, const char *why);
int json_fail_value(struct reader *r, const char *why);

/* Steps over word if it is next. */
bool json_take(struct reader *r, const char *word);
void json_space(struct reader *r);

/* Past the text whose opening quote was just read: at its closing quote, or at the end of all. */
const char *json_text_end(const char *p);
/* A text with its quotes. *out is to be freed, also after a failure. */
int json_take_text(struct reader *r, struct text *out);

/* Reads one, and appends it to the value. */
int json_read_text(struct reader *r);
int json_read_number(struct reader *r);

#endif
