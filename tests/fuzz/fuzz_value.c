/* tests/fuzz/fuzz_value.c - bytes read through shoal.h: on any bytes it stays inside them, and of a value that the
 * check passes every item is found, once, of one kind. */
#include <stdlib.h>
#include <string.h>

#include "base/mp.h"

#include "../../abi/value.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS_TRIED = 16 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void must_lie_in(shoal_bytes whole, shoal_bytes part)
{
    const uint8_t *p = part.data, *begin = whole.data;
    must(!part.len || (p >= begin && p + part.len <= begin + whole.len));
}

/* Exactly the reader of its kind takes it (a float's takes an exact integer too). */
static void read_scalar(shoal_bytes value, int kind)
{
    bool truth;
    int64_t i64;
    uint64_t u64;
    double f64;
    shoal_bytes text = {0}, bytes = {0};
    must((shoal_as_bool(value, &truth) == 0) == (kind == SHOAL_KIND_BOOL));
    bool is_i64 = shoal_as_i64(value, &i64) == 0, is_u64 = shoal_as_u64(value, &u64) == 0;
    must((is_i64 || is_u64) == (kind == SHOAL_KIND_INT));
    must(!(is_i64 && is_u64) || (i64 >= 0 && (uint64_t)i64 == u64));
    bool is_f64 = shoal_as_f64(value, &f64) == 0;
    must(kind == SHOAL_KIND_FLOAT ? is_f64 : !is_f64 || kind == SHOAL_KIND_INT);
    must((shoal_as_text(value, &text) == 0) == (kind == SHOAL_KIND_TEXT));
    must((shoal_as_bytes(value, &bytes) == 0) == (kind == SHOAL_KIND_BYTES));
    must_lie_in(value, text);
    must_lie_in(value, bytes);
}

static void walk(shoal_bytes value, int depth, bool checked);

static void walk_items(shoal_bytes value, int kind, int depth, bool checked)
{
    shoal_bytes rest = value, key, item;
    int64_t n = 0;
    int more;
    while ((more = shoal_next(&rest, &key, &item)) == 1) {
        must_lie_in(value, item);
        must_lie_in(value, key);
        must((kind == SHOAL_KIND_MAP) == (key.len > 0));
        if (kind == SHOAL_KIND_LIST && n < ITEMS_TRIED) {
            shoal_bytes again = shoal_item(value, (size_t)n);
            must(again.data == item.data && again.len == item.len);
        }
        walk(item, depth + 1, checked);
        n++;
    }
    must(!checked || (more == 0 && n == shoal_count(value)));
    must(kind != SHOAL_KIND_LIST || !checked ||
         shoal_kind(shoal_item(value, (size_t)n)) == SHOAL_KIND_NONE);
}

static void walk(shoal_bytes value, int depth, bool checked)
{
    int kind = shoal_kind(value);
    must(!checked || kind != SHOAL_KIND_NONE);
    must(depth <= SH_MP_DEPTH_MAX);
    read_scalar(value, kind);
    if (kind == SHOAL_KIND_LIST || kind == SHOAL_KIND_MAP) {
        walk_items(value, kind, depth, checked);
    }
    shoal_bytes field = shoal_field(value, "a");
    must_lie_in(value, field);
    must(field.len == 0 || kind == SHOAL_KIND_MAP);
    must(shoal_field_i64(value, "a", 7) == 7 || shoal_kind(field) == SHOAL_KIND_INT);
    (void)shoal_field_f64(value, "b", 0);
    (void)shoal_field_bool(value, "c", false);
    must_lie_in(value, shoal_field_text(value, "d", NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    shoal_bytes value = {data, size};
    walk(value, 0, size > 0 && sh_mp_check(sh_span_of(data, size), SH_MP_DEPTH_MAX, NULL) == 0);
    return 0;
}
