/* copy.c - a value for another actor of the same interpreter, without packing it: what cannot change goes as it is, lists
 * and maps are copied.
 *
 * The receiver sees exactly what packing and unpacking would have given it. Whatever is not plainly so (subclasses,
 * dataclasses, buffers, refs, what cannot be sent at all, what is too big or too deep) is left to the codec, which also
 * finds the words for errors: hence no exception ever leaves this file. */
#include "pyshoal.h"

static size_t int_bytes(long long i)
{
    if (i >= 0) {
        return i < 128 ? 1 : i < 256 ? 2 : i < 65536 ? 3 : i <= UINT32_MAX ? 5 : 9;
    }
    return i >= -32 ? 1 : i >= INT8_MIN ? 2 : i >= INT16_MIN ? 3 : i >= INT32_MIN ? 5 : 9;
}

/* Of a length: its head and what follows. */
static size_t sized_bytes(size_t n, bool text)
{
    return n + (text && n < 32 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5);
}

static size_t count_bytes(Py_ssize_t n)
{
    return n < 16 ? 1 : n < 65536 ? 3 : 5;
}

size_t copy_text_bytes(PyObject *text)
{
    Py_ssize_t n;
    if (!PyUnicode_AsUTF8AndSize(text, &n)) {
        PyErr_Clear();
        return 0;
    }
    return sized_bytes((size_t)n, true);
}

static size_t copy_int_bytes(PyObject *v)
{
    int overflow;
    long long i = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow == 0) {
        return int_bytes(i);
    }
    if (overflow > 0 && PyLong_AsUnsignedLongLong(v) != (unsigned long long)-1) {
        return 9;
    }
    bool fits = overflow > 0 && !PyErr_Occurred(); /* 2^64-1 itself */
    PyErr_Clear();
    return fits ? 9 : 0;
}

/* Packed size of what cannot change; 0: it is no such thing. */
static size_t atom_bytes(PyObject *v)
{
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyLong_Type) {
        return copy_int_bytes(v);
    }
    if (type == &PyUnicode_Type) {
        return copy_text_bytes(v);
    }
    if (v == Py_None || type == &PyBool_Type) {
        return 1;
    }
    if (type == &PyFloat_Type) {
        return 9;
    }
    return type == &PyBytes_Type ? sized_bytes((size_t)PyBytes_Size(v), false) : 0;
}

static PyObject *copy_list(NodeObj *n, PyObject *v, int depth, size_t *bytes)
{
    bool list = Py_TYPE(v) == &PyList_Type;
    Py_ssize_t count = list ? PyList_Size(v) : PyTuple_Size(v);
    PyObject *out = PyList_New(count);
    *bytes += count_bytes(count);
    for (Py_ssize_t i = 0; out && i < count; i++) {
        PyObject *item = list ? PyList_GetItem(v, i) : PyTuple_GetItem(v, i);
        Py_XINCREF(item); /* the collector may run meanwhile, and in it what changes the list */
        PyObject *copy = item ? copy_value(n, item, depth + 1, bytes) : NULL;
        Py_XDECREF(item);
        if (!copy || PyList_SetItem(out, i, copy) < 0) {
            Py_CLEAR(out);
        }
    }
    if (out && list && PyList_Size(v) != count) {
        Py_CLEAR(out);
    }
    return out;
}

static size_t key_bytes(PyObject *key)
{
    PyTypeObject *type = Py_TYPE(key);
    return type == &PyUnicode_Type || type == &PyLong_Type ? atom_bytes(key) : 0;
}

static PyObject *copy_dict(NodeObj *n, PyObject *v, int depth, size_t *bytes)
{
    Py_ssize_t count = PyDict_Size(v), at = 0, seen = 0;
    PyObject *out = PyDict_New(), *key, *item;
    *bytes += count_bytes(count);
    while (out && PyDict_Next(v, &at, &key, &item)) {
        size_t head = key_bytes(key);
        Py_INCREF(key);
        Py_INCREF(item);
        PyObject *copy = head ? copy_value(n, item, depth + 1, bytes) : NULL;
        if (!copy || PyDict_SetItem(out, key, copy) < 0) {
            Py_CLEAR(out);
        }
        *bytes += head;
        seen++;
        Py_XDECREF(copy);
        Py_DECREF(key);
        Py_DECREF(item);
        if (out && PyDict_Size(v) != count) {
            Py_CLEAR(out);
        }
    }
    if (out && seen != count) {
        Py_CLEAR(out);
    }
    return out;
}

PyObject *copy_value(NodeObj *n, PyObject *v, int depth, size_t *bytes)
{
    size_t size = atom_bytes(v);
    PyObject *out = NULL;
    if (size) {
        *bytes += size;
        return *bytes <= n->max_message ? Py_NewRef(v) : NULL;
    }
    PyTypeObject *type = Py_TYPE(v);
    if (depth >= PY_DEPTH_MAX || *bytes > n->max_message) {
        return NULL;
    }
    if (type == &PyDict_Type) {
        out = copy_dict(n, v, depth, bytes);
    } else if (type == &PyList_Type || type == &PyTuple_Type) {
        out = copy_list(n, v, depth, bytes);
    }
    if (out && *bytes > n->max_message) {
        Py_CLEAR(out);
    }
    if (!out) {
        PyErr_Clear(); /* no memory: the codec says so */
    }
    return out;
}
