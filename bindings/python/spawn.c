/* spawn.c - making an actor: on this thread or the one that drains, its start, and its record's end. */
#include "pyshoal.h"

/* --- one actor --- */

void actor_free(ActorRec *rec)
{
    NodeObj *n = rec->node;
    if (rec->prev) {
        rec->prev->next = rec->next;
    } else {
        n->actors = rec->next;
    }
    if (rec->next) {
        rec->next->prev = rec->prev;
    }
    for (TaskObj *t = n->tasks; t; t = t->next) {
        t->msg.rec = t->msg.rec == rec ? NULL : t->msg.rec;
    }
    if (rec->instance && PyObject_TypeCheck(rec->instance, n->mod->actor)) {
        ((ActorObj *)rec->instance)->rec = NULL;
    }
    Py_XDECREF(rec->instance);
    Py_XDECREF(rec->args);
    Py_XDECREF(rec->kwargs);
    Py_XDECREF(rec->undelivered);
    Py_XDECREF(rec->link);
    Py_XDECREF(rec->monitor);
    Py_XDECREF((PyObject *)rec->starting);
    PyMem_Free(rec);
}

void actor_release(ActorRec *rec)
{
    if (rec->ended && rec->tasks == 0) {
        actor_free(rec);
    }
}

/* The start hook, which had waited, has ended. */
void start_ended(ActorRec *rec, PyObject *failure)
{
    PendingObj *p = rec->starting;
    NodeObj *n = rec->node;
    rec->starting = NULL;
    if (failure) {
        rec->ended = true; /* no on_stop follows an init that failed */
    }
    if (!p) {
        return;
    }
    if (!failure) {
        pending_settle(p, P_DONE, ref_new(n, rec->pid));
    } else {
        PyObject *text = PyObject_Str(failure), *type = PyType_GetName(Py_TYPE(failure));
        const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
        PyObject *e = error_new(n->mod, SHOAL_E_HANDLER, SHOAL_HANDLED, s ? s : "", NULL, NULL);
        if (e) {
            PyObject_SetAttrString(e, "type", type ? type : Py_None);
            PyException_SetCause(e, Py_NewRef(failure));
        }
        Py_XDECREF(text);
        Py_XDECREF(type);
        pending_settle(p, P_FAILED, e ? e : error_fetch());
    }
    Py_DECREF((PyObject *)p);
}

static int spawn_core(ActorRec *rec)
{
    NodeObj *n = rec->node;
    shoal_spawn_options o = {.struct_size = sizeof o,
                             .flags = SHOAL_ON_HOST,
                             .user = rec,
                             .parent = rec->parent,
                             .mailbox = rec->mailbox};
    shoal_pid pid;
    if (rec->link) {
        o.link = ((RefObj *)rec->link)->pid;
    }
    if (rec->monitor) {
        o.monitor = ((RefObj *)rec->monitor)->pid;
    }
    unsigned long before = n->drainer;
    n->drainer = PyThread_get_thread_ident();
    Msg *current = n->current;
    int code = shoal_spawn(n->node, &rec->type->type, &o, &pid);
    n->current = current;
    n->drainer = before;
    return code;
}

void actor_start(ActorRec *rec)
{
    NodeObj *n = rec->node;
    PendingObj *p = (PendingObj *)Py_NewRef((PyObject *)rec->starting);
    p->rec = NULL;
    rec->tasks++;
    int code = n->node ? spawn_core(rec) : SHOAL_E_CLOSED;
    rec->tasks--;
    if (code < 0) {
        shoal_result r = {.code = code,
                          .delivery = code == SHOAL_E_HANDLER ? SHOAL_HANDLED : SHOAL_NOT_SENT,
                          .text = n->node ? shoal_last_error(n->node) : shoal_strerror(code),
                          .type = ""};
        PyObject *cause = rec->pid.actor ? error_kept(n, rec->pid.actor) : NULL;
        Py_CLEAR(rec->starting);
        rec->starting = (PendingObj *)Py_NewRef((PyObject *)p);
        if (code == SHOAL_E_HANDLER && cause) {
            start_ended(rec, cause);
        } else {
            pending_settle(p, P_FAILED, error_of(n, rec->pid, &r));
        }
        Py_XDECREF(cause);
        rec->ended = true;
    } else if (rec->tasks == 0 && rec->starting) {
        start_ended(rec, NULL);
    }
    node_soon(n);
    actor_release(rec);
    Py_DECREF((PyObject *)p);
}

/* --- spawn --- */

static int spawn_ref(PyObject *value, NodeObj *n, ActorRec *parent, const char *what,
                     PyObject **out)
{
    if (value == Py_True && parent) {
        *out = ref_new(n, parent->pid);
        return *out ? 0 : -1;
    }
    if (value == Py_None || value == Py_False) {
        return 0;
    }
    if (!PyObject_TypeCheck(value, n->mod->ref)) {
        PyErr_Format(PyExc_TypeError, "spawn: %s takes a Ref%s", what, parent ? " or True" : "");
        return -1;
    }
    *out = Py_NewRef(value);
    return 0;
}

static int spawn_option(ActorRec *rec, ActorRec *parent, PyObject *key, PyObject *value)
{
    if (PyUnicode_CompareWithASCIIString(key, "_link") == 0) {
        return spawn_ref(value, rec->node, parent, "_link", &rec->link);
    }
    if (PyUnicode_CompareWithASCIIString(key, "_monitor") == 0) {
        return spawn_ref(value, rec->node, parent, "_monitor", &rec->monitor);
    }
    if (PyUnicode_CompareWithASCIIString(key, "_mailbox") == 0) {
        unsigned long long size = PyLong_AsUnsignedLongLong(value);
        if (PyErr_Occurred()) {
            return -1;
        }
        rec->mailbox = size == 0 || size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "spawn: no option %R (it has _mailbox, _link, _monitor)", key);
    return -1;
}

static int spawn_arguments(ActorRec *rec, ActorRec *parent, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *names)
{
    rec->args = PyTuple_New(nargs - 1);
    rec->kwargs = names ? PyDict_New() : NULL;
    if (!rec->args || (names && !rec->kwargs)) {
        return -1;
    }
    for (Py_ssize_t i = 1; i < nargs; i++) {
        PyTuple_SetItem(rec->args, i - 1, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; names && i < PyTuple_Size(names); i++) {
        PyObject *key = PyTuple_GetItem(names, i), *value = args[nargs + i];
        bool option = PyUnicode_GetLength(key) > 0 && PyUnicode_ReadChar(key, 0) == '_';
        if ((option ? spawn_option(rec, parent, key, value)
                    : PyDict_SetItem(rec->kwargs, key, value)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether this thread may run the constructor now; else the thread that drains does. */
static bool spawn_here(NodeObj *n)
{
    unsigned long me = PyThread_get_thread_ident();
    if (n->drainer) {
        return n->drainer == me;
    }
    return n->loop ? n->loop_thread == me : !n->driver || n->driver == me;
}

PyObject *actor_spawn(NodeObj *n, ActorRec *parent, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *names)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "spawn: which actor class?");
        return NULL;
    }
    TypeRec *type = node_ready(n) < 0 ? NULL : type_of(n, args[0]);
    ActorRec *rec = type ? PyMem_Calloc(1, sizeof *rec) : NULL;
    if (!rec) {
        return type ? PyErr_NoMemory() : NULL;
    }
    rec->node = n;
    rec->type = type;
    rec->next = n->actors;
    if (rec->next) {
        rec->next->prev = rec;
    }
    n->actors = rec;
    rec->parent = parent ? parent->pid : (shoal_pid){0};
    rec->starting = pending_new(n, WANT_REF);
    if (!rec->starting || spawn_arguments(rec, parent, args, nargs, names) < 0) {
        actor_free(rec);
        return NULL;
    }
    PyObject *out = Py_NewRef((PyObject *)rec->starting);
    if (spawn_here(n)) {
        actor_start(rec);
        return out;
    }
    ((PendingObj *)out)->rec = rec;
    if ((!n->jobs && !(n->jobs = PyList_New(0))) || PyList_Append(n->jobs, out) < 0) {
        actor_free(rec);
        Py_DECREF(out);
        return NULL;
    }
    node_soon(n);
    return out;
}
