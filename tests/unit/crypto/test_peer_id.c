/* Peer ids in all their forms. */
#include "vectors.h"

#include "crypto/keys.h"
#include "crypto/peer_id.h"

static char *file;

static int load(void **state)
{
    (void)state;
    file = vectors_load("libp2p_identity.txt");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static sh_span text_of(const char *type, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s_%s", type, what);
    return vectors_text(file, name);
}

static void ids_of_the_spec_keys(void **state)
{
    static const char *const types[] = {"ed25519", "secp256k1", "rsa"};
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        uint8_t key[1200];
        char name[64], text[SH_PEER_ID_TEXT_MAX];
        sh_peer_id id, other;
        snprintf(name, sizeof name, "%s_public", types[i]);
        sh_span k = vectors_hex(file, name, key, sizeof key);
        assert_int_equal(sh_peer_id_from_key(&id, k), 0);
        int n = sh_peer_id_text(&id, text);
        assert_span_equal(sh_span_of(text, (size_t)n), text_of(types[i], "id"));
        static const char *const forms[] = {"id", "cid32", "cid36"};
        for (size_t f = 0; f < COUNT(forms); f++) {
            assert_int_equal(sh_peer_id_parse(&other, text_of(types[i], forms[f])), 0);
            assert_true(sh_peer_id_eq(&id, &other));
            assert_memory_equal(&id, &other, sizeof id);
        }
        assert_int_equal(sh_peer_id_from_bytes(&other, sh_peer_id_span(&id)), 0);
        assert_int_equal(sh_peer_id_cmp(&id, &other), 0);
        assert_span_equal(sh_peer_id_key(&id), i < 2 ? k : sh_span_none());
    }
    for (int i = 1; i <= 3; i++) {
        uint8_t key[1200];
        char name[64], text[SH_PEER_ID_TEXT_MAX];
        sh_peer_id id;
        snprintf(name, sizeof name, "tls_%d_key", i);
        assert_int_equal(sh_peer_id_from_key(&id, vectors_hex(file, name, key, sizeof key)), 0);
        snprintf(name, sizeof name, "tls_%d_id", i);
        int n = sh_peer_id_text(&id, text);
        assert_span_equal(sh_span_of(text, (size_t)n), vectors_text(file, name));
    }
}

static void more_texts_of_the_spec(void **state)
{
    uint8_t want[64];
    sh_peer_id a, b;
    (void)state;
    assert_int_equal(
        sh_peer_id_parse(&a, sh_span_str("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")), 0);
    assert_int_equal(
        sh_peer_id_parse(
            &b, sh_span_str("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe")),
        0);
    assert_true(sh_peer_id_eq(&a, &b));
    assert_int_equal(
        sh_peer_id_parse(&a, sh_span_str("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")),
        0);
    assert_int_equal(sh_peer_id_parse(&a, vectors_text(file, "multihash_sha256_id")), 0);
    assert_span_equal(sh_peer_id_span(&a),
                      vectors_hex(file, "multihash_sha256", want, sizeof want));
    assert_int_equal(sh_peer_id_parse(&a, vectors_text(file, "rsa_id")), 0);
    assert_span_equal(sh_peer_id_span(&a), vectors_hex(file, "rsa_multihash", want, sizeof want));
    assert_int_equal(sh_peer_id_parse(&a, vectors_text(file, "ed25519_id")), 0);
    uint8_t kad[32];
    assert_int_equal(sh_peer_id_kad_key(&a, kad), 0);
    assert_span_equal(sh_span_of(kad, 32), vectors_hex(file, "ed25519_kad", want, sizeof want));
}

static void refuses(void **state)
{
    static const char *const texts[] = {
        "",
        "1",
        "Qm",
        "12D3KooW",
        "Q",
        "b",
        "k",
        "bafz",
        "z12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SAA",
        "bAFZBEIE5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
        "Bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
        "bafybeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", /* codec dag-pb */
        "11111111111111111111111111111111111111111111111111111111111111111111111111111111"};
    static const char *const bytes[] = {
        "",
        "00",
        "0000",
        "1220",
        "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2",
        "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27"
        "eff",
        "0024080212201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27"
        "e", /* secp256k1 of 32 bytes */
        "0024090112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27"
        "e",
        "1120b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
        "121fb6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04c",
        "1221b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccdff",
        "0020b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd"};
    sh_peer_id id;
    uint8_t buf[64];
    char text[SH_PEER_ID_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (sh_peer_id_parse(&id, sh_span_str(texts[i])) != SH_E_BAD_VALUE || id.n) {
            fail_msg("takes %s", texts[i]);
        }
    }
    for (size_t i = 0; i < COUNT(bytes); i++) {
        if (sh_peer_id_from_bytes(&id, check_hex(bytes[i], buf, sizeof buf)) != SH_E_PROTO ||
            id.n) {
            fail_msg("takes %s", bytes[i]);
        }
    }
    assert_int_equal(sh_peer_id_from_key(&id, check_hex("0801120101", buf, sizeof buf)),
                     SH_E_PROTO);
    assert_int_equal(sh_peer_id_text(&id, text), 0);
    assert_string_equal(text, "");
    sh_peer_id full = {.n = SH_PEER_ID_MAX};
    memset(full.b, 0xff, sizeof full.b);
    assert_true(sh_peer_id_text(&full, text) < SH_PEER_ID_TEXT_MAX);
}

/* Five identities of a live Kameo 0.22 node, from seed to DHT key. */
static void kameo_identities(void **state)
{
    char *json = vectors_load("kameo/identity.json");
    const char *at = json;
    int count = 0;
    (void)state;
    for (sh_span s = vectors_json(&at, "ed25519_seed"); s.n;
         s = vectors_json(&at, "ed25519_seed"), count++) {
        uint8_t seed[32], want[64], proto[36], kad[32];
        char text[SH_PEER_ID_TEXT_MAX];
        sh_identity key;
        sh_peer_id id;
        assert_int_equal(sh_hex_decode(s, seed, sizeof seed), 32);
        assert_int_equal(sh_identity_from_seed(&key, seed), 0);
        assert_int_equal(sh_hex_decode(vectors_json(&at, "ed25519_public"), want, sizeof want), 32);
        assert_memory_equal(key.public_key, want, 32);
        sh_identity_public_proto(&key, proto);
        assert_int_equal(sh_hex_decode(vectors_json(&at, "public_key_protobuf"), want, sizeof want),
                         36);
        assert_memory_equal(proto, want, 36);
        assert_int_equal(sh_peer_id_from_key(&id, sh_span_of(proto, 36)), 0);
        assert_int_equal(sh_hex_decode(vectors_json(&at, "peer_id"), want, sizeof want), id.n);
        assert_memory_equal(id.b, want, id.n);
        int n = sh_peer_id_text(&id, text);
        assert_span_equal(sh_span_of(text, (size_t)n), vectors_json(&at, "peer_id_text"));
        assert_int_equal(sh_peer_id_kad_key(&id, kad), 0);
        assert_int_equal(
            sh_hex_decode(vectors_json(&at, "kademlia_key_sha256_of_peer_id"), want, sizeof want),
            32);
        assert_memory_equal(kad, want, 32);
        sh_identity_fini(&key);
    }
    assert_int_equal(count, 5);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_the_spec_keys),
        cmocka_unit_test(more_texts_of_the_spec),
        cmocka_unit_test(refuses),
        cmocka_unit_test(kameo_identities),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
