/* base/mp.c - the MessagePack walk. One table describes the 32 leading bytes c0..df; everything else
 * is a short form. */
#include "base/mp.h"

#include "base/sh_assert.h"
#include "base/text.h"

enum mp_kind { MP_BAD, MP_PLAIN, MP_INT, MP_TEXT, MP_BIN, MP_EXT, MP_LIST, MP_MAP };

struct mp_form {
    uint8_t kind;
    uint8_t
        length_bytes; /* width of the length field behind the leading byte; 0: length is fixed */
    uint8_t fixed;    /* then the body's length */
};

static const struct mp_form
    mp_forms
        [32] =
            {
                {MP_PLAIN, 0, 0}, {MP_BAD, 0, 0},   {MP_PLAIN, 0, 0},
                {MP_PLAIN, 0, 0},                                   /* nil, -, false, true */
                {MP_BIN, 1, 0},   {MP_BIN, 2, 0},   {MP_BIN, 4, 0}, /* bin 8 16 32 */
                {MP_EXT, 1, 0},   {MP_EXT, 2, 0},   {MP_EXT, 4, 0}, /* ext 8 16 32 */
                {MP_PLAIN, 0, 4}, {MP_PLAIN, 0, 8},                 /* float 32 64 */
                {MP_INT, 0, 1},   {MP_INT, 0, 2},   {MP_INT, 0, 4},
                {MP_INT, 0, 8}, /* uint 8 .. 64 */
                {MP_INT, 0, 1},   {MP_INT, 0, 2},   {MP_INT, 0, 4},
                {MP_INT, 0, 8}, /* int 8 .. 64 */
                {MP_EXT, 0, 1},   {MP_EXT, 0, 2},   {MP_EXT, 0, 4},
                {MP_EXT, 0, 8},   {MP_EXT, 0, 16},  {MP_TEXT, 1, 0},
                {MP_TEXT, 2, 0},  {MP_TEXT, 4, 0}, /* str 8 16 32 */
                {MP_LIST, 2, 0},  {MP_LIST, 4, 0},  {MP_MAP, 2, 0},
                {MP_MAP, 4, 0}, /* array, map 16 32 */
};

#define ONES_8  1, 1, 1, 1, 1, 1, 1, 1
#define NONE_8  0, 0, 0, 0, 0, 0, 0, 0
#define ONES_32 ONES_8, ONES_8, ONES_8, ONES_8
const uint8_t sh_mp_plain_bytes[256] = {
    ONES_32, ONES_32, ONES_32, ONES_32, /* 00..7f: the number itself */
    NONE_8,  NONE_8,  NONE_8,  NONE_8,  /* 80..9f: lists, maps */
    1,       0,       0,       0,       0, 0, 0, 0, NONE_8, NONE_8, NONE_8, /* a0: empty text */
    1,       0,       1,       1,       0, 0, 0, 0, /* nil, -, false, true */
    0,       0,       5,       9,       2, 3, 5, 9, /* float 32, 64; uint 8 .. 64 */
    2,       3,       5,       9,       0, 0, 0, 0, /* int 8 .. 64 */
    NONE_8,                                         /* d8..df */
    ONES_32,                                        /* e0..ff: the number itself */
};

/* One element without its children. */
struct mp_item {
    enum mp_kind kind;
    uint8_t ext_type;  /* of MP_EXT */
    uint64_t children; /* elements that follow inside it: of a map two an entry */
    sh_span body;      /* text, bytes, extension payload */
    size_t bytes;      /* head and body */
};

static struct mp_form mp_short_form(uint8_t lead)
{
    if (lead < 0x80 || lead >= 0xe0) {
        return (struct mp_form){MP_INT, 0, 0};
    }
    if (lead < 0x90) {
        return (struct mp_form){MP_MAP, 0, lead & 0x0f};
    }
    if (lead < 0xa0) {
        return (struct mp_form){MP_LIST, 0, lead & 0x0f};
    }
    return (struct mp_form){MP_TEXT, 0, lead & 0x1f};
}

/* A length field: 1, 2 or 4 bytes, big endian. */
static uint64_t mp_length(const uint8_t *p, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bytes; i++) {
        n = (n << 8) | p[i];
    }
    return n;
}

/* Reads the element at the start of s: 0, SH_E_MORE (cut short), SH_E_BAD_VALUE (byte c1). */
static int mp_read(sh_span s, struct mp_item *item)
{
    if (s.n == 0) {
        return SH_E_MORE;
    }
    uint8_t lead = s.p[0];
    struct mp_form form = lead >= 0xc0 && lead < 0xe0 ? mp_forms[lead - 0xc0] : mp_short_form(lead);
    if (form.kind == MP_BAD) {
        return SH_E_BAD_VALUE;
    }
    size_t head = 1u + form.length_bytes + (form.kind == MP_EXT ? 1u : 0u);
    if (head > s.n) {
        return SH_E_MORE;
    }
    uint64_t n = form.length_bytes ? mp_length(s.p + 1, form.length_bytes) : form.fixed;
    item->kind = (enum mp_kind)form.kind;
    item->ext_type = s.p[head - 1];
    item->children = 0;
    if (item->kind == MP_LIST || item->kind == MP_MAP) {
        item->children = item->kind == MP_MAP ? n * 2 : n;
        n = 0;
    }
    if (n > s.n - head || item->children > s.n - head - n) {
        return SH_E_MORE; /* every child takes at least a byte */
    }
    item->body = sh_span_of(s.p + head, (size_t)n);
    item->bytes = head + (size_t)n;
    return 0;
}

/* u64 actor, then a peer id: identity multihash or sha2-256, whose length says what it is. */
static bool mp_ref_ok(const struct mp_item *item)
{
    if (item->ext_type != SH_MP_EXT_REF || item->body.n < SH_MP_REF_MIN ||
        item->body.n > SH_MP_REF_MAX) {
        return false;
    }
    const uint8_t *id = item->body.p + 8;
    size_t n = item->body.n - 8;
    bool identity = id[0] == 0x00 && id[1] == n - 2;
    bool sha256 = id[0] == 0x12 && id[1] == 32 && n == 34;
    return identity || sha256;
}

static bool mp_item_ok(const struct mp_item *item, bool is_key)
{
    if (is_key && item->kind != MP_TEXT && item->kind != MP_INT) {
        return false;
    }
    if (item->kind == MP_TEXT) {
        return sh_utf8_valid(item->body);
    }
    return item->kind != MP_EXT || mp_ref_ok(item);
}

struct mp_level {
    uint64_t left; /* elements still to come */
    bool is_map;   /* then keys are those with an even number left */
};

/* Walks the first value of s; *at: bytes walked, or where it went wrong. */
static int mp_walk(sh_span s, uint32_t depth_max, size_t *at)
{
    struct mp_level stack[SH_MP_DEPTH_MAX + 1];
    uint32_t depth = 0;
    stack[0] = (struct mp_level){1, false};
    *at = 0;
    for (;;) {
        while (stack[depth].left == 0) {
            if (depth == 0) {
                return 0;
            }
            depth--;
        }
        struct mp_item item;
        bool is_key = stack[depth].is_map && stack[depth].left % 2 == 0;
        size_t plain = *at < s.n && !is_key ? sh_mp_plain_bytes[s.p[*at]] : 0;
        if (plain && plain <= s.n - *at) { /* most of what is sent */
            stack[depth].left--;
            *at += plain;
            continue;
        }
        int rc = mp_read(sh_span_of(s.n ? s.p + *at : s.p, s.n - *at), &item);
        if (rc == SH_E_MORE) {
            *at = s.n;
        }
        if (rc || !mp_item_ok(&item, is_key)) {
            return SH_E_BAD_VALUE;
        }
        bool opens = item.kind == MP_LIST || item.kind == MP_MAP;
        if (opens && depth == depth_max) {
            return SH_E_BAD_VALUE;
        }
        stack[depth].left--;
        *at += item.bytes;
        if (opens) {
            stack[++depth] = (struct mp_level){item.children, item.kind == MP_MAP};
        }
    }
}

/* One run of bytes: what most large messages carry, without the walk. */
static bool mp_bytes_value(sh_span v)
{
    switch (v.n ? v.p[0] : 0) {
    case 0xc4: return v.n >= 2 && v.n == 2u + v.p[1];
    case 0xc5: return v.n >= 3 && v.n == 3u + sh_load_u16be(v.p + 1);
    case 0xc6: return v.n >= 5 && v.n == 5u + (size_t)sh_load_u32be(v.p + 1);
    default: return false;
    }
}

int sh_mp_check(sh_span value, uint32_t depth_max, size_t *bad_at)
{
    size_t at = 0;
    SH_ASSERT(depth_max <= SH_MP_DEPTH_MAX);
    if (sh_mp_is_plain(value) || mp_bytes_value(value)) {
        return 0;
    }
    int rc = mp_walk(value, depth_max, &at);
    if (rc == 0 && at != value.n) {
        rc = SH_E_BAD_VALUE; /* bytes behind the value */
    }
    if (rc && bad_at) {
        *bad_at = at;
    }
    return rc;
}

int64_t sh_mp_skip(sh_span s)
{
    size_t at = 0;
    int rc = mp_walk(s, SH_MP_DEPTH_MAX, &at);
    return rc ? rc : (int64_t)at;
}

bool sh_mp_refs_next(sh_mp_refs *it, sh_span *payload)
{
    while (it->at < it->value.n) {
        struct mp_item item;
        if (mp_read(sh_span_skip(it->value, it->at), &item)) {
            it->at = it->value.n;
            return false;
        }
        it->at += item.bytes;
        if (item.kind == MP_EXT && mp_ref_ok(&item)) {
            *payload = item.body;
            return true;
        }
    }
    return false;
}
