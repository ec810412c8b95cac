/* base/text.c - hex, base58btc, base36, base32, base64, UTF-8. */
#include "base/text.h"

#include "base/sh_limits.h"

static const char alphabet16[] = "0123456789abcdef";
static const char alphabet32[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char alphabet36[] = "0123456789abcdefghijklmnopqrstuvwxyz";
static const char alphabet58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char alphabet64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet64url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value of a character in the first n of an alphabet, or -1. fold: upper case means lower case. */
static int digit_of(const char *alphabet, size_t n, uint8_t c, bool fold)
{
    int ch = fold && c >= 'A' && c <= 'Z' ? c + 32 : c;
    const char *at = memchr(alphabet, ch, n);
    return at ? (int)(at - alphabet) : -1;
}

/* Alphabets whose size is a power of two: `bits` per character, most significant first. */
static int bits_encode(sh_span in, const char *alphabet, unsigned bits, char *out, size_t cap)
{
    size_t length = (in.n * 8 + bits - 1) / bits;
    uint32_t held = 0;
    unsigned have = 0;
    size_t at = 0;
    if (in.n > INT32_MAX / 8 || length + 1 > cap) {
        return SH_E_LIMIT;
    }
    for (size_t i = 0; i < in.n; i++) {
        held = (held << 8) | in.p[i];
        for (have += 8; have >= bits; have -= bits) {
            out[at++] = alphabet[(held >> (have - bits)) & ((1u << bits) - 1)];
        }
    }
    if (have) {
        out[at++] = alphabet[(held << (bits - have)) & ((1u << bits) - 1)];
    }
    out[at] = '\0';
    return (int)at;
}

static int bits_decode(sh_span in, const char *alphabet, unsigned bits, bool fold, uint8_t *out,
                       size_t cap)
{
    uint32_t held = 0;
    unsigned have = 0;
    size_t at = 0;
    if (in.n > INT32_MAX / 8) {
        return SH_E_LIMIT;
    }
    for (size_t i = 0; i < in.n; i++) {
        int digit = digit_of(alphabet, (size_t)1 << bits, in.p[i], fold);
        if (digit < 0) {
            return SH_E_BAD_VALUE;
        }
        held = (held << bits) | (uint32_t)digit;
        have += bits;
        if (have < 8) {
            continue;
        }
        if (at == cap) {
            return SH_E_LIMIT;
        }
        have -= 8;
        out[at++] = (uint8_t)(held >> have);
    }
    /* What is left over must be less than a character, and zero: one text per byte string. */
    if (have >= bits || (held & ((1u << have) - 1))) {
        return SH_E_BAD_VALUE;
    }
    return (int)at;
}

int sh_hex_encode(sh_span bytes, char *out, size_t cap)
{
    return bits_encode(bytes, alphabet16, 4, out, cap);
}

int sh_hex_decode(sh_span text, uint8_t *out, size_t cap)
{
    return bits_decode(text, alphabet16, 4, true, out, cap);
}

int sh_base32_encode(sh_span bytes, char *out, size_t cap)
{
    return bits_encode(bytes, alphabet32, 5, out, cap);
}

int sh_base32_decode(sh_span text, uint8_t *out, size_t cap)
{
    return bits_decode(text, alphabet32, 5, true, out, cap);
}

int sh_base64url_encode(sh_span bytes, char *out, size_t cap)
{
    return bits_encode(bytes, alphabet64url, 6, out, cap);
}

int sh_base64url_decode(sh_span text, uint8_t *out, size_t cap)
{
    return bits_decode(text, alphabet64url, 6, false, out, cap);
}

int sh_base64_encode(sh_span bytes, char *out, size_t cap)
{
    int n = bits_encode(bytes, alphabet64, 6, out, cap);
    if (n < 0 || (size_t)(n + 3) / 4 * 4 + 1 > cap) {
        return SH_E_LIMIT;
    }
    while (n % 4) {
        out[n++] = '=';
    }
    out[n] = '\0';
    return n;
}

int sh_base64_decode(sh_span text, uint8_t *out, size_t cap)
{
    if (text.n % 4) {
        return SH_E_BAD_VALUE;
    }
    for (int pads = 0; pads < 2 && text.n && text.p[text.n - 1] == '='; pads++) {
        text.n--;
    }
    return bits_decode(text, alphabet64, 6, false, out, cap);
}

/* Other alphabets: the bytes as one big number; leading zero bytes become leading zero digits.
 * Two digits a byte are enough for any base from 16 up. */
static int radix_encode(sh_span in, const char *alphabet, unsigned base, char *out, size_t cap)
{
    uint8_t digits[SH_RADIX_BYTES_MAX * 2]; /* least significant first */
    size_t count = 0;
    size_t zeros = 0;
    if (in.n > SH_RADIX_BYTES_MAX) {
        return SH_E_LIMIT;
    }
    while (zeros < in.n && in.p[zeros] == 0) {
        zeros++;
    }
    for (size_t i = zeros; i < in.n; i++) {
        uint32_t carry = in.p[i];
        for (size_t d = 0; d < count || carry; d++) {
            carry += d < count ? (uint32_t)digits[d] << 8 : 0;
            digits[d] = (uint8_t)(carry % base);
            carry /= base;
            count = d < count ? count : d + 1;
        }
    }
    if (zeros + count + 1 > cap) {
        return SH_E_LIMIT;
    }
    memset(out, alphabet[0], zeros);
    for (size_t d = 0; d < count; d++) {
        out[zeros + d] = alphabet[digits[count - 1 - d]];
    }
    out[zeros + count] = '\0';
    return (int)(zeros + count);
}

static int radix_decode(sh_span in, const char *alphabet, unsigned base, bool fold, uint8_t *out,
                        size_t cap)
{
    uint8_t bytes[SH_RADIX_BYTES_MAX]; /* least significant first */
    size_t count = 0;
    size_t zeros = 0;
    if (in.n > SH_RADIX_BYTES_MAX * 2) {
        return SH_E_LIMIT;
    }
    while (zeros < in.n && in.p[zeros] == (uint8_t)alphabet[0]) {
        zeros++;
    }
    for (size_t i = zeros; i < in.n; i++) {
        int digit = digit_of(alphabet, base, in.p[i], fold);
        if (digit < 0) {
            return SH_E_BAD_VALUE;
        }
        uint32_t carry = (uint32_t)digit;
        for (size_t b = 0; b < count || carry; b++) {
            if (b == SH_RADIX_BYTES_MAX) {
                return SH_E_LIMIT;
            }
            carry += b < count ? bytes[b] * base : 0;
            bytes[b] = (uint8_t)carry;
            carry >>= 8;
            count = b < count ? count : b + 1;
        }
    }
    if (zeros + count > cap || zeros + count > SH_RADIX_BYTES_MAX) {
        return SH_E_LIMIT;
    }
    for (size_t i = 0; i < zeros; i++) {
        out[i] = 0;
    }
    for (size_t b = 0; b < count; b++) {
        out[zeros + b] = bytes[count - 1 - b];
    }
    return (int)(zeros + count);
}

int sh_base58_encode(sh_span bytes, char *out, size_t cap)
{
    return radix_encode(bytes, alphabet58, 58, out, cap);
}

int sh_base58_decode(sh_span text, uint8_t *out, size_t cap)
{
    return radix_decode(text, alphabet58, 58, false, out, cap);
}

int sh_base36_encode(sh_span bytes, char *out, size_t cap)
{
    return radix_encode(bytes, alphabet36, 36, out, cap);
}

int sh_base36_decode(sh_span text, uint8_t *out, size_t cap)
{
    return radix_decode(text, alphabet36, 36, true, out, cap);
}

/* Length of the multi-byte character at p, 0 if it is not well formed (RFC 3629, the table of
 * section 4: the second byte's range excludes overlong forms, surrogates and > U+10FFFF). */
static size_t utf8_char(const uint8_t *p, size_t left)
{
    uint8_t first = p[0];
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < n || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool sh_utf8_valid(sh_span s)
{
    size_t i = 0;
    while (i < s.n) {
        if (s.n - i >= 8 && !(sh_load_u64le(s.p + i) & UINT64_C(0x8080808080808080))) {
            i += 8;
            continue;
        }
        size_t n = s.p[i] < 0x80 ? 1 : utf8_char(s.p + i, s.n - i);
        if (!n) {
            return false;
        }
        i += n;
    }
    return true;
}

bool sh_name_valid(sh_span s)
{
    return s.n >= 1 && s.n <= SH_NAME_MAX && !memchr(s.p, 0, s.n) && sh_utf8_valid(s);
}

sh_span sh_utf8_cut(sh_span s, size_t n)
{
    if (s.n <= n) {
        return s;
    }
    while (n && (s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return sh_span_of(s.p, n);
}
