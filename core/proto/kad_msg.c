/* proto/kad_msg.c - Kademlia codec on protobuf-c: structs of ours in, structs of ours out. */
#include "proto/kad_msg.h"

#include "base/varint.h"
#include "proto/arena.h"
#include "proto/kad_msg.pb-c.h"

static sh_span kad_span(ProtobufCBinaryData d)
{
    return sh_span_of(d.data, d.len);
}

static unsigned kad_peers(sh_arena *a, Kad__Peer **in, size_t n, struct sh_kad_peer **out)
{
    n = n < SH_KAD_PEERS_MAX ? n : SH_KAD_PEERS_MAX;
    struct sh_kad_peer *peers = sh_arena_take(a, n * sizeof *peers);
    unsigned count = 0;
    for (size_t i = 0; peers && i < n; i++) {
        struct sh_kad_peer *p = &peers[count];
        memset(p, 0, sizeof *p);
        if (sh_peer_id_from_bytes(&p->id, kad_span(in[i]->id)) != 0) {
            continue;
        }
        p->connected = in[i]->connection == 1;
        for (size_t k = 0; k < in[i]->n_addrs && p->addr_count < SH_KAD_PEER_ADDRS_MAX; k++) {
            p->addrs[p->addr_count++] = kad_span(in[i]->addrs[k]);
        }
        count++;
    }
    *out = peers;
    return count;
}

/* What a decoded message of n bytes may need: every byte pair can become an entry of its own. */
static size_t kad_arena_bytes(size_t n)
{
    size_t want = 16384 + n * 32;
    return want < SH_KAD_DECODE_MAX ? want : SH_KAD_DECODE_MAX;
}

int sh_kad_msg_decode(const sh_mem *mem, sh_span in, struct sh_kad_msg *out)
{
    memset(out, 0, sizeof *out);
    if (in.n > SH_KAD_MESSAGE_MAX) {
        return SH_E_PROTO;
    }
    size_t cap = kad_arena_bytes(in.n);
    sh_arena *a = sh_arena_new(mem, cap);
    if (!a) {
        return SH_E_NOMEM;
    }
    ProtobufCAllocator alloc = {sh_arena_take, sh_arena_drop, a};
    Kad__Message *m = kad__message__unpack(&alloc, in.n, in.p);
    if (!m || m->type < SH_KAD_PUT_VALUE || m->type > SH_KAD_PING) {
        sh_arena_free(mem, a);
        return SH_E_PROTO;
    }
    out->owned = a;
    out->type = (enum sh_kad_type)m->type;
    out->key = kad_span(m->key);
    if (m->record) {
        out->has_record = true;
        out->record = (struct sh_kad_record){
            .key = kad_span(m->record->key),
            .value = kad_span(m->record->value),
            .publisher = kad_span(m->record->publisher),
            .ttl_s = m->record->ttl,
        };
    }
    out->closer_count = kad_peers(a, m->closer, m->n_closer, &out->closer);
    out->provider_count = kad_peers(a, m->provider, m->n_provider, &out->provider);
    return 0;
}

void sh_kad_msg_free(const sh_mem *mem, struct sh_kad_msg *m)
{
    sh_arena_free(mem, m->owned);
    memset(m, 0, sizeof *m);
}

/* Room on the stack for the protobuf-c form of the peers of one message. */
struct kad_rows {
    Kad__Peer peers[2 * SH_KAD_PEERS_MAX];
    Kad__Peer *at[2 * SH_KAD_PEERS_MAX];
    ProtobufCBinaryData addrs[2 * SH_KAD_PEERS_MAX][SH_KAD_PEER_ADDRS_MAX];
};

static ProtobufCBinaryData kad_data(sh_span s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static void kad_row(struct kad_rows *rows, unsigned at, const struct sh_kad_peer *p)
{
    Kad__Peer *row = &rows->peers[at];
    kad__peer__init(row);
    row->id = kad_data(sh_peer_id_span(&p->id));
    for (unsigned i = 0; i < p->addr_count; i++) {
        rows->addrs[at][i] = kad_data(p->addrs[i]);
    }
    row->addrs = rows->addrs[at];
    row->n_addrs = p->addr_count;
    row->connection = p->connected ? 1 : 0;
    rows->at[at] = row;
}

/* Makes the message one step smaller; false: there is nothing left to drop. */
static bool kad_trim(Kad__Message *m)
{
    if (m->n_closer > 0) {
        m->n_closer--;
        return true;
    }
    for (size_t i = m->n_provider; i > 0; i--) {
        if (m->provider[i - 1]->n_addrs > 1) {
            m->provider[i - 1]->n_addrs--;
            return true;
        }
    }
    if (m->n_provider > 0) {
        m->n_provider--;
        return true;
    }
    return false;
}

int sh_kad_msg_encode(const struct sh_kad_msg *m, uint8_t *buf, size_t cap)
{
    struct kad_rows rows;
    Kad__Message out = KAD__MESSAGE__INIT;
    Kad__Record record = KAD__RECORD__INIT;
    out.type = (int32_t)m->type;
    out.key = kad_data(m->key);
    /* PUT_VALUE has no level: so does Kameo write it. */
    out.level = m->type == SH_KAD_PUT_VALUE ? 0 : m->reply ? 9 : 10;
    if (m->has_record) {
        record.key = kad_data(m->record.key);
        record.value = kad_data(m->record.value);
        record.publisher = kad_data(m->record.publisher);
        record.ttl = m->record.ttl_s;
        out.record = &record;
    }
    unsigned closer = m->closer_count < SH_KAD_PEERS_MAX ? m->closer_count : SH_KAD_PEERS_MAX;
    unsigned provider = m->provider_count < SH_KAD_PEERS_MAX ? m->provider_count : SH_KAD_PEERS_MAX;
    for (unsigned i = 0; i < closer; i++) {
        kad_row(&rows, i, &m->closer[i]);
    }
    for (unsigned i = 0; i < provider; i++) {
        kad_row(&rows, SH_KAD_PEERS_MAX + i, &m->provider[i]);
    }
    out.closer = rows.at;
    out.n_closer = closer;
    out.provider = rows.at + SH_KAD_PEERS_MAX;
    out.n_provider = provider;
    size_t n = kad__message__get_packed_size(&out);
    while (n > SH_KAD_MESSAGE_MAX || n + SH_UVARINT_MAX > cap) {
        if (!kad_trim(&out)) {
            return SH_E_LIMIT;
        }
        n = kad__message__get_packed_size(&out);
    }
    int prefix = sh_uvarint_put(buf, n);
    return prefix + (int)kad__message__pack(&out, buf + prefix);
}
