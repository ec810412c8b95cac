/* levent.c - what a node tells unasked: log lines (from any thread, kept until the host polls) and events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

/* --- the log --- */

static const char *const levels[] = {"off", "error", "warn", "info", "debug"};

/* From any thread: kept until the host polls. A line that finds no memory is lost. */
void levent_log(void *ud, int level, const char *text)
{
    lnode *n = ud;
    size_t size = strlen(text) + 1;
    llog *line = malloc(sizeof *line + size);
    if (!line) {
        return;
    }
    line->level = level;
    memcpy(line->text, text, size);
    line->next = atomic_load_explicit(&n->logs, memory_order_relaxed);
    /* Release: who takes the line sees it whole. */
    while (!atomic_compare_exchange_weak_explicit(&n->logs, &line->next, line, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

/* All that wait, the oldest first. */
static llog *log_take(lnode *n)
{
    llog *line = atomic_exchange_explicit(&n->logs, NULL, memory_order_acquire), *first = NULL;
    while (line) {
        llog *next = line->next;
        line->next = first;
        first = line;
        line = next;
    }
    return first;
}

void levent_write(lnode *n, int level, const char *text)
{
    if (level > n->log_level) {
        return;
    }
    if (n->has_log) {
        levent_log(n, level, text);
    } else {
        fprintf(stderr, "shoal %s lua: %s\n", levels[level], text);
    }
}

struct log_call {
    lnode *n;
    llog *line;
};

static int log_call(lua_State *L)
{
    struct log_call *call = lua_touserdata(L, 1);
    lnode_push_box(L, call->n, BOX_LOG);
    lua_pushstring(L, levels[call->line->level]);
    lua_pushstring(L, call->line->text);
    lua_call(L, 2, 0);
    return 0;
}

/* Inside enter and leave. */
void levent_deliver_logs(lnode *n)
{
    llog *line, *next;
    for (line = n->has_log ? log_take(n) : NULL; line; line = next) {
        struct log_call call = {n, line};
        next = line->next;
        if (!lprotect(n, log_call, &call)) {
            fprintf(stderr, "shoal error lua: on_log failed; its line was: %s\n", line->text);
        }
        free(line);
    }
}

/* --- events --- */

void levent_note(lnode *n, shoal_pid pid, const char *trace)
{
    ltrace *t = &n->traces[n->trace_next++ % LTRACES];
    free(t->text);
    t->pid = pid;
    t->text = lcopy(trace);
    levent_write(n, SHOAL_LOG_INFO, trace);
}

/* The oldest trace of that actor, to be freed; NULL. */
static char *trace_take(lnode *n, shoal_pid pid)
{
    for (unsigned i = 0; i < LTRACES; i++) {
        ltrace *t = &n->traces[(n->trace_next + i) % LTRACES];
        if (t->text && shoal_pid_equal(t->pid, pid)) {
            char *text = t->text;
            t->text = NULL;
            return text;
        }
    }
    return NULL;
}

struct event {
    lnode *n;
    const char *name;
    shoal_bytes info;
    const char *text; /* instead of info: its one field */
    char *trace;
};

static int event_trace(lua_State *L)
{
    lua_settop(L, 1);
    if (!lprotect_hooked(L)) {
        luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    }
    return 1;
}

static int event_call(lua_State *L)
{
    struct event *e = lua_touserdata(L, 1);
    lua_pushcfunction(L, event_trace);
    lnode_push_box(L, e->n, BOX_EVENT);
    if (!lua_isfunction(L, -1)) {
        return 0;
    }
    lua_pushstring(L, e->name);
    if (e->text) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, e->text);
        lua_setfield(L, -2, "text");
    } else if (!lcodec_push(L, e->n, e->info)) {
        return luaL_error(L, "event %s: %s", e->name, lua_tostring(L, -1));
    }
    if (e->trace) {
        lua_pushstring(L, e->trace);
        lua_setfield(L, -2, "text");
    }
    if (lprotect_pcall(L, 2, 2) != LUA_OK) {
        if (e->n->vm->hooked) {
            return lua_error(L); /* not its own failure: for lprotect */
        }
        levent_write(e->n, SHOAL_LOG_ERROR,
                     lua_pushfstring(L, "on_event failed: %s", lua_tostring(L, -1)));
    }
    return 0;
}

static void event_tell(struct event *e)
{
    char why[256], text[384];
    if (!lprotect_try(e->n, event_call, e, why, sizeof why) && !e->n->vm->hooked) {
        snprintf(text, sizeof text, "the event %s could not be told: %s", e->name, why);
        levent_write(e->n, SHOAL_LOG_ERROR, text);
    }
}

void levent_told(void *ud, const char *event, shoal_bytes info)
{
    lnode *n = ud;
    struct event e = {.n = n, .name = event, .info = info};
    shoal_pid pid = {0};
    if (strcmp(event, "actor_failed") == 0) {
        pid = shoal_field_ref(n->node, info, "ref", pid);
        e.trace = trace_take(n, pid);
    }
    if (e.trace) {
        levent_write(n, SHOAL_LOG_WARN, e.trace);
    }
    event_tell(&e);
    free(e.trace);
}

void levent_text(lnode *n, const char *event, const char *text)
{
    struct event e = {.n = n, .name = event, .text = text};
    levent_write(n, SHOAL_LOG_WARN, text);
    event_tell(&e);
}

void levent_free(lnode *n)
{
    llog *line, *next;
    for (line = log_take(n); line; line = next) {
        next = line->next;
        free(line);
    }
    for (unsigned i = 0; i < LTRACES; i++) {
        free(n->traces[i].text);
        n->traces[i].text = NULL;
    }
}
