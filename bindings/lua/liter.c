/* liter.c - node:lookup_all: an iterator fed by a call that gives many results.
 *
 * The struct is shared by the userdata and the call that feeds it; who goes last frees it. */
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

struct liter {
    lnode *node;
    int64_t call;
    shoal_pid *items;
    size_t first, count, cap;
    lcoro *waiter;
    int code; /* 0: goes on; SHOAL_END or a failure */
    int delivery;
    bool fed;  /* the call is open */
    bool held; /* by its userdata */
    char text[256];
};

static void iter_free(liter *it)
{
    if (!it->fed && !it->held) {
        free(it->items);
        free(it);
    }
}

static bool iter_add(liter *it, shoal_pid pid)
{
    if (it->first > 0 && it->first + it->count == it->cap) {
        memmove(it->items, it->items + it->first, it->count * sizeof *it->items);
        it->first = 0;
    }
    if (it->count == it->cap) {
        size_t cap = it->cap ? it->cap * 2 : 8;
        shoal_pid *grown = realloc(it->items, cap * sizeof *grown);
        if (!grown) {
            return false;
        }
        it->items = grown;
        it->cap = cap;
    }
    it->items[it->first + it->count++] = pid;
    return true;
}

static void iter_end(liter *it, int code, int delivery, const char *text)
{
    it->code = code;
    it->delivery = delivery;
    strncpy(it->text, text, sizeof it->text - 1);
}

static void iter_fed(void *ud, const shoal_result *result)
{
    liter *it = ud;
    if (result->code == 0 && !iter_add(it, result->pid)) {
        iter_end(it, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "out of memory");
    } else if (result->code != 0) {
        it->fed = false;
        if (it->code == 0) {
            iter_end(it, result->code, result->delivery, result->text);
        }
    }
    if (!it->held) {
        iter_free(it);
        return;
    }
    lcoro *c = it->waiter;
    if (c) {
        it->waiter = NULL;
        c->iter = NULL;
        c->iter_ended = it; /* alive: its userdata is on the stack of c */
        lcoro_wake(c, result);
    }
}

void liter_forget(liter *it)
{
    it->waiter = NULL;
}

static liter *iter_check(lua_State *L, int arg)
{
    return *(liter **)luaL_checkudata(L, arg, "shoal.refs");
}

static int iter_close(lua_State *L)
{
    liter *it = iter_check(L, 1);
    if (it->code == 0) {
        it->code = SHOAL_END;
    }
    it->count = 0;
    if (it->fed && it->node->node) {
        shoal_cancel(it->node->node, it->call);
    }
    return 0;
}

static int iter_gc(lua_State *L)
{
    liter *it = iter_check(L, 1);
    iter_close(L);
    it->held = false;
    iter_free(it);
    return 0;
}

int liter_push(lua_State *L, liter *it)
{
    if (it->count > 0) {
        it->count--;
        lref_push(L, it->node, it->items[it->first++]);
        return 1;
    }
    lua_pushnil(L);
    if (it->code == SHOAL_END) {
        return 1;
    }
    if (it->code < 0) {
        lfail_table(L, it->code, it->delivery, it->text, 0);
        it->code = SHOAL_END; /* told once */
    } else {
        lfail_table(L, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the node is closed", 0);
    }
    return 2;
}

/* iter_next(it) -> ref, or nil at the end, or nil and the failure that shoal.lua raises */
static int iter_next(lua_State *L)
{
    liter *it = iter_check(L, 1);
    if (it->count > 0 || it->code != 0 || !lnode_usable(it->node)) {
        return liter_push(L, it);
    }
    lcoro *c = lcoro_waiter(L, it->node, "lookup_all");
    if (it->waiter) {
        return luaL_error(L, "lookup_all: another coroutine waits for the next item");
    }
    lua_settop(L, 1);
    it->waiter = c;
    c->iter = it;
    return lcoro_wait(L, c, WAIT_ITER, WHAT_ITEM);
}

/* node:lookup_all(name [, options]) -> iterator */
int liter_lookup_all(lua_State *L)
{
    static const char *const allowed[] = {"follow", "timeout", NULL};
    lnode *n = lnode_check(L, 1);
    const char *name = lcheck_name(L, 2, "the name");
    lopt_check(L, 3, "lookup_all", allowed);
    uint32_t ms = lopt_ms(L, 3, "timeout", 0, 5000), flags = 0;
    if (lua_istable(L, 3) && lua_getfield(L, 3, "follow") && lua_toboolean(L, -1)) {
        flags = SHOAL_FOLLOW;
    }
    liter **slot = lcompat_newuserdata(L, sizeof *slot);
    *slot = calloc(1, sizeof **slot);
    if (!*slot) {
        return luaL_error(L, "out of memory");
    }
    liter *it = *slot;
    it->node = n;
    it->held = true;
    luaL_setmetatable(L, "shoal.refs");
    lnode_push_box(L, n, BOX_ANCHOR);
    lcompat_setowned(L, -2);
    if (!lnode_usable(n)) {
        iter_end(it, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the node is closed");
    } else {
        it->call = shoal_lookup_all(n->node, name, ms, flags, iter_fed, it);
        it->fed = it->call > 0;
    }
    if (it->call < 0) {
        iter_end(it, (int)it->call, SHOAL_NOT_SENT, shoal_last_error(n->node));
    }
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, -3); /* 5.4 closes it when the loop is left */
    return 4;
}

void liter_open(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__gc", iter_gc}, {"__close", iter_close}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"close", iter_close}, {NULL, NULL}}; /* next: shoal.lua */
    static const luaL_Reg functions[] = {{"iter_next", iter_next}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0); /* the module's table is on top */
    luaL_newmetatable(L, "shoal.refs");
    luaL_setfuncs(L, meta, 0);
    lmeta_index(L, methods, NULL);
    lua_setfield(L, -2, "refs_meta");
}
