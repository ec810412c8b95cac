/* actor.c - Python actors as core sees them: one C type per class and node, its hooks, and spawning.
 *
 * Handlers run only inside a drain of their node, or inside the spawn itself (constructor and on_start). A
 * handler that is a coroutine and waits becomes a Task that holds the message open. */
#include "pyshoal.h"

#include <string.h>

/* --- messages --- */

void msg_end(Msg *msg)
{
    ContextObj *c = msg->context;
    msg->context = NULL;
    msg->cx = NULL;
    if (c) {
        c->msg = NULL;
        Py_DECREF(c);
    }
}

static int decision_of(PyObject *value)
{
    long n = PyLong_Check(value) ? PyLong_AsLong(value) : SHOAL_RESUME;
    return n == SHOAL_STOP ? SHOAL_STOP : SHOAL_RESUME;
}

static int msg_failed(Msg *msg)
{
    PyObject *e = error_fetch();
    if (msg->kind == MSG_START && msg->rec && msg->task) {
        start_ended(msg->rec, e);
    }
    int code = e ? error_fail(msg, e) : SHOAL_E_HANDLER;
    if (msg->kind == MSG_UNDELIVERED && e) {
        PyErr_SetObject((PyObject *)Py_TYPE(e), e);
        PyErr_WriteUnraisable(msg->rec ? msg->rec->type->cls : NULL);
    }
    Py_XDECREF(e);
    return code;
}

static int msg_reply(Msg *msg, PyObject *value)
{
    Buf b;
    buf_init(&b);
    int code = encode(msg->node, &b, value, "reply");
    if (code < 0) {
        code = msg_failed(msg);
    } else {
        code = shoal_reply(msg->cx, buf_bytes(&b));
        code = code == SHOAL_E_USAGE ? 0 : code; /* answered early, as it may */
    }
    buf_free(&b);
    return code;
}

int msg_result(Msg *msg, PyObject *value)
{
    if (!value) {
        return msg_failed(msg);
    }
    switch (msg->kind) {
    case MSG_HANDLER: return value == Py_None || msg->answered || !msg->cx ? 0 : msg_reply(msg, value);
    case MSG_ERROR:
    case MSG_DOWN: return decision_of(value);
    case MSG_START:
        if (msg->rec && msg->task) {
            start_ended(msg->rec, NULL);
        }
        return 0;
    default: return 0;
    }
}

/* Runs what fn(args) began: to its end (the code), or to its first wait (0, held). Steals value. */
static int msg_run(Msg *msg, PyObject *value)
{
    int code = 0;
    if (value && (PyObject *)Py_TYPE(value) == msg->node->mod->coroutine) {
        if (task_start(msg, value, &code)) {
            return 0;
        }
    } else {
        code = msg_result(msg, value);
        Py_XDECREF(value);
    }
    msg_end(msg);
    return code;
}

static PyObject *call_hook(Msg *msg, PyObject *fn, PyObject *self, PyObject *a, PyObject *b)
{
    NodeObj *n = msg->node;
    Msg *before = n->current;
    n->current = msg;
    PyObject *out = PyObject_CallFunctionObjArgs(fn, self, a, a ? b : NULL, NULL);
    n->current = before;
    return out;
}

/* --- hooks --- */

static ActorRec *rec_of(void *state)
{
    return *(ActorRec **)state;
}

static int hook_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)args;
    ActorRec *rec = shoal_cx_user(cx);
    NodeObj *n = rec->node;
    Msg msg = {.cx = cx, .node = n, .rec = rec, .kind = MSG_START};
    *(ActorRec **)state = rec;
    rec->pid = shoal_cx_self(cx);
    Msg *before = n->current;
    n->current = &msg;
    rec->instance = PyObject_Call(rec->type->cls, rec->args, rec->kwargs);
    n->current = before;
    if (!rec->instance || !PyObject_TypeCheck(rec->instance, n->mod->actor)) {
        if (rec->instance) {
            PyErr_Format(PyExc_TypeError, "%R() did not make an actor", rec->type->cls);
        }
        int code = msg_failed(&msg);
        msg_end(&msg);
        return code;
    }
    ((ActorObj *)rec->instance)->rec = rec;
    PyObject *fn = rec->type->on_start;
    return fn ? msg_run(&msg, call_hook(&msg, fn, rec->instance, NULL, NULL)) : (msg_end(&msg), 0);
}

static int no_handler(ActorRec *rec, shoal_cx *cx, const char *name)
{
    PyObject *names = PyDict_Keys(rec->type->handlers);
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *list = names && comma && PyList_Sort(names) == 0 ? PyUnicode_Join(comma, names) : NULL;
    PyObject *text = list ? PyUnicode_FromFormat("%s has no handler '%s'; it has: %U", rec->type->type.id, name, list) : NULL;
    const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    shoal_fail(cx, s ? s : "no such handler");
    PyErr_Clear();
    Py_XDECREF(names);
    Py_XDECREF(comma);
    Py_XDECREF(list);
    Py_XDECREF(text);
    return SHOAL_E_NO_HANDLER;
}

/* The value does not fit: no failure of the actor. */
static int unfit(shoal_cx *cx)
{
    PyObject *e = error_fetch();
    PyObject *text = e ? PyObject_Str(e) : NULL;
    const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    shoal_fail(cx, s ? s : "the value does not fit the handler");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(e);
    return SHOAL_E_BAD_VALUE;
}

static int hook_message(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    ActorRec *rec = rec_of(state);
    NodeObj *n = rec->node;
    PyObject *key = PyUnicode_FromString(name);
    PyObject *spec = key ? PyDict_GetItemWithError(rec->type->handlers, key) : NULL;
    if (!spec && !rec->type->on_message) {
        Py_XDECREF(key);
        return no_handler(rec, cx, name);
    }
    PyObject *v = decode(n, value), *args = NULL, *kwargs = NULL, *fn = rec->type->on_message;
    if (v && spec) {
        fn = spec_bind(n, (SpecObj *)spec, rec->instance, v, &args, &kwargs);
    } else if (v) {
        args = PyTuple_Pack(3, rec->instance, key, v);
    }
    Py_XDECREF(key);
    Py_XDECREF(v);
    if (!args || !fn) {
        return unfit(cx);
    }
    Msg msg = {.cx = cx, .node = n, .rec = rec, .kind = MSG_HANDLER};
    Msg *before = n->current;
    n->current = &msg;
    PyObject *out = PyObject_Call(fn, args, kwargs);
    n->current = before;
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return msg_run(&msg, out);
}

static int hook_error(shoal_cx *cx, void *state, const shoal_result *error)
{
    ActorRec *rec = rec_of(state);
    NodeObj *n = rec->node;
    PyObject *key = PyLong_FromUnsignedLongLong(rec->pid.actor);
    PyObject *e = n->failures && key ? Py_XNewRef(PyDict_GetItemWithError(n->failures, key)) : NULL;
    Py_XDECREF(key);
    if (!e) {
        e = error_of(n, rec->pid, error);
    }
    Msg msg = {.cx = cx, .node = n, .rec = rec, .kind = MSG_ERROR};
    PyObject *out = e ? call_hook(&msg, rec->type->on_error, rec->instance, e, NULL) : NULL;
    Py_XDECREF(e);
    return msg_run(&msg, out);
}

static int hook_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    ActorRec *rec = rec_of(state);
    NodeObj *n = rec->node;
    PyObject *ref = ref_new(n, pid), *why = reason_of(n, reason);
    Msg msg = {.cx = cx, .node = n, .rec = rec, .kind = MSG_DOWN};
    PyObject *out = ref && why ? call_hook(&msg, rec->type->on_down, rec->instance, ref, why) : NULL;
    Py_XDECREF(ref);
    Py_XDECREF(why);
    return msg_run(&msg, out);
}

static void hook_undelivered(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    (void)cx;
    ActorRec *rec = rec_of(state);
    PyObject *v = decode(rec->node, value);
    PyObject *pair = v ? Py_BuildValue("(sO)", name, v) : NULL;
    if (!rec->undelivered) {
        rec->undelivered = PyList_New(0);
    }
    if (!pair || !rec->undelivered || PyList_Append(rec->undelivered, pair) < 0) {
        PyErr_WriteUnraisable(rec->type->cls);
    }
    Py_XDECREF(pair);
    Py_XDECREF(v);
}

static void tell_undelivered(ActorRec *rec)
{
    PyObject *messages = rec->undelivered, *fn = rec->type->on_undelivered;
    rec->undelivered = NULL;
    if (messages && fn) {
        Msg msg = {.node = rec->node, .rec = rec, .kind = MSG_UNDELIVERED};
        (void)msg_run(&msg, call_hook(&msg, fn, rec->instance, messages, NULL));
    }
    Py_XDECREF(messages);
}

/* Handlers of a killed actor that still wait: CancelledError into them; at the node's end they are closed. */
static void end_tasks(ActorRec *rec)
{
    NodeObj *n = rec->node;
    bool again = true;
    while (again) {
        again = false;
        for (TaskObj *t = n->tasks; t; t = t->next) {
            if (t->msg.rec != rec || t->msg.kind == MSG_STOP) {
                continue;
            }
            t->msg.cx = NULL; /* from now on good for its finish only */
            if (n->freeing && !t->stepping) {
                task_close(t);
                again = true;
                break;
            }
            task_abandon(t);
        }
    }
}

static void hook_stop(shoal_cx *cx, void *state, const shoal_reason *reason)
{
    ActorRec *rec = rec_of(state);
    NodeObj *n = rec->node;
    rec->tasks++; /* keeps rec until the end of this function */
    rec->ended = true;
    end_tasks(rec);
    tell_undelivered(rec);
    PyObject *fn = rec->type->on_stop;
    if (fn) {
        PyObject *why = reason_of(n, reason);
        Msg msg = {.cx = cx, .node = n, .rec = rec, .kind = MSG_STOP};
        int code = msg_run(&msg, why ? call_hook(&msg, fn, rec->instance, why, NULL) : NULL);
        (void)code;
        Py_XDECREF(why);
    }
    rec->tasks--;
    actor_release(rec);
}

/* --- classes --- */

static PyObject *hook_of(PyObject *hooks, const char *name)
{
    PyObject *fn = PyMapping_GetItemString(hooks, name);
    if (!fn || fn == Py_None) {
        PyErr_Clear();
        Py_CLEAR(fn);
    }
    return fn;
}

void type_free(TypeRec *t)
{
    Py_XDECREF(t->cls);
    Py_XDECREF(t->id);
    Py_XDECREF(t->handlers);
    Py_XDECREF(t->on_start);
    Py_XDECREF(t->on_stop);
    Py_XDECREF(t->on_error);
    Py_XDECREF(t->on_down);
    Py_XDECREF(t->on_undelivered);
    Py_XDECREF(t->on_message);
    PyMem_Free(t);
}

/* cls._shoal_type is (id, reentrant, mailbox, handlers, hooks), made when the class was. */
static TypeRec *type_new(NodeObj *n, PyObject *cls)
{
    PyObject *made = PyObject_GetAttrString(cls, "_shoal_type"), *id, *handlers, *hooks;
    int reentrant;
    unsigned long mailbox;
    if (!made || !PyArg_ParseTuple(made, "SpkOO", &id, &reentrant, &mailbox, &handlers, &hooks)) {
        Py_XDECREF(made);
        return NULL;
    }
    TypeRec *t = PyMem_Calloc(1, sizeof *t);
    if (!t) {
        Py_DECREF(made);
        PyErr_NoMemory();
        return NULL;
    }
    t->node = n;
    t->cls = Py_NewRef(cls);
    t->id = Py_NewRef(id);
    t->handlers = Py_NewRef(handlers);
    t->on_start = hook_of(hooks, "on_start");
    t->on_stop = hook_of(hooks, "on_stop");
    t->on_error = hook_of(hooks, "on_error");
    t->on_down = hook_of(hooks, "on_down");
    t->on_undelivered = hook_of(hooks, "on_undelivered");
    t->on_message = hook_of(hooks, "on_message");
    Py_DECREF(made);
    t->type = (shoal_actor_type){.struct_size = sizeof t->type, .flags = reentrant ? SHOAL_REENTRANT : 0,
                                 .id = PyBytes_AsString(t->id), .state_size = sizeof(ActorRec *),
                                 .mailbox = (uint32_t)mailbox, .init = hook_init, .on_stop = hook_stop,
                                 .on_message = hook_message};
    t->type.on_error = t->on_error ? hook_error : NULL;
    t->type.on_down = t->on_down ? hook_down : NULL;
    t->type.on_undelivered = t->on_undelivered ? hook_undelivered : NULL;
    t->next = n->types;
    n->types = t;
    return t;
}

static TypeRec *type_of(NodeObj *n, PyObject *cls)
{
    for (TypeRec *t = n->types; t; t = t->next) {
        if (t->cls == cls) {
            return t;
        }
    }
    if (!PyType_Check(cls) || !PyType_IsSubtype((PyTypeObject *)cls, n->mod->actor)) {
        PyErr_Format(PyExc_TypeError, "spawn: expected a subclass of shoal.Actor, not %R", cls);
        return NULL;
    }
    return type_new(n, cls);
}

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
    shoal_spawn_options o = {.struct_size = sizeof o, .flags = SHOAL_ON_HOST, .user = rec, .parent = rec->parent,
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
        shoal_result r = {.code = code, .delivery = code == SHOAL_E_HANDLER ? SHOAL_HANDLED : SHOAL_NOT_SENT,
                          .text = n->node ? shoal_last_error(n->node) : shoal_strerror(code), .type = ""};
        PyObject *key = rec->pid.actor && n->failures ? PyLong_FromUnsignedLongLong(rec->pid.actor) : NULL;
        PyObject *cause = key ? PyDict_GetItemWithError(n->failures, key) : NULL;
        Py_XINCREF(cause);
        Py_XDECREF(key);
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

static int spawn_ref(PyObject *value, NodeObj *n, ActorRec *parent, const char *what, PyObject **out)
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

static int spawn_arguments(ActorRec *rec, ActorRec *parent, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
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
        if ((option ? spawn_option(rec, parent, key, value) : PyDict_SetItem(rec->kwargs, key, value)) < 0) {
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

PyObject *actor_spawn(NodeObj *n, ActorRec *parent, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
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

/* --- the base of shoal.Actor --- */

static PyObject *actor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    ActorObj *a = (ActorObj *)alloc(type, 0);
    if (a) {
        a->rec = NULL;
    }
    return (PyObject *)a;
}

static void actor_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot actor_slots[] = {
    {Py_tp_doc, "What core knows of an actor object."},
    {Py_tp_new, actor_new},
    {Py_tp_dealloc, actor_dealloc},
    {0, NULL},
};
PyType_Spec actor_spec = {"shoal._shoal.ActorBase", sizeof(ActorObj), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                          actor_slots};
