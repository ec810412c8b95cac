/* tests/support/capture.c - finds the recorded lines of a JSON file and reads their bytes. */
#include "capture.h"

#include "base/text.h"
#include "file.h"

void capture_load(struct capture *c, const char *path, const char *section)
{
    char *text = file_read(path);
    size_t cap = strlen(text);
    char key[64];
    snprintf(key, sizeof key, "\"%s\": [", section);
    char *at = strstr(text, key);
    assert_non_null(at);
    char *end = strstr(at, "\n ]");
    assert_non_null(end);
    memset(c, 0, sizeof *c);
    c->memory = malloc(cap);
    assert_non_null(c->memory);
    size_t used = 0;
    while ((at = strstr(at, "\"dir\": \"")) != NULL && at < end) {
        assert_in_range(c->count, 0, CAPTURE_STEPS_MAX - 1);
        c->step[c->count].in = strncmp(at + 8, "in", 2) == 0;
        at = strstr(at, "\"hex\": \"");
        assert_non_null(at);
        at += 8;
        size_t hex_n = strcspn(at, "\"");
        int n = sh_hex_decode(sh_span_of(at, hex_n), c->memory + used, cap - used);
        assert_true(n >= 0);
        c->step[c->count++].bytes = sh_span_of(c->memory + used, (size_t)n);
        used += (size_t)n;
    }
    free(text);
}

void capture_free(struct capture *c)
{
    free(c->memory);
}
