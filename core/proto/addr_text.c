/* proto/addr_text.c - the text form of multiaddrs, /name/value/name/.. */
#include "proto/addr_internal.h"

#include "base/sh_limits.h"
#include "base/text.h"

/* --- numbers and IPs --- */

/* Plain decimal without sign, spaces or leading zeros. */
static bool addr_decimal(sh_span s, uint64_t max, uint64_t *out)
{
    *out = 0;
    if (s.n == 0 || s.n > 20 || (s.n > 1 && s.p[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)s.p[i] - '0';
        if (digit > 9 || *out > (max - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    return true;
}

/* Cuts off what stands before the first mark, or everything. */
static sh_span addr_cut(sh_span *s, char mark)
{
    size_t i = 0;
    while (i < s->n && s->p[i] != (uint8_t)mark) {
        i++;
    }
    sh_span head = sh_span_take(*s, i);
    *s = i < s->n ? sh_span_skip(*s, i + 1) : (sh_span){s->p, 0};
    return head;
}

static bool addr_ip4_parse(sh_span s, uint8_t out[4])
{
    if (s.n > 15 || s.n == 0 || s.p[s.n - 1] == '.') {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        uint64_t v;
        if (!addr_decimal(addr_cut(&s, '.'), 255, &v)) {
            return false;
        }
        out[i] = (uint8_t)v;
    }
    return s.n == 0;
}

static bool addr_hex_group(sh_span s, uint8_t out[2])
{
    char padded[4] = {'0', '0', '0', '0'};
    if (s.n == 0 || s.n > 4) {
        return false;
    }
    memcpy(padded + 4 - s.n, s.p, s.n);
    return sh_hex_decode(sh_span_of(padded, 4), out, 2) == 2;
}

/* One side of "::": groups, the last possibly an IPv4 address. Returns bytes written or -1. */
static int addr_ip6_groups(sh_span s, uint8_t *out, unsigned cap)
{
    unsigned n = 0;
    if (s.n > 0 && s.p[s.n - 1] == ':') {
        return -1;
    }
    while (s.n > 0) {
        sh_span group = addr_cut(&s, ':');
        if (s.n == 0 && memchr(group.p, '.', group.n)) {
            if (n + 4 > cap || !addr_ip4_parse(group, out + n)) {
                return -1;
            }
            return (int)n + 4;
        }
        if (n + 2 > cap || !addr_hex_group(group, out + n)) {
            return -1;
        }
        n += 2;
    }
    return (int)n;
}

static bool addr_ip6_parse(sh_span s, uint8_t out[16])
{
    size_t gap = 0;
    while (gap + 1 < s.n && !(s.p[gap] == ':' && s.p[gap + 1] == ':')) {
        gap++;
    }
    memset(out, 0, 16);
    if (gap + 1 >= s.n) {
        return addr_ip6_groups(s, out, 16) == 16;
    }
    uint8_t tail[16];
    int front_n = addr_ip6_groups(sh_span_take(s, gap), out, 14);
    int tail_n = addr_ip6_groups(sh_span_skip(s, gap + 2), tail, 14);
    if (front_n < 0 || tail_n < 0 || front_n + tail_n > 14) {
        return false;
    }
    memcpy(out + 16 - tail_n, tail, (size_t)tail_n);
    return true;
}

/* --- a writer of text --- */

static void addr_put_text(sh_writer *w, const char *text)
{
    sh_put_bytes(w, sh_span_str(text));
}

static void addr_put_decimal(sh_writer *w, uint64_t v)
{
    uint8_t digits[20];
    unsigned i = sizeof digits;
    do {
        digits[--i] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    sh_put_bytes(w, sh_span_of(digits + i, sizeof digits - i));
}

static void addr_put_ip4(sh_writer *w, const uint8_t *ip)
{
    for (unsigned i = 0; i < 4; i++) {
        addr_put_text(w, i > 0 ? "." : "");
        addr_put_decimal(w, ip[i]);
    }
}

/* RFC 5952: the first longest run of two or more zero groups becomes "::". */
static void addr_put_ip6(sh_writer *w, const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(ip, mapped, 12) == 0) {
        addr_put_text(w, "::ffff:");
        addr_put_ip4(w, ip + 12);
        return;
    }
    unsigned best = 8;
    unsigned best_n = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;
        while (i + n < 8 && sh_load_u16be(ip + 2 * (i + n)) == 0) {
            n++;
        }
        if (n > best_n) {
            best = i;
            best_n = n;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == best) {
            addr_put_text(w, "::");
            i += best_n - 1;
            continue;
        }
        addr_put_text(w, i > 0 && i != best + best_n ? ":" : "");
        uint16_t group = sh_load_u16be(ip + 2 * i);
        for (int shift = 12; shift >= 0; shift -= 4) {
            if (group >> shift > 0 || shift == 0) {
                sh_put_u8(w, (uint8_t) "0123456789abcdef"[group >> shift & 15]);
            }
        }
    }
}

/* --- values, text to bytes --- */

static int addr_hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool addr_unescape(sh_span s, uint8_t *out, size_t cap, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = s.p[i];
        if (byte == '%') {
            int high = i + 2 < s.n ? addr_hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? addr_hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (*n == cap) {
            return false;
        }
        out[(*n)++] = byte;
    }
    return true;
}

/* <base32>:<port>, bytes of key known by the protocol. */
static bool addr_onion_parse(sh_span s, int bytes, uint8_t *out)
{
    uint64_t port;
    sh_span key = addr_cut(&s, ':');
    if (sh_base32_decode(key, out, (size_t)bytes - 2) != bytes - 2 ||
        !addr_decimal(s, 65535, &port) || port == 0) {
        return false;
    }
    sh_store_u16be(out + bytes - 2, (uint16_t)port);
    return true;
}

static int addr_peer_parse(sh_span s, uint8_t *out)
{
    sh_peer_id id;
    if (sh_peer_id_parse(&id, s) < 0) {
        return -1;
    }
    memcpy(out, id.b, id.n);
    return id.n;
}

/* Value of one component to bytes; returns how many, or -1. The reader checks the result once
 * more. */
static int addr_value_parse(const struct addr_protocol *p, sh_span s,
                            uint8_t out[SH_ADDR_BYTES_MAX])
{
    uint64_t v;
    size_t n;
    switch (p->value) {
    case ADDR_NOTHING: return 0;
    case ADDR_BYTE: out[0] = 0; return addr_decimal(s, 128, &v) ? (out[0] = (uint8_t)v, 1) : -1;
    case ADDR_PORT:
        if (!addr_decimal(s, 65535, &v)) {
            return -1;
        }
        sh_store_u16be(out, (uint16_t)v);
        return 2;
    case ADDR_NUMBER:
        if (!addr_decimal(s, UINT64_MAX, &v)) {
            return -1;
        }
        sh_store_u64be(out, v);
        return 8;
    case ADDR_IPV4: return addr_ip4_parse(s, out) ? 4 : -1;
    case ADDR_IPV6: return addr_ip6_parse(s, out) ? 16 : -1;
    case ADDR_ONION: return addr_onion_parse(s, p->bytes, out) ? p->bytes : -1;
    case ADDR_NAME:
    case ADDR_PATH:
        if (s.n > SH_ADDR_BYTES_MAX) {
            return -1;
        }
        memcpy(out, s.p, s.n);
        return (int)s.n;
    case ADDR_ESCAPED: return addr_unescape(s, out, SH_ADDR_BYTES_MAX, &n) ? (int)n : -1;
    case ADDR_PEER: return addr_peer_parse(s, out);
    case ADDR_HASH:
        return s.n > 1 && s.p[0] == 'u'
                   ? sh_base64url_decode(sh_span_skip(s, 1), out, SH_ADDR_BYTES_MAX)
                   : -1;
    case ADDR_GARLIC: return sh_base32_decode(s, out, SH_ADDR_BYTES_MAX);
    }
    return -1;
}

static int addr_part_parse(sh_span *text, sh_writer *w)
{
    const struct addr_protocol *p = sh_addr_by_name(addr_cut(text, '/'));
    if (!p) {
        return SH_E_BAD_ADDRESS;
    }
    sh_span value = sh_span_none();
    if (p->value == ADDR_PATH) {
        value = sh_span_of(text->p - 1, text->n + 1); /* with the slash before it */
        text->n = 0;
    } else if (p->value != ADDR_NOTHING) {
        value = addr_cut(text, '/');
    }
    if (value.n == 0 && p->value != ADDR_NOTHING) {
        return SH_E_BAD_ADDRESS;
    }
    uint8_t bytes[SH_ADDR_BYTES_MAX];
    int n = addr_value_parse(p, value, bytes);
    if (n < 0) {
        return SH_E_BAD_ADDRESS;
    }
    sh_put_uvarint(w, p->code);
    if (p->bytes < 0) {
        sh_put_uvarint(w, (uint64_t)n);
    }
    sh_put_bytes(w, sh_span_of(bytes, (size_t)n));
    return 0;
}

int sh_addr_parse(sh_addr *a, const char *text, size_t n)
{
    uint8_t bytes[SH_ADDR_BYTES_MAX];
    sh_writer w = sh_writer_of(bytes, sizeof bytes);
    sh_span rest = sh_span_of(text, n);
    memset(a, 0, sizeof *a);
    if (n < 2 || n > SH_ADDR_TEXT_MAX || text[0] != '/' || text[n - 1] == '/') {
        return SH_E_BAD_ADDRESS;
    }
    rest = sh_span_skip(rest, 1);
    while (rest.n > 0) {
        int rc = addr_part_parse(&rest, &w);
        if (rc < 0) {
            return rc;
        }
    }
    return w.overflow ? SH_E_BAD_ADDRESS : sh_addr_from_bytes(a, sh_put_span(&w));
}

/* --- values, bytes to text --- */

static void addr_put_escaped(sh_writer *w, sh_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != 0 && strchr("-._~", c) != NULL);
        if (plain) {
            sh_put_u8(w, c);
            continue;
        }
        sh_put_u8(w, '%');
        sh_put_u8(w, (uint8_t) "0123456789ABCDEF"[c >> 4]);
        sh_put_u8(w, (uint8_t) "0123456789ABCDEF"[c & 15]);
    }
}

static void addr_put_encoded(sh_writer *w, int (*encode)(sh_span, char *, size_t), sh_span s)
{
    char text[SH_ADDR_TEXT_MAX];
    addr_put_text(w, encode(s, text, sizeof text) >= 0 ? text : "");
}

static void addr_put_value(sh_writer *w, const struct addr_part *part)
{
    sh_span v = part->value;
    sh_peer_id id;
    char text[SH_PEER_ID_TEXT_MAX];
    switch (part->protocol->value) {
    case ADDR_NOTHING: return;
    case ADDR_BYTE: addr_put_decimal(w, v.p[0]); return;
    case ADDR_PORT: addr_put_decimal(w, sh_load_u16be(v.p)); return;
    case ADDR_NUMBER: addr_put_decimal(w, sh_load_u64be(v.p)); return;
    case ADDR_IPV4: addr_put_ip4(w, v.p); return;
    case ADDR_IPV6: addr_put_ip6(w, v.p); return;
    case ADDR_ONION:
        addr_put_encoded(w, sh_base32_encode, sh_span_take(v, v.n - 2));
        addr_put_text(w, ":");
        addr_put_decimal(w, sh_load_u16be(v.p + v.n - 2));
        return;
    case ADDR_NAME:
    case ADDR_PATH: sh_put_bytes(w, v); return;
    case ADDR_ESCAPED: addr_put_escaped(w, v); return;
    case ADDR_PEER:
        if (sh_peer_id_from_bytes(&id, v) == 0) {
            sh_peer_id_text(&id, text);
            addr_put_text(w, text);
        }
        return;
    case ADDR_HASH:
        addr_put_text(w, "u");
        addr_put_encoded(w, sh_base64url_encode, v);
        return;
    case ADDR_GARLIC: addr_put_encoded(w, sh_base32_encode, v); return;
    }
}

int sh_addr_text(const sh_addr *a, char *buf, size_t cap)
{
    sh_reader r = sh_addr_reader(a);
    sh_writer w = sh_writer_of(buf, cap);
    struct addr_part part;
    while (sh_addr_next(&r, &part) == 1) {
        addr_put_text(&w, "/");
        addr_put_text(&w, part.protocol->name);
        if (part.protocol->value != ADDR_NOTHING && part.protocol->value != ADDR_PATH) {
            addr_put_text(&w, "/"); /* a path brings its own */
        }
        addr_put_value(&w, &part);
    }
    sh_put_u8(&w, 0);
    if (w.overflow) {
        if (cap > 0) {
            buf[0] = 0;
        }
        return SH_E_LIMIT;
    }
    return sh_put_len(&w) - 1;
}
