/* node.c - Node: its start from options, its calls, its end. Who drives it is drive.c. */
#include "pyshoal.h"

#include <poll.h>
#include <string.h>

/* --- start --- */

typedef struct Texts { /* an array of C strings from a list of str */
    const char **list;
    size_t count;
} Texts;

static int texts_of(PyObject *options, const char *key, Texts *out)
{
    PyObject *list = PyDict_GetItemString(options, key); /* a list, by Node.__init__ */
    Py_ssize_t n = list ? PyList_Size(list) : 0;
    out->list = PyMem_Calloc((size_t)n + 1, sizeof *out->list);
    out->count = (size_t)n;
    if (!out->list) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        out->list[i] = PyUnicode_AsUTF8AndSize(PyList_GetItem(list, i), NULL);
        if (!out->list[i]) {
            return -1;
        }
    }
    return 0;
}

static uint32_t number_of(PyObject *options, const char *key, uint32_t otherwise)
{
    PyObject *v = PyDict_GetItemString(options, key);
    return v ? (uint32_t)PyLong_AsUnsignedLong(v) : otherwise;
}

static void config_of(NodeObj *n, shoal_node_config *c)
{
    PyObject *o = n->options;
    PyObject *key = PyDict_GetItemString(o, "key");
    shoal_node_config_init(c, sizeof *c);
    c->threads = number_of(o, "threads", 1);
    c->key = key ? PyUnicode_AsUTF8AndSize(key, NULL) : NULL;
    c->dht = (int)number_of(o, "dht", (uint32_t)c->dht);
    c->mailbox = number_of(o, "mailbox", c->mailbox);
    c->ask_timeout_ms = number_of(o, "ask_timeout", c->ask_timeout_ms);
    c->stop_timeout_ms = number_of(o, "stop_timeout", c->stop_timeout_ms);
    c->peer_timeout_ms = number_of(o, "peer_timeout", c->peer_timeout_ms);
    c->max_message = number_of(o, "max_message", c->max_message);
    c->max_peers = number_of(o, "max_peers", c->max_peers);
    c->max_actors = number_of(o, "max_actors", c->max_actors);
    c->max_asks = number_of(o, "max_asks", c->max_asks);
    c->log_level = (int)number_of(o, "log", (uint32_t)c->log_level);
    c->on_log = node_log;
    c->log_ud = n;
    c->on_event = node_event;
    c->event_ud = n;
    n->max_message = c->max_message;
    n->threads = c->threads;
}

/* A pid that never lived: generation 1 of the last slot of the host's executor. */
static void nobody_of(NodeObj *n)
{
    char text[200], peer[128];
    if (shoal_peer_id(n->node, peer, sizeof peer) > 0) {
        PyOS_snprintf(text, sizeof text, "00000001%02xffffff@%s", n->threads ? 1u : 0u, peer);
        if (shoal_pid_parse(n->node, text, &n->nobody) < 0) {
            n->nobody = (shoal_pid){0};
        }
    }
}

static int node_start(NodeObj *n)
{
    Texts listen = {0}, announce = {0}, dial = {0}, allow = {0}, admin = {0};
    shoal_node_config c;
    int rc = -1;
    if (texts_of(n->options, "listen", &listen) == 0 &&
        texts_of(n->options, "announce", &announce) == 0 &&
        texts_of(n->options, "dial", &dial) == 0 && texts_of(n->options, "allow", &allow) == 0 &&
        texts_of(n->options, "admin", &admin) == 0) {
        config_of(n, &c);
        c.listen = listen.list, c.listen_count = listen.count;
        c.announce = announce.list, c.announce_count = announce.count;
        c.dial = dial.list, c.dial_count = dial.count;
        c.allow = allow.list, c.allow_count = allow.count;
        c.admin = admin.list, c.admin_count = admin.count;
        int code = PyErr_Occurred() || n->sim ? 1 : shoal_node_new(&c, &n->node);
        rc = code == 0 ? 0 : -1;
        if (n->sim && !PyErr_Occurred()) {
            rc = sim_node_start(n, &c);
        } else if (code < 0) {
            n->node = NULL;
            error_raise(n->mod, code, SHOAL_NOT_SENT, "%s", shoal_last_error(NULL));
        }
    }
    PyMem_Free(listen.list);
    PyMem_Free(announce.list);
    PyMem_Free(dial.list);
    PyMem_Free(allow.list);
    PyMem_Free(admin.list);
    if (rc == 0) {
        n->started = true;
        nobody_of(n);
    }
    return rc;
}

int node_open(NodeObj *n)
{
    if (n->node && !n->forked) {
        return 0;
    }
    error_raise(n->mod, SHOAL_E_CLOSED, SHOAL_NOT_SENT,
                n->forked    ? "this process was forked from the one that has the node"
                : n->started ? "the node was closed"
                             : "the node has not started");
    return -1;
}

int node_ready(NodeObj *n)
{
    if (!n->started && !n->closed && !n->forked) {
        if (!n->options) {
            PyErr_SetString(PyExc_RuntimeError, "Node.__init__ was not called");
            return -1;
        }
        return node_start(n);
    }
    return node_open(n);
}

void node_wait_turn(NodeObj *n)
{
    unsigned long me = PyThread_get_thread_ident();
    while (n->threads == 0 && n->drainer && n->drainer != me) {
        Py_BEGIN_ALLOW_THREADS;
        poll(NULL, 0, 1);
        Py_END_ALLOW_THREADS;
    }
}

/* --- end --- */

static void end_calls(NodeObj *n)
{
    while (n->calls) { /* sleeps, and what core would never tell: it has told all others */
        PendingObj *p = (PendingObj *)Py_NewRef((PyObject *)n->calls);
        pending_unlink(p);
        pending_settle(
            p, P_FAILED,
            error_new(n->mod, SHOAL_E_CLOSED, SHOAL_UNKNOWN, "the node was closed", NULL, NULL));
        Py_DECREF((PyObject *)p);
    }
    for (Py_ssize_t i = 0; n->jobs && i < PyList_Size(n->jobs); i++) {
        PendingObj *p = (PendingObj *)PyList_GetItem(n->jobs, i);
        pending_settle(
            p, P_FAILED,
            error_new(n->mod, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the node was closed", NULL, NULL));
    }
    Py_CLEAR(n->jobs);
}

static void end_lists(NodeObj *n)
{
    for (TaskObj *t = n->tasks; t; t = t->next) {
        t->msg.cx = t->held_cx = NULL; /* core has gone, with the messages that tasks held open */
    }
    tasks_run_ready(n);
    while (n->tasks) {
        TaskObj *t = n->tasks;
        t->msg.cx = t->held_cx = NULL;
        task_close(t);
        if (t == n->tasks) {
            break; /* it is running: this is called from within it, which cannot be */
        }
    }
    while (n->actors) {
        actor_free(n->actors);
    }
    while (n->types) {
        TypeRec *t = n->types;
        n->types = t->next;
        type_free(t);
    }
}

void node_free_core(NodeObj *n)
{
    if (!n->node || n->freeing || n->forked) {
        n->closed = true;
        return;
    }
    if (n->drainer) {
        n->stopped = true; /* at the end of that drain */
        return;
    }
    Py_INCREF((PyObject *)n);
    n->freeing = true;
    node_leave_loop(n);
    n->drainer = PyThread_get_thread_ident();
    shoal_node_free(n->node);
    n->node = NULL;
    n->closed = true;
    if (n->sim) {
        sim_node_ended(n);
    }
    end_calls(n);
    end_lists(n);
    node_logs_tell(n);
    n->drainer = 0;
    n->freeing = false;
    Py_CLEAR(n->failures);
    Py_CLEAR(n->failures_old);
    parcels_fini(n);
    Py_DECREF((PyObject *)n);
}

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

/* --- object --- */

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
