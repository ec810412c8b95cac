/* pending.c - Pending: what calls that take time return. To asyncio a future by duck type, to others .wait().
 *
 * Waking: settled inside a drain on the asyncio thread, its callbacks run at once (the drain is a callback
 * of the loop itself, with no current task): five times cheaper than a turn of the loop. Settled anywhere
 * else they go through call_soon, from a foreign thread call_soon_threadsafe. */
#include "pyshoal.h"

#include <string.h>

PyObject *pending_loop(NodeObj *n)
{
    if (n->loop && PyThread_get_thread_ident() == n->loop_thread) {
        return Py_NewRef(n->loop);
    }
    PyObject *loop = PyObject_CallNoArgs(n->mod->running_loop);
    if (loop == Py_None || !loop) {
        PyErr_Clear();
        Py_CLEAR(loop);
    }
    return loop;
}

PendingObj *pending_new(NodeObj *n, enum wants want)
{
    PendingObj *p = PyObject_GC_New(PendingObj, n->mod->pending);
    if (!p) {
        return NULL;
    }
    memset((char *)p + sizeof(PyObject), 0, sizeof *p - sizeof(PyObject));
    p->mod = n->mod;
    p->node = (NodeObj *)Py_NewRef((PyObject *)n);
    p->want = (uint8_t)want;
    p->loop = pending_loop(n);
    PyObject_GC_Track((PyObject *)p);
    return p;
}

void pending_link(PendingObj *p)
{
    NodeObj *n = p->node;
    p->linked = true;
    p->prev = NULL;
    p->next = n->calls;
    if (n->calls) {
        n->calls->prev = p;
    }
    n->calls = (PendingObj *)Py_NewRef((PyObject *)p);
    if (p->due > 0 && (n->next_due <= 0 || p->due < n->next_due)) {
        n->next_due = p->due;
    }
}

void pending_unlink(PendingObj *p)
{
    if (!p->linked) {
        return;
    }
    p->linked = false;
    if (p->prev) {
        p->prev->next = p->next;
    } else {
        p->node->calls = p->next;
    }
    if (p->next) {
        p->next->prev = p->prev;
    }
    Py_DECREF((PyObject *)p);
}

PyObject *pending_begun(PendingObj *p, int64_t id)
{
    NodeObj *n = p->node;
    if (id < 0) {
        error_last(n, (int)id);
        Py_DECREF((PyObject *)p);
        return NULL;
    }
    p->call = id;
    if (p->state == P_WAITING) {
        pending_link(p);
    }
    node_soon(n);
    return (PyObject *)p;
}

/* --- ending --- */

PyObject *run_in(Mod *m, PyObject *context, PyObject *fn, PyObject *arg)
{
    if (!context || !m->context_enter || !m->context_exit || !m->vectorcall) {
        return context ? PyObject_CallMethodObjArgs(context, m->s_run, fn, arg, NULL)
                       : PyObject_CallFunctionObjArgs(fn, arg, NULL);
    }
    if (m->context_enter(context) < 0) {
        return NULL;
    }
    PyObject *out = m->vectorcall(fn, &arg, 1, NULL);
    if (m->context_exit(context) < 0) {
        Py_CLEAR(out);
    }
    return out;
}

void call_back(NodeObj *n, PyObject *loop, PyObject *fn, PyObject *arg, PyObject *context,
               bool direct)
{
    Mod *m = n->mod;
    PyObject *out;
    if (direct) {
        out = run_in(m, context, fn, arg);
    } else if (loop) {
        PyObject *how =
            PyObject_GetAttr(loop, loop == n->loop && PyThread_get_thread_ident() == n->loop_thread
                                       ? m->s_call_soon
                                       : m->s_call_soon_safe);
        PyObject *args = how ? PyTuple_Pack(2, fn, arg) : NULL;
        PyObject *kw = args && context ? PyDict_New() : NULL;
        if (kw) {
            PyDict_SetItem(kw, m->s_context, context);
        }
        out = args ? PyObject_Call(how, args, kw) : NULL;
        Py_XDECREF(how);
        Py_XDECREF(args);
        Py_XDECREF(kw);
    } else {
        out = PyObject_CallFunctionObjArgs(fn, arg, NULL);
    }
    if (!out && direct && !PyErr_ExceptionMatches(PyExc_Exception) && !n->escape) {
        n->escape = error_fetch(); /* Ctrl-C in a task that was woken: leaves the drain */
    } else if (!out) {
        PyErr_WriteUnraisable(fn);
    }
    Py_XDECREF(out);
}

/* Is it what a task of asyncio (the one written in C) waits with? It would ask the future for its result, find the method
 * by a string of its own each time, and throw the result away: Woken answers faster. */
static bool wakes_task(Mod *m, PyObject *fn)
{
    return m->task_wakeup && Py_IS_TYPE(fn, &PyCFunction_Type) &&
           PyCFunction_GetFunction(fn) == m->task_wakeup;
}

void pending_settle(PendingObj *p, enum pending_state state, PyObject *result)
{
    NodeObj *n = p->node;
    if (p->state != P_WAITING) {
        Py_XDECREF(result);
        return;
    }
    Py_INCREF((PyObject *)p);
    p->state = (uint8_t)state;
    p->result = result;
    bool inside = node_inside(n) && state != P_CANCELLED;
    if (p->lock) {
        PyThread_release_lock(p->lock);
    }
    if (p->waiter) {
        TaskObj *t = p->waiter;
        p->waiter = NULL;
        if (inside && !n->current) {
            task_wake(t);
        } else {
            task_queue(t);
        }
        Py_DECREF((PyObject *)t);
    }
    PyObject *callbacks = p->callbacks, *fn = p->fn, *fn_context = p->fn_context;
    p->callbacks = p->fn = p->fn_context = NULL;
    bool direct = inside && p->loop && p->loop == n->loop && !n->current && !n->sim;
    if (fn) {
        bool task = direct && state == P_DONE && wakes_task(p->mod, fn);
        call_back(n, p->loop, fn, task ? p->mod->is_woken : (PyObject *)p, fn_context, direct);
        Py_DECREF(fn);
        Py_XDECREF(fn_context);
    }
    for (Py_ssize_t i = 0; callbacks && i < PyList_Size(callbacks); i++) {
        PyObject *pair = PyList_GetItem(callbacks, i), *context = PyTuple_GetItem(pair, 1);
        call_back(n, p->loop, PyTuple_GetItem(pair, 0), (PyObject *)p,
                  context == Py_None ? NULL : context, direct);
    }
    Py_XDECREF(callbacks);
    Py_DECREF((PyObject *)p);
}

static PyObject *reason_new(NodeObj *n, const shoal_reason *r)
{
    static const char *const kinds[] = {"normal",    "killed",  "error", "link_died",
                                        "peer_lost", "restart", "gone"};
    PyObject *ref = r->pid.actor ? ref_new(n, r->pid) : Py_NewRef(Py_None);
    const char *kind = r->kind >= 0 && r->kind < 7 ? kinds[r->kind] : "error";
    PyObject *out = ref ? PyObject_CallFunction(n->mod->reason, "ssO", kind, r->text, ref) : NULL;
    Py_XDECREF(ref);
    return out;
}

PyObject *reason_of(NodeObj *n, const shoal_reason *r)
{
    return reason_new(n, r);
}

static PyObject *pending_result(PendingObj *p, const shoal_result *r)
{
    NodeObj *n = p->node;
    switch ((enum wants)p->want) {
    case WANT_VALUE: {
        PyObject *value = r->value.len ? NULL : shoal_result_object(r);
        return value ? value : decode(n, r->value);
    }
    case WANT_REF: return ref_new(n, r->pid);
    case WANT_REASON: return reason_new(n, &r->reason);
    case WANT_TEXT:
        return shoal_kind(r->value) == SHOAL_KIND_TEXT
                   ? decode(n, r->value)
                   : PyUnicode_DecodeUTF8(r->value.data, (Py_ssize_t)r->value.len, "replace");
    default: return Py_NewRef(Py_None);
    }
}

/* An item of lookup_all goes to its function, None at the end. */
static void pending_item(PendingObj *p, PyObject *item)
{
    PyObject *out =
        item && p->otherwise ? PyObject_CallFunctionObjArgs(p->otherwise, item, NULL) : NULL;
    if (!out && PyErr_Occurred()) {
        PyErr_WriteUnraisable((PyObject *)p);
    }
    Py_XDECREF(out);
    Py_XDECREF(item);
}

void pending_done(void *ud, const shoal_result *r)
{
    PendingObj *p = ud;
    NodeObj *n = p->node;
    node_stirred(n);
    if (p->want == WANT_ITEMS && r->code == 0) {
        pending_item(p, ref_new(n, r->pid));
        return;
    }
    Py_INCREF((PyObject *)p);
    pending_unlink(p);
    p->call = 0;
    n->stopped |= p->want == WANT_STOP;
    if (p->state == P_WAITING) {
        enum pending_state state = P_DONE;
        PyObject *result = NULL;
        if (r->code >= 0) {
            result = pending_result(p, r);
        } else if (r->code == SHOAL_E_NOT_FOUND && p->otherwise && p->want == WANT_REF) {
            result = Py_NewRef(p->otherwise);
        } else if (r->code == SHOAL_E_CANCELLED) {
            state = P_CANCELLED;
        } else {
            state = P_FAILED;
            result = error_of(n, p->target, r);
        }
        if (!result && state != P_CANCELLED) {
            state = P_FAILED;
            result = error_fetch();
        }
        pending_settle(p, state, result);
        if (p->want == WANT_ITEMS) {
            pending_item(p, Py_NewRef(Py_None));
        }
    }
    Py_DECREF((PyObject *)p);
}

int pending_then(shoal_cx *cx, void *ud, const shoal_result *r)
{
    (void)cx;
    pending_done(ud, r);
    return 0;
}

void pendings_due(NodeObj *n)
{
    double now = n->next_due > 0 ? seconds_now(n) : 0;
    if (n->next_due <= 0 || now < n->next_due) {
        return;
    }
    n->next_due = 0;
    PyObject *due = PyList_New(0);
    for (PendingObj *p = n->calls; p && due; p = p->next) {
        if (p->due > 0 && p->due <= now) {
            PyList_Append(due, (PyObject *)p);
        } else if (p->due > 0 && (n->next_due <= 0 || p->due < n->next_due)) {
            n->next_due = p->due;
        }
    }
    for (Py_ssize_t i = 0; due && i < PyList_Size(due); i++) {
        PendingObj *p = (PendingObj *)PyList_GetItem(due, i);
        p->due = 0;
        if (p->is_sleep) {
            pending_unlink(p);
            pending_settle(p, P_DONE, Py_NewRef(Py_None));
        } else if (p->state == P_WAITING) {
            pending_settle(p, P_FAILED,
                           error_new(n->mod, SHOAL_E_TIMEOUT, SHOAL_UNKNOWN,
                                     "the time limit passed; it goes on", NULL, NULL));
        }
    }
    Py_XDECREF(due);
}

bool pending_cancel(PendingObj *p, PyObject *text)
{
    NodeObj *n = p->node;
    if (p->state != P_WAITING) {
        return false;
    }
    if (text && text != Py_None) {
        p->cancel_text = Py_NewRef(text);
    }
    Py_INCREF((PyObject *)p);
    /* The answer of core comes later and is then dropped; asyncio wants the future cancelled now. */
    if (p->call > 0 && n->node && !n->forked) {
        shoal_cancel(n->node, p->call);
    } else {
        pending_unlink(p);
    }
    pending_settle(p, P_CANCELLED, NULL);
    node_soon(n);
    Py_DECREF((PyObject *)p);
    return true;
}

PyObject *pending_cancelled(PendingObj *p)
{
    return PyObject_CallFunctionObjArgs(p->mod->cancelled, p->cancel_text, NULL);
}

PyObject *pending_take(PendingObj *p)
{
    if (p->state == P_DONE) {
        return Py_NewRef(p->result);
    }
    PyObject *e = p->state == P_CANCELLED ? pending_cancelled(p) : Py_XNewRef(p->result);
    if (e) {
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        Py_DECREF(e);
    }
    return NULL;
}
