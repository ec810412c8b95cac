/* lcx.c - self.cx: what a handler may do besides sending; Promise and Timer.
 *
 * There is one cx per actor; it stands for the handler that runs now. Outside one its functions raise. */
#include <string.h>

#include "lshoal.h"

static lactor *actor_check(lua_State *L)
{
    return luaL_checkudata(L, 1, "shoal.cx");
}

/* The running handler's context; raises when none runs. */
static shoal_cx *cx_check(lua_State *L, const lactor *a, const char *what)
{
    if (!a->current) {
        luaL_error(L, "%s: no handler of this actor runs now: use cx only inside one", what);
    }
    return a->current;
}

static shoal_cx *cx_of(lua_State *L, lactor **a, const char *what)
{
    *a = actor_check(L);
    return cx_check(L, *a, what);
}

static int answer(lua_State *L, const lnode *n, int code)
{
    if (code < 0) {
        return lfail_last(L, n, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* The coroutine of the message that is handled; NULL. */
static lcoro *handled(lua_State *L)
{
    lcoro *c = lvm_of(L)->running;
    while (c && c->parent) {
        c = c->parent;
    }
    return c;
}

/* Notes that the handler's return value is not the reply. */
static void answered(lua_State *L)
{
    lcoro *c = handled(L);
    if (c) {
        c->answered = true;
    }
}

/* --- who and what --- */

static int cx_ref(lua_State *L)
{
    lactor *a = actor_check(L);
    lref_push(L, a->node, a->pid);
    return 1;
}

static int cx_node(lua_State *L)
{
    lnode_push(L, actor_check(L)->node);
    return 1;
}

static int cx_sender(lua_State *L)
{
    lactor *a;
    shoal_cx *cx = cx_of(L, &a, "cx.sender");
    lref_push(L, a->node, shoal_cx_sender(cx));
    return 1;
}

static int cx_name(lua_State *L)
{
    lactor *a;
    lua_pushstring(L, shoal_cx_name(cx_of(L, &a, "cx.name")));
    return 1;
}

/* cx:now() -> seconds, monotonic */
static int cx_now(lua_State *L)
{
    lactor *a;
    lua_pushnumber(L, (lua_Number)shoal_now_us(cx_of(L, &a, "cx:now")) / 1e6);
    return 1;
}

/* cx:random() -> number in [0, 1) */
static int cx_random(lua_State *L)
{
    lactor *a;
    uint64_t bits = shoal_random_u64(cx_of(L, &a, "cx:random"));
    lua_pushnumber(L, (lua_Number)(bits >> 11) * (1.0 / 9007199254740992.0));
    return 1;
}

/* --- answering --- */

/* The value at 2 as it is, if it can be. */
static int reply_object(lua_State *L, lnode *n, shoal_cx *cx)
{
    lnode_push_box(L, n, BOX_ANCHOR);
    lobj *o = lobject_of(L, n, 2, 3);
    if (!o) {
        return SHOAL_E_UNSUPPORTED;
    }
    int code = shoal_reply_object(cx, (shoal_object){o, lobject_drop});
    if (code < 0) {
        lobject_free(L, o, 3);
    }
    return code;
}

/* cx:reply([value]) -> true */
static int cx_reply(lua_State *L)
{
    lactor *a;
    shoal_bytes value;
    shoal_cx *cx = cx_of(L, &a, "cx:reply");
    lua_settop(L, 2);
    int code = reply_object(L, a->node, cx);
    if (code == SHOAL_E_UNSUPPORTED) {
        if (!lcodec_pack(L, a->node, 2, &value)) {
            return 4;
        }
        code = shoal_reply(cx, value);
    }
    if (code == 0) {
        answered(L);
    }
    return answer(L, a->node, code);
}

typedef struct lpromise {
    lnode *node;
    shoal_promise promise;
} lpromise;

/* cx:defer() -> Promise */
static int cx_defer(lua_State *L)
{
    lactor *a;
    shoal_cx *cx = cx_of(L, &a, "cx:defer");
    lpromise *p = lcompat_newuserdata(L, sizeof *p);
    memset(p, 0, sizeof *p);
    p->node = a->node;
    luaL_setmetatable(L, "shoal.Promise");
    lnode_push_box(L, a->node, BOX_ANCHOR);
    lcompat_setowned(L, -2);
    int code = shoal_defer(cx, &p->promise);
    if (code < 0) {
        return lfail_last(L, a->node, code);
    }
    answered(L);
    return 1;
}

/* promise:reply([value]) -> true */
static int promise_reply(lua_State *L)
{
    lpromise *p = luaL_checkudata(L, 1, "shoal.Promise");
    shoal_bytes value;
    if (!p->node->node) {
        return lfail_closed(L);
    }
    if (!lcodec_pack(L, p->node, 2, &value)) {
        return 4;
    }
    return answer(L, p->node, shoal_promise_reply(p->node->node, p->promise, value));
}

/* promise:fail(text) -> true */
static int promise_fail(lua_State *L)
{
    lpromise *p = luaL_checkudata(L, 1, "shoal.Promise");
    const char *text = luaL_checkstring(L, 2);
    if (!p->node->node) {
        return lfail_closed(L);
    }
    return answer(L, p->node, shoal_promise_fail(p->node->node, p->promise, text));
}

/* cx:forward(ref [, name [, value]]) -> true */
static int cx_forward(lua_State *L)
{
    lactor *a;
    shoal_cx *cx = cx_of(L, &a, "cx:forward");
    lref *to = lref_check(L, 2);
    const char *name = lua_isnoneornil(L, 3) ? NULL : lcheck_name(L, 3, "the message name");
    shoal_bytes value;
    shoal_pid pid;
    if (lref_pid(to, a->node, &pid) < 0) {
        return lfail(L, SHOAL_E_UNREACHABLE, SHOAL_NOT_SENT,
                     "that actor's peer is not known any more");
    }
    lcoro *c = name ? NULL : handled(L);
    lobj *o = c && c->cx == cx ? c->object : NULL;
    if (o) { /* came as it is: goes packed */
        name = o->name->text;
        lua_settop(L, 3);
        lnode_push_box(L, a->node, BOX_ANCHOR);
        lobject_push(L, o, 4);
        lua_replace(L, 4);
    }
    if (!lcodec_pack(L, a->node, 4, &value)) {
        return 4;
    }
    int code = shoal_forward(cx, pid, name, value);
    if (code == 0) {
        answered(L);
    }
    return answer(L, a->node, code);
}

/* --- life --- */

/* cx:stop([text]) */
static int cx_stop(lua_State *L)
{
    lactor *a;
    shoal_cx *cx = cx_of(L, &a, "cx:stop");
    shoal_cx_stop(cx, luaL_optstring(L, 2, NULL));
    return 0;
}

static int cx_spawn(lua_State *L)
{
    lactor *a;
    cx_of(L, &a, "cx:spawn");
    return lactor_spawn(L, a->node, a);
}

static int cx_watch(lua_State *L, const char *what, int (*fn)(shoal_node *, shoal_pid, shoal_pid))
{
    lactor *a;
    cx_of(L, &a, what);
    lref *other = lref_check(L, 2);
    shoal_pid pid;
    if (lref_pid(other, a->node, &pid) < 0) {
        return lfail(L, SHOAL_E_UNREACHABLE, SHOAL_NOT_SENT,
                     "that actor's peer is not known any more");
    }
    return answer(L, a->node, fn(a->node->node, a->pid, pid));
}

/* cx:link(ref) -> true */
static int cx_link(lua_State *L)
{
    return cx_watch(L, "cx:link", shoal_link);
}

/* cx:monitor(ref) -> true */
static int cx_monitor(lua_State *L)
{
    return cx_watch(L, "cx:monitor", shoal_monitor);
}

/* cx:unlink(ref) -> true */
static int cx_unlink(lua_State *L)
{
    return cx_watch(L, "cx:unlink", shoal_unlink);
}

/* --- timers --- */

typedef struct ltimer {
    lactor *actor; /* lives in the cx that this userdata owns */
    int64_t id;
} ltimer;

static int timer_new(lua_State *L, const char *what, bool again)
{
    lactor *a;
    shoal_cx *cx = cx_of(L, &a, what);
    uint64_t ms = lcheck_ms(L, 2, again ? 1 : 0);
    const char *name = lcheck_name(L, 3, "the message name");
    shoal_bytes value;
    if (!lcodec_pack(L, a->node, 4, &value)) {
        return 4;
    }
    ltimer *t = lcompat_newuserdata(L, sizeof *t);
    t->actor = a;
    t->id = 0;
    luaL_setmetatable(L, "shoal.Timer");
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lcompat_setowned(L, -2);
    t->id = again ? shoal_every(cx, ms, name, value) : shoal_after(cx, ms, name, value);
    return t->id < 0 ? lfail_last(L, a->node, t->id) : 1;
}

/* cx:after(seconds, name [, value]) -> Timer */
static int cx_after(lua_State *L)
{
    return timer_new(L, "cx:after", false);
}

/* cx:every(seconds, name [, value]) -> Timer */
static int cx_every(lua_State *L)
{
    return timer_new(L, "cx:every", true);
}

/* timer:cancel() -> true; nil, text, "not_found", ... if it has ended */
static int timer_cancel(lua_State *L)
{
    ltimer *t = luaL_checkudata(L, 1, "shoal.Timer");
    shoal_cx *cx = cx_check(L, t->actor, "timer:cancel");
    return answer(L, t->actor->node, shoal_cancel_timer(cx, t->id));
}

/* --- metatables --- */

static int cx_tostring(lua_State *L)
{
    lactor *a = actor_check(L);
    lua_pushfstring(L, "shoal.cx of %s", a->type ? a->type->id : "an actor that has ended");
    return 1;
}

static void methods_only(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    lmeta_index(L, methods, NULL);
    lua_pop(L, 1);
}

void lcx_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"reply", cx_reply},
        {"defer", cx_defer},
        {"forward", cx_forward},
        {"after", cx_after},
        {"every", cx_every},
        {"stop", cx_stop},
        {"spawn", cx_spawn},
        {"link", cx_link},
        {"now", cx_now},
        {"monitor", cx_monitor},
        {"unlink", cx_unlink},
        {"random", cx_random},
        {NULL, NULL},
    };
    static const luaL_Reg getters[] = {
        {"ref", cx_ref}, {"node", cx_node}, {"sender", cx_sender}, {"name", cx_name}, {NULL, NULL}};
    static const luaL_Reg promise[] = {
        {"reply", promise_reply}, {"fail", promise_fail}, {NULL, NULL}};
    static const luaL_Reg timer[] = {{"cancel", timer_cancel}, {NULL, NULL}};
    luaL_newmetatable(L, "shoal.cx");
    lua_pushcfunction(L, cx_tostring);
    lua_setfield(L, -2, "__tostring");
    lmeta_index(L, methods, getters);
    lua_pop(L, 1);
    methods_only(L, "shoal.Promise", promise);
    methods_only(L, "shoal.Timer", timer);
}
