/* tests/support/lines.h - commands of a host program: a line each on standard input, words apart by a space. */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include <shoal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_WORDS = 16 };

struct lines {
    char *text;
    size_t used, room;
};

/* Takes a line apart; words that are not there are "". */
static inline void lines_words(char *line, char *word[LINES_WORDS])
{
    char *rest = NULL;
    for (int i = 0; i < LINES_WORDS; i++) {
        word[i] = strtok_r(i ? NULL : line, " ", &rest);
        if (!word[i]) {
            word[i] = (char *)"";
        }
    }
}

/* Reads what is there and gives the words of each whole line to obey; false: the end of input. */
static inline int lines_read(struct lines *in, void (*obey)(shoal_node *node, char **word),
                             shoal_node *node)
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
        char *word[LINES_WORDS];
        *end = 0;
        lines_words(line, word);
        obey(node, word);
        line = end + 1;
    }
    in->used = strlen(line);
    memmove(in->text, line, in->used);
    return 1;
}

#endif
