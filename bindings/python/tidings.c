/* tidings.c - what a node tells unasked: events, and log lines for logging's "shoal".
 *
 * Log lines come from any thread of the node; none of those may touch Python. They wait in a queue with a
 * lock of its own until the next drain. */
#include "pyshoal.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOG_LINES_MAX = 1024
}; /* waiting; more are dropped: a node that nobody drains must not fill memory */

void node_log(void *ud, int level, const char *text)
{
    NodeObj *n = ud;
    size_t size = strlen(text) + 1;
    LogLine *line = malloc(sizeof *line + size);
    if (!line) {
        return;
    }
    line->next = NULL;
    line->level = level;
    memcpy(line->text, text, size);
    PyThread_acquire_lock(n->log_lock, WAIT_LOCK);
    bool room = n->log_count < LOG_LINES_MAX;
    if (room) {
        if (n->log_last) {
            n->log_last->next = line;
        } else {
            n->log_first = line;
        }
        n->log_last = line;
        n->log_count++;
    }
    PyThread_release_lock(n->log_lock);
    if (!room) {
        free(line);
    }
}

static LogLine *logs_take(NodeObj *n)
{
    PyThread_acquire_lock(n->log_lock, WAIT_LOCK);
    LogLine *first = n->log_first;
    n->log_first = n->log_last = NULL;
    n->log_count = 0;
    PyThread_release_lock(n->log_lock);
    return first;
}

void node_logs_tell(NodeObj *n)
{
    if (!n->log_first) { /* a line that comes right now is told after the next drain */
        return;
    }
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    for (LogLine *line = logs_take(n), *next; line; line = next) {
        next = line->next;
        PyObject *text =
            PyUnicode_DecodeUTF8(line->text, (Py_ssize_t)strlen(line->text), "replace");
        PyObject *out = text ? PyObject_CallFunction(n->logger, "iOO", line->level, text,
                                                     n->on_log ? n->on_log : Py_None)
                             : NULL;
        if (!out) {
            PyErr_WriteUnraisable(n->logger);
        }
        Py_XDECREF(out);
        Py_XDECREF(text);
        free(line);
    }
    PyErr_Restore(type, value, trace);
}

void node_logs_free(NodeObj *n)
{
    for (LogLine *line = n->log_lock ? logs_take(n) : NULL, *next; line; line = next) {
        next = line->next;
        free(line);
    }
}

/* An actor that failed here: the text becomes the whole traceback, which never leaves this process. */
static void event_traceback(NodeObj *n, PyObject *info)
{
    PyObject *ref = PyDict_GetItemString(info, "ref");
    bool named = ref && Py_TYPE(ref) == n->mod->ref;
    PyObject *e = named ? error_kept(n, ((RefObj *)ref)->pid.actor) : NULL;
    PyObject *text = e ? PyObject_CallFunctionObjArgs(n->mod->traceback_text, e, NULL) : NULL;
    if (text) {
        PyDict_SetItemString(info, "text", text);
    }
    Py_XDECREF(text);
    Py_XDECREF(e);
    PyErr_Clear();
}

void node_event(void *ud, const char *event, shoal_bytes info)
{
    NodeObj *n = ud;
    bool failed = strcmp(event, "actor_failed") == 0;
    if (!n->on_event && !failed) {
        return;
    }
    PyObject *map = decode(n, info), *out = NULL;
    if (map && failed && PyDict_Check(map)) {
        event_traceback(n, map);
    }
    if (map && n->on_event) {
        node_stirred(n);
        out = PyObject_CallFunction(n->on_event, "sO", event, map);
    } else if (map) { /* nobody listens: it must not be silent */
        PyObject *text = PyDict_GetItemString(map, "text");
        PyObject *line =
            PyUnicode_FromFormat("actor failed in %S: %S", PyDict_GetItemString(map, "name"), text);
        out = line ? PyObject_CallFunction(n->logger, "iOO", SHOAL_LOG_ERROR, line,
                                           n->on_log ? n->on_log : Py_None)
                   : NULL;
        Py_XDECREF(line);
    }
    if (!out) {
        PyErr_WriteUnraisable(n->on_event ? n->on_event : n->logger);
    }
    Py_XDECREF(out);
    Py_XDECREF(map);
}
