/* tests/support/capture.h - reads recorded conversations: lines `"dir": "in"` and `"hex": ".."` of
 * a JSON file. */
#ifndef SH_TESTS_CAPTURE_H
#define SH_TESTS_CAPTURE_H

#include "base/span.h"

enum { CAPTURE_STEPS_MAX = 128 };

struct capture {
    size_t count;
    struct {
        bool in;
        sh_span bytes;
    } step[CAPTURE_STEPS_MAX];
    uint8_t *memory;
};

/* section: the key of the array, "tcp" or "decrypted". Fails the test if the file cannot be read.
 * */
void capture_load(struct capture *c, const char *path, const char *section);
void capture_free(struct capture *c);

#endif
