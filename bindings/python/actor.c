/* actor.c - Python actors as core sees them: one C type per class and node, its hooks.
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
    if (msg->parcel) {
        parcel_free(msg->parcel);
        msg->parcel = NULL;
    }
    if (c) {
        c->msg = NULL;
        Py_DECREF(c);
    }
}

/* None, and what is no decision: as without the hook. */
static int decision_of(PyObject *value)
{
    long n = PyLong_Check(value) ? PyLong_AsLong(value) : SHOAL_DEFAULT;
    PyErr_Clear();
    return n == SHOAL_STOP ? SHOAL_STOP : n == SHOAL_RESUME ? SHOAL_RESUME : SHOAL_DEFAULT;
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

int msg_give(Msg *msg, PyObject *value)
{
    size_t bytes = 0;
    Parcel *p = msg->parcel; /* without one, whoever asked is elsewhere: most likely */
    bool list = PyList_Check(value) || PyDict_Check(value) || PyTuple_Check(value);
    PyObject *v = p || !list ? copy_value(msg->node, value, 0, &bytes) : NULL;
    if (!v) {
        return SHOAL_E_UNSUPPORTED;
    }
    if (p && !p->is_ask) { /* nobody waits for it; it had to be something that could be sent */
        Py_DECREF(v);
        return 0;
    }
    int code = shoal_reply_object(msg->cx, object_of(v));
    if (code < 0) {
        Py_DECREF(v);
    }
    return code;
}

static int msg_reply(Msg *msg, PyObject *value)
{
    Buf b;
    int code = msg_give(msg, value);
    if (code != SHOAL_E_UNSUPPORTED) {
        return code == SHOAL_E_USAGE ? 0 : code; /* answered early, as it may */
    }
    buf_init(&b);
    code = encode(msg->node, &b, value, "reply");
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
    case MSG_HANDLER:
        return value == Py_None || msg->answered || !msg->cx ? 0 : msg_reply(msg, value);
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
    node_stirred(n);
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
    node_stirred(n);
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
    PyObject *list =
        names && comma && PyList_Sort(names) == 0 ? PyUnicode_Join(comma, names) : NULL;
    PyObject *text = list ? PyUnicode_FromFormat("%s has no handler '%s'; it has: %U",
                                                 rec->type->type.id, name, list)
                          : NULL;
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

/* The long way: the message as one value, bound with all that hints may ask for. */
static int message_bound(Msg *msg, SpecObj *spec, const char *name, shoal_bytes value)
{
    ActorRec *rec = msg->rec;
    NodeObj *n = msg->node;
    shoal_cx *cx = msg->cx;
    PyObject *v = msg->parcel ? parcel_value(msg->parcel) : decode(n, value);
    PyObject *args = NULL, *kwargs = NULL, *fn = rec->type->on_message;
    if (v && spec) {
        fn = spec_bind(n, spec, rec->instance, v, &args, &kwargs);
    } else if (v) {
        args = Py_BuildValue("(OsO)", rec->instance, name, v);
    }
    Py_XDECREF(v);
    if (!args || !fn) {
        int code = unfit(cx);
        msg_end(msg);
        return code;
    }
    Msg *before = n->current;
    n->current = msg;
    node_stirred(n);
    PyObject *out = PyObject_Call(fn, args, kwargs);
    n->current = before;
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return msg_run(msg, out);
}

static int hook_message(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    ActorRec *rec = rec_of(state);
    NodeObj *n = rec->node;
    Parcel *p = value.len ? NULL : shoal_cx_object(cx);
    SpecObj *spec = p ? type_handler(rec->type, p->name) : type_handler_by_text(rec->type, name);
    Msg msg = {.cx = cx, .node = n, .rec = rec, .parcel = p, .kind = MSG_HANDLER};
    if (!spec && !rec->type->on_message) {
        int code = no_handler(rec, cx, name);
        msg_end(&msg);
        return code;
    }
    PyObject *room[PY_PARAMS_MAX + 1];
    int count = !spec ? -1
                : p   ? spec_take(n->mod, spec, p, room + 1)
                      : spec_read(n, spec, value, room + 1);
    if (count < 0) {
        return message_bound(&msg, spec, name, value);
    }
    room[0] = rec->instance;
    Msg *before = n->current;
    n->current = &msg;
    node_stirred(n);
    PyObject *out = spec_call(n->mod, spec, room, count);
    n->current = before;
    for (int i = 1; i <= count && !p; i++) {
        Py_DECREF(room[i]);
    }
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
    PyObject *out =
        ref && why ? call_hook(&msg, rec->type->on_down, rec->instance, ref, why) : NULL;
    Py_XDECREF(ref);
    Py_XDECREF(why);
    return msg_run(&msg, out);
}

static void hook_undelivered(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    ActorRec *rec = rec_of(state);
    Parcel *p = value.len ? NULL : shoal_cx_object(cx);
    PyObject *v = p ? parcel_value(p) : decode(rec->node, value);
    if (p) {
        parcel_free(p);
    }
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

/* --- finding handlers --- */

static size_t text_hash(const char *text)
{
    size_t h = 14695981039346656037u;
    while (*text) {
        h = (h ^ (unsigned char)*text++) * 1099511628211u;
    }
    return h ^ h >> 32;
}

static Entry *entry_of(const TypeRec *t, const char *name)
{
    size_t i = text_hash(name) & t->entry_mask;
    while (t->entries[i].text && strcmp(t->entries[i].text, name) != 0) {
        i = (i + 1) & t->entry_mask;
    }
    return &t->entries[i];
}

SpecObj *type_handler_by_text(const TypeRec *t, const char *name)
{
    return entry_of(t, name)->spec;
}

SpecObj *type_handler(TypeRec *t, PyObject *name)
{
    unsigned i = (unsigned)((uintptr_t)name >> 4) % PY_NEAR;
    if (t->near[i].name != name) {
        PyObject *spec = PyDict_GetItemWithError(t->handlers, name);
        SET(t->near[i].name, Py_NewRef(name));
        t->near[i].spec = (SpecObj *)spec;
        PyErr_Clear();
    }
    return t->near[i].spec;
}

static int entries_make(TypeRec *t)
{
    size_t size = 4;
    while (size < 2 * (size_t)PyDict_Size(t->handlers)) {
        size *= 2;
    }
    t->entry_mask = size - 1;
    t->entries = PyMem_Calloc(size, sizeof *t->entries);
    PyObject *key, *spec;
    Py_ssize_t at = 0;
    while (t->entries && PyDict_Next(t->handlers, &at, &key, &spec)) {
        const char *text = PyUnicode_AsUTF8AndSize(key, NULL);
        if (!text) {
            return -1;
        }
        *entry_of(t, text) = (Entry){text, (SpecObj *)spec};
    }
    return t->entries ? 0 : (PyErr_NoMemory(), -1);
}

void type_free(TypeRec *t)
{
    for (int i = 0; i < PY_NEAR; i++) {
        Py_XDECREF(t->near[i].name);
    }
    PyMem_Free(t->entries);
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
    if (entries_make(t) < 0) {
        type_free(t);
        return NULL;
    }
    t->type = (shoal_actor_type){.struct_size = sizeof t->type,
                                 .flags = reentrant ? SHOAL_REENTRANT : 0,
                                 .id = PyBytes_AsString(t->id),
                                 .state_size = sizeof(ActorRec *),
                                 .mailbox = (uint32_t)mailbox,
                                 .init = hook_init,
                                 .on_stop = hook_stop,
                                 .on_message = hook_message};
    t->type.on_error = t->on_error ? hook_error : NULL;
    t->type.on_down = t->on_down ? hook_down : NULL;
    t->type.on_undelivered = t->on_undelivered ? hook_undelivered : NULL;
    t->next = n->types;
    n->types = t;
    return t;
}

TypeRec *type_of(NodeObj *n, PyObject *cls)
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
PyType_Spec actor_spec = {"shoal._shoal.ActorBase", sizeof(ActorObj), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, actor_slots};
