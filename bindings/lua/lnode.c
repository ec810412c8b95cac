/* lnode.c - a node: its options, driving it, what it tells unasked, its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

lnode *lnode_check(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, "shoal.node");
}

uint64_t lnode_now_us(const lnode *n)
{
    return n->home ? shoal_sim_now_us(n->sim->sim) : shoal_clock_us(n->node);
}

/* --- birth: the options were checked by shoal.lua --- */

static lua_Integer opt_integer(lua_State *L, const char *key, lua_Integer otherwise)
{
    lua_Integer value = lua_getfield(L, 1, key) == LUA_TNIL ? otherwise : lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void opt_u32(lua_State *L, const char *key, uint32_t *out)
{
    lua_Integer value = opt_integer(L, key, *out);
    *out = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* The texts of a list; they and the array live until the stack is popped. */
static const char *const *opt_list(lua_State *L, const char *key, size_t *count)
{
    *count = 0;
    if (lua_getfield(L, 1, key) != LUA_TTABLE) {
        return NULL;
    }
    *count = (size_t)lua_rawlen(L, -1);
    const char **list = lcompat_newuserdata(L, (*count + 1) * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        list[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    return list;
}

static void config_read(lua_State *L, lnode *n, shoal_node_config *c)
{
    shoal_node_config_init(c, sizeof *c);
    c->listen = opt_list(L, "listen", &c->listen_count);
    c->announce = opt_list(L, "announce", &c->announce_count);
    c->dial = opt_list(L, "dial", &c->dial_count);
    c->allow = opt_list(L, "allow", &c->allow_count);
    c->admin = opt_list(L, "admin", &c->admin_count);
    lua_getfield(L, 1, "key");
    c->key = lua_tostring(L, -1);
    opt_u32(L, "threads", &c->threads);
    opt_u32(L, "mailbox", &c->mailbox);
    opt_u32(L, "ask_timeout_ms", &c->ask_timeout_ms);
    opt_u32(L, "stop_timeout_ms", &c->stop_timeout_ms);
    opt_u32(L, "peer_timeout_ms", &c->peer_timeout_ms);
    opt_u32(L, "max_message", &c->max_message);
    opt_u32(L, "max_peers", &c->max_peers);
    opt_u32(L, "max_actors", &c->max_actors);
    opt_u32(L, "max_asks", &c->max_asks);
    c->dht = (int)opt_integer(L, "dht", c->dht);
    c->log_level = (int)opt_integer(L, "log", c->log_level);
    c->on_log = n->has_log ? levent_log : NULL;
    c->log_ud = n;
    c->on_event = levent_told;
    c->event_ud = n;
    n->log_level = c->log_level;
    n->max_message = c->max_message;
}

void lnode_born(lua_State *L, lnode *n, const char *meta, int idx)
{
    n->vm = lvm_of(L);
    atomic_init(&n->logs, NULL);
    luaL_setmetatable(L, meta);
    lbox_new(L, n, idx);
    lua_settop(L, idx);
}

/* node(options) -> node */
static int node_new(lua_State *L)
{
    lua_settop(L, 1);
    return lnode_make(L, NULL);
}

int lnode_make(lua_State *L, lsim *s)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lnode *n = lcompat_newuserdata(L, sizeof *n);
    int idx = lua_gettop(L);
    memset(n, 0, sizeof *n);
    lnode_born(L, n, "shoal.node", idx);
    n->has_log = lua_getfield(L, 1, "on_log") == LUA_TFUNCTION;
    shoal_node_config config;
    config_read(L, n, &config);
    lua_State *outer;
    lnode_enter(L, n, &outer);
    int code = s ? shoal_sim_node(s->sim, &config, &n->node) : shoal_node_new(&config, &n->node);
    levent_deliver_logs(n);
    lnode_leave(n, outer);
    if (code < 0) {
        n->node = NULL;
        return lfail(L, code, SHOAL_NOT_SENT, shoal_last_error(NULL));
    }
    shoal_peer_id(n->node, n->peer_id, sizeof n->peer_id);
    char text[160];
    snprintf(text, sizeof text, "%016x@%s", 1, n->peer_id);
    shoal_pid_parse(n->node, text, &n->nobody);
    lua_settop(L, idx);
    if (s) {
        lua_pushvalue(L, 2);
        lnode_set_box(L, n, BOX_SIM);
        lsim_join(L, s, n, idx);
    }
    return 1;
}

/* --- end --- */

lua_State *lnode_end_begin(lua_State *L, lnode *n)
{
    lua_State *outer = n->vm->L;
    lua_rawsetp(L, LUA_REGISTRYINDEX, n);
    n->entered++;
    n->vm->L = L;
    n->closing = true;
    return outer;
}

void lnode_end_done(lua_State *L, lnode *n, lua_State *outer)
{
    lnode_leave(n, outer);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, n);
}

void lnode_end(lua_State *L, lnode *n, int idx, bool crash)
{
    lcompat_pushowned(L, idx); /* the table of nodes has it no more while it is collected */
    lua_State *outer = lnode_end_begin(L, n);
    lcoro_close_all(&n->tasks);
    lactor_close_hooks(n);
    if (crash) {
        shoal_sim_crash(n->sim->sim, n->node);
    }
    shoal_node_free(n->node);
    n->node = NULL;
    while (n->actors) {
        lcoro_close_all(&n->actors->coros);
        lactor_release(n->actors);
    }
    lcoro_pool_free(n);
    lactor_types_free(n);
    ltimer_close(n);
    levent_deliver_logs(n);
    shoal_pack_free(&n->pack);
    lobject_close(n);
    lbox_free(n);
    if (n->sim) {
        lsim_leave(L, n);
    }
    lnode_end_done(L, n, outer);
}

/* node:close(): at once; peers see it lost */
static int node_close(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    if (n->entered) {
        return luaL_error(
            L,
            "node:close inside a handler, a task or a callback of the node: use node:stop there");
    }
    if (n->node && !n->closing) {
        lnode_end(L, n, 1, false);
        lprotect_raise(L, n);
    }
    return 0;
}

static int node_gc(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    if (n->node && !n->closing && !n->entered) {
        lnode_end(L, n, 1, false);
    }
    levent_free(n);
    lbox_free(n);
    return 0;
}

static void node_stopped(void *ud, const shoal_result *result)
{
    lnode *n = ud;
    n->stopped = true;
    (void)result;
}

static void node_stopped_wake(void *ud, const shoal_result *result)
{
    lcoro *c = ud;
    c->on->stopped = true;
    lcoro_done(c, result);
}

/* node:stop([options]) -> true */
static int node_stop(lua_State *L)
{
    static const char *const allowed[] = {"timeout", NULL};
    lnode *n = lnode_check(L, 1);
    lopt_check(L, 2, "node:stop", allowed);
    uint32_t ms = lopt_ms(L, 2, "timeout", 1, 0);
    lcoro *c = lcoro_handler(n);
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    n->stopping = true;
    if (c) { /* a handler cannot wait for its own end */
        int64_t id = shoal_node_stop(n->node, ms, node_stopped, n);
        if (id < 0) {
            return lfail_last(L, n, id);
        }
        lua_pushboolean(L, 1);
        return 1;
    }
    c = lcoro_waiter(L, n, "node:stop");
    return lcoro_call(L, c, shoal_node_stop(n->node, ms, node_stopped_wake, c), WHAT_TRUE);
}

/* --- driving --- */

static int64_t opt_time(lua_State *L, int arg, double scale, const char *what)
{
    double seconds = luaL_optnumber(L, arg, 0);
    if (!(seconds >= 0)) {
        luaL_error(L, "node:poll: %s must be a number of seconds from 0", what);
    }
    return seconds * scale > 1e15 ? (int64_t)1e15 : (int64_t)(seconds * scale);
}

static int poll_real(lua_State *L, lnode *n, int64_t budget_us, int64_t wait_ms)
{
    if (ltimer_due(n)) {
        ltimer_arm(n);
    }
    lua_State *outer;
    lnode_enter(L, n, &outer);
    int handled = shoal_poll(n->node, budget_us, ltimer_wait_ms(n, wait_ms));
    if (handled == 0 && ltimer_due(n)) {
        ltimer_arm(n);
        handled = shoal_poll(n->node, budget_us, 0);
    }
    levent_deliver_logs(n);
    lnode_leave(n, outer);
    lprotect_raise(L, n);
    return handled;
}

/* node:poll([budget [, wait]]) -> handled, left */
static int node_poll(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    int64_t budget_us = opt_time(L, 2, 1e6, "the budget"),
            wait_ms = opt_time(L, 3, 1e3, "the wait");
    if (n->vm->running || n->entered) {
        return luaL_error(L, "node:poll inside a handler, a task or a callback of the node");
    }
    if (!n->node) {
        return lfail_closed(L);
    }
    int handled = n->sim ? lsim_poll(L, n, wait_ms) : poll_real(L, n, budget_us, wait_ms);
    if (handled < 0) {
        return lfail_last(L, n, handled);
    }
    lua_pushinteger(L, handled);
    lua_pushinteger(L, (lua_Integer)shoal_backlog(n->node));
    return 2;
}

/* node:next_timeout() -> seconds, or nil */
static int node_next_timeout(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    int64_t ms = n->node ? ltimer_wait_ms(n, shoal_next_timeout_ms(n->node)) : -1;
    if (ms < 0) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, (lua_Number)ms / 1000);
    }
    return 1;
}

/* node:fd() -> file descriptor */
static int node_fd(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    int fd = n->node ? shoal_fd(n->node) : -1;
    if (fd < 0) {
        return lfail_closed(L);
    }
    lua_pushinteger(L, fd);
    return 1;
}

/* stopped() -> whether run must end: stopped or closed */
static int node_ended(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    lua_pushboolean(L, n->stopped || !n->node);
    return 1;
}

/* kept(node) -> how many references its box holds, and how many values are on their way; for tests */
static int node_kept(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    lua_pushinteger(L, n->slot_top - n->free_count);
    lua_pushinteger(L, (lua_Integer)n->object_count);
    return 2;
}

/* copied(node, value) -> the bytes it would be packed, the copy; nothing: the short cut does not know it; for tests */
static int node_copied(lua_State *L)
{
    lua_settop(L, 2);
    size_t size = lobject_copy(L, lnode_check(L, 1), 2);
    if (size == 0) {
        return 0;
    }
    lua_pushinteger(L, (lua_Integer)size);
    lua_insert(L, 3);
    return 2;
}

/* packed(node, value) -> whether it can be sent, what arrives or why not, its bytes; for tests */
static int node_packed(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    shoal_bytes bytes;
    lua_settop(L, 2);
    if (!lcodec_pack(L, n, 2, &bytes)) {
        lua_pushboolean(L, 0);
        lua_pushvalue(L, -4);
        return 2;
    }
    lua_pushboolean(L, lcodec_push(L, n, bytes));
    lua_insert(L, 3);
    lua_pushinteger(L, (lua_Integer)bytes.len);
    return 3;
}

/* --- calls --- */

static int node_spawn(lua_State *L)
{
    return lactor_spawn(L, lnode_check(L, 1), NULL);
}

/* node:lookup(name [, options]) -> ref */
static int node_lookup(lua_State *L)
{
    static const char *const allowed[] = {"timeout", NULL};
    lnode *n = lnode_check(L, 1);
    const char *name = lcheck_name(L, 2, "the name");
    lopt_check(L, 3, "lookup", allowed);
    uint32_t ms = lopt_ms(L, 3, "timeout", 0, 5000);
    lcoro *c = lcoro_waiter(L, n, "lookup");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_lookup(n->node, name, ms, lcoro_done, c), WHAT_REF);
}

/* node:ref(text) -> ref */
static int node_ref(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    const char *text = lcheck_name(L, 2, "the text");
    shoal_pid pid;
    if (!n->node) {
        return lfail_closed(L);
    }
    int code = shoal_pid_parse(n->node, text, &pid);
    if (code < 0) {
        return lfail_last(L, n, code);
    }
    lref_push(L, n, pid);
    return 1;
}

/* node:dial(address) -> peer id */
static int node_dial(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    const char *address = lcheck_name(L, 2, "the address");
    lcoro *c = lcoro_waiter(L, n, "dial");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_dial(n->node, address, lcoro_done, c), WHAT_TEXT);
}

/* node:info(what [, options]) -> rows */
static int node_info(lua_State *L)
{
    static const char *const allowed[] = {"peer", NULL};
    lnode *n = lnode_check(L, 1);
    const char *what = lcheck_name(L, 2, "what to tell"), *peer = NULL;
    lopt_check(L, 3, "info", allowed);
    if (lua_istable(L, 3) && lua_getfield(L, 3, "peer") != LUA_TNIL) {
        peer = luaL_checkstring(L, -1);
    }
    lcoro *c = lcoro_waiter(L, n, "info");
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    return lcoro_call(L, c, shoal_info(n->node, what, peer, lcoro_done, c), WHAT_ROWS);
}

/* --- properties --- */

static int node_peer_id(lua_State *L)
{
    lua_pushstring(L, lnode_check(L, 1)->peer_id);
    return 1;
}

static int node_addresses(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    char text[1280];
    lua_newtable(L);
    for (size_t i = 0; n->node && shoal_address(n->node, i, text, sizeof text) > 0; i++) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int node_tostring(lua_State *L)
{
    lnode *n = lnode_check(L, 1);
    lua_pushfstring(L, "shoal.node %s%s", n->peer_id, n->node ? "" : " (closed)");
    return 1;
}

void lnode_open(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", node_gc}, {"__close", node_close}, {"__tostring", node_tostring}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"spawn", node_spawn}, {"lookup", node_lookup}, {"lookup_all", liter_lookup_all},
        {"ref", node_ref},     {"dial", node_dial},     {"info", node_info},
        {"stop", node_stop},   {"poll", node_poll},     {"next_timeout", node_next_timeout},
        {"task", ltask_new},   {"fd", node_fd},         {"close", node_close},
        {NULL, NULL},
    };
    static const luaL_Reg getters[] = {
        {"peer_id", node_peer_id}, {"addresses", node_addresses}, {NULL, NULL}};
    lbox_open(L);
    luaL_newmetatable(L, "shoal.node");
    luaL_setfuncs(L, meta, 0);
    lmeta_index(L, methods, getters);
    lua_pop(L, 1);
    lua_pushcfunction(L, node_new); /* the module's table is on top */
    lua_setfield(L, -2, "node");
    lua_pushcfunction(L, node_ended);
    lua_setfield(L, -2, "ended");
    lua_pushcfunction(L, node_kept);
    lua_setfield(L, -2, "kept");
    lua_pushcfunction(L, node_copied);
    lua_setfield(L, -2, "copied");
    lua_pushcfunction(L, node_packed);
    lua_setfield(L, -2, "packed");
}
