/* bind.c - a message's value to a handler's arguments, by a table made when its class was.
 *
 * What does not fit is BadValue before the handler runs: no failure of the actor. */
#include "pyshoal.h"

#include <string.h>

static const struct {
    int kind;
    const char *name;
} kinds[] = {{K_NONE, "None"}, {K_BOOL, "bool"},   {K_INT, "int"},         {K_FLOAT, "float"},
             {K_STR, "str"},   {K_BYTES, "bytes"}, {K_VIEW, "memoryview"}, {K_LIST, "list"},
             {K_DICT, "dict"}, {K_REF, "Ref"}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

int kind_of(Mod *m, PyObject *v)
{
    if (v == Py_None) {
        return K_NONE;
    }
    if (PyUnicode_Check(v)) {
        return K_STR;
    }
    if (PyBool_Check(v)) {
        return K_BOOL;
    }
    if (PyLong_Check(v)) {
        return K_INT;
    }
    if (PyFloat_Check(v)) {
        return K_FLOAT;
    }
    if (PyDict_Check(v)) {
        return K_DICT;
    }
    if (PyList_Check(v)) {
        return K_LIST;
    }
    return PyBytes_Check(v) ? K_BYTES : Py_TYPE(v) == m->ref ? K_REF : K_ANY;
}

static const char *kind_name(int kind)
{
    for (int i = 0; i < KINDS; i++) {
        if (kinds[i].kind == kind) {
            return kinds[i].name;
        }
    }
    return "value";
}

/* "int or None", then the dataclasses. */
static PyObject *wanted_text(int mask, PyObject *classes)
{
    PyObject *text = PyUnicode_FromString("");
    for (int i = 0; i < KINDS && text; i++) {
        if (mask & kinds[i].kind) {
            PyObject *more = PyUnicode_FromFormat(
                "%U%s%s", text, PyUnicode_GetLength(text) ? " or " : "", kinds[i].name);
            SET(text, more);
        }
    }
    for (Py_ssize_t i = 0; classes != Py_None && text && i < PyTuple_Size(classes); i++) {
        PyObject *name = PyType_GetName((PyTypeObject *)PyTuple_GetItem(classes, i));
        PyObject *more = name ? PyUnicode_FromFormat("%U%s%U", text,
                                                     PyUnicode_GetLength(text) ? " or " : "", name)
                              : NULL;
        Py_XDECREF(name);
        SET(text, more);
    }
    return text;
}

static PyObject *bad(Mod *m, PyObject *text)
{
    const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    if (s) {
        error_raise(m, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT, "%s", s);
    }
    Py_XDECREF(text);
    return NULL;
}

/* A list of 0..255 as bytes; NULL without an exception if it is none. */
static PyObject *list_bytes(PyObject *list)
{
    PyObject *out = PyBytes_FromObject(list);
    PyErr_Clear();
    return out;
}

static PyObject *fit_bytes(Mod *m, PyObject *v, int kind, int mask)
{
    PyObject *bytes = kind == K_BYTES ? Py_NewRef(v)
                      : kind == K_STR ? PyUnicode_AsUTF8String(v)
                                      : list_bytes(v);
    if (bytes && !(mask & K_BYTES)) {
        PyObject *view = PyObject_CallFunctionObjArgs(m->memoryview, bytes, NULL);
        Py_DECREF(bytes);
        return view;
    }
    return bytes;
}

/* The value as the hint wants it, new; NULL: it does not fit (raised, naming where). */
static PyObject *fit(Mod *m, PyObject *label, PyObject *where, PyObject *v, int mask,
                     PyObject *classes)
{
    int kind = kind_of(m, v);
    if (mask & (K_ANY | kind)) {
        return Py_NewRef(v);
    }
    if (kind == K_INT && (mask & K_FLOAT)) {
        double d = PyLong_AsDouble(v);
        PyErr_Clear();
        return PyFloat_FromDouble(d);
    }
    PyObject *out = NULL;
    if ((mask & (K_BYTES | K_VIEW)) && (kind == K_BYTES || kind == K_STR || kind == K_LIST)) {
        out = fit_bytes(m, v, kind, mask);
    } else if (kind == K_DICT && classes != Py_None) {
        return PyObject_CallFunction(m->dataclass_make, "OOOO", classes, v, label, where);
    }
    if (out || PyErr_Occurred()) {
        return out;
    }
    PyObject *wanted = wanted_text(mask, classes);
    PyObject *text = wanted ? PyUnicode_FromFormat("%U: %U is %s, expected %U", label, where,
                                                   kind_name(kind), wanted)
                            : NULL;
    Py_XDECREF(wanted);
    return bad(m, text);
}

static PyObject *fit_param(Mod *m, SpecObj *s, Py_ssize_t i, PyObject *v)
{
    int mask = (int)PyLong_AsLong(PyTuple_GetItem(s->masks, i));
    if (mask & K_ANY) {
        return Py_NewRef(v);
    }
    return fit(m, s->label, PyTuple_GetItem(s->names, i), v, mask, PyTuple_GetItem(s->classes, i));
}

static PyObject *missing(Mod *m, SpecObj *s, Py_ssize_t i)
{
    return bad(m, PyUnicode_FromFormat("%U: argument '%U' is missing", s->label,
                                       PyTuple_GetItem(s->names, i)));
}

static PyObject *unknown(Mod *m, SpecObj *s, PyObject *key)
{
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *list = comma ? PyUnicode_Join(comma, s->names) : NULL;
    PyObject *text =
        list ? PyUnicode_FromFormat("%U: unknown argument %R; it takes: %U", s->label, key, list)
             : NULL;
    Py_XDECREF(comma);
    Py_XDECREF(list);
    return bad(m, text);
}

/* Puts parameter i where the call wants it. Steals v. */
static int put_param(SpecObj *s, Py_ssize_t i, PyObject *v, PyObject *args, PyObject **kwargs)
{
    if (i < s->positional) {
        return PyTuple_SetItem(args, i + 1, v);
    }
    if (!*kwargs) {
        *kwargs = PyDict_New();
    }
    int rc = *kwargs ? PyDict_SetItem(*kwargs, PyTuple_GetItem(s->names, i), v) : -1;
    Py_DECREF(v);
    return rc;
}

/* Keys of the map that no parameter took: **rest, or unknown. */
static int bind_rest(Mod *m, SpecObj *s, PyObject *map, PyObject **kwargs)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(map, &at, &key, &value)) {
        int known = PyUnicode_Check(key) ? PySequence_Contains(s->names, key) : 0;
        if (known == 1) {
            continue;
        }
        if (!s->rest || !PyUnicode_Check(key)) {
            unknown(m, s, key);
            return -1;
        }
        PyObject *v = fit(m, s->label, key, value, s->rest, Py_None);
        if (v && !*kwargs) {
            *kwargs = PyDict_New();
        }
        int rc = v && *kwargs ? PyDict_SetItem(*kwargs, key, v) : -1;
        Py_XDECREF(v);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* Parameter i from the map, or its default. */
static PyObject *map_param(Mod *m, SpecObj *s, Py_ssize_t i, PyObject *map, Py_ssize_t *taken)
{
    PyObject *v = map ? PyDict_GetItemWithError(map, PyTuple_GetItem(s->names, i)) : NULL;
    if (v) {
        ++*taken;
        return fit_param(m, s, i, v);
    }
    PyObject *otherwise = PyTuple_GetItem(s->defaults, i);
    return otherwise == s->missing ? missing(m, s, i) : Py_NewRef(otherwise);
}

static int bind_map(Mod *m, SpecObj *s, PyObject *map, PyObject *args, PyObject **kwargs)
{
    Py_ssize_t taken = 0;
    for (Py_ssize_t i = 0; i < s->total; i++) {
        PyObject *v = map_param(m, s, i, map, &taken);
        if (!v || put_param(s, i, v, args, kwargs) < 0) {
            return -1;
        }
    }
    return map && taken < PyDict_Size(map) ? bind_rest(m, s, map, kwargs) : 0;
}

/* The one positional argument; a whole value may be None. */
static int bind_value(Mod *m, SpecObj *s, PyObject *value, PyObject *args, PyObject **kwargs)
{
    Py_ssize_t taken = 0;
    if (s->positional == 0) {
        bad(m, PyUnicode_FromFormat("%U: takes %s, not one %s", s->label,
                                    s->total ? "named arguments" : "no value",
                                    kind_name(kind_of(m, value))));
        return -1;
    }
    bool leave = s->mode == 1 && value == Py_None && PyTuple_GetItem(s->defaults, 0) != s->missing;
    PyObject *v = leave ? Py_NewRef(PyTuple_GetItem(s->defaults, 0)) : fit_param(m, s, 0, value);
    if (!v || put_param(s, 0, v, args, kwargs) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 1; i < s->total; i++) {
        v = map_param(m, s, i, NULL, &taken);
        if (!v || put_param(s, i, v, args, kwargs) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *spec_bind(NodeObj *n, SpecObj *s, PyObject *self, PyObject *value, PyObject **args,
                    PyObject **kwargs)
{
    Mod *m = n->mod;
    *kwargs = NULL;
    *args = PyTuple_New(s->positional + 1);
    if (!*args) {
        return NULL;
    }
    PyTuple_SetItem(*args, 0, Py_NewRef(self));
    int rc = s->mode == 1 || (value != Py_None && !PyDict_Check(value))
                 ? bind_value(m, s, value, *args, kwargs)
                 : bind_map(m, s, value == Py_None ? NULL : value, *args, kwargs);
    if (rc < 0) {
        Py_CLEAR(*args);
        Py_CLEAR(*kwargs);
        return NULL;
    }
    return s->func;
}

/* Spec(func, label, mode, positional, names, masks, classes, defaults, missing, rest) */
static PyObject *spec_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *func, *label, *names, *masks, *classes, *defaults, *none;
    int mode, positional, rest;
    if (!PyArg_ParseTuple(args, "OUiiO!O!O!O!Oi", &func, &label, &mode, &positional, &PyTuple_Type,
                          &names, &PyTuple_Type, &masks, &PyTuple_Type, &classes, &PyTuple_Type,
                          &defaults, &none, &rest)) {
        return NULL;
    }
    SpecObj *s = PyObject_GC_New(SpecObj, type);
    if (!s) {
        return NULL;
    }
    s->func = Py_NewRef(func);
    s->label = Py_NewRef(label);
    s->names = Py_NewRef(names);
    s->masks = Py_NewRef(masks);
    s->classes = Py_NewRef(classes);
    s->defaults = Py_NewRef(defaults);
    s->missing = Py_NewRef(none);
    s->mode = mode;
    s->positional = positional;
    s->total = (int)PyTuple_Size(names);
    s->rest = rest;
    spec_prepare(s, PyType_GetModuleState(type));
    if (PyErr_Occurred()) {
        PyErr_Clear(); /* a name that is no UTF-8: never straight */
        s->straight = false;
    }
    PyObject_GC_Track((PyObject *)s);
    return (PyObject *)s;
}

/* fit(label, where, value, mask, classes): for the fields of dataclasses. */
static PyObject *spec_fit(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *label, *where, *value, *classes;
    int mask;
    if (!PyArg_ParseTuple(args, "UUOiO", &label, &where, &value, &mask, &classes)) {
        return NULL;
    }
    Mod *m = PyModule_GetState(self);
    return fit(m, label, where, value, mask, classes);
}

PyObject *bind_fit(PyObject *module, PyObject *args)
{
    return spec_fit(module, args);
}

static int spec_traverse(PyObject *self, visitproc visit, void *arg)
{
    SpecObj *s = (SpecObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(s->func);
    Py_VISIT(s->classes);
    Py_VISIT(s->defaults);
    return 0;
}

static int spec_clear(PyObject *self)
{
    SpecObj *s = (SpecObj *)self;
    Py_CLEAR(s->func);
    return 0;
}

static void spec_dealloc(PyObject *self)
{
    SpecObj *s = (SpecObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(s->func);
    Py_XDECREF(s->label);
    Py_XDECREF(s->names);
    Py_XDECREF(s->masks);
    Py_XDECREF(s->classes);
    Py_XDECREF(s->defaults);
    Py_XDECREF(s->missing);
    Py_XDECREF(s->named);
    Py_XDECREF(s->seen);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot spec_slots[] = {
    {Py_tp_doc, "How a handler takes its message."},
    {Py_tp_new, spec_new},
    {Py_tp_traverse, spec_traverse},
    {Py_tp_clear, spec_clear},
    {Py_tp_dealloc, spec_dealloc},
    {0, NULL},
};
PyType_Spec spec_spec = {"shoal._shoal.Spec", sizeof(SpecObj), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, spec_slots};
