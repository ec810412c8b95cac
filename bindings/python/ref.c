/* ref.c - Ref: an actor anywhere. Its ask and tell are verb.c and send.c. */
#include "pyshoal.h"

#include <string.h>

/* --- Ref --- */

PyObject *ref_new(NodeObj *n, shoal_pid pid)
{
    RefObj *r = PyObject_GC_New(RefObj, n->mod->ref);
    if (!r) {
        return NULL;
    }
    r->mod = n->mod;
    r->node = (NodeObj *)Py_NewRef((PyObject *)n);
    r->pid = pid;
    r->text = r->weak = NULL;
    r->ask = verb_new(n, pid, true);
    r->tell = verb_new(n, pid, false);
    PyObject_GC_Track((PyObject *)r);
    if (!r->ask || !r->tell) {
        Py_DECREF((PyObject *)r);
        return NULL;
    }
    return (PyObject *)r;
}

static PyObject *ref_str(PyObject *self)
{
    RefObj *r = (RefObj *)self;
    char text[160];
    if (r->text) {
        return Py_NewRef(r->text);
    }
    if (node_open(r->node) < 0) {
        return NULL;
    }
    node_wait_turn(r->node);
    int code = shoal_pid_text(r->node->node, r->pid, text, sizeof text);
    if (code < 0) {
        return error_last(r->node, code);
    }
    r->text = PyUnicode_FromString(text);
    return Py_XNewRef(r->text);
}

static PyObject *ref_repr(PyObject *self)
{
    PyObject *text = ref_str(self);
    PyObject *out = text ? PyUnicode_FromFormat("<Ref %U>", text) : NULL;
    if (!out) {
        PyErr_Clear();
        out = PyUnicode_FromFormat("<Ref %llx>", (unsigned long long)((RefObj *)self)->pid.actor);
    }
    Py_XDECREF(text);
    return out;
}

static Py_hash_t ref_hash(PyObject *self)
{
    uint64_t a = ((RefObj *)self)->pid.actor * 0x9e3779b97f4a7c15u;
    Py_hash_t h = (Py_hash_t)(a >> 1);
    return h == -1 ? -2 : h;
}

static PyObject *ref_compare(PyObject *a, PyObject *b, int op)
{
    RefObj *x = (RefObj *)a, *y = (RefObj *)b;
    if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(b, x->mod->ref)) {
        return Py_NewRef(Py_NotImplemented);
    }
    bool same = x->node == y->node && shoal_pid_equal(x->pid, y->pid);
    if (!same &&
        x->pid.actor == y->pid.actor) { /* refs of two nodes of this process: by their texts */
        PyObject *s = ref_str(a), *t = s ? ref_str(b) : NULL;
        same = t && PyUnicode_Compare(s, t) == 0;
        Py_XDECREF(s);
        Py_XDECREF(t);
        PyErr_Clear();
    }
    return PyBool_FromLong(same == (op == Py_EQ));
}

static PyObject *ref_part(PyObject *self, bool peer)
{
    PyObject *text = ref_str(self);
    PyObject *out = !text  ? NULL
                    : peer ? PyUnicode_Substring(text, 17, PY_SSIZE_T_MAX)
                           : PyUnicode_Substring(text, 0, 16);
    Py_XDECREF(text);
    return out;
}

static PyObject *ref_id(PyObject *self, void *unused)
{
    (void)unused;
    return ref_part(self, false);
}

static PyObject *ref_peer_id(PyObject *self, void *unused)
{
    (void)unused;
    return ref_part(self, true);
}

static PendingObj *ref_call(RefObj *r, enum wants want)
{
    PendingObj *p = node_open(r->node) < 0 ? NULL : pending_new(r->node, want);
    if (p) {
        p->target = r->pid;
    }
    return p;
}

static PyObject *ref_drain(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    RefObj *r = (RefObj *)self;
    PyObject *seconds = NULL;
    uint32_t ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:drain", names, &seconds) ||
        kept_timeout(r->mod, seconds, false, &ms) < 0) {
        return NULL;
    }
    PendingObj *p = ref_call(r, WANT_NONE);
    return p ? pending_begun(p, shoal_drain(r->node->node, r->pid, ms, pending_done, p)) : NULL;
}

static PyObject *ref_register(PyObject *self, PyObject *name)
{
    RefObj *r = (RefObj *)self;
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    PendingObj *p = text ? ref_call(r, WANT_NONE) : NULL;
    return p ? pending_begun(p, shoal_register(r->node->node, r->pid, text, pending_done, p))
             : NULL;
}

static PyObject *ref_unregister(PyObject *self, PyObject *name)
{
    RefObj *r = (RefObj *)self;
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    PendingObj *p = text ? ref_call(r, WANT_NONE) : NULL;
    int code = p ? shoal_unregister(r->node->node, r->pid, text) : 0;
    if (!p || code < 0) {
        Py_XDECREF((PyObject *)p);
        return p ? error_last(r->node, code) : NULL;
    }
    pending_settle(p, P_DONE, Py_NewRef(Py_None));
    node_soon(r->node);
    return (PyObject *)p;
}

static PyObject *ref_stop(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    RefObj *r = (RefObj *)self;
    PyObject *seconds = NULL;
    uint32_t ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:stop", names, &seconds) ||
        kept_timeout(r->mod, seconds, false, &ms) < 0) {
        return NULL;
    }
    PendingObj *p = ref_call(r, WANT_REASON);
    if (p && ms) {
        p->due = seconds_now(r->node) + ms / 1000.0; /* our own limit: the actor goes on stopping */
    }
    return p ? pending_begun(p, shoal_stop(r->node->node, r->pid, pending_done, p)) : NULL;
}

static PyObject *ref_kill(PyObject *self, PyObject *unused)
{
    (void)unused;
    RefObj *r = (RefObj *)self;
    int code = node_open(r->node) < 0 ? 1 : shoal_kill(r->node->node, r->pid);
    if (code != 0) {
        return code < 0 ? error_last(r->node, code) : NULL;
    }
    node_soon(r->node);
    Py_RETURN_NONE;
}

static PyObject *ref_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    RefObj *r = (RefObj *)self;
    PendingObj *p = ref_call(r, WANT_REASON);
    return p ? pending_begun(p, shoal_done(r->node->node, r->pid, pending_done, p)) : NULL;
}

static int ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    RefObj *r = (RefObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(r->node);
    Py_VISIT(r->ask);
    Py_VISIT(r->tell);
    return 0;
}

static void ref_dealloc(PyObject *self)
{
    RefObj *r = (RefObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (r->weak) {
        PyObject_ClearWeakRefs(self);
    }
    Py_XDECREF(r->ask);
    Py_XDECREF(r->tell);
    Py_XDECREF(r->text);
    Py_XDECREF((PyObject *)r->node);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef ref_methods[] = {
    METHOD("drain", ref_drain, METH_VARARGS | METH_KEYWORDS,
           "drain(timeout=None) -> Pending of None\n\nWaits until this node's earlier tells to "
           "this actor are in its mailbox.\n"
           "timeout: seconds, default the node's ask_timeout. Any thread. Raises the first loss "
           "since the last drain,\n"
           "Timeout, NotRunning, Unreachable, Closed. Since 0.1.0."),
    METHOD("register", ref_register, METH_O,
           "register(name) -> Pending of None\n\nRegisters a name for this actor (of this node) "
           "until unregister or its end;\n"
           "done when others can find it. name: 1..255 bytes of UTF-8. Any thread.\n"
           "Raises NameTaken, BadValue, NotRunning, Timeout (it goes on trying), Usage, Closed. "
           "Since 0.1.0."),
    METHOD("unregister", ref_unregister, METH_O,
           "unregister(name) -> Pending of None\n\nGives a name up. Any thread. Raises NotFound, "
           "Usage, Closed. Since 0.1.0."),
    METHOD("stop", ref_stop, METH_VARARGS | METH_KEYWORDS,
           "stop(timeout=None) -> Pending of Reason\n\nStops the actor: it takes nothing new, "
           "what is queued is handled, on_stop runs.\n"
           "timeout: seconds to wait; it goes on stopping. Any thread. Raises NotRunning, Refused, "
           "Unreachable, Timeout,\n"
           "Closed. Since 0.1.0."),
    METHOD("kill", ref_kill, METH_NOARGS,
           "kill() -> None\n\nEnds the actor where its handler next waits; its queue is not "
           "handled. Any thread.\n"
           "Raises NotRunning, Unreachable, Closed. Since 0.1.0."),
    METHOD("done", ref_done, METH_NOARGS,
           "done() -> Pending of Reason\n\nWaits for the end of the actor, for as long as it "
           "takes. Any thread.\n"
           "Raises Closed. Since 0.1.0."),
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef ref_getset[] = {
    {"id", ref_id, NULL, "The actor's number on its node: 16 hex digits. Since 0.1.0.", NULL},
    {"peer_id", ref_peer_id, NULL, "The peer id of the actor's node. Since 0.1.0.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMemberDef ref_members[] = {
    {"ask", T_OBJECT_EX, offsetof(RefObj, ask), READONLY,
     "ask(name, value) or ask(name, key=...) or ask.name(...) or ask(Message(...)) -> Pending of "
     "the reply\n\n"
     "_timeout: seconds, default the node's ask_timeout. Any thread. Since 0.1.0."},
    {"tell", T_OBJECT_EX, offsetof(RefObj, tell), READONLY,
     "tell(name, value) or tell(name, key=...) or tell.name(...) or tell(Message(...)) -> None\n\n"
     "Never waits. Raises MailboxFull, NotRunning, BadValue, Unreachable, Closed. Any thread. "
     "Since 0.1.0."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RefObj, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot ref_slots[] = {
    {Py_tp_doc,
     "An actor, wherever it lives. Hashable, equal by actor; str(ref) reads back with node.ref()."},
    {Py_tp_methods, ref_methods},
    {Py_tp_getset, ref_getset},
    {Py_tp_members, ref_members},
    {Py_tp_str, ref_str},
    {Py_tp_repr, ref_repr},
    {Py_tp_hash, ref_hash},
    {Py_tp_richcompare, ref_compare},
    {Py_tp_traverse, ref_traverse},
    {Py_tp_dealloc, ref_dealloc},
    {0, NULL},
};
PyType_Spec ref_spec = {"shoal.Ref", sizeof(RefObj), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                        ref_slots};
