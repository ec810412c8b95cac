/* lshoal.c - the module "shoal.core": its table, and what every function needs: failures, options, names.
 *
 * shoal.lua is what users require; it adds what is easier said in Lua. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

static char vm_key;

lvm *lvm_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &vm_key);
    lvm *vm = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return vm;
}

char *lcopy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* --- failures --- */

static const char *delivery_name(int delivery)
{
    switch (delivery) {
    case SHOAL_UNKNOWN: return "unknown";
    case SHOAL_HANDLED: return "handled";
    default: return "not_sent";
    }
}

int lfail(lua_State *L, int code, int delivery, const char *text)
{
    if (code == SHOAL_E_USAGE) {
        return luaL_error(L, "%s", text);
    }
    lua_pushnil(L);
    lua_pushstring(L, text);
    lua_pushstring(L, shoal_code_name(code));
    lua_pushstring(L, delivery_name(delivery));
    return 4;
}

int lfail_closed(lua_State *L)
{
    return lfail(L, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the node is closed");
}

int lfail_last(lua_State *L, const lnode *n, int64_t code)
{
    const char *text = shoal_last_error(n->node);
    return lfail(L, (int)code, SHOAL_NOT_SENT, *text ? text : shoal_strerror((int)code));
}

int lfail_result(lua_State *L, lnode *n, const shoal_result *r, bool timed_out)
{
    int code = timed_out && r->code == SHOAL_E_CANCELLED ? SHOAL_E_TIMEOUT : r->code;
    int pushed = lfail(L, code, r->delivery, code == r->code ? r->text : shoal_strerror(code));
    if (code != SHOAL_E_HANDLER || !r->value.len) {
        return pushed;
    }
    if (!lcodec_push(L, n, r->value)) {
        lua_pop(L, 1); /* a value that Lua cannot hold: its text is there */
        return pushed;
    }
    return pushed + 1;
}

void lfail_table(lua_State *L, int code, int delivery, const char *text, int value_idx)
{
    lua_createtable(L, 0, 4);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, shoal_code_name(code));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, delivery_name(delivery));
    lua_setfield(L, -2, "delivery");
    if (value_idx) {
        lua_pushvalue(L, value_idx);
        lua_setfield(L, -2, "value");
    }
    luaL_setmetatable(L, "shoal.Error");
}

int lfail_raise(lua_State *L, int code, int delivery, const char *text)
{
    lfail_table(L, code, delivery, text, 0);
    return lua_error(L);
}

static int error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    if (!lua_isstring(L, -1)) {
        lua_pushliteral(L, "shoal.Error");
    }
    return 1;
}

/* --- arguments --- */

const char *lcheck_name(lua_State *L, int arg, const char *what)
{
    size_t n;
    const char *text = luaL_checklstring(L, arg, &n);
    if (strlen(text) != n) {
        luaL_argerror(L, arg, lua_pushfstring(L, "%s has a NUL in it", what));
    }
    return text;
}

void lopt_check(lua_State *L, int arg, const char *what, const char *const *allowed)
{
    if (lua_isnoneornil(L, arg)) {
        return;
    }
    if (!lua_istable(L, arg)) {
        luaL_error(L, "%s: options must be a table, not a %s", what, luaL_typename(L, arg));
    }
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const char *const *at = allowed;
        while (key && *at && strcmp(*at, key) != 0) {
            at++;
        }
        if (!key || !*at) {
            luaL_error(L, "%s: unknown option '%s'", what, luaL_tolstring(L, -2, NULL));
        }
        lua_pop(L, 1);
    }
}

/* The number of seconds at idx, times scale, rounded up; most at the most. */
static uint64_t seconds(lua_State *L, int idx, const char *what, double scale, uint64_t most)
{
    if (lua_type(L, idx) != LUA_TNUMBER) {
        luaL_error(L, "%s must be a number of seconds, not a %s", what, luaL_typename(L, idx));
    }
    double value = (double)lua_tonumber(L, idx);
    if (!(value >= 0)) {
        luaL_error(L, "%s must be a number of seconds from 0, not %f", what, value);
    }
    double units = ceil(value * scale - 1e-6);
    return units >= (double)most ? most : (uint64_t)units;
}

uint64_t lcheck_ms(lua_State *L, int arg, uint64_t least)
{
    luaL_checktype(L, arg, LUA_TNUMBER);
    uint64_t ms = seconds(L, arg, "the time", 1e3, (uint64_t)1 << 50);
    return ms < least ? least : ms;
}

uint64_t lcheck_us(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TNUMBER);
    return seconds(L, arg, "the time", 1e6, (uint64_t)1 << 50);
}

uint32_t lopt_ms(lua_State *L, int arg, const char *key, uint32_t least, uint32_t otherwise)
{
    uint32_t ms = otherwise;
    if (lua_istable(L, arg) && lua_getfield(L, arg, key) != LUA_TNIL) {
        ms = (uint32_t)seconds(L, -1, key, 1e3, UINT32_MAX);
        ms = ms < least ? least : ms;
    }
    return ms;
}

/* 0 (not given), or what the library takes: UINT32_MAX is "only memory". */
uint32_t lopt_mailbox(lua_State *L, int arg)
{
    if (!lua_istable(L, arg) || lua_getfield(L, arg, "mailbox") == LUA_TNIL) {
        return 0;
    }
    int whole;
    lua_Integer n = lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER || n < 0 || n >= UINT32_MAX) {
        luaL_error(L, "mailbox must be a whole number from 0 (0: only memory bounds it), not %s",
                   luaL_tolstring(L, -1, NULL));
    }
    return n == 0 ? UINT32_MAX : (uint32_t)n;
}

/* --- metatables --- */

/* __index(object, key); upvalue 1: methods, and under the names of getters a pointer to them. */
static int meta_get(lua_State *L)
{
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TLIGHTUSERDATA) {
        return 1;
    }
    const luaL_Reg *getter = lua_touserdata(L, -1);
    lua_settop(L, 1);
    return getter->func(L);
}

void lmeta_index(lua_State *L, const luaL_Reg *methods, const luaL_Reg *getters)
{
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods");
    if (!getters) {
        lua_setfield(L, -2, "__index");
        return;
    }
    for (const luaL_Reg *at = getters; at->name; at++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)at);
        lua_setfield(L, -2, at->name);
    }
    lua_pushcclosure(L, meta_get, 1);
    lua_setfield(L, -2, "__index");
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "shoal.null");
    return 1;
}

/* --- marks of tables --- */

static int mark(lua_State *L, const char *meta)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, meta);
    return 1;
}

static int mark_list(lua_State *L)
{
    return mark(L, "shoal.list");
}

static int mark_map(lua_State *L)
{
    return mark(L, "shoal.map");
}

static const void *mark_open(lua_State *L, const char *meta)
{
    luaL_newmetatable(L, meta);
    const void *address = lua_topointer(L, -1);
    lua_pop(L, 1);
    return address;
}

static void vm_open(lua_State *L)
{
    lvm *vm = lcompat_newuserdata(L, sizeof *vm);
    memset(vm, 0, sizeof *vm);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_key);
    vm->list = mark_open(L, "shoal.list");
    vm->map = mark_open(L, "shoal.map");
    luaL_newmetatable(L, "shoal.Error");
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    vm->null = lcompat_newuserdata(L, 1);
    luaL_newmetatable(L, "shoal.null");
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, vm->null); /* where lcodec.c finds it */
    lua_setfield(L, -2, "null");
}

/* The set of code names, for shoal.assert. */
static void codes_open(lua_State *L)
{
    lua_newtable(L);
    for (int code = SHOAL_E_TIMEOUT; code >= SHOAL_E_USAGE; code--) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, shoal_code_name(code));
    }
    lua_setfield(L, -2, "codes");
}

/* The methods of a type, for shoal.lua to add to. */
static void methods_open(lua_State *L, const char *meta, const char *as)
{
    luaL_getmetatable(L, meta);
    lua_getfield(L, -1, "methods");
    lua_setfield(L, -3, as);
    lua_pop(L, 1);
}

int luaopen_shoal_core(lua_State *L);
int luaopen_shoal_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"actor", lactor_class}, {"bytes", lbytes_new},  {"list", mark_list},  {"map", mark_map},
        {"type", lcodec_type},   {"sleep", lcoro_sleep}, {"fork", ltask_fork}, {"park", ltask_park},
        {"task", ltask_run},     {"drop", ltask_drop},   {"busy", ltask_busy}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    vm_open(L);
    lbytes_open(L);
    lref_open(L);
    liter_open(L);
    lcx_open(L);
    lnode_open(L);
    lsim_open(L);
    codes_open(L);
    methods_open(L, "shoal.node", "node_methods");
    methods_open(L, "shoal.sim", "sim_methods");
    luaL_getmetatable(L, "shoal.Error");
    lua_setfield(L, -2, "error_meta");
    lua_pushinteger(L, SHOAL_STOP);
    lua_setfield(L, -2, "STOP");
    lua_pushinteger(L, SHOAL_RESUME);
    lua_setfield(L, -2, "RESUME");
    lua_pushstring(L, shoal_version_string());
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
