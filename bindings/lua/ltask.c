/* ltask.c - coroutines that belong to no message: node:task; and the parts of shoal.all, which run beside another. */
#include "lshoal.h"

/* node:task(fn) -> true */
int ltask_new(lua_State *L)
{
    lua_settop(L, 2);
    return ltask_begin(L, lnode_check(L, 1));
}

/* task(node, fn, into) -> true: the same; what fn returns or raises is put into a table */
int ltask_run(lua_State *L)
{
    lua_settop(L, 3);
    return ltask_begin(L, lnode_check(L, 1));
}

/* Begins c with the function at fn; the table at into, if there is one, gets what comes of it. */
static void task_start(lua_State *L, lcoro *c, int fn, int into)
{
    c->direct = true;
    if (lua_istable(L, into)) {
        lnode_push_box(L, c->node, BOX_ANCHOR);
        lua_pushvalue(L, into);
        c->box_ref = lbox_ref(L, c->node, lua_gettop(L) - 1);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, fn);
    lua_xmove(L, c->co, 1);
    lcoro_step(c, 0);
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
        task_start(L, c, 2, 3);
    }
    lnode_leave(n, outer);
    lprotect_raise(L, n);
    if (!c) {
        return lfail(L, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* fork(fn, into, i): runs it beside the running coroutine, in the same message; its result is put under i */
int ltask_fork(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TTABLE);
    int number = (int)luaL_checkinteger(L, 3);
    lcoro *running = lvm_of(L)->running;
    lcoro *parent = lcoro_waiter(L, running ? running->node : NULL, "shoal.all");
    lnode *n = parent->node;
    lua_State *outer;
    lnode_enter(L, n, &outer);
    lcoro *c = lcoro_new(n, RUN_FORK, parent->actor, NULL);
    if (c) {
        c->parent = parent;
        c->code = number;
        parent->forks++;
        task_start(L, c, 1, 2);
    }
    lnode_leave(n, outer);
    return c ? 0 : luaL_error(L, "out of memory");
}

/* park(): waits until all forks have ended, or one has failed */
int ltask_park(lua_State *L)
{
    lcoro *running = lvm_of(L)->running;
    lcoro *c = lcoro_waiter(L, running ? running->node : NULL, "shoal.all");
    if (c->woken || !lnode_usable(c->node)) {
        c->woken = false;
        return 0;
    }
    return lcoro_wait(L, c, WAIT_PARK, WHAT_NOTHING);
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
