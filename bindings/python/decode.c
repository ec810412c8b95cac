/* decode.c - MessagePack to Python values, in one pass and without a tree between.
 *
 * The bytes were walked by core already (lengths, depth, UTF-8, refs); what is malformed nevertheless ends as
 * BadValue, never outside the bytes. */
#include "pyshoal.h"

#include <string.h>

static PyObject *dec_value(Dec *d, int depth);

static uint64_t dec_number(Dec *d, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes && d->at < d->end; i++) {
        v = v << 8 | *d->at++;
    }
    return v;
}

static PyObject *dec_bad(Dec *d)
{
    return error_raise(d->node->mod, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT,
                       "the value received is malformed");
}

static const char *dec_take(Dec *d, uint64_t n)
{
    if (n > (uint64_t)(d->end - d->at)) {
        return NULL;
    }
    const char *p = (const char *)d->at;
    d->at += n;
    return p;
}

static PyObject *dec_text(Dec *d, uint64_t n)
{
    const char *p = dec_take(d, n);
    return p ? PyUnicode_DecodeUTF8(p, (Py_ssize_t)n, "strict") : dec_bad(d);
}

static PyObject *dec_bytes(Dec *d, uint64_t n)
{
    const char *p = dec_take(d, n);
    return p ? PyBytes_FromStringAndSize(p, (Py_ssize_t)n) : dec_bad(d);
}

static PyObject *dec_list(Dec *d, uint64_t n, int depth)
{
    if (n > (uint64_t)(d->end - d->at) || depth > PY_DEPTH_MAX) {
        return dec_bad(d);
    }
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (Py_ssize_t i = 0; list && i < (Py_ssize_t)n; i++) {
        PyObject *item = dec_value(d, depth + 1);
        if (!item || PyList_SetItem(list, i, item) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *dec_map(Dec *d, uint64_t n, int depth)
{
    if (n > (uint64_t)(d->end - d->at) / 2 || depth > PY_DEPTH_MAX) {
        return dec_bad(d);
    }
    PyObject *map = PyDict_New();
    for (uint64_t i = 0; map && i < n; i++) {
        PyObject *key = dec_value(d, depth + 1);
        PyObject *item = key ? dec_value(d, depth + 1) : NULL;
        int rc = item ? PyDict_SetItem(map, key, item) : -1;
        Py_XDECREF(key);
        Py_XDECREF(item);
        if (rc < 0) {
            Py_CLEAR(map);
        }
    }
    return map;
}

static PyObject *dec_ref(Dec *d, const unsigned char *start, uint64_t n)
{
    shoal_pid pid;
    if (!dec_take(d, n)) {
        return dec_bad(d);
    }
    shoal_bytes whole = {start, (size_t)(d->at - start)};
    int code = shoal_as_ref(d->node->node, whole, &pid);
    return code < 0 ? error_last(d->node, code) : ref_new(d->node, pid);
}

static PyObject *dec_ext(Dec *d, unsigned char tag)
{
    const unsigned char *start = d->at - 1;
    uint64_t n = tag >= 0xd4 ? 1u << (tag - 0xd4) : dec_number(d, (size_t)1 << (tag - 0xc7));
    if (d->at >= d->end || *d->at++ != 1) {
        return dec_bad(d);
    }
    return dec_ref(d, start, n);
}

static PyObject *dec_float(Dec *d, bool wide)
{
    if (wide) {
        uint64_t bits = dec_number(d, 8);
        double v;
        memcpy(&v, &bits, sizeof v);
        return PyFloat_FromDouble(v);
    }
    uint32_t bits = (uint32_t)dec_number(d, 4);
    float v;
    memcpy(&v, &bits, sizeof v);
    return PyFloat_FromDouble((double)v);
}

static PyObject *dec_int(Dec *d, unsigned char tag)
{
    size_t bytes = (size_t)1 << (tag & 3);
    uint64_t v = dec_number(d, bytes);
    if (tag < 0xd0) {
        return PyLong_FromUnsignedLongLong(v);
    }
    unsigned shift = 64 - 8 * (unsigned)bytes;
    return PyLong_FromLongLong((int64_t)(v << shift) >> shift);
}

static PyObject *dec_tagged(Dec *d, unsigned char tag, int depth)
{
    switch (tag) {
    case 0xc0: return Py_NewRef(Py_None);
    case 0xc2: return Py_NewRef(Py_False);
    case 0xc3: return Py_NewRef(Py_True);
    case 0xc4:
    case 0xc5:
    case 0xc6: return dec_bytes(d, dec_number(d, (size_t)1 << (tag - 0xc4)));
    case 0xca: return dec_float(d, false);
    case 0xcb: return dec_float(d, true);
    case 0xd9:
    case 0xda:
    case 0xdb: return dec_text(d, dec_number(d, (size_t)1 << (tag - 0xd9)));
    case 0xdc: return dec_list(d, dec_number(d, 2), depth);
    case 0xdd: return dec_list(d, dec_number(d, 4), depth);
    case 0xde: return dec_map(d, dec_number(d, 2), depth);
    case 0xdf: return dec_map(d, dec_number(d, 4), depth);
    default: break;
    }
    if (tag >= 0xcc && tag <= 0xd3) {
        return dec_int(d, tag);
    }
    return tag == 0xc1 ? dec_bad(d) : dec_ext(d, tag);
}

static PyObject *dec_value(Dec *d, int depth)
{
    if (d->at >= d->end) {
        return dec_bad(d);
    }
    unsigned char tag = *d->at++;
    if (tag < 0x80) {
        return PyLong_FromLong(tag);
    }
    if (tag >= 0xe0) {
        return PyLong_FromLong((long)tag - 256);
    }
    if (tag < 0x90) {
        return dec_map(d, tag & 15u, depth);
    }
    if (tag < 0xa0) {
        return dec_list(d, tag & 15u, depth);
    }
    return tag < 0xc0 ? dec_text(d, tag & 31u) : dec_tagged(d, tag, depth);
}

PyObject *decode(NodeObj *n, shoal_bytes value)
{
    if (value.len == 0) {
        return Py_NewRef(Py_None);
    }
    Dec d = {n, value.data, (const unsigned char *)value.data + value.len};
    return dec_value(&d, 1);
}

/* --- piece by piece: for handlers that take a map's values as their arguments --- */

PyObject *decode_next(Dec *d, int depth)
{
    return dec_value(d, depth);
}

bool decode_map(Dec *d, size_t *count)
{
    if (d->at >= d->end || (*d->at & 0xf0) != 0x80) {
        return false;
    }
    *count = *d->at++ & 15u;
    return true;
}

bool decode_key(Dec *d, const char **text, size_t *len)
{
    size_t left = (size_t)(d->end - d->at);
    size_t n = left && (*d->at & 0xe0) == 0xa0 ? *d->at & 31u : 0;
    size_t head = 1;
    if (n == 0 && left > 1 && *d->at == 0xd9) {
        n = d->at[1];
        head = 2;
    }
    if (n == 0 || n > left - head) {
        return false;
    }
    *text = (const char *)d->at + head;
    *len = n;
    d->at += head + n;
    return true;
}
