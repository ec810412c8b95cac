/* context.c - Context (self.cx): what a handler may do with its message. */
#include "pyshoal.h"

#include <string.h>

PyObject *context_of(Msg *msg)
{
    if (msg->context) {
        return Py_NewRef((PyObject *)msg->context);
    }
    NodeObj *n = msg->node;
    ContextObj *c = PyObject_GC_New(ContextObj, n->mod->context);
    if (!c) {
        return NULL;
    }
    shoal_pid sender = shoal_cx_sender(msg->cx);
    c->mod = n->mod;
    c->msg = NULL;
    c->node = (NodeObj *)Py_NewRef((PyObject *)n);
    c->ref = ref_new(n, msg->rec->pid);
    c->sender = NULL;
    c->sender_pid = sender;
    c->name = msg->parcel
                  ? Py_NewRef(msg->parcel->name)
                  : PyUnicode_FromString(msg->kind == MSG_HANDLER ? shoal_cx_name(msg->cx) : "");
    PyObject_GC_Track((PyObject *)c);
    if (!c->ref || !c->name) {
        Py_DECREF((PyObject *)c);
        return NULL;
    }
    c->msg = msg;
    msg->context = (ContextObj *)Py_NewRef((PyObject *)c);
    return (PyObject *)c;
}

/* A message of rec that this code belongs to: the one being handled, or the handler that began this asyncio task. */
static Msg *msg_here(Mod *m, ActorRec *rec)
{
    NodeObj *n = rec->node;
    if (n->current && n->current->rec == rec && n->current->cx && node_inside(n)) {
        return n->current;
    }
    PyObject *task = PyObject_CallMethod(m->current_var, "get", "O", Py_None);
    PyErr_Clear();
    Msg *msg = task && Py_TYPE(task) == m->task ? &((TaskObj *)task)->msg : NULL;
    Py_XDECREF(task); /* the node's list holds it while it runs */
    return msg && msg->rec == rec && msg->cx ? msg : NULL;
}

PyObject *context_current(PyObject *module, PyObject *instance)
{
    Mod *m = PyModule_GetState(module);
    ActorRec *rec = PyObject_TypeCheck(instance, m->actor) ? ((ActorObj *)instance)->rec : NULL;
    Msg *msg = rec ? msg_here(m, rec) : NULL;
    if (!msg) {
        return error_raise(m, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           rec ? "self.cx: no message of this actor is being handled here"
                               : "self.cx is there from on_start on, until the actor has ended");
    }
    return context_of(msg);
}

/* The open message, inside the executor; raises Usage. */
static Msg *open_msg(ContextObj *c)
{
    if (c->msg && c->msg->cx && c->msg->rec && node_inside(c->node)) {
        return c->msg;
    }
    error_raise(
        c->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
        c->msg ? "cx: only the handler itself can do this, not a task or thread that it started"
               : "cx: its message has been handled");
    return NULL;
}

/* As open_msg, of a message that is not answered yet. */
static Msg *unanswered_msg(ContextObj *c)
{
    Msg *msg = open_msg(c);
    if (msg && msg->answered) {
        error_raise(c->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "cx: the message was answered already");
        return NULL;
    }
    return msg;
}

static PyObject *done_or_raise(ContextObj *c, int code)
{
    return code < 0 ? error_last(c->node, code) : Py_NewRef(Py_None);
}

static PyObject *context_reply(PyObject *self, PyObject *value)
{
    ContextObj *c = (ContextObj *)self;
    Msg *msg = unanswered_msg(c);
    Buf b;
    buf_init(&b);
    PyObject *out = NULL;
    int code = msg ? msg_give(msg, value) : 0;
    if (code == SHOAL_E_UNSUPPORTED && encode(c->node, &b, value, "reply") == 0) {
        code = shoal_reply(msg->cx, buf_bytes(&b));
    }
    if (msg && !PyErr_Occurred()) {
        out = done_or_raise(c, code);
        msg->answered |= out != NULL;
    }
    buf_free(&b);
    return out;
}

static PyObject *context_defer(PyObject *self, PyObject *unused)
{
    (void)unused;
    ContextObj *c = (ContextObj *)self;
    Msg *msg = unanswered_msg(c);
    shoal_promise promise;
    int code = msg ? shoal_defer(msg->cx, &promise) : 0;
    if (!msg || code < 0) {
        return msg ? error_last(c->node, code) : NULL;
    }
    msg->answered = true;
    PromiseObj *p = PyObject_GC_New(PromiseObj, c->mod->promise);
    if (p) {
        p->node = (NodeObj *)Py_NewRef((PyObject *)c->node);
        p->promise = promise;
        PyObject_GC_Track((PyObject *)p);
    }
    return (PyObject *)p;
}

static PyObject *context_forward(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *names)
{
    ContextObj *c = (ContextObj *)self;
    Msg *msg = unanswered_msg(c);
    if (!msg) {
        return NULL;
    }
    if (nargs < 1 || !PyObject_TypeCheck(args[0], c->mod->ref)) {
        PyErr_SetString(PyExc_TypeError, "forward: the first argument must be a Ref");
        return NULL;
    }
    bool same = nargs < 2 || args[1] == Py_None;
    const char *name = same                       ? NULL
                       : PyUnicode_Check(args[1]) ? message_name(c->mod, args[1])
                                                  : NULL;
    if ((same && (nargs > 2 || names)) || (!same && !name)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "forward: a value needs a message name (str)");
        }
        return NULL;
    }
    Buf b;
    buf_init(&b);
    PyObject *out = NULL;
    if (same && msg->parcel) { /* it was taken: as a packed message of the same name */
        name = PyUnicode_AsUTF8AndSize(msg->parcel->name, NULL);
    }
    if (same ? !msg->parcel || parcel_pack(msg->parcel, &b) == 0
             : pack_message(c->node, "forward", args + 2, nargs - 2, names, &b) == 0) {
        out =
            done_or_raise(c, shoal_forward(msg->cx, ((RefObj *)args[0])->pid, name, buf_bytes(&b)));
        msg->answered |= out != NULL;
    }
    buf_free(&b);
    return out;
}

static PyObject *context_timer(ContextObj *c, bool again, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *names)
{
    const char *what = again ? "every" : "after";
    Msg *msg = open_msg(c);
    if (!msg) {
        return NULL;
    }
    if (nargs < 2 || !PyUnicode_Check(args[1])) {
        return PyErr_Format(PyExc_TypeError, "%s: expected seconds and a message name", what);
    }
    double s = PyFloat_AsDouble(args[0]);
    const char *name = PyErr_Occurred() ? NULL : message_name(c->mod, args[1]);
    if (!name) {
        return NULL;
    }
    if (!(s >= (again ? 0.001 : 0.0) && s < 1e12)) {
        return error_raise(c->mod, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT, "%s: %g seconds, expected %s",
                           what, s, again ? "at least 0.001" : "0 or more");
    }
    Buf b;
    buf_init(&b);
    TimerObj *t = NULL;
    if (pack_message(c->node, what, args + 2, nargs - 2, names, &b) == 0) {
        uint64_t ms = (uint64_t)(s * 1000.0 + 0.5);
        int64_t id = again ? shoal_every(msg->cx, ms, name, buf_bytes(&b))
                           : shoal_after(msg->cx, ms, name, buf_bytes(&b));
        t = id < 0 ? (TimerObj *)error_last(c->node, (int)id)
                   : PyObject_GC_New(TimerObj, c->mod->timer);
        if (t) {
            t->node = (NodeObj *)Py_NewRef((PyObject *)c->node);
            t->actor = msg->rec->pid;
            t->id = id;
            PyObject_GC_Track((PyObject *)t);
        }
    }
    buf_free(&b);
    return (PyObject *)t;
}

static PyObject *context_after(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *names)
{
    return context_timer((ContextObj *)self, false, args, nargs, names);
}

static PyObject *context_every(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *names)
{
    return context_timer((ContextObj *)self, true, args, nargs, names);
}

static PyObject *context_stop(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"text", NULL};
    const char *text = "";
    Msg *msg = open_msg((ContextObj *)self);
    if (!msg || !PyArg_ParseTupleAndKeywords(args, kwargs, "|s:stop", names, &text)) {
        return NULL;
    }
    shoal_cx_stop(msg->cx, text);
    Py_RETURN_NONE;
}

static PyObject *context_spawn(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *names)
{
    ContextObj *c = (ContextObj *)self;
    Msg *msg = open_msg(c);
    return msg ? actor_spawn(c->node, msg->rec, args, nargs, names) : NULL;
}

typedef int watch_fn(shoal_node *node, shoal_pid a, shoal_pid b);

static PyObject *context_watch(PyObject *self, PyObject *other, watch_fn *fn)
{
    ContextObj *c = (ContextObj *)self;
    if (!PyObject_TypeCheck(other, c->mod->ref)) {
        return PyErr_Format(PyExc_TypeError, "expected a Ref, not %R", other);
    }
    if (node_open(c->node) < 0) {
        return NULL;
    }
    int code = fn(c->node->node, ((RefObj *)c->ref)->pid, ((RefObj *)other)->pid);
    node_soon(c->node);
    return done_or_raise(c, code);
}

static PyObject *context_link(PyObject *self, PyObject *other)
{
    return context_watch(self, other, shoal_link);
}

static PyObject *context_monitor(PyObject *self, PyObject *other)
{
    return context_watch(self, other, shoal_monitor);
}

static PyObject *context_unlink(PyObject *self, PyObject *other)
{
    return context_watch(self, other, shoal_unlink);
}

static PyObject *context_now(PyObject *self, PyObject *unused)
{
    (void)unused;
    Msg *msg = open_msg((ContextObj *)self);
    return msg ? PyFloat_FromDouble((double)shoal_now_us(msg->cx) / 1e6) : NULL;
}

static PyObject *context_random(PyObject *self, PyObject *unused)
{
    (void)unused;
    Msg *msg = open_msg((ContextObj *)self);
    return msg ? PyFloat_FromDouble((double)(shoal_random_u64(msg->cx) >> 11) / 9007199254740992.0)
               : NULL;
}

static PyObject *context_node(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef((PyObject *)((ContextObj *)self)->node);
}

static PyObject *context_sender(PyObject *self, void *unused)
{
    (void)unused;
    ContextObj *c = (ContextObj *)self;
    if (!c->sender) {
        c->sender = c->sender_pid.actor ? ref_new(c->node, c->sender_pid) : Py_NewRef(Py_None);
    }
    return Py_XNewRef(c->sender);
}

static int context_traverse(PyObject *self, visitproc visit, void *arg)
{
    ContextObj *c = (ContextObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(c->node);
    Py_VISIT(c->ref);
    Py_VISIT(c->sender);
    return 0;
}

static void context_dealloc(PyObject *self)
{
    ContextObj *c = (ContextObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(c->ref);
    Py_XDECREF(c->sender);
    Py_XDECREF(c->name);
    Py_XDECREF((PyObject *)c->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef context_methods[] = {
    METHOD("reply", context_reply, METH_O,
           "reply(value) -> None\n\nAnswers now; the handler goes on and what it returns is "
           "dropped. In a tell it does nothing.\n"
           "Raises BadValue, Usage (answered already). Handler only. Since 0.1.0."),
    METHOD("defer", context_defer, METH_NOARGS,
           "defer() -> Promise\n\nTakes the right to answer away from this handler and opens the "
           "mailbox.\n"
           "Raises Usage (a tell, or answered already). Handler only. Since 0.1.0."),
    METHOD("forward", context_forward, METH_FASTCALL | METH_KEYWORDS,
           "forward(ref, name=None, ...) -> None\n\nHands this message, or another one, and its "
           "asker to ref.\n"
           "Raises as tell, and Usage (answered already). Handler only. Since 0.1.0."),
    METHOD("after", context_after, METH_FASTCALL | METH_KEYWORDS,
           "after(seconds, name, ...) -> Timer\n\nTells this actor a message once, later. Ends "
           "with the actor.\n"
           "Raises BadValue, LimitReached. Handler only. Since 0.1.0."),
    METHOD("every", context_every, METH_FASTCALL | METH_KEYWORDS,
           "every(seconds, name, ...) -> Timer\n\nTells this actor a message again and again; "
           "skips what it missed.\n"
           "seconds: 0.001 or more. Raises BadValue, LimitReached. Handler only. Since 0.1.0."),
    METHOD("stop", context_stop, METH_VARARGS | METH_KEYWORDS,
           "stop(text=\"\") -> None\n\nStops this actor after this message. text: for the reason. "
           "Handler only. Since 0.1.0."),
    METHOD("spawn", context_spawn, METH_FASTCALL | METH_KEYWORDS,
           "spawn(Type, *args, _mailbox=None, _link=None, _monitor=None, **kwargs) -> Pending of "
           "Ref\n\n"
           "As node.spawn; the new actor is a child: it stops with this one. _link, _monitor: a "
           "Ref, or True for this\n"
           "actor. Raises HandlerError, LimitReached, Closed. Handler only. Since 0.1.0."),
    METHOD("link", context_link, METH_O,
           "link(ref) -> None\n\nWhen one of the two ends, the other's on_down is called. Raises "
           "Closed, LimitReached.\n"
           "Since 0.1.0."),
    METHOD("monitor", context_monitor, METH_O,
           "monitor(ref) -> None\n\nThis actor's on_down is called, once, when ref ends. Raises "
           "Closed, LimitReached.\n"
           "Since 0.1.0."),
    METHOD(
        "unlink", context_unlink, METH_O,
        "unlink(ref) -> None\n\nEnds the link and the monitor on ref. Raises Closed. Since 0.1.0."),
    METHOD("now", context_now, METH_NOARGS,
           "now() -> float\n\nThe node's monotonic clock, seconds. Handler only. Since 0.1.0."),
    METHOD("random", context_random, METH_NOARGS,
           "random() -> float\n\nIn [0, 1). Handler only. Since 0.1.0."),
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef context_getset[] = {
    {"node", context_node, NULL, "The node of this actor. Since 0.1.0.", NULL},
    {"sender", context_sender, NULL, "The actor that sent the message, or None. Since 0.1.0.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMemberDef context_members[] = {
    {"ref", T_OBJECT, offsetof(ContextObj, ref), READONLY, "This actor. Since 0.1.0."},
    {"name", T_OBJECT, offsetof(ContextObj, name), READONLY,
     "The name of the message; \"\" in hooks. Since 0.1.0."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot context_slots[] = {
    {Py_tp_doc, "What a handler may do with its message and its actor: self.cx."},
    {Py_tp_methods, context_methods},
    {Py_tp_getset, context_getset},
    {Py_tp_members, context_members},
    {Py_tp_traverse, context_traverse},
    {Py_tp_dealloc, context_dealloc},
    {0, NULL},
};
PyType_Spec context_spec = {
    "shoal.Context", sizeof(ContextObj), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, context_slots};
