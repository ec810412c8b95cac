/* parcel.c - messages and replies by reference between actors of one node (shoal_object of shoal.h).
 *
 * Core never looks into them and gives back what nobody took, always inside shoal_poll, shoal_node_free or a call of
 * ours, so with the GIL held. They hold no ref and no object of the user's: no cycle can go through a mailbox. */
#include "pyshoal.h"

Parcel *parcel_new(NodeObj *n, PyObject *name, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *names, size_t names_bytes)
{
    Py_ssize_t count = names ? PyTuple_Size(names) : nargs;
    if (count > PY_PARCEL_MAX) {
        return NULL;
    }
    Parcel *p = n->parcels;
    if (p) {
        n->parcels = p->next;
        n->parcel_count--;
    } else if (!(p = PyMem_Malloc(sizeof *p))) {
        return NULL;
    }
    size_t bytes = names_bytes;
    p->node = n;
    p->name = Py_NewRef(name);
    p->names = Py_XNewRef(names);
    p->count = 0;
    p->copied = false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *v = copy_value(n, args[i], names != NULL, &bytes);
        if (!v) {
            parcel_free(p);
            return NULL;
        }
        p->copied |= v != args[i];
        p->values[p->count++] = v;
    }
    return p;
}

void parcel_free(Parcel *p)
{
    NodeObj *n = p->node;
    for (Py_ssize_t i = 0; i < p->count; i++) {
        Py_DECREF(p->values[i]);
    }
    Py_DECREF(p->name);
    Py_XDECREF(p->names);
    if (n->parcel_count >= PY_PARCELS_KEPT) {
        PyMem_Free(p);
        return;
    }
    p->next = n->parcels;
    n->parcels = p;
    n->parcel_count++;
}

void parcel_drop(void *p)
{
    gil_held();
    parcel_free(p);
}

void parcels_fini(NodeObj *n)
{
    while (n->parcels) {
        Parcel *p = n->parcels;
        n->parcels = p->next;
        PyMem_Free(p);
    }
    n->parcel_count = 0;
}

/* Lists and maps are given away as copies: what the handler does with its own does not change what forward sends on. */
static PyObject *given(Parcel *p, Py_ssize_t i)
{
    size_t bytes = 0;
    if (!p->copied) {
        return Py_NewRef(p->values[i]);
    }
    PyObject *v = copy_value(p->node, p->values[i], p->names != NULL, &bytes);
    return v ? v : PyErr_NoMemory(); /* it was copied before */
}

PyObject *parcel_value(Parcel *p)
{
    if (!p->names) {
        return p->count ? given(p, 0) : Py_NewRef(Py_None);
    }
    PyObject *map = PyDict_New();
    for (Py_ssize_t i = 0; map && i < p->count; i++) {
        PyObject *v = given(p, i);
        if (!v || PyDict_SetItem(map, PyTuple_GetItem(p->names, i), v) < 0) {
            Py_CLEAR(map);
        }
        Py_XDECREF(v);
    }
    return map;
}

int parcel_pack(Parcel *p, Buf *b)
{
    if (p->names) {
        return encode_kw(p->node, b, p->values, p->names, 0);
    }
    return p->count ? encode(p->node, b, p->values[0], "value") : 0;
}

static void value_drop(void *value)
{
    gil_held();
    Py_DECREF((PyObject *)value);
}

shoal_object object_of(PyObject *value)
{
    return (shoal_object){value, value_drop};
}
