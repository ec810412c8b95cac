/* module.c - the C part of the package shoal: its state, its types, its few functions. */
#include "pyshoal.h"

#include <dlfcn.h>
#include <string.h>

#ifdef SHOAL_PY_CHECKS
#include <stdio.h>
#include <stdlib.h>

void gil_held(void)
{
    int (*check)(void) = NULL;
    *(void **)&check = dlsym(RTLD_DEFAULT, "PyGILState_Check"); /* not in the stable ABI */
    if (check && !check()) {
        fprintf(stderr, "shoal: Python is touched without the GIL\n");
        abort();
    }
}
#endif

double seconds_now(NodeObj *n)
{
    if (n->sim) {
        return sim_now(n->sim);
    }
    PyObject *t = PyObject_CallNoArgs(n->mod->monotonic);
    double s = t ? PyFloat_AsDouble(t) : 0;
    Py_XDECREF(t);
    return s;
}

/* --- what is fetched once --- */

static int fetch(const char *module, const char *name, PyObject **out)
{
    PyObject *from = PyImport_ImportModule(module);
    *out = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return *out ? 0 : -1;
}

static int names_init(Mod *m)
{
    const struct {
        PyObject **slot;
        const char *text;
    } names[] = {
        {&m->s_blocking, "_asyncio_future_blocking"},
        {&m->s_add_done, "add_done_callback"},
        {&m->s_context, "context"},
        {&m->s_run, "run"},
        {&m->s_call_soon, "call_soon"},
        {&m->s_call_soon_safe, "call_soon_threadsafe"},
        {&m->s_call_later, "call_later"},
        {&m->s_close, "close"},
        {&m->s_throw, "throw"},
        {&m->s_fields, "__dataclass_fields__"},
        {&m->s_shoal_name, "__shoal_name__"},
        {&m->s_cancel, "cancel"},
        {&m->s_set, "set"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *names[i].slot = PyUnicode_InternFromString(names[i].text);
        if (!*names[i].slot) {
            return -1;
        }
    }
    return 0;
}

static int fetches_init(Mod *m)
{
    const struct {
        PyObject **slot;
        const char *module, *name;
    } wanted[] = {
        {&m->cancelled, "asyncio", "CancelledError"},
        {&m->invalid_state, "asyncio", "InvalidStateError"},
        {&m->task_type, "asyncio", "Task"},
        {&m->enter_task, "asyncio", "_enter_task"},
        {&m->leave_task, "asyncio", "_leave_task"},
        {&m->current_task, "asyncio", "current_task"},
        {&m->running_loop, "asyncio", "_get_running_loop"},
        {&m->copy_context, "contextvars", "copy_context"},
        {&m->coroutine, "types", "CoroutineType"},
        {&m->memoryview, "builtins", "memoryview"},
        {&m->monotonic, "time", "monotonic"},
        {&m->log, "shoal._errors", "log"},
        {&m->field_names, "shoal._bind", "field_names"},
        {&m->lonely, "shoal._bind", "lonely"},
        {&m->dataclass_make, "shoal._bind", "make_dataclass"},
        {&m->current_var, "shoal._bind", "current_task"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (fetch(wanted[i].module, wanted[i].name, wanted[i].slot) < 0) {
            return -1;
        }
    }
    return 0;
}

static int types_init(PyObject *module, Mod *m)
{
    const struct {
        PyTypeObject **slot;
        PyType_Spec *spec;
    } types[] = {
        {&m->node, &node_spec},       {&m->ref, &ref_spec},         {&m->verb, &verb_spec},
        {&m->sender, &sender_spec},   {&m->woken, &woken_spec},     {&m->pending, &pending_spec},
        {&m->actor, &actor_spec},     {&m->spec, &spec_spec},       {&m->task, &task_spec},
        {&m->context, &context_spec}, {&m->promise, &promise_spec}, {&m->timer, &timer_spec},
        {&m->sim, &sim_spec},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, types[i].spec, NULL);
        *types[i].slot = (PyTypeObject *)type;
        bool shown = types[i].spec != &sender_spec && types[i].spec != &woken_spec;
        if (!type || (shown && PyModule_AddType(module, (PyTypeObject *)type) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int kinds_init(PyObject *module)
{
    const struct {
        const char *name;
        int value;
    } kinds[] = {{"K_NONE", K_NONE},   {"K_BOOL", K_BOOL},    {"K_INT", K_INT},
                 {"K_FLOAT", K_FLOAT}, {"K_STR", K_STR},      {"K_BYTES", K_BYTES},
                 {"K_VIEW", K_VIEW},   {"K_LIST", K_LIST},    {"K_DICT", K_DICT},
                 {"K_REF", K_REF},     {"K_ANY", K_ANY},      {"RESUME", SHOAL_RESUME},
                 {"STOP", SHOAL_STOP}, {"MAILBOX_MEMORY", -1}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (PyModule_AddIntConstant(module, kinds[i].name, kinds[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What every CPython since 3.9 has, with this signature, but not its stable ABI of 3.11: a little faster than what is in it. */
static void lookups_init(Mod *m)
{
    const struct {
        void *slot;
        const char *name;
    } wanted[] = {{&m->vectorcall, "PyObject_Vectorcall"},
                  {&m->context_enter, "PyContext_Enter"},
                  {&m->context_exit, "PyContext_Exit"}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *found = dlsym(RTLD_DEFAULT, wanted[i].name);
        memcpy(wanted[i].slot, &found, sizeof found);
    }
}

static int module_exec(PyObject *module)
{
    Mod *m = PyModule_GetState(module);
    m->module = module;
    lookups_init(m);
    if (errors_init(m) < 0 || names_init(m) < 0 || fetches_init(m) < 0 ||
        types_init(module, m) < 0 || woken_init(m) < 0 || kinds_init(module) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "version", shoal_version_string());
}

/* --- functions --- */

static PyMethodDef module_methods[] = {
    METHOD("current_context", context_current, METH_O,
           "The Context of the message that this actor object handles now."),
    METHOD("fit", bind_fit, METH_VARARGS,
           "fit(label, where, value, mask, classes) -> the value as a hint wants it, or BadValue"),
    {NULL, NULL, 0, NULL},
};

static PyObject **mod_objects(Mod *m, size_t *count)
{
    *count = (sizeof *m - offsetof(Mod, node)) / sizeof(PyObject *);
    return (PyObject **)((char *)m +
                         offsetof(Mod, node)); /* from there on all are owned references */
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    size_t count;
    PyObject **all = mod_objects(PyModule_GetState(module), &count);
    for (size_t i = 0; i < count; i++) {
        Py_VISIT(all[i]);
    }
    return 0;
}

static void module_free(void *module)
{
    size_t count;
    Mod *m = PyModule_GetState(module);
    PyObject **all = m ? mod_objects(m, &count) : NULL;
    for (size_t i = 0; all && i < count; i++) {
        Py_CLEAR(all[i]);
    }
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};
static struct PyModuleDef module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "shoal._shoal",
    .m_doc = "The C part of shoal. Use the package.",
    .m_size = sizeof(Mod),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__shoal(void)
{
    return PyModuleDef_Init(&module_def);
}
