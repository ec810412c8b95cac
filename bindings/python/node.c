/* node.c - a node: its start from options, and its end. Its type is node_type.c; who drives it is drive.c. */
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
