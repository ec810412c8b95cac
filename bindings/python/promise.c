/* promise.c - Promise, the right to answer a deferred ask; and Timer, a message that is told later. */
#include "pyshoal.h"

static PyObject *promise_reply(PyObject *self, PyObject *value)
{
    PromiseObj *p = (PromiseObj *)self;
    Buf b;
    buf_init(&b);
    int code = 0;
    int rc = node_open(p->node) < 0 ? -1 : encode(p->node, &b, value, "reply");
    if (rc == 0) {
        code = shoal_promise_reply(p->node->node, p->promise, buf_bytes(&b));
        node_soon(p->node);
    }
    buf_free(&b);
    return rc < 0 ? NULL : code < 0 ? error_last(p->node, code) : Py_NewRef(Py_None);
}

static PyObject *promise_fail(PyObject *self, PyObject *text)
{
    PromiseObj *p = (PromiseObj *)self;
    const char *s = PyUnicode_AsUTF8AndSize(text, NULL);
    if (!s || node_open(p->node) < 0) {
        return NULL;
    }
    int code = shoal_promise_fail(p->node->node, p->promise, s);
    node_soon(p->node);
    return code < 0 ? error_last(p->node, code) : Py_NewRef(Py_None);
}

static PyObject *timer_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    TimerObj *t = (TimerObj *)self;
    NodeObj *n = t->node;
    Msg *msg = n->current;
    if (!msg || !msg->cx || !msg->rec || !shoal_pid_equal(msg->rec->pid, t->actor) ||
        !node_inside(n)) {
        return error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "a timer is cancelled in a handler of its actor");
    }
    return PyBool_FromLong(shoal_cancel_timer(msg->cx, t->id) == 0);
}

static int holder_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((PromiseObj *)self)->node); /* the first field of both */
    return 0;
}

static void holder_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)((PromiseObj *)self)->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef promise_methods[] = {
    METHOD("reply", promise_reply, METH_O,
           "reply(value) -> None\n\nAnswers the deferred ask; a second answer is dropped. Any "
           "thread. Raises BadValue, Closed.\n"
           "Since 0.1.0."),
    METHOD("fail", promise_fail, METH_O,
           "fail(text) -> None\n\nFails the deferred ask as a handler error. Any thread. Raises "
           "Closed. Since 0.1.0."),
    {NULL, NULL, 0, NULL},
};
static PyType_Slot promise_slots[] = {
    {Py_tp_doc, "The right to answer one deferred ask."},
    {Py_tp_methods, promise_methods},
    {Py_tp_traverse, holder_traverse},
    {Py_tp_dealloc, holder_dealloc},
    {0, NULL},
};
PyType_Spec promise_spec = {
    "shoal.Promise", sizeof(PromiseObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, promise_slots};

static PyMethodDef timer_methods[] = {
    METHOD("cancel", timer_cancel, METH_NOARGS,
           "cancel() -> bool\n\nEnds the timer; False if it had ended. In a handler of its actor. "
           "Raises Usage. Since 0.1.0."),
    {NULL, NULL, 0, NULL},
};
static PyType_Slot timer_slots[] = {
    {Py_tp_doc, "A message that this actor will be told later."},
    {Py_tp_methods, timer_methods},
    {Py_tp_traverse, holder_traverse},
    {Py_tp_dealloc, holder_dealloc},
    {0, NULL},
};
PyType_Spec timer_spec = {
    "shoal.Timer", sizeof(TimerObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, timer_slots};
