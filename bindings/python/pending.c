/* pending.c - Pending: what calls that take time return. To asyncio a future by duck type, to others .wait().
 *
 * Waking: settled inside a drain on the asyncio thread, its callbacks run at once (the drain is a callback
 * of the loop itself, with no current task): five times cheaper than a turn of the loop. Settled anywhere
 * else they go through call_soon, from a foreign thread call_soon_threadsafe. */
#include "pyshoal.h"

#include <string.h>

static PyObject *loop_of_caller(NodeObj *n)
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
    p->loop = loop_of_caller(n);
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

void call_back(NodeObj *n, PyObject *loop, PyObject *fn, PyObject *arg, PyObject *context, bool direct)
{
    Mod *m = n->mod;
    PyObject *out;
    if (direct) {
        out = context ? PyObject_CallMethodObjArgs(context, m->s_run, fn, arg, NULL)
                      : PyObject_CallFunctionObjArgs(fn, arg, NULL);
    } else if (loop) {
        PyObject *how = PyObject_GetAttr(loop, loop == n->loop && PyThread_get_thread_ident() == n->loop_thread
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
    PyObject *callbacks = p->callbacks;
    p->callbacks = NULL;
    bool direct = inside && p->loop && p->loop == n->loop && !n->current;
    for (Py_ssize_t i = 0; callbacks && i < PyList_Size(callbacks); i++) {
        PyObject *pair = PyList_GetItem(callbacks, i), *context = PyTuple_GetItem(pair, 1);
        call_back(n, p->loop, PyTuple_GetItem(pair, 0), (PyObject *)p, context == Py_None ? NULL : context, direct);
    }
    Py_XDECREF(callbacks);
    Py_DECREF((PyObject *)p);
}

static PyObject *reason_new(NodeObj *n, const shoal_reason *r)
{
    static const char *const kinds[] = {"normal", "killed", "error", "link_died", "peer_lost", "restart", "gone"};
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
    case WANT_VALUE: return decode(n, r->value);
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
    PyObject *out = item && p->otherwise ? PyObject_CallFunctionObjArgs(p->otherwise, item, NULL) : NULL;
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
    double now = n->next_due > 0 ? seconds_now(n->mod) : 0;
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
            pending_settle(p, P_FAILED, error_new(n->mod, SHOAL_E_TIMEOUT, SHOAL_UNKNOWN, "the time limit passed; it goes on", NULL, NULL));
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

static PyObject *cancelled_error(PendingObj *p)
{
    return PyObject_CallFunctionObjArgs(p->mod->cancelled, p->cancel_text, NULL);
}

PyObject *pending_take(PendingObj *p)
{
    if (p->state == P_DONE) {
        return Py_NewRef(p->result);
    }
    PyObject *e = p->state == P_CANCELLED ? cancelled_error(p) : Py_XNewRef(p->result);
    if (e) {
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        Py_DECREF(e);
    }
    return NULL;
}

/* --- await --- */

static PyObject *pending_await(PyObject *self)
{
    PendingObj *p = (PendingObj *)self;
    if (!p->loop && p->state == P_WAITING) {
        p->loop = loop_of_caller(p->node);
    }
    return Py_NewRef(self);
}

static PySendResult pending_send(PyObject *self, PyObject *value, PyObject **out)
{
    (void)value;
    PendingObj *p = (PendingObj *)self;
    if (p->state == P_WAITING) {
        p->blocking = true;
        *out = Py_NewRef(self);
        return PYGEN_NEXT;
    }
    *out = pending_take(p);
    return *out ? PYGEN_RETURN : PYGEN_ERROR;
}

static PyObject *pending_next(PyObject *self)
{
    PyObject *out;
    PySendResult how = pending_send(self, NULL, &out);
    if (how == PYGEN_RETURN) {
        PyObject *e = PyObject_CallFunctionObjArgs(PyExc_StopIteration, out, NULL);
        if (e) {
            PyErr_SetObject(PyExc_StopIteration, e);
            Py_DECREF(e);
        }
        Py_DECREF(out);
        return NULL;
    }
    return how == PYGEN_NEXT ? out : NULL;
}

/* --- without asyncio --- */

/* Blocks until p is settled or `until`: 1 settled, 0 not, -1 raised. */
static int pending_block(PendingObj *p, double until)
{
    NodeObj *n = p->node;
    while (p->state == P_WAITING) {
        double left = until > 0 ? until - seconds_now(n->mod) : 3600.0;
        if (left <= 0) {
            return 0;
        }
        int64_t ms = left * 1000.0 < PY_SLICE_MS ? (int64_t)(left * 1000.0) + 1 : PY_SLICE_MS;
        if (node_may_drive(n)) {
            if (node_drive(n, ms) < 0) {
                return -1;
            }
        } else {
            if (!p->lock) {
                p->lock = PyThread_allocate_lock();
                if (!p->lock) {
                    PyErr_NoMemory();
                    return -1;
                }
                PyThread_acquire_lock(p->lock, NOWAIT_LOCK);
            }
            int got;
            PyThread_type_lock lock = p->lock;
            Py_BEGIN_ALLOW_THREADS;
            got = (int)PyThread_acquire_lock_timed(lock, (long long)ms * 1000, 0);
            if (got == PY_LOCK_ACQUIRED) {
                PyThread_release_lock(lock);
            }
            Py_END_ALLOW_THREADS;
        }
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
    return 1;
}

static PyObject *pending_wait(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PendingObj *p = (PendingObj *)self;
    PyObject *seconds = Py_None;
    double limit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &seconds)) {
        return NULL;
    }
    if (seconds != Py_None) {
        limit = PyFloat_AsDouble(seconds);
        if (limit == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (p->state == P_WAITING && node_wait_allowed(p->node) < 0) {
        return NULL;
    }
    int done = pending_block(p, seconds != Py_None ? seconds_now(p->mod) + limit : 0);
    if (done == 0) {
        return error_raise(p->mod, SHOAL_E_TIMEOUT, SHOAL_UNKNOWN, "wait: not done within %g seconds; the call goes on",
                           limit);
    }
    return done < 0 ? NULL : pending_take(p);
}

/* --- the future's methods --- */

static PyObject *pending_cancel_py(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"msg", NULL};
    PyObject *text = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", names, &text)) {
        return NULL;
    }
    return PyBool_FromLong(pending_cancel((PendingObj *)self, text));
}

static PyObject *pending_is_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((PendingObj *)self)->state != P_WAITING);
}

static PyObject *pending_is_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((PendingObj *)self)->state == P_CANCELLED);
}

static PyObject *pending_not_yet(PendingObj *p)
{
    PyErr_SetString(p->mod->invalid_state, "the call has not ended yet");
    return NULL;
}

static PyObject *pending_get_result(PyObject *self, PyObject *unused)
{
    (void)unused;
    PendingObj *p = (PendingObj *)self;
    return p->state == P_WAITING ? pending_not_yet(p) : pending_take(p);
}

static PyObject *pending_exception(PyObject *self, PyObject *unused)
{
    (void)unused;
    PendingObj *p = (PendingObj *)self;
    if (p->state == P_WAITING) {
        return pending_not_yet(p);
    }
    if (p->state == P_CANCELLED) {
        return pending_take(p);
    }
    return Py_NewRef(p->state == P_FAILED ? p->result : Py_None);
}

static PyObject *pending_make_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    return cancelled_error((PendingObj *)self);
}

static PyObject *pending_add_callback(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fn", "context", NULL};
    PendingObj *p = (PendingObj *)self;
    PyObject *fn, *context = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:add_done_callback", names, &fn, &context)) {
        return NULL;
    }
    if (!p->loop) {
        p->loop = loop_of_caller(p->node);
    }
    if (context == Py_None && p->loop) {
        context = PyObject_CallNoArgs(p->mod->copy_context);
        if (!context) {
            return NULL;
        }
    } else {
        Py_INCREF(context);
    }
    if (p->state != P_WAITING) {
        call_back(p->node, p->loop, fn, self, context == Py_None ? NULL : context, false);
        Py_DECREF(context);
        Py_RETURN_NONE;
    }
    if (!p->callbacks) {
        p->callbacks = PyList_New(0);
    }
    PyObject *pair = p->callbacks ? PyTuple_Pack(2, fn, context) : NULL;
    int rc = pair ? PyList_Append(p->callbacks, pair) : -1;
    Py_XDECREF(pair);
    Py_DECREF(context);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *pending_remove_callback(PyObject *self, PyObject *fn)
{
    PendingObj *p = (PendingObj *)self;
    long removed = 0;
    for (Py_ssize_t i = p->callbacks ? PyList_Size(p->callbacks) : 0; i-- > 0;) {
        int same = PyObject_RichCompareBool(PyTuple_GetItem(PyList_GetItem(p->callbacks, i), 0), fn, Py_EQ);
        if (same < 0 || (same && PyList_SetSlice(p->callbacks, i, i + 1, NULL) < 0)) {
            return NULL;
        }
        removed += same;
    }
    return PyLong_FromLong(removed);
}

static PyObject *pending_get_loop(PyObject *self, PyObject *unused)
{
    (void)unused;
    PendingObj *p = (PendingObj *)self;
    if (!p->loop) {
        p->loop = loop_of_caller(p->node);
    }
    if (!p->loop) {
        return error_raise(p->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "no asyncio loop runs here: use wait()");
    }
    return Py_NewRef(p->loop);
}

static PyObject *pending_set(PyObject *self, PyObject *value)
{
    PendingObj *p = (PendingObj *)self;
    bool failed = PyExceptionInstance_Check(value);
    pending_settle(p, failed ? P_FAILED : P_DONE, Py_NewRef(value));
    Py_RETURN_NONE;
}

static PyObject *pending_blocking(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((PendingObj *)self)->blocking);
}

static int pending_set_blocking(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    ((PendingObj *)self)->blocking = value && PyObject_IsTrue(value) == 1;
    return 0;
}

static PyObject *pending_repr(PyObject *self)
{
    static const char *const states[] = {"waiting", "done", "failed", "cancelled"};
    return PyUnicode_FromFormat("<Pending %s>", states[((PendingObj *)self)->state]);
}

static int pending_traverse(PyObject *self, visitproc visit, void *arg)
{
    PendingObj *p = (PendingObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(p->node);
    Py_VISIT(p->loop);
    Py_VISIT(p->result);
    Py_VISIT(p->callbacks);
    Py_VISIT(p->otherwise);
    Py_VISIT(p->waiter);
    return 0;
}

static int pending_clear(PyObject *self)
{
    PendingObj *p = (PendingObj *)self;
    Py_CLEAR(p->loop);
    Py_CLEAR(p->callbacks);
    Py_CLEAR(p->waiter);
    return 0; /* node and result stay: a call back may still come */
}

static void pending_dealloc(PyObject *self)
{
    PendingObj *p = (PendingObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pending_clear(self);
    Py_XDECREF(p->result);
    Py_XDECREF(p->otherwise);
    Py_XDECREF(p->cancel_text);
    Py_XDECREF((PyObject *)p->node);
    if (p->lock) {
        if (p->state == P_WAITING) {
            PyThread_release_lock(p->lock);
        }
        PyThread_free_lock(p->lock);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef pending_methods[] = {
    METHOD("wait", pending_wait, METH_VARARGS | METH_KEYWORDS,
           "wait(timeout=None) -> result\n\nWaits without asyncio; drives the node if no other thread does. timeout: seconds;\n"
           "the call goes on when it passes. Not on an asyncio thread, nor in a handler. Raises what the call raises,\n"
           "Timeout, Usage. Since 0.1.0."),
    METHOD("cancel", pending_cancel_py, METH_VARARGS | METH_KEYWORDS,
           "cancel(msg=None) -> bool\n\nCancels the call: a message not yet begun is withdrawn. False if it had ended. Any thread.\n"
           "Since 0.1.0."),
    METHOD("done", pending_is_done, METH_NOARGS, "done() -> bool\n\nWhether it has ended. Any thread. Since 0.1.0."),
    METHOD("cancelled", pending_is_cancelled, METH_NOARGS,
           "cancelled() -> bool\n\nWhether it was cancelled. Any thread. Since 0.1.0."),
    METHOD("result", pending_get_result, METH_NOARGS,
           "result() -> result\n\nThe result, or raises the error. Raises asyncio.InvalidStateError before the end. Since 0.1.0."),
    METHOD("exception", pending_exception, METH_NOARGS,
           "exception() -> exception or None\n\nRaises asyncio.InvalidStateError before the end. Since 0.1.0."),
    METHOD("add_done_callback", pending_add_callback, METH_VARARGS | METH_KEYWORDS,
           "add_done_callback(fn, *, context=None) -> None\n\nCalls fn(pending) at its end, on the asyncio loop if there is one.\n"
           "Since 0.1.0."),
    METHOD("remove_done_callback", pending_remove_callback, METH_O,
           "remove_done_callback(fn) -> int\n\nReturns how many were removed. Since 0.1.0."),
    METHOD("get_loop", pending_get_loop, METH_NOARGS,
           "get_loop() -> asyncio loop\n\nRaises Usage if no loop runs here. Since 0.1.0."),
    METHOD("_make_cancelled_error", pending_make_cancelled, METH_NOARGS, "For asyncio."),
    METHOD("_set", pending_set, METH_O, "Ends it with a value or an exception."),
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef pending_getset[] = {
    {"_asyncio_future_blocking", pending_blocking, pending_set_blocking, "For asyncio.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot pending_slots[] = {
    {Py_tp_doc, "A call under way: await it, or wait() for it. It began when it was made."},
    {Py_tp_methods, pending_methods},
    {Py_tp_getset, pending_getset},
    {Py_tp_repr, pending_repr},
    {Py_am_await, pending_await},
    {Py_am_send, pending_send},
    {Py_tp_iternext, pending_next},
    {Py_tp_traverse, pending_traverse},
    {Py_tp_clear, pending_clear},
    {Py_tp_dealloc, pending_dealloc},
    {0, NULL},
};
PyType_Spec pending_spec = {"shoal.Pending", sizeof(PendingObj), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, pending_slots};
