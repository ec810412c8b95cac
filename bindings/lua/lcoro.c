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
    int box = lua_gettop(L);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, box);
    lua_xmove(L, co, 1);
    c->co_ref = lbox_ref(L, c->node, box);
    c->co = co;
    return 0;
}

lcoro *lcoro_new(lnode *n, enum lkind kind, lactor *a, shoal_cx *cx)
{
    lcoro *c = n->pool;
    if (c) {
        n->pool = c->next;
        n->pool_count--;
    } else if ((c = calloc(1, sizeof *c)) != NULL) {
        c->node = n;
        c->co_ref = LUA_NOREF;
    } else {
        return NULL;
    }
    c->actor = a;
    c->cx = cx;
    c->kind = kind;
    c->base = 2;
    c->box_ref = LUA_NOREF;
    if (!c->co && !lprotect(n, coro_thread, c) && !c->co && n->vm->hooked) {
        lprotect(n, coro_thread, c); /* a hook's error is kept; it says nothing of this coroutine */
    }
    if (!c->co) {
        free(c);
        return NULL;
    }
    coro_link(c);
    return c;
}

static void coro_unref(lcoro *c, int *ref)
{
    lua_State *L = c->node->vm->L;
    lnode_push_box(L, c->node, BOX_ANCHOR);
    if (lua_istable(L, -1)) {
        lbox_unref(L, c->node, lua_gettop(L), *ref);
    }
    lua_pop(L, 1);
    *ref = LUA_NOREF;
}

/* The thread is not used again. */
static void coro_unanchor(lcoro *c)
{
    coro_unref(c, &c->co_ref);
    c->co = NULL;
}

/* What c was given, before it ends. */
static void coro_let_go(lcoro *c)
{
    if (c->box_ref != LUA_NOREF) {
        coro_unref(c, &c->box_ref);
    }
    if (c->object) {
        lobject_drop(c->object);
        c->object = NULL;
    }
}

/* Into the pool, as clean as it came; false: there is no room. */
static bool coro_pool(lcoro *c)
{
    lnode *n = c->node;
    if (n->pool_count >= LPOOL_MAX || n->closing) {
        return false;
    }
    lua_settop(c->co, 1); /* the box */
    if (c->used || c->kind != RUN_MESSAGE) {
        memset((char *)c + offsetof(lcoro, on), 0, offsetof(lcoro, name) - offsetof(lcoro, on));
    } else { /* of most messages nothing else was touched */
        c->object = NULL;
        c->results = c->code = 0;
        c->answered = c->direct = false;
    }
    c->next = n->pool;
    n->pool = c;
    n->pool_count++;
    return true;
}

static void coro_recycle(lcoro *c, bool fine)
{
    lnode *n = c->node;
    if (fine && coro_pool(c)) {
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

/* LuaJIT's hooks reach into coroutines: this text is its interpreter's Ctrl-C. */
static void coro_interrupted(lua_State *L, const lcoro *c)
{
#ifdef LCOMPAT_LUAJIT
    static const char said[] = "interrupted!";
    size_t n;
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &n) : NULL;
    if (text && n >= sizeof said - 1 && strcmp(text + n - (sizeof said - 1), said) == 0) {
        lprotect_keep(L, c->node);
    }
#else
    (void)L, (void)c;
#endif
}

/* (c): the raised value is on top of its coroutine. */
static int coro_failed(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    lua_settop(L, 0);
    if (lua_status(c->co) == LUA_YIELD) {
        lua_pushliteral(
            L, "coroutine.yield outside a coroutine of your own: what takes time waits by itself");
    } else if (c->stolen) {
        lua_pushliteral(L, "this coroutine belongs to shoal: only shoal may resume it");
    } else {
        lua_xmove(c->co, L, 1);
    }
    coro_interrupted(L, c);
    push_error_text(L, 1);
    const char *text = lua_tostring(L, 2);
    luaL_traceback(L, c->co, text, 0);
    const char *trace = lua_tostring(L, 3);
    if (c->box_ref != LUA_NOREF && (c->kind == RUN_TASK || c->kind == RUN_FORK)) {
        ljob_raised(L, c, 1);
    } else if (c->kind == RUN_MESSAGE || c->kind == RUN_INIT) {
        const char *type =
            luaL_getmetafield(L, 1, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : "error";
        shoal_bytes value = shoal_nil();
        const char *why;
        if (lua_type(L, 1) != LUA_TSTRING && !lcodec_try(L, c->node, 1, &value, &why)) {
            value = shoal_nil(); /* cannot be sent: the text is there */
        }
        c->code = shoal_fail_with(c->cx, text, type, value);
        levent_note(c->node, c->actor->pid, trace);
        if (c->kind == RUN_INIT) {
            c->actor->failure = lcopy(text);
        }
    } else if (c->kind == RUN_TASK) {
        levent_text(c->node, "task_failed", trace);
    } else if (c->kind != RUN_FORK) {
        levent_write(c->node, SHOAL_LOG_WARN,
                     lua_pushfstring(L, "%s of actor %s failed: %s", ljob_name(c->kind),
                                     c->actor->type->id, trace));
    }
    return 0;
}

static void coro_fail(lcoro *c)
{
    c->code = c->kind == RUN_ERROR || c->kind == RUN_DOWN ? SHOAL_STOP : 0;
    bool told = lprotect(c->node, coro_failed, c);
    if (!told && (c->kind == RUN_MESSAGE || c->kind == RUN_INIT)) {
        c->code = shoal_fail(c->cx, "the handler failed, and so did telling why");
    }
}

/* What waits was resumed by somebody else, and has ended; only where nothing can see that before. */
static int coro_stolen(lcoro *c)
{
    c->stolen = true;
    return LUA_ERRRUN;
}

static inline int coro_resume(lcoro *c, int args, int *left)
{
    lvm *vm = c->node->vm;
    lua_State *from = vm->L;
    lcoro *outer = vm->running;
    lactor *a = c->actor;
    shoal_cx *outer_cx = a ? a->current : NULL;
    vm->running = c;
    vm->L = c->co;
    if (c->node->sim) {
        c->node->sim->handled = true;
    }
    c->wait = WAIT_NONE;
    c->results = args;
    if (a) {
        a->current = lcoro_cx(c);
    }
    int status = c->resumed && lua_status(c->co) != LUA_YIELD
                     ? coro_stolen(c)
                     : lcompat_resume(c->co, from, args, left);
    c->resumed = false;
    if (a) {
        a->current = outer_cx;
    }
    vm->running = outer;
    vm->L = from;
    if (status == LUA_YIELD && c->wait != WAIT_NONE) {
        lua_pop(c->co, *left);
    }
    return status;
}

void lcoro_close_forks(lcoro *parent)
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
    if (c->queued) {
        lsim_forget(c);
    }
}

/* A call is still open whose end nobody waits for: its callback frees c, maybe at once. */
static void coro_abandon(lcoro *c)
{
    lcompat_close(c->co, c->node->vm->L);
    coro_unanchor(c);
    shoal_cancel(c->on->node, c->call);
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
        lcoro_close_forks(c);
    }
    if (status == LUA_OK && c->object) { /* the box is there: cheaper than coro_let_go */
        lobject_free(c->co, c->object, 1);
        c->object = NULL;
    }
    coro_let_go(c);
    coro_unhook(c); /* only if a wait was begun that the version could not do */
    int code = c->code;
    shoal_cx *cx = c->cx;
    bool held = c->held;
    if (c->parent) {
        c->parent->forks--;
    }
    coro_unlink(c);
    if (c->pending) {
        coro_abandon(c);
    } else {
        coro_recycle(c, status == LUA_OK);
    }
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

/* After a resume: the arguments of what is to be called next, or LJOB_*. */
static int coro_returned(lcoro *c, int status)
{
    return status == LUA_OK && c->direct ? ljob_returned(c) : LJOB_DONE;
}

/* It waits or has ended: what its hook answers. */
static int coro_settle(lcoro *c, int status, int args)
{
    lcoro *parent = c->parent;
    int code = 0;
    status = args == LJOB_RAISED ? LUA_ERRRUN : status;
    if (status == LUA_YIELD && c->wait != WAIT_NONE) {
        return 0;
    }
    code = coro_end(c, status);
    if (parent && parent->woken && parent->wait == WAIT_PARK) {
        parent->woken = false;
        parent->resumed = true;
        code = lcoro_step(parent, 0);
    }
    return code;
}

int lcoro_step(lcoro *c, int args)
{
    lnode *n = c->node;
    lua_State *outer = n->vm->L;
    if (n->entered) {
        n->entered++;
    } else {
        lnode_enter(outer, n, &outer);
    }
    int status = LUA_OK, left = 0;
    while (args >= 0) {
        status = coro_resume(c, args, &left);
        args = coro_returned(c, status);
    }
    int code = coro_settle(c, status, args);
    lnode_leave(n, outer);
    return code;
}

int lcoro_start(lcoro *c)
{
    return lcoro_step(c, ljob_push(c));
}

/* Most handlers return at once, and nothing: all that is left to do is here. */
int lcoro_start_object(lcoro *c)
{
    if (!ljob_push_direct(c)) {
        return lcoro_start(c);
    }
    if (!c->node->entered) {
        return lcoro_step(c, 2);
    }
    int left = 0, status = coro_resume(c, 2, &left);
    if (status == LUA_OK && !c->used && left < c->base) {
        lobject_free(c->co, c->object, 1);
        coro_unlink(c);
        coro_recycle(c, true);
        return 0;
    }
    int args = coro_returned(c, status);
    return args >= 0 ? lcoro_step(c, args) : coro_settle(c, status, args);
}

/* --- waiting --- */

lcoro *lcoro_handler(const lnode *n)
{
    lcoro *c = n->vm->running;
    return c && c->node == n && c->actor && lcoro_cx(c) ? c : NULL;
}

lcoro *lcoro_waiter(lua_State *L, lnode *n, const char *what)
{
    lcoro *c = n ? n->vm->running : NULL;
    if (c && c->wait != WAIT_NONE) {
        luaL_error(L, "%s waits, and this handler or task could not wait before", what);
    } else if (!c) {
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
    } else if (!lcompat_yieldable(L)) {
        luaL_error(L, "%s waits, and cannot inside table.sort, string.gsub or another C function",
                   what);
    } else if (n != c->node && lcoro_cx(c)) {
        luaL_error(L, "%s: a handler waits only for its own node, this is another's", what);
    } else if (c->node->home && n->sim != c->node->sim && n->node) {
        luaL_error(L, "%s: sim:run waits only for nodes of its simulation, this is another", what);
    }
    c->on = n;
    c->used = true;
    return c;
}

#if LCOMPAT_CALLK
/* Runs first when what waited is resumed. */
static int coro_resumed(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    lcoro *c = lvm_of(L)->running;
    if (!c || c->co != L || !c->resumed) {
        return luaL_error(L, "this coroutine belongs to shoal: only shoal may resume it");
    }
    c->resumed = false;
    return c->results;
}
#endif

static void coro_hold(const lcoro *c)
{
    lcoro *root = coro_root(c);
    if (root->cx && !root->held) {
        shoal_hold(root->cx);
        root->held = true;
    }
}

int lcoro_wait(lua_State *L, lcoro *c, enum lwait wait, enum lwhat what)
{
    coro_hold(c);
    c->wait = wait;
    c->what = what;
    return lcompat_yield(L, coro_resumed);
}

static int push_rows(lua_State *L, lnode *n, shoal_bytes value)
{
    if (lcodec_push(L, n, value)) {
        return 1;
    }
    return lfail(L, SHOAL_E_BAD_VALUE, SHOAL_HANDLED, lua_tostring(L, -1));
}

/* What the one who waits gets; beside its coroutine. */
static int push_result(lua_State *L, lcoro *c)
{
    const shoal_result *r = c->result;
    shoal_bytes text = shoal_nil();
    if (c->what == WHAT_ITEM) {
        return liter_push(L, c->iter_ended);
    }
    if (!r) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (r->code < 0) {
        return lfail_result(L, c->on, r, c->timed_out);
    }
    switch (c->what) {
    case WHAT_REPLY:
    case WHAT_ROWS: return push_rows(L, c->on, r->value);
    case WHAT_REF: lref_push(L, c->on, r->pid); return 1;
    case WHAT_REASON: lactor_push_reason(L, c->on, &r->reason); return 1;
    case WHAT_TEXT:
        shoal_as_text(r->value, &text);
        lua_pushlstring(L, text.data ? text.data : "", text.len);
        return 1;
    default: lua_pushboolean(L, 1); return 1;
    }
}

/* (c): moves it to the coroutine. */
static int result_move(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    luaL_checkstack(L, 12, "result");
    luaL_checkstack(c->co, 8, "result");
    int count = push_result(L, c);
    lua_xmove(L, c->co, count);
    c->results = count;
    return 0;
}

/* The values that c goes on with: how many. */
static int coro_results(lcoro *c)
{
    const shoal_result *r = c->result;
    lua_State *co = c->co;
    c->results = 0;
    if (c->what == WHAT_NOTHING || !lua_checkstack(co, 4)) {
        return 0;
    }
    if (c->what == WHAT_TRUE && (!r || r->code >= 0)) {
        lua_pushboolean(co, 1);
        return 1;
    }
    lobj *o = c->what == WHAT_REPLY && r && r->code >= 0 ? shoal_result_object(r) : NULL;
    if (o) {
        lua_rawgetp(co, LUA_REGISTRYINDEX, c->node); /* stays below, as nothing */
        lobject_take(co, o, lua_gettop(co));
        return 1;
    }
    char why[64];
    if (!lprotect_try(c->node, result_move, c, why, sizeof why)) {
        lua_settop(co, lua_gettop(co) - c->results);
        lua_pushnil(co);
        return 1;
    }
    return c->results;
}

int lcoro_call(lua_State *L, lcoro *c, int64_t id, enum lwhat what)
{
    if (id < 0) {
        return lfail_last(L, c->on, id);
    }
    c->call = id;
    c->pending = true;
    if (what != WHAT_REPLY) { /* shoal_cx_ask keeps the message open by itself */
        coro_hold(c);
    }
    c->wait = WAIT_CALL;
    c->what = what;
    return lcompat_yield(L, coro_resumed);
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
    if (!ltimer_add(c, lnode_now_us(c->node) + us)) {
        return lfail(L, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    }
    return lcoro_wait(L, c, WAIT_SLEEP, WHAT_TRUE);
}

int lcoro_go(lcoro *c, const shoal_result *result)
{
    lnode *n = c->node;
    lua_State *outer;
    lnode_enter(n->vm->L, n, &outer);
    c->result = result;
    int args = coro_results(c);
    c->result = NULL;
    c->timed_out = false;
    c->resumed = true;
    int code = lcoro_step(c, args);
    lnode_leave(n, outer);
    return code;
}

int lcoro_wake(lcoro *c, const shoal_result *result)
{
    if (c->at) {
        ltimer_remove(c);
    }
    if (lsim_defer(c, result)) {
        return 0;
    }
    return lcoro_go(c, result);
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

void lcoro_close(lcoro *c)
{
    lnode *n = c->node;
    lua_State *outer;
    lnode_enter(n->vm->L, n, &outer);
    if (c->forks) {
        lcoro_close_forks(c);
    }
    if (c->parent) {
        c->parent->forks--;
    }
    coro_let_go(c);
    coro_unhook(c);
    coro_unlink(c);
    lcompat_close(c->co, n->vm->L);
    coro_unanchor(c);
    if (c->cx && c->held && n->node) { /* without a node there is no cx */
        shoal_finish(c->cx, SHOAL_E_CANCELLED);
    }
    if (c->pending) {
        shoal_cancel(c->on->node, c->call); /* its callback frees c, maybe already */
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
