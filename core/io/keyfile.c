/* io/keyfile.c - reads and creates identity files. A new key is written to a temporary file beside the target and
 * linked into place: link(2) fails if the name exists, so nothing is ever overwritten, even in a race. */
#include "io/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"

bool sh_syscalls_random(const struct sh_syscalls *calls, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = calls->getrandom(p, n, 0);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool system_fill(void *ud, void *out, size_t n)
{
    (void)ud;
    return sh_syscalls_random(sh_syscalls_system(), out, n);
}

sh_rng sh_system_rng(void)
{
    return (sh_rng){system_fill, NULL};
}

static int keyfile_fail(const char **why, int code, const char *text)
{
    if (why) {
        *why = text;
    }
    return code;
}

static bool keyfile_write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        p += put;
        n -= (size_t)put;
    }
    return true;
}

int sh_keyfile_create(const char *path, const sh_rng *rng, uint8_t *out, const char **why)
{
    char temporary[PATH_MAX];
    uint64_t tag = sh_rng_u64(rng);
    int len = snprintf(temporary, sizeof temporary, "%s.%016llx", path, (unsigned long long)tag);
    if (len < 0 || (size_t)len >= sizeof temporary) {
        return keyfile_fail(why, SH_E_REFUSED, "the path of the key file is too long");
    }
    uint8_t seed[SH_ED25519_BYTES];
    sh_identity id = {0};
    if (!sh_rng_fill(rng, seed, sizeof seed)) {
        return keyfile_fail(why, SH_E_REFUSED, "the system gives no randomness for a key");
    }
    int rc = sh_identity_from_seed(&id, seed);
    sh_wipe(seed, sizeof seed);
    if (rc < 0) {
        return keyfile_fail(why, rc, "no memory for a key");
    }
    sh_identity_private_proto(&id, out);
    sh_identity_fini(&id);

    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return keyfile_fail(why, SH_E_REFUSED, "the key file cannot be created");
    }
    bool good = keyfile_write_all(fd, out, SH_ED25519_PRIVATE_BYTES) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    rc = SH_ED25519_PRIVATE_BYTES;
    if (!good) {
        rc = keyfile_fail(why, SH_E_REFUSED, "the key file cannot be written");
    } else if (link(temporary, path) < 0) {
        rc = errno == EEXIST ? keyfile_fail(why, SH_E_NAME_TAKEN, "the key file exists")
                             : keyfile_fail(why, SH_E_REFUSED, "the key file cannot be created");
    }
    unlink(temporary);
    return rc;
}

static int keyfile_read(int fd, uint8_t *out, const char **why)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return keyfile_fail(why, SH_E_REFUSED, "the key file is not a regular file");
    }
    if ((st.st_mode & 077) != 0) {
        return keyfile_fail(why, SH_E_REFUSED, "the key file is open to others: chmod 600 it");
    }
    size_t n = 0;
    while (n < SH_KEYFILE_MAX) {
        ssize_t got = read(fd, out + n, SH_KEYFILE_MAX - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return keyfile_fail(why, SH_E_REFUSED, "the key file cannot be read");
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    sh_identity id = {0};
    int rc = sh_identity_from_private(&id, sh_span_of(out, n));
    sh_identity_fini(&id);
    return rc < 0 ? keyfile_fail(why, rc, "the key file holds no Ed25519 private key") : (int)n;
}

int sh_keyfile_load(const char *path, const sh_rng *rng, uint8_t *out, const char **why)
{
    for (int tries = 0; tries < 2; tries++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            int rc = keyfile_read(fd, out, why);
            close(fd);
            return rc;
        }
        if (errno != ENOENT) {
            return keyfile_fail(why, SH_E_REFUSED, "the key file cannot be opened");
        }
        int rc = sh_keyfile_create(path, rng, out, why);
        if (rc != SH_E_NAME_TAKEN) { /* taken: another process was faster; read what it wrote */
            return rc;
        }
    }
    return keyfile_fail(why, SH_E_REFUSED, "the key file cannot be opened");
}
