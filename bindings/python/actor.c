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
    PyObject *e = error_kept(n, rec->pid.actor);
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

void hooks_of(TypeRec *t)
{
    t->type.init = hook_init;
    t->type.on_stop = hook_stop;
    t->type.on_message = hook_message;
    t->type.on_error = t->on_error ? hook_error : NULL;
    t->type.on_down = t->on_down ? hook_down : NULL;
    t->type.on_undelivered = t->on_undelivered ? hook_undelivered : NULL;
}
