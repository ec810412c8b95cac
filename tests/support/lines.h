/* tests/support/lines.h - commands of a host program: a line each on standard input, words apart by a space. */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lines {
    char *text;
    size_t used, room;
};

/* Reads what is there and gives each whole line, without its end, to obey; false: the end of input. */
static inline int lines_read(struct lines *in, void (*obey)(void *ud, char *line), void *ud)
{
    if (in->room - in->used < 65536) {
        in->room = 2 * in->room + 65536 + 1;
        in->text = realloc(in->text, in->room);
        if (!in->text) {
            abort();
        }
    }
    ssize_t got = read(STDIN_FILENO, in->text + in->used, in->room - 1 - in->used);
    if (got <= 0) {
        return 0;
    }
    in->used += (size_t)got;
    in->text[in->used] = 0;
    char *line = in->text, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        obey(ud, line);
        line = end + 1;
    }
    in->used = strlen(line);
    memmove(in->text, line, in->used);
    return 1;
}

/* The words of a line; those that are not there are "". */
static inline void lines_words(char *line, char **word, int count)
{
    char *rest = NULL;
    for (int i = 0; i < count; i++) {
        word[i] = strtok_r(i ? NULL : line, " ", &rest);
        if (!word[i]) {
            word[i] = (char *)"";
        }
    }
}

#endif
