/* abi/value.c - reads values: a cursor over MessagePack bytes, no tree, no allocation.
 *
 * Safe on any bytes: what is malformed or of another kind is SHOAL_E_BAD_VALUE or kind NONE. */
#include <string.h>

#include "base/mp.h"
#include "shoal.h"

/* The head of one value: its kind, its size in the head, and where the content starts. */
struct head {
    int kind;
    size_t header;   /* bytes before the content */
    uint64_t count;  /* text, bytes, ref: bytes of content; list, map: items or pairs */
    bool negative;   /* INT: number is the two's complement of a negative one */
    uint64_t number; /* INT; BOOL: 0 or 1; FLOAT: its bits, of a float 64 */
};

static uint64_t load_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static uint64_t float_bits(const uint8_t *p, size_t n)
{
    double d;
    uint64_t bits = load_be(p, n);
    if (n == 4) {
        uint32_t narrow = (uint32_t)bits;
        float f;
        memcpy(&f, &narrow, sizeof f);
        d = (double)f;
        memcpy(&bits, &d, sizeof bits);
    }
    return bits;
}

/* The formats with a fixed head byte 0xc0 .. 0xdf; extra: bytes that follow the head byte. */
static const struct {
    uint8_t kind, extra;
} fixed_heads[32] = {
    [0x00] = {SHOAL_KIND_NIL, 0},   [0x02] = {SHOAL_KIND_BOOL, 0},  [0x03] = {SHOAL_KIND_BOOL, 0},
    [0x04] = {SHOAL_KIND_BYTES, 1}, [0x05] = {SHOAL_KIND_BYTES, 2}, [0x06] = {SHOAL_KIND_BYTES, 4},
    [0x07] = {SHOAL_KIND_REF, 1},   [0x08] = {SHOAL_KIND_REF, 2},   [0x09] = {SHOAL_KIND_REF, 4},
    [0x0a] = {SHOAL_KIND_FLOAT, 4}, [0x0b] = {SHOAL_KIND_FLOAT, 8}, [0x0c] = {SHOAL_KIND_INT, 1},
    [0x0d] = {SHOAL_KIND_INT, 2},   [0x0e] = {SHOAL_KIND_INT, 4},   [0x0f] = {SHOAL_KIND_INT, 8},
    [0x10] = {SHOAL_KIND_INT, 1},   [0x11] = {SHOAL_KIND_INT, 2},   [0x12] = {SHOAL_KIND_INT, 4},
    [0x13] = {SHOAL_KIND_INT, 8},   [0x14] = {SHOAL_KIND_REF, 0},   [0x15] = {SHOAL_KIND_REF, 0},
    [0x16] = {SHOAL_KIND_REF, 0},   [0x17] = {SHOAL_KIND_REF, 0},   [0x18] = {SHOAL_KIND_REF, 0},
    [0x19] = {SHOAL_KIND_TEXT, 1},  [0x1a] = {SHOAL_KIND_TEXT, 2},  [0x1b] = {SHOAL_KIND_TEXT, 4},
    [0x1c] = {SHOAL_KIND_LIST, 2},  [0x1d] = {SHOAL_KIND_LIST, 4},  [0x1e] = {SHOAL_KIND_MAP, 2},
    [0x1f] = {SHOAL_KIND_MAP, 4},
};

static struct head head_fixed(const uint8_t *p, size_t n)
{
    unsigned at = p[0] - 0xc0u;
    struct head h = {.kind = fixed_heads[at].kind, .header = 1 + (size_t)fixed_heads[at].extra};
    bool ext = p[0] >= 0xc7 && p[0] <= 0xc9, fixext = p[0] >= 0xd4 && p[0] <= 0xd8;
    if (n < h.header + (ext || fixext ? 1 : 0)) {
        return (struct head){0};
    }
    uint64_t number = load_be(p + 1, h.header - 1);
    switch (h.kind) {
    case SHOAL_KIND_BOOL: h.number = p[0] & 1u; break;
    case SHOAL_KIND_INT:
        if (p[0] >= 0xd0) { /* int 8 .. 64: extend the sign */
            unsigned shift = 64u - 8u * fixed_heads[at].extra;
            number = (uint64_t)((int64_t)(number << shift) >> shift);
            h.negative = (int64_t)number < 0;
        }
        h.number = number;
        break;
    case SHOAL_KIND_FLOAT: h.number = float_bits(p + 1, h.header - 1); break;
    case SHOAL_KIND_REF:
        h.count = fixext ? 1u << (p[0] - 0xd4) : number;
        h.header += 1;
        h.kind = p[h.header - 1] == SH_MP_EXT_REF ? SHOAL_KIND_REF : SHOAL_KIND_NONE;
        break;
    default: h.count = number; break;
    }
    return h;
}

static struct head head_read(shoal_bytes value)
{
    const uint8_t *p = value.data;
    if (!value.len) {
        return (struct head){.kind = p ? SHOAL_KIND_NONE : SHOAL_KIND_NIL};
    }
    struct head h = {.header = 1};
    if (p[0] <= 0x7f) {
        h.kind = SHOAL_KIND_INT, h.number = p[0];
    } else if (p[0] <= 0x8f) {
        h.kind = SHOAL_KIND_MAP, h.count = p[0] & 0x0fu;
    } else if (p[0] <= 0x9f) {
        h.kind = SHOAL_KIND_LIST, h.count = p[0] & 0x0fu;
    } else if (p[0] <= 0xbf) {
        h.kind = SHOAL_KIND_TEXT, h.count = p[0] & 0x1fu;
    } else if (p[0] >= 0xe0) {
        h.kind = SHOAL_KIND_INT, h.negative = true, h.number = (uint64_t)(int64_t)(int8_t)p[0];
    } else {
        h = head_fixed(p, value.len);
    }
    bool sized =
        h.kind == SHOAL_KIND_TEXT || h.kind == SHOAL_KIND_BYTES || h.kind == SHOAL_KIND_REF;
    if (sized && h.count > value.len - h.header) {
        return (struct head){0};
    }
    return h;
}

/* Past the end: data is not NULL, so that it is not nil. */
static shoal_bytes none_value(void)
{
    return (shoal_bytes){"", 0};
}

shoal_bytes shoal_nil(void)
{
    return (shoal_bytes){NULL, 0};
}

int shoal_kind(shoal_bytes value)
{
    return head_read(value).kind;
}

int shoal_as_bool(shoal_bytes value, bool *out)
{
    struct head h = head_read(value);
    if (h.kind != SHOAL_KIND_BOOL) {
        return SHOAL_E_BAD_VALUE;
    }
    *out = h.number != 0;
    return 0;
}

int shoal_as_i64(shoal_bytes value, int64_t *out)
{
    const uint8_t *p = value.data;
    if (value.len && p[0] <= 0x7f) { /* most are small */
        *out = p[0];
        return 0;
    }
    struct head h = head_read(value);
    if (h.kind != SHOAL_KIND_INT || (!h.negative && h.number > INT64_MAX)) {
        return SHOAL_E_BAD_VALUE;
    }
    *out = (int64_t)h.number;
    return 0;
}

int shoal_as_u64(shoal_bytes value, uint64_t *out)
{
    struct head h = head_read(value);
    if (h.kind != SHOAL_KIND_INT || h.negative) {
        return SHOAL_E_BAD_VALUE;
    }
    *out = h.number;
    return 0;
}

int shoal_as_f64(shoal_bytes value, double *out)
{
    struct head h = head_read(value);
    if (h.kind == SHOAL_KIND_FLOAT) {
        memcpy(out, &h.number, sizeof *out);
        return 0;
    }
    if (h.kind != SHOAL_KIND_INT) {
        return SHOAL_E_BAD_VALUE;
    }
    uint64_t size = h.negative ? 0 - h.number : h.number;
    if (size > (uint64_t)1 << 53) {
        return SHOAL_E_BAD_VALUE;
    }
    *out = h.negative ? -(double)size : (double)size;
    return 0;
}

static int as_sized(shoal_bytes value, int kind, shoal_bytes *out)
{
    struct head h = head_read(value);
    if (h.kind != kind) {
        return SHOAL_E_BAD_VALUE;
    }
    *out = (shoal_bytes){(const uint8_t *)value.data + h.header, (size_t)h.count};
    return 0;
}

int shoal_as_text(shoal_bytes value, shoal_bytes *out)
{
    return as_sized(value, SHOAL_KIND_TEXT, out);
}

int shoal_as_bytes(shoal_bytes value, shoal_bytes *out)
{
    return as_sized(value, SHOAL_KIND_BYTES, out);
}

int64_t shoal_count(shoal_bytes value)
{
    struct head h = head_read(value);
    bool counted = h.kind == SHOAL_KIND_LIST || h.kind == SHOAL_KIND_MAP;
    return counted ? (int64_t)h.count : SHOAL_E_BAD_VALUE;
}

/* The first value of rest; rest goes past it. kind NONE (len 0, data not NULL) when it is
 * malformed. */
static shoal_bytes take_value(shoal_bytes *rest)
{
    int64_t n = rest->len ? sh_mp_skip((sh_span){rest->data, rest->len}) : 0;
    if (n <= 0) {
        rest->len = 0;
        return none_value();
    }
    shoal_bytes value = {rest->data, (size_t)n};
    rest->data = (const uint8_t *)rest->data + n;
    rest->len -= (size_t)n;
    return value;
}

/* A rest that shoal_next has begun carries its kind in the top bits of len: no value is that long.
 */
#define REST_LIST ((size_t)1 << (sizeof(size_t) * 8 - 1))
#define REST_MAP  ((size_t)1 << (sizeof(size_t) * 8 - 2))

/* From the whole value to its items; bytes behind the value are left out. */
static int next_begin(shoal_bytes *rest)
{
    struct head h = head_read(*rest);
    if (h.kind != SHOAL_KIND_LIST && h.kind != SHOAL_KIND_MAP) {
        return SHOAL_E_BAD_VALUE;
    }
    int64_t n = sh_mp_skip((sh_span){rest->data, rest->len});
    if (n <= 0) {
        return SHOAL_E_BAD_VALUE;
    }
    rest->data = (const uint8_t *)rest->data + h.header;
    rest->len = ((size_t)n - h.header) | (h.kind == SHOAL_KIND_MAP ? REST_MAP : REST_LIST);
    return 0;
}

int shoal_next(shoal_bytes *rest, shoal_bytes *key, shoal_bytes *item)
{
    if (!(rest->len & (REST_LIST | REST_MAP)) && next_begin(rest) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    size_t mark = rest->len & (REST_LIST | REST_MAP);
    shoal_bytes left = {rest->data, rest->len & ~mark};
    if (!left.len) {
        return 0;
    }
    shoal_bytes name = mark == REST_MAP ? take_value(&left) : none_value();
    shoal_bytes found = take_value(&left);
    if (!found.len) {
        return SHOAL_E_BAD_VALUE;
    }
    if (key) {
        *key = name;
    }
    *item = found;
    *rest = (shoal_bytes){left.data, left.len | mark};
    return 1;
}

shoal_bytes shoal_item(shoal_bytes list, size_t index)
{
    struct head h = head_read(list);
    if (h.kind != SHOAL_KIND_LIST || index >= h.count) {
        return none_value();
    }
    shoal_bytes left = {(const uint8_t *)list.data + h.header, list.len - h.header};
    for (size_t i = 0; i < index && left.len; i++) {
        take_value(&left);
    }
    return take_value(&left);
}

shoal_bytes shoal_field(shoal_bytes map, const char *key)
{
    struct head h = head_read(map);
    size_t length = strlen(key);
    if (h.kind != SHOAL_KIND_MAP) {
        return none_value();
    }
    shoal_bytes left = {(const uint8_t *)map.data + h.header, map.len - h.header}, text;
    for (uint64_t i = 0; i < h.count; i++) {
        shoal_bytes name = take_value(&left), item = take_value(&left);
        if (!item.len) {
            break;
        }
        if (shoal_as_text(name, &text) == 0 && text.len == length &&
            memcmp(text.data, key, length) == 0) {
            return item;
        }
    }
    return none_value();
}

int64_t shoal_field_i64(shoal_bytes map, const char *key, int64_t otherwise)
{
    int64_t out;
    return shoal_as_i64(shoal_field(map, key), &out) == 0 ? out : otherwise;
}

double shoal_field_f64(shoal_bytes map, const char *key, double otherwise)
{
    double out;
    return shoal_as_f64(shoal_field(map, key), &out) == 0 ? out : otherwise;
}

bool shoal_field_bool(shoal_bytes map, const char *key, bool otherwise)
{
    bool out;
    return shoal_as_bool(shoal_field(map, key), &out) == 0 ? out : otherwise;
}

shoal_bytes shoal_field_text(shoal_bytes map, const char *key, const char *otherwise)
{
    shoal_bytes out;
    if (shoal_as_text(shoal_field(map, key), &out) == 0) {
        return out;
    }
    return otherwise ? (shoal_bytes){otherwise, strlen(otherwise)} : shoal_nil();
}
