/* drive.c - who calls shoal_poll, and when.
 *
 * A node attached to an asyncio loop is drained by callbacks of that loop: its descriptor became readable, a
 * call was made, or a timer is over. Otherwise one thread at a time drives it, in run, poll or wait: drain
 * with the GIL; if there was nothing, sleep on the descriptor without it, <= 100 ms, so that Ctrl-C works. */
#include "pyshoal.h"

#include <poll.h>

/* Of one callback on an asyncio loop: a turn of the loop costs some 10 us, and others wait for theirs meanwhile. */
enum { LOOP_BUDGET_US = 500 };

bool node_inside(const NodeObj *n)
{
    return n->drainer && n->drainer == PyThread_get_thread_ident();
}

static void soon_on_loop(NodeObj *n, bool same_thread)
{
    n->drain_soon = true;
    PyObject *out = PyObject_CallMethodObjArgs(
        n->loop, same_thread ? n->mod->s_call_soon : n->mod->s_call_soon_safe, n->drain_cb, NULL);
    if (!out) { /* the loop is closed: so is the node, soon */
        PyErr_Clear();
        n->drain_soon = false;
    }
    Py_XDECREF(out);
}

void node_soon(NodeObj *n)
{
    unsigned long me = PyThread_get_thread_ident();
    node_stirred(n);
    if (!n->node || n->freeing || n->forked || n->drainer == me || n->sim) {
        return;
    }
    if (n->loop) {
        if (!n->drain_soon) {
            soon_on_loop(n, n->loop_thread == me);
        }
    } else if (n->driver != me) {
        shoal_wake(n->node);
    }
}

/* --- one drain --- */

static void pump_run(void *ud, const shoal_result *r)
{
    (void)r;
    NodeObj *n = ud;
    n->pumping = false;
    pendings_due(n);
    tasks_run_ready(n);
    PyObject *jobs = n->jobs;
    n->jobs = NULL;
    for (Py_ssize_t i = 0; jobs && i < PyList_Size(jobs); i++) {
        PendingObj *p = (PendingObj *)PyList_GetItem(jobs, i);
        if (p->rec) {
            actor_start(p->rec);
        }
    }
    Py_XDECREF(jobs);
}

/* What has to run inside shoal_poll though core does not know it: as the callback of a call that ends at once. */
bool drain_pump(NodeObj *n)
{
    bool due = n->next_due > 0 && seconds_now(n) >= n->next_due;
    if (n->pumping || (!n->ready && !n->jobs && !due)) {
        return false;
    }
    n->pumping = true;
    if (!n->nobody.actor || shoal_done(n->node, n->nobody, pump_run, n) < 0) {
        pump_run(n, NULL);
        return false;
    }
    return true;
}

int drain_ended(NodeObj *n, int code)
{
    errors_age(n);
    node_logs_tell(n);
    if (n->stopped && !n->freeing) {
        node_free_core(n);
    }
    if (n->escape) {
        PyObject *e = n->escape;
        n->escape = NULL;
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        Py_DECREF(e);
        return -1;
    }
    if (code < 0) {
        error_last(n, code);
        return -1;
    }
    return 0;
}

int node_drain(NodeObj *n, int64_t budget_us, int *handled)
{
    Py_INCREF((PyObject *)n);
    n->drainer = PyThread_get_thread_ident();
    bool pumped = drain_pump(n);
    int code = shoal_poll(n->node, budget_us, 0);
    n->drainer = 0;
    *handled = code > 0 ? code - (pumped && !n->pumping ? 1 : 0) : 0;
    int rc = drain_ended(n, code);
    Py_DECREF((PyObject *)n);
    return rc;
}

/* Milliseconds to sleep at most, from now: 0 .. limit. */
static int64_t sleep_ms(NodeObj *n, int64_t limit)
{
    if (n->ready || n->jobs || shoal_backlog(n->node) > 0) {
        return 0;
    }
    int64_t ms = shoal_next_timeout_ms(n->node);
    limit = ms >= 0 && ms < limit ? ms : limit;
    if (n->next_due > 0) {
        double left = (n->next_due - seconds_now(n)) * 1000.0 + 1.0;
        limit = left < (double)limit ? (left > 0 ? (int64_t)left : 0) : limit;
    }
    return limit;
}

/* --- on an asyncio loop --- */

static void timer_cancel(NodeObj *n)
{
    if (n->timer_handle) {
        Py_XDECREF(PyObject_CallMethodObjArgs(n->timer_handle, n->mod->s_cancel, NULL));
        Py_CLEAR(n->timer_handle);
        PyErr_Clear();
    }
}

static void timer_arm(NodeObj *n)
{
    int64_t ms = sleep_ms(n, 3600000);
    double now = seconds_now(n), due = now + (double)ms / 1000.0;
    if (ms == 0) {
        soon_on_loop(n, true);
        return;
    }
    if (n->timer_handle && n->timer_due > now && n->timer_due <= due + 0.0005) {
        return;
    }
    timer_cancel(n);
    PyObject *delay = PyFloat_FromDouble((double)ms / 1000.0);
    n->timer_handle =
        delay ? PyObject_CallMethodObjArgs(n->loop, n->mod->s_call_later, delay, n->drain_cb, NULL)
              : NULL;
    n->timer_due = due;
    Py_XDECREF(delay);
    PyErr_Clear();
}

PyObject *node_on_readable(PyObject *self, PyObject *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    int handled;
    n->drain_soon = false;
    if (!n->node || !n->loop || n->drainer || n->forked || n->sim) {
        Py_RETURN_NONE;
    }
    if (node_drain(n, LOOP_BUDGET_US, &handled) < 0) {
        if (n->node && n->loop) {
            PyObject *type, *value, *trace;
            PyErr_Fetch(&type, &value, &trace);
            soon_on_loop(n, true);
            PyErr_Restore(type, value, trace);
        }
        return NULL;
    }
    if (n->node && n->loop && !n->drain_soon) {
        timer_arm(n);
    }
    Py_RETURN_NONE;
}

PyObject *node_attach(PyObject *self, PyObject *loop)
{
    NodeObj *n = (NodeObj *)self;
    if (n->sim && n->sim->loop != loop) {
        return error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "a node of a simulation lives inside run of that simulation");
    }
    if (node_ready(n) < 0) {
        return NULL;
    }
    if (n->loop || n->driver) {
        return error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                           "the node is driven already: by %s",
                           n->loop ? "an asyncio loop" : "run, poll or wait");
    }
    if (n->sim) { /* the loop turns it */
        n->loop = Py_NewRef(loop);
        n->loop_thread = PyThread_get_thread_ident();
        Py_RETURN_NONE;
    }
    PyObject *cb = PyObject_GetAttrString(self, "_drain");
    PyObject *fd = cb ? PyLong_FromLong(shoal_fd(n->node)) : NULL;
    PyObject *out = fd ? PyObject_CallMethod(loop, "add_reader", "OO", fd, cb) : NULL;
    Py_XDECREF(fd);
    if (!out) {
        Py_XDECREF(cb);
        return NULL;
    }
    Py_DECREF(out);
    n->drain_cb = cb;
    n->loop = Py_NewRef(loop);
    n->loop_thread = PyThread_get_thread_ident();
    soon_on_loop(n, true);
    Py_RETURN_NONE;
}

void node_leave_loop(NodeObj *n)
{
    if (!n->loop) {
        return;
    }
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    timer_cancel(n);
    PyObject *out = n->node && !n->sim
                        ? PyObject_CallMethod(n->loop, "remove_reader", "i", shoal_fd(n->node))
                        : NULL;
    Py_XDECREF(out);
    PyErr_Clear();
    Py_CLEAR(n->loop);
    Py_CLEAR(n->drain_cb);
    n->drain_soon = false;
    PyErr_Restore(type, value, trace);
}

PyObject *node_detach(PyObject *self, PyObject *unused)
{
    (void)unused;
    node_leave_loop((NodeObj *)self);
    Py_RETURN_NONE;
}

/* --- on a thread --- */

bool node_may_drive(const NodeObj *n)
{
    unsigned long me = PyThread_get_thread_ident();
    return n->node && !n->forked && !n->loop && !n->drainer && (!n->driver || n->driver == me) &&
           (!n->run_wanted || n->driver == me);
}

int node_drive(NodeObj *n, int64_t wait_ms)
{
    unsigned long before = n->driver;
    int handled = 0;
    n->driver = PyThread_get_thread_ident();
    int rc = node_drain(n, 0, &handled);
    int64_t ms = rc == 0 && handled == 0 && n->node
                     ? sleep_ms(n, wait_ms < PY_SLICE_MS ? wait_ms : PY_SLICE_MS)
                     : 0;
    if (ms > 0) {
        struct pollfd fd = {.fd = shoal_fd(n->node), .events = POLLIN};
        Py_BEGIN_ALLOW_THREADS;
        poll(&fd, 1, (int)ms);
        Py_END_ALLOW_THREADS;
    }
    n->driver = before;
    return rc < 0 ? -1 : handled;
}

int node_wait_allowed(NodeObj *n)
{
    if (n->sim) {
        error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                    "a node of a simulation cannot wait: await inside run of that simulation");
        return -1;
    }
    PyObject *loop = PyObject_CallNoArgs(n->mod->running_loop);
    bool none = loop == Py_None;
    Py_XDECREF(loop);
    if (!loop || (none && !node_inside(n))) {
        return loop ? 0 : -1;
    }
    error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT,
                n->current ? "a handler cannot wait for its own node: make it async and await"
                : none     ? "a callback of the node cannot wait for it"
                           : "an asyncio loop runs on this thread: await instead");
    return -1;
}

/* May this thread poll or run it now? Raises Usage. */
static int drive_allowed(NodeObj *n, const char *what)
{
    unsigned long me = PyThread_get_thread_ident();
    const char *why = n->sim             ? "the node is driven by run of its simulation"
                      : n->drainer == me ? "a handler of this node is running on this thread"
                      : n->loop          ? "the node runs on an asyncio loop"
                      : n->run_wanted || n->driver ? "another thread serves the node"
                                                   : NULL;
    if (why) {
        error_raise(n->mod, SHOAL_E_USAGE, SHOAL_NOT_SENT, "%s: %s", what, why);
        return -1;
    }
    return node_ready(n);
}

PyObject *node_run(PyObject *self, PyObject *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    unsigned long me = PyThread_get_thread_ident();
    if (n->run_wanted || n->loop || n->drainer == me || n->sim) {
        return drive_allowed(n, "run") < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (node_ready(n) < 0) {
        return NULL;
    }
    n->run_wanted = true;
    while (n->driver) { /* a wait of another thread gives way within a slice */
        Py_BEGIN_ALLOW_THREADS;
        poll(NULL, 0, 1);
        Py_END_ALLOW_THREADS;
    }
    n->driver = me;
    int rc = 0;
    while (rc >= 0 && n->node && !n->forked) {
        rc = node_drive(n, PY_SLICE_MS);
        if (rc >= 0 && PyErr_CheckSignals() < 0) {
            rc = -1;
        }
    }
    n->driver = 0;
    n->run_wanted = false;
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *node_poll(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"budget", "wait", NULL};
    NodeObj *n = (NodeObj *)self;
    double budget, wait = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "d|d:poll", names, &budget, &wait) ||
        drive_allowed(n, "poll") < 0) {
        return NULL;
    }
    if (!(budget >= 0 && budget < 1e9) || !(wait >= 0 && wait < 1e9)) {
        return error_raise(n->mod, SHOAL_E_BAD_VALUE, SHOAL_NOT_SENT,
                           "poll: budget and wait are seconds, 0 or more");
    }
    double until = seconds_now(n) + wait;
    int handled = 0, rc = 0;
    n->driver = PyThread_get_thread_ident();
    while ((rc = node_drain(n, (int64_t)(budget * 1e6), &handled)) == 0 && handled == 0 &&
           n->node) {
        double left = (until - seconds_now(n)) * 1000.0;
        int64_t ms =
            left > 0 ? sleep_ms(n, left < PY_SLICE_MS ? (int64_t)left + 1 : PY_SLICE_MS) : 0;
        struct pollfd fd = {.fd = shoal_fd(n->node), .events = POLLIN};
        if (left <= 0) {
            break;
        }
        Py_BEGIN_ALLOW_THREADS;
        poll(&fd, 1, (int)ms);
        Py_END_ALLOW_THREADS;
        if ((rc = PyErr_CheckSignals()) < 0) {
            break;
        }
    }
    n->driver = 0;
    size_t left = n->node ? shoal_backlog(n->node) : 0;
    return rc < 0 ? NULL : Py_BuildValue("(in)", handled, (Py_ssize_t)left);
}

PyObject *node_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    if (node_ready(n) < 0) {
        return NULL;
    }
    int fd = shoal_fd(n->node);
    return fd < 0 ? error_last(n, fd) : PyLong_FromLong(fd);
}

PyObject *node_next_timeout(PyObject *self, PyObject *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    if (node_ready(n) < 0) {
        return NULL;
    }
    if (n->drainer) { /* somebody is inside: ask again when it has ended */
        return PyFloat_FromDouble(0.0);
    }
    int64_t ms = sleep_ms(n, INT64_MAX);
    return ms == INT64_MAX ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)ms / 1000.0);
}
