/* send.c - ref.ask and ref.tell: packing a message, sending it, and the names below them.
 *
 * `ref.tell.inc` is a builtin made once per ref and name (the limited API of 3.11 has no vectorcall for own
 * types, but builtins have it), so its keywords go straight from the caller's stack into MessagePack. */
#include "pyshoal.h"

#include <string.h>

/* --- options --- */

int kept_timeout(Mod *m, PyObject *seconds, bool zero, uint32_t *ms)
{
    *ms = 0;
    if (!seconds || seconds == Py_None) {
        return 0;
    }
    double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!(s >= 0.0 && s <= 4294967.0) || (s == 0.0 && !zero)) {
        error_raise(m, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT,
                    "timeout is %g seconds, expected %s 4294967", s,
                    zero ? "0 .." : "more than 0 and at most");
        return -1;
    }
    *ms = (uint32_t)(s * 1000.0 + 0.999);
    return 0;
}

typedef struct Call { /* one ask or tell, its value packed */
    const char *name;
    uint32_t timeout_ms;
    Buf buf;
} Call;

/* The options among the keywords: how many, or -1. */
static Py_ssize_t call_options(Mod *m, const char *what, PyObject *const *values, PyObject *names,
                               Call *c)
{
    Py_ssize_t count = names ? PyTuple_Size(names) : 0, options = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        if (PyUnicode_GetLength(key) == 0 || PyUnicode_ReadChar(key, 0) != '_') {
            continue;
        }
        bool is_ask = !strcmp(what, "ask");
        if (!is_ask || PyUnicode_CompareWithASCIIString(key, "_timeout") != 0) {
            PyErr_Format(
                PyExc_TypeError,
                "%s() has no option %R%s; a map with a key that begins with '_' goes positionally",
                what, key, is_ask ? " (it has _timeout)" : "");
            return -1;
        }
        if (kept_timeout(m, values[i], false, &c->timeout_ms) < 0) {
            return -1;
        }
        options++;
    }
    return options;
}

/* Name and fields of a dataclass instance given instead of a name. */
static int call_by_class(NodeObj *n, PyObject *message, Call *c)
{
    Mod *m = n->mod;
    if (!is_dataclass(m, message) || PyType_Check(message)) {
        PyErr_SetString(
            PyExc_TypeError,
            "the first argument must be a message name (str) or an instance of a dataclass");
        return -1;
    }
    PyObject *name = PyObject_GetAttr((PyObject *)Py_TYPE(message), m->s_shoal_name);
    if (!name) {
        PyErr_Clear();
        name = PyType_GetName(Py_TYPE(message));
    }
    c->name = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    if (c->name) { /* the class, or the interned name of it, keeps the text alive during the call */
        PyUnicode_InternInPlace(&name);
        c->name = PyUnicode_AsUTF8AndSize(name, NULL);
    }
    Py_XDECREF(name);
    return c->name ? encode_fields(n, &c->buf, message, "value") : -1;
}

/* Packs the arguments that follow the name. */
static int call_value(NodeObj *n, const char *what, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *names, Call *c)
{
    Py_ssize_t options = call_options(n->mod, what, args + nargs, names, c);
    Py_ssize_t keywords = options < 0 ? 0 : (names ? PyTuple_Size(names) : 0) - options;
    if (options < 0) {
        return -1;
    }
    if (nargs > 1 || (nargs == 1 && keywords > 0)) {
        PyErr_SetString(
            PyExc_TypeError,
            "a message has one value: one positional argument, or keywords that make a map");
        return -1;
    }
    if (keywords > 0) {
        return encode_kw(n, &c->buf, args + nargs, names, options);
    }
    return nargs == 1 ? encode(n, &c->buf, args[0], "value") : 0;
}

int pack_message(NodeObj *n, const char *what, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *names, Buf *b)
{
    Call c = {.name = NULL};
    buf_init(&c.buf);
    int rc = call_value(n, what, args, nargs, names, &c);
    memcpy(b, &c.buf, sizeof *b);
    if (c.buf.data == c.buf.room) {
        b->data = b->room;
    }
    return rc;
}

/* --- sending --- */

static PyObject *send_tell(RefObj *r, Call *c)
{
    NodeObj *n = r->node;
    Msg *msg = n->current;
    int code;
    if (msg && msg->cx && msg->node == n && node_inside(n)) {
        code = shoal_cx_tell(msg->cx, r->pid, c->name, buf_bytes(&c->buf));
    } else {
        code = shoal_tell(n->node, r->pid, c->name, buf_bytes(&c->buf));
        node_soon(n);
    }
    return code < 0 ? error_last(n, code) : Py_NewRef(Py_None);
}

static bool asks_itself(const Msg *msg, const RefObj *r)
{
    return msg && msg->rec && shoal_pid_equal(msg->rec->pid, r->pid) &&
           !(msg->rec->type->type.flags & SHOAL_REENTRANT);
}

static PyObject *send_ask(RefObj *r, Call *c)
{
    NodeObj *n = r->node;
    Msg *msg = n->current;
    msg = msg && msg->node == n && node_inside(n) ? msg : NULL;
    if (asks_itself(msg, r)) {
        return error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "an actor that asks itself would wait for ever; make its class "
                           "reentrant, or call the method");
    }
    PendingObj *p = pending_new(n, WANT_VALUE);
    if (!p) {
        return NULL;
    }
    p->target = r->pid;
    /* Only what waits may keep its message open: a handler that is no coroutine asks as the node. */
    if (msg && msg->cx && msg->task) {
        return pending_begun(p, shoal_cx_ask(msg->cx, r->pid, c->name, buf_bytes(&c->buf),
                                             c->timeout_ms, pending_then, p));
    }
    return pending_begun(
        p, shoal_ask(n->node, r->pid, c->name, buf_bytes(&c->buf), c->timeout_ms, pending_done, p));
}

static PyObject *send(RefObj *r, bool is_ask, const char *name, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *names)
{
    Call c = {.name = name};
    PyObject *out = NULL;
    if (node_open(r->node) < 0) {
        return NULL;
    }
    buf_init(&c.buf);
    int rc;
    if (!name && nargs >= 1 && !PyUnicode_Check(args[0])) {
        rc = call_options(r->node->mod, is_ask ? "ask" : "tell", args + nargs, names, &c) < 0 ? -1
                                                                                              : 0;
        Py_ssize_t keywords = names ? PyTuple_Size(names) : 0;
        if (rc == 0 && (nargs > 1 || keywords > (c.timeout_ms ? 1 : 0))) {
            PyErr_SetString(PyExc_TypeError,
                            "a dataclass is the whole message: nothing follows it but options");
            rc = -1;
        }
        rc = rc == 0 ? call_by_class(r->node, args[0], &c) : rc;
    } else {
        rc = call_value(r->node, is_ask ? "ask" : "tell", args, nargs, names, &c);
    }
    if (rc == 0) {
        out = is_ask ? send_ask(r, &c) : send_tell(r, &c);
    }
    buf_free(&c.buf);
    return out;
}

/* The text of a message name; core checks its length. */
const char *message_name(Mod *m, PyObject *name)
{
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(name, &n);
    if (!text || (size_t)n != strlen(text)) {
        PyErr_Clear();
        error_raise(m, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT,
                    "the message name is not UTF-8 without NUL");
        return NULL;
    }
    return text;
}

/* --- ref.ask, ref.tell --- */

static PyObject *sender_call(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names)
{
    VerbObj *v = (VerbObj *)PyTuple_GetItem(self, 0);
    const char *name = message_name(v->mod, PyTuple_GetItem(self, 1));
    return name ? send(v->ref, v->is_ask, name, args, nargs, names) : NULL;
}

static PyMethodDef sender_def =
    METHOD("message", sender_call, METH_FASTCALL | METH_KEYWORDS,
           "Sends this message: one positional value, or keywords that make a map.");

static PyObject *verb_getattr(PyObject *self, PyObject *name)
{
    VerbObj *v = (VerbObj *)self;
    PyObject *found = v->cache ? PyDict_GetItemWithError(v->cache, name) : NULL;
    if (found) {
        return Py_NewRef(found);
    }
    if (PyErr_Occurred() || PyUnicode_GetLength(name) == 0 || PyUnicode_ReadChar(name, 0) == '_') {
        return PyErr_Occurred() ? NULL : PyObject_GenericGetAttr(self, name);
    }
    PyObject *bound = PyTuple_Pack(2, self, name);
    PyObject *made = bound ? PyCFunction_NewEx(&sender_def, bound, NULL) : NULL;
    Py_XDECREF(bound);
    if (made && !v->cache) {
        v->cache = PyDict_New();
    }
    if (made && v->cache && PyDict_Size(v->cache) < 64) {
        PyDict_SetItem(v->cache, name, made);
    }
    return PyErr_Occurred() ? (Py_XDECREF(made), NULL) : made;
}

static PyObject *verb_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    VerbObj *v = (VerbObj *)self;
    Py_ssize_t nargs = PyTuple_Size(args), nkw = kwargs ? PyDict_Size(kwargs) : 0, at = 0;
    PyObject *stack[16], **all = stack, *key, *value, *out = NULL;
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
    if (PyUnicode_Check(all[0])) {
        const char *name = message_name(v->mod, all[0]);
        out = name ? send(v->ref, v->is_ask, name, all + 1, nargs - 1, names) : NULL;
    } else {
        out = send(v->ref, v->is_ask, NULL, all, nargs, names);
    }
    if (all != stack) {
        PyMem_Free(all);
    }
    Py_XDECREF(names);
    return out;
}

static int verb_traverse(PyObject *self, visitproc visit, void *arg)
{
    VerbObj *v = (VerbObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(v->ref);
    Py_VISIT(v->cache);
    return 0;
}

static int verb_clear(PyObject *self)
{
    Py_CLEAR(((VerbObj *)self)->cache);
    return 0;
}

static void verb_dealloc(PyObject *self)
{
    VerbObj *v = (VerbObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    verb_clear(self);
    Py_XDECREF((PyObject *)v->ref);
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

static PyObject *ref_verb(RefObj *r, PyObject **slot, bool is_ask)
{
    if (*slot) {
        return Py_NewRef(*slot);
    }
    VerbObj *v = PyObject_GC_New(VerbObj, r->mod->verb);
    if (!v) {
        return NULL;
    }
    v->mod = r->mod;
    v->ref = (RefObj *)Py_NewRef((PyObject *)r);
    v->cache = NULL;
    v->is_ask = is_ask;
    PyObject_GC_Track((PyObject *)v);
    *slot = Py_NewRef((PyObject *)v);
    return (PyObject *)v;
}

PyObject *ref_ask(PyObject *self, void *unused)
{
    (void)unused;
    return ref_verb((RefObj *)self, &((RefObj *)self)->ask, true);
}

PyObject *ref_tell(PyObject *self, void *unused)
{
    (void)unused;
    return ref_verb((RefObj *)self, &((RefObj *)self)->tell, false);
}
