/* registry.c - rows 35 to 46: names in the DHT. Rows 34 and 36 are simulated (1,000 nodes), see docs/threat-model.md. */
#include "peer.h"

#include "base/varint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sh_kad_peer me(const struct link *l)
{
    struct sh_kad_peer p = {.id = l->id, .addr_count = 1};
    p.addrs[0] = sh_span_of("\x04\x7f\x64\x01\x01\x06\x10\x10", 8);
    return p;
}

static void provide(struct link *l, const char *name, const struct sh_kad_peer *who)
{
    struct sh_kad_peer p = *who;
    struct sh_kad_msg m = {
        .type = SH_KAD_ADD_PROVIDER, .key = sh_span_str(name), .provider_count = 1, .provider = &p};
    kad_tell(l, &m);
}

/* How many providers the victim names, and whether id is among them. */
static int providers(const char *name, const sh_peer_id *id, bool *has)
{
    struct link *l = link_up(0x0909);
    struct sh_kad_msg m = {.type = SH_KAD_GET_PROVIDERS, .key = sh_span_str(name)}, got;
    int count = -1;
    if (l && kad_ask(l, &m, &got)) {
        count = (int)got.provider_count;
        for (unsigned i = 0; id && i < got.provider_count; i++) {
            *has = *has || sh_peer_id_eq(&got.provider[i].id, id);
        }
        sh_kad_msg_free(sh_mem_system(), &got);
    }
    if (l) {
        link_close(l);
    }
    return count;
}

/* Says to every question what the victim wants to hear: identify names the DHT, the DHT names strangers. */
static void serve(struct link *l, struct stream *s)
{
    static uint8_t out[SH_KAD_MESSAGE_MAX + 64];
    size_t n = 0;
    if (strcmp(s->proto, "/ipfs/id/1.0.0") == 0 && !s->fin) {
        static const uint8_t card[] =
            "\x1a\x15/kameo/registry/1.0.0\x12\x08\x04\x7f\x64\x01\x01\x06\x10\x10";
        out[0] = sizeof card - 1;
        memcpy(out + 1, card, sizeof card - 1);
        link_put(l, DATA, FIN, s->id, sizeof card, out, sizeof card);
        s->fin = true;
        return;
    }
    uint64_t len;
    int prefix = sh_uvarint_get(sh_span_of(s->in, s->n), &len);
    if (strcmp(s->proto, "/kameo/registry/1.0.0") != 0 || prefix < 0 ||
        s->n < (size_t)prefix + len) {
        return;
    }
    struct sh_kad_msg ask;
    if (sh_kad_msg_decode(sh_mem_system(), sh_span_of(s->in + prefix, (size_t)len), &ask) == 0) {
        static struct sh_kad_peer made[200];
        struct sh_kad_msg m = {
            .type = ask.type, .reply = true, .closer_count = 200, .closer = made};
        for (int k = 0; k < 200; k++) {
            made[k].id.n = 34;
            sh_rng_fill(&rng, made[k].id.b, 34);
            made[k].id.b[0] = 0x12;
            made[k].id.b[1] = 0x20;
            made[k].addr_count = 1;
            made[k].addrs[0] = sh_span_of("\x04\x7f\x64\x01\x01\x06\x00\x09", 8);
        }
        n = kad_bytes(&m, out, sizeof out);
        sh_kad_msg_free(sh_mem_system(), &ask);
        link_put(l, DATA, 0, s->id, (uint32_t)n, out, n);
    }
    s->n = 0;
}

/* 200 identities that all claim to be DHT servers, some of them answering every question with 200 invented peers. The conductor lets the
 * victim look names up meanwhile (dialling "lookup"). */
static const char *eclipse(void)
{
    enum { PEERS = 200 };
    static struct link *l[PEERS];
    unsigned ups = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        l[i] = link_up(i << 8 | 1);
        if (l[i]) {
            l[i]->serve = serve;
            ups++;
        }
    }
    printf("{\"lookup\": \"no such name\"}\n");
    fflush(stdout);
    for (uint64_t end = now_ms() + 2500; now_ms() < end;) {
        for (unsigned i = 0; i < PEERS; i++) {
            if (l[i]) {
                link_pump(l[i], 0);
            }
        }
    }
    const char *error = stranger_served();
    bool has = false;
    int count = providers("echo", &victim.peer, &has);
    for (unsigned i = 0; i < PEERS; i++) {
        if (l[i]) {
            link_close(l[i]);
        }
    }
    note("%u identities; %d holders of echo", ups, count);
    return error ? error : has ? NULL : "a name of the victim's own is not found any more";
}

static const char *foreign_provider(void)
{
    struct link *l = link_up(1), *other = link_up(2);
    if (!l || !other) {
        return "not accepted";
    }
    struct sh_kad_peer them = me(other), own = me(l);
    bool has = false, mine = false;
    provide(l, "atk37", &them);
    provide(l, "atk37b", &own);
    link_alive(l);
    int count = providers("atk37", &other->id, &has);
    providers("atk37b", &l->id, &mine);
    link_close(l);
    link_close(other);
    return count != 0 || has ? "a record for somebody else is kept"
           : !mine           ? "an own record is not kept"
                             : NULL;
}

/* 80 identities on one name: those beyond the cap are dropped, the victim's own registration stays. */
static const char *squatting(void)
{
    for (unsigned i = 0; i < 80; i++) {
        struct link *l = link_up(1 + i);
        if (!l) {
            return "not accepted";
        }
        struct sh_kad_peer own = me(l);
        provide(l, "echo", &own);
        link_alive(l);
        link_close(l);
    }
    bool has = false;
    int count = providers("echo", &victim.peer, &has);
    note("%d holders told", count);
    return !has                               ? "the victim's own name is squatted away"
           : count > SH_KAD_PROVIDERS_MAX + 1 ? "too many holders"
                                              : NULL;
}

static const char *key_flood(void)
{
    struct link *l = link_up(1);
    struct stream *s = l ? stream_agreed(l, "/kameo/registry/1.0.0") : NULL;
    uint8_t buf[800];
    char name[400];
    if (!s) {
        return "not accepted";
    }
    struct sh_kad_peer own = me(l);
    memset(name, 'k', sizeof name);
    for (int i = 0; i < 4 * SH_RECORD_PUBLISHER_MAX && !l->dead && !s->reset; i++) {
        snprintf(name + 380, 20, "%d", i);
        struct sh_kad_msg m = {.type = SH_KAD_ADD_PROVIDER,
                               .key = sh_span_of(name, 396),
                               .provider_count = 1,
                               .provider = &own};
        stream_send(l, s, buf, kad_bytes(&m, buf, sizeof buf));
        if (i % 100 == 0) {
            link_pump(l, 0);
        }
    }
    link_alive(l);
    bool late = false;
    providers(name, &l->id, &late);
    link_close(l);
    return late ? "four times the names of a peer are kept" : NULL;
}

static const char *length_prefix(void)
{
    static const uint8_t prefixes[][10] = {
        {0x81, 0x80, 0x01},
        {0xff, 0xff, 0xff, 0xff, 0x0f},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}};
    static const char *const protos[] = {"/kameo/registry/1.0.0", "/ipfs/id/push/1.0.0",
                                         "/shoal/actor/1.0.0"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct link *l = link_up(1);
            struct stream *s = l ? stream_agreed(l, protos[k]) : NULL;
            if (!s) {
                return "no stream";
            }
            stream_send(l, s, prefixes[i], i == 0 ? 3 : i == 1 ? 5 : i == 2 ? 9 : 10);
            bool ended = stream_reset(l, s, 3000);
            link_close(l);
            if (!ended) {
                return failed("%s: length %zu is waited for", protos[k], i);
            }
        }
    }
    return NULL;
}

static const char *endless_answers(void)
{
    return eclipse();
}

/* The text form of a registration's key: name, ":meta:", peer id. */
static size_t meta_key(char *out, size_t cap, const char *name, const sh_peer_id *id)
{
    char text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(id, text);
    return (size_t)snprintf(out, cap, "%s:meta:%s", name, text);
}

static bool value_kept(struct link *l, sh_span key)
{
    struct sh_kad_msg m = {.type = SH_KAD_GET_VALUE, .key = key}, got;
    if (!kad_ask(l, &m, &got)) {
        return false;
    }
    bool kept = got.has_record;
    sh_kad_msg_free(sh_mem_system(), &got);
    return kept;
}

static void value_put(struct link *l, sh_span key, sh_span value, uint32_t ttl_s)
{
    struct sh_kad_msg m = {.type = SH_KAD_PUT_VALUE, .key = key, .has_record = true}, got;
    m.record = (struct sh_kad_record){key, value, sh_peer_id_span(&l->id), ttl_s};
    if (kad_ask(l, &m, &got)) {
        sh_kad_msg_free(sh_mem_system(), &got);
    }
}

static size_t registration(uint8_t *out, const sh_peer_id *id)
{
    memset(out, 0, 9);
    out[0] = id->n;
    memcpy(out + 9, id->b, id->n);
    memcpy(out + 9 + id->n, "type", 4);
    return 13u + id->n;
}

static const char *ttl_overflow(void)
{
    struct link *l = link_up(1);
    char key[200];
    uint8_t value[100];
    static const uint32_t ttls[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
    if (!l) {
        return "not accepted";
    }
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++) {
        size_t n = meta_key(key, sizeof key, "atk42", &l->id);
        value_put(l, sh_span_of(key, n), sh_span_of(value, registration(value, &l->id)), ttls[i]);
        if (!value_kept(l, sh_span_of(key, n))) {
            return failed("ttl %u: not kept", ttls[i]);
        }
    }
    /* a varint of 2^63 and a negative one where the ttl stands */
    static const uint8_t raw[] = {0x12, 0x08, 0,    0x12, 0x00, 0x1a, 0x0c, 0xc8, 0x30, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct stream *s = stream_agreed(l, "/kameo/registry/1.0.0");
    if (s) {
        stream_send(l, s, raw, sizeof raw);
    }
    bool alive = link_alive(l);
    link_close(l);
    return alive ? NULL : "the connection ended";
}

static const char *short_registration(void)
{
    struct link *l = link_up(1);
    char key[200];
    uint8_t value[2000];
    if (!l) {
        return "not accepted";
    }
    size_t n = meta_key(key, sizeof key, "atk43", &l->id), whole = registration(value, &l->id);
    for (size_t cut = 0; cut < whole - 4; cut++) { /* the type id may be empty */
        value_put(l, sh_span_of(key, n), sh_span_of(value, cut), 100);
    }
    static const uint8_t lengths[] = {0, 1, 200, 255};
    for (size_t i = 0; i < 4; i++) {
        value[0] = lengths[i];
        value_put(l, sh_span_of(key, n), sh_span_of(value, whole), 100);
    }
    value[0] = l->id.n;
    memset(value + whole, 'x', sizeof value - whole);
    value_put(l, sh_span_of(key, n), sh_span_of(value, SH_KAD_VALUE_MAX + 1), 100);
    bool kept = value_kept(l, sh_span_of(key, n));
    value_put(l, sh_span_of(key, n), sh_span_of(value, whole), 100);
    bool whole_kept = value_kept(l, sh_span_of(key, n));
    link_close(l);
    return kept ? "a malformed registration is kept" : !whole_kept ? "a good one is not" : NULL;
}

static const char *name_tricks(void)
{
    static char text[600];
    static uint8_t long_key[3000];
    struct link *l = link_up(1);
    if (!l) {
        return "not accepted";
    }
    struct sh_kad_peer own = me(l);
    char key[300];
    uint8_t value[100];
    size_t n = registration(value, &l->id);
    sh_peer_id none = {.n = 38, .b = {0, 36, 8, 1, 18, 32, 1}};
    size_t k = meta_key(key, sizeof key, "x:meta:y", &l->id); /* the first mark counts */
    value_put(l, sh_span_of(key, k), sh_span_of(value, n), 100);
    bool kept = value_kept(l, sh_span_of(key, k));
    k = meta_key(key, sizeof key, "", &l->id);
    value_put(l, sh_span_of(key, k), sh_span_of(value, n), 100);
    kept = kept || value_kept(l, sh_span_of(key, k));
    k = meta_key(key, sizeof key, "echo", &none); /* under somebody else's id */
    value_put(l, sh_span_of(key, k), sh_span_of(value, n), 100);
    kept = kept || value_kept(l, sh_span_of(key, k));
    if (kept) {
        return "a value under a trick name is kept";
    }
    static const char *const names[] = {"", "\xff\xfe", "a\xc0\x80z", "\xed\xa0\x80",
                                        "\xe2\x80\xae"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        provide(l, names[i], &own);
    }
    memset(long_key, 'k', sizeof long_key);
    memset(text, 'n', 520);
    struct sh_kad_msg m = {.type = SH_KAD_ADD_PROVIDER,
                           .key = sh_span_of(long_key, sizeof long_key),
                           .provider_count = 1,
                           .provider = &own};
    kad_tell(l, &m);
    m.key = sh_span_of("nul\0nul", 7);
    kad_tell(l, &m);
    link_alive(l);
    bool has = false;
    providers("\xff\xfe", &l->id, &has);
    providers(text, &l->id, &has);
    bool alive = link_alive(l);
    link_close(l);
    return has     ? "a name that is not UTF-8, or too long, is kept"
           : alive ? NULL
                   : "the connection ended";
}

const struct row registry_rows[] = {{35, "eclipse by 200 identities", eclipse},
                                    {37, "provider record for somebody else", foreign_provider},
                                    {38, "squatted name", squatting},
                                    {39, "key flood", key_flood},
                                    {40, "oversized length prefix", length_prefix},
                                    {41, "answers with 200 invented peers", endless_answers},
                                    {42, "TTL overflow", ttl_overflow},
                                    {43, "malformed registration", short_registration},
                                    {44, "name tricks", name_tricks},
                                    {0, NULL, NULL}};
