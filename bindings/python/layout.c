/* layout.c - the straight way from a message to its handler's arguments: no map is made, no tuple, no dict.
 *
 * A handler mostly gets messages of one shape, so it remembers which value goes to which parameter for the keywords it
 * saw last. What does not fit at once (another kind than the hint's, a name too many, **rest) takes the long way, bind.c,
 * which also finds the words for errors. */
#include "pyshoal.h"

#include <string.h>

void spec_prepare(SpecObj *s, Mod *m)
{
    (void)m;
    s->seen = s->named = NULL;
    s->straight = s->total <= PY_PARAMS_MAX && s->rest == 0;
    for (int i = 0; i < s->total && s->straight; i++) {
        Py_ssize_t n = 0;
        s->mask[i] = (int)PyLong_AsLong(PyTuple_GetItem(s->masks, i));
        s->text[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(s->names, i), &n);
        s->text_len[i] = (size_t)n;
    }
    if (s->straight && s->total > s->positional) {
        s->named = PyTuple_GetSlice(s->names, s->positional, s->total);
    }
}

static bool fits(Mod *m, const SpecObj *s, int i, PyObject *v)
{
    return (s->mask[i] & K_ANY) || (s->mask[i] & kind_of(m, v));
}

/* Parameter i without a value; NULL: it has no default. */
static PyObject *default_of(const SpecObj *s, int i)
{
    PyObject *v = PyTuple_GetItem(s->defaults, i);
    return v == s->missing ? NULL : v;
}

/* One value, not a map; borrowed. */
static int take_one(Mod *m, const SpecObj *s, PyObject *v, PyObject **args)
{
    bool by_default = s->mode == 1 && v == Py_None && s->positional && default_of(s, 0);
    if (s->positional == 0 || (!by_default && !fits(m, s, 0, v))) {
        return -1;
    }
    args[0] = by_default ? default_of(s, 0) : v;
    for (int i = 1; i < s->total; i++) {
        if (!(args[i] = default_of(s, i))) {
            return -1;
        }
    }
    return s->total;
}

static int take_none(const SpecObj *s, PyObject **args)
{
    for (int i = 0; i < s->total; i++) {
        if (!(args[i] = default_of(s, i))) {
            return -1;
        }
    }
    return s->total;
}

static bool learn(SpecObj *s, PyObject *names)
{
    Py_ssize_t count = PyTuple_Size(names), taken = 0;
    Py_CLEAR(s->seen);
    for (int i = 0; i < s->total; i++) {
        PyObject *name = PyTuple_GetItem(s->names, i);
        s->at[i] = -1;
        for (Py_ssize_t k = 0; k < count && s->at[i] < 0; k++) {
            PyObject *key = PyTuple_GetItem(names, k);
            s->at[i] = key == name || PyUnicode_Compare(key, name) == 0 ? (signed char)k : -1;
        }
        if (s->at[i] < 0 && !default_of(s, i)) {
            return false;
        }
        taken += s->at[i] >= 0;
    }
    if (taken != count) {
        return false;
    }
    s->seen = Py_NewRef(names);
    return true;
}

int spec_take(Mod *m, SpecObj *s, const Parcel *p, PyObject **args)
{
    if (!s->straight || p->copied) {
        return -1;
    }
    if (!p->names) {
        bool none = p->count == 0 || p->values[0] == Py_None;
        return none && s->mode == 0 ? take_none(s, args)
                                    : take_one(m, s, none ? Py_None : p->values[0], args);
    }
    if (s->mode == 1 || (p->names != s->seen && !learn(s, p->names))) {
        return -1;
    }
    for (int i = 0; i < s->total; i++) {
        args[i] = s->at[i] < 0 ? default_of(s, i) : p->values[s->at[i]];
        if (s->at[i] >= 0 && !fits(m, s, i, args[i])) {
            return -1;
        }
    }
    return s->total;
}

/* --- from bytes --- */

static int key_at(const SpecObj *s, int hint, const char *text, size_t len)
{
    for (int k = 0; k < s->total; k++) {
        int i = (hint + k) % s->total;
        if (s->text_len[i] == len && memcmp(s->text[i], text, len) == 0) {
            return i;
        }
    }
    return -1;
}

/* The pairs of a map into args (NULL where nothing came); false: the long way. */
static bool read_pairs(Dec *d, const SpecObj *s, size_t count, PyObject **args)
{
    Mod *m = d->node->mod;
    int hint = 0;
    for (size_t k = 0; k < count; k++) {
        const char *text;
        size_t len;
        int i = decode_key(d, &text, &len) && s->total ? key_at(s, hint, text, len) : -1;
        if (i < 0 || args[i]) {
            return false;
        }
        args[i] = decode_next(d, 2);
        if (!args[i] || !fits(m, s, i, args[i])) {
            return false;
        }
        hint = i + 1;
    }
    return d->at == d->end;
}

static int read_map(Dec *d, SpecObj *s, size_t count, PyObject **args)
{
    for (int i = 0; i < s->total; i++) {
        args[i] = NULL;
    }
    bool good = s->mode == 0 && read_pairs(d, s, count, args);
    for (int i = 0; i < s->total && good; i++) {
        good = args[i] || (args[i] = Py_XNewRef(default_of(s, i)));
    }
    for (int i = 0; i < s->total && !good; i++) {
        Py_CLEAR(args[i]);
    }
    PyErr_Clear();
    return good ? s->total : -1;
}

int spec_read(NodeObj *n, SpecObj *s, shoal_bytes value, PyObject **args)
{
    if (!s->straight) {
        return -1;
    }
    Dec d = {n, value.data, (const unsigned char *)value.data + value.len};
    size_t count = 0;
    if (value.len == 0 ? s->mode == 0 : decode_map(&d, &count)) {
        return read_map(&d, s, count, args);
    }
    PyObject *v = decode(n, value);
    int got = -1;
    if (v && !PyDict_Check(v)) {
        got = v == Py_None && s->mode == 0 ? take_none(s, args) : take_one(n->mod, s, v, args);
    }
    for (int i = 0; i < got; i++) {
        Py_INCREF(args[i]);
    }
    PyErr_Clear();
    Py_XDECREF(v);
    return got;
}

/* --- the call --- */

static PyObject *call_long(SpecObj *s, PyObject **args, int count)
{
    PyObject *tuple = PyTuple_New(s->positional + 1), *kwargs = s->named ? PyDict_New() : NULL;
    bool good = tuple && (kwargs || !s->named);
    for (int i = 0; i < count + 1 && good; i++) {
        if (i <= s->positional) {
            good = PyTuple_SetItem(tuple, i, Py_NewRef(args[i])) == 0;
        } else {
            good = PyDict_SetItem(kwargs, PyTuple_GetItem(s->names, i - 1), args[i]) == 0;
        }
    }
    PyObject *out = good ? PyObject_Call(s->func, tuple, kwargs) : NULL;
    Py_XDECREF(tuple);
    Py_XDECREF(kwargs);
    return out;
}

/* args: self, then count parameters. */
PyObject *spec_call(Mod *m, SpecObj *s, PyObject **args, int count)
{
    if (!m->vectorcall) {
        return call_long(s, args, count);
    }
    return m->vectorcall(s->func, args, (size_t)s->positional + 1, s->named);
}
