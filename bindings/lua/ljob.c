/* ljob.c - what the coroutine of a message or hook does: its arguments, the call, what becomes of the result.
 *
 * Where a C function may call what waits (LCOMPAT_CALLK) all of it runs inside the coroutine, so that what it raises (no
 * memory, too) ends there. Elsewhere, and for most messages between actors of one VM, the handler is the coroutine's
 * first function; what is before and after it runs beside it, where it takes no memory or under pcall. */
#include <stdio.h>
#include <string.h>

#include "lshoal.h"

enum { LHANDLERS = 32 }; /* that a sentence names */

const char *ljob_name(enum lkind kind)
{
    switch (kind) {
    case RUN_STOP: return "on_stop";
    case RUN_ERROR: return "on_error";
    case RUN_DOWN: return "on_down";
    default: return "task";
    }
}

/* A class field that may be a handler: pushes it, or nil. */
static bool push_handler(lua_State *L, lnode *n, const lactor *a, const char *name)
{
    int top = lua_gettop(L);
    lnode_push_box(L, n, BOX_ANCHOR);
    lua_rawgeti(L, -1, a->type->class_ref);
    lua_remove(L, -2);
    if (lobject_hidden(name) || lua_getfield(L, -1, name) != LUA_TFUNCTION) {
        lua_settop(L, top + 1); /* the class */
        return false;
    }
    lua_remove(L, -2);
    return true;
}

/* The message's value; false: pushes why it is none. */
static bool push_value(lua_State *L, lcoro *c)
{
    lobj *o = c->object;
    if (!o) {
        return lcodec_push(L, c->node, c->value);
    }
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lobject_push(L, o, lua_gettop(L));
    lua_remove(L, -2);
    return true;
}

/* Whether it could be, and was, sent as it is. */
static bool reply_object(lua_State *L, lcoro *c)
{
    int code = 0;
    lnode_push_box(L, c->node, BOX_ANCHOR);
    int box = lua_gettop(L);
    lobj *o = lobject_of(L, c->node, box - 1, box);
    if (o) {
        code = shoal_reply_object(c->cx, (shoal_object){o, lobject_drop});
        if (code < 0) {
            lobject_free(L, o, box);
        }
    }
    lua_settop(L, box - 1);
    return o && code == 0;
}

/* The handler's result is on top. */
static void message_replied(lua_State *L, lcoro *c)
{
    shoal_bytes value;
    const char *why;
    if (c->answered || lua_isnil(L, -1) || reply_object(L, c)) {
        return;
    }
    if (!lcodec_try(L, c->node, -1, &value, &why)) {
        luaL_error(L, "the reply of handler '%s' cannot be sent: %s", shoal_cx_name(c->cx), why);
    }
    int code = shoal_reply(c->cx, value);
    if (code < 0) {
        luaL_error(L, "the reply of handler '%s' cannot be sent: %s", shoal_cx_name(c->cx),
                   shoal_last_error(c->node->node));
    }
}

static int job_unfit(lcoro *c, int code, const char *text)
{
    shoal_fail(c->cx, text);
    c->code = code;
    return -1;
}

/* Names in order, the first ones if there are many; lent by the class. */
struct handlers {
    const char *names[LHANDLERS];
    unsigned count;
    bool more;
};

static void handlers_add(struct handlers *h, const char *name)
{
    unsigned at = h->count;
    while (at > 0 && strcmp(h->names[at - 1], name) > 0) {
        at--;
    }
    if (at > 0 && strcmp(h->names[at - 1], name) == 0) {
        return; /* a base has it too */
    }
    h->more |= h->count == LHANDLERS;
    if (at == LHANDLERS) {
        return;
    }
    h->count -= h->count == LHANDLERS;
    memmove(h->names + at + 1, h->names + at, (h->count - at) * sizeof *h->names);
    h->names[at] = name;
    h->count++;
}

/* The handlers of the class at at, replaced by its bases (tables under __index, the text after it). Neither
 * runs Lua code nor takes memory, so that the names stay. */
static void handlers_find(lua_State *L, int at, struct handlers *h)
{
    for (int depth = 0; depth < 8 && lua_istable(L, at); depth++) {
        for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
            const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
            if (lua_isfunction(L, -1) && name[0] && !lobject_hidden(name)) {
                handlers_add(h, name);
            }
        }
        if (!lua_getmetatable(L, at)) {
            return;
        }
        lua_pushvalue(L, at + 1);
        lua_rawget(L, -2);
        lua_replace(L, at);
        lua_pop(L, 1);
    }
}

/* No handler of the class at at takes it: says which there are, as many as the text has room for. */
static int job_unknown(lua_State *L, lcoro *c, int at)
{
    struct handlers h = {.count = 0};
    char text[1024] = "none";
    size_t len = 0;
    lua_settop(L, at);
    lua_pushliteral(L, "__index");
    handlers_find(L, at, &h);
    for (unsigned i = 0; i < h.count; i++) {
        if (len + strlen(h.names[i]) + sizeof ", , ..." > sizeof text) {
            h.more = true;
            break;
        }
        len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %s" : "%s", h.names[i]);
    }
    if (h.more) {
        snprintf(text + len, sizeof text - len, ", ...");
    }
    return job_unfit(c, SHOAL_E_NO_HANDLER,
                     lua_pushfstring(L, "%s has no handler '%s'; it has: %s", c->actor->type->id,
                                     c->name, text));
}

static int message_begin(lua_State *L, lcoro *c)
{
    lnode *n = c->node;
    bool named = push_handler(L, n, c->actor, c->name);
    if (named && !c->object) { /* only what a class has: no peer can fill the table */
        lobject_learn(L, n, c->name);
    }
    int at = lua_gettop(L); /* the handler, or the class */
    if (!named && lua_getfield(L, at, "on_message") != LUA_TFUNCTION) {
        return job_unknown(L, c, at);
    }
    lactor_push_self(L, c->actor);
    if (!named) {
        lua_pushstring(L, c->name);
    }
    if (!push_value(L, c)) {
        return job_unfit(c, SHOAL_E_BAD_VALUE, lua_tostring(L, -1));
    }
    return named ? 2 : 3;
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

static int init_begin(lua_State *L, lcoro *c)
{
    push_hook(L, c, "init");
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, c->actor->arg_ref);
    lua_remove(L, -2);
    return 2;
}

/* on_undelivered with all that was left, then on_stop with the reason, kept meanwhile. */
static int stop_begin(lua_State *L, lcoro *c)
{
    lactor *a = c->actor;
    lnode_push_box(L, c->node, BOX_ANCHOR);
    int box = lua_gettop(L);
    if (c->phase == 0) {
        lactor_push_reason(L, c->node, c->reason);
        c->box_ref = lbox_ref(L, c->node, box);
    }
    if (c->phase == 0 && a->undelivered_ref != LUA_NOREF) {
        push_hook(L, c, "on_undelivered");
        lua_rawgeti(L, box, a->undelivered_ref);
        c->phase = 1;
        return 2;
    }
    c->phase = 2;
    push_hook(L, c, "on_stop");
    if (!lua_isfunction(L, -2)) {
        return -1;
    }
    lua_rawgeti(L, box, c->box_ref);
    return 2;
}

static int error_begin(lua_State *L, lcoro *c)
{
    const shoal_result *e = c->error;
    int value = 0;
    if (e->value.len) {
        lcodec_push(L, c->node, e->value); /* or why it cannot be read */
        value = lua_gettop(L);
    }
    push_hook(L, c, "on_error");
    lfail_table(L, e->code, e->delivery ? e->delivery : SHOAL_HANDLED, e->text, value);
    return 2;
}

static int down_begin(lua_State *L, lcoro *c)
{
    push_hook(L, c, "on_down");
    lref_push(L, c->node, c->subject);
    lactor_push_reason(L, c->node, c->reason);
    return 3;
}

/* The answer of on_error and on_down is on top. */
static void hook_decided(lua_State *L, lcoro *c)
{
    if (lua_isnil(L, -1)) {
        return; /* c->code is SHOAL_DEFAULT */
    }
    int whole;
    lua_Integer answer = lua_tointegerx(L, -1, &whole);
    if (!whole || (answer != SHOAL_RESUME && answer != SHOAL_STOP)) {
        luaL_error(L, "%s must return shoal.RESUME, shoal.STOP or nothing, not %s",
                   ljob_name(c->kind), luaL_tolstring(L, -1, NULL));
    }
    c->code = (int)answer;
}

int ljob_begin(lua_State *L, lcoro *c)
{
    luaL_checkstack(L, 16, "handler");
    switch (c->kind) {
    case RUN_MESSAGE: return message_begin(L, c);
    case RUN_INIT: return init_begin(L, c);
    case RUN_STOP: return stop_begin(L, c);
    case RUN_ERROR: return error_begin(L, c);
    case RUN_DOWN: return down_begin(L, c);
    default: return -1;
    }
}

bool ljob_end(lua_State *L, lcoro *c)
{
    switch (c->kind) {
    case RUN_MESSAGE: message_replied(L, c); return false;
    case RUN_STOP: return c->phase == 1;
    case RUN_ERROR:
    case RUN_DOWN: hook_decided(L, c); return false;
    default: return false;
    }
}

#if LCOMPAT_CALLK
static int job_after(lua_State *L, int status, lua_KContext ctx);

static int job_run(lua_State *L, lcoro *c)
{
    int args = ljob_begin(L, c);
    if (args < 0) {
        return 0;
    }
    lua_callk(L, args, 1, (lua_KContext)c, job_after);
    return job_after(L, LUA_OK, (lua_KContext)c);
}

static int job_after(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    lcoro *c = (lcoro *)ctx;
    return ljob_end(L, c) ? job_run(L, c) : 0;
}

/* (c): in the coroutine. */
static int job_start(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    lua_settop(L, 0);
    return job_run(L, c);
}

/* (c, handler, self): in the coroutine, where what reading the value raises ends. */
static int job_call(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    if (!lcodec_push(L, c->node, c->value)) {
        job_unfit(c, SHOAL_E_BAD_VALUE, lua_tostring(L, -1));
        return 0;
    }
    lua_callk(L, 2, 1, (lua_KContext)c, job_after);
    return job_after(L, LUA_OK, (lua_KContext)c);
}

/* Without memory: a packed message whose handler the class has itself, under a name met before. */
static bool push_named(lcoro *c)
{
    lua_State *co = c->co;
    const lname *name =
        c->kind == RUN_MESSAGE && !c->object ? lobject_named(c->node, c->name) : NULL;
    if (!name || !name->handler) {
        return false;
    }
    lua_pushcfunction(co, job_call);
    lua_pushlightuserdata(co, c);
    lua_rawgeti(co, 1, c->actor->type->class_ref);
    lua_rawgeti(co, 1, name->ref);
    if (lua_rawget(co, -2) != LUA_TFUNCTION) {
        lua_settop(co, 1);
        return false;
    }
    lua_replace(co, -2);
    lua_rawgeti(co, 1, c->actor->self_ref);
    return true;
}

int ljob_push(lcoro *c)
{
    if (push_named(c)) {
        return 3;
    }
    lua_pushcfunction(c->co, job_start);
    lua_pushlightuserdata(c->co, c);
    return 1;
}
#else
/* (c): the handler and its arguments, moved to the coroutine; beside it. */
static int job_prepare(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    int args = ljob_begin(L, c);
    c->results = args;
    if (args >= 0) {
        luaL_checkstack(c->co, args + 2, "handler");
        lua_xmove(L, c->co, args + 1);
    }
    return 0;
}

int ljob_push(lcoro *c)
{
    c->direct = true;
    c->base = 2;
    return lprotect_to(c->node, job_prepare, c, c->co) ? c->results : LJOB_RAISED;
}
#endif

/* Without memory, and nothing raised: the message's handler with its arguments, if the class has it itself. */
bool ljob_push_direct(lcoro *c)
{
    lua_State *co = c->co;
    lobj *o = c->object;
    if (!o->name->handler) {
        return false;
    }
    lua_rawgeti(co, 1, c->actor->type->class_ref);
    lua_rawgeti(co, 1, o->name->ref);
    if (lua_rawget(co, 2) != LUA_TFUNCTION) {
        lua_settop(co, 1);
        return false;
    }
    lua_rawgeti(co, 1, c->actor->self_ref);
    lobject_push(co, o, 1);
    c->direct = true;
    c->base = 3; /* the box, the class */
    return true;
}

/* The values that a direct function returned begin at c->base of its coroutine. Pushes the first, or nil. */
static void push_first(lua_State *L, const lcoro *c)
{
    lua_State *co = c->co;
    if (lua_gettop(co) < c->base) {
        lua_pushnil(L);
        return;
    }
    lua_pushvalue(co, c->base);
    lua_xmove(co, L, 1);
}

/* (c): beside it; c->results: arguments of what is to be called again, else negative. */
static int job_finish(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    push_first(L, c);
    c->results = -1;
#if LCOMPAT_CALLK
    ljob_end(L, c);
#else
    if (ljob_end(L, c)) {
        lua_settop(c->co, 1);
        return job_prepare(L);
    }
#endif
    return 0;
}

/* What a task or fork returned, or raised, into its table: under 1.. and n of a task, under its number of a fork. */
static void task_store(lua_State *L, lcoro *c, bool fine)
{
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, c->box_ref);
    int into = lua_gettop(L), count = fine ? lua_gettop(c->co) - c->base + 1 : 1;
    if (c->kind == RUN_FORK) {
        lua_getfield(L, into, "left");
        lua_Integer left = lua_tointeger(L, -1) - 1;
        lua_pushinteger(L, left);
        lua_setfield(L, into, "left");
        push_first(L, c);
        lua_rawseti(L, into, c->code);
        c->parent->woken |= left == 0;
        return;
    }
    luaL_checkstack(L, count + 4, "results");
    luaL_checkstack(c->co, count, "results");
    for (int i = 0; i < count; i++) {
        lua_pushvalue(c->co, c->base + i);
    }
    lua_xmove(c->co, L, count);
    for (int i = count; i > 0; i--) {
        lua_rawseti(L, into, i);
    }
    lua_pushinteger(L, count);
    lua_setfield(L, into, "n");
    lua_pushboolean(L, fine);
    lua_setfield(L, into, "ok");
}

static int task_finish(lua_State *L)
{
    lcoro *c = lua_touserdata(L, 1);
    task_store(L, c, true);
    return 0;
}

void ljob_raised(lua_State *L, lcoro *c, int value)
{
    lnode_push_box(L, c->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, c->box_ref);
    if (c->kind == RUN_FORK) {
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, value);
        lua_rawseti(L, -2, 1);
        lua_setfield(L, -2, "failed");
        c->parent->woken = true;
        return;
    }
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, 1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "ok");
}

/* A reply that takes no memory. */
static bool reply_simple(lcoro *c)
{
    lobj *o = lobject_simple(c->co, c->node, c->base, 1);
    if (!o) {
        return false;
    }
    int code = shoal_reply_object(c->cx, (shoal_object){o, lobject_drop});
    if (code < 0) {
        lobject_free(c->co, o, 1);
    }
    return code == 0;
}

int ljob_returned(lcoro *c)
{
    if (c->kind == RUN_TASK || c->kind == RUN_FORK) {
        return c->box_ref == LUA_NOREF || lprotect_to(c->node, task_finish, c, c->co) ? LJOB_DONE
                                                                                      : LJOB_RAISED;
    }
    if (c->kind == RUN_MESSAGE && (c->answered || lua_gettop(c->co) < c->base ||
                                   lua_isnil(c->co, c->base) || reply_simple(c))) {
        return LJOB_DONE;
    }
    if (!lprotect_to(c->node, job_finish, c, c->co)) {
        return LJOB_RAISED;
    }
    return c->results < 0 ? LJOB_DONE : c->results;
}
