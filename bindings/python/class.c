/* class.c - a Python class as a node's core knows it, how its handlers are found, and the base of shoal.Actor. */
#include "pyshoal.h"

#include <string.h>

/* --- classes --- */

static PyObject *hook_of(PyObject *hooks, const char *name)
{
    PyObject *fn = PyMapping_GetItemString(hooks, name);
    if (!fn || fn == Py_None) {
        PyErr_Clear();
        Py_CLEAR(fn);
    }
    return fn;
}

/* --- finding handlers --- */

static size_t text_hash(const char *text)
{
    size_t h = 14695981039346656037u;
    while (*text) {
        h = (h ^ (unsigned char)*text++) * 1099511628211u;
    }
    return h ^ h >> 32;
}

static Entry *entry_of(const TypeRec *t, const char *name)
{
    size_t i = text_hash(name) & t->entry_mask;
    while (t->entries[i].text && strcmp(t->entries[i].text, name) != 0) {
        i = (i + 1) & t->entry_mask;
    }
    return &t->entries[i];
}

SpecObj *type_handler_by_text(const TypeRec *t, const char *name)
{
    return entry_of(t, name)->spec;
}

SpecObj *type_handler(TypeRec *t, PyObject *name)
{
    unsigned i = (unsigned)((uintptr_t)name >> 4) % PY_NEAR;
    if (t->near[i].name != name) {
        PyObject *spec = PyDict_GetItemWithError(t->handlers, name);
        SET(t->near[i].name, Py_NewRef(name));
        t->near[i].spec = (SpecObj *)spec;
        PyErr_Clear();
    }
    return t->near[i].spec;
}

static int entries_make(TypeRec *t)
{
    size_t size = 4;
    while (size < 2 * (size_t)PyDict_Size(t->handlers)) {
        size *= 2;
    }
    t->entry_mask = size - 1;
    t->entries = PyMem_Calloc(size, sizeof *t->entries);
    PyObject *key, *spec;
    Py_ssize_t at = 0;
    while (t->entries && PyDict_Next(t->handlers, &at, &key, &spec)) {
        const char *text = PyUnicode_AsUTF8AndSize(key, NULL);
        if (!text) {
            return -1;
        }
        *entry_of(t, text) = (Entry){text, (SpecObj *)spec};
    }
    return t->entries ? 0 : (PyErr_NoMemory(), -1);
}

void type_free(TypeRec *t)
{
    for (int i = 0; i < PY_NEAR; i++) {
        Py_XDECREF(t->near[i].name);
    }
    PyMem_Free(t->entries);
    Py_XDECREF(t->cls);
    Py_XDECREF(t->id);
    Py_XDECREF(t->handlers);
    Py_XDECREF(t->on_start);
    Py_XDECREF(t->on_stop);
    Py_XDECREF(t->on_error);
    Py_XDECREF(t->on_down);
    Py_XDECREF(t->on_undelivered);
    Py_XDECREF(t->on_message);
    PyMem_Free(t);
}

/* cls._shoal_type is (id, reentrant, mailbox, handlers, hooks), made when the class was. */
static TypeRec *type_new(NodeObj *n, PyObject *cls)
{
    PyObject *made = PyObject_GetAttrString(cls, "_shoal_type"), *id, *handlers, *hooks;
    int reentrant;
    unsigned long mailbox;
    if (!made || !PyArg_ParseTuple(made, "SpkOO", &id, &reentrant, &mailbox, &handlers, &hooks)) {
        Py_XDECREF(made);
        return NULL;
    }
    TypeRec *t = PyMem_Calloc(1, sizeof *t);
    if (!t) {
        Py_DECREF(made);
        PyErr_NoMemory();
        return NULL;
    }
    t->node = n;
    t->cls = Py_NewRef(cls);
    t->id = Py_NewRef(id);
    t->handlers = Py_NewRef(handlers);
    t->on_start = hook_of(hooks, "on_start");
    t->on_stop = hook_of(hooks, "on_stop");
    t->on_error = hook_of(hooks, "on_error");
    t->on_down = hook_of(hooks, "on_down");
    t->on_undelivered = hook_of(hooks, "on_undelivered");
    t->on_message = hook_of(hooks, "on_message");
    Py_DECREF(made);
    if (entries_make(t) < 0) {
        type_free(t);
        return NULL;
    }
    t->type = (shoal_actor_type){.struct_size = sizeof t->type,
                                 .flags = reentrant ? SHOAL_REENTRANT : 0,
                                 .id = PyBytes_AsString(t->id),
                                 .state_size = sizeof(ActorRec *),
                                 .mailbox = (uint32_t)mailbox};
    hooks_of(t);
    t->next = n->types;
    n->types = t;
    return t;
}

TypeRec *type_of(NodeObj *n, PyObject *cls)
{
    for (TypeRec *t = n->types; t; t = t->next) {
        if (t->cls == cls) {
            return t;
        }
    }
    if (!PyType_Check(cls) || !PyType_IsSubtype((PyTypeObject *)cls, n->mod->actor)) {
        PyErr_Format(PyExc_TypeError, "spawn: expected a subclass of shoal.Actor, not %R", cls);
        return NULL;
    }
    return type_new(n, cls);
}

/* --- the base of shoal.Actor --- */

static PyObject *actor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    /* By object.__new__: it gives the object the layout whose attributes the interpreter reads without a look-up. */
    newfunc make = (newfunc)PyType_GetSlot(&PyBaseObject_Type, Py_tp_new);
    PyObject *none = PyTuple_New(0);
    ActorObj *a = none ? (ActorObj *)make(type, none, NULL) : NULL;
    Py_XDECREF(none);
    if (a) {
        a->rec = NULL;
    }
    return (PyObject *)a;
}

static void actor_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot actor_slots[] = {
    {Py_tp_doc, "What core knows of an actor object."},
    {Py_tp_new, actor_new},
    {Py_tp_dealloc, actor_dealloc},
    {0, NULL},
};
PyType_Spec actor_spec = {"shoal._shoal.ActorBase", sizeof(ActorObj), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, actor_slots};
