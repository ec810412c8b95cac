/* codec.c - Python values to MessagePack, by msgpack-c's packer over a buffer that begins on the stack.
 *
 * What cannot be sent is BadValue at the call, naming the path to it. */
#include "pyshoal.h"

#include <msgpack.h>
#include <string.h>

void buf_init(Buf *b)
{
    b->data = b->room;
    b->len = 0;
    b->cap = sizeof b->room;
}

void buf_free(Buf *b)
{
    if (b->data != b->room) {
        PyMem_Free(b->data);
    }
}

/* --- writing --- */

typedef struct Path {
    const struct Path *up;
    PyObject *key; /* borrowed; NULL: an index */
    Py_ssize_t index;
} Path;

typedef struct Enc {
    NodeObj *node;
    Buf *buf;
    const char *root;
    size_t limit;
    bool full; /* over the limit */
    msgpack_packer pk;
} Enc;

static int enc_write(void *ud, const char *data, size_t n)
{
    Enc *e = ud;
    Buf *b = e->buf;
    if (b->len + n > e->limit) {
        e->full = true;
        return -1;
    }
    if (b->len + n > b->cap) {
        size_t cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
        char *grown = b->data == b->room ? PyMem_Malloc(cap) : PyMem_Realloc(b->data, cap);
        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        if (b->data == b->room) {
            memcpy(grown, b->room, b->len);
        }
        b->data = grown;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return 0;
}

static PyObject *path_text(const Path *path, const char *root)
{
    if (!path) {
        return PyUnicode_FromString(root);
    }
    PyObject *up = path_text(path->up, root), *text = NULL;
    if (!up) {
        return NULL;
    }
    if (!path->key) {
        text = PyUnicode_FromFormat("%U[%zd]", up, path->index);
    } else if (PyUnicode_Check(path->key) && PyUnicode_IsIdentifier(path->key) == 1) {
        text = PyUnicode_FromFormat("%U.%U", up, path->key);
    } else {
        text = PyUnicode_FromFormat("%U[%R]", up, path->key);
    }
    Py_DECREF(up);
    return text;
}

static int enc_fail(const Enc *e, const Path *path, const char *what, PyObject *culprit)
{
    Mod *m = e->node->mod;
    PyErr_Clear();
    PyObject *where = path_text(path, e->root), *type = NULL;
    if (where && culprit) {
        type = PyType_GetName(Py_TYPE(culprit));
    }
    const char *at = where ? PyUnicode_AsUTF8AndSize(where, NULL) : NULL;
    const char *name = type ? PyUnicode_AsUTF8AndSize(type, NULL) : NULL;
    if (!at && where) {
        PyErr_Clear();
        at = e->root; /* a key that no text can show */
    }
    if (at) {
        error_raise(m, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT, "%s: %s%s%s", at, name ? name : "",
                    name ? " " : "", what);
    }
    Py_XDECREF(where);
    Py_XDECREF(type);
    return -1;
}

static int enc_wrote(const Enc *e, int rc)
{
    if (rc == 0 || PyErr_Occurred()) {
        return rc;
    }
    error_raise(e->node->mod, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT,
                "%s: more than max_message, which is %zu bytes", e->root, e->limit);
    return -1;
}

static int enc_value(Enc *e, PyObject *v, const Path *path, int depth);

static int enc_int(Enc *e, PyObject *v, const Path *path)
{
    int overflow;
    long long i = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow == 0) {
        return i == -1 && PyErr_Occurred() ? -1 : enc_wrote(e, msgpack_pack_int64(&e->pk, i));
    }
    unsigned long long u = overflow > 0 ? PyLong_AsUnsignedLongLong(v) : 0;
    if (overflow < 0 || PyErr_Occurred()) {
        return enc_fail(e, path, "the integer is outside -2^63 .. 2^64-1", NULL);
    }
    return enc_wrote(e, msgpack_pack_uint64(&e->pk, u));
}

static int enc_text(Enc *e, PyObject *v, const Path *path)
{
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(v, &n);
    if (!text) {
        return enc_fail(e, path, "the text is not UTF-8 (it has lone surrogates); send bytes",
                        NULL);
    }
    return enc_wrote(e, msgpack_pack_str_with_body(&e->pk, text, (size_t)n));
}

static int enc_buffer(Enc *e, PyObject *v, const Path *path)
{
    Py_buffer view;
    if (PyObject_GetBuffer(v, &view, PyBUF_SIMPLE) < 0) {
        return enc_fail(e, path, "the buffer is not contiguous", NULL);
    }
    int rc = enc_wrote(e, msgpack_pack_bin_with_body(&e->pk, view.buf, (size_t)view.len));
    PyBuffer_Release(&view);
    return rc;
}

static int enc_list(Enc *e, PyObject *v, const Path *path, int depth)
{
    bool list = PyList_Check(v);
    Py_ssize_t n = list ? PyList_Size(v) : PyTuple_Size(v);
    int rc = enc_wrote(e, msgpack_pack_array(&e->pk, (size_t)n));
    for (Py_ssize_t i = 0; i < n && rc == 0; i++) {
        if (list && PyList_Size(v) != n) {
            return enc_fail(e, path, "changed while it was sent", v);
        }
        PyObject *item = list ? PyList_GetItem(v, i) : PyTuple_GetItem(v, i);
        Path here = {path, NULL, i};
        Py_XINCREF(item);
        rc = item ? enc_value(e, item, &here, depth + 1) : -1;
        Py_XDECREF(item);
    }
    return rc;
}

static int enc_key(Enc *e, PyObject *key, const Path *path)
{
    if (PyUnicode_Check(key)) {
        return enc_text(e, key, path);
    }
    if (PyLong_Check(key) && !PyBool_Check(key)) {
        return enc_int(e, key, path);
    }
    return enc_fail(e, path, "cannot be a key of a map: text or an integer can", key);
}

static int enc_dict(Enc *e, PyObject *v, const Path *path, int depth)
{
    Py_ssize_t n = PyDict_Size(v), at = 0, seen = 0;
    PyObject *key, *item;
    int rc = enc_wrote(e, msgpack_pack_map(&e->pk, (size_t)n));
    while (rc == 0 && PyDict_Next(v, &at, &key, &item)) {
        Path here = {path, key, 0};
        Py_INCREF(key);
        Py_INCREF(item);
        rc = enc_key(e, key, &here);
        rc = rc == 0 ? enc_value(e, item, &here, depth + 1) : rc;
        Py_DECREF(key);
        Py_DECREF(item);
        seen++;
        if (rc == 0 && PyDict_Size(v) != n) {
            return enc_fail(e, path, "changed while it was sent", v);
        }
    }
    return rc == 0 && seen != n ? enc_fail(e, path, "changed while it was sent", v) : rc;
}

bool is_dataclass(Mod *m, PyObject *v)
{
    PyObject *fields = PyObject_GetAttr((PyObject *)Py_TYPE(v), m->s_fields);
    if (!fields) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(fields);
    return true;
}

static int enc_dataclass(Enc *e, PyObject *v, const Path *path, int depth)
{
    Mod *m = e->node->mod;
    PyObject *names = PyObject_CallFunctionObjArgs(m->field_names, (PyObject *)Py_TYPE(v), NULL);
    Py_ssize_t n = names ? PyTuple_Size(names) : -1;
    int rc = n < 0 ? -1 : enc_wrote(e, msgpack_pack_map(&e->pk, (size_t)n));
    for (Py_ssize_t i = 0; i < n && rc == 0; i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        PyObject *item = PyObject_GetAttr(v, key);
        Path here = {path, key, 0};
        rc = item ? enc_key(e, key, &here) : -1;
        rc = rc == 0 ? enc_value(e, item, &here, depth + 1) : rc;
        Py_XDECREF(item);
    }
    Py_XDECREF(names);
    return rc;
}

static int enc_ref(Enc *e, PyObject *v, const Path *path)
{
    RefObj *r = (RefObj *)v;
    shoal_pack p;
    unsigned char room[64];
    shoal_pid pid = r->pid;
    if (r->node != e->node) { /* a ref of another node of this process: by its text */
        PyObject *text = PyObject_Str(v);
        const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
        int code = s ? shoal_pid_parse(e->node->node, s, &pid) : -1;
        Py_XDECREF(text);
        if (code < 0) {
            return enc_fail(e, path, "cannot be sent: its node does not know it any more", v);
        }
    }
    node_wait_turn(e->node);
    shoal_pack_init(&p, room, sizeof room);
    shoal_put_ref(&p, e->node->node, pid);
    shoal_bytes b = shoal_packed(&p);
    int rc = b.len ? enc_wrote(e, enc_write(e, b.data, b.len)) : -1;
    shoal_pack_free(&p);
    return rc == -1 && !PyErr_Occurred()
               ? enc_fail(e, path, "cannot be sent: its node was forgotten", v)
               : rc;
}

static int enc_container(Enc *e, PyObject *v, const Path *path, int depth)
{
    if (depth >= PY_DEPTH_MAX) {
        return enc_fail(e, path, "is nested deeper than 32 lists and maps", v);
    }
    if (PyDict_Check(v)) {
        return enc_dict(e, v, path, depth);
    }
    return PyList_Check(v) || PyTuple_Check(v) ? enc_list(e, v, path, depth)
                                               : enc_dataclass(e, v, path, depth);
}

static int enc_value(Enc *e, PyObject *v, const Path *path, int depth)
{
    if (v == Py_None) {
        return enc_wrote(e, msgpack_pack_nil(&e->pk));
    }
    if (PyUnicode_Check(v)) {
        return enc_text(e, v, path);
    }
    if (PyBool_Check(v)) {
        return enc_wrote(e, v == Py_True ? msgpack_pack_true(&e->pk) : msgpack_pack_false(&e->pk));
    }
    if (PyLong_Check(v)) {
        return enc_int(e, v, path);
    }
    if (PyFloat_Check(v)) {
        return enc_wrote(e, msgpack_pack_double(&e->pk, PyFloat_AsDouble(v)));
    }
    if (PyDict_Check(v) || PyList_Check(v) || PyTuple_Check(v)) {
        return enc_container(e, v, path, depth);
    }
    if (PyBytes_Check(v) || PyByteArray_Check(v) || PyObject_TypeCheck(v, &PyMemoryView_Type)) {
        return enc_buffer(e, v, path);
    }
    if (PyObject_TypeCheck(v, e->node->mod->ref)) {
        return enc_ref(e, v, path);
    }
    if (is_dataclass(e->node->mod, v) && !PyType_Check(v)) {
        return enc_container(e, v, path, depth);
    }
    return enc_fail(e, path,
                    "cannot be sent: None, bool, int, float, str, bytes, list, tuple, dict, "
                    "dataclasses and Ref can",
                    v);
}

static void enc_init(Enc *e, NodeObj *n, Buf *b, const char *root)
{
    *e = (Enc){.node = n, .buf = b, .root = root, .limit = n->max_message};
    msgpack_packer_init(&e->pk, e, enc_write);
}

int encode(NodeObj *n, Buf *b, PyObject *value, const char *root)
{
    Enc e;
    enc_init(&e, n, b, root);
    return enc_value(&e, value, NULL, 0);
}

int encode_fields(NodeObj *n, Buf *b, PyObject *dataclass, const char *root)
{
    Enc e;
    enc_init(&e, n, b, root);
    return enc_dataclass(&e, dataclass, NULL, 0);
}

/* The keywords from skip on, less those that begin with "_": they are options. */
int encode_kw(NodeObj *n, Buf *b, PyObject *const *values, PyObject *names, Py_ssize_t skip)
{
    Enc e;
    enc_init(&e, n, b, "value");
    Py_ssize_t count = PyTuple_Size(names);
    int rc = enc_wrote(&e, msgpack_pack_map(&e.pk, (size_t)(count - skip)));
    for (Py_ssize_t i = 0; i < count && rc == 0; i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        if (skip && PyUnicode_ReadChar(key, 0) == '_') {
            continue;
        }
        Path here = {NULL, key, 0};
        rc = enc_text(&e, key, &here);
        rc = rc == 0 ? enc_value(&e, values[i], &here, 1) : rc;
    }
    return rc;
}
