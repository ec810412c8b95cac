/* node_type.c - Node as Python sees it: making, visiting and dropping it; its methods, most of which are in calls.c and
 * drive.c. */
#include "pyshoal.h"

#include <stddef.h>

static PyObject *node_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    node_free_core((NodeObj *)self);
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(self);
    }
    Py_RETURN_NONE;
}

static PyObject *node_forked(PyObject *self, PyObject *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    n->forked = n->node != NULL;
    n->drainer = n->driver = 0;
    Py_RETURN_NONE;
}

/* _pending() -> a Pending that _set ends. */
static PyObject *node_pending(PyObject *self, PyObject *unused)
{
    (void)unused;
    return (PyObject *)pending_new((NodeObj *)self, WANT_VALUE);
}

/* _sleep(seconds) -> a Pending that ends then, also without asyncio. */
static PyObject *node_sleep(PyObject *self, PyObject *seconds)
{
    NodeObj *n = (NodeObj *)self;
    double s = PyFloat_AsDouble(seconds);
    PendingObj *p = PyErr_Occurred() || node_ready(n) < 0 ? NULL : pending_new(n, WANT_NONE);
    if (p) {
        p->is_sleep = true;
        p->due = seconds_now(n) + (s > 0 ? s : 0);
        pending_link(p);
        node_soon(n);
    }
    return (PyObject *)p;
}

static PyObject *node_configure(PyObject *self, PyObject *args)
{
    NodeObj *n = (NodeObj *)self;
    PyObject *options, *on_event, *on_log;
    if (!PyArg_ParseTuple(args, "O!OO", &PyDict_Type, &options, &on_event, &on_log)) {
        return NULL;
    }
    if (n->started) {
        return error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "the node has started");
    }
    SET(n->options, Py_NewRef(options));
    SET(n->on_event, on_event == Py_None ? NULL : Py_NewRef(on_event));
    SET(n->on_log, on_log == Py_None ? NULL : Py_NewRef(on_log));
    Py_RETURN_NONE;
}

static PyObject *node_start_now(PyObject *self, PyObject *unused)
{
    (void)unused;
    return node_ready((NodeObj *)self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *node_is_open(PyObject *self, void *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    return PyBool_FromLong(n->node && !n->forked);
}

/* The thread that is inside it now, 0: none. */
static PyObject *node_busy(PyObject *self, void *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    return PyBool_FromLong(n->drainer != 0);
}

static PyObject *node_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    PyTypeObject *base = type;
    Mod *m = NULL;
    while (base && !m) { /* the class of this module among the bases */
        PyObject *module = PyType_GetModule(base);
        PyErr_Clear();
        m = module ? PyModule_GetState(module) : NULL;
        base = (PyTypeObject *)PyType_GetSlot(base, Py_tp_base);
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    NodeObj *n = m ? (NodeObj *)alloc(type, 0) : NULL;
    if (n) {
        n->mod = m;
        n->log_lock = PyThread_allocate_lock();
        n->logger = Py_XNewRef(m->log);
    }
    return (PyObject *)n;
}

static int visit_actors(NodeObj *n, visitproc visit, void *arg)
{
    for (ActorRec *r = n->actors; r; r = r->next) {
        Py_VISIT(r->instance);
        Py_VISIT(r->args);
        Py_VISIT(r->kwargs);
        Py_VISIT(r->undelivered);
        Py_VISIT(r->link);
        Py_VISIT(r->monitor);
        Py_VISIT(r->starting);
    }
    for (TypeRec *t = n->types; t; t = t->next) {
        Py_VISIT(t->cls);
        Py_VISIT(t->handlers);
    }
    return 0;
}

static int node_traverse(PyObject *self, visitproc visit, void *arg)
{
    NodeObj *n = (NodeObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(n->sim);
    Py_VISIT(n->options);
    Py_VISIT(n->loop);
    Py_VISIT(n->drain_cb);
    Py_VISIT(n->timer_handle);
    Py_VISIT(n->on_event);
    Py_VISIT(n->on_log);
    Py_VISIT(n->escape);
    Py_VISIT(n->failures);
    Py_VISIT(n->failures_old);
    Py_VISIT(n->jobs);
    for (PendingObj *p = n->calls; p; p = p->next) {
        Py_VISIT(p);
    }
    for (TaskObj *t = n->tasks; t; t = t->next) {
        Py_VISIT(t);
    }
    for (TaskObj *t = n->ready; t; t = t->ready_next) {
        Py_VISIT(t);
    }
    return visit_actors(n, visit, arg);
}

static int node_clear(PyObject *self)
{
    NodeObj *n = (NodeObj *)self;
    Py_CLEAR(n->drain_cb);
    Py_CLEAR(n->timer_handle);
    Py_CLEAR(n->loop);
    Py_CLEAR(n->on_event);
    Py_CLEAR(n->on_log);
    Py_CLEAR(n->escape);
    Py_CLEAR(n->failures);
    Py_CLEAR(n->failures_old);
    return 0;
}

/* Nobody holds the node any more: it ends here, with all its actors. */
static void node_finalize(PyObject *self)
{
    NodeObj *n = (NodeObj *)self;
    PyObject *type, *value, *trace;
    if (!n->node || n->forked) {
        return;
    }
    PyErr_Fetch(&type, &value, &trace);
    if (PyErr_ResourceWarning(self, 1, "a shoal.Node was dropped without being stopped") < 0) {
        PyErr_WriteUnraisable(self);
    }
    node_free_core(n);
    PyErr_Restore(type, value, trace);
}

static void node_dealloc(PyObject *self)
{
    NodeObj *n = (NodeObj *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self); /* shoal.Node, a subclass, had its finalizer called */
    if (n->weak) {
        PyObject_ClearWeakRefs(self);
    }
    node_clear(self);
    Py_XDECREF(n->jobs);
    Py_XDECREF(n->options);
    Py_XDECREF((PyObject *)n->sim);
    Py_XDECREF(n->logger);
    node_logs_free(n);
    parcels_fini(n);
    if (n->log_lock) {
        PyThread_free_lock(n->log_lock);
    }
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef node_methods[] = {
    METHOD("spawn", node_spawn, METH_FASTCALL | METH_KEYWORDS,
           "spawn(Type, *args, _mailbox=None, _link=None, _monitor=None, **kwargs) -> Pending of "
           "Ref\n\n"
           "Makes an actor: Type(*args, **kwargs), then its on_start; done when that has ended. "
           "The arguments may be any\n"
           "objects. _mailbox: messages that may wait, 0: only memory bounds it; _link, _monitor: "
           "a Ref. Any thread.\n"
           "Raises HandlerError (the constructor or on_start failed), LimitReached, Closed. Since "
           "0.1.0."),
    METHOD("lookup", node_lookup, METH_VARARGS | METH_KEYWORDS,
           "lookup(name, timeout=5, *, default=...) -> Pending of Ref\n\n"
           "A live actor of that name, this node's first. timeout: seconds to go on looking, 0: "
           "one pass. default: what to\n"
           "return instead of raising NotFound. Any thread. Raises NotFound, BadValue, Closed. "
           "Since 0.1.0."),
    METHOD("ref", node_ref, METH_O,
           "ref(text) -> Ref\n\nReads what str(ref) wrote, here or elsewhere. Any thread. Raises "
           "BadValue, LimitReached, Closed.\n"
           "Since 0.1.0."),
    METHOD("dial", node_dial, METH_O,
           "dial(address) -> Pending of str\n\nConnects to a multiaddr once; the peer id. Any "
           "thread.\n"
           "Raises BadAddress, Unreachable, Timeout, Refused, Unsupported, Closed. Since 0.1.0."),
    METHOD("info", node_info, METH_VARARGS | METH_KEYWORDS,
           "info(what, peer=None) -> Pending of list of dict\n\nwhat: \"actors\", \"peers\", "
           "\"names\" or \"routing\"; peer: id of a\n"
           "node that lists this one as admin. Any thread. Raises BadValue, Refused, Unreachable, "
           "Timeout, Closed. Since 0.1.0."),
    METHOD("stop", node_stop, METH_VARARGS | METH_KEYWORDS,
           "stop(timeout=None) -> Pending of None\n\nStops gracefully: accepted asks are answered, "
           "actors stopped, peers told.\n"
           "timeout: seconds, default stop_timeout; a second call means now. Any thread.\n"
           "Raises Timeout (something was dropped), Closed. Since 0.1.0."),
    METHOD("run", node_run, METH_NOARGS,
           "run() -> None\n\nServes on this thread until stop() or Ctrl-C. Not with asyncio's "
           "`async with`.\n"
           "Raises Usage, Closed, and what handlers raise that is no Exception. Since 0.1.0."),
    METHOD("poll", node_poll, METH_VARARGS | METH_KEYWORDS,
           "poll(budget, wait=0) -> (handled, left)\n\nRuns what is due, for a host with a loop of "
           "its own. budget: seconds after\n"
           "which it takes nothing new; wait: seconds to wait for the first thing. Raises Usage, "
           "Closed. Since 0.1.0."),
    METHOD("fileno", node_fileno, METH_NOARGS,
           "fileno() -> int\n\nA descriptor that is readable while poll has something to do. Not "
           "to be read or closed.\n"
           "Raises Closed. Since 0.1.0."),
    METHOD("next_timeout", node_next_timeout, METH_NOARGS,
           "next_timeout() -> float or None\n\nSeconds until poll must be called even if fileno "
           "stays silent. Raises Closed.\n"
           "Since 0.1.0."),
    METHOD("_configure", node_configure, METH_VARARGS, "_configure(options, on_event, on_log)"),
    METHOD("_start", node_start_now, METH_NOARGS, "Starts it if it has not."),
    METHOD("_close", node_close, METH_NOARGS, "Ends it at once."),
    METHOD("_forked", node_forked, METH_NOARGS,
           "In the child of a fork: its calls are Closed from now on."),
    METHOD("_attach", node_attach, METH_O, "Handlers run on this asyncio loop from now on."),
    METHOD("_detach", node_detach, METH_NOARGS, "And no longer."),
    METHOD("_drain", node_on_readable, METH_NOARGS, "What the asyncio loop calls."),
    METHOD("_lookup_all", node_lookup_all, METH_VARARGS, "_lookup_all(name, seconds, follow, fn)"),
    METHOD("_pending", node_pending, METH_NOARGS, "A Pending that _set ends."),
    METHOD("_sleep", node_sleep, METH_O, "A Pending that ends after so many seconds."),
    {NULL, NULL, 0, NULL},
};
/* Somebody drives it: an asyncio loop, or a thread in run, poll or wait. */
static PyObject *node_driven(PyObject *self, void *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    return PyBool_FromLong(n->loop || n->driver || n->drainer || n->run_wanted);
}

static PyObject *node_simulated(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((NodeObj *)self)->sim != NULL);
}

static PyGetSetDef node_getset[] = {
    {"peer_id", node_peer_id, NULL, "The node's peer id, text. Starts the node. Since 0.1.0.",
     NULL},
    {"addresses", node_addresses, NULL,
     "Where others can dial the node: multiaddrs that end in /p2p/<peer id>. Starts the node. "
     "Since 0.1.0.",
     NULL},
    {"_open", node_is_open, NULL, "Started and not closed.", NULL},
    {"_driven", node_driven, NULL, "Somebody drives it.", NULL},
    {"_simulated", node_simulated, NULL, "Of a shoal.sim.", NULL},
    {"_busy", node_busy, NULL, "A thread is inside it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMemberDef node_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(NodeObj, weak), READONLY, NULL},
    {"_loop", T_OBJECT, offsetof(NodeObj, loop), READONLY,
     "The asyncio loop it is attached to, or None."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot node_slots[] = {
    {Py_tp_doc, "The part of shoal.Node that is written in C."},
    {Py_tp_new, node_new},
    {Py_tp_methods, node_methods},
    {Py_tp_getset, node_getset},
    {Py_tp_members, node_members},
    {Py_tp_traverse, node_traverse},
    {Py_tp_clear, node_clear},
    {Py_tp_finalize, node_finalize},
    {Py_tp_dealloc, node_dealloc},
    {0, NULL},
};
PyType_Spec node_spec = {"shoal._shoal.NodeBase", sizeof(NodeObj), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, node_slots};
