/* calls.c - what a Node is asked: its addresses, spawning, names, dialling, info, stop. */
#include "pyshoal.h"

PyObject *node_peer_id(PyObject *self, void *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    char text[128];
    int code = node_ready(n) < 0 ? 1 : shoal_peer_id(n->node, text, sizeof text);
    return code == 1 ? NULL : code < 0 ? error_last(n, code) : PyUnicode_FromString(text);
}

PyObject *node_addresses(PyObject *self, void *unused)
{
    (void)unused;
    NodeObj *n = (NodeObj *)self;
    char text[512];
    PyObject *list = node_ready(n) < 0 ? NULL : PyList_New(0);
    node_wait_turn(n);
    for (size_t i = 0; list && n->node && shoal_address(n->node, i, text, sizeof text) > 0; i++) {
        PyObject *s = PyUnicode_FromString(text);
        if (!s || PyList_Append(list, s) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(s);
    }
    return list;
}

PyObject *node_spawn(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    return actor_spawn((NodeObj *)self, NULL, args, nargs, names);
}

PyObject *node_lookup(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "timeout", "default", NULL};
    NodeObj *n = (NodeObj *)self;
    PyObject *seconds = NULL, *otherwise = NULL;
    const char *name;
    uint32_t ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O$O:lookup", names, &name, &seconds,
                                     &otherwise) ||
        kept_timeout(n->mod, seconds, true, &ms) < 0 || node_ready(n) < 0) {
        return NULL;
    }
    PendingObj *p = pending_new(n, WANT_REF);
    if (!p) {
        return NULL;
    }
    p->otherwise = Py_XNewRef(otherwise);
    return pending_begun(
        p, shoal_lookup(n->node, name, seconds && seconds != Py_None ? ms : 5000, pending_done, p));
}

/* _lookup_all(name, seconds, follow, fn) -> Pending of None; fn takes each Ref, then None. */
PyObject *node_lookup_all(PyObject *self, PyObject *args)
{
    NodeObj *n = (NodeObj *)self;
    PyObject *seconds, *fn;
    const char *name;
    int follow;
    uint32_t ms;
    if (!PyArg_ParseTuple(args, "sOpO", &name, &seconds, &follow, &fn) ||
        kept_timeout(n->mod, seconds, true, &ms) < 0 || node_ready(n) < 0) {
        return NULL;
    }
    PendingObj *p = pending_new(n, WANT_ITEMS);
    if (!p) {
        return NULL;
    }
    p->otherwise = Py_NewRef(fn);
    return pending_begun(
        p, shoal_lookup_all(n->node, name, ms, follow ? SHOAL_FOLLOW : 0, pending_done, p));
}

PyObject *node_ref(PyObject *self, PyObject *text)
{
    NodeObj *n = (NodeObj *)self;
    const char *s = PyUnicode_AsUTF8AndSize(text, NULL);
    shoal_pid pid;
    if (!s || node_ready(n) < 0) {
        return NULL;
    }
    node_wait_turn(n);
    int code = shoal_pid_parse(n->node, s, &pid);
    return code < 0 ? error_last(n, code) : ref_new(n, pid);
}

PyObject *node_dial(PyObject *self, PyObject *address)
{
    NodeObj *n = (NodeObj *)self;
    const char *s = PyUnicode_AsUTF8AndSize(address, NULL);
    PendingObj *p = s && node_ready(n) == 0 ? pending_new(n, WANT_TEXT) : NULL;
    return p ? pending_begun(p, shoal_dial(n->node, s, pending_done, p)) : NULL;
}

PyObject *node_info(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"what", "peer", NULL};
    NodeObj *n = (NodeObj *)self;
    const char *what, *peer = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|z:info", names, &what, &peer) ||
        node_ready(n) < 0) {
        return NULL;
    }
    PendingObj *p = pending_new(n, WANT_VALUE);
    return p ? pending_begun(p, shoal_info(n->node, what, peer, pending_done, p)) : NULL;
}

PyObject *node_stop(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    NodeObj *n = (NodeObj *)self;
    PyObject *seconds = NULL;
    uint32_t ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:stop", names, &seconds) ||
        kept_timeout(n->mod, seconds, false, &ms) < 0) {
        return NULL;
    }
    PendingObj *p = pending_new(n, WANT_STOP);
    if (!p) {
        return NULL;
    }
    if (!n->node || n->forked) { /* nothing to stop */
        n->closed = true;
        pending_settle(p, P_DONE, Py_NewRef(Py_None));
        return (PyObject *)p;
    }
    return pending_begun(p, shoal_node_stop(n->node, ms, pending_done, p));
}
