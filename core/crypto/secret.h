/* crypto/secret.h - wiping and comparing secrets. Threads: any. */
#ifndef SH_CRYPTO_SECRET_H
#define SH_CRYPTO_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrites; never optimised away. */
void sh_wipe(void *p, size_t n);

/* Equal, in time that depends on n only. */
bool sh_equal_ct(const void *a, const void *b, size_t n);

#endif
