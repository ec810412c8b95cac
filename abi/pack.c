/* abi/pack.c - writes values: shoal_pack over msgpack-c's packer.
 *
 * Bytes go to the caller's buffer first, to the heap when that is full. The first error sticks,
 * later calls do nothing. Depth is checked when the value is sent, as only then the whole is known.
 */
#include <msgpack.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "shoal.h"

static void pack_fail(shoal_pack *p, int error)
{
    if (!p->error) {
        p->error = error;
    }
}

static int pack_grow(shoal_pack *p, size_t more)
{
    if (more > SIZE_MAX / 2 - p->len) {
        return SHOAL_E_LIMIT;
    }
    size_t cap = p->cap < 128 ? 256 : p->cap * 2;
    if (cap < p->len + more) {
        cap = p->len + more;
    }
    unsigned char *heap = sh_mem_resize(sh_mem_system(), p->heap, p->heap ? p->cap : 0, cap);
    if (!heap) {
        return SHOAL_E_LIMIT;
    }
    if (!p->heap && p->len) {
        memcpy(heap, p->data, p->len);
    }
    p->heap = p->data = heap;
    p->cap = cap;
    return 0;
}

/* The packer's sink. */
static int pack_write(void *ud, const char *bytes, size_t n)
{
    shoal_pack *p = ud;
    if (p->error) {
        return -1;
    }
    if (n > p->cap - p->len) {
        int error = pack_grow(p, n);
        if (error) {
            pack_fail(p, error);
            return -1;
        }
    }
    memcpy(p->data + p->len, bytes, n);
    p->len += n;
    return 0;
}

static msgpack_packer pack_packer(shoal_pack *p)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, p, pack_write);
    return packer;
}

void shoal_pack_init(shoal_pack *p, void *buf, size_t cap)
{
    *p = (shoal_pack){.data = buf, .cap = buf ? cap : 0};
}

void shoal_pack_free(shoal_pack *p)
{
    sh_mem_free(sh_mem_system(), p->heap, p->cap);
    *p = (shoal_pack){0};
}

shoal_bytes shoal_packed(const shoal_pack *p)
{
    return p->error ? (shoal_bytes){NULL, 0} : (shoal_bytes){p->data, p->len};
}

int shoal_pack_error(const shoal_pack *p)
{
    return p->error;
}

void shoal_put_nil(shoal_pack *p)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_nil(&packer);
}

void shoal_put_bool(shoal_pack *p, bool value)
{
    msgpack_packer packer = pack_packer(p);
    (void)(value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void shoal_put_i64(shoal_pack *p, int64_t value)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_int64(&packer, value);
}

void shoal_put_u64(shoal_pack *p, uint64_t value)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_uint64(&packer, value);
}

void shoal_put_f64(shoal_pack *p, double value)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_double(&packer, value);
}

void shoal_put_text(shoal_pack *p, const char *text, size_t len)
{
    if (len > UINT32_MAX) {
        pack_fail(p, SHOAL_E_LIMIT);
        return;
    }
    if ((!text && len) || !sh_utf8_valid((sh_span){(const uint8_t *)text, len})) {
        pack_fail(p, SHOAL_E_BAD_VALUE);
        return;
    }
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_str(&packer, len);
    if (len) {
        msgpack_pack_str_body(&packer, text, len);
    }
}

void shoal_put_bytes(shoal_pack *p, const void *data, size_t len)
{
    if (len > UINT32_MAX) {
        pack_fail(p, SHOAL_E_LIMIT);
        return;
    }
    if (!data && len) {
        pack_fail(p, SHOAL_E_BAD_VALUE);
        return;
    }
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_bin(&packer, len);
    if (len) {
        msgpack_pack_bin_body(&packer, data, len);
    }
}

void shoal_put_list(shoal_pack *p, uint32_t n)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_array(&packer, n);
}

void shoal_put_map(shoal_pack *p, uint32_t n)
{
    msgpack_packer packer = pack_packer(p);
    msgpack_pack_map(&packer, n);
}

void shoal_put_key(shoal_pack *p, const char *key)
{
    shoal_put_text(p, key, key ? strlen(key) : 1);
}

void shoal_put_value(shoal_pack *p, shoal_bytes value)
{
    if (!value.len) {
        shoal_put_nil(p);
        return;
    }
    if (!value.data) {
        pack_fail(p, SHOAL_E_BAD_VALUE);
        return;
    }
    pack_write(p, value.data, value.len);
}
