/* lactor.c - classes as the library's actor types, spawning, and the hooks that the library calls.
 *
 * A class is a table; its methods are looked up at each message, so that they may be added or changed at any time.
 * An instance is a table too; its cx (a userdata with struct lactor in it) is there as self.cx. */
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

static char classes_key; /* registry: class -> {id, reentrant, mailbox, meta}, keys weak */

enum { HOOK_INIT = 1, HOOK_STOP = 2, HOOK_ERROR = 4, HOOK_DOWN = 8, HOOK_UNDELIVERED = 16 };

/* --- classes --- */

static void push_classes(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
}

/* shoal.actor(id [, options]) -> class */
int lactor_class(lua_State *L)
{
    static const char *const allowed[] = {"reentrant", "mailbox", NULL};
    size_t n;
    const char *id = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n >= 1 && n <= 255 && strlen(id) == n, 1, "an id has 1..255 bytes, no NUL");
    lopt_check(L, 2, "shoal.actor", allowed);
    uint32_t mailbox = lopt_mailbox(L, 2);
    bool reentrant = lua_istable(L, 2) && lua_getfield(L, 2, "reentrant") && lua_toboolean(L, -1);
    lua_newtable(L);
    int class = lua_gettop(L);
    push_classes(L);
    lua_pushvalue(L, class);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "id");
    lua_pushboolean(L, reentrant);
    lua_setfield(L, -2, "reentrant");
    lua_pushinteger(L, mailbox);
    lua_setfield(L, -2, "mailbox");
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, class);
    lua_setfield(L, -2, "__index");
    lua_setfield(L, -2, "meta");
    lua_rawset(L, -3);
    lua_pushvalue(L, class);
    return 1;
}

static bool class_has(lua_State *L, int class, const char *name)
{
    bool has = lua_getfield(L, class, name) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return has;
}

static unsigned class_hooks(lua_State *L, int class)
{
    return (class_has(L, class, "init") ? HOOK_INIT : 0u) |
           (class_has(L, class, "on_stop") ? HOOK_STOP : 0u) |
           (class_has(L, class, "on_error") ? HOOK_ERROR : 0u) |
           (class_has(L, class, "on_down") ? HOOK_DOWN : 0u) |
           (class_has(L, class, "on_undelivered") ? HOOK_UNDELIVERED : 0u);
}

/* --- hooks --- */

static lactor *state_actor(void *state)
{
    return *(lactor **)state;
}

static int hook_init(shoal_cx *cx, void *state, shoal_bytes args)
{
    (void)args; /* Lua's argument is given by reference */
    lactor *a = shoal_cx_user(cx);
    *(lactor **)state = a;
    a->pid = shoal_cx_self(cx);
    if (!(a->type->hooks & HOOK_INIT)) {
        return 0;
    }
    lcoro *c = lcoro_new(a->node, RUN_INIT, a, cx);
    return c ? lcoro_start(c) : shoal_fail(cx, "out of memory");
}

static int hook_message(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    lactor *a = state_actor(state);
    lcoro *c = lcoro_new(a->node, RUN_MESSAGE, a, cx);
    if (!c) {
        return shoal_fail(cx, "out of memory");
    }
    c->name = name;
    c->value = value;
    c->object = value.len ? NULL : shoal_cx_object(cx);
    return c->object ? lcoro_start_object(c) : lcoro_start(c);
}

static void hook_stop(shoal_cx *cx, void *state, const shoal_reason *reason)
{
    lactor *a = state_actor(state);
    lcoro_close_all(&a->coros); /* a killed actor's handlers still wait */
    bool told = (a->type->hooks & HOOK_STOP) || a->undelivered_ref != LUA_NOREF;
    lcoro *c = told ? lcoro_new(a->node, RUN_STOP, a, cx) : NULL;
    if (!c) {
        lactor_release(a);
        return;
    }
    c->reason = reason;
    lcoro_start(c);
}

static int hook_error(shoal_cx *cx, void *state, const shoal_result *error)
{
    lactor *a = state_actor(state);
    lcoro *c = lcoro_new(a->node, RUN_ERROR, a, cx);
    if (!c) {
        return SHOAL_DEFAULT;
    }
    c->error = error;
    c->code = SHOAL_DEFAULT;
    return lcoro_start(c);
}

static int hook_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    lactor *a = state_actor(state);
    lcoro *c = lcoro_new(a->node, RUN_DOWN, a, cx);
    if (!c) {
        return SHOAL_DEFAULT;
    }
    c->subject = pid;
    c->reason = reason;
    c->code = SHOAL_DEFAULT;
    return lcoro_start(c);
}

struct lost {
    lactor *a;
    const char *name;
    shoal_bytes value;
    lobj *object;
};

static int lost_add(lua_State *L)
{
    struct lost *lost = lua_touserdata(L, 1);
    lactor *a = lost->a;
    lnode_push_box(L, a->node, BOX_ANCHOR);
    int box = lua_gettop(L);
    if (a->undelivered_ref == LUA_NOREF) {
        lua_newtable(L);
        a->undelivered_ref = lbox_ref(L, a->node, box);
    }
    lua_rawgeti(L, box, a->undelivered_ref);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, lost->name);
    lua_setfield(L, -2, "name");
    if (lost->object) {
        lobj *o = lost->object;
        lost->object = NULL;
        lobject_take(L, o, box);
    } else if (!lcodec_push(L, a->node, lost->value)) {
        lua_pop(L, 1);
        lua_pushnil(L); /* no Lua value: the name is told */
    }
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

/* The library tells one at a time, all before on_stop; Lua gets them together. */
static void hook_undelivered(shoal_cx *cx, void *state, const char *name, shoal_bytes value)
{
    struct lost lost = {state_actor(state), name, value, shoal_cx_object(cx)};
    if (!lprotect(lost.a->node, lost_add, &lost)) {
        levent_write(lost.a->node, SHOAL_LOG_WARN, "an undelivered message could not be kept");
    }
    if (lost.object) {
        lobject_drop(lost.object);
    }
}

/* --- types --- */

static void type_fill(lua_State *L, ltype *t, int spec)
{
    lua_getfield(L, spec, "id");
    strncpy(t->id, lua_tostring(L, -1), sizeof t->id - 1);
    lua_getfield(L, spec, "reentrant");
    lua_getfield(L, spec, "mailbox");
    t->def = (shoal_actor_type){
        .struct_size = sizeof t->def,
        .flags = lua_toboolean(L, -2) ? SHOAL_REENTRANT : 0,
        .id = t->id,
        .state_size = sizeof(lactor *),
        .mailbox = (uint32_t)lua_tointeger(L, -1),
        .init = hook_init,
        .on_stop = hook_stop,
        .on_error = t->hooks & HOOK_ERROR ? hook_error : NULL,
        .on_down = t->hooks & HOOK_DOWN ? hook_down : NULL,
        .on_message = hook_message,
        .on_undelivered = t->hooks & HOOK_UNDELIVERED ? hook_undelivered : NULL,
    };
    lua_pop(L, 3);
}

/* The type of the class at idx for n; raises if it is none. */
static ltype *type_of(lua_State *L, lnode *n, int idx)
{
    push_classes(L);
    lua_pushvalue(L, idx);
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        luaL_error(L, "spawn: expected a class made by shoal.actor, not a %s",
                   luaL_typename(L, idx));
    }
    int spec = lua_gettop(L);
    const void *class = lua_topointer(L, idx);
    unsigned hooks = class_hooks(L, idx);
    for (ltype *t = n->types; t; t = t->next) {
        if (t->class == class && t->hooks == hooks) {
            lua_settop(L, spec - 2);
            return t;
        }
    }
    ltype *t = calloc(1, sizeof *t);
    if (!t) {
        luaL_error(L, "out of memory");
        return NULL;
    }
    t->class = class;
    t->hooks = hooks;
    t->class_ref = t->meta_ref = LUA_NOREF;
    t->next = n->types;
    n->types = t; /* from here on the node frees it */
    type_fill(L, t, spec);
    lnode_push_box(L, n, BOX_ANCHOR);
    int box = lua_gettop(L);
    lua_pushvalue(L, idx);
    t->class_ref = lbox_ref(L, n, box);
    lua_getfield(L, spec, "meta");
    t->meta_ref = lbox_ref(L, n, box);
    lua_settop(L, spec - 2);
    return t;
}

void lactor_types_free(lnode *n)
{
    while (n->types) {
        ltype *t = n->types;
        n->types = t->next;
        free(t);
    }
}

/* --- life --- */

void lactor_push_self(lua_State *L, const lactor *a)
{
    lnode_push_box(L, a->node, BOX_ANCHOR);
    lua_rawgeti(L, -1, a->self_ref);
    lua_remove(L, -2);
}

void lactor_push_reason(lua_State *L, lnode *n, const shoal_reason *reason)
{
    static const char *const kinds[] = {"normal",    "killed",  "error", "link_died",
                                        "peer_lost", "restart", "gone"};
    bool known = reason->kind >= SHOAL_NORMAL && reason->kind <= SHOAL_GONE;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, known ? kinds[reason->kind] : "error");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, reason->text ? reason->text : "");
    lua_setfield(L, -2, "text");
    lref_push(L, n, reason->pid);
    lua_setfield(L, -2, "ref");
}

/* The hooks that wait and that no hook_stop closes: they end while their cx is there. */
void lactor_close_hooks(lnode *n)
{
    lcoro *found;
    do {
        found = NULL;
        for (lactor *a = n->actors; a && !found; a = a->next) {
            for (lcoro *c = a->coros; c && !found; c = c->next) {
                found = c->kind == RUN_STOP || c->kind == RUN_INIT ? c : NULL;
            }
        }
        if (found) {
            lcoro_close(found); /* runs user code: begin anew */
        }
    } while (found);
}

void lactor_release(lactor *a)
{
    lnode *n = a->node;
    if (a->ended) {
        return;
    }
    if (a->spawner && a->spawner->node->home) { /* its node has ended, who waits has not */
        lactor_started(a, SHOAL_E_CANCELLED);
        return;
    }
    a->ended = true;
    a->current = NULL;
    a->type = NULL; /* types end with the node, a cx may be kept */
    if (a->next) {
        a->next->prev = a->prev;
    }
    if (a->prev) {
        a->prev->next = a->next;
    } else {
        n->actors = a->next;
    }
    free(a->failure);
    a->failure = NULL;
    lua_State *L = n->vm->L;
    lnode_push_box(L, n, BOX_ANCHOR);
    int box = lua_gettop(L), cx_ref = a->cx_ref;
    lbox_unref(L, n, box, a->self_ref);
    lbox_unref(L, n, box, a->arg_ref);
    lbox_unref(L, n, box, a->undelivered_ref);
    lbox_unref(L, n, box, cx_ref); /* last: the struct lies in it */
    lua_pop(L, 1);
}

/* An init has ended; what ended inside spawn is spawn's business. */
void lactor_started(lactor *a, int code)
{
    a->started = code >= 0;
    if (a->spawning) {
        return;
    }
    lcoro *spawner = a->spawner;
    shoal_result result = {
        .code = code < 0 ? SHOAL_E_HANDLER : 0,
        .delivery = SHOAL_HANDLED,
        .text = a->failure ? a->failure : "the actor was killed before it had started",
        .type = "",
        .pid = a->pid,
        .reason = {.text = ""},
    };
    if (spawner) {
        a->spawner = NULL;
        spawner->spawned = NULL;
        lcoro_wake(spawner, &result);
    }
    if (code < 0) {
        lactor_release(a);
    }
}

/* --- spawning --- */

/* link and monitor: a ref, or true for the actor that spawns. */
static shoal_pid opt_actor(lua_State *L, lnode *n, int opts, const char *key, const lactor *parent)
{
    shoal_pid pid = {0};
    if (!lua_istable(L, opts) || lua_getfield(L, opts, key) == LUA_TNIL) {
        return pid;
    }
    lref *r = luaL_testudata(L, -1, "shoal.ref");
    if (r) {
        int code = lref_pid(r, n, &pid);
        if (code < 0) {
            luaL_error(L, "spawn: %s: that actor's peer is not known any more", key);
        }
    } else if (lua_isboolean(L, -1) && (parent || !lua_toboolean(L, -1))) {
        pid = lua_toboolean(L, -1) ? parent->pid : pid;
    } else {
        luaL_error(L,
                   parent ? "spawn: %s must be a ref or true, not a %s"
                          : "spawn: %s must be a ref, not a %s",
                   key, luaL_typename(L, -1));
    }
    return pid;
}

/* The actor's two Lua objects, kept alive by the node: its cx and its instance. arg: spawn's argument. */
static lactor *actor_new(lua_State *L, lnode *n, ltype *t, int arg)
{
    lactor *a = lcompat_newuserdata(L, sizeof *a);
    int cx = lua_gettop(L);
    memset(a, 0, sizeof *a);
    a->node = n;
    a->type = t;
    a->self_ref = a->cx_ref = a->arg_ref = a->undelivered_ref = LUA_NOREF;
    luaL_setmetatable(L, "shoal.cx");
    lnode_push_box(L, n, BOX_ANCHOR);
    lcompat_setowned(L, cx);
    lnode_push_box(L, n, BOX_ANCHOR);
    int box = lua_gettop(L);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, cx);
    lua_setfield(L, -2, "cx");
    lua_rawgeti(L, box, t->meta_ref);
    lua_setmetatable(L, -2);
    a->self_ref = lbox_ref(L, n, box);
    if (!lua_isnil(L, arg)) {
        lua_pushvalue(L, arg);
        a->arg_ref = lbox_ref(L, n, box);
    }
    lua_pushvalue(L, cx);
    a->cx_ref = lbox_ref(L, n, box);
    a->next = n->actors;
    if (a->next) {
        a->next->prev = a;
    }
    n->actors = a;
    lua_settop(L, cx);
    return a;
}

static bool may_wait(lua_State *L, const lnode *n)
{
    lcoro *c = n->vm->running;
    return c && c->co == L && (c->node == n || (c->node->home && c->node->sim == n->sim)) &&
           lcompat_yieldable(L) && lnode_usable(n);
}

/* (node or cx, class [, argument [, options]]) -> ref */
int lactor_spawn(lua_State *L, lnode *n, lactor *parent)
{
    static const char *const allowed[] = {"mailbox", "link", "monitor", NULL};
    lua_settop(L, 4);
    lopt_check(L, 4, "spawn", allowed);
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    ltype *t = type_of(L, n, 2);
    shoal_spawn_options options = {
        .struct_size = sizeof options,
        .flags = SHOAL_ON_HOST,
        .mailbox = lopt_mailbox(L, 4),
        .link = opt_actor(L, n, 4, "link", parent),
        .monitor = opt_actor(L, n, 4, "monitor", parent),
    };
    lactor *a = actor_new(L, n, t, 3);
    options.user = a;
    options.parent = parent ? parent->pid : options.parent;
    shoal_pid pid;
    lua_State *outer;
    lnode_enter(L, n, &outer);
    a->spawning = true;
    int code = shoal_spawn(n->node, &t->def, &options, &pid);
    a->spawning = false;
    a->started |= code >= 0 && !(t->hooks & HOOK_INIT);
    if (code < 0) {
        lactor_release(a);
    }
    lnode_leave(n, outer);
    lprotect_raise(L, n);
    if (code < 0) {
        return lfail(L, code, code == SHOAL_E_HANDLER ? SHOAL_HANDLED : SHOAL_NOT_SENT,
                     shoal_last_error(n->node));
    }
    if (!a->started && !a->ended && may_wait(L, n)) {
        a->spawner = n->vm->running;
        a->spawner->on = n;
        a->spawner->used = true;
        a->spawner->spawned = a;
        return lcoro_wait(L, a->spawner, WAIT_SPAWN, WHAT_REF);
    }
    lref_push(L, n, pid);
    return 1;
}
