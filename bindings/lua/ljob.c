/* ljob.c - what the coroutine of a message or hook does: its arguments, the call, what becomes of the result.
 *
 * All of it runs inside the coroutine, so that what it raises (no memory, too) ends there. */
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

/* Names of a class that are no handlers. */
static bool is_other(const char *name)
{
    return name[0] == '_' || strncmp(name, "on_", 3) == 0 || strcmp(name, "init") == 0 ||
           strcmp(name, "upgrade") == 0 || strcmp(name, "cx") == 0;
}

/* A class field that may be a handler: pushes it, or nil. */
static bool push_handler(lua_State *L, lnode *n, const lactor *a, const char *name)
{
    lnode_push_box(L, n, BOX_ANCHOR);
    lua_rawgeti(L, -1, a->type->class_ref);
    lua_remove(L, -2);
    if (is_other(name) || lua_getfield(L, -1, name) != LUA_TFUNCTION) {
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

/* The handlers of the class at 2, replaced by its bases (tables under __index, the text at 3). Neither
 * runs Lua code nor takes memory, so that the names stay. */
static void handlers_find(lua_State *L, struct handlers *h)
{
    for (int depth = 0; depth < 8 && lua_istable(L, 2); depth++) {
        for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
            const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
            if (lua_isfunction(L, -1) && name[0] && !is_other(name)) {
                handlers_add(h, name);
            }
        }
        if (!lua_getmetatable(L, 2)) {
            return;
        }
        lua_pushvalue(L, 3);
        lua_rawget(L, -2);
        lua_replace(L, 2);
        lua_pop(L, 1);
    }
}

/* No handler takes it: says which there are, as many as the text has room for. */
static int job_unknown(lua_State *L, lcoro *c)
{
    struct handlers h = {.count = 0};
    char text[1024] = "none";
    size_t len = 0;
    lua_settop(L, 2); /* self, class */
    lua_pushliteral(L, "__index");
    handlers_find(L, &h);
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

static int job_message(lua_State *L, lcoro *c)
{
    lnode *n = c->node;
    int args = 2;
    lactor_push_self(L, c->actor);
    if (!push_handler(L, n, c->actor, c->name)) {
        if (lua_getfield(L, 2, "on_message") != LUA_TFUNCTION) {
            return job_unknown(L, c);
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
        return 0; /* c->code is SHOAL_DEFAULT */
    }
    int whole;
    lua_Integer answer = lua_tointegerx(L, -1, &whole);
    if (!whole || (answer != SHOAL_RESUME && answer != SHOAL_STOP)) {
        return luaL_error(L, "%s must return shoal.RESUME, shoal.STOP or nothing, not %s",
                          ljob_name(c->kind), luaL_tolstring(L, -1, NULL));
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
int ljob_start(lua_State *L)
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
