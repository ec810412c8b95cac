/* lcompat.h - the only place, with lcompat.c, that knows one Lua version from another.
 *
 * The source is written for 5.4 and 5.3; here is what 5.2, 5.1 and LuaJIT lack, under the same names.
 *   LCOMPAT_CALLK     a C function may go on after a Lua function that it called has waited (5.3, 5.4). Elsewhere a
 *                     coroutine's first function is the handler itself; what comes before and after runs beside it.
 *   LCOMPAT_INTEGERS  integers are a kind of number of their own (5.3, 5.4). Elsewhere a whole number up to 2^53 is one. */
#ifndef SHOAL_LCOMPAT_H
#define SHOAL_LCOMPAT_H

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM == 501 && defined(__has_include)
#if __has_include(<luajit.h>)
#define LCOMPAT_LUAJIT 1
#endif
#endif

#if LUA_VERSION_NUM >= 503
#define LCOMPAT_CALLK    1
#define LCOMPAT_INTEGERS 1
#else
#define LCOMPAT_CALLK    0
#define LCOMPAT_INTEGERS 0
#endif

/* --- one value that a userdata keeps alive; a table, which all versions take --- */
#if LUA_VERSION_NUM >= 504
#define lcompat_newuserdata(L, size) lua_newuserdatauv((L), (size), 1)
#define lcompat_setowned(L, idx)     lua_setiuservalue((L), (idx), 1)
#define lcompat_pushowned(L, idx)    ((void)lua_getiuservalue((L), (idx), 1))
#elif LUA_VERSION_NUM >= 502
#define lcompat_newuserdata(L, size) lua_newuserdata((L), (size))
#define lcompat_setowned(L, idx)     lua_setuservalue((L), (idx))
#define lcompat_pushowned(L, idx)    ((void)lua_getuservalue((L), (idx)))
#else
#define lcompat_newuserdata(L, size) lua_newuserdata((L), (size))
#define lcompat_setowned(L, idx)     ((void)lua_setfenv((L), (idx)))
#define lcompat_pushowned(L, idx)    lua_getfenv((L), (idx))
#endif

/* --- coroutines --- */

/* Resumes; *left: how many values the coroutine left on its stack when it waits; all there are when it has ended. */
static inline int lcompat_resume(lua_State *co, lua_State *from, int args, int *left)
{
#if LUA_VERSION_NUM >= 504
    return lua_resume(co, from, args, left);
#else
#if LUA_VERSION_NUM >= 502
    int status = lua_resume(co, from, args);
#else
    (void)from;
    int status = lua_resume(co, args);
#endif
    *left = lua_gettop(co);
    return status;
#endif
}

/* Ends a suspended or failed coroutine: its <close> variables run. Before 5.4 there are none. */
static inline void lcompat_close(lua_State *co, lua_State *from)
{
#if LUA_VERSION_NUM >= 504 && defined(LUA_VERSION_RELEASE_NUM) && LUA_VERSION_RELEASE_NUM >= 50406
    lua_closethread(co, from);
#elif LUA_VERSION_NUM >= 504
    (void)from;
    lua_resetthread(co);
#else
    (void)co, (void)from;
#endif
}

/* May L wait? Where the version cannot tell, lua_yield raises by itself. */
#if LUA_VERSION_NUM >= 503 || defined(LCOMPAT_LUAJIT)
#define lcompat_yieldable(L) lua_isyieldable(L)
#else
bool lcompat_yieldable(lua_State *L);
#endif

/* Waits; the values that it is resumed with are what the C function that calls this returns. check: runs first when
 * it is resumed, and tells how many there are; only where LCOMPAT_CALLK. */
#if LCOMPAT_CALLK
#define lcompat_yield(L, check) lua_yieldk((L), 0, 0, (check))
#else
#define lcompat_yield(L, check) lua_yield((L), 0)
#endif

/* --- numbers --- */
#if LCOMPAT_INTEGERS
#define lcompat_isinteger(L, idx) lua_isinteger((L), (idx))
#else
/* A whole number that a double holds exactly; never -0.0. idx is a number. */
bool lcompat_isinteger(lua_State *L, int idx);
#endif

/* --- names that are younger than 5.1 --- */
#if LUA_VERSION_NUM < 503
#if LUA_VERSION_NUM < 502
#ifndef LUA_OK
#define LUA_OK 0
#endif
#define lua_rawlen(L, idx) lua_objlen((L), (idx))
#define lua_absindex(L, idx)                                                                       \
    ((idx) > 0 || (idx) <= LUA_REGISTRYINDEX ? (idx) : lua_gettop(L) + (idx) + 1)
void lcompat_rawsetp(lua_State *L, int idx, const void *key);
#define lua_rawsetp lcompat_rawsetp
#endif
int lcompat_rawgetp(lua_State *L, int idx, const void *key);
int lcompat_rawget(lua_State *L, int idx);
int lcompat_rawgeti(lua_State *L, int idx, lua_Integer n);
int lcompat_getfield(lua_State *L, int idx, const char *key);
int lcompat_getmetafield(lua_State *L, int idx, const char *key);
#define lua_rawget             lcompat_rawget
#define lua_rawgeti            lcompat_rawgeti
#define lua_rawgetp            lcompat_rawgetp
#define lua_getfield           lcompat_getfield
#define luaL_getmetafield      lcompat_getmetafield
#define lua_rawseti(L, idx, n) (lua_rawseti)((L), (idx), (int)(n))
#endif
#if LUA_VERSION_NUM < 502
const char *lcompat_tolstring(lua_State *L, int idx, size_t *len);
#define luaL_tolstring lcompat_tolstring
#ifndef LCOMPAT_LUAJIT
void lcompat_setmetatable(lua_State *L, const char *meta);
void *lcompat_testudata(lua_State *L, int idx, const char *meta);
void lcompat_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues);
void lcompat_traceback(lua_State *L, lua_State *of, const char *text, int level);
lua_Integer lcompat_tointegerx(lua_State *L, int idx, int *whole);
#define luaL_setmetatable lcompat_setmetatable
#define luaL_testudata    lcompat_testudata
#define luaL_setfuncs     lcompat_setfuncs
#define luaL_traceback    lcompat_traceback
#define lua_tointegerx    lcompat_tointegerx
#endif
#undef luaL_newlib
#define luaL_newlib(L, functions) (lua_newtable(L), luaL_setfuncs((L), (functions), 0))
#endif

/* A C function as a value: made once and kept, so that pushing it takes no memory. */
#if LUA_VERSION_NUM >= 502
#define lcompat_pushfunction(L, fn) lua_pushcfunction((L), (fn))
#else
void lcompat_pushfunction(lua_State *L, lua_CFunction fn);
#endif

/* --- what a debug hook raised --- */
/* In a message handler: whether a debug hook is what raises. */
bool lcompat_in_hook(lua_State *L);

#endif
