/* send.c - a message on its way out: its options, its value by reference or packed, the call to core. */
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

typedef struct Call { /* one ask or tell, its value as a parcel or packed */
    const char *name;
    uint32_t timeout_ms;
    Parcel *parcel;
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

/* One value or keywords: how many of the keywords are options, or -1. */
static Py_ssize_t call_shape(NodeObj *n, const char *what, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names, Call *c)
{
    Py_ssize_t options = call_options(n->mod, what, args + nargs, names, c);
    Py_ssize_t keywords = options < 0 ? 0 : (names ? PyTuple_Size(names) : 0) - options;
    if (options >= 0 && (nargs > 1 || (nargs == 1 && keywords > 0))) {
        PyErr_SetString(
            PyExc_TypeError,
            "a message has one value: one positional argument, or keywords that make a map");
        return -1;
    }
    return options;
}

/* Packs the arguments that follow the name. */
static int call_pack(NodeObj *n, PyObject *const *args, Py_ssize_t nargs, PyObject *names,
                     Py_ssize_t options, Call *c)
{
    if (names && PyTuple_Size(names) > options) {
        return encode_kw(n, &c->buf, args + nargs, names, options);
    }
    return nargs == 1 ? encode(n, &c->buf, args[0], "value") : 0;
}

static int call_value(NodeObj *n, const char *what, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *names, Call *c)
{
    Py_ssize_t options = call_shape(n, what, args, nargs, names, c);
    return options < 0 ? -1 : call_pack(n, args, nargs, names, options, c);
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

/* The message whose handler runs on this thread, for calls in its name. */
static Msg *sending_msg(NodeObj *n)
{
    Msg *msg = n->current;
    return msg && msg->node == n && node_inside(n) ? msg : NULL;
}

/* By reference: 1 sent, 0 the other side is elsewhere (the parcel is still ours), -1 raised. */
static int tell_parcel(NodeObj *n, shoal_pid pid, Call *c)
{
    Msg *msg = sending_msg(n);
    shoal_object object = {c->parcel, parcel_drop};
    int code;
    if (msg && msg->cx) {
        code = shoal_cx_tell_object(msg->cx, pid, c->name, object);
    } else {
        code = shoal_tell_object(n->node, pid, c->name, object);
    }
    if (code == SHOAL_E_UNSUPPORTED) {
        return 0;
    }
    if (code >= 0) {
        c->parcel = NULL;
        node_soon(n);
        return 1;
    }
    error_last(n, code);
    return -1;
}

static PyObject *tell_packed(NodeObj *n, shoal_pid pid, const Call *c)
{
    Msg *msg = sending_msg(n);
    int code;
    if (msg && msg->cx) {
        code = shoal_cx_tell(msg->cx, pid, c->name, buf_bytes(&c->buf));
    } else {
        code = shoal_tell(n->node, pid, c->name, buf_bytes(&c->buf));
        node_soon(n);
    }
    return code < 0 ? error_last(n, code) : Py_NewRef(Py_None);
}

static bool asks_itself(const Msg *msg, shoal_pid pid)
{
    return msg && msg->rec && shoal_pid_equal(msg->rec->pid, pid) &&
           !(msg->rec->type->type.flags & SHOAL_REENTRANT);
}

static PendingObj *ask_begin(NodeObj *n, shoal_pid pid)
{
    if (asks_itself(sending_msg(n), pid)) {
        return (PendingObj *)error_raise(
            n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
            "an actor that asks itself would wait for ever; make its class "
            "reentrant, or call the method");
    }
    PendingObj *p = pending_new(n, WANT_VALUE);
    if (p) {
        p->target = pid;
    }
    return p;
}

/* Only what waits may keep its message open: a handler that is no coroutine asks as the node. */
static shoal_cx *asking_cx(NodeObj *n)
{
    Msg *msg = sending_msg(n);
    return msg && msg->task ? msg->cx : NULL;
}

/* As tell_parcel; p: its Pending. */
static int64_t ask_parcel(NodeObj *n, PendingObj *p, Call *c)
{
    shoal_cx *cx = asking_cx(n);
    shoal_object object = {c->parcel, parcel_drop};
    int64_t id =
        cx ? shoal_cx_ask_object(cx, p->target, c->name, object, c->timeout_ms, pending_then, p)
           : shoal_ask_object(n->node, p->target, c->name, object, c->timeout_ms, pending_done, p);
    if (id >= 0) {
        c->parcel = NULL;
    }
    return id;
}

static PyObject *ask_packed(NodeObj *n, PendingObj *p, const Call *c)
{
    shoal_cx *cx = asking_cx(n);
    return pending_begun(p, cx ? shoal_cx_ask(cx, p->target, c->name, buf_bytes(&c->buf),
                                              c->timeout_ms, pending_then, p)
                               : shoal_ask(n->node, p->target, c->name, buf_bytes(&c->buf),
                                           c->timeout_ms, pending_done, p));
}

/* A message that is a parcel, if it can go as one: *out is the result. false: it must be packed. */
static bool send_parcel(NodeObj *n, shoal_pid pid, bool is_ask, Call *c, PyObject **out)
{
    c->parcel->is_ask = is_ask;
    if (!is_ask) {
        int sent = tell_parcel(n, pid, c);
        *out = sent > 0 ? Py_NewRef(Py_None) : NULL;
        return sent != 0;
    }
    PendingObj *p = ask_begin(n, pid);
    int64_t id = p ? ask_parcel(n, p, c) : 0;
    if (id == SHOAL_E_UNSUPPORTED) {
        Py_DECREF((PyObject *)p);
        return false;
    }
    *out = p ? pending_begun(p, id) : NULL;
    return true;
}

static PyObject *send_packed(NodeObj *n, shoal_pid pid, bool is_ask, Call *c)
{
    if (!is_ask) {
        return tell_packed(n, pid, c);
    }
    PendingObj *p = ask_begin(n, pid);
    return p ? ask_packed(n, p, c) : NULL;
}

/* The keywords without the options, new. */
static PyObject *names_less(PyObject *names, PyObject *const *values, PyObject **kept)
{
    Py_ssize_t count = PyTuple_Size(names), used = 0;
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; i < count && list; i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        if (PyUnicode_GetLength(key) > 0 && PyUnicode_ReadChar(key, 0) == '_') {
            continue;
        }
        if (used == PY_PARCEL_MAX || PyList_Append(list, key) < 0) {
            Py_CLEAR(list);
            break;
        }
        kept[used++] = values[i];
    }
    PyObject *out = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    PyErr_Clear();
    return out;
}

/* Packed size of a map with these keys (few: they are for a parcel), less its values; 0: a key is not UTF-8. */
static size_t names_bytes(PyObject *names)
{
    size_t bytes = 1;
    for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++) {
        size_t key = copy_text_bytes(PyTuple_GetItem(names, i));
        if (!key) {
            return 0;
        }
        bytes += key;
    }
    return bytes;
}

static Parcel *call_parcel(NodeObj *n, PyObject *key, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *names, Py_ssize_t options)
{
    PyObject *kept[PY_PARCEL_MAX];
    Py_ssize_t count = names ? PyTuple_Size(names) : 0;
    if (count == options) {
        return parcel_new(n, key, args, nargs, NULL, 0);
    }
    if (options == 0) {
        size_t bytes = names_bytes(names);
        return bytes ? parcel_new(n, key, args, nargs, names, bytes) : NULL;
    }
    PyObject *rest = names_less(names, args + nargs, kept);
    size_t bytes = rest ? names_bytes(rest) : 0;
    Parcel *p = bytes ? parcel_new(n, key, kept, 0, rest, bytes) : NULL;
    Py_XDECREF(rest);
    return p;
}

static PyObject *send_by_class(NodeObj *n, shoal_pid pid, bool is_ask, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *names)
{
    Call c = {.name = NULL};
    buf_init(&c.buf);
    int rc = call_options(n->mod, is_ask ? "ask" : "tell", args + nargs, names, &c) < 0 ? -1 : 0;
    Py_ssize_t keywords = names ? PyTuple_Size(names) : 0;
    if (rc == 0 && (nargs > 1 || keywords > (c.timeout_ms ? 1 : 0))) {
        PyErr_SetString(PyExc_TypeError,
                        "a dataclass is the whole message: nothing follows it but options");
        rc = -1;
    }
    rc = rc == 0 ? call_by_class(n, args[0], &c) : rc;
    PyObject *out = rc == 0 ? send_packed(n, pid, is_ask, &c) : NULL;
    buf_free(&c.buf);
    return out;
}

PyObject *send_message(NodeObj *n, shoal_pid pid, bool is_ask, PyObject *key, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *names)
{
    if (node_open(n) < 0) {
        return NULL;
    }
    if (!key) {
        return send_by_class(n, pid, is_ask, args, nargs, names);
    }
    Call c = {.name = message_name(n->mod, key)};
    PyObject *out = NULL;
    Py_ssize_t options =
        c.name ? call_shape(n, is_ask ? "ask" : "tell", args, nargs, names, &c) : -1;
    if (options < 0) {
        return NULL;
    }
    if (pid.node == 0) {
        c.parcel = call_parcel(n, key, args, nargs, names, options);
    }
    if (!c.parcel || !send_parcel(n, pid, is_ask, &c, &out)) {
        buf_init(&c.buf);
        out = call_pack(n, args, nargs, names, options, &c) == 0 ? send_packed(n, pid, is_ask, &c)
                                                                 : NULL;
        buf_free(&c.buf);
    }
    if (c.parcel) {
        parcel_free(c.parcel);
    }
    return out;
}

PyObject *send_plain(SenderObj *s, PyObject *const *args, PyObject *names)
{
    NodeObj *n = s->node;
    PyObject *out = NULL;
    if (node_open(n) < 0) {
        return NULL;
    }
    Call c = {.name = s->text, .parcel = parcel_new(n, s->name, args, 0, names, s->plain_bytes)};
    if (c.parcel && send_parcel(n, s->pid, s->is_ask, &c, &out)) {
        if (c.parcel) {
            parcel_free(c.parcel);
        }
        return out;
    }
    if (c.parcel) {
        parcel_free(c.parcel);
    }
    return send_message(n, s->pid, s->is_ask, s->name, args, 0, names);
}

bool send_is_plain(PyObject *names, size_t *bytes)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        if (PyUnicode_GetLength(key) > 0 && PyUnicode_ReadChar(key, 0) == '_') {
            return false;
        }
    }
    *bytes = names_bytes(names);
    return *bytes != 0;
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
