/* tests/unit/proto/test_frame.c - the native frames against tests/vectors/native, in any split, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mp.h"
#include "base/rng.h"
#include "base/text.h"
#include "proto/frame.h"
#include "proto/frame_reader.h"

#define ACTOR UINT64_C(0x0000000700000001)
#define OTHER UINT64_C(0x1122334400000002)
#define S(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define TO_ACTOR(a)                                                                                \
    {                                                                                              \
        .kind = SH_WHO_ACTOR, .actor = (a)                                                         \
    }
#define TO_ENTRY(k)                                                                                \
    {                                                                                              \
        .kind = SH_WHO_ENTRY, .entry = (k)                                                         \
    }

static const uint8_t peer_bytes[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, 0x8a, 0x88, 0xe3, 0xdd,
                                     0x74, 0x09, 0xf1, 0x95, 0xfd, 0x52, 0xdb, 0x2d, 0x3c, 0xba,
                                     0x5d, 0x72, 0xca, 0x67, 0x09, 0xbf, 0x1d, 0x94, 0x12, 0x1b,
                                     0xf3, 0x74, 0x88, 0x01, 0xb4, 0x0f, 0x6f, 0x5c};
#define TO_THIRD(a)                                                                                \
    {                                                                                              \
        .kind = SH_WHO_THIRD, .actor = (a), .peer = { peer_bytes, sizeof peer_bytes }              \
    }

static const struct {
    const char *name;
    struct sh_frame f;
} vectors[] = {
    {"hello",
     {.type = SH_FRAME_HELLO,
      .version = 1,
      .incarnation = 0x0123456789abcdef,
      .number = 1,
      .message_max = 1048576}},
    {"hello_answer",
     {.type = SH_FRAME_HELLO,
      .version = 1,
      .incarnation = 0xfedcba9876543210,
      .number = 3,
      .answers = 1,
      .message_max = 1048576}},
    {"intern_name", {.type = SH_FRAME_INTERN, .table = 0, .entry = 0, .name = S("inc")}},
    {"intern_yours", {.type = SH_FRAME_INTERN, .table = 1, .entry = 5, .target = TO_ACTOR(ACTOR)}},
    {"intern_mine",
     {.type = SH_FRAME_INTERN, .table = 2, .entry = 4095, .target = TO_ACTOR(OTHER)}},
    {"tell_plain",
     {.type = SH_FRAME_TELL,
      .target = TO_ACTOR(ACTOR),
      .name = S("inc"),
      .value = S("\x81\xa6"
                 "amount\x01")}},
    {"tell_interned",
     {.type = SH_FRAME_TELL,
      .target = TO_ENTRY(5),
      .other = TO_ENTRY(4095),
      .name_known = true,
      .name_entry = 0,
      .value = S("\x07")}},
    {"tell_nil",
     {.type = SH_FRAME_TELL, .target = TO_ENTRY(0), .name_known = true, .name_entry = 1023}},
    {"tell_third_sender",
     {.type = SH_FRAME_TELL,
      .target = TO_ACTOR(ACTOR),
      .other = TO_THIRD(OTHER),
      .name = S("hi"),
      .value = S("\xc0")}},
    {"ask",
     {.type = SH_FRAME_ASK,
      .call = 1,
      .left_ms = 5000,
      .target = TO_ENTRY(5),
      .other = TO_ENTRY(0),
      .name_known = true,
      .value = S("\x2a")}},
    {"ask_node",
     {.type = SH_FRAME_ASK,
      .call = 300,
      .left_ms = 1,
      .name = S("info"),
      .value = S("\xa5"
                 "peers")}},
    {"reply_value", {.type = SH_FRAME_REPLY, .call = 1, .flags = 1, .value = S("\xcd\x03\xe8")}},
    {"reply_nil", {.type = SH_FRAME_REPLY, .call = 128}},
    {"reply_timeout",
     {.type = SH_FRAME_REPLY,
      .call = 2,
      .flags = 1,
      .code = SH_E_TIMEOUT,
      .delivery = SH_NOT_SENT,
      .text = S("not begun in time")}},
    {"reply_handler",
     {.type = SH_FRAME_REPLY,
      .call = 3,
      .code = SH_E_HANDLER,
      .delivery = SH_HANDLED,
      .text = S("no such item"),
      .type_text = S("KeyError"),
      .value = S("\xa3"
                 "foo")}},
    {"credit",
     {.type = SH_FRAME_CREDIT,
      .target = TO_ENTRY(7),
      .messages = 16,
      .bytes = 4096,
      .wider = 960,
      .asks = 3}},
    {"credit_node", {.type = SH_FRAME_CREDIT, .messages = 1, .bytes = 200, .asks = 1}},
    {"lost",
     {.type = SH_FRAME_LOST,
      .target = TO_ACTOR(ACTOR),
      .name = S("inc"),
      .count = 2,
      .code = SH_E_NOT_RUNNING,
      .text = S("the actor has stopped")}},
    {"drain", {.type = SH_FRAME_DRAIN, .call = 4, .target = TO_ACTOR(ACTOR)}},
    {"cancel", {.type = SH_FRAME_CANCEL, .call = 3}},
    {"watch_link",
     {.type = SH_FRAME_WATCH,
      .call = 5,
      .target = TO_ACTOR(ACTOR),
      .other = TO_ACTOR(OTHER),
      .flags = 1}},
    {"watch_renewed", {.type = SH_FRAME_WATCH, .call = 6, .target = TO_ENTRY(0), .flags = 2}},
    {"unwatch",
     {.type = SH_FRAME_UNWATCH, .target = TO_ACTOR(ACTOR), .other = TO_ACTOR(OTHER), .flags = 1}},
    {"death",
     {.type = SH_FRAME_DEATH,
      .target = TO_ACTOR(OTHER),
      .other = TO_ACTOR(ACTOR),
      .kind = SH_ERROR,
      .text = S("division by zero")}},
    {"death_cause",
     {.type = SH_FRAME_DEATH,
      .target = TO_ACTOR(OTHER),
      .other = TO_ACTOR(ACTOR),
      .kind = SH_LINK_DIED,
      .cause = TO_THIRD(OTHER)}},
    {"goodbye", {.type = SH_FRAME_GOODBYE, .left_ms = 5000, .text = S("closing")}},
};
enum { VECTORS = sizeof vectors / sizeof vectors[0], FRAME_BYTES = 4096 };

/* Reads "name hex" lines; calls row for each; returns how many. */
static int each_vector(const char *file, void (*row)(const char *name, sh_span frame))
{
    char path[512];
    snprintf(path, sizeof path, "%s/vectors/native/%s", SHOAL_TESTS_DIR, file);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    static char line[3 * FRAME_BYTES];
    int rows = 0;
    while (fgets(line, sizeof line, in)) {
        char *space = strchr(line, ' ');
        if (line[0] == '#' || !space) {
            continue;
        }
        *space = '\0';
        uint8_t bytes[FRAME_BYTES];
        int n = sh_hex_decode(sh_span_of(space + 1, strcspn(space + 1, "\n")), bytes, sizeof bytes);
        assert_true(n > 0);
        uint8_t *exact = malloc((size_t)n); /* exact size: a sanitizer sees any over-read */
        memcpy(exact, bytes, (size_t)n);
        row(line, sh_span_of(exact, (size_t)n));
        free(exact);
        rows++;
    }
    fclose(in);
    return rows;
}

static const struct sh_frame *vector_of(const char *name)
{
    for (size_t i = 0; i < VECTORS; i++) {
        if (strcmp(vectors[i].name, name) == 0) {
            return &vectors[i].f;
        }
    }
    fail_msg("no struct for vector %s", name);
    return NULL;
}

static void assert_who(const struct sh_frame_who *a, const struct sh_frame_who *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->entry, b->entry);
    assert_true(a->actor == b->actor);
    assert_true(sh_span_eq(a->peer, b->peer));
}

static void assert_frame(const struct sh_frame *a, const struct sh_frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->delivery, b->delivery);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->table, b->table);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->entry, b->entry);
    assert_true(a->call == b->call && a->left_ms == b->left_ms && a->count == b->count);
    assert_true(a->incarnation == b->incarnation && a->number == b->number);
    assert_true(a->answers == b->answers && a->message_max == b->message_max);
    assert_true(a->messages == b->messages && a->bytes == b->bytes && a->wider == b->wider &&
                a->asks == b->asks);
    assert_int_equal(a->name_known, b->name_known);
    assert_int_equal(a->name_entry, b->name_entry);
    assert_true(sh_span_eq(a->name, b->name));
    assert_true(sh_span_eq(a->text, b->text));
    assert_true(sh_span_eq(a->type_text, b->type_text));
    assert_true(sh_span_eq(a->value, b->value));
    assert_who(&a->other, &b->other);
    assert_who(&a->cause, &b->cause);
    struct sh_frame_who want = b->target;
    if (b->type == SH_FRAME_INTERN && b->table == SH_TABLE_NAMES) {
        want = (struct sh_frame_who){0};
    }
    assert_who(&a->target, &want);
}

static void row_encodes(const char *name, sh_span frame)
{
    uint8_t buf[FRAME_BYTES];
    int n = sh_frame_put(vector_of(name), buf, sizeof buf);
    if (n != (int)frame.n || memcmp(buf, frame.p, frame.n) != 0) {
        fail_msg("%s is encoded differently", name);
    }
    for (size_t cap = 0; cap < frame.n; cap++) {
        int cut = sh_frame_put(vector_of(name), buf, cap);
        assert_true(cut == SH_E_LIMIT);
    }
}

static void row_decodes(const char *name, sh_span frame)
{
    sh_frame_reader r;
    sh_frame_reader_init(&r, sh_mem_system(), NULL, FRAME_BYTES);
    sh_span in = frame, body;
    assert_int_equal(sh_frame_reader_next(&r, &in, &body), 1);
    assert_int_equal(in.n, 0);
    struct sh_frame f = {0}; /* of a message only its own fields are set */
    assert_int_equal(sh_frame_decode(body, &f), 0);
    assert_frame(&f, vector_of(name));
    assert_int_equal(sh_frame_reader_next(&r, &in, &body), 0);
    sh_frame_reader_fini(&r);
}

/* Every field but the last may be cut: never accepted, never read past. */
static void row_cut(const char *name, sh_span frame)
{
    const struct sh_frame *f = vector_of(name);
    size_t least = frame.n - f->value.n;
    for (size_t n = 1; n + 1 < least; n++) {
        uint8_t *exact = malloc(n);
        memcpy(exact, frame.p + 1, n);
        struct sh_frame out;
        assert_int_equal(sh_frame_decode(sh_span_of(exact, n), &out), SH_E_PROTO);
        free(exact);
    }
}

static uint8_t stream[64 * FRAME_BYTES];
static size_t stream_n;

static void row_append(const char *name, sh_span frame)
{
    (void)name;
    memcpy(stream + stream_n, frame.p, frame.n);
    stream_n += frame.n;
}

static void feed_all(sh_rng *rng, size_t step)
{
    sh_quota quota;
    sh_quota_init(&quota, NULL, 1 << 16);
    sh_frame_reader r;
    sh_frame_reader_init(&r, sh_mem_system(), &quota, FRAME_BYTES);
    size_t at = 0, seen = 0;
    while (at < stream_n) {
        size_t n = rng ? 1 + (size_t)sh_rng_below(rng, step) : step;
        n = n < stream_n - at ? n : stream_n - at;
        uint8_t *exact = malloc(n);
        memcpy(exact, stream + at, n);
        sh_span in = sh_span_of(exact, n), body;
        while (sh_frame_reader_next(&r, &in, &body) == 1) {
            struct sh_frame f = {0};
            assert_int_equal(sh_frame_decode(body, &f), 0);
            assert_frame(&f, &vectors[seen++ % VECTORS].f);
        }
        assert_int_equal(in.n, 0);
        assert_int_equal(r.err, 0);
        free(exact);
        at += n;
    }
    assert_int_equal(seen, VECTORS);
    sh_frame_reader_fini(&r);
    assert_int_equal(quota.used, 0);
}

static void test_encode(void **state)
{
    (void)state;
    assert_int_equal(each_vector("frames.txt", row_encodes), VECTORS);
}

static void test_decode(void **state)
{
    (void)state;
    assert_int_equal(each_vector("frames.txt", row_decodes), VECTORS);
    each_vector("frames.txt", row_cut);
}

static void test_any_split(void **state)
{
    (void)state;
    stream_n = 0;
    each_vector("frames.txt", row_append);
    feed_all(NULL, 1);
    feed_all(NULL, 2);
    feed_all(NULL, 7);
    feed_all(NULL, sizeof stream);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        sh_rng_seeded s;
        sh_rng rng = sh_rng_seeded_init(&s, seed);
        feed_all(&rng, 1 + (size_t)(seed % 97));
    }
}

static void row_refused(const char *name, sh_span frame)
{
    for (size_t step = 1; step <= frame.n;
         step = step == 1 && frame.n > 1 ? frame.n : frame.n + 1) {
        sh_frame_reader r;
        sh_frame_reader_init(&r, sh_mem_system(), NULL, FRAME_BYTES);
        int err = 0;
        for (size_t at = 0; at < frame.n && !err; at += step) {
            sh_span in = sh_span_take(sh_span_skip(frame, at), step), body;
            int got = sh_frame_reader_next(&r, &in, &body);
            struct sh_frame f;
            err = got < 0 ? got : got == 1 ? sh_frame_decode(body, &f) : 0;
        }
        if (err != SH_E_PROTO) {
            fail_msg("%s is accepted: %d", name, err);
        }
        sh_frame_reader_fini(&r);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    assert_true(each_vector("malformed.txt", row_refused) > 25);
}

static void test_unknown_and_longer(void **state)
{
    (void)state;
    struct sh_frame f;
    assert_int_equal(sh_frame_decode(sh_span_of("\x0e", 1), &f), 1);
    assert_int_equal(sh_frame_decode(sh_span_of("\x10\xff\xff", 3), &f), 1);
    assert_int_equal(sh_frame_decode(sh_span_of("\xff", 1), &f), 1);
    /* bytes behind the last field belong to a later version */
    assert_int_equal(sh_frame_decode(sh_span_of("\x09\x03later", 7), &f), 0);
    assert_true(f.call == 3);
    assert_int_equal(sh_frame_decode(sh_span_none(), &f), SH_E_PROTO);
}

/* SH_MP_DEPTH_MAX lists inside each other are a value, one more is malformed. */
static void test_deep_value(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        uint8_t value[SH_MP_DEPTH_MAX + 2], buf[256];
        unsigned depth = SH_MP_DEPTH_MAX + over;
        memset(value, 0x91, depth);
        value[depth] = 0xc0;
        struct sh_frame f = {.type = SH_FRAME_TELL,
                             .target = TO_ACTOR(ACTOR),
                             .name = S("hi"),
                             .value = sh_span_of(value, depth + 1)},
                        got;
        int n = sh_frame_put(&f, buf, sizeof buf);
        assert_true(n > 0 && buf[0] == n - 1);
        int rc = sh_frame_decode(sh_span_of(buf + 1, (size_t)n - 1), &got);
        assert_int_equal(rc, over ? SH_E_PROTO : 0);
        assert_int_equal(sh_mp_skip(f.value), over ? SH_E_BAD_VALUE : (int)depth + 1);
    }
}

static void test_limits(void **state)
{
    (void)state;
    sh_quota quota;
    sh_quota_init(&quota, NULL, 1000);
    sh_span body;
    struct {
        const char *bytes;
        size_t n;
        size_t length_max;
        int want;
    } rows[] = {
        {"\x80\x10", 2, 2047, SH_E_PROTO}, /* 2048 is too long */
        {"\x80\x10", 2, 2048, SH_E_LIMIT}, /* allowed, but the quota has 1000 */
        {"\xe7\x07", 2, 2048, 0},          /* 999 */
        {"\xff\xff\xff\xff\x7f", 5, 2048, SH_E_PROTO},
        {"\x80\x80\x80\x80", 4, SIZE_MAX, SH_E_PROTO}, /* a length of five bytes */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sh_frame_reader r;
        sh_frame_reader_init(&r, sh_mem_system(), &quota, rows[i].length_max);
        sh_span in = sh_span_of(rows[i].bytes, rows[i].n);
        assert_int_equal(sh_frame_reader_next(&r, &in, &body), rows[i].want);
        in = sh_span_of("x", 1);
        assert_int_equal(sh_frame_reader_next(&r, &in, &body), rows[i].want);
        sh_frame_reader_fini(&r);
        assert_int_equal(quota.used, 0);
    }
    sh_mem_counter counter = {0};
    const sh_mem *mem = sh_mem_counted(&counter, sh_mem_system());
    atomic_store(&counter.fail_at, 1);
    sh_frame_reader r;
    sh_frame_reader_init(&r, mem, &quota, 2048);
    sh_span in = sh_span_of("\xe7\x07", 2);
    assert_int_equal(sh_frame_reader_next(&r, &in, &body), SH_E_NOMEM);
    sh_frame_reader_fini(&r);
    assert_int_equal(quota.used, 0);
    /* our own mistakes are codes too */
    uint8_t buf[64];
    struct sh_frame f = {.type = 99};
    assert_int_equal(sh_frame_put(&f, buf, sizeof buf), SH_E_BAD_VALUE);
    f = (struct sh_frame){.type = SH_FRAME_REPLY, .code = SH_E_PROTO};
    assert_int_equal(sh_frame_put(&f, buf, sizeof buf), SH_E_BAD_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deep_value),
        cmocka_unit_test(test_unknown_and_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
