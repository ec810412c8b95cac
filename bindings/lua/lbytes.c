/* lbytes.c - shoal.bytes: immutable bytes that are no text. */
#include <string.h>

#include "lshoal.h"

static char meta_key; /* registry: the metatable; cheaper to find than by its name */

void lbytes_push(lua_State *L, const void *data, size_t len)
{
    lbytes *b = lcompat_newuserdata(L, sizeof *b + len);
    b->len = len;
    if (len) {
        memcpy(b->data, data, len);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setmetatable(L, -2);
}

/* shoal.bytes(s) -> bytes */
int lbytes_new(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lbytes_push(L, s, n);
    return 1;
}

static int bytes_tostring(lua_State *L)
{
    lbytes *b = luaL_checkudata(L, 1, "shoal.bytes");
    lua_pushlstring(L, b->data, b->len);
    return 1;
}

static int bytes_len(lua_State *L)
{
    lbytes *b = luaL_checkudata(L, 1, "shoal.bytes");
    lua_pushinteger(L, (lua_Integer)b->len);
    return 1;
}

static int bytes_eq(lua_State *L)
{
    lbytes *a = luaL_testudata(L, 1, "shoal.bytes");
    lbytes *b = luaL_testudata(L, 2, "shoal.bytes");
    lua_pushboolean(L, a && b && a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    return 1;
}

/* b:sub(i [, j]) -> bytes, as string.sub */
static int bytes_sub(lua_State *L)
{
    lbytes *b = luaL_checkudata(L, 1, "shoal.bytes");
    lua_Integer len = (lua_Integer)b->len;
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_optinteger(L, 3, -1);
    from = from < 0 ? (from < -len ? 1 : len + from + 1) : from == 0 ? 1 : from;
    to = to < 0 ? (to < -len ? 0 : len + to + 1) : to > len ? len : to;
    lbytes_push(L, b->data + (from <= to ? from - 1 : 0), from <= to ? (size_t)(to - from + 1) : 0);
    return 1;
}

void lbytes_open(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__tostring", bytes_tostring}, {"__len", bytes_len}, {"__eq", bytes_eq}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"sub", bytes_sub}, {NULL, NULL}};
    luaL_newmetatable(L, "shoal.bytes");
    luaL_setfuncs(L, meta, 0);
    lmeta_index(L, methods, NULL);
    lvm_of(L)->bytes = lua_topointer(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
}
