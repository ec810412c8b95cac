/* sim.c - a simulation: what turns its nodes, and the faults. The loop of virtual time is shoal/_sim.py.
 *
 * Shape    SimBase owns the shoal_sim and a list of its started nodes; a node owns its SimBase.
 * Driving  Nodes of a simulation are never drained one by one: _turn goes on in virtual time until something
 *          was handled for any of them, and is a drain of all (node_inside holds for each). */
#include "pyshoal.h"

/* --- what node.c and drive.c call --- */

void sim_stirred(SimObj *s)
{
    if (s->poller && !s->stirred) {
        shoal_wake(s->poller); /* shoal_poll returns at the time that it is now */
    }
    s->stirred = true;
}

int sim_node_start(NodeObj *n, const shoal_node_config *cfg)
{
    SimObj *s = n->sim;
    if (!s->sim) {
        error_raise(s->mod, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the simulation was closed");
        return -1;
    }
    if (PyList_Append(s->nodes, (PyObject *)n) < 0) {
        return -1;
    }
    int code = shoal_sim_node(s->sim, cfg, &n->node);
    if (code < 0) {
        n->node = NULL;
        sim_node_ended(n);
        error_raise(s->mod, code, SHOAL_NOT_SENT, "%s", shoal_last_error(NULL));
        return -1;
    }
    n->drainer = s->turning ? PyThread_get_thread_ident() : 0;
    return 0;
}

void sim_node_ended(NodeObj *n)
{
    PyObject *nodes = n->sim->nodes;
    for (Py_ssize_t i = 0; nodes && i < PyList_Size(nodes); i++) {
        if (PyList_GetItem(nodes, i) == (PyObject *)n) {
            PyList_SetSlice(nodes, i, i + 1, NULL);
            return;
        }
    }
}

double sim_now(const SimObj *s)
{
    return (double)(s->sim ? shoal_sim_now_us(s->sim) : s->last_now_us) / 1e6;
}

/* --- a turn --- */

static int sim_open(SimObj *s)
{
    if (s->sim) {
        return 0;
    }
    error_raise(s->mod, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the simulation was closed");
    return -1;
}

static PyObject *sim_failed(SimObj *s, int code)
{
    return error_raise(s->mod, code, SHOAL_NOT_SENT, "%s", shoal_last_error(NULL));
}

/* All nodes are drained from here on; not later than *until_us one of ours is due. */
static void turn_begin(SimObj *s, uint64_t *until_us)
{
    s->turning = true;
    s->stirred = false;
    s->poller = NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(s->nodes); i++) {
        NodeObj *n = (NodeObj *)PyList_GetItem(s->nodes, i);
        n->drainer = PyThread_get_thread_ident();
        drain_pump(n);
        uint64_t due_us = n->next_due > 0 ? (uint64_t)(n->next_due * 1e6) + 1 : UINT64_MAX;
        *until_us = due_us < *until_us ? due_us : *until_us;
        s->poller = s->poller ? s->poller : n->node;
    }
}

static int turn_ended(SimObj *s)
{
    PyObject *all = PyList_GetSlice(s->nodes, 0, PyList_Size(s->nodes));
    PyObject *type = NULL, *value = NULL, *trace = NULL;
    s->turning = false;
    s->poller = NULL;
    for (Py_ssize_t i = 0; all && i < PyList_Size(all); i++) {
        ((NodeObj *)PyList_GetItem(all, i))->drainer = 0;
    }
    for (Py_ssize_t i = 0; all && i < PyList_Size(all); i++) {
        if (drain_ended((NodeObj *)PyList_GetItem(all, i), 0) < 0 && !type) {
            PyErr_Fetch(&type, &value, &trace);
        }
        PyErr_Clear();
    }
    Py_XDECREF(all);
    if (type) {
        PyErr_Restore(type, value, trace);
    }
    return all && !type ? 0 : -1;
}

/* Polls in whole milliseconds, then what is left of the time. */
static int turn_run(SimObj *s, uint64_t until_us)
{
    uint64_t now_us = shoal_sim_now_us(s->sim);
    uint64_t left_us = until_us > now_us && !s->stirred ? until_us - now_us : 0;
    if (!s->poller) {
        return shoal_sim_advance(s->sim, left_us);
    }
    int code = shoal_poll(s->poller, 0, (int64_t)(left_us / 1000));
    if (code < 0 || s->stirred) {
        return code;
    }
    uint64_t rest_us = left_us % 1000;
    return rest_us > 0 && shoal_sim_now_us(s->sim) + rest_us == until_us
               ? shoal_sim_advance(s->sim, rest_us)
               : 0;
}

static PyObject *sim_turn(PyObject *self, PyObject *until)
{
    SimObj *s = (SimObj *)self;
    uint64_t until_us = PyLong_AsUnsignedLongLong(until);
    if (PyErr_Occurred() || sim_open(s) < 0) {
        return NULL;
    }
    if (s->turning) {
        return error_raise(s->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "the simulation is running: this is inside a handler");
    }
    Py_INCREF(self);
    turn_begin(s, &until_us);
    int code = turn_run(s, until_us);
    PyObject *out = turn_ended(s) < 0 ? NULL
                    : code < 0        ? sim_failed(s, code)
                                      : PyBool_FromLong(s->stirred);
    Py_DECREF(self);
    return out;
}

/* Something is to be done outside of the nodes: the turn, if there is one, is over. */
static PyObject *sim_stir(PyObject *self, PyObject *unused)
{
    (void)unused;
    sim_stirred((SimObj *)self);
    Py_RETURN_NONE;
}

/* --- faults --- */

static NodeObj *member_of(SimObj *s, PyObject *node)
{
    NodeObj *n = PyObject_IsInstance(node, (PyObject *)s->mod->node) == 1 ? (NodeObj *)node : NULL;
    if (!n || n->sim != s) {
        PyErr_Clear();
        error_raise(s->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "%R is no node of this simulation",
                    node);
        return NULL;
    }
    return node_open(n) < 0 ? NULL : n;
}

static shoal_node **side_of(SimObj *s, PyObject *list)
{
    Py_ssize_t count = PyList_Size(list);
    shoal_node **side = PyMem_Calloc((size_t)count + 1, sizeof(shoal_node *));
    if (!side) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; side && i < count; i++) {
        NodeObj *n = member_of(s, PyList_GetItem(list, i));
        if (!n) {
            PyMem_Free(side);
            return NULL;
        }
        side[i] = n->node;
    }
    return side;
}

static PyObject *sim_partition(PyObject *self, PyObject *args)
{
    SimObj *s = (SimObj *)self;
    PyObject *a, *b;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &a, &PyList_Type, &b) || sim_open(s) < 0) {
        return NULL;
    }
    shoal_node **left = side_of(s, a), **right = left ? side_of(s, b) : NULL;
    int code = right ? shoal_sim_partition(s->sim, left, (size_t)PyList_Size(a), right,
                                           (size_t)PyList_Size(b))
                     : 0;
    PyMem_Free(left);
    if (!right) {
        return NULL;
    }
    PyMem_Free(right);
    return code < 0 ? sim_failed(s, code) : Py_NewRef(Py_None);
}

static PyObject *sim_heal(PyObject *self, PyObject *unused)
{
    (void)unused;
    SimObj *s = (SimObj *)self;
    if (sim_open(s) < 0) {
        return NULL;
    }
    int code = shoal_sim_heal(s->sim);
    return code < 0 ? sim_failed(s, code) : Py_NewRef(Py_None);
}

static PyObject *sim_crash(PyObject *self, PyObject *node)
{
    SimObj *s = (SimObj *)self;
    NodeObj *n = sim_open(s) < 0 ? NULL : member_of(s, node);
    if (!n) {
        return NULL;
    }
    if (s->turning || n->drainer) {
        return error_raise(s->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "crash: not inside a handler of a node");
    }
    node_leave_loop(n); /* what awaits its calls is told in the next turn of the loop */
    n->drainer = PyThread_get_thread_ident();
    int code = shoal_sim_crash(s->sim, n->node);
    n->drainer = 0;
    if (code < 0) {
        return sim_failed(s, code);
    }
    node_free_core(n);
    Py_RETURN_NONE;
}

static PyObject *sim_net(PyObject *self, PyObject *args)
{
    SimObj *s = (SimObj *)self;
    unsigned long long least_us, most_us;
    unsigned loss_ppm;
    if (!PyArg_ParseTuple(args, "KKI", &least_us, &most_us, &loss_ppm) || sim_open(s) < 0) {
        return NULL;
    }
    int code = shoal_sim_net(s->sim, least_us, most_us, loss_ppm);
    return code < 0 ? sim_failed(s, code) : Py_NewRef(Py_None);
}

/* --- life --- */

static PyObject *sim_begin(PyObject *self, PyObject *seed)
{
    SimObj *s = (SimObj *)self;
    uint64_t number = PyLong_AsUnsignedLongLong(seed);
    if (PyErr_Occurred() || s->sim) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    int code = shoal_sim_new(number, &s->sim);
    return code < 0 ? sim_failed(s, code) : Py_NewRef(Py_None);
}

static void sim_free_core(SimObj *s)
{
    while (s->nodes && PyList_Size(s->nodes) > 0) {
        NodeObj *n = (NodeObj *)Py_NewRef(PyList_GetItem(s->nodes, PyList_Size(s->nodes) - 1));
        node_free_core(n);
        sim_node_ended(n); /* also one that a fork left */
        Py_DECREF((PyObject *)n);
    }
    if (s->sim) {
        s->last_now_us = shoal_sim_now_us(s->sim);
        s->last_digest = shoal_sim_digest(s->sim);
        shoal_sim_free(s->sim);
        s->sim = NULL;
    }
}

static PyObject *sim_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    SimObj *s = (SimObj *)self;
    if (s->turning || s->loop) {
        return error_raise(s->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "the simulation is running");
    }
    sim_free_core(s);
    Py_RETURN_NONE;
}

/* The loop that turns it now, or None. */
static PyObject *sim_drive(PyObject *self, PyObject *loop)
{
    SET(((SimObj *)self)->loop, loop == Py_None ? NULL : Py_NewRef(loop));
    Py_RETURN_NONE;
}

static PyObject *sim_adopt(PyObject *self, PyObject *node)
{
    SimObj *s = (SimObj *)self;
    NodeObj *n = (NodeObj *)node;
    if (PyObject_IsInstance(node, (PyObject *)s->mod->node) != 1 || n->started || n->sim) {
        PyErr_Clear();
        return error_raise(s->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "%R is no fresh node", node);
    }
    n->sim = (SimObj *)Py_NewRef(self);
    Py_RETURN_NONE;
}

static PyObject *sim_now_us(PyObject *self, void *unused)
{
    (void)unused;
    SimObj *s = (SimObj *)self;
    return PyLong_FromUnsignedLongLong(s->sim ? shoal_sim_now_us(s->sim) : s->last_now_us);
}

static PyObject *sim_digest(PyObject *self, void *unused)
{
    (void)unused;
    SimObj *s = (SimObj *)self;
    return PyLong_FromUnsignedLongLong(s->sim ? shoal_sim_digest(s->sim) : s->last_digest);
}

/* Nothing at all is left to happen by itself. */
static PyObject *sim_idle(PyObject *self, void *unused)
{
    (void)unused;
    SimObj *s = (SimObj *)self;
    for (Py_ssize_t i = 0; i < PyList_Size(s->nodes); i++) {
        NodeObj *n = (NodeObj *)PyList_GetItem(s->nodes, i);
        if (n->ready || n->jobs || n->next_due > 0 || shoal_next_timeout_ms(n->node) >= 0) {
            Py_RETURN_FALSE;
        }
    }
    Py_RETURN_TRUE;
}

/* --- object --- */

static PyObject *sim_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    PyObject *module = PyType_GetModule(type);
    Mod *m = module ? PyModule_GetState(module) : NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    SimObj *s = m ? (SimObj *)alloc(type, 0) : NULL;
    if (s) {
        s->mod = m;
        s->nodes = PyList_New(0);
        if (!s->nodes) {
            Py_CLEAR(s);
        }
    }
    return (PyObject *)s;
}

static int sim_traverse(PyObject *self, visitproc visit, void *arg)
{
    SimObj *s = (SimObj *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(s->nodes);
    Py_VISIT(s->loop);
    return 0;
}

static int sim_clear(PyObject *self)
{
    Py_CLEAR(((SimObj *)self)->loop);
    Py_CLEAR(((SimObj *)self)->nodes);
    return 0;
}

/* Nobody holds it, so none of its nodes is left: those own it. */
static void sim_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *kind, *value, *trace;
    PyObject_GC_UnTrack(self);
    PyErr_Fetch(&kind, &value, &trace);
    sim_free_core((SimObj *)self);
    PyErr_Restore(kind, value, trace);
    sim_clear(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef sim_methods[] = {
    METHOD("begin", sim_begin, METH_O, "begin(seed)"),
    METHOD("close", sim_close, METH_NOARGS, "Ends its nodes and it."),
    METHOD("drive", sim_drive, METH_O, "drive(loop or None): who turns it from now on."),
    METHOD("adopt", sim_adopt, METH_O, "adopt(node): it will start in here."),
    METHOD("turn", sim_turn, METH_O,
           "turn(until_us) -> whether something was handled: until then, or that time."),
    METHOD("stir", sim_stir, METH_NOARGS, "Ends the turn that is under way."),
    METHOD("partition", sim_partition, METH_VARARGS, "partition(list, list)"),
    METHOD("heal", sim_heal, METH_NOARGS, "Ends all partitions."),
    METHOD("crash", sim_crash, METH_O, "crash(node)"),
    METHOD("net", sim_net, METH_VARARGS, "net(least_us, most_us, loss_ppm)"),
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef sim_getset[] = {
    {"now_us", sim_now_us, NULL, "Virtual microseconds.", NULL},
    {"digest", sim_digest, NULL, "A hash over all that was delivered.", NULL},
    {"idle", sim_idle, NULL, "Nothing is left to happen.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot sim_slots[] = {
    {Py_tp_doc, "The part of shoal.sim that is written in C."},
    {Py_tp_new, sim_new},
    {Py_tp_methods, sim_methods},
    {Py_tp_getset, sim_getset},
    {Py_tp_traverse, sim_traverse},
    {Py_tp_clear, sim_clear},
    {Py_tp_dealloc, sim_dealloc},
    {0, NULL},
};
PyType_Spec sim_spec = {"shoal._shoal.SimBase", sizeof(SimObj), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, sim_slots};
