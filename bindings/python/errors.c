/* errors.c - from codes and results to exceptions, and from a handler's exception to its failure.
 *
 * The classes come from one table, shoal/_errors.py; a code finds its class by shoal_code_name. */
#include "pyshoal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int errors_init(Mod *m)
{
    PyObject *py = PyImport_ImportModule("shoal._errors");
    PyObject *table = py ? PyObject_GetAttrString(py, "BY_CODE") : NULL;
    m->make_error = py ? PyObject_GetAttrString(py, "make") : NULL;
    m->error = py ? PyObject_GetAttrString(py, "Error") : NULL;
    m->reason = py ? PyObject_GetAttrString(py, "Reason") : NULL;
    m->traceback_text = py ? PyObject_GetAttrString(py, "traceback_text") : NULL;
    Py_XDECREF(py);
    for (int i = 1; i < PY_CODES && table; i++) {
        PyObject *cls = PyMapping_GetItemString(table, shoal_code_name(-i));
        m->errors[i] = cls;
        if (!cls) {
            Py_CLEAR(table);
        }
    }
    Py_XDECREF(table);
    return table && m->make_error && m->error && m->reason && m->traceback_text ? 0 : -1;
}

PyObject *error_new(Mod *m, int code, int delivery, const char *text, const char *type,
                    PyObject *value)
{
    static const char *const deliveries[] = {"not_sent", "not_sent", "unknown", "handled"};
    int i = code < 0 && code > -PY_CODES ? -code : -SHOAL_E_LIMIT;
    const char *d = deliveries[delivery > 0 && delivery < 4 ? delivery : 0];
    PyObject *py_text = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    PyObject *e = py_text ? PyObject_CallFunction(m->make_error, "OOszO", m->errors[i], py_text, d,
                                                  type, value ? value : Py_None)
                          : NULL;
    Py_XDECREF(py_text);
    return e;
}

PyObject *error_raise(Mod *m, int code, int delivery, const char *format, ...)
{
    char text[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    PyObject *e = error_new(m, code, delivery, text, NULL, NULL);
    if (e) {
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        Py_DECREF(e);
    }
    return NULL;
}

PyObject *error_last(NodeObj *n, int code)
{
    const char *text = n->node ? shoal_last_error(n->node) : "";
    return error_raise(n->mod, code, SHOAL_NOT_SENT, "%s", *text ? text : shoal_strerror(code));
}

PyObject *error_kept(NodeObj *n, uint64_t actor)
{
    PyObject *key = n->failures || n->failures_old ? PyLong_FromUnsignedLongLong(actor) : NULL;
    PyObject *e = key && n->failures ? PyDict_GetItemWithError(n->failures, key) : NULL;
    if (!e && key && n->failures_old) {
        e = PyDict_GetItemWithError(n->failures_old, key);
    }
    Py_XINCREF(e);
    Py_XDECREF(key);
    PyErr_Clear();
    return e;
}

/* The failures of the last second stay; who fails all the time keeps no more than two lots. */
void errors_age(NodeObj *n)
{
    bool due = n->failures &&
               (PyDict_Size(n->failures) >= PY_FAILURES_MAX || seconds_now(n) - n->failed_at > 1.0);
    if (due || (!n->failures && n->failures_old && seconds_now(n) - n->failed_at > 2.0)) {
        PyObject *old = n->failures_old;
        n->failures_old = n->failures;
        n->failures = NULL;
        Py_XDECREF(old);
    }
}

/* The exception that a handler of this very process raised just now, as __cause__. */
static void error_cause(NodeObj *n, shoal_pid target, PyObject *error, const char *type)
{
    PyObject *cause = target.node == 0 ? error_kept(n, target.actor) : NULL;
    if (cause) {
        PyObject *name = PyType_GetName(Py_TYPE(cause));
        const char *s = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
        if (s && !strcmp(s, type)) {
            PyException_SetCause(error, Py_NewRef(cause));
        }
        Py_XDECREF(name);
    }
    Py_XDECREF(cause);
    PyErr_Clear();
}

PyObject *error_of(NodeObj *n, shoal_pid target, const shoal_result *r)
{
    Mod *m = n->mod;
    if (r->code == SHOAL_E_CANCELLED) {
        return PyObject_CallFunction(m->cancelled, NULL);
    }
    PyObject *value = NULL;
    if (r->code == SHOAL_E_HANDLER && r->value.len && n->node) {
        value = decode(n, r->value);
        PyErr_Clear();
    }
    PyObject *e = error_new(m, r->code, r->delivery, r->text, *r->type ? r->type : NULL, value);
    Py_XDECREF(value);
    if (e && r->code == SHOAL_E_HANDLER) {
        error_cause(n, target, e, r->type);
    }
    return e;
}

PyObject *error_fetch(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && trace) {
        PyException_SetTraceback(value, trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

bool error_is(int code, Mod *m, PyObject *exception)
{
    return PyErr_GivenExceptionMatches(exception, m->errors[-code]) != 0;
}

/* Keeps the exception for an asker in this process and for the actor_failed event. */
static void error_keep(Msg *msg, PyObject *exception)
{
    NodeObj *n = msg->node;
    errors_age(n);
    if (!n->failures) {
        n->failures = PyDict_New();
        n->failed_at = seconds_now(n);
    }
    PyObject *key = msg->rec ? PyLong_FromUnsignedLongLong(msg->rec->pid.actor) : NULL;
    if (key && n->failures) {
        PyDict_SetItem(n->failures, key, exception);
    }
    Py_XDECREF(key);
    PyErr_Clear();
}

/* What BaseException but not Exception says: leave run, poll or wait. */
static void error_escape(NodeObj *n, PyObject *exception)
{
    if (!PyErr_GivenExceptionMatches(exception, PyExc_Exception) &&
        !PyErr_GivenExceptionMatches(exception, n->mod->cancelled) &&
        !PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) && !n->escape) {
        n->escape = Py_NewRef(exception);
    }
}

static const char *text_of(PyObject *text)
{
    const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    return s ? s : "";
}

int error_fail(Msg *msg, PyObject *exception)
{
    NodeObj *n = msg->node;
    Mod *m = n->mod;
    Buf b;
    buf_init(&b);
    error_keep(msg, exception);
    error_escape(n, exception);
    bool own = error_is(SHOAL_E_HANDLER, m, exception);
    PyObject *type = PyType_GetName(Py_TYPE(exception));
    PyObject *text = PyObject_Str(exception);
    if (text && !own) {
        PyObject *said = PyUnicode_GetLength(text) ? PyUnicode_FromFormat("%U: %U", type, text)
                                                   : Py_XNewRef(type);
        SET(text, said);
    }
    if (own) {
        PyObject *value = PyObject_GetAttrString(exception, "value");
        if (!value || (value != Py_None && encode(n, &b, value, "value") < 0)) {
            PyErr_Clear();
            b.len = 0;
        }
        Py_XDECREF(value);
    }
    PyErr_Clear();
    int code = SHOAL_E_HANDLER;
    if (msg->cx) {
        code = shoal_fail_with(msg->cx, text_of(text), text_of(type), buf_bytes(&b));
    }
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(type);
    buf_free(&b);
    return code;
}
