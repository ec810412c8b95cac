/* identify.c - rows 28 to 33: what a peer says of itself and of others. */
#include "peer.h"

#include "base/varint.h"
#include "proto/identify.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t field(uint8_t *out, unsigned number, const void *bytes, size_t n)
{
    uint8_t tag = (uint8_t)(number << 3 | 2);
    out[0] = tag;
    int len = sh_uvarint_put(out + 1, n);
    memcpy(out + 1 + len, bytes, n);
    return 1 + (size_t)len + n;
}

static size_t address(uint8_t *out, uint32_t ip, uint16_t port)
{
    uint8_t b[8] = {4, 0, 0, 0, 0, 6};
    sh_store_u32be(b + 1, ip);
    sh_store_u16be(b + 6, port);
    return field(out, 2, b, 8);
}

/* A push of its own stream; true unless the stream was refused. */
static bool push(struct link *l, const uint8_t *body, size_t n)
{
    uint8_t length[9];
    struct stream *s = stream_agreed(l, "/ipfs/id/push/1.0.0");
    if (!s) {
        return false;
    }
    stream_send(l, s, length, (size_t)sh_uvarint_put(length, n));
    stream_send(l, s, body, n);
    link_put(l, DATA, FIN, s->id, 0, NULL, 0);
    return true;
}

/* What the victim tells others of a peer: how many addresses, or -1. */
static int told_of(const sh_peer_id *id, const uint8_t *last, bool *has)
{
    struct link *l = link_up(0x0909);
    struct sh_kad_msg m = {.type = SH_KAD_FIND_NODE, .key = sh_peer_id_span(id)}, got;
    int count = -1;
    if (l && kad_ask(l, &m, &got)) {
        count = 0;
        for (unsigned i = 0; i < got.closer_count; i++) {
            if (sh_peer_id_eq(&got.closer[i].id, id)) {
                count = got.closer[i].addr_count;
            }
            for (unsigned k = 0; has && k < got.closer[i].addr_count; k++) {
                sh_span a = got.closer[i].addrs[k];
                *has = *has || (a.n >= 8 && memcmp(a.p, last, 8) == 0);
            }
        }
        sh_kad_msg_free(sh_mem_system(), &got);
    }
    if (l) {
        link_close(l);
    }
    return count;
}

static const char *many_addresses(void)
{
    static uint8_t body[70000];
    struct link *l = link_up(1);
    if (!l || !link_alive(l)) {
        return "not accepted";
    }
    for (int part = 0; part < 12;
         part++) { /* addresses, then protocols; messages beyond the cap too */
        size_t n = 0, most = part < 10 ? 7900 : 60000;
        for (uint32_t i = 0; n < most; i++) {
            char name[32];
            snprintf(name, sizeof name, "/made/up/%d/%u", part, i);
            n += part % 2 ? field(body + n, 3, name, strlen(name))
                          : address(body + n, 0x7f640000 + i, (uint16_t)(1 + i));
        }
        push(l, body, n);
    }
    bool alive = link_alive(l);
    sh_peer_id id = l->id;
    int told = told_of(&id, NULL, NULL);
    link_close(l);
    note("%d addresses told on", told);
    return !alive                     ? "the connection ended"
           : told > SH_PEER_ADDRS_MAX ? "more than 16 addresses kept"
                                      : NULL;
}

/* Records of peers that do not exist: in identify (field 8) and as closer peers nobody asked for. */
static const char *invented_peers(void)
{
    static uint8_t body[8000];
    struct link *l = link_up(1);
    if (!l || !link_alive(l)) {
        return "not accepted";
    }
    for (int i = 0; i < 500; i++) {
        struct stream *s;
        size_t n = 0;
        for (int k = 0; k < 40; k++) {
            uint8_t record[150];
            sh_rng_fill(&rng, record, sizeof record);
            n += field(body + n, 8, record, sizeof record);
        }
        push(l, body, n);
        struct sh_kad_peer made[20] = {0};
        for (int k = 0; k < 20; k++) {
            made[k].id.n = 34;
            sh_rng_fill(&rng, made[k].id.b, 34);
            made[k].id.b[0] = 0x12;
            made[k].id.b[1] = 0x20;
            made[k].addrs[0] = sh_span_of("\x04\x0a\x00\x00\x01\x06\x10\x10", 8);
            made[k].addr_count = 1;
        }
        struct sh_kad_msg m = {.type = SH_KAD_FIND_NODE,
                               .key = sh_span_of(made[0].id.b, 34),
                               .closer_count = 20,
                               .closer = made};
        size_t len = kad_bytes(&m, body, sizeof body);
        if (i % 50 == 0 && (s = stream_agreed(l, "/kameo/registry/1.0.0"))) {
            stream_send(l, s, body, len);
            link_put(l, DATA, FIN, s->id, 0, NULL, 0);
        }
        l->stream_count = l->stream_count > 900 ? 0 : l->stream_count;
    }
    bool alive = link_alive(l);
    link_close(l);
    return alive ? NULL : "the connection ended";
}

static const char *push_storm(void)
{
    static uint8_t body[4000];
    size_t n = 0;
    unsigned taken = 0, refused = 0;
    for (uint32_t i = 0; i < 100; i++) {
        n += address(body + n, 0x7f640000 + i, 99);
    }
    struct link *l = link_up(1);
    if (!l || !link_alive(l)) {
        return "not accepted";
    }
    for (int i = 0; i < 300; i++) {
        struct stream *s = stream_agreed(l, "/ipfs/id/push/1.0.0");
        if (!s) {
            break;
        }
        uint8_t length[9];
        stream_send(l, s, length, (size_t)sh_uvarint_put(length, n));
        stream_send(l, s, body, n);
        link_put(l, DATA, FIN, s->id, 0, NULL, 0);
        for (uint64_t end = now_ms() + 1000; !s->fin && !s->reset && now_ms() < end;) {
            link_pump(l, 20);
        }
        taken += s->fin && !s->reset;
        refused += s->reset;
    }
    link_close(l);
    note("%u pushes taken, %u refused", taken, refused);
    return taken > 20      ? "more than 20 pushes were taken"
           : refused < 250 ? "too few were refused"
                           : NULL;
}

static const char *foreign_key(void)
{
    uint8_t body[256], key[36], seed[32];
    sh_identity other;
    sh_peer_id other_id;
    struct link *l = link_up(1);
    if (!l || !link_alive(l)) {
        return "not accepted";
    }
    sh_rng_fill(&rng, seed, 32);
    sh_identity_from_seed(&other, seed);
    sh_identity_public_proto(&other, key);
    sh_peer_id_from_key(&other_id, sh_span_of(key, 36));
    sh_identity_fini(&other);
    size_t n = field(body, 1, key, 36);
    n += address(body + n, 0x7f640909, 4444);
    push(l, body, n);
    link_alive(l);
    int told = told_of(&other_id, NULL, NULL);
    link_close(l);
    return told > 0 ? "an address was noted for a peer that never spoke" : NULL;
}

/* Addresses of a bystander: how often it is dialled. */
static const char *reflection(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    int bystander = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    unsigned dialled = 0;
    at.sin_addr.s_addr = htonl(0x7f630909);
    bind(bystander, (struct sockaddr *)&at, sizeof at);
    listen(bystander, 200);
    getsockname(bystander, (struct sockaddr *)&at, &n);
    for (unsigned i = 0; i < 30; i++) {
        static uint8_t body[2000];
        size_t used = 0;
        struct link *l = link_up(i + 1);
        if (!l || !link_alive(l)) {
            return "not accepted";
        }
        for (uint32_t k = 0; k < 60; k++) { /* the same place, and names of it that differ */
            used += address(body + used, 0x7f630909, ntohs(at.sin_port));
        }
        used += field(body + used, 3, "/kameo/registry/1.0.0", 21);
        push(l, body, used);
        link_alive(l);
        link_close(l);
    }
    for (uint64_t end = now_ms() + 1500; now_ms() < end; poll(NULL, 0, 20)) {
        for (int fd; (fd = accept(bystander, NULL, NULL)) >= 0; dialled++) {
            close(fd);
        }
    }
    close(bystander);
    note("30 peers sent us to it: dialled %u times", dialled);
    return dialled > 30 ? "a bystander is dialled more than once for each peer that named it"
                        : NULL;
}

static const char *stale_address(void)
{
    static uint8_t body[64];
    struct link *l = link_up(1);
    uint8_t fresh[8] = {4, 127, 100, 200, 200, 6, 0x22, 0xb8};
    bool has = false;
    if (!l || !link_alive(l)) {
        return "not accepted";
    }
    for (uint32_t i = 0; i < 6; i++) { /* fewer than the burst of pushes */
        size_t n = 0;
        for (uint32_t k = 0; k < 3; k++) {
            n += address(body + n, 0x7f640000 + i * 16 + k, 100);
        }
        push(l, body, n);
    }
    push(l, body, field(body, 2, fresh, 8));
    link_alive(l);
    int told = told_of(&l->id, fresh, &has);
    link_close(l);
    return !has ? failed("the newest address is not among the %d told", told) : NULL;
}

const struct row identify_rows[] = {{28, "thousands of addresses and protocols", many_addresses},
                                    {29, "records of invented peers", invented_peers},
                                    {30, "push storm", push_storm},
                                    {31, "another key in identify", foreign_key},
                                    {32, "dials reflected at a bystander", reflection},
                                    {33, "stale addresses", stale_address},
                                    {0, NULL, NULL}};
