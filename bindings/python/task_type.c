/* task_type.c - a running async handler as asyncio sees it: the methods of a task. */
#include "pyshoal.h"

/* --- what asyncio asks of a task --- */

static PyObject *task_cancel(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"msg", NULL};
    TaskObj *t = (TaskObj *)self;
    PyObject *text = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", names, &text)) {
        return NULL;
    }
    if (t->state != T_RUNS) {
        Py_RETURN_FALSE;
    }
    t->cancels++;
    SET(t->cancel_text, text && text != Py_None ? Py_NewRef(text) : NULL);
    if (!task_waiting_cancel(t)) {
        t->must_cancel = true;
    }
    Py_RETURN_TRUE;
}

static PyObject *task_cancelling(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(((TaskObj *)self)->cancels);
}

static PyObject *task_uncancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    TaskObj *t = (TaskObj *)self;
    t->cancels -= t->cancels > 0;
    if (t->cancels == 0) {
        t->must_cancel = false;
    }
    return PyLong_FromLong(t->cancels);
}

static PyObject *task_get_loop(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *loop = ((TaskObj *)self)->node->loop;
    return Py_NewRef(loop ? loop : Py_None);
}

static PyObject *task_get_coro(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(((TaskObj *)self)->coro);
}

static PyObject *task_get_context(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(((TaskObj *)self)->context);
}

static PyObject *task_get_name(PyObject *self, PyObject *unused)
{
    (void)unused;
    TaskObj *t = (TaskObj *)self;
    return t->name ? Py_NewRef(t->name) : PyObject_GetAttrString(t->coro, "__qualname__");
}

static PyObject *task_set_name(PyObject *self, PyObject *name)
{
    SET(((TaskObj *)self)->name, PyObject_Str(name));
    Py_RETURN_NONE;
}

static PyObject *task_is_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((TaskObj *)self)->state != T_RUNS);
}

static PyObject *task_is_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((TaskObj *)self)->state == T_CANCELLED);
}

static PyObject *task_add_callback(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fn", "context", NULL};
    TaskObj *t = (TaskObj *)self;
    PyObject *fn, *context = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:add_done_callback", names, &fn, &context)) {
        return NULL;
    }
    if (!t->callbacks && !(t->callbacks = PyList_New(0))) {
        return NULL;
    }
    PyObject *pair = PyTuple_Pack(2, fn, context);
    int rc = pair ? PyList_Append(t->callbacks, pair) : -1;
    Py_XDECREF(pair);
    if (rc == 0 && t->state != T_RUNS) {
        task_tell_done(t);
    }
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *task_remove_callback(PyObject *self, PyObject *fn)
{
    TaskObj *t = (TaskObj *)self;
    long removed = 0;
    for (Py_ssize_t i = t->callbacks ? PyList_Size(t->callbacks) : 0; i-- > 0;) {
        int same = PyObject_RichCompareBool(PyTuple_GetItem(PyList_GetItem(t->callbacks, i), 0), fn,
                                            Py_EQ);
        if (same < 0 || (same && PyList_SetSlice(t->callbacks, i, i + 1, NULL) < 0)) {
            return NULL;
        }
        removed += same;
    }
    return PyLong_FromLong(removed);
}

static PyObject *task_result(PyObject *self, PyObject *unused)
{
    (void)unused;
    TaskObj *t = (TaskObj *)self;
    if (t->state == T_RUNS) {
        PyErr_SetString(t->mod->invalid_state, "the handler has not ended yet");
        return NULL;
    }
    if (t->state != T_DONE && t->result) {
        PyErr_SetObject((PyObject *)Py_TYPE(t->result), t->result);
        return NULL;
    }
    return Py_XNewRef(t->result);
}

static int task_traverse(PyObject *self, visitproc visit, void *arg)
{
    TaskObj *t = (TaskObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(t->node);
    Py_VISIT(t->coro);
    Py_VISIT(t->context);
    Py_VISIT(t->waiting);
    Py_VISIT(t->raise);
    Py_VISIT(t->sent);
    Py_VISIT(t->callbacks);
    Py_VISIT(t->wakeup);
    Py_VISIT(t->result);
    Py_VISIT(t->msg.context);
    return 0;
}

static int task_clear(PyObject *self)
{
    TaskObj *t = (TaskObj *)self;
    Py_CLEAR(t->waiting);
    Py_CLEAR(t->raise);
    Py_CLEAR(t->callbacks);
    Py_CLEAR(t->wakeup);
    Py_CLEAR(t->result);
    return 0;
}

static void task_dealloc(PyObject *self)
{
    TaskObj *t = (TaskObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    task_clear(self);
    msg_end(&t->msg);
    Py_XDECREF(t->sent);
    Py_XDECREF(t->coro);
    Py_XDECREF(t->context);
    Py_XDECREF(t->name);
    Py_XDECREF(t->cancel_text);
    Py_XDECREF((PyObject *)t->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef task_methods[] = {
    METHOD("cancel", task_cancel, METH_VARARGS | METH_KEYWORDS,
           "Raises CancelledError where the handler waits."),
    METHOD("cancelling", task_cancelling, METH_NOARGS, "How many cancellations are asked for."),
    METHOD("uncancel", task_uncancel, METH_NOARGS, "Takes one cancellation back."),
    METHOD("get_loop", task_get_loop, METH_NOARGS, "The asyncio loop."),
    METHOD("get_coro", task_get_coro, METH_NOARGS, "The handler's coroutine."),
    METHOD("get_context", task_get_context, METH_NOARGS, "Its context."),
    METHOD("get_name", task_get_name, METH_NOARGS, "Its name: the handler's, unless set."),
    METHOD("set_name", task_set_name, METH_O, "Names it."),
    METHOD("done", task_is_done, METH_NOARGS, "Whether the handler has ended."),
    METHOD("cancelled", task_is_cancelled, METH_NOARGS, "Whether it ended by CancelledError."),
    METHOD("add_done_callback", task_add_callback, METH_VARARGS | METH_KEYWORDS,
           "Calls fn(task) at its end."),
    METHOD("remove_done_callback", task_remove_callback, METH_O, "Returns how many were removed."),
    METHOD("result", task_result, METH_NOARGS, "What the handler returned, or raises."),
    {NULL, NULL, 0, NULL},
};
static PyMemberDef task_members[] = {
    {"_node", T_OBJECT, offsetof(TaskObj, node), READONLY, "The node of its actor."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot task_slots[] = {
    {Py_tp_doc, "A running async handler, as asyncio sees it."},
    {Py_tp_methods, task_methods},
    {Py_tp_members, task_members},
    {Py_tp_call, task_call},
    {Py_tp_traverse, task_traverse},
    {Py_tp_clear, task_clear},
    {Py_tp_dealloc, task_dealloc},
    {0, NULL},
};
PyType_Spec task_spec = {
    "shoal._shoal.Task", sizeof(TaskObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, task_slots};
