/* io/keyfile.h - a node's identity on disk: the private key protobuf, mode 0600.
 *
 * Rule     an existing file is never changed; a new one appears whole or not at all.
 * Threads  any.   Memory  the caller's buffer; wipe it after use. */
#ifndef SH_IO_KEYFILE_H
#define SH_IO_KEYFILE_H

#include "base/rng.h"
#include "crypto/keys.h"
#include "io/syscalls.h"

enum { SH_KEYFILE_MAX = 256 };

/* Reads the key of path, or, if there is no such file, makes a new key and writes it.
 *   out   at least SH_KEYFILE_MAX bytes
 *   why   out, may be NULL: static text
 * Returns its length; SH_E_PROTO, SH_E_UNSUPPORTED, SH_E_CRYPTO (content); SH_E_REFUSED (the file cannot be read or
 * written, or others can read it); SH_E_NOMEM. */
int sh_keyfile_load(const char *path, const sh_rng *rng, uint8_t *out, const char **why);

/* Makes a new key at path: its length, SH_E_NAME_TAKEN if the file exists (left alone), else as above. */
int sh_keyfile_create(const char *path, const sh_rng *rng, uint8_t *out, const char **why);

/* n bytes of getrandom(2), which is waited for; false: it failed (a filter of system calls, a broken kernel). */
bool sh_syscalls_random(const struct sh_syscalls *calls, void *out, size_t n);

/* The same as an sh_rng. */
sh_rng sh_system_rng(void);

#endif
