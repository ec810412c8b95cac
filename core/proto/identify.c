/* proto/identify.c - identify codec on protobuf-c. */
#include "proto/identify.h"

#include "base/varint.h"
#include "proto/arena.h"
#include "proto/identify.pb-c.h"

static bool identify_addr(ProtobufCBinaryData in, sh_addr *out)
{
    if (in.len > SH_ADDR_BYTES_MAX || sh_addr_from_bytes(out, sh_span_of(in.data, in.len)) != 0) {
        return false;
    }
    sh_addr_strip_peer(out);
    return out->n > 0;
}

static void identify_agent(sh_identify *id, const char *text)
{
    size_t n = 0;
    for (; text[n] && n < sizeof id->agent - 1; n++) {
        id->agent[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    }
    id->agent[n] = 0;
}

static void identify_merge(sh_identify *id, const Identify__Identify *m, const char *const *known,
                           unsigned known_count)
{
    for (size_t i = 0; i < m->n_listen_addrs && id->addr_count < SH_IDENTIFY_ADDRS_MAX; i++) {
        if (identify_addr(m->listen_addrs[i], &id->addrs[id->addr_count])) {
            id->addr_count++;
        }
    }
    size_t protocols = m->n_protocols < SH_PROTOCOLS_MAX ? m->n_protocols : SH_PROTOCOLS_MAX;
    for (size_t i = 0; i < protocols; i++) {
        for (unsigned k = 0; k < known_count; k++) {
            if (strcmp(m->protocols[i], known[k]) == 0) {
                id->spoken |= UINT64_C(1) << k;
            }
        }
        id->protocol_count++;
    }
    if (m->has_observed_addr) {
        id->has_observed = identify_addr(m->observed_addr, &id->observed);
    }
    if (m->agent_version) {
        identify_agent(id, m->agent_version);
    }
}

int sh_identify_decode(const sh_mem *mem, sh_span in, const char *const *known,
                       unsigned known_count, sh_identify *id)
{
    if (in.n > SH_IDENTIFY_MAX) {
        return SH_E_PROTO;
    }
    if (id->messages >= SH_IDENTIFY_MESSAGES_MAX) {
        return SH_E_LIMIT;
    }
    sh_arena *a = sh_arena_new(mem, 8192 + in.n * 24);
    if (!a) {
        return SH_E_NOMEM;
    }
    ProtobufCAllocator alloc = {sh_arena_take, sh_arena_drop, a};
    Identify__Identify *m = identify__identify__unpack(&alloc, in.n, in.p);
    if (m) {
        id->messages++;
        identify_merge(id, m, known, known_count);
    }
    sh_arena_free(mem, a);
    return m ? 0 : SH_E_PROTO;
}

static ProtobufCBinaryData identify_data(const void *p, size_t n)
{
    return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

int sh_identify_encode(const struct sh_identify_out *out, uint8_t *buf, size_t cap)
{
    static const char version[] = "shoal/1";
    ProtobufCBinaryData addrs[SH_IDENTIFY_ADDRS_MAX];
    char *protocols[SH_PROTOCOLS_MAX];
    Identify__Identify m = IDENTIFY__IDENTIFY__INIT;
    m.has_public_key = 1;
    m.public_key = identify_data(out->public_key.p, out->public_key.n);
    for (; m.n_listen_addrs < out->addr_count && m.n_listen_addrs < SH_IDENTIFY_ADDRS_MAX;
         m.n_listen_addrs++) {
        const sh_addr *addr = &out->addrs[m.n_listen_addrs];
        addrs[m.n_listen_addrs] = identify_data(addr->b, addr->n);
    }
    m.listen_addrs = addrs;
    for (; m.n_protocols < out->protocol_count && m.n_protocols < SH_PROTOCOLS_MAX;
         m.n_protocols++) {
        protocols[m.n_protocols] = (char *)(uintptr_t)out->protocols[m.n_protocols];
    }
    m.protocols = protocols;
    if (out->observed) {
        m.has_observed_addr = 1;
        m.observed_addr = identify_data(out->observed->b, out->observed->n);
    }
    m.protocol_version = (char *)(uintptr_t)version;
    m.agent_version = (char *)(uintptr_t)out->agent;
    size_t n = identify__identify__get_packed_size(&m);
    while (n > SH_IDENTIFY_FIRST_MAX || n + SH_UVARINT_MAX > cap) {
        if (m.n_listen_addrs == 0) {
            return SH_E_LIMIT;
        }
        m.n_listen_addrs--;
        n = identify__identify__get_packed_size(&m);
    }
    int prefix = sh_uvarint_put(buf, n);
    return prefix + (int)identify__identify__pack(&m, buf + prefix);
}
