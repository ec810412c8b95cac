/* verb.c - ref.ask and ref.tell, and the names below them.
 *
 * `ref.tell.inc` is a builtin made once per ref and name (the limited API of 3.11 has no vectorcall for own types, but
 * builtins have it), so its keywords come straight from the caller's stack. */
#include "pyshoal.h"

#include <string.h>

/* --- ref.tell.name --- */

static PyObject *sender_call(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names)
{
    SenderObj *s = (SenderObj *)self;
    if (nargs == 0 && names && names == s->plain) {
        return send_plain(s, args, names);
    }
    size_t bytes;
    if (s->text && names && nargs == 0 && send_is_plain(names, &bytes)) {
        SET(s->plain, Py_NewRef(names));
        s->plain_bytes = bytes;
    }
    return send_message(s->node, s->pid, s->is_ask, s->name, args, nargs, names);
}

static PyMethodDef sender_def =
    METHOD("message", sender_call, METH_FASTCALL | METH_KEYWORDS,
           "Sends this message: one positional value, or keywords that make a map.");

static PyObject *sender_new(VerbObj *v, PyObject *name)
{
    SenderObj *s = PyObject_GC_New(SenderObj, v->mod->sender);
    if (!s) {
        return NULL;
    }
    Py_ssize_t n;
    s->mod = v->mod;
    s->node = (NodeObj *)Py_NewRef((PyObject *)v->node);
    s->pid = v->pid;
    s->is_ask = v->is_ask;
    s->name = Py_NewRef(name);
    s->plain = NULL;
    s->plain_bytes = 0;
    s->text = PyUnicode_AsUTF8AndSize(name, &n);
    if (!s->text || (size_t)n != strlen(s->text)) {
        PyErr_Clear();
        s->text = NULL; /* each call says so */
    }
    PyObject_GC_Track((PyObject *)s);
    PyObject *made = PyCFunction_NewEx(&sender_def, (PyObject *)s, NULL);
    Py_DECREF((PyObject *)s);
    return made;
}

static int sender_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((SenderObj *)self)->node);
    return 0;
}

static void sender_dealloc(PyObject *self)
{
    SenderObj *s = (SenderObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(s->name);
    Py_XDECREF(s->plain);
    Py_XDECREF((PyObject *)s->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot sender_slots[] = {
    {Py_tp_doc, "One message of one actor."},
    {Py_tp_traverse, sender_traverse},
    {Py_tp_dealloc, sender_dealloc},
    {0, NULL},
};
PyType_Spec sender_spec = {
    "shoal._shoal.Sender", sizeof(SenderObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, sender_slots};

/* --- ref.ask, ref.tell --- */

enum { SENDERS_MAX = 64 };

/* The builtin for a name, new; those asked for before are kept. */
static PyObject *verb_sender(VerbObj *v, PyObject *name)
{
    PyObject *made = v->cache ? PyDict_GetItemWithError(v->cache, name) : NULL;
    if (made || PyErr_Occurred()) {
        return Py_XNewRef(made);
    }
    made = sender_new(v, name);
    if (made && !v->cache) {
        v->cache = PyDict_New();
    }
    if (made && v->cache && PyDict_Size(v->cache) < SENDERS_MAX) {
        PyDict_SetItem(v->cache, name, made);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(made);
    }
    return made;
}

static PyObject *verb_getattr(PyObject *self, PyObject *name)
{
    VerbObj *v = (VerbObj *)self;
    if (name == v->last) {
        return Py_NewRef(v->last_made);
    }
    if (PyUnicode_GetLength(name) == 0 || PyUnicode_ReadChar(name, 0) == '_') {
        return PyObject_GenericGetAttr(self, name);
    }
    PyObject *made = verb_sender(v, name);
    if (made) {
        SET(v->last, Py_NewRef(name));
        SET(v->last_made, Py_NewRef(made));
    }
    return made;
}

static PyObject *verb_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    VerbObj *v = (VerbObj *)self;
    Py_ssize_t nargs = PyTuple_Size(args), nkw = kwargs ? PyDict_Size(kwargs) : 0, at = 0;
    PyObject *stack[16], **all = stack, *key, *value;
    PyObject *names = nkw ? PyTuple_New(nkw) : NULL;
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "which message? ask(name, ...) or ask.name(...)");
        return NULL;
    }
    if ((nkw && !names) ||
        (nargs + nkw > 16 && !(all = PyMem_Malloc((size_t)(nargs + nkw) * sizeof *all)))) {
        Py_XDECREF(names);
        return PyErr_NoMemory();
    }
    Py_ssize_t i = 0;
    for (; i < nargs; i++) {
        all[i] = PyTuple_GetItem(args, i);
    }
    for (Py_ssize_t k = 0; nkw && PyDict_Next(kwargs, &at, &key, &value); k++) {
        all[i++] = value;
        PyTuple_SetItem(names, k, Py_NewRef(key));
    }
    bool named = PyUnicode_Check(all[0]);
    PyObject *out = send_message(v->node, v->pid, v->is_ask, named ? all[0] : NULL, all + named,
                                 nargs - named, names);
    if (all != stack) {
        PyMem_Free(all);
    }
    Py_XDECREF(names);
    return out;
}

PyObject *verb_new(NodeObj *n, shoal_pid pid, bool is_ask)
{
    VerbObj *v = PyObject_GC_New(VerbObj, n->mod->verb);
    if (!v) {
        return NULL;
    }
    v->mod = n->mod;
    v->node = (NodeObj *)Py_NewRef((PyObject *)n);
    v->pid = pid;
    v->cache = v->last = v->last_made = NULL;
    v->is_ask = is_ask;
    PyObject_GC_Track((PyObject *)v);
    return (PyObject *)v;
}

static int verb_traverse(PyObject *self, visitproc visit, void *arg)
{
    VerbObj *v = (VerbObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(v->node);
    Py_VISIT(v->cache);
    Py_VISIT(v->last_made);
    return 0;
}

static int verb_clear(PyObject *self)
{
    VerbObj *v = (VerbObj *)self;
    Py_CLEAR(v->cache);
    Py_CLEAR(v->last);
    Py_CLEAR(v->last_made);
    return 0;
}

static void verb_dealloc(PyObject *self)
{
    VerbObj *v = (VerbObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    verb_clear(self);
    Py_XDECREF((PyObject *)v->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot verb_slots[] = {
    {Py_tp_doc,
     "Sends messages: verb(name, value), verb(name, key=...), verb.name(...), verb(Message(...))."},
    {Py_tp_getattro, verb_getattr},
    {Py_tp_call, verb_call},
    {Py_tp_traverse, verb_traverse},
    {Py_tp_clear, verb_clear},
    {Py_tp_dealloc, verb_dealloc},
    {0, NULL},
};
PyType_Spec verb_spec = {
    "shoal._shoal.Verb", sizeof(VerbObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, verb_slots};
