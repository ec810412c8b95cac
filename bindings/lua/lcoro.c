/* lcoro.c - coroutines: every handler, hook and task runs in one, so that what takes time can yield.
 *
 * Life     taken from the pool; lcoro_start or lcoro_step resumes it; it ends, or waits: for a call (a callback comes
 *          with it as ud), a time, an iterator's next item, an init, its forks. lcoro_wake goes on.
 * Message  the message of a handler that waits is kept open: by shoal_cx_ask itself, else by shoal_hold until
 *          shoal_finish at its end.
 * Killed   the coroutine is closed; what is still to come for it finds co NULL and frees it. */
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

static lcoro **coro_list(lcoro *c)
{
    return c->actor ? &c->actor->coros : &c->node->tasks;
}

static void coro_link(lcoro *c)
{
    lcoro **list = coro_list(c);
    c->prev = NULL;
    c->next = *list;
    if (*list) {
        (*list)->prev = c;
    }
    *list = c;
}

static void coro_unlink(lcoro *c)
{
    if (c->next) {
        c->next->prev = c->prev;
    }
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        *coro_list(c) = c->next;
    }
}

/* --- pool --- */

static int coro_thread(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_State *co = lua_newthread(L);
    c->co_ref = luaL_ref(L, -2);
    c->co = co;
    return 0;
}

lcoro *lcoro_new(lnode *n, enum lkind kind, lactor *a, shoal_cx *cx)
{
    lcoro *c = n->pool;
    lua_State *co = c ? c->co : NULL;
    int co_ref = c ? c->co_ref : LUA_NOREF;
    if (c) {
        n->pool = c->next;
        n->pool_count--;
    } else {
        c = malloc(sizeof *c);
    }
    if (!c) {
        return NULL;
    }
    *c = (lcoro){.node = n, .kind = kind, .actor = a, .cx = cx, .co = co, .co_ref = co_ref};
    if (!co && (!lnode_protect(n, coro_thread, c) || !c->co)) {
        free(c);
        return NULL;
    }
    coro_link(c);
    return c;
}

/* The thread is not used again. */
static void coro_unanchor(lcoro *c)
{
    lua_State *L = c->node->vm->L;
    lnode_push_box(L, c->node, BOX_ANCHOR);
    if (lua_istable(L, -1)) {
        luaL_unref(L, -1, c->co_ref);
    }
    lua_pop(L, 1);
    c->co = NULL;
}

static void coro_recycle(lcoro *c, bool fine)
{
    lnode *n = c->node;
    if (fine && n->pool_count < LPOOL_MAX && !n->closing) {
        lua_settop(c->co, 0);
        c->next = n->pool;
        n->pool = c;
        n->pool_count++;
        return;
    }
    if (!fine) {
        lcompat_close(c->co, n->vm->L);
    }
    coro_unanchor(c);
    free(c);
}

void lcoro_pool_free(lnode *n)
{
    while (n->pool) {
        lcoro *c = n->pool;
        n->pool = c->next;
        n->pool_count--;
        coro_unanchor(c);
        free(c);
    }
}

/* --- running --- */

static lcoro *coro_root(const lcoro *c)
{
    while (c->parent) {
        c = c->parent;
    }
    return (lcoro *)(uintptr_t)c;
}

shoal_cx *lcoro_cx(const lcoro *c)
{
    return coro_root(c)->cx;
}

/* Pushes what a raised value says; idx is the top. */
static void push_error_text(lua_State *L, int idx)
{
    if (lua_type(L, idx) == LUA_TTABLE && !luaL_getmetafield(L, idx, "__tostring")) {
        lua_getfield(L, idx, "message");
        if (lua_type(L, -1) == LUA_TSTRING) {
            return;
        }
    }
    lua_settop(L, idx);
    luaL_tolstring(L, idx, NULL);
}

static const char *kind_name(enum lkind kind)
{
    switch (kind) {
    case RUN_STOP: return "on_stop";
    case RUN_ERROR: return "on_error";
    case RUN_DOWN: return "on_down";
    default: return "task";
    }
}

/* (c): the raised value is on top of its coroutine. */
static int coro_failed(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    lua_settop(L, 0);
    if (lua_status(c->co) == LUA_YIELD) {
        lua_pushliteral(
            L, "coroutine.yield outside a coroutine of your own: what takes time waits by itself");
    } else {
        lua_xmove(c->co, L, 1);
    }
    push_error_text(L, 1);
    const char *text = lua_tostring(L, 2);
    luaL_traceback(L, c->co, text, 0);
    const char *trace = lua_tostring(L, 3);
    if (c->kind == RUN_MESSAGE || c->kind == RUN_INIT) {
        const char *type =
            luaL_getmetafield(L, 1, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : "error";
        shoal_bytes value = shoal_nil();
        const char *why;
        if (lua_type(L, 1) != LUA_TSTRING && !lcodec_try(L, c->node, 1, &value, &why)) {
            value = shoal_nil(); /* cannot be sent: the text is there */
        }
        c->code = shoal_fail_with(c->cx, text, type, value);
        lnode_note(c->node, c->actor->pid, trace);
        if (c->kind == RUN_INIT) {
            c->actor->failure = lcopy(text);
        }
    } else if (c->kind == RUN_TASK) {
        lnode_event_text(c->node, "task_failed", trace);
    } else if (c->kind != RUN_FORK) {
        lnode_log(c->node, SHOAL_LOG_WARN,
                  lua_pushfstring(L, "%s of actor %s failed: %s", kind_name(c->kind),
                                  c->actor->type->id, trace));
    }
    return 0;
}

static void coro_fail(lcoro *c)
{
    c->code = c->kind == RUN_ERROR || c->kind == RUN_DOWN ? SHOAL_STOP : 0;
    bool told = lnode_protect(c->node, coro_failed, c);
    if (!told && (c->kind == RUN_MESSAGE || c->kind == RUN_INIT)) {
        c->code = shoal_fail(c->cx, "the handler failed, and so did telling why");
    }
}

static int coro_resume(lcoro *c, int args)
{
    lvm *vm = c->node->vm;
    lua_State *from = vm->L;
    lcoro *outer = vm->running;
    lactor *a = c->actor;
    shoal_cx *outer_cx = a ? a->current : NULL;
    int left = 0;
    vm->running = c;
    vm->L = c->co;
    c->wait = WAIT_NONE;
    if (a) {
        a->current = lcoro_cx(c);
    }
    int status = lcompat_resume(c->co, from, args, &left);
    if (a) {
        a->current = outer_cx;
    }
    vm->running = outer;
    vm->L = from;
    if (status == LUA_YIELD && c->wait != WAIT_NONE) {
        lua_pop(c->co, left);
    }
    return status;
}

static void close_forks(lcoro *parent)
{
    lcoro *next;
    for (lcoro *c = *coro_list(parent); c && parent->forks; c = next) {
        next = c->next;
        if (c->parent == parent && c->wait != WAIT_NONE) {
            lcoro_close(c);
            next = *coro_list(parent); /* closing ran user code: begin anew */
        }
    }
}

/* c has ended: c is freed; what its hook answers. */
static int coro_end(lcoro *c, int status)
{
    lactor *a = c->actor;
    enum lkind kind = c->kind;
    if (status != LUA_OK) {
        coro_fail(c);
    }
    if (c->forks) {
        close_forks(c);
    }
    int code = c->code;
    shoal_cx *cx = c->cx;
    bool held = c->held;
    if (c->parent) {
        c->parent->forks--;
    }
    coro_unlink(c);
    coro_recycle(c, status == LUA_OK);
    if (cx && held) {
        shoal_finish(cx, code);
    }
    if (kind == RUN_INIT) {
        lactor_started(a, code);
    } else if (kind == RUN_STOP) {
        lactor_release(a);
    }
    return code;
}

int lcoro_step(lcoro *c, int args)
{
    lnode *n = c->node;
    lua_State *outer;
    lnode_enter(n->vm->L, n, &outer);
    int status = coro_resume(c, args), code = 0;
    if (status != LUA_YIELD || c->wait == WAIT_NONE) {
        lcoro *parent = c->parent;
        code = coro_end(c, status);
        if (parent && parent->woken && parent->wait == WAIT_PARK) {
            parent->resumed = true;
            code = lcoro_step(parent, 0);
        }
    }
    lnode_leave(n, outer);
    return code;
}

/* --- what a coroutine does first --- */

/* A class field that may be a handler: pushes it, or nil. */
static bool push_handler(lua_State *L, lnode *n, const lactor *a, const char *name)
{
    lnode_push_box(L, n, BOX_ANCHOR);
    lua_rawgeti(L, -1, a->type->class_ref);
    lua_remove(L, -2);
    bool other = name[0] == '_' || strncmp(name, "on_", 3) == 0 || strcmp(name, "init") == 0 ||
                 strcmp(name, "upgrade") == 0 || strcmp(name, "cx") == 0;
    if (other || lua_getfield(L, -1, name) != LUA_TFUNCTION) {
        lua_settop(L, 2); /* self, class */
        return false;
    }
    lua_remove(L, -2);
    return true;
}

static int job_replied(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    lcoro *c = (lcoro *)ctx;
    shoal_bytes value;
    const char *why;
    if (c->answered || lua_isnil(L, -1)) {
        return 0;
    }
    if (!lcodec_try(L, c->node, -1, &value, &why)) {
        return luaL_error(L, "the reply of handler '%s' cannot be sent: %s", shoal_cx_name(c->cx),
                          why);
    }
    int code = shoal_reply(c->cx, value);
    if (code < 0) {
        return luaL_error(L, "the reply of handler '%s' cannot be sent: %s", shoal_cx_name(c->cx),
                          shoal_last_error(c->node->node));
    }
    return 0;
}

static int job_unfit(lcoro *c, int code, const char *text)
{
    shoal_fail(c->cx, text);
    c->code = code;
    return 0;
}

static int job_message(lua_State *L, lcoro *c)
{
    lnode *n = c->node;
    int args = 2;
    lactor_push_self(L, c->actor);
    if (!push_handler(L, n, c->actor, c->name)) {
        if (lua_getfield(L, 2, "on_message") != LUA_TFUNCTION) {
            return job_unfit(c, SHOAL_E_NO_HANDLER,
                             lua_pushfstring(L, "actor %s takes no message \"%s\"",
                                             c->actor->type->id, c->name));
        }
        args = 3;
    }
    lua_pushvalue(L, 1);
    if (args == 3) {
        lua_pushstring(L, c->name);
    }
    if (!lcodec_push(L, n, c->value)) {
        return job_unfit(c, SHOAL_E_BAD_VALUE, lua_tostring(L, -1));
    }
    lua_callk(L, args, 1, (lua_KContext)c, job_replied);
    return job_replied(L, LUA_OK, (lua_KContext)c);
}

static int job_nothing(lua_State *L, int status, lua_KContext ctx)
{
    (void)L, (void)status, (void)ctx;
    return 0;
}

static void push_hook(lua_State *L, lcoro *c, const char *name)
{
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, c->actor->type->class_ref);
    lua_getfield(L, -1, name);
    lua_insert(L, -3);
    lua_pop(L, 2);
    lactor_push_self(L, c->actor);
}

static int job_init(lua_State *L, lcoro *c)
{
    push_hook(L, c, "init");
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, c->actor->arg_ref);
    lua_remove(L, -2);
    lua_callk(L, 2, 0, 0, job_nothing);
    return 0;
}

static int job_stop_after(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    lua_settop(L, 1); /* the reason */
    push_hook(L, (lcoro *)ctx, "on_stop");
    if (!lua_isfunction(L, -2)) {
        return 0;
    }
    lua_pushvalue(L, 1);
    lua_callk(L, 2, 0, 0, job_nothing);
    return 0;
}

/* on_undelivered with all that was left, then on_stop. */
static int job_stop(lua_State *L, lcoro *c)
{
    lactor *a = c->actor;
    lactor_push_reason(L, c->node, c->reason);
    if (a->undelivered_ref != LUA_NOREF) {
        push_hook(L, c, "on_undelivered");
        lnode_push_box(L, c->node, BOX_ANCHOR);
        lua_rawgeti(L, -1, a->undelivered_ref);
        lua_remove(L, -2);
        lua_callk(L, 2, 0, (lua_KContext)c, job_stop_after);
    }
    return job_stop_after(L, LUA_OK, (lua_KContext)c);
}

/* The answer of on_error and on_down. */
static int job_decided(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    lcoro *c = (lcoro *)ctx;
    if (lua_isnil(L, -1)) {
        return 0; /* c->code is the default */
    }
    int whole;
    lua_Integer answer = lua_tointegerx(L, -1, &whole);
    if (!whole || (answer != SHOAL_RESUME && answer != SHOAL_STOP)) {
        return luaL_error(L, "%s must return shoal.RESUME or shoal.STOP, not %s",
                          kind_name(c->kind), luaL_tolstring(L, -1, NULL));
    }
    c->code = (int)answer;
    return 0;
}

static int job_error(lua_State *L, lcoro *c)
{
    const shoal_result *e = c->error;
    int value = 0;
    if (e->value.len) {
        lcodec_push(L, c->node, e->value); /* or why it cannot be read */
        value = lua_gettop(L);
    }
    push_hook(L, c, "on_error");
    lfail_table(L, e->code, e->delivery ? e->delivery : SHOAL_HANDLED, e->text, value);
    lua_callk(L, 2, 1, (lua_KContext)c, job_decided);
    return job_decided(L, LUA_OK, (lua_KContext)c);
}

static int job_down(lua_State *L, lcoro *c)
{
    push_hook(L, c, "on_down");
    lref_push(L, c->node, c->subject);
    lactor_push_reason(L, c->node, c->reason);
    lua_callk(L, 3, 1, (lua_KContext)c, job_decided);
    return job_decided(L, LUA_OK, (lua_KContext)c);
}

/* (c): in the coroutine, so that all it raises ends there. */
static int job_start(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    lua_settop(L, 0);
    switch (c->kind) {
    case RUN_MESSAGE: return job_message(L, c);
    case RUN_INIT: return job_init(L, c);
    case RUN_STOP: return job_stop(L, c);
    case RUN_ERROR: return job_error(L, c);
    case RUN_DOWN: return job_down(L, c);
    default: return 0;
    }
}

int lcoro_start(lcoro *c)
{
    lua_pushcfunction(c->co, job_start);
    lua_pushlightuserdata(c->co, c);
    return lcoro_step(c, 1);
}

/* --- waiting --- */

lcoro *lcoro_handler(lua_State *L, const lnode *n)
{
    lcoro *c = lvm_of(L)->running;
    return c && c->node == n && c->actor && lcoro_cx(c) ? c : NULL;
}

lcoro *lcoro_waiter(lua_State *L, lnode *n, const char *what)
{
    lcoro *c = lvm_of(L)->running;
    if (!c) {
        luaL_error(
            L,
            "%s waits, and nothing can wait here: call it in a handler, or in a function given to "
            "node:run or node:task",
            what);
    } else if (c->co != L) {
        luaL_error(L,
                   "%s waits, and a coroutine of your own cannot wait for shoal: call it in the "
                   "handler or "
                   "task itself, or use shoal.all",
                   what);
    } else if (!lua_isyieldable(L)) {
        luaL_error(L, "%s waits, and cannot inside table.sort, string.gsub or another C function",
                   what);
    } else if (n != c->node && lcoro_cx(c)) {
        luaL_error(L, "%s: a handler waits only for its own node, this is another's", what);
    }
    return c;
}

lcoro *lcoro_resumed(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    if (!c || c->co != L || !c->resumed) {
        luaL_error(L, "this coroutine belongs to shoal: only shoal may resume it");
        return NULL;
    }
    c->resumed = false;
    return c;
}

static void coro_hold(const lcoro *c)
{
    lcoro *root = coro_root(c);
    if (root->cx && !root->held) {
        shoal_hold(root->cx);
        root->held = true;
    }
}

int lcoro_wait(lua_State *L, lcoro *c, enum lwait wait, lua_KFunction k, void *ctx)
{
    coro_hold(c);
    c->wait = wait;
    return lua_yieldk(L, 0, (lua_KContext)ctx, k);
}

static int push_rows(lua_State *L, lnode *n, shoal_bytes value)
{
    if (lcodec_push(L, n, value)) {
        return 1;
    }
    return lfail(L, SHOAL_E_BAD_VALUE, SHOAL_HANDLED, lua_tostring(L, -1));
}

static int push_result(lua_State *L, lcoro *c, enum lwhat what)
{
    const shoal_result *r = c->result;
    shoal_bytes text;
    bool timed_out = c->timed_out;
    c->result = NULL;
    c->timed_out = false;
    if (!r) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (r->code < 0) {
        return lfail_result(L, c->node, r, timed_out);
    }
    switch (what) {
    case WHAT_REPLY:
    case WHAT_ROWS: return push_rows(L, c->node, r->value);
    case WHAT_REF: lref_push(L, c->node, r->pid); return 1;
    case WHAT_REASON: lactor_push_reason(L, c->node, &r->reason); return 1;
    case WHAT_TEXT:
        text = shoal_nil();
        shoal_as_text(r->value, &text);
        lua_pushlstring(L, text.data ? text.data : "", text.len);
        return 1;
    default: lua_pushboolean(L, 1); return 1;
    }
}

int lcoro_ended(lua_State *L, int status, lua_KContext what)
{
    (void)status;
    return push_result(L, lcoro_resumed(L), (enum lwhat)what);
}

int lcoro_call(lua_State *L, lcoro *c, int64_t id, enum lwhat what)
{
    if (id < 0) {
        return lfail_last(L, c->node, id);
    }
    c->call = id;
    c->pending = true;
    if (what != WHAT_REPLY) { /* shoal_cx_ask keeps the message open by itself */
        coro_hold(c);
    }
    c->wait = WAIT_CALL;
    return lua_yieldk(L, 0, (lua_KContext)what, lcoro_ended);
}

/* shoal.sleep(seconds) -> true */
int lcoro_sleep(lua_State *L)
{
    uint64_t us = lcheck_us(L, 1);
    lcoro *c = lvm_of(L)->running;
    c = lcoro_waiter(L, c ? c->node : NULL, "shoal.sleep");
    if (!lnode_usable(c->node)) {
        return lfail_closed(L);
    }
    if (!ltimer_add(c, ltimer_now_us() + us)) {
        return lfail(L, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    }
    return lcoro_wait(L, c, WAIT_SLEEP, lcoro_ended, (void *)(intptr_t)WHAT_TRUE);
}

int lcoro_wake(lcoro *c, const shoal_result *result)
{
    if (c->at) {
        ltimer_remove(c);
    }
    c->result = result;
    c->resumed = true;
    return lcoro_step(c, 0);
}

void lcoro_done(void *ud, const shoal_result *result)
{
    lcoro *c = ud;
    c->pending = false;
    if (!c->co) {
        free(c);
        return;
    }
    lcoro_wake(c, result);
}

int lcoro_then(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)cx;
    lcoro *c = ud;
    c->pending = false;
    if (!c->co) {
        free(c);
        return 0;
    }
    if (result->code == SHOAL_E_CANCELLED) { /* killed */
        lcoro *root = coro_root(c);
        lactor *a = c->actor;
        bool init = root->kind == RUN_INIT;
        lcoro_close(root);
        if (init) {
            lactor_started(a, SHOAL_E_CANCELLED);
        }
        return SHOAL_E_CANCELLED;
    }
    return lcoro_wake(c, result);
}

/* --- closing --- */

static void coro_unhook(lcoro *c)
{
    if (c->at) {
        ltimer_remove(c);
    }
    if (c->iter) {
        liter_forget(c->iter);
        c->iter = NULL;
    }
    if (c->spawned) {
        c->spawned->spawner = NULL;
        c->spawned = NULL;
    }
}

void lcoro_close(lcoro *c)
{
    lnode *n = c->node;
    lua_State *outer;
    lnode_enter(n->vm->L, n, &outer);
    if (c->forks) {
        close_forks(c);
    }
    if (c->parent) {
        c->parent->forks--;
    }
    coro_unhook(c);
    coro_unlink(c);
    lcompat_close(c->co, n->vm->L);
    coro_unanchor(c);
    if (c->cx && c->held) {
        shoal_finish(c->cx, SHOAL_E_CANCELLED);
    }
    if (c->pending) {
        shoal_cancel(n->node, c->call); /* its callback frees c, maybe already */
    } else {
        free(c);
    }
    lnode_leave(n, outer);
}

void lcoro_close_all(lcoro **list)
{
    while (*list) {
        lcoro *root = coro_root(*list);
        lcoro_close(root);
    }
}

/* --- tasks, and the parts of shoal.all --- */

/* node:task(fn) -> true */
int lcoro_task(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    lua_State *outer;
    lnode_enter(L, n, &outer);
    lcoro *c = lcoro_new(n, RUN_TASK, NULL, NULL);
    if (c) {
        lua_pushvalue(L, 2);
        lua_xmove(L, c->co, 1);
        lcoro_step(c, 0);
    }
    lnode_leave(n, outer);
    if (!c) {
        return lfail(L, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* fork(fn): runs it beside the running coroutine, in the same message */
int lcoro_fork(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lcoro *running = lvm_of(L)->running;
    lcoro *parent = lcoro_waiter(L, running ? running->node : NULL, "shoal.all");
    lnode *n = parent->node;
    lua_State *outer;
    lnode_enter(L, n, &outer);
    lcoro *c = lcoro_new(n, RUN_FORK, parent->actor, NULL);
    if (c) {
        c->parent = parent;
        parent->forks++;
        lua_pushvalue(L, 1);
        lua_xmove(L, c->co, 1);
        lcoro_step(c, 0);
    }
    lnode_leave(n, outer);
    return c ? 0 : luaL_error(L, "out of memory");
}

static int parked(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    lcoro_resumed(L)->woken = false;
    return 0;
}

/* park(): waits until a fork has called unpark */
int lcoro_park(lua_State *L)
{
    lcoro *running = lvm_of(L)->running;
    lcoro *c = lcoro_waiter(L, running ? running->node : NULL, "shoal.all");
    if (c->woken || !lnode_usable(c->node)) {
        c->woken = false;
        return 0;
    }
    return lcoro_wait(L, c, WAIT_PARK, parked, NULL);
}

/* unpark(): in a fork; its parent goes on when the fork has ended */
int lcoro_unpark(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    if (c && c->parent) {
        c->parent->woken = true;
    }
    return 0;
}

/* drop(): ends the forks that still wait */
int lcoro_drop(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    if (c) {
        c->woken = false;
    }
    if (c && c->forks) {
        lua_State *outer;
        lnode_enter(L, c->node, &outer);
        close_forks(c);
        lnode_leave(c->node, outer);
    }
    return 0;
}

/* busy() -> whether a coroutine of ours runs */
int lcoro_busy(lua_State *L)
{
    lua_pushboolean(L, lvm_of(L)->running != NULL);
    return 1;
}
