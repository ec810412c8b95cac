/* lprotect.c - Lua code under pcall inside the library, and what a debug hook raises there.
 *
 * An interpreter says Ctrl-C (and a host its own limits) by raising from a debug hook. Such an error belongs to no
 * handler or callback: it is kept, and raised again when the library has returned to the host. */
#include <stdio.h>

#include "lshoal.h"

bool lprotect_hooked(lua_State *L)
{
    lvm *vm = lvm_of(L);
    vm->handled = true;
    bool hooked = lcompat_in_hook(L);
    if (hooked) {
        vm->hooked = true; /* stays when it is raised on */
    }
    return hooked;
}

int lprotect_pcall(lua_State *L, int args, int handler)
{
    lvm *vm = lvm_of(L);
    vm->hooked = vm->handled = false;
    int status = lua_pcall(L, args, 0, handler);
#ifdef LCOMPAT_LUAJIT
    /* A hook may raise while our message handler is called; LuaJIT drops what it said. Nothing else ends a handler
     * before its first line. */
    if (status == LUA_ERRERR && !vm->handled) {
        lua_pop(L, 1);
        lua_pushliteral(L, "a debug hook raised while an error was handled: interrupted!");
        vm->hooked = true;
        status = LUA_ERRRUN;
    }
#endif
    return status;
}

static int protect_message(lua_State *L)
{
    lprotect_hooked(L);
    return 1;
}

/* Its place in the box is there from the start: no memory is needed. */
void lprotect_keep(lua_State *L, lnode *n)
{
    if (!n->raised) {
        lua_pushvalue(L, -1);
        n->raised = lnode_set_box(L, n, BOX_RAISED);
    }
}

/* The raised value is on top when it is false. */
static bool protect_call(lnode *n, lua_CFunction fn, void *ud)
{
    lua_State *L = n->vm->L;
    lcompat_pushfunction(L, protect_message);
    int handler = lua_gettop(L);
    lcompat_pushfunction(L, fn);
    lua_pushlightuserdata(L, ud);
    int status = lprotect_pcall(L, 1, handler);
    lua_remove(L, handler);
    n->vm->hooked = n->vm->hooked && status == LUA_ERRRUN;
    if (n->vm->hooked) {
        lprotect_keep(L, n);
    }
    return status == LUA_OK;
}

bool lprotect_try(lnode *n, lua_CFunction fn, void *ud, char *why, size_t size)
{
    lua_State *L = n->vm->L;
    n->vm->hooked = false;
    snprintf(why, size, "out of memory");
    if (!lua_checkstack(L, 12)) {
        return false;
    }
    if (protect_call(n, fn, ud)) {
        return true;
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        snprintf(why, size, "%s", lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    return false;
}

bool lprotect_to(lnode *n, lua_CFunction fn, void *ud, lua_State *co)
{
    lua_State *L = n->vm->L;
    if (!lua_checkstack(L, 12) || !lua_checkstack(co, 4)) {
        lua_pushnil(co);
        return false;
    }
    if (protect_call(n, fn, ud)) {
        return true;
    }
    lua_xmove(L, co, 1);
    return false;
}

bool lprotect(lnode *n, lua_CFunction fn, void *ud)
{
    char why[1];
    return lprotect_try(n, fn, ud, why, sizeof why);
}

void lprotect_raise(lua_State *L, lnode *n)
{
    if (!n->raised || n->entered) {
        return;
    }
    n->raised = false;
    lnode_push_box(L, n, BOX_RAISED);
    lua_pushboolean(L, 0); /* not nil: its place stays */
    lnode_set_box(L, n, BOX_RAISED);
    lua_error(L);
}
