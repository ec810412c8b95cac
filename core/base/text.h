/* base/text.h - bytes as text and back: hex, base58btc, base32, base36, base64; UTF-8 check.
 *
 * Shape    pure functions without multibase prefixes. Encoders write a NUL and return the length
 *          without it, or SH_E_LIMIT if cap is too small. Decoders take text without a NUL and return
 *          the byte count, SH_E_BAD_VALUE (not that alphabet or form) or SH_E_LIMIT (cap).
 * Memory   none. base58 and base36 take at most SH_RADIX_BYTES_MAX bytes (SH_E_LIMIT).
 * Threads  any. */
#ifndef SH_BASE_TEXT_H
#define SH_BASE_TEXT_H

#include "base/span.h"

int sh_hex_encode(sh_span bytes, char *out, size_t cap);    /* lower case */
int sh_hex_decode(sh_span text, uint8_t *out, size_t cap);  /* either case */
int sh_base58_encode(sh_span bytes, char *out, size_t cap); /* bitcoin alphabet */
int sh_base58_decode(sh_span text, uint8_t *out, size_t cap);
int sh_base36_encode(sh_span bytes, char *out, size_t cap);      /* 0-9 a-z */
int sh_base36_decode(sh_span text, uint8_t *out, size_t cap);    /* either case */
int sh_base32_encode(sh_span bytes, char *out, size_t cap);      /* a-z 2-7, no padding */
int sh_base32_decode(sh_span text, uint8_t *out, size_t cap);    /* either case, no padding */
int sh_base64_encode(sh_span bytes, char *out, size_t cap);      /* + / with padding */
int sh_base64_decode(sh_span text, uint8_t *out, size_t cap);    /* padding required */
int sh_base64url_encode(sh_span bytes, char *out, size_t cap);   /* - _ without padding */
int sh_base64url_decode(sh_span text, uint8_t *out, size_t cap); /* without padding */

/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is allowed. */
bool sh_utf8_valid(sh_span s);

/* A message name, type id or actor name: 1..255 bytes of UTF-8 without NUL. */
bool sh_name_valid(sh_span s);

/* The longest start of s of at most n bytes that does not cut a UTF-8 character. */
sh_span sh_utf8_cut(sh_span s, size_t n);

#endif
