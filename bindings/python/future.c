/* future.c - Pending as Python sees it: await, wait() without asyncio, and a future's methods by duck type. */
#include "pyshoal.h"

/* --- await --- */

static PyObject *pending_await(PyObject *self)
{
    PendingObj *p = (PendingObj *)self;
    if (!p->loop && p->state == P_WAITING) {
        p->loop = pending_loop(p->node);
    }
    NodeObj *n = p->node;
    if (p->state == P_WAITING && p->loop && !n->loop && !n->driver && !n->drainer && !n->sim) {
        PyObject *out = PyObject_CallFunctionObjArgs(n->mod->lonely, self, n, p->loop, NULL);
        if (!out) {
            return NULL;
        }
        Py_DECREF(out);
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
        double left = until > 0 ? until - seconds_now(n) : 3600.0;
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
    int done = pending_block(p, seconds != Py_None ? seconds_now(p->node) + limit : 0);
    if (done == 0) {
        return error_raise(p->mod, SHOAL_E_TIMEOUT, SHOAL_UNKNOWN,
                           "wait: not done within %g seconds; the call goes on", limit);
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
    return pending_cancelled((PendingObj *)self);
}

/* Whether this is the wake-up of asyncio's own tasks: its C function is the same for all of them. */
static void learn_wakeup(Mod *m, PyObject *fn)
{
    if (m->task_wakeup || !Py_IS_TYPE(fn, &PyCFunction_Type)) {
        return;
    }
    PyObject *name = PyObject_GetAttrString(fn, "__name__"), *owner = PyCFunction_GetSelf(fn);
    if (name && owner && (PyObject *)Py_TYPE(owner) == m->task_type && PyUnicode_Check(name) &&
        PyUnicode_CompareWithASCIIString(name, "task_wakeup") == 0) {
        m->task_wakeup = PyCFunction_GetFunction(fn);
    }
    PyErr_Clear();
    Py_XDECREF(name);
}

static PyObject *pending_add_callback(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                      PyObject *names)
{
    PendingObj *p = (PendingObj *)self;
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    if (nargs != 1 || named > 1 ||
        (named && PyUnicode_Compare(PyTuple_GetItem(names, 0), p->mod->s_context) != 0)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback() takes a function and context=");
        return NULL;
    }
    PyObject *fn = args[0], *context = named ? args[1] : Py_None;
    if (!p->loop) {
        p->loop = pending_loop(p->node);
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
    if (!p->fn && !p->callbacks) {
        p->fn = Py_NewRef(fn);
        p->fn_context = context;
        learn_wakeup(p->mod, fn);
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
    long removed = p->fn ? PyObject_RichCompareBool(p->fn, fn, Py_EQ) : 0;
    if (removed < 0) {
        return NULL;
    }
    if (removed) {
        Py_CLEAR(p->fn);
        Py_CLEAR(p->fn_context);
    }
    for (Py_ssize_t i = p->callbacks ? PyList_Size(p->callbacks) : 0; i-- > 0;) {
        int same = PyObject_RichCompareBool(PyTuple_GetItem(PyList_GetItem(p->callbacks, i), 0), fn,
                                            Py_EQ);
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
        p->loop = pending_loop(p->node);
    }
    if (!p->loop) {
        return error_raise(p->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "no asyncio loop runs here: use wait()");
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
    Py_VISIT(p->fn);
    Py_VISIT(p->fn_context);
    Py_VISIT(p->callbacks);
    Py_VISIT(p->otherwise);
    Py_VISIT(p->waiter);
    return 0;
}

static int pending_clear(PyObject *self)
{
    PendingObj *p = (PendingObj *)self;
    Py_CLEAR(p->loop);
    Py_CLEAR(p->fn);
    Py_CLEAR(p->fn_context);
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
           "wait(timeout=None) -> result\n\nWaits without asyncio; drives the node if no other "
           "thread does. timeout: seconds;\n"
           "the call goes on when it passes. Not on an asyncio thread, nor in a handler. Raises "
           "what the call raises,\n"
           "Timeout, Usage. Since 0.1.0."),
    METHOD("cancel", pending_cancel_py, METH_VARARGS | METH_KEYWORDS,
           "cancel(msg=None) -> bool\n\nCancels the call: a message not yet begun is withdrawn. "
           "False if it had ended. Any thread.\n"
           "Since 0.1.0."),
    METHOD("done", pending_is_done, METH_NOARGS,
           "done() -> bool\n\nWhether it has ended. Any thread. Since 0.1.0."),
    METHOD("cancelled", pending_is_cancelled, METH_NOARGS,
           "cancelled() -> bool\n\nWhether it was cancelled. Any thread. Since 0.1.0."),
    METHOD("result", pending_get_result, METH_NOARGS,
           "result() -> result\n\nThe result, or raises the error. Raises "
           "asyncio.InvalidStateError before the end. Since 0.1.0."),
    METHOD("exception", pending_exception, METH_NOARGS,
           "exception() -> exception or None\n\nRaises asyncio.InvalidStateError before the end. "
           "Since 0.1.0."),
    METHOD("add_done_callback", pending_add_callback, METH_FASTCALL | METH_KEYWORDS,
           "add_done_callback(fn, *, context=None) -> None\n\nCalls fn(pending) at its end, on the "
           "asyncio loop if there is one.\n"
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
PyType_Spec pending_spec = {
    "shoal.Pending", sizeof(PendingObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, pending_slots};

/* --- Woken --- */

static PyObject *woken_getattr(PyObject *self, PyObject *name)
{
    (void)name; /* a task asks for "result" */
    Mod *m = PyType_GetModuleState(Py_TYPE(self));
    return Py_NewRef(m->no_result);
}

static void woken_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot woken_slots[] = {
    {Py_tp_doc, "What asyncio's tasks are woken with."},
    {Py_tp_getattro, woken_getattr},
    {Py_tp_dealloc, woken_dealloc},
    {0, NULL},
};
PyType_Spec woken_spec = {"shoal._shoal.Woken", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT,
                          woken_slots};

static PyObject *no_result(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    Py_RETURN_NONE;
}

static PyMethodDef no_result_def =
    METHOD("result", no_result, METH_NOARGS, "The task finds the result itself, when it goes on.");

int woken_init(Mod *m)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(m->woken, Py_tp_alloc);
    m->is_woken = alloc(m->woken, 0);
    m->no_result = PyCFunction_NewEx(&no_result_def, NULL, NULL);
    return m->is_woken && m->no_result ? 0 : -1;
}
