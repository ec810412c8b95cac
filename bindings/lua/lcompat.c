/* lcompat.c - what 5.1, 5.2 and LuaJIT lack of the interface that the other files are written for. */
#define _POSIX_C_SOURCE 200809L /* pthread_sigmask */

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lcompat.h"

#undef lua_rawget
#undef lua_rawgeti
#undef lua_rawgetp
#undef lua_getfield
#undef luaL_getmetafield

#if !LCOMPAT_INTEGERS
bool lcompat_isinteger(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TNUMBER) {
        return false;
    }
    double value = (double)lua_tonumber(L, idx);
    return value >= -9007199254740992.0 && value <= 9007199254740992.0 &&
           value == (double)(int64_t)value && !(value == 0 && signbit(value));
}
#endif

#if LUA_VERSION_NUM < 502
void lcompat_rawsetp(lua_State *L, int idx, const void *key)
{
    idx = lua_absindex(L, idx);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_insert(L, -2);
    lua_rawset(L, idx);
}
#endif

#if LUA_VERSION_NUM < 503
int lcompat_rawgetp(lua_State *L, int idx, const void *key)
{
#if LUA_VERSION_NUM < 502
    idx = lua_absindex(L, idx);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_rawget(L, idx);
#else
    lua_rawgetp(L, idx, key);
#endif
    return lua_type(L, -1);
}

int lcompat_rawget(lua_State *L, int idx)
{
    lua_rawget(L, idx);
    return lua_type(L, -1);
}

int lcompat_rawgeti(lua_State *L, int idx, lua_Integer n)
{
    lua_rawgeti(L, idx, (int)n);
    return lua_type(L, -1);
}

int lcompat_getfield(lua_State *L, int idx, const char *key)
{
    lua_getfield(L, idx, key);
    return lua_type(L, -1);
}

/* Nothing is pushed for LUA_TNIL, as later versions do it. */
int lcompat_getmetafield(lua_State *L, int idx, const char *key)
{
    return luaL_getmetafield(L, idx, key) ? lua_type(L, -1) : LUA_TNIL;
}
#endif

#if LUA_VERSION_NUM < 502
const char *lcompat_tolstring(lua_State *L, int idx, size_t *len)
{
    if (!luaL_callmeta(L, idx, "__tostring")) {
        switch (lua_type(L, idx)) {
        case LUA_TNUMBER:
        case LUA_TSTRING: lua_pushvalue(L, idx); break;
        case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, idx) ? "true" : "false"); break;
        case LUA_TNIL: lua_pushliteral(L, "nil"); break;
        default: lua_pushfstring(L, "%s: %p", luaL_typename(L, idx), lua_topointer(L, idx)); break;
        }
    }
    if (!lua_isstring(L, -1)) {
        luaL_error(L, "'__tostring' must return a string");
    }
    return lua_tolstring(L, -1, len);
}

void lcompat_pushfunction(lua_State *L, lua_CFunction fn)
{
    const void *key = (const void *)(uintptr_t)fn;
    if (lcompat_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushcfunction(L, fn);
        lua_pushvalue(L, -1);
        lcompat_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
}

#ifndef LCOMPAT_LUAJIT
void lcompat_setmetatable(lua_State *L, const char *meta)
{
    luaL_getmetatable(L, meta);
    lua_setmetatable(L, -2);
}

void *lcompat_testudata(lua_State *L, int idx, const char *meta)
{
    void *data = lua_touserdata(L, idx);
    if (!data || !lua_getmetatable(L, idx)) {
        return NULL;
    }
    luaL_getmetatable(L, meta);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? data : NULL;
}

void lcompat_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues)
{
    for (; functions->name; functions++) {
        for (int i = 0; i < upvalues; i++) {
            lua_pushvalue(L, -upvalues);
        }
        lua_pushcclosure(L, functions->func, upvalues);
        lua_setfield(L, -(upvalues + 2), functions->name);
    }
    lua_pop(L, upvalues);
}

/* As debug.traceback, which knows how; without it, or without memory, the text alone. */
void lcompat_traceback(lua_State *L, lua_State *of, const char *text, int level)
{
    luaL_checkstack(L, 6, "traceback");
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "debug");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "traceback");
    }
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 2);
        lua_pushstring(L, text);
        return;
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
    lua_pushthread(of);
    lua_xmove(of, L, 1);
    lua_pushstring(L, text);
    lua_pushinteger(L, level);
    lua_call(L, 3, 1);
}

lua_Integer lcompat_tointegerx(lua_State *L, int idx, int *whole)
{
    lua_Number value = lua_tonumber(L, idx);
    *whole = lua_isnumber(L, idx) && value >= -9007199254740992.0 && value <= 9007199254740992.0 &&
             value == floor(value);
    return *whole ? (lua_Integer)value : 0;
}
#endif
#endif

/* --- waiting --- */

#if LUA_VERSION_NUM < 503 && !defined(LCOMPAT_LUAJIT)
/* A C function between here and the coroutine's first one does not let through what waits; of metamethods and iterators
 * nothing shows, there lua_yield raises. */
bool lcompat_yieldable(lua_State *L)
{
#if LUA_VERSION_NUM < 502
    lua_Debug frame;
    for (int level = 1; lua_getstack(L, level, &frame); level++) {
        if (!lua_getinfo(L, "S", &frame) || strcmp(frame.what, "C") == 0) {
            return false;
        }
    }
#else
    (void)L;
#endif
    return true;
}
#endif

/* --- hooks --- */

#if LUA_VERSION_NUM >= 503
bool lcompat_in_hook(lua_State *L)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        if (lua_getinfo(L, "n", &frame) && strcmp(frame.namewhat, "hook") == 0) {
            return true;
        }
    }
    return false;
}
#else
static char probe_key; /* registry: whether the probe ran */

static void hook_probe(lua_State *L, lua_Debug *frame)
{
    (void)frame;
    lua_pushboolean(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &probe_key);
}

static int hook_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* No hook runs inside a hook: if one for calls does not hear of a call, this is inside one. No signal comes in between:
 * an interpreter's Ctrl-C is a hook that its signal handler sets, and the probe would take it away. */
bool lcompat_in_hook(lua_State *L)
{
    luaL_checkstack(L, 6, "hook");
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &probe_key);
    lcompat_pushfunction(L, hook_nothing);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    lua_Hook hook = lua_gethook(L);
    int mask = lua_gethookmask(L), count = lua_gethookcount(L);
    lua_sethook(L, hook_probe, LUA_MASKCALL, 0);
    int status = lua_pcall(L, 0, 0, 0); /* no error leaves the probe or the mask behind */
    lua_sethook(L, hook, mask, count);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != LUA_OK) {
        lua_pop(L, 1);
        return false;
    }
    lcompat_rawgetp(L, LUA_REGISTRYINDEX, &probe_key);
    bool heard = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return !heard;
}
#endif
