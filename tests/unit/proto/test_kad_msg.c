/* Kademlia codec: every message two live Kameo nodes exchanged is read and written back with the same content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/sh_limits.h"
#include "base/text.h"
#include "base/varint.h"
#include "file.h"
#include "proto/kad_msg.h"

static void same_peers(const struct sh_kad_peer *a, unsigned na, const struct sh_kad_peer *b,
                       unsigned nb)
{
    assert_int_equal(na, nb);
    for (unsigned i = 0; i < na; i++) {
        assert_true(sh_peer_id_eq(&a[i].id, &b[i].id));
        assert_int_equal(a[i].connected, b[i].connected);
        assert_int_equal(a[i].addr_count, b[i].addr_count);
        for (unsigned k = 0; k < a[i].addr_count; k++) {
            assert_true(sh_span_eq(a[i].addrs[k], b[i].addrs[k]));
        }
    }
}

static void same_message(const struct sh_kad_msg *a, const struct sh_kad_msg *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(sh_span_eq(a->key, b->key));
    assert_int_equal(a->has_record, b->has_record);
    assert_true(sh_span_eq(a->record.key, b->record.key));
    assert_true(sh_span_eq(a->record.value, b->record.value));
    assert_true(sh_span_eq(a->record.publisher, b->record.publisher));
    assert_int_equal(a->record.ttl_s, b->record.ttl_s);
    same_peers(a->closer, a->closer_count, b->closer, b->closer_count);
    same_peers(a->provider, a->provider_count, b->provider, b->provider_count);
}

/* One message with its length; it must have the same length when we write it: fields in another order, no others. */
static void check_message(sh_span whole, bool reply)
{
    uint64_t n;
    uint8_t buf[SH_KAD_MESSAGE_MAX + 9];
    int prefix = sh_uvarint_get(whole, &n);
    assert_true(prefix > 0 && (size_t)prefix + n == whole.n);
    struct sh_kad_msg m, again;
    assert_int_equal(sh_kad_msg_decode(sh_mem_system(), sh_span_skip(whole, (size_t)prefix), &m),
                     0);
    m.reply = reply;
    int len = sh_kad_msg_encode(&m, buf, sizeof buf);
    assert_int_equal(len, whole.n);
    assert_int_equal(sh_kad_msg_decode(sh_mem_system(),
                                       sh_span_of(buf + prefix, (size_t)(len - prefix)), &again),
                     0);
    same_message(&m, &again);
    sh_kad_msg_free(sh_mem_system(), &m);
    sh_kad_msg_free(sh_mem_system(), &again);
}

static void test_vectors(void **state)
{
    (void)state;
    char *text = file_read(SHOAL_TESTS_DIR "/vectors/kameo/registry_exchanges.json");
    unsigned seen = 0;
    static const char *const fields[] = {"\"request\": \"", "\"response\": \""};
    for (int f = 0; f < 2; f++) {
        for (char *at = text; (at = strstr(at, fields[f])) != NULL;) {
            at += strlen(fields[f]);
            char *end = strchr(at, '"');
            uint8_t bytes[2048];
            int len = sh_hex_decode(sh_span_of(at, (size_t)(end - at)), bytes, sizeof bytes);
            assert_true(len >= 0);
            if (len > 0) { /* the empty answer to ADD_PROVIDER is the end of the stream */
                check_message(sh_span_of(bytes, (size_t)len), f == 1);
                seen++;
            }
        }
    }
    free(text);
    assert_true(seen > 20);
}

static sh_peer_id id_of(unsigned i)
{
    sh_peer_id id;
    uint8_t b[34] = {0x12, 0x20, (uint8_t)i, (uint8_t)(i >> 8)};
    assert_int_equal(sh_peer_id_from_bytes(&id, sh_span_of(b, sizeof b)), 0);
    return id;
}

static void test_trimmed_to_fit(void **state)
{
    (void)state;
    static uint8_t addr[200];
    struct sh_kad_peer closer[20], provider[30];
    for (unsigned i = 0; i < 30; i++) {
        provider[i] = (struct sh_kad_peer){.id = id_of(i), .addr_count = 2};
        provider[i].addrs[0] = provider[i].addrs[1] = sh_span_of(addr, sizeof addr);
    }
    for (unsigned i = 0; i < 20; i++) {
        closer[i] = (struct sh_kad_peer){.id = id_of(100 + i), .addr_count = 8};
        for (unsigned k = 0; k < 8; k++) {
            closer[i].addrs[k] = sh_span_of(addr, sizeof addr);
        }
    }
    struct sh_kad_msg m = {.type = SH_KAD_GET_PROVIDERS,
                           .closer = closer,
                           .closer_count = 20,
                           .provider = provider,
                           .provider_count = 30,
                           .reply = true},
                      out;
    uint8_t buf[SH_KAD_MESSAGE_MAX + 9];
    int n = sh_kad_msg_encode(&m, buf, sizeof buf);
    assert_true(n > 0 && n <= SH_KAD_MESSAGE_MAX + 3);
    uint64_t len;
    int prefix = sh_uvarint_get(sh_span_of(buf, (size_t)n), &len);
    assert_int_equal((uint64_t)prefix + len, n);
    assert_int_equal(
        sh_kad_msg_decode(sh_mem_system(), sh_span_of(buf + prefix, (size_t)len), &out), 0);
    assert_int_equal(out.provider_count, 30); /* what was asked for goes last */
    assert_true(out.closer_count < 20);
    sh_kad_msg_free(sh_mem_system(), &out);
    assert_int_equal(sh_kad_msg_encode(&m, buf, 8), SH_E_LIMIT);
}

/* SH_KAD_PEERS_MAX of each list, SH_KAD_PEER_ADDRS_MAX of each peer: what exceeds them is left out, in the order told. */
static void test_long_lists(void **state)
{
    (void)state;
    static const unsigned peers[] = {0, 1, SH_KAD_PEERS_MAX, SH_KAD_PEERS_MAX + 1};
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned addrs = SH_KAD_PEER_ADDRS_MAX; addrs < SH_KAD_PEER_ADDRS_MAX + 2; addrs++) {
            static uint8_t in[SH_KAD_MESSAGE_MAX];
            sh_writer w = sh_writer_of(in, sizeof in);
            struct sh_kad_msg m;
            sh_put_bytes(&w, sh_span_str("\x08\x03"));
            for (unsigned k = 0; k < 2 * peers[i]; k++) {
                sh_peer_id id = id_of(k);
                sh_put_u8(&w, k < peers[i] ? 0x42 : 0x4a); /* closer, provider */
                sh_put_uvarint(&w, 2u + id.n + addrs * 4);
                sh_put_u8(&w, 0x0a);
                sh_put_prefixed(&w, sh_peer_id_span(&id));
                for (unsigned a = 0; a < addrs; a++) {
                    sh_put_bytes(&w, sh_span_str("\x12\x02hi"));
                }
            }
            assert_int_equal(sh_kad_msg_decode(sh_mem_system(), sh_put_span(&w), &m), 0);
            unsigned kept = peers[i] < SH_KAD_PEERS_MAX ? peers[i] : SH_KAD_PEERS_MAX;
            assert_int_equal(m.closer_count, kept);
            assert_int_equal(m.provider_count, kept);
            for (unsigned k = 0; k < kept; k++) {
                sh_peer_id id = id_of(k);
                assert_true(sh_peer_id_eq(&m.closer[k].id, &id));
                assert_int_equal(m.closer[k].addr_count, SH_KAD_PEER_ADDRS_MAX);
            }
            sh_kad_msg_free(sh_mem_system(), &m);
        }
    }
}

/* SH_KAD_DECODE_MAX beside the few words of the arena, for the longest message; a shorter one takes less. */
static void test_memory_of_a_message(void **state)
{
    (void)state;
    static const uint8_t key[SH_KAD_MESSAGE_MAX];
    for (size_t less = 0; less < SH_KAD_MESSAGE_MAX; less += SH_KAD_MESSAGE_MAX / 4) {
        static uint8_t in[SH_KAD_MESSAGE_MAX];
        sh_mem_counter c;
        struct sh_kad_msg m;
        sh_writer w = sh_writer_of(in, sizeof in);
        sh_put_bytes(&w, sh_span_str("\x08\x03\x12"));
        sh_put_prefixed(&w, sh_span_of(key, SH_KAD_MESSAGE_MAX - less - 6));
        assert_int_equal(
            sh_kad_msg_decode(sh_mem_counted(&c, sh_mem_system()), sh_put_span(&w), &m), 0);
        size_t bytes = atomic_load(&c.live_bytes);
        assert_in_range(bytes, SH_KAD_MESSAGE_MAX - less, SH_KAD_DECODE_MAX + 64);
        assert_true(bytes >= SH_KAD_DECODE_MAX || less > 0);
        sh_kad_msg_free(&c.mem, &m);
        assert_int_equal(atomic_load(&c.live_blocks), 0);
    }
}

static void test_hostile(void **state)
{
    (void)state;
    static uint8_t many[SH_KAD_MESSAGE_MAX];
    struct sh_kad_msg m;
    sh_mem_counter c;
    const sh_mem *mem = sh_mem_counted(&c, sh_mem_system());
    for (size_t i = 0; i + 1 < sizeof many; i += 2) { /* 8,192 empty peers */
        many[i] = 0x42;
        many[i + 1] = 0;
    }
    int err = sh_kad_msg_decode(mem, sh_span_of(many, sizeof many), &m);
    if (err == 0) {
        assert_int_equal(m.closer_count, 0);
        sh_kad_msg_free(mem, &m);
    }
    assert_int_equal(atomic_load(&c.live_blocks), 0);
    static const struct {
        uint8_t b[12];
        size_t n;
        int err;
    } cases[] = {
        {{0x08, 0x06}, 2, SH_E_PROTO},                /* unknown type */
        {{0x12, 0x05, 'a'}, 3, SH_E_PROTO},           /* cut key */
        {{0x08, 0x04, 0x42, 0x02, 0x0a, 0x00}, 6, 0}, /* a peer without id: dropped */
        {{0x08, 0x04, 0x6a, 0x02, 'x', 'y'}, 6, 0},   /* unknown field */
        {{0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 12, SH_E_PROTO},
        {{0}, 0, 0}, /* PUT_VALUE without anything: the layer above refuses it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sh_kad_msg_decode(mem, sh_span_of(cases[i].b, cases[i].n), &m),
                         cases[i].err);
        assert_int_equal(m.closer_count, 0);
        sh_kad_msg_free(mem, &m);
    }
    static uint8_t big[SH_KAD_MESSAGE_MAX + 1];
    assert_int_equal(sh_kad_msg_decode(mem, sh_span_of(big, sizeof big), &m), SH_E_PROTO);
    atomic_store(&c.allocations, 0);
    atomic_store(&c.fail_at, 1);
    assert_int_equal(sh_kad_msg_decode(mem, sh_span_of(cases[2].b, cases[2].n), &m), SH_E_NOMEM);
    assert_int_equal(atomic_load(&c.live_blocks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),    cmocka_unit_test(test_trimmed_to_fit),
        cmocka_unit_test(test_long_lists), cmocka_unit_test(test_memory_of_a_message),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
