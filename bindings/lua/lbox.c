/* lbox.c - what a node keeps alive: one table, its box, owned by the node's userdata.
 *
 * References lie in it under whole numbers from 1, always the same ones again (a stack of free ones in C), so that they
 * stay in the table's array part and an empty one can be set without memory; single values lie under addresses.
 * While inside the library the registry holds the box under the node's address, else false. */
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

static char nodes_key; /* registry: address of lnode -> its userdata, values weak */
static char box_keys[BOX_KEYS];

/* --- the box --- */

static void push_box(lua_State *L, lnode *n)
{
    luaL_checkstack(L, 6, "node");
    if (n->entered) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, n);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nodes_key);
    if (lua_rawgetp(L, -1, n) == LUA_TUSERDATA) {
        lcompat_pushowned(L, -1);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
}

void lnode_push_box(lua_State *L, lnode *n, int field)
{
    push_box(L, n);
    if (field != BOX_ANCHOR && lua_istable(L, -1)) {
        lua_rawgetp(L, -1, &box_keys[field]);
        lua_remove(L, -2);
    }
}

void lnode_push(lua_State *L, lnode *n)
{
    lnode_push_box(L, n, BOX_NODE);
}

bool lnode_set_box(lua_State *L, lnode *n, int field)
{
    push_box(L, n);
    bool there = lua_istable(L, -1);
    lua_insert(L, -2);
    if (there) {
        lua_rawsetp(L, -2, &box_keys[field]);
    }
    lua_pop(L, there ? 1 : 2);
    return there;
}

static void weak_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void lbox_new(lua_State *L, lnode *n, int idx)
{
    lua_newtable(L);
    lua_pushvalue(L, idx);
    lua_rawsetp(L, -2, &box_keys[BOX_NODE]);
    weak_table(L, "v");
    lua_rawsetp(L, -2, &box_keys[BOX_REFS]);
    lua_getfield(L, 1, "on_event");
    lua_rawsetp(L, -2, &box_keys[BOX_EVENT]);
    lua_getfield(L, 1, "on_log");
    lua_rawsetp(L, -2, &box_keys[BOX_LOG]);
    lua_pushboolean(L, 0);
    lua_rawsetp(L, -2, &box_keys[BOX_RAISED]);
    lcompat_setowned(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nodes_key);
    lua_pushvalue(L, idx);
    lua_rawsetp(L, -2, n);
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, n);
}

void lbox_open(lua_State *L)
{
    weak_table(L, "v");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &nodes_key);
}

/* --- inside the library --- */

void lnode_enter(lua_State *L, lnode *n, lua_State **outer)
{
    *outer = n->vm->L;
    if (n->entered == 0) {
        push_box(L, n);
        lua_rawsetp(L, LUA_REGISTRYINDEX, n);
        lobject_sweep(L, n);
    }
    n->entered++;
    n->vm->L = L;
}

void lnode_leave(lnode *n, lua_State *outer)
{
    lua_State *L = n->vm->L;
    n->entered--;
    if (n->entered == 0) {
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, n);
    }
    n->vm->L = outer;
}

/* --- references --- */

static void slots_reserve(lua_State *L, lnode *n)
{
    if (n->slot_top < n->free_cap) {
        return;
    }
    int cap = n->free_cap ? n->free_cap * 2 : 32;
    int *grown = realloc(n->free_slots, (size_t)cap * sizeof *grown);
    if (!grown) {
        luaL_error(L, "out of memory");
        return;
    }
    n->free_slots = grown;
    n->free_cap = cap;
}

int lbox_ref(lua_State *L, lnode *n, int box)
{
    if (n->free_count > 0) {
        int slot = n->free_slots[n->free_count - 1];
        lua_rawseti(L, box, slot);
        n->free_count--;
        return slot;
    }
    slots_reserve(L, n);
    lua_rawseti(L, box, n->slot_top + 1);
    return ++n->slot_top;
}

void lbox_unref(lua_State *L, lnode *n, int box, int slot)
{
    if (slot == LUA_NOREF) {
        return;
    }
    lua_pushboolean(L, 0);
    lua_rawseti(L, box, slot);
    n->free_slots[n->free_count++] = slot;
}

void lbox_free(lnode *n)
{
    free(n->free_slots);
    n->free_slots = NULL;
    n->free_cap = n->free_count = n->slot_top = 0;
}
