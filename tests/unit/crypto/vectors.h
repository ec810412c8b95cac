/* tests/unit/crypto/vectors.h - reads tests/vectors: `name value` lines, and the strings of a JSON file. */
#ifndef SH_TESTS_VECTORS_H
#define SH_TESTS_VECTORS_H

#include "../base/check.h"
#include "file.h"

/* The whole file with a NUL; free it. */
static inline char *vectors_load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/vectors/%s", SHOAL_TESTS_DIR, name);
    return file_read(path);
}

/* The value of the line that starts with `name `. */
static inline sh_span vectors_text(const char *file, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = file; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, n) == 0 && line[n] == ' ') {
            return sh_span_of(line + n + 1, strcspn(line + n + 1, "\n"));
        }
    }
    fail_msg("no vector %s", name);
    return sh_span_none();
}

static inline sh_span vectors_hex(const char *file, const char *name, uint8_t *buf, size_t cap)
{
    int n = sh_hex_decode(vectors_text(file, name), buf, cap);
    assert_true(n >= 0);
    return sh_span_of(buf, (size_t)n);
}

/* The next `"key": "value"` behind *at, which moves behind it; an empty span: no more. */
static inline sh_span vectors_json(const char **at, const char *key)
{
    char quoted[64];
    int n = snprintf(quoted, sizeof quoted, "\"%s\": \"", key);
    const char *found = strstr(*at, quoted);
    if (!found) {
        return sh_span_none();
    }
    found += n;
    *at = strchr(found, '"');
    return sh_span_of(found, (size_t)(*at - found));
}

#endif
