/* tests/fuzz/standalone.c - main for a fuzz target without libFuzzer: replays every file named, and
 * every file of a folder named.
 *
 * Each input is also given cut short at a few places, so that a corpus of good frames also tries
 * their truncations. Prints one line, `N passed, 0 failed, 0 skipped`; a fault of the target ends
 * the program before it. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4 << 20, PATH_BYTES = 4096 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *buffer = file ? malloc(INPUT_MAX) : NULL;
    if (!buffer) {
        fprintf(stderr, "cannot read %s\n", path);
        if (file)
            fclose(file);
        return -1;
    }
    size_t size = fread(buffer, 1, INPUT_MAX, file);
    fclose(file);
    size_t cuts[] = {size, size ? size - 1 : 0, size / 2, size / 4, 0};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        uint8_t *exact =
            malloc(cuts[i] ? cuts[i] : 1); /* exact size: a sanitizer sees any over-read */
        if (!exact)
            abort();
        memcpy(exact, buffer, cuts[i]);
        LLVMFuzzerTestOneInput(exact, cuts[i]);
        free(exact);
    }
    free(buffer);
    return 1;
}

static int replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return 0; /* a target without a corpus yet still runs on the empty input */
    if (!S_ISDIR(info.st_mode))
        return replay_file(path);
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort), done = 0, failed = 0;
    for (int i = 0; i < count; i++) {
        char inner[PATH_BYTES];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            int one = replay_file(inner);
            done += one > 0;
            failed += one < 0;
        }
        free(entries[i]);
    }
    free(entries);
    return failed ? -1 : done;
}

int main(int argc, char **argv)
{
    int passed = 1, failed = 0;
    uint8_t nothing = 0;
    LLVMFuzzerTestOneInput(&nothing, 0);
    for (int i = 1; i < argc; i++) {
        int done = replay(argv[i]);
        passed += done > 0 ? done : 0;
        failed += done < 0;
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
