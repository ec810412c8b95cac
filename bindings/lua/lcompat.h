/* lcompat.h - the only place that knows one Lua version from another.
 *
 * Built for 5.4 and 5.3. Older VMs (5.1, LuaJIT) have no continuation functions (lua_callk, lua_yieldk):
 * there job_start of lcoro.c becomes a function of shoal.lua, and results are pushed before the resume. */
#ifndef SHOAL_LCOMPAT_H
#define SHOAL_LCOMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 503
#error "this source needs Lua 5.3 or later"
#endif

/* One value of a userdata: what it keeps alive. */
#if LUA_VERSION_NUM >= 504
#define lcompat_newuserdata(L, size) lua_newuserdatauv((L), (size), 1)
#define lcompat_setowned(L, idx)     lua_setiuservalue((L), (idx), 1)
#define lcompat_pushowned(L, idx)    lua_getiuservalue((L), (idx), 1)
#else
#define lcompat_newuserdata(L, size) lua_newuserdata((L), (size))
#define lcompat_setowned(L, idx)     lua_setuservalue((L), (idx))
#define lcompat_pushowned(L, idx)    lua_getuservalue((L), (idx))
#endif

/* Resumes; *left: how many values the coroutine left on its stack. */
static inline int lcompat_resume(lua_State *co, lua_State *from, int args, int *left)
{
#if LUA_VERSION_NUM >= 504
    return lua_resume(co, from, args, left);
#else
    int status = lua_resume(co, from, args);
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

#endif
