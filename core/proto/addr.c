/* proto/addr.c - multiaddr: the table of components, the binary form, and what diallers need of
 * it. */
#include "proto/addr_internal.h"

#include "base/sh_limits.h"
#include "base/text.h"

/* github.com/multiformats/multiaddr protocols.csv; garlic64 is left out: its 386 bytes never fit.
 * */
static const struct addr_protocol ADDR_PROTOCOLS[] = {
    {ADDR_IP4, "ip4", ADDR_IPV4, 4},
    {ADDR_TCP, "tcp", ADDR_PORT, 2},
    {33, "dccp", ADDR_PORT, 2},
    {ADDR_IP6, "ip6", ADDR_IPV6, 16},
    {42, "ip6zone", ADDR_NAME, -1},
    {43, "ipcidr", ADDR_BYTE, 1},
    {ADDR_DNS, "dns", ADDR_NAME, -1},
    {ADDR_DNS4, "dns4", ADDR_NAME, -1},
    {ADDR_DNS6, "dns6", ADDR_NAME, -1},
    {ADDR_DNSADDR, "dnsaddr", ADDR_NAME, -1},
    {132, "sctp", ADDR_PORT, 2},
    {ADDR_UDP, "udp", ADDR_PORT, 2},
    {275, "p2p-webrtc-star", ADDR_NOTHING, 0},
    {276, "p2p-webrtc-direct", ADDR_NOTHING, 0},
    {277, "p2p-stardust", ADDR_NOTHING, 0},
    {280, "webrtc-direct", ADDR_NOTHING, 0},
    {281, "webrtc", ADDR_NOTHING, 0},
    {290, "p2p-circuit", ADDR_NOTHING, 0},
    {301, "udt", ADDR_NOTHING, 0},
    {302, "utp", ADDR_NOTHING, 0},
    {400, "unix", ADDR_PATH, -1},
    {ADDR_P2P, "p2p", ADDR_PEER, -1},
    {ADDR_P2P, "ipfs", ADDR_PEER, -1}, /* read only: an alias of the line above */
    {443, "https", ADDR_NOTHING, 0},
    {444, "onion", ADDR_ONION, 12},
    {445, "onion3", ADDR_ONION, 37},
    {447, "garlic32", ADDR_GARLIC, -1},
    {ADDR_TLS, "tls", ADDR_NOTHING, 0},
    {ADDR_SNI, "sni", ADDR_NAME, -1},
    {454, "noise", ADDR_NOTHING, 0},
    {460, "quic", ADDR_NOTHING, 0},
    {ADDR_QUIC_V1, "quic-v1", ADDR_NOTHING, 0},
    {465, "webtransport", ADDR_NOTHING, 0},
    {466, "certhash", ADDR_HASH, -1},
    {ADDR_WS, "ws", ADDR_NOTHING, 0},
    {ADDR_WSS, "wss", ADDR_NOTHING, 0},
    {480, "http", ADDR_NOTHING, 0},
    {481, "http-path", ADDR_ESCAPED, -1},
    {777, "memory", ADDR_NUMBER, 8}, /* as go and rust; js writes text */
};
enum { ADDR_PROTOCOL_COUNT = sizeof ADDR_PROTOCOLS / sizeof ADDR_PROTOCOLS[0] };

const struct addr_protocol *sh_addr_by_name(sh_span name)
{
    for (size_t i = 0; i < ADDR_PROTOCOL_COUNT; i++) {
        if (sh_span_eq(name, sh_span_str(ADDR_PROTOCOLS[i].name))) {
            return &ADDR_PROTOCOLS[i];
        }
    }
    return NULL;
}

static const struct addr_protocol *addr_by_code(uint64_t code)
{
    for (size_t i = 0; i < ADDR_PROTOCOL_COUNT; i++) {
        if (ADDR_PROTOCOLS[i].code == code) {
            return &ADDR_PROTOCOLS[i];
        }
    }
    return NULL;
}

/* Text that can be printed as one segment and read back. */
static bool addr_text_ok(sh_span s, bool slash_too)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == '/' && !slash_too)) {
            return false;
        }
    }
    return s.n > 0 && sh_utf8_valid(s);
}

/* Of a socket: absolute, and no folder, whose slash at the end readers of text cut off. */
static bool addr_path_ok(sh_span s)
{
    return addr_text_ok(s, true) && s.p[0] == '/' && s.p[s.n - 1] != '/';
}

static bool addr_multihash_ok(sh_span s)
{
    sh_reader r = sh_reader_of(s);
    uint64_t code;
    sh_span digest;
    return sh_read_uvarint(&r, &code) == 0 && sh_read_prefixed(&r, &digest) == 0 &&
           sh_read_left(&r) == 0;
}

static bool addr_value_ok(const struct addr_part *part)
{
    sh_peer_id id;
    switch (part->protocol->value) {
    case ADDR_NOTHING:
    case ADDR_PORT:
    case ADDR_NUMBER:
    case ADDR_IPV4:
    case ADDR_IPV6: return true;
    case ADDR_ONION: return sh_load_u16be(part->value.p + part->value.n - 2) != 0;
    case ADDR_BYTE: return part->value.p[0] <= 128;
    case ADDR_NAME: return addr_text_ok(part->value, false);
    case ADDR_PATH: return addr_path_ok(part->value);
    case ADDR_ESCAPED: return part->value.n > 0;
    case ADDR_PEER: return sh_peer_id_from_bytes(&id, part->value) == 0;
    case ADDR_HASH: return addr_multihash_ok(part->value);
    case ADDR_GARLIC: return part->value.n == 32 || part->value.n >= 35;
    }
    return false;
}

int sh_addr_next(sh_reader *r, struct addr_part *part)
{
    if (sh_read_left(r) == 0) {
        return 0;
    }
    uint64_t code;
    if (sh_read_uvarint(r, &code) < 0) {
        return SH_E_BAD_ADDRESS;
    }
    part->protocol = addr_by_code(code);
    if (!part->protocol) {
        return SH_E_BAD_ADDRESS;
    }
    int fixed = part->protocol->bytes;
    int rc = fixed >= 0 ? sh_read_bytes(r, (size_t)fixed, &part->value)
                        : sh_read_prefixed(r, &part->value);
    if (part->protocol->value == ADDR_PATH && sh_read_left(r) > 0) {
        return SH_E_BAD_ADDRESS; /* in text a path takes all that follows: so nothing may follow */
    }
    return rc == 0 && addr_value_ok(part) ? 1 : SH_E_BAD_ADDRESS;
}

sh_reader sh_addr_reader(const sh_addr *a)
{
    return sh_reader_of(sh_span_of(a->b, a->n));
}

int sh_addr_from_bytes(sh_addr *a, sh_span bytes)
{
    sh_reader r = sh_reader_of(bytes);
    struct addr_part part;
    memset(a, 0, sizeof *a);
    if (bytes.n == 0 || bytes.n > SH_ADDR_BYTES_MAX) {
        return SH_E_BAD_ADDRESS;
    }
    int rc = 1;
    for (unsigned parts = 0; rc == 1; parts++) {
        rc = parts <= SH_MULTIADDR_PARTS_MAX ? sh_addr_next(&r, &part) : SH_E_BAD_ADDRESS;
    }
    if (rc < 0) {
        return rc;
    }
    memcpy(a->b, bytes.p, bytes.n);
    a->n = (uint16_t)bytes.n;
    return 0;
}

bool sh_addr_eq(const sh_addr *a, const sh_addr *b)
{
    return sh_span_eq(sh_span_of(a->b, a->n), sh_span_of(b->b, b->n));
}

/* --- what diallers and listeners need --- */

static bool addr_host_of(uint32_t code, enum sh_addr_host *host)
{
    switch (code) {
    case ADDR_IP4: *host = SH_HOST_IP4; return true;
    case ADDR_IP6: *host = SH_HOST_IP6; return true;
    case ADDR_DNS: *host = SH_HOST_DNS; return true;
    case ADDR_DNS4: *host = SH_HOST_DNS4; return true;
    case ADDR_DNS6: *host = SH_HOST_DNS6; return true;
    case ADDR_DNSADDR: *host = SH_HOST_DNSADDR; return true;
    }
    return false;
}

static int addr_host_read(const struct addr_part *part, struct sh_endpoint *out)
{
    if (!addr_host_of(part->protocol->code, &out->host)) {
        return SH_E_UNSUPPORTED; /* memory, unix, onion: well-formed, but nothing we can dial */
    }
    if (out->host == SH_HOST_IP4 || out->host == SH_HOST_IP6) {
        memcpy(out->ip, part->value.p, part->value.n);
        return 0;
    }
    if (part->value.n >= sizeof out->name) {
        return SH_E_BAD_ADDRESS;
    }
    memcpy(out->name, part->value.p, part->value.n);
    return 0;
}

/* One component behind the host. What is recognised but not spoken stays in out->transport. */
static int addr_transport_read(const struct addr_part *part, struct sh_endpoint *out)
{
    switch (part->protocol->code) {
    case ADDR_TCP:
        if (out->transport != SH_TRANSPORT_NONE || out->port != 0) {
            return SH_E_BAD_ADDRESS;
        }
        out->transport = SH_TRANSPORT_TCP;
        out->port = sh_load_u16be(part->value.p);
        return 0;
    case ADDR_P2P: out->has_peer = true; return sh_peer_id_from_bytes(&out->peer, part->value);
    case ADDR_UDP: out->port = sh_load_u16be(part->value.p); return SH_E_UNSUPPORTED;
    case ADDR_QUIC_V1: out->transport = SH_TRANSPORT_QUIC; return SH_E_UNSUPPORTED;
    case ADDR_WS:
        out->transport = out->transport == SH_TRANSPORT_WSS ? SH_TRANSPORT_WSS : SH_TRANSPORT_WS;
        return SH_E_UNSUPPORTED;
    case ADDR_TLS:
    case ADDR_WSS: out->transport = SH_TRANSPORT_WSS; return SH_E_UNSUPPORTED;
    }
    return SH_E_UNSUPPORTED;
}

int sh_addr_endpoint(const sh_addr *a, struct sh_endpoint *out)
{
    sh_reader r = sh_addr_reader(a);
    struct addr_part part;
    memset(out, 0, sizeof *out);
    if (sh_addr_next(&r, &part) != 1) {
        return SH_E_BAD_ADDRESS;
    }
    int result = addr_host_read(&part, out);
    int rc;
    while ((rc = sh_addr_next(&r, &part)) == 1 && result != SH_E_BAD_ADDRESS) {
        /* Behind /p2p/<id> come relayed addresses only. */
        int one = out->has_peer ? SH_E_UNSUPPORTED : addr_transport_read(&part, out);
        result = one < 0 && result == 0 ? one : result;
    }
    if (rc < 0) {
        return SH_E_BAD_ADDRESS;
    }
    bool needs_port = out->host != SH_HOST_DNSADDR && out->transport == SH_TRANSPORT_NONE;
    return result == 0 && needs_port ? SH_E_BAD_ADDRESS : result;
}

int sh_addr_from_ip(sh_addr *a, enum sh_addr_host host, const uint8_t *ip, uint16_t port)
{
    memset(a, 0, sizeof *a);
    if (host != SH_HOST_IP4 && host != SH_HOST_IP6) {
        return SH_E_BAD_ADDRESS;
    }
    sh_writer w = sh_writer_of(a->b, sizeof a->b);
    sh_put_uvarint(&w, host == SH_HOST_IP4 ? ADDR_IP4 : ADDR_IP6);
    sh_put_bytes(&w, sh_span_of(ip, host == SH_HOST_IP4 ? 4 : 16));
    sh_put_uvarint(&w, ADDR_TCP);
    sh_put_u16be(&w, port);
    a->n = (uint16_t)sh_put_len(&w);
    return 0;
}

void sh_addr_strip_peer(sh_addr *a)
{
    sh_reader r = sh_addr_reader(a);
    struct addr_part part;
    const uint8_t *start = r.p;
    const uint8_t *last = NULL;
    while (sh_addr_next(&r, &part) == 1) {
        last = part.protocol->code == ADDR_P2P ? start : NULL;
        start = r.p;
    }
    if (last) {
        size_t keep = (size_t)(last - a->b);
        memset(a->b + keep, 0, a->n - keep);
        a->n = (uint16_t)keep;
    }
}

int sh_addr_with_peer(sh_addr *a, const sh_peer_id *peer)
{
    sh_addr with = *a;
    sh_addr_strip_peer(&with);
    sh_writer w = sh_writer_of(with.b + with.n, sizeof with.b - with.n);
    sh_put_uvarint(&w, ADDR_P2P);
    sh_put_prefixed(&w, sh_peer_id_span(peer));
    if (w.overflow) {
        return SH_E_LIMIT;
    }
    with.n = (uint16_t)(with.n + sh_put_len(&w));
    *a = with;
    return 0;
}

/* The IP at the start as 16 bytes, IPv4 mapped; false: there is none. */
static bool addr_ip(const sh_addr *a, uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    sh_reader r = sh_addr_reader(a);
    struct addr_part part;
    if (sh_addr_next(&r, &part) != 1) {
        return false;
    }
    if (part.protocol->code == ADDR_IP4) {
        memcpy(ip, mapped, 12);
        memcpy(ip + 12, part.value.p, 4);
        return true;
    }
    if (part.protocol->code == ADDR_IP6) {
        memcpy(ip, part.value.p, 16);
        return true;
    }
    return false;
}

bool sh_addr_is_unspecified(const sh_addr *a)
{
    static const uint8_t any6[16] = {0};
    static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff};
    uint8_t ip[16];
    if (addr_ip(a, ip) && (memcmp(ip, any6, 16) == 0 || memcmp(ip, any4, 16) == 0)) {
        return true;
    }
    sh_reader r = sh_addr_reader(a);
    struct addr_part part;
    while (sh_addr_next(&r, &part) == 1) {
        if (part.protocol->value == ADDR_PORT && sh_load_u16be(part.value.p) == 0) {
            return true;
        }
    }
    return false;
}

bool sh_addr_is_loopback(const sh_addr *a)
{
    static const uint8_t one6[16] = {[15] = 1};
    static const uint8_t mapped127[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    uint8_t ip[16];
    return addr_ip(a, ip) && (memcmp(ip, one6, 16) == 0 || memcmp(ip, mapped127, 13) == 0);
}
