/* crypto/secret.c - wiping and comparing secrets. */
#include "crypto/secret.h"

#include <openssl/crypto.h>

void sh_wipe(void *p, size_t n)
{
    if (p && n) {
        OPENSSL_cleanse(p, n);
    }
}

bool sh_equal_ct(const void *a, const void *b, size_t n)
{
    return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}
