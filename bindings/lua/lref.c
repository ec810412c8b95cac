/* lref.c - refs: one userdata per actor and node, so that a ref is a table key; what one can do to an actor. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lshoal.h"

lref *lref_check(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, "shoal.ref");
}

/* The key of an actor in the table of refs: a number if it is of this node, where numbers hold it. */
static void push_key(lua_State *L, shoal_pid pid)
{
#if LCOMPAT_INTEGERS
    if (pid.node == 0) {
        lua_pushinteger(L, (lua_Integer)pid.actor);
        return;
    }
#endif
    char key[16];
    memcpy(key, &pid.actor, 8);
    memcpy(key + 8, &pid.node, 4);
    memcpy(key + 12, &pid.check, 4);
    lua_pushlstring(L, key, sizeof key);
}

void lref_push(lua_State *L, lnode *n, shoal_pid pid)
{
    if (!pid.actor) {
        lua_pushnil(L);
        return;
    }
    luaL_checkstack(L, 6, "ref");
    lnode_push_box(L, n, BOX_REFS);
    push_key(L, pid);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
        lua_insert(L, -3);
        lua_pop(L, 2);
        return;
    }
    lua_pop(L, 1);
    lref *r = lcompat_newuserdata(L, sizeof *r);
    *r = (lref){n, pid};
    lnode_push_box(L, n, BOX_ANCHOR);
    lcompat_setowned(L, -2);
    luaL_setmetatable(L, "shoal.ref");
    lua_insert(L, -2); /* refs, ref, key */
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_remove(L, -2);
}

/* "<16 hex>@<peer id>"; false: its peer is not known any more, or the node is closed. */
static bool ref_text(const lref *r, char *buf, size_t cap)
{
    if (r->node->node && shoal_pid_text(r->node->node, r->pid, buf, cap) > 0) {
        return true;
    }
    const char *peer = r->pid.node == 0 ? r->node->peer_id : "unknown";
    snprintf(buf, cap, "%016" PRIx64 "@%s", r->pid.actor, peer);
    return r->pid.node == 0;
}

int lref_pid(const lref *r, lnode *n, shoal_pid *out)
{
    char text[160];
    if (r->node == n) {
        *out = r->pid;
        return 0;
    }
    if (!n->node || !ref_text(r, text, sizeof text)) {
        return SHOAL_E_UNREACHABLE;
    }
    return shoal_pid_parse(n->node, text, out);
}

static int ref_tostring(lua_State *L)
{
    char text[160];
    ref_text(lref_check(L, 1), text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

static int ref_eq(lua_State *L)
{
    lref *a = luaL_testudata(L, 1, "shoal.ref"), *b = luaL_testudata(L, 2, "shoal.ref");
    char left[160], right[160];
    bool same = false;
    if (a && b && a->node == b->node) {
        same = shoal_pid_equal(a->pid, b->pid);
    } else if (a && b) {
        same = ref_text(a, left, sizeof left) && ref_text(b, right, sizeof right) &&
               strcmp(left, right) == 0;
    }
    lua_pushboolean(L, same);
    return 1;
}

static int ref_id(lua_State *L)
{
    char text[160];
    ref_text(lref_check(L, 1), text, sizeof text);
    lua_pushlstring(L, text, 16);
    return 1;
}

static int ref_peer_id(lua_State *L)
{
    char text[160];
    bool known = ref_text(lref_check(L, 1), text, sizeof text);
    lua_pushstring(L, known ? text + 17 : NULL);
    return 1;
}

/* --- messages --- */

/* The ref at 1 if it is one; upvalue 1 is the VM. */
static lref *ref_arg(lua_State *L, const lvm *vm)
{
    lref *r = lua_touserdata(L, 1);
    if (r && lua_getmetatable(L, 1)) {
        bool same = lua_topointer(L, -1) == vm->ref;
        lua_pop(L, 1);
        if (same) {
            return r;
        }
    }
    return lref_check(L, 1);
}

/* The message of name (2) and value (3) as an object; the box is pushed. NULL: it must be packed. */
static lobj *message_object(lua_State *L, const lref *r)
{
    if (r->pid.node != 0) {
        return NULL;
    }
    lcompat_pushowned(L, 1);
    return lobject_message(L, r->node, 2, 3, lua_gettop(L));
}

static int tell_packed(lua_State *L, lref *r)
{
    lnode *n = r->node;
    const char *name = lcheck_name(L, 2, "the message name");
    shoal_bytes value;
    if (!lcodec_pack(L, n, 3, &value)) {
        return 4;
    }
    lcoro *c = lcoro_handler(n);
    int code = c ? shoal_cx_tell(lcoro_cx(c), r->pid, name, value)
                 : shoal_tell(n->node, r->pid, name, value);
    if (code < 0) {
        return lfail_last(L, n, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* ref:tell(name [, value]) -> true */
static int ref_tell(lua_State *L)
{
    lvm *vm = lua_touserdata(L, lua_upvalueindex(1));
    lref *r = ref_arg(L, vm);
    lnode *n = r->node;
    if (lua_gettop(L) != 3) {
        if (!lua_isnoneornil(L, 4)) {
            return luaL_error(L, "tell takes a name and one value, no options");
        }
        lua_settop(L, 3);
    }
    if (!n->node) {
        lcheck_name(L, 2, "the message name");
        return lfail_closed(L);
    }
    lobj *o = message_object(L, r);
    if (!o) {
        return tell_packed(L, r);
    }
    lcoro *c = lcoro_handler(n);
    lua_State *outer = vm->L;
    vm->L = L; /* for drop */
    shoal_object object = {o, lobject_drop};
    int code = c ? shoal_cx_tell_object(lcoro_cx(c), r->pid, o->name->text, object)
                 : shoal_tell_object(n->node, r->pid, o->name->text, object);
    vm->L = outer;
    if (code < 0) {
        lobject_free(L, o, 4);
        return code == SHOAL_E_UNSUPPORTED ? tell_packed(L, r) : lfail_last(L, n, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int64_t ask_packed(lua_State *L, lref *r, lcoro *c, uint32_t ms)
{
    lnode *n = r->node;
    const char *name = lua_tostring(L, 2);
    shoal_bytes value;
    if (!lcodec_pack(L, n, 3, &value)) {
        return 0;
    }
    shoal_cx *cx = lcoro_cx(c);
    return cx ? shoal_cx_ask(cx, r->pid, name, value, ms, lcoro_then, c)
              : shoal_ask(n->node, r->pid, name, value, ms, lcoro_done, c);
}

static int64_t ask_object(lua_State *L, lref *r, lcoro *c, uint32_t ms)
{
    lobj *o = message_object(L, r);
    if (!o) {
        return SHOAL_E_UNSUPPORTED;
    }
    lvm *vm = r->node->vm;
    lua_State *outer = vm->L;
    vm->L = L;
    shoal_cx *cx = lcoro_cx(c);
    const char *name = o->name->text;
    shoal_object object = {o, lobject_drop};
    int64_t id = cx ? shoal_cx_ask_object(cx, r->pid, name, object, ms, lcoro_then, c)
                    : shoal_ask_object(r->node->node, r->pid, name, object, ms, lcoro_done, c);
    vm->L = outer;
    if (id < 0) {
        lobject_free(L, o, lua_gettop(L));
    }
    return id;
}

/* ref:ask(name [, value [, options]]) -> reply */
static int ref_ask(lua_State *L)
{
    static const char *const allowed[] = {"timeout", NULL};
    lref *r = ref_arg(L, lua_touserdata(L, lua_upvalueindex(1)));
    lnode *n = r->node;
    uint32_t ms = 0;
    lcheck_name(L, 2, "the message name");
    if (!lua_isnoneornil(L, 4)) {
        lopt_check(L, 4, "ask", allowed);
        ms = lopt_ms(L, 4, "timeout", 1, 0);
    }
    lua_settop(L, 3);
    lcoro *c = lcoro_waiter(L, n, "ask");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    int64_t id = ask_object(L, r, c, ms);
    if (id == SHOAL_E_UNSUPPORTED) {
        id = ask_packed(L, r, c, ms);
    }
    return id ? lcoro_call(L, c, id, WHAT_REPLY) : 4; /* 0: four values say why not */
}

/* ref:drain([options]) -> true */
static int ref_drain(lua_State *L)
{
    static const char *const allowed[] = {"timeout", NULL};
    lref *r = lref_check(L, 1);
    lnode *n = r->node;
    lopt_check(L, 2, "drain", allowed);
    uint32_t ms = lopt_ms(L, 2, "timeout", 1, 0);
    lcoro *c = lcoro_waiter(L, n, "drain");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_drain(n->node, r->pid, ms, lcoro_done, c), WHAT_TRUE);
}

/* --- names --- */

/* ref:register(name) -> true */
static int ref_register(lua_State *L)
{
    lref *r = lref_check(L, 1);
    lnode *n = r->node;
    const char *name = lcheck_name(L, 2, "the name");
    lcoro *c = lcoro_waiter(L, n, "register");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_register(n->node, r->pid, name, lcoro_done, c), WHAT_TRUE);
}

/* ref:unregister(name) -> true */
static int ref_unregister(lua_State *L)
{
    lref *r = lref_check(L, 1);
    const char *name = lcheck_name(L, 2, "the name");
    if (!r->node->node) {
        return lfail_closed(L);
    }
    int code = shoal_unregister(r->node->node, r->pid, name);
    if (code < 0) {
        return lfail_last(L, r->node, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* --- ends --- */

/* ref:stop([options]) -> reason */
static int ref_stop(lua_State *L)
{
    static const char *const allowed[] = {"timeout", NULL};
    lref *r = lref_check(L, 1);
    lnode *n = r->node;
    lopt_check(L, 2, "stop", allowed);
    uint32_t ms = lopt_ms(L, 2, "timeout", 1, 0);
    lcoro *c = lcoro_waiter(L, n, "stop");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    int64_t id = shoal_stop(n->node, r->pid, lcoro_done, c);
    if (id > 0 && ms) {
        uint64_t now_us = shoal_clock_us(n->node);
        ltimer_add(c, now_us + (uint64_t)ms * 1000); /* without memory: no time-out */
    }
    return lcoro_call(L, c, id, WHAT_REASON);
}

/* ref:kill() -> true */
static int ref_kill(lua_State *L)
{
    lref *r = lref_check(L, 1);
    if (!r->node->node) {
        return lfail_closed(L);
    }
    int code = shoal_kill(r->node->node, r->pid);
    if (code < 0) {
        return lfail_last(L, r->node, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* ref:done() -> reason */
static int ref_done(lua_State *L)
{
    lref *r = lref_check(L, 1);
    lnode *n = r->node;
    lcoro *c = lcoro_waiter(L, n, "done");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_done(n->node, r->pid, lcoro_done, c), WHAT_REASON);
}

void lref_open(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__tostring", ref_tostring}, {"__eq", ref_eq}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"drain", ref_drain}, {"register", ref_register}, {"unregister", ref_unregister},
        {"stop", ref_stop},   {"kill", ref_kill},         {"done", ref_done},
        {NULL, NULL},
    };
    static const luaL_Reg getters[] = {{"id", ref_id}, {"peer_id", ref_peer_id}, {NULL, NULL}};
    static const luaL_Reg messages[] = {{"tell", ref_tell}, {"ask", ref_ask}, {NULL, NULL}};
    luaL_newmetatable(L, "shoal.ref");
    luaL_setfuncs(L, meta, 0);
    lmeta_index(L, methods, getters);
    lua_getfield(L, -1, "methods");
    lua_pushlightuserdata(L, lvm_of(L));
    luaL_setfuncs(L, messages, 1);
    lua_pop(L, 1);
    lvm_of(L)->ref = lua_topointer(L, -1);
    lua_pop(L, 1);
}
