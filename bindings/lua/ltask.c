/* ltask.c - coroutines that belong to no message: node:task; and the parts of shoal.all, which run beside another. */
#include "lshoal.h"

/* node:task(fn) -> true */
int ltask_new(lua_State *L)
{
    return ltask_begin(L, lnode_check(L, 1));
}

int ltask_begin(lua_State *L, lnode *n)
{
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
    lprotect_raise(L, n);
    if (!c) {
        return lfail(L, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* fork(fn): runs it beside the running coroutine, in the same message */
int ltask_fork(lua_State *L)
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
int ltask_park(lua_State *L)
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
int ltask_unpark(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    if (c && c->parent) {
        c->parent->woken = true;
    }
    return 0;
}

/* drop(): ends the forks that still wait */
int ltask_drop(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    if (c) {
        c->woken = false;
    }
    if (c && c->forks) {
        lua_State *outer;
        lnode_enter(L, c->node, &outer);
        lcoro_close_forks(c);
        lnode_leave(c->node, outer);
    }
    return 0;
}

/* busy() -> whether a coroutine of ours runs */
int ltask_busy(lua_State *L)
{
    lua_pushboolean(L, lvm_of(L)->running != NULL);
    return 1;
}
