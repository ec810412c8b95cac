/* task.c - an async handler while it waits: steps its coroutine, is asyncio's current task meanwhile.
 *
 * asyncio.timeout, TaskGroup and wait_for ask for the current task before their first wait, so each step is
 * made between _enter_task and _leave_task. The coroutine runs in a context of its own, as in a Task.
 * Steps happen only inside a drain (shoal_poll): what asyncio completes outside is queued for the next. */
#include "pyshoal.h"

#include <string.h>

static TaskObj *task_new(Msg *msg, PyObject *coro)
{
    NodeObj *n = msg->node;
    TaskObj *t = PyObject_GC_New(TaskObj, n->mod->task);
    if (!t) {
        return NULL;
    }
    memset((char *)t + sizeof(PyObject), 0, sizeof *t - sizeof(PyObject));
    t->mod = n->mod;
    t->node = (NodeObj *)Py_NewRef((PyObject *)n);
    t->coro = Py_NewRef(coro);
    t->context = PyObject_CallNoArgs(n->mod->copy_context);
    PyObject_GC_Track((PyObject *)t);
    if (!t->context) {
        Py_DECREF((PyObject *)t);
        return NULL;
    }
    return t;
}

static void task_link(TaskObj *t)
{
    NodeObj *n = t->node;
    t->linked = true;
    t->prev = NULL;
    t->next = n->tasks;
    if (n->tasks) {
        n->tasks->prev = t;
    }
    n->tasks = (TaskObj *)Py_NewRef((PyObject *)t);
}

static void task_unlink(TaskObj *t)
{
    if (!t->linked) {
        return;
    }
    t->linked = false;
    if (t->prev) {
        t->prev->next = t->next;
    } else {
        t->node->tasks = t->next;
    }
    if (t->next) {
        t->next->prev = t->prev;
    }
    Py_DECREF((PyObject *)t);
}

/* --- one step --- */

/* The part that runs inside the task's context: context.run(task). */
PyObject *task_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    TaskObj *t = (TaskObj *)self;
    (void)args, (void)kwargs;
    if (!t->stepping) {
        PyErr_SetString(PyExc_TypeError, "a task cannot be called");
        return NULL;
    }
    if (t->how < 0) { /* first step: what runs in here finds its task */
        PyObject *token =
            PyObject_CallMethodObjArgs(t->mod->current_var, t->mod->s_set, self, NULL);
        Py_XDECREF(token);
    }
    if (!t->raise) {
        t->how = PyIter_Send(t->coro, Py_None, &t->sent);
        return t->how == PYGEN_ERROR ? NULL : Py_NewRef(Py_None);
    }
    PyObject *raise = t->raise;
    t->raise = NULL;
    t->sent = PyObject_CallMethodObjArgs(t->coro, t->mod->s_throw, raise, NULL);
    Py_DECREF(raise);
    t->how = PYGEN_NEXT;
    if (!t->sent) {
        t->how = PYGEN_ERROR;
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            PyObject *stop = error_fetch();
            t->sent = PyObject_GetAttrString(stop, "value");
            Py_DECREF(stop);
            t->how = t->sent ? PYGEN_RETURN : PYGEN_ERROR;
        }
    }
    return t->how == PYGEN_ERROR ? NULL : Py_NewRef(Py_None);
}

static PyObject *leave_current(Mod *m, PyObject *loop)
{
    PyObject *before = PyObject_CallFunctionObjArgs(m->current_task, loop, NULL);
    if (before && before != Py_None) {
        Py_XDECREF(PyObject_CallFunctionObjArgs(m->leave_task, loop, before, NULL));
    }
    if (PyErr_Occurred()) {
        PyErr_Clear();
    }
    return before;
}

/* Steps; true: an exception is set. */
static bool task_send(TaskObj *t)
{
    NodeObj *n = t->node;
    Mod *m = t->mod;
    PyObject *loop = n->loop ? Py_NewRef(n->loop) : NULL, *before = NULL;
    Msg *current = n->current;
    if (t->must_cancel) {
        t->must_cancel = false;
        SET(t->raise, PyObject_CallFunctionObjArgs(m->cancelled, t->cancel_text, NULL));
    }
    if (loop) {
        before = leave_current(m, loop);
        Py_XDECREF(PyObject_CallFunctionObjArgs(m->enter_task, loop, t, NULL));
        PyErr_Clear();
    }
    n->current = &t->msg;
    t->stepping = true;
    PyObject *out = PyObject_CallMethodObjArgs(t->context, m->s_run, t, NULL);
    t->stepping = false;
    n->current = current;
    PyObject *failure = out ? NULL : error_fetch();
    Py_XDECREF(out);
    if (loop) {
        Py_XDECREF(PyObject_CallFunctionObjArgs(m->leave_task, loop, t, NULL));
        if (before && before != Py_None) {
            Py_XDECREF(PyObject_CallFunctionObjArgs(m->enter_task, loop, before, NULL));
        }
        PyErr_Clear();
    }
    Py_XDECREF(before);
    Py_XDECREF(loop);
    if (failure) {
        PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
        Py_DECREF(failure);
        t->how = PYGEN_ERROR;
    }
    return failure != NULL;
}

/* --- what it yielded --- */

static PyObject *task_wakeup(PyObject *self, PyObject *future)
{
    TaskObj *t = (TaskObj *)self;
    if (t->waiting == future) {
        Py_CLEAR(t->waiting);
        task_queue(t);
    }
    Py_RETURN_NONE;
}

static PyMethodDef wakeup_def =
    METHOD("wakeup", task_wakeup, METH_O, "What was awaited has ended.");

/* A future of asyncio's, or a Pending that somebody else awaits too: 0, or -1 raised. */
static int wait_foreign(TaskObj *t, PyObject *future)
{
    Mod *m = t->mod;
    if (!t->wakeup && !(t->wakeup = PyCFunction_NewEx(&wakeup_def, (PyObject *)t, NULL))) {
        return -1;
    }
    PyObject *add = PyObject_SetAttr(future, m->s_blocking, Py_False) < 0
                        ? NULL
                        : PyObject_GetAttr(future, m->s_add_done);
    PyObject *args = add ? PyTuple_Pack(1, t->wakeup) : NULL;
    PyObject *kw = args ? PyDict_New() : NULL;
    PyObject *out = NULL;
    if (kw && PyDict_SetItem(kw, m->s_context, t->context) == 0) {
        out = PyObject_Call(add, args, kw);
    }
    Py_XDECREF(add);
    Py_XDECREF(args);
    Py_XDECREF(kw);
    Py_XDECREF(out);
    if (out) {
        t->waiting = Py_NewRef(future);
    }
    return out ? 0 : -1;
}

static int task_wait(TaskObj *t, PyObject *future)
{
    Mod *m = t->mod;
    if (future == Py_None) { /* a bare yield: sleep(0) */
        task_queue(t);
        return 0;
    }
    if (Py_TYPE(future) == m->pending) {
        PendingObj *p = (PendingObj *)future;
        if (p->state != P_WAITING) {
            task_queue(t);
        } else if (p->waiter || p->node != t->node) {
            return wait_foreign(t, future);
        } else {
            p->blocking = false;
            p->waiter = (TaskObj *)Py_NewRef((PyObject *)t);
            t->waiting = Py_NewRef(future);
        }
        return 0;
    }
    PyObject *blocking = PyObject_GetAttr(future, m->s_blocking);
    int is = blocking ? PyObject_IsTrue(blocking) : 0;
    Py_XDECREF(blocking);
    PyErr_Clear();
    if (is != 1 || !t->node->loop) {
        PyErr_Format(PyExc_RuntimeError,
                     is == 1 ? "an async handler under poll, run or wait awaits shoal's own calls "
                               "only (shoal.sleep for sleep): %R"
                             : "an async handler awaited something that is no future: %R",
                     future);
        return -1;
    }
    return wait_foreign(t, future);
}

bool task_waiting_cancel(TaskObj *t)
{
    PyObject *w = t->waiting;
    if (!w) {
        return false;
    }
    if (Py_TYPE(w) == t->mod->pending) {
        return pending_cancel((PendingObj *)w, t->cancel_text);
    }
    PyObject *out = PyObject_CallMethodObjArgs(w, t->mod->s_cancel, NULL);
    bool yes = out && PyObject_IsTrue(out) == 1;
    Py_XDECREF(out);
    PyErr_Clear();
    return yes;
}

/* --- the end --- */

void task_tell_done(TaskObj *t)
{
    PyObject *callbacks = t->callbacks;
    t->callbacks = NULL;
    for (Py_ssize_t i = 0; callbacks && i < PyList_Size(callbacks); i++) {
        PyObject *pair = PyList_GetItem(callbacks, i), *context = PyTuple_GetItem(pair, 1);
        call_back(t->node, t->node->loop, PyTuple_GetItem(pair, 0), (PyObject *)t,
                  context == Py_None ? NULL : context, false);
    }
    Py_XDECREF(callbacks);
}

/* Its coroutine has ended, returning t->sent or with an exception set; code for core. */
static int task_ended(TaskObj *t)
{
    PyObject *value = t->sent;
    t->sent = NULL;
    if (value) {
        t->state = T_DONE;
        t->result = Py_NewRef(value);
    } else {
        PyObject *type, *e, *trace;
        PyErr_Fetch(&type, &e, &trace);
        PyErr_NormalizeException(&type, &e, &trace);
        t->state = PyErr_GivenExceptionMatches(type, t->mod->cancelled) ? T_CANCELLED : T_FAILED;
        t->result = Py_XNewRef(e);
        PyErr_Restore(type, e, trace);
    }
    int code = msg_result(&t->msg, value);
    Py_XDECREF(value);
    task_tell_done(t);
    return code;
}

/* After a step that ended a held message. */
static void task_finish(TaskObj *t)
{
    ActorRec *rec = t->msg.rec;
    int code = task_ended(t);
    shoal_cx *cx = t->held_cx;
    t->held_cx = NULL;
    msg_end(&t->msg);
    if (cx) {
        shoal_finish(cx, code);
    }
    task_unlink(t);
    if (rec) {
        rec->tasks--;
        actor_release(rec);
    }
}

/* After a step: true while it goes on waiting. */
static bool task_goes_on(TaskObj *t, bool failed)
{
    if (failed || t->how == PYGEN_RETURN) {
        return false;
    }
    PyObject *future = t->sent;
    t->sent = NULL;
    if (task_wait(t, future) < 0) {
        SET(t->raise, error_fetch());
        task_queue(t);
    } else if (t->must_cancel && task_waiting_cancel(t)) {
        t->must_cancel = false;
    }
    Py_XDECREF(future);
    return true;
}

static void task_step(TaskObj *t)
{
    if (t->state != T_RUNS || t->stepping) {
        return;
    }
    Py_INCREF((PyObject *)t);
    Py_CLEAR(t->waiting);
    if (!task_goes_on(t, task_send(t))) {
        task_finish(t);
    }
    Py_DECREF((PyObject *)t);
}

void task_wake(TaskObj *t)
{
    Py_CLEAR(t->waiting);
    task_step(t);
}

void task_queue(TaskObj *t)
{
    NodeObj *n = t->node;
    if (t->queued || t->state != T_RUNS) {
        return;
    }
    t->queued = true;
    t->ready_next = NULL;
    Py_INCREF((PyObject *)t);
    if (n->ready_last) {
        n->ready_last->ready_next = t;
    } else {
        n->ready = t;
    }
    n->ready_last = t;
    node_soon(n);
}

void tasks_run_ready(NodeObj *n)
{
    TaskObj *t = n->ready;
    n->ready = n->ready_last = NULL;
    while (t) {
        TaskObj *next = t->ready_next;
        t->ready_next = NULL;
        t->queued = false;
        task_step(t);
        Py_DECREF((PyObject *)t);
        t = next;
    }
}

int task_start(Msg *msg, PyObject *coro, int *code)
{
    TaskObj *t = task_new(msg, coro);
    Py_DECREF(coro);
    if (!t) {
        *code = msg_result(msg, NULL);
        return 0;
    }
    t->msg = *msg;
    t->msg.task = t;
    if (msg->context) {
        msg->context->msg = &t->msg;
    }
    t->how = -1;
    if (!task_goes_on(t, task_send(t))) {
        *code = task_ended(t);
        *msg = t->msg;
        msg->task = NULL;
        if (msg->context) {
            msg->context->msg = msg;
        }
        t->msg = (Msg){.node = msg->node};
        Py_DECREF((PyObject *)t);
        return 0;
    }
    t->held_cx = msg->cx && shoal_hold(msg->cx) >= 0 ? msg->cx : NULL;
    msg->context = NULL; /* now the task's */
    task_link(t);
    if (t->msg.rec) {
        t->msg.rec->tasks++;
    }
    Py_DECREF((PyObject *)t);
    if (t->node->freeing) {
        task_close(t);
    }
    return 1;
}

void task_abandon(TaskObj *t)
{
    if (t->state == T_RUNS && !t->stepping && !task_waiting_cancel(t)) {
        t->must_cancel = true;
        task_queue(t);
    }
}

void task_close(TaskObj *t)
{
    if (t->state != T_RUNS || t->stepping) {
        return;
    }
    Py_INCREF((PyObject *)t);
    Py_CLEAR(t->waiting);
    Msg *current = t->node->current;
    t->node->current = &t->msg;
    PyObject *out = PyObject_CallMethodObjArgs(t->coro, t->mod->s_close, NULL);
    t->node->current = current;
    if (!out) {
        PyErr_WriteUnraisable(t->coro);
    }
    Py_XDECREF(out);
    PyErr_SetString(t->mod->cancelled, "the node was closed");
    task_finish(t);
    Py_DECREF((PyObject *)t);
}
